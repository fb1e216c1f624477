/*
 * test_space_returned.c - two promises of every call on a space: what it returned for is gone for all
 * CPUs, whoever took it away; and it reaches what hardware has changed, though no area shows it.
 */
#include "stage2/space/batch.h"
#include "stage2/space/step.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "space_returned"

static struct guest guest;
static struct s2_batch batch;

#define PAGE KIB(4)
#define AT GIB(1)
#define PAGES 8
#define MUST(call) ck_assert_int_eq(call, MAPPING_OK)

/* --- The calls ------------------------------------------------------------------------------- */

static enum mapping_error unmap(struct ipa_range range)
{
    return s2_space_unmap(&guest.space, range);
}

static enum mapping_error protect_read(struct ipa_range range)
{
    return s2_space_protect(&guest.space, range, S2_READ);
}

static enum mapping_error unmap_step(struct ipa_range range)
{
    struct s2_cursor cursor = s2_cursor(range);

    return s2_space_unmap_step(&guest.space, &cursor, 1);
}

static enum mapping_error protect_read_step(struct ipa_range range)
{
    struct s2_cursor cursor = s2_cursor(range);

    return s2_space_protect_step(&guest.space, &cursor, S2_READ, 1);
}

static enum mapping_error fold(struct ipa_range range)
{
    return s2_space_fold(&guest.space, range);
}

static enum mapping_error fold_step(struct ipa_range range)
{
    struct s2_cursor cursor = s2_cursor(range);

    return s2_space_fold_step(&guest.space, &cursor, 1);
}

typedef enum mapping_error (*call_fn)(struct ipa_range range);

static const call_fn calls[] = {unmap, protect_read, unmap_step, protect_read_step,
                                fold,  fold_step};

static enum mapping_error batch_unmap(struct ipa_range range)
{
    return s2_batch_unmap(&batch, &guest.space, range);
}

static enum mapping_error batch_protect(struct ipa_range range)
{
    return s2_batch_protect(&batch, &guest.space, range, S2_READ);
}

static const call_fn batched[] = {batch_unmap, batch_protect};

/* --- Returned means gone --------------------------------------------------------------------- */

static struct ipa_range page_at(uint64_t page)
{
    return ipa_range(AT + page * PAGE, PAGE);
}

static void start(struct rig_setup setup)
{
    guest_init(&guest, setup, GUEST_NODES, PAGES * PAGE);
    guest_map(&guest, (struct guest_area){AT, PAGES * PAGE, RIG_DATA, RIG_RW | S2_NO_CONTIGUOUS});
    sim_clear();
    batch = (struct s2_batch)S2_BATCH_INIT;
    s2_batch_begin(&batch);
}

/* The batch is ended. */
static void stop(void)
{
    monitor_quiesce(guest.rig.monitor);
    ck_assert(s2_space_check(&guest.space));
    guest_fini(&guest);
}

/* A batch takes the page away, or the right to write it. Then whoever asks for the same, and finds it
 * done, may rely on it. */
TEST_EACH(call_that_finds_nothing_to_change_flushes_what_a_batch_deferred_on_its_range,
          4 * (int)RIG_COUNT(calls))
{
    const call_fn call = calls[_i / 4];
    const bool is_fwb = _i % 2 == 0;

    start(is_fwb ? guest_setup_fwb() : guest_setup());
    MUST(batched[_i / 2 % 2](page_at(1)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    ck_assert(s2_table_has_deferred(&guest.space.table));
    MUST(call(page_at(1)));
    ck_assert(!s2_table_has_deferred(&guest.space.table));
    ck_assert_uint_ge(guest_flushes(), 1);
    if (_i / 2 % 2 == 0) {
        ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), is_fwb ? 0 : PAGE / GUEST_LINE);
    }
    s2_batch_end(&batch);
    stop();
}

/* Also of a range with more in it than what the batch took. */
TEST_EACH(call_over_a_hole_and_more_flushes_what_a_batch_deferred, RIG_COUNT(calls))
{
    start(guest_setup());
    MUST(batch_unmap(page_at(1)));
    MUST(calls[_i](ipa_range(AT, PAGES * PAGE)));
    ck_assert(!s2_table_has_deferred(&guest.space.table));
    s2_batch_end(&batch);
    stop();
}

