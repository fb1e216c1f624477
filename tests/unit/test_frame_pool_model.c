/*
 * test_frame_pool_model.c - long random sequences against a naive model (a state per frame, and
 * every question answered by looking at all of them), and two threads at once.
 *
 * TRESTLE_SEED says where the sequence starts, TRESTLE_MODEL_OPS shortens it; both are printed.
 */
#include "core/frame_pool.h"
#include "tests/model/random.h"
#include "tests/unit/test.h"

#include <check.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE "frame_pool_model"

#define DEFAULT_OPS 20000
#define DEFAULT_SEED 20240307
#define MODEL_FRAMES 260
#define MODEL_BLOCKS 300
#define MODEL_ORDERS 7
#define FRAME UINT64_C(4096)

static struct frame_pool pool;
static struct frame_info infos[MODEL_FRAMES];

enum model_state { MODEL_FREE, MODEL_TAKEN, MODEL_HELD, MODEL_ABSENT, MODEL_STATES };

struct model_block {
    pa_t pa;
    unsigned order;
};

static struct model {
    struct random random;
    struct frame_region regions[3];
    unsigned char state[MODEL_FRAMES]; /* of the regions' frames, one region behind the other */
    size_t count[MODEL_STATES];
    size_t region_count;                     /* that the pool has; the others' frames are absent */
    size_t promised;                         /* single frames that are held: any of the free ones */
    struct model_block blocks[MODEL_BLOCKS]; /* TAKEN */
    size_t block_count;
    struct frame_reserve held[2];
} model;

static void model_init(uint64_t seed)
{
    static const struct frame_region regions[3] = {{PA_INIT(0x40003000), NULL, 61, infos},
                                                   {PA_INIT(0x80000000), NULL, 128, infos + 61},
                                                   {PA_INIT(0x80080000), NULL, 71, infos + 189}};

    memset(&model, 0, sizeof(model));
    memcpy(model.regions, regions, sizeof(regions));
    model.random.state = seed;
    model.count[MODEL_FREE] = regions[0].frame_count;
    model.count[MODEL_ABSENT] = MODEL_FRAMES - regions[0].frame_count;
    memset(model.state + regions[0].frame_count, MODEL_ABSENT, model.count[MODEL_ABSENT]);
    model.region_count = 1;
    frame_reserve_init(&model.held[0]);
    frame_reserve_init(&model.held[1]);
    ck_assert_int_eq(frame_pool_init(&pool, 12, model.regions, 1), MAPPING_OK);
}

/* The states of the block's frames, or NULL if it does not lie in one region. */
static unsigned char *model_frames(pa_t pa, unsigned order)
{
    size_t before = 0;

    for (size_t i = 0; i < COUNT(model.regions); i++) {
        const struct frame_region *region = &model.regions[i];

        if (!pa_lt(pa, region->base)) {
            uint64_t index = pa_distance(region->base, pa) / FRAME;

            if (index + MAPPING_BIT(order) <= region->frame_count) {
                return &model.state[before + index];
            }
        }
        before += region->frame_count;
    }
    return NULL;
}

static bool model_is_free(const unsigned char *frames, unsigned order)
{
    for (size_t i = 0; i < MAPPING_BIT(order); i++) {
        if (frames[i] != MODEL_FREE) {
            return false;
        }
    }
    return true;
}

static void model_set(pa_t pa, unsigned order, enum model_state state)
{
    unsigned char *frames = model_frames(pa, order);

    ck_assert_ptr_nonnull(frames);
    for (size_t i = 0; i < MAPPING_BIT(order); i++) {
        model.count[frames[i]]--;
        frames[i] = (unsigned char)state;
        model.count[state]++;
    }
}

static size_t model_available(void)
{
    return model.count[MODEL_FREE] - model.promised;
}

/* How many aligned blocks are free. */
static size_t model_blocks(unsigned order)
{
    size_t count = 0;

    for (size_t i = 0; i < COUNT(model.regions); i++) {
        for (uint64_t k = 0; k + MAPPING_BIT(order) <= model.regions[i].frame_count; k++) {
            pa_t pa = pa_add(model.regions[i].base, k * FRAME);

            if (pa_is_aligned(pa, FRAME << order) &&
                model_is_free(model_frames(pa, order), order)) {
                count++;
            }
        }
    }
    return count;
}

/* Whether so many can be had: they are there, and leave what is promised. */
static bool model_has(size_t count, unsigned order)
{
    return model_blocks(order) >= count && model_available() >> order >= count;
}

