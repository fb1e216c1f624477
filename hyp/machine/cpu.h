/*
 * cpu.h - what this CPU says it is.
 */
#ifndef TRESTLE_HYP_MACHINE_CPU_H
#define TRESTLE_HYP_MACHINE_CPU_H

#include <stdbool.h>

/* Whether EL1 may use the LSE atomics. */
bool cpu_has_lse(void);

/* EL2's registers that are the same for every guest: what traps, what does not. */
void cpu_init(void);

#endif
