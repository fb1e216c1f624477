/*
 * absent.c - areas without memory: traps and guards. Nothing can run out, and no table changes.
 */
#include "stage2/space/backend.h"

struct mapping_backend s2_trap_backend(ipa_t start)
{
    return (struct mapping_backend){.ops = &s2_trap_ops.set,
                                    .cookie = ipa_distance(ipa_of(0), start)};
}

struct mapping_backend s2_guard_backend(void)
{
    return (struct mapping_backend){.ops = &s2_guard_ops.set};
}

static enum mapping_error absent_reserve(const struct mapping_backend *self,
                                         const struct mapping_change *change, void *page_table)
{
    const struct s2_table *table = page_table;

    (void)self;
    MAPPING_ASSERT(s2_table_is_range(table, change->range));
    MAPPING_ASSERT(table->operation.depth > 0);
    return MAPPING_OK;
}

static enum mapping_error absent_map(const struct mapping_backend *self, struct ipa_range range,
                                     mapping_flags_t flags, void *page_table)
{
    (void)self;
    (void)page_table;
    MAPPING_ASSERT(range.size > 0 && (flags & S2_AREA_EMPTY) != 0);
    return MAPPING_OK;
}

static enum mapping_error absent_unmap(const struct mapping_backend *self, struct ipa_range range,
                                       void *page_table)
{
    (void)self;
    (void)page_table;
    MAPPING_ASSERT(range.size > 0);
    return MAPPING_OK;
}

/* Nobody asks, as the flags of such an area stay: S2_AREA_EMPTY. */
static enum mapping_error absent_protect(const struct mapping_backend *self, struct ipa_range range,
                                         mapping_flags_t new_flags, void *page_table)
{
    return absent_map(self, range, new_flags, page_table);
}

#define ABSENT_OPS                                                                  \
    {                                                                               \
        .map = absent_map, .unmap = absent_unmap, .protect = absent_protect,        \
        .begin = s2_backend_begin, .reserve = absent_reserve, .end = s2_backend_end \
    }

const struct s2_backend_ops s2_trap_ops = {.set = ABSENT_OPS, .kind = S2_AREA_TRAP};
const struct s2_backend_ops s2_guard_ops = {.set = ABSENT_OPS, .kind = S2_AREA_GUARD};
