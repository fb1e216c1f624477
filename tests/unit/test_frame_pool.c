/*
 * test_frame_pool.c - the frame pool against its contract, function by function.
 *
 * Most pools here have regions without memory: the pool never needs any.
 */
#include "core/frame_pool.h"
#include "tests/model/random.h"
#include "tests/unit/test.h"

#include <check.h>
#include <string.h>

#define SUITE "frame_pool"

#define FRAME UINT64_C(4096)

static struct frame_pool pool;
static struct frame_info infos[3U << (FRAME_POOL_ORDERS - 1)];

/* A pool of 4K frames in one region without memory. */
static void make_pool(pa_t base, size_t frame_count)
{
    struct frame_region region = {base, NULL, frame_count, infos};

    ck_assert_uint_le(frame_count, COUNT(infos));
    ck_assert_int_eq(frame_pool_init(&pool, 12, &region, 1), MAPPING_OK);
}

static pa_t must_alloc(unsigned order)
{
    pa_t frame = pa_of(1);

    ck_assert_int_eq(frame_pool_alloc(&pool, order, &frame), MAPPING_OK);
    ck_assert(pa_is_aligned(frame, FRAME << order));
    return frame;
}

static void must_free(pa_t frame, unsigned order)
{
    ck_assert_int_eq(frame_pool_free(&pool, frame, order), MAPPING_OK);
}

/* Take every block of @order there is. Returns: how many. */
static size_t drain(unsigned order)
{
    size_t count = 0;
    pa_t frame = pa_of(1);

    while (frame_pool_alloc(&pool, order, &frame) == MAPPING_OK) {
        count++;
    }
    return count;
}

/* init */

#define PLAIN                                \
    {                                        \
        PA_INIT(0x40000000), NULL, 16, infos \
    }

static unsigned char page[2 * FRAME] __attribute__((aligned(65536)));

static const struct {
    const char *what;
    unsigned frame_shift;
    size_t region_count;
    struct frame_region regions[2];
} bad_inits[] = {
    {"shift 0", 0, 1, {PLAIN}},
    {"shift 11", 11, 1, {PLAIN}},
    {"shift 13", 13, 1, {PLAIN}},
    {"shift 15", 15, 1, {PLAIN}},
    {"shift 17", 17, 1, {PLAIN}},
    {"no region", 12, 0, {PLAIN}},
    {"too many regions", 12, FRAME_POOL_MAX_REGIONS + 1, {PLAIN}},
    {"base misaligned", 12, 1, {{PA_INIT(0x40000800), NULL, 16, infos}}},
    {"base misaligned to 64K", 16, 1, {{PA_INIT(0x40001000), NULL, 16, infos}}},
    {"memory misaligned", 12, 1, {{PA_INIT(0x40000000), page + 8, 1, infos}}},
    {"memory misaligned to 16K", 14, 1, {{PA_INIT(0x40000000), page + FRAME, 1, infos}}},
    {"empty", 12, 1, {{PA_INIT(0x40000000), NULL, 0, infos}}},
    {"no infos", 12, 1, {{PA_INIT(0x40000000), NULL, 16, NULL}}},
    {"too many frames", 12, 1, {{PA_INIT(0), NULL, (1U << 28) - 63, infos}}},
    {"absurdly many frames", 12, 1, {{PA_INIT(0), NULL, SIZE_MAX, infos}}},
    {"wraps", 12, 1, {{PA_INIT(0xffffffffffffe000), NULL, 2, infos}}},
    {"same twice", 12, 2, {PLAIN, PLAIN}},
    {"second bad", 12, 2, {PLAIN, {PA_INIT(0x80000000), NULL, 0, infos}}},
    {"last frame shared", 12, 2, {PLAIN, {PA_INIT(0x4000f000), NULL, 16, infos + 16}}},
    {"first frame shared", 12, 2, {PLAIN, {PA_INIT(0x3fff1000), NULL, 16, infos + 16}}},
    {"one inside another", 12, 2, {PLAIN, {PA_INIT(0x40004000), NULL, 1, infos + 16}}},
    {"one around another", 12, 2, {PLAIN, {PA_INIT(0x3fff0000), NULL, 64, infos + 16}}},
    {"one memory for two",
     12,
     2,
     {{PA_INIT(0x40000000), page, 2, infos}, {PA_INIT(0x80000000), page + FRAME, 1, infos + 16}}},
    {"infos of two shared", 12, 2, {PLAIN, {PA_INIT(0x80000000), NULL, 16, infos + 15}}},
    {"infos in its own memory",
     12,
     1,
     {{PA_INIT(0x40000000), page, 2, (struct frame_info *)(void *)(page + FRAME)}}},
    {"infos in the memory of another",
     12,
     2,
     {{PA_INIT(0x40000000), page, 1, infos},
      {PA_INIT(0x80000000), page + FRAME, 1, (struct frame_info *)(void *)page}}},
};

TEST_EACH(init_with_bad_argument_changes_nothing, COUNT(bad_inits))
{
    static unsigned char before[sizeof(pool)];
    struct frame_region regions[2] = {bad_inits[_i].regions[0], bad_inits[_i].regions[1]};
    enum mapping_error error;

    memset(before, 0xa5, sizeof(before));
    memset(&pool, 0xa5, sizeof(pool));
    memset(infos, 0xa5, 128 * sizeof(infos[0]));
    error = frame_pool_init(&pool, bad_inits[_i].frame_shift, regions, bad_inits[_i].region_count);
    ck_assert_msg(error == MAPPING_INVALID_PARAM, "%s", bad_inits[_i].what);
    ck_assert_mem_eq(&pool, before, sizeof(pool));
    ck_assert_mem_eq(infos, before, 16 * sizeof(infos[0]));
}

TEST_EACH(init_with_each_frame_size_aligns_by_it, 3)
{
    unsigned shift = 12 + 2 * (unsigned)_i;
    struct frame_region region = {pa_of(MAPPING_BIT(40) + MAPPING_BIT(shift)), NULL, 7, infos};
    pa_t frame;

    ck_assert_int_eq(frame_pool_init(&pool, shift, &region, 1), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_shift(&pool), shift);
    ck_assert_int_eq(frame_pool_alloc(&pool, 2, &frame), MAPPING_OK);
    ck_assert(pa_eq(frame, pa_of(MAPPING_BIT(40) + 4 * MAPPING_BIT(shift))));
    ck_assert_int_eq(frame_pool_alloc(&pool, 1, &frame), MAPPING_OK);
    ck_assert(pa_eq(frame, pa_of(MAPPING_BIT(40) + 2 * MAPPING_BIT(shift))));
    ck_assert_int_eq(frame_pool_alloc(&pool, 0, &frame), MAPPING_OK);
    ck_assert(pa_eq(frame, pa_of(MAPPING_BIT(40) + MAPPING_BIT(shift))));
    ck_assert_int_eq(frame_pool_alloc(&pool, 0, &frame), MAPPING_NO_FRAME);
    ck_assert(frame_pool_check(&pool));
}

TEST_EACH(init_leaves_every_frame_available, 20)
{
    size_t frame_count = 1 + (size_t)_i * 37;

    make_pool(pa_of(0x40000000 + (uint64_t)_i * FRAME), frame_count);
    ck_assert_uint_eq(frame_pool_available(&pool), frame_count);
    ck_assert_uint_eq(frame_pool_low_water(&pool), frame_count);
    ck_assert(frame_pool_check(&pool));
    ck_assert_uint_eq(drain(0), frame_count);
    ck_assert(frame_pool_check(&pool));
}

