/*
 * random.h - numbers that look random and come again with the same seed.
 */
#ifndef TRESTLE_TESTS_MODEL_RANDOM_H
#define TRESTLE_TESTS_MODEL_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

/* A counter through an avalanche of two odd multiplications: every bit of the state reaches every
 * bit of the answer, and the period is 2^64. */
static inline uint64_t random_next(struct random *random)
{
    uint64_t word = random->state += UINT64_C(0x9e3779b97f4a7c15);

    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

/* 0..@bound - 1. @bound: not 0. */
static inline uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

/* True once in @times on average. */
static inline bool random_once_in(struct random *random, uint64_t times)
{
    return random_below(random, times) == 0;
}

#endif
