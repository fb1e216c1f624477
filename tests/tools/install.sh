#!/bin/sh
# install.sh - put the archive, its headers and trestle.pc below a prefix, or take them away.
#
#   install.sh install|uninstall ARCHIVE HEADER...
#
# In the environment: prefix, DESTDIR, VERSION, ASSERT_TEXT.
set -eu

mode=$1 archive=$2
shift 2
root=$DESTDIR$prefix
include=$root/include/trestle

install_all() {
    text=
    [ "${ASSERT_TEXT:-}" != yes ] || text=' -DMAPPING_ASSERT_TEXT'
    for header in "$@"; do
        mkdir -p "$include/$(dirname "$header")"
        install -m 644 "$header" "$include/$header"
    done
    mkdir -p "$root/lib/pkgconfig"
    install -m 644 "$archive" "$root/lib/libtrestle.a"
    cat >"$root/lib/pkgconfig/trestle.pc" <<END
prefix=$prefix
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: trestle
Description: Stage-2 memory manager for Armv8-A type-1 hypervisors
Version: $VERSION
Cflags: -I\${includedir}/trestle$text
Libs: -L\${libdir} -ltrestle
END
    echo "installed below $root"
}

# Directories go only if they are Trestle's own, and only when nothing else is in them.
uninstall_all() {
    for header in "$@"; do
        rm -f "$include/$header"
    done
    rm -f "$root/lib/libtrestle.a" "$root/lib/pkgconfig/trestle.pc"
    for header in "$@"; do
        dirname "$header"
    done | sort -ru | while read -r directory; do
        rmdir "$include/$directory" 2>/dev/null || true
    done
    rmdir "$include" 2>/dev/null || true
    echo "uninstalled from $root"
}

case $mode in
install) install_all "$@" ;;
uninstall) uninstall_all "$@" ;;
esac
