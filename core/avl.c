/*
 * avl.c - see avl.h for the contract.
 *
 * One rotation serves both sides. rotate(low, AVL_RIGHT): `low` goes down on the right, its left
 * child comes up; rotate(low, AVL_LEFT) is the mirror image.
 *
 *            low                     high
 *           /   \                   /    \
 *        high    C      ---->      A     low          order before and after: A high B low C
 *        /  \                           /   \
 *       A    B                         B     C
 *
 * A node whose left side is two higher than its right one is mended by one rotation if the height
 * stands outside (A), and by two if it stands inside (B), which is first turned outside:
 *
 *          low               low                 top
 *         /   \             /   \               /    \
 *      high    D   -->    top    D   -->     high    low
 *      /  \              /   \               /  \    /  \
 *     A   top         high    C             A    B  C    D
 *        /   \        /  \
 *       B     C      A    B
 *
 * Why aggregates may be stale for a while. Say that removals and insertions happened between the
 * nodes F and L only. A node outside [F, L] whose subtree changed holds a place between F and L,
 * and since a subtree is a contiguous stretch of the order, it holds F or L too: it is above one
 * of them. So all that is stale lies in [F, L] or above F or above L, and stays so under rotations,
 * which recompute both nodes whose subtrees they change. avl_refresh() visits just these. (A node
 * that moves up into the place of an unlinked one would leave stale ones behind it, above neither
 * end: so those between its old place and its new one are recomputed at once.)
 *
 * Why k unlinked neighbours cost O(log n + k). A step of retrace() that goes on upwards found the
 * node leaning, and leaves it balanced (or a rotated pair less leaning than before); a step that
 * ends it makes at most one node lean. So each removal can pay for one later step upwards, and what
 * was leaning at the start lay on the two paths to the ends of the stretch, or within it.
 */
#include "core/avl.h"

#include "core/assert.h"

#include <stddef.h>

static uint32_t height_of(const struct avl_node *node)
{
    return node == NULL ? 0 : node->height;
}

static enum avl_side other_side(enum avl_side side)
{
    return side == AVL_LEFT ? AVL_RIGHT : AVL_LEFT;
}

/* The node at the far end of @node's subtree. */
static struct avl_node *outermost(struct avl_node *node, enum avl_side side)
{
    while (node->child[side] != NULL) {
        node = node->child[side];
    }
    return node;
}

/* The neighbour in order: below if there is a subtree on that side, else the first ancestor that
 * has @node on its other side. */
static struct avl_node *neighbour(const struct avl_node *node, enum avl_side side)
{
    struct avl_node *parent = node->parent;

    MAPPING_ASSERT(node->height != 0);
    if (node->child[side] != NULL) {
        return outermost(node->child[side], other_side(side));
    }
    while (parent != NULL && parent->child[side] == node) {
        node = parent;
        parent = node->parent;
    }
    return parent;
}

/* All that a node knows about its subtree comes from its children; here it is computed. */
static void derive(const struct avl_tree *tree, struct avl_node *node)
{
    uint32_t left = height_of(node->child[AVL_LEFT]);
    uint32_t right = height_of(node->child[AVL_RIGHT]);

    node->height = 1 + (left > right ? left : right);
    tree->update(node);
}

/* Put @with (NULL: nothing) where @node hangs. */
static void replace(struct avl_tree *tree, const struct avl_node *node, struct avl_node *with)
{
    struct avl_node *parent = node->parent;

    if (parent == NULL) {
        MAPPING_ASSERT(tree->root == node);
        tree->root = with;
    } else {
        parent->child[parent->child[AVL_LEFT] == node ? AVL_LEFT : AVL_RIGHT] = with;
    }
    if (with != NULL) {
        with->parent = parent;
    }
}

static void hang(struct avl_node *parent, enum avl_side side, struct avl_node *child)
{
    MAPPING_ASSERT(child != parent);
    parent->child[side] = child;
    if (child != NULL) {
        child->parent = parent;
    }
}

