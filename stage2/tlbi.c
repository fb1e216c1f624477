#include "stage2/tlbi.h"

#include "stage2/arch.h"
#include "stage2/regime.h"

#define TLBI_IPA FIELD(39, 0)
#define TLBI_TTL FIELD(47, 44)
#define TLBI_IPA_SHIFT 12 /* whatever the granule */
#define TTL_TG FIELD(3, 2)
#define TTL_LEVEL FIELD(1, 0)

#define HCR_TGE BIT(27)

/* The TLBI instructions count granules in a code of their own. */
static unsigned tlbi_granule(const struct s2_geometry *geometry)
{
    switch (geometry->granule_shift) {
    case S2_GRANULE_4K:
        return 1;
    case S2_GRANULE_16K:
        return 2;
    default:
        return 3;
    }
}

unsigned s2_tlbi_ttl(const struct s2_geometry *geometry, int level)
{
    int first; /* nearest level to the root that a hint may name */

    switch (geometry->granule_shift) {
    case S2_GRANULE_4K:
        first = geometry->has_lpa2 ? 0 : 1;
        break;
    case S2_GRANULE_16K:
        first = geometry->has_lpa2 ? 1 : 2;
        break;
    default:
        first = 1;
        break;
    }
    if (level < first || level > S2_LEVEL_PAGE) {
        return 0;
    }
    return (unsigned)(FIELD_PREP(TTL_TG, tlbi_granule(geometry)) |
                      FIELD_PREP(TTL_LEVEL, (unsigned)level));
}

uint64_t s2_tlbi_by_ipa(ipa_t ipa, unsigned ttl)
{
    return FIELD_PREP(TLBI_IPA, ipa.raw >> TLBI_IPA_SHIFT) | FIELD_PREP(TLBI_TTL, ttl);
}

/* Whether @range goes on where @last ends, at the same level. */
static bool range_follows(const struct s2_tlb_range *last, struct ipa_range range, int level)
{
    return last->level == level && ipa_eq(ipa_range_end(last->range), range.start);
}

void s2_tlb_batch_add(struct s2_tlb_batch *batch, struct ipa_range range, int level)
{
    MAPPING_ASSERT(ipa_range_is_valid(range));

    if (batch->is_whole) {
        return;
    }
    if (batch->count > 0 && range_follows(&batch->ranges[batch->count - 1], range, level)) {
        batch->ranges[batch->count - 1].range.size += range.size;
        return;
    }
    if (batch->count == S2_TLB_BATCH_RANGES) {
        batch->is_whole = true;
        return;
    }
    batch->ranges[batch->count++] = (struct s2_tlb_range){range, (int8_t)level};
}

/* How far apart the IPAs of a range's TLBIs are: one a leaf, or one a granule. */
static uint64_t range_step(const struct s2_geometry *geometry, const struct s2_tlb_range *owed)
{
    return owed->level == S2_TLB_LEVEL_ANY ? s2_granule_size(geometry)
                                           : s2_level_size(geometry, owed->level);
}

size_t s2_tlb_batch_cost(const struct s2_geometry *geometry, const struct s2_tlb_batch *batch)
{
    size_t cost = 0;

    if (batch->is_whole) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < batch->count; i++) {
        cost += (size_t)(batch->ranges[i].range.size / range_step(geometry, &batch->ranges[i]));
    }
    return cost;
}

static void invalidate_by_address(const struct s2_tlb_target *target,
                                  const struct s2_tlb_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct s2_tlb_range *owed = &batch->ranges[i];
        const uint64_t step = range_step(target->geometry, owed);
        const unsigned ttl = target->has_ttl ? s2_tlbi_ttl(target->geometry, owed->level) : 0;

        for (uint64_t offset = 0; offset < owed->range.size; offset += step) {
            arch_tlbi_ipas2e1is(s2_tlbi_by_ipa(ipa_add(owed->range.start, offset), ttl));
        }
    }
    /* Without this DSB another CPU could refill a combined entry, after its stage-1 invalidation,
     * from a stage-2 entry that is still on its way out. */
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
}

/* What was live before this guest was made current for a tail. */
struct regime {
    uint64_t daif, hcr, vtcr, vttbr;
    struct s2_stage1 stage1;
    bool is_switched;
};

static bool target_is_current(const struct s2_tlb_target *target, const struct regime *live)
{
    return live->vttbr == target->vttbr && live->vtcr == target->geometry->vtcr &&
           (!target->has_vhe || (live->hcr & HCR_TGE) == 0);
}

/*
 * TLBIs act on the current VMID and regime. Interrupts stay masked, as a handler would run under
 * the wrong guest. On parts with the speculative-AT errata stage-1 walks are stopped first, so
 * that nothing can be cached from a half-switched pair of registers.
 */
static void regime_enter(const struct s2_tlb_target *target, struct regime *live)
{
    live->daif = arch_irq_mask();
    live->hcr = arch_read_hcr();
    live->vtcr = arch_read_vtcr();
    live->vttbr = arch_read_vttbr();
    live->is_switched = !target_is_current(target, live);
    if (!live->is_switched) {
        return;
    }
    if (target->has_speculative_at) {
        live->stage1 = s2_stage1_stop();
    }
    arch_write_vtcr(target->geometry->vtcr);
    arch_write_vttbr(target->vttbr);
    if (target->has_vhe && (live->hcr & HCR_TGE) != 0) {
        arch_write_hcr(live->hcr & ~HCR_TGE);
    }
    arch_isb();
}

static void regime_leave(const struct s2_tlb_target *target, const struct regime *live)
{
    if (live->is_switched) {
        if (target->has_vhe && (live->hcr & HCR_TGE) != 0) {
            arch_write_hcr(live->hcr);
        }
        arch_write_vttbr(live->vttbr);
        arch_write_vtcr(live->vtcr);
        arch_isb();
        if (target->has_speculative_at) {
            s2_stage1_resume(&live->stage1);
        }
    }
    arch_irq_restore(live->daif);
}

/* The recipe. @batch NULL: everything of the VMID. */
static void flush(const struct s2_tlb_target *target, const struct s2_tlb_batch *batch)
{
    struct regime live;

    /* The broken descriptors are visible to every walker before anything is invalidated, else it
     * is cached again; and before the registers change, as stores are for all guests. */
    arch_dsb_ish();
    regime_enter(target, &live);
    if (batch != NULL && s2_tlb_batch_cost(target->geometry, batch) <= S2_TLB_BY_ADDRESS_MAX) {
        invalidate_by_address(target, batch);
    } else {
        arch_tlbi_vmalls12e1is();
    }
    /* Closing: invalidations are complete on every CPU, and so are the accesses that used what
     * they removed. Only now may it be made again, or its frames reused. */
    arch_dsb_ish();
    arch_isb();
    regime_leave(target, &live);
}

void s2_tlb_flush(const struct s2_tlb_target *target, struct s2_tlb_batch *batch)
{
    if (!s2_tlb_batch_is_empty(batch)) {
        flush(target, batch);
        *batch = (struct s2_tlb_batch){.count = 0};
    }
}

void s2_tlb_flush_vmid(const struct s2_tlb_target *target)
{
    flush(target, NULL);
}
