/*
 * vmid.h - VMIDs: who gives them out, and when all are used, starts anew.
 *
 * A guest holds a number together with the generation that it was given in. Numbers are given once
 * in a generation. When they run out:
 *
 *      generation N         1 2 3 ... last       each given to one guest
 *      next generation      the numbers that CPUs hold in VTTBR_EL2, or are about to, stay with
 *                           their guests; one ALLE1IS for all CPUs; all other guests hold a stale
 *                           one now, and take another the next time they are entered
 *
 * So at no time do two guests share a number under which any TLB may hold something. VMID 0 is
 * nobody's.
 *
 * A CPU on its way from one guest to another still walks the one while it has said that it runs the
 * other. It says both, and a new generation leaves both their numbers:
 *
 *      CPU                          .active  .leaving   VTTBR_EL2
 *      runs A                       A        0          A
 *      s2_vmid_take(B)              B        A          A
 *      VTTBR_EL2, ISB               B        A          B
 *      s2_vmid_settle()             B        0          B
 *
 *      struct s2_vmid_allocator  one a machine
 *      struct s2_cpu             one a CPU, the embedder's; touched by that CPU, and by whoever
 *                                starts a new generation
 *      struct s2_vmid            one a table, inside it
 *
 * A CPU that goes off hears no TLBI, and comes up with anything in its TLB:
 *
 *      for good, or for long      s2_leave(), s2_cpu_fini(), off
 *                                 on, TLBI ALLE1, DSB NSH, s2_cpu_init()
 *      for a while (suspend,      off, in a guest or not: what it runs stays reserved to it, and its
 *      its context is lost)       guest does not end
 *                                 on, TLBI ALLE1, DSB NSH, ISB, then s2_enter() or s2_leave()
 *
 * In between it is in no guest, whatever it was in: the next is entered by s2_enter().
 *
 * No operating system is asked for anything: no per-CPU variables, no interrupts between CPUs.
 *
 * Context of all: interrupts are masked on this CPU. Lock order: space -> VMIDs -> pool.
 */
#ifndef TRESTLE_STAGE2_TLB_VMID_H
#define TRESTLE_STAGE2_TLB_VMID_H

#include "core/c.h"
#include "core/err.h"
#include "core/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TRESTLE_BEGIN

#define S2_VMID_NOBODY 0

/* In place of a tag: a CPU that runs nothing. No tag is so small. */
#define S2_CPU_IDLE 1

/* How many guests a CPU can hold at a time: what it runs, and what it comes from. */
#define S2_CPU_HOLDS 2

/* How many guests a CPU remembers the last vCPU of; others cost an invalidation too many. */
#define S2_CPU_GUESTS 16

/* What a guest holds: generation << 16 | number; 0: nothing yet. */
struct s2_vmid {
    MAPPING_ATOMIC(uint64_t) tag;
};

/* Which vCPU of a guest ran on a CPU last. */
struct s2_vmid_vcpu {
    uint64_t tag; /* the generation of then, the guest's number; 0: empty */
    uint32_t vcpu_id;
};

/* Fields are private. Does not move. All CPUs look into it, at the one address that
 * s2_cpu_init() was given: where a host maps data of each CPU at the same virtual address, this
 * is no place for it, an array of them is. */
struct s2_cpu {
    MAPPING_ATOMIC(uint64_t)
    active; /* what it runs; S2_CPU_IDLE: nothing; 0: a new generation has begun
                               * since, and what it ran is in .reserved */
    MAPPING_ATOMIC(uint64_t) leaving; /* what else VTTBR_EL2 may hold; 0: nothing */
    uint64_t reserved[S2_CPU_HOLDS];  /* as the generation began: what it ran, what it was leaving;
                                      * 0: nothing. Under the lock */
    struct s2_cpu *next;              /* under the lock */
    struct s2_vmid_allocator *vmids;
    struct s2_vmid_vcpu vcpus[S2_CPU_GUESTS]; /* by number; this CPU's alone */
};

/* Fields are private. Does not move. */
struct s2_vmid_allocator {
    struct mapping_lock lock;
    MAPPING_ATOMIC(uint64_t) generation; /* from 1 on, << 16 */
    MAPPING_ATOMIC(uint64_t) times;      /* each TLBI of a new generation is sent so often */
    uint32_t next;                       /* to be given next, from here on under the lock */
    uint32_t last;                       /* highest number */
    struct s2_cpu *cpus;
    size_t cpu_count;
    uint64_t rollovers; /* statistics: written under the lock, by the compilers' own atomics */
};

/**
 * s2_vmid_init() - All numbers that @bits give are free.
 * @bits:    8 or 16: what all CPUs have (s2_features_meet()), and no more than a table has that is
 *           entered with it (struct s2_features.vmid_bits).
 */
void s2_vmid_init(struct s2_vmid_allocator *vmids, unsigned bits);

/**
 * s2_vmid_limit() - Give none above @last: the others are the embedder's own.
 * Returns:  MAPPING_OK; MAPPING_INVALID_PARAM: 0, more than there are, or fewer than
 *           S2_CPU_HOLDS for each CPU; MAPPING_BAD_STATE: one was given already.
 */
