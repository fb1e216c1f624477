#include "stage2/tlb/tlb_flush.h"

#include "stage2/arch/arch.h"
#include "stage2/tlb/tlbi.h"

/* The compilers' own atomics: a reader is to have plain numbers. */
/* NOLINTNEXTLINE(readability-non-const-parameter): it is written */
static void count(uint64_t *counter, uint64_t more)
{
    if (more > 0) {
        (void)__atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
    }
}

/* How a flush is sent, once that is decided. */
struct flush {
    const struct s2_tlb_target *target;
    bool is_local;
    bool is_nxs;
    unsigned times; /* each TLBI is sent so often */
};

static inline struct flush flush_of(const struct s2_tlb_target *target, bool is_local)
{
    MAPPING_ASSERT(target->regime.rules != NULL && target->counters != NULL);

    return (struct flush){
        .target = target,
        .is_local = is_local,
        .is_nxs = target->regime.rules->has_xs && !target->has_slow_memory,
        .times = target->regime.rules->is_repeated ? 2 : 1,
    };
}

/* --- One instruction, in the form that the flush takes ---------------------------------------- */

static void send_by_address(const struct flush *flush, uint64_t operand)
{
    if (flush->is_local) {
        arch_tlbi_ipas2e1(operand);
    } else if (flush->is_nxs) {
        arch_tlbi_ipas2e1is_nxs(operand);
    } else {
        arch_tlbi_ipas2e1is(operand);
    }
    count(&flush->target->counters->by_address, 1);
}

static void send_by_range(const struct flush *flush, uint64_t operand)
{
    MAPPING_ASSERT(!flush->is_local);

    if (flush->is_nxs) {
        arch_tlbi_ripas2e1is_nxs(operand);
    } else {
        arch_tlbi_ripas2e1is(operand);
    }
    count(&flush->target->counters->by_range, 1);
}

static void send_stage1(const struct flush *flush)
{
    if (flush->is_local) {
        arch_tlbi_vmalle1();
    } else if (flush->is_nxs) {
        arch_tlbi_vmalle1is_nxs();
    } else {
        arch_tlbi_vmalle1is();
    }
    count(&flush->target->counters->stage1, 1);
}

static void send_whole(const struct flush *flush)
{
    if (flush->is_local) {
        arch_tlbi_vmalls12e1();
    } else if (flush->is_nxs) {
        arch_tlbi_vmalls12e1is_nxs();
    } else {
        arch_tlbi_vmalls12e1is();
    }
    count(&flush->target->counters->whole, 1);
}

/* What was sent is complete, on the CPUs that it was sent to. */
static void await(const struct flush *flush)
{
    if (flush->is_local) {
        arch_dsb_nsh();
    } else {
        arch_dsb_ish();
    }
}

/* --- What is sent ----------------------------------------------------------------------------- */

static void send_stretch(const struct flush *flush, const struct s2_tlb_range *stretch)
{
    const struct s2_geometry *geometry = flush->target->regime.geometry;
    const struct s2_tlb_rules *rules = flush->target->regime.rules;
    const unsigned ttl = rules->has_ttl ? s2_tlbi_ttl(geometry, stretch->level) : 0;

    MAPPING_ASSERT(ipa_range_is_valid(stretch->range));
    MAPPING_ASSERT(ipa_le(ipa_range_end(stretch->range), ipa_of(MAPPING_BIT(geometry->ipa_bits))));
    if (rules->has_ranges && !flush->is_local && s2_tlb_goes_by_range(geometry, rules, stretch)) {
        struct ipa_range left = stretch->range;

        while (left.size != 0) {
            const struct s2_tlbi tlbi = s2_tlbi_next(geometry, &left, ttl);

            if (tlbi.is_range) {
                send_by_range(flush, tlbi.operand);
            } else {
                send_by_address(flush, tlbi.operand);
            }
        }
    } else {
        const uint64_t step = s2_tlb_step(geometry, stretch);

        for (uint64_t offset = 0; offset < stretch->range.size; offset += step) {
            send_by_address(flush, s2_tlbi_by_ipa(ipa_add(stretch->range.start, offset), ttl));
        }
    }
}

