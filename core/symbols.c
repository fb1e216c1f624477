/*
 * symbols.c - the inline functions of core that a binding from another language needs, as functions
 * that can be linked. The inline ones go by another name here.
 */
#define ipa_of(...) inline_ipa_of(__VA_ARGS__)
#define pa_of(...) inline_pa_of(__VA_ARGS__)
#define ipa_range(...) inline_ipa_range(__VA_ARGS__)
#define ipa_distance(...) inline_ipa_distance(__VA_ARGS__)
#define pa_distance(...) inline_pa_distance(__VA_ARGS__)
#define frame_pool_alloc(...) inline_frame_pool_alloc(__VA_ARGS__)
#define frame_pool_free(...) inline_frame_pool_free(__VA_ARGS__)
#define frame_pool_ptr(...) inline_frame_pool_ptr(__VA_ARGS__)

#include "core/addr.h"
#include "core/frame_pool.h"

#undef ipa_of
#undef pa_of
#undef ipa_range
#undef ipa_distance
#undef pa_distance
#undef frame_pool_alloc
#undef frame_pool_free
#undef frame_pool_ptr

#define SYMBOL(type, name, parameters, arguments) \
    type name parameters;                         \
    type name parameters                          \
    {                                             \
        return inline_##name arguments;           \
    }

SYMBOL(ipa_t, ipa_of, (uint64_t raw), (raw))
SYMBOL(pa_t, pa_of, (uint64_t raw), (raw))
SYMBOL(struct ipa_range, ipa_range, (uint64_t start, uint64_t size), (start, size))
SYMBOL(uint64_t, ipa_distance, (ipa_t from, ipa_t to), (from, to))
SYMBOL(uint64_t, pa_distance, (pa_t from, pa_t to), (from, to))
SYMBOL(enum mapping_error, frame_pool_alloc,
       (struct frame_pool * pool, unsigned order, pa_t *frame), (pool, order, frame))
SYMBOL(enum mapping_error, frame_pool_free, (struct frame_pool * pool, pa_t frame, unsigned order),
       (pool, frame, order))
SYMBOL(void *, frame_pool_ptr, (const struct frame_pool *pool, pa_t frame), (pool, frame))
