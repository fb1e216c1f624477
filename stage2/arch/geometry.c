#include "stage2/arch/geometry.h"

#include <stddef.h>

#define VTCR_T0SZ MAPPING_FIELD(5, 0)
#define VTCR_SL0 MAPPING_FIELD(7, 6)
#define VTCR_IRGN0 MAPPING_FIELD(9, 8)
#define VTCR_ORGN0 MAPPING_FIELD(11, 10)
#define VTCR_SH0 MAPPING_FIELD(13, 12)
#define VTCR_TG0 MAPPING_FIELD(15, 14)
#define VTCR_PS MAPPING_FIELD(18, 16)
#define VTCR_VS MAPPING_BIT(19)
#define VTCR_HA MAPPING_BIT(21)
#define VTCR_HD MAPPING_BIT(22)
#define VTCR_RES1 MAPPING_BIT(31)
#define VTCR_DS MAPPING_BIT(32)
#define VTCR_SL2 MAPPING_BIT(33)

#define HCR_VM MAPPING_BIT(0)
#define HCR_FWB MAPPING_BIT(46)
_Static_assert((HCR_VM | HCR_FWB) == UINT64_C(0x0000400000000001), "HCR_EL2");

#define VTTBR_VMID MAPPING_FIELD(63, 48)
#define VTTBR_CNP MAPPING_BIT(0)
#define VTTBR_BADDR_HIGH MAPPING_FIELD(5, 2) /* PA [51:48] of a root in the 52-bit forms */
#define PA_LOW_48 MAPPING_FIELD(47, 0)
#define PA_HIGH MAPPING_FIELD(51, 48)

enum { CACHE_WRITE_BACK = 1, CACHE_NONE = 0, SHARE_INNER = 3 };

/* 4K, 40-bit input, start at level 1, write-back and inner shareable walks, 40-bit PA. */
_Static_assert((VTCR_RES1 | MAPPING_FIELD_PREP(VTCR_T0SZ, 64 - 40) |
                MAPPING_FIELD_PREP(VTCR_SL0, 1) | MAPPING_FIELD_PREP(VTCR_IRGN0, CACHE_WRITE_BACK) |
                MAPPING_FIELD_PREP(VTCR_ORGN0, CACHE_WRITE_BACK) |
                MAPPING_FIELD_PREP(VTCR_SH0, SHARE_INNER) | MAPPING_FIELD_PREP(VTCR_TG0, 0) |
                MAPPING_FIELD_PREP(VTCR_PS, 2)) == UINT64_C(0x80023558),
               "VTCR_EL2 of a plain guest");
_Static_assert((VTCR_VS | VTCR_HA | VTCR_HD) == UINT64_C(0x00680000), "VTCR_EL2 options");
_Static_assert((VTCR_DS | VTCR_SL2) == UINT64_C(0x0000000300000000), "VTCR_EL2 of LPA2");
_Static_assert(MAPPING_FIELD_PREP(VTTBR_VMID, 0x1234) == UINT64_C(0x1234000000000000), "VMID");
_Static_assert(MAPPING_FIELD_PREP(VTTBR_BADDR_HIGH, MAPPING_FIELD_GET(PA_HIGH, MAPPING_BIT(51))) ==
                   MAPPING_BIT(5),
               "PA bit 51 of a root is VTTBR_EL2 bit 5");

#define IPA_BITS_MIN 32
#define IPA_BITS_MAX 52
#define CONCATENATION_ORDER_MAX 4

/* CTR_EL0.DminLine: log2 of words of 4 bytes, in 4 bits. */
#define LINE_MIN 4U
#define LINE_MAX (4U << 15)

/* By level, -1..3: what stands at index level - S2_LEVEL_FIRST. */
#define BY_LEVEL(m1, l0, l1, l2, l3) \
    {                                \
        m1, l0, l1, l2, l3           \
    }
#define LEVEL_BIT(level) (1U << ((level)-S2_LEVEL_FIRST))
_Static_assert(LEVEL_BIT(S2_LEVEL_PAGE) <= UINT8_MAX, "a bit of leaf_levels for each level");

/* What the manual's tables say of one granule. */
struct granule_rules {
    enum s2_granule granule;
    uint8_t tg0;                 /* VTCR_EL2.TG0 */
    int first_level;             /* nearest start level to the root, plain */
    int first_level_lpa2;        /* and with DS = 1 */
    int last_start_level;        /* a start level beyond it would cost a plain block size */
    uint8_t leaf_levels;         /* where leaves may stand, plain */
    uint8_t leaf_levels_wide;    /* with 52-bit addresses */
    uint8_t sl0[S2_LEVEL_COUNT]; /* VTCR_EL2.SL0 */
    uint8_t start_pa_bits[S2_LEVEL_COUNT]; /* least PA size that allows to start here, where that
                                            * says more than an input size that needs the level */
    uint8_t run_shift[S2_LEVEL_COUNT];     /* log2 entries of a contiguous run */
};

static const struct granule_rules GRANULES[] = {
    {
        .granule = S2_GRANULE_4K,
        .tg0 = 0,
        .first_level = 0,
        .first_level_lpa2 = -1,
        .last_start_level = 1,
        .leaf_levels = LEVEL_BIT(1) | LEVEL_BIT(2) | LEVEL_BIT(3),
        .leaf_levels_wide = LEVEL_BIT(0) | LEVEL_BIT(1) | LEVEL_BIT(2) | LEVEL_BIT(3),
        .sl0 = BY_LEVEL(0, 2, 1, 0, 3),
        .start_pa_bits = BY_LEVEL(0, 44, 0, 0, 0),
        .run_shift = BY_LEVEL(0, 0, 4, 4, 4),
    },
    {
        .granule = S2_GRANULE_16K,
        .tg0 = 2,
        .first_level = 1,
        .first_level_lpa2 = 0,
        .last_start_level = 2,
        .leaf_levels = LEVEL_BIT(2) | LEVEL_BIT(3),
        .leaf_levels_wide = LEVEL_BIT(1) | LEVEL_BIT(2) | LEVEL_BIT(3),
        .sl0 = BY_LEVEL(0, 3, 2, 1, 0),
        /* Level 0: the manual's pseudocode is content with DS; the emulator is not. */
        .start_pa_bits = BY_LEVEL(0, 52, 42, 0, 0),
        .run_shift = BY_LEVEL(0, 0, 0, 5, 7),
    },
    {
        .granule = S2_GRANULE_64K,
        .tg0 = 1,
        .first_level = 1,
        .first_level_lpa2 = 1,
        .last_start_level = 2,
        .leaf_levels = LEVEL_BIT(2) | LEVEL_BIT(3),
        .leaf_levels_wide = LEVEL_BIT(1) | LEVEL_BIT(2) | LEVEL_BIT(3),
        .sl0 = BY_LEVEL(0, 0, 2, 1, 0),
        .start_pa_bits = BY_LEVEL(0, 0, 0, 0, 0),
        .run_shift = BY_LEVEL(0, 0, 0, 5, 5),
    },
};

static enum mapping_error refuse(enum mapping_error error, const char *why, const char **reason)
{
    if (reason != NULL) {
        *reason = why;
    }
    return error;
}

static const struct granule_rules *granule_rules(enum s2_granule granule)
{
    for (size_t i = 0; i < sizeof(GRANULES) / sizeof(GRANULES[0]); i++) {
        if (GRANULES[i].granule == granule) {
            return &GRANULES[i];
        }
    }
    return NULL;
}

/* VTCR_EL2.PS and ID_AA64MMFR0_EL1.PARange share one code; -1: no such size. */
static int pa_bits_encode(unsigned pa_bits)
{
    static const unsigned char sizes[] = {32, 36, 40, 42, 44, 48, 52};

    for (size_t i = 0; i < sizeof(sizes); i++) {
        if (sizes[i] == pa_bits) {
            return (int)i;
        }
    }
    return -1;
}

/* A number that has a last value, and what is said of one beyond it. */
struct bound {
    unsigned value;
    unsigned last;
    const char *why;
};

static enum mapping_error check_bounds(const struct bound bounds[], size_t count,
                                       const char **reason)
{
    for (size_t i = 0; i < count; i++) {
        if (bounds[i].value > bounds[i].last) {
            return refuse(MAPPING_INVALID_PARAM, bounds[i].why, reason);
        }
    }
    return MAPPING_OK;
}

/* A value that is none is never taken for one: what it would mean is nobody's decision. */
static enum mapping_error check_options(const struct s2_config *config, const char **reason)
{
    const struct bound bounds[] = {
        {config->lpa2, S2_LPA2_ON, "lpa2 has no such value"},
        {config->root, S2_ROOT_SMALL, "root has no such value"},
        {config->walker, S2_WALKER_NON_COHERENT, "walker has no such value"},
        {config->force_write_back, S2_FWB_OFF, "force_write_back has no such value"},
        {config->hardware_update, S2_HARDWARE_UPDATE_DIRTY, "hardware_update has no such value"},
        {config->contiguous, S2_CONTIGUOUS_OFF, "contiguous has no such value"},
        {config->write_execute, S2_WRITE_EXECUTE_DENIED, "write_execute has no such value"},
        {config->transient, S2_TRANSIENT_REFUSED, "transient has no such value"},
        {config->size_change, S2_SIZE_CHANGE_DIRECT, "size_change has no such value"},
        {config->tlb_ranges, S2_TLB_RANGES_ON, "tlb_ranges has no such value"},
        {config->relax, S2_RELAX_HERE, "relax has no such value"},
        {config->tlbi_repeat, S2_TLBI_TWICE, "tlbi_repeat has no such value"},
        {config->common, S2_COMMON_PROMISED, "common has no such value"},
        {config->speculative_at, S2_WORKAROUND_OFF, "speculative_at has no such value"},
        {config->hcr_write, S2_WORKAROUND_OFF, "hcr_write has no such value"},
        {config->unusable_updates, S2_WORKAROUND_OFF, "unusable_updates has no such value"},
    };

    return check_bounds(bounds, sizeof(bounds) / sizeof(bounds[0]), reason);
}

/* Features that s2_features_decode() did not make may be anything. */
static enum mapping_error check_features(const struct s2_features *cpu, const char **reason)
{
    const struct bound bounds[] = {
        {cpu->granule_4k, S2_GRANULE_52_BITS, "the CPU's 4K granule has no such support"},
        {cpu->granule_16k, S2_GRANULE_52_BITS, "the CPU's 16K granule has no such support"},
        {cpu->granule_64k, S2_GRANULE_52_BITS, "the CPU's 64K granule has no such support"},
        {cpu->hafdbs, 2, "the CPU's hafdbs is none of 0, 1, 2"},
        {cpu->bbm, 2, "the CPU's bbm is none of 0, 1, 2"},
        {cpu->tlb, 2, "the CPU's tlb is none of 0, 1, 2"},
    };

    if (pa_bits_encode(cpu->pa_bits) < 0) {
        return refuse(MAPPING_INVALID_PARAM, "the CPU's output size is not one that PARange has",
                      reason);
    }
    if (cpu->vmid_bits != 8 && cpu->vmid_bits != 16) {
        return refuse(MAPPING_INVALID_PARAM, "the CPU's VMIDs have neither 8 nor 16 bits", reason);
    }
    if (!mapping_u64_is_pow2(cpu->dcache_line) || cpu->dcache_line < LINE_MIN ||
        cpu->dcache_line > LINE_MAX) {
        return refuse(MAPPING_INVALID_PARAM,
                      "the CPU's smallest data cache line is not one that CTR_EL0 has", reason);
    }
    return check_bounds(bounds, sizeof(bounds) / sizeof(bounds[0]), reason);
}

/* Whether the numbers are any CPU's at all, before asking whether they are this one's. */
static enum mapping_error check_numbers(const struct s2_config *config, const char **reason)
{
    enum mapping_error error;

