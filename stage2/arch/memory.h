/*
 * memory.h - how the library reaches memory that is in none of its pools, and cleans it.
 */
#ifndef TRESTLE_STAGE2_ARCH_MEMORY_H
#define TRESTLE_STAGE2_ARCH_MEMORY_H

#include "core/addr.h"
#include "core/err.h"
#include "core/frame_pool.h"

#include <stdint.h>

/* PA -> pointer, per range, for memory outside the pools: an embedder's own mapping, or a window. */
struct s2_memory_ops {
    /* A pointer to [@pa, @pa + @size) until close(); NULL: it cannot be reached from here. Asked
     * for at most S2_MEMORY_CHUNK bytes at a time, one at a time. */
    void *(*open)(void *ctx, pa_t pa, uint64_t size);
    void (*close)(void *ctx, void *ptr, uint64_t size);
    void *ctx;
};

#define S2_MEMORY_CHUNK (UINT64_C(2) << 20)

/* Where guests' memory is seen from here. */
struct s2_memory {
    const struct frame_pool *pool;   /* what lies in it is reached without the ops */
    const struct s2_memory_ops *ops; /* may be NULL: nothing else is reached */
    unsigned cache_line;             /* bytes of the smallest data cache line */
};

/**
 * s2_memory_clean() - Clean and invalidate [@pa, @pa + @size) to the Point of Coherency.
 *
 * A guest starts with its caches off and reads past them: what our side wrote must be in memory
 * before it can look. And when a page comes back, lines that were fetched while the guest wrote
 * past the caches must go before our side reads.
 *
 * Returns:  MAPPING_OK; also where memory is out of reach because there are no ops: then nobody
 *           here wrote it. MAPPING_DENIED: open() refused a part; the rest was cleaned.
 * Order:    complete on return (DSB ISH).
 * Cost:     one DC CIVAC a line, in chunks of at most S2_MEMORY_CHUNK.
 * Source:   Arm ARM DDI 0487, D7.5 "Cache support", "Point of Coherency"; B2.9 mismatched memory
 *           attributes.
 */
MAPPING_MUST_USE enum mapping_error s2_memory_clean(const struct s2_memory *memory, pa_t pa,
                                                    uint64_t size);

/* The same for memory that is mapped already, or just was: cannot fail. What open() refuses now,
 * the embedder has put out of its own reach, and so out of its caches. */
void s2_memory_reclaim(const struct s2_memory *memory, pa_t pa, uint64_t size);

#endif
