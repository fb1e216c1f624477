/*
 * test_memory_set_search.c - memory_set_find_free(): the right place, found by few steps.
 */
#include "core/memory_set.h"
#include "tests/model/set_model.h"
#include "tests/unit/set_fixture.h"
#include "tests/unit/test.h"

#include <string.h>

#define SUITE "memory_set_search"

static struct set_fixture f;

#define PAGE UINT64_C(0x1000)

/* A backend that has nothing to do: for sets without a table. */
static enum mapping_error accept_map(const struct mapping_backend *self, struct ipa_range range,
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
    return accept_map(self, range, 0, page_table);
}

static const struct mapping_backend_ops accepting_ops = {
    .map = accept_map,
    .unmap = accept_unmap,
    .protect = accept_map,
};

static struct memory_area page_area(uint64_t start)
{
    return (struct memory_area){.range = ipa_range(start, PAGE), .backend = {&accepting_ops, 0}};
}

/* ---- the right place ---- */

struct search_case {
    const char *drawing;
    int64_t hint; /* from FIXTURE_BASE, as are the others */
    uint64_t size;
    uint64_t align;
    uint64_t limit_first;
    uint64_t limit_size;
    int64_t start; /* -1: none */
};

static const struct search_case search_cases[] = {
    /* At the hint, above it, below it. */
    {"....Aa......", 0, 2, 1, 0, 12, 0},
    {"....Aa......", 3, 1, 1, 0, 12, 3},
    {"....Aa......", 3, 2, 1, 0, 12, 6},
    {"....Aa......", 5, 2, 1, 0, 12, 6},
    {"....Aa......", 9, 4, 1, 0, 12, 0},
    {"....Aa......", 9, 5, 1, 0, 12, 6},
    {"....Aa......", 9, 7, 1, 0, 12, -1},
    /* Below the hint the place may reach across it. */
    {"A..........B", 6, 10, 1, 0, 12, 1},
    {"A..........B", 6, 11, 1, 0, 12, -1},
    /* Rounded up: hint, gap, and no fit for the rounding. */
    {"............", 1, 2, 4, 0, 12, 4},
    {"A.......Bbb.", 0, 4, 4, 0, 12, 4},
    {"A..A...A....", 0, 2, 4, 0, 12, 4},
    {"Aaa...A.Aaaa", 0, 3, 4, 0, 12, -1},
    {"A...Aa..Aaaa", 6, 2, 8, 0, 12, -1},
    {"............", 9, 2, 8, 0, 12, 0},
    /* The limit splits gaps at both ends, and lies anywhere. */
    {"............", 0, 3, 1, 4, 3, 4},
    {"............", 0, 4, 1, 4, 3, -1},
    {"............", 5, 3, 1, 4, 3, 4},
    {"............", 50, 3, 1, 4, 3, 4},
    {"Aa........Bb", 0, 4, 4, 1, 7, 4},
    {"Aa........Bb", 0, 4, 4, 1, 6, -1},
    {"Aa..Aa..Aa..", 0, 2, 1, 3, 9, 6},
    {"Aa..Aa..Aa..", 9, 2, 1, 3, 8, 6},
    {"Aaaaaaaaaaaa", 0, 1, 1, 2, 8, -1},
    {"Aaaaaaaaaaaa", 0, 1, 1, 2, 11, 12},
    {"....Aa......", -9, 2, 1, 0, 12, 0},
    {"....Aa......", 3, 1, 1, 20, 12, 20},
    {"....Aa......", 40, 12, 1, 20, 12, 20},
    /* A huge size or alignment. */
    {"....Aa......", 0, UINT64_MAX, 1, 0, 12, -1},
    {"....Aa......", 0, 1, UINT64_C(1) << 63, 0, 12, -1},
    {"....Aa......", 0, 1, 0x4000, 0, 12, 0},
};

#define SEARCH_CASES ((int)(sizeof(search_cases) / sizeof(search_cases[0])))

