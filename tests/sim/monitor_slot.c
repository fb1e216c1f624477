#include "tests/sim/monitor_private.h"

#include <stdlib.h>

#define BIT_AT(n) (UINT64_C(1) << (n))
#define MASK(hi, lo) ((UINT64_MAX >> (63 - (hi))) & (UINT64_MAX << (lo)))

#define DESC_VALID BIT_AT(0)
#define DESC_TABLE BIT_AT(1)
#define DESC_READ BIT_AT(6)
#define DESC_WRITE BIT_AT(7)
#define DESC_AF BIT_AT(10)
#define DESC_DBM BIT_AT(51)
#define DESC_CONTIGUOUS BIT_AT(52)
#define DESC_XN MASK(54, 53)
#define DESC_SOFTWARE MASK(58, 55)
/* What may change in a valid leaf. */
#define DESC_IN_PLACE (DESC_READ | DESC_WRITE | DESC_AF | DESC_DBM | DESC_XN | DESC_SOFTWARE)

/* --- Contiguous runs ------------------------------------------------------------------------- */

size_t monitor_index_of(const struct table *table, const struct slot *slot)
{
    return (size_t)(slot - table->region->slots) -
           (size_t)((table->pa - table->region->pa) / sizeof(uint64_t));
}

/* What two members of a run may differ in: what hardware sets, what it ignores, and @aside. */
static bool is_run_mate(const struct guest *guest, uint64_t a, uint64_t b, uint64_t aside)
{
    const uint64_t dirty = (a & b & DESC_DBM) != 0 ? DESC_WRITE : 0;

    return ((a ^ b) & ~(monitor_address_bits(guest) | DESC_AF | DESC_SOFTWARE | dirty | aside)) ==
           0;
}

/* A leaf or table @raw at @slot beside the members of its run that are there. One of them stands
 * for all, as they were judged before, unless direct changes may have made them unlike. */
static void judge_mates(struct monitor *monitor, const struct table *table, const struct slot *slot,
                        uint64_t raw)
{
    const size_t run = monitor_run_entries(table->guest, table->level);
    const size_t into = monitor_index_of(table, slot) % run;
    const uint64_t span = monitor_span(table->guest, table->level);
    const bool is_direct = monitor->config.is_direct;
    const bool is_in_place = monitor_entry_kind(table->level, slot->raw) == ENTRY_LEAF;
    const struct slot *first = slot - into;

    for (size_t i = 0; i < run; i++) {
        const uint64_t mate = first[i].raw;
        const uint64_t either = (mate | raw) & DESC_CONTIGUOUS;

        if (i == into || monitor_entry_kind(table->level, mate) != ENTRY_LEAF) {
            continue;
        }
        if (either != 0 && (monitor_entry_kind(table->level, raw) != ENTRY_LEAF ||
                            !is_run_mate(table->guest, mate, raw,
                                         is_direct && is_in_place ? DESC_CONTIGUOUS : 0) ||
                            monitor_output(table->guest, raw) - into * span !=
                                monitor_output(table->guest, mate) - i * span)) {
            monitor_blame(monitor, MONITOR_MIXED_RUN, slot,
                          "entry %zu of a run beside entry %zu, which is 0x%llx", into, i,
                          (unsigned long long)mate);
        }
        if (!is_direct) {
            return;
        }
    }
}

void monitor_judge_run(struct monitor *monitor, struct table *table, struct slot *slot,
                       uint64_t raw)
{
    const size_t run = monitor_run_entries(table->guest, table->level);
    const size_t into = monitor_index_of(table, slot) % run;
    const uint64_t span = monitor_span(table->guest, table->level);

    if ((raw & DESC_CONTIGUOUS) != 0 && monitor_entry_kind(table->level, raw) == ENTRY_LEAF) {
        if (run == 1 || monitor_index_of(table, slot) - into + run > table->entries ||
            monitor_output(table->guest, raw) % (run * span) != into * span) {
            monitor_blame(monitor, MONITOR_BAD_RUN, slot,
                          "entry %zu of a run of %zu leads to PA 0x%llx", into, run,
                          (unsigned long long)monitor_output(table->guest, raw));
            return;
        }
        monitor_note_slot(&monitor->runs, slot - into);
    }
    if (run > 1 && monitor_index_of(table, slot) - into + run <= table->entries) {
        judge_mates(monitor, table, slot, raw);
    }
}

