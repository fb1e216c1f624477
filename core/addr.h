/*
 * addr.h - the two kinds of address, and ranges of the first.
 *
 * An IPA (what a guest believes) and a PA (what the machine has) differ by a whole translation;
 * one passed for the other is a hole in the wall. So each is a type of its own, and sums and
 * comparisons are made here, where overflow is looked after. Elsewhere nobody touches .raw.
 */
#ifndef TRESTLE_CORE_ADDR_H
#define TRESTLE_CORE_ADDR_H

#include "core/assert.h"
#include "core/bits.h"
#include "core/c.h"

#include <stdbool.h>
#include <stdint.h>

TRESTLE_BEGIN

typedef struct {
    uint64_t raw;
} ipa_t; /* guest-physical address, Arm: IPA */

typedef struct {
    uint64_t raw;
} pa_t; /* host-physical address */

/* [start, start + size), bytes. Well formed: not empty, and its end is an address too (so the
 * last byte of the 64-bit space lies in no range). */
struct ipa_range {
    ipa_t start;
    uint64_t size;
};

/* For static tables; elsewhere the functions below. */
#define IPA_INIT(value) \
    {                   \
        (value)         \
    }
#define PA_INIT(value) \
    {                  \
        (value)        \
    }
#define IPA_RANGE_INIT(first, bytes) \
    {                                \
        IPA_INIT(first), (bytes)     \
    }

static inline ipa_t ipa_of(uint64_t raw)
{
    return MAPPING_VALUE(ipa_t, raw);
}

static inline pa_t pa_of(uint64_t raw)
{
    return MAPPING_VALUE(pa_t, raw);
}

static inline struct ipa_range ipa_range(uint64_t start, uint64_t size)
{
    const struct ipa_range range = {{start}, size};

    return range;
}

/* Comparison. */
static inline bool ipa_eq(ipa_t a, ipa_t b)
{
    return a.raw == b.raw;
}

static inline bool ipa_lt(ipa_t a, ipa_t b)
{
    return a.raw < b.raw;
}

static inline bool ipa_le(ipa_t a, ipa_t b)
{
    return a.raw <= b.raw;
}

static inline ipa_t ipa_min(ipa_t a, ipa_t b)
{
    return a.raw < b.raw ? a : b;
}

static inline ipa_t ipa_max(ipa_t a, ipa_t b)
{
    return a.raw > b.raw ? a : b;
}

static inline bool pa_eq(pa_t a, pa_t b)
{
    return a.raw == b.raw;
}

static inline bool pa_lt(pa_t a, pa_t b)
{
    return a.raw < b.raw;
}

static inline pa_t pa_min(pa_t a, pa_t b)
{
    return a.raw < b.raw ? a : b;
}

static inline pa_t pa_max(pa_t a, pa_t b)
{
    return a.raw > b.raw ? a : b;
}

static inline bool ipa_is_aligned(ipa_t addr, uint64_t align)
{
    return mapping_u64_is_aligned(addr.raw, align);
}

static inline bool pa_is_aligned(pa_t addr, uint64_t align)
{
    return mapping_u64_is_aligned(addr.raw, align);
}

static inline ipa_t ipa_align_down(ipa_t addr, uint64_t align)
{
    MAPPING_ASSERT(mapping_u64_is_pow2(align));
    return MAPPING_VALUE(ipa_t, mapping_u64_align_down(addr.raw, align));
}

static inline pa_t pa_align_down(pa_t addr, uint64_t align)
{
    MAPPING_ASSERT(mapping_u64_is_pow2(align));
    return MAPPING_VALUE(pa_t, mapping_u64_align_down(addr.raw, align));
}

/* Bytes above the last multiple of @align, a power of two. */
static inline uint64_t ipa_offset(ipa_t addr, uint64_t align)
{
    MAPPING_ASSERT(mapping_u64_is_pow2(align));
    return addr.raw & (align - 1);
}

static inline uint64_t pa_offset(pa_t addr, uint64_t align)
{
    MAPPING_ASSERT(mapping_u64_is_pow2(align));
    return addr.raw & (align - 1);
}

/* Which unit of 2^@shift bytes @addr lies in. */
static inline uint64_t ipa_index(ipa_t addr, unsigned shift)
{
    return addr.raw >> shift;
}

/* What to add to an IPA of a linear mapping to reach its PA, modulo 2^64; and the way there. */
static inline uint64_t pa_minus_ipa(pa_t pa, ipa_t ipa)
{
    return pa.raw - ipa.raw;
}

static inline pa_t ipa_plus_offset(ipa_t ipa, uint64_t offset)
{
    return MAPPING_VALUE(pa_t, ipa.raw + offset);
}

/* Sums. The caller knows that they do not wrap; where it cannot know, it asks ipa_range_is_valid()
 * or pa_span_fits() first. */
static inline ipa_t ipa_add(ipa_t addr, uint64_t bytes)
{
    MAPPING_ASSERT(addr.raw <= UINT64_MAX - bytes);
    return MAPPING_VALUE(ipa_t, addr.raw + bytes);
}

static inline pa_t pa_add(pa_t addr, uint64_t bytes)
{
    MAPPING_ASSERT(addr.raw <= UINT64_MAX - bytes);
    return MAPPING_VALUE(pa_t, addr.raw + bytes);
}

