/*
 * test_monitor_machine.c - the monitor is judged: registers, tables and their frames, contiguous runs,
 * hardware that writes, caches. See test_monitor.c.
 */
#include "tests/unit/monitor_bench.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <string.h>

#define SUITE "monitor_machine"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OUT(n) (BENCH_DATA + (n)*UINT64_C(0x1000))
#define PAGE(n) (OUT(n) | BENCH_PAGE)
#define HCR_TGE (UINT64_C(1) << 27)
#define HCR_E2H (UINT64_C(1) << 34)
#define TCR_EPD UINT64_C(0x800080)
#define SCTLR_M UINT64_C(1)
#define RUN_FIRST 16
#define RUN_LAST 31
#define NEW 8 /* a free frame */

static const uint64_t page_operand = BENCH_AT_PAGE >> 12;

/* --- Registers ------------------------------------------------------------------------------- */

/* Break a page of the guest while the other one is current. */
static void break_from_other(struct bench *bench)
{
    sim_cpu()->vtcr = bench->other.vtcr;
    sim_cpu()->vttbr = bench->other.vttbr;
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
}

static void invalidate(void)
{
    arch_tlbi_ipas2e1is(page_operand);
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
}

static void good_other_guest(struct bench *bench)
{
    uint64_t daif;

    break_from_other(bench);
    daif = arch_irq_mask();
    bench_switch(&bench->guest);
    invalidate();
    bench_switch(&bench->other);
    arch_irq_restore(daif);
}

static void good_entry(struct bench *bench)
{
    monitor_expect_entry(bench->monitor);
    (void)arch_irq_mask();
    bench_switch(&bench->other);
    arch_irq_restore(0);
}

static void good_whole_machine_from_other(struct bench *bench)
{
    break_from_other(bench);
    arch_tlbi_alle1is();
    arch_dsb_ish();
    arch_isb();
}

static void bad_vmid_not_switched(struct bench *bench)
{
    break_from_other(bench);
    invalidate();
}

static void bad_vtcr_not_switched(struct bench *bench)
{
    break_from_other(bench);
    sim_cpu()->vtcr ^= UINT64_C(1) << 21;
    (void)arch_irq_mask();
    arch_write_vttbr(bench->guest.vttbr);
    arch_isb();
    invalidate();
}

/* The other guest's root with this guest's VMID. */
static uint64_t other_under_own_vmid(const struct bench *bench)
{
    const uint64_t vmid = UINT64_C(0xffff) << 48;

    return (bench->other.vttbr & ~vmid) | (bench->guest.vttbr & vmid);
}

static void bad_vttbr_of_another_table(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    (void)arch_irq_mask();
    arch_write_vttbr(other_under_own_vmid(bench));
    arch_isb();
    invalidate();
}

static void bad_no_isb_after_vttbr(struct bench *bench)
{
    break_from_other(bench);
    (void)arch_irq_mask();
    arch_write_vtcr(bench->guest.vtcr);
    arch_write_vttbr(bench->guest.vttbr);
    invalidate();
}

static void bad_interrupts_on(struct bench *bench)
{
    break_from_other(bench);
    bench_switch(&bench->guest);
    invalidate();
    bench_switch(&bench->other);
}

static void bad_vttbr_not_restored(struct bench *bench)
{
    break_from_other(bench);
    sim_cpu()->daif = SIM_DAIF_ALL;
    bench_switch(&bench->guest);
    invalidate();
}

/* The root comes back, under the VMID that was just invalidated. */
static void bad_vttbr_restored_with_wrong_vmid(struct bench *bench)
{
    break_from_other(bench);
    sim_cpu()->daif = SIM_DAIF_ALL;
    bench_switch(&bench->guest);
    invalidate();
    arch_write_vttbr(other_under_own_vmid(bench));
    arch_isb();
}

static void bad_interrupts_on_before_restore(struct bench *bench)
{
    uint64_t daif;

    break_from_other(bench);
    daif = arch_irq_mask();
    bench_switch(&bench->guest);
    invalidate();
    arch_irq_restore(daif);
    bench_switch(&bench->other);
}

static void bad_no_isb_after_restore(struct bench *bench)
{
    uint64_t daif;

    break_from_other(bench);
    daif = arch_irq_mask();
    bench_switch(&bench->guest);
    invalidate();
    arch_write_vttbr(bench->other.vttbr);
    arch_irq_restore(daif);
}

