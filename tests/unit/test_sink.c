/*
 * test_sink.c - nothing that hardware wrote is lost: what a verb takes out of leaves is told to the sink,
 * once, and what it does not take out is still in them.
 */
#include "stage2/arch/sink.h"

#include "stage2/space/batch.h"
#include "stage2/space/step.h"
#include "tests/model/random.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/suites.h"
#include "tests/unit/table_runs.h"

#include <check.h>
#include <string.h>

#define CLEAN (S2_READ | S2_DBM | S2_NO_AF) /* not accessed, writable but not written */
#define DIRTY (S2_READ | S2_WRITE | S2_DBM)
#define BIT_AF UINT64_C(0x400)
#define BIT_DIRTY UINT64_C(0x80)
#define BOTH (S2_STATE_ACCESSED | S2_STATE_DIRTY)
#define TOLD_MAX 64

static struct rig rig;

/* --- What is told ---------------------------------------------------------------------------- */

static struct told {
    uint64_t ipa, size;
    unsigned state;
} told[TOLD_MAX];
static size_t told_count;

static void note(void *arg, struct ipa_range range, unsigned state)
{
    ck_assert_ptr_eq(arg, &rig);
    ck_assert_uint_ne(state, 0);
    ck_assert_uint_lt(told_count, TOLD_MAX);
    told[told_count++] = (struct told){range.start.raw, range.size, state};
}

static struct s2_sink sink_to_told(void)
{
    return (struct s2_sink){.removed = note, .arg = &rig};
}

static void assert_told(const char *name, const struct told expected[], size_t count)
{
    ck_assert_msg(told_count == count, "%s: told %zu times", name, told_count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(told[i].ipa == expected[i].ipa && told[i].size == expected[i].size &&
                          told[i].state == expected[i].state,
                      "%s: 0x%llx, 0x%llx bytes, state %u", name, (unsigned long long)told[i].ipa,
                      (unsigned long long)told[i].size, told[i].state);
    }
}

static struct rig_setup tracked_setup(const struct rig_shape *shape,
                                      enum s2_size_change size_change)
{
    struct rig_setup setup = runs_setup_of(shape);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    setup.config.size_change = size_change;
    setup.config.sink = sink_to_told();
    return setup;
}

/* --- One verb -------------------------------------------------------------------------------- */

#define AT GIB(1)
#define PAGES (S2_CAP_PAGES | S2_NO_CONTIGUOUS)

