#include "tests/sim/monitor_private.h"

#define BIT_AT(n) (UINT64_C(1) << (n))
#define MASK(hi, lo) ((UINT64_MAX >> (63 - (hi))) & (UINT64_MAX << (lo)))

#define DESC_TABLE BIT_AT(1)
#define DESC_MEMATTR MASK(5, 2)
#define DESC_WRITE BIT_AT(7)
#define DESC_SH MASK(9, 8)
#define DESC_AF BIT_AT(10)
#define DESC_DBM BIT_AT(51)
#define DESC_CONTIGUOUS BIT_AT(52)
#define DESC_SOFTWARE MASK(58, 55)

/* A leaf in its place. */
struct leaf {
    uint64_t raw;
    int level;
    uint64_t ipa;
};

/* How alike two translations must be. */
enum likeness {
    LIKE_OUTPUT, /* output and memory type: what a TLB may answer with beside the other */
    LIKE_OLD,    /* all of it, and .new has no less of what hardware sets than .old */
};

static struct leaf leaf_of(const struct table *table, const struct slot *slot, uint64_t raw)
{
    const uint64_t span = monitor_span(table->guest, table->level);

    return (struct leaf){raw, table->level, table->ipa + monitor_index_of(table, slot) * span};
}

/* What hardware may have set in one of two leaves that are the same but for it. */
static uint64_t hardware_bits(const struct guest *guest, uint64_t a, uint64_t b)
{
    return DESC_AF | (guest->has_hd && (a & b & DESC_DBM) != 0 ? DESC_WRITE : 0);
}

static uint64_t output_at(const struct guest *guest, const struct leaf *leaf, uint64_t ipa)
{
    const uint64_t span = monitor_span(guest, leaf->level);

    return (monitor_output(guest, leaf->raw) & ~(span - 1)) + (ipa - leaf->ipa);
}

/* What is wrong with @new where @old was: they overlap, one of them the larger. */
static enum monitor_rule compare(const struct guest *guest, const struct leaf *old,
                                 const struct leaf *new, enum likeness likeness)
{
    const uint64_t at = old->ipa > new->ipa ? old->ipa : new->ipa;
    const uint64_t bits = hardware_bits(guest, old->raw, new->raw);
    const uint64_t aside =
        monitor_address_bits(guest) | DESC_TABLE | DESC_CONTIGUOUS | DESC_SOFTWARE | bits;
    const uint64_t type = DESC_MEMATTR | (guest->has_ds ? 0 : DESC_SH);
    const uint64_t changed = old->raw ^ new->raw;

    if (output_at(guest, old, at) != output_at(guest, new, at) ||
        (changed & (likeness == LIKE_OUTPUT ? type : ~aside)) != 0) {
        return MONITOR_NO_BREAK;
    }
    if (likeness == LIKE_OLD && (old->raw & ~new->raw &bits) != 0) {
        return MONITOR_HARDWARE;
    }
    return MONITOR_OK;
}

/* --- Trees ----------------------------------------------------------------------------------- */

/* A tree beside one leaf that stands for all of it. */
struct comparison {
    struct monitor *monitor;
    struct leaf leaf;
    enum likeness likeness;
    bool is_leaf_new;        /* else the tree is */
    const struct slot *slot; /* the first that differs, */
    enum monitor_rule rule;  /* and how */
};

static void compare_tree(struct comparison *comparison, const struct table *table);

static void compare_entry(struct comparison *comparison, const struct table *table,
                          const struct place *place)
{
    const struct leaf here = leaf_of(table, place->slot, monitor_peek(place));
    const struct leaf *old = comparison->is_leaf_new ? &here : &comparison->leaf;
    const struct leaf *new = comparison->is_leaf_new ? &comparison->leaf : &here;
    struct place below;

    comparison->slot = place->slot;
    switch (monitor_entry_kind(here.level, here.raw)) {
    case ENTRY_INVALID:
        comparison->rule = comparison->likeness == LIKE_OUTPUT ? MONITOR_OK : MONITOR_NO_BREAK;
        return;
    case ENTRY_LEAF:
        comparison->rule = compare(table->guest, old, new, comparison->likeness);
        return;
    case ENTRY_TABLE:
        break;
    }
    if (monitor_place_pa(comparison->monitor, monitor_output(table->guest, here.raw), &below) &&
        below.table != NULL) {
        compare_tree(comparison, below.table);
    }
}

