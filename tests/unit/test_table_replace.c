/*
 * test_table_replace.c - s2_table_replace(): other memory under what is mapped, all else as it was.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/table_scene.h"
#include "tests/unit/test.h"

#define SUITE "table_replace"

static const struct scene scenes[] = {
    /* Leaves that stay as large as they are. */
    {"replace by congruent output, or by itself, keeps every leaf",
     "map b 2b+3p D rwxu; leave 0; replace b 2b+3p O; leaves 2 2; leaves 3 3; is;"
     "replace b 2b+3p O"},
    {"replace of pages by any pages needs no frame",
     "map b 9p D rw; leave 0; replace b+2p 4p O+7p"},
    {"replace of all pages of a block leaves pages, though a block would fit",
     "map b b D rw+pages; replace b b O; leaves 3 b/p"},

    /* Blocks that the new output does not fit. */
    {"replace of blocks by a page beside needs a table each",
     "map b 3b D rw+soft1; needs 3 replace b 3b O+p; leaves 3 3b/p"},
    {"replace of a large block by a block beside needs one table, as the next size still fits",
     "on large; map 2b b 4b r; leaf 2b 4b L r; needs 1 replace 2b b 8b+s; leaves L+1 b/s"},
    {"replace of 1 GiB by a page beside needs 512 tables, and the one that they hang in",
     "on 4K40; with manyframes; map 1G 1G D rw; leave 512; noframe replace 1G 1G O+4K; leave 513;"
     "replace 1G 1G O+4K; available 0; leaves 3 262144"},

    /* Edges. The outside keeps its memory. */
    {"replace splits the two blocks that stick out",
     "map b 5b D rw; needs 2 replace b+b/2+p 3b+2p O+b/2+p; leaves 2 3"},
    {"replace splits blocks that stick out, and those that do not fit",
     "map b 5b D rw; needs 4 replace b+b/2+p 3b+2p O+b/2+2p; leaves 2 1"},
    {"replace inside a block splits it once",
     "each 5p|6p; map b b D rwxu; needs 1 replace b+5p 3p O+$"},
    {"replace inside a large block keeps 2 MiB blocks that fit",
     "on 4K40; map 1G 1G D rw; needs 3 replace 1G+8M-4K 4M+8K O+8M-4K; leaves 2 510"},
    {"replace inside a large block makes pages where 2 MiB blocks do not fit",
     "on 4K40; map 1G 1G D rw; needs 5 replace 1G+8M-4K 4M+8K O+8M; leaves 2 508"},

    /* Blocks and pages of many kinds side by side. */
    {"replace keeps the attributes of each leaf",
     "each 0|p; map b b D rwxu; map 2b b D+b r; map 3b b D+2b w; map 4b b D+3b -;"
     "map 5b b D+4b rw+u; map 6b b D+5b r+x; map 7b b D+6b rw+nc; map 8b b D+7b rw+nGnRE;"
     "map 9b b D+8b rw+stage1; map 10b b D+9b rw+noaf; map 11b b D+10b rw+soft0;"
     "map 12b b D+11b rw+soft0+soft1; map 13b p D+12b rwxu; map 13b+p p D+12b+p r;"
     "map 13b+2p p D+12b+2p w; map 13b+3p p D+12b+3p -; map 13b+4p p D+12b+4p rw+u;"
     "map 13b+5p p D+12b+5p r+x; map 13b+6p p D+12b+6p rw+nc; map 13b+7p p D+12b+7p rw+nGnRE;"
     "map 13b+8p p D+12b+8p rw+stage1; map 13b+9p p D+12b+9p rw+noaf;"
     "map 13b+10p p D+12b+10p rw+soft0; map 13b+11p p D+12b+11p rw+soft0+soft1;"
     "replace b 12b+12p O+$"},
    {"replace keeps shareability",
     "on sh; map b b D rw; map 2b b D+b rw+outer; map 3b b D+2b rw+nonshareable; replace b 3b O+p"},
    {"replace breaks all before one flush",
     "map b 3b+8p D rw; clear; replace b+p 3b+6p O+7p; broken b 3; broken 4b 7 3;"
     "untouched 4b+7p 1 3; ics 0"},

    /* Refusals: a page, a block, a table is missing first, in the middle, last. */
    {"replace with a hole is refused",
     "map b 8p D rw; map 2b b D rw; missing replace b-p 2p O; missing replace b+7p 2p O;"
     "missing replace b 2b O; missing replace 2b b+p O; missing replace 2b+p 9b O+p;"
     "missing replace 8b p O; unmap b+3p p; missing replace b 8p O; replace b+4p 4p O"},
    {"replace of a bad range, or by bad output, is refused",
     "each b+p/2 p O|b p/2 O|b 0 O|T p O|T-p 2p O|0-p 2p O|b p O+p/2|b p U|b 2p U-p|b 2p 0-p;"
     "map b b D rw; invalid replace $; replace b p U-p"},

    /* Neither way takes a frame. */
    {"replace of runs keeps the hint only where a run forms",
     "on runs; map 4r 2r D rw; leave 0; replace 4r 2r D+8r; hint 4r 2r; replace 4r r D+12r+l;"
     "nohint 4r r; hint 5r r"},
};

SCENE_TEST(replace_does_what_the_scene_says)

static struct rig rig;

#define OTHER (RIG_DATA + GIB(64))

/* The new memory may hold code: no instruction cache has what was there before. */
TEST(replace_invalidates_instruction_caches_before_it_makes)
{
    struct rig_setup setup = rig_setup_of(RIG_4K_40);
    size_t made = SIM_NONE;

    setup.cpu.has_dic = false;
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, MIB(2), KIB(16), RIG_DATA, S2_READ | S2_EXEC});
    sim_clear();
    rig_must(&rig, (struct rig_step){RIG_REPLACE, MIB(2), KIB(16), OTHER, 0});
    for (size_t i = 0; i < sim_event_total() && made == SIM_NONE; i++) {
        if (sim_events()[i].slot != NULL && (sim_events()[i].new & 1) != 0) {
            made = i;
        }
    }
    ck_assert_uint_eq(sim_event_count(SIM_IC_IALLUIS), 1);
    ck_assert_uint_lt(sim_find(SIM_IC_IALLUIS, 0), made);
    rig_fini(&rig);
}

/* Every frame of the tables' pool, the root's, tables' and free ones, and a stretch that reaches
 * into it. A frame that was handed out as data is the caller's to show. */
TEST_EACH(replace_by_frames_of_the_tables_is_denied, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), ipa = rig_block(shape);
    struct rig_setup setup = rig_setup_of(shape);
    pa_t data;

    setup.frame_count = 20; /* 16 of them the root's, at most */
    rig_init(&rig, setup);
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, 4 * page, RIG_DATA, RIG_RW});
    for (uint64_t pa = shape->frames; pa < shape->frames + 20 * page; pa += page) {
        rig_refused(&rig, (struct rig_step){RIG_REPLACE, ipa, page, pa, 0}, MAPPING_DENIED);
    }
    rig_refused(&rig, (struct rig_step){RIG_REPLACE, ipa, 2 * page, shape->frames - page, 0},
                MAPPING_DENIED);
    ck_assert_int_eq(frame_pool_alloc(&rig.pool, 0, &data), MAPPING_OK);
    rig_must(&rig, (struct rig_step){RIG_REPLACE, ipa, page, data.raw, 0});
    rig_assert_leaf(&rig, &rig.table, ipa, data.raw, 3, RIG_RW);
    ck_assert_int_eq(frame_pool_free(&rig.pool, data, 0), MAPPING_OK);
    rig_fini(&rig);
}
