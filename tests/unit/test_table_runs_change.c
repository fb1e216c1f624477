/*
 * test_table_runs_change.c - contiguous runs under every change: broken whole, with one flush, and
 * made again with the hint only where all of the run changes.
 */
#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#define SUITE "table_runs_change"

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

/* --- One member changes ---------------------------------------------------------------------- */

struct change {
    enum rig_verb verb;
    mapping_flags_t flags; /* protect */
};

static const struct change changes[] = {
    {RIG_UNMAP, 0},
    {RIG_PROTECT, S2_READ},
    {RIG_PROTECT, RIG_RW | S2_SOFT1},
    {RIG_PROTECT, RIG_RW | S2_NO_AF},
    {RIG_PROTECT, RIG_RW | S2_NORMAL_NC},
    {RIG_REPLACE, 0},
};

#define CHANGES ((int)RIG_COUNT(changes))

static struct rig_step change_step(const struct change *change, uint64_t from, uint64_t size)
{
    return (struct rig_step){change->verb, runs_ipa(form) + from, size, runs_other(form) + from,
                             change->flags};
}

/* Three runs, and [@from, @from + @size) of them changed. */
static void expect_changed(const struct change *change, uint64_t from, uint64_t size)
{
    const uint64_t ipa = runs_ipa(form), end = 3 * run_bytes(form);
    const bool is_gone = change->verb == RIG_UNMAP;
    const bool is_replaced = change->verb == RIG_REPLACE;

    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {ipa, from, RIG_DATA, RIG_RW},
            {ipa + from, is_gone ? 0 : size, (is_replaced ? runs_other(form) : RIG_DATA) + from,
             is_replaced ? RIG_RW : change->flags},
            {ipa + from + size, end - from - size, RIG_DATA + from + size, RIG_RW},
        },
        3);
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

/* The members of run 1 but [@first, @last), all without the hint; its neighbours with it. */
static void expect_run_1_torn(unsigned first, unsigned last)
{
    const uint64_t ipa = runs_ipa(form) + run_bytes(form);

    expect_hint(ipa - run_bytes(form), run_bytes(form), HINT);
    expect_hint(ipa, first * form->leaf, NO_HINT);
    expect_hint(ipa + last * form->leaf, (form->count - last) * form->leaf, NO_HINT);
    expect_hint(ipa + run_bytes(form), run_bytes(form), HINT);
}

/* Members [@first, @last) of run 1. */
static void change_members(const struct change *change, unsigned first, unsigned last)
{
    const uint64_t from = run_bytes(form) + first * form->leaf;
    const uint64_t size = (last - first) * form->leaf;
    const s2_desc_t *slots[] = {run_slot(0), run_slot(1), run_slot(2)};

    rig_leave(&rig, 0); /* nothing is split, so nothing is needed */
    rig_must(&rig, change_step(change, from, size));
    runs_assert_broken_whole(slots[1], form->count);
    runs_assert_untouched(slots[0], form->count);
    runs_assert_untouched(slots[2], form->count);
    expect_run_1_torn(first, last);
    if (change->verb != RIG_UNMAP) {
        expect_hint(runs_ipa(form) + from, size, NO_HINT);
    }
    expect_changed(change, from, size);
}

TEST_EACH(change_of_the_first_member_breaks_the_whole_run, (CHANGES * run_form_count))
{
    start_runs(_i / CHANGES);
    change_members(&changes[_i % CHANGES], 0, 1);
    rig_fini(&rig);
}

TEST_EACH(change_of_the_last_member_breaks_the_whole_run, (CHANGES * run_form_count))
{
    start_runs(_i / CHANGES);
    change_members(&changes[_i % CHANGES], form->count - 1, form->count);
    rig_fini(&rig);
}

/* Both ends of the range in one run: it is broken once. */
TEST_EACH(change_of_some_members_breaks_the_whole_run, (CHANGES * run_form_count))
{
    start_runs(_i / CHANGES);
    change_members(&changes[_i % CHANGES], 3, form->count - 2);
    ck_assert_uint_eq(sim_event_count(SIM_SWAP), form->count);
    rig_fini(&rig);
}

/* From the middle of run 0 to the middle of run 2: one flush; run 1 is whole in the range and stays
 * a run, but for an unmap. */
