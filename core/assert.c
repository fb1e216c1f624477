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

/* Not a part of whoever calls it: it asks where it was called from. */
__attribute__((noinline)) void mapping_assert_stop(void)
{
    mapping_assert_failed((uintptr_t)__builtin_return_address(0));
    __builtin_trap();
}

#endif
