#include "stage2/space/locked.h"

#include "stage2/space/backend.h"
#include "stage2/table/flush.h"
#include "stage2/table/operation.h"
#include "stage2/table/recent.h"

void s2_space_open(struct s2_space *space)
{
    mapping_lock_acquire(&space->lock);
    s2_table_begin(&space->table);
}

void s2_space_close(struct s2_space *space)
{
    s2_table_end(&space->table);
    mapping_lock_release(&space->lock);
}

void s2_space_enter_call(struct s2_space *space)
{
    mapping_lock_acquire(&space->lock);
    MAPPING_ASSERT(space->table.operation.depth == 0);
}

void s2_space_leave_call(struct s2_space *space)
{
    if (s2_flush_has_work(&space->table)) {
        s2_table_begin(&space->table);
        s2_table_end(&space->table);
    }
    mapping_lock_release(&space->lock);
}

bool s2_protect_reaches(const struct s2_format *format, mapping_flags_t old_flags,
                        mapping_flags_t flags)
{
    if ((old_flags & S2_AREA_EMPTY) != 0) {
        return false;
    }
    return s2_flags_protected(old_flags, flags) != old_flags ||
           s2_hardware_flags(format, old_flags) != 0;
}

/* The flags that areas get, and what their leaves are made of. */
struct new_flags {
    const struct s2_format *format;
    mapping_flags_t flags;
};

static bool give_flags(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    const struct new_flags *given = arg;

    *new_flags = s2_flags_protected(old_flags, given->flags);
    return s2_protect_reaches(given->format, old_flags, given->flags);
}

enum mapping_error s2_locked_add(struct s2_space *space, const struct memory_area *area,
                                 enum overlap_policy policy)
{
    MAPPING_ASSERT(mapping_lock_is_held(&space->lock));
    return s2_table_is_range(&space->table, area->range)
               ? memory_set_map(&space->set, *area, &space->table, policy)
               : MAPPING_INVALID_PARAM;
}

/* The area that is backed by memory from the request's PA on. */
static enum mapping_error map_linear(struct s2_space *space, const struct s2_request *request,
                                     enum overlap_policy policy)
{
    const struct memory_area area = {
        .range = request->range,
        .flags = request->flags,
        .backend = s2_linear_backend(request->range.start, request->pa),
    };

    return s2_locked_add(space, &area, policy);
}

enum mapping_error s2_locked_map(struct s2_space *space, const struct s2_request *request)
{
    return map_linear(space, request, OVERLAP_REJECT);
}

enum mapping_error s2_locked_replace(struct s2_space *space, const struct s2_request *request)
{
    return map_linear(space, request, OVERLAP_UNMAP);
}

enum mapping_error s2_locked_unmap(struct s2_space *space, const struct s2_request *request)
{
    MAPPING_ASSERT(mapping_lock_is_held(&space->lock));
    return s2_table_is_range(&space->table, request->range)
               ? memory_set_unmap(&space->set, request->range, &space->table)
               : MAPPING_INVALID_PARAM;
}

enum mapping_error s2_locked_protect(struct s2_space *space, const struct s2_request *request)
{
    struct new_flags given = {&space->table.format, request->flags};
    enum mapping_error error = MAPPING_INVALID_PARAM;
    s2_desc_t attr;

    MAPPING_ASSERT(mapping_lock_is_held(&space->lock));
    if (s2_table_is_range(&space->table, request->range)) {
        error = s2_recent_attr(&space->table, request->flags, &attr);
    }
    return error == MAPPING_OK
               ? memory_set_protect(&space->set, request->range, give_flags, &given, &space->table)
               : error;
}
