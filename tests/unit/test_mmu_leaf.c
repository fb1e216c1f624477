/*
 * test_mmu_leaf.c - what the software MMU makes of a leaf: attributes, permissions, hardware
 * updates, contiguous runs.
 */
#include "tests/sim/mmu.h"
#include "tests/unit/mmu_bus.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "mmu"

/* --- Attributes ------------------------------------------------------------------------------- */

/* One 1G block at 0 with these attribute bits, under a 40-bit input from level 1. */
static struct mmu_result translate_block(struct mmu *mmu, uint64_t attributes,
                                         enum mmu_access access)
{
    mmu_bus_clear();
    mmu_bus_put(0x40000000, 1 | attributes);
    return mmu_translate(mmu, 0x123, access);
}

static const struct {
    unsigned memattr;
    enum mmu_memory plain;
    enum mmu_memory with_fwb;
} memory_rules[16] = {
    {0x0, MMU_DEVICE_NGNRNE, MMU_DEVICE_NGNRNE}, {0x1, MMU_DEVICE_NGNRE, MMU_DEVICE_NGNRE},
    {0x2, MMU_DEVICE_NGRE, MMU_DEVICE_NGRE},     {0x3, MMU_DEVICE_GRE, MMU_DEVICE_GRE},
    {0x4, MMU_RESERVED, MMU_RESERVED},           {0x5, MMU_NORMAL_NC, MMU_NORMAL_NC},
    {0x6, MMU_NORMAL_MIXED, MMU_NORMAL_WB},      {0x7, MMU_NORMAL_MIXED, MMU_STAGE1},
    {0x8, MMU_RESERVED, MMU_DEVICE_NGNRNE},      {0x9, MMU_NORMAL_MIXED, MMU_DEVICE_NGNRE},
    {0xa, MMU_NORMAL_WT, MMU_DEVICE_NGRE},       {0xb, MMU_NORMAL_MIXED, MMU_DEVICE_GRE},
    {0xc, MMU_RESERVED, MMU_RESERVED},           {0xd, MMU_NORMAL_MIXED, MMU_NORMAL_NC},
    {0xe, MMU_NORMAL_MIXED, MMU_NORMAL_WB},      {0xf, MMU_NORMAL_WB, MMU_STAGE1},
};

TEST_EACH(decode_memattr_gives_its_memory_type, 16)
{
    struct mmu mmu = mmu_bus_mmu(0x80023558, 0x40000000, &cpu_52);
    uint64_t attributes = (uint64_t)memory_rules[_i].memattr << 2 | 0x4c0;
    struct mmu_result result = translate_block(&mmu, attributes, MMU_READ);

    ck_assert_int_eq(result.status, MMU_OK);
    ck_assert_uint_eq(result.memattr, memory_rules[_i].memattr);
    ck_assert_int_eq(result.memory, memory_rules[_i].plain);
    ck_assert_uint_eq(result.res0, 0);

    mmu.hcr = HCR_VM_FWB;
    result = translate_block(&mmu, attributes, MMU_READ);
    ck_assert_int_eq(result.memory, memory_rules[_i].with_fwb);
    ck_assert_uint_eq(result.res0, memory_rules[_i].memattr >= 8 ? 0x20 : 0);

    mmu.cpu.fwb = false; /* then the bit in HCR_EL2 is nothing */
    result = translate_block(&mmu, attributes, MMU_READ);
    ck_assert_int_eq(result.memory, memory_rules[_i].plain);
}

TEST(fetch_from_device_memory_is_refused)
{
    struct mmu mmu = mmu_bus_mmu(0x80023558, 0x40000000, &cpu_52);

    for (uint64_t memattr = 0; memattr < 4; memattr++) {
        ck_assert_int_eq(translate_block(&mmu, memattr << 2 | 0x4c0, MMU_FETCH_EL1).status,
                         MMU_PERMISSION);
        ck_assert_int_eq(translate_block(&mmu, memattr << 2 | 0x4c0, MMU_FETCH_EL0).status,
                         MMU_PERMISSION);
    }
    ck_assert_int_eq(translate_block(&mmu, 0x4d4, MMU_FETCH_EL1).status, MMU_OK);
}

