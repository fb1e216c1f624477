#include "stage2/tlb/tlb_batch.h"

#include "core/assert.h"
#include "stage2/tlb/tlbi.h"

struct s2_tlb_rules s2_tlb_rules_of(const struct s2_geometry *geometry,
                                    const struct s2_config *config)
{
    const struct s2_features *cpu = config->cpu;
    const bool wants_ranges = config->tlb_ranges == S2_TLB_RANGES_ON ||
                              (config->tlb_ranges == S2_TLB_RANGES_AUTO && !geometry->has_lpa2);

    return (struct s2_tlb_rules){
        .has_ttl = cpu->has_ttl,
        .has_ranges = cpu->tlb >= 2 && wants_ranges,
        /* Without forced write-back stage 1 can make any memory one whose accesses are slow. And
         * walks that go past the caches would be slow accesses themselves. */
        .has_xs =
            cpu->has_xs && s2_geometry_has_fwb(geometry) && config->walker == S2_WALKER_COHERENT,
        .has_vhe = cpu->has_vhe,
        .has_speculative_at =
            s2_works_around(cpu, S2_ERRATUM_SPECULATIVE_AT, config->speculative_at),
        .has_hcr_write = s2_works_around(cpu, S2_ERRATUM_HCR_WRITE, config->hcr_write),
        .is_repeated =
            config->tlbi_repeat == S2_TLBI_TWICE ||
            (config->tlbi_repeat == S2_TLBI_AUTO && (cpu->errata & S2_ERRATUM_REPEAT_TLBI) != 0),
        .is_local = config->relax == S2_RELAX_HERE,
    };
}

/* --- What is collected ------------------------------------------------------------------------ */

/* Whether they share a byte or a border. */
static bool is_touching(struct ipa_range a, struct ipa_range b)
{
    return ipa_le(a.start, ipa_range_end(b)) && ipa_le(b.start, ipa_range_end(a));
}

/* Whether what goes for @a goes for @b: any level of all of it, or the same. */
static bool is_in(const struct s2_tlb_range *a, const struct s2_tlb_range *b)
{
    return (a->level == S2_TLB_LEVEL_ANY || a->level == b->level) &&
           ipa_range_covers(a->range, b->range);
}

/* One more, that has nothing to do with the others. */
static void batch_append(struct s2_tlb_batch *batch, struct ipa_range range, int level)
{
    if (batch->count == S2_TLB_BATCH_RANGES) {
        batch->is_whole = true;
    } else {
        batch->ranges[batch->count++] = (struct s2_tlb_range){range, (int8_t)level};
    }
}

static bool batch_has(const struct s2_tlb_batch *batch, const struct s2_tlb_range *stretch)
{
    for (uint8_t i = 0; i < batch->count; i++) {
        if (is_in(&batch->ranges[i], stretch)) {
            return true;
        }
    }
    return false;
}

/*
 * No two stretches of one level touch, and none lies in one of any level. What a new one is joined
 * to touches nothing else of its level, so one look at each is enough; but only what came of it
 * tells what lies in it:
 *
 *      any level    [-----------)                   [------------)
 *      level 3                [---)  [--)
 *      new, any                  [-----------)
 *
 *      any level    [------------------------)      [------------)
 *
 * Out of line, so that the usual case is short.
 */
static __attribute__((noinline)) void batch_merge(struct s2_tlb_batch *batch,
                                                  struct ipa_range range, int level)
{
    struct s2_tlb_range stretch = {range, (int8_t)level};
    uint8_t kept = 0;

    if (batch_has(batch, &stretch)) {
        return;
    }
    for (uint8_t i = 0; i < batch->count; i++) {
        const struct s2_tlb_range *other = &batch->ranges[i];

        if (other->level == stretch.level && is_touching(other->range, stretch.range)) {
            stretch.range = ipa_range_join(stretch.range, other->range);
        }
    }
    for (uint8_t i = 0; i < batch->count; i++) {
        if (!is_in(&stretch, &batch->ranges[i])) {
            batch->ranges[kept++] = batch->ranges[i];
        }
    }
    batch->count = kept;
    batch_append(batch, stretch.range, stretch.level);
}

