/*
 * share.h - memory of a guest that another guest has, too, or the same at other addresses.
 *
 * Each counts the frames (core/frame_pool.h): what the owner's area gives up is free when nobody has it
 * any more.
 */
#ifndef TRESTLE_STAGE2_SPACE_SHARE_H
#define TRESTLE_STAGE2_SPACE_SHARE_H

#include "core/c.h"
#include "stage2/space/access.h"
#include "stage2/space/space.h"

TRESTLE_BEGIN

/**
 * s2_space_share() - Map what @owner has in @range into @with, from @at on.
 * @with:    another guest, on a pool or a guard that counts the same frames; or @owner itself, elsewhere.
 * @flags:   of the new areas: linear ones, as many as there are pieces of memory.
 * Returns:  MAPPING_OK; MAPPING_UNSUPPORTED: @with does not count the frames that @owner does, so that they
 *           could be freed behind it; as s2_space_pin() of @owner's, by the host's right, and as
 *           s2_space_map_linear() of @with.
 * On error: @with is as before, unless another call folds it meanwhile; lazy memory of @owner that was touched on the way is there.
 * Order:    @with may see the first pieces before the last are mapped.
 * Context:  neither is locked.
 */
MAPPING_MUST_USE enum mapping_error s2_space_share(struct s2_space *owner, struct ipa_range range,
                                                   struct s2_space *with, ipa_t at,
                                                   mapping_flags_t flags);

TRESTLE_END

#endif
