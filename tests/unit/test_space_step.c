/*
 * test_space_step.c - changes to a space in steps: areas and tables as the verb leaves them, memory
 * cleaned within the budget, no node or frame missing where the pause does not need one.
 */
#include "stage2/space/step.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/step_fixture.h"
#include "tests/unit/test.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

#define SUITE "space_step"

static struct guest guest;

/* Pages and blocks; two areas that are alike and touch, one of its own flags, a hole, and two that
 * only a fold joins. */
static const struct guest_area layout[] = {
    {MIB(2), MIB(1), RIG_DATA, RIG_RW},
    {MIB(3), MIB(3), RIG_DATA + MIB(1), RIG_RW},
    {MIB(6), KIB(64), RIG_DATA + MIB(8), S2_READ},
    {MIB(8), KIB(40), RIG_DATA + MIB(32), RIG_RW | S2_CAP_PAGES},
    {MIB(8) + KIB(40), MIB(2) - KIB(40), RIG_DATA + MIB(32) + KIB(40), RIG_RW | S2_CAP_PAGES},
    {MIB(12), KIB(8), RIG_DATA + MIB(16), RIG_RW},
};

#define LAYOUT_AREAS COUNT(layout)

static void start(struct rig_setup setup, size_t nodes)
{
    guest_init(&guest, setup, nodes, 0);
}

static void build(void)
{
    guest_map_all(&guest, layout, LAYOUT_AREAS);
}

static void clear_all(void)
{
    guest_unmap(&guest, 0, UINT64_C(1) << 40);
}

static const struct kind {
    enum guest_verb verb;
    const char *name;
} kinds[] = {{GUEST_UNMAP, "unmap"}, {GUEST_PROTECT, "protect"}, {GUEST_FOLD, "fold"}};

#define KINDS (int)COUNT(kinds)

static enum mapping_error take_step(enum guest_verb verb, struct s2_cursor *cursor, size_t budget)
{
    enum mapping_error error;

    rig_poison_free(&guest.rig);
    error = guest_step(&guest.space, verb, cursor, S2_READ, budget);
    monitor_quiesce(guest.rig.monitor);
    return error;
}

/* --- The same in the end --------------------------------------------------------------------- */

struct likeness {
    struct portrait tables;
    struct memory_area areas[GUEST_NODES];
    size_t count;
};

static void likeness_take(struct likeness *likeness)
{
    portrait_take(&likeness->tables, s2_space_table(&guest.space));
    likeness->count = guest_list(&guest, likeness->areas);
}

static void likeness_assert_same(const struct likeness *likeness, const char *what, size_t budget)
{
    struct memory_area areas[GUEST_NODES];

    portrait_assert_same(&likeness->tables, s2_space_table(&guest.space), what, budget);
    ck_assert_uint_eq(guest_list(&guest, areas), likeness->count);
    for (size_t i = 0; i < likeness->count; i++) {
        ck_assert(ipa_range_eq(areas[i].range, likeness->areas[i].range));
        ck_assert_uint_eq(areas[i].flags, likeness->areas[i].flags);
    }
}

/* At each pause all is sound; of the shortest steps every fourth is looked at. */
static void run_steps(enum guest_verb verb, struct ipa_range range, size_t budget)
{
    struct s2_cursor cursor = s2_cursor(range);

    for (size_t steps = 1; !s2_cursor_is_done(&cursor); steps++) {
        const ipa_t at = cursor.next;

        MUST(take_step(verb, &cursor, budget));
        ck_assert(ipa_lt(at, cursor.next));
        ck_assert((budget < 3 && steps % 4 != 0) || s2_space_check(&guest.space));
    }
    ck_assert(s2_space_check(&guest.space));
}

/* Whole areas, ends inside areas, ends inside a block, everything, ends between two that are
 * alike. */
static const struct ipa_range ranges[] = {
    IPA_RANGE_INIT(MIB(2), MIB(10)),
    IPA_RANGE_INIT(MIB(2) + KIB(4), MIB(6) + KIB(8)),
    IPA_RANGE_INIT(MIB(4) + KIB(12), KIB(400)),
    IPA_RANGE_INIT(0, UINT64_C(1) << 40),
    IPA_RANGE_INIT(MIB(8), MIB(2)),
    IPA_RANGE_INIT(MIB(8), KIB(40)),
    IPA_RANGE_INIT(MIB(8) + KIB(40), MIB(1)),
};

TEST_EACH(step_of_a_space_leaves_what_the_verb_leaves, KINDS *COUNT(ranges))
{
    const struct kind *kind = &kinds[_i % KINDS];
    const struct ipa_range range = ranges[_i / KINDS];
    struct likeness whole;

    start(guest_setup_fwb(), GUEST_NODES);
    build();
    MUST(guest_call(&guest.space, kind->verb,
                    (struct guest_area){range.start.raw, range.size, 0, S2_READ}));
    likeness_take(&whole);
    clear_all();
    for (size_t budget = 0; budget < 600; budget += 1 + budget / 3) {
        build();
        run_steps(kind->verb, range, budget);
        likeness_assert_same(&whole, kind->name, budget);
        clear_all();
    }
    build();
    run_steps(kind->verb, range, S2_STEP_ALL);
    likeness_assert_same(&whole, kind->name, S2_STEP_ALL);
    portrait_free(&whole.tables);
    guest_fini(&guest);
}

