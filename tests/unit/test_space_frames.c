/*
 * test_space_frames.c - frames of pools as guests' memory: none shows what it held before, none
 * goes back while a guest has it, and no pool of the machine is shown what is not data.
 */
#define _POSIX_C_SOURCE 200809L /* nanosleep() */

#include "stage2/space/batch.h"
#include "stage2/space/step.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SUITE "space_frames"

#define PAGE KIB(4)
#define AT GIB(1)

static struct guest guest;

static pa_t take(unsigned order)
{
    pa_t frame = pa_of(0);

    MUST(frame_pool_alloc(&guest.rig.pool, order, &frame));
    return frame;
}

static enum mapping_error give(pa_t frame, unsigned order)
{
    return frame_pool_free(&guest.rig.pool, frame, order);
}

static enum mapping_error show(uint64_t ipa, uint64_t size, pa_t pa)
{
    return s2_space_map_linear(&guest.space, ipa_range(ipa, size), pa, RIG_RW);
}

static void start(void)
{
    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, 0);
}

static void stop(void)
{
    monitor_quiesce(guest.rig.monitor);
    ck_assert(s2_space_check(&guest.space));
    ck_assert(frame_pool_check(&guest.rig.pool));
    guest_fini(&guest);
}

/* A pool of so many frames, without memory. */
static struct frame_info small_infos[8];
static struct frame_pool small;

static void init_small(uint64_t pa, size_t count)
{
    struct frame_region region = {pa_of(pa), NULL, count, small_infos};

    MUST(frame_pool_init(&small, 12, &region, 1));
}

/* --- What frames held ------------------------------------------------------------------------ */

/* Alice's 2 MiB, by pages: a table full of descriptors. It is gone, and its frame becomes Bob's. */
TEST(frame_of_a_guest_shows_nothing_of_what_it_held)
{
    const size_t frames = guest_setup().frame_count;
    size_t taken = 0;

    guest_init(&guest, guest_setup(), GUEST_NODES, 0);
    MUST(s2_space_map_linear(&guest.space, ipa_range(AT, MIB(2)), pa_of(RIG_DATA),
                             RIG_RW | S2_CAP_PAGES));
    guest_unmap(&guest, AT, MIB(2));
    for (; taken < frames; taken++) {
        const uint64_t *words;
        pa_t frame;

        if (frame_pool_alloc_zeroed(&guest.rig.pool, 0, &frame) != MAPPING_OK) {
            break;
        }
        words = frame_pool_ptr(&guest.rig.pool, frame);
        for (size_t i = 0; i < PAGE / sizeof(uint64_t); i++) {
            ck_assert_uint_eq(words[i], 0);
        }
        if (taken == 0) { /* and what was zeroed is in memory before he can look past the caches */
            sim_clear();
            MUST(show(GIB(2), PAGE, frame));
            ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), PAGE / GUEST_LINE);
            ck_assert_uint_lt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_PUBLISH, 0));
            guest_unmap(&guest, GIB(2), PAGE);
        }
        MUST(give(frame, 0));
        (void)take(0); /* so that the next is another */
    }
    ck_assert_uint_gt(taken, 8);
    rig_leave(&guest.rig, frame_pool_available(&guest.rig.pool));
    rig_unwatch(&guest.rig);
    MUST(s2_space_fini(&guest.space));
}

TEST(zeroed_frame_without_memory_is_unsupported_and_not_taken)
{
    pa_t frame = pa_of(1);

    init_small(GIB(1), 4);
    ck_assert_int_eq(frame_pool_alloc_zeroed(&small, 1, &frame), MAPPING_UNSUPPORTED);
    ck_assert(pa_eq(frame, pa_of(1)));
    ck_assert_uint_eq(frame_pool_available(&small), 4);
    ck_assert_int_eq(frame_pool_alloc_zeroed(&small, 3, &frame), MAPPING_NO_FRAME);
    ck_assert(frame_pool_check(&small));
}

/* --- What a guest has ------------------------------------------------------------------------ */

/* As long as it may be reached: up to the end of the batch that takes it away. */
TEST_EACH(frame_that_is_not_flushed_yet_cannot_be_freed, 2)
{
    struct s2_batch batch = S2_BATCH_INIT;
    pa_t frame;

    guest_init(&guest, _i == 0 ? guest_setup_fwb() : guest_setup(), GUEST_NODES, 0);
    frame = take(0);
    MUST(show(AT, PAGE, frame));
    s2_batch_begin(&batch);
    MUST(s2_batch_unmap(&batch, &guest.space, ipa_range(AT, PAGE)));
    ck_assert_int_eq(give(frame, 0), MAPPING_BAD_STATE);
    s2_batch_end(&batch);
    MUST(give(frame, 0));
    stop();
}

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

