/*
 * set_fixture.h - MemorySets as drawings, and the table of every kind of overlap.
 *
 * One character is one byte. A letter is a byte of an area and stands for its flags; a capital is
 * the first byte of an area; a dot is free. "AaaBb..Bb" are three areas, two of them alike.
 */
#ifndef TRESTLE_TESTS_UNIT_SET_FIXTURE_H
#define TRESTLE_TESTS_UNIT_SET_FIXTURE_H

#include "core/memory_set.h"
#include "tests/model/mock_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIXTURE_NODES 16
#define FIXTURE_BASE UINT64_C(0x4000)
#define FIXTURE_COOKIE 7
#define FIXTURE_TAG 9

struct set_fixture {
    struct memory_set set;
    struct memory_node nodes[FIXTURE_NODES];
    struct mock_table table;
};

enum case_op { CASE_UNMAP, CASE_PROTECT, CASE_REPLACE, CASE_CLEAR };

/* CASE_PROTECT gives the flags of `letter` to all but the areas of letter x; CASE_REPLACE maps an
 * area of `letter` with OVERLAP_UNMAP. */
struct set_case {
    enum case_op op;
    char letter;
    const char *before;
    unsigned first; /* of the range, from FIXTURE_BASE */
    unsigned size;
    const char *after;
    size_t peak;   /* areas there are at the worst moment */
    size_t pieces; /* changes that backends are asked for */
};

extern const struct set_case set_cases[];
extern const int set_case_count;

/* Areas as drawn, in a set of @node_count nodes, with backends of @kind. No fault is armed. */
void fixture_draw(struct set_fixture *fixture, const char *drawing, size_t node_count,
                  enum mock_kind kind);

/* Perform @entry's operation, refusing as @faults says. */
enum mapping_error fixture_run(struct set_fixture *fixture, const struct set_case *entry,
                               enum mock_kind kind, struct mock_faults faults);

/* Fails the test unless the set is as drawn (trailing dots aside), sound, and of one opinion with
 * the table; and unless the calls so far kept the protocol of an operation that gave @outcome. */
void fixture_assert(const struct set_fixture *fixture, const char *drawing,
                    enum mapping_error outcome);

struct ipa_range fixture_range(uint64_t first, uint64_t size);
mapping_flags_t fixture_flags(char letter);
struct memory_area fixture_area(uint64_t first, uint64_t size, char letter, enum mock_kind kind);

/* A memory_set_update_fn: the flags of the letter that @arg points to, for all but x. */
bool fixture_update(mapping_flags_t old_flags, void *arg, mapping_flags_t *new_flags);

#endif
