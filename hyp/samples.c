#include "hyp/samples.h"

#include "hyp/machine.h"

#define KIB BIT(10)
#define MIB BIT(20)
#define GIB BIT(30)
#define PAGE (4 * KIB)
#define BLOCK (2 * MIB)

/* Of the guest's memory no byte is touched, so any PA does that is no RAM of ours. */
#define SAMPLES_PA (16 * GIB)

#define PAGES_IPA (2 * GIB)
#define PAGES_STRIDE (3 * PAGE) /* a hole beside each */
#define BLOCKS_IPA (2 * GIB + 512 * MIB)
#define BLOCKS_STRIDE (2 * BLOCK)
#define RUNS_IPA (3 * GIB + 64 * KIB)
#define RUNS_SIZE (2 * BLOCK - 128 * KIB)
#define GIGABYTE_IPA GIB
#define CUT_PAGE (GIGABYTE_IPA + 123 * BLOCK + 45 * PAGE)
#define CUT_BLOCK (GIGABYTE_IPA + 77 * BLOCK)
#define RW (S2_READ | S2_WRITE)

static const mapping_flags_t types[] = {S2_NORMAL,        S2_NORMAL_NC,   S2_DEVICE_nGnRnE,
                                        S2_DEVICE_nGnRE,  S2_DEVICE_nGRE, S2_DEVICE_GRE,
                                        S2_NORMAL_STAGE1, S2_NORMAL_WT};
static const mapping_flags_t permissions[] = {0, S2_READ, S2_WRITE, RW};
static const mapping_flags_t extras[] = {S2_SH_OUTER, S2_SH_NONE, S2_NO_AF, S2_SOFT0 | S2_SOFT1};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SAMPLE_COUNT (COUNT(types) * COUNT(permissions))

static bool map_at(struct s2_space *space, uint64_t ipa, uint64_t size, uint64_t pa,
                   mapping_flags_t flags)
{
    return s2_space_map_linear(space, ipa_range(ipa, size), pa_of(pa), flags) == MAPPING_OK;
}

static bool map(struct s2_space *space, uint64_t ipa, uint64_t size, mapping_flags_t flags)
{
    return map_at(space, ipa, size, SAMPLES_PA + ipa, flags);
}

static bool can_have(struct s2_space *space, mapping_flags_t flags)
{
    bool fwb = s2_geometry_has_fwb(s2_table_geometry(s2_space_table(space)));

    switch (flags & S2_TYPE) {
    case S2_NORMAL_STAGE1:
        return fwb;
    case S2_NORMAL_WT:
        return !fwb;
    default:
        return true;
    }
}

/* Every type with every permission, @size bytes each. */
static bool map_kinds(struct s2_space *space, uint64_t ipa, uint64_t size, uint64_t stride)
{
    bool holds = true;

    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        mapping_flags_t flags = types[i / COUNT(permissions)] | permissions[i % COUNT(permissions)];

        holds = map(space, ipa + i * stride, size, flags) == can_have(space, flags) && holds;
    }
    return holds;
}

static bool map_extras(struct s2_space *space, uint64_t ipa)
{
    bool holds = true;

    for (size_t i = 0; i < COUNT(extras); i++) {
        holds = map(space, ipa + i * PAGES_STRIDE, PAGE, RW | extras[i]) && holds;
    }
    return holds;
}

/* Where hardware keeps dirty state: writable, but nobody has written yet. */
static bool map_clean(struct s2_space *space, uint64_t ipa)
{
    bool dirty = s2_geometry_has_dirty(s2_table_geometry(s2_space_table(space)));

    return map(space, ipa, PAGE, S2_READ | S2_DBM) == dirty;
}

/* A block, then a page cut out, a part made read-only, another given another type. */
static bool map_gigabyte(struct s2_space *space)
{
    struct ipa_range page = ipa_range(CUT_PAGE, PAGE);
    struct ipa_range block = ipa_range(CUT_BLOCK, BLOCK);
    struct ipa_range odd = ipa_range(CUT_BLOCK + 3 * BLOCK + PAGE, 5 * PAGE);

    return map(space, GIGABYTE_IPA, GIB, RW) && s2_space_unmap(space, page) == MAPPING_OK &&
           s2_space_protect(space, block, S2_READ) == MAPPING_OK &&
           s2_space_protect(space, odd, RW | S2_NORMAL_NC) == MAPPING_OK;
}

static void aim_at(struct samples *samples, uint64_t ipa, uint64_t size)
{
    samples->ranges[samples->range_count++] = ipa_range(ipa, size);
}

bool samples_map(struct s2_space *space, struct samples *samples)
{
    uint64_t extras_ipa = PAGES_IPA + SAMPLE_COUNT * PAGES_STRIDE;
    uint64_t clean_ipa = extras_ipa + COUNT(extras) * PAGES_STRIDE;
    uint64_t last = BIT(s2_table_geometry(s2_space_table(space))->ipa_bits) - PAGE;

    samples->range_count = 0;
    aim_at(samples, 0, 2 * PAGE);
    aim_at(samples, last - PAGE, 2 * PAGE);
    aim_at(samples, PAGES_IPA, SAMPLE_COUNT * PAGES_STRIDE + 16 * PAGE);
    aim_at(samples, BLOCKS_IPA, SAMPLE_COUNT * BLOCKS_STRIDE);
    aim_at(samples, RUNS_IPA - 64 * KIB, 2 * BLOCK);
    aim_at(samples, GIGABYTE_IPA - PAGE, GIB + 2 * PAGE);
    aim_at(samples, CUT_PAGE - PAGE, 3 * PAGE);
    aim_at(samples, CUT_BLOCK - BLOCK, 6 * BLOCK);
    return map(space, 0, PAGE, RW) && map_at(space, last, PAGE, SAMPLES_PA - PAGE, S2_READ) &&
           map_kinds(space, PAGES_IPA, PAGE, PAGES_STRIDE) &&
           map_kinds(space, BLOCKS_IPA, BLOCK, BLOCKS_STRIDE) && map_extras(space, extras_ipa) &&
           map_clean(space, clean_ipa) && map(space, RUNS_IPA, RUNS_SIZE, RW) &&
           map_gigabyte(space);
}