TEST_EACH(change_from_run_to_run_keeps_the_one_between, (CHANGES * run_form_count))
{
    const struct change *change = &changes[_i % CHANGES];
    const s2_desc_t *slot;
    uint64_t from, size;

    start_runs(_i / CHANGES);
    from = run_bytes(form) - 2 * form->leaf;
    size = run_bytes(form) + 5 * form->leaf;
    slot = run_slot(0);
    rig_must(&rig, change_step(change, from, size));
    if (change->verb == RIG_UNMAP) {
        runs_assert_broken_whole(slot, form->count);
        runs_assert_broken_whole(slot + 2 * (size_t)form->count, form->count);
    } else {
        runs_assert_broken_whole(slot, 3 * form->count);
        expect_hint(runs_ipa(form) + from, 2 * form->leaf, NO_HINT);
        expect_hint(runs_ipa(form) + run_bytes(form), run_bytes(form), HINT);
        expect_hint(runs_ipa(form) + 2 * run_bytes(form), 3 * form->leaf, NO_HINT);
    }
    expect_hint(runs_ipa(form), from, NO_HINT);
    expect_hint(runs_ipa(form) + from + size, 3 * run_bytes(form) - from - size, NO_HINT);
    expect_changed(change, from, size);
    rig_fini(&rig);
}

TEST_EACH(change_of_a_whole_run_keeps_the_hint, (CHANGES - 1) * run_form_count)
{
    const struct change *change = &changes[1 + _i % (CHANGES - 1)];
    const s2_desc_t *slot;

    start_runs(_i / (CHANGES - 1));
    slot = run_slot(0);
    rig_must(&rig, change_step(change, run_bytes(form), run_bytes(form)));
    runs_assert_broken_whole(slot + form->count, form->count);
    runs_assert_untouched(slot, form->count);
    runs_assert_untouched(slot + 2 * (size_t)form->count, form->count);
    expect_hint(runs_ipa(form), 3 * run_bytes(form), HINT);
    expect_changed(change, run_bytes(form), run_bytes(form));
    rig_fini(&rig);
}

/* A run goes without being broken first: nothing of it stays. */
TEST_EACH(unmap_of_a_whole_run_leaves_its_neighbours, run_form_count)
{
    start_runs(_i);
    rig_must(&rig, change_step(&changes[0], run_bytes(form), run_bytes(form)));
    expect_hint(runs_ipa(form), run_bytes(form), HINT);
    expect_hint(runs_ipa(form) + 2 * run_bytes(form), run_bytes(form), HINT);
    expect_changed(&changes[0], run_bytes(form), run_bytes(form));
    rig_fini(&rig);
}

TEST_EACH(protect_of_members_with_what_they_have_does_nothing, run_form_count)
{
    start_runs(_i);
    rig_refused(&rig,
                (struct rig_step){RIG_PROTECT, runs_ipa(form) + form->leaf, 2 * form->leaf, 0,
                                  RIG_RW | S2_NO_CONTIGUOUS},
                MAPPING_OK);
    rig_fini(&rig);
}

/* --- A member is split ------------------------------------------------------------------------- */

/* Tables that it takes to split pages out of one block of the form's level, none of them aligned. */
static size_t split_tables(void)
{
    return form->level == 1 ? 2 : 1;
}

/* A page in member 3 of run 1. At every number of frames below what is needed nothing changes. */
TEST_EACH(split_of_a_member_breaks_the_whole_run, (CHANGES * run_form_count))
{
    const struct change *change = &changes[_i % CHANGES];
    const s2_desc_t *slot;
    uint64_t page, from;

    start_runs(_i / CHANGES);
    if (form->level < 3) {
        page = rig_page(form->shape);
        from = run_bytes(form) + 3 * form->leaf + form->leaf / 2 + page;
        slot = run_slot(1);
        rig_needs(&rig, change_step(change, from, page), split_tables());
        runs_assert_broken_whole(slot, form->count);
        runs_assert_untouched(slot - form->count, form->count);
        runs_assert_untouched(slot + form->count, form->count);
        expect_run_1_torn(3, 4);
        expect_changed(change, from, page);
    }
    rig_fini(&rig);
}

/* The two ends of the range in two members of one run, neither at a border. */
TEST_EACH(split_of_two_members_breaks_their_run_once, (CHANGES * run_form_count))
{
    const struct change *change = &changes[_i % CHANGES];
    const s2_desc_t *slot;
    uint64_t page, from, end;

    start_runs(_i / CHANGES);
    if (form->level < 3) {
        page = rig_page(form->shape);
        from = run_bytes(form) + 2 * form->leaf + page;
        end = run_bytes(form) + 6 * form->leaf + 3 * page;
        slot = run_slot(1);
        rig_needs(&rig, change_step(change, from, end - from), 2 * split_tables());
        runs_assert_broken_whole(slot, form->count);
        ck_assert_uint_eq(sim_event_count(SIM_SWAP), form->count);
        expect_run_1_torn(2, 7);
        expect_changed(change, from, end - from);
    }
    rig_fini(&rig);
}

