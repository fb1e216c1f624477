/*
 * test_mmu_config.c - the software MMU's reading of VTCR_EL2, VTTBR_EL2, HCR_EL2 and the ID
 * registers.
 */
#include "tests/sim/mmu.h"
#include "tests/unit/mmu_bus.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "mmu"

/* --- Input sizes and start levels ------------------------------------------------------------- */

/* What SL0 and SL2 mean, and which inputs go with them: 1 to stride + 4 index bits. */
static const struct start_rule {
    uint64_t fields; /* TG0, SL0, SL2, DS in place */
    int level;
    unsigned min_bits;
    unsigned max_bits; /* of input */
    unsigned pa_bits;  /* the part has at least so many */
    bool lpa2;
    bool ttst;
    unsigned entry_bits;
} start_rules[] = {
    {0x000000000, 2, 22, 34, 32, false, false, 21}, {0x000000040, 1, 31, 43, 32, false, false, 30},
    {0x000000080, 0, 40, 48, 44, false, false, 39}, {0x0000000c0, 3, 13, 25, 32, false, true, 12},
    {0x100000000, 2, 22, 34, 32, true, false, 21},  {0x100000040, 1, 31, 43, 32, true, false, 30},
    {0x100000080, 0, 40, 52, 44, true, false, 39},  {0x1000000c0, 3, 13, 25, 32, true, true, 12},
    {0x300000000, -1, 49, 52, 52, true, false, 48}, {0x300000040, -1, 0, 0, 0, true, false, 0},
    {0x300000080, -1, 0, 0, 0, true, false, 0},     {0x3000000c0, -1, 0, 0, 0, true, false, 0},
    {0x000008000, 3, 15, 29, 32, false, false, 14}, {0x000008040, 2, 26, 40, 32, false, false, 25},
    {0x000008080, 1, 37, 48, 42, false, false, 36}, {0x0000080c0, 0, 0, 0, 0, false, false, 0},
    {0x100008080, 1, 37, 51, 42, true, false, 36},  {0x1000080c0, 0, 48, 52, 48, true, false, 47},
    {0x000004000, 3, 17, 33, 32, false, false, 16}, {0x000004040, 2, 30, 46, 32, false, false, 29},
    {0x000004080, 1, 43, 52, 44, false, false, 42}, {0x0000040c0, 0, 0, 0, 0, false, false, 0},
    {0x00000c000, 0, 0, 0, 0, false, false, 0},     {0x00000c040, 0, 0, 0, 0, false, false, 0},
};

/* T0SZ is at most 39; with FEAT_TTST 48, and 47 for 64K. */
static unsigned least_input(const struct mmu_cpu *cpu, uint64_t fields)
{
    if (!cpu->ttst) {
        return 25;
    }
    return (fields & 0xc000) == 0x4000 ? 17 : 16;
}

static void check_start(const struct start_rule *rule, struct mmu_cpu cpu, unsigned input)
{
    uint64_t vtcr = 0x80063500 | rule->fields | (64 - input);
    struct mmu mmu = mmu_bus_mmu(vtcr, 0, &cpu);
    bool legal = input >= rule->min_bits && input <= rule->max_bits && input <= cpu.pa_bits &&
                 input >= least_input(&cpu, rule->fields) && cpu.pa_bits >= rule->pa_bits &&
                 (cpu.ttst || !rule->ttst);
    struct mmu_result result = mmu_translate(&mmu, 0, MMU_READ);

    ck_assert_msg(result.config == !legal, "VTCR %llx, %u-bit part, %u bits of input",
                  (unsigned long long)vtcr, cpu.pa_bits, input);
    if (legal) {
        ck_assert_int_eq(result.status, MMU_EXTERNAL);
        ck_assert_int_eq(result.level, rule->level);
        ck_assert_int_eq(mmu_start_level(&mmu), rule->level);
        ck_assert_uint_eq(mmu_input_bits(&mmu), input);
        ck_assert_uint_eq(mmu_root_size(&mmu), UINT64_C(8) << (input - rule->entry_bits));
    } else {
        ck_assert_int_eq(result.status, MMU_TRANSLATION);
        ck_assert_int_eq(result.level, 0);
        ck_assert_int_eq(mmu_start_level(&mmu), 4);
        ck_assert_uint_eq(mmu_root_size(&mmu), 0);
        ck_assert_ptr_nonnull(mmu_config_problem(&mmu));
    }
}

