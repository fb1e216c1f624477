/*
 * frame_pool.h - physical frames from static memory, in naturally aligned blocks of 2^order.
 *
 * A binary buddy system over one or more regions (DRAM banks) of equal frames. Everything it
 * knows about a frame lies in that frame's info, never in the frame: a frame just freed may still
 * be in some walker's cache, and memory for guests need not be mapped here at all.
 *
 *      region 0            region 1          ...      the caller's memory, any PA, any pointer
 *     [f f f f f f f]     [f f f f]
 *      | | | | | | |       | | | |
 *     [i i i i i i i]     [i i i i]                   the caller's infos: state, order, links, count
 *
 * State of a block, told by the info of its first frame (others are FRAME_INSIDE):
 *   FREE  on the free list of its order; nobody may touch the memory.         -> LOOSE, HELD, TAKEN
 *   LOOSE a single frame, as FREE, but not merged: it came back, or goes out  -> FREE, TAKEN
 *         next. On the pool's loose list.
 *   HELD  of more than one frame, set aside on a frame_reserve.               -> TAKEN, FREE
 *   TAKEN its owner's: memory, link and count are the owner's to use.         -> FREE, LOOSE, HELD
 *   LEFT  nobody's but the guests' who have it mapped.                        -> FREE, LOOSE
 * All are protected by the pool's lock, but link and count of a TAKEN block by its owner.
 *
 * Single frames, which is what tables are made of, come from the loose list and go back there, so
 * that nothing is cut and merged for them; they are promised by number, as any of them will do.
 * Loose frames withhold nothing: a request for more than one frame that no free block serves has
 * them merged, and fails only when none is left.
 *
 * Concurrency: functions lock the pool themselves, for at most 64 + 2 * FRAME_POOL_ORDERS list
 * steps (usually none or one) at a time, unless Cost says more; several spaces may share one pool.
 * Those that only look at regions, or at a block of the caller's own, say that they need no lock. A
 * block never spans two regions.
 */
#ifndef TRESTLE_CORE_FRAME_POOL_H
#define TRESTLE_CORE_FRAME_POOL_H

#include "core/addr.h"
#include "core/c.h"
#include "core/err.h"
#include "core/frame_info.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

struct frame_region {
    pa_t base;               /* aligned to the frame size */
    void *memory;            /* aligned likewise; NULL: not mapped at EL2, for guests only */
    size_t frame_count;      /* at least 1, at most 2^28 - 64 */
    struct frame_info *info; /* frame_count of them */
};

/* A singly linked list of TAKEN blocks of their owner, or of HELD ones in a reserve; there single
 * frames are a count and no list. It is linked through the infos. Initialise with FRAME_LIST_INIT
 * or frame_list_init(). */
struct frame_list {
    uint32_t head; /* FRAME_REF_NONE: empty */
    size_t count;
};

#define FRAME_LIST_INIT   \
    {                     \
        FRAME_REF_NONE, 0 \
    }

/* Blocks of one order that are promised to an operation. */
struct frame_reserve {
    struct frame_list blocks;
    unsigned order;
};

#define FRAME_RESERVE_INIT \
    {                      \
        FRAME_LIST_INIT, 0 \
    }

static inline void frame_list_init(struct frame_list *list)
{
    list->head = FRAME_REF_NONE;
    list->count = 0;
}

static inline void frame_reserve_init(struct frame_reserve *held)
{
    frame_list_init(&held->blocks);
    held->order = 0;
}

/**
 * frame_pool_init() - Make a pool of all frames of @regions, every one free.
 * @pool:         the caller's storage; must not move afterwards.
 * @frame_shift:  log2 of the frame's bytes: 12, 14 or 16.
 * @regions:      copied; the memory and infos of each are the pool's until it is forgotten.
 *                Overwrites the infos. A fresh pool hands out lower addresses first, region by
 *                region, as far as blocks of the same order go.
 * @region_count: 1..FRAME_POOL_MAX_REGIONS.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: a bad shift or count, a base or memory that is not
 *           frame-aligned, an empty region, one without infos, one whose PAs wrap, more than 2^28 -
 *           64 frames; two regions whose PAs, memory or infos overlap, or infos inside of the
 *           memory.
 * On error: pool and infos are as before.
 * Cost:     O(frames + regions^2).
 * Context:  one caller, before the pool is shared.
 */
MAPPING_MUST_USE enum mapping_error frame_pool_init(struct frame_pool *pool, unsigned frame_shift,
                                                    struct frame_region regions[],
                                                    size_t region_count);

/* Who has the frames of a region that is added. */
enum frame_region_state {
    FRAME_REGION_FREE,  /* the pool */
    FRAME_REGION_TAKEN, /* the caller: each is a TAKEN block of one frame, as if allocated */
};

