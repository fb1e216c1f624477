/*
 * frames.h - the frames of an operation's tables, in and out.
 *
 *      hold       out of the pool: nobody else gets them
 *      take       a held frame becomes a table, which is filled and linked
 *      unlink     quarantined: walkers may still read it
 *      flush      held again: the operation may take it once more
 *      end        back to the pool
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_FRAMES_H
#define TRESTLE_STAGE2_TABLE_FRAMES_H

#include "stage2/table/table.h"

/* Hold @count more tables. Returns: MAPPING_OK; MAPPING_NO_FRAME. */
MAPPING_MUST_USE enum mapping_error s2_frames_hold(struct s2_table *table, size_t count);

/* A held table, uncleared, count 0; cannot fail. */
pa_t s2_frames_take(struct s2_table *table);

/* A table of @level that was just unlinked, with all that hangs below it: held again by the next
 * flush. */
void s2_frames_quarantine(struct s2_table *table, pa_t pa, int level);

/* Tables that are; of those that were unlinked with a subtree, the topmost. */
static inline size_t s2_frames_quarantined(const struct s2_table *table)
{
    return table->operation.quarantined;
}

/* A table that no walker can reach any more, without what hangs below it: held at once. */
void s2_frames_release(struct s2_table *table, pa_t pa);

/* The invalidation is over: no walker reaches what is quarantined. All of it is held again. */
void s2_frames_release_all(struct s2_table *table);

/* Of it, in steps: one table with the look that its children need, which costs as many of *budget
 * as it has entries; or as many tables of pages, each one, as *budget lasts. Returns: false: none
 * was. */
bool s2_frames_release_some(struct s2_table *table, size_t *budget);

#endif
