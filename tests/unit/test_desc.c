/*
 * test_desc.c - flags to attributes and back: descriptors written out by hand, and every
 * combination of flags in every format, read by the software MMU.
 */
#include "stage2/arch/desc.h"
#include "tests/unit/desc_fixture.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "desc"

#define K4 S2_GRANULE_4K
#define K16 S2_GRANULE_16K
#define K64 S2_GRANULE_64K
#define RW (S2_READ | S2_WRITE)
#define RWX (S2_READ | S2_WRITE | S2_EXEC)

/* --- By hand ---------------------------------------------------------------------------------- */

/* MemAttr << 2, S2AP << 6, SH << 8, AF 0x400, type 1 or 3; bit 51 DBM, 53 and 54 XN, 56 and 57
 * software. */
static const struct literal {
    enum s2_granule granule;
    unsigned pa_bits;
    bool has_fwb;
    int level;
    uint64_t pa;
    mapping_flags_t flags;
    uint64_t desc;
} literals[] = {
    /* Permissions of a 4K page. */
    {K4, 48, false, 3, 0x80000000, RWX, 0x00000000800007ff},
    {K4, 48, false, 3, 0x80000000, RW, 0x00400000800007ff},
    {K4, 48, false, 3, 0x80000000, S2_READ, 0x004000008000077f},
    {K4, 48, false, 3, 0x80000000, S2_WRITE, 0x00400000800007bf},
    {K4, 48, false, 3, 0x80000000, 0, 0x004000008000073f},
    {K4, 48, false, 3, 0x80000000, S2_READ | S2_EXEC, 0x000000008000077f},
    {K4, 48, false, 3, 0x80000000, S2_READ | S2_EXEC_EL0, 0x002000008000077f},
    {K4, 48, false, 3, 0x80000000, S2_READ | S2_EXEC_EL1, 0x006000008000077f},
    /* Memory types without FWB. */
    {K4, 48, false, 3, 0x80000000, RWX | S2_NORMAL_NC, 0x00000000800007d7},
    {K4, 48, false, 3, 0x80000000, RWX | S2_NORMAL_WT, 0x00000000800007eb},
    {K4, 48, false, 3, 0x09000000, RW | S2_DEVICE_nGnRnE, 0x00400000090007c3},
    {K4, 48, false, 3, 0x09000000, RW | S2_DEVICE_nGnRE, 0x00400000090007c7},
    {K4, 48, false, 3, 0x09000000, RW | S2_DEVICE_nGRE, 0x00400000090007cb},
    {K4, 48, false, 3, 0x09000000, RW | S2_DEVICE_GRE, 0x00400000090007cf},
    /* And with it. */
    {K4, 48, true, 3, 0x80000000, RWX, 0x00000000800007db},
    {K4, 48, true, 3, 0x80000000, RWX | S2_NORMAL_NC, 0x00000000800007d7},
    {K4, 48, true, 3, 0x80000000, RWX | S2_NORMAL_STAGE1, 0x00000000800007df},
    {K4, 48, true, 3, 0x09000000, RW | S2_DEVICE_nGnRnE, 0x00400000090007c3},
    {K4, 48, true, 3, 0x09000000, RW | S2_DEVICE_nGnRE, 0x00400000090007c7},
    {K4, 48, true, 3, 0x09000000, RW | S2_DEVICE_nGRE, 0x00400000090007cb},
    {K4, 48, true, 3, 0x09000000, RW | S2_DEVICE_GRE, 0x00400000090007cf},
    /* Shareability, access flag, dirty state, software bits, cap. */
    {K4, 48, false, 3, 0x80000000, RWX | S2_SH_OUTER, 0x00000000800006ff},
    {K4, 48, false, 3, 0x80000000, RWX | S2_SH_NONE, 0x00000000800004ff},
    {K4, 48, false, 3, 0x80000000, RWX | S2_NO_AF, 0x00000000800003ff},
    {K4, 48, false, 3, 0x80000000, S2_READ | S2_DBM, 0x004800008000077f},
    {K4, 48, false, 3, 0x80000000, RW | S2_DBM, 0x00480000800007ff},
    {K4, 48, false, 3, 0x80000000, RWX | S2_SOFT0, 0x01000000800007ff},
    {K4, 48, false, 3, 0x80000000, RWX | S2_SOFT1, 0x02000000800007ff},
    {K4, 48, false, 3, 0x80000000, RWX | S2_SOFT2, 0x04000000800007ff},
    {K4, 48, false, 3, 0x80000000, RWX | S2_SOFT3, 0x00800000800007ff},
    {K4, 48, false, 3, 0x80000000, RWX | S2_CAP_PAGES, 0x00000000800007ff},
    /* Blocks. */
    {K4, 48, false, 2, 0x80200000, RWX, 0x00000000802007fd},
    {K4, 48, false, 1, 0xffffc0000000, RWX, 0x0000ffffc00007fd},
    {K16, 48, false, 2, 0x82000000, RW, 0x00400000820007fd},
    {K16, 48, false, 3, 0xffffffffc000, RWX, 0x0000ffffffffc7ff},
    {K64, 48, false, 2, 0x80000000, RW, 0x00400000800007fd},
    {K64, 48, false, 3, 0xffffffff0000, RWX, 0x0000ffffffff07ff},
    /* LPA2: OA[51:50] where SH was, OA[49:48] in place. */
    {K4, 52, false, 3, 0x80000000, RWX, 0x00000000800004ff},
    {K4, 52, false, 3, 0xffffffffff000, RWX, 0x0003fffffffff7ff},
    {K4, 52, false, 3, 0x4000000000000, RWX, 0x00000000000005ff},
    {K4, 52, false, 3, 0x8000000000000, RWX, 0x00000000000006ff},
    {K4, 52, false, 3, 0x3000000000000, RWX, 0x00030000000004ff},
    {K4, 52, false, 0, 0xc008000000000, RWX, 0x00000080000007fd},
    {K16, 52, true, 1, 0xf000000000000, RWX, 0x00030000000007d9},
    {K16, 52, false, 3, 0xb00000000c000, RW, 0x004300000000c6ff},
    /* 64K with FEAT_LPA: OA[51:48] in [15:12]. */
    {K64, 52, false, 3, 0x80000000, RWX, 0x00000000800007ff},
    {K64, 52, false, 3, 0xf000000010000, RWX, 0x000000000001f7ff},
    {K64, 52, false, 2, 0x9000020000000, RW, 0x00400000200097fd},
    {K64, 52, true, 1, 0x5040000000000, RWX, 0x00000400000057d9},
};

