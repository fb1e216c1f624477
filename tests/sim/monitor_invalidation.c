#include "tests/sim/monitor_private.h"

#include <stdlib.h>

#define DESC_CONTIGUOUS (UINT64_C(1) << 52)

/* --- Lists ----------------------------------------------------------------------------------- */

static void guest_push(struct guest *guest, struct invalidation *invalidation)
{
    struct invalidation **head =
        invalidation->kind == DEBT_TABLE ? &guest->table_invalidations : &guest->invalidations;

    invalidation->next = *head;
    invalidation->link = head;
    if (invalidation->next != NULL) {
        invalidation->next->link = &invalidation->next;
    }
    *head = invalidation;
}

static void guest_remove(struct invalidation *invalidation)
{
    if (invalidation->link != NULL) {
        *invalidation->link = invalidation->next;
        if (invalidation->next != NULL) {
            invalidation->next->link = invalidation->link;
        }
        invalidation->link = NULL;
    }
}

static void table_push(struct table *table, struct invalidation *invalidation)
{
    invalidation->next_here = table->invalidations;
    invalidation->link_here = &table->invalidations;
    if (invalidation->next_here != NULL) {
        invalidation->next_here->link_here = &invalidation->next_here;
    }
    table->invalidations = invalidation;
}

static void table_remove(struct invalidation *invalidation)
{
    *invalidation->link_here = invalidation->next_here;
    if (invalidation->next_here != NULL) {
        invalidation->next_here->link_here = invalidation->link_here;
    }
}

static struct invalidation *invalidation_new(struct monitor *monitor)
{
    struct invalidation *invalidation = monitor->free_invalidations;

    if (invalidation == NULL) {
        invalidation = calloc(1, sizeof(*invalidation));
        if (invalidation == NULL) {
            abort();
        }
        return invalidation;
    }
    monitor->free_invalidations = invalidation->next;
    return invalidation;
}

/* Out of its slot, and free for another. */
static void invalidation_free(struct monitor *monitor, struct invalidation *invalidation)
{
    const uint32_t generation = invalidation->generation + 1;
    const struct cover sent = {invalidation->sent.extents, 0, invalidation->sent.capacity};
    const struct cover told = {invalidation->told.extents, 0, invalidation->told.capacity};
    struct invalidation **link = &invalidation->slot->invalidation;

    while (*link != invalidation) {
        link = &(*link)->older;
    }
    *link = invalidation->older;
    *invalidation = (struct invalidation){
        .next = monitor->free_invalidations, .generation = generation, .sent = sent, .told = told};
    monitor->free_invalidations = invalidation;
}

/* --- Owing and settling ---------------------------------------------------------------------- */

/* Whether an access by what hung below @table, or hangs there, may still be on its way when an nXS
 * form is complete. */
