/*
 * locked.h - the verbs of a space, for one who has locked it. As those of stage2/space/verbs.h, which
 * say what each does. Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_SPACE_LOCKED_H
#define TRESTLE_STAGE2_SPACE_LOCKED_H

#include "stage2/space/backend.h"
#include "stage2/space/space.h"

/* Lock the space and open an operation; close it and unlock. What any call has deferred is flushed by the
 * close, also where this one found nothing to change: on return it is true for all. A batch closes
 * otherwise. */
void s2_space_open(struct s2_space *space);
void s2_space_close(struct s2_space *space);

MAPPING_MUST_USE enum mapping_error s2_locked_map_linear(struct s2_space *space,
                                                         const struct memory_area *area,
                                                         enum overlap_policy policy);
MAPPING_MUST_USE enum mapping_error s2_locked_unmap(struct s2_space *space, struct ipa_range range);
MAPPING_MUST_USE enum mapping_error
s2_locked_protect(struct s2_space *space, struct ipa_range range, mapping_flags_t flags);

/* Whether a protect with @flags has anything to do in an area with @old_flags: it gets others, or the
 * hardware may have changed its leaves since they were made. */
bool s2_protect_reaches(const struct s2_format *format, mapping_flags_t old_flags,
                        mapping_flags_t flags);

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
