/*
 * trap.h - the next access anywhere faults: the root's entries become invalid, and come back one by
 * one, as they are asked for.
 *
 *      hardware's root   | . | . | . | . |        what VTTBR_EL2 leads to: emptied
 *      root              | T | . | B | T |        a copy, which all else here goes by
 *
 *      access in the last quarter: translation fault at the root's level
 *      s2_table_untrap(addr)
 *      hardware's root   | . | . | . | T |        one store, no TLBI: what is invalid is in no TLB
 *
 * For a hypervisor that wants to know what a guest uses, coarsely and for little: after it has
 * cleaned caches for a guest's operation by set and way, or to park a guest. Nothing below the root
 * changes. Every other call sees the tables as if nothing was trapped; an entry that it changes stays
 * as trapped as it was, one that it makes where there was none is trapped.
 */
#ifndef TRESTLE_STAGE2_TABLE_TRAP_H
#define TRESTLE_STAGE2_TABLE_TRAP_H

#include "core/c.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/**
 * s2_table_trap() - From its return on, every access of the guest faults, until it is let through.
 *                   May be called again, and traps again what has come back since.
 * Returns:  MAPPING_OK; MAPPING_NO_FRAME: the copy takes as many frames as the root, the first time;
 *           MAPPING_UNSUPPORTED: the root may hold leaves, and hardware updates them
 *           (s2_config.hardware_update); MAPPING_DENIED: transients are refused, as a device walks
 *           the tables and cannot ask again.
 * On error: nothing has changed.
 * Order:    one flush of the whole VMID.
 * Cost:     O(entries of the root).
 */
MAPPING_MUST_USE enum mapping_error s2_table_trap(struct s2_table *table);

/**
 * s2_table_untrap() - Let accesses through to whatever the root's entry for @addr leads to.
 * @addr:    any; beyond the input size nothing is trapped.
 * Returns:  whether it was trapped: if so, the guest tries again. If not, the fault has another cause.
 * Order:    visible on return.
 * Cost:     O(1): one store.
 */
bool s2_table_untrap(struct s2_table *table, ipa_t addr);

/* Nothing is trapped any more, and the copy's frames are back. Implied by s2_table_fini(). */
void s2_table_trap_end(struct s2_table *table);

/* Whether accesses may be trapped: since s2_table_trap(), until s2_table_trap_end(). */
static inline bool s2_table_is_trapping(const struct s2_table *table)
{
    return table->hardware_root != NULL;
}

TRESTLE_END

#endif
