/*
 * table.h - one guest's stage-2 translation tables: the object, and the registers that lead to it.
 *
 *      stage2/table/verbs.h      map, unmap, protect, replace
 *      stage2/table/fold.h       uniform tables back into blocks
 *      stage2/table/lookup.h     what an IPA translates to
 *      stage2/table/step.h       long changes in short steps
 *      stage2/table/trap.h       the next access anywhere faults
 *      stage2/table/fini.h       taking it apart
 *      stage2/table/check.h      whether it is sound; dump.h: as text; recover.h: after a fault
 *      stage2/table/operation.h  several changes as one: for backends
 *
 * The count of a table's frame (frame_pool_count()) is the number of its entries that are not
 * none. A table below the root with count 0 is unlinked by the operation that emptied it.
 *
 * Context of all: the caller serialises calls on one table (a space does it with its lock) and
 * masks interrupts; vCPUs may run, hardware may walk at any time. Tables may share a pool.
 * Stack: at most 2 KiB; no recursion.
 */
#ifndef TRESTLE_STAGE2_TABLE_TABLE_H
#define TRESTLE_STAGE2_TABLE_TABLE_H

#include "core/addr.h"
#include "core/c.h"
#include "core/err.h"
#include "core/frame_pool.h"
#include "stage2/arch/desc.h"
#include "stage2/arch/features.h"
#include "stage2/arch/flags.h"
#include "stage2/arch/geometry.h"
#include "stage2/arch/memory.h"
#include "stage2/table/operation_state.h"
#include "stage2/tlb/tlb_batch.h"
#include "stage2/tlb/vmid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

#define S2_FAST_NONE 0U
#define S2_FAST_SHAPE(granule_shift, start_level) \
    ((unsigned)(granule_shift) * (S2_LEVEL_PAGE + 1) + (unsigned)(start_level))

/* Fields are private. The object does not move once initialised. */
struct s2_table {
    struct s2_geometry geometry;
    struct s2_format format;
    struct frame_pool *pool;
    struct frame_guard *guard; /* or NULL */
    s2_desc_t *root;           /* what is walked here */
    pa_t root_pa;              /* what hardware walks */
    s2_desc_t *hardware_root;  /* NULL: root is it; else accesses are trapped, and root is a copy */
    pa_t root_copy;
    ipa_t end;             /* of the input size */
    size_t table_count;    /* below the root */
    size_t data_count;     /* granules that the library gave the guest, and has not back */
    size_t data_high;      /* the most there were */
    size_t data_quota;     /* and may be; 0: any number */
    uint64_t fast_bias;    /* pointer - PA of every table, if there is one */
    uint64_t vttbr;        /* with the VMID of s2_table_set_vmid(), unless an allocator gives one */
    s2_desc_t memory_attr; /* of what was mapped first */
    struct s2_vmid vmid;   /* the allocator's */
    MAPPING_ATOMIC(struct s2_vmid_allocator *) vmids; /* NULL: none */
    struct s2_tlb_counters counters;
    struct s2_notifier notifier;
    struct s2_sink sink;
    struct s2_memory memory; /* how memory is reached, and what of it is cleaned */
    struct s2_operation operation;
    struct s2_recent recent;
    unsigned fast_shape; /* S2_FAST_NONE: there is no bias; else of what shape the tables are */
    unsigned vmid_bits;
    unsigned table_order; /* of a table's frames */
    unsigned fini_next;   /* s2_table_fini_step(): the root's entries before it are unlinked */
    bool is_forgotten;    /* likewise: no TLB holds anything of the guest */
    MAPPING_ATOMIC(bool)
    has_slow_memory; /* it has mapped what may have XS = 1 (FEAT_XS); without the lock */
    bool has_memory, has_mixed_memory; /* something was mapped; of more than one type */
    bool is_direct;                    /* sizes change by one store (FEAT_BBM level 2) */
    bool refuses_transient;            /* nothing that stays may be invalid for a moment */
    struct s2_tlb_rules rules;
};

/**
 * s2_table_init() - An empty table: every IPA faults.
 * @config:  read, not kept; s2_config_reason() tells why one is refused.
 * @pool:    kept. Frames no larger than the granule, with memory, all inside the output size.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: a number no CPU takes, no pool or one that cannot
 *           serve; MAPPING_UNSUPPORTED: not on this CPU; MAPPING_NO_FRAME: no room for the root.
 * Owns:     the root's frames, until s2_table_fini(). VMID 0 until s2_table_set_vmid().
 * Order:    the root is published on return.
 */
MAPPING_MUST_USE enum mapping_error
s2_table_init(struct s2_table *table, const struct s2_config *config, struct frame_pool *pool);

/* Why s2_table_init() would answer anything but MAPPING_OK for @config: a sentence with static
 * lifetime; NULL if only the pool could be in the way. And with the pool: NULL if only room for the
 * root could be missing. */
const char *s2_config_reason(const struct s2_config *config);
const char *s2_table_init_reason(const struct s2_config *config, const struct frame_pool *pool);

