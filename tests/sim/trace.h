/*
 * trace.h - the event stream of sim.h as a Casemate trace, so that a checker which we did not write
 * can judge our order.
 *
 *      arch_xxx() -> event -> one record           the machine did it: written by listening
 *      the scenario        -> lock, hint, ...      what Casemate wants to be told besides
 *
 *      (mem-write (id 57) (tid 0) (mem-order plain) (address 0x80001000) (value 0x0) (src
 *      "split:412"))
 *
 * Written as what it is on the CPU: fills, stores, swaps and replaces are relaxed, so "plain"; a
 * publish is a "release". Casemate wants the writes to one live tree in one order, so it lets a
 * thread make one plain write after it took the lock or did a DSB, and asks for "release" from then
 * on. Stage 2 does not need that: stores that one DSB closes may be seen in any order. A scenario
 * that stores more than once to a live tree before a DSB is for "casemate-check -R", which checks
 * everything but that.
 *
 * (src "STEP:INDEX") is the scenario's step and the number of events before this one.
 * Loads, caches, interrupt masks, TCR_EL1 and SCTLR_EL1 are left out: Casemate does not look at
 * them. TLBIs by range and IPAS2E1 for one CPU it does not know: they are counted, see
 * trace_lost(). An nXS form is written as the form that it is one of: memory attributes are none of
 * its concern.
 *
 * Source: rems-project/casemate 3.0.2, doc/asciidoc/sections/trace-format.adoc, and its parser,
 * which insists on "src" and calls the operand of a TLBI "value".
 */
#ifndef TRESTLE_TESTS_SIM_TRACE_H
#define TRESTLE_TESTS_SIM_TRACE_H

#include "core/addr.h"
#include "core/frame_pool.h"
#include "tests/sim/memory.h"
#include "tests/sim/sim.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TRACE_CPUS 4 /* threads that Casemate knows */

/* Fields are private. */
struct trace {
    FILE *out;
    const struct sim_memory *memory;
    const char *step;
    uint64_t next_id;
    uint64_t next_event;
    size_t lost;
    pa_t roots[TRACE_CPUS]; /* of the tree whose lock a CPU holds */
    bool has_lock[TRACE_CPUS];
    bool *known[FRAME_POOL_MAX_REGIONS]; /* frames that Casemate has been told of */
};

/**
 * trace_init() - Listen, and write to @out from now on.
 * @memory:  kept; frames of 4K, all banks added. Every descriptor that is written lies in it.
 * @out:     kept; not closed.
 * Context:  after sim_reset(), which would end the listening. The first TRACE_CPUS CPUs only.
 */
void trace_init(struct trace *trace, const struct sim_memory *memory, FILE *out);

/* Stop listening. */
void trace_fini(struct trace *trace);

/* What the scenario is about to do: a short word, kept; for (src). */
void trace_step(struct trace *trace, const char *step);

/* The tree at @root is protected by the lock that is called @lock, not 0. Once, before it is used.
 * */
void trace_root(struct trace *trace, pa_t root, uint64_t lock);

/* The current CPU takes or drops the lock of the tree at @root. Frames that it begins to fill
 * meanwhile are announced as that tree's. */
void trace_lock(struct trace *trace, pa_t root, uint64_t lock);
void trace_unlock(struct trace *trace, uint64_t lock);

/* The tree at @root is no more: no CPU has it loaded. */
void trace_release(struct trace *trace, pa_t root);

/**
 * trace_returned() - Tell of all table frames that are back in @pool.
 * Casemate refuses one that a walker may still reach.
 * @pool:    over the banks of the memory.
 * Cost:     O(frames).
 */
void trace_returned(struct trace *trace, const struct frame_pool *pool);

/* How many events had no record in Casemate's language: a trace with any is not the whole story. */
size_t trace_lost(const struct trace *trace);

#endif
