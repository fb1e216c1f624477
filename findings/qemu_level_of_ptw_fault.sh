#!/bin/sh
# qemu_level_of_ptw_fault.sh - the level of a fault by HCR_EL2.PTW: a guest's table in Device memory.
#
# Packages:  qemu-system-arm 1:11.1.3+ds-1 (Debian sid) and 1:10.0.13+ds-0+deb13u1 (Debian trixie), with
#            binutils-aarch64-linux-gnu, each in a root of its own below a temporary folder.
# Input:     a bare EL2 program, below. Its guest's stage 1 begins at level 0 and lies at IPA 2 GiB, in a
#            stage 2 block of 1 GiB, which is level 1. HCR_EL2.PTW = 1. The block is, in turn: Normal
#            and readable; Normal and not readable; nothing; Device-nGnRnE and readable.
# Behaviour: Arm ARM DDI 0487, AArch64.S2Translate() of its pseudocode: all three that fail are faults
#            of the stage 2 entry, and say its level, 1. QEMU says 1 of the two in the middle; of the
#            last, which PTW alone makes a fault, the level of the guest's own walk, 0, to AT S1E1R and
#            in ESR_EL2. HPFAR_EL2 is right in all.
# Output seen, of both, a line for each block: PAR_EL1[15:0] of AT S1E1R at EL2 (bit 0: F, [6:1]: fault
# status, bit 8: PTW), and ESR_EL2 and HPFAR_EL2 as the guest fetches (5a000000: it got as far as HVC).
#            PAR 2b80 ESR 5a000000 HPFAR 00000000
#            PAR 0b1b ESR 8200008d HPFAR 00800000
#            PAR 0b0b ESR 82000085 HPFAR 00800000
#            PAR 0b19 ESR 8200008c HPFAR 00800000
#
# Needs root and mmdebstrap. Exits with 0 if both say what they said, with 1 if not.
set -eu

dir=$(mktemp -d)
cleanup() {
    # Nothing is removed while something is mounted in there.
    grep -qF "$dir/" /proc/self/mounts || rm -rf --one-file-system "$dir"
}
trap cleanup EXIT

cat >"$dir/ptw.S" <<'END'
        .text
        .global _start
_start: ldr     x0, =vectors
        msr     vbar_el2, x0
        ldr     x19, =s2
        ldr     x0, =0x400007fd                 // block of 1 GiB, AF, S2AP = 3, write-back: this program
        str     x0, [x19, #8]
        ldr     x0, =BLOCK                      // the guest's tables
        str     x0, [x19, #16]
        ldr     x1, =0x80000000
        ldr     x0, =0x80001003                 // level 0: a table
        str     x0, [x1]
        ldr     x1, =0x80001000
        ldr     x0, =0x40000701                 // level 1: this program, as it lies
        str     x0, [x1, #8]
        ldr     x0, =0x80023559                 // PS 40 bits, 4K, SL0 1, T0SZ 25
        msr     vtcr_el2, x0
        msr     vttbr_el2, x19
        ldr     x0, =0x80000005                 // RW, PTW, VM
        msr     hcr_el2, x0
        mov     x0, #0xff
        msr     mair_el1, x0
        ldr     x0, =0x80000000
        msr     ttbr0_el1, x0
        ldr     x0, =0x200803510                // IPS 40 bits, EPD1, 4K, T0SZ 16
        msr     tcr_el1, x0
        ldr     x0, =0x30d00801
        msr     sctlr_el1, x0
        isb
        tlbi    alle1
        dsb     ish
        isb
        ldr     x20, =word
        at      s1e1r, x20
        isb
        mrs     x21, par_el1
        ldr     x0, =said_par
        bl      text
        mov     x0, x21
        mov     x1, #12
        bl      hex
        ldr     x0, =guest
        msr     elr_el2, x0
        mov     x0, #0x3c5
        msr     spsr_el2, x0
        eret
guest:  ldr     x20, [x20]
        hvc     #0
trap:   ldr     x0, =said_esr
        bl      text
        mrs     x0, esr_el2
        mov     x1, #28
        bl      hex
        ldr     x0, =said_hp
        bl      text
        mrs     x0, hpfar_el2
        mov     x1, #28
        bl      hex
        ldr     x0, =said_end
        bl      text
        mov     w0, #0x20
        ldr     x1, =exit
        hlt     #0xf000
text:   mov     x1, x0
        mov     w0, #4
        hlt     #0xf000
        ret
hex:    ldr     x2, =digits
        ldr     x3, =letter
1:      lsr     x4, x0, x1
        and     x4, x4, #15
        ldrb    w4, [x2, x4]
        strb    w4, [x3]
        mov     x5, x0
        mov     x6, x1
        mov     w0, #3
        mov     x1, x3
        hlt     #0xf000
        mov     x0, x5
        subs    x1, x6, #4
        b.ge    1b
        ret
        .balign 2048
vectors:
        .rept   16
        b       trap
        .balign 128
        .endr
        .data
digits: .ascii  "0123456789abcdef"
said_par:  .asciz "PAR "
said_esr:  .asciz " ESR "
said_hp:  .asciz " HPFAR "
said_end:  .asciz "\n"
letter: .byte   0
        .balign 8
exit:   .quad   0x20026, 0
word:   .quad   0
        .balign 4096
s2:     .space  4096
END

mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }')

expected='PAR 2b80 ESR 5a000000 HPFAR 00000000
PAR 0b1b ESR 8200008d HPFAR 00800000
PAR 0b0b ESR 82000085 HPFAR 00800000
PAR 0b19 ESR 8200008c HPFAR 00800000'

# try SUITE VERSION: whether that QEMU says what it said.
try() {
    root=$dir/$1
    unshare -m mmdebstrap --mode=root --variant=apt \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
        --include="binutils-aarch64-linux-gnu,qemu-system-arm=$2" "$1" "$root" $mirror \
        >"$dir/$1.log" 2>&1 || {
        tail -n 5 "$dir/$1.log"
        echo "qemu-system-arm $2: cannot be installed"
        return 1
    }
    cp "$dir/ptw.S" "$root/tmp/"
    said=$(timeout 120 chroot "$root" sh -c 'cd /tmp &&
        for block in 0x800007fd 0x8000073d 0 0x800004c1; do
            aarch64-linux-gnu-as --defsym BLOCK=$block -o ptw.o ptw.S &&
            aarch64-linux-gnu-ld -Ttext=0x40200000 -o ptw.elf ptw.o &&
            qemu-system-aarch64 -M virt,virtualization=on -cpu max -m 2G -display none -nic none \
                -serial none -monitor none -semihosting-config enable=on,target=native -kernel ptw.elf
        done' 2>&1 </dev/null) || true
    printf 'qemu-system-arm %s:\n%s\n' "$2" "$said"
    [ "$said" = "$expected" ]
}

same=0
try sid '1:11.1.3+ds-1' || same=1
try trixie '1:10.0.13+ds-0+deb13u1' || same=1
[ "$same" = 0 ] && echo 'as it was' || echo 'something has changed'
exit "$same"
