#include "stage2/arch/errata.h"

#include "core/bits.h"

#include <stddef.h>

/*
 * Where the rows come from; each names its erratum, and the errata notices of the makers (Arm:
 * SDEN) are behind all of them.
 *
 *      [L]  Linux, arch/arm64: kernel/cpu_errata.c as of c771600c6af1; newer rows from the patches that
 *           brought them, to mainline and to stable branches, up to 2026-08. Of the list of what is
 *           allowed, what is newer than AmpereOne's was seen in quotations of f8d0751426dd only
 *      [X]  Xen, xen/arch/arm/cpuerrata.c at c447b7308b13 (2026-08-20)
 *      [T]  TF-A, docs/design/cpu-specific-build-macros.rst and security advisory TFV-17, at
 *           6a164dda7208 (2026-08-20)
 *      [C]  CVE-2025-10263, as published on 2026-06-09; Linux cfd391e74134 and what followed it
 *
 * Where they disagree on the versions of a part the wider range stands: a workaround too many costs
 * some instructions, one too few a guest's memory. For the list of what is allowed it is the
 * narrower.
 */

#define MIDR_REVISION MAPPING_FIELD(3, 0)
#define MIDR_PART MAPPING_FIELD(15, 4)
#define MIDR_VARIANT MAPPING_FIELD(23, 20)
#define MIDR_IMPLEMENTER MAPPING_FIELD(31, 24)

/* Cortex-A76 r4p1. */
_Static_assert(MAPPING_FIELD_GET(MIDR_IMPLEMENTER, UINT64_C(0x414fd0b1)) == 0x41, "Arm");
_Static_assert(MAPPING_FIELD_GET(MIDR_PART, UINT64_C(0x414fd0b1)) == 0xd0b, "Cortex-A76");
_Static_assert(MAPPING_FIELD_GET(MIDR_VARIANT, UINT64_C(0x414fd0b1)) == 4, "r4");
_Static_assert(MAPPING_FIELD_GET(MIDR_REVISION, UINT64_C(0x414fd0b1)) == 1, "p1");

enum {
    ARM = 0x41,
    HISILICON = 0x48,
    NVIDIA = 0x4e,
    QUALCOMM = 0x51,
    MICROSOFT = 0x6d,
    AMPERE = 0xc0,
};

#define SPECULATIVE_AT S2_ERRATUM_SPECULATIVE_AT
#define REPEAT_TLBI S2_ERRATUM_REPEAT_TLBI
#define NO_UPDATES (S2_ERRATUM_ACCESS_FLAG | S2_ERRATUM_DIRTY)
/* Not an erratum: behind the last of them. */
#define CONFLICT_FREE (1U << 15)

/* A part, and its versions from rXpY to rXpY, as X << 4 | Y. */
struct row {
    uint8_t implementer;
    uint8_t first, last;
    uint16_t part;
    uint16_t part_mask;
    uint16_t what;
};

#define VERSION(variant, revision) ((variant) << 4 | (revision))
#define RANGE(maker, number, from, to, fact)                                     \
    {                                                                            \
        .implementer = (maker), .first = (from), .last = (to), .part = (number), \
        .part_mask = 0xfff, .what = (uint16_t)(fact)                             \
    }
#define ALL(maker, number, fact) RANGE(maker, number, VERSION(0, 0), VERSION(15, 15), fact)