/* At each pause an area is in two parts at most, however many pauses there were. */
TEST(step_protect_needs_one_node_however_often_it_pauses)
{
    start(guest_setup_fwb(), 3);
    guest_map(&guest, (struct guest_area){MIB(2), KIB(400), RIG_DATA, RIG_RW});
    run_steps(GUEST_PROTECT, ipa_range(MIB(2), KIB(400)), 1);
    guest_assert(&guest, (struct guest_area[]){{MIB(2), KIB(400), RIG_DATA, S2_READ}}, 1);
    guest_fini(&guest);
}

/* Every other call that the space takes may come between two steps: here one that takes the
 * node. */
TEST_EACH(step_without_a_node_undoes_itself_alone, 2)
{
    const enum guest_verb kind = _i == 0 ? GUEST_UNMAP : GUEST_PROTECT;
    struct s2_cursor cursor = s2_cursor(ipa_range(MIB(2) + KIB(4), KIB(396)));
    struct guest_snapshot before;

    start(guest_setup_fwb(), kind == GUEST_UNMAP ? 2 : 3);
    guest_map(&guest, (struct guest_area){MIB(2), KIB(400), RIG_DATA, RIG_RW});
    if (kind == GUEST_PROTECT) {
        MUST(take_step(kind, &cursor, 10));
    } else {
        guest_map(&guest, (struct guest_area){MIB(4), KIB(4), RIG_DATA + MIB(2), RIG_RW});
    }
    rig_poison_free(&guest.rig);
    guest_snapshot_take(&before, &guest);
    sim_clear();
    ck_assert_int_eq(take_step(kind, &cursor, 10), MAPPING_NO_NODE);
    ck_assert_uint_eq(sim_change_count(), 0);
    guest_snapshot_assert_same(&before, &guest);
    guest_snapshot_free(&before);
    MUST(take_step(kind, &cursor, S2_STEP_ALL));
    ck_assert(s2_cursor_is_done(&cursor));
    guest_fini(&guest);
}

TEST(step_of_a_space_over_a_bad_range_is_refused)
{
    static const struct ipa_range bad[] = {
        IPA_RANGE_INIT(KIB(2), KIB(4)),
        IPA_RANGE_INIT(KIB(4), 0),
        IPA_RANGE_INIT(UINT64_C(1) << 40, KIB(4)),
        IPA_RANGE_INIT(UINT64_MAX - KIB(4) + 1, KIB(8)),
    };
    struct s2_cursor cursor;

    start(guest_setup_fwb(), GUEST_NODES);
    build();
    for (size_t i = 0; i < COUNT(bad) * KINDS; i++) {
        cursor = s2_cursor(bad[i / KINDS]);
        ck_assert(!s2_cursor_is_done(&cursor));
        ck_assert_int_eq(take_step(kinds[i % KINDS].verb, &cursor, 10), MAPPING_INVALID_PARAM);
    }
    cursor = s2_cursor(ipa_range(MIB(2), MIB(1)));
    ck_assert_int_eq(s2_space_protect_step(&guest.space, &cursor, S2_DEVICE_nGnRE | S2_EXEC, 10),
                     MAPPING_DENIED);
    guest_assert(&guest, layout, LAYOUT_AREAS);
    guest_fini(&guest);
}

/* --- Bounds ---------------------------------------------------------------------------------- */

/* An area costs one, whether it is changed or not, and the holes between them nothing. */
TEST_EACH(step_of_a_space_counts_areas, KINDS)
{
    const enum guest_verb kind = kinds[_i % KINDS].verb;
    struct s2_cursor cursor = s2_cursor(ipa_range(0, GIB(2)));
    size_t steps = 0;

    start(guest_setup_fwb(), GUEST_NODES);
    for (uint64_t i = 0; i < 12; i++) {
        guest_map(&guest,
                  (struct guest_area){i * MIB(64), MIB(2), RIG_DATA + 2 * i * MIB(2), S2_READ});
    }
    while (!s2_cursor_is_done(&cursor)) {
        MUST(take_step(kind, &cursor, 8));
        steps++;
    }
    /* Seen: the way down to a block, and the block; protected they already are. */
    ck_assert_uint_ge(steps, kind == GUEST_PROTECT ? 2 : 4);
    ck_assert_uint_le(steps, kind == GUEST_PROTECT ? 2 : 12);
    guest_fini(&guest);
}

#define NC_SIZE MIB(4)

static void start_uncached(mapping_flags_t build_flags)
{
    guest_init(&guest, guest_setup(), GUEST_NODES, NC_SIZE);
    guest_map(&guest,
              (struct guest_area){MIB(4), NC_SIZE, RIG_DATA, RIG_RW | S2_NORMAL_NC | build_flags});
    sim_clear();
}

