/*
 * test_sink.c - nothing that hardware wrote is lost: what a verb takes out of leaves is told to the
 * sink, once, and what it does not take out is still in them.
 */
#include "stage2/arch/sink.h"

#include "stage2/space/batch.h"
#include "stage2/space/step.h"
#include "tests/model/random.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/table_runs.h"
#include "tests/unit/test.h"

#include <check.h>
#include <string.h>

#define SUITE "sink"

#define CLEAN (S2_READ | S2_DBM | S2_NO_AF) /* not accessed, writable but not written */
#define DIRTY (S2_READ | S2_WRITE | S2_DBM)
#define BIT_AF UINT64_C(0x400)
#define BIT_DIRTY UINT64_C(0x80)
#define BOTH (S2_STATE_ACCESSED | S2_STATE_DIRTY)
#define TOLD_MAX 64

static struct rig rig;

/* --- What is told ---------------------------------------------------------------------------- */

static struct told {
    uint64_t ipa, size;
    unsigned state;
} told[TOLD_MAX];
static size_t told_count;

static void note(void *arg, struct ipa_range range, unsigned state)
{
    ck_assert_ptr_eq(arg, &rig);
    ck_assert_uint_ne(state, 0);
    ck_assert_uint_lt(told_count, TOLD_MAX);
    told[told_count++] = (struct told){range.start.raw, range.size, state};
}

static void assert_told(const char *name, const struct told expected[], size_t count)
{
    ck_assert_msg(told_count == count, "%s: told %zu times", name, told_count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(told[i].ipa == expected[i].ipa && told[i].size == expected[i].size &&
                          told[i].state == expected[i].state,
                      "%s: 0x%llx, 0x%llx bytes, state %u", name, (unsigned long long)told[i].ipa,
                      (unsigned long long)told[i].size, told[i].state);
    }
}

static struct rig_setup tracked_setup(const struct rig_shape *shape,
                                      enum s2_size_change size_change)
{
    struct rig_setup setup = runs_setup_of(shape);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    setup.config.size_change = size_change;
    setup.config.sink = (struct s2_sink){.removed = note, .arg = &rig};
    return setup;
}

/* --- One verb -------------------------------------------------------------------------------- */

#define AT GIB(1)
#define PAGES (S2_CAP_PAGES | S2_NO_CONTIGUOUS)

#define WRITTEN (AT + KIB(8))

/* Mappings on 4K: pages, two runs of them, two blocks. */
#define PAGES_OF(size) ROW(RIG_MAP, AT, size, RIG_DATA, CLEAN | PAGES)
#define RUNS ROW(RIG_MAP, AT, KIB(128), RIG_DATA, CLEAN)
#define BLOCKS ROW(RIG_MAP, AT, MIB(4), RIG_DATA, CLEAN | S2_NO_CONTIGUOUS)

/* Verbs, by bytes from AT on. */
#define UNMAP(at, size) ROW(RIG_UNMAP, AT + (at), size, 0, 0)
#define PROTECT(at, size, flags) ROW(RIG_PROTECT, AT + (at), size, 0, flags)
#define TOLD(at, size, state) ROW(AT + (at), size, state)
#define NOTHING ROW(0, 0, 0)

