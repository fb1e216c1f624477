/*
 * test_memory_set_model.c - long random sequences against the naive model.
 *
 * TRESTLE_MODEL_OPS sets how many operations, TRESTLE_SEED where they start; both are printed. A
 * failure names the operation's number, so that the same seed leads there again.
 */
#include "core/memory_set.h"
#include "tests/model/mock_table.h"
#include "tests/model/random.h"
#include "tests/model/set_model.h"
#include "tests/unit/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SUITE "memory_set_model"
#undef SECONDS
#define SECONDS 300

#define DEFAULT_OPS 100000
#define DEFAULT_SEED 20240229
#define OPS_PER_ROUND 1000
#define MAX_NODES 48
#define MARGIN 32 /* how far ranges and limits reach out of the window */
#define SPAN (MARGIN + MODEL_CELLS + MARGIN)

struct run {
    struct random random;
    struct memory_set set;
    struct memory_node nodes[MAX_NODES];
    struct mock_table table;
    struct set_model model;
    ipa_t low;   /* MARGIN below the window */
    uint64_t op; /* number of the operation */
    size_t answered[MAPPING_UNSUPPORTED + 1];
};

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 0);
}

/* A new set somewhere: at the bottom of the space, at its very top, or between. */
static void start_round(struct run *run)
{
    uint64_t top = UINT64_MAX - SPAN;
    size_t capacity = 1 + (size_t)random_below(&run->random, MAX_NODES);

    run->low = ipa_of(random_next(&run->random) % top);
    if (random_once_in(&run->random, 2)) {
        run->low = ipa_of(random_once_in(&run->random, 2) ? 0 : top);
    }
    memory_set_init(&run->set, run->nodes, capacity);
    mock_table_init(&run->table, ipa_add(run->low, MARGIN));
    run->table.set = &run->set;
    set_model_init(&run->model, ipa_add(run->low, MARGIN), capacity);
}

/* [@from, @from + @span) or a part of it, mostly a small one; empty ones too. */
static struct ipa_range some_part(struct run *run, ipa_t from, uint64_t span)
{
    uint64_t start = random_below(&run->random, span);
    uint64_t longest = random_once_in(&run->random, 8) ? span : 24;
    uint64_t size = random_below(&run->random, longest);

    return ipa_range_between(ipa_add(from, start),
                             ipa_add(from, start + (size < span - start ? size : span - start)));
}

static struct ipa_range some_range(struct run *run)
{
    return some_part(run, run->low, SPAN);
}

static struct mock_faults some_faults(struct run *run)
{
    struct mock_faults faults = {.only = random_once_in(&run->random, 3)};

    if (random_once_in(&run->random, 12)) {
        faults.begin = 1;
    }
    if (random_once_in(&run->random, 6)) {
        faults.reserve = 1 + (size_t)random_below(&run->random, 4);
    }
    if (random_once_in(&run->random, 5)) {
        faults.change = 1 + (size_t)random_below(&run->random, 4);
    }
    return faults;
}

/* Few different values, so that neighbours are often alike. */
static struct memory_area some_area(struct run *run)
{
    struct memory_area area = {
        .range = some_part(run, run->model.base, MODEL_CELLS),
        .flags = random_below(&run->random, 4),
        .backend = mock_backend((enum mock_kind)random_below(&run->random, MOCK_KINDS),
                                random_below(&run->random, 2)),
        .tag = random_below(&run->random, 8) == 0 ? 1 : 0,
    };

    return area;
}

static void expect(struct run *run, enum mapping_error answer, enum mapping_error predicted)
{
    ck_assert_msg(answer == predicted, "operation %" PRIu64 " answers %s, the model says %s",
                  run->op, mapping_error_name(answer), mapping_error_name(predicted));
    ck_assert_msg(
        mock_table_is_lawful(&run->table, answer), "operation %" PRIu64 " breaks: %s", run->op,
        run->table.broken_law == NULL ? "the ends of the protocol" : run->table.broken_law);
    run->answered[answer]++;
}

static void try_map(struct run *run, struct mock_faults faults)
{
    struct memory_area area = some_area(run);
    enum overlap_policy policy = random_once_in(&run->random, 2) ? OVERLAP_REJECT : OVERLAP_UNMAP;
    enum mapping_error predicted = MAPPING_INVALID_PARAM;

    if (area.range.size != 0) {
        predicted = set_model_map(&run->model, &area, policy, faults);
    }
    expect(run, memory_set_map(&run->set, area, &run->table, policy), predicted);
}

static void try_unmap(struct run *run, struct mock_faults faults)
{
    struct ipa_range range = some_range(run);
    enum mapping_error predicted = set_model_unmap(&run->model, range, faults);

    expect(run, memory_set_unmap(&run->set, range, &run->table), predicted);
}

