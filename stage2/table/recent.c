#include "stage2/table/recent.h"

#include "stage2/arch/arch.h"

static s2_desc_t *linked(const struct s2_table *table, s2_desc_t desc)
{
    s2_desc_t *entries = frame_pool_ptr(table->pool, s2_desc_address(&table->format, desc));

    MAPPING_ASSERT(entries != NULL);
    return entries;
}

/* The table that @desc links. */
static inline s2_desc_t *entries_of(const struct s2_table *table, s2_desc_t desc)
{
    if (table->fast_shape != S2_FAST_NONE) {
        return s2_desc_near_table(desc, table->fast_bias);
    }
    return linked(table, desc);
}

bool s2_recent_walk(struct s2_table *table, ipa_t addr)
{
    const struct s2_geometry *geometry = &table->geometry;
    const unsigned mask = s2_table_entries(geometry) - 1;
    unsigned shift = s2_level_shift(geometry, geometry->start_level);
    s2_desc_t *slot = &table->root[ipa_index(addr, shift)];
    s2_desc_t desc = S2_DESC_NONE;

    MAPPING_ASSERT(ipa_lt(addr, table->end));
    if (geometry->start_level == S2_LEVEL_PAGE) {
        return false;
    }
    for (int level = geometry->start_level; level < S2_LEVEL_PAGE; level++) {
        desc = arch_desc_load(slot);
        if (!s2_desc_is_table(desc, level)) {
            return false;
        }
        shift -= geometry->stride;
        slot = entries_of(table, desc) + (ipa_index(addr, shift) & mask);
    }
    table->recent.base = ipa_align_down(addr, BIT(shift + geometry->stride));
    table->recent.entries = slot - (ipa_index(addr, shift) & mask);
    table->recent.pa = s2_desc_address(&table->format, desc);
    table->recent.count = frame_pool_count(table->pool, table->recent.pa);
    return true;
}
