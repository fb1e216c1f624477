/*
 * stale_private.h - what the parts of stale_tlb share.
 *
 *      stale_tlb.c    events, invalidations, barriers, the verdict at rest
 *      stale_cpu.c    which CPUs walk which guest, under which VMID
 *      stale_link.c   what becomes reachable and what no longer is; second translations
 */
#ifndef TRESTLE_TESTS_SIM_STALE_PRIVATE_H
#define TRESTLE_TESTS_SIM_STALE_PRIVATE_H

#include "tests/sim/stale_tlb.h"

#define ALL_CPUS 0xffU

/* Only the first problem is told; what follows it may be its echo. @entry, @event: may be NULL. */
void stale_problem(struct stale_tlb *tlb, const char *what, const struct stale_entry *entry,
                   const struct sim_event *event);

static inline const struct reach_guest *stale_guest(const struct stale_tlb *tlb,
                                                    struct reach_place place)
{
    return &tlb->reach.guests[place.guest];
}

uint64_t stale_leaf_address(const struct reach_guest *guest, uint64_t desc, int level);

/* What a copy allows, one bit each: a stale copy that has one more than the tables is wrong. */
unsigned stale_leaf_rights(const struct reach_guest *guest, uint64_t desc);

/* Two leaves, or members of a run, that translate alike but for what may change in place. */
bool stale_leaf_is_alike(const struct reach_guest *guest, int level, uint64_t a, uint64_t a_ipa,
                         uint64_t b, uint64_t b_ipa);

/* The same for two leaves of any levels and any hints. */
bool stale_leaf_agrees(const struct reach_guest *guest, uint64_t a, struct reach_place a_place,
                       uint64_t b, struct reach_place b_place);

/* Whether the event, at @place, changes nothing but a size, or the contiguous hint. */
bool stale_is_direct(struct stale_tlb *tlb, struct reach_place place,
                     const struct sim_event *event);

/* Whether walks still go through the table pointer that the entry holds. */
bool stale_pointer_is_live(const struct stale_tlb *tlb, const struct stale_entry *entry);

/* An entry that nobody holds any more. */
void stale_forget(struct stale_tlb *tlb, uint32_t number);

/* @desc is reachable at @place no longer; it is now. With all that hangs below it. */
void stale_unlink(struct stale_tlb *tlb, struct reach_place place, uint64_t desc,
                  const struct sim_event *event);
void stale_link(struct stale_tlb *tlb, struct reach_place place, uint64_t desc,
                const struct sim_event *event);

/* stale_cpu.c */
static inline uint8_t stale_cpu_bit(size_t cpu)
{
    return (uint8_t)(1U << cpu);
}

/* CPUs that may hold something of the guest. */
uint8_t stale_holders(const struct stale_tlb *tlb, unsigned guest);

/* CPUs where a TLBI with the event's registers goes to the guest's entries. */
uint8_t stale_addressed(const struct stale_tlb *tlb, unsigned guest, const struct sim_event *event);

/* Whether the event is a TLBI of all VMIDs. */
bool stale_is_of_all(const struct sim_event *event);

/* A register as it is now; a write to it; an ISB; an invalidation of both stages by the event's
 * CPU, on @targets; its completion on @scope. */
void stale_note_vttbr(struct stale_tlb *tlb, size_t cpu, uint64_t vttbr);
void stale_on_load(struct stale_tlb *tlb, const struct sim_event *event);
void stale_on_isb(struct stale_tlb *tlb, size_t cpu);
void stale_on_sweep(struct stale_tlb *tlb, const struct sim_event *event, uint8_t targets);
void stale_sweep_done(struct stale_tlb *tlb, size_t cpu, uint8_t scope);

#endif
