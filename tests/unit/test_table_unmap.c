/*
 * test_table_unmap.c - s2_table_unmap(): exact splits, frames that come back, subtrees unlinked
 * whole.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/table_scene.h"
#include "tests/unit/test.h"

#define SUITE "table_unmap"

static const struct scene scenes[] = {
    /* Whole leaves. */
    {"unmap of what was mapped leaves nothing", "map b-p 3b D-p rwxu; unmap b-p 3b; is; tables 0"},
    {"unmap of holes is fine and touches nothing", "nothing unmap 0 T; nothing unmap p p; map 8p p "
                                                   "D rw; nothing unmap 7p p; nothing unmap 9p 5p"},
    {"unmap of a range wider than its mappings removes them all",
     "map 4p p D rw; map 6p 3p D+b r; map 2b 2b D rwxu; map 5b+p p D rw; map 9b b D rw;"
     "unmap 0 9b; is; unmap 0 T; tables 0"},
    {"unmap of the last page of a table frees it, and its parents likewise",
     "map 0 2p D rw; map b+p p D rw; tables d+1; unmap 0 p; tables d+1; unmap p p; tables d; is;"
     "unmap b+p p; tables 0"},
    {"unmap across concatenated roots is seamless",
     "on joined; map c-2b 4b D rw; unmap c-p 2p; is; unmap c-2b 4b"},
    {"unmap at the top of the input is done", "map T-b b D rw; unmap T-p p; is; unmap T-b b"},
    {"unmap of a whole subtree stores once",
     "map 0 p D rw; map w+p 2b D rw; map w+8b 2b D rw; map 2w-p p D rw; tables d+5; clear;"
     "unmap w w; writes 1; tables d"},

    /* Splits: all else stays, with every attribute, in leaves as large as can be. Where one page is
     * missing, one entry of each level is no leaf. */
    {"unmap in the middle of a block splits exactly",
     "on levels; each r+u+nc+soft1|w+nGnRE+noaf+soft0|rwxu+stage1+soft0+soft1|-;"
     "map 3b b 5b $; leaves L 1; unmap 3b+b/2+3p p; below p/8-1; is;"
     "unmap 3b b; map 3b b 5b $; leaves L 1; unmap 3b+b/2-p 2p"},
    {"unmap of either end of a block keeps the rest",
     "on levels; each 0 p|b-p p; map 3b b 5b rw+soft0; leaves L 1; unmap 3b+$; below p/8-1"},
    {"unmap of all but an end of a block keeps that",
     "on levels; each p b-p|0 b-p|p b-2p; map 3b b 5b rw+soft0; leaves L 1; unmap 3b+$"},
    {"unmap of part of a block keeps shareability",
     "on sh; each outer|nonshareable; map 3b b 5b rw+$; unmap 3b+p p; below p/8-1"},
    {"unmap of part of a block keeps what the hardware set, AF and S2AP[1]",
     "with dirty; map b b D r+dbm+noaf; mark b 0x480; seen b b rw+dbm; unmap b+p p"},
    {"unmap from inside a block to inside another splits both",
     "map 2b 2b D r+soft0; map 4b+p 2p D rw; map 5b b D+8b rw+nc; unmap 2b+p 3b+4p"},
    {"unmap of 4 KiB of 1 GiB keeps the rest",
     "on 4K; map 1G 1G 64G rwxu; needs 2 unmap 1G+6M+20K 4K; leaves 2 511; leaves 3 511"},

    /* Frames: a table of each level below for a page, one for an entry of the next level, none
     * where nothing sticks out; at either end of the range. */
    {"split takes exactly the frames it needs",
     "on levels; map 2b 4b 2b rw+soft1; needs 3-L unmap 2b+p p; needs 1 unmap 3b+s s;"
     "needs 0 unmap 5b b"},
    {"split where two entries meet in a block takes the tables of both",
     "on large; map 4b b 4b rw+soft1; needs 5-2L unmap 4b+s-p 2p"},
    {"split at both ends takes the frames of both",
     "on levels; map 2b 4b 2b rw; needs 6-2L unmap 2b+p 3b"},
    {"unmap of a bad range is refused",
     "each p/2 p|p p/2|p+1 p|p 0|0-p p|p 0-p|0-p 2p|T p|T-p 2p|p T;"
     "map 0 b D rw; map T-p p D rw; invalid unmap $"},
};

SCENE_TEST(unmap_does_what_the_scene_says)

/* --- Subtrees -------------------------------------------------------------------------------- */

static struct rig rig;

static void map(uint64_t ipa, uint64_t size, uint64_t pa, mapping_flags_t flags)
{
    rig_must(&rig, (struct rig_step){RIG_MAP, ipa, size, pa, flags});
}

/* The leaves of a table that goes whole. */
struct watched {
    const unsigned char *first;
    uint64_t size;
    size_t touches;
};

static void watch(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct watched *watched = arg;
    const unsigned char *slot = event->slot;

    if (phase == SIM_AFTER && slot != NULL && slot >= watched->first &&
        slot < watched->first + watched->size) {
        watched->touches++;
    }
}

TEST_EACH(unmap_whole_table_never_looks_at_its_leaves, rig_shape_count)
{
    const struct rig_shape *shape = &rig_shapes[_i];
    const uint64_t page = rig_page(shape), block = rig_block(shape);
    struct watched watched = {NULL, page, 0};

    rig_init(&rig, rig_setup_of(shape));
    map(block, block, RIG_DATA + page, RIG_RW);
    map(3 * block, page, RIG_DATA, RIG_RW);
    watched.first = (const unsigned char *)rig_slot(&rig, &rig.table, block);
    sim_set_loads(SIM_LOADS_ON);
    ck_assert(sim_listen(watch, &watched));
    rig_must(&rig, (struct rig_step){.verb = RIG_UNMAP, .ipa = block, .size = block});
    ck_assert_uint_eq(watched.touches, 0);
    ck_assert(sim_unlisten(watch, &watched));
    sim_set_loads(SIM_LOADS_OFF);
    rig_assert_map(&rig, &rig.table, (struct rig_map){3 * block, page, RIG_DATA, RIG_RW});
    rig_fini(&rig);
}
