/*
 * memory_set.c - see memory_set.h for the contract.
 *
 * What a piece P does to the area A that it lies in:
 *
 *      A  [=======]      [=======]      [=======]      [=======]
 *      P  #########      ####                ####         ###
 *
 *   unmap                    [===]      [===]          [==]   [=]
 *         node freed     start moves    end moves      end moves, and one new node above
 *
 *   protect
 *         [#######]      [##][===]      [===][###]     [=][###][=]
 *         flags set      one new node   one new node   two new nodes
 *
 *         and if the flags are what they were, A stays as it is: only the backend is called
 *
 * A split keeps the node for the lower part and takes a new one for the upper part. Only the first
 * and the last area of a range can stick out of it, so no operation needs more than two nodes, and
 * they are counted before anything else is done. Changing the books can then not fail, and they are
 * changed after the backend's call: one that refuses leaves set and backend in agreement.
 *
 * Aggregates are mended once, at the end of an operation (avl.h says why); until then only order
 * and links are relied on.
 */
#include "core/memory_set.h"

#include "core/assert.h"

/* ---- nodes and aggregates ---- */

static struct memory_node *node_of_link(struct avl_node *link)
{
    _Static_assert(offsetof(struct memory_node, link) == 0, "the link comes first");
    return (struct memory_node *)link;
}

static const struct memory_node *node_of_area(const struct memory_area *area)
{
    const char *bytes = (const char *)area - offsetof(struct memory_node, area);

    return (const struct memory_node *)(const void *)bytes;
}

static struct memory_node *node_child(const struct memory_node *node, enum avl_side side)
{
    return node_of_link(node->link.child[side]);
}

static struct memory_node *set_root(const struct memory_set *set)
{
    return node_of_link(set->tree.root);
}

static struct memory_node *node_next(const struct memory_node *node)
{
    return node_of_link(avl_next(&node->link));
}

static ipa_t node_start(const struct memory_node *node)
{
    return node->area.range.start;
}

static ipa_t node_end(const struct memory_node *node)
{
    return ipa_range_end(node->area.range);
}

static const struct memory_area *area_or_null(const struct memory_node *node)
{
    return node == NULL ? NULL : &node->area;
}

/*
 * What a node knows about its subtree, from its children only:
 *
 *     first                                                        last
 *      [====]..[==]    gap     [== node ==]     gap     [===]...[====]
 *      left subtree                                    right subtree
 *      with its max_gap                                with its max_gap
 */
struct subtree {
    ipa_t first;
    ipa_t last;
    uint64_t max_gap;
};

/* In the middle of an operation the tree asks with children that are still stale (avl.h), and may
 * get any answer; it asks again in the end. */
static uint64_t gap_between(ipa_t end, ipa_t start)
{
    return ipa_le(end, start) ? ipa_distance(end, start) : 0;
}

static struct subtree subtree_of(const struct memory_node *node)
{
    const struct memory_node *left = node_child(node, AVL_LEFT);
    const struct memory_node *right = node_child(node, AVL_RIGHT);
    struct subtree sum = {node_start(node), node_end(node), 0};

    if (left != NULL) {
        sum.first = left->first;
        sum.max_gap = u64_max(left->max_gap, gap_between(left->last, node_start(node)));
    }
    if (right != NULL) {
        uint64_t gap = u64_max(right->max_gap, gap_between(node_end(node), right->first));

        sum.last = right->last;
        sum.max_gap = u64_max(sum.max_gap, gap);
    }
    return sum;
}

static void update_node(struct avl_node *link)
{
    struct memory_node *node = node_of_link(link);
    struct subtree sum = subtree_of(node);

    node->first = sum.first;
    node->last = sum.last;
    node->max_gap = sum.max_gap;
}

static struct memory_node *take_node(struct memory_set *set)
{
    struct memory_node *node = set->free;

    MAPPING_ASSERT(node != NULL && set->free_count != 0);
    MAPPING_ASSERT(node->link.height == 0);
    set->free = node_child(node, AVL_RIGHT);
    set->free_count--;
    node->link.child[AVL_RIGHT] = NULL;
    return node;
}

