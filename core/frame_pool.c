/*
 * frame_pool.c - the buddy system.
 *
 * Blocks are aligned in PA, not in the region: a region may begin and end at any frame, and then
 * simply lacks some buddies. Seen from above, for a region of frames 3..13:
 *
 *      frame   3   4   5   6   7   8   9  10  11  12  13
 *            |---|---------------|---------------|-------|
 *      order   0         2               2           1
 *
 * The set of free frames decides the blocks: the largest aligned ones that it contains. That is
 * the invariant after every call; it is why no order of frees leaves the pool in pieces, and why
 * a request fails only when no block of its size is free.
 *
 * Outside of it stand the loose frames: a list, last in, first out, of single frames that came back
 * and were not merged, or that were cut off to go out next. Single frames come from there and go
 * back there, whatever their order:
 *
 *      loose -> 7 -> 99 -> 3 -> 12           free 5: loose -> 5 -> 7 -> ...
 *                                            alloc: 5 again
 *      none: the smallest free block, or 64 frames of it, become loose, lowest first
 *
 * The set of frames that are free or loose decides what can be had all the same: who asks for more
 * than one frame, and finds no block, merges loose frames into the free lists until he does. A
 * frame is merged once for each time that it was freed, so this adds no more to the cost of a free
 * than to merge at once would. There may be many, so the lock is passed on after every 64 steps.
 * That ends: others add one frame by a turn of the lock at most, as what is given back by the list
 * meanwhile is merged at once (mergers), and have to take from the list what they add.
 *
 * Single frames are promised by number alone: any will do, and there are always as many free or
 * loose as are available and promised together. Larger blocks that are promised are set aside.
 *
 * An info's words have one meaning each per state, and those without one are zero (or
 * FRAME_REF_NONE for a link), so that frame_pool_check() can hold every word to account.
 */
#include "core/frame_pool.h"

/* Keeps what is rare out of what is short, which then needs no stack. */
#define APART __attribute__((noinline))

#define REFILL_ORDER 6 /* of a block that becomes loose at once */
#define MERGE_STEPS 64 /* list steps in one turn of the lock */

/* So that FRAME_REF_NONE names no frame. */
#define REGION_FRAMES_MAX (FRAME_REF_INDEX_MASK - 63)

_Static_assert(FRAME_POOL_MAX_REGIONS <= 15, "region 15 is left to FRAME_REF_NONE");
_Static_assert(FRAME_POOL_ORDERS <= FRAME_REF_REGION_SHIFT, "a block lies in one region");
_Static_assert(FRAME_POOL_ORDERS > REFILL_ORDER, "what is refilled is no larger than a block");

static unsigned kind_state(uint32_t kind)
{
    return (unsigned)MAPPING_FIELD_GET(FRAME_KIND_STATE, kind);
}

static unsigned kind_order(uint32_t kind)
{
    return (unsigned)MAPPING_FIELD_GET(FRAME_KIND_ORDER, kind);
}

static uint32_t frames_of(unsigned order)
{
    return UINT32_C(1) << order;
}

static size_t ref_region(uint32_t ref)
{
    return ref >> FRAME_REF_REGION_SHIFT;
}

static uint32_t ref_index(uint32_t ref)
{
    return ref & FRAME_REF_INDEX_MASK;
}

APART uint32_t frame_ref_in_any(const struct frame_pool *pool, pa_t frame)
{
    for (size_t i = 0; i < frame_region_count(pool); i++) {
        const uint64_t index = pa_unit_number(pool->bases[i], frame, pool->frame_shift);

        if (index < pool->spans[i].frame_count) {
            return pool->spans[i].first_ref | (uint32_t)index;
        }
    }
    return FRAME_REF_NONE;
}

static inline void info_set(struct frame_info *info, uint32_t next, uint32_t kind)
{
    *info = (struct frame_info){.next = next, .prev = FRAME_REF_NONE, .count = 0, .kind = kind};
}

/* @frames are available no more, and this stays so: an operation has succeeded. The mark may
 * sink. */
static void stock_take(struct frame_pool *pool, size_t frames)
{
    const uint64_t stock = frame_stock(pool);
    const size_t above = frame_stock_above(stock);

    MAPPING_ASSERT(frame_stock_available(stock) >= frames);
    if (frames <= above) {
        frame_stock_set(pool, stock - frames);
    } else {
        frame_stock_set(pool, (uint64_t)(frame_stock_mark(stock) - (frames - above)) << 32);
    }
}

static void stock_give(struct frame_pool *pool, size_t frames)
{
    frame_stock_set(pool, frame_stock(pool) + frames);
}

static bool stock_has(const struct frame_pool *pool, size_t blocks, unsigned order)
{
    return blocks <= frame_stock_available(frame_stock(pool)) >> order;
}

static inline void free_list_push(struct frame_pool *pool, uint32_t ref, unsigned order)
{
    uint32_t next = pool->free_head[order];

    info_set(frame_ref_info(pool, ref), next, frame_kind(FRAME_FREE, order));
    if (next != FRAME_REF_NONE) {
        frame_ref_info(pool, next)->prev = ref;
    }
    pool->free_head[order] = ref;
    pool->free_orders |= frames_of(order);
}

/* Leaves the block's own info to the caller, who knows what it becomes. */
static inline void free_list_remove(struct frame_pool *pool, const struct frame_info *info,
                                    unsigned order)
{
    uint32_t next = info->next;
    uint32_t prev = info->prev;

    if (next != FRAME_REF_NONE) {
        frame_ref_info(pool, next)->prev = prev;
    }
    if (prev != FRAME_REF_NONE) {
        frame_ref_info(pool, prev)->next = next;
        return;
    }
    pool->free_head[order] = next;
    if (next == FRAME_REF_NONE) {
        pool->free_orders &= ~frames_of(order);
    }
}

/*
 * Cut a block of 2^@order out of the smallest free one that holds it, keeping the lower half each
 * time, so what is left over is one block of each order in between:
 *
 *      |               3               |
 *      | taken: 0 | 0  |   1   |   2   |
 *
 * The lists of those orders were empty, or the cut would have begun there.
 */
static uint32_t block_cut(struct frame_pool *pool, unsigned order)
{
    uint32_t fitting = pool->free_orders & ~(frames_of(order) - 1);
    struct frame_info *info;
    unsigned from;
    uint32_t ref;

    if (fitting == 0) {
        return FRAME_REF_NONE;
    }
    from = mapping_u64_trailing_zeros(fitting);
    ref = pool->free_head[from];
    info = frame_ref_info(pool, ref);
    MAPPING_ASSERT(info->kind == frame_kind(FRAME_FREE, from));
    free_list_remove(pool, info, from);
    pool->free_orders |= frames_of(from) - frames_of(order);
    while (from > order) {
        from--;
        info_set(info + frames_of(from), FRAME_REF_NONE, frame_kind(FRAME_FREE, from));
        pool->free_head[from] = ref + frames_of(from);
    }
    return ref;
}

