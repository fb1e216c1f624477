/*
 * test_tlbi.c - TLBI operands, and what a batch collects.
 */
#include "stage2/tlbi.h"
#include "tests/unit/suites.h"

#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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

START_TEST(ttl_names_granule_and_level_where_a_hint_exists)
{
    const struct ttl_case *c = &ttl_cases[_i];
    const struct s2_geometry geometry = geometry_of(c->granule, c->pa_bits);

    for (int level = -1; level <= 3; level++) {
        ck_assert_msg(s2_tlbi_ttl(&geometry, level) == c->ttl[level + 1], "level %d", level);
    }
    ck_assert_uint_eq(s2_tlbi_ttl(&geometry, ANY), 0);
    ck_assert_uint_eq(s2_tlbi_ttl(&geometry, 4), 0);
}
END_TEST

START_TEST(operand_is_ipa_over_4k_and_ttl)
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
END_TEST

/* --- Batches ---------------------------------------------------------------------------------- */

START_TEST(batch_of_nothing_is_empty_and_costs_nothing)
{
    const struct s2_geometry geometry = geometry_of(K4, 48);
    const struct s2_tlb_batch batch = {0};

    ck_assert(s2_tlb_batch_is_empty(&batch));
    ck_assert_uint_eq(s2_tlb_batch_cost(&geometry, &batch), 0);
}
END_TEST

/* Two ranges: one if the second goes on where the first ends, at the same level. */
static const struct merge_case {
    struct s2_tlb_range first, second;
    size_t count;
} merge_cases[] = {
    {{{{0x1000}, 0x1000}, 3}, {{{0x2000}, 0x3000}, 3}, 1},
    {{{{0x200000}, 0x200000}, 2}, {{{0x400000}, 0x200000}, 2}, 1},
    {{{{0x1000}, 0x1000}, ANY}, {{{0x2000}, 0x1000}, ANY}, 1},
    {{{{0x1000}, 0x1000}, 3}, {{{0x3000}, 0x1000}, 3}, 2},       /* a gap */
    {{{{0x1000}, 0x1000}, 3}, {{{0x1000}, 0x1000}, 3}, 2},       /* once more */
    {{{{0x2000}, 0x1000}, 3}, {{{0x1000}, 0x1000}, 3}, 2},       /* backwards */
    {{{{0x1ff000}, 0x1000}, 3}, {{{0x200000}, 0x200000}, 2}, 2}, /* another level */
    {{{{0x1000}, 0x1000}, 3}, {{{0x2000}, 0x1000}, ANY}, 2},
    {{{{0x1000}, 0x1000}, ANY}, {{{0x2000}, 0x1000}, 3}, 2},
};

START_TEST(add_neighbour_at_same_level_is_joined)
{
    const struct merge_case *c = &merge_cases[_i];
    struct s2_tlb_batch batch = {0};

    s2_tlb_batch_add(&batch, c->first.range, c->first.level);
    ck_assert(!s2_tlb_batch_is_empty(&batch));
    s2_tlb_batch_add(&batch, c->second.range, c->second.level);
    ck_assert_uint_eq(batch.count, c->count);
    ck_assert(!batch.is_whole);
    ck_assert_int_eq(batch.ranges[0].level, c->first.level);
    ck_assert(ipa_eq(batch.ranges[0].range.start, c->first.range.start));
    if (c->count == 1) {
        ck_assert_uint_eq(batch.ranges[0].range.size, c->first.range.size + c->second.range.size);
    } else {
        ck_assert_uint_eq(batch.ranges[0].range.size, c->first.range.size);
        ck_assert(ipa_range_eq(batch.ranges[1].range, c->second.range));
        ck_assert_int_eq(batch.ranges[1].level, c->second.level);
    }
}
END_TEST

