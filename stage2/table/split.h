/*
 * split.h - leaves that stick out of a range: cut exactly, the rest of them kept.
 *
 * What sticks out is a block, or a contiguous run, or a run of blocks one of which is cut. There
 * are at most two, one at either end of the range, or one that holds all of it.
 *
 *      block   |============================|        its attributes: A
 *      range           |--------|                    inside: B, or none
 *
 *      dark    |AAAAAAA|BBBBBBBB|AAAAAAAAAAA|        built first, of the largest leaves that fit
 *      break   |............................|        then the block is broken,
 *      tail     DSB, TLBI, DSB, TLBI, DSB            gone from every TLB,
 *      make    |AAAAAAA|BBBBBBBB|AAAAAAAAAAA|        and the dark table linked in its place
 *
 *      run     |==|==|==|==|==|==|==|==|             the contiguous hint on each member
 *      range            |--------|                   cuts one member, covers another
 *      break   |..|..|..|..|..|..|..|..|             all of it, hint and all
 *      make    |--|--|--|T |BB|T |--|--|             without the hint
 *
 * Both ends share one tail, together with all that changes between them.
 *
 * Where sizes may change directly (S2_SIZE_CHANGE_DIRECT), nothing is broken. The edges are split
 * first, and nothing but the size changes; what lies in the range is then changed as if it had been
 * small from the beginning:
 *
 *      dark    |AAAAAAA|AAAAAAAA|AAAAAAAAAAA|        all of it as it is
 *      link    |AAAAAAA|AAAAAAAA|AAAAAAAAAAA|        over the block, which is owed to the TLBs
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_SPLIT_H
#define TRESTLE_STAGE2_TABLE_SPLIT_H

#include "stage2/table/edit.h"
#include "stage2/table/map.h"

/* Whether @edit changes a leaf @desc at all, or would if the hardware wrote it first. */
bool s2_edit_changes(const struct s2_table *table, const struct s2_edit *edit, s2_desc_t desc);

/* Where the output of an edited leaf lies, that maps with @offset now. */
uint64_t s2_edit_offset(const struct s2_edit *edit, uint64_t offset);

/* What sticks out of the range of @edit and would be changed by it. Reads only. O(levels). */
void s2_edges_find(struct s2_table *table, const struct s2_edit *edit, struct s2_edges *edges);

/* How many tables its cuts need. */
size_t s2_edges_tables(const struct s2_table *table, const struct s2_edit *edit,
                       const struct s2_edges *edges);

/* Fill a dark table for each cut, from held frames. */
void s2_edges_build(struct s2_table *table, const struct s2_edit *edit, struct s2_edges *edges);

/* Split what was found, directly, and owe what it was to the TLBs: nothing sticks out any more. */
void s2_edges_split(struct s2_table *table, const struct s2_edit *edit, struct s2_edges *edges);

/* Take the hint from each of @count members of a run from @slot on, directly; each is left with what
 * the hardware had set in any of them. The caller owes the range and says stored. */
void s2_run_open(const struct s2_table *table, s2_desc_t *slot, unsigned count);

/* Break each of @count members of a run from @slot on, and leave it with what the hardware had set in
 * any of them: AF and dirty state of a run are the OR over it. Returns: that. The caller owes the
 * range and says stored. */
s2_desc_t s2_run_break(const struct s2_table *table, s2_desc_t *slot, unsigned count);

/* Break all that was found, and owe it to the TLBs. */
void s2_edges_break(struct s2_table *table, struct s2_edit *edit, struct s2_edges *edges);

/* After the tail: make what stays outside the range, and link the dark tables. Members of a run
 * that lie in the range are the caller's to make. */
void s2_edges_make(struct s2_table *table, const struct s2_edit *edit,
                   const struct s2_edges *edges);

#endif