/* Index of the block of 2^@order that would join with the one at frame number @number into one of
 * twice the size. Where it lies outside the region, the answer is no index of it either: less than
 * 0 wraps to far more than any region has. */
static uint32_t buddy_index(const struct frame_span *span, uint32_t number, unsigned order)
{
    return (number ^ frames_of(order)) - span->first_number;
}

/* Put a block on the free lists, joined with its buddy as often as that is free too.
 * Returns: how many list steps that took. */
static unsigned block_merge(struct frame_pool *pool, uint32_t ref, unsigned order)
{
    const struct frame_span *span = &pool->spans[ref_region(ref)];
    struct frame_info *infos = pool->infos[ref_region(ref)];
    const unsigned first_order = order;
    uint32_t number = span->first_number + ref_index(ref);

    MAPPING_ASSERT(mapping_lock_is_held(&pool->lock));
    MAPPING_ASSERT(mapping_u64_is_aligned(number, frames_of(order)));
    while (order + 1 < FRAME_POOL_ORDERS) {
        uint32_t buddy = buddy_index(span, number, order);
        uint32_t upper = (number | frames_of(order)) - span->first_number;

        if (buddy >= span->frame_count || infos[buddy].kind != frame_kind(FRAME_FREE, order)) {
            break;
        }
        free_list_remove(pool, &infos[buddy], order);
        infos[upper] = (struct frame_info){.kind = frame_kind(FRAME_INSIDE, 0)};
        number &= ~frames_of(order);
        order++;
    }
    free_list_push(pool, span->first_ref | (number - span->first_number), order);
    return order - first_order + 1;
}

/* --- Loose frames ---------------------------------------------------------------------------- */

/* The first one becomes what the caller makes of it. */
static inline uint32_t loose_pop(struct frame_pool *pool)
{
    const uint32_t ref = pool->loose;
    const struct frame_info *info = frame_ref_info(pool, ref);

    MAPPING_ASSERT(info->kind == frame_kind(FRAME_LOOSE, 0));
    pool->loose = info->next;
    return ref;
}

static inline void loose_push(struct frame_pool *pool, uint32_t ref, struct frame_info *info)
{
    info_set(info, pool->loose, frame_kind(FRAME_LOOSE, 0));
    pool->loose = ref;
}

/* One turn. */
static void loose_merge_some(struct frame_pool *pool)
{
    unsigned steps = 0;

    while (pool->loose != FRAME_REF_NONE && steps < MERGE_STEPS) {
        steps += block_merge(pool, loose_pop(pool), 0);
    }
}

/* What comes in large numbers while somebody waits for the list to be empty, so that it will be. */
static void loose_merge_first(struct frame_pool *pool, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)block_merge(pool, loose_pop(pool), 0);
    }
}

/* Make the smallest free block loose, or so much of it as may be at once, lowest frame first.
 * There is one, and the loose list is empty. */
static APART void loose_refill(struct frame_pool *pool)
{
    const unsigned order =
        mapping_u64_trailing_zeros(pool->free_orders | MAPPING_BIT(REFILL_ORDER));
    const uint32_t ref = block_cut(pool, order);
    struct frame_info *info;

    MAPPING_ASSERT(pool->loose == FRAME_REF_NONE);
    MAPPING_ASSERT(ref != FRAME_REF_NONE);
    info = frame_ref_info(pool, ref);
    for (uint32_t i = 1; i < frames_of(order); i++) {
        info_set(info++, ref + i, frame_kind(FRAME_LOOSE, 0));
    }
    info_set(info, FRAME_REF_NONE, frame_kind(FRAME_LOOSE, 0));
    pool->loose = ref;
}

/* Let whoever waits for the pool have it first. */
static bool pass_lock_on(struct frame_pool *pool)
{
    mapping_lock_release(&pool->lock);
    mapping_lock_acquire(&pool->lock);
    return true;
}

/* Merge loose frames until a block of 2^@enough is free, or none is loose any more: that with
 * FRAME_POOL_ORDERS. Passes the lock on, so nothing that others do not know may be under way. */
static void loose_merge(struct frame_pool *pool, unsigned enough)
{
    pool->mergers++;
    do {
        loose_merge_some(pool);
    } while ((pool->free_orders >> enough) == 0 && pool->loose != FRAME_REF_NONE &&
             pass_lock_on(pool));
    pool->mergers--;
}

/* --- Blocks ---------------------------------------------------------------------------------- */

/* A block of any order; FRAME_REF_NONE if there is none. The caller writes its info. */
static uint32_t block_obtain(struct frame_pool *pool, unsigned order)
{
    uint32_t ref;

    if (!stock_has(pool, 1, order)) {
        return FRAME_REF_NONE;
    }
    if (order == 0) {
        if (pool->loose == FRAME_REF_NONE) {
            loose_refill(pool);
        }
        return loose_pop(pool);
    }
    ref = block_cut(pool, order);
    if (ref == FRAME_REF_NONE && pool->loose != FRAME_REF_NONE) {
        loose_merge(pool, order);
        ref = stock_has(pool, 1, order) ? block_cut(pool, order) : FRAME_REF_NONE;
    }
    return ref;
}

/* The opposite. */
static void block_release(struct frame_pool *pool, uint32_t ref, unsigned order)
{
    if (order == 0) {
        loose_push(pool, ref, frame_ref_info(pool, ref));
    } else {
        (void)block_merge(pool, ref, order);
    }
}

/* Whether two stretches of our own memory share a byte; one that is not there shares none. */
static bool memory_overlaps(const void *a, uint64_t a_size, const void *b, uint64_t b_size)
{
    return a != NULL && b != NULL &&
           ((uintptr_t)a - (uintptr_t)b < b_size || (uintptr_t)b - (uintptr_t)a < a_size);
}

/* Whether the infos of @a lie in the frames of @b, which whoever gets those would write over. */
static bool infos_are_inside(const struct frame_region *a, const struct frame_region *b,
                             unsigned frame_shift)
{
    return memory_overlaps(a->info, a->frame_count * sizeof(a->info[0]), b->memory,
                           (uint64_t)b->frame_count << frame_shift);
}

static bool region_is_valid(const struct frame_region *region, unsigned frame_shift)
{
    uint64_t frame_size = MAPPING_BIT(frame_shift);

    return region->frame_count != 0 && region->frame_count <= REGION_FRAMES_MAX &&
           region->info != NULL && pa_is_aligned(region->base, frame_size) &&
           mapping_u64_is_aligned((uintptr_t)region->memory, frame_size) &&
           pa_span_fits(region->base, (uint64_t)region->frame_count << frame_shift, UINT64_MAX) &&
           !infos_are_inside(region, region, frame_shift);
}

