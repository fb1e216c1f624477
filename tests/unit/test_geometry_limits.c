/*
 * test_geometry_limits.c - what s2_geometry_init() refuses and why, and VTTBR_EL2.
 */
#include "stage2/arch/geometry.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <string.h>

#define SUITE "geometry_limits"

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

#define UPDATE(what) .hardware_update = S2_HARDWARE_UPDATE_##what
#define NON_COHERENT .walker = S2_WALKER_NON_COHERENT

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
    {AT(&PART, K4, 31), MAPPING_INVALID_PARAM, "input size is neither", false},
    {AT(&PART, K4, 1), MAPPING_INVALID_PARAM, "input size is neither", true},
    {AT(&PART_52, K4, 53), MAPPING_INVALID_PARAM, "input size is neither", true},
    {AT(&PART_52, K4, 64), MAPPING_INVALID_PARAM, "input size is neither", true},
    {WITH(&PART, K4, 40, .pa_bits = 41), MAPPING_INVALID_PARAM, "output size is not one", false},
    {WITH(&PART, K4, 32, .pa_bits = 31), MAPPING_INVALID_PARAM, "output size is not one", true},
    {WITH(&PART_52, K4, 40, .pa_bits = 56), MAPPING_INVALID_PARAM, "output size is not one", true},
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
    {WITH(&PART, K4, 40, UPDATE(AF)), MAPPING_UNSUPPORTED, "does not update", false},
    {WITH(&PART_LPA, K4, 40, UPDATE(DIRTY)), MAPPING_UNSUPPORTED, "does not update", true},
    {WITH(&PART_52, K4, 40, UPDATE(AF), NON_COHERENT), MAPPING_UNSUPPORTED, "past the caches",
     false},
    {WITH(&PART_52, K4, 40, UPDATE(DIRTY), NON_COHERENT), MAPPING_UNSUPPORTED, "past the caches",
     true},
    {WITH(&PART_52, K4, 40, UPDATE(AF), .unusable_updates = S2_WORKAROUND_ON), MAPPING_UNSUPPORTED,
     "erratum", false},
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

/* A value that an option does not have, the first and another: the reason names the option. */
static const struct option {
    const char *name;
    size_t field;
    unsigned beyond;
} options[] = {
#define OPTION(field, last)                                                    \
    {                                                                          \
#field " has", offsetof(struct s2_config, field), (unsigned)(last) + 1 \
    }
    OPTION(lpa2, S2_LPA2_ON),
    OPTION(root, S2_ROOT_SMALL),
    OPTION(walker, S2_WALKER_NON_COHERENT),
    OPTION(force_write_back, S2_FWB_OFF),
    OPTION(hardware_update, S2_HARDWARE_UPDATE_DIRTY),
    OPTION(contiguous, S2_CONTIGUOUS_OFF),
    OPTION(write_execute, S2_WRITE_EXECUTE_DENIED),
    OPTION(transient, S2_TRANSIENT_REFUSED),
    OPTION(size_change, S2_SIZE_CHANGE_DIRECT),
    OPTION(tlb_ranges, S2_TLB_RANGES_ON),
    OPTION(relax, S2_RELAX_HERE),
    OPTION(tlbi_repeat, S2_TLBI_TWICE),
    OPTION(common, S2_COMMON_PROMISED),
    OPTION(speculative_at, S2_WORKAROUND_OFF),
    OPTION(hcr_write, S2_WORKAROUND_OFF),
    OPTION(unusable_updates, S2_WORKAROUND_OFF),
#undef OPTION
};
_Static_assert(sizeof(enum s2_lpa2) == sizeof(unsigned), "all options are alike");

TEST_EACH(init_value_that_an_option_does_not_have_is_refused, COUNT(options))
{
    const struct option *c = &options[_i];
    const unsigned values[] = {c->beyond, 7};

    for (size_t i = 0; i < COUNT(values); i++) {
        struct s2_config config = AT(&PART, K4, 40);
        const char *reason = "none";
        struct s2_geometry geometry;

        memcpy((char *)&config + c->field, &values[i], sizeof(values[i]));
        ck_assert_int_eq(s2_geometry_init(&geometry, &config, &reason), MAPPING_INVALID_PARAM);
        ck_assert_msg(strncmp(reason, c->name, strlen(c->name)) == 0, "%s: %s", c->name, reason);
    }
}

/* Features made by hand: what no CPU has is refused before it is shifted by, or divided by. */
static const struct number {
    size_t field;
    unsigned value;
    const char *word; /* of the reason; NULL: it is taken */
} numbers[] = {
#define FIELD_AT(field) offsetof(struct s2_features, field)
    {FIELD_AT(pa_bits), 0, "CPU's output size"},
    {FIELD_AT(pa_bits), 64, "CPU's output size"},
    {FIELD_AT(pa_bits), 52, NULL},
    {FIELD_AT(vmid_bits), 0, "VMIDs"},
    {FIELD_AT(vmid_bits), 7, "VMIDs"},
    {FIELD_AT(vmid_bits), 8, NULL},
    {FIELD_AT(vmid_bits), 12, "VMIDs"},
    {FIELD_AT(vmid_bits), 16, NULL},
    {FIELD_AT(vmid_bits), 64, "VMIDs"},
    {FIELD_AT(dcache_line), 0, "cache line"},
    {FIELD_AT(dcache_line), 2, "cache line"},
    {FIELD_AT(dcache_line), 4, NULL},
    {FIELD_AT(dcache_line), 48, "cache line"},
    {FIELD_AT(dcache_line), 0x20000, NULL},
    {FIELD_AT(dcache_line), 0x40000, "cache line"},
    {FIELD_AT(granule_4k), 3, "4K granule"},
    {FIELD_AT(granule_16k), 3, "16K granule"},
    {FIELD_AT(granule_64k), 3, "64K granule"},
    {FIELD_AT(hafdbs), 3, "hafdbs"},
    {FIELD_AT(bbm), 2, NULL},
    {FIELD_AT(bbm), 3, "bbm"},
    {FIELD_AT(tlb), 3, "tlb"},
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
