/*
 * test_step.c - changes to a table in steps: at the end what the verb would have left, at every
 * pause tables that are sound and a judge that is content, and no step that goes past its budget.
 *
 * Tables of two layouts, the same numbers of pages and blocks for every granule:
 *
 *      small   |       20 pages|     block     |20 pages ..... |
 *      mixed   |block|block|pages, all alike|pages, one in two, |block|
 */
#include "stage2/space/step.h"
#include "tests/model/random.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/step_fixture.h"
#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#include <check.h>
#include <signal.h>

#define SUITE "step"

static struct rig rig;
static uint64_t page, block; /* bytes */
static uint64_t base;        /* of what is built */

static void start_with(struct rig_setup setup)
{
    page = rig_page(setup.shape);
    block = rig_block(setup.shape);
    base = 4 * block;
    rig_init(&rig, setup);
}

static void start(const struct rig_shape *shape)
{
    start_with(runs_setup_of(shape));
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

static void clear_all(void)
{
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP,
                                     .ipa = 0,
                                     .size = UINT64_C(1) << rig.setup.shape->ipa_bits});
}

/* --- Layouts --------------------------------------------------------------------------------- */

static void build_small(void)
{
    map(base - 20 * page, 20 * page, RIG_DATA + block - 20 * page, RIG_RW | S2_CAP_PAGES);
    map(base, block, RIG_DATA + block, RIG_RW);
    map(base + block, 20 * page, RIG_DATA + 2 * block, RIG_RW | S2_CAP_PAGES);
}

static void build_mixed(void)
{
    map(base, 2 * block, RIG_DATA, RIG_RW);
    map(base + 2 * block, block, RIG_DATA + 2 * block, RIG_RW | S2_CAP_PAGES | S2_NO_CONTIGUOUS);
    for (uint64_t i = 0; i < 16; i++) {
        map(base + 3 * block + 2 * i * page, page, RIG_DATA + 3 * block, RIG_RW);
    }
    map(base + 4 * block, block, RIG_DATA + 4 * block, RIG_RW);
}

/* --- Steps ----------------------------------------------------------------------------------- */

enum kind { UNMAP, PROTECT, RETYPE, FOLD, KINDS };

static const char *const kind_names[KINDS] = {"unmap", "protect", "retype", "fold"};

static mapping_flags_t flags_of(enum kind kind)
{
    return kind == PROTECT ? S2_READ : kind == RETYPE ? S2_READ | S2_NORMAL_NC : 0;
}

static enum mapping_error take_step(enum kind kind, struct s2_cursor *cursor, size_t budget)
{
    static size_t poisoned; /* so many frames; more are free only if one has come back */
    enum mapping_error error;

    if (poisoned != frame_pool_available(&rig.pool)) {
        rig_poison_free(&rig);
        poisoned = frame_pool_available(&rig.pool);
    }
    error = kind == UNMAP  ? s2_table_unmap_step(&rig.table, cursor, budget)
            : kind == FOLD ? s2_table_fold_step(&rig.table, cursor, 0, budget)
                           : s2_table_protect_step(&rig.table, cursor, flags_of(kind), budget);
    monitor_quiesce(rig.monitor);
    return error;
}

/* All steps that are left; how many. */
static size_t finish(enum kind kind, struct s2_cursor *cursor, size_t budget)
{
    size_t steps = 0;

    for (; !s2_cursor_is_done(cursor); steps++) {
        MUST(take_step(kind, cursor, budget));
    }
    return steps;
}

static void do_whole(enum kind kind, struct ipa_range range)
{
    MUST(kind == UNMAP  ? s2_table_unmap(&rig.table, range)
         : kind == FOLD ? s2_table_fold(&rig.table, range)
                        : s2_table_protect(&rig.table, range, flags_of(kind)));
    monitor_quiesce(rig.monitor);
}

/* Whether the software MMU sees at @ipa what it ought to before a step that changes it, or after:
 * @was is how it was mapped before, with RIG_RW. */