static void model_add(pa_t pa, unsigned order)
{
    ck_assert_uint_lt(model.block_count, MODEL_BLOCKS);
    model.blocks[model.block_count++] = (struct model_block){pa, order};
    model_set(pa, order, MODEL_TAKEN);
}

static struct model_block model_drop(void)
{
    size_t pick = (size_t)random_below(&model.random, model.block_count);
    struct model_block block = model.blocks[pick];

    model.blocks[pick] = model.blocks[--model.block_count];
    return block;
}

static unsigned model_some_order(void)
{
    return random_once_in(&model.random, 2) ? 0
                                            : (unsigned)random_below(&model.random, MODEL_ORDERS);
}

static void step_alloc(void)
{
    unsigned order = model_some_order();
    bool is_there = model_has(1, order);
    pa_t pa = pa_of(1);

    ck_assert_int_eq(frame_pool_alloc(&pool, order, &pa), is_there ? MAPPING_OK : MAPPING_NO_FRAME);
    if (is_there) {
        ck_assert(pa_is_aligned(pa, FRAME << order));
        ck_assert(model_is_free(model_frames(pa, order), order));
        model_add(pa, order);
    }
}

static void step_free(void)
{
    struct model_block block;

    if (model.block_count == 0) {
        return;
    }
    block = model_drop();
    ck_assert_int_eq(frame_pool_free(&pool, block.pa, block.order), MAPPING_OK);
    ck_assert_int_eq(frame_pool_free(&pool, block.pa, block.order), MAPPING_BAD_STATE);
    model_set(block.pa, block.order, MODEL_FREE);
}

/* Anything anywhere: right only if it happens to be a block that was taken. */
static void step_free_at_random(void)
{
    const struct frame_region *region = &model.regions[random_below(&model.random, 3)];
    pa_t pa = pa_add(region->base, random_below(&model.random, 150) * FRAME);
    unsigned order = model_some_order();

    for (size_t i = 0; i < model.block_count; i++) {
        if (pa_eq(model.blocks[i].pa, pa) && model.blocks[i].order == order) {
            return;
        }
    }
    ck_assert_int_eq(frame_pool_free(&pool, pa, order), MAPPING_BAD_STATE);
    ck_assert(!frame_pool_is_taken(&pool, pa, order));
}

/* What is held shows only by what is gone, until it is taken; so the model asks the infos where it
 * is: the pool's word is checked when the block is taken. Single frames are held by number. */
static void model_sync_held(struct frame_reserve *held, enum model_state state)
{
    struct frame_list copy = held->blocks;

    if (held->order == 0) {
        model.promised += state == MODEL_HELD ? copy.count : (size_t)0 - copy.count;
        return;
    }
    for (size_t i = 0; i < held->blocks.count; i++) {
        struct frame_region *region = &model.regions[copy.head >> 28];
        uint32_t index = copy.head & 0xfffffff;

        model_set(pa_add(region->base, index * FRAME), held->order, state);
        copy.head = region->info[index].next;
    }
}

static void step_reserve(void)
{
    struct frame_reserve *held = &model.held[random_below(&model.random, 2)];
    size_t had = frame_reserve_count(held);
    unsigned order = had == 0 ? model_some_order() : held->order;
    size_t count = (size_t)random_below(&model.random, 6);
    bool is_there = model_has(count, order);

    model_sync_held(held, MODEL_FREE);
    ck_assert_int_eq(frame_pool_reserve(&pool, order, count, held),
                     is_there ? MAPPING_OK : MAPPING_NO_FRAME);
    ck_assert_uint_eq(frame_reserve_count(held), is_there ? had + count : had);
    model_sync_held(held, MODEL_HELD);
}

static void step_take(void)
{
    struct frame_reserve *held = &model.held[random_below(&model.random, 2)];
    const unsigned char *frames;
    pa_t pa;

    if (frame_reserve_count(held) == 0) {
        return;
    }
    pa = frame_pool_take(&pool, held);
    frames = model_frames(pa, held->order);
    ck_assert(pa_is_aligned(pa, FRAME << held->order));
    for (size_t i = 0; i < MAPPING_BIT(held->order); i++) {
        ck_assert_uint_eq(frames[i], held->order == 0 ? MODEL_FREE : MODEL_HELD);
    }
    model_add(pa, held->order);
    model.promised -= held->order == 0;
}

