/*
 * test_avl.c - order, balance and aggregates of core/avl.
 */
#include "core/avl.h"
#include "tests/model/random.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <string.h>

#define SUITE "avl"

#define MAX_ITEMS 20000

/* The aggregates: how many are in the subtree, and the lowest and highest value there. */
struct item {
    struct avl_node link;
    uint32_t value;
    uint32_t count;
    uint32_t lowest;
    uint32_t highest;
};

static struct item items[MAX_ITEMS];
static struct avl_tree tree;
static size_t update_count; /* calls of the hook: the steps that the tree takes upwards */

static struct item *item_of(struct avl_node *link)
{
    return (struct item *)link;
}

static void aggregate(const struct avl_node *link, struct item *sum)
{
    const struct item *item = (const struct item *)link;
    const struct item *left = (const struct item *)link->child[AVL_LEFT];
    const struct item *right = (const struct item *)link->child[AVL_RIGHT];

    sum->count = 1 + (left == NULL ? 0 : left->count) + (right == NULL ? 0 : right->count);
    sum->lowest = left == NULL ? item->value : left->lowest;
    sum->highest = right == NULL ? item->value : right->highest;
}

static void update_item(struct avl_node *link)
{
    update_count++;
    aggregate(link, item_of(link));
}

static bool in_order(const struct avl_node *lower, const struct avl_node *upper)
{
    return ((const struct item *)lower)->value < ((const struct item *)upper)->value;
}

static bool is_updated(const struct avl_node *link)
{
    const struct item *item = (const struct item *)link;
    struct item sum;

    aggregate(link, &sum);
    return item->count == sum.count && item->lowest == sum.lowest && item->highest == sum.highest;
}

static const struct avl_checks checks = {in_order, is_updated};

static void setup(void)
{
    memset(items, 0, sizeof(items));
    avl_init(&tree, update_item);
    update_count = 0;
}

#undef SETUP
#define SETUP setup

/* The highest item below @value. */
static struct avl_node *place_of(uint32_t value)
{
    struct avl_node *node = tree.root;
    struct avl_node *found = NULL;

    while (node != NULL) {
        bool is_below = item_of(node)->value < value;

        found = is_below ? node : found;
        node = node->child[is_below ? AVL_RIGHT : AVL_LEFT];
    }
    return found;
}

static void insert(uint32_t value)
{
    struct item *item = &items[value];

    item->value = value;
    avl_insert_after(&tree, place_of(value), &item->link);
    avl_refresh(&tree, &item->link, &item->link);
}

static struct avl_node *or_first(struct avl_node *node)
{
    return node == NULL ? avl_first(&tree) : node;
}

static struct avl_node *or_last(struct avl_node *node)
{
    return node == NULL ? avl_last(&tree) : node;
}

/* Remove @count neighbours from @first on, ascending, and mend the aggregates once. */
static void remove_stretch(uint32_t first, uint32_t count)
{
    struct avl_node *before = avl_prev(&items[first].link);
    struct avl_node *node = &items[first].link;

    while (count-- > 0) {
        struct avl_node *next = avl_next(node);

        avl_unlink(&tree, node);
        node = next;
    }
    if (tree.root != NULL) {
        avl_refresh(&tree, or_first(before), or_last(node));
    }
}

/* 2^(1 / 1.44) to the power of the height is the least that n + 2 may be. */
static void assert_height_is_bounded(size_t n)
{
    double least = 1.0;

    for (uint32_t h = 0; tree.root != NULL && h < tree.root->height; h++) {
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
            ck_assert(avl_check(&tree, &checks));
            ck_assert_uint_eq(item_of(tree.root)->count, i + 1);
            assert_height_is_bounded(i + 1);
        }
    }
}

TEST_FROM(insert_sparsest_tree_reaches_height_bound, 1, 20)
{
    uint32_t n = build_sparsest((uint32_t)_i);

    ck_assert(avl_check(&tree, &checks));
    ck_assert_uint_eq(tree.root->height, (uint32_t)_i);
    assert_height_is_bounded(n);
}

TEST(walk_visits_all_in_order_both_ways)
{
    uint32_t expected = 0;

    for (uint32_t i = 0; i < 1000; i++) {
        insert((i * 377) % 1000);
    }
    for (struct avl_node *node = avl_first(&tree); node != NULL; node = avl_next(node)) {
        ck_assert_uint_eq(item_of(node)->value, expected++);
    }
    ck_assert_uint_eq(expected, 1000);
    for (struct avl_node *node = avl_last(&tree); node != NULL; node = avl_prev(node)) {
        ck_assert_uint_eq(item_of(node)->value, --expected);
    }
    ck_assert_uint_eq(expected, 0);
}

TEST(first_of_empty_tree_is_null)
{
    ck_assert_ptr_null(avl_first(&tree));
    ck_assert_ptr_null(avl_last(&tree));
    ck_assert(avl_check(&tree, &checks));
}

