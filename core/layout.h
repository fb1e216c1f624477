/*
 * layout.h - how large objects are, for languages that do not read C headers: their storage is the
 * embedder's, and its size may change between versions.
 *
 * May be mirrored, as all their members are public: ipa_t, pa_t, struct ipa_range, struct
 * frame_region, struct memory_area, struct mapping_backend; of stage 2 (stage2/space/layout.h)
 * struct s2_config, s2_space_config, s2_features, s2_id_regs, s2_leaf, s2_cursor. A mirror compares
 * its size with what is told here. All others are so many bytes, aligned so.
 */
#ifndef TRESTLE_CORE_LAYOUT_H
#define TRESTLE_CORE_LAYOUT_H

#include "core/c.h"

#include <stddef.h>

TRESTLE_BEGIN

struct mapping_layout {
    size_t size;  /* bytes */
    size_t align; /* of its address */
};

extern const struct mapping_layout frame_info_layout;
extern const struct mapping_layout frame_pool_layout;
extern const struct mapping_layout frame_region_layout;
extern const struct mapping_layout memory_area_layout;
extern const struct mapping_layout memory_node_layout;
extern const struct mapping_layout memory_set_layout;

TRESTLE_END

#endif
