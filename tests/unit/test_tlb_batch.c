/*
 * test_tlb_batch.c - what a batch collects, and the plan by which it is sent.
 */
#include "stage2/tlb/tlb_batch.h"
#include "stage2/tlb/tlbi.h"
#include "tests/model/random.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "tlb_batch"

#define K4 S2_GRANULE_4K
#define K16 S2_GRANULE_16K
#define K64 S2_GRANULE_64K
#define ANY S2_TLB_LEVEL_ANY

static const struct s2_features PART = {.pa_bits = 52,
                                        .granule_4k = S2_GRANULE_52_BITS,
                                        .granule_16k = S2_GRANULE_52_BITS,
                                        .granule_64k = S2_GRANULE_52_BITS,
                                        .vmid_bits = 16,
                                        .tlb = 2,
                                        .has_fwb = true,
                                        .has_ttl = true,
                                        .has_xs = true,
                                        .dcache_line = 64};

static struct s2_geometry geometry_of(const struct s2_config *config)
{
    struct s2_geometry geometry;

    ck_assert_int_eq(s2_geometry_init(&geometry, config, NULL), MAPPING_OK);
    return geometry;
}

static struct s2_geometry geometry_of_granule(enum s2_granule granule)
{
    const struct s2_config config = {.cpu = &PART, .granule = granule, .ipa_bits = 48};

    return geometry_of(&config);
}

/* --- Rules ------------------------------------------------------------------------------------ */

/* Rules, and what a CPU may lack of those that PART has. */
enum {
    TTL = 1 << 0,
    RANGES = 1 << 1,
    XS = 1 << 2,
    FWB = 1 << 3, /* only to be lacked */
    VHE = 1 << 4,
    AT = 1 << 5,
    HCR = 1 << 6,
    TWICE = 1 << 7,
    LOCAL = 1 << 8,
    ALL = TTL | RANGES | XS
};

static unsigned rules_of(const struct s2_config *config)
{
    const struct s2_geometry geometry = geometry_of(config);
    const struct s2_tlb_rules rules = s2_tlb_rules_of(&geometry, config);

    return (rules.has_ttl ? TTL : 0U) | (rules.has_ranges ? RANGES : 0U) |
           (rules.has_xs ? XS : 0U) | (rules.has_vhe ? VHE : 0U) |
           (rules.has_speculative_at ? AT : 0U) | (rules.has_hcr_write ? HCR : 0U) |
           (rules.is_repeated ? TWICE : 0U) | (rules.is_local ? LOCAL : 0U);
}

/* Only what is write-back by force is known to have XS = 0; a walk that goes past the caches is
 * itself an access that a nXS form does not wait for. Errata are worked around unless the embedder
 * says otherwise, either way. */
