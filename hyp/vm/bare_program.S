/*
 * bare_program.S - what a guest runs that does one access (hyp/vm/bare.h), copied to its memory.
 *
 * It is its own vector table too: whatever exception it takes at EL1 comes to EL2 by an HVC that is
 * none of those behind an access.
 */
#include "hyp/machine/layout.h"

        .section .rodata.bare_program, "a"
        .balign 2048
        .global bare_program
bare_program:
        .org    bare_program + BARE_STORE
        strb    w1, [x0]
        hvc     #0
        .org    bare_program + BARE_LOAD
        ldrb    w1, [x0]
        hvc     #0
        .balign 128
        .rept   15
        hvc     #0
        .balign 128
        .endr
        .global bare_program_end
bare_program_end:
