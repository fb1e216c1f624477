/*
 * test_table_direct.c - sizes that change directly (FEAT_BBM level 2): splits, opened and joined
 * runs, and folds without a break.
 *
 * Four units lie side by side: blocks, or runs of leaves. A change touches some of them:
 *
 *      |== unit 0 ==|== unit 1 ==|== unit 2 ==|== unit 3 ==|
 *                     ^^^^ place
 */
#include "tests/unit/table_runs.h"
#include "tests/unit/table_witness.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "table_direct"

#define UNITS 4

/* Blocks that stand alone, at every level that has them: runs of one. */
static const struct run_form block_forms[] = {
    {&rig_shapes[0], 2, 1, MIB(2)},   {&rig_shapes[0], 1, 1, GIB(1)},
    {&rig_shapes[2], 2, 1, MIB(32)},  {&rig_shapes[3], 2, 1, MIB(512)},
    {&rig_shapes[4], 0, 1, GIB(512)}, {&rig_shapes[4], 2, 1, MIB(2)},
    {&rig_shapes[5], 1, 1, GIB(64)},  {&rig_shapes[6], 1, 1, TIB(4)},
};

#define BLOCK_FORMS ((int)COUNT(block_forms))

static struct rig rig;
static const struct run_form *form;

static const struct run_form *form_at(int i)
{
    return i < BLOCK_FORMS ? &block_forms[i] : &run_forms[i - BLOCK_FORMS];
}

/* How the machine is, where that may differ. */
struct variant {
    enum s2_size_change size_change;
    enum s2_hardware_update update;
    enum s2_walker walker;
    unsigned bbm;
};

static const struct variant direct = {.size_change = S2_SIZE_CHANGE_DIRECT, .bbm = 2};
static const struct variant with_break = {.size_change = S2_SIZE_CHANGE_BREAK, .bbm = 2};

static mapping_flags_t flags_of(const struct variant *variant)
{
    return variant->update == S2_HARDWARE_UPDATE_DIRTY ? S2_READ | S2_DBM | S2_SOFT1
                                                       : RIG_RW | S2_SOFT1;
}

static uint64_t unit(unsigned i)
{
    return (UNITS + i) * run_bytes(form);
}

static struct rig_setup setup_of(const struct rig_shape *shape, const struct variant *variant)
{
    struct rig_setup setup = runs_setup_of(shape);

    setup.has_device = true;
    setup.cpu.bbm = variant->bbm;
    setup.config.size_change = variant->size_change;
    setup.config.hardware_update = variant->update;
    setup.config.walker = variant->walker;
    return setup;
}

/* Four units; the output is the input, which suits every size. */
static void start(const struct variant *variant)
{
    const mapping_flags_t cap =
        form->level <= 0 ? 0 : MAPPING_FIELD_PREP(S2_CAP, (unsigned)form->level);

    rig_init(&rig, setup_of(form->shape, variant));
    rig_must(&rig, (struct rig_step){RIG_MAP, unit(0), UNITS * run_bytes(form), unit(0),
                                     flags_of(variant) | cap |
                                         (form->count == 1 ? S2_NO_CONTIGUOUS : 0)});
    sim_clear();
}

/* --- Splits ---------------------------------------------------------------------------------- */

enum change { UNMAP, PROTECT, RETYPE, REPLACE, REPLACE_BESIDE, CHANGES };

/* One level down; the page of a page. */
static uint64_t smaller(void)
{
    return form->level < 3 ? form->shape->span[form->level + 2] : form->leaf;
}

#define PLACES 9

static struct ipa_range place(int i)
{
    const uint64_t page = rig_page(form->shape);
    const uint64_t most = run_bytes(form) - 2 * page;
    const struct ipa_range places[PLACES] = {
        ipa_range(unit(1), page),
        ipa_range(unit(2) - page, page),
        ipa_range(unit(1) + run_bytes(form) / 2, page),
        ipa_range(unit(2) - 2 * page, 5 * page),
        ipa_range(unit(1) - page, 2 * run_bytes(form) + 2 * page),
        ipa_range(unit(1) + smaller(), smaller()),
        ipa_range(unit(1) + page, most < 40 * page ? most : 40 * page),
        ipa_range(unit(1), run_bytes(form)),
        ipa_range(unit(1) + (form->count - 1) * form->leaf, 2 * form->leaf),
    };

