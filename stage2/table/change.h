/*
 * change.h - what a request comes to, and doing it.
 *
 * In one order, whatever the change:
 *
 *      check          arguments, what is there, what is held; how many tables it needs
 *      find           what sticks out of the range                    reads only
 *      build dark     tables for the blocks that are split
 *      break          ----- from here on hardware sees it; or split them directly
 *      the range      map: fill. unmap: remove. replace: break. protect: in place where that is
 *                     allowed, else break
 *      flush          at the end of the operation, or before something that was broken is needed
 *      make           what was broken, of all changes
 *
 * One flush for all of it. What is broken waits in between, with the others:
 *
 *      break P1  break P2 ...    flush    make P1  make P2 ...
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_CHANGE_H
#define TRESTLE_STAGE2_TABLE_CHANGE_H

#include "stage2/table/request.h"
#include "stage2/table/table.h"

/**
 * s2_change_begin() - Check what can be checked of @request without a look at the tables.
 * s2_change_count() - Check the rest, had the pieces held so far been done, and work out what it
 *                     comes to: the tables that it needs.
 * @change:  written, also on an error.
 * Returns:  as s2_table_hold(), MAPPING_NO_FRAME aside. Changes nothing else.
 */
MAPPING_MUST_USE enum mapping_error
s2_change_begin(struct s2_table *table, const struct s2_request *request, struct s2_change *change);
MAPPING_MUST_USE enum mapping_error s2_change_count(struct s2_table *table,
                                                    struct s2_change *change);

/* s2_change_begin() of a map whose outputs are only known as it is done: as if all were pages, which
 * takes the most tables. */
MAPPING_MUST_USE enum mapping_error s2_change_begin_parts(struct s2_table *table,
                                                          const struct s2_request *request,
                                                          struct s2_change *change);

/* In place of the latter: whether the change is so simple that one look is enough, which is what
 * most changes to single pages are. All of it lies in one table of pages, which stays; it can be
 * done, needs no table, and nothing sticks out. That table is the recent one then, and @change says
 * so. Nothing else may be held. O(entries in the range), a protect or an unmap
 * O(levels). */
bool s2_change_is_recent(struct s2_table *table, struct s2_change *change);

/* Work out again what @request, which was checked, comes to: others were held or done since. */
void s2_change_work_out(struct s2_table *table, const struct s2_request *request,
                        struct s2_change *change);

/* Room for one that is about to be done on @range. The others are made first if there is none, or
 * if it has to do with what they broke. */
struct s2_change *s2_change_room(struct s2_table *table, struct ipa_range range);

/* Do @change, in that room, up to the flush: cannot fail. */
void s2_change_do(struct s2_table *table, struct s2_change *change);

/* Flush (stage2/table/flush.h), then make what was broken. */
void s2_change_flush(struct s2_table *table);

#endif