static bool regions_overlap(const struct frame_region *a, const struct frame_region *b,
                            unsigned frame_shift)
{
    const uint64_t a_size = (uint64_t)a->frame_count << frame_shift;
    const uint64_t b_size = (uint64_t)b->frame_count << frame_shift;
    uint64_t offset;

    return pa_span_offset(a->base, a_size, b->base, &offset) ||
           pa_span_offset(b->base, b_size, a->base, &offset) ||
           memory_overlaps(a->memory, a_size, b->memory, b_size) ||
           memory_overlaps(a->info, a->frame_count * sizeof(a->info[0]), b->info,
                           b->frame_count * sizeof(b->info[0])) ||
           infos_are_inside(a, b, frame_shift) || infos_are_inside(b, a, frame_shift);
}

static bool regions_are_valid(unsigned frame_shift, const struct frame_region regions[],
                              size_t region_count)
{
    for (size_t i = 0; i < region_count; i++) {
        if (!region_is_valid(&regions[i], frame_shift)) {
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (regions_overlap(&regions[i], &regions[j], frame_shift)) {
                return false;
            }
        }
    }
    return true;
}

/* From the top down, as free lists answer with what came last: lower addresses go out first. Each
 * block is the largest that ends, aligned, where the one above began. */
static void region_free_all(struct frame_pool *pool, size_t region)
{
    const struct frame_span *span = &pool->spans[region];
    uint32_t left = (uint32_t)span->frame_count;

    MAPPING_ASSERT(left != 0);
    for (uint32_t i = 0; i < span->frame_count; i++) {
        pool->infos[region][i] = (struct frame_info){.kind = frame_kind(FRAME_INSIDE, 0)};
    }
    while (left != 0) {
        unsigned aligned = mapping_u64_trailing_zeros(span->first_number + left);
        uint64_t order = mapping_u64_min(mapping_u64_min(aligned, mapping_u64_log2(left)),
                                         FRAME_POOL_ORDERS - 1);

        left -= frames_of((unsigned)order);
        free_list_push(pool, span->first_ref | left, (unsigned)order);
    }
}

static void span_init(struct frame_span *span, const struct frame_region *region, size_t number,
                      unsigned frame_shift)
{
    MAPPING_ASSERT(number < FRAME_POOL_MAX_REGIONS);
    *span = (struct frame_span){
        .base = region->base,
        .size = (uint64_t)region->frame_count << frame_shift,
        .memory = region->memory,
        .frame_count = region->frame_count,
        .first_number = (uint32_t)(pa_distance(pa_of(0), region->base) >> frame_shift),
        .first_ref = (uint32_t)number << FRAME_REF_REGION_SHIFT,
    };
}

/* All but its infos. */
static void region_begin(struct frame_pool *pool, size_t region, const struct frame_region *given)
{
    MAPPING_ASSERT(given->info != NULL);
    span_init(&pool->spans[region], given, region, pool->frame_shift);
    pool->infos[region] = given->info;
    pool->bases[region] = given->base;
}

/* Each frame is a block of the caller's. */
static void region_take_all(struct frame_pool *pool, size_t region)
{
    MAPPING_ASSERT(region < FRAME_POOL_MAX_REGIONS);
    for (size_t i = 0; i < pool->spans[region].frame_count; i++) {
        info_set(&pool->infos[region][i], FRAME_REF_NONE, frame_kind(FRAME_TAKEN, 0));
        pool->infos[region][i].prev = FRAME_REF_NONE;
        pool->infos[region][i].count = 0;
    }
}

enum mapping_error frame_pool_init(struct frame_pool *pool, unsigned frame_shift,
                                   struct frame_region regions[], size_t region_count)
{
    size_t frames = 0;

    MAPPING_ASSERT(pool != NULL && regions != NULL);
    if ((frame_shift != 12 && frame_shift != 14 && frame_shift != 16) || region_count == 0 ||
        region_count > FRAME_POOL_MAX_REGIONS ||
        !regions_are_valid(frame_shift, regions, region_count)) {
        return MAPPING_INVALID_PARAM;
    }

    mapping_lock_init(&pool->lock);
    pool->frame_shift = frame_shift;
    atomic_init(&pool->region_count, region_count);
    pool->free_orders = 0;
    pool->loose = FRAME_REF_NONE;
    pool->mergers = 0;
    pool->held = 0;
    for (unsigned order = 0; order < FRAME_POOL_ORDERS; order++) {
        pool->free_head[order] = FRAME_REF_NONE;
    }
    for (size_t i = region_count; i-- > 0;) {
        region_begin(pool, i, &regions[i]);
        region_free_all(pool, i);
        frames += regions[i].frame_count;
    }
    pool->frame_count = frames;
    atomic_init(&pool->stock, (uint64_t)frames << 32);
    return MAPPING_OK;
}

/* As it was given. */
static struct frame_region region_given(const struct frame_pool *pool, size_t region)
{
    const struct frame_span *span = &pool->spans[region];

    return (struct frame_region){span->base, span->memory, span->frame_count, pool->infos[region]};
}

static bool overlaps_any(const struct frame_pool *pool, const struct frame_region *region)
{
    const size_t count = frame_region_count(pool);

    for (size_t i = 0; i < count; i++) {
        const struct frame_region other = region_given(pool, i);

        if (regions_overlap(region, &other, pool->frame_shift)) {
            return true;
        }
    }
    return false;
}

/* Under the lock. */
static enum mapping_error region_add(struct frame_pool *pool, const struct frame_region *region,
                                     enum frame_region_state state)
{
    const size_t number = frame_region_count(pool);

    MAPPING_ASSERT(mapping_lock_is_held(&pool->lock));
    if (overlaps_any(pool, region)) {
        return MAPPING_INVALID_PARAM;
    }
    if (number == FRAME_POOL_MAX_REGIONS) {
        return MAPPING_NO_NODE;
    }
    region_begin(pool, number, region);
    if (state == FRAME_REGION_TAKEN) {
        region_take_all(pool, number);
    } else {
        region_free_all(pool, number);
        frame_stock_set(pool, frame_stock(pool) + region->frame_count);
    }
    pool->frame_count += region->frame_count;
    atomic_store_explicit(&pool->region_count, number + 1, memory_order_release);
    return MAPPING_OK;
}

enum mapping_error frame_pool_add_region(struct frame_pool *pool, const struct frame_region *region,
                                         enum frame_region_state state)
{
    enum mapping_error error;

    MAPPING_ASSERT(pool != NULL && region != NULL);
    if ((state != FRAME_REGION_FREE && state != FRAME_REGION_TAKEN) ||
        !region_is_valid(region, pool->frame_shift)) {
        return MAPPING_INVALID_PARAM;
    }
    mapping_lock_acquire(&pool->lock);
    error = region_add(pool, region, state);
    mapping_lock_release(&pool->lock);
    return error;
}

enum mapping_error frame_pool_alloc_any(struct frame_pool *pool, unsigned order, pa_t *frame)
{
    uint32_t ref;

