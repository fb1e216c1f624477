/*
 * step.h - long changes in short steps, so that no caller waits without bound.
 *
 *      struct s2_cursor cursor = s2_cursor(range);
 *
 *      while (error == MAPPING_OK && !s2_cursor_is_done(&cursor)) {
 *          error = s2_table_unmap_step(&table, &cursor, 4096);
 *          ...                                  vCPUs run, interrupts come, locks are free
 *      }
 *
 * Each step is an operation of its own: whole or not at all, its closing sequence sent, tables and
 * areas consistent. It pauses where no block and no run is torn that the whole change would not
 * tear, so the last step leaves behind what the verb would have left.
 *
 * @budget, of all: how many descriptors a step looks at; S2_STEP_ALL: no bound. What is dear counts
 * for more: an area costs one, a cache line that is cleaned does too. A step does one leaf, run or
 * hole at least, whatever they cost, and may look at more where half of it is worth nothing:
 *
 *      unmap, protect   the entries on the way to its two ends; the rest of a run
 *      fold             of each level one table, to see whether it is uniform
 *      fini             one table
 *      a block is split   the tables of the split, which it fills; at either end of the range only
 *
 * An empty range is never done: the step refuses it, as the verb does.
 *
 * A space has the same: stage2/space/step.h.
 */
#ifndef TRESTLE_STAGE2_TABLE_STEP_H
#define TRESTLE_STAGE2_TABLE_STEP_H

#include "core/c.h"
#include "stage2/table/cursor.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/**
 * s2_table_unmap_step() - The next step of the table's verb of that name over @cursor's range.
 * s2_table_protect_step()
 * s2_table_fold_step()
 * @cursor:  not done. Moved past what was done, on MAPPING_OK only. Other calls may come in
 *           between; what they change behind the cursor stays as they left it.
 * @flags:   as for the verb, s2_table_fold_within() for a fold; the same at each step.
 * @budget:  see above. Memory that a protect gives another type is cleaned, and costs.
 * Returns:  as the verb.
 * On error: this step has changed nothing; those before it stay.
 * Order:    as the verb, for what this step did: one flush a step, a fold's one a level; as the
 *           verb where memory is cleaned.
 * Cost:     O(@budget): what is counted is looked at once to find the step's end, and then changed.
 */
MAPPING_MUST_USE enum mapping_error s2_table_unmap_step(struct s2_table *table,
                                                        struct s2_cursor *cursor, size_t budget);
MAPPING_MUST_USE enum mapping_error s2_table_protect_step(struct s2_table *table,
                                                          struct s2_cursor *cursor,
                                                          mapping_flags_t flags, size_t budget);
MAPPING_MUST_USE enum mapping_error s2_table_fold_step(struct s2_table *table,
                                                       struct s2_cursor *cursor,
                                                       mapping_flags_t flags, size_t budget);

TRESTLE_END

#endif
