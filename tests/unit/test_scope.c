/*
 * test_scope.c - all short programs of the public interface on a machine small enough
 * (tests/model/scope.h), breadth first; a machine that was met before is not gone on from again.
 *
 * TRESTLE_SCOPE_DEPTH: calls in a program, else 3. TRESTLE_SCOPE_ALL: with all arguments, else with
 * few.
 */
#define _POSIX_C_SOURCE 200809L /* sigsetjmp() */

#include "tests/model/scope.h"
#include "tests/unit/test.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SUITE "scope"
#undef SECONDS
#define SECONDS 10800

#define DEPTH_MAX 5
#define SLOTS (UINT64_C(1) << 24)

struct program {
    uint16_t ops[DEPTH_MAX];
    uint8_t count;
};

static struct scope_op ops[SCOPE_OPS_MAX];
static size_t op_count;

/* --- Machines met before --------------------------------------------------------------------- */

static uint64_t *seen;
static size_t seen_count;

static bool see(uint64_t key)
{
    size_t slot = (size_t)((key ^ key >> 29) % SLOTS);

    key = key == 0 ? 1 : key;
    while (seen[slot] != 0 && seen[slot] != key) {
        slot = (slot + 1) % SLOTS;
    }
    if (seen[slot] == key) {
        return false;
    }
    seen[slot] = key;
    seen_count++;
    if (seen_count > SLOTS / 2) {
        ck_abort_msg("more machines than there is room for");
    }
    return true;
}

/* --- Programs -------------------------------------------------------------------------------- */

/* Those to go on from, the first met first. */
static struct {
    struct program *programs;
    size_t first, count, room;
} queue;

static void enqueue(struct program program)
{
    if (queue.count == queue.room) {
        queue.room = queue.room == 0 ? 4096 : 2 * queue.room;
        queue.programs = realloc(queue.programs, queue.room * sizeof(program));
        if (queue.programs == NULL) {
            ck_abort_msg("no memory for so many programs");
        }
    }
    queue.programs[queue.count++] = program;
}

static void refute(const struct program *program, const char *rule, const char *what)
{
    fprintf(stderr, "scope: %s: %s\n", rule, what);
    for (size_t i = 0; i < program->count; i++) {
        char text[128];

        scope_describe(ops[program->ops[i]], text, sizeof(text));
        fprintf(stderr, "    %zu. %s\n", i + 1, text);
    }
    ck_abort_msg("%s: %s, after %u calls", rule, what, program->count);
}

static sigjmp_buf trapped;

static void on_trap(int signal)
{
    (void)signal;
    siglongjmp(trapped, 1);
}

/* The last call of the program, looked at. */
static void do_last(const struct program *program)
{
    struct scope_verdict verdict;

    if (sigsetjmp(trapped, 1) != 0) {
        refute(program, "no legal program traps", "an assertion fails");
    }
    scope_do(ops[program->ops[program->count - 1]], true);
    verdict = scope_verdict();
    if (verdict.rule != NULL) {
        refute(program, verdict.rule, verdict.what);
    }
}

static void go_on_from(const char *start, char *here, const struct program *program, size_t depth,
                       size_t *transitions)
{
    scope_load(start);
    for (size_t i = 0; i < program->count; i++) {
        scope_do(ops[program->ops[i]], false);
    }
    scope_save(here);
    for (size_t op = 0; op < op_count; op++) {
        struct program next = *program;

        if (!scope_allows(ops[op])) {
            continue;
        }
        next.ops[next.count++] = (uint16_t)op;
        do_last(&next);
        (*transitions)++;
        if (see(scope_hash()) && next.count < depth) {
            enqueue(next);
        }
        scope_load(here);
    }
}

static void explore(enum scope_start start, bool few, size_t depth)
{
    const clock_t began = clock();
    char *first, *here;
    size_t transitions = 0;

    signal(CONTRACT_DEATH, on_trap);
    seen = calloc(SLOTS, sizeof(*seen));
    first = malloc(scope_size());
    here = malloc(scope_size());
    ck_assert(seen != NULL && first != NULL && here != NULL);
    scope_open(start);
    ck_assert_ptr_null(scope_verdict().rule);
    op_count = scope_ops(start, few, ops);
    ck_assert_uint_lt(op_count, SCOPE_OPS_MAX);
    scope_save(first);
    (void)see(scope_hash());
    enqueue((struct program){.count = 0});
    for (; queue.first < queue.count; queue.first++) {
        go_on_from(first, here, &queue.programs[queue.first], depth, &transitions);
    }
    printf("scope: start %d, %zu calls, programs of %zu: %zu machines, %zu transitions, %.0f s\n",
           (int)start, op_count, depth, seen_count, transitions,
           (double)(clock() - began) / CLOCKS_PER_SEC);
    ck_assert_uint_gt(seen_count, op_count / 4);
    signal(CONTRACT_DEATH, SIG_DFL);
    free(first);
    free(here);
    free(seen);
    free(queue.programs);
}

TEST_EACH(every_short_program_keeps_every_promise, SCOPE_TABLES)
{
    const char *depth = getenv("TRESTLE_SCOPE_DEPTH");
    const bool few = getenv("TRESTLE_SCOPE_ALL") == NULL;

    explore((enum scope_start)_i, few, depth == NULL ? 3 : (size_t)strtoul(depth, NULL, 10));
}

/* --- Pieces of one operation ----------------------------------------------------------------- */

static void try_pieces(const char *start, const struct program *program)
{
    struct scope_op pieces[3];
    struct scope_verdict verdict;

    scope_load(start);
    for (size_t i = 0; i < program->count; i++) {
        pieces[i] = ops[program->ops[i]];
    }
    if (sigsetjmp(trapped, 1) != 0) {
        refute(program, "no legal program traps", "an assertion fails");
    }
    scope_do_pieces(pieces, program->count);
    verdict = scope_verdict();
    if (verdict.rule != NULL) {
        refute(program, verdict.rule, verdict.what);
    }
}

/* All pairs, over a block and over nothing, and what comes after two unmaps; all triples, if all is
 * asked for. */
TEST_EACH(any_pieces_together_are_the_pieces_one_by_one, 2)
{
    const bool has_triples = getenv("TRESTLE_SCOPE_ALL") != NULL;
    char *start;

    signal(CONTRACT_DEATH, on_trap);
    start = malloc(scope_size());
    ck_assert_ptr_nonnull(start);
    scope_open(_i == 0 ? SCOPE_TABLES : SCOPE_EMPTY);
    ck_assert_ptr_null(scope_verdict().rule);
    op_count = scope_pieces(ops);
    scope_save(start);
    for (size_t i = 0; i < op_count; i++) {
        for (size_t j = 0; j < op_count; j++) {
            const bool are_holes = ops[i].verb == SCOPE_UNMAP && ops[j].verb == SCOPE_UNMAP;

            try_pieces(start, &(struct program){{(uint16_t)i, (uint16_t)j}, 2});
            for (size_t k = 0; k < op_count && (has_triples || are_holes); k++) {
                try_pieces(start, &(struct program){{(uint16_t)i, (uint16_t)j, (uint16_t)k}, 3});
            }
        }
    }
    signal(CONTRACT_DEATH, SIG_DFL);
    free(start);
}
