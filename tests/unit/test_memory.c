/*
 * test_memory.c - cleaning memory to the Point of Coherency: every line once, through the pool
 * where it can be seen there, through the embedder's window elsewhere.
 *
 *   0x40000000  outside         0x80000000  4 MiB of the pool      0x100000000  4 MiB of the pool
 *                                           that are mapped here                for guests only
 */
#include "stage2/arch/memory.h"
#include "tests/sim/memory.h"
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <string.h>

#define SUITE "memory"

#define OUTSIDE UINT64_C(0x40000000)
#define MAPPED UINT64_C(0x80000000)
#define REMOTE UINT64_C(0x100000000)
#define REGION UINT64_C(0x400000)
#define LINES 524288 /* lines that are watched: 8 MiB in the smallest */
#define LINE_MIN 16U

static struct sim_memory banks;
static struct frame_pool pool;
static struct s2_memory memory;

/* The window that the embedder opens: at most one at a time, twice a chunk long, so that whatever
 * it shows keeps its place inside a chunk. */
static _Alignas(4096) unsigned char window[2 * S2_MEMORY_CHUNK];
static struct {
    bool is_open;
    pa_t pa;
    uint64_t size;
    unsigned char *ptr;
    size_t opens, closes, refusals;
    uint64_t opened;             /* bytes in all */
    uint64_t refused;            /* a PA that is out of reach */
    uint64_t own_start, own_end; /* what the pool shows */
} ops_log;

static struct {
    uint64_t base;               /* PA of the first line that is watched */
    unsigned char counts[LINES]; /* by LINE_MIN bytes: how often a line there was cleaned */
    size_t total;
} lines;

static void *window_open(void *ctx, pa_t pa, uint64_t size)
{
    ck_assert_ptr_eq(ctx, &ops_log);
    ck_assert_msg(!ops_log.is_open, "two windows at a time");
    ck_assert(size > 0 && size <= S2_MEMORY_CHUNK);
    /* What the pool shows is no business of the embedder's. */
    ck_assert_msg(pa.raw + size <= ops_log.own_start || pa.raw >= ops_log.own_end,
                  "asked for the pool's own memory");
    if (ops_log.refused >= pa.raw && ops_log.refused - pa.raw < size) {
        ops_log.refusals++;
        return NULL;
    }
    ops_log.is_open = true;
    ops_log.pa = pa;
    ops_log.size = size;
    ops_log.ptr = window + pa_offset(pa, S2_MEMORY_CHUNK);
    ops_log.opens++;
    ops_log.opened += size;
    return ops_log.ptr;
}

static void window_close(void *ctx, void *ptr, uint64_t size)
{
    ck_assert_ptr_eq(ctx, &ops_log);
    ck_assert_msg(ops_log.is_open, "closed twice");
    ck_assert_ptr_eq(ptr, ops_log.ptr);
    ck_assert_uint_eq(size, ops_log.size);
    ops_log.is_open = false;
    ops_log.closes++;
}

static const struct s2_memory_ops OPS = {window_open, window_close, &ops_log};

/* The PA of a line, by whichever way it is seen now. */
static uint64_t line_pa(const void *line)
{
    const unsigned char *at = line;
    pa_t pa;

    if (ops_log.is_open && at >= window && at < window + sizeof(window)) {
        return ops_log.pa.raw + (uint64_t)(at - window) - (uint64_t)(ops_log.ptr - window);
    }
    if (!sim_memory_pa(&banks, line, &pa)) {
        ck_abort_msg("a line of no memory that is open");
    }
    return pa.raw;
}

static void listen_clean(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)arg;
    if (phase == SIM_BEFORE && event->kind == SIM_DC_CIVAC) {
        const uint64_t at = (line_pa(event->slot) - lines.base) / LINE_MIN;

        if (at >= LINES || lines.counts[at] == UINT8_MAX) {
            ck_abort_msg("a line far off, or again and again");
        }
        lines.counts[at]++;
        lines.total++;
    }
}