/**
 * frame_pool_add_region() - Give a pool that is in use one region more.
 * @region:  copied; as for frame_pool_init(). Its infos are overwritten. A pool that tables take
 *           their frames from needs one with memory, below their output sizes.
 * @state:   FRAME_REGION_TAKEN is for pools that grow and shrink frame by frame, scattered or
 *           coloured: the region is a whole bank, with infos for all of it, and the caller frees
 *           those frames that the pool is to have (frame_pool_free(), order 0), and allocates those
 *           that it is to have no more; any number of them, anywhere, at any time.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: as frame_pool_init(), of it and those that are there;
 *           MAPPING_NO_NODE: there are FRAME_POOL_MAX_REGIONS.
 * On error: pool and infos are as before.
 * Cost:     O(frames + regions), with the pool locked.
 * Context:  any: others may use the pool meanwhile. A guard that the pool was added to learns of it
 *           by frame_guard_follow_pool(), before the first of its frames can be a table: so with
 *           FRAME_REGION_TAKEN, and frames are freed after that.
 */
MAPPING_MUST_USE enum mapping_error frame_pool_add_region(struct frame_pool *pool,
                                                          const struct frame_region *region,
                                                          enum frame_region_state state);

/* What the two below do where the first loose frame does not serve. They do the whole work. */
MAPPING_MUST_USE enum mapping_error frame_pool_alloc_any(struct frame_pool *pool, unsigned order,
                                                         pa_t *frame);
MAPPING_MUST_USE enum mapping_error frame_pool_free_any(struct frame_pool *pool, pa_t frame,
                                                        unsigned order);

/**
 * frame_pool_alloc() - Take a block of 2^@order frames, naturally aligned in PA.
 * @frame:   its first PA, written on MAPPING_OK only. The memory is not cleared; the block is on
 *           no list and its count is 0. A single frame is the one that came back last, if one did;
 *           else the smallest free block that fits is cut.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: order >= FRAME_POOL_ORDERS; MAPPING_NO_FRAME.
 * Owns:     the caller owns the block until frame_pool_free().
 * Cost:     one frame: O(1), some 25 instructions where one is loose, else at most 64 +
 *           FRAME_POOL_ORDERS list steps, once in 64 frames. More: O(1) where a free block serves;
 *           else it merges loose frames until one does, FRAME_POOL_ORDERS list steps each, which
 *           is done once for each time that one was freed. It does so in turns of the length above
 *           and others have the lock in between.
 */
MAPPING_MUST_USE static inline enum mapping_error frame_pool_alloc(struct frame_pool *pool,
                                                                   unsigned order, pa_t *frame)
{
    return order == 0 && frame_loose_take(pool, frame) ? MAPPING_OK
                                                       : frame_pool_alloc_any(pool, order, frame);
}

/**
 * frame_pool_alloc_zeroed() - The same for memory that somebody is to see who must not see what it
 * held:
 *                             a guest's, whatever the pool was used for before.
 * Returns:  as frame_pool_alloc(); MAPPING_UNSUPPORTED: the block has no memory here, so that it
 *           cannot be zeroed; it is not taken.
 * Order:    zeroed by this CPU's stores, through its caches. s2_space_map_linear() cleans them
 *           before a guest can look.
 * Cost:     as frame_pool_alloc(), and the stores.
 */
MAPPING_MUST_USE enum mapping_error frame_pool_alloc_zeroed(struct frame_pool *pool, unsigned order,
                                                            pa_t *frame);

/**
 * frame_pool_free() - Give back a block as it was taken.
 * Returns:  MAPPING_OK; MAPPING_BAD_STATE: not the first frame of a TAKEN block of exactly this
 *           order: a double free, a foreign one, a part of a block, a misaligned address, one that
 *           is only held, one that a guest has a frame of (frame_pool_count_mapping()); nothing
 *           changed.
 * Owns:     the block is the pool's again; it must be on none of the owner's lists.
 * Order:    no walker may still reach the block: the closing DSB of its invalidation is done.
 * Cost:     O(1): one frame some 30 instructions and no list step; more as Concurrency says above.
 */
MAPPING_MUST_USE static inline enum mapping_error frame_pool_free(struct frame_pool *pool,
                                                                  pa_t frame, unsigned order)
{
    return order == 0 && frame_loose_give(pool, frame) ? MAPPING_OK
                                                       : frame_pool_free_any(pool, frame, order);
}

/**
 * frame_pool_leave() - Give back a block that guests may still have: frame_pool_free(), now or as the
 *                      last of them has it no more (frame_pool_drop_mapping()).
 * Returns:  MAPPING_OK; MAPPING_BAD_STATE: as frame_pool_free(), but for one that a guest has.
 * Owns:     nobody but the guests. It may be mapped again as long as one has it.
 * Cost:     O(1).
 */
