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
 * A verb searches once. What it finds, the first piece and the area above the place, is kept in the
 * operation and handed from the check to the holding and on to the changes. Gaps are mended with
 * each piece if there is one alone, else once after the last one (avl.h says why).
 */
#include "core/memory_set.h"

#include "core/assert.h"

/* ---- nodes ---- */

static const struct memory_node *node_of_area(const struct memory_area *area)
{
    const char *bytes = (const char *)area - offsetof(struct memory_node, area);

    return (const struct memory_node *)(const void *)bytes;
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

static bool set_owns(const struct memory_set *set, const struct memory_node *node)
{
    return node >= set->tree.nodes && node < set->tree.nodes + set->node_count;
}

static struct memory_node *take_node(struct memory_set *set)
{
    struct memory_node *node;

    MAPPING_ASSERT(set->free != 0 && set->free_count != 0);
    node = avl_at(&set->tree, set->free);
    set->free = node->child[AVL_RIGHT];
    set->free_count--;
    return node;
}

static void give_node(struct memory_set *set, struct memory_node *node)
{
    MAPPING_ASSERT(avl_is_free(node));
    MAPPING_ASSERT(set->free_count < set->node_count);
    node->child[AVL_RIGHT] = set->free;
    set->free = avl_link(&set->tree, node);
    set->free_count++;
}

void memory_set_init(struct memory_set *set, struct memory_node nodes[], size_t node_count)
{
    MAPPING_ASSERT(set != NULL);
    *set = (struct memory_set){.node_count = node_count};
    avl_init(&set->tree, nodes, node_count);
    for (size_t i = node_count; i > 0; i--) {
        give_node(set, &nodes[i - 1]);
    }
    MAPPING_ASSERT(set->free_count == node_count);
}

/* ---- looking ---- */

/* The highest area that does not start above @addr: the only one that can hold it. NULL: none. A
 * search ends at that one, or at the lowest one that does start above. */
static inline struct memory_node *highest_from(const struct memory_set *set, ipa_t addr)
{
    struct memory_node *node = NULL;
    enum avl_side side = AVL_RIGHT;
    size_t link = set->tree.root;

    while (link != 0) {
        node = avl_at(&set->tree, link);
        side = avl_side_for(node, addr);
        link = node->child[side];
    }
    return side == AVL_RIGHT ? node : avl_prev(&set->tree, node);
}

/* The one after @node; the lowest one if that is NULL. NULL: there is none. */
static struct memory_node *next_or_first(const struct memory_set *set,
                                         const struct memory_node *node)
{
    return node == NULL ? avl_first(&set->tree) : avl_next(&set->tree, node);
}

/* The lowest area that holds @addr or lies above it. */
static struct memory_node *first_ending_after(const struct memory_set *set, ipa_t addr)
{
    struct memory_node *node = highest_from(set, addr);

    return node != NULL && ipa_lt(addr, node_end(node)) ? node : next_or_first(set, node);
}

size_t memory_set_len(const struct memory_set *set)
{
    MAPPING_ASSERT(set->free_count <= set->node_count);
    return set->node_count - set->free_count;
}

bool memory_set_is_empty(const struct memory_set *set)
{
    return set->tree.root == 0;
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
    const struct memory_node *node = highest_from(set, addr);

    return node != NULL && ipa_lt(addr, node_end(node)) ? &node->area : NULL;
}

const struct memory_area *memory_set_find_from(const struct memory_set *set, ipa_t addr)
{
    return area_or_null(first_ending_after(set, addr));
}

const struct memory_area *memory_set_first(const struct memory_set *set)
{
    return area_or_null(avl_first(&set->tree));
}

const struct memory_area *memory_set_next(const struct memory_set *set,
                                          const struct memory_area *area)
{
    const struct memory_node *node = node_of_area(area);

    MAPPING_ASSERT(set_owns(set, node));
    return area_or_null(avl_next(&set->tree, node));
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
static inline bool fits_between(const struct search *want, ipa_t start, ipa_t end, ipa_t *place)
{
    ipa_t aligned;

    MAPPING_ASSERT(want->size != 0);
    end = ipa_min(end, want->to);
    if (!ipa_align_up(ipa_max(start, want->from), want->align, &aligned) || ipa_lt(end, aligned) ||
        ipa_distance(aligned, end) < want->size) {
        return false;
    }
    *place = aligned;
    return true;
}

/* Where the area of @link ends; 0: address 0. */
static ipa_t end_of(const struct memory_set *set, size_t link)
{
    return link == 0 ? ipa_of(0) : node_end(avl_at(&set->tree, link));
}

/* The gaps that are long enough, in ascending order, from the one that holds `from`; then what lies
 * above all areas. */
static bool search_up(const struct memory_set *set, const struct search *want, ipa_t *place)
{
    const struct memory_node *node = avl_first_gap(&set->tree, want->from, want->size);

    while (node != NULL) {
        ipa_t end = end_of(set, node->prev);

        if (fits_between(want, end, node_start(node), place)) {
            return true;
        }
        if (ipa_le(want->to, end)) {
            return false;
        }
        node = avl_next_gap(&set->tree, node, want->size);
    }
    return fits_between(want, end_of(set, set->tree.last), want->to, place);
}

enum mapping_error memory_set_find_free(const struct memory_set *set, ipa_t hint, uint64_t size,
                                        uint64_t align, struct ipa_range limit, ipa_t *start)
{
    struct search want = {limit.start, limit.start, size, align};
    ipa_t aligned;

    if (size == 0 || !mapping_u64_is_pow2(align) || !ipa_range_is_valid(limit)) {
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
 * have in common with @range; when protecting, only of the areas that are chosen. */
struct operation {
    struct memory_set *set;
    void *page_table;
    struct ipa_range range;
    ipa_t end;                                /* of range */
    struct memory_node *first;                /* the lowest area in @range; NULL: none */
    struct memory_node *above;                /* that or the one after it; without, the one above */
    const struct mapping_backend_ops *opened; /* whose begin was called; NULL: nobody's */
    bool has_changed;                         /* a backend has made its first change */
};

/* Start on @range, which is not empty and does not wrap, by the one search of a verb. */
static inline void start(struct operation *op, struct memory_set *set, struct ipa_range range,
                         void *page_table)
{
    struct memory_node *node = highest_from(set, range.start);

    op->set = set;
    op->page_table = page_table;
    op->range = range;
    op->end = ipa_range_end(range);
    op->opened = NULL;
    op->has_changed = false;
    if (node != NULL && ipa_lt(range.start, node_end(node))) {
        op->first = node;
        op->above = node;
        return;
    }
    op->above = next_or_first(set, node);
    op->first = op->above != NULL && ipa_lt(node_start(op->above), op->end) ? op->above : NULL;
}

/* Whether @node's area is not the last one that may reach into the range. */
static inline bool has_more_after(const struct operation *op, const struct memory_node *node)
{
    return ipa_lt(node_end(node), op->end);
}

/* The area after @node if it is in the range; NULL: it is not. */
static inline struct memory_node *next_in_range(const struct operation *op,
                                                const struct memory_node *node)
{
    struct memory_node *next;

    if (!has_more_after(op, node)) {
        return NULL;
    }
    next = avl_next(&op->set->tree, node);
    return next != NULL && ipa_lt(node_start(next), op->end) ? next : NULL;
}

static struct ipa_range piece_range(const struct operation *op, const struct memory_node *node)
{
    return ipa_range_between(ipa_max(node_start(node), op->range.start),
                             ipa_min(node_end(node), op->end));
}

/* How many of its two ends @node sticks out of the range with. */
static size_t overhangs(const struct operation *op, const struct memory_node *node)
{
    return (ipa_lt(node_start(node), op->range.start) ? 1U : 0U) +
           (ipa_lt(op->end, node_end(node)) ? 1U : 0U);
}

/* Phase 1 of one piece: open with the first backend that can, then hold. */
static inline enum mapping_error hold(struct operation *op, const struct mapping_backend *backend,
                                      const struct mapping_change *change)
{
    MAPPING_ASSERT(!op->has_changed);
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

/* Both phases of the only piece there is, if its backend takes it so. */
static inline bool do_only(const struct operation *op, const struct memory_area *area,
                           struct ipa_range part, enum mapping_step step, mapping_flags_t new_flags)
{
    const struct mapping_backend *backend = &area->backend;

    if (backend->ops->only == NULL) {
        return false;
    }
    return backend->ops->only(backend,
                              &(struct mapping_change){
                                  .step = step,
                                  .range = part,
                                  .old_flags = step == MAPPING_STEP_MAP ? 0 : area->flags,
                                  .new_flags = new_flags,
                              },
                              op->page_table);
}

static enum mapping_error hold_part(struct operation *op, const struct memory_area *area,
                                    struct ipa_range part, enum mapping_step step,
                                    mapping_flags_t new_flags)
{
    const struct mapping_change change = {step, part, area->flags, new_flags};

    return hold(op, &area->backend, &change);
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

/* The last thing that an operation does, whatever its outcome, which is handed back. */
static enum mapping_error finish(struct operation *op, enum mapping_error outcome)
{
    MAPPING_ASSERT(outcome == MAPPING_OK || outcome == MAPPING_BAD_STATE || !op->has_changed);
    if (op->opened != NULL) {
        op->opened->end(op->page_table, outcome);
    }
    return outcome;
}

/* ---- operations: unmap, map ---- */

/* Make two areas of one: @node keeps what lies below @at, which is inside. Returns the other;
 * @above is the one that comes after it. */
static struct memory_node *split(struct memory_set *set, struct memory_node *node, ipa_t at,
                                 struct memory_node *above)
{
    struct memory_node *upper = take_node(set);

    MAPPING_ASSERT(ipa_lt(node_start(node), at) && ipa_lt(at, node_end(node)));
    upper->area = node->area;
    upper->area.range = ipa_range_between(at, node_end(node));
    node->area.range = ipa_range_between(node_start(node), at);
    avl_insert(&set->tree, upper, above);
    return upper;
}

/* Take @part, at one end of @node's area, out. @above: the one after @node. Returns the lowest area
 * above the part. */
static struct memory_node *trim(struct memory_set *set, struct memory_node *node,
                                struct ipa_range part, struct memory_node *above,
                                enum avl_mend when)
{
    struct memory_node *shifted = above;

    MAPPING_ASSERT(ipa_range_covers(node->area.range, part));
    if (ipa_lt(node_start(node), part.start)) {
        node->area.range = ipa_range_between(node_start(node), part.start);
    } else {
        node->area.range = ipa_range_between(ipa_range_end(part), node_end(node));
        shifted = node;
    }
    if (when == AVL_MEND_NOW && shifted != NULL) {
        avl_mend_longer(&set->tree, shifted);
    }
    return shifted;
}

/* The same for any @part of @node's area. From inside: what is above becomes an area of its own. */
static struct memory_node *cut(struct operation *op, struct memory_node *node,
                               struct ipa_range part, enum avl_mend when)
{
    struct memory_node *above = op->above;

    if (part.size == node->area.range.size) {
        avl_unlink(&op->set->tree, node, above, when);
        give_node(op->set, node);
        return above;
    }
    if (overhangs(op, node) == 2) {
        MAPPING_ASSERT(ipa_eq(ipa_range_end(part), op->end));
        above = split(op->set, node, op->end, above);
    }
    return trim(op->set, node, part, above, when);
}

static enum mapping_error hold_unmap(struct operation *op)
{
    enum mapping_error error = MAPPING_OK;
    struct memory_node *node = op->first;

    MAPPING_ASSERT(node != NULL);
    for (; node != NULL && error == MAPPING_OK; node = next_in_range(op, node)) {
        error = hold_part(op, &node->area, piece_range(op, node), MAPPING_STEP_UNMAP, 0);
    }
    return error;
}

/* The books of a piece that was unmapped. op->above is @node itself or the one after it; then, the
 * lowest area above the piece. */
static inline void forget_part(struct operation *op, struct memory_node *node,
                               struct ipa_range part, enum avl_mend when)
{
    MAPPING_ASSERT(part.size != 0 && part.size <= node->area.range.size);
    if (op->above == node) {
        op->above = avl_next(&op->set->tree, node);
    }
    op->above = cut(op, node, part, when);
}

static inline enum mapping_error unmap_part(struct operation *op, struct memory_node *node,
                                            struct ipa_range part, enum avl_mend when)
{
    const struct mapping_backend *backend = &node->area.backend;
    enum mapping_error error = judge(op, backend->ops->unmap(backend, part, op->page_table));

    if (error == MAPPING_OK) {
        forget_part(op, node, part, when);
    }
    return error;
}

/* In the end, op->above is the lowest area above the range. */
static enum mapping_error commit_unmap(struct operation *op)
{
    enum mapping_error error = MAPPING_OK;
    struct memory_node *node = op->first;
    enum avl_mend when = has_more_after(op, node) ? AVL_MEND_LATER : AVL_MEND_NOW;

    while (node != NULL && error == MAPPING_OK) {
        error = unmap_part(op, node, piece_range(op, node), when);
        node = op->above != NULL && ipa_lt(node_start(op->above), op->end) ? op->above : NULL;
    }
    if (when == AVL_MEND_LATER) {
        avl_mend_around(&op->set->tree, op->above);
    }
    MAPPING_ASSERT(error != MAPPING_OK || op->above == NULL ||
                   ipa_le(op->end, node_start(op->above)));
    return error;
}

/* All that lies in the range is in one area. */
static enum mapping_error unmap_one(struct operation *op)
{
    struct memory_node *node = op->first;
    struct ipa_range part = piece_range(op, node);
    enum mapping_error error;

    if (op->set->free_count == 0 && overhangs(op, node) == 2) {
        return MAPPING_NO_NODE;
    }
    if (do_only(op, &node->area, part, MAPPING_STEP_UNMAP, 0)) {
        forget_part(op, node, part, AVL_MEND_NOW);
        return MAPPING_OK;
    }
    error = hold_part(op, &node->area, part, MAPPING_STEP_UNMAP, 0);
    return error == MAPPING_OK ? unmap_part(op, node, part, AVL_MEND_NOW) : error;
}

static enum mapping_error unmap_many(struct operation *op)
{
    enum mapping_error error = hold_unmap(op);

    MAPPING_ASSERT(has_more_after(op, op->first));
    return error == MAPPING_OK ? commit_unmap(op) : error;
}

enum mapping_error memory_set_unmap(struct memory_set *set, struct ipa_range range,
                                    void *page_table)
{
    struct operation op;

    if (ipa_range_wraps(range)) {
        return MAPPING_INVALID_PARAM;
    }
    if (range.size == 0) {
        return MAPPING_OK;
    }
    start(&op, set, range, page_table);
    if (op.first == NULL) {
        return MAPPING_OK;
    }
    return finish(&op, has_more_after(&op, op.first) ? unmap_many(&op) : unmap_one(&op));
}

static enum mapping_error hold_map(struct operation *op, const struct memory_area *area)
{
    const struct mapping_change change = {MAPPING_STEP_MAP, area->range, 0, area->flags};
    enum mapping_error error = op->first == NULL ? MAPPING_OK : hold_unmap(op);

    return error == MAPPING_OK ? hold(op, &area->backend, &change) : error;
}

static inline void note_area(struct operation *op, const struct memory_area *area)
{
    struct memory_node *node = take_node(op->set);

    MAPPING_ASSERT(op->above == NULL || ipa_le(op->end, node_start(op->above)));
    node->area = *area;
    avl_insert(&op->set->tree, node, op->above);
}

static enum mapping_error commit_map(struct operation *op, const struct memory_area *area)
{
    const struct mapping_backend *backend = &area->backend;
    enum mapping_error error = op->first == NULL ? MAPPING_OK : commit_unmap(op);

    if (error == MAPPING_OK) {
        error = backend->ops->map(backend, area->range, area->flags, op->page_table);
        error = judge(op, error);
    }
    if (error == MAPPING_OK) {
        note_area(op, area);
    }
    return error;
}

/* Nodes that a replacement needs beyond those that it frees before it maps. An area that it covers
 * whole gives the one that it takes; one that it lies inside becomes two. */
static size_t nodes_to_replace(const struct operation *op)
{
    struct memory_node *node = op->first;

    if (node != NULL && overhangs(op, node) == 2) {
        return 2;
    }
    for (; node != NULL; node = next_in_range(op, node)) {
        if (overhangs(op, node) == 0) {
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
    struct operation op;
    enum mapping_error error;

    if (!ipa_range_is_valid(area.range) || !mapping_backend_is_complete(&area.backend) ||
        !policy_is_known(policy)) {
        return MAPPING_INVALID_PARAM;
    }
    start(&op, set, area.range, page_table);
    if (policy == OVERLAP_REJECT && op.first != NULL) {
        return MAPPING_ALREADY_EXISTS;
    }
    if (nodes_to_replace(&op) > set->free_count) {
        return MAPPING_NO_NODE;
    }
    if (op.first == NULL && do_only(&op, &area, area.range, MAPPING_STEP_MAP, area.flags)) {
        note_area(&op, &area);
        return MAPPING_OK;
    }
    error = hold_map(&op, &area);
    if (error == MAPPING_OK) {
        error = commit_map(&op, &area);
    }
    return finish(&op, error);
}

enum mapping_error memory_set_clear(struct memory_set *set, void *page_table)
{
    const struct memory_node *first = avl_first(&set->tree);
    enum mapping_error error;

    if (first == NULL) {
        return MAPPING_OK;
    }
    error = memory_set_unmap(set, ipa_range_between(node_start(first), end_of(set, set->tree.last)),
                             page_table);
    MAPPING_ASSERT(error != MAPPING_OK || memory_set_is_empty(set));
    return error;
}

/* ---- operations: protect ---- */

/* What the caller said of an area: `flags` are its own unless it is chosen. */
struct choice {
    const struct memory_node *node; /* NULL: of none */
    bool is_chosen;
    mapping_flags_t flags;
};

/* Nobody is asked more than twice: to hold, and to change. The areas at the ends have to be asked
 * before that, to count nodes, so what was said of them is kept; of others, until the next one. */
struct protect {
    struct operation op;
    memory_set_update_fn update;
    void *arg;
    struct choice lowest;
    struct choice highest;
    struct choice other;
};

static void ask(const struct protect *protect, const struct memory_node *node,
                struct choice *choice)
{
    MAPPING_ASSERT(protect->update != NULL);
    choice->node = node;
    choice->flags = node->area.flags;
    choice->is_chosen = protect->update(node->area.flags, protect->arg, &choice->flags);
}

static const struct choice *choice_of(struct protect *protect, const struct memory_node *node)
{
    if (node == protect->lowest.node) {
        return &protect->lowest;
    }
    if (node == protect->highest.node) {
        return &protect->highest;
    }
    ask(protect, node, &protect->other);
    return &protect->other;
}

/* The splits that a choice leads to: an area that keeps its flags stays whole. */
static size_t splits_for(const struct operation *op, const struct choice *choice)
{
    MAPPING_ASSERT(choice->node != NULL);
    if (!choice->is_chosen || choice->flags == choice->node->area.flags) {
        return 0;
    }
    return overhangs(op, choice->node);
}

/* Nodes that a protect of several areas needs. Only the lowest and the highest can stick out. */
static size_t nodes_to_protect(struct protect *protect)
{
    const struct operation *op = &protect->op;
    const struct memory_node *last;

    MAPPING_ASSERT(has_more_after(op, op->first));
    last = highest_from(op->set, ipa_range_last(op->range));
    MAPPING_ASSERT(last != NULL); /* op->first starts in the range, or below it */
    protect->highest.node = NULL;
    if (last == op->first) {
        return splits_for(op, &protect->lowest);
    }
    ask(protect, last, &protect->highest);
    return splits_for(op, &protect->lowest) + splits_for(op, &protect->highest);
}

static enum mapping_error hold_protect(struct protect *protect)
{
    struct operation *op = &protect->op;
    enum mapping_error error = MAPPING_OK;
    struct memory_node *node = op->first;

    for (; node != NULL && error == MAPPING_OK; node = next_in_range(op, node)) {
        const struct choice *choice = choice_of(protect, node);

        if (choice->is_chosen) {
            error = hold_part(op, &node->area, piece_range(op, node), MAPPING_STEP_PROTECT,
                              choice->flags);
        }
    }
    return error;
}

/* Make @part, which lies in @node's area, an area of its own. Returns its node. */
static struct memory_node *isolate(struct memory_set *set, struct memory_node *node,
                                   struct ipa_range part)
{
    struct memory_node *above = avl_next(&set->tree, node);

    MAPPING_ASSERT(ipa_range_covers(node->area.range, part));
    if (ipa_lt(ipa_range_end(part), node_end(node))) {
        above = split(set, node, ipa_range_end(part), above);
    }
    if (ipa_lt(node_start(node), part.start)) {
        node = split(set, node, part.start, above);
    }
    MAPPING_ASSERT(ipa_range_eq(node->area.range, part));
    return node;
}

/* The books of a piece that was protected. */
static inline void note_flags(struct operation *op, struct memory_node *node, struct ipa_range part,
                              mapping_flags_t flags)
{
    MAPPING_ASSERT(part.size <= node->area.range.size);
    if (flags == node->area.flags) {
        return;
    }
    if (part.size != node->area.range.size) {
        node = isolate(op->set, node, part);
    }
    node->area.flags = flags;
}

static inline enum mapping_error change_flags(struct operation *op, struct memory_node *node,
                                              struct ipa_range part, mapping_flags_t flags)
{
    const struct mapping_backend *backend = &node->area.backend;
    enum mapping_error error =
        judge(op, backend->ops->protect(backend, part, flags, op->page_table));

    if (error == MAPPING_OK) {
        note_flags(op, node, part, flags);
    }
    return error;
}

static enum mapping_error commit_protect(struct protect *protect)
{
    enum mapping_error error = MAPPING_OK;
    struct memory_node *node = protect->op.first;

    while (node != NULL && error == MAPPING_OK) {
        struct memory_node *next = next_in_range(&protect->op, node);
        const struct choice *choice = choice_of(protect, node);

        if (choice->is_chosen) {
            error =
                change_flags(&protect->op, node, piece_range(&protect->op, node), choice->flags);
        }
        node = next;
    }
    return error;
}

/* All that lies in the range is in one area. */
static enum mapping_error protect_one(struct protect *protect)
{
    struct operation *op = &protect->op;
    struct memory_node *node = op->first;
    struct ipa_range part = piece_range(op, node);
    mapping_flags_t flags = protect->lowest.flags;
    enum mapping_error error;

    if (!protect->lowest.is_chosen) {
        return MAPPING_OK;
    }
    if (part.size != node->area.range.size &&
        splits_for(op, &protect->lowest) > op->set->free_count) {
        return MAPPING_NO_NODE;
    }
    if (do_only(op, &node->area, part, MAPPING_STEP_PROTECT, flags)) {
        note_flags(op, node, part, flags);
        return MAPPING_OK;
    }
    error = hold_part(op, &node->area, part, MAPPING_STEP_PROTECT, flags);
    return error == MAPPING_OK ? change_flags(op, node, part, flags) : error;
}

static enum mapping_error protect_many(struct protect *protect)
{
    enum mapping_error error;

    MAPPING_ASSERT(protect->lowest.node == protect->op.first);
    if (nodes_to_protect(protect) > protect->op.set->free_count) {
        return MAPPING_NO_NODE;
    }
    error = hold_protect(protect);
    return error == MAPPING_OK ? commit_protect(protect) : error;
}

enum mapping_error memory_set_protect(struct memory_set *set, struct ipa_range range,
                                      memory_set_update_fn update, void *arg, void *page_table)
{
    struct protect protect;
    bool has_more;

    if (ipa_range_wraps(range) || update == NULL) {
        return MAPPING_INVALID_PARAM;
    }
    if (range.size == 0) {
        return MAPPING_OK;
    }
    start(&protect.op, set, range, page_table);
    if (protect.op.first == NULL) {
        return MAPPING_OK;
    }
    protect.update = update;
    protect.arg = arg;
    ask(&protect, protect.op.first, &protect.lowest);
    has_more = has_more_after(&protect.op, protect.op.first);
    return finish(&protect.op, has_more ? protect_many(&protect) : protect_one(&protect));
}

/* ---- merge ---- */

/* The lowest area that overlaps @range, touches it from below, or lies above. */
static struct memory_node *first_touching(const struct memory_set *set, struct ipa_range range)
{
    struct memory_node *node = first_ending_after(set, range.start);
    size_t lower = node == NULL ? set->tree.last : node->prev;

    return lower != 0 && ipa_eq(end_of(set, lower), range.start) ? avl_at(&set->tree, lower) : node;
}

enum mapping_error memory_set_merge(struct memory_set *set, struct ipa_range range)
{
    struct memory_node *node;
    struct memory_node *next;

    if (ipa_range_wraps(range)) {
        return MAPPING_INVALID_PARAM;
    }
    node = first_touching(set, range);
    next = node == NULL ? NULL : avl_next(&set->tree, node);
    while (next != NULL && ipa_le(node_start(next), ipa_range_end(range))) {
        struct memory_node *above = avl_next(&set->tree, next);

        if (memory_area_continues(&node->area, &next->area)) {
            /* The upper one stays: then the gap below the two is the same before and after. */
            next->area.range = ipa_range_join(node->area.range, next->area.range);
            avl_unlink(&set->tree, node, next, AVL_MEND_NOW);
            give_node(set, node);
        }
        node = next;
        next = above;
    }
    return MAPPING_OK;
}

/* ---- the validator ---- */

static bool check_free_nodes(const struct memory_set *set)
{
    uint32_t link = set->free;
    size_t count = 0;

    for (; link != 0; link = avl_at(&set->tree, link)->child[AVL_RIGHT]) {
        if (!avl_is_link(link, set->node_count) || !avl_is_free(avl_at(&set->tree, link)) ||
            count == set->free_count) {
            return false;
        }
        count++;
    }
    return count == set->free_count;
}

bool memory_set_check(const struct memory_set *set)
{
    const struct memory_node *node;
    size_t used;

    if (!check_free_nodes(set) || !avl_check(&set->tree, set->node_count, &used) ||
        used + set->free_count != set->node_count) {
        return false;
    }
    for (node = avl_first(&set->tree); node != NULL; node = avl_next(&set->tree, node)) {
        if (!mapping_backend_is_complete(&node->area.backend)) {
            return false;
        }
    }
    return true;
}