static const struct rules_case {
    const char *name;
    unsigned lacks;
    uint32_t errata;
    unsigned expected;
    struct s2_config config;
} rules_cases[] = {
#define RULES(name, lacks, errata, expected, ...)      \
    {                                                  \
        name, lacks, errata, expected,                 \
        {                                              \
            .granule = K4, .ipa_bits = 48, __VA_ARGS__ \
        }                                              \
    }
    RULES("all there is", 0, 0, ALL, .cpu = NULL),
    RULES("no TTL", TTL, 0, RANGES | XS, .cpu = NULL),
    RULES("TLB level 1", RANGES, 0, TTL | XS, .cpu = NULL),
    RULES("TLB level 1, asked for ranges", RANGES, 0, TTL | XS, .tlb_ranges = S2_TLB_RANGES_ON),
    RULES("no XS", XS, 0, TTL | RANGES, .cpu = NULL),
    RULES("no FWB", FWB, 0, TTL | RANGES, .cpu = NULL),
    RULES("FWB off", 0, 0, TTL | RANGES, .force_write_back = S2_FWB_OFF),
    RULES("walks past caches", 0, 0, TTL | RANGES, .walker = S2_WALKER_NON_COHERENT),
    RULES("LPA2 off, ranges off", 0, 0, TTL | XS, .tlb_ranges = S2_TLB_RANGES_OFF),
    RULES("LPA2 off, ranges on", 0, 0, ALL, .tlb_ranges = S2_TLB_RANGES_ON),
    RULES("LPA2", 0, 0, TTL | XS, .lpa2 = S2_LPA2_ON),
    RULES("LPA2, ranges off", 0, 0, TTL | XS, .lpa2 = S2_LPA2_ON, .tlb_ranges = S2_TLB_RANGES_OFF),
    RULES("LPA2, ranges on", 0, 0, ALL, .lpa2 = S2_LPA2_ON, .tlb_ranges = S2_TLB_RANGES_ON),
    RULES("here", 0, 0, ALL | LOCAL, .relax = S2_RELAX_HERE, .tlbi_repeat = S2_TLBI_ONCE),
    RULES("twice", 0, 0, ALL | TWICE, .tlbi_repeat = S2_TLBI_TWICE),
    RULES("AT", 0, 0, ALL | AT, .speculative_at = S2_WORKAROUND_ON),
    RULES("HCR", 0, 0, ALL | HCR, .hcr_write = S2_WORKAROUND_ON),
    RULES("errata", 0, UINT32_MAX, ALL | TWICE | AT | HCR, .cpu = NULL),
    RULES("errata, once", 0, UINT32_MAX, ALL | AT | HCR, .tlbi_repeat = S2_TLBI_ONCE),
    RULES("errata, no AT", 0, UINT32_MAX, ALL | TWICE | HCR, .speculative_at = S2_WORKAROUND_OFF),
    RULES("errata, no HCR", 0, UINT32_MAX, ALL | TWICE | AT, .hcr_write = S2_WORKAROUND_OFF),
#undef RULES
};

/* On a CPU with VHE, and on one without. */
TEST_EACH(rules_follow_cpu_and_config, COUNT(rules_cases))
{
    const struct rules_case *c = &rules_cases[_i];

    for (unsigned vhe = 0; vhe <= VHE; vhe += VHE) {
        struct s2_config config = c->config;
        struct s2_features cpu = PART;

        cpu.has_ttl = (c->lacks & TTL) == 0;
        cpu.tlb = (c->lacks & RANGES) == 0 ? 2 : 1;
        cpu.has_xs = (c->lacks & XS) == 0;
        cpu.has_fwb = (c->lacks & FWB) == 0;
        cpu.has_vhe = vhe != 0;
        cpu.errata = c->errata;
        config.cpu = &cpu;
        ck_assert_msg(rules_of(&config) == (c->expected | vhe), "%s: rules 0x%x", c->name,
                      rules_of(&config));
    }
}

TEST(rules_take_each_erratum_for_itself_alone)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        struct s2_features cpu = PART;
        const struct s2_config config = {.cpu = &cpu, .granule = K4, .ipa_bits = 48};

        cpu.errata = 1U << bit;
        ck_assert_uint_eq(rules_of(&config),
                          ALL | (cpu.errata == S2_ERRATUM_REPEAT_TLBI ? TWICE : 0U) |
                              (cpu.errata == S2_ERRATUM_SPECULATIVE_AT ? AT : 0U) |
                              (cpu.errata == S2_ERRATUM_HCR_WRITE ? HCR : 0U));
    }
}

/* --- Batches ---------------------------------------------------------------------------------- */

static void add(struct s2_tlb_batch *batch, uint64_t start, uint64_t size, int level)
{
    s2_tlb_batch_add(batch, ipa_range(start, size), level, S2_TLB_REVOKED);
}

TEST(batch_of_nothing_is_empty_and_costs_nothing)
{
    const struct s2_geometry geometry = geometry_of_granule(K4);
    const struct s2_tlb_rules rules = {0};
    const struct s2_tlb_batch batch = {0};
    const struct s2_tlb_plan plan = s2_tlb_plan(&geometry, &rules, &batch);

    ck_assert(s2_tlb_batch_is_empty(&batch));
    ck_assert(!s2_tlb_batch_touches(&batch, ipa_range(0, MAPPING_BIT(48))));
    ck_assert(!plan.is_whole && plan.naive == 0 && plan.parts == 0);
}

/* Stretches as they are added, in pages; size 0 ends a list. What is left, in any order. */
struct stretch {
    uint64_t start, size;
    int level;
};

