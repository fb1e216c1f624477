/*
 * test_geometry_limits.c - what s2_geometry_init() refuses and why, and VTTBR_EL2.
 */
#include "stage2/arch/geometry.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <string.h>

#define SUITE "geometry_limits"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A 48-bit part without LPA2 and without hardware updates. */
static const struct s2_features PART = {.pa_bits = 48,
                                        .granule_4k = S2_GRANULE_48_BITS,
                                        .granule_16k = S2_GRANULE_48_BITS,
                                        .granule_64k = S2_GRANULE_48_BITS,
                                        .vmid_bits = 16,
                                        .dcache_line = 64};
static const struct s2_features PART_52 = {.pa_bits = 52,
                                           .granule_4k = S2_GRANULE_52_BITS,
                                           .granule_16k = S2_GRANULE_52_BITS,
                                           .granule_64k = S2_GRANULE_52_BITS,
                                           .vmid_bits = 16,
                                           .hafdbs = 2,
                                           .dcache_line = 64};
/* A wide bus, but addresses of 48 bits with 4K and 16K. */
static const struct s2_features PART_LPA = {.pa_bits = 52,
                                            .granule_4k = S2_GRANULE_48_BITS,
                                            .granule_64k = S2_GRANULE_52_BITS,
                                            .vmid_bits = 16,
                                            .hafdbs = 1,
                                            .dcache_line = 64};
/* No part that exists: a PA size between 40 and 42 bits has no start level with 16K. */
static const struct s2_features PART_16K = {
    .pa_bits = 40, .granule_16k = S2_GRANULE_48_BITS, .vmid_bits = 8, .dcache_line = 64};
static const struct s2_features PART_41 = {
    .pa_bits = 41, .granule_16k = S2_GRANULE_48_BITS, .vmid_bits = 8, .dcache_line = 64};

#define K4 S2_GRANULE_4K
#define K16 S2_GRANULE_16K
#define K64 S2_GRANULE_64K

#define AT(part, size, bits)                                 \
    {                                                        \
        .cpu = (part), .granule = (size), .ipa_bits = (bits) \
    }
#define WITH(part, size, bits, ...)                                       \
    {                                                                     \
        .cpu = (part), .granule = (size), .ipa_bits = (bits), __VA_ARGS__ \
    }

/* --- Refusals --------------------------------------------------------------------------------- */

