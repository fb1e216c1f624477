/*
 * test_table_protect.c - s2_table_protect(): new attributes for exactly the range.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#define SUITE "table_protect"

static struct rig rig;

static void start(const struct rig_shape *shape)
{
    rig_init(&rig, rig_setup_of(shape));
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

static struct rig_step protect_step(uint64_t ipa, uint64_t size, mapping_flags_t flags)
{
    return (struct rig_step){.verb = RIG_PROTECT, .ipa = ipa, .size = size, .flags = flags};
}

static void protect(uint64_t ipa, uint64_t size, mapping_flags_t flags)
{
    rig_must(&rig, protect_step(ipa, size, flags));
}

/* --- What changes ---------------------------------------------------------------------------- */

/* From every one of these to every other: permissions, execution, AF, software bits, types. */
static const mapping_flags_t kinds[] = {
    RIG_RW,
    S2_READ,
    0,
    RIG_RWX,
    S2_READ | S2_EXEC_EL0,
    RIG_RW | S2_NO_AF,
    RIG_RW | S2_SOFT0 | S2_SOFT1,
    RIG_RW | S2_NORMAL_NC,
    RIG_RW | S2_DEVICE_nGnRE,
    S2_READ | S2_NORMAL_STAGE1 | S2_SOFT1,
};

#define KINDS ((int)RIG_COUNT(kinds))

TEST_EACH(protect_gives_every_leaf_all_the_new_attributes, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(3 * block, block, RIG_DATA, kinds[0]);
    map(4 * block, 2 * page, RIG_DATA + block, kinds[0]);
    for (int from = 0; from < KINDS; from++) {
        for (int to = 0; to < KINDS; to++) {
            protect(3 * block, block + 2 * page, kinds[from]);
            protect(3 * block, block + 2 * page, kinds[to]);
            rig_assert_leaf(&rig, &rig.table, 3 * block, RIG_DATA, 2, kinds[to]);
            rig_assert_leaf(&rig, &rig.table, 4 * block + page, RIG_DATA + block + page, 3,
                            kinds[to]);
        }
    }
    rig_assert_map(&rig, &rig.table,
                   (struct rig_map){3 * block, block + 2 * page, RIG_DATA, kinds[KINDS - 1]});
    rig_fini(&rig);
}

TEST_EACH(protect_changes_shareability, 4)
{
    const uint64_t page = rig_page(&rig_shapes[_i]);

    start(&rig_shapes[_i]);
    map(page, 2 * page, RIG_DATA, RIG_RW);
    protect(page, page, RIG_RW | S2_SH_OUTER);
    protect(2 * page, page, RIG_RW | S2_SH_NONE);
    rig_assert_leaf(&rig, &rig.table, page, RIG_DATA, 3, RIG_RW | S2_SH_OUTER);
    rig_assert_leaf(&rig, &rig.table, 2 * page, RIG_DATA + page, 3, RIG_RW | S2_SH_NONE);
    rig_fini(&rig);
}

TEST_EACH(protect_page_leaves_its_neighbours, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    start(shape);
    map(4 * page, 5 * page, RIG_DATA, RIG_RW);
    protect(6 * page, page, S2_READ);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){{4 * page, 2 * page, RIG_DATA, RIG_RW},
                                       {6 * page, page, RIG_DATA + 2 * page, S2_READ},
                                       {7 * page, 2 * page, RIG_DATA + 3 * page, RIG_RW}},
                    3);
    rig_fini(&rig);
}

/* Holes, pages and blocks in one range; what lies outside keeps what it had. */
TEST_EACH(protect_mixed_range_passes_over_holes, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(page, page, RIG_DATA, RIG_RW);
    map(3 * page, page, RIG_DATA + 8 * page, RIG_RWX);
    map(2 * block, block, RIG_DATA, RIG_RW | S2_SOFT0);
    map(3 * block + 2 * page, page, RIG_DATA, S2_NORMAL_NC);
    map(5 * block, 2 * block, RIG_DATA, RIG_RW);
    protect(2 * page, 6 * block - 2 * page, S2_READ | S2_SOFT1);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){{page, page, RIG_DATA, RIG_RW},
                                       {3 * page, page, RIG_DATA + 8 * page, S2_READ | S2_SOFT1},
                                       {2 * block, block, RIG_DATA, S2_READ | S2_SOFT1},
                                       {3 * block + 2 * page, page, RIG_DATA, S2_READ | S2_SOFT1},
                                       {5 * block, block, RIG_DATA, S2_READ | S2_SOFT1},
                                       {6 * block, block, RIG_DATA + block, RIG_RW}},
                    6);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 3);
    rig_fini(&rig);
}