    if (order >= FRAME_POOL_ORDERS) {
        return MAPPING_INVALID_PARAM;
    }
    mapping_lock_acquire(&pool->lock);
    ref = block_obtain(pool, order);
    if (ref != FRAME_REF_NONE) {
        info_set(frame_ref_info(pool, ref), FRAME_REF_NONE, frame_kind(FRAME_TAKEN, order));
        stock_take(pool, frames_of(order));
        *frame = frame_ref_pa(pool, ref);
    }
    mapping_lock_release(&pool->lock);
    return ref != FRAME_REF_NONE ? MAPPING_OK : MAPPING_NO_FRAME;
}

enum mapping_error frame_pool_alloc_zeroed(struct frame_pool *pool, unsigned order, pa_t *frame)
{
    enum mapping_error error;
    void *memory;
    pa_t pa;

    error = frame_pool_alloc(pool, order, &pa);
    if (error != MAPPING_OK) {
        return error;
    }
    memory = frame_pool_ptr(pool, pa);
    if (memory == NULL) {
        error = frame_pool_free(pool, pa, order);
        MAPPING_ASSERT(error == MAPPING_OK);
        return MAPPING_UNSUPPORTED;
    }
    __builtin_memset(memory, 0, (size_t)frames_of(order) << pool->frame_shift);
    *frame = pa;
    return MAPPING_OK;
}

/* Give back a block, whose owner this is. */
static void block_give(struct frame_pool *pool, uint32_t ref, unsigned order)
{
    MAPPING_ASSERT(order < FRAME_POOL_ORDERS);
    block_release(pool, ref, order);
    stock_give(pool, frames_of(order));
}

enum mapping_error frame_pool_free_any(struct frame_pool *pool, pa_t frame, unsigned order)
{
    const struct frame_info *info;
    uint32_t ref;
    bool is_taken;

    info = frame_info_at(pool, frame, &ref);
    if (info == NULL) {
        return MAPPING_BAD_STATE;
    }
    mapping_lock_acquire(&pool->lock);
    is_taken = info->kind == frame_kind(FRAME_TAKEN, order) &&
               (info->prev == FRAME_SEALED || info->prev == FRAME_REF_NONE);
    if (is_taken) {
        block_give(pool, ref, order);
    }
    mapping_lock_release(&pool->lock);
    return is_taken ? MAPPING_OK : MAPPING_BAD_STATE;
}

/* --- Reserves and lists ---------------------------------------------------------------------- */

/* The links of both kinds of list, the pool's reserves and the owners' own. */
static inline void list_push(struct frame_list *list, uint32_t ref, struct frame_info *info)
{
    info->next = list->head;
    list->head = ref;
    list->count++;
}

/* @info: of the first block. */
static inline void list_pop(struct frame_list *list, struct frame_info *info)
{
    MAPPING_ASSERT(list->count != 0);
    MAPPING_ASSERT((list->count == 1) == (info->next == FRAME_REF_NONE));
    list->head = info->next;
    list->count--;
    info->next = FRAME_REF_NONE;
}

static enum mapping_error singles_reserve(struct frame_pool *pool, size_t count,
                                          struct frame_reserve *held)
{
    const uint32_t ticket = mapping_lock_acquire_ticket(&pool->lock);

    if (count > frame_stock_above(frame_stock(pool)) && !stock_has(pool, count, 0)) {
        mapping_lock_release_ticket(&pool->lock, ticket);
        return MAPPING_NO_FRAME;
    }
    stock_take(pool, count);
    pool->held += count;
    mapping_lock_release_ticket(&pool->lock, ticket);
    held->blocks.count += count;
    held->order = 0;
    return MAPPING_OK;
}

/* Put the @count blocks held last back on the free lists. The pool is locked. */
static void blocks_drop(struct frame_pool *pool, struct frame_reserve *held, size_t count)
{
    const unsigned order = held->order;

    MAPPING_ASSERT(mapping_lock_is_held(&pool->lock));
    MAPPING_ASSERT(count <= held->blocks.count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t ref = held->blocks.head;
        struct frame_info *info = frame_ref_info(pool, ref);

        MAPPING_ASSERT(info->kind == frame_kind(FRAME_HELD, order));
        list_pop(&held->blocks, info);
        (void)block_merge(pool, ref, order);
    }
}

/* Set aside up to @count blocks of more than one frame. Returns: how many there were. */
static size_t blocks_hold(struct frame_pool *pool, size_t count, struct frame_reserve *held)
{
    size_t got;

    for (got = 0; got < count; got++) {
        const uint32_t ref = block_cut(pool, held->order);

        if (ref == FRAME_REF_NONE) {
            break;
        }
        info_set(frame_ref_info(pool, ref), FRAME_REF_NONE, frame_kind(FRAME_HELD, held->order));
        list_push(&held->blocks, ref, frame_ref_info(pool, ref));
    }
    return got;
}

/* Hold @count of them or none. */
static bool blocks_hold_all(struct frame_pool *pool, unsigned order, size_t count,
                            struct frame_reserve *held)
{
    size_t got;

    if (!stock_has(pool, count, order)) {
        return false;
    }
    held->order = order;
    got = blocks_hold(pool, count, held);
    if (got < count) {
        blocks_drop(pool, held, got);
        return false;
    }
    stock_take(pool, count << order);
    pool->held += count << order;
    return true;
}

static APART enum mapping_error blocks_reserve(struct frame_pool *pool, unsigned order,
                                               size_t count, struct frame_reserve *held)
{
    bool is_held;

    mapping_lock_acquire(&pool->lock);
    is_held = blocks_hold_all(pool, order, count, held);
    /* A count that can never be met is refused before a frame moves. */
    if (!is_held && pool->loose != FRAME_REF_NONE && stock_has(pool, count, order)) {
        loose_merge(pool, count == 1 ? order : FRAME_POOL_ORDERS);
        is_held = blocks_hold_all(pool, order, count, held);
    }
    mapping_lock_release(&pool->lock);
    return is_held ? MAPPING_OK : MAPPING_NO_FRAME;
}

enum mapping_error frame_pool_reserve(struct frame_pool *pool, unsigned order, size_t count,
                                      struct frame_reserve *held)
{
    if (order >= FRAME_POOL_ORDERS || (held->blocks.count != 0 && held->order != order)) {
        return MAPPING_INVALID_PARAM;
    }
    return order == 0 ? singles_reserve(pool, count, held)
                      : blocks_reserve(pool, order, count, held);
}

/* The first loose frame becomes the caller's. @mark: FRAME_REF_NONE, or FRAME_SEALED. Releases the
 * lock. */
static inline pa_t loose_hand_out(struct frame_pool *pool, struct frame_reserve *held,
                                  uint32_t mark, uint32_t ticket)
{
    const uint32_t ref = loose_pop(pool);
    struct frame_info *info = frame_ref_info(pool, ref);

    info->next = FRAME_REF_NONE;
    info->prev = mark;
    info->kind = frame_kind(FRAME_TAKEN, 0);
    pool->held--;
    mapping_lock_release_ticket(&pool->lock, ticket);
    held->blocks.count--;
    return frame_ref_pa(pool, ref);
}

