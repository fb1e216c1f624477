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
 * Gaps are mended before the tree is balanced, so that a rotation meets nodes that are right: what
 * comes up inherits what the other one said, as it has the same nodes below it, and what goes down
 * is computed anew. What a node says is the maximum of its own gap and of what its children say. So
 *
 *   - a gap that is new, or longer than it was, is told upwards until a node knows of one as long;
 *   - one that is lost, or shorter than it was, is followed upwards as long as a node said exactly
 *     that, and computed anew says less.
 *
 * Inserting X below N makes two gaps of one, and unlinking X one of two:
 *
 *      P      g       N         X's gap is new to what lies above X and below N; N and what lies
 *     ===|----------|===        above it lost g. The other way round: what lies above X and below N
 *      P  x   X   n   N         lost x; to N and what lies above it g is new, and longer than x and
 *     ===|---|===|---|===       n, so nobody there needs to know of those.
 *
 * Why mending may wait. Say that neighbours were unlinked, and that the areas B and N are those
 * below and above them now. A node whose subtree lost one of them is above B or N, since a subtree
 * is a contiguous stretch of the order; and of B and N one is above the other. So all that is stale
 * lies on the way up from the lower of the two, and stays so under rotations, which compute anew
 * the node that goes down. (B may move up into the place of an unlinked node. What lies between its
 * old place and its new one is then above neither, so that stretch is computed anew at once.)
 *
 * Why k unlinked neighbours cost O(log n + k). A step of shrink() that goes on upwards found the
 * node leaning, and leaves it even (or a rotated pair less leaning than before); a step that ends
 * it makes at most one node lean. So each removal can pay for one later step upwards, and what was
 * leaning at the start lay on the two paths to the ends of the stretch, or within it.
 */
#include "core/avl.h"

/* ---- one node ---- */

static enum avl_side other_side(enum avl_side side)
{
    return side == AVL_LEFT ? AVL_RIGHT : AVL_LEFT;
}

static enum avl_lean lean_to(enum avl_side side)
{
    return side == AVL_LEFT ? AVL_LEFT_HIGH : AVL_RIGHT_HIGH;
}

static void set_parent(struct memory_node *node, uint32_t parent)
{
    node->parent = parent | (node->parent & AVL_LEAN_MASK);
}

static void set_lean(struct memory_node *node, enum avl_lean lean)
{
    node->parent = (node->parent & ~AVL_LEAN_MASK) | (uint32_t)lean;
}

/* Where @link hangs below @parent; of the root, whose parent is 0, any side. */
static inline enum avl_side side_of(const struct avl_tree *tree, uint32_t parent, uint32_t link)
{
    return parent != 0 && avl_at(tree, parent)->child[AVL_RIGHT] == link ? AVL_RIGHT : AVL_LEFT;
}

static uint64_t subtree_gap(const struct avl_tree *tree, uint32_t link)
{
    return link == 0 ? 0 : avl_at(tree, link)->max_gap;
}

/* What a node says of its subtree comes from its own gap and its children, and nothing else. */
static uint64_t longest_gap(const struct avl_tree *tree, const struct memory_node *node)
{
    uint64_t gap = avl_gap_below(tree, node);

    gap = mapping_u64_max(gap, subtree_gap(tree, node->child[AVL_LEFT]));
    return mapping_u64_max(gap, subtree_gap(tree, node->child[AVL_RIGHT]));
}

/* Returns whether that changed what the node says. */
static bool mend(const struct avl_tree *tree, uint32_t link)
{
    struct memory_node *node = avl_at(tree, link);
    uint64_t gap = longest_gap(tree, node);
    bool has_changed = node->max_gap != gap;

    MAPPING_ASSERT(!avl_is_free(node));
    node->max_gap = gap;
    return has_changed;
}

/* ---- the way up ---- */

/* A gap of @gap bytes is new, or has become as long: tell it from @link upwards, below @end (0: to
 * the root). */
static void gain_gap(const struct avl_tree *tree, uint32_t link, uint32_t end, uint64_t gap)
{
    while (link != end && avl_at(tree, link)->max_gap < gap) {
        avl_at(tree, link)->max_gap = gap;
        link = avl_parent_of(avl_at(tree, link));
    }
}

/* A gap of @gap bytes is lost, or has become shorter: from @link upwards, below @end. */
static void lose_gap(const struct avl_tree *tree, uint32_t link, uint32_t end, uint64_t gap)
{
    while (link != end && avl_at(tree, link)->max_gap == gap && mend(tree, link)) {
        link = avl_parent_of(avl_at(tree, link));
    }
}

