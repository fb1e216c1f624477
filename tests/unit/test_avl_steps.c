/*
 * test_avl_steps.c - that k neighbours are unlinked in O(log n + k), by counting.
 *
 * The tree's source is part of this file, under other names, and counts its own assertions: every
 * step on a way up makes at least one.
 */
#include "core/assert.h"

#include <stddef.h>

static size_t step_count;

#undef MAPPING_ASSERT
#define MAPPING_ASSERT(expr) (step_count++, (expr) ? (void)0 : __builtin_trap())

#define avl_init counted_init
#define avl_first counted_first
#define avl_next counted_next
#define avl_insert counted_insert
#define avl_unlink counted_unlink
#define avl_mend_longer counted_mend_longer
#define avl_mend_around counted_mend_around
#define avl_first_gap counted_first_gap
#define avl_next_gap counted_next_gap
#define avl_check counted_check

#include "core/avl.c" /* NOLINT(bugprone-suspicious-include) */
#include "tests/model/random.h"
#include "tests/unit/test.h"

#define SUITE "avl_steps"

#define ITEMS 20000

static struct memory_node items[ITEMS];
static struct avl_tree items_tree;

enum gaps { ALIKE, WIDENING, NARROWING, GAP_ORDERS };

/* Gaps of one length, and those where each unlinked node had the longest one, or the shortest. */
static ipa_t start_of(uint32_t value, enum gaps gaps)
{
    const uint64_t n = value;

    switch (gaps) {
    case WIDENING:
        return ipa_of((n + 1) * (n + 2));
    case NARROWING:
        return ipa_of((n + 1) * (2 * ITEMS - n));
    case ALIKE:
    case GAP_ORDERS:
        break;
    }
    return ipa_of(4 * (n + 1));
}

/* From the lowest to the highest, or from the highest to the lowest. */
static void fill(enum gaps gaps, bool is_ascending)
{
    avl_init(&items_tree, items, ITEMS);
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint32_t value = is_ascending ? i : ITEMS - 1 - i;

        items[value].area.range =
            ipa_range_between(start_of(value, gaps), ipa_add(start_of(value, gaps), 1));
        avl_insert(&items_tree, &items[value], is_ascending || i == 0 ? NULL : &items[value + 1]);
    }
}

static void remove_items(uint32_t first, uint32_t count)
{
    for (uint32_t value = first; value < first + count; value++) {
        struct memory_node *above = value + 1 < ITEMS ? &items[value + 1] : NULL;

        avl_unlink(&items_tree, &items[value], above, AVL_MEND_LATER);
    }
    avl_mend_around(&items_tree, first + count < ITEMS ? &items[first + count] : NULL);
}

static const uint32_t counts[] = {1, 2, 5, 20, 100, 1000, 10000};

/* 10 assertions for each of k neighbours, and for each level of the two paths to the ends. */
TEST_EACH(unlink_k_neighbours_takes_steps_for_k_plus_height, COUNT(counts) * GAP_ORDERS)
{
    const uint32_t count = counts[(size_t)_i / GAP_ORDERS];
    struct random random = {(uint64_t)_i};
    size_t used;
    size_t most = 0;

    for (int round = 0; round < 40; round++) {
        fill((enum gaps)(_i % GAP_ORDERS), round % 2 == 0);
        step_count = 0;
        remove_items((uint32_t)random_below(&random, ITEMS - count + 1), count);
        most = step_count > most ? step_count : most;
        ck_assert(avl_check(&items_tree, ITEMS, &used));
        ck_assert_uint_eq(used, ITEMS - count);
    }
    ck_assert_msg(most <= 10 * (count + 2 * 16), "%zu steps for %u neighbours", most, count);
}

/* Mending ends where nothing changes: with gaps all alike, a few levels up on the average. */
TEST(insert_and_unlink_among_equal_gaps_take_few_steps)
{
    struct random random = {1};

    fill(ALIKE, true);
    step_count = 0;
    for (int round = 0; round < 10000; round++) {
        struct memory_node *node = &items[1 + random_below(&random, ITEMS - 2)];

        avl_unlink(&items_tree, node, node + 1, AVL_MEND_NOW);
        avl_insert(&items_tree, node, node + 1);
    }
    ck_assert_msg(step_count <= 10000 * 80, "%zu steps for 10000 rounds", step_count);
}
