/*
 * map.h - building entries where there are none: the mapper, for live tables and dark ones.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_MAP_H
#define TRESTLE_STAGE2_TABLE_MAP_H

#include "stage2/table/walk.h"

/* A linear stretch of output: what to map, without where. */
struct s2_mapping {
    uint64_t offset; /* PA - IPA, modulo 2^64 */
    s2_desc_t attr;
    int cap;         /* no leaf above this level */
    bool has_runs;   /* contiguous hints where runs form */
    bool is_rewrite; /* over leaves of the same shape, which are counted already */
};

/* Fill the range of @walk with leaves, the largest that fit, and tables as needed. What is there
 * must be none, or tables. A table is linked where walkers read when all its entries in the range
 * are filled. Takes held frames; cannot fail. */
void s2_map_fill(struct s2_walk *walk, const struct s2_mapping *mapping);

/* Whether nothing is mapped in [@start, @end), which may be empty. O(tables that exist there). */
bool s2_map_is_free(struct s2_table *table, ipa_t start, ipa_t end);

/* Empty @count entries of a table that nobody else can reach yet. */
void s2_zero_dark(s2_desc_t *slot, size_t count);

/* How many tables @mapping needs for @piece, which lies in one empty entry of @level and is not to
 * become a leaf there. O(levels). */
size_t s2_map_tables(const struct s2_geometry *geometry, struct ipa_range piece, int level,
                     const struct s2_mapping *mapping);

#endif
