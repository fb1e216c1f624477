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
 * That ends: others add one frame by a turn of the lock at most, as what is unreserved meanwhile is
 * merged at once (mergers).
 *
 * Loose frames and single frames on a reserve have one state, HELD: the loose list is a reserve of
 * the pool's own. So any number of them goes from one to the other by a change of a link at either
 * end.
 *
 * An info's words have one meaning each per state, and those without one are zero (or
 * FRAME_REF_NONE for a link), so that frame_pool_check() can hold every word to account.
 */
#include "core/frame_pool.h"

#define REFILL_ORDER 6 /* of a block that becomes loose at once */
#define MERGE_STEPS 64 /* list steps in one turn of the lock */

/* So that FRAME_REF_NONE names no frame. */
#define REGION_FRAMES_MAX (FRAME_REF_INDEX_MASK - 63)

_Static_assert(FRAME_POOL_MAX_REGIONS <= 15, "region 15 is left to FRAME_REF_NONE");
_Static_assert(FRAME_POOL_ORDERS <= FRAME_REF_REGION_SHIFT, "a block lies in one region");
_Static_assert(FRAME_POOL_ORDERS > REFILL_ORDER, "what is refilled is no larger than a block");

static unsigned kind_state(uint32_t kind)
{
    return (unsigned)FIELD_GET(FRAME_KIND_STATE, kind);
}

