/*
 * avl.h - the AVL tree in which a MemorySet keeps its areas: links, balance and gaps.
 *
 * Nodes lie in one array and name each other by a link of 32 bits: how many bytes from the start of
 * the array, plus 8, so that 0 is nobody. A link has three low bits to spare, in which a node's
 * lean lies beside its parent. So a node with its area is 72 bytes, and a neighbour's field is one
 * addressing mode away. The two links down lie beside the start of the area, as a search reads
 * nothing else.
 *
 *      parent, lean | prev | max_gap | left | right | start | size | flags | backend | tag
 *            4          4       8        4      4      8       8       8       16       8
 *                                      '---- find ---'
 *                            '--------- find a gap ---'
 *
 * The tree knows what it keeps: areas by their starts, and the gaps between them. The gap below an
 * area reaches down to the end of the area below (prev), or to address 0; each node holds the
 * longest one of its subtree. Gaps it finds itself; by address the owner walks down, and says which
 * area is the one above the place.
 *
 * Height: at most 1.44 log2(n + 2). No recursion anywhere. No lock: the owner serialises.
 */
#ifndef TRESTLE_CORE_AVL_H
#define TRESTLE_CORE_AVL_H

#include "core/addr.h"
#include "core/assert.h"
#include "core/c.h"
#include "core/memory_area.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

enum avl_side { AVL_LEFT, AVL_RIGHT };

/* Which side of a node is the higher one, by one. */
enum avl_lean {
    AVL_EVEN,
    AVL_LEFT_HIGH,  /* 1 + AVL_LEFT */
    AVL_RIGHT_HIGH, /* 1 + AVL_RIGHT */
    AVL_FREE        /* the node is in no tree */
};

/* One area's storage: the caller gives an array of them. All fields are private. */
struct memory_node {
    uint32_t parent;         /* link | enum avl_lean; the root's link is 0 */
    uint32_t prev;           /* link: the area below; 0: this is the lowest */
    uint64_t max_gap;        /* the longest gap below an area of the subtree, in bytes */
    uint32_t child[2];       /* links, by enum avl_side. The owner's while the node is free */
    struct memory_area area; /* what the caller sees */
};

#define AVL_LINK_BIAS ((size_t)8)
#define AVL_LEAN_MASK UINT32_C(3)

/* As far as links reach. */
#define AVL_NODES_MAX ((size_t)59652324)

MAPPING_STATIC_ASSERT(sizeof(struct memory_node) == 72, "no padding");
MAPPING_STATIC_ASSERT(AVL_LINK_BIAS + (AVL_NODES_MAX - 1) * sizeof(struct memory_node) <=
                              UINT32_MAX &&
                          AVL_LINK_BIAS + AVL_NODES_MAX * sizeof(struct memory_node) > UINT32_MAX,
                      "the last node has a link, and one more would have none");
MAPPING_STATIC_ASSERT((AVL_LINK_BIAS | sizeof(struct memory_node)) % (AVL_LEAN_MASK + 1) == 0,
                      "a link leaves room for the lean");
MAPPING_STATIC_ASSERT(AVL_LEFT_HIGH == 1 + (int)AVL_LEFT && AVL_RIGHT_HIGH == 1 + (int)AVL_RIGHT,
                      "the lean to a side is one more than the side");

struct avl_tree {
    struct memory_node *nodes; /* what links count from */
    uint32_t root;             /* link; 0: the tree is empty */
    uint32_t last;             /* link of the highest area: the prev of what is above all */
};

/* Whether gaps are mended with the links, or left for later. */
enum avl_mend {
    AVL_MEND_NOW,
    AVL_MEND_LATER /* by avl_mend_around() */
};

/* The node that @link, which is not 0, stands for. */
static inline struct memory_node *avl_at(const struct avl_tree *tree, size_t link)
{
    char *bytes = (char *)tree->nodes;

    return (struct memory_node *)(void *)(bytes + link - AVL_LINK_BIAS);
}

static inline struct memory_node *avl_at_or_null(const struct avl_tree *tree, size_t link)
{
    return link == 0 ? NULL : avl_at(tree, link);
}

/* The way back. @node: one of the array. */
static inline uint32_t avl_link(const struct avl_tree *tree, const struct memory_node *node)
{
    const char *bytes = (const char *)tree->nodes;

    return (uint32_t)((size_t)((const char *)node - bytes) + AVL_LINK_BIAS);
}

/* Whether @link is one of an array of @node_count nodes: for those who trust nobody. */
static inline bool avl_is_link(uint32_t link, size_t node_count)
{
    const size_t offset = link - AVL_LINK_BIAS;

    return link != 0 && offset % sizeof(struct memory_node) == 0 &&
           offset / sizeof(struct memory_node) < node_count;
}