static void give_node(struct memory_set *set, struct memory_node *node)
{
    MAPPING_ASSERT(node->link.height == 0);
    MAPPING_ASSERT(set->free_count < set->node_count);
    MAPPING_ASSERT(node >= set->nodes && node < set->nodes + set->node_count);
    node->link.child[AVL_RIGHT] = set->free == NULL ? NULL : &set->free->link;
    set->free = node;
    set->free_count++;
}

void memory_set_init(struct memory_set *set, struct memory_node nodes[], size_t node_count)
{
    MAPPING_ASSERT(set != NULL);
    MAPPING_ASSERT(nodes != NULL || node_count == 0);
    *set = (struct memory_set){.nodes = nodes, .node_count = node_count};
    avl_init(&set->tree, update_node);
    for (size_t i = node_count; i > 0; i--) {
        nodes[i - 1] = (struct memory_node){.is_chosen = false};
        give_node(set, &nodes[i - 1]);
    }
}

/* ---- looking ---- */

/* The lowest area that holds @addr or lies above it. */
static struct memory_node *first_ending_after(const struct memory_set *set, ipa_t addr)
{
    struct memory_node *found = NULL;
    struct memory_node *node = set_root(set);

    while (node != NULL) {
        if (ipa_lt(addr, node_end(node))) {
            found = node;
            node = node_child(node, AVL_LEFT);
        } else {
            node = node_child(node, AVL_RIGHT);
        }
    }
    return found;
}

/* The highest area that starts below @addr. */
static struct memory_node *last_starting_below(const struct memory_set *set, ipa_t addr)
{
    struct memory_node *found = NULL;
    struct memory_node *node = set_root(set);

    while (node != NULL) {
        if (ipa_lt(node_start(node), addr)) {
            found = node;
            node = node_child(node, AVL_RIGHT);
        } else {
            node = node_child(node, AVL_LEFT);
        }
    }
    return found;
}

size_t memory_set_len(const struct memory_set *set)
{
    return set->node_count - set->free_count;
}

bool memory_set_is_empty(const struct memory_set *set)
{
    return set->tree.root == NULL;
}

bool memory_set_overlaps(const struct memory_set *set, struct ipa_range range)
{
    const struct memory_node *node = first_ending_after(set, range.start);

    if (node == NULL || range.size == 0) {
        return false;
    }
    return ipa_range_wraps(range) || ipa_lt(node_start(node), ipa_range_end(range));
}

const struct memory_area *memory_set_find(const struct memory_set *set, ipa_t addr)
{
    const struct memory_node *node = first_ending_after(set, addr);

    return node != NULL && ipa_le(node_start(node), addr) ? &node->area : NULL;
}

const struct memory_area *memory_set_find_from(const struct memory_set *set, ipa_t addr)
{
    const struct memory_node *node = first_ending_after(set, addr);

    return node == NULL ? NULL : &node->area;
}

const struct memory_area *memory_set_first(const struct memory_set *set)
{
    return area_or_null(node_of_link(avl_first(&set->tree)));
}

const struct memory_area *memory_set_next(const struct memory_set *set,
                                          const struct memory_area *area)
{
    const struct memory_node *node = node_of_area(area);

    MAPPING_ASSERT(node >= set->nodes && node < set->nodes + set->node_count);
    MAPPING_ASSERT(node->link.height != 0);
    return area_or_null(node_next(node));
}

/* ---- free space ---- */

/* A place for @size bytes at a multiple of @align, in [from, to). */
struct search {
    ipa_t from;
    ipa_t to;
    uint64_t size;
    uint64_t align;
};

/* The lowest place in what [start, end) has in common with the search. */
static bool fits_between(const struct search *want, ipa_t start, ipa_t end, ipa_t *place)
{
    ipa_t aligned;

    MAPPING_ASSERT(want->size != 0);
    end = ipa_min(end, want->to);
    if (!ipa_align_up(ipa_max(start, want->from), want->align, &aligned)) {
        return false;
    }
    if (ipa_lt(end, aligned) || ipa_distance(aligned, end) < want->size) {
        return false;
    }
    *place = aligned;
    return true;
}

