/*
 * pieces.h - what an open operation has held, and has still to do: inside a table, private.
 *
 * An operation of several pieces has two phases, and whoever opened it keeps to them:
 *
 *      hold P1  hold P2 ...          do P1  do P2 ...       hold again, or end
 *      each is counted against       all that was held,     nothing is held any more
 *      what those before it leave    in that order
 *
 * What those before it leave is what is in the tables, less the holes of held unmaps, and with what
 * held maps fill:
 *
 *      tables   [=======a=======][==b==]       [====c====]
 *      holes             |--------------------|               hold_unmap() of the rest of a, of b
 *      maps               |~~~~|                              hold_map() inside that
 *
 * Two holes are one where nothing is mapped between them. So a set, whose unmaps cover all that is
 * mapped between the first and the last, always has one.
 */
#ifndef TRESTLE_STAGE2_TABLE_PIECES_H
#define TRESTLE_STAGE2_TABLE_PIECES_H

#include "core/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many stretches of either kind are known exactly. Of more holes the last are not known: a map
 * over one is refused, as over what stays. A map more is refused itself. */
#define S2_STRETCHES_MAX 4

/* Stretches that do not overlap. */
struct s2_stretches {
    struct ipa_range at[S2_STRETCHES_MAX];
    size_t count;
};

struct s2_pieces {
    struct s2_stretches holes; /* what held unmaps will clear */
    struct s2_stretches maps;  /* what held maps will fill */
    size_t left;               /* held, and not yet done */
    bool is_doing;             /* some are done, so that no more are held until all are */
};

/* The first of @stretches that has a byte of @range; NULL: none. */
static inline const struct ipa_range *s2_stretches_meet(const struct s2_stretches *stretches,
                                                        struct ipa_range range)
{
    for (size_t i = 0; i < stretches->count; i++) {
        if (ipa_range_overlaps(stretches->at[i], range)) {
            return &stretches->at[i];
        }
    }
    return NULL;
}

#endif
