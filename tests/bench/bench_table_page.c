/* bench_table_page.c - what is done to one page, anywhere in 1 GiB of pages; and pages in a row. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/bench_guest.h"
#include "tests/bench/floor.h"

#define POOL_FRAMES 2048
#define CALLS 4096
#define ASCENDING_CALLS 16384 /* 32 tables */
#define LONELY_CALLS 511      /* of the tables below one table of level 2, all but the last */
#define ASCENDING_FIRST (UINT64_C(2) * GUEST_PAGES_OF_GIB)
#define LONELY_FIRST (UINT64_C(4) * GUEST_PAGES_OF_GIB)
#define FLOOR_PAGES (UINT64_C(3) * GUEST_PAGES_OF_GIB)
#define FLOOR_ASKED GUEST_PAGES_OF_GIB /* the first page of those that are only looked at */
#define FLAGS_LESS (S2_READ | S2_EXEC)

/* Other memory for s2_table_replace(): that of the page so much further up. */
#define ELSEWHERE (UINT64_C(64) * GUEST_PAGES_OF_GIB)

#define FLOOR_DESC UINT64_C(0x7ff)
#define FLOOR_WRITE UINT64_C(0x80)

static struct guest_pool pool;
static struct s2_table table;
static struct floor_table floor_pages;
static struct bench_order order; /* of the pages: the first are those that a round is about */
static uint64_t expected;        /* the sum of the addresses that a round asks for */
static uint64_t found;           /* and what its answers add up to */

static void init(uint64_t n)
{
    const struct s2_config config = guest_config(S2_HARDWARE_UPDATE_NONE);

    guest_pool_init(&pool, POOL_FRAMES);
    guest_must(s2_table_init(&table, &config, &pool.pool));
    s2_table_set_vmid(&table, 1);
    guest_must(s2_table_map(&table, guest_pages(0, n), guest_pa(0), GUEST_FLAGS));
    guest_must(s2_table_map(&table, guest_page(LONELY_FIRST + LONELY_CALLS * FLOOR_ENTRIES),
                            guest_pa(0), GUEST_FLAGS));
    floor_table_init(&floor_pages, FLOOR_PAGES);
    for (uint64_t page = 0; page < n; page++) {
        floor_store(floor_slot(&floor_pages, FLOOR_ASKED + page), page);
    }
    bench_order_init(&order, n);
}

static void fini(void)
{
    bench_must(s2_table_check(&table), "the table is not sound");
    guest_must(s2_table_fini(&table));
    guest_pool_fini(&pool);
    floor_table_fini(&floor_pages);
    bench_order_fini(&order);
}

static void pick(size_t calls)
{
    bench_order_pick(&order, calls);
}

static uint64_t picked(size_t i)
{
    return order.numbers[i];
}

/* Bring what the calls will touch into the caches, for ours as the floor's own preparation does:
 * what memory costs is told by table.protect_scattered. */
static void warm(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        bench_must(guest_translates(&table, picked(i), guest_pa(picked(i))), "not mapped");
    }
}

/* --- Map and unmap --------------------------------------------------------------------------- */

static void map(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_map(&table, guest_page(picked(i)), guest_pa(picked(i)), GUEST_FLAGS));
    }
}

static void unmap(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_unmap(&table, guest_page(picked(i))));
    }
}

static bool are_mapped(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_translates(&table, picked(i), guest_pa(picked(i)));
    }
    return all;
}

static bool are_holes(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_has_hole(&table, picked(i));
    }
    return all;
}

static void floor_set(size_t calls, uint64_t desc)
{
    for (size_t i = 0; i < calls; i++) {
        uint64_t *slot = floor_slot(&floor_pages, picked(i));

        found += floor_load(slot); /* is it what the verb takes? */
        floor_store(slot, desc);
    }
}

static void floor_map(size_t calls)
{
    floor_set(calls, FLOOR_DESC);
}

static void floor_unmap(size_t calls)
{
    floor_set(calls, 0);
}

static bool floor_are_mapped(size_t calls)
{
    return floor_load(floor_slot(&floor_pages, picked(calls - 1))) == FLOOR_DESC;
}

