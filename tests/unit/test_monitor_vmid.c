/*
 * test_monitor_vmid.c - the monitor is judged: guests with VMIDs from an allocator, vCPUs,
 * invalidations of one CPU, devices. See test_monitor.c.
 *
 * On a managed bench CPUs 0 and 1 have the first guest loaded, and nobody the other one: its root
 * is frame 4, and its first gigabyte is mapped here.
 */
#include "tests/unit/monitor_bench.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "monitor_vmid"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OUT(n) (BENCH_DATA + (n)*UINT64_C(0x1000))
#define PAGE(n) (OUT(n) | BENCH_PAGE)
#define GIB UINT64_C(0x40000000)
#define HINT_GIB 0x5 /* 4K, level 1 */
#define NEW_VMID 12
#define VMID_SHIFT 48

static const uint64_t page_operand = BENCH_AT_PAGE >> 12;

/* --- Loading --------------------------------------------------------------------------------- */

static s2_desc_t *other_leaf(struct bench *bench)
{
    return bench_slot(bench, 4, 1);
}

static void map_other(struct bench *bench)
{
    bench_store(other_leaf(bench), BENCH_DATA | BENCH_BLOCK);
    bench_end();
}

static uint64_t under(const struct monitor_guest *guest, uint64_t vmid)
{
    return (guest->vttbr & ((UINT64_C(1) << VMID_SHIFT) - 1)) | vmid << VMID_SHIFT;
}

/* @cpu has this in its VTTBR_EL2 from now on; CPU 0 goes on. */
static void load(struct bench *bench, size_t cpu, uint64_t vttbr)
{
    monitor_expect_entry(bench->monitor);
    sim_set_cpu(cpu);
    sim_cpu()->daif = SIM_DAIF_ALL;
    arch_write_vtcr(BENCH_VTCR);
    arch_write_vttbr(vttbr);
    arch_isb();
    sim_set_cpu(0);
}

static void break_other(struct bench *bench)
{
    bench_store(other_leaf(bench), 0);
    arch_dsb_ish();
    arch_isb();
}

/* A new generation. */
static void forget_all(void)
{
    arch_dsb_ish();
    arch_tlbi_alle1is();
    arch_dsb_ish();
    arch_isb();
}

/* CPU 0 invalidates all of the other guest under @vmid, as whoever changes its tables. */
static void flush_of_other(struct bench *bench, uint64_t vmid)
{
    const uint64_t daif = arch_irq_mask();
    const uint64_t before = sim_cpu()->vttbr;

    arch_write_vttbr(under(&bench->other, vmid));
    arch_isb();
    bench_flush_whole();
    arch_write_vttbr(before);
    arch_isb();
    arch_irq_restore(daif);
}

/* CPU 0 invalidates the other guest's leaf by its address under @vmid, and stage 1 under
 * @stage1_vmid. */
static void flush_of_leaf(struct bench *bench, uint64_t vmid, uint64_t stage1_vmid)
{
    const uint64_t daif = arch_irq_mask();
    const uint64_t before = sim_cpu()->vttbr;

    arch_write_vttbr(under(&bench->other, vmid));
    arch_isb();
    arch_tlbi_ipas2e1is(bench_operand(GIB, HINT_GIB));
    arch_dsb_ish();
    arch_write_vttbr(under(&bench->other, stage1_vmid));
    arch_isb();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_write_vttbr(before);
    arch_isb();
    arch_irq_restore(daif);
}

/* --- What may be held ------------------------------------------------------------------------ */

static void good_never_loaded(struct bench *bench)
{
    map_other(bench);
    break_other(bench);
    bench_store(other_leaf(bench), (BENCH_DATA + GIB) | BENCH_BLOCK);
    bench_end();
}

static void good_loaded_after_break(struct bench *bench)
{
    map_other(bench);
    break_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
}

static void good_left_and_forgotten(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    load(bench, 1, 0);
    forget_all();
    break_other(bench);
}

/* It ran nowhere else. */
static void good_invalidated_where_it_ran(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    break_other(bench);
    sim_set_cpu(1);
    arch_tlbi_vmalls12e1();
    arch_dsb_nsh();
    arch_isb();
    sim_set_cpu(0);
}

static void good_flush_under_new_vmid(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, BENCH_OTHER_VMID));
    load(bench, 1, 0);
    forget_all();
    load(bench, 1, under(&bench->other, NEW_VMID));
    break_other(bench);
    flush_of_other(bench, NEW_VMID);
}

static void good_flush_by_address(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    break_other(bench);
    flush_of_leaf(bench, NEW_VMID, NEW_VMID);
}

static void bad_stage2_under_old_vmid(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    break_other(bench);
    flush_of_leaf(bench, BENCH_OTHER_VMID, NEW_VMID);
}

static void good_generation_flushes_what_is_published(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    bench_store(other_leaf(bench), 0);
    forget_all();
}

static void bad_break_never_published(struct bench *bench)
{
    map_other(bench);
    bench_store(other_leaf(bench), 0);
}

static void bad_loaded_elsewhere(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    break_other(bench);
}

/* Loaded between the break and the barrier that makes it visible. */
static void bad_loaded_before_published(struct bench *bench)
{
    map_other(bench);
    bench_store(other_leaf(bench), 0);
    load(bench, 1, under(&bench->other, NEW_VMID));
    arch_dsb_ish();
    arch_isb();
}

static void bad_left_and_not_forgotten(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    load(bench, 1, 0);
    break_other(bench);
}

/* The generation ends while it still runs. */
static void bad_forgotten_while_loaded(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    forget_all();
    load(bench, 1, 0);
    break_other(bench);
}

/* VTTBR_EL2 leads nowhere, but no ISB has said so. */
static void bad_forgotten_before_isb(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    monitor_expect_entry(bench->monitor);
    sim_set_cpu(1);
    arch_write_vttbr(0);
    sim_set_cpu(0);
    forget_all();
    sim_set_cpu(1);
    arch_isb();
    sim_set_cpu(0);
    break_other(bench);
}

static void bad_generation_not_complete(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    load(bench, 1, 0);
    sim_set_cpu(2);
    arch_tlbi_alle1is();
    arch_dsb_nsh();
    sim_set_cpu(0);
    break_other(bench);
}

static void bad_invalidated_on_another_cpu(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    break_other(bench);
    sim_set_cpu(2);
    sim_cpu()->vtcr = BENCH_VTCR;
    sim_cpu()->vttbr = under(&bench->other, NEW_VMID);
    arch_tlbi_vmalls12e1();
    arch_dsb_nsh();
    arch_isb();
    sim_set_cpu(0);
}

static void bad_flush_under_old_vmid(struct bench *bench)
{
    map_other(bench);
    load(bench, 1, under(&bench->other, NEW_VMID));
    break_other(bench);
    flush_of_other(bench, BENCH_OTHER_VMID);
}

/* --- One VMID, one guest --------------------------------------------------------------------- */

static void leave_and(struct bench *bench, void (*invalidate)(void), void (*complete)(void))
{
    load(bench, 1, 0);
    sim_set_cpu(1);
    invalidate();
    complete();
    arch_isb();
    sim_set_cpu(0);
    load(bench, 1, under(&bench->other, BENCH_VMID));
}

static void good_vmid_again_after_local(struct bench *bench)
{
    leave_and(bench, arch_tlbi_alle1, arch_dsb_nsh);
}

static void good_vmid_again_after_generation(struct bench *bench)
{
    leave_and(bench, arch_tlbi_alle1is, arch_dsb_ish);
}

static void good_vmid_of_another_cpu(struct bench *bench)
{
    load(bench, 2, under(&bench->other, BENCH_VMID));
}

/* No rule forbids it, as long as nothing is to be invalidated; but no allocator does so. */
static void two_vmids_of_one_guest(struct bench *bench)
{
    load(bench, 1, under(&bench->other, NEW_VMID));
    load(bench, 1, under(&bench->other, BENCH_OTHER_VMID));
}

/* And then it takes an invalidation of both. */
static void bad_flush_under_one_of_two_vmids(struct bench *bench)
{
    map_other(bench);
    two_vmids_of_one_guest(bench);
    break_other(bench);
    flush_of_other(bench, BENCH_OTHER_VMID);
}

static void bad_leaf_under_one_of_two_vmids(struct bench *bench)
{
    map_other(bench);
    two_vmids_of_one_guest(bench);
    break_other(bench);
    flush_of_leaf(bench, BENCH_OTHER_VMID, BENCH_OTHER_VMID);
}

static void bad_vmid_given_twice(struct bench *bench)
{
    load(bench, 1, under(&bench->other, BENCH_VMID));
}

static void bad_vmid_given_twice_after_leaving(struct bench *bench)
{
    load(bench, 1, 0);
    load(bench, 1, under(&bench->other, BENCH_VMID));
}

static void bad_vmid_again_after_stage1(struct bench *bench)
{
    leave_and(bench, arch_tlbi_vmalle1, arch_dsb_nsh);
}

static void bad_vmid_again_after_broadcast_not_complete(struct bench *bench)
{
    leave_and(bench, arch_tlbi_alle1is, arch_dsb_nsh);
}

/* It was still loaded. */
static void bad_vmid_again_after_early_local(struct bench *bench)
{
    sim_set_cpu(1);
    arch_tlbi_alle1();
    arch_dsb_nsh();
    sim_set_cpu(0);
    load(bench, 1, 0);
    load(bench, 1, under(&bench->other, BENCH_VMID));
}

static void bad_vmid_again_after_local_elsewhere(struct bench *bench)
{
    load(bench, 1, 0);
    arch_tlbi_alle1();
    arch_dsb_nsh();
    arch_isb();
    load(bench, 1, under(&bench->other, BENCH_VMID));
}

/* --- vCPUs ----------------------------------------------------------------------------------- */

static void enter(struct bench *bench, size_t cpu, uint32_t vcpu_id)
{
    sim_set_cpu(cpu);
    monitor_enter(bench->monitor, vcpu_id);
    sim_set_cpu(0);
}

static void good_same_vcpu(struct bench *bench)
{
    enter(bench, 0, 1);
    enter(bench, 0, 1);
}

static void good_vcpus_on_two_cpus(struct bench *bench)
{
    enter(bench, 0, 1);
    enter(bench, 1, 2);
}

static void change_vcpu_after(struct bench *bench, void (*invalidate)(void))
{
    enter(bench, 0, 1);
    invalidate();
    arch_dsb_nsh();
    arch_isb();
    enter(bench, 0, 2);
}

static void good_other_vcpu_after_stage1(struct bench *bench)
{
    change_vcpu_after(bench, arch_tlbi_vmalle1);
}

static void good_other_vcpu_after_all(struct bench *bench)
{
    change_vcpu_after(bench, arch_tlbi_alle1);
}

static void good_other_vcpu_of_other_guest(struct bench *bench)
{
    enter(bench, 1, 1);
    load(bench, 1, under(&bench->other, NEW_VMID));
    enter(bench, 1, 2);
}

static void bad_other_vcpu(struct bench *bench)
{
    enter(bench, 0, 1);
    enter(bench, 0, 2);
}

static void bad_other_vcpu_after_other_guest(struct bench *bench)
{
    enter(bench, 1, 1);
    load(bench, 1, under(&bench->other, NEW_VMID));
    enter(bench, 1, 7);
    load(bench, 1, bench->guest.vttbr);
    enter(bench, 1, 2);
}

static void bad_other_vcpu_before_dsb(struct bench *bench)
{
    enter(bench, 0, 1);
    arch_tlbi_vmalle1();
    enter(bench, 0, 2);
}

static void bad_first_vcpu_comes_back(struct bench *bench)
{
    good_other_vcpu_after_stage1(bench);
    enter(bench, 0, 1);
}

/* The first vCPU went on running after it. */
static void bad_other_vcpu_after_broadcast_from_elsewhere(struct bench *bench)
{
    enter(bench, 0, 1);
    sim_set_cpu(1);
    forget_all();
    sim_set_cpu(0);
    enter(bench, 0, 2);
}

static void bad_entered_before_isb(struct bench *bench)
{
    monitor_expect_entry(bench->monitor);
    sim_cpu()->daif = SIM_DAIF_ALL;
    arch_write_vttbr(under(&bench->other, NEW_VMID));
    enter(bench, 0, 1);
    arch_isb();
}

static void bad_entered_nobody(struct bench *bench)
{
    load(bench, 1, 0);
    enter(bench, 1, 1);
}

static void bad_entered_with_another_vtcr(struct bench *bench)
{
    sim_cpu_at(1)->vtcr ^= 1;
    enter(bench, 1, 1);
}

/* --- The end of a guest ---------------------------------------------------------------------- */

static void good_removed_that_never_ran(struct bench *bench)
{
    map_other(bench);
    monitor_remove_guest(bench->monitor, under(&bench->other, 0));
    bench_fill_table(bench, 4, 0);
}

