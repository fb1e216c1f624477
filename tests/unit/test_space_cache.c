/*
 * test_space_cache.c - what the data and instruction caches are told, and when: arm-arm D7.5, a
 * guest that starts with its caches off reads past them.
 */
#include "stage2/space/batch.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#include <check.h>
#include <stdlib.h>

#define SUITE "space"

#define DATA RIG_DATA
#define MEMORY MIB(8)
#define LINES (MEMORY / GUEST_LINE)

static struct guest guest;

/* The window of the log that a claim is about: [from, to). */
struct window {
    size_t from, to;
};

/* How often the window cleans and invalidates each line of the guest's memory; the last time. Plain
 * ifs, as libcheck's assertions are too slow for every line. */
static size_t count_lines(struct window window, unsigned char cleaned[])
{
    const struct sim_event *events = sim_events();
    size_t last = window.from;

    for (size_t i = window.from; i < window.to; i++) {
        if (events[i].kind == SIM_DC_CIVAC) {
            const unsigned char *line = events[i].slot;
            const uint64_t at = (uint64_t)(line - guest.memory.bytes);

            if (at >= MEMORY || at % GUEST_LINE != 0) {
                ck_abort_msg("a line is cleaned that is not the guest's");
            }
            cleaned[at / GUEST_LINE]++;
            last = i;
        }
    }
    return last;
}

/* Fails the test unless the window cleans every line of [@offset, @offset + @size) of the guest's
 * memory, each once, and no other line; and a DSB ISH follows. */
static void expect_cleaned(struct window window, uint64_t offset, uint64_t size)
{
    unsigned char *cleaned = calloc(LINES, 1);
    size_t last;

    ck_assert_ptr_nonnull(cleaned);
    last = count_lines(window, cleaned);
    for (uint64_t i = 0; i < LINES; i++) {
        const uint64_t at = i * GUEST_LINE;
        const bool is_due = at >= offset && at - offset < size;

        if (cleaned[i] != is_due) {
            ck_abort_msg("line 0x%llx is cleaned %d times", (unsigned long long)at, cleaned[i]);
        }
    }
    free(cleaned);
    ck_assert_uint_lt(sim_find(SIM_DSB_ISH, last), window.to);
}

/* Index of the first live write at or after @from; SIM_NONE: there is none. */
static size_t write_after(size_t from)
{
    size_t first = sim_find(SIM_STORE, from);

    first = mapping_u64_min(first, sim_find(SIM_PUBLISH, from));
    first = mapping_u64_min(first, sim_find(SIM_SWAP, from));
    return mapping_u64_min(first, sim_find(SIM_REPLACE, from));
}

/* Between the flush and the first write after it, these bytes are cleaned. */
static void expect_cleaned_before_make(uint64_t offset, uint64_t size)
{
    const size_t flush = sim_find(SIM_DSB_ISH, guest_last_tlbi());
    const size_t make = write_after(flush);

    ck_assert_uint_ne(make, SIM_NONE);
    expect_cleaned((struct window){flush, make}, offset, size);
}

static void start(void)
{
    guest_init(&guest, guest_setup(), GUEST_NODES, MEMORY);
}

static void start_fwb(void)
{
    guest_init(&guest, guest_setup_fwb(), GUEST_NODES, MEMORY);
}

static void start_unreached(void)
{
    guest_init(&guest, guest_setup(), GUEST_NODES, 0);
}

static void stop(void)
{
    guest_fini(&guest);
}

static void map(uint64_t size, uint64_t offset, mapping_flags_t flags)
{
    guest_map(&guest, (struct guest_area){GIB(1), size, DATA + offset, flags});
    sim_clear();
}

static void replace(uint64_t size, uint64_t offset, mapping_flags_t flags)
{
    MUST(guest_call(&guest.space, GUEST_REPLACE,
                    (struct guest_area){GIB(1), size, DATA + offset, flags}));
}

