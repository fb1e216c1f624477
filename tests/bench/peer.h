/*
 * peer.h - what a C programmer would take instead, from packages that a distribution has.
 *
 *      peer_tree   the red-black tree of <sys/tree.h>, from libbsd; nodes from one array
 *      peer_gtree  GTree, from GLib: a balanced tree that allocates its nodes
 *      peer_ck     ck_stack, from Concurrency Kit: free frames on a stack that needs no lock
 *      peer_index  free frames as an array of numbers, under a spin lock
 *
 * A package that is not there when this is built leaves is_there false, and nothing else set.
 * Loops are the peers' own, so that a compiler may inline what their headers offer for that.
 */
#ifndef TRESTLE_TESTS_BENCH_PEER_H
#define TRESTLE_TESTS_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Areas of one page (tests/bench/areas.h), known by where they start: bytes. */
struct peer_set {
    bool is_there;
    /* With the areas of slots 0..@count - 1, inserted in the order of @slots, and room for
     * @spare. */
    void (*init)(const uint32_t slots[], size_t count, size_t spare);
    void (*fini)(void);
    /* The sum of the starts of the areas that hold @addresses; each must be there. */
    uint64_t (*find)(const uint64_t addresses[], size_t count);
    /* Whether nothing was in the way, or missing. */
    bool (*map)(const uint64_t addresses[], size_t count);
    bool (*unmap)(const uint64_t addresses[], size_t count);
    bool (*protect)(const uint64_t addresses[], size_t count, uint64_t flags);
    /* The sum of the lowest places for @size bytes at or above @addresses. NULL: not offered. */
    uint64_t (*find_free)(const uint64_t addresses[], size_t count, uint64_t size);
};

extern const struct peer_set peer_tree;
extern const struct peer_set peer_gtree;

/* Frames 0..@count - 1, of which @taken are out. */
struct peer_pool {
    bool is_there;
    void (*init)(size_t count, size_t taken);
    void (*fini)(void);
    void (*pair)(size_t calls); /* take one and give it back */
    /* Give back the frames that lie at @which of those that are out, then take as many. */
    void (*pair_random)(const uint32_t which[], size_t calls);
};

extern const struct peer_pool peer_ck;
extern const struct peer_pool peer_index;

#endif
