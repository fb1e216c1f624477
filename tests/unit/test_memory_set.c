/*
 * test_memory_set.c - what operations do to the areas, and what they refuse.
 */
#include "core/memory_set.h"
#include "tests/unit/set_fixture.h"
#include "tests/unit/test.h"

#include <string.h>

#define SUITE "memory_set"

static struct set_fixture f;
static const struct mock_faults no_faults;

static void setup(void)
{
    fixture_draw(&f, "", FIXTURE_NODES, MOCK_PLAIN);
}

#undef SETUP
#define SETUP setup

/* ---- every kind of overlap ---- */

TEST_EACH(change_any_overlap_changes_exactly_the_range, MOCK_KINDS *set_case_count)
{
    const struct set_case *entry = &set_cases[_i / MOCK_KINDS];
    enum mock_kind kind = (enum mock_kind)(_i % MOCK_KINDS);

    fixture_draw(&f, entry->before, FIXTURE_NODES, kind);
    ck_assert_int_eq(fixture_run(&f, entry, kind, no_faults), MAPPING_OK);
    fixture_assert(&f, entry->after, MAPPING_OK);
    ck_assert_uint_eq(f.table.change_count, entry->pieces);
}

TEST_EACH(change_with_peak_nodes_succeeds_with_fewer_changes_nothing, MOCK_KINDS *set_case_count)
{
    const struct set_case *entry = &set_cases[_i / MOCK_KINDS];
    enum mock_kind kind = (enum mock_kind)(_i % MOCK_KINDS);
    size_t before;

    fixture_draw(&f, entry->before, FIXTURE_NODES, kind);
    before = memory_set_len(&f.set);
    for (size_t count = before; count <= entry->peak + 1; count++) {
        bool is_enough = count >= entry->peak;
        enum mapping_error expected = is_enough ? MAPPING_OK : MAPPING_NO_NODE;

        fixture_draw(&f, entry->before, count, kind);
        ck_assert_int_eq(fixture_run(&f, entry, kind, no_faults), expected);
        fixture_assert(&f, is_enough ? entry->after : entry->before, expected);
        ck_assert(is_enough || f.table.event_count == 0);
    }
}

/* ---- map ---- */

static enum mapping_error map(struct memory_area area, enum overlap_policy policy)
{
    mock_table_arm(&f.table, no_faults);
    return memory_set_map(&f.set, area, &f.table, policy);
}

TEST_EACH(map_over_what_is_there_is_rejected, 14)
{
    static const struct {
        unsigned first;
        unsigned size;
        bool overlaps;
    } entries[] = {
        {0, 2, false}, {0, 3, true}, {0, 8, true},   {2, 4, true},  {2, 1, true},
        {3, 2, true},  {5, 1, true}, {5, 3, true},   {6, 2, false}, {6, 3, true},
        {7, 3, true},  {8, 2, true}, {10, 3, false}, {9, 3, true},
    };

    ck_assert_int_eq(sizeof(entries) / sizeof(entries[0]), 14);
    fixture_draw(&f, "..Aaaa..Bb...", 2, MOCK_HOLDING);
    ck_assert_int_eq(
        memory_set_overlaps(&f.set, fixture_range(entries[_i].first, entries[_i].size)),
        entries[_i].overlaps);
    /* The set is full, so what is no overlap is refused for that. */
    ck_assert_int_eq(
        map(fixture_area(entries[_i].first, entries[_i].size, 'c', MOCK_HOLDING), OVERLAP_REJECT),
        entries[_i].overlaps ? MAPPING_ALREADY_EXISTS : MAPPING_NO_NODE);
    ck_assert_uint_eq(f.table.event_count, 0);
    fixture_assert(&f, "..Aaaa..Bb...", MAPPING_ALREADY_EXISTS);
}

static const struct mapping_backend_ops *holding_ops(void)
{
    return mock_backend(MOCK_HOLDING, 0).ops;
}

