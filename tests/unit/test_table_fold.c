/*
 * test_table_fold.c - s2_table_fold(): uniform tables back into blocks, everything else untouched.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#define SUITE "table_fold"

static struct rig rig;

static void start(const struct rig_shape *shape)
{
    rig_init(&rig, rig_setup_of(shape));
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

static void unmap(uint64_t ipa, uint64_t size)
{
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = ipa, .size = size});
}

static void protect(uint64_t ipa, uint64_t size, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_PROTECT, ipa, size, 0, flags});
}

static struct rig_step fold_step(uint64_t ipa, uint64_t size)
{
    return (struct rig_step){.verb = RIG_FOLD, .ipa = ipa, .size = size};
}

static void fold(uint64_t ipa, uint64_t size)
{
    rig_must(&rig, fold_step(ipa, size));
}

/* Nothing is stored, invalidated or freed. */
static void fold_does_nothing(uint64_t ipa, uint64_t size)
{
    rig_refused(&rig, fold_step(ipa, size), MAPPING_OK);
}

/* --- Identity -------------------------------------------------------------------------------- */

/* One way to split, and its way back. */
static void unmap_and_back(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    unmap(ipa, size);
    map(ipa, size, pa, flags);
}

static void protect_and_back(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    (void)pa;
    protect(ipa, size, S2_READ | S2_NORMAL_NC | S2_SOFT1);
    protect(ipa, size, flags);
}

typedef void (*detour_fn)(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags);

static void assert_identity(int level, uint64_t from, uint64_t size, detour_fn detour)
{
    const uint64_t block = rig.setup.shape->span[level + 1], ipa = 3 * block, pa = 5 * block;
    const mapping_flags_t flags = RIG_RW | S2_EXEC_EL0 | S2_SOFT0;
    struct rig_snapshot before;

    map(ipa, 2 * block, pa, flags);
    rig_poison_free(&rig);
    rig_snapshot_take(&before, &rig);
    detour(ipa + from, size, pa + from, flags);
    ck_assert_uint_lt(rig_leaf_count(&rig, &rig.table, level), 2);
    fold(ipa, 2 * block);
    rig_poison_free(&rig);
    rig_snapshot_assert_same(&before, &rig);
    rig_snapshot_free(&before);
    rig_assert_map(&rig, &rig.table, (struct rig_map){ipa, 2 * block, pa, flags});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, level), 2);
    unmap(ipa, 2 * block);
}

TEST_EACH(fold_after_a_split_is_the_identity, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    start(shape);
    for (int level = shape->top_leaf; level < 3; level++) {
        const uint64_t block = shape->span[level + 1];

        assert_identity(level, 0, page, unmap_and_back);
        assert_identity(level, block - page, page, unmap_and_back);
        assert_identity(level, block / 2 + page, 3 * page, unmap_and_back);
        assert_identity(level, block - page, 2 * page, unmap_and_back);
        assert_identity(level, 5 * page, page, protect_and_back);
        assert_identity(level, block - page, 2 * page, protect_and_back);
    }
    rig_fini(&rig);
}

/* --- What folds ------------------------------------------------------------------------------ */

TEST_EACH(fold_pages_makes_a_block, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t block = rig_block(shape);
    size_t frames;

    start(shape);
    map(block, block, RIG_DATA, RIG_RWX);
    frames = s2_table_frame_count(&rig.table);
    map(2 * block, 2 * block, RIG_DATA + block, RIG_RWX | S2_CAP_PAGES);
    ck_assert_uint_eq(s2_table_frame_count(&rig.table), frames + 2);
    fold(2 * block, 2 * block);
    ck_assert_uint_eq(s2_table_frame_count(&rig.table), frames);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 3);
    rig_assert_map(&rig, &rig.table, (struct rig_map){block, 3 * block, RIG_DATA, RIG_RWX});
    rig_fini(&rig);
}

/* From 262,144 pages to one leaf, in one call, whole input size asked. */
TEST_EACH(fold_1_gib_of_pages_makes_one_block, 2)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);

    setup.frame_count = 600;
    rig_init(&rig, setup);
    sim_set_log(SIM_LOG_COUNT);
    map(GIB(1), GIB(1), GIB(64), RIG_RW | S2_CAP_PAGES);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 262144);
    fold(0, UINT64_C(1) << setup.config.ipa_bits);
    rig_assert_leaf(&rig, &rig.table, GIB(1), GIB(64), 1, RIG_RW);
    rig_assert_map(&rig, &rig.table, (struct rig_map){GIB(1), GIB(1), GIB(64), RIG_RW});
    rig_fini(&rig);
}