TEST_EACH(unlink_in_any_order_keeps_tree_sound, ORDERS)
{
    static uint32_t values[610];
    const uint32_t n = build_sparsest(13);

    ck_assert_uint_le(n, 609);
    order_values(values, n, _i);
    for (uint32_t i = 0; i < n; i++) {
        remove_stretch(values[i], 1);
        ck_assert(avl_check(&tree, &checks));
        ck_assert_uint_eq(tree.root == NULL ? 0 : item_of(tree.root)->count, n - 1 - i);
        assert_height_is_bounded(n - 1 - i);
        ck_assert_uint_eq(items[values[i]].link.height, 0);
    }
    ck_assert_ptr_null(tree.root);
}

TEST(unlink_every_stretch_then_refresh_once_mends_all)
{
    for (uint32_t count = 1; count <= 88; count++) {
        for (uint32_t first = 0; first + count <= 88; first++) {
            setup();
            ck_assert_uint_eq(build_sparsest(9), 88);
            remove_stretch(first, count);
            ck_assert(avl_check(&tree, &checks));
            ck_assert_uint_eq(tree.root == NULL ? 0 : item_of(tree.root)->count, 88 - count);
        }
    }
}

TEST_EACH(unlink_and_insert_at_random_keeps_tree_sound, 8)
{
    struct random random = {(uint64_t)_i};
    const uint32_t n = 200;

    for (int step = 0; step < 4000; step++) {
        uint32_t value = (uint32_t)random_below(&random, n);
        uint32_t most = (uint32_t)random_below(&random, 12);
        uint32_t count = 0;

        if (items[value].link.height == 0) {
            insert(value);
        } else {
            struct avl_node *node = &items[value].link;

            for (; node != NULL && count <= most; node = avl_next(node)) {
                count++;
            }
            remove_stretch(value, count);
        }
        ck_assert(avl_check(&tree, &checks));
    }
}

/* Four steps for each of k neighbours and for each level of the two paths to the ends. */
TEST_EACH(unlink_k_neighbours_takes_steps_for_k_plus_height, 7)
{
    static const uint32_t counts[] = {1, 2, 5, 20, 100, 1000, 10000};
    const uint32_t count = counts[_i];
    struct random random = {(uint64_t)_i};
    uint32_t n;

    for (int round = 0; round < 40; round++) {
        setup();
        if (round % 2 == 0) {
            n = build_sparsest(20);
        } else {
            for (n = 0; n < MAX_ITEMS; n++) {
                insert(round % 4 == 1 ? n : MAX_ITEMS - 1 - n);
            }
        }
        update_count = 0;
        remove_stretch((uint32_t)random_below(&random, n - count), count);
        ck_assert_uint_le(update_count, 4 * (count + 2 * 20));
        ck_assert(avl_check(&tree, &checks));
    }
}

TEST(insert_before_first_and_after_last_keeps_order)
{
    insert(5);
    insert(9);
    insert(1);
    ck_assert_ptr_eq(avl_first(&tree), &items[1].link);
    ck_assert_ptr_eq(avl_last(&tree), &items[9].link);
    ck_assert_ptr_null(avl_prev(&items[1].link));
    ck_assert_ptr_null(avl_next(&items[9].link));
}

static void corrupt_parent(void)
{
    items[3].link.parent = &items[0].link;
}

static void corrupt_root_parent(void)
{
    tree.root->parent = &items[0].link;
}

static void corrupt_height(void)
{
    items[3].link.height++;
}

static void corrupt_order(void)
{
    items[3].value = 100;
}

static void corrupt_aggregate(void)
{
    items[3].count++;
}

static void corrupt_right_parent(void)
{
    avl_last(&tree)->parent = &items[0].link;
}

/* A cycle: the lowest node claims the root as its child. */
static void corrupt_child(void)
{
    avl_first(&tree)->child[AVL_LEFT] = tree.root;
}

/* The left branch split off; all else is consistent but for the balance. */
static void corrupt_balance(void)
{
    struct avl_node *root = tree.root;

    root->child[AVL_LEFT] = NULL;
    root->height = root->child[AVL_RIGHT]->height + 1;
    aggregate(root, item_of(root));
}

TEST_EACH(check_of_corrupted_tree_is_false, 8)
{
    static void (*const corrupt[])(void) = {
        corrupt_parent,    corrupt_root_parent,  corrupt_height, corrupt_order,
        corrupt_aggregate, corrupt_right_parent, corrupt_child,  corrupt_balance,
    };

    ck_assert_uint_eq(sizeof(corrupt) / sizeof(corrupt[0]), 8);
    build_sparsest(5);
    ck_assert(avl_check(&tree, &checks));
    corrupt[_i]();
    ck_assert(!avl_check(&tree, &checks));
}

TEST_DIES(init_without_hook_dies)
{
    avl_init(&tree, NULL);
}

TEST_DIES(insert_of_linked_node_dies)
{
    insert(1);
    avl_insert_after(&tree, NULL, &items[1].link);
}

TEST_DIES(unlink_of_free_node_dies)
{
    insert(1);
    avl_unlink(&tree, &items[2].link);
}

TEST_DIES(next_of_free_node_dies)
{
    insert(1);
    avl_next(&items[2].link);
}

TEST_DIES(refresh_backwards_dies)
{
    build_sparsest(5);
    avl_refresh(&tree, &items[8].link, &items[2].link);
}