TEST(init_up_to_the_last_frame_that_can_be_works)
{
    make_pool(pa_of(0xffffffffffffd000), 2);
    ck_assert(pa_eq(must_alloc(0), pa_of(0xffffffffffffd000)));
    ck_assert(pa_eq(must_alloc(0), pa_of(0xffffffffffffe000)));
    ck_assert_uint_eq(drain(0), 0);
}

TEST(init_forgets_the_array_of_regions)
{
    struct frame_region regions[2] = {PLAIN, {PA_INIT(0x50000000), NULL, 4, infos + 16}};

    ck_assert_int_eq(frame_pool_init(&pool, 12, regions, 2), MAPPING_OK);
    memset(regions, 0, sizeof(regions));
    ck_assert_uint_eq(drain(0), 20);
    ck_assert(frame_pool_check(&pool));
}

/* alloc */

TEST(alloc_of_too_large_an_order_is_refused)
{
    pa_t frame = pa_of(1);

    make_pool(pa_of(0), 64);
    ck_assert_int_eq(frame_pool_alloc(&pool, FRAME_POOL_ORDERS, &frame), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(frame_pool_alloc(&pool, 256, &frame), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(frame_pool_alloc(&pool, UINT32_MAX, &frame), MAPPING_INVALID_PARAM);
    ck_assert(pa_eq(frame, pa_of(1)));
    ck_assert_uint_eq(frame_pool_available(&pool), 64);
}

/* From frame number 1 on, 3 * 2^order frames hold two aligned blocks, whatever the order. */
TEST_EACH(alloc_of_each_order_is_aligned_and_ends_exactly, FRAME_POOL_ORDERS)
{
    unsigned order = (unsigned)_i;
    pa_t base = pa_of(MAPPING_BIT(45) + FRAME);
    size_t frame_count = (size_t)3 << order;
    pa_t frame = pa_of(1);
    bool is_single = order == 0;

    make_pool(base, frame_count);
    ck_assert(
        pa_eq(must_alloc(order), is_single ? base : pa_of(MAPPING_BIT(45) + (FRAME << order))));
    ck_assert(pa_eq(must_alloc(order), pa_of(MAPPING_BIT(45) + (FRAME << (order + 1)))));
    ck_assert_int_eq(frame_pool_alloc(&pool, order, &frame),
                     is_single ? MAPPING_OK : MAPPING_NO_FRAME);
    ck_assert(is_single || pa_eq(frame, pa_of(1)));
    ck_assert_uint_eq(frame_pool_available(&pool), is_single ? 0 : (size_t)1 << order);
    ck_assert_uint_eq(frame_pool_low_water(&pool), frame_pool_available(&pool));
    ck_assert(frame_pool_check(&pool));
}

TEST(alloc_splits_the_smallest_block_that_fits)
{
    /* Blocks of 1, 2, 4, 8, 16 and 32 frames. */
    make_pool(pa_of(FRAME), 63);
    ck_assert(pa_eq(must_alloc(2), pa_of(4 * FRAME)));
    ck_assert(pa_eq(must_alloc(2), pa_of(8 * FRAME)));
    ck_assert(pa_eq(must_alloc(2), pa_of(12 * FRAME)));
    ck_assert(pa_eq(must_alloc(0), pa_of(1 * FRAME)));
    ck_assert(pa_eq(must_alloc(0), pa_of(2 * FRAME)));
    ck_assert(pa_eq(must_alloc(5), pa_of(32 * FRAME)));
    ck_assert(pa_eq(must_alloc(4), pa_of(16 * FRAME)));
    ck_assert(pa_eq(must_alloc(0), pa_of(3 * FRAME)));
    ck_assert_uint_eq(frame_pool_available(&pool), 0);
}

TEST(alloc_in_a_fresh_pool_goes_upwards)
{
    make_pool(pa_of(0x40000000), 1024);
    for (uint64_t i = 0; i < 1024; i++) {
        ck_assert(pa_eq(must_alloc(0), pa_of(0x40000000 + i * FRAME)));
    }
}

TEST(alloc_after_exhaustion_answers_no_frame)
{
    pa_t frame = pa_of(1);

    make_pool(pa_of(0x40000000), 100);
    ck_assert_uint_eq(drain(0), 100);
    ck_assert_int_eq(frame_pool_alloc(&pool, 0, &frame), MAPPING_NO_FRAME);
    ck_assert_int_eq(frame_pool_alloc(&pool, 3, &frame), MAPPING_NO_FRAME);
    ck_assert(pa_eq(frame, pa_of(1)));
    ck_assert_uint_eq(frame_pool_low_water(&pool), 0);
    ck_assert(frame_pool_check(&pool));
}

TEST(alloc_over_several_regions_uses_all_and_spans_none)
{
    /* Two that touch, one behind a hole; none of them can give 4 frames alone but the last. */
    struct frame_region regions[3] = {{PA_INIT(0x40000000), NULL, 2, infos},
                                      {PA_INIT(0x40002000), NULL, 2, infos + 2},
                                      {PA_INIT(0x80001000), NULL, 7, infos + 4}};

    ck_assert_int_eq(frame_pool_init(&pool, 12, regions, 3), MAPPING_OK);
    ck_assert(pa_eq(must_alloc(2), pa_of(0x80004000)));
    ck_assert_uint_eq(drain(2), 0);
    ck_assert_uint_eq(drain(1), 3);
    ck_assert(pa_eq(must_alloc(0), pa_of(0x80001000)));
    ck_assert_uint_eq(frame_pool_available(&pool), 0);
    must_free(pa_of(0x40000000), 1);
    must_free(pa_of(0x40002000), 1);
    ck_assert_uint_eq(drain(2), 0);
    ck_assert(frame_pool_check(&pool));
}

/* free */

/* A pool of 32 frames from 0x40000000 on, where one block of 8 is taken and one of 4 held. */
static pa_t eight;
static struct frame_reserve four;

static void set_up_bad_frees(void)
{
    make_pool(pa_of(0x40000000), 32);
    eight = must_alloc(3);
    frame_reserve_init(&four);
    ck_assert_int_eq(frame_pool_reserve(&pool, 2, 1, &four), MAPPING_OK);
}

static const struct {
    const char *what;
    uint64_t offset; /* bytes from `eight` */
    unsigned order;
} bad_frees[] = {
    {"first half", 0, 2},
    {"second half", 4 * FRAME, 2},
    {"first frame", 0, 0},
    {"second frame", FRAME, 0},
    {"too much", 0, 4},
    {"order that is equal in its low byte", 0, 256 + 3},
    {"absurd order", 0, UINT32_MAX},
    {"misaligned", 8, 3},
    {"last byte", FRAME - 1, 3},
    {"held", 8 * FRAME, 2},
    {"free block", 16 * FRAME, 4},
    {"below the region", (uint64_t)0 - FRAME, 3},
    {"above the region", 32 * FRAME, 3},
    {"zero", (uint64_t)0 - 0x40000000, 3},
    {"top", UINT64_MAX - 0x40000000, 3},
};

TEST_EACH(free_of_what_was_not_taken_changes_nothing, COUNT(bad_frees))
{
    pa_t base = pa_of(0x40000000 + bad_frees[_i].offset);
    enum mapping_error error;

    set_up_bad_frees();
    ck_assert(pa_eq(eight, pa_of(0x40000000)));
    error = frame_pool_free(&pool, base, bad_frees[_i].order);
    ck_assert_msg(error == MAPPING_BAD_STATE, "%s", bad_frees[_i].what);
    ck_assert_uint_eq(frame_pool_available(&pool), 20);
    ck_assert(frame_pool_check(&pool));
    must_free(eight, 3);
    frame_pool_unreserve(&pool, &four);
    ck_assert(pa_eq(must_alloc(5), eight));
}

TEST_EACH(free_twice_is_refused, 7)
{
    unsigned order = (unsigned)_i;
    pa_t frame;

    make_pool(pa_of(0x40000000), 64);
    frame = must_alloc(order);
    must_free(frame, order);
    ck_assert_int_eq(frame_pool_free(&pool, frame, order), MAPPING_BAD_STATE);
    (void)must_alloc(6);
    ck_assert_int_eq(frame_pool_free(&pool, frame, order),
                     order == 6 ? MAPPING_OK : MAPPING_BAD_STATE);
    ck_assert(frame_pool_check(&pool));
}

TEST_EACH(free_in_any_order_merges_everything, 8)
{
    static pa_t frames[777];
    struct random random = {(uint64_t)_i};
    pa_t base = pa_of(0x40000000 + (uint64_t)_i * FRAME);
    size_t blocks[FRAME_POOL_ORDERS];

    make_pool(base, COUNT(frames));
    for (unsigned order = 0; order < COUNT(blocks); order++) {
        make_pool(base, COUNT(frames));
        blocks[order] = drain(order);
    }
    make_pool(base, COUNT(frames));
    for (size_t i = 0; i < COUNT(frames); i++) {
        frames[i] = must_alloc(0);
    }
    for (size_t left = COUNT(frames); left > 0; left--) {
        size_t pick = (size_t)random_below(&random, left);

        must_free(frames[pick], 0);
        frames[pick] = frames[left - 1];
    }
    ck_assert(frame_pool_check(&pool));
    for (unsigned order = COUNT(blocks); order-- > 0;) {
        struct frame_reserve held = FRAME_RESERVE_INIT;

        ck_assert_int_eq(frame_pool_reserve(&pool, order, blocks[order] + 1, &held),
                         MAPPING_NO_FRAME);
        ck_assert_int_eq(frame_pool_reserve(&pool, order, blocks[order], &held), MAPPING_OK);
        frame_pool_unreserve(&pool, &held);
        ck_assert(frame_pool_check(&pool));
    }
}

/* loose frames: those that came back one by one, or go out next, and are not merged */

static size_t loose_count(void)
{
    size_t count = 0;

    for (uint32_t ref = pool.loose; ref != FRAME_REF_NONE; ref = infos[ref].next) {
        count++;
    }
    return count;
}

/* A pool of 2^12 frames, each of which was taken, and freed in another order: @apart, an odd number
 * of frames, one from the next. */
static void make_loose_pool(pa_t base, unsigned apart)
{
    make_pool(base, 4096);
    ck_assert_uint_eq(drain(0), 4096);
    for (uint64_t i = 0; i < 4096; i++) {
        must_free(pa_add(base, i * apart % 4096 * FRAME), 0);
    }
    ck_assert_uint_eq(loose_count(), 4096);
    ck_assert(frame_pool_check(&pool));
}

TEST(free_of_single_frames_withholds_no_larger_block)
{
    const pa_t base = pa_of(0x40000000);

    make_loose_pool(base, 5);
    ck_assert(pa_eq(must_alloc(12), base));
    ck_assert_uint_eq(loose_count(), 0);
    ck_assert_uint_eq(frame_pool_available(&pool), 0);
    must_free(base, 12);
    ck_assert(frame_pool_check(&pool));
}

/* Alignment counts in PA: from frame number 1 on, there are blocks of 1, 2, 4, ... frames. */
TEST(reserve_of_several_blocks_finds_them_among_loose_frames)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_loose_pool(pa_of(FRAME), 1001);
    ck_assert_int_eq(frame_pool_reserve(&pool, 9, 8, &held), MAPPING_NO_FRAME);
    ck_assert_uint_eq(frame_pool_available(&pool), 4096);
    ck_assert(frame_pool_check(&pool));
    make_loose_pool(pa_of(FRAME), 1001);
    ck_assert_int_eq(frame_pool_reserve(&pool, 9, 7, &held), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&pool), 512);
    ck_assert(frame_pool_check(&pool));
    frame_pool_unreserve(&pool, &held);
    ck_assert_int_eq(frame_pool_reserve(&pool, 11, 1, &held), MAPPING_OK);
    ck_assert(frame_pool_check(&pool));
}

