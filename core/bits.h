/*
 * bits.h - register and descriptor fields, alignment and overflow, in pure C11.
 *
 * A field is its mask: MAPPING_FIELD(hi, lo) names bits [hi:lo] as the manual writes them. PREP
 * and GET multiply and divide by the mask's lowest bit, which compilers turn into one shift (ubfiz,
 * ubfx) and which still holds in a static assertion. All values are 64 bits wide.
 */
#ifndef TRESTLE_CORE_BITS_H
#define TRESTLE_CORE_BITS_H

#include "core/c.h"

#include <stdbool.h>
#include <stdint.h>

TRESTLE_BEGIN

#define MAPPING_BIT(n) (UINT64_C(1) << (n))
#define MAPPING_FIELD(hi, lo) ((UINT64_MAX >> (63 - (hi))) & (UINT64_MAX << (lo)))
#define MAPPING_FIELD_LSB(mask) ((mask) & (~(mask) + 1))
#define MAPPING_FIELD_PREP(mask, value) (((uint64_t)(value)*MAPPING_FIELD_LSB(mask)) & (mask))
#define MAPPING_FIELD_GET(mask, word) (((word) & (mask)) / MAPPING_FIELD_LSB(mask))

MAPPING_STATIC_ASSERT(MAPPING_FIELD(15, 12) == UINT64_C(0xf000), "FIELD names bits [hi:lo]");
MAPPING_STATIC_ASSERT(MAPPING_FIELD(63, 0) == UINT64_MAX, "FIELD spans the whole word");
MAPPING_STATIC_ASSERT(MAPPING_FIELD_PREP(MAPPING_FIELD(7, 6), 3) == UINT64_C(0xc0),
                      "MAPPING_FIELD_PREP shifts into place");
MAPPING_STATIC_ASSERT(MAPPING_FIELD_GET(MAPPING_FIELD(63, 48), UINT64_C(0x0123000000000000)) ==
                          0x123,
                      "MAPPING_FIELD_GET");
MAPPING_STATIC_ASSERT(MAPPING_FIELD_PREP(MAPPING_FIELD(3, 2), 7) == UINT64_C(0xc),
                      "MAPPING_FIELD_PREP keeps to the field");
MAPPING_STATIC_ASSERT(MAPPING_FIELD_LSB(MAPPING_FIELD(52, 9)) == MAPPING_BIT(9),
                      "MAPPING_FIELD_LSB is the field's lowest bit");

/* @align: a power of two. */
static inline bool mapping_u64_is_aligned(uint64_t value, uint64_t align)
{
    return (value & (align - 1)) == 0;
}

static inline uint64_t mapping_u64_align_down(uint64_t value, uint64_t align)
{
    return value & ~(align - 1);
}

static inline bool mapping_u64_is_pow2(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* The lower and the larger of two. */
static inline uint64_t mapping_u64_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t mapping_u64_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Index of the highest bit set: 0 for 1, 63 for 2^63. @value: not 0. */
static inline unsigned mapping_u64_log2(uint64_t value)
{
    return 63U - (unsigned)__builtin_clzll(value);
}

/* Number of zero bits below the lowest bit set; 64 for 0. */
static inline unsigned mapping_u64_trailing_zeros(uint64_t value)
{
    return value == 0 ? 64U : (unsigned)__builtin_ctzll(value);
}

/* *sum = a + b, unless that needs a 65th bit: then false, and *sum is as before. */
static inline bool mapping_u64_add(uint64_t a, uint64_t b, uint64_t *sum)
{
    if (a > UINT64_MAX - b) {
        return false;
    }
    *sum = a + b;
    return true;
}

TRESTLE_END

#endif