TEST_EACH(find_free_answers_lowest_at_hint_else_lowest_below, SEARCH_CASES)
{
    const struct search_case *entry = &search_cases[_i];
    ipa_t hint = ipa_of(FIXTURE_BASE + (uint64_t)entry->hint);
    ipa_t start = ipa_of(12345);
    struct ipa_range limit = fixture_range(entry->limit_first, entry->limit_size);
    enum mapping_error expected = entry->start < 0 ? MAPPING_NOT_FOUND : MAPPING_OK;
    uint64_t place = FIXTURE_BASE + (uint64_t)entry->start;

    fixture_draw(&f, entry->drawing, FIXTURE_NODES, MOCK_PLAIN);
    ck_assert_int_eq(memory_set_find_free(&f.set, hint, entry->size, entry->align, limit, &start),
                     expected);
    ck_assert(ipa_eq(start, ipa_of(entry->start < 0 ? 12345 : place)));
}

/* Every pattern of single bytes over ten, every hint and size, three alignments. */
TEST_EACH(find_free_in_every_small_pattern_agrees_with_brute_force, 3)
{
    static struct set_model model;
    static const struct mock_faults none;
    const unsigned alignment = 1U << _i;

    for (unsigned pattern = 0; pattern < 1024; pattern++) {
        fixture_draw(&f, "", FIXTURE_NODES, MOCK_PLAIN);
        set_model_init(&model, ipa_of(FIXTURE_BASE), FIXTURE_NODES);
        for (unsigned i = 0; i < 10; i++) {
            struct memory_area area = fixture_area(i, 1, 'a', MOCK_PLAIN);

            if ((pattern >> i & 1) != 0) {
                mock_table_arm(&f.table, none);
                ck_assert_int_eq(memory_set_map(&f.set, area, &f.table, OVERLAP_REJECT), 0);
                ck_assert_int_eq(set_model_map(&model, &area, OVERLAP_REJECT, none), 0);
            }
        }
        for (unsigned query = 0; query < 11 * 11; query++) {
            ipa_t hint = ipa_of(FIXTURE_BASE + query % 11);
            ipa_t expected = hint;
            ipa_t start = hint;
            struct ipa_range limit = fixture_range(query % 3, 10);

            ck_assert_int_eq(
                memory_set_find_free(&f.set, hint, 1 + query / 11, alignment, limit, &start),
                set_model_find_free(&model, hint, 1 + query / 11, alignment, limit, &expected));
            ck_assert(ipa_eq(start, expected));
        }
    }
}

TEST_EACH(find_free_with_bad_arguments_is_invalid, 7)
{
    static const struct {
        uint64_t size;
        uint64_t align;
        struct ipa_range limit;
    } entries[] = {
        {0, 1, IPA_RANGE_INIT(0, 100)},        {1, 0, IPA_RANGE_INIT(0, 100)},
        {1, 3, IPA_RANGE_INIT(0, 100)},        {1, UINT64_MAX, IPA_RANGE_INIT(0, 100)},
        {1, 1, IPA_RANGE_INIT(50, 0)},         {1, 1, IPA_RANGE_INIT(1, UINT64_MAX)},
        {1, 1, IPA_RANGE_INIT(UINT64_MAX, 1)},
    };
    ipa_t start = ipa_of(77);

    ck_assert_int_eq(sizeof(entries) / sizeof(entries[0]), 7);
    fixture_draw(&f, "Aa", FIXTURE_NODES, MOCK_PLAIN);
    ck_assert_int_eq(memory_set_find_free(&f.set, ipa_of(0), entries[_i].size, entries[_i].align,
                                          entries[_i].limit, &start),
                     MAPPING_INVALID_PARAM);
    ck_assert(ipa_eq(start, ipa_of(77)));
}

