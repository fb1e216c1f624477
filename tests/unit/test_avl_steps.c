/*
 * test_avl_steps.c - that k neighbours are unlinked, unmapped and merged in O(log n + k): counted.
 *
 * The sources of the tree and of the set are part of this file, under other names, and count the
 * steps that they take upwards.
 */
#define avl_init counted_avl_init
#define avl_first counted_avl_first
#define avl_next counted_avl_next
#define avl_insert counted_avl_insert
#define avl_unlink counted_avl_unlink
#define avl_mend_longer counted_avl_mend_longer
#define avl_mend_around counted_avl_mend_around
#define avl_next_gap counted_avl_next_gap
#define avl_first_gap counted_avl_first_gap
#define avl_check counted_avl_check
#define memory_set_init counted_set_init
#define memory_set_len counted_set_len
#define memory_set_is_empty counted_set_is_empty
#define memory_set_overlaps counted_set_overlaps
#define memory_set_find counted_set_find
#define memory_set_find_from counted_set_find_from
#define memory_set_first counted_set_first
#define memory_set_next counted_set_next
#define memory_set_find_free counted_set_find_free
#define memory_set_map counted_set_map
#define memory_set_unmap counted_set_unmap
#define memory_set_protect counted_set_protect
#define memory_set_clear counted_set_clear
#define memory_set_merge counted_set_merge
#define memory_set_check counted_set_check

#include "core/memory_set.h"

static size_t step_count;

#define avl_parent_of(node) (step_count++, avl_parent_of(node))

#include "core/avl.c"        /* NOLINT(bugprone-suspicious-include) */
#include "core/memory_set.c" /* NOLINT(bugprone-suspicious-include) */
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

/* Four steps for each of k neighbours, and for each level of the two paths to the ends. */
static void assert_few_steps(uint32_t count)
{
    ck_assert_msg(step_count <= 4 * (count + 2 * 16), "%zu steps for %u neighbours", step_count,
                  count);
}

TEST_EACH(unlink_k_neighbours_takes_steps_for_k_plus_height, COUNT(counts) * GAP_ORDERS)
{
    const uint32_t count = counts[(size_t)_i / GAP_ORDERS];
    struct random random = {(uint64_t)_i};
    size_t used;

    for (int round = 0; round < 40; round++) {
        fill((enum gaps)(_i % GAP_ORDERS), round % 2 == 0);
        step_count = 0;
        remove_items((uint32_t)random_below(&random, ITEMS - count + 1), count);
        assert_few_steps(count);
        ck_assert(avl_check(&items_tree, ITEMS, &used));
        ck_assert_uint_eq(used, ITEMS - count);
    }
}

/* Mending ends where nothing changes: a few levels up, as there are gaps of either length all
 * over. */
TEST(insert_and_unlink_among_equal_gaps_take_few_steps)
{
    struct random random = {1};

    fill(ALIKE, true);
    for (uint32_t value = 1; value < ITEMS; value += 4) {
        remove_items(value, 1);
    }
    step_count = 0;
    for (int round = 0; round < 10000; round++) {
        struct memory_node *node = &items[3 + 4 * random_below(&random, ITEMS / 4 - 1)];

        avl_unlink(&items_tree, node, node + 1, AVL_MEND_NOW);
        avl_insert(&items_tree, node, node + 1);
    }
    ck_assert_msg(step_count <= 10000 * 8, "%zu steps for 10000 rounds", step_count);
}

/* ---- the set ---- */

static enum mapping_error accept(const struct mapping_backend *self, struct ipa_range range,
                                 mapping_flags_t flags, void *page_table)
{
    (void)self;
    (void)range;
    (void)flags;
    (void)page_table;
    return MAPPING_OK;
}

static enum mapping_error accept_unmap(const struct mapping_backend *self, struct ipa_range range,
                                       void *page_table)
{
    return accept(self, range, 0, page_table);
}

static struct memory_set counted;

/* Areas of one byte with gaps between them, or that touch. */
static void fill_set(enum gaps gaps, bool is_dense)
{
    static const struct mapping_backend_ops ops = {
        .map = accept, .unmap = accept_unmap, .protect = accept};

    memory_set_init(&counted, items, ITEMS);
    for (uint32_t value = 0; value < ITEMS; value++) {
        const ipa_t start = is_dense ? ipa_of(value) : start_of(value, gaps);
        const struct memory_area area = {.range = ipa_range_between(start, ipa_add(start, 1)),
                                         .backend = {.ops = &ops}};

        ck_assert_int_eq(memory_set_map(&counted, area, NULL, OVERLAP_REJECT), MAPPING_OK);
    }
}

TEST_EACH(unmap_k_areas_takes_steps_for_k_plus_height, COUNT(counts) * GAP_ORDERS)
{
    const uint32_t count = counts[(size_t)_i / GAP_ORDERS];
    const enum gaps gaps = (enum gaps)(_i % GAP_ORDERS);
    struct random random = {(uint64_t)_i};

    for (int round = 0; round < 10; round++) {
        const uint32_t first = (uint32_t)random_below(&random, ITEMS - count + 1);
        const ipa_t end = ipa_add(start_of(first + count - 1, gaps), 1);

        fill_set(gaps, false);
        step_count = 0;
        ck_assert_int_eq(
            memory_set_unmap(&counted, ipa_range_between(start_of(first, gaps), end), NULL),
            MAPPING_OK);
        assert_few_steps(2 * count); /* each is also gone to, from the one before */
        ck_assert(memory_set_check(&counted));
        ck_assert_uint_eq(memory_set_len(&counted), ITEMS - count);
    }
}

TEST_EACH(merge_k_areas_takes_steps_for_k_plus_height, COUNT(counts))
{
    const uint32_t count = counts[_i];
    struct random random = {(uint64_t)_i};

    for (int round = 0; round < 10; round++) {
        const uint32_t first = (uint32_t)random_below(&random, ITEMS - count + 1);

        fill_set(ALIKE, true);
        step_count = 0;
        ck_assert_int_eq(memory_set_merge(&counted, ipa_range(first, count)), MAPPING_OK);
        assert_few_steps(2 * count);
        ck_assert(memory_set_check(&counted));
    }
}
