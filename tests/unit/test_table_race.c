/*
 * test_table_race.c - what others see and do while an operation runs.
 *
 * Other CPUs walk the tables at every moment: a witness translates some addresses before and after
 * every event of an operation. Hardware sets AF and dirty state at any moment: a hand writes into
 * a descriptor just before an event. A walker that is not coherent sees memory only.
 */
#include "tests/unit/requests.h"
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#define SUITE "table_race"

static struct rig rig;

/* --- Scenes ---------------------------------------------------------------------------------- */

/* A verb over what two maps have put there; in blocks (level 2) and pages from IPA 0. */
struct scene {
    const char *name;
    struct {
        unsigned block, page, block_count, page_count;
        mapping_flags_t flags; /* cap included; count 0: nothing */
    } maps[2];
    enum rig_verb verb;
    bool may_break; /* what stays mapped may fault for a moment */
    unsigned block, page, block_count, page_count;
    mapping_flags_t flags;
};

#define PAGES (RIG_RW | S2_CAP_PAGES)

static const struct scene scenes[] = {
    {"map a page", {{0}}, RIG_MAP, false, 1, 3, 0, 1, RIG_RW},
    {"map beside", {{1, 0, 0, 3, RIG_RW}}, RIG_MAP, false, 1, 3, 1, 5, RIG_RW},
    {"map blocks and pages", {{0}}, RIG_MAP, false, 1, 1, 3, 2, RIG_RWX},
    {"unmap pages", {{1, 0, 0, 9, RIG_RW}}, RIG_UNMAP, false, 1, 3, 0, 2, 0},
    {"unmap a table", {{1, 0, 1, 0, PAGES}, {3, 0, 1, 0, RIG_RW}}, RIG_UNMAP, false, 1, 0, 1, 0, 0},
    {"unmap all", {{1, 0, 1, 7, PAGES}, {3, 0, 1, 0, RIG_RW}}, RIG_UNMAP, false, 0, 0, 8, 0, 0},
    {"split a hole", {{1, 0, 1, 0, RIG_RW}}, RIG_UNMAP, true, 1, 3, 0, 2, 0},
    {"split two blocks", {{1, 0, 4, 0, RIG_RW}}, RIG_UNMAP, true, 1, 3, 2, 2, 0},
    {"protect pages", {{1, 0, 0, 9, RIG_RW}}, RIG_PROTECT, false, 1, 3, 0, 3, S2_READ},
    {"protect blocks", {{1, 0, 3, 5, RIG_RW}}, RIG_PROTECT, false, 1, 0, 3, 5, S2_READ},
    {"protect a part", {{1, 0, 1, 0, RIG_RW}}, RIG_PROTECT, true, 1, 3, 0, 2, S2_READ},
    {"protect two parts", {{1, 0, 4, 0, RIG_RW}}, RIG_PROTECT, true, 1, 3, 2, 2, S2_READ},
    {"retype pages", {{1, 0, 0, 9, RIG_RW}}, RIG_PROTECT, true, 1, 3, 0, 3, S2_NORMAL_NC},
    {"retype blocks", {{1, 0, 3, 4, RIG_RW}}, RIG_PROTECT, true, 1, 2, 2, 3, S2_NORMAL_NC},
    {"fold", {{1, 0, 2, 0, PAGES}, {3, 0, 1, 0, RIG_RW}}, RIG_FOLD, true, 0, 0, 8, 0, 0},
    {"replace pages", {{1, 0, 0, 9, RIG_RW}}, RIG_REPLACE, true, 1, 3, 0, 3, 0},
    {"replace blocks", {{1, 0, 3, 5, RIG_RW}}, RIG_REPLACE, true, 1, 0, 3, 5, 0},
    {"replace parts", {{1, 0, 4, 0, RIG_RW}}, RIG_REPLACE, true, 1, 3, 2, 2, 0},
    {"replace a table", {{1, 0, 1, 0, PAGES}}, RIG_REPLACE, true, 1, 2, 0, 40, 0},
    {"protect a table", {{1, 0, 1, 0, PAGES}}, RIG_PROTECT, true, 1, 2, 0, 40, S2_NORMAL_NC},
};

