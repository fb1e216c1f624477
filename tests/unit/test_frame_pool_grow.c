/*
 * test_frame_pool_grow.c - pools that gain regions while they are used, and tables on them.
 */
#include "core/frame_guard.h"
#include "core/frame_pool.h"
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define SUITE "frame_pool_grow"

#define FRAME UINT64_C(4096)
#define FRAMES 64

static struct frame_pool pool;
static struct frame_info infos[FRAME_POOL_MAX_REGIONS + 1][FRAMES];

static struct frame_region region_at(size_t number)
{
    return (struct frame_region){pa_of(GIB(1) * (number + 1)), NULL, FRAMES, infos[number]};
}

static void start(void)
{
    struct frame_region first = region_at(0);

    ck_assert_int_eq(frame_pool_init(&pool, 12, &first, 1), MAPPING_OK);
}

#undef SETUP
#define SETUP start

TEST(add_of_free_frames_makes_them_available)
{
    const struct frame_region more = region_at(1);
    pa_t frame;

    ck_assert_int_eq(frame_pool_alloc(&pool, 6, &frame), MAPPING_OK);
    ck_assert_int_eq(frame_pool_alloc(&pool, 0, &frame), MAPPING_NO_FRAME);
    ck_assert_int_eq(frame_pool_add_region(&pool, &more, FRAME_REGION_FREE), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&pool), FRAMES);
    ck_assert_int_eq(frame_pool_alloc(&pool, 6, &frame), MAPPING_OK);
    ck_assert(pa_eq(frame, more.base));
    ck_assert(frame_pool_is_data(&pool, frame, FRAME) && frame_pool_covers(&pool, frame, FRAME));
    ck_assert(!frame_pool_is_near(&pool, frame) && frame_pool_is_near(&pool, pa_of(GIB(1))));
    ck_assert(frame_pool_check(&pool));
}

/* Every seventh frame is the pool's: scattered, or of one colour. */
TEST(add_of_taken_frames_lets_a_pool_grow_and_shrink_by_any_of_them)
{
    const struct frame_region bank = region_at(1);
    size_t given = 0;
    pa_t frame;

    ck_assert_int_eq(frame_pool_add_region(&pool, &bank, FRAME_REGION_TAKEN), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&pool), FRAMES);
    ck_assert(frame_pool_is_taken(&pool, bank.base, 0));
    ck_assert(frame_pool_check(&pool));
    for (uint64_t i = 0; i < FRAMES; i += 7) {
        ck_assert_int_eq(frame_pool_free(&pool, pa_add(bank.base, i * FRAME), 0), MAPPING_OK);
        given++;
        ck_assert_uint_eq(frame_pool_available(&pool), FRAMES + given);
    }
    ck_assert_int_eq(frame_pool_free(&pool, bank.base, 0), MAPPING_BAD_STATE);
    ck_assert(frame_pool_check(&pool));
    for (size_t i = 0; i < FRAMES + given; i++) {
        ck_assert_int_eq(frame_pool_alloc(&pool, 0, &frame), MAPPING_OK);
        ck_assert(pa_lt(frame, bank.base) || pa_distance(bank.base, frame) / FRAME % 7 == 0);
    }
    ck_assert_int_eq(frame_pool_alloc(&pool, 0, &frame), MAPPING_NO_FRAME);
    ck_assert(frame_pool_check(&pool));
}

/* --- Refusals --------------------------------------------------------------------------------- */

static unsigned char memory[2][16 * 4096] __attribute__((aligned(65536)));

/* Each is bad beside region 0, and memory[0] with the first infos of row 1. */
static const struct {
    const char *name;
    struct frame_region region;
} bad[] = {
    {"no frames", {PA_INIT(GIB(4)), NULL, 0, infos[2]}},
    {"no infos", {PA_INIT(GIB(4)), NULL, 4, NULL}},
    {"misaligned", {PA_INIT(GIB(4) + 1), NULL, 4, infos[2]}},
    {"memory misaligned", {PA_INIT(GIB(4)), memory[1] + 8, 4, infos[2]}},
    {"wraps", {PA_INIT(UINT64_MAX - FRAME + 1), NULL, 4, infos[2]}},
    {"there already", {PA_INIT(GIB(1)), NULL, FRAMES, infos[2]}},
    {"a frame is there", {PA_INIT(GIB(1) + (FRAMES - 1) * FRAME), NULL, 4, infos[2]}},
    {"around one", {PA_INIT(GIB(1) - FRAME), NULL, FRAMES + 2, infos[2]}},
    {"infos in use", {PA_INIT(GIB(4)), NULL, 4, &infos[0][FRAMES - 1]}},
    {"memory in use", {PA_INIT(GIB(4)), memory[0] + 4096, 4, infos[2]}},
    {"infos inside of memory", {PA_INIT(GIB(4)), NULL, 4, (struct frame_info *)(void *)memory[0]}},
};

