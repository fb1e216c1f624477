/*
 * test_features.c - ID registers of real parts, every encoding of every field, and what two parts
 * have in common.
 */
#include "stage2/arch/features.h"
#include "tests/model/random.h"
#include "tests/sim/mmu.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "features"

#define ABSENT S2_GRANULE_ABSENT
#define TO_48 S2_GRANULE_48_BITS
#define TO_52 S2_GRANULE_52_BITS

/* All fields of which less is less. */
#define ABILITIES(X)    \
    X(pa_bits)          \
    X(granule_4k)       \
    X(granule_16k)      \
    X(granule_64k)      \
    X(vmid_bits)        \
    X(hafdbs)           \
    X(bbm)              \
    X(tlb)              \
    X(has_xnx)          \
    X(has_fwb)          \
    X(has_ttl)          \
    X(has_cnp)          \
    X(has_small_tables) \
    X(has_lse) X(has_xs) X(has_dic) X(has_idc) X(has_conflict_free_sizes) X(dcache_line)

/* Every field by itself, so that a failure names it. (An assertion of libcheck tells the parent
 * process where it stands each time, too slow for loops: here it speaks only when it must.) */
static void check_features(const char *name, const struct s2_features *a,
                           const struct s2_features *b)
{
#define CHECK_FIELD(field)                                                     \
    if (a->field != b->field) {                                                \
        ck_abort_msg("%s: %s is %u, not %u", name, #field, (unsigned)a->field, \
                     (unsigned)b->field);                                      \
    }
    ABILITIES(CHECK_FIELD)
    CHECK_FIELD(has_vhe)
    CHECK_FIELD(errata)
#undef CHECK_FIELD
}

/* --- Parts ------------------------------------------------------------------------------------ */

#define TO_48_BITS .granule_4k = TO_48, .granule_64k = TO_48
#define ARMV8_2 .has_xnx = true, .has_cnp = true, .has_vhe = true, .has_lse = true

/* The registers as these CPU models of QEMU 7.2 show them at EL2: MMFR0 to MMFR2, ISAR0, ISAR1,
 * CTR, MIDR. */
static const struct part {
    const char *name;
    struct s2_id_regs regs;
    struct s2_features features;
} parts[] = {
#define PART(name, mmfr0, mmfr1, mmfr2, isar0, isar1, ctr, midr, ...) \
    {                                                                 \
        name, {mmfr0, mmfr1, mmfr2, isar0, isar1, ctr, midr},         \
        {                                                             \
            __VA_ARGS__                                               \
        }                                                             \
    }
    PART("cortex-a53", 0x1122, 0, 0, 0x11120, 0, 0x84448004, 0x410fd034, .pa_bits = 40, TO_48_BITS,
         .vmid_bits = 8, .errata = S2_ERRATUM_SPECULATIVE_AT, .dcache_line = 64),
    PART("cortex-a57", 0x1124, 0, 0, 0x11120, 0, 0x8444c004, 0x411fd070, .pa_bits = 44, TO_48_BITS,
         .vmid_bits = 8, .errata = S2_ERRATUM_SPECULATIVE_AT, .dcache_line = 64),
    PART("cortex-a72", 0x1124, 0, 0, 0x11120, 0, 0x8444c004, 0x410fd083, .pa_bits = 44, TO_48_BITS,
         .vmid_bits = 8, .errata = S2_ERRATUM_SPECULATIVE_AT, .dcache_line = 64),
    PART("cortex-a76", 0x101122, 0x10212122, 0x1011, 0x0000100010211120, 0x100001, 0x8444c004,
         0x414fd0b1, .pa_bits = 40, TO_48_BITS, .granule_16k = TO_48, .vmid_bits = 16, .hafdbs = 2,
         ARMV8_2, .errata = S2_ERRATUM_REPEAT_TLBI, .dcache_line = 64),
    PART("neoverse-n1", 0x101125, 0x10212122, 0x1011, 0x0000100010211120, 0x100001, 0x8444c004,
         0x414fd0c1, .pa_bits = 48, TO_48_BITS, .granule_16k = TO_48, .vmid_bits = 16, .hafdbs = 2,
         ARMV8_2, .errata = S2_ERRATUM_REPEAT_TLBI, .dcache_line = 64),
    PART("a64fx", 0x1122, 0x11212100, 0x1011, 0x10211120, 0x10001, 0x86668006, 0x461f0010,
         .pa_bits = 40, TO_48_BITS, .vmid_bits = 8, ARMV8_2, .dcache_line = 256),
    PART("max", 0x0000032310201126, 0x0000011010211122, 0x1021011010011011, 0x1221111110212120,
         0x0011111101211012, 0x8444c004, 0x000f0510, .pa_bits = 52, .granule_4k = TO_52,
         .granule_16k = TO_52, .granule_64k = TO_52, .vmid_bits = 16, .hafdbs = 2, .bbm = 2,
         .tlb = 2, .has_fwb = true, .has_ttl = true, .has_small_tables = true, ARMV8_2,
         .dcache_line = 64),
#undef PART
};

