/*
 * locked.h - the verbs of a space, for one who has locked it: space.c, batch.c, step.c. As those of
 * stage2/space.h, which say what each does. Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_LOCKED_H
#define TRESTLE_STAGE2_LOCKED_H

#include "stage2/space.h"

MAPPING_MUST_USE enum mapping_error s2_locked_map_linear(struct s2_space *space,
                                                         const struct memory_area *area,
                                                         enum overlap_policy policy);
MAPPING_MUST_USE enum mapping_error s2_locked_unmap(struct s2_space *space, struct ipa_range range);
MAPPING_MUST_USE enum mapping_error
s2_locked_protect(struct s2_space *space, struct ipa_range range, mapping_flags_t flags);

/* The area that backs @range by memory from @pa on. */
static inline struct memory_area s2_linear_area(struct ipa_range range, pa_t pa,
                                                mapping_flags_t flags)
{
    return (struct memory_area){
        .range = range,
        .flags = flags,
        .backend = s2_linear_backend(range.start, pa),
    };
}

#endif