static void bad_interrupts_stay_masked(struct bench *bench)
{
    (void)bench;
    (void)arch_irq_mask();
}

static void good_host_clears_tge(struct bench *bench)
{
    const uint64_t hcr = bench->guest.hcr | HCR_E2H | HCR_TGE;

    sim_cpu()->hcr = hcr;
    sim_cpu()->daif = SIM_DAIF_ALL;
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_write_hcr(hcr & ~HCR_TGE);
    arch_isb();
    invalidate();
    arch_write_hcr(hcr);
    arch_isb();
}

static void bad_tge(struct bench *bench)
{
    sim_cpu()->hcr |= HCR_E2H | HCR_TGE;
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    invalidate();
}

/* Stage 1 is on, so that no address goes to stage 2 as it is; and its walks are off. */
static void walks_off(void)
{
    arch_write_tcr_el1(TCR_EPD);
    arch_write_sctlr_el1(SCTLR_M);
    arch_isb();
}

static void walks_back(void)
{
    arch_write_sctlr_el1(0);
    arch_write_tcr_el1(0);
    arch_isb();
}

static void break_masked(struct bench *bench)
{
    break_from_other(bench);
    sim_cpu()->daif = SIM_DAIF_ALL;
}

static void good_walks_off(struct bench *bench)
{
    break_masked(bench);
    walks_off();
    bench_switch(&bench->guest);
    invalidate();
    bench_switch(&bench->other);
    walks_back();
}

static void bad_walks_off_with_stage1_off(struct bench *bench)
{
    break_masked(bench);
    arch_write_tcr_el1(TCR_EPD);
    arch_isb();
    bench_switch(&bench->guest);
    invalidate();
    bench_switch(&bench->other);
    walks_back();
}

static void bad_walks_off_without_isb(struct bench *bench)
{
    break_masked(bench);
    arch_write_tcr_el1(TCR_EPD);
    arch_isb();
    arch_write_sctlr_el1(SCTLR_M);
    bench_switch(&bench->guest);
    invalidate();
    bench_switch(&bench->other);
    walks_back();
}

static void bad_stage1_off_too_soon(struct bench *bench)
{
    break_masked(bench);
    walks_off();
    bench_switch(&bench->guest);
    invalidate();
    arch_write_sctlr_el1(0);
    bench_switch(&bench->other);
    walks_back();
}

static void bad_sctlr_not_restored(struct bench *bench)
{
    break_masked(bench);
    walks_off();
    bench_switch(&bench->guest);
    invalidate();
    bench_switch(&bench->other);
    arch_write_tcr_el1(0);
    arch_isb();
}

/* Whoever is entered finds its own stage 1. */
static void good_entry_with_walks_off(struct bench *bench)
{
    const uint64_t daif = arch_irq_mask();

    monitor_expect_entry(bench->monitor);
    walks_off();
    bench_switch(&bench->other);
    walks_back();
    arch_irq_restore(daif);
}

static void bad_entry_leaves_walks_off(struct bench *bench)
{
    const uint64_t daif = arch_irq_mask();

    monitor_expect_entry(bench->monitor);
    walks_off();
    bench_switch(&bench->other);
    arch_write_sctlr_el1(0);
    arch_isb();
    arch_irq_restore(daif);
}

static void bad_walks_on(struct bench *bench)
{
    break_masked(bench);
    bench_switch(&bench->guest);
    invalidate();
    bench_switch(&bench->other);
}

static void bad_walks_on_too_soon(struct bench *bench)
{
    break_masked(bench);
    walks_off();
    bench_switch(&bench->guest);
    invalidate();
    arch_write_tcr_el1(0);
    bench_switch(&bench->other);
    walks_back();
}

/* --- Linking --------------------------------------------------------------------------------- */