/* At the end of an operation, all of a run or nothing. */
void monitor_judge_runs(struct monitor *monitor)
{
    for (size_t i = 0; i < monitor->runs.count && !monitor_is_silent(monitor); i++) {
        const struct slot *first = monitor->runs.slots[i];
        const struct place place = monitor_place_of(monitor, first);
        size_t members = 0, run;

        if (place.table == NULL || place.table->state != TABLE_LIVE) {
            continue;
        }
        run = monitor_run_entries(place.table->guest, place.table->level);
        for (size_t k = 0; k < run; k++) {
            members += monitor_entry_kind(place.table->level, first[k].raw) == ENTRY_LEAF &&
                       (first[k].raw & DESC_CONTIGUOUS) != 0;
        }
        if (members != 0 && members != run) {
            monitor_blame(monitor, MONITOR_MIXED_RUN, first, "%zu of the %zu entries of a run",
                          members, run);
        }
    }
    monitor->runs.count = 0;
}

/* --- Tables ---------------------------------------------------------------------------------- */

static struct table *table_new(struct guest *guest, struct table *parent, const struct place *place,
                               uint64_t pa)
{
    struct table *table = calloc(1, sizeof(*table));

    if (table == NULL) {
        abort();
    }
    table->guest = guest;
    table->region = place->region;
    table->pa = pa;
    table->parent = parent;
    table->state = TABLE_LIVE;
    if (parent != NULL) {
        table->next = parent->child;
        parent->child = table;
    }
    return table;
}

static void set_units(const struct table *table, struct table *owner, uint64_t released_at)
{
    const uint64_t least = UINT64_C(1) << table->guest->shift;
    const uint64_t bytes = table->entries * sizeof(uint64_t);
    struct unit *unit = &table->region->units[(table->pa - table->region->pa) >> UNIT_SHIFT];
    size_t count = (size_t)((bytes > least ? bytes : least) >> UNIT_SHIFT);

    for (; count > 0; count--, unit++) {
        unit->table = owner;
        unit->released_at = released_at;
    }
}

static void forget_child(struct table *table)
{
    struct table **link = &table->parent->child;

    while (*link != table) {
        link = &(*link)->next;
    }
    *link = table->next;
}

/* Whether a slot of a table that goes still holds what software wrote last, but for what hardware
 * may have set. */
static bool is_untouched(const struct table *table, const struct slot *slot, uint64_t now)
{
    const bool is_leaf = monitor_entry_kind(table->level, slot->raw) == ENTRY_LEAF;

    return ((now ^ slot->raw) & ~(is_leaf ? monitor_hardware_bits(table->guest, slot->raw) : 0)) ==
           0;
}

static void release_slots(struct monitor *monitor, struct table *table)
{
    struct place place;
    struct invalidation *invalidation;

    (void)monitor_place_pa(monitor, table->pa, &place);
    for (size_t i = 0; i < table->entries; i++, place.slot++, place.index++) {
        if (!is_untouched(table, place.slot, monitor_peek(&place))) {
            monitor_blame(monitor, MONITOR_REUSED, place.slot,
                          "0x%llx was written behind the primitives while a TLB might lead here",
                          (unsigned long long)monitor_peek(&place));
            break;
        }
        if (table->leaves_here > 0 &&
            monitor_entry_kind(table->level, place.slot->raw) == ENTRY_LEAF) {
            monitor_leaf_gone(monitor, table, place.slot->raw);
        }
    }
    while ((invalidation = table->invalidations) != NULL) {
        invalidation->below = NULL; /* among the children, and released already */
        monitor_settle(monitor, invalidation);
    }
}

static void release_tree(struct monitor *monitor, struct table *table)
{
    struct table *child;
    struct place place;

    while ((child = table->child) != NULL) {
        table->child = child->next;
        release_tree(monitor, child);
    }
    release_slots(monitor, table);
    (void)monitor_place_pa(monitor, table->pa, &place);
    set_units(table, NULL, monitor->keeps_unlinked ? place.unit->released_at : monitor->clock);
    free(table);
}

/* No walker and no TLB leads to @table any more, or to what is below it. */
void monitor_release(struct monitor *monitor, struct table *table)
{
    if (table->parent != NULL) {
        forget_child(table);
    }
    release_tree(monitor, table);
}

/* Walkers have lost the way to @table; TLBs may know it until @way is complete. */
void monitor_unlink(struct table *table, struct invalidation *way)
{
    table->state = TABLE_UNLINKED;
    table->way = way;
    monitor_absorb(table);
    for (struct table *child = table->child; child != NULL; child = child->next) {
        monitor_unlink(child, way);
    }
}

/* --- Linking --------------------------------------------------------------------------------- */

