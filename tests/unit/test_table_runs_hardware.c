/*
 * test_table_runs_hardware.c - contiguous runs whose AF and dirty state the hardware sets.
 *
 * Hardware may set them in any one member, whichever of the run's pages was used: so they are the
 * OR over the run, which every leaf inherits that is left of it.
 */
#include "tests/unit/requests.h"
#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#define SUITE "table_runs_hardware"

#define CLEAN (S2_READ | S2_DBM | S2_NO_AF) /* not accessed, writable but not written */
#define BIT_AF UINT64_C(0x400)
#define BIT_DIRTY UINT64_C(0x80)

static struct rig rig;
static const struct run_form *form;

/* What the hardware sets, and how a leaf with it reads that was CLEAN. */
static const struct update {
    uint64_t bits;
    mapping_flags_t seen;
} updates[] = {
    {BIT_AF, S2_READ | S2_DBM},
    {BIT_DIRTY, S2_READ | S2_WRITE | S2_DBM | S2_NO_AF},
    {BIT_AF | BIT_DIRTY, S2_READ | S2_WRITE | S2_DBM},
};

#define UPDATES ((int)RIG_COUNT(updates))

static struct rig_setup hardware_setup(void)
{
    struct rig_setup setup = runs_setup_of(form->shape);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    return setup;
}

/* Three runs, clean. */
static void start(int number)
{
    form = &run_forms[number];
    rig_init(&rig, hardware_setup());
    rig_must(&rig,
             (struct rig_step){RIG_MAP, runs_ipa(form), 3 * run_bytes(form), RIG_DATA, CLEAN});
    runs_assert_hint(&rig, form, runs_ipa(form), 3 * run_bytes(form), true);
}

static s2_desc_t *run_slot(unsigned run)
{
    return rig_slot_at(&rig, &rig.table, runs_ipa(form) + run * run_bytes(form), form->level);
}

static struct rig_step step_of(enum rig_verb verb, uint64_t from, uint64_t size,
                               mapping_flags_t flags)
{
    return (struct rig_step){verb, runs_ipa(form) + from, size, runs_other(form) + from, flags};
}

/* Run 1 reads as @seen, but for [@from, @from + @size), which is a hole, or as given and elsewhere
 * if @pa is not 0; the others are clean. */
static void expect(mapping_flags_t seen, uint64_t from, uint64_t size, uint64_t pa,
                   mapping_flags_t inside)
{
    const uint64_t ipa = runs_ipa(form), run = run_bytes(form);

    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {ipa, run, RIG_DATA, CLEAN},
                        {ipa + run, from - run, RIG_DATA + run, seen},
                        {ipa + from, pa != 0 ? size : 0, pa, inside},
                        {ipa + from + size, 2 * run - from - size, RIG_DATA + from + size, seen},
                        {ipa + 2 * run, run, RIG_DATA + 2 * run, CLEAN},
                    },
                    5);
}

static void expect_run_1(mapping_flags_t seen)
{
    expect(seen, 2 * run_bytes(form), 0, 0, 0);
}

/* --- Seen ------------------------------------------------------------------------------------ */

/* To lookup, and to the software MMU, every member is what any of them is. */
TEST_EACH(lookup_of_a_run_sees_what_any_member_has, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    s2_desc_t *slot;

    start(_i / UPDATES);
    slot = run_slot(1);
    expect_run_1(CLEAN);
    for (unsigned i = 0; i < form->count; i += form->count - 1) {
        slot[i].raw |= update->bits;
        expect_run_1(update->seen);
        slot[i].raw &= ~update->bits;
    }
    slot[0].raw |= BIT_AF;
    slot[form->count / 2].raw |= BIT_DIRTY;
    expect_run_1(S2_READ | S2_WRITE | S2_DBM);
    rig_fini(&rig);
}

/* --- Kept ------------------------------------------------------------------------------------ */

/* Member 5 was used; member 2 goes. */
TEST_EACH(unmap_of_another_member_keeps_it, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t from;

    start(_i / UPDATES);
    run_slot(1)[5].raw |= update->bits;
    from = run_bytes(form) + 2 * form->leaf;
    rig_must(&rig, step_of(RIG_UNMAP, from, form->leaf, 0));
    expect(update->seen, from, form->leaf, 0, 0);
    rig_fini(&rig);
}

/* The very member that the hardware marked goes: what it said was of all. */
TEST_EACH(unmap_of_the_marked_member_keeps_it, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t from;

    start(_i / UPDATES);
    run_slot(1)[5].raw |= update->bits;
    from = run_bytes(form) + 5 * form->leaf;
    rig_must(&rig, step_of(RIG_UNMAP, from, form->leaf, 0));
    expect(update->seen, from, form->leaf, 0, 0);
    rig_fini(&rig);
}

