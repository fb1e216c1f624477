#include "stage2/space/locked.h"

#include "stage2/table/operation.h"

void s2_space_open(struct s2_space *space)
{
    lock_acquire(&space->lock);
    s2_table_begin(&space->table);
}

void s2_space_close(struct s2_space *space)
{
    s2_table_end(&space->table);
    lock_release(&space->lock);
}

enum mapping_error s2_locked_map_linear(struct s2_space *space, const struct memory_area *area,
                                        enum overlap_policy policy)
{
    MAPPING_ASSERT(lock_is_held(&space->lock));

    if (!s2_table_is_range(&space->table, area->range)) {
        return MAPPING_INVALID_PARAM;
    }
    return memory_set_map(&space->set, *area, &space->table, policy);
}

enum mapping_error s2_locked_unmap(struct s2_space *space, struct ipa_range range)
{
    MAPPING_ASSERT(lock_is_held(&space->lock));

    if (!s2_table_is_range(&space->table, range)) {
        return MAPPING_INVALID_PARAM;
    }
    return memory_set_unmap(&space->set, range, &space->table);
}

bool s2_protect_reaches(const struct s2_format *format, mapping_flags_t old_flags,
                        mapping_flags_t flags)
{
    return s2_flags_protected(old_flags, flags) != old_flags ||
           s2_hardware_flags(format, old_flags) != 0;
}

/* The flags that areas get, and what their leaves are made of. */
struct gift {
    const struct s2_format *format;
    mapping_flags_t flags;
};

static bool give_flags(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    const struct gift *gift = arg;

    *new_flags = s2_flags_protected(old_flags, gift->flags);
    return s2_protect_reaches(gift->format, old_flags, gift->flags);
}

enum mapping_error s2_locked_protect(struct s2_space *space, struct ipa_range range,
                                     mapping_flags_t flags)
{
    enum mapping_error error = MAPPING_INVALID_PARAM;
    struct gift gift = {&space->table.format, flags};

    MAPPING_ASSERT(lock_is_held(&space->lock));
    if (s2_table_is_range(&space->table, range)) {
        error = s2_table_check_flags(&space->table, flags);
    }
    return error == MAPPING_OK
               ? memory_set_protect(&space->set, range, give_flags, &gift, &space->table)
               : error;
}
