/* bench_table_block.c - a page out of a block of 1 GiB, and the way back. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/bench_guest.h"
#include "tests/bench/floor.h"

#define BLOCKS 64
#define POOL_FRAMES 256
#define BLOCK_FLAGS (S2_READ | S2_WRITE)
#define FLOOR_DESC UINT64_C(0x7fd)

static struct guest_pool pool;
static struct s2_table table;
static uint64_t *floor_tables; /* two of each block: levels 2 and 3 */
static uint64_t floor_blocks[BLOCKS];

static void init(uint64_t n)
{
    const struct s2_config config = guest_config(S2_HARDWARE_UPDATE_NONE);

    (void)n;
    guest_pool_init(&pool, POOL_FRAMES);
    guest_must(s2_table_init(&table, &config, &pool.pool));
    s2_table_set_vmid(&table, 1);
    guest_must(s2_table_map(&table, guest_pages(0, BLOCKS * GUEST_PAGES_OF_GIB), guest_pa(0),
                            BLOCK_FLAGS));
    floor_tables = bench_memory((size_t)BLOCKS * 2 * FLOOR_ENTRIES * sizeof(*floor_tables));
}

static void fini(void)
{
    bench_must(s2_table_check(&table), "the table is not sound");
    guest_must(s2_table_fini(&table));
    guest_pool_fini(&pool);
    bench_free(floor_tables);
}

/* The page of block @i that is cut out: neither its first nor its last. */
static uint64_t victim(size_t i)
{
    return i * GUEST_PAGES_OF_GIB + GUEST_PAGES_OF_GIB / 3;
}

static void cut(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_unmap(&table, guest_page(victim(i))));
    }
}

static bool is_cut_exactly(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && guest_has_hole(&table, victim(i)) &&
              guest_translates(&table, victim(i) - 1, guest_pa(victim(i) - 1)) &&
              guest_translates(&table, victim(i) + 1, guest_pa(victim(i) + 1)) &&
              guest_has_flags(&table, victim(i) + FLOOR_ENTRIES, BLOCK_FLAGS);
    }
    return all;
}

static void mend(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_map(&table, guest_page(victim(i)), guest_pa(victim(i)), BLOCK_FLAGS));
    }
}

static void fold(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_table_fold(&table, guest_pages(i * GUEST_PAGES_OF_GIB, GUEST_PAGES_OF_GIB)));
    }
}

static bool is_block(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        struct s2_leaf leaf;

        all = all && s2_table_lookup(&table, guest_page(victim(i)).start, &leaf) == MAPPING_OK &&
              leaf.size == GUEST_GIB && pa_eq(leaf.pa, guest_pa(victim(i)));
    }
    return all;
}

static void mend_and_fold(size_t calls)
{
    mend(calls);
    fold(calls);
}

static void cut_and_mend(size_t calls)
{
    cut(calls);
    mend(calls);
}

/* Broken, the two tables filled, linked. */
static void floor_cut(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        uint64_t *tables = floor_tables + i * 2 * FLOOR_ENTRIES;

        floor_fill(tables, FLOOR_DESC, GUEST_PAGE);
        floor_fill(tables + FLOOR_ENTRIES, FLOOR_DESC + (FLOOR_ENTRIES << GUEST_SHIFT), GUEST_PAGE);
        floor_store(&floor_blocks[i], 0);
        floor_store(&floor_blocks[i], (uintptr_t)tables);
    }
}

/* Whether both are uniform; broken, made. */
static void floor_fold(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        const uint64_t *tables = floor_next(&floor_blocks[i]);
        uint64_t differ = 0;

        for (size_t entry = 0; entry < (size_t)2 * FLOOR_ENTRIES; entry++) {
            differ |= floor_load(tables + entry) ^ (FLOOR_DESC + (entry << GUEST_SHIFT));
        }
        floor_store(&floor_blocks[i], 0);
        floor_store(&floor_blocks[i], FLOOR_DESC | differ);
    }
}

static bool floor_is_cut(size_t calls)
{
    return floor_load(floor_next(&floor_blocks[calls - 1])) == FLOOR_DESC;
}

static bool floor_is_block(size_t calls)
{
    return floor_load(&floor_blocks[calls - 1]) == FLOOR_DESC;
}

static const struct bench_case CASES[] = {
    {.name = "table.cut",
     .n = 1,
     .calls = BLOCKS,
     .ours = {.run = cut, .holds = is_cut_exactly, .after = mend_and_fold},
     .floor = {.run = floor_cut, .holds = floor_is_cut}},
    {.name = "table.fold_cut",
     .n = 1,
     .calls = BLOCKS,
     .ours = {.before = cut_and_mend, .run = fold, .holds = is_block},
     .floor = {.before = floor_cut, .run = floor_fold, .holds = floor_is_block}},
};

const struct bench_group bench_table_block = {
    .n = BLOCKS,
    .init = init,
    .fini = fini,
    .cases = CASES,
    .count = sizeof(CASES) / sizeof(CASES[0]),
};