TEST_EACH(decode_known_part_gives_its_manual, COUNT(parts))
{
    const struct part *part = &parts[_i];
    const struct s2_features features = s2_features_decode(&part->regs);

    check_features(part->name, &features, &part->features);
}

/* --- Fields ----------------------------------------------------------------------------------- */

/* A part whose every field is 0. */
static const struct s2_features BARE = {
    .pa_bits = 32, .granule_4k = TO_48, .granule_64k = TO_48, .vmid_bits = 8, .dcache_line = 4};

TEST(decode_zero_registers_gives_the_least_part)
{
    const struct s2_features features = s2_features_decode(&(struct s2_id_regs){0});

    check_features("zero", &features, &BARE);
}

/* The PA size by PARange; what a later architecture adds is no less than the last that is known. */
TEST_EACH(decode_parange_gives_the_pa_size, 16)
{
    static const unsigned bits[16] = {32, 36, 40, 42, 44, 48, 52, 52,
                                      52, 52, 52, 52, 52, 52, 52, 52};
    const struct s2_id_regs regs = {.mmfr0 = (uint64_t)_i};
    const struct s2_features features = s2_features_decode(&regs);
    struct s2_features expected = BARE;

    expected.pa_bits = bits[_i];
    expected.granule_64k = bits[_i] == 52 ? TO_52 : TO_48; /* FEAT_LPA is PARange alone */
    check_features("PARange", &features, &expected);
}

/* What stage 1's field says, by its 16 values: TGran4 and TGran64 are signed, TGran16 is not. */
static const enum s2_granule_support tgran4[16] = {TO_48,  TO_52,  TO_52,  TO_52,  TO_52,  TO_52,
                                                   TO_52,  TO_52,  ABSENT, ABSENT, ABSENT, ABSENT,
                                                   ABSENT, ABSENT, ABSENT, ABSENT};
static const enum s2_granule_support tgran16[16] = {ABSENT, TO_48, TO_52, TO_52, TO_52, TO_52,
                                                    TO_52,  TO_52, TO_52, TO_52, TO_52, TO_52,
                                                    TO_52,  TO_52, TO_52, TO_52};
static const enum s2_granule_support tgran64[16] = {TO_48,  TO_48,  TO_48,  TO_48,  TO_48,  TO_48,
                                                    TO_48,  TO_48,  ABSENT, ABSENT, ABSENT, ABSENT,
                                                    ABSENT, ABSENT, ABSENT, ABSENT};

/* And stage 2's own: 0 is stage 1's answer, 1 absent, 2 present, 3 and later with 52 bits. */
static enum s2_granule_support expect_stage2(unsigned tgran_2, enum s2_granule_support stage1)
{
    static const enum s2_granule_support own[4] = {ABSENT, ABSENT, TO_48, TO_52};

    return tgran_2 == 0 ? stage1 : own[tgran_2 < 3 ? tgran_2 : 3];
}

TEST_EACH(decode_every_granule_field_pair_gives_its_support, 16)
{
    const uint64_t first = (uint64_t)_i;

    for (unsigned own = 0; own < 16; own++) {
        const struct s2_id_regs regs[3] = {{.mmfr0 = first << 28 | (uint64_t)own << 40},
                                           {.mmfr0 = first << 20 | (uint64_t)own << 32},
                                           {.mmfr0 = first << 24 | (uint64_t)own << 36}};
        struct s2_features expected[3] = {BARE, BARE, BARE};

        expected[0].granule_4k = expect_stage2(own, tgran4[_i]);
        expected[1].granule_16k = expect_stage2(own, tgran16[_i]);
        /* 64K: present or not; how wide is PARange's. */
        expected[2].granule_64k = expect_stage2(own, tgran64[_i]) == ABSENT ? ABSENT : TO_48;
        for (size_t i = 0; i < 3; i++) {
            const struct s2_features features = s2_features_decode(&regs[i]);

            check_features("granule", &features, &expected[i]);
        }
    }
}