static bool is_right(enum kind kind, const struct mmu_result *was, uint64_t ipa, bool is_done)
{
    const struct mmu mmu = rig_mmu(&rig, &rig.table);
    const struct mmu_result now = mmu_translate(&mmu, ipa, MMU_READ);

    if (!now.has_leaf || (kind == UNMAP && is_done)) {
        return !now.has_leaf && (!was->has_leaf || (kind == UNMAP && is_done));
    }
    return was->has_leaf && now.pa == was->pa &&
           (kind == FOLD || (now.can_write == !is_done &&
                             (now.memory == MMU_NORMAL_NC) == (kind == RETYPE && is_done)));
}

/* One step, and what it leaves. Plain ifs, as libcheck's assertions are too slow for every step. */
static void step_rightly(enum kind kind, struct s2_cursor *cursor, size_t budget)
{
    const uint64_t at = cursor->next.raw;
    const struct mmu mmu = rig_mmu(&rig, &rig.table);
    const struct mmu_result was = mmu_translate(&mmu, at, MMU_READ);

    if (!is_right(kind, &was, at, false) || take_step(kind, cursor, budget) != MAPPING_OK ||
        cursor->next.raw <= at || cursor->next.raw % page != 0 || !is_right(kind, &was, at, true)) {
        ck_abort_msg("%s, budget %zu: the step from 0x%llx is not what it should be",
                     kind_names[kind], budget, (unsigned long long)at);
    }
}

/* All steps of a change over what the layout mapped with RIG_RW; how many there were. */
static size_t run_steps(enum kind kind, struct ipa_range range, size_t budget)
{
    /* The tables are looked at now and then, the larger the less often. */
    const size_t stride = s2_table_entries(s2_table_geometry(&rig.table)) / 128;
    struct s2_cursor cursor = s2_cursor(range);
    size_t steps = 0;

    while (!s2_cursor_is_done(&cursor)) {
        step_rightly(kind, &cursor, budget);
        steps++;
        if (steps % stride == 0 && !s2_table_check(&rig.table)) {
            ck_abort_msg("%s, budget %zu: the table is not sound", kind_names[kind], budget);
        }
    }
    ck_assert(s2_table_check(&rig.table));
    ck_assert(ipa_eq(cursor.next, ipa_range_end(range)));
    return steps;
}

typedef void (*build_fn)(void);

/* Once by the verb, then with each budget in steps. */
static void compare(enum kind kind, build_fn build, struct ipa_range range, const size_t budgets[],
                    size_t count)
{
    struct portrait whole;

    build();
    do_whole(kind, range);
    portrait_take(&whole, &rig.table);
    clear_all();
    for (size_t i = 0; i < count; i++) {
        size_t steps;

        build();
        steps = run_steps(kind, range, budgets[i]);
        ck_assert(budgets[i] != S2_STEP_ALL || steps == 1);
        ck_assert(budgets[i] != 1 || steps > 1);
        portrait_assert_same(&whole, &rig.table, kind_names[kind], budgets[i]);
        clear_all();
    }
    portrait_free(&whole);
}

#define SMALL_BUDGETS 50

/* The smallest, then every third, of which each shape begins with another. */
TEST_EACH(step_with_any_budget_leaves_what_the_verb_leaves, KINDS *rig_shape_count)
{
    const int shape = _i / KINDS;
    size_t budgets[SMALL_BUDGETS];
    size_t count = 0;

    for (size_t i = 0; i < SMALL_BUDGETS; i++) {
        if (i < 12 || i % 3 == (size_t)shape % 3) {
            budgets[count++] = i;
        }
    }
    start(&rig_shapes[shape]);
    compare((enum kind)(_i % KINDS), build_small, ipa_range(base - 20 * page, block + 40 * page),
            budgets, count);
    rig_fini(&rig);
}

/* Both ends in a block, tables of pages whole between them. After all shapes, three of them where
 * blocks become tables by one store, and runs are opened: other ways, the same ends. */
