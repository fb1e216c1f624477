#include "tests/sim/monitor_private.h"

#define BITS(word, hi, lo) ((word) >> (lo) & (UINT64_MAX >> (63 - ((hi) - (lo)))))

/* --- Invalidations on their way
 * --------------------------------------------------------------------- */

static void list_push(struct invalidation_list *list, struct invalidation *invalidation,
                      bool is_broadcast)
{
    list->refs = monitor_grow(list->refs, list->count, &list->capacity, sizeof(list->refs[0]));
    list->refs[list->count++] =
        (struct invalidation_ref){invalidation, invalidation->generation, is_broadcast};
}

void monitor_await(struct monitor *monitor, struct invalidation *invalidation)
{
    list_push(&monitor->cpus[invalidation->cpu].unpublished, invalidation, true);
}

/* --- TLBI by address ------------------------------------------------------------------------- */

/* What a TLBI by address or range says. */
struct target {
    uint64_t start;
    uint64_t end;
    bool has_hint;
    int level; /* with a hint */
    bool is_broadcast;
    bool is_nxs;
    size_t cpu;
};

/* Whether the target, which touches the invalidation's span, completes what the invalidation asks
 * for. */
static bool target_covers(struct invalidation *invalidation, const struct target *target)
{
    if (invalidation->kind != DEBT_TABLE) {
        return true; /* any address in it: it is one entry */
    }
    return monitor_cover(invalidation, &invalidation->sent, target->start, target->end);
}

static void apply(struct monitor *monitor, struct invalidation *invalidation,
                  const struct target *target)
{
    const bool is_hint_good = !target->has_hint || (invalidation->kind != DEBT_TABLE &&
                                                    target->level == invalidation->level);

    if (invalidation->covered_at != 0 && invalidation->gone_at == 0) {
        return; /* on its way */
    }
    if (invalidation->published_at == 0) {
        invalidation->missed_early = true;
    } else if (!is_hint_good) {
        invalidation->missed_hint = true;
    } else if (!target->is_broadcast &&
               (invalidation->kind != DEBT_RELAXED || target->cpu != invalidation->cpu)) {
        invalidation->missed_local = true;
    } else if (target->is_nxs && invalidation->is_slow) {
        invalidation->missed_slow = true;
    } else if (invalidation->gone_at == 0 && target_covers(invalidation, target)) {
        invalidation->covered_at = monitor->clock;
        invalidation->tlbi_cpu = target->cpu;
        list_push(&monitor->cpus[target->cpu].issued, invalidation, target->is_broadcast);
    }
}

/* All invalidations on the way of one IPA. */
static void apply_walk(struct monitor *monitor, struct guest *guest, const struct target *target)
{
    struct table *table = guest->root;

    while (table != NULL) {
        const uint64_t span = monitor_span(guest, table->level);
        const size_t index = (size_t)((target->start - table->ipa) / span);
        struct place place;

        if (index >= table->entries ||
            !monitor_place_pa(monitor, table->pa + index * sizeof(uint64_t), &place)) {
            return;
        }
        for (struct invalidation *invalidation = place.slot->invalidation; invalidation != NULL;
             invalidation = invalidation->older) {
            apply(monitor, invalidation, target);
        }
        if (monitor_entry_kind(table->level, place.slot->raw) != ENTRY_TABLE ||
            !monitor_place_pa(monitor, monitor_output(guest, place.slot->raw), &place)) {
            return;
        }
        table = place.table;
    }
}

static void apply_range(struct monitor *monitor, struct invalidation *invalidation,
                        const struct target *target)
{
    for (; invalidation != NULL; invalidation = invalidation->next) {
        if (target->start < invalidation->ipa + invalidation->size &&
            invalidation->ipa < target->end) {
            apply(monitor, invalidation, target);
        }
    }
}

/* The TG code of TLBI operands. */
static unsigned tlbi_granule(const struct guest *guest)
{
    return (guest->shift - 10) / 2;
}

