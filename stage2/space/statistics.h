/*
 * statistics.h - what a guest has, and what it took: always counted, or to be had by a look.
 */
#ifndef TRESTLE_STAGE2_SPACE_STATISTICS_H
#define TRESTLE_STAGE2_SPACE_STATISTICS_H

#include "core/c.h"
#include "stage2/space/fault.h"
#include "stage2/space/space.h"
#include "stage2/tlb/tlb_batch.h"

TRESTLE_BEGIN

struct s2_space_statistics {
    size_t areas;
    size_t table_frames;                /* root included, in frames of the tables' pool */
    size_t data_pages;                  /* granules of lazy memory that it has now */
    size_t data_pages_high;             /* the most it had at once */
    size_t data_quota;                  /* and may have; 0: any number */
    uint64_t faults[S2_SPACE_VERDICTS]; /* by enum s2_verdict */
    struct s2_tlb_counters tlb;         /* invalidations sent, and saved */
    size_t leaves[S2_LEVEL_COUNT];      /* by level, from S2_LEVEL_FIRST on; a run is many */
    size_t runs[S2_LEVEL_COUNT];        /* contiguous runs, likewise */
    uint64_t mapped;                    /* bytes that leaves map */
};

/* All of it, as it is while the space is locked. Cost: O(entries of all tables), some 10 instructions
 * each; what is counted as it happens costs the verbs nothing that could be measured. */
void s2_space_statistics(struct s2_space *space, struct s2_space_statistics *statistics);

TRESTLE_END

#endif
