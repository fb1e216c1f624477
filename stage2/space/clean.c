#include "stage2/space/clean.h"

#include "stage2/space/lazy.h"

/* Bytes that @budget lines are, whole granules, one at least. */
static uint64_t clean_size(const struct s2_table *table, size_t budget)
{
    const uint64_t granule = s2_granule_size(&table->geometry);
    const uint64_t line = table->memory.cache_line;
    const uint64_t most = budget > UINT64_MAX / line ? UINT64_MAX : budget * line;

    MAPPING_ASSERT(mapping_u64_is_pow2(line));
    return mapping_u64_max(granule, mapping_u64_align_down(most, granule));
}

static enum mapping_error clean(const struct s2_memory *memory, pa_t pa, uint64_t size)
{
    MAPPING_ASSERT(size > 0);
    if (memory->ops == NULL && !frame_pool_covers(memory->pool, pa, size)) {
        return MAPPING_UNSUPPORTED;
    }
    return s2_memory_clean(memory, pa, size);
}

/* How memory of the area at @at is reached: frames of a lazy one are in a pool of their own. */
static struct s2_memory memory_at(const struct s2_space *space, ipa_t at)
{
    const struct memory_area *area = memory_set_find(&space->set, at);
    struct s2_memory memory = space->table.memory;

    if (area != NULL && s2_area_kind(area) == S2_AREA_LAZY) {
        memory.pool = s2_lazy_of(&area->backend)->pool;
    }
    return memory;
}

/* The leaf or hole at @at, or the part of it before @end that *budget is enough for, which is spent.
 * Returns: where that ends. *error: what went wrong first. */
static ipa_t clean_next(const struct s2_space *space, ipa_t at, ipa_t end, size_t *budget,
                        enum mapping_error *error)
{
    const struct s2_table *table = &space->table;
    struct s2_leaf leaf;
    enum mapping_error found = s2_table_lookup(table, at, &leaf);
    uint64_t size = mapping_u64_min(leaf.size - ipa_offset(at, leaf.size), ipa_distance(at, end));
    struct s2_memory memory;
    size_t spent = 1;

    MAPPING_ASSERT(found == MAPPING_OK || found == MAPPING_NOT_FOUND);
    if (found == MAPPING_OK && !s2_flags_are_device(leaf.flags)) {
        size = mapping_u64_min(size, clean_size(table, *budget));
        memory = memory_at(space, at);
        found = clean(&memory, leaf.pa, size);
        *error = *error == MAPPING_OK ? found : *error;
        spent = (size_t)(size / table->memory.cache_line) + 1;
    }
    MAPPING_ASSERT(size > 0 && spent > 0);
    *budget -= mapping_u64_min(spent, *budget);
    return ipa_add(at, size);
}

enum mapping_error s2_space_clean_step(struct s2_space *space, struct s2_cursor *cursor,
                                       size_t budget)
{
    enum mapping_error error = MAPPING_OK;
    ipa_t at = cursor->next, end;

    if (!s2_table_is_range(&space->table, cursor->range)) {
        return MAPPING_INVALID_PARAM;
    }
    end = ipa_range_end(cursor->range);
    MAPPING_ASSERT(ipa_lt(at, end));
    mapping_lock_acquire(&space->lock);
    do {
        at = clean_next(space, at, end, &budget, &error);
    } while (budget > 0 && ipa_lt(at, end));
    mapping_lock_release(&space->lock);
    if (error == MAPPING_OK) {
        s2_cursor_move(cursor, at);
    }
    return error;
}

enum mapping_error s2_space_clean(struct s2_space *space, struct ipa_range range)
{
    struct s2_cursor cursor = s2_cursor(range);

    return s2_space_clean_step(space, &cursor, S2_STEP_ALL);
}
