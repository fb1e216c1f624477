/*
 * test_errata.c - what is known of a part by its number: the library's table is by erratum, this
 * one is by part, and every number and version of every maker is held against it.
 */
#include "stage2/arch/errata.h"
#include "tests/unit/test.h"

#include <stddef.h>

#define SUITE "errata"

#define AT S2_ERRATUM_SPECULATIVE_AT
#define TWICE S2_ERRATUM_REPEAT_TLBI
#define AF S2_ERRATUM_ACCESS_FLAG
#define DIRTY S2_ERRATUM_DIRTY
#define HCR S2_ERRATUM_HCR_WRITE
#define CNP S2_ERRATUM_COMMON
#define SIZES 0x100U /* has_conflict_free_sizes */

#define ARM 0x41
#define HISILICON 0x48
#define NVIDIA 0x4e
#define QUALCOMM 0x51
#define MICROSOFT 0x6d
#define AMPERE 0xc0

/* One part; of versions up to rXpY, written as 0xXY, each has the first line that it is not
 * beyond. */
struct known {
    unsigned maker, part;
    struct {
        unsigned last, what;
    } upto[3];
};

static const struct known knowns[] = {
    {ARM, 0xd03, {{0xff, AT}}},                                          /* Cortex-A53 */
    {ARM, 0xd05, {{0xff, AT | TWICE | DIRTY}}},                          /* Cortex-A55 */
    {ARM, 0xd07, {{0xff, AT}}},                                          /* Cortex-A57 */
    {ARM, 0xd08, {{0xff, AT}}},                                          /* Cortex-A72 */
    {ARM, 0xd0b, {{0x20, AT | TWICE}, {0xff, TWICE}}},                   /* Cortex-A76 */
    {ARM, 0xd0c, {{0x20, AT | TWICE}, {0xff, TWICE}}},                   /* Neoverse-N1 */
    {ARM, 0xd0d, {{0xff, TWICE}}},                                       /* Cortex-A77 */
    {ARM, 0xd0e, {{0xff, TWICE}}},                                       /* Cortex-A76AE */
    {ARM, 0xd40, {{0xff, TWICE}}},                                       /* Neoverse-V1 */
    {ARM, 0xd41, {{0xff, TWICE}}},                                       /* Cortex-A78 */
    {ARM, 0xd42, {{0xff, TWICE}}},                                       /* Cortex-A78AE */
    {ARM, 0xd44, {{0xff, TWICE}}},                                       /* Cortex-X1 */
    {ARM, 0xd46, {{0x02, TWICE | DIRTY}, {0x11, TWICE}, {0xff, 0}}},     /* Cortex-A510 */
    {ARM, 0xd47, {{0xff, TWICE}}},                                       /* Cortex-A710 */
    {ARM, 0xd48, {{0xff, TWICE}}},                                       /* Cortex-X2 */
    {ARM, 0xd49, {{0xff, TWICE}}},                                       /* Neoverse-N2 */
    {ARM, 0xd4b, {{0xff, TWICE}}},                                       /* Cortex-A78C */
    {ARM, 0xd4c, {{0xff, TWICE}}},                                       /* Cortex-X1C */
    {ARM, 0xd4d, {{0xff, SIZES}}},                                       /* Cortex-A715 */
    {ARM, 0xd4e, {{0xff, TWICE}}},                                       /* Cortex-X3 */
    {ARM, 0xd4f, {{0xff, TWICE}}},                                       /* Neoverse-V2 */
    {ARM, 0xd82, {{0x02, TWICE}, {0x0f, TWICE | SIZES}, {0xff, TWICE}}}, /* Cortex-X4 */
    {ARM, 0xd83, {{0x01, TWICE}, {0x0f, TWICE | SIZES}, {0xff, TWICE}}}, /* Neoverse-V3AE */
    {ARM, 0xd84, {{0x01, TWICE}, {0x0f, TWICE | SIZES}, {0xff, TWICE}}}, /* Neoverse-V3 */
    {ARM, 0xd85, {{0xff, TWICE}}},                                       /* Cortex-X925 */
    {ARM, 0xd87, {{0xff, SIZES}}},                                       /* Cortex-A725 */
    {ARM, 0xd88, {{0xff, SIZES}}},                                       /* Cortex-A520AE */
    {ARM, 0xd89, {{0xff, SIZES}}},                                       /* Cortex-A720AE */
    {ARM, 0xd8a, {{0xff, SIZES}}},                                       /* C1-Nano */
    {ARM, 0xd8b, {{0xff, SIZES}}},                                       /* C1-Pro */
    {ARM, 0xd8c, {{0x10, TWICE}, {0xff, TWICE | SIZES}}},                /* C1-Ultra */
    {ARM, 0xd8e, {{0xff, SIZES}}},                                       /* Neoverse-N3 */
    {ARM, 0xd90, {{0x10, TWICE}, {0xff, TWICE | SIZES}}},                /* C1-Premium */
    {HISILICON, 0xd02, {{0xff, CNP}}},                                   /* HIP09 */
    {NVIDIA, 0x004, {{0xff, CNP}}},                                      /* Carmel */
    {NVIDIA, 0x010, {{0xff, TWICE | SIZES}}},                            /* Olympus */
    {QUALCOMM, 0x800, {{0x00, TWICE}, {0xff, 0}}},                       /* Falkor v1 */
    {QUALCOMM, 0x804, {{0xcd, 0}, {0xfe, TWICE}, {0xff, 0}}},            /* Kryo 4xx Gold */
    {QUALCOMM, 0x805, {{0xff, AT | DIRTY}}},                             /* Kryo 4xx Silver */
    {MICROSOFT, 0xd49, {{0xff, TWICE}}},                                 /* Azure Cobalt 100 */
    {AMPERE, 0xac3, {{0xff, AF | DIRTY | SIZES}}},                       /* AmpereOne */
    {AMPERE, 0xac4, {{0xff, AF | DIRTY | HCR | SIZES}}},                 /* AmpereOne AC04 */
};

