/*
 * cursor.h - where a long change stands that is made in steps (stage2/table/step.h).
 */
#ifndef TRESTLE_STAGE2_TABLE_CURSOR_H
#define TRESTLE_STAGE2_TABLE_CURSOR_H

#include "core/addr.h"
#include "core/assert.h"
#include "core/c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

#define S2_STEP_ALL SIZE_MAX

/* Where a change over @range stands: all before @next is done. */
struct s2_cursor {
    struct ipa_range range;
    ipa_t next;
    bool is_split; /* private: the last step ended inside an area */
};

/* At the beginning of @range; and whether a change has come to its end. */
static inline struct s2_cursor s2_cursor(struct ipa_range range)
{
    const struct s2_cursor cursor = {range, range.start, false};

    return cursor;
}

static inline bool s2_cursor_is_done(const struct s2_cursor *cursor)
{
    return cursor->range.size != 0 &&
           ipa_distance(cursor->range.start, cursor->next) == cursor->range.size;
}

/* --- For the steps themselves ---------------------------------------------------------------- */

/* What is left of the change. */
static inline struct ipa_range s2_cursor_rest(const struct s2_cursor *cursor)
{
    MAPPING_ASSERT(ipa_range_has(cursor->range, cursor->next));
    return ipa_range_between(cursor->next, ipa_range_end(cursor->range));
}

/* All before @end is done. */
static inline void s2_cursor_move(struct s2_cursor *cursor, ipa_t end)
{
    MAPPING_ASSERT(ipa_le(cursor->next, end));
    MAPPING_ASSERT(ipa_le(end, ipa_range_end(cursor->range)));
    cursor->next = end;
}

TRESTLE_END

#endif
