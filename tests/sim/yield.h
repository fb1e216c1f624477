/*
 * yield.h - who waits for a lock in a test lets others run: two threads may have one processor, and
 * waiting there for one's turn then takes a slice of time each.
 */
#ifndef TRESTLE_TESTS_SIM_YIELD_H
#define TRESTLE_TESTS_SIM_YIELD_H

/* <sched.h> may not come before what a test defines for its own headers. */
int sched_yield(void);

#define MAPPING_CPU_RELAX() ((void)sched_yield())

#endif
