/* peer_index.c - the simplest frame pool that CPUs can share: an array of numbers, and a lock. */
#include "tests/bench/peer.h"

#include "tests/bench/bench.h"

#include <stdatomic.h>

static atomic_flag lock = ATOMIC_FLAG_INIT;
static uint32_t *stack;
static uint32_t *taken;
static size_t free_count;

static void index_init(size_t count, size_t taken_count)
{
    stack = bench_memory(count * sizeof(*stack));
    taken = bench_memory(taken_count * sizeof(*taken));
    free_count = count - taken_count;
    for (size_t i = 0; i < free_count; i++) {
        stack[i] = (uint32_t)(taken_count + i);
    }
    for (size_t i = 0; i < taken_count; i++) {
        taken[i] = (uint32_t)i;
    }
}

static void index_fini(void)
{
    bench_free(stack);
    bench_free(taken);
}

static void acquire(void)
{
    while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) {
    }
}

static void release(void)
{
    atomic_flag_clear_explicit(&lock, memory_order_release);
}

static uint32_t take(void)
{
    uint32_t frame;

    acquire();
    bench_must(free_count > 0, "locked array: no frame is left");
    free_count--;
    frame = stack[free_count];
    release();
    return frame;
}

static void give(uint32_t frame)
{
    acquire();
    stack[free_count] = frame;
    free_count++;
    release();
}

static void index_pair(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        give(take());
    }
}

static void index_pair_random(const uint32_t which[], size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        give(taken[which[i]]);
    }
    for (size_t i = 0; i < calls; i++) {
        taken[which[i]] = take();
    }
}

const struct peer_pool peer_index = {
    .is_there = true,
    .init = index_init,
    .fini = index_fini,
    .pair = index_pair,
    .pair_random = index_pair_random,
};