/* --- Memory that is shown -------------------------------------------------------------------- */

static const struct guest_area shown[] = {
    {GIB(1), KIB(4), DATA + KIB(8), RIG_RW},
    {GIB(1), MIB(2), DATA, RIG_RWX},
    {GIB(1), MIB(6), DATA + KIB(4), S2_READ},
    {GIB(1), MIB(4), DATA + MIB(2), RIG_RW | S2_NORMAL_NC},
};

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

TEST_EACH(map_cleans_memory_before_it_is_visible, COUNT(shown))
{
    const struct guest_area *area = &shown[_i];

    guest_map(&guest, *area);
    expect_cleaned((struct window){0, write_after(0)}, area->pa - DATA, area->size);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), area->size / GUEST_LINE);
    ck_assert_uint_le(guest.memory.longest, S2_MEMORY_CHUNK);
    ck_assert_uint_eq(guest.memory.closed, guest.memory.opened);
}

#undef SETUP
#define SETUP start_fwb
#undef TEARDOWN
#define TEARDOWN stop

TEST(map_of_uncached_type_cleans_in_spite_of_fwb)
{
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW | S2_NORMAL_NC});
    expect_cleaned((struct window){0, write_after(0)}, 0, MIB(2));
}

static const mapping_flags_t devices[] = {S2_DEVICE_nGnRnE, S2_DEVICE_nGnRE, S2_DEVICE_nGRE,
                                          S2_DEVICE_GRE};

static void expect_untouched(mapping_flags_t type)
{
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW | type});
    MUST(s2_space_protect(&guest.space, ipa_range(GIB(1), MIB(1)), S2_READ | type));
    guest_unmap(&guest, GIB(1), MIB(2));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
    ck_assert_uint_eq(guest.memory.opened, 0);
}

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

TEST_EACH(device_memory_is_never_touched, COUNT(devices))
{
    expect_untouched(devices[_i]);
}

#undef SETUP
#define SETUP start_fwb
#undef TEARDOWN
#define TEARDOWN stop

/* It need not be where write-back is forced, and cannot be where there are no memory ops. */
TEST(normal_memory_is_not_touched)
{
    expect_untouched(S2_NORMAL);
}

#undef SETUP
#define SETUP start_unreached
#undef TEARDOWN
#define TEARDOWN stop

/* Data frames of the tables' pool are reached without the memory ops. */
TEST(map_of_pool_frame_cleans_it_through_the_pool)
{
    const struct sim_event *events;
    pa_t frame;

    MUST(frame_pool_alloc(&guest.rig.pool, 0, &frame));
    guest_map(&guest, (struct guest_area){GIB(1), KIB(4), frame.raw, RIG_RW});
    events = sim_events();
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), KIB(4) / GUEST_LINE);
    ck_assert_ptr_eq(events[sim_find(SIM_DC_CIVAC, 0)].slot,
                     sim_memory_ptr(&guest.rig.memory, frame));
    ck_assert_uint_lt(sim_find(SIM_DC_CIVAC, 0), write_after(0));
    guest_unmap(&guest, GIB(1), KIB(4));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 2 * KIB(4) / GUEST_LINE);
    MUST(frame_pool_free(&guest.rig.pool, frame, 0));
}

/* --- Refusal --------------------------------------------------------------------------------- */

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

TEST_EACH(map_of_memory_that_does_not_open_is_denied, 3)
{
    struct guest_snapshot before;

    guest_map(&guest, (struct guest_area){GIB(1) + MIB(2), KIB(4), DATA, RIG_RW});
    guest_snapshot_take(&before, &guest);
    guest.memory.refuse_count = 1; /* one chunk of three; the others open */
    guest.memory.refuse_from = guest.memory.opened + 1 + (size_t)_i;
    sim_clear();
    ck_assert_int_eq(
        s2_space_map_linear(&guest.space, ipa_range(GIB(2), MIB(6)), pa_of(DATA), RIG_RW),
        MAPPING_DENIED);
    guest.memory.refuse_from = guest.memory.opened + 1 + (size_t)_i;
    ck_assert_int_eq(
        s2_space_replace_linear(&guest.space, ipa_range(GIB(1), MIB(6)), pa_of(DATA), RIG_RW),
        MAPPING_DENIED);
    ck_assert_uint_eq(sim_write_count() + sim_tlbi_count(), 0);
    guest_snapshot_assert_same(&before, &guest);
    guest_snapshot_free(&before);
}