TEST_EACH(protect_the_whole_input_size_is_done, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const uint64_t top = UINT64_C(1) << shape->ipa_bits;

    start(shape);
    protect(0, top, S2_READ);
    rig_assert_empty(&rig, &rig.table);
    map(0, page, RIG_DATA, RIG_RW);
    map(top / 2 - block, 2 * block, RIG_DATA, RIG_RW);
    map(top - page, page, RIG_DATA, RIG_RWX);
    protect(0, top, S2_READ | S2_DEVICE_GRE);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {0, page, RIG_DATA, S2_READ | S2_DEVICE_GRE},
                        {top / 2 - block, 2 * block, RIG_DATA, S2_READ | S2_DEVICE_GRE},
                        {top - page, page, RIG_DATA, S2_READ | S2_DEVICE_GRE},
                    },
                    3);
    rig_fini(&rig);
}

TEST_EACH(protect_holes_touches_nothing, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);
    size_t changes;

    start(shape);
    map(8 * page, page, RIG_DATA, RIG_RW);
    changes = sim_change_count();
    protect(7 * page, page, S2_READ);
    protect(9 * page, 64 * rig_block(shape) - 9 * page, S2_READ);
    ck_assert_uint_eq(sim_change_count(), changes);
    rig_assert_map(&rig, &rig.table, (struct rig_map){8 * page, page, RIG_DATA, RIG_RW});
    rig_fini(&rig);
}

/* What is so already is not split, not written, not invalidated. */
TEST_EACH(protect_with_equal_attributes_touches_nothing, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const struct rig_map all = {block, block + 2 * page, RIG_DATA, RIG_RW | S2_SOFT1};
    size_t changes;

    start(shape);
    map(all.ipa, all.size, all.pa, all.flags);
    changes = sim_change_count();
    rig_needs(&rig, protect_step(block + page, page, all.flags), 0);
    rig_needs(&rig, protect_step(block, block + page, all.flags), 0);
    rig_needs(&rig, protect_step(block + page, block, all.flags | S2_CAP_PAGES), 0);
    ck_assert_uint_eq(sim_change_count(), changes);
    rig_assert_map(&rig, &rig.table, all);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 1);
    rig_fini(&rig);
}

/* The cap says what a mapper may make, not what a protection may keep. */
TEST_EACH(protect_ignores_a_cap, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t block = rig_block(shape);

    start(shape);
    map(block, block, RIG_DATA, RIG_RW);
    rig_needs(&rig, protect_step(block, block, S2_READ | S2_CAP_PAGES), 0);
    rig_assert_leaf(&rig, &rig.table, block, RIG_DATA, 2, S2_READ);
    rig_fini(&rig);
}

/* --- Splits ------------------------------------------------------------------------------------ */

/* [@from, @from + @size) of a block of @level gets @to; the rest stays as it was. */
static void split(const struct rig_shape *shape, int level, uint64_t from, uint64_t size,
                  mapping_flags_t to)
{
    const uint64_t block = shape->span[level + 1], ipa = 3 * block, pa = 5 * block;
    const mapping_flags_t was = S2_READ | S2_EXEC_EL1 | S2_NORMAL_NC | S2_SOFT0;
    const struct rig_map expected[] = {
        {ipa, from, pa, was},
        {ipa + from, size, pa + from, to},
        {ipa + from + size, block - from - size, pa + from + size, was},
    };

    start(shape);
    map(ipa, block, pa, was);
    protect(ipa + from, size, to);
    rig_assert_maps(&rig, &rig.table, expected + (from == 0 ? 1 : 0),
                    1 + (from == 0 ? 0U : 1U) + (expected[2].size == 0 ? 0U : 1U));
    rig_fini(&rig);
}

TEST_EACH(protect_part_of_block_splits_exactly, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    for (int level = shape->top_leaf; level < 3; level++) {
        const uint64_t block = shape->span[level + 1], sub = shape->span[level + 2];

        split(shape, level, block / 2 + page, page, RIG_RW);
        split(shape, level, block / 2 - page, 2 * page, RIG_RW | S2_DEVICE_nGnRnE);
        split(shape, level, 0, page, RIG_RWX | S2_SOFT1);
        split(shape, level, block - page, page, 0);
        split(shape, level, 0, block - page, S2_READ | S2_NORMAL_NC);
        split(shape, level, page, block - 2 * page, RIG_RW | S2_NO_AF);
        split(shape, level, sub, sub, RIG_RW);
    }
}

/* Inside and outside a split the largest leaves that fit. */
TEST_EACH(protect_part_of_1_gib_takes_the_largest_leaves, 2)
{
    start(&rig_shapes[_i]);
    map(GIB(1), GIB(1), GIB(64), RIG_RW);
    rig_needs(&rig, protect_step(GIB(1) + MIB(2) - KIB(4), MIB(4) + KIB(8), S2_READ), 3);
    /* 512 entries: the first and the fourth are tables, the second and third read-only. */
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 510);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 2 * 512);
    rig_fini(&rig);
}

