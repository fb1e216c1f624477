/*
 * test_table_direct_hardware.c - sizes that change directly while hardware sets AF and dirty state:
 * nothing that a guest has written is forgotten.
 *
 * Before each event of an operation in turn a guest writes a page that stays. The hardware notes
 * that in the page's leaf, or in any member of a run that the page lies in: a TLB that holds a run
 * by one of its members knows no better.
 */
#include "tests/model/random.h"
#include "tests/unit/judged.h"
#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#include <check.h>

#define SUITE "table_direct_hardware"

#define CLEAN (S2_READ | S2_DBM | S2_NO_AF)
#define DESC_AF (UINT64_C(1) << 10)
#define DESC_WRITE (UINT64_C(1) << 7)
#define DESC_HINT (UINT64_C(1) << 52)

static struct rig rig;

/* One map from @map on; a change of it; and pages that stay, whose leaf is of @group at most. */
struct scene {
    const char *name;
    int shape;
    uint64_t map, size;
    mapping_flags_t flags;
    struct rig_step step;
    uint64_t targets[4];
    unsigned group; /* entries of a run */
};

#define AT MIB(64)
#define OTHER (RIG_DATA + GIB(1))
#define SMALL(verb, size, flags)                         \
    {                                                    \
        verb, AT + KIB(20), size, OTHER + KIB(20), flags \
    }

static const struct scene scenes[] = {
    {"unmap of a member",
     0,
     AT,
     KIB(64),
     0,
     SMALL(RIG_UNMAP, KIB(4), 0),
     {AT, AT + KIB(16), AT + KIB(24), AT + KIB(60)},
     16},
    {"protect of members",
     0,
     AT,
     KIB(64),
     0,
     SMALL(RIG_PROTECT, KIB(8), S2_READ),
     {AT, AT + KIB(16), AT + KIB(28), AT + KIB(60)},
     16},
    {"replace of members",
     0,
     AT,
     KIB(64),
     0,
     SMALL(RIG_REPLACE, KIB(8), 0),
     {AT, AT + KIB(20), AT + KIB(24), AT + KIB(60)},
     16},
    {"retype of members",
     0,
     AT,
     KIB(64),
     0,
     SMALL(RIG_PROTECT, KIB(8), S2_READ | S2_NORMAL_NC),
     {AT, AT + KIB(16), AT + KIB(28), AT + KIB(60)},
     16},
    {"unmap in a block",
     0,
     AT,
     MIB(2),
     0,
     SMALL(RIG_UNMAP, KIB(4), 0),
     {AT, AT + KIB(16), AT + KIB(24), AT + MIB(1)},
     16},
    {"protect in a block",
     0,
     AT,
     MIB(2),
     0,
     SMALL(RIG_PROTECT, KIB(8), S2_READ),
     {AT, AT + KIB(16), AT + KIB(28), AT + MIB(1)},
     16},
    {"replace in a block",
     0,
     AT,
     MIB(2),
     0,
     SMALL(RIG_REPLACE, KIB(8), 0),
     {AT, AT + KIB(20), AT + KIB(28), AT + MIB(1)},
     16},
    {"unmap in a run of blocks",
     0,
     AT,
     MIB(32),
     0,
     SMALL(RIG_UNMAP, KIB(4), 0),
     {AT, AT + KIB(24), AT + MIB(2), AT + MIB(31)},
     16},
    {"protect in a run of blocks",
     0,
     AT,
     MIB(32),
     0,
     SMALL(RIG_PROTECT, MIB(2), S2_READ),
     {AT, AT + KIB(16), AT + MIB(3), AT + MIB(31)},
     16},
    {"fold to a run",
     0,
     AT,
     KIB(64),
     S2_NO_CONTIGUOUS,
     {RIG_FOLD, AT, KIB(64), 0, 0},
     {AT, AT + KIB(16), AT + KIB(24), AT + KIB(60)},
     16},
    {"fold to a block",
     0,
     AT,
     MIB(2),
     S2_CAP_PAGES,
     {RIG_FOLD, AT, MIB(2), 0, 0},
     {AT, AT + KIB(16), AT + KIB(24), AT + MIB(1)},
     16},
    {"unmap of a member, 64K",
     3,
     AT,
     MIB(2),
     0,
     {RIG_UNMAP, AT + KIB(128), KIB(64), 0, 0},
     {AT, AT + KIB(64), AT + KIB(192), AT + MIB(1)},
     32},
};

#define SCENES ((int)RIG_COUNT(scenes))
#define ALL_EVENTS SIZE_MAX

/* A guest that writes once. */
struct writer {
    const struct scene *scene;
    struct mmu mmu;
    size_t event;    /* before which of the events that walkers could notice */
    unsigned member; /* of the run: where the hardware notes it, if it may */
    uint64_t target;
    size_t seen;
    bool has_written;
};

static bool may_note(uint64_t desc)
{
    return (desc & 1) != 0 && (desc >> 51 & 1) != 0;
}

/* Where the write is noted: in the chosen member if that is hinted, and so stands for the page. */
static s2_desc_t *place_of(const struct writer *writer, s2_desc_t *own)
{
    const size_t into = (uintptr_t)own / sizeof(*own) % writer->scene->group;
    s2_desc_t *member = own - into + writer->member;

    return may_note(member->raw) && (member->raw & DESC_HINT) != 0 ? member : own;
}