/* One frame takes one list step at least, so a turn merges no more than 64; neighbours are among
 * them. */
TEST(alloc_of_a_pair_merges_no_more_than_one_turn)
{
    make_loose_pool(pa_of(0x40000000), 1);
    (void)must_alloc(1);
    ck_assert_uint_ge(loose_count(), 4096 - 64);
    ck_assert(frame_pool_check(&pool));
}

TEST(reserve_of_one_block_merges_no_more_than_one_turn)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_loose_pool(pa_of(0x40000000), 1);
    ck_assert_int_eq(frame_pool_reserve(&pool, 1, 1, &held), MAPPING_OK);
    ck_assert_uint_ge(loose_count(), 4096 - 64);
    ck_assert(frame_pool_check(&pool));
}

TEST(request_that_cannot_be_met_merges_nothing)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;
    pa_t frame;

    make_loose_pool(pa_of(0x40000000), 1);
    ck_assert_int_eq(frame_pool_alloc(&pool, 13, &frame), MAPPING_NO_FRAME);
    ck_assert_int_eq(frame_pool_reserve(&pool, 6, 65, &held), MAPPING_NO_FRAME);
    ck_assert_uint_eq(loose_count(), 4096);
}

TEST(alloc_with_a_block_at_hand_merges_nothing)
{
    make_pool(pa_of(0x40000000), 4096);
    must_free(must_alloc(0), 0);
    ck_assert_uint_eq(loose_count(), 64);
    ck_assert(pa_eq(must_alloc(5), pa_of(0x40000000 + 64 * FRAME)));
    ck_assert_uint_eq(loose_count(), 64);
}

TEST(alloc_of_one_frame_cuts_no_more_than_64)
{
    for (uint64_t i = 0; i < 200; i++) {
        if (i == 0) {
            make_pool(pa_of(0x40000000), 4096);
        }
        ck_assert(pa_eq(must_alloc(0), pa_of(0x40000000 + i * FRAME)));
        ck_assert_uint_eq(loose_count(), 63 - i % 64);
        ck_assert(frame_pool_check(&pool));
    }
}

TEST(free_frame_is_the_next_to_go_out)
{
    pa_t frames[3];

    make_pool(pa_of(0x40000000), 64);
    for (size_t i = 0; i < COUNT(frames); i++) {
        frames[i] = must_alloc(0);
    }
    must_free(frames[1], 0);
    must_free(frames[0], 0);
    ck_assert(pa_eq(must_alloc(0), frames[0]));
    ck_assert(pa_eq(must_alloc(0), frames[1]));
    ck_assert(frame_pool_is_taken(&pool, frames[1], 0));
    ck_assert(frame_pool_check(&pool));
}

