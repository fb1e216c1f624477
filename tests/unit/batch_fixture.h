/*
 * batch_fixture.h - a crew: several guests on one pool, all judged; the first is current.
 */
#ifndef TRESTLE_TESTS_UNIT_BATCH_FIXTURE_H
#define TRESTLE_TESTS_UNIT_BATCH_FIXTURE_H

#include "tests/unit/space_fixture.h"

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CREW_MAX 10
#define CREW_NODES 24
#define CREW_PA(who) (RIG_DATA + (uint64_t)(who)*GIB(8)) /* memory for that guest */

struct crew {
    struct rig rig;
    struct memory_node nodes[CREW_MAX][CREW_NODES];
    struct s2_space spaces[CREW_MAX];
    size_t count;
};

/* @count guests; the pool has room for all, if the setup has no more than the usual. The log is
 * empty. fini fails the test unless every frame comes back. */
void crew_init(struct crew *crew, struct rig_setup setup, size_t count);
void crew_fini(struct crew *crew);

/* Without a batch, or fail the test. */
void crew_map(struct crew *crew, size_t who, uint64_t ipa, uint64_t size, uint64_t pa);

/* How many flushes the log has for that guest. */
size_t crew_flushes(const struct crew *crew, size_t who);

/* Frames that were back before a DSB ISH closed the first flush of a guest. */
struct frame_watch {
    const struct frame_pool *pool;
    size_t available; /* before */
    pa_t table;       /* a frame that will be freed */
    uint64_t vttbr;   /* the guest's */
    size_t flushes;   /* TLBI VMALLE1IS or VMALLS12E1IS of it that a DSB ISH has followed */
    bool is_pending;  /* one that none has */
    size_t early;     /* events at which a frame was back too soon */
};

/* Watch the pool, and the table of pages that @ipa of @who is translated by: of the guest that is
 * flushed for first. */
void crew_watch(struct crew *crew, struct frame_watch *watch, size_t who, uint64_t ipa);
void crew_unwatch(struct frame_watch *watch);

/* The part of the suite that has a file of its own. */
void batch_add_random_cases(Suite *suite);

#endif
