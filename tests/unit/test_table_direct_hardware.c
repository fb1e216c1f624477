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

/* One map of @size from AT on; a change of it; and pages that stay: all in KiB from AT. */
struct change {
    const char *name;
    unsigned size;
    mapping_flags_t flags;
    struct {
        enum rig_verb verb;
        unsigned from, size;
        mapping_flags_t flags;
    } step;
    unsigned targets[4];
    int shape;
};

#define AT MIB(64)
#define OTHER (RIG_DATA + GIB(1))
#define READ_NC (S2_READ | S2_NORMAL_NC)

static const struct change changes[] = {
    {"unmap of a member", 64, 0, {RIG_UNMAP, 20, 4, 0}, {0, 16, 24, 60}, 0},
    {"protect of members", 64, 0, {RIG_PROTECT, 20, 8, S2_READ}, {0, 16, 28, 60}, 0},
    {"replace of members", 64, 0, {RIG_REPLACE, 20, 8, 0}, {0, 20, 24, 60}, 0},
    {"retype of members", 64, 0, {RIG_PROTECT, 20, 8, READ_NC}, {0, 16, 28, 60}, 0},
    {"unmap in a block", 2048, 0, {RIG_UNMAP, 20, 4, 0}, {0, 16, 24, 1024}, 0},
    {"protect in a block", 2048, 0, {RIG_PROTECT, 20, 8, S2_READ}, {0, 16, 28, 1024}, 0},
    {"replace in a block", 2048, 0, {RIG_REPLACE, 20, 8, 0}, {0, 20, 28, 1024}, 0},
    {"unmap in a block run", 32768, 0, {RIG_UNMAP, 20, 4, 0}, {0, 24, 2048, 31744}, 0},
    {"protect in a block run", 32768, 0, {RIG_PROTECT, 20, 2048, S2_READ}, {0, 16, 3072, 31744}, 0},
    {"fold to a run", 64, S2_NO_CONTIGUOUS, {RIG_FOLD, 0, 64, 0}, {0, 16, 24, 60}, 0},
    {"fold to a block", 2048, S2_CAP_PAGES, {RIG_FOLD, 0, 2048, 0}, {0, 16, 24, 1024}, 0},
    {"unmap of a member, 64K", 2048, 0, {RIG_UNMAP, 128, 64, 0}, {0, 64, 192, 1024}, 3}};

#define CHANGES ((int)COUNT(changes))
#define ALL_EVENTS SIZE_MAX

/* Entries of a run. */
static unsigned group_of(const struct change *change)
{
    return change->shape == 0 ? 16 : 32;
}

/* A guest that writes once. */
struct writer {
    const struct change *change;
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
    const size_t into = (uintptr_t)own / sizeof(*own) % group_of(writer->change);
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

/* One run of the change. Returns: how many events there are to write before. */
static size_t play(struct writer *writer)
{
    const struct change *change = writer->change;
    const uint64_t from = ((uint64_t)change->step.from << 10);
    const struct rig_step map = {RIG_MAP, AT, ((uint64_t)change->size << 10), RIG_DATA + AT,
                                 CLEAN | change->flags};
    const struct rig_step step = {change->step.verb, AT + from, ((uint64_t)change->step.size << 10),
                                  OTHER + from, change->step.flags};
    struct rig_setup setup = runs_setup_of(&rig_shapes[change->shape]);
    struct s2_leaf leaf;

    setup.config.size_change = S2_SIZE_CHANGE_DIRECT;
    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    rig_must(&rig, map);
    writer->mmu = rig_mmu(&rig, &rig.table);
    writer->mmu.options &= ~(unsigned)MMU_CHECK_RUNS;
    ck_assert(sim_listen(on_event, writer));
    rig_must(&rig, step);
    ck_assert(sim_unlisten(on_event, writer));
    if (writer->has_written) {
        ck_assert_int_eq(s2_table_lookup(&rig.table, ipa_of(writer->target), &leaf), MAPPING_OK);
        ck_assert_msg((leaf.flags & S2_WRITE) != 0 && (leaf.flags & S2_NO_AF) == 0,
                      "%s: 0x%llx, written before event %zu and noted in member %u, is not dirty",
                      change->name, (unsigned long long)writer->target, writer->event,
                      writer->member);
    }
    rig_fini(&rig);
    return writer->seen;
}

TEST_EACH(write_before_any_event_is_not_forgotten, CHANGES)
{
    const struct change *change = &changes[_i];
    struct writer writer = {.change = change, .event = ALL_EVENTS};
    struct random random = {(uint64_t)_i};
    const size_t events = play(&writer);
    size_t written = 0;

    for (size_t i = 0; i < 4 * events; i++) {
        writer = (struct writer){
            .change = change,
            .event = i % events,
            .member = (unsigned)random_below(&random, group_of(change)),
            .target = AT + ((uint64_t)change->targets[i / events] << 10),
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
    const uint64_t grain = grains[judged_random(&judged, COUNT(grains))];

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
        .verb = verbs[judged_random(&judged, COUNT(verbs))],
        .ipa = start,
        .size = a == b ? judged_page(&judged) : (a < b ? b - a : a - b),
        .pa = JUDGED_DATA + start,
        .flags = flags[judged_random(&judged, COUNT(flags))],
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