TEST(free_of_frames_in_every_region_gives_all_back)
{
    struct frame_region regions[3] = {{PA_INIT(0x40000000), NULL, 3, infos},
                                      {PA_INIT(0x50000000), NULL, 5, infos + 3},
                                      {PA_INIT(0x60000000), NULL, 1, infos + 8}};
    pa_t frames[9];

    ck_assert_int_eq(frame_pool_init(&pool, 12, regions, COUNT(regions)), MAPPING_OK);
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT(frames); i++) {
            frames[i] = must_alloc(0);
            ck_assert_uint_eq(*frame_pool_count(&pool, frames[i]), 0);
            *frame_pool_count(&pool, frames[i]) = 7;
            ck_assert_uint_eq(frame_pool_available(&pool), 8 - i);
        }
        ck_assert_uint_eq(drain(0), 0);
        for (size_t i = 0; i < COUNT(frames); i++) {
            must_free(frames[(i * 4 + round) % 9], 0);
            ck_assert_int_eq(frame_pool_free(&pool, frames[(i * 4 + round) % 9], 0),
                             MAPPING_BAD_STATE);
            ck_assert(frame_pool_check(&pool));
        }
    }
    ck_assert(pa_eq(must_alloc(2), pa_of(0x50000000)));
    ck_assert(pa_eq(must_alloc(1), pa_of(0x40000000)));
    ck_assert_uint_eq(frame_pool_low_water(&pool), 0);
}

/* Somebody waits for the list to be empty, as the lock was passed on: it must not grow by lists. */
TEST(untake_all_while_another_merges_leaves_the_list_as_it_is)
{
    struct frame_list list = FRAME_LIST_INIT;
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_pool(pa_of(0x40000000), 128);
    for (size_t i = 0; i < 100; i++) {
        frame_list_push(&pool, &list, must_alloc(0));
    }
    ck_assert_uint_eq(loose_count(), 28);
    pool.mergers = 1;
    frame_pool_untake_all(&pool, &list, 0, &held);
    pool.mergers = 0;
    ck_assert_uint_eq(loose_count(), 28);
    ck_assert_uint_eq(frame_reserve_count(&held), 100);
    ck_assert(frame_pool_check(&pool));
    frame_pool_unreserve(&pool, &held);
    ck_assert(pa_eq(must_alloc(7), pa_of(0x40000000)));
}

TEST(free_of_every_other_frame_leaves_no_larger_block)
{
    make_pool(pa_of(0x40000000), 512);
    ck_assert_uint_eq(drain(0), 512);
    for (uint64_t i = 0; i < 512; i += 2) {
        must_free(pa_of(0x40000000 + i * FRAME), 0);
    }
    ck_assert_uint_eq(frame_pool_available(&pool), 256);
    ck_assert_uint_eq(drain(1), 0);
    must_free(pa_of(0x40000000 + 101 * FRAME), 0);
    ck_assert(pa_eq(must_alloc(1), pa_of(0x40000000 + 100 * FRAME)));
    ck_assert(frame_pool_check(&pool));
    ck_assert_uint_eq(drain(0), 255);
}

TEST(free_frames_are_never_written)
{
    static unsigned char memory[64 * FRAME] __attribute__((aligned(4096)));
    struct frame_region region = {pa_of(0x40000000), memory, 64, infos};
    struct frame_reserve held = FRAME_RESERVE_INIT;
    pa_t frame;

    memset(memory, 0xdb, sizeof(memory));
    ck_assert_int_eq(frame_pool_init(&pool, 12, &region, 1), MAPPING_OK);
    for (unsigned order = 0; order <= 6; order++) {
        must_free(must_alloc(order), order);
        ck_assert_int_eq(frame_pool_reserve(&pool, order, 1, &held), MAPPING_OK);
        must_free(frame_pool_take(&pool, &held), order);
        frame = must_alloc(0);
        *frame_pool_count(&pool, frame) = 9;
        must_free(frame, 0);
    }
    for (size_t i = 0; i < sizeof(memory); i++) {
        ck_assert_uint_eq(memory[i], 0xdb);
    }
}

/* reserve, take, untake, unreserve */

TEST(reserve_holds_on_top_of_what_is_held)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_pool(pa_of(0x40000000), 64);
    ck_assert_int_eq(frame_pool_reserve(&pool, 1, 3, &held), MAPPING_OK);
    ck_assert_int_eq(frame_pool_reserve(&pool, 1, 2, &held), MAPPING_OK);
    ck_assert_uint_eq(frame_reserve_count(&held), 5);
    ck_assert_uint_eq(frame_pool_available(&pool), 54);
    ck_assert(frame_pool_check(&pool));
    ck_assert_uint_eq(drain(0), 54);
    for (size_t left = 5; left-- > 0;) {
        pa_t frame = frame_pool_take(&pool, &held);

        ck_assert(pa_is_aligned(frame, 2 * FRAME));
        ck_assert(frame_pool_is_taken(&pool, frame, 1));
        ck_assert_uint_eq(*frame_pool_count(&pool, frame), 0);
        ck_assert_uint_eq(frame_reserve_count(&held), left);
        ck_assert(frame_pool_check(&pool));
    }
    ck_assert_uint_eq(frame_pool_available(&pool), 0);
}

TEST(reserve_with_a_bad_order_changes_nothing)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_pool(pa_of(0x40000000), 64);
    ck_assert_int_eq(frame_pool_reserve(&pool, FRAME_POOL_ORDERS, 0, &held), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(frame_pool_reserve(&pool, 1, 1, &held), MAPPING_OK);
    ck_assert_int_eq(frame_pool_reserve(&pool, 0, 1, &held), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(frame_pool_reserve(&pool, 2, 0, &held), MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(frame_reserve_count(&held), 1);
    ck_assert_uint_eq(held.order, 1);
    ck_assert_uint_eq(frame_pool_available(&pool), 62);
}

TEST(reserve_of_nothing_is_fine)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_pool(pa_of(0x40000000), 1);
    ck_assert_uint_eq(drain(0), 1);
    ck_assert_int_eq(frame_pool_reserve(&pool, 3, 0, &held), MAPPING_OK);
    ck_assert_uint_eq(frame_reserve_count(&held), 0);
    frame_pool_unreserve(&pool, &held);
    ck_assert(frame_pool_check(&pool));
}

/* 100 frames: 100, 50, 25, 12, 6, 3, 1, 0 blocks. */
TEST_EACH(reserve_of_one_too_many_changes_nothing, 8)
{
    unsigned order = (unsigned)_i;
    size_t blocks = (size_t)100 >> order;
    struct frame_reserve held = FRAME_RESERVE_INIT;
    struct frame_reserve more = FRAME_RESERVE_INIT;

    make_pool(pa_of(0x40000000), 100);
    for (size_t had = 0; had <= blocks; had++) {
        ck_assert_int_eq(frame_pool_reserve(&pool, order, had, &held), MAPPING_OK);
        ck_assert_int_eq(frame_pool_reserve(&pool, order, blocks - had + 1, &held),
                         MAPPING_NO_FRAME);
        ck_assert_int_eq(frame_pool_reserve(&pool, order, SIZE_MAX, &held), MAPPING_NO_FRAME);
        ck_assert_uint_eq(frame_reserve_count(&held), had);
        ck_assert_uint_eq(frame_pool_available(&pool), 100 - (had << order));
        ck_assert_uint_ge(frame_pool_low_water(&pool), 100 - (had << order));
        ck_assert(frame_pool_check(&pool));
        ck_assert_int_eq(frame_pool_reserve(&pool, order, blocks - had, &more), MAPPING_OK);
        frame_pool_unreserve(&pool, &more);
        frame_pool_unreserve(&pool, &held);
        make_pool(pa_of(0x40000000), 100);
    }
}

TEST_EACH(unreserve_gives_everything_back, 7)
{
    unsigned order = (unsigned)_i;
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_pool(pa_of(0x40000000), 64);
    ck_assert_int_eq(frame_pool_reserve(&pool, order, (size_t)64 >> order, &held), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&pool), 0);
    frame_pool_unreserve(&pool, &held);
    ck_assert_uint_eq(frame_reserve_count(&held), 0);
    ck_assert_uint_eq(frame_pool_available(&pool), 64);
    ck_assert_uint_eq(frame_pool_low_water(&pool), 0);
    ck_assert(frame_pool_check(&pool));
    ck_assert(pa_eq(must_alloc(6), pa_of(0x40000000)));
    frame_pool_unreserve(&pool, &held);
    ck_assert(frame_pool_check(&pool));
}

