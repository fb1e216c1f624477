/*
 * monitor.h - the break-before-make monitor: judges the order of everything that is done to
 * translation tables, event by event, while it is done.
 *
 * Each descriptor slot that walkers can reach is an automaton:
 *
 *      valid --break--> broken --DSB--> published --TLBI, stage 2--> --DSB--> gone from stage 2
 *        ^                                   |                                      |
 *        |                                   +--VMALLS12E1IS--+        VMALLE1IS ---+
 *        |                                                    v        v
 *        +---------------------- make ------------- clean <-- DSB <----+
 *
 * What is not clean is to be invalidated: an invalidation of its guest. An invalidation is of the
 * VMID that it arose under, and a TLBI counts for it only if it ran under that VMID, on registers
 * that an ISB had made current, with an operand that covers it. A frame belongs to the slot that
 * led to it until that slot is clean. A tightened permission asks for the same, without a break; a
 * relaxed one at least the local forms on the CPU that relaxed it.
 *
 * Direct changes (FEAT_BBM level 2): where monitor_config.is_direct says so, a block may become a
 * table that maps the same in the same way, a table whose leaves are all alike a block, and a leaf
 * may gain or lose the contiguous hint, each by one store. What was replaced is to be invalidated
 * like a leaf or table that was broken; until it is complete nothing else may be made in its place,
 * as TLBs answer with either.
 *
 * nXS forms do not wait for slow accesses. They count only for what had XS = 0 for sure: leaves
 * that force write-back, and tables below which all leaves do, or did since the last payment.
 *
 * Guests with VMIDs from an allocator (monitor_guest.is_managed): only CPUs walk them that have
 * their root in VTTBR_EL2, from the write until the ISB after the next, and under the VMID of that
 * write. What no CPU can hold is complete once it is visible. A guest that is not managed may be
 * walked by every CPU at any time.
 *
 * It knows nothing of the library: it sees primitives, memory and registers, and decodes them on
 * its own. Time is the order of events.
 *
 * In a fixture:
 *
 *      sim_reset();
 *      monitor = monitor_attach(&config);      before the first table is made
 *      ... a table is made ...
 *      monitor_add_guest(monitor, &guest);     its registers are known now
 *      ... one call of the library ...
 *      monitor_quiesce(monitor);               after each: every invalidation is complete
 *      monitor_expect_entry(monitor);          a call that enters a guest
 *      ... s2_enter() ...
 *      monitor_enter(monitor, vcpu_id);        and there it runs
 *      monitor_quiesce(monitor);
 *      monitor_remove_guest(monitor, vttbr);   before the table is taken apart
 *      ... it is taken apart ...
 *      monitor_detach(monitor);                after a last quiesce
 *
 * One machine, one monitor: what other threads do to the same tables it cannot see.
 *
 * Not judged: what a descriptor means (the software MMU does that); what hardware writes into a
 * table that a block has replaced, until that is invalidated.
 *
 * Source: Arm ARM DDI 0487, D8.14 "TLB maintenance requirements and the TLB maintenance
 * instructions", "Using break-before-make when updating translation table entries", "Misprogramming
 * the Contiguous bit"; B2.3 "Completion of TLB maintenance", "Data Synchronization Barrier"; D7.5
 * "Caches".
 */
#ifndef TRESTLE_TESTS_SIM_MONITOR_H
#define TRESTLE_TESTS_SIM_MONITOR_H

#include "core/frame_pool.h"
#include "tests/sim/memory.h"
#include "tests/sim/mmu.h"
#include "tests/sim/sim.h"

#include <stdbool.h>
#include <stdint.h>

