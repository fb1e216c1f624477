/*
 * test_batch.c - several operations on several spaces, one flush for each: what waits until the end
 * of a batch, what does not, and that nobody is worse off for it.
 */
#include "stage2/space/batch.h"

#include "tests/unit/batch_fixture.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "batch"

static struct crew crew;
static struct s2_batch batch = S2_BATCH_INIT;

/* Each space has 2M of pages at 1 GiB, 2M of pages 4M above, and a 2M block at 2 GiB. */
#define FIRST GIB(1)
#define SECOND (GIB(1) + MIB(4))
#define BLOCK GIB(2)

/* --- Verbs ----------------------------------------------------------------------------------- */

static enum mapping_error call(enum guest_verb verb, size_t who, struct guest_area area)
{
    return guest_batch(&batch, &crew.spaces[who], verb, area);
}

static enum mapping_error unmap(size_t who, uint64_t ipa, uint64_t size)
{
    return call(GUEST_UNMAP, who, (struct guest_area){ipa, size, 0, 0});
}

static enum mapping_error map(size_t who, uint64_t ipa, uint64_t size, uint64_t pa)
{
    return call(GUEST_MAP, who, (struct guest_area){ipa, size, pa, RIG_RW});
}

/* A page, or more, of the second area may be read alone. */
static enum mapping_error protect(size_t who, uint64_t size)
{
    return call(GUEST_PROTECT, who, (struct guest_area){SECOND, size, 0, S2_READ});
}

static size_t available(void)
{
    return frame_pool_available(&crew.rig.pool);
}

/* Every space as its areas say, nothing deferred anywhere, and the judge is content. */
static void assert_all_complete(void)
{
    monitor_quiesce(crew.rig.monitor);
    for (size_t i = 0; i < crew.count; i++) {
        ck_assert(!s2_table_has_deferred(&crew.spaces[i].table));
        ck_assert(s2_space_check(&crew.spaces[i]));
    }
    ck_assert(frame_pool_check(&crew.rig.pool));
}

static void end_batch(void)
{
    s2_batch_end(&batch);
    assert_all_complete();
}

static void start_many(size_t count, struct rig_setup setup)
{
    crew_init(&crew, setup, count);
    for (size_t i = 0; i < count; i++) {
        crew_map(&crew, i, FIRST, MIB(2), CREW_PA(i) + KIB(4));
        crew_map(&crew, i, SECOND, MIB(2), CREW_PA(i) + MIB(4) + KIB(4));
        crew_map(&crew, i, BLOCK, MIB(2), CREW_PA(i) + MIB(8));
    }
    monitor_quiesce(crew.rig.monitor);
    sim_clear();
    s2_batch_begin(&batch);
}

#define USUAL 3 /* guests */

static void start(void)
{
    start_many(USUAL, rig_setup_of(RIG_4K_40));
}

static void stop(void)
{
    if (batch.is_open) {
        end_batch();
    }
    crew_fini(&crew);
}

/* In the log so far: flushes of the first guest, and of all. */
static void expect_flushes(size_t of_first, size_t of_all)
{
    ck_assert_uint_eq(crew_flushes(&crew, 0), of_first);
    ck_assert_uint_eq(guest_flushes(), of_all);
}

/* --- One flush a guest ------------------------------------------------------------------------ */

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

/* Three operations on each of them, two of which take something away. */
TEST_EACH(end_flushes_each_space_once, USUAL)
{
    const size_t count = 1 + (size_t)_i;

    for (size_t i = 0; i < count; i++) {
        MUST(unmap(i, FIRST + KIB(8), KIB(16)));
        MUST(protect(i, MIB(1)));
        MUST(map(i, GIB(3), KIB(8), CREW_PA(i) + MIB(12)));
    }
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    end_batch();
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(crew_flushes(&crew, i), 1);
        ck_assert_uint_eq(s2_table_tlb_counters(s2_space_table(&crew.spaces[i]))->flushes, 1);
    }
    ck_assert_uint_eq(guest_flushes(), count);
}