TEST(untake_makes_the_block_the_next_to_take)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;
    struct frame_reserve empty = FRAME_RESERVE_INIT;
    pa_t first;

    make_pool(pa_of(0x40000000), 64);
    ck_assert_int_eq(frame_pool_reserve(&pool, 2, 2, &held), MAPPING_OK);
    first = frame_pool_take(&pool, &held);
    *frame_pool_count(&pool, first) = 77;
    frame_pool_untake(&pool, first, 2, &held);
    ck_assert(!frame_pool_is_taken(&pool, first, 2));
    ck_assert_uint_eq(frame_reserve_count(&held), 2);
    ck_assert(frame_pool_check(&pool));
    ck_assert_int_eq(frame_pool_free(&pool, first, 2), MAPPING_BAD_STATE);
    ck_assert(pa_eq(frame_pool_take(&pool, &held), first));
    ck_assert_uint_eq(*frame_pool_count(&pool, first), 0);
    frame_pool_untake(&pool, first, 2, &empty);
    ck_assert_uint_eq(frame_reserve_count(&empty), 1);
    frame_pool_unreserve(&pool, &empty);
    frame_pool_unreserve(&pool, &held);
    ck_assert_uint_eq(frame_pool_available(&pool), 64);
    ck_assert(frame_pool_check(&pool));
}

/* Any frame serves a promise; what is promised is not to be had, though no frame is set aside. */
TEST(promised_single_frames_are_there_whatever_others_take)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;
    pa_t frame;

    make_pool(pa_of(0x40000000), 64);
    ck_assert_int_eq(frame_pool_reserve(&pool, 0, 16, &held), MAPPING_OK);
    ck_assert_int_eq(frame_pool_alloc(&pool, 6, &frame), MAPPING_NO_FRAME);
    (void)must_alloc(5);
    ck_assert_uint_eq(drain(4), 1);
    ck_assert_uint_eq(drain(0), 0);
    ck_assert_uint_eq(frame_pool_available(&pool), 0);
    ck_assert_uint_eq(frame_pool_low_water(&pool), 0);
    ck_assert_int_eq(frame_pool_reserve(&pool, 0, 1, &held), MAPPING_NO_FRAME);
    for (size_t left = 16; left-- > 0;) {
        frame = frame_pool_take(&pool, &held);
        ck_assert(frame_pool_is_taken(&pool, frame, 0));
        ck_assert_uint_eq(frame_reserve_count(&held), left);
        ck_assert_uint_eq(pool.held, left);
        ck_assert(frame_pool_check(&pool));
    }
    ck_assert_uint_eq(frame_pool_available(&pool), 0);
}

TEST(promised_frames_that_are_given_back_can_be_had)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;
    struct frame_reserve more = FRAME_RESERVE_INIT;
    pa_t frame;

    make_pool(pa_of(0x40000000), 8);
    ck_assert_int_eq(frame_pool_reserve(&pool, 0, 8, &held), MAPPING_OK);
    frame = frame_pool_take(&pool, &held);
    frame_pool_untake(&pool, frame, 0, &held);
    ck_assert_uint_eq(frame_reserve_count(&held), 8);
    ck_assert_int_eq(frame_pool_free(&pool, frame, 0), MAPPING_BAD_STATE);
    ck_assert_int_eq(frame_pool_reserve(&pool, 0, 1, &more), MAPPING_NO_FRAME);
    ck_assert_int_eq(frame_pool_alloc(&pool, 0, &frame), MAPPING_NO_FRAME);
    frame_pool_unreserve(&pool, &held);
    ck_assert_uint_eq(frame_pool_available(&pool), 8);
    ck_assert_int_eq(frame_pool_reserve(&pool, 0, 8, &more), MAPPING_OK);
    frame_pool_unreserve(&pool, &more);
    ck_assert(pa_eq(must_alloc(3), pa_of(0x40000000)));
}

TEST_EACH(untake_all_holds_every_block_of_the_list, 3)
{
    const unsigned order = (unsigned)_i;
    struct frame_list list = FRAME_LIST_INIT;
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_pool(pa_of(0x40000000), 64);
    frame_pool_untake_all(&pool, &list, order, &held);
    ck_assert_int_eq(frame_pool_reserve(&pool, order, 2, &held), MAPPING_OK);
    for (size_t i = 0; i < 5; i++) {
        pa_t frame = must_alloc(order);

        *frame_pool_count(&pool, frame) = 3;
        frame_pool_seal(&pool, frame);
        frame_list_push(&pool, &list, frame);
    }
    frame_pool_untake_all(&pool, &list, order, &held);
    ck_assert_uint_eq(list.count, 0);
    ck_assert_uint_eq(list.head, FRAME_REF_NONE);
    ck_assert_uint_eq(frame_reserve_count(&held), 7);
    ck_assert_uint_eq(frame_pool_available(&pool), 64 - (UINT64_C(7) << order));
    ck_assert(frame_pool_check(&pool));
    for (size_t i = 0; i < 7; i++) {
        pa_t frame = frame_pool_take(&pool, &held);

        ck_assert(frame_pool_is_data(&pool, frame, FRAME << order));
        ck_assert_uint_eq(*frame_pool_count(&pool, frame), 0);
    }
    ck_assert(frame_pool_check(&pool));
}

TEST_EACH(take_sealed_is_no_data, 2)
{
    const unsigned order = (unsigned)_i;
    struct frame_reserve held = FRAME_RESERVE_INIT;
    pa_t frame;

    make_pool(pa_of(0x40000000), 64);
    ck_assert_int_eq(frame_pool_reserve(&pool, order, 1, &held), MAPPING_OK);
    frame = frame_pool_take_sealed(&pool, &held);
    ck_assert(frame_pool_is_taken(&pool, frame, order));
    ck_assert(!frame_pool_is_data(&pool, frame, FRAME));
    ck_assert_uint_eq(frame_reserve_count(&held), 0);
    ck_assert(frame_pool_check(&pool));
    must_free(frame, order);
    ck_assert(pa_eq(must_alloc(order), frame));
    ck_assert(frame_pool_is_data(&pool, frame, FRAME << order));
}