static bool floor_are_holes(size_t calls)
{
    return floor_load(floor_slot(&floor_pages, picked(calls - 1))) == 0;
}

/* --- Protect and replace --------------------------------------------------------------------- */

static void protect_with(size_t calls, mapping_flags_t flags)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_protect(&table, guest_page(picked(i)), flags));
    }
}

static void protect(size_t calls)
{
    protect_with(calls, FLAGS_LESS);
}

static void unprotect(size_t calls)
{
    protect_with(calls, GUEST_FLAGS);
}

static bool are_protected(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_has_flags(&table, picked(i), FLAGS_LESS);
    }
    return all;
}

static void floor_protect(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        uint64_t *slot = floor_slot(&floor_pages, picked(i));

        floor_store(slot, floor_load(slot) & ~FLOOR_WRITE);
    }
}

static bool floor_are_protected(size_t calls)
{
    return floor_load(floor_slot(&floor_pages, picked(calls - 1))) == (FLOOR_DESC & ~FLOOR_WRITE);
}

static void replace_by(size_t calls, uint64_t distance)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_replace(&table, guest_page(picked(i)), guest_pa(picked(i) + distance)));
    }
}

static void replace(size_t calls)
{
    replace_by(calls, ELSEWHERE);
}

static void put_back(size_t calls)
{
    replace_by(calls, 0);
}

static bool are_replaced(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_translates(&table, picked(i), guest_pa(picked(i) + ELSEWHERE));
    }
    return all;
}

/* Broken, then made: two stores. */
static void floor_replace(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        uint64_t *slot = floor_slot(&floor_pages, picked(i));

        floor_store(slot, floor_load(slot) & ~UINT64_C(1));
        floor_store(slot, FLOOR_DESC);
    }
}

/* --- Questions ------------------------------------------------------------------------------- */

static void expect_sum(size_t calls)
{
    found = 0;
    expected = 0;
    for (size_t i = 0; i < calls; i++) {
        expected += pa_distance(pa_of(0), guest_pa(picked(i)));
    }
    warm(calls);
}

static bool sum_is_right(size_t calls)
{
    (void)calls;
    return found == expected;
}

static void lookup(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        struct s2_leaf leaf;

        guest_must(s2_table_lookup(&table, guest_page(picked(i)).start, &leaf));
        found += pa_distance(pa_of(0), leaf.pa);
    }
}

static void translate(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        pa_t pa = pa_of(0);

        bench_must(s2_table_translate(&table, guest_page(picked(i)).start, &pa), "not mapped");
        found += pa_distance(pa_of(0), pa);
    }
}

static void floor_expect_sum(size_t calls)
{
    found = 0;
    expected = 0;
    for (size_t i = 0; i < calls; i++) {
        expected += floor_load(floor_slot(&floor_pages, FLOOR_ASKED + picked(i)));
    }
}

static void floor_lookup(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        found += floor_load(floor_slot(&floor_pages, FLOOR_ASKED + picked(i)));
    }
}

/* --- In a row, from nothing: a table for each 512 pages --------------------------------------- */

static void map_ascending(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_map(&table, guest_page(ASCENDING_FIRST + i),
                                guest_pa(ASCENDING_FIRST + i), GUEST_FLAGS));
    }
}

static bool ascending_are_mapped(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_translates(&table, ASCENDING_FIRST + i, guest_pa(ASCENDING_FIRST + i));
    }
    return all;
}

static void unmap_ascending(size_t calls)
{
    guest_must(s2_table_unmap(&table, guest_pages(ASCENDING_FIRST, calls)));
}

static void floor_map_ascending(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        uint64_t *slot = floor_slot(&floor_pages, ASCENDING_FIRST + i);

        /* The first page of a table finds a frame with anything in it. */
        if (i % FLOOR_ENTRIES == 0) {
            floor_fill(slot, 0, 0);
        }
        floor_store(slot, FLOOR_DESC + (i << GUEST_SHIFT));
    }
}