TEST(end_of_nothing_sends_nothing)
{
    MUST(map(0, GIB(3), MIB(2), CREW_PA(0) + MIB(12)));
    MUST(unmap(1, GIB(8), GIB(1))); /* a hole */
    end_batch();
    ck_assert_uint_eq(sim_tlbi_count(), 0);
}

/* A DSB after the last store, before the call returns, and before anything else is waited for. */
TEST(map_in_a_batch_is_visible_on_return)
{
    size_t last;

    MUST(unmap(0, FIRST, KIB(4)));
    MUST(protect(0, KIB(4)));
    sim_clear();
    MUST(map(0, GIB(3), KIB(8), CREW_PA(0) + MIB(12)));
    last = sim_find(SIM_PUBLISH, 0);
    ck_assert_uint_ne(last, SIM_NONE);
    ck_assert_uint_eq(sim_find(SIM_STORE, last), SIM_NONE);
    ck_assert_uint_ne(sim_find(SIM_ISB, sim_find(SIM_DSB_ISHST, last)), SIM_NONE);
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    rig_assert_leaf(&crew.rig, s2_space_table(&crew.spaces[0]), GIB(3), CREW_PA(0) + MIB(12), 3,
                    RIG_RW);
}

TEST(frames_of_tables_are_back_after_the_end_only)
{
    struct frame_watch watch;

    crew_watch(&crew, &watch, 0, FIRST);
    MUST(unmap(0, FIRST, MIB(2)));
    MUST(unmap(1, FIRST, GIB(2))); /* the table of level 2 as well, with both below it */
    ck_assert_uint_eq(available(), watch.available);
    s2_batch_end(&batch);
    crew_unwatch(&watch);
    ck_assert_uint_eq(watch.early, 0);
    ck_assert_uint_eq(watch.flushes, 1);
    /* One of the first; of the second those of level 2 at 1 GiB and at 2 GiB, and two of level
     * 3. */
    ck_assert_uint_eq(available(), watch.available + 1 + 4);
    assert_all_complete();
}

/* Both checks tell a batch from damage. */
TEST(check_is_content_while_a_batch_is_open)
{
    struct s2_table *table = &crew.spaces[0].table;

    MUST(unmap(0, FIRST, MIB(2)));
    MUST(protect(0, KIB(4)));
    ck_assert(s2_table_has_deferred(table));
    ck_assert(s2_table_check(table));
    ck_assert(s2_space_check(&crew.spaces[0]));
    table->table_count--; /* as if what waits were nobody's */
    ck_assert(!s2_table_check(table));
    table->table_count++;
}

/* --- What is flushed at once
 * -------------------------------------------------------------------- */

/* What was split stays, so it is made before the call returns. */
TEST(split_in_a_batch_is_made_at_once_with_all_that_waits)
{
    MUST(unmap(0, FIRST, KIB(4)));
    MUST(unmap(1, FIRST, KIB(4)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    MUST(unmap(0, BLOCK + MIB(1), KIB(4)));
    expect_flushes(1, 1);
    ck_assert(!s2_table_has_deferred(&crew.spaces[0].table));
    rig_assert_leaf(&crew.rig, s2_space_table(&crew.spaces[0]), BLOCK, CREW_PA(0) + MIB(8), 3,
                    RIG_RW);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 2);
}

TEST(map_over_what_the_batch_unmapped_flushes_first)
{
    size_t flush;

    MUST(unmap(0, FIRST, MIB(1)));
    MUST(map(0, FIRST + MIB(3), KIB(4), CREW_PA(0) + MIB(12))); /* beside it */
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    sim_clear();
    MUST(map(0, FIRST + KIB(512), KIB(4), CREW_PA(0) + MIB(13)));
    flush = sim_find(SIM_DSB_ISH, guest_last_tlbi());
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(sim_find(SIM_STORE, 0), SIM_NONE);
    ck_assert_uint_lt(flush, sim_find(SIM_PUBLISH, 0)); /* nothing is stored before it */
    ck_assert_uint_ne(sim_find(SIM_PUBLISH, flush), SIM_NONE);
    sim_clear();
    end_batch();
    ck_assert_uint_eq(sim_tlbi_count(), 0);
}

/* --- A batch that is full -------------------------------------------------------------------- */

#undef SETUP
#define SETUP NULL
#undef TEARDOWN
#define TEARDOWN NULL

TEST(space_too_many_flushes_all_before_it)
{
    start_many(S2_BATCH_SPACES + 1, rig_setup_of(RIG_4K_40));
    for (size_t i = 0; i < S2_BATCH_SPACES; i++) {
        MUST(unmap(i, FIRST, KIB(4)));
    }
    MUST(unmap(0, SECOND, KIB(4))); /* one that is there already */
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    MUST(unmap(S2_BATCH_SPACES, FIRST, KIB(4)));
    ck_assert_uint_eq(guest_flushes(), S2_BATCH_SPACES);
    ck_assert_uint_eq(crew_flushes(&crew, S2_BATCH_SPACES), 0);
    MUST(unmap(0, SECOND + KIB(4), KIB(4)));
    ck_assert_uint_eq(guest_flushes(), S2_BATCH_SPACES);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), S2_BATCH_SPACES + 2);
    ck_assert_uint_eq(crew_flushes(&crew, 0), 2);
    ck_assert_uint_eq(crew_flushes(&crew, S2_BATCH_SPACES), 1);
    stop();
}