TEST(low_water_keeps_the_least_there_was)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;
    pa_t frame;

    make_pool(pa_of(0x40000000), 64);
    frame = must_alloc(4);
    ck_assert_uint_eq(frame_pool_low_water(&pool), 48);
    must_free(frame, 4);
    must_free(must_alloc(0), 0);
    ck_assert_uint_eq(frame_pool_low_water(&pool), 48);
    ck_assert_int_eq(frame_pool_reserve(&pool, 0, 20, &held), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_low_water(&pool), 44);
    (void)frame_pool_take(&pool, &held);
    frame_pool_unreserve(&pool, &held);
    ck_assert_uint_eq(frame_pool_low_water(&pool), 44);
    /* Refused, so it leaves no mark: 63 frames are there, but only one block of 32. */
    ck_assert_int_eq(frame_pool_reserve(&pool, 5, 2, &held), MAPPING_NO_FRAME);
    ck_assert_int_eq(frame_pool_reserve(&pool, 3, 8, &held), MAPPING_NO_FRAME);
    ck_assert_uint_eq(frame_pool_low_water(&pool), 44);
}

/* lists, counts, is_taken */

TEST(list_answers_last_in_first_out)
{
    struct frame_list list = FRAME_LIST_INIT;
    pa_t frames[5];
    pa_t frame = pa_of(1);

    make_pool(pa_of(0x40000000), 64);
    ck_assert(!frame_list_pop(&pool, &list, &frame));
    ck_assert(pa_eq(frame, pa_of(1)));
    for (unsigned i = 0; i < COUNT(frames); i++) {
        frames[i] = must_alloc(i % 3);
        *frame_pool_count(&pool, frames[i]) = i;
        frame_list_push(&pool, &list, frames[i]);
        ck_assert_uint_eq(list.count, i + 1);
    }
    ck_assert(frame_pool_check(&pool));
    for (unsigned i = COUNT(frames); i-- > 0;) {
        ck_assert(frame_list_pop(&pool, &list, &frame));
        ck_assert(pa_eq(frame, frames[i]));
        ck_assert_uint_eq(*frame_pool_count(&pool, frame), i);
        must_free(frame, i % 3);
    }
    ck_assert(!frame_list_pop(&pool, &list, &frame));
    ck_assert_uint_eq(list.count, 0);
    ck_assert(pa_eq(must_alloc(6), pa_of(0x40000000)));
}

TEST(list_spans_regions)
{
    struct frame_region regions[FRAME_POOL_MAX_REGIONS];
    struct frame_list list;
    pa_t frame;

    for (size_t i = 0; i < COUNT(regions); i++) {
        regions[i] = (struct frame_region){pa_of((i + 1) * MAPPING_BIT(32)), NULL, 1, infos + i};
    }
    ck_assert_int_eq(frame_pool_init(&pool, 12, regions, COUNT(regions)), MAPPING_OK);
    frame_list_init(&list);
    for (size_t i = 0; i < COUNT(regions); i++) {
        frame_list_push(&pool, &list, must_alloc(0));
    }
    ck_assert(frame_pool_check(&pool));
    for (size_t i = COUNT(regions); i > 0; i--) {
        ck_assert(frame_list_pop(&pool, &list, &frame));
        ck_assert(pa_eq(frame, pa_of(i * MAPPING_BIT(32))));
        must_free(frame, 0);
    }
    ck_assert(frame_pool_check(&pool));
}

TEST(count_of_a_block_handed_out_again_is_zero)
{
    pa_t frame;

    make_pool(pa_of(0x40000000), 1);
    frame = must_alloc(0);
    *frame_pool_count(&pool, frame) = UINT32_MAX;
    ck_assert(frame_pool_check(&pool));
    must_free(frame, 0);
    ck_assert(frame_pool_check(&pool));
    ck_assert_uint_eq(*frame_pool_count(&pool, must_alloc(0)), 0);
}

TEST(is_taken_knows_exactly_the_block)
{
    set_up_bad_frees();
    ck_assert(frame_pool_is_taken(&pool, eight, 3));
    for (size_t i = 0; i < COUNT(bad_frees); i++) {
        ck_assert_msg(!frame_pool_is_taken(&pool, pa_of(0x40000000 + bad_frees[i].offset),
                                           bad_frees[i].order),
                      "%s", bad_frees[i].what);
    }
    must_free(eight, 3);
    ck_assert(!frame_pool_is_taken(&pool, eight, 3));
}

/* ptr, covers, touches */

/* 2 frames with memory, 3 that touch them without, then a hole, then one frame at the top. */
static void make_three_regions(void)
{
    struct frame_region regions[3] = {{PA_INIT(0x40000000), page, 2, infos},
                                      {PA_INIT(0x40002000), NULL, 3, infos + 2},
                                      {PA_INIT(0xffffffffffffe000), NULL, 1, infos + 5}};

    ck_assert_int_eq(frame_pool_init(&pool, 12, regions, 3), MAPPING_OK);
}

TEST(ptr_inside_memory_is_the_byte)
{
    make_three_regions();
    ck_assert_ptr_eq(frame_pool_ptr(&pool, pa_of(0x40000000)), page);
    ck_assert_ptr_eq(frame_pool_ptr(&pool, pa_of(0x40000001)), page + 1);
    ck_assert_ptr_eq(frame_pool_ptr(&pool, pa_of(0x40001fff)), page + 0x1fff);
}

TEST(ptr_outside_memory_is_null)
{
    static const uint64_t nowhere[] = {
        0,          0x3fffffff,         0x40002000,         0x40004fff,
        0x40005000, 0xffffffffffffe000, 0xfffffffffffff000, UINT64_MAX};

    make_three_regions();
    for (size_t i = 0; i < COUNT(nowhere); i++) {
        ck_assert_ptr_null(frame_pool_ptr(&pool, pa_of(nowhere[i])));
    }
}

TEST(ptr_in_a_later_region_with_memory_is_the_byte)
{
    struct frame_region regions[2] = {{PA_INIT(0x40000000), NULL, 2, infos},
                                      {PA_INIT(0x80000000), page, 2, infos + 2}};

    ck_assert_int_eq(frame_pool_init(&pool, 12, regions, 2), MAPPING_OK);
    ck_assert_ptr_null(frame_pool_ptr(&pool, pa_of(0x40000000)));
    ck_assert_ptr_eq(frame_pool_ptr(&pool, pa_of(0x80001008)), page + 0x1008);
}

static const struct {
    uint64_t start, size;
    bool covers, touches;
} span_cases[] = {
    {0x40000000, 0, false, false},
    {0x40000000, 1, true, true},
    {0x3fffffff, 1, false, false},
    {0x3fffffff, 2, false, true},
    {0x40000000, 0x2000, true, true},
    {0x40000000, 0x5000, true, true},
    {0x40001fff, 2, true, true},
    {0x40000000, 0x5001, false, true},
    {0x40004fff, 1, true, true},
    {0x40004fff, 2, false, true},
    {0x40005000, 0x1000, false, false},
    {0, 0x40000000, false, false},
    {0, 0x40000001, false, true},
    {0x30000000, 0x20000000, false, true},
    {0x40005000, 0xffffffffbfff8fff, false, false},
    {0x40005000, 0xffffffffbfff9000, false, false},
    {0x40005000, 0xffffffffbfff9001, false, true},
    {0xffffffffffffe000, 0x1000, true, true},
    {0xffffffffffffe000, 0x1fff, false, true},
    {0xffffffffffffe000, 0x2001, false, true},
    {0xffffffffffffe000, UINT64_MAX, false, true},
    {0xfffffffffffff000, 0xfff, false, false},
    {0xfffffffffffff000, 0x1000, false, false},
    {0xfffffffffffff000, UINT64_MAX, false, false},
    {UINT64_MAX, 1, false, false},
    {UINT64_MAX, UINT64_MAX, false, false},
    {0, UINT64_MAX, false, true},
};