/* *aligned: the lowest multiple of @align, a power of two, that is not below @addr. Where that
 * needs a 65th bit: false, and *aligned is as before. */
static inline bool ipa_align_up(ipa_t addr, uint64_t align, ipa_t *aligned)
{
    uint64_t sum;

    MAPPING_ASSERT(mapping_u64_is_pow2(align));
    if (!mapping_u64_add(addr.raw, align - 1, &sum)) {
        return false;
    }
    aligned->raw = mapping_u64_align_down(sum, align);
    return true;
}

/* Bytes from @from up to @to. @from: not above @to. */
static inline uint64_t ipa_distance(ipa_t from, ipa_t to)
{
    MAPPING_ASSERT(from.raw <= to.raw);
    return to.raw - from.raw;
}

static inline uint64_t pa_distance(pa_t from, pa_t to)
{
    MAPPING_ASSERT(from.raw <= to.raw);
    return to.raw - from.raw;
}

/* How far @addr lies behind @base; modulo 2^64 where it does not. */
static inline uint64_t ipa_minus(ipa_t addr, ipa_t base)
{
    return addr.raw - base.raw;
}

/* Whether [start, start + size) is not empty and ends at or below @limit bytes. */
static inline bool pa_span_fits(pa_t start, uint64_t size, uint64_t limit)
{
    uint64_t end;

    return size != 0 && mapping_u64_add(start.raw, size, &end) && end <= limit;
}

/* Whether @addr lies in [start, start + size), and how many bytes from its start. *offset is
 * written only then. The span does not wrap: so one subtraction decides, as below the start it
 * wraps to more than any size. */
static inline bool pa_span_offset(pa_t start, uint64_t size, pa_t addr, uint64_t *offset)
{
    uint64_t distance = addr.raw - start.raw;

    if (distance >= size) {
        return false;
    }
    *offset = distance;
    return true;
}

/* Number of the unit of 2^@shift bytes that begins at @addr, counted from @start. One comparison
 * with their number then decides about everything: an address inside of a unit has its lowest bits
 * rotated to the top, and one below @start wraps, so either is larger than any number of units that
 * fit behind @start. @shift: 1..63. */
static inline uint64_t pa_unit_number(pa_t start, pa_t addr, unsigned shift)
{
    uint64_t distance = addr.raw - start.raw;

    return distance >> shift | distance << (64 - shift);
}

/* The opposite: where unit @number begins. The caller knows that there is one. */
static inline pa_t pa_unit(pa_t start, uint64_t number, unsigned shift)
{
    return MAPPING_VALUE(pa_t, start.raw + (number << shift));
}

static inline bool ipa_range_is_valid(struct ipa_range range)
{
    return range.size != 0 && range.start.raw <= UINT64_MAX - range.size;
}

/* Whether start + size needs a 65th bit; an empty range never does. */
static inline bool ipa_range_wraps(struct ipa_range range)
{
    return range.start.raw > UINT64_MAX - range.size;
}

/* One past the last byte. @range: does not wrap. */
static inline ipa_t ipa_range_end(struct ipa_range range)
{
    return ipa_add(range.start, range.size);
}

/* The last byte. @range: well formed. */
static inline ipa_t ipa_range_last(struct ipa_range range)
{
    MAPPING_ASSERT(range.size != 0);
    return ipa_add(range.start, range.size - 1);
}

/* [start, end). @start: not above @end. */
static inline struct ipa_range ipa_range_between(ipa_t start, ipa_t end)
{
    const struct ipa_range range = {start, ipa_distance(start, end)};

    return range;
}

static inline bool ipa_range_eq(struct ipa_range a, struct ipa_range b)
{
    return ipa_eq(a.start, b.start) && a.size == b.size;
}

static inline bool ipa_range_has(struct ipa_range range, ipa_t addr)
{
    return ipa_le(range.start, addr) && addr.raw - range.start.raw < range.size;
}

/* Whether all of @inner lies in @outer. Both: do not wrap. */
static inline bool ipa_range_covers(struct ipa_range outer, struct ipa_range inner)
{
    return ipa_le(outer.start, inner.start) && ipa_le(ipa_range_end(inner), ipa_range_end(outer));
}

/* Whether they share a byte. Both: do not wrap. */
static inline bool ipa_range_overlaps(struct ipa_range a, struct ipa_range b)
{
    return ipa_lt(a.start, ipa_range_end(b)) && ipa_lt(b.start, ipa_range_end(a));
}

/* From the lower start to the higher end, with what may lie between. Both: do not wrap. */
static inline struct ipa_range ipa_range_join(struct ipa_range a, struct ipa_range b)
{
    return ipa_range_between(ipa_min(a.start, b.start),
                             ipa_max(ipa_range_end(a), ipa_range_end(b)));
}

/* What they share; they must overlap. */
static inline struct ipa_range ipa_range_meet(struct ipa_range a, struct ipa_range b)
{
    MAPPING_ASSERT(ipa_range_overlaps(a, b));
    return ipa_range_between(ipa_max(a.start, b.start),
                             ipa_min(ipa_range_end(a), ipa_range_end(b)));
}

static inline bool ipa_range_is_aligned(struct ipa_range range, uint64_t align)
{
    return mapping_u64_is_aligned(range.start.raw | range.size, align);
}

TRESTLE_END

#endif
