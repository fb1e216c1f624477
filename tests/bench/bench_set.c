/* bench_set.c - a MemorySet of as many areas as the group says, with a backend that does
 * nothing. */
#include "tests/bench/areas.h"
#include "tests/bench/bench.h"
#include "tests/bench/bench_groups.h"
#include "tests/bench/floor.h"
#include "tests/bench/peer.h"

#include "stage2/trestle.h"

#define CALLS 2048
#define LIMIT (UINT64_C(1) << 40)

static struct memory_set set;
static struct memory_node *nodes;
static struct bench_order order;
static uint64_t area_count;
static uint64_t addresses[CALLS]; /* what a round asks for */
static uint64_t expected;         /* the sum of its answers */
static uint64_t found;
static mapping_flags_t new_flags; /* other ones in each round */

/* The floor's: where areas start, in order, and what else there is to write of each. */
static uint64_t *starts;
static struct memory_area *records;

static enum mapping_error nothing_to_map(const struct mapping_backend *self, struct ipa_range range,
                                         mapping_flags_t flags, void *page_table)
{
    (void)self, (void)range, (void)flags, (void)page_table;
    return MAPPING_OK;
}

static enum mapping_error nothing_to_unmap(const struct mapping_backend *self,
                                           struct ipa_range range, void *page_table)
{
    (void)self, (void)range, (void)page_table;
    return MAPPING_OK;
}

static const struct mapping_backend_ops nothing = {
    .map = nothing_to_map, .unmap = nothing_to_unmap, .protect = nothing_to_map};

static struct ipa_range page_at(uint64_t address)
{
    return ipa_range(address, AREAS_PAGE);
}

static void must(enum mapping_error error)
{
    if (error != MAPPING_OK) {
        bench_fail(mapping_error_name(error));
    }
}

static void map_one(uint64_t address)
{
    const struct memory_area area = {.range = page_at(address), .backend = {.ops = &nothing}};

    must(memory_set_map(&set, area, NULL, OVERLAP_REJECT));
}

/* --- The world: in random order, so that neighbours in the tree are none in memory ------------ */

static void init_floor(uint64_t n)
{
    starts = bench_memory((size_t)n * sizeof(*starts));
    records = bench_memory((size_t)n * sizeof(*records));
    for (uint64_t slot = 0; slot < n; slot++) {
        starts[slot] = areas_address(slot);
    }
}

static void init(uint64_t n)
{
    area_count = n;
    nodes = bench_memory((size_t)(n + CALLS) * sizeof(*nodes));
    memory_set_init(&set, nodes, (size_t)n + CALLS);
    bench_order_init(&order, (size_t)n);
    bench_order_pick(&order, (size_t)n);
    for (size_t i = 0; i < n; i++) {
        map_one(areas_address(order.numbers[i]));
    }
    init_floor(n);
    if (peer_tree.is_there) {
        peer_tree.init(order.numbers, (size_t)n, CALLS);
    }
    if (peer_gtree.is_there) {
        peer_gtree.init(order.numbers, (size_t)n, CALLS);
    }
}

static void fini(void)
{
    bench_must(memory_set_check(&set) && memory_set_len(&set) == area_count,
               "the set is not what it was");
    if (peer_tree.is_there) {
        peer_tree.fini();
    }
    if (peer_gtree.is_there) {
        peer_gtree.fini();
    }
    bench_free(nodes);
    bench_free(starts);
    bench_free(records);
    bench_order_fini(&order);
}

/* --- What a round asks for: anywhere, or near each other -------------------------------------- */

static uint64_t any_slot(size_t i)
{
    (void)i;
    return bench_random_below(area_count);
}

/* Any of AREAS_NEAR in the middle. */
static uint64_t near_slot(size_t i)
{
    (void)i;
    return areas_near(area_count, bench_random_below(AREAS_NEAR));
}

/* Each another one. */
static uint64_t picked_slot(size_t i)
{
    return order.numbers[i];
}

static uint64_t picked_near_slot(size_t i)
{
    return areas_near(area_count, i);
}

static void ask_for_areas(size_t calls, uint64_t (*slot_of)(size_t i))
{
    expected = 0;
    new_flags++;
    for (size_t i = 0; i < calls; i++) {
        addresses[i] = areas_address(slot_of(i));
        expected += addresses[i];
    }
}

static void ask_for_wide_holes(size_t calls, uint64_t (*slot_of)(size_t i))
{
    expected = 0;
    for (size_t i = 0; i < calls; i++) {
        const uint64_t slot = slot_of(i);

        addresses[i] = areas_address(slot);
        expected += areas_wide_address(slot, area_count);
    }
}

static void ask_for_holes(size_t calls, uint64_t (*slot_of)(size_t i))
{
    for (size_t i = 0; i < calls; i++) {
        addresses[i] = areas_hole_address(slot_of(i));
    }
}

