/*
 * recent.h - the table of pages that was used last, so that the next change to a page beside it
 * finds its entry without a walk.
 *
 * It is forgotten as any table is unlinked, whichever that is. Not as frames go back: what is held
 * in the recent table is done in it, whatever is flushed in between.
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

/* Whether all of @range, which is valid, lies in the table that is remembered, and is not all of
 * it: that would be an entry of the table above, too. */
static inline bool s2_recent_has(const struct s2_table *table, struct ipa_range range)
{
    const uint64_t span = table->recent.span;

    return range.size < span && ipa_minus(range.start, table->recent.base) <= span - range.size;
}

/* The entry of @addr, which lies in it. */
static inline s2_desc_t *s2_recent_slot(const struct s2_table *table, ipa_t addr)
{
    const uint64_t offset = ipa_minus(addr, table->recent.base);

    return &table->recent.entries[offset >> table->geometry.granule_shift];
}

/* Remember the table of pages that holds @addr. Returns: false: there is none, and the one before
 * is remembered. O(levels). */
bool s2_recent_walk(struct s2_table *table, ipa_t addr);

/* Remember the table of pages that holds all of @range, and more. Returns: false: there is none. */
static inline bool s2_recent_find(struct s2_table *table, struct ipa_range range)
{
    return s2_recent_has(table, range) ||
           (s2_recent_walk(table, range.start) && s2_recent_has(table, range));
}

/* What leaves with @flags hold: the same again as for the request before, most often. Returns and
 * @attr: as s2_attr_encode(). */
MAPPING_MUST_USE enum mapping_error s2_recent_encode(struct s2_table *table, mapping_flags_t flags,
                                                     s2_desc_t *attr);

MAPPING_MUST_USE static inline enum mapping_error
s2_recent_attr(struct s2_table *table, mapping_flags_t flags, s2_desc_t *attr)
{
    if (table->recent.flags != flags) {
        return s2_recent_encode(table, flags, attr);
    }
    *attr = table->recent.attr;
    return MAPPING_OK;
}

/* How many of its entries are in use. */
uint32_t *s2_recent_find_count(struct s2_table *table);

static inline uint32_t *s2_recent_count(struct s2_table *table)
{
    return table->recent.count != NULL ? table->recent.count : s2_recent_find_count(table);
}

#endif