static const struct add_case {
    const char *name;
    struct stretch added[5], left[5];
} add_cases[] = {
    {"goes on", {{1, 1, 3}, {2, 3, 3}}, {{1, 4, 3}}},
    {"goes on, blocks", {{512, 512, 2}, {1024, 512, 2}}, {{512, 1024, 2}}},
    {"goes on, any level", {{1, 1, ANY}, {2, 1, ANY}}, {{1, 2, ANY}}},
    {"comes before", {{2, 1, 3}, {1, 1, 3}}, {{1, 2, 3}}},
    {"fills a gap", {{1, 1, 3}, {4, 1, 3}, {2, 2, 3}}, {{1, 4, 3}}},
    {"leaves a gap", {{1, 1, 3}, {3, 1, 3}}, {{1, 1, 3}, {3, 1, 3}}},
    {"once more", {{1, 1, 3}, {1, 1, 3}}, {{1, 1, 3}}},
    {"a part of it once more", {{1, 4, 3}, {2, 1, 3}}, {{1, 4, 3}}},
    {"more of the same", {{2, 1, 3}, {1, 4, 3}}, {{1, 4, 3}}},
    {"overlaps at the end", {{1, 3, 3}, {2, 4, 3}}, {{1, 5, 3}}},
    {"overlaps at the start", {{3, 3, 3}, {1, 3, 3}}, {{1, 5, 3}}},
    {"another level", {{511, 1, 3}, {512, 512, 2}}, {{511, 1, 3}, {512, 512, 2}}},
    {"two levels of the same", {{512, 512, 2}, {512, 512, 3}}, {{512, 512, 2}, {512, 512, 3}}},
    {"any beside a level", {{1, 1, 3}, {2, 1, ANY}}, {{1, 1, 3}, {2, 1, ANY}}},
    {"in any", {{0, 8, ANY}, {2, 2, 3}}, {{0, 8, ANY}}},
    {"in any, beside its like", {{0, 2, 3}, {2, 6, ANY}, {2, 2, 3}}, {{0, 2, 3}, {2, 6, ANY}}},
    {"the same as any", {{0, 8, ANY}, {0, 8, 3}}, {{0, 8, ANY}}},
    {"out of any", {{0, 8, ANY}, {7, 2, 3}}, {{0, 8, ANY}, {7, 2, 3}}},
    {"any over one", {{2, 2, 3}, {0, 8, ANY}}, {{0, 8, ANY}}},
    {"any over the same", {{0, 8, 3}, {0, 8, ANY}}, {{0, 8, ANY}}},
    {"any over some",
     {{0, 512, 2}, {600, 1, 3}, {620, 3, 3}, {512, 512, ANY}},
     {{0, 512, 2}, {512, 512, ANY}}},
    {"any over a part", {{7, 2, 3}, {0, 8, ANY}}, {{7, 2, 3}, {0, 8, ANY}}},
    {"any joined over one", {{0, 8, ANY}, {7, 2, 3}, {8, 8, ANY}}, {{0, 16, ANY}}},
    {"any joined over one, backwards", {{7, 2, 3}, {8, 8, ANY}, {0, 8, ANY}}, {{0, 16, ANY}}},
    {"any between any", {{0, 8, ANY}, {16, 8, ANY}, {7, 10, 3}, {8, 8, ANY}}, {{0, 24, ANY}}},
};

static bool is_left(const struct add_case *c, const struct s2_tlb_range *stretch)
{
    for (size_t i = 0; c->left[i].size != 0; i++) {
        const struct stretch *one = &c->left[i];

        if (ipa_range_eq(stretch->range, ipa_range(one->start << 12, one->size << 12)) &&
            stretch->level == one->level) {
            return true;
        }
    }
    return false;
}

TEST_EACH(add_keeps_each_stretch_once, COUNT(add_cases))
{
    const struct add_case *c = &add_cases[_i];
    struct s2_tlb_batch batch = {0};
    size_t count = 0;

    for (size_t i = 0; c->added[i].size != 0; i++) {
        add(&batch, c->added[i].start << 12, c->added[i].size << 12, c->added[i].level);
        ck_assert(!s2_tlb_batch_is_empty(&batch));
    }
    while (c->left[count].size != 0) {
        count++;
    }
    ck_assert_msg(batch.count == count, "%s: %u stretches", c->name, batch.count);
    ck_assert(!batch.is_whole);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(is_left(c, &batch.ranges[i]), "%s: stretch %zu", c->name, i);
    }
}

