/*
 * cpu.h - what this CPU says it is.
 */
#ifndef TRESTLE_HYP_MACHINE_CPU_H
#define TRESTLE_HYP_MACHINE_CPU_H

#include "stage2/arch/features.h"

#include <stdbool.h>

/* The ID registers of this CPU, as the library wants them. */
struct s2_id_regs cpu_id_regs(void);

/* Whether EL1 may use the LSE atomics. */
bool cpu_has_lse(void);

/* EL2's registers that are the same for every guest: what traps, what does not. */
void cpu_init(void);

#endif
