#!/bin/sh
# check_install.sh - install both archives aside, build a stranger's programs (install_*.c) from
# nothing but what was installed, run them, and take everything away again.
#
#   check_install.sh MAKE      BUILD CC CROSS_COMPILE BASE_FLAGS EL2_FLAGS in the environment
set -eu

make=$1
case $BUILD in
/*) root=$BUILD/install ;;
*) root=$PWD/$BUILD/install ;;
esac
rm -rf "$root"
mkdir -p "$root"
away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT
cp tests/tools/install_*.c "$away"
programs=$(cd "$away" && ls install_*.c | sed 's/\.c$//')

die() {
    echo "install: $*" >&2
    exit 1
}

# $1: prefix. What a stranger's build asks.
ask() {
    prefix_asked=$1
    shift
    PKG_CONFIG_PATH=$prefix_asked/lib/pkgconfig pkg-config "$@" trestle
}

# $1: prefix; $2: compiler and flags. Each installed header compiles alone, from outside the tree.
headers_stand_alone() {
    (cd "$1/include/trestle" && find . -name '*.h' | sed 's|^\./||') | while read -r header; do
        printf '#include "%s"\nextern int alone;\n' "$header" >"$away/alone.c"
        (cd "$away" && $2 $(ask "$1" --cflags) -fsyntax-only alone.c) ||
            die "$header does not compile as installed"
    done
}

check_host() {
    $make install prefix="$root/host"
    headers_stand_alone "$root/host" "$CC $BASE_FLAGS"
    for program in $programs; do
        (cd "$away" && $CC $BASE_FLAGS $(ask "$root/host" --cflags) -o "$program" "$program.c" \
            $(ask "$root/host" --libs) && "./$program") || die "$program failed on the host"
    done
}

check_target() {
    $make install TARGET=aarch64 prefix="$root/aarch64"
    headers_stand_alone "$root/aarch64" "${CROSS_COMPILE}gcc $BASE_FLAGS $EL2_FLAGS"
    for program in $programs; do
        (cd "$away" && ${CROSS_COMPILE}gcc $BASE_FLAGS $EL2_FLAGS \
            $(ask "$root/aarch64" --cflags) -nostdlib -r -o "$program.o" "$program.c" \
            $(ask "$root/aarch64" --libs)) || die "$program does not build for aarch64"
        needs=$("${CROSS_COMPILE}nm" -u "$away/$program.o" | awk '$1 == "U" { print $2 }' |
            grep -vxE 'memcpy|memset|memmove|memcmp' || true)
        [ -z "$needs" ] || die "$program is freestanding, yet it needs" $needs
    done
}

# DESTDIR stages, the prefix in trestle.pc stays; uninstall leaves what is not ours, and only that.
check_uninstall() {
    stage=$root/stage
    $make install DESTDIR="$stage" prefix=/opt/trestle
    grep -qx 'prefix=/opt/trestle' "$stage/opt/trestle/lib/pkgconfig/trestle.pc" ||
        die "DESTDIR shows in trestle.pc"
    touch "$stage/opt/trestle/include/stranger.h" "$stage/opt/trestle/lib/stranger.a"
    $make uninstall DESTDIR="$stage" prefix=/opt/trestle
    left=$(cd "$stage" && find . ! -type d | sort | tr '\n' ' ')
    [ "$left" = './opt/trestle/include/stranger.h ./opt/trestle/lib/stranger.a ' ] ||
        die "uninstall left $left"
    [ ! -d "$stage/opt/trestle/include/trestle" ] || die "uninstall left its directory"
}

check_host
check_target
check_uninstall
rm -rf "$root"
echo "install: both archives install, serve a stranger and go without a trace"