/* A mapping, in which a guest writes at WRITTEN, and a verb: what the sink hears. */
static const struct single {
    const char *name;
    struct rig_step map, step;
    struct told told; /* of no size: nothing */
} singles[] = {
    ROW("unmap of the page", PAGES_OF(KIB(64)), UNMAP(KIB(8), KIB(4)), TOLD(KIB(8), KIB(4), BOTH)),
    ROW("unmap beside it", PAGES_OF(KIB(64)), UNMAP(KIB(12), KIB(4)), NOTHING),
    ROW("unmap of all, table and all", PAGES_OF(MIB(2)), UNMAP(0, GIB(1)),
        TOLD(KIB(8), KIB(4), BOTH)),
    ROW("unmap of a run", RUNS, UNMAP(0, KIB(128)), TOLD(0, KIB(64), BOTH)),
    ROW("unmap of another of the run", RUNS, UNMAP(KIB(32), KIB(4)), TOLD(KIB(32), KIB(4), BOTH)),
    ROW("unmap of a block", BLOCKS, UNMAP(0, MIB(4)), TOLD(0, MIB(2), BOTH)),
    ROW("unmap out of a block", BLOCKS, UNMAP(MIB(1), MIB(2)), TOLD(MIB(1), MIB(1), BOTH)),
    ROW("rearmed page", PAGES_OF(KIB(64)), PROTECT(0, KIB(64), CLEAN), TOLD(KIB(8), KIB(4), BOTH)),
    ROW("page that is dirty and stays so, but is old again", PAGES_OF(KIB(64)),
        PROTECT(0, KIB(64), DIRTY | S2_NO_AF), TOLD(KIB(8), KIB(4), S2_STATE_ACCESSED)),
    ROW("page that stays accessed and dirty", PAGES_OF(KIB(64)), PROTECT(0, KIB(64), DIRTY),
        NOTHING),
    ROW("page that is tracked no more", PAGES_OF(KIB(64)), PROTECT(0, KIB(64), RIG_RW),
        TOLD(KIB(8), KIB(4), S2_STATE_DIRTY)),
    ROW("rearmed run", RUNS, PROTECT(0, KIB(128), CLEAN), TOLD(0, KIB(64), BOTH)),
    ROW("rearmed part of a run", RUNS, PROTECT(KIB(16), KIB(16), CLEAN),
        TOLD(KIB(16), KIB(16), BOTH)),
    ROW("rearmed part of a block", BLOCKS, PROTECT(MIB(1), MIB(2), CLEAN),
        TOLD(MIB(1), MIB(1), BOTH)),
    ROW("page of another type", PAGES_OF(KIB(64)), PROTECT(0, KIB(64), CLEAN | S2_NORMAL_NC),
        TOLD(KIB(8), KIB(4), BOTH)),
    ROW("replaced page", PAGES_OF(KIB(64)), ROW(RIG_REPLACE, AT, KIB(64), RIG_DATA + MIB(8), 0),
        NOTHING),
    ROW("folded page", PAGES_OF(MIB(2)), ROW(RIG_FOLD, AT, MIB(2), 0, 0), NOTHING),
};

static void start(int is_direct)
{
    rig_init(&rig, tracked_setup(RIG_4K_40,
                                 is_direct == 0 ? S2_SIZE_CHANGE_BREAK : S2_SIZE_CHANGE_DIRECT));
}

static void write_at(uint64_t ipa)
{
    rig_slot(&rig, &rig.table, ipa)->raw |= BIT_AF | BIT_DIRTY;
}

TEST_EACH(verb_tells_of_the_state_that_it_takes_out, 2 * COUNT(singles))
{
    const struct single *single = &singles[_i / 2];
    const size_t count = single->told.size != 0 ? 1 : 0;

    start(_i % 2);
    rig_must(&rig, single->map);
    write_at(WRITTEN);
    rig_must(&rig, single->step);
    assert_told(single->name, &single->told, count);
    rig_fini(&rig);
    ck_assert_uint_eq(told_count, count); /* the end of the guest tells nothing */
}

/* Two blocks of two runs, each with state of its own: what is split out of either is told what that
 * one had, and what stays of it has that, and not the other's. */
TEST_EACH(split_block_inherits_the_state_of_its_own_run_alone, 4)
{
    const unsigned which = (unsigned)_i % 2;
    const uint64_t run = MIB(32);
    const struct told expected = {which == 0 ? AT + run - MIB(1) : AT + run, MIB(1), BOTH};

    start(_i / 2);
    rig_must(&rig, (struct rig_step){RIG_MAP, AT, 2 * run, RIG_DATA, CLEAN});
    write_at(AT + which * run + MIB(6));
    rig_must(&rig, (struct rig_step){RIG_UNMAP, AT + run - MIB(1), MIB(2), 0, 0});
    assert_told("split", &expected, 1);
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t left = i == 0 ? AT + run - MIB(2) : AT + run + MIB(1);

        rig_assert_leaf(&rig, &rig.table, left, RIG_DATA + (left - AT), 3,
                        i == which ? DIRTY : CLEAN);
        rig_assert_leaf(&rig, &rig.table, AT + i * run + MIB(8), RIG_DATA + i * run + MIB(8), 2,
                        i == which ? DIRTY : CLEAN);
    }
    rig_fini(&rig);
}

/* A run that is opened has its size changed: that is no relaxation, whatever becomes of its
 * members. */
