/*
 * space.h - one guest's address space: a set of areas, the tables that follow from them, a VMID and
 * a lock in one object.
 *
 *      stage2/space/area.h      what it is made of: RAM, devices, traps, guards
 *      stage2/space/fault.h     what to do about a guest's fault
 *      stage2/space/access.h    its memory, read and written by the host
 *      stage2/space/verbs.h     map, unmap, protect, fold
 *      stage2/space/batch.h     several of these, on several spaces, with one flush each
 *      stage2/space/step.h      long ones in short steps
 *      stage2/space/check.h     whether areas and tables agree
 *      stage2/space/audit.h     whether what guests have is apart
 *      stage2/space/clean.h     its memory out of caches
 *      stage2/space/statistics.h  what it has and did
 *      stage2/space/fini.h      taking it apart
 *      stage2/space/trap.h      the next access anywhere faults
 *      stage2/space/enter.h     running the guest
 *
 * Every call locks the space. So calls on one are serialised, and calls on different ones run in
 * parallel. vCPUs may run at any time. All or nothing: a call that answers an error has changed
 * nothing.
 *
 * What the host owes:
 *
 *   interrupts   masked around every call. A handler that comes back here waits for a lock that the
 *                CPU it runs on holds. One that runs a guest finds VTCR_EL2 and VTTBR_EL2 of the
 *                one whose TLB entries are just being invalidated (stage2/tlb/regime.h).
 *   SPE, TRBE    a guest's profiling and trace buffers are written through its tables, late: they
 *                are stopped and drained (PSB CSYNC, TSB CSYNC, DSB NSH) before s2_enter() or
 *                s2_leave() takes the guest from a CPU, and before any call here on a CPU that
 *                still has a guest's buffers enabled: whatever invalidates for a guest that is not
 *                current there puts it into VTTBR_EL2 for a moment.
 *   suspend      a CPU that loses its TLB and its registers, in a guest or not, comes back by TLBI
 *                ALLE1, DSB NSH, ISB, and then s2_enter() or s2_leave() (stage2/tlb/vmid.h). Its
 *                struct s2_cpu stays. Tables are memory: if RAM is lost, so are they.
 *   HCR_EL2.PTW  is the host's. With it, a guest's stage-1 table in an area of a device type is a
 *                permission fault with S1PTW, and its level is the emulator's choice.
 *   regimes      Non-secure EL1&0 with EL2, AArch64. Not served: Secure (VSTTBR_EL2, VSTCR_EL2),
 *                Realm (granules are the RMM's), nested guests' own stage 2.
 *
 * Callbacks: which of the host's functions run under which lock, with interrupts masked. None may
 * call a function on the same space, wait for one that does, or sleep:
 *
 *   s2_memory_ops.open, close   the space's
 *   s2_notifier.invalidated     the space's, between break and closing DSB
 *   s2_sink.removed             the space's
 *   mapping_backend_ops         the space's
 *   s2_backend_ops.fill         none; s2_backend_ops.drain: the space's
 *   s2_audit.may_share          the space's
 *   s2_dump_fn                  none of ours: the caller keeps changes away
 *   mapping_assert_failed()     any
 *
 * Locks are taken in this order: a space, the VMIDs, a pool; of two spaces none holds both.
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
    size_t data_quota; /* granules of lazy memory that the guest may have at once; 0: any number */
};

#define S2_SPACE_VERDICTS 12

/* Fields are private. The object does not move once initialised. */
struct s2_space {
    struct memory_set set;
    struct s2_table table;
    struct mapping_lock lock;
    ipa_t reclaimed; /* s2_space_fini_step(): memory below it is drained; then: cleaned */
    MAPPING_ATOMIC(uint64_t) faults[S2_SPACE_VERDICTS]; /* by verdict (stage2/space/fault.h) */
};

/**
 * s2_space_init() - An empty space: every access of the guest faults.
 * @config:  read, not kept; s2_space_init_reason() tells why one is refused.
 * Returns:  as s2_table_init(); MAPPING_INVALID_PARAM also for a VMID that the CPU does not have,
 *           or an allocator that gives such or was never begun; for nodes that are counted and not
 *           given; for memory ops without open or close.
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
