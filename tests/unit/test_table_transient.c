/*
 * test_table_transient.c - tables that a device walks, too (S2_TRANSIENT_REFUSED): nothing that
 * stays mapped is invalid at any moment, or the change is refused.
 */
#include "tests/model/random.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/table_witness.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "table_transient"

static struct rig rig;

/* --- The matrix ------------------------------------------------------------------------------ */

#define PAGES (S2_CAP_PAGES | S2_NO_CONTIGUOUS)
#define AT MIB(2)

enum variant { BREAK, DIRECT, DIRECT_HARDWARE, VARIANTS };

enum {
    NEVER = 0,
    BREAKING = 1 << BREAK,
    NOT_DIRECT = 1 << BREAK | 1 << DIRECT_HARDWARE, /* nor where hardware may change leaves */
    ALWAYS = (1 << VARIANTS) - 1
};

/* 4K: a block spans 2 MiB, a run 64 KiB. Output as far on as input, so that all is uniform. */
struct situation {
    const char *name;
    struct rig_step maps[2];
    struct rig_step step;
    unsigned denied; /* variants in which it is */
};

#define BLOCK RIG_MAP, AT, MIB(4), RIG_DATA, RIG_RW
#define RUNS RIG_MAP, AT, KIB(192), RIG_DATA, RIG_RW
#define SINGLES RIG_MAP, AT, KIB(192), RIG_DATA, RIG_RW | PAGES
#define TABLE RIG_MAP, AT, MIB(2), RIG_DATA, RIG_RW | PAGES

#define RW_NC (RIG_RW | S2_NORMAL_NC)
#define ELSEWHERE (RIG_DATA + MIB(64))

static const struct situation situations[] = {
    {"unmap a page of a block", {{BLOCK}}, {RIG_UNMAP, AT + KIB(8), KIB(4), 0, 0}, BREAKING},
    {"unmap across blocks", {{BLOCK}}, {RIG_UNMAP, AT + MIB(1), MIB(2), 0, 0}, BREAKING},
    {"unmap a member", {{RUNS}}, {RIG_UNMAP, AT + KIB(72), KIB(4), 0, 0}, BREAKING},
    {"unmap a whole run", {{RUNS}}, {RIG_UNMAP, AT + KIB(64), KIB(64), 0, 0}, NEVER},
    {"unmap a whole block", {{BLOCK}}, {RIG_UNMAP, AT, MIB(2), 0, 0}, NEVER},
    {"unmap a page", {{SINGLES}}, {RIG_UNMAP, AT + KIB(8), KIB(8), 0, 0}, NEVER},
    {"unmap all of it",
     {{TABLE}, {RIG_MAP, MIB(8), KIB(4), RIG_DATA, RIG_RW}},
     {RIG_UNMAP, 0, GIB(1), 0, 0},
     NEVER},
    {"unmap a hole", {{BLOCK}}, {RIG_UNMAP, MIB(16), MIB(1), 0, 0}, NEVER},
    {"protect a page of a block",
     {{BLOCK}},
     {RIG_PROTECT, AT + KIB(8), KIB(4), 0, S2_READ},
     BREAKING},
    {"protect a member", {{RUNS}}, {RIG_PROTECT, AT + KIB(72), KIB(4), 0, S2_READ}, BREAKING},
    {"protect a whole run", {{RUNS}}, {RIG_PROTECT, AT + KIB(64), KIB(64), 0, S2_READ}, BREAKING},
    {"protect a whole block", {{BLOCK}}, {RIG_PROTECT, AT, MIB(2), 0, S2_READ}, NEVER},
    {"protect pages", {{SINGLES}}, {RIG_PROTECT, AT, KIB(32), 0, S2_READ | S2_SOFT0}, NEVER},
    {"protect a page as it is", {{BLOCK}}, {RIG_PROTECT, AT + KIB(8), KIB(4), 0, RIG_RW}, NEVER},
    {"protect a hole", {{BLOCK}}, {RIG_PROTECT, MIB(16), MIB(1), 0, S2_READ}, NEVER},
    {"retype a page", {{SINGLES}}, {RIG_PROTECT, AT, KIB(4), 0, RW_NC}, ALWAYS},
    {"retype a page of a block", {{BLOCK}}, {RIG_PROTECT, AT, KIB(4), 0, RW_NC}, ALWAYS},
    {"retype a whole run", {{RUNS}}, {RIG_PROTECT, AT, KIB(64), 0, RW_NC}, ALWAYS},
    {"retype the last page only",
     {{SINGLES}, {RIG_MAP, MIB(4), KIB(4), RIG_DATA, S2_READ}},
     {RIG_PROTECT, MIB(4) - KIB(4), KIB(8), 0, S2_READ | S2_NORMAL_NC},
     ALWAYS},
    {"share a page otherwise",
     {{SINGLES}},
     {RIG_PROTECT, AT, KIB(4), 0, RIG_RW | S2_SH_OUTER},
     ALWAYS},
    {"replace a page", {{SINGLES}}, {RIG_REPLACE, AT, KIB(4), ELSEWHERE, 0}, ALWAYS},
    {"replace a page of a block", {{BLOCK}}, {RIG_REPLACE, AT, KIB(4), ELSEWHERE, 0}, ALWAYS},
    {"replace a whole block", {{BLOCK}}, {RIG_REPLACE, AT, MIB(2), ELSEWHERE, 0}, ALWAYS},
    {"fold a table", {{TABLE}}, {RIG_FOLD, 0, MIB(8), 0, 0}, NOT_DIRECT},
    {"fold runs", {{SINGLES}}, {RIG_FOLD, 0, MIB(8), 0, 0}, BREAKING},
    {"fold a table that sticks out", {{TABLE}}, {RIG_FOLD, AT + KIB(4), KIB(8), 0, 0}, NEVER},
    {"fold blocks", {{BLOCK}}, {RIG_FOLD, 0, MIB(8), 0, 0}, NEVER},
    {"fold runs that are there", {{RUNS}}, {RIG_FOLD, 0, MIB(8), 0, 0}, NEVER},
    {"map beside", {{RUNS}}, {RIG_MAP, AT + KIB(192), KIB(8), RIG_DATA + KIB(192), RIG_RW}, NEVER},
};

