/*
 * stale_tlb.h - an adversarial TLB: it holds every translation that any walk of any CPU could have
 * cached since the last invalidation that covers it.
 *
 * Any walk may happen between any two events. So what walkers can reach is always cached, and needs
 * no storage; what is kept is the rest: a descriptor that was reachable and is no longer, as long
 * as some TLB may hold a copy. All addresses of all guests are watched, at a cost per event that
 * does not grow with the tables:
 *
 *      valid slot written      its old descriptor becomes a stale entry (a pointer: with it all
 *                              descriptors of the subtree that it led to, as each may be cached)
 *      by CPU c                until c's next DSB walkers may still read the old one
 *      TLBI by IPA, by range   marks the stage-2 copies that it covers, if its level hint fits
 *      VMALLE1                 marks combined copies, but not where a stage-2 copy is still held: a
 *                              combined one could be made of it again (the missing middle DSB)
 *      VMALLS12E1, ALLE1       mark both
 *      DSB of the same CPU     what is marked is gone; ISHST does not wait for invalidations
 *
 * Each entry knows on which CPUs it may be held: local forms act on one, a DSB NSH completes for
 * one. A TLBI acts on the VMID in VTTBR_EL2, and on nothing while a write to VTTBR, VTCR or HCR
 * waits for its ISB. Where an entry lies below a stale pointer, its invalidation counts only if the
 * pointer goes with it or is gone: else the walk is repeated from there.
 *
 * An nXS form leaves what may be in use by slow accesses: all leaves but those that force
 * write-back.
 *
 * What is wrong, and told at once:
 *      a make that gives an IPA a second translation, one that differs from a stale entry in more
 *          than permissions, AF and software bits
 *      a write into a table, or a table's frame given back, while a stale entry leads there
 *      a fill (for dark tables) of a table that walkers reach; a table linked in two places
 *      a guest is loaded under a VMID under which the CPU may hold another guest's; a size changed
 *          by one store where what is new translates otherwise
 * and by stale_tlb_quiesce(), after an operation:
 *      a stale entry that leads to a table that is unlinked, maps what is no longer mapped, maps it
 *          elsewhere or with other attributes, or allows more than the tables do (stricter ones may
 *          stay: the guest faults and is retried)
 *      a live write without a DSB after it; a contiguous run that is only in part one
 *
 * A leaf with AF = 0 is not cached unless hardware sets AF (then as accessed). Not modelled:
 * FEAT_nTLBPA and caching of intermediate addresses across VMIDs, TLB conflict aborts, stage 1 by
 * ASID or VA.
 *
 * Source: Arm ARM DDI 0487, D8.14 "TLB maintenance" and B2.3.12 "Memory barriers" (completion of
 * TLBIs by DSB), the TTL and range operand fields of TLBI IPAS2E1IS and RIPAS2E1IS.
 */
#ifndef TRESTLE_TESTS_SIM_STALE_TLB_H
#define TRESTLE_TESTS_SIM_STALE_TLB_H

#include "tests/sim/stale_store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stale_verdict {
    STALE_TLB_ABORTS, /* a problem is printed and ends the test */
    STALE_TLB_RECORDS /* it is kept, for tests of the model itself */
};

/* Which CPUs walk a guest's tables, and may hold something of them. Masks have one bit a CPU. */
struct stale_cpus {
    bool is_managed;         /* else all do, always */
    uint8_t loaded;          /* VTTBR_EL2 leads to its root, */
    uint8_t leaving;         /* or did until a write that no ISB has followed */
    uint8_t held;            /* the TLB may hold something, under .vmid */
    uint8_t marks[SIM_CPUS]; /* to forget, by who invalidated, at that CPU's DSB */
    unsigned vmid[SIM_CPUS];
};

/* Fields are private, but for reading guests through reach. */
struct stale_tlb {
    struct reach reach;
    struct frame_pool *pool;
    enum stale_verdict verdict;
    struct stale_store store;
    struct stale_cpus cpus[REACH_GUESTS];
    uint64_t vttbr[SIM_CPUS]; /* as last seen */
    bool is_direct;           /* sizes may change by one store */
    bool in_direct;           /* the event that is looked at does so */
    bool has_unseen;          /* some entry's unseen may be set */
    uint64_t tlbi_count;
    uint8_t has_marks; /* CPUs with an invalidation not completed */
    uint8_t out_of_context;
    uint8_t unpublished; /* CPUs that wrote a live slot since their last DSB */
    struct reach_place *runs;
    size_t run_count;
    size_t run_capacity;
    const char *problem; /* the first */
    char story[2048];
};

/**
 * stale_tlb_init() - Watch the simulated machine from now on, as a listener.
 * @memory:  every bank added; outlives the model.
 * @pool:    asked whether the frames of tables that stale entries lead to, and guests' frames, are
 *           still taken; NULL: not asked.
 */
void stale_tlb_init(struct stale_tlb *tlb, struct sim_memory *memory, struct mmu_cpu cpu,
                    struct frame_pool *pool, enum stale_verdict verdict);

/* Stop listening and forget everything. */
void stale_tlb_fini(struct stale_tlb *tlb);

/* From now on a block may become a table that maps the same, a table a block, and a run may gain or
 * lose its hint, by one store each (FEAT_BBM level 2): TLBs then hold both sizes, and answer with
 * either, until the old one is invalidated. */
void stale_tlb_allow_direct(struct stale_tlb *tlb);

/* A guest comes to life, with whatever its tables hold: all CPUs may walk them from now on. The
 * registers are those that its vCPUs run with. Returns its number. */
unsigned stale_tlb_add_guest(struct stale_tlb *tlb, uint64_t vtcr, uint64_t vttbr, uint64_t hcr);

/* The guest, just added, has VMIDs from an allocator: only CPUs walk its tables that have its root
 * in VTTBR_EL2, from the write until the ISB after the next, and under the VMID of that write. */
void stale_tlb_manage_guest(struct stale_tlb *tlb, unsigned guest);

/* Whether some CPU walks the guest's tables now. */
bool stale_tlb_is_walked(const struct stale_tlb *tlb, unsigned guest);

/* No CPU walks its tables any more, which may be taken apart once what the TLBs hold of them is
 * invalidated. The number is not used again; its VMID and frames may be. */
void stale_tlb_stop_guest(struct stale_tlb *tlb, unsigned guest);

/**
 * stale_tlb_quiesce() - After an operation: is anything held that must not be?
 * Returns:  NULL: no; else what, with stale_tlb_story(): a problem of the operation, if there was
 *           one already.
 * Cost:     O(stale entries), usually none.
 */
const char *stale_tlb_quiesce(struct stale_tlb *tlb);

/* What led to the problem, in lines. */
const char *stale_tlb_story(const struct stale_tlb *tlb);

/* Whether a stale entry leads into [@pa, @pa + @size): what reuses memory asks this first. */
bool stale_tlb_leads_to(const struct stale_tlb *tlb, uint64_t pa, uint64_t size);

/* Stale entries that are held. */
size_t stale_tlb_held(const struct stale_tlb *tlb);

/* A stale table pointer that is held on some CPU, chosen by @random; NULL: none, or none was found
 * in a few steps. */
const struct stale_entry *stale_tlb_pick_table(const struct stale_tlb *tlb, uint64_t random);

#endif
