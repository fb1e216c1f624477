/*
 * test_mmu.c - the judge judged: walks through tables encoded by hand, in literal hex.
 */
#include "tests/sim/mmu.h"
#include "tests/unit/mmu_bus.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "mmu"

/* --- Worked walks ---------------------------------------------------------------------------- */

/*
 * Indices of 0x923456789abc, and of the same address with other bits on top:
 *   4K:  [47:39] 124 (24 without bit 47)  [38:30] 0d1  [29:21] 0b3  [20:12] 189  offset abc
 *   16K: [46:36] 123                      [35:25] 22b               [24:14] 1e2  offset 1abc
 *   64K: [47:42] 24                       [41:29] 11a2              [28:16] 1678 offset 9abc
 */
/* clang-format off */
static const struct walk_example {
    const char *name;
    uint64_t vtcr;
    uint64_t vttbr;
    const struct mmu_cpu *cpu;
    uint64_t ipa;
    struct cell steps[MMU_WALK_MAX]; /* root first; pa 0 ends the list */
    int start_level;
    uint64_t pa;
    uint64_t leaf_size;
} walk_examples[] = {
    {"4K, 48 bits from level 0, page",
     0x80053590, 0x0005000040001000, &cpu_48, 0x123456789abc,
     {{0x40001120, 0x40002003}, {0x40002688, 0x40003003}, {0x40003598, 0x40004003},
      {0x40004c48, 0x000089abcdef17ff}},
     0, 0x89abcdef1abc, 0x1000},
    {"4K, 48 bits from level 0, 2M block",
     0x80053590, 0x0005000040001000, &cpu_48, 0x123456789abc,
     {{0x40001120, 0x40002003}, {0x40002688, 0x40003003}, {0x40003598, 0x000089abcde007fd}},
     0, 0x89abcdf89abc, 0x200000},
    {"4K, 48 bits from level 0, 1G block, CnP set",
     0x80053590, 0x0005000040001001, &cpu_48, 0x123456789abc,
     {{0x40001120, 0x40002003}, {0x40002688, 0x000089abc00007fd}},
     0, 0x89abd6789abc, 0x40000000},
    {"4K, 48 bits from level 0 on a 52-bit part without DS",
     0x80053590, 0x0005000040001000, &cpu_52, 0x123456789abc,
     {{0x40001120, 0x40002003}, {0x40002688, 0x000089abc00007fd}},
     0, 0x89abd6789abc, 0x40000000},
    {"4K, 44 bits from level 0: 32 entries, a 256-byte root",
     0x80043594, 0x40001100, &cpu_44, 0xfffffffffff,
     {{0x400011f8, 0x40002003}, {0x40002ff8, 0x00000000800007fd}},
     0, 0xbfffffff, 0x40000000},
    {"4K, 40 bits from level 0: two entries, a 16-byte root",
     0x80043598, 0x40001110, &cpu_44, 0x8000000000,
     {{0x40001118, 0x40002003}, {0x40002000, 0x00000000800007fd}},
     0, 0x80000000, 0x40000000},
    {"4K, 43 bits from level 1, 16 tables",
     0x80043555, 0x40010000, &cpu_44, 0x7ffffffffff,
     {{0x4001fff8, 0x00000000800007fd}},
     1, 0xbfffffff, 0x40000000},
    {"4K, 42 bits from level 1, 8 tables",
     0x80033556, 0x40008000, &cpu_42, 0x3ffffffffff,
     {{0x4000fff8, 0x00000000800007fd}},
     1, 0xbfffffff, 0x40000000},
    {"4K, 40 bits from level 1, two tables",
     0x80023558, 0x80000000, &cpu_40, 0xfffffff000,
     {{0x80001ff8, 0x00000000400007fd}},
     1, 0x7ffff000, 0x40000000},
    {"4K, 39 bits from level 1, one table",
     0x80023559, 0x80001000, &cpu_40, 0x7fffffffff,
     {{0x80001ff8, 0x80002003}, {0x80002ff8, 0x80003003}, {0x80003ff8, 0x00000000abcde7ff}},
     1, 0xabcdefff, 0x1000},
    {"4K, 31 bits from level 1, two entries",
     0x80023561, 0x80001010, &cpu_40, 0x40000000,
     {{0x80001018, 0x00000000400007fd}},
     1, 0x40000000, 0x40000000},
    {"4K, 34 bits from level 2, 16 tables",
     0x8002351e, 0x80010000, &cpu_40, 0x3ffffffff,
     {{0x8001fff8, 0x00000000402007fd}},
     2, 0x403fffff, 0x200000},
    {"4K, 25 bits from level 3, 16 tables, FEAT_TTST",
     0x800235e7, 0x80010000, &cpu_40_ttst, 0x1ffffff,
     {{0x8001fff8, 0x00000000402017ff}},
     3, 0x40201fff, 0x1000},
    {"4K, 16 bits from level 3, the smallest input",
     0x800235f0, 0x80001080, &cpu_40_ttst, 0xf123,
     {{0x800010f8, 0x00000000402017ff}},
     3, 0x40201123, 0x1000},
    {"4K with DS, 52 bits from level -1, page",
     0x38006350c, 0x400010a8, &cpu_52, 0xf123456789abc,
     {{0xa0000400010f8, 0x0001000040002103}, {0x5000040002120, 0x0000000040003303},
      {0xc000040003688, 0x0003000040004003}, {0x3000040004598, 0x0000000040005003},
      {0x0000040005c48, 0x000189abcdef16ff}},
     -1, 0x989abcdef1abc, 0x1000},
    {"4K with DS, 52 bits from level -1, 512G block",
     0x38006350c, 0x400010a8, &cpu_52, 0xf123456789abc,
     {{0xa0000400010f8, 0x0001000040002103}, {0x5000040002120, 0x00018980000006fd}},
     -1, 0x989b456789abc, 0x8000000000},
    {"4K with DS, 49 bits from level -1: two entries, a root aligned to 64 bytes",
     0x38006350f, 0x40001040, &cpu_52, 0x1000000000000,
     {{0x40001048, 0x0000000040002003}, {0x40002000, 0x00000000000004fd}},
     -1, 0, 0x8000000000},
    {"4K with DS, 52 bits from level 0, 16 tables",
     0x18006358c, 0x40010028, &cpu_52, 0xf123456789abc,
     {{0xa00004001f120, 0x0000000040003303}, {0xc000040003688, 0x000089abc00004fd}},
     0, 0x89abd6789abc, 0x40000000},
    {"16K, 48 bits from level 1, two tables, page",
     0x8005b590, 0x40008000, &cpu_48, 0x923456789abc,
     {{0x4000c918, 0x40010003}, {0x40011158, 0x40014003}, {0x40014f10, 0x000089abcdef47ff}},
     1, 0x89abcdef5abc, 0x4000},
    {"16K, 48 bits from level 1, 32M block",
     0x8005b590, 0x40008000, &cpu_48, 0x923456789abc,
     {{0x4000c918, 0x40010003}, {0x40011158, 0x000089abcc0007fd}},
     1, 0x89abcc789abc, 0x2000000},
    {"16K, 40 bits from level 2, 16 tables",
     0x8002b558, 0x40040000, &cpu_40, 0xffffffffff,
     {{0x4007fff8, 0x00000000860007fd}},
     2, 0x87ffffff, 0x2000000},
    {"16K, 29 bits from level 3, 16 tables",
     0x8002b523, 0x40040000, &cpu_40, 0x1fffffff,
     {{0x4007fff8, 0x00000000860047ff}},
     3, 0x86007fff, 0x4000},
    {"16K with DS, 52 bits from level 0, 64G block",
     0x18006b5cc, 0x40001128, &cpu_52, 0xf923456789abc,
     {{0xa0000400011f8, 0x0001000040010103}, {0x5000040010918, 0x000189a0000006fd}},
     0, 0x989a456789abc, 0x1000000000},
    {"16K with DS, 52 bits from level 0, page",
     0x18006b5cc, 0x40001128, &cpu_52, 0xf923456789abc,
     {{0xa0000400011f8, 0x0001000040010103}, {0x5000040010918, 0x0002000040018003},
      {0x2000040019158, 0x0000000040014203}, {0x8000040014f10, 0x000189abcdef46ff}},
     0, 0x989abcdef5abc, 0x4000},
    {"64K, 48 bits from level 1: 64 entries, a 512-byte root, page",
     0x80057590, 0x40001200, &cpu_48, 0x923456789abc,
     {{0x40001320, 0x40020003}, {0x40028d10, 0x40030003}, {0x4003b3c0, 0x000089abcdef07ff}},
     1, 0x89abcdef9abc, 0x10000},
    {"64K, 48 bits from level 1, 512M block",
     0x80057590, 0x40001200, &cpu_48, 0x923456789abc,
     {{0x40001320, 0x40020003}, {0x40028d10, 0x000089abc00007fd}},
     1, 0x89abd6789abc, 0x20000000},
    {"64K, 52 bits from level 1, page, every address above 48 bits",
     0x8006758c, 0x40002028, &cpu_52, 0xf923456789abc,
     {{0xa000040003f20, 0x40025003}, {0x5000040028d10, 0x4003c003},
      {0xc00004003b3c0, 0x000089abcdef97ff}},
     1, 0x989abcdef9abc, 0x10000},
    {"64K, 52 bits from level 1, 4T block",
     0x8006758c, 0x40002028, &cpu_52, 0xf923456789abc,
     {{0xa000040003f20, 0x00008800000097fd}},
     1, 0x98a3456789abc, 0x40000000000},
    {"64K, 46 bits from level 2, 16 tables",
     0x80057552, 0x40100000, &cpu_48, 0x3fffffffffff,
     {{0x401ffff8, 0x00000000a00007fd}},
     2, 0xbfffffff, 0x20000000},
    {"64K, 33 bits from level 3, 16 tables",
     0x8005751f, 0x40100000, &cpu_48, 0x1ffffffff,
     {{0x401ffff8, 0x00000000a00107ff}},
     3, 0xa001ffff, 0x10000},
    {"64K, 17 bits from level 3, the smallest input",
     0x8002752f, 0x40000010, &cpu_40_ttst, 0x1abcd,
     {{0x40000018, 0x00000000a00107ff}},
     3, 0xa001abcd, 0x10000},
};
/* clang-format on */

