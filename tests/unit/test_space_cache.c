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

/* The window of the log that a claim is about: [from, to). */
struct window {
    size_t from, to;
};

static struct window whole_log(void)
{
    return (struct window){0, sim_event_total()};
}

/* How often the window cleans and invalidates each line of the guest's memory; the last time. Plain
 * ifs, as libcheck's assertions are too slow for every line. */
static size_t count_lines(const struct guest *guest, struct window window, unsigned char cleaned[])
{
    const struct sim_event *events = sim_events();
    size_t last = window.from;

    for (size_t i = window.from; i < window.to; i++) {
        if (events[i].kind == SIM_DC_CIVAC) {
            const unsigned char *line = events[i].slot;
            const uint64_t at = (uint64_t)(line - guest->memory.bytes);

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
static void expect_cleaned(const struct guest *guest, struct window window, uint64_t offset,
                           uint64_t size)
{
    unsigned char *cleaned = calloc(LINES, 1);
    size_t last;

    ck_assert_ptr_nonnull(cleaned);
    last = count_lines(guest, window, cleaned);
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

    first = u64_min(first, sim_find(SIM_PUBLISH, from));
    first = u64_min(first, sim_find(SIM_SWAP, from));
    return u64_min(first, sim_find(SIM_REPLACE, from));
}

static size_t first_write(void)
{
    return write_after(0);
}

static void start(struct guest *guest, struct rig_setup setup)
{
    guest_init(guest, setup, GUEST_NODES, MEMORY);
}

/* --- Memory that is shown -------------------------------------------------------------------- */

static const struct guest_area shown[] = {
    {GIB(1), KIB(4), DATA + KIB(8), RIG_RW},
    {GIB(1), MIB(2), DATA, RIG_RWX},
    {GIB(1), MIB(6), DATA + KIB(4), S2_READ},
    {GIB(1), MIB(4), DATA + MIB(2), RIG_RW | S2_NORMAL_NC},
};

TEST_EACH(map_cleans_memory_before_it_is_visible, RIG_COUNT(shown))
{
    const struct guest_area *area = &shown[_i];
    struct guest guest;

    start(&guest, guest_setup());
    guest_map(&guest, *area);
    expect_cleaned(&guest, (struct window){0, first_write()}, area->pa - DATA, area->size);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), area->size / GUEST_LINE);
    ck_assert_uint_le(guest.memory.longest, S2_MEMORY_CHUNK);
    ck_assert_uint_eq(guest.memory.closed, guest.memory.opened);
    guest_fini(&guest);
}

TEST(map_with_forced_write_back_cleans_nothing)
{
    struct guest guest;

    start(&guest, guest_setup_fwb());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RWX});
    guest_unmap(&guest, GIB(1), MIB(2));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
    ck_assert_uint_eq(guest.memory.opened, 0);
    guest_fini(&guest);
}

TEST(map_of_uncached_type_cleans_in_spite_of_fwb)
{
    struct guest guest;

    start(&guest, guest_setup_fwb());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW | S2_NORMAL_NC});
    expect_cleaned(&guest, (struct window){0, first_write()}, 0, MIB(2));
    guest_fini(&guest);
}

static const mapping_flags_t devices[] = {S2_DEVICE_nGnRnE, S2_DEVICE_nGnRE, S2_DEVICE_nGRE,
                                          S2_DEVICE_GRE};

TEST_EACH(device_memory_is_never_touched, RIG_COUNT(devices))
{
    struct guest guest;

    start(&guest, guest_setup());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW | devices[_i]});
    ck_assert_int_eq(
        s2_space_protect(&guest.space, ipa_range(GIB(1), MIB(1)), S2_READ | devices[_i]),
        MAPPING_OK);
    guest_unmap(&guest, GIB(1), MIB(2));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
    ck_assert_uint_eq(guest.memory.opened, 0);
    guest_fini(&guest);
}

/* Data frames of the tables' pool are reached without the memory ops. */
TEST(map_of_pool_frame_cleans_it_through_the_pool)
{
    struct guest guest;
    const struct sim_event *events;
    pa_t frame;

    guest_init(&guest, guest_setup(), GUEST_NODES, 0);
    ck_assert_int_eq(frame_pool_alloc(&guest.rig.pool, 0, &frame), MAPPING_OK);
    guest_map(&guest, (struct guest_area){GIB(1), KIB(4), frame.raw, RIG_RW});
    events = sim_events();
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), KIB(4) / GUEST_LINE);
    ck_assert_ptr_eq(events[sim_find(SIM_DC_CIVAC, 0)].slot,
                     sim_memory_ptr(&guest.rig.memory, frame));
    ck_assert_uint_lt(sim_find(SIM_DC_CIVAC, 0), first_write());
    guest_unmap(&guest, GIB(1), KIB(4));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 2 * KIB(4) / GUEST_LINE);
    ck_assert_int_eq(frame_pool_free(&guest.rig.pool, frame, 0), MAPPING_OK);
    guest_fini(&guest);
}

