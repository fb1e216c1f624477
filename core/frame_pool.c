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
 * Outside of it stand the warm frames: bits of one word, for a window of neighbours. Single frames,
 * which is what tables are made of, come from there and go back there, so that cutting and merging
 * is done for up to 64 of them at once:
 *
 *      warm_first                       free 5: in the window, so bit 4 is set again
 *      | 1   2   3   4   5   6   7 ..   free 99: the window is flushed (what it holds is merged into
 *        0   0   1   1   0   1   1      the free lists) and moves to where 99 is
 *
 * Anybody who asks for more than one frame has the window flushed first, so it withholds nothing.
 *
 * An info's words have one meaning each per state, and those without one are zero (or
 * FRAME_REF_NONE for a link), so that frame_pool_check() can hold every word to account.
 */
#include "core/frame_pool.h"

#define REF_REGION_SHIFT 28
#define REF_INDEX_MASK (UINT32_MAX >> (32 - REF_REGION_SHIFT))
#define WARM_ORDER 6
#define WARM_FRAMES 64 /* bits of frame_pool.warm */

/* So that FRAME_REF_NONE names no frame, and no window reaches into the next region. */
#define REGION_FRAMES_MAX (REF_INDEX_MASK + 1 - WARM_FRAMES)

_Static_assert(FRAME_POOL_MAX_REGIONS <= 15, "region 15 is left to FRAME_REF_NONE");
_Static_assert(FRAME_POOL_ORDERS <= REF_REGION_SHIFT, "a block lies in one region");
_Static_assert(WARM_FRAMES == 1U << WARM_ORDER, "the window holds one block of that order");
_Static_assert(FRAME_POOL_ORDERS > WARM_ORDER, "the window is no larger than a block");

enum frame_state {
    FRAME_INSIDE, /* not the first frame of its block; or warm, then its bit says so */
    FRAME_FREE,
    FRAME_HELD,
    FRAME_TAKEN,
};

/* State and order in one word, as they are nearly always asked for together. */
#define KIND_STATE FIELD(31, 8)
#define KIND_ORDER FIELD(7, 0)

/* The order is added as it is. One that is too large gives a kind that no block has. */
static uint32_t kind_of(enum frame_state state, unsigned order)
{
    return (uint32_t)FIELD_PREP(KIND_STATE, state) + order;
}

static unsigned kind_state(uint32_t kind)
{
    return (unsigned)FIELD_GET(KIND_STATE, kind);
}

static unsigned kind_order(uint32_t kind)
{
    return (unsigned)FIELD_GET(KIND_ORDER, kind);
}

static uint32_t frames_of(unsigned order)
{
    return UINT32_C(1) << order;
}

static size_t ref_region(uint32_t ref)
{
    return ref >> REF_REGION_SHIFT;
}

static uint32_t ref_index(uint32_t ref)
{
    return ref & REF_INDEX_MASK;
}

static inline struct frame_info *ref_info(const struct frame_pool *pool, uint32_t ref)
{
    return &pool->infos[ref_region(ref)][ref_index(ref)];
}

static inline pa_t ref_pa(const struct frame_pool *pool, uint32_t ref)
{
    return pa_add(pool->spans[ref_region(ref)].base, (uint64_t)ref_index(ref) << pool->frame_shift);
}