#define SITUATIONS ((int)COUNT(situations))

static struct rig_setup setup_of(const struct rig_shape *shape, enum variant variant,
                                 enum s2_transient transient)
{
    struct rig_setup setup = rig_setup_of(shape);

    setup.config.contiguous = S2_CONTIGUOUS_ON;
    setup.has_device = true;
    setup.config.transient = transient;
    setup.config.size_change = variant == BREAK ? S2_SIZE_CHANGE_BREAK : S2_SIZE_CHANGE_DIRECT;
    setup.config.hardware_update =
        variant == DIRECT_HARDWARE ? S2_HARDWARE_UPDATE_DIRTY : S2_HARDWARE_UPDATE_NONE;
    setup.frame_count = shape->granule == S2_GRANULE_4K ? 40 : 16;
    return setup;
}

static void start(const struct situation *situation, enum variant variant,
                  enum s2_transient transient)
{
    rig_init(&rig, setup_of(RIG_4K_40, variant, transient));
    for (size_t i = 0; i < COUNT(situation->maps); i++) {
        if (situation->maps[i].size > 0) {
            rig_must(&rig, situation->maps[i]);
        }
    }
}

/* What s2_table_frames_needed() answers to the step; a fold cannot be asked about. */
static enum mapping_error ask(struct rig_step step)
{
    const struct s2_request request = rig_request(step);
    size_t frames;

    return s2_table_frames_needed(&rig.table, &request, &frames);
}

/* Do the step, with a witness: whether something that stays was invalid for a moment. */
static bool do_watched(struct rig_step step, uint64_t window, enum mapping_error *error)
{
    struct witness witness;

    witness_begin(&witness, &rig, &rig.table, ipa_range(0, window), ipa_range(step.ipa, step.size));
    *error = rig_do(&rig, step);
    return witness_end(&witness);
}

