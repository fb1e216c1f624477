#!/bin/sh
# qemu_smmu_stage_property.sh - -global arm-smmuv3.stage=1 with the SMMU that -M virt,iommu=smmuv3 makes.
#
# Packages:  qemu-system-arm 1:11.1.3+ds-1 (Debian sid) and 1:10.0.13+ds-0+deb13u1 (Debian trixie), with
#            binutils-aarch64-linux-gnu, each in a root of its own below a temporary folder.
# Input:     a bare EL2 program, below, that prints SMMU_IDR0, IDR3 and IDR5; run without the property,
#            and with 1, 2 and nested, which are the values that it has.
# Behaviour: stage=1 is an SMMU of stage 1 alone: IDR0.S2P, bit 0, would be 0; with 2, S1P, bit 1. QEMU
#            takes each value without a word, and the SMMU is the same: both stages. The machine sets the
#            property itself, after -global. So no SMMU without stage 2 can be had that way.
# Output seen, of both, four times:
#            0d44101b 00001414 00000074
#            (AArch64 tables, coherent, no HTTU, VMIDs of 16 bits; XNX, no FWB, RIL, BBML 2; 44 bits, all
#            granules)
#
# Needs root and mmdebstrap. Exits with 0 if both say what they said, with 1 if not.
set -eu

dir=$(mktemp -d)
cleanup() {
    # Nothing is removed while something is mounted in there.
    grep -qF "$dir/" /proc/self/mounts || rm -rf --one-file-system "$dir"
}
trap cleanup EXIT

cat >"$dir/smmu.S" <<'END'
        .text
        .global _start
_start: ldr     x19, =0x09050000                // the SMMU's first page
        ldr     w0, [x19]
        bl      hex
        ldr     w0, [x19, #12]
        bl      hex
        ldr     w0, [x19, #20]
        bl      hex
        mov     w0, #0x20                       // SYS_EXIT_EXTENDED
        ldr     x1, =exit
        hlt     #0xf000

hex:    mov     x6, #28
        ldr     x2, =digits
        ldr     x3, =letter
1:      lsr     x4, x0, x6
        and     x4, x4, #15
        ldrb    w4, [x2, x4]
        strb    w4, [x3]
        mov     x5, x0
        mov     w0, #3                          // SYS_WRITEC
        mov     x1, x3
        hlt     #0xf000
        mov     x0, x5
        subs    x6, x6, #4
        b.ge    1b
        mov     w4, #32
        strb    w4, [x3]
        mov     w0, #3
        mov     x1, x3
        hlt     #0xf000
        ret

        .data
digits: .ascii  "0123456789abcdef"
letter: .byte   0
        .balign 8
exit:   .quad   0x20026, 0
END

mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }')

# try SUITE VERSION: whether that QEMU says what it said.
try() {
    root=$dir/$1 same=0
    unshare -m mmdebstrap --mode=root --variant=apt \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
        --include="binutils-aarch64-linux-gnu,qemu-system-arm=$2" "$1" "$root" $mirror \
        >"$dir/$1.log" 2>&1 || {
        tail -n 5 "$dir/$1.log"
        echo "qemu-system-arm $2: cannot be installed"
        return 1
    }
    cp "$dir/smmu.S" "$root/tmp/"
    for option in '' '-global arm-smmuv3.stage=1' '-global arm-smmuv3.stage=2' \
        '-global arm-smmuv3.stage=nested'; do
        said=$(timeout 60 chroot "$root" sh -c "cd /tmp && aarch64-linux-gnu-as -o smmu.o smmu.S &&
            aarch64-linux-gnu-ld -Ttext=0x40200000 -o smmu.elf smmu.o &&
            qemu-system-aarch64 -M virt,virtualization=on,iommu=smmuv3 $option -cpu max -display none \
                -nic none -serial none -monitor none -semihosting-config enable=on,target=native \
                -kernel smmu.elf" 2>&1 </dev/null) || true
        echo "qemu-system-arm $2 $option: $said"
        [ "$said" = '0d44101b 00001414 00000074 ' ] || same=1
    done
    return "$same"
}

all=0
try sid '1:11.1.3+ds-1' || all=1
try trixie '1:10.0.13+ds-0+deb13u1' || all=1
[ "$all" = 0 ] && echo 'as it was' || echo 'something has changed'
exit "$all"