static APART pa_t refill_and_hand_out(struct frame_pool *pool, struct frame_reserve *held,
                                      uint32_t mark, uint32_t ticket)
{
    loose_refill(pool);
    return loose_hand_out(pool, held, mark, ticket);
}

static inline pa_t single_take(struct frame_pool *pool, struct frame_reserve *held, uint32_t mark)
{
    const uint32_t ticket = mapping_lock_acquire_ticket(&pool->lock);

    return pool->loose == FRAME_REF_NONE ? refill_and_hand_out(pool, held, mark, ticket)
                                         : loose_hand_out(pool, held, mark, ticket);
}

/* The first block of those set aside. */
static APART pa_t block_take(struct frame_pool *pool, struct frame_reserve *held, uint32_t mark)
{
    const uint32_t ref = held->blocks.head;
    struct frame_info *info = frame_ref_info(pool, ref);

    MAPPING_ASSERT(info->kind == frame_kind(FRAME_HELD, held->order));
    list_pop(&held->blocks, info);
    mapping_lock_acquire(&pool->lock);
    info->prev = mark;
    info->kind = frame_kind(FRAME_TAKEN, held->order);
    pool->held -= frames_of(held->order);
    mapping_lock_release(&pool->lock);
    return frame_ref_pa(pool, ref);
}

pa_t frame_pool_take(struct frame_pool *pool, struct frame_reserve *held)
{
    MAPPING_ASSERT(held->blocks.count != 0);
    return held->order == 0 ? single_take(pool, held, FRAME_REF_NONE)
                            : block_take(pool, held, FRAME_REF_NONE);
}

pa_t frame_pool_take_sealed(struct frame_pool *pool, struct frame_reserve *held)
{
    MAPPING_ASSERT(held->blocks.count != 0);
    return held->order == 0 ? single_take(pool, held, FRAME_SEALED)
                            : block_take(pool, held, FRAME_SEALED);
}

static APART void block_untake(struct frame_pool *pool, uint32_t ref, unsigned order,
                               struct frame_reserve *held)
{
    struct frame_info *info = frame_ref_info(pool, ref);

    MAPPING_ASSERT(info->kind == frame_kind(FRAME_TAKEN, order));
    mapping_lock_acquire(&pool->lock);
    info_set(info, FRAME_REF_NONE, frame_kind(FRAME_HELD, order));
    pool->held += frames_of(order);
    mapping_lock_release(&pool->lock);
    list_push(&held->blocks, ref, info);
    held->order = order;
}

/* Split blocks of @infos from the one at @at on, before @end, for a turn. Returns: how far. Each is
 * halved to the left until it is small enough, so that all are blocks whenever the turn ends. */
static size_t split_some(struct frame_info *infos, size_t at, size_t end, unsigned into)
{
    unsigned steps = 0;

    MAPPING_ASSERT(at < end);
    for (; at < end && steps < MERGE_STEPS; at += frames_of(into)) {
        unsigned order = kind_order(infos[at].kind);

        MAPPING_ASSERT(frame_info_is_taken(&infos[at]) && order >= into);
        for (; order > into; steps++) {
            order--;
            info_set(&infos[at + frames_of(order)], FRAME_REF_NONE, frame_kind(FRAME_TAKEN, order));
        }
        infos[at].kind = frame_kind(FRAME_TAKEN, into);
    }
    return at;
}

void frame_pool_split(struct frame_pool *pool, pa_t frame, unsigned order, unsigned into)
{
    uint32_t ref;
    struct frame_info *infos = frame_taken_at(pool, frame, &ref);
    size_t at = 0;

    MAPPING_ASSERT(into <= order && infos->kind == frame_kind(FRAME_TAKEN, order));
    MAPPING_ASSERT(infos->prev == FRAME_REF_NONE);
    while (at < frames_of(order)) {
        const uint32_t ticket = mapping_lock_acquire_ticket(&pool->lock);

        at = split_some(infos, at, frames_of(order), into);
        mapping_lock_release_ticket(&pool->lock, ticket);
    }
}

/* A single frame becomes loose, as any will do when one is taken again. */
void frame_pool_untake(struct frame_pool *pool, pa_t frame, unsigned order,
                       struct frame_reserve *held)
{
    uint32_t ticket, ref;
    struct frame_info *info = frame_taken_at(pool, frame, &ref);

    MAPPING_ASSERT(held->blocks.count == 0 || held->order == order);
    if (order != 0) {
        block_untake(pool, ref, order, held);
        return;
    }
    MAPPING_ASSERT(info->kind == frame_kind(FRAME_TAKEN, 0));
    ticket = mapping_lock_acquire_ticket(&pool->lock);
    loose_push(pool, ref, info);
    pool->held++;
    mapping_lock_release_ticket(&pool->lock, ticket);
    held->blocks.count++;
    held->order = 0;
}

/* The links stay as they are. Returns: the last block's info. */
static struct frame_info *list_mark(struct frame_pool *pool, const struct frame_list *list,
                                    enum frame_state state, unsigned order)
{
    uint32_t next = list->head;
    struct frame_info *info;
    size_t left = list->count;

    do {
        info = frame_ref_info(pool, next);
        MAPPING_ASSERT(info->kind == frame_kind(FRAME_TAKEN, order));
        next = info->next;
        info->prev = FRAME_REF_NONE;
        info->kind = frame_kind(state, order);
        info->count = 0;
    } while (--left > 0);
    MAPPING_ASSERT(next == FRAME_REF_NONE);
    return info;
}

void frame_pool_untake_all(struct frame_pool *pool, struct frame_list *list, unsigned order,
                           struct frame_reserve *held)
{
    uint32_t *head = order == 0 ? &pool->loose : &held->blocks.head;

    MAPPING_ASSERT(held->blocks.count == 0 || held->order == order);
    if (list->count == 0) {
        return;
    }
    mapping_lock_acquire(&pool->lock);
    list_mark(pool, list, order == 0 ? FRAME_LOOSE : FRAME_HELD, order)->next = *head;
    *head = list->head;
    if (order == 0 && pool->mergers != 0) {
        loose_merge_first(pool, list->count);
    }
    held->blocks.count += list->count;
    held->order = order;
    pool->held += list->count << order;
    mapping_lock_release(&pool->lock);
    frame_list_init(list);
}

static APART void blocks_unreserve(struct frame_pool *pool, struct frame_reserve *held)
{
    const size_t count = held->blocks.count;
    const size_t frames = count << held->order;

    mapping_lock_acquire(&pool->lock);
    MAPPING_ASSERT(pool->held >= frames);
    blocks_drop(pool, held, count);
    pool->held -= frames;
    stock_give(pool, frames);
    mapping_lock_release(&pool->lock);
}

