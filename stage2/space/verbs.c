#include "stage2/space/verbs.h"

#include "stage2/space/backend.h"
#include "stage2/space/locked.h"
#include "stage2/table/fold.h"
#include "stage2/table/operation.h"

static enum mapping_error perform(struct s2_space *space, s2_locked_fn verb,
                                  const struct s2_request *request)
{
    enum mapping_error error;

    s2_space_enter_call(space);
    error = verb(space, request);
    s2_space_leave_call(space);
    return error;
}

enum mapping_error s2_space_map_linear(struct s2_space *space, struct ipa_range range, pa_t pa,
                                       mapping_flags_t flags)
{
    return perform(space, s2_locked_map, &(struct s2_request){S2_VERB_MAP, range, pa, flags});
}

enum mapping_error s2_space_replace_linear(struct s2_space *space, struct ipa_range range, pa_t pa,
                                           mapping_flags_t flags)
{
    return perform(space, s2_locked_replace,
                   &(struct s2_request){S2_VERB_REPLACE, range, pa, flags});
}

enum mapping_error s2_space_unmap(struct s2_space *space, struct ipa_range range)
{
    return perform(space, s2_locked_unmap,
                   &(struct s2_request){.verb = S2_VERB_UNMAP, .range = range});
}

enum mapping_error s2_space_protect(struct s2_space *space, struct ipa_range range,
                                    mapping_flags_t flags)
{
    return perform(space, s2_locked_protect,
                   &(struct s2_request){.verb = S2_VERB_PROTECT, .range = range, .flags = flags});
}

/* --- Folding --------------------------------------------------------------------------------- */

/* The first area that overlaps @range, from @area on; NULL: none does. */
static const struct memory_area *overlapping(const struct memory_area *area, struct ipa_range range)
{
    return area != NULL && ipa_range_overlaps(area->range, range) ? area : NULL;
}

static const struct memory_area *first_in(const struct s2_space *space, struct ipa_range range)
{
    return overlapping(memory_set_find_from(&space->set, range.start), range);
}

static const struct memory_area *next_in(const struct s2_space *space,
                                         const struct memory_area *area, struct ipa_range range)
{
    return overlapping(memory_set_next(&space->set, area), range);
}

/* There is nothing to fold. */
static bool is_empty(const struct memory_area *area)
{
    return (area->flags & S2_AREA_EMPTY) != 0;
}

/* Whether all areas can be folded, those that are alike joined as memory_set_merge() would: one
 * that cannot is known before anything is joined. */
static bool may_fold(const struct s2_space *space, struct ipa_range range)
{
    const struct memory_area *area = first_in(space, range);
    const struct memory_area *next;
    bool is_allowed = true;

    MAPPING_ASSERT(s2_table_is_range(&space->table, range));
    if (!space->table.refuses_transient) {
        return true;
    }
    for (; area != NULL && is_allowed; area = next) {
        struct ipa_range joined = area->range;

        next = next_in(space, area, range);
        while (next != NULL && memory_area_continues(area, next)) {
            joined = ipa_range_join(joined, next->range);
            area = next;
            next = next_in(space, area, range);
        }
        is_allowed = is_empty(area) ||
                     s2_table_may_fold(&space->table, ipa_range_meet(joined, range), area->flags);
    }
    return is_allowed;
}

/* Area by area, so that no block or run spans two, and each keeps to its own caps. */
static enum mapping_error fold_areas(struct s2_space *space, struct ipa_range range)
{
    const struct memory_area *area = first_in(space, range);
    enum mapping_error error = MAPPING_OK;

    MAPPING_ASSERT(mapping_lock_is_held(&space->lock));
    for (; area != NULL && error == MAPPING_OK; area = next_in(space, area, range)) {
        if (!is_empty(area)) {
            error = s2_table_fold_within(&space->table, ipa_range_meet(area->range, range),
                                         area->flags);
        }
    }
    return error;
}

enum mapping_error s2_space_fold(struct s2_space *space, struct ipa_range range)
{
    enum mapping_error error = MAPPING_INVALID_PARAM;

    s2_space_open(space);
    if (s2_table_is_range(&space->table, range)) {
        error = may_fold(space, range) ? memory_set_merge(&space->set, range) : MAPPING_DENIED;
    }
    if (error == MAPPING_OK) {
        error = fold_areas(space, range);
    }
    s2_space_close(space);
    return error;
}
