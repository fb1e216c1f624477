/*
 * test_monitor_direct.c - the monitor is judged: nXS forms, and changes that FEAT_BBM level 2 lets
 * go direct. See test_monitor.c.
 */
#include "tests/unit/monitor_bench.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "monitor_direct"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HINT_PAGE 0x7  /* 4K, level 3 */
#define HINT_BLOCK 0x6 /* 4K, level 2 */
#define PAGE(n) ((BENCH_DATA + (n)*UINT64_C(0x1000)) | BENCH_PAGE)
#define FORCED(leaf) (((leaf) & ~UINT64_C(0x3c)) | UINT64_C(0x18)) /* MemAttr 0b0110 */
#define FIRST_OF_BLOCK (BENCH_AT_BLOCK >> 12)
#define PAGES_OF_BLOCK 512
#define NEW 8 /* a free frame */
#define RUN_FIRST 16
#define RUN_LAST 31

static const uint64_t page_operand = BENCH_AT_PAGE >> 12;

/* --- nXS ------------------------------------------------------------------------------------- */

static void flush_nxs(uint64_t operand)
{
    arch_dsb_ish();
    arch_tlbi_ipas2e1is_nxs(operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1is_nxs();
    arch_dsb_ish();
    arch_isb();
}

static void flush_whole_nxs(void)
{
    arch_dsb_ish();
    arch_tlbi_vmalls12e1is_nxs();
    arch_dsb_ish();
    arch_isb();
}

/* For walkers that do not look into the caches. */
static void store_clean(s2_desc_t *slot, uint64_t value)
{
    bench_store(slot, value);
    arch_dc_cvac(slot);
    arch_dsb_ish();
}

static void map_forced(struct bench *bench)
{
    bench_store(PAGES(bench, 9), FORCED(PAGE(9)));
    bench_end();
}

static void good_nxs_for_forced_page(struct bench *bench)
{
    map_forced(bench);
    bench_store(PAGES(bench, 9), 0);
    flush_nxs(9);
    bench_store(PAGES(bench, 9), PAGE(10));
    bench_end();
}

static void good_nxs_range_for_forced_page(struct bench *bench)
{
    map_forced(bench);
    bench_store(PAGES(bench, 9), 0);
    arch_dsb_ish();
    arch_tlbi_ripas2e1is_nxs(bench_range_operand(0x8000, 0, 0, 3));
    arch_dsb_ish();
    arch_tlbi_vmalle1is_nxs();
    arch_dsb_ish();
    arch_isb();
}

static void good_nxs_after_relaxing(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9) & ~BENCH_WRITE);
    bench_end();
    bench_store(PAGES(bench, 9), PAGE(9));
    flush_nxs(9);
}

static void good_nxs_and_then_all(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    flush_nxs(page_operand);
    bench_flush(page_operand);
}

static void bad_nxs_for_slow_page(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    flush_nxs(page_operand);
}

static void bad_nxs_for_tightened_slow_page(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) & ~BENCH_WRITE);
    flush_nxs(page_operand);
}

/* Without FWB, stage 1 may make it anything. */
static void bad_nxs_for_page_by_type_alone(struct bench *bench)
{
    good_nxs_for_forced_page(bench);
}