/* The hole between @node and what its subtree holds on its left, or right, side. */
static bool fits_left_of(const struct search *want, const struct memory_node *node, ipa_t *place)
{
    const struct memory_node *left = node_child(node, AVL_LEFT);

    return left != NULL && fits_between(want, left->last, node_start(node), place);
}

static bool fits_right_of(const struct search *want, const struct memory_node *node, ipa_t *place)
{
    const struct memory_node *right = node_child(node, AVL_RIGHT);

    return right != NULL && fits_between(want, node_end(node), right->first, place);
}

/* The next node with a hole beside it worth a look, when all up to the right-hand hole of @node has
 * been seen: the lowest in its right subtree that has no long hole further left; where there is no
 * long hole in there at all, the one that has @node in its left subtree. */
static const struct memory_node *skip_short_gaps(const struct search *want,
                                                 const struct memory_node *node)
{
    const struct memory_node *below = node_child(node, AVL_RIGHT);
    const struct avl_node *link = &node->link;

    if (below != NULL && below->max_gap >= want->size) {
        do {
            node = below;
            below = node_child(node, AVL_LEFT);
        } while (below != NULL && below->max_gap >= want->size);
        return node;
    }
    while (link->parent != NULL && link->parent->child[AVL_RIGHT] == link) {
        link = link->parent;
    }
    return node_of_link(link->parent);
}

/*
 * The holes are looked at in ascending order: the one that holds `from`, if that is free; those
 * between areas, where every hole lies just left or just right of exactly one node's subtree; and
 * the one above all areas. A subtree without a long hole is never entered.
 */
static bool search_up(const struct memory_set *set, const struct search *want, ipa_t *place)
{
    const struct memory_node *node = first_ending_after(set, want->from);

    if (node == NULL) {
        return fits_between(want, want->from, want->to, place);
    }
    if (fits_between(want, want->from, node_start(node), place)) {
        return true;
    }
    while (!fits_right_of(want, node, place)) {
        node = skip_short_gaps(want, node);
        if (node == NULL) {
            return fits_between(want, set_root(set)->last, want->to, place);
        }
        if (fits_left_of(want, node, place)) {
            return true;
        }
        if (ipa_le(want->to, node_end(node))) {
            return false;
        }
    }
    return true;
}

enum mapping_error memory_set_find_free(const struct memory_set *set, ipa_t hint, uint64_t size,
                                        uint64_t align, struct ipa_range limit, ipa_t *start)
{
    struct search want = {limit.start, limit.start, size, align};
    ipa_t aligned;

    if (size == 0 || !u64_is_pow2(align) || !ipa_range_is_valid(limit)) {
        return MAPPING_INVALID_PARAM;
    }
    MAPPING_ASSERT(start != NULL);
    want.to = ipa_range_end(limit);
    if (ipa_align_up(hint, align, &aligned)) {
        want.from = ipa_max(aligned, limit.start);
        if (search_up(set, &want, start)) {
            return MAPPING_OK;
        }
        want.from = limit.start;
    }
    /* Nothing fits at the hint or above, so the lowest place of all, if any, lies below it. */
    return search_up(set, &want, start) ? MAPPING_OK : MAPPING_NOT_FOUND;
}

/* ---- operations: pieces, and the two phases ---- */

/* One call of memory_set_map(), _unmap(), _protect() or _clear(). Its pieces are what the areas
 * have in common with @range; when protecting, only of the areas that were chosen. */
struct operation {
    struct memory_set *set;
    void *page_table;
    struct ipa_range range;
    enum mapping_step step;                   /* what happens to the areas found in @range */
    const struct mapping_backend_ops *opened; /* whose begin was called; NULL: nobody's */
    bool has_changed;                         /* a backend has made its first change */
};

/* @node or the first one after it that the operation changes; NULL: none. */
static struct memory_node *piece_from(const struct operation *op, struct memory_node *node)
{
    ipa_t end = ipa_range_end(op->range);