TEST_EACH(change_is_denied_or_disturbs_nobody, VARIANTS *SITUATIONS)
{
    const struct situation *situation = &situations[_i / VARIANTS];
    const enum variant variant = (enum variant)(_i % VARIANTS);
    const bool is_denied = (situation->denied >> variant & 1) != 0;
    const enum mapping_error expected = is_denied ? MAPPING_DENIED : MAPPING_OK;
    const bool can_ask = situation->step.verb != RIG_FOLD;
    enum mapping_error error;

    start(situation, variant, S2_TRANSIENT_REFUSED);
    ck_assert_msg(!can_ask || ask(situation->step) == expected, "%s", situation->name);
    if (is_denied) {
        rig_refused(&rig, situation->step, MAPPING_DENIED);
        rig_leave(&rig, 0); /* nor does the lack of a frame hide it */
        rig_refused(&rig, situation->step, MAPPING_DENIED);
    } else {
        ck_assert_msg(!do_watched(situation->step, MIB(16), &error), "%s", situation->name);
        ck_assert_msg(error == MAPPING_OK, "%s", situation->name);
    }
    rig_fini(&rig);
}

/* And each that is denied would have disturbed somebody. */
TEST_EACH(change_that_would_be_denied_is_done_where_transients_are_fine, VARIANTS *SITUATIONS)
{
    const struct situation *situation = &situations[_i / VARIANTS];
    const enum variant variant = (enum variant)(_i % VARIANTS);
    const bool is_denied = (situation->denied >> variant & 1) != 0;
    enum mapping_error error;
    bool has_transient;

    start(situation, variant, S2_TRANSIENT_OK);
    ck_assert(situation->step.verb == RIG_FOLD || ask(situation->step) == MAPPING_OK);
    has_transient = do_watched(situation->step, MIB(16), &error);
    ck_assert_msg(error == MAPPING_OK, "%s", situation->name);
    ck_assert_msg(has_transient == is_denied, "%s", situation->name);
    rig_fini(&rig);
}

/* What is wrong with the arguments comes before what is wrong with the change. */
TEST(wrong_arguments_come_before_the_denial)
{
    static const struct {
        struct rig_step step;
        enum mapping_error error;
    } wrong[] = {
        {{RIG_UNMAP, AT + 1, KIB(4), 0, 0}, MAPPING_INVALID_PARAM},
        {{RIG_UNMAP, AT + KIB(4), 0, 0, 0}, MAPPING_INVALID_PARAM},
        {{RIG_PROTECT, AT + KIB(4), KIB(4), 0, S2_READ | UINT64_C(1) << 63}, MAPPING_INVALID_PARAM},
        {{RIG_PROTECT, AT + KIB(4), KIB(4), 0, S2_READ | S2_NORMAL_WT}, MAPPING_UNSUPPORTED},
        {{RIG_REPLACE, AT + KIB(4), KIB(4), RIG_DATA + 1, 0}, MAPPING_INVALID_PARAM},
        {{RIG_REPLACE, AT + MIB(3), MIB(2), RIG_DATA, 0}, MAPPING_NOT_FOUND},
        {{RIG_FOLD, AT + 1, KIB(4), 0, 0}, MAPPING_INVALID_PARAM},
    };

    start(&situations[0], BREAK, S2_TRANSIENT_REFUSED);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        rig_refused(&rig, wrong[i].step, wrong[i].error);
        ck_assert(wrong[i].step.verb == RIG_FOLD || ask(wrong[i].step) == wrong[i].error);
    }
    rig_fini(&rig);
}

/* --- Random layouts -------------------------------------------------------------------------- */

#define BLOCKS 4
#define ROUNDS 32

static const mapping_flags_t flag_choices[] = {
    RIG_RW,         S2_READ,           RIG_RW | S2_CAP_PAGES,
    RIG_RW | PAGES, RIG_RW | S2_SOFT0, RIG_RW | S2_NORMAL_NC,
    RIG_RWX,        S2_READ | S2_DBM,
};

/* Some border: of a page, a run or a block. */
static uint64_t random_border(struct random *random, const struct rig_shape *shape)
{
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const uint64_t grains[] = {page, 16 * page, 128 * page, block};
    const uint64_t grain = grains[random_below(random, COUNT(grains))];

    return random_below(random, BLOCKS * block / grain + 1) * grain;
}