START_TEST(add_more_than_fits_is_the_whole_vmid)
{
    const struct s2_geometry geometry = geometry_of(K4, 48);
    struct s2_tlb_batch batch = {0};

    for (uint64_t i = 0; i < S2_TLB_BATCH_RANGES; i++) {
        s2_tlb_batch_add(&batch, ipa_range(i * 0x2000, 0x1000), 3);
    }
    ck_assert_uint_eq(batch.count, S2_TLB_BATCH_RANGES);
    ck_assert(!batch.is_whole);
    ck_assert_uint_eq(s2_tlb_batch_cost(&geometry, &batch), S2_TLB_BATCH_RANGES);
    /* A full batch still takes what goes on at its end. */
    s2_tlb_batch_add(&batch, ipa_range((S2_TLB_BATCH_RANGES - 1) * 0x2000 + 0x1000, 0x1000), 3);
    ck_assert(!batch.is_whole);
    ck_assert_uint_eq(s2_tlb_batch_cost(&geometry, &batch), S2_TLB_BATCH_RANGES + 1);
    s2_tlb_batch_add(&batch, ipa_range(0x100000, 0x1000), 3);
    ck_assert(batch.is_whole && !s2_tlb_batch_is_empty(&batch));
    ck_assert_uint_eq(s2_tlb_batch_cost(&geometry, &batch), SIZE_MAX);
    /* And stays so. */
    s2_tlb_batch_add(&batch, ipa_range(0x200000, 0x1000), 3);
    ck_assert(batch.is_whole);
}
END_TEST

/* One TLBI a leaf; a page at a time where levels are mixed or a table went. */
static const struct cost_case {
    enum s2_granule granule;
    uint64_t size;
    int level;
    size_t cost;
} cost_cases[] = {
    {K4, 0x1000, 3, 1},
    {K4, 0x200000, 3, 512},
    {K4, 0x200000, 2, 1},
    {K4, 0x40000000, 2, 512},
    {K4, 0x40000000, 1, 1},
    {K4, 0x40000000, ANY, 0x40000},
    {K16, 0x4000, 3, 1},
    {K16, 0x2000000, 2, 1},
    {K16, 0x2000000, ANY, 2048},
    {K64, 0x10000, 3, 1},
    {K64, 0x20000000, 2, 1},
    {K64, 0x20000000, ANY, 8192},
    {K4, 0x1000000000000, ANY, (size_t)1 << 36},
};

START_TEST(cost_is_one_tlbi_a_leaf_or_page)
{
    const struct cost_case *c = &cost_cases[_i];
    const struct s2_geometry geometry = geometry_of(c->granule, 48);
    struct s2_tlb_batch batch = {0};

    s2_tlb_batch_add(&batch, ipa_range(0, c->size), c->level);
    ck_assert_uint_eq(s2_tlb_batch_cost(&geometry, &batch), c->cost);
    s2_tlb_batch_add(&batch, ipa_range(UINT64_C(4) << 46, UINT64_C(1) << c->granule), 3);
    ck_assert_uint_eq(s2_tlb_batch_cost(&geometry, &batch), c->cost + 1);
}
END_TEST

static const struct ipa_range bad_ranges[] = {IPA_RANGE_INIT(0x1000, 0),
                                              IPA_RANGE_INIT(UINT64_MAX - 0xfff, 0x2000)};

START_TEST(add_of_no_range_dies)
{
    struct s2_tlb_batch batch = {0};

    s2_tlb_batch_add(&batch, bad_ranges[_i], 3);
}
END_TEST

Suite *suite_tlbi(void)
{
    Suite *suite = suite_create("tlbi");
    TCase *operand = tcase_create("operand");
    TCase *batch = tcase_create("batch");

    tcase_add_loop_test(operand, ttl_names_granule_and_level_where_a_hint_exists, 0,
                        (int)COUNT(ttl_cases));
    tcase_add_test(operand, operand_is_ipa_over_4k_and_ttl);
    tcase_add_test(batch, batch_of_nothing_is_empty_and_costs_nothing);
    tcase_add_loop_test(batch, add_neighbour_at_same_level_is_joined, 0, (int)COUNT(merge_cases));
    tcase_add_test(batch, add_more_than_fits_is_the_whole_vmid);
    tcase_add_loop_test(batch, cost_is_one_tlbi_a_leaf_or_page, 0, (int)COUNT(cost_cases));
    tcase_add_loop_test_raise_signal(batch, add_of_no_range_dies, CONTRACT_DEATH, 0,
                                     (int)COUNT(bad_ranges));
    suite_add_tcase(suite, operand);
    suite_add_tcase(suite, batch);
    return suite;
}
