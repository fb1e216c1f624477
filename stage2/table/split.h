/*
 * split.h - leaves that stick out of a range: split exactly, the rest of them kept.
 *
 * What sticks out is a block, or a contiguous run, or a run of blocks one of which is split. There
 * are at most two, one at either end of the range, or one that holds all of it.
 *
 *      block   |============================|        its attributes: A
 *      range           |--------|                    inside: B, or none
 *
 *      dark    |AAAAAAA|BBBBBBBB|AAAAAAAAAAA|        built first, of the largest leaves that fit
 *      break   |............................|        then the block is broken,
 *      flush    DSB, TLBI, DSB, TLBI, DSB            gone from every TLB,
 *      make    |AAAAAAA|BBBBBBBB|AAAAAAAAAAA|        and the dark table linked in its place
 *
 *      run     |==|==|==|==|==|==|==|==|             the contiguous hint on each member
 *      range            |--------|                   splits one member, covers another
 *      break   |..|..|..|..|..|..|..|..|             all of it, hint and all
 *      make    |--|--|--|T |BB|T |--|--|             without the hint
 *
 * Both ends share one flush, together with all that changes between them.
 *
 * Where sizes may change directly (S2_SIZE_CHANGE_DIRECT), nothing is broken. The ends are split
 * first, and nothing but the size changes; what lies in the range is then changed as if it had been
 * small from the beginning:
 *
 *      dark    |AAAAAAA|AAAAAAAA|AAAAAAAAAAA|        all of it as it is
 *      link    |AAAAAAA|AAAAAAAA|AAAAAAAAAAA|        over the block, which is invalidated
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_SPLIT_H
#define TRESTLE_STAGE2_TABLE_SPLIT_H

#include "stage2/table/map.h"

/* Whether @change changes a leaf @desc at all, or would if the hardware wrote it first. */
bool s2_change_reaches(const struct s2_table *table, const struct s2_change *change,
                       s2_desc_t desc);

/* All that the members of @run map. */
static inline struct ipa_range s2_split_range(const struct s2_geometry *geometry,
                                              const struct s2_split_run *run)
{
    return s2_entry_stretch(geometry, run->level, run->start, 0, run->count);
}

/* Note what sticks out of the range of @change and would be changed by it. Reads only.
 * O(levels). */
void s2_splits_find(struct s2_table *table, struct s2_change *change);

/* How many tables that needs. */
size_t s2_splits_tables(const struct s2_table *table, const struct s2_change *change);

/* Fill a dark table for each block that is split, from held frames. */
void s2_splits_build(struct s2_table *table, struct s2_change *change);

/* Split what was found, directly, and invalidate what it was: nothing sticks out any more. */
void s2_splits_directly(struct s2_table *table, struct s2_change *change);

/* Take the hint from each of @count members of a run from @slot on, directly; each is left with
 * what the hardware had set in any of them. The caller invalidates the range and says stored. */
void s2_run_open(const struct s2_table *table, s2_desc_t *slot, unsigned count);

/* Break each of @count members of a run from @slot on, and leave it with what the hardware had set
 * in any of them: AF and dirty state of a run are the OR over it. Returns: that. The caller
 * invalidates the range and says stored. */
s2_desc_t s2_run_break(const struct s2_table *table, s2_desc_t *slot, unsigned count);

/* Break all that was found, and invalidate it. */
void s2_splits_break(struct s2_table *table, struct s2_change *change);

/* After the flush: make what stays outside the range, and link the dark tables. Members of a run
 * that lie in the range are the caller's to make. */
void s2_splits_make(struct s2_table *table, const struct s2_change *change);

#endif