static struct rig_step random_step(struct random *random, const struct rig_shape *shape,
                                   bool has_dirty)
{
    const uint64_t a = random_border(random, shape), b = random_border(random, shape);
    const uint64_t start = a < b ? a : b;
    struct rig_step step = {.ipa = start, .size = a < b ? b - a : a - b};

    step.verb = (enum rig_verb)random_below(random, 5);
    step.pa = RIG_DATA + start + (random_below(random, 4) == 0 ? GIB(8) : 0);
    step.flags = flag_choices[random_below(random, COUNT(flag_choices) - (has_dirty ? 0 : 1))];
    if (step.verb == RIG_UNMAP || step.verb == RIG_REPLACE) {
        step.flags = 0;
    }
    return step;
}

/* First as if transients were refused: nobody is disturbed. What is denied is then done all the
 * same, and disturbs somebody; but where the hardware may change at any moment what would have to
 * be changed, more is denied than that. */
static void judge_step(struct rig_step step, bool is_exact, size_t denied[])
{
    const uint64_t window = (BLOCKS + 1) * rig_block(rig.setup.shape);
    const size_t changes = sim_change_count();
    enum mapping_error error;
    bool has_transient;

    rig.table.refuses_transient = true;
    has_transient = do_watched(step, window, &error);
    rig.table.refuses_transient = false;
    ck_assert(!has_transient);
    if (error == MAPPING_DENIED) {
        ck_assert_uint_eq(sim_change_count(), changes);
        has_transient = do_watched(step, window, &error);
        ck_assert_int_eq(error, MAPPING_OK);
        ck_assert(has_transient || !is_exact);
        denied[1]++;
    } else if (error == MAPPING_OK) {
        denied[0]++;
    }
}

TEST_EACH(random_change_is_denied_exactly_if_it_disturbs, 3 * VARIANTS)
{
    static const int shapes[] = {0, 4, 2};
    const enum variant variant = (enum variant)(_i % VARIANTS);
    const struct rig_shape *shape = &rig_shapes[shapes[_i / VARIANTS]];
    size_t denied[2] = {0};
    struct random random = {(uint64_t)_i + 1};

    sim_set_log(SIM_LOG_COUNT);
    rig_init(&rig, setup_of(shape, variant, S2_TRANSIENT_OK));
    for (unsigned i = 0; i < ROUNDS; i++) {
        judge_step(random_step(&random, shape, variant == DIRECT_HARDWARE),
                   variant != DIRECT_HARDWARE, denied);
    }
    ck_assert_uint_gt(denied[0], 5);
    ck_assert(denied[1] > 0 || variant != BREAK);
    rig_fini(&rig);
}

/* --- Spaces ---------------------------------------------------------------------------------- */

static struct guest guest;

static void guest_start(enum variant variant, const struct guest_area areas[], size_t count)
{
    struct rig_setup setup = setup_of(RIG_4K_40, variant, S2_TRANSIENT_REFUSED);

    guest_init(&guest, setup, GUEST_NODES, 0);
    guest_map_all(&guest, areas, count);
    monitor_quiesce(guest.rig.monitor);
}

enum space_verb { SPACE_UNMAP, SPACE_PROTECT, SPACE_REPLACE, SPACE_FOLD };

static enum mapping_error guest_do(enum space_verb verb, uint64_t ipa, uint64_t size)
{
    const struct ipa_range range = ipa_range(ipa, size);
    enum mapping_error error = MAPPING_BAD_STATE;

    switch (verb) {
    case SPACE_UNMAP:
        error = s2_space_unmap(&guest.space, range);
        break;
    case SPACE_PROTECT:
        error = s2_space_protect(&guest.space, range, S2_READ);
        break;
    case SPACE_REPLACE:
        error = s2_space_replace_linear(&guest.space, range, pa_of(RIG_DATA + GIB(1)), RIG_RW);
        break;
    case SPACE_FOLD:
        error = s2_space_fold(&guest.space, range);
        break;
    }
    monitor_quiesce(guest.rig.monitor);
    return error;
}

static void guest_refused(enum space_verb verb, uint64_t ipa, uint64_t size)
{
    struct guest_snapshot before;
    size_t changes;

    rig_poison_free(&guest.rig);
    guest_snapshot_take(&before, &guest);
    changes = sim_change_count();
    ck_assert_str_eq(mapping_error_name(guest_do(verb, ipa, size)), "MAPPING_DENIED");
    guest_snapshot_assert_same(&before, &guest);
    ck_assert_uint_eq(sim_change_count(), changes);
    guest_snapshot_free(&before);
}