TEST(decode_64k_granule_of_52_bit_part_has_52_bits)
{
    static const struct {
        uint64_t mmfr0;
        enum s2_granule_support support;
    } cases[] = {
        {0x0000000000000006, TO_52}, {0x000000000f000006, ABSENT}, {0x0000001000000006, ABSENT},
        {0x000000200f000006, TO_52}, {0x000000300f000006, TO_52},  {0x000000200f000005, TO_48},
        {0x0000002000000007, TO_52},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct s2_id_regs regs = {.mmfr0 = cases[i].mmfr0};
        const struct s2_features features = s2_features_decode(&regs);

        ck_assert_msg(features.granule_64k == cases[i].support, "case %zu", i);
    }
}

/* Each other field alone, through its 16 values: it says what it should, and nothing else moves. */
enum field_kind { FLAG, FLAG_FROM_2, UP_TO_2, BBM_LEVEL, VMID };

static const struct field_case {
    const char *name;
    size_t reg;   /* offset in struct s2_id_regs */
    unsigned lsb; /* of the four bits */
    enum field_kind kind;
    size_t feature; /* offset in struct s2_features */
} field_cases[] = {
#define FIELD_CASE(name, reg, lsb, kind, feature)                                                \
    {                                                                                            \
        name, offsetof(struct s2_id_regs, reg), lsb, kind, offsetof(struct s2_features, feature) \
    }
    FIELD_CASE("HAFDBS", mmfr1, 0, UP_TO_2, hafdbs),
    FIELD_CASE("VMIDBits", mmfr1, 4, VMID, vmid_bits),
    FIELD_CASE("VH", mmfr1, 8, FLAG, has_vhe),
    FIELD_CASE("XNX", mmfr1, 28, FLAG, has_xnx),
    FIELD_CASE("CnP", mmfr2, 0, FLAG, has_cnp),
    FIELD_CASE("ST", mmfr2, 28, FLAG, has_small_tables),
    FIELD_CASE("FWB", mmfr2, 40, FLAG, has_fwb),
    FIELD_CASE("TTL", mmfr2, 48, FLAG, has_ttl),
    FIELD_CASE("BBM", mmfr2, 52, BBM_LEVEL, bbm),
    FIELD_CASE("Atomic", isar0, 20, FLAG_FROM_2, has_lse),
    FIELD_CASE("TLB", isar0, 56, UP_TO_2, tlb),
    FIELD_CASE("XS", isar1, 56, FLAG, has_xs),
#undef FIELD_CASE
};

static struct s2_features expect_field(const struct field_case *c, unsigned value)
{
    struct s2_features expected = BARE;
    void *feature = (char *)&expected + c->feature;

    switch (c->kind) {
    case FLAG:
        *(bool *)feature = value != 0;
        break;
    case FLAG_FROM_2:
        *(bool *)feature = value >= 2;
        break;
    case UP_TO_2:
        *(unsigned *)feature = value < 2 ? value : 2;
        break;
    case BBM_LEVEL:
        expected.bbm = value < 2 ? value : 2;
        expected.has_conflict_free_sizes = value > 2;
        break;
    case VMID:
        *(unsigned *)feature = value < 2 ? 8 : 16;
        break;
    }
    return expected;
}

TEST_EACH(decode_each_field_alone_gives_its_feature_alone, COUNT(field_cases))
{
    const struct field_case *c = &field_cases[_i];

    for (unsigned value = 0; value < 16; value++) {
        struct s2_id_regs regs = {0};
        const struct s2_features expected = expect_field(c, value);
        struct s2_features features;

        *(uint64_t *)(void *)((char *)&regs + c->reg) = (uint64_t)value << c->lsb;
        features = s2_features_decode(&regs);
        check_features(c->name, &features, &expected);
    }
}

