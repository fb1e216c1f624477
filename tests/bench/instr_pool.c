/*
 * instr_pool.c - what a frame costs, in and out.
 */
#include "tests/bench/instr.h"

#define POOL_FRAMES 65536
#define PAIRS (UINT64_C(1) << 12)

static struct frame_pool pool;
static pa_t frames[PAIRS];

static void init(void)
{
    instr_pool_init(&pool, 12, POOL_FRAMES);
}

static void take(uint64_t i)
{
    instr_must(frame_pool_alloc(&pool, 0, &frames[i]), "alloc");
}

static void give_back(uint64_t i)
{
    instr_must(frame_pool_free(&pool, frames[i], 0), "free");
}

static void pair(void)
{
    for (uint64_t i = 0; i < PAIRS; i++) {
        take(i);
        give_back(i);
    }
}

static void pairs_shuffled(void)
{
    for (uint64_t i = 0; i < PAIRS; i++) {
        take(i);
    }
    for (uint64_t i = 0; i < PAIRS; i++) {
        give_back(instr_shuffled(i, PAIRS));
    }
}

/* So that what is taken next was freed at random. */
static void shuffled(void)
{
    init();
    pairs_shuffled();
}

const struct instr_case INSTR_POOL[] = {
    {"pool.pair", 45, 64, PAIRS, init, pair},
    {"pool.pair_random", 60, 67, PAIRS, shuffled, pairs_shuffled},
    {NULL, 0, 0, 0, NULL, NULL},
};