static void good_link_by_release(struct bench *bench)
{
    bench_fill_table(bench, NEW, PAGE(40));
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

static void good_link_after_barrier(struct bench *bench)
{
    bench_fill_table(bench, NEW, PAGE(40));
    arch_dsb_ishst();
    bench_store(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

static void good_link_subtree(struct bench *bench)
{
    bench_fill_table(bench, NEW + 1, PAGE(40));
    bench_fill_table(bench, NEW, bench_table(NEW + 1));
    bench_publish(ROOT(bench, 1), bench_table(NEW));
    bench_end();
}

/* A frame that was a table, and is again, with content of its own. */
static void good_frame_becomes_table_again(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush_whole();
    bench_fill_table(bench, 3, PAGE(41));
    bench_publish(MIDDLE(bench, 2), bench_table(3));
    bench_end();
}

static void bad_link_by_plain_store(struct bench *bench)
{
    bench_fill_table(bench, NEW, PAGE(40));
    bench_store(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

/* An exchange without release order is no better. */
static void bad_link_by_swap(struct bench *bench)
{
    bench_fill_table(bench, NEW, PAGE(40));
    bench_swap(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

static void bad_link_before_fill(struct bench *bench)
{
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_fill_table(bench, NEW, PAGE(40));
    bench_end();
}

/* What stood there when it was a table the last time. */
static void bad_link_with_old_content(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush_whole();
    bench_fill(OTHER(bench, 0), PAGE(41));
    bench_publish(MIDDLE(bench, 2), bench_table(3));
    bench_end();
}

static void bad_fill_after_link(struct bench *bench)
{
    bench_fill_table(bench, NEW, 0);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_fill(bench_slot(bench, NEW, 5), PAGE(45));
    bench_end();
}

static void bad_link_twice(struct bench *bench)
{
    bench_publish(MIDDLE(bench, 3), bench_table(3));
    bench_end();
}

static void bad_link_with_attributes(struct bench *bench)
{
    bench_fill_table(bench, NEW, 0);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW) | BENCH_AF);
    bench_end();
}

static void bad_link_to_nowhere(struct bench *bench)
{
    bench_publish(MIDDLE(bench, 3), (BENCH_PA >> 1) | BENCH_TABLE);
    bench_end();
}

static void bad_link_of_free_frame(struct bench *bench)
{
    ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(NEW), 0), MAPPING_OK);
    bench_fill_table(bench, NEW, 0);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

static void bad_stores_left_behind(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9));
}

static void bad_no_isb_after_stores(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9));
    arch_dsb_ishst();
}

/* --- Frames that go -------------------------------------------------------------------------- */

static void good_frame_freed_after_flush(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush_whole();
    ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(3), 0), MAPPING_OK);
}

static void bad_frame_freed_before_flush(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(3), 0), MAPPING_OK);
    bench_flush_whole();
}

static void bad_frame_freed_before_closing(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    arch_dsb_ish();
    arch_tlbi_vmalls12e1is();
    ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(3), 0), MAPPING_OK);
    arch_dsb_ish();
    arch_isb();
}

/* Two levels down. */
static void bad_child_freed_before_flush(struct bench *bench)
{
    bench_store(ROOT(bench, 0), 0);
    ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(2), 0), MAPPING_OK);
    bench_flush_whole();
}

static void bad_live_table_freed(struct bench *bench)
{
    ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(3), 0), MAPPING_OK);
}

static void bad_table_cleared_before_flush(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_fill(OTHER(bench, 0), 0);
    bench_flush_whole();
}

static void bad_frame_made_a_table_before_flush(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_publish(MIDDLE(bench, 3), bench_table(3));
    bench_flush_whole();
}

/* A free list that lives in the frames. */
static void bad_link_word_before_flush(struct bench *bench)
{
    const uint64_t word = BENCH_PA + 0x8000;

    bench_store(MIDDLE(bench, 2), 0);
    memcpy(OTHER(bench, 0), &word, sizeof(word));
    bench_flush_whole();
}

static void good_link_word_after_flush(struct bench *bench)
{
    const uint64_t word = BENCH_PA + 0x8000;

    bench_store(MIDDLE(bench, 2), 0);
    bench_flush_whole();
    memcpy(OTHER(bench, 0), &word, sizeof(word));
}

static void good_data_reused_after_flush(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush(page_operand);
    monitor_returned(bench->monitor, OUT(1), 4096);
    monitor_wrote(bench->monitor, OUT(1), 4096);
}

static void bad_data_returned_before_flush(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    monitor_returned(bench->monitor, OUT(1), 4096);
    bench_flush(page_operand);
}

static void bad_data_written_before_flush(struct bench *bench)
{
    bench_store(MIDDLE(bench, 1), 0);
    arch_dsb_ish();
    monitor_wrote(bench->monitor, BENCH_DATA + BENCH_AT_BLOCK + 0x3000, 8);
    bench_flush(BENCH_AT_BLOCK >> 12);
}