/* 512 blocks of 1 GiB: one leaf with LPA2, where a leaf may stand at level 0; else they stay. */
TEST_EACH(fold_512_gib_makes_a_leaf_only_with_lpa2, 2)
{
    const int shape = _i == 0 ? 1 : 4; /* 4K, without and with LPA2 */
    const struct rig_map all = {GIB(1024), GIB(512), GIB(2048), RIG_RW};

    start(&rig_shapes[shape]);
    map(all.ipa, all.size, all.pa, all.flags | S2_CAP_LEVEL1);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 1), 512);
    if (shape == 1) {
        fold_does_nothing(all.ipa, all.size);
    } else {
        fold(all.ipa, all.size);
        rig_assert_leaf(&rig, &rig.table, GIB(1024), GIB(2048), 0, RIG_RW);
    }
    rig_assert_map(&rig, &rig.table, all);
    rig_fini(&rig);
}

/* It takes frames from nobody, and gives its own back. */
TEST_EACH(fold_without_a_free_frame_is_done, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t block = rig_block(shape);

    start(shape);
    map(block, block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    rig_leave(&rig, 0);
    fold(block, block);
    ck_assert_uint_eq(frame_pool_available(&rig.pool), 1);
    rig_assert_leaf(&rig, &rig.table, block, RIG_DATA, 2, RIG_RW);
    rig_fini(&rig);
}

/* A table among others that are not uniform. */
TEST_EACH(fold_takes_only_the_tables_that_are_uniform, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(block, 3 * block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    protect(block + page, page, S2_READ);
    protect(4 * block - page, page, S2_READ);
    fold(0, 8 * block);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 1);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 2 * (block / page));
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {block, page, RIG_DATA, RIG_RW},
                        {block + page, page, RIG_DATA + page, S2_READ},
                        {block + 2 * page, 3 * block - 3 * page, RIG_DATA + 2 * page, RIG_RW},
                        {4 * block - page, page, RIG_DATA + 3 * block - page, S2_READ},
                    },
                    4);
    rig_fini(&rig);
}

TEST_EACH(fold_across_concatenated_roots_is_done, 3)
{
    static const struct {
        int shape;
        uint64_t border;
    } roots[] = {{0, GIB(512)}, {2, TIB(128)}, {4, TIB(256)}};
    const struct rig_shape *shape = &rig_shapes[roots[_i].shape];
    const uint64_t block = rig_block(shape), at = roots[_i].border;

    start(shape);
    map(at - block, 2 * block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    fold(at - block, 2 * block);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 2);
    rig_assert_map(&rig, &rig.table, (struct rig_map){at - block, 2 * block, RIG_DATA, RIG_RW});
    rig_fini(&rig);
}

/* --- What does not --------------------------------------------------------------------------- */

