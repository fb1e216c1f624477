#include "tests/sim/monitor_private.h"

#include <stdlib.h>

#define BITS(word, hi, lo) ((word) >> (lo) & (UINT64_MAX >> (63 - ((hi) - (lo)))))

/* --- Lists ----------------------------------------------------------------------------------- */

static void list_push(struct debt_list *list, struct debt *debt, bool is_broadcast)
{
    list->refs = monitor_grow(list->refs, list->count, &list->capacity, sizeof(list->refs[0]));
    list->refs[list->count++] = (struct debt_ref){debt, debt->generation, is_broadcast};
}

static void guest_push(struct guest *guest, struct debt *debt)
{
    struct debt **head = debt->kind == DEBT_TABLE ? &guest->table_debts : &guest->debts;

    debt->next = *head;
    debt->link = head;
    if (debt->next != NULL) {
        debt->next->link = &debt->next;
    }
    *head = debt;
}

static void guest_remove(struct debt *debt)
{
    if (debt->link != NULL) {
        *debt->link = debt->next;
        if (debt->next != NULL) {
            debt->next->link = debt->link;
        }
        debt->link = NULL;
    }
}

static void table_push(struct table *table, struct debt *debt)
{
    debt->next_here = table->debts;
    debt->link_here = &table->debts;
    if (debt->next_here != NULL) {
        debt->next_here->link_here = &debt->next_here;
    }
    table->debts = debt;
}

static void table_remove(struct debt *debt)
{
    *debt->link_here = debt->next_here;
    if (debt->next_here != NULL) {
        debt->next_here->link_here = debt->link_here;
    }
}

static struct debt *debt_new(struct monitor *monitor)
{
    struct debt *debt = monitor->free_debts;

    if (debt == NULL) {
        debt = calloc(1, sizeof(*debt));
        if (debt == NULL) {
            abort();
        }
        return debt;
    }
    monitor->free_debts = debt->next;
    return debt;
}

void monitor_debt_free(struct monitor *monitor, struct debt *debt)
{
    const uint32_t generation = debt->generation + 1;
    struct extent *cover = debt->cover;
    const size_t capacity = debt->cover_capacity;

    debt->slot->debt = NULL;
    *debt = (struct debt){.next = monitor->free_debts,
                          .generation = generation,
                          .cover = cover,
                          .cover_capacity = capacity};
    monitor->free_debts = debt;
}

/* --- Owing and settling ---------------------------------------------------------------------- */

/* From here on nothing that was invalidated before counts. */
static void debt_begin(struct monitor *monitor, struct debt *debt, uint64_t old,
                       enum debt_kind kind)
{
    debt->generation++;
    debt->kind = kind;
    debt->old = old;
    debt->cpu = monitor->event->cpu;
    debt->begun_at = monitor->clock;
    debt->published_at = 0;
    debt->covered_at = 0;
    debt->gone_at = 0;
    debt->missed_early = false;
    debt->missed_hint = false;
    debt->missed_local = false;
    debt->cover_count = 0;
    guest_push(debt->table->guest, debt);
    list_push(&monitor->cpus[debt->cpu].unpublished, debt, true);
}

void monitor_owe(struct monitor *monitor, struct table *table, struct slot *slot, uint64_t old,
                 enum debt_kind kind)
{
    struct debt *debt = slot->debt;

    if (debt != NULL) {
        /* In place so far; and what was tightened is not owed less for being relaxed again. */
        guest_remove(debt);
        debt_begin(monitor, debt, old, kind > debt->kind ? kind : debt->kind);
        return;
    }
    debt = debt_new(monitor);
    debt->slot = slot;
    debt->table = table;
    table_push(table, debt);
    debt->level = table->level;
    debt->size = monitor_span(table->guest, table->level);
    debt->ipa = table->ipa + (uint64_t)(slot - monitor_place_of(monitor, slot).region->slots -
                                        (ptrdiff_t)((table->pa - table->region->pa) / 8)) *
                                 debt->size;
    slot->debt = debt;
    debt_begin(monitor, debt, old, kind);
}

void monitor_settle(struct monitor *monitor, struct debt *debt)
{
    struct table *below = debt->below;

    guest_remove(debt);
    table_remove(debt);
    if (debt->kind == DEBT_LEAF) {
        monitor_leaf_gone(monitor, debt->table, debt->old);
    }
    monitor_debt_free(monitor, debt);
    if (below != NULL) {
        monitor_release(monitor, below);
    }
}

void monitor_absorb(struct table *table)
{
    for (struct debt *debt = table->debts; debt != NULL; debt = debt->next_here) {
        guest_remove(debt);
        debt->generation++;
    }
}