/* Without memory ops there is nothing to reach it by. */
TEST(map_of_memory_out_of_reach_cleans_nothing)
{
    struct guest guest;

    guest_init(&guest, guest_setup(), GUEST_NODES, 0);
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW});
    guest_unmap(&guest, GIB(1), MIB(2));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
    guest_fini(&guest);
}

/* --- Refusal --------------------------------------------------------------------------------- */

TEST_EACH(map_of_memory_that_does_not_open_is_denied, 3)
{
    struct guest_snapshot before;
    struct guest guest;

    start(&guest, guest_setup());
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
    guest_fini(&guest);
}

TEST(unmap_of_memory_that_does_not_open_any_more_succeeds)
{
    struct guest guest;

    start(&guest, guest_setup());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW});
    guest.memory.refuse_from = 1;
    guest.memory.refuse_count = SIZE_MAX;
    guest_unmap(&guest, GIB(1), MIB(1));
    guest_assert(&guest, (struct guest_area[]){{GIB(1) + MIB(1), MIB(1), DATA + MIB(1), RIG_RW}},
                 1);
    guest_fini(&guest);
}

/* --- Memory that comes back, or changes its type --------------------------------------------- */

static const struct {
    uint64_t offset, size;
} taken[] = {{0, MIB(4)}, {MIB(1), KIB(4)}, {MIB(1), MIB(2)}, {0, KIB(8)}};

TEST_EACH(unmap_cleans_what_it_took_after_the_flush, RIG_COUNT(taken))
{
    struct guest guest;

    start(&guest, guest_setup());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(4), DATA, RIG_RW});
    sim_clear();
    guest_unmap(&guest, GIB(1) + taken[_i].offset, taken[_i].size);
    expect_cleaned(&guest, whole_log(), taken[_i].offset, taken[_i].size);
    ck_assert_uint_gt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_DSB_ISH, guest_last_tlbi()));
    guest_fini(&guest);
}

/* What no leaf shows. */
static bool give_no_runs(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    (void)arg;
    *new_flags = old_flags | S2_NO_CONTIGUOUS;
    return true;
}

/* Areas that an embedder's set has split, and nothing differs between their leaves: they share a block. The
 * first is split, so the second finds its memory between break and make. */
TEST(unmap_of_areas_that_share_a_block_cleans_both)
{
    struct guest guest;

    start(&guest, guest_setup());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW});
    ck_assert_int_eq(memory_set_protect(&guest.space.set, ipa_range(GIB(1) + MIB(1), MIB(1)),
                                        give_no_runs, NULL, &guest.space.table),
                     MAPPING_OK);
    ck_assert_uint_eq(memory_set_len(s2_space_areas(&guest.space)), 2);
    sim_clear();
    guest_unmap(&guest, GIB(1) + KIB(4), MIB(2) - KIB(4));
    expect_cleaned(&guest, whole_log(), KIB(4), MIB(2) - KIB(4));
    ck_assert_uint_gt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_TLBI_VMALLE1IS, 0));
    guest_assert(&guest, (struct guest_area[]){{GIB(1), KIB(4), DATA, RIG_RW}}, 1);
    guest_fini(&guest);
}

TEST(replace_cleans_the_new_before_and_the_old_after)
{
    struct guest guest;
    size_t write, flush;

    start(&guest, guest_setup());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, RIG_RW});
    sim_clear();
    ck_assert_int_eq(s2_space_replace_linear(&guest.space, ipa_range(GIB(1), MIB(2)),
                                             pa_of(DATA + MIB(2)), RIG_RW),
                     MAPPING_OK);
    write = first_write();
    flush = guest_last_tlbi();
    expect_cleaned(&guest, (struct window){0, write}, MIB(2), MIB(2));
    expect_cleaned(&guest, (struct window){flush, sim_event_total()}, 0, MIB(2));
    ck_assert_uint_gt(flush, write);
    guest_fini(&guest);
}

/* The same memory shown anew, past the caches: what the guest wrote through them until the flush is
 * not to be in them any more when it reads past them. */
static const struct {
    uint64_t size;
    uint64_t pa; /* of the new; the old begins at DATA */
} again[] = {
    {KIB(4), DATA}, {MIB(2), DATA}, {KIB(64), DATA + KIB(32)}, {MIB(2), DATA + MIB(2) - KIB(4)}};

