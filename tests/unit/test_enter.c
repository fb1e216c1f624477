/*
 * test_enter.c - what a CPU is told when it goes from guest to guest: exact events. What other CPUs
 * may do in between is test_vmid_model.c's.
 */
#include "stage2/space/enter.h"
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#define SUITE "enter"

#define LAST 6 /* numbers */
#define TABLES 16
#define ROOT UINT64_C(0x40000000)
#define ROOT_STEP UINT64_C(0x10000)
#define TGE UINT64_C(0x8000000)
#define DC (UINT64_C(1) << 12)
#define E2H UINT64_C(0x400000000)
#define EPD UINT64_C(0x800080) /* TCR_EL1.EPD1, EPD0 */
#define SCTLR_M UINT64_C(1)

static const struct s2_features PART = {.pa_bits = 40,
                                        .granule_4k = S2_GRANULE_48_BITS,
                                        .granule_16k = S2_GRANULE_48_BITS,
                                        .granule_64k = S2_GRANULE_48_BITS,
                                        .vmid_bits = 8,
                                        .dcache_line = 64};

static struct s2_vmid_allocator vmids;
static struct s2_cpu cpus[3];
static struct s2_table tables[TABLES];

/* What s2_enter() knows of a table: no tables stand behind the root. */
static void make_table(size_t i, unsigned ipa_bits)
{
    const struct s2_config config = {.cpu = &PART, .granule = S2_GRANULE_4K, .ipa_bits = ipa_bits};

    static s2_desc_t root;

    tables[i] =
        (struct s2_table){.root = &root, .root_pa = pa_of(ROOT + i * ROOT_STEP), .vmid_bits = 8};
    ck_assert_int_eq(s2_geometry_init(&tables[i].geometry, &config, NULL), MAPPING_OK);
}

static void setup(void)
{
    sim_reset();
    s2_vmid_init(&vmids, 8);
    ck_assert_int_eq(s2_vmid_limit(&vmids, LAST), MAPPING_OK);
    for (size_t i = 0; i < COUNT(cpus); i++) {
        ck_assert_int_eq(s2_cpu_init(&cpus[i], &vmids), MAPPING_OK);
    }
    for (size_t i = 0; i < TABLES; i++) {
        make_table(i, 40);
    }
}

#undef SETUP
#define SETUP setup

static void enter(size_t cpu, size_t table, uint32_t vcpu)
{
    sim_set_cpu(cpu);
    ck_assert_int_eq(s2_enter(&tables[table], &vmids, &cpus[cpu], vcpu), MAPPING_OK);
}

static uint64_t vttbr_of(size_t table, uint64_t number)
{
    return number << 48 | (ROOT + table * ROOT_STEP);
}

/* Tables from the last one down, on CPU 2, until a new generation begins. */
static void roll_over(void)
{
    const uint64_t before = vmids.rollovers;
    const size_t cpu = sim_cpu_number();

    for (size_t table = TABLES - 1; vmids.rollovers == before; table--) {
        ck_assert_uint_gt(table, TABLES / 2);
        make_table(table, 40);
        enter(2, table, 0);
    }
    s2_leave(&cpus[2]);
    sim_set_cpu(cpu);
}

static unsigned pin(size_t table)
{
    uint16_t number = S2_VMID_NOBODY;

    if (s2_vmid_pin(&vmids, &tables[table].vmid, &number)) {
        s2_vmid_unpin(&vmids);
    }
    return number;
}

#define ASSERT_EVENTS(...)                                     \
    do {                                                       \
        const enum sim_kind expected[] = {__VA_ARGS__};        \
                                                               \
        ck_assert_uint_eq(sim_event_total(), COUNT(expected)); \
        ck_assert(sim_matches(0, expected, COUNT(expected)));  \
    } while (0)

/* Enter, and these are the events. */
#define EXPECT_ENTER(cpu, table, vcpu, ...) \
    do {                                    \
        sim_clear();                        \
        enter(cpu, table, vcpu);            \
        ASSERT_EVENTS(__VA_ARGS__);         \
    } while (0)
#define FORGET SIM_TLBI_VMALLE1, SIM_DSB_NSH /* stage 1 of other vCPUs, here */

/* Enter what is loaded: there are none. */
static void enter_again(size_t table, uint32_t vcpu)
{
    sim_clear();
    enter(0, table, vcpu);
    ck_assert_uint_eq(sim_event_total(), 0);
}

/* --- From guest to guest ---------------------------------------------------------------------- */

TEST(enter_for_the_first_time_loads_both_registers)
{
    EXPECT_ENTER(0, 3, 0, SIM_DSB_ISH, SIM_WRITE_VTCR, SIM_WRITE_VTTBR, SIM_ISB);
    ck_assert_uint_eq(sim_cpu()->vttbr, vttbr_of(3, 1));
    ck_assert_uint_eq(sim_cpu()->vtcr, tables[3].geometry.vtcr);
    ck_assert_ptr_eq(atomic_load(&tables[3].vmids), &vmids);
}

TEST(enter_of_what_is_loaded_does_nothing)
{
    enter(0, 0, 4);
    enter_again(0, 4);
}

TEST(enter_of_another_vcpu_forgets_stage_1_here)
{
    enter(0, 0, 4);
    EXPECT_ENTER(0, 0, 5, FORGET, SIM_ISB);
    /* on a CPU that it has not been on */
    EXPECT_ENTER(1, 0, 6, SIM_WRITE_VTCR, SIM_WRITE_VTTBR, SIM_ISB);
}

TEST(enter_of_another_guest_and_back_writes_what_differs)
{
    make_table(2, 36);
    enter(0, 0, 0);
    enter(0, 2, 0);
    EXPECT_ENTER(0, 0, 0, SIM_WRITE_VTCR, SIM_WRITE_VTTBR, SIM_ISB);
    EXPECT_ENTER(0, 1, 0, SIM_DSB_ISH, SIM_WRITE_VTTBR, SIM_ISB);
    EXPECT_ENTER(0, 0, 0, SIM_WRITE_VTTBR, SIM_ISB);
    ck_assert_uint_eq(sim_cpu()->vttbr, vttbr_of(0, 1));
    /* where another vCPU was before */
    EXPECT_ENTER(0, 1, 1, SIM_WRITE_VTTBR, SIM_ISB, FORGET, SIM_ISB);
    /* The TLBI is for the guest that is entered. */
    ck_assert_uint_eq(sim_events()[2].vttbr, vttbr_of(1, 3));
}

TEST(enter_of_what_is_loaded_after_a_generation_keeps_its_number)
{
    enter(0, 0, 0);
    roll_over();
    EXPECT_ENTER(0, 0, 0, SIM_DSB_ISH);
    ck_assert_uint_eq(sim_cpu()->vttbr, vttbr_of(0, 1));
    ck_assert_uint_eq(s2_vmid_number(&vmids, &tables[0].vmid), 1);
}

TEST(enter_with_common_tables_says_so)
{
    tables[0].geometry.is_common = true;
    enter(0, 0, 0);
    ck_assert_uint_eq(sim_cpu()->vttbr, vttbr_of(0, 1) | 1);
    enter_again(0, 0);
}

TEST(leave_clears_the_register_and_then_the_number)
{
    enter(0, 0, 0);
    sim_clear();
    s2_leave(&cpus[0]);
    ASSERT_EVENTS(SIM_WRITE_VTTBR, SIM_ISB);
    ck_assert_uint_eq(sim_cpu()->vttbr, 0);
    roll_over();
    ck_assert_uint_eq(pin(0), S2_VMID_NOBODY);
}

TEST(enter_after_leave_loads_the_guest_again)
{
    enter(0, 0, 3);
    s2_leave(&cpus[0]);
    EXPECT_ENTER(0, 0, 3, SIM_WRITE_VTTBR, SIM_ISB);
    s2_leave(&cpus[0]);
    EXPECT_ENTER(0, 0, 4, SIM_WRITE_VTTBR, SIM_ISB, FORGET, SIM_ISB);
}

/* --- Parts that ask for more ------------------------------------------------------------------ */

static void listen_stopped(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    size_t *count = arg;

    if (phase == SIM_BEFORE && (event->kind == SIM_WRITE_VTTBR || event->kind == SIM_WRITE_VTCR)) {
        ++*count;
        ck_assert_uint_eq(sim_cpu()->tcr_el1 & EPD, EPD);
        ck_assert_uint_eq(sim_cpu()->sctlr_el1 & SCTLR_M, SCTLR_M);
    }
}

TEST_EACH(enter_with_speculative_at_stops_stage_1_meanwhile, 2)
{
    const uint64_t sctlr = _i == 0 ? 0x30 : 0x30 | SCTLR_M;
    size_t count = 0;

    enter(0, 0, 0);
    ck_assert(sim_listen(listen_stopped, &count));
    make_table(1, 36);
    tables[1].rules.has_speculative_at = true;
    sim_cpu()->tcr_el1 = 0x12345003;
    sim_cpu()->sctlr_el1 = sctlr;
    sim_clear();
    enter(0, 1, 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(sim_cpu()->tcr_el1, 0x12345003);
    ck_assert_uint_eq(sim_cpu()->sctlr_el1, sctlr);
    ck_assert_uint_eq(sim_cpu()->vttbr, vttbr_of(1, 2));
    enter_again(1, 0);
}

TEST(enter_of_another_vcpu_under_tge_reaches_the_guest)
{
    const uint64_t hcr = E2H | TGE | 1;
    size_t at;

    tables[0].rules.has_vhe = true;
    sim_cpu()->hcr = hcr;
    enter(0, 0, 0);
    EXPECT_ENTER(0, 0, 1, SIM_WRITE_HCR, SIM_ISB, FORGET, SIM_ISB, SIM_WRITE_HCR, SIM_ISB);
    at = sim_find(SIM_TLBI_VMALLE1, 0);
    ck_assert_uint_eq(sim_events()[at].hcr, hcr & ~TGE);
    ck_assert_uint_eq(sim_cpu()->hcr, hcr);
    sim_cpu()->hcr = E2H | 1;
    EXPECT_ENTER(0, 0, 0, FORGET, SIM_ISB);
}

TEST(enter_with_hcr_erratum_writes_hcr_between_dsb_and_isb)
{
    tables[0].rules.has_vhe = true;
    tables[0].rules.has_hcr_write = true;
    sim_cpu()->hcr = E2H | TGE | 1;
    enter(0, 0, 0);
    EXPECT_ENTER(0, 0, 1, SIM_DSB_NSH, SIM_WRITE_HCR, SIM_ISB, SIM_ISB, FORGET, SIM_ISB,
                 SIM_DSB_NSH, SIM_WRITE_HCR, SIM_ISB, SIM_ISB);
    ck_assert_uint_eq(sim_cpu()->hcr, E2H | TGE | 1);
    /* And where stage 1 is stopped by HCR_EL2.DC. */
    make_table(1, 36);
    tables[1].rules = (struct s2_tlb_rules){.has_speculative_at = true, .has_hcr_write = true};
    sim_cpu()->hcr = DC | 1;
    sim_clear();
    enter(0, 1, 0);
    ck_assert_uint_eq(sim_event_count(SIM_WRITE_HCR), 2);
    for (size_t i = sim_find(SIM_WRITE_HCR, 0); i != SIM_NONE; i = sim_find(SIM_WRITE_HCR, i + 1)) {
        ck_assert_int_eq(sim_events()[i - 1].kind, SIM_DSB_NSH);
        ck_assert_int_eq(sim_events()[i + 1].kind, SIM_ISB);
    }
    ck_assert_uint_eq(sim_cpu()->hcr, DC | 1);
}

TEST(enter_on_forgetful_part_sends_each_tlbi_again)
{
    tables[0].rules.is_repeated = true;
    enter(0, 0, 0);
    EXPECT_ENTER(0, 0, 1, FORGET, FORGET, SIM_ISB);
    tables[0].rules.has_vhe = true;
    sim_cpu()->hcr = E2H | TGE | 1;
    EXPECT_ENTER(0, 0, 2, SIM_WRITE_HCR, SIM_ISB, FORGET, FORGET, SIM_ISB, SIM_WRITE_HCR, SIM_ISB);
}

/* The one table that asks for it may be any: here the first, or the one that begins it. */
TEST_EACH(generation_after_enter_on_forgetful_part_is_sent_again, 2)
{
    tables[_i == 0 ? 0 : LAST].rules.is_repeated = true;
    for (size_t i = 0; i < LAST; i++) {
        enter(0, i, 0);
    }
    EXPECT_ENTER(0, LAST, 0, SIM_DSB_ISH, SIM_TLBI_ALLE1IS, SIM_DSB_ISH, SIM_TLBI_ALLE1IS,
                 SIM_DSB_ISH, SIM_DSB_ISH, SIM_WRITE_VTTBR, SIM_ISB);
}

/* --- Refused ---------------------------------------------------------------------------------- */

/* A refusal leaves this CPU where it was, and says nothing to the allocator. */
static void expect_refused(struct s2_table *table, struct s2_vmid_allocator *by, struct s2_cpu *cpu,
                           enum mapping_error error)
{
    const uint64_t active = cpu->active;

    sim_clear();
    ck_assert_int_eq(s2_enter(table, by, cpu, 0), error);
    ck_assert_uint_eq(sim_event_total(), 0);
    ck_assert_uint_eq(cpu->active, active);
}

TEST(enter_with_numbers_wider_than_the_table_is_refused)
{
    struct s2_vmid_allocator wide;
    struct s2_cpu cpu;

    s2_vmid_init(&wide, 16);
    ck_assert_int_eq(s2_cpu_init(&cpu, &wide), MAPPING_OK);
    expect_refused(&tables[0], &wide, &cpu, MAPPING_INVALID_PARAM);
    ck_assert_ptr_null(tables[0].vmids);
    enter(0, 0, 0);
}

TEST(enter_with_other_vmids_than_before_is_refused)
{
    struct s2_vmid_allocator other;
    struct s2_cpu cpu;

    s2_vmid_init(&other, 8);
    ck_assert_int_eq(s2_cpu_init(&cpu, &other), MAPPING_OK);
    enter(0, 0, 0);
    expect_refused(&tables[0], &other, &cpu, MAPPING_INVALID_PARAM);
}

/* Its root is another's by now. */
TEST(enter_of_a_finished_table_is_refused)
{
    enter(0, 1, 0);
    tables[0].root = NULL;
    expect_refused(&tables[0], &vmids, &cpus[0], MAPPING_BAD_STATE);
}

/* One that s2_cpu_init() has not seen, or another allocator's: nothing is named, nothing is
 * loaded. */
TEST(enter_on_a_cpu_of_other_vmids_is_refused)
{
    static struct s2_vmid_allocator never_begun;
    static struct s2_cpu unseen;
    struct s2_vmid_allocator other;

    ck_assert_int_eq(s2_table_set_vmids(&tables[0], &never_begun), MAPPING_INVALID_PARAM);
    s2_vmid_init(&other, 8);
    expect_refused(&tables[0], &other, &cpus[0], MAPPING_INVALID_PARAM);
    expect_refused(&tables[0], &vmids, &unseen, MAPPING_INVALID_PARAM);
    ck_assert_ptr_null(atomic_load(&tables[0].vmids));
}