TEST(add_more_than_fits_is_the_whole_vmid)
{
    struct s2_tlb_batch batch = {0};

    for (uint64_t i = 0; i < S2_TLB_BATCH_RANGES; i++) {
        add(&batch, i * 0x2000, 0x1000, 3);
    }
    ck_assert_uint_eq(batch.count, S2_TLB_BATCH_RANGES);
    ck_assert(!batch.is_whole);
    /* A full batch still takes what it holds, what goes on where one ends, and what swallows. */
    add(&batch, 0x2000, 0x1000, 3);
    add(&batch, 0x5000, 0x1000, 3);
    ck_assert_uint_eq(batch.count, S2_TLB_BATCH_RANGES - 1);
    add(&batch, 0x200000, 0x200000, 2);
    ck_assert_uint_eq(batch.count, S2_TLB_BATCH_RANGES);
    add(&batch, 0, 0x3000, ANY);
    ck_assert_uint_eq(batch.count, S2_TLB_BATCH_RANGES - 1);
    add(&batch, 0x100000, 0x1000, 3);
    ck_assert(!batch.is_whole);
    add(&batch, 0x102000, 0x1000, 3);
    ck_assert(batch.is_whole && !s2_tlb_batch_is_empty(&batch));
    ck_assert(s2_tlb_batch_touches(&batch, ipa_range(MAPPING_BIT(47), 0x1000)));
    /* And stays so. */
    add(&batch, 0x200000, 0x1000, 3);
    ck_assert(batch.is_whole);
}

TEST(add_of_anything_revoked_is_remembered)
{
    struct s2_tlb_batch batch = {0};

    s2_tlb_batch_add(&batch, ipa_range(0x1000, 0x1000), 3, S2_TLB_RELAXED);
    ck_assert(!batch.is_revoked);
    s2_tlb_batch_add(&batch, ipa_range(0x3000, 0x1000), 3, S2_TLB_RELAXED);
    ck_assert(!batch.is_revoked);
    /* Even of what is held already. */
    s2_tlb_batch_add(&batch, ipa_range(0x1000, 0x1000), 3, S2_TLB_REVOKED);
    ck_assert(batch.is_revoked);
    s2_tlb_batch_add(&batch, ipa_range(0x1000, 0x1000), 3, S2_TLB_RELAXED);
    ck_assert(batch.is_revoked);
    ck_assert_uint_eq(batch.count, 2);
    /* And of what is too much for it. */
    batch = (struct s2_tlb_batch){0};
    for (uint64_t i = 0; i <= S2_TLB_BATCH_RANGES; i++) {
        s2_tlb_batch_add(&batch, ipa_range(i * 0x2000, 0x1000), 3, S2_TLB_RELAXED);
    }
    ck_assert(batch.is_whole && !batch.is_revoked);
    add(&batch, 0x100000, 0x1000, 3);
    ck_assert(batch.is_revoked);
}

TEST(touches_tells_a_shared_byte)
{
    struct s2_tlb_batch batch = {0};

    add(&batch, 0x2000, 0x2000, 3);
    add(&batch, 0x200000, 0x200000, ANY);
    ck_assert(!s2_tlb_batch_touches(&batch, ipa_range(0x1000, 0x1000)));
    ck_assert(s2_tlb_batch_touches(&batch, ipa_range(0x1000, 0x1001)));
    ck_assert(s2_tlb_batch_touches(&batch, ipa_range(0x3000, 0x1000)));
    ck_assert(!s2_tlb_batch_touches(&batch, ipa_range(0x4000, 0x1fc000)));
    ck_assert(s2_tlb_batch_touches(&batch, ipa_range(0x3ff000, 0x1000)));
    ck_assert(!s2_tlb_batch_touches(&batch, ipa_range(0x400000, 0x1000)));
    ck_assert(s2_tlb_batch_touches(&batch, ipa_range(0, MAPPING_BIT(48))));
}

