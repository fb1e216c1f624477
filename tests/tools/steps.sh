#!/bin/sh
# steps.sh - run targets of the Makefile one after the other, stop at the first that fails, and
# close with one line that says how it went.
#
#   steps.sh NAME MAKE STEP...
#
# A STEP that starts with - cannot be done with this compiler: named, not run, not counted.
set -u

name=$1 make=$2
shift 2
passed=0 left_out=
began=$(date +%s)

for step in "$@"; do
    case $step in
    -*)
        left_out="$left_out, ${step#-} left out: the compiler cannot"
        continue
        ;;
    esac
    start=$(date +%s)
    echo "== $step"
    if ! $make "$step"; then
        echo "$name: $step FAILED; $passed passed, 1 failed"
        exit 1
    fi
    echo "== $step: ok, $(($(date +%s) - start)) s"
    passed=$((passed + 1))
done
echo "$name: $passed passed, 0 failed ($(($(date +%s) - began)) s$left_out)"
