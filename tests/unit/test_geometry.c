/*
 * test_geometry.c - the shape of the tables: registers written out by hand for the sizes that
 * people use, every other size against the software MMU's own idea of what is legal.
 */
#include "stage2/arch/geometry.h"
#include "tests/sim/mmu.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <string.h>

#define SUITE "geometry"

#define HCR_VM UINT64_C(1)
#define HCR_VM_FWB UINT64_C(0x0000400000000001)

#define K4 S2_GRANULE_4K
#define K16 S2_GRANULE_16K
#define K64 S2_GRANULE_64K

/* --- Parts ------------------------------------------------------------------------------------ */

/* Everything there is. */
static const struct s2_features FULL = {.pa_bits = 52,
                                        .granule_4k = S2_GRANULE_52_BITS,
                                        .granule_16k = S2_GRANULE_52_BITS,
                                        .granule_64k = S2_GRANULE_52_BITS,
                                        .vmid_bits = 16,
                                        .hafdbs = 2,
                                        .bbm = 2,
                                        .has_xnx = true,
                                        .has_fwb = true,
                                        .dcache_line = 64};

/* Nothing but the granules. */
static struct s2_features plain_part(unsigned pa_bits)
{
    return (struct s2_features){.pa_bits = pa_bits,
                                .granule_4k = S2_GRANULE_48_BITS,
                                .granule_16k = S2_GRANULE_48_BITS,
                                .granule_64k =
                                    pa_bits == 52 ? S2_GRANULE_52_BITS : S2_GRANULE_48_BITS,
                                .vmid_bits = 8,
                                .dcache_line = 64};
}

static struct s2_features wide_part(unsigned pa_bits)
{
    struct s2_features part = FULL;

    part.pa_bits = pa_bits;
    part.granule_64k = pa_bits == 52 ? S2_GRANULE_52_BITS : S2_GRANULE_48_BITS;
    return part;
}

static struct mmu_cpu mmu_part(const struct s2_features *cpu)
{
    return (struct mmu_cpu){.pa_bits = cpu->pa_bits,
                            .has_4k = cpu->granule_4k != S2_GRANULE_ABSENT,
                            .has_16k = cpu->granule_16k != S2_GRANULE_ABSENT,
                            .has_64k = cpu->granule_64k != S2_GRANULE_ABSENT,
                            .lpa2_4k = cpu->granule_4k == S2_GRANULE_52_BITS,
                            .lpa2_16k = cpu->granule_16k == S2_GRANULE_52_BITS,
                            .xnx = cpu->has_xnx,
                            .fwb = cpu->has_fwb,
                            .vmid16 = cpu->vmid_bits == 16,
                            .hafdbs = cpu->hafdbs,
                            .bbm = cpu->bbm};
}

/* --- Registers by hand ------------------------------------------------------------------------ */

/* What is the same below, unless said otherwise: RES1, inner shareable, write-back walks. */
#define VTCR_COMMON UINT64_C(0x80003500)

/* VTCR_EL2 as the manual's field tables give it: T0SZ = 64 - input, SL0 << 6, TG0 << 14, PS << 16,
 * and DS or SL2 as bits 32 and 33. */
static const struct shape_case {
    enum s2_granule granule;
    unsigned part_bits; /* 8-bit VMIDs, no FWB; FEAT_LPA2 where the case asks for more than 48 */
    unsigned ipa_bits;
    unsigned pa_bits;
    enum s2_root root;
    uint64_t vtcr;
    int start_level;
    unsigned root_order;
    unsigned root_entries;
} shape_cases[] = {
    /* 4K: SL0 1 = level 1, 2 = level 0; 40- and 42-bit parts cannot start at level 0. */
    {K4, 40, 40, 0, S2_ROOT_SHALLOW, 0x80023558, 1, 1, 1024},
    {K4, 40, 40, 0, S2_ROOT_SMALL, 0x80023558, 1, 1, 1024},
    {K4, 40, 39, 0, S2_ROOT_SHALLOW, 0x80023559, 1, 0, 512},
    {K4, 40, 36, 0, S2_ROOT_SHALLOW, 0x8002355c, 1, 0, 64},
    {K4, 36, 36, 0, S2_ROOT_SHALLOW, 0x8001355c, 1, 0, 64},
    {K4, 32, 32, 0, S2_ROOT_SHALLOW, 0x80003560, 1, 0, 4},
    {K4, 42, 42, 0, S2_ROOT_SHALLOW, 0x80033556, 1, 3, 4096},
    {K4, 42, 42, 0, S2_ROOT_SMALL, 0x80033556, 1, 3, 4096},
    {K4, 44, 43, 0, S2_ROOT_SHALLOW, 0x80043555, 1, 4, 8192},
    {K4, 44, 43, 0, S2_ROOT_SMALL, 0x80043595, 0, 0, 16},
    {K4, 44, 44, 0, S2_ROOT_SHALLOW, 0x80043594, 0, 0, 32},
    {K4, 44, 40, 0, S2_ROOT_SHALLOW, 0x80043558, 1, 1, 1024},
    {K4, 44, 40, 0, S2_ROOT_SMALL, 0x80043598, 0, 0, 2},
    {K4, 44, 40, 40, S2_ROOT_SMALL, 0x80023558, 1, 1, 1024},
    {K4, 48, 48, 0, S2_ROOT_SHALLOW, 0x80053590, 0, 0, 512},
    {K4, 48, 36, 40, S2_ROOT_SHALLOW, 0x8002355c, 1, 0, 64},
    {K4, 52, 48, 0, S2_ROOT_SHALLOW, 0x80053590, 0, 0, 512},
    /* 4K with LPA2: level 0 by up to 16 tables, or level -1. */
    {K4, 52, 52, 0, S2_ROOT_SHALLOW, 0x18006358c, 0, 4, 8192},
    {K4, 52, 52, 0, S2_ROOT_SMALL, 0x38006350c, -1, 0, 16},
    {K4, 52, 49, 0, S2_ROOT_SHALLOW, 0x18006358f, 0, 1, 1024},
    {K4, 52, 49, 0, S2_ROOT_SMALL, 0x38006350f, -1, 0, 2},
    {K4, 52, 48, 52, S2_ROOT_SMALL, 0x180063590, 0, 0, 512},
    {K4, 52, 40, 52, S2_ROOT_SHALLOW, 0x180063558, 1, 1, 1024},
    /* 16K: SL0 1 = level 2, 2 = level 1, 3 = level 0; TG0 = 2. */
    {K16, 40, 40, 0, S2_ROOT_SHALLOW, 0x8002b558, 2, 4, 32768},
    {K16, 40, 36, 0, S2_ROOT_SHALLOW, 0x8002b55c, 2, 0, 2048},
    {K16, 42, 40, 0, S2_ROOT_SMALL, 0x8003b598, 1, 0, 16},
    {K16, 42, 42, 0, S2_ROOT_SHALLOW, 0x8003b596, 1, 0, 64},
    {K16, 48, 48, 0, S2_ROOT_SHALLOW, 0x8005b590, 1, 1, 4096},
    {K16, 48, 48, 0, S2_ROOT_SMALL, 0x8005b590, 1, 1, 4096},
    {K16, 48, 47, 0, S2_ROOT_SHALLOW, 0x8005b591, 1, 0, 2048},
    {K16, 52, 51, 0, S2_ROOT_SHALLOW, 0x18006b58d, 1, 4, 32768},
    {K16, 52, 52, 0, S2_ROOT_SHALLOW, 0x18006b5cc, 0, 0, 32},
    {K16, 52, 48, 52, S2_ROOT_SMALL, 0x18006b5d0, 0, 0, 2},
    /* 64K: SL0 1 = level 2, 2 = level 1; TG0 = 1. */
    {K64, 40, 40, 0, S2_ROOT_SHALLOW, 0x80027558, 2, 0, 2048},
    {K64, 42, 42, 0, S2_ROOT_SHALLOW, 0x80037556, 2, 0, 8192},
    {K64, 48, 46, 0, S2_ROOT_SHALLOW, 0x80057552, 2, 4, 131072},
    {K64, 48, 46, 0, S2_ROOT_SMALL, 0x80057592, 1, 0, 16},
    {K64, 48, 48, 0, S2_ROOT_SHALLOW, 0x80057590, 1, 0, 64},
    {K64, 52, 52, 0, S2_ROOT_SHALLOW, 0x8006758c, 1, 0, 1024},
    {K64, 52, 48, 48, S2_ROOT_SHALLOW, 0x80057590, 1, 0, 64},
};

TEST_EACH(init_known_size_gives_the_manuals_registers, COUNT(shape_cases))
{
    const struct shape_case *c = &shape_cases[_i];
    struct s2_features cpu = plain_part(c->part_bits);
    const struct s2_config config = {.cpu = &cpu,
                                     .granule = c->granule,
                                     .ipa_bits = c->ipa_bits,
                                     .pa_bits = c->pa_bits,
                                     .root = c->root};
    struct s2_geometry geometry;

    if (c->ipa_bits > 48 || c->pa_bits > 48) {
        cpu.granule_4k = S2_GRANULE_52_BITS;
        cpu.granule_16k = S2_GRANULE_52_BITS;
    }
    ck_assert_int_eq(s2_geometry_init(&geometry, &config, NULL), MAPPING_OK);
    ck_assert_uint_eq(geometry.vtcr, c->vtcr);
    ck_assert_int_eq(geometry.start_level, c->start_level);
    ck_assert_uint_eq(geometry.root_order, c->root_order);
    ck_assert_uint_eq(s2_root_entries(&geometry), c->root_entries);
    ck_assert_uint_eq(geometry.ipa_bits, c->ipa_bits);
    ck_assert_uint_eq(geometry.hcr, HCR_VM);
    ck_assert(geometry.has_lpa2 == ((c->vtcr >> 32 & 1) != 0));
    ck_assert(geometry.has_lpa == (c->vtcr == 0x8006758c));
}

/* One option at a time on a 40-bit 4K table: which bits it moves. */
static const struct option_case {
    const char *name;
    unsigned vmid_bits;
    unsigned hafdbs;
    bool has_fwb;
    uint64_t vtcr;
    uint64_t hcr;
    struct s2_config config; /* without cpu, granule and size */
} option_cases[] = {
#define OPTION(name, vmid_bits, hafdbs, has_fwb, vtcr, hcr, ...) \
    {                                                            \
        name, vmid_bits, hafdbs, has_fwb, vtcr, hcr,             \
        {                                                        \
            .granule = K4, .ipa_bits = 40, __VA_ARGS__           \
        }                                                        \
    }
#define UPDATE(what) .hardware_update = S2_HARDWARE_UPDATE_##what
    OPTION("plain", 8, 0, false, 0x80023558, HCR_VM, .cpu = NULL),
    OPTION("16-bit VMIDs: VS", 16, 0, false, 0x800a3558, HCR_VM, .cpu = NULL),
    OPTION("walks past the caches: IRGN0, ORGN0", 8, 0, false, 0x80023058, HCR_VM,
           .walker = S2_WALKER_NON_COHERENT),
    OPTION("AF on a part with AF: HA", 8, 1, false, 0x80223558, HCR_VM, UPDATE(AF)),
    OPTION("AF on a part with dirty too: HA", 8, 2, false, 0x80223558, HCR_VM, UPDATE(AF)),
    OPTION("dirty: HA, HD", 8, 2, false, 0x80623558, HCR_VM, UPDATE(DIRTY)),
    OPTION("not asked for", 8, 2, false, 0x80023558, HCR_VM, UPDATE(NONE)),
    OPTION("FWB where it is", 8, 0, true, 0x80023558, HCR_VM_FWB, .cpu = NULL),
    OPTION("FWB not wanted", 8, 0, true, 0x80023558, HCR_VM, .force_write_back = S2_FWB_OFF),
    OPTION("LPA2 below 48 bits: DS", 8, 0, false, 0x180023558, HCR_VM, .lpa2 = S2_LPA2_ON),
    OPTION("LPA2 off", 8, 0, false, 0x80023558, HCR_VM, .lpa2 = S2_LPA2_OFF),
#undef OPTION
};

