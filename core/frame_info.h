/*
 * frame_info.h - what a frame pool keeps: an info for each frame, and how one is found.
 *
 * Private to the pool; in a header so that the common case of one frame is compiled into its
 * callers (frame_pool.h), who see nothing of it but what frame_pool.h promises.
 *
 *      reference   | region [31:28] | frame in the region [27:0] |      or FRAME_REF_NONE
 *      kind        | state [31:8]   | order of the block [7:0]   |
 *      stock       | mark [63:32]   | above [31:0]               |
 */
#ifndef TRESTLE_CORE_FRAME_INFO_H
#define TRESTLE_CORE_FRAME_INFO_H

#include "core/addr.h"
#include "core/bits.h"
#include "core/c.h"
#include "core/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

#define FRAME_POOL_ORDERS 20      /* block orders 0..19: 2 GiB of 4K frames */
#define FRAME_POOL_MAX_REGIONS 15 /* DRAM banks, at once */
#define FRAME_REF_NONE UINT32_MAX /* no frame */
#define FRAME_REF_REGION_SHIFT 28
#define FRAME_REF_INDEX_MASK (UINT32_MAX >> (32 - FRAME_REF_REGION_SHIFT))

#define FRAME_SEALED 0U                   /* in prev: frame_pool_seal() */
#define FRAME_MAPPED_MAX (UINT32_MAX / 2) /* a block's frames that can be mapped, each as often */

/* One per frame, the caller's storage, outside the frame. */
struct frame_info {
    uint32_t next; /* but INSIDE: the next block of the list it is on */
    uint32_t
        prev; /* FREE: the one before; TAKEN: FRAME_SEALED, or FRAME_REF_NONE less the frames of
                    * it that guests have, each as often as it is mapped */
    uint32_t kind;  /* state and order of the block */
    uint32_t count; /* TAKEN: the owner's number; 0 when the block is handed out */
};

MAPPING_STATIC_ASSERT(sizeof(struct frame_info) <= 16, "at most 16 bytes a frame");
MAPPING_STATIC_ASSERT(FRAME_SEALED != FRAME_REF_NONE, "a seal is told from no link");
MAPPING_STATIC_ASSERT(FRAME_POOL_ORDERS <= 32, "an order has its bit in free_orders");
MAPPING_STATIC_ASSERT(FRAME_POOL_MAX_REGIONS <= FRAME_REF_NONE >> FRAME_REF_REGION_SHIFT,
                      "no frame of any region has the reference of none");

enum frame_state {
    FRAME_INSIDE, /* not the first frame of its block */
    FRAME_FREE,
    FRAME_LOOSE,
    FRAME_HELD,
    FRAME_TAKEN,
    FRAME_LEFT, /* as TAKEN, but without an owner: free as soon as no guest has a frame of it */
};

#define FRAME_KIND_STATE MAPPING_FIELD(31, 8)
#define FRAME_KIND_ORDER MAPPING_FIELD(7, 0)

/* The order is added as it is. One that is too large gives a kind that no block has. */
static inline uint32_t frame_kind(enum frame_state state, unsigned order)
{
    return (uint32_t)MAPPING_FIELD_PREP(FRAME_KIND_STATE, state) + order;
}

/* What the pool keeps of a region, in the form that look-ups want. Never changes. */
struct frame_span {
    pa_t base;
    uint64_t size;         /* bytes */
    unsigned char *memory; /* or NULL */
    uint64_t frame_count;
    uint32_t first_number; /* base's frame number, modulo 2^32: alignment is counted in PA */
    uint32_t first_ref;    /* reference of frame 0 */
};

struct frame_pool {
    struct mapping_lock lock;
    /* The low-water mark, and how many available frames there are above it: in one word, so that it
     * can be read without the lock, and one subtraction is all while any is above. */
    MAPPING_ATOMIC(uint64_t) stock;
    uint32_t loose; /* the loose list; through next */
    unsigned frame_shift;
    struct frame_info *infos[FRAME_POOL_MAX_REGIONS]; /* by region, the caller's */
    pa_t bases[FRAME_POOL_MAX_REGIONS];               /* as in spans; here one load finds them */
    struct frame_span spans[FRAME_POOL_MAX_REGIONS];
    MAPPING_ATOMIC(size_t) region_count; /* grows: what is below it never changes */
    uint32_t free_head[FRAME_POOL_ORDERS];
    uint32_t free_orders; /* bit n: free_head[n] is not empty */
    unsigned mergers;     /* requests that wait for loose frames to merge */
    size_t frame_count;   /* in all regions */
    size_t held;          /* frames that are promised */
};

/* Regions that are there, as other CPUs may add one: each is complete. */
static inline size_t frame_region_count(const struct frame_pool *pool)
{
    return MAPPING_ATOMIC_LOAD(&pool->region_count, acquire);
}

static inline struct frame_info *frame_ref_info(const struct frame_pool *pool, uint32_t ref)
{
    return &pool->infos[ref >> FRAME_REF_REGION_SHIFT][ref & FRAME_REF_INDEX_MASK];
}

static inline pa_t frame_ref_pa(const struct frame_pool *pool, uint32_t ref)
{
    return pa_unit(pool->bases[ref >> FRAME_REF_REGION_SHIFT], ref & FRAME_REF_INDEX_MASK,
                   pool->frame_shift);
}

