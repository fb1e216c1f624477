/*
 * boot.S - from the machine's reset to hyp_main().
 *
 * QEMU's virt machine enters here on one CPU, at EL2, MMU and caches off; a loader on a real board
 * must have cleaned the image to the point of coherency. Nothing is dropped from: we are where we
 * want to be. The others stay in the firmware until somebody asks PSCI for them.
 */
#include "hyp/machine/layout.h"

#define CURRENT_EL_EL2 (2 << 2)
#define HCR_RW (1 << 31)

        .section .text.boot, "ax"
        .global _start
_start:
        msr     daifset, #0xf
        mrs     x0, CurrentEL
        cmp     x0, #CURRENT_EL_EL2
        b.ne    wrong_el

        mov     x0, #HCR_RW             /* E2H = 0, TGE = 0: one layout of EL2 on every part */
        msr     hcr_el2, x0
        ldr     x0, =el2_vectors
        msr     vbar_el2, x0
        isb

        ldr     x0, =__bss_start
        ldr     x1, =__bss_end
1:      cmp     x0, x1                  /* both are multiples of 16 */
        b.hs    2f
        stp     xzr, xzr, [x0], #16
        b       1b

2:      ldr     x0, =boot_stack_top
        mov     sp, x0
        mov     x29, xzr
        mov     x30, xzr
        bl      mmu_enable
        bl      hyp_main
        b       semihost_exit           /* hyp_main's answer is the exit code */

wrong_el:
        mov     x0, #1
        b       semihost_exit

        .section .bss.stack, "aw", %nobits
        .balign 16
        .skip   HYP_STACK_SIZE
boot_stack_top:
        .skip   HYP_STACK_SIZE
        .global el2_panic_stack_top
el2_panic_stack_top:
