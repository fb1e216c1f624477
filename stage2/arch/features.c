#include "stage2/arch/features.h"

#include "core/bits.h"

#define MMFR0_PARANGE MAPPING_FIELD(3, 0)
#define MMFR0_TGRAN16 MAPPING_FIELD(23, 20)
#define MMFR0_TGRAN64 MAPPING_FIELD(27, 24)
#define MMFR0_TGRAN4 MAPPING_FIELD(31, 28)
#define MMFR0_TGRAN16_2 MAPPING_FIELD(35, 32)
#define MMFR0_TGRAN64_2 MAPPING_FIELD(39, 36)
#define MMFR0_TGRAN4_2 MAPPING_FIELD(43, 40)
#define MMFR1_HAFDBS MAPPING_FIELD(3, 0)
#define MMFR1_VMIDBITS MAPPING_FIELD(7, 4)
#define MMFR1_VH MAPPING_FIELD(11, 8)
#define MMFR1_XNX MAPPING_FIELD(31, 28)
#define MMFR2_CNP MAPPING_FIELD(3, 0)
#define MMFR2_ST MAPPING_FIELD(31, 28)
#define MMFR2_FWB MAPPING_FIELD(43, 40)
#define MMFR2_TTL MAPPING_FIELD(51, 48)
#define MMFR2_BBM MAPPING_FIELD(55, 52)
#define ISAR0_ATOMIC MAPPING_FIELD(23, 20)
#define ISAR0_TLB MAPPING_FIELD(59, 56)
#define ISAR1_XS MAPPING_FIELD(59, 56)
#define CTR_DMINLINE MAPPING_FIELD(19, 16) /* log2 of words of 4 bytes */
#define CTR_IDC MAPPING_BIT(28)
#define CTR_DIC MAPPING_BIT(29)

/* Cortex-A57, as it reads. */
_Static_assert(MAPPING_FIELD_GET(MMFR0_PARANGE, UINT64_C(0x1124)) == 4, "44 bits");
_Static_assert(4U << MAPPING_FIELD_GET(CTR_DMINLINE, UINT64_C(0x8444c004)) == 64,
               "lines of 64 bytes");
/* Cortex-A76. */
_Static_assert(MAPPING_FIELD_GET(MMFR1_HAFDBS, UINT64_C(0x10212122)) == 2, "AF and dirty state");
_Static_assert(MAPPING_FIELD_GET(MMFR1_VMIDBITS, UINT64_C(0x10212122)) == 2, "16-bit VMIDs");
_Static_assert(MAPPING_FIELD_GET(MMFR1_XNX, UINT64_C(0x10212122)) == 1, "XNX");

/* What TGranX_2 says; 0 sends the reader to stage 1's field. */
enum { TGRAN_2_AS_STAGE1 = 0, TGRAN_2_ABSENT = 1, TGRAN_2_PRESENT = 2 };

static unsigned id_field(uint64_t mask, uint64_t reg)
{
    return (unsigned)MAPPING_FIELD_GET(mask, reg);
}

static unsigned pa_bits_decode(unsigned parange)
{
    static const unsigned char bits[] = {32, 36, 40, 42, 44, 48, 52};
    const unsigned last = (unsigned)sizeof(bits) - 1;

    return bits[parange < last ? parange : last];
}

static enum s2_granule_support stage2_granule(unsigned tgran_2, enum s2_granule_support stage1)
{
    switch (tgran_2) {
    case TGRAN_2_AS_STAGE1:
        return stage1;
    case TGRAN_2_ABSENT:
        return S2_GRANULE_ABSENT;
    case TGRAN_2_PRESENT:
        return S2_GRANULE_48_BITS;
    default:
        return S2_GRANULE_52_BITS;
    }
}

/* TGran4: 0 present, 1 with 52 bits, 0xf absent: signed, and above 1 is still at least that. */
static enum s2_granule_support tgran4_decode(unsigned field)
{
    if (field >= 8) {
        return S2_GRANULE_ABSENT;
    }
    return field == 0 ? S2_GRANULE_48_BITS : S2_GRANULE_52_BITS;
}

/* TGran16: 0 absent, 1 present, 2 with 52 bits: the odd one of the three. */
static enum s2_granule_support tgran16_decode(unsigned field)
{
    if (field == 0) {
        return S2_GRANULE_ABSENT;
    }
    return field == 1 ? S2_GRANULE_48_BITS : S2_GRANULE_52_BITS;
}

/* TGran64: 0 present, 0xf absent; the width is PARange's to say (FEAT_LPA: 6). */
static enum s2_granule_support granule_64k_decode(uint64_t mmfr0)
{
    const bool at_stage1 = id_field(MMFR0_TGRAN64, mmfr0) < 8;
    const enum s2_granule_support present =
        id_field(MMFR0_PARANGE, mmfr0) >= 6 ? S2_GRANULE_52_BITS : S2_GRANULE_48_BITS;
    const enum s2_granule_support stage2 =
        stage2_granule(id_field(MMFR0_TGRAN64_2, mmfr0), at_stage1 ? present : S2_GRANULE_ABSENT);