void frame_pool_unreserve(struct frame_pool *pool, struct frame_reserve *held)
{
    const size_t count = held->blocks.count;
    uint32_t ticket;

    if (count == 0) {
        return;
    }
    if (held->order != 0) {
        blocks_unreserve(pool, held);
        return;
    }
    ticket = mapping_lock_acquire_ticket(&pool->lock);
    MAPPING_ASSERT(pool->held >= count);
    pool->held -= count;
    stock_give(pool, count);
    mapping_lock_release_ticket(&pool->lock, ticket);
    held->blocks.count = 0;
}

size_t frame_pool_available(const struct frame_pool *pool)
{
    return frame_stock_available(frame_stock(pool));
}

size_t frame_pool_low_water(const struct frame_pool *pool)
{
    return frame_stock_mark(frame_stock(pool));
}

/* The region that @addr lies in, or NULL; *left: bytes from there to its end. */
static const struct frame_span *span_at(const struct frame_pool *pool, pa_t addr, uint64_t *left)
{
    for (size_t i = 0; i < frame_region_count(pool); i++) {
        const struct frame_span *span = &pool->spans[i];
        uint64_t offset;

        if (pa_span_offset(span->base, span->size, addr, &offset)) {
            *left = span->size - offset;
            return span;
        }
    }
    return NULL;
}

/* Ends for a range that wraps too: regions do not, so some gap is met before 2^64. */
bool frame_pool_covers(const struct frame_pool *pool, pa_t start, uint64_t size)
{
    uint64_t left;

    if (size == 0) {
        return false;
    }
    while (span_at(pool, start, &left) != NULL) {
        if (size <= left) {
            return true;
        }
        start = pa_add(start, left);
        size -= left;
    }
    return false;
}

bool frame_pool_bias(const struct frame_pool *pool, uint64_t *bias)
{
    const struct frame_span *span = &pool->spans[0];

    if (frame_region_count(pool) != 1 || span->memory == NULL) {
        return false;
    }
    *bias = (uint64_t)(uintptr_t)span->memory - pa_distance(pa_of(0), span->base);
    return true;
}

bool frame_pool_is_reachable(const struct frame_pool *pool, pa_t limit)
{
    for (size_t i = 0; i < frame_region_count(pool); i++) {
        const struct frame_span *span = &pool->spans[i];

        if (span->memory == NULL || pa_lt(limit, pa_add(span->base, span->size))) {
            return false;
        }
    }
    return true;
}

bool frame_pool_is_taken(const struct frame_pool *pool, pa_t frame, unsigned order)
{
    uint32_t ref;
    const struct frame_info *info = frame_info_at(pool, frame, &ref);

    return info != NULL && order < FRAME_POOL_ORDERS &&
           info->kind == frame_kind(FRAME_TAKEN, order);
}

void frame_pool_seal(struct frame_pool *pool, pa_t frame)
{
    uint32_t ref;
    struct frame_info *info = frame_taken_at(pool, frame, &ref);
    const uint32_t ticket = mapping_lock_acquire_ticket(&pool->lock);

    MAPPING_ASSERT(info->prev == FRAME_SEALED || info->prev == FRAME_REF_NONE);
    info->prev = FRAME_SEALED;
    mapping_lock_release_ticket(&pool->lock, ticket);
}

/* A part of a TAKEN block that is not sealed. */
struct part {
    struct frame_info *info; /* the block's */
    uint32_t frames;         /* in the part */
    uint32_t ref;            /* the block's */
};

/* What is left of such a block from frame @index on, at most @most frames; false: it is in none.
 * The block's first frame has the same number but for some of the lowest bits that are set, which
 * it has clear: they are cleared one by one until there is a first frame, as all that lie between
 * that and @index are inside. The pool is locked. */
static inline bool part_at(const struct frame_pool *pool, const struct frame_span *span,
                           uint32_t index, uint32_t most, struct part *part)
{
    struct frame_info *infos = pool->infos[ref_region(span->first_ref)];
    uint32_t number = span->first_number + index;
    uint32_t inside = 0; /* how far @index is behind number */

    while (inside <= index && inside < frames_of(FRAME_POOL_ORDERS - 1)) {
        struct frame_info *info = &infos[index - inside];

        if (kind_state(info->kind) != FRAME_INSIDE) {
            const uint32_t frames = frames_of(kind_order(info->kind));

            MAPPING_ASSERT(frames > inside);
            *part = (struct part){info, frames - inside < most ? frames - inside : most,
                                  span->first_ref | (index - inside)};
            return frame_info_is_taken(info) && info->prev != FRAME_SEALED;
        }
        if (number == 0) {
            return false;
        }
        inside += number & (~number + 1);
        number &= number - 1;
    }
    return false;
}

/* What is done with each part of a range; false: the range is refused. */
typedef bool (*part_fn)(struct frame_pool *pool, const struct part *part);

/* Each part of what [@start, @end) has in @span, which it touches. Returns: whether all were taken;
 * *end is where the first was not. */
static bool visit_span(struct frame_pool *pool, const struct frame_span *span, pa_t start,
                       pa_t *end, part_fn visit)
{
    const pa_t first = pa_max(start, span->base);
    const pa_t limit = pa_min(*end, pa_add(span->base, span->size));
    const uint32_t last = (uint32_t)((pa_distance(span->base, limit) - 1) >> pool->frame_shift);
    uint32_t index = (uint32_t)(pa_distance(span->base, first) >> pool->frame_shift);

    while (index <= last) {
        struct part part = {NULL, 0, 0};
        uint32_t ticket;
        bool is_taken;

        ticket = mapping_lock_acquire_ticket(&pool->lock);
        is_taken = part_at(pool, span, index, last - index + 1, &part) && visit(pool, &part);
        mapping_lock_release_ticket(&pool->lock, ticket);
        if (!is_taken) {
            *end = pa_add(span->base, (uint64_t)index << pool->frame_shift);
            return false;
        }
        index += part.frames;
    }
    return true;
}

static pa_t range_end(pa_t start, uint64_t size)
{
    return pa_add(start, mapping_u64_min(size, pa_distance(start, pa_of(UINT64_MAX))));
}

static bool span_touches(const struct frame_span *span, pa_t start, pa_t end)
{
    return pa_lt(start, end) && pa_lt(start, pa_add(span->base, span->size)) &&
           pa_lt(span->base, end);
}

/* Each part of what [@start, @end) has in the first @regions regions. Returns: how many were gone
 * through; *end is as above if not all. */
static size_t visit_regions(struct frame_pool *pool, size_t regions, pa_t start, pa_t *end,
                            part_fn visit)
{
    for (size_t i = 0; i < regions; i++) {
        if (span_touches(&pool->spans[i], start, *end) &&
            !visit_span(pool, &pool->spans[i], start, end, visit)) {
            return i;
        }
    }
    return regions;
}

