/*
 * layout.h - numbers that C, assembly and the linker scripts must agree on.
 */
#ifndef TRESTLE_HYP_MACHINE_LAYOUT_H
#define TRESTLE_HYP_MACHINE_LAYOUT_H

#define HYP_STACK_SIZE 0x10000

/* struct vcpu_regs, as vectors.S fills it; vcpu.h asserts that these are its offsets. */
#define VCPU_REGS_X(n) ((n)*8)
#define VCPU_REGS_PC 248
#define VCPU_REGS_PSTATE 256

/* Where bare_program.S begins to store and to load. */
#define BARE_STORE 0
#define BARE_LOAD 8

/* What vectors.S says of an exception: the second index of the vector table. */
#define VECTOR_SYNC 0
#define VECTOR_IRQ 1
#define VECTOR_FIQ 2
#define VECTOR_SERROR 3

#endif