static void try_protect(struct run *run, struct mock_faults faults)
{
    struct ipa_range range = some_range(run);
    mapping_flags_t mask = random_below(&run->random, 4);
    struct model_update update = {mask, random_below(&run->random, 4) & mask,
                                  random_below(&run->random, 4), random_below(&run->random, 4)};
    enum mapping_error predicted = set_model_protect(&run->model, range, update, faults);

    expect(run, memory_set_protect(&run->set, range, model_update, &update, &run->table),
           predicted);
}

static void try_merge(struct run *run)
{
    struct ipa_range range = some_range(run);

    set_model_merge(&run->model, range);
    expect(run, memory_set_merge(&run->set, range), MAPPING_OK);
}

static void try_clear(struct run *run, struct mock_faults faults)
{
    struct ipa_range all = ipa_range_between(run->low, ipa_add(run->low, SPAN));
    enum mapping_error predicted = set_model_unmap(&run->model, all, faults);

    expect(run, memory_set_clear(&run->set, &run->table), predicted);
}

static void try_anything(struct run *run)
{
    struct mock_faults faults = some_faults(run);
    uint64_t dice = random_below(&run->random, 100);

    mock_table_arm(&run->table, faults);
    if (dice < 45) {
        try_map(run, faults);
    } else if (dice < 65) {
        try_unmap(run, faults);
    } else if (dice < 90) {
        try_protect(run, faults);
    } else if (dice < 99) {
        try_merge(run);
    } else {
        try_clear(run, faults);
    }
}

static void try_find_free(struct run *run)
{
    struct ipa_range limit = some_range(run);
    ipa_t hint = ipa_add(run->low, random_below(&run->random, SPAN));
    uint64_t size = 1 + random_below(&run->random, random_once_in(&run->random, 4) ? SPAN : 12);
    unsigned shift = (unsigned)random_below(&run->random, random_once_in(&run->random, 9) ? 64 : 5);
    ipa_t untouched = ipa_of(random_next(&run->random));
    ipa_t predicted_start = untouched;
    ipa_t start = untouched;
    enum mapping_error predicted = MAPPING_INVALID_PARAM;
    enum mapping_error answer;

    if (random_once_in(&run->random, 4)) {
        limit = ipa_range_between(run->low, ipa_add(run->low, SPAN));
    }
    if (random_once_in(&run->random, 10)) {
        hint = ipa_of(random_next(&run->random));
    }
    if (limit.size != 0) {
        predicted = set_model_find_free(&run->model, hint, size, UINT64_C(1) << shift, limit,
                                        &predicted_start);
    }
    answer = memory_set_find_free(&run->set, hint, size, UINT64_C(1) << shift, limit, &start);
    ck_assert_msg(answer == predicted && ipa_eq(start, predicted_start),
                  "after operation %" PRIu64 " a free place is wrong: %s", run->op,
                  mapping_error_name(answer));
}

TEST(change_at_random_agrees_with_naive_model)
{
    static struct run run;
    uint64_t ops = from_environment("TRESTLE_MODEL_OPS", DEFAULT_OPS);
    uint64_t seed = from_environment("TRESTLE_SEED", DEFAULT_SEED);

    printf("memory_set_model: TRESTLE_MODEL_OPS=%" PRIu64 " TRESTLE_SEED=%" PRIu64 "\n", ops, seed);
    fflush(stdout);
    run.random.state = seed;
    for (run.op = 0; run.op < ops; run.op++) {
        if (run.op % OPS_PER_ROUND == 0) {
            start_round(&run);
        }
        try_anything(&run);
        ck_assert_msg(memory_set_check(&run.set), "operation %" PRIu64 " breaks the set", run.op);
        ck_assert_msg(set_model_agrees(&run.model, &run.set),
                      "after operation %" PRIu64 " the areas are wrong", run.op);
        ck_assert_msg(mock_table_agrees(&run.table, &run.set),
                      "after operation %" PRIu64 " set and table disagree", run.op);
        try_find_free(&run);
    }
    /* A run that never met a refusal would prove little. */
    if (ops >= OPS_PER_ROUND) {
        ck_assert_uint_gt(run.answered[MAPPING_OK], ops / 4);
        ck_assert_uint_gt(run.answered[MAPPING_ALREADY_EXISTS], 0);
        ck_assert_uint_gt(run.answered[MAPPING_BAD_STATE], 0);
        ck_assert_uint_gt(run.answered[MAPPING_NO_NODE], 0);
        ck_assert_uint_gt(run.answered[MOCK_BEGIN_ERROR], 0);
        ck_assert_uint_gt(run.answered[MOCK_RESERVE_ERROR], 0);
        ck_assert_uint_gt(run.answered[MOCK_CHANGE_ERROR], 0);
    }
}
