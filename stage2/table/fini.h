/*
 * fini.h - taking a table apart, at once or in steps.
 */
#ifndef TRESTLE_STAGE2_TABLE_FINI_H
#define TRESTLE_STAGE2_TABLE_FINI_H

#include "core/c.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/**
 * s2_table_fini() - Give back every frame of the tables.
 * Returns:  MAPPING_OK; MAPPING_BAD_STATE: a CPU of the allocator of its VMID is in the guest, and
 *           has not said s2_leave(), nor entered another.
 * On error: nothing has changed.
 * Order:    the VMID's entries are invalidated on all CPUs first, so it can be used anew.
 * Context:  no vCPU of the guest runs, nor has the table loaded; no operation is open. Nobody
 *           enters the guest meanwhile; afterwards s2_enter() refuses.
 * Cost:     O(entries of non-leaf tables + CPUs).
 */
MAPPING_MUST_USE enum mapping_error s2_table_fini(struct s2_table *table);

/**
 * s2_table_fini_step() - Take the table apart, up to @budget descriptors of it.
 * @is_done: written on MAPPING_OK only: whether that was the last of it.
 * Returns:  MAPPING_OK; MAPPING_BAD_STATE, of the first step only: as s2_table_fini(). After that
 *           step the table takes no other call.
 * On error: nothing has changed.
 * Order:    the root is emptied, then the VMID's entries are invalidated, once; only then does the
 *           first frame return.
 * Owns:     frames are back in the pool by the end of the step that takes them out; the root's by
 *           the last.
 * Context:  as s2_table_fini().
 */
MAPPING_MUST_USE enum mapping_error s2_table_fini_step(struct s2_table *table, size_t budget,
                                                       bool *is_done);

/* Whether a CPU is in the guest, and so walks its tables. Who gives VMIDs knows; of one that was given
 * by hand nobody does: false. */
bool s2_table_is_entered(const struct s2_table *table);

TRESTLE_END

#endif
