/*
 * test_table_runs.c - contiguous runs: where the hint is set, and what s2_table_check() has to say.
 *
 * test_table_runs_change.c changes them; test_table_runs_hardware.c is about what the hardware sets
 * in single members.
 */
#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#define SUITE "table_runs"

static struct rig rig;
static const struct run_form *form;

static void start(int number)
{
    form = &run_forms[number];
    rig_init(&rig, runs_setup_of(form->shape));
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

static struct rig_step fold_step(uint64_t ipa, uint64_t size)
{
    return (struct rig_step){.verb = RIG_FOLD, .ipa = ipa, .size = size};
}

#define HINT true
#define NO_HINT false

static void expect_hint(uint64_t ipa, uint64_t size, bool has_hint)
{
    runs_assert_hint(&rig, form, ipa, size, has_hint);
}

/* Three runs, ready. */
static void start_runs(int number)
{
    start(number);
    map(runs_ipa(form), 3 * run_bytes(form), RIG_DATA, RIG_RW);
    expect_hint(runs_ipa(form), 3 * run_bytes(form), HINT);
    sim_clear();
}

static s2_desc_t *run_slot(unsigned run)
{
    return rig_slot_at(&rig, &rig.table, runs_ipa(form) + run * run_bytes(form), form->level);
}

/* --- Where the hint is set ------------------------------------------------------------------- */

TEST_EACH(map_aligned_run_has_the_hint, run_form_count)
{
    start(_i);
    map(runs_ipa(form), run_bytes(form), RIG_DATA, RIG_RWX);
    expect_hint(runs_ipa(form), run_bytes(form), HINT);
    rig_assert_map(&rig, &rig.table,
                   (struct rig_map){runs_ipa(form), run_bytes(form), RIG_DATA, RIG_RWX});
    rig_fini(&rig);
}

TEST_EACH(map_one_leaf_short_of_a_run_has_no_hint, run_form_count)
{
    start(_i);
    map(runs_ipa(form), run_bytes(form) - form->leaf, RIG_DATA, RIG_RWX);
    expect_hint(runs_ipa(form), run_bytes(form) - form->leaf, NO_HINT);
    rig_fini(&rig);
}

/* One leaf before two runs, two leaves after. Where tables exist already, and where they do not. */
TEST_EACH(map_heads_and_flush_have_no_hint, 2 * run_form_count)
{
    const bool is_live = _i % 2 != 0;
    uint64_t ipa, size;

    start(_i / 2);
    ipa = runs_ipa(form) - form->leaf;
    size = 2 * run_bytes(form) + 3 * form->leaf;
    if (is_live) {
        map(ipa - form->leaf, form->leaf, RIG_DATA + 4 * size, RIG_RWX);
    }
    map(ipa, size, RIG_DATA + run_bytes(form) - form->leaf, RIG_RWX);
    expect_hint(ipa, form->leaf, NO_HINT);
    expect_hint(ipa + form->leaf, 2 * run_bytes(form), HINT);
    expect_hint(ipa + form->leaf + 2 * run_bytes(form), 2 * form->leaf, NO_HINT);
    rig_fini(&rig);
}

/* Every leaf lies well, but IPA and PA are not both aligned to the run. */
TEST_EACH(map_output_or_input_beside_the_run_has_no_hint, run_form_count)
{
    start(_i);
    map(runs_ipa(form), run_bytes(form), RIG_DATA + form->leaf, RIG_RWX);
    expect_hint(runs_ipa(form), run_bytes(form), NO_HINT);
    map(2 * runs_ipa(form) + form->leaf, run_bytes(form), RIG_DATA, RIG_RWX);
    expect_hint(2 * runs_ipa(form) + form->leaf, run_bytes(form), NO_HINT);
    map(3 * runs_ipa(form), run_bytes(form), RIG_DATA + run_bytes(form) / 2, RIG_RWX);
    expect_hint(3 * runs_ipa(form), run_bytes(form), NO_HINT);
    rig_fini(&rig);
}

TEST_EACH(map_with_hints_off_has_none, run_form_count)
{
    struct rig_setup setup;

    form = &run_forms[_i];
    setup = runs_setup_of(form->shape);
    setup.config.contiguous = S2_CONTIGUOUS_OFF;
    rig_init(&rig, setup);
    map(runs_ipa(form), 2 * run_bytes(form), RIG_DATA, RIG_RWX);
    expect_hint(runs_ipa(form), 2 * run_bytes(form), NO_HINT);
    rig_refused(&rig, fold_step(runs_ipa(form), 2 * run_bytes(form)), MAPPING_OK);
    rig_fini(&rig);
}

/* For one area among others of the same table. */
TEST_EACH(map_area_without_hints_has_none, run_form_count)
{
    start(_i);
    map(runs_ipa(form), run_bytes(form), RIG_DATA, RIG_RWX | S2_NO_CONTIGUOUS);
    map(runs_ipa(form) + run_bytes(form), run_bytes(form), RIG_DATA + run_bytes(form), RIG_RWX);
    expect_hint(runs_ipa(form), run_bytes(form), NO_HINT);
    expect_hint(runs_ipa(form) + run_bytes(form), run_bytes(form), HINT);
    rig_assert_map(&rig, &rig.table,
                   (struct rig_map){runs_ipa(form), 2 * run_bytes(form), RIG_DATA, RIG_RWX});
    rig_fini(&rig);
}

/* 512 GiB, 64 GiB and 4 TiB blocks: sixteen, thirty-two, as many as you like. */
TEST_EACH(map_blocks_of_a_level_without_runs_has_no_hint, 3)
{
    static const struct run_form forms[] = {
        {&rig_shapes[4], 0, 16, GIB(512)},
        {&rig_shapes[5], 1, 32, GIB(64)},
        {&rig_shapes[6], 1, 32, TIB(4)},
    };

    form = &forms[_i];
    rig_init(&rig, runs_setup_of(form->shape));
    map(run_bytes(form), run_bytes(form), TIB(512), RIG_RW);
    expect_hint(run_bytes(form), run_bytes(form), NO_HINT);
    rig_fini(&rig);
}

/* A root of four entries holds no run of sixteen, though all it maps lies well. */
TEST(map_all_of_a_root_shorter_than_a_run_has_no_hint)
{
    static const struct run_form whole = {&rig_shapes[0], 1, 4, GIB(1)};
    struct rig_setup setup = runs_setup_of(&rig_shapes[0]);

    form = &whole;
    setup.config.ipa_bits = 32;
    rig_init(&rig, setup);
    map(0, GIB(4), RIG_DATA, RIG_RW);
    expect_hint(0, GIB(4), NO_HINT);
    ck_assert(s2_table_check(&rig.table));
    ck_assert_int_eq(s2_table_unmap(&rig.table, ipa_range(GIB(1), GIB(1))), MAPPING_OK);
    expect_hint(GIB(2), GIB(2), NO_HINT);
    rig_fini(&rig);
}

/* --- Fold ------------------------------------------------------------------------------------ */

/* Run 1 in two halves, the others with a leaf apart or missing. */
TEST_EACH(fold_makes_runs_of_what_is_alike, run_form_count)
{
    const s2_desc_t *slot;
    uint64_t ipa, run;

    start(_i);
    ipa = runs_ipa(form);
    run = run_bytes(form);
    map(ipa, run + run / 2, RIG_DATA, RIG_RW | S2_NO_CONTIGUOUS);
    map(ipa + run + run / 2, run + run / 2 - form->leaf, RIG_DATA + run + run / 2, RIG_RW);
    rig_must(&rig, (struct rig_step){RIG_PROTECT, ipa + form->leaf, form->leaf, 0, S2_READ});
    expect_hint(ipa, 3 * run - form->leaf, NO_HINT);
    sim_clear();
    slot = run_slot(1);
    rig_must(&rig, fold_step(ipa, 3 * run));
    runs_assert_broken_whole(slot, form->count);
    runs_assert_untouched(slot - form->count, form->count);
    runs_assert_untouched(slot + form->count, form->count);
    expect_hint(ipa, run, NO_HINT);
    expect_hint(ipa + run, run, HINT);
    expect_hint(ipa + 2 * run, run - form->leaf, NO_HINT);
    rig_refused(&rig, fold_step(ipa, 3 * run), MAPPING_OK); /* there is nothing left to fold */
    rig_fini(&rig);
}

TEST_EACH(fold_run_that_sticks_out_or_lies_askew_stays, run_form_count)
{
    uint64_t ipa, run;

    start(_i);
    ipa = runs_ipa(form);
    run = run_bytes(form);
    map(ipa, run, RIG_DATA, RIG_RW | S2_NO_CONTIGUOUS);
    map(ipa + run, run, RIG_DATA + 3 * run + form->leaf, RIG_RW);
    rig_refused(&rig, fold_step(ipa, run - form->leaf), MAPPING_OK);
    rig_refused(&rig, fold_step(ipa + form->leaf, 2 * run - form->leaf), MAPPING_OK);
    ck_assert_int_eq(s2_table_fold_within(&rig.table, ipa_range(ipa, run), S2_NO_CONTIGUOUS),
                     MAPPING_OK);
    expect_hint(ipa, 2 * run, NO_HINT);
    rig_must(&rig, fold_step(ipa, 2 * run));
    expect_hint(ipa, run, HINT);
    expect_hint(ipa + run, run, NO_HINT);
    rig_fini(&rig);
}

/* Runs of pages are a block again, and sixteen such blocks a run. */
TEST(fold_goes_up_through_runs_to_blocks)
{
    static const struct run_form blocks = {&rig_shapes[0], 2, 16, MIB(2)};

    form = &blocks;
    rig_init(&rig, runs_setup_of(form->shape));
    map(MIB(64), MIB(32), RIG_DATA, RIG_RW | S2_CAP_PAGES);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 8192);
    rig_must(&rig, fold_step(0, GIB(1)));
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 16);
    expect_hint(MIB(64), MIB(32), HINT);
    rig_fini(&rig);
}

