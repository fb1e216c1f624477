#!/bin/sh
# peers.sh - how to compile and link what the library is compared with, as far as it is there.
#
#   peers.sh cflags | libs
#
# A package that is missing defines nothing, and its peer says that it is not there. Its headers are
# the system's: their warnings are not ours.
set -eu

what=$1

# $1: the package as pkg-config knows it; $2: what says that it is there.
flags_of() {
    pkg-config --exists "$1" 2>/dev/null || return 0
    printf -- '-D%s %s ' "$2" "$(pkg-config --cflags-only-I "$1" | sed 's/-I/-isystem /g')"
}

case $what in
cflags)
    flags_of libbsd PEER_HAS_BSD
    flags_of glib-2.0 PEER_HAS_GLIB
    flags_of ck PEER_HAS_CK
    ;;
libs) # the others are all in headers
    pkg-config --libs glib-2.0 2>/dev/null || true
    ;;
esac
