/*
 * test_avl.c - order, links, balance and gaps of core/avl.
 */
#include "core/avl.h"
#include "tests/model/random.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <string.h>

#define SUITE "avl"

#define MAX_ITEMS 20000

/* The node of a value is nodes[value]. Areas of higher values lie higher; sizes and gaps differ. */
static struct memory_node nodes[MAX_ITEMS];
static struct avl_tree tree;

#define CELL UINT64_C(256) /* bytes that a value has for its area */

static struct ipa_range range_of(uint32_t value)
{
    const uint64_t mixed = value * UINT64_C(2654435761) >> 7;

    return ipa_range(1000 + value * CELL + mixed % 100, 1 + (mixed >> 7) % 100);
}

static uint32_t value_of(const struct memory_node *node)
{
    return (uint32_t)(node - nodes);
}

static void setup(void)
{
    avl_init(&tree, nodes, MAX_ITEMS);
}

#undef SETUP
#define SETUP setup

static struct memory_node *root(void)
{
    return avl_at_or_null(&tree, tree.root);
}

static struct memory_node *child_of(const struct memory_node *node, enum avl_side side)
{
    return avl_at_or_null(&tree, node->child[side]);
}

static struct memory_node *last(void)
{
    return avl_at_or_null(&tree, tree.last);
}

/* The lowest node above @value. */
static struct memory_node *node_above(uint32_t value)
{
    struct memory_node *node = root();
    struct memory_node *found = NULL;

    while (node != NULL) {
        bool is_above = value_of(node) > value;

        found = is_above ? node : found;
        node = child_of(node, is_above ? AVL_LEFT : AVL_RIGHT);
    }
    return found;
}

static void insert(uint32_t value)
{
    nodes[value].area.range = range_of(value);
    avl_insert(&tree, &nodes[value], node_above(value));
}

/* Remove @count neighbours from @first on, ascending, and mend once; one alone at once. */
static void remove_stretch(uint32_t first, uint32_t count)
{
    struct memory_node *node = &nodes[first];
    enum avl_mend when = count == 1 ? AVL_MEND_NOW : AVL_MEND_LATER;

    while (count-- > 0) {
        struct memory_node *above = avl_next(&tree, node);

        avl_unlink(&tree, node, above, when);
        ck_assert(avl_is_free(node));
        node = above;
    }
    if (when == AVL_MEND_LATER) {
        avl_mend_around(&tree, node);
    }
}

static void assert_sound(size_t count)
{
    size_t used = 0;

    ck_assert(avl_check(&tree, MAX_ITEMS, &used));
    ck_assert_uint_eq(used, count);
}

/* As the leans say, which the check compares with the tree. */
static uint32_t tree_height(void)
{
    uint32_t height = 0;

    for (const struct memory_node *node = root(); node != NULL; height++) {
        node = child_of(node, avl_lean_of(node) == AVL_LEFT_HIGH ? AVL_LEFT : AVL_RIGHT);
    }
    return height;
}

/* 2^(1 / 1.44) to the power of the height is the least that n + 2 may be. */
static void assert_height_is_bounded(size_t n)
{
    double least = 1.0;

    for (uint32_t h = 0; h < tree_height(); h++) {
        least *= 1.6181779;
    }
    ck_assert_msg((double)n + 2.0 >= least, "%zu nodes are too high a tree", n);
}

/* Level by level, the sparsest tree of @height: its left side is one higher than its right one
 * everywhere. Nothing is rotated on the way. Returns the number of items, values 0, 1, ... */
static uint32_t build_sparsest(uint32_t height)
{
    static struct {
        uint32_t low;
        uint32_t height;
    } queue[MAX_ITEMS];
    uint32_t size[32] = {0, 1};
    uint32_t head = 0;
    uint32_t flush = 0;

    for (uint32_t h = 2; h <= height; h++) {
        size[h] = 1 + size[h - 1] + size[h - 2];
    }
    ck_assert_uint_le(size[height], MAX_ITEMS);
    queue[flush].low = 0;
    queue[flush++].height = height;
    for (; head < flush; head++) {
        uint32_t low = queue[head].low;
        uint32_t h = queue[head].height;
        uint32_t middle = low + size[h - 1];

        insert(middle);
        if (h > 1) {
            queue[flush].low = low;
            queue[flush++].height = h - 1;
        }
        if (h > 2) {
            queue[flush].low = middle + 1;
            queue[flush++].height = h - 2;
        }
    }
    return size[height];
}

enum insert_order { ASCENDING, DESCENDING, OUTSIDE_IN, SHUFFLED, ORDERS };

static void shuffle(uint32_t values[], uint32_t n, uint64_t seed)
{
    struct random random = {seed};

    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = (uint32_t)random_below(&random, i);
        uint32_t value = values[i - 1];

        values[i - 1] = values[j];
        values[j] = value;
    }
}

