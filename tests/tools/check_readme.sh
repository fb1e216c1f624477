#!/bin/sh
# check_readme.sh - compile and run the examples of README.md as they stand there.
#
#   check_readme.sh README ARCHIVE      BUILD CC BASE_FLAGS in the environment
#
# A line "<!-- file: NAME.c -->" in front of a block fenced as ```c says where the block belongs;
# blocks of one name are one program, in their order. A C block without a name is an error, since
# nobody would compile it. If a block fenced as ```text follows a line "<!-- output: NAME.c -->",
# it is exactly what that program prints.
set -eu

readme=$1 archive=$2
work=$BUILD/readme
rm -rf "$work"
mkdir -p "$work"

[ -f "$readme" ] || {
    echo "readme: $readme is not there" >&2
    exit 1
}

awk -v work="$work" '
    /^<!-- (file|output): [a-z0-9_]+\.c -->$/ {
        target = work "/" $3
        if ($2 == "output:") {
            target = target ".expected"
        }
        next
    }
    /^```/ && inside {
        inside = 0
        target = ""
        next
    }
    /^```/ {
        inside = 1
        if ($0 == "```c" && target == "") {
            printf "readme: line %d: a C block that names no file\n", NR > "/dev/stderr"
            bad = 1
        }
        if (target != "") {
            printf "" > target
        }
        next
    }
    inside && target != "" { print > target }
    END {
        if (inside) {
            print "readme: a block does not end" > "/dev/stderr"
            bad = 1
        }
        exit bad
    }' "$readme"

count=0
for source in "$work"/*.c; do
    [ -f "$source" ] || {
        echo "readme: no block names a file" >&2
        exit 1
    }
    program=${source%.c}
    name=$(basename "$source")
    $CC $BASE_FLAGS -I. -o "$program" "$source" "$archive"
    "$program" >"$source.printed" || {
        echo "readme: $name answers $?" >&2
        exit 1
    }
    if [ -f "$source.expected" ] && ! diff -u "$source.expected" "$source.printed"; then
        echo "readme: $name prints something else than the README says" >&2
        exit 1
    fi
    count=$((count + 1))
done
echo "readme: $count programs compile and run"
