#!/bin/sh
# qemu_at_write_of_clean_page.sh - AT S12E1W on a stage 2 leaf that is writable but clean.
#
# Packages:  qemu-system-arm 1:11.1.3+ds-1 (Debian sid) and 1:10.0.13+ds-0+deb13u1 (Debian trixie), with
#            binutils-aarch64-linux-gnu, each in a root of its own below a temporary folder.
# Input:     a bare EL2 program, below. One stage 2 block, DBM = 1 and S2AP = 1 (readable, clean), with
#            VTCR_EL2.HA = HD = 1; AT S12E1W on it; then a store to it from EL1.
# Behaviour: Arm ARM DDI 0487: the store is allowed, so AT succeeds; and AT does not write dirty state.
#            11.1.3:  PAR_EL1 says permission fault, level 1; the store succeeds and sets S2AP[1]
#            10.0.13: AT succeeds, but sets S2AP[1] itself; then so would the store
# Output seen, the program's own line:
#            11.1.3:  PAR 1b S2AP 1 ESR 5a000000 S2AP 3
#            10.0.13: PAR 80 S2AP 3 ESR 5a000000 S2AP 3
#            (PAR_EL1[7:0]: F, and if that is 1 the fault status in [6:1]; ESR_EL2 5a000000: the HVC behind
#            the store; the S2AP are of the leaf after AT, and after the store)
#
# Needs root and mmdebstrap. Exits with 0 if both say what they said, with 1 if not.
set -eu

dir=$(mktemp -d)
cleanup() {
    # Nothing is removed while something is mounted in there.
    grep -qF "$dir/" /proc/self/mounts || rm -rf --one-file-system "$dir"
}
trap cleanup EXIT

cat >"$dir/clean.S" <<'END'
        .text
        .global _start
_start: ldr     x0, =vectors
        msr     vbar_el2, x0
        ldr     x19, =table
        ldr     x0, =0x000800004000077d         // block of 1 GiB, DBM, AF, S2AP = 1, write-back
        str     x0, [x19, #8]                   // at IPA 1 GiB, where this program is
        ldr     x0, =0x80623559                 // HD, HA, PS 40 bits, 4K, SL0 1, T0SZ 25
        msr     vtcr_el2, x0
        msr     vttbr_el2, x19
        ldr     x0, =0x80001001                 // RW, DC, VM
        msr     hcr_el2, x0
        isb
        tlbi    vmalls12e1
        dsb     ish
        isb

        ldr     x20, =word
        at      s12e1w, x20
        isb
        mrs     x21, par_el1
        ldr     x0, =said_par
        bl      text
        mov     x0, x21
        mov     x1, #4
        bl      hex
        bl      s2ap

        ldr     x0, =guest
        msr     elr_el2, x0
        mov     x0, #0x3c5                      // EL1, its own stack pointer, all masked
        msr     spsr_el2, x0
        eret
guest:  str     x20, [x20]
        hvc     #0

trap:   ldr     x0, =said_esr
        bl      text
        mrs     x0, esr_el2
        mov     x1, #28
        bl      hex
        bl      s2ap
        ldr     x0, =said_end
        bl      text
        mov     w0, #0x20                       // SYS_EXIT_EXTENDED
        ldr     x1, =exit
        hlt     #0xf000

s2ap:   mov     x22, x30
        ldr     x0, =said_s2ap
        bl      text
        ldr     x0, [x19, #8]
        ubfx    x0, x0, #6, #2
        mov     x1, #0
        bl      hex
        ret     x22

text:   mov     x1, x0
        mov     w0, #4                          // SYS_WRITE0
        hlt     #0xf000
        ret

hex:    ldr     x2, =digits                     // of x0, from bit x1 + 3 on down
        ldr     x3, =letter
1:      lsr     x4, x0, x1
        and     x4, x4, #15
        ldrb    w4, [x2, x4]
        strb    w4, [x3]
        mov     x5, x0
        mov     x6, x1
        mov     w0, #3                          // SYS_WRITEC
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
said_s2ap: .asciz " S2AP "
said_esr:  .asciz " ESR "
said_end:  .asciz "\n"
letter: .byte   0
        .balign 8
exit:   .quad   0x20026, 0
word:   .quad   0
        .balign 4096
table:  .space  4096
END

mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }')

# try SUITE VERSION EXPECTED: what the program says on that QEMU.
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
    cp "$dir/clean.S" "$root/tmp/"
    said=$(timeout 60 chroot "$root" sh -c 'cd /tmp && aarch64-linux-gnu-as -o clean.o clean.S &&
        aarch64-linux-gnu-ld -Ttext=0x40200000 -o clean.elf clean.o &&
        qemu-system-aarch64 -M virt,virtualization=on -cpu max -display none -nic none \
            -serial none -monitor none -semihosting-config enable=on,target=native -kernel clean.elf' \
        2>&1 </dev/null) || true
    echo "qemu-system-arm $2: $said"
    [ "$said" = "$3" ]
}

same=0
try sid '1:11.1.3+ds-1' 'PAR 1b S2AP 1 ESR 5a000000 S2AP 3' || same=1
try trixie '1:10.0.13+ds-0+deb13u1' 'PAR 80 S2AP 3 ESR 5a000000 S2AP 3' || same=1
[ "$same" = 0 ] && echo 'as it was' || echo 'something has changed'
exit "$same"
