/*
 * guest.S - what the guest does, on two vCPUs. x0: which; HVC #0 asks the host, x0 says for what.
 */
#define RAM 0x40000000
#define SHARED 0x48000000
#define LATER 0x50000000
#define UART 0x09000000

        .section .text.guest, "ax"
        .balign 4096
        .global guest_program
guest_program:
        cbnz    x0, counter

        mov     x1, #RAM                /* 1: memory holds what is put there */
        add     x1, x1, #0x8000
        mov     x2, #0x1234
        str     x2, [x1]
        ldr     x3, [x1]
        cmp     x2, x3
        cset    w1, eq
        mov     x0, #1
        hvc     #0

        mov     x1, #LATER              /* 2: memory that comes at the first touch is zero */
        ldr     x2, [x1, #0x40]
        mov     x3, #0x77
        str     x3, [x1, #0x40]
        ldr     x3, [x1, #0x40]
        cmp     x3, #0x77
        ccmp    x2, #0, #0, eq
        cset    w1, eq
        mov     x0, #2
        hvc     #0

        mov     x1, #UART               /* 3: a device that the host plays */
        mov     w2, #'g'
        strb    w2, [x1]
        ldr     w1, [x1, #0x18]
        cmp     w1, #0x90
        cset    w1, eq
        mov     x0, #3
        hvc     #0

        mov     x0, #4                  /* 4: the host takes the other one's page away */
        hvc     #0
        mov     x0, #5                  /* 5: done */
        hvc     #0
        b       .

counter:
        mov     x1, #SHARED             /* count in a page for as long as it is there */
1:      ldr     x2, [x1]
        add     x2, x2, #1
        str     x2, [x1]
        b       1b
        .balign 4096
        .global guest_program_end
guest_program_end:
