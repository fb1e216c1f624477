/*
 * test_programs.c - the corpus of programs (programs.def) under both judges: the monitor of
 * break-before-make, and the adversarial TLB.
 *
 * On a managed bench CPUs 0 and 1 have the first guest loaded, and nobody the other one: its root
 * is frame 4, and its first gigabyte is mapped here.
 */
#include "tests/unit/monitor_bench.h"
#include "tests/unit/test.h"

#include <check.h>
#include <stddef.h>
#include <string.h>

#define SUITE "programs"

#define HINT_PAGE 0x7  /* 4K, level 3 */
#define HINT_BLOCK 0x6 /* 4K, level 2 */
#define OUT(n) (BENCH_DATA + (n)*UINT64_C(0x1000))
#define PAGE(n) (OUT(n) | BENCH_PAGE)
#define TABLE_SPAN UINT64_C(0x200000)
#define HCR_TGE (UINT64_C(1) << 27)
#define HCR_E2H (UINT64_C(1) << 34)
#define TCR_EPD UINT64_C(0x800080)
#define SCTLR_M UINT64_C(1)
#define RUN_FIRST 16
#define RUN_LAST 31
#define NEW 8 /* a free frame */
#define CLEAN_PAGE ((PAGE(9) & ~BENCH_WRITE) | BENCH_DBM)
#define FORCED_ATTR (UINT64_C(9) << 2)
#define FORCED(leaf) (((leaf) & ~UINT64_C(0x3c)) | UINT64_C(0x18)) /* MemAttr 0b0110 */
#define FIRST_OF_BLOCK (BENCH_AT_BLOCK >> 12)
#define PAGES_OF_BLOCK 512
#define FAST (BENCH_XS | BENCH_FWB)
#define GIB UINT64_C(0x40000000)
#define HINT_GIB 0x5 /* 4K, level 1 */
#define NEW_VMID 12
#define VMID_SHIFT 48
#define MANAGED BENCH_MANAGED
#define PAGE_1 (BENCH_AT_PAGE >> 12)

/* --- What programs share
 * ----------------------------------------------------------------------- */

static void broken_page_with(struct bench *bench, uint64_t operand)
{
    bench_store(PAGES(1), 0);
    bench_flush(operand);
}

static void broken_page_with_range(struct bench *bench, uint64_t operand)
{
    bench_store(PAGES(1), 0);
    bench_flush_range(operand);
}

/* With LPA2 the base of a range counts 64K, whatever the granule. */
static void broken_other_with_base(struct bench *bench, uint64_t unit)
{
    bench_store(OTHER(0), 0);
    bench_flush_range(BENCH_AT_OTHER / unit | UINT64_C(1) << 46);
}

/* Break a page of the guest while the other one is current. */
static void break_from_other(struct bench *bench)
{
    sim_cpu()->vtcr = bench->other.vtcr;
    sim_cpu()->vttbr = bench->other.vttbr;
    bench_store(PAGES(1), 0);
    arch_dsb_ish();
}

static void invalidate(void)
{
    arch_tlbi_ipas2e1is(PAGE_1);
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
}

/* The other guest's root with this guest's VMID. */
static uint64_t other_under_own_vmid(const struct bench *bench)
{
    const uint64_t vmid = UINT64_C(0xffff) << 48;

    return (bench->other.vttbr & ~vmid) | (bench->guest.vttbr & vmid);
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

/* A guest's page of the pool becomes a table. */
static void page_of_pool_unmapped(struct bench *bench)
{
    bench_store(PAGES(9), bench_frame(NEW).raw | BENCH_PAGE);
    bench_end();
    bench_store(PAGES(9), 0);
}

static void run_break(struct bench *bench)
{
    for (size_t i = RUN_FIRST; i <= RUN_LAST; i++) {
        bench_store(PAGES(i), 0);
    }
    bench_flush_range(bench_range_operand(BENCH_AT_RUN, 0, 7, 3));
}

static void run_make(struct bench *bench, size_t first, size_t last, uint64_t bits)
{
    for (size_t i = first; i <= last; i++) {
        bench_store(PAGES(i), PAGE(i) | bits);
    }
    bench_end();
}

static void clean_page(struct bench *bench)
{
    bench_store(PAGES(9), CLEAN_PAGE);
    bench_end();
}

static void clean_table(struct bench *bench, size_t frame)
{
    for (size_t i = 0; i < 512; i += 8) {
        arch_dc_cvac(bench_slot(bench, frame, i));
    }
}

/* A page of the window that our side wrote. */
static void show(struct bench *bench, uint64_t bits)
{
    bench_store(PAGES(9), (BENCH_WINDOW | BENCH_PAGE) ^ bits);
    bench_end();
}

static void clean_window(struct bench *bench)
{
    for (size_t i = 0; i < 4096; i += 64) {
        arch_dc_civac(&bench->window[i]);
    }
    arch_dsb_ish();
}

/* A page that the guest had, and our side reads. */
static void show_and_take(struct bench *bench, uint64_t bits)
{
    show(bench, bits);
    bench_store(PAGES(9), 0);
    bench_flush(9);
}

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
    bench_store(PAGES(9), FORCED(PAGE(9)));
    bench_end();
}

static void fill_pages(struct bench *bench, uint64_t first)
{
    for (size_t i = 0; i < PAGES_OF_BLOCK; i++) {
        bench_fill(bench_slot(bench, NEW, i), first + i * UINT64_C(0x1000));
    }
}

static void split(struct bench *bench)
{
    fill_pages(bench, PAGE(FIRST_OF_BLOCK));
    bench_publish(MIDDLE(1), bench_table(NEW));
}

/* All pages right but one. */
static void split_with(struct bench *bench, uint64_t page)
{
    fill_pages(bench, PAGE(FIRST_OF_BLOCK));
    bench_fill(bench_slot(bench, NEW, 100), page);
    bench_publish(MIDDLE(1), bench_table(NEW));
    bench_flush_whole();
}

/* A block whose dirty state hardware keeps; the pages that it is to become. */
static void prepare_clean(struct bench *bench, uint64_t bits)
{
    const uint64_t clean = ((BENCH_DATA + BENCH_AT_BLOCK) | BENCH_BLOCK | BENCH_DBM) & ~BENCH_WRITE;

    bench_store(MIDDLE(1), 0);
    bench_flush_whole();
    bench_store(MIDDLE(1), clean);
    bench_end();
    fill_pages(bench, (PAGE(FIRST_OF_BLOCK) & ~BENCH_WRITE) | BENCH_DBM | bits);
    arch_dsb_ishst();
}

/* Hardware marks the block dirty just before it goes. */
static void split_dirty(struct bench *bench, uint64_t bits)
{
    prepare_clean(bench, bits);
    MIDDLE(1)->raw |= BENCH_WRITE;
    bench_swap(MIDDLE(1), bench_table(NEW));
    bench_flush_whole();
}

static void link_pages(struct bench *bench, uint64_t first)
{
    fill_pages(bench, first);
    bench_publish(MIDDLE(3), bench_table(NEW));
    bench_end();
}

static void join(struct bench *bench)
{
    link_pages(bench, PAGE(0));
    bench_publish(MIDDLE(3), BENCH_DATA | BENCH_BLOCK);
}

static void clear_hints(struct bench *bench, size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++) {
        bench_store(PAGES(i), PAGE(i));
    }
}

static void flush_of_run(void)
{
    bench_flush_range(bench_range_operand(BENCH_AT_RUN, 0, 7, 3));
}

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

static void leave_and(struct bench *bench, void (*tlbi)(void), void (*complete)(void))
{
    load(bench, 1, 0);
    sim_set_cpu(1);
    tlbi();
    complete();
    arch_isb();
    sim_set_cpu(0);
    load(bench, 1, under(&bench->other, BENCH_VMID));
}

static void enter(struct bench *bench, size_t cpu, uint32_t vcpu_id)
{
    sim_set_cpu(cpu);
    monitor_enter(bench->monitor, vcpu_id);
    sim_set_cpu(0);
}

static void change_vcpu_after(struct bench *bench, void (*tlbi)(void))
{
    enter(bench, 0, 1);
    tlbi();
    arch_dsb_nsh();
    arch_isb();
    enter(bench, 0, 2);
}

static void notify(struct bench *bench, uint64_t start, uint64_t size)
{
    monitor_notified(bench->monitor, bench->guest.vttbr, start, size);
}

static void replace_page(struct bench *bench, uint64_t value)
{
    bench_store(PAGES(1), 0);
    bench_flush(PAGE_1);
    bench_store(PAGES(1), value);
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
    bench_publish(MIDDLE(1), bench_table(8));
    bench_flush(bench_operand(BENCH_AT_BLOCK, 0));
}