/* A guest's page of the pool becomes a table. */
static void page_of_pool_unmapped(struct bench *bench)
{
    bench_store(PAGES(bench, 9), bench_frame(NEW).raw | BENCH_PAGE);
    bench_end();
    bench_store(PAGES(bench, 9), 0);
}

static void good_page_becomes_table(struct bench *bench)
{
    page_of_pool_unmapped(bench);
    bench_flush(9);
    bench_fill_table(bench, NEW, 0);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

static void bad_page_becomes_table_before_flush(struct bench *bench)
{
    page_of_pool_unmapped(bench);
    bench_fill_table(bench, NEW, 0);
    bench_flush(9);
}

static void bad_table_mapped(struct bench *bench)
{
    bench_store(PAGES(bench, 9), bench_frame(4).raw | BENCH_PAGE);
    bench_end();
}

static void good_guest_destroyed(struct bench *bench)
{
    monitor_remove_guest(bench->monitor, bench->guest.vttbr);
    bench_flush_whole();
    for (size_t frame = 0; frame < 4; frame++) {
        ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(frame), 0), MAPPING_OK);
    }
}

static void bad_guest_destroyed_without_tlbi(struct bench *bench)
{
    monitor_remove_guest(bench->monitor, bench->guest.vttbr);
    arch_dsb_ish();
    arch_isb();
}

static void bad_guest_destroyed_too_soon(struct bench *bench)
{
    monitor_remove_guest(bench->monitor, bench->guest.vttbr);
    ck_assert_int_eq(frame_pool_free(&bench->pool, bench_frame(2), 0), MAPPING_OK);
    bench_flush_whole();
}

/* --- Contiguous runs ------------------------------------------------------------------------- */

static void run_break(struct bench *bench)
{
    for (size_t i = RUN_FIRST; i <= RUN_LAST; i++) {
        bench_store(PAGES(bench, i), 0);
    }
    bench_flush_range(bench_range_operand(BENCH_AT_RUN, 0, 7, 3));
}

static void run_make(struct bench *bench, size_t first, size_t last, uint64_t bits)
{
    for (size_t i = first; i <= last; i++) {
        bench_store(PAGES(bench, i), PAGE(i) | bits);
    }
    bench_end();
}

static void good_run_torn(struct bench *bench)
{
    run_break(bench);
    run_make(bench, RUN_FIRST, RUN_LAST - 1, 0);
}

static void good_run_made(struct bench *bench)
{
    run_break(bench);
    run_make(bench, RUN_FIRST, RUN_LAST, BENCH_HINT | BENCH_XN);
}

static void bad_run_broken_one_by_one(struct bench *bench)
{
    bench_store(PAGES(bench, 20), 0);
    bench_flush(bench_operand(0x14000, 7));
    bench_store(PAGES(bench, 20), PAGE(50));
    bench_end();
}

static void bad_run_with_a_hole(struct bench *bench)
{
    bench_store(PAGES(bench, RUN_LAST), 0);
    bench_flush(bench_operand(0x1f000, 7));
}

static void bad_run_half_made(struct bench *bench)
{
    run_break(bench);
    run_make(bench, RUN_FIRST, RUN_LAST - 1, BENCH_HINT);
}

static void bad_run_protected_in_place(struct bench *bench)
{
    bench_store(PAGES(bench, 20), PAGE(20) | BENCH_HINT | BENCH_XN);
    bench_flush_whole();
}

static void bad_run_half_hinted(struct bench *bench)
{
    run_break(bench);
    run_make(bench, RUN_FIRST, 24, BENCH_HINT);
    run_make(bench, 25, RUN_LAST, 0);
}

static void bad_run_of_unlike_outputs(struct bench *bench)
{
    run_break(bench);
    run_make(bench, RUN_FIRST, RUN_LAST - 1, BENCH_HINT);
    bench_store(PAGES(bench, RUN_LAST), PAGE(RUN_LAST + 16) | BENCH_HINT);
    bench_end();
}

static void bad_run_misaligned(struct bench *bench)
{
    bench_store(PAGES(bench, 32), PAGE(33) | BENCH_HINT);
    bench_end();
}

static void bad_table_among_run(struct bench *bench)
{
    for (uint64_t i = 16; i < 32; i++) {
        bench_store(MIDDLE(bench, i),
                    (BENCH_DATA + i * UINT64_C(0x200000)) | BENCH_BLOCK | BENCH_HINT);
    }
    bench_end();
    bench_store(MIDDLE(bench, 20), 0);
    bench_flush_whole();
    bench_fill_table(bench, NEW, 0);
    bench_publish(MIDDLE(bench, 20), bench_table(NEW));
    bench_end();
}