/* Whether a hint may name @level. */
static bool level_has_hint(const struct guest *guest, unsigned level)
{
    switch (guest->shift) {
    case 12:
        return level >= 1 || guest->has_ds;
    case 14:
        return level >= 2 || (level == 1 && guest->has_ds);
    default:
        return level >= 1;
    }
}

static bool decode_address(struct monitor *monitor, const struct guest *guest, uint64_t operand,
                           struct target *target)
{
    const unsigned hint = (unsigned)BITS(operand, 47, 44);
    const unsigned level = hint & 3;
    const uint64_t ipa = BITS(operand, 39, 0) << 12;

    if ((operand & ~(BITS(UINT64_MAX, 39, 0) | UINT64_C(0xf) << 44)) != 0) {
        monitor_blame(monitor, MONITOR_OPERAND, NULL, "reserved bits are set");
        return false;
    }
    if (ipa >> guest->ipa_bits != 0) {
        monitor_blame(monitor, MONITOR_OPERAND, NULL, "IPA 0x%llx is beyond the input size",
                      (unsigned long long)ipa);
        return false;
    }
    if (hint != 0 && (!monitor->config.has_ttl || hint >> 2 != tlbi_granule(guest) ||
                      !level_has_hint(guest, level))) {
        monitor_blame(monitor, MONITOR_LEVEL_HINT, NULL,
                      "TTL 0x%x is none of this guest's granule, or of this CPU", hint);
        return false;
    }
    target->start = ipa >> guest->shift << guest->shift;
    target->end = target->start + (UINT64_C(1) << guest->shift);
    target->has_hint = hint != 0;
    target->level = (int)level;
    return true;
}

static bool decode_range(struct monitor *monitor, const struct guest *guest, uint64_t operand,
                         struct target *target)
{
    const unsigned unit = guest->has_ds ? 16 : guest->shift;
    const unsigned level = (unsigned)BITS(operand, 38, 37);
    const uint64_t num = BITS(operand, 43, 39);
    const unsigned scale = (unsigned)BITS(operand, 45, 44);

    if (!monitor->config.has_ranges || BITS(operand, 63, 48) != 0 ||
        BITS(operand, 47, 46) != tlbi_granule(guest)) {
        monitor_blame(monitor, MONITOR_OPERAND, NULL,
                      "a range that this CPU does not have, or of another granule");
        return false;
    }
    if (level != 0 && !level_has_hint(guest, level)) {
        monitor_blame(monitor, MONITOR_LEVEL_HINT, NULL, "no hint may name level %u", level);
        return false;
    }
    target->start = BITS(operand, 36, 0) << unit;
    target->end = target->start + ((num + 1) << (5 * scale + 1) << guest->shift);
    target->has_hint = level != 0;
    target->level = (int)level;
    if (target->start >> guest->ipa_bits != 0) {
        monitor_blame(monitor, MONITOR_OPERAND, NULL, "IPA 0x%llx is beyond the input size",
                      (unsigned long long)target->start);
        return false;
    }
    return true;
}

static void see_address(struct monitor *monitor, struct guest *guest, const struct sim_event *event)
{
    struct target target = {
        .is_broadcast = sim_is_broadcast(event->kind), .is_nxs = event->is_nxs, .cpu = event->cpu};

    guest->address_tlbi_at = monitor->clock;
    if (event->kind != SIM_TLBI_RIPAS2E1IS) {
        if (decode_address(monitor, guest, event->operand, &target)) {
            apply_walk(monitor, guest, &target);
        }
    } else if (decode_range(monitor, guest, event->operand, &target)) {
        apply_range(monitor, guest->invalidations, &target);
        apply_range(monitor, guest->table_invalidations, &target);
    }
}

/* --- TLBI of everything ---------------------------------------------------------------------- */

static bool is_of_stage1(enum sim_kind kind)
{
    return kind == SIM_TLBI_VMALLE1IS || kind == SIM_TLBI_VMALLE1;
}

static bool is_of_all(enum sim_kind kind)
{
    return kind == SIM_TLBI_ALLE1IS || kind == SIM_TLBI_ALLE1;
}

