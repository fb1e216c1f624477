#include "stage2/tlb/tlbi.h"

#include "core/assert.h"
#include "core/bits.h"

#define TTL_TG MAPPING_FIELD(3, 2)
#define TTL_LEVEL MAPPING_FIELD(1, 0)

#define RANGE_BASE MAPPING_FIELD(36, 0)
#define RANGE_TTL MAPPING_FIELD(38, 37) /* without the granule: that has a field of its own */
#define RANGE_NUM MAPPING_FIELD(43, 39)
#define RANGE_SCALE MAPPING_FIELD(45, 44)
#define RANGE_TG MAPPING_FIELD(47, 46)
#define RANGE_BASE_SHIFT_LPA2 16

#define SCALE_MAX 3U
#define NUM_SHIFT(scale) (5 * (scale) + 1) /* NUM + 1 counts so many granules, as a power of two */
#define NUM_COUNT 32U                      /* NUM + 1 at most */

/* What is longest is one SCALE's whole multiple, of no more than NUM counts, with every granule. */
_Static_assert(S2_TLBI_SIZE_MAX >> S2_GRANULE_4K == 8ULL << NUM_SHIFT(3U), "4K: SCALE 3, NUM 7");
_Static_assert(S2_TLBI_SIZE_MAX >> S2_GRANULE_16K == 2ULL << NUM_SHIFT(3U), "16K: SCALE 3, NUM 1");
_Static_assert(S2_TLBI_SIZE_MAX >> S2_GRANULE_64K == 16ULL << NUM_SHIFT(2U),
               "64K: SCALE 2, NUM 15");
_Static_assert((RANGE_BASE | RANGE_TTL | RANGE_NUM | RANGE_SCALE | RANGE_TG) ==
                   MAPPING_FIELD(47, 0),
               "the fields of a range meet and do not overlap");

/* The TLBI instructions count granules in a code of their own. */
static unsigned tlbi_granule(const struct s2_geometry *geometry)
{
    switch (geometry->granule_shift) {
    case S2_GRANULE_4K:
        return 1;
    case S2_GRANULE_16K:
        return 2;
    default:
        return 3;
    }
}

unsigned s2_tlbi_ttl(const struct s2_geometry *geometry, int level)
{
    int first; /* nearest level to the root that a hint may name */

    switch (geometry->granule_shift) {
    case S2_GRANULE_4K:
        first = geometry->has_lpa2 ? 0 : 1;
        break;
    case S2_GRANULE_16K:
        first = geometry->has_lpa2 ? 1 : 2;
        break;
    default:
        first = 1;
        break;
    }
    if (level < first || level > S2_LEVEL_PAGE) {
        return 0;
    }
    return (unsigned)(MAPPING_FIELD_PREP(TTL_TG, tlbi_granule(geometry)) |
                      MAPPING_FIELD_PREP(TTL_LEVEL, (unsigned)level));
}

/* log2 of the bytes that a range's base counts. */
static unsigned base_shift(const struct s2_geometry *geometry)
{
    return geometry->has_lpa2 ? RANGE_BASE_SHIFT_LPA2 : geometry->granule_shift;
}

/* How many of @range's granules come before the first address that can be a range's base. */
static uint64_t lead_of(const struct s2_geometry *geometry, struct ipa_range range)
{
    const uint64_t unit = MAPPING_BIT(base_shift(geometry));
    const uint64_t beyond = ipa_offset(range.start, unit);
    const uint64_t lead = beyond == 0 ? 0 : unit - beyond;

    MAPPING_ASSERT(ipa_range_is_valid(range));
    MAPPING_ASSERT(ipa_range_is_aligned(range, s2_granule_size(geometry)));
    return mapping_u64_min(lead, range.size) >> geometry->granule_shift;
}

/* As many granules as one range may cover. */
static uint64_t granules_max(const struct s2_geometry *geometry)
{
    return S2_TLBI_SIZE_MAX >> geometry->granule_shift;
}

/* The highest SCALE of which @granules, at least 2, hold a multiple. */
static unsigned scale_of(uint64_t granules)
{
    unsigned scale = SCALE_MAX;

    MAPPING_ASSERT(granules > 1);
    while ((granules >> NUM_SHIFT(scale)) == 0) {
        scale--;
    }
    return scale;
}

static uint64_t encode_range(const struct s2_geometry *geometry, ipa_t base, unsigned ttl,
                             unsigned scale, uint64_t units)
{
    MAPPING_ASSERT(units >= 1 && units <= NUM_COUNT);
    MAPPING_ASSERT(ipa_is_aligned(base, MAPPING_BIT(base_shift(geometry))));

    return MAPPING_FIELD_PREP(RANGE_BASE, ipa_index(base, base_shift(geometry))) |
           MAPPING_FIELD_PREP(RANGE_TTL, MAPPING_FIELD_GET(TTL_LEVEL, ttl)) |
           MAPPING_FIELD_PREP(RANGE_NUM, units - 1) | MAPPING_FIELD_PREP(RANGE_SCALE, scale) |
           MAPPING_FIELD_PREP(RANGE_TG, tlbi_granule(geometry));
}

/*
 * A count of granules in binary, and which TLBI takes which of its digits:
 *
 *      4K    ... 19 | 18..16  | 15..11  | 10..6   | 5..1    | 0
 *      16K   ... 17 | 16      | 15..11  | 10..6   | 5..1    | 0
 *      64K   ... 15 |         | 14..11  | 10..6   | 5..1    | 0
 *            full   | SCALE 3 | SCALE 2 | SCALE 1 | SCALE 0 | one granule
 *
 * A full one is S2_TLBI_SIZE_MAX. From the left to the right, as with LPA2 each base must be a
 * multiple of 64 KiB: all but the last two lengths are that.
 */
struct s2_tlbi s2_tlbi_next(const struct s2_geometry *geometry, struct ipa_range *left,
                            unsigned ttl)
{
    const uint64_t granules = left->size >> geometry->granule_shift;
    struct s2_tlbi tlbi = {.covers = {left->start, s2_granule_size(geometry)}};

    if (lead_of(geometry, *left) > 0 || granules == 1) {
        tlbi.operand = s2_tlbi_by_ipa(left->start, ttl);
    } else {
        const uint64_t taken = mapping_u64_min(granules, granules_max(geometry));
        const unsigned scale = scale_of(taken);
        const uint64_t units = taken >> NUM_SHIFT(scale);

        tlbi.is_range = true;
        tlbi.operand = encode_range(geometry, left->start, ttl, scale, units);
        tlbi.covers.size = units << (NUM_SHIFT(scale) + geometry->granule_shift);
    }
    *left = ipa_range_between(ipa_range_end(tlbi.covers), ipa_range_end(*left));
    return tlbi;
}

uint64_t s2_tlbi_count(const struct s2_geometry *geometry, struct ipa_range range)
{
    const uint64_t lead = lead_of(geometry, range);
    const uint64_t granules = (range.size >> geometry->granule_shift) - lead;
    uint64_t count = lead + granules / granules_max(geometry);
    uint64_t rest = granules % granules_max(geometry);

    count += rest % 2;
    for (rest /= 2; rest != 0; rest /= NUM_COUNT) {
        count += rest % NUM_COUNT != 0 ? 1 : 0;
    }
    return count;
}