TEST_EACH(step_over_torn_ends_leaves_what_the_verb_leaves, (rig_shape_count + 3) * KINDS)
{
    static const size_t budgets[] = {3, 17, 100, 513, 2049, 9000, S2_STEP_ALL};
    const int shape = _i / KINDS % rig_shape_count;
    struct rig_setup setup = runs_setup_of(&rig_shapes[shape]);

    if (_i / KINDS != shape) {
        setup.config.size_change = S2_SIZE_CHANGE_DIRECT;
    }
    start_with(setup);
    compare((enum kind)(_i % KINDS), build_mixed,
            ipa_range(base + block + 3 * page, 3 * block + page), budgets, COUNT(budgets));
    rig_fini(&rig);
}

/* Not a frame is there: a step that tore what the verb does not tear would need one. */
TEST_EACH(step_tears_nothing_that_the_verb_does_not, KINDS *rig_shape_count)
{
    const enum kind kind = (enum kind)(_i % KINDS);
    struct ipa_range range;

    start(&rig_shapes[_i / KINDS]);
    range = ipa_range(base, 5 * block);
    build_mixed();
    rig_leave(&rig, 0);
    (void)run_steps(kind, range, 5);
    if (kind == PROTECT || kind == RETYPE) {
        ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 3);
    }
    rig_fini(&rig);
}

/* The last step splits a block and has no frame for it: it alone does not happen, and may be tried
 * again. */
TEST_EACH(step_without_a_frame_undoes_itself_alone, 2 * rig_shape_count)
{
    const enum kind kind = _i % 2 == 0 ? UNMAP : PROTECT;
    struct rig_snapshot before = {0};
    struct s2_cursor cursor;
    enum mapping_error error = MAPPING_OK;
    size_t frames;

    start(&rig_shapes[_i / 2]);
    map(base, 3 * block, RIG_DATA, RIG_RW);
    cursor = s2_cursor(ipa_range(base, 2 * block + page));
    frames = frame_pool_available(&rig.pool);
    rig_leave(&rig, 0);
    while (error == MAPPING_OK) {
        rig_snapshot_free(&before);
        rig_snapshot_take(&before, &rig);
        error = take_step(kind, &cursor, 1);
    }
    ck_assert_int_eq(error, MAPPING_NO_FRAME);
    ck_assert_uint_eq(cursor.next.raw, base + 2 * block);
    rig_snapshot_assert_same(&before, &rig);
    rig_snapshot_free(&before);
    rig_leave(&rig, frames);
    MUST(take_step(kind, &cursor, 1));
    ck_assert(s2_cursor_is_done(&cursor));
    rig_fini(&rig);
}

/* A device walks the tables: what would have to be broken for a moment is refused by the step that
 * comes to it, which changes nothing: the split of a block, the first fold. */
TEST_EACH(step_that_would_break_what_stays_undoes_itself_alone, 3 * rig_shape_count)
{
    static const enum kind kinds[] = {UNMAP, PROTECT, FOLD};
    const enum kind kind = kinds[_i % 3];
    const size_t budget = kind == FOLD ? 100 : 1;
    struct rig_setup setup = runs_setup_of(&rig_shapes[_i / 3]);
    enum mapping_error error = MAPPING_OK;
    struct s2_cursor cursor;
    struct rig_snapshot before = {0};
    size_t steps = 0;

    setup.config.transient = S2_TRANSIENT_REFUSED;
    start_with(setup);
    map(base, 3 * block, RIG_DATA, RIG_RW);
    map(base + 3 * block, block, RIG_DATA + 3 * block, RIG_RW | S2_CAP_PAGES);
    cursor = s2_cursor(ipa_range(base, kind == FOLD ? 4 * block : 2 * block + page));
    for (; error == MAPPING_OK && !s2_cursor_is_done(&cursor); steps++) {
        rig_snapshot_free(&before);
        rig_snapshot_take(&before, &rig);
        error = take_step(kind, &cursor, budget);
    }
    ck_assert_int_eq(error, MAPPING_DENIED);
    ck_assert_uint_gt(steps, 1);
    ck_assert(kind == FOLD || cursor.next.raw == base + 2 * block);
    rig_poison_free(&rig);
    rig_snapshot_assert_same(&before, &rig);
    rig_snapshot_free(&before);
    rig_fini(&rig);
}

