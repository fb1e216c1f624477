#include "stage2/table/recover.h"

#include "stage2/table/flush.h"

/* Once the root is gone the VMID's entries are, or are about to be. To send anything its root would
 * have to be in VTTBR_EL2. */
static bool is_finished(const struct s2_table *table)
{
    return table->root == NULL;
}

void s2_table_recover_conflict(struct s2_table *table)
{
    if (!is_finished(table)) {
        const struct s2_tlb_target target = s2_flush_target(table);

        s2_tlb_recover_conflict(&target);
    }
}

void s2_table_refresh(struct s2_table *table, ipa_t addr)
{
    /* A guest chooses where it faults. Beyond the input size there is nothing to hold. */
    if (!is_finished(table) && ipa_lt(addr, table->end)) {
        const struct s2_tlb_target target = s2_flush_target(table);

        s2_tlb_refresh(&target, addr);
    }
}
