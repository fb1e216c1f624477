/*
 * test_monitor.c - the monitor is judged: break, invalidate, make. Each good_ program keeps the rules
 * in a way that is easily mistaken for breaking them, each bad_ one breaks exactly one, which the
 * monitor must name.
 */
#include "tests/unit/monitor_bench.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <string.h>

#define SUITE "monitor"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HINT_PAGE 0x7  /* 4K, level 3 */
#define HINT_BLOCK 0x6 /* 4K, level 2 */
#define OUT(n) (BENCH_DATA + (n)*UINT64_C(0x1000))
#define PAGE(n) (OUT(n) | BENCH_PAGE)
#define TABLE_SPAN UINT64_C(0x200000)

static const uint64_t page_operand = BENCH_AT_PAGE >> 12;

/* --- Leaves ---------------------------------------------------------------------------------- */

static void good_page_replaced(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush(page_operand);
    bench_publish(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void good_page_replaced_with_hint(struct bench *bench)
{
    bench_swap(PAGES(bench, 1), PAGE(1) & ~UINT64_C(1));
    bench_flush(bench_operand(BENCH_AT_PAGE, HINT_PAGE));
    bench_publish(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void good_page_replaced_by_whole(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush_whole();
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void good_page_replaced_by_everything(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ishst();
    arch_tlbi_alle1is();
    arch_dsb_ish();
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

/* The range of two pages ends with the one that is broken. */
static void good_page_in_range(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush_range(bench_range_operand(0, 0, 0, 3));
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

/* Any address in a block is the block's. */
static void good_block_by_any_address(struct bench *bench)
{
    bench_store(MIDDLE(bench, 1), 0);
    bench_flush(bench_operand(BENCH_AT_BLOCK + 0x5000, HINT_BLOCK));
    bench_end();
}

static void good_two_breaks_one_flush(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_store(PAGES(bench, 2), 0);
    arch_dsb_ish();
    arch_tlbi_ipas2e1is(page_operand);
    arch_tlbi_ipas2e1is(page_operand + 1);
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    bench_store(PAGES(bench, 1), PAGE(2));
    bench_store(PAGES(bench, 2), PAGE(1));
    bench_end();
}

/* Entries without AF are cached by nobody. */
static void good_no_flush_for_what_was_never_cached(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9) & ~BENCH_AF);
    bench_store(PAGES(bench, 9), 0);
    bench_store(PAGES(bench, 9), PAGE(10));
    bench_end();
}

static void good_no_flush_for_empty_entries(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9));
    bench_publish(MIDDLE(bench, 3), (BENCH_DATA + TABLE_SPAN) | BENCH_BLOCK);
    bench_end();
}

static void bad_output_changed(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_flush(page_operand);
}

static void bad_type_changed(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) & ~UINT64_C(0x28));
    bench_flush(page_operand);
}

static void bad_hint_added(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) | BENCH_HINT);
    bench_flush(page_operand);
}

static void bad_made_at_once(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_flush(page_operand);
}

static void bad_unmap_without_flush(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_end();
}

static void bad_stage1_tlbi_only(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
}

