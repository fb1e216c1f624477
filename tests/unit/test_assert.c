#include "core/assert.h"
#include "tests/unit/test.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SUITE "assert"

/* An embedder's own mapping_assert_failed(), for all suites: it returns, so that tests die of the
 * trap behind it, unless one of the tests here wants to hear. */
static jmp_buf *listener;

#ifdef MAPPING_ASSERT_TEXT
static const char *volatile told;

void mapping_assert_failed(const char *place)
#else
static volatile uintptr_t told;

void mapping_assert_failed(uintptr_t place)
#endif
{
    told = place;
    if (listener != NULL) {
        longjmp(*listener, 1);
    }
}

__attribute__((noinline)) static void wants_two(int number)
{
    MAPPING_ASSERT(number == 2);
}

/* Whether the embedder was told. */
static bool fails(int number)
{
    jmp_buf here;

    listener = &here;
    if (setjmp(here) != 0) {
        listener = NULL;
        return true;
    }
    wants_two(number);
    listener = NULL;
    return false;
}

TEST(assert_that_holds_goes_on)
{
    unsigned evaluated = 0;

    MAPPING_ASSERT(++evaluated == 1);
    ck_assert_uint_eq(evaluated, 1);
    ck_assert(!fails(2));
}

TEST(assert_that_fails_tells_the_embedder_where)
{
    ck_assert(fails(3));
#ifdef MAPPING_ASSERT_TEXT
    ck_assert_ptr_nonnull(strstr(told, "tests/unit/test_assert.c:"));
    ck_assert_ptr_nonnull(strstr(told, ": number == 2"));
#else
    ck_assert_uint_lt(told - (uintptr_t)wants_two, 4096);
#endif
}

TEST_DIES(assert_whose_embedder_returns_dies)
{
    wants_two(3);
}