static const struct row ROWS[] = {
    /* Speculative AT with the registers of two guests. */
    ALL(ARM, 0xd03, SPECULATIVE_AT), /* Cortex-A53 1530924 [X] [T] */
    ALL(ARM, 0xd05, SPECULATIVE_AT), /* Cortex-A55 1530923 [X] [T]; [L] to r2p0, its last */
    ALL(ARM, 0xd07, SPECULATIVE_AT), /* Cortex-A57 1319537 [L] [X] [T] */
    ALL(ARM, 0xd08, SPECULATIVE_AT), /* Cortex-A72 1319367 [L] [X] [T] */
    /* Cortex-A76 1165522, fixed in r3p0 [L] [X] [T]; Neoverse-N1 the same [X] */
    RANGE(ARM, 0xd0b, VERSION(0, 0), VERSION(2, 0), SPECULATIVE_AT),
    RANGE(ARM, 0xd0c, VERSION(0, 0), VERSION(2, 0), SPECULATIVE_AT),
    /* Kryo 4xx Silver, and 5xx, which reads the same: Cortex-A55s, 1530923. [L] has rdpe. */
    ALL(QUALCOMM, 0x805, SPECULATIVE_AT),

    /* TLBI, DSB complete too early. */
    RANGE(QUALCOMM, 0x800, VERSION(0, 0), VERSION(0, 0), REPEAT_TLBI),     /* Falkor v1 1009 [L] */
    {QUALCOMM, VERSION(0, 0), VERSION(15, 15), 0x200, 0xf00, REPEAT_TLBI}, /* Kryo 1009 [L] */
    /* Kryo 4xx Gold rcpe to rfpe (Cortex-A76 r0p0 to r3p0) 1286807 [L] */
    RANGE(QUALCOMM, 0x804, VERSION(12, 14), VERSION(15, 14), REPEAT_TLBI),
    ALL(ARM, 0xd05, REPEAT_TLBI),                                 /* Cortex-A55 2441007 [L] */
    RANGE(ARM, 0xd46, VERSION(0, 0), VERSION(1, 1), REPEAT_TLBI), /* Cortex-A510 2441009 [L] */
    ALL(ARM, 0xd0b, REPEAT_TLBI), /* Cortex-A76 4193800 [C] [L] [X] [T]; to r3p0 1286807 [L] [X] */
    ALL(ARM, 0xd0c, REPEAT_TLBI), /* Neoverse-N1 4193800 [C] [L] [X] [T]; to r3p0 1286807 [X] */
    ALL(ARM, 0xd0d, REPEAT_TLBI), /* Cortex-A77 4193798 [C] [L] [X] [T] */
    ALL(ARM, 0xd0e, REPEAT_TLBI), /* Cortex-A76AE 4193801 [C] [L] [X] [T] */
    ALL(ARM, 0xd40, REPEAT_TLBI), /* Neoverse-V1 4193790 [C] [L] [X] [T] */
    ALL(ARM, 0xd41, REPEAT_TLBI), /* Cortex-A78 4193791 [C] [L] [X] [T] */
    ALL(ARM, 0xd42, REPEAT_TLBI), /* Cortex-A78AE 4193793 [C] [L] [X] [T] */
    ALL(ARM, 0xd44, REPEAT_TLBI), /* Cortex-X1 4193791 [C] [L] [X] [T] */
    ALL(ARM, 0xd47, REPEAT_TLBI), /* Cortex-A710 4193788 [C] [L] [X] [T] */
    ALL(ARM, 0xd48, REPEAT_TLBI), /* Cortex-X2 4193788 [C] [L] [X] [T] */
    ALL(ARM, 0xd49, REPEAT_TLBI), /* Neoverse-N2 4193789 [C] [L] [X] [T] */
    ALL(ARM, 0xd4b, REPEAT_TLBI), /* Cortex-A78C 4193794 [C] [L] [X] [T] */
    ALL(ARM, 0xd4c, REPEAT_TLBI), /* Cortex-X1C 4193792 [C] [L] [X] [T] */
    ALL(ARM, 0xd4e, REPEAT_TLBI), /* Cortex-X3 4193786 [C] [L] [X] [T] */
    ALL(ARM, 0xd4f, REPEAT_TLBI), /* Neoverse-V2 4193787 [C] [L] [X] [T] */
    ALL(ARM, 0xd82, REPEAT_TLBI), /* Cortex-X4 4118414 [C] [L] [X] [T] */
    ALL(ARM, 0xd83, REPEAT_TLBI), /* Neoverse-V3AE 4193784 [C] [L] [X] [T] */
    ALL(ARM, 0xd84, REPEAT_TLBI), /* Neoverse-V3 4193784 [C] [L] [X] [T] */
    ALL(ARM, 0xd85, REPEAT_TLBI), /* Cortex-X925 4193781 [C] [L] [X] [T] */
    ALL(ARM, 0xd8c, REPEAT_TLBI), /* C1-Ultra 4193780 [C] [L] [X] [T] */
    ALL(ARM, 0xd90, REPEAT_TLBI), /* C1-Premium 4193780 [C] [L] [X] [T] */
    ALL(MICROSOFT, 0xd49, REPEAT_TLBI), /* Azure Cobalt 100 (Neoverse-N2) 4193789 [L] */
    ALL(NVIDIA, 0x010, REPEAT_TLBI),    /* Olympus T410-OLY-1029 [L] */

    /* Hardware updates. Arm's two spoil dirty state alone. */
    ALL(ARM, 0xd05, S2_ERRATUM_DIRTY),      /* Cortex-A55 1024718 [L] */
    ALL(QUALCOMM, 0x805, S2_ERRATUM_DIRTY), /* Kryo 4xx Silver 1024718; [L] has rdpe */
    /* Cortex-A510 2051678, fixed in r0p3 [L] */
    RANGE(ARM, 0xd46, VERSION(0, 0), VERSION(0, 2), S2_ERRATUM_DIRTY),
    ALL(AMPERE, 0xac3, NO_UPDATES), /* AmpereOne AC03_CPU_38 [L] */
    ALL(AMPERE, 0xac4, NO_UPDATES), /* AmpereOne AC04 AC04_CPU_10 [L] */

    ALL(AMPERE, 0xac4, S2_ERRATUM_HCR_WRITE), /* AmpereOne AC04 AC04_CPU_23 [L] */

    ALL(NVIDIA, 0x004, S2_ERRATUM_COMMON),    /* Carmel, NVIDIA_CARMEL_CNP_ERRATUM [L] */
    ALL(HISILICON, 0xd02, S2_ERRATUM_COMMON), /* HIP09 162100125 [L] */

    /* No conflict from a change of size (BBM level 2): [L], its list for BBM level 3, in full. Not
     * the first versions of some, which have to break all the same. */
    RANGE(ARM, 0xd82, VERSION(0, 3), VERSION(0, 15), CONFLICT_FREE),  /* Cortex-X4 */
    RANGE(ARM, 0xd84, VERSION(0, 2), VERSION(0, 15), CONFLICT_FREE),  /* Neoverse-V3 3053180 */
    RANGE(ARM, 0xd83, VERSION(0, 2), VERSION(0, 15), CONFLICT_FREE),  /* Neoverse-V3AE 3053180 */
    RANGE(ARM, 0xd8c, VERSION(1, 1), VERSION(15, 15), CONFLICT_FREE), /* C1-Ultra 3683289 */
    RANGE(ARM, 0xd90, VERSION(1, 1), VERSION(15, 15), CONFLICT_FREE), /* C1-Premium 3683289 */
    ALL(ARM, 0xd4d, CONFLICT_FREE),                                   /* Cortex-A715 */
    ALL(ARM, 0xd87, CONFLICT_FREE),                                   /* Cortex-A725 */
    ALL(ARM, 0xd88, CONFLICT_FREE),                                   /* Cortex-A520AE */
    ALL(ARM, 0xd89, CONFLICT_FREE),                                   /* Cortex-A720AE */
    ALL(ARM, 0xd8a, CONFLICT_FREE),                                   /* C1-Nano */
    ALL(ARM, 0xd8b, CONFLICT_FREE),                                   /* C1-Pro */
    ALL(ARM, 0xd8e, CONFLICT_FREE),                                   /* Neoverse-N3 */
    ALL(NVIDIA, 0x010, CONFLICT_FREE),                                /* Olympus */
    ALL(AMPERE, 0xac3, CONFLICT_FREE),                                /* AmpereOne */
    ALL(AMPERE, 0xac4, CONFLICT_FREE),                                /* AmpereOne AC04 */
};

static bool row_is_of(const struct row *row, uint64_t midr)
{
    const uint64_t version =
        VERSION(MAPPING_FIELD_GET(MIDR_VARIANT, midr), MAPPING_FIELD_GET(MIDR_REVISION, midr));

    return MAPPING_FIELD_GET(MIDR_IMPLEMENTER, midr) == row->implementer &&
           (MAPPING_FIELD_GET(MIDR_PART, midr) & row->part_mask) == row->part &&
           version >= row->first && version <= row->last;
}

struct s2_part s2_part_of(uint64_t midr)
{
    unsigned what = 0;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        if (row_is_of(&ROWS[i], midr)) {
            what |= ROWS[i].what;
        }
    }
    return (struct s2_part){.errata = what & ~CONFLICT_FREE,
                            .has_conflict_free_sizes = (what & CONFLICT_FREE) != 0};
}