static void bad_first_dsb_missing(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_tlbi_ipas2e1is(page_operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void bad_first_dsb_missing_before_whole(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_tlbi_vmalls12e1is();
    arch_dsb_ish();
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void bad_first_dsb_of_one_cluster(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_nsh();
    arch_tlbi_vmalls12e1is();
    arch_dsb_ish();
    arch_isb();
}

/* Another CPU's barrier orders nothing of this one's. */
static void bad_first_dsb_elsewhere(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    sim_set_cpu(1);
    bench_flush_whole();
    sim_set_cpu(0);
    bench_end();
}

static void bad_middle_dsb_missing(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_ipas2e1is(page_operand);
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void bad_middle_dsb_for_stores(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_ipas2e1is(page_operand);
    arch_dsb_ishst();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
}

static void bad_stage1_missing(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_ipas2e1is(page_operand);
    arch_dsb_ish();
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void bad_closing_dsb_missing(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_ipas2e1is(page_operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void bad_closing_dsb_missing_after_whole(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_vmalls12e1is();
    arch_dsb_ishst();
    arch_isb();
}

/* The DSB has to be of the CPU that executed the TLBI. */
static void bad_closing_dsb_elsewhere(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_vmalls12e1is();
    sim_set_cpu(1);
    arch_dsb_ish();
    sim_set_cpu(0);
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void bad_local_flush(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_ipas2e1(page_operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1();
    arch_dsb_ish();
    arch_isb();
}

static void bad_local_whole(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_vmalls12e1();
    arch_dsb_ish();
    arch_isb();
}

static void bad_local_stage1(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_ipas2e1is(page_operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1();
    arch_dsb_ish();
    arch_isb();
}

/* --- Permissions ----------------------------------------------------------------------------- */

static void good_tightened(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) & ~BENCH_WRITE);
    bench_flush(page_operand);
}

static void good_software_bits(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) | UINT64_C(3) << 56);
    bench_end();
}

static void good_relaxed_here(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9) & ~BENCH_WRITE);
    bench_end();
    bench_store(PAGES(bench, 9), PAGE(9));
    arch_dsb_ishst();
    arch_tlbi_ipas2e1(9);
    arch_dsb_nsh();
    arch_tlbi_vmalle1();
    arch_dsb_nsh();
    arch_isb();
}

static void good_relaxed_everywhere(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9) & ~BENCH_WRITE);
    bench_end();
    bench_store(PAGES(bench, 9), PAGE(9));
    bench_flush(9);
}

static void bad_tightened_without_flush(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) & ~BENCH_WRITE);
    bench_end();
}

static void bad_tightened_with_local_flush(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) | BENCH_XN);
    arch_dsb_ish();
    arch_tlbi_ipas2e1(page_operand);
    arch_dsb_nsh();
    arch_tlbi_vmalle1();
    arch_dsb_nsh();
    arch_isb();
}

/* Taken away and given back before the flush: a third CPU may still hold what is between. */
static void bad_tightened_and_relaxed(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) | BENCH_XN);
    bench_store(PAGES(bench, 1), PAGE(1));
    arch_dsb_ish();
    arch_tlbi_vmalls12e1();
    arch_dsb_nsh();
    arch_isb();
}

static void bad_relaxed_without_flush(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9) & ~BENCH_WRITE);
    bench_end();
    bench_store(PAGES(bench, 9), PAGE(9));
    bench_end();
}

static void bad_relaxed_elsewhere(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9) & ~BENCH_WRITE);
    bench_end();
    bench_store(PAGES(bench, 9), PAGE(9));
    bench_end();
    sim_set_cpu(1);
    arch_tlbi_ipas2e1(9);
    arch_dsb_nsh();
    arch_tlbi_vmalle1();
    arch_dsb_nsh();
    arch_isb();
    sim_set_cpu(0);
}

static void bad_accessed_cleared_without_flush(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) & ~BENCH_AF);
    bench_end();
}

/* --- Operands -------------------------------------------------------------------------------- */

static void broken_page_with(struct bench *bench, uint64_t operand)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush(operand);
}

static void bad_operand_not_shifted(struct bench *bench)
{
    broken_page_with(bench, BENCH_AT_PAGE);
}

/* High enough that the address is none of the guest's. */
static void bad_operand_beyond_input(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush(UINT64_C(0x40) << 30);
}

static void bad_operand_shifted_too_far(struct bench *bench)
{
    broken_page_with(bench, BENCH_AT_PAGE >> 16);
}

/* Built in the loop variable: the second goes to where the first operand points. */
static void bad_operand_in_loop_variable(struct bench *bench)
{
    uint64_t at = BENCH_AT_PAGE;

    bench_store(PAGES(bench, 1), 0);
    bench_store(PAGES(bench, 2), 0);
    arch_dsb_ish();
    for (int i = 0; i < 2; i++) {
        at >>= 12;
        arch_tlbi_ipas2e1is(at);
        at += UINT64_C(0x1000);
    }
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
}

