#!/bin/sh
# archive.sh - make the archive that ships: all objects in one, its global names the public ones.
#
#   archive.sh 'COMPILER AND FLAGS' TOOL_PREFIX ARCHIVE OBJECT...
#
# In the environment: PUBLIC_HEADERS; ROOTS: public functions; only what they need is kept.
#
# A name is public if public_names.sh says so; all others become local, so that an embedder's names
# cannot clash with them, nor an embedder come to depend on them. Objects for link-time optimisation
# are brought to an end here: what ships is machine code, whose names can be made local, and which
# needs memcpy and its like as any other object does.
set -eu

compiler=$1 tools=$2 archive=$3
shift 3
here=$(dirname "$0")
base=${archive%.a}

die() {
    echo "archive: $*" >&2
    rm -f "$archive"
    exit 1
}

[ "$(head -c 2 "$1")" != BC ] || die 'LLVM bitcode: -flto is for gcc alone'
if "${tools}objdump" -h "$1" | grep -q '\.gnu\.lto_'; then
    $compiler -flto=auto -r -nostdlib -flinker-output=nolto-rel -o "$base.lto.o" "$@"
    set -- "$base.lto.o"
fi

# Public names that the objects define.
public() {
    "${tools}nm" -g --defined-only "$@" | awk 'NF == 3 { print $3 }' |
        "$here/public_names.sh" keep $PUBLIC_HEADERS
}

public "$@" >"$base.names"
[ -s "$base.names" ] || die "no public name in $*"
undefined=
for root in ${ROOTS:-}; do
    grep -qx "$root" "$base.names" || die "ROOTS: $root is no public function"
    undefined="$undefined -u $root"
done
"${tools}ld" -r ${undefined:+--gc-sections $undefined} -T "$here/../../linker/archive.ld" \
    -o "$base.all.o" "$@"

"${tools}objcopy" --keep-global-symbols="$base.names" "$base.all.o" "$base.o"
rm -f "$archive"
"${tools}ar" rcsD "$archive" "$base.o"