TEST_EACH(protect_of_some_members_keeps_it_in_the_others, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t from;

    start(_i / UPDATES);
    run_slot(1)[5].raw |= update->bits;
    from = run_bytes(form) + 4 * form->leaf;
    rig_must(&rig, step_of(RIG_PROTECT, from, 3 * form->leaf, S2_READ | S2_SOFT0));
    expect(update->seen, from, 3 * form->leaf, RIG_DATA + from, S2_READ | S2_SOFT0);
    rig_fini(&rig);
}

/* One page in a block of the run, which is not the one that was marked: every page that is left of
 * that block inherits, too. */
TEST_EACH(split_of_a_member_keeps_it_in_every_page, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t from, page;

    start(_i / UPDATES);
    if (form->level < 3) {
        run_slot(1)[5].raw |= update->bits;
        page = rig_page(form->shape);
        from = run_bytes(form) + 2 * form->leaf + 7 * page;
        rig_must(&rig, step_of(RIG_UNMAP, from, page, 0));
        expect(update->seen, from, page, 0, 0);
    }
    rig_fini(&rig);
}

TEST_EACH(replace_of_some_members_keeps_it, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t from;

    start(_i / UPDATES);
    run_slot(1)[5].raw |= update->bits;
    from = run_bytes(form) + 2 * form->leaf;
    rig_must(&rig, step_of(RIG_REPLACE, from, 2 * form->leaf, 0));
    expect(update->seen, from, 2 * form->leaf, runs_other(form) + from, update->seen);
    rig_fini(&rig);
}

TEST_EACH(replace_in_a_split_member_keeps_it, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t from, page;

    start(_i / UPDATES);
    if (form->level < 3) {
        run_slot(1)[5].raw |= update->bits;
        page = rig_page(form->shape);
        from = run_bytes(form) + 2 * form->leaf + 7 * page;
        rig_must(&rig, step_of(RIG_REPLACE, from, 3 * page, 0));
        expect(update->seen, from, 3 * page, runs_other(form) + from, update->seen);
    }
    rig_fini(&rig);
}

/* The run is whole in the range and becomes a run again. */
TEST_EACH(replace_of_a_whole_run_keeps_it, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t run;

    start(_i / UPDATES);
    run = run_bytes(form);
    run_slot(1)[5].raw |= update->bits;
    rig_must(&rig, step_of(RIG_REPLACE, run, run, 0));
    expect(update->seen, run, run, runs_other(form) + run, update->seen);
    runs_assert_hint(&rig, form, runs_ipa(form) + run, run, true);
    rig_fini(&rig);
}

/* The new output is no run, so each leaf must say it for itself. */
TEST_EACH(replace_of_a_whole_run_by_no_run_keeps_it, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    struct rig_step step;
    uint64_t run;

    start(_i / UPDATES);
    run = run_bytes(form);
    run_slot(1)[5].raw |= update->bits;
    step = step_of(RIG_REPLACE, run, run, 0);
    step.pa += form->leaf;
    rig_must(&rig, step);
    expect(update->seen, run, run, runs_other(form) + run + form->leaf, update->seen);
    runs_assert_hint(&rig, form, runs_ipa(form) + run, run, false);
    rig_fini(&rig);
}

/* One page of one run was used: so was the block that all of them become. */
TEST_EACH(fold_of_runs_into_a_block_keeps_it, 3 * UPDATES)
{
    static const struct {
        int shape;
        uint64_t page, block;
    } folds[] = {{0, KIB(4), MIB(2)}, {2, KIB(16), MIB(32)}, {3, KIB(64), MIB(512)}};
    const struct update *update = &updates[_i % UPDATES];
    const struct run_form of = {&rig_shapes[folds[_i / UPDATES].shape], 3, 16, 0};
    const uint64_t block = folds[_i / UPDATES].block;

    form = &of;
    rig_init(&rig, hardware_setup());
    rig_must(&rig, (struct rig_step){RIG_MAP, block, block, RIG_DATA, CLEAN | S2_CAP_PAGES});
    rig_slot(&rig, &rig.table, block + 77 * folds[_i / UPDATES].page)->raw |= update->bits;
    rig_must(&rig, (struct rig_step){.verb = RIG_FOLD, .ipa = block, .size = block});
    rig_assert_leaf(&rig, &rig.table, block, RIG_DATA, 2, update->seen);
    rig_assert_map(&rig, &rig.table, (struct rig_map){block, block, RIG_DATA, update->seen});
    rig_fini(&rig);
}

