/*
 * test_stale_tlb_library.c - the library under the adversarial TLB, with hardware that moves.
 *
 * First what it does, by examples and at random: nobody may complain. Then what it does less one
 * event, for each event in turn, lost on the way to the hardware: somebody must.
 */
#include "tests/unit/judged.h"
#include "tests/unit/requests.h"
#include "tests/unit/test.h"

#include <check.h>
#include <string.h>

#define SUITE "stale_tlb_library"

#define CLEAN (S2_READ | S2_DBM | S2_NO_AF) /* writable, not yet written or even accessed */
#define RW (S2_READ | S2_WRITE)
#define RWX (RW | S2_EXEC)

static struct judged judged;

/* --- Scenes ---------------------------------------------------------------------------------- */

/* What is mapped first, from block 2 on, and the step that is judged; in blocks and pages. */
struct scene {
    const char *name;
    uint64_t blocks, pages;
    mapping_flags_t flags;
    enum judged_verb verb;
    uint64_t block, page, block_count, page_count;
    mapping_flags_t new_flags;
};

static const struct scene scenes[] = {
    {"map beside", 1, 3, CLEAN, JUDGED_MAP, 5, 0, 1, 2, RW},
    {"unmap pages", 0, 9, CLEAN, JUDGED_UNMAP, 2, 3, 0, 2, 0},
    {"unmap a table", 1, 0, CLEAN | S2_CAP_PAGES, JUDGED_UNMAP, 2, 0, 1, 0, 0},
    {"empty a table", 0, 9, CLEAN, JUDGED_UNMAP, 2, 0, 0, 9, 0},
    {"unmap blocks", 3, 0, CLEAN, JUDGED_UNMAP, 2, 0, 2, 0, 0},
    {"split a page", 1, 0, CLEAN, JUDGED_UNMAP, 2, 3, 0, 1, 0},
    {"split two blocks", 4, 0, CLEAN, JUDGED_UNMAP, 2, 3, 2, 2, 0},
    {"split a run", 1, 0, CLEAN | S2_CAP_PAGES, JUDGED_UNMAP, 2, 3, 0, 1, 0},
    {"tighten pages", 0, 9, RW, JUDGED_PROTECT, 2, 3, 0, 3, S2_READ},
    {"tighten a run", 1, 0, RW | S2_CAP_PAGES, JUDGED_PROTECT, 2, 0, 1, 0, S2_READ},
    {"tighten a part", 1, 0, RW, JUDGED_PROTECT, 2, 3, 0, 3, S2_READ},
    {"relax pages", 0, 9, S2_READ, JUDGED_PROTECT, 2, 3, 0, 3, RWX},
    {"retype pages", 0, 9, RW, JUDGED_PROTECT, 2, 3, 0, 3, S2_READ | S2_NORMAL_NC},
    {"retype a part", 1, 0, RW, JUDGED_PROTECT, 2, 3, 0, 3, S2_READ | S2_NORMAL_NC},
    {"replace a page", 1, 0, CLEAN, JUDGED_REPLACE, 2, 3, 0, 1, 0},
    {"replace blocks", 2, 0, CLEAN, JUDGED_REPLACE, 2, 0, 2, 0, 0},
    {"fold a table", 1, 0, CLEAN | S2_CAP_PAGES, JUDGED_FOLD, 2, 0, 1, 0, 0},
    {"fold runs", 1, 0, CLEAN | S2_CAP_PAGES | S2_NO_CONTIGUOUS, JUDGED_FOLD, 2, 0, 1, 0, 0},
};

#define SCENES ((int)COUNT(scenes))

static uint64_t bytes(uint64_t blocks, uint64_t pages)
{
    return blocks * judged.setup.shape->block + pages * judged_page(&judged);
}

static struct judged_step scene_step(const struct scene *scene, unsigned guest)
{
    const uint64_t ipa = bytes(scene->block, scene->page);
    const uint64_t shift = scene->verb == JUDGED_REPLACE ? bytes(64, 0) : 0;

    return (struct judged_step){guest,
                                scene->verb,
                                ipa,
                                bytes(scene->block_count, scene->page_count),
                                JUDGED_DATA + shift + ipa,
                                scene->new_flags};
}