TEST(unmap_of_memory_that_does_not_open_any_more_succeeds)
{
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW});
    guest.memory.refuse_from = 1;
    guest.memory.refuse_count = SIZE_MAX;
    guest_unmap(&guest, GIB(1), MIB(1));
    guest_assert(&guest, (struct guest_area[]){{GIB(1) + MIB(1), MIB(1), DATA + MIB(1), RIG_RW}},
                 1);
}

/* --- Memory that comes back, or changes its type --------------------------------------------- */

static const struct {
    uint64_t offset, size;
} taken[] = {{0, MIB(4)}, {MIB(1), KIB(4)}, {MIB(1), MIB(2)}, {0, KIB(8)}};

TEST_EACH(unmap_cleans_what_it_took_after_the_flush, COUNT(taken))
{
    map(MIB(4), 0, RIG_RW);
    guest_unmap(&guest, GIB(1) + taken[_i].offset, taken[_i].size);
    expect_cleaned((struct window){0, sim_event_total()}, taken[_i].offset, taken[_i].size);
    ck_assert_uint_gt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_DSB_ISH, guest_last_tlbi()));
}

/* What no leaf shows. */
static bool give_no_runs(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    (void)arg;
    *new_flags = old_flags | S2_NO_CONTIGUOUS;
    return true;
}

/* Areas that an embedder's set has split, and nothing differs between their leaves: they share a
 * block. The first is split, so the second finds its memory between break and make. */
TEST(unmap_of_areas_that_share_a_block_cleans_both)
{
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW});
    MUST(memory_set_protect(&guest.space.set, ipa_range(GIB(1) + MIB(1), MIB(1)), give_no_runs,
                            NULL, &guest.space.table));
    ck_assert_uint_eq(memory_set_len(s2_space_areas(&guest.space)), 2);
    sim_clear();
    guest_unmap(&guest, GIB(1) + KIB(4), MIB(2) - KIB(4));
    expect_cleaned((struct window){0, sim_event_total()}, KIB(4), MIB(2) - KIB(4));
    ck_assert_uint_gt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_TLBI_VMALLE1IS, 0));
    guest_assert(&guest, (struct guest_area[]){{GIB(1), KIB(4), DATA, RIG_RW}}, 1);
}

TEST(replace_cleans_the_new_before_and_the_old_after)
{
    size_t write, flush;

    map(MIB(2), 0, RIG_RW);
    replace(MIB(2), MIB(2), RIG_RW);
    write = write_after(0);
    flush = guest_last_tlbi();
    expect_cleaned((struct window){0, write}, MIB(2), MIB(2));
    expect_cleaned((struct window){flush, sim_event_total()}, 0, MIB(2));
    ck_assert_uint_gt(flush, write);
}

/* The same memory shown anew, past the caches: what the guest wrote through them until the flush is
 * not to be in them any more when it reads past them. */
static const struct {
    uint64_t size;
    uint64_t offset; /* of the new from DATA on, where the old begins */
} again[] = {{KIB(4), 0}, {MIB(2), 0}, {KIB(64), KIB(32)}, {MIB(2), MIB(2) - KIB(4)}};

#undef SETUP
#define SETUP start_fwb
#undef TEARDOWN
#define TEARDOWN stop

