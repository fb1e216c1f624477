/* bench_space.c - a guest's address space of as many one-page areas as the group says: areas and
 * tables together. Their memory runs the other way, so that no two areas can be joined. */
#include "tests/bench/areas.h"
#include "tests/bench/bench.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/bench_guest.h"
#include "tests/bench/floor.h"

#define CALLS 1024
#define SPACE_FLAGS (S2_READ | S2_WRITE)
#define FLOOR_DESC UINT64_C(0x7ff)
#define FLOOR_WRITE UINT64_C(0x80)

static struct guest_pool pool;
static struct s2_space space;
static struct memory_node *nodes;
static struct bench_order order;
static uint64_t area_count;
static uint64_t asked[CALLS]; /* pages that a round is about */
static uint64_t expected;     /* the sum of its answers */
static uint64_t found;
static mapping_flags_t flags_now = SPACE_FLAGS;

/* The floor's. */
static struct floor_table floor_pages;
static uint64_t *starts; /* page numbers */
static struct memory_area *records;

static pa_t memory_of(uint64_t page)
{
    return guest_pa(4 * area_count - page);
}

static void map_one(uint64_t page)
{
    guest_must(s2_space_map_linear(&space, guest_page(page), memory_of(page), SPACE_FLAGS));
}

static void init_floor(uint64_t n)
{
    const uint64_t pages = areas_page(n) + 1;

    floor_table_init(&floor_pages, (pages / FLOOR_ENTRIES + 1) * FLOOR_ENTRIES);
    starts = bench_memory((size_t)n * sizeof(*starts));
    records = bench_memory((size_t)n * sizeof(*records));
    for (uint64_t slot = 0; slot < n; slot++) {
        starts[slot] = areas_page(slot);
        floor_store(floor_slot(&floor_pages, starts[slot]), FLOOR_DESC);
    }
}

static void init(uint64_t n)
{
    struct s2_space_config config = {.table = guest_config(S2_HARDWARE_UPDATE_NONE), .vmid = 1};
    const size_t tables = (size_t)(areas_page(n) / FLOOR_ENTRIES);

    area_count = n;
    nodes = bench_memory((size_t)(n + CALLS) * sizeof(*nodes));
    guest_pool_init(&pool, tables + tables / FLOOR_ENTRIES + 64);
    config.table_pool = &pool.pool;
    config.nodes = nodes;
    config.node_count = (size_t)n + CALLS;
    guest_must(s2_space_init(&space, &config));
    bench_order_init(&order, (size_t)n);
    bench_order_pick(&order, (size_t)n);
    for (size_t i = 0; i < n; i++) {
        map_one(areas_page(order.numbers[i]));
    }
    init_floor(n);
}

static void fini(void)
{
    bench_must(s2_space_check(&space), "areas and tables disagree");
    guest_must(s2_space_fini(&space));
    guest_pool_fini(&pool);
    floor_table_fini(&floor_pages);
    bench_free(nodes);
    bench_free(starts);
    bench_free(records);
    bench_order_fini(&order);
}

/* --- What a round is about: anywhere, or near each other -------------------------------------- */

static void ask_for(size_t i, uint64_t slot)
{
    asked[i] = areas_page(slot);
    expected += pa_distance(pa_of(0), memory_of(asked[i]));
}

static void begin_round(void)
{
    expected = 0;
    flags_now = flags_now == SPACE_FLAGS ? S2_READ : SPACE_FLAGS;
}

static void pick_any(size_t calls)
{
    begin_round();
    for (size_t i = 0; i < calls; i++) {
        ask_for(i, bench_random_below(area_count));
    }
}

static void pick_near(size_t calls)
{
    begin_round();
    for (size_t i = 0; i < calls; i++) {
        ask_for(i, areas_near(area_count, bench_random_below(AREAS_NEAR)));
    }
}

static void pick_areas(size_t calls)
{
    bench_order_pick(&order, calls);
    for (size_t i = 0; i < calls; i++) {
        asked[i] = areas_page(order.numbers[i]);
    }
}

static void pick_near_areas(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        asked[i] = areas_page(areas_near(area_count, i));
    }
}

static void pick_holes(size_t calls)
{
    bench_order_pick(&order, calls);
    for (size_t i = 0; i < calls; i++) {
        asked[i] = areas_hole(order.numbers[i]);
    }
}

static void pick_near_holes(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        asked[i] = areas_hole(areas_near(area_count, i));
    }
}

/* --- Map and unmap ---------------------------------------------------------------------------- */

static void map(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        map_one(asked[i]);
    }
}

static void unmap(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_space_unmap(&space, guest_page(asked[i])));
    }
}

static bool are_mapped(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_translates(s2_space_table(&space), asked[i], memory_of(asked[i])) &&
              memory_set_find(s2_space_areas(&space), guest_page(asked[i]).start) != NULL;
    }
    return all;
}

