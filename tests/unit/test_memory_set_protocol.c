/*
 * test_memory_set_protocol.c - how operations call backends, and what refusals lead to.
 */
#include "core/memory_set.h"
#include "tests/unit/set_fixture.h"
#include "tests/unit/test.h"

#define SUITE "memory_set_protocol"

static struct set_fixture f;
static const struct mock_faults no_faults;

/* ---- the table of overlaps, with each of its calls refused ---- */

TEST_EACH(refuse_begin_changes_nothing_and_is_not_ended, set_case_count)
{
    const struct set_case *entry = &set_cases[_i];
    struct mock_faults faults = {.begin = 1};
    enum mapping_error expected = entry->pieces == 0 ? MAPPING_OK : MOCK_BEGIN_ERROR;

    fixture_draw(&f, entry->before, FIXTURE_NODES, MOCK_HOLDING);
    ck_assert_int_eq(fixture_run(&f, entry, MOCK_HOLDING, faults), expected);
    ck_assert_uint_eq(f.table.event_count, entry->pieces == 0 ? 0 : 1);
    fixture_assert(&f, entry->before, expected);
}

TEST_EACH(refuse_each_reserve_changes_nothing, set_case_count)
{
    const struct set_case *entry = &set_cases[_i];

    for (size_t n = 1; n <= entry->pieces; n++) {
        struct mock_faults faults = {.reserve = n};

        fixture_draw(&f, entry->before, FIXTURE_NODES, MOCK_HOLDING);
        ck_assert_int_eq(fixture_run(&f, entry, MOCK_HOLDING, faults), MOCK_RESERVE_ERROR);
        ck_assert_uint_eq(f.table.call_count[MOCK_RESERVE], n);
        ck_assert_uint_eq(f.table.change_count, 0);
        fixture_assert(&f, entry->before, MOCK_RESERVE_ERROR);
    }
}

/* What the cells would be after the first @count changes of a run without refusals. */
static void assert_changes_are_prefix(const struct mock_table *whole, size_t count)
{
    size_t seen = 0;

    for (size_t i = 0; i < f.table.event_count; i++) {
        const struct mock_event *event = &f.table.event[i];

        if (event->call < MOCK_MAP || event->call > MOCK_PROTECT || event->answer != MAPPING_OK) {
            continue;
        }
        ck_assert_int_eq(event->call, whole->event[i].call);
        ck_assert(ipa_range_eq(event->change.range, whole->event[i].change.range));
        seen++;
    }
    ck_assert_uint_eq(seen, count);
}

TEST_EACH(refuse_each_change_first_passes_through_later_is_bad_state, 2 * set_case_count)
{
    static struct mock_table whole;
    const struct set_case *entry = &set_cases[_i / 2];
    enum mock_kind kind = _i % 2 == 0 ? MOCK_PLAIN : MOCK_HOLDING;

    fixture_draw(&f, entry->before, FIXTURE_NODES, kind);
    ck_assert_int_eq(fixture_run(&f, entry, kind, no_faults), MAPPING_OK);
    whole = f.table;
    for (size_t n = 1; n <= entry->pieces; n++) {
        struct mock_faults faults = {.change = n};
        enum mapping_error answer;

        fixture_draw(&f, entry->before, FIXTURE_NODES, kind);
        answer = fixture_run(&f, entry, kind, faults);
        ck_assert_int_eq(answer, n == 1 ? MOCK_CHANGE_ERROR : MAPPING_BAD_STATE);
        ck_assert(memory_set_check(&f.set));
        ck_assert(mock_table_agrees(&f.table, &f.set));
        ck_assert_msg(mock_table_is_lawful(&f.table, answer), "%s", f.table.broken_law);
        assert_changes_are_prefix(&whole, n - 1);
        if (n == 1) {
            fixture_assert(&f, entry->before, answer);
        }
    }
}

/* ---- the only piece ---- */

/* Taken: nothing else is called. Declined: all that would be without. Of several pieces none is
 * asked about. */