TEST_EACH(encode_leaf_gives_the_manuals_bits, COUNT(literals))
{
    const struct literal *c = &literals[_i];
    const struct desc_setup setup =
        desc_setup_of(c->granule, c->pa_bits, c->has_fwb, true, S2_HARDWARE_UPDATE_DIRTY);
    const s2_desc_t attr = desc_attr_of(&setup, c->flags);
    const s2_desc_t leaf = s2_desc_leaf(&setup.format, c->level, pa_of(c->pa), attr);

    ck_assert_uint_eq(leaf.raw, c->desc);
    ck_assert_uint_eq(s2_attr_decode(&setup.format, leaf), c->flags & ~S2_CAP);
    ck_assert_uint_eq(s2_desc_attr(&setup.format, leaf).raw, attr.raw);
    ck_assert(s2_desc_is_leaf(leaf, c->level) && !s2_desc_is_table(leaf, c->level));
    ck_assert(s2_desc_is_legal(&setup.format, leaf, c->level));
}

/* --- Every combination ------------------------------------------------------------------------ */

/* Whether some condition of this error holds. INVALID_PARAM comes first; where the CPU cannot and
 * policy forbids too, either answer is right. */
static bool is_invalid(mapping_flags_t flags)
{
    return (flags & ~S2_ALL_FLAGS) != 0 || (flags & S2_SHAREABILITY) == S2_SHAREABILITY;
}

static bool is_unsupported(const struct desc_setup *setup, mapping_flags_t flags)
{
    const bool exec_apart = ((flags & S2_EXEC_EL1) != 0) != ((flags & S2_EXEC_EL0) != 0);
    const bool is_shared = (flags & S2_SHAREABILITY) != S2_SH_INNER;
    const mapping_flags_t type = flags & S2_TYPE;

    return (exec_apart && !setup->cpu.has_xnx) || (is_shared && setup->geometry.has_lpa2) ||
           (type == S2_NORMAL_STAGE1 && !setup->cpu.has_fwb) ||
           (type == S2_NORMAL_WT && setup->cpu.has_fwb) ||
           ((flags & S2_DBM) != 0 && setup->config.hardware_update != S2_HARDWARE_UPDATE_DIRTY);
}

static bool is_denied(mapping_flags_t flags)
{
    const mapping_flags_t type = flags & S2_TYPE;

    return (flags & S2_EXEC) != 0 && (type == S2_DEVICE_nGnRnE || type == S2_DEVICE_nGnRE ||
                                      type == S2_DEVICE_nGRE || type == S2_DEVICE_GRE);
}

#define TYPE_NUMBER(flags) MAPPING_FIELD_GET(S2_TYPE, flags)
#define SH_NUMBER(flags) MAPPING_FIELD_GET(S2_SHAREABILITY, flags)

