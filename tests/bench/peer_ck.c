#include "tests/bench/peer.h"

#ifdef PEER_HAS_CK

#include "tests/bench/bench.h"

#include <ck_stack.h>

static struct ck_stack free_frames;
static struct ck_stack_entry *frames;
static struct ck_stack_entry **taken;

static void ck_init(size_t count, size_t taken_count)
{
    frames = bench_memory(count * sizeof(*frames));
    taken = bench_memory(taken_count * sizeof(struct ck_stack_entry *));
    ck_stack_init(&free_frames);
    for (size_t i = taken_count; i < count; i++) {
        ck_stack_push_mpmc(&free_frames, &frames[i]);
    }
    for (size_t i = 0; i < taken_count; i++) {
        taken[i] = &frames[i];
    }
}

static void ck_fini(void)
{
    bench_free(frames);
    bench_free(taken);
}

static struct ck_stack_entry *take(void)
{
    struct ck_stack_entry *frame = ck_stack_pop_mpmc(&free_frames);

    bench_must(frame != NULL, "ck_stack: no frame is left");
    return frame;
}

static void ck_pair(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        ck_stack_push_mpmc(&free_frames, take());
    }
}

static void ck_pair_random(const uint32_t which[], size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        ck_stack_push_mpmc(&free_frames, taken[which[i]]);
    }
    for (size_t i = 0; i < calls; i++) {
        taken[which[i]] = take();
    }
}

const struct peer_pool peer_ck = {
    .is_there = true,
    .init = ck_init,
    .fini = ck_fini,
    .pair = ck_pair,
    .pair_random = ck_pair_random,
};

#else

const struct peer_pool peer_ck = {.is_there = false};

#endif
