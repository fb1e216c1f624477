#include "stage2/table/recent.h"

#include "stage2/arch/arch.h"
#include "stage2/table/link.h"

/* The entry that links the table of pages of @addr; NULL: there is none. */
static s2_desc_t *find_link(const struct s2_table *table, ipa_t addr)
{
    const struct s2_geometry *geometry = &table->geometry;
    const unsigned mask = s2_table_entries(geometry) - 1;
    unsigned shift = s2_level_shift(geometry, geometry->start_level);
    s2_desc_t *slot = &table->root[ipa_index(addr, shift)];

    for (int level = geometry->start_level; level < S2_LEVEL_PAGE - 1; level++) {
        const s2_desc_t desc = arch_desc_load(slot);

        if (!s2_desc_is_table(desc, level)) {
            return NULL;
        }
        shift -= geometry->stride;
        slot = s2_linked(table, desc) + (ipa_index(addr, shift) & mask);
    }
    return geometry->start_level < S2_LEVEL_PAGE ? slot : NULL;
}

/* The same with constants, for the shape that most guests' tables have. */
static s2_desc_t *find_link_fast(const struct s2_table *table, ipa_t addr)
{
    const s2_desc_t desc = arch_desc_load(&table->root[ipa_index(addr, 30)]);

    return s2_desc_is_table(desc, 1) ? s2_desc_near_table(desc, table->fast_bias) +
                                           (ipa_index(addr, 21) & (MAPPING_BIT(9) - 1))
                                     : NULL;
}

bool s2_recent_walk(struct s2_table *table, ipa_t addr)
{
    const s2_desc_t *link = table->fast_shape == S2_FAST_SHAPE(S2_GRANULE_4K, 1)
                                ? find_link_fast(table, addr)
                                : find_link(table, addr);
    s2_desc_t desc;

    MAPPING_ASSERT(ipa_lt(addr, table->end));
    if (link == NULL) {
        return false;
    }
    desc = arch_desc_load(link);
    if (!s2_desc_is_table(desc, S2_LEVEL_PAGE - 1)) {
        return false;
    }
    table->recent.base = ipa_align_down(addr, table->recent.span);
    table->recent.entries = s2_linked(table, desc);
    table->recent.link = desc;
    table->recent.count = NULL;
    return true;
}

enum mapping_error s2_recent_encode(struct s2_table *table, mapping_flags_t flags, s2_desc_t *attr)
{
    const enum mapping_error error = s2_attr_encode(&table->format, flags, attr);

    if (error == MAPPING_OK) {
        table->recent.flags = flags;
        table->recent.attr = *attr;
    }
    return error;
}

uint32_t *s2_recent_find_count(struct s2_table *table)
{
    MAPPING_ASSERT(!ipa_eq(table->recent.base, ipa_of(S2_RECENT_NO_BASE)));
    table->recent.count =
        frame_pool_count(table->pool, s2_desc_address(&table->format, table->recent.link));
    return table->recent.count;
}