static void bad_nxs_in_stage1_only(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_ipas2e1is(page_operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1is_nxs();
    arch_dsb_ish();
    arch_isb();
}

static void bad_nxs_in_stage2_only(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_ipas2e1is_nxs(page_operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
}

static void bad_nxs_whole_for_slow_page(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    flush_whole_nxs();
}

static void good_nxs_for_table_of_forced(struct bench *bench)
{
    bench_fill_table(bench, NEW, FORCED(PAGE(9)));
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
    bench_store(MIDDLE(bench, 3), 0);
    flush_whole_nxs();
}

/* What was slow below it is invalidated, in full, before the table goes. */
static void good_nxs_for_table_emptied_before(struct bench *bench)
{
    bench_store(OTHER(bench, 0), 0);
    bench_flush_whole();
    bench_store(MIDDLE(bench, 2), 0);
    flush_whole_nxs();
}

static void bad_nxs_for_table_with_slow_page(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    flush_whole_nxs();
}

static void bad_nxs_for_table_two_levels_up(struct bench *bench)
{
    bench_store(ROOT(bench, 0), 0);
    flush_whole_nxs();
}

/* Nothing but the page at the far end is slow. */
static void bad_nxs_for_table_above_table_with_slow_page(struct bench *bench)
{
    bench_fill_table(bench, NEW + 1, PAGE(9));
    bench_fill_table(bench, NEW, bench_table(NEW + 1));
    arch_dsb_ishst();
    bench_publish(ROOT(bench, 1), bench_table(NEW));
    bench_end();
    bench_store(ROOT(bench, 1), 0);
    flush_whole_nxs();
}

static void bad_nxs_for_table_that_had_slow_page(struct bench *bench)
{
    bench_store(OTHER(bench, 0), 0);
    bench_store(MIDDLE(bench, 2), 0);
    flush_whole_nxs();
}

/* Walks that go past the caches are slow, whatever the page is that they lead to. */
static void good_full_flush_for_walks_past_caches(struct bench *bench)
{
    store_clean(PAGES(bench, 9), FORCED(PAGE(9)));
    bench_end();
    store_clean(PAGES(bench, 9), 0);
    bench_flush(9);
    store_clean(PAGES(bench, 9), PAGE(10));
    bench_end();
}

static void bad_nxs_for_walks_past_caches(struct bench *bench)
{
    store_clean(PAGES(bench, 9), FORCED(PAGE(9)));
    bench_end();
    store_clean(PAGES(bench, 9), 0);
    flush_nxs(9);
}

static void bad_nxs_after_relaxing_for_walks_past_caches(struct bench *bench)
{
    store_clean(PAGES(bench, 9), FORCED(PAGE(9)) & ~BENCH_WRITE);
    bench_end();
    store_clean(PAGES(bench, 9), FORCED(PAGE(9)));
    flush_nxs(9);
}

static void bad_nxs_for_table_for_walks_past_caches(struct bench *bench)
{
    store_clean(OTHER(bench, 0), 0);
    bench_flush_whole();
    store_clean(MIDDLE(bench, 2), 0);
    flush_whole_nxs();
}

/* --- Block to table -------------------------------------------------------------------------- */

static void fill_pages(struct bench *bench, uint64_t first)
{
    for (size_t i = 0; i < PAGES_OF_BLOCK; i++) {
        bench_fill(bench_slot(bench, NEW, i), first + i * UINT64_C(0x1000));
    }
}

static void split(struct bench *bench)
{
    fill_pages(bench, PAGE(FIRST_OF_BLOCK));
    bench_publish(MIDDLE(bench, 1), bench_table(NEW));
}

static void good_split(struct bench *bench)
{
    split(bench);
    bench_flush(bench_operand(BENCH_AT_BLOCK + 0x3000, HINT_BLOCK));
    bench_store(bench_slot(bench, NEW, 3), 0);
    bench_flush(bench_operand(BENCH_AT_BLOCK + 0x3000, HINT_PAGE));
    bench_store(bench_slot(bench, NEW, 3), PAGE(3));
    bench_end();
}

static void good_split_into_runs(struct bench *bench)
{
    fill_pages(bench, PAGE(FIRST_OF_BLOCK) | BENCH_HINT);
    bench_publish(MIDDLE(bench, 1), bench_table(NEW));
    bench_flush(bench_operand(BENCH_AT_BLOCK, 0));
}

/* The block's own entry, and the page's. */
static void good_split_and_unmap_page(struct bench *bench)
{
    split(bench);
    bench_store(bench_slot(bench, NEW, 3), 0);
    bench_flush(bench_operand(BENCH_AT_BLOCK + 0x3000, 0));
}

/* A TLB that still knows the block answers as the page does. */
static void good_split_and_remake_same_page(struct bench *bench)
{
    split(bench);
    bench_store(bench_slot(bench, NEW, 3), 0);
    bench_flush(bench_operand(BENCH_AT_BLOCK + 0x3000, HINT_PAGE));
    bench_store(bench_slot(bench, NEW, 3), PAGE(FIRST_OF_BLOCK + 3));
    bench_flush(bench_operand(BENCH_AT_BLOCK, HINT_BLOCK));
}

static void good_split_and_join(struct bench *bench)
{
    split(bench);
    bench_publish(MIDDLE(bench, 1), (BENCH_DATA + BENCH_AT_BLOCK) | BENCH_BLOCK);
    bench_flush_range(bench_range_operand(BENCH_AT_BLOCK, 1, 7, 0));
    bench_fill_table(bench, NEW, 0);
}

static void good_split_and_unlink(struct bench *bench)
{
    split(bench);
    bench_store(MIDDLE(bench, 1), 0);
    bench_flush_whole();
    bench_fill_table(bench, NEW, 0);
    monitor_returned(bench->monitor, BENCH_DATA + BENCH_AT_BLOCK, BENCH_AT_BLOCK);
}

static void bad_split_without_flush(struct bench *bench)
{
    split(bench);
    bench_end();
}

static void bad_split_with_hint_of_pages(struct bench *bench)
{
    split(bench);
    bench_flush(bench_operand(BENCH_AT_BLOCK, HINT_PAGE));
}

static void bad_split_and_unmap_by_page_alone(struct bench *bench)
{
    split(bench);
    bench_store(bench_slot(bench, NEW, 3), 0);
    bench_flush(bench_operand(BENCH_AT_BLOCK + 0x3000, HINT_PAGE));
}

static void bad_split_and_remake_other_page(struct bench *bench)
{
    split(bench);
    bench_store(bench_slot(bench, NEW, 3), 0);
    bench_flush(bench_operand(BENCH_AT_BLOCK + 0x3000, HINT_PAGE));
    bench_store(bench_slot(bench, NEW, 3), PAGE(3));
    bench_flush(bench_operand(BENCH_AT_BLOCK, HINT_BLOCK));
}

static void bad_split_data_reused_by_page_flush(struct bench *bench)
{
    split(bench);
    bench_store(bench_slot(bench, NEW, 3), 0);
    bench_flush(bench_operand(BENCH_AT_BLOCK + 0x3000, HINT_PAGE));
    monitor_returned(bench->monitor, BENCH_DATA + BENCH_AT_BLOCK + 0x3000, 0x1000);
}

static void bad_split_before_fill(struct bench *bench)
{
    bench_publish(MIDDLE(bench, 1), bench_table(NEW));
    bench_flush_whole();
}

static void bad_split_by_plain_store(struct bench *bench)
{
    fill_pages(bench, PAGE(FIRST_OF_BLOCK));
    bench_store(MIDDLE(bench, 1), bench_table(NEW));
    bench_flush_whole();
}

/* All pages right but one. */
static void split_with(struct bench *bench, uint64_t page)
{
    fill_pages(bench, PAGE(FIRST_OF_BLOCK));
    bench_fill(bench_slot(bench, NEW, 100), page);
    bench_publish(MIDDLE(bench, 1), bench_table(NEW));
    bench_flush_whole();
}

static void bad_split_with_hole(struct bench *bench)
{
    split_with(bench, 0);
}

static void bad_split_to_other_output(struct bench *bench)
{
    split_with(bench, PAGE(FIRST_OF_BLOCK + 101));
}

static void bad_split_with_other_permission(struct bench *bench)
{
    split_with(bench, PAGE(FIRST_OF_BLOCK + 100) | BENCH_XN);
}

static void bad_split_with_other_type(struct bench *bench)
{
    split_with(bench, PAGE(FIRST_OF_BLOCK + 100) & ~UINT64_C(0x28));
}

static void bad_split_loses_accessed(struct bench *bench)
{
    split_with(bench, PAGE(FIRST_OF_BLOCK + 100) & ~BENCH_AF);
}

/* A block whose dirty state hardware keeps; the pages that it is to become. */
static void prepare_clean(struct bench *bench, uint64_t bits)
{
    const uint64_t clean = ((BENCH_DATA + BENCH_AT_BLOCK) | BENCH_BLOCK | BENCH_DBM) & ~BENCH_WRITE;

    bench_store(MIDDLE(bench, 1), 0);
    bench_flush_whole();
    bench_store(MIDDLE(bench, 1), clean);
    bench_end();
    fill_pages(bench, (PAGE(FIRST_OF_BLOCK) & ~BENCH_WRITE) | BENCH_DBM | bits);
    arch_dsb_ishst();
}

/* Nothing happened to it, but could have. */
static void bad_split_of_clean_by_store(struct bench *bench)
{
    prepare_clean(bench, 0);
    bench_publish(MIDDLE(bench, 1), bench_table(NEW));
    bench_flush_whole();
}

/* Hardware marks the block dirty just before it goes. */
static void split_dirty(struct bench *bench, uint64_t bits)
{
    prepare_clean(bench, bits);
    MIDDLE(bench, 1)->raw |= BENCH_WRITE;
    bench_swap(MIDDLE(bench, 1), bench_table(NEW));
    bench_flush_whole();
}

static void good_split_keeps_dirty(struct bench *bench)
{
    split_dirty(bench, BENCH_WRITE);
}

static void bad_split_loses_dirty(struct bench *bench)
{
    split_dirty(bench, 0);
}

/* --- Table to block -------------------------------------------------------------------------- */

static void link_pages(struct bench *bench, uint64_t first)
{
    fill_pages(bench, first);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

static void join(struct bench *bench)
{
    link_pages(bench, PAGE(0));
    bench_publish(MIDDLE(bench, 3), BENCH_DATA | BENCH_BLOCK);
}

static void good_join(struct bench *bench)
{
    join(bench);
    bench_flush_range(bench_range_operand(BENCH_AT_NONE, 1, 7, 0));
    bench_fill_table(bench, NEW, 0);
}

static void good_join_of_runs(struct bench *bench)
{
    link_pages(bench, PAGE(0) | BENCH_HINT);
    bench_publish(MIDDLE(bench, 3), BENCH_DATA | BENCH_BLOCK);
    bench_flush_whole();
}

static void good_join_freed_after_flush(struct bench *bench)
{
    join(bench);
    bench_flush_whole();
    ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(NEW), 0), MAPPING_OK);
    arch_dsb_ish();
}

/* The window's first page is one of them: when all is invalidated, it is nobody's. */
static void good_join_and_unmap(struct bench *bench)
{
    fill_pages(bench, BENCH_WINDOW | BENCH_PAGE);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
    bench_publish(MIDDLE(bench, 3), BENCH_WINDOW | BENCH_BLOCK);
    bench_store(MIDDLE(bench, 3), 0);
    bench_flush_whole();
    bench_fill_table(bench, NEW, 0);
    bench_fill((s2_desc_t *)(void *)bench->window, 0);
}

static void bad_join_without_flush(struct bench *bench)
{
    join(bench);
    bench_end();
}

static void bad_join_with_hint(struct bench *bench)
{
    join(bench);
    bench_flush_range(bench_range_operand(BENCH_AT_NONE, 1, 7, 2));
}

static void bad_join_by_one_address(struct bench *bench)
{
    join(bench);
    bench_flush(bench_operand(BENCH_AT_NONE, 0));
}

static void bad_join_freed_too_soon(struct bench *bench)
{
    join(bench);
    ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(NEW), 0), MAPPING_OK);
    bench_flush_whole();
}