static void bad_operand_reserved_bits(struct bench *bench)
{
    broken_page_with(bench, page_operand | UINT64_C(1) << 62);
}

static void bad_hint_of_another_level(struct bench *bench)
{
    broken_page_with(bench, bench_operand(BENCH_AT_PAGE, HINT_BLOCK));
}

static void bad_hint_of_another_granule(struct bench *bench)
{
    broken_page_with(bench, bench_operand(BENCH_AT_PAGE, 0xb));
}

static void bad_hint_of_level_zero(struct bench *bench)
{
    broken_page_with(bench, bench_operand(BENCH_AT_PAGE, 0x4));
}

static void bad_hint_without_feature(struct bench *bench)
{
    broken_page_with(bench, bench_operand(BENCH_AT_PAGE, HINT_PAGE));
}

static void broken_page_with_range(struct bench *bench, uint64_t operand)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush_range(operand);
}

static void good_range_from_unaligned_start(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_store(PAGES(bench, 2), 0);
    bench_flush_range(bench_range_operand(BENCH_AT_PAGE, 0, 0, 3));
}

static void bad_range_too_short(struct bench *bench)
{
    bench_store(PAGES(bench, 3), 0);
    broken_page_with_range(bench, bench_range_operand(BENCH_AT_PAGE, 0, 0, 3));
}

static void bad_range_of_another_level(struct bench *bench)
{
    broken_page_with_range(bench, bench_range_operand(0, 0, 3, 2));
}

static void bad_range_of_another_granule(struct bench *bench)
{
    broken_page_with_range(bench, bench_range_operand(0, 0, 3, 3) | UINT64_C(2) << 46);
}

static void bad_range_without_feature(struct bench *bench)
{
    broken_page_with_range(bench, bench_range_operand(0, 0, 3, 3));
}

/* With LPA2 the base of a range counts 64K, whatever the granule. */
static void broken_other_with_base(struct bench *bench, uint64_t unit)
{
    bench_store(OTHER(bench, 0), 0);
    bench_flush_range(BENCH_AT_OTHER / unit | UINT64_C(1) << 46);
}

static void good_range_with_lpa2(struct bench *bench)
{
    broken_other_with_base(bench, 65536);
}

static void bad_range_with_lpa2_in_granules(struct bench *bench)
{
    broken_other_with_base(bench, 4096);
}

static void good_hint_of_level_one(struct bench *bench)
{
    bench_store(ROOT(bench, 1), (BENCH_DATA + (UINT64_C(1) << 30)) | BENCH_BLOCK);
    bench_end();
    bench_store(ROOT(bench, 1), 0);
    bench_flush(bench_operand((UINT64_C(2) << 30) - 4096, 0x5));
}

/* --- Tables that go -------------------------------------------------------------------------- */

static void good_table_unlinked_by_whole(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush_whole();
    bench_fill_table(bench, 3, 0); /* it is anybody's */
}

/* 512 pages: (15 + 1) << 5 */
static void good_table_unlinked_by_range(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush_range(bench_range_operand(BENCH_AT_OTHER, 1, 7, 0));
    bench_fill_table(bench, 3, 0);
}

static void good_table_unlinked_page_by_page(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    arch_dsb_ish();
    for (uint64_t at = TABLE_SPAN; at != 0; at -= 4096) {
        arch_tlbi_ipas2e1is(bench_operand(BENCH_AT_OTHER + at - 4096, 0));
    }
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
    bench_fill_table(bench, 3, 0);
}

/* Its entries were cleared and invalidated on their own; the table above stands for all. */
static void good_emptied_table_unlinked(struct bench *bench)
{
    bench_store(OTHER(bench, 0), 0);
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush_whole();
    bench_fill_table(bench, 3, 0);
}