static bool tree_is_slow(struct monitor *monitor, const struct table *table)
{
    struct place place;

    for (const struct invalidation *invalidation = table->invalidations; invalidation != NULL;
         invalidation = invalidation->next_here) {
        if (invalidation->is_slow) {
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
                    enum invalidation_kind kind)
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
static void invalidation_begin(struct monitor *monitor, struct invalidation *invalidation,
                               uint64_t old, enum invalidation_kind kind)
{
    invalidation->generation++;
    invalidation->kind = kind;
    invalidation->old = old;
    invalidation->cpu = monitor->event->cpu;
    invalidation->begun_at = monitor->clock;
    invalidation->published_at = 0;
    invalidation->covered_at = 0;
    invalidation->gone_at = 0;
    invalidation->told_at = 0;
    invalidation->missed_early = false;
    invalidation->missed_hint = false;
    invalidation->missed_local = false;
    invalidation->missed_slow = false;
    invalidation->is_slow |= is_slow(monitor, invalidation->table, old, kind);
    invalidation->had_hint |= kind != DEBT_TABLE && (old & DESC_CONTIGUOUS) != 0;
    invalidation->sent.count = 0;
    invalidation->told.count = 0;
    guest_push(invalidation->table->guest, invalidation);
    monitor_await(monitor, invalidation);
}

static struct invalidation *invalidation_of(struct monitor *monitor, struct table *table,
                                            struct slot *slot)
{
    struct invalidation *invalidation = invalidation_new(monitor);

    invalidation->slot = slot;
    invalidation->older = slot->invalidation;
    slot->invalidation = invalidation;
    invalidation->table = table;
    table_push(table, invalidation);
    invalidation->level = table->level;
    invalidation->size = monitor_span(table->guest, table->level);
    invalidation->ipa = table->ipa + (uint64_t)monitor_index_of(table, slot) * invalidation->size;
    return invalidation;
}

struct invalidation *monitor_require(struct monitor *monitor, struct table *table,
                                     struct slot *slot, uint64_t old, enum invalidation_kind kind)
{
    struct invalidation *invalidation = slot->invalidation;

    if (invalidation != NULL && !invalidation->is_direct) {
        /* In place so far; and what was tightened asks for no less for being relaxed again. */
        guest_remove(invalidation);
        invalidation_begin(monitor, invalidation, old,
                           kind > invalidation->kind ? kind : invalidation->kind);
        return invalidation;
    }
    invalidation = invalidation_of(monitor, table, slot);
    invalidation_begin(monitor, invalidation, old, kind);
    return invalidation;
}

void monitor_settle(struct monitor *monitor, struct invalidation *invalidation)
{
    struct table *below = invalidation->below;

    guest_remove(invalidation);
    table_remove(invalidation);
    if (invalidation->kind == DEBT_LEAF) {
        monitor_leaf_gone(monitor, invalidation->table, invalidation->old);
    }
    invalidation_free(monitor, invalidation);
    if (below != NULL) {
        monitor_release(monitor, below);
    }
}

void monitor_absorb(struct table *table)
{
    for (struct invalidation *invalidation = table->invalidations; invalidation != NULL;
         invalidation = invalidation->next_here) {
        guest_remove(invalidation);
        invalidation->generation++;
    }
}

/* Whether the TLBs have forgotten it, by the invalidations in @sweeps. */
static bool is_swept(const struct invalidation *invalidation, const struct sweeps *sweeps)
{
    const bool is_local = invalidation->kind == DEBT_RELAXED;
    const uint64_t s1 = is_local ? sweeps->s1_done_on[invalidation->cpu] : sweeps->s1_done;
    const uint64_t s12 = is_local ? sweeps->s12_done_on[invalidation->cpu] : sweeps->s12_done;

    return (invalidation->published_at != 0 && invalidation->published_at < s12) ||
           (invalidation->gone_at != 0 && invalidation->gone_at < s1);
}

/* Whether nobody holds it any more. */
static bool is_gone(const struct invalidation *invalidation)
{
    const struct guest *guest = invalidation->table->guest;

    return guest->given.is_managed
               ? invalidation->published_at != 0 && !monitor_is_held(invalidation)
               : is_swept(invalidation, invalidation->is_slow ? &guest->full : &guest->any);
}

bool monitor_is_complete(const struct monitor *monitor, const struct invalidation *invalidation)
{
    return is_gone(invalidation) && monitor_is_told(monitor, invalidation);
}

const struct invalidation *monitor_incomplete(const struct monitor *monitor,
                                              const struct slot *slot)
{
    const struct invalidation *invalidation = slot->invalidation;

    while (invalidation != NULL && monitor_is_complete(monitor, invalidation)) {
        invalidation = invalidation->older;
    }
    return invalidation;
}

static void settle_list(struct monitor *monitor, struct invalidation *invalidation)
{
    while (invalidation != NULL && !monitor_is_silent(monitor)) {
        struct invalidation *next = invalidation->next;

        if (monitor_is_complete(monitor, invalidation)) {
            monitor_settle(monitor, invalidation);
        }
        invalidation = next;
    }
}

void monitor_settle_all(struct monitor *monitor)
{
    for (struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        settle_list(monitor, guest->table_invalidations);
        settle_list(monitor, guest->invalidations);
    }
}

/* The same where no TLBI by address has reached it. */
static enum monitor_rule uncovered_rule(const struct invalidation *invalidation)
{
    const struct guest *guest = invalidation->table->guest;
    const uint64_t since = invalidation->begun_at;

    if (invalidation->published_at != 0 && guest->s12_issued_at > invalidation->published_at) {
        return MONITOR_NO_CLOSING_DSB;
    }
    if (invalidation->missed_early || guest->s12_issued_at > since) {
        return MONITOR_NO_FIRST_DSB;
    }
    if (invalidation->missed_hint) {
        return MONITOR_LEVEL_HINT;
    }
    if (invalidation->missed_local) {
        return MONITOR_LOCAL_ONLY;
    }
    if (invalidation->missed_slow) {
        return MONITOR_SLOW;
    }
    if (invalidation->sent.count > 0 || guest->address_tlbi_at > since) {
        return MONITOR_OPERAND;
    }
    return guest->foreign_tlbi_at > since && guest->own_tlbi_at < since ? MONITOR_WRONG_VMID
                                                                        : MONITOR_NO_STAGE2;
}

/* What is missing first. */
enum monitor_rule monitor_invalidation_rule(const struct monitor *monitor,
                                            const struct invalidation *invalidation)
{
    const struct guest *guest = invalidation->table->guest;
    const struct sweeps *sweeps = invalidation->is_slow ? &guest->full : &guest->any;

    if (is_gone(invalidation) && !monitor_is_told(monitor, invalidation)) {
        return MONITOR_NOT_NOTIFIED;
    }
    if (guest->given.is_managed && guest->stays == NULL) {
        return MONITOR_NOT_VISIBLE; /* and nothing else is asked for */
    }
    if (is_swept(invalidation, &guest->any)) {
        return is_swept(invalidation, sweeps) ? MONITOR_WRONG_VMID : MONITOR_SLOW;
    }
    if (invalidation->covered_at == 0) {
        return uncovered_rule(invalidation);
    }
    if (invalidation->gone_at == 0 || guest->s1_issued_at < invalidation->gone_at) {
        if (guest->s1_issued_at > invalidation->covered_at) {
            return MONITOR_NO_MIDDLE_DSB;
        }
        return invalidation->gone_at == 0 ? MONITOR_NO_CLOSING_DSB : MONITOR_NO_STAGE1;
    }
    return MONITOR_NO_CLOSING_DSB;
}

/* --- Covers ---------------------------------------------------------------------------------- */

bool monitor_cover(const struct invalidation *invalidation, struct cover *cover, uint64_t start,
                   uint64_t end)
{
    size_t kept = 0;

    start = start > invalidation->ipa ? start : invalidation->ipa;
    end =
        end < invalidation->ipa + invalidation->size ? end : invalidation->ipa + invalidation->size;
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
    return start == invalidation->ipa && end == invalidation->ipa + invalidation->size;
}
