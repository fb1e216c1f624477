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

/* A piece was held beside others: @verb over @range. Of what is held nothing has been done yet. */
void s2_pieces_add(struct s2_table *table, enum s2_verb verb, struct ipa_range range);

/* None of what is held will be done any more, or all of it is. */
static inline void s2_pieces_forget(struct s2_table *table)
{
    struct s2_pieces *pieces = &table->operation.pieces;

    pieces->holes.count = 0;
    pieces->maps.count = 0;
    pieces->left = 0;
    pieces->is_doing = false;
}

/* A piece was held. The first has nothing to be joined to. */
static inline void s2_pieces_held(struct s2_table *table, enum s2_verb verb, struct ipa_range range)
{
    struct s2_pieces *pieces = &table->operation.pieces;

    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(!pieces->is_doing);
    if (pieces->left++ > 0) {
        s2_pieces_add(table, verb, range);
    } else if (verb == S2_VERB_UNMAP) {
        pieces->holes.at[pieces->holes.count++] = range;
    } else if (verb == S2_VERB_MAP) {
        pieces->maps.at[pieces->maps.count++] = range;
    }
}

/* One of them is done now. */
static inline void s2_pieces_do(struct s2_table *table)
{
    struct s2_pieces *pieces = &table->operation.pieces;

    MAPPING_ASSERT(table->operation.depth > 0);
    MAPPING_ASSERT(pieces->left > 0);
    pieces->is_doing = true;
    if (--pieces->left == 0) {
        s2_pieces_forget(table);
    }
}

#endif