/* Whether a walker that comes through the new link sees what was filled. */
static bool is_visible(const struct monitor *monitor, const struct guest *guest,
                       const struct place *place, bool is_release)
{
    const struct slot *slot = place->slot;

    if (guest->given.is_non_coherent) {
        return monitor_line_is_clean(monitor, monitor_line(monitor, place), slot->written_at);
    }
    return is_release || monitor->cpus[slot->cpu].dsb_at > slot->written_at;
}

static void link_entry(struct monitor *monitor, struct table *table, const struct place *place,
                       bool is_release)
{
    struct slot *slot = place->slot;

    if (slot->written_at <= place->unit->released_at) {
        monitor_blame(monitor, MONITOR_EARLY_LINK, slot,
                      "entry %zu of the linked table was never written",
                      monitor_index_of(table, slot));
        return;
    }
    if (!is_visible(monitor, table->guest, place, is_release)) {
        monitor_blame(
            monitor, table->guest->given.is_non_coherent ? MONITOR_TABLE_DIRTY : MONITOR_EARLY_LINK,
            slot, "entry %zu of the linked table is not yet visible to walkers",
            monitor_index_of(table, slot));
        return;
    }
    if (monitor->keeps_unlinked && !is_untouched(table, slot, monitor_peek(place))) {
        monitor_blame(monitor, MONITOR_EARLY_LINK, slot,
                      "entry %zu of the linked table is not what was written",
                      monitor_index_of(table, slot));
        return;
    }
    slot->raw = monitor_peek(place);
    switch (monitor_entry_kind(table->level, slot->raw)) {
    case ENTRY_INVALID:
        return;
    case ENTRY_TABLE:
        monitor_link_below(monitor, table, slot, slot->raw, is_release);
        return;
    case ENTRY_LEAF:
        break;
    }
    monitor_leaf_shown(monitor, table, slot, slot->raw);
    monitor_judge_data(monitor, table, slot, slot->raw);
    if ((slot->raw & DESC_CONTIGUOUS) != 0) {
        monitor_judge_run(monitor, table, slot, slot->raw);
    }
}

static void link_table(struct monitor *monitor, struct table *table, struct place place,
                       bool is_release)
{
    set_units(table, table, place.unit->released_at);
    for (size_t i = 0; i < table->entries && !monitor_is_silent(monitor); i++) {
        link_entry(monitor, table, &place, is_release);
        place.slot++;
        place.index++;
        place.unit = &place.region->units[place.index * sizeof(uint64_t) >> UNIT_SHIFT];
    }
}

/* Whether the frame may become a table; else it was blamed. */
static bool judge_frame(struct monitor *monitor, const struct guest *guest, const struct slot *slot,
                        struct place *place, uint64_t pa)
{
    if (place->unit->table != NULL || place->unit->leaves > 0) {
        monitor_settle_all(monitor);
    }
    if (place->unit->table != NULL) {
        const bool is_live = place->unit->table->state == TABLE_LIVE;

        monitor_blame(monitor, is_live ? MONITOR_BAD_TABLE : MONITOR_REUSED, slot,
                      "the table at PA 0x%llx is linked already, or a TLB may lead to it",
                      (unsigned long long)pa);
        return false;
    }
    if (place->unit->leaves > 0) {
        monitor_blame(monitor, MONITOR_EXPOSED, slot, "a guest can reach the table at PA 0x%llx",
                      (unsigned long long)pa);
        return false;
    }
    if (!monitor_is_taken(guest, pa, UINT64_C(1) << guest->shift)) {
        monitor_blame(monitor, MONITOR_RETURNED, slot,
                      "the table at PA 0x%llx lies in a frame of the pool that nobody has taken",
                      (unsigned long long)pa);
        return false;
    }
    return true;
}

/* The table descriptor @raw in @slot of @parent, and all that can be reached by it. */
void monitor_link_below(struct monitor *monitor, struct table *parent, struct slot *slot,
                        uint64_t raw, bool is_release)
{
    struct guest *guest = parent->guest;
    const uint64_t pa = monitor_output(guest, raw);
    struct table *table;
    struct place place;

    if ((raw & ~(monitor_address_bits(guest) | DESC_VALID | DESC_TABLE)) != 0 ||
        !monitor_place_pa(monitor, pa, &place)) {
        monitor_blame(monitor, MONITOR_BAD_TABLE, slot, "0x%llx is no descriptor of a table",
                      (unsigned long long)raw);
        return;
    }
    if (!judge_frame(monitor, guest, slot, &place, pa)) {
        return;
    }
    table = table_new(guest, parent, &place, pa);
    table->level = parent->level + 1;
    table->ipa =
        parent->ipa + (uint64_t)monitor_index_of(parent, slot) * monitor_span(guest, parent->level);
    table->entries = (size_t)1 << guest->stride;
    link_table(monitor, table, place, is_release);
}

