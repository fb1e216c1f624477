/*
 * layout.h - how large the objects of stage 2 are, as core/layout.h.
 */
#ifndef TRESTLE_STAGE2_SPACE_LAYOUT_H
#define TRESTLE_STAGE2_SPACE_LAYOUT_H

#include "core/c.h"
#include "core/layout.h"

TRESTLE_BEGIN

extern const struct mapping_layout s2_answer_layout;
extern const struct mapping_layout s2_area_layout;
extern const struct mapping_layout s2_audit_layout;
extern const struct mapping_layout s2_batch_layout;
extern const struct mapping_layout s2_config_layout;
extern const struct mapping_layout s2_cpu_layout;
extern const struct mapping_layout s2_cursor_layout;
extern const struct mapping_layout s2_fault_layout;
extern const struct mapping_layout s2_fault_regs_layout;
extern const struct mapping_layout s2_features_layout;
extern const struct mapping_layout s2_id_regs_layout;
extern const struct mapping_layout s2_lazy_layout;
extern const struct mapping_layout s2_leaf_layout;
extern const struct mapping_layout s2_meeting_layout;
extern const struct mapping_layout s2_pin_layout;
extern const struct mapping_layout s2_space_config_layout;
extern const struct mapping_layout s2_space_layout;
extern const struct mapping_layout s2_space_statistics_layout;
extern const struct mapping_layout s2_table_layout;
extern const struct mapping_layout s2_vmid_allocator_layout;

TRESTLE_END

#endif