static void bad_dark_run_misaligned(struct bench *bench)
{
    bench_fill_table(bench, NEW, PAGE(1) | BENCH_HINT);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

static void bad_dark_run_half_made(struct bench *bench)
{
    bench_fill_table(bench, NEW, PAGE(0) | BENCH_HINT);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

/* --- Hardware that writes -------------------------------------------------------------------- */

#define CLEAN_PAGE ((PAGE(9) & ~BENCH_WRITE) | BENCH_DBM)

static void clean_page(struct bench *bench)
{
    bench_store(PAGES(bench, 9), CLEAN_PAGE);
    bench_end();
}

static void good_break_by_swap(struct bench *bench)
{
    clean_page(bench);
    bench_swap(PAGES(bench, 9), CLEAN_PAGE & ~UINT64_C(1));
    bench_flush(9);
}

static void good_change_by_replace(struct bench *bench)
{
    s2_desc_t expected = {CLEAN_PAGE};

    clean_page(bench);
    ck_assert(arch_desc_replace(PAGES(bench, 9), &expected, (s2_desc_t){CLEAN_PAGE | BENCH_XN}));
    bench_flush(9);
}

/* What hardware may still set is all set, so nothing can be lost. */
static void good_plain_store_over_settled(struct bench *bench)
{
    bench_store(PAGES(bench, 1), PAGE(1) | BENCH_XN);
    bench_flush(page_operand);
}

static void good_unmap_by_plain_store(struct bench *bench)
{
    clean_page(bench);
    bench_store(PAGES(bench, 9), 0);
    bench_flush(9);
}

static void bad_break_by_plain_store(struct bench *bench)
{
    clean_page(bench);
    bench_store(PAGES(bench, 9), CLEAN_PAGE & ~UINT64_C(1));
    bench_flush(9);
}

static void bad_change_by_plain_store(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9) & ~BENCH_AF);
    bench_end();
    bench_store(PAGES(bench, 9), (PAGE(9) & ~BENCH_AF) | BENCH_XN);
    bench_flush(9);
}

/* Hardware sets dirty state just before the swap. */
static void bad_change_by_blind_swap(struct bench *bench)
{
    const uint64_t dirty = CLEAN_PAGE | BENCH_WRITE;

    clean_page(bench);
    memcpy(PAGES(bench, 9), &dirty, sizeof(dirty));
    bench_swap(PAGES(bench, 9), CLEAN_PAGE | BENCH_XN);
    bench_flush(9);
}

/* --- Caches ---------------------------------------------------------------------------------- */

static void clean_table(struct bench *bench, size_t frame)
{
    for (size_t i = 0; i < 512; i += 8) {
        arch_dc_cvac(bench_slot(bench, frame, i));
    }
}

static void good_table_cleaned(struct bench *bench)
{
    bench_fill_table(bench, NEW, PAGE(40));
    clean_table(bench, NEW);
    arch_dsb_ish();
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    arch_dc_cvac(MIDDLE(bench, 3));
    arch_dsb_ish();
    arch_isb();
}

static void good_break_cleaned(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dc_cvac(PAGES(bench, 1));
    bench_flush(page_operand);
}

static void bad_table_not_cleaned(struct bench *bench)
{
    bench_fill_table(bench, NEW, PAGE(40));
    arch_dsb_ish();
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    arch_dc_cvac(MIDDLE(bench, 3));
    arch_dsb_ish();
    arch_isb();
}

static void bad_clean_not_complete(struct bench *bench)
{
    bench_fill_table(bench, NEW, PAGE(40));
    clean_table(bench, NEW);
    arch_dsb_ishst();
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    arch_dc_cvac(MIDDLE(bench, 3));
    arch_dsb_ish();
    arch_isb();
}

static void bad_store_not_cleaned(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9));
    arch_dsb_ish();
    arch_isb();
}

/* The walker reads the old entry again after the TLBI. */
static void bad_break_not_cleaned(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush(page_operand);
    arch_dc_cvac(PAGES(bench, 1));
    bench_end();
}

/* A page of the window that our side wrote. */
static void show(struct bench *bench, uint64_t bits)
{
    bench_store(PAGES(bench, 9), (BENCH_WINDOW | BENCH_PAGE) ^ bits);
    bench_end();
}

