/*
 * test_table_trap.c - every access faults once, and nothing else notices.
 */
#include "stage2/table/trap.h"
#include "tests/model/random.h"
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#define SUITE "table_trap"

#define OTHER (RIG_DATA + GIB(8))

static struct rig rig;

static void start(const struct rig_shape *shape)
{
    rig_init(&rig, rig_setup_of(shape));
    monitor_keep_unlinked(rig.monitor, true);
}

static void trap(void)
{
    rig_poison_free(&rig);
    ck_assert_int_eq(s2_table_trap(&rig.table), MAPPING_OK);
    monitor_quiesce(rig.monitor);
}

static void trap_end(void)
{
    s2_table_trap_end(&rig.table);
    monitor_quiesce(rig.monitor);
}

/* Whether the machine lets an access to @ipa through; if it does not, it is for a translation at the
 * root's level. */
static bool is_open(uint64_t ipa)
{
    const struct mmu mmu = rig_mmu(&rig, &rig.table);
    const struct mmu_result result = mmu_translate(&mmu, ipa, MMU_READ);

    if (result.status == MMU_OK) {
        return true;
    }
    ck_assert_int_eq(result.status, MMU_TRANSLATION);
    ck_assert_int_eq(result.level, rig.setup.shape->start_level);
    return false;
}

/* Two stretches that no entry of the root has in common, by pages and by a block. */
struct scene {
    uint64_t low, high, page, block;
};

static struct scene scene_of(const struct rig_shape *shape)
{
    const struct scene scene = {.low = rig_block(shape),
                                .high = shape->span[shape->start_level + 1],
                                .page = rig_page(shape),
                                .block = rig_block(shape)};

    start(shape);
    rig_must(&rig, (struct rig_step){RIG_MAP, scene.low, 4 * scene.page, RIG_DATA, RIG_RW});
    rig_must(&rig, (struct rig_step){RIG_MAP, scene.high, scene.block, OTHER, RIG_RWX});
    return scene;
}

static void expect_scene(const struct scene *scene)
{
    const struct rig_map maps[] = {{scene->low, 4 * scene->page, RIG_DATA, RIG_RW},
                                   {scene->high, scene->block, OTHER, RIG_RWX}};

    rig_assert_maps(&rig, &rig.table, maps, COUNT(maps));
}

TEST_EACH(trap_closes_every_entry_of_the_root, rig_shape_count)
{
    const struct scene scene = scene_of(&rig_shapes[_i]);
    struct s2_leaf leaf;

    trap();
    ck_assert(s2_table_is_trapping(&rig.table));
    ck_assert(!is_open(scene.low) && !is_open(scene.high));
    ck_assert_int_eq(s2_table_lookup(&rig.table, ipa_of(scene.low), &leaf), MAPPING_OK);
    ck_assert(pa_eq(leaf.pa, pa_of(RIG_DATA)));
    ck_assert(s2_table_check(&rig.table));

    ck_assert(s2_table_untrap(&rig.table, ipa_of(scene.low + scene.page)));
    ck_assert(is_open(scene.low) && !is_open(scene.high));
    ck_assert(!s2_table_untrap(&rig.table, ipa_of(scene.low)));
    ck_assert(s2_table_untrap(&rig.table, ipa_of(scene.high)));
    ck_assert(is_open(scene.low) && is_open(scene.high));
    expect_scene(&scene);

    trap();
    ck_assert(!is_open(scene.low) && !is_open(scene.high));
    trap_end();
    expect_scene(&scene);
    rig_fini(&rig);
}

TEST_EACH(trap_sends_the_whole_vmid_once_and_untrap_nothing, rig_shape_count)
{
    const struct scene scene = scene_of(&rig_shapes[_i]);

    sim_clear();
    trap();
    ck_assert_uint_eq(sim_event_count(SIM_TLBI_VMALLS12E1IS), 1);
    ck_assert_uint_eq(sim_tlbi_count(), 1);
    sim_clear();
    ck_assert(s2_table_untrap(&rig.table, ipa_of(scene.low)));
    ck_assert_uint_eq(sim_tlbi_count(), 0);
    ck_assert_uint_eq(sim_write_count(), 1);
    rig_fini(&rig);
}

