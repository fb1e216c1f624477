#include "core/frame_guard.h"

#include "core/assert.h"
#include "core/bits.h"

void frame_guard_init(struct frame_guard *guard, struct frame_guard_range ranges[], size_t room)
{
    MAPPING_ASSERT(guard != NULL);
    MAPPING_ASSERT(ranges != NULL || room == 0);

    *guard = (struct frame_guard){.ranges = ranges, .room = room};
    mapping_lock_init(&guard->lock);
}

/* Index of the first range that ends behind @addr; the count, if none does. Under the lock. */
static size_t first_behind(const struct frame_guard *guard, pa_t addr)
{
    size_t low = 0, high = guard->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct frame_guard_range *range = &guard->ranges[middle];
        uint64_t offset;

        if (pa_lt(addr, range->start) || pa_span_offset(range->start, range->size, addr, &offset)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* --- Adding ----------------------------------------------------------------------------------- */

/* Under the lock. */
static enum mapping_error add(struct frame_guard *guard, struct frame_guard_range range)
{
    size_t at;

    if (range.size == 0 || !pa_span_fits(range.start, range.size, UINT64_MAX)) {
        return MAPPING_INVALID_PARAM;
    }
    at = first_behind(guard, range.start);
    if (at < guard->count && pa_lt(guard->ranges[at].start, pa_add(range.start, range.size))) {
        return MAPPING_ALREADY_EXISTS;
    }
    if (guard->count == guard->room) {
        return MAPPING_NO_NODE;
    }
    for (size_t i = guard->count; i > at; i--) {
        guard->ranges[i] = guard->ranges[i - 1];
    }
    guard->ranges[at] = range;
    guard->count++;
    return MAPPING_OK;
}

/* What was added of @pool; under the lock. */
static void forget(struct frame_guard *guard, const struct frame_pool *pool)
{
    size_t kept = 0;

    for (size_t i = 0; i < guard->count; i++) {
        if (guard->ranges[i].pool != pool) {
            guard->ranges[kept++] = guard->ranges[i];
        }
    }
    guard->count = kept;
}

/* Whether @pool is there already: what a failed addition takes out must be all its own. */
static bool has_pool(const struct frame_guard *guard, const struct frame_pool *pool)
{
    for (size_t i = 0; i < guard->count; i++) {
        if (guard->ranges[i].pool == pool) {
            return true;
        }
    }
    return false;
}

enum mapping_error frame_guard_add_pool(struct frame_guard *guard, struct frame_pool *pool)
{
    enum mapping_error error = MAPPING_OK;

    MAPPING_ASSERT(pool != NULL);

    mapping_lock_acquire(&guard->lock);
    if (has_pool(guard, pool)) {
        error = MAPPING_ALREADY_EXISTS;
    } else {
        for (size_t i = 0; i < frame_region_count(pool) && error == MAPPING_OK; i++) {
            error = add(guard,
                        (struct frame_guard_range){pool->spans[i].base, pool->spans[i].size, pool});
        }
        if (error != MAPPING_OK) {
            forget(guard, pool);
        }
    }
    mapping_lock_release(&guard->lock);
    return error;
}

/* Region @number of @pool, unless it is there; under the lock. *is_new: it was not. */
static enum mapping_error follow(struct frame_guard *guard, struct frame_pool *pool, size_t number,
                                 bool *is_new)
{
    const struct frame_span *span = &pool->spans[number];
    const size_t at = first_behind(guard, span->base);

    *is_new = at == guard->count || guard->ranges[at].pool != pool ||
              !pa_eq(guard->ranges[at].start, span->base);
    return *is_new ? add(guard, (struct frame_guard_range){span->base, span->size, pool})
                   : MAPPING_OK;
}

/* The range that begins at @start is not guarded any more; under the lock. */
static void take_out(struct frame_guard *guard, pa_t start)
{
    MAPPING_ASSERT(guard->count > 0 && first_behind(guard, start) < guard->count);
    for (size_t i = first_behind(guard, start) + 1; i < guard->count; i++) {
        guard->ranges[i - 1] = guard->ranges[i];
    }
    guard->count--;
}

enum mapping_error frame_guard_follow_pool(struct frame_guard *guard, struct frame_pool *pool)
{
    const size_t regions = frame_region_count(pool);
    enum mapping_error error = MAPPING_OK;
    bool is_new[FRAME_POOL_MAX_REGIONS] = {false};

    MAPPING_ASSERT(regions <= FRAME_POOL_MAX_REGIONS);
    mapping_lock_acquire(&guard->lock);
    for (size_t i = 0; i < regions && error == MAPPING_OK; i++) {
        error = follow(guard, pool, i, &is_new[i]);
        is_new[i] = is_new[i] && error == MAPPING_OK;
    }
    for (size_t i = 0; i < regions && error != MAPPING_OK; i++) {
        if (is_new[i]) {
            take_out(guard, pool->spans[i].base);
        }
    }
    mapping_lock_release(&guard->lock);
    return error;
}

enum mapping_error frame_guard_forbid(struct frame_guard *guard, pa_t start, uint64_t size)
{
    enum mapping_error error;

    mapping_lock_acquire(&guard->lock);
    error = add(guard, (struct frame_guard_range){start, size, NULL});
    mapping_lock_release(&guard->lock);
    return error;
}

/* --- Asking ----------------------------------------------------------------------------------- */

/* What of [@start, @end) lies in a range that is not @other's. */
struct piece {
    struct frame_pool *pool;
    pa_t start;
    uint64_t size;
};

/* The first piece in [*at, @end); false: none. *at is behind it afterwards. */
static bool next_piece(struct frame_guard *guard, const struct frame_pool *other, pa_t *at,
                       pa_t end, struct piece *piece)
{
    bool is_found = false;

    mapping_lock_acquire(&guard->lock);
    for (size_t i = first_behind(guard, *at); i < guard->count && !is_found; i++) {
        const struct frame_guard_range *range = &guard->ranges[i];
        const pa_t start = pa_max(*at, range->start);
        const pa_t stop = pa_min(end, pa_add(range->start, range->size));

        if (!pa_lt(start, stop)) {
            break;
        }
        *at = stop;
        is_found = other == NULL || range->pool != other;
        *piece = (struct piece){range->pool, start, pa_distance(start, stop)};
    }
    mapping_lock_release(&guard->lock);
    return is_found;
}

static pa_t range_end(pa_t start, uint64_t size)
{
    return pa_add(start, mapping_u64_min(size, pa_distance(start, pa_of(UINT64_MAX))));
}

bool frame_guard_is_data(struct frame_guard *guard, const struct frame_pool *other, pa_t start,
                         uint64_t size)
{
    const pa_t end = range_end(start, size);
    struct piece piece;

    while (next_piece(guard, other, &start, end, &piece)) {
        if (piece.pool == NULL || !frame_pool_is_data(piece.pool, piece.start, piece.size)) {
            return false;
        }
    }
    return true;
}

bool frame_guard_has_frames(struct frame_guard *guard, const struct frame_pool *other, pa_t start,
                            uint64_t size)
{
    const pa_t end = range_end(start, size);
    struct piece piece;

    while (next_piece(guard, other, &start, end, &piece)) {
        if (piece.pool != NULL) {
            return true;
        }
    }
    return false;
}

bool frame_guard_is_mapped(struct frame_guard *guard, const struct frame_pool *other, pa_t start,
                           uint64_t size)
{
    const pa_t end = range_end(start, size);
    struct piece piece;

    while (next_piece(guard, other, &start, end, &piece)) {
        if (piece.pool == NULL || !frame_pool_is_mapped(piece.pool, piece.start, piece.size)) {
            return false;
        }
    }
    return true;
}

void frame_guard_drop_mapping(struct frame_guard *guard, const struct frame_pool *other, pa_t start,
                              uint64_t size)
{
    const pa_t end = range_end(start, size);
    struct piece piece;

    while (next_piece(guard, other, &start, end, &piece)) {
        if (piece.pool != NULL) {
            frame_pool_drop_mapping(piece.pool, piece.start, piece.size);
        }
    }
}

enum mapping_error frame_guard_count_mapping(struct frame_guard *guard,
                                             const struct frame_pool *other, pa_t start,
                                             uint64_t size)
{
    const pa_t end = range_end(start, size);
    enum mapping_error error = MAPPING_OK;
    struct piece piece;
    pa_t at = start;

    while (error == MAPPING_OK && next_piece(guard, other, &at, end, &piece)) {
        error = piece.pool == NULL ? MAPPING_DENIED
                                   : frame_pool_count_mapping(piece.pool, piece.start, piece.size);
    }
    if (error != MAPPING_OK && pa_lt(start, piece.start)) {
        frame_guard_drop_mapping(guard, other, start, pa_distance(start, piece.start));
    }
    return error;
}