/* --- Check ----------------------------------------------------------------------------------- */

/* One member is made wrong, one way or another; put right, all is well again. */
TEST_EACH(check_finds_a_run_that_is_torn_or_mixed, run_form_count)
{
    static const uint64_t wrong[] = {
        UINT64_C(1) << 52, /* the hint is missing */
        UINT64_C(1) << 7,  /* another permission */
        UINT64_C(1) << 10, /* AF; no hardware sets it here */
        UINT64_C(1) << 56, /* a software bit */
        UINT64_C(1) << 32, /* another output */
        UINT64_C(3) << 53, /* other execution */
    };
    s2_desc_t *slot;

    start_runs(_i);
    slot = run_slot(1);
    for (size_t i = 0; i < RIG_COUNT(wrong); i++) {
        const unsigned members[] = {0, 1, form->count / 2, form->count - 1};

        for (size_t k = 0; k < RIG_COUNT(members); k++) {
            slot[members[k]].raw ^= wrong[i];
            ck_assert_msg(!s2_table_check(&rig.table), "change %zu of member %u", i, members[k]);
            slot[members[k]].raw ^= wrong[i];
        }
        ck_assert(s2_table_check(&rig.table));
    }
    rig_fini(&rig);
}

/* Leaves side by side, all with the hint, that lie beside the run in PA. And a hint alone. */
TEST_EACH(check_finds_a_run_that_is_misaligned, run_form_count)
{
    s2_desc_t *slot;

    start(_i);
    map(runs_ipa(form), 3 * run_bytes(form), RIG_DATA + form->leaf, RIG_RW);
    slot = run_slot(0);
    ck_assert(s2_table_check(&rig.table));
    for (unsigned i = 0; i < form->count; i++) {
        slot[i].raw ^= UINT64_C(1) << 52;
        ck_assert(!s2_table_check(&rig.table));
    }
    for (unsigned i = 0; i < form->count; i++) {
        slot[i].raw ^= UINT64_C(1) << 52;
    }
    rig_fini(&rig);
}

