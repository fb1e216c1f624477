/*
 * recent.h - the table of pages that was used last, so that the next change to a page beside it finds
 * its entry without a walk.
 *
 * It is forgotten as soon as any table goes, whichever that is.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_RECENT_H
#define TRESTLE_STAGE2_TABLE_RECENT_H

#include "stage2/table/table.h"

static inline void s2_recent_forget(struct s2_table *table)
{
    table->recent.base = ipa_of(S2_RECENT_NO_BASE);
}

/* log2 of the bytes that a table of pages spans. */
static inline unsigned s2_recent_shift(const struct s2_table *table)
{
    return table->geometry.granule_shift + table->geometry.stride;
}

/* Whether all of @range, which is valid, lies in the table that is remembered, and is not all of
 * it: that would be an entry of the table above, too. */
static inline bool s2_recent_has(const struct s2_table *table, struct ipa_range range)
{
    const unsigned shift = s2_recent_shift(table);
    const uint64_t index = ipa_index(table->recent.base, shift);

    return ipa_index(range.start, shift) == index &&
           ipa_index(ipa_range_last(range), shift) == index && range.size >> shift == 0;
}

/* The entry of @addr, which lies in it. */
static inline s2_desc_t *s2_recent_slot(const struct s2_table *table, ipa_t addr)
{
    const uint64_t index = ipa_index(addr, table->geometry.granule_shift);

    return &table->recent.entries[index & (s2_table_entries(&table->geometry) - 1)];
}

/* Remember the table of pages that holds @addr. Returns: false: there is none, and the one before is
 * remembered. O(levels). */
bool s2_recent_walk(struct s2_table *table, ipa_t addr);

/* Remember the table of pages that holds all of @range, and more. Returns: false: there is none. */
static inline bool s2_recent_find(struct s2_table *table, struct ipa_range range)
{
    return s2_recent_has(table, range) ||
           (s2_recent_walk(table, range.start) && s2_recent_has(table, range));
}

#endif