/* A walker past the caches writes no AF and no dirty state: tables of its are without DBM. */
static void set_walker(struct judged_setup *setup, bool is_coherent)
{
    setup->walker = is_coherent ? S2_WALKER_COHERENT : S2_WALKER_NON_COHERENT;
    setup->update = is_coherent ? S2_HARDWARE_UPDATE_DIRTY : S2_HARDWARE_UPDATE_NONE;
}

static mapping_flags_t flags_here(mapping_flags_t flags)
{
    return judged.setup.update == S2_HARDWARE_UPDATE_DIRTY ? flags : flags & ~S2_DBM;
}

/* Both guests alike. */
static void scene_set(const struct scene *scene)
{
    const uint64_t ipa = bytes(2, 0);

    for (unsigned guest = 0; guest < JUDGED_GUESTS; guest++) {
        judged_must(&judged,
                    (struct judged_step){guest, JUDGED_MAP, ipa, bytes(scene->blocks, scene->pages),
                                         JUDGED_DATA + ipa, flags_here(scene->flags)});
    }
}

TEST_EACH(verb_leaves_nothing_stale, SCENES *judged_shape_count)
{
    const struct scene *scene = &scenes[_i % SCENES];
    struct judged_setup setup = judged_setup_of(&judged_shapes[_i / SCENES]);

    for (unsigned variant = 0; variant < 4; variant++) {
        setup.has_ttl = variant != 1;
        set_walker(&setup, variant != 2);
        setup.contiguous = variant == 3 ? S2_CONTIGUOUS_OFF : S2_CONTIGUOUS_ON;
        setup.has_loads = variant % 2 != 0;
        setup.seed = (uint64_t)_i * 4 + variant + 1;
        judged_open(&judged, setup);
        scene_set(scene);
        judged_must(&judged, scene_step(scene, 0));
        judged_must(&judged, scene_step(scene, 1));
        judged_close(&judged);
    }
}

/* --- At random ------------------------------------------------------------------------------- */

#define STEPS 160
#define WINDOW 6 /* blocks */

static mapping_flags_t random_flags(void)
{
    static const mapping_flags_t flags[] = {
        CLEAN,
        CLEAN | S2_CAP_PAGES,
        S2_READ | S2_DBM,
        RW,
        RW | S2_DBM,
        RWX | S2_NO_AF,
        S2_READ,
        RW | S2_NORMAL_NC,
        S2_READ | S2_DBM | S2_SOFT0,
        RW | S2_CAP_PAGES | S2_NO_CONTIGUOUS,
    };

    return flags[judged_random(&judged, COUNT(flags))];
}

/* A stretch of the window whose borders are those of blocks, of runs, or of any pages. */
static struct judged_step random_step(void)
{
    const uint64_t page = judged_page(&judged);
    const uint64_t units[] = {judged.setup.shape->block, 128 * page, page, page};
    const uint64_t unit = units[judged_random(&judged, COUNT(units))];
    const uint64_t window = bytes(WINDOW, 0) / unit;
    const uint64_t first = judged_random(&judged, window);
    const enum judged_verb verb = (enum judged_verb)judged_random(&judged, JUDGED_VERBS);
    const uint64_t limit = verb == JUDGED_UNMAP || verb == JUDGED_REPLACE ? 8 : 160;
    const uint64_t most = window - first < limit ? window - first : limit;
    const uint64_t ipa = bytes(2, 0) + first * unit;
    const uint64_t slide = judged_random(&judged, 4) == 0 ? 128 * page : 0;

    return (struct judged_step){
        .guest = (unsigned)judged_random(&judged, JUDGED_GUESTS),
        .verb = verb,
        .ipa = ipa,
        .size = unit * (1 + judged_random(&judged, most)),
        .pa = JUDGED_DATA + bytes(judged_random(&judged, 3) * 16, 0) + slide + ipa,
        .flags = flags_here(random_flags()),
    };
}

