#include "stage2/space/fini.h"

#include "stage2/space/backend.h"
#include "stage2/table/mapcount.h"

/* How many of @size bytes are cleaned for @budget: whole granules. */
static uint64_t reclaim_size(const struct s2_table *table, uint64_t size, size_t budget)
{
    const uint64_t line = table->memory.cache_line;

    MAPPING_ASSERT(mapping_u64_is_pow2(line));
    if (budget >= size / line) {
        return size;
    }
    return mapping_u64_align_down(budget * line, s2_granule_size(&table->geometry));
}

/* Clean the next of what @area showed the guest; how much of the budget that took. */
static size_t reclaim_next(struct s2_space *space, const struct memory_area *area, size_t budget)
{
    const struct s2_table *table = &space->table;
    const ipa_t start = ipa_max(area->range.start, space->reclaimed);
    const ipa_t end = ipa_range_end(area->range);
    uint64_t size;

    if (s2_area_kind(area) != S2_AREA_LINEAR) { /* what it had it has given back */
        space->reclaimed = end;
        return 1;
    }
    if (!s2_table_needs_clean(table, area->flags)) {
        s2_mapcount_drop(table, s2_linear_pa(&area->backend, start), ipa_distance(start, end));
        space->reclaimed = end;
        return 1;
    }
    size = reclaim_size(table, ipa_distance(start, end), budget);
    if (size == 0) {
        return budget;
    }
    s2_memory_reclaim(&table->memory, s2_linear_pa(&area->backend, start), size);
    s2_mapcount_drop(table, s2_linear_pa(&area->backend, start), size);
    space->reclaimed = ipa_add(start, size);
    return (size_t)(size / table->memory.cache_line) + 1;
}

/* Lines that a granule takes: a line may be larger than it. */
static size_t granule_lines(const struct s2_table *table)
{
    const uint64_t line = table->memory.cache_line;
    const uint64_t granule = s2_granule_size(&table->geometry);

    MAPPING_ASSERT(mapping_u64_is_pow2(line));
    return line < granule ? (size_t)(granule / line) : 1;
}

/* Only now that no CPU can write it has the guest lost its memory for good. A granule is cleaned in
 * any case. */
static bool reclaim_some(struct s2_space *space, size_t budget)
{
    const size_t least = granule_lines(&space->table);
    const struct memory_area *area = memory_set_find_from(&space->set, space->reclaimed);
    size_t left = budget > least ? budget : least;

    MAPPING_ASSERT(mapping_lock_is_held(&space->lock));
    while (area != NULL && left > 0) {
        const size_t spent = reclaim_next(space, area, left);

        left -= spent < left ? spent : left;
        area = memory_set_find_from(&space->set, space->reclaimed);
    }
    return area == NULL;
}

/* The first area that still has frames of the library's, which only its leaves know; NULL: none. */
static const struct memory_area *first_to_drain(const struct s2_space *space)
{
    const struct memory_area *area = memory_set_first(&space->set);

    while (area != NULL && s2_backend_ops_of(&area->backend)->drain == NULL) {
        area = memory_set_next(&space->set, area);
    }
    return area;
}

/* Returns: whether none is left. */
static enum mapping_error drain_some(struct s2_space *space, size_t budget, bool *is_drained)
{
    const struct memory_area *area = first_to_drain(space);
    enum mapping_error error = MAPPING_OK;

    while (area != NULL && error == MAPPING_OK && budget > 0) {
        error = s2_backend_ops_of(&area->backend)->drain(space, area, budget);
        area = first_to_drain(space);
        budget = budget == SIZE_MAX ? budget : 0; /* one that ends spends it */
    }
    *is_drained = area == NULL;
    return error;
}

/* Tables first: an unmap of area after area would take a closing sequence for each, and might have
 * to split a block that two of them share. */
static enum mapping_error take_apart(struct s2_space *space, size_t budget, bool *is_done)
{
    bool is_drained = true;
    enum mapping_error error = MAPPING_OK;

    if (space->table.root != NULL) {
        if (s2_table_is_entered(&space->table)) {
            return MAPPING_BAD_STATE;
        }
        error = drain_some(space, budget > 0 ? budget : 1, &is_drained);
    }
    *is_done = false;
    return error == MAPPING_OK && is_drained ? s2_table_fini_step(&space->table, budget, is_done)
                                             : error;
}

enum mapping_error s2_space_fini_step(struct s2_space *space, size_t budget, bool *is_done)
{
    const struct s2_table *table = &space->table;
    enum mapping_error error = MAPPING_OK;
    bool is_table_done = false;

    mapping_lock_acquire(&space->lock);
    if (table->root == NULL && table->operation.depth == 0) {
        *is_done = reclaim_some(space, budget);
    } else {
        error = take_apart(space, budget, &is_table_done);
        if (error == MAPPING_OK) {
            *is_done = is_table_done && memory_set_is_empty(&space->set);
        }
    }
    if (is_table_done) {
        space->reclaimed = ipa_of(0);
    }
    mapping_lock_release(&space->lock);
    return error;
}

enum mapping_error s2_space_fini(struct s2_space *space)
{
    enum mapping_error error;
    bool is_done = false;

    do {
        error = s2_space_fini_step(space, SIZE_MAX, &is_done);
    } while (error == MAPPING_OK && !is_done);
    return error;
}
