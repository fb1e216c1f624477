/*
 * avl.h - an intrusive AVL tree with aggregates, told where to insert instead of how to compare.
 *
 * The node lies inside its owner, so the tree allocates nothing. It knows no key: the owner finds
 * the place by walking down, and asks for "just after that one". Whatever the owner keeps per
 * subtree (an aggregate) is computed by one hook from a node and its two children.
 *
 * Structure and aggregates are kept apart on purpose. avl_insert_after() and avl_unlink() leave
 * order, links, heights and balance right at once, and the aggregates above the place stale;
 * avl_refresh() mends the aggregates of a whole stretch in one go. So k neighbours are removed in
 * O(log n + k), where a walk to the root for each would cost k log n.
 *
 * Height: at most 1.44 log2(n + 2). No recursion anywhere. No lock: the owner serialises.
 */
#ifndef TRESTLE_CORE_AVL_H
#define TRESTLE_CORE_AVL_H

#include <stdbool.h>
#include <stdint.h>

enum avl_side { AVL_LEFT, AVL_RIGHT };

/* Private but for reading child[], which the owner does to search. */
struct avl_node {
    struct avl_node *parent;   /* NULL: the root */
    struct avl_node *child[2]; /* by enum avl_side */
    uint32_t height;           /* 1: a leaf; 0: in no tree */
};

/* Computes the aggregate in @node's owner from the owner and its children, nothing else. */
typedef void (*avl_update_fn)(struct avl_node *node);

struct avl_tree {
    struct avl_node *root; /* NULL: empty */
    avl_update_fn update;
};

/* What avl_check() asks the owner. Neither may change anything. */
struct avl_checks {
    bool (*in_order)(const struct avl_node *lower, const struct avl_node *upper);
    bool (*is_updated)(const struct avl_node *node); /* would the hook leave it as it is? */
};

/**
 * avl_init() - Make @tree empty.
 * @update:  the hook; not NULL.
 */
void avl_init(struct avl_tree *tree, avl_update_fn update);

/* The lowest and the highest node; NULL: the tree is empty. O(log n). */
struct avl_node *avl_first(const struct avl_tree *tree);
struct avl_node *avl_last(const struct avl_tree *tree);

/* The neighbour of @node in order; NULL: there is none. O(log n), a whole walk O(n). */
struct avl_node *avl_next(const struct avl_node *node);
struct avl_node *avl_prev(const struct avl_node *node);

/**
 * avl_insert_after() - Link @node in as the next one after @before.
 * @before:  a node of @tree; NULL: @node becomes the first.
 * @node:    in no tree.
 * Order:    aggregates above @node are stale until avl_refresh() over @node.
 * Cost:     O(log n); at most two rotations.
 */
void avl_insert_after(struct avl_tree *tree, struct avl_node *before, struct avl_node *node);

/**
 * avl_unlink() - Take @node out.
 * @node:    a node of @tree; afterwards in no tree.
 * Order:    aggregates are stale until avl_refresh() over both of its neighbours.
 * Cost:     O(log n); k neighbours one after the other, ascending: O(log n + k).
 */
void avl_unlink(struct avl_tree *tree, struct avl_node *node);

/**
 * avl_refresh() - Recompute, children first, every aggregate from @first to @last and above them.
 * @first, @last: nodes of @tree, @first not behind @last.
 * Order:    mends all that is stale if no insertion and no removal since the last refresh took
 *           place outside of [@first, @last]: what was inserted lies in it, what was removed had
 *           both neighbours in it.
 * Cost:     O(log n + nodes from @first to @last).
 */
void avl_refresh(const struct avl_tree *tree, struct avl_node *first, struct avl_node *last);

/**
 * avl_check() - Whether order, links, heights, balance and aggregates are right.
 * Cost:     O(n). Ends on any tree whose pointers can be followed, however it was corrupted.
 */
bool avl_check(const struct avl_tree *tree, const struct avl_checks *checks);

#endif
