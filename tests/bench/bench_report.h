/*
 * bench_report.h - figures for people, and for programs.
 */
#ifndef TRESTLE_TESTS_BENCH_BENCH_REPORT_H
#define TRESTLE_TESTS_BENCH_BENCH_REPORT_H

#include "tests/bench/bench.h"

#include <stdbool.h>
#include <stddef.h>

/* A table on stdout: its head, and a line for each peer of a result, one at least. */
void bench_report_head(void);
void bench_report_line(const struct bench_result *result);

/**
 * bench_report_json() - Write @results to @path: a list of
 *      {"name", "n", "ns", "floor_ns", "ratio", "peer", "peer_ns"}
 *
 * n: pages or areas that a call is about; ns: of one call; ratio: ns / floor_ns; null where there
 * is none. A result with two peers is two such lines, equal but for the peer.
 * Returns:  false: @path cannot be written.
 */
bool bench_report_json(const char *path, const struct bench_result results[], size_t count);

#endif