    if (config->cpu == NULL) {
        return refuse(MAPPING_INVALID_PARAM, "no CPU features given", reason);
    }
    if (granule_rules(config->granule) == NULL) {
        return refuse(MAPPING_INVALID_PARAM, "the granule is none of 4K, 16K, 64K", reason);
    }
    if (config->ipa_bits != 0 &&
        (config->ipa_bits < IPA_BITS_MIN || config->ipa_bits > IPA_BITS_MAX)) {
        return refuse(MAPPING_INVALID_PARAM, "the input size is neither 0 nor 32..52 bits", reason);
    }
    if (config->pa_bits != 0 && pa_bits_encode(config->pa_bits) < 0) {
        return refuse(MAPPING_INVALID_PARAM, "the output size is not one that VTCR_EL2.PS has",
                      reason);
    }
    error = check_features(config->cpu, reason);
    return error == MAPPING_OK ? check_options(config, reason) : error;
}

/* Whether the hardware may write AF, or dirty state, into these tables. */
static enum mapping_error check_update(const struct s2_config *config, const char **reason)
{
    const bool is_dirty = config->hardware_update == S2_HARDWARE_UPDATE_DIRTY;

    if (config->hardware_update == S2_HARDWARE_UPDATE_NONE) {
        return MAPPING_OK;
    }
    if ((unsigned)config->hardware_update > config->cpu->hafdbs) {
        return refuse(MAPPING_UNSUPPORTED, "the CPU does not update AF or dirty state", reason);
    }
    if (config->walker == S2_WALKER_NON_COHERENT) {
        return refuse(MAPPING_UNSUPPORTED,
                      "a walker that goes past the caches would write AF and dirty state past them",
                      reason);
    }
    if (s2_works_around(config->cpu, S2_ERRATUM_ACCESS_FLAG, config->unusable_updates) ||
        (is_dirty && s2_works_around(config->cpu, S2_ERRATUM_DIRTY, config->unusable_updates))) {
        return refuse(MAPPING_UNSUPPORTED,
                      "an erratum of the CPU makes its updates of AF or dirty state unusable",
                      reason);
    }
    return MAPPING_OK;
}

/* Address formats: DS for 4K and 16K, the wide OA for 64K, and the sizes that follow. */
static enum mapping_error decide_sizes(struct s2_geometry *geometry, const struct s2_config *config,
                                       const char **reason)
{
    const enum s2_granule_support support = s2_features_granule(config->cpu, config->granule);
    const bool is_64k = config->granule == S2_GRANULE_64K;
    const bool asks_wide = config->ipa_bits > 48 || config->pa_bits > 48;
    unsigned reach;

    if (support == S2_GRANULE_ABSENT) {
        return refuse(MAPPING_UNSUPPORTED, "the CPU lacks this granule at stage 2", reason);
    }
    if (is_64k && config->lpa2 == S2_LPA2_ON) {
        return refuse(MAPPING_UNSUPPORTED, "LPA2 is for the 4K and 16K granules", reason);
    }
    geometry->has_lpa2 =
        !is_64k && (config->lpa2 == S2_LPA2_ON || (config->lpa2 == S2_LPA2_AUTO && asks_wide));
    if (geometry->has_lpa2 && support != S2_GRANULE_52_BITS) {
        return refuse(MAPPING_UNSUPPORTED, "the CPU lacks LPA2 for this granule", reason);
    }
    reach = geometry->has_lpa2 || (is_64k && support == S2_GRANULE_52_BITS) ? 52 : 48;
    reach = (unsigned)mapping_u64_min(reach, config->cpu->pa_bits);
    if (config->pa_bits > reach) {
        return refuse(MAPPING_UNSUPPORTED, "the output size is beyond the CPU's or the format's",
                      reason);
    }
    geometry->pa_bits = config->pa_bits != 0 ? config->pa_bits : reach;
    geometry->has_lpa = is_64k && geometry->pa_bits == 52;
    geometry->ipa_bits = config->ipa_bits != 0 ? config->ipa_bits : geometry->pa_bits;
    if (geometry->ipa_bits > geometry->pa_bits) {
        return refuse(MAPPING_UNSUPPORTED, "the input size is larger than the output size", reason);
    }
    return MAPPING_OK;
}