/* Guests use their memory between operations, too: some of the next range, and around it. */
static void random_accesses(const struct judged_step *next)
{
    static const enum mmu_access kinds[] = {MMU_READ, MMU_WRITE, MMU_FETCH_EL0};
    const uint64_t around = next->size + bytes(0, 16);

    for (unsigned i = 0; i < 12; i++) {
        (void)moving_access(&judged.moving, judged.guests[i % JUDGED_GUESTS],
                            next->ipa - bytes(0, 8) + judged_random(&judged, around), kinds[i % 3]);
    }
}

TEST_EACH(random_verbs_leave_nothing_stale, 4 * judged_shape_count)
{
    struct judged_setup setup = judged_setup_of(&judged_shapes[_i % judged_shape_count]);
    size_t done = 0;

    setup.seed = (uint64_t)_i + 1;
    set_walker(&setup, _i % 4 != 3);
    setup.has_loads = _i / judged_shape_count % 2 != 0;
    judged_open(&judged, setup);
    for (unsigned guest = 0; guest < JUDGED_GUESTS; guest++) {
        judged_must(&judged, (struct judged_step){guest, JUDGED_MAP, bytes(2, 0), bytes(WINDOW, 0),
                                                  JUDGED_DATA + bytes(2, 0), flags_here(CLEAN)});
    }
    for (unsigned i = 0; i < STEPS; i++) {
        const struct judged_step step = random_step();
        const char *problem = NULL;
        enum mapping_error error;

        random_accesses(&step);
        error = judged_do(&judged, step, &problem);
        ck_assert(error == MAPPING_OK || error == MAPPING_ALREADY_EXISTS ||
                  error == MAPPING_NOT_FOUND);
        ck_assert_msg(problem == NULL, "%s", problem);
        done += error == MAPPING_OK ? 1 : 0;
    }
    ck_assert_uint_gt(done, STEPS / 2);
    ck_assert((judged.moving.updates > 0) == (setup.update != S2_HARDWARE_UPDATE_NONE));
    judged_close(&judged);
}

/* --- What hardware does to a part ------------------------------------------------------------- */

/* Members of a run that differ in what hardware has set, some of them equal to what a protect asks
 * for: still the run is changed whole. */
TEST_EACH(protect_of_a_run_that_hardware_set_in_part_keeps_it_one, 2 * judged_shape_count)
{
    const mapping_flags_t asked = _i % 2 == 0 ? CLEAN : RW | S2_DBM;
    uint64_t ipa, page;

    judged_open(&judged, judged_setup_of(&judged_shapes[_i / 2]));
    ipa = bytes(2, 0);
    page = bytes(0, 1);
    judged_must(&judged, (struct judged_step){0, JUDGED_MAP, ipa, bytes(1, 0), JUDGED_DATA + ipa,
                                              CLEAN | S2_CAP_PAGES});
    /* Both ends of the range are as asked for, and its middle is not. */
    for (unsigned i = 0; i < 3; i++) {
        if ((asked == CLEAN) == (i == 1)) {
            ck_assert(moving_access(&judged.moving, judged.guests[0], ipa + i * page, MMU_WRITE));
        }
    }
    judged_must(&judged, (struct judged_step){0, JUDGED_PROTECT, ipa, 3 * page, 0, asked});
    judged_close(&judged);
}

/* A block that needed no split when the protect was held, and does when it is done. */
TEST_EACH(protect_held_before_an_access_has_the_frames_it_needs, judged_shape_count)
{
    const struct judged_setup setup = judged_setup_of(&judged_shapes[_i]);
    const uint64_t ipa = 2 * setup.shape->block;
    struct s2_table *table = &judged.tables[0];
    struct ipa_range part;

    judged_open(&judged, setup);
    part = ipa_range(ipa + setup.shape->block / 4, setup.shape->block / 2);
    judged_must(&judged, (struct judged_step){0, JUDGED_MAP, ipa, setup.shape->block,
                                              JUDGED_DATA + ipa, CLEAN});
    s2_table_begin(table);
    ck_assert_int_eq(hold_protect(table, part, CLEAN), MAPPING_OK);
    ck_assert(moving_access(&judged.moving, judged.guests[0], ipa, MMU_WRITE));
    moving_may_forget(&judged.moving, judged.guests[0], part.start.raw, part.size);
    do_protect(table, part, CLEAN);
    s2_table_end(table);
    ck_assert_ptr_null(moving_end(&judged.moving));
    ck_assert_ptr_null(stale_tlb_quiesce(&judged.tlb));
    judged_close(&judged);
}