/* What can be broken, each with the name that verdicts give it. */
enum monitor_rule {
    MONITOR_OK,
    /* Break, invalidate, make. */
    MONITOR_NO_BREAK,       /* a valid entry became another that asks for break-before-make */
    MONITOR_NO_FIRST_DSB,   /* a TLBI went out before the broken entry was visible */
    MONITOR_NO_STAGE2,      /* no stage-2 invalidation at all */
    MONITOR_OPERAND,        /* one that is malformed, or covers not all that was broken */
    MONITOR_LEVEL_HINT,     /* one whose level or granule hint is not that of the entry */
    MONITOR_NO_MIDDLE_DSB,  /* stage 1 was invalidated before stage 2 was complete */
    MONITOR_NO_STAGE1,      /* stage 1 was not invalidated after it */
    MONITOR_NO_CLOSING_DSB, /* invalidated, but not complete */
    MONITOR_LOCAL_ONLY,     /* on one CPU only */
    MONITOR_SLOW,           /* by an nXS form, while a slow access may still be on its way */
    MONITOR_NOT_NOTIFIED,   /* devices were not told, or not in time */
    MONITOR_TRANSIENT,      /* a mapping that stays was invalid for a moment, where none may be */
    /* The regime that a TLBI runs under. */
    MONITOR_WRONG_VMID,     /* it went to another guest, or to none */
    MONITOR_WRONG_REGIME,   /* VTCR_EL2 or the table of another guest */
    MONITOR_TGE,            /* with HCR_EL2.E2H and TGE it goes to EL2&0 */
    MONITOR_NO_ISB,         /* registers written, or tables changed, and no ISB */
    MONITOR_IRQS_UNMASKED,  /* registers switched with interrupts on */
    MONITOR_NOT_RESTORED,   /* not the registers that the operation found */
    MONITOR_SPECULATIVE_AT, /* registers switched with stage-1 walks on, where they must be off */
    /* Who runs under which VMID. */
    MONITOR_SHARED_VMID, /* loaded under a VMID that tags another guest in this CPU's TLB */
    MONITOR_STALE_ASID,  /* a vCPU runs where stage 1 of another vCPU of the guest may be cached */
    /* Tables and their frames. */
    MONITOR_EARLY_LINK,  /* linked before all its entries were written and published */
    MONITOR_BAD_TABLE,   /* a table descriptor with other bits, to no memory, or linked twice */
    MONITOR_FILL_LIVE,   /* a fill where walkers read */
    MONITOR_REUSED,      /* written, or used for something else, while a TLB may lead to it */
    MONITOR_RETURNED,    /* in the pool while walkers or a TLB may lead to it */
    MONITOR_EXPOSED,     /* a guest was shown a frame that is a translation table */
    MONITOR_BAD_RUN,     /* a contiguous entry where there are none, or misaligned */
    MONITOR_MIXED_RUN,   /* a contiguous run that is not whole, or not all alike */
    MONITOR_HARDWARE,    /* a field that hardware writes, changed by load and store */
    MONITOR_NOT_VISIBLE, /* an operation ended before its stores were visible to walkers */
    MONITOR_TABLE_DIRTY, /* a walker that is not coherent may miss what is in the cache */
    /* Memory of guests. */
    MONITOR_DATA_DIRTY, /* shown while what our side wrote may be in the cache */
    MONITOR_CODE_STALE, /* shown executable while instruction caches may hold what was there */
    MONITOR_READ_STALE, /* read back while caches may hold what was there before the guest wrote */
    MONITOR_RULES
};

/* The first rule that was broken: the whole story, several lines. */
struct monitor_verdict {
    enum monitor_rule rule;
    char story[6144];
};

typedef void (*monitor_report_fn)(void *arg, const struct monitor_verdict *verdict);

struct monitor_config {
    const struct sim_memory *memory; /* the banks where tables lie; all are there already */
    struct mmu_cpu cpu;
    bool has_ttl;            /* level hints */
    bool has_ranges;         /* TLBI by range */
    bool has_dic;            /* no instruction cache maintenance */
    bool has_xs;             /* nXS forms of TLBIs */
    bool has_speculative_at; /* TCR_EL1.EPD0, EPD1 and SCTLR_EL1.M before a switch of registers */
    bool is_direct;          /* FEAT_BBM level 2, and nobody minds two sizes in a TLB */
    unsigned cache_line;     /* bytes; 0: 64 */
    /* Told of the first broken rule; if it returns, nothing is judged any more. NULL: the story
     * goes to stderr and the program ends. */
    monitor_report_fn report;
    void *arg;
};