/* Two levels at once. */
static void good_subtree_unlinked(struct bench *bench)
{
    bench_store(ROOT(bench, 0), 0);
    bench_flush_whole();
    bench_fill_table(bench, 1, 0);
    bench_fill_table(bench, 2, 0);
    bench_fill_table(bench, 3, 0);
}

static void bad_table_by_one_address(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush(bench_operand(BENCH_AT_OTHER, 0));
}

/* An upper-level table, and 2 MiB of it. */
static void bad_upper_table_by_first_block(struct bench *bench)
{
    bench_store(ROOT(bench, 0), 0);
    bench_flush_range(bench_range_operand(0, 1, 7, 0));
}

static void bad_table_with_hint(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush_range(bench_range_operand(BENCH_AT_OTHER, 1, 7, 3));
}

static void bad_table_page_by_page_but_one(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    arch_dsb_ish();
    for (uint64_t at = 0; at < TABLE_SPAN; at += at == 0x7000 ? 0x2000 : 0x1000) {
        arch_tlbi_ipas2e1is(bench_operand(BENCH_AT_OTHER + at, 0));
    }
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
}

static void bad_table_became_block(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), (BENCH_DATA + BENCH_AT_OTHER) | BENCH_BLOCK);
    bench_flush_whole();
}

static void bad_block_became_table(struct bench *bench)
{
    bench_fill_table(bench, 8, 0);
    bench_publish(MIDDLE(bench, 1), bench_table(8));
    bench_flush_whole();
}

#define GOOD(name)                       \
    {                                    \
#name, name, MONITOR_OK, 0, NULL \
    }
#define BAD(name, rule)                      \
    {                                        \
#name, name, MONITOR_##rule, 0, NULL \
    }

static const struct bench_program leaf_programs[] = {
    GOOD(good_page_replaced),
    GOOD(good_page_replaced_with_hint),
    GOOD(good_page_replaced_by_whole),
    GOOD(good_page_replaced_by_everything),
    GOOD(good_page_in_range),
    GOOD(good_block_by_any_address),
    GOOD(good_two_breaks_one_flush),
    GOOD(good_no_flush_for_what_was_never_cached),
    GOOD(good_no_flush_for_empty_entries),
    BAD(bad_output_changed, NO_BREAK),
    BAD(bad_type_changed, NO_BREAK),
    BAD(bad_hint_added, NO_BREAK),
    BAD(bad_made_at_once, NO_STAGE2),
    BAD(bad_unmap_without_flush, NO_STAGE2),
    BAD(bad_stage1_tlbi_only, NO_STAGE2),
    BAD(bad_first_dsb_missing, NO_FIRST_DSB),
    BAD(bad_first_dsb_missing_before_whole, NO_FIRST_DSB),
    BAD(bad_first_dsb_of_one_cluster, NO_FIRST_DSB),
    BAD(bad_first_dsb_elsewhere, NO_FIRST_DSB),
    BAD(bad_middle_dsb_missing, NO_MIDDLE_DSB),
    BAD(bad_middle_dsb_for_stores, NO_MIDDLE_DSB),
    BAD(bad_stage1_missing, NO_STAGE1),
    BAD(bad_closing_dsb_missing, NO_CLOSING_DSB),
    BAD(bad_closing_dsb_missing_after_whole, NO_CLOSING_DSB),
    BAD(bad_closing_dsb_elsewhere, NO_CLOSING_DSB),
    BAD(bad_local_flush, LOCAL_ONLY),
    BAD(bad_local_whole, LOCAL_ONLY),
    BAD(bad_local_stage1, NO_STAGE1),
};

static const struct bench_program permission_programs[] = {
    GOOD(good_tightened),
    GOOD(good_software_bits),
    GOOD(good_relaxed_here),
    GOOD(good_relaxed_everywhere),
    BAD(bad_tightened_without_flush, NO_STAGE2),
    BAD(bad_tightened_with_local_flush, LOCAL_ONLY),
    BAD(bad_tightened_and_relaxed, LOCAL_ONLY),
    BAD(bad_relaxed_without_flush, NO_STAGE2),
    BAD(bad_relaxed_elsewhere, LOCAL_ONLY),
    BAD(bad_accessed_cleared_without_flush, NO_STAGE2),
};