    return places[i];
}

static struct rig_step step_of(enum change change, struct ipa_range range,
                               const struct variant *variant)
{
    const uint64_t at = range.start.raw, size = range.size,
                   other = at + 2 * UNITS * run_bytes(form);
    const mapping_flags_t retyped = (flags_of(variant) & ~S2_SOFT1) | S2_NORMAL_NC;
    const struct rig_step steps[CHANGES] = {
        [UNMAP] = {RIG_UNMAP, at, size, 0, 0},
        [PROTECT] = {RIG_PROTECT, at, size, 0, S2_READ | S2_SOFT0},
        [RETYPE] = {RIG_PROTECT, at, size, 0, retyped},
        [REPLACE] = {RIG_REPLACE, at, size, other, 0},
        [REPLACE_BESIDE] = {RIG_REPLACE, at, size, other + rig_page(form->shape), 0}};

    return steps[change];
}

static size_t frames_for(struct rig_step step)
{
    static const enum s2_verb verbs[] = {[RIG_UNMAP] = S2_VERB_UNMAP,
                                         [RIG_PROTECT] = S2_VERB_PROTECT,
                                         [RIG_REPLACE] = S2_VERB_REPLACE};
    const struct s2_request request = {verbs[step.verb], ipa_range(step.ipa, step.size),
                                       pa_of(step.pa), step.flags};
    size_t frames;

    ck_assert_int_eq(s2_table_frames_needed(&rig.table, &request, &frames), MAPPING_OK);
    return frames;
}

static struct ipa_range window(void)
{
    return ipa_range(unit(0) - run_bytes(form), (UNITS + 2) * run_bytes(form));
}

static void picture_now(struct picture *picture, unsigned details)
{
    const struct mmu mmu = rig_mmu(&rig, &rig.table);

    picture_take(picture, &mmu, window().start.raw, ipa_range_end(window()).raw, details);
}

/* The same change by break-before-make, for what comes of it. */
static void result_with_break(struct rig_step step, struct variant variant, unsigned details,
                              struct picture *picture)
{
    variant.size_change = S2_SIZE_CHANGE_BREAK;
    start(&variant);
    rig_must(&rig, step);
    picture_now(picture, details);
    rig_fini(&rig);
}

/* Nothing but what is in @range was seen unmapped. */
static void assert_gaps_in(const struct witness *witness, struct ipa_range range)
{
    for (size_t i = 0; i < witness->gap_count; i++) {
        ck_assert_uint_ge(witness->gaps[i].start, range.start.raw);
        ck_assert_uint_le(witness->gaps[i].end, range.start.raw + range.size);
    }
}

/* With every frame but the last refused, and then done: what is outside stays at every moment, what
 * is protected too, and in the end all is as if it had been broken. */
static void judge_change(enum change change, struct ipa_range range, const struct variant *variant)
{
    const struct rig_step step = step_of(change, range, variant);
    const unsigned details =
        PICTURE_LEVELS | PICTURE_STATE | (change == PROTECT ? 0 : (unsigned)PICTURE_HINTS);
    struct picture expected, found;
    struct witness witness;
    bool has_transient;

    result_with_break(step, *variant, details, &expected);
    start(variant);
    witness_begin(&witness, &rig, &rig.table, window(), range);
    rig_needs(&rig, step, frames_for(step));
    has_transient = witness_end(&witness);
    assert_gaps_in(&witness, range);
    ck_assert_uint_gt(witness.looks, 1);
    ck_assert_uint_eq(has_transient, change != UNMAP && change != PROTECT);
    ck_assert_uint_eq(runs_flush_count(), 1);
    picture_now(&found, details);
    picture_assert_same(&expected, &found, form->shape->name);
    ck_assert(s2_table_check(&rig.table));
    rig_fini(&rig);
}

/* Pages beside where they were: whole large units of them would be too many tables. */
static bool is_small(struct ipa_range range)
{
    return range.size <= 8 * rig_page(form->shape) || form->level == 3;
}

