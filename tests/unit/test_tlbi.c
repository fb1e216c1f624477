/*
 * test_tlbi.c - TLBI operands, and the cover by ranges: every instruction is decoded by the
 * manual's formula and laid end to end.
 */
#include "stage2/tlb/tlbi.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "tlbi"

#define K4 S2_GRANULE_4K
#define K16 S2_GRANULE_16K
#define K64 S2_GRANULE_64K
#define ANY S2_TLB_LEVEL_ANY

static struct s2_geometry geometry_of(enum s2_granule granule, unsigned pa_bits)
{
    static const struct s2_features cpu = {.pa_bits = 52,
                                           .granule_4k = S2_GRANULE_52_BITS,
                                           .granule_16k = S2_GRANULE_52_BITS,
                                           .granule_64k = S2_GRANULE_52_BITS,
                                           .vmid_bits = 16,
                                           .dcache_line = 64};
    const struct s2_config config = {
        .cpu = &cpu, .granule = granule, .ipa_bits = 48, .pa_bits = pa_bits};
    struct s2_geometry geometry;

    ck_assert_int_eq(s2_geometry_init(&geometry, &config, NULL), MAPPING_OK);
    return geometry;
}

/* --- Operands --------------------------------------------------------------------------------- */

/* TG << 2 | level: TG 1, 2, 3 for 4K, 16K, 64K; by level -1..3. */
static const struct ttl_case {
    enum s2_granule granule;
    unsigned pa_bits;
    unsigned ttl[5];
} ttl_cases[] = {
    {K4, 48, {0, 0, 0x5, 0x6, 0x7}},  {K4, 52, {0, 0x4, 0x5, 0x6, 0x7}},
    {K16, 48, {0, 0, 0, 0xa, 0xb}},   {K16, 52, {0, 0, 0x9, 0xa, 0xb}},
    {K64, 48, {0, 0, 0xd, 0xe, 0xf}}, {K64, 52, {0, 0, 0xd, 0xe, 0xf}},
};

TEST_EACH(ttl_names_granule_and_level_where_a_hint_exists, COUNT(ttl_cases))
{
    const struct ttl_case *c = &ttl_cases[_i];
    const struct s2_geometry geometry = geometry_of(c->granule, c->pa_bits);

    for (int level = -1; level <= 3; level++) {
        ck_assert_msg(s2_tlbi_ttl(&geometry, level) == c->ttl[level + 1], "level %d", level);
    }
    ck_assert_uint_eq(s2_tlbi_ttl(&geometry, ANY), 0);
    ck_assert_uint_eq(s2_tlbi_ttl(&geometry, 4), 0);
}

TEST(operand_is_ipa_over_4k_and_ttl)
{
    static const struct {
        uint64_t ipa;
        unsigned ttl;
        uint64_t operand;
    } cases[] = {
        {0, 0, 0},
        {0x1000, 0, 1},
        {0x40000000, 0, 0x40000},
        {0x40000000, 7, 0x0000700000040000},
        {0x80200000, 6, 0x0000600000080200},
        {0x10000, 0xf, 0x0000f00000000010}, /* 64K: still in units of 4K */
        {0x4000, 0xb, 0x0000b00000000004},
        {0xfffffffff000, 5, 0x0000500fffffffff},
        {0xffffffffff000, 4, 0x000040ffffffffff},
        {0x8000000000000, 0, 0x0000008000000000},
        {0x40000fff, 0, 0x40000}, /* what lies below the page is not the operand's */
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ck_assert_uint_eq(s2_tlbi_by_ipa(ipa_of(cases[i].ipa), cases[i].ttl), cases[i].operand);
    }
}

/* --- Ranges ----------------------------------------------------------------------------------- */

/* All shapes that have a TG, and whether their bases count 64 KiB. */
static const struct shape {
    enum s2_granule granule;
    unsigned pa_bits;
    bool has_lpa2;
} shapes[] = {
    {K4, 48, false}, {K4, 52, true},   {K16, 48, false},
    {K16, 52, true}, {K64, 48, false}, {K64, 52, false},
};

#define UNIT UINT64_C(0x10000) /* bytes that a base counts under LPA2 */
#define FOUR_GIB (UINT64_C(1) << 32)

