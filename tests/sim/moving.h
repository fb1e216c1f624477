/*
 * moving.h - hardware that moves: other CPUs that walk and write while an operation runs.
 *
 *      begin          operation                                     end
 *        |    event   event   event   event   event   event          |
 *        |  ^       ^       ^       ^       ^       ^       ^        |
 *        |  accesses by other CPUs before each: they set AF and dirty state (VTCR_EL2.HA, HD) where
 *        |  an access may, by one atomic step in a valid descriptor: in the very slot that is about
 *        |  to be written, in others, and through stale table pointers in unlinked tables too
 *        |          walkers after each write: what every watched IPA translates to
 *
 * At the end each watched IPA must have been seen as it was before, as it is now, or broken, and
 * never as before again once it was seen as now; as a hole only if it was or is one. And what was
 * accessed or written before or during the operation must show as accessed or dirty, unless the
 * test says that the operation may forget it.
 */
#ifndef TRESTLE_TESTS_SIM_MOVING_H
#define TRESTLE_TESTS_SIM_MOVING_H

#include "tests/sim/stale_tlb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOVING_WATCHES 128
#define MOVING_RECORDS 256
#define MOVING_FORGETS 8

/* What an IPA reads as. A descriptor that is invalid and not 0 is broken: somebody is at it. */
enum moving_kind { MOVING_HOLE, MOVING_BROKEN, MOVING_MAPPED, MOVING_BAD };

struct moving_view {
    enum moving_kind kind;
    uint64_t pa;
    unsigned memattr, sh, software;
    unsigned rights; /* read, write, execute at EL1, at EL0 */
};

struct moving_watch {
    unsigned guest;
    uint64_t ipa;
    struct moving_view before;
    struct moving_view now;
    struct moving_view middle; /* the first that was neither before nor a fault */
    bool has_middle;           /* seen as middle: must be what it is at the end */
    bool has_hole, has_broken;
    bool has_returned; /* seen as before after it was seen otherwise */
    bool has_third;    /* seen as yet something else */
};

/* What guests did to a page. */
struct moving_record {
    unsigned guest;
    uint64_t ipa;
    bool is_written; /* else accessed only */
};

struct moving_range {
    unsigned guest;
    uint64_t ipa, size;
};

struct moving {
    struct stale_tlb *tlb;
    uint64_t random;
    enum stale_verdict verdict;
    bool is_open; /* between begin and end */
    struct moving_watch watches[MOVING_WATCHES];
    size_t watch_count;
    struct moving_record records[MOVING_RECORDS];
    size_t record_count; /* all that were made; the last MOVING_RECORDS are kept */
    struct moving_range forgets[MOVING_FORGETS];
    size_t forget_count;
    size_t updates;       /* descriptors that hardware wrote */
    size_t stale_updates; /* of these: in unlinked tables */
    size_t walks;
    size_t faults; /* watched IPAs seen broken */
    const char *problem;
    char story[256];
};

/* Move the guests of @tlb, which listens already. @seed: of what happens when; not 0. */
void moving_init(struct moving *moving, struct stale_tlb *tlb, uint64_t seed,
                 enum stale_verdict verdict);
void moving_fini(struct moving *moving);

/* Watch one IPA of a guest of @tlb; more than MOVING_WATCHES: the oldest is watched no more. */
void moving_watch(struct moving *moving, unsigned guest, uint64_t ipa);
void moving_unwatch_all(struct moving *moving);

/* The next operation may forget what was accessed and written in this range, as it unmaps it or
 * says anew what it is. */
void moving_may_forget(struct moving *moving, unsigned guest, uint64_t ipa, uint64_t size);

/* Around an operation. Outside nothing moves. end: NULL, or what went wrong. */
void moving_begin(struct moving *moving);
const char *moving_end(struct moving *moving);

const char *moving_story(const struct moving *moving);

/* A guest of @tlb accesses its memory now, as hardware does it: whether it may. */
bool moving_access(struct moving *moving, unsigned guest, uint64_t ipa, enum mmu_access access);

/* The records that are kept. */
size_t moving_record_count(const struct moving *moving);
const struct moving_record *moving_record_at(const struct moving *moving, size_t i);

#endif
