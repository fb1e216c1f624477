#!/bin/sh
# size.sh MAKE - what a minimal embedder links, and what a guest's tables cost it: each beside its goal, and
# beside what it is held at, which it must not exceed. And every object's code, for who wants less of it.
#
#   a minimal embedder: a pool, a space, map, unmap, its end
#
# In the environment: BUILD CC CROSS_COMPILE.
set -eu

make=$1
work=$BUILD/size
roots='frame_pool_init s2_space_init s2_space_map_linear s2_space_unmap s2_space_fini'
failed=0
mkdir -p "$work"

# $1: what; $2: how much; $3: the goal; $4: what it is held at.
judge() {
    printf '%-44s %7d %7d %7d' "$1" "$2" "$3" "$4"
    if [ "$2" -gt "$4" ]; then
        printf '  too much'
        failed=1
    fi
    printf '\n'
}

# $1: a name; $2: flags. Bytes of .text.
text_of() {
    $make lib TARGET=aarch64 BUILD="$work/$1" CFLAGS="$2" ROOTS="$roots" ASSERT_TEXT= >"$work/$1.log" 2>&1 || {
        tail -n 5 "$work/$1.log" >&2
        exit 1
    }
    "${CROSS_COMPILE}size" -A "$work/$1/lib-aarch64/libtrestle.o" | awk '$1 == ".text" { print $2 }'
}

cat >"$work/table.c" <<'END'
#include "stage2/table/table.h"

extern char table[sizeof(struct s2_table)];
char table[sizeof(struct s2_table)];
END
"${CROSS_COMPILE}gcc" -std=c11 -ffreestanding -I. -c -o "$work/table.o" "$work/table.c"
table=$("${CROSS_COMPILE}nm" -S "$work/table.o" | awk '$4 == "table" { print "0x" $2 }')

"${CROSS_COMPILE}size" $(find "$BUILD/lib-aarch64/core" "$BUILD/lib-aarch64/stage2" -name '*.o' | sort)
printf '%-44s %7s %7s %7s\n' bytes now goal held_at
judge '.text of a minimal embedder, -O2' "$(text_of O2 -O2)" 40960 70656
judge '.text of a minimal embedder, -Os -DNDEBUG' "$(text_of Os '-Os -DNDEBUG')" 32768 52736
judge 'struct s2_table' $((table)) 1024 2048
exit "$failed"
