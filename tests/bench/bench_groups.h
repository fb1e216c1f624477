/*
 * bench_groups.h - all that is measured, by what it is about.
 */
#ifndef TRESTLE_TESTS_BENCH_BENCH_GROUPS_H
#define TRESTLE_TESTS_BENCH_BENCH_GROUPS_H

#include "tests/bench/bench.h"

extern const struct bench_group bench_table_page;  /* one page of 1 GiB of pages */
extern const struct bench_group bench_table_range; /* 1 GiB of pages at once */
extern const struct bench_group bench_table_large; /* 64 GiB of pages */
extern const struct bench_group bench_table_dirty; /* pages that hardware marks dirty */
extern const struct bench_group bench_table_block; /* blocks of 1 GiB */
extern const struct bench_group bench_pool;
extern const struct bench_group bench_access; /* a guest's memory, read by the host */

/* Spaces and sets, by their number of areas. */
extern const struct bench_group bench_space_1e3;
extern const struct bench_group bench_space_1e5; /* a fold only */
extern const struct bench_group bench_space_1e6;
extern const struct bench_group bench_set_1e2;
extern const struct bench_group bench_set_1e3;
extern const struct bench_group bench_set_1e4;
extern const struct bench_group bench_set_1e5;
extern const struct bench_group bench_set_1e6;

#endif