static void write_now(struct writer *writer)
{
    const struct mmu_result found = mmu_translate(&writer->mmu, writer->target, MMU_WRITE);

    if (found.status == MMU_OK) {
        s2_desc_t *own = sim_memory_ptr(&rig.memory, pa_of(found.walk_pa[found.walk_count - 1]));

        place_of(writer, own)->raw |= DESC_AF | DESC_WRITE;
        writer->has_written = true;
    }
}

static void on_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct writer *writer = arg;

    if (phase == SIM_BEFORE && event->kind != SIM_FILL) {
        if (writer->seen == writer->event) {
            write_now(writer);
        }
        writer->seen++;
    }
}

/* One run of the scene. Returns: how many events there are to write before. */
static size_t play(struct writer *writer)
{
    const struct scene *scene = writer->scene;
    struct rig_setup setup = runs_setup_of(&rig_shapes[scene->shape]);
    struct s2_leaf leaf;

    setup.config.size_change = S2_SIZE_CHANGE_DIRECT;
    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, scene->map, scene->size, RIG_DATA + scene->map,
                                     CLEAN | scene->flags});
    writer->mmu = rig_mmu(&rig, &rig.table);
    writer->mmu.options &= ~(unsigned)MMU_CHECK_RUNS;
    ck_assert(sim_listen(on_event, writer));
    rig_must(&rig, scene->step);
    ck_assert(sim_unlisten(on_event, writer));
    if (writer->has_written) {
        ck_assert_int_eq(s2_table_lookup(&rig.table, ipa_of(writer->target), &leaf), MAPPING_OK);
        ck_assert_msg((leaf.flags & S2_WRITE) != 0 && (leaf.flags & S2_NO_AF) == 0,
                      "%s: 0x%llx, written before event %zu and noted in member %u, is not dirty",
                      scene->name, (unsigned long long)writer->target, writer->event,
                      writer->member);
    }
    rig_fini(&rig);
    return writer->seen;
}

TEST_EACH(write_before_any_event_is_not_forgotten, SCENES)
{
    const struct scene *scene = &scenes[_i];
    struct writer writer = {.scene = scene, .event = ALL_EVENTS};
    struct random random = {(uint64_t)_i};
    const size_t events = play(&writer);
    size_t written = 0;

    for (size_t i = 0; i < 4 * events; i++) {
        writer = (struct writer){
            .scene = scene,
            .event = i % events,
            .member = (unsigned)random_below(&random, scene->group),
            .target = scene->targets[i / events],
        };
        (void)play(&writer);
        written += writer.has_written ? 1 : 0;
    }
    /* Some may meet a page that is broken. */
    ck_assert_uint_ge(written, events);
}

/* --- At random ------------------------------------------------------------------------------- */

#define BLOCKS 3
#define ROUNDS 40

static struct judged judged;

static uint64_t border(uint64_t block)
{
    const uint64_t page = judged_page(&judged);
    const uint64_t grains[] = {page, 16 * page, block / 2, block};
    const uint64_t grain = grains[judged_random(&judged, RIG_COUNT(grains))];

    return block + judged_random(&judged, BLOCKS * block / grain + 1) * grain;
}

/* Output follows input, so that what is torn can be folded again. */
static struct judged_step random_step(void)
{
    static const mapping_flags_t flags[] = {CLEAN, CLEAN | S2_CAP_PAGES, S2_READ | S2_DBM,
                                            CLEAN | S2_CAP_PAGES | S2_NO_CONTIGUOUS};
    static const enum judged_verb verbs[] = {JUDGED_MAP, JUDGED_MAP, JUDGED_UNMAP, JUDGED_PROTECT,
                                             JUDGED_FOLD};
    const uint64_t block = judged.setup.shape->block;
    const uint64_t a = border(block), b = border(block);
    const uint64_t start = a < b ? a : b;

    return (struct judged_step){
        .guest = (unsigned)judged_random(&judged, JUDGED_GUESTS),
        .verb = verbs[judged_random(&judged, RIG_COUNT(verbs))],
        .ipa = start,
        .size = a == b ? judged_page(&judged) : (a < b ? b - a : a - b),
        .pa = JUDGED_DATA + start,
        .flags = flags[judged_random(&judged, RIG_COUNT(flags))],
    };
}

/* Two guests, hardware that moves before any event and writes into stale tables too, and a TLB that
 * answers with the old size or the new. Only a table that becomes a block may be seen broken. */
TEST_EACH(random_changes_forget_nothing, 8)
{
    struct judged_setup setup = judged_setup_of(&judged_shapes[_i % 4]);
    size_t done = 0;

    setup.size_change = S2_SIZE_CHANGE_DIRECT;
    setup.seed = (uint64_t)_i + 7;
    judged_open(&judged, setup);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const struct judged_step step = random_step();
        const size_t faults = judged.moving.faults;
        const char *problem = NULL;
        const enum mapping_error error = judged_do(&judged, step, &problem);

        ck_assert_msg(problem == NULL, "%s", problem);
        ck_assert(error == MAPPING_OK || error == MAPPING_ALREADY_EXISTS);
        ck_assert(judged.moving.faults == faults || step.verb == JUDGED_FOLD);
        done += error == MAPPING_OK ? 1 : 0;
    }
    ck_assert_uint_gt(done, ROUNDS / 4);
    ck_assert_uint_gt(judged.moving.updates, ROUNDS);
    judged_close(&judged);
}