TEST_EACH(change_of_one_piece_is_the_backends_to_take_or_decline, 2 * set_case_count)
{
    const struct set_case *entry = &set_cases[_i / 2];
    const struct mock_faults faults = {.only = _i % 2 != 0};
    bool is_taken;

    fixture_draw(&f, entry->before, FIXTURE_NODES, MOCK_EAGER);
    ck_assert_int_eq(fixture_run(&f, entry, MOCK_EAGER, faults), MAPPING_OK);
    fixture_assert(&f, entry->after, MAPPING_OK);
    is_taken = f.table.call_count[MOCK_ONLY] > 0 && !faults.only;
    ck_assert_uint_le(f.table.call_count[MOCK_ONLY], entry->pieces == 1 ? 1 : 0);
    ck_assert_uint_eq(f.table.call_count[MOCK_RESERVE], is_taken ? 0 : entry->pieces);
    ck_assert_uint_eq(f.table.change_count, entry->pieces);
    ck_assert(!is_taken || f.table.event_count == 1);
}

/* Where the area that the range begins in goes on to its end, or nothing is there. */
TEST_EACH(backend_is_asked_for_the_only_piece, 6)
{
    static const struct set_case one[] = {
        {CASE_UNMAP, 0, "Aaaa.Bb", 0, 4, ".....Bb", 2, 1},
        {CASE_UNMAP, 0, "Aaaa.Bb", 1, 2, "A..A.Bb", 3, 1},
        {CASE_PROTECT, 'c', "Aaaa.Bb", 0, 4, "Cccc.Bb", 2, 1},
        {CASE_PROTECT, 'c', "Aaaa.Bb", 2, 2, "AaCc.Bb", 3, 1},
        {CASE_REPLACE, 'c', "Aaaa..Bb", 4, 2, "AaaaCcBb", 3, 1},
        {CASE_CLEAR, 0, "..Aaaa", 0, 6, "", 1, 1},
    };

    fixture_draw(&f, one[_i].before, FIXTURE_NODES, MOCK_EAGER);
    ck_assert_int_eq(fixture_run(&f, &one[_i], MOCK_EAGER, no_faults), MAPPING_OK);
    fixture_assert(&f, one[_i].after, MAPPING_OK);
    ck_assert_uint_eq(f.table.event_count, 1);
    ck_assert_uint_eq(f.table.call_count[MOCK_ONLY], 1);
}

/* ---- call by call ---- */

struct expected_event {
    enum mock_call call;
    enum mapping_step step;
    unsigned first;
    unsigned size;
    char old_letter;
    char new_letter;
};

static mapping_flags_t flags_or_0(char letter)
{
    return letter == 0 ? 0 : fixture_flags(letter);
}

static void assert_events(const struct expected_event expected[], size_t count)
{
    ck_assert_uint_eq(f.table.event_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct mock_event *event = &f.table.event[i];

        ck_assert_int_eq(event->call, expected[i].call);
        if (event->call == MOCK_BEGIN || event->call == MOCK_END) {
            continue;
        }
        ck_assert_int_eq(event->change.step, expected[i].step);
        ck_assert(
            ipa_range_eq(event->change.range, fixture_range(expected[i].first, expected[i].size)));
        ck_assert_uint_eq(event->change.old_flags, flags_or_0(expected[i].old_letter));
        ck_assert_uint_eq(event->change.new_flags, flags_or_0(expected[i].new_letter));
    }
}

TEST(replace_calls_begin_reserves_changes_end_in_order)
{
    static const struct set_case entry = {CASE_REPLACE, 'b', "AaaCccDd", 1, 4, "ABbbbCDd", 4, 3};
    static const struct expected_event expected[] = {
        {MOCK_BEGIN, MAPPING_STEP_MAP, 0, 0, 0, 0},
        {MOCK_RESERVE, MAPPING_STEP_UNMAP, 1, 2, 'a', 0},
        {MOCK_RESERVE, MAPPING_STEP_UNMAP, 3, 2, 'c', 0},
        {MOCK_RESERVE, MAPPING_STEP_MAP, 1, 4, 0, 'b'},
        {MOCK_UNMAP, MAPPING_STEP_UNMAP, 1, 2, 0, 0},
        {MOCK_UNMAP, MAPPING_STEP_UNMAP, 3, 2, 0, 0},
        {MOCK_MAP, MAPPING_STEP_MAP, 1, 4, 0, 'b'},
        {MOCK_END, MAPPING_STEP_MAP, 0, 0, 0, 0},
    };

    fixture_draw(&f, entry.before, FIXTURE_NODES, MOCK_HOLDING);
    ck_assert_int_eq(fixture_run(&f, &entry, MOCK_HOLDING, no_faults), MAPPING_OK);
    assert_events(expected, 8);
    ck_assert_int_eq(f.table.event[7].answer, MAPPING_OK);
}