static void step_untake(void)
{
    struct frame_reserve *held = &model.held[random_below(&model.random, 2)];
    struct model_block block;

    if (model.block_count == 0) {
        return;
    }
    block = model_drop();
    if (frame_reserve_count(held) != 0 && held->order != block.order) {
        model.blocks[model.block_count++] = block;
        return;
    }
    frame_pool_untake(&pool, block.pa, block.order, held);
    model_set(block.pa, block.order, block.order == 0 ? MODEL_FREE : MODEL_HELD);
    model.promised += block.order == 0;
}

/* One that was taken at once, in parts. */
static void step_split(void)
{
    struct model_block block;
    unsigned into;

    if (model.block_count == 0) {
        return;
    }
    block = model_drop();
    into = (unsigned)random_below(&model.random, block.order + 1);
    frame_pool_split(&pool, block.pa, block.order, into);
    for (uint64_t i = 0; i < MAPPING_BIT(block.order - into); i++) {
        ck_assert_uint_lt(model.block_count, MODEL_BLOCKS);
        model.blocks[model.block_count++] =
            (struct model_block){pa_add(block.pa, i * (FRAME << into)), into};
    }
}

static void step_unreserve(void)
{
    struct frame_reserve *held = &model.held[random_below(&model.random, 2)];

    model_sync_held(held, MODEL_FREE);
    frame_pool_unreserve(&pool, held);
    ck_assert_uint_eq(frame_reserve_count(held), 0);
}

/* The next region: the pool's at once, or ours, to be freed frame by frame. */
static void grow(enum frame_region_state state)
{
    const struct frame_region *region = &model.regions[model.region_count++];

    ck_assert_int_eq(frame_pool_add_region(&pool, region, state), MAPPING_OK);
    for (size_t i = 0; i < region->frame_count; i++) {
        const pa_t frame = pa_add(region->base, i * FRAME);

        model_set(frame, 0, state == FRAME_REGION_TAKEN ? MODEL_TAKEN : MODEL_FREE);
        if (state == FRAME_REGION_TAKEN) {
            model_add(frame, 0);
        }
    }
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 0);
}

static uint64_t model_ops(void)
{
    return mapping_u64_min(from_environment("TRESTLE_MODEL_OPS", DEFAULT_OPS), DEFAULT_OPS);
}

TEST(random_sequence_agrees_with_the_bitmap)
{
    static void (*const steps[])(void) = {
        step_alloc,          step_alloc,   step_alloc, step_free,   step_free,  step_free,
        step_free_at_random, step_reserve, step_take,  step_untake, step_split, step_unreserve};
    uint64_t seed = from_environment("TRESTLE_SEED", DEFAULT_SEED);
    uint64_t ops = model_ops();
    size_t least = MODEL_FRAMES;

    printf("frame_pool_model: TRESTLE_MODEL_OPS=%" PRIu64 " TRESTLE_SEED=%" PRIu64 "\n", ops, seed);
    model_init(seed);
    for (uint64_t op = 0; op < ops; op++) {
        if (op == ops / 4 || op == ops / 2) {
            grow(op == ops / 4 ? FRAME_REGION_TAKEN : FRAME_REGION_FREE);
        }
        steps[random_below(&model.random, COUNT(steps))]();
        least = model_available() < least ? model_available() : least;
        ck_assert_msg(frame_pool_check(&pool), "after operation %" PRIu64, op);
        ck_assert_uint_eq(frame_pool_available(&pool), model_available());
        ck_assert_uint_eq(pool.held, model.count[MODEL_HELD] + model.promised);
    }
    ck_assert_uint_eq(frame_pool_low_water(&pool), least);
}

/* threads */

#define OPS_PER_ROUND 20 /* contended, each may cost a time slice on a busy machine */
#define THREAD_BLOCKS 16

struct worker {
    struct random random;
    uint32_t name;
    uint64_t rounds;
    size_t mistakes; /* libcheck's assertions are for the test's own thread */
};

