/*
 * test_table_map.c - s2_table_map(): what it builds, what it refuses, which frames it takes.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/test.h"

#define SUITE "table_map"

#define UNKNOWN_FLAG (UINT64_C(1) << 40)

static struct rig rig;

static void start(const struct rig_shape *shape)
{
    rig_init(&rig, rig_setup_of(shape));
}

static struct rig_step map_step(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    return (struct rig_step){RIG_MAP, ipa, size, pa, flags};
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, map_step(ipa, size, pa, flags));
}

static uint64_t input_size(void)
{
    return UINT64_C(1) << rig.setup.shape->ipa_bits;
}

/* --- What is built --------------------------------------------------------------------------- */

TEST_EACH(init_leaves_every_address_a_hole, rig_shape_count)
{
    start(&rig_shapes[_i]);
    rig_assert_empty(&rig, &rig.table);
    rig_assert_hole(&rig, &rig.table, 0);
    rig_assert_hole(&rig, &rig.table, input_size() - 1);
    ck_assert_uint_eq(s2_table_frame_count(&rig.table) << rig.setup.frame_shift,
                      rig.setup.shape->root_size);
    rig_fini(&rig);
}

TEST_EACH(map_page_makes_one_leaf_at_level_3, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    start(shape);
    map(5 * page, page, RIG_DATA + 9 * page, RIG_RW);
    rig_assert_leaf(&rig, &rig.table, 5 * page, RIG_DATA + 9 * page, 3, RIG_RW);
    rig_assert_leaf(&rig, &rig.table, 6 * page - 1, RIG_DATA + 10 * page - 1, 3, RIG_RW);
    rig_assert_hole(&rig, &rig.table, 5 * page - 1);
    rig_assert_hole(&rig, &rig.table, 6 * page);
    rig_assert_map(&rig, &rig.table, (struct rig_map){5 * page, page, RIG_DATA + 9 * page, RIG_RW});
    rig_fini(&rig);
}

/* One leaf of each level where leaves may stand, and a page behind it. */
TEST_EACH(map_leaf_and_page_makes_one_of_each, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    for (int level = shape->top_leaf; level < 3; level++) {
        const uint64_t size = shape->span[level + 1];
        const struct rig_map expected = {3 * size, size + page, size, RIG_RWX};

        start(shape);
        map(3 * size, size + page, size, RIG_RWX);
        rig_assert_map(&rig, &rig.table, expected);
        rig_assert_leaf(&rig, &rig.table, 3 * size, size, level, RIG_RWX);
        rig_assert_leaf(&rig, &rig.table, 4 * size, 2 * size, 3, RIG_RWX);
        ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, level), 1);
        ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 1);
        rig_fini(&rig);
    }
}

TEST_EACH(map_1_gib_and_4_kib_makes_one_block_and_one_page, 2)
{
    start(&rig_shapes[_i]);
    map(GIB(4), GIB(1) + KIB(4), GIB(64), RIG_RW);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 1), 1);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 0);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 1);
    rig_fini(&rig);
}

/* From a page below a block to a page above the next: pages, two blocks, pages. */
TEST_EACH(map_ragged_range_takes_the_largest_leaf_everywhere, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(block - page, 2 * block + 2 * page, RIG_DATA + 7 * block - page, RIG_RW);
    rig_assert_map(
        &rig, &rig.table,
        (struct rig_map){block - page, 2 * block + 2 * page, RIG_DATA + 7 * block - page, RIG_RW});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 2);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 2);
    rig_fini(&rig);
}

TEST_EACH(map_pa_off_by_a_page_makes_pages_only, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(block, block, RIG_DATA + page, RIG_RW);
    rig_assert_map(&rig, &rig.table, (struct rig_map){block, block, RIG_DATA + page, RIG_RW});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 0);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), block / page);
    rig_fini(&rig);
}

TEST_EACH(map_pa_off_by_2_mib_makes_2_mib_blocks, 2)
{
    start(&rig_shapes[_i]);
    map(GIB(1), GIB(1), GIB(64) + MIB(2), RIG_RW);
    rig_assert_map(&rig, &rig.table, (struct rig_map){GIB(1), GIB(1), GIB(64) + MIB(2), RIG_RW});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 1), 0);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 512);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 0);
    rig_fini(&rig);
}