/* Compute anew whatever lies from @link upwards, below @end. */
static void mend_all(const struct avl_tree *tree, uint32_t link, uint32_t end)
{
    for (; link != end; link = avl_parent_of(avl_at(tree, link))) {
        mend(tree, link);
    }
}

/* ---- balance ---- */

/* Make @link (0: nothing) the child of @parent on @side, or the root if @parent is 0. */
static inline void put(struct avl_tree *tree, uint32_t parent, enum avl_side side, uint32_t link)
{
    if (parent == 0) {
        tree->root = link;
    } else {
        avl_at(tree, parent)->child[side] = link;
    }
    if (link != 0) {
        set_parent(avl_at(tree, link), parent);
    }
}

/* Put @with (0: nothing) where @link hangs. */
static inline void replace(struct avl_tree *tree, uint32_t link, uint32_t with)
{
    uint32_t parent = avl_parent_of(avl_at(tree, link));

    MAPPING_ASSERT(parent != 0 || tree->root == link);
    put(tree, parent, side_of(tree, parent, link), with);
}

/* The first drawing above; @side is where @low goes. Returns the one that came up. Leans are the
 * caller's. */
static uint32_t rotate(struct avl_tree *tree, uint32_t low, enum avl_side side)
{
    uint32_t high = avl_at(tree, low)->child[other_side(side)];

    MAPPING_ASSERT(high != 0);
    replace(tree, low, high);
    put(tree, low, other_side(side), avl_at(tree, high)->child[side]);
    put(tree, high, side, low);
    avl_at(tree, high)->max_gap = avl_at(tree, low)->max_gap;
    mend(tree, low);
    return high;
}

/* The second drawing; @heavy is where @link's subtree is two higher, and @child its top there. */
static uint32_t rotate_twice(struct avl_tree *tree, uint32_t link, uint32_t child,
                             enum avl_side heavy)
{
    enum avl_side light = other_side(heavy);
    uint32_t top = rotate(tree, child, heavy);
    enum avl_lean lean = avl_lean_of(avl_at(tree, top));

    MAPPING_ASSERT(avl_at(tree, link)->child[heavy] == top);
    rotate(tree, link, light);
    set_lean(avl_at(tree, link), lean == lean_to(heavy) ? lean_to(light) : AVL_EVEN);
    set_lean(avl_at(tree, child), lean == lean_to(light) ? lean_to(heavy) : AVL_EVEN);
    set_lean(avl_at(tree, top), AVL_EVEN);
    return top;
}

/* Make @link's subtree, which is two higher on the side @heavy, an AVL tree. Returns its top, which
 * is even if the subtree became one lower by that. */
static uint32_t rebalance(struct avl_tree *tree, uint32_t link, enum avl_side heavy)
{
    uint32_t child = avl_at(tree, link)->child[heavy];
    bool is_even = avl_lean_of(avl_at(tree, child)) == AVL_EVEN;

    MAPPING_ASSERT(child != 0);
    if (avl_lean_of(avl_at(tree, child)) == lean_to(other_side(heavy))) {
        return rotate_twice(tree, link, child, heavy);
    }
    rotate(tree, link, other_side(heavy));
    set_lean(avl_at(tree, link), is_even ? lean_to(heavy) : AVL_EVEN);
    set_lean(avl_at(tree, child), is_even ? lean_to(other_side(heavy)) : AVL_EVEN);
    return child;
}

/* The subtree of @link on @side has become one higher: balance upwards, until one is as high as it
 * was. */
static void grow(struct avl_tree *tree, uint32_t link, enum avl_side side)
{
    while (link != 0) {
        struct memory_node *node = avl_at(tree, link);
        enum avl_lean lean = avl_lean_of(node);
        uint32_t parent = avl_parent_of(node);

        MAPPING_ASSERT(lean != AVL_FREE);
        if (lean == lean_to(side)) {
            rebalance(tree, link, side);
            return;
        }
        if (lean != AVL_EVEN) {
            set_lean(node, AVL_EVEN);
            return;
        }
        set_lean(node, lean_to(side));
        side = side_of(tree, parent, link);
        link = parent;
    }
}