TEST_EACH(init_each_option_moves_its_bits_alone, COUNT(option_cases))
{
    const struct option_case *c = &option_cases[_i];
    struct s2_features cpu = plain_part(40);
    struct s2_config config = c->config;
    struct s2_geometry geometry;

    cpu.granule_4k = S2_GRANULE_52_BITS;
    cpu.vmid_bits = c->vmid_bits;
    cpu.hafdbs = c->hafdbs;
    cpu.has_fwb = c->has_fwb;
    config.cpu = &cpu;
    ck_assert_int_eq(s2_geometry_init(&geometry, &config, NULL), MAPPING_OK);
    ck_assert_msg(geometry.vtcr == c->vtcr, "%s: VTCR_EL2 %llx", c->name,
                  (unsigned long long)geometry.vtcr);
    ck_assert_msg(geometry.hcr == c->hcr, "%s: HCR_EL2 %llx", c->name,
                  (unsigned long long)geometry.hcr);
    ck_assert(s2_geometry_has_fwb(&geometry) == (c->hcr != HCR_VM));
    ck_assert(s2_geometry_has_access_flag(&geometry) == ((c->vtcr & 0x200000) != 0));
    ck_assert(s2_geometry_has_dirty(&geometry) == ((c->vtcr & 0x400000) != 0));
}

/* --- Leaves and runs -------------------------------------------------------------------------- */

/* By granule, plain and with 52-bit addresses: leaves by level -1..3, log2 of bytes and of a run's
 * entries, 0 where there is none. */
static const struct leaf_case {
    enum s2_granule granule;
    unsigned pa_bits;
    uint8_t leaf[S2_LEVEL_COUNT];
    uint8_t run[S2_LEVEL_COUNT];
    unsigned table_entries;
} leaf_cases[] = {
    {K4, 48, {0, 0, 30, 21, 12}, {0, 0, 4, 4, 4}, 512},
    {K4, 52, {0, 39, 30, 21, 12}, {0, 0, 4, 4, 4}, 512},
    {K16, 48, {0, 0, 0, 25, 14}, {0, 0, 0, 5, 7}, 2048},
    {K16, 52, {0, 0, 36, 25, 14}, {0, 0, 0, 5, 7}, 2048},
    {K64, 48, {0, 0, 0, 29, 16}, {0, 0, 0, 5, 5}, 8192},
    {K64, 52, {0, 0, 42, 29, 16}, {0, 0, 0, 5, 5}, 8192},
};

TEST_EACH(init_gives_the_granules_leaves_and_runs, COUNT(leaf_cases))
{
    const struct leaf_case *c = &leaf_cases[_i];
    const struct s2_config config = {
        .cpu = &FULL, .granule = c->granule, .ipa_bits = 40, .pa_bits = c->pa_bits};
    struct s2_geometry geometry;

    ck_assert_int_eq(s2_geometry_init(&geometry, &config, NULL), MAPPING_OK);
    for (int level = -1; level <= 3; level++) {
        const uint8_t shift = c->leaf[level + 1];

        ck_assert_msg(s2_level_is_leaf(&geometry, level) == (shift != 0), "level %d", level);
        ck_assert_uint_eq(geometry.run_shift[level + 1], c->run[level + 1]);
        if (shift != 0) {
            ck_assert_uint_eq(s2_level_shift(&geometry, level), shift);
            ck_assert_uint_eq(s2_level_size(&geometry, level), UINT64_C(1) << shift);
        }
    }
    ck_assert_uint_eq(s2_table_entries(&geometry), c->table_entries);
    ck_assert_uint_eq(s2_granule_size(&geometry), (uint64_t)c->table_entries * 8);
    ck_assert_uint_eq(geometry.stride, (unsigned)c->granule - 3);
}

