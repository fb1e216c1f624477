/*
 * instr_table.c - what the verbs of a table cost.
 *
 * Of 1 GiB at GUEST_IPA; of single pages there, in an order that looks random. One page of each
 * table is left alone, so that the tables stay.
 */
#include "tests/bench/instr.h"

#define POOL_FRAMES 16384
#define SINGLES (UINT64_C(1) << 14) /* of every 16th page one */
#define RWX (S2_READ | S2_WRITE | S2_EXEC)
#define STEP_BUDGET 4096

static struct s2_table table;
static struct frame_pool pool;
static enum s2_granule granule;

static struct ipa_range guest(uint64_t offset, uint64_t size)
{
    return ipa_range(GUEST_IPA + offset, size);
}

/* The single pages in an order that looks random: the offset of the first, and of the one that
 * follows @offset. Never the first page of a table. */
#define FIRST_SINGLE (5 * PAGE)

static uint64_t next_single(uint64_t offset)
{
    return (offset + UINT64_C(0x9e3779b1) * 16 * PAGE) & (GIB - 1);
}

/* --- Tables ---------------------------------------------------------------------------------- */

static void init(enum s2_granule size, unsigned ipa_bits, enum s2_contiguous contiguous)
{
    static struct s2_features cpu;
    const struct s2_config config = {
        .cpu = &cpu, .granule = size, .ipa_bits = ipa_bits, .contiguous = contiguous};

    cpu = instr_cpu();
    granule = size;
    instr_pool_init(&pool, size, POOL_FRAMES);
    instr_must(s2_table_init(&table, &config, &pool), "table");
    s2_table_set_vmid(&table, 1);
}

static void init_40(void)
{
    init(S2_GRANULE_4K, 40, S2_CONTIGUOUS_OFF);
}

static void init_4k(void)
{
    init(S2_GRANULE_4K, 48, S2_CONTIGUOUS_OFF);
}

static void init_runs(void)
{
    init(S2_GRANULE_4K, 48, S2_CONTIGUOUS_ON);
}

static void init_16k(void)
{
    init(S2_GRANULE_16K, 48, S2_CONTIGUOUS_OFF);
}

static void init_64k(void)
{
    init(S2_GRANULE_64K, 48, S2_CONTIGUOUS_OFF);
}

static void init_dirty(void)
{
    static struct s2_features cpu;
    const struct s2_config config = {.cpu = &cpu,
                                     .granule = S2_GRANULE_4K,
                                     .ipa_bits = 40,
                                     .contiguous = S2_CONTIGUOUS_OFF,
                                     .hardware_update = S2_HARDWARE_UPDATE_DIRTY};

    cpu = instr_cpu();
    cpu.hafdbs = 2;
    granule = S2_GRANULE_4K;
    instr_pool_init(&pool, granule, POOL_FRAMES);
    instr_must(s2_table_init(&table, &config, &pool), "table");
    s2_table_set_vmid(&table, 1);
}

/* --- Whole ranges ----------------------------------------------------------------------------- */

static void map_pages(void)
{
    instr_must(s2_table_map(&table, guest(0, GIB), pa_of(GUEST_PA), RWX | S2_CAP_PAGES), "map");
}

static void protect_all(void)
{
    instr_must(s2_table_protect(&table, guest(0, GIB), S2_READ | S2_EXEC), "protect");
}

static void unmap_all(void)
{
    instr_must(s2_table_unmap(&table, guest(0, GIB)), "unmap");
}

static void take_apart(void)
{
    instr_must(s2_table_fini(&table), "fini");
}

static void with_pages_4k(void)
{
    init_4k();
    map_pages();
}

static void with_pages_runs(void)
{
    init_runs();
    map_pages();
}

static void with_pages_16k(void)
{
    init_16k();
    map_pages();
}

static void with_pages_64k(void)
{
    init_64k();
    map_pages();
}

static void with_pages(void)
{
    init_40();
    map_pages();
}

/* No page follows the one before in PA. */
static void with_scattered(void)
{
    init_40();
    for (uint64_t page = 0; page < GIB_PAGES; page++) {
        const uint64_t pa = GUEST_PA + instr_shuffled(page, GIB_PAGES) * PAGE;

        instr_must(s2_table_map(&table, guest(page * PAGE, PAGE), pa_of(pa), RWX), "map");
    }
}

static void with_protected(void)
{
    with_pages();
    protect_all();
}

static void with_dirty(void)
{
    init_dirty();
    instr_must(s2_table_map(&table, guest(0, GIB), pa_of(GUEST_PA),
                            S2_READ | S2_WRITE | S2_DBM | S2_CAP_PAGES),
               "map");
}

static void protect_dirty(void)
{
    instr_must(s2_table_protect(&table, guest(0, GIB), S2_READ | S2_DBM), "protect");
}

static void protect_in_steps(void)
{
    struct s2_cursor cursor = s2_cursor(guest(0, GIB));

    while (!s2_cursor_is_done(&cursor)) {
        instr_must(s2_table_protect_step(&table, &cursor, S2_READ | S2_EXEC, STEP_BUDGET), "step");
    }
}

/* --- Single pages ----------------------------------------------------------------------------- */

static void map_singles(void)
{
    uint64_t offset = FIRST_SINGLE;

    for (uint64_t i = 0; i < SINGLES; i++, offset = next_single(offset)) {
        instr_must(s2_table_map(&table, guest(offset, PAGE), pa_of(GUEST_PA + offset), RWX), "map");
    }
}

static void unmap_singles(void)
{
    uint64_t offset = FIRST_SINGLE;

    for (uint64_t i = 0; i < SINGLES; i++, offset = next_single(offset)) {
        instr_must(s2_table_unmap(&table, guest(offset, PAGE)), "unmap");
    }
}

