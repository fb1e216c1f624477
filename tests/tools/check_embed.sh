#!/bin/sh
# check_embed.sh HOST_ARCHIVE - hosts in other languages: each builds on the archive, and runs. Installed
# headers compile as C++17, alone and twice. What this machine has no compiler for is named, not counted.
#
# In the environment: BUILD PUBLIC_HEADERS ASSERT_TEXT; CXX_COMPILERS, RUSTC.
set -eu

archive=$1
: "${CXX_COMPILERS:=g++ clang++}" "${RUSTC:=rustc}"
work=$BUILD/embed
strict='-std=c++17 -Wall -Wextra -Wpedantic -Werror'
text=
[ "${ASSERT_TEXT:-}" != yes ] || text=-DMAPPING_ASSERT_TEXT
mkdir -p "$work"
done_with='' left_out=''

die() {
    echo "embed: $*" >&2
    exit 1
}

for compiler in $CXX_COMPILERS; do
    command -v "$compiler" >/dev/null || {
        left_out="$left_out $compiler"
        continue
    }
    for header in $PUBLIC_HEADERS; do
        printf '#include "%s"\n#include "%s"\nextern int alone;\n' "$header" "$header" \
            >"$work/alone.cpp"
        $compiler $strict $text -I. -fsyntax-only "$work/alone.cpp" ||
            die "$header does not compile with $compiler"
    done
    $compiler $strict $text -O2 -I. -o "$work/cxx" tests/embed/cxx/host.cpp "$archive" &&
        "$work/cxx" || die "the host in C++ fails with $compiler"
    done_with="$done_with $compiler"
done

if command -v "$RUSTC" >/dev/null; then
    $RUSTC --edition 2021 -D warnings -o "$work/rust" tests/embed/rust/host.rs \
        -C link-arg="$archive" && "$work/rust" || die 'the host in Rust fails'
    done_with="$done_with $RUSTC"
else
    left_out="$left_out $RUSTC"
fi
echo "embed: hosts of${done_with:- nobody} live${left_out:+; left out, as it is missing:$left_out}"
