/*
 * edge.h - leaves that stick out of a range: cut exactly, the rest of them kept.
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
 * Both ends share one tail, together with all that changes between them. Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_EDGE_H
#define TRESTLE_STAGE2_EDGE_H

#include "stage2/map.h"

enum s2_edit_kind {
    S2_EDIT_UNMAP,
    S2_EDIT_PROTECT, /* other attributes */
    S2_EDIT_REPLACE, /* another output, attributes kept */
};

/* What is done to the leaves of a range. */
struct s2_edit {
    struct ipa_range range;
    enum s2_edit_kind kind;
    s2_desc_t attr;  /* S2_EDIT_PROTECT: the new attributes */
    uint64_t offset; /* S2_EDIT_REPLACE: the new PA - IPA */
    bool has_broken; /* leaves inside the range were broken, and are still to be made */
};

/* A run that sticks out, or a single block: as a run of one. */
struct s2_torn_run {
    s2_desc_t *slot; /* its first member */
    unsigned count;
    int level;
    struct ipa_range range;
    s2_desc_t hardware; /* what the hardware had set in any member */
};

/* A block that the end of the range goes through. */
struct s2_cut {
    s2_desc_t *slot;
    s2_desc_t desc; /* what the dark table was built from */
    int level;
    struct ipa_range block;
    struct s2_walk_step dark; /* the table that will take its place */
    const struct s2_torn_run *run;
};

struct s2_edges {
    struct s2_torn_run runs[2];
    unsigned run_count;
    struct s2_cut cuts[2];
    unsigned cut_count;
};

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