/* 4K. A mapping, an address in it that a guest writes, and a verb: what the sink hears. */
static const struct single {
    const char *name;
    struct rig_step map;
    uint64_t written; /* bytes from AT on */
    struct rig_step step;
    struct told told[2];
    size_t told_count;
} singles[] = {
    {"unmap of the page",
     {RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_UNMAP, AT + KIB(8), KIB(4), 0, 0},
     {{AT + KIB(8), KIB(4), BOTH}},
     1},
    {"unmap beside it",
     {RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_UNMAP, AT + KIB(12), KIB(4), 0, 0},
     {{0, 0, 0}},
     0},
    {"unmap of all, table and all",
     {RIG_MAP, AT, MIB(2), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_UNMAP, AT, GIB(1), 0, 0},
     {{AT + KIB(8), KIB(4), BOTH}},
     1},
    {"unmap of a run",
     {RIG_MAP, AT, KIB(128), RIG_DATA, CLEAN},
     KIB(8),
     {RIG_UNMAP, AT, KIB(128), 0, 0},
     {{AT, KIB(64), BOTH}},
     1},
    {"unmap of another member of the run",
     {RIG_MAP, AT, KIB(128), RIG_DATA, CLEAN},
     KIB(8),
     {RIG_UNMAP, AT + KIB(32), KIB(4), 0, 0},
     {{AT + KIB(32), KIB(4), BOTH}},
     1},
    {"unmap of a block",
     {RIG_MAP, AT, MIB(4), RIG_DATA, CLEAN | S2_NO_CONTIGUOUS},
     KIB(8),
     {RIG_UNMAP, AT, MIB(4), 0, 0},
     {{AT, MIB(2), BOTH}},
     1},
    {"unmap out of a block",
     {RIG_MAP, AT, MIB(4), RIG_DATA, CLEAN | S2_NO_CONTIGUOUS},
     KIB(8),
     {RIG_UNMAP, AT + MIB(1), MIB(2), 0, 0},
     {{AT + MIB(1), MIB(1), BOTH}},
     1},
    {"rearmed page",
     {RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_PROTECT, AT, KIB(64), 0, CLEAN},
     {{AT + KIB(8), KIB(4), BOTH}},
     1},
    {"page that is dirty and stays so, but is old again",
     {RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_PROTECT, AT, KIB(64), 0, DIRTY | S2_NO_AF},
     {{AT + KIB(8), KIB(4), S2_STATE_ACCESSED}},
     1},
    {"page that is accessed and dirty and stays both",
     {RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_PROTECT, AT, KIB(64), 0, DIRTY},
     {{0, 0, 0}},
     0},
    {"page that is tracked no more",
     {RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_PROTECT, AT, KIB(64), 0, RIG_RW},
     {{AT + KIB(8), KIB(4), S2_STATE_DIRTY}},
     1},
    {"rearmed run",
     {RIG_MAP, AT, KIB(128), RIG_DATA, CLEAN},
     KIB(8),
     {RIG_PROTECT, AT, KIB(128), 0, CLEAN},
     {{AT, KIB(64), BOTH}},
     1},
    {"rearmed part of a run",
     {RIG_MAP, AT, KIB(128), RIG_DATA, CLEAN},
     KIB(8),
     {RIG_PROTECT, AT + KIB(16), KIB(16), 0, CLEAN},
     {{AT + KIB(16), KIB(16), BOTH}},
     1},
    {"rearmed part of a block",
     {RIG_MAP, AT, MIB(4), RIG_DATA, CLEAN | S2_NO_CONTIGUOUS},
     KIB(8),
     {RIG_PROTECT, AT + MIB(1), MIB(2), 0, CLEAN},
     {{AT + MIB(1), MIB(1), BOTH}},
     1},
    {"page of another type",
     {RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_PROTECT, AT, KIB(64), 0, CLEAN | S2_NORMAL_NC},
     {{AT + KIB(8), KIB(4), BOTH}},
     1},
    {"replaced page",
     {RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_REPLACE, AT, KIB(64), RIG_DATA + MIB(8), 0},
     {{0, 0, 0}},
     0},
    {"folded page",
     {RIG_MAP, AT, MIB(2), RIG_DATA, CLEAN | PAGES},
     KIB(8),
     {RIG_FOLD, AT, MIB(2), 0, 0},
     {{0, 0, 0}},
     0},
};

static void write_at(uint64_t ipa)
{
    rig_slot(&rig, &rig.table, ipa)->raw |= BIT_AF | BIT_DIRTY;
}

START_TEST(verb_tells_of_the_state_that_it_takes_out)
{
    const struct single *single = &singles[_i / 2];

    rig_init(&rig,
             tracked_setup(RIG_4K_40, _i % 2 == 0 ? S2_SIZE_CHANGE_BREAK : S2_SIZE_CHANGE_DIRECT));
    rig_must(&rig, single->map);
    write_at(AT + single->written);
    rig_must(&rig, single->step);
    assert_told(single->name, single->told, single->told_count);
    rig_fini(&rig);
    ck_assert_uint_eq(told_count, single->told_count); /* the end of the guest tells nothing */
}
END_TEST

/* Two blocks of two runs, each with state of its own: what is split out of either is told what that one
 * had, and what stays of it has that, and not the other's. */
