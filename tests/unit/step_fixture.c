#include "tests/unit/step_fixture.h"

#include "stage2/arch/desc.h"
#include "tests/sim/sim.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- Portraits ------------------------------------------------------------------------------- */

static void add(struct portrait *portrait, struct portrait_entry entry)
{
    if (portrait->count == portrait->room) {
        portrait->room = portrait->room == 0 ? 1024 : 2 * portrait->room;
        portrait->entries = realloc(portrait->entries, portrait->room * sizeof(entry));
        ck_assert_ptr_nonnull(portrait->entries);
    }
    portrait->entries[portrait->count] = entry;
    portrait->count++;
}

static void add_table(struct portrait *portrait, const struct s2_table *table,
                      const s2_desc_t *entries, uint64_t base, int level)
{
    const struct s2_geometry *geometry = s2_table_geometry(table);
    const uint64_t size = s2_level_size(geometry, level);
    const unsigned count =
        level == geometry->start_level ? s2_root_entries(geometry) : s2_table_entries(geometry);

    for (unsigned i = 0; i < count; i++) {
        const bool is_table = s2_desc_is_table(entries[i], level);
        const uint64_t ipa = base + i * size;

        if (!s2_desc_is_none(entries[i])) {
            add(portrait, (struct portrait_entry){ipa, is_table ? 0 : entries[i].raw,
                                                  (uint64_t)(level - S2_LEVEL_FIRST)});
        }
        if (is_table) {
            const pa_t pa = s2_desc_address(&table->format, entries[i]);

            add_table(portrait, table, frame_pool_ptr(table->pool, pa), ipa, level + 1);
        }
    }
}

void portrait_take(struct portrait *portrait, const struct s2_table *table)
{
    *portrait = (struct portrait){0};
    add_table(portrait, table, table->root, 0, s2_table_geometry(table)->start_level);
}

void portrait_free(struct portrait *portrait)
{
    free(portrait->entries);
    *portrait = (struct portrait){0};
}

void portrait_assert_same(const struct portrait *portrait, const struct s2_table *table,
                          const char *what, uint64_t budget)
{
    struct portrait now;
    size_t i = 0;

    portrait_take(&now, table);
    while (i < now.count && i < portrait->count &&
           memcmp(&now.entries[i], &portrait->entries[i], sizeof(now.entries[i])) == 0) {
        i++;
    }
    if (i < now.count || i < portrait->count) {
        const struct portrait_entry *is = i < now.count ? &now.entries[i] : NULL;
        const struct portrait_entry *was = i < portrait->count ? &portrait->entries[i] : NULL;

        ck_abort_msg("%s, budget %" PRIu64 ": entry %zu: %" PRIx64 " at %" PRIx64
                     ", it should be %" PRIx64 " at %" PRIx64,
                     what, budget, i, is == NULL ? 0 : is->desc, is == NULL ? 0 : is->ipa,
                     was == NULL ? 0 : was->desc, was == NULL ? 0 : was->ipa);
    }
    portrait_free(&now);
}

/* --- What was looked at ---------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

    return x < y ? -1 : x > y;
}

static bool is_about_descriptor(enum sim_kind kind)
{
    return kind == SIM_LOAD || kind == SIM_STORE || kind == SIM_PUBLISH || kind == SIM_SWAP ||
           kind == SIM_REPLACE;
}

size_t step_slots_seen(void)
{
    const struct sim_event *events = sim_events();
    const size_t total = sim_event_total();
    uintptr_t *slots = calloc(total + 1, sizeof(*slots));
    size_t count = 0, different = 0;

    ck_assert_ptr_nonnull(slots);
    for (size_t i = 0; i < total; i++) {
        if (is_about_descriptor(events[i].kind)) {
            slots[count] = (uintptr_t)events[i].slot;
            count++;
        }
    }
    qsort(slots, count, sizeof(*slots), by_address);
    for (size_t i = 0; i < count; i++) {
        different += i == 0 || slots[i] != slots[i - 1] ? 1 : 0;
    }
    free(slots);
    return different;
}
