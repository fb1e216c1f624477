/*
 * test_batch.c - several operations on several spaces, one flush for each: what waits until the end
 * of a batch, what does not, and that nobody is worse off for it.
 */
#include "stage2/space/batch.h"

#include "tests/unit/batch_fixture.h"
#include "tests/unit/suites.h"

#include <check.h>

static struct crew crew;
static struct s2_batch batch = S2_BATCH_INIT;

/* --- Verbs ----------------------------------------------------------------------------------- */

static enum mapping_error unmap(size_t who, uint64_t ipa, uint64_t size)
{
    return s2_batch_unmap(&batch, &crew.spaces[who], ipa_range(ipa, size));
}

static enum mapping_error protect(size_t who, uint64_t ipa, uint64_t size, mapping_flags_t flags)
{
    return s2_batch_protect(&batch, &crew.spaces[who], ipa_range(ipa, size), flags);
}

static enum mapping_error map(size_t who, uint64_t ipa, uint64_t size, uint64_t pa)
{
    return s2_batch_map_linear(&batch, &crew.spaces[who], ipa_range(ipa, size), pa_of(pa), RIG_RW);
}

static enum mapping_error replace(size_t who, uint64_t ipa, uint64_t size, uint64_t pa)
{
    return s2_batch_replace_linear(&batch, &crew.spaces[who], ipa_range(ipa, size), pa_of(pa),
                                   RIG_RW);
}

#define MUST(call) ck_assert_int_eq(call, MAPPING_OK)

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

/* Each space has 2M of pages at 1 GiB, 2M of pages 4M above, and a 2M block at 2 GiB. */
#define FIRST GIB(1)
#define SECOND (GIB(1) + MIB(4))
#define BLOCK GIB(2)

static void start(size_t count, struct rig_setup setup)
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

static void start_usual(size_t count)
{
    start(count, rig_setup_of(RIG_4K_40));
}

static void stop(void)
{
    crew_fini(&crew);
}

/* --- One flush a guest ------------------------------------------------------------------------ */

/* Three operations on each of @count spaces, two of which take something away. */
static void change_each(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        MUST(unmap(i, FIRST + KIB(8), KIB(16)));
        MUST(protect(i, SECOND, MIB(1), S2_READ));
        MUST(map(i, GIB(3), KIB(8), CREW_PA(i) + MIB(12)));
    }
}

START_TEST(end_flushes_each_space_once)
{
    const size_t count = 1 + (size_t)_i;

    start_usual(count);
    change_each(count);
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    s2_batch_end(&batch);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(crew_flushes(&crew, i), 1);
        ck_assert_uint_eq(s2_table_tlb_counters(s2_space_table(&crew.spaces[i]))->flushes, 1);
    }
    ck_assert_uint_eq(guest_flushes(), count);
    assert_all_complete();
    stop();
}
END_TEST

START_TEST(end_of_nothing_sends_nothing)
{
    start_usual(2);
    MUST(map(0, GIB(3), MIB(2), CREW_PA(0) + MIB(12)));
    MUST(unmap(1, GIB(8), GIB(1))); /* a hole */
    end_batch();
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    stop();
}
END_TEST

/* A DSB after the last store, before the call returns, and before anything else is waited for. */
START_TEST(map_in_a_batch_is_visible_on_return)
{
    size_t last;

    start_usual(1);
    MUST(unmap(0, FIRST, KIB(4)));
    MUST(protect(0, SECOND, KIB(4), S2_READ));
    sim_clear();
    MUST(map(0, GIB(3), KIB(8), CREW_PA(0) + MIB(12)));
    last = sim_find(SIM_PUBLISH, 0);
    ck_assert_uint_ne(last, SIM_NONE);
    ck_assert_uint_eq(sim_find(SIM_STORE, last), SIM_NONE);
    ck_assert_uint_ne(sim_find(SIM_ISB, sim_find(SIM_DSB_ISHST, last)), SIM_NONE);
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    rig_assert_leaf(&crew.rig, s2_space_table(&crew.spaces[0]), GIB(3), CREW_PA(0) + MIB(12), 3,
                    RIG_RW);
    end_batch();
    stop();
}
END_TEST