/* *ref: the frame that begins at @frame; false, and unchanged, if none does. */
static inline bool ref_at(const struct frame_pool *pool, pa_t frame, uint32_t *ref)
{
    size_t i = 0;

    do {
        const struct frame_span *span = &pool->spans[i];
        uint64_t offset;

        if (pa_span_offset(span->base, span->size, frame, &offset)) {
            if ((offset & pool->offset_mask) != 0) {
                return false;
            }
            *ref = span->first_ref | (uint32_t)(offset >> pool->frame_shift);
            return true;
        }
        i++;
    } while (i < pool->region_count);
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

/* Plain arithmetic under the lock; atomic only so that a snapshot may be read without it. */
static inline void available_add(struct frame_pool *pool, size_t frames)
{
    atomic_store_explicit(&pool->available, load_count(&pool->available) + frames,
                          memory_order_relaxed);
}

static inline void available_sub(struct frame_pool *pool, size_t frames)
{
    size_t before = load_count(&pool->available);

    MAPPING_ASSERT(before >= frames);
    atomic_store_explicit(&pool->available, before - frames, memory_order_relaxed);
}

/* Called when an operation has succeeded, so that one that is rolled back leaves no mark. */
static inline void low_water_note(struct frame_pool *pool)
{
    size_t available = load_count(&pool->available);

    if (available < load_count(&pool->low_water)) {
        atomic_store_explicit(&pool->low_water, available, memory_order_relaxed);
    }
}

static inline void free_list_push(struct frame_pool *pool, uint32_t ref, unsigned order)
{
    uint32_t next = pool->free_head[order];

    info_set(ref_info(pool, ref), next, kind_of(FRAME_FREE, order));
    if (next != FRAME_REF_NONE) {
        ref_info(pool, next)->prev = ref;
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
        ref_info(pool, next)->prev = prev;
    }
    if (prev != FRAME_REF_NONE) {
        ref_info(pool, prev)->next = next;
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
    info = ref_info(pool, ref);
    MAPPING_ASSERT(info->kind == kind_of(FRAME_FREE, from));
    free_list_remove(pool, info, from);
    pool->free_orders |= frames_of(from) - frames_of(order);
    while (from > order) {
        from--;
        info_set(info + frames_of(from), FRAME_REF_NONE, kind_of(FRAME_FREE, from));
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

/* Put a block on the free lists, joined with its buddy as often as that is free too. */
static void block_merge(struct frame_pool *pool, uint32_t ref, unsigned order)
{
    const struct frame_span *span = &pool->spans[ref_region(ref)];
    struct frame_info *infos = pool->infos[ref_region(ref)];
    uint32_t number = span->first_number + ref_index(ref);

    MAPPING_ASSERT(lock_is_held(&pool->lock));
    MAPPING_ASSERT(u64_is_aligned(number, frames_of(order)));
    while (order + 1 < FRAME_POOL_ORDERS) {
        uint32_t buddy = buddy_index(span, number, order);
        uint32_t upper = (number | frames_of(order)) - span->first_number;

        if (buddy >= span->frame_count || infos[buddy].kind != kind_of(FRAME_FREE, order)) {
            break;
        }
        free_list_remove(pool, &infos[buddy], order);
        infos[upper] = (struct frame_info){.kind = kind_of(FRAME_INSIDE, 0)};
        number &= ~frames_of(order);
        order++;
    }
    free_list_push(pool, span->first_ref | (number - span->first_number), order);
}

/* The @count lowest bits. @count: 1..64. */
static uint64_t low_bits(uint32_t count)
{
    MAPPING_ASSERT(count != 0 && count <= WARM_FRAMES);
    return UINT64_MAX >> (WARM_FRAMES - count);
}

/* Order of the largest aligned block that begins at frame number @number and whose frames are all
 * in @warm, where bit 0 is its first. */
static unsigned warm_order(uint32_t number, uint64_t warm)
{
    unsigned order = 0;

    while (order < WARM_ORDER && u64_is_aligned(number, frames_of(order + 1)) &&
           (~warm & low_bits(frames_of(order + 1))) == 0) {
        order++;
    }
    return order;
}

static void warm_flush(struct frame_pool *pool)
{
    uint64_t warm = pool->warm;

    MAPPING_ASSERT(ref_region(pool->warm_first) < pool->region_count);
    pool->warm = 0;
    while (warm != 0) {
        unsigned bit = u64_trailing_zeros(warm);
        uint32_t ref = pool->warm_first + bit;
        uint32_t number = pool->spans[ref_region(ref)].first_number + ref_index(ref);
        unsigned order = warm_order(number, warm >> bit);

        MAPPING_ASSERT(ref_info(pool, ref)->kind == kind_of(FRAME_INSIDE, 0));
        warm &= ~(low_bits(frames_of(order)) << bit);
        block_merge(pool, ref, order);
    }
}

/* Move the empty window onto the smallest free block, or onto so much of it as it holds. */
static bool warm_refill(struct frame_pool *pool)
{
    unsigned order = u64_trailing_zeros(pool->free_orders | BIT(WARM_ORDER));
    uint32_t ref = block_cut(pool, order);

    if (ref == FRAME_REF_NONE) {
        return false;
    }
    MAPPING_ASSERT(pool->warm == 0);
    *ref_info(pool, ref) = (struct frame_info){.kind = kind_of(FRAME_INSIDE, 0)};
    pool->warm_first = ref;
    pool->warm = low_bits(frames_of(order));
    return true;
}

/* Move the window to around @ref: aligned where it can be, so that frees of neighbours meet there
 * whether they come upwards or downwards. */
static void warm_move(struct frame_pool *pool, uint32_t ref)
{
    uint32_t number = pool->spans[ref_region(ref)].first_number + ref_index(ref);
    uint64_t below = u64_min(number % WARM_FRAMES, ref_index(ref));

    warm_flush(pool);
    pool->warm_first = ref - (uint32_t)below;
    MAPPING_ASSERT(ref_region(pool->warm_first) == ref_region(ref));
    MAPPING_ASSERT(ref - pool->warm_first < WARM_FRAMES);
}

static inline uint32_t warm_pop(struct frame_pool *pool)
{
    uint32_t ref = pool->warm_first + u64_trailing_zeros(pool->warm);

    pool->warm &= pool->warm - 1;
    return ref;
}

/* Find a block where no warm frame serves. */
static bool block_search(struct frame_pool *pool, unsigned order, uint32_t *ref)
{
    MAPPING_ASSERT(lock_is_held(&pool->lock));
    if (order != 0) {
        warm_flush(pool);
        *ref = block_cut(pool, order);
        if (*ref == FRAME_REF_NONE) {
            return false;
        }
    } else {
        if (!warm_refill(pool)) {
            return false;
        }
        *ref = warm_pop(pool);
    }
    available_sub(pool, frames_of(order));
    return true;
}

/* Take a block off what is available; the caller writes its info. */
static inline bool block_obtain(struct frame_pool *pool, unsigned order, uint32_t *ref)
{
    if (order != 0 || pool->warm == 0) {
        return block_search(pool, order, ref);
    }
    *ref = warm_pop(pool);
    available_sub(pool, 1);
    return true;
}

/* Make a block available again. @info: its own. */
static inline void block_release(struct frame_pool *pool, uint32_t ref, struct frame_info *info,
                                 unsigned order)
{
    if (order != 0) {
        available_add(pool, frames_of(order));
        block_merge(pool, ref, order);
        return;
    }
    available_add(pool, 1);
    *info = (struct frame_info){.kind = kind_of(FRAME_INSIDE, 0)};
    if (ref - pool->warm_first >= WARM_FRAMES) {
        warm_move(pool, ref);
    }
    pool->warm |= BIT(ref - pool->warm_first);
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
    uint32_t left = span->frame_count;

    MAPPING_ASSERT(left != 0);
    for (uint32_t i = 0; i < span->frame_count; i++) {
        pool->infos[region][i] = (struct frame_info){.kind = kind_of(FRAME_INSIDE, 0)};
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
        .frame_count = (uint32_t)region->frame_count,
        .first_number = (uint32_t)(pa_distance(pa_of(0), region->base) >> frame_shift),
        .first_ref = (uint32_t)number << REF_REGION_SHIFT,
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
    pool->offset_mask = BIT(frame_shift) - 1;
    pool->region_count = region_count;
    pool->free_orders = 0;
    pool->warm_first = 0;
    pool->warm = 0;
    pool->held = 0;
    for (unsigned order = 0; order < FRAME_POOL_ORDERS; order++) {
        pool->free_head[order] = FRAME_REF_NONE;
    }
    for (size_t i = region_count; i-- > 0;) {
        span_init(&pool->spans[i], &regions[i], i, frame_shift);
        pool->infos[i] = regions[i].info;
        region_free_all(pool, i);
        frames += regions[i].frame_count;
    }
    pool->frame_count = frames;
    atomic_init(&pool->available, frames);
    atomic_init(&pool->low_water, frames);
    return MAPPING_OK;
}

enum mapping_error frame_pool_alloc(struct frame_pool *pool, unsigned order, pa_t *frame)
{
    uint32_t ref;
    bool is_found;

    if (order >= FRAME_POOL_ORDERS) {
        return MAPPING_INVALID_PARAM;
    }
    lock_acquire(&pool->lock);
    is_found = block_obtain(pool, order, &ref);
    if (is_found) {
        info_set(ref_info(pool, ref), FRAME_REF_NONE, kind_of(FRAME_TAKEN, order));
        low_water_note(pool);
        *frame = ref_pa(pool, ref);
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

enum mapping_error frame_pool_free(struct frame_pool *pool, pa_t frame, unsigned order)
{
    struct frame_info *info;
    uint32_t ref;
    bool is_taken;

    if (!ref_at(pool, frame, &ref)) {
        return MAPPING_BAD_STATE;
    }
    info = ref_info(pool, ref);
    lock_acquire(&pool->lock);
    is_taken = info->kind == kind_of(FRAME_TAKEN, order) &&
               (info->prev == FRAME_SEALED || info->prev == FRAME_REF_NONE);
    if (is_taken) {
        block_release(pool, ref, info, order);
    }
    lock_release(&pool->lock);
    return is_taken ? MAPPING_OK : MAPPING_BAD_STATE;
}

/* The reference of the TAKEN block that begins at @frame; anything else is the caller's bug. */
static uint32_t taken_ref(const struct frame_pool *pool, pa_t frame)
{
    uint32_t ref = FRAME_REF_NONE;
    bool is_frame = ref_at(pool, frame, &ref);

    MAPPING_ASSERT(is_frame);
    MAPPING_ASSERT(kind_state(ref_info(pool, ref)->kind) == FRAME_TAKEN);
    return ref;
}

/* The links of both kinds of list, the pool's reserves and the owners' own. */
static void list_push(const struct frame_pool *pool, struct frame_list *list, uint32_t ref)
{
    ref_info(pool, ref)->next = list->head;
    list->head = ref;
    list->count++;
}

static uint32_t list_pop(const struct frame_pool *pool, struct frame_list *list)
{
    uint32_t ref = list->head;
    struct frame_info *info;

    MAPPING_ASSERT(list->count != 0 && ref != FRAME_REF_NONE);
    info = ref_info(pool, ref);
    MAPPING_ASSERT((list->count == 1) == (info->next == FRAME_REF_NONE));
    list->head = info->next;
    list->count--;
    info->next = FRAME_REF_NONE;
    return ref;
}

/* Give the @count blocks held last back. The pool is locked. */
static void reserve_drop(struct frame_pool *pool, struct frame_reserve *held, size_t count)
{
    unsigned order = held->order;

    MAPPING_ASSERT(lock_is_held(&pool->lock));
    MAPPING_ASSERT(count <= held->blocks.count);
    MAPPING_ASSERT(pool->held >> order >= count);
    for (size_t i = 0; i < count; i++) {
        uint32_t ref = list_pop(pool, &held->blocks);
        struct frame_info *info = ref_info(pool, ref);

        MAPPING_ASSERT(info->kind == kind_of(FRAME_HELD, order));
        block_release(pool, ref, info, order);
    }
    pool->held -= count << order;
}

/* Hold up to @count blocks of @held's order. Returns: how many there were. The pool is locked. */
static size_t reserve_fill(struct frame_pool *pool, struct frame_reserve *held, size_t count)
{
    unsigned order = held->order;
    uint32_t ref;
    size_t got;

    MAPPING_ASSERT(lock_is_held(&pool->lock));
    for (got = 0; got < count && block_obtain(pool, order, &ref); got++) {
        info_set(ref_info(pool, ref), FRAME_REF_NONE, kind_of(FRAME_HELD, order));
        list_push(pool, &held->blocks, ref);
    }
    pool->held += got << order;
    return got;
}

enum mapping_error frame_pool_reserve(struct frame_pool *pool, unsigned order, size_t count,
                                      struct frame_reserve *held)
{
    unsigned old_order = held->order;
    size_t got = 0;

    MAPPING_ASSERT((held->blocks.count == 0) == (held->blocks.head == FRAME_REF_NONE));
    if (order >= FRAME_POOL_ORDERS || (held->blocks.count != 0 && old_order != order)) {
        return MAPPING_INVALID_PARAM;
    }
    lock_acquire(&pool->lock);
    /* A count that can never be met is refused before a frame moves. */
    if (count <= load_count(&pool->available) >> order) {
        held->order = order;
        got = reserve_fill(pool, held, count);
        if (got == count) {
            low_water_note(pool);
        } else {
            reserve_drop(pool, held, got);
            held->order = old_order;
        }
    }
    lock_release(&pool->lock);
    return got == count ? MAPPING_OK : MAPPING_NO_FRAME;
}

pa_t frame_pool_take(struct frame_pool *pool, struct frame_reserve *held)
{
    uint32_t ref;

    MAPPING_ASSERT(held->blocks.count != 0);
    lock_acquire(&pool->lock);
    MAPPING_ASSERT(pool->held >= frames_of(held->order));
    ref = list_pop(pool, &held->blocks);
    MAPPING_ASSERT(ref_info(pool, ref)->kind == kind_of(FRAME_HELD, held->order));
    ref_info(pool, ref)->kind = kind_of(FRAME_TAKEN, held->order);
    pool->held -= frames_of(held->order);
    lock_release(&pool->lock);
    return ref_pa(pool, ref);
}

void frame_pool_untake(struct frame_pool *pool, pa_t frame, unsigned order,
                       struct frame_reserve *held)
{
    uint32_t ref = taken_ref(pool, frame);

    MAPPING_ASSERT(held->blocks.count == 0 || held->order == order);
    lock_acquire(&pool->lock);
    MAPPING_ASSERT(ref_info(pool, ref)->kind == kind_of(FRAME_TAKEN, order));
    held->order = order;
    info_set(ref_info(pool, ref), FRAME_REF_NONE, kind_of(FRAME_HELD, order));
    list_push(pool, &held->blocks, ref);
    pool->held += frames_of(order);
    lock_release(&pool->lock);
}

/* The links stay as they are, but for the last one's, which leads on to what was held before. */
void frame_pool_untake_all(struct frame_pool *pool, struct frame_list *list, unsigned order,
                           struct frame_reserve *held)
{
    size_t left = list->count;
    uint32_t ref = list->head;
    struct frame_info *info;

    MAPPING_ASSERT(held->blocks.count == 0 || held->order == order);
    if (left == 0) {
        return;
    }
    lock_acquire(&pool->lock);
    do {
        info = ref_info(pool, ref);
        MAPPING_ASSERT(info->kind == kind_of(FRAME_TAKEN, order));
        ref = info->next;
        info_set(info, ref, kind_of(FRAME_HELD, order));
    } while (--left > 0);
    MAPPING_ASSERT(ref == FRAME_REF_NONE);
    info->next = held->blocks.head;
    held->blocks.head = list->head;
    held->blocks.count += list->count;
    held->order = order;
    pool->held += list->count << order;
    frame_list_init(list);
    lock_release(&pool->lock);
}

void frame_pool_unreserve(struct frame_pool *pool, struct frame_reserve *held)
{
    if (held->blocks.count == 0) {
        return;
    }
    lock_acquire(&pool->lock);
    reserve_drop(pool, held, held->blocks.count);
    lock_release(&pool->lock);
}

size_t frame_pool_available(const struct frame_pool *pool)
{
    return load_count(&pool->available);
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

    return order < FRAME_POOL_ORDERS && ref_at(pool, frame, &ref) &&
           ref_info(pool, ref)->kind == kind_of(FRAME_TAKEN, order);
}

uint32_t *frame_pool_count(const struct frame_pool *pool, pa_t frame)
{
    return &ref_info(pool, taken_ref(pool, frame))->count;
}

void frame_pool_seal(struct frame_pool *pool, pa_t frame)
{
    struct frame_info *info = ref_info(pool, taken_ref(pool, frame));

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
        info = ref_info(pool, span->first_ref | (index - inside));
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
    list_push(pool, list, taken_ref(pool, frame));
}

bool frame_list_pop(const struct frame_pool *pool, struct frame_list *list, pa_t *frame)
{
    uint32_t ref = list->head;

    if (ref == FRAME_REF_NONE) {
        return false;
    }
    MAPPING_ASSERT(kind_state(ref_info(pool, ref)->kind) == FRAME_TAKEN);
    *frame = ref_pa(pool, list_pop(pool, list));
    return true;
}

/* What the infos add up to, to be compared with what the pool believes. */
struct tally {
    size_t free_blocks[FRAME_POOL_ORDERS];
    size_t available;
    size_t held;
    uint64_t warm; /* bits whose frames were met */
};

static bool ref_is_valid(const struct frame_pool *pool, uint32_t ref)
{
    return ref_region(ref) < pool->region_count &&
           ref_index(ref) < pool->spans[ref_region(ref)].frame_count;
}

static bool ref_is_free(const struct frame_pool *pool, uint32_t ref, unsigned order)
{
    return ref_is_valid(pool, ref) && ref_info(pool, ref)->kind == kind_of(FRAME_FREE, order);
}

static bool info_is_inside(const struct frame_info *info)
{
    return info->kind == kind_of(FRAME_INSIDE, 0) && (info->next | info->prev | info->count) == 0;
}

/* A first frame, aligned and whole, with nothing but frames inside behind it. */
static bool check_extent(const struct frame_pool *pool, uint32_t ref)
{
    const struct frame_span *span = &pool->spans[ref_region(ref)];
    const struct frame_info *info = ref_info(pool, ref);
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
    const struct frame_info *info = ref_info(pool, ref);
    bool prev_agrees;
    bool next_agrees;

    if (info->prev == FRAME_REF_NONE) {
        prev_agrees = pool->free_head[order] == ref;
    } else {
        prev_agrees =
            ref_is_free(pool, info->prev, order) && ref_info(pool, info->prev)->next == ref;
    }
    next_agrees = info->next == FRAME_REF_NONE ||
                  (ref_is_free(pool, info->next, order) && ref_info(pool, info->next)->prev == ref);
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
    next_kind = ref_info(pool, info->next)->kind;
    return next_kind == info->kind ||
           (kind_state(info->kind) == FRAME_TAKEN && kind_state(next_kind) == FRAME_TAKEN);
}

/* Check a block by what its state demands, and count it. */
static bool check_block(const struct frame_pool *pool, uint32_t ref, struct tally *tally)
{
    const struct frame_info *info = ref_info(pool, ref);
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
        uint32_t ref = span->first_ref | index;
        uint32_t bit = ref - pool->warm_first;
        bool is_warm = bit < WARM_FRAMES && (pool->warm & BIT(bit)) != 0;

        if (is_warm) {
            tally->warm |= BIT(bit);
            tally->available++;
        }
        if (is_warm ? !info_is_inside(ref_info(pool, ref))
                    : !check_extent(pool, ref) || !check_block(pool, ref, tally)) {
            return false;
        }
        index += frames_of(kind_order(ref_info(pool, ref)->kind));
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
        ref = ref_info(pool, ref)->next;
    }
    return ref == FRAME_REF_NONE;
}

static bool check_counts(const struct frame_pool *pool, const struct tally *tally)
{
    size_t frames = 0;

    for (size_t i = 0; i < pool->region_count; i++) {
        frames += pool->spans[i].frame_count;
    }
    return frames == pool->frame_count && tally->available == load_count(&pool->available) &&
           tally->held == pool->held && load_count(&pool->low_water) <= tally->available &&
           tally->warm == pool->warm && (pool->free_orders >> FRAME_POOL_ORDERS) == 0;
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