TEST_EACH(map_with_incomplete_backend_is_invalid, 10)
{
    struct mapping_backend_ops ops = *holding_ops();
    struct memory_area area = fixture_area(0, 4, 'a', MOCK_HOLDING);

    area.backend.ops = &ops;
    switch (_i) {
    case 0:
        area.backend.ops = NULL;
        break;
    case 1:
        ops.map = NULL;
        break;
    case 2:
        ops.unmap = NULL;
        break;
    case 3:
        ops.protect = NULL;
        break;
    default: /* 4..9: one or two of begin, reserve, end */
        ops.begin = ((_i - 3) & 1) != 0 ? ops.begin : NULL;
        ops.reserve = ((_i - 3) & 2) != 0 ? ops.reserve : NULL;
        ops.end = ((_i - 3) & 4) != 0 ? ops.end : NULL;
        break;
    }
    ck_assert_int_eq(map(area, OVERLAP_REJECT), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(map(area, OVERLAP_UNMAP), MAPPING_INVALID_PARAM);
    ck_assert_uint_eq(f.table.event_count, 0);
    ck_assert(memory_set_is_empty(&f.set));
}

static const struct ipa_range bad_ranges[] = {
    IPA_RANGE_INIT(FIXTURE_BASE, 0),   IPA_RANGE_INIT(0, 0),
    IPA_RANGE_INIT(UINT64_MAX, 0),     IPA_RANGE_INIT(UINT64_MAX, 1),
    IPA_RANGE_INIT(1, UINT64_MAX),     IPA_RANGE_INIT(UINT64_MAX, UINT64_MAX),
    IPA_RANGE_INIT(UINT64_MAX - 7, 8),
};

#define BAD_RANGE_COUNT 7
#define EMPTY_RANGE_COUNT 3 /* of which empty, the first ones; the others wrap */

TEST_EACH(map_empty_or_wrapping_range_is_invalid, BAD_RANGE_COUNT)
{
    struct memory_area area = fixture_area(0, 4, 'a', MOCK_PLAIN);

    area.range = bad_ranges[_i];
    ck_assert_int_eq(map(area, OVERLAP_REJECT), MAPPING_INVALID_PARAM);
    ck_assert_int_eq(map(area, OVERLAP_UNMAP), MAPPING_INVALID_PARAM);
    ck_assert(memory_set_is_empty(&f.set));
}

TEST_EACH(unmap_and_protect_wrapping_range_is_invalid_empty_is_ok, BAD_RANGE_COUNT)
{
    enum mapping_error expected = _i < EMPTY_RANGE_COUNT ? MAPPING_OK : MAPPING_INVALID_PARAM;
    char letter = 'b';

    fixture_draw(&f, "AaBb", FIXTURE_NODES, MOCK_HOLDING);
    ck_assert_int_eq(memory_set_unmap(&f.set, bad_ranges[_i], &f.table), expected);
    ck_assert_int_eq(memory_set_protect(&f.set, bad_ranges[_i], fixture_update, &letter, &f.table),
                     expected);
    ck_assert_int_eq(memory_set_merge(&f.set, bad_ranges[_i]), expected);
    ck_assert_uint_eq(f.table.event_count, 0);
    fixture_assert(&f, "AaBb", expected);
}

TEST(map_with_unknown_policy_is_invalid)
{
    enum overlap_policy unknown = OVERLAP_UNMAP;
    unsigned char bytes = 77;

    memcpy(&unknown, &bytes, 1);
    ck_assert_int_eq(map(fixture_area(0, 4, 'a', MOCK_PLAIN), unknown), MAPPING_INVALID_PARAM);
    ck_assert(memory_set_is_empty(&f.set));
}

TEST(protect_without_update_is_invalid)
{
    fixture_draw(&f, "Aaaa", FIXTURE_NODES, MOCK_PLAIN);
    ck_assert_int_eq(memory_set_protect(&f.set, fixture_range(0, 4), NULL, NULL, &f.table),
                     MAPPING_INVALID_PARAM);
    fixture_assert(&f, "Aaaa", MAPPING_INVALID_PARAM);
}

TEST(map_at_both_ends_of_the_space_is_found)
{
    struct memory_area low = fixture_area(0, 1, 'a', MOCK_PLAIN);
    struct memory_area high = fixture_area(0, 1, 'b', MOCK_PLAIN);

    low.range = ipa_range(0, MOCK_CELLS);
    high.range = ipa_range(UINT64_MAX - MOCK_CELLS, MOCK_CELLS);
    mock_table_init(&f.table, ipa_of(0));
    ck_assert_int_eq(map(low, OVERLAP_REJECT), MAPPING_OK);
    mock_table_init(&f.table, high.range.start);
    ck_assert_int_eq(map(high, OVERLAP_REJECT), MAPPING_OK);
    ck_assert_ptr_nonnull(memory_set_find(&f.set, ipa_of(0)));
    ck_assert_ptr_nonnull(memory_set_find(&f.set, ipa_of(UINT64_MAX - 1)));
    ck_assert_ptr_null(memory_set_find(&f.set, ipa_of(UINT64_MAX)));
    ck_assert(memory_set_check(&f.set));
}

/* ---- queries ---- */

TEST(find_each_byte_answers_its_area)
{
    static const char drawing[] = ".AaBb..Cc.";

    fixture_draw(&f, drawing, FIXTURE_NODES, MOCK_PLAIN);
    for (size_t i = 0; drawing[i] != '\0'; i++) {
        const struct memory_area *area = memory_set_find(&f.set, ipa_of(FIXTURE_BASE + i));

        ck_assert_int_eq(area != NULL, drawing[i] != '.');
        ck_assert_int_eq(memory_set_overlaps(&f.set, fixture_range(i, 1)), drawing[i] != '.');
        if (area != NULL) {
            ck_assert_uint_eq(area->flags, fixture_flags(drawing[i]) | 0x20);
        }
    }
}

/* From a hole on, the area above it; from an area on, that one; above all, none. */
TEST(find_from_each_byte_answers_it_or_the_next)
{
    static const char drawing[] = ".AaBb..Cc.";

    fixture_draw(&f, drawing, FIXTURE_NODES, MOCK_PLAIN);
    for (size_t i = 0; drawing[i] != '\0'; i++) {
        const struct memory_area *area = memory_set_find_from(&f.set, ipa_of(FIXTURE_BASE + i));
        const size_t at = i + strspn(drawing + i, ".");

        ck_assert_int_eq(area != NULL, drawing[at] != '\0');
        if (area != NULL) {
            ck_assert_uint_eq(area->flags, fixture_flags(drawing[at]) | 0x20);
        }
    }
}

TEST(overlaps_of_wrapping_range_reaches_the_top)
{
    fixture_draw(&f, "....Aa", FIXTURE_NODES, MOCK_PLAIN);
    ck_assert(memory_set_overlaps(&f.set, fixture_range(5, UINT64_MAX)));
    ck_assert(memory_set_overlaps(&f.set, fixture_range(0, UINT64_MAX)));
    ck_assert(!memory_set_overlaps(&f.set, fixture_range(6, UINT64_MAX)));
    ck_assert(!memory_set_overlaps(&f.set, fixture_range(5, 0)));
}

TEST(iterate_empty_set_ends_at_once)
{
    ck_assert(memory_set_is_empty(&f.set));
    ck_assert_uint_eq(memory_set_len(&f.set), 0);
    ck_assert_ptr_null(memory_set_first(&f.set));
    ck_assert_ptr_null(memory_set_find(&f.set, ipa_of(FIXTURE_BASE)));
    ck_assert_ptr_null(memory_set_find_from(&f.set, ipa_of(0)));
    ck_assert(memory_set_check(&f.set));
}

TEST(init_without_nodes_refuses_every_map)
{
    memory_set_init(&f.set, NULL, 0);
    ck_assert(memory_set_check(&f.set));
    ck_assert_int_eq(map(fixture_area(0, 1, 'a', MOCK_PLAIN), OVERLAP_REJECT), MAPPING_NO_NODE);
}

TEST(clear_gives_all_nodes_back)
{
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < FIXTURE_NODES; i++) {
            ck_assert_int_eq(map(fixture_area(2 * i, 1, 'a', MOCK_HOLDING), OVERLAP_REJECT),
                             MAPPING_OK);
        }
        ck_assert_int_eq(map(fixture_area(60, 1, 'a', MOCK_HOLDING), OVERLAP_REJECT),
                         MAPPING_NO_NODE);
        mock_table_arm(&f.table, no_faults);
        ck_assert_int_eq(memory_set_clear(&f.set, &f.table), MAPPING_OK);
        fixture_assert(&f, "", MAPPING_OK);
    }
}

