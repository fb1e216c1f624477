/*
 * entries.h - what happens to the entries that lie whole in a range: cleared, changed, made.
 *
 *      clear      unmap: none; tables that were emptied are unlinked, and all is invalidated
 *      open       protect, where sizes change directly: the runs that change are no runs any more
 *      change     protect: in place where that is allowed, else broken. replace: broken. All is
 *                 invalidated
 *      flush
 *      make       what was broken, as it shall be
 *
 * What sticks out of the range is dealt with before (stage2/table/split.h). O(entries that are
 * looked at). Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_ENTRIES_H
#define TRESTLE_STAGE2_TABLE_ENTRIES_H

#include "stage2/table/split.h"

/* Whole tables go as they are, without a look at what is in them. */
void s2_entries_clear(struct s2_table *table, const struct s2_change *change);

void s2_entries_open(struct s2_table *table, struct s2_change *change);

/* Says in @change whether anything was broken. */
void s2_entries_change(struct s2_table *table, struct s2_change *change);

/* After the flush, if anything was. */
void s2_entries_make(struct s2_table *table, struct s2_change *change);

#endif
