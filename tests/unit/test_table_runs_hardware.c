/*
 * test_table_runs_hardware.c - contiguous runs whose AF and dirty state the hardware sets.
 *
 * Hardware may set them in any one member, whichever of the run's pages was used: so they are the
 * OR over the run, which every leaf inherits that is left of it.
 */
#include "tests/unit/requests.h"
#include "tests/unit/table_runs.h"
#include "tests/unit/table_scene.h"
#include "tests/unit/test.h"

#define SUITE "table_runs_hardware"

/* AF is 0x400, S2AP[1] is 0x80. What the hardware sets, and how a leaf with it reads that was
 * clean: not accessed, writable but not written. */
#define EACH_UPDATE "each 0x400:r+dbm|0x80:rw+dbm+noaf|0x480:rw+dbm; with dirty;"
#define CLEAN_RUNS "map 4r 3r D r+dbm+noaf; hint 4r 3r;"

/* Member 5 of run 1 was used: all of the run is. */
#define USED EACH_UPDATE CLEAN_RUNS "mark 5r+5l $; seen 5r r %;"

/* Three runs whose dirty state nobody asks for, so that AF is all that may differ. */
#define IDLE_RUNS "on runs; with dirty; map 4r 3r D rw+noaf;"

static const struct scene scenes[] = {
    {"lookup of a run sees what the first member has",
     "on runs; " EACH_UPDATE CLEAN_RUNS "mark 5r $; seen 5r r %"},
    {"lookup of a run sees what the last member has",
     "on runs; " EACH_UPDATE CLEAN_RUNS "mark 6r-l $; seen 5r r %"},
    {"lookup of a run sees what two members have",
     "on runs; with dirty; " CLEAN_RUNS "mark 5r 0x400; mark 5r+r/2 0x80; seen 5r r rw+dbm"},

    /* What is left keeps it; a block that is split, in every page. */
    {"unmap of another member keeps it", "on runs; " USED "unmap 5r+2l l"},
    {"unmap of the marked member keeps it", "on runs; " USED "unmap 5r+5l l"},
    {"protect of some members keeps it in the others", "on runs; " USED "protect 5r+4l 3l r+soft0"},
    {"split of a member keeps it in every page", "on blockruns; " USED "unmap 5r+2l+7p p"},
    {"replace of some members keeps it", "on runs; " USED "replace 5r+2l 2l @+D+4r"},
    {"replace in a split member keeps it", "on blockruns; " USED "replace 5r+2l+7p 3p @+D+4r"},
    {"replace of a whole run keeps it", "on runs; " USED "replace 5r r D+9r; hint 5r r"},
    {"replace of a whole run by no run keeps it",
     "on runs; " USED "replace 5r r D+9r+l; nohint 5r r"},
    {"fold of runs into a block keeps it",
     EACH_UPDATE "with hints; map b b D r+dbm+noaf+pages; mark b+77p $; seen b b %; fold b b;"
                 "leaf b D 2 %"},
    {"fold makes a run of marked leaves",
     "on runs; " EACH_UPDATE CLEAN_RUNS "unmap 5r r; map 5r r D+r r+dbm+noaf+nohint;"
     "mark 5r+5l $; fold 4r 3r; seen 5r r %; hint 4r 3r"},

    /* Members that are already what the others shall become are of the same run, and go with it. */
    {"protect between marked members breaks the whole run",
     IDLE_RUNS "mark 5r+3l 0x400; mark 6r-3l 0x400; clear; protect 5r+3l r-5l rw; seen 5r r rw;"
               "broken 5r n; nohint 5r r"},
    {"protect from a marked member breaks the whole run",
     IDLE_RUNS "mark 5r+3l 0x400; seen 5r r rw; protect 5r+3l 2r-3l rw; nohint 5r r; hint 6r r"},
    {"protect of a marked run breaks every member",
     IDLE_RUNS "mark 5r 0x400; mark 5r+7l 0x400; clear; protect 5r r rw; broken 5r n; hint 4r 3r"},
    {"protect of a marked run can make it clean",
     "on runs; with dirty;" CLEAN_RUNS "mark 5r+7l 0x480; protect 5r r r+dbm+noaf; is;"
     "mark 5r+7l 0x480; seen 5r r rw+dbm; protect 5r+l l r+dbm+noaf"},

    /* Races: the hardware marks member 9 in the last moment before it is broken. */
    {"update before the break of a member is everybody's",
     "on runs; " EACH_UPDATE CLEAN_RUNS "race 5r+9l $ unmap 5r+2l p; seen 5r r %"},
    {"update before the break of a replaced run is everybody's",
     "on runs; " EACH_UPDATE CLEAN_RUNS "race 5r+9l $ replace 5r r D+9r; seen 5r r %"},
    {"update before the break of a fold is everybody's",
     "on runs; " EACH_UPDATE CLEAN_RUNS "unmap 5r r; map 5r r D+r r+dbm+noaf+nohint;"
     "race 5r+9l $ fold 4r 3r; seen 5r r %"},
};