static const struct {
    uint64_t bits; /* [54:53] */
    bool el1;      /* may fetch, with FEAT_XNX */
    bool el0;
    bool both; /* without */
} xn_rules[4] = {
    {0x0000000000000000, true, true, true},
    {0x0020000000000000, false, true, true},
    {0x0040000000000000, false, false, false},
    {0x0060000000000000, true, false, false},
};

TEST_EACH(fetch_obeys_xn, 4)
{
    struct mmu mmu = mmu_bus_mmu(0x80023558, 0x40000000, &cpu_52);
    uint64_t attributes = xn_rules[_i].bits | 0x4fc;
    bool res0_bit = (xn_rules[_i].bits & 0x0020000000000000) != 0;

    ck_assert_int_eq(translate_block(&mmu, attributes, MMU_FETCH_EL1).status,
                     xn_rules[_i].el1 ? MMU_OK : MMU_PERMISSION);
    ck_assert_int_eq(translate_block(&mmu, attributes, MMU_FETCH_EL0).status,
                     xn_rules[_i].el0 ? MMU_OK : MMU_PERMISSION);
    ck_assert_int_eq(translate_block(&mmu, attributes, MMU_READ).status, MMU_OK);
    ck_assert_uint_eq(translate_block(&mmu, attributes, MMU_READ).xn, (unsigned)_i);
    ck_assert_uint_eq(translate_block(&mmu, attributes, MMU_READ).res0, 0);
    mmu.cpu.xnx = false;
    ck_assert_int_eq(translate_block(&mmu, attributes, MMU_FETCH_EL1).status,
                     xn_rules[_i].both ? MMU_OK : MMU_PERMISSION);
    ck_assert_int_eq(translate_block(&mmu, attributes, MMU_FETCH_EL0).status,
                     xn_rules[_i].both ? MMU_OK : MMU_PERMISSION);
    ck_assert_uint_eq(translate_block(&mmu, attributes, MMU_READ).res0,
                      res0_bit ? 0x0020000000000000 : 0);
}

/* Fetching asks neither for S2AP[0] nor for S2AP[1]. */
TEST_EACH(access_obeys_s2ap, 4)
{
    struct mmu mmu = mmu_bus_mmu(0x80023558, 0x40000000, &cpu_40);
    uint64_t s2ap = (uint64_t)_i;
    struct mmu_result result = translate_block(&mmu, s2ap << 6 | 0x43c, MMU_READ);

    ck_assert_int_eq(result.status, (s2ap & 1) != 0 ? MMU_OK : MMU_PERMISSION);
    ck_assert_int_eq(result.level, 1);
    ck_assert(result.has_leaf);
    ck_assert_uint_eq(result.pa, 0x123);
    ck_assert_uint_eq(result.s2ap, s2ap);
    ck_assert(result.can_read == ((s2ap & 1) != 0) && result.can_write == ((s2ap & 2) != 0));
    ck_assert_int_eq(translate_block(&mmu, s2ap << 6 | 0x43c, MMU_WRITE).status,
                     (s2ap & 2) != 0 ? MMU_OK : MMU_PERMISSION);
    ck_assert_int_eq(translate_block(&mmu, s2ap << 6 | 0x43c, MMU_FETCH_EL1).status, MMU_OK);
}

