#include "stage2/space/area.h"

#include "stage2/space/locked.h"

/* --- What is wrong ---------------------------------------------------------------------------- */

static const char *range_reason(const struct s2_table *table, const struct s2_area *area)
{
    const uint64_t granule = s2_granule_size(&table->geometry);

    if (s2_table_is_range(table, area->range)) {
        return NULL;
    }
    if (ipa_range_is_valid(area->range) && !ipa_range_is_aligned(area->range, granule)) {
        return area->kind == S2_AREA_LINEAR && s2_flags_are_device(area->flags)
                   ? "a device's window is no whole number of granules: trap its accesses"
                   : "the range is no whole number of granules";
    }
    return "the range is empty, or not inside the input size";
}

static const char *own_reason(const struct s2_area *area)
{
    const struct mapping_backend *backend = &area->backend;

    MAPPING_ASSERT(area->kind == S2_AREA_OWN);
    if (!mapping_backend_is_complete(backend) || backend->ops->begin != s2_backend_begin ||
        backend->ops->end != s2_backend_end) {
        return "a backend of one's own begins and ends as all do in a space";
    }
    if ((area->flags & ~S2_ALL_FLAGS) != 0) {
        return "flags that no leaf has";
    }
    return s2_backend_ops_of(backend)->kind == S2_AREA_OWN
               ? NULL
               : "a backend of one's own is of another kind";
}

static const char *kind_reason(const struct s2_table *table, const struct s2_area *area)
{
    switch (area->kind) {
    case S2_AREA_LINEAR:
        return s2_table_is_output(table, area->pa, area->range.size)
                   ? NULL
                   : "the memory is not aligned to a granule, or not inside the output size";
    case S2_AREA_LAZY:
        return s2_lazy_reason(area->lazy, table, area->flags);
    case S2_AREA_TRAP:
    case S2_AREA_GUARD:
        return area->flags == 0 ? NULL : "flags for an area that maps nothing";
    case S2_AREA_OWN:
        return own_reason(area);
    }
    return "there is no such kind of area";
}

const char *s2_space_map_reason(const struct s2_space *space, const struct s2_area *area)
{
    const char *reason;

    MAPPING_ASSERT(space != NULL && area != NULL);
    reason = range_reason(&space->table, area);
    return reason != NULL ? reason : kind_reason(&space->table, area);
}

/* --- Mapping ---------------------------------------------------------------------------------- */

static struct mapping_backend backend_of(const struct s2_area *area)
{
    switch (area->kind) {
    case S2_AREA_LINEAR:
        return s2_linear_backend(area->range.start, area->pa);
    case S2_AREA_LAZY:
        return s2_lazy_backend(area->lazy);
    case S2_AREA_TRAP:
        return s2_trap_backend(area->range.start);
    case S2_AREA_GUARD:
        return s2_guard_backend();
    case S2_AREA_OWN:
        break;
    }
    return area->backend;
}

static enum mapping_error add(struct s2_space *space, const struct memory_area *added,
                              enum overlap_policy policy)
{
    enum mapping_error error;

    s2_space_enter_call(space);
    error = s2_locked_add(space, added, policy);
    s2_space_leave_call(space);
    return error;
}

static enum mapping_error map(struct s2_space *space, const struct s2_area *area,
                              enum overlap_policy policy)
{
    const bool is_empty = area->kind == S2_AREA_TRAP || area->kind == S2_AREA_GUARD;
    struct memory_area added;

    MAPPING_ASSERT(policy == OVERLAP_REJECT || policy == OVERLAP_UNMAP);
    if (s2_space_map_reason(space, area) != NULL) {
        return MAPPING_INVALID_PARAM;
    }
    added = (struct memory_area){
        .range = area->range,
        .flags = is_empty ? S2_AREA_EMPTY : area->flags,
        .backend = backend_of(area),
        .tag = area->tag,
    };
    MAPPING_ASSERT(s2_area_kind(&added) == area->kind);
    return area->kind == S2_AREA_LAZY && area->is_full ? s2_lazy_add_full(space, &added, policy)
                                                       : add(space, &added, policy);
}

enum mapping_error s2_space_map(struct s2_space *space, const struct s2_area *area)
{
    return map(space, area, OVERLAP_REJECT);
}

enum mapping_error s2_space_replace(struct s2_space *space, const struct s2_area *area)
{
    return map(space, area, OVERLAP_UNMAP);
}

enum mapping_error s2_space_map_lazy(struct s2_space *space, struct ipa_range range,
                                     const struct s2_lazy *lazy, mapping_flags_t flags)
{
    return s2_space_map(
        space,
        &(struct s2_area){.range = range, .kind = S2_AREA_LAZY, .flags = flags, .lazy = lazy});
}

enum mapping_error s2_space_map_populated(struct s2_space *space, struct ipa_range range,
                                          const struct s2_lazy *lazy, mapping_flags_t flags)
{
    return s2_space_map(
        space,
        &(struct s2_area){
            .range = range, .kind = S2_AREA_LAZY, .flags = flags, .lazy = lazy, .is_full = true});
}

enum mapping_error s2_space_map_device(struct s2_space *space, struct ipa_range range, pa_t pa,
                                       mapping_flags_t flags)
{
    if (!s2_flags_are_device(flags) || (flags & S2_EXEC) != 0) {
        return MAPPING_INVALID_PARAM;
    }
    return s2_space_map(
        space, &(struct s2_area){.range = range, .kind = S2_AREA_LINEAR, .flags = flags, .pa = pa});
}

enum mapping_error s2_space_map_trap(struct s2_space *space, struct ipa_range range, uint64_t tag)
{
    return s2_space_map(space, &(struct s2_area){.range = range, .kind = S2_AREA_TRAP, .tag = tag});
}

enum mapping_error s2_space_map_guard(struct s2_space *space, struct ipa_range range)
{
    return s2_space_map(space, &(struct s2_area){.range = range, .kind = S2_AREA_GUARD});
}