static void setup(void)
{
    sim_reset();
    sim_memory_init(&banks, 12);
    sim_memory_add(&banks, pa_of(MAPPED), (size_t)(REGION >> 12));
    sim_memory_add_remote(&banks, pa_of(REMOTE), (size_t)(REGION >> 12));
    sim_memory_pool(&banks, &pool);
    memory = (struct s2_memory){.pool = &pool, .ops = &OPS, .cache_line = 64};
    memset(&ops_log, 0, sizeof(ops_log));
    ops_log.own_start = MAPPED;
    ops_log.own_end = MAPPED + REGION;
    memset(&lines, 0, sizeof(lines));
    ck_assert(sim_listen(listen_clean, NULL));
}

static void teardown(void)
{
    ck_assert(!ops_log.is_open);
    ck_assert_uint_eq(ops_log.opens, ops_log.closes);
    sim_memory_fini(&banks);
}

#undef SETUP
#define SETUP setup
#undef TEARDOWN
#define TEARDOWN teardown

/* Lines from @base on are watched; forgets what was seen. */
static void watch(uint64_t base)
{
    memset(&lines, 0, sizeof(lines));
    lines.base = base;
    sim_clear();
}

/* Every line that holds a byte of [pa, pa + size) was cleaned once more since the last call. */
static void check_cleaned(uint64_t pa, uint64_t size)
{
    const uint64_t line = memory.cache_line;

    for (uint64_t at = pa / line * line; at < pa + size; at += line) {
        unsigned char *count = &lines.counts[(at - lines.base) / LINE_MIN];

        if (*count != 1) {
            ck_abort_msg("line %llx was cleaned %u times", (unsigned long long)at, *count);
        }
        *count = 0;
        lines.total--;
    }
}

/* Nothing else was cleaned, and the closing barrier came last. */
static void check_complete(void)
{
    ck_assert_uint_eq(lines.total, 0);
    ck_assert_uint_eq(sim_event_count(SIM_DSB_ISH), 1);
    ck_assert_int_eq(sim_events()[sim_event_total() - 1].kind, SIM_DSB_ISH);
    ck_assert_uint_eq(sim_event_total(), sim_event_count(SIM_DC_CIVAC) + 1);
}

/* All of [pa, pa + size), watched from @base on. */
static void clean(uint64_t base, uint64_t pa, uint64_t size)
{
    watch(base);
    ck_assert_int_eq(s2_memory_clean(&memory, pa_of(pa), size), MAPPING_OK);
}

static void clean_all(uint64_t base, uint64_t pa, uint64_t size)
{
    clean(base, pa, size);
    check_cleaned(pa, size);
    check_complete();
}

/* --- Lines ------------------------------------------------------------------------------------ */

static const struct {
    uint64_t offset, size;
    size_t lines64; /* of 64 bytes */
} spans[] = {
    {0, 0x1000, 64},      {0, 1, 1},
    {63, 1, 1},           {63, 2, 2},
    {0x10, 0x30, 1},      {0x10, 0x31, 2},
    {0xfc0, 0x40, 1},     {0xfff, 2, 2},
    {0xff0, 0x2020, 130}, {0x1000, 0x4000, 256},
    {0x7c1, 0x3f, 1},     {0x200, 0x1fff0, 2048},
    {0x1fffc0, 0x80, 2},  {0x1ff000, 0x203000, 32960},
};

static const unsigned line_sizes[] = {16, 32, 64, 128, 256, 2048};

TEST_EACH(clean_any_span_covers_each_line_once, COUNT(spans))
{
    const uint64_t offset = spans[_i].offset;
    const uint64_t bases[] = {MAPPED, OUTSIDE, REMOTE};

    for (size_t i = 0; i < COUNT(bases) * COUNT(line_sizes); i++) {
        const uint64_t pa = bases[i % COUNT(bases)] + offset;

        memory.cache_line = line_sizes[i / COUNT(bases)];
        watch(bases[i % COUNT(bases)]);
        ck_assert_int_eq(s2_memory_clean(&memory, pa_of(pa), spans[_i].size), MAPPING_OK);
        if (memory.cache_line == 64) {
            ck_assert_uint_eq(lines.total, spans[_i].lines64);
        }
        check_cleaned(pa, spans[_i].size);
        check_complete();
    }
}

TEST(clean_nothing_cleans_nothing)
{
    watch(MAPPED);
    ck_assert_int_eq(s2_memory_clean(&memory, pa_of(MAPPED), 0), MAPPING_OK);
    ck_assert_int_eq(s2_memory_clean(&memory, pa_of(OUTSIDE), 0), MAPPING_OK);
    memory.ops = NULL;
    ck_assert_int_eq(s2_memory_clean(&memory, pa_of(MAPPED), 0), MAPPING_OK);
    ck_assert_uint_eq(lines.total, 0);
    ck_assert_uint_eq(ops_log.opens, 0);
}