TEST(protect_calls_begin_reserves_changes_end_in_order)
{
    static const struct set_case entry = {CASE_PROTECT, 'b', "AaaXxCcc", 1, 6, "", 5, 2};
    static const struct expected_event expected[] = {
        {MOCK_BEGIN, MAPPING_STEP_MAP, 0, 0, 0, 0},
        {MOCK_RESERVE, MAPPING_STEP_PROTECT, 1, 2, 'a', 'b'},
        {MOCK_RESERVE, MAPPING_STEP_PROTECT, 5, 2, 'c', 'b'},
        {MOCK_PROTECT, MAPPING_STEP_PROTECT, 1, 2, 0, 'b'},
        {MOCK_PROTECT, MAPPING_STEP_PROTECT, 5, 2, 0, 'b'},
        {MOCK_END, MAPPING_STEP_MAP, 0, 0, 0, 0},
    };

    fixture_draw(&f, entry.before, FIXTURE_NODES, MOCK_HOLDING);
    ck_assert_int_eq(fixture_run(&f, &entry, MOCK_HOLDING, no_faults), MAPPING_OK);
    assert_events(expected, 6);
}

TEST(unmap_over_mixed_backends_holds_for_those_that_can)
{
    static const struct expected_event expected[] = {
        {MOCK_BEGIN, MAPPING_STEP_MAP, 0, 0, 0, 0},
        {MOCK_RESERVE, MAPPING_STEP_UNMAP, 2, 2, 'b', 0},
        {MOCK_RESERVE, MAPPING_STEP_UNMAP, 6, 1, 'd', 0},
        {MOCK_UNMAP, MAPPING_STEP_UNMAP, 1, 1, 0, 0},
        {MOCK_UNMAP, MAPPING_STEP_UNMAP, 2, 2, 0, 0},
        {MOCK_UNMAP, MAPPING_STEP_UNMAP, 4, 2, 0, 0},
        {MOCK_UNMAP, MAPPING_STEP_UNMAP, 6, 1, 0, 0},
        {MOCK_END, MAPPING_STEP_MAP, 0, 0, 0, 0},
    };

    fixture_draw(&f, "Aa", FIXTURE_NODES, MOCK_PLAIN);
    for (unsigned i = 1; i < 4; i++) {
        struct memory_area area = fixture_area(2 * (uint64_t)i, 2, (char)('a' + (int)i),
                                               i % 2 == 0 ? MOCK_PLAIN : MOCK_HOLDING);

        mock_table_arm(&f.table, no_faults);
        ck_assert_int_eq(memory_set_map(&f.set, area, &f.table, OVERLAP_REJECT), MAPPING_OK);
    }
    mock_table_arm(&f.table, no_faults);
    ck_assert_int_eq(memory_set_unmap(&f.set, fixture_range(1, 6), &f.table), MAPPING_OK);
    assert_events(expected, 8);
    fixture_assert(&f, "A......D", MAPPING_OK);
}

TEST(operate_on_holes_calls_nobody)
{
    char letter = 'b';

    fixture_draw(&f, "Aa..Aa", FIXTURE_NODES, MOCK_HOLDING);
    ck_assert_int_eq(memory_set_unmap(&f.set, fixture_range(2, 2), &f.table), MAPPING_OK);
    ck_assert_int_eq(
        memory_set_protect(&f.set, fixture_range(2, 2), fixture_update, &letter, &f.table),
        MAPPING_OK);
    ck_assert_uint_eq(f.table.event_count, 0);
}

/* ---- the judge is judged: sequences that the mock must find lawful, or not ---- */

struct played_call {
    enum mock_call call; /* MOCK_END + 1 ends the list */
    enum mapping_step step;
    unsigned first;
    unsigned size;
};

#define LAST                                                \
    {                                                       \
        (enum mock_call) MOCK_CALLS, MAPPING_STEP_MAP, 0, 0 \
    }
#define OPEN                               \
    {                                      \
        MOCK_BEGIN, MAPPING_STEP_MAP, 0, 0 \
    }
#define CLOSE                            \
    {                                    \
        MOCK_END, MAPPING_STEP_MAP, 0, 0 \
    }