/* --- One event lost -------------------------------------------------------------------------- */

#define OPERANDS 128

/* Loses the @number-th event of a kind. */
struct thief {
    enum sim_kind kind;
    size_t number;
    size_t seen;
    uint64_t operands[OPERANDS]; /* of all that were seen */
};

static bool steal(void *arg, const struct sim_event *event)
{
    struct thief *thief = arg;

    if (event->kind != thief->kind) {
        return false;
    }
    ck_assert_uint_lt(thief->seen, OPERANDS);
    thief->operands[thief->seen] = event->operand;
    thief->seen++;
    return thief->seen - 1 == thief->number;
}

/* An invalidation by address that came a second time, before or after: nothing is lost with it. */
static bool has_loot_twice(const struct thief *thief)
{
    for (size_t i = 0; i < thief->seen; i++) {
        if (i != thief->number && thief->kind == SIM_TLBI_IPAS2E1IS &&
            thief->operands[i] == thief->operands[thief->number]) {
            return true;
        }
    }
    return false;
}

/* The scene's step on @guest with one event lost: what the models say. Guests have accessed all
 * that is mapped, or no TLB would hold it. */
static const char *verdict_without(const struct scene *scene, unsigned guest, struct thief *thief)
{
    struct judged_setup setup = judged_setup_of(&judged_shapes[0]);
    struct scene accessed = *scene;
    const char *problem = NULL;

    accessed.flags &= ~S2_NO_AF;
    setup.verdict = STALE_TLB_RECORDS;
    setup.is_moving = false;
    judged_open(&judged, setup);
    scene_set(&accessed);
    sim_set_swallow(steal, thief);
    ck_assert_int_eq(judged_do(&judged, scene_step(&accessed, guest), &problem), MAPPING_OK);
    sim_set_swallow(NULL, NULL);
    judged_abandon(&judged);
    return problem;
}

/* Each barrier and each invalidation matters, but for a page that is only relaxed: then the guest
 * may keep the stricter copy, refault and be retried. */
static void lose_each(const struct scene *scene, unsigned guest, enum sim_kind kind, size_t most)
{
    const bool is_relaxed = strcmp(scene->name, "relax pages") == 0;
    struct thief thief = {.kind = kind, .seen = 1};

    for (size_t n = 0; n < thief.seen && n < most; n++) {
        const char *problem;

        thief = (struct thief){.kind = kind, .number = n};
        problem = verdict_without(scene, guest, &thief);
        if (n < thief.seen && !has_loot_twice(&thief)) {
            ck_assert_msg((problem != NULL) != is_relaxed, "%s, guest %u, %s %zu lost: %s",
                          scene->name, guest, sim_kind_name(kind), n,
                          problem == NULL ? "nobody noticed" : problem);
        }
    }
}

TEST_EACH(lose_one_barrier_or_invalidation_is_noticed, SCENES *JUDGED_GUESTS)
{
    static const enum sim_kind kinds[] = {SIM_DSB_ISH, SIM_TLBI_IPAS2E1IS, SIM_TLBI_VMALLE1IS,
                                          SIM_TLBI_VMALLS12E1IS};
    const struct scene *scene = &scenes[_i % SCENES];

    for (size_t i = 0; i < COUNT(kinds); i++) {
        lose_each(scene, (unsigned)(_i / SCENES), kinds[i], SIZE_MAX);
    }
}

TEST_EACH(lose_publishing_barrier_is_noticed, SCENES)
{
    struct scene scene = scenes[_i];

    if (strcmp(scene.name, "relax pages") != 0) {
        lose_each(&scene, 0, SIM_DSB_ISHST, SIZE_MAX);
    }
}

/* On the way to the other guest: its VMID, and the ISB without which that is not in force. */
TEST_EACH(lose_switch_to_other_guest_is_noticed, SCENES)
{
    if (scenes[_i].verb != JUDGED_MAP) {
        lose_each(&scenes[_i], 1, SIM_WRITE_VTTBR, 1);
        lose_each(&scenes[_i], 1, SIM_ISB, 1);
    }
}
