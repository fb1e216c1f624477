/*
 * frame_guard.h - what of a machine's memory no guest may be shown, wherever it lies: frames of any
 * pool that are free, held or translation tables, and whatever else the embedder forbids.
 *
 *      [ image ]      [=== pool of tables ===]  [== pool of guests' memory ==]   [ GIC ]
 *      forbidden       taken and not sealed      taken                            forbidden
 *                      may be shown, no more     may be shown
 *
 * One a machine. A table's own pool is guarded without; the pools of others are by this.
 *
 * Lock order: spaces -> VMIDs -> guard -> pools. What was added stays.
 */
#ifndef TRESTLE_CORE_FRAME_GUARD_H
#define TRESTLE_CORE_FRAME_GUARD_H

#include "core/addr.h"
#include "core/c.h"
#include "core/err.h"
#include "core/frame_pool.h"
#include "core/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

/* A region of a pool, or a range that is forbidden. The caller's storage, the guard's to fill. */
struct frame_guard_range {
    pa_t start;
    uint64_t size;
    struct frame_pool *pool; /* NULL: forbidden */
};

/* Fields are private. */
struct frame_guard {
    struct mapping_lock lock;
    struct frame_guard_range *ranges; /* ascending */
    size_t count;
    size_t room;
};

/* Nothing is guarded. @ranges: @room of them, the guard's from now on. */
void frame_guard_init(struct frame_guard *guard, struct frame_guard_range ranges[], size_t room);

/**
 * frame_guard_add_pool() - Guard every region that @pool has, which stays where it is.
 * frame_guard_forbid() - No guest is shown any of [@start, @start + @size).
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: empty, or beyond 2^64; MAPPING_ALREADY_EXISTS:
 *           overlaps what is guarded; MAPPING_NO_NODE: no room.
 * On error: nothing has changed.
 * Cost:     O(ranges).
 */
MAPPING_MUST_USE enum mapping_error frame_guard_add_pool(struct frame_guard *guard,
                                                         struct frame_pool *pool);
MAPPING_MUST_USE enum mapping_error frame_guard_forbid(struct frame_guard *guard, pa_t start,
                                                       uint64_t size);

/**
 * frame_guard_follow_pool() - Guard what @pool has gained since it was added
 *                             (frame_pool_add_region()); or all of it.
 * Returns, On error, Cost: as above.
 */
MAPPING_MUST_USE enum mapping_error frame_guard_follow_pool(struct frame_guard *guard,
                                                            struct frame_pool *pool);

/* Whether a guest may be shown [@start, @start + @size), of @other's pool aside, which may be NULL:
 * as frame_pool_is_data() for each pool in it. O(log ranges + ranges in it), and that of the
 * pools. */
bool frame_guard_is_data(struct frame_guard *guard, const struct frame_pool *other, pa_t start,
                         uint64_t size);

/* Whether any of it is a pool's that is not @other. */
bool frame_guard_has_frames(struct frame_guard *guard, const struct frame_pool *other, pa_t start,
                            uint64_t size);

/**
 * frame_guard_count_mapping() - As frame_pool_count_mapping(), for all pools but @other.
 * frame_guard_drop_mapping()
 * frame_guard_is_mapped()
 */
MAPPING_MUST_USE enum mapping_error frame_guard_count_mapping(struct frame_guard *guard,
                                                              const struct frame_pool *other,
                                                              pa_t start, uint64_t size);
void frame_guard_drop_mapping(struct frame_guard *guard, const struct frame_pool *other, pa_t start,
                              uint64_t size);
bool frame_guard_is_mapped(struct frame_guard *guard, const struct frame_pool *other, pa_t start,
                           uint64_t size);

TRESTLE_END

#endif