/* One case a reason, the first of its group; `same` ones repeat the reason of the case before. */
static const struct refusal {
    struct s2_config config;
    enum mapping_error error;
    const char *word; /* of the sentence */
    bool same;
} refusals[] = {
    {AT(NULL, K4, 40), MAPPING_INVALID_PARAM, "features", false},
    {AT(&PART, (enum s2_granule)13, 40), MAPPING_INVALID_PARAM, "granule is none", false},
    {AT(&PART, (enum s2_granule)0, 40), MAPPING_INVALID_PARAM, "granule is none", true},
    {AT(&PART, K4, 31), MAPPING_INVALID_PARAM, "input size is not", false},
    {AT(&PART, K4, 0), MAPPING_INVALID_PARAM, "input size is not", true},
    {AT(&PART_52, K4, 53), MAPPING_INVALID_PARAM, "input size is not", true},
    {AT(&PART_52, K4, 64), MAPPING_INVALID_PARAM, "input size is not", true},
    {WITH(&PART, K4, 40, .pa_bits = 41), MAPPING_INVALID_PARAM, "output size is not one", false},
    {WITH(&PART, K4, 32, .pa_bits = 31), MAPPING_INVALID_PARAM, "output size is not one", true},
    {WITH(&PART_52, K4, 40, .pa_bits = 56), MAPPING_INVALID_PARAM, "output size is not one", true},
    {WITH(&PART, K4, 40, .lpa2 = (enum s2_lpa2)3), MAPPING_INVALID_PARAM, "lpa2 has", false},
    {WITH(&PART, K4, 40, .lpa2 = (enum s2_lpa2)7), MAPPING_INVALID_PARAM, "lpa2 has", true},
    {WITH(&PART, K4, 40, .root = (enum s2_root)2), MAPPING_INVALID_PARAM, "root has", false},
    {WITH(&PART, K4, 40, .root = (enum s2_root)7), MAPPING_INVALID_PARAM, "root has", true},
    {WITH(&PART, K4, 40, .walker = (enum s2_walker)2), MAPPING_INVALID_PARAM, "walker has", false},
    {WITH(&PART, K4, 40, .walker = (enum s2_walker)7), MAPPING_INVALID_PARAM, "walker has", true},
    {WITH(&PART, K4, 40, .force_write_back = (enum s2_force_write_back)2), MAPPING_INVALID_PARAM,
     "force_write_back has", false},
    {WITH(&PART, K4, 40, .force_write_back = (enum s2_force_write_back)7), MAPPING_INVALID_PARAM,
     "force_write_back has", true},
    {WITH(&PART, K4, 40, .hardware_update = (enum s2_hardware_update)3), MAPPING_INVALID_PARAM,
     "hardware_update has", false},
    {WITH(&PART, K4, 40, .hardware_update = (enum s2_hardware_update)7), MAPPING_INVALID_PARAM,
     "hardware_update has", true},
    {WITH(&PART, K4, 40, .contiguous = (enum s2_contiguous)2), MAPPING_INVALID_PARAM,
     "contiguous has", false},
    {WITH(&PART, K4, 40, .contiguous = (enum s2_contiguous)7), MAPPING_INVALID_PARAM,
     "contiguous has", true},
    {WITH(&PART, K4, 40, .write_execute = (enum s2_write_execute)2), MAPPING_INVALID_PARAM,
     "write_execute has", false},
    {WITH(&PART, K4, 40, .write_execute = (enum s2_write_execute)7), MAPPING_INVALID_PARAM,
     "write_execute has", true},
    {WITH(&PART, K4, 40, .transient = (enum s2_transient)2), MAPPING_INVALID_PARAM, "transient has",
     false},
    {WITH(&PART, K4, 40, .transient = (enum s2_transient)7), MAPPING_INVALID_PARAM, "transient has",
     true},
    {WITH(&PART, K4, 40, .size_change = (enum s2_size_change)3), MAPPING_INVALID_PARAM,
     "size_change has", false},
    {WITH(&PART, K4, 40, .size_change = (enum s2_size_change)7), MAPPING_INVALID_PARAM,
     "size_change has", true},
    {WITH(&PART, K4, 40, .tlb_ranges = (enum s2_tlb_ranges)3), MAPPING_INVALID_PARAM,
     "tlb_ranges has", false},
    {WITH(&PART, K4, 40, .tlb_ranges = (enum s2_tlb_ranges)7), MAPPING_INVALID_PARAM,
     "tlb_ranges has", true},
    {WITH(&PART, K4, 40, .relax = (enum s2_relax)2), MAPPING_INVALID_PARAM, "relax has", false},
    {WITH(&PART, K4, 40, .relax = (enum s2_relax)7), MAPPING_INVALID_PARAM, "relax has", true},
    {WITH(&PART, K4, 40, .tlbi_repeat = (enum s2_tlbi_repeat)3), MAPPING_INVALID_PARAM,
     "tlbi_repeat has", false},
    {WITH(&PART, K4, 40, .tlbi_repeat = (enum s2_tlbi_repeat)7), MAPPING_INVALID_PARAM,
     "tlbi_repeat has", true},
    {WITH(&PART, K4, 40, .common = (enum s2_common)2), MAPPING_INVALID_PARAM, "common has", false},
    {WITH(&PART, K4, 40, .common = (enum s2_common)7), MAPPING_INVALID_PARAM, "common has", true},
    {WITH(&PART, K4, 40, .speculative_at = (enum s2_workaround)3), MAPPING_INVALID_PARAM,
     "speculative_at has", false},
    {WITH(&PART, K4, 40, .hcr_write = (enum s2_workaround)3), MAPPING_INVALID_PARAM,
     "hcr_write has", false},
    {WITH(&PART, K4, 40, .unusable_updates = (enum s2_workaround)3), MAPPING_INVALID_PARAM,
     "unusable_updates has", false},
    {AT(&PART_LPA, K16, 40), MAPPING_UNSUPPORTED, "lacks this granule", false},
    {AT(&PART_16K, K4, 40), MAPPING_UNSUPPORTED, "lacks this granule", true},
    {WITH(&PART_52, K64, 40, .lpa2 = S2_LPA2_ON), MAPPING_UNSUPPORTED, "LPA2 is for", false},
    {WITH(&PART, K4, 40, .lpa2 = S2_LPA2_ON), MAPPING_UNSUPPORTED, "lacks LPA2", false},
    {AT(&PART_LPA, K4, 49), MAPPING_UNSUPPORTED, "lacks LPA2", true},
    {WITH(&PART_LPA, K4, 40, .pa_bits = 52), MAPPING_UNSUPPORTED, "lacks LPA2", true},
    {WITH(&PART, K4, 40, .pa_bits = 52), MAPPING_UNSUPPORTED, "lacks LPA2", true},
    {WITH(&PART, K64, 40, .pa_bits = 52), MAPPING_UNSUPPORTED, "output size is beyond", false},
    {WITH(&PART_LPA, K4, 40, .pa_bits = 52, .lpa2 = S2_LPA2_OFF), MAPPING_UNSUPPORTED,
     "output size is beyond", true},
    {WITH(&PART_LPA, K4, 49, .lpa2 = S2_LPA2_OFF), MAPPING_UNSUPPORTED, "input size is larger",
     false},
    {AT(&PART, K64, 49), MAPPING_UNSUPPORTED, "input size is larger", true},
    {WITH(&PART, K4, 44, .pa_bits = 42), MAPPING_UNSUPPORTED, "input size is larger", true},
    {AT(&PART_41, K16, 40), MAPPING_INVALID_PARAM, "CPU's output size", false},
    {WITH(&PART, K4, 40, .hardware_update = S2_HARDWARE_UPDATE_AF), MAPPING_UNSUPPORTED,
     "does not update", false},
    {WITH(&PART_LPA, K4, 40, .hardware_update = S2_HARDWARE_UPDATE_DIRTY), MAPPING_UNSUPPORTED,
     "does not update", true},
    {WITH(&PART_52, K4, 40, .hardware_update = S2_HARDWARE_UPDATE_AF,
          .walker = S2_WALKER_NON_COHERENT),
     MAPPING_UNSUPPORTED, "past the caches", false},
    {WITH(&PART_52, K4, 40, .hardware_update = S2_HARDWARE_UPDATE_DIRTY,
          .walker = S2_WALKER_NON_COHERENT),
     MAPPING_UNSUPPORTED, "past the caches", true},
    {WITH(&PART_52, K4, 40, .hardware_update = S2_HARDWARE_UPDATE_AF,
          .unusable_updates = S2_WORKAROUND_ON),
     MAPPING_UNSUPPORTED, "erratum", false},
};

