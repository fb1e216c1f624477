/*
 * space.h - one guest's address space: what an embedder includes.
 *
 * A set of areas, the tables that follow from them, a VMID and a lock in one object. Every call
 * locks it, so calls on one space are serialised and calls on different spaces run in parallel;
 * the embedder masks interrupts around calls. vCPUs may run at any time.
 *
 * All or nothing: a call that answers an error has changed nothing.
 */
#ifndef TRESTLE_STAGE2_SPACE_SPACE_H
#define TRESTLE_STAGE2_SPACE_SPACE_H

#include "core/frame_pool.h"
#include "core/lock.h"
#include "core/memory_set.h"
#include "stage2/arch/memory.h"
#include "stage2/space/backend.h"
#include "stage2/table/table.h"

struct s2_space_config {
    struct s2_config table;
    struct frame_pool *table_pool; /* the tables' frames; may be shared, and be the data's too */
    struct memory_node *nodes;     /* one for each area there may be at once */
    size_t node_count;
    const struct s2_memory_ops *memory; /* kept; NULL: nothing outside the pool is cleaned */
    struct s2_vmid_allocator *vmids;    /* gives the VMID, at s2_enter(); NULL: .vmid is it */
    uint16_t vmid;                      /* not in use by another space; 0 is best kept for nobody */
};

/* Fields are private. The object does not move once initialised. */
struct s2_space {
    struct memory_set set;
    struct s2_table table;
    struct lock lock;
    ipa_t reclaimed; /* s2_space_fini_step(): memory below it is cleaned */
};

/**
 * s2_space_init() - An empty space: every access of the guest faults.
 * @config:  read, not kept; s2_space_init_reason() tells why one is refused.
 * Returns:  as s2_table_init(); MAPPING_INVALID_PARAM also for a VMID that the CPU does not have, or an
 *           allocator that gives such or was never begun; for nodes that are counted and not given; for
 *           memory ops without open or close.
 * On error: no frame is taken, no node written.
 * Owns:     nodes and the root's frames, until s2_space_fini().
 */
MAPPING_MUST_USE enum mapping_error s2_space_init(struct s2_space *space,
                                                  const struct s2_space_config *config);

/* Why s2_space_init() would answer anything but MAPPING_OK: a sentence with static lifetime; NULL if
 * only room for the root could be missing. */
const char *s2_space_init_reason(const struct s2_space_config *config);

/**
 * s2_space_map_linear() - Give the guest @range, backed by as much memory from @pa on.
 * @range, @pa, @flags: as for s2_table_map().
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_ALREADY_EXISTS; MAPPING_NO_FRAME;
 *           MAPPING_NO_NODE; MAPPING_UNSUPPORTED; MAPPING_DENIED: policy, or the memory ops.
 * Order:    what our side wrote to that memory is in it, and the instruction caches hold nothing
 *           of it, before the guest can see it. Visible on return.
 */
MAPPING_MUST_USE enum mapping_error
s2_space_map_linear(struct s2_space *space, struct ipa_range range, pa_t pa, mapping_flags_t flags);

/* The same over whatever is there, as one operation: at no time a half-way state that an error
 * could leave behind. Vacates exactly @range. Where transients are refused, MAPPING_DENIED if
 * anything is. */
MAPPING_MUST_USE enum mapping_error s2_space_replace_linear(struct s2_space *space,
                                                            struct ipa_range range, pa_t pa,
                                                            mapping_flags_t flags);

/**
 * s2_space_unmap() - Take @range from the guest; holes are fine, areas are split exactly.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NO_FRAME; MAPPING_NO_NODE; MAPPING_DENIED:
 *           transients are refused (struct s2_config), as in the next.
 * Order:    on return no CPU can reach it, and the memory may be reused. One flush; where memory has to
 *           be cleaned after it (no write-back by force), or is frames of a pool, one for each
 *           S2_RECLAIM_MAX stretches of it.
 */
MAPPING_MUST_USE enum mapping_error s2_space_unmap(struct s2_space *space, struct ipa_range range);

/**
 * s2_space_protect() - Give all areas in @range @flags; holes are fine, areas are split.
 * @flags:   all attributes, not only permissions; S2_BUILD_FLAGS are ignored: areas keep theirs.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NO_FRAME; MAPPING_NO_NODE;
 *           MAPPING_UNSUPPORTED; MAPPING_DENIED.
 * Order:    on return no CPU goes by the old flags; where nothing was taken away, and
 *           S2_RELAX_HERE, this one.
 */
MAPPING_MUST_USE enum mapping_error s2_space_protect(struct s2_space *space, struct ipa_range range,
                                                     mapping_flags_t flags);

/**
 * s2_space_fold() - Join areas that are alike, and turn what is uniform in @range into blocks and
 *                   runs, after many small changes; area by area, each within its own caps.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_DENIED: as s2_table_fold(), of any area.
 * Order:    as s2_table_fold().
 */
MAPPING_MUST_USE enum mapping_error s2_space_fold(struct s2_space *space, struct ipa_range range);

/* As s2_table_lookup(): what the tables say. What a batch took, or made stricter, CPUs may still use as
 * it was, until somebody has flushed it. */
MAPPING_MUST_USE enum mapping_error s2_space_lookup(struct s2_space *space, ipa_t addr,
                                                    struct s2_leaf *leaf);

/* What s2_enter() takes. It is all that may be done to it past this header. */
static inline struct s2_table *s2_space_enterable(struct s2_space *space)
{
    return &space->table;
}

/* What is inside, to look at: registers, geometry, areas. Not locked: for one who knows that no
 * call is under way. */
const struct s2_table *s2_space_table(const struct s2_space *space);
const struct memory_set *s2_space_areas(const struct s2_space *space);

/**
 * s2_space_check() - Whether the wall stands.
 * Proves: set and tables are each consistent; every leaf follows from an area, with its output and
 * its flags, and every byte of an area is mapped; no area shows a frame of the tables' pool, or of a
 * guarded one, that the pool has not handed out as data, and each that it shows is counted.
 * Cost: O(entries + areas + frames of the pool that are mapped). Locks the space.
 */
bool s2_space_check(struct s2_space *space);

#endif