/* In a set with the areas [0, 4K) and [2^64 - 8K, 2^64 - 4K). */
TEST_EACH(find_free_at_the_ends_of_the_space_does_not_overflow, 11)
{
    static const struct {
        uint64_t hint;
        uint64_t size;
        uint64_t align;
        uint64_t start;
    } entries[] = {
        {UINT64_MAX, 1, 1, 0x1000},
        {UINT64_MAX - 1, 1, 1, UINT64_MAX - 1},
        {UINT64_MAX - 0xfff, 0xfff, 1, UINT64_MAX - 0xfff},
        {UINT64_MAX - 0xfff, 0x1000, 1, 0x1000},
        {UINT64_MAX - 0xffe, 1, 0x1000, 0x1000},
        {0, 1, UINT64_C(1) << 63, UINT64_C(1) << 63},
        {UINT64_MAX, 1, UINT64_C(1) << 63, UINT64_C(1) << 63},
        {5, UINT64_MAX - 0x2fff, 0x1000, 0x1000},
        {0, UINT64_C(1) << 63, 0x1000, 0x1000},
        {0, UINT64_MAX - 0x1fff, 1, 0},
        {0, UINT64_MAX, 1, 0},
    };
    ipa_t start = ipa_of(0);
    enum mapping_error expected = entries[_i].start == 0 ? MAPPING_NOT_FOUND : MAPPING_OK;
    ck_assert_int_eq(sizeof(entries) / sizeof(entries[0]), 11);
    memory_set_init(&f.set, f.nodes, FIXTURE_NODES);
    ck_assert_int_eq(memory_set_map(&f.set, page_area(0), NULL, OVERLAP_REJECT), MAPPING_OK);
    ck_assert_int_eq(memory_set_map(&f.set, page_area(UINT64_MAX - 0x1fff), NULL, OVERLAP_REJECT),
                     MAPPING_OK);
    ck_assert_int_eq(memory_set_find_free(&f.set, ipa_of(entries[_i].hint), entries[_i].size,
                                          entries[_i].align, ipa_range(0, UINT64_MAX), &start),
                     expected);
    ck_assert(ipa_eq(start, ipa_of(entries[_i].start)));
}

/* ---- few steps ---- */

#define MANY 65536

static struct memory_node many_nodes[MANY];
static struct memory_set many;

/* An area for each page but @hole, the even ones or all of them. */
static void fill_many(uint64_t stride, uint64_t hole)
{
    memory_set_init(&many, many_nodes, MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        if (i != hole) {
            ck_assert_int_eq(
                memory_set_map(&many, page_area(i * stride * PAGE), NULL, OVERLAP_REJECT),
                MAPPING_OK);
        }
    }
}

static struct memory_node *node_at(uint64_t page)
{
    const struct memory_area *area = memory_set_find(&many, ipa_of(page * PAGE));

    for (size_t i = 0; i < MANY && area != NULL; i++) {
        if (&many_nodes[i].area == area) {
            return &many_nodes[i];
        }
    }
    return NULL;
}

static void allow(bool is_allowed[], const struct memory_node *node)
{
    if (node != NULL) {
        is_allowed[node - many_nodes] = true;
    }
}

static struct memory_node *parent_of(const struct memory_node *node)
{
    return avl_at_or_null(&many.tree, avl_parent_of(node));
}

/* Allow the search to read the node of @page, what is above it, their children and, as a gap lies
 * between two areas, those just below them. */
static void allow_path(bool is_allowed[], uint64_t page)
{
    const struct memory_node *node = node_at(page);

    for (; node != NULL; node = parent_of(node)) {
        allow(is_allowed, node);
        allow(is_allowed, avl_prev(&many.tree, node));
        for (int side = 0; side < 2; side++) {
            allow(is_allowed, avl_at_or_null(&many.tree, node->child[side]));
        }
    }
}

/* Spoil all other nodes: their aggregates lure the search in, their links kill it. */
static size_t spoil_all_but(const bool is_allowed[])
{
    size_t allowed = 0;

    for (size_t i = 0; i < MANY; i++) {
        if (is_allowed[i]) {
            allowed++;
        } else {
            memset(&many_nodes[i], 0xa5, sizeof(many_nodes[i]));
            many_nodes[i].max_gap = UINT64_MAX;
        }
    }
    return allowed;
}