static void pick_any(size_t calls)
{
    ask_for_areas(calls, any_slot);
}

static void pick_near(size_t calls)
{
    ask_for_areas(calls, near_slot);
}

static void pick_wide(size_t calls)
{
    ask_for_wide_holes(calls, any_slot);
}

static void pick_near_wide(size_t calls)
{
    ask_for_wide_holes(calls, near_slot);
}

static void pick_areas(size_t calls)
{
    bench_order_pick(&order, calls);
    ask_for_areas(calls, picked_slot);
}

static void pick_near_areas(size_t calls)
{
    ask_for_areas(calls, picked_near_slot);
}

static void pick_holes(size_t calls)
{
    bench_order_pick(&order, calls);
    ask_for_holes(calls, picked_slot);
}

static void pick_near_holes(size_t calls)
{
    ask_for_holes(calls, picked_near_slot);
}

/* --- Questions -------------------------------------------------------------------------------- */

static void find(size_t calls)
{
    found = 0;
    for (size_t i = 0; i < calls; i++) {
        found += ipa_distance(ipa_of(0), memory_set_find(&set, ipa_of(addresses[i]))->range.start);
    }
}

static void overlaps(size_t calls)
{
    found = 0;
    for (size_t i = 0; i < calls; i++) {
        found += memory_set_overlaps(&set, page_at(addresses[i])) ? addresses[i] : 0;
    }
}

static void find_free(size_t calls)
{
    found = 0;
    for (size_t i = 0; i < calls; i++) {
        ipa_t place = ipa_of(0);

        must(memory_set_find_free(&set, ipa_of(addresses[i]), 2 * AREAS_PAGE, AREAS_PAGE,
                                  ipa_range(0, LIMIT), &place));
        found += ipa_distance(ipa_of(0), place);
    }
}

static bool sum_is_right(size_t calls)
{
    (void)calls;
    return found == expected;
}

static void floor_find(size_t calls)
{
    found = 0;
    for (size_t i = 0; i < calls; i++) {
        found += starts[floor_search(starts, area_count, addresses[i])];
    }
}

static void floor_find_free(size_t calls)
{
    floor_find(calls);
    bench_sink = found;
}

/* --- Changes ---------------------------------------------------------------------------------- */

static void map(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        map_one(addresses[i]);
    }
}

static void unmap(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        must(memory_set_unmap(&set, page_at(addresses[i]), NULL));
    }
}

static bool are_areas(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        const struct memory_area *area = memory_set_find(&set, ipa_of(addresses[i]));

        all = all && area != NULL && ipa_range_eq(area->range, page_at(addresses[i]));
    }
    return all;
}

static bool are_holes(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && memory_set_find(&set, ipa_of(addresses[i])) == NULL;
    }
    return all;
}

static bool give_new_flags(mapping_flags_t old_flags, void *arg, mapping_flags_t *flags)
{
    (void)old_flags, (void)arg;
    *flags = new_flags;
    return true;
}

static void protect(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        must(memory_set_protect(&set, page_at(addresses[i]), give_new_flags, NULL, NULL));
    }
}

static bool have_new_flags(size_t calls)
{
    bool all = true;

    for (size_t i = 0; i < calls; i++) {
        all = all && memory_set_find(&set, ipa_of(addresses[i]))->flags == new_flags;
    }
    return all;
}

/* Nothing is alike: no neighbours touch. */
static void merge(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        must(memory_set_merge(&set, page_at(addresses[i])));
    }
}

static bool none_was_joined(size_t calls)
{
    (void)calls;
    return memory_set_len(&set) == area_count;
}

/* Find the place, write what an area holds. */
static void floor_map(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        records[floor_search(starts, area_count, addresses[i])] = (struct memory_area){
            .range = page_at(addresses[i]), .flags = new_flags, .backend = {.ops = &nothing}};
    }
}

static void floor_unmap(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        records[floor_search(starts, area_count, addresses[i])].range.size = 0;
    }
}

static void floor_protect(size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        records[floor_search(starts, area_count, addresses[i])].flags = new_flags;
    }
}

/* --- Peers ------------------------------------------------------------------------------------ */

static bool tree_is_there(void)
{
    return peer_tree.is_there;
}

static void tree_find(size_t calls)
{
    found = peer_tree.find(addresses, calls);
}

static void tree_map(size_t calls)
{
    bench_must(peer_tree.map(addresses, calls), "tree.h: something is in the way");
}

static void tree_unmap(size_t calls)
{
    bench_must(peer_tree.unmap(addresses, calls), "tree.h: an area is missing");
}

static void tree_protect(size_t calls)
{
    bench_must(peer_tree.protect(addresses, calls, new_flags), "tree.h: an area is missing");
}

static void tree_find_free(size_t calls)
{
    found = peer_tree.find_free(addresses, calls, 2 * AREAS_PAGE);
}