TEST(decode_cache_type_gives_line_and_coherency)
{
    static const unsigned lines[16] = {4,    8,    16,   32,   64,    128,   256,   512,
                                       1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072};

    for (unsigned value = 0; value < 16; value++) {
        const struct s2_id_regs regs = {.ctr = (uint64_t)value << 16};
        const struct s2_features features = s2_features_decode(&regs);
        struct s2_features expected = BARE;

        expected.dcache_line = lines[value];
        check_features("DminLine", &features, &expected);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        const struct s2_id_regs regs = {.ctr = UINT64_C(1) << bit};
        const struct s2_features features = s2_features_decode(&regs);

        ck_assert_msg(features.has_idc == (bit == 28), "IDC, bit %u", bit);
        ck_assert_msg(features.has_dic == (bit == 29), "DIC, bit %u", bit);
    }
}

/* The rest is stage2/arch/errata.h's. */
TEST(decode_midr_tells_the_errata)
{
    const struct s2_id_regs x4 = {.midr = 0x410fd823};
    const struct s2_id_regs unknown = {.midr = 0x000f0510};

    ck_assert_uint_eq(s2_features_decode(&x4).errata, S2_ERRATUM_REPEAT_TLBI);
    ck_assert(s2_features_decode(&x4).has_conflict_free_sizes);
    ck_assert_uint_eq(s2_features_decode(&unknown).errata, 0);
    ck_assert(!s2_features_decode(&unknown).has_conflict_free_sizes);
}

/* The software MMU reads the registers by itself. Its granules know no future values. */
TEST(decode_any_registers_agrees_with_the_software_mmu)
{
    struct random random = {.state = 11};

    for (int i = 0; i < 20000; i++) {
        const uint64_t own = random_next(&random) & UINT64_C(0x0000033300000000);
        struct s2_id_regs regs = {.mmfr0 = own | (random_next(&random) & 0xf0f)};
        struct mmu_cpu cpu;
        struct s2_features features;

        regs.mmfr0 |= random_below(&random, 3) << 20;
        regs.mmfr0 |= (random_once_in(&random, 2) ? UINT64_C(0xf) : 0) << 24;
        regs.mmfr0 |= (random_once_in(&random, 2) ? UINT64_C(0xf) : 1) << 28;
        regs.mmfr1 = random_next(&random) & ~UINT64_C(0xf0);
        regs.mmfr1 |= random_below(&random, 2) << 5;
        regs.mmfr2 = random_next(&random);
        cpu = mmu_cpu_decode(regs.mmfr0, regs.mmfr1, regs.mmfr2);
        features = s2_features_decode(&regs);
        if (features.pa_bits != cpu.pa_bits || (features.granule_4k != ABSENT) != cpu.has_4k ||
            (features.granule_16k != ABSENT) != cpu.has_16k ||
            (features.granule_64k != ABSENT) != cpu.has_64k ||
            (features.granule_4k == TO_52) != cpu.lpa2_4k ||
            (features.granule_16k == TO_52) != cpu.lpa2_16k ||
            features.has_small_tables != cpu.ttst || features.has_xnx != cpu.xnx ||
            features.has_fwb != cpu.fwb || (features.vmid_bits == 16) != cpu.vmid16 ||
            features.hafdbs != cpu.hafdbs || features.bbm != cpu.bbm) {
            ck_abort_msg("MMFR0 %llx, MMFR1 %llx, MMFR2 %llx", (unsigned long long)regs.mmfr0,
                         (unsigned long long)regs.mmfr1, (unsigned long long)regs.mmfr2);
        }
    }
}

TEST(granule_of_each_size_is_that_sizes_field)
{
    const struct s2_features cpu = {
        .granule_4k = TO_48, .granule_16k = ABSENT, .granule_64k = TO_52};

    ck_assert_int_eq(s2_features_granule(&cpu, S2_GRANULE_4K), TO_48);
    ck_assert_int_eq(s2_features_granule(&cpu, S2_GRANULE_16K), ABSENT);
    ck_assert_int_eq(s2_features_granule(&cpu, S2_GRANULE_64K), TO_52);
    ck_assert_int_eq(s2_features_granule(&cpu, (enum s2_granule)13), ABSENT);
}

/* --- Meet ------------------------------------------------------------------------------------- */