static const struct ipa_range bad_ranges[] = {IPA_RANGE_INIT(0x1000, 0),
                                              IPA_RANGE_INIT(UINT64_MAX - 0xfff, 0x2000)};

TEST_EACH_DIES(add_of_no_range_dies, COUNT(bad_ranges))
{
    struct s2_tlb_batch batch = {0};

    s2_tlb_batch_add(&batch, bad_ranges[_i], 3, S2_TLB_REVOKED);
}

TEST_DIES(add_at_no_level_dies)
{
    struct s2_tlb_batch batch = {0};

    add(&batch, 0x1000, 0x1000, 4);
}

/*
 * A model of what is collected: for each of 64 pages, at each level, whether an entry there must
 * go. Level 2 stands for blocks of 8 pages here, as a batch knows no geometry.
 */
#define PAGES 64
#define BLOCK 8

enum { STALE_PAGE = 1, STALE_BLOCK = 2 };

struct model {
    uint8_t stretch[PAGES];
};

static uint8_t model_bits(int level)
{
    return level == 3 ? STALE_PAGE : level == 2 ? STALE_BLOCK : STALE_PAGE | STALE_BLOCK;
}

static void model_add(struct model *model, struct ipa_range range, int level)
{
    for (uint64_t i = range.start.raw >> 12; i < (range.start.raw + range.size) >> 12; i++) {
        model->stretch[i] |= model_bits(level);
    }
}

/* Whether the two say the same; no stretch lies in another, and none of a level touches another. */
static bool model_agrees(const struct model *model, const struct s2_tlb_batch *batch)
{
    struct model seen = {{0}};

    for (size_t i = 0; i < batch->count; i++) {
        const struct s2_tlb_range *a = &batch->ranges[i];

        model_add(&seen, a->range, a->level);
        for (size_t j = 0; j < batch->count; j++) {
            const struct s2_tlb_range *b = &batch->ranges[j];
            const bool is_apart = ipa_lt(ipa_range_end(a->range), b->range.start) ||
                                  ipa_lt(ipa_range_end(b->range), a->range.start);

            if (i != j && ((a->level == b->level && !is_apart) ||
                           (a->level == ANY && ipa_range_covers(a->range, b->range)))) {
                return false;
            }
        }
    }
    for (size_t i = 0; i < PAGES; i++) {
        if (seen.stretch[i] != model->stretch[i]) {
            return false;
        }
    }
    return true;
}

TEST_EACH(add_at_random_collects_what_a_model_collects, 4)
{
    static const int levels[] = {3, 2, ANY};
    struct random random = {.state = 5 + (uint64_t)_i};

    for (int round = 0; round < 4000; round++) {
        struct model model = {{0}};
        struct s2_tlb_batch batch = {0};

        for (int step = 0; step < 24 && !batch.is_whole; step++) {
            const int level = levels[random_below(&random, COUNT(levels))];
            const uint64_t unit = level == 2 ? BLOCK : 1;
            const uint64_t start = random_below(&random, PAGES / unit) * unit;
            const uint64_t most = (PAGES - start) / unit;
            const uint64_t size = (1 + random_below(&random, most < 6 ? most : 6)) * unit;

            add(&batch, start << 12, size << 12, level);
            model_add(&model, ipa_range(start << 12, size << 12), level);
            if (!batch.is_whole && !model_agrees(&model, &batch)) {
                ck_abort_msg("round %d, step %d", round, step);
            }
        }
    }
}

/* --- Plans ------------------------------------------------------------------------------------ */

#define RANGED UINT64_C(1) /* the CPU has ranges */
#define HERE UINT64_C(2)   /* S2_RELAX_HERE */
#define EASED UINT64_C(4)  /* all was only relaxed */

