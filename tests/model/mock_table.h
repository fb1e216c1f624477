/*
 * mock_table.h - a page table that is a byte array, and the backends over it.
 *
 * One cell per byte of a small window of addresses. Three kinds of backend work on it: MOCK_PLAIN
 * has map, unmap and protect alone; MOCK_HOLDING has begin, reserve and end, too; MOCK_EAGER also
 * takes the only piece of an operation in one call, if no call is to refuse. All may be mixed in
 * one set. Every call is logged, judged against the protocol of core/backend.h, and can be made
 * to refuse.
 */
#ifndef TRESTLE_TESTS_MODEL_MOCK_TABLE_H
#define TRESTLE_TESTS_MODEL_MOCK_TABLE_H

#include "core/backend.h"
#include "core/memory_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOCK_CELLS 128
#define MOCK_EVENTS 320

enum mock_kind { MOCK_PLAIN, MOCK_HOLDING, MOCK_EAGER };

#define MOCK_KINDS 3

enum mock_call {
    MOCK_BEGIN,
    MOCK_RESERVE,
    MOCK_MAP,
    MOCK_UNMAP,
    MOCK_PROTECT,
    MOCK_END,
    MOCK_ONLY,
};

#define MOCK_CALLS (MOCK_ONLY + 1)

/* What the refusals answer, each its own, so that a test sees which one came through. */
#define MOCK_BEGIN_ERROR MAPPING_UNSUPPORTED
#define MOCK_RESERVE_ERROR MAPPING_NO_FRAME
#define MOCK_CHANGE_ERROR MAPPING_DENIED

/* Which call refuses: the n-th of its sort since mock_table_arm(), from 1. 0: none. */
struct mock_faults {
    size_t begin;
    size_t reserve;
    size_t change;
    bool only; /* declines, as nothing refuses there */
};

struct mock_event {
    enum mock_call call;
    struct mapping_change change; /* MOCK_RESERVE: as given. Changes: range and new_flags */
    enum mapping_error answer;    /* MOCK_END: the outcome it was told. MOCK_ONLY, declined:
                                   * MAPPING_UNSUPPORTED */
};

struct mock_cell {
    bool is_mapped;
    mapping_flags_t flags;
    uint64_t cookie;
};

struct mock_table {
    ipa_t base;
    struct mock_cell cell[MOCK_CELLS];
    const struct memory_set *set; /* must list at every call what the cells hold; NULL: not asked */
    struct mock_faults faults;
    struct mock_event event[MOCK_EVENTS];
    size_t event_count;
    size_t call_count[MOCK_CALLS];
    size_t change_count;    /* maps, unmaps and protects that were asked */
    size_t held_next;       /* the event of the next reserve to be honoured */
    bool is_open;           /* between begin and end */
    const char *broken_law; /* what of the protocol was broken first; NULL: nothing */
};

/* An empty table for [@base, @base + MOCK_CELLS). */
void mock_table_init(struct mock_table *table, ipa_t base);

/* Before an operation: forget the log, and refuse as @faults says. */
void mock_table_arm(struct mock_table *table, struct mock_faults faults);

/* Whether the calls since mock_table_arm() kept the protocol, for an operation that answered
 * @outcome. */
bool mock_table_is_lawful(const struct mock_table *table, enum mapping_error outcome);

/* Whether @set lists exactly what the cells hold. */
bool mock_table_agrees(const struct mock_table *table, const struct memory_set *set);

/* A backend over any mock table; equal arguments give equal backends. */
struct mapping_backend mock_backend(enum mock_kind kind, uint64_t cookie);
bool mock_backend_holds(const struct mapping_backend *backend);

#endif