TEST_EACH(add_of_a_bad_region_changes_nothing, COUNT(bad))
{
    const struct frame_region other = {PA_INIT(GIB(2)), memory[0], 16, infos[1]};
    struct frame_pool before;

    ck_assert_int_eq(frame_pool_add_region(&pool, &other, FRAME_REGION_FREE), MAPPING_OK);
    before = pool;
    ck_assert_int_eq(frame_pool_add_region(&pool, &bad[_i].region, FRAME_REGION_FREE),
                     MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(frame_pool_available(&pool), frame_pool_available(&before));
    ck_assert_uint_eq(frame_region_count(&pool), 2);
    ck_assert(frame_pool_check(&pool));
}

TEST(add_of_one_region_too_many_is_refused)
{
    struct frame_region region;
    const struct frame_region spare = region_at(1);

    ck_assert_int_eq(frame_pool_add_region(&pool, &spare, (enum frame_region_state)2),
                     MAPPING_INVALID_PARAM);
    for (size_t i = 1; i < FRAME_POOL_MAX_REGIONS; i++) {
        region = region_at(i);
        ck_assert_int_eq(frame_pool_add_region(&pool, &region, FRAME_REGION_FREE), MAPPING_OK);
    }
    region = region_at(FRAME_POOL_MAX_REGIONS);
    ck_assert_int_eq(frame_pool_add_region(&pool, &region, FRAME_REGION_FREE), MAPPING_NO_NODE);
    ck_assert_uint_eq(frame_pool_available(&pool), FRAME_POOL_MAX_REGIONS * FRAMES);
    ck_assert(frame_pool_check(&pool));
}

/* --- Guards ----------------------------------------------------------------------------------- */

TEST(guard_follows_a_pool_that_has_grown)
{
    const struct frame_region more = region_at(1), third = region_at(2);
    struct frame_guard_range ranges[3];
    struct frame_guard guard;

    frame_guard_init(&guard, ranges, 3);
    ck_assert_int_eq(frame_guard_add_pool(&guard, &pool), MAPPING_OK);
    ck_assert_int_eq(frame_guard_follow_pool(&guard, &pool), MAPPING_OK);
    ck_assert_int_eq(frame_pool_add_region(&pool, &more, FRAME_REGION_FREE), MAPPING_OK);
    ck_assert(frame_guard_is_data(&guard, NULL, more.base, FRAME));
    ck_assert_int_eq(frame_guard_follow_pool(&guard, &pool), MAPPING_OK);
    ck_assert(!frame_guard_is_data(&guard, NULL, more.base, FRAME));
    ck_assert_uint_eq(guard.count, 2);
    /* Nothing of it stays where there is no room for all. */
    ck_assert_int_eq(frame_guard_forbid(&guard, pa_of(0), FRAME), MAPPING_OK);
    ck_assert_int_eq(frame_pool_add_region(&pool, &third, FRAME_REGION_FREE), MAPPING_OK);
    ck_assert_int_eq(frame_guard_follow_pool(&guard, &pool), MAPPING_NO_NODE);
    ck_assert_uint_eq(guard.count, 3);
    ck_assert(frame_guard_is_data(&guard, NULL, third.base, FRAME));
    ck_assert(!frame_guard_is_data(&guard, NULL, more.base, FRAME));
}

TEST(guard_that_cannot_follow_takes_back_what_it_added)
{
    const struct frame_region more = region_at(1), third = region_at(2);
    struct frame_guard_range ranges[3];
    struct frame_guard guard;

    frame_guard_init(&guard, ranges, 3);
    ck_assert_int_eq(frame_guard_forbid(&guard, third.base, FRAME), MAPPING_OK);
    ck_assert_int_eq(frame_guard_add_pool(&guard, &pool), MAPPING_OK);
    ck_assert_int_eq(frame_pool_add_region(&pool, &more, FRAME_REGION_FREE), MAPPING_OK);
    ck_assert_int_eq(frame_pool_add_region(&pool, &third, FRAME_REGION_FREE), MAPPING_OK);
    ck_assert_int_eq(frame_guard_follow_pool(&guard, &pool), MAPPING_ALREADY_EXISTS);
    ck_assert_uint_eq(guard.count, 2);
    ck_assert(frame_guard_is_data(&guard, NULL, more.base, FRAME));
    ck_assert(!frame_guard_is_data(&guard, NULL, pa_of(GIB(1)), FRAME));
}

/* --- Others are about ------------------------------------------------------------------------- */

static atomic_bool is_over;
static atomic_uint mistakes;

/* Whatever is found is complete. */
static void *look_and_allocate(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over)) {
        pa_t frame;

        if (frame_pool_alloc(&pool, 0, &frame) == MAPPING_OK) {
            mistakes += !frame_pool_covers(&pool, frame, FRAME);
            mistakes += *frame_pool_count(&pool, frame) != 0;
            mistakes += frame_pool_free(&pool, frame, 0) != MAPPING_OK;
        }
        for (size_t i = 0; i < FRAME_POOL_MAX_REGIONS; i++) {
            mistakes += frame_pool_covers(&pool, pa_of(GIB(1) * (i + 1)), FRAMES * FRAME) &&
                        frame_pool_covers(&pool, pa_of(GIB(1) * (i + 1)), (FRAMES + 1) * FRAME);
        }
    }
    return NULL;
}

