#define _GNU_SOURCE /* CPU affinity, madvise(), RUSAGE_THREAD */

#include "tests/bench/bench.h"

#include "tests/model/random.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define SIDES (2 + BENCH_PEERS)

/* A round of ours takes about so long at most; where one call alone takes longer, of so many rounds
 * one is made. */
#define LONG_ROUND_NS 20e6
#define LONG_ROUNDS_SHARE 5

volatile uint64_t bench_sink;

static const char *under_way = "set-up";
static struct random random_state = {1};

int bench_pin(void)
{
    cpu_set_t set;
    size_t cpu = CPU_SETSIZE - 1;

    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return -1;
    }
    /* The last one: interrupts tend to go to the first. */
    while (cpu > 0 && !CPU_ISSET(cpu, &set)) {
        cpu--;
    }
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0 ? (int)cpu : -1;
}

_Noreturn void bench_fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", under_way, what);
    exit(EXIT_FAILURE);
}

void *bench_memory(size_t bytes)
{
    const size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = aligned_alloc(HUGE_PAGE, whole);

    bench_must(memory != NULL, "no memory");
    (void)madvise(memory, whole, MADV_HUGEPAGE);
    memset(memory, 0, whole);
    return memory;
}

void bench_free(void *memory)
{
    free(memory);
}