static void order_values(uint32_t values[], uint32_t n, int order)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t inwards = i % 2 == 0 ? i / 2 : n - 1 - i / 2;

        values[i] = order == DESCENDING ? n - 1 - i : i;
        if (order == OUTSIDE_IN) {
            values[i] = inwards;
        }
    }
    if (order == SHUFFLED) {
        shuffle(values, n, 7);
    }
}

TEST_EACH(insert_in_any_order_keeps_tree_sound, ORDERS)
{
    static uint32_t values[MAX_ITEMS];
    const uint32_t n = MAX_ITEMS;

    order_values(values, n, _i);
    for (uint32_t i = 0; i < n; i++) {
        insert(values[i]);
        if (i < 300 || i % 1000 == 0 || i == n - 1) {
            assert_sound(i + 1);
            assert_height_is_bounded(i + 1);
        }
    }
}

TEST_FROM(insert_sparsest_tree_reaches_height_bound, 1, 20)
{
    uint32_t n = build_sparsest((uint32_t)_i);

    assert_sound(n);
    ck_assert_uint_eq(tree_height(), (uint32_t)_i);
    assert_height_is_bounded(n);
}

TEST(walk_visits_all_in_order_both_ways)
{
    uint32_t expected = 0;

    for (uint32_t i = 0; i < 1000; i++) {
        insert((i * 377) % 1000);
    }
    for (const struct memory_node *node = avl_first(&tree); node != NULL;
         node = avl_next(&tree, node)) {
        ck_assert_uint_eq(value_of(node), expected++);
    }
    ck_assert_uint_eq(expected, 1000);
    for (const struct memory_node *node = last(); node != NULL; node = avl_prev(&tree, node)) {
        ck_assert_uint_eq(value_of(node), --expected);
    }
    ck_assert_uint_eq(expected, 0);
}

TEST(first_of_empty_tree_is_null)
{
    ck_assert_ptr_null(avl_first(&tree));
    ck_assert_ptr_null(last());
    ck_assert_ptr_null(avl_first_gap(&tree, ipa_of(0), 1));
    assert_sound(0);
}

TEST_EACH(unlink_in_any_order_keeps_tree_sound, ORDERS)
{
    static uint32_t values[610];
    const uint32_t n = build_sparsest(13);

    ck_assert_uint_le(n, 609);
    order_values(values, n, _i);
    for (uint32_t i = 0; i < n; i++) {
        remove_stretch(values[i], 1);
        assert_sound(n - 1 - i);
        assert_height_is_bounded(n - 1 - i);
    }
    ck_assert_uint_eq(tree.root, 0);
}

/* Each node of a tree that leans everywhere, of one that leans to the other side, and of a full
 * one: whatever is unlinked, its heir and the ways up are all there. */
TEST_EACH(unlink_any_one_of_any_shape_keeps_tree_sound, 3)
{
    for (uint32_t value = 0; value < 88; value++) {
        setup();
        for (uint32_t i = 0; i < 88 && _i == 1; i++) {
            insert(87 - i);
        }
        for (uint32_t i = 0; i < 88 && _i == 2; i++) {
            insert(i);
        }
        if (_i == 0) {
            ck_assert_uint_eq(build_sparsest(9), 88);
        }
        remove_stretch(value, 1);
        assert_sound(87);
        insert(value);
        assert_sound(88);
    }
}

TEST(unlink_every_stretch_then_mend_once_mends_all)
{
    for (uint32_t count = 1; count <= 88; count++) {
        for (uint32_t first = 0; first + count <= 88; first++) {
            setup();
            ck_assert_uint_eq(build_sparsest(9), 88);
            remove_stretch(first, count);
            assert_sound(88 - count);
        }
    }
}

TEST_EACH(unlink_and_insert_at_random_keeps_tree_sound, 8)
{
    struct random random = {(uint64_t)_i};
    const uint32_t n = 200;
    size_t there = 0;

    for (int step = 0; step < 4000; step++) {
        uint32_t value = (uint32_t)random_below(&random, n);
        uint32_t most = (uint32_t)random_below(&random, 12);
        uint32_t count = 0;

        if (avl_is_free(&nodes[value])) {
            insert(value);
            there++;
        } else {
            const struct memory_node *node = &nodes[value];

            for (; node != NULL && count <= most; node = avl_next(&tree, node)) {
                count++;
            }
            remove_stretch(value, count);
            there -= count;
        }
        assert_sound(there);
    }
}