static void split_by_break(struct bench *bench)
{
    bench_store(MIDDLE(1), 0);
    bench_flush(bench_operand(BENCH_AT_BLOCK, 0));
    bench_publish(MIDDLE(1), bench_table(8));
    bench_end();
}

/* --- The programs
 * ------------------------------------------------------------------------------ */

/* The words of the programs. */
#define U(number) UINT64_C(number)
#define ST(slot, value) bench_store(slot, value)
#define LINK(slot, value) bench_publish(slot, value)
#define SWAP(slot, value) bench_swap(slot, value)
#define FILL(slot, value) bench_fill(slot, value)
#define FILL_TABLE(frame, first) bench_fill_table(bench, frame, first)
#define SLOT(frame, index) bench_slot(bench, frame, index)
#define TABLE(frame) bench_table(frame)
#define FRAME(frame) bench_frame(frame)
#define BY_IPA(ipa, hint) bench_operand(ipa, hint)
#define BY_RANGE(ipa, scale, num, level) bench_range_operand(ipa, scale, num, level)
#define FLUSH(operand) bench_flush(operand)
#define FLUSH_RANGE(operand) bench_flush_range(operand)
#define FLUSH_VMID bench_flush_whole()
#define SWITCH(who) bench_switch(&bench->who)
#define CPU(number) sim_set_cpu(number)
#define MASK ((void)arch_irq_mask())
#define END bench_end()
#define DSB arch_dsb_ish()
#define DSB_ISHST arch_dsb_ishst()
#define DSB_NSH arch_dsb_nsh()
#define ISB arch_isb()
#define IPAS2E1IS(operand) arch_tlbi_ipas2e1is(operand)
#define IPAS2E1(operand) arch_tlbi_ipas2e1(operand)
#define VMALLE1IS arch_tlbi_vmalle1is()
#define VMALLE1 arch_tlbi_vmalle1()
#define VMALLS12E1IS arch_tlbi_vmalls12e1is()
#define VMALLS12E1 arch_tlbi_vmalls12e1()
#define ALLE1IS arch_tlbi_alle1is()
#define ALLE1 arch_tlbi_alle1()
#define BENCH_NOTHING NULL

#define PROGRAM(name, rule, machine, problem, ...) \
    static void name(struct bench *bench)          \
    {                                              \
        (void)bench;                               \
        __VA_ARGS__                                \
    }
#define AGAIN(name, rule, machine, problem)
#include "tests/unit/programs.def"
#undef PROGRAM
#undef AGAIN

#define PROGRAM(name, rule, machine, problem, ...) AGAIN(name, rule, machine, problem)
#define AGAIN(name, rule, machine, problem) {#name, name, MONITOR_##rule, machine, BENCH_##problem},
static const struct bench_program programs[] = {
#include "tests/unit/programs.def"
};

TEST_EACH(monitor_judges_each_program_rightly, COUNT(programs))
{
    bench_judge(&programs[_i]);
}

TEST_EACH(tlb_judges_each_program_rightly, COUNT(programs))
{
    bench_judge_tlb(&programs[_i]);
}

/* --- Verdicts -------------------------------------------------------------------------------- */

/* Where, by what, and how it came to it. */
TEST(verdict_tells_the_event_and_the_history_of_the_slot)
{
    const struct bench_program program = {"bad_middle_dsb_missing", bad_middle_dsb_missing,
                                          MONITOR_NO_MIDDLE_DSB, 0, NULL};
    static const char *const parts[] = {
        "STORE             0x0000000000000000 -> 0x00000010000097ff\n",
        "the slot at PA 0x8040002008",
        "STORE             0x00000010000017ff -> 0x0000000000000000\n",
        "TLBI_IPAS2E1IS    operand 0x1 vttbr 0x7008040000000\n",
        "TLBI_VMALLE1IS",
    };
    const char *at;

    bench_judge(&program);
    at = strstr(bench_story(), "monitor: no DSB between stage 2 and stage 1: made again");
    ck_assert_ptr_eq(at, bench_story());
    for (size_t i = 0; i < COUNT(parts); i++) {
        at = strstr(at, parts[i]);
        ck_assert_msg(at != NULL, "the story lacks \"%s\"", parts[i]);
    }
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