TEST(stretch_of_entries_is_their_ipas)
{
    const struct s2_features cpu = plain_part(40);
    struct s2_geometry geometry;
    struct ipa_range range;

    ck_assert_int_eq(
        s2_geometry_init(&geometry, &(struct s2_config){.cpu = &cpu, .granule = K4, .ipa_bits = 40},
                         NULL),
        MAPPING_OK);
    range = s2_entry_stretch(&geometry, 2, ipa_of(0x40000000), 3, 7);
    ck_assert(ipa_range_eq(range, ipa_range(0x40600000, 0x800000)));
    range = s2_entry_stretch(&geometry, 1, ipa_of(0), 1023, 1024);
    ck_assert(ipa_range_eq(range, ipa_range(0xffc0000000, 0x40000000)));
    ck_assert_uint_eq(s2_root_size(&geometry), 0x2000);
}

/* --- Every size against the software MMU ------------------------------------------------------ */

/* A root of empty entries at the top of the output size; nothing else answers. */
struct root {
    uint64_t pa, size;
};

static bool root_read(void *memory, uint64_t pa, uint64_t *value)
{
    const struct root *root = memory;

    *value = 0;
    return pa >= root->pa && pa - root->pa < root->size;
}

/* What the MMU would allow: the start level that serves best, and the order of its root. */
struct choice {
    int level; /* 4: none */
    unsigned order;
};

/* A level's block sizes are kept if it starts no deeper than the largest plain block. */
static int last_start(enum s2_granule granule)
{
    return granule == K4 ? 1 : 2;
}

static uint64_t probe_vtcr(enum s2_granule granule, unsigned ipa_bits, unsigned pa_bits, bool ds)
{
    static const unsigned sizes[7] = {32, 36, 40, 42, 44, 48, 52};
    const uint64_t tg0 = granule == K4 ? 0 : granule == K64 ? 1 : 2;
    uint64_t ps = 0;

    while (sizes[ps] != pa_bits) {
        ps++;
    }
    return VTCR_COMMON | (64 - ipa_bits) | tg0 << 14 | ps << 16 | (uint64_t)ds << 32;
}

/* The manual's pseudocode starts 16K at level 0 wherever DS is 1; others who read the manual want a
 * 52-bit part as well. The library starts where nobody objects. */
static bool all_readers_agree(enum s2_granule granule, int level, unsigned pa_bits)
{
    return granule != K16 || level > 0 || pa_bits == 52;
}

/* Try all eight pairs of SL2 and SL0. */
static struct choice mmu_choice(const struct mmu_cpu *cpu, const struct s2_config *config,
                                unsigned pa_bits, bool ds)
{
    const enum s2_granule granule = config->granule;
    const enum s2_root root = config->root;
    const uint64_t vtcr = probe_vtcr(granule, config->ipa_bits, pa_bits, ds);
    struct choice best = {4, 0};

    for (uint64_t pair = 0; pair < 8; pair++) {
        const struct mmu mmu = {.vtcr = vtcr | (pair & 3) << 6 | (pair >> 2) << 33,
                                .hcr = HCR_VM,
                                .cpu = *cpu,
                                .options = MMU_PS_BOUNDS_IPA};
        const int level = mmu_start_level(&mmu);
        unsigned order = 0;

        if (level > last_start(granule) || mmu_config_problem(&mmu) != NULL ||
            !all_readers_agree(granule, level, pa_bits)) {
            continue;
        }
        while ((UINT64_C(1) << granule) << order < mmu_root_size(&mmu)) {
            order++;
        }
        if (best.level == 4 ||
            (root == S2_ROOT_SMALL && order != best.order ? order < best.order
                                                          : level > best.level)) {
            best = (struct choice){level, order};
        }
    }
    return best;
}

/* Tells of the configuration at hand; an assertion of libcheck, which tells the parent process each
 * time where it stands, is too slow for so many. */
#define REQUIRE(condition, config)                                                                \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            ck_abort_msg("granule %d, %u-bit part, lpa2 %d, root %d, ipa %u, pa %u: %s",          \
                         (int)(config)->granule, (config)->cpu->pa_bits, (int)(config)->lpa2,     \
                         (int)(config)->root, (config)->ipa_bits, (config)->pa_bits, #condition); \
        }                                                                                         \
    } while (0)

/* Walk an empty root: the fault tells where hardware started. */
static void check_walk(const struct s2_config *config, const struct s2_geometry *geometry,
                       const struct mmu_cpu *cpu)
{
    const uint64_t root_size = s2_root_size(geometry);
    struct root root = {(UINT64_C(1) << geometry->pa_bits) - root_size, root_size};
    const uint64_t vttbr = s2_geometry_vttbr(geometry, pa_of(root.pa), 0x5a);
    const uint64_t end = UINT64_C(1) << geometry->ipa_bits;
    const uint64_t ipas[] = {0, 0x12345678, end / 2, end - 1};

    for (unsigned options = 0; options <= MMU_PS_BOUNDS_IPA; options += MMU_PS_BOUNDS_IPA) {
        const struct mmu mmu = {geometry->vtcr, vttbr,     geometry->hcr, *cpu,
                                options,        root_read, &root};

        REQUIRE(mmu_config_problem(&mmu) == NULL, config);
        REQUIRE(mmu_input_bits(&mmu) == config->ipa_bits, config);
        REQUIRE(mmu_root_pa(&mmu) == root.pa && mmu_vmid(&mmu) == 0x5a, config);
        REQUIRE(mmu_root_size(&mmu) == (uint64_t)s2_root_entries(geometry) * 8, config);
        for (size_t i = 0; i < COUNT(ipas); i++) {
            const struct mmu_result result = mmu_translate(&mmu, ipas[i], MMU_READ);

            REQUIRE(result.status == MMU_TRANSLATION && !result.config, config);
            REQUIRE(result.level == geometry->start_level, config);
            REQUIRE(result.hole_size == s2_level_size(geometry, result.level), config);
        }
        REQUIRE(mmu_translate(&mmu, end, MMU_READ).level == 0, config);
        REQUIRE(mmu_translate(&mmu, end, MMU_READ).walk_count == 0, config);
    }
}

/* The output size and format that the header promises for @config, or false: it is refused. */
static bool expect_sizes(const struct s2_config *config, unsigned *pa_bits, bool *ds)
{
    const bool is_52 = s2_features_granule(config->cpu, config->granule) == S2_GRANULE_52_BITS;
    const bool asks_wide = config->ipa_bits > 48 || config->pa_bits > 48;
    unsigned reach;

    *ds = config->granule != K64 &&
          (config->lpa2 == S2_LPA2_ON || (config->lpa2 == S2_LPA2_AUTO && asks_wide));
    if ((*ds && !is_52) || (config->granule == K64 && config->lpa2 == S2_LPA2_ON)) {
        return false;
    }
    reach = *ds || (config->granule == K64 && is_52) ? 52 : 48;
    if (reach > config->cpu->pa_bits) {
        reach = config->cpu->pa_bits;
    }
    *pa_bits = config->pa_bits == 0 ? reach : config->pa_bits;
    return *pa_bits <= reach;
}

/* Every input size has a start level on every part whose output size it does not exceed; and where
 * it starts, the plain blocks are kept: 1G with 4K, 32M with 16K, 512M with 64K. */