/**
 * s2_table_set_vmid() - Which VMID this guest runs under, and invalidations go to.
 * @vmid:    below 2^VMIDBits; not in use by another live table; 0 is best kept for nobody.
 * Order:    nothing is invalidated: the VMID's entries are gone (a new one, or after fini).
 * Context:  the guest is not running.
 */
void s2_table_set_vmid(struct s2_table *table, uint16_t vmid);

/**
 * s2_table_set_vmids() - The VMID comes from @vmids, at the first s2_enter() and after each of its
 *                        generations. Implied by the first s2_enter().
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: @vmids gives numbers that are too wide for the
 *           table, or none (it was never begun), or is another than before; MAPPING_BAD_STATE: the
 *           table is finished, or about to be.
 * Order:    until the first s2_enter() nothing is cached of it, and no change sends a closing
 *           sequence.
 * Context:  the table has not been entered by hand.
 */
MAPPING_MUST_USE enum mapping_error s2_table_set_vmids(struct s2_table *table,
                                                       struct s2_vmid_allocator *vmids);

/* How memory outside the pool is reached, to clean it; NULL: it is not. Kept. */
void s2_table_set_memory(struct s2_table *table, const struct s2_memory_ops *ops);

/* Whether @range is one that the verbs take: granule-aligned, not empty, inside the input size. */
static inline bool s2_table_is_range(const struct s2_table *table, struct ipa_range range)
{
    MAPPING_ASSERT(table->root != NULL);
    return ipa_range_is_valid(range) &&
           ipa_range_is_aligned(range, s2_granule_size(&table->geometry)) &&
           ipa_le(ipa_range_end(range), table->end);
}

/* Whether @size bytes from @pa on can be an output: granule-aligned, inside the output size. */
static inline bool s2_table_is_output(const struct s2_table *table, pa_t pa, uint64_t size)
{
    return pa_is_aligned(pa, s2_granule_size(&table->geometry)) &&
           pa_span_fits(pa, size, MAPPING_BIT(table->geometry.pa_bits));
}

/* Whether a leaf with @flags can be made here: MAPPING_OK, or what s2_table_map() would answer. */
MAPPING_MUST_USE enum mapping_error s2_table_check_flags(const struct s2_table *table,
                                                         mapping_flags_t flags);

/* Whether a guest may be shown [@pa, @pa + @size): no part of it is a frame of the tables' pool, or
 * of one that is guarded (s2_config.guard), that is free, held or a translation table, this guest's
 * or another's, or forbidden. A table does not count what it shows: its space does. */
bool s2_table_is_data(const struct s2_table *table, pa_t pa, uint64_t size);

/* Whether a guest that is given memory with @flags may go past the caches to it, so that it has to
 * be cleaned: no device, and stage 2 does not force write-back. */
bool s2_table_needs_clean(const struct s2_table *table, mapping_flags_t flags);

/* Whether it has mapped anything that its guest may reach past the caches. */
static inline bool s2_table_may_be_uncached(const struct s2_table *table)
{
    return MAPPING_ATOMIC_LOAD(&table->has_slow_memory, relaxed); /* what goes there is slow, too */
}

/* The order of a granule in frames of @pool, which are no larger. */
static inline unsigned s2_pool_order(const struct s2_table *table, const struct frame_pool *pool)
{
    MAPPING_ASSERT(frame_pool_shift(pool) <= table->geometry.granule_shift);
    return table->geometry.granule_shift - frame_pool_shift(pool);
}

/* What was sent to the TLBs for this table since it was made, and what was saved: as it is now,
 * while any call may be under way. Each number is read whole; together they may be of different
 * moments. */
struct s2_tlb_counters s2_table_tlb_snapshot(const struct s2_table *table);

/* The same where it is counted: for one who knows that no call on the table is under way. */
const struct s2_tlb_counters *s2_table_tlb_counters(const struct s2_table *table);

/* Ready to write. HCR_EL2: the bits that this table relies on, VM and FWB. VTTBR_EL2: where VMIDs
 * come from an allocator, with S2_VMID_NOBODY while the table has none: s2_enter() is what enters
 * it. */
uint64_t s2_table_vtcr(const struct s2_table *table);
uint64_t s2_table_vttbr(const struct s2_table *table);
uint64_t s2_table_hcr(const struct s2_table *table);

/* What the guest is to read as ID_AA64MMFR0_EL1.PARange (HCR_EL2.TID3): the largest size that is no
 * larger than the input size. A Linux that reads more does not randomise its linear map. */
unsigned s2_table_parange(const struct s2_table *table);

/* Where the hardware's walks begin, and the VMID they are under now: for a device that shares the
 * tables (stage2/arch/smmu.h). Where VMIDs come from an allocator the device needs one of its own,
 * or the guest one by hand. */
static inline pa_t s2_table_root(const struct s2_table *table)
{
    return table->root_pa;
}

/* As above. */
uint16_t s2_table_vmid(const struct s2_table *table);

/* Frames of all its tables, root included, and its copy, in frames of the pool. */
size_t s2_table_frame_count(const struct s2_table *table);

static inline const struct s2_geometry *s2_table_geometry(const struct s2_table *table)
{
    return &table->geometry;
}

TRESTLE_END

#endif
