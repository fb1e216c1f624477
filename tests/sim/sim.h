/*
 * sim.h - what the primitives of stage2/arch/arch.h do on the host: each call is an event.
 *
 *      library -> arch_xxx()  ->  listeners BEFORE  ->  effect  ->  log  ->  listeners AFTER
 *                                     ^
 *                                     may move memory, as hardware does between any two events
 *
 * The state of the machine belongs to the host thread: a second thread is a second machine with
 * its own log, registers and listeners (tables and pools may well be shared). Nothing here is
 * locked.
 *
 * Before a thread's first sim_reset(), events are counted but not kept.
 */
#ifndef TRESTLE_TESTS_SIM_SIM_H
#define TRESTLE_TESTS_SIM_SIM_H

#include "stage2/arch/features.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_CPUS 8          /* CPUs of the machine */
#define SIM_LISTENERS 8     /* listeners at a time */
#define SIM_NONE SIZE_MAX   /* no such event */
#define SIM_DAIF_ALL 0x3c0U /* DAIF with all four masks set, bits [9:6] */

enum sim_kind {
    SIM_LOAD, /* off by default: sim_set_loads() */
    SIM_FILL,
    SIM_STORE,
    SIM_PUBLISH,
    SIM_SWAP,
    SIM_REPLACE,
    SIM_DSB_ISH,
    SIM_DSB_ISHST,
    SIM_DSB_NSH,
    SIM_ISB,
    SIM_TLBI_IPAS2E1IS,
    SIM_TLBI_RIPAS2E1IS,
    SIM_TLBI_VMALLE1IS,
    SIM_TLBI_VMALLS12E1IS,
    SIM_TLBI_ALLE1IS,
    SIM_TLBI_IPAS2E1,
    SIM_TLBI_VMALLE1,
    SIM_TLBI_VMALLS12E1,
    SIM_TLBI_ALLE1,
    SIM_DC_CIVAC,
    SIM_DC_CVAC,
    SIM_IC_IALLUIS,
    SIM_WRITE_VTCR,
    SIM_WRITE_VTTBR,
    SIM_WRITE_HCR,
    SIM_WRITE_TCR_EL1,
    SIM_WRITE_SCTLR_EL1,
    SIM_IRQ_MASK,
    SIM_IRQ_RESTORE,
    SIM_KINDS /* how many there are */
};

/* Whether @kind is a TLBI; one for all CPUs. */
static inline bool sim_is_tlbi(enum sim_kind kind)
{
    return kind >= SIM_TLBI_IPAS2E1IS && kind <= SIM_TLBI_ALLE1;
}

static inline bool sim_is_broadcast(enum sim_kind kind)
{
    return kind >= SIM_TLBI_IPAS2E1IS && kind <= SIM_TLBI_ALLE1IS;
}

/* One call of a primitive. A field that means nothing for the kind is 0. */
struct sim_event {
    enum sim_kind kind;
    bool is_nxs;      /* TLBI: the nXS form */
    bool done;        /* AFTER and in the log: false only for a REPLACE that found something else */
    size_t cpu;       /* which CPU executed it */
    uint64_t index;   /* events of this machine before this one, since sim_reset() */
    const void *slot; /* descriptor writes and loads: the descriptor; DC: the line */
    uint64_t operand; /* TLBI: operand; register write, IRQ_RESTORE: value; REPLACE: expected */
    uint64_t old;     /* descriptor or register before */
    uint64_t new;     /* descriptor or register after; LOAD: equal to old */
    uint64_t vtcr;    /* the CPU's registers when the event began */
    uint64_t vttbr;
    uint64_t hcr;
};

/* One CPU's EL2 registers. Tests may write them without an event. */
struct sim_cpu {
    uint64_t vtcr;
    uint64_t vttbr;
    uint64_t hcr;
    uint64_t tcr_el1; /* the guest's, as the next: under either of their names */
    uint64_t sctlr_el1;
    uint64_t daif;
    struct s2_id_regs id; /* what it says it is */
};

enum sim_log { SIM_LOG_KEEP, SIM_LOG_COUNT };   /* keep every event, or only count them */
enum sim_loads { SIM_LOADS_OFF, SIM_LOADS_ON }; /* whether a load is an event */
enum sim_phase { SIM_BEFORE, SIM_AFTER };

