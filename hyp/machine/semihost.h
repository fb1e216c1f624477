/*
 * semihost.h - ending the emulator with an exit code.
 */
#ifndef TRESTLE_HYP_MACHINE_SEMIHOST_H
#define TRESTLE_HYP_MACHINE_SEMIHOST_H

/* Ends the machine; @code is what the emulator's caller sees. */
_Noreturn void semihost_exit(int code);

#endif