/* *ref: the frame that begins at @frame, if that is one of the first region. */
static inline bool frame_ref_in_first(const struct frame_pool *pool, pa_t frame, uint32_t *ref)
{
    uint64_t index = pa_unit_number(pool->bases[0], frame, pool->frame_shift);

    if (__builtin_expect(index >= pool->spans[0].frame_count, 0)) {
        return false;
    }
    *ref = (uint32_t)index;
    return true;
}

/* The frame that begins at @frame in any region, or FRAME_REF_NONE. */
uint32_t frame_ref_in_any(const struct frame_pool *pool, pa_t frame);

/* The info of the frame that begins at @frame, and its reference; NULL: none does. */
static inline struct frame_info *frame_info_at(const struct frame_pool *pool, pa_t frame,
                                               uint32_t *ref)
{
    if (frame_ref_in_first(pool, frame, ref)) {
        return &pool->infos[0][*ref];
    }
    *ref = frame_ref_in_any(pool, frame);
    return *ref == FRAME_REF_NONE ? NULL : frame_ref_info(pool, *ref);
}

/* Whether it is the first of a TAKEN block, or of one that was left. */
static inline bool frame_info_is_taken(const struct frame_info *info)
{
    return info->kind >= frame_kind(FRAME_TAKEN, 0);
}

/* The TAKEN block that begins at @frame; anything else is the caller's bug. */
static inline struct frame_info *frame_taken_at(const struct frame_pool *pool, pa_t frame,
                                                uint32_t *ref)
{
    struct frame_info *info;

    if (frame_ref_in_first(pool, frame, ref)) {
        info = &pool->infos[0][*ref];
    } else {
        *ref = frame_ref_in_any(pool, frame);
        MAPPING_ASSERT(*ref != FRAME_REF_NONE);
        info = frame_ref_info(pool, *ref);
    }
    MAPPING_ASSERT(frame_info_is_taken(info));
    return info;
}

MAPPING_STATIC_ASSERT(FRAME_LEFT > FRAME_TAKEN && FRAME_TAKEN > FRAME_HELD &&
                          FRAME_HELD > FRAME_LOOSE,
                      "what guests may be shown comes last");

static inline uint64_t frame_stock(const struct frame_pool *pool)
{
    return MAPPING_ATOMIC_LOAD(&pool->stock, relaxed);
}

/* Plain arithmetic under the lock; atomic only so that a snapshot may be read without it. */
static inline void frame_stock_set(struct frame_pool *pool, uint64_t stock)
{
    MAPPING_ATOMIC_STORE(&pool->stock, stock, relaxed);
}

static inline size_t frame_stock_mark(uint64_t stock)
{
    return (size_t)(stock >> 32);
}

static inline size_t frame_stock_above(uint64_t stock)
{
    return (uint32_t)stock;
}

static inline size_t frame_stock_available(uint64_t stock)
{
    return frame_stock_mark(stock) + frame_stock_above(stock);
}

/* The same stock, with a frame above the mark: one that is below it, where none was. 0: none is. */
static inline uint64_t frame_stock_with_one_above(uint64_t stock)
{
    if (__builtin_expect(frame_stock_above(stock) == 0, 0) && stock != 0) {
        stock -= MAPPING_BIT(32) - 1;
    }
    return stock;
}

/* Take the first loose frame, if it is one of the first region. Returns: whether. */
static inline bool frame_loose_take(struct frame_pool *pool, pa_t *frame)
{
    const uint32_t ticket = mapping_lock_acquire_ticket(&pool->lock);
    const uint64_t stock = frame_stock_with_one_above(frame_stock(pool));
    const uint32_t index = pool->loose;
    struct frame_info *info;

    if (__builtin_expect(stock == 0, 0) ||
        __builtin_expect(index > FRAME_REF_INDEX_MASK, 0)) { /* another region's, or none */
        mapping_lock_release_ticket(&pool->lock, ticket);
        return false;
    }
    info = &pool->infos[0][index];
    pool->loose = info->next;
    info->next = FRAME_REF_NONE;
    info->kind = frame_kind(FRAME_TAKEN, 0);
    frame_stock_set(pool, stock - 1);
    mapping_lock_release_ticket(&pool->lock, ticket);
    *frame = pa_unit(pool->bases[0], index, pool->frame_shift);
    return true;
}

/* Give one back, if it is a TAKEN one of the first region that is not marked. Returns: whether. */
static inline bool frame_loose_give(struct frame_pool *pool, pa_t frame)
{
    struct frame_info *info;
    uint32_t ticket, ref;

    if (!frame_ref_in_first(pool, frame, &ref)) {
        return false;
    }
    ticket = mapping_lock_acquire_ticket(&pool->lock);
    info = &pool->infos[0][ref];
    if (__builtin_expect(info->kind != frame_kind(FRAME_TAKEN, 0), 0) ||
        __builtin_expect(info->prev != FRAME_REF_NONE, 0)) {
        mapping_lock_release_ticket(&pool->lock, ticket);
        return false;
    }
    info->next = pool->loose;
    info->kind = frame_kind(FRAME_LOOSE, 0);
    info->count = 0;
    pool->loose = ref;
    frame_stock_set(pool, frame_stock(pool) + 1);
    mapping_lock_release_ticket(&pool->lock, ticket);
    return true;
}

TRESTLE_END

#endif
