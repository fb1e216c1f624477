/*
 * vmid_model.h - a machine of CPUs with TLBs, in which the library's own s2_vmid_*, s2_enter() and
 * s2_leave() run step by step.
 *
 * vmid_model.c compiles stage2/vmid.c and stage2/enter.c once more, so that each access to what CPUs
 * share, each register write, barrier and TLBI is a point where another CPU may go on. What the
 * primitives do is said here, apart from tests/sim, as that knows no VMIDs:
 *
 *      TLB          of each CPU: what it may hold, by number and guest: stage 2 as the tables are,
 *                   stage 2 as they were, stage 1 of each vCPU
 *      fill         as soon as it is possible, after every step: with more in a TLB nothing gets
 *                   better. By VTTBR_EL2 as it is, and until the ISB as it was
 *      TLBI         what is there goes with the DSB, no sooner; what is filled meanwhile stays
 *
 * Steps are sequentially consistent: that the orders in vmid.c suffice is argued there.
 *
 * What must hold is looked at after every step: no CPU has a number in VTTBR_EL2 under which its TLB
 * holds another guest. And when a verb is done, what it promises.
 */
#ifndef TRESTLE_TESTS_MODEL_VMID_MODEL_H
#define TRESTLE_TESTS_MODEL_VMID_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMID_MODEL_CPUS 3
#define VMID_MODEL_GUESTS 6
#define VMID_MODEL_VCPUS 2

enum vmid_verb {
    VMID_ENTER, /* s2_enter(): then stage 1 of no other vCPU is in the CPU's TLB */
    VMID_LEAVE, /* s2_leave() */
    VMID_CHANGE, /* change the guest's tables, and pay a tail as stage2/tail.c does: then no TLB holds
                  * what they were */
    VMID_REUSE, /* the guest ends, after a tail for all of it, and another begins with its root and
                  * its storage: then no TLB holds anything of it */
};

struct vmid_op {
    enum vmid_verb verb;
    uint8_t guest;
    uint8_t vcpu;
};

/* A machine of @cpus CPUs whose allocator has the numbers from 1 to @last; no TLB holds anything. */
void vmid_model_init(size_t cpus, uint16_t last);

/* Whether the contracts allow @op on @cpu now. */
bool vmid_model_allows(size_t cpu, struct vmid_op op);

/* Do it. */
void vmid_model_do(size_t cpu, struct vmid_op op);

/* What went wrong first, in words; NULL: nothing. */
const char *vmid_model_wrong(void);

/* How many generations have begun. */
uint64_t vmid_model_rollovers(void);

/* Called at every point, by the CPU that is about to make a step. NULL: none. When it returns,
 * vmid_model_resume() has been told of the CPU that it was called for. */
void vmid_model_set_hook(void (*hook)(void));
void vmid_model_resume(size_t cpu);

/* Whether @cpu waits for a lock that another holds. */
bool vmid_model_is_blocked(size_t cpu);

/* Two machines with equal answers go on alike, if each CPU is at the same op of its program. */
uint64_t vmid_model_hash(void);

/* Count generations so that machines which go on alike have equal answers. No op is under way. */
void vmid_model_normalise(void);

/* The whole machine, with no op under way. */
size_t vmid_model_size(void);
void vmid_model_save(void *copy);
void vmid_model_load(const void *copy);

#endif