MAPPING_MUST_USE enum mapping_error frame_pool_leave(struct frame_pool *pool, pa_t frame,
                                                     unsigned order);

/**
 * frame_pool_split() - Make a TAKEN block many: what was taken at once can be given back in parts.
 * @frame:   a block of 2^@order frames, on no list, neither sealed nor a guest's, else it asserts.
 * @into:    the order of each of those that it becomes; at most @order. The first keeps its count,
 *           the others' are 0.
 * Cost:     O(blocks that it becomes), 64 in one turn of the lock.
 */
void frame_pool_split(struct frame_pool *pool, pa_t frame, unsigned order, unsigned into);

/**
 * frame_pool_reserve() - Hold @count more blocks of 2^@order frames, now, on top of what @held has.
 * @held:    initialised; empty, or holding blocks of the same order.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: a bad order, or not the order that @held has;
 *           MAPPING_NO_FRAME: then @held is as before, and so is what can be had.
 * Cost:     O(1) for single frames. Larger blocks: O(@count), with the pool locked; where free ones
 *           do not serve, loose frames are merged first, all unless @count is 1, as for
 *           frame_pool_alloc().
 */
MAPPING_MUST_USE enum mapping_error frame_pool_reserve(struct frame_pool *pool, unsigned order,
                                                       size_t count, struct frame_reserve *held);

/**
 * frame_pool_take() - Turn one held block into the caller's; cannot fail.
 * @held:    not empty: to take more than was reserved is the caller's bug and asserts.
 * Returns:  the block's first PA; on no list, count 0, memory not cleared.
 * Cost:     O(1): a single frame as frame_pool_alloc().
 */
pa_t frame_pool_take(struct frame_pool *pool, struct frame_reserve *held);

/* The same, and frame_pool_seal() of it, in one. */
pa_t frame_pool_take_sealed(struct frame_pool *pool, struct frame_reserve *held);

/**
 * frame_pool_untake() - The opposite: put a TAKEN block back among what is held.
 * @frame:   a block of 2^@order frames, on no list, else it asserts. It is the next to be taken,
 *           but that a single frame may then be anybody's, and another one be taken for it.
 * @held:    initialised; empty, or holding blocks of the same order, else it asserts.
 * Order:    no walker may still reach the block, as for frame_pool_free().
 * Cost:     O(1).
 */
void frame_pool_untake(struct frame_pool *pool, pa_t frame, unsigned order,
                       struct frame_reserve *held);

/**
 * frame_pool_untake_all() - The same for every block of @list, which is empty afterwards.
 * @list:    of the caller's TAKEN blocks, all of 2^@order frames, else it asserts.
 * Cost:     O(blocks), with the pool locked: a dozen instructions each.
 */
void frame_pool_untake_all(struct frame_pool *pool, struct frame_list *list, unsigned order,
                           struct frame_reserve *held);

/* Give back all that @held still holds; it is empty afterwards. Single frames: O(1); larger blocks:
 * O(blocks held), with the pool locked. */
void frame_pool_unreserve(struct frame_pool *pool, struct frame_reserve *held);

static inline size_t frame_reserve_count(const struct frame_reserve *held)
{
    return held->blocks.count;
}

/* Frames that are neither taken nor promised, and the least that an operation ever left so. Without
 * the lock: a snapshot where the pool is shared. */
size_t frame_pool_available(const struct frame_pool *pool);
size_t frame_pool_low_water(const struct frame_pool *pool);

static inline unsigned frame_pool_shift(const struct frame_pool *pool)
{
    return pool->frame_shift;
}

/**
 * frame_pool_ptr() - Where @frame can be read and written.
 * @frame:   any address inside a region; it need not be aligned.
 * Returns:  the byte's pointer; NULL: in no region, or in one without memory.
 * Cost:     O(regions), few instructions for the first; without the lock: regions are added complete,
 *           and never change.
 */
static inline void *frame_pool_ptr(const struct frame_pool *pool, pa_t frame)
{
    size_t i = 0;

    do {
        const struct frame_span *span = &pool->spans[i];
        uint64_t offset;

        if (pa_span_offset(span->base, span->size, frame, &offset)) {
            return span->memory == NULL ? NULL : span->memory + offset;
        }
        i++;
    } while (i < frame_region_count(pool));
    return NULL;
}

/* *bias: pointer - PA, modulo 2^64, if it is one for all frames: a pool of one region that has
 * memory. Else false, *bias as before. O(1). If regions are added later, it is that of the frames
 * which frame_pool_is_near(). */
MAPPING_MUST_USE bool frame_pool_bias(const struct frame_pool *pool, uint64_t *bias);

/* Whether @frame is one of the first region. O(1). */
static inline bool frame_pool_is_near(const struct frame_pool *pool, pa_t frame)
{
    uint32_t ref;

    return frame_ref_in_first(pool, frame, &ref);
}

