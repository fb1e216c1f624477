/*
 * bench_table_dirty.c - write-protect 1 GiB of pages that hardware has marked dirty: each of them
 * is exchanged, as hardware may still write it, and what it was is told to the sink.
 */
#include "tests/bench/bench.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/bench_guest.h"
#include "tests/bench/floor.h"

#define POOL_FRAMES 1024
#define CLEAN_FLAGS (S2_READ | S2_DBM | S2_CAP_PAGES)

/* A descriptor's write permission: with DBM, what hardware sets when the page is written. */
#define DESC_WRITE (UINT64_C(1) << 7)
#define DESC_TABLE_ADDRESS UINT64_C(0x0000fffffffff000)
#define FLOOR_DESC UINT64_C(0x77f)

static struct guest_pool pool;
static struct s2_table table;
static struct floor_table floor_pages;
static uint64_t told; /* bytes that the sink heard of as dirty */

static void note(void *arg, struct ipa_range range, unsigned state)
{
    (void)arg;
    told += (state & S2_STATE_DIRTY) != 0 ? range.size : 0;
}

static void init(uint64_t n)
{
    struct s2_config config = guest_config(S2_HARDWARE_UPDATE_DIRTY);

    config.sink = (struct s2_sink){.removed = note};
    guest_pool_init(&pool, POOL_FRAMES);
    guest_must(s2_table_init(&table, &config, &pool.pool));
    s2_table_set_vmid(&table, 1);
    guest_must(s2_table_map(&table, guest_pages(0, n), guest_pa(0), CLEAN_FLAGS));
    floor_table_init(&floor_pages, n);
}

static void fini(void)
{
    bench_must(s2_table_check(&table), "the table is not sound");
    guest_must(s2_table_fini(&table));
    guest_pool_fini(&pool);
    floor_table_fini(&floor_pages);
}

/* What hardware does: it knows VTTBR_EL2, and follows addresses. */
static uint64_t *walker_next(uint64_t entry)
{
    uint64_t *entries = frame_pool_ptr(&pool.pool, pa_of(entry & DESC_TABLE_ADDRESS));

    bench_must(entries != NULL, "an entry leads to no table");
    return entries;
}

static void write_all_pages(size_t calls)
{
    const uint64_t *root = walker_next(s2_table_vttbr(&table));
    const uint64_t *middle = walker_next(root[0]);

    (void)calls;
    told = 0;
    for (size_t i = 0; i < FLOOR_ENTRIES; i++) {
        uint64_t *leaves = walker_next(middle[i]);

        for (size_t entry = 0; entry < FLOOR_ENTRIES; entry++) {
            floor_store(leaves + entry, floor_load(leaves + entry) | DESC_WRITE);
        }
    }
}

static void protect(size_t calls)
{
    (void)calls;
    guest_must(s2_table_protect(&table, guest_pages(0, GUEST_PAGES_OF_GIB), CLEAN_FLAGS));
}

static bool are_clean_and_told(size_t calls)
{
    (void)calls;
    return told == GUEST_GIB && guest_has_flags(&table, 0, CLEAN_FLAGS) &&
           guest_has_flags(&table, GUEST_PAGES_OF_GIB - 1, CLEAN_FLAGS);
}

static void floor_write_all_pages(size_t calls)
{
    (void)calls;
    for (uint64_t page = 0; page < GUEST_PAGES_OF_GIB; page++) {
        floor_store(floor_slot(&floor_pages, page), FLOOR_DESC | DESC_WRITE);
    }
}

static void floor_protect(size_t calls)
{
    uint64_t dirty = 0;

    (void)calls;
    for (uint64_t page = 0; page < GUEST_PAGES_OF_GIB; page += FLOOR_ENTRIES) {
        uint64_t *leaves = floor_leaves(&floor_pages, page);

        for (size_t entry = 0; entry < FLOOR_ENTRIES; entry++) {
            const uint64_t desc = floor_load(leaves + entry) & ~DESC_WRITE;

            dirty += __atomic_exchange_n(leaves + entry, desc, __ATOMIC_RELAXED) & DESC_WRITE;
        }
    }
    bench_must(dirty == GUEST_PAGES_OF_GIB * DESC_WRITE, "a page was not dirty");
}

static const struct bench_case CASES[] = {
    {.name = "table.protect_dirty",
     .calls = 1,
     .ours = {.before = write_all_pages, .run = protect, .holds = are_clean_and_told},
     .floor = {.before = floor_write_all_pages, .run = floor_protect}},
};

const struct bench_group bench_table_dirty = {
    .n = GUEST_PAGES_OF_GIB,
    .init = init,
    .fini = fini,
    .cases = CASES,
    .count = sizeof(CASES) / sizeof(CASES[0]),
};
