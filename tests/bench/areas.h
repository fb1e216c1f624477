/*
 * areas.h - where the areas lie that sets, spaces and their peers are measured on.
 *
 *      slot     0     1           63       64
 *      page     0  1  2  3  ...  126 127 128 129     each area is one page
 *              [A] . [A] .       [A]  .   .  [A]      a hole of one page behind it; of two, once in
 *                                                     AREAS_WIDE_EVERY
 */
#ifndef TRESTLE_TESTS_BENCH_AREAS_H
#define TRESTLE_TESTS_BENCH_AREAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AREAS_PAGE_SHIFT 12
#define AREAS_PAGE (UINT64_C(1) << AREAS_PAGE_SHIFT)
#define AREAS_WIDE_EVERY 64
#define AREAS_NEAR 256 /* neighbours that a guest is busy with for a while */

/* The first page of an area, and the hole behind it: page numbers. */
static inline uint64_t areas_page(uint64_t slot)
{
    return 2 * slot + slot / AREAS_WIDE_EVERY;
}

static inline uint64_t areas_hole(uint64_t slot)
{
    return areas_page(slot) + 1;
}

/* The same as bytes. */
static inline uint64_t areas_address(uint64_t slot)
{
    return areas_page(slot) << AREAS_PAGE_SHIFT;
}

static inline uint64_t areas_hole_address(uint64_t slot)
{
    return areas_hole(slot) << AREAS_PAGE_SHIFT;
}

/* The slots of AREAS_NEAR areas in the middle of @count, @i anything: those after each other are
 * not neighbours, and AREAS_NEAR numbers in a row make each slot once. */
static inline uint64_t areas_near(uint64_t count, uint64_t i)
{
    return count / 2 - AREAS_NEAR / 2 + i * 97 % AREAS_NEAR;
}

/* The lowest place for two pages at or above area @slot, of @count. */
static inline uint64_t areas_wide_address(uint64_t slot, uint64_t count)
{
    const uint64_t last = slot - slot % AREAS_WIDE_EVERY + AREAS_WIDE_EVERY - 1;

    return areas_hole_address(last < count ? last : count - 1);
}

#endif