/* A block is free when the last of its frames is, whichever way and in whatever pieces they went;
 * one that is mapped twice, when both are. */
TEST(block_is_free_when_the_last_mapping_of_any_of_its_frames_is_gone)
{
    struct s2_cursor cursor = s2_cursor(ipa_range(GIB(2), 8 * PAGE));
    const pa_t block = take(3);

    MUST(show(AT, 8 * PAGE, block));
    MUST(show(GIB(2), 4 * PAGE, pa_add(block, 4 * PAGE)));
    guest_unmap(&guest, AT + 2 * PAGE, PAGE);
    guest_unmap(&guest, AT, 8 * PAGE);
    ck_assert_int_eq(give(block, 3), MAPPING_BAD_STATE);
    MUST(s2_space_protect(&guest.space, ipa_range(GIB(2), PAGE), S2_READ));
    MUST(s2_space_fold(&guest.space, ipa_range(GIB(2), MIB(2))));
    ck_assert_int_eq(give(block, 3), MAPPING_BAD_STATE);
    while (!s2_cursor_is_done(&cursor)) {
        ck_assert_int_eq(give(block, 3), MAPPING_BAD_STATE);
        MUST(s2_space_unmap_step(&guest.space, &cursor, 1));
    }
    MUST(give(block, 3));
}

TEST(replaced_frame_is_free_and_the_new_one_is_not)
{
    const pa_t old = take(0), new = take(0);

    MUST(show(AT, PAGE, old));
    MUST(s2_space_replace_linear(&guest.space, ipa_range(AT, PAGE), new, RIG_RW));
    MUST(give(old, 0));
    ck_assert_int_eq(give(new, 0), MAPPING_BAD_STATE);
    MUST(s2_space_replace_linear(&guest.space, ipa_range(AT, PAGE), new, S2_READ)); /* by itself */
    ck_assert_int_eq(give(new, 0), MAPPING_BAD_STATE);
    guest_unmap(&guest, AT, PAGE);
    MUST(give(new, 0));
}

/* A map that is refused, for whatever reason, leaves the frame free to go: no node, no frame for a
 * table, behind it a frame that was not handed out, an area that is there. */
static const struct {
    size_t nodes, left, pages;
    bool is_there;
    enum mapping_error error;
} refused[] = {
    {0, 20, 1, false, MAPPING_NO_NODE},
    {GUEST_NODES, 0, 1, false, MAPPING_NO_FRAME},
    {GUEST_NODES, 20, 63, false, MAPPING_DENIED},
    {GUEST_NODES, 20, 1, true, MAPPING_ALREADY_EXISTS},
};

#undef SETUP
#define SETUP NULL
#undef TEARDOWN
#define TEARDOWN NULL

TEST_EACH(frame_of_a_refused_map_can_be_freed, COUNT(refused))
{
    pa_t frame;

    guest_init(&guest, guest_setup_fwb(), refused[_i].nodes, 0);
    frame = take(0);
    if (refused[_i].is_there) {
        MUST(show(AT, PAGE, pa_of(RIG_DATA)));
    }
    rig_leave(&guest.rig, refused[_i].left);
    ck_assert_int_eq(show(AT, refused[_i].pages * PAGE, frame), refused[_i].error);
    MUST(give(frame, 0));
    stop();
}

/* The end of a guest, whole or in steps. Its memory is its owner's again then. */
TEST_EACH(frames_of_a_guest_that_ended_can_be_freed, 4)
{
    bool is_done = false;
    pa_t block;

    guest_init(&guest, _i / 2 == 0 ? guest_setup_fwb() : guest_setup(), GUEST_NODES, 0);
    block = take(2);
    MUST(show(AT, 4 * PAGE, block));
    MUST(show(GIB(2), PAGE, block));
    rig_dismiss(&guest.rig, s2_space_table(&guest.space));
    while (!is_done) {
        ck_assert_int_eq(give(block, 2), MAPPING_BAD_STATE);
        MUST(s2_space_fini_step(&guest.space, _i % 2 == 0 ? 1 : S2_STEP_ALL, &is_done));
    }
    MUST(give(block, 2));
    ck_assert_uint_eq(frame_pool_available(&guest.rig.pool), guest.rig.setup.frame_count);
    rig_fini_machine(&guest.rig);
}