/* Whether the tables may start at @level, and if so with how many of them (as an order). */
static bool start_is_legal(const struct s2_geometry *geometry, const struct granule_rules *rules,
                           int level, unsigned *order)
{
    const unsigned shift = s2_level_shift(geometry, level);
    const int first = geometry->has_lpa2 ? rules->first_level_lpa2 : rules->first_level;
    unsigned index_bits;

    MAPPING_ASSERT(s2_is_level(first) && first <= rules->last_start_level);
    if (level < first || geometry->ipa_bits <= shift ||
        geometry->pa_bits < rules->start_pa_bits[level - S2_LEVEL_FIRST]) {
        return false;
    }
    index_bits = geometry->ipa_bits - shift;
    *order = index_bits > geometry->stride ? index_bits - geometry->stride : 0;
    return *order <= CONCATENATION_ORDER_MAX;
}

/* Deepest level first: it walks least. S2_ROOT_SMALL goes on for a root of fewer tables. There is
 * always one: of a level's 16 tables at most the reach ends where that of the next begins, and an
 * input size is no larger than the output size, which has the level that it asks for. */
static void decide_start(struct s2_geometry *geometry, const struct granule_rules *rules,
                         enum s2_root root)
{
    bool found = false;
    unsigned order = 0;

    for (int level = rules->last_start_level; level >= S2_LEVEL_FIRST; level--) {
        if (start_is_legal(geometry, rules, level, &order) &&
            (!found || (root == S2_ROOT_SMALL && order < geometry->root_order))) {
            geometry->start_level = level;
            geometry->root_order = order;
            found = true;
        }
    }
    MAPPING_ASSERT(found);
}

static uint64_t vtcr_encode(const struct s2_geometry *geometry, const struct s2_config *config,
                            const struct granule_rules *rules)
{
    const unsigned cache = config->walker == S2_WALKER_COHERENT ? CACHE_WRITE_BACK : CACHE_NONE;
    uint64_t vtcr = VTCR_RES1;

    MAPPING_ASSERT(pa_bits_encode(geometry->pa_bits) >= 0);
    MAPPING_ASSERT(geometry->start_level >= 0 || geometry->has_lpa2);
    vtcr |= MAPPING_FIELD_PREP(VTCR_T0SZ, 64 - geometry->ipa_bits);
    vtcr |= MAPPING_FIELD_PREP(VTCR_SL0, rules->sl0[geometry->start_level - S2_LEVEL_FIRST]);
    vtcr |= MAPPING_FIELD_PREP(VTCR_IRGN0, cache) | MAPPING_FIELD_PREP(VTCR_ORGN0, cache);
    vtcr |=
        MAPPING_FIELD_PREP(VTCR_SH0, SHARE_INNER); /* under LPA2 the leaves' shareability, too */
    vtcr |= MAPPING_FIELD_PREP(VTCR_TG0, rules->tg0);
    vtcr |= MAPPING_FIELD_PREP(VTCR_PS, (unsigned)pa_bits_encode(geometry->pa_bits));
    vtcr |= config->cpu->vmid_bits == 16 ? VTCR_VS : 0;
    vtcr |= config->hardware_update >= S2_HARDWARE_UPDATE_AF ? VTCR_HA : 0;
    vtcr |= config->hardware_update >= S2_HARDWARE_UPDATE_DIRTY ? VTCR_HD : 0;
    vtcr |= geometry->has_lpa2 ? VTCR_DS : 0;
    vtcr |= geometry->start_level < 0 ? VTCR_SL2 : 0;
    return vtcr;
}