bool monitor_is_paid(const struct debt *debt)
{
    const struct guest *guest = debt->table->guest;
    const bool is_local = debt->kind == DEBT_RELAXED;
    const uint64_t s1 = is_local ? guest->s1_done_on[debt->cpu] : guest->s1_done;
    const uint64_t s12 = is_local ? guest->s12_done_on[debt->cpu] : guest->s12_done;

    return (debt->published_at != 0 && debt->published_at < s12) ||
           (debt->gone_at != 0 && debt->gone_at < s1);
}

static void settle_list(struct monitor *monitor, struct debt *debt)
{
    while (debt != NULL && !monitor_is_silent(monitor)) {
        struct debt *next = debt->next;

        if (monitor_is_paid(debt)) {
            monitor_settle(monitor, debt);
        }
        debt = next;
    }
}

void monitor_settle_all(struct monitor *monitor)
{
    for (struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        settle_list(monitor, guest->table_debts);
        settle_list(monitor, guest->debts);
    }
}

/* The same where no TLBI by address has reached it. */
static enum monitor_rule uncovered_rule(const struct debt *debt)
{
    const struct guest *guest = debt->table->guest;
    const uint64_t since = debt->begun_at;

    if (debt->published_at != 0 && guest->s12_issued_at > debt->published_at) {
        return MONITOR_NO_CLOSING_DSB;
    }
    if (debt->missed_early || guest->s12_issued_at > since) {
        return MONITOR_NO_FIRST_DSB;
    }
    if (debt->missed_hint) {
        return MONITOR_LEVEL_HINT;
    }
    if (debt->missed_local) {
        return MONITOR_LOCAL_ONLY;
    }
    if (debt->cover_count > 0 || guest->address_tlbi_at > since) {
        return MONITOR_OPERAND;
    }
    return guest->foreign_tlbi_at > since && guest->own_tlbi_at < since ? MONITOR_WRONG_VMID
                                                                        : MONITOR_NO_STAGE2;
}

/* What is missing first. */
enum monitor_rule monitor_debt_rule(const struct debt *debt)
{
    const struct guest *guest = debt->table->guest;

    if (debt->covered_at == 0) {
        return uncovered_rule(debt);
    }
    if (debt->gone_at == 0 || guest->s1_issued_at < debt->gone_at) {
        if (guest->s1_issued_at > debt->covered_at) {
            return MONITOR_NO_MIDDLE_DSB;
        }
        return debt->gone_at == 0 ? MONITOR_NO_CLOSING_DSB : MONITOR_NO_STAGE1;
    }
    return MONITOR_NO_CLOSING_DSB;
}

/* --- TLBI by address ------------------------------------------------------------------------- */

/* What a TLBI by address or range says. */
struct target {
    uint64_t start;
    uint64_t end;
    bool has_hint;
    int level; /* with a hint */
    bool is_broadcast;
    size_t cpu;
};

/* Note [start, end) as covered; merged with what it touches. */
static void cover_add(struct debt *debt, uint64_t start, uint64_t end)
{
    size_t kept = 0;

    for (size_t i = 0; i < debt->cover_count; i++) {
        const struct extent extent = debt->cover[i];

        if (extent.start <= end && start <= extent.end) {
            start = extent.start < start ? extent.start : start;
            end = extent.end > end ? extent.end : end;
        } else {
            debt->cover[kept++] = extent;
        }
    }
    debt->cover = monitor_grow(debt->cover, kept, &debt->cover_capacity, sizeof(debt->cover[0]));
    debt->cover[kept] = (struct extent){start, end};
    debt->cover_count = kept + 1;
}

/* Whether the target, which touches the debt's span, completes what the debt asks for. */
static bool target_covers(struct debt *debt, const struct target *target)
{
    const uint64_t end = debt->ipa + debt->size;

    if (debt->kind != DEBT_TABLE) {
        return true; /* any address in it: it is one entry */
    }
    cover_add(debt, target->start > debt->ipa ? target->start : debt->ipa,
              target->end < end ? target->end : end);
    return debt->cover[debt->cover_count - 1].start == debt->ipa &&
           debt->cover[debt->cover_count - 1].end == end;
}

static void apply(struct monitor *monitor, struct debt *debt, const struct target *target)
{
    const bool is_hint_good =
        !target->has_hint || (debt->kind != DEBT_TABLE && target->level == debt->level);

    if (debt->covered_at != 0 && debt->gone_at == 0) {
        return; /* on its way */
    }
    if (debt->published_at == 0) {
        debt->missed_early = true;
    } else if (!is_hint_good) {
        debt->missed_hint = true;
    } else if (!target->is_broadcast && (debt->kind != DEBT_RELAXED || target->cpu != debt->cpu)) {
        debt->missed_local = true;
    } else if (debt->gone_at == 0 && target_covers(debt, target)) {
        debt->covered_at = monitor->clock;
        debt->tlbi_cpu = target->cpu;
        list_push(&monitor->cpus[target->cpu].issued, debt, target->is_broadcast);
    }
}

