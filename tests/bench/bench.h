/*
 * bench.h - measuring: the sides of a case in turn, round by round, on one CPU.
 *
 *      round 1   ours  floor  peer  peer      each does @calls calls, and is timed as one stretch
 *      round 2   ours  floor  peer  peer
 *      ...                                    then: the median of each side's rounds
 *
 * In turn, so that whatever slows the machine down for a while slows all of them down. All rounds
 * are made several times over (passes), and of a side's medians the least counts: noise only adds.
 *
 * The floor is the work that nobody can save: a loop over the loads and stores of the same task.
 * A peer is what a C programmer would take from a package.
 */
#ifndef TRESTLE_TESTS_BENCH_BENCH_H
#define TRESTLE_TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_PEERS 2

/* One way to do the work of a case. Only run is timed. */
struct bench_side {
    const char *name;             /* a peer's, as reported */
    bool (*is_there)(void);       /* NULL: always; false: its package is missing */
    void (*before)(size_t calls); /* NULL: nothing to do */
    void (*run)(size_t calls);    /* NULL: no such side */
    bool (*holds)(size_t calls);  /* whether run did what it says; NULL: no result to look at */
    void (*after)(size_t calls);  /* undo it; NULL: nothing to do */
};

struct bench_case {
    const char *name;
    uint64_t n;                 /* pages or areas that a call is about; 0: as many as the group's */
    size_t calls;               /* of a round; fewer where a call takes long */
    bool is_distinct;           /* each about another area: then calls are at most half of n */
    void (*pick)(size_t calls); /* once a round: what all sides are asked for. NULL: no choice */
    struct bench_side ours;
    struct bench_side floor;
    struct bench_side peers[BENCH_PEERS];
};

/* Cases over one world, which is there while they run. */
struct bench_group {
    uint64_t n;
    void (*init)(uint64_t n);
    uint64_t (*size)(void); /* what became of n, if memory was scarce; NULL: n */
    void (*fini)(void);
    const struct bench_case *cases;
    size_t count;
};

struct bench_effort {
    unsigned rounds; /* 1..BENCH_ROUNDS_MAX */
    unsigned passes; /* at least 1 */
};

#define BENCH_ROUNDS_MAX 63

/* What was measured: nanoseconds a call; negative: there is no such side. */
struct bench_result {
    const char *name;
    uint64_t n;
    double ns;
    double floor_ns;
    const char *peers[BENCH_PEERS]; /* NULL: none */
    double peer_ns[BENCH_PEERS];
};

#define BENCH_NONE (-1.0)

static inline bool bench_is_there(double ns)
{
    return ns >= 0;
}

/* Stay on one CPU from now on. Returns its number; -1: the system does not let us. */
int bench_pin(void);

/* Told of each result as it is there. */
typedef void (*bench_result_fn)(const struct bench_result *result);

/* Make @group's world, measure its cases whose names begin with @prefix, and take it apart. */
void bench_run(const struct bench_group *group, const char *prefix,
               const struct bench_effort *effort, bench_result_fn done);

/**
 * bench_measure() - Measure @one as drawn above, after a round that only warms up.
 * @n:       what the result says of its size.
 * Ends the program, naming the case, if a side did not do its work.
 */
struct bench_result bench_measure(const struct bench_case *one, uint64_t n,
                                  const struct bench_effort *effort);

/* Says @what, and of which case, and ends the program; the same unless @holds. */
_Noreturn void bench_fail(const char *what);

static inline void bench_must(bool holds, const char *what)
{
    if (!holds) {
        bench_fail(what);
    }
}

/* Bytes that are the caller's until bench_free(): zero, touched, 2 MiB-aligned, and in huge pages
 * where the system has them, as EL2 maps its memory in blocks. */
void *bench_memory(size_t bytes);
void bench_free(void *memory);

/* Bytes that could be had without paging; 0: the system does not say. */
uint64_t bench_memory_available(void);

/* Nanoseconds of a clock that only goes on. */
uint64_t bench_clock(void);

/* Where results go that nobody reads, so that the compiler must compute them. */
extern volatile uint64_t bench_sink;

/* --- Choices --------------------------------------------------------------------------------- */

/* The numbers 0..count - 1 in an order that changes. */
struct bench_order {
    uint32_t *numbers;
    size_t count;
};

void bench_order_init(struct bench_order *order, size_t count);
void bench_order_fini(struct bench_order *order);

/* Bring @picks distinct random numbers to the front: numbers[0..@picks - 1]. O(@picks). */
void bench_order_pick(struct bench_order *order, size_t picks);

/* The same numbers in each run of the program. */
uint64_t bench_random_below(uint64_t bound);

#endif
