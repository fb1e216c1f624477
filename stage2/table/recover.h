/*
 * recover.h - after a fault that the tables do not explain: this CPU's TLB forgets.
 */
#ifndef TRESTLE_STAGE2_TABLE_RECOVER_H
#define TRESTLE_STAGE2_TABLE_RECOVER_H

#include "core/c.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/**
 * s2_table_recover_conflict() - After a TLB conflict abort that came to EL2 (FSC 0b110000): this
 * CPU holds nothing of the VMID any more, and the guest may try again.
 * s2_table_refresh() - After a permission or translation fault at @addr that the tables do not
 * explain: this CPU holds nothing of that page any more. @addr: any; beyond the input size nothing
 * is held, and nothing is sent.
 * Order:    of a table that has come to its end nobody holds anything: then nothing is sent, and
 *           its root, which is the pool's again, is not loaded.
 * Context:  the guest is current on this CPU. The table is not locked: other calls on it may be
 *           under way, s2_table_fini() aside.
 */
void s2_table_recover_conflict(struct s2_table *table);
void s2_table_refresh(struct s2_table *table, ipa_t addr);

TRESTLE_END

#endif