static void clean_window(struct bench *bench)
{
    for (size_t i = 0; i < 4096; i += 64) {
        arch_dc_civac(&bench->window[i]);
    }
    arch_dsb_ish();
}

static void good_page_cleaned(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    clean_window(bench);
    show(bench, BENCH_XN);
}

static void good_page_never_written(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW + 4096, 4096);
    show(bench, 0);
}

static void good_code_cleaned(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    clean_window(bench);
    arch_ic_ialluis();
    arch_dsb_ish();
    show(bench, 0);
}

/* Type 0b0110: write-back, whatever the guest says. */
#define FORCED (UINT64_C(9) << 2)

static void good_forced_write_back(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    show(bench, FORCED | BENCH_XN);
}

static void bad_page_not_cleaned(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    show(bench, BENCH_XN);
}

static void bad_last_line_not_cleaned(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    for (size_t i = 0; i < 4096 - 64; i += 64) {
        arch_dc_civac(&bench->window[i]);
    }
    arch_dsb_ish();
    show(bench, BENCH_XN);
}

static void bad_page_cleaned_but_not_complete(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    clean_window(bench);
    arch_dc_civac(bench->window);
    show(bench, BENCH_XN);
}

/* A clean line that stays would hide what the guest writes past the caches. */
static void bad_page_not_invalidated(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 64);
    arch_dc_cvac(bench->window);
    arch_dsb_ish();
    show(bench, BENCH_XN);
}

static void bad_page_in_new_table_not_cleaned(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 64);
    bench_fill_table(bench, NEW, (BENCH_WINDOW | BENCH_PAGE) ^ BENCH_XN);
    bench_publish(MIDDLE(bench, 3), bench_table(NEW));
    bench_end();
}

static void bad_code_without_ic(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    clean_window(bench);
    show(bench, 0);
}

static void bad_code_with_early_ic(struct bench *bench)
{
    arch_ic_ialluis();
    arch_dsb_ish();
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    clean_window(bench);
    show(bench, 0);
}

static void bad_code_made_executable(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    clean_window(bench);
    show(bench, BENCH_XN);
    show(bench, 0);
    bench_flush(9);
}

static void bad_code_under_forced_write_back(struct bench *bench)
{
    monitor_wrote(bench->monitor, BENCH_WINDOW, 4096);
    show(bench, FORCED);
}

/* A page that the guest had, and our side reads. */
static void show_and_take(struct bench *bench, uint64_t bits)
{
    show(bench, bits);
    bench_store(PAGES(bench, 9), 0);
    bench_flush(9);
}

static void good_read_after_clean(struct bench *bench)
{
    show_and_take(bench, BENCH_XN);
    clean_window(bench);
    monitor_read(bench->monitor, BENCH_WINDOW, 4096);
}

static void good_read_after_forced_write_back(struct bench *bench)
{
    show_and_take(bench, FORCED | BENCH_XN);
    monitor_read(bench->monitor, BENCH_WINDOW, 4096);
}

static void bad_read_without_clean(struct bench *bench)
{
    show_and_take(bench, BENCH_XN);
    monitor_read(bench->monitor, BENCH_WINDOW + 64, 8);
}

/* A line that the guest's last accesses fetched, as it still had the page. */
static void bad_read_after_early_clean(struct bench *bench)
{
    show(bench, BENCH_XN);
    bench_store(PAGES(bench, 9), 0);
    arch_dsb_ish();
    clean_window(bench);
    bench_flush(9);
    monitor_read(bench->monitor, BENCH_WINDOW, 4096);
}

#define GOOD(name, options)                    \
    {                                          \
#name, name, MONITOR_OK, options, NULL \
    }
#define BAD(name, rule, options)                     \
    {                                                \
#name, name, MONITOR_##rule, (options), NULL \
    }