/* How many of the stretches @range touches; one of them, if there are any. */
static unsigned count_touching(struct s2_tlb_batch *batch, struct ipa_range range,
                               struct s2_tlb_range **one)
{
    unsigned count = 0;

    for (uint8_t i = 0; i < batch->count; i++) {
        struct s2_tlb_range *other = &batch->ranges[i];

        if (is_touching(other->range, range)) {
            *one = other;
            count++;
        }
    }
    return count;
}

void s2_tlb_batch_add(struct s2_tlb_batch *batch, struct ipa_range range, int level,
                      enum s2_tlb_reason reason)
{
    struct s2_tlb_range *other = NULL;
    unsigned touching;

    MAPPING_ASSERT(ipa_range_is_valid(range));
    MAPPING_ASSERT(level == S2_TLB_LEVEL_ANY || s2_is_level(level));
    MAPPING_ASSERT(batch->count <= S2_TLB_BATCH_RANGES);

    if (s2_tlb_batch_is_empty(batch)) {
        s2_tlb_batch_start(batch, range, level, reason);
        return;
    }
    batch->is_revoked = batch->is_revoked || reason == S2_TLB_REVOKED;
    if (batch->is_whole) {
        return;
    }
    touching = count_touching(batch, range, &other);
    if (touching == 0) {
        batch_append(batch, range, level);
    } else if (touching == 1 && other->level == level &&
               ipa_eq(ipa_range_end(other->range), range.start)) {
        other->range.size += range.size; /* it goes on, as in a walk: the usual case */
    } else {
        batch_merge(batch, range, level);
    }
}

bool s2_tlb_batch_touches(const struct s2_tlb_batch *batch, struct ipa_range range)
{
    MAPPING_ASSERT(ipa_range_is_valid(range));

    for (uint8_t i = 0; i < batch->count && !batch->is_whole; i++) {
        if (ipa_range_overlaps(batch->ranges[i].range, range)) {
            return true;
        }
    }
    return batch->is_whole;
}

/* --- How it is sent -------------------------------------------------------------------------- */

/* TLBIs by address that a stretch takes: 2^40 at most, so that sums over a batch do not wrap. */
static uint64_t naive_of(const struct s2_geometry *geometry, const struct s2_tlb_range *stretch)
{
    const unsigned shift = s2_tlb_step_shift(geometry, stretch);

    MAPPING_ASSERT(ipa_range_is_aligned(stretch->range, MAPPING_BIT(shift)));
    return stretch->range.size >> shift;
}

bool s2_tlb_goes_by_range(const struct s2_geometry *geometry, const struct s2_tlb_rules *rules,
                          const struct s2_tlb_range *stretch)
{
    return rules->has_ranges &&
           s2_tlbi_count(geometry, stretch->range) < naive_of(geometry, stretch);
}

/* Whether a stretch is so long that most of what the guest has lies in it. */
static bool is_vast(const struct s2_tlb_range *stretch)
{
    return stretch->range.size > S2_TLB_CHUNKS_MAX * S2_TLBI_SIZE_MAX;
}

struct s2_tlb_plan s2_tlb_plan(const struct s2_geometry *geometry, const struct s2_tlb_rules *rules,
                               const struct s2_tlb_batch *batch)
{
    struct s2_tlb_plan plan = {.is_local = rules->is_local && !batch->is_revoked};

    MAPPING_ASSERT(batch->count <= S2_TLB_BATCH_RANGES);

    for (uint8_t i = 0; i < batch->count; i++) {
        const struct s2_tlb_range *stretch = &batch->ranges[i];
        const uint64_t naive = naive_of(geometry, stretch);
        const bool by_range = rules->has_ranges && naive > 1 && !plan.is_local &&
                              s2_tlb_goes_by_range(geometry, rules, stretch);

        plan.naive += naive;
        plan.parts += by_range ? s2_tlbi_count(geometry, stretch->range) : naive;
        plan.is_whole |= by_range && is_vast(stretch);
    }
    plan.is_whole |= batch->is_whole || plan.parts > S2_TLB_PARTS_MAX;
    return plan;
}