    while (node != NULL && ipa_lt(node_start(node), end)) {
        if (op->step != MAPPING_STEP_PROTECT || node->is_chosen) {
            return node;
        }
        node = node_next(node);
    }
    return NULL;
}

static struct memory_node *first_piece(const struct operation *op)
{
    if (op->range.size == 0) {
        return NULL;
    }
    return piece_from(op, first_ending_after(op->set, op->range.start));
}

static struct memory_node *next_piece(const struct operation *op, const struct memory_node *node)
{
    return piece_from(op, node_next(node));
}

static struct ipa_range piece_range(const struct operation *op, const struct memory_node *node)
{
    MAPPING_ASSERT(ipa_range_overlaps(node->area.range, op->range));
    return ipa_range_meet(node->area.range, op->range);
}

/* How many of its two ends @node sticks out of @range with. */
static size_t overhangs(const struct memory_node *node, struct ipa_range range)
{
    return (ipa_lt(node_start(node), range.start) ? 1U : 0U) +
           (ipa_lt(ipa_range_end(range), node_end(node)) ? 1U : 0U);
}

/* Phase 1 of one piece: open with the first backend that can, then hold. */
static enum mapping_error hold(struct operation *op, const struct mapping_backend *backend,
                               const struct mapping_change *change)
{
    MAPPING_ASSERT(mapping_backend_is_complete(backend));
    MAPPING_ASSERT(!op->has_changed);
    MAPPING_ASSERT(ipa_range_is_valid(change->range));
    if (backend->ops->reserve == NULL) {
        return MAPPING_OK;
    }
    if (op->opened == NULL) {
        enum mapping_error error = backend->ops->begin(op->page_table);

        if (error != MAPPING_OK) {
            return error;
        }
        op->opened = backend->ops;
    }
    return backend->ops->reserve(backend, change, op->page_table);
}

static enum mapping_error hold_pieces(struct operation *op)
{
    enum mapping_error error = MAPPING_OK;
    struct memory_node *node = first_piece(op);

    for (; node != NULL && error == MAPPING_OK; node = next_piece(op, node)) {
        struct mapping_change change = {
            .step = op->step,
            .range = piece_range(op, node),
            .old_flags = node->area.flags,
            .new_flags = op->step == MAPPING_STEP_PROTECT ? node->proposed : 0,
        };

        error = hold(op, &node->area.backend, &change);
    }
    return error;
}

/* Phase 2: what a backend's answer to a change means for the operation. */
static enum mapping_error judge(struct operation *op, enum mapping_error answer)
{
    if (answer == MAPPING_OK) {
        op->has_changed = true;
    } else if (op->has_changed) {
        answer = MAPPING_BAD_STATE;
    }
    return answer;
}

/* Mend the aggregates. All that changed lies between the area below @range and the one above it;
 * one further, as a merge reaches over the upper end. */
static void refresh_around(const struct memory_set *set, struct ipa_range range)
{
    struct memory_node *first = last_starting_below(set, range.start);
    struct memory_node *last = first_ending_after(set, ipa_range_end(range));

    if (set->tree.root == NULL) {
        return;
    }
    if (last != NULL) {
        last = node_next(last);
    }
    avl_refresh(&set->tree, first == NULL ? avl_first(&set->tree) : &first->link,
                last == NULL ? avl_last(&set->tree) : &last->link);
}

/* The last thing that an operation does, whatever its outcome, which is handed back. */
static enum mapping_error finish(struct operation *op, enum mapping_error outcome)
{
    MAPPING_ASSERT(outcome == MAPPING_OK || outcome == MAPPING_BAD_STATE || !op->has_changed);
    if (op->has_changed) {
        refresh_around(op->set, op->range);
    }
    if (op->opened != NULL) {
        op->opened->end(op->page_table, outcome);
    }
    return outcome;
}

/* ---- operations: the books ---- */

