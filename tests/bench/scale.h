/*
 * scale.h - large machines: one terabyte, a thousand guests, a million areas.
 *
 * A scene is made twice, small and large, and each of its steps is timed as a whole. What a step
 * takes for each of its n things should not depend on n.
 */
#ifndef TRESTLE_TESTS_BENCH_SCALE_H
#define TRESTLE_TESTS_BENCH_SCALE_H

#include <stddef.h>
#include <stdint.h>

#define SCALE_STEPS 4

/* What a scene came to. */
struct scale_figures {
    uint64_t ns[SCALE_STEPS]; /* of each step, for all things */
    uint64_t frames;          /* of 4 KiB, of tables, when all is there */
    uint64_t node_bytes;      /* storage of areas */
};

struct scale_scene {
    const char *name;
    const char *things; /* what n counts */
    uint64_t small;
    uint64_t large;
    const char *steps[SCALE_STEPS]; /* NULL: fewer */
    /* Makes it, times its steps, looks at what they did and takes it apart. */
    void (*run)(uint64_t n, struct scale_figures *figures);
};

extern const struct scale_scene scale_blocks; /* 1 TiB in blocks of 2 MiB */
extern const struct scale_scene scale_pages;  /* 64 GiB in pages */
extern const struct scale_scene scale_guests; /* 1,000 guests on one pool */
extern const struct scale_scene scale_areas;  /* 1,000,000 areas in one space */

#endif