TEST_EACH(cover_and_touch_at_borders_are_exact, COUNT(span_cases))
{
    pa_t start = pa_of(span_cases[_i].start);

    make_three_regions();
    ck_assert_int_eq(frame_pool_covers(&pool, start, span_cases[_i].size), span_cases[_i].covers);
    ck_assert_int_eq(frame_pool_touches(&pool, start, span_cases[_i].size), span_cases[_i].touches);
}

TEST(reachable_asks_every_region)
{
    struct frame_region regions[2] = {{PA_INIT(0x80000000), page, 1, infos},
                                      {PA_INIT(0x40000000), page + FRAME, 1, infos + 1}};

    ck_assert_int_eq(frame_pool_init(&pool, 12, regions, 2), MAPPING_OK);
    ck_assert(frame_pool_is_reachable(&pool, pa_of(0x80001000)));
    ck_assert(!frame_pool_is_reachable(&pool, pa_of(0x80000fff)));
    ck_assert(!frame_pool_is_reachable(&pool, pa_of(0x40001000)));
    regions[1].memory = NULL;
    ck_assert_int_eq(frame_pool_init(&pool, 12, regions, 2), MAPPING_OK);
    ck_assert(!frame_pool_is_reachable(&pool, pa_of(0x80001000)));
}

/* seal, is_data */

TEST(sealed_block_is_no_data_until_it_is_free)
{
    make_pool(pa_of(0x40003000), 61);
    eight = must_alloc(3);
    ck_assert(frame_pool_is_data(&pool, eight, 8 * FRAME));
    frame_pool_seal(&pool, eight);
    ck_assert(frame_pool_check(&pool));
    for (uint64_t i = 0; i < 8; i++) {
        ck_assert(!frame_pool_is_data(&pool, pa_add(eight, i * FRAME), FRAME));
    }
    ck_assert(!frame_pool_is_data(&pool, pa_add(eight, 8 * FRAME - 1), 1));
    must_free(eight, 3);
    ck_assert(frame_pool_check(&pool));
    ck_assert(!frame_pool_is_data(&pool, eight, FRAME));
    ck_assert(pa_eq(must_alloc(3), eight));
    ck_assert(frame_pool_is_data(&pool, eight, 8 * FRAME));
}

TEST(untake_of_a_sealed_block_breaks_the_seal)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;
    pa_t frame;

    make_pool(pa_of(0x40000000), 64);
    ck_assert_int_eq(frame_pool_reserve(&pool, 1, 1, &held), MAPPING_OK);
    ck_assert(!frame_pool_is_data(&pool, pa_of(0x40000000), 2 * FRAME));
    frame = frame_pool_take(&pool, &held);
    frame_pool_seal(&pool, frame);
    frame_pool_untake(&pool, frame, 1, &held);
    ck_assert(frame_pool_check(&pool));
    ck_assert(pa_eq(frame_pool_take(&pool, &held), frame));
    ck_assert(frame_pool_is_data(&pool, frame, 2 * FRAME));
}

TEST(data_over_several_blocks_needs_every_frame)
{
    pa_t base = pa_of(0x40000000);

    make_pool(base, 63);
    ck_assert_uint_eq(drain(0), 63);
    ck_assert(frame_pool_is_data(&pool, base, 63 * FRAME));
    for (uint64_t i = 0; i < 63; i++) {
        pa_t frame = pa_add(base, i * FRAME);

        must_free(frame, 0);
        ck_assert(!frame_pool_is_data(&pool, base, 63 * FRAME));
        ck_assert(!frame_pool_is_data(&pool, frame, 1));
        ck_assert(frame_pool_is_data(&pool, base, i * FRAME));
        ck_assert(frame_pool_is_data(&pool, pa_add(frame, FRAME), (62 - i) * FRAME));
        ck_assert(pa_eq(must_alloc(0), frame));
    }
}

TEST(data_in_parts_of_two_frames_needs_both)
{
    pa_t first, second;

    make_pool(pa_of(0x40000000), 64);
    first = must_alloc(0);
    second = must_alloc(0);
    ck_assert(pa_eq(second, pa_add(first, FRAME)));
    ck_assert(frame_pool_is_data(&pool, pa_add(first, FRAME / 2), FRAME));
    frame_pool_seal(&pool, second);
    ck_assert(frame_pool_is_data(&pool, pa_add(first, FRAME / 2), FRAME / 2));
    ck_assert(!frame_pool_is_data(&pool, pa_add(first, FRAME / 2), FRAME / 2 + 1));
    ck_assert(!frame_pool_is_data(&pool, pa_add(first, FRAME / 2), FRAME));
    ck_assert(!frame_pool_is_data(&pool, pa_add(first, FRAME - 1), 2));
}

/* Every frame of a pool that begins and ends in the middle of a block, by what it is part of. */
TEST(data_is_told_for_every_frame_of_every_block)
{
    pa_t base = pa_of(0x40003000);
    size_t data = 0;
    size_t taken = 0;
    pa_t frame;

    make_pool(base, 61);
    for (unsigned order = 0; order < 5; order++) {
        frame = must_alloc(order);
        taken += (size_t)1 << order;
        for (uint64_t i = 0; i < MAPPING_BIT(order); i++) {
            ck_assert(frame_pool_is_data(&pool, pa_add(frame, i * FRAME), FRAME));
        }
    }
    for (uint64_t i = 0; i < 61; i++) {
        data += frame_pool_is_data(&pool, pa_add(base, i * FRAME), FRAME);
    }
    ck_assert_uint_eq(data, taken);
}

TEST(data_outside_the_pool_is_not_judged)
{
    make_three_regions();
    ck_assert(frame_pool_is_data(&pool, pa_of(0), 0x40000000));
    ck_assert(frame_pool_is_data(&pool, pa_of(0x40005000), 0x1000));
    ck_assert(frame_pool_is_data(&pool, pa_of(0xfffffffffffff000), UINT64_MAX));
    ck_assert(frame_pool_is_data(&pool, pa_of(0x40000800), 0));
    ck_assert(!frame_pool_is_data(&pool, pa_of(0), 0x40000001));
    ck_assert(!frame_pool_is_data(&pool, pa_of(0x40004fff), UINT64_MAX));
    ck_assert_uint_eq(drain(0), 6);
    ck_assert(frame_pool_is_data(&pool, pa_of(0), UINT64_MAX));
    ck_assert(frame_pool_is_data(&pool, pa_of(0x40001000), 0x2000));
}

/* split */

/* Each is a block of its own, on either side of what a turn of the lock does. */
TEST_EACH(split_block_is_given_back_in_parts, 12)
{
    const unsigned into = (unsigned)_i / 4, order = into + (unsigned)_i % 4 * 3;
    pa_t block;

    make_pool(pa_of(0x40000000), MAPPING_BIT(12));
    block = must_alloc(order);
    *frame_pool_count(&pool, block) = 7;
    frame_pool_split(&pool, block, order, into);
    ck_assert(frame_pool_check(&pool));
    ck_assert_uint_eq(*frame_pool_count(&pool, block), 7);
    for (uint64_t i = 0; i < MAPPING_BIT(order - into); i++) {
        const pa_t part = pa_add(block, i * (FRAME << into));

        ck_assert(frame_pool_is_taken(&pool, part, into));
        ck_assert_uint_eq(*frame_pool_count(&pool, part), i == 0 ? 7 : 0);
    }
    for (uint64_t i = MAPPING_BIT(order - into); i-- > 0;) {
        must_free(pa_add(block, i * (FRAME << into)), into);
    }
    ck_assert_uint_eq(frame_pool_available(&pool), MAPPING_BIT(12));
    ck_assert(frame_pool_check(&pool));
    must_free(must_alloc(12), 12);
}