static void bad_join_cleared_too_soon(struct bench *bench)
{
    join(bench);
    bench_fill(bench_slot(bench, NEW, 0), 0);
    bench_flush_whole();
}

static void bad_join_with_hole(struct bench *bench)
{
    fill_pages(bench, PAGE(0));
    bench_fill(bench_slot(bench, NEW, 7), 0);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_publish(MIDDLE(bench, 3), BENCH_DATA | BENCH_BLOCK);
    bench_flush_whole();
}

static void bad_join_to_other_output(struct bench *bench)
{
    link_pages(bench, PAGE(0));
    bench_publish(MIDDLE(bench, 3), (BENCH_DATA + BENCH_AT_BLOCK) | BENCH_BLOCK);
    bench_flush_whole();
}

static void bad_join_with_more_rights(struct bench *bench)
{
    link_pages(bench, PAGE(0) | BENCH_XN);
    bench_publish(MIDDLE(bench, 3), BENCH_DATA | BENCH_BLOCK);
    bench_flush_whole();
}

/* Hardware marks one page just before the table goes. */
static void bad_join_loses_accessed(struct bench *bench)
{
    link_pages(bench, PAGE(0) & ~BENCH_AF);
    bench_slot(bench, NEW, 9)->raw |= BENCH_AF;
    bench_publish(MIDDLE(bench, 3), BENCH_DATA | (BENCH_BLOCK & ~BENCH_AF));
    bench_flush_whole();
}