TEST(opened_run_is_invalidated_on_all_cpus)
{
    struct rig_setup setup = tracked_setup(RIG_4K_40, S2_SIZE_CHANGE_DIRECT);

    setup.config.relax = S2_RELAX_HERE;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, AT, KIB(64), RIG_DATA, S2_READ});
    sim_clear();
    rig_must(&rig, (struct rig_step){RIG_PROTECT, AT, KIB(64), 0, RIG_RW});
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLE1), 0);
    ck_assert_uint_eq(runs_flush_count(), 1);
    rig_fini(&rig);
}

TEST(neighbours_with_equal_state_are_told_as_one)
{
    const struct told expected[] = {{AT, KIB(16), BOTH}, {AT + KIB(20), KIB(8), BOTH}};

    start(0);
    rig_must(&rig, (struct rig_step){RIG_MAP, AT, KIB(64), RIG_DATA, CLEAN | PAGES});
    for (uint64_t page = 0; page < 7; page++) {
        if (page != 4) {
            write_at(AT + page * KIB(4));
        }
    }
    rig_must(&rig, (struct rig_step){RIG_UNMAP, AT, KIB(64), 0, 0});
    assert_told("neighbours", expected, 2);
    rig_fini(&rig);
}

/* --- Steps, spaces, batches ------------------------------------------------------------------ */

enum way { WAY_UNMAP, WAY_UNMAP_STEPS, WAY_PROTECT_STEPS, WAY_REPLACE, WAY_BATCH, WAYS };

static struct s2_space space;
static struct memory_node nodes[8];

static void change_by(enum way way, struct guest_area area)
{
    struct s2_cursor cursor = s2_cursor(ipa_range(area.ipa, area.size));
    struct s2_batch batch = S2_BATCH_INIT;

    if (way == WAY_UNMAP_STEPS || way == WAY_PROTECT_STEPS) {
        while (!s2_cursor_is_done(&cursor)) {
            MUST(guest_step(&space, way == WAY_UNMAP_STEPS ? GUEST_UNMAP : GUEST_PROTECT, &cursor,
                            CLEAN, 5));
        }
    } else if (way == WAY_BATCH) {
        s2_batch_begin(&batch);
        MUST(guest_batch(&batch, &space, GUEST_UNMAP, area));
        ck_assert_uint_gt(told_count, 0); /* by the call, not by the end */
        s2_batch_end(&batch);
    } else {
        MUST(guest_call(&space, way == WAY_UNMAP ? GUEST_UNMAP : GUEST_REPLACE, area));
    }
}

TEST_EACH(every_way_to_change_a_space_tells_once, WAYS)
{
    struct s2_space_config config = {.table_pool = &rig.pool, .nodes = nodes, .node_count = 8};

    rig_init_machine(&rig, tracked_setup(RIG_4K_40, S2_SIZE_CHANGE_BREAK));
    config.table = rig.setup.config;
    MUST(s2_space_init(&space, &config));
    rig_judge(&rig, s2_space_table(&space));
    MUST(s2_space_map_linear(&space, ipa_range(AT, MIB(2)), pa_of(RIG_DATA), CLEAN | PAGES));
    for (uint64_t page = 0; page < 512; page += 100) {
        rig_slot(&rig, s2_space_table(&space), AT + page * KIB(4))->raw |= BIT_AF | BIT_DIRTY;
    }
    change_by((enum way)_i, (struct guest_area){AT, MIB(1), RIG_DATA + MIB(16), RIG_RW});
    ck_assert_uint_eq(told_count, 3); /* pages 0, 100, 200; 300 and on are beyond */
    for (size_t i = 0; i < told_count; i++) {
        ck_assert_uint_eq(told[i].ipa, AT + i * 100 * KIB(4));
        ck_assert_uint_eq(told[i].state, BOTH);
        ck_assert_uint_eq(told[i].size, KIB(4));
    }
    ck_assert(s2_space_check(&space));
    rig_dismiss(&rig, s2_space_table(&space));
    MUST(s2_space_fini(&space));
    rig_fini_machine(&rig);
}

/* --- The bitmap ------------------------------------------------------------------------------ */

