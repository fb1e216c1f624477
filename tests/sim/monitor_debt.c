#include "tests/sim/monitor_private.h"

#include <stdlib.h>

#define DESC_CONTIGUOUS (UINT64_C(1) << 52)

/* --- Lists ----------------------------------------------------------------------------------- */

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

/* Out of its slot, and free for another. */
static void debt_free(struct monitor *monitor, struct debt *debt)
{
    const uint32_t generation = debt->generation + 1;
    const struct cover sent = {debt->sent.extents, 0, debt->sent.capacity};
    const struct cover told = {debt->told.extents, 0, debt->told.capacity};
    struct debt **link = &debt->slot->debt;

    while (*link != debt) {
        link = &(*link)->older;
    }
    *link = debt->older;
    *debt = (struct debt){
        .next = monitor->free_debts, .generation = generation, .sent = sent, .told = told};
    monitor->free_debts = debt;
}

/* --- Owing and settling ---------------------------------------------------------------------- */

/* Whether an access by what hung below @table, or hangs there, may still be on its way when an nXS
 * form is complete. */
static bool tree_is_slow(struct monitor *monitor, const struct table *table)
{
    struct place place;

    for (const struct debt *debt = table->debts; debt != NULL; debt = debt->next_here) {
        if (debt->is_slow) {
            return true;
        }
    }
    (void)monitor_place_pa(monitor, table->pa, &place);
    for (size_t i = 0; i < table->entries; i++) {
        const uint64_t raw = place.slot[i].raw;

        if (monitor_entry_kind(table->level, raw) == ENTRY_LEAF &&
            !monitor_is_write_back(table->guest, raw)) {
            return true;
        }
    }
    for (const struct table *child = table->child; child != NULL; child = child->next) {
        if (tree_is_slow(monitor, child)) {
            return true;
        }
    }
    return false;
}

static bool is_slow(struct monitor *monitor, const struct table *table, uint64_t old,
                    enum debt_kind kind)
{
    struct place place;

    if (!monitor->config.has_xs) {
        return false;
    }
    if (table->guest->given.is_non_coherent) {
        return true; /* its walks are such accesses themselves */
    }
    if (kind == DEBT_RELAXED) {
        return false;
    }
    if (kind != DEBT_TABLE) {
        return !monitor_is_write_back(table->guest, old);
    }
    return !monitor_place_pa(monitor, monitor_output(table->guest, old), &place) ||
           place.table == NULL || tree_is_slow(monitor, place.table);
}

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
    debt->told_at = 0;
    debt->missed_early = false;
    debt->missed_hint = false;
    debt->missed_local = false;
    debt->missed_slow = false;
    debt->is_slow |= is_slow(monitor, debt->table, old, kind);
    debt->had_hint |= kind != DEBT_TABLE && (old & DESC_CONTIGUOUS) != 0;
    debt->sent.count = 0;
    debt->told.count = 0;
    guest_push(debt->table->guest, debt);
    monitor_await(monitor, debt);
}

static struct debt *debt_of(struct monitor *monitor, struct table *table, struct slot *slot)
{
    struct debt *debt = debt_new(monitor);

    debt->slot = slot;
    debt->older = slot->debt;
    slot->debt = debt;
    debt->table = table;
    table_push(table, debt);
    debt->level = table->level;
    debt->size = monitor_span(table->guest, table->level);
    debt->ipa = table->ipa + (uint64_t)monitor_index_of(table, slot) * debt->size;
    return debt;
}

struct debt *monitor_owe(struct monitor *monitor, struct table *table, struct slot *slot,
                         uint64_t old, enum debt_kind kind)
{
    struct debt *debt = slot->debt;

    if (debt != NULL && !debt->is_direct) {
        /* In place so far; and what was tightened is not owed less for being relaxed again. */
        guest_remove(debt);
        debt_begin(monitor, debt, old, kind > debt->kind ? kind : debt->kind);
        return debt;
    }
    debt = debt_of(monitor, table, slot);
    debt_begin(monitor, debt, old, kind);
    return debt;
}