TEST(add_while_others_allocate_leaves_the_pool_whole)
{
    pthread_t thread;

    for (unsigned round = 0; round < 50; round++) {
        start();
        atomic_store(&is_over, false);
        ck_assert_int_eq(pthread_create(&thread, NULL, look_and_allocate, NULL), 0);
        for (size_t i = 1; i < FRAME_POOL_MAX_REGIONS; i++) {
            const struct frame_region region = region_at(i);

            ck_assert_int_eq(
                frame_pool_add_region(&pool, &region,
                                      (i & 1) != 0 ? FRAME_REGION_FREE : FRAME_REGION_TAKEN),
                MAPPING_OK);
        }
        atomic_store(&is_over, true);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_uint_eq(mistakes, 0);
        ck_assert(frame_pool_check(&pool));
        ck_assert_uint_eq(frame_pool_available(&pool), FRAMES * (1 + FRAME_POOL_MAX_REGIONS / 2));
    }
}

/* --- Tables ----------------------------------------------------------------------------------- */

static unsigned char far[FRAMES * 4096] __attribute__((aligned(65536)));
static unsigned char near[8 * 4096] __attribute__((aligned(65536)));

/* Pages 2 MiB apart take a table each: the pool's first region is soon at its end. */
TEST(table_goes_on_in_a_region_that_was_added_later)
{
    const struct s2_features cpu = {
        .pa_bits = 48, .granule_4k = S2_GRANULE_48_BITS, .vmid_bits = 8, .dcache_line = 64};
    const struct s2_config config = {.cpu = &cpu, .granule = S2_GRANULE_4K, .ipa_bits = 40};
    struct frame_region first = {PA_INIT(0x80000000), near, 8, infos[0]};
    const struct frame_region more = {PA_INIT(0x900000000), far, FRAMES, infos[1]};
    struct s2_table table;
    uint64_t count = 0;

    sim_reset();
    ck_assert_int_eq(frame_pool_init(&pool, 12, &first, 1), MAPPING_OK);
    ck_assert_int_eq(s2_table_init(&table, &config, &pool), MAPPING_OK);
    s2_table_set_vmid(&table, 1);
    for (; count < 32; count++) {
        const struct ipa_range page = ipa_range(GIB(1) + count * MIB(2), FRAME);
        enum mapping_error error =
            s2_table_map(&table, page, pa_of(GIB(64) + count * FRAME), RIG_RW);

        if (error == MAPPING_NO_FRAME) {
            ck_assert_uint_eq(frame_region_count(&pool), 1);
            ck_assert_int_eq(frame_pool_add_region(&pool, &more, FRAME_REGION_FREE), MAPPING_OK);
            error = s2_table_map(&table, page, pa_of(GIB(64) + count * FRAME), RIG_RW);
        }
        ck_assert_int_eq(error, MAPPING_OK);
    }
    ck_assert_uint_eq(frame_region_count(&pool), 2);
    for (uint64_t i = 0; i < count; i++) {
        const ipa_t at = ipa_of(GIB(1) + i * MIB(2));
        struct s2_leaf leaf;
        pa_t pa;

        ck_assert(s2_table_translate(&table, at, &pa) && pa_eq(pa, pa_of(GIB(64) + i * FRAME)));
        ck_assert_int_eq(s2_table_lookup(&table, at, &leaf), MAPPING_OK);
        ck_assert(pa_eq(leaf.pa, pa) && leaf.level == 3);
        ck_assert_int_eq(s2_table_protect(&table, ipa_range(GIB(1) + i * MIB(2), FRAME), S2_READ),
                         MAPPING_OK);
    }
    ck_assert(s2_table_check(&table));
    ck_assert_int_eq(s2_table_unmap(&table, ipa_range(GIB(1), MIB(64))), MAPPING_OK);
    ck_assert_int_eq(s2_table_fini(&table), MAPPING_OK);
    ck_assert_uint_eq(frame_pool_available(&pool), 8 + FRAMES);
    ck_assert(frame_pool_check(&pool));
}
