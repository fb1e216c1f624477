#!/bin/sh
# archive.sh - make the archive that ships: all objects in one, its global names the public ones.
#
#   archive.sh TOOL_PREFIX ARCHIVE OBJECT...      PUBLIC_HEADERS in the environment
#
# A name is public if public_names.sh says so; all others become local, so that an embedder's names
# cannot clash with them, nor an embedder come to depend on them.
set -eu

tools=$1 archive=$2
shift 2
here=$(dirname "$0")
base=${archive%.a}

"${tools}ld" -r -o "$base.all.o" "$@"
"${tools}nm" -g --defined-only "$base.all.o" | awk 'NF == 3 { print $3 }' |
    "$here/public_names.sh" keep $PUBLIC_HEADERS >"$base.names"
if ! [ -s "$base.names" ]; then
    echo "archive: no public name in $base.all.o" >&2
    exit 1
fi
"${tools}objcopy" --keep-global-symbols="$base.names" "$base.all.o" "$base.o"
rm -f "$archive"
"${tools}ar" rcsD "$archive" "$base.o"
