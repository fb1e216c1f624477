#include "stage2/space/check.h"

#include "stage2/space/lazy.h"
#include "stage2/table/check.h"
#include "stage2/table/mapcount.h"

/* Whether a leaf with @flags may follow from an area with @wanted: all alike, but for what the
 * hardware sets by itself, and an access flag that a fault has set. */
static bool flags_follow(const struct s2_table *table, mapping_flags_t flags,
                         mapping_flags_t wanted)
{
    const mapping_flags_t may_differ =
        s2_hardware_flags(&table->format, wanted) | (wanted & S2_NO_AF);

    return ((flags ^ wanted) & S2_LEAF_FLAGS & ~may_differ) == 0;
}

/* Whether it is granules that were taken from the pool of such areas, and are no tables. */
static bool lazy_has(const struct s2_table *table, const struct s2_lazy *lazy, pa_t pa,
                     uint64_t size)
{
    const uint64_t granule = s2_granule_size(&table->geometry);
    const unsigned order = s2_pool_order(table, lazy->pool);
    uint64_t at = 0;

    while (at < size && frame_pool_is_taken(lazy->pool, pa_add(pa, at), order)) {
        at += granule;
    }
    return at >= size && frame_pool_is_data(lazy->pool, pa, size);
}

/* Whether the memory behind a leaf is what an area of its kind may show, and nobody can free it. */
static bool memory_follows(const struct s2_table *table, const struct memory_area *area, ipa_t at,
                           const struct s2_leaf *leaf, uint64_t size)
{
    switch (s2_area_kind(area)) {
    case S2_AREA_LINEAR:
        return pa_eq(leaf->pa, s2_linear_pa(&area->backend, at));
    case S2_AREA_LAZY:
        return lazy_has(table, s2_lazy_of(&area->backend), leaf->pa, size) &&
               s2_mapcount_is_counted(table, leaf->pa, size);
    case S2_AREA_OWN:
        return s2_table_is_data(table, leaf->pa, size);
    case S2_AREA_TRAP:
    case S2_AREA_GUARD:
        break;
    }
    return false;
}

/* Whether a page may be missing. */
static bool may_have_holes(const struct memory_area *area)
{
    return s2_area_kind(area) != S2_AREA_LINEAR;
}

/* Whether the leaf at @at is as @area says; *next: where to go on. */
static bool leaf_follows(const struct s2_space *space, const struct memory_area *area, ipa_t at,
                         ipa_t *next)
{
    struct s2_leaf leaf;
    const enum mapping_error error = s2_table_lookup(&space->table, at, &leaf);

    if (error != MAPPING_OK && error != MAPPING_NOT_FOUND) {
        return false;
    }
    *next = ipa_min(ipa_range_end((struct ipa_range){ipa_align_down(at, leaf.size), leaf.size}),
                    ipa_range_end(area->range));
    if (error == MAPPING_NOT_FOUND) {
        return may_have_holes(area);
    }
    return memory_follows(&space->table, area, at, &leaf, ipa_distance(at, *next)) &&
           flags_follow(&space->table, leaf.flags, area->flags);
}

static bool area_is_mapped(const struct s2_space *space, const struct memory_area *area)
{
    const ipa_t end = ipa_range_end(area->range);
    ipa_t at = area->range.start;

    while (ipa_lt(at, end)) {
        if (!leaf_follows(space, area, at, &at)) {
            return false;
        }
    }
    return true;
}

/* What can be said of all of it at once. */
static bool area_is_data(const struct s2_table *table, const struct memory_area *area)
{
    pa_t pa;

    if (s2_area_kind(area) != S2_AREA_LINEAR) {
        return true;
    }
    pa = s2_linear_pa(&area->backend, area->range.start);
    return s2_table_is_data(table, pa, area->range.size) &&
           s2_mapcount_is_counted(table, pa, area->range.size);
}

/* Whether nothing is mapped in [@at, @end). */
static bool gap_is_empty(const struct s2_space *space, ipa_t at, ipa_t end)
{
    struct s2_leaf hole;

    while (ipa_lt(at, end)) {
        if (s2_table_lookup(&space->table, at, &hole) != MAPPING_NOT_FOUND) {
            return false;
        }
        at = ipa_range_end((struct ipa_range){ipa_align_down(at, hole.size), hole.size});
    }
    return true;
}

static bool tables_follow_areas(const struct s2_space *space)
{
    const struct memory_area *area = memory_set_first(&space->set);
    ipa_t at = ipa_of(0);

    for (; area != NULL; area = memory_set_next(&space->set, area)) {
        if (!gap_is_empty(space, at, area->range.start) || !area_is_mapped(space, area) ||
            !area_is_data(&space->table, area)) {
            return false;
        }
        at = ipa_range_end(area->range);
    }
    return gap_is_empty(space, at, ipa_of(MAPPING_BIT(space->table.geometry.ipa_bits)));
}

bool s2_space_check(struct s2_space *space)
{
    bool is_sound;

    mapping_lock_acquire(&space->lock);
    is_sound = memory_set_check(&space->set) && s2_table_check(&space->table) &&
               tables_follow_areas(space);
    mapping_lock_release(&space->lock);
    return is_sound;
}