static void protect_singles(void)
{
    uint64_t offset = FIRST_SINGLE;

    for (uint64_t i = 0; i < SINGLES; i++, offset = next_single(offset)) {
        instr_must(s2_table_protect(&table, guest(offset, PAGE), S2_READ), "protect");
    }
}

static void replace_singles(void)
{
    uint64_t offset = FIRST_SINGLE;

    for (uint64_t i = 0; i < SINGLES; i++, offset = next_single(offset)) {
        instr_must(
            s2_table_replace(&table, guest(offset, PAGE), pa_of(GUEST_PA + 2 * GIB + offset)),
            "replace");
    }
}

/* All but what the single pages are mapped into. */
static void with_room(void)
{
    with_pages();
    unmap_singles();
}

static void map_ascending(void)
{
    for (uint64_t page = 0; page < GIB_PAGES; page++) {
        instr_must(
            s2_table_map(&table, guest(page * PAGE, PAGE), pa_of(GUEST_PA + page * PAGE), RWX),
            "map");
    }
}

/* Sums of what is found, so that little is counted that is not the lookup. */
#define LAST (GIB - PAGE)
#define SUM_OF_PAS (GIB_PAGES * GUEST_PA + GIB_PAGES / 2 * LAST)

/* The offset of a page behind @offset in a sequence that goes once through all of them. */
static uint64_t next_random(uint64_t offset)
{
    return (offset + UINT64_C(0x9e3779b1) * PAGE) & LAST;
}

static void look_up(void)
{
    uint64_t offset = 0, sum = 0;

    for (uint64_t i = 0; i < GIB_PAGES; i++) {
        struct s2_leaf leaf;

        instr_must(s2_table_lookup(&table, ipa_of(GUEST_IPA + offset), &leaf), "lookup");
        sum += leaf.pa.raw;
        offset = next_random(offset);
    }
    instr_must_be(sum == SUM_OF_PAS, "the sum of what was looked up");
}

static void translate(void)
{
    uint64_t offset = 0, sum = 0;

    for (uint64_t i = 0; i < GIB_PAGES; i++) {
        pa_t pa;

        instr_must_be(s2_table_translate(&table, ipa_of(GUEST_IPA + offset), &pa), "translate");
        sum += pa.raw;
        offset = next_random(offset);
    }
    instr_must_be(sum == SUM_OF_PAS, "the sum of what was translated");
}

/* --- Blocks ----------------------------------------------------------------------------------- */

static void with_block(void)
{
    init_40();
    instr_must(s2_table_map(&table, guest(0, GIB), pa_of(GUEST_PA), RWX), "map");
}

static void cut_page(void)
{
    instr_must(s2_table_protect(&table, guest(3 * MIB, PAGE), S2_READ), "cut");
}

static void with_cut_mended(void)
{
    with_block();
    cut_page();
    instr_must(s2_table_protect(&table, guest(3 * MIB, PAGE), RWX), "mend");
}

static void fold_all(void)
{
    struct s2_leaf leaf;

    instr_must(s2_table_fold(&table, guest(0, GIB)), "fold");
    instr_must(s2_table_lookup(&table, ipa_of(GUEST_IPA), &leaf), "lookup");
    instr_must_be(leaf.size == GIB, "folded");
}

const struct instr_case INSTR_TABLE[] = {
    {"table.map_4k_1g", 6, 0, GIB_PAGES, init_4k, map_pages},
    {"table.protect_4k_1g", 8.5, 0, GIB_PAGES, with_pages_4k, protect_all},
    {"table.unmap_whole", 0.08, 0.096, GIB_PAGES, with_pages_4k, unmap_all},
    {"table.free_page", 0.08, 0.124, GIB_PAGES, with_pages_4k, take_apart},
    {"table.map_4k_1g_runs", 0, 0, GIB_PAGES, init_runs, map_pages},
    {"table.protect_4k_1g_runs", 0, 0, GIB_PAGES, with_pages_runs, protect_all},
    {"table.map_16k_1g", 6, 0, GIB >> 14, init_16k, map_pages},
    {"table.protect_16k_1g", 8.5, 0, GIB >> 14, with_pages_16k, protect_all},
    {"table.map_64k_1g", 6, 0, GIB >> 16, init_64k, map_pages},
    {"table.protect_64k_1g", 8.5, 0, GIB >> 16, with_pages_64k, protect_all},
    {"table.protect_scattered", 11, 0, GIB_PAGES, with_scattered, protect_all},
    {"table.protect_noop", 7, 0, GIB_PAGES, with_protected, protect_all},
    {"table.protect_dirty", 20, 0, GIB_PAGES, with_dirty, protect_dirty},
    {"step.protect", 12, 0, GIB_PAGES, with_pages, protect_in_steps},
    {"table.map_page", 400, 0, SINGLES, with_room, map_singles},
    {"table.map_page_ascending", 350, 0, GIB_PAGES, init_40, map_ascending},
    {"table.unmap_page", 450, 0, SINGLES, with_pages, unmap_singles},
    {"table.protect_page", 350, 0, SINGLES, with_pages, protect_singles},
    {"table.replace_page", 800, 0, SINGLES, with_pages, replace_singles},
    {"table.lookup", 110, 120, GIB_PAGES, with_pages, look_up},
    {"table.translate", 45, 51, GIB_PAGES, with_pages, translate},
    {"table.cut", 7000, 0, 1, with_block, cut_page},
    {"table.fold_cut", 12000, 0, 1, with_cut_mended, fold_all},
    {NULL, 0, 0, 0, NULL, NULL},
};