TEST_EACH(replace_by_the_same_memory_uncached_cleans_it_before_it_is_visible, RIG_COUNT(again))
{
    const uint64_t size = again[_i].size, offset = again[_i].pa - DATA;
    struct guest guest;
    size_t flush, make;

    start(&guest, guest_setup_fwb());
    guest_map(&guest, (struct guest_area){GIB(1), size, DATA, RIG_RW});
    sim_clear();
    ck_assert_int_eq(s2_space_replace_linear(&guest.space, ipa_range(GIB(1), size),
                                             pa_of(again[_i].pa), RIG_RW | S2_NORMAL_NC),
                     MAPPING_OK);
    expect_cleaned(&guest, (struct window){0, first_write()}, offset, size);
    flush = sim_find(SIM_DSB_ISH, guest_last_tlbi());
    make = write_after(flush);
    ck_assert_uint_ne(make, SIM_NONE);
    expect_cleaned(&guest, (struct window){flush, make}, offset, size);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 2 * size / GUEST_LINE);
    ck_assert_uint_eq(guest_flushes(), 1);
    guest_fini(&guest);
}

/* The memory of two areas, in IPA order, and a new area over both that is backed by that of one of them:
 * the guest had all of it through the caches until the flush, wherever it lies. */
static const struct {
    uint64_t pas[2]; /* of the old areas, in pages from DATA on */
    uint64_t pa;     /* of the new one */
} over_two[] = {
    {{0, 8}, 0}, {{0, 8}, 8}, {{8, 0}, 0}, {{8, 0}, 8}, {{8, 0}, 7}, {{0, 8}, 1},
};

TEST_EACH(replace_over_two_areas_by_memory_of_either_cleans_it_before_it_is_visible,
          RIG_COUNT(over_two))
{
    struct guest guest;
    size_t flush, make;

    start(&guest, guest_setup_fwb());
    for (uint64_t i = 0; i < 2; i++) {
        guest_map(&guest, (struct guest_area){GIB(1) + i * KIB(4), KIB(4),
                                              DATA + over_two[_i].pas[i] * KIB(4), RIG_RW});
    }
    sim_clear();
    ck_assert_int_eq(s2_space_replace_linear(&guest.space, ipa_range(GIB(1), KIB(8)),
                                             pa_of(DATA + over_two[_i].pa * KIB(4)),
                                             RIG_RW | S2_NORMAL_NC),
                     MAPPING_OK);
    flush = sim_find(SIM_DSB_ISH, guest_last_tlbi());
    make = write_after(flush);
    ck_assert_uint_ne(make, SIM_NONE);
    expect_cleaned(&guest, (struct window){flush, make}, over_two[_i].pa * KIB(4), KIB(8));
    guest_fini(&guest);
}

/* The same by two calls in a batch, at the same place and at another: what the first took can be
 * written until the flush, which the second cannot do without. */
TEST_EACH(map_of_what_a_batch_took_uncached_cleans_it_after_the_flush, 2)
{
    const struct ipa_range to = ipa_range(_i == 0 ? GIB(1) : GIB(2), KIB(64));
    struct s2_batch batch = S2_BATCH_INIT;
    struct guest guest;
    size_t flush, make;

    start(&guest, guest_setup_fwb());
    guest_map(&guest, (struct guest_area){GIB(1), KIB(64), DATA, RIG_RW});
    sim_clear();
    s2_batch_begin(&batch);
    ck_assert_int_eq(s2_batch_unmap(&batch, &guest.space, ipa_range(GIB(1), KIB(64))), MAPPING_OK);
    ck_assert_uint_eq(guest_flushes(), 0);
    ck_assert_int_eq(
        s2_batch_map_linear(&batch, &guest.space, to, pa_of(DATA), RIG_RW | S2_NORMAL_NC),
        MAPPING_OK);
    s2_batch_end(&batch);
    ck_assert_uint_eq(guest_flushes(), 1);
    flush = sim_find(SIM_DSB_ISH, guest_last_tlbi());
    make = write_after(flush);
    ck_assert_uint_ne(make, SIM_NONE);
    expect_cleaned(&guest, (struct window){flush, make}, 0, KIB(64));
    guest_fini(&guest);
}

