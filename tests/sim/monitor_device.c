#include "tests/sim/monitor_private.h"

#define VTTBR_BADDR (((UINT64_C(1) << 48) - 1) & ~UINT64_C(1))

/* --- What devices are told ------------------------------------------------------------------- */

/* A DSB follows what they were told; but where there was nothing to invalidate there is none. */
bool monitor_is_told(const struct monitor *monitor, const struct invalidation *invalidation)
{
    if (!invalidation->table->guest->given.has_device || invalidation->kind == DEBT_RELAXED) {
        return true;
    }
    return invalidation->told_at != 0 &&
           (invalidation->is_unheld ||
            monitor->cpus[invalidation->told_cpu].dsb_ish_at > invalidation->told_at);
}

static void tell_invalidations(struct monitor *monitor, struct invalidation *invalidation,
                               uint64_t start, uint64_t end)
{
    for (; invalidation != NULL; invalidation = invalidation->next) {
        if (invalidation->published_at != 0 && start < invalidation->ipa + invalidation->size &&
            invalidation->ipa < end &&
            monitor_cover(invalidation, &invalidation->told, start, end)) {
            invalidation->told_at = monitor->clock;
            invalidation->told_cpu = sim_cpu_number();
        }
    }
}

void monitor_notified(struct monitor *monitor, uint64_t vttbr, uint64_t start, uint64_t size)
{
    if (monitor_is_silent(monitor)) {
        return;
    }
    monitor->clock++;
    for (struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        if (((guest->given.vttbr ^ vttbr) & VTTBR_BADDR) == 0) {
            tell_invalidations(monitor, guest->invalidations, start, start + size);
            tell_invalidations(monitor, guest->table_invalidations, start, start + size);
        }
    }
    monitor_settle_all(monitor);
}

/* --- What devices must not see --------------------------------------------------------------- */

static void note_leaf(struct guest *guest, uint64_t ipa, uint64_t raw, int level)
{
    const uint64_t size = monitor_span(guest, level);

    if (!monitor_is_cacheable(guest, raw)) {
        return; /* a device could not use it either */
    }
    guest->torn =
        monitor_grow(guest->torn, guest->torn_count, &guest->torn_capacity, sizeof(guest->torn[0]));
    guest->torn[guest->torn_count++] =
        (struct torn){ipa, size, monitor_output(guest, raw) & ~(size - 1)};
}

static void note_tree(struct monitor *monitor, const struct table *table)
{
    const uint64_t span = monitor_span(table->guest, table->level);
    struct place place;

    (void)monitor_place_pa(monitor, table->pa, &place);
    for (size_t i = 0; i < table->entries; i++) {
        if (monitor_entry_kind(table->level, place.slot[i].raw) == ENTRY_LEAF) {
            note_leaf(table->guest, table->ipa + i * span, place.slot[i].raw, table->level);
        }
    }
    for (const struct table *child = table->child; child != NULL; child = child->next) {
        if (child->state == TABLE_LIVE) {
            note_tree(monitor, child);
        }
    }
}

/* @raw at @slot is broken. */
void monitor_note_torn(struct monitor *monitor, const struct table *table, const struct slot *slot,
                       uint64_t raw)
{
    const uint64_t ipa =
        table->ipa + monitor_index_of(table, slot) * monitor_span(table->guest, table->level);
    struct place place;

    if (!table->guest->given.refuses_transient) {
        return;
    }
    if (monitor_entry_kind(table->level, raw) == ENTRY_LEAF) {
        note_leaf(table->guest, ipa, raw, table->level);
    } else if (monitor_place_pa(monitor, monitor_output(table->guest, raw), &place) &&
               place.table != NULL) {
        note_tree(monitor, place.table);
    }
}

/* The entry that says what @ipa is now; *table is its table. */
static const struct slot *find_entry(struct monitor *monitor, const struct guest *guest,
                                     uint64_t ipa, const struct table **table)
{
    struct place place;

    *table = guest->root;
    for (;;) {
        const uint64_t span = monitor_span(guest, (*table)->level);

        (void)monitor_place_pa(
            monitor, (*table)->pa + (ipa - (*table)->ipa) / span * sizeof(uint64_t), &place);
        if (monitor_entry_kind((*table)->level, place.slot->raw) != ENTRY_TABLE) {
            return place.slot;
        }
        (void)monitor_place_pa(monitor, monitor_output(guest, place.slot->raw), &place);
        *table = place.table;
    }
}

/* No part of it may be mapped to the same memory again: then it was never to be unmapped. */
static void judge_torn(struct monitor *monitor, const struct guest *guest, const struct torn *torn)
{
    uint64_t ipa = torn->ipa;

    while (ipa < torn->ipa + torn->size) {
        const struct table *table;
        const struct slot *slot = find_entry(monitor, guest, ipa, &table);
        const uint64_t span = monitor_span(guest, table->level);
        const uint64_t pa = monitor_output(guest, slot->raw) & ~(span - 1);

        if (monitor_entry_kind(table->level, slot->raw) == ENTRY_LEAF &&
            pa + ipa % span == torn->pa + (ipa - torn->ipa)) {
            monitor_blame(monitor, MONITOR_TRANSIENT, slot,
                          "IPA 0x%llx leads where it did, and was invalid meanwhile",
                          (unsigned long long)ipa);
            return;
        }
        ipa = (ipa & ~(span - 1)) + span;
    }
}

void monitor_judge_torn(struct monitor *monitor)
{
    for (struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        for (size_t i = 0; guest->root != NULL && i < guest->torn_count; i++) {
            judge_torn(monitor, guest, &guest->torn[i]);
        }
        guest->torn_count = 0;
    }
}
