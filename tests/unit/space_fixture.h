/*
 * space_fixture.h - a guest: a space on a rig, with memory of its own that can be reached and
 * cleaned, and with everything about it comparable.
 */
#ifndef TRESTLE_TESTS_UNIT_SPACE_FIXTURE_H
#define TRESTLE_TESTS_UNIT_SPACE_FIXTURE_H

#include "stage2/trestle.h"
#include "tests/unit/table_fixture.h"

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST(call) ck_assert_int_eq(call, MAPPING_OK)

/* An initializer in a table: as a call, so that it stays in a line. */
#define ROW(...)    \
    {               \
        __VA_ARGS__ \
    }

#define GUEST_NODES 16
#define GUEST_LINE 64 /* bytes of a cache line of every rig */

/* Host memory behind [RIG_DATA, RIG_DATA + size), which guests are shown. */
struct guest_memory {
    unsigned char *bytes;
    uint64_t size;
    uint64_t longest;    /* the longest range that was asked for */
    size_t opened;       /* calls of open() */
    size_t closed;       /* calls of close(), each for what was opened last */
    size_t refuse_from;  /* open() answers NULL from this call on; 0: never */
    size_t refuse_count; /* so many times */
    void *ptr;           /* what is open */
};

struct guest {
    struct rig rig; /* machine and pool; its table is a copy of the space's, to look at */
    struct memory_node nodes[GUEST_NODES];
    struct s2_space space;
    struct guest_memory memory;
    struct s2_memory_ops ops;
};

/* With @node_count nodes, and @size bytes of guest memory that can be reached; 0: no memory ops.
 * The log is empty. fini fails the test unless every frame comes back. */
void guest_init(struct guest *guest, struct rig_setup setup, size_t node_count, uint64_t size);
void guest_fini(struct guest *guest);

/* The usual one: 4K, 40 bits, no FWB. And one whose stage 2 forces write-back. */
struct rig_setup guest_setup(void);
struct rig_setup guest_setup_fwb(void);

/* An area, as it ought to be listed and mapped. */
struct guest_area {
    uint64_t ipa;
    uint64_t size;
    uint64_t pa;
    mapping_flags_t flags; /* with the cap */
};

/* A call on a space: by itself, in a batch, or one step of it. What the verb does not take is not
 * looked at. */
enum guest_verb { GUEST_MAP, GUEST_REPLACE, GUEST_UNMAP, GUEST_PROTECT, GUEST_FOLD };

enum mapping_error guest_call(struct s2_space *space, enum guest_verb verb, struct guest_area area);
enum mapping_error guest_batch(struct s2_batch *batch, struct s2_space *space, enum guest_verb verb,
                               struct guest_area area);
enum mapping_error guest_step(struct s2_space *space, enum guest_verb verb,
                              struct s2_cursor *cursor, mapping_flags_t flags, size_t budget);

/* Map or unmap, or fail the test. */
void guest_map(struct guest *guest, struct guest_area area);
void guest_map_all(struct guest *guest, const struct guest_area areas[], size_t count);
void guest_unmap(struct guest *guest, uint64_t ipa, uint64_t size);

/* Fails the test unless these are the areas, the software MMU finds them and nothing else, and
 * s2_space_check() is content. */
void guest_assert(struct guest *guest, const struct guest_area areas[], size_t count);

/* The areas of the guest, in order; how many. */
size_t guest_list(const struct guest *guest, struct memory_area areas[GUEST_NODES]);

/* All that "nothing changed" is about. */
struct guest_snapshot {
    struct rig_snapshot rig;
    struct memory_area areas[GUEST_NODES];
    size_t area_count;
};

void guest_snapshot_take(struct guest_snapshot *snapshot, struct guest *guest);
void guest_snapshot_assert_same(const struct guest_snapshot *snapshot, struct guest *guest);
void guest_snapshot_free(struct guest_snapshot *snapshot);

/* Whether @kind is a TLBI. In the log: how many flushes there are (TLBI VMALLE1IS or VMALLS12E1IS),
 * and where the last TLBI is, or SIM_NONE. */
bool guest_is_tlbi(enum sim_kind kind);
size_t guest_flushes(void);
size_t guest_last_tlbi(void);

/* The parts of the suite that have files of their own. */
void space_add_cache_cases(Suite *suite);
void space_add_isolation_cases(Suite *suite);

#endif