TEST_EACH(split_goes_without_a_moment_of_invalidity, (BLOCK_FORMS + run_form_count) * PLACES)
{
    const struct variant variant = {
        .size_change = S2_SIZE_CHANGE_DIRECT,
        .bbm = 2,
        .update = _i % 2 == 0 ? S2_HARDWARE_UPDATE_NONE : S2_HARDWARE_UPDATE_DIRTY,
        .walker = _i % 4 == 0 ? S2_WALKER_NON_COHERENT : S2_WALKER_COHERENT,
    };

    form = form_at(_i / PLACES);
    for (int change = 0; change < CHANGES; change++) {
        /* Beyond the first forms one in three, for time's sake. */
        if ((change != REPLACE_BESIDE || is_small(place(_i % PLACES))) &&
            (_i < 2 * PLACES || (_i + change) % 3 == 0)) {
            judge_change((enum change)change, place(_i % PLACES), &variant);
        }
    }
}

/* --- What is sent ---------------------------------------------------------------------------- */

#define TTL_4K(level) ((uint64_t)(1U << 2 | (level)) << 44)

/* [@size] from 2 MiB on, on a CPU without TLBIs by range; then the third page of it goes. */
static void punch(uint64_t size)
{
    struct rig_setup setup = setup_of(RIG_4K_40, &direct);

    setup.cpu.tlb = 0;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, MIB(2), size, RIG_DATA, RIG_RW});
    sim_clear();
    rig_must(&rig, (struct rig_step){RIG_UNMAP, MIB(2) + KIB(8), KIB(4), 0, 0});
}

/* One table over the block, one hole in it, and one flush for both: the block is invalidated at its
 * own level. */
TEST(split_invalidates_the_block_at_its_level)
{
    static const enum sim_kind script[] = {
        SIM_REPLACE,        SIM_STORE,   SIM_DSB_ISH,        SIM_IRQ_MASK, SIM_TLBI_IPAS2E1IS,
        SIM_TLBI_IPAS2E1IS, SIM_DSB_ISH, SIM_TLBI_VMALLE1IS, SIM_DSB_ISH,  SIM_ISB,
        SIM_IRQ_RESTORE,
    };
    size_t at;

    punch(MIB(2));
    at = sim_find(SIM_REPLACE, 0);
    ck_assert(sim_matches(at, script, COUNT(script)));
    ck_assert_uint_eq(at + COUNT(script), sim_event_total());
    ck_assert_uint_eq(sim_events()[at + 4].operand, MIB(2) >> 12 | TTL_4K(2));
    ck_assert_uint_eq(sim_events()[at + 5].operand, (MIB(2) + KIB(8)) >> 12 | TTL_4K(3));
    rig_fini(&rig);
}

/* The members give up the hint by exchanges, and no more: without hardware updates nothing is to be
 * shared out. All of the run is invalidated. */
TEST(torn_run_is_opened_and_invalidated_whole)
{
    uint64_t sent = 0;

    punch(KIB(64));
    ck_assert_uint_eq(sim_event_count(SIM_REPLACE), 16);
    ck_assert_uint_eq(sim_event_count(SIM_STORE), 1);
    ck_assert_uint_eq(sim_event_count(SIM_SWAP), 0);
    for (size_t i = 0; i < sim_event_total(); i++) {
        if (sim_events()[i].kind == SIM_TLBI_IPAS2E1IS) {
            ck_assert_uint_eq(sim_events()[i].operand, (MIB(2) + sent * KIB(4)) >> 12 | TTL_4K(3));
            sent++;
        }
    }
    ck_assert_uint_eq(sent, 16);
    rig_fini(&rig);
}

/* What is protected in place is not made a run first: an exchange for the link, and one a page. */
TEST(protect_of_a_would_be_run_in_a_block_opens_none)
{
    rig_init(&rig, setup_of(RIG_4K_40, &direct));
    rig_must(&rig, (struct rig_step){RIG_MAP, MIB(2), MIB(2), RIG_DATA, RIG_RW});
    sim_clear();
    rig_must(&rig, (struct rig_step){RIG_PROTECT, MIB(2) + KIB(64), KIB(64), 0, S2_READ});
    ck_assert_uint_eq(sim_event_count(SIM_REPLACE) + sim_event_count(SIM_STORE), 1 + 16);
    ck_assert_uint_eq(sim_event_count(SIM_SWAP), 0);
    rig_fini(&rig);
}

/* A whole run whose members keep their type: none of them is invalid at any moment, wherever in the
 * output it lies. Under LPA2 the highest bits of an address stand where the shareability does
 * elsewhere. */