TEST_EACH(init_bad_config_is_refused_with_its_reason, COUNT(refusals))
{
    const struct refusal *c = &refusals[_i];
    struct s2_geometry geometry;
    struct s2_geometry before;
    const char *reason = NULL;

    memset(&geometry, 0xa5, sizeof(geometry));
    memcpy(&before, &geometry, sizeof(geometry));
    ck_assert_msg(s2_geometry_init(&geometry, &c->config, &reason) == c->error, "%s", c->word);
    ck_assert_ptr_nonnull(reason);
    ck_assert_msg(strstr(reason, c->word) != NULL, "\"%s\" is not about \"%s\"", reason, c->word);
    /* On an error nothing is written; and the reason may be left out. */
    ck_assert_mem_eq(&geometry, &before, sizeof(geometry));
    ck_assert_int_eq(s2_geometry_init(&geometry, &c->config, NULL), c->error);
}

/* Features made by hand: what no CPU has is refused before it is shifted by, or divided by. */
static const struct number {
    size_t field;
    unsigned value;
    const char *word; /* of the reason; NULL: it is taken */
} numbers[] = {
    {offsetof(struct s2_features, pa_bits), 0, "CPU's output size"},
    {offsetof(struct s2_features, pa_bits), 64, "CPU's output size"},
    {offsetof(struct s2_features, pa_bits), 52, NULL},
    {offsetof(struct s2_features, vmid_bits), 0, "VMIDs"},
    {offsetof(struct s2_features, vmid_bits), 7, "VMIDs"},
    {offsetof(struct s2_features, vmid_bits), 8, NULL},
    {offsetof(struct s2_features, vmid_bits), 12, "VMIDs"},
    {offsetof(struct s2_features, vmid_bits), 16, NULL},
    {offsetof(struct s2_features, vmid_bits), 64, "VMIDs"},
    {offsetof(struct s2_features, dcache_line), 0, "cache line"},
    {offsetof(struct s2_features, dcache_line), 2, "cache line"},
    {offsetof(struct s2_features, dcache_line), 4, NULL},
    {offsetof(struct s2_features, dcache_line), 48, "cache line"},
    {offsetof(struct s2_features, dcache_line), 0x20000, NULL},
    {offsetof(struct s2_features, dcache_line), 0x40000, "cache line"},
    {offsetof(struct s2_features, granule_4k), 3, "4K granule"},
    {offsetof(struct s2_features, granule_16k), 3, "16K granule"},
    {offsetof(struct s2_features, granule_64k), 3, "64K granule"},
    {offsetof(struct s2_features, hafdbs), 3, "hafdbs"},
    {offsetof(struct s2_features, bbm), 2, NULL},
    {offsetof(struct s2_features, bbm), 3, "bbm"},
    {offsetof(struct s2_features, tlb), 3, "tlb"},
};
_Static_assert(sizeof(enum s2_granule_support) == sizeof(unsigned), "all fields above are alike");

