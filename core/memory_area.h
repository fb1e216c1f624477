/*
 * memory_area.h - a stretch of guest-physical memory that is alike from end to end.
 */
#ifndef TRESTLE_CORE_MEMORY_AREA_H
#define TRESTLE_CORE_MEMORY_AREA_H

#include "core/addr.h"
#include "core/backend.h"
#include "core/c.h"

#include <stdbool.h>
#include <stdint.h>

TRESTLE_BEGIN

struct memory_area {
    struct ipa_range range;
    mapping_flags_t flags;
    struct mapping_backend backend;
    uint64_t tag; /* the embedder's, copied on split, equal to merge */
};

/* Whether @upper begins where @lower ends, and differs from it in nothing but the range. */
static inline bool memory_area_continues(const struct memory_area *lower,
                                         const struct memory_area *upper)
{
    return ipa_eq(ipa_range_end(lower->range), upper->range.start) &&
           lower->flags == upper->flags && lower->tag == upper->tag &&
           mapping_backend_eq(&lower->backend, &upper->backend);
}

TRESTLE_END

#endif
