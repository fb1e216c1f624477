#include "tests/sim/mmu.h"

#define RES1_BIT UINT64_C(0x80000000) /* VTCR_EL2[31] */
#define DESC_AF (UINT64_C(1) << 10)
#define DESC_S2AP_WRITE (UINT64_C(1) << 7)
#define DESC_DBM (UINT64_C(1) << 51)
#define DESC_CONTIGUOUS (UINT64_C(1) << 52)
#define NO_LEVEL 4

/* Bits [hi:lo], as the manual writes them. */
static uint64_t field(uint64_t word, unsigned hi, unsigned lo)
{
    return (word << (63 - hi)) >> (63 - hi + lo);
}

static bool flag(uint64_t word, unsigned bit)
{
    return (word >> bit & 1) != 0;
}

static uint64_t low_mask(unsigned bits)
{
    return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The registers, decoded: what the walk of any address has in common. */
struct regime {
    const char *problem;   /* why every access faults; NULL: it does not */
    unsigned granule_bits; /* 12, 14 or 16 */
    unsigned stride;       /* index bits per level: 9, 11 or 13 */
    unsigned input_bits;
    unsigned output_bits; /* bound of every table and output address */
    int start_level;
    bool ds;            /* effective */
    bool lpa64k;        /* 64K granule on a 52-bit part: OA[51:48] in [15:12] */
    bool ha;            /* effective */
    bool hd;            /* effective, and HA with it */
    bool fwb;           /* effective */
    unsigned root_bits; /* log2 of the root's bytes */
    uint64_t root;
};

/* --- Identification -------------------------------------------------------------------------- */

static unsigned address_bits(unsigned code)
{
    static const unsigned bits[8] = {32, 36, 40, 42, 44, 48, 52, 52};

    return bits[code & 7];
}

/* 0 absent, 1 present, 2 with 52 bits. TGranX_2 speaks for stage 2 unless it is 0. */
static unsigned granule_support(uint64_t stage2_field, unsigned stage1_support)
{
    switch (stage2_field) {
    case 0:
        return stage1_support;
    case 2:
        return 1;
    case 3:
        return 2;
    default:
        return 0;
    }
}

struct mmu_cpu mmu_cpu_decode(uint64_t mmfr0, uint64_t mmfr1, uint64_t mmfr2)
{
    uint64_t gran4 = field(mmfr0, 31, 28);
    uint64_t gran16 = field(mmfr0, 23, 20);
    uint64_t pa_range = field(mmfr0, 3, 0);
    unsigned gran4_1 = gran4 == 0 ? 1 : gran4 == 1 ? 2 : 0;
    unsigned gran16_1 = gran16 == 1 ? 1 : gran16 == 2 ? 2 : 0;
    unsigned support4 = granule_support(field(mmfr0, 43, 40), gran4_1);
    unsigned support16 = granule_support(field(mmfr0, 35, 32), gran16_1);
    unsigned support64 = granule_support(field(mmfr0, 39, 36), field(mmfr0, 27, 24) == 0 ? 1 : 0);

    return (struct mmu_cpu){
        .pa_bits = pa_range > 6 ? 52 : address_bits((unsigned)pa_range),
        .has_4k = support4 != 0,
        .has_16k = support16 != 0,
        .has_64k = support64 != 0,
        .lpa2_4k = support4 == 2,
        .lpa2_16k = support16 == 2,
        .ttst = field(mmfr2, 31, 28) != 0,
        .xnx = field(mmfr1, 31, 28) != 0,
        .fwb = field(mmfr2, 43, 40) != 0,
        .vmid16 = field(mmfr1, 7, 4) == 2,
        .hafdbs = field(mmfr1, 3, 0) > 2 ? 2 : (unsigned)field(mmfr1, 3, 0),
        .bbm = field(mmfr2, 55, 52) > 2 ? 2 : (unsigned)field(mmfr2, 55, 52),
    };
}

/* --- Configuration --------------------------------------------------------------------------- */

static bool decode_granule(const struct mmu *mmu, struct regime *regime)
{
    const bool present[4] = {mmu->cpu.has_4k, mmu->cpu.has_64k, mmu->cpu.has_16k, false};
    const bool lpa2[4] = {mmu->cpu.lpa2_4k, false, mmu->cpu.lpa2_16k, false};
    static const unsigned bits[4] = {12, 16, 14, 0};
    uint64_t tg0 = field(mmu->vtcr, 15, 14);

    regime->granule_bits = bits[tg0];
    regime->stride = bits[tg0] - 3;
    regime->ds = flag(mmu->vtcr, 32) && lpa2[tg0];
    regime->lpa64k = bits[tg0] == 16 && mmu->cpu.pa_bits == 52;
    return present[tg0];
}

/* The PA size that bounds the input size and the start level. */
static unsigned physical_bits(const struct mmu *mmu)
{
    unsigned ps = address_bits((unsigned)field(mmu->vtcr, 18, 16));

    return (mmu->options & MMU_PS_BOUNDS_IPA) != 0 ? smaller(ps, mmu->cpu.pa_bits)
                                                   : mmu->cpu.pa_bits;
}

/* S2MinTxSZ, MaxTxSZ. Out of bounds it is the implementation's choice to clamp: here it faults. */
static bool input_size_is_legal(const struct mmu *mmu, const struct regime *regime)
{
    unsigned t0sz = (unsigned)field(mmu->vtcr, 5, 0);
    unsigned cap = regime->ds || regime->granule_bits == 16 ? 52 : 48;
    unsigned largest = mmu->cpu.ttst ? (regime->granule_bits == 16 ? 47 : 48) : 39;

    return t0sz <= largest && t0sz >= 64 - smaller(cap, physical_bits(mmu));
}

/* S2StartLevel and S2InvalidSL together. NO_LEVEL: reserved, or not on this part. */
static int start_level(const struct mmu *mmu, const struct regime *regime)
{
    unsigned sl0 = (unsigned)field(mmu->vtcr, 7, 6);
    unsigned pa_bits = physical_bits(mmu);
    bool sl2 = regime->granule_bits == 12 && regime->ds && flag(mmu->vtcr, 33);

    if (sl2) {
        return sl0 == 0 && pa_bits == 52 ? -1 : NO_LEVEL;
    }
    if (regime->granule_bits == 12) {
        static const int levels[4] = {2, 1, 0, 3};

        if ((sl0 == 2 && pa_bits < 44) || (sl0 == 3 && !mmu->cpu.ttst)) {
            return NO_LEVEL;
        }
        return levels[sl0];
    }
    /* 16K from level 0 asks for DS alone: with 48-bit input its root has two entries. */
    if (sl0 == 3) {
        return regime->granule_bits == 14 && regime->ds ? 0 : NO_LEVEL;
    }
    if (sl0 == 2 && pa_bits < (regime->granule_bits == 14 ? 42U : 44U)) {
        return NO_LEVEL;
    }
    return 3 - (int)sl0;
}

/* Number of input bits that an entry of @level does not resolve. */
static unsigned entry_bits(const struct regime *regime, int level)
{
    return regime->granule_bits + (unsigned)(3 - level) * regime->stride;
}

static void decode_root(const struct mmu *mmu, struct regime *regime)
{
    bool wide = regime->ds || (regime->lpa64k && field(mmu->vtcr, 18, 16) == 6);
    unsigned align;

    regime->root_bits = regime->input_bits - entry_bits(regime, regime->start_level) + 3;
    align = wide && regime->root_bits < 6 ? 6 : regime->root_bits;
    regime->root = field(mmu->vttbr, 47, 1) << 1;
    if (wide) {
        regime->root |= field(mmu->vttbr, 5, 2) << 48;
    }
    regime->root &= ~low_mask(align);
}

static struct regime decode_regime(const struct mmu *mmu)
{
    struct regime regime = {.start_level = NO_LEVEL};
    unsigned ps = address_bits((unsigned)field(mmu->vtcr, 18, 16));
    unsigned index_bits;

    if (!decode_granule(mmu, &regime)) {
        regime.problem = "the granule in TG0 is not there";
        return regime;
    }
    regime.input_bits = 64 - (unsigned)field(mmu->vtcr, 5, 0);
    regime.output_bits = smaller(ps, mmu->cpu.pa_bits);
    if (!regime.ds && regime.granule_bits != 16) {
        regime.output_bits = smaller(regime.output_bits, 48);
    }
    regime.ha = flag(mmu->vtcr, 21) && mmu->cpu.hafdbs >= 1;
    regime.hd = regime.ha && flag(mmu->vtcr, 22) && mmu->cpu.hafdbs >= 2;
    regime.fwb = flag(mmu->hcr, 46) && mmu->cpu.fwb;
    if (!input_size_is_legal(mmu, &regime)) {
        regime.problem = "T0SZ is out of bounds";
        return regime;
    }
    regime.start_level = start_level(mmu, &regime);
    if (regime.start_level == NO_LEVEL) {
        regime.problem = "the start level in SL0 and SL2 is not there";
        return regime;
    }
    /* S2InconsistentSL: at least one index bit, at most a stride and 16 tables. */
    index_bits = regime.input_bits - entry_bits(&regime, regime.start_level);
    if (regime.input_bits <= entry_bits(&regime, regime.start_level) ||
        index_bits > regime.stride + 4) {
        regime.problem = "the start level does not fit the input size";
        return regime;
    }
    decode_root(mmu, &regime);
    return regime;
}

const char *mmu_config_problem(const struct mmu *mmu)
{
    struct regime regime = decode_regime(mmu);
    uint64_t root_field = mmu->vttbr & UINT64_C(0x0000fffffffffffe);

    if (regime.problem != NULL) {
        return regime.problem;
    }
    if ((mmu->vtcr & RES1_BIT) == 0) {
        return "VTCR_EL2[31] is RES1";
    }
    if (field(mmu->vtcr, 18, 16) > 6 ||
        address_bits((unsigned)field(mmu->vtcr, 18, 16)) > mmu->cpu.pa_bits) {
        return "PS is more than the part has";
    }
    if (flag(mmu->vtcr, 32) != regime.ds || (flag(mmu->vtcr, 33) && regime.start_level != -1)) {
        return "DS or SL2 is set where it is RES0";
    }
    if (flag(mmu->vtcr, 21) != regime.ha || flag(mmu->vtcr, 22) != regime.hd) {
        return "HA or HD is set without the feature, or HD without HA";
    }
    if (flag(mmu->vtcr, 19) && !mmu->cpu.vmid16) {
        return "VS is set without 16-bit VMIDs";
    }
    if (!flag(mmu->vtcr, 19) && field(mmu->vttbr, 63, 56) != 0) {
        return "the VMID has more than 8 bits";
    }
    if (flag(mmu->hcr, 46) != regime.fwb) {
        return "FWB is set without the feature";
    }
    if (regime.ds || (regime.lpa64k && field(mmu->vtcr, 18, 16) == 6)) {
        root_field &= ~UINT64_C(0x3c);
    }
    if ((regime.root & UINT64_C(0x0000ffffffffffff)) != root_field) {
        return "the root is not aligned to its size";
    }
    if ((regime.root & ~low_mask(regime.output_bits)) != 0) {
        return "the root lies beyond PS";
    }
    return NULL;
}

int mmu_start_level(const struct mmu *mmu)
{
    struct regime regime = decode_regime(mmu);

    return regime.problem == NULL ? regime.start_level : NO_LEVEL;
}

unsigned mmu_input_bits(const struct mmu *mmu)
{
    struct regime regime = decode_regime(mmu);

    return regime.problem == NULL ? regime.input_bits : 0;
}

uint64_t mmu_root_size(const struct mmu *mmu)
{
    struct regime regime = decode_regime(mmu);

    return regime.problem == NULL ? UINT64_C(1) << regime.root_bits : 0;
}

uint64_t mmu_root_pa(const struct mmu *mmu)
{
    struct regime regime = decode_regime(mmu);

    return regime.problem == NULL ? regime.root : 0;
}

unsigned mmu_vmid(const struct mmu *mmu)
{
    bool wide = mmu->cpu.vmid16 && flag(mmu->vtcr, 19);

    return (unsigned)(wide ? field(mmu->vttbr, 63, 48) : field(mmu->vttbr, 55, 48));
}

/* --- Descriptors ----------------------------------------------------------------------------- */

enum desc_type { DESC_INVALID, DESC_TABLE, DESC_LEAF };

static bool block_is_legal(const struct regime *regime, int level)
{
    switch (regime->granule_bits) {
    case 12:
        return level == 1 || level == 2 || (level == 0 && regime->ds);
    case 14:
        return level == 2 || (level == 1 && regime->ds);
    default:
        return level == 2 || (level == 1 && regime->lpa64k);
    }
}

static enum desc_type desc_type(const struct regime *regime, uint64_t desc, int level)
{
    if (!flag(desc, 0)) {
        return DESC_INVALID;
    }
    if (flag(desc, 1)) {
        return level == 3 ? DESC_LEAF : DESC_TABLE;
    }
    return level < 3 && block_is_legal(regime, level) ? DESC_LEAF : DESC_INVALID;
}

/* The bits of a descriptor that hold its address, and that address, aligned to 2^@align. */
static uint64_t address_mask(const struct regime *regime, unsigned align)
{
    uint64_t mask = low_mask(48) & ~low_mask(align);

    if (regime->ds) {
        mask |= UINT64_C(0x0003000000000300);
    } else if (regime->lpa64k) {
        mask |= UINT64_C(0xf000);
    }
    return mask;
}

static uint64_t desc_address(const struct regime *regime, uint64_t desc, unsigned align)
{
    uint64_t address = desc & low_mask(48) & ~low_mask(align);

    if (regime->ds) {
        address |= field(desc, 49, 48) << 48 | field(desc, 9, 8) << 50;
    } else if (regime->lpa64k) {
        address |= field(desc, 15, 12) << 48;
    }
    return address;
}

/* log2 of the entries in a contiguous run at @level; 0: there is no such form. */
static unsigned run_bits(const struct regime *regime, int level)
{
    switch (regime->granule_bits) {
    case 12:
        return level >= 1 ? 4 : 0;
    case 14:
        return level == 3 ? 7 : level == 2 ? 5 : 0;
    default:
        return level >= 2 ? 5 : 0;
    }
}

static uint64_t table_res0(const struct regime *regime, uint64_t desc)
{
    return desc & ~(address_mask(regime, regime->granule_bits) | 3);
}

/* Everything that has no meaning on this part at this level. Bit 11 and [63:59] belong to features
 * that are not modelled. */
static uint64_t leaf_res0(const struct mmu *mmu, const struct regime *regime, uint64_t desc,
                          int level)
{
    uint64_t known = address_mask(regime, entry_bits(regime, level)) | 3;

    known |= UINT64_C(0x00000000000007fc); /* AF, SH, S2AP, MemAttr */
    known |= UINT64_C(0x07c0000000000000); /* software, XN[1] */
    if (regime->fwb) {
        known &= ~(UINT64_C(1) << 5);
    }
    if (mmu->cpu.xnx) {
        known |= UINT64_C(1) << 53;
    }
    if (mmu->cpu.hafdbs >= 2) {
        known |= DESC_DBM;
    }
    if (run_bits(regime, level) != 0) {
        known |= DESC_CONTIGUOUS;
    }
    if (level < 3 && mmu->cpu.bbm != 0) {
        known |= UINT64_C(1) << 16; /* nT */
    }
    return desc & ~known;
}

static enum mmu_memory decode_memory(unsigned memattr, bool fwb)
{
    static const enum mmu_memory with_fwb[4] = {MMU_RESERVED, MMU_NORMAL_NC, MMU_NORMAL_WB,
                                                MMU_STAGE1};
    static const enum mmu_memory without[4] = {MMU_RESERVED, MMU_NORMAL_NC, MMU_NORMAL_WT,
                                               MMU_NORMAL_WB};
    unsigned outer = memattr >> 2;
    unsigned inner = memattr & 3;

    /* With FWB bit [5] is RES0 and [4] alone tells Device from Normal. */
    if (fwb ? (outer & 1) == 0 : outer == 0) {
        return (enum mmu_memory)(MMU_DEVICE_NGNRNE + inner);
    }
    if (fwb) {
        return with_fwb[inner];
    }
    return outer == inner || inner == 0 ? without[inner] : MMU_NORMAL_MIXED;
}

static bool is_device(enum mmu_memory memory)
{
    return memory <= MMU_DEVICE_GRE;
}

static void decode_permissions(const struct mmu *mmu, const struct regime *regime, uint64_t desc,
                               struct mmu_result *result)
{
    result->s2ap = (unsigned)field(desc, 7, 6);
    result->xn = (unsigned)field(desc, 54, 53);
    if (!mmu->cpu.xnx) {
        result->xn &= 2;
    }
    result->can_read = flag(desc, 6);
    result->can_write = flag(desc, 7) || (regime->hd && (desc & DESC_DBM) != 0);
    result->can_fetch_el1 = result->xn == 0 || result->xn == 3;
    result->can_fetch_el0 = result->xn == 0 || result->xn == 1;
}

/* StageOA: below the size of the entry, or of its run, the address is the input's. */
static void decode_leaf(const struct mmu *mmu, const struct regime *regime, uint64_t desc,
                        uint64_t ipa, struct mmu_result *result)
{
    unsigned leaf = entry_bits(regime, result->level);
    unsigned run = leaf;

    result->contiguous = (desc & DESC_CONTIGUOUS) != 0 && run_bits(regime, result->level) != 0;
    if (result->contiguous) {
        run += run_bits(regime, result->level);
    }
    result->has_leaf = true;
    result->pa = (desc_address(regime, desc, leaf) & ~low_mask(run)) | (ipa & low_mask(run));
    result->leaf_size = UINT64_C(1) << leaf;
    result->run_size = UINT64_C(1) << run;
    result->memattr = (unsigned)field(desc, 5, 2);
    result->memory = decode_memory(result->memattr, regime->fwb);
    result->sh = (unsigned)(regime->ds ? field(mmu->vtcr, 13, 12) : field(desc, 9, 8));
    result->af = (desc & DESC_AF) != 0;
    result->dbm = (desc & DESC_DBM) != 0;
    result->nt = result->level < 3 && flag(desc, 16);
    result->software = (unsigned)field(desc, 58, 55);
    result->run_af = result->af;
    result->run_dirty = (desc & DESC_S2AP_WRITE) != 0;
    result->updated = desc;
    decode_permissions(mmu, regime, desc, result);
}

/* --- The walk -------------------------------------------------------------------------------- */

static bool is_beyond(const struct regime *regime, uint64_t address)
{
    return (address & ~low_mask(regime->output_bits)) != 0;
}

/* Read the descriptor at @pa into the result; false: it did not answer. */
static bool fetch(const struct mmu *mmu, uint64_t pa, struct mmu_result *result)
{
    uint64_t *desc = &result->walk_desc[result->walk_count];

    result->walk_pa[result->walk_count] = pa;
    result->walk_count++;
    *desc = 0;
    return mmu->read(mmu->memory, pa, desc);
}

/* From the root to a leaf, or to the fault that ends the walk. MMU_OK: *result has the leaf. */
static enum mmu_status walk(const struct mmu *mmu, const struct regime *regime, uint64_t ipa,
                            struct mmu_result *result)
{
    uint64_t table = regime->root;
    unsigned index_bits = regime->root_bits - 3;

    result->level = 0;
    if (is_beyond(regime, table)) {
        return MMU_ADDRESS_SIZE;
    }
    for (int level = regime->start_level;; level++) {
        uint64_t index = ipa >> entry_bits(regime, level) & low_mask(index_bits);
        uint64_t desc;
        enum desc_type type;

        result->level = level;
        if (!fetch(mmu, table | index << 3, result)) {
            return MMU_EXTERNAL;
        }
        desc = result->walk_desc[result->walk_count - 1];
        type = desc_type(regime, desc, level);
        if (type == DESC_INVALID) {
            result->hole_size = UINT64_C(1) << entry_bits(regime, level);
            return MMU_TRANSLATION;
        }
        if (type == DESC_LEAF) {
            result->res0 |= leaf_res0(mmu, regime, desc, level);
            decode_leaf(mmu, regime, desc, ipa, result);
            return MMU_OK;
        }
        result->res0 |= table_res0(regime, desc);
        table = desc_address(regime, desc, regime->granule_bits);
        if (is_beyond(regime, table)) {
            return MMU_ADDRESS_SIZE;
        }
        index_bits = regime->stride;
    }
}

/* Whether the run of the leaf just walked is as the manual demands: inside the input size, output
 * aligned, every member alike but for what hardware and software may set in single entries. */
static bool run_is_sound(const struct mmu *mmu, const struct regime *regime,
                         struct mmu_result *result)
{
    const uint64_t may_differ = UINT64_C(0x0780000000000000) | DESC_AF;
    unsigned leaf = entry_bits(regime, result->level);
    uint64_t entries = result->run_size / result->leaf_size;
    uint64_t model = result->walk_desc[result->walk_count - 1];
    uint64_t first = result->walk_pa[result->walk_count - 1] & ~(entries * 8 - 1);
    uint64_t same = ~(may_differ | address_mask(regime, leaf));
    uint64_t base = result->pa & ~(result->run_size - 1);

    if (result->run_size > UINT64_C(1) << regime->input_bits) {
        return false;
    }
    if ((model & DESC_DBM) != 0) {
        same &= ~DESC_S2AP_WRITE;
    }
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t desc;

        if (!mmu->read(mmu->memory, first + i * 8, &desc) || ((desc ^ model) & same) != 0 ||
            desc_address(regime, desc, leaf) != base + i * result->leaf_size) {
            return false;
        }
        result->run_af = result->run_af || (desc & DESC_AF) != 0;
        result->run_dirty = result->run_dirty || (desc & DESC_S2AP_WRITE) != 0;
    }
    return true;
}

static bool is_permitted(const struct mmu_result *result, enum mmu_access access)
{
    switch (access) {
    case MMU_READ:
        return result->can_read;
    case MMU_WRITE:
        return result->can_write;
    case MMU_FETCH_EL1:
        return result->can_fetch_el1 && !is_device(result->memory);
    case MMU_FETCH_EL0:
        return result->can_fetch_el0 && !is_device(result->memory);
    default:
        return false;
    }
}

/* The leaf's own faults, in order; and what hardware writes back. */
static enum mmu_status check_leaf(const struct mmu *mmu, const struct regime *regime,
                                  enum mmu_access access, struct mmu_result *result)
{
    bool nt_may_fault = (mmu->options & MMU_NT_FAULTS) != 0 && mmu->cpu.bbm != 0;

    if (result->contiguous && (mmu->options & MMU_CHECK_RUNS) != 0 &&
        !run_is_sound(mmu, regime, result)) {
        return MMU_BAD_RUN;
    }
    if (nt_may_fault && result->nt) {
        return MMU_TRANSLATION;
    }
    if (is_beyond(regime, result->pa)) {
        return MMU_ADDRESS_SIZE;
    }
    if (!result->af && !regime->ha) {
        return MMU_ACCESS_FLAG;
    }
    /* A permission fault does not keep hardware from setting AF, but it does from setting dirty. */
    if (regime->ha) {
        result->updated |= DESC_AF;
    }
    if (!is_permitted(result, access)) {
        return MMU_PERMISSION;
    }
    if (regime->hd && result->dbm && access == MMU_WRITE) {
        result->updated |= DESC_S2AP_WRITE;
    }
    return MMU_OK;
}