/**
 * sim_listener_fn - Told of every event, synchronously, twice.
 * @event:   SIM_BEFORE: what is about to happen; .old is what the slot holds as the first listener
 *           is called, .done is false. SIM_AFTER: what happened; .old is what the primitive really
 *           replaced, .new what it wrote (what it wanted to write where .done is false). It is the
 *           same event as in the log, which holds it already; .index has moved on since BEFORE by
 *           the events that listeners made themselves.
 * Context:  BEFORE, a listener may change memory (hardware that sets AF or dirty) or registers: the
 *           primitive then acts on what it finds. It may call primitives itself and choose another
 *           CPU meanwhile, restoring the choice: these events are logged and told to the other
 *           listeners, never to one that is still running. It must not call sim_reset(),
 *           sim_clear(), sim_listen() or sim_unlisten().
 */
typedef void (*sim_listener_fn)(void *arg, enum sim_phase phase, const struct sim_event *event);

/**
 * sim_reset() - A machine just switched on: log empty and kept, loads off, no listeners, CPU 0
 * current, all registers 0 (so interrupts are not masked).
 */
void sim_reset(void);

/* Forget the events so far, counts too; registers, listeners and switches stay. */
void sim_clear(void);

void sim_set_log(enum sim_log mode);
void sim_set_loads(enum sim_loads mode);

/**
 * sim_listen() - Tell @fn(@arg, ...) of all events from now on.
 * Returns:  false: SIM_LISTENERS are listening already. They are called in the order they came.
 */
bool sim_listen(sim_listener_fn fn, void *arg);

/* The opposite, for the same pair; false: it was not listening. */
bool sim_unlisten(sim_listener_fn fn, const void *arg);

/**
 * sim_swallow_fn - Whether this event is lost on its way to the hardware.
 * @event:   as listeners see it BEFORE. Loads are not asked about.
 *
 * A lost event has no effect, is in no log and no count, and no listener hears of it; who made it
 * is none the wiser: a swap answers what is there, a replace that it was done. So that a judge can
 * be shown what a forgotten barrier looks like, without a switch in what is judged.
 */
typedef bool (*sim_swallow_fn)(void *arg, const struct sim_event *event);

/* Ask @fn(@arg, ...) about every event from now on; NULL: none is lost, as after sim_reset(). */
void sim_set_swallow(sim_swallow_fn fn, void *arg);

/* The kept events, oldest first; valid until the next event. */
const struct sim_event *sim_events(void);
size_t sim_event_total(void); /* how many are kept */

/* Events of a kind, kept or only counted. */
size_t sim_event_count(enum sim_kind kind);
size_t sim_write_count(void);  /* live descriptor writes: STORE, PUBLISH, SWAP, REPLACE */
size_t sim_tlbi_count(void);   /* TLBIs of every kind */
size_t sim_change_count(void); /* everything but LOAD and FILL: 0 means nothing was disturbed */

/* Index of the first kept event of @kind at or after @from; SIM_NONE: none. */
size_t sim_find(enum sim_kind kind, size_t from);

/* Whether the kept events from index @from on begin with exactly these kinds. */
bool sim_matches(size_t from, const enum sim_kind kinds[], size_t count);

const char *sim_kind_name(enum sim_kind kind); /* "DSB_ISH"; "?" for no kind */
void sim_dump(FILE *out);                      /* the kept events, one a line */

/* CPUs. @cpu: below SIM_CPUS. */
void sim_set_cpu(size_t cpu);
size_t sim_cpu_number(void);
struct sim_cpu *sim_cpu(void); /* the current one's registers */
struct sim_cpu *sim_cpu_at(size_t cpu);

/* For arch_impl.h: begin stamps the event and tells the listeners BEFORE; end logs it and tells
 * them AFTER. Between the two the primitive has its effect. If begin answers false, the event is
 * swallowed: there is neither effect nor end. */
bool sim_begin(struct sim_event *event);
void sim_end(struct sim_event *event);
bool sim_loads_are_events(void);

#endif