/* Leaves that differ in nothing but what the hardware sets are alike. */
TEST_EACH(fold_makes_a_run_of_marked_leaves, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t ipa, run;

    start(_i / UPDATES);
    ipa = runs_ipa(form);
    run = run_bytes(form);
    rig_must(&rig, step_of(RIG_UNMAP, run, run, 0));
    rig_must(&rig,
             (struct rig_step){RIG_MAP, ipa + run, run, RIG_DATA + run, CLEAN | S2_NO_CONTIGUOUS});
    run_slot(1)[5].raw |= update->bits;
    rig_must(&rig, (struct rig_step){.verb = RIG_FOLD, .ipa = ipa, .size = 3 * run});
    runs_assert_hint(&rig, form, ipa, 3 * run, true);
    expect_run_1(update->seen);
    rig_fini(&rig);
}

/* --- Protect of a run that is marked in part ------------------------------------------------- */

#define IDLE (RIG_RW | S2_NO_AF)

/* Three runs whose dirty state nobody asks for, so that AF is all that may differ. */
static void start_idle(int number)
{
    form = &run_forms[number];
    rig_init(&rig, hardware_setup());
    rig_must(&rig, (struct rig_step){RIG_MAP, runs_ipa(form), 3 * run_bytes(form), RIG_DATA, IDLE});
}

/* Run 1 reads as given, the others as idle. */
static void expect_idle_but_run_1(mapping_flags_t seen)
{
    const uint64_t ipa = runs_ipa(form), run = run_bytes(form);

    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){{ipa, run, RIG_DATA, IDLE},
                                       {ipa + run, run, RIG_DATA + run, seen},
                                       {ipa + 2 * run, run, RIG_DATA + 2 * run, IDLE}},
                    3);
}

/* The members at the ends of the range are already what the others shall become: they are of the
 * same run, and go with it. */
TEST_EACH(protect_between_marked_members_breaks_the_whole_run, run_form_count)
{
    const mapping_flags_t seen = RIG_RW;
    s2_desc_t *slot;
    uint64_t from;

    start_idle(_i);
    slot = run_slot(1);
    slot[3].raw |= BIT_AF;
    slot[form->count - 3].raw |= BIT_AF;
    sim_clear();
    from = run_bytes(form) + 3 * form->leaf;
    rig_must(&rig, step_of(RIG_PROTECT, from, (form->count - 5) * form->leaf, seen));
    runs_assert_broken_whole(slot, form->count);
    runs_assert_hint(&rig, form, runs_ipa(form) + run_bytes(form), run_bytes(form), false);
    expect_idle_but_run_1(seen);
    rig_fini(&rig);
}

/* One end in the run, at a marked member; the other beyond it. */
TEST_EACH(protect_from_a_marked_member_breaks_the_whole_run, run_form_count)
{
    const mapping_flags_t seen = RIG_RW;
    uint64_t ipa, run, from;

    start_idle(_i);
    ipa = runs_ipa(form);
    run = run_bytes(form);
    run_slot(1)[3].raw |= BIT_AF;
    from = run + 3 * form->leaf;
    rig_must(&rig, step_of(RIG_PROTECT, from, 3 * run - from, seen));
    runs_assert_hint(&rig, form, ipa + run, run, false);
    runs_assert_hint(&rig, form, ipa + 2 * run, run, true);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){{ipa, run, RIG_DATA, IDLE}, {ipa + run, 2 * run, RIG_DATA + run, seen}},
        2);
    rig_fini(&rig);
}

/* The run is whole in the range: all members are broken, also those that are right as they are. */
TEST_EACH(protect_of_a_marked_run_breaks_every_member, run_form_count)
{
    const mapping_flags_t seen = RIG_RW;
    s2_desc_t *slot;

    start_idle(_i);
    slot = run_slot(1);
    slot[0].raw |= BIT_AF;
    slot[7].raw |= BIT_AF;
    sim_clear();
    rig_must(&rig, step_of(RIG_PROTECT, run_bytes(form), run_bytes(form), seen));
    runs_assert_broken_whole(slot, form->count);
    runs_assert_hint(&rig, form, runs_ipa(form), 3 * run_bytes(form), true);
    expect_idle_but_run_1(seen);
    rig_fini(&rig);
}

/* Cleared again: no member keeps what it had. */
TEST_EACH(protect_of_a_marked_run_can_make_it_clean, run_form_count)
{
    start(_i);
    run_slot(1)[7].raw |= BIT_AF | BIT_DIRTY;
    rig_must(&rig, step_of(RIG_PROTECT, run_bytes(form), run_bytes(form), CLEAN));
    expect_run_1(CLEAN);
    run_slot(1)[7].raw |= BIT_AF | BIT_DIRTY;
    rig_must(&rig, step_of(RIG_PROTECT, run_bytes(form) + form->leaf, form->leaf, CLEAN));
    expect(S2_READ | S2_WRITE | S2_DBM, run_bytes(form) + form->leaf, form->leaf,
           RIG_DATA + run_bytes(form) + form->leaf, CLEAN);
    rig_fini(&rig);
}

