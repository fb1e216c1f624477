/*
 * memory.h - caches: how the library reaches memory, and what of it is cleaned when.
 *
 *      what                     by               when                          not if
 *      memory about to be seen  DC CIVAC, DSB    as its map is held            write-back is forced,
 *      memory taken back        DC CIVAC, DSB    after the closing sequence    or it is a device
 *      memory changes its type  DC CIVAC, DSB    between break and make        -
 *      a dark table             DC CVAC, DSB     filled, before it is linked   the walker is coherent
 *      a live descriptor        DC CVAC          after its store; the next     the walker is coherent
 *                                                DSB is for both
 *      instruction caches       IC IALLUIS, DSB  before it can be executed     CTR_EL0.DIC = 1
 *
 * Two features take cleaning away, and FWB comes first: with it (HCR_EL2.FWB, and S2_NORMAL) guest
 * and hypervisor reach memory through the same caches, so no data is cleaned, whatever CTR_EL0.IDC
 * says. IDC alone says that instruction fetches see data caches; a guest whose own caches are off
 * still reads past them, so without FWB it is cleaned to PoC in any case, and IDC saves nothing
 * here. Instruction caches ask neither, but DIC.
 *
 * No cache instruction stands elsewhere.
 */
#ifndef TRESTLE_STAGE2_ARCH_MEMORY_H
#define TRESTLE_STAGE2_ARCH_MEMORY_H

#include "core/addr.h"
#include "core/c.h"
#include "core/err.h"
#include "core/frame_pool.h"
#include "stage2/arch/desc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

/* PA -> pointer, per range, for memory outside the pools: an embedder's own mapping, or a
 * window. */
struct s2_memory_ops {
    /* A pointer to [@pa, @pa + @size) until close(); NULL: it cannot be reached from here. Asked
     * for at most S2_MEMORY_CHUNK bytes at a time, one at a time. */
    void *(*open)(void *ctx, pa_t pa, uint64_t size);
    void (*close)(void *ctx, void *ptr, uint64_t size);
    void *ctx;
};

#define S2_MEMORY_CHUNK (UINT64_C(2) << 20)

/* How memory is seen from here, and by others. */
struct s2_memory {
    const struct frame_pool *pool;   /* what lies in it is reached without the ops */
    const struct s2_memory_ops *ops; /* may be NULL: nothing else is reached */
    unsigned cache_line;             /* bytes of the smallest data cache line */
    bool cleans_tables;              /* the walker is not coherent */
    bool has_dic;                    /* CTR_EL0.DIC: instruction caches see what was written */
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

/* A stretch of memory as it can be read and written here. */
struct s2_window {
    unsigned char *ptr;
    uint64_t size;  /* bytes from ptr on */
    bool is_opened; /* by the ops, and to be closed */
};

/**
 * s2_memory_open() - Where [@pa, @pa + @size), or the beginning of it, can be read and written.
 * @size:    not 0. What comes may be less: to the end of a pool's region, of a chunk of the ops.
 * Returns:  MAPPING_OK; MAPPING_UNSUPPORTED: neither pool nor ops have @pa; MAPPING_DENIED: open()
 *           refused it. Then window->size is how much was refused at once.
 * Owns:     until s2_memory_close(), which is due before the next.
 * Cost:     a pool's: some 20 instructions. The ops': theirs.
 */
MAPPING_MUST_USE enum mapping_error s2_memory_open(const struct s2_memory *memory, pa_t pa,
                                                   uint64_t size, struct s2_window *window);
static inline void s2_memory_close(const struct s2_memory *memory, const struct s2_window *window)
{
    if (window->is_opened) {
        memory->ops->close(memory->ops->ctx, window->ptr, window->size);
    }
}

/* s2_memory_clean() of what a window shows. */
void s2_memory_clean_window(const struct s2_memory *memory, const struct s2_window *window);

/* Fill [@pa, @pa + @size) with zeros. Returns: as s2_memory_open(): what came before the refusal is
 * written. Order: by this CPU's stores, through its caches. */
MAPPING_MUST_USE enum mapping_error s2_memory_zero(const struct s2_memory *memory, pa_t pa,
                                                   uint64_t size);

/* For a walker that is not coherent, which the next two ask first. */
void s2_memory_clean_lines(const struct s2_memory *memory, const s2_desc_t *slot, size_t count);
void s2_memory_await_lines(void);

/* Clean @count descriptors from @slot on, for a walker that is not coherent; nothing for one that
 * is. Order: none. A release does not wait for it, nor a DSB for stores alone:
 * s2_memory_await_tables(). */
static inline void s2_memory_clean_tables(const struct s2_memory *memory, const s2_desc_t *slot,
                                          size_t count)
{
    if (memory->cleans_tables) {
        s2_memory_clean_lines(memory, slot, count);
    }
}

/* What was cleaned is in memory: before the table is linked. */
static inline void s2_memory_await_tables(const struct s2_memory *memory)
{
    if (memory->cleans_tables) {
        s2_memory_await_lines();
    }
}

/* What was stored, and cleaned, is visible to walkers, and this CPU's next access sees it. */
void s2_memory_publish(const struct s2_memory *memory);

/* Before memory with @flags can be executed: no instruction cache holds what was there before. */
void s2_memory_show_code(const struct s2_memory *memory, mapping_flags_t flags);

TRESTLE_END

#endif