static bool floor_ascending_are_mapped(size_t calls)
{
    return floor_load(floor_slot(&floor_pages, ASCENDING_FIRST + calls - 1)) ==
           FLOOR_DESC + ((calls - 1) << GUEST_SHIFT);
}

/* --- Alone in their tables: with the page goes the table -------------------------------------- */

static size_t frames_before;

static void map_lonely(size_t calls)
{
    frames_before = frame_pool_available(&pool.pool);
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_map(&table, guest_page(LONELY_FIRST + i * FLOOR_ENTRIES), guest_pa(0),
                                GUEST_FLAGS));
    }
    bench_must(frame_pool_available(&pool.pool) == frames_before - calls, "a table for each page");
}

static void free_lonely(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_unmap(&table, guest_page(LONELY_FIRST + i * FLOOR_ENTRIES)));
    }
}

static bool tables_are_back(size_t calls)
{
    (void)calls;
    return frame_pool_available(&pool.pool) == frames_before;
}

/* The descriptor, the entry that links its table, and the frame onto a list. */
static void floor_free_lonely(size_t calls)
{
    uint64_t *free_list = NULL;

    for (size_t i = 0; i < calls; i++) {
        uint64_t *middle = floor_next(floor_pages.root) + i % FLOOR_ENTRIES;
        uint64_t *leaf = floor_next(middle);

        floor_store(leaf, 0);
        floor_store(middle, (uintptr_t)leaf);
        leaf[1] = (uintptr_t)free_list;
        free_list = leaf;
    }
    bench_sink = (uintptr_t)free_list;
}

/* --------------------------------------------------------------------------------------------- */

static const struct bench_case CASES[] = {
    {.name = "table.map_page",
     .n = 1,
     .calls = CALLS,
     .pick = pick,
     .ours = {.before = unmap, .run = map, .holds = are_mapped},
     .floor = {.before = floor_unmap, .run = floor_map, .holds = floor_are_mapped}},
    {.name = "table.unmap_page",
     .n = 1,
     .calls = CALLS,
     .pick = pick,
     .ours = {.before = warm, .run = unmap, .holds = are_holes, .after = map},
     .floor = {.before = floor_map, .run = floor_unmap, .holds = floor_are_holes}},
    {.name = "table.protect_page",
     .n = 1,
     .calls = CALLS,
     .pick = pick,
     .ours = {.before = warm, .run = protect, .holds = are_protected, .after = unprotect},
     .floor = {.before = floor_map, .run = floor_protect, .holds = floor_are_protected}},
    {.name = "table.replace_page",
     .n = 1,
     .calls = CALLS,
     .pick = pick,
     .ours = {.before = warm, .run = replace, .holds = are_replaced, .after = put_back},
     .floor = {.before = floor_map, .run = floor_replace, .holds = floor_are_mapped}},
    {.name = "table.map_page_ascending",
     .n = 1,
     .calls = ASCENDING_CALLS,
     .ours = {.run = map_ascending, .holds = ascending_are_mapped, .after = unmap_ascending},
     .floor = {.run = floor_map_ascending, .holds = floor_ascending_are_mapped}},
    {.name = "table.free_page",
     .n = 1,
     .calls = LONELY_CALLS,
     .ours = {.before = map_lonely, .run = free_lonely, .holds = tables_are_back},
     .floor = {.run = floor_free_lonely}},
    {.name = "table.lookup",
     .n = 1,
     .calls = CALLS,
     .pick = pick,
     .ours = {.before = expect_sum, .run = lookup, .holds = sum_is_right},
     .floor = {.before = floor_expect_sum, .run = floor_lookup, .holds = sum_is_right}},
    {.name = "table.translate",
     .n = 1,
     .calls = CALLS,
     .pick = pick,
     .ours = {.before = expect_sum, .run = translate, .holds = sum_is_right},
     .floor = {.before = floor_expect_sum, .run = floor_lookup, .holds = sum_is_right}},
};

const struct bench_group bench_table_page = {
    .n = GUEST_PAGES_OF_GIB,
    .init = init,
    .fini = fini,
    .cases = CASES,
    .count = sizeof(CASES) / sizeof(CASES[0]),
};
