#include "core/assert.h"

#ifdef MAPPING_ASSERT_TEXT

__attribute__((weak)) void mapping_assert_failed(const char *place)
{
    (void)place;
}

void mapping_assert_stop(const char *place)
{
    mapping_assert_failed(place);
    __builtin_trap();
}

#else

__attribute__((weak)) void mapping_assert_failed(uintptr_t place)
{
    (void)place;
}

/* Not a part of whoever calls it: it asks where it was called from. As it does not return, what lies
 * behind the call may be another function already: one byte before that is inside of the call. */
__attribute__((noinline)) void mapping_assert_stop(void)
{
    mapping_assert_failed((uintptr_t)__builtin_return_address(0) - 1);
    __builtin_trap();
}

#endif
