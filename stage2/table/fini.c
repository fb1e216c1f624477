/*
 * fini.c - taking a table apart, as much at a time as the caller likes.
 *
 *      unlink       every entry of the root. To send a TLBI its VMID has to be in VTTBR_EL2, and as
 *                   long as it is, this CPU may walk what the root leads to.
 *      invalidate   the VMID, once: from then on nobody knows the tables
 *      release      their frames, in any order, lowest level first, so that the lists stay short
 *
 * What was unlinked waits on the lists of the operation, by level. They are all the cursor there
 * is, with the place in the root.
 */
#include "stage2/table/fini.h"

#include "stage2/table/flush.h"
#include "stage2/table/frames.h"
#include "stage2/table/operation.h"
#include "stage2/table/store.h"
#include "stage2/table/trap.h"

static void fini_end(struct s2_table *table)
{
    const unsigned order = table->table_order + table->geometry.root_order;
    const enum mapping_error error = frame_pool_free(table->pool, table->root_pa, order);

    MAPPING_ASSERT(error == MAPPING_OK);
    MAPPING_ASSERT(table->table_count == 0);
    (void)error;
    s2_table_end(table);
}

/* No other call is taken from here on: there is no root. */
static void fini_begin(struct s2_table *table)
{
    MAPPING_ASSERT(table->operation.depth == 0);

    s2_table_trap_end(table);
    s2_table_begin(table);
    table->root = NULL;
    table->fini_next = 0;
}

/* The next entries of the root, as many as @budget; answers how many. */
static size_t unlink_from_root(struct s2_table *table, size_t budget)
{
    const int level = table->geometry.start_level;
    const size_t left = s2_root_entries(&table->geometry) - table->fini_next;
    const size_t count = left < budget ? left : budget;
    s2_desc_t *root = frame_pool_ptr(table->pool, table->root_pa);

    MAPPING_ASSERT(root != NULL);
    for (size_t i = 0; i < count; i++) {
        s2_desc_t *slot = &root[table->fini_next + i];
        const s2_desc_t desc = arch_desc_load(slot);

        if (s2_desc_is_none(desc)) {
            continue;
        }
        arch_desc_store(slot, S2_DESC_NONE);
        s2_stored(table, slot, 1);
        if (s2_desc_is_table(desc, level)) {
            s2_frames_quarantine(table, s2_desc_address(&table->format, desc), level + 1);
        }
    }
    table->fini_next += (unsigned)count;
    return count;
}

bool s2_table_is_entered(const struct s2_table *table)
{
    struct s2_vmid_allocator *vmids = atomic_load_explicit(&table->vmids, memory_order_acquire);

    return vmids != NULL && s2_vmid_is_held(vmids, &table->vmid);
}

/* Up to @budget descriptors. Returns: whether that was the last of it. */
static bool take_apart(struct s2_table *table, size_t budget)
{
    size_t left = budget > 0 ? budget : 1;

    MAPPING_ASSERT(table->operation.depth == 1);
    if (!table->is_forgotten) {
        left -= unlink_from_root(table, left);
        if (table->fini_next < s2_root_entries(&table->geometry)) {
            return false;
        }
        s2_flush_vmid(table);
        table->is_forgotten = true;
    }
    while (left > 0 && s2_frames_release_some(table, &left)) {
    }
    frame_pool_unreserve(table->pool, &table->operation.held);
    if (s2_frames_quarantined(table) > 0) {
        return false;
    }
    fini_end(table);
    return true;
}

enum mapping_error s2_table_fini_step(struct s2_table *table, size_t budget, bool *is_done)
{
    if (table->root != NULL) {
        if (s2_table_is_entered(table)) {
            return MAPPING_BAD_STATE;
        }
        fini_begin(table);
    }
    *is_done = take_apart(table, budget);
    return MAPPING_OK;
}

enum mapping_error s2_table_fini(struct s2_table *table)
{
    bool is_done;
    const enum mapping_error error = s2_table_fini_step(table, SIZE_MAX, &is_done);

    MAPPING_ASSERT(error != MAPPING_OK || is_done);
    return error;
}