TEST_EACH(replace_by_the_same_memory_uncached_cleans_it_before_it_is_visible, COUNT(again))
{
    const uint64_t size = again[_i].size, offset = again[_i].offset;

    map(size, 0, RIG_RW);
    replace(size, offset, RIG_RW | S2_NORMAL_NC);
    expect_cleaned((struct window){0, write_after(0)}, offset, size);
    expect_cleaned_before_make(offset, size);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 2 * size / GUEST_LINE);
    ck_assert_uint_eq(guest_flushes(), 1);
}

/* The memory of two areas, in IPA order, and a new area over both that is backed by that of one of
 * them: the guest had all of it through the caches until the flush, wherever it lies. */
static const struct {
    uint64_t pas[2]; /* of the old areas, in pages from DATA on */
    uint64_t pa;     /* of the new one */
} over_two[] = {
    {{0, 8}, 0}, {{0, 8}, 8}, {{8, 0}, 0}, {{8, 0}, 8}, {{8, 0}, 7}, {{0, 8}, 1},
};

TEST_EACH(replace_over_two_areas_by_memory_of_either_cleans_it_before_it_is_visible,
          COUNT(over_two))
{
    for (uint64_t i = 0; i < 2; i++) {
        guest_map(&guest, (struct guest_area){GIB(1) + i * KIB(4), KIB(4),
                                              DATA + over_two[_i].pas[i] * KIB(4), RIG_RW});
    }
    sim_clear();
    replace(KIB(8), over_two[_i].pa * KIB(4), RIG_RW | S2_NORMAL_NC);
    expect_cleaned_before_make(over_two[_i].pa * KIB(4), KIB(8));
}

/* The same by two calls in a batch, at the same place and at another: what the first took can be
 * written until the flush, which the second cannot do without. */
TEST_EACH(map_of_what_a_batch_took_uncached_cleans_it_after_the_flush, 2)
{
    const struct ipa_range to = ipa_range(_i == 0 ? GIB(1) : GIB(2), KIB(64));
    struct s2_batch batch = S2_BATCH_INIT;

    map(KIB(64), 0, RIG_RW);
    s2_batch_begin(&batch);
    MUST(s2_batch_unmap(&batch, &guest.space, ipa_range(GIB(1), KIB(64))));
    ck_assert_uint_eq(guest_flushes(), 0);
    MUST(s2_batch_map_linear(&batch, &guest.space, to, pa_of(DATA), RIG_RW | S2_NORMAL_NC));
    s2_batch_end(&batch);
    ck_assert_uint_eq(guest_flushes(), 1);
    expect_cleaned_before_make(0, KIB(64));
}

/* Other memory was nobody's until now: it is cleaned once. */
TEST_EACH(replace_by_other_memory_uncached_cleans_it_once, 2)
{
    const uint64_t offset = _i == 0 ? 0 : MIB(4);

    map(MIB(2), MIB(2), RIG_RW);
    replace(MIB(2), offset, RIG_RW | S2_NORMAL_NC);
    expect_cleaned((struct window){0, write_after(0)}, offset, MIB(2));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), MIB(2) / GUEST_LINE);
}

/* One-page areas, apart in IPA: in memory side by side, every other page, or from the top down. */
static uint64_t page_pa(int layout, uint64_t i)
{
    return DATA + KIB(4) * (layout == 0 ? i : layout == 1 ? 2 * i : GUEST_NODES - 1 - i);
}

#undef SETUP
#define SETUP start
#undef TEARDOWN
#define TEARDOWN stop