/* All debts on the way of one IPA. */
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
        if (place.slot->debt != NULL) {
            apply(monitor, place.slot->debt, target);
        }
        if (monitor_entry_kind(table->level, place.slot->raw) != ENTRY_TABLE ||
            !monitor_place_pa(monitor, monitor_output(guest, place.slot->raw), &place)) {
            return;
        }
        table = place.table;
    }
}

static void apply_range(struct monitor *monitor, struct debt *debt, const struct target *target)
{
    for (; debt != NULL; debt = debt->next) {
        if (target->start < debt->ipa + debt->size && debt->ipa < target->end) {
            apply(monitor, debt, target);
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
    struct target target = {.is_broadcast = event->kind != SIM_TLBI_IPAS2E1, .cpu = event->cpu};

    guest->address_tlbi_at = monitor->clock;
    if (event->kind != SIM_TLBI_RIPAS2E1IS) {
        if (decode_address(monitor, guest, event->operand, &target)) {
            apply_walk(monitor, guest, &target);
        }
    } else if (decode_range(monitor, guest, event->operand, &target)) {
        apply_range(monitor, guest->debts, &target);
        apply_range(monitor, guest->table_debts, &target);
    }
}

/* --- TLBI of everything ---------------------------------------------------------------------- */

static void see_whole(struct monitor *monitor, struct guest *guest, const struct sim_event *event)
{
    struct cpu *cpu = &monitor->cpus[event->cpu];
    const bool is_both = event->kind != SIM_TLBI_VMALLE1IS && event->kind != SIM_TLBI_VMALLE1;
    const bool is_broadcast = event->kind < SIM_TLBI_IPAS2E1;

    if (is_broadcast) {
        guest->s1_issued_at = monitor->clock;
        guest->s12_issued_at = is_both ? monitor->clock : guest->s12_issued_at;
    }
    for (struct debt *debt = guest->debts; !is_broadcast && debt != NULL; debt = debt->next) {
        debt->missed_local |= is_both && debt->published_at != 0 && debt->kind != DEBT_RELAXED;
    }
    cpu->wholes =
        monitor_grow(cpu->wholes, cpu->whole_count, &cpu->whole_capacity, sizeof(cpu->wholes[0]));
    cpu->wholes[cpu->whole_count++] = (struct whole){guest, monitor->clock, is_both, is_broadcast};
}

void monitor_see_tlbi(struct monitor *monitor, const struct sim_event *event)
{
    const bool is_address = event->kind == SIM_TLBI_IPAS2E1IS ||
                            event->kind == SIM_TLBI_RIPAS2E1IS || event->kind == SIM_TLBI_IPAS2E1;
    const struct guest *current;

    monitor_judge_regime(monitor, event);
    current = monitor_current(monitor, event);
    for (struct guest *guest = monitor->guests; guest != NULL && !monitor_is_silent(monitor);
         guest = guest->next) {
        const bool is_hit = current != NULL && guest->vmid == current->vmid;

        if (!is_hit && event->kind != SIM_TLBI_ALLE1IS) {
            guest->foreign_tlbi_at = monitor->clock;
            continue;
        }
        guest->own_tlbi_at = monitor->clock;
        if (is_address) {
            see_address(monitor, guest, event);
        } else {
            see_whole(monitor, guest, event);
        }
    }
}

/* --- Barriers -------------------------------------------------------------------------------- */

/* Whether the DSB made the store that began the debt visible to those who matter. */
static bool is_published(struct monitor *monitor, const struct debt *debt, enum sim_kind kind)
{
    const struct place place = monitor_place_of(monitor, debt->slot);
    const struct line *line = monitor_line(monitor, &place);

    if (kind == SIM_DSB_NSH && debt->kind != DEBT_RELAXED) {
        return false;
    }
    if (!debt->table->guest->given.is_non_coherent) {
        return true;
    }
    return kind != SIM_DSB_ISHST && line->cleaned_at > debt->begun_at && line->cpu == debt->cpu;
}

static void publish(struct monitor *monitor, struct debt_list *list, enum sim_kind kind)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct debt_ref ref = list->refs[i];

        if (ref.debt->generation != ref.generation) {
            continue;
        }
        if (is_published(monitor, ref.debt, kind)) {
            ref.debt->published_at = monitor->clock;
        } else {
            list->refs[kept++] = ref;
        }
    }
    list->count = kept;
}