/* And in two runs, with one between them. */
TEST_EACH(split_of_two_runs_breaks_both_with_one_flush, (CHANGES * run_form_count))
{
    const struct change *change = &changes[_i % CHANGES];
    const s2_desc_t *slot;
    uint64_t page, from, end;

    start_runs(_i / CHANGES);
    if (form->level < 3) {
        page = rig_page(form->shape);
        from = 5 * form->leaf + page;
        end = 2 * run_bytes(form) + 2 * form->leaf + 3 * page;
        slot = run_slot(0);
        rig_needs(&rig, change_step(change, from, end - from), 2 * split_tables());
        runs_assert_broken_whole(slot, form->count);
        runs_assert_broken_whole(slot + 2 * (size_t)form->count, form->count);
        expect_changed(change, from, end - from);
        expect_hint(runs_ipa(form), 5 * form->leaf, NO_HINT);
        expect_hint(runs_ipa(form) + 2 * run_bytes(form) + 3 * form->leaf,
                    run_bytes(form) - 3 * form->leaf, NO_HINT);
        if (change->verb != RIG_UNMAP) {
            expect_hint(runs_ipa(form) + run_bytes(form), run_bytes(form), HINT);
        }
    }
    rig_fini(&rig);
}

/* What a split leaves of a block is runs of the next level, but for the one that the page is in. */
TEST_EACH(split_block_is_runs_but_around_the_page, 4)
{
    static const struct {
        struct run_form parts; /* what the block falls into */
        uint64_t block;
    } splits[] = {
        {{&rig_shapes[0], 3, 16, KIB(4)}, MIB(2)},
        {{&rig_shapes[2], 3, 128, KIB(16)}, MIB(32)},
        {{&rig_shapes[3], 3, 32, KIB(64)}, MIB(512)},
        {{&rig_shapes[0], 2, 16, MIB(2)}, GIB(1)},
    };
    const uint64_t block = splits[_i].block;
    uint64_t run, hole;

    form = &splits[_i].parts;
    run = run_bytes(form);
    hole = 3 * block + 2 * run + form->leaf;
    rig_init(&rig, runs_setup_of(form->shape));
    map(3 * block, block, RIG_DATA, RIG_RW);
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = hole, .size = form->leaf});
    expect_hint(3 * block, 2 * run, HINT);
    expect_hint(hole - form->leaf, form->leaf, NO_HINT);
    expect_hint(hole + form->leaf, run - 2 * form->leaf, NO_HINT);
    expect_hint(3 * block + 3 * run, block - 3 * run, HINT);
    rig_fini(&rig);
}

/* --- And back -------------------------------------------------------------------------------- */

/* Torn by any change, put back, folded: bit for bit what it was. */
TEST_EACH(fold_after_a_change_is_the_identity, (CHANGES * run_form_count))
{
    const struct change *change = &changes[_i % CHANGES];
    struct rig_snapshot before;
    uint64_t from, size;

    start_runs(_i / CHANGES);
    rig_poison_free(&rig);
    rig_snapshot_take(&before, &rig);
    from = run_bytes(form) + 2 * form->leaf + rig_page(form->shape);
    size = 2 * form->leaf;
    rig_must(&rig, change_step(change, from, size));
    if (change->verb == RIG_UNMAP) {
        map(runs_ipa(form) + from, size, RIG_DATA + from, RIG_RW);
    } else if (change->verb == RIG_PROTECT) {
        rig_must(&rig, (struct rig_step){RIG_PROTECT, runs_ipa(form) + from, size, 0, RIG_RW});
    } else {
        rig_must(&rig, (struct rig_step){RIG_REPLACE, runs_ipa(form) + from, size, RIG_DATA + from,
                                         RIG_RW});
    }
    expect_hint(runs_ipa(form) + run_bytes(form), form->leaf, NO_HINT);
    rig_must(&rig, fold_step(runs_ipa(form), 3 * run_bytes(form)));
    rig_poison_free(&rig);
    rig_snapshot_assert_same(&before, &rig);
    rig_snapshot_free(&before);
    rig_fini(&rig);
}
