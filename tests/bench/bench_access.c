/*
 * bench_access.c - a guest's memory, read by the host: 1 MiB in blocks, and in pages that lie anywhere,
 * against a memcpy of the same frames in the same order.
 */
#include "tests/bench/bench.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/bench_guest.h"

#include <string.h>

#define PAGES 256 /* that are read: 1 MiB */
#define BYTES ((size_t)PAGES << GUEST_SHIFT)
#define WORLD 512                     /* a block of pages each */
#define BLOCKS_AT (UINT64_C(1) << 20) /* page numbers */
#define SCATTERED_AT (UINT64_C(2) << 20)
#define FLAGS (S2_READ | S2_WRITE)

static struct guest_pool pool;
static struct s2_space space;
static struct memory_node nodes[16];
static struct s2_lazy blocks, pages;
static unsigned char *out;
static const unsigned char *block;
static const unsigned char *frames[PAGES];

static const unsigned char *memory_at(uint64_t page)
{
    pa_t pa;

    bench_must(s2_table_translate(s2_space_table(&space), guest_page(page).start, &pa), "a hole");
    return frame_pool_ptr(&pool.pool, pa);
}

/* Pages are touched in an order that leaves no two together. */
static void init(uint64_t n)
{
    struct s2_space_config config = {.table = guest_config(S2_HARDWARE_UPDATE_NONE), .vmid = 1};

    (void)n;
    guest_pool_init(&pool, 4096);
    config.table_pool = &pool.pool;
    config.nodes = nodes;
    config.node_count = sizeof(nodes) / sizeof(nodes[0]);
    guest_must(s2_space_init(&space, &config));
    blocks = (struct s2_lazy){.pool = &pool.pool, .grain = UINT64_C(1) << 21};
    pages = (struct s2_lazy){.pool = &pool.pool};
    guest_must(s2_space_map_lazy(&space, guest_pages(BLOCKS_AT, WORLD), &blocks, FLAGS));
    guest_must(s2_space_map_lazy(&space, guest_pages(SCATTERED_AT, WORLD), &pages, FLAGS));
    out = bench_memory(BYTES);
    for (uint64_t i = 0; i < WORLD; i++) {
        const uint64_t page = i * 173 % WORLD;

        guest_must(s2_space_write(&space, guest_page(BLOCKS_AT + page).start, &page, sizeof(page),
                                  S2_AS_GUEST, NULL));
        guest_must(s2_space_write(&space, guest_page(SCATTERED_AT + page).start, &page,
                                  sizeof(page), S2_AS_GUEST, NULL));
    }
    block = memory_at(BLOCKS_AT);
    for (uint64_t i = 0; i < PAGES; i++) {
        frames[i] = memory_at(SCATTERED_AT + i);
    }
}

static void fini(void)
{
    guest_must(s2_space_fini(&space));
    guest_pool_fini(&pool);
    bench_free(out);
}

static void read_from(uint64_t page, size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(s2_space_read(&space, guest_page(page).start, out, BYTES, S2_AS_GUEST, NULL));
    }
}

static void read_blocks(size_t calls)
{
    read_from(BLOCKS_AT, calls);
}

static void read_pages(size_t calls)
{
    read_from(SCATTERED_AT, calls);
}

static void copy_block(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        memcpy(out, block, BYTES);
    }
}

static void copy_pages(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        for (size_t page = 0; page < PAGES; page++) {
            memcpy(out + (page << GUEST_SHIFT), frames[page], GUEST_PAGE);
        }
    }
}

static bool is_read(size_t calls)
{
    (void)calls;
    for (uint64_t page = 0; page < PAGES; page++) {
        if (memcmp(out + (page << GUEST_SHIFT), &page, sizeof(page)) != 0) {
            return false;
        }
    }
    return true;
}

static const struct bench_case CASES[] = {
    {.name = "space.read_1m_blocks",
     .calls = 16,
     .ours = {.run = read_blocks, .holds = is_read},
     .floor = {.run = copy_block}},
    {.name = "space.read_1m_pages",
     .calls = 16,
     .ours = {.run = read_pages, .holds = is_read},
     .floor = {.run = copy_pages}},
};

const struct bench_group bench_access = {.n = PAGES,
                                         .init = init,
                                         .fini = fini,
                                         .cases = CASES,
                                         .count = sizeof(CASES) / sizeof(CASES[0])};