TEST_EACH(untrap_of_nothing_says_so, rig_shape_count)
{
    const struct scene scene = scene_of(&rig_shapes[_i]);
    const uint64_t top = UINT64_C(1) << rig_shapes[_i].ipa_bits;

    ck_assert(!s2_table_is_trapping(&rig.table));
    ck_assert(!s2_table_untrap(&rig.table, ipa_of(scene.low)));
    trap_end();
    trap();
    ck_assert(!s2_table_untrap(&rig.table, ipa_of(top)));
    ck_assert(!s2_table_untrap(&rig.table, ipa_of(UINT64_MAX)));
    ck_assert(!s2_table_untrap(&rig.table, ipa_of(top - 1)));
    rig_fini(&rig);
}

TEST_EACH(trap_without_frames_changes_nothing, rig_shape_count)
{
    const struct scene scene = scene_of(&rig_shapes[_i]);

    rig_leave(&rig, 0);
    ck_assert_int_eq(s2_table_trap(&rig.table), MAPPING_NO_FRAME);
    monitor_quiesce(rig.monitor);
    ck_assert(!s2_table_is_trapping(&rig.table));
    expect_scene(&scene);
    rig_leave(&rig, rig.setup.frame_count / 2);
    rig_fini(&rig);
}

TEST_EACH(trap_gives_its_frames_back, rig_shape_count)
{
    const struct scene scene = scene_of(&rig_shapes[_i]);
    const size_t before = frame_pool_available(&rig.pool);

    trap();
    ck_assert_uint_eq(frame_pool_available(&rig.pool),
                      before - (rig_shapes[_i].root_size >> rig.setup.frame_shift));
    trap();
    trap_end();
    ck_assert_uint_eq(frame_pool_available(&rig.pool), before);
    expect_scene(&scene);
    trap();
    rig_fini(&rig); /* trapping still */
}

/* What is unmapped is gone behind an entry that is open, and behind one that is not. */
TEST_EACH(unmap_reaches_open_and_trapped_entries, rig_shape_count)
{
    const struct scene scene = scene_of(&rig_shapes[_i]);

    trap();
    ck_assert(s2_table_untrap(&rig.table, ipa_of(scene.low)));
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = scene.low, .size = scene.block});
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = scene.high, .size = scene.block});
    ck_assert(!is_open(scene.low));
    ck_assert(!s2_table_untrap(&rig.table, ipa_of(scene.low)));
    ck_assert(!s2_table_untrap(&rig.table, ipa_of(scene.high)));
    trap_end();
    rig_assert_empty(&rig, &rig.table);
    rig_fini(&rig);
}

TEST_EACH(map_where_nothing_was_is_trapped, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];

    start(shape);
    trap();
    rig_must(&rig, (struct rig_step){RIG_MAP, 0, rig_page(shape), RIG_DATA, RIG_RW});
    ck_assert(!is_open(0));
    ck_assert(s2_table_untrap(&rig.table, ipa_of(0)));
    ck_assert(is_open(0));
    rig_must(&rig, (struct rig_step){RIG_MAP, rig_page(shape), rig_page(shape), OTHER, RIG_RW});
    ck_assert(is_open(rig_page(shape)));
    rig_fini(&rig);
}

TEST(trap_is_refused_where_hardware_updates_leaves_of_the_root)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_AF;
    rig_init(&rig, setup);
    ck_assert_int_eq(s2_table_trap(&rig.table), MAPPING_UNSUPPORTED);
    ck_assert(!s2_table_is_trapping(&rig.table));
    rig_fini(&rig);
}

TEST(trap_is_denied_where_transients_are_refused)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.config.transient = S2_TRANSIENT_REFUSED;
    rig_init(&rig, setup);
    ck_assert_int_eq(s2_table_trap(&rig.table), MAPPING_DENIED);
    ck_assert(!s2_table_is_trapping(&rig.table));
    rig_fini(&rig);
}

/* Blocks of the root itself, cut and folded, changed and replaced, while some are trapped. */
TEST(verbs_on_blocks_of_the_root_go_on_while_it_traps)
{
    const struct rig_map whole[] = {{GIB(1), GIB(3), RIG_DATA, RIG_RW}};
    const struct rig_map cut[] = {
        {GIB(1), GIB(1), RIG_DATA, RIG_RW},
        {GIB(2), KIB(4), RIG_DATA + GIB(1), S2_READ},
        {GIB(2) + KIB(4), GIB(2) - KIB(4), RIG_DATA + GIB(1) + KIB(4), RIG_RW}};

    start(RIG_4K_40);
    rig_must(&rig, (struct rig_step){RIG_MAP, GIB(1), GIB(3), RIG_DATA, RIG_RW});
    trap();
    ck_assert(s2_table_untrap(&rig.table, ipa_of(GIB(2))));
    rig_must(&rig, (struct rig_step){RIG_PROTECT, GIB(2), KIB(4), 0, S2_READ});
    ck_assert(is_open(GIB(2)) && !is_open(GIB(1)) && !is_open(GIB(3)));
    trap_end();
    rig_assert_maps(&rig, &rig.table, cut, COUNT(cut));
    trap();
    rig_must(&rig, (struct rig_step){RIG_PROTECT, GIB(2), KIB(4), 0, RIG_RW});
    ck_assert(s2_table_untrap(&rig.table, ipa_of(GIB(2))));
    rig_must(&rig, (struct rig_step){.verb = RIG_FOLD, .ipa = GIB(1), .size = GIB(3)});
    ck_assert(is_open(GIB(2)) && !is_open(GIB(3)));
    trap_end();
    rig_assert_maps(&rig, &rig.table, whole, COUNT(whole));
    rig_fini(&rig);
}