/* Other memory was nobody's until now: it is cleaned once. */
TEST_EACH(replace_by_other_memory_uncached_cleans_it_once, 2)
{
    struct guest guest;

    start(&guest, guest_setup_fwb());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA + MIB(2), RIG_RW});
    sim_clear();
    ck_assert_int_eq(s2_space_replace_linear(&guest.space, ipa_range(GIB(1), MIB(2)),
                                             pa_of(_i == 0 ? DATA : DATA + MIB(4)),
                                             RIG_RW | S2_NORMAL_NC),
                     MAPPING_OK);
    expect_cleaned(&guest, (struct window){0, first_write()}, _i == 0 ? 0 : MIB(4), MIB(2));
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), MIB(2) / GUEST_LINE);
    guest_fini(&guest);
}

/* Where stage 1 goes for the first time, alone or with all else. */
static size_t first_flush(void)
{
    return u64_min(sim_find(SIM_TLBI_VMALLE1IS, 0), sim_find(SIM_TLBI_VMALLS12E1IS, 0));
}

/* One-page areas, apart in IPA: in memory side by side, every other page, or from the top down. */
static uint64_t page_pa(int layout, uint64_t i)
{
    return DATA + KIB(4) * (layout == 0 ? i : layout == 1 ? 2 * i : GUEST_NODES - 1 - i);
}

TEST_EACH(unmap_of_many_areas_flushes_stretches_of_memory, 3)
{
    struct guest guest;

    ck_assert_uint_gt(GUEST_NODES, S2_RECLAIM_MAX);
    start(&guest, guest_setup());
    for (uint64_t i = 0; i < GUEST_NODES; i++) {
        guest_map(&guest, (struct guest_area){GIB(1) + i * KIB(8), KIB(4), page_pa(_i, i), RIG_RW});
    }
    sim_clear();
    guest_unmap(&guest, GIB(1), GUEST_NODES * KIB(8));
    ck_assert_uint_eq(guest_flushes(),
                      _i == 0 ? 1 : (GUEST_NODES + S2_RECLAIM_MAX - 1) / S2_RECLAIM_MAX);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), GUEST_NODES * KIB(4) / GUEST_LINE);
    ck_assert_uint_gt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_DSB_ISH, first_flush()));
    if (_i != 1) {
        expect_cleaned(&guest, whole_log(), 0, GUEST_NODES * KIB(4));
    }
    guest_fini(&guest);
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

TEST_EACH(changed_type_is_cleaned_between_break_and_make, RIG_COUNT(changes))
{
    const uint64_t offset = changes[_i].offset;
    const uint64_t size = changes[_i].size;
    struct guest guest;
    size_t flush, make;

    start(&guest, guest_setup());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(4), DATA, changes[_i].from});
    sim_clear();
    ck_assert_int_eq(
        s2_space_protect(&guest.space, ipa_range(GIB(1) + offset, size), changes[_i].to),
        MAPPING_OK);
    flush = guest_last_tlbi();
    expect_cleaned(&guest, whole_log(), offset, size);
    ck_assert_uint_gt(sim_find(SIM_DC_CIVAC, 0), sim_find(SIM_DSB_ISH, flush));
    ck_assert_uint_lt(first_write(), flush);
    /* Each is made only when its own lines are gone: nothing is cleaned after the last make. */
    make = write_after(flush);
    ck_assert_uint_ne(make, SIM_NONE);
    ck_assert_uint_lt(sim_find(SIM_DC_CIVAC, 0), make);
    while (write_after(make + 1) != SIM_NONE) {
        make = write_after(make + 1);
    }
    ck_assert_uint_eq(sim_find(SIM_DC_CIVAC, make), SIM_NONE);
    guest_fini(&guest);
}

TEST(changed_permission_cleans_nothing)
{
    struct guest guest;

    start(&guest, guest_setup());
    guest_map(&guest, (struct guest_area){GIB(1), MIB(4), DATA, RIG_RW});
    sim_clear();
    ck_assert_int_eq(s2_space_protect(&guest.space, ipa_range(GIB(1), MIB(3)), S2_READ),
                     MAPPING_OK);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
    guest_fini(&guest);
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

TEST_EACH(executable_memory_invalidates_instruction_caches_first, RIG_COUNT(code))
{
    struct rig_setup setup = guest_setup();
    struct guest guest;

    setup.cpu.has_dic = code[_i].has_dic;
    start(&guest, setup);
    guest_map(&guest, (struct guest_area){GIB(1), MIB(2), DATA, code[_i].flags});
    ck_assert_uint_eq(sim_event_count(SIM_IC_IALLUIS), code[_i].invalidations);
    if (code[_i].invalidations > 0) {
        const size_t invalidation = sim_find(SIM_IC_IALLUIS, 0);

        ck_assert_uint_lt(sim_find(SIM_DC_CIVAC, 0), invalidation);
        ck_assert_uint_lt(sim_find(SIM_DSB_ISH, invalidation), first_write());
    }
    guest_fini(&guest);
}