static void flush_stage1(const struct flush *flush)
{
    for (unsigned i = 0; i < flush->times; i++) {
        send_stage1(flush);
        await(flush);
    }
}

static void flush_parts(const struct flush *flush, const struct s2_tlb_batch *batch)
{
    MAPPING_ASSERT(batch->count > 0 && !batch->is_whole);

    for (unsigned i = 0; i < flush->times; i++) {
        for (uint8_t j = 0; j < batch->count; j++) {
            send_stretch(flush, &batch->ranges[j]);
        }
        /* Without this DSB another CPU could refill a combined entry, after its stage-1
         * invalidation, from a stage-2 entry that is still on its way out. */
        await(flush);
    }
    flush_stage1(flush);
}

static void flush_whole(const struct flush *flush)
{
    MAPPING_ASSERT(!flush->is_local || flush->times > 0);
    for (unsigned i = 0; i < flush->times; i++) {
        send_whole(flush);
        await(flush);
    }
}

/* --- The notifier ----------------------------------------------------------------------------- */

static void tell(const struct s2_tlb_target *target, struct ipa_range range, int level)
{
    if (target->notifier->invalidated != NULL) {
        target->notifier->invalidated(target->notifier->arg, range, level);
    }
}

static void tell_whole(const struct s2_tlb_target *target)
{
    tell(target, ipa_range(0, MAPPING_BIT(target->regime.geometry->ipa_bits)), S2_TLB_LEVEL_ANY);
}

static void tell_of(const struct s2_tlb_target *target, const struct s2_tlb_batch *batch)
{
    if (target->notifier->invalidated == NULL) {
        return;
    }
    if (batch->is_whole) {
        tell_whole(target);
        return;
    }
    for (uint8_t i = 0; i < batch->count; i++) {
        tell(target, batch->ranges[i].range, batch->ranges[i].level);
    }
}

/* --- The flushes ------------------------------------------------------------------------------ */

static void count_flush(struct s2_tlb_counters *counters, const struct s2_tlb_plan *plan,
                        const struct s2_tlb_batch *batch)
{
    const uint64_t sent = plan->is_whole ? 1 : plan->parts;

    MAPPING_ASSERT(sent >= 1 && sent <= S2_TLB_PARTS_MAX);
    count(&counters->flushes, 1);
    count(&counters->saved, plan->naive > sent ? plan->naive - sent : 0);
    count(&counters->saved_flushes, batch->is_whole ? batch->count : batch->count - 1U);
}

/* How @batch is sent. What is local is so only where the guest was current before, @is_here, so
 * that this CPU is the one that asks for it. */
static struct s2_tlb_plan plan_of(const struct s2_tlb_target *target,
                                  const struct s2_tlb_batch *batch, bool is_here)
{
    const struct s2_tlb_rules *rules = target->regime.rules;
    struct s2_tlb_rules everywhere;

    MAPPING_ASSERT(!s2_tlb_batch_is_empty(batch));
    if (!rules->is_local || is_here) {
        return s2_tlb_plan(target->regime.geometry, rules, batch);
    }
    everywhere = *rules;
    everywhere.is_local = false;
    return s2_tlb_plan(target->regime.geometry, &everywhere, batch);
}

/* The guest is current. */
static void flush_guest(const struct s2_tlb_target *target, const struct s2_tlb_batch *batch,
                        bool is_here)
{
    const struct s2_tlb_plan plan = plan_of(target, batch, is_here);
    const struct flush flush = flush_of(target, plan.is_local);

    if (plan.is_whole) {
        flush_whole(&flush);
    } else {
        flush_parts(&flush, batch);
    }
    count_flush(target->counters, &plan, batch);
}

/* One leaf needs no plan. */
static bool is_one_leaf(const struct s2_tlb_target *target, const struct s2_tlb_batch *batch)
{
    return batch->count == 1 && !batch->is_whole && !target->regime.rules->is_local &&
           batch->ranges[0].range.size == s2_tlb_step(target->regime.geometry, &batch->ranges[0]);
}