TEST_EACH(unmap_of_many_areas_flushes_stretches_of_memory, 3)
{
    size_t flush;

    ck_assert_uint_gt(GUEST_NODES, S2_RECLAIM_MAX);
    for (uint64_t i = 0; i < GUEST_NODES; i++) {
        guest_map(&guest, (struct guest_area){GIB(1) + i * KIB(8), KIB(4), page_pa(_i, i), RIG_RW});
    }
    sim_clear();
    guest_unmap(&guest, GIB(1), GUEST_NODES * KIB(8));
    ck_assert_uint_eq(guest_flushes(),
                      _i == 0 ? 1 : (GUEST_NODES + S2_RECLAIM_MAX - 1) / S2_RECLAIM_MAX);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), GUEST_NODES * KIB(4) / GUEST_LINE);
    flush = mapping_u64_min(sim_find(SIM_TLBI_VMALLE1IS, 0), sim_find(SIM_TLBI_VMALLS12E1IS, 0));
    ck_assert_uint_gt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_DSB_ISH, flush));
    if (_i != 1) {
        expect_cleaned((struct window){0, sim_event_total()}, 0, GUEST_NODES * KIB(4));
    }
}

static const struct {
    mapping_flags_t from, to;
    uint64_t offset, size;
} changes[] = {
    {RIG_RW, RIG_RW | S2_NORMAL_NC, 0, MIB(4)}, /* whole blocks */
    {RIG_RW | S2_NORMAL_NC, RIG_RW, 0, MIB(4)},
    {RIG_RW, RIG_RW | S2_NORMAL_NC, MIB(1), KIB(4)}, /* split out of one */
    {RIG_RW, RIG_RW | S2_NORMAL_NC, MIB(1), MIB(2)}, /* out of two */
    {RIG_RW | S2_CAP_PAGES, RIG_RW | S2_DEVICE_GRE, KIB(8), KIB(16)},
};

TEST_EACH(changed_type_is_cleaned_between_break_and_make, COUNT(changes))
{
    const uint64_t offset = changes[_i].offset;
    const uint64_t size = changes[_i].size;
    size_t flush, make;

    map(MIB(4), 0, changes[_i].from);
    MUST(s2_space_protect(&guest.space, ipa_range(GIB(1) + offset, size), changes[_i].to));
    flush = guest_last_tlbi();
    expect_cleaned((struct window){0, sim_event_total()}, offset, size);
    ck_assert_uint_gt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_DSB_ISH, flush));
    ck_assert_uint_lt(write_after(0), flush);
    /* Each is made only when its own lines are gone: nothing is cleaned after the last make. */
    make = write_after(flush);
    ck_assert_uint_ne(make, SIM_NONE);
    ck_assert_uint_lt(sim_find(SIM_DC_CIVAC, 0), make);
    while (write_after(make + 1) != SIM_NONE) {
        make = write_after(make + 1);
    }
    ck_assert_uint_eq(sim_find(SIM_DC_CIVAC, make), SIM_NONE);
}

TEST(changed_permission_cleans_nothing)
{
    map(MIB(4), 0, RIG_RW);
    MUST(s2_space_protect(&guest.space, ipa_range(GIB(1), MIB(3)), S2_READ));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
}

/* --- Instructions ---------------------------------------------------------------------------- */

static const struct {
    mapping_flags_t flags;
    bool has_dic;
    size_t invalidations;
} code[] = {
    {RIG_RWX, false, 1},
    {S2_READ | S2_EXEC_EL0, false, 1},
    {RIG_RW, false, 0},
    {RIG_RWX, true, 0},
};

#undef SETUP
#define SETUP NULL
#undef TEARDOWN
#define TEARDOWN NULL

TEST_EACH(executable_memory_invalidates_instruction_caches_first, COUNT(code))
{
    struct rig_setup setup = guest_setup();

    setup.cpu.has_dic = code[_i].has_dic;
    guest_init(&guest, setup, GUEST_NODES, MEMORY);
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, code[_i].flags});
    ck_assert_uint_eq(sim_event_count(SIM_IC_IALLUIS), code[_i].invalidations);
    if (code[_i].invalidations > 0) {
        const size_t invalidation = sim_find(SIM_IC_IALLUIS, 0);

        ck_assert_uint_lt(sim_find(SIM_DC_CIVAC, 0), invalidation);
        ck_assert_uint_lt(sim_find(SIM_DSB_ISH, invalidation), write_after(0));
    }
    stop();
}