/* The cap is obeyed, and reads back as nothing. */
TEST_EACH(map_with_a_cap_makes_no_larger_leaf, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(block, block, RIG_DATA, RIG_RW | S2_CAP_PAGES);
    map(4 * block, block, RIG_DATA, RIG_RW | S2_CAP_LEVEL2);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), block / page);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 1);
    rig_assert_maps(
        &rig, &rig.table,
        (struct rig_map[]){{block, block, RIG_DATA, RIG_RW}, {4 * block, block, RIG_DATA, RIG_RW}},
        2);
    rig_fini(&rig);
}

TEST_EACH(map_1_gib_with_a_level_2_cap_makes_512_blocks, 2)
{
    start(&rig_shapes[_i]);
    map(GIB(8), GIB(1), GIB(64), RIG_RW | S2_CAP_LEVEL2);
    map(GIB(16), GIB(1), GIB(64), RIG_RW | S2_CAP_LEVEL1);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 512);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 1), 1);
    rig_fini(&rig);
}

TEST_EACH(map_last_bytes_of_input_and_output_is_done, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const uint64_t in = UINT64_C(1) << shape->ipa_bits, out = UINT64_C(1) << shape->pa_bits;

    start(shape);
    map(in - page, page, out - page, RIG_RW);
    map(in - 2 * block, block, out - block, S2_READ);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){{in - 2 * block, block, out - block, S2_READ},
                                       {in - page, page, out - page, RIG_RW}},
                    2);
    rig_assert_leaf(&rig, &rig.table, in - 1, out - 1, 3, RIG_RW);
    rig_fini(&rig);
}

/* Where two concatenated tables of a root meet. */
static const struct {
    int shape;
    uint64_t border;
} concatenated[] = {{0, GIB(512)}, {2, TIB(128)}, {4, TIB(256)}};

TEST_EACH(map_across_concatenated_roots_is_seamless, RIG_COUNT(concatenated))
{
    const struct rig_shape *shape = &rig_shapes[concatenated[_i].shape];
    const uint64_t border = concatenated[_i].border;
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(border - block - page, 2 * block + 2 * page, RIG_DATA + block - page, RIG_RW);
    rig_assert_map(&rig, &rig.table,
                   (struct rig_map){border - block - page, 2 * block + 2 * page,
                                    RIG_DATA + block - page, RIG_RW});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 2);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 2);
    rig_fini(&rig);
}

/* 40 bits of input on 48 of output: 1024 blocks, in both halves of the root; no other table. */
TEST(map_whole_input_size_fills_the_root)
{
    struct rig_shape shape = *RIG_4K_40;

    shape.pa_bits = 48;
    shape.frames = UINT64_C(0x804040000000);
    start(&shape);
    rig_needs(&rig, map_step(0, TIB(1), TIB(2), RIG_RW), 0);
    rig_assert_map(&rig, &rig.table, (struct rig_map){0, TIB(1), TIB(2), RIG_RW});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 1), 1024);
    rig_fini(&rig);
}

/* OA[51:48] wrap to their own place in a descriptor: leaves on both sides of such a border. */
TEST_FROM(map_across_a_high_output_border_keeps_the_address, 4, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t border = UINT64_C(1) << (shape->granule == S2_GRANULE_64K ? 48 : 50);
    const uint64_t page = rig_page(shape);

    start(shape);
    map(16 * page, 32 * page, border - 16 * page, RIG_RW);
    rig_assert_map(&rig, &rig.table,
                   (struct rig_map){16 * page, 32 * page, border - 16 * page, RIG_RW});
    rig_fini(&rig);
}

TEST_EACH(map_neighbours_share_tables, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);

    start(shape);
    rig_needs(&rig, map_step(3 * page, page, RIG_DATA, RIG_RW), (size_t)(3 - shape->start_level));
    rig_needs(&rig, map_step(4 * page, 2 * page, RIG_DATA + 64 * page, S2_READ), 0);
    rig_needs(&rig, map_step(page, 2 * page, RIG_DATA + 32 * page, S2_NORMAL_NC), 0);
    rig_assert_maps(&rig, &rig.table,
                    (struct rig_map[]){{page, 2 * page, RIG_DATA + 32 * page, S2_NORMAL_NC},
                                       {3 * page, page, RIG_DATA, RIG_RW},
                                       {4 * page, 2 * page, RIG_DATA + 64 * page, S2_READ}},
                    3);
    rig_fini(&rig);
}