uint64_t bench_memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    unsigned long long kib = 0;
    char line[128];

    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), file) != NULL &&
           sscanf(line, "MemAvailable: %llu kB", &kib) != 1) {
    }
    fclose(file);
    return (uint64_t)kib << 10;
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;

    bench_must(clock_gettime(clock, &now) == 0, "no clock");
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t bench_clock(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* --- Choices --------------------------------------------------------------------------------- */

uint64_t bench_random_below(uint64_t bound)
{
    return random_below(&random_state, bound);
}

void bench_order_init(struct bench_order *order, size_t count)
{
    order->numbers = bench_memory(count * sizeof(*order->numbers));
    order->count = count;
    for (size_t i = 0; i < count; i++) {
        order->numbers[i] = (uint32_t)i;
    }
}

void bench_order_fini(struct bench_order *order)
{
    bench_free(order->numbers);
}

void bench_order_pick(struct bench_order *order, size_t picks)
{
    bench_must(picks <= order->count, "more picks than there are numbers");
    for (size_t i = 0; i < picks; i++) {
        const size_t other = i + (size_t)bench_random_below(order->count - i);
        const uint32_t number = order->numbers[i];

        order->numbers[i] = order->numbers[other];
        order->numbers[other] = number;
    }
}

/* --- Rounds ---------------------------------------------------------------------------------- */

static bool takes_part(const struct bench_side *side)
{
    return side->run != NULL && (side->is_there == NULL || side->is_there());
}

/* How often the system gave this CPU to somebody else. */
static long times_interrupted(void)
{
    struct rusage usage;

    bench_must(getrusage(RUSAGE_THREAD, &usage) == 0, "no count of interruptions");
    return usage.ru_nivcsw;
}

/* Nanoseconds of @calls calls. The clock of the thread alone is slow to read, and so counts only
 * where somebody else had the CPU meanwhile. */
static uint64_t time_run(const struct bench_side *side, size_t calls)
{
    const long interrupted = times_interrupted();
    const uint64_t own_began = read_clock(CLOCK_THREAD_CPUTIME_ID);
    const uint64_t began = bench_clock();
    uint64_t took;

    side->run(calls);
    took = bench_clock() - began;
    return times_interrupted() == interrupted ? took
                                              : read_clock(CLOCK_THREAD_CPUTIME_ID) - own_began;
}

static double time_round(const struct bench_side *side, size_t calls)
{
    uint64_t took;

    if (side->before != NULL) {
        side->before(calls);
    }
    took = time_run(side, calls);
    bench_must(side->holds == NULL || side->holds(calls), "it did not do what it says");
    if (side->after != NULL) {
        side->after(calls);
    }
    return (double)took / (double)calls;
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double values[], size_t count)
{
    qsort(values, count, sizeof(values[0]), compare);
    return values[count / 2];
}

/* How much is measured. */
struct plan {
    size_t calls;
    unsigned rounds;
};

/* By a call that is made to see how long it takes: at first, when it takes longest. */
static struct plan make_plan(const struct bench_case *one, uint64_t n, unsigned rounds)
{
    struct plan plan = {one->calls, rounds};
    double took;

    if (one->is_distinct && n / 2 < plan.calls) {
        plan.calls = (size_t)(n / 2);
    }
    if (one->pick != NULL) {
        one->pick(1);
    }
    took = time_round(&one->ours, 1);
    if (took > LONG_ROUND_NS) {
        return (struct plan){1, (rounds + LONG_ROUNDS_SHARE - 1) / LONG_ROUNDS_SHARE};
    }
    if (took * (double)plan.calls > LONG_ROUND_NS) {
        plan.calls = (size_t)(LONG_ROUND_NS / took);
    }
    return plan;
}

/* One pass: medians[] of all sides that take part. */
static void measure_pass(const struct bench_case *one, const struct bench_side *const sides[],
                         struct plan plan, double medians[])
{
    static double took[SIDES][BENCH_ROUNDS_MAX];

    /* Round 0 warms up, and is overwritten by round 1. */
    for (unsigned round = 0; round <= plan.rounds; round++) {
        if (one->pick != NULL) {
            one->pick(plan.calls);
        }
        for (unsigned i = 0; i < SIDES; i++) {
            if (takes_part(sides[i])) {
                took[i][round == 0 ? 0 : round - 1] = time_round(sides[i], plan.calls);
            }
        }
    }
    for (unsigned i = 0; i < SIDES; i++) {
        medians[i] = takes_part(sides[i]) ? median(took[i], plan.rounds) : BENCH_NONE;
    }
}

struct bench_result bench_measure(const struct bench_case *one, uint64_t n,
                                  const struct bench_effort *effort)
{
    const struct bench_side *const sides[SIDES] = {&one->ours, &one->floor, &one->peers[0],
                                                   &one->peers[1]};
    double best[SIDES], medians[SIDES];
    struct plan plan;

    under_way = one->name;
    plan = make_plan(one, n, effort->rounds);
    measure_pass(one, sides, plan, best);
    for (unsigned pass = 1; pass < effort->passes; pass++) {
        measure_pass(one, sides, plan, medians);
        for (unsigned i = 0; i < SIDES; i++) {
            best[i] = medians[i] < best[i] ? medians[i] : best[i];
        }
    }
    under_way = "set-up";
    return (struct bench_result){
        .name = one->name,
        .n = n,
        .ns = best[0],
        .floor_ns = best[1],
        .peers = {one->peers[0].name, one->peers[1].name},
        .peer_ns = {best[2], best[3]},
    };
}

static bool is_chosen(const struct bench_case *one, const char *prefix)
{
    return strncmp(one->name, prefix, strlen(prefix)) == 0;
}

void bench_run(const struct bench_group *group, const char *prefix,
               const struct bench_effort *effort, bench_result_fn done)
{
    size_t chosen = 0;
    uint64_t size;

    for (size_t i = 0; i < group->count; i++) {
        chosen += is_chosen(&group->cases[i], prefix);
    }
    if (chosen == 0) {
        return;
    }
    group->init(group->n);
    size = group->size == NULL ? group->n : group->size();
    for (size_t i = 0; i < group->count; i++) {
        const struct bench_case *one = &group->cases[i];

        if (is_chosen(one, prefix)) {
            const struct bench_result result =
                bench_measure(one, one->n == 0 ? size : one->n, effort);

            done(&result);
        }
    }
    group->fini();
}