static const struct bench_program operand_programs[] = {
    GOOD(good_range_from_unaligned_start),
    GOOD(good_hint_of_level_one),
    {"good_range_with_lpa2", good_range_with_lpa2, MONITOR_OK, BENCH_DS, NULL},
    {"bad_range_with_lpa2_in_granules", bad_range_with_lpa2_in_granules, MONITOR_OPERAND, BENCH_DS,
     NULL},
    BAD(bad_operand_not_shifted, OPERAND),
    BAD(bad_operand_beyond_input, OPERAND),
    BAD(bad_operand_shifted_too_far, OPERAND),
    BAD(bad_operand_in_loop_variable, OPERAND),
    BAD(bad_operand_reserved_bits, OPERAND),
    BAD(bad_hint_of_another_level, LEVEL_HINT),
    BAD(bad_hint_of_another_granule, LEVEL_HINT),
    BAD(bad_hint_of_level_zero, LEVEL_HINT),
    {"bad_hint_without_feature", bad_hint_without_feature, MONITOR_LEVEL_HINT, BENCH_NO_TTL, NULL},
    BAD(bad_range_too_short, OPERAND),
    BAD(bad_range_of_another_level, LEVEL_HINT),
    BAD(bad_range_of_another_granule, OPERAND),
    {"bad_range_without_feature", bad_range_without_feature, MONITOR_OPERAND, BENCH_NO_RANGES,
     NULL},
};

static const struct bench_program table_programs[] = {
    GOOD(good_table_unlinked_by_whole),
    GOOD(good_table_unlinked_by_range),
    GOOD(good_table_unlinked_page_by_page),
    GOOD(good_emptied_table_unlinked),
    GOOD(good_subtree_unlinked),
    BAD(bad_table_by_one_address, OPERAND),
    BAD(bad_upper_table_by_first_block, OPERAND),
    BAD(bad_table_with_hint, LEVEL_HINT),
    BAD(bad_table_page_by_page_but_one, OPERAND),
    BAD(bad_table_became_block, NO_BREAK),
    BAD(bad_block_became_table, NO_BREAK),
};

TEST_EACH(monitor_judges_leaf_programs_rightly, COUNT(leaf_programs))
{
    bench_judge(&leaf_programs[_i]);
}

TEST_EACH(monitor_judges_permission_programs_rightly, COUNT(permission_programs))
{
    bench_judge(&permission_programs[_i]);
}

TEST_EACH(monitor_judges_operand_programs_rightly, COUNT(operand_programs))
{
    bench_judge(&operand_programs[_i]);
}

TEST_EACH(monitor_judges_unlink_programs_rightly, COUNT(table_programs))
{
    bench_judge(&table_programs[_i]);
}

/* Where, by what, and how it came to it. */
TEST(verdict_tells_the_event_and_the_history_of_the_slot)
{
    const struct bench_program program = {"bad_middle_dsb_missing", bad_middle_dsb_missing,
                                          MONITOR_NO_MIDDLE_DSB, 0, NULL};
    const char *at;

    bench_judge(&program);
    at = strstr(bench_story(), "monitor: no DSB between stage 2 and stage 1: made again");
    ck_assert_ptr_eq(at, bench_story());
    at = strstr(at, "STORE             0x0000000000000000 -> 0x00000010000097ff\n");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "the slot at PA 0x8040002008");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "STORE             0x00000010000017ff -> 0x0000000000000000\n");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "TLBI_IPAS2E1IS    operand 0x1 vttbr 0x7008040000000\n");
    ck_assert_ptr_nonnull(at);
    ck_assert_ptr_nonnull(strstr(at, "TLBI_VMALLE1IS"));
}