TEST(bitmap_notes_each_page_in_it_of_its_states)
{
    uint64_t words[3] = {0};
    struct s2_state_bitmap bitmap = {ipa_of(AT), 130, 12, S2_STATE_DIRTY, words};

    s2_state_bitmap_note(&bitmap, ipa_range(AT, KIB(4)), S2_STATE_ACCESSED);
    ck_assert_uint_eq(words[0], 0);
    s2_state_bitmap_note(&bitmap, ipa_range(AT + KIB(4) * 63, KIB(8)), BOTH);
    ck_assert_uint_eq(words[0], UINT64_C(1) << 63);
    ck_assert_uint_eq(words[1], 1);
    s2_state_bitmap_note(&bitmap, ipa_range(AT - MIB(2), MIB(2)), S2_STATE_DIRTY);
    s2_state_bitmap_note(&bitmap, ipa_range(AT + KIB(4) * 130, MIB(2)), S2_STATE_DIRTY);
    ck_assert_uint_eq(words[0] | words[2], UINT64_C(1) << 63);
    s2_state_bitmap_note(&bitmap, ipa_range(AT + KIB(4) * 128, GIB(1)), S2_STATE_DIRTY);
    ck_assert_uint_eq(words[2], 3);
    s2_state_bitmap_note(&bitmap, ipa_range(0, TIB(1)), S2_STATE_DIRTY);
    ck_assert(words[0] == UINT64_MAX && words[1] == UINT64_MAX && words[2] == 3);
}

/* --- Hardware at any moment ------------------------------------------------------------------ */

/* Two blocks' worth of pages, at random, while a guest reads and writes between any two events.
 * What it did is kept apart from the tables. */
#define PAGES_MAX 16384
#define ROUNDS 40

static struct world {
    struct random random;
    struct mmu mmu;
    uint64_t page, count;
    unsigned char before[PAGES_MAX]; /* state as the round began */
    unsigned char done[PAGES_MAX]; /* what hardware set in the leaf over the page, in this round */
    unsigned char may[PAGES_MAX];  /* the same with all of its run */
    unsigned char told[PAGES_MAX]; /* by the sink */
    size_t told_twice;
    size_t updates, all_updates, all_told;
} world;

static uint64_t page_of(uint64_t ipa)
{
    return (ipa - AT) / world.page;
}

static void mark(unsigned char *pages, uint64_t ipa, uint64_t size, unsigned state)
{
    for (uint64_t at = ipa & ~(size - 1), end = at + size; at < end; at += world.page) {
        if (at >= AT && page_of(at) < world.count) {
            pages[page_of(at)] |= (unsigned char)state;
        }
    }
}

/* An access to a random page, by a walk of its own. */
static void access_some(void)
{
    const uint64_t ipa = AT + random_below(&world.random, world.count) * world.page;
    const bool is_write = random_once_in(&world.random, 2);
    const struct mmu_result found = mmu_translate(&world.mmu, ipa, is_write ? MMU_WRITE : MMU_READ);
    unsigned state = 0;
    s2_desc_t *slot;

    if (!found.has_leaf || found.status != MMU_OK ||
        found.updated == found.walk_desc[found.walk_count - 1]) {
        return;
    }
    slot = sim_memory_ptr(&rig.memory, pa_of(found.walk_pa[found.walk_count - 1]));
    state |= ((found.updated ^ slot->raw) & BIT_AF) != 0 ? S2_STATE_ACCESSED : 0;
    state |= ((found.updated ^ slot->raw) & BIT_DIRTY) != 0 ? S2_STATE_DIRTY : 0;
    slot->raw = found.updated;
    mark(world.done, ipa, found.leaf_size, state);
    mark(world.may, ipa, found.run_size, state);
    world.updates++;
}

static void world_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)arg;
    (void)phase;
    if (event->kind != SIM_FILL && random_once_in(&world.random, 3)) {
        access_some();
    }
}

static void world_told(void *arg, struct ipa_range range, unsigned state)
{
    (void)arg;
    for (uint64_t at = range.start.raw; at < range.start.raw + range.size; at += world.page) {
        world.told_twice += (world.told[page_of(at)] & state) != 0 ? 1 : 0;
        world.told[page_of(at)] |= (unsigned char)state;
        world.all_told++;
    }
}

static unsigned state_now(uint64_t page)
{
    struct s2_leaf leaf;

    if (s2_table_lookup(&rig.table, ipa_of(AT + page * world.page), &leaf) != MAPPING_OK) {
        return 0;
    }
    return ((leaf.flags & S2_NO_AF) == 0 ? S2_STATE_ACCESSED : 0U) |
           ((leaf.flags & DIRTY) == DIRTY ? S2_STATE_DIRTY : 0U);
}

