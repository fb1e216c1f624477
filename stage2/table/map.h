/*
 * map.h - building entries where there are none: the mapper, for live tables and dark ones.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_MAP_H
#define TRESTLE_STAGE2_TABLE_MAP_H

#include "stage2/table/walk.h"

/* Fill the range of @walk with leaves, the largest that fit, and tables as needed. What is there
 * must be none, or tables. A table is linked where walkers read when all its entries in the range
 * are filled. Takes held frames; cannot fail. */
void s2_map_fill(struct s2_walk *walk, const struct s2_mapping *mapping);

/* The same up to @end, which is not behind the range's: what is left of it is filled by further
 * calls. */
void s2_map_fill_to(struct s2_walk *walk, ipa_t end, const struct s2_mapping *mapping);

/* How many tables @mapping needs for @piece, which lies in one empty entry of @level and is not to
 * become a leaf there. O(levels). */
size_t s2_map_tables(const struct s2_geometry *geometry, struct ipa_range piece, int level,
                     const struct s2_mapping *mapping);

/* How many it needs for all of @range, where nothing is mapped once the pieces held so far are
 * done. O(tables that exist in @range). */
size_t s2_map_count(struct s2_table *table, struct ipa_range range,
                    const struct s2_mapping *mapping);

#endif
