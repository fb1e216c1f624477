#include "stage2/arch/memory.h"

#include "stage2/arch/arch.h"

#include <stddef.h>

_Static_assert(S2_MEMORY_CHUNK == MAPPING_BIT(21),
               "a chunk is a power of two: the borders are multiples");

static void clean_lines(const struct s2_memory *memory, const char *first, uint64_t size)
{
    const char *end = first + size;
    const char *line = first - ((uintptr_t)first & (memory->cache_line - 1U));

    MAPPING_ASSERT(mapping_u64_is_pow2(memory->cache_line));
    for (; line < end; line += memory->cache_line) {
        arch_dc_civac(line);
    }
}

/* More than a frame: what lies in the pool's memory goes on to the end of its region, and there the next
 * may begin. */
static uint64_t size_in_pool(const struct s2_memory *memory, pa_t pa, const unsigned char *ptr,
                             uint64_t size, uint64_t frame)
{
    uint64_t step = frame - pa_offset(pa, frame);

    if (frame_pool_is_near(memory->pool, pa_align_down(pa, frame)) &&
        frame_pool_is_near(memory->pool, pa_align_down(pa_add(pa, size - 1), frame))) {
        return size;
    }
    while (step < size && frame_pool_ptr(memory->pool, pa_add(pa, step)) == ptr + step) {
        step += frame;
    }
    return mapping_u64_min(step, size);
}

/* As much as open() takes, up to the next frame that the pool shows itself. */
static uint64_t size_for_ops(const struct s2_memory *memory, pa_t pa, uint64_t size)
{
    const uint64_t frame = MAPPING_BIT(frame_pool_shift(memory->pool));
    const uint64_t limit = mapping_u64_min(size, S2_MEMORY_CHUNK - pa_offset(pa, S2_MEMORY_CHUNK));
    uint64_t step = mapping_u64_min(limit, frame - pa_offset(pa, frame));

    if (!frame_pool_touches(memory->pool, pa, limit)) {
        return limit;
    }
    while (step < limit && frame_pool_ptr(memory->pool, pa_add(pa, step)) == NULL) {
        step = mapping_u64_min(limit, step + frame);
    }
    return step;
}

static enum mapping_error open_by_ops(const struct s2_memory *memory, pa_t pa, uint64_t size,
                                      struct s2_window *window)
{
    const struct s2_memory_ops *ops = memory->ops;

    if (ops == NULL) {
        return MAPPING_UNSUPPORTED; /* a frame is passed over */
    }
    size = size_for_ops(memory, pa, size);
    *window = (struct s2_window){ops->open(ops->ctx, pa, size), size, true};
    return window->ptr != NULL ? MAPPING_OK : MAPPING_DENIED;
}

enum mapping_error s2_memory_open(const struct s2_memory *memory, pa_t pa, uint64_t size,
                                  struct s2_window *window)
{
    const uint64_t frame = MAPPING_BIT(frame_pool_shift(memory->pool));
    unsigned char *ptr = frame_pool_ptr(memory->pool, pa);

    MAPPING_ASSERT(size > 0);
    *window = (struct s2_window){ptr, mapping_u64_min(size, frame - pa_offset(pa, frame)), false};
    if (ptr == NULL) {
        return open_by_ops(memory, pa, size, window);
    }
    if (window->size < size) {
        window->size = size_in_pool(memory, pa, ptr, size, frame);
    }
    return MAPPING_OK;
}

void s2_memory_clean_window(const struct s2_memory *memory, const struct s2_window *window)
{
    clean_lines(memory, (const char *)window->ptr, window->size);
    arch_dsb_ish();
}

/* Returns: how much was cleaned, or passed over; *first: the first refusal. */
static uint64_t clean_step(const struct s2_memory *memory, pa_t pa, uint64_t size,
                           enum mapping_error *first)
{
    struct s2_window window;
    const enum mapping_error error = s2_memory_open(memory, pa, size, &window);

    if (error == MAPPING_OK) {
        clean_lines(memory, (const char *)window.ptr, window.size);
        s2_memory_close(memory, &window);
    } else if (error == MAPPING_DENIED && *first == MAPPING_OK) {
        *first = error;
    }
    return window.size;
}

/* All of it, also past what open() refuses; the first refusal. */
static enum mapping_error clean_all(const struct s2_memory *memory, pa_t pa, uint64_t size)
{
    enum mapping_error first = MAPPING_OK;

    while (size > 0) {
        const uint64_t step = clean_step(memory, pa, size, &first);

        MAPPING_ASSERT(step > 0 && step <= size);
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

enum mapping_error s2_memory_zero(const struct s2_memory *memory, pa_t pa, uint64_t size)
{
    while (size > 0) {
        struct s2_window window;
        const enum mapping_error error = s2_memory_open(memory, pa, size, &window);

        if (error != MAPPING_OK) {
            return error;
        }
        __builtin_memset(window.ptr, 0, (size_t)window.size);
        s2_memory_close(memory, &window);
        pa = pa_add(pa, window.size);
        size -= window.size;
    }
    return MAPPING_OK;
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
