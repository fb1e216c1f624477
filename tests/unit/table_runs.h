/*
 * table_runs.h - contiguous runs, for the tests of what makes, breaks and keeps them.
 *
 * A form is a level of a shape where the architecture has runs. Three runs lie side by side from
 * RUNS_IPA(form) on, their output from RIG_DATA:
 *
 *      |== run 0 ==|== run 1 ==|== run 2 ==|
 */
#ifndef TRESTLE_TESTS_UNIT_TABLE_RUNS_H
#define TRESTLE_TESTS_UNIT_TABLE_RUNS_H

#include "tests/unit/table_fixture.h"

struct run_form {
    const struct rig_shape *shape;
    int level;
    unsigned count; /* of leaves in a run */
    uint64_t leaf;  /* bytes */
};

/* Every granule and level that has runs, plain and with 52 bits; by hand from the manual. */
extern const struct run_form run_forms[];
extern const int run_form_count;

static inline uint64_t run_bytes(const struct run_form *form)
{
    return form->count * form->leaf;
}

/* Aligned for four runs, with room for as many before and after. */
static inline uint64_t runs_ipa(const struct run_form *form)
{
    return 4 * run_bytes(form);
}

/* Where other memory lies, as well aligned as RIG_DATA. */
static inline uint64_t runs_other(const struct run_form *form)
{
    return RIG_DATA + 8 * run_bytes(form);
}

/* The shape's setup with the hint on. */
struct rig_setup runs_setup_of(const struct rig_shape *shape);

/* All leaves of [@ipa, @ipa + @size) are of the form's level and have the hint, or none has it: to
 * the software MMU, which asks for sound runs, and to s2_table_lookup(). */
void runs_assert_hint(const struct rig *rig, const struct run_form *form, uint64_t ipa,
                      uint64_t size, bool has_hint);

/* In the log, the @count members from @slot on, all valid before: each is made invalid before the
 * only flush, none is made valid before it. */
void runs_assert_broken_whole(const s2_desc_t *slot, unsigned count);

/* In the log, nothing is stored in the @count entries from @slot on. */
void runs_assert_untouched(const s2_desc_t *slot, unsigned count);

/* How many flushes the log has. */
size_t runs_flush_count(void);

#endif
