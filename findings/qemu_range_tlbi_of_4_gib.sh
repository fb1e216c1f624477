#!/bin/sh
# qemu_range_tlbi_of_4_gib.sh - TLBI RIPAS2E1IS of exactly 4 GiB.
#
# Package:   qemu-system-arm 1:11.1.3+ds-1 (Debian sid), with binutils-aarch64-linux-gnu, in a root of
#            its own below a temporary folder.
# Input:     a bare EL2 program, below. A guest's own translation tables lie at IPA 2 GiB, in a stage 2
#            block. That block is broken, invalidated, and made again with other memory, by the book:
#            break, DSB, TLBI by range from IPA 0 on, DSB, TLBI VMALLE1IS, DSB, make. It is done twice:
#            with one range of 4 GiB (SCALE 3, NUM 15), and with two of 2 GiB (NUM 7).
# Behaviour: Arm ARM DDI 0487, TLBI RIPAS2E1IS: (NUM + 1) << (5 * SCALE + 1) granules are invalidated.
#            QEMU invalidates the first page only, if that is 2^32 bytes: the guest still walks the
#            tables that were taken away.
# Output seen, a line for each way: which memory the guest's walk goes to before and after.
#            AA
#            AB
#
# Needs root and mmdebstrap. Exits with 0 if it says what it said, with 1 if not.
set -eu

version=1:11.1.3+ds-1
dir=$(mktemp -d)
cleanup() {
    # Nothing is removed while something is mounted in there.
    grep -qF "$dir/" /proc/self/mounts || rm -rf --one-file-system "$dir"
}
trap cleanup EXIT

cat >"$dir/range.S" <<'END'
        .arch   armv8.4-a
        .text
        .global _start
_start: ldr     x0, =vectors
        msr     vbar_el2, x0
        ldr     x0, =0x40400000                 // two bytes that the guest may find
        mov     w1, #'A'
        strb    w1, [x0]
        ldr     x0, =0x40600000
        mov     w1, #'B'
        strb    w1, [x0]
        ldr     x0, =0x40300000                 // the guest's tables of levels 2 and 1
        ldr     x1, =0x40400701                 // VA 0: the first byte
        bl      tables
        ldr     x0, =0x80300000                 // and others in their place
        ldr     x1, =0x40600701                 // VA 0: the second
        bl      tables
        ldr     x0, =0x80301000                 // IPA: both lie 2 GiB on
        msr     ttbr0_el1, x0
        mov     x0, #0xff
        msr     mair_el1, x0
        ldr     x0, =0x200803519                // IPS 40 bits, EPD1, 4K, T0SZ 25
        msr     tcr_el1, x0
        ldr     x0, =0x30d00801                 // M
        msr     sctlr_el1, x0

        ldr     x19, =stage2
        ldr     x0, =0x400007fd                 // IPA 1 GiB, where this program is
        str     x0, [x19, #8]
        ldr     x0, =0x80023559                 // PS 40 bits, 4K, SL0 1, T0SZ 25
        msr     vtcr_el2, x0
        msr     vttbr_el2, x19
        ldr     x0, =0x80000001                 // RW, VM
        msr     hcr_el2, x0
        ldr     x20, =one
        bl      try
        ldr     x20, =two
        bl      try
        mov     w0, #0x20                       // SYS_EXIT_EXTENDED
        ldr     x1, =exit
        hlt     #0xf000

tables: str     x1, [x0]
        ldr     x1, =0x80300003                 // VA 0 is in the table at IPA 0x80300000
        ldr     x2, =0x40000701                 // VA 1 GiB: this program
        add     x0, x0, #0x1000
        stp     x1, x2, [x0]
        ret

one:    ldr     x0, =0x778000000000             // TG 4K, SCALE 3, NUM 15: 4 GiB from IPA 0 on
        tlbi    ripas2e1is, x0
        ret
two:    ldr     x0, =0x738000000000             // NUM 7: 2 GiB from IPA 0 on,
        tlbi    ripas2e1is, x0
        ldr     x0, =0x738000080000             // and from 2 GiB on
        tlbi    ripas2e1is, x0
        ret

try:    mov     x21, x30                        // x20: which invalidation
        ldr     x0, =0x400007fd                 // IPA 2 GiB: PA 1 GiB
        str     x0, [x19, #16]
        dsb     ish
        tlbi    vmalls12e1is
        dsb     ish
        isb
        ldr     x0, =guest
        msr     elr_el2, x0
        mov     x0, #0x3c5                      // EL1, its own stack pointer, all masked
        msr     spsr_el2, x0
        ldr     x26, =first
        eret
first:  bl      letter
        str     xzr, [x19, #16]                 // break
        dsb     ish
        blr     x20
        dsb     ish
        tlbi    vmalle1is
        dsb     ish
        isb
        ldr     x0, =0x800007fd                 // make: PA 2 GiB
        str     x0, [x19, #16]
        dsb     ish
        isb
        ldr     x26, =second
        eret
second: bl      letter
        mov     w25, #'\n'
        bl      letter
        ret     x21

guest:  mov     x0, #0
        ldrb    w25, [x0]
        hvc     #0
        b       guest

letter: ldr     x1, =byte
        strb    w25, [x1]
        mov     w0, #3                          // SYS_WRITEC
        hlt     #0xf000
        ret

trap:   mrs     x0, esr_el2
        lsr     x0, x0, #26
        cmp     x0, #0x16                       // HVC: x25 is what the guest found
        b.eq    1f
        mov     w25, #'?'
1:      br      x26

        .balign 2048
vectors:
        .rept   16
        b       trap
        .balign 128
        .endr

        .data
exit:   .quad   0x20026, 0
byte:   .byte   0
        .balign 4096
stage2: .space  4096
END

mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }')

unshare -m mmdebstrap --mode=root --variant=apt \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
    --include="binutils-aarch64-linux-gnu,qemu-system-arm=$version" sid "$dir/sid" $mirror \
    >"$dir/log" 2>&1 || {
    tail -n 5 "$dir/log"
    echo "qemu-system-arm $version: cannot be installed"
    exit 1
}
cp "$dir/range.S" "$dir/sid/tmp/"
said=$(timeout 60 chroot "$dir/sid" sh -c 'cd /tmp && aarch64-linux-gnu-as -o range.o range.S &&
    aarch64-linux-gnu-ld -Ttext=0x40200000 -o range.elf range.o &&
    qemu-system-aarch64 -M virt,virtualization=on -cpu max -m 3G -display none -nic none \
        -serial none -monitor none -semihosting-config enable=on,target=native -kernel range.elf' \
    2>&1 </dev/null) || true
echo "qemu-system-arm $version:"
echo "$said"
if [ "$said" != 'AA
AB' ]; then
    echo 'something has changed'
    exit 1
fi
echo 'as it was'