#define SCENES ((int)COUNT(scenes))

static uint64_t bytes(unsigned block_count, unsigned page_count)
{
    return block_count * rig_block(rig.setup.shape) + page_count * rig_page(rig.setup.shape);
}

/* What the scene starts from. Output follows input, so all of it is uniform. */
static void scene_set(const struct scene *scene)
{
    for (size_t i = 0; i < COUNT(scene->maps); i++) {
        const uint64_t ipa = bytes(scene->maps[i].block, scene->maps[i].page);
        const uint64_t size = bytes(scene->maps[i].block_count, scene->maps[i].page_count);

        if (size > 0) {
            rig_must(&rig,
                     (struct rig_step){RIG_MAP, ipa, size, RIG_DATA + ipa, scene->maps[i].flags});
        }
    }
}

static struct rig_step scene_step(const struct scene *scene)
{
    const uint64_t ipa = bytes(scene->block, scene->page);

    /* A replacement is a page beside, so that no block fits it. */
    return (struct rig_step){scene->verb, ipa, bytes(scene->block_count, scene->page_count),
                             RIG_DATA + ipa + (scene->verb == RIG_REPLACE ? bytes(8, 1) : 0),
                             scene->flags};
}

/* --- Witnesses ------------------------------------------------------------------------------- */

#define PROBES 64

/* What one address reads as: nothing, or a byte with these rights. */
struct view {
    bool is_mapped;
    uint64_t pa;
    unsigned memattr, s2ap, xn;
};

struct witness {
    const struct scene *scene;
    struct mmu mmu;
    uint64_t probes[PROBES];
    struct view before[PROBES], after[PROBES];
    bool is_over[PROBES]; /* has been seen as it will be */
    size_t faults;        /* seen neither as before nor as after, though a mapping stays */
};

static struct view view_of(const struct mmu *mmu, uint64_t ipa)
{
    const struct mmu_result found = mmu_translate(mmu, ipa, MMU_READ);

    /* Not libcheck's assertions: they are too slow for every event. */
    if (found.res0 != 0 || (!found.has_leaf && (found.status != MMU_TRANSLATION || found.config))) {
        ck_abort_msg("a walker meets a bad descriptor at level %d: %s", found.level,
                     mmu_status_name(found.status));
    }
    if (!found.has_leaf) {
        return (struct view){.is_mapped = false};
    }
    return (struct view){true, found.pa, found.memattr, found.s2ap, found.xn};
}

static bool view_eq(struct view a, struct view b)
{
    return a.is_mapped == b.is_mapped && a.pa == b.pa && a.memattr == b.memattr &&
           a.s2ap == b.s2ap && a.xn == b.xn;
}

static void witness_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct witness *witness = arg;

    (void)phase;
    if (event->kind == SIM_FILL) {
        return; /* what is wrong with a dark table shows when it is linked */
    }
    for (size_t i = 0; i < PROBES; i++) {
        const struct view now = view_of(&witness->mmu, witness->probes[i]);

        if (view_eq(now, witness->after[i])) {
            witness->is_over[i] = true;
        } else if (!now.is_mapped && witness->before[i].is_mapped) {
            witness->faults++;
        } else if (!view_eq(now, witness->before[i]) || witness->is_over[i]) {
            ck_abort_msg("%s: at 0x%llx a walker sees neither old nor new", witness->scene->name,
                         (unsigned long long)witness->probes[i]);
        }
    }
}