TEST_EACH(protect_from_block_into_block_splits_both, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(2 * block, 3 * block, RIG_DATA, RIG_RW);
    rig_needs(&rig, protect_step(3 * block - page, block + 2 * page, S2_READ), 2);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){
                        {2 * block, block - page, RIG_DATA, RIG_RW},
                        {3 * block - page, block + 2 * page, RIG_DATA + block - page, S2_READ},
                        {4 * block + page, block - page, RIG_DATA + 2 * block + page, RIG_RW},
                    },
                    3);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 1);
    rig_fini(&rig);
}

/* Only one of the two blocks differs from what is asked, so only one is split. */
TEST_EACH(protect_splits_only_the_block_that_differs, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(2 * block, block, RIG_DATA, S2_READ);
    map(3 * block, block, RIG_DATA + block, RIG_RW);
    rig_needs(&rig, protect_step(3 * block - page, 2 * page, S2_READ), 1);
    rig_assert_leaf(&rig, &rig.table, 2 * block, RIG_DATA, 2, S2_READ);
    rig_assert_leaf(&rig, &rig.table, 3 * block, RIG_DATA + block, 3, S2_READ);
    rig_assert_leaf(&rig, &rig.table, 3 * block + page, RIG_DATA + block + page, 3, RIG_RW);
    rig_fini(&rig);
}

/* --- Frames and errors ----------------------------------------------------------------------- */

TEST_EACH(protect_split_out_of_frames_changes_nothing, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    for (int level = shape->top_leaf; level < 3; level++) {
        const uint64_t block = shape->span[level + 1], sub = shape->span[level + 2];
        const size_t deep = (size_t)(3 - level);

        start(shape);
        map(2 * block, 6 * block, 2 * block, RIG_RW);
        rig_needs(&rig, protect_step(2 * block + page, page, S2_READ), deep);
        rig_needs(&rig, protect_step(3 * block, sub, S2_READ), 1);
        if (level < 2) {
            rig_needs(&rig, protect_step(4 * block + sub - page, 2 * page, S2_READ),
                      1 + 2 * (deep - 1));
        }
        rig_needs(&rig, protect_step(5 * block, block, S2_READ), 0);
        rig_needs(&rig, protect_step(7 * block - page, 2 * page, 0), 2 * deep);
        rig_fini(&rig);
    }
}

TEST_EACH(protect_bad_range_is_refused, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), top = UINT64_C(1) << shape->ipa_bits;
    static const uint64_t bad[][2] = {{1, 2}, {2, 1}, {2, 0}, {1, 0}};

    start(shape);
    map(0, rig_block(shape), RIG_DATA, RIG_RW);
    map(top - page, page, RIG_DATA, RIG_RW);
    for (size_t i = 0; i < RIG_COUNT(bad); i++) {
        rig_refused(&rig, protect_step(bad[i][0] * page / 2, bad[i][1] * page / 2, S2_READ),
                    MAPPING_INVALID_PARAM);
    }
    rig_refused(&rig, protect_step(top, page, S2_READ), MAPPING_INVALID_PARAM);
    rig_refused(&rig, protect_step(top - page, 2 * page, S2_READ), MAPPING_INVALID_PARAM);
    rig_refused(&rig, protect_step(page, top, S2_READ), MAPPING_INVALID_PARAM);
    rig_refused(&rig, protect_step(0 - page, page, S2_READ), MAPPING_INVALID_PARAM);
    rig_refused(&rig, protect_step(page, 0 - page, S2_READ), MAPPING_INVALID_PARAM);
    rig_fini(&rig);
}

TEST_EACH(protect_impossible_flags_are_refused, rig_shape_count)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);
    const uint64_t page = rig_page(setup.shape);

    setup.cpu.has_xnx = false;
    rig_init(&rig, setup);
    map(0, rig_block(setup.shape), RIG_DATA, RIG_RW);
    rig_refused(&rig, protect_step(page, page, UINT64_C(1) << 40), MAPPING_INVALID_PARAM);
    rig_refused(&rig, protect_step(page, page, S2_READ | S2_SHAREABILITY), MAPPING_INVALID_PARAM);
    rig_refused(&rig, protect_step(page, page, S2_READ | S2_EXEC_EL0), MAPPING_UNSUPPORTED);
    rig_refused(&rig, protect_step(page, page, S2_READ | S2_NORMAL_WT), MAPPING_UNSUPPORTED);
    rig_refused(&rig, protect_step(page, page, S2_READ | S2_DBM), MAPPING_UNSUPPORTED);
    rig_refused(&rig, protect_step(page, page, S2_EXEC | S2_DEVICE_GRE), MAPPING_DENIED);
    rig_fini(&rig);
}