/* The same after it has become one lower. */
static void shrink(struct avl_tree *tree, uint32_t link, enum avl_side side)
{
    while (link != 0) {
        enum avl_lean lean = avl_lean_of(avl_at(tree, link));
        uint32_t parent;

        MAPPING_ASSERT(lean != AVL_FREE);
        if (lean == AVL_EVEN) {
            set_lean(avl_at(tree, link), lean_to(other_side(side)));
            return;
        }
        if (lean == lean_to(side)) {
            set_lean(avl_at(tree, link), AVL_EVEN);
        } else {
            link = rebalance(tree, link, other_side(side));
        }
        if (avl_lean_of(avl_at(tree, link)) != AVL_EVEN) {
            return;
        }
        parent = avl_parent_of(avl_at(tree, link));
        side = side_of(tree, parent, link);
        link = parent;
    }
}

/* ---- the public ones ---- */

void avl_init(struct avl_tree *tree, struct memory_node nodes[], size_t count)
{
    MAPPING_ASSERT(count <= AVL_NODES_MAX);
    MAPPING_ASSERT(nodes != NULL || count == 0);
    *tree = (struct avl_tree){.nodes = nodes};
    for (size_t i = 0; i < count; i++) {
        nodes[i] = (struct memory_node){.parent = AVL_FREE};
    }
}

struct memory_node *avl_first(const struct avl_tree *tree)
{
    uint32_t link = tree->root;

    if (link == 0) {
        return NULL;
    }
    while (avl_at(tree, link)->child[AVL_LEFT] != 0) {
        link = avl_at(tree, link)->child[AVL_LEFT];
    }
    return avl_at(tree, link);
}

/* The one above is the lowest on the right, or the first on the way up that has @node below it. */
struct memory_node *avl_next(const struct avl_tree *tree, const struct memory_node *node)
{
    uint32_t self = avl_link(tree, node);
    uint32_t link = node->child[AVL_RIGHT];

    MAPPING_ASSERT(!avl_is_free(node));
    if (link != 0) {
        while (avl_at(tree, link)->child[AVL_LEFT] != 0) {
            link = avl_at(tree, link)->child[AVL_LEFT];
        }
        return avl_at(tree, link);
    }
    link = avl_parent_of(node);
    while (link != 0 && avl_at(tree, link)->prev != self) {
        link = avl_parent_of(avl_at(tree, link));
    }
    return avl_at_or_null(tree, link);
}

/* What is below @above now comes just below it in order. */
static void set_prev(struct avl_tree *tree, struct memory_node *above, uint32_t below)
{
    if (above == NULL) {
        tree->last = below;
    } else {
        above->prev = below;
    }
}

/* What had one gap below @above, which is not NULL, has two now. */
static void mend_inserted(const struct avl_tree *tree, const struct memory_node *node,
                          const struct memory_node *above)
{
    uint32_t end = avl_link(tree, above);
    uint64_t gap = node->max_gap + node->area.range.size + avl_gap_below(tree, above);

    gain_gap(tree, avl_parent_of(node), end, node->max_gap);
    lose_gap(tree, end, 0, gap);
}

/* Either the one above has no left child, or the one below has no right child: there it goes. */
void avl_insert(struct avl_tree *tree, struct memory_node *node, struct memory_node *above)
{
    uint32_t link = avl_link(tree, node);
    uint32_t below = above == NULL ? tree->last : above->prev;
    bool is_left = above != NULL && above->child[AVL_LEFT] == 0;
    uint32_t parent = is_left ? avl_link(tree, above) : below;
    enum avl_side side = is_left ? AVL_LEFT : AVL_RIGHT;

    MAPPING_ASSERT(avl_is_free(node));
    MAPPING_ASSERT(above == NULL || !avl_is_free(above));
    node->child[AVL_LEFT] = 0;
    node->child[AVL_RIGHT] = 0;
    node->prev = below;
    node->parent = parent | AVL_EVEN;
    node->max_gap = avl_gap_below(tree, node);
    set_prev(tree, above, link);
    if (parent == 0) {
        MAPPING_ASSERT(tree->root == 0);
        tree->root = link;
        return;
    }
    MAPPING_ASSERT(avl_at(tree, parent)->child[side] == 0);
    avl_at(tree, parent)->child[side] = link;
    if (above == NULL) {
        gain_gap(tree, parent, 0, node->max_gap);
    } else {
        mend_inserted(tree, node, above);
    }
    grow(tree, parent, side);
}

/* @node has one child at most, which takes its place. The one above is that child, or on the way
 * up. */
static void unlink_outer(struct avl_tree *tree, struct memory_node *node, struct memory_node *above,
                         enum avl_mend when)
{
    uint32_t link = avl_link(tree, node);
    uint32_t parent = avl_parent_of(node);
    uint32_t child = node->child[AVL_LEFT] | node->child[AVL_RIGHT];
    enum avl_side side = side_of(tree, parent, link);

