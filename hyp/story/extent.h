/*
 * extent.h - going through a translation table from outside, leaf by leaf and hole by hole.
 */
#ifndef TRESTLE_HYP_STORY_EXTENT_H
#define TRESTLE_HYP_STORY_EXTENT_H

#include "stage2/trestle.h"

#include <stdbool.h>

/* What one entry of a table says: a leaf, or nothing. */
struct extent {
    struct ipa_range range;
    bool is_leaf;
    struct s2_leaf leaf; /* pa: of range.start; for a hole only size and level */
};

/**
 * extent_at() - The extent that holds @addr.
 * Returns:  false beyond the input size, or where an entry is between break and make.
 */
bool extent_at(const struct s2_table *table, ipa_t addr, struct extent *extent);

/* The one after it; false at the end of the input size. */
bool extent_next(const struct s2_table *table, struct extent *extent);

#endif