TEST_EACH(init_features_that_no_cpu_has_are_refused_with_their_reason, COUNT(numbers))
{
    const struct number *c = &numbers[_i];
    struct s2_features cpu = PART;
    const struct s2_config config = AT(&cpu, K4, 40);
    const char *reason = NULL;
    struct s2_geometry geometry;

    memcpy((char *)&cpu + c->field, &c->value, sizeof(c->value));
    ck_assert_int_eq(s2_geometry_init(&geometry, &config, &reason),
                     c->word == NULL ? MAPPING_OK : MAPPING_INVALID_PARAM);
    ck_assert((reason == NULL) == (c->word == NULL));
    ck_assert(reason == NULL || strstr(reason, c->word) != NULL);
}

/* Whether hardware may update, by its errata, what is asked for, and what the embedder knows. */
TEST(init_updates_that_an_erratum_spoils_are_refused_unless_told_otherwise)
{
    static const unsigned errata[] = {0, S2_ERRATUM_DIRTY, S2_ERRATUM_ACCESS_FLAG,
                                      S2_ERRATUM_DIRTY | S2_ERRATUM_ACCESS_FLAG,
                                      ~(unsigned)(S2_ERRATUM_DIRTY | S2_ERRATUM_ACCESS_FLAG)};
    /* The highest update that is left, by erratum. */
    static const enum s2_hardware_update left[] = {S2_HARDWARE_UPDATE_DIRTY, S2_HARDWARE_UPDATE_AF,
                                                   S2_HARDWARE_UPDATE_NONE, S2_HARDWARE_UPDATE_NONE,
                                                   S2_HARDWARE_UPDATE_DIRTY};

    for (unsigned i = 0; i < COUNT(errata) * 9; i++) {
        struct s2_features cpu = PART_52;
        struct s2_config config = AT(&cpu, K4, 40);
        enum s2_hardware_update most = left[i / 9];
        const char *reason = NULL;
        struct s2_geometry geometry;

        cpu.errata = errata[i / 9];
        config.hardware_update = (enum s2_hardware_update)(i % 3);
        config.unusable_updates = (enum s2_workaround)(i / 3 % 3);
        if (config.unusable_updates != S2_WORKAROUND_AUTO) {
            most = config.unusable_updates == S2_WORKAROUND_ON ? S2_HARDWARE_UPDATE_NONE
                                                               : S2_HARDWARE_UPDATE_DIRTY;
        }
        ck_assert_int_eq(s2_geometry_init(&geometry, &config, &reason),
                         config.hardware_update <= most ? MAPPING_OK : MAPPING_UNSUPPORTED);
        ck_assert((reason == NULL) == (config.hardware_update <= most));
        ck_assert(reason == NULL || strstr(reason, "erratum") != NULL);
    }
}

