/*
 * locked.h - what is done to a space by one who has locked it. Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_SPACE_LOCKED_H
#define TRESTLE_STAGE2_SPACE_LOCKED_H

#include "stage2/space/space.h"
#include "stage2/table/request.h"

/* Lock the space and open an operation; close it and unlock. What any call has deferred is flushed
 * by the close, also where this one found nothing to change: on return it is true for all. A batch
 * closes otherwise. */
void s2_space_open(struct s2_space *space);
void s2_space_close(struct s2_space *space);

/* The same for one whose verb opens an operation of its own: what was deferred before went along with
 * that, unless there was nothing to do. */
void s2_space_enter_call(struct s2_space *space);
void s2_space_leave_call(struct s2_space *space);

/* Add @area, whatever its kind. */
MAPPING_MUST_USE enum mapping_error
s2_locked_add(struct s2_space *space, const struct memory_area *area, enum overlap_policy policy);

/* A request to areas and tables. One function for each verb, so that a host which never asks for one
 * does not link it. */
typedef enum mapping_error (*s2_locked_fn)(struct s2_space *space,
                                           const struct s2_request *request);

/* Of one object with their callers: their addresses need no table of offsets. */
#pragma GCC visibility push(hidden)
MAPPING_MUST_USE enum mapping_error s2_locked_map(struct s2_space *space,
                                                  const struct s2_request *request);
MAPPING_MUST_USE enum mapping_error s2_locked_unmap(struct s2_space *space,
                                                    const struct s2_request *request);
MAPPING_MUST_USE enum mapping_error s2_locked_protect(struct s2_space *space,
                                                      const struct s2_request *request);

/* Map over whatever is there. */
MAPPING_MUST_USE enum mapping_error s2_locked_replace(struct s2_space *space,
                                                      const struct s2_request *request);
#pragma GCC visibility pop

/* Whether a protect with @flags has anything to do in an area with @old_flags: it gets others, or
 * the hardware may have changed its leaves since they were made. */
bool s2_protect_reaches(const struct s2_format *format, mapping_flags_t old_flags,
                        mapping_flags_t flags);

#endif