/* --- Races ----------------------------------------------------------------------------------- */

struct hand {
    s2_desc_t *slot;
    uint64_t bits;
    enum sim_kind before;
    bool is_done;
};

static void hand_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct hand *hand = arg;

    if (phase == SIM_BEFORE && event->kind == hand->before && event->slot == hand->slot &&
        !hand->is_done) {
        hand->slot->raw |= hand->bits;
        hand->is_done = true;
    }
}

/* The hardware marks member 9 in the last moment before it is broken. */
static void race(struct rig_step step, const struct update *update)
{
    struct hand hand = {&run_slot(1)[9], update->bits, SIM_SWAP, false};

    ck_assert(sim_listen(hand_event, &hand));
    rig_must(&rig, step);
    ck_assert(sim_unlisten(hand_event, &hand));
    ck_assert(hand.is_done);
}

TEST_EACH(update_before_the_break_of_a_member_is_everybodys, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t from, size;

    start(_i / UPDATES);
    from = run_bytes(form) + 2 * form->leaf;
    size = form->level < 3 ? rig_page(form->shape) : form->leaf;
    race(step_of(RIG_UNMAP, from, size, 0), update);
    expect(update->seen, from, size, 0, 0);
    rig_fini(&rig);
}

TEST_EACH(update_before_the_break_of_a_replaced_run_is_everybodys, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t run;

    start(_i / UPDATES);
    run = run_bytes(form);
    race(step_of(RIG_REPLACE, run, run, 0), update);
    expect(update->seen, run, run, runs_other(form) + run, update->seen);
    rig_fini(&rig);
}

TEST_EACH(update_before_the_break_of_a_fold_is_everybodys, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    uint64_t ipa, run;

    start(_i / UPDATES);
    ipa = runs_ipa(form);
    run = run_bytes(form);
    rig_must(&rig, step_of(RIG_UNMAP, run, run, 0));
    rig_must(&rig,
             (struct rig_step){RIG_MAP, ipa + run, run, RIG_DATA + run, CLEAN | S2_NO_CONTIGUOUS});
    race((struct rig_step){.verb = RIG_FOLD, .ipa = ipa, .size = 3 * run}, update);
    expect_run_1(update->seen);
    rig_fini(&rig);
}

/* A guest uses its memory between hold and do, so that a protect which had nothing to change has
 * something to split: it has held for that. With the hint and without, in a block and in a run. */
TEST_EACH(update_between_hold_and_do_finds_its_frames_held, (UPDATES * run_form_count))
{
    const struct update *update = &updates[_i % UPDATES];
    struct rig_setup setup;
    struct ipa_range range;
    uint64_t from;

    form = &run_forms[_i / UPDATES];
    if (form->level == 3) {
        return;
    }
    setup = hardware_setup();
    setup.config.contiguous = _i % 2 == 0 ? S2_CONTIGUOUS_ON : S2_CONTIGUOUS_OFF;
    rig_init(&rig, setup);
    rig_must(&rig,
             (struct rig_step){RIG_MAP, runs_ipa(form), 3 * run_bytes(form), RIG_DATA, CLEAN});
    from = run_bytes(form) + 5 * form->leaf + rig_page(form->shape);
    range = ipa_range(runs_ipa(form) + from, rig_page(form->shape));
    s2_table_begin(&rig.table);
    ck_assert_int_eq(hold_protect(&rig.table, range, CLEAN), MAPPING_OK);
    run_slot(1)[5].raw |= update->bits;
    do_protect(&rig.table, range, CLEAN);
    s2_table_end(&rig.table);
    rig_assert_leaf(&rig, &rig.table, range.start.raw, RIG_DATA + from, 3, CLEAN);
    rig_assert_leaf(&rig, &rig.table, range.start.raw + range.size, RIG_DATA + from + range.size, 3,
                    update->seen);
    rig_fini(&rig);
}

/* --- Check ----------------------------------------------------------------------------------- */

TEST_EACH(check_allows_what_the_hardware_sets_and_no_more, run_form_count)
{
    s2_desc_t *slot;

    start(_i);
    slot = run_slot(1);
    slot[4].raw |= BIT_AF;
    slot[6].raw |= BIT_DIRTY;
    ck_assert(s2_table_check(&rig.table));
    for (unsigned i = 0; i < form->count; i++) {
        slot[i].raw ^= UINT64_C(1) << 51; /* without DBM, S2AP[1] is software's */
    }
    ck_assert(!s2_table_check(&rig.table));
    for (unsigned i = 0; i < form->count; i++) {
        slot[i].raw ^= UINT64_C(1) << 51;
    }
    rig_fini(&rig);
}
