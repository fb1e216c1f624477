/*
 * test_table_runs.c - contiguous runs: where the hint is set, and what s2_table_check() has to say.
 *
 * test_table_runs_change.c changes them; test_table_runs_hardware.c is about what the hardware sets
 * in single members.
 */
#include "tests/unit/table_runs.h"
#include "tests/unit/table_scene.h"
#include "tests/unit/test.h"

#define SUITE "table_runs"

static const struct scene scenes[] = {
    {"map of an aligned run has the hint", "on runs; map 4r r D rwxu; hint 4r r"},
    {"map of one leaf short of a run has no hint", "on runs; map 4r r-l D rwxu; nohint 4r r-l"},
    {"map of heads and flush has no hint, whether tables exist already or not",
     "on runs; each hole 4r|map 4r-2l l D+12r rwxu; $; map 4r-l 2r+3l D+r-l rwxu; nohint 4r-l l;"
     "hint 4r 2r; nohint 6r 2l"},
    {"map of output or input that lies beside the run has no hint",
     "on runs; map 4r r D+l rwxu; nohint 4r r; map 8r+l r D rwxu; nohint 8r+l r;"
     "map 12r r D+r/2 rwxu; nohint 12r r"},
    {"map with hints off has none",
     "on runs; with nohints; map 4r 2r D rwxu; nohint 4r 2r; nothing fold 4r 2r"},
    {"map of an area without hints has none, and one beside it has",
     "on runs; map 4r r D rwxu+nohint; map 5r r D+r rwxu; nohint 4r r; hint 5r r"},
    {"map of blocks of a level without runs has no hint",
     "on top52; with hints; map 32b 32b 64b rw; nohint 32b 32b"},
    {"fold makes runs of what is alike, and leaves others",
     "on runs; map 4r r+r/2 D rw+nohint; map 5r+r/2 r+r/2-l D+r+r/2 rw; protect 4r+l l r;"
     "nohint 4r 3r-l; clear; fold 4r 3r; broken 5r n; untouched 4r n; untouched 6r n; nohint 4r r;"
     "hint 5r r; nohint 6r r-l; nothing fold 4r 3r"},
    {"fold of a run that sticks out, lies askew or shall not be one does nothing",
     "on runs; map 4r r D rw+nohint; map 5r r D+3r+l rw; nothing fold 4r r-l;"
     "nothing fold 4r+l 2r-l; nothing fold 4r r nohint; nohint 4r 2r; fold 4r 2r; hint 4r r;"
     "nohint 5r r"},
};

SCENE_TEST(runs_are_where_the_scene_says)

static struct rig rig;
static const struct run_form *form;

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

/* A root of four entries holds no run of sixteen, though all it maps lies well. */
TEST(map_all_of_a_root_shorter_than_a_run_has_no_hint)
{
    static const struct run_form whole = {&rig_shapes[0], 1, 4, GIB(1)};
    struct rig_setup setup = runs_setup_of(whole.shape);

    setup.config.ipa_bits = 32;
    rig_init(&rig, setup);
    map(0, GIB(4), RIG_DATA, RIG_RW);
    runs_assert_hint(&rig, &whole, 0, GIB(4), false);
    ck_assert(s2_table_check(&rig.table));
    ck_assert_int_eq(s2_table_unmap(&rig.table, ipa_range(GIB(1), GIB(1))), MAPPING_OK);
    runs_assert_hint(&rig, &whole, GIB(2), GIB(2), false);
    rig_fini(&rig);
}

/* Runs of pages are a block again, and sixteen such blocks a run. */
TEST(fold_goes_up_through_runs_to_blocks)
{
    static const struct run_form blocks = {&rig_shapes[0], 2, 16, MIB(2)};

    rig_init(&rig, runs_setup_of(blocks.shape));
    map(MIB(64), MIB(32), RIG_DATA, RIG_RW | S2_CAP_PAGES);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 8192);
    rig_must(&rig, (struct rig_step){.verb = RIG_FOLD, .size = GIB(1)});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 16);
    runs_assert_hint(&rig, &blocks, MIB(64), MIB(32), true);
    rig_fini(&rig);
}

/* --- Check ----------------------------------------------------------------------------------- */

#define HINT (UINT64_C(1) << 52)

/* Three runs, or what could be runs. Returns: the first entry of the middle one. */
static s2_desc_t *start(int number, enum s2_contiguous contiguous, uint64_t pa)
{
    struct rig_setup setup;

    form = &run_forms[number];
    setup = runs_setup_of(form->shape);
    setup.config.contiguous = contiguous;
    rig_init(&rig, setup);
    map(runs_ipa(form), 3 * run_bytes(form), pa, RIG_RW);
    ck_assert(s2_table_check(&rig.table));
    return rig_slot(&rig, &rig.table, runs_ipa(form) + run_bytes(form));
}

/* @bits of @count entries are made wrong, one after the other: the check finds the @first of them
 * and all on the way. Put right, all is well again. */
static void finds(s2_desc_t *slot, unsigned count, uint64_t bits, unsigned first)
{
    for (unsigned i = 0; i < count; i++) {
        slot[i].raw ^= bits;
        ck_assert_msg(i < first || !s2_table_check(&rig.table),
                      "%s: check: bits 0x%llx of %u entries are wrong", rig.setup.shape->name,
                      (unsigned long long)bits, i + 1);
    }
    for (unsigned i = 0; i < count; i++) {
        slot[i].raw ^= bits;
    }
    ck_assert(s2_table_check(&rig.table));
}

TEST_EACH(check_finds_a_run_that_is_torn_or_mixed, run_form_count)
{
    /* S2AP[1]; AF, which no hardware sets here; a software bit; an address; XN. */
    static const uint64_t wrong[] = {HINT,
                                     UINT64_C(1) << 7,
                                     UINT64_C(1) << 10,
                                     UINT64_C(1) << 56,
                                     UINT64_C(1) << 32,
                                     UINT64_C(3) << 53};
    s2_desc_t *slot = start(_i, S2_CONTIGUOUS_ON, RIG_DATA);
    const unsigned members[] = {0, 1, form->count / 2, form->count - 1};

    for (size_t i = 0; i < COUNT(wrong) * COUNT(members); i++) {
        finds(slot + members[i % 4], 1, wrong[i / 4], 0);
    }
    rig_fini(&rig);
}

/* Leaves side by side, all with the hint, that lie beside the run in PA. And a hint alone. */
TEST_EACH(check_finds_a_run_that_is_misaligned, run_form_count)
{
    s2_desc_t *slot = start(_i, S2_CONTIGUOUS_ON, RIG_DATA + run_forms[_i].leaf);

    finds(slot, form->count, HINT, 0);
    rig_fini(&rig);
}

/* The outputs of two members exchanged, everything else right. */
TEST_EACH(check_finds_a_run_out_of_order, run_form_count)
{
    s2_desc_t *slot = start(_i, S2_CONTIGUOUS_ON, RIG_DATA);

    finds(slot + 4, 2, slot[4].raw ^ slot[5].raw, 1);
    rig_fini(&rig);
}

TEST_EACH(check_finds_the_hint_where_it_is_off, run_form_count)
{
    finds(start(_i, S2_CONTIGUOUS_OFF, RIG_DATA), run_forms[_i].count, HINT, 0);
    rig_fini(&rig);
}

TEST_FROM(check_finds_the_hint_where_there_are_no_runs, 4, 7)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t block = shape->span[shape->top_leaf + 1];

    rig_init(&rig, runs_setup_of(shape));
    map(0, 32 * block, 64 * block, RIG_RW);
    finds(rig_slot(&rig, &rig.table, 0), 32, HINT, 0);
    rig_fini(&rig);
}