TEST(decode_other_fields_gives_them_as_they_lie)
{
    struct mmu mmu = mmu_bus_mmu(0x80023558, 0x40000000, &cpu_52);
    struct mmu_result result = translate_block(&mmu, 0x04c0000000000000 | 0x6fc, MMU_READ);

    ck_assert_uint_eq(result.software, 9);
    ck_assert_uint_eq(result.sh, 2);
    ck_assert_uint_eq(result.xn, 2);
    ck_assert(result.af && !result.dbm && !result.nt && !result.contiguous);
    /* With DS the two bits are address, and VTCR_EL2 alone tells shareability. */
    mmu.vtcr = 0x180062558;
    ck_assert_uint_eq(translate_block(&mmu, 0x4fc, MMU_READ).sh, 2);
    ck_assert_uint_eq(translate_block(&mmu, 0x5fc, MMU_READ).pa, 0x4000000000123);
}
/* --- Hardware updates ------------------------------------------------------------------------- */

#define HA 0x200000
#define HD 0x400000

static const struct update_case {
    const char *name;
    uint64_t vtcr_bits;
    unsigned hafdbs;
    uint64_t attributes;
    enum mmu_access access;
    enum mmu_status status;
    uint64_t sets; /* what hardware adds to the descriptor */
} update_cases[] = {
    {"AF clear, no HA", 0, 2, 0x0fc, MMU_READ, MMU_ACCESS_FLAG, 0},
    {"AF clear comes before permission", 0, 2, 0x03c, MMU_READ, MMU_ACCESS_FLAG, 0},
    {"HA sets AF", HA, 1, 0x0fc, MMU_READ, MMU_OK, 0x400},
    {"HA sets AF on a fetch", HA, 1, 0x0fc, MMU_FETCH_EL0, MMU_OK, 0x400},
    {"HA without the feature", HA, 0, 0x0fc, MMU_READ, MMU_ACCESS_FLAG, 0},
    {"HA sets AF though permission is denied", HA, 1, 0x03c, MMU_READ, MMU_PERMISSION, 0x400},
    {"AF set stays", HA, 1, 0x4fc, MMU_READ, MMU_OK, 0},
    {"DBM without HD", HA, 2, DBM | 0x47c, MMU_WRITE, MMU_PERMISSION, 0},
    {"DBM with HD", HA | HD, 2, DBM | 0x47c, MMU_WRITE, MMU_OK, 0x80},
    {"DBM with HD, both", HA | HD, 2, DBM | 0x07c, MMU_WRITE, MMU_OK, 0x480},
    {"DBM with HD, read", HA | HD, 2, DBM | 0x47c, MMU_READ, MMU_OK, 0},
    {"DBM with HD alone", HD, 2, DBM | 0x47c, MMU_WRITE, MMU_PERMISSION, 0},
    {"DBM on a part with AF only", HA | HD, 1, DBM | 0x47c, MMU_WRITE, MMU_PERMISSION, 0},
    {"no DBM with HD", HA | HD, 2, 0x47c, MMU_WRITE, MMU_PERMISSION, 0},
    {"DBM, dirty already", HA | HD, 2, DBM | 0x4fc, MMU_WRITE, MMU_OK, 0},
    {"DBM never grants reading", HA | HD, 2, DBM | 0x43c, MMU_READ, MMU_PERMISSION, 0},
};

TEST_EACH(access_updates_descriptor_as_ha_and_hd_say, COUNT(update_cases))
{
    const struct update_case *c = &update_cases[_i];
    struct mmu mmu = mmu_bus_mmu(0x80023558 | c->vtcr_bits, 0x40000000, &cpu_48);
    struct mmu_result result;

    mmu.cpu.hafdbs = c->hafdbs;
    result = translate_block(&mmu, c->attributes, c->access);
    ck_assert_msg(result.status == c->status, "%s: %s", c->name, mmu_status_name(result.status));
    ck_assert_uint_eq(result.updated, (1 | c->attributes) | c->sets);
    ck_assert_uint_eq(result.updated ^ result.walk_desc[0], c->sets);
    ck_assert(result.has_leaf);
    ck_assert(result.dbm == ((c->attributes & DBM) != 0));
    ck_assert(result.af == ((c->attributes & AF) != 0));
}