/* --- All pools of the machine ---------------------------------------------------------------- */

#define THEIRS UINT64_C(0x2000000000)
#define IMAGE UINT64_C(0x3000000000)

static struct frame_guard guard;
static struct frame_guard_range ranges[4];
static struct frame_pool theirs; /* another pool, of which other guests' tables come */
static struct frame_info their_infos[2][16];

static void init_theirs(size_t regions)
{
    struct frame_region all[] = {{pa_of(THEIRS), NULL, 16, their_infos[0]},
                                 {pa_of(THEIRS + MIB(1)), NULL, 16, their_infos[1]}};

    MUST(frame_pool_init(&theirs, 12, all, regions));
}

static void start_guarded(void)
{
    struct rig_setup setup = guest_setup_fwb();

    frame_guard_init(&guard, ranges, 4);
    init_theirs(2);
    setup.config.guard = &guard;
    guest_init(&guest, setup, GUEST_NODES, 0);
    MUST(frame_guard_forbid(&guard, pa_of(IMAGE), MIB(1)));
    MUST(frame_guard_add_pool(&guard, &theirs));
    MUST(frame_guard_add_pool(&guard, &guest.rig.pool)); /* its own, too: counted once */
}

#undef SETUP
#define SETUP start_guarded
#undef TEARDOWN
#define TEARDOWN stop

TEST(frame_of_any_pool_that_is_no_data_is_denied)
{
    pa_t table, data, own;

    MUST(frame_pool_alloc(&theirs, 0, &table));
    MUST(frame_pool_alloc(&theirs, 0, &data));
    frame_pool_seal(&theirs, table);
    ck_assert_int_eq(show(AT, PAGE, table), MAPPING_DENIED);
    ck_assert_int_eq(show(AT, 2 * PAGE, table), MAPPING_DENIED);
    ck_assert_int_eq(show(AT, PAGE, pa_of(THEIRS + 8 * PAGE)), MAPPING_DENIED); /* free */
    ck_assert_int_eq(show(AT, 2 * PAGE, pa_of(THEIRS + MIB(1) - PAGE)), MAPPING_DENIED);
    ck_assert_int_eq(show(AT, 2 * PAGE, pa_of(IMAGE - PAGE)), MAPPING_DENIED);
    ck_assert_int_eq(show(AT, PAGE, pa_of(IMAGE + MIB(1) - PAGE)), MAPPING_DENIED);
    MUST(show(AT, PAGE, pa_of(IMAGE + MIB(1))));
    guest_unmap(&guest, AT, PAGE);
    MUST(show(AT, PAGE, data));
    ck_assert_int_eq(frame_pool_free(&theirs, data, 0), MAPPING_BAD_STATE);
    ck_assert(s2_space_check(&guest.space));
    guest_unmap(&guest, AT, PAGE);
    MUST(frame_pool_free(&theirs, data, 0));
    own = take(0);
    MUST(show(AT, PAGE, own));
    ck_assert_int_eq(give(own, 0), MAPPING_BAD_STATE);
    guest_unmap(&guest, AT, PAGE);
    MUST(give(own, 0)); /* once and not twice */
    ck_assert(frame_pool_check(&theirs));
}

/* Half of what is to be shown is data of another pool, and half is not: neither is counted. */
TEST(map_that_is_denied_midway_counts_nothing)
{
    pa_t block;

    MUST(frame_pool_alloc(&theirs, 4, &block)); /* all of a region */
    MUST(show(AT, 17 * PAGE, block));           /* and a page behind it, which is nobody's */
    guest_unmap(&guest, AT, 17 * PAGE);
    MUST(frame_pool_free(&theirs, block, 4));
    MUST(frame_pool_alloc(&theirs, 3, &block));
    ck_assert_int_eq(show(AT, 9 * PAGE, block), MAPPING_DENIED);
    MUST(frame_pool_free(&theirs, block, 3));
}

#undef SETUP
#define SETUP NULL
#undef TEARDOWN
#define TEARDOWN NULL