/* Up to two stretches, and what it takes to invalidate them. */
static const struct plan_case {
    const char *name;
    enum s2_granule granule;
    uint64_t options;
    struct stretch stretch[2]; /* in bytes */
    struct s2_tlb_plan plan;   /* is_whole, is_local, naive, parts */
} plan_cases[] = {
    {"a page", K4, 0, {{0, 0x1000, 3}}, {0, 0, 1, 1}},
    {"a page, ranges", K4, RANGED, {{0, 0x1000, 3}}, {0, 0, 1, 1}},
    {"two pages", K4, 0, {{0, 0x2000, 3}}, {0, 0, 2, 2}},
    {"two pages, ranges", K4, RANGED, {{0, 0x2000, 3}}, {0, 0, 2, 1}},
    {"three pages, ranges", K4, RANGED, {{0, 0x3000, 3}}, {0, 0, 3, 2}},
    {"a block", K4, RANGED, {{0, 0x200000, 2}}, {0, 0, 1, 1}},
    {"two blocks", K4, RANGED, {{0, 0x400000, 2}}, {0, 0, 2, 1}},
    {"513 pages, ranges", K4, RANGED, {{0, 0x201000, ANY}}, {0, 0, 513, 2}},
    {"a table", K4, 0, {{0, 0x200000, ANY}}, {1, 0, 512, 512}},
    {"a table, ranges", K4, RANGED, {{0, 0x200000, ANY}}, {0, 0, 512, 1}},
    {"64 pages", K4, 0, {{0, 0x40000, 3}}, {0, 0, 64, 64}},
    {"65 pages", K4, 0, {{0, 0x41000, 3}}, {1, 0, 65, 65}},
    {"65 pages, ranges", K4, RANGED, {{0, 0x41000, 3}}, {0, 0, 65, 2}},
    {"63 pages and one", K4, 0, {{0, 0x3f000, 3}, {MAPPING_BIT(40), 0x1000, ANY}}, {0, 0, 64, 64}},
    {"64 pages and one", K4, 0, {{0, 0x40000, 3}, {MAPPING_BIT(40), 0x1000, ANY}}, {1, 0, 65, 65}},
    {"64 blocks", K4, 0, {{0, 0x8000000, 2}}, {0, 0, 64, 64}},
    {"65 blocks", K4, 0, {{0, 0x8200000, 2}}, {1, 0, 65, 65}},
    {"1 GiB of pages, unlinked", K4, RANGED, {{0x40000000, 0x40000000, ANY}}, {0, 0, 0x40000, 1}},
    {"1 GiB of pages, no ranges", K4, 0, {{0x40000000, 0x40000000, ANY}}, {1, 0, 0x40000, 0x40000}},
    {"32 GiB", K4, RANGED, {{0, MAPPING_BIT(35), ANY}}, {0, 0, MAPPING_BIT(23), 16}},
    {"a page more",
     K4,
     RANGED,
     {{0, MAPPING_BIT(35) + 0x1000, ANY}},
     {1, 0, MAPPING_BIT(23) + 1, 17}},
    {"16K, 32 GiB", K16, RANGED, {{0, MAPPING_BIT(35), ANY}}, {0, 0, MAPPING_BIT(21), 16}},
    {"16K, a page more",
     K16,
     RANGED,
     {{0, MAPPING_BIT(35) + 0x4000, ANY}},
     {1, 0, MAPPING_BIT(21) + 1, 17}},
    {"64K, 32 GiB", K64, RANGED, {{0, MAPPING_BIT(35), ANY}}, {0, 0, MAPPING_BIT(19), 16}},
    {"64K, a page more",
     K64,
     RANGED,
     {{0, MAPPING_BIT(35) + 0x10000, ANY}},
     {1, 0, MAPPING_BIT(19) + 1, 17}},
    {"4 GiB is never one", K4, RANGED, {{0, MAPPING_BIT(32), ANY}}, {0, 0, MAPPING_BIT(20), 2}},
    {"64 GiB, by address", K4, 0, {{0, MAPPING_BIT(36), 1}}, {0, 0, 64, 64}},
    {"all", K4, RANGED, {{0, MAPPING_BIT(48), ANY}}, {1, 0, MAPPING_BIT(36), MAPPING_BIT(17)}},
    {"all, twice",
     K4,
     0,
     {{0, MAPPING_BIT(48), ANY}, {0, MAPPING_BIT(48), 3}},
     {1, 0, MAPPING_BIT(37), MAPPING_BIT(37)}},
    {"16K pages", K16, RANGED, {{0, 0x2000000, 3}}, {0, 0, 2048, 1}},
    {"16K block", K16, 0, {{0, 0x2000000, 2}}, {0, 0, 1, 1}},
    {"64K table", K64, RANGED, {{0, 0x20000000, ANY}}, {0, 0, 8192, 1}},
    {"64K block", K64, 0, {{0, 0x20000000, 2}}, {0, 0, 1, 1}},
    {"relaxed", K4, EASED, {{0, 0x1000, 3}}, {0, 0, 1, 1}},
    {"relaxed here", K4, EASED | HERE, {{0, 0x1000, 3}}, {0, 1, 1, 1}},
    {"revoked here", K4, HERE, {{0, 0x1000, 3}}, {0, 0, 1, 1}},
    {"relaxed here, no ranges", K4, EASED | HERE | RANGED, {{0, 0x40000, 3}}, {0, 1, 64, 64}},
    {"relaxed here, too many", K4, EASED | HERE | RANGED, {{0, 0x41000, 3}}, {1, 1, 65, 65}},
};