void monitor_link_root(struct monitor *monitor, struct guest *guest, uint64_t pa, uint64_t size,
                       size_t entries)
{
    const uint64_t least = UINT64_C(1) << guest->shift;
    struct place place;

    if (!monitor_place_pa(monitor, pa, &place) || pa % size != 0 || place.unit->table != NULL ||
        !monitor_is_taken(guest, pa, size > least ? size : least)) {
        monitor_blame(monitor, MONITOR_BAD_TABLE, NULL,
                      "the root at PA 0x%llx is misaligned, no table's memory, or in use",
                      (unsigned long long)pa);
        return;
    }
    guest->root = table_new(guest, NULL, &place, pa);
    guest->root->level = guest->start_level;
    guest->root->entries = entries;
    link_table(monitor, guest->root, place, false);
}

/* --- Live writes ----------------------------------------------------------------------------- */

bool monitor_is_release(const struct sim_event *event)
{
    return event->kind == SIM_PUBLISH || event->kind == SIM_REPLACE;
}

static bool is_plain(enum sim_kind kind)
{
    return kind == SIM_STORE || kind == SIM_PUBLISH;
}

/* Whether hardware may have set, in a leaf that software last wrote as @raw, what a plain store of
 * something derived from it loses. */
static bool is_racing(const struct guest *guest, uint64_t raw)
{
    return (monitor_hardware_bits(guest, raw) & ~raw) != 0;
}

void monitor_judge_atomic(struct monitor *monitor, const struct table *table,
                          const struct slot *slot, const struct sim_event *event)
{
    const uint64_t bits = monitor_hardware_bits(table->guest, slot->raw);
    const uint64_t set = event->old & ~slot->raw & bits;

    if (is_plain(event->kind) && event->new != 0 && is_racing(table->guest, slot->raw)) {
        monitor_blame(monitor, MONITOR_HARDWARE, slot,
                      "a plain store over what hardware may just have set");
    } else if (event->kind == SIM_SWAP && (set & ~event->new) != 0 &&
               monitor_entry_kind(table->level, event->new) == ENTRY_LEAF) {
        monitor_blame(monitor, MONITOR_HARDWARE, slot, "a swap loses what hardware has set");
    }
}

/* The run that the slot is in is looked at when the operation is over. */
static void note_run(struct monitor *monitor, const struct table *table, struct slot *slot)
{
    const size_t run = monitor_run_entries(table->guest, table->level);

    monitor_note_slot(&monitor->runs, slot - monitor_index_of(table, slot) % run);
}

static void see_break(struct monitor *monitor, struct table *table, struct slot *slot,
                      const struct sim_event *event)
{
    const struct guest *guest = table->guest;
    struct place place;

    monitor_note_torn(monitor, table, slot, event->old);
    if (monitor_entry_kind(table->level, event->old) == ENTRY_TABLE) {
        (void)monitor_require(monitor, table, slot, event->old, DEBT_TABLE);
        if (monitor_place_pa(monitor, monitor_output(guest, event->old), &place) &&
            place.table != NULL && place.table->parent == table) {
            slot->invalidation->below = place.table;
            monitor_unlink(place.table, slot->invalidation);
        }
        return;
    }
    monitor_judge_atomic(monitor, table, slot, event);
    if ((event->old & DESC_CONTIGUOUS) != 0) {
        note_run(monitor, table, slot);
    }
    if (slot->invalidation != NULL || monitor_is_cacheable(guest, event->old)) {
        (void)monitor_require(monitor, table, slot, event->old, DEBT_LEAF);
    } else {
        monitor_leaf_gone(monitor, table, event->old);
    }
}

static void see_make(struct monitor *monitor, struct table *table, struct slot *slot,
                     const struct sim_event *event)
{
    const struct invalidation *incomplete = monitor_incomplete(monitor, slot);

    if (incomplete != NULL) {
        monitor_blame(monitor, monitor_invalidation_rule(monitor, incomplete), slot,
                      "made again before it is clean");
        return;
    }
    while (slot->invalidation != NULL) {
        monitor_settle(monitor, slot->invalidation);
    }
    if (monitor_entry_kind(table->level, event->new) == ENTRY_TABLE) {
        monitor_judge_run(monitor, table, slot, event->new);
        monitor_link_below(monitor, table, slot, event->new, monitor_is_release(event));
    } else {
        monitor_leaf_shown(monitor, table, slot, event->new);
        monitor_judge_data(monitor, table, slot, event->new);
        monitor_judge_run(monitor, table, slot, event->new);
    }
    if (monitor->config.is_direct && !monitor_is_silent(monitor)) {
        monitor_judge_larger(monitor, table, slot, event->new);
    }
}

