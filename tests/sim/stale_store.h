/*
 * stale_store.h - where stale_tlb keeps its entries: by guest, level and IPA, and in order of age.
 *
 * Entries are numbers, valid until the entry is dropped; pointers, until the next one is added.
 */
#ifndef TRESTLE_TESTS_SIM_STALE_STORE_H
#define TRESTLE_TESTS_SIM_STALE_STORE_H

#include "tests/sim/reach.h"
#include "tests/sim/sim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STALE_TLB_NOTES 6
#define STALE_TLB_NONE UINT32_MAX

/* What an invalidation did to an entry; the story is made of these. */
enum stale_reason {
    STALE_BORN,           /* not an invalidation: the slot was written */
    STALE_MARKED,         /* goes at the CPU's next DSB */
    STALE_WRONG_LEVEL,    /* the level hint is another, or the entry is a table pointer */
    STALE_WRONG_GRANULE,  /* the hint's or range's granule is another */
    STALE_WRONG_VMID,     /* covered, but for another VMID */
    STALE_NOT_VISIBLE,    /* walkers may still read the old descriptor: no DSB since the write */
    STALE_NOT_IN_CONTEXT, /* no ISB since a write to VTTBR, VTCR or HCR */
    STALE_REFILLED,       /* combined copies: made again of a stage-2 copy still held */
    STALE_BELOW_STALE,    /* walked again from a stale table pointer above it */
    STALE_STILL_SLOW,     /* an nXS form does not wait for accesses by it */
    STALE_REASONS
};

struct stale_note {
    uint64_t event;
    enum sim_kind kind;
    enum stale_reason reason;
    uint8_t cpu;
};

/* A descriptor that was reachable. Masks have one bit a CPU. */
struct stale_entry {
    struct reach_place place;
    uint64_t desc;
    uint64_t serial; /* never the same for two */
    bool is_table;
    bool is_direct;   /* what replaced it translates alike, in another size */
    bool is_slow;     /* accesses by it may have XS = 1 */
    uint8_t stage2;   /* who may hold a stage-2 copy, or a table pointer in a walk cache */
    uint8_t combined; /* who may hold one combined with stage 1; leaves only */
    uint8_t unseen;   /* whose walkers may still read it in memory */
    uint8_t writer;   /* the CPU that overwrote it */
    uint8_t stage2_marks[SIM_CPUS];   /* by who invalidated: to go at that CPU's DSB */
    uint8_t combined_marks[SIM_CPUS]; /* likewise */
    uint64_t marked_by;               /* the event that marked the stage-2 copies last */
    uint32_t parent; /* the stale pointer right above it, if parent_serial is still its serial */
    uint64_t parent_serial;
    uint32_t chain;      /* next of the same hash */
    uint32_t next, prev; /* all that are held, oldest first */
    uint64_t note_count;
    struct stale_note notes[STALE_TLB_NOTES]; /* ring */
};

struct stale_store {
    struct stale_entry *entries;
    uint32_t capacity;
    uint32_t unused; /* chain of entries that hold nothing */
    uint32_t first, last;
    uint32_t *buckets;
    uint32_t bucket_count; /* a power of two */
    uint64_t next_serial;
    size_t held;
    size_t held_by[REACH_GUESTS];
    size_t tables_held;
};

/* No memory is the end of the program. */
void stale_store_init(struct stale_store *store);
void stale_store_fini(struct stale_store *store);

/* The youngest entry, at @place with @desc, zero but for these, its serial and its links. */
uint32_t stale_store_add(struct stale_store *store, struct reach_place place, uint64_t desc,
                         bool is_table);

void stale_store_drop(struct stale_store *store, uint32_t number);

static inline struct stale_entry *stale_store_at(const struct stale_store *store, uint32_t number)
{
    return &store->entries[number];
}

/* The entries of one place: the first, and the next; STALE_TLB_NONE: no more. */
uint32_t stale_store_find(const struct stale_store *store, struct reach_place place);
uint32_t stale_store_find_next(const struct stale_store *store, uint32_t number);

/* The stale pointer right above @entry; NULL: there is none, or it is gone. */
struct stale_entry *stale_store_parent(const struct stale_store *store,
                                       const struct stale_entry *entry);

void stale_entry_note(struct stale_entry *entry, const struct sim_event *event,
                      enum stale_reason reason);

#endif
