#!/bin/sh
# check_link.sh MAKE CPU - the archive links into a stranger's host (tests/embed/stranger), however it was
# built, and that host's guest lives; and a failed assertion says where.
#
# The host has no C library, its own bool, BIT and locks, one file that includes the library, and a linker
# script that knows *(.text), *(.rodata), *(.data), *(.bss) and nothing else.
#
# In the environment: BUILD CC CROSS_COMPILE QEMU QEMU_TIMEOUT.
set -eu

make=$1 cpu=$2
here=tests/embed/stranger
work=$BUILD/link
cross=${CROSS_COMPILE}gcc
roots='s2_features_read s2_meeting_join s2_meeting_close frame_pool_init frame_pool_available
    s2_vmid_init s2_cpu_init s2_space_init s2_space_init_reason s2_space_map_linear s2_space_unmap
    s2_space_check s2_space_table s2_table_hcr s2_enter s2_leave s2_space_fini mapping_error_name'
base="-ffreestanding -fno-stack-protector -mgeneral-regs-only -mstrict-align -mno-outline-atomics
    -fno-unwind-tables -fno-asynchronous-unwind-tables -fno-merge-constants
    -fno-tree-loop-distribute-patterns -nostdinc -isystem $($cross -print-file-name=include)
    -Wall -Wextra -Werror -Wshadow -Wundef -Wconversion -Wstrict-prototypes -Wmissing-prototypes"
mkdir -p "$work"

die() {
    echo "link: $*" >&2
    exit 1
}

# $1: a name; $2: flags of the archive; $3: of the host; $4: of its bridge. Leaves $work/$1/host.elf.
build() {
    out=$work/$1
    mkdir -p "$out"
    $make lib TARGET=aarch64 BUILD="$out" CFLAGS="$2" ROOTS="$(echo $roots)" >"$out/make.log" 2>&1 ||
        die "$1: the archive does not build, see $out/make.log"
    $cross -std=c11 $3 $base -fno-pie $4 -I. -c -o "$out/bridge.o" $here/bridge.c
    for part in host lib; do
        $cross -std=gnu11 $3 $base -fno-pie -c -o "$out/$part.o" $here/$part.c
    done
    for part in boot guest; do
        $cross -c -o "$out/$part.o" $here/$part.S
    done
    # What LTO makes of the host's own strings is the host's to place.
    case $3 in
    *-flto*) sed 's|\*(\.rodata)|*(.rodata .rodata.*)|' $here/host.ld ;;
    *) cat $here/host.ld ;;
    esac >"$out/host.ld"
    $cross $3 $base -fno-pie -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--orphan-handling=error,--no-warn-rwx-segments \
        -Wl,-z,max-page-size=4096 -T "$out/host.ld" -o "$out/host.elf" "$out"/boot.o "$out"/guest.o \
        "$out"/host.o "$out"/lib.o "$out"/bridge.o "$out"/lib-aarch64/libtrestle.a
}

# $1: the name. What the host says is in $said; answers its exit code.
run() {
    said=$(timeout "$QEMU_TIMEOUT" $QEMU -M virt,virtualization=on,gic-version=3 -cpu "$cpu" -smp 2 \
        -m 256M -nic none -display none -serial none -monitor none \
        -semihosting-config enable=on,target=native -kernel "$work/$1/host.elf" 2>&1 </dev/null)
}

lives() {
    build "$@"
    run "$1" || die "$1: $said"
    echo "$said" | tail -n 1 | grep -qx '10 passed, 0 failed' || die "$1: $said"
    echo "link: $1: $(echo "$said" | tail -n 1), .text $("${CROSS_COMPILE}size" -A \
        "$work/$1/lib-aarch64/libtrestle.o" | awk '$1 == ".text" { print $2 }') bytes"
}

lives plain '-O2 -g' '-O2 -g' ''
lives small '-Os -fno-builtin' -Os ''
lives ndebug '-O2 -DNDEBUG' -O2 ''
lives pic '-O3 -fPIC' -O3 ''
! "${CROSS_COMPILE}readelf" -rW "$work/pic/lib-aarch64/libtrestle.o" | grep -q GOT ||
    die 'pic: the archive needs a table of offsets'
# The host's own memset and memcpy are needed by code that is not for LTO any more.
lives lto '-O2 -flto' '-O2 -flto' ''
[ "$("${CROSS_COMPILE}nm" "$work/lto/host.elf" | grep -c ' T memset$')" = 1 ] ||
    die 'lto: the host has lost its memset'

# ROOTS: what nobody asked for is not there.
for name in s2_table_dump s2_batch_begin s2_space_fold; do
    if "${CROSS_COMPILE}nm" "$work/plain/lib-aarch64/libtrestle.o" | grep -q " $name\$"; then
        die "ROOTS did not ask for $name"
    fi
done
if $make lib TARGET=aarch64 BUILD="$work/plain" ROOTS=s2_space_initt >"$work/roots.log" 2>&1; then
    die 'ROOTS takes what is no function'
fi
grep -q 's2_space_initt is no public function' "$work/roots.log" || die 'ROOTS does not name what is not there'

# A bug of the host's: its mapping_assert_failed() hears where, and addr2line names the call.
build bug '-O2 -g' '-O2 -g' -DHOST_BUG
run bug && die "bug: the host goes on: $said"
place=$(echo "$said" | sed -n 's/an assertion failed before address //p')
[ -n "$place" ] || die "bug: $said"
"${CROSS_COMPILE}addr2line" -f -i -p -e "$work/bug/host.elf" "$(printf '%#x' "$place")" |
    grep -q s2_vmid_init || die "bug: address $place is not in s2_vmid_init()"
echo 'link: an assertion that fails tells the host which call it was'

# The same in words.
cat >"$work/text.c" <<'END'
#include "core/frame_pool.h"

#include <stdio.h>
#include <stdlib.h>

void mapping_assert_failed(const char *place)
{
    puts(place);
    exit(3);
}

int main(void)
{
    static struct frame_info infos[4];
    struct frame_region bank = {PA_INIT(0x1000), NULL, 4, infos};
    static struct frame_pool pool;

    if (frame_pool_init(&pool, 12, &bank, 1) == MAPPING_OK) {
        frame_pool_seal(&pool, pa_of(0x1000));
    }
    return 0;
}
END
$make lib ASSERT_TEXT=yes BUILD="$work/text" ROOTS='frame_pool_init frame_pool_seal' >"$work/text.log" 2>&1 ||
    die "ASSERT_TEXT=yes does not build, see $work/text.log"
$CC -std=c11 -O2 -DMAPPING_ASSERT_TEXT -I. -o "$work/text.run" "$work/text.c" "$work/text/lib/libtrestle.a"
said=$("$work/text.run") && die 'ASSERT_TEXT=yes: the program goes on'
echo "$said" | grep -qE '^(\./)?core/frame_[a-z]+\.[ch]:[0-9]+: ' || die "ASSERT_TEXT=yes: $said"
echo "link: or in words: $said"
