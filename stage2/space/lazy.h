/*
 * lazy.h - areas that get their memory as it is touched.
 *
 *      mapped            [ . . . . . . . . ]   nothing but the area
 *      touched, at 5     [ . . . . . P . . ]   a frame of the pool: zeroed, cleaned, then mapped
 *        with a grain    [ . . . . P P P P ]   as large a block as the pool has, up to the grain
 *      unmapped          [ . . . . . . . . ]   after the flush the frames are the pool's again
 *
 * What touches is a guest's fault (s2_space_handle_fault()), or s2_space_read() and _write().
 */
#ifndef TRESTLE_STAGE2_SPACE_LAZY_H
#define TRESTLE_STAGE2_SPACE_LAZY_H

#include "core/c.h"
#include "core/memory_set.h"
#include "stage2/space/backend.h"

TRESTLE_BEGIN

/* Where areas get their memory from. The caller's; it stays, unchanged, as long as an area, of any
 * space, refers to it. */
struct s2_lazy {
    struct frame_pool *pool; /* frames no larger than the granule. May be shared, and be the tables'
                              * too. Frames without memory are reached by the space's memory ops */
    uint64_t grain; /* bytes that a touch fills, where area and pool have that much, aligned
                              * and in one piece; else a run or a granule. A power of two, from the
                              * granule to S2_LAZY_GRAIN_MAX; 0: a granule */
};

#define S2_LAZY_GRAIN_MAX (UINT64_C(1) << 30)

MAPPING_STATIC_ASSERT(sizeof(uintptr_t) <= sizeof(uint64_t), "a cookie holds a pointer");

extern const struct s2_backend_ops s2_lazy_ops;

/* The backend of an area that gets its memory from @lazy. */
struct mapping_backend s2_lazy_backend(const struct s2_lazy *lazy);

/* That of @backend, a lazy one. */
const struct s2_lazy *s2_lazy_of(const struct mapping_backend *backend);

/* s2_locked_add() of an area of it with all of its memory, or of nothing: for s2_space_map(). Context:
 * the space is not locked, and @area was checked. */
MAPPING_MUST_USE enum mapping_error s2_lazy_add_full(struct s2_space *space,
                                                     const struct memory_area *area,
                                                     enum overlap_policy policy);

/* What is wrong with @lazy for areas with @flags on @table: a sentence with static lifetime; NULL:
 * nothing. */
const char *s2_lazy_reason(const struct s2_lazy *lazy, const struct s2_table *table,
                           mapping_flags_t flags);

TRESTLE_END

#endif