static void send_leaf(const struct s2_tlb_target *target, struct ipa_range range, int level)
{
    const struct s2_regime *regime = &target->regime;
    const unsigned ttl = regime->rules->has_ttl ? s2_tlbi_ttl(regime->geometry, level) : 0;
    const struct flush flush = flush_of(target, false);

    for (unsigned i = 0; i < flush.times; i++) {
        send_by_address(&flush, s2_tlbi_by_ipa(range.start, ttl));
        await(&flush);
    }
    flush_stage1(&flush);
    count(&target->counters->flushes, 1);
}

void s2_tlb_flush_leaf(const struct s2_tlb_target *target, struct ipa_range range, int level)
{
    struct s2_regime_before before;

    MAPPING_ASSERT(s2_is_level(level));
    arch_dsb_ish(); /* as below */
    tell(target, range, level);
    if (s2_regime_borrow(&target->regime, &before)) {
        send_leaf(target, range, level);
    } else {
        count(&target->counters->skipped_flushes, 1);
    }
    arch_isb();
    s2_regime_return(&target->regime, &before);
}

/* Apart, so that what goes without a plan costs none of it. */
static __attribute__((noinline)) void flush_planned(const struct s2_tlb_target *target,
                                                    const struct s2_tlb_batch *batch)
{
    struct s2_regime_before before;

    /* The broken descriptors are visible to every walker before anything is invalidated, else it
     * is cached again; and before the registers change, as stores are for all guests. */
    arch_dsb_ish();
    tell_of(target, batch);
    if (s2_regime_borrow(&target->regime, &before)) {
        flush_guest(target, batch, before.is_here);
    } else {
        count(&target->counters->skipped_flushes, 1);
    }
    /* What follows on this CPU sees the tables as they are now. */
    arch_isb();
    s2_regime_return(&target->regime, &before);
}

void s2_tlb_flush(const struct s2_tlb_target *target, struct s2_tlb_batch *batch)
{
    if (s2_tlb_batch_is_empty(batch)) {
        return;
    }
    if (is_one_leaf(target, batch)) {
        s2_tlb_flush_leaf(target, batch->ranges[0].range, batch->ranges[0].level);
    } else {
        flush_planned(target, batch);
    }
    s2_tlb_batch_clear(batch);
}

void s2_tlb_flush_vmid(const struct s2_tlb_target *target)
{
    struct flush flush = flush_of(target, false);
    struct s2_regime_before before;

    flush.is_nxs = false; /* once in a guest's life: whatever it was, it has come to its end */
    arch_dsb_ish();       /* as above */
    tell_whole(target);
    if (s2_regime_borrow(&target->regime, &before)) {
        flush_whole(&flush);
        count(&target->counters->flushes, 1);
    } else {
        count(&target->counters->skipped_flushes, 1);
    }
    arch_isb();
    s2_regime_return(&target->regime, &before);
}

/*
 * No DSB comes first in the next two: they store nothing, and whoever did has made it visible to
 * every walker before it let go of the tables. What another CPU is about to break while this one
 * fills its TLB anew, that CPU's own flush removes.
 */
void s2_tlb_recover_conflict(const struct s2_tlb_target *target)
{
    const struct flush flush = flush_of(target, true);
    struct s2_regime_before before;

    if (s2_regime_borrow(&target->regime, &before)) {
        flush_whole(&flush);
        count(&target->counters->flushes, 1);
    }
    arch_isb();
    s2_regime_return(&target->regime, &before);
}

void s2_tlb_refresh(const struct s2_tlb_target *target, ipa_t addr)
{
    const ipa_t page = ipa_align_down(addr, s2_granule_size(target->regime.geometry));
    const struct flush flush = flush_of(target, true);
    struct s2_regime_before before;

    MAPPING_ASSERT(ipa_lt(addr, ipa_of(MAPPING_BIT(target->regime.geometry->ipa_bits))));
    if (s2_regime_borrow(&target->regime, &before)) {
        for (unsigned i = 0; i < flush.times; i++) {
            send_by_address(&flush, s2_tlbi_by_ipa(page, 0)); /* of any level */
            await(&flush);
        }
        flush_stage1(&flush);
        count(&target->counters->flushes, 1);
    }
    arch_isb();
    s2_regime_return(&target->regime, &before);
}