/* The first drawing above; @side is where @low goes. Returns the node that came up. */
static struct avl_node *rotate(struct avl_tree *tree, struct avl_node *low, enum avl_side side)
{
    struct avl_node *high = low->child[other_side(side)];

    MAPPING_ASSERT(high != NULL);
    replace(tree, low, high);
    hang(low, other_side(side), high->child[side]);
    hang(high, side, low);
    derive(tree, low);
    derive(tree, high);
    return high;
}

/* Make @node's subtree an AVL tree, given that its children's are. Returns the subtree's top. */
static struct avl_node *rebalance(struct avl_tree *tree, struct avl_node *node)
{
    uint32_t left = height_of(node->child[AVL_LEFT]);
    uint32_t right = height_of(node->child[AVL_RIGHT]);
    enum avl_side heavy = left > right ? AVL_LEFT : AVL_RIGHT;
    enum avl_side light = other_side(heavy);
    struct avl_node *child = node->child[heavy];

    if (left <= right + 1 && right <= left + 1) {
        derive(tree, node);
        return node;
    }
    MAPPING_ASSERT(child != NULL);
    MAPPING_ASSERT(child->height == height_of(node->child[light]) + 2);
    if (height_of(child->child[light]) > height_of(child->child[heavy])) {
        rotate(tree, child, heavy);
    }
    return rotate(tree, node, light);
}

/* Rebalance from @node upwards, past @at_least if that is not NULL, until a subtree is as high as
 * it was. */
static void retrace(struct avl_tree *tree, struct avl_node *node, const struct avl_node *at_least)
{
    while (node != NULL) {
        uint32_t before = node->height;

        if (node == at_least) {
            at_least = NULL;
        }
        node = rebalance(tree, node);
        if (node->height == before && at_least == NULL) {
            return;
        }
        node = node->parent;
    }
}

void avl_init(struct avl_tree *tree, avl_update_fn update)
{
    MAPPING_ASSERT(update != NULL);
    tree->root = NULL;
    tree->update = update;
}

struct avl_node *avl_first(const struct avl_tree *tree)
{
    return tree->root == NULL ? NULL : outermost(tree->root, AVL_LEFT);
}

struct avl_node *avl_last(const struct avl_tree *tree)
{
    return tree->root == NULL ? NULL : outermost(tree->root, AVL_RIGHT);
}

struct avl_node *avl_next(const struct avl_node *node)
{
    return neighbour(node, AVL_RIGHT);
}

struct avl_node *avl_prev(const struct avl_node *node)
{
    return neighbour(node, AVL_LEFT);
}

void avl_insert_after(struct avl_tree *tree, struct avl_node *before, struct avl_node *node)
{
    enum avl_side side = AVL_RIGHT;

    MAPPING_ASSERT(node->height == 0);
    MAPPING_ASSERT(before == NULL || before->height != 0);
    if (before == NULL) {
        before = avl_first(tree);
        side = AVL_LEFT;
    } else if (before->child[AVL_RIGHT] != NULL) {
        before = outermost(before->child[AVL_RIGHT], AVL_LEFT);
        side = AVL_LEFT;
    }
    *node = (struct avl_node){.parent = before};
    derive(tree, node);
    if (before == NULL) {
        tree->root = node;
        return;
    }
    MAPPING_ASSERT(before->child[side] == NULL);
    before->child[side] = node;
    retrace(tree, before, NULL);
}

