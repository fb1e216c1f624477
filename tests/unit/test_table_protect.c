/*
 * test_table_protect.c - s2_table_protect(): new attributes for exactly the range.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/table_scene.h"
#include "tests/unit/test.h"

#define SUITE "table_protect"

static const struct scene scenes[] = {
    /* What changes. */
    {"protect changes shareability",
     "on sh; map p 2p D rw; protect p p rw+outer; protect 2p p rw+nonshareable"},
    {"protect of a page leaves its neighbours", "map 4p 5p D rw; protect 6p p r"},
    {"protect of holes, pages and blocks passes over the holes and keeps the outside",
     "map p p D rw; map 3p p D+8p rwxu; map 2b b D rw+soft0; map 3b+2p p D nc; map 5b 2b D rw;"
     "protect 2p 6b-2p r+soft1; leaves 2 3"},
    {"protect of the whole input size is done",
     "protect 0 T r; is; map 0 p D rw; map T/2-b 2b D rw; map T-p p D rwxu; protect 0 T r+GRE"},
    {"protect of holes touches nothing",
     "map 8p p D rw; nothing protect 7p p r; nothing protect 9p 64b-9p r"},
    {"protect with equal attributes splits, writes and invalidates nothing",
     "each b+p p|b b+p|b b+2p; map b b+2p D rw+soft1; leave 0; nothing protect $ rw+soft1;"
     "nothing protect $ rw+soft1+pages; leaves 2 1"},
    {"protect ignores a cap", "map b b D rw; needs 0 protect b b r+pages; leaf b D 2 r"},

    /* Splits: the rest stays as it was; inside and outside the largest leaves that fit. */
    {"protect of part of a block splits exactly",
     "on levels; each b/2+p p rw|b/2-p 2p rw+nGnRnE|0 p rwxu+soft1|b-p p -|0 b-p r+nc|"
     "p b-2p rw+noaf|s s rw; map 3b b 5b r+x+nc+soft0; protect 3b+$"},
    /* 512 entries: the first and the fourth are tables, the second and third read-only. */
    {"protect of part of 1 GiB takes the largest leaves",
     "on 4K; map 1G 1G 64G rw; needs 3 protect 1G+2M-4K 4M+8K r; leaves 2 510; leaves 3 1024"},
    {"protect from a block into a block splits both",
     "map 2b 3b D rw; needs 2 protect 3b-p b+2p r; leaves 2 1"},
    {"protect splits only the block that differs",
     "map 2b b D r; map 3b b D+b rw; needs 1 protect 3b-p 2p r; leaf 2b D 2 r; leaf 3b D+b 3 r;"
     "leaf 3b+p D+b+p 3 rw"},

    /* Frames and errors. */
    {"protect takes exactly the frames it needs",
     "on levels; map 2b 6b 2b rw; needs 3-L protect 2b+p p r; needs 1 protect 3b s r;"
     "needs 0 protect 5b b r; needs 6-2L protect 7b-p 2p -"},
    {"protect where two entries meet in a block takes the tables of both",
     "on large; map 4b b 4b rw; needs 5-2L protect 4b+s-p 2p r"},
    {"protect of a bad range is refused", "each p/2 p|p p/2|p 0|p/2 0|T p|T-p 2p|p T|0-p p|p 0-p;"
                                          "map 0 b D rw; map T-p p D rw; invalid protect $ r"},
    {"protect with impossible flags is refused",
     "with noxnx; map 0 b D rw; invalid protect p p unknown; invalid protect p p r+badshareable;"
     "unsupported protect p p r+u; unsupported protect p p r+wt; unsupported protect p p r+dbm;"
     "denied protect p p x+u+GRE"},
};

SCENE_TEST(protect_does_what_the_scene_says)

/* From every one of these to every other: permissions, execution, AF, software bits, types. */
static const mapping_flags_t kinds[] = {RIG_RW,
                                        S2_READ,
                                        0,
                                        RIG_RWX,
                                        S2_READ | S2_EXEC_EL0,
                                        RIG_RW | S2_NO_AF,
                                        RIG_RW | S2_SOFT0 | S2_SOFT1,
                                        RIG_RW | S2_NORMAL_NC,
                                        RIG_RW | S2_DEVICE_nGnRE,
                                        S2_READ | S2_NORMAL_STAGE1 | S2_SOFT1};

#define KINDS ((int)COUNT(kinds))

static struct rig rig;

TEST_EACH(protect_gives_every_leaf_all_the_new_attributes, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape), size = block + 2 * page;

    rig_init(&rig, rig_setup_of(shape));
    rig_must(&rig, (struct rig_step){RIG_MAP, 3 * block, size, RIG_DATA, kinds[0]});
    for (int i = 0; i < KINDS * KINDS; i++) {
        const mapping_flags_t from = kinds[i / KINDS], to = kinds[i % KINDS];

        rig_must(&rig, (struct rig_step){RIG_PROTECT, 3 * block, size, 0, from});
        rig_must(&rig, (struct rig_step){RIG_PROTECT, 3 * block, size, 0, to});
        rig_assert_leaf(&rig, &rig.table, 3 * block, RIG_DATA, 2, to);
        rig_assert_leaf(&rig, &rig.table, 4 * block + page, RIG_DATA + block + page, 3, to);
    }
    rig_assert_map(&rig, &rig.table, (struct rig_map){3 * block, size, RIG_DATA, kinds[KINDS - 1]});
    rig_fini(&rig);
}