/* --- Attributes ------------------------------------------------------------------------------ */

static const mapping_flags_t types[] = {
    S2_NORMAL,        S2_NORMAL_NC,    S2_NORMAL_WT,   S2_NORMAL_STAGE1,
    S2_DEVICE_nGnRnE, S2_DEVICE_nGnRE, S2_DEVICE_nGRE, S2_DEVICE_GRE,
};

/* Every permission, with every flag, of one type: what the manual lets exist is mapped as asked,
 * the rest refused. */
TEST_EACH(map_every_attribute_is_what_the_machine_sees, 32)
{
    struct rig_setup setup = rig_setup_of(_i % 2 == 0 ? RIG_4K_48 : &rig_shapes[4]);
    const mapping_flags_t type = types[_i / 4 % 8];
    const bool is_device = type >= S2_DEVICE_nGnRnE && type <= S2_DEVICE_GRE;
    const bool has_fwb = _i / 2 % 2 == 0;
    const bool is_absent = type == (has_fwb ? S2_NORMAL_WT : S2_NORMAL_STAGE1);

    setup.config.force_write_back = has_fwb ? S2_FWB_AUTO : S2_FWB_OFF;
    rig_init(&rig, setup);
    for (mapping_flags_t rest = 0; rest < 256; rest++) {
        const mapping_flags_t flags = type | (rest & 15) | ((rest & 16) != 0 ? S2_NO_AF : 0) |
                                      ((rest & 32) != 0 ? S2_SOFT0 : 0) |
                                      ((rest & 64) != 0 ? S2_SOFT1 : 0) |
                                      ((rest & 128) != 0 ? S2_SH_OUTER : 0);
        const struct rig_step step = map_step(KIB(4), KIB(4), RIG_DATA, flags);

        if (is_absent || (setup.config.ipa_bits == 52 && (rest & 128) != 0)) {
            rig_refused(&rig, step, MAPPING_UNSUPPORTED);
        } else if (is_device && (flags & S2_EXEC) != 0) {
            rig_refused(&rig, step, MAPPING_DENIED);
        } else {
            rig_must(&rig, step);
            rig_assert_leaf(&rig, &rig.table, KIB(4), RIG_DATA, 3, flags);
            rig_must(&rig, (struct rig_step){RIG_UNMAP, KIB(4), KIB(4), 0, 0});
        }
    }
    rig_fini(&rig);
}

/* Literal descriptors, from the manual's layout. */
TEST(map_writes_the_manuals_descriptors)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);

    setup.config.force_write_back = S2_FWB_OFF;
    rig_init(&rig, setup);
    map(GIB(1), GIB(1), GIB(2), RIG_RWX);
    map(GIB(4), MIB(2), GIB(3), S2_READ | S2_EXEC_EL0 | S2_NORMAL_NC | S2_SH_OUTER | S2_SOFT1);
    map(GIB(6), KIB(4), UINT64_C(0xfffffff000), RIG_RW | S2_DEVICE_nGnRE | S2_SH_NONE | S2_NO_AF);
    ck_assert_uint_eq(rig_desc(&rig, &rig.table, GIB(1)), UINT64_C(0x00000000800007fd));
    ck_assert_uint_eq(rig_desc(&rig, &rig.table, GIB(4)), UINT64_C(0x02200000c0000655));
    ck_assert_uint_eq(rig_desc(&rig, &rig.table, GIB(6)), UINT64_C(0x004000fffffff0c7));
    /* The first table that was taken lies behind the root's two. */
    ck_assert_uint_eq(rig_slot_at(&rig, &rig.table, GIB(4), 1)->raw, UINT64_C(0x8040002003));
    rig_fini(&rig);
}

/* 52 bits: OA[51:50] in [9:8], the rest in place; OA[51:48] in [15:12] for 64K. */
TEST(map_writes_the_manuals_52_bit_descriptors)
{
    start(&rig_shapes[4]);
    map(KIB(4), KIB(4), UINT64_C(0xe123456789000), RIG_RWX);
    ck_assert_uint_eq(rig_desc(&rig, &rig.table, KIB(4)), UINT64_C(0x00021234567897db));
    rig_fini(&rig);
    start(&rig_shapes[6]);
    map(KIB(64), KIB(64), UINT64_C(0xe123456780000), RIG_RWX);
    ck_assert_uint_eq(rig_desc(&rig, &rig.table, KIB(64)), UINT64_C(0x000012345678e7db));
    rig_fini(&rig);
}

/* --- What is refused ------------------------------------------------------------------------- */

static void refused(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags,
                    enum mapping_error error)
{
    rig_refused(&rig, map_step(ipa, size, pa, flags), error);
}

TEST_EACH(map_unaligned_ipa_size_or_pa_is_refused, rig_shape_count)
{
    const uint64_t page = rig_page(&rig_shapes[_i]);

    start(&rig_shapes[_i]);
    refused(page / 2, page, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page + 1, page, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page, page / 2, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page, page + 1, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page, page, RIG_DATA + page / 2, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page, page, RIG_DATA + 1, RIG_RW, MAPPING_INVALID_PARAM);
    rig_fini(&rig);
}

TEST_EACH(map_empty_or_wrapping_range_is_refused, rig_shape_count)
{
    const uint64_t page = rig_page(&rig_shapes[_i]);

    start(&rig_shapes[_i]);
    refused(page, 0, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page, 0 - page, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(0 - page, page, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(0 - page, 2 * page, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page, page, 0 - page, RIG_RW, MAPPING_INVALID_PARAM);
    refused(0, 2 * page, 0 - page, RIG_RW, MAPPING_INVALID_PARAM);
    rig_fini(&rig);
}

TEST_EACH(map_beyond_input_or_output_size_is_refused, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);
    const uint64_t in = UINT64_C(1) << shape->ipa_bits, out = UINT64_C(1) << shape->pa_bits;

    start(shape);
    refused(in, page, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(in - page, 2 * page, RIG_DATA, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page, in, 0, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page, page, out, RIG_RW, MAPPING_INVALID_PARAM);
    refused(page, 2 * page, out - page, RIG_RW, MAPPING_INVALID_PARAM);
    rig_fini(&rig);
}

TEST_EACH(map_unknown_flags_are_refused, rig_shape_count)
{
    const uint64_t page = rig_page(&rig_shapes[_i]);

    start(&rig_shapes[_i]);
    refused(page, page, RIG_DATA, RIG_RW | UNKNOWN_FLAG, MAPPING_INVALID_PARAM);
    refused(page, page, RIG_DATA, RIG_RW | S2_SHAREABILITY, MAPPING_INVALID_PARAM);
    rig_fini(&rig);
}

TEST_EACH(map_what_the_cpu_lacks_is_unsupported, rig_shape_count)
{
    struct rig_setup setup = rig_setup_of(&rig_shapes[_i]);
    const uint64_t page = rig_page(setup.shape);

    setup.cpu.has_xnx = false;
    rig_init(&rig, setup);
    refused(page, page, RIG_DATA, S2_READ | S2_EXEC_EL0, MAPPING_UNSUPPORTED);
    refused(page, page, RIG_DATA, S2_READ | S2_EXEC_EL1, MAPPING_UNSUPPORTED);
    refused(page, page, RIG_DATA, S2_READ | S2_DBM, MAPPING_UNSUPPORTED);
    map(page, page, RIG_DATA, RIG_RWX);
    map(2 * page, page, RIG_DATA, RIG_RW);
    rig_assert_leaf(&rig, &rig.table, page, RIG_DATA, 3, RIG_RWX);
    rig_assert_leaf(&rig, &rig.table, 2 * page, RIG_DATA, 3, RIG_RW);
    rig_fini(&rig);
}

/* What is there is a page, then a block: everything that touches it is refused, neighbours not. */
TEST_EACH(map_over_a_mapping_already_exists, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);

    start(shape);
    map(block + 8 * page, page, RIG_DATA, RIG_RW);
    map(3 * block, block, RIG_DATA + block, RIG_RW);
    refused(block + 8 * page, page, RIG_DATA, RIG_RW, MAPPING_ALREADY_EXISTS);
    refused(block + 7 * page, 2 * page, RIG_DATA, RIG_RW, MAPPING_ALREADY_EXISTS);
    refused(block + 8 * page, 2 * page, RIG_DATA, RIG_RW, MAPPING_ALREADY_EXISTS);
    refused(block, block, RIG_DATA, RIG_RW, MAPPING_ALREADY_EXISTS);
    refused(0, 2 * block, RIG_DATA, RIG_RW, MAPPING_ALREADY_EXISTS);
    refused(3 * block + page, page, RIG_DATA, RIG_RW, MAPPING_ALREADY_EXISTS);
    refused(2 * block, block + page, RIG_DATA, RIG_RW, MAPPING_ALREADY_EXISTS);
    refused(4 * block - page, 2 * page, RIG_DATA, RIG_RW, MAPPING_ALREADY_EXISTS);
    refused(3 * block, block, RIG_DATA + block, RIG_RW, MAPPING_ALREADY_EXISTS);
    map(block + 9 * page, page, RIG_DATA, RIG_RW);
    map(4 * block, block, RIG_DATA, RIG_RW);
    rig_fini(&rig);
}

/* No guest may see the root, another table, a frame that is free, or memory around them. */
TEST_EACH(map_frames_of_tables_is_denied, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);
    const uint64_t pool = shape->frames;

    start(shape);
    map(page, page, RIG_DATA, RIG_RW);
    for (uint64_t frame = 0; frame < rig.setup.frame_count; frame++) {
        refused(8 * page, page, pool + frame * page, S2_READ, MAPPING_DENIED);
    }
    refused(8 * page, 2 * page, pool - page, S2_READ, MAPPING_DENIED);
    refused(8 * page, 2 * page, pool + 63 * page, S2_READ, MAPPING_DENIED);
    map(8 * page, page, pool - page, S2_READ);
    map(9 * page, page, pool + 64 * page, S2_READ);
    rig_fini(&rig);
}

TEST_EACH(map_a_data_frame_of_the_pool_is_done, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);
    pa_t data;

    start(shape);
    ck_assert_int_eq(frame_pool_alloc(&rig.pool, 0, &data), MAPPING_OK);
    map(page, page, data.raw, RIG_RW);
    rig_assert_leaf(&rig, &rig.table, page, data.raw, 3, RIG_RW);
    rig_must(&rig, (struct rig_step){RIG_UNMAP, page, page, 0, 0});
    ck_assert_int_eq(frame_pool_free(&rig.pool, data, 0), MAPPING_OK);
    rig_fini(&rig);
}

/* --- Frames ---------------------------------------------------------------------------------- */

/* A path of tables down to level 3, from an empty root. */
static size_t path(const struct rig_shape *shape)
{
    return (size_t)(3 - shape->start_level);
}

TEST_EACH(map_takes_exactly_the_frames_it_needs, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    const uint64_t wide = shape->span[1 + 1];

    start(shape);
    /* The first page of all; its neighbour; a block beside its table. */
    rig_needs(&rig, map_step(0, page, RIG_DATA, RIG_RW), path(shape));
    rig_needs(&rig, map_step(page, page, RIG_DATA, RIG_RW), 0);
    rig_needs(&rig, map_step(block, block, RIG_DATA, RIG_RW), 0);
    /* Pages on either side of two blocks: two tables of pages. */
    rig_needs(&rig, map_step(3 * block - page, 2 * block + 2 * page, RIG_DATA - page, RIG_RW), 2);
    /* A page on either side of where two level-1 entries meet: a table of blocks and a table of
     * pages in each. */
    rig_needs(&rig, map_step(2 * wide - page, 2 * page, RIG_DATA - page, RIG_RW), 4);
    /* Misaligned output: a table of pages for each block. */
    rig_needs(&rig, map_step(8 * block, 3 * block, RIG_DATA + page, RIG_RW), 3);
    rig_needs(&rig, map_step(12 * block, block, RIG_DATA, RIG_RW | S2_CAP_PAGES), 1);
    rig_fini(&rig);
}

TEST_EACH(map_takes_no_frame_when_one_is_short_at_the_far_end, 2)
{
    start(&rig_shapes[_i]);
    /* 2 GiB less a page at either end, on a root at level 1 or 0: two tables of blocks, two of
     * pages; and above them a table of gigabytes where the root is at level 0. */
    rig_needs(&rig, map_step(KIB(4), GIB(2) - KIB(8), RIG_DATA + KIB(4), RIG_RW),
              4 + (_i == 1 ? 1 : 0));
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 2), 2 * 511);
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 3), 2 * 511);
    /* 3 GiB with a misaligned output: 3 tables of blocks and 2 MiB apart from a gigabyte. */
    rig_needs(&rig, map_step(GIB(8), GIB(3), RIG_DATA + MIB(2), RIG_RW), 3);
    rig_fini(&rig);
}
