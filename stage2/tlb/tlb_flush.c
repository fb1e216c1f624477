#include "stage2/tlb/tlb_flush.h"

#include "stage2/tlb/regime.h"
#include "stage2/tlb/tlbi.h"

#define HCR_TGE BIT(27)
#define VTTBR_VMID FIELD(63, 48)

/* The compilers' own atomics: a reader is to have plain numbers. */
/* NOLINTNEXTLINE(readability-non-const-parameter): it is written */
static void count(uint64_t *counter, uint64_t more)
{
    (void)__atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

/* How a flush is sent, once that is decided. */
struct flush {
    const struct s2_tlb_target *target;
    bool is_local;
    bool is_nxs;
    unsigned times; /* each TLBI is sent so often */
};

static struct flush flush_of(const struct s2_tlb_target *target, bool is_local)
{
    MAPPING_ASSERT(target->rules != NULL && target->counters != NULL);

    return (struct flush){
        .target = target,
        .is_local = is_local,
        .is_nxs = target->rules->has_xs && !target->has_slow_memory,
        .times = target->rules->is_repeated ? 2 : 1,
    };
}

/* --- One instruction, in the form that the flush takes ------------------------------------------ */

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

/* --- What is sent ------------------------------------------------------------------------------ */

static void send_stretch(const struct flush *flush, const struct s2_tlb_range *stretch)
{
    const struct s2_geometry *geometry = flush->target->geometry;
    const struct s2_tlb_rules *rules = flush->target->rules;
    const unsigned ttl = rules->has_ttl ? s2_tlbi_ttl(geometry, stretch->level) : 0;

    MAPPING_ASSERT(ipa_range_is_valid(stretch->range));
    MAPPING_ASSERT(ipa_le(ipa_range_end(stretch->range), ipa_of(BIT(geometry->ipa_bits))));
    if (!flush->is_local && s2_tlb_goes_by_range(geometry, rules, stretch)) {
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
    for (unsigned i = 0; i < flush->times; i++) {
        send_whole(flush);
        await(flush);
    }
}

/* --- To whom ----------------------------------------------------------------------------------- */

/* What was live before the guest was made current for a flush. */
struct live {
    uint64_t daif, vtcr, vttbr;
    struct s2_stage1 stage1;
    bool is_here;     /* VTCR_EL2 and VTTBR_EL2 are the guest's */
    bool is_host;     /* HCR_EL2.TGE is set: what is meant for EL1&0 would go to EL2&0 */
    bool is_switched; /* so something was changed */
    bool is_pinned;   /* the lock of the VMIDs is held */
};

/* Whether VTTBR_EL2 is the guest's. Where VMIDs are given, it is under the number that the guest was
 * given last, whatever generations have passed since. The root alone would not do: 0 is one, and is
 * what s2_leave() leaves behind; and what a dead guest's was may be another's by now. */
static bool is_vttbr_of(const struct s2_tlb_target *target, uint64_t vttbr)
{
    uint64_t number;

    MAPPING_ASSERT(target->vmids == NULL || target->vmid != NULL);
    if (target->vmids == NULL) {
        return vttbr == target->vttbr;
    }
    number = s2_vmid_last_number(target->vmid);
    return number != S2_VMID_NOBODY &&
           vttbr == ((target->vttbr & ~VTTBR_VMID) | FIELD_PREP(VTTBR_VMID, number));
}

/* The root is the guest's, and no number is, though an allocator gives them. */
static bool is_entered_by_hand(const struct s2_tlb_target *target, uint64_t vttbr)
{
    return target->vmids != NULL && vttbr != 0 && vttbr == (target->vttbr & ~VTTBR_VMID);
}

/* Interrupts stay masked, as a handler would run under the wrong guest. */
static void live_read(const struct s2_tlb_target *target, struct live *live)
{
    *live = (struct live){.daif = arch_irq_mask()};
    live->vtcr = arch_read_vtcr();
    live->vttbr = arch_read_vttbr();
    live->is_here = is_vttbr_of(target, live->vttbr) && live->vtcr == target->geometry->vtcr;
    live->is_host = target->rules->has_vhe && (arch_read_hcr() & HCR_TGE) != 0;
    MAPPING_ASSERT(!is_entered_by_hand(target, live->vttbr));
}

static void switch_to(const struct s2_tlb_target *target, struct live *live, uint64_t vttbr)
{
    MAPPING_ASSERT(live->is_here || FIELD_GET(VTTBR_VMID, vttbr) != S2_VMID_NOBODY ||
                   target->vmids == NULL);
    MAPPING_ASSERT(!live->is_switched);

    if (target->rules->has_speculative_at) {
        live->stage1 = s2_stage1_stop(target->rules->has_hcr_write);
    }
    if (!live->is_here) {
        arch_write_vtcr(target->geometry->vtcr);
        arch_write_vttbr(vttbr);
    }
    if (live->is_host) {
        s2_hcr_write(arch_read_hcr() & ~HCR_TGE, target->rules->has_hcr_write);
    }
    arch_isb();
    live->is_switched = true;
}

static void switch_back(const struct s2_tlb_target *target, const struct live *live)
{
    if (live->is_host) {
        s2_hcr_write(arch_read_hcr() | HCR_TGE, target->rules->has_hcr_write);
    }
    if (!live->is_here) {
        arch_write_vttbr(live->vttbr);
        arch_write_vtcr(live->vtcr);
    }
    arch_isb();
    if (target->rules->has_speculative_at) {
        s2_stage1_resume(&live->stage1);
    }
}

/* Make the guest current. Returns: false: it is not, as no TLB can hold anything of it. */
static bool regime_enter(const struct s2_tlb_target *target, struct live *live)
{
    uint64_t vttbr = target->vttbr;
    uint16_t number;

    live_read(target, live);
    if (!live->is_here && target->vmids != NULL) {
        if (!s2_vmid_pin(target->vmids, target->vmid, &number)) {
            return false;
        }
        live->is_pinned = true;
        vttbr = (vttbr & ~VTTBR_VMID) | FIELD_PREP(VTTBR_VMID, number);
    }
    if (!live->is_here || live->is_host) {
        switch_to(target, live, vttbr);
    }
    return true;
}

static void regime_leave(const struct s2_tlb_target *target, const struct live *live)
{
    MAPPING_ASSERT(!live->is_pinned || live->is_switched);

    if (live->is_switched) {
        switch_back(target, live);
    }
    if (live->is_pinned) {
        s2_vmid_unpin(target->vmids); /* not before its number is out of VTTBR_EL2 */
    }
    arch_irq_restore(live->daif);
}

/* --- The notifier ------------------------------------------------------------------------------ */

static void tell(const struct s2_tlb_target *target, struct ipa_range range, int level)
{
    if (target->notifier->invalidated != NULL) {
        target->notifier->invalidated(target->notifier->arg, range, level);
    }
}

static void tell_whole(const struct s2_tlb_target *target)
{
    tell(target, ipa_range(0, BIT(target->geometry->ipa_bits)), S2_TLB_LEVEL_ANY);
}

static void tell_of(const struct s2_tlb_target *target, const struct s2_tlb_batch *batch)
{
    if (batch->is_whole) {
        tell_whole(target);
        return;
    }
    for (uint8_t i = 0; i < batch->count; i++) {
        tell(target, batch->ranges[i].range, batch->ranges[i].level);
    }
}

/* --- The flushes --------------------------------------------------------------------------------- */

static void count_flush(struct s2_tlb_counters *counters, const struct s2_tlb_plan *plan,
                        const struct s2_tlb_batch *batch)
{
    const uint64_t sent = plan->is_whole ? 1 : plan->parts;

    MAPPING_ASSERT(sent >= 1 && sent <= S2_TLB_PARTS_MAX);
    count(&counters->flushes, 1);
    count(&counters->saved, plan->naive > sent ? plan->naive - sent : 0);
    count(&counters->saved_flushes, batch->is_whole ? batch->count : batch->count - 1U);
}

/* The guest is current. @is_here: it was so before, so that what is local is what it asks for. */
static void flush_guest(const struct s2_tlb_target *target, const struct s2_tlb_batch *batch,
                        bool is_here)
{
    struct s2_tlb_rules rules = *target->rules;
    struct s2_tlb_plan plan;
    struct flush flush;

    rules.is_local = rules.is_local && is_here;
    plan = s2_tlb_plan(target->geometry, &rules, batch);
    flush = flush_of(target, plan.is_local);
    if (plan.is_whole) {
        flush_whole(&flush);
    } else {
        flush_parts(&flush, batch);
    }
    count_flush(target->counters, &plan, batch);
}

void s2_tlb_flush(const struct s2_tlb_target *target, struct s2_tlb_batch *batch)
{
    struct live live;

    if (s2_tlb_batch_is_empty(batch)) {
        return;
    }
    /* The broken descriptors are visible to every walker before anything is invalidated, else it
     * is cached again; and before the registers change, as stores are for all guests. */
    arch_dsb_ish();
    tell_of(target, batch);
    if (regime_enter(target, &live)) {
        flush_guest(target, batch, live.is_here);
    } else {
        count(&target->counters->skipped_flushes, 1);
    }
    /* What follows on this CPU sees the tables as they are now. */
    arch_isb();
    regime_leave(target, &live);
    *batch = (struct s2_tlb_batch){.count = 0};
}

void s2_tlb_flush_vmid(const struct s2_tlb_target *target)
{
    struct flush flush = flush_of(target, false);
    struct live live;

    flush.is_nxs = false; /* once in a guest's life: whatever it was, it has come to its end */
    arch_dsb_ish();       /* as above */
    tell_whole(target);
    if (regime_enter(target, &live)) {
        flush_whole(&flush);
        count(&target->counters->flushes, 1);
    } else {
        count(&target->counters->skipped_flushes, 1);
    }
    arch_isb();
    regime_leave(target, &live);
}

/*
 * No DSB comes first in the next two: they store nothing, and whoever did has made it visible to
 * every walker before it let go of the tables. What another CPU is about to break while this one
 * fills its TLB anew, that CPU's own flush removes.
 */
void s2_tlb_recover_conflict(const struct s2_tlb_target *target)
{
    const struct flush flush = flush_of(target, true);
    struct live live;

    if (regime_enter(target, &live)) {
        flush_whole(&flush);
        count(&target->counters->flushes, 1);
    }
    arch_isb();
    regime_leave(target, &live);
}

void s2_tlb_refresh(const struct s2_tlb_target *target, ipa_t addr)
{
    const ipa_t page = ipa_align_down(addr, s2_granule_size(target->geometry));
    const struct flush flush = flush_of(target, true);
    struct live live;

    if (regime_enter(target, &live)) {
        for (unsigned i = 0; i < flush.times; i++) {
            send_by_address(&flush, s2_tlbi_by_ipa(page, 0)); /* of any level */
            await(&flush);
        }
        flush_stage1(&flush);
        count(&target->counters->flushes, 1);
    }
    arch_isb();
    regime_leave(target, &live);
}