static void check_size(const struct s2_config *config)
{
    const struct mmu_cpu cpu = mmu_part(config->cpu);
    struct choice choice = {4, 0};
    struct s2_geometry geometry;
    const char *reason = NULL;
    unsigned pa_bits = 0;
    bool ds = false;
    const bool is_possible = expect_sizes(config, &pa_bits, &ds);
    const enum mapping_error error = s2_geometry_init(&geometry, config, &reason);

    if (is_possible) {
        choice = mmu_choice(&cpu, config, pa_bits, ds);
    }
    REQUIRE(error == (choice.level == 4 ? MAPPING_UNSUPPORTED : MAPPING_OK), config);
    REQUIRE(error == MAPPING_OK || !is_possible || config->ipa_bits > pa_bits, config);
    if (error != MAPPING_OK) {
        REQUIRE(reason != NULL, config);
        return;
    }
    REQUIRE(geometry.start_level == choice.level, config);
    REQUIRE(s2_level_is_leaf(&geometry, last_start(config->granule)), config);
    REQUIRE(geometry.root_order == choice.order, config);
    REQUIRE(geometry.pa_bits == pa_bits && geometry.has_lpa2 == ds, config);
    check_walk(config, &geometry, &cpu);
}

/* Granule, then part, then every size and option. */
TEST_EACH(init_every_size_is_what_the_software_mmu_takes, 21)
{
    static const unsigned pa_sizes[] = {0, 32, 36, 40, 42, 44, 48, 52};
    static const enum s2_granule granules[] = {K4, K16, K64};
    const unsigned part_bits = pa_sizes[1 + _i % 7];
    const struct s2_features parts[] = {plain_part(part_bits), wide_part(part_bits)};

    for (size_t part = 0; part < COUNT(parts); part++) {
        struct s2_config config = {.cpu = &parts[part], .granule = granules[_i / 7]};

        for (unsigned option = 0; option < COUNT(pa_sizes) * 6; option++) {
            config.pa_bits = pa_sizes[option / 6];
            config.lpa2 = (enum s2_lpa2)(option % 3);
            config.root = (enum s2_root)(option / 3 % 2);
            for (config.ipa_bits = 32; config.ipa_bits <= 52; config.ipa_bits++) {
                check_size(&config);
            }
        }
    }
}

/* It is as if the largest size that is not refused had been asked for, but that it asks for no LPA2. */
TEST_EACH(init_without_an_input_size_takes_the_largest, 21)
{
    static const unsigned sizes[] = {32, 36, 40, 42, 44, 48, 52};
    static const enum s2_granule granules[] = {K4, K16, K64};
    const struct s2_features parts[] = {plain_part(sizes[_i % 7]), wide_part(sizes[_i % 7])};

    for (unsigned option = 0; option < COUNT(parts) * 3; option++) {
        struct s2_config config = {.cpu = &parts[option / 3],
                                   .granule = granules[_i / 7],
                                   .lpa2 = (enum s2_lpa2)(option % 3)};
        const unsigned most = config.granule != K64 && config.lpa2 != S2_LPA2_ON ? 48 : 52;
        struct s2_geometry found, asked;
        enum mapping_error error = s2_geometry_init(&found, &config, NULL);

        config.ipa_bits = most;
        while (s2_geometry_init(&asked, &config, NULL) != MAPPING_OK && config.ipa_bits > 31) {
            config.ipa_bits--;
        }
        ck_assert_int_eq(error == MAPPING_OK, config.ipa_bits > 31);
        ck_assert(error != MAPPING_OK || found.ipa_bits == config.ipa_bits);
        ck_assert(error != MAPPING_OK || found.vtcr == asked.vtcr);
    }
}

/* Of two tables at level 1 and one at level 0 the second is the smaller root; all the same. */
TEST(init_16k_starts_at_level_0_on_52_bit_parts_alone)
{
    struct s2_features cpu = FULL;
    struct s2_config config = {
        .cpu = &cpu, .granule = K16, .ipa_bits = 48, .lpa2 = S2_LPA2_ON, .root = S2_ROOT_SMALL};
    struct s2_geometry geometry;

    ck_assert_int_eq(s2_geometry_init(&geometry, &config, NULL), MAPPING_OK);
    ck_assert(geometry.start_level == 0 && geometry.root_order == 0);
    cpu.pa_bits = 48;
    ck_assert_int_eq(s2_geometry_init(&geometry, &config, NULL), MAPPING_OK);
    ck_assert(geometry.start_level == 1 && geometry.root_order == 1);
}
