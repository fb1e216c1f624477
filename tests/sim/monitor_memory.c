#include "tests/sim/monitor_private.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOT_SIZE sizeof(uint64_t)
#define HCR_FWB (UINT64_C(1) << 46)
#define MEMATTR(raw) ((raw) >> 2 & 0xf)
#define MEMATTR_FORCED 0x6 /* with FWB: write-back, whatever stage 1 says */

static void require(bool condition, const char *rule)
{
    if (!condition) {
        fprintf(stderr, "monitor: %s\n", rule);
        abort();
    }
}

static unsigned line_size(const struct monitor *monitor)
{
    return monitor->config.cache_line == 0 ? 64 : monitor->config.cache_line;
}

/* --- Regions --------------------------------------------------------------------------------- */

struct region *monitor_region_add(struct monitor *monitor, uint64_t pa, const void *memory,
                                  uint64_t size)
{
    struct region *region = &monitor->regions[monitor->region_count];

    require(monitor->region_count < REGIONS, "too many regions");
    *region = (struct region){
        .pa = pa,
        .size = size,
        .base = (uintptr_t)memory,
        .slots = calloc((size_t)(size / SLOT_SIZE), sizeof(struct slot)),
        .lines = calloc((size_t)(size / line_size(monitor)) + 1, sizeof(struct line)),
        .units = calloc((size_t)(size >> UNIT_SHIFT) + 1, sizeof(struct unit)),
    };
    require(region->slots != NULL && region->lines != NULL && region->units != NULL,
            "no memory for a region");
    monitor->region_count++;
    return region;
}

void monitor_map_banks(struct monitor *monitor)
{
    const struct sim_memory *memory = monitor->config.memory;

    for (size_t i = 0; i < memory->bank_count; i++) {
        const struct frame_region *bank = &memory->banks[i];

        if (bank->memory != NULL) {
            (void)monitor_region_add(monitor, bank->base.raw, bank->memory,
                                     (uint64_t)bank->frame_count << memory->frame_shift);
        }
    }
}

void monitor_unmap_banks(struct monitor *monitor)
{
    for (size_t i = 0; i < monitor->region_count; i++) {
        free(monitor->regions[i].slots);
        free(monitor->regions[i].lines);
        free(monitor->regions[i].units);
    }
}

static void place_in(struct region *region, uint64_t offset, struct place *place)
{
    place->region = region;
    place->index = (size_t)(offset / SLOT_SIZE);
    place->slot = &region->slots[place->index];
    place->unit = &region->units[offset >> UNIT_SHIFT];
    place->table = place->unit->table;
}

bool monitor_place(struct monitor *monitor, const void *address, struct place *place)
{
    for (size_t i = 0; i < monitor->region_count; i++) {
        struct region *region = &monitor->regions[i];
        const uint64_t offset = (uint64_t)((uintptr_t)address - region->base);

        if (offset < region->size) {
            place_in(region, offset, place);
            return true;
        }
    }
    return false;
}

bool monitor_place_pa(struct monitor *monitor, uint64_t pa, struct place *place)
{
    for (size_t i = 0; i < monitor->region_count; i++) {
        struct region *region = &monitor->regions[i];

        if (pa - region->pa < region->size) {
            place_in(region, pa - region->pa, place);
            return true;
        }
    }
    return false;
}

struct place monitor_place_of(struct monitor *monitor, const struct slot *slot)
{
    struct place place = {0};

    for (size_t i = 0; i < monitor->region_count; i++) {
        struct region *region = &monitor->regions[i];
        const uintptr_t offset = (uintptr_t)slot - (uintptr_t)region->slots;

        if (offset < region->size / SLOT_SIZE * sizeof(*slot)) {
            place_in(region, offset / sizeof(*slot) * SLOT_SIZE, &place);
        }
    }
    require(place.slot == slot, "a slot of no region");
    return place;
}