/* A table of pages is left for page after page, if cleaning it all would take too long; a block is
 * never torn for that. Unmapped, or given another type. */
TEST_EACH(step_cleans_within_its_budget, 4)
{
    const enum guest_verb kind = _i < 2 ? GUEST_UNMAP : GUEST_PROTECT;
    const uint64_t leaf = _i % 2 == 0 ? KIB(4) : MIB(2);
    const size_t budget = 1000;
    struct s2_cursor cursor = s2_cursor(ipa_range(MIB(4), NC_SIZE));
    size_t cleaned = 0;

    start_uncached(_i % 2 == 0 ? S2_CAP_PAGES | S2_NO_CONTIGUOUS : 0);
    while (!s2_cursor_is_done(&cursor)) {
        size_t lines;

        sim_clear();
        MUST(take_step(kind, &cursor, budget));
        lines = sim_event_count(SIM_DC_CIVAC);
        ck_assert_uint_gt(lines, 0);
        ck_assert_uint_le(lines, leaf / GUEST_LINE > budget ? leaf / GUEST_LINE : budget);
        ck_assert_uint_lt(guest_last_tlbi(), sim_find(SIM_DC_CIVAC, 0));
        cleaned += lines;
    }
    ck_assert_uint_eq(cleaned, NC_SIZE / GUEST_LINE);
    guest_fini(&guest);
}

/* --- Fini ------------------------------------------------------------------------------------ */

static void end(void)
{
    rig_fini_machine(&guest.rig);
    free(guest.memory.bytes);
}

/* All lines once, after the VMID is gone, no more a step than the budget or a granule; and the
 * frames come back though nothing is cleaned yet. */
TEST_EACH(fini_in_steps_cleans_every_line_once, 9)
{
    static const size_t budgets[] = {0, 1, 63, 64, 65, 1000, 5000, 100000, S2_STEP_ALL};
    const size_t budget = budgets[_i];
    const size_t most = budget > KIB(4) / GUEST_LINE ? budget : KIB(4) / GUEST_LINE;
    bool is_last = false;
    size_t cleaned = 0;

    start_uncached(S2_CAP_PAGES);
    rig_dismiss(&guest.rig, s2_space_table(&guest.space));
    sim_clear();
    while (!is_last) {
        const size_t before = sim_event_count(SIM_DC_CIVAC);

        MUST(s2_space_fini_step(&guest.space, budget, &is_last));
        cleaned = sim_event_count(SIM_DC_CIVAC);
        ck_assert_uint_le(cleaned - before, most);
    }
    ck_assert_uint_eq(cleaned, NC_SIZE / GUEST_LINE);
    ck_assert_uint_eq(guest_flushes(), 1);
    ck_assert_uint_lt(guest_last_tlbi(), sim_find(SIM_DC_CIVAC, 0));
    end();
}

/* A budget of nothing does a granule all the same, also where that is less than a line. */
TEST_EACH(fini_step_of_no_budget_ends_where_lines_exceed_granules, 6)
{
    struct rig_setup setup = guest_setup();
    bool is_done = false;

    setup.cpu.dcache_line = 4096U << _i;
    guest_init(&guest, setup, GUEST_NODES, MIB(1));
    guest_map(&guest, (struct guest_area){MIB(4), KIB(64), RIG_DATA, RIG_RW | S2_NORMAL_NC});
    rig_dismiss(&guest.rig, s2_space_table(&guest.space));
    for (size_t steps = 0; !is_done; steps++) {
        ck_assert_uint_lt(steps, 2000);
        MUST(s2_space_fini_step(&guest.space, 0, &is_done));
    }
    ck_assert_uint_gt(sim_event_count(SIM_DC_CIVAC), 0);
    end();
}

/* What write-back is forced on needs no cleaning: a step for some areas, and that is all. */
TEST(fini_in_steps_of_forced_write_back_cleans_nothing)
{
    size_t steps = 0;
    bool is_done = false;

    start(guest_setup_fwb(), GUEST_NODES);
    build();
    rig_dismiss(&guest.rig, s2_space_table(&guest.space));
    while (!is_done) {
        MUST(s2_space_fini_step(&guest.space, 600, &is_done));
        steps++;
    }
    ck_assert_uint_le(steps, 5);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CIVAC), 0);
    end();
}

TEST_EACH_DIES(call_after_the_first_step_of_a_spaces_fini_dies, GUEST_FOLD + 2)
{
    struct s2_cursor cursor = s2_cursor(ipa_range(0, KIB(4)));
    struct s2_leaf leaf;
    bool is_done = false;

    start(guest_setup_fwb(), GUEST_NODES);
    build();
    MUST(s2_space_fini_step(&guest.space, 1, &is_done));
    ck_assert(!is_done);
    (void)!(_i <= GUEST_PROTECT ? guest_call(&guest.space, (enum guest_verb)_i,
                                             (struct guest_area){0, KIB(4), 0, 0})
            : _i == GUEST_FOLD  ? guest_step(&guest.space, GUEST_FOLD, &cursor, 0, 1)
                                : s2_space_lookup(&guest.space, cursor.next, &leaf));
}