static void link_node(struct memory_set *set, struct memory_node *node)
{
    struct memory_node *below = last_starting_below(set, node_start(node));

    MAPPING_ASSERT(below == NULL || ipa_le(node_end(below), node_start(node)));
    avl_insert_after(&set->tree, below == NULL ? NULL : &below->link, &node->link);
}

static void drop_node(struct memory_set *set, struct memory_node *node)
{
    avl_unlink(&set->tree, &node->link);
    give_node(set, node);
}

/* Make two areas of one: @node keeps what lies below @at, which is inside. Returns the other. */
static struct memory_node *split(struct memory_set *set, struct memory_node *node, ipa_t at)
{
    struct memory_node *upper = take_node(set);

    MAPPING_ASSERT(ipa_lt(node_start(node), at) && ipa_lt(at, node_end(node)));
    upper->area = node->area;
    upper->area.range = ipa_range_between(at, node_end(node));
    node->area.range = ipa_range_between(node_start(node), at);
    avl_insert_after(&set->tree, &node->link, &upper->link);
    return upper;
}

/* Make @part, which lies in @node's area, an area of its own. Returns its node. */
static struct memory_node *isolate(struct memory_set *set, struct memory_node *node,
                                   struct ipa_range part)
{
    MAPPING_ASSERT(ipa_range_covers(node->area.range, part));
    if (ipa_lt(node_start(node), part.start)) {
        node = split(set, node, part.start);
    }
    if (ipa_lt(ipa_range_end(part), node_end(node))) {
        split(set, node, ipa_range_end(part));
    }
    MAPPING_ASSERT(ipa_range_eq(node->area.range, part));
    return node;
}

/* Take @part out of @node's area. */
static void cut(struct memory_set *set, struct memory_node *node, struct ipa_range part)
{
    bool has_lower = ipa_lt(node_start(node), part.start);
    bool has_upper = ipa_lt(ipa_range_end(part), node_end(node));

    MAPPING_ASSERT(ipa_range_covers(node->area.range, part));
    if (has_lower && has_upper) {
        split(set, node, ipa_range_end(part));
    }
    if (has_lower) {
        node->area.range = ipa_range_between(node_start(node), part.start);
    } else if (has_upper) {
        node->area.range = ipa_range_between(ipa_range_end(part), node_end(node));
    } else {
        drop_node(set, node);
    }
}

/* ---- operations: the public ones ---- */

static enum mapping_error commit_unmap(struct operation *op)
{
    enum mapping_error error = MAPPING_OK;
    struct memory_node *node = first_piece(op);

    MAPPING_ASSERT(op->step == MAPPING_STEP_UNMAP);
    while (node != NULL) {
        struct memory_node *next = next_piece(op, node);
        struct ipa_range part = piece_range(op, node);
        const struct mapping_backend *backend = &node->area.backend;

        error = judge(op, backend->ops->unmap(backend, part, op->page_table));
        if (error != MAPPING_OK) {
            break;
        }
        cut(op->set, node, part);
        node = next;
    }
    MAPPING_ASSERT(error != MAPPING_OK || first_piece(op) == NULL);
    return error;
}

static enum mapping_error commit_map(struct operation *op, const struct memory_area *area)
{
    const struct mapping_backend *backend = &area->backend;
    enum mapping_error error;

    MAPPING_ASSERT(!memory_set_overlaps(op->set, area->range));
    error = judge(op, backend->ops->map(backend, area->range, area->flags, op->page_table));
    if (error == MAPPING_OK) {
        struct memory_node *node = take_node(op->set);

        node->area = *area;
        link_node(op->set, node);
    }
    return error;
}

/* Whether the flags that the area of @node was chosen for are others than it has. */
static bool gets_other_flags(const struct memory_node *node)
{
    return node->is_chosen && node->proposed != node->area.flags;
}

static enum mapping_error commit_protect(struct operation *op)
{
    enum mapping_error error = MAPPING_OK;
    struct memory_node *node = first_piece(op);