static bool gtree_is_there(void)
{
    return peer_gtree.is_there;
}

static void gtree_find(size_t calls)
{
    found = peer_gtree.find(addresses, calls);
}

static void gtree_map(size_t calls)
{
    bench_must(peer_gtree.map(addresses, calls), "GTree: something is in the way");
}

static void gtree_unmap(size_t calls)
{
    bench_must(peer_gtree.unmap(addresses, calls), "GTree: an area is missing");
}

static void gtree_protect(size_t calls)
{
    bench_must(peer_gtree.protect(addresses, calls, new_flags), "GTree: an area is missing");
}

#define TREE .name = "tree.h", .is_there = tree_is_there
#define GTREE .name = "GTree", .is_there = gtree_is_there

/* --------------------------------------------------------------------------------------------- */

#define FIND                                      \
    .ours = {.run = find, .holds = sum_is_right}, \
    .floor = {.run = floor_find, .holds = sum_is_right}
#define OVERLAPS                                      \
    .ours = {.run = overlaps, .holds = sum_is_right}, \
    .floor = {.run = floor_find, .holds = sum_is_right}
#define FIND_FREE \
    .ours = {.run = find_free, .holds = sum_is_right}, .floor = {.run = floor_find_free}
#define MAP .ours = {.run = map, .holds = are_areas, .after = unmap}, .floor = {.run = floor_map}
#define UNMAP \
    .ours = {.run = unmap, .holds = are_holes, .after = map}, .floor = {.run = floor_unmap}
#define PROTECT .ours = {.run = protect, .holds = have_new_flags}, .floor = {.run = floor_protect}
#define MERGE                                         \
    .ours = {.run = merge, .holds = none_was_joined}, \
    .floor = {.run = floor_find, .holds = sum_is_right}

static const struct bench_case CASES[] = {
    {.name = "set.find",
     .calls = CALLS,
     .pick = pick_any,
     FIND,
     .peers = {{TREE, .run = tree_find, .holds = sum_is_right},
               {GTREE, .run = gtree_find, .holds = sum_is_right}}},
    {.name = "set.overlaps", .calls = CALLS, .pick = pick_any, OVERLAPS},
    {.name = "set.find_free",
     .calls = CALLS,
     .pick = pick_wide,
     FIND_FREE,
     .peers = {{TREE, .run = tree_find_free, .holds = sum_is_right}}},
    {.name = "set.map",
     .calls = CALLS,
     .is_distinct = true,
     .pick = pick_holes,
     MAP,
     .peers = {{TREE, .run = tree_map, .after = tree_unmap},
               {GTREE, .run = gtree_map, .after = gtree_unmap}}},
    {.name = "set.unmap",
     .calls = CALLS,
     .is_distinct = true,
     .pick = pick_areas,
     UNMAP,
     .peers = {{TREE, .run = tree_unmap, .after = tree_map},
               {GTREE, .run = gtree_unmap, .after = gtree_map}}},
    {.name = "set.protect",
     .calls = CALLS,
     .pick = pick_any,
     PROTECT,
     .peers = {{TREE, .run = tree_protect}, {GTREE, .run = gtree_protect}}},
    {.name = "set.merge", .calls = CALLS, .pick = pick_any, MERGE},

    /* Near each other: what the size of the tree costs, and not what memory does. */
    {.name = "set.find_near", .calls = CALLS, .pick = pick_near, FIND},
    {.name = "set.overlaps_near", .calls = CALLS, .pick = pick_near, OVERLAPS},
    {.name = "set.find_free_near", .calls = CALLS, .pick = pick_near_wide, FIND_FREE},
    {.name = "set.map_near", .calls = AREAS_NEAR, .pick = pick_near_holes, MAP},
    {.name = "set.unmap_near", .calls = AREAS_NEAR, .pick = pick_near_areas, UNMAP},
    {.name = "set.protect_near", .calls = CALLS, .pick = pick_near, PROTECT},
    {.name = "set.merge_near", .calls = CALLS, .pick = pick_near, MERGE},
};

#define ANYWHERE 7 /* the first of CASES */
#define ALL (sizeof(CASES) / sizeof(CASES[0]))

#define GROUP(count_of_areas, count_of_cases)                              \
    {                                                                      \
        .n = (count_of_areas), .init = init, .fini = fini, .cases = CASES, \
        .count = (count_of_cases)                                          \
    }

const struct bench_group bench_set_1e2 = GROUP(100, ANYWHERE);
const struct bench_group bench_set_1e3 = GROUP(1000, ALL);
const struct bench_group bench_set_1e4 = GROUP(10000, ANYWHERE);
const struct bench_group bench_set_1e5 = GROUP(100000, ALL);
const struct bench_group bench_set_1e6 = GROUP(1000000, ALL);