SCENE_TEST(what_hardware_sets_is_kept_as_the_scene_says)

#define CLEAN (S2_READ | S2_DBM | S2_NO_AF)
#define BIT_AF UINT64_C(0x400)
#define BIT_DIRTY UINT64_C(0x80)

static struct rig rig;
static const struct run_form *form;

/* Three runs, or what could be runs, clean. */
static void start(int number, enum s2_contiguous contiguous)
{
    struct rig_setup setup;

    form = &run_forms[number];
    setup = runs_setup_of(form->shape);
    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    setup.config.contiguous = contiguous;
    rig_init(&rig, setup);
    rig_must(&rig,
             (struct rig_step){RIG_MAP, runs_ipa(form), 3 * run_bytes(form), RIG_DATA, CLEAN});
}

static s2_desc_t *member(unsigned i)
{
    return rig_slot_at(&rig, &rig.table, runs_ipa(form) + run_bytes(form), form->level) + i;
}

/* A guest uses its memory between hold and do, so that a protect which had nothing to change has
 * something to split: it has held for that. With the hint and without, in a block and in a run. */
TEST_EACH(update_between_hold_and_do_finds_its_frames_held, 3 * run_form_count)
{
    static const struct {
        uint64_t bits;
        mapping_flags_t seen;
    } updates[] = {{BIT_AF, S2_READ | S2_DBM},
                   {BIT_DIRTY, RIG_RW | S2_DBM | S2_NO_AF},
                   {BIT_AF | BIT_DIRTY, RIG_RW | S2_DBM}};
    struct ipa_range range;
    uint64_t from;

    if (run_forms[_i / 3].level == 3) {
        return;
    }
    start(_i / 3, _i % 2 == 0 ? S2_CONTIGUOUS_ON : S2_CONTIGUOUS_OFF);
    from = run_bytes(form) + 5 * form->leaf + rig_page(form->shape);
    range = ipa_range(runs_ipa(form) + from, rig_page(form->shape));
    s2_table_begin(&rig.table);
    ck_assert_int_eq(hold_protect(&rig.table, range, CLEAN), MAPPING_OK);
    member(5)->raw |= updates[_i % 3].bits;
    do_protect(&rig.table, range, CLEAN);
    s2_table_end(&rig.table);
    rig_assert_leaf(&rig, &rig.table, range.start.raw, RIG_DATA + from, 3, CLEAN);
    rig_assert_leaf(&rig, &rig.table, range.start.raw + range.size, RIG_DATA + from + range.size, 3,
                    updates[_i % 3].seen);
    rig_fini(&rig);
}

/* Without DBM, S2AP[1] is software's. */
TEST_EACH(check_allows_what_the_hardware_sets_and_no_more, run_form_count)
{
    start(_i, S2_CONTIGUOUS_ON);
    member(4)->raw |= BIT_AF;
    member(6)->raw |= BIT_DIRTY;
    ck_assert(s2_table_check(&rig.table));
    for (unsigned i = 0; i < form->count; i++) {
        member(i)->raw ^= UINT64_C(1) << 51;
    }
    ck_assert(!s2_table_check(&rig.table));
    for (unsigned i = 0; i < form->count; i++) {
        member(i)->raw ^= UINT64_C(1) << 51;
    }
    rig_fini(&rig);
}