struct mmu_result mmu_translate(const struct mmu *mmu, uint64_t ipa, enum mmu_access access)
{
    struct regime regime = decode_regime(mmu);
    struct mmu_result result = {.status = MMU_TRANSLATION};

    if (!flag(mmu->hcr, 0) && !flag(mmu->hcr, 12)) {
        result.status = MMU_OK;
        result.flat = true;
        result.pa = ipa;
        return result;
    }
    if (regime.problem != NULL) {
        result.config = true;
        return result;
    }
    if ((ipa & ~low_mask(regime.input_bits)) != 0) {
        return result;
    }
    result.status = walk(mmu, &regime, ipa, &result);
    if (result.status == MMU_OK) {
        result.status = check_leaf(mmu, &regime, access, &result);
    }
    return result;
}

/* --- Names ----------------------------------------------------------------------------------- */

unsigned mmu_fault_status_code(const struct mmu_result *result)
{
    static const unsigned by_level[] = {[MMU_OK] = 0,
                                        [MMU_TRANSLATION] = 0x04,
                                        [MMU_ADDRESS_SIZE] = 0x00,
                                        [MMU_ACCESS_FLAG] = 0x08,
                                        [MMU_PERMISSION] = 0x0c,
                                        [MMU_EXTERNAL] = 0x14,
                                        [MMU_BAD_RUN] = 0};
    static const unsigned at_minus_1[] = {
        [MMU_OK] = 0,          [MMU_TRANSLATION] = 0x2b, [MMU_ADDRESS_SIZE] = 0x29,
        [MMU_ACCESS_FLAG] = 0, [MMU_PERMISSION] = 0,     [MMU_EXTERNAL] = 0x13,
        [MMU_BAD_RUN] = 0};

    if (result->status == MMU_OK || result->status == MMU_BAD_RUN) {
        return 0;
    }
    return result->level < 0 ? at_minus_1[result->status]
                             : by_level[result->status] + (unsigned)result->level;
}