static uint32_t mapped_of(const struct frame_info *info)
{
    MAPPING_ASSERT(info->prev != FRAME_SEALED);
    return FRAME_REF_NONE - info->prev;
}

static bool part_pass(struct frame_pool *pool, const struct part *part)
{
    (void)pool;
    (void)part;
    return true;
}

static bool part_count(struct frame_pool *pool, const struct part *part)
{
    (void)pool;
    if (mapped_of(part->info) > FRAME_MAPPED_MAX - part->frames) {
        return false;
    }
    part->info->prev -= part->frames;
    return true;
}

static bool part_drop(struct frame_pool *pool, const struct part *part)
{
    struct frame_info *info = part->info;

    MAPPING_ASSERT(mapped_of(info) >= part->frames);
    info->prev += part->frames;
    if (info->prev == FRAME_REF_NONE && kind_state(info->kind) == FRAME_LEFT) {
        block_give(pool, part->ref, kind_order(info->kind));
    }
    return true;
}

static bool part_is_mapped(struct frame_pool *pool, const struct part *part)
{
    (void)pool;
    return mapped_of(part->info) >= part->frames;
}

/* The same in few steps, for a range that lies in one block of the first region, as most do that
 * are short. Returns: whether that was so, and the block was taken; else nothing has been done. */
static inline bool visit_block(struct frame_pool *pool, pa_t start, uint64_t size, part_fn visit)
{
    const struct frame_span *span = &pool->spans[0];
    struct part part = {NULL, 0, 0};
    uint32_t index, frames, ticket;
    uint64_t offset;
    bool is_taken;

    if (size == 0 || !pa_span_offset(span->base, span->size, start, &offset) ||
        size > span->size - offset) {
        return false;
    }
    index = (uint32_t)(offset >> pool->frame_shift);
    frames = (uint32_t)((offset + size - 1) >> pool->frame_shift) - index + 1;
    ticket = mapping_lock_acquire_ticket(&pool->lock);
    is_taken =
        part_at(pool, span, index, frames, &part) && part.frames == frames && visit(pool, &part);
    mapping_lock_release_ticket(&pool->lock, ticket);
    return is_taken;
}

static APART bool visit_all(struct frame_pool *pool, pa_t start, uint64_t size, part_fn visit)
{
    const size_t regions = frame_region_count(pool);
    pa_t end = range_end(start, size);

    return visit_regions(pool, regions, start, &end, visit) == regions;
}

static APART bool is_data_inside(struct frame_pool *pool, pa_t start, uint64_t size)
{
    return visit_block(pool, start, size, part_pass) || visit_all(pool, start, size, part_pass);
}

bool frame_pool_is_data(struct frame_pool *pool, pa_t start, uint64_t size)
{
    return !frame_pool_touches(pool, start, size) || is_data_inside(pool, start, size);
}

bool frame_pool_is_mapped(struct frame_pool *pool, pa_t start, uint64_t size)
{
    return !frame_pool_touches(pool, start, size) || visit_all(pool, start, size, part_is_mapped);
}

/* All or nothing. */
static APART enum mapping_error count_all(struct frame_pool *pool, pa_t start, uint64_t size)
{
    const size_t regions = frame_region_count(pool);
    const pa_t end = range_end(start, size);
    pa_t stop = end;
    const size_t done = visit_regions(pool, regions, start, &stop, part_count);
    size_t undone;

    if (done == regions) {
        return MAPPING_OK;
    }
    /* What was counted: all in the regions before, and up to the stop in the one that refused. */
    if (pa_lt(pa_max(start, pool->spans[done].base), stop)) {
        const bool is_dropped = visit_span(pool, &pool->spans[done], start, &stop, part_drop);

        MAPPING_ASSERT(is_dropped);
        (void)is_dropped;
    }
    stop = end;
    undone = visit_regions(pool, done, start, &stop, part_drop);
    MAPPING_ASSERT(undone == done);
    (void)undone;
    return MAPPING_DENIED;
}

static APART enum mapping_error count_mapping(struct frame_pool *pool, pa_t start, uint64_t size)
{
    return visit_block(pool, start, size, part_count) ? MAPPING_OK : count_all(pool, start, size);
}

enum mapping_error frame_pool_count_mapping(struct frame_pool *pool, pa_t start, uint64_t size)
{
    return frame_pool_touches(pool, start, size) ? count_mapping(pool, start, size) : MAPPING_OK;
}

static APART void drop_mapping(struct frame_pool *pool, pa_t start, uint64_t size)
{
    const bool is_dropped =
        visit_block(pool, start, size, part_drop) || visit_all(pool, start, size, part_drop);

    MAPPING_ASSERT(is_dropped);
    (void)is_dropped;
}

void frame_pool_drop_mapping(struct frame_pool *pool, pa_t start, uint64_t size)
{
    if (frame_pool_touches(pool, start, size)) {
        drop_mapping(pool, start, size);
    }
}

enum mapping_error frame_pool_leave(struct frame_pool *pool, pa_t frame, unsigned order)
{
    enum mapping_error error = MAPPING_BAD_STATE;
    struct frame_info *info;
    uint32_t ticket, ref;

    info = frame_info_at(pool, frame, &ref);
    if (info == NULL) {
        return error;
    }
    ticket = mapping_lock_acquire_ticket(&pool->lock);
    if (info->kind == frame_kind(FRAME_TAKEN, order)) {
        error = MAPPING_OK;
        if (info->prev == FRAME_SEALED || info->prev == FRAME_REF_NONE) {
            block_give(pool, ref, order);
        } else {
            info->next = FRAME_REF_NONE;
            info->count = 0;
            info->kind = frame_kind(FRAME_LEFT, order);
        }
    }
    mapping_lock_release_ticket(&pool->lock, ticket);
    return error;
}

bool frame_list_pop(const struct frame_pool *pool, struct frame_list *list, pa_t *frame)
{
    const uint32_t ref = list->head;
    struct frame_info *info;

    if (ref == FRAME_REF_NONE) {
        return false;
    }
    info = frame_ref_info(pool, ref);
    MAPPING_ASSERT(frame_info_is_taken(info));
    list_pop(list, info);
    *frame = frame_ref_pa(pool, ref);
    return true;
}

/* What the infos add up to, to be compared with what the pool believes. */
struct tally {
    size_t free_blocks[FRAME_POOL_ORDERS];
    size_t free;
    size_t loose;
    size_t held; /* set aside */
};

static bool ref_is_valid(const struct frame_pool *pool, uint32_t ref)
{
    return ref_region(ref) < frame_region_count(pool) &&
           ref_index(ref) < pool->spans[ref_region(ref)].frame_count;
}

static bool ref_is_free(const struct frame_pool *pool, uint32_t ref, unsigned order)
{
    return ref_is_valid(pool, ref) &&
           frame_ref_info(pool, ref)->kind == frame_kind(FRAME_FREE, order);
}