TEST(walk_nt_block_faults_only_if_asked)
{
    struct mmu mmu = mmu_bus_mmu(0x80023558, 0x40000000, &cpu_52);

    ck_assert(translate_block(&mmu, NT | 0x4fc, MMU_READ).nt);
    ck_assert_int_eq(translate_block(&mmu, NT | 0x4fc, MMU_READ).status, MMU_OK);
    mmu.options = MMU_NT_FAULTS;
    ck_assert_int_eq(translate_block(&mmu, NT | 0x4fc, MMU_READ).status, MMU_TRANSLATION);
    ck_assert_int_eq(translate_block(&mmu, NT | 0x4fc, MMU_READ).level, 1);
    mmu.cpu.bbm = 0;
    ck_assert_int_eq(translate_block(&mmu, NT | 0x4fc, MMU_READ).status, MMU_OK);
}

/* --- Contiguous runs -------------------------------------------------------------------------- */

/* clang-format off */
static const struct run_case {
    const char *name;
    uint64_t vtcr;
    const struct mmu_cpu *cpu;
    uint64_t table; /* descriptor at 0x40000000 that leads to the run; 0: the run is in the root */
    uint64_t first; /* PA of the run's first entry */
    uint64_t entries;
    uint64_t leaf_size;
    uint64_t ipa; /* first of the run */
    uint64_t desc;
    int level;
} run_cases[] = {
    {"4K level 3",
     0x8002351e, &cpu_40, 0x40020003, 0x40020180, 16, 0x1000, 0x30000, CONTIGUOUS | 0x555507ff,
     3},
    {"4K level 2",
     0x8002351e, &cpu_40, 0, 0x40000080, 16, 0x200000, 0x2000000, CONTIGUOUS | 0x560007fd, 2},
    {"4K level 1",
     0x80023558, &cpu_40, 0, 0x40000080, 16, 0x40000000, 0x400000000, CONTIGUOUS | 0x18000007fd,
     1},
    {"16K level 3",
     0x8002b558, &cpu_40, 0x40040003, 0x40040400, 128, 0x4000, 0x200000, CONTIGUOUS | 0x55a007ff,
     3},
    {"16K level 2",
     0x8002b558, &cpu_40, 0, 0x40000100, 32, 0x2000000, 0x40000000, CONTIGUOUS | 0x18c00007fd, 2},
    {"64K level 3",
     0x80057552, &cpu_48, 0x40100003, 0x40100100, 32, 0x10000, 0x200000, CONTIGUOUS | 0x55a007ff,
     3},
    {"64K level 2",
     0x80057552, &cpu_48, 0, 0x40000100, 32, 0x20000000, 0x400000000, CONTIGUOUS | 0x18000007fd,
     2},
};
/* clang-format on */

static struct mmu load_run(const struct run_case *c)
{
    struct mmu mmu = mmu_bus_mmu(c->vtcr, 0x40000000, c->cpu);

    mmu_bus_clear();
    if (c->table != 0) {
        mmu_bus_put(0x40000000, c->table);
    }
    for (uint64_t i = 0; i < c->entries; i++) {
        mmu_bus_put(c->first + i * 8, c->desc + i * c->leaf_size);
    }
    mmu.options = MMU_CHECK_RUNS;
    return mmu;
}

TEST_EACH(walk_sound_run_translates_in_every_entry, COUNT(run_cases))
{
    const struct run_case *c = &run_cases[_i];
    struct mmu mmu = load_run(c);
    uint64_t base = c->desc & 0xfffffffff000;

    for (uint64_t i = 0; i < c->entries; i++) {
        struct mmu_result result = mmu_translate(&mmu, c->ipa + i * c->leaf_size + 0x123, MMU_READ);

        ck_assert_msg(result.status == MMU_OK, "%s, entry %llu: %s", c->name, (unsigned long long)i,
                      mmu_status_name(result.status));
        ck_assert_uint_eq(result.pa, base + i * c->leaf_size + 0x123);
        ck_assert_uint_eq(result.run_size, c->entries * c->leaf_size);
        ck_assert_uint_eq(result.leaf_size, c->leaf_size);
        ck_assert_int_eq(result.level, c->level);
        ck_assert(result.contiguous);
        ck_assert_uint_eq(result.walk_pa[result.walk_count - 1], c->first + i * 8);
    }
}