/* An area loses a part at its end or at its start, until nothing is left to lose. */
TEST_EACH(mend_after_each_gap_that_grew_mends_all, 8)
{
    struct random random = {(uint64_t)_i};
    const uint32_t n = build_sparsest(9);

    for (int step = 0; step < 2000; step++) {
        struct memory_node *node = &nodes[random_below(&random, n)];
        struct memory_node *above = avl_next(&tree, node);
        struct ipa_range *range = &node->area.range;
        uint64_t less = random_below(&random, 1 + range->size / 2);

        if (random_once_in(&random, 2)) {
            *range = ipa_range_between(ipa_add(range->start, less), ipa_range_end(*range));
            avl_mend_longer(&tree, node);
        } else if (above != NULL) {
            range->size -= less;
            avl_mend_longer(&tree, above);
        }
        assert_sound(n);
    }
}

/* Against all gaps one by one. */
TEST_EACH(next_gap_from_each_node_is_the_next_long_one, 100)
{
    const uint64_t size = 1 + 4 * (uint64_t)_i;

    ck_assert_uint_eq(build_sparsest(9), 88);
    for (uint32_t value = 0; value < 88; value += 3) {
        remove_stretch(value, 1);
    }
    for (uint32_t value = 0; value < 88; value++) {
        const struct memory_node *node = &nodes[value];

        if (avl_is_free(node)) {
            continue;
        }
        for (node = avl_next(&tree, node); node != NULL; node = avl_next(&tree, node)) {
            if (avl_gap_below(&tree, node) >= size) {
                break;
            }
        }
        ck_assert_ptr_eq(avl_next_gap(&tree, &nodes[value], size), node);
    }
}

/* The lowest node that starts above @from and has a gap of @size, by looking at all. */
static const struct memory_node *first_gap(ipa_t from, uint64_t size)
{
    const struct memory_node *node = avl_first(&tree);

    while (node != NULL &&
           (ipa_le(node->area.range.start, from) || avl_gap_below(&tree, node) < size)) {
        node = avl_next(&tree, node);
    }
    return node;
}

TEST_EACH(first_gap_from_each_place_is_the_lowest_long_one, 100)
{
    const uint64_t size = 1 + 8 * (uint64_t)_i;

    ck_assert_uint_eq(build_sparsest(9), 88);
    for (uint32_t value = 0; value < 88; value += 5) {
        remove_stretch(value, 1);
    }
    for (uint64_t from = 0; from < 90 * CELL; from += 1 + from % 29) {
        ck_assert_ptr_eq(avl_first_gap(&tree, ipa_of(from), size), first_gap(ipa_of(from), size));
    }
}

TEST(insert_before_first_and_after_last_keeps_order)
{
    insert(5);
    insert(9);
    insert(1);
    ck_assert_ptr_eq(avl_first(&tree), &nodes[1]);
    ck_assert_ptr_eq(last(), &nodes[9]);
    ck_assert_ptr_null(avl_prev(&tree, &nodes[1]));
    ck_assert_ptr_null(avl_next(&tree, &nodes[9]));
    ck_assert_uint_eq(avl_gap_below(&tree, &nodes[1]), ipa_distance(ipa_of(0), range_of(1).start));
}

/* ---- the validator ---- */

/* Of a tree that is not empty. */
static struct memory_node *top(void)
{
    return avl_at(&tree, tree.root);
}

static struct memory_node *highest(void)
{
    return avl_at(&tree, tree.last);
}

static void corrupt_parent(void)
{
    nodes[3].parent = avl_link(&tree, &nodes[0]) + (uint32_t)avl_lean_of(&nodes[3]);
}

static void corrupt_root_parent(void)
{
    top()->parent += avl_link(&tree, &nodes[0]);
}

static void corrupt_last_parent(void)
{
    highest()->parent = avl_link(&tree, &nodes[0]);
}

static void corrupt_order(void)
{
    nodes[3].area.range.start = ipa_of(100 * CELL);
}

static void corrupt_overlap(void)
{
    nodes[3].area.range.size = CELL + 100;
}

static void corrupt_empty(void)
{
    nodes[3].area.range.size = 0;
}

static void corrupt_wrap(void)
{
    highest()->area.range.size = UINT64_MAX;
}

static void corrupt_gap(void)
{
    nodes[3].max_gap++;
}

static void corrupt_gap_of_leaf(void)
{
    avl_first(&tree)->max_gap--;
}

static void corrupt_prev(void)
{
    nodes[3].prev = nodes[2].prev;
}

static void corrupt_first_prev(void)
{
    avl_first(&tree)->prev = tree.last;
}

static void corrupt_prev_is_none(void)
{
    nodes[3].prev = 0;
}

static void corrupt_last(void)
{
    tree.last = highest()->prev;
}

/* A cycle: the lowest node claims the root as its child. */
static void corrupt_child(void)
{
    avl_first(&tree)->child[AVL_LEFT] = tree.root;
}

static void corrupt_same_child(void)
{
    top()->child[AVL_RIGHT] = top()->child[AVL_LEFT];
}

static void corrupt_child_unit(void)
{
    top()->child[AVL_LEFT]++;
}

