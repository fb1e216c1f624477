/*
 * bench_main.c - all that is measured on this machine, in nanoseconds.
 *
 *      bench [--quick] [--only PREFIX] JSON
 *
 * Exit code 1: a bound that is enforced is not met, or a case did not do its work.
 */
#include "tests/bench/bench.h"
#include "tests/bench/bench_bounds.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/bench_report.h"
#include "tests/bench/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS_MAX 128

static const struct bench_group *const GROUPS[] = {
    &bench_table_page,  &bench_table_range, &bench_table_large, &bench_table_dirty,
    &bench_table_block, &bench_space_1e3,   &bench_space_1e5,   &bench_space_1e6,
    &bench_set_1e2,     &bench_set_1e3,     &bench_set_1e4,     &bench_set_1e6,
    &bench_pool,        &bench_access,
};

#define GROUP_COUNT (sizeof(GROUPS) / sizeof(GROUPS[0]))

static const struct bench_effort THOROUGH = {.rounds = 21, .passes = 3};
static const struct bench_effort QUICK = {.rounds = 5, .passes = 2};

static struct bench_result results[RESULTS_MAX];
static size_t result_count;

struct options {
    const struct bench_effort *effort;
    const char *prefix;
    const char *json;
};

static void keep(const struct bench_result *result)
{
    bench_must(result_count < RESULTS_MAX, "more results than there is room for");
    results[result_count] = *result;
    result_count++;
    bench_report_line(result);
}

static bool read_options(int argc, char **argv, struct options *options)
{
    int i = 1;

    *options = (struct options){.effort = &THOROUGH, .prefix = ""};
    while (i < argc && strncmp(argv[i], "--", 2) == 0) {
        if (strcmp(argv[i], "--quick") == 0) {
            options->effort = &QUICK;
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            i++;
            options->prefix = argv[i];
        } else {
            return false;
        }
        i++;
    }
    options->json = argv[i];
    return i + 1 == argc;
}

static void say_what_is_missing(void)
{
    const char *const missing[] = {
        peer_tree.is_there ? NULL : "libbsd (tree.h)",
        peer_gtree.is_there ? NULL : "GLib (GTree)",
        peer_ck.is_there ? NULL : "Concurrency Kit (ck_stack)",
    };

    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        if (missing[i] != NULL) {
            printf("%s was not there when this was built: \"-\"\n", missing[i]);
        }
    }
}

int main(int argc, char **argv)
{
    struct options options;
    bool hold;
    int cpu;

    if (!read_options(argc, argv, &options)) {
        fprintf(stderr, "usage: bench [--quick] [--only PREFIX] JSON\n");
        return EXIT_FAILURE;
    }
    cpu = bench_pin();
    printf(cpu < 0 ? "On no CPU of its own.\n" : "On CPU %d. ", cpu);
    say_what_is_missing();
    bench_report_head();
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        bench_run(GROUPS[i], options.prefix, options.effort, keep);
    }
    hold = bench_bounds_hold(results, result_count);
    if (!bench_report_json(options.json, results, result_count)) {
        fprintf(stderr, "bench: cannot write %s\n", options.json);
        return EXIT_FAILURE;
    }
    if (!hold && options.effort == &QUICK) {
        printf("Too few rounds to fail by them.\n");
        hold = true;
    }
    return hold ? EXIT_SUCCESS : EXIT_FAILURE;
}