static bool are_holes(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_has_hole(s2_space_table(&space), asked[i]) &&
              memory_set_find(s2_space_areas(&space), guest_page(asked[i]).start) == NULL;
    }
    return all;
}

/* Find the place, write what an area holds, and the descriptor. */
static void floor_map(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        records[floor_search(starts, area_count, asked[i])] =
            (struct memory_area){.range = guest_page(asked[i]), .flags = SPACE_FLAGS};
        floor_store(floor_slot(&floor_pages, asked[i]), FLOOR_DESC);
    }
}

static void floor_unmap(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        records[floor_search(starts, area_count, asked[i])].range.size = 0;
        floor_store(floor_slot(&floor_pages, asked[i]), 0);
    }
}

/* --- Protect, look up, fold ------------------------------------------------------------------- */

static void protect(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_space_protect(&space, guest_page(asked[i]), flags_now));
    }
}

static bool have_flags(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_has_flags(s2_space_table(&space), asked[i], flags_now);
    }
    return all;
}

static void floor_protect(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        uint64_t *slot = floor_slot(&floor_pages, asked[i]);

        records[floor_search(starts, area_count, asked[i])].flags = flags_now;
        floor_store(slot, floor_load(slot) & ~FLOOR_WRITE);
    }
}

static void lookup(size_t calls)
{
    found = 0;
    for (size_t i = 0; i < calls; i++) {
        struct s2_leaf leaf;

        guest_must(s2_space_lookup(&space, guest_page(asked[i]).start, &leaf));
        found += pa_distance(pa_of(0), leaf.pa);
    }
}

static bool sum_is_right(size_t calls)
{
    (void)calls;
    return found == expected;
}

static void floor_lookup(size_t calls)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < calls; i++) {
        sum += floor_load(floor_slot(&floor_pages, asked[i]));
    }
    bench_sink = sum;
}

/* Of one page that is an area, and cannot be joined to any: what it takes to find that out. */
static void fold(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_space_fold(&space, guest_page(asked[i])));
    }
}

static bool are_as_before(size_t calls)
{
    return memory_set_len(s2_space_areas(&space)) == area_count && are_mapped(calls);
}

static void floor_fold(size_t calls)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < calls; i++) {
        sum += starts[floor_search(starts, area_count, asked[i])];
        sum += floor_load(floor_slot(&floor_pages, asked[i]));
    }
    bench_sink = sum;
}

/* --------------------------------------------------------------------------------------------- */

#define MAP .ours = {.run = map, .holds = are_mapped, .after = unmap}, .floor = {.run = floor_map}
#define UNMAP \
    .ours = {.run = unmap, .holds = are_holes, .after = map}, .floor = {.run = floor_unmap}
#define PROTECT .ours = {.run = protect, .holds = have_flags}, .floor = {.run = floor_protect}
#define LOOKUP .ours = {.run = lookup, .holds = sum_is_right}, .floor = {.run = floor_lookup}
#define FOLD .ours = {.run = fold, .holds = are_as_before}, .floor = {.run = floor_fold}

static const struct bench_case CASES[] = {
    {.name = "space.map_page", .calls = CALLS, .is_distinct = true, .pick = pick_holes, MAP},
    {.name = "space.unmap_page", .calls = CALLS, .is_distinct = true, .pick = pick_areas, UNMAP},
    {.name = "space.protect_page", .calls = CALLS, .pick = pick_any, PROTECT},
    {.name = "space.lookup", .calls = CALLS, .pick = pick_any, LOOKUP},
    {.name = "space.fold_page", .calls = CALLS, .pick = pick_any, FOLD},

    /* Near each other: what the size of the space costs, and not what memory does. */
    {.name = "space.map_page_near", .calls = AREAS_NEAR, .pick = pick_near_holes, MAP},
    {.name = "space.unmap_page_near", .calls = AREAS_NEAR, .pick = pick_near_areas, UNMAP},
    {.name = "space.protect_page_near", .calls = CALLS, .pick = pick_near, PROTECT},
    {.name = "space.lookup_near", .calls = CALLS, .pick = pick_near, LOOKUP},
};

static const struct bench_case FOLD_CASES[] = {
    {.name = "space.fold_page_1e5", .calls = CALLS, .pick = pick_any, FOLD},
};

#define GROUP(count_of_areas, of)                                         \
    {                                                                     \
        .n = (count_of_areas), .init = init, .fini = fini, .cases = (of), \
        .count = sizeof(of) / sizeof((of)[0])                             \
    }

const struct bench_group bench_space_1e3 = GROUP(1000, CASES);
const struct bench_group bench_space_1e5 = GROUP(100000, FOLD_CASES);
const struct bench_group bench_space_1e6 = GROUP(1000000, CASES);