/* Around every border of the scene, and some pages between. */
static void witness_init(struct witness *witness, const struct scene *scene)
{
    const uint64_t page = rig_page(rig.setup.shape);

    *witness = (struct witness){.scene = scene, .mmu = rig_mmu(&rig, &rig.table)};
    for (unsigned i = 0; i < PROBES; i++) {
        witness->probes[i] = bytes(i / 11, 0) + (i % 11) * page;
    }
    witness->probes[PROBES - 1] = bytes(2, 0) - 1;
    for (size_t i = 0; i < PROBES; i++) {
        witness->before[i] = view_of(&witness->mmu, witness->probes[i]);
    }
}

TEST_EACH(walkers_see_old_or_new_at_every_moment, 2 * SCENES * rig_shape_count)
{
    const struct scene *scene = &scenes[_i % SCENES];
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i / SCENES / 2]);
    struct witness witness;

    setup.config.contiguous = _i / SCENES % 2 == 0 ? S2_CONTIGUOUS_OFF : S2_CONTIGUOUS_ON;
    /* Once to learn how it ends, once to watch. */
    sim_set_log(SIM_LOG_COUNT);
    rig_init(&rig, setup);
    scene_set(scene);
    witness_init(&witness, scene);
    rig_must(&rig, scene_step(scene));
    for (size_t i = 0; i < PROBES; i++) {
        witness.after[i] = view_of(&witness.mmu, witness.probes[i]);
    }
    rig_fini(&rig);
    rig_init(&rig, setup);
    scene_set(scene);
    witness.mmu = rig_mmu(&rig, &rig.table);
    ck_assert(sim_listen(witness_event, &witness));
    rig_must(&rig, scene_step(scene));
    ck_assert(sim_unlisten(witness_event, &witness));
    ck_assert_msg(scene->may_break == (witness.faults > 0), "%s: %zu faults", scene->name,
                  witness.faults);
    rig_fini(&rig);
}

/* --- A walker past the caches ---------------------------------------------------------------- */

static struct rig_setup non_coherent_setup(int i)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[i % rig_shape_count]);

    setup.config.walker = S2_WALKER_NON_COHERENT;
    setup.config.contiguous = i % 2 == 0 ? S2_CONTIGUOUS_ON : S2_CONTIGUOUS_OFF;
    setup.cpu.dcache_line = i % 2 == 0 ? 64 : 32;
    return setup;
}

/* The monitor knows every cache line, and whether a walker may come before it is in memory. */
TEST_EACH(tables_are_in_memory_before_a_walker_past_the_caches_looks, SCENES *rig_shape_count)
{
    const struct scene *scene = &scenes[_i % SCENES];

    rig_init(&rig, non_coherent_setup(_i / SCENES));
    scene_set(scene);
    sim_clear();
    rig_must(&rig, scene_step(scene));
    monitor_quiesce(rig.monitor);
    ck_assert_uint_gt(sim_event_count(SIM_DC_CVAC), 0);
    rig_fini(&rig);
}

/* Each of its lines, and then a DSB. */
TEST_EACH(root_is_in_memory_once_it_is_made, rig_shape_count)
{
    rig_init_machine(&rig, non_coherent_setup(_i));
    ck_assert_int_eq(s2_table_init(&rig.table, &rig.setup.config, &rig.pool), MAPPING_OK);
    ck_assert_uint_eq(sim_event_count(SIM_DC_CVAC),
                      rig.setup.shape->root_size / rig.setup.cpu.dcache_line);
    ck_assert_uint_ne(sim_find(SIM_DSB_ISH, 0), SIM_NONE);
    ck_assert_uint_eq(sim_find(SIM_DC_CVAC, sim_find(SIM_DSB_ISH, 0)), SIM_NONE);
    ck_assert_int_eq(s2_table_fini(&rig.table), MAPPING_OK);
    rig_fini_machine(&rig);
}

/* --- Hardware updates ------------------------------------------------------------------------ */

/* Sets bits of a descriptor, as hardware does, once, before the first event of a kind. */
struct hand {
    enum sim_kind before;
    s2_desc_t *slot;
    uint64_t bits;
    bool is_done;
};

static void hand_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct hand *hand = arg;

    if (phase == SIM_BEFORE && event->kind == hand->before && !hand->is_done) {
        hand->slot->raw |= hand->bits;
        hand->is_done = true;
    }
}

