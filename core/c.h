/*
 * c.h - what C11 and C++17 say in different ways, and what both leave to the compiler.
 *
 * Installed headers are read by both: their inline functions keep to what is common, and to this.
 */
#ifndef TRESTLE_CORE_C_H
#define TRESTLE_CORE_C_H

/* Around the declarations of a header, behind its includes. */
#ifdef __cplusplus
#define TRESTLE_BEGIN extern "C" {
#define TRESTLE_END }
#else
#include <stdatomic.h>
#define TRESTLE_BEGIN
#define TRESTLE_END
#endif

#ifdef __cplusplus
#define TRESTLE_NORETURN [[noreturn]]
#define MAPPING_STATIC_ASSERT(condition, text) static_assert(condition, text)
#define MAPPING_VALUE(type, value) \
    type                           \
    {                              \
        value                      \
    } /* of a type that has one member */
#else
#define TRESTLE_NORETURN _Noreturn
#define MAPPING_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#define MAPPING_VALUE(type, value) ((type){value})
#endif

/* Memory that several CPUs access: MAPPING_ATOMIC(uint32_t) x; MAPPING_ATOMIC_LOAD(&x, acquire).
 * C++17 cannot share C11's types: there it is the plain type, of the same size, and the
 * operations are the compiler's own. */
#ifdef __cplusplus
#define MAPPING_ATOMIC(type) type
#define MAPPING_ORDER_relaxed __ATOMIC_RELAXED
#define MAPPING_ORDER_acquire __ATOMIC_ACQUIRE
#define MAPPING_ORDER_release __ATOMIC_RELEASE
#define MAPPING_ATOMIC_INIT(object, value) (*(object) = (value))
#define MAPPING_ATOMIC_LOAD(object, order) __atomic_load_n(object, MAPPING_ORDER_##order)
#define MAPPING_ATOMIC_STORE(object, value, order) \
    __atomic_store_n(object, value, MAPPING_ORDER_##order)
#define MAPPING_ATOMIC_FETCH_ADD(object, value, order) \
    __atomic_fetch_add(object, value, MAPPING_ORDER_##order)
#else
#define MAPPING_ATOMIC(type) _Atomic(type)
#define MAPPING_ATOMIC_INIT(object, value) atomic_init(object, value)
#define MAPPING_ATOMIC_LOAD(object, order) atomic_load_explicit(object, memory_order_##order)
#define MAPPING_ATOMIC_STORE(object, value, order) \
    atomic_store_explicit(object, value, memory_order_##order)
#define MAPPING_ATOMIC_FETCH_ADD(object, value, order) \
    atomic_fetch_add_explicit(object, value, memory_order_##order)
#endif

#endif