/* Counts per letter how often it is asked, and says yes. */
static bool counting_update(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags)
{
    unsigned *calls = arg;

    calls[old_flags]++;
    ck_assert_uint_eq(*new_flags, old_flags);
    *new_flags = old_flags;
    return true;
}

TEST(protect_asks_areas_in_range_at_most_twice_others_never)
{
    unsigned calls[256] = {0};

    fixture_draw(&f, "AaBb.CcDd", FIXTURE_NODES, MOCK_HOLDING);
    ck_assert_int_eq(
        memory_set_protect(&f.set, fixture_range(3, 4), counting_update, calls, &f.table),
        MAPPING_OK);
    ck_assert_uint_eq(calls['a'] + calls['d'], 0);
    ck_assert(calls['b'] >= 1 && calls['b'] <= 2);
    ck_assert(calls['c'] >= 1 && calls['c'] <= 2);
    fixture_assert(&f, "AaBb.CcDd", MAPPING_OK);
}

/* ---- merge ---- */

TEST_EACH(merge_joins_alike_neighbours_that_both_touch_the_range, 16)
{
    static const struct {
        const char *before;
        unsigned first;
        unsigned size;
        const char *after;
    } entries[] = {
        {"AaAaAaAa", 0, 8, "Aaaaaaaa"}, {"AaAaAaAa", 3, 2, "AaAaaaAa"},
        {"AaAaAaAa", 2, 2, "AaaaaaAa"}, {"AaAaAaAa", 4, 0, "AaAaaaAa"},
        {"AaAaAaAa", 3, 0, "AaAaAaAa"}, {"AaAaAaAa", 0, 0, "AaAaAaAa"},
        {"AaAaAaAa", 8, 9, "AaAaAaAa"}, {"AaAaAaAa", 6, 9, "AaAaAaaa"},
        {"AaBbBbAa", 0, 8, "AaBbbbAa"}, {"Aa.Aa.Aa", 0, 8, "Aa.Aa.Aa"},
        {"AaAa.AaA", 0, 8, "Aaaa.Aaa"}, {"AaAaBbBb", 2, 4, "AaaaBbbb"},
        {"AAAAAAAA", 0, 8, "Aaaaaaaa"}, {"........", 0, 8, "........"},
        {"AABBAABB", 0, 8, "AaBbAaBb"}, {"....AaAa", 0, 4, "....AaAa"},
    };

    ck_assert_int_eq(sizeof(entries) / sizeof(entries[0]), 16);
    fixture_draw(&f, entries[_i].before, 8, MOCK_HOLDING);
    ck_assert_int_eq(memory_set_merge(&f.set, fixture_range(entries[_i].first, entries[_i].size)),
                     MAPPING_OK);
    ck_assert_uint_eq(f.table.event_count, 0);
    fixture_assert(&f, entries[_i].after, MAPPING_OK);
}