/* --- The contiguous hint --------------------------------------------------------------------- */

static void clear_hints(struct bench *bench, size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++) {
        bench_store(PAGES(bench, i), PAGE(i));
    }
}

static void flush_of_run(void)
{
    bench_flush_range(bench_range_operand(BENCH_AT_RUN, 0, 7, 3));
}

static void good_hints_cleared(struct bench *bench)
{
    clear_hints(bench, RUN_FIRST, RUN_LAST);
    flush_of_run();
    bench_store(PAGES(bench, 20), 0);
    bench_flush(bench_operand(0x14000, HINT_PAGE));
    bench_store(PAGES(bench, 20), PAGE(1));
    bench_end();
}

static void good_hints_cleared_and_page_protected(struct bench *bench)
{
    clear_hints(bench, RUN_FIRST, RUN_LAST);
    bench_store(PAGES(bench, 20), PAGE(20) | BENCH_XN);
    flush_of_run();
}

static void good_hints_set(struct bench *bench)
{
    for (size_t i = 0; i < 16; i++) {
        bench_store(PAGES(bench, 32 + i), PAGE(32 + i));
    }
    bench_end();
    for (size_t i = 0; i < 16; i++) {
        bench_store(PAGES(bench, 32 + i), PAGE(32 + i) | BENCH_HINT);
    }
    bench_flush_range(bench_range_operand(0x20000, 0, 7, 3));
}