static unsigned expect(unsigned maker, unsigned part, unsigned version)
{
    /* Kryo, of which 0x2.. are all. */
    if (maker == QUALCOMM && part >> 8 == 2) {
        return TWICE;
    }
    for (size_t i = 0; i < COUNT(knowns); i++) {
        if (knowns[i].maker == maker && knowns[i].part == part) {
            size_t line = 0;

            while (version > knowns[i].upto[line].last) {
                line++;
            }
            return knowns[i].upto[line].what;
        }
    }
    return 0;
}

static unsigned found(unsigned maker, unsigned part, unsigned version)
{
    const uint64_t midr = (uint64_t)maker << 24 | (uint64_t)(version >> 4) << 20 |
                          UINT64_C(0xf) << 16 | (uint64_t)part << 4 | (version & 15);
    const struct s2_part known = s2_part_of(midr);

    return known.errata | (known.has_conflict_free_sizes ? SIZES : 0);
}

/* All makers that have a row, and some without. */
static const unsigned makers[] = {ARM,  HISILICON, NVIDIA, QUALCOMM, MICROSOFT, AMPERE, 0x00, 0x42,
                                  0x43, 0x46,      0x50,   0x56,     0x61,      0x69,   0xff};

TEST_EACH(part_of_every_number_and_version_has_its_errata, COUNT(makers))
{
    const unsigned maker = makers[_i];

    for (unsigned part = 0; part < 0x1000; part++) {
        for (unsigned version = 0; version < 0x100; version++) {
            if (found(maker, part, version) != expect(maker, part, version)) {
                ck_abort_msg("maker %x, part %x, version %x: %x, not %x", maker, part, version,
                             found(maker, part, version), expect(maker, part, version));
            }
        }
    }
}

/* Whatever the bits that tell no part, and above the register's 32. */
TEST(part_ignores_what_is_no_number)
{
    ck_assert_uint_eq(s2_part_of(0x411fd070).errata, AT);
    ck_assert_uint_eq(s2_part_of(0x4110d070).errata, AT);
    ck_assert_uint_eq(s2_part_of(UINT64_C(0xffffffff411fd070)).errata, AT);
    ck_assert_uint_eq(s2_part_of(0).errata, 0);
    ck_assert_uint_eq(s2_part_of(UINT64_MAX).errata, 0);
}
