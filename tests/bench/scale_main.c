/*
 * scale_main.c - how the library grows: one markdown table, and the verbs of sets as JSON for a
 * plot.
 *
 *      scale JSON
 *
 * Growth is what one thing takes in the large scene, against the small one; of a verb, against a
 * set of a tenth of the areas.
 */
#include "tests/bench/bench.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/bench_report.h"
#include "tests/bench/scale.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPEATS 3
#define RESULTS_MAX 64

static const struct scale_scene *const SCENES[] = {&scale_blocks, &scale_pages, &scale_guests,
                                                   &scale_areas};

/* Each ten times the one before. */
static const struct bench_group *const SETS[] = {&bench_set_1e2, &bench_set_1e3, &bench_set_1e4,
                                                 &bench_set_1e5, &bench_set_1e6};

static const struct bench_effort EFFORT = {.rounds = 7, .passes = 2};

static struct bench_result results[RESULTS_MAX];
static size_t result_count;

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* --- Scenes ---------------------------------------------------------------------------------- */

/* The least that each step took: noise only adds. */
static void run_scene(const struct scale_scene *scene, uint64_t n, struct scale_figures *best)
{
    scene->run(n, best);
    for (unsigned i = 1; i < REPEATS; i++) {
        struct scale_figures figures = {0};

        scene->run(n, &figures);
        for (unsigned step = 0; step < SCALE_STEPS; step++) {
            best->ns[step] = figures.ns[step] < best->ns[step] ? figures.ns[step] : best->ns[step];
        }
    }
}

static void print_scene(const struct scale_scene *scene)
{
    struct scale_figures small = {0}, large = {0};

    run_scene(scene, scene->small, &small);
    run_scene(scene, scene->large, &large);
    for (unsigned step = 0; step < SCALE_STEPS && scene->steps[step] != NULL; step++) {
        const double each = (double)large.ns[step] / (double)scene->large;
        const double before = (double)small.ns[step] / (double)scene->small;

        printf("| %s: %s | %" PRIu64 " %s | %.3f ms | %.2f ns | %.2f of %" PRIu64 " | %" PRIu64
               " | %" PRIu64 " |\n",
               scene->name, scene->steps[step], scene->large, scene->things,
               (double)large.ns[step] / 1e6, each, each / before, scene->small, large.frames,
               large.node_bytes);
    }
    fflush(stdout);
}

/* --- Verbs of sets --------------------------------------------------------------------------- */

static const struct bench_result *find(const char *name, uint64_t n)
{
    for (size_t i = 0; i < result_count; i++) {
        if (strcmp(results[i].name, name) == 0 && results[i].n == n) {
            return &results[i];
        }
    }
    return NULL;
}

static void print_verb(const struct bench_result *result)
{
    const struct bench_result *tenth = find(result->name, result->n / 10);

    bench_must(result_count < RESULTS_MAX, "more results than there is room for");
    results[result_count] = *result;
    result_count++;
    printf("| %s | %" PRIu64 " areas | - | %.2f ns | ", result->name, result->n, result->ns);
    if (tenth == NULL) {
        printf("- | - | - |\n");
    } else {
        printf("%.2f of %" PRIu64 " | - | - |\n", result->ns / tenth->ns, tenth->n);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: scale JSON\n");
        return EXIT_FAILURE;
    }
    (void)bench_pin();
    printf("| what | n | all | one | growth | frames of tables | bytes of nodes |\n");
    printf("|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < COUNT_OF(SCENES); i++) {
        print_scene(SCENES[i]);
    }
    for (size_t i = 0; i < COUNT_OF(SETS); i++) {
        bench_run(SETS[i], "", &EFFORT, print_verb);
    }
    if (!bench_report_json(argv[1], results, result_count)) {
        fprintf(stderr, "bench: cannot write %s\n", argv[1]);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