/* A guest's tables, from its registers. */
struct monitor_guest {
    uint64_t vtcr;
    uint64_t vttbr;
    uint64_t hcr;
    const struct frame_pool *pool; /* that its tables come from; NULL: not judged */
    bool is_non_coherent;          /* walkers do not look into the caches */
    bool is_managed;               /* its VMID is the one that it is loaded with; vttbr's is none */
    bool has_device;               /* devices walk it too: monitor_notified() */
    bool refuses_transient;        /* and cannot retry */
};

struct monitor;

/**
 * monitor_attach() - Listen to this thread's machine.
 * Context: after sim_reset(), which would end it, and after all banks were added.
 * Cost:    memory: 4 bytes for each byte of the banks that is used; time: O(1) an event, but for a
 *          DSB or a range, which look at the invalidations, and a link, which looks at the new
 *          tables.
 */
struct monitor *monitor_attach(const struct monitor_config *config);
void monitor_detach(struct monitor *monitor);

/* Memory outside the banks, @memory on the host: for monitor_wrote(). */
void monitor_add_window(struct monitor *monitor, uint64_t pa, const void *memory, uint64_t size);

/* @guest's root is filled, and published, and walkers may read it from now on. With the root of a
 * guest that is known already: it has another VMID now, or is managed from now on, and asks for
 * nothing. */
void monitor_add_guest(struct monitor *monitor, const struct monitor_guest *guest);

/* The guest of that root (whatever the VMID in @vttbr, if it is managed) will not run again: with
 * the next invalidation of all of its VMID the tables are free, but not before. By the next quiesce
 * they must be. A managed guest: once no VTTBR_EL2 leads to it, and no TLB can hold anything of it.
 * */
void monitor_remove_guest(struct monitor *monitor, uint64_t vttbr);

/* The operation is over: nothing is left to invalidate, everything is visible, registers are as
 * they were. */
void monitor_quiesce(struct monitor *monitor);

/* From here on a table that was unlinked may be linked again as it is, if nobody has written it
 * meanwhile and its frame is taken; or it may not, as in the beginning: it is filled anew. */
void monitor_keep_unlinked(struct monitor *monitor, bool keeps);

/* The operation that is judged next is meant to leave another VTCR_EL2, VTTBR_EL2 and HCR_EL2
 * behind: it enters a guest. */
void monitor_expect_entry(struct monitor *monitor);

/* The current CPU runs that vCPU of the guest in its VTTBR_EL2, now. */
void monitor_enter(struct monitor *monitor, uint32_t vcpu_id);

/* Devices hold nothing any more of what was broken and made visible before, in [@start, @start +
 * @size) of the guest of that root. For a guest with .has_device: by its notifier. */
void monitor_notified(struct monitor *monitor, uint64_t vttbr, uint64_t start, uint64_t size);

/* Our side wrote here with ordinary stores; reads what a guest may have left; gave this memory back
 * to whoever may use it next. */
void monitor_wrote(struct monitor *monitor, uint64_t pa, uint64_t size);
void monitor_read(struct monitor *monitor, uint64_t pa, uint64_t size);
void monitor_returned(struct monitor *monitor, uint64_t pa, uint64_t size);

/* A test wrote this descriptor by hand: it is what it is. */
void monitor_trust(struct monitor *monitor, const void *slot);

/* .rule is MONITOR_OK as long as all is well. */
const struct monitor_verdict *monitor_verdict(const struct monitor *monitor);

const char *monitor_rule_name(enum monitor_rule rule); /* "no middle DSB" */

#endif