static void good_removed_after_flush(struct bench *bench)
{
    load(bench, 1, under(&bench->other, NEW_VMID));
    load(bench, 1, 0);
    monitor_remove_guest(bench->monitor, under(&bench->other, 0));
    flush_of_other(bench, NEW_VMID);
    bench_fill_table(bench, 4, 0);
}

static void bad_removed_without_flush(struct bench *bench)
{
    load(bench, 1, under(&bench->other, NEW_VMID));
    load(bench, 1, 0);
    monitor_remove_guest(bench->monitor, under(&bench->other, 0));
}

static void bad_removed_while_loaded(struct bench *bench)
{
    load(bench, 1, under(&bench->other, NEW_VMID));
    monitor_remove_guest(bench->monitor, under(&bench->other, 0));
    flush_of_other(bench, NEW_VMID);
}

/* --- One CPU --------------------------------------------------------------------------------- */

static void good_relaxed_and_all_forgotten_here(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9) & ~BENCH_WRITE);
    bench_end();
    bench_store(PAGES(bench, 9), PAGE(9));
    arch_dsb_ishst();
    arch_tlbi_alle1();
    arch_dsb_nsh();
    arch_isb();
}

static void bad_all_forgotten_here(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    arch_tlbi_alle1();
    arch_dsb_ish();
    arch_isb();
}

static void bad_table_forgotten_here(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    arch_dsb_ish();
    arch_tlbi_alle1();
    arch_dsb_ish();
    arch_isb();
}

/* --- Devices --------------------------------------------------------------------------------- */

static void notify(struct bench *bench, uint64_t start, uint64_t size)
{
    monitor_notified(bench->monitor, bench->guest.vttbr, start, size);
}

static void good_notified(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    notify(bench, 0, 0x4000);
    bench_flush(page_operand);
    bench_store(PAGES(bench, 1), PAGE(9));
    bench_end();
}

static void good_notified_in_parts(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    arch_dsb_ish();
    notify(bench, BENCH_AT_OTHER + 0x100000, 0x100000);
    notify(bench, BENCH_AT_OTHER, 0x100000);
    bench_flush_whole();
    bench_fill_table(bench, 3, 0);
}

static void good_not_notified_of_more_rights(struct bench *bench)
{
    bench_store(PAGES(bench, 9), PAGE(9) & ~BENCH_WRITE);
    bench_end();
    bench_store(PAGES(bench, 9), PAGE(9));
    bench_flush(9);
}

/* No CPU holds anything, so there is no flush; devices do. */
static void good_notified_without_flush(struct bench *bench)
{
    map_other(bench);
    break_other(bench);
    monitor_notified(bench->monitor, bench->other.vttbr, GIB, GIB);
}

static void bad_not_notified(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush(page_operand);
}

static void bad_not_notified_without_flush(struct bench *bench)
{
    map_other(bench);
    break_other(bench);
}

static void bad_notified_before_published(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    notify(bench, 0, 0x4000);
    bench_flush(page_operand);
}

static void bad_notified_after_closing(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush(page_operand);
    notify(bench, 0, 0x4000);
}

static void bad_notified_of_another_page(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    notify(bench, 0x2000, 0x4000);
    bench_flush(page_operand);
}

static void bad_notified_of_half(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    arch_dsb_ish();
    notify(bench, BENCH_AT_OTHER, 0x100000);
    bench_flush_whole();
}

static void bad_notified_of_another_guest(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    arch_dsb_ish();
    monitor_notified(bench->monitor, bench->other.vttbr, 0, 0x4000);
    bench_flush(page_operand);
}

/* --- Devices that cannot retry --------------------------------------------------------------- */

static void replace_page(struct bench *bench, uint64_t value)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush(page_operand);
    bench_store(PAGES(bench, 1), value);
    bench_end();
}

static void good_page_goes(struct bench *bench)
{
    bench_store(PAGES(bench, 1), 0);
    bench_flush(page_operand);
}

static void good_page_leads_elsewhere(struct bench *bench)
{
    replace_page(bench, PAGE(9));
}

static void good_page_goes_and_comes(struct bench *bench)
{
    good_page_goes(bench);
    monitor_quiesce(bench->monitor);
    bench_store(PAGES(bench, 1), PAGE(1));
    bench_end();
}

static void split_by(struct bench *bench, void (*how)(struct bench *bench))
{
    for (size_t i = 0; i < 512; i++) {
        bench_fill(bench_slot(bench, 8, i), PAGE(512 + i));
    }
    how(bench);
}

