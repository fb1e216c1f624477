/*
 * entry.S - the guest's first instructions, its exceptions, and its way to EL0 and back.
 */
#include "hyp/guest/abi.h"

#define GUEST_STACK_SIZE 0x4000
#define SPSR_EL0_MASKED 0x3c0
#define EC_SHIFT 26
#define EC_SVC64 0x15

/* At reset: MMU and caches off, BSS as zeroed by EL2, which gives only zeroed frames. */
        .section .text.guest_entry, "ax"
        .global guest_entry
guest_entry:
        ldr     x0, =guest_stack_top
        mov     sp, x0
        ldr     x0, =guest_vectors
        msr     vbar_el1, x0
        isb
        bl      guest_stage1_on
        b       guest_main

        .section .bss.guest_stack, "aw", %nobits
        .balign 16
        .skip   GUEST_STACK_SIZE
guest_stack_top:

        .macro  vector, target
        .balign 128
        b       \target
        .endm

        .section .text.guest_vectors, "ax"
        .balign 2048
guest_vectors:
        .rept   5
        vector  died                    /* SP_EL0: never; a fault of our own */
        .endr
        vector  took_irq                /* current EL, SP_EL1: IRQ */
        vector  died
        vector  died
        vector  came_from_el0           /* lower EL, AArch64: synchronous */
        .rept   7
        vector  died
        .endr

        .text
died:
        mov     x0, #GUEST_CALL_DIED
        mrs     x1, esr_el1
        mrs     x2, elr_el1
        mrs     x3, far_el1
        hvc     #0
        b       died

took_irq:
        stp     x0, x1, [sp, #-16]!
        mov     x0, #GUEST_CALL_IRQ
        hvc     #0
        ldr     x0, =guest_irq_count
        ldr     x1, [x0]
        add     x1, x1, #1
        str     x1, [x0]
        ldp     x0, x1, [sp], #16
        eret

/* uint64_t guest_call_el0(uint64_t va): runs the function at @va at EL0. It returns to an svc, and
 * the exception lands in came_from_el0 with our stack as it was here. */
        .global guest_call_el0
        .type   guest_call_el0, %function
guest_call_el0:
        stp     x29, x30, [sp, #-96]!
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        msr     elr_el1, x0
        mov     x1, #SPSR_EL0_MASKED
        msr     spsr_el1, x1
        adr     x30, return_to_el1
        eret
return_to_el1:
        svc     #0

came_from_el0:
        mrs     x1, esr_el1
        lsr     x1, x1, #EC_SHIFT
        cmp     x1, #EC_SVC64
        b.ne    died
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     x29, x30, [sp], #96
        ret

/* uint64_t guest_hvc(uint64_t call, uint64_t args[3]): x1..x3 go out from and come back to args. */
        .global guest_hvc
        .type   guest_hvc, %function
guest_hvc:
        mov     x4, x1
        ldp     x1, x2, [x4]
        ldr     x3, [x4, #16]
        hvc     #0
        stp     x1, x2, [x4]
        str     x3, [x4, #16]
        ret

/* The function that GUEST_STEP_COPY_CODE copies; the number goes into the first instruction. */
        .section .rodata.guest_template, "a"
        .balign 4
        .global guest_template
guest_template:
        mov     w0, #0
        ret
        .global guest_template_end
guest_template_end:
