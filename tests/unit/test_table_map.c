/*
 * test_table_map.c - s2_table_map(): what it builds, what it refuses, which frames it takes.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/table_scene.h"
#include "tests/unit/test.h"

#define SUITE "table_map"

static const struct scene scenes[] = {
    /* What is built. */
    {"init leaves every address a hole", "hole 0; hole T-1; tables 0"},
    {"map of a page makes one leaf at level 3",
     "map 5p p D+9p rw; leaf 5p D+9p 3 rw; leaf 6p-1 D+10p-1 3 rw; hole 5p-1; hole 6p"},
    {"map of a leaf and a page makes one of each",
     "on levels; map 3b b+p b rwxu; leaf 3b b L rwxu; leaf 4b 2b 3 rwxu; leaves L 1; leaves 3 1"},
    {"map of 1 GiB and 4 KiB makes one block and one page",
     "on 4K; map 4G 1G+4K 64G rw; leaves 1 1; leaves 2 0; leaves 3 1"},
    {"map of a ragged range takes the largest leaf everywhere",
     "map b-p 2b+2p D+7b-p rw; leaves 2 2; leaves 3 2"},
    {"map to a PA off by a page makes pages only", "map b b D+p rw; leaves 2 0; leaves 3 b/p"},
    {"map to a PA off by 2 MiB makes 2 MiB blocks",
     "on 4K; map 1G 1G 64G+2M rw; leaves 1 0; leaves 2 512; leaves 3 0"},
    {"map with a cap makes no larger leaf, and the cap reads back as nothing",
     "map b b D rw+pages; map 4b b D rw+level2; leaves 3 b/p; leaves 2 1"},
    {"map of 1 GiB with a level 2 cap makes 512 blocks",
     "on 4K; map 8G 1G 64G rw+level2; map 16G 1G 64G rw+level1; leaves 2 512; leaves 1 1"},
    {"map of the last bytes of input and output is done",
     "map T-p p U-p rw; map T-2b b U-b r; leaf T-1 U-1 3 rw"},
    {"map across concatenated roots is seamless",
     "on joined; map c-b-p 2b+2p D+b-p rw; leaves 2 2; leaves 3 2"},
    {"map across a border of the high output bits keeps the address",
     "on 52; map 16p 32p h-16p rw"},
    {"map of neighbours shares tables",
     "needs d map 3p p D rw; needs 0 map 4p 2p D+64p r; needs 0 map p 2p D+32p nc"},

    /* Literal descriptors, from the manual's layout. The first table that is taken is frame 16 of
     * the pool, at 0x8040000000. 52 bits: OA[51:50] in [9:8], the rest in place; OA[51:48] in
     * [15:12] for 64K. */
    {"map writes the manual's descriptors",
     "on 4K40; with nofwb; map 1G 1G 2G rwxu; map 4G 2M 3G r+u+nc+outer+soft1;"
     "map 6G 4K 0xfffffff000 rw+nGnRE+nonshareable+noaf; desc 1G 0x00000000800007fd;"
     "desc 4G 0x02200000c0000655; desc 6G 0x004000fffffff0c7; desc 4G 0x8040010003 1"},
    {"map writes the manual's 52-bit descriptors, 4K",
     "on lpa2; map 4K 4K 0xe123456789000 rwxu; desc 4K 0x00021234567897db"},
    {"map writes the manual's 52-bit descriptors, 64K",
     "on lpa; map 64K 64K 0xe123456780000 rwxu; desc 64K 0x000012345678e7db"},

    /* What is refused. */
    {"map of an unaligned IPA, size or PA is refused",
     "invalid map p/2 p D rw; invalid map p+1 p D rw; invalid map p p/2 D rw;"
     "invalid map p p+1 D rw; invalid map p p D+p/2 rw; invalid map p p D+1 rw"},
    {"map of an empty or wrapping range is refused",
     "invalid map p 0 D rw; invalid map p 0-p D rw; invalid map 0-p p D rw;"
     "invalid map 0-p 2p D rw; invalid map p p 0-p rw; invalid map 0 2p 0-p rw"},
    {"map beyond the input or output size is refused",
     "invalid map T p D rw; invalid map T-p 2p D rw; invalid map p T 0 rw;"
     "invalid map p p U rw; invalid map p 2p U-p rw"},
    {"map with unknown flags is refused",
     "invalid map p p D rw+unknown; invalid map p p D rw+badshareable"},
    {"map with what the CPU lacks is unsupported",
     "with noxnx; unsupported map p p D r+u; unsupported map p p D r+x;"
     "unsupported map p p D r+dbm; map p p D rwxu; map 2p p D rw"},
    {"map over a page or a block already exists, beside it not",
     "map b+8p p D rw; map 3b b D+b rw; exists map b+8p p D rw; exists map b+7p 2p D rw;"
     "exists map b+8p 2p D rw; exists map b b D rw; exists map 0 2b D rw;"
     "exists map 3b+p p D rw; exists map 2b b+p D rw; exists map 4b-p 2p D rw;"
     "exists map 3b b D+b rw; map b+9p p D rw; map 4b b D rw"},

    /* Frames: tables of pages for ragged ends, tables of blocks, and those above them. */
    {"map takes exactly the frames it needs",
     "needs d map 0 p D rw; needs 0 map p p D rw; needs 0 map b b D rw;"
     "needs 2 map 3b-p 2b+2p D-p rw; needs 4 map 2w-p 2p D-p rw; needs 3 map 8b 3b D+p rw;"
     "needs 1 map 12b b D rw+pages"},
    {"map and unmap work alike where tables are of several frames",
     "with smallframes; tables 0; map b b+p D rw; unmap b+3p 2p; is; tables d+1; unmap 0 4b; "
     "tables 0"},
    {"map takes no frame when one is short at the far end",
     "on 4K; needs d+2 map 4K 2G-8K D+4K rw; leaves 2 1022; leaves 3 1022; needs 3 map 8G 3G D+2M "
     "rw"},
};