/* Unasked, hardware believes the hint: any entry speaks for the whole run. */
TEST_EACH(walk_run_takes_low_bits_from_the_input, COUNT(run_cases))
{
    const struct run_case *c = &run_cases[_i];
    struct mmu mmu = load_run(c);
    uint64_t last = (c->entries - 1) * c->leaf_size;
    struct mmu_result result;

    mmu_bus_put(c->first + (c->entries - 1) * 8, c->desc);
    mmu.options = 0;
    result = mmu_translate(&mmu, c->ipa + last, MMU_READ);
    ck_assert_int_eq(result.status, MMU_OK);
    ck_assert_uint_eq(result.pa, (c->desc & 0xfffffffff000) + last);
    mmu.options = MMU_CHECK_RUNS;
    ck_assert_int_eq(mmu_translate(&mmu, c->ipa + last, MMU_READ).status, MMU_BAD_RUN);
    ck_assert_int_eq(mmu_translate(&mmu, c->ipa, MMU_READ).status, MMU_BAD_RUN);
}

/* One bit wrong in one member, seen from the first entry. */
TEST_EACH(walk_run_with_a_stranger_is_bad, COUNT(run_cases))
{
    static const struct {
        uint64_t flip;
        enum mmu_status status;
    } strangers[] = {
        {1, MMU_BAD_RUN},                  /* invalid */
        {CONTIGUOUS, MMU_BAD_RUN},         /* not of the run */
        {0x4, MMU_BAD_RUN},                /* MemAttr */
        {0x40, MMU_BAD_RUN},               /* S2AP[0] */
        {0x80, MMU_BAD_RUN},               /* S2AP[1] of a run that hardware does not dirty */
        {0x100, MMU_BAD_RUN},              /* SH */
        {0x0040000000000000, MMU_BAD_RUN}, /* XN */
        {DBM, MMU_BAD_RUN},
        {0x800000000, MMU_BAD_RUN},   /* another run's address */
        {AF, MMU_OK},                 /* hardware may set it in one */
        {0x0780000000000000, MMU_OK}, /* software's own */
    };
    const struct run_case *c = &run_cases[_i];
    uint64_t victim = c->first + (c->entries / 2) * 8;
    uint64_t value = c->desc + (c->entries / 2) * c->leaf_size;
    struct mmu mmu = load_run(c);

    for (size_t i = 0; i < COUNT(strangers); i++) {
        mmu_bus_put(victim, value ^ strangers[i].flip);
        ck_assert_msg(mmu_translate(&mmu, c->ipa, MMU_READ).status == strangers[i].status,
                      "%s, flip %llx", c->name, (unsigned long long)strangers[i].flip);
    }
}

TEST_EACH(walk_run_with_misaligned_output_is_bad, COUNT(run_cases))
{
    const struct run_case *c = &run_cases[_i];
    struct mmu mmu = load_run(c);

    for (uint64_t i = 0; i < c->entries; i++) {
        mmu_bus_put(c->first + i * 8, c->desc + (i + 1) * c->leaf_size);
    }
    ck_assert_int_eq(mmu_translate(&mmu, c->ipa, MMU_READ).status, MMU_BAD_RUN);
}

