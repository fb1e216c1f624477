/*
 * dark.h - filling tables that no walker can reach yet.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_DARK_H
#define TRESTLE_STAGE2_TABLE_DARK_H

#include "stage2/arch/arch.h"

#include <stddef.h>

/* @count leaves from @slot on: @leaf, and each @size bytes after the one before. Eight a turn, as a
 * table is filled faster than a loop is counted. */
static inline void s2_dark_fill(s2_desc_t *slot, size_t count, s2_desc_t leaf, uint64_t size)
{
    const s2_desc_t *const end = slot + count;
    const s2_desc_t *const eights = slot + (count & ~(size_t)7);

    for (; slot != eights; slot += 8) {
        arch_desc_fill(&slot[0], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[1], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[2], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[3], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[4], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[5], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[6], leaf);
        leaf = s2_desc_next(leaf, size);
        arch_desc_fill(&slot[7], leaf);
        leaf = s2_desc_next(leaf, size);
    }
    for (; slot != end; slot++) {
        arch_desc_fill(slot, leaf);
        leaf = s2_desc_next(leaf, size);
    }
}

/* @count empty entries. */
void s2_dark_zero(s2_desc_t *slot, size_t count);

#endif