/* A leaf gains or loses the contiguous hint, and stays what it is. */
static void see_hint(struct monitor *monitor, struct table *table, struct slot *slot,
                     const struct sim_event *event)
{
    monitor_judge_atomic(monitor, table, slot, event);
    monitor_judge_run(monitor, table, slot, event->new);
    note_run(monitor, table, slot);
    if (monitor_is_cacheable(table->guest, event->old)) {
        (void)monitor_require(monitor, table, slot, event->old, DEBT_TIGHTENED);
    }
}

/* A valid leaf that becomes another. */
static void see_change(struct monitor *monitor, struct table *table, struct slot *slot,
                       const struct sim_event *event)
{
    const unsigned before = monitor_accesses(monitor, table->guest, event->old);
    const unsigned after = monitor_accesses(monitor, table->guest, event->new);
    const unsigned code = ACCESS_EL1 | ACCESS_EL0;

    if (monitor->config.is_direct && monitor_is_hint_change(table->guest, event->old, event->new)) {
        see_hint(monitor, table, slot, event);
        return;
    }
    if (((event->old ^ event->new) & ~DESC_IN_PLACE) != 0) {
        monitor_blame(monitor, MONITOR_NO_BREAK, slot, "0x%llx became 0x%llx",
                      (unsigned long long)event->old, (unsigned long long)event->new);
        return;
    }
    monitor_judge_atomic(monitor, table, slot, event);
    monitor_judge_run(monitor, table, slot, event->new);
    if ((after & ~before & code) != 0) {
        monitor_judge_data(monitor, table, slot, event->new);
    }
    if (before != after && monitor_is_cacheable(table->guest, event->old)) {
        (void)monitor_require(monitor, table, slot, event->old,
                              (before & ~after) != 0 ? DEBT_TIGHTENED : DEBT_RELAXED);
    }
}

static void see_live(struct monitor *monitor, struct table *table, struct slot *slot,
                     const struct sim_event *event)
{
    const enum entry_kind before = monitor_entry_kind(table->level, event->old);
    const enum entry_kind after = monitor_entry_kind(table->level, event->new);

    if (event->kind == SIM_FILL) {
        monitor_blame(monitor, MONITOR_FILL_LIVE, slot, "walkers may be reading this table");
    } else if (before == ENTRY_INVALID) {
        if (after != ENTRY_INVALID) {
            see_make(monitor, table, slot, event);
        }
    } else if (after == ENTRY_INVALID) {
        see_break(monitor, table, slot, event);
    } else if (before == ENTRY_LEAF && after == ENTRY_LEAF) {
        see_change(monitor, table, slot, event);
    } else if (before != after && monitor->config.is_direct) {
        monitor_see_direct(monitor, table, slot, event);
    } else if (event->old != event->new) {
        monitor_blame(monitor, MONITOR_NO_BREAK, slot, "0x%llx became 0x%llx",
                      (unsigned long long)event->old, (unsigned long long)event->new);
    }
}

/* A write into a frame that is no table, or not any more, or not yet. */
static void see_dark(struct monitor *monitor, const struct place *place)
{
    if (place->unit->leaves > 0) {
        monitor_settle_all(monitor);
    }
    if (place->unit->leaves > 0) {
        monitor_blame(monitor, MONITOR_REUSED, place->slot,
                      "a guest, or its TLB, may lead to this frame");
    }
}

void monitor_see_write(struct monitor *monitor, const struct sim_event *event)
{
    struct place place;
    struct slot *slot;

    if (!monitor_place(monitor, event->slot, &place) || !event->done) {
        return;
    }
    slot = place.slot;
    if (place.table != NULL && place.table->state == TABLE_UNLINKED) {
        monitor_settle_all(monitor);
        if (monitor_is_silent(monitor) || place.unit->table != NULL) {
            monitor_blame(monitor, MONITOR_REUSED, slot, "a TLB may still lead to this table");
            return;
        }
        place.table = NULL;
    }
    if (place.table == NULL) {
        see_dark(monitor, &place);
    } else {
        see_live(monitor, place.table, slot, event);
        monitor->cpus[event->cpu].stored_at = monitor->clock;
        if (place.table->guest->given.is_non_coherent) {
            monitor_note_slot(&monitor->lines, slot);
        }
    }
    slot->raw = event->new;
    slot->written_at = monitor->clock;
    slot->cpu = (uint32_t)event->cpu;
}
