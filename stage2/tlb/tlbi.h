/*
 * tlbi.h - operands of TLB maintenance instructions: pure functions.
 *
 *      by IPA     | 0 | TTL 47..44 | 0 | IPA[51:12] 39..0                  |
 *      by range   | TG 47..46 | SCALE 45..44 | NUM 43..39 | TTL 38..37 | base 36..0 |
 *                 covers (NUM + 1) << (5 * SCALE + 1) granules
 *
 * Source: Arm ARM DDI 0487, C5.5 "A64 system instructions for TLB maintenance": TLBI IPAS2E1IS,
 * TLBI RIPAS2E1IS; FEAT_TTL, FEAT_TLBIRANGE.
 */
#ifndef TRESTLE_STAGE2_TLB_TLBI_H
#define TRESTLE_STAGE2_TLB_TLBI_H

#include "core/addr.h"
#include "core/c.h"
#include "stage2/arch/geometry.h"

#include <stdbool.h>
#include <stdint.h>

TRESTLE_BEGIN

/* The longest that one TLBI by range covers here, bytes. Its fields reach further with every
 * granule (NUM 31, SCALE 3: 8, 32 or 128 GiB), but QEMU 7.2, 10.0 and 11.1 count the bytes in 32
 * bits: from 4 GiB on they invalidate one page, and say nothing. */
#define S2_TLBI_SIZE_MAX (UINT64_C(1) << 31)

/**
 * s2_tlbi_ttl() - The level hint of a TLBI by IPA.
 * @level:   of the leaf that was broken, or S2_TLB_LEVEL_ANY.
 * Returns:  the TTL field's value: TG << 2 | level; 0, any level, where the architecture gives no
 *           hint: 4K level 0 and 16K level 1 without LPA2, 16K and 64K level 0, level -1.
 */
unsigned s2_tlbi_ttl(const struct s2_geometry *geometry, int level);

#define S2_TLBI_IPA MAPPING_FIELD(39, 0)
#define S2_TLBI_TTL MAPPING_FIELD(47, 44)
#define S2_TLBI_IPA_SHIFT 12 /* whatever the granule */

/* The operand of TLBI IPAS2E1IS: IPA[51:12] whatever the granule, TTL in [47:44]. */
static inline uint64_t s2_tlbi_by_ipa(ipa_t ipa, unsigned ttl)
{
    return MAPPING_FIELD_PREP(S2_TLBI_IPA, ipa_index(ipa, S2_TLBI_IPA_SHIFT)) |
           MAPPING_FIELD_PREP(S2_TLBI_TTL, ttl);
}

/* One instruction of a cover. */
struct s2_tlbi {
    bool is_range;
    uint64_t operand;
    struct ipa_range covers; /* exactly */
};

/**
 * s2_tlbi_next() - The first TLBI of an exact cover of @left by ranges and single granules.
 * @left:    granule-aligned, not empty; on return what is still to cover, empty at the end.
 * @ttl:     s2_tlbi_ttl() of the leaves' level, or 0.
 * Returns:  the instruction. Called until @left is empty, the covers are disjoint, ascending, and
 *           together exactly what @left was.
 * Order:    pieces of S2_TLBI_SIZE_MAX, then descending SCALE, a single granule for what is odd.
 *           With LPA2, where the base counts units of 64 KiB, single granules first until it is
 *           aligned to that.
 * Cost:     O(1) each; at most 4 + 1 TLBIs for up to S2_TLBI_SIZE_MAX, one more for each further
 *           such piece, and 15 more with LPA2.
 */
struct s2_tlbi s2_tlbi_next(const struct s2_geometry *geometry, struct ipa_range *left,
                            unsigned ttl);

/* How many instructions that cover takes. O(1). */
uint64_t s2_tlbi_count(const struct s2_geometry *geometry, struct ipa_range range);

TRESTLE_END

#endif