uint64_t monitor_peek(const struct place *place)
{
    const uint64_t *word = (const uint64_t *)(place->region->base + place->index * SLOT_SIZE);

    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* --- Cache lines ----------------------------------------------------------------------------- */

struct line *monitor_line(const struct monitor *monitor, const struct place *place)
{
    return &place->region->lines[place->index * SLOT_SIZE / line_size(monitor)];
}

bool monitor_line_is_clean(const struct monitor *monitor, const struct line *line, uint64_t since)
{
    return line->cleaned_at > since && monitor->cpus[line->cpu].dsb_ish_at > line->cleaned_at;
}

void monitor_see_clean(struct monitor *monitor, const struct sim_event *event)
{
    struct place place;
    struct line *line;

    if (!monitor_place(monitor, event->slot, &place)) {
        return;
    }
    line = monitor_line(monitor, &place);
    line->cleaned_at = monitor->clock;
    line->cpu = event->cpu;
    if (event->kind == SIM_DC_CIVAC) {
        line->invalidated_at = monitor->clock;
    }
}

/* --- What leaves lead to --------------------------------------------------------------------- */

/* The part of a region that a leaf leads to: units [first, last). */
struct overlap {
    struct region *region;
    size_t first;
    size_t last;
};

/* The next of them, starting the search at region @from; false: no more. */
static bool next_overlap(struct monitor *monitor, uint64_t pa, uint64_t size, size_t *from,
                         struct overlap *overlap)
{
    for (; *from < monitor->region_count; (*from)++) {
        struct region *region = &monitor->regions[*from];
        const uint64_t start = pa > region->pa ? pa : region->pa;
        const uint64_t end =
            pa + size < region->pa + region->size ? pa + size : region->pa + region->size;

        if (start < end) {
            overlap->region = region;
            overlap->first = (size_t)((start - region->pa) >> UNIT_SHIFT);
            overlap->last =
                (size_t)((end - region->pa + (UINT64_C(1) << UNIT_SHIFT) - 1) >> UNIT_SHIFT);
            (*from)++;
            return true;
        }
    }
    return false;
}

/* Whether stage 2 forces write-back, whatever the guest's stage 1 says. */
bool monitor_is_write_back(const struct guest *guest, uint64_t raw)
{
    return (guest->given.hcr & HCR_FWB) != 0 && MEMATTR(raw) == MEMATTR_FORCED;
}

/* A table that went, but whose frames were not yet looked at, is no table any more. */
static bool is_table(struct monitor *monitor, struct unit *unit)
{
    if (unit->table != NULL && unit->table->state == TABLE_UNLINKED) {
        monitor_settle_all(monitor);
    }
    return unit->table != NULL;
}

void monitor_leaf_shown(struct monitor *monitor, struct table *table, struct slot *slot,
                        uint64_t raw)
{
    const uint64_t pa = monitor_output(table->guest, raw);
    const uint64_t size = monitor_span(table->guest, table->level);
    struct overlap overlap;

    for (size_t from = 0; next_overlap(monitor, pa, size, &from, &overlap);) {
        for (size_t i = overlap.first; i < overlap.last; i++) {
            const uint64_t at = overlap.region->pa + (i << UNIT_SHIFT);

            if (is_table(monitor, &overlap.region->units[i])) {
                monitor_blame(monitor, MONITOR_EXPOSED, slot,
                              "the frame at PA 0x%llx is a translation table",
                              (unsigned long long)at);
                return;
            }
            overlap.region->units[i].leaves++;
        }
        table->leaves_here++;
    }
}

void monitor_leaf_gone(struct monitor *monitor, struct table *table, uint64_t raw)
{
    const uint64_t pa = monitor_output(table->guest, raw);
    const uint64_t size = monitor_span(table->guest, table->level);
    const bool is_forced = monitor_is_write_back(table->guest, raw);
    struct overlap overlap;

    for (size_t from = 0; next_overlap(monitor, pa, size, &from, &overlap);) {
        for (size_t i = overlap.first; i < overlap.last; i++) {
            struct unit *unit = &overlap.region->units[i];

            unit->leaves -= unit->leaves > 0 ? 1 : 0;
            unit->gone_at = is_forced ? unit->gone_at : monitor->clock;
        }
        if (table->leaves_here > 0) {
            table->leaves_here--;
        }
    }
}

static bool code_is_fresh(const struct monitor *monitor, uint64_t since)
{
    for (size_t i = 0; i < SIM_CPUS; i++) {
        if (monitor->cpus[i].ic_at > since &&
            monitor->cpus[i].dsb_ish_at > monitor->cpus[i].ic_at) {
            return true;
        }
    }
    return false;
}

/* One line that our side wrote; false: it was blamed. */
static bool judge_line(struct monitor *monitor, const struct line *line, const struct slot *slot,
                       bool is_forced, bool is_code)
{
    const bool is_clean = line->invalidated_at > line->wrote_at &&
                          monitor_line_is_clean(monitor, line, line->wrote_at);
    const uint64_t since = is_forced ? line->wrote_at : line->invalidated_at;

    if (line->wrote_at == 0) {
        return true;
    }
    if (!is_forced && !is_clean) {
        monitor_blame(monitor, MONITOR_DATA_DIRTY, slot,
                      "a line was written and not cleaned and invalidated to PoC since");
        return false;
    }
    if (is_code && !monitor->config.has_dic && !code_is_fresh(monitor, since)) {
        monitor_blame(monitor, MONITOR_CODE_STALE, slot,
                      "a line was written and no IC IALLUIS, DSB ISH followed");
        return false;
    }
    return true;
}

void monitor_judge_data(struct monitor *monitor, const struct table *table, const struct slot *slot,
                        uint64_t raw)
{
    const struct guest *guest = table->guest;
    const bool is_forced = monitor_is_write_back(guest, raw);
    const bool is_code = monitor_can_execute(monitor, raw);
    const size_t lines = (size_t)(UINT64_C(1) << UNIT_SHIFT) / line_size(monitor);
    const uint64_t pa = monitor_output(guest, raw);
    struct overlap overlap;
    bool is_fit = true;

    for (size_t from = 0;
         next_overlap(monitor, pa, monitor_span(guest, table->level), &from, &overlap);) {
        for (size_t i = overlap.first * lines; i < overlap.last * lines && is_fit; i++) {
            if (overlap.region->units[i / lines].wrote_at == 0) {
                i += lines - 1;
            } else {
                is_fit = judge_line(monitor, &overlap.region->lines[i], slot, is_forced, is_code);
            }
        }
    }
}

void monitor_wrote(struct monitor *monitor, uint64_t pa, uint64_t size)
{
    const uint64_t line = line_size(monitor);
    struct overlap overlap;

    monitor_returned(monitor, pa, size);
    monitor->clock++;
    for (size_t from = 0; next_overlap(monitor, pa, size, &from, &overlap);) {
        struct region *region = overlap.region;
        const uint64_t start = pa > region->pa ? pa - region->pa : 0;
        const uint64_t end =
            pa + size - region->pa < region->size ? pa + size - region->pa : region->size;

        for (size_t i = overlap.first; i < overlap.last; i++) {
            region->units[i].wrote_at = monitor->clock;
        }
        for (uint64_t at = start - start % line; at < end; at += line) {
            region->lines[at / line].wrote_at = monitor->clock;
        }
    }
}

void monitor_read(struct monitor *monitor, uint64_t pa, uint64_t size)
{
    const uint64_t line = line_size(monitor);
    struct overlap overlap;

    for (size_t from = 0; next_overlap(monitor, pa, size, &from, &overlap);) {
        struct region *region = overlap.region;
        const uint64_t start = pa > region->pa ? pa - region->pa : 0;
        const uint64_t end =
            pa + size - region->pa < region->size ? pa + size - region->pa : region->size;

        for (uint64_t at = start - start % line; at < end; at += line) {
            const uint64_t gone_at = region->units[at >> UNIT_SHIFT].gone_at;
            const struct line *found = &region->lines[at / line];

            if (gone_at != 0 && (found->invalidated_at <= gone_at ||
                                 !monitor_line_is_clean(monitor, found, gone_at))) {
                monitor_blame(monitor, MONITOR_READ_STALE, &region->slots[at / SLOT_SIZE],
                              "no clean and invalidate since the guest lost it");
                return;
            }
        }
    }
}

/* Whether what is to be invalidated, or was, led there. */
static bool invalidation_leads_to(const struct invalidation *invalidation, uint64_t pa,
                                  uint64_t size)
{
    const uint64_t output = monitor_output(invalidation->table->guest, invalidation->old);

    return invalidation->kind == DEBT_LEAF && output < pa + size &&
           pa < output + invalidation->size;
}

void monitor_returned(struct monitor *monitor, uint64_t pa, uint64_t size)
{
    for (const struct guest *guest = monitor->guests; guest != NULL; guest = guest->next) {
        for (const struct invalidation *invalidation = guest->invalidations; invalidation != NULL;
             invalidation = invalidation->next) {
            if (invalidation_leads_to(invalidation, pa, size) &&
                !monitor_is_complete(monitor, invalidation)) {
                monitor_blame(monitor, MONITOR_REUSED, invalidation->slot,
                              "memory at PA 0x%llx is used while a TLB may lead to it",
                              (unsigned long long)pa);
                return;
            }
        }
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
        for (const struct invalidation *invalidation = guest->table_invalidations;
             invalidation != NULL; invalidation = invalidation->next) {
            if (invalidation->below != NULL) {
                judge_taken(monitor, invalidation->below, invalidation->slot);
            }
        }
    }
}
