/*
 * clean.h - what a guest has in memory, and in no cache: for a device that reads past them, for a
 * guest's clean by set and way, before memory goes to somebody else.
 */
#ifndef TRESTLE_STAGE2_SPACE_CLEAN_H
#define TRESTLE_STAGE2_SPACE_CLEAN_H

#include "core/c.h"
#include "stage2/space/space.h"
#include "stage2/table/cursor.h"

TRESTLE_BEGIN

/**
 * s2_space_clean() - Clean and invalidate to the Point of Coherency whatever @range is mapped to;
 *                    holes are fine, devices are left alone, nothing changes.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_DENIED: open() refused a part;
 *           MAPPING_UNSUPPORTED: a part is neither the pool's nor is there an open(). The first of
 *           these; all else is clean.
 * Order:    complete on return. What the guest writes meanwhile may be in its caches again.
 * Cost:     O(leaves), and one DC CIVAC a line, with the space locked.
 */
MAPPING_MUST_USE enum mapping_error s2_space_clean(struct s2_space *space, struct ipa_range range);

/**
 * s2_space_clean_step() - The next step of that over @cursor's range, as those of
 *                         stage2/space/step.h.
 * @budget:  lines that are cleaned, and leaves and holes that are looked at; at least a granule.
 * Returns:  as above, of this step alone.
 * On error: @cursor has not moved.
 */
MAPPING_MUST_USE enum mapping_error s2_space_clean_step(struct s2_space *space,
                                                        struct s2_cursor *cursor, size_t budget);

TRESTLE_END

#endif
