/* bench_table_range.c - all pages of 1 GiB, or 64 GiB, in one call; pages far from each other. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/bench_guest.h"
#include "tests/bench/floor.h"

#define LARGE_PAGES (UINT64_C(64) * GUEST_PAGES_OF_GIB)
#define SMALLER_PAGES (UINT64_C(16) * GUEST_PAGES_OF_GIB)
#define SCATTERED_CALLS 4096
#define STEP_BUDGET 4096
#define FLAGS_LESS (S2_READ | S2_EXEC)

#define FLOOR_DESC UINT64_C(0x7ff)
#define FLOOR_WRITE UINT64_C(0x80)

/* Ours and the floor's tables, and what EL2 does not have: the system's own use of memory. */
#define BYTES_OF(pages) ((pages)*2 * sizeof(uint64_t) + (UINT64_C(512) << 20))

static struct guest_pool pool;
static struct s2_table table;
static struct floor_table floor_pages;
static struct bench_order order;
static uint64_t pages; /* of the guest, from page 0 on */

static void map(size_t calls)
{
    (void)calls;
    guest_must(s2_table_map(&table, guest_pages(0, pages), guest_pa(0), GUEST_FLAGS));
}

static void init(uint64_t n)
{
    const struct s2_config config = guest_config(S2_HARDWARE_UPDATE_NONE);

    pages = n;
    guest_pool_init(&pool, (size_t)(n / FLOOR_ENTRIES + n / FLOOR_ENTRIES / FLOOR_ENTRIES + 64));
    guest_must(s2_table_init(&table, &config, &pool.pool));
    s2_table_set_vmid(&table, 1);
    map(1);
    floor_table_init(&floor_pages, n);
    bench_order_init(&order, n);
}

/* As many as the machine has room for. */
static void init_large(uint64_t n)
{
    init(bench_memory_available() >= BYTES_OF(n) ? n : SMALLER_PAGES);
}

static uint64_t size(void)
{
    return pages;
}

static void fini(void)
{
    bench_must(s2_table_check(&table), "the table is not sound");
    guest_must(s2_table_fini(&table));
    guest_pool_fini(&pool);
    floor_table_fini(&floor_pages);
    bench_order_fini(&order);
}

/* --- Map and unmap --------------------------------------------------------------------------- */

static void unmap(size_t calls)
{
    (void)calls;
    guest_must(s2_table_unmap(&table, guest_pages(0, pages)));
}

/* A page of each table, and the last. */
static bool is_mapped(size_t calls)
{
    bool all = guest_translates(&table, pages - 1, guest_pa(pages - 1));

    (void)calls;
    for (uint64_t page = 0; page < pages; page += FLOOR_ENTRIES + 1) {
        all = all && guest_translates(&table, page, guest_pa(page));
    }
    return all;
}

static bool is_hole(size_t calls)
{
    (void)calls;
    return guest_has_hole(&table, 0) && guest_has_hole(&table, pages - 1) &&
           s2_table_frame_count(&table) <= 2; /* two tables of level 1, side by side */
}

static void floor_map(size_t calls)
{
    (void)calls;
    for (uint64_t page = 0; page < pages; page += FLOOR_ENTRIES) {
        floor_fill(floor_leaves(&floor_pages, page), FLOOR_DESC + (page << GUEST_SHIFT),
                   GUEST_PAGE);
    }
}

static bool floor_is_mapped(size_t calls)
{
    (void)calls;
    return floor_load(floor_slot(&floor_pages, pages - 1)) ==
           FLOOR_DESC + ((pages - 1) << GUEST_SHIFT);
}

/* Each table's frame onto a list; the leaves are not looked at. */
static void floor_unmap(size_t calls)
{
    uint64_t *free_list = NULL;

    (void)calls;
    for (uint64_t page = 0; page < pages; page += FLOOR_ENTRIES) {
        uint64_t *leaves = floor_leaves(&floor_pages, page);

        floor_store(leaves, (uintptr_t)free_list);
        free_list = leaves;
    }
    bench_sink = (uintptr_t)free_list;
}

/* --- Protect --------------------------------------------------------------------------------- */

static void protect_with(mapping_flags_t flags)
{
    guest_must(s2_table_protect(&table, guest_pages(0, pages), flags));
}

static void protect(size_t calls)
{
    (void)calls;
    protect_with(FLAGS_LESS);
}

static void unprotect(size_t calls)
{
    (void)calls;
    protect_with(GUEST_FLAGS);
}

static void protect_in_steps(size_t calls)
{
    struct s2_cursor cursor = s2_cursor(guest_pages(0, pages));

    (void)calls;
    while (!s2_cursor_is_done(&cursor)) {
        guest_must(s2_table_protect_step(&table, &cursor, FLAGS_LESS, STEP_BUDGET));
    }
}