static void bad_hints_half_cleared(struct bench *bench)
{
    clear_hints(bench, RUN_FIRST, 20);
    flush_of_run();
}

static void bad_hints_cleared_without_flush(struct bench *bench)
{
    clear_hints(bench, RUN_FIRST, RUN_LAST);
    bench_end();
}

static void bad_hint_cleared_with_type(struct bench *bench)
{
    bench_store(PAGES(bench, RUN_FIRST), PAGE(RUN_FIRST) & ~UINT64_C(0x28));
    clear_hints(bench, RUN_FIRST + 1, RUN_LAST);
    flush_of_run();
}

static void bad_page_protected_among_hints(struct bench *bench)
{
    clear_hints(bench, RUN_FIRST, RUN_FIRST + 1);
    bench_store(PAGES(bench, RUN_FIRST + 1), PAGE(RUN_FIRST + 1) | BENCH_XN);
    clear_hints(bench, RUN_FIRST + 2, RUN_LAST);
    flush_of_run();
}

/* Another member's copy, not yet invalidated, stands for this page too. */
static void bad_page_remade_while_run_is_held(struct bench *bench)
{
    clear_hints(bench, RUN_FIRST, RUN_LAST);
    bench_store(PAGES(bench, 20), 0);
    bench_flush(bench_operand(0x14000, HINT_PAGE));
    bench_store(PAGES(bench, 20), PAGE(1));
    flush_of_run();
}

static void bad_hint_set_misaligned(struct bench *bench)
{
    for (size_t i = 0; i < 16; i++) {
        bench_store(PAGES(bench, 32 + i), PAGE(33 + i));
    }
    bench_end();
    bench_store(PAGES(bench, 32), PAGE(33) | BENCH_HINT);
    bench_flush_whole();
}

#define GOOD(name, options)                      \
    {                                            \
#name, name, MONITOR_OK, (options), NULL \
    }