TEST_EACH(merge_of_areas_that_differ_leaves_them, 4)
{
    struct memory_area upper = fixture_area(4, 4, 'a', MOCK_PLAIN);

    fixture_draw(&f, "Aaaa", FIXTURE_NODES, MOCK_PLAIN);
    switch (_i) {
    case 0:
        upper.flags = fixture_flags('b');
        break;
    case 1:
        upper.tag++;
        break;
    case 2:
        upper.backend.cookie++;
        break;
    default:
        upper.backend = mock_backend(MOCK_HOLDING, FIXTURE_COOKIE);
        break;
    }
    ck_assert_int_eq(map(upper, OVERLAP_REJECT), MAPPING_OK);
    ck_assert_int_eq(memory_set_merge(&f.set, fixture_range(0, 8)), MAPPING_OK);
    ck_assert_uint_eq(memory_set_len(&f.set), 2);
    ck_assert(memory_set_check(&f.set));
}

/* ---- the validator ---- */

static void corrupt_tree(int how)
{
    struct memory_node *node = avl_at(&f.set.tree, f.set.tree.root);

    switch (how) {
    case 0:
        node->area.range.size = 0;
        break;
    case 1:
        node->area.range = ipa_range(FIXTURE_BASE + 2, UINT64_MAX);
        break;
    case 2:
        node->area.range.size += 3;
        break;
    case 3:
        node->max_gap++;
        break;
    case 4:
        node->prev = 0;
        break;
    case 5:
        f.set.tree.last = f.set.tree.root;
        break;
    case 6:
        node->area.backend.ops = NULL;
        break;
    case 7:
        f.set.tree.root = 0;
        break;
    case 8:
        node->parent ^= AVL_LEAN_MASK;
        break;
    case 9:
        node->parent += f.set.tree.last;
        break;
    case 10:
        node->child[AVL_LEFT] = node->child[AVL_RIGHT];
        break;
    default:
        node->area.range = ipa_range(FIXTURE_BASE, 3);
        break;
    }
}