static unsigned kind_order(uint32_t kind)
{
    return (unsigned)FIELD_GET(FRAME_KIND_ORDER, kind);
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

bool frame_ref_in_any(const struct frame_pool *pool, pa_t frame, uint32_t *ref)
{
    for (size_t i = 0; i < pool->region_count; i++) {
        const uint64_t index = pa_unit_number(pool->bases[i], frame, pool->frame_shift);

        if (index < pool->spans[i].frame_count) {
            *ref = pool->spans[i].first_ref | (uint32_t)index;
            return true;
        }
    }
    return false;
}

static inline void info_set(struct frame_info *info, uint32_t next, uint32_t kind)
{
    *info = (struct frame_info){.next = next, .prev = FRAME_REF_NONE, .count = 0, .kind = kind};
}

static size_t load_count(const _Atomic size_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* @ready: not above @available, less than 2^31 as all frames are. */
static void stock_split(struct frame_pool *pool, size_t available, size_t ready)
{
    MAPPING_ASSERT(ready <= available);
    frame_stock_set(pool, (uint64_t)(available - ready) << 32 | ready);
}

/* @frames are available no more. So many fewer are ready: whether they were loose or the low-water
 * mark comes nearer, no bound of what is ready has shrunk by more. */
static void stock_take(struct frame_pool *pool, size_t frames)
{
    const uint64_t stock = frame_stock(pool);
    const size_t available = frame_stock_available(stock);
    const size_t ready = frame_stock_ready(stock);

    MAPPING_ASSERT(available >= frames);
    stock_split(pool, available - frames, ready > frames ? ready - frames : 0);
}

/* @frames are available again, @loose of them at the head of the loose list. */
static void stock_give(struct frame_pool *pool, size_t frames, size_t loose)
{
    const uint64_t stock = frame_stock(pool);

    stock_split(pool, frame_stock_available(stock) + frames, frame_stock_ready(stock) + loose);
}

/* Called when an operation has succeeded, so that one that is rolled back leaves no mark. */
static void low_water_note(struct frame_pool *pool)
{
    size_t available = frame_stock_available(frame_stock(pool));

    if (available < load_count(&pool->low_water)) {
        atomic_store_explicit(&pool->low_water, available, memory_order_relaxed);
    }
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
    from = u64_trailing_zeros(fitting);
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

    MAPPING_ASSERT(lock_is_held(&pool->lock));
    MAPPING_ASSERT(u64_is_aligned(number, frames_of(order)));
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

/* What is ready cannot exceed what is on the list, so it shrinks with it. */
static uint32_t loose_pop(struct frame_pool *pool)
{
    const uint64_t stock = frame_stock(pool);
    const size_t ready = frame_stock_ready(stock);
    const uint32_t ref = pool->loose;
    const struct frame_info *info = frame_ref_info(pool, ref);

    MAPPING_ASSERT(info->kind == frame_kind(FRAME_HELD, 0));
    pool->loose = info->next;
    stock_split(pool, frame_stock_available(stock), ready == 0 ? 0 : ready - 1);
    return ref;
}

/* One turn. */
static void loose_merge_some(struct frame_pool *pool)
{
    unsigned steps = 0;

    while (pool->loose != FRAME_REF_NONE && steps < MERGE_STEPS) {
        steps += block_merge(pool, loose_pop(pool), 0);
    }
}

/* Make the smallest free block loose, or so much of it as may be at once, lowest frame first. The
 * loose list is empty. */
static bool loose_refill(struct frame_pool *pool)
{
    const unsigned order = u64_trailing_zeros(pool->free_orders | BIT(REFILL_ORDER));
    const size_t spare = frame_stock_available(frame_stock(pool)) - load_count(&pool->low_water);
    const uint32_t ref = block_cut(pool, order);
    struct frame_info *info;

    MAPPING_ASSERT(pool->loose == FRAME_REF_NONE);
    if (ref == FRAME_REF_NONE) {
        return false;
    }
    info = frame_ref_info(pool, ref);
    for (uint32_t i = 1; i < frames_of(order); i++) {
        info_set(info++, ref + i, frame_kind(FRAME_HELD, 0));
    }
    info_set(info, FRAME_REF_NONE, frame_kind(FRAME_HELD, 0));
    pool->loose = ref;
    stock_split(pool, frame_stock_available(frame_stock(pool)), u64_min(spare, frames_of(order)));
    return true;
}

/* Let whoever waits for the pool have it first. */
static bool pass_lock_on(struct frame_pool *pool)
{
    lock_release(&pool->lock);
    lock_acquire(&pool->lock);
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

/* Take a block of more than one frame off what is available; the caller writes its info. */
static bool block_obtain(struct frame_pool *pool, unsigned order, uint32_t *ref)
{
    MAPPING_ASSERT(order != 0);
    if ((frame_stock_available(frame_stock(pool)) >> order) == 0) {
        return false;
    }
    *ref = block_cut(pool, order);
    if (*ref == FRAME_REF_NONE && pool->loose != FRAME_REF_NONE) {
        loose_merge(pool, order);
        *ref = block_cut(pool, order);
    }
    if (*ref == FRAME_REF_NONE) {
        return false;
    }
    stock_take(pool, frames_of(order));
    return true;
}

/* The same for a single frame. */
static bool single_obtain(struct frame_pool *pool, uint32_t *ref)
{
    if (pool->loose == FRAME_REF_NONE && !loose_refill(pool)) {
        return false;
    }
    *ref = pool->loose;
    pool->loose = frame_ref_info(pool, *ref)->next;
    stock_take(pool, 1);
    return true;
}

/* Make a block available again. */
static void block_release(struct frame_pool *pool, uint32_t ref, unsigned order)
{
    if (order != 0) {
        stock_give(pool, frames_of(order), 0);
        (void)block_merge(pool, ref, order);
        return;
    }
    info_set(frame_ref_info(pool, ref), pool->loose, frame_kind(FRAME_HELD, 0));
    pool->loose = ref;
    stock_give(pool, 1, 1);
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
    uint64_t frame_size = BIT(frame_shift);

    return region->frame_count != 0 && region->frame_count <= REGION_FRAMES_MAX &&
           region->info != NULL && pa_is_aligned(region->base, frame_size) &&
           u64_is_aligned((uintptr_t)region->memory, frame_size) &&
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
        unsigned aligned = u64_trailing_zeros(span->first_number + left);
        uint64_t order = u64_min(u64_min(aligned, u64_log2(left)), FRAME_POOL_ORDERS - 1);

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

    lock_init(&pool->lock);
    pool->frame_shift = frame_shift;
    pool->region_count = region_count;
    pool->free_orders = 0;
    pool->loose = FRAME_REF_NONE;
    pool->mergers = 0;
    pool->held = 0;
    for (unsigned order = 0; order < FRAME_POOL_ORDERS; order++) {
        pool->free_head[order] = FRAME_REF_NONE;
    }
    for (size_t i = region_count; i-- > 0;) {
        span_init(&pool->spans[i], &regions[i], i, frame_shift);
        pool->infos[i] = regions[i].info;
        pool->bases[i] = regions[i].base;
        region_free_all(pool, i);
        frames += regions[i].frame_count;
    }
    pool->frame_count = frames;
    atomic_init(&pool->stock, 0);
    stock_split(pool, frames, 0);
    atomic_init(&pool->low_water, frames);
    return MAPPING_OK;
}

enum mapping_error frame_pool_alloc_any(struct frame_pool *pool, unsigned order, pa_t *frame)
{
    uint32_t ref;
    bool is_found;

    if (order >= FRAME_POOL_ORDERS) {
        return MAPPING_INVALID_PARAM;
    }
    lock_acquire(&pool->lock);
    is_found = order == 0 ? single_obtain(pool, &ref) : block_obtain(pool, order, &ref);
    if (is_found) {
        info_set(frame_ref_info(pool, ref), FRAME_REF_NONE, frame_kind(FRAME_TAKEN, order));
        low_water_note(pool);
        *frame = frame_ref_pa(pool, ref);
    }
    lock_release(&pool->lock);
    return is_found ? MAPPING_OK : MAPPING_NO_FRAME;
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

enum mapping_error frame_pool_free_any(struct frame_pool *pool, pa_t frame, unsigned order)
{
    const struct frame_info *info;
    uint32_t ref;
    bool is_taken;

    if (!frame_ref_at(pool, frame, &ref)) {
        return MAPPING_BAD_STATE;
    }
    info = frame_ref_info(pool, ref);
    lock_acquire(&pool->lock);
    is_taken = info->kind == frame_kind(FRAME_TAKEN, order) &&
               (info->prev == FRAME_SEALED || info->prev == FRAME_REF_NONE);
    if (is_taken) {
        block_release(pool, ref, order);
    }
    lock_release(&pool->lock);
    return is_taken ? MAPPING_OK : MAPPING_BAD_STATE;
}

/* --- Reserves and lists ---------------------------------------------------------------------- */

/* The reference of the TAKEN block that begins at @frame; anything else is the caller's bug. */
static inline uint32_t taken_ref(const struct frame_pool *pool, pa_t frame)
{
    uint32_t ref = FRAME_REF_NONE;
    bool is_frame = frame_ref_at(pool, frame, &ref);

    MAPPING_ASSERT(is_frame);
    MAPPING_ASSERT(kind_state(frame_ref_info(pool, ref)->kind) == FRAME_TAKEN);
    return ref;
}

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

static inline void reserve_push(struct frame_reserve *held, uint32_t ref, struct frame_info *info)
{
    if (held->blocks.count == 0) {
        held->last = ref;
    }
    list_push(&held->blocks, ref, info);
}

/* A list of @count blocks from @first to @last, whose info is @info, goes before what is held. */
static inline void reserve_prepend(struct frame_reserve *held, uint32_t first, uint32_t last,
                                   struct frame_info *info, size_t count)
{
    if (held->blocks.count == 0) {
        held->last = last;
    }
    info->next = held->blocks.head;
    held->blocks.head = first;
    held->blocks.count += count;
}

/* Hold up to @most loose frames; there is one. Returns: how many. They are HELD already, and linked
 * as they must be. */
static size_t loose_hold(struct frame_pool *pool, struct frame_reserve *held, size_t most)
{
    const uint32_t first = pool->loose;
    uint32_t next = first;
    struct frame_info *info;
    size_t count = 0;
    uint32_t last;

    do {
        last = next;
        info = frame_ref_info(pool, last);
        next = info->next;
        count++;
    } while (count < most && next != FRAME_REF_NONE);
    pool->loose = next;
    reserve_prepend(held, first, last, info, count);
    return count;
}

static enum mapping_error singles_reserve(struct frame_pool *pool, size_t count,
                                          struct frame_reserve *held)
{
    const uint32_t ticket = lock_acquire_ticket(&pool->lock);
    const bool is_there = count <= frame_stock_available(frame_stock(pool));

    if (is_there) {
        size_t left = count;

        held->order = 0;
        while (left > 0) {
            const bool is_loose = pool->loose != FRAME_REF_NONE || loose_refill(pool);

            MAPPING_ASSERT(is_loose);
            (void)is_loose;
            left -= loose_hold(pool, held, left);
        }
        pool->held += count;
        stock_take(pool, count);
        low_water_note(pool);
    }
    lock_release_ticket(&pool->lock, ticket);
    return is_there ? MAPPING_OK : MAPPING_NO_FRAME;
}

/* Give the @count blocks held last back. The pool is locked. */
static void reserve_drop(struct frame_pool *pool, struct frame_reserve *held, size_t count)
{
    const unsigned order = held->order;

    MAPPING_ASSERT(lock_is_held(&pool->lock));
    MAPPING_ASSERT(count <= held->blocks.count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t ref = held->blocks.head;
        struct frame_info *info = frame_ref_info(pool, ref);

        MAPPING_ASSERT(info->kind == frame_kind(FRAME_HELD, order));
        list_pop(&held->blocks, info);
        stock_give(pool, frames_of(order), 0);
        (void)block_merge(pool, ref, order);
    }
}

/* Hold up to @count blocks of more than one frame. Returns: how many there were. */
static size_t blocks_hold(struct frame_pool *pool, unsigned order, size_t count,
                          struct frame_reserve *held)
{
    size_t got;

    held->order = order;
    for (got = 0; got < count; got++) {
        const uint32_t ref = block_cut(pool, order);

        if (ref == FRAME_REF_NONE) {
            break;
        }
        stock_take(pool, frames_of(order));
        info_set(frame_ref_info(pool, ref), FRAME_REF_NONE, frame_kind(FRAME_HELD, order));
        reserve_push(held, ref, frame_ref_info(pool, ref));
    }
    return got;
}

/* Hold @count of them or none. */
static bool blocks_hold_all(struct frame_pool *pool, unsigned order, size_t count,
                            struct frame_reserve *held)
{
    const unsigned old_order = held->order;
    const size_t got = blocks_hold(pool, order, count, held);

    if (got < count) {
        reserve_drop(pool, held, got);
        held->order = old_order;
        return false;
    }
    pool->held += count << order;
    low_water_note(pool);
    return true;
}

static enum mapping_error blocks_reserve(struct frame_pool *pool, unsigned order, size_t count,
                                         struct frame_reserve *held)
{
    bool is_held = false;

    lock_acquire(&pool->lock);
    /* A count that can never be met is refused before a frame moves. */
    if (count <= frame_stock_available(frame_stock(pool)) >> order) {
        is_held = blocks_hold_all(pool, order, count, held);
        if (!is_held && pool->loose != FRAME_REF_NONE) {
            loose_merge(pool, count == 1 ? order : FRAME_POOL_ORDERS);
            is_held = blocks_hold_all(pool, order, count, held);
        }
    }
    lock_release(&pool->lock);
    return is_held ? MAPPING_OK : MAPPING_NO_FRAME;
}

enum mapping_error frame_pool_reserve(struct frame_pool *pool, unsigned order, size_t count,
                                      struct frame_reserve *held)
{
    MAPPING_ASSERT((held->blocks.count == 0) == (held->blocks.head == FRAME_REF_NONE));
    if (order >= FRAME_POOL_ORDERS || (held->blocks.count != 0 && held->order != order)) {
        return MAPPING_INVALID_PARAM;
    }
    return order == 0 ? singles_reserve(pool, count, held)
                      : blocks_reserve(pool, order, count, held);
}

/* @mark: FRAME_REF_NONE, or FRAME_SEALED. */
static inline pa_t held_take(struct frame_pool *pool, struct frame_reserve *held, uint32_t mark)
{
    const uint32_t ref = held->blocks.head;
    struct frame_info *info;
    uint32_t ticket;

    MAPPING_ASSERT(held->blocks.count != 0);
    info = frame_ref_info(pool, ref);
    ticket = lock_acquire_ticket(&pool->lock);
    MAPPING_ASSERT(pool->held >= frames_of(held->order));
    MAPPING_ASSERT(info->kind == frame_kind(FRAME_HELD, held->order));
    list_pop(&held->blocks, info);
    info->prev = mark;
    info->kind = frame_kind(FRAME_TAKEN, held->order);
    pool->held -= frames_of(held->order);
    lock_release_ticket(&pool->lock, ticket);
    return frame_ref_pa(pool, ref);
}

pa_t frame_pool_take(struct frame_pool *pool, struct frame_reserve *held)
{
    return held_take(pool, held, FRAME_REF_NONE);
}

pa_t frame_pool_take_sealed(struct frame_pool *pool, struct frame_reserve *held)
{
    return held_take(pool, held, FRAME_SEALED);
}

void frame_pool_untake(struct frame_pool *pool, pa_t frame, unsigned order,
                       struct frame_reserve *held)
{
    const uint32_t ref = taken_ref(pool, frame);
    struct frame_info *info = frame_ref_info(pool, ref);
    uint32_t ticket;

    MAPPING_ASSERT(held->blocks.count == 0 || held->order == order);
    MAPPING_ASSERT(info->kind == frame_kind(FRAME_TAKEN, order));
    ticket = lock_acquire_ticket(&pool->lock);
    info_set(info, FRAME_REF_NONE, frame_kind(FRAME_HELD, order));
    reserve_push(held, ref, info);
    held->order = order;
    pool->held += frames_of(order);
    lock_release_ticket(&pool->lock, ticket);
}

/* The links stay as they are, but for the last one's, which leads on to what was held before. */
void frame_pool_untake_all(struct frame_pool *pool, struct frame_list *list, unsigned order,
                           struct frame_reserve *held)
{
    size_t left = list->count;
    uint32_t next = list->head;
    struct frame_info *info;
    uint32_t last;

    MAPPING_ASSERT(held->blocks.count == 0 || held->order == order);
    if (left == 0) {
        return;
    }
    lock_acquire(&pool->lock);
    do {
        last = next;
        info = frame_ref_info(pool, last);
        MAPPING_ASSERT(info->kind == frame_kind(FRAME_TAKEN, order));
        next = info->next;
        info->prev = FRAME_REF_NONE;
        info->kind = frame_kind(FRAME_HELD, order);
        info->count = 0;
    } while (--left > 0);
    MAPPING_ASSERT(next == FRAME_REF_NONE);
    reserve_prepend(held, list->head, last, info, list->count);
    held->order = order;
    pool->held += list->count << order;
    lock_release(&pool->lock);
    frame_list_init(list);
}

/* All single frames of @held become loose, before those that are. The pool is locked. */
static void singles_unreserve(struct frame_pool *pool, struct frame_reserve *held)
{
    struct frame_info *last = frame_ref_info(pool, held->last);

    MAPPING_ASSERT(last->kind == frame_kind(FRAME_HELD, 0) && last->next == FRAME_REF_NONE);
    last->next = pool->loose;
    pool->loose = held->blocks.head;
    stock_give(pool, held->blocks.count, held->blocks.count);
    frame_list_init(&held->blocks);
}

void frame_pool_unreserve(struct frame_pool *pool, struct frame_reserve *held)
{
    const size_t count = held->blocks.count;

    if (count == 0) {
        return;
    }
    lock_acquire(&pool->lock);
    MAPPING_ASSERT(pool->held >> held->order >= count);
    pool->held -= count << held->order;
    if (held->order == 0 && pool->mergers == 0) {
        singles_unreserve(pool, held);
    } else {
        reserve_drop(pool, held, count);
    }
    lock_release(&pool->lock);
}

size_t frame_pool_available(const struct frame_pool *pool)
{
    return frame_stock_available(frame_stock(pool));
}

size_t frame_pool_low_water(const struct frame_pool *pool)
{
    return load_count(&pool->low_water);
}

/* The region that @addr lies in, or NULL; *left: bytes from there to its end. */
static const struct frame_span *span_at(const struct frame_pool *pool, pa_t addr, uint64_t *left)
{
    for (size_t i = 0; i < pool->region_count; i++) {
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

bool frame_pool_touches(const struct frame_pool *pool, pa_t start, uint64_t size)
{
    uint64_t below_top = u64_min(size, pa_distance(start, pa_of(UINT64_MAX)));
    uint64_t ignored;

    if (size == 0) {
        return false;
    }
    if (span_at(pool, start, &ignored) != NULL) {
        return true;
    }
    for (size_t i = 0; i < pool->region_count; i++) {
        if (pa_span_offset(start, below_top, pool->spans[i].base, &ignored)) {
            return true;
        }
    }
    return false;
}

bool frame_pool_bias(const struct frame_pool *pool, uint64_t *bias)
{
    const struct frame_span *span = &pool->spans[0];

    if (pool->region_count != 1 || span->memory == NULL) {
        return false;
    }
    *bias = (uint64_t)(uintptr_t)span->memory - pa_distance(pa_of(0), span->base);
    return true;
}

bool frame_pool_is_reachable(const struct frame_pool *pool, pa_t limit)
{
    for (size_t i = 0; i < pool->region_count; i++) {
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

    return order < FRAME_POOL_ORDERS && frame_ref_at(pool, frame, &ref) &&
           frame_ref_info(pool, ref)->kind == frame_kind(FRAME_TAKEN, order);
}

uint32_t *frame_pool_count(const struct frame_pool *pool, pa_t frame)
{
    return &frame_ref_info(pool, taken_ref(pool, frame))->count;
}

void frame_pool_seal(struct frame_pool *pool, pa_t frame)
{
    struct frame_info *info = frame_ref_info(pool, taken_ref(pool, frame));

    lock_acquire(&pool->lock);
    MAPPING_ASSERT(info->prev == FRAME_SEALED || info->prev == FRAME_REF_NONE);
    info->prev = FRAME_SEALED;
    lock_release(&pool->lock);
}

/* A part of a TAKEN block that is not sealed. */
struct part {
    struct frame_info *info; /* the block's */
    uint32_t frames;         /* in the part */
};

/* What is left of such a block from frame @index on, at most @most frames; false: it is in none.
 * The block's first frame is one of those below that are aligned to the order it says. The pool is
 * locked. */
static bool part_at(const struct frame_pool *pool, const struct frame_span *span, uint32_t index,
                    uint32_t most, struct part *part)
{
    const uint32_t number = span->first_number + index;

    for (unsigned order = 0; order < FRAME_POOL_ORDERS; order++) {
        const uint32_t inside = number & (frames_of(order) - 1);
        struct frame_info *info;

        if (inside > index) {
            return false;
        }
        info = frame_ref_info(pool, span->first_ref | (index - inside));
        if (kind_state(info->kind) != FRAME_INSIDE && kind_order(info->kind) >= order) {
            const uint32_t left = frames_of(kind_order(info->kind)) - inside;

            *part = (struct part){info, left < most ? left : most};
            return kind_state(info->kind) == FRAME_TAKEN && info->prev != FRAME_SEALED;
        }
    }
    return false;
}

/* What is done with each part of a range; false: the range is refused. */
typedef bool (*part_fn)(const struct part *part);

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
        struct part part = {NULL, 0};
        bool is_taken;

        lock_acquire(&pool->lock);
        is_taken = part_at(pool, span, index, last - index + 1, &part) && visit(&part);
        lock_release(&pool->lock);
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
    return pa_add(start, u64_min(size, pa_distance(start, pa_of(UINT64_MAX))));
}

static bool touches_span(const struct frame_span *span, pa_t start, pa_t end)
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
        if (touches_span(&pool->spans[i], start, *end) &&
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

static bool part_pass(const struct part *part)
{
    (void)part;
    return true;
}

static bool part_count(const struct part *part)
{
    if (mapped_of(part->info) > FRAME_MAPPED_MAX - part->frames) {
        return false;
    }
    part->info->prev -= part->frames;
    return true;
}

static bool part_drop(const struct part *part)
{
    MAPPING_ASSERT(mapped_of(part->info) >= part->frames);
    part->info->prev += part->frames;
    return true;
}

static bool part_is_mapped(const struct part *part)
{
    return mapped_of(part->info) >= part->frames;
}

bool frame_pool_is_data(struct frame_pool *pool, pa_t start, uint64_t size)
{
    pa_t end = range_end(start, size);

    return visit_regions(pool, pool->region_count, start, &end, part_pass) == pool->region_count;
}

bool frame_pool_is_mapped(struct frame_pool *pool, pa_t start, uint64_t size)
{
    pa_t end = range_end(start, size);

    return visit_regions(pool, pool->region_count, start, &end, part_is_mapped) ==
           pool->region_count;
}

enum mapping_error frame_pool_count_mapping(struct frame_pool *pool, pa_t start, uint64_t size)
{
    const pa_t end = range_end(start, size);
    pa_t stop = end;
    const size_t done = visit_regions(pool, pool->region_count, start, &stop, part_count);
    size_t undone;

    if (done == pool->region_count) {
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

void frame_pool_drop_mapping(struct frame_pool *pool, pa_t start, uint64_t size)
{
    pa_t end = range_end(start, size);
    const size_t done = visit_regions(pool, pool->region_count, start, &end, part_drop);

    MAPPING_ASSERT(done == pool->region_count);
    (void)done;
}

bool frame_pool_overlaps(const struct frame_pool *pool, pa_t start, uint64_t size)
{
    const pa_t end = range_end(start, size);
    bool is_touched = false;

    for (size_t i = 0; i < pool->region_count; i++) {
        is_touched |= touches_span(&pool->spans[i], start, end);
    }
    return is_touched;
}

void frame_list_push(const struct frame_pool *pool, struct frame_list *list, pa_t frame)
{
    const uint32_t ref = taken_ref(pool, frame);

    list_push(list, ref, frame_ref_info(pool, ref));
}

bool frame_list_pop(const struct frame_pool *pool, struct frame_list *list, pa_t *frame)
{
    const uint32_t ref = list->head;
    struct frame_info *info;

    if (ref == FRAME_REF_NONE) {
        return false;
    }
    info = frame_ref_info(pool, ref);
    MAPPING_ASSERT(kind_state(info->kind) == FRAME_TAKEN);
    list_pop(list, info);
    *frame = frame_ref_pa(pool, ref);
    return true;
}

/* What the infos add up to, to be compared with what the pool believes. */
struct tally {
    size_t free_blocks[FRAME_POOL_ORDERS];
    size_t available;
    size_t held; /* and loose */
};

static bool ref_is_valid(const struct frame_pool *pool, uint32_t ref)
{
    return ref_region(ref) < pool->region_count &&
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
        !u64_is_aligned(span->first_number + ref_index(ref), frames_of(order))) {
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
        tally->available += frames_of(order);
        return info->count == 0 && check_unmergeable(pool, ref, order) &&
               check_free_links(pool, ref, order);
    case FRAME_HELD:
        tally->held += frames_of(order);
        return info->count == 0 && check_owned_links(pool, info);
    case FRAME_TAKEN:
        return check_owned_links(pool, info);
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

/* *count: how long the loose list is. Each of its frames is HELD and single; a ring would have more
 * of them than there are. */
static bool check_loose(const struct frame_pool *pool, const struct tally *tally, size_t *count)
{
    uint32_t ref = pool->loose;

    for (*count = 0; ref != FRAME_REF_NONE; (*count)++) {
        if (*count == tally->held || !ref_is_valid(pool, ref) ||
            frame_ref_info(pool, ref)->kind != frame_kind(FRAME_HELD, 0)) {
            return false;
        }
        ref = frame_ref_info(pool, ref)->next;
    }
    return true;
}

static bool check_counts(const struct frame_pool *pool, const struct tally *tally)
{
    const uint64_t stock = frame_stock(pool);
    const size_t ready = frame_stock_ready(stock);
    size_t frames = 0;
    size_t loose;

    for (size_t i = 0; i < pool->region_count; i++) {
        frames += pool->spans[i].frame_count;
    }
    return check_loose(pool, tally, &loose) && frames == pool->frame_count &&
           tally->available + loose == frame_stock_available(stock) &&
           tally->held - loose == pool->held && ready <= loose &&
           load_count(&pool->low_water) <= frame_stock_available(stock) - ready &&
           pool->mergers == 0 && (pool->free_orders >> FRAME_POOL_ORDERS) == 0;
}

bool frame_pool_check(const struct frame_pool *pool)
{
    struct tally tally = {.available = 0};

    for (size_t i = 0; i < pool->region_count; i++) {
        if (!check_region(pool, i, &tally)) {
            return false;
        }
    }
    for (unsigned order = 0; order < FRAME_POOL_ORDERS; order++) {
        if (!check_free_list(pool, order, tally.free_blocks[order])) {
            return false;
        }
    }
    return check_counts(pool, &tally);
}