/* By type: what the MMU makes of it. */
static const enum mmu_memory memories[8] = {
    [TYPE_NUMBER(S2_NORMAL)] = MMU_NORMAL_WB,
    [TYPE_NUMBER(S2_NORMAL_NC)] = MMU_NORMAL_NC,
    [TYPE_NUMBER(S2_NORMAL_WT)] = MMU_NORMAL_WT,
    [TYPE_NUMBER(S2_NORMAL_STAGE1)] = MMU_STAGE1,
    [TYPE_NUMBER(S2_DEVICE_nGnRnE)] = MMU_DEVICE_NGNRNE,
    [TYPE_NUMBER(S2_DEVICE_nGnRE)] = MMU_DEVICE_NGNRE,
    [TYPE_NUMBER(S2_DEVICE_nGRE)] = MMU_DEVICE_NGRE,
    [TYPE_NUMBER(S2_DEVICE_GRE)] = MMU_DEVICE_GRE,
};

/* By shareability: SH. */
static const unsigned shareabilities[4] = {
    [SH_NUMBER(S2_SH_INNER)] = 3, [SH_NUMBER(S2_SH_OUTER)] = 2, [SH_NUMBER(S2_SH_NONE)] = 0};

/* An assertion of libcheck tells the parent process where it stands, each time: too slow for these
 * loops, which speak only when something is wrong. */
