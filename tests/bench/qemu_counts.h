/*
 * qemu_counts.h - what a stretch of code at EL2 took: instructions, barriers, invalidations.
 *
 * Instructions are counted by the CPU's performance monitor (event INST_RETIRED), which QEMU has
 * with -icount shift=0: each instruction counts once, the same in every run. Barriers and TLBIs are
 * counted by tests/bench/counted/arch_impl.h; in an image that is built without it they stay 0.
 */
#ifndef TRESTLE_TESTS_BENCH_QEMU_COUNTS_H
#define TRESTLE_TESTS_BENCH_QEMU_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

/* What went through stage2/arch/arch.h since the image began. */
struct arch_counts {
    uint64_t dsb; /* of any kind */
    uint64_t isb;
    uint64_t tlbi; /* of any kind */
};

extern struct arch_counts arch_counts;

/* Start to count instructions of EL2. Returns: false: this CPU does not. */
bool counts_begin(void);

/* Whether a loop of as many instructions as we say counts as just that many. */
bool counts_are_exact(void);

/* Instructions of EL2 so far, modulo 2^32. */
uint32_t counts_instructions(void);

#endif