/* As ck_assert(), which notes every place that it passes: too slow for millions of times. */
#define REQUIRE(expr)                                \
    do {                                             \
        if (!(expr)) {                               \
            ck_abort_msg("%s does not hold", #expr); \
        }                                            \
    } while (false)

/* What an operand says, read as the manual writes it. */
struct said {
    uint64_t start, size;
    unsigned scale; /* 4: not by range */
    unsigned level; /* 0: any */
};

static struct said decode(const struct shape *shape, const struct s2_tlbi *tlbi)
{
    const unsigned tg = shape->granule == K4 ? 1 : shape->granule == K16 ? 2 : 3;
    const uint64_t x = tlbi->operand;
    struct said said;

    REQUIRE(x >> 48 == 0);
    if (!tlbi->is_range) {
        REQUIRE((x >> 40 & 0xf) == 0);
        REQUIRE(x >> 44 == 0 || x >> 46 == tg);
        return (struct said){(x & 0xffffffffff) << 12, UINT64_C(1) << shape->granule, 4,
                             (unsigned)(x >> 44) & 3};
    }
    REQUIRE(x >> 46 == tg);
    said.scale = (unsigned)(x >> 44) & 3;
    said.level = (unsigned)(x >> 37) & 3;
    said.start = (x & 0x1fffffffff) << (shape->has_lpa2 ? 16 : shape->granule);
    said.size = ((x >> 39 & 0x1f) + 1) << (5 * said.scale + 1) << shape->granule;
    return said;
}

/* Split all of @range, and see that it is covered from start to end without a gap, nothing twice,
 * by no instruction that emulators split short, and in no more of them than promised. */
static void check_cover(const struct shape *shape, const struct s2_geometry *geometry,
                        struct ipa_range range, unsigned ttl)
{
    const uint64_t lead = shape->has_lpa2 ? (UNIT >> shape->granule) - 1 : 0;
    const uint64_t end = range.start.raw + range.size;
    struct ipa_range left = range;
    uint64_t at = range.start.raw;
    uint64_t count = 0;
    unsigned scale = 3;

    while (left.size != 0) {
        const struct s2_tlbi tlbi = s2_tlbi_next(geometry, &left, ttl);
        const struct said said = decode(shape, &tlbi);

        REQUIRE(said.start == at);
        REQUIRE(tlbi.covers.start.raw == at && tlbi.covers.size == said.size);
        REQUIRE(said.level == (ttl & 3));
        REQUIRE(said.size < FOUR_GIB);
        REQUIRE(!tlbi.is_range || said.scale <= scale);
        scale = tlbi.is_range ? said.scale : scale;
        at += said.size;
        count++;
        REQUIRE(at <= end && left.size == end - at);
    }
    REQUIRE(at == end);
    REQUIRE(count == s2_tlbi_count(geometry, range));
    REQUIRE(count <= 5 + lead + range.size / S2_TLBI_SIZE_MAX);
}

TEST_EACH(split_every_length_is_covered_exactly, COUNT(shapes))
{
    const struct shape *shape = &shapes[_i];
    const struct s2_geometry geometry = geometry_of(shape->granule, shape->pa_bits);
    const uint64_t granule = UINT64_C(1) << shape->granule;

    ck_assert(geometry.has_lpa2 == shape->has_lpa2);
    /* From every place in two units on, and right below the top. */
    for (uint64_t length = 1; length <= 4096; length++) {
        for (uint64_t place = 0; place < 2 * UNIT; place += granule) {
            check_cover(shape, &geometry, ipa_range(0x40000000 + place, length * granule), 0);
        }
        check_cover(shape, &geometry,
                    ipa_range(MAPPING_BIT(48) - length * granule, length * granule), 0);
    }
}

TEST_EACH(split_extreme_lengths_are_covered_exactly, COUNT(shapes))
{
    const struct shape *shape = &shapes[_i];
    const struct s2_geometry geometry = geometry_of(shape->granule, shape->pa_bits);
    const unsigned bits = shape->pa_bits;

    for (unsigned k = 12; k <= bits - shape->granule; k++) {
        for (int more = -3; more <= 3; more++) {
            const uint64_t size = (MAPPING_BIT(k) + (uint64_t)(int64_t)more) << shape->granule;

            if (size <= MAPPING_BIT(bits)) {
                check_cover(shape, &geometry, ipa_range(0, size), 0);
                check_cover(shape, &geometry, ipa_range(MAPPING_BIT(bits) - size, size), 0);
            }
        }
    }
    /* Chunks of full length, and all that may be left after them. */
    for (uint64_t more = 0; more < 4096; more += 61) {
        const uint64_t rest = (more * 513 << shape->granule) % S2_TLBI_SIZE_MAX;

        check_cover(shape, &geometry, ipa_range(0, 3 * S2_TLBI_SIZE_MAX + rest), 0);
    }
}

TEST(split_of_leaves_hints_at_their_level)
{
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const struct shape *shape = &shapes[i];
        const struct s2_geometry geometry = geometry_of(shape->granule, shape->pa_bits);

        for (int level = 0; level <= 3; level++) {
            const uint64_t size = s2_level_size(&geometry, level);

            if (size <= MAPPING_BIT(46)) {
                check_cover(shape, &geometry, ipa_range(size, 3 * size),
                            s2_tlbi_ttl(&geometry, level));
            }
        }
    }
}

