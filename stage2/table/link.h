/*
 * link.h - where a table descriptor leads.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_LINK_H
#define TRESTLE_STAGE2_TABLE_LINK_H

#include "stage2/table/table.h"

/* The entries of the table that @desc links, which s2_desc_table() made. O(1), O(regions) where the
 * pool has more than one. */
static inline s2_desc_t *s2_linked(const struct s2_table *table, s2_desc_t desc)
{
    s2_desc_t *entries;

    if (table->fast_shape != S2_FAST_NONE) {
        return s2_desc_near_table(desc, table->fast_bias);
    }
    entries = frame_pool_ptr(table->pool, s2_desc_address(&table->format, desc));
    MAPPING_ASSERT(entries != NULL);
    return entries;
}

#endif