TEST(guard_refuses_what_it_cannot_keep)
{
    frame_guard_init(&guard, ranges, 2);
    init_small(PAGE, 1);
    ck_assert_int_eq(frame_guard_forbid(&guard, pa_of(PAGE), 0), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(frame_guard_forbid(&guard, pa_of(UINT64_MAX - PAGE), 2 * PAGE),
                     MAPPING_INVALID_PARAM);
    MUST(frame_guard_add_pool(&guard, &small));
    ck_assert_int_eq(frame_guard_add_pool(&guard, &small), MAPPING_ALREADY_EXISTS);
    ck_assert_int_eq(frame_guard_forbid(&guard, pa_of(0), PAGE + 1), MAPPING_ALREADY_EXISTS);
    ck_assert_int_eq(frame_guard_forbid(&guard, pa_of(2 * PAGE - 1), 1), MAPPING_ALREADY_EXISTS);
    MUST(frame_guard_forbid(&guard, pa_of(0), PAGE));
    ck_assert_int_eq(frame_guard_forbid(&guard, pa_of(GIB(1)), PAGE), MAPPING_NO_NODE);
    ck_assert(!frame_guard_is_data(&guard, NULL, pa_of(PAGE - 1), 1));
    ck_assert(frame_guard_is_data(&guard, NULL, pa_of(2 * PAGE), GIB(1)));
}

/* A pool of two regions of which there is room for one. */
TEST(guard_without_room_for_all_of_a_pool_keeps_none_of_it)
{
    frame_guard_init(&guard, ranges, 2);
    init_theirs(2);
    MUST(frame_guard_forbid(&guard, pa_of(IMAGE), MIB(1)));
    ck_assert_int_eq(frame_guard_add_pool(&guard, &theirs), MAPPING_NO_NODE);
    ck_assert(!frame_guard_has_frames(&guard, NULL, pa_of(0), UINT64_MAX));
    MUST(frame_guard_forbid(&guard, pa_of(THEIRS), PAGE));
}

/* --- The pool's own rules -------------------------------------------------------------------- */

/* A range that begins inside a block ends that many frames sooner in it. */
TEST(range_from_inside_a_block_is_judged_to_its_own_end)
{
    pa_t block, table;

    init_small(GIB(1), 8);
    MUST(frame_pool_alloc(&small, 2, &block));
    MUST(frame_pool_alloc(&small, 0, &table));
    ck_assert(pa_eq(table, pa_add(block, 4 * PAGE)));
    frame_pool_seal(&small, table);
    for (uint64_t first = 0; first < 4; first++) {
        const pa_t start_pa = pa_add(block, first * PAGE);

        ck_assert(frame_pool_is_data(&small, start_pa, (4 - first) * PAGE));
        ck_assert(!frame_pool_is_data(&small, start_pa, (5 - first) * PAGE));
        MUST(frame_pool_count_mapping(&small, start_pa, (4 - first) * PAGE));
        ck_assert_int_eq(frame_pool_count_mapping(&small, start_pa, (5 - first) * PAGE),
                         MAPPING_DENIED);
        ck_assert(frame_pool_is_mapped(&small, start_pa, (4 - first) * PAGE));
        frame_pool_drop_mapping(&small, start_pa, (4 - first) * PAGE);
    }
    MUST(frame_pool_free(&small, block, 2));
    ck_assert(frame_pool_check(&small));
}

/* A count that would not fit is refused, and one less is not. */
TEST(frame_is_mapped_as_often_as_can_be_counted)
{
    pa_t block;

    init_small(GIB(1), 2);
    MUST(frame_pool_alloc(&small, 1, &block));
    MUST(frame_pool_count_mapping(&small, block, 2 * PAGE));
    small_infos[0].prev -= FRAME_MAPPED_MAX - 3; /* as after so many more */
    ck_assert_int_eq(frame_pool_count_mapping(&small, block, 2 * PAGE), MAPPING_DENIED);
    MUST(frame_pool_count_mapping(&small, block, PAGE));
    ck_assert_int_eq(frame_pool_count_mapping(&small, block, PAGE), MAPPING_DENIED);
    ck_assert(frame_pool_check(&small));
    ck_assert_int_eq(frame_pool_free(&small, block, 1), MAPPING_BAD_STATE);
}

/* Whoever looks at a block under the lock sees it sealed or not, and nothing between. */
static _Atomic bool is_sealed;

static void *seal_it(void *arg)
{
    frame_pool_seal(&theirs, *(pa_t *)arg);
    atomic_store(&is_sealed, true);
    return NULL;
}

TEST(seal_waits_for_the_lock)
{
    pthread_t other;
    pa_t frame;

    init_theirs(1);
    MUST(frame_pool_alloc(&theirs, 0, &frame));
    mapping_lock_acquire(&theirs.lock);
    MUST((enum mapping_error)pthread_create(&other, NULL, seal_it, &frame));
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    ck_assert(!atomic_load(&is_sealed));
    mapping_lock_release(&theirs.lock);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
    ck_assert(!frame_pool_is_data(&theirs, frame, PAGE));
}