/* A block; a run; and pages, in two areas that are alike and lie side by side. */
static const struct guest_area areas[] = {
    {MIB(2), MIB(2), RIG_DATA, RIG_RW},
    {MIB(4), KIB(64), RIG_DATA + MIB(16), RIG_RW},
    {MIB(6), MIB(1), RIG_DATA + MIB(32), RIG_RW},
    {MIB(7), MIB(1), RIG_DATA + MIB(33), RIG_RW},
};

static const struct {
    const char *name;
    enum space_verb verb;
    uint64_t ipa, size;
    unsigned denied;
} space_changes[] = {
    {"unmap a part of a block", SPACE_UNMAP, MIB(3), KIB(4), BREAKING},
    {"unmap parts of two areas", SPACE_UNMAP, MIB(3), MIB(1) + KIB(4), BREAKING},
    {"unmap an area", SPACE_UNMAP, MIB(2), MIB(2), NEVER},
    {"unmap all", SPACE_UNMAP, 0, MIB(16), NEVER},
    {"protect a part of a block", SPACE_PROTECT, MIB(3), KIB(4), BREAKING},
    {"protect a block and a run", SPACE_PROTECT, MIB(2), MIB(3), BREAKING},
    {"protect a block", SPACE_PROTECT, MIB(2), MIB(2), NEVER},
    {"replace an area", SPACE_REPLACE, MIB(2), MIB(2), ALWAYS},
    {"replace a part of an area", SPACE_REPLACE, MIB(3), KIB(4), ALWAYS},
    {"replace more than an area", SPACE_REPLACE, MIB(4), MIB(1), ALWAYS},
    {"replace what is free", SPACE_REPLACE, MIB(12), MIB(1), NEVER},
    {"fold areas to a block", SPACE_FOLD, 0, MIB(16), NOT_DIRECT},
    {"fold what is folded", SPACE_FOLD, 0, MIB(6), NEVER},
    {"fold an area", SPACE_FOLD, MIB(6), MIB(1) - KIB(4), NEVER},
};

#define SPACE_CHANGES ((int)COUNT(space_changes))

TEST_EACH(space_change_is_denied_or_done, VARIANTS *SPACE_CHANGES)
{
    const enum variant variant = (enum variant)(_i % VARIANTS);
    const int i = _i / VARIANTS;
    struct witness witness;

    guest_start(variant, areas, COUNT(areas));
    if ((space_changes[i].denied >> variant & 1) != 0) {
        guest_refused(space_changes[i].verb, space_changes[i].ipa, space_changes[i].size);
    } else {
        witness_begin(&witness, &guest.rig, s2_space_table(&guest.space), ipa_range(0, MIB(16)),
                      ipa_range(space_changes[i].ipa, space_changes[i].size));
        ck_assert_msg(guest_do(space_changes[i].verb, space_changes[i].ipa,
                               space_changes[i].size) == MAPPING_OK,
                      "%s", space_changes[i].name);
        ck_assert_msg(!witness_end(&witness), "%s", space_changes[i].name);
    }
    ck_assert(s2_space_check(&guest.space));
    guest_fini(&guest);
}

/* The first area could be folded, as its leaves become runs directly, the second not. */
TEST(space_fold_changes_no_area_if_one_is_denied)
{
    static const struct guest_area mixed[] = {
        {MIB(2), KIB(32), RIG_DATA, RIG_RW},
        {MIB(2) + KIB(32), KIB(32), RIG_DATA + KIB(32), RIG_RW},
        {MIB(6), MIB(1), RIG_DATA + MIB(32), RIG_RW},
        {MIB(7), MIB(1), RIG_DATA + MIB(33), RIG_RW},
    };

    guest_start(DIRECT_HARDWARE, mixed, COUNT(mixed));
    guest_refused(SPACE_FOLD, 0, MIB(16));
    ck_assert_int_eq(guest_do(SPACE_FOLD, 0, MIB(4)), MAPPING_OK);
    ck_assert_uint_eq(memory_set_len(s2_space_areas(&guest.space)), 3);
    guest_fini(&guest);
}