static void compare_tree(struct comparison *comparison, const struct table *table)
{
    struct place place;

    for (size_t i = 0; i < table->entries && comparison->rule == MONITOR_OK; i++) {
        (void)monitor_place_pa(comparison->monitor, table->pa + i * sizeof(uint64_t), &place);
        compare_entry(comparison, table, &place);
    }
}

/* @raw, a table or a leaf at @slot, beside a leaf that it replaced or lies in. */
static void judge_like(struct comparison *comparison, struct table *table, struct slot *slot,
                       uint64_t raw)
{
    const struct leaf here = leaf_of(table, slot, raw);
    struct place below;

    comparison->slot = slot;
    comparison->rule = MONITOR_OK;
    if (monitor_entry_kind(table->level, raw) == ENTRY_LEAF) {
        comparison->rule = compare(table->guest, &comparison->leaf, &here, comparison->likeness);
    } else if (monitor_place_pa(comparison->monitor, monitor_output(table->guest, raw), &below) &&
               below.table != NULL) {
        compare_tree(comparison, below.table);
    }
}

/* --- Changes of size ------------------------------------------------------------------------- */

static void blame_unlike(const struct comparison *comparison, const struct slot *slot)
{
    const char *what = comparison->rule == MONITOR_HARDWARE ? "has less of what hardware set than"
                                                            : "translates otherwise than";

    if (comparison->rule != MONITOR_OK) {
        monitor_blame(comparison->monitor, comparison->rule, slot,
                      "changed directly, and what is new %s what was there, first in the entry at "
                      "which this table lies: 0x%llx",
                      what, (unsigned long long)comparison->slot->raw);
    }
}

static void see_split(struct monitor *monitor, struct table *table, struct slot *slot,
                      const struct sim_event *event)
{
    struct comparison comparison = {
        .monitor = monitor, .leaf = leaf_of(table, slot, event->old), .likeness = LIKE_OLD};

    monitor_judge_atomic(monitor, table, slot, event);
    monitor_judge_run(monitor, table, slot, event->new);
    if (monitor_is_cacheable(table->guest, event->old)) {
        monitor_require(monitor, table, slot, event->old, DEBT_LEAF)->is_direct = true;
    } else {
        monitor_leaf_gone(monitor, table, event->old);
    }
    monitor_link_below(monitor, table, slot, event->new, monitor_is_release(event));
    if (!monitor_is_silent(monitor)) {
        judge_like(&comparison, table, slot, event->new);
        blame_unlike(&comparison, slot);
    }
}

static void see_join(struct monitor *monitor, struct table *table, struct slot *slot,
                     const struct sim_event *event)
{
    struct comparison comparison = {.monitor = monitor,
                                    .leaf = leaf_of(table, slot, event->new),
                                    .likeness = LIKE_OLD,
                                    .is_leaf_new = true};
    struct place below;
    struct invalidation *invalidation;

    if (!monitor_place_pa(monitor, monitor_output(table->guest, event->old), &below) ||
        below.table == NULL || below.table->parent != table) {
        return; /* blamed when it was linked */
    }
    compare_tree(&comparison, below.table);
    blame_unlike(&comparison, slot);
    invalidation = monitor_require(monitor, table, slot, event->old, DEBT_TABLE);
    invalidation->is_direct = true;
    invalidation->below = below.table;
    monitor_unlink(below.table, invalidation);
    monitor_leaf_shown(monitor, table, slot, event->new);
    monitor_judge_data(monitor, table, slot, event->new);
    monitor_judge_run(monitor, table, slot, event->new);
}

void monitor_see_direct(struct monitor *monitor, struct table *table, struct slot *slot,
                        const struct sim_event *event)
{
    if (monitor_entry_kind(table->level, event->new) == ENTRY_TABLE) {
        see_split(monitor, table, slot, event);
    } else {
        see_join(monitor, table, slot, event);
    }
    if (!monitor_is_silent(monitor)) {
        monitor_judge_larger(monitor, table, slot, event->new);
    }
}