/* Do @step while the hand writes into what @ipa's walk ends at. */
static void race(struct rig_step step, enum sim_kind before, uint64_t ipa, uint64_t bits)
{
    struct hand hand = {before, rig_slot(&rig, &rig.table, ipa), bits, false};

    ck_assert(sim_listen(hand_event, &hand));
    rig_must(&rig, step);
    ck_assert(sim_unlisten(hand_event, &hand));
    ck_assert(hand.is_done);
}

/* AF is 0x400, S2AP[1] 0x80. */
static const struct {
    uint64_t bits;
    mapping_flags_t seen;
} updates[] = {
    {0x400, S2_READ | S2_DBM},
    {0x80, RIG_RW | S2_DBM | S2_NO_AF},
    {0x480, RIG_RW | S2_DBM},
};

static void update_start(const struct rig_shape *shape)
{
    struct rig_setup setup = rig_setup_of(shape);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, rig_block(shape), rig_block(shape), RIG_DATA,
                                     S2_READ | S2_DBM | S2_NO_AF});
}

/* The block is split, and written by the guest after the dark table was filled: every page that
 * stays may be the one that was. */
TEST_EACH(update_before_the_break_of_a_split_is_not_lost, 3 * rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i / 3];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const mapping_flags_t seen = updates[_i % 3].seen;

    update_start(shape);
    race((struct rig_step){.verb = RIG_UNMAP, .ipa = block + 5 * page, .size = page}, SIM_SWAP,
         block, updates[_i % 3].bits);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {block, 5 * page, RIG_DATA, seen},
                        {block + 6 * page, block - 6 * page, RIG_DATA + 6 * page, seen},
                    },
                    2);
    rig_fini(&rig);
}

/* The same through two levels of dark tables, and with a protection inside. */
TEST_EACH(update_before_the_break_reaches_every_dark_table, 6)
{
    const mapping_flags_t seen = updates[_i % 3].seen, inside = S2_READ | S2_SOFT0;
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i / 3]);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    rig_must(&rig,
             (struct rig_step){RIG_MAP, GIB(1), GIB(1), GIB(64), S2_READ | S2_DBM | S2_NO_AF});
    race((struct rig_step){RIG_PROTECT, GIB(1) + MIB(2) - KIB(4), KIB(8), 0, inside}, SIM_SWAP,
         GIB(1), updates[_i % 3].bits);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){
            {GIB(1), MIB(2) - KIB(4), GIB(64), seen},
            {GIB(1) + MIB(2) - KIB(4), KIB(8), GIB(64) + MIB(2) - KIB(4), inside},
            {GIB(1) + MIB(2) + KIB(4), MIB(1022) - KIB(4), GIB(64) + MIB(2) + KIB(4), seen},
        },
        3);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 510);
    rig_fini(&rig);
}

/* A clean block is to stay clean, in part: nothing to do when it is held, then it is written. */
TEST_EACH(update_between_hold_and_do_finds_its_tables_held, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t block = rig_block(shape), page = rig_page(shape);
    struct rig_setup setup = rig_setup_of(shape);
    const struct ipa_range part = ipa_range(block + page, page);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, block, block, RIG_DATA, S2_READ | S2_DBM});
    s2_table_begin(&rig.table);
    ck_assert_int_eq(hold_protect(&rig.table, part, S2_READ | S2_DBM), MAPPING_OK);
    rig_slot(&rig, &rig.table, block)->raw |= 0x80; /* S2AP[1] */
    do_protect(&rig.table, part, S2_READ | S2_DBM);
    s2_table_end(&rig.table);
    rig_assert_leaf(&rig, &rig.table, block, RIG_DATA, 3, S2_READ | S2_WRITE | S2_DBM);
    rig_assert_leaf(&rig, &rig.table, block + page, RIG_DATA + page, 3, S2_READ | S2_DBM);
    rig_fini(&rig);
}

