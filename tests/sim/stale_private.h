/*
 * stale_private.h - what the two halves of stale_tlb share.
 *
 *      stale_tlb.c    events, invalidations, barriers, the verdict at rest
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

/* Whether walks still go through the table pointer that the entry holds. */
bool stale_pointer_is_live(const struct stale_tlb *tlb, const struct stale_entry *entry);

/* An entry that nobody holds any more. */
void stale_forget(struct stale_tlb *tlb, uint32_t number);

/* @desc is reachable at @place no longer; it is now. With all that hangs below it. */
void stale_unlink(struct stale_tlb *tlb, struct reach_place place, uint64_t desc,
                  const struct sim_event *event);
void stale_link(struct stale_tlb *tlb, struct reach_place place, uint64_t desc,
                const struct sim_event *event);

#endif