void avl_unlink(struct avl_tree *tree, struct avl_node *node)
{
    struct avl_node *left = node->child[AVL_LEFT];
    struct avl_node *right = node->child[AVL_RIGHT];
    struct avl_node *lowest = node->parent; /* the lowest one whose subtree changed */
    struct avl_node *heir = NULL;

    MAPPING_ASSERT(node->height != 0);
    if (left == NULL || right == NULL) {
        replace(tree, node, left == NULL ? right : left);
    } else {
        /* The one before @node takes its place. Not the one after: that is what an ascending
         * removal takes next, and it would have to be replaced from below again and again. */
        heir = outermost(left, AVL_RIGHT);
        MAPPING_ASSERT(heir->child[AVL_RIGHT] == NULL);
        lowest = heir == left ? heir : heir->parent;
        replace(tree, heir, heir->child[AVL_LEFT]);
        hang(heir, AVL_LEFT, node->child[AVL_LEFT]);
        hang(heir, AVL_RIGHT, right);
        heir->height = node->height;
        replace(tree, node, heir);
    }
    retrace(tree, lowest, heir);
    *node = (struct avl_node){.parent = NULL};
}

/* @node's subtree is done: close it and, as long as the way up leads out of a right subtree or
 * @to_root, what is above. Returns the first node whose left side alone is done; NULL: the end. */
static struct avl_node *close_upwards(const struct avl_tree *tree, struct avl_node *node,
                                      bool to_root)
{
    const struct avl_node *from;

    do {
        derive(tree, node);
        from = node;
        node = node->parent;
    } while (node != NULL && (to_root || node->child[AVL_RIGHT] == from));
    return node;
}

void avl_refresh(const struct avl_tree *tree, struct avl_node *first, struct avl_node *last)
{
    struct avl_node *node = first;
    bool passed = false; /* @last: from there on only upwards */

    MAPPING_ASSERT(first->height != 0);
    MAPPING_ASSERT(last->height != 0);
    while (node != NULL) {
        passed = passed || node == last;
        if (!passed && node->child[AVL_RIGHT] != NULL) {
            node = outermost(node->child[AVL_RIGHT], AVL_LEFT);
        } else {
            node = close_upwards(tree, node, passed);
        }
    }
    MAPPING_ASSERT(passed);
}

/* Links, height and balance of one node, given those of its children. A child that knows its
 * parent is reached from there alone, so a walk over nodes that pass here comes to an end. */
static bool node_is_sound(const struct avl_node *node)
{
    const struct avl_node *left = node->child[AVL_LEFT];
    const struct avl_node *right = node->child[AVL_RIGHT];
    uint32_t low = height_of(left);
    uint32_t high = height_of(right);

    if (low > high) {
        low = height_of(right);
        high = height_of(left);
    }
    return (left == NULL || (left->parent == node && left->height != 0)) &&
           (right == NULL || (right->parent == node && right->height != 0)) &&
           node->height == high + 1 && high - low <= 1;
}

/* Down the left side of @node's subtree, checking what is entered. NULL: one is not sound. */
static const struct avl_node *enter(const struct avl_node *node)
{
    while (node_is_sound(node)) {
        if (node->child[AVL_LEFT] == NULL) {
            return node;
        }
        node = node->child[AVL_LEFT];
    }
    return NULL;
}

/* The next one in order after @node, which is sound; *sound tells whether it is, too. */
static const struct avl_node *enter_next(const struct avl_node *node, bool *sound)
{
    if (node->child[AVL_RIGHT] == NULL) {
        return avl_next(node);
    }
    node = enter(node->child[AVL_RIGHT]);
    *sound = node != NULL;
    return node;
}

bool avl_check(const struct avl_tree *tree, const struct avl_checks *checks)
{
    const struct avl_node *node = tree->root;
    const struct avl_node *lower = NULL;
    bool sound = true;

    if (node == NULL) {
        return true;
    }
    if (node->parent != NULL) {
        return false;
    }
    node = enter(node);
    sound = node != NULL;
    while (node != NULL) {
        if (!checks->is_updated(node) || (lower != NULL && !checks->in_order(lower, node))) {
            return false;
        }
        lower = node;
        node = enter_next(node, &sound);
    }
    return sound;
}
