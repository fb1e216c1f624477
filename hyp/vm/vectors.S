/*
 * vectors.S - EL2's exceptions, and the two doors between EL2 and a guest.
 *
 *      vcpu_enter(regs) --- eret ---> guest ... exception ---> vector --- ret ---> its caller
 *
 * So to C, running a guest is one function call that answers with the VECTOR_* it came back by.
 * While the guest runs, TPIDR_EL2 points to its vcpu_regs and EL2's callee-saved registers lie on
 * EL2's stack. FP and SIMD registers are nobody's: EL2 does not use them and guests trap.
 */
#include "hyp/machine/layout.h"

        /* An exception of EL2 itself is the end: el2_panic() reports and exits. */
        .macro  own_exception, vector
        .balign 128
        ldr     x0, =el2_panic_stack_top
        mov     sp, x0
        mov     x0, #\vector
        mrs     x1, esr_el2
        mrs     x2, elr_el2
        mrs     x3, far_el2
        b       el2_panic
        .endm

        .macro  guest_exception, vector
        .balign 128
        stp     x0, x1, [sp, #-16]!
        mov     x1, #\vector
        b       vcpu_leave
        .endm

        .section .text.vectors, "ax"
        .balign 2048
        .global el2_vectors
el2_vectors:
        own_exception VECTOR_SYNC       /* current EL, SP_EL0 */
        own_exception VECTOR_IRQ
        own_exception VECTOR_FIQ
        own_exception VECTOR_SERROR
        own_exception VECTOR_SYNC       /* current EL, SP_EL2 */
        own_exception VECTOR_IRQ
        own_exception VECTOR_FIQ
        own_exception VECTOR_SERROR
        guest_exception VECTOR_SYNC     /* lower EL, AArch64 */
        guest_exception VECTOR_IRQ
        guest_exception VECTOR_FIQ
        guest_exception VECTOR_SERROR
        own_exception VECTOR_SYNC       /* lower EL, AArch32: HCR_EL2.RW forbids it */
        own_exception VECTOR_IRQ
        own_exception VECTOR_FIQ
        own_exception VECTOR_SERROR

        .text
/* unsigned vcpu_enter(struct vcpu_regs *regs) */
        .global vcpu_enter
        .type   vcpu_enter, %function
vcpu_enter:
        stp     x29, x30, [sp, #-96]!
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        msr     tpidr_el2, x0
        ldr     x1, [x0, #VCPU_REGS_PC]
        ldr     x2, [x0, #VCPU_REGS_PSTATE]
        msr     elr_el2, x1
        msr     spsr_el2, x2
        ldp     x2, x3, [x0, #VCPU_REGS_X(2)]
        ldp     x4, x5, [x0, #VCPU_REGS_X(4)]
        ldp     x6, x7, [x0, #VCPU_REGS_X(6)]
        ldp     x8, x9, [x0, #VCPU_REGS_X(8)]
        ldp     x10, x11, [x0, #VCPU_REGS_X(10)]
        ldp     x12, x13, [x0, #VCPU_REGS_X(12)]
        ldp     x14, x15, [x0, #VCPU_REGS_X(14)]
        ldp     x16, x17, [x0, #VCPU_REGS_X(16)]
        ldp     x18, x19, [x0, #VCPU_REGS_X(18)]
        ldp     x20, x21, [x0, #VCPU_REGS_X(20)]
        ldp     x22, x23, [x0, #VCPU_REGS_X(22)]
        ldp     x24, x25, [x0, #VCPU_REGS_X(24)]
        ldp     x26, x27, [x0, #VCPU_REGS_X(26)]
        ldp     x28, x29, [x0, #VCPU_REGS_X(28)]
        ldr     x30, [x0, #VCPU_REGS_X(30)]
        ldp     x0, x1, [x0, #VCPU_REGS_X(0)]
        eret
        dsb     nsh                     /* nothing is speculated past the eret */
        isb

/* The guest's x0 and x1 are on the stack, the vector is in x1. */
vcpu_leave:
        mrs     x0, tpidr_el2
        stp     x2, x3, [x0, #VCPU_REGS_X(2)]
        stp     x4, x5, [x0, #VCPU_REGS_X(4)]
        stp     x6, x7, [x0, #VCPU_REGS_X(6)]
        stp     x8, x9, [x0, #VCPU_REGS_X(8)]
        stp     x10, x11, [x0, #VCPU_REGS_X(10)]
        stp     x12, x13, [x0, #VCPU_REGS_X(12)]
        stp     x14, x15, [x0, #VCPU_REGS_X(14)]
        stp     x16, x17, [x0, #VCPU_REGS_X(16)]
        stp     x18, x19, [x0, #VCPU_REGS_X(18)]
        stp     x20, x21, [x0, #VCPU_REGS_X(20)]
        stp     x22, x23, [x0, #VCPU_REGS_X(22)]
        stp     x24, x25, [x0, #VCPU_REGS_X(24)]
        stp     x26, x27, [x0, #VCPU_REGS_X(26)]
        stp     x28, x29, [x0, #VCPU_REGS_X(28)]
        str     x30, [x0, #VCPU_REGS_X(30)]
        ldp     x2, x3, [sp], #16
        stp     x2, x3, [x0, #VCPU_REGS_X(0)]
        mrs     x2, elr_el2
        mrs     x3, spsr_el2
        str     x2, [x0, #VCPU_REGS_PC]
        str     x3, [x0, #VCPU_REGS_PSTATE]
        mov     x0, x1
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     x29, x30, [sp], #96
        ret
        .size   vcpu_enter, . - vcpu_enter