void monitor_settle(struct monitor *monitor, struct debt *debt)
{
    struct table *below = debt->below;

    guest_remove(debt);
    table_remove(debt);
    if (debt->kind == DEBT_LEAF) {
        monitor_leaf_gone(monitor, debt->table, debt->old);
    }
    debt_free(monitor, debt);
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

/* Whether the TLBs have forgotten it, by the invalidations in @sweeps. */
static bool is_swept(const struct debt *debt, const struct sweeps *sweeps)
{
    const bool is_local = debt->kind == DEBT_RELAXED;
    const uint64_t s1 = is_local ? sweeps->s1_done_on[debt->cpu] : sweeps->s1_done;
    const uint64_t s12 = is_local ? sweeps->s12_done_on[debt->cpu] : sweeps->s12_done;

    return (debt->published_at != 0 && debt->published_at < s12) ||
           (debt->gone_at != 0 && debt->gone_at < s1);
}

/* Whether nobody holds it any more. */
static bool is_gone(const struct debt *debt)
{
    const struct guest *guest = debt->table->guest;

    return guest->given.is_managed ? debt->published_at != 0 && !monitor_is_held(debt)
                                   : is_swept(debt, debt->is_slow ? &guest->full : &guest->any);
}

bool monitor_is_paid(const struct monitor *monitor, const struct debt *debt)
{
    return is_gone(debt) && monitor_is_told(monitor, debt);
}

const struct debt *monitor_unpaid(const struct monitor *monitor, const struct slot *slot)
{
    const struct debt *debt = slot->debt;

    while (debt != NULL && monitor_is_paid(monitor, debt)) {
        debt = debt->older;
    }
    return debt;
}

static void settle_list(struct monitor *monitor, struct debt *debt)
{
    while (debt != NULL && !monitor_is_silent(monitor)) {
        struct debt *next = debt->next;

        if (monitor_is_paid(monitor, debt)) {
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
    if (debt->missed_slow) {
        return MONITOR_SLOW;
    }
    if (debt->sent.count > 0 || guest->address_tlbi_at > since) {
        return MONITOR_OPERAND;
    }
    return guest->foreign_tlbi_at > since && guest->own_tlbi_at < since ? MONITOR_WRONG_VMID
                                                                        : MONITOR_NO_STAGE2;
}

/* What is missing first. */
enum monitor_rule monitor_debt_rule(const struct monitor *monitor, const struct debt *debt)
{
    const struct guest *guest = debt->table->guest;
    const struct sweeps *sweeps = debt->is_slow ? &guest->full : &guest->any;

    if (is_gone(debt) && !monitor_is_told(monitor, debt)) {
        return MONITOR_NOT_NOTIFIED;
    }
    if (guest->given.is_managed && guest->stays == NULL) {
        return MONITOR_NOT_VISIBLE; /* and nothing else is asked for */
    }
    if (is_swept(debt, &guest->any)) {
        return is_swept(debt, sweeps) ? MONITOR_WRONG_VMID : MONITOR_SLOW;
    }
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

/* --- Covers ---------------------------------------------------------------------------------- */

bool monitor_cover(const struct debt *debt, struct cover *cover, uint64_t start, uint64_t end)
{
    size_t kept = 0;

    start = start > debt->ipa ? start : debt->ipa;
    end = end < debt->ipa + debt->size ? end : debt->ipa + debt->size;
    for (size_t i = 0; i < cover->count; i++) {
        const struct extent extent = cover->extents[i];

        if (extent.start <= end && start <= extent.end) {
            start = extent.start < start ? extent.start : start;
            end = extent.end > end ? extent.end : end;
        } else {
            cover->extents[kept++] = extent;
        }
    }
    cover->extents =
        monitor_grow(cover->extents, kept, &cover->capacity, sizeof(cover->extents[0]));
    cover->extents[kept] = (struct extent){start, end};
    cover->count = kept + 1;
    return start == debt->ipa && end == debt->ipa + debt->size;
}
