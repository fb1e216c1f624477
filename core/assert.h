/*
 * assert.h - for the caller's bugs, and for ours; never for what a guest or a VMM can cause.
 *
 * A failed assertion expands to MAPPING_PANIC(expr), where expr is the expression itself, so that
 * an embedder can stringify it: -D'MAPPING_PANIC(expr)=my_panic(#expr)'. On in every build;
 * NDEBUG takes them out.
 */
#ifndef TRESTLE_CORE_ASSERT_H
#define TRESTLE_CORE_ASSERT_H

#ifndef MAPPING_PANIC
#define MAPPING_PANIC(expr) __builtin_trap()
#endif

#ifdef NDEBUG
#define MAPPING_ASSERT(expr) ((void)sizeof(!(expr)))
#else
#define MAPPING_ASSERT(expr) ((expr) ? (void)0 : (void)(MAPPING_PANIC(expr)))
#endif

#endif