#define BAD(name, rule, options)                     \
    {                                                \
#name, name, MONITOR_##rule, (options), NULL \
    }
#define STALE(name, rule, options, problem)                     \
    {                                                           \
#name, name, MONITOR_##rule, (options), BENCH_##problem \
    }
#define FAST (BENCH_XS | BENCH_FWB)

static const struct bench_program nxs_programs[] = {
    GOOD(good_nxs_for_forced_page, FAST),
    GOOD(good_nxs_range_for_forced_page, FAST),
    GOOD(good_nxs_after_relaxing, FAST),
    GOOD(good_nxs_and_then_all, FAST),
    GOOD(good_nxs_for_table_of_forced, FAST),
    GOOD(good_nxs_for_table_emptied_before, FAST),
    BAD(good_nxs_for_forced_page, OPERAND, BENCH_FWB), /* a CPU without them */
    STALE(bad_nxs_for_page_by_type_alone, SLOW, BENCH_XS, SECOND),
    STALE(bad_nxs_for_slow_page, SLOW, FAST, UNMAPPED),
    STALE(bad_nxs_for_tightened_slow_page, SLOW, FAST, ALLOWS),
    STALE(bad_nxs_in_stage1_only, SLOW, FAST, UNMAPPED),
    STALE(bad_nxs_in_stage2_only, SLOW, FAST, UNMAPPED),
    STALE(bad_nxs_whole_for_slow_page, SLOW, FAST, UNMAPPED),
    STALE(bad_nxs_for_table_with_slow_page, SLOW, FAST, UNMAPPED),
    STALE(bad_nxs_for_table_above_table_with_slow_page, SLOW, FAST, UNMAPPED),
    STALE(bad_nxs_for_table_two_levels_up, SLOW, FAST, UNMAPPED),
    STALE(bad_nxs_for_table_that_had_slow_page, SLOW, FAST, UNMAPPED),
    GOOD(good_full_flush_for_walks_past_caches, FAST | BENCH_NON_COHERENT),
    GOOD(bad_nxs_for_walks_past_caches, FAST), /* they are coherent here */
    GOOD(bad_nxs_after_relaxing_for_walks_past_caches, FAST),
    GOOD(bad_nxs_for_table_for_walks_past_caches, FAST),
    BAD(bad_nxs_for_walks_past_caches, SLOW, FAST | BENCH_NON_COHERENT),
    BAD(bad_nxs_after_relaxing_for_walks_past_caches, SLOW, FAST | BENCH_NON_COHERENT),
    BAD(bad_nxs_for_table_for_walks_past_caches, SLOW, FAST | BENCH_NON_COHERENT),
};