/* Every input size from 1 to 64 bits, on every PA size, with and without small tables. */
TEST_EACH(configure_every_input_size_is_legal_where_the_manual_says, COUNT(start_rules))
{
    static const unsigned pa_sizes[] = {32, 36, 40, 42, 44, 48, 52};
    const struct start_rule *rule = &start_rules[_i];

    mmu_bus_clear();
    for (size_t i = 0; i < COUNT(pa_sizes); i++) {
        struct mmu_cpu cpu = cpu_52;

        cpu.pa_bits = pa_sizes[i];
        cpu.lpa2_4k = rule->lpa2;
        cpu.lpa2_16k = rule->lpa2;
        for (unsigned input = 1; input <= 64; input++) {
            cpu.ttst = false;
            check_start(rule, cpu, input);
            cpu.ttst = true;
            check_start(rule, cpu, input);
        }
    }
}

/* 48-bit input on a 48-bit part: level 0 resolves one bit, and that is enough. Without DS it is a
 * reserved SL0 even there. */
TEST(configure_16k_with_lpa2_walks_from_level_0_on_a_48_bit_part)
{
    struct mmu_cpu cpu = cpu_48;
    struct mmu mmu;

    mmu_bus_clear();
    cpu.has_16k = true;
    cpu.lpa2_16k = true;
    mmu = mmu_bus_mmu(0x18005b5d0, 0x40004000, &cpu);
    for (unsigned options = 0; options <= MMU_PS_BOUNDS_IPA; options += MMU_PS_BOUNDS_IPA) {
        struct mmu_result result;

        mmu.options = options;
        ck_assert_ptr_null(mmu_config_problem(&mmu));
        ck_assert_int_eq(mmu_start_level(&mmu), 0);
        ck_assert_uint_eq(mmu_root_size(&mmu), 2 * 8);
        result = mmu_translate(&mmu, UINT64_C(1) << 47, MMU_READ);
        ck_assert(result.status == MMU_EXTERNAL && result.level == 0);
        ck_assert_uint_eq(result.walk_pa[0], 0x40004008);
    }
    mmu.vtcr &= ~(UINT64_C(1) << 32);
    ck_assert(mmu_translate(&mmu, 0, MMU_READ).config);
}

TEST(configure_absent_granule_faults)
{
    static const uint64_t vtcr[3] = {0x80023558, 0x8002b558, 0x80027558};

    for (size_t i = 0; i < 3; i++) {
        struct mmu_cpu cpu = cpu_40;
        struct mmu mmu = mmu_bus_mmu(vtcr[i], 0x40000000, &cpu);

        mmu_bus_clear();
        ck_assert(!mmu_translate(&mmu, 0, MMU_READ).config);
        mmu.cpu.has_4k = i != 0;
        mmu.cpu.has_16k = i != 1;
        mmu.cpu.has_64k = i != 2;
        ck_assert(mmu_translate(&mmu, 0, MMU_READ).config);
    }
}

/* A 48-bit part with PS = 40 bits: the manual looks at the part, some walkers at both. */
TEST(configure_input_beyond_ps_faults_only_if_asked)
{
    struct mmu mmu = mmu_bus_mmu(0x80023590, 0x40000000, &cpu_48);

    mmu_bus_clear();
    ck_assert(!mmu_translate(&mmu, 0, MMU_READ).config);
    mmu.options = MMU_PS_BOUNDS_IPA;
    ck_assert(mmu_translate(&mmu, 0, MMU_READ).config);
    mmu.vtcr = 0x80023558;
    ck_assert(!mmu_translate(&mmu, 0, MMU_READ).config);
}

TEST(configure_stage_2_off_is_flat)
{
    struct mmu mmu = mmu_bus_mmu(0, 0, &cpu_40);
    struct mmu_result result;

    mmu.hcr = 0;
    result = mmu_translate(&mmu, 0x123456789abcdef, MMU_WRITE);
    ck_assert(result.status == MMU_OK && result.flat && !result.has_leaf);
    ck_assert_uint_eq(result.pa, 0x123456789abcdef);
    mmu.hcr = 0x1000; /* DC turns stage 2 on as well */
    ck_assert(mmu_translate(&mmu, 0, MMU_WRITE).config);
}

static const struct {
    const char *name;
    uint64_t vtcr;
    uint64_t vttbr;
    uint64_t hcr;
    const struct mmu_cpu *cpu;
} bad_configs[] = {
    {"RES1 clear", 0x00053590, 0x40001000, HCR_VM, &cpu_48},
    {"PS above the part", 0x80053558, 0x40002000, HCR_VM, &cpu_40},
    {"PS reserved", 0x80073590, 0x40001000, HCR_VM, &cpu_52},
    {"DS without LPA2", 0x180053590, 0x40001000, HCR_VM, &cpu_48},
    {"SL2 without DS", 0x280053590, 0x40001000, HCR_VM, &cpu_52},
    {"HA without the feature", 0x80223558, 0x40002000, HCR_VM, &cpu_40},
    {"HD without HA", 0x80453590, 0x40001000, HCR_VM, &cpu_48},
    {"VS without 16-bit VMIDs", 0x800d3590, 0x40001000, HCR_VM, &cpu_48},
    {"wide VMID without VS", 0x80053590, 0x0100000040001000, HCR_VM, &cpu_52},
    {"FWB without the feature", 0x80053590, 0x40001000, HCR_VM_FWB, &cpu_48},
    {"root below its alignment", 0x80023558, 0x40001000, HCR_VM, &cpu_40},
    {"bit 1 of a 64-byte root", 0x38006350f, 0x40001042, HCR_VM, &cpu_52},
    {"root beyond PS", 0x80023558, 0x10000000000, HCR_VM, &cpu_48},
};

TEST_EACH(configure_careless_registers_are_told, COUNT(bad_configs))
{
    struct mmu mmu = mmu_bus_mmu(bad_configs[_i].vtcr, bad_configs[_i].vttbr, bad_configs[_i].cpu);

    mmu.hcr = bad_configs[_i].hcr;
    ck_assert_msg(mmu_config_problem(&mmu) != NULL, "%s", bad_configs[_i].name);
    ck_assert_int_ne(mmu_start_level(&mmu), 4);
}

TEST(configure_vmid_is_as_wide_as_vs_says)
{
    struct mmu mmu = mmu_bus_mmu(0x80053590, 0xabcd000040001000, &cpu_52);

    ck_assert_uint_eq(mmu_vmid(&mmu), 0xcd);
    mmu.vtcr |= 0x80000;
    ck_assert_uint_eq(mmu_vmid(&mmu), 0xabcd);
    mmu.cpu.vmid16 = false;
    ck_assert_uint_eq(mmu_vmid(&mmu), 0xcd);
}

TEST(configure_root_ignores_what_is_below_its_alignment)
{
    struct mmu mmu = mmu_bus_mmu(0x80023558, 0x00ff0000400013ff, &cpu_40);

    ck_assert_uint_eq(mmu_root_pa(&mmu), 0x40000000);
    mmu = mmu_bus_mmu(0x38006350c, 0x00ff0000400010ff, &cpu_52);
    ck_assert_uint_eq(mmu_root_pa(&mmu), 0xf000040001080);
    /* Two or four entries: 52-bit roots are aligned to 64 bytes all the same. */
    mmu = mmu_bus_mmu(0x38006350f, 0x4000107f, &cpu_52);
    ck_assert_uint_eq(mmu_root_pa(&mmu), 0xf000040001040);
    mmu = mmu_bus_mmu(0x38006350e, 0x4000107f, &cpu_52);
    ck_assert_uint_eq(mmu_root_pa(&mmu), 0xf000040001040);
    /* 64K: [5:2] are address with PS = 6 only. */
    mmu = mmu_bus_mmu(0x8006758c, 0x4000203c, &cpu_52);
    ck_assert_uint_eq(mmu_root_pa(&mmu), 0xf000040002000);
    mmu = mmu_bus_mmu(0x8005758c, 0x4000203c, &cpu_52);
    ck_assert_uint_eq(mmu_root_pa(&mmu), 0x40002000);
}

static void check_same_part(const struct mmu_cpu *a, const struct mmu_cpu *b)
{
    ck_assert_uint_eq(a->pa_bits, b->pa_bits);
    ck_assert(a->has_4k == b->has_4k && a->has_16k == b->has_16k && a->has_64k == b->has_64k);
    ck_assert(a->lpa2_4k == b->lpa2_4k && a->lpa2_16k == b->lpa2_16k);
    ck_assert(a->ttst == b->ttst && a->xnx == b->xnx && a->fwb == b->fwb);
    ck_assert(a->vmid16 == b->vmid16);
    ck_assert_uint_eq(a->hafdbs, b->hafdbs);
    ck_assert_uint_eq(a->bbm, b->bbm);
}

TEST(decode_id_registers_gives_the_part)
{
    struct mmu_cpu max = mmu_cpu_decode(0x0000032310200006, 0x10000022, 0x0020010010000000);
    struct mmu_cpu a53 = mmu_cpu_decode(0x0000000000001122, 0, 0);
    struct mmu_cpu a57 = mmu_cpu_decode(0x0000000000001124, 0, 0);
    struct mmu_cpu n1 = mmu_cpu_decode(0x0000000000101125, 0x10212122, 0x0000000000001011);
    struct mmu_cpu odd = mmu_cpu_decode(0x000001210f0ff007 | 0xf0000000, 0x0000000000000013, 0);

    check_same_part(&max, &cpu_52);
    check_same_part(&a57, &cpu_44);
    ck_assert(a53.pa_bits == 40 && a53.has_4k && !a53.has_16k && a53.has_64k && !a53.lpa2_4k);
    ck_assert(n1.pa_bits == 48 && n1.has_16k && !n1.lpa2_16k && n1.xnx && n1.vmid16 && !n1.fwb);
    ck_assert_uint_eq(n1.hafdbs, 2);
    /* TGran4_2 = 1: absent; TGran64_2 = 2: present at stage 2 alone; TGran16_2 = 1: absent. */
    ck_assert(!odd.has_4k && odd.has_64k && !odd.has_16k);
    ck_assert(odd.pa_bits == 52 && odd.hafdbs == 2 && !odd.vmid16);
    ck_assert_uint_eq(mmu_cpu_decode(0, 0, 0x0030000000000000).bbm, 2);
}

TEST(decode_id_granules_stage_1_speaks_where_stage_2_is_silent)
{
    ck_assert(mmu_cpu_decode(0x10000000, 0, 0).lpa2_4k);
    ck_assert(!mmu_cpu_decode(0xf0000000, 0, 0).has_4k);
    ck_assert(mmu_cpu_decode(0x000002f0f0000000, 0, 0).has_4k);
    ck_assert(mmu_cpu_decode(0x000003f0f0000000, 0, 0).lpa2_4k);
    ck_assert(!mmu_cpu_decode(0x0000010000000000, 0, 0).has_4k);
    ck_assert(!mmu_cpu_decode(0x0f000000, 0, 0).has_64k);
    ck_assert(mmu_cpu_decode(0, 0, 0).has_64k);
    ck_assert(!mmu_cpu_decode(0, 0, 0).has_16k);
    ck_assert(mmu_cpu_decode(0x200000, 0, 0).lpa2_16k);
    ck_assert(mmu_cpu_decode(0x0000000200000000, 0, 0).has_16k);
    ck_assert(!mmu_cpu_decode(0x0000000100200000, 0, 0).has_16k);
}
