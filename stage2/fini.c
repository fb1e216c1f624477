/*
 * fini.c - taking tables and spaces apart, as much at a time as the caller likes.
 *
 *      unlink       every entry of the root. To send a TLBI its VMID has to be in VTTBR_EL2, and as
 *                   long as it is, this CPU may walk what the root leads to.
 *      invalidate   the VMID, once: from then on nobody knows the tables
 *      release      their frames, in any order, lowest level first, so that the lists stay short
 *
 * What was unlinked waits on the lists of the operation, by level. They are all the cursor there is,
 * with the place in the root.
 */
#include "stage2/step.h"

#include "stage2/operation.h"
#include "stage2/shown.h"

/* --- Tables ---------------------------------------------------------------------------------- */

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
        s2_desc_t *slot = &root[table->fini_next++];
        const s2_desc_t desc = arch_desc_load(slot);

        if (!s2_desc_is_none(desc)) {
            arch_desc_store(slot, S2_DESC_NONE);
            s2_operation_stored(table, slot, 1);
        }
        if (s2_desc_is_table(desc, level)) {
            s2_operation_retire(table, s2_desc_address(&table->format, desc), level + 1);
        }
    }
    return count;
}

/* A CPU that is in the guest walks its tables. Who gives VMIDs knows; of one that was given by hand
 * nobody does. */
static bool is_entered(const struct s2_table *table)
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
        s2_operation_flush_vmid(table);
        table->is_forgotten = true;
    }
    while (left > 0 && s2_operation_release_some(table, &left)) {
    }
    frame_pool_unreserve(table->pool, &table->operation.held);
    if (s2_operation_has_retired(table)) {
        return false;
    }
    fini_end(table);
    return true;
}

enum mapping_error s2_table_fini_step(struct s2_table *table, size_t budget, bool *is_done)
{
    if (table->root != NULL) {
        if (is_entered(table)) {
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
    const enum mapping_error error = s2_table_fini_step(table, S2_STEP_ALL, &is_done);

    MAPPING_ASSERT(error != MAPPING_OK || is_done);
    return error;
}

/* --- Spaces ---------------------------------------------------------------------------------- */

/* How many of @size bytes are cleaned for @budget: whole granules. */
static uint64_t reclaim_size(const struct s2_table *table, uint64_t size, size_t budget)
{
    const uint64_t line = table->memory.cache_line;

    MAPPING_ASSERT(u64_is_pow2(line));
    if (budget >= size / line) {
        return size;
    }
    return u64_align_down(budget * line, s2_granule_size(&table->geometry));
}

/* Clean the next of what @area showed the guest; how much of the budget that took. */
static size_t reclaim_next(struct s2_space *space, const struct memory_area *area, size_t budget)
{
    const struct s2_table *table = &space->table;
    const ipa_t start = ipa_max(area->range.start, space->reclaimed);
    const ipa_t end = ipa_range_end(area->range);
    uint64_t size;

    if (!s2_table_needs_clean(table, area->flags)) {
        s2_shown_drop(table, s2_linear_pa(&area->backend, start), ipa_distance(start, end));
        space->reclaimed = end;
        return 1;
    }
    size = reclaim_size(table, ipa_distance(start, end), budget);
    if (size == 0) {
        return budget;
    }
    s2_memory_reclaim(&table->memory, s2_linear_pa(&area->backend, start), size);
    s2_shown_drop(table, s2_linear_pa(&area->backend, start), size);
    space->reclaimed = ipa_add(start, size);
    return (size_t)(size / table->memory.cache_line) + 1;
}

/* Lines that a granule takes: a line may be larger than it. */
static size_t granule_lines(const struct s2_table *table)
{
    const uint64_t line = table->memory.cache_line;
    const uint64_t granule = s2_granule_size(&table->geometry);

    MAPPING_ASSERT(u64_is_pow2(line));
    return line < granule ? (size_t)(granule / line) : 1;
}

/* Only now that no CPU can write it has the guest lost its memory for good. A granule is cleaned in
 * any case. */
static bool reclaim_some(struct s2_space *space, size_t budget)
{
    const size_t least = granule_lines(&space->table);
    const struct memory_area *area = memory_set_find_from(&space->set, space->reclaimed);
    size_t left = budget > least ? budget : least;

    MAPPING_ASSERT(lock_is_held(&space->lock));
    while (area != NULL && left > 0) {
        const size_t spent = reclaim_next(space, area, left);

        left -= spent < left ? spent : left;
        area = memory_set_find_from(&space->set, space->reclaimed);
    }
    return area == NULL;
}

/* Tables first: an unmap of area after area would pay a tail for each, and might have to cut a block
 * that two of them share. */
enum mapping_error s2_space_fini_step(struct s2_space *space, size_t budget, bool *is_done)
{
    const struct s2_table *table = &space->table;
    enum mapping_error error = MAPPING_OK;
    bool is_table_done = false;

    lock_acquire(&space->lock);
    if (table->root == NULL && table->operation.depth == 0) {
        *is_done = reclaim_some(space, budget);
    } else {
        error = s2_table_fini_step(&space->table, budget, &is_table_done);
        if (error == MAPPING_OK) {
            *is_done = is_table_done && memory_set_is_empty(&space->set);
        }
    }
    if (is_table_done) {
        space->reclaimed = ipa_of(0);
    }
    lock_release(&space->lock);
    return error;
}

enum mapping_error s2_space_fini(struct s2_space *space)
{
    enum mapping_error error;
    bool is_done = false;

    do {
        error = s2_space_fini_step(space, S2_STEP_ALL, &is_done);
    } while (error == MAPPING_OK && !is_done);
    return error;
}