MAPPING_MUST_USE enum mapping_error s2_vmid_limit(struct s2_vmid_allocator *vmids, uint16_t last);

/* The highest number that it gives. */
static inline uint32_t s2_vmid_last(const struct s2_vmid_allocator *vmids)
{
    return vmids->last;
}

/* How often the numbers have run out, as it is now: other calls may be under way. */
static inline uint64_t s2_vmid_rollovers(const struct s2_vmid_allocator *vmids)
{
    return __atomic_load_n(&vmids->rollovers, __ATOMIC_RELAXED);
}

/**
 * s2_cpu_init() - @cpu may enter guests from now on.
 * Returns:  MAPPING_OK; MAPPING_DENIED: fewer numbers than S2_CPU_HOLDS for each CPU, so that one
 *           might not be free when it is needed; MAPPING_ALREADY_EXISTS: it is one of @vmids'
 *           already, as s2_cpu_fini() was left out.
 * On error: nothing has changed.
 * Context:  before the CPU enters its first guest; on any CPU. Its TLB holds nothing of EL1&0, as
 *           after s2_cpu_fini(), or after TLBI ALLE1 where it came up.
 */
MAPPING_MUST_USE enum mapping_error s2_cpu_init(struct s2_cpu *cpu,
                                                struct s2_vmid_allocator *vmids);

/**
 * s2_cpu_fini() - The CPU is gone: its storage is free, and its TLB keeps nothing.
 * Order:    a new generation, as the CPU may hold a number that its guest has elsewhere too.
 * Context:  it runs nothing: after s2_leave(), or never in a guest; on any CPU, while it is still
 *           on, so that TLBIs of others reach it. When it comes up again: TLBI ALLE1, DSB NSH
 *           there, before s2_cpu_init().
 */
void s2_cpu_fini(struct s2_cpu *cpu);

/* From now on each TLBI of a new generation is sent again after a DSB. s2_enter() says it for a
 * table whose TLBIs are; an embedder may before. */
void s2_vmid_repeat(struct s2_vmid_allocator *vmids);

/* --- For the rest of stage2 ------------------------------------------------------------------ */

/**
 * s2_vmid_take() - The number that @vmid's guest runs under on @cpu from now on.
 * Returns:  the number; the guest's tag is of the present generation, and stays valid as long as
 *           @cpu runs it: it is marked as what @cpu runs. What @cpu ran before is marked too,
 *           until s2_vmid_settle().
 * Order:    when a generation ends: DSB ISH, ALLE1IS, DSB ISH before anything is given out. Before
 *           the guest is walked under a number for the first time: DSB ISH.
 * Cost:     three loads if it runs there already; else two stores, of which one an exchange; under
 *           the lock O(CPUs) where the tag is stale, O(CPUs) for each reserved number that is
 *           skipped, of which a generation has at most S2_CPU_HOLDS for each CPU.
 */
uint16_t s2_vmid_take(struct s2_vmid_allocator *vmids, struct s2_vmid *vmid, struct s2_cpu *cpu);

/* What @cpu took is in VTTBR_EL2, and an ISB has passed: what it ran before is not walked there any
 * more. */
void s2_vmid_settle(struct s2_cpu *cpu);

/* Nothing runs on @cpu, which is settled: VTTBR_EL2 no longer leads to the guest, and an ISB has
 * passed. Cost: an exchange. */
void s2_vmid_release(struct s2_cpu *cpu);

/**
 * s2_vmid_pin() - Whether any TLB may hold something of the guest; and if so, keep it that way.
 * @number:  on true, the number it is under.
 * Returns:  true: the lock is held until s2_vmid_unpin(), no generation ends, and this CPU may put
 *           the guest in VTTBR_EL2 for as long. false: it has no number, or its number's
 *           generation is over and no CPU runs it; nothing is locked.
 * Order:    what the caller stored, before a DSB before the call, is seen by every walk of the
 *           guest after an answer of false.
 */
bool s2_vmid_pin(struct s2_vmid_allocator *vmids, struct s2_vmid *vmid, uint16_t *number);
void s2_vmid_unpin(struct s2_vmid_allocator *vmids);

/* Whether any CPU runs the guest, or has left it for another and not yet settled there. A number
 * that is only kept for it until the generation ends is none of that. */
bool s2_vmid_is_held(struct s2_vmid_allocator *vmids, const struct s2_vmid *vmid);

/* The number that the guest was given last, whatever its generation; S2_VMID_NOBODY: it never was.
 * A CPU that has the guest in VTTBR_EL2 has it under this one. */
uint16_t s2_vmid_last_number(const struct s2_vmid *vmid);

/* Which number the guest holds in the present generation; S2_VMID_NOBODY: none. For dumps. */
uint16_t s2_vmid_number(const struct s2_vmid_allocator *vmids, const struct s2_vmid *vmid);

/* @vcpu_id is what @cpu's TLB may hold something of from now on. Returns: whether another vCPU of
 * the guest may have left something there. Context: @cpu has settled in the guest. */
bool s2_vmid_note_vcpu(struct s2_cpu *cpu, const struct s2_vmid *vmid, uint32_t vcpu_id);

TRESTLE_END

#endif