struct many_case {
    uint64_t stride; /* pages from one area to the next */
    uint64_t hole;   /* the area that is left out; MANY: none */
    uint64_t hint;   /* the page at the hint */
};

static const struct many_case many_cases[] = {
    {1, 0, 0},         {1, MANY - 1, 0},       {1, 40000, 0},  {1, 40000, 39999}, {1, 40000, 40000},
    {1, 40000, 40001}, {1, 100, MANY - 2},     {1, 32768, 77}, {2, 40000, 0},     {2, 40000, 79999},
    {2, 40000, 80002}, {2, 100, 2 * MANY - 6}, {1, MANY, 0},   {1, MANY, 30000},  {2, MANY, 50000},
};

#define MANY_CASES ((int)(sizeof(many_cases) / sizeof(many_cases[0])))

/* The only gap of three pages (one page, where there is no other gap) among 65536 areas is found
 * though all nodes are spoiled but those on the paths from the root to the hint, to the limit's
 * start and to the gap, their children and those just below: so no other node was looked at. */
TEST_EACH(find_free_looks_at_paths_to_hint_and_gap_only, MANY_CASES)
{
    static bool is_allowed[MANY];
    const struct many_case *entry = &many_cases[_i];
    uint64_t pages = entry->stride * 2 - 1;
    uint64_t end = entry->stride * (MANY - 1) + 1;
    uint64_t place = entry->stride * entry->hole - (entry->stride - 1);
    uint64_t marks[] = {0,         entry->stride, entry->hint, entry->hint - 1, entry->hint + 1,
                        place - 1, place + pages, end - 1};
    ipa_t start = ipa_of(1);

    fill_many(entry->stride, entry->hole);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        allow_path(is_allowed, marks[i]);
    }
    ck_assert_uint_le(spoil_all_but(is_allowed), 8 * 3 * 23);
    ck_assert_int_eq(memory_set_find_free(&many, ipa_of(entry->hint * PAGE), pages * PAGE, PAGE,
                                          ipa_range(0, end * PAGE), &start),
                     entry->hole == MANY ? MAPPING_NOT_FOUND : MAPPING_OK);
    ck_assert(ipa_eq(start, ipa_of(entry->hole == MANY ? 1 : place * PAGE)));
}

/* All gaps are long enough, none is aligned but the last: each is passed once, none is skipped. */
TEST(find_free_passes_misaligned_gaps_to_the_aligned_one)
{
    ipa_t start = ipa_of(1);
    uint64_t last = UINT64_C(1) << 40;

    memory_set_init(&many, many_nodes, MANY);
    for (uint64_t i = 0; i < 1000; i++) {
        ck_assert_int_eq(memory_set_map(&many, page_area(2 * i * PAGE), NULL, OVERLAP_REJECT), 0);
    }
    ck_assert_int_eq(
        memory_set_find_free(&many, ipa_of(0), PAGE, 2 * PAGE, ipa_range(0, last), &start),
        MAPPING_OK);
    ck_assert(ipa_eq(start, ipa_of(2000 * PAGE)));
    ck_assert_int_eq(
        memory_set_find_free(&many, ipa_of(0), PAGE, 2 * PAGE, ipa_range(0, 2000 * PAGE), &start),
        MAPPING_NOT_FOUND);
}

/* Long but misaligned gaps everywhere, and all that lies above the limit is spoiled. */
TEST(find_free_stops_at_the_end_of_the_limit)
{
    static bool is_allowed[MANY];
    ipa_t start = ipa_of(1);

    fill_many(2, MANY);
    for (uint64_t page = 0; page <= 202; page += 2) {
        allow_path(is_allowed, page);
    }
    ck_assert_uint_le(spoil_all_but(is_allowed), 300);
    ck_assert_int_eq(
        memory_set_find_free(&many, ipa_of(0), PAGE, 2 * PAGE, ipa_range(0, 200 * PAGE), &start),
        MAPPING_NOT_FOUND);
    ck_assert(ipa_eq(start, ipa_of(1)));
}