/* Nothing is deferred: nothing is sent. */
TEST_EACH(call_that_finds_nothing_to_change_sends_nothing_if_nothing_is_deferred, RIG_COUNT(calls))
{
    start(guest_setup());
    guest_unmap(&guest, AT + PAGE, PAGE);
    sim_clear();
    MUST(calls[_i](page_at(1)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
    s2_batch_end(&batch);
    stop();
}

/* --- What hardware has changed --------------------------------------------------------------- */

#define BIT_AF UINT64_C(0x400)
#define BIT_DIRTY UINT64_C(0x80)

/* How an area begins, and what hardware sets in its leaves. */
static const struct state {
    mapping_flags_t flags;
    uint64_t bits;
} states[] = {
    {S2_READ | S2_DBM, BIT_DIRTY},
    {S2_READ | S2_NO_AF, BIT_AF},
    {S2_READ | S2_DBM | S2_NO_AF, BIT_AF | BIT_DIRTY},
    {RIG_RW | S2_DBM | S2_NO_AF, BIT_AF},
};

enum way { PLAIN, STEP, BATCH, WAYS };

static enum mapping_error protect_by(enum way way, struct ipa_range range, mapping_flags_t flags)
{
    struct s2_cursor cursor = s2_cursor(range);
    enum mapping_error error = MAPPING_OK;

    switch (way) {
    case PLAIN:
        return s2_space_protect(&guest.space, range, flags);
    case STEP:
        while (error == MAPPING_OK && !s2_cursor_is_done(&cursor)) {
            error = s2_space_protect_step(&guest.space, &cursor, flags, 3);
        }
        return error;
    case BATCH:
    case WAYS:
        break;
    }
    return s2_batch_protect(&batch, &guest.space, range, flags);
}

static void start_tracked(const struct state *state, size_t nodes)
{
    struct rig_setup setup = guest_setup_fwb();

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    guest_init(&guest, setup, nodes, 0);
    guest_map(&guest,
              (struct guest_area){AT, PAGES * PAGE, RIG_DATA, state->flags | S2_NO_CONTIGUOUS});
    for (uint64_t i = 0; i < PAGES; i++) {
        rig_slot(&guest.rig, s2_space_table(&guest.space), AT + i * PAGE)->raw |= state->bits;
    }
    monitor_quiesce(guest.rig.monitor);
    sim_clear();
    batch = (struct s2_batch)S2_BATCH_INIT;
    s2_batch_begin(&batch);
}

/* One node is all there is: an area that would be split could not be. */
TEST_EACH(protect_to_the_flags_that_an_area_has_rearms_its_leaves, WAYS *(int)RIG_COUNT(states))
{
    const struct state *state = &states[_i / WAYS];
    const uint64_t first = 2, count = 3;

    start_tracked(state, 1);
    MUST(protect_by((enum way)(_i % WAYS), ipa_range(AT + first * PAGE, count * PAGE),
                    state->flags));
    for (uint64_t i = 0; i < PAGES; i++) {
        const bool is_rearmed = i >= first && i < first + count;
        const s2_desc_t *slot = rig_slot(&guest.rig, s2_space_table(&guest.space), AT + i * PAGE);

        ck_assert_uint_eq(slot->raw & state->bits, is_rearmed ? 0 : state->bits);
    }
    ck_assert_uint_eq(memory_set_len(s2_space_areas(&guest.space)), 1);
    s2_batch_end(&batch);
    ck_assert_uint_ge(guest_flushes(), 1);
    stop();
}

/* Where hardware cannot have changed anything, nobody looks. */
TEST_EACH(protect_to_the_flags_that_an_area_has_is_free_where_hardware_changes_nothing, WAYS)
{
    struct rig_setup setup = guest_setup_fwb();

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    start(setup);
    MUST(protect_by((enum way)_i, ipa_range(AT, PAGES * PAGE), RIG_RW));
    ck_assert_uint_eq(sim_event_total(), 0);
    s2_batch_end(&batch);
    stop();
}

/* --- Batches --------------------------------------------------------------------------------- */

TEST(begin_over_an_open_batch_flushes_what_it_deferred)
{
    start(guest_setup());
    MUST(batch_unmap(page_at(1)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    s2_batch_begin(&batch);
    ck_assert(!s2_table_has_deferred(&guest.space.table));
    ck_assert_uint_eq(guest_flushes(), 1);
    MUST(batch_unmap(page_at(2)));
    s2_batch_end(&batch);
    ck_assert_uint_eq(guest_flushes(), 2);
    stop();
}
