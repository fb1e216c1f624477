/*
 * fold.h - uniform tables back into blocks and contiguous runs: the way back from a split.
 */
#ifndef TRESTLE_STAGE2_TABLE_FOLD_H
#define TRESTLE_STAGE2_TABLE_FOLD_H

#include "core/c.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/**
 * s2_table_fold() - Turn tables in @range whose entries are one uniform stretch into blocks, and
 *                   uniform runs into contiguous ones.
 * @range:   as for s2_table_map(); tables and runs that stick out of it stay.
 * Returns:  MAPPING_OK, also if there was nothing to fold; MAPPING_INVALID_PARAM; MAPPING_DENIED:
 *           transients are refused, and something would be folded by break-before-make.
 * Order:    break-before-make, one flush a level; or directly, one flush for all. Frames are back
 *           in the pool on return.
 * Cost:     O(entries in @range). AF and dirty state of the entries are merged by OR.
 */
MAPPING_MUST_USE enum mapping_error s2_table_fold(struct s2_table *table, struct ipa_range range);

/* The same within the S2_BUILD_FLAGS of @flags: no block above the cap, no runs if they say so. */
MAPPING_MUST_USE enum mapping_error
s2_table_fold_within(struct s2_table *table, struct ipa_range range, mapping_flags_t flags);

/* Whether that would not be MAPPING_DENIED: nothing that stays mapped would be invalid for a
 * moment, or it may be. @range, @flags: as there. Changes nothing. O(entries in @range). */
MAPPING_MUST_USE bool s2_table_may_fold(const struct s2_table *table, struct ipa_range range,
                                        mapping_flags_t flags);

/**
 * s2_table_fold_part() - Of that, what is done now that all of @range up to the end of @part is at
 * hand.
 * @part:    lies in @range; all of @range before it was such a part, or is still to be found as it
 *           is. All parts, one by one, fold what s2_table_fold_within() does over @range.
 * @flags, Returns, Order: as there.
 * Cost:     O(entries in @part) + one table's entries for each level.
 */
MAPPING_MUST_USE enum mapping_error s2_table_fold_part(struct s2_table *table,
                                                       struct ipa_range range,
                                                       struct ipa_range part,
                                                       mapping_flags_t flags);

TRESTLE_END

#endif
