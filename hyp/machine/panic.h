/*
 * panic.h - the end of a run that cannot go on. A failed assertion of the library is one: panic.c
 * has the mapping_assert_failed() that hears of it.
 */
#ifndef TRESTLE_HYP_MACHINE_PANIC_H
#define TRESTLE_HYP_MACHINE_PANIC_H

#include <stdint.h>

#define PANIC_EXIT_CODE 2

/* Reports an exception that EL2 took from itself, and exits with failure. Called by vectors.S. */
_Noreturn void el2_panic(unsigned vector, uint64_t esr, uint64_t elr, uint64_t far);

/* Reports @what, and exits with failure: for what no check can survive. */
_Noreturn void panic(const char *what);

#endif
