/*
 * samples.h - a space with one of everything, for the oracle. No guest runs in it but the one that
 * does single accesses (hyp/vm/bare.h), to the few pages that have memory behind them.
 */
#ifndef TRESTLE_HYP_STORY_SAMPLES_H
#define TRESTLE_HYP_STORY_SAMPLES_H

#include "stage2/trestle.h"

#include <stdbool.h>
#include <stddef.h>

#define SAMPLES_NODES 200
#define SAMPLES_RANGES 41

struct samples {
    struct s2_space *space;
    const struct s2_geometry *geometry;
    struct ipa_range free;                   /* input that nothing was put into yet, from below */
    unsigned count;                          /* samples so far: each has other top bits of its PA */
    struct ipa_range ranges[SAMPLES_RANGES]; /* where they lie in the input, to aim at */
    size_t range_count;
    pa_t memory; /* behind .ram, of machine.guests */
    unsigned memory_order;
    ipa_t program;        /* what does a guest's accesses; the first page of .ram */
    struct ipa_range ram; /* one page for each way in which a store may go */
};

/**
 * samples_map() - Fill an empty space: each memory type with each permission as pages and as
 * blocks, shareabilities, AF and DBM, PAs that are misaligned for blocks or runs, runs whole and
 * broken, caps, a leaf of each larger size with splits in it, the input's first and last page. What
 * is larger than the input has room for is left out.
 * Returns:  whether every step was answered as it should be.
 * Owns:     the memory behind .ram, until samples_release().
 */
bool samples_map(struct samples *samples, struct s2_space *space);

/* Make again what .ram was at first: clean and old, where a store has changed that. */
bool samples_rearm(struct samples *samples);

/* Gives the memory back; after the space has ended. */
void samples_release(struct samples *samples);

#endif
