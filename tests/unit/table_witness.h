/*
 * table_witness.h - somebody who looks at a table all the time: what every byte of a window
 * translates to, before an operation and after each of its writes.
 *
 *      before      |AAAAAAAAAAAAAAAAAAAAA|
 *      change            |-------|            what is asked for
 *      an event    |AAAAA|AA.aaaa|AAAAAA|     outside: as before, always. Inside: as before, as
 *                                             it is at last, or nothing
 *
 * Bytes that are mapped before and after, and were not in between, are told apart: somebody who
 * cannot retry has faulted there.
 */
#ifndef TRESTLE_TESTS_UNIT_TABLE_WITNESS_H
#define TRESTLE_TESTS_UNIT_TABLE_WITNESS_H

#include "tests/unit/table_fixture.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICTURE_STRETCHES 320
#define WITNESS_GAPS 64

/* What a picture shows beside addresses and attributes. */
enum picture_detail {
    PICTURE_LEVELS = 1 << 0,
    PICTURE_HINTS = 1 << 1,
    PICTURE_STATE = 1 << 2, /* AF and dirty state, though the hardware sets them */
};

/* Bytes that translate alike. */
struct picture_stretch {
    uint64_t start, end;
    bool is_mapped;
    uint64_t offset; /* PA - IPA */
    uint64_t attr;   /* all else that is shown */
};

struct picture {
    struct picture_stretch stretches[PICTURE_STRETCHES];
    size_t count;
};

/* [@start, @end), as the software MMU finds it; stretches that go on alike are one. @details: of
 * enum picture_detail, or-ed. */
void picture_take(struct picture *picture, const struct mmu *mmu, uint64_t start, uint64_t end,
                  unsigned details);

/* Fails the test unless both show the same. */
void picture_assert_same(const struct picture *a, const struct picture *b, const char *what);

struct witness_gap {
    uint64_t start, end;
};

struct witness {
    struct mmu mmu;
    uint64_t start, end;               /* the window */
    uint64_t change_start, change_end; /* what may change; empty: nothing */
    struct picture before;
    struct picture now;
    struct witness_gap gaps[WITNESS_GAPS]; /* seen unmapped, though mapped before */
    size_t gap_count;
    uint64_t attrs[8]; /* seen inside */
    size_t attr_count;
    enum sim_kind kind; /* of the last write, */
    size_t alike;       /* and how many of it came before in a row */
    size_t looks;
};

/* Watch [@start, @end) from now on; [@change_start, @change_end) is about to change. */
void witness_begin(struct witness *witness, const struct rig *rig, const struct s2_table *table,
                   struct ipa_range window, struct ipa_range change);

/* No more. Fails the test if anything was seen that is neither before nor after. Returns: whether
 * something that is mapped before and after was seen unmapped. */
bool witness_end(struct witness *witness);

#endif