static bool info_is_inside(const struct frame_info *info)
{
    return info->kind == frame_kind(FRAME_INSIDE, 0) &&
           (info->next | info->prev | info->count) == 0;
}

/* A first frame, aligned and whole, with nothing but frames inside behind it. */
static bool check_extent(const struct frame_pool *pool, uint32_t ref)
{
    const struct frame_span *span = &pool->spans[ref_region(ref)];
    const struct frame_info *info = frame_ref_info(pool, ref);
    unsigned order = kind_order(info->kind);

    if (order >= FRAME_POOL_ORDERS || frames_of(order) > span->frame_count - ref_index(ref) ||
        !mapping_u64_is_aligned(span->first_number + ref_index(ref), frames_of(order))) {
        return false;
    }
    for (uint32_t i = 1; i < frames_of(order); i++) {
        if (!info_is_inside(&info[i])) {
            return false;
        }
    }
    return true;
}

/* Each neighbour on the free list is FREE, of the same order, and points back. */
static bool check_free_links(const struct frame_pool *pool, uint32_t ref, unsigned order)
{
    const struct frame_info *info = frame_ref_info(pool, ref);
    bool prev_agrees;
    bool next_agrees;

    if (info->prev == FRAME_REF_NONE) {
        prev_agrees = pool->free_head[order] == ref;
    } else {
        prev_agrees =
            ref_is_free(pool, info->prev, order) && frame_ref_info(pool, info->prev)->next == ref;
    }
    next_agrees = info->next == FRAME_REF_NONE || (ref_is_free(pool, info->next, order) &&
                                                   frame_ref_info(pool, info->next)->prev == ref);
    return prev_agrees && next_agrees;
}

static bool check_unmergeable(const struct frame_pool *pool, uint32_t ref, unsigned order)
{
    const struct frame_span *span = &pool->spans[ref_region(ref)];
    uint32_t buddy = buddy_index(span, span->first_number + ref_index(ref), order);

    return order + 1 == FRAME_POOL_ORDERS || buddy >= span->frame_count ||
           !ref_is_free(pool, span->first_ref | buddy, order);
}

/* A block on a reserve or an owner's list leads to its like, or is the last; a reserve's are of
 * one order. */
static bool check_owned_links(const struct frame_pool *pool, const struct frame_info *info)
{
    const bool may_be_marked = kind_state(info->kind) == FRAME_TAKEN;
    const bool is_mapped = FRAME_REF_NONE - info->prev <= FRAME_MAPPED_MAX;
    uint32_t next_kind;

    if (info->prev != FRAME_REF_NONE &&
        !(may_be_marked && (info->prev == FRAME_SEALED || is_mapped))) {
        return false;
    }
    if (info->next == FRAME_REF_NONE) {
        return true;
    }
    if (!ref_is_valid(pool, info->next)) {
        return false;
    }
    next_kind = frame_ref_info(pool, info->next)->kind;
    return next_kind == info->kind ||
           (kind_state(info->kind) == FRAME_TAKEN && kind_state(next_kind) == FRAME_TAKEN);
}

/* Check a block by what its state demands, and count it. */
static bool check_block(const struct frame_pool *pool, uint32_t ref, struct tally *tally)
{
    const struct frame_info *info = frame_ref_info(pool, ref);
    unsigned order = kind_order(info->kind);

    switch (kind_state(info->kind)) {
    case FRAME_FREE:
        tally->free_blocks[order]++;
        tally->free += frames_of(order);
        return info->count == 0 && check_unmergeable(pool, ref, order) &&
               check_free_links(pool, ref, order);
    case FRAME_LOOSE:
        tally->loose++;
        return info->count == 0 && check_owned_links(pool, info);
    case FRAME_HELD:
        tally->held += frames_of(order);
        return order != 0 && info->count == 0 && check_owned_links(pool, info);
    case FRAME_TAKEN:
        return check_owned_links(pool, info);
    case FRAME_LEFT:
        return info->count == 0 && info->next == FRAME_REF_NONE &&
               FRAME_REF_NONE - info->prev - 1 < FRAME_MAPPED_MAX;
    default:
        return false;
    }
}

static bool check_region(const struct frame_pool *pool, size_t region, struct tally *tally)
{
    const struct frame_span *span = &pool->spans[region];
    uint32_t index = 0;

    while (index < span->frame_count) {
        const uint32_t ref = span->first_ref | index;

        if (!check_extent(pool, ref) || !check_block(pool, ref, tally)) {
            return false;
        }
        index += frames_of(kind_order(frame_ref_info(pool, ref)->kind));
    }
    return true;
}

/* Every FREE block is reached from the head of its order: links agree on both sides, so only a
 * ring apart from the list could hide some, and then the list is too short. */
static bool check_free_list(const struct frame_pool *pool, unsigned order, size_t blocks)
{
    uint32_t ref = pool->free_head[order];
    bool has_bit = (pool->free_orders & frames_of(order)) != 0;

    if (has_bit != (blocks != 0)) {
        return false;
    }
    for (size_t i = 0; i < blocks; i++) {
        if (!ref_is_free(pool, ref, order)) {
            return false;
        }
        ref = frame_ref_info(pool, ref)->next;
    }
    return ref == FRAME_REF_NONE;
}

/* The loose list has every LOOSE frame, and they are single: each leads to its like, so only a ring
 * could hide some. */
static bool check_loose(const struct frame_pool *pool, size_t frames)
{
    uint32_t ref = pool->loose;

    for (size_t i = 0; i < frames; i++) {
        if (!ref_is_valid(pool, ref) ||
            frame_ref_info(pool, ref)->kind != frame_kind(FRAME_LOOSE, 0)) {
            return false;
        }
        ref = frame_ref_info(pool, ref)->next;
    }
    return ref == FRAME_REF_NONE;
}

/* What is neither taken nor set aside is available, or promised as single frames. */
static bool check_counts(const struct frame_pool *pool, const struct tally *tally)
{
    size_t frames = 0;

    for (size_t i = 0; i < frame_region_count(pool); i++) {
        frames += pool->spans[i].frame_count;
    }
    return frames == pool->frame_count && pool->held >= tally->held &&
           tally->free + tally->loose ==
               frame_stock_available(frame_stock(pool)) + (pool->held - tally->held) &&
           pool->mergers == 0 && (pool->free_orders >> FRAME_POOL_ORDERS) == 0;
}

bool frame_pool_check(const struct frame_pool *pool)
{
    struct tally tally = {.free = 0};

    for (size_t i = 0; i < frame_region_count(pool); i++) {
        if (!check_region(pool, i, &tally)) {
            return false;
        }
    }
    for (unsigned order = 0; order < FRAME_POOL_ORDERS; order++) {
        if (!check_free_list(pool, order, tally.free_blocks[order])) {
            return false;
        }
    }
    return check_loose(pool, tally.loose) && check_counts(pool, &tally);
}
