/*
 * pieces.h - what an open operation has held, and has still to do.
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
 *      holes             |--------------------|               an unmap of the rest of a, of b
 *      maps               |~~~~|                              a map inside that
 *
 * Two holes are one where nothing is mapped between them. So a set, whose unmaps cover all that is
 * mapped between the first and the last, always has one.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_PIECES_H
#define TRESTLE_STAGE2_TABLE_PIECES_H

#include "stage2/table/walk.h"

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

/* Whether nothing is mapped in @range once all that is held is done, so that a map may be held. */
bool s2_pieces_leave_free(struct s2_table *table, struct ipa_range range);

/* Of the tables that a map of @piece needs in @block, a block of @level: how many the held unmaps,
 * which clear @piece, leave there as they split it. O(levels). */
size_t s2_pieces_tables_left(const struct s2_table *table, struct ipa_range block, int level,
                             struct ipa_range piece);

/* Whether a map of @range can be held beside the others. */
bool s2_pieces_have_room(const struct s2_table *table, struct ipa_range range);

/* A piece was held: @verb over @range. Of what is held nothing has been done yet. */
void s2_pieces_held(struct s2_table *table, enum s2_verb verb, struct ipa_range range);

/* One of them is done now; or none of them will be. */
void s2_pieces_do(struct s2_table *table);
void s2_pieces_forget(struct s2_table *table);

#endif