static bool is_by_address(enum sim_kind kind)
{
    return kind == SIM_TLBI_IPAS2E1IS || kind == SIM_TLBI_RIPAS2E1IS || kind == SIM_TLBI_IPAS2E1;
}

static void note_local(struct invalidation *invalidation)
{
    for (; invalidation != NULL; invalidation = invalidation->next) {
        invalidation->missed_local |=
            invalidation->published_at != 0 && invalidation->kind != DEBT_RELAXED;
    }
}

static void await_whole(struct cpu *cpu, const struct whole *whole)
{
    cpu->wholes =
        monitor_grow(cpu->wholes, cpu->whole_count, &cpu->whole_capacity, sizeof(cpu->wholes[0]));
    cpu->wholes[cpu->whole_count++] = *whole;
}

/* @whole: for the guest. */
static void see_whole(struct monitor *monitor, const struct whole *whole, size_t cpu)
{
    struct guest *guest = whole->guest;

    if (whole->is_broadcast) {
        guest->s1_issued_at = whole->issued_at;
        guest->s12_issued_at = whole->is_both ? whole->issued_at : guest->s12_issued_at;
    } else if (whole->is_both) {
        note_local(guest->invalidations);
        note_local(guest->table_invalidations);
    }
    await_whole(&monitor->cpus[cpu], whole);
}

static bool has_form(struct monitor *monitor, const struct sim_event *event)
{
    if (event->is_nxs && !monitor->config.has_xs) {
        monitor_blame(monitor, MONITOR_OPERAND, NULL, "an nXS form that this CPU does not have");
        return false;
    }
    return true;
}

void monitor_see_tlbi(struct monitor *monitor, const struct sim_event *event)
{
    const struct mmu mmu = monitor_mmu(monitor, event->vtcr, event->vttbr, event->hcr);
    struct whole whole = {.vmid = mmu_vmid(&mmu),
                          .issued_at = monitor->clock,
                          .is_all = is_of_all(event->kind),
                          .is_both = !is_of_stage1(event->kind),
                          .is_broadcast = sim_is_broadcast(event->kind),
                          .is_nxs = event->is_nxs};

    if (!has_form(monitor, event)) {
        return;
    }
    monitor_judge_regime(monitor, event);
    for (struct guest *guest = monitor->guests; guest != NULL && !monitor_is_silent(monitor);
         guest = guest->next) {
        if (guest->vmid != whole.vmid && !whole.is_all) {
            guest->foreign_tlbi_at = monitor->clock;
            continue;
        }
        guest->own_tlbi_at = monitor->clock;
        if (is_by_address(event->kind)) {
            see_address(monitor, guest, event);
        } else {
            whole.guest = guest;
            see_whole(monitor, &whole, event->cpu);
        }
    }
    if (!is_by_address(event->kind)) {
        whole.guest = NULL;
        await_whole(&monitor->cpus[event->cpu], &whole);
    }
}

/* --- Barriers -------------------------------------------------------------------------------- */

/* Whether the DSB made the store that began the invalidation visible to those who matter. */
static bool is_published(struct monitor *monitor, const struct invalidation *invalidation,
                         enum sim_kind kind)
{
    const struct place place = monitor_place_of(monitor, invalidation->slot);
    const struct line *line = monitor_line(monitor, &place);

    if (kind == SIM_DSB_NSH && invalidation->kind != DEBT_RELAXED) {
        return false;
    }
    if (!invalidation->table->guest->given.is_non_coherent) {
        return true;
    }
    return kind != SIM_DSB_ISHST && line->cleaned_at > invalidation->begun_at &&
           line->cpu == invalidation->cpu;
}

/* Answers whether that completes something: it is of a guest that no CPU holds anything of. */
static bool publish(struct monitor *monitor, struct invalidation_list *list, enum sim_kind kind)
{
    bool completes = false;
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct invalidation_ref ref = list->refs[i];

        if (ref.invalidation->generation != ref.generation) {
            continue;
        }
        if (is_published(monitor, ref.invalidation, kind)) {
            ref.invalidation->published_at = monitor->clock;
            ref.invalidation->is_unheld = ref.invalidation->table->guest->given.is_managed &&
                                          !monitor_is_held(ref.invalidation);
            completes |= ref.invalidation->is_unheld;
        } else {
            list->refs[kept++] = ref;
        }
    }
    list->count = kept;
    return completes;
}

