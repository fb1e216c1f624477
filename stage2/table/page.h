/*
 * page.h - a verb on one page, and nothing else: what faults, balloons and logs do.
 *
 * It is what an operation of one piece would do (stage2/table/operation.h), where that is simple:
 *
 *      nothing is open, and nothing waits to be flushed
 *      its table exists and stays, and the page is in no run
 *      neither the hardware nor a sink has to do with the entry
 *
 *      map        [ . ] -> [ P ]                       one store
 *      unmap      [ P ] -> [ . ]  flush                one store
 *      protect    [ P ] -> [ p ]  flush                one store, in place
 *      replace    [ P ] -> [ x ]  flush  -> [ Q ]      break, make
 *
 * Whatever is not, an error above all, is left to the operation.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_PAGE_H
#define TRESTLE_STAGE2_TABLE_PAGE_H

#include "stage2/table/request.h"
#include "stage2/table/table.h"

/* Do @request, if it is one of these. Returns: whether it was done; if not, nothing has changed. */
bool s2_page_perform(struct s2_table *table, const struct s2_request *request);

#endif