static const struct operand_case {
    struct shape shape;
    uint64_t start, granules;
    unsigned ttl;
    bool is_range;
    uint64_t operand;
    uint64_t covered; /* granules */
} operand_cases[] = {
    {{K4, 48, false}, 0x1000, 1, 0, false, 0x1, 1},
    {{K4, 48, false}, 0x1000, 1, 7, false, 0x700000000001, 1},
    {{K4, 48, false}, 0x1000, 2, 0, true, 0x400000000001, 2},
    {{K4, 48, false}, 0x1000, 3, 0, true, 0x400000000001, 2},
    {{K4, 48, false}, 0x1000, 63, 0, true, 0x4f0000000001, 62},
    {{K4, 48, false}, 0x1000, 64, 0, true, 0x500000000001, 64},
    {{K4, 48, false}, 0x40000000, 0x40000, 0, true, 0x718000040000, 0x40000},
    {{K4, 48, false}, 0x40000000, 0x40000, 7, true, 0x71e000040000, 0x40000},
    {{K4, 48, false}, 0x40000000, 0x40000, 6, true, 0x71c000040000, 0x40000},
    /* 2 GiB: SCALE 3, NUM 7. Of 4 GiB, 8 GiB and more the first piece is that too. */
    {{K4, 48, false}, 0, 0x80000, 0, true, 0x738000000000, 0x80000},
    {{K4, 48, false}, 0, 0x100000, 0, true, 0x738000000000, 0x80000},
    {{K4, 48, false}, 0, 0x200000, 0, true, 0x738000000000, 0x80000},
    {{K4, 48, false}, 0, 0x1000000000, 0, true, 0x738000000000, 0x80000},
    {{K4, 48, false}, 0, 0x7ffff, 0, true, 0x730000000000, 0x70000},
    /* 16K: SCALE 3, NUM 1. 64K: SCALE 2, NUM 15, as one of SCALE 3 is 4 GiB. */
    {{K16, 48, false}, 0, 0x40000, 0, true, 0xb08000000000, 0x20000},
    {{K64, 48, false}, 0, 0x10000, 0, true, 0xe78000000000, 0x8000},
    {{K16, 48, false}, 0x4000, 2, 0xb, true, 0x806000000001, 2},
    {{K64, 48, false}, 0x10000, 2, 0xf, true, 0xc06000000001, 2},
    {{K4, 52, true}, 0x1000, 64, 0, false, 0x1, 1}, /* not where a base can be */
    {{K4, 52, true}, 0x10000, 2, 0, true, 0x400000000001, 2},
    {{K4, 52, true}, 0x40000000, 0x40000, 4, true, 0x718000004000, 0x40000}, /* level 0: none */
    {{K16, 52, true}, 0x40000000, 2, 9, true, 0x802000004000, 2},
};

TEST_EACH(split_gives_the_literal_operand, COUNT(operand_cases))
{
    const struct operand_case *c = &operand_cases[_i];
    const struct s2_geometry geometry = geometry_of(c->shape.granule, c->shape.pa_bits);
    struct ipa_range left = ipa_range(c->start, c->granules << c->shape.granule);
    const struct s2_tlbi tlbi = s2_tlbi_next(&geometry, &left, c->ttl);

    ck_assert(tlbi.is_range == c->is_range);
    ck_assert_uint_eq(tlbi.operand, c->operand);
    ck_assert_uint_eq(tlbi.covers.size >> c->shape.granule, c->covered);
    ck_assert_uint_eq(left.size >> c->shape.granule, c->granules - c->covered);
}

static const struct ipa_range uncut[] = {IPA_RANGE_INIT(0x1000, 0), IPA_RANGE_INIT(0x1000, 0x1800),
                                         IPA_RANGE_INIT(0x1800, 0x1000)};

TEST_EACH_DIES(split_of_no_granules_dies, COUNT(uncut))
{
    const struct s2_geometry geometry = geometry_of(K4, 48);
    struct ipa_range left = uncut[_i];

    s2_tlbi_next(&geometry, &left, 0);
}