const char *mmu_status_name(enum mmu_status status)
{
    static const char *const names[] = {
        [MMU_OK] = "ok",
        [MMU_TRANSLATION] = "translation",
        [MMU_ADDRESS_SIZE] = "address size",
        [MMU_ACCESS_FLAG] = "access flag",
        [MMU_PERMISSION] = "permission",
        [MMU_EXTERNAL] = "external abort on walk",
        [MMU_BAD_RUN] = "misprogrammed contiguous run",
    };

    return (size_t)status < sizeof(names) / sizeof(names[0]) ? names[status] : "?";
}

const char *mmu_memory_name(enum mmu_memory memory)
{
    static const char *const names[] = {
        [MMU_DEVICE_NGNRNE] = "device-nGnRnE",
        [MMU_DEVICE_NGNRE] = "device-nGnRE",
        [MMU_DEVICE_NGRE] = "device-nGRE",
        [MMU_DEVICE_GRE] = "device-GRE",
        [MMU_NORMAL_NC] = "normal-NC",
        [MMU_NORMAL_WT] = "normal-WT",
        [MMU_NORMAL_WB] = "normal-WB",
        [MMU_NORMAL_MIXED] = "normal-mixed",
        [MMU_STAGE1] = "stage-1",
        [MMU_RESERVED] = "reserved",
    };

    return (size_t)memory < sizeof(names) / sizeof(names[0]) ? names[memory] : "?";
}
