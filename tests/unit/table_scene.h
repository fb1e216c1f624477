/*
 * table_scene.h - a test as a line of text: what is done to a table, step by step. What must then
 * be mapped is worked out beside it, and compared with what the software MMU finds: at the end, and
 * wherever the text says "is". In the end the table must be sound, and every frame come back.
 *
 *      {"unmap of holes touches nothing", "map 8p p D rw; nothing unmap 7p p"},
 *
 * where         on WHERE, at the very beginning; else on every shape, with blocks of level 2. 4K:
 *               1 GiB blocks, a root at level 1 and one at level 0; 4K40, 4K48, lpa2, lpa: one
 *               shape; 52: of 52 bits; sh: whose leaves have a shareability; joined: with joined
 *               roots; levels: with blocks of each level that has them; large: of those above
 *               level 2; top52: of the highest; runs: every form of runs, with the hint on;
 *               blockruns: of blocks; subruns: of a level below one of blocks
 * how often     each A:X|B:Y, next: once with $ for A and % for X, once with B and Y
 * machine       with OPTION, next: dirty, af (hardware update), hints, nohints, noxnx, nofwb,
 *               smallframes (of 4K), manyframes (for 1 GiB of pages)
 * verbs         map IPA SIZE PA FLAGS, unmap IPA SIZE, protect IPA SIZE FLAGS, replace IPA SIZE PA,
 *               fold IPA SIZE [FLAGS]
 * before one    needs N: it takes exactly so many frames, and with any fewer nothing changes;
 *               nothing: it succeeds, and nothing changes or is written; invalid, exists, missing,
 *               denied, unsupported, noframe: it answers that, and nothing changes;
 *               race IPA BITS: the hardware sets BITS in the leaf just before that is broken
 * steps         leave N frames available; clear the log; remember, same: every byte is as it was
 *               remembered; mark IPA BITS: the hardware sets them in the leaf;
 *               seen IPA SIZE FLAGS: what is mapped there reads so from now on
 * what is       is; leaf IPA PA LEVEL FLAGS; hole IPA; desc IPA VALUE [LEVEL]; leaves LEVEL N: so
 *               many in all; below N: of each level under L; tables N: beside the root;
 *               available N; writes N, swaps N, ics N: of these in the log; hint IPA SIZE, nohint
 *               IPA SIZE: all that is mapped there; broken IPA N [LEVEL], untouched IPA N [LEVEL]:
 *               entries, in the log
 * numbers       sums of units: p page, b block (of level L), s an entry of the level below, B of
 *               the level above, w of level 1, d levels below the root, c where two tables of the
 *               root meet, h where the output's high bits begin, T, U the input and output size, D,
 *               O guest memory, alike aligned, @ the step's IPA; r run, l leaf, n leaves of a run;
 *               K, M, G; "b/2+3p", "U-p"
 * flags         the words of s2_table_dump(), joined by +: "rw+nc+soft0", "-"; pages, level1,
 *               level2, nohint
 */
#ifndef TRESTLE_TESTS_UNIT_TABLE_SCENE_H
#define TRESTLE_TESTS_UNIT_TABLE_SCENE_H

#include "tests/unit/test.h"

struct scene {
    const char *name;
    const char *text;
};

void scene_play(const struct scene *scene);

/* A loop test that plays scenes[_i] of the file it stands in. */
#define SCENE_TEST(name)                                \
    TEST_EACH(name, sizeof(scenes) / sizeof(scenes[0])) \
    {                                                   \
        scene_play(&scenes[_i]);                        \
    }

#endif
