/*
 * boot.S - EL2 from reset to C, on both CPUs; into the guest and back.
 */
#define PERCPU 0x100000000
#define HOST_SP 248             /* struct percpu */
#define ELR 256
#define ESR 264

        .section .text.boot, "ax"
        .global _start
_start: mov     x19, #0
        b       1f
        .global secondary
secondary:                      /* x0: PSCI's context id, the CPU's number */
        mov     x19, x0
1:      ldr     x0, =stacks
        add     x1, x19, #1
        add     x0, x0, x1, lsl #13
        mov     sp, x0
        ldr     x0, =vectors
        msr     vbar_el2, x0
        mov     x0, #(1 << 31)  /* RW: EL1 is AArch64 */
        msr     hcr_el2, x0
        mov     x0, #0x33ff
        msr     cptr_el2, x0
        mov     x0, #3
        msr     cnthctl_el2, x0
        cbnz    x19, 2f
        bl      stage1_build
2:      mov     x0, #0xff       /* attribute 0 write-back, 1 Device-nGnRnE */
        msr     mair_el2, x0
        ldr     x0, =0x80823519 /* 39 bits of VA, 4K, walks write-back and inner shareable */
        msr     tcr_el2, x0
        ldr     x0, =stage1_tables
        mov     x1, #(3 * 4096)
        madd    x0, x19, x1, x0
        msr     ttbr0_el2, x0
        tlbi    alle2
        tlbi    alle1
        ic      iallu
        dsb     nsh
        isb
        ldr     x0, =0x30c51835 /* MMU, caches, stack alignment */
        msr     sctlr_el2, x0
        isb
        mov     w0, w19
        bl      host_start
        b       .

        .text
        .global smc
smc:    smc     #0
        ret

/* void guest_run(void) */
        .global guest_run
guest_run:
        stp     x29, x30, [sp, #-96]!
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        ldr     x30, =PERCPU
        mov     x0, sp
        str     x0, [x30, #HOST_SP]
        ldr     x0, [x30, #ELR]
        msr     elr_el2, x0
        mov     x0, #0x3c5      /* EL1, its own stack pointer, all masked */
        msr     spsr_el2, x0
        ldp     x0, x1, [x30]
        ldp     x2, x3, [x30, #16]
        ldp     x4, x5, [x30, #32]
        ldp     x6, x7, [x30, #48]
        ldp     x8, x9, [x30, #64]
        ldp     x10, x11, [x30, #80]
        ldp     x12, x13, [x30, #96]
        ldp     x14, x15, [x30, #112]
        ldp     x16, x17, [x30, #128]
        ldp     x18, x19, [x30, #144]
        ldp     x20, x21, [x30, #160]
        ldp     x22, x23, [x30, #176]
        ldp     x24, x25, [x30, #192]
        ldp     x26, x27, [x30, #208]
        ldp     x28, x29, [x30, #224]
        ldr     x30, [x30, #240]
        eret

guest_back:                     /* the guest's x30 is in TPIDR_EL2 */
        ldr     x30, =PERCPU
        stp     x0, x1, [x30]
        stp     x2, x3, [x30, #16]
        stp     x4, x5, [x30, #32]
        stp     x6, x7, [x30, #48]
        stp     x8, x9, [x30, #64]
        stp     x10, x11, [x30, #80]
        stp     x12, x13, [x30, #96]
        stp     x14, x15, [x30, #112]
        stp     x16, x17, [x30, #128]
        stp     x18, x19, [x30, #144]
        stp     x20, x21, [x30, #160]
        stp     x22, x23, [x30, #176]
        stp     x24, x25, [x30, #192]
        stp     x26, x27, [x30, #208]
        stp     x28, x29, [x30, #224]
        mrs     x0, tpidr_el2
        str     x0, [x30, #240]
        mrs     x0, elr_el2
        mrs     x1, esr_el2
        mrs     x2, far_el2
        mrs     x3, hpfar_el2
        stp     x0, x1, [x30, #ELR]
        stp     x2, x3, [x30, #(ESR + 8)]
        ldr     x0, [x30, #HOST_SP]
        mov     sp, x0
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     x29, x30, [sp], #96
        ret

        .balign 2048
vectors:
        .rept   8
        .balign 128
        mrs     x0, esr_el2
        mrs     x1, elr_el2
        mrs     x2, far_el2
        b       host_died
        .endr
        .rept   8
        .balign 128
        msr     tpidr_el2, x30
        b       guest_back
        .endr

        .bss
        .balign 4096
stacks: .space  2 * 8192
        .balign 4096
        .global stage1_tables
stage1_tables:
        .space  2 * 3 * 4096