static size_t step_count(const struct walk_example *example)
{
    size_t count = 0;

    while (count < MMU_WALK_MAX && example->steps[count].pa != 0) {
        count++;
    }
    return count;
}

static struct mmu load_example(const struct walk_example *example)
{
    mmu_bus_clear();
    for (size_t i = 0; i < step_count(example); i++) {
        mmu_bus_put(example->steps[i].pa, example->steps[i].value);
    }
    return mmu_bus_mmu(example->vtcr, example->vttbr, example->cpu);
}

TEST_EACH(walk_worked_example_gives_its_address, COUNT(walk_examples))
{
    const struct walk_example *example = &walk_examples[_i];
    struct mmu mmu = load_example(example);
    struct mmu_result result = mmu_translate(&mmu, example->ipa, MMU_READ);
    size_t steps = step_count(example);

    ck_assert_msg(result.status == MMU_OK, "%s: %s at level %d", example->name,
                  mmu_status_name(result.status), result.level);
    ck_assert_uint_eq(result.pa, example->pa);
    ck_assert_uint_eq(result.leaf_size, example->leaf_size);
    ck_assert_uint_eq(result.run_size, example->leaf_size);
    ck_assert_int_eq(result.level, example->start_level + (int)steps - 1);
    ck_assert(result.has_leaf && !result.config && !result.flat && !result.nt);
    ck_assert_uint_eq(result.res0, 0);
    ck_assert_uint_eq(result.walk_count, steps);
    for (size_t i = 0; i < steps; i++) {
        ck_assert_uint_eq(result.walk_pa[i], example->steps[i].pa);
        ck_assert_uint_eq(result.walk_desc[i], example->steps[i].value);
    }
    ck_assert_int_eq(result.memory, MMU_NORMAL_WB);
    ck_assert_uint_eq(result.sh, 3);
    ck_assert_ptr_null(mmu_config_problem(&mmu));
    ck_assert_int_eq(mmu_start_level(&mmu), example->start_level);
}

/* Each descriptor in turn unreadable, or invalid in either way. */
TEST_EACH(walk_broken_step_faults_at_its_level, COUNT(walk_examples))
{
    const struct walk_example *example = &walk_examples[_i];

    for (size_t i = 0; i < step_count(example); i++) {
        struct mmu mmu = load_example(example);
        int level = example->start_level + (int)i;
        struct mmu_result result;

        mmu_bus_put(example->steps[i].pa, 0xfffffffffffffffe);
        result = mmu_translate(&mmu, example->ipa, MMU_READ);
        ck_assert_int_eq(result.status, MMU_TRANSLATION);
        ck_assert_int_eq(result.level, level);
        ck_assert_uint_eq(result.walk_count, i + 1);
        ck_assert(!result.has_leaf && !result.config);

        mmu_bus_keep(i);
        result = mmu_translate(&mmu, example->ipa, MMU_READ);
        ck_assert_int_eq(result.status, MMU_EXTERNAL);
        ck_assert_int_eq(result.level, level);
        ck_assert_uint_eq(result.walk_pa[i], example->steps[i].pa);
    }
}

TEST_EACH(walk_page_with_block_type_is_invalid, COUNT(walk_examples))
{
    const struct walk_example *example = &walk_examples[_i];
    size_t last = step_count(example) - 1;
    struct mmu mmu = load_example(example);
    struct mmu_result result;

    if (example->start_level + (int)last != 3) {
        return;
    }
    mmu_bus_put(example->steps[last].pa, example->steps[last].value ^ 2);
    result = mmu_translate(&mmu, example->ipa, MMU_READ);
    ck_assert_int_eq(result.status, MMU_TRANSLATION);
    ck_assert_int_eq(result.level, 3);
}

TEST_EACH(walk_input_beyond_its_size_faults_at_level_0, COUNT(walk_examples))
{
    const struct walk_example *example = &walk_examples[_i];
    struct mmu mmu = load_example(example);
    uint64_t first_beyond = UINT64_C(1) << mmu_input_bits(&mmu);

    for (uint64_t bit = first_beyond; bit != 0; bit <<= 1) {
        struct mmu_result result = mmu_translate(&mmu, example->ipa | bit, MMU_READ);

        ck_assert_int_eq(result.status, MMU_TRANSLATION);
        ck_assert_int_eq(result.level, 0);
        ck_assert_uint_eq(result.walk_count, 0);
        ck_assert(!result.config);
    }
}

TEST(walk_hole_tells_its_extent)
{
    struct mmu mmu = mmu_bus_mmu(0x80053590, 0x40001000, &cpu_48);
    static const uint64_t extents[4] = {0x8000000000, 0x40000000, 0x200000, 0x1000};
    static const struct cell steps[4] = {{0x40001120, 0x40002003},
                                         {0x40002688, 0x40003003},
                                         {0x40003598, 0x40004003},
                                         {0x40004c48, 3}};

    for (size_t i = 0; i < 4; i++) {
        struct mmu_result result;

        mmu_bus_clear();
        for (size_t k = 0; k < i; k++) {
            mmu_bus_put(steps[k].pa, steps[k].value);
        }
        mmu_bus_put(steps[i].pa, 0);
        result = mmu_translate(&mmu, 0x123456789abc, MMU_WRITE);
        ck_assert_int_eq(result.status, MMU_TRANSLATION);
        ck_assert_uint_eq(result.hole_size, extents[i]);
    }
}

/* --- Which blocks there are ------------------------------------------------------------------- */

/* The first entry of the root is made a block. */
static const struct block_case {
    const char *name;
    uint64_t vtcr;
    const struct mmu_cpu *cpu;
    int level;
    bool legal;
} block_cases[] = {
    {"4K level 0", 0x80053590, &cpu_48, 0, false},
    {"4K level 0, 52-bit part, no DS", 0x80053590, &cpu_52, 0, false},
    {"4K level 0, DS", 0x180063590, &cpu_52, 0, true},
    {"4K level -1, DS", 0x38006350c, &cpu_52, -1, false},
    {"16K level 1", 0x8005b590, &cpu_48, 1, false},
    {"16K level 1, 52-bit part, no DS", 0x8005b590, &cpu_52, 1, false},
    {"16K level 1, DS", 0x18006b590, &cpu_52, 1, true},
    {"16K level 0, DS", 0x18006b5cc, &cpu_52, 0, false},
    {"64K level 1", 0x80057590, &cpu_48, 1, false},
    {"64K level 1, 52-bit part", 0x80067590, &cpu_52, 1, true},
};

TEST_EACH(walk_block_of_legal_level_only_translates, COUNT(block_cases))
{
    const struct block_case *c = &block_cases[_i];
    struct mmu mmu = mmu_bus_mmu(c->vtcr, 0x40000000, c->cpu);
    struct mmu_result result;

    mmu_bus_clear();
    mmu_bus_put(0x40000000, 0x4fd);
    result = mmu_translate(&mmu, 0, MMU_READ);
    ck_assert_msg(result.status == (c->legal ? MMU_OK : MMU_TRANSLATION), "%s: %s", c->name,
                  mmu_status_name(result.status));
    ck_assert_int_eq(result.level, c->level);
}
/* --- Address sizes ---------------------------------------------------------------------------- */

/* clang-format off */
static const struct size_case {
    const char *name;
    uint64_t vtcr;
    uint64_t vttbr;
    const struct mmu_cpu *cpu;
    struct cell steps[2];
    enum mmu_status status;
    int level;
} size_cases[] = {
    {"root at PS", 0x80023558, 0x10000000000, &cpu_48, {{0}}, MMU_ADDRESS_SIZE, 0},
    {"root below PS", 0x80023558, 0xffffffe000, &cpu_48, {{0xffffffe000, 0x4fd}}, MMU_OK, 1},
    {"root at PARange, PS too large",
     0x80053558, 0x10000000000, &cpu_40, {{0}}, MMU_ADDRESS_SIZE, 0},
    {"table at PS",
     0x80023558, 0x40000000, &cpu_48, {{0x40000000, 0x10000000003}}, MMU_ADDRESS_SIZE, 1},
    {"block at PS",
     0x80023558, 0x40000000, &cpu_48, {{0x40000000, 0x100000004fd}}, MMU_ADDRESS_SIZE, 1},
    {"block below PS", 0x80023558, 0x40000000, &cpu_48, {{0x40000000, 0xffc00004fd}}, MMU_OK, 1},
    {"block at PS without AF",
     0x80023558, 0x40000000, &cpu_48, {{0x40000000, 0x100000000fd}}, MMU_ADDRESS_SIZE, 1},
    {"2M block at PS",
     0x80003558, 0x40000000, &cpu_40, {{0x40000000, 0x40002003}, {0x40002000, 0x1000004fd}},
     MMU_ADDRESS_SIZE, 2},
    {"DS table at 2^48, PS = 48 bits",
     0x180053590, 0x40000000, &cpu_52, {{0x40000000, 0x0001000000000003}}, MMU_ADDRESS_SIZE, 0},
    {"DS block at 2^50, PS = 48 bits",
     0x180053590, 0x40000000, &cpu_52, {{0x40000000, 0x5fd}}, MMU_ADDRESS_SIZE, 0},
    {"DS table of level -1 at 2^51, PS = 48 bits",
     0x38005350c, 0x40000000, &cpu_52, {{0x40000000, 0x203}}, MMU_ADDRESS_SIZE, -1},
    {"DS root at 2^48, PS = 48 bits", 0x180053590, 0x40000004, &cpu_52, {{0}}, MMU_ADDRESS_SIZE, 0},
    {"64K table at 2^48, PS = 48 bits",
     0x80057590, 0x40000000, &cpu_52, {{0x40000000, 0x1003}}, MMU_ADDRESS_SIZE, 1},
    {"64K page bits [15:12] mean nothing on a 48-bit part",
     0x80057590, 0x40000000, &cpu_48, {{0x40000000, 0x40021003}, {0x40020000, 0x4fd}}, MMU_OK, 2},
    {"bits [49:48] mean nothing without DS",
     0x80053590, 0x40000000, &cpu_52, {{0x40000000, 0x0003000040002003}, {0x40002000, 0x4fd}},
     MMU_OK, 1},
};
/* clang-format on */