static void work_once(struct worker *worker, struct model_block *block)
{
    if (block->order == FRAME_POOL_ORDERS) {
        unsigned order = (unsigned)random_below(&worker->random, 4);

        if (frame_pool_alloc(&pool, order, &block->pa) == MAPPING_OK) {
            block->order = order;
            worker->mistakes += *frame_pool_count(&pool, block->pa) != 0;
            *frame_pool_count(&pool, block->pa) = worker->name;
        }
        return;
    }
    worker->mistakes += *frame_pool_count(&pool, block->pa) != worker->name;
    worker->mistakes += frame_pool_free(&pool, block->pa, block->order) != MAPPING_OK;
    block->order = FRAME_POOL_ORDERS;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct model_block blocks[THREAD_BLOCKS];

    for (size_t i = 0; i < THREAD_BLOCKS; i++) {
        blocks[i].order = FRAME_POOL_ORDERS;
    }
    for (uint64_t round = 0; round < worker->rounds; round++) {
        struct frame_reserve held = FRAME_RESERVE_INIT;

        work_once(worker, &blocks[random_below(&worker->random, THREAD_BLOCKS)]);
        if (frame_pool_reserve(&pool, 0, 2, &held) == MAPPING_OK) {
            pa_t frame = frame_pool_take(&pool, &held);

            frame_pool_unreserve(&pool, &held);
            worker->mistakes += frame_pool_free(&pool, frame, 0) != MAPPING_OK;
        }
        worker->mistakes += frame_pool_available(&pool) > 128;
    }
    for (size_t i = 0; i < THREAD_BLOCKS; i++) {
        if (blocks[i].order != FRAME_POOL_ORDERS) {
            work_once(worker, &blocks[i]);
        }
    }
    return NULL;
}

TEST(two_threads_never_share_a_block)
{
    struct frame_region region = {PA_INIT(0x40000000), NULL, 128, infos};
    uint64_t rounds = model_ops() / OPS_PER_ROUND;
    struct worker workers[2] = {{{1}, 0x11111111, rounds, 0}, {{2}, 0x22222222, rounds, 0}};
    pthread_t threads[2];
    pa_t whole;

    ck_assert_int_eq(frame_pool_init(&pool, 12, &region, 1), MAPPING_OK);
    for (size_t i = 0; i < COUNT(threads); i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(threads); i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(workers[i].mistakes, 0);
    }
    ck_assert_uint_eq(frame_pool_available(&pool), 128);
    ck_assert(frame_pool_check(&pool));
    ck_assert_int_eq(frame_pool_alloc(&pool, 7, &whole), MAPPING_OK);
}

/* Half of the pool comes and goes as a list of single frames, while somebody asks for the other
 * half and so has them merged, in turns. */
static void *work_in_bulk(void *arg)
{
    struct worker *worker = arg;

    for (uint64_t round = 0; round < worker->rounds; round++) {
        struct frame_reserve held = FRAME_RESERVE_INIT;
        struct frame_list list = FRAME_LIST_INIT;

        if (frame_pool_reserve(&pool, 0, 64, &held) == MAPPING_OK) {
            while (frame_reserve_count(&held) > 0) {
                frame_list_push(&pool, &list, frame_pool_take_sealed(&pool, &held));
            }
            frame_pool_untake_all(&pool, &list, 0, &held);
            frame_pool_unreserve(&pool, &held);
        }
        worker->mistakes += frame_pool_available(&pool) > 128;
    }
    return NULL;
}

static void *work_in_blocks(void *arg)
{
    struct worker *worker = arg;

    for (uint64_t round = 0; round < worker->rounds; round++) {
        const unsigned order = 1 + (unsigned)random_below(&worker->random, 6);
        struct frame_reserve held = FRAME_RESERVE_INIT;
        pa_t block;

        if (frame_pool_alloc(&pool, order, &block) == MAPPING_OK) {
            worker->mistakes += *frame_pool_count(&pool, block) != 0;
            worker->mistakes += !frame_pool_is_data(&pool, block, FRAME << order);
            worker->mistakes += frame_pool_free(&pool, block, order) != MAPPING_OK;
        }
        if (frame_pool_reserve(&pool, order, 2, &held) == MAPPING_OK) {
            frame_pool_unreserve(&pool, &held);
        }
    }
    return NULL;
}

TEST(two_threads_by_frame_and_by_block_leave_the_pool_whole)
{
    struct frame_region region = {PA_INIT(0x40000000), NULL, 128, infos};
    uint64_t rounds = model_ops() / OPS_PER_ROUND;
    struct worker workers[2] = {{{1}, 0, rounds, 0}, {{2}, 0, rounds, 0}};
    pthread_t threads[2];
    pa_t whole;

    ck_assert_int_eq(frame_pool_init(&pool, 12, &region, 1), MAPPING_OK);
    ck_assert_int_eq(pthread_create(&threads[0], NULL, work_in_bulk, &workers[0]), 0);
    ck_assert_int_eq(pthread_create(&threads[1], NULL, work_in_blocks, &workers[1]), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(workers[i].mistakes, 0);
    }
    ck_assert_uint_eq(frame_pool_available(&pool), 128);
    ck_assert(frame_pool_check(&pool));
    ck_assert_int_eq(frame_pool_alloc(&pool, 7, &whole), MAPPING_OK);
}
