#include "stage2/arch/memory.h"

#include "stage2/arch/arch.h"

#include <stddef.h>

_Static_assert(S2_MEMORY_CHUNK == MAPPING_BIT(21),
               "a chunk is a power of two: the borders are multiples");
_Static_assert(S2_MEMORY_CHUNK >= MAPPING_BIT(S2_GRANULE_64K),
               "a frame of the pool is one step at most");

static void clean_lines(const struct s2_memory *memory, const char *first, uint64_t size)
{
    const char *end = first + size;
    const char *line = first - ((uintptr_t)first & (memory->cache_line - 1U));

    MAPPING_ASSERT(mapping_u64_is_pow2(memory->cache_line));
    for (; line < end; line += memory->cache_line) {
        arch_dc_civac(line);
    }
}

/* How much from @pa on is cleaned in one step: a frame of the pool, or as much as open() takes up
 * to the next frame that the pool shows itself. */
static uint64_t step_size(const struct s2_memory *memory, pa_t pa, uint64_t size)
{
    const uint64_t frame = MAPPING_BIT(frame_pool_shift(memory->pool));
    const uint64_t limit = mapping_u64_min(size, S2_MEMORY_CHUNK - pa_offset(pa, S2_MEMORY_CHUNK));
    uint64_t step = mapping_u64_min(size, frame - pa_offset(pa, frame));

    if (memory->ops == NULL || frame_pool_ptr(memory->pool, pa) != NULL) {
        return step;
    }
    while (step < limit && frame_pool_ptr(memory->pool, pa_add(pa, step)) == NULL) {
        step = mapping_u64_min(limit, step + frame);
    }
    return step;
}

static enum mapping_error clean_step(const struct s2_memory *memory, pa_t pa, uint64_t size)
{
    const struct s2_memory_ops *ops = memory->ops;
    void *ptr = frame_pool_ptr(memory->pool, pa);

    if (ptr != NULL) {
        clean_lines(memory, ptr, size);
        return MAPPING_OK;
    }
    if (ops == NULL) {
        return MAPPING_OK;
    }
    ptr = ops->open(ops->ctx, pa, size);
    if (ptr == NULL) {
        return MAPPING_DENIED;
    }
    clean_lines(memory, ptr, size);
    ops->close(ops->ctx, ptr, size);
    return MAPPING_OK;
}

/* All of it, also past what open() refuses; the first refusal. */
static enum mapping_error clean_all(const struct s2_memory *memory, pa_t pa, uint64_t size)
{
    enum mapping_error first = MAPPING_OK;

    while (size > 0) {
        const uint64_t step = step_size(memory, pa, size);
        const enum mapping_error error = clean_step(memory, pa, step);

        MAPPING_ASSERT(step > 0 && step <= size);
        first = first == MAPPING_OK ? error : first;
        pa = pa_add(pa, step);
        size -= step;
    }
    arch_dsb_ish();
    return first;
}

enum mapping_error s2_memory_clean(const struct s2_memory *memory, pa_t pa, uint64_t size)
{
    MAPPING_ASSERT(memory->pool != NULL);

    if (memory->ops == NULL && !frame_pool_touches(memory->pool, pa, size)) {
        return MAPPING_OK;
    }
    return clean_all(memory, pa, size);
}

void s2_memory_reclaim(const struct s2_memory *memory, pa_t pa, uint64_t size)
{
    const enum mapping_error error = s2_memory_clean(memory, pa, size);

    (void)error; /* out of reach, as the header says */
}

/* --- Tables and code ------------------------------------------------------------------------- */

void s2_memory_clean_lines(const struct s2_memory *memory, const s2_desc_t *slot, size_t count)
{
    const char *end = (const char *)(slot + count);
    const char *line = (const char *)slot - ((uintptr_t)slot & (memory->cache_line - 1U));

    MAPPING_ASSERT(mapping_u64_is_pow2(memory->cache_line));
    for (; count > 0 && line < end; line += memory->cache_line) {
        arch_dc_cvac(line);
    }
}

void s2_memory_await_lines(void)
{
    arch_dsb_ish();
}

void s2_memory_publish(const struct s2_memory *memory)
{
    if (memory->cleans_tables) {
        arch_dsb_ish(); /* cache maintenance is not among the stores */
    } else {
        arch_dsb_ishst();
    }
    arch_isb();
}

void s2_memory_show_code(const struct s2_memory *memory, mapping_flags_t flags)
{
    if ((flags & S2_EXEC) != 0 && !memory->has_dic) {
        arch_ic_ialluis();
        arch_dsb_ish();
    }
}