static inline enum avl_lean avl_lean_of(const struct memory_node *node)
{
    return (enum avl_lean)(node->parent & AVL_LEAN_MASK);
}

static inline bool avl_is_free(const struct memory_node *node)
{
    return avl_lean_of(node) == AVL_FREE;
}

static inline uint32_t avl_parent_of(const struct memory_node *node)
{
    return node->parent & ~AVL_LEAN_MASK;
}

/* On which side of @node the search for @addr goes on: right of an area that does not start above
 * it. An index and not a branch, as which way it goes cannot be foreseen, and a wrong guess costs
 * more than the step. */
static inline enum avl_side avl_side_for(const struct memory_node *node, ipa_t addr)
{
    return ipa_le(node->area.range.start, addr) ? AVL_RIGHT : AVL_LEFT;
}

/* The area below @node; NULL: it is the lowest. O(1). */
static inline struct memory_node *avl_prev(const struct avl_tree *tree,
                                           const struct memory_node *node)
{
    return avl_at_or_null(tree, node->prev);
}

/* Bytes between @node and the area below, or address 0. */
static inline uint64_t avl_gap_below(const struct avl_tree *tree, const struct memory_node *node)
{
    ipa_t end = ipa_of(0);

    if (node->prev != 0) {
        end = ipa_range_end(avl_at(tree, node->prev)->area.range);
    }
    return ipa_distance(end, node->area.range.start);
}

/**
 * avl_init() - Make @tree empty, and every node free.
 * @nodes:   the array; NULL if @count is 0.
 * @count:   of @nodes, at most AVL_NODES_MAX.
 */
void avl_init(struct avl_tree *tree, struct memory_node nodes[], size_t count);

/* The lowest node; NULL: the tree is empty. O(log n). */
struct memory_node *avl_first(const struct avl_tree *tree);

/* The one above @node; NULL: it is the highest. O(log n), a whole walk O(n). */
struct memory_node *avl_next(const struct avl_tree *tree, const struct memory_node *node);

/**
 * avl_insert() - Link @node in just below @above, and mend the gaps.
 * @node:    free; its area is set, and lies between that of @above and the one below.
 * @above:   the lowest node above the place; NULL: there is none.
 * Cost:     O(log n); at most two rotations.
 */
void avl_insert(struct avl_tree *tree, struct memory_node *node, struct memory_node *above);

/**
 * avl_unlink() - Take @node out.
 * @node:    of @tree; free afterwards.
 * @above:   the next one in order; NULL: there is none.
 * @when:    AVL_MEND_LATER: gaps are stale until avl_mend_around(), before which nothing but further
 *           neighbours may be unlinked, ascending.
 * Cost:     AVL_MEND_NOW: O(log n). AVL_MEND_LATER: k neighbours one after the other O(log n + k),
 *           with avl_mend_around() after them.
 */
void avl_unlink(struct avl_tree *tree, struct memory_node *node, struct memory_node *above,
                enum avl_mend when);

/**
 * avl_mend_longer() - Tell the subtrees that the gap below @node has become longer.
 * @node:    of @tree.
 * Cost:     O(log n); it ends where a subtree has as long a gap.
 */
void avl_mend_longer(const struct avl_tree *tree, const struct memory_node *node);

/**
 * avl_mend_around() - Mend all gaps after neighbours were unlinked below @above.
 * @above:   the next one above them; NULL: there is none. The gap below it may have grown otherwise,
 *           too.
 * Cost:     O(log n).
 */
void avl_mend_around(const struct avl_tree *tree, const struct memory_node *above);

/* The lowest node that starts above @from and has a gap of at least @size bytes, not 0, below it;
 * NULL: there is none. O(log n). */
struct memory_node *avl_first_gap(const struct avl_tree *tree, ipa_t from, uint64_t size);

/* The next one above @node with a gap of at least @size bytes below it; NULL: there is none. O(log
 * n); m of them one after the other O(m log(n / m)). */
struct memory_node *avl_next_gap(const struct avl_tree *tree, const struct memory_node *node,
                                 uint64_t size);

/**
 * avl_check() - Whether links, lean, order and gaps are right, and no range is empty or wraps.
 * @node_count: of the array.
 * @used:    how many nodes are in the tree; written on true only.
 * Cost:     O(n). Ends on any tree, however it was corrupted.
 */
bool avl_check(const struct avl_tree *tree, size_t node_count, size_t *used);

TRESTLE_END

#endif