START_TEST(split_block_inherits_the_state_of_its_own_run_alone)
{
    const unsigned which = (unsigned)_i % 2;
    const uint64_t run = MIB(32);
    const struct told expected = {which == 0 ? AT + run - MIB(1) : AT + run, MIB(1), BOTH};
    struct rig_setup setup =
        tracked_setup(RIG_4K_40, _i / 2 == 0 ? S2_SIZE_CHANGE_BREAK : S2_SIZE_CHANGE_DIRECT);

    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, AT, 2 * run, RIG_DATA, CLEAN});
    write_at(AT + which * run + MIB(6));
    rig_must(&rig, (struct rig_step){RIG_UNMAP, AT + run - MIB(1), MIB(2), 0, 0});
    assert_told("split", &expected, 1);
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t left = i == 0 ? AT + run - MIB(2) : AT + run + MIB(1);

        rig_assert_leaf(&rig, &rig.table, left, RIG_DATA + (left - AT), 3,
                        i == which ? DIRTY : CLEAN);
        rig_assert_leaf(&rig, &rig.table, AT + i * run + MIB(8), RIG_DATA + i * run + MIB(8), 2,
                        i == which ? DIRTY : CLEAN);
    }
    rig_fini(&rig);
}
END_TEST

/* A run that is opened has its size changed: that is no relaxation, whatever becomes of its members. */
START_TEST(opened_run_is_invalidated_on_all_cpus)
{
    struct rig_setup setup = tracked_setup(RIG_4K_40, S2_SIZE_CHANGE_DIRECT);

    setup.config.relax = S2_RELAX_HERE;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, AT, KIB(64), RIG_DATA, S2_READ});
    sim_clear();
    rig_must(&rig, (struct rig_step){RIG_PROTECT, AT, KIB(64), 0, RIG_RW});
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLE1), 0);
    ck_assert_uint_eq(runs_flush_count(), 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(neighbours_with_equal_state_are_told_as_one)
{
    const struct told expected[] = {{AT, KIB(16), BOTH}, {AT + KIB(20), KIB(8), BOTH}};

    rig_init(&rig, tracked_setup(RIG_4K_40, S2_SIZE_CHANGE_BREAK));
    rig_must(&rig, (struct rig_step){RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES});
    for (uint64_t page = 0; page < 7; page++) {
        if (page != 4) {
            write_at(AT + page * KIB(4));
        }
    }
    rig_must(&rig, (struct rig_step){RIG_UNMAP, AT, KIB(64), 0, 0});
    assert_told("neighbours", expected, 2);
    rig_fini(&rig);
}
END_TEST

/* --- Steps, spaces, batches ------------------------------------------------------------------ */

enum way { WAY_UNMAP, WAY_UNMAP_STEPS, WAY_PROTECT_STEPS, WAY_REPLACE, WAY_BATCH, WAYS };

static struct s2_space space;
static struct memory_node nodes[8];

static void change_by(enum way way, struct ipa_range range)
{
    struct s2_batch batch = S2_BATCH_INIT;
    struct s2_cursor cursor = s2_cursor(range);

    switch (way) {
    case WAY_UNMAP:
        ck_assert_int_eq(s2_space_unmap(&space, range), MAPPING_OK);
        break;
    case WAY_UNMAP_STEPS:
    case WAY_PROTECT_STEPS:
        while (!s2_cursor_is_done(&cursor)) {
            ck_assert_int_eq(way == WAY_UNMAP_STEPS
                                 ? s2_space_unmap_step(&space, &cursor, 5)
                                 : s2_space_protect_step(&space, &cursor, CLEAN, 5),
                             MAPPING_OK);
        }
        break;
    case WAY_REPLACE:
        ck_assert_int_eq(s2_space_replace_linear(&space, range, pa_of(RIG_DATA + MIB(16)), RIG_RW),
                         MAPPING_OK);
        break;
    case WAY_BATCH:
    case WAYS:
        s2_batch_begin(&batch);
        ck_assert_int_eq(s2_batch_unmap(&batch, &space, range), MAPPING_OK);
        ck_assert_uint_gt(told_count, 0); /* by the call, not by the end */
        s2_batch_end(&batch);
        break;
    }
}

START_TEST(every_way_to_change_a_space_tells_once)
{
    const struct s2_space_config config = {
        .table_pool = &rig.pool, .nodes = nodes, .node_count = 8};
    struct s2_space_config mine = config;
    uint64_t sum = 0;

    rig_init_machine(&rig, tracked_setup(RIG_4K_40, S2_SIZE_CHANGE_BREAK));
    mine.table = rig.setup.config;
    ck_assert_int_eq(s2_space_init(&space, &mine), MAPPING_OK);
    rig_judge(&rig, s2_space_table(&space));
    ck_assert_int_eq(
        s2_space_map_linear(&space, ipa_range(AT, MIB(2)), pa_of(RIG_DATA), CLEAN | PAGES),
        MAPPING_OK);
    for (uint64_t page = 0; page < 512; page += 100) {
        rig_slot(&rig, s2_space_table(&space), AT + page * KIB(4))->raw |= BIT_AF | BIT_DIRTY;
    }
    change_by((enum way)_i, ipa_range(AT, MIB(1)));
    ck_assert_uint_eq(told_count, 3); /* pages 0, 100, 200; 300 and on are beyond */
    for (size_t i = 0; i < told_count; i++) {
        ck_assert_uint_eq(told[i].ipa, AT + i * 100 * KIB(4));
        ck_assert_uint_eq(told[i].state, BOTH);
        sum += told[i].size;
    }
    ck_assert_uint_eq(sum, 3 * KIB(4));
    ck_assert(s2_space_check(&space));
    rig_dismiss(&rig, s2_space_table(&space));
    ck_assert_int_eq(s2_space_fini(&space), MAPPING_OK);
    rig_fini_machine(&rig);
}
END_TEST

/* --- The bitmap ------------------------------------------------------------------------------ */

START_TEST(bitmap_notes_each_page_in_it_of_its_states)
{
    uint64_t words[3] = {0};
    struct s2_state_bitmap bitmap = {
        ipa_of(AT), 130, 12, S2_STATE_DIRTY, words,
    };

    s2_state_bitmap_note(&bitmap, ipa_range(AT, KIB(4)), S2_STATE_ACCESSED);
    ck_assert_uint_eq(words[0], 0);
    s2_state_bitmap_note(&bitmap, ipa_range(AT + KIB(4) * 63, KIB(8)), BOTH);
    ck_assert_uint_eq(words[0], UINT64_C(1) << 63);
    ck_assert_uint_eq(words[1], 1);
    s2_state_bitmap_note(&bitmap, ipa_range(AT - MIB(2), MIB(2)), S2_STATE_DIRTY);
    s2_state_bitmap_note(&bitmap, ipa_range(AT + KIB(4) * 130, MIB(2)), S2_STATE_DIRTY);
    ck_assert_uint_eq(words[0] | words[2], UINT64_C(1) << 63);
    s2_state_bitmap_note(&bitmap, ipa_range(AT + KIB(4) * 128, GIB(1)), S2_STATE_DIRTY);
    ck_assert_uint_eq(words[2], 3);
    s2_state_bitmap_note(&bitmap, ipa_range(0, TIB(1)), S2_STATE_DIRTY);
    ck_assert(words[0] == UINT64_MAX && words[1] == UINT64_MAX && words[2] == 3);
}
END_TEST

/* --- Hardware at any moment ------------------------------------------------------------------ */

/* Two blocks' worth of pages, at random, while a guest reads and writes between any two events. What it
 * did is kept apart from the tables. */
#define PAGES_MAX 16384
#define ROUNDS 40

static struct world {
    struct random random;
    struct mmu mmu;
    uint64_t page, count;
    unsigned char before[PAGES_MAX]; /* state as the round began */
    unsigned char done[PAGES_MAX]; /* what hardware set in the leaf over the page, in this round */
    unsigned char may[PAGES_MAX];  /* the same with all of its run */
    unsigned char told[PAGES_MAX]; /* by the sink */
    size_t told_twice;
    size_t updates, all_updates, all_told;
} world;

static uint64_t page_of(uint64_t ipa)
{
    return (ipa - AT) / world.page;
}

static void mark(unsigned char *pages, uint64_t ipa, uint64_t size, unsigned state)
{
    for (uint64_t at = ipa & ~(size - 1), end = at + size; at < end; at += world.page) {
        if (at >= AT && page_of(at) < world.count) {
            pages[page_of(at)] |= (unsigned char)state;
        }
    }
}

/* An access to a random page, by a walk of its own. */
static void access_some(void)
{
    const uint64_t ipa = AT + random_below(&world.random, world.count) * world.page;
    const bool is_write = random_once_in(&world.random, 2);
    const struct mmu_result found = mmu_translate(&world.mmu, ipa, is_write ? MMU_WRITE : MMU_READ);
    unsigned state = 0;
    s2_desc_t *slot;

    if (!found.has_leaf || found.status != MMU_OK ||
        found.updated == found.walk_desc[found.walk_count - 1]) {
        return;
    }
    slot = sim_memory_ptr(&rig.memory, pa_of(found.walk_pa[found.walk_count - 1]));
    state |= ((found.updated ^ slot->raw) & BIT_AF) != 0 ? S2_STATE_ACCESSED : 0;
    state |= ((found.updated ^ slot->raw) & BIT_DIRTY) != 0 ? S2_STATE_DIRTY : 0;
    slot->raw = found.updated;
    mark(world.done, ipa, found.leaf_size, state);
    mark(world.may, ipa, found.run_size, state);
    world.updates++;
}

static void world_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)arg;
    (void)phase;
    if (event->kind != SIM_FILL && random_once_in(&world.random, 3)) {
        access_some();
    }
}