/* One table too many waits: more than S2_BATCH_FRAMES, and the space flushes all. */
TEST(tables_too_many_flush_at_once)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    const uint64_t base = GIB(4);
    size_t before;

    setup.frame_count = S2_BATCH_FRAMES + 32;
    start_many(1, setup);
    crew_map(&crew, 0, base, MIB(2) * (S2_BATCH_FRAMES + 2), CREW_PA(1) + KIB(4));
    before = available();
    sim_clear();
    for (uint64_t i = 0; i < S2_BATCH_FRAMES; i++) {
        MUST(unmap(0, base + i * MIB(2), MIB(2)));
    }
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    ck_assert_uint_eq(available(), before);
    MUST(unmap(0, base + S2_BATCH_FRAMES * MIB(2), MIB(2)));
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(available(), before + S2_BATCH_FRAMES + 1);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 1);
    stop();
}

/* --- Frames that wait, and are needed --------------------------------------------------------- */

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

TEST_EACH(map_that_needs_a_table_that_waits_gets_it, 2)
{
    const size_t needy = (size_t)_i; /* the space itself, or another of the pool */

    rig_leave(&crew.rig, 0);
    MUST(unmap(0, FIRST, MIB(2)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    MUST(map(needy, GIB(1) + MIB(8), KIB(4), CREW_PA(needy) + MIB(12)));
    expect_flushes(1, 1);
    ck_assert_uint_eq(available(), 0);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 1);
}

/* Two tables wait in the space and one more is free; four are needed, then three. */
TEST(map_is_refused_only_if_all_that_waits_is_not_enough)
{
    rig_leave(&crew.rig, 1);
    MUST(unmap(0, FIRST, MIB(2)));
    MUST(unmap(0, SECOND, MIB(2))); /* and the table of level 2 above them */
    ck_assert_int_eq(map(0, GIB(4) - KIB(8), KIB(16), CREW_PA(0) + MIB(12)), MAPPING_OK);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(available(), 0);
    ck_assert_int_eq(map(0, GIB(8), KIB(4), CREW_PA(0) + MIB(13)), MAPPING_NO_FRAME);
}

/* --- Others on the same space ---------------------------------------------------------------- */

TEST_EACH(call_without_a_batch_flushes_for_all, 2)
{
    size_t before;

    before = available();
    MUST(unmap(0, FIRST, MIB(2)));
    MUST(unmap(1, FIRST, KIB(4)));
    if (_i == 0) {
        MUST(s2_space_unmap(&crew.spaces[0], ipa_range(SECOND, KIB(4))));
    } else {
        /* One that has deferred nothing itself. */
        MUST(s2_space_map_linear(&crew.spaces[0], ipa_range(GIB(2) + MIB(4), MIB(2)),
                                 pa_of(CREW_PA(0) + MIB(12)), RIG_RW));
    }
    expect_flushes(1, 1);
    ck_assert_uint_eq(available(), before + 1);
    end_batch();
    expect_flushes(1, 2);
}

/* It finds what waits in its own space: one table or two of them, and one is needed. */
TEST_EACH(call_without_a_batch_gets_a_table_that_waits, 2)
{
    rig_leave(&crew.rig, 0);
    MUST(unmap(0, FIRST, MIB(2)));
    if (_i == 1) {
        MUST(unmap(0, BLOCK, MIB(2))); /* with the table of level 2 */
    }
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    MUST(s2_space_map_linear(&crew.spaces[0], ipa_range(GIB(1) + MIB(8), KIB(4)),
                             pa_of(CREW_PA(0) + MIB(12)), RIG_RW));
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(available(), (size_t)_i);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 1);
}