START_TEST(frames_of_tables_are_back_after_the_end_only)
{
    struct frame_watch watch;

    start_usual(2);
    crew_watch(&crew, &watch, 0, FIRST);
    MUST(unmap(0, FIRST, MIB(2)));
    MUST(unmap(1, FIRST, GIB(2))); /* the table of level 2 as well, with both below it */
    ck_assert_uint_eq(available(), watch.available);
    s2_batch_end(&batch);
    crew_unwatch(&watch);
    ck_assert_uint_eq(watch.early, 0);
    ck_assert_uint_eq(watch.flushes, 1);
    /* One of the first; of the second those of level 2 at 1 GiB and at 2 GiB, and two of level 3. */
    ck_assert_uint_eq(available(), watch.available + 1 + 4);
    assert_all_complete();
    stop();
}
END_TEST

/* Both checks tell a batch from damage. */
START_TEST(check_is_content_while_a_batch_is_open)
{
    struct s2_table *table;

    start_usual(1);
    table = &crew.spaces[0].table;
    MUST(unmap(0, FIRST, MIB(2)));
    MUST(protect(0, SECOND, KIB(4), S2_READ));
    ck_assert(s2_table_has_deferred(table));
    ck_assert(s2_table_check(table));
    ck_assert(s2_space_check(&crew.spaces[0]));
    table->table_count--; /* as if what waits were nobody's */
    ck_assert(!s2_table_check(table));
    table->table_count++;
    end_batch();
    stop();
}
END_TEST

/* --- What is flushed at once -------------------------------------------------------------------- */

/* What was split stays, so it is made before the call returns. */
START_TEST(split_in_a_batch_is_made_at_once_with_all_that_waits)
{
    start_usual(2);
    MUST(unmap(0, FIRST, KIB(4)));
    MUST(unmap(1, FIRST, KIB(4)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    MUST(unmap(0, BLOCK + MIB(1), KIB(4)));
    ck_assert_uint_eq(crew_flushes(&crew, 0), 1);
    ck_assert_uint_eq(crew_flushes(&crew, 1), 0);
    ck_assert(!s2_table_has_deferred(&crew.spaces[0].table));
    rig_assert_leaf(&crew.rig, s2_space_table(&crew.spaces[0]), BLOCK, CREW_PA(0) + MIB(8), 3,
                    RIG_RW);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 2);
    stop();
}
END_TEST

START_TEST(map_over_what_the_batch_unmapped_flushes_first)
{
    size_t flush;

    start_usual(1);
    MUST(unmap(0, FIRST, MIB(1)));
    MUST(map(0, FIRST + MIB(3), KIB(4), CREW_PA(0) + MIB(12))); /* beside it */
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    sim_clear();
    MUST(map(0, FIRST + KIB(512), KIB(4), CREW_PA(0) + MIB(13)));
    flush = sim_find(SIM_DSB_ISH, guest_last_tlbi());
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_lt(flush, sim_find(SIM_STORE, 0)); /* nothing is stored before it */
    ck_assert_uint_ne(sim_find(SIM_STORE, flush), SIM_NONE);
    sim_clear();
    end_batch();
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    stop();
}
END_TEST

START_TEST(replace_in_a_batch_flushes_before_it_makes)
{
    start_usual(1);
    MUST(unmap(0, FIRST, KIB(4)));
    MUST(replace(0, SECOND, MIB(2), CREW_PA(0) + MIB(16)));
    ck_assert_uint_eq(guest_flushes(), 1);
    rig_assert_leaf(&crew.rig, s2_space_table(&crew.spaces[0]), SECOND, CREW_PA(0) + MIB(16), 2,
                    RIG_RW);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 1);
    stop();
}
END_TEST

/* --- A batch that is full -------------------------------------------------------------------- */