static void world_told(void *arg, struct ipa_range range, unsigned state)
{
    (void)arg;
    for (uint64_t at = range.start.raw; at < range.start.raw + range.size; at += world.page) {
        world.told_twice += (world.told[page_of(at)] & state) != 0 ? 1 : 0;
        world.told[page_of(at)] |= (unsigned char)state;
        world.all_told++;
    }
}

static unsigned state_now(uint64_t page)
{
    struct s2_leaf leaf;

    if (s2_table_lookup(&rig.table, ipa_of(AT + page * world.page), &leaf) != MAPPING_OK) {
        return 0;
    }
    return ((leaf.flags & S2_NO_AF) == 0 ? S2_STATE_ACCESSED : 0U) |
           ((leaf.flags & DIRTY) == DIRTY ? S2_STATE_DIRTY : 0U);
}

static struct rig_step random_step(void)
{
    static const enum rig_verb verbs[] = {RIG_UNMAP, RIG_PROTECT, RIG_PROTECT, RIG_REPLACE,
                                          RIG_FOLD};
    static const mapping_flags_t flags[] = {
        CLEAN, CLEAN, DIRTY, DIRTY | S2_NO_AF, RIG_RW, CLEAN | S2_NORMAL_NC};
    const uint64_t first = random_below(&world.random, world.count);
    const uint64_t most = random_once_in(&world.random, 3) ? 4 : world.count;
    const uint64_t size = 1 + random_below(&world.random, u64_min(most, world.count - first));