TEST(init_each_kind_of_refusal_has_a_reason_of_its_own)
{
    const char *reasons[COUNT(refusals)] = {0};

    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct s2_geometry geometry;

        ck_assert_int_ne(s2_geometry_init(&geometry, &refusals[i].config, &reasons[i]), MAPPING_OK);
        for (size_t before = 0; before < i && !refusals[i].same; before++) {
            ck_assert_str_ne(reasons[i], reasons[before]);
        }
        ck_assert_msg(!refusals[i].same || strcmp(reasons[i], reasons[i - 1]) == 0, "%s",
                      reasons[i]);
    }
}

TEST(init_good_config_leaves_the_reason_alone)
{
    const char *reason = "untouched";
    struct s2_geometry geometry;

    ck_assert_int_eq(s2_geometry_init(&geometry, &(struct s2_config)AT(&PART, K4, 32), &reason),
                     MAPPING_OK);
    ck_assert_str_eq(reason, "untouched");
}

/* --- VTTBR_EL2 -------------------------------------------------------------------------------- */

static const struct vttbr_case {
    struct s2_config config;
    uint64_t root;
    uint16_t vmid;
    uint64_t vttbr;
} vttbr_cases[] = {
    {AT(&PART, K4, 40), 0x40002000, 0, 0x0000000040002000},
    {AT(&PART, K4, 40), 0x40002000, 7, 0x0007000040002000},
    {AT(&PART, K4, 48), 0xfffffffff000, 0xffff, 0xfffffffffffff000},
    {AT(&PART, K16, 48), 0x800000008000, 0x1234, 0x1234800000008000},
    {AT(&PART, K64, 48), 0x40010000, 0x80, 0x0080000040010000},
    /* 52 bits: PA[51:48] in [5:2]. 16 tables of 4K, level -1, 16K level 0, 64K with FEAT_LPA. */
    {AT(&PART_52, K4, 52), 0xf000040010000, 1, 0x000100004001003c},
    {AT(&PART_52, K4, 52), 0x1000040010000, 1, 0x0001000040010004},
    {WITH(&PART_52, K4, 52, .root = S2_ROOT_SMALL), 0x8000040001000, 2, 0x0002000040001020},
    {AT(&PART_52, K16, 52), 0xa000000004000, 0xab, 0x00ab000000004028},
    {AT(&PART_52, K64, 52), 0x5ffffffff0000, 3, 0x0003ffffffff0014},
    {WITH(&PART_52, K64, 48, .pa_bits = 48), 0xffffffff0000, 3, 0x0003ffffffff0000},
};

TEST_EACH(vttbr_holds_root_and_vmid, COUNT(vttbr_cases))
{
    const struct vttbr_case *c = &vttbr_cases[_i];
    struct s2_geometry geometry;

    ck_assert_int_eq(s2_geometry_init(&geometry, &c->config, NULL), MAPPING_OK);
    ck_assert_uint_eq(s2_geometry_vttbr(&geometry, pa_of(c->root), c->vmid), c->vttbr);
}

/* Roots that are no roots: below the alignment of all concatenated tables, or beyond the output. */
static const struct {
    struct s2_config config;
    uint64_t root;
} bad_roots[] = {
    {AT(&PART, K4, 40), 0x40001000}, /* two tables want 8 KiB */
    {AT(&PART, K4, 48), 0x40000800},
    {AT(&PART, K4, 36), 0x40000200}, /* 64 entries, but the table is a frame */
    {AT(&PART_52, K4, 52), 0x40008000},
    {AT(&PART, K16, 48), 0x40004000},
    {AT(&PART, K64, 48), 0x40008000},
    {WITH(&PART, K4, 40, .pa_bits = 40), 0x10000000000},
    {AT(&PART, K4, 48), 0x1000000000000},
    {AT(&PART_52, K64, 52), 0x10000000000000},
};

TEST_EACH_DIES(vttbr_of_misplaced_root_dies, COUNT(bad_roots))
{
    struct s2_geometry geometry;

    if (s2_geometry_init(&geometry, &bad_roots[_i].config, NULL) == MAPPING_OK) {
        (void)s2_geometry_vttbr(&geometry, pa_of(bad_roots[_i].root), 1);
    }
}
