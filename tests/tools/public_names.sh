#!/bin/sh
# public_names.sh - which of the names on the input are public: they carry a public prefix, and a
# header that is installed declares them.
#
#   public_names.sh keep HEADER...     print the public ones
#   public_names.sh reject HEADER...   print the others
set -eu

mode=$1
shift
awk -v mode="$mode" '
    FILENAME != "-" {
        line = $0
        if (line ~ /^ ?\*|^\/\*/) {
            next
        }
        if (match(line, /^extern const struct [a-z0-9_]+ [a-z0-9_]+;/)) {
            sub(/;.*/, "", line)
            sub(/.* /, "", line)
            declared[line] = 1
        }
        while (match(line, /[A-Za-z_][A-Za-z0-9_]*\(/)) {
            declared[substr(line, RSTART, RLENGTH - 1)] = 1
            line = substr(line, RSTART + RLENGTH)
        }
        next
    }
    {
        public = ($1 in declared) && $1 ~ /^(ipa|pa|mapping|memory|frame|s2)_/
        if (public == (mode == "keep")) {
            print $1
        }
    }' "$@" -