/* What comes in between, behind the cursor, is nobody's to undo. */
TEST_EACH(step_leaves_what_was_mapped_behind_the_cursor, rig_shape_count)
{
    struct s2_cursor cursor;

    start(&rig_shapes[_i]);
    map(base, 20 * page, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    cursor = s2_cursor(ipa_range(base, 20 * page));
    MUST(take_step(UNMAP, &cursor, 12));
    ck_assert_uint_lt(cursor.next.raw, base + 20 * page);
    map(base, page, RIG_DATA + 7 * block, S2_READ);
    (void)finish(UNMAP, &cursor, 12);
    rig_assert_map(&rig, &rig.table, (struct rig_map){base, page, RIG_DATA + 7 * block, S2_READ});
    rig_fini(&rig);
}

/* --- Refusals -------------------------------------------------------------------------------- */

TEST_EACH(step_over_a_bad_range_is_refused, rig_shape_count)
{
    const uint64_t top = UINT64_C(1) << rig_shapes[_i].ipa_bits, one = rig_page(&rig_shapes[_i]);
    const struct ipa_range bad[] = {
        {ipa_of(one / 2), one},       {ipa_of(one), one / 2}, {ipa_of(one), 0},
        {ipa_of(top), one},           {ipa_of(0 - one), one}, {ipa_of(0 - one), 2 * one},
        {ipa_of(top - one), 2 * one},
    };
    struct rig_snapshot before;

    start(&rig_shapes[_i]);
    map(0, block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    rig_poison_free(&rig);
    rig_snapshot_take(&before, &rig);
    for (size_t i = 0; i < COUNT(bad) * KINDS; i++) {
        struct s2_cursor cursor = s2_cursor(bad[i / KINDS]);

        ck_assert(!s2_cursor_is_done(&cursor));
        ck_assert_int_eq(take_step((enum kind)(i % KINDS), &cursor, 10), MAPPING_INVALID_PARAM);
        ck_assert(ipa_eq(cursor.next, bad[i / KINDS].start));
    }
    rig_snapshot_assert_same(&before, &rig);
    rig_snapshot_free(&before);
    rig_fini(&rig);
}

TEST(step_with_bad_flags_is_refused)
{
    struct s2_cursor cursor;

    start(RIG_4K_40);
    map(0, MIB(2), RIG_DATA, RIG_RW | S2_CAP_PAGES);
    cursor = s2_cursor(ipa_range(0, MIB(2)));
    ck_assert_int_eq(s2_table_protect_step(&rig.table, &cursor, S2_DEVICE_nGnRE | S2_EXEC, 9),
                     MAPPING_DENIED);
    ck_assert_int_eq(s2_table_fold_step(&rig.table, &cursor, UINT64_C(1) << 63, 9),
                     MAPPING_INVALID_PARAM);
    ck_assert(ipa_eq(cursor.next, ipa_of(0)));
    rig_fini(&rig);
}

TEST_DIES(step_of_a_change_that_is_done_dies)
{
    struct s2_cursor cursor = s2_cursor(ipa_range(0, KIB(4)));

    start(RIG_4K_40);
    MUST(s2_table_unmap_step(&rig.table, &cursor, 1));
    ck_assert(s2_cursor_is_done(&cursor));
    (void)!s2_table_unmap_step(&rig.table, &cursor, 1);
}

/* --- Bounds ---------------------------------------------------------------------------------- */

/* What a step of any kind may see past its budget: the way to its ends, and the rest of a run. */
#define PATHS 10U
#define RUN_MAX 128U

static size_t slack(enum kind kind)
{
    const size_t entries = s2_table_entries(s2_table_geometry(&rig.table));

    return PATHS + RUN_MAX + (kind == FOLD ? 3 * entries : 0);
}

/* No step looks at more descriptors than it may, at any of them more often than a few times, or
 * sends more flushes than one, a fold one a level. */
static void assert_bounded(enum kind kind, struct ipa_range range, size_t budget)
{
    struct s2_cursor cursor = s2_cursor(range);

    while (!s2_cursor_is_done(&cursor)) {
        sim_clear();
        MUST(take_step(kind, &cursor, budget));
        ck_assert_uint_le(step_slots_seen(), budget + slack(kind));
        ck_assert_uint_le(sim_event_count(SIM_LOAD) + sim_change_count(),
                          8 * (budget + slack(kind)));
        ck_assert_uint_le(runs_flush_count(), kind == FOLD ? 6 : 1);
    }
}

TEST_EACH(step_looks_at_no_more_than_its_budget, KINDS *rig_shape_count)
{
    static const size_t budgets[] = {1, 2, 10, 100, 1000, 10000};
    const enum kind kind = (enum kind)(_i % KINDS);

    start(&rig_shapes[_i / KINDS]);
    for (size_t i = kind == UNMAP ? 0 : 2; i < COUNT(budgets); i++) {
        build_mixed();
        sim_set_loads(SIM_LOADS_ON);
        assert_bounded(kind, ipa_range(base, 5 * block), budgets[i]);
        sim_set_loads(SIM_LOADS_OFF);
        clear_all();
    }
    rig_fini(&rig);
}

/* Pages that keep their type are not cleaned, so they cost an entry each, wherever in the output
 * they lie; those that change it cost their lines. */
TEST_EACH(step_counts_the_lines_of_what_changes_its_type_alone, 2 * rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i / 2];
    const uint64_t top = _i % 2 == 0 ? 0 : UINT64_C(1) << (shape->pa_bits - 2);
    const size_t pages = 64, budget = 2 * pages + PATHS;
    struct ipa_range range;
    struct s2_cursor cursor;

    start(shape);
    range = ipa_range(base, pages * page);
    map(range.start.raw, range.size, top + RIG_DATA, RIG_RWX | S2_CAP_PAGES | S2_NO_CONTIGUOUS);
    cursor = s2_cursor(range);
    ck_assert_uint_eq(finish(PROTECT, &cursor, budget), 1);
    cursor = s2_cursor(range);
    ck_assert_uint_gt(finish(RETYPE, &cursor, budget), 1);
    rig_fini(&rig);
}

/* 512 tables of pages go by without a look at a page: an unmap takes few steps, and none of them
 * waits for tables that others emptied. */
TEST_EACH(step_unmap_of_many_tables_never_sees_their_pages, 2)
{
    static const size_t budgets[] = {10, 100, 600};
    struct rig_setup setup = runs_setup_of(&rig_shapes[_i]);
    size_t steps = 0;

    setup.frame_count = 600;
    start_with(setup);
    for (size_t i = 0; i < COUNT(budgets); i++) {
        struct s2_cursor cursor = s2_cursor(ipa_range(GIB(1), GIB(1)));

        sim_set_log(SIM_LOG_COUNT);
        map(GIB(1), GIB(1), GIB(64), RIG_RW | S2_CAP_PAGES);
        sim_set_log(SIM_LOG_KEEP);
        sim_set_loads(SIM_LOADS_ON);
        for (steps = 0; !s2_cursor_is_done(&cursor); steps++) {
            sim_clear();
            MUST(take_step(UNMAP, &cursor, budgets[i]));
            ck_assert_uint_le(step_slots_seen(), budgets[i] + PATHS);
        }
        sim_set_loads(SIM_LOADS_OFF);
        ck_assert_uint_le(steps, 512 / (budgets[i] - 4) + 1);
        rig_assert_empty(&rig, &rig.table);
    }
    ck_assert_uint_eq(steps, 1);
    rig_fini(&rig);
}

/* --- Folding --------------------------------------------------------------------------------- */

/* Level by level: pages to blocks, blocks to one block, across many pauses. */
TEST_EACH(step_fold_reaches_the_upper_levels, 3)
{
    static const size_t budgets[] = {1000, 7777, 300000};
    struct rig_setup setup = runs_setup_of(RIG_4K_40);
    struct s2_cursor cursor = s2_cursor(ipa_range(GIB(1) - MIB(4), GIB(1) + MIB(8)));

    setup.frame_count = 600;
    start_with(setup);
    sim_set_log(SIM_LOG_COUNT);
    map(GIB(1), GIB(1), GIB(64), RIG_RW | S2_CAP_PAGES | S2_NO_CONTIGUOUS);
    (void)finish(FOLD, &cursor, budgets[_i]);
    rig_assert_leaf(&rig, &rig.table, GIB(1), GIB(64), 1, RIG_RW);
    rig_fini(&rig);
}

/* What @build left is folded by the verb, and then in steps. */
static void compare_folds(void (*build)(uint64_t seed), uint64_t seed, struct ipa_range range,
                          size_t budget)
{
    struct s2_cursor cursor = s2_cursor(range);
    struct portrait whole;

    build(seed);
    do_whole(FOLD, range);
    portrait_take(&whole, &rig.table);
    clear_all();
    build(seed);
    (void)finish(FOLD, &cursor, budget);
    portrait_assert_same(&whole, &rig.table, "fold", budget);
    portrait_free(&whole);
}

static void build_blocks(uint64_t seed)
{
    (void)seed;
    map(MIB(64), GIB(2), GIB(64) + MIB(64), RIG_RW | S2_CAP_LEVEL2 | S2_NO_CONTIGUOUS);
}

/* Blocks, runs of them and one block above them, from smaller blocks, with every small budget. */
TEST_FROM(step_fold_of_blocks_with_any_budget_is_the_fold, 1, 40)
{
    start(RIG_4K_40);
    compare_folds(build_blocks, 0, ipa_range(MIB(512), GIB(1) + MIB(612)), (size_t)_i);
    rig_assert_leaf(&rig, &rig.table, GIB(1), GIB(65), 1, RIG_RW);
    rig_fini(&rig);
}

/* Pages of four tables: nearly all alike, some not, some missing. The same for the same seed. */
static void build_random(uint64_t seed)
{
    struct random random = {seed};

    map(base, 4 * block, RIG_DATA, RIG_RW | S2_CAP_PAGES | S2_NO_CONTIGUOUS);
    for (unsigned i = 0; i < 6; i++) {
        const uint64_t at = base + random_below(&random, 4 * block / page) * page;
        const enum rig_verb verb = random_below(&random, 2) == 0 ? RIG_UNMAP : RIG_PROTECT;

        rig_must(&rig, (struct rig_step){verb, at, page, 0, S2_READ});
    }
}

TEST_EACH(step_fold_of_anything_is_the_fold, 60)
{
    const uint64_t seed = (uint64_t)_i;
    struct random random = {~seed};
    const size_t budget = 1 + random_below(&random, 1500);

    start(&rig_shapes[_i % 3]);
    compare_folds(build_random, seed,
                  ipa_range(base + random_below(&random, 200) * page, 4 * block - 300 * page),
                  budget);
    rig_fini(&rig);
}

/* No page is broken twice: what becomes a block is not made a run first. */
TEST_EACH(step_fold_breaks_nothing_twice, rig_shape_count)
{
    struct s2_cursor cursor;

    start(&rig_shapes[_i]);
    map(base, block, RIG_DATA, RIG_RW | S2_CAP_PAGES | S2_NO_CONTIGUOUS);
    cursor = s2_cursor(ipa_range(base, block));
    sim_clear();
    (void)finish(FOLD, &cursor, 150);
    ck_assert_uint_eq(sim_write_count(), 2);
    ck_assert_uint_eq(runs_flush_count(), 1);
    rig_fini(&rig);
}

/* --- Fini ------------------------------------------------------------------------------------ */

/* A table of its own on the rig's machine, with subtrees at every level. */
static void init_deep(struct s2_table *table)
{
    const struct rig_shape *shape = rig.setup.shape;

    MUST(s2_table_init(table, &rig.setup.config, &rig.pool));
    s2_table_set_vmid(table, RIG_VMID + 1);
    for (uint64_t i = 0; i < 3; i++) {
        for (uint64_t k = 0; k < 3; k++) {
            const uint64_t ipa = i * shape->span[1 + 1] + k * block;

            MUST(s2_table_map(table, ipa_range(ipa, page), pa_of(RIG_DATA), RIG_RW | S2_CAP_PAGES));
        }
    }
}

static size_t vmid_flushes(void)
{
    return sim_event_count(SIM_TLBI_VMALLS12E1IS) + sim_event_count(SIM_TLBI_VMALLS12E1);
}

/* Of the table's root, wherever its frames are by now. */
static bool root_is_empty(const struct s2_table *table)
{
    const uint64_t *root = frame_pool_ptr(&rig.pool, table->root_pa);
    const unsigned entries = s2_root_entries(s2_table_geometry(table));

    for (unsigned i = 0; i < entries; i++) {
        if (root[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Take it apart: each step looks at its budget and a table at most, and gives back at once what it
 * takes out. */
static void fini_bounded(struct s2_table *table, size_t budget)
{
    const size_t entries = s2_table_entries(s2_table_geometry(table));
    const size_t roots = s2_root_entries(s2_table_geometry(table));
    size_t available = frame_pool_available(&rig.pool);
    const size_t target = available + s2_table_frame_count(table);
    bool is_last = false;

    ck_assert(!root_is_empty(table));
    sim_clear();
    sim_set_loads(SIM_LOADS_ON);
    for (size_t steps = 0; !is_last; steps++) {
        MUST(s2_table_fini_step(table, budget, &is_last));
        /* The root is emptied first, by as many entries a step as the budget; no walk that the
         * VMID's flush sets off itself finds a way to a frame that goes back. */
        ck_assert_uint_eq(vmid_flushes(), (steps + 1) * budget >= roots ? 1 : 0);
        ck_assert(vmid_flushes() == 1 || frame_pool_available(&rig.pool) == available);
        ck_assert(vmid_flushes() == 0 || root_is_empty(table));
        ck_assert_uint_le(sim_event_count(SIM_LOAD), (steps + 1) * (budget + entries));
        ck_assert_uint_eq(rig.pool.held, 0);
        ck_assert_uint_ge(frame_pool_available(&rig.pool), available);
        ck_assert_uint_le(frame_pool_available(&rig.pool),
                          available + budget + (is_last ? target : 0));
        available = frame_pool_available(&rig.pool);
    }
    sim_set_loads(SIM_LOADS_OFF);
    ck_assert_uint_eq(available, target);
    ck_assert(frame_pool_check(&rig.pool));
}

TEST_EACH(fini_in_steps_gives_back_every_frame, rig_shape_count)
{
    static const size_t budgets[] = {1, 2, 3, 5, 100, 511, 512, 513, 2049, 100000};
    bool is_done = false;
    struct s2_table table;
    struct rig_setup setup = runs_setup_of(&rig_shapes[_i]);

    setup.frame_count = 64;
    start_with(setup);
    for (size_t i = 0; i < COUNT(budgets); i++) {
        init_deep(&table);
        fini_bounded(&table, budgets[i]);
    }
    init_deep(&table);
    MUST(s2_table_fini_step(&table, S2_STEP_ALL, &is_done));
    ck_assert(is_done);
    init_deep(&table);
    do {
        MUST(s2_table_fini_step(&table, 0, &is_done));
    } while (!is_done);
    rig_fini(&rig);
}

/* The first step has taken the root away. */
TEST_EACH_DIES(call_after_the_first_step_of_fini_dies, 5)
{
    struct ipa_range first = ipa_range(0, KIB(4));
    struct s2_cursor cursor = s2_cursor(first);
    struct s2_leaf leaf;
    bool is_done = false;

    start(RIG_4K_40);
    map(0, MIB(2), RIG_DATA, RIG_RW | S2_CAP_PAGES);
    MUST(s2_table_fini_step(&rig.table, 1, &is_done));
    ck_assert(!is_done);
    (void)!(_i == 0   ? s2_table_map(&rig.table, first, pa_of(RIG_DATA), RIG_RW)
            : _i == 1 ? s2_table_unmap(&rig.table, first)
            : _i == 2 ? s2_table_lookup(&rig.table, first.start, &leaf)
            : _i == 3 ? s2_table_fold(&rig.table, first)
                      : s2_table_unmap_step(&rig.table, &cursor, 1));
}
