/*
 * vmid_model.h - a machine of CPUs with TLBs, in which the library's own s2_vmid_*, s2_enter() and
 * s2_leave() run step by step.
 *
 * vmid_model.c compiles stage2/tlb/vmid.c and stage2/space/enter.c once more, so that each access
 * to what CPUs share, each register write, barrier and TLBI is a point where another CPU may go on.
 * What the primitives do is said here, apart from tests/sim, as that knows no VMIDs:
 *
 *      TLB          of each CPU: what it may hold, by number and guest: stage 2 as the tables are,
 *                   stage 2 as they were, stage 1 of each vCPU
 *      fill         as soon as it is possible, after every step: with more in a TLB nothing gets
 *                   better. By VTTBR_EL2 as it is, and until the ISB as it was
 *      TLBI         what is there goes with the DSB, no sooner; what is filled meanwhile stays
 *
 * Steps are sequentially consistent, or weakly ordered (vmid_model_weaken()):
 *
 *      stores       wait in a buffer of the CPU's, and become visible at any moment, out of order
 *                   between locations; one with release not before all that came before it
 *      loads        may be satisfied early: they answer any value that the location has had since
 *                   the last acquire, DSB or lock of this CPU told it of a time, and since this CPU
 *                   last saw the location. An acquire learns the time at which the store that it
 *                   reads
 *                   from was released; from others it learns nothing
 *      exchanges    read what is newest, and are visible at once; one without release does not wait
 *                   for what came before it
 *
 * What is not there: a load that sees a store which comes later in its own CPU's program. Who has
 * waited for another CPU's store by other means than these words (a message that says "now you")
 * has synchronised by it.
 *
 * What must hold is looked at after every step: no CPU has a number in VTTBR_EL2 under which its
 * TLB holds another guest, or another CPU is in another guest. And when a verb is done, what it
 * promises.
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
    VMID_CHANGE, /* change the guest's tables, and flush as stage2/tlb/tlb_flush.c does: then no TLB holds
                  * what they were */
    VMID_REUSE, /* the guest ends, after a flush for all of it, and another begins with its root and
                  * its storage: then no TLB holds anything of it */
    VMID_GO,    /* s2_cpu_fini(), and the CPU is off: its TLB holds who knows what from then on, and
                  * no TLBI reaches it */
    VMID_COME,  /* TLBI ALLE1 and DSB NSH there, s2_cpu_init() */
    VMID_SLEEP, /* the CPU is off, as above, in whatever guest it is; its registers are lost */
    VMID_WAKE,  /* TLBI ALLE1 and DSB NSH there; nothing else is said to the library */
};

/* The library as it is, or with one thing left out, to see that it is missed. */
enum vmid_mutant {
    VMID_AS_IT_IS,
    VMID_RELEASE_BY_STORE,      /* s2_vmid_release() stores, with release */
    VMID_RELEASE_BY_SEQ_STORE,  /* the same, and what it stored is visible at once */
    VMID_RELEASE_BY_RELEASE,    /* its exchange does not acquire */
    VMID_TAKE_BY_ACQUIRE,       /* take_fast()'s exchange does not release */
    VMID_GENERATION_BY_RELEASE, /* nor does a new generation's acquire */
    VMID_WAKE_WITHOUT_TLBI,
    VMID_COME_WITHOUT_TLBI,
};

struct vmid_op {
    enum vmid_verb verb;
    uint8_t guest;
    uint8_t vcpu;
};

/* A machine of @cpus CPUs whose allocator has the numbers from 1 to @last; no TLB holds
 * anything. */
void vmid_model_init(size_t cpus, uint16_t last);

/* Whether the contracts allow @op on @cpu now. */
bool vmid_model_allows(size_t cpu, struct vmid_op op);

/* Do it. */
void vmid_model_do(size_t cpu, struct vmid_op op);

/* What went wrong first, in words; NULL: nothing. */
const char *vmid_model_wrong(void);

/* What is left out from now on. */
void vmid_model_mutate(enum vmid_mutant what);

/* Weakly ordered from now on, until the next vmid_model_init(). @choose: asked which of so many
 * values a load answers, the newest first. */
void vmid_model_weaken(size_t (*choose)(size_t count));

/* Stores that may become visible next, of all CPUs; and to make one of them so. */
size_t vmid_model_stores(void);
void vmid_model_show_store(size_t index);

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