/* --- At random -------------------------------------------------------------------------------- */

#define ENTRIES 4 /* of the root, 1 GiB each, from 1 GiB on */

static const mapping_flags_t kinds[] = {RIG_RW, S2_READ, RIG_RW | S2_NORMAL_NC};

static struct rig_step choose(struct random *random)
{
    static const uint64_t sizes[] = {KIB(4), KIB(64), MIB(2), MIB(64), GIB(1)};
    static const enum rig_verb verbs[] = {RIG_OVER, RIG_OVER, RIG_UNMAP, RIG_PROTECT, RIG_FOLD};
    const uint64_t size = sizes[random_below(random, COUNT(sizes))];
    const uint64_t ipa = GIB(1) + random_below(random, GIB(ENTRIES) / size) * size;
    const enum rig_verb verb = verbs[random_below(random, COUNT(verbs))];

    return (struct rig_step){verb, ipa, size, RIG_DATA + ipa,
                             verb == RIG_FOLD ? 0 : kinds[random_below(random, COUNT(kinds))]};
}

static enum mapping_error perform(struct s2_table *table, struct rig_step step)
{
    const struct ipa_range range = ipa_range(step.ipa, step.size);

    if (step.verb == RIG_FOLD) {
        return s2_table_fold(table, range);
    }
    if (step.verb == RIG_OVER) {
        return s2_table_map_over(table, range, pa_of(step.pa), step.flags);
    }
    return step.verb == RIG_UNMAP ? s2_table_unmap(table, range)
                                  : s2_table_protect(table, range, step.flags);
}

/* A table that traps now and then, and one that never does, are given the same: in the end they map
 * the same. */
TEST_EACH(trap_at_random_makes_no_difference_in_the_end, 12)
{
    struct random random = {0x74726170 + (uint64_t)_i};
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    struct s2_table twin;

    setup.frame_count = 256;
    rig_init(&rig, setup);
    monitor_keep_unlinked(rig.monitor, true);
    ck_assert_int_eq(s2_table_init(&twin, &rig.setup.config, &rig.pool), MAPPING_OK);
    s2_table_set_vmid(&twin, RIG_VMID + 1);
    rig_judge(&rig, &twin);
    for (unsigned round = 0; round < 120; round++) {
        const struct rig_step step = choose(&random);
        const uint64_t at = GIB(1) + random_below(&random, GIB(ENTRIES));
        struct s2_leaf mine, its;

        if (random_once_in(&random, 8)) {
            trap();
        }
        if (random_once_in(&random, 20)) {
            trap_end();
        }
        (void)s2_table_untrap(&rig.table, ipa_of(at));
        rig_must(&rig, step);
        ck_assert_int_eq(perform(&twin, step), MAPPING_OK);
        ck_assert(s2_table_check(&rig.table));
        ck_assert_int_eq(s2_table_lookup(&rig.table, ipa_of(at), &mine),
                         s2_table_lookup(&twin, ipa_of(at), &its));
        ck_assert(mine.size == its.size && mine.level == its.level);
        (void)s2_table_untrap(&rig.table, ipa_of(at));
        ck_assert(!s2_table_translate(&twin, ipa_of(at), &mine.pa) || is_open(at));
    }
    trap_end();
    for (uint64_t ipa = GIB(1); ipa < GIB(5); ipa += KIB(64)) {
        pa_t mine = pa_of(0), its = pa_of(0);

        ck_assert(s2_table_translate(&rig.table, ipa_of(ipa), &mine) ==
                  s2_table_translate(&twin, ipa_of(ipa), &its));
        ck_assert(pa_eq(mine, its));
    }
    rig_dismiss(&rig, &twin);
    ck_assert_int_eq(s2_table_fini(&twin), MAPPING_OK);
    rig_fini(&rig);
}