SCENE_TEST(map_does_what_the_scene_says)

static struct rig rig;

static struct rig_step map_step(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    return (struct rig_step){RIG_MAP, ipa, size, pa, flags};
}

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, map_step(ipa, size, pa, flags));
}

/* ID_AA64MMFR0_EL1.PARange: 32, 36, 40, 42, 44, 48, 52 bits. */
TEST_EACH(guest_reads_no_more_than_its_input_size, 17)
{
    static const unsigned ranges[17] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5};
    struct rig_setup setup = rig_setup_of(RIG_4K_48);

    setup.config.ipa_bits = 32 + (unsigned)_i;
    rig_init(&rig, setup);
    ck_assert_uint_eq(s2_table_parange(&rig.table), ranges[_i]);
    rig_fini(&rig);
}

TEST(guest_with_52_bits_reads_them)
{
    rig_init(&rig, rig_setup_of(&rig_shapes[4]));
    ck_assert_uint_eq(s2_table_parange(&rig.table), 6);
    rig_fini(&rig);
}

/* 40 bits of input on 48 of output: 1024 blocks, in both halves of the root; no other table. */
TEST(map_whole_input_size_fills_the_root)
{
    struct rig_shape shape = *RIG_4K_40;

    shape.pa_bits = 48;
    shape.frames = UINT64_C(0x804040000000);
    rig_init(&rig, rig_setup_of(&shape));
    rig_needs(&rig, map_step(0, TIB(1), TIB(2), RIG_RW), 0);
    rig_assert_map(&rig, &rig.table, (struct rig_map){0, TIB(1), TIB(2), RIG_RW});
    ck_assert_uint_eq(rig_leaf_count(&rig, &rig.table, 1), 1024);
    rig_fini(&rig);
}

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
    setup.frame_count = 20;
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

/* No guest may see the root, another table, a frame that is free, or memory around them. */
TEST_EACH(map_frames_of_tables_is_denied, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);
    const uint64_t pool = shape->frames;

    rig_init(&rig, rig_setup_of(shape));
    map(page, page, RIG_DATA, RIG_RW);
    for (uint64_t frame = 0; frame < rig.setup.frame_count; frame++) {
        rig_refused(&rig, map_step(8 * page, page, pool + frame * page, S2_READ), MAPPING_DENIED);
    }
    rig_refused(&rig, map_step(8 * page, 2 * page, pool - page, S2_READ), MAPPING_DENIED);
    rig_refused(&rig, map_step(8 * page, 2 * page, pool + 63 * page, S2_READ), MAPPING_DENIED);
    map(8 * page, page, pool - page, S2_READ);
    map(9 * page, page, pool + 64 * page, S2_READ);
    rig_fini(&rig);
}

TEST_EACH(map_a_data_frame_of_the_pool_is_done, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape);
    pa_t data;

    rig_init(&rig, rig_setup_of(shape));
    ck_assert_int_eq(frame_pool_alloc(&rig.pool, 0, &data), MAPPING_OK);
    map(page, page, data.raw, RIG_RW);
    rig_assert_leaf(&rig, &rig.table, page, data.raw, 3, RIG_RW);
    rig_must(&rig, (struct rig_step){RIG_UNMAP, page, page, 0, 0});
    ck_assert_int_eq(frame_pool_free(&rig.pool, data, 0), MAPPING_OK);
    rig_fini(&rig);
}