static void corrupt_child_past_the_end(void)
{
    avl_first(&tree)->child[AVL_LEFT] = (uint32_t)(sizeof(nodes) + AVL_LINK_BIAS);
}

static void corrupt_root(void)
{
    tree.root = 0;
}

/* The left branch split off; all else is consistent but for the balance. */
static void corrupt_balance(void)
{
    struct memory_node *node = top();
    uint32_t low = avl_link(&tree, node);

    node->child[AVL_LEFT] = 0;
    while (child_of(avl_at(&tree, low), AVL_LEFT) != NULL) {
        low = avl_at(&tree, low)->child[AVL_LEFT];
    }
    avl_at(&tree, low)->prev = 0;
    avl_mend_longer(&tree, avl_at(&tree, low));
}

/* Each of the leans that a node does not have, at each node. */
TEST_EACH(check_of_each_wrong_lean_is_false, 4)
{
    const uint32_t n = build_sparsest(5);
    size_t used;

    for (uint32_t value = 0; value < n; value++) {
        const uint32_t parent = nodes[value].parent;

        nodes[value].parent = (parent & ~AVL_LEAN_MASK) | (uint32_t)_i;
        ck_assert_int_eq(avl_check(&tree, MAX_ITEMS, &used), nodes[value].parent == parent);
        nodes[value].parent = parent;
    }
    assert_sound(n);
}

/* Whatever else prev says, also where the gap that it leads to is not the longest one. */
TEST(check_of_each_wrong_prev_is_false)
{
    const uint32_t n = build_sparsest(6);
    size_t used;

    for (uint32_t value = 0; value < n; value++) {
        const uint32_t prev = nodes[value].prev;

        for (uint32_t other = 0; other <= n; other++) {
            nodes[value].prev = other == n ? 0 : avl_link(&tree, &nodes[other]);
            ck_assert_int_eq(avl_check(&tree, MAX_ITEMS, &used), nodes[value].prev == prev);
        }
        nodes[value].prev = prev;
    }
}

/* A tree that is sound, but lies eight bytes further on. */
TEST(check_of_tree_between_nodes_is_false)
{
    size_t used;

    insert(2);
    memmove((char *)&nodes[2] + 8, &nodes[2], sizeof(nodes[2]));
    tree.root += 8;
    tree.last += 8;
    ck_assert(!avl_check(&tree, MAX_ITEMS, &used));
}

static void (*const corrupt[])(void) = {
    corrupt_parent,     corrupt_root_parent, corrupt_last_parent,
    corrupt_order,      corrupt_overlap,     corrupt_empty,
    corrupt_wrap,       corrupt_gap,         corrupt_gap_of_leaf,
    corrupt_prev,       corrupt_first_prev,  corrupt_prev_is_none,
    corrupt_last,       corrupt_child,       corrupt_same_child,
    corrupt_child_unit, corrupt_root,        corrupt_child_past_the_end,
    corrupt_balance,
};

TEST_EACH(check_of_corrupted_tree_is_false, COUNT(corrupt))
{
    size_t used = 77;

    assert_sound(build_sparsest(5));
    corrupt[_i]();
    ck_assert(!avl_check(&tree, MAX_ITEMS, &used));
    ck_assert_uint_eq(used, 77);
}

TEST(check_of_node_behind_the_array_is_false)
{
    size_t used;

    insert(5);
    insert(9);
    insert(1);
    ck_assert(avl_check(&tree, 10, &used));
    ck_assert(!avl_check(&tree, 9, &used));
}

/* ---- contracts ---- */

TEST_DIES(init_of_more_nodes_than_links_reach_dies)
{
    avl_init(&tree, nodes, AVL_NODES_MAX + 1);
}

TEST_DIES(insert_of_linked_node_dies)
{
    insert(1);
    avl_insert(&tree, &nodes[1], NULL);
}

TEST_DIES(insert_below_free_node_dies)
{
    insert(1);
    nodes[2].area.range = range_of(2);
    avl_insert(&tree, &nodes[2], &nodes[3]);
}

TEST_DIES(insert_over_another_dies)
{
    insert(1);
    nodes[2].area.range = range_of(1);
    avl_insert(&tree, &nodes[2], NULL);
}

TEST_DIES(unlink_of_free_node_dies)
{
    insert(1);
    avl_unlink(&tree, &nodes[2], NULL, AVL_MEND_NOW);
}

TEST_DIES(unlink_with_wrong_one_above_dies)
{
    build_sparsest(5);
    avl_unlink(&tree, &nodes[2], &nodes[4], AVL_MEND_NOW);
}

TEST_DIES(next_of_free_node_dies)
{
    insert(1);
    avl_next(&tree, &nodes[2]);
}

TEST_DIES(mend_of_free_node_dies)
{
    insert(1);
    avl_mend_longer(&tree, &nodes[2]);
}