TEST_EACH(protect_of_a_run_opens_it_at_any_address, 4 * run_form_count)
{
    static const uint64_t bases[] = {0, UINT64_C(1) << 50, UINT64_C(1) << 51, UINT64_C(3) << 50};
    const uint64_t base = bases[_i % (int)COUNT(bases)];
    struct witness witness;
    struct rig_setup setup;
    struct rig_map map;

    form = &run_forms[_i / (int)COUNT(bases)];
    if (base >> form->shape->pa_bits != 0) {
        return;
    }
    setup = setup_of(form->shape, &direct);
    setup.config.transient = S2_TRANSIENT_REFUSED;
    rig_init(&rig, setup);
    map = (struct rig_map){unit(0), run_bytes(form), base | unit(0), S2_READ};
    rig_must(&rig, (struct rig_step){RIG_MAP, map.ipa, map.size, map.pa,
                                     RIG_RW | MAPPING_FIELD_PREP(S2_CAP, (unsigned)form->level)});
    sim_clear();
    witness_begin(&witness, &rig, &rig.table, window(), ipa_range(map.ipa, map.size));
    rig_must(&rig, (struct rig_step){RIG_PROTECT, map.ipa, map.size, 0, S2_READ});
    ck_assert(!witness_end(&witness));
    ck_assert_uint_eq(witness.gap_count, 0);
    ck_assert_uint_eq(sim_event_count(SIM_SWAP), 0);
    ck_assert_uint_eq(sim_event_count(SIM_REPLACE) + sim_event_count(SIM_STORE), 2 * form->count);
    rig_assert_map(&rig, &rig.table, map);
    rig_fini(&rig);
}