enum mapping_error s2_geometry_init(struct s2_geometry *geometry, const struct s2_config *config,
                                    const char **reason)
{
    const struct granule_rules *rules = granule_rules(config->granule);
    struct s2_geometry decided = {0};
    enum mapping_error error = check_numbers(config, reason);

    MAPPING_ASSERT(geometry != NULL);
    if (error != MAPPING_OK) {
        return error;
    }
    MAPPING_ASSERT(rules != NULL);
    decided.granule_shift = (unsigned)config->granule;
    decided.stride = decided.granule_shift - 3;
    error = decide_sizes(&decided, config, reason);
    if (error != MAPPING_OK) {
        return error;
    }
    decide_start(&decided, rules, config->root);
    error = check_update(config, reason);
    if (error != MAPPING_OK) {
        return error;
    }
    decided.leaf_levels =
        decided.has_lpa2 || decided.has_lpa ? rules->leaf_levels_wide : rules->leaf_levels;
    for (int i = 0; i < S2_LEVEL_COUNT; i++) {
        decided.run_shift[i] = config->contiguous == S2_CONTIGUOUS_ON ? rules->run_shift[i] : 0;
    }
    decided.vtcr = vtcr_encode(&decided, config, rules);
    decided.is_common = config->common == S2_COMMON_PROMISED && config->cpu->has_cnp &&
                        (config->cpu->errata & S2_ERRATUM_COMMON) == 0;
    decided.hcr = HCR_VM;
    if (config->force_write_back == S2_FWB_AUTO && config->cpu->has_fwb) {
        decided.hcr |= HCR_FWB;
    }
    MAPPING_ASSERT(s2_level_is_leaf(&decided, S2_LEVEL_PAGE));
    MAPPING_ASSERT(s2_root_entries(&decided) <= s2_table_entries(&decided) << decided.root_order);
    *geometry = decided;
    return MAPPING_OK;
}

bool s2_geometry_has_fwb(const struct s2_geometry *geometry)
{
    return (geometry->hcr & HCR_FWB) != 0;
}

bool s2_geometry_has_access_flag(const struct s2_geometry *geometry)
{
    return (geometry->vtcr & VTCR_HA) != 0;
}

bool s2_geometry_has_dirty(const struct s2_geometry *geometry)
{
    return (geometry->vtcr & VTCR_HD) != 0;
}

uint64_t s2_geometry_vttbr(const struct s2_geometry *geometry, pa_t root, uint16_t vmid)
{
    MAPPING_ASSERT(pa_is_aligned(root, s2_root_size(geometry)));
    MAPPING_ASSERT(pa_span_fits(root, s2_root_size(geometry), MAPPING_BIT(geometry->pa_bits)));

    return MAPPING_FIELD_PREP(VTTBR_VMID, vmid) | (root.raw & PA_LOW_48) |
           MAPPING_FIELD_PREP(VTTBR_BADDR_HIGH, MAPPING_FIELD_GET(PA_HIGH, root.raw)) |
           (geometry->is_common ? VTTBR_CNP : 0);
}

uint64_t s2_vttbr_with_vmid(uint64_t vttbr, uint16_t vmid)
{
    return (vttbr & ~VTTBR_VMID) | MAPPING_FIELD_PREP(VTTBR_VMID, vmid);
}

uint16_t s2_vttbr_vmid(uint64_t vttbr)
{
    return (uint16_t)MAPPING_FIELD_GET(VTTBR_VMID, vttbr);
}

enum mapping_error s2_config_cost(const struct s2_config *config, struct s2_cost *cost,
                                  const char **reason)
{
    struct s2_geometry geometry;
    const enum mapping_error error = s2_geometry_init(&geometry, config, reason);
    int largest;

    if (error != MAPPING_OK) {
        return error;
    }
    MAPPING_ASSERT(cost != NULL);
    largest = geometry.start_level;
    while (!s2_level_is_leaf(&geometry, largest)) {
        largest++;
    }
    *cost = (struct s2_cost){
        .levels = (unsigned)(S2_LEVEL_PAGE - geometry.start_level + 1),
        .root_tables = 1U << geometry.root_order,
        .root_bytes = s2_root_size(&geometry),
        .reach = MAPPING_BIT(geometry.ipa_bits),
        .largest_leaf = s2_level_size(&geometry, largest),
    };
    return MAPPING_OK;
}