/* --- Windows ---------------------------------------------------------------------------------- */

/* Frames of the pool that are not mapped here are reached like any other memory, and as fast; those
 * that are need no window. */
TEST(clean_long_range_goes_in_chunks)
{
    clean_all(OUTSIDE, OUTSIDE + 0x101000, 0x500000);
    ck_assert_uint_eq(ops_log.opened, 0x500000);
    ck_assert(ops_log.opens == 3 || ops_log.opens == 4);
    ops_log.opens = ops_log.closes = 0;
    clean_all(REMOTE, REMOTE, REGION);
    ck_assert_uint_eq(ops_log.opens, 2);
    clean_all(MAPPED, MAPPED, REGION);
    ck_assert_uint_eq(ops_log.opens, 2);
}

/* From outside into the mapped region and out again, inside one chunk or over several. */
TEST(clean_across_the_pools_border_takes_each_by_its_way)
{
    static const struct {
        uint64_t pa, size, outside;
    } cases[] = {
        {MAPPED - 0x2000, 0x4000, 0x2000},
        {MAPPED - 0x300000, 0x301000, 0x300000},
        {MAPPED + REGION - 0x1000, 0x3000, 0x2000},
        {MAPPED - 0x20, 0x40, 0x20},
        {MAPPED - 0x100000, REGION + 0x200000, 0x200000},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ops_log.opened = 0;
        clean_all(MAPPED - 0x300000, cases[i].pa, cases[i].size);
        ck_assert_uint_eq(ops_log.opened, cases[i].outside);
    }
}

/* Two frames of a pool in the middle of a chunk: one window up to them, one from there on. */
TEST(clean_chunk_with_the_pool_inside_spares_the_pool)
{
    struct frame_pool inner;

    sim_memory_fini(&banks);
    sim_memory_add(&banks, pa_of(MAPPED + 0x3000), 2);
    sim_memory_pool(&banks, &inner);
    ops_log.own_start = MAPPED + 0x3000;
    ops_log.own_end = MAPPED + 0x5000;
    memory.pool = &inner;
    clean_all(MAPPED, MAPPED, 0x8000);
    ck_assert_uint_eq(ops_log.opens, 2);
    ck_assert_uint_eq(ops_log.opened, 0x6000);
}

/* --- Out of reach ----------------------------------------------------------------------------- */

TEST(clean_refused_window_is_denied_and_the_rest_cleaned)
{
    watch(OUTSIDE);
    ops_log.refused = OUTSIDE + 0x234567; /* in the second chunk */
    ck_assert_int_eq(s2_memory_clean(&memory, pa_of(OUTSIDE), 0x600000), MAPPING_DENIED);
    ck_assert_uint_eq(ops_log.refusals, 1);
    check_cleaned(OUTSIDE, 0x200000);
    check_cleaned(OUTSIDE + 0x400000, 0x200000);
    check_complete();
}

TEST(clean_refused_everywhere_is_denied)
{
    watch(OUTSIDE);
    ops_log.refused = OUTSIDE + 0x1800;
    ck_assert_int_eq(s2_memory_clean(&memory, pa_of(OUTSIDE + 0x1000), 0x1000), MAPPING_DENIED);
    ck_assert_uint_eq(ops_log.opens, 0);
    check_complete();
}

TEST(reclaim_refused_window_cleans_the_rest)
{
    watch(OUTSIDE);
    ops_log.refused = OUTSIDE + 0x1fffff; /* in the first chunk */
    s2_memory_reclaim(&memory, pa_of(OUTSIDE + 0x1ff000), 0x2000);
    ck_assert_uint_eq(ops_log.refusals, 1);
    check_cleaned(OUTSIDE + 0x200000, 0x1000);
    check_complete();
    watch(MAPPED);
    s2_memory_reclaim(&memory, pa_of(MAPPED + 0x1000), 0x3000);
    check_cleaned(MAPPED + 0x1000, 0x3000);
    check_complete();
}

