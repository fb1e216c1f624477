/*
 * table_run.h - a long random run on tables: what test_table_model.c, which does and looks, shares
 * with the choice of what to do next and with the count of what that needs.
 */
#ifndef TRESTLE_TESTS_UNIT_TABLE_RUN_H
#define TRESTLE_TESTS_UNIT_TABLE_RUN_H

#include "tests/model/random.h"
#include "tests/model/table_model.h"
#include "tests/unit/table_fixture.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_MAX_STEPS 32
#define RUN_ANCHORS 3

/* A machine, and where its guest's memory is. */
struct machine {
    size_t shape;   /* in rig_shapes[] */
    unsigned share; /* percent of the operations */
    size_t frames;
    bool is_old;  /* Armv8.0: no FWB, no XNX */
    bool updates; /* the hardware sets AF and dirty state */
    bool hints;   /* contiguous runs */
    uint64_t blocks[TABLE_MODEL_BLOCKS];
    struct ipa_range windows[TABLE_MODEL_WINDOWS];
    size_t window_count;
    uint64_t anchors[RUN_ANCHORS]; /* PAs; the first is the usual one */
};

extern const struct machine machines[];
extern const int machine_count;

struct run {
    const struct machine *machine;
    const struct rig_shape *shape;
    struct random random;
    struct rig rig;
    struct mmu mmu;
    struct table_model model;
    struct model_step steps[RUN_MAX_STEPS]; /* the operation under way */
    size_t step_count;
    bool is_open;    /* by begin, hold, do, end, even if it is one step */
    bool is_partial; /* a replacement that leaves something in the way */
    uint64_t op;
    size_t answered[MAPPING_UNSUPPORTED + 1];
    size_t blocks_made, blocks_folded, runs_seen;
};

/* What to do next, into run->steps. A step may be one that no verb takes. */
void run_choose(struct run *run);

/* How many tables @step needs, from what the software MMU sees now. Where the operation unmaps
 * what is in the way of a map, the count is of what is missing then. */
size_t run_tables_for(const struct run *run, const struct model_step *step);

/* Whether the map of @step puts one leaf of @level into @entry. */
bool run_is_leaf(const struct run *run, const struct model_step *step, struct ipa_range entry,
                 int level);

static inline struct mmu_result run_walk(const struct run *run, ipa_t addr)
{
    return mmu_translate(&run->mmu, addr.raw, MMU_READ);
}

/* Bytes that an entry of @level spans. */
static inline uint64_t run_span(const struct run *run, int level)
{
    return run->shape->span[level + 1];
}

#endif
