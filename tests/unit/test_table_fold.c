/*
 * test_table_fold.c - s2_table_fold(): uniform tables back into blocks, everything else untouched.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/table_scene.h"
#include "tests/unit/test.h"

#define SUITE "table_fold"

static const struct scene scenes[] = {
    /* A split, its way back, and a fold: byte for byte what it was. */
    {"fold after an unmap and a map is the identity",
     "on levels; each 0 p:1|b-p p:1|b/2+p 3p:1|b-p 2p:0; map 3b 2b 5b rw+u+soft0; remember;"
     "unmap 3b+$; map 3b+$ @+2b rw+u+soft0; leaves L %; fold 3b 2b; same; leaves L 2"},
    {"fold after two protects is the identity",
     "on levels; each 5p p:1|b-p 2p:0; map 3b 2b 5b rw+u+soft0; remember; protect 3b+$ r+nc+soft1;"
     "protect 3b+$ rw+u+soft0; leaves L %; fold 3b 2b; same; leaves L 2"},

    /* What folds. */
    {"fold of pages makes a block, and frees the table",
     "map b b D rwxu; tables d-1; map 2b 2b D+b rwxu+pages; tables d+1; fold 2b 2b; tables d-1;"
     "leaves 2 3"},
    {"fold of 1 GiB of pages makes one block, in one call over the whole input size",
     "on 4K; with manyframes; map 1G 1G 64G rw+pages; leaves 3 262144; fold 0 T; leaf 1G 64G 1 rw"},
    {"fold of 512 GiB makes a leaf with LPA2",
     "on lpa2; map 1024G 512G 2048G rw+level1; leaves 1 512; fold 1024G 512G;"
     "leaf 1024G 2048G 0 rw"},
    {"fold of 512 GiB makes no leaf without LPA2",
     "on 4K48; map 1024G 512G 2048G rw+level1; leaves 1 512; nothing fold 1024G 512G"},
    {"fold takes no frame, and gives its own back",
     "map b b D rw+pages; leave 0; fold b b; available 1; leaf b D 2 rw"},
    {"fold takes only the tables that are uniform",
     "map b 3b D rw+pages; protect b+p p r; protect 4b-p p r; fold 0 8b; leaves 2 1;"
     "leaves 3 2b/p"},
    {"fold across concatenated roots is done",
     "on joined; map c-b 2b D rw+pages; fold c-b 2b; leaves 2 2"},
    /* AF is 0x400, S2AP[1] is 0x80: the block has what any page had. */
    {"fold merges AF that the hardware set",
     "each 0|7p|b-p; with af; map b b D rw+noaf+pages; mark b+$ 0x400; seen b b rw; fold b b;"
     "leaf b D 2 rw"},
    {"fold merges AF beside dirty state that nobody set",
     "each 0|7p|b-p; with dirty; map b b D r+dbm+noaf+pages; mark b+$ 0x400; seen b b r+dbm;"
     "fold b b; leaf b D 2 r+dbm"},
    {"fold merges AF and dirty state that the hardware set",
     "each 0|7p|b-p; with dirty; map b b D r+dbm+noaf+pages; mark b+$ 0x480; seen b b rw+dbm;"
     "fold b b; leaf b D 2 rw+dbm"},
    {"fold merges dirty state that the hardware set",
     "each 0|7p|b-p; with dirty; map b b D r+dbm+pages; mark b+$ 0x80; seen b b rw+dbm;"
     "fold b b; leaf b D 2 rw+dbm"},
    {"fold of what the hardware has not touched leaves it clean",
     "with dirty; map b b D r+dbm+noaf+pages; fold b b; leaf b D 2 r+dbm+noaf"},

    /* What does not. */
    {"fold of a table that sticks out does nothing",
     "each b b-p|b+p b|0 b|2b b; map b b D rw+pages; nothing fold $"},
    {"fold of nothing or of blocks does nothing",
     "nothing fold 0 T; map b 2b D rw; nothing fold 0 T"},
    {"fold with a hole or a jump, first, in the middle or last, does nothing",
     "each 0|b/2|b-p; map b b D rw+pages; unmap b+$ p; nothing fold b b; map b+$ p D+2b rw;"
     "nothing fold b b; unmap b+$ p; map b+$ p D+$ rw; fold b b; leaf b D 2 rw"},
    /* Nobody updates AF here, so it counts. */
    {"fold with one attribute of one page apart does nothing",
     "each 0:r|p:rw+u|2p:rw+x|3p:rw+nc|4p:rw+noaf|5p:rw+soft0|6p:rw+soft1; map b b D rw+pages;"
     "protect b+$ p %; nothing fold b b; protect b+$ p rw; fold b b; leaf b D 2 rw"},
    {"fold of misaligned output does nothing", "map b b D+p rw; nothing fold b b"},
    {"fold keeps a permission apart, which is no dirty state where DBM is 0",
     "with dirty; map b b D rw+pages; protect b+p p r; nothing fold b b; protect b p r;"
     "nothing fold b b"},
    {"fold of a bad range is refused",
     "each p/2 p|p p/2|p 0|T p|T-p 2p|0-p p|p 0-p|p T; map 0 b D rw+pages; invalid fold $"},
};

SCENE_TEST(fold_does_what_the_scene_says)
