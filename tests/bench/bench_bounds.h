/*
 * bench_bounds.h - what the figures of one run must show, whatever the machine: ratios.
 */
#ifndef TRESTLE_TESTS_BENCH_BENCH_BOUNDS_H
#define TRESTLE_TESTS_BENCH_BENCH_BOUNDS_H

#include "tests/bench/bench.h"

#include <stdbool.h>
#include <stddef.h>

/* Prints each bound whose figures are among @results, and how it stands. Returns whether all those
 * that are enforced are met; those that are not are named on stderr, too. */
bool bench_bounds_hold(const struct bench_result results[], size_t count);

#endif
