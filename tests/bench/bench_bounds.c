#include "tests/bench/bench_bounds.h"

#include <stdio.h>
#include <string.h>

/* What a figure is compared with, in the same run. */
enum against {
    FLOOR, /* its own floor */
    PEER,  /* the peer of that name */
    FEW,   /* itself with 1,000 areas */
};

/* The knob. All are measured and reported; NOT_YET is what the library does not reach yet, and
 * turns into ENFORCED as soon as it does. */
enum standing { ENFORCED, NOT_YET };

#define FEW_AREAS 1000
#define MANY_AREAS 1000000
#define NOISE 1.05 /* two figures that differ by less are equal */

struct bound {
    const char *name;
    uint64_t n; /* 0: whatever it was measured with */
    enum against against;
    const char *peer;
    double most; /* times that */
    enum standing standing;
};

static const struct bound BOUNDS[] = {
    {"table.map_1g", 0, FLOOR, NULL, 1.3, ENFORCED},
    {"table.map_64g", 0, FLOOR, NULL, 1.1, ENFORCED},
    {"table.protect_1g", 0, FLOOR, NULL, 1.1, ENFORCED},
    {"space.read_1m_blocks", 0, FLOOR, NULL, 1.05, ENFORCED},
    {"space.read_1m_pages", 0, FLOOR, NULL, 1.05, ENFORCED},

    /* With a million areas the two are equal within what the machine allows. */
    {"set.find", 100, PEER, "tree.h", NOISE, ENFORCED},
    {"set.find", 10000, PEER, "tree.h", NOISE, ENFORCED},
    {"set.find", 1000000, PEER, "tree.h", NOISE, ENFORCED},

    /* Anywhere: nodes of 1,000 areas stay in the caches, most of a million come from memory, and so
     * tree.h grows thirty times. In instructions make bench-instr holds all of these at three. */
    {"set.find", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"set.overlaps", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"set.find_free", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"set.map", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"set.unmap", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"set.protect", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"set.merge", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"space.map_page", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"space.unmap_page", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"space.protect_page", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"space.lookup", MANY_AREAS, FEW, NULL, 3, NOT_YET},
    {"space.fold_page", MANY_AREAS, FEW, NULL, 3, NOT_YET},

    /* Near each other: twice the levels, and no more. */
    {"set.find_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"set.overlaps_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"set.find_free_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"set.map_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"set.unmap_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"set.protect_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"set.merge_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"space.map_page_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"space.unmap_page_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"space.protect_page_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
    {"space.lookup_near", MANY_AREAS, FEW, NULL, 3, ENFORCED},
};

#define BOUND_COUNT (sizeof(BOUNDS) / sizeof(BOUNDS[0]))

static const struct bench_result *find(const struct bench_result results[], size_t count,
                                       const char *name, uint64_t n)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(results[i].name, name) == 0 && (n == 0 || results[i].n == n)) {
            return &results[i];
        }
    }
    return NULL;
}

static double peer_of(const struct bench_result *result, const char *peer)
{
    for (size_t i = 0; i < BENCH_PEERS; i++) {
        if (result->peers[i] != NULL && strcmp(result->peers[i], peer) == 0) {
            return result->peer_ns[i];
        }
    }
    return BENCH_NONE;
}

/* What @result is measured against; BENCH_NONE: it was not measured. */
static double measure_of(const struct bound *bound, const struct bench_result *result,
                         const struct bench_result results[], size_t count)
{
    const struct bench_result *few = find(results, count, bound->name, FEW_AREAS);

    switch (bound->against) {
    case FLOOR:
        return result->floor_ns;
    case PEER:
        return peer_of(result, bound->peer);
    case FEW:
        break;
    }
    return few == NULL ? BENCH_NONE : few->ns;
}

static const char *words_of(const struct bound *bound)
{
    switch (bound->against) {
    case FLOOR:
        return "its floor";
    case PEER:
        return bound->peer;
    case FEW:
        break;
    }
    return "1,000 areas";
}

/* Whether the bound may be as it is: met, or not enforced. @than: what the figure is measured
 * against. */
static bool judge(const struct bound *bound, const struct bench_result *result, double than)
{
    const double ratio = result->ns / than;
    const bool is_met = ratio <= bound->most;
    const bool is_fine = is_met || bound->standing == NOT_YET;

    printf("%-26s %9llu  %6.2f times %-12s at most %.2f: %s\n", bound->name,
           (unsigned long long)result->n, ratio, words_of(bound), bound->most,
           is_met ? "met" : (is_fine ? "NOT MET YET, not enforced" : "NOT MET"));
    if (!is_fine) {
        fprintf(stderr, "bench: %s, n = %llu: %.2f times %s, at most %.2f\n", bound->name,
                (unsigned long long)result->n, ratio, words_of(bound), bound->most);
    }
    return is_fine;
}

bool bench_bounds_hold(const struct bench_result results[], size_t count)
{
    bool all = true;

    printf("\nBounds, of this run's figures\n\n");
    for (size_t i = 0; i < BOUND_COUNT; i++) {
        const struct bench_result *result = find(results, count, BOUNDS[i].name, BOUNDS[i].n);
        double than;

        if (result == NULL) {
            continue;
        }
        than = measure_of(&BOUNDS[i], result, results, count);
        if (bench_is_there(than)) {
            all = judge(&BOUNDS[i], result, than) && all;
        } else {
            printf("%-26s %9llu  %s was not measured\n", BOUNDS[i].name,
                   (unsigned long long)result->n, words_of(&BOUNDS[i]));
        }
    }
    return all;
}
