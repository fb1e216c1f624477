/*
 * test_table_runs_change.c - contiguous runs under every change: broken whole, with one flush, and
 * made again with the hint only where all of the run changes.
 */
#include "tests/unit/table_fixture.h"
#include "tests/unit/table_scene.h"
#include "tests/unit/test.h"

#define SUITE "table_runs_change"

/* Three runs, and every change of them: "$ IPA SIZE %". Members and whole runs need no frame. */
#define EACH_CHANGE                                                                        \
    "each unmap:|protect:r|protect:rw+soft1|protect:rw+noaf|protect:rw+nc|replace:@+D+4r;" \
    "map 4r 3r D rw; hint 4r 3r; clear;"
#define CHANGE_OF_LEAVES "on runs; " EACH_CHANGE "leave 0;"
#define CHANGE_OF_PAGES "on blockruns; " EACH_CHANGE

/* Run 1, from 5r on, is broken and has no hint any more; its neighbours are as they were. */
#define ONLY_RUN_1_BREAKS "broken 5r n; untouched 4r n; untouched 6r n; hint 4r r; hint 6r r;"

static const struct scene scenes[] = {
    {"change of the first member breaks the whole run",
     CHANGE_OF_LEAVES "$ 5r l %;" ONLY_RUN_1_BREAKS "nohint 5r r"},
    {"change of the last member breaks the whole run",
     CHANGE_OF_LEAVES "$ 6r-l l %;" ONLY_RUN_1_BREAKS "nohint 5r r"},
    {"change of some members breaks the whole run, once",
     CHANGE_OF_LEAVES "$ 5r+3l r-5l %;" ONLY_RUN_1_BREAKS "nohint 5r r; swaps n"},
    {"change from run to run keeps the one between",
     CHANGE_OF_LEAVES "$ 5r-2l r+5l %; broken 4r 3n; nohint 4r r; hint 5r r; nohint 6r r"},
    {"change of a whole run keeps the hint",
     CHANGE_OF_LEAVES "$ 5r r %;" ONLY_RUN_1_BREAKS "hint 5r r"},
    {"protect of members with what they have does nothing",
     "on runs; map 4r 3r D rw; nothing protect 4r+l 2l rw+nohint"},
    {"fold after a change and its way back is the identity",
     "on runs; each unmap 5r+2l+p 2l:map 5r+2l+p 2l @+D-4r rw|"
     "protect 5r+2l+p 2l r:protect 5r+2l+p 2l rw|"
     "protect 5r+2l+p 2l rw+soft1:protect 5r+2l+p 2l rw|"
     "protect 5r+2l+p 2l rw+noaf:protect 5r+2l+p 2l rw|"
     "protect 5r+2l+p 2l rw+nc:protect 5r+2l+p 2l rw|"
     "replace 5r+2l+p 2l @+D+4r:replace 5r+2l+p 2l @+D-4r;"
     "map 4r 3r D rw; hint 4r 3r; remember; $; %; nohint 5r l; fold 4r 3r; same"},

    /* A split takes 3-L tables: none of the borders is one of a smaller block. */
    {"split of a member breaks the whole run", CHANGE_OF_PAGES
     "needs 3-L $ 5r+3l+l/2+p p %;" ONLY_RUN_1_BREAKS "nohint 5r 3l; nohint 5r+4l r-4l"},
    {"split of two members breaks their run once", CHANGE_OF_PAGES
     "needs 6-2L $ 5r+2l+p 4l+2p %;" ONLY_RUN_1_BREAKS "swaps n; nohint 5r 2l; nohint 5r+7l r-7l"},
    {"split of two runs breaks both with one flush, and keeps the one between",
     CHANGE_OF_PAGES "needs 6-2L $ 4r+5l+p 2r-3l+2p %; broken 4r n; broken 6r n; nohint 4r 5l;"
                     "hint 5r r; nohint 6r+3l r-3l"},
    {"split of a block leaves runs of the next level, but around the page",
     "on subruns; map 3B B 8B rw; unmap 3B+2r+l l; hint 3B 2r; nohint 3B+2r r; hint 3B+3r B-3r"},
};

SCENE_TEST(runs_change_as_the_scene_says)