TEST(clean_without_ops_reaches_the_pool_alone)
{
    memory.ops = NULL;
    clean(MAPPED - 0x100000, MAPPED - 0x2000, 0x5000);
    check_cleaned(MAPPED, 0x3000);
    check_complete();
    clean(MAPPED, MAPPED + REGION - 0x1fc0, 0x10000);
    check_cleaned(MAPPED + REGION - 0x1fc0, 0x1fc0);
    check_complete();
    clean(OUTSIDE, OUTSIDE, 0x40000000);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
    clean(REMOTE, REMOTE, REGION);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
}

/* --- Windows ---------------------------------------------------------------------------------- */

/* Two regions whose memory lies as far apart as their PAs, with a hole that is nobody's, and a third
 * that goes on where the second ends, but not in memory. */
TEST(window_ends_where_the_pool_does)
{
    static _Alignas(4096) unsigned char bytes[8 * 4096];
    static struct frame_info infos[6];
    struct frame_region regions[] = {{PA_INIT(0x10000), bytes, 2, infos},
                                     {PA_INIT(0x13000), bytes + 0x3000, 2, infos + 2},
                                     {PA_INIT(0x15000), bytes + 0x6000, 2, infos + 4}};
    struct s2_memory own = {.pool = &pool, .cache_line = 64};
    static struct frame_pool scattered;
    static const struct {
        uint64_t pa, size, got;
    } rows[] = {{0x10000, 0x1000, 0x1000}, {0x10008, 0x5000, 0x1ff8}, {0x11ff8, 8, 8},
                {0x13000, 0x4000, 0x2000}, {0x15800, 0x100, 0x100},   {0x16fff, 0x10, 1}};
    struct s2_window got;

    ck_assert_int_eq(frame_pool_init(&scattered, 12, regions, 3), MAPPING_OK);
    own.pool = &scattered;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const size_t bias = rows[i].pa < 0x15000 ? 0x10000 : 0xf000;

        ck_assert_int_eq(s2_memory_open(&own, pa_of(rows[i].pa), rows[i].size, &got), MAPPING_OK);
        ck_assert_ptr_eq(got.ptr, bytes + (rows[i].pa - bias));
        ck_assert_uint_eq(got.size, rows[i].got);
        ck_assert(!got.is_opened);
        s2_memory_close(&own, &got);
    }
    ck_assert_int_eq(s2_memory_open(&own, pa_of(0x12000), 8, &got), MAPPING_UNSUPPORTED);
}

TEST(window_of_the_ops_is_closed_as_it_was_opened)
{
    struct s2_window got;

    ck_assert_int_eq(s2_memory_open(&memory, pa_of(OUTSIDE + 0x10), REGION, &got), MAPPING_OK);
    ck_assert(got.is_opened && got.ptr == window + 0x10);
    ck_assert_uint_eq(got.size, S2_MEMORY_CHUNK - 0x10);
    s2_memory_close(&memory, &got);
    /* Up to what the pool shows itself. */
    ck_assert_int_eq(s2_memory_open(&memory, pa_of(MAPPED - 0x800), 0x1000, &got), MAPPING_OK);
    ck_assert_uint_eq(got.size, 0x800);
    s2_memory_close(&memory, &got);
    ops_log.refused = OUTSIDE;
    ck_assert_int_eq(s2_memory_open(&memory, pa_of(OUTSIDE), 8, &got), MAPPING_DENIED);
}

TEST(zero_goes_through_pool_and_ops)
{
    unsigned char *mapped = frame_pool_ptr(&pool, pa_of(MAPPED));

    memset(window, 0xff, sizeof(window));
    memset(mapped, 0xff, 0x3000);
    ck_assert_int_eq(s2_memory_zero(&memory, pa_of(MAPPED - 0x40), 0x1080), MAPPING_OK);
    ck_assert(mapped[0] == 0 && mapped[0x103f] == 0 && mapped[0x1040] == 0xff);
    ck_assert(window[S2_MEMORY_CHUNK - 0x41] == 0xff && window[S2_MEMORY_CHUNK - 0x40] == 0 &&
              window[S2_MEMORY_CHUNK - 1] == 0 && window[S2_MEMORY_CHUNK] == 0xff);
    memory.ops = NULL;
    ck_assert_int_eq(s2_memory_zero(&memory, pa_of(MAPPED + REGION - 8), 16), MAPPING_UNSUPPORTED);
}
