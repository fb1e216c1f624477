/*
 * at_habits.h - what this CPU's AT instructions do where CPUs are known to differ.
 *
 *      leaf                       Arm                        seen beside it
 *      AF = 0, hardware sets AF   succeeds; AF may be set    -
 *      writable, clean (DBM)      AT..W succeeds and writes  sets dirty state; or is denied, though
 *                                 no dirty state             a store succeeds
 *
 * An emulator that differs is no reason for an oracle to fail, nor to believe it: an access tells
 * (hyp/vm/bare.h). Found out by trying, once, and never by a name or a version.
 *
 * Source: Arm ARM DDI 0487, "Address translation instructions", and "Hardware management of the
 * Access flag and dirty state".
 */
#ifndef TRESTLE_HYP_STORY_AT_HABITS_H
#define TRESTLE_HYP_STORY_AT_HABITS_H

#include <stdbool.h>

struct at_habits {
    bool denies_clean;  /* AT S12E1W on a writable, clean leaf: a permission fault */
    bool dirties_clean; /* or it makes the leaf dirty */
};

extern struct at_habits at_habits;

/* Tries them on tables of its own, and says by one check what they do: it fails for what no CPU is
 * known to do. Once, before oracles are asked. */
void at_habits_probe(void);

#endif