static const struct bench_program register_programs[] = {
    GOOD(good_other_guest, 0),
    GOOD(good_entry, 0),
    GOOD(good_whole_machine_from_other, 0),
    GOOD(good_host_clears_tge, 0),
    GOOD(good_walks_off, BENCH_SPECULATIVE),
    BAD(bad_vmid_not_switched, WRONG_VMID, 0),
    BAD(bad_vtcr_not_switched, WRONG_REGIME, 0),
    BAD(bad_vttbr_of_another_table, WRONG_REGIME, 0),
    BAD(bad_no_isb_after_vttbr, NO_ISB, 0),
    BAD(bad_interrupts_on, IRQS_UNMASKED, 0),
    BAD(bad_vttbr_not_restored, NOT_RESTORED, 0),
    BAD(bad_vttbr_restored_with_wrong_vmid, NOT_RESTORED, 0),
    BAD(bad_interrupts_on_before_restore, NOT_RESTORED, 0),
    BAD(bad_no_isb_after_restore, NO_ISB, 0),
    BAD(bad_interrupts_stay_masked, NOT_RESTORED, 0),
    BAD(bad_tge, TGE, 0),
    GOOD(good_entry_with_walks_off, BENCH_SPECULATIVE),
    BAD(bad_walks_off_with_stage1_off, SPECULATIVE_AT, BENCH_SPECULATIVE),
    BAD(bad_walks_off_without_isb, SPECULATIVE_AT, BENCH_SPECULATIVE),
    BAD(bad_stage1_off_too_soon, SPECULATIVE_AT, BENCH_SPECULATIVE),
    BAD(bad_sctlr_not_restored, NOT_RESTORED, BENCH_SPECULATIVE),
    BAD(bad_entry_leaves_walks_off, NOT_RESTORED, BENCH_SPECULATIVE),
    BAD(bad_walks_on, SPECULATIVE_AT, BENCH_SPECULATIVE),
    BAD(bad_walks_on_too_soon, SPECULATIVE_AT, BENCH_SPECULATIVE),
};

static const struct bench_program link_programs[] = {
    GOOD(good_link_by_release, 0),
    GOOD(good_link_after_barrier, 0),
    GOOD(good_link_subtree, 0),
    GOOD(good_frame_becomes_table_again, 0),
    BAD(bad_link_by_plain_store, EARLY_LINK, 0),
    BAD(bad_link_by_swap, EARLY_LINK, 0),
    BAD(bad_link_before_fill, EARLY_LINK, 0),
    BAD(bad_link_with_old_content, EARLY_LINK, 0),
    BAD(bad_fill_after_link, FILL_LIVE, 0),
    BAD(bad_link_twice, BAD_TABLE, 0),
    BAD(bad_link_with_attributes, BAD_TABLE, 0),
    BAD(bad_link_to_nowhere, BAD_TABLE, 0),
    BAD(bad_link_of_free_frame, RETURNED, 0),
    BAD(bad_stores_left_behind, NOT_VISIBLE, 0),
    BAD(bad_no_isb_after_stores, NO_ISB, 0),
};

static const struct bench_program frame_programs[] = {
    GOOD(good_frame_freed_after_flush, 0),
    GOOD(good_link_word_after_flush, 0),
    GOOD(good_data_reused_after_flush, 0),
    GOOD(good_page_becomes_table, 0),
    GOOD(good_guest_destroyed, 0),
    BAD(bad_frame_freed_before_flush, RETURNED, 0),
    BAD(bad_frame_freed_before_closing, RETURNED, 0),
    BAD(bad_child_freed_before_flush, RETURNED, 0),
    BAD(bad_live_table_freed, RETURNED, 0),
    BAD(bad_table_cleared_before_flush, REUSED, 0),
    BAD(bad_frame_made_a_table_before_flush, REUSED, 0),
    BAD(bad_link_word_before_flush, REUSED, 0),
    BAD(bad_data_returned_before_flush, REUSED, 0),
    BAD(bad_data_written_before_flush, REUSED, 0),
    BAD(bad_page_becomes_table_before_flush, REUSED, 0),
    BAD(bad_table_mapped, EXPOSED, 0),
    BAD(bad_guest_destroyed_without_tlbi, NO_STAGE2, 0),
    BAD(bad_guest_destroyed_too_soon, RETURNED, 0),
};

static const struct bench_program run_programs[] = {
    GOOD(good_run_torn, 0),
    GOOD(good_run_made, 0),
    BAD(bad_run_broken_one_by_one, MIXED_RUN, 0),
    BAD(bad_run_with_a_hole, MIXED_RUN, 0),
    BAD(bad_run_half_made, MIXED_RUN, 0),
    BAD(bad_run_protected_in_place, MIXED_RUN, 0),
    BAD(bad_run_half_hinted, MIXED_RUN, 0),
    BAD(bad_run_of_unlike_outputs, MIXED_RUN, 0),
    BAD(bad_run_misaligned, BAD_RUN, 0),
    BAD(bad_table_among_run, MIXED_RUN, 0),
    BAD(bad_dark_run_misaligned, BAD_RUN, 0),
    BAD(bad_dark_run_half_made, MIXED_RUN, 0),
};