START_TEST(space_too_many_flushes_all_before_it)
{
    start_usual(S2_BATCH_SPACES + 1);
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
END_TEST

/* One table too many waits: more than S2_BATCH_FRAMES, and the space flushes all. */
START_TEST(tables_too_many_flush_at_once)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    const uint64_t base = GIB(4);
    size_t before;

    setup.frame_count = S2_BATCH_FRAMES + 32;
    start(1, setup);
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
END_TEST

/* --- Frames that wait, and are needed --------------------------------------------------------- */

START_TEST(map_that_needs_a_table_that_waits_gets_it)
{
    const size_t needy = (size_t)_i; /* the space itself, or another of the pool */

    start_usual(2);
    rig_leave(&crew.rig, 0);
    MUST(unmap(0, FIRST, MIB(2)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    MUST(map(needy, GIB(1) + MIB(8), KIB(4), CREW_PA(needy) + MIB(12)));
    ck_assert_uint_eq(crew_flushes(&crew, 0), 1);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(available(), 0);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 1);
    stop();
}
END_TEST

/* Two tables wait in the space and one more is free; four are needed, then three. */
START_TEST(map_is_refused_only_if_all_that_waits_is_not_enough)
{
    start_usual(1);
    rig_leave(&crew.rig, 1);
    MUST(unmap(0, FIRST, MIB(2)));
    MUST(unmap(0, SECOND, MIB(2))); /* and the table of level 2 above them */
    ck_assert_int_eq(map(0, GIB(4) - KIB(8), KIB(16), CREW_PA(0) + MIB(12)), MAPPING_OK);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(available(), 0);
    ck_assert_int_eq(map(0, GIB(8), KIB(4), CREW_PA(0) + MIB(13)), MAPPING_NO_FRAME);
    end_batch();
    stop();
}
END_TEST

START_TEST(map_without_a_frame_anywhere_is_refused_and_flushes)
{
    start_usual(2);
    rig_leave(&crew.rig, 0);
    MUST(unmap(0, FIRST, KIB(4)));
    ck_assert_int_eq(map(1, GIB(8), KIB(4), CREW_PA(1) + MIB(12)), MAPPING_NO_FRAME);
    ck_assert_uint_eq(crew_flushes(&crew, 0), 1);
    MUST(unmap(1, FIRST, MIB(2))); /* usable as before */
    ck_assert_uint_eq(crew_flushes(&crew, 1), 0);
    end_batch();
    ck_assert_uint_eq(crew_flushes(&crew, 1), 1);
    stop();
}
END_TEST

/* --- Others on the same space ---------------------------------------------------------------- */

START_TEST(call_without_a_batch_flushes_for_all)
{
    size_t before;

    start_usual(2);
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
    ck_assert_uint_eq(crew_flushes(&crew, 0), 1);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_eq(available(), before + 1);
    end_batch();
    ck_assert_uint_eq(crew_flushes(&crew, 0), 1);
    ck_assert_uint_eq(crew_flushes(&crew, 1), 1);
    stop();
}
END_TEST

/* It finds what waits in its own space: one table or two of them, and one is needed. */
START_TEST(call_without_a_batch_gets_a_table_that_waits)
{
    start_usual(1);
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
    stop();
}
END_TEST

START_TEST(two_batches_on_one_space_flush_once)
{
    struct s2_batch other = S2_BATCH_INIT;

    start_usual(1);
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
    stop();
}
END_TEST

/* Whichever it is of those that have something deferred. */
START_TEST(end_flushes_for_all_spaces_but_the_dropped_one)
{
    const size_t dropped = (size_t)_i;

    start_usual(3);
    for (size_t i = 0; i < 3; i++) {
        MUST(unmap(i, FIRST, MIB(2)));
    }
    s2_batch_drop(&batch, &crew.spaces[dropped]);
    s2_batch_end(&batch);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(crew_flushes(&crew, i), i == dropped ? 0 : 1);
        ck_assert_int_eq(s2_table_has_deferred(&crew.spaces[i].table), i == dropped);
    }
    MUST(s2_space_unmap(&crew.spaces[dropped], ipa_range(FIRST, MIB(2))));
    assert_all_complete();
    stop();
}
END_TEST

START_TEST(fini_of_a_dropped_space_leaves_the_others)
{
    start_usual(3);
    for (size_t i = 0; i < 3; i++) {
        MUST(unmap(i, FIRST, MIB(2)));
    }
    s2_batch_drop(&batch, &crew.spaces[2]);
    crew_fini_last(&crew);
    ck_assert_uint_eq(crew_flushes(&crew, 0) + crew_flushes(&crew, 1), 0);
    s2_batch_drop(&batch, &crew.spaces[2]); /* once is enough */
    end_batch();
    ck_assert_uint_eq(crew_flushes(&crew, 0), 1);
    ck_assert_uint_eq(crew_flushes(&crew, 1), 1);
    stop();
}
END_TEST

/* --- Errors ---------------------------------------------------------------------------------- */

static const struct refusal {
    enum mapping_error error;
    enum { TRY_MAP, TRY_REPLACE, TRY_UNMAP, TRY_PROTECT } verb;
    uint64_t ipa, size, pa;
    mapping_flags_t flags;
} refusals[] = {
    {MAPPING_INVALID_PARAM, TRY_MAP, FIRST + 8, KIB(4), CREW_PA(0), RIG_RW},
    {MAPPING_INVALID_PARAM, TRY_REPLACE, FIRST, KIB(4) + 8, CREW_PA(0), RIG_RW},
    {MAPPING_INVALID_PARAM, TRY_UNMAP, FIRST, 0, 0, 0},
    {MAPPING_INVALID_PARAM, TRY_PROTECT, TIB(1), KIB(4), 0, RIG_RW},
    {MAPPING_ALREADY_EXISTS, TRY_MAP, BLOCK, KIB(4), CREW_PA(0), RIG_RW},
    {MAPPING_DENIED, TRY_MAP, GIB(3), KIB(4), CREW_PA(0), RIG_RWX | S2_DEVICE_GRE},
    {MAPPING_DENIED, TRY_PROTECT, SECOND, KIB(4), 0, RIG_RWX | S2_DEVICE_GRE},
    {MAPPING_UNSUPPORTED, TRY_REPLACE, SECOND, KIB(4), CREW_PA(0), RIG_RW | S2_NORMAL_WT},
    {MAPPING_NO_NODE, TRY_PROTECT, SECOND + KIB(4), KIB(4), 0, S2_READ},
};

static enum mapping_error attempt(const struct refusal *try)
{
    const struct ipa_range range = ipa_range(try->ipa, try->size);
    struct s2_space *space = &crew.spaces[0];

    switch (try->verb) {
    case TRY_MAP:
        return s2_batch_map_linear(&batch, space, range, pa_of(try->pa), try->flags);
    case TRY_REPLACE:
        return s2_batch_replace_linear(&batch, space, range, pa_of(try->pa), try->flags);
    case TRY_UNMAP:
        return s2_batch_unmap(&batch, space, range);
    case TRY_PROTECT:
        break;
    }
    return s2_batch_protect(&batch, space, range, try->flags);
}

START_TEST(error_in_a_batch_changes_nothing_and_leaves_it_usable)
{
    const struct refusal *refusal = &refusals[_i];
    struct rig_snapshot before;

    start_usual(1);
    MUST(unmap(0, FIRST, MIB(1)));
    /* All nodes but one, which no split of an area gets by with. */
    for (uint64_t i = 0; refusal->error == MAPPING_NO_NODE && i < CREW_NODES - 4; i++) {
        MUST(map(0, GIB(3) + i * KIB(8), KIB(4), CREW_PA(0) + MIB(12)));
    }
    sim_clear();
    crew.rig.table = crew.spaces[0].table;
    rig_snapshot_take(&before, &crew.rig);
    ck_assert_int_eq(attempt(refusal), refusal->error);
    crew.rig.table = crew.spaces[0].table;
    rig_snapshot_assert_same(&before, &crew.rig);
    rig_snapshot_free(&before);
    ck_assert_uint_eq(sim_change_count(), 0);
    ck_assert(s2_table_has_deferred(&crew.spaces[0].table));
    MUST(unmap(0, SECOND, MIB(2)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    end_batch();
    ck_assert_uint_eq(guest_flushes(), 1);
    stop();
}
END_TEST

static struct s2_space *any_space(void)
{
    start_usual(1);
    return &crew.spaces[0];
}

START_TEST(call_after_the_end_dies)
{
    struct s2_space *space = any_space();

    s2_batch_end(&batch);
    MUST(s2_batch_unmap(&batch, space, ipa_range(FIRST, KIB(4))));
}
END_TEST

START_TEST(end_after_the_end_dies)
{
    (void)any_space();
    s2_batch_end(&batch);
    s2_batch_end(&batch);
}
END_TEST

START_TEST(drop_after_the_end_dies)
{
    struct s2_space *space = any_space();

    s2_batch_end(&batch);
    s2_batch_drop(&batch, space);
}
END_TEST

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

START_TEST(memory_is_cleaned_after_the_closing_dsb_of_the_batch)
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
END_TEST

START_TEST(memory_too_much_to_remember_is_cleaned_at_once)
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
END_TEST

/* What waits would be invalidated under the new number, and the old one's TLB entries stay. */
START_TEST(set_vmid_while_something_is_deferred_dies)
{
    struct guest guest;

    start_uncached(&guest, 1);
    s2_table_set_vmid(&guest.space.table, RIG_VMID);
    unmap_uncached(&guest, 0);
    ck_assert(s2_table_has_deferred(&guest.space.table));
    s2_table_set_vmid(&guest.space.table, RIG_VMID + 1);
}
END_TEST

/* --- The suite ------------------------------------------------------------------------------- */

static TCase *waits_case(void)
{
    TCase *waits = tcase_create("waits");

    add_loop(waits, end_flushes_each_space_once, 4);
    tcase_add_test(waits, end_of_nothing_sends_nothing);
    tcase_add_test(waits, map_in_a_batch_is_visible_on_return);
    tcase_add_test(waits, frames_of_tables_are_back_after_the_end_only);
    tcase_add_test(waits, check_is_content_while_a_batch_is_open);
    tcase_add_test(waits, memory_is_cleaned_after_the_closing_dsb_of_the_batch);
    return waits;
}

static TCase *at_once_case(void)
{
    TCase *at_once = tcase_create("at_once");

    tcase_add_test(at_once, split_in_a_batch_is_made_at_once_with_all_that_waits);
    tcase_add_test(at_once, map_over_what_the_batch_unmapped_flushes_first);
    tcase_add_test(at_once, replace_in_a_batch_flushes_before_it_makes);
    tcase_add_test(at_once, space_too_many_flushes_all_before_it);
    tcase_add_test(at_once, tables_too_many_flush_at_once);
    add_loop(at_once, map_that_needs_a_table_that_waits_gets_it, 2);
    tcase_add_test(at_once, map_is_refused_only_if_all_that_waits_is_not_enough);
    tcase_add_test(at_once, map_without_a_frame_anywhere_is_refused_and_flushes);
    tcase_add_test(at_once, memory_too_much_to_remember_is_cleaned_at_once);
    return at_once;
}

Suite *suite_batch(void)
{
    Suite *suite = suite_create("batch");
    TCase *others = add_case(suite, "others");
    TCase *errors = add_case(suite, "errors");

    add_loop(others, call_without_a_batch_flushes_for_all, 2);
    add_loop(others, call_without_a_batch_gets_a_table_that_waits, 2);
    tcase_add_test(others, two_batches_on_one_space_flush_once);
    add_loop(others, end_flushes_for_all_spaces_but_the_dropped_one, 3);
    tcase_add_test(others, fini_of_a_dropped_space_leaves_the_others);
    add_loop(errors, error_in_a_batch_changes_nothing_and_leaves_it_usable, RIG_COUNT(refusals));
    tcase_add_test_raise_signal(errors, call_after_the_end_dies, CONTRACT_DEATH);
    tcase_add_test_raise_signal(errors, end_after_the_end_dies, CONTRACT_DEATH);
    tcase_add_test_raise_signal(errors, drop_after_the_end_dies, CONTRACT_DEATH);
    tcase_add_test_raise_signal(errors, set_vmid_while_something_is_deferred_dies, CONTRACT_DEATH);
    suite_add_tcase(suite, waits_case());
    suite_add_tcase(suite, at_once_case());
    batch_add_random_cases(suite);
    return suite;
}