/* Whether all of [@start, @start + @size) lies in the pool's regions (regions that touch count as
 * one); whether any part of it does. Both false for an empty range. What would lie beyond 2^64 is
 * no memory: covers is false, touches judges the rest. Without the lock. O(regions^2), touches
 * O(regions). */
bool frame_pool_covers(const struct frame_pool *pool, pa_t start, uint64_t size);
static inline bool frame_pool_touches(const struct frame_pool *pool, pa_t start, uint64_t size)
{
    uint64_t ignored;
    size_t i = 0;

    if (size == 0) {
        return false;
    }
    do {
        const struct frame_span *span = &pool->spans[i];

        if (pa_span_offset(span->base, span->size, start, &ignored) ||
            pa_span_offset(start, mapping_u64_min(size, pa_distance(start, pa_of(UINT64_MAX))),
                           span->base, &ignored)) {
            return true;
        }
        i++;
    } while (i < frame_region_count(pool));
    return false;
}

/* Whether every frame can be read and written here, and lies below @limit. O(regions). */
bool frame_pool_is_reachable(const struct frame_pool *pool, pa_t limit);

/* The owner's number in a TAKEN block. @frame: the block's first PA, else it asserts. Without the
 * lock: the owner serialises its own blocks. */
static inline uint32_t *frame_pool_count(const struct frame_pool *pool, pa_t frame)
{
    uint32_t ref;

    return &frame_taken_at(pool, frame, &ref)->count;
}

/* Mark a TAKEN block as one that no guest may ever see, a translation table say, until it is freed.
 * @frame: its first PA, and no guest has a frame of it, else it asserts. */
void frame_pool_seal(struct frame_pool *pool, pa_t frame);

/* Whether a guest may be shown [@start, @start + @size): every frame of it that is the pool's is
 * part of a TAKEN block that is not sealed. Memory outside the pool is not judged, nor is what
 * would lie beyond 2^64; true for an empty range. Locks the pool for each block, FRAME_POOL_ORDERS
 * steps. O(blocks of the pool in it). */
bool frame_pool_is_data(struct frame_pool *pool, pa_t start, uint64_t size);

/* The owner's lists of TAKEN blocks, last in, first out; a block is on at most one. Push asserts
 * that @frame is a TAKEN block's first; pop answers false when empty, *frame as before. Without the
 * lock, as above. O(1). */
static inline void frame_list_push(const struct frame_pool *pool, struct frame_list *list,
                                   pa_t frame)
{
    uint32_t ref;
    struct frame_info *info = frame_taken_at(pool, frame, &ref);

    info->next = list->head;
    list->head = ref;
    list->count++;
}

/* The block that was pushed last: false where there is none. */
MAPPING_MUST_USE bool frame_list_pop(const struct frame_pool *pool, struct frame_list *list,
                                     pa_t *frame);

/**
 * frame_pool_count_mapping() - Guests are given [@start, @start + @size) once more: no block that
 * has a
 *                              frame of it can be freed, as often as it is not dropped again.
 * frame_pool_drop_mapping() - And once less, when no CPU and no device can reach it that way.
 * Returns:  MAPPING_OK; MAPPING_DENIED: frame_pool_is_data() is false of it, or a block has more
 *           than FRAME_MAPPED_MAX; nothing has changed. To drop what was not counted is the
 *           caller's bug.
 * @start, @size: of frames; what is not the pool's does not count.
 * Cost:     as frame_pool_is_data().
 */
MAPPING_MUST_USE enum mapping_error frame_pool_count_mapping(struct frame_pool *pool, pa_t start,
                                                             uint64_t size);
void frame_pool_drop_mapping(struct frame_pool *pool, pa_t start, uint64_t size);

/* Whether every block that has a frame of [@start, @start + @size) is counted at least as often as
 * this range counts once. */
bool frame_pool_is_mapped(struct frame_pool *pool, pa_t start, uint64_t size);

/* Whether @frame is the first frame of a TAKEN block of 2^@order. Without the lock: certain for the
 * caller's own blocks, and for any while the pool is at rest. */
bool frame_pool_is_taken(const struct frame_pool *pool, pa_t frame, unsigned order);

/**
 * frame_pool_check() - Whether all that the pool believes is consistent.
 * Proves: every frame is in exactly one block; blocks are aligned and inside their region; the
 * free lists hold the FREE blocks and no others, each in the list of its order; no two FREE
 * buddies stand unmerged; the loose list holds the LOOSE frames and no others; links of HELD and
 * TAKEN blocks lead to their like; counts agree: what is neither taken nor set aside is available
 * or promised.
 * Cost:     O(frames), whatever is corrupt; no recursion.
 * Context:  the pool at rest: no lock is taken.
 */
bool frame_pool_check(const struct frame_pool *pool);

TRESTLE_END

#endif
