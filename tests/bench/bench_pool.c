/* bench_pool.c - one frame taken and one given back: the same one, or any of many. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/bench_guest.h"
#include "tests/bench/peer.h"

#define FRAMES 16384
#define TAKEN 8192 /* that are out while frames go and come in any order */
#define CALLS 4096

static struct guest_pool pool;
static pa_t taken[TAKEN];
static struct bench_order order; /* of what is taken: the first are those that go and come */

/* The floor: free frames are numbers in an array. No orders, no lock, no check of what is given. */
static uint32_t floor_free[FRAMES];
static uint32_t floor_taken[TAKEN];
static volatile size_t floor_free_count; /* in memory, as between two calls of a program */

static uint32_t floor_take(void)
{
    const size_t top = floor_free_count - 1;

    floor_free_count = top;
    return floor_free[top];
}

static void floor_give(uint32_t frame)
{
    const size_t top = floor_free_count;

    floor_free[top] = frame;
    floor_free_count = top + 1;
}

static void init(uint64_t n)
{
    guest_pool_init(&pool, (size_t)n);
    for (size_t i = 0; i < TAKEN; i++) {
        guest_must(frame_pool_alloc(&pool.pool, 0, &taken[i]));
        floor_taken[i] = (uint32_t)i;
    }
    for (uint32_t i = TAKEN; i < FRAMES; i++) {
        floor_give(i);
    }
    bench_order_init(&order, TAKEN);
    peer_index.init((size_t)n, TAKEN);
    if (peer_ck.is_there) {
        peer_ck.init((size_t)n, TAKEN);
    }
}

static void fini(void)
{
    for (size_t i = 0; i < TAKEN; i++) {
        guest_must(frame_pool_free(&pool.pool, taken[i], 0));
    }
    guest_pool_fini(&pool);
    bench_order_fini(&order);
    floor_free_count = 0;
    peer_index.fini();
    if (peer_ck.is_there) {
        peer_ck.fini();
    }
}

static void pick(size_t calls)
{
    bench_order_pick(&order, calls);
}

/* --- The same one ---------------------------------------------------------------------------- */

static void pair(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        pa_t frame;

        guest_must(frame_pool_alloc(&pool.pool, 0, &frame));
        guest_must(frame_pool_free(&pool.pool, frame, 0));
    }
}

static bool none_is_missing(size_t calls)
{
    (void)calls;
    return frame_pool_available(&pool.pool) == FRAMES - TAKEN;
}

static void floor_pair(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        floor_give(floor_take());
    }
}

static void index_pair(size_t calls)
{
    peer_index.pair(calls);
}

static void ck_pair(size_t calls)
{
    peer_ck.pair(calls);
}

/* --- Any of many ----------------------------------------------------------------------------- */

static void pair_random(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        guest_must(frame_pool_free(&pool.pool, taken[order.numbers[i]], 0));
    }
    for (size_t i = 0; i < calls; i++) {
        guest_must(frame_pool_alloc(&pool.pool, 0, &taken[order.numbers[i]]));
    }
}

static void floor_pair_random(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        floor_give(floor_taken[order.numbers[i]]);
    }
    for (size_t i = 0; i < calls; i++) {
        floor_taken[order.numbers[i]] = floor_take();
    }
}

static void index_pair_random(size_t calls)
{
    peer_index.pair_random(order.numbers, calls);
}

static void ck_pair_random(size_t calls)
{
    peer_ck.pair_random(order.numbers, calls);
}

static bool ck_is_there(void)
{
    return peer_ck.is_there;
}

static const struct bench_case CASES[] = {
    {.name = "pool.pair",
     .calls = CALLS,
     .ours = {.run = pair, .holds = none_is_missing},
     .floor = {.run = floor_pair},
     .peers = {{.name = "ck_stack", .is_there = ck_is_there, .run = ck_pair},
               {.name = "locked array", .run = index_pair}}},
    {.name = "pool.pair_random",
     .calls = CALLS,
     .pick = pick,
     .ours = {.run = pair_random, .holds = none_is_missing},
     .floor = {.run = floor_pair_random},
     .peers = {{.name = "ck_stack", .is_there = ck_is_there, .run = ck_pair_random},
               {.name = "locked array", .run = index_pair_random}}},
};

const struct bench_group bench_pool = {
    .n = FRAMES,
    .init = init,
    .fini = fini,
    .cases = CASES,
    .count = sizeof(CASES) / sizeof(CASES[0]),
};
