#include "tests/bench/peer.h"

#ifdef PEER_HAS_GLIB

#include "tests/bench/areas.h"
#include "tests/bench/bench.h"

#include <glib.h>

/* What an area of ours has. It is key and value at once. */
struct area {
    uint64_t start;
    uint64_t size;
    uint64_t flags;
    uint64_t backend[2];
    uint64_t tag;
};

static GTree *tree;
static struct area *areas;
static struct area **spares; /* a stack of those that are no area */
static size_t spare_count;

/* Areas that overlap are equal, as for <sys/tree.h>. */
static gint compare(gconstpointer a, gconstpointer b)
{
    const struct area *left = a, *right = b;

    if (left->start + left->size <= right->start) {
        return -1;
    }
    return left->start >= right->start + right->size;
}

static struct area *find_one(uint64_t address)
{
    const struct area key = {.start = address, .size = 1};

    return g_tree_lookup(tree, &key);
}

/* g_tree_insert() would put the new area in the place of one that it overlaps. */
static bool insert(uint64_t start)
{
    struct area *area = spares[spare_count - 1];

    *area = (struct area){.start = start, .size = AREAS_PAGE};
    if (g_tree_lookup(tree, area) != NULL) {
        return false;
    }
    spare_count--;
    g_tree_insert(tree, area, area);
    return true;
}

static void gtree_init(const uint32_t slots[], size_t count, size_t spare)
{
    tree = g_tree_new(compare);
    areas = bench_memory((count + spare) * sizeof(*areas));
    spares = bench_memory((count + spare) * sizeof(struct area *));
    spare_count = count + spare;
    for (size_t i = 0; i < spare_count; i++) {
        spares[i] = &areas[spare_count - 1 - i];
    }
    for (size_t i = 0; i < count; i++) {
        bench_must(insert(areas_address(slots[i])), "GTree: an area is there twice");
    }
}

static void gtree_fini(void)
{
    g_tree_destroy(tree);
    bench_free(areas);
    bench_free(spares);
}

static uint64_t gtree_find(const uint64_t addresses[], size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += find_one(addresses[i])->start;
    }
    return sum;
}

static bool gtree_map(const uint64_t addresses[], size_t count)
{
    bool all = true;

    for (size_t i = 0; i < count; i++) {
        all = insert(addresses[i]) && all;
    }
    return all;
}

static bool gtree_unmap(const uint64_t addresses[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct area *area = find_one(addresses[i]);

        if (area == NULL) {
            return false;
        }
        g_tree_remove(tree, area);
        spares[spare_count] = area;
        spare_count++;
    }
    return true;
}

static bool gtree_protect(const uint64_t addresses[], size_t count, uint64_t flags)
{
    for (size_t i = 0; i < count; i++) {
        struct area *area = find_one(addresses[i]);

        if (area == NULL) {
            return false;
        }
        area->flags = flags;
    }
    return true;
}

const struct peer_set peer_gtree = {
    .is_there = true,
    .init = gtree_init,
    .fini = gtree_fini,
    .find = gtree_find,
    .map = gtree_map,
    .unmap = gtree_unmap,
    .protect = gtree_protect,
};

#else

const struct peer_set peer_gtree = {.is_there = false};

#endif
