/*
 * tlbi.h - what an operation owes the TLBs, and how it is paid.
 *
 * An operation collects in a batch what it broke or tightened and pays once: one tail. Until the
 * tail is over, nothing that was broken may be made again, and no frame behind it may be reused.
 * Operand encoders are pure functions; the barrier recipe stands in s2_tlb_flush() and nowhere else.
 */
#ifndef TRESTLE_STAGE2_TLBI_H
#define TRESTLE_STAGE2_TLBI_H

#include "core/addr.h"
#include "stage2/features.h"
#include "stage2/geometry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More IPAS2E1IS than this in one tail, and the whole VMID is cheaper: a broadcast by address
 * costs about as much as refilling a few entries, and guests seldom have more than some hundred
 * live ones. A rule of thumb until it is measured on a board. */
#define S2_TLB_BY_ADDRESS_MAX 64
#define S2_TLB_BATCH_RANGES 8
#define S2_TLB_LEVEL_ANY INT8_MAX /* a table, or several levels: no hint, page by page */

/**
 * s2_tlbi_ttl() - The level hint of a TLBI by IPA.
 * @level:   of the leaf that was broken, or S2_TLB_LEVEL_ANY.
 * Returns:  the TTL field's value: TG << 2 | level; 0, any level, where the architecture gives no
 *           hint: 4K level 0 and 16K level 1 without LPA2, 16K and 64K level 0, level -1.
 * Source:   Arm ARM DDI 0487, D8.14 "TLB maintenance", TTL field of TLBI IPAS2E1IS (FEAT_TTL).
 */
unsigned s2_tlbi_ttl(const struct s2_geometry *geometry, int level);

/* The operand of TLBI IPAS2E1IS: IPA[51:12] whatever the granule, TTL in [47:44]. */
uint64_t s2_tlbi_by_ipa(ipa_t ipa, unsigned ttl);

/* A stretch of IPAs whose entries at @level must go. */
struct s2_tlb_range {
    struct ipa_range range;
    int8_t level;
};

/* What is owed for one guest. Zero is an empty batch. */
struct s2_tlb_batch {
    struct s2_tlb_range ranges[S2_TLB_BATCH_RANGES];
    size_t count;
    bool is_whole; /* more than ranges[] could hold: the whole VMID */
};

/* The guest that a tail is for. */
struct s2_tlb_target {
    const struct s2_geometry *geometry;
    uint64_t vttbr;
    bool has_ttl;
    bool has_vhe;
    bool has_speculative_at;
};

static inline bool s2_tlb_batch_is_empty(const struct s2_tlb_batch *batch)
{
    return batch->count == 0 && !batch->is_whole;
}

/**
 * s2_tlb_batch_add() - Remember that @range was broken or tightened.
 * @level:   of every leaf in it; S2_TLB_LEVEL_ANY if a table was unlinked or levels are mixed.
 * Order:    after the stores, or before: the flush orders them.
 * Cost:     O(S2_TLB_BATCH_RANGES); never fails: a full batch becomes the whole VMID.
 */
void s2_tlb_batch_add(struct s2_tlb_batch *batch, struct ipa_range range, int level);

/* How many IPAS2E1IS it takes to cover @batch; SIZE_MAX for the whole VMID. */
size_t s2_tlb_batch_cost(const struct s2_geometry *geometry, const struct s2_tlb_batch *batch);

/**
 * s2_tlb_flush() - Pay: one tail, on all CPUs, for all that @batch holds; empty afterwards.
 * Order:    on return, no walker and no TLB of any CPU holds anything that was broken before the
 *           call; an access that used it has completed. Includes the first DSB, so stores made
 *           before the call are visible, and an ISB.
 * Cost:     at most S2_TLB_BY_ADDRESS_MAX TLBIs by address, or one for the VMID; when the guest is
 *           not current, two register writes and back, with interrupts masked.
 * Source:   Arm ARM DDI 0487, D8.14 "TLB maintenance"; D8.14.1 "break-before-make".
 */
void s2_tlb_flush(const struct s2_tlb_target *target, struct s2_tlb_batch *batch);

/* The same for everything that the guest's VMID tags, both stages. */
void s2_tlb_flush_vmid(const struct s2_tlb_target *target);

#endif
