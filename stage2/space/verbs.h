/*
 * verbs.h - what is done to a guest's address space. Every call locks it; one that answers an error
 * has changed nothing.
 */
#ifndef TRESTLE_STAGE2_SPACE_VERBS_H
#define TRESTLE_STAGE2_SPACE_VERBS_H

#include "core/c.h"
#include "stage2/space/space.h"

TRESTLE_BEGIN

/**
 * s2_space_map_linear() - Give the guest @range, backed by as much memory from @pa on.
 * @range, @pa, @flags: as for s2_table_map().
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_ALREADY_EXISTS; MAPPING_NO_FRAME;
 *           MAPPING_NO_NODE; MAPPING_UNSUPPORTED; MAPPING_DENIED: policy, or the memory ops.
 * Order:    what our side wrote to that memory is in it, and the instruction caches hold nothing
 *           of it, before the guest can see it. Visible on return.
 */
MAPPING_MUST_USE enum mapping_error
s2_space_map_linear(struct s2_space *space, struct ipa_range range, pa_t pa, mapping_flags_t flags);

/* The same over whatever is there, as one operation: at no time a half-way state that an error
 * could leave behind. Vacates exactly @range. Where transients are refused, MAPPING_DENIED if
 * anything is. */
MAPPING_MUST_USE enum mapping_error s2_space_replace_linear(struct s2_space *space,
                                                            struct ipa_range range, pa_t pa,
                                                            mapping_flags_t flags);

/**
 * s2_space_unmap() - Take @range from the guest; holes are fine, areas are split exactly.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NO_FRAME; MAPPING_NO_NODE; MAPPING_DENIED:
 *           transients are refused (struct s2_config), as in the next.
 * Order:    on return no CPU can reach it, and the memory may be reused. One flush; where memory
 *           has to be cleaned after it (no write-back by force), or is frames of a pool, one for
 *           each S2_RECLAIM_MAX stretches of it.
 */
MAPPING_MUST_USE enum mapping_error s2_space_unmap(struct s2_space *space, struct ipa_range range);

/**
 * s2_space_protect() - Give all areas in @range @flags; holes are fine, areas are split.
 * @flags:   all attributes, not only permissions; S2_BUILD_FLAGS are ignored: areas keep theirs.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_NO_FRAME; MAPPING_NO_NODE;
 *           MAPPING_UNSUPPORTED; MAPPING_DENIED.
 * Order:    on return no CPU goes by the old flags; where nothing was taken away, and
 *           S2_RELAX_HERE, this one.
 */
MAPPING_MUST_USE enum mapping_error s2_space_protect(struct s2_space *space, struct ipa_range range,
                                                     mapping_flags_t flags);

/**
 * s2_space_fold() - Join areas that are alike, and turn what is uniform in @range into blocks and
 *                   runs, after many small changes; area by area, each within its own caps.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM; MAPPING_DENIED: as s2_table_fold(), of any area.
 * Order:    as s2_table_fold().
 */
MAPPING_MUST_USE enum mapping_error s2_space_fold(struct s2_space *space, struct ipa_range range);

TRESTLE_END

#endif