TEST_EACH(walk_address_beyond_its_size_faults, COUNT(size_cases))
{
    const struct size_case *c = &size_cases[_i];
    struct mmu mmu = mmu_bus_mmu(c->vtcr, c->vttbr, c->cpu);
    struct mmu_result result;

    mmu_bus_clear();
    for (size_t i = 0; i < 2 && c->steps[i].pa != 0; i++) {
        mmu_bus_put(c->steps[i].pa, c->steps[i].value);
    }
    result = mmu_translate(&mmu, 0, MMU_READ);
    ck_assert_msg(result.status == c->status, "%s: %s", c->name, mmu_status_name(result.status));
    ck_assert_int_eq(result.level, c->level);
}
/* --- Reserved bits ---------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *name;
    uint64_t vtcr;
    const struct mmu_cpu *cpu;
    struct cell steps[2];
    uint64_t res0;
} res0_cases[] = {
    {"table attributes",
     0x80053590, &cpu_48, {{0x40000000, 0xf80b000040002ffb | 3}, {0x40002000, 0x4fd}},
     0xf80b000000000ff8},
    {"block below its size", 0x80023558, &cpu_40, {{0x40000000, 0x3ffff4fd}}, 0x3ffff000},
    {"nT is no address on a part with FEAT_BBM",
     0x80023558, &cpu_52, {{0x40000000, 0x3ffff4fd}}, 0x3ffef000},
    {"high bits", 0x80023558, &cpu_40, {{0x40000000, 0xf8070000000004fd}}, 0xf807000000000000},
    {"DBM without FEAT_HAFDBS", 0x80023558, &cpu_40, {{0x40000000, DBM | 0x4fd}}, DBM},
    {"bit 11", 0x80023558, &cpu_40, {{0x40000000, 0xcfd}}, 0x800},
    {"contiguous 16K level 1", 0x18006b590, &cpu_52, {{0x40000000, CONTIGUOUS | 0x4fd}},
     CONTIGUOUS},
    {"contiguous 64K level 1", 0x80067590, &cpu_52, {{0x40000000, CONTIGUOUS | 0x4fd}},
     CONTIGUOUS},
    {"contiguous 4K level 0",
     0x180063590, &cpu_52, {{0x40000000, CONTIGUOUS | 0x4fd}}, CONTIGUOUS},
    {"64K [15:12] on a small part",
     0x80057590, &cpu_48, {{0x40000000, 0x40025003}, {0x40020000, 0x64fd}}, 0x7000},
    {"16K below its granule", 0x8002b558, &cpu_40, {{0x40000000, 0x20034fd}}, 0x3000},
};
/* clang-format on */

TEST_EACH(walk_reserved_bits_are_told, COUNT(res0_cases))
{
    struct mmu mmu = mmu_bus_mmu(res0_cases[_i].vtcr, 0x40000000, res0_cases[_i].cpu);
    struct mmu_result result;

    mmu_bus_clear();
    for (size_t i = 0; i < 2 && res0_cases[_i].steps[i].pa != 0; i++) {
        mmu_bus_put(res0_cases[_i].steps[i].pa, res0_cases[_i].steps[i].value);
    }
    result = mmu_translate(&mmu, 0, MMU_READ);
    ck_assert_msg(result.status == MMU_OK, "%s: %s", res0_cases[_i].name,
                  mmu_status_name(result.status));
    ck_assert_uint_eq(result.run_size, result.leaf_size);
    ck_assert_msg(result.res0 == res0_cases[_i].res0, "%s: %llx", res0_cases[_i].name,
                  (unsigned long long)result.res0);
}