/* The entry asked is neither accessed nor dirty; one member in the middle is. */
TEST_EACH(walk_run_flags_are_ored, COUNT(run_cases))
{
    const struct run_case *c = &run_cases[_i];
    struct mmu mmu = load_run(c);
    uint64_t clean = (c->desc | DBM) & ~UINT64_C(0x480);
    struct mmu_result result;

    mmu.cpu.hafdbs = 2;
    mmu.vtcr |= HA | HD;
    for (uint64_t i = 0; i < c->entries; i++) {
        mmu_bus_put(c->first + i * 8, clean + i * c->leaf_size);
    }
    result = mmu_translate(&mmu, c->ipa, MMU_READ);
    ck_assert(result.status == MMU_OK && !result.run_af && !result.run_dirty);
    mmu_bus_put(c->first + (c->entries / 2) * 8, (clean | 0x480) + (c->entries / 2) * c->leaf_size);
    result = mmu_translate(&mmu, c->ipa, MMU_READ);
    ck_assert(result.status == MMU_OK && result.run_af && result.run_dirty && !result.af);
}

TEST(walk_run_larger_than_the_input_is_bad)
{
    /* 33 bits from level 1: 8 entries of 1G, half a run. */
    struct mmu mmu = mmu_bus_mmu(0x8002355f, 0x40000000, &cpu_40);

    mmu_bus_clear();
    for (uint64_t i = 0; i < 16; i++) {
        mmu_bus_put(0x40000000 + i * 8, (CONTIGUOUS | 0x7fd) + i * 0x40000000);
    }
    ck_assert_int_eq(mmu_translate(&mmu, 0, MMU_READ).status, MMU_OK);
    mmu.options = MMU_CHECK_RUNS;
    ck_assert_int_eq(mmu_translate(&mmu, 0, MMU_READ).status, MMU_BAD_RUN);
    mmu.vtcr = 0x8002355e; /* 34 bits hold it whole */
    ck_assert_int_eq(mmu_translate(&mmu, 0, MMU_READ).status, MMU_OK);
}

/* --- Fault codes ------------------------------------------------------------------------------ */

TEST(encode_fault_gives_the_status_code)
{
    static const struct {
        enum mmu_status status;
        int level;
        unsigned code;
    } cases[] = {
        {MMU_OK, 3, 0x00},           {MMU_BAD_RUN, 3, 0x00},      {MMU_TRANSLATION, 0, 0x04},
        {MMU_TRANSLATION, 1, 0x05},  {MMU_TRANSLATION, 3, 0x07},  {MMU_TRANSLATION, -1, 0x2b},
        {MMU_ADDRESS_SIZE, 0, 0x00}, {MMU_ADDRESS_SIZE, 2, 0x02}, {MMU_ADDRESS_SIZE, -1, 0x29},
        {MMU_ACCESS_FLAG, 1, 0x09},  {MMU_ACCESS_FLAG, 3, 0x0b},  {MMU_PERMISSION, 0, 0x0c},
        {MMU_PERMISSION, 3, 0x0f},   {MMU_EXTERNAL, 0, 0x14},     {MMU_EXTERNAL, 3, 0x17},
        {MMU_EXTERNAL, -1, 0x13},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mmu_result result = {.status = cases[i].status, .level = cases[i].level};

        ck_assert_uint_eq(mmu_fault_status_code(&result), cases[i].code);
    }
}

TEST(name_every_value_is_its_own)
{
    for (int i = MMU_OK; i <= MMU_BAD_RUN; i++) {
        ck_assert_str_ne(mmu_status_name((enum mmu_status)i), "?");
    }
    for (int i = MMU_DEVICE_NGNRNE; i <= MMU_RESERVED; i++) {
        ck_assert_str_ne(mmu_memory_name((enum mmu_memory)i), "?");
    }
    ck_assert_str_eq(mmu_status_name((enum mmu_status)(MMU_BAD_RUN + 1)), "?");
    ck_assert_str_eq(mmu_memory_name((enum mmu_memory)(MMU_RESERVED + 1)), "?");
    ck_assert_str_eq(mmu_memory_name(MMU_STAGE1), "stage-1");
    ck_assert_str_eq(mmu_status_name(MMU_ACCESS_FLAG), "access flag");
}
