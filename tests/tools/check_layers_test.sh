#!/bin/sh
# check_layers_test.sh - break each rule of check_layers.sh once, in a copy of the tree, and see to
# it that the script notices that, by name.
#
#   check_layers_test.sh HOST_ARCHIVE TARGET_ARCHIVE      environment as for check_layers.sh
set -eu

absolute() {
    case $1 in
    /*) echo "$1" ;;
    *) echo "$PWD/$1" ;;
    esac
}

host_archive=$(absolute "$1") target_archive=$(absolute "$2")
work=$(absolute "$BUILD")/layers
copy=$work/copy
BUILD=$work/copy.build
export BUILD
count=0

# $1: check; $2: what it must say; $3: shell that breaks the rule inside of the copy.
expect() {
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -R core stage2 hyp tests linker "$copy"
    (cd "$copy" && git init -q . 2>/dev/null || true; eval "$3")
    if (cd "$copy" && tests/tools/check_layers.sh "$host_archive" "$target_archive" "$1") \
        >"$work/test.log" 2>&1; then
        echo "layers: nobody noticed: $3" >&2
        exit 1
    fi
    grep -qF "$2" "$work/test.log" || {
        echo "layers: \"$2\" was expected after: $3" >&2
        cat "$work/test.log" >&2
        exit 1
    }
    count=$((count + 1))
}

expect rooms 'not a room of this house: attic' 'mkdir attic; touch attic/trunk'
expect rooms 'core is flat: core/cellar' 'mkdir core/cellar'
expect rooms 'not a floor of stage2: stage2/attic' 'mkdir stage2/attic'
expect rooms 'on no floor of stage2: stage2/walk.h' 'touch stage2/walk.h'
expect rooms 'neither a .c nor a .h: stage2/table/walk.S' 'touch stage2/table/walk.S'
expect rooms 'not a floor of hyp: hyp/attic' 'mkdir hyp/attic'
expect rooms 'on no floor of hyp: hyp/print.c' 'touch hyp/print.c'
expect rooms 'stage2/el2 holds arch_impl.h alone: stage2/el2/more.h' 'touch stage2/el2/more.h'

expect includes 'astray: core/err.c' 'echo "#include \"stage2/arch/arch.h\"" >>core/err.c'
expect includes 'astray: core/err.c' 'echo "#include <stdio.h>" >>core/err.c'
expect includes 'astray: core/err.h' 'echo "#  include \"err.h\"" >>core/err.h'
expect includes 'astray: stage2/table/new.c' 'echo "#include \"hyp/machine/print.h\"" >stage2/table/new.c'
expect includes 'astray: stage2/table/new.c' 'echo "#include \"tests/sim/sim.h\"" >stage2/table/new.c'
expect includes 'astray: stage2/table/new.c' 'echo "#include \"arch_impl.h\"" >stage2/table/new.c'
expect includes 'astray: stage2/arch/new.c' \
    'echo "#include \"stage2/table/table.h\"" >stage2/arch/new.c'
expect includes 'astray: stage2/tlb/new.c' \
    'echo "#include \"stage2/table/table.h\"" >stage2/tlb/new.c'
expect includes 'astray: stage2/table/new.c' \
    'echo "#include \"stage2/space/space.h\"" >stage2/table/new.c'
expect includes 'astray: hyp/vm/new.c' 'echo "#include \"tests/sim/sim.h\"" >hyp/vm/new.c'
expect includes 'what is not public: hyp/vm/new.c' 'echo "#include \"stage2/arch/arch.h\"" >hyp/vm/new.c'

expect includes 'astray: hyp/machine/new.c' \
    'echo "#include \"hyp/vm/guest.h\"" >hyp/machine/new.c'
expect includes 'astray: hyp/vm/new.c' \
    'echo "#include \"hyp/story/expect.h\"" >hyp/vm/new.c'

expect circles 'goes in a circle: stage2/table/' \
    'echo "#include \"stage2/table/operation.h\"" >>stage2/table/walk.c'
expect circles 'goes in a circle: core/' 'echo "#include \"core/memory_set.h\"" >>core/avl.h'

expect own_header_first 'not included first: stage2/arch/new.c' \
    'touch stage2/arch/new.h; echo "#include \"core/err.h\"" >stage2/arch/new.c'
expect own_header_first 'not included first: core/new.c' \
    'touch core/new.h; echo "#include \"core/err.h\"" >core/new.c'

expect words 'asm outside' 'echo "void f(void) { __asm__(\"\"); }" >stage2/table/new.c'
expect words '.raw outside' 'echo "int f(struct s *s) { return s->raw; }" >core/new.c'
expect words '.raw outside' 'echo "int f(ipa_t s) { return s.raw; }" >stage2/table/new.h'

expect headers 'core/new.h' 'echo "uint64_t f(void);" >core/new.h'
expect headers 'stage2/table/new.h' 'echo "struct s { int i; };" >stage2/table/new.h'
expect headers 'core/err.h' 'echo "#include <string.h>" >>core/err.h'
for definition in '#define BIT(n) n' 'static inline void lock_it(void) { }' 'struct lock;' \
    'typedef int u64;' 'typedef void (*callback)(void);' 'enum s2_x {\n    FIRST,\n    S2_OTHER\n};' \
    'int get_it(void);'; do
    name=$(printf '%s\n' "$definition" | grep -oE 'BIT|lock_it|lock\b|u64|callback|FIRST|get_it' | head -n 1)
    expect names "no prefix of ours: $name" "sed -i 's|^TRESTLE_END|$definition\n&|' core/err.h"
done
expect headers 'tests/sim/new.h' 'echo "uint64_t f(void);" >tests/sim/new.h'

# An installed header that calls what the archive keeps to itself.
expect inlines 'more than the archive has' \
    'sed -i "s|^#endif\$||" core/err.h; printf "%s\n" "void avl_x(void);" \
        "static inline void f(void) { avl_x(); }" "#endif" >>core/err.h'

# $1: C source; $2: what must be said of an archive made of it.
expect_of_archive() {
    mkdir -p "$BUILD"
    echo "$1" | "$CC" -x c -ffreestanding -fno-stack-protector -c -o "$BUILD/bad.o" -
    rm -f "$BUILD/bad.a"
    ar rcs "$BUILD/bad.a" "$BUILD/bad.o"
    host_archive=$BUILD/bad.a
    expect archives "$2" true
}

expect_of_archive 'int avl_first(void) { return 0; }' 'bad.a exports: avl_first'
expect_of_archive 'int s2_unheard_of(void) { return 0; }' 'bad.a exports: s2_unheard_of'
# A call that no include shows.
mkdir -p "$BUILD/bad/stage2/tlb" "$BUILD/bad/stage2/table"
echo 'void s2_up(void); void s2_down(void); void s2_down(void) { s2_up(); }' |
    "$CC" -x c -c -o "$BUILD/bad/stage2/tlb/down.o" -
echo 'void s2_up(void); void s2_up(void) {}' | "$CC" -x c -c -o "$BUILD/bad/stage2/table/up.o" -
mkdir -p "$BUILD/bad/core"
host_archive=$BUILD/bad/libtrestle.a
expect circles 'call runs uphill: stage2/tlb/down stage2/table/up' \
    'touch stage2/tlb/down.c stage2/table/up.c'

expect_of_archive 'int printf(const char *, ...); static int f(void) { return printf("x"); }
int (*const mapping_error_name)(void) = f;' 'bad.a needs: printf'

rm -rf "$copy" "$BUILD"
echo "layers: $count rules broken, $count noticed"