/* The outputs of two members exchanged, everything else right. */
TEST_EACH(check_finds_a_run_out_of_order, run_form_count)
{
    s2_desc_t *slot, saved;

    start_runs(_i);
    slot = run_slot(2);
    saved = slot[4];
    slot[4] = slot[5];
    slot[5] = saved;
    ck_assert(!s2_table_check(&rig.table));
    slot[5] = slot[4];
    slot[4] = saved;
    ck_assert(s2_table_check(&rig.table));
    rig_fini(&rig);
}

TEST_EACH(check_finds_the_hint_where_there_are_no_runs, 3)
{
    static const struct {
        int shape;
        uint64_t block;
    } levels[] = {{4, GIB(512)}, {5, GIB(64)}, {6, TIB(4)}};
    s2_desc_t *slot;

    rig_init(&rig, runs_setup_of(&rig_shapes[levels[_i].shape]));
    map(0, 32 * levels[_i].block, TIB(512), RIG_RW);
    slot = rig_slot(&rig, &rig.table, 0);
    for (size_t i = 0; i < 32; i++) {
        slot[i].raw |= UINT64_C(1) << 52;
    }
    ck_assert(!s2_table_check(&rig.table));
    for (size_t i = 0; i < 32; i++) {
        slot[i].raw &= ~(UINT64_C(1) << 52);
    }
    rig_fini(&rig);
}

TEST_EACH(check_finds_the_hint_where_it_is_off, run_form_count)
{
    s2_desc_t *slot;

    form = &run_forms[_i];
    rig_init(&rig, rig_setup_of(form->shape));
    map(runs_ipa(form), 3 * run_bytes(form), RIG_DATA, RIG_RW);
    slot = run_slot(0);
    for (unsigned i = 0; i < form->count; i++) {
        slot[i].raw |= UINT64_C(1) << 52;
    }
    ck_assert(!s2_table_check(&rig.table));
    for (unsigned i = 0; i < form->count; i++) {
        slot[i].raw &= ~(UINT64_C(1) << 52);
    }
    rig_fini(&rig);
}