    MAPPING_ASSERT(node->child[AVL_LEFT] == 0 || node->child[AVL_RIGHT] == 0);
    put(tree, parent, side, child);
    if (when == AVL_MEND_NOW && node->child[AVL_RIGHT] == 0) {
        lose_gap(tree, parent, above == NULL ? 0 : avl_link(tree, above),
                 avl_gap_below(tree, node));
    }
    if (when == AVL_MEND_NOW && above != NULL) {
        avl_mend_longer(tree, above);
    }
    shrink(tree, parent, side);
}

/* @node has two children, and the one before it takes its place. Not the one after: that is what an
 * ascending removal takes next, and it would have to be replaced from below again and again. */
static void unlink_inner(struct avl_tree *tree, struct memory_node *node, struct memory_node *above,
                         enum avl_mend when)
{
    uint32_t heir = node->prev;
    struct memory_node *heir_node = avl_at(tree, heir);
    bool is_child = node->child[AVL_LEFT] == heir;
    uint32_t lowest = is_child ? heir : avl_parent_of(heir_node);

    MAPPING_ASSERT(heir_node->child[AVL_RIGHT] == 0);
    replace(tree, heir, heir_node->child[AVL_LEFT]);
    put(tree, heir, AVL_LEFT, node->child[AVL_LEFT]);
    put(tree, heir, AVL_RIGHT, node->child[AVL_RIGHT]);
    replace(tree, avl_link(tree, node), heir);
    set_lean(heir_node, avl_lean_of(node));
    heir_node->max_gap = node->max_gap;
    if (when == AVL_MEND_NOW) {
        lose_gap(tree, lowest, heir, avl_gap_below(tree, heir_node));
        avl_mend_longer(tree, above);
    } else {
        mend_all(tree, lowest, heir);
    }
    shrink(tree, lowest, is_child ? AVL_LEFT : AVL_RIGHT);
}

void avl_unlink(struct avl_tree *tree, struct memory_node *node, struct memory_node *above,
                enum avl_mend when)
{
    MAPPING_ASSERT(!avl_is_free(node));
    MAPPING_ASSERT((above == NULL ? tree->last : above->prev) == avl_link(tree, node));
    set_prev(tree, above, node->prev);
    if (node->child[AVL_LEFT] != 0 && node->child[AVL_RIGHT] != 0) {
        unlink_inner(tree, node, above, when);
    } else {
        unlink_outer(tree, node, above, when);
    }
    node->parent = AVL_FREE;
}

void avl_mend_longer(const struct avl_tree *tree, const struct memory_node *node)
{
    MAPPING_ASSERT(!avl_is_free(node));
    gain_gap(tree, avl_link(tree, node), 0, avl_gap_below(tree, node));
}

void avl_mend_around(const struct avl_tree *tree, const struct memory_node *above)
{
    bool is_lower = above != NULL && above->child[AVL_LEFT] == 0;
    uint32_t below = above == NULL ? tree->last : above->prev;

    mend_all(tree, is_lower ? avl_link(tree, above) : below, 0);
}

/* ---- gaps ---- */

/* The lowest node in the subtree of @link, which has one, with a gap of @size below it. */
static struct memory_node *lowest_gap(const struct avl_tree *tree, size_t link, uint64_t size)
{
    for (;;) {
        struct memory_node *node = avl_at(tree, link);
        size_t left = node->child[AVL_LEFT];

        MAPPING_ASSERT(node->max_gap >= size);
        if (left != 0 && avl_at(tree, left)->max_gap >= size) {
            link = left;
        } else if (avl_gap_below(tree, node) >= size) {
            return node;
        } else {
            link = node->child[AVL_RIGHT];
        }
    }
}

/* On the way up, nodes that have @node on their left come next, each before what is on its right. A
 * subtree without a long gap is never entered. */
struct memory_node *avl_next_gap(const struct avl_tree *tree, const struct memory_node *node,
                                 uint64_t size)
{
    size_t link = avl_link(tree, node);
    size_t right = node->child[AVL_RIGHT];

    while (right == 0 || avl_at(tree, right)->max_gap < size) {
        size_t from = link;
        struct memory_node *parent;

        link = avl_parent_of(avl_at(tree, link));
        if (link == 0) {
            return NULL;
        }
        parent = avl_at(tree, link);
        right = parent->child[AVL_RIGHT];
        if (right == from) {
            right = 0;
        } else if (avl_gap_below(tree, parent) >= size) {
            return parent;
        }
    }
    return lowest_gap(tree, right, size);
}