static const struct bench_program size_programs[] = {
    GOOD(good_split, BENCH_DIRECT),
    GOOD(good_split_into_runs, BENCH_DIRECT),
    GOOD(good_split_and_unmap_page, BENCH_DIRECT),
    GOOD(good_split_and_remake_same_page, BENCH_DIRECT),
    GOOD(good_split_and_join, BENCH_DIRECT),
    GOOD(good_split_and_unlink, BENCH_DIRECT),
    GOOD(good_split_keeps_dirty, BENCH_DIRECT | BENCH_HARDWARE),
    GOOD(good_join, BENCH_DIRECT),
    GOOD(good_join_of_runs, BENCH_DIRECT),
    GOOD(good_join_and_unmap, BENCH_DIRECT),
    GOOD(good_join_freed_after_flush, BENCH_DIRECT),
    STALE(good_split, NO_BREAK, 0, SECOND),
    STALE(good_join, NO_BREAK, 0, SECOND),
    STALE(bad_split_without_flush, NO_STAGE2, BENCH_DIRECT, ANOTHER),
    STALE(bad_split_with_hint_of_pages, LEVEL_HINT, BENCH_DIRECT, ANOTHER),
    STALE(bad_split_and_unmap_by_page_alone, LEVEL_HINT, BENCH_DIRECT, ANOTHER),
    STALE(bad_split_and_remake_other_page, LEVEL_HINT, BENCH_DIRECT, SECOND),
    STALE(bad_split_data_reused_by_page_flush, REUSED, BENCH_DIRECT, ANOTHER),
    STALE(bad_split_before_fill, EARLY_LINK, BENCH_DIRECT, OTHERWISE),
    BAD(bad_split_by_plain_store, EARLY_LINK, BENCH_DIRECT),
    STALE(bad_split_with_hole, NO_BREAK, BENCH_DIRECT, OTHERWISE),
    STALE(bad_split_to_other_output, NO_BREAK, BENCH_DIRECT, OTHERWISE),
    STALE(bad_split_with_other_permission, NO_BREAK, BENCH_DIRECT, OTHERWISE),
    STALE(bad_split_with_other_type, NO_BREAK, BENCH_DIRECT, OTHERWISE),
    BAD(bad_split_loses_accessed, HARDWARE, BENCH_DIRECT),
    BAD(bad_split_loses_dirty, HARDWARE, BENCH_DIRECT | BENCH_HARDWARE),
    BAD(bad_split_of_clean_by_store, HARDWARE, BENCH_DIRECT | BENCH_HARDWARE),
    STALE(bad_join_without_flush, NO_STAGE2, BENCH_DIRECT, WALK_CACHE),
    STALE(bad_join_with_hint, LEVEL_HINT, BENCH_DIRECT, WALK_CACHE),
    STALE(bad_join_by_one_address, OPERAND, BENCH_DIRECT, ANOTHER),
    STALE(bad_join_freed_too_soon, RETURNED, BENCH_DIRECT, GIVEN_BACK),
    STALE(bad_join_cleared_too_soon, REUSED, BENCH_DIRECT, WRITTEN),
    STALE(bad_join_with_hole, NO_BREAK, BENCH_DIRECT, OTHERWISE),
    STALE(bad_join_to_other_output, NO_BREAK, BENCH_DIRECT, OTHERWISE),
    STALE(bad_join_with_more_rights, NO_BREAK, BENCH_DIRECT, OTHERWISE),
    BAD(bad_join_loses_accessed, HARDWARE, BENCH_DIRECT | BENCH_HARDWARE),
};

static const struct bench_program hint_programs[] = {
    GOOD(good_hints_cleared, BENCH_DIRECT),
    GOOD(good_hints_cleared_and_page_protected, BENCH_DIRECT),
    GOOD(good_hints_set, BENCH_DIRECT),
    STALE(good_hints_cleared, NO_BREAK, 0, SECOND),
    STALE(good_hints_set, NO_BREAK, 0, SECOND),
    STALE(bad_hints_half_cleared, MIXED_RUN, BENCH_DIRECT, TORN),
    STALE(bad_hints_cleared_without_flush, NO_STAGE2, BENCH_DIRECT, ANOTHER),
    STALE(bad_hint_cleared_with_type, NO_BREAK, BENCH_DIRECT, SECOND),
    BAD(bad_page_protected_among_hints, MIXED_RUN, BENCH_DIRECT),
    STALE(bad_page_remade_while_run_is_held, OPERAND, BENCH_DIRECT, SECOND_RUN),
    STALE(bad_hint_set_misaligned, BAD_RUN, BENCH_DIRECT, TORN),
};

TEST_EACH(tlb_judges_nxs_programs_rightly, COUNT(nxs_programs))
{
    bench_judge_tlb(&nxs_programs[_i]);
}

TEST_EACH(monitor_judges_nxs_programs_rightly, COUNT(nxs_programs))
{
    bench_judge(&nxs_programs[_i]);
}

TEST_EACH(tlb_judges_size_programs_rightly, COUNT(size_programs))
{
    bench_judge_tlb(&size_programs[_i]);
}

TEST_EACH(monitor_judges_size_programs_rightly, COUNT(size_programs))
{
    bench_judge(&size_programs[_i]);
}

TEST_EACH(tlb_judges_hint_programs_rightly, COUNT(hint_programs))
{
    bench_judge_tlb(&hint_programs[_i]);
}

TEST_EACH(monitor_judges_hint_programs_rightly, COUNT(hint_programs))
{
    bench_judge(&hint_programs[_i]);
}
