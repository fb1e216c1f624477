#undef NDEBUG
#define NDEBUG
#include "core/assert.h"
#include "tests/unit/test.h"

#define SUITE "assert"

TEST(assert_with_ndebug_evaluates_nothing)
{
    unsigned evaluated = 0;

    MAPPING_ASSERT(++evaluated == 2);
    ck_assert_uint_eq(evaluated, 0);
}