static struct rig_step random_step(void)
{
    static const enum rig_verb verbs[] = {RIG_UNMAP, RIG_PROTECT, RIG_PROTECT, RIG_REPLACE,
                                          RIG_FOLD};
    static const mapping_flags_t flags[] = {
        CLEAN, CLEAN, DIRTY, DIRTY | S2_NO_AF, RIG_RW, CLEAN | S2_NORMAL_NC};
    const uint64_t first = random_below(&world.random, world.count);
    const uint64_t most = random_once_in(&world.random, 3) ? 4 : world.count;
    const uint64_t size =
        1 + random_below(&world.random, mapping_u64_min(most, world.count - first));

    return (struct rig_step){verbs[random_below(&world.random, COUNT(verbs))],
                             AT + first * world.page, size * world.page,
                             RIG_DATA + first * world.page,
                             flags[random_below(&world.random, COUNT(flags))]};
}

static void world_round(const struct rig_step *step)
{
    memset(world.done, 0, sizeof(world.done));
    memset(world.may, 0, sizeof(world.may));
    memset(world.told, 0, sizeof(world.told));
    world.told_twice = 0;
    world.updates = 0;
    for (int i = 0; i < 20; i++) {
        access_some();
    }
    for (uint64_t i = 0; i < world.count; i++) {
        world.before[i] = (unsigned char)state_now(i);
    }
    ck_assert(sim_listen(world_event, NULL));
    (void)!rig_do(&rig, *step);
    ck_assert(sim_unlisten(world_event, NULL));
    world.all_updates += world.updates;
}

/* Nothing lost, nothing invented, nothing twice. A refusal has told nothing. A fold tells nothing,
 * and spreads state over what it makes one: then it is looked at by what was lost alone. */
static void world_look(const struct rig_step *step)
{
    ck_assert_uint_eq(world.told_twice, 0);
    for (uint64_t i = 0; i < world.count; i++) {
        const unsigned had = world.before[i] | world.done[i];
        const unsigned have = world.told[i] | state_now(i);
        const unsigned may_tell = step->verb == RIG_FOLD ? 0U : world.before[i] | world.may[i];
        /* New flags may be dirty. */
        const unsigned may_have = step->verb == RIG_PROTECT || step->verb == RIG_FOLD
                                      ? BOTH
                                      : world.before[i] | world.may[i];

        if ((had & ~have) != 0 || (world.told[i] & ~may_tell) != 0 || (have & ~may_have) != 0) {
            ck_abort_msg("verb %d, page %llu: had %u, hardware set %u; told %u, now %u", step->verb,
                         (unsigned long long)i, world.before[i], world.done[i], world.told[i],
                         state_now(i));
        }
    }
}

static void world_fill(void)
{
    (void)!rig_do(
        &rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = AT, .size = world.count * world.page});
    rig_must(&rig,
             (struct rig_step){RIG_MAP, AT, world.count * world.page, RIG_DATA,
                               CLEAN | (random_once_in(&world.random, 3) ? S2_CAP_PAGES : 0)});
}

TEST_EACH(nothing_that_hardware_writes_at_any_moment_is_lost, 4 * rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i / 4];
    struct rig_setup setup =
        tracked_setup(shape, _i % 2 == 0 ? S2_SIZE_CHANGE_BREAK : S2_SIZE_CHANGE_DIRECT);

    setup.config.sink = (struct s2_sink){.removed = world_told};
    setup.frame_count = 24;
    sim_set_log(SIM_LOG_COUNT);
    rig_init(&rig, setup);
    world = (struct world){.random = {(uint64_t)_i},
                           .mmu = rig_mmu(&rig, &rig.table),
                           .page = rig_page(shape),
                           .count = 2 * rig_block(shape) / rig_page(shape)};
    world.mmu.options = 0;
    ck_assert_uint_le(world.count, PAGES_MAX);
    for (int i = 0; i < ROUNDS; i++) {
        const struct rig_step step = random_step();

        if (i % 8 == 0) {
            world_fill();
        }
        world_round(&step);
        world_look(&step);
    }
    ck_assert_uint_gt(world.all_updates, ROUNDS);
    ck_assert_uint_gt(world.all_told, ROUNDS);
    rig_fini(&rig);
}
