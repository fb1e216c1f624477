/*
 * edit.h - what an operation has broken, and will make after its flush: inside a table, private.
 *
 * Several pieces of an operation share one flush: each piece breaks what it must, and stands here
 * until s2_table_flush() has invalidated; then all are made.
 */
#ifndef TRESTLE_STAGE2_TABLE_EDIT_H
#define TRESTLE_STAGE2_TABLE_EDIT_H

#include "stage2/arch/desc.h"

enum s2_edit_kind {
    S2_EDIT_UNMAP,
    S2_EDIT_PROTECT, /* other attributes */
    S2_EDIT_REPLACE, /* another output, attributes kept */
};

/* What is done to the leaves of a range. */
struct s2_edit {
    struct ipa_range range;
    enum s2_edit_kind kind;
    bool has_broken; /* leaves inside the range were broken, and are still to be made */
    s2_desc_t attr;  /* S2_EDIT_PROTECT: the new attributes */
    uint64_t offset; /* S2_EDIT_REPLACE: the new PA - IPA */
};

/* A run that sticks out of the range, or a single block: as a run of one. */
struct s2_split_run {
    s2_desc_t *slot; /* its first member */
    struct ipa_range range;
    s2_desc_t hardware; /* what the hardware had set in any member */
    uint16_t count;
    int8_t level;
};

/* A block that the end of the range goes through. */
struct s2_split_block {
    s2_desc_t *slot;
    s2_desc_t desc; /* what the dark table was built from */
    struct ipa_range block;
    pa_t dark; /* the table that will take its place */
    int8_t level;
    uint8_t run; /* that it is a member of: index into runs[] */
};

struct s2_splits {
    struct s2_split_run runs[2];
    struct s2_split_block blocks[2];
    uint8_t run_count;
    uint8_t block_count;
};

/* A piece of an operation that was broken and is not yet made. */
struct s2_pending {
    struct s2_edit edit;
    struct s2_splits splits;
};

/* How many of them one flush can be for; one more, and it is sent. */
#define S2_PENDING_MAX 4

/* What is done with memory that a guest had, once no CPU can reach it. */
#define S2_RECLAIM_CLEAN 1U /* it may have written it past the caches */
#define S2_RECLAIM_DROP 2U  /* it is frames of a pool, which counts who has them */

struct s2_reclaim {
    pa_t pa;
    uint64_t size;
    unsigned what;
};

#define S2_RECLAIM_MAX 8

#endif
