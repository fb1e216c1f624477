/*
 * batch.h - several operations, on several spaces, with one closing sequence for each guest.
 *
 *      s2_batch_begin(&batch);
 *      s2_batch_unmap(&batch, &alice, range);      each happens whole or not at all, at once,
 *      s2_batch_protect(&batch, &alice, ...);      but for the TLBs
 *      s2_batch_unmap(&batch, &bob, range);
 *      s2_batch_end(&batch);                       here: one flush for Alice, one for Bob
 *      ... only now may the memory be used for anything else ...
 *
 * What is deferred is the space's own. Whoever calls a verb on the same space meanwhile without a
 * batch flushes it too, also if it has nothing to do itself; with another batch, adds to it. So a
 * batch holds no lock between its calls, and the order of calls on other CPUs matters to nobody.
 *
 * Frames of tables that were unlinked wait in the space until its flush is over, and so does memory
 * that is to be cleaned. A batch flushes by itself
 *
 *      all of it       when it meets one space more than S2_BATCH_SPACES; when a call has found no
 *                      frame, before it tries once more
 *      for one space   when more than S2_BATCH_FRAMES of its tables would wait (of those that went
 *                      with a subtree, the topmost counts); when it needs a table that waits; when
 *                      more than S2_RECLAIM_MAX stretches of memory would wait, to be cleaned or,
 *                      of a
 *                      pool, to be given back; before
 *                      something is made where something was broken, at once if it stays
 *
 * A call without the batch that finds no frame does not know of other spaces' that wait.
 */
#ifndef TRESTLE_STAGE2_SPACE_BATCH_H
#define TRESTLE_STAGE2_SPACE_BATCH_H

#include "core/c.h"
#include "stage2/space/space.h"

TRESTLE_BEGIN

#define S2_BATCH_SPACES 8
#define S2_BATCH_FRAMES 256

/* Fields are private. Used by one CPU at a time. Begins as S2_BATCH_INIT, or zeroed. */
struct s2_batch {
    struct s2_space *spaces[S2_BATCH_SPACES]; /* with something deferred */
    size_t count;
    bool is_open;
};

#define S2_BATCH_INIT    \
    {                    \
        {NULL}, 0, false \
    }

/* @batch: one that is open still is ended first, so that nothing it has deferred is forgotten. */
void s2_batch_begin(struct s2_batch *batch);

/**
 * s2_batch_map_linear() - As the s2_space_ call of that name, inside @batch.
 * s2_batch_replace_linear()
 * s2_batch_unmap()
 * s2_batch_protect()
 * @batch:   begun, and not ended.
 * Order:    what is mapped is visible on return. What was unmapped or tightened may still be used
 *           by CPUs, and by devices, until s2_batch_end(). What was relaxed, with S2_RELAX_HERE, is
 *           so on the CPU that flushes: on others a fault may be left for s2_table_refresh(). A
 *           split of a block, or whatever else breaks what stays, flushes at once, unless sizes
 *           change directly.
 */
MAPPING_MUST_USE enum mapping_error s2_batch_map_linear(struct s2_batch *batch,
                                                        struct s2_space *space,
                                                        struct ipa_range range, pa_t pa,
                                                        mapping_flags_t flags);
MAPPING_MUST_USE enum mapping_error s2_batch_replace_linear(struct s2_batch *batch,
                                                            struct s2_space *space,
                                                            struct ipa_range range, pa_t pa,
                                                            mapping_flags_t flags);
MAPPING_MUST_USE enum mapping_error s2_batch_unmap(struct s2_batch *batch, struct s2_space *space,
                                                   struct ipa_range range);
MAPPING_MUST_USE enum mapping_error s2_batch_protect(struct s2_batch *batch, struct s2_space *space,
                                                     struct ipa_range range, mapping_flags_t flags);

/* Before a space that may be in an open batch ends (s2_space_fini()). */
void s2_batch_drop(struct s2_batch *batch, struct s2_space *space);

/**
 * s2_batch_end() - Flush each space that has something deferred, once. Locks them, one by one.
 * Order:    on return no CPU and no device reaches anything that the batch took away, and frames of
 *           tables are back in their pools.
 */
void s2_batch_end(struct s2_batch *batch);

TRESTLE_END

#endif