TEST(two_batches_on_one_space_flush_once)
{
    struct s2_batch other = S2_BATCH_INIT;

    s2_batch_begin(&other);
    MUST(unmap(0, FIRST, KIB(4)));
    MUST(s2_batch_unmap(&other, &crew.spaces[0], ipa_range(SECOND, MIB(2))));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    s2_batch_end(&other);
    ck_assert_uint_eq(guest_flushes(), 1);
    assert_all_complete();
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 1);
    /* And what comes after the other's end is ours again. */
    s2_batch_begin(&batch);
    s2_batch_begin(&other);
    MUST(unmap(0, FIRST + KIB(4), KIB(4)));
    s2_batch_end(&other);
    ck_assert_uint_eq(guest_flushes(), 1);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 2);
}

/* Whichever it is of those that have something deferred. */
TEST_EACH(end_flushes_for_all_spaces_but_the_dropped_one, USUAL)
{
    const size_t dropped = (size_t)_i;

    for (size_t i = 0; i < 3; i++) {
        MUST(unmap(i, FIRST, MIB(2)));
    }
    s2_batch_drop(&batch, &crew.spaces[dropped]);
    s2_batch_drop(&batch, &crew.spaces[dropped]); /* once is enough */
    s2_batch_end(&batch);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(crew_flushes(&crew, i), i == dropped ? 0 : 1);
        ck_assert_int_eq(s2_table_has_deferred(&crew.spaces[i].table), i == dropped);
    }
    MUST(s2_space_unmap(&crew.spaces[dropped], ipa_range(FIRST, MIB(2))));
    assert_all_complete();
}

/* --- Errors ---------------------------------------------------------------------------------- */

static const struct refusal {
    enum mapping_error error;
    enum guest_verb verb;
    struct guest_area area;
} refusals[] = {
    {MAPPING_INVALID_PARAM, GUEST_MAP, {FIRST + 8, KIB(4), CREW_PA(0), RIG_RW}},
    {MAPPING_INVALID_PARAM, GUEST_REPLACE, {FIRST, KIB(4) + 8, CREW_PA(0), RIG_RW}},
    {MAPPING_INVALID_PARAM, GUEST_UNMAP, {FIRST, 0, 0, 0}},
    {MAPPING_INVALID_PARAM, GUEST_PROTECT, {TIB(1), KIB(4), 0, RIG_RW}},
    {MAPPING_ALREADY_EXISTS, GUEST_MAP, {BLOCK, KIB(4), CREW_PA(0), RIG_RW}},
    {MAPPING_DENIED, GUEST_MAP, {GIB(3), KIB(4), CREW_PA(0), RIG_RWX | S2_DEVICE_GRE}},
    {MAPPING_DENIED, GUEST_PROTECT, {SECOND, KIB(4), 0, RIG_RWX | S2_DEVICE_GRE}},
    {MAPPING_UNSUPPORTED, GUEST_REPLACE, {SECOND, KIB(4), CREW_PA(0), RIG_RW | S2_NORMAL_WT}},
    {MAPPING_NO_NODE, GUEST_PROTECT, {SECOND + KIB(4), KIB(4), 0, S2_READ}},
};

