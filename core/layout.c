#include "core/layout.h"

#include "core/frame_pool.h"
#include "core/memory_set.h"

#define LAYOUT(name) \
    const struct mapping_layout name##_layout = {sizeof(struct name), _Alignof(struct name)}

LAYOUT(frame_info);
LAYOUT(frame_pool);
LAYOUT(frame_region);
LAYOUT(memory_area);
LAYOUT(memory_node);
LAYOUT(memory_set);