/* Down to @from, as far as there are long gaps at all. Where that ends on the left of a node, this
 * is the next one; on its right there is nothing to be found. */
struct memory_node *avl_first_gap(const struct avl_tree *tree, ipa_t from, uint64_t size)
{
    struct memory_node *node = NULL;
    size_t link = tree->root;

    MAPPING_ASSERT(size != 0);
    while (link != 0 && avl_at(tree, link)->max_gap >= size) {
        node = avl_at(tree, link);
        link = node->child[avl_side_for(node, from)];
    }
    if (node == NULL ||
        (ipa_lt(from, node->area.range.start) && avl_gap_below(tree, node) >= size)) {
        return node;
    }
    return avl_next_gap(tree, node, size);
}

/* ---- the validator ---- */

/* No tree of AVL_NODES_MAX nodes is higher: one of 38 has Fibonacci(41) - 1 nodes at least. */
#define HEIGHT_MAX 37

/* Each node is passed three times: when it is entered, when what is on its left is done, and when
 * what is on its right is done. */
enum pass { ENTERED, LEFT_DONE, RIGHT_DONE };

struct walk {
    const struct avl_tree *tree;
    size_t node_count;
    size_t seen;    /* nodes entered */
    uint32_t link;  /* where the walk is; 0: it is done */
    uint32_t lower; /* the last one that was LEFT_DONE: the one before, in order */
    enum pass pass;
    unsigned depth; /* of link; the root's is 0 */
    int height;     /* of the subtree that was left last */
    int left_height[HEIGHT_MAX];
};

/* Every node is entered from its parent alone, and a second time only to be found in the wrong
 * place: so a walk comes to an end. Its area is looked at before anything is derived from it. */
static bool enter(struct walk *walk, uint32_t link, uint32_t parent)
{
    if (!avl_is_link(link, walk->node_count) || walk->depth == HEIGHT_MAX) {
        return false;
    }
    walk->seen++;
    walk->link = link;
    walk->pass = ENTERED;
    return avl_parent_of(avl_at(walk->tree, link)) == parent &&
           ipa_range_is_valid(avl_at(walk->tree, link)->area.range);
}

static bool descend(struct walk *walk, enum avl_side side, enum pass when_done)
{
    uint32_t child = avl_at(walk->tree, walk->link)->child[side];

    if (child != 0) {
        walk->depth++;
        return enter(walk, child, walk->link);
    }
    walk->height = 0;
    walk->pass = when_done;
    return true;
}

/* Order, and the one below. */
static bool check_place(struct walk *walk, const struct memory_node *node)
{
    if (node->prev != walk->lower) {
        return false;
    }
    walk->lower = walk->link;
    return node->prev == 0 || ipa_le(ipa_range_end(avl_at(walk->tree, node->prev)->area.range),
                                     node->area.range.start);
}

/* Lean and gap; then the walk goes up. */
static bool leave(struct walk *walk, const struct memory_node *node)
{
    static const enum avl_lean leans[] = {AVL_RIGHT_HIGH, AVL_EVEN, AVL_LEFT_HIGH};
    int left = walk->left_height[walk->depth];
    int higher = left - walk->height;
    uint32_t parent = avl_parent_of(node);

    if (higher < -1 || higher > 1 || avl_lean_of(node) != leans[higher + 1] ||
        node->max_gap != longest_gap(walk->tree, node)) {
        return false;
    }
    walk->height = 1 + (higher > 0 ? left : walk->height);
    walk->pass = side_of(walk->tree, parent, walk->link) == AVL_LEFT ? LEFT_DONE : RIGHT_DONE;
    walk->link = parent;
    walk->depth--;
    return true;
}

static bool pass_on(struct walk *walk)
{
    const struct memory_node *node = avl_at(walk->tree, walk->link);

    if (walk->pass == ENTERED) {
        return descend(walk, AVL_LEFT, LEFT_DONE);
    }
    if (walk->pass == LEFT_DONE) {
        walk->left_height[walk->depth] = walk->height;
        return check_place(walk, node) && descend(walk, AVL_RIGHT, RIGHT_DONE);
    }
    return leave(walk, node);
}

bool avl_check(const struct avl_tree *tree, size_t node_count, size_t *used)
{
    struct walk walk = {.tree = tree, .node_count = node_count};

    if (tree->root != 0 && !enter(&walk, tree->root, 0)) {
        return false;
    }
    while (walk.link != 0) {
        if (!pass_on(&walk)) {
            return false;
        }
    }
    if (walk.lower != tree->last) {
        return false;
    }
    *used = walk.seen;
    return true;
}