/* leave */

TEST_EACH(left_block_is_free_once_nobody_has_it, 3)
{
    static const unsigned orders[] = {0, 3, 6};
    const unsigned order = orders[_i];
    const uint64_t size = FRAME << order;
    pa_t block;

    make_pool(pa_of(0x40000000), 64);
    block = must_alloc(order);
    ck_assert_int_eq(frame_pool_leave(&pool, block, order), MAPPING_OK); /* nobody has it */
    ck_assert_uint_eq(frame_pool_available(&pool), 64);
    block = must_alloc(order);
    ck_assert_int_eq(frame_pool_count_mapping(&pool, block, size), MAPPING_OK);
    ck_assert_int_eq(frame_pool_count_mapping(&pool, block, FRAME), MAPPING_OK);
    ck_assert_int_eq(frame_pool_leave(&pool, block, order + 1), MAPPING_BAD_STATE);
    ck_assert_int_eq(frame_pool_leave(&pool, block, order), MAPPING_OK);
    ck_assert_int_eq(frame_pool_leave(&pool, block, order), MAPPING_BAD_STATE);
    ck_assert_int_eq(frame_pool_free(&pool, block, order), MAPPING_BAD_STATE);
    ck_assert(frame_pool_is_data(&pool, block, size) && frame_pool_check(&pool));
    ck_assert_int_eq(frame_pool_count_mapping(&pool, block, size), MAPPING_OK);
    frame_pool_drop_mapping(&pool, block, size);
    frame_pool_drop_mapping(&pool, block, size);
    ck_assert_uint_eq(frame_pool_available(&pool), 64 - MAPPING_BIT(order));
    ck_assert(frame_pool_check(&pool));
    frame_pool_drop_mapping(&pool, block, FRAME);
    ck_assert_uint_eq(frame_pool_available(&pool), 64);
    ck_assert(frame_pool_check(&pool) && !frame_pool_is_data(&pool, block, FRAME));
    must_free(must_alloc(6), 6);
    ck_assert_int_eq(frame_pool_leave(&pool, pa_of(0x80000000), 0), MAPPING_BAD_STATE);
}

/* What lies next to each other goes one by one. */
TEST(left_blocks_of_one_range_are_all_freed)
{
    pa_t block;

    make_pool(pa_of(0x40000000), 64);
    block = must_alloc(5);
    frame_pool_split(&pool, block, 5, 0);
    ck_assert_int_eq(frame_pool_count_mapping(&pool, block, 32 * FRAME), MAPPING_OK);
    for (uint64_t i = 0; i < 32; i += 2) {
        ck_assert_int_eq(frame_pool_leave(&pool, pa_add(block, i * FRAME), 0), MAPPING_OK);
    }
    frame_pool_drop_mapping(&pool, block, 32 * FRAME);
    ck_assert_uint_eq(frame_pool_available(&pool), 32 + 16);
    ck_assert(frame_pool_check(&pool));
    for (uint64_t i = 1; i < 32; i += 2) {
        must_free(pa_add(block, i * FRAME), 0);
    }
}

TEST_EACH_DIES(split_of_what_is_no_block_to_split_dies, 4)
{
    pa_t block;

    make_pool(pa_of(0x40000000), 64);
    block = must_alloc(3);
    switch (_i) {
    case 0: /* another order */
        frame_pool_split(&pool, block, 2, 0);
        break;
    case 1: /* larger parts than the whole */
        frame_pool_split(&pool, block, 3, 4);
        break;
    case 2: /* a guest has some of it */
        ck_assert_int_eq(frame_pool_count_mapping(&pool, block, FRAME), MAPPING_OK);
        frame_pool_split(&pool, block, 3, 0);
        break;
    default: /* inside */
        frame_pool_split(&pool, pa_add(block, FRAME), 0, 0);
        break;
    }
}

/* The caller's bugs. */

TEST_DIES(take_from_an_empty_reserve_dies)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_pool(pa_of(0x40000000), 64);
    (void)frame_pool_take(&pool, &held);
}

TEST_DIES(take_sealed_from_an_empty_reserve_dies)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;

    make_pool(pa_of(0x40000000), 64);
    (void)frame_pool_take_sealed(&pool, &held);
}

TEST_DIES(untake_of_a_free_frame_dies)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;
    pa_t frame;

    make_pool(pa_of(0x40000000), 64);
    frame = must_alloc(0);
    must_free(frame, 0);
    frame_pool_untake(&pool, frame, 0, &held);
}

TEST_DIES(untake_of_a_frame_inside_a_block_dies)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;

    set_up_bad_frees();
    frame_pool_untake(&pool, pa_add(eight, FRAME), 0, &held);
}

TEST_DIES(untake_all_of_a_block_freed_on_its_list_dies)
{
    struct frame_list list = FRAME_LIST_INIT;
    struct frame_reserve held = FRAME_RESERVE_INIT;
    pa_t frame;

    make_pool(pa_of(0x40000000), 64);
    frame = must_alloc(0);
    frame_list_push(&pool, &list, frame);
    must_free(frame, 0);
    frame_pool_untake_all(&pool, &list, 0, &held);
}

TEST_DIES(untake_of_another_order_dies)
{
    set_up_bad_frees();
    frame_pool_untake(&pool, eight, 2, &four);
}

TEST_DIES(untake_into_a_reserve_of_another_order_dies)
{
    set_up_bad_frees();
    frame_pool_untake(&pool, eight, 3, &four);
}

TEST_DIES(untake_of_a_free_block_dies)
{
    struct frame_reserve held = FRAME_RESERVE_INIT;

    set_up_bad_frees();
    must_free(eight, 3);
    frame_pool_untake(&pool, eight, 3, &held);
}

TEST_DIES(seal_of_a_free_frame_dies)
{
    make_pool(pa_of(0x40000000), 64);
    frame_pool_seal(&pool, pa_of(0x40000000));
}

TEST_DIES(count_of_a_free_frame_dies)
{
    make_pool(pa_of(0x40000000), 64);
    (void)frame_pool_count(&pool, pa_of(0x40000000));
}

TEST_DIES(count_of_a_frame_inside_a_block_dies)
{
    set_up_bad_frees();
    (void)frame_pool_count(&pool, pa_add(eight, FRAME));
}

TEST_DIES(push_of_a_foreign_frame_dies)
{
    struct frame_list list = FRAME_LIST_INIT;

    make_pool(pa_of(0x40000000), 64);
    frame_list_push(&pool, &list, pa_of(0x80000000));
}

TEST_DIES(pop_of_a_block_freed_on_its_list_dies)
{
    struct frame_list list = FRAME_LIST_INIT;
    pa_t frame;

    set_up_bad_frees();
    frame_list_push(&pool, &list, eight);
    must_free(eight, 3);
    (void)!frame_list_pop(&pool, &list, &frame);
}
