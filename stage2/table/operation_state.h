/*
 * operation_state.h - what an operation that is open on a table holds: inside the table, private.
 *
 *      held         frames for tables               stage2/table/frames.h
 *      quarantine   tables that were unlinked       stage2/table/frames.h
 *      invalidations                                stage2/table/store.h
 *      pieces       what is held and not yet done   stage2/table/pieces.h
 *      pending      what was broken and not made    stage2/table/change.h
 *      reclaims     memory that was taken away      stage2/table/flush.h
 *      removed      AF and dirty state taken out    stage2/table/state.h
 */
#ifndef TRESTLE_STAGE2_TABLE_OPERATION_STATE_H
#define TRESTLE_STAGE2_TABLE_OPERATION_STATE_H

#include "core/c.h"
#include "core/frame_pool.h"
#include "stage2/arch/desc.h"
#include "stage2/table/request.h"
#include "stage2/tlb/tlb_batch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

/* A linear stretch of output: what to map, without where. */
struct s2_mapping {
    uint64_t offset; /* PA - IPA, modulo 2^64 */
    s2_desc_t attr;
    int cap;         /* no leaf above this level */
    bool has_runs;   /* contiguous hints where runs form */
    bool is_rewrite; /* over leaves of the same shape, which are counted already */
};

/* A contiguous run that sticks out of a range; or a single block, as a run of one. */
struct s2_split_run {
    s2_desc_t *slot; /* its first member */
    ipa_t start;
    s2_desc_t hardware; /* what the hardware had set in any member */
    uint16_t count;
    int8_t level;
};

/* A block that an end of a range goes through. */
struct s2_split_block {
    s2_desc_t *slot;
    s2_desc_t desc; /* what the dark table was built from */
    ipa_t start;
    pa_t dark; /* the table that will take its place */
    int8_t level;
    uint8_t run; /* that it is a member of: index into runs[] */
};

/* What sticks out of a range, at either end. */
struct s2_splits {
    struct s2_split_run runs[2];
    struct s2_split_block blocks[2];
    uint8_t run_count;
    uint8_t block_count;
};

/* What a request comes to: worked out as it is held, and what is left of it as it is done. */
struct s2_change {
    struct ipa_range range;
    mapping_flags_t flags; /* of the new leaves; replace: none */
    struct s2_mapping to;  /* map: all of it; protect: attr; replace: offset */
    struct s2_splits splits;
    size_t tables; /* that it needs */
    enum s2_verb verb;
    bool is_recent;  /* it is all in the table that was used last, and simple */
    bool has_broken; /* leaves inside the range were broken, and are still to be made */
};

#define S2_RECENT_NO_FLAGS UINT64_MAX     /* no request has these */
#define S2_RECENT_NO_BASE MAPPING_BIT(63) /* no table begins there, nor near */

/* The table of pages that was used last (stage2/table/recent.h), and what its flags were encoded
 * as: what comes next is mostly beside it, and alike. */
struct s2_recent {
    ipa_t base;    /* what the table's first entry maps */
    uint64_t span; /* of a table of pages, in bytes */
    s2_desc_t *entries;
    s2_desc_t link;  /* that led to it */
    uint32_t *count; /* of its entries in use; NULL: not yet asked for */
    mapping_flags_t flags;
    s2_desc_t attr;
};

/* How many changes may wait for one flush; one more, and it is sent. */
#define S2_PENDING_MAX 4

/* What is done with memory that a guest had, once no CPU can reach it. */
#define S2_RECLAIM_CLEAN 1U /* it may have written it past the caches */
#define S2_RECLAIM_DROP 2U  /* it is frames of a pool, which counts who has them */

struct s2_reclaim {
    pa_t pa;
    uint64_t size;
    unsigned what;
};

#define S2_RECLAIM_MAX 6

/* Frames that the library gave a guest, and gets back (stage2/table/returns.h). */
struct s2_table;

struct s2_returns {
    struct frame_list frames;
    struct frame_pool *pool;
    void (*release)(struct s2_table *table); /* who collects says how they go back */
    bool is_open;                            /* their leaves are still there */
};

/* How many stretches of either kind are known exactly (stage2/table/pieces.h). Of more holes the
 * last are not known: a map over one is refused, as over what stays. A map more is refused
 * itself. */
#define S2_STRETCHES_MAX 4

/* Stretches that do not overlap. */
struct s2_stretches {
    struct ipa_range at[S2_STRETCHES_MAX];
    size_t count;
};

MAPPING_STATIC_ASSERT(S2_STRETCHES_MAX >= 1,
                      "the first piece that is held needs no room asked for");
MAPPING_STATIC_ASSERT(S2_PENDING_MAX <= UINT8_MAX && S2_RECLAIM_MAX <= UINT8_MAX,
                      "they are counted so");
MAPPING_STATIC_ASSERT((MAPPING_BIT(S2_GRANULE_64K) / sizeof(s2_desc_t)) <= UINT16_MAX,
                      "s2_split_run.count holds the entries of any table");
MAPPING_STATIC_ASSERT((S2_RECENT_NO_FLAGS & ~S2_ALL_FLAGS) != 0,
                      "no request that is valid has these");
MAPPING_STATIC_ASSERT(S2_RECENT_NO_BASE >= MAPPING_BIT(53), "no input address is near");

struct s2_pieces {
    struct s2_stretches holes; /* what held unmaps will clear */
    struct s2_stretches maps;  /* what held maps will fill */
    size_t left;               /* held, and not yet done */
    bool is_doing;             /* some are done, so that no more are held until all are */
};

struct s2_operation {
    unsigned depth;            /* begins without their end */
    struct frame_reserve held; /* frames promised to it, and those it unlinked and flushed */
    struct frame_list quarantine[S2_LEVEL_COUNT]; /* unlinked, and not yet invalidated; by level */
    size_t quarantined;                           /* on all of these */
    struct s2_tlb_batch invalidations;            /* of what was broken or tightened */
    struct s2_change pending[S2_PENDING_MAX];     /* what was broken and is to be made */
    struct s2_reclaim reclaims[S2_RECLAIM_MAX];
    struct s2_returns returns;
    struct frame_list *prepared; /* frames for lazy memory that is mapped full; NULL: none is */
    uint8_t pending_count;
    uint8_t reclaim_count;
    bool is_stored;            /* live stores are not yet followed by a DSB */
    bool is_worked_out;        /* pending[0] is what the one piece that is held comes to */
    struct s2_reclaim counted; /* for a map that is held, and not yet done; size 0: none */
    pa_t taken, taken_end;     /* where unmapped pieces led that may still be reached, from
                                * lowest to highest; equal: none */
    struct s2_pieces pieces;
    struct ipa_range
        removed;            /* whose state was taken out; the sink is told when that of something */
    unsigned removed_state; /* else is, or at the end; 0: there is nothing to tell */
};

TRESTLE_END

#endif
