/*
 * fini.h - taking a space apart, at once or in steps.
 */
#ifndef TRESTLE_STAGE2_SPACE_FINI_H
#define TRESTLE_STAGE2_SPACE_FINI_H

#include "core/c.h"
#include "stage2/space/space.h"
#include "stage2/table/fini.h"

TRESTLE_BEGIN

/**
 * s2_space_fini() - Unmap everything, invalidate the VMID, give back every frame.
 * Returns:  MAPPING_OK; MAPPING_BAD_STATE: a CPU is in the guest, as for s2_table_fini().
 * On error: nothing has changed.
 * Context:  no vCPU of the guest runs, nor has the space loaded, nor enters it meanwhile.
 */
MAPPING_MUST_USE enum mapping_error s2_space_fini(struct s2_space *space);

/**
 * s2_space_fini_step() - Take the space apart: the tables, then the cleaning of its memory.
 * @is_done, Returns: as s2_table_fini_step(). After the first step the space takes no other call.
 * Cost:     O(@budget), of cleaning at least a granule.
 * Context:  as s2_space_fini().
 */
MAPPING_MUST_USE enum mapping_error s2_space_fini_step(struct s2_space *space, size_t budget,
                                                       bool *is_done);

TRESTLE_END

#endif