/* The leaves that a fold merges are final only when no walker comes to them any more. */
TEST_EACH(update_before_or_during_the_flush_of_a_fold_is_not_lost, 3 * rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i / 3];
    /* With LPA2 not by range, and it is more than 64 granules. */
    const bool is_whole = shape->pa_bits == 52 && shape->granule != S2_GRANULE_64K;
    const enum sim_kind moments[] = {SIM_STORE, SIM_DSB_ISH,
                                     is_whole ? SIM_TLBI_VMALLS12E1IS : SIM_TLBI_RIPAS2E1IS};
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    update_start(shape);
    rig_must(&rig, (struct rig_step){RIG_MAP, 3 * block, block, RIG_DATA,
                                     S2_READ | S2_DBM | S2_NO_AF | S2_CAP_PAGES});
    race((struct rig_step){.verb = RIG_FOLD, .ipa = 3 * block, .size = block}, moments[_i % 3],
         3 * block + 9 * page, 0x480);
    rig_assert_leaf(&rig, &rig.table, 3 * block, RIG_DATA, 2, RIG_RW | S2_DBM);
    rig_fini(&rig);
}

/* Hardware writes between the look at a leaf and its change: what was asked is there in the end,
 * by compare and swap; a plain store never goes to a leaf that hardware writes. */
TEST_EACH(protect_of_a_leaf_that_hardware_writes_is_one_replacement, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    update_start(shape);
    rig_must(&rig, (struct rig_step){RIG_MAP, 3 * block, 4 * page, RIG_DATA,
                                     S2_READ | S2_DBM | S2_NO_AF});
    sim_clear();
    race((struct rig_step){RIG_PROTECT, 3 * block, 4 * page, 0, S2_READ | S2_SOFT1}, SIM_REPLACE,
         3 * block, 0x480);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {block, block, RIG_DATA, S2_READ | S2_DBM | S2_NO_AF},
                        {3 * block, 4 * page, RIG_DATA, S2_READ | S2_SOFT1},
                    },
                    2);
    ck_assert_uint_eq(sim_event_count(SIM_STORE), 0);
    ck_assert_uint_eq(sim_event_count(SIM_REPLACE), 5); /* one was refused, and tried again */
    ck_assert(!sim_events()[sim_find(SIM_REPLACE, 0)].done);
    rig_fini(&rig);
}

/* --- Between break and make ------------------------------------------------------------------ */

struct asker {
    uint64_t ipa;
    size_t asked;
};

/* A fault handler on another CPU: neither a hole nor a leaf, ask again. */
static void ask_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct asker *asker = arg;

    if (phase == SIM_BEFORE && event->kind == SIM_TLBI_VMALLE1IS) {
        struct s2_leaf leaf = {.level = 99};
        pa_t pa = pa_of(7);

        ck_assert_int_eq(s2_table_lookup(&rig.table, ipa_of(asker->ipa), &leaf), MAPPING_BAD_STATE);
        ck_assert_int_eq(leaf.level, 99);
        ck_assert(!s2_table_translate(&rig.table, ipa_of(asker->ipa), &pa));
        ck_assert_uint_eq(pa.raw, 7);
        ck_assert(!s2_table_check(&rig.table));
        asker->asked++;
    }
}

TEST_EACH(lookup_between_break_and_make_is_told_to_ask_again, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    struct asker asker = {.ipa = block + 8 * page};

    rig_init(&rig, rig_setup_of(shape));
    rig_must(&rig, (struct rig_step){RIG_MAP, block, block, RIG_DATA, RIG_RW});
    ck_assert(sim_listen(ask_event, &asker));
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = block, .size = page});
    ck_assert(sim_unlisten(ask_event, &asker));
    ck_assert_uint_eq(asker.asked, 1);
    rig_assert_leaf(&rig, &rig.table, block + 8 * page, RIG_DATA + 8 * page, 3, RIG_RW);
    rig_fini(&rig);
}
