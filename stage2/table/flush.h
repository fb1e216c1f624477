/*
 * flush.h - the end of what was taken away: invalidations are sent, and only then do tables and
 * memory go back.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_FLUSH_H
#define TRESTLE_STAGE2_TABLE_FLUSH_H

#include "stage2/table/returns.h"
#include "stage2/table/table.h"
#include "stage2/tlb/tlb_flush.h"

/* The guest as invalidations are sent for it. */
static inline struct s2_tlb_target s2_flush_target(struct s2_table *table)
{
    struct s2_vmid_allocator *vmids = atomic_load_explicit(&table->vmids, memory_order_acquire);

    return (struct s2_tlb_target){
        .regime = {.geometry = &table->geometry,
                   .rules = &table->rules,
                   .vttbr = vmids == NULL ? table->vttbr : s2_table_vttbr(table),
                   .vmids = vmids,
                   .vmid = &table->vmid},
        .notifier = &table->notifier,
        .counters = &table->counters,
        /* Relaxed: it decides on forms that all CPUs hear, and those are sent under the lock alone,
         * under which it changes. */
        .has_slow_memory = atomic_load_explicit(&table->has_slow_memory, memory_order_relaxed),
    };
}

/* Whether there is anything to do. */
static inline bool s2_flush_has_work(const struct s2_table *table)
{
    return !s2_tlb_batch_is_empty(&table->operation.invalidations) ||
           table->operation.reclaim_count > 0 || s2_returns_wait(table);
}

/* Send what was collected, then hold the tables that were quarantined, and do with memory what is
 * to be done (S2_RECLAIM_...). What was broken stays so: s2_change_flush(). */
void s2_flush(struct s2_table *table);

/* The same for everything that the VMID tags, and so for all that was collected; but what is
 * quarantined stays, for s2_frames_release_some(). */
void s2_flush_vmid(struct s2_table *table);

#endif
