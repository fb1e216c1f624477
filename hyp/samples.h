/*
 * samples.h - a space with one of everything, for the oracle: no guest ever runs in it.
 */
#ifndef TRESTLE_HYP_SAMPLES_H
#define TRESTLE_HYP_SAMPLES_H

#include "stage2/space.h"

#include <stdbool.h>
#include <stddef.h>

#define SAMPLES_NODES 128
#define SAMPLES_RANGES 8

/* Where in the input the samples lie, to aim at. */
struct samples {
    struct ipa_range ranges[SAMPLES_RANGES];
    size_t range_count;
};

/**
 * samples_map() - Fill an empty space: each memory type with each permission as pages and as
 * blocks, shareabilities, AF and DBM, runs, a gigabyte with cuts in it, the input's first and last
 * page.
 * Returns:  whether every step was answered as it should be.
 */
bool samples_map(struct s2_space *space, struct samples *samples);

#endif
