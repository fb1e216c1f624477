/*
 * samples.h - a space with one of everything, for the oracle: no guest ever runs in it.
 */
#ifndef TRESTLE_HYP_SAMPLES_H
#define TRESTLE_HYP_SAMPLES_H

#include "stage2/space.h"

#include <stdbool.h>
#include <stddef.h>

#define SAMPLES_NODES 192
#define SAMPLES_RANGES 40

struct samples {
    struct s2_space *space;
    const struct s2_geometry *geometry;
    struct ipa_range free;                   /* input that nothing was put into yet, from below */
    unsigned count;                          /* samples so far: each has other top bits of its PA */
    struct ipa_range ranges[SAMPLES_RANGES]; /* where they lie in the input, to aim at */
    size_t range_count;
};

/**
 * samples_map() - Fill an empty space: each memory type with each permission as pages and as
 * blocks, shareabilities, AF and DBM, PAs that are misaligned for blocks or runs, runs whole and
 * broken, caps, a leaf of each larger size with cuts in it, the input's first and last page. What
 * is larger than the input has room for is left out.
 * Returns:  whether every step was answered as it should be.
 */
bool samples_map(struct samples *samples, struct s2_space *space);

#endif