    return (struct rig_step){verbs[random_below(&world.random, RIG_COUNT(verbs))],
                             AT + first * world.page, size * world.page,
                             RIG_DATA + first * world.page,
                             flags[random_below(&world.random, RIG_COUNT(flags))]};
}

static void world_round(const struct rig_step *step)
{
    memset(world.done, 0, sizeof(world.done));
    memset(world.may, 0, sizeof(world.may));
    memset(world.told, 0, sizeof(world.told));
    world.told_twice = 0;
    world.updates = 0;
    for (int i = 0; i < 20; i++) {
        access_some();
    }
    for (uint64_t i = 0; i < world.count; i++) {
        world.before[i] = (unsigned char)state_now(i);
    }
    ck_assert(sim_listen(world_event, NULL));
    (void)!rig_do(&rig, *step);
    ck_assert(sim_unlisten(world_event, NULL));
    world.all_updates += world.updates;
}

/* Nothing lost, nothing invented, nothing twice. A refusal has told nothing. */
static void world_look(const struct rig_step *step)
{
    ck_assert_uint_eq(world.told_twice, 0);
    for (uint64_t i = 0; i < world.count; i++) {
        const unsigned had = world.before[i] | world.done[i];
        const unsigned have = world.told[i] | state_now(i);
        const unsigned given = step->verb == RIG_PROTECT ? BOTH : 0; /* new flags may be dirty */

        if ((had & ~have) != 0 || (world.told[i] & ~(world.before[i] | world.may[i])) != 0 ||
            (have & ~(world.before[i] | world.may[i] | given)) != 0) {
            ck_abort_msg("verb %d, page %llu: had %u, hardware set %u; told %u, now %u", step->verb,
                         (unsigned long long)i, world.before[i], world.done[i], world.told[i],
                         state_now(i));
        }
    }
}

