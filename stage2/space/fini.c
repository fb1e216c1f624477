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

/* The next area that still has frames of the library's, which only its leaves know; NULL: none. */
static const struct memory_area *next_to_drain(struct s2_space *space)
{
    const struct memory_area *area = memory_set_find_from(&space->set, space->reclaimed);

    while (area != NULL && s2_backend_ops_of(&area->backend)->drain == NULL) {
        space->reclaimed = ipa_range_end(area->range);
        area = memory_set_next(&space->set, area);
    }
    return area;
}

/* What is the library's own by unmaps; the tables at once: an unmap of area after area would take a
 * closing sequence for each, and might have to split a block that two of them share. */
static enum mapping_error take_apart(struct s2_space *space, size_t budget, bool *is_done)
{
    const struct memory_area *area;

    *is_done = false;
    if (space->table.root != NULL) {
        if (s2_table_is_entered(&space->table)) {
            return MAPPING_BAD_STATE;
        }
        area = next_to_drain(space);
        if (area != NULL) {
            const enum mapping_error error =
                s2_backend_ops_of(&area->backend)->drain(space, area, budget);

            space->reclaimed = error == MAPPING_OK ? space->reclaimed : ipa_of(0);
            return error;
        }
    }
    return s2_table_fini_step(&space->table, budget, is_done);
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
