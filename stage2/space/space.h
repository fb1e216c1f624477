/*
 * space.h - one guest's address space: a set of areas, the tables that follow from them, a VMID and
 * a lock in one object.
 *
 *      stage2/space/verbs.h     map, unmap, protect, fold
 *      stage2/space/batch.h     several of these, on several spaces, with one flush each
 *      stage2/space/step.h      long ones in short steps
 *      stage2/space/check.h     whether areas and tables agree
 *      stage2/space/fini.h      taking it apart
 *      stage2/space/enter.h     running the guest
 *
 * Every call locks the space. So calls on one are serialised, and calls on different ones run in
 * parallel. The embedder masks interrupts around calls. vCPUs may run at any time.
 *
 * All or nothing: a call that answers an error has changed nothing.
 */
#ifndef TRESTLE_STAGE2_SPACE_SPACE_H
#define TRESTLE_STAGE2_SPACE_SPACE_H

#include "core/c.h"
#include "core/frame_pool.h"
#include "core/lock.h"
#include "core/memory_set.h"
#include "stage2/arch/memory.h"
#include "stage2/table/lookup.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

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
    struct mapping_lock lock;
    ipa_t reclaimed; /* s2_space_fini_step(): memory below it is cleaned */
};

/**
 * s2_space_init() - An empty space: every access of the guest faults.
 * @config:  read, not kept; s2_space_init_reason() tells why one is refused.
 * Returns:  as s2_table_init(); MAPPING_INVALID_PARAM also for a VMID that the CPU does not have,
 *           or an
 *           allocator that gives such or was never begun; for nodes that are counted and not given;
 *           for
 *           memory ops without open or close.
 * On error: no frame is taken, no node written.
 * Owns:     nodes and the root's frames, until s2_space_fini().
 */
MAPPING_MUST_USE enum mapping_error s2_space_init(struct s2_space *space,
                                                  const struct s2_space_config *config);

/* Why s2_space_init() would answer anything but MAPPING_OK: a sentence with static lifetime; NULL
 * if only room for the root could be missing. */
const char *s2_space_init_reason(const struct s2_space_config *config);

/* As s2_table_lookup(): what the tables say. What a batch took, or made stricter, CPUs may still
 * use as it was, until somebody has flushed it. */
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

TRESTLE_END

#endif