/* A fold spreads state over what it makes one; that is looked at by what was lost alone. */
static void world_look_after_fold(void)
{
    for (uint64_t i = 0; i < world.count; i++) {
        ck_assert_uint_eq(world.told[i], 0);
        ck_assert_uint_eq((world.before[i] | world.done[i]) & ~state_now(i), 0);
    }
}

static void world_fill(void)
{
    (void)!rig_do(
        &rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = AT, .size = world.count * world.page});
    rig_must(&rig,
             (struct rig_step){RIG_MAP, AT, world.count * world.page, RIG_DATA,
                               CLEAN | (random_once_in(&world.random, 3) ? S2_CAP_PAGES : 0)});
}

START_TEST(nothing_that_hardware_writes_at_any_moment_is_lost)
{
    const struct rig_shape *shape = &rig_shapes[_i / 4];
    struct rig_setup setup =
        tracked_setup(shape, _i % 2 == 0 ? S2_SIZE_CHANGE_BREAK : S2_SIZE_CHANGE_DIRECT);

    setup.config.sink = (struct s2_sink){.removed = world_told};
    setup.frame_count = 24;
    sim_set_log(SIM_LOG_COUNT);
    rig_init(&rig, setup);
    world = (struct world){.random = {(uint64_t)_i},
                           .mmu = rig_mmu(&rig, &rig.table),
                           .page = rig_page(shape),
                           .count = 2 * rig_block(shape) / rig_page(shape)};
    world.mmu.options = 0;
    ck_assert_uint_le(world.count, PAGES_MAX);
    for (int i = 0; i < ROUNDS; i++) {
        const struct rig_step step = random_step();

        if (i % 8 == 0) {
            world_fill();
        }
        world_round(&step);
        if (step.verb == RIG_FOLD) {
            world_look_after_fold();
        } else {
            world_look(&step);
        }
    }
    ck_assert_uint_gt(world.all_updates, ROUNDS);
    ck_assert_uint_gt(world.all_told, ROUNDS);
    rig_fini(&rig);
}
END_TEST

/* --- The suite ------------------------------------------------------------------------------- */

Suite *suite_sink(void)
{
    Suite *suite = suite_create("sink");
    TCase *verbs = add_case(suite, "verbs");
    TCase *ways = add_case(suite, "ways");
    TCase *moments = add_case(suite, "moments");

    add_loop(verbs, verb_tells_of_the_state_that_it_takes_out, 2 * (int)RIG_COUNT(singles));
    add_loop(verbs, split_block_inherits_the_state_of_its_own_run_alone, 4);
    tcase_add_test(verbs, opened_run_is_invalidated_on_all_cpus);
    tcase_add_test(verbs, neighbours_with_equal_state_are_told_as_one);
    tcase_add_test(verbs, bitmap_notes_each_page_in_it_of_its_states);
    add_loop(ways, every_way_to_change_a_space_tells_once, WAYS);
    add_loop(moments, nothing_that_hardware_writes_at_any_moment_is_lost, 4 * rig_shape_count);
    return suite;
}