/* What an operation looks like from outside: kinds, operands and descriptors. */
static uint64_t log_hash(void)
{
    uint64_t hash = 1;

    for (size_t i = 0; i < sim_event_total(); i++) {
        const struct sim_event *event = &sim_events()[i];

        hash = (hash ^ event->kind ^ event->operand ^ event->new) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

/* What @variant does; *has_transient: what a walker saw. */
static uint64_t behaviour(const struct variant *variant, enum change change, int where,
                          bool *has_transient)
{
    struct witness witness;
    uint64_t hash;

    start(variant);
    witness_begin(&witness, &rig, &rig.table, window(), window());
    rig_must(&rig, step_of(change, place(where), variant));
    *has_transient = witness_end(&witness);
    hash = log_hash();
    rig_fini(&rig);
    return hash;
}

/* It takes both: the CPU and the embedder's word. */
TEST_EACH(split_without_level_2_or_consent_goes_by_break, 2 * (BLOCK_FORMS + run_form_count))
{
    static const struct variant others[] = {
        {.size_change = S2_SIZE_CHANGE_DIRECT, .bbm = 1},
        {.size_change = S2_SIZE_CHANGE_DIRECT, .bbm = 0},
        {.size_change = S2_SIZE_CHANGE_BREAK, .bbm = 2},
    };
    const enum change change = _i % 2 == 0 ? UNMAP : PROTECT;
    bool has_transient, is_direct_transient;
    uint64_t broken;

    form = form_at(_i / 2);
    broken = behaviour(&with_break, change, 3, &has_transient);
    ck_assert(has_transient);
    for (size_t i = 0; i < COUNT(others); i++) {
        ck_assert_uint_eq(behaviour(&others[i], change, 3, &has_transient), broken);
        ck_assert(has_transient);
    }
    ck_assert_uint_ne(behaviour(&direct, change, 3, &is_direct_transient), broken);
    ck_assert(!is_direct_transient);
}

/* --- Folds ----------------------------------------------------------------------------------- */

#define PAGES (S2_CAP_PAGES | S2_NO_CONTIGUOUS)

/* What to fold, from 0 on: pages of whole blocks, leaves of whole runs, and one of each that is not
 * whole. The second: a page table that becomes a block, and with it a table of blocks that becomes
 * a larger one. */
static const struct fold {
    int shape;
    uint64_t size;
    bool has_tables;
    struct {
        uint64_t at, size;
        mapping_flags_t flags;
    } maps[2];
} folds[] = {{0, MIB(8), true, {{0, MIB(4), PAGES}, {MIB(6), MIB(1), 0}}},
             {0, GIB(1), true, {{0, MIB(2), PAGES}, {MIB(2), MIB(1022), S2_NO_CONTIGUOUS}}},
             {0, MIB(2), false, {{0, KIB(192), S2_NO_CONTIGUOUS}, {KIB(256), KIB(32), 0}}},
             {2, MIB(64), true, {{0, MIB(32), PAGES}}},
             {3, MIB(512), false, {{0, MIB(4), PAGES}}},
             {4, MIB(4), true, {{0, MIB(4), PAGES}}}};

#define FOLDS ((int)COUNT(folds))

static void start_fold(const struct fold *fold, const struct variant *variant)
{
    rig_init(&rig, setup_of(&rig_shapes[fold->shape], variant));
    for (size_t i = 0; i < COUNT(fold->maps) && fold->maps[i].size > 0; i++) {
        const uint64_t at = fold->maps[i].at;

        rig_must(&rig, (struct rig_step){RIG_MAP, at, fold->maps[i].size, RIG_DATA + at,
                                         RIG_RW | fold->maps[i].flags});
    }
    sim_clear();
}

static struct rig_step fold_step(const struct fold *fold)
{
    return (struct rig_step){.verb = RIG_FOLD, .size = fold->size};
}

static void fold_picture(const struct fold *fold, struct picture *picture)
{
    const struct mmu mmu = rig_mmu(&rig, &rig.table);

    picture_take(picture, &mmu, 0, fold->size, PICTURE_LEVELS | PICTURE_HINTS | PICTURE_STATE);
}

/* No frame is back before the TLBs are done with its table. */
struct purse {
    size_t available; /* at first */
    bool is_flushed;  /* the closing DSB is behind us */
    bool was_early;
};

static void purse_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct purse *purse = arg;

    if (phase == SIM_AFTER) {
        purse->is_flushed |= event->kind == SIM_DSB_ISH && runs_flush_count() > 0;
    } else {
        purse->was_early |=
            !purse->is_flushed && frame_pool_available(&rig.pool) != purse->available;
    }
}

/* Folded in one pass, or in several: alike in the end. */
TEST_EACH(fold_goes_without_a_moment_of_invalidity, FOLDS)
{
    const struct fold *fold = &folds[_i];
    struct purse purse = {0};
    struct witness witness;
    struct picture expected, found;
    size_t frames;

    start_fold(fold, &with_break);
    rig_must(&rig, fold_step(fold));
    fold_picture(fold, &expected);
    frames = s2_table_frame_count(&rig.table);
    rig_fini(&rig);
    start_fold(fold, &direct);
    purse.available = frame_pool_available(&rig.pool);
    ck_assert(sim_listen(purse_event, &purse));
    witness_begin(&witness, &rig, &rig.table, ipa_range(0, fold->size), ipa_range(0, 0));
    rig_must(&rig, fold_step(fold));
    ck_assert(!witness_end(&witness));
    ck_assert(sim_unlisten(purse_event, &purse));
    ck_assert_uint_eq(witness.gap_count, 0);
    ck_assert(!purse.was_early);
    ck_assert_uint_eq(frame_pool_available(&rig.pool) > purse.available, fold->has_tables);
    ck_assert_uint_eq(runs_flush_count(), 1);
    ck_assert_uint_eq(s2_table_frame_count(&rig.table), frames);
    fold_picture(fold, &found);
    picture_assert_same(&expected, &found, rig_shapes[fold->shape].name);
    rig_fini(&rig);
}

/* Hardware could still write into the table, which nobody would read again. Runs have no such
 * table. */
TEST_EACH(fold_of_tables_that_hardware_writes_goes_by_break, FOLDS)
{
    static const struct variant hardware = {
        .size_change = S2_SIZE_CHANGE_DIRECT, .bbm = 2, .update = S2_HARDWARE_UPDATE_AF};
    const struct fold *fold = &folds[_i];
    struct witness witness;

    start_fold(fold, &hardware);
    witness_begin(&witness, &rig, &rig.table, ipa_range(0, fold->size), ipa_range(0, 0));
    rig_must(&rig, fold_step(fold));
    ck_assert_uint_eq(witness_end(&witness), fold->has_tables);
    rig_fini(&rig);
}