    MAPPING_ASSERT(op->step == MAPPING_STEP_PROTECT);
    while (node != NULL) {
        struct memory_node *next = next_piece(op, node);
        struct ipa_range part = piece_range(op, node);
        const struct mapping_backend *backend = &node->area.backend;
        mapping_flags_t flags = node->proposed;

        error = judge(op, backend->ops->protect(backend, part, flags, op->page_table));
        if (error != MAPPING_OK) {
            break;
        }
        if (gets_other_flags(node)) {
            isolate(op->set, node, part)->area.flags = flags;
        }
        node = next;
    }
    return error;
}

/* Nodes that a replacement needs beyond those that it frees before it maps. An area that it covers
 * whole gives the one that it takes; one that it lies inside becomes two. */
static size_t nodes_to_replace(const struct operation *op)
{
    struct memory_node *node = first_piece(op);

    if (node != NULL && overhangs(node, op->range) == 2) {
        return 2;
    }
    for (; node != NULL; node = next_piece(op, node)) {
        if (overhangs(node, op->range) == 0) {
            return 0;
        }
    }
    return 1;
}

static bool policy_is_known(enum overlap_policy policy)
{
    return policy == OVERLAP_REJECT || policy == OVERLAP_UNMAP;
}

enum mapping_error memory_set_map(struct memory_set *set, struct memory_area area, void *page_table,
                                  enum overlap_policy policy)
{
    struct operation op = {set, page_table, area.range, MAPPING_STEP_UNMAP, NULL, false};
    struct mapping_change change = {MAPPING_STEP_MAP, area.range, 0, area.flags};
    enum mapping_error error;

    if (!ipa_range_is_valid(area.range) || !mapping_backend_is_complete(&area.backend) ||
        !policy_is_known(policy)) {
        return MAPPING_INVALID_PARAM;
    }
    if (policy == OVERLAP_REJECT && first_piece(&op) != NULL) {
        return MAPPING_ALREADY_EXISTS;
    }
    if (nodes_to_replace(&op) > set->free_count) {
        return MAPPING_NO_NODE;
    }
    error = hold_pieces(&op);
    if (error == MAPPING_OK) {
        error = hold(&op, &area.backend, &change);
    }
    if (error == MAPPING_OK) {
        error = commit_unmap(&op);
    }
    if (error == MAPPING_OK) {
        error = commit_map(&op, &area);
    }
    return finish(&op, error);
}

enum mapping_error memory_set_unmap(struct memory_set *set, struct ipa_range range,
                                    void *page_table)
{
    struct operation op = {set, page_table, range, MAPPING_STEP_UNMAP, NULL, false};
    const struct memory_node *node;
    enum mapping_error error;

    if (ipa_range_wraps(range)) {
        return MAPPING_INVALID_PARAM;
    }
    node = first_piece(&op);
    if (node != NULL && overhangs(node, range) == 2 && set->free_count == 0) {
        return MAPPING_NO_NODE;
    }
    error = hold_pieces(&op);
    if (error == MAPPING_OK) {
        error = commit_unmap(&op);
    }
    return finish(&op, error);
}

/* Ask for every area in the operation's range whether it changes, and to what. Returns the nodes
 * that the splits need. */
static size_t choose_areas(const struct operation *op, memory_set_update_fn update, void *arg)
{
    ipa_t end = ipa_range_end(op->range);
    struct memory_node *node = first_ending_after(op->set, op->range.start);
    size_t needed = 0;

    for (; node != NULL && ipa_lt(node_start(node), end); node = node_next(node)) {
        node->proposed = node->area.flags;
        node->is_chosen = update(node->area.flags, arg, &node->proposed);
        needed += gets_other_flags(node) ? overhangs(node, op->range) : 0;
    }
    MAPPING_ASSERT(needed <= 2); /* only the first and the last area can stick out */
    return needed;
}

enum mapping_error memory_set_protect(struct memory_set *set, struct ipa_range range,
                                      memory_set_update_fn update, void *arg, void *page_table)
{
    struct operation op = {set, page_table, range, MAPPING_STEP_PROTECT, NULL, false};
    enum mapping_error error;

    if (ipa_range_wraps(range) || update == NULL) {
        return MAPPING_INVALID_PARAM;
    }
    if (range.size == 0) {
        return MAPPING_OK;
    }
    if (choose_areas(&op, update, arg) > set->free_count) {
        return MAPPING_NO_NODE;
    }
    error = hold_pieces(&op);
    if (error == MAPPING_OK) {
        error = commit_protect(&op);
    }
    return finish(&op, error);
}

