/*
 * step.h - long changes in short steps, so that no caller waits without bound.
 *
 *      struct s2_cursor cursor = s2_cursor(range);
 *
 *      while (error == MAPPING_OK && !s2_cursor_is_done(&cursor)) {
 *          error = s2_space_unmap_step(&space, &cursor, 4096);
 *          ...                                  vCPUs run, interrupts come, locks are free
 *      }
 *
 * Each step is an operation of its own: whole or not at all, its tail paid, tables and areas
 * consistent. It pauses where no block and no run is torn that the whole change would not tear, so
 * the last step leaves behind what the verb would have left.
 *
 * @budget, of all: how many descriptors a step looks at; S2_STEP_ALL: no bound. What is dear counts
 * for more: an area costs one, a cache line that is cleaned does too. A step does one leaf, run or
 * hole at least, whatever they cost, and may look at more where half of it is worth nothing:
 *
 *      unmap, protect   the entries on the way to its two ends; the rest of a run
 *      fold             of each level one table, to see whether it is uniform
 *      fini             one table
 *      a block is cut   the tables of the cut, which it fills; at either end of the range only
 *
 * An empty range is never done: the step refuses it, as the verb does.
 */
#ifndef TRESTLE_STAGE2_STEP_H
#define TRESTLE_STAGE2_STEP_H

#include "stage2/space.h"

#define S2_STEP_ALL SIZE_MAX

/* Where a change over @range stands: all before @next is done. */
struct s2_cursor {
    struct ipa_range range;
    ipa_t next;
    bool is_split; /* private: the last step ended inside an area */
};

static inline struct s2_cursor s2_cursor(struct ipa_range range)
{
    return (struct s2_cursor){.range = range, .next = range.start};
}

static inline bool s2_cursor_is_done(const struct s2_cursor *cursor)
{
    return cursor->range.size != 0 &&
           ipa_distance(cursor->range.start, cursor->next) == cursor->range.size;
}

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
 * Order:    as the verb, for what this step did: one tail a step, a fold's one a level; as the verb where memory is
 *           cleaned.
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

/**
 * s2_table_fini_step() - Take the table apart, up to @budget descriptors of it.
 * @is_done: written on MAPPING_OK only: whether that was the last of it.
 * Returns:  MAPPING_OK; MAPPING_BAD_STATE, of the first step only: as s2_table_fini(). After that step
 *           the table takes no other call.
 * On error: nothing has changed.
 * Order:    the root is emptied, then the VMID's entries are invalidated, once; only then does the
 *           first frame return.
 * Owns:     frames are back in the pool by the end of the step that takes them out; the root's by
 *           the last.
 * Context:  as s2_table_fini().
 */
MAPPING_MUST_USE enum mapping_error s2_table_fini_step(struct s2_table *table, size_t budget,
                                                       bool *is_done);

/**
 * s2_space_unmap_step() - The same for a space's verb, areas and all. Locks it for the step.
 * s2_space_protect_step()
 * s2_space_fold_step()
 * Returns:  as the verb. MAPPING_NO_NODE: also where only the pause is in the way. A step that ends
 *           inside an area that goes on behind both ends, or that is protected, may need one node
 *           more than the whole change; one that ends elsewhere does not.
 * On error: as above; of a fold, areas that were done are behind the cursor, and areas that are alike
 *           may have been joined.
 * Cost:     as above. Memory that went past the caches is cleaned as it is unmapped, and no leaf is
 *           torn for that: a step takes as long as the largest of them at least.
 */
MAPPING_MUST_USE enum mapping_error s2_space_unmap_step(struct s2_space *space,
                                                        struct s2_cursor *cursor, size_t budget);
MAPPING_MUST_USE enum mapping_error s2_space_protect_step(struct s2_space *space,
                                                          struct s2_cursor *cursor,
                                                          mapping_flags_t flags, size_t budget);
MAPPING_MUST_USE enum mapping_error s2_space_fold_step(struct s2_space *space,
                                                       struct s2_cursor *cursor, size_t budget);

/**
 * s2_space_fini_step() - Take the space apart: the tables, then the cleaning of its memory.
 * @is_done, Returns: as s2_table_fini_step(). After the first step the space takes no other call.
 * Cost:     O(@budget), of cleaning at least a granule.
 * Context:  as s2_space_fini().
 */
MAPPING_MUST_USE enum mapping_error s2_space_fini_step(struct s2_space *space, size_t budget,
                                                       bool *is_done);

#endif
