/*
 * monitor_bench.h - a machine on which hand-written programs of primitives run under the monitor.
 *
 * One guest is live, 4K granule, 39 bits, VMID 7; another, VMID 9, waits. All tables are frames of
 * a bank, by number:
 *
 *      root (0) [0] -> middle (1) [0] -> pages (2) [0..7]    pages of DATA, alone
 *                                                  [16..31]  a contiguous run, 64K
 *                                 [1]    a block, 2M
 *                                 [2] -> other (3) [0]       a page
 *                                 [3]    nothing
 *      frames 8 and up are free; 4 is the other guest's root
 */
#ifndef TRESTLE_TESTS_UNIT_MONITOR_BENCH_H
#define TRESTLE_TESTS_UNIT_MONITOR_BENCH_H

#include "stage2/arch/arch.h"
#include "tests/sim/monitor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_FRAMES 64
#define BENCH_PA UINT64_C(0x8040000000)
#define BENCH_DATA UINT64_C(0x1000000000)
#define BENCH_VTCR UINT64_C(0x80053559) /* 4K, 39 bits, level 1, 48-bit outputs */
#define BENCH_VMID 7
#define BENCH_OTHER_VMID 9

#define BENCH_PAGE UINT64_C(0x7ff) /* page of Normal memory, read and write, AF */
#define BENCH_BLOCK UINT64_C(0x7fd)
#define BENCH_AF (UINT64_C(1) << 10)
#define BENCH_WRITE (UINT64_C(1) << 7)
#define BENCH_DBM (UINT64_C(1) << 51)
#define BENCH_HINT (UINT64_C(1) << 52)
#define BENCH_XN (UINT64_C(1) << 54)
#define BENCH_TABLE UINT64_C(3)

/* IPAs of what there is. */
#define BENCH_AT_PAGE UINT64_C(0x1000) /* pages[1] */
#define BENCH_AT_RUN UINT64_C(0x10000)
#define BENCH_AT_BLOCK UINT64_C(0x200000)
#define BENCH_AT_OTHER UINT64_C(0x400000)
#define BENCH_AT_NONE UINT64_C(0x600000)

struct bench {
    struct sim_memory memory;
    struct frame_pool pool;
    struct monitor_config config;
    struct monitor_guest guest;
    struct monitor_guest other;
    struct monitor *monitor;
    _Alignas(
        8) unsigned char window[2 *
                                4096]; /* BENCH_WINDOW: memory of ours that a guest may be given */
};

#define BENCH_WINDOW (BENCH_DATA + UINT64_C(0x40000000))

/* What differs from the usual machine. */
enum bench_options {
    BENCH_NON_COHERENT = 1 << 0,
    BENCH_HARDWARE = 1 << 1, /* HA and HD */
    BENCH_FWB = 1 << 2,
    BENCH_NO_TTL = 1 << 3,
    BENCH_NO_RANGES = 1 << 4,
    BENCH_SPECULATIVE = 1 << 5,
    BENCH_DIC = 1 << 6,
    BENCH_DS = 1 << 7, /* LPA2 */
    BENCH_XS = 1 << 8,
    BENCH_DIRECT = 1 << 9, /* FEAT_BBM level 2 */
    BENCH_MANAGED =
        1 << 10, /* VMIDs as they are loaded; CPUs 0 and 1 have the first guest loaded */
    BENCH_DEVICE = 1 << 11,
    BENCH_REFUSES = 1 << 12 /* transients */
};

struct bench_program {
    const char *name;
    void (*run)(struct bench *bench);
    enum monitor_rule rule; /* that it breaks */
    unsigned options;
    const char *problem; /* that the adversarial TLB finds; NULL: none */
};

/* What it says, the most of it. */
#define BENCH_UNMAPPED "a TLB may still hold a translation of what is no longer mapped"
#define BENCH_ANOTHER "a TLB may still hold another translation"
#define BENCH_ALLOWS "a TLB may still allow what the tables no longer do"
#define BENCH_WALK_CACHE "a walk cache may still lead to a table that is no longer linked"
#define BENCH_SECOND "made while a TLB may still hold another translation"
#define BENCH_SECOND_RUN "made while a TLB may still hold another translation of its run"
#define BENCH_TORN "a contiguous run is one only in part"
#define BENCH_WRITTEN "a table is written that a stale pointer still leads to"
#define BENCH_OTHERWISE "a size is changed by one store, and what is new translates otherwise"
#define BENCH_NO_DSB "a write that walkers see is not followed by a DSB"
#define BENCH_TWICE "a table is linked in two places"
#define BENCH_LEAF_LEADS "a table is written where a stale leaf still leads"
#define BENCH_NOT_DARK "a table that walkers reach is filled as if it were dark"
#define BENCH_GIVEN_BACK "a table is given back while a stale pointer leads to it"
#define BENCH_RETAGGED "a guest is loaded while the TLB may hold it under another VMID"
#define BENCH_TAGGED "a guest is loaded under a VMID that tags another in the TLB"

/* Run it, with a quiesce at its end; fails the test unless the verdict is program->rule. */
void bench_judge(const struct bench_program *program);

/* The same under the adversarial TLB, which must find program->problem. */
void bench_judge_tlb(const struct bench_program *program);

/* What the verdict on the last program said. */
const char *bench_story(void);

/* Descriptor @index of frame @frame; the macros: of the bench that is named so. */
s2_desc_t *bench_slot(struct bench *bench, size_t frame, size_t index);
#define ROOT(index) bench_slot(bench, 0, index)
#define MIDDLE(index) bench_slot(bench, 1, index)
#define PAGES(index) bench_slot(bench, 2, index)
#define OTHER(index) bench_slot(bench, 3, index)

uint64_t bench_table(size_t frame); /* a descriptor of it */
pa_t bench_frame(size_t frame);

/* The primitives, with plain numbers. */
void bench_fill(s2_desc_t *slot, uint64_t value);
void bench_fill_table(struct bench *bench, size_t frame, uint64_t first);
void bench_store(s2_desc_t *slot, uint64_t value);
void bench_publish(s2_desc_t *slot, uint64_t value);
void bench_swap(s2_desc_t *slot, uint64_t value);

void bench_end(void);               /* DSB ISHST, ISB */
void bench_flush(uint64_t operand); /* DSB, IPAS2E1IS, DSB, VMALLE1IS, DSB, ISB */
void bench_flush_whole(void);       /* DSB, VMALLS12E1IS, DSB, ISB */
void bench_flush_range(uint64_t operand);

/* Operands, built here and not there. */
uint64_t bench_operand(uint64_t ipa, unsigned hint);
uint64_t bench_range_operand(uint64_t ipa, unsigned scale, unsigned num, unsigned level);

/* Make a guest's registers current, by the primitives. */
void bench_switch(const struct monitor_guest *guest);

#endif