/* Indices in parts[]. A workaround of either is the machine's. */
static const struct {
    size_t a, b;
    struct s2_features meet;
} meet_cases[] = {
#define MEET(a, b, ...)                                \
    {                                                  \
        a, b,                                          \
        {                                              \
            TO_48_BITS, .dcache_line = 64, __VA_ARGS__ \
        }                                              \
    }
    MEET(0, 1, .pa_bits = 40, .vmid_bits = 8, .errata = S2_ERRATUM_SPECULATIVE_AT),
    MEET(6, 4, .pa_bits = 48, .granule_16k = TO_48, .vmid_bits = 16, .hafdbs = 2, ARMV8_2,
         .errata = S2_ERRATUM_REPEAT_TLBI),
    MEET(6, 0, .pa_bits = 40, .vmid_bits = 8, .has_vhe = true, .errata = S2_ERRATUM_SPECULATIVE_AT),
    MEET(1, 3, .pa_bits = 40, .vmid_bits = 8, .has_vhe = true,
         .errata = S2_ERRATUM_SPECULATIVE_AT | S2_ERRATUM_REPEAT_TLBI),
    MEET(3, 5, .pa_bits = 40, .vmid_bits = 8, ARMV8_2, .errata = S2_ERRATUM_REPEAT_TLBI),
#undef MEET
};

TEST_EACH(meet_unlike_parts_gives_what_both_can, COUNT(meet_cases))
{
    const struct part *a = &parts[meet_cases[_i].a], *b = &parts[meet_cases[_i].b];
    const struct s2_features one = s2_features_meet(&a->features, &b->features);
    const struct s2_features other = s2_features_meet(&b->features, &a->features);

    check_features(a->name, &one, &meet_cases[_i].meet);
    check_features(b->name, &other, &meet_cases[_i].meet);
}

/* @meet claims no more than @a, and is no less than one of the two. */
static void check_meet(const struct s2_features *meet, const struct s2_features *a,
                       const struct s2_features *b)
{
#define CHECK_EITHER(field, is_in_order)                                          \
    if (!(is_in_order) || (meet->field != a->field && meet->field != b->field)) { \
        ck_abort_msg("%s", #field);                                               \
    }
#define CHECK_LEAST(field) CHECK_EITHER(field, meet->field <= a->field)
    ABILITIES(CHECK_LEAST)
    CHECK_EITHER(has_vhe, meet->has_vhe >= a->has_vhe) /* a burden */
    if (meet->errata != (a->errata | b->errata)) {
        ck_abort_msg("errata %x", meet->errata);
    }
#undef CHECK_LEAST
#undef CHECK_EITHER
}

/* A field of four bits is zero now and then. */
static uint64_t random_sparse(struct random *random)
{
    const uint64_t mask = random_next(random);

    return mask & random_next(random);
}

static struct s2_id_regs random_regs(struct random *random)
{
    static const uint64_t midrs[] = {0x411fd070, 0x410fd034, 0x410fd090, 0x410fd463,
                                     0x410fd823, 0x410fd4d0, 0xc00fac40, 0x4e0f0040};

    return (struct s2_id_regs){.mmfr0 = random_next(random),
                               .mmfr1 = random_next(random),
                               .mmfr2 = random_sparse(random),
                               .isar0 = random_sparse(random),
                               .isar1 = random_sparse(random),
                               .ctr = random_next(random),
                               .midr = midrs[random_below(random, COUNT(midrs))]};
}

TEST(meet_any_parts_is_their_greatest_lower_bound)
{
    struct random random = {.state = 12};

    for (int i = 0; i < 5000; i++) {
        const struct s2_id_regs regs[2] = {random_regs(&random), random_regs(&random)};
        const struct s2_features a = s2_features_decode(&regs[0]);
        const struct s2_features b = s2_features_decode(&regs[1]);
        const struct s2_features meet = s2_features_meet(&a, &b);
        const struct s2_features other = s2_features_meet(&b, &a);
        const struct s2_features again = s2_features_meet(&meet, &a);
        const struct s2_features itself = s2_features_meet(&a, &a);

        check_meet(&meet, &a, &b);
        check_meet(&meet, &b, &a);
        check_features("order", &meet, &other);
        check_features("absorbs", &meet, &again);
        check_features("itself", &itself, &a);
    }
}
