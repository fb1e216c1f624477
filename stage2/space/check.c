#include "stage2/space/check.h"

#include "stage2/space/backend.h"
#include "stage2/table/check.h"
#include "stage2/table/mapcount.h"

/* Whether a leaf with @flags may follow from an area with @wanted: all alike, but for what the
 * hardware sets by itself. */
static bool flags_follow(const struct s2_table *table, mapping_flags_t flags,
                         mapping_flags_t wanted)
{
    const mapping_flags_t hardware = s2_hardware_flags(&table->format, wanted);

    return ((flags ^ wanted) & S2_LEAF_FLAGS & ~hardware) == 0;
}

/* Whether the leaf at @at is as @area says; *next: where to go on. */
static bool leaf_follows(const struct s2_space *space, const struct memory_area *area, ipa_t at,
                         ipa_t *next)
{
    struct s2_leaf leaf;

    if (s2_table_lookup(&space->table, at, &leaf) != MAPPING_OK) {
        return false;
    }
    *next = ipa_range_end((struct ipa_range){ipa_align_down(at, leaf.size), leaf.size});
    return pa_eq(leaf.pa, s2_linear_pa(&area->backend, at)) &&
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
            !s2_table_is_data(&space->table, s2_linear_pa(&area->backend, area->range.start),
                              area->range.size) ||
            !s2_mapcount_is_counted(&space->table, s2_linear_pa(&area->backend, area->range.start),
                                    area->range.size)) {
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