static const struct bench_program hardware_programs[] = {
    GOOD(good_break_by_swap, BENCH_HARDWARE),
    GOOD(good_change_by_replace, BENCH_HARDWARE),
    GOOD(good_plain_store_over_settled, BENCH_HARDWARE),
    GOOD(good_unmap_by_plain_store, BENCH_HARDWARE),
    GOOD(bad_break_by_plain_store, 0), /* where hardware does not write, it is none */
    BAD(bad_break_by_plain_store, HARDWARE, BENCH_HARDWARE),
    BAD(bad_change_by_plain_store, HARDWARE, BENCH_HARDWARE),
    BAD(bad_change_by_blind_swap, HARDWARE, BENCH_HARDWARE),
};

static const struct bench_program cache_programs[] = {
    GOOD(good_table_cleaned, BENCH_NON_COHERENT),
    GOOD(good_break_cleaned, BENCH_NON_COHERENT),
    GOOD(good_page_cleaned, 0),
    GOOD(good_page_never_written, 0),
    GOOD(good_code_cleaned, 0),
    GOOD(good_forced_write_back, BENCH_FWB),
    GOOD(bad_code_without_ic, BENCH_DIC), /* caches that need no word */
    GOOD(good_read_after_clean, 0),
    GOOD(good_read_after_forced_write_back, BENCH_FWB),
    BAD(bad_read_without_clean, READ_STALE, 0),
    BAD(bad_read_after_early_clean, READ_STALE, 0),
    BAD(bad_table_not_cleaned, TABLE_DIRTY, BENCH_NON_COHERENT),
    BAD(bad_clean_not_complete, TABLE_DIRTY, BENCH_NON_COHERENT),
    BAD(bad_store_not_cleaned, TABLE_DIRTY, BENCH_NON_COHERENT),
    BAD(bad_break_not_cleaned, NO_FIRST_DSB, BENCH_NON_COHERENT),
    BAD(bad_page_not_cleaned, DATA_DIRTY, 0),
    BAD(bad_page_not_cleaned, DATA_DIRTY, BENCH_FWB), /* a type that is not forced */
    BAD(bad_last_line_not_cleaned, DATA_DIRTY, 0),
    BAD(bad_page_cleaned_but_not_complete, DATA_DIRTY, 0),
    BAD(bad_page_not_invalidated, DATA_DIRTY, 0),
    BAD(bad_page_in_new_table_not_cleaned, DATA_DIRTY, 0),
    BAD(bad_code_without_ic, CODE_STALE, 0),
    BAD(bad_code_with_early_ic, CODE_STALE, 0),
    BAD(bad_code_made_executable, CODE_STALE, 0),
    BAD(bad_code_under_forced_write_back, CODE_STALE, BENCH_FWB),
};

TEST_EACH(monitor_judges_register_programs_rightly, COUNT(register_programs))
{
    bench_judge(&register_programs[_i]);
}

TEST_EACH(monitor_judges_link_programs_rightly, COUNT(link_programs))
{
    bench_judge(&link_programs[_i]);
}

TEST_EACH(monitor_judges_frame_programs_rightly, COUNT(frame_programs))
{
    bench_judge(&frame_programs[_i]);
}

TEST_EACH(monitor_judges_run_programs_rightly, COUNT(run_programs))
{
    bench_judge(&run_programs[_i]);
}

TEST_EACH(monitor_judges_hardware_programs_rightly, COUNT(hardware_programs))
{
    bench_judge(&hardware_programs[_i]);
}

TEST_EACH(monitor_judges_cache_programs_rightly, COUNT(cache_programs))
{
    bench_judge(&cache_programs[_i]);
}

/* Verdicts are read by people: no two rules sound alike. */
TEST(every_rule_has_a_name_of_its_own)
{
    for (int a = 0; a < MONITOR_RULES; a++) {
        ck_assert_str_ne(monitor_rule_name((enum monitor_rule)a), "?");
        for (int b = 0; b < a; b++) {
            ck_assert_str_ne(monitor_rule_name((enum monitor_rule)a),
                             monitor_rule_name((enum monitor_rule)b));
        }
    }
}