static void split_at_once(struct bench *bench)
{
    bench_publish(MIDDLE(bench, 1), bench_table(8));
    bench_flush(bench_operand(BENCH_AT_BLOCK, 0));
}

static void split_by_break(struct bench *bench)
{
    bench_store(MIDDLE(bench, 1), 0);
    bench_flush(bench_operand(BENCH_AT_BLOCK, 0));
    bench_publish(MIDDLE(bench, 1), bench_table(8));
    bench_end();
}

static void good_block_split_directly(struct bench *bench)
{
    split_by(bench, split_at_once);
}

static void bad_page_comes_back(struct bench *bench)
{
    replace_page(bench, PAGE(1));
}

static void bad_page_comes_back_otherwise(struct bench *bench)
{
    replace_page(bench, PAGE(1) & ~UINT64_C(0x28));
}

static void bad_block_split_by_break(struct bench *bench)
{
    split_by(bench, split_by_break);
}

/* Its one page is in the block that comes instead. */
static void bad_table_folded_by_break(struct bench *bench)
{
    bench_store(MIDDLE(bench, 2), 0);
    bench_flush_whole();
    bench_store(MIDDLE(bench, 2), (BENCH_DATA + BENCH_AT_OTHER) | BENCH_BLOCK);
    bench_end();
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
#define MANAGED BENCH_MANAGED

static const struct bench_program held_programs[] = {
    GOOD(good_never_loaded, MANAGED),
    GOOD(good_loaded_after_break, MANAGED),
    GOOD(good_left_and_forgotten, MANAGED),
    GOOD(good_invalidated_where_it_ran, MANAGED),
    GOOD(good_flush_under_new_vmid, MANAGED),
    GOOD(good_flush_by_address, MANAGED),
    STALE(bad_stage2_under_old_vmid, OPERAND, MANAGED, RETAGGED),
    GOOD(good_generation_flushes_what_is_published, MANAGED),
    STALE(good_never_loaded, NO_STAGE2, 0, SECOND), /* one that is not managed runs anywhere */
    STALE(bad_break_never_published, NOT_VISIBLE, MANAGED, NO_DSB),
    STALE(bad_loaded_elsewhere, NO_STAGE2, MANAGED, UNMAPPED),
    STALE(bad_loaded_before_published, NO_STAGE2, MANAGED, UNMAPPED),
    STALE(bad_left_and_not_forgotten, NO_STAGE2, MANAGED, UNMAPPED),
    STALE(bad_forgotten_while_loaded, NO_STAGE2, MANAGED, UNMAPPED),
    STALE(bad_forgotten_before_isb, NO_STAGE2, MANAGED, UNMAPPED),
    STALE(bad_generation_not_complete, NO_STAGE2, MANAGED, UNMAPPED),
    STALE(bad_invalidated_on_another_cpu, LOCAL_ONLY, MANAGED, UNMAPPED),
    STALE(bad_flush_under_old_vmid, WRONG_VMID, MANAGED, UNMAPPED),
};

static const struct bench_program sharing_programs[] = {
    GOOD(good_vmid_again_after_local, MANAGED),
    GOOD(good_vmid_again_after_generation, MANAGED),
    GOOD(good_vmid_of_another_cpu, MANAGED),
    STALE(two_vmids_of_one_guest, OK, MANAGED, RETAGGED),
    STALE(bad_flush_under_one_of_two_vmids, WRONG_VMID, MANAGED, RETAGGED),
    STALE(bad_vmid_given_twice, SHARED_VMID, MANAGED, TAGGED),
    STALE(bad_vmid_given_twice_after_leaving, SHARED_VMID, MANAGED, TAGGED),
    STALE(bad_vmid_again_after_stage1, SHARED_VMID, MANAGED, TAGGED),
    STALE(bad_leaf_under_one_of_two_vmids, WRONG_VMID, MANAGED, RETAGGED),
    BAD(bad_vmid_again_after_broadcast_not_complete, SHARED_VMID, MANAGED),
    STALE(bad_vmid_again_after_early_local, SHARED_VMID, MANAGED, TAGGED),
    STALE(bad_vmid_again_after_local_elsewhere, SHARED_VMID, MANAGED, TAGGED),
};

static const struct bench_program vcpu_programs[] = {
    GOOD(good_same_vcpu, MANAGED),
    GOOD(good_same_vcpu, 0),
    GOOD(good_vcpus_on_two_cpus, MANAGED),
    GOOD(good_other_vcpu_after_stage1, MANAGED),
    GOOD(good_other_vcpu_after_all, MANAGED),
    GOOD(good_other_vcpu_of_other_guest, MANAGED),
    BAD(bad_other_vcpu, STALE_ASID, MANAGED),
    BAD(bad_other_vcpu, STALE_ASID, 0),
    BAD(bad_other_vcpu_after_other_guest, STALE_ASID, MANAGED),
    BAD(bad_other_vcpu_before_dsb, STALE_ASID, MANAGED),
    BAD(bad_first_vcpu_comes_back, STALE_ASID, MANAGED),
    BAD(bad_other_vcpu_after_broadcast_from_elsewhere, STALE_ASID, MANAGED),
    BAD(bad_entered_before_isb, NO_ISB, MANAGED),
    BAD(bad_entered_nobody, WRONG_REGIME, MANAGED),
    BAD(bad_entered_with_another_vtcr, WRONG_REGIME, MANAGED),
};

static const struct bench_program end_programs[] = {
    GOOD(good_removed_that_never_ran, MANAGED),
    GOOD(good_removed_after_flush, MANAGED),
    BAD(bad_removed_without_flush, NO_STAGE2, MANAGED),
    BAD(bad_removed_while_loaded, NO_STAGE2, MANAGED),
    GOOD(good_relaxed_and_all_forgotten_here, 0),
    BAD(bad_all_forgotten_here, LOCAL_ONLY, 0),
    BAD(bad_table_forgotten_here, LOCAL_ONLY, 0),
};

static const struct bench_program device_programs[] = {
    GOOD(good_notified, BENCH_DEVICE),
    GOOD(good_notified_in_parts, BENCH_DEVICE),
    GOOD(good_not_notified_of_more_rights, BENCH_DEVICE),
    GOOD(good_notified_without_flush, BENCH_DEVICE | MANAGED),
    BAD(bad_not_notified, NOT_NOTIFIED, BENCH_DEVICE),
    BAD(bad_not_notified_without_flush, NOT_NOTIFIED, BENCH_DEVICE | MANAGED),
    BAD(bad_notified_before_published, NOT_NOTIFIED, BENCH_DEVICE),
    BAD(bad_notified_after_closing, NOT_NOTIFIED, BENCH_DEVICE),
    BAD(bad_notified_of_another_page, NOT_NOTIFIED, BENCH_DEVICE),
    BAD(bad_notified_of_half, NOT_NOTIFIED, BENCH_DEVICE),
    BAD(bad_notified_of_another_guest, NOT_NOTIFIED, BENCH_DEVICE),
    GOOD(good_page_goes, BENCH_REFUSES),
    GOOD(good_page_leads_elsewhere, BENCH_REFUSES),
    GOOD(good_page_goes_and_comes, BENCH_REFUSES),
    GOOD(good_block_split_directly, BENCH_REFUSES | BENCH_DIRECT),
    GOOD(bad_page_comes_back, 0), /* where that is nobody's harm */
    BAD(bad_page_comes_back, TRANSIENT, BENCH_REFUSES),
    BAD(bad_page_comes_back_otherwise, TRANSIENT, BENCH_REFUSES),
    BAD(bad_block_split_by_break, TRANSIENT, BENCH_REFUSES),
    BAD(bad_table_folded_by_break, TRANSIENT, BENCH_REFUSES),
};

TEST_EACH(tlb_judges_held_programs_rightly, COUNT(held_programs))
{
    bench_judge_tlb(&held_programs[_i]);
}

TEST_EACH(monitor_judges_held_programs_rightly, COUNT(held_programs))
{
    bench_judge(&held_programs[_i]);
}

TEST_EACH(tlb_judges_sharing_programs_rightly, COUNT(sharing_programs))
{
    bench_judge_tlb(&sharing_programs[_i]);
}

TEST_EACH(monitor_judges_sharing_programs_rightly, COUNT(sharing_programs))
{
    bench_judge(&sharing_programs[_i]);
}

TEST_EACH(monitor_judges_vcpu_programs_rightly, COUNT(vcpu_programs))
{
    bench_judge(&vcpu_programs[_i]);
}

TEST_EACH(monitor_judges_end_programs_rightly, COUNT(end_programs))
{
    bench_judge(&end_programs[_i]);
}

TEST_EACH(monitor_judges_device_programs_rightly, COUNT(device_programs))
{
    bench_judge(&device_programs[_i]);
}
