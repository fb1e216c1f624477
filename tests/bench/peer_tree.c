#include "tests/bench/peer.h"

#ifdef PEER_HAS_BSD

#include "tests/bench/areas.h"
#include "tests/bench/bench.h"

/* BSD has it in a header that Linux has not. */
#define __unused __attribute__((unused))
#include <bsd/sys/tree.h>

/* What an area of ours has, and the links. */
struct entry {
    RB_ENTRY(entry) link;
    uint64_t start;
    uint64_t size;
    uint64_t flags;
    uint64_t backend[2];
    uint64_t tag;
};

RB_HEAD(tree, entry);

/* Areas that overlap are equal: so a look-up of one byte finds the area that holds it. */
static int compare(const struct entry *a, const struct entry *b)
{
    if (a->start + a->size <= b->start) {
        return -1;
    }
    return a->start >= b->start + b->size;
}

RB_GENERATE_STATIC(tree, entry, link, compare)

static struct tree areas = RB_INITIALIZER(&areas);
static struct entry *entries;
static struct entry **spares; /* a stack of those that are no area */
static size_t spare_count;

static bool insert(uint64_t start)
{
    struct entry *entry = spares[spare_count - 1];

    *entry = (struct entry){.start = start, .size = AREAS_PAGE};
    spare_count--;
    return RB_INSERT(tree, &areas, entry) == NULL;
}

static struct entry *find_one(uint64_t address)
{
    struct entry key = {.start = address, .size = 1};

    return RB_FIND(tree, &areas, &key);
}

static void tree_init(const uint32_t slots[], size_t count, size_t spare)
{
    entries = bench_memory((count + spare) * sizeof(*entries));
    spares = bench_memory((count + spare) * sizeof(struct entry *));
    spare_count = count + spare;
    for (size_t i = 0; i < spare_count; i++) {
        spares[i] = &entries[spare_count - 1 - i];
    }
    for (size_t i = 0; i < count; i++) {
        bench_must(insert(areas_address(slots[i])), "tree.h: an area is there twice");
    }
}

static void tree_fini(void)
{
    RB_INIT(&areas);
    bench_free(entries);
    bench_free(spares);
}

static uint64_t tree_find(const uint64_t addresses[], size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += find_one(addresses[i])->start;
    }
    return sum;
}

static bool tree_map(const uint64_t addresses[], size_t count)
{
    bool all = true;

    for (size_t i = 0; i < count; i++) {
        all = insert(addresses[i]) && all;
    }
    return all;
}

static bool tree_unmap(const uint64_t addresses[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = find_one(addresses[i]);

        if (entry == NULL) {
            return false;
        }
        RB_REMOVE(tree, &areas, entry);
        spares[spare_count] = entry;
        spare_count++;
    }
    return true;
}

static bool tree_protect(const uint64_t addresses[], size_t count, uint64_t flags)
{
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = find_one(addresses[i]);

        if (entry == NULL) {
            return false;
        }
        entry->flags = flags;
    }
    return true;
}

/* Area by area until a hole is long enough. */
static uint64_t find_free_one(uint64_t address, uint64_t size)
{
    struct entry *entry = find_one(address);
    struct entry *next = RB_NEXT(tree, &areas, entry);

    while (next != NULL && next->start - (entry->start + entry->size) < size) {
        entry = next;
        next = RB_NEXT(tree, &areas, entry);
    }
    return entry->start + entry->size;
}

static uint64_t tree_find_free(const uint64_t addresses[], size_t count, uint64_t size)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += find_free_one(addresses[i], size);
    }
    return sum;
}

const struct peer_set peer_tree = {
    .is_there = true,
    .init = tree_init,
    .fini = tree_fini,
    .find = tree_find,
    .map = tree_map,
    .unmap = tree_unmap,
    .protect = tree_protect,
    .find_free = tree_find_free,
};

#else

const struct peer_set peer_tree = {.is_there = false};

#endif