/* --- The contiguous hint --------------------------------------------------------------------- */

bool monitor_is_hint_change(const struct guest *guest, uint64_t old, uint64_t new)
{
    const uint64_t bits = hardware_bits(guest, old, new);

    return ((old ^ new) & DESC_CONTIGUOUS) != 0 &&
           ((old ^ new) & ~(DESC_CONTIGUOUS | DESC_SOFTWARE | bits)) == 0 &&
           (old & ~new &bits) == 0;
}

/* --- What is still held ---------------------------------------------------------------------- */

/* @raw at @slot, beside what @invalidation, of @mate in @where, may have left in a TLB. */
static void judge_beside(struct monitor *monitor, const struct invalidation *invalidation,
                         struct table *table, struct slot *slot, uint64_t raw)
{
    struct comparison comparison = {
        .monitor = monitor,
        .leaf = {invalidation->old, invalidation->level, invalidation->ipa},
        .likeness = LIKE_OUTPUT};

    judge_like(&comparison, table, slot, raw);
    if (comparison.rule != MONITOR_OK) {
        monitor_blame(monitor, monitor_invalidation_rule(monitor, invalidation), slot,
                      "made while a TLB may still hold 0x%llx, which covers it",
                      (unsigned long long)invalidation->old);
    }
}

/* Tables above that were larger leaves a moment ago. */
static void judge_above(struct monitor *monitor, struct table *table, struct slot *slot,
                        uint64_t raw)
{
    for (const struct table *at = table; at->parent != NULL; at = at->parent) {
        const struct table *parent = at->parent;
        const uint64_t span = monitor_span(parent->guest, parent->level);
        struct place place;

        (void)monitor_place_pa(
            monitor, parent->pa + (at->ipa - parent->ipa) / span * sizeof(uint64_t), &place);
        for (const struct invalidation *invalidation = place.slot->invalidation;
             invalidation != NULL; invalidation = invalidation->older) {
            if (invalidation->is_direct && invalidation->kind == DEBT_LEAF &&
                !monitor_is_complete(monitor, invalidation)) {
                judge_beside(monitor, invalidation, table, slot, raw);
            }
        }
    }
}

/* The copy of its mate @invalidation translates for all of a run: what is made at @slot, a leaf or
 * a table, must answer likewise. */
static void judge_mate(struct monitor *monitor, const struct invalidation *invalidation,
                       struct table *table, struct slot *slot, uint64_t raw)
{
    struct comparison comparison = {
        .monitor = monitor,
        .leaf = {invalidation->old, invalidation->level, invalidation->ipa},
        .likeness = LIKE_OUTPUT};

    judge_like(&comparison, table, slot, raw);
    if (comparison.rule != MONITOR_OK) {
        monitor_blame(monitor, monitor_invalidation_rule(monitor, invalidation), slot,
                      "made while a TLB may still hold a run by its entry 0x%llx",
                      (unsigned long long)invalidation->old);
    }
}

static void judge_mates(struct monitor *monitor, struct table *table, struct slot *slot,
                        uint64_t raw)
{
    const size_t run = monitor_run_entries(table->guest, table->level);
    const size_t into = monitor_index_of(table, slot) % run;
    struct slot *first = slot - into;

    if (monitor_index_of(table, slot) - into + run > table->entries) {
        return;
    }
    for (size_t i = 0; i < run; i++) {
        for (const struct invalidation *invalidation = i == into ? NULL : first[i].invalidation;
             invalidation != NULL; invalidation = invalidation->older) {
            if (invalidation->had_hint && !monitor_is_complete(monitor, invalidation)) {
                judge_mate(monitor, invalidation, table, slot, raw);
            }
        }
    }
}

void monitor_judge_larger(struct monitor *monitor, struct table *table, struct slot *slot,
                          uint64_t raw)
{
    judge_above(monitor, table, slot, raw);
    judge_mates(monitor, table, slot, raw);
}