static void complete(struct monitor *monitor, struct debt_list *list, enum sim_kind kind)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct debt_ref ref = list->refs[i];

        if (ref.debt->generation != ref.generation) {
            continue;
        }
        if (kind == SIM_DSB_ISH || !ref.is_broadcast) {
            ref.debt->gone_at = monitor->clock;
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

static void whole_done(const struct whole *whole, size_t number)
{
    struct guest *guest = whole->guest;
    const uint64_t both_at = whole->is_both ? whole->issued_at : 0;

    if (whole->is_broadcast) {
        guest->s1_done = later(guest->s1_done, whole->issued_at);
        guest->s12_done = later(guest->s12_done, both_at);
    }
    for (size_t i = 0; i < SIM_CPUS; i++) {
        if (whole->is_broadcast || i == number) {
            guest->s1_done_on[i] = later(guest->s1_done_on[i], whole->issued_at);
            guest->s12_done_on[i] = later(guest->s12_done_on[i], both_at);
        }
    }
}

/* Whether there were any. */
static bool complete_wholes(struct cpu *cpu, size_t number, enum sim_kind kind)
{
    const size_t before = cpu->whole_count;
    size_t kept = 0;

    for (size_t i = 0; i < cpu->whole_count; i++) {
        const struct whole whole = cpu->wholes[i];

        if (kind == SIM_DSB_ISH || !whole.is_broadcast) {
            whole_done(&whole, number);
        } else {
            cpu->wholes[kept++] = whole;
        }
    }
    cpu->whole_count = kept;
    return kept < before;
}

/* Nobody runs a guest that is leaving, so with its last invalidation its tables are free. */
static void let_go(struct monitor *monitor, struct guest *guest)
{
    if (guest->is_leaving && guest->root != NULL && guest->s12_done > guest->left_at) {
        monitor_release(monitor, guest->root);
        guest->root = NULL;
    }
}

void monitor_see_dsb(struct monitor *monitor, const struct sim_event *event)
{
    struct cpu *cpu = &monitor->cpus[event->cpu];

    if (event->kind != SIM_DSB_NSH) {
        cpu->visible_at = cpu->dsb_at <= cpu->stored_at ? monitor->clock : cpu->visible_at;
        cpu->dsb_at = monitor->clock;
    }
    if (event->kind == SIM_DSB_ISH) {
        cpu->dsb_ish_at = monitor->clock;
    }
    publish(monitor, &cpu->unpublished, event->kind);
    if (event->kind == SIM_DSB_ISHST) {
        return; /* orders stores, and completes nothing else */
    }
    complete(monitor, &cpu->issued, event->kind);
    if (!complete_wholes(cpu, event->cpu, event->kind)) {
        return;
    }
    monitor_settle_all(monitor);
    for (struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        let_go(monitor, guest);
    }
}

/* --- The pool -------------------------------------------------------------------------------- */

static unsigned log2_of(uint64_t value)
{
    unsigned log2 = 0;

    while (value > 1) {
        value >>= 1;
        log2++;
    }
    return log2;
}

bool monitor_is_taken(const struct guest *guest, uint64_t pa, uint64_t size)
{
    const struct frame_pool *pool = guest->given.pool;

    return pool == NULL ||
           frame_pool_is_taken(pool, pa_of(pa), log2_of(size >> frame_pool_shift(pool)));
}

static void judge_taken(struct monitor *monitor, const struct table *table, const struct slot *slot)
{
    const uint64_t least = UINT64_C(1) << table->guest->shift;
    const uint64_t size = table->entries * sizeof(uint64_t);

    if (!monitor_is_taken(table->guest, table->pa, size > least ? size : least)) {
        monitor_blame(monitor, MONITOR_RETURNED, slot,
                      "the pool has the table at PA 0x%llx, to which walkers or a TLB may lead",
                      (unsigned long long)table->pa);
        return;
    }
    for (const struct table *child = table->child; child != NULL; child = child->next) {
        judge_taken(monitor, child, slot);
    }
}

/* Called before barriers and TLBIs, while a frame that went too early is still seen to be gone. */
void monitor_poll_pool(struct monitor *monitor)
{
    for (const struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        if (guest->given.pool == NULL || guest->root == NULL) {
            continue;
        }
        if (monitor->event == NULL || guest->is_leaving) {
            judge_taken(monitor, guest->root, NULL);
        }
        for (const struct debt *debt = guest->table_debts; debt != NULL; debt = debt->next) {
            if (debt->below != NULL) {
                judge_taken(monitor, debt->below, debt->slot);
            }
        }
    }
}
