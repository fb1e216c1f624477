#!/bin/sh
# setup.sh - see to it that the tools named are on this machine.
#
#   setup.sh install TOOL...   install what is missing, where that is possible and allowed
#   setup.sh need TOOL...      only say what is missing, and fail
#
# install works on Debian and Ubuntu, as root or with sudo that asks for no password; SETUP=no in
# the environment forbids it. Otherwise the exact command is printed, and the answer is failure.
set -eu

mode=$1
shift
: "${CC:=gcc}" "${CROSS_COMPILE:=aarch64-linux-gnu-}" "${QEMU:=qemu-system-aarch64}"

# A compiler counts when it makes a program that runs the C library, so its headers are there too.
compiles() {
    printf '#include <stdint.h>\nint main(void)\n{\n    return 0;\n}\n' |
        "$@" -x c -o /dev/null - >/dev/null 2>&1
}

compiles_cxx() {
    printf '#include <memory>\nint main()\n{\n}\n' | g++ -x c++ -o /dev/null - >/dev/null 2>&1
}

have() {
    case $1 in
    cc) compiles $CC ;;
    cross) command -v "${CROSS_COMPILE}gcc" >/dev/null ;;
    check) pkg-config --exists check 2>/dev/null ;;
    qemu) command -v "$QEMU" >/dev/null ;;
    cxx) compiles_cxx ;;
    bsd) pkg-config --exists libbsd 2>/dev/null ;;
    glib) pkg-config --exists glib-2.0 2>/dev/null ;;
    ck) pkg-config --exists ck 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

packages_of() {
    case $1 in
    cc) echo gcc libc6-dev ;;
    cross) echo gcc-aarch64-linux-gnu ;;
    check) echo pkg-config check ;;
    qemu) echo qemu-system-arm ;;
    cxx) echo g++ ;;
    bsd) echo pkg-config libbsd-dev ;;
    glib) echo pkg-config libglib2.0-dev ;;
    ck) echo pkg-config libck-dev ;;
    *) echo "$1" ;;
    esac
}

name_of() {
    case $1 in
    cc) echo "$CC with the C library" ;;
    cross) echo "${CROSS_COMPILE}gcc" ;;
    check) echo 'pkg-config and libcheck' ;;
    qemu) echo "$QEMU" ;;
    cxx) echo 'g++ with its library' ;;
    bsd) echo 'pkg-config and libbsd' ;;
    glib) echo 'pkg-config and GLib' ;;
    ck) echo 'pkg-config and Concurrency Kit' ;;
    *) echo "$1" ;;
    esac
}

missing_of() {
    for tool in "$@"; do
        have "$tool" || printf '%s ' "$tool"
    done
}

missing=$(missing_of "$@")
[ -n "$missing" ] || exit 0

packages= names=
for tool in $missing; do
    packages="$packages $(packages_of "$tool")"
    names="$names${names:+, }$(name_of "$tool")"
done
command="apt-get install -y --no-install-recommends$packages"

give_up() {
    echo "setup: missing: $names ($1)" >&2
    echo "setup: on Debian or Ubuntu, run as root:" >&2
    echo "    apt-get update && $command" >&2
    exit 1
}

[ "$mode" = install ] || give_up 'this target installs nothing by itself'
[ "${SETUP:-yes}" != no ] || give_up 'SETUP=no forbids installing'
command -v apt-get >/dev/null || give_up 'this machine has no apt-get'
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo='sudo -n'
else
    give_up 'neither root nor sudo without a password'
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

apt() {
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1
}

update() {
    echo 'setup: apt-get update' >&2
    apt update
}

install() {
    echo "setup: $command" >&2
    apt install -y --no-install-recommends $packages
}

# An image fresh from its maker has no package lists; an old one has lists of packages long gone.
ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || update || true
install || { update && install; } || {
    tail -n 20 "$log" >&2
    give_up 'apt-get failed, see above'
}

missing=$(missing_of $missing)
[ -z "$missing" ] || give_up 'still, though apt-get succeeded'
echo 'setup: done' >&2