TEST_EACH(error_in_a_batch_changes_nothing_and_leaves_it_usable, COUNT(refusals))
{
    const struct refusal *refusal = &refusals[_i];
    struct rig_snapshot before;

    MUST(unmap(0, FIRST, MIB(1)));
    /* All nodes but one, which no split of an area gets by with. */
    for (uint64_t i = 0; refusal->error == MAPPING_NO_NODE && i < CREW_NODES - 4; i++) {
        MUST(map(0, GIB(3) + i * KIB(8), KIB(4), CREW_PA(0) + MIB(12)));
    }
    sim_clear();
    crew.rig.table = crew.spaces[0].table;
    rig_snapshot_take(&before, &crew.rig);
    ck_assert_int_eq(call(refusal->verb, 0, refusal->area), refusal->error);
    crew.rig.table = crew.spaces[0].table;
    rig_snapshot_assert_same(&before, &crew.rig);
    rig_snapshot_free(&before);
    ck_assert_uint_eq(sim_change_count(), 0);
    ck_assert(s2_table_has_deferred(&crew.spaces[0].table));
    MUST(unmap(0, SECOND, MIB(2)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 1);
}

TEST_DIES(call_after_the_end_dies)
{
    s2_batch_end(&batch);
    (void)!(unmap(0, FIRST, KIB(4)));
}

TEST_DIES(end_after_the_end_dies)
{
    s2_batch_end(&batch);
    s2_batch_end(&batch);
}

TEST_DIES(drop_after_the_end_dies)
{
    s2_batch_end(&batch);
    s2_batch_drop(&batch, &crew.spaces[0]);
}

/* --- Memory past the caches ------------------------------------------------------------------ */

static void start_uncached(struct guest *guest, size_t areas)
{
    guest_init(guest, guest_setup(), GUEST_NODES, MIB(1));
    for (uint64_t i = 0; i < areas; i++) {
        guest_map(guest, (struct guest_area){GIB(1) + i * KIB(16), KIB(4), RIG_DATA + i * KIB(16),
                                             RIG_RW});
    }
    sim_clear();
    s2_batch_begin(&batch);
}

static void unmap_uncached(struct guest *guest, uint64_t area)
{
    MUST(s2_batch_unmap(&batch, &guest->space, ipa_range(GIB(1) + area * KIB(16), KIB(4))));
}

#undef SETUP
#define SETUP NULL
#undef TEARDOWN
#define TEARDOWN NULL

TEST(memory_is_cleaned_after_the_closing_dsb_of_the_batch)
{
    struct guest guest;

    start_uncached(&guest, 3);
    for (uint64_t i = 0; i < 2; i++) {
        unmap_uncached(&guest, i);
    }
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC) + sim_tlbi_count(), 0);
    s2_batch_end(&batch);
    monitor_quiesce(guest.rig.monitor);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 2 * KIB(4) / GUEST_LINE);
    ck_assert_uint_gt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_DSB_ISH, guest_last_tlbi()));
    guest_fini(&guest);
}

TEST(memory_too_much_to_remember_is_cleaned_at_once)
{
    struct guest guest;

    start_uncached(&guest, S2_RECLAIM_MAX + 2);
    for (uint64_t i = 0; i < S2_RECLAIM_MAX; i++) {
        unmap_uncached(&guest, i);
    }
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC) + sim_tlbi_count(), 0);
    unmap_uncached(&guest, S2_RECLAIM_MAX);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), S2_RECLAIM_MAX * KIB(4) / GUEST_LINE);
    s2_batch_end(&batch);
    monitor_quiesce(guest.rig.monitor);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), (S2_RECLAIM_MAX + 1) * KIB(4) / GUEST_LINE);
    guest_fini(&guest);
}

/* What waits would be invalidated under the new number, and the old one's TLB entries stay. */
TEST_DIES(set_vmid_while_something_is_deferred_dies)
{
    struct guest guest;

    start_uncached(&guest, 1);
    s2_table_set_vmid(&guest.space.table, RIG_VMID);
    unmap_uncached(&guest, 0);
    ck_assert(s2_table_has_deferred(&guest.space.table));
    s2_table_set_vmid(&guest.space.table, RIG_VMID + 1);
}