static void play(const struct played_call *played)
{
    struct mapping_backend backend = mock_backend(MOCK_EAGER, FIXTURE_COOKIE);

    for (; played->call < MOCK_CALLS; played++) {
        struct ipa_range range = fixture_range(played->first, played->size);
        struct mapping_change change = {played->step, range, 0, 0};

        switch (played->call) {
        case MOCK_BEGIN:
            ck_assert_int_eq(backend.ops->begin(&f.table), MAPPING_OK);
            break;
        case MOCK_RESERVE:
            ck_assert_int_eq(backend.ops->reserve(&backend, &change, &f.table), MAPPING_OK);
            break;
        case MOCK_MAP:
            ck_assert_int_eq(backend.ops->map(&backend, range, 0, &f.table), MAPPING_OK);
            break;
        case MOCK_UNMAP:
            ck_assert_int_eq(backend.ops->unmap(&backend, range, &f.table), MAPPING_OK);
            break;
        case MOCK_PROTECT:
            ck_assert_int_eq(backend.ops->protect(&backend, range, 0, &f.table), MAPPING_OK);
            break;
        case MOCK_END:
            backend.ops->end(&f.table, MAPPING_OK);
            break;
        case MOCK_ONLY:
            ck_assert(backend.ops->only(&backend, &change, &f.table));
            break;
        }
    }
}

#define HOLD_MAP(first, size)                       \
    {                                               \
        MOCK_RESERVE, MAPPING_STEP_MAP, first, size \
    }
#define DO_MAP(first, size)                     \
    {                                           \
        MOCK_MAP, MAPPING_STEP_MAP, first, size \
    }

#define ONLY_MAP(first, size)                    \
    {                                            \
        MOCK_ONLY, MAPPING_STEP_MAP, first, size \
    }

TEST_EACH(good_sequence_is_lawful, 3)
{
    static const struct played_call good[][6] = {
        {OPEN, HOLD_MAP(0, 4), DO_MAP(0, 4), CLOSE, LAST},
        {OPEN, CLOSE, LAST},
        {ONLY_MAP(0, 4), LAST},
    };

    mock_table_init(&f.table, ipa_of(FIXTURE_BASE));
    play(good[_i]);
    ck_assert(mock_table_is_lawful(&f.table, MAPPING_OK));
}

TEST_EACH(bad_sequence_is_unlawful, 12)
{
    static const struct played_call bad[][8] = {
        {OPEN, HOLD_MAP(0, 4), DO_MAP(0, 4), LAST},                        /* never ended */
        {OPEN, HOLD_MAP(0, 4), CLOSE, LAST},                               /* not done */
        {OPEN, DO_MAP(0, 4), CLOSE, LAST},                                 /* not held */
        {OPEN, HOLD_MAP(0, 4), DO_MAP(0, 2), CLOSE, LAST},                 /* held otherwise */
        {OPEN, OPEN, HOLD_MAP(0, 4), DO_MAP(0, 4), CLOSE, LAST},           /* two begins */
        {HOLD_MAP(0, 4), DO_MAP(0, 4), LAST},                              /* no begin */
        {OPEN, HOLD_MAP(0, 4), DO_MAP(0, 4), CLOSE, CLOSE, LAST},          /* two ends */
        {OPEN, HOLD_MAP(0, 4), DO_MAP(0, 4), HOLD_MAP(4, 4), CLOSE, LAST}, /* held too late */
        {OPEN, HOLD_MAP(0, 4), HOLD_MAP(4, 4), DO_MAP(0, 4), CLOSE, LAST}, /* two maps */
        {OPEN, HOLD_MAP(0, 0), DO_MAP(0, 0), CLOSE, LAST},                 /* an empty piece */
        {OPEN, {MOCK_RESERVE, MAPPING_STEP_UNMAP, 0, 4}, CLOSE, LAST},     /* nothing there */
        {{MOCK_UNMAP, MAPPING_STEP_UNMAP, 0, 4}, LAST},                    /* nothing there */
    };

    ck_assert_int_eq(sizeof(bad) / sizeof(bad[0]), 12);
    mock_table_init(&f.table, ipa_of(FIXTURE_BASE));
    play(bad[_i]);
    ck_assert(!mock_table_is_lawful(&f.table, MAPPING_OK));
}

TEST(bad_books_are_unlawful)
{
    static const struct played_call behind_its_back[] = {
        OPEN, HOLD_MAP(0, 4), DO_MAP(0, 4), CLOSE, LAST,
    };

    fixture_draw(&f, "....Aa", FIXTURE_NODES, MOCK_HOLDING);
    play(behind_its_back);
    ck_assert(!mock_table_is_lawful(&f.table, MAPPING_OK));
}
