/*
 * abort.h - a guest's access that stage 2 refused: the registers that tell of it.
 */
#ifndef TRESTLE_HYP_VM_ABORT_H
#define TRESTLE_HYP_VM_ABORT_H

#include "stage2/arch/syndrome.h"

#include <stdint.h>

/**
 * abort_read() - The registers of an exit, and what AT says where they leave the page open.
 * @esr:     ESR_EL2, for which s2_fault_is().
 * Context:  the guest's EL1 registers, VTTBR_EL2 and HCR_EL2 are live; before any other exception.
 */
struct s2_fault_regs abort_read(uint64_t esr);

/* The same, decoded. */
struct s2_fault abort_decode(uint64_t esr);

#endif