    return stage2 == S2_GRANULE_ABSENT ? S2_GRANULE_ABSENT : present;
}

struct s2_features s2_features_decode(const struct s2_id_regs *regs)
{
    const unsigned hafdbs = id_field(MMFR1_HAFDBS, regs->mmfr1);
    const unsigned bbm = id_field(MMFR2_BBM, regs->mmfr2);
    const unsigned tlb = id_field(ISAR0_TLB, regs->isar0);
    const struct s2_part part = s2_part_of(regs->midr);

    return (struct s2_features){
        .pa_bits = pa_bits_decode(id_field(MMFR0_PARANGE, regs->mmfr0)),
        .granule_4k = stage2_granule(id_field(MMFR0_TGRAN4_2, regs->mmfr0),
                                     tgran4_decode(id_field(MMFR0_TGRAN4, regs->mmfr0))),
        .granule_16k = stage2_granule(id_field(MMFR0_TGRAN16_2, regs->mmfr0),
                                      tgran16_decode(id_field(MMFR0_TGRAN16, regs->mmfr0))),
        .granule_64k = granule_64k_decode(regs->mmfr0),
        .vmid_bits = id_field(MMFR1_VMIDBITS, regs->mmfr1) >= 2 ? 16 : 8,
        .hafdbs = hafdbs < 2 ? hafdbs : 2,
        .bbm = bbm < 2 ? bbm : 2, /* level 3 is level 2 without conflicts */
        .tlb = tlb < 2 ? tlb : 2,
        .has_xnx = id_field(MMFR1_XNX, regs->mmfr1) != 0,
        .has_fwb = id_field(MMFR2_FWB, regs->mmfr2) != 0,
        .has_ttl = id_field(MMFR2_TTL, regs->mmfr2) != 0,
        .has_cnp = id_field(MMFR2_CNP, regs->mmfr2) != 0,
        .has_small_tables = id_field(MMFR2_ST, regs->mmfr2) != 0,
        .has_vhe = id_field(MMFR1_VH, regs->mmfr1) != 0,
        .has_lse = id_field(ISAR0_ATOMIC, regs->isar0) >= 2,
        .has_xs = id_field(ISAR1_XS, regs->isar1) != 0,
        .has_dic = (regs->ctr & CTR_DIC) != 0,
        .has_idc = (regs->ctr & CTR_IDC) != 0,
        .has_conflict_free_sizes = bbm > 2 || part.has_conflict_free_sizes,
        .errata = part.errata,
        .dcache_line = 4U << id_field(CTR_DMINLINE, regs->ctr),
    };
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static enum s2_granule_support least_granule(enum s2_granule_support a, enum s2_granule_support b)
{
    return a < b ? a : b;
}

struct s2_features s2_features_meet(const struct s2_features *a, const struct s2_features *b)
{
    return (struct s2_features){
        .pa_bits = least(a->pa_bits, b->pa_bits),
        .granule_4k = least_granule(a->granule_4k, b->granule_4k),
        .granule_16k = least_granule(a->granule_16k, b->granule_16k),
        .granule_64k = least_granule(a->granule_64k, b->granule_64k),
        .vmid_bits = least(a->vmid_bits, b->vmid_bits),
        .hafdbs = least(a->hafdbs, b->hafdbs),
        .bbm = least(a->bbm, b->bbm),
        .tlb = least(a->tlb, b->tlb),
        .has_xnx = a->has_xnx && b->has_xnx,
        .has_fwb = a->has_fwb && b->has_fwb,
        .has_ttl = a->has_ttl && b->has_ttl,
        .has_cnp = a->has_cnp && b->has_cnp,
        .has_small_tables = a->has_small_tables && b->has_small_tables,
        .has_vhe = a->has_vhe || b->has_vhe,
        .has_lse = a->has_lse && b->has_lse,
        .has_xs = a->has_xs && b->has_xs,
        .has_dic = a->has_dic && b->has_dic,
        .has_idc = a->has_idc && b->has_idc,
        .has_conflict_free_sizes = a->has_conflict_free_sizes && b->has_conflict_free_sizes,
        .errata = a->errata | b->errata,
        .dcache_line = least(a->dcache_line, b->dcache_line),
    };
}

enum s2_granule_support s2_features_granule(const struct s2_features *cpu, enum s2_granule granule)
{
    switch (granule) {
    case S2_GRANULE_4K:
        return cpu->granule_4k;
    case S2_GRANULE_16K:
        return cpu->granule_16k;
    case S2_GRANULE_64K:
        return cpu->granule_64k;
    }
    return S2_GRANULE_ABSENT;
}