TEST_EACH(plan_is_the_cheapest_that_covers, COUNT(plan_cases))
{
    const struct plan_case *c = &plan_cases[_i];
    const struct s2_geometry geometry = geometry_of_granule(c->granule);
    const struct s2_tlb_rules rules = {.has_ranges = (c->options & RANGED) != 0,
                                       .is_local = (c->options & HERE) != 0};
    struct s2_tlb_batch batch = {.is_revoked = (c->options & EASED) == 0};
    struct s2_tlb_batch before;
    struct s2_tlb_plan plan;

    for (size_t i = 0; i < COUNT(c->stretch) && c->stretch[i].size != 0; i++) {
        batch.ranges[batch.count++] = (struct s2_tlb_range){
            ipa_range(c->stretch[i].start, c->stretch[i].size), (int8_t)c->stretch[i].level};
    }
    before = batch;
    plan = s2_tlb_plan(&geometry, &rules, &batch);
    ck_assert_msg(plan.is_whole == c->plan.is_whole, "%s", c->name);
    ck_assert_msg(plan.is_local == c->plan.is_local, "%s", c->name);
    ck_assert_uint_eq(plan.naive, c->plan.naive);
    ck_assert_uint_eq(plan.parts, c->plan.parts);
    ck_assert_mem_eq(&batch, &before, sizeof(batch));
}

TEST(plan_of_an_overflowed_batch_is_the_whole_vmid)
{
    const struct s2_geometry geometry = geometry_of_granule(K4);
    const struct s2_tlb_rules rules = {.has_ranges = true};
    struct s2_tlb_batch batch = {0};

    for (uint64_t i = 0; i <= S2_TLB_BATCH_RANGES; i++) {
        ck_assert(!s2_tlb_plan(&geometry, &rules, &batch).is_whole);
        add(&batch, i * 0x3000, 0x2000, 3);
    }
    ck_assert(s2_tlb_plan(&geometry, &rules, &batch).is_whole);
    ck_assert_uint_eq(s2_tlb_plan(&geometry, &rules, &batch).naive, 2 * S2_TLB_BATCH_RANGES);
}

/* Under LPA2 what is not aligned to 64 KiB goes a granule at a time: then ranges gain nothing. */
TEST(plan_with_lpa2_counts_what_precedes_a_base)
{
    const struct s2_config config = {
        .cpu = &PART, .granule = K4, .ipa_bits = 48, .lpa2 = S2_LPA2_ON};
    const struct s2_tlb_rules rules = {.has_ranges = true};
    const struct s2_geometry geometry = geometry_of(&config);
    struct s2_tlb_batch batch = {0};

    add(&batch, 0x1000, 0xf000, 3);
    ck_assert(!s2_tlb_goes_by_range(&geometry, &rules, &batch.ranges[0]));
    ck_assert_uint_eq(s2_tlb_plan(&geometry, &rules, &batch).parts, 15);
    batch.ranges[0].range.size = 0x11000;
    ck_assert(s2_tlb_goes_by_range(&geometry, &rules, &batch.ranges[0]));
    ck_assert_uint_eq(s2_tlb_plan(&geometry, &rules, &batch).parts, 16);
}
