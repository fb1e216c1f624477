/*
 * step_fixture.h - portraits of tables, to compare what two ways of changing them left: every
 * descriptor in its place, but not in which frame a table happens to lie. And what a call looked
 * at.
 */
#ifndef TRESTLE_TESTS_UNIT_STEP_FIXTURE_H
#define TRESTLE_TESTS_UNIT_STEP_FIXTURE_H

#include "stage2/trestle.h"

#include <stddef.h>
#include <stdint.h>

/* One entry that is not none. */
struct portrait_entry {
    uint64_t ipa;
    uint64_t desc; /* 0: a table */
    uint64_t level;
};

struct portrait {
    struct portrait_entry *entries;
    size_t count;
    size_t room;
};

void portrait_take(struct portrait *portrait, const struct s2_table *table);
void portrait_free(struct portrait *portrait);

/* Fails the test, which says @what it was doing, unless @table looks like @portrait. */
void portrait_assert_same(const struct portrait *portrait, const struct s2_table *table,
                          const char *what, uint64_t budget);

/* How many different descriptors the events in the log are about, loads included. */
size_t step_slots_seen(void);

#endif