#define REQUIRE(condition)                                                         \
    do {                                                                           \
        if (!(condition)) {                                                        \
            ck_abort_msg("flags %llx: %s", (unsigned long long)flags, #condition); \
        }                                                                          \
    } while (0)

/* What hardware makes of the leaf is what the flags say. */
static void check_meaning(const struct desc_setup *setup, mapping_flags_t flags, s2_desc_t leaf,
                          uint64_t pa)
{
    const struct mmu_result result = desc_walk(setup, leaf.raw, 0, 0, 0x123456, MMU_READ);
    const bool has_dirty = setup->config.hardware_update == S2_HARDWARE_UPDATE_DIRTY;
    const bool is_writable = (flags & S2_WRITE) != 0 || (has_dirty && (flags & S2_DBM) != 0);

    REQUIRE(result.has_leaf && result.res0 == 0 && !result.contiguous && !result.nt);
    REQUIRE(result.pa == pa + 0x123456);
    REQUIRE(result.memory == memories[TYPE_NUMBER(flags)]);
    REQUIRE(result.sh == shareabilities[SH_NUMBER(flags)]);
    REQUIRE(result.can_read == ((flags & S2_READ) != 0));
    REQUIRE(result.can_write == is_writable);
    REQUIRE((result.s2ap & 2) == ((flags & S2_WRITE) != 0 ? 2U : 0U));
    REQUIRE(result.can_fetch_el1 == ((flags & S2_EXEC_EL1) != 0));
    REQUIRE(result.can_fetch_el0 == ((flags & S2_EXEC_EL0) != 0));
    REQUIRE(result.af == ((flags & S2_NO_AF) == 0));
    REQUIRE(result.dbm == ((flags & S2_DBM) != 0));
    REQUIRE(result.software ==
            (((flags & S2_SOFT0) != 0 ? 2U : 0U) | ((flags & S2_SOFT1) != 0 ? 4U : 0U) |
             ((flags & S2_SOFT2) != 0 ? 8U : 0U) | ((flags & S2_SOFT3) != 0 ? 1U : 0U)));
}

/* Each access faults or not as the flags say: an access flag fault, unless hardware sets it. */
static void check_accesses(const struct desc_setup *setup, mapping_flags_t flags, s2_desc_t leaf)
{
    const bool has_dirty = setup->config.hardware_update == S2_HARDWARE_UPDATE_DIRTY;
    const bool is_old =
        (flags & S2_NO_AF) != 0 && setup->config.hardware_update == S2_HARDWARE_UPDATE_NONE;
    const bool may[] = {[MMU_READ] = (flags & S2_READ) != 0,
                        [MMU_WRITE] =
                            (flags & S2_WRITE) != 0 || (has_dirty && (flags & S2_DBM) != 0),
                        [MMU_FETCH_EL1] = (flags & S2_EXEC_EL1) != 0,
                        [MMU_FETCH_EL0] = (flags & S2_EXEC_EL0) != 0};

    for (size_t i = 0; i < COUNT(may); i++) {
        const struct mmu_result result =
            desc_walk(setup, leaf.raw, 0, 0, 0x1000, (enum mmu_access)i);
        const enum mmu_status expected = is_old   ? MMU_ACCESS_FLAG
                                         : may[i] ? MMU_OK
                                                  : MMU_PERMISSION;

        REQUIRE(result.status == expected);
        /* What hardware writes meanwhile is what the format says it may. */
        REQUIRE(((result.updated ^ leaf.raw) & ~s2_desc_hardware_bits(&setup->format, leaf).raw) ==
                0);
    }
}

static void check_combination(const struct desc_setup *setup, mapping_flags_t flags)
{
    const int level = setup->geometry.start_level;
    const uint64_t pa = UINT64_C(1) << (setup->geometry.pa_bits - 1);
    s2_desc_t attr = {0x5555};
    const enum mapping_error error = s2_attr_encode(&setup->format, flags, &attr);
    s2_desc_t leaf;

    if (is_invalid(flags) || is_unsupported(setup, flags) || is_denied(flags)) {
        REQUIRE(
            (error == MAPPING_INVALID_PARAM && is_invalid(flags)) ||
            (error == MAPPING_UNSUPPORTED && !is_invalid(flags) && is_unsupported(setup, flags)) ||
            (error == MAPPING_DENIED && !is_invalid(flags) && is_denied(flags)));
        REQUIRE(attr.raw == 0x5555);
        return;
    }
    REQUIRE(error == MAPPING_OK);
    leaf = s2_desc_leaf(&setup->format, level, pa_of(pa), attr);
    REQUIRE(s2_attr_decode(&setup->format, attr) == flags);
    REQUIRE(s2_attr_decode(&setup->format, leaf) == flags);
    REQUIRE(s2_attr_decode(&setup->format, s2_desc_break(leaf)) == flags);
    REQUIRE(s2_desc_is_legal(&setup->format, leaf, level));
    check_meaning(setup, flags, leaf, pa);
    check_accesses(setup, flags, leaf);
}

/* Permissions, type, shareability, access flag, DBM and software bits: 15 bits of flags. */
TEST_EACH(encode_every_combination_means_what_it_says_or_is_refused, DESC_FORMATS)
{
    const struct desc_setup setup = desc_setup_number((unsigned)_i);

    for (mapping_flags_t number = 0; number < 32768; number++) {
        check_combination(&setup, (number & 0x7f) | (number & 0x7f80) << 1);
    }
}

/* And a cap leaves no trace. */
TEST_EACH(encode_unknown_flag_is_refused, DESC_FORMATS)
{
    static const mapping_flags_t caps[] = {S2_CAP_LEVEL1, S2_CAP_LEVEL2, S2_CAP_PAGES};
    const struct desc_setup setup = desc_setup_number((unsigned)_i);

    for (unsigned bit = 0; bit < 64; bit++) {
        const bool is_known = bit <= 18 && bit != 7;
        s2_desc_t attr = {0x5555};

        if (!is_known) {
            ck_assert_int_eq(s2_attr_encode(&setup.format, UINT64_C(1) << bit, &attr),
                             MAPPING_INVALID_PARAM);
            ck_assert_uint_eq(attr.raw, 0x5555);
        }
    }
    for (size_t i = 0; i < COUNT(caps); i++) {
        ck_assert_uint_eq(desc_attr_of(&setup, RWX | caps[i]).raw, desc_attr_of(&setup, RWX).raw);
    }
}

/* --- Decode of what no encode makes ----------------------------------------------------------- */

TEST(decode_reserved_encoding_reads_as_the_stricter_one)
{
    static const unsigned plain[] = {0x4, 0x6, 0x7, 0x8, 0x9, 0xb, 0xc, 0xd, 0xe};
    static const unsigned forced[] = {0x4, 0x8, 0x9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf};
    const struct desc_setup off = desc_setup_of(K4, 48, false, true, S2_HARDWARE_UPDATE_NONE);
    const struct desc_setup on = desc_setup_of(K4, 48, true, true, S2_HARDWARE_UPDATE_NONE);

    for (size_t i = 0; i < COUNT(plain); i++) {
        const s2_desc_t odd = {0x80000743 | (uint64_t)plain[i] << 2};
        const s2_desc_t even = {0x80000743 | (uint64_t)forced[i] << 2};

        ck_assert_uint_eq(s2_attr_decode(&off.format, odd) & S2_TYPE, S2_DEVICE_nGnRnE);
        ck_assert_uint_eq(s2_attr_decode(&on.format, even) & S2_TYPE, S2_DEVICE_nGnRnE);
        ck_assert(!s2_desc_is_legal(&off.format, odd, 3));
        ck_assert(!s2_desc_is_legal(&on.format, even, 3));
    }
    /* SH = 1 is reserved. */
    ck_assert_uint_eq(s2_attr_decode(&off.format, (s2_desc_t){0x8000057f}) & S2_SHAREABILITY,
                      S2_SH_INNER);
    ck_assert(!s2_desc_is_legal(&off.format, (s2_desc_t){0x8000057f}, 3));
}

TEST(flags_of_device_types_are_device)
{
    static const bool is_device[8] = {false, false, true, true, true, true, false, false};

    for (unsigned type = 0; type < 8; type++) {
        ck_assert(s2_flags_are_device((mapping_flags_t)type << 4 | ~(mapping_flags_t)0x70) ==
                  is_device[type]);
    }
}