TEST_EACH(fold_table_that_sticks_out_stays, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(block, block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    fold_does_nothing(block, block - page);
    fold_does_nothing(block + page, block);
    fold_does_nothing(0, block);
    fold_does_nothing(2 * block, block);
    rig_assert_map(&rig, &rig.table, (struct rig_map){block, block, RIG_DATA, RIG_RW});
    rig_fini(&rig);
}

TEST_EACH(fold_of_nothing_or_of_blocks_does_nothing, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t block = rig_block(shape);

    start(shape);
    fold_does_nothing(0, UINT64_C(1) << shape->ipa_bits);
    map(block, 2 * block, RIG_DATA, RIG_RW);
    fold_does_nothing(0, UINT64_C(1) << shape->ipa_bits);
    rig_fini(&rig);
}

/* A page that is missing, or leads elsewhere: first, in the middle, last. */
TEST_EACH(fold_with_a_hole_or_a_jump_does_nothing, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const uint64_t at[] = {0, block / 2, block - page};

    start(shape);
    map(block, block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    for (size_t i = 0; i < RIG_COUNT(at); i++) {
        unmap(block + at[i], page);
        fold_does_nothing(block, block);
        map(block + at[i], page, RIG_DATA + 2 * block, RIG_RW);
        fold_does_nothing(block, block);
        unmap(block + at[i], page);
        map(block + at[i], page, RIG_DATA + at[i], RIG_RW);
    }
    fold(block, block);
    rig_assert_leaf(&rig, &rig.table, block, RIG_DATA, 2, RIG_RW);
    rig_fini(&rig);
}

/* One attribute of one page that differs. Nobody updates AF here, so it counts. */
TEST_EACH(fold_with_one_attribute_apart_does_nothing, rig_shape_count)
{
    static const mapping_flags_t apart[] = {
        S2_READ,           RIG_RW | S2_EXEC_EL0, RIG_RW | S2_EXEC_EL1, RIG_RW | S2_NORMAL_NC,
        RIG_RW | S2_NO_AF, RIG_RW | S2_SOFT0,    RIG_RW | S2_SOFT1,
    };
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(block, block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    for (size_t i = 0; i < RIG_COUNT(apart); i++) {
        protect(block + i * page, page, apart[i]);
        fold_does_nothing(block, block);
        protect(block + i * page, page, RIG_RW);
    }
    fold(block, block);
    rig_assert_leaf(&rig, &rig.table, block, RIG_DATA, 2, RIG_RW);
    rig_fini(&rig);
}

TEST_EACH(fold_of_misaligned_output_does_nothing, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(block, block, RIG_DATA + page, RIG_RW);
    fold_does_nothing(block, block);
    rig_assert_map(&rig, &rig.table, (struct rig_map){block, block, RIG_DATA + page, RIG_RW});
    rig_fini(&rig);
}

TEST_EACH(fold_bad_range_is_refused, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), top = UINT64_C(1) << shape->ipa_bits;
    const struct rig_step bad[] = {
        fold_step(page / 2, page),
        fold_step(page, page / 2),
        fold_step(page, 0),
        fold_step(top, page),
        fold_step(top - page, 2 * page),
        fold_step(0 - page, page),
        fold_step(page, 0 - page),
        fold_step(page, top),
    };

    start(shape);
    map(0, rig_block(shape), RIG_DATA, RIG_RW | S2_CAP_PAGES);
    for (size_t i = 0; i < RIG_COUNT(bad); i++) {
        rig_refused(&rig, bad[i], MAPPING_INVALID_PARAM);
    }
    rig_fini(&rig);
}

/* --- Hardware state -------------------------------------------------------------------------- */

/* AF and dirty state differ page by page: the block has what any page had. */
TEST_EACH(fold_merges_what_hardware_set, 5 * rig_shape_count)
{
    static const struct {
        enum s2_hardware_update update;
        mapping_flags_t flags;
        uint64_t set; /* in one page: AF is 0x400, S2AP[1] is 0x80 */
        mapping_flags_t folded;
    } cases[] = {
        {S2_HARDWARE_UPDATE_AF, RIG_RW | S2_NO_AF, 0x400, RIG_RW},
        {S2_HARDWARE_UPDATE_DIRTY, S2_READ | S2_DBM | S2_NO_AF, 0x400, S2_READ | S2_DBM},
        {S2_HARDWARE_UPDATE_DIRTY, S2_READ | S2_DBM | S2_NO_AF, 0x480, RIG_RW | S2_DBM},
        {S2_HARDWARE_UPDATE_DIRTY, S2_READ | S2_DBM, 0x80, RIG_RW | S2_DBM},
        {S2_HARDWARE_UPDATE_DIRTY, S2_READ | S2_DBM | S2_NO_AF, 0, S2_READ | S2_DBM | S2_NO_AF},
    };
    const size_t i = (size_t)_i % RIG_COUNT(cases);
    struct rig_setup setup = rig_setup_of(&rig_shapes[(size_t)_i / RIG_COUNT(cases)]);
    const uint64_t page = rig_page(setup.shape), block = rig_block(setup.shape);
    const uint64_t at[] = {0, 7 * page, block - page};

    setup.config.hardware_update = cases[i].update;
    rig_init(&rig, setup);
    for (size_t n = 0; n < RIG_COUNT(at); n++) {
        map(block, block, RIG_DATA, cases[i].flags | S2_CAP_PAGES);
        rig_slot(&rig, &rig.table, block + at[n])->raw |= cases[i].set;
        fold(block, block);
        rig_assert_leaf(&rig, &rig.table, block, RIG_DATA, 2, cases[i].folded);
        unmap(block, block);
    }
    rig_fini(&rig);
}

/* A read-only page beside writable ones is a permission, not dirty state, where DBM is 0. */
TEST_EACH(fold_keeps_permissions_apart_under_hardware_update, rig_shape_count)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);
    const uint64_t page = rig_page(setup.shape), block = rig_block(setup.shape);

    setup.config.hardware_update = S2_HARDWARE_UPDATE_DIRTY;
    rig_init(&rig, setup);
    map(block, block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    protect(block + page, page, S2_READ);
    fold_does_nothing(block, block);
    protect(block, page, S2_READ);
    fold_does_nothing(block, block);
    rig_fini(&rig);
}