static void complete(struct monitor *monitor, struct invalidation_list *list, enum sim_kind kind)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct invalidation_ref ref = list->refs[i];

        if (ref.invalidation->generation != ref.generation) {
            continue;
        }
        if (ref.invalidation->covered_at == 0) {
            continue; /* its guest has another VMID since */
        }
        if (kind == SIM_DSB_ISH || !ref.is_broadcast) {
            ref.invalidation->gone_at = monitor->clock;
        } else {
            list->refs[kept++] = ref;
        }
    }
    list->count = kept;
}

/* The newer of two times. */
static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void sweeps_done(struct sweeps *sweeps, const struct whole *whole, size_t number)
{
    const uint64_t both_at = whole->is_both ? whole->issued_at : 0;

    if (whole->is_broadcast) {
        sweeps->s1_done = later(sweeps->s1_done, whole->issued_at);
        sweeps->s12_done = later(sweeps->s12_done, both_at);
    }
    for (size_t i = 0; i < SIM_CPUS; i++) {
        if (whole->is_broadcast || i == number) {
            sweeps->s1_done_on[i] = later(sweeps->s1_done_on[i], whole->issued_at);
            sweeps->s12_done_on[i] = later(sweeps->s12_done_on[i], both_at);
        }
    }
}

static void whole_done(struct monitor *monitor, const struct whole *whole, size_t number)
{
    if (whole->guest == NULL) {
        monitor_sweep_stays(monitor, whole, number);
        return;
    }
    sweeps_done(&whole->guest->any, whole, number);
    if (!whole->is_nxs) {
        sweeps_done(&whole->guest->full, whole, number);
    }
}

/* Whether there were any. */
static bool complete_wholes(struct monitor *monitor, size_t number, enum sim_kind kind)
{
    struct cpu *cpu = &monitor->cpus[number];
    const size_t before = cpu->whole_count;
    size_t kept = 0;

    for (size_t i = 0; i < cpu->whole_count; i++) {
        const struct whole whole = cpu->wholes[i];

        if (kind == SIM_DSB_ISH || !whole.is_broadcast) {
            whole_done(monitor, &whole, number);
        } else {
            cpu->wholes[kept++] = whole;
        }
    }
    cpu->whole_count = kept;
    return kept < before;
}

/* Nobody runs a guest that is leaving, so with its last invalidation its tables are free. */
void monitor_let_go(struct monitor *monitor, struct guest *guest)
{
    const bool is_gone = guest->given.is_managed ? monitor_is_deserted(guest)
                                                 : guest->full.s12_done > guest->left_at;

    if (guest->is_leaving && guest->root != NULL && is_gone) {
        monitor_release(monitor, guest->root);
        guest->root = NULL;
    }
}

void monitor_see_dsb(struct monitor *monitor, const struct sim_event *event)
{
    struct cpu *cpu = &monitor->cpus[event->cpu];
    bool completes;

    if (event->kind != SIM_DSB_NSH) {
        cpu->visible_at = cpu->dsb_at <= cpu->stored_at ? monitor->clock : cpu->visible_at;
        cpu->dsb_at = monitor->clock;
    }
    if (event->kind == SIM_DSB_ISH) {
        cpu->dsb_ish_at = monitor->clock;
    }
    completes = publish(monitor, &cpu->unpublished, event->kind);
    if (event->kind != SIM_DSB_ISHST) { /* that orders stores, and completes nothing else */
        complete(monitor, &cpu->issued, event->kind);
        completes |= complete_wholes(monitor, event->cpu, event->kind);
    }
    if (!completes) {
        return;
    }
    monitor_settle_all(monitor);
    for (struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        monitor_let_go(monitor, guest);
    }
}