static bool has_flags(mapping_flags_t flags)
{
    bool all = guest_has_flags(&table, pages - 1, flags);

    for (uint64_t page = 0; page < pages; page += FLOOR_ENTRIES + 1) {
        all = all && guest_has_flags(&table, page, flags);
    }
    return all;
}

static bool is_protected(size_t calls)
{
    (void)calls;
    return has_flags(FLAGS_LESS);
}

static bool is_as_mapped(size_t calls)
{
    (void)calls;
    return has_flags(GUEST_FLAGS);
}

static void floor_protect(size_t calls)
{
    (void)calls;
    for (uint64_t page = 0; page < pages; page += FLOOR_ENTRIES) {
        uint64_t *leaves = floor_leaves(&floor_pages, page);

        for (unsigned i = 0; i < FLOOR_ENTRIES; i++) {
            floor_store(leaves + i, floor_load(leaves + i) & ~FLOOR_WRITE);
        }
    }
}

static bool floor_is_protected(size_t calls)
{
    (void)calls;
    return (floor_load(floor_slot(&floor_pages, pages - 1)) & FLOOR_WRITE) == 0;
}

/* All are as they should be: nothing to store. */
static void floor_look(size_t calls)
{
    uint64_t all = ~UINT64_C(0);

    (void)calls;
    for (uint64_t page = 0; page < pages; page += FLOOR_ENTRIES) {
        uint64_t *leaves = floor_leaves(&floor_pages, page);

        for (unsigned i = 0; i < FLOOR_ENTRIES; i++) {
            all &= floor_load(leaves + i);
        }
    }
    bench_sink = all;
}

/* --- Pages far from each other ---------------------------------------------------------------- */

static void pick(size_t calls)
{
    bench_order_pick(&order, calls);
}

static void protect_scattered_with(size_t calls, mapping_flags_t flags)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_protect(&table, guest_page(order.numbers[i]), flags));
    }
}

static void protect_scattered(size_t calls)
{
    protect_scattered_with(calls, FLAGS_LESS);
}

static void unprotect_scattered(size_t calls)
{
    protect_scattered_with(calls, GUEST_FLAGS);
}

static bool are_protected(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_has_flags(&table, order.numbers[i], FLAGS_LESS);
    }
    return all;
}

static void floor_protect_scattered(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        uint64_t *slot = floor_slot(&floor_pages, order.numbers[i]);

        floor_store(slot, floor_load(slot) & ~FLOOR_WRITE);
    }
}

static bool floor_are_protected(size_t calls)
{
    return (floor_load(floor_slot(&floor_pages, order.numbers[calls - 1])) & FLOOR_WRITE) == 0;
}

/* --------------------------------------------------------------------------------------------- */

static const struct bench_case RANGE_CASES[] = {
    {.name = "table.map_1g",
     .calls = 1,
     .ours = {.before = unmap, .run = map, .holds = is_mapped},
     .floor = {.run = floor_map, .holds = floor_is_mapped}},
    {.name = "table.unmap_whole",
     .calls = 1,
     .ours = {.run = unmap, .holds = is_hole, .after = map},
     .floor = {.run = floor_unmap}},
    {.name = "table.protect_1g",
     .calls = 1,
     .ours = {.run = protect, .holds = is_protected, .after = unprotect},
     .floor = {.before = floor_map, .run = floor_protect, .holds = floor_is_protected}},
    {.name = "table.protect_noop",
     .calls = 1,
     .ours = {.run = unprotect, .holds = is_as_mapped},
     .floor = {.before = floor_map, .run = floor_look}},
    {.name = "step.protect",
     .calls = 1,
     .ours = {.run = protect_in_steps, .holds = is_protected, .after = unprotect},
     .floor = {.before = floor_map, .run = floor_protect, .holds = floor_is_protected}},
};

const struct bench_group bench_table_range = {
    .n = GUEST_PAGES_OF_GIB,
    .init = init,
    .fini = fini,
    .cases = RANGE_CASES,
    .count = sizeof(RANGE_CASES) / sizeof(RANGE_CASES[0]),
};

static const struct bench_case LARGE_CASES[] = {
    {.name = "table.map_64g",
     .calls = 1,
     .ours = {.before = unmap, .run = map, .holds = is_mapped},
     .floor = {.run = floor_map, .holds = floor_is_mapped}},
    {.name = "table.protect_scattered",
     .n = 1,
     .calls = SCATTERED_CALLS,
     .pick = pick,
     .ours = {.run = protect_scattered, .holds = are_protected, .after = unprotect_scattered},
     .floor = {.run = floor_protect_scattered, .holds = floor_are_protected}},
};

const struct bench_group bench_table_large = {
    .n = LARGE_PAGES,
    .init = init_large,
    .size = size,
    .fini = fini,
    .cases = LARGE_CASES,
    .count = sizeof(LARGE_CASES) / sizeof(LARGE_CASES[0]),
};