#define TREE_CORRUPTIONS 12

static void corrupt_free_nodes(int how)
{
    struct memory_node *node = avl_at(&f.set.tree, f.set.free);

    switch (how) {
    case 0:
        f.set.free_count--;
        break;
    case 1:
        f.set.free = 0;
        break;
    case 2:
        f.set.free = f.set.tree.root;
        break;
    case 3:
        f.set.node_count++;
        break;
    case 4: /* they go in a circle */
        node->child[AVL_RIGHT] = f.set.free;
        break;
    case 5: /* a node that is free, but not of this set, in the place of one that is */
        f.nodes[8].parent = AVL_FREE;
        f.nodes[8].child[AVL_RIGHT] = node->child[AVL_RIGHT];
        f.set.free = avl_link(&f.set.tree, &f.nodes[8]);
        break;
    case 6:
        f.set.free++;
        break;
    default:
        node->parent = 0;
        break;
    }
}

#define FREE_CORRUPTIONS 8

TEST_EACH(check_of_corrupted_set_is_false, TREE_CORRUPTIONS + FREE_CORRUPTIONS)
{
    fixture_draw(&f, ".AaBb.Cc", 8, MOCK_PLAIN);
    ck_assert(memory_set_check(&f.set));
    if (_i < TREE_CORRUPTIONS) {
        corrupt_tree(_i);
    } else {
        corrupt_free_nodes(_i - TREE_CORRUPTIONS);
    }
    ck_assert(!memory_set_check(&f.set));
}

/* ---- contracts ---- */

TEST(node_is_72_bytes)
{
    ck_assert_uint_eq(sizeof(struct memory_node), 72);
}

TEST_DIES(init_with_more_nodes_than_links_reach_dies)
{
    memory_set_init(&f.set, f.nodes, MEMORY_SET_NODES_MAX + 1);
}

TEST_DIES(next_of_foreign_area_dies)
{
    static struct memory_node stranger;

    fixture_draw(&f, "Aa", FIXTURE_NODES, MOCK_PLAIN);
    memory_set_next(&f.set, &stranger.area);
}

TEST_DIES(init_with_count_but_no_nodes_dies)
{
    memory_set_init(&f.set, NULL, 1);
}