enum mapping_error memory_set_clear(struct memory_set *set, void *page_table)
{
    const struct memory_node *root = set_root(set);
    enum mapping_error error;

    if (root == NULL) {
        return MAPPING_OK;
    }
    error = memory_set_unmap(set, ipa_range_between(root->first, root->last), page_table);
    MAPPING_ASSERT(error != MAPPING_OK || memory_set_is_empty(set));
    return error;
}

/* The lowest area that overlaps or touches @range from below, or lies above. */
static struct memory_node *first_touching(const struct memory_set *set, struct ipa_range range)
{
    struct memory_node *node = last_starting_below(set, range.start);

    if (node != NULL && ipa_le(range.start, node_end(node))) {
        return node;
    }
    return node == NULL ? node_of_link(avl_first(&set->tree)) : node_next(node);
}

enum mapping_error memory_set_merge(struct memory_set *set, struct ipa_range range)
{
    struct memory_node *node;
    struct memory_node *next;

    if (ipa_range_wraps(range)) {
        return MAPPING_INVALID_PARAM;
    }
    node = first_touching(set, range);
    while (node != NULL && (next = node_next(node)) != NULL &&
           ipa_le(node_start(next), ipa_range_end(range))) {
        if (memory_area_continues(&node->area, &next->area)) {
            node->area.range = ipa_range_between(node_start(node), node_end(next));
            drop_node(set, next);
        } else {
            node = next;
        }
    }
    refresh_around(set, range);
    return MAPPING_OK;
}

/* ---- the validator ---- */

static const struct memory_node *node_of_const_link(const struct avl_node *link)
{
    return (const struct memory_node *)link;
}

static bool check_order(const struct avl_node *lower, const struct avl_node *upper)
{
    return ipa_le(node_end(node_of_const_link(lower)), node_start(node_of_const_link(upper)));
}

/* The area itself, its place between its subtrees, and the aggregates. In this order: each may
 * only be computed if what comes before is in order. */
static bool check_node(const struct avl_node *link)
{
    const struct memory_node *node = node_of_const_link(link);
    const struct memory_node *left = node_child(node, AVL_LEFT);
    const struct memory_node *right = node_child(node, AVL_RIGHT);
    struct subtree sum;

    if (!ipa_range_is_valid(node->area.range) ||
        !mapping_backend_is_complete(&node->area.backend)) {
        return false;
    }
    if ((left != NULL && ipa_lt(node_start(node), left->last)) ||
        (right != NULL && ipa_lt(right->first, node_end(node)))) {
        return false;
    }
    sum = subtree_of(node);
    return ipa_eq(node->first, sum.first) && ipa_eq(node->last, sum.last) &&
           node->max_gap == sum.max_gap;
}

static bool set_owns(const struct memory_set *set, const struct memory_node *node)
{
    return node >= set->nodes && node < set->nodes + set->node_count;
}

static bool check_free_nodes(const struct memory_set *set)
{
    const struct memory_node *node = set->free;
    size_t count = 0;

    for (; node != NULL; node = node_child(node, AVL_RIGHT)) {
        if (!set_owns(set, node) || node->link.height != 0 || count == set->free_count) {
            return false;
        }
        count++;
    }
    return count == set->free_count;
}

bool memory_set_check(const struct memory_set *set)
{
    static const struct avl_checks checks = {check_order, check_node};
    const struct avl_node *link;
    size_t used = 0;

    if (!check_free_nodes(set) || !avl_check(&set->tree, &checks)) {
        return false;
    }
    for (link = avl_first(&set->tree); link != NULL; link = avl_next(link)) {
        if (!set_owns(set, node_of_const_link(link))) {
            return false;
        }
        used++;
    }
    return used + set->free_count == set->node_count;
}
