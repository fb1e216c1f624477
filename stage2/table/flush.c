#include "stage2/table/flush.h"

#include "stage2/table/frames.h"
#include "stage2/table/mapcount.h"

/* Nobody reaches it any more: what the guest wrote past the caches is what is there, and whoever it
 * belongs to may have it back. */
static void reclaim_all(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    for (unsigned i = 0; i < operation->reclaim_count; i++) {
        const struct s2_reclaim *reclaim = &operation->reclaims[i];

        if ((reclaim->what & S2_RECLAIM_CLEAN) != 0) {
            s2_memory_reclaim(&table->memory, reclaim->pa, reclaim->size);
        }
        if ((reclaim->what & S2_RECLAIM_DROP) != 0) {
            s2_mapcount_drop(table, reclaim->pa, reclaim->size);
        }
    }
    operation->reclaim_count = 0;
    if (s2_returns_wait(table)) {
        operation->returns.release(table);
    }
}

void s2_flush(struct s2_table *table)
{
    struct s2_operation *operation = &table->operation;

    MAPPING_ASSERT(operation->depth > 0);
    MAPPING_ASSERT(!s2_tlb_batch_is_empty(&operation->invalidations) ||
                   s2_frames_quarantined(table) == 0);

    if (!s2_tlb_batch_is_empty(&operation->invalidations)) {
        const struct s2_tlb_target target = s2_flush_target(table);

        s2_tlb_flush(&target, &operation->invalidations);
        operation->is_stored = false;
    }
    if (s2_frames_quarantined(table) > 0) {
        s2_frames_release_all(table);
    }
    if (operation->reclaim_count > 0 || s2_returns_wait(table)) {
        reclaim_all(table);
    }
}

void s2_flush_vmid(struct s2_table *table)
{
    const struct s2_tlb_target target = s2_flush_target(table);

    MAPPING_ASSERT(table->operation.depth > 0);

    s2_tlb_flush_vmid(&target);
    s2_tlb_batch_clear(&table->operation.invalidations);
    table->operation.is_stored = false;
    reclaim_all(table);
}
