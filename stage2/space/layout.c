#include "stage2/space/layout.h"

#include "stage2/arch/identify.h"
#include "stage2/space/access.h"
#include "stage2/space/area.h"
#include "stage2/space/audit.h"
#include "stage2/space/batch.h"
#include "stage2/space/statistics.h"
#include "stage2/space/step.h"

#define LAYOUT(name) \
    const struct mapping_layout name##_layout = {sizeof(struct name), _Alignof(struct name)}

LAYOUT(s2_answer);
LAYOUT(s2_area);
LAYOUT(s2_audit);
LAYOUT(s2_batch);
LAYOUT(s2_config);
LAYOUT(s2_cpu);
LAYOUT(s2_cursor);
LAYOUT(s2_fault);
LAYOUT(s2_fault_regs);
LAYOUT(s2_features);
LAYOUT(s2_id_regs);
LAYOUT(s2_lazy);
LAYOUT(s2_leaf);
LAYOUT(s2_meeting);
LAYOUT(s2_pin);
LAYOUT(s2_space_config);
LAYOUT(s2_space);
LAYOUT(s2_space_statistics);
LAYOUT(s2_table);
LAYOUT(s2_vmid_allocator);
