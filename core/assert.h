/*
 * assert.h - for the caller's bugs, and for ours; never for what a guest or a VMM can cause.
 *
 * On in every build; NDEBUG takes them out. One that fails calls mapping_assert_failed(), which an
 * embedder gives at link time; without one it traps. What it is told is a number: where in the
 * image that was, so that a site costs one call and no more. The archive keeps its line table, thus
 *
 *      aarch64-linux-gnu-addr2line -f -i -p -e image.elf 0x40081234
 *
 * names the function and, where that was compiled into others, those. Or it is a text, file, line
 * and expression, where the archive was made, and the embedder's own files are compiled, with
 *
 *      make lib ASSERT_TEXT=yes         -DMAPPING_ASSERT_TEXT      (pkg-config says so, too)
 */
#ifndef TRESTLE_CORE_ASSERT_H
#define TRESTLE_CORE_ASSERT_H

#include "core/c.h"

#include <stdint.h>

TRESTLE_BEGIN

/**
 * mapping_assert_failed() - The embedder's own: say @place, and do not return.
 * mapping_assert_stop() - The library's: calls it, and traps if it returns.
 * @place:   an address in the call at the site that failed; or a text with static lifetime.
 * Context:  anywhere: locks may be held, interrupts masked, an operation half done. Nothing of the
 *           library may be called any more.
 */
#ifdef MAPPING_ASSERT_TEXT
void mapping_assert_failed(const char *place);
TRESTLE_NORETURN void mapping_assert_stop(const char *place);
#define MAPPING_ASSERT_NUMERAL(line) #line
#define MAPPING_ASSERT_PLACE(line, text) __FILE__ ":" MAPPING_ASSERT_NUMERAL(line) ": " text
#define MAPPING_ASSERT_STOP(text) mapping_assert_stop(MAPPING_ASSERT_PLACE(__LINE__, text))
#else
void mapping_assert_failed(uintptr_t place);
TRESTLE_NORETURN void mapping_assert_stop(void);
#define MAPPING_ASSERT_STOP(text) mapping_assert_stop()
#endif

#ifdef NDEBUG
/* Nothing is evaluated; what is used here alone still counts as used. */
#define MAPPING_ASSERT(expr) ((void)(0 && (expr)))
#else
#define MAPPING_ASSERT(expr) ((expr) ? (void)0 : MAPPING_ASSERT_STOP(#expr))
#endif

TRESTLE_END

#endif
