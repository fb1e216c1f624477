#!/bin/sh
# run_suites.sh - run every suite of a unit test runner, one per processor at a time.
#
#   run_suites.sh RUNNER [TOOL...]      each suite runs as TOOL... RUNNER SUITE
#
# TRESTLE_SUITES in the environment: these alone.
#
# One line a suite, and what it says of its seeds; all it printed if it failed. All suites run, also
# after one failed; what failed is said again at the end. The last line is "N passed, M failed".
set -u

runner=$1
logs=$runner.logs
rm -rf "$logs"
mkdir -p "$logs"

# Runner, logs, suite and tool are the arguments.
one_suite='
    runner=$1 log=$2/$3 suite=$3
    shift 3
    "$@" "$runner" "$suite" >"$log" 2>&1
    code=$?
    last=$(tail -n 1 "$log")
    case $code:$last in
    "0:"[1-9]*" passed, 0 failed")
        grep "TRESTLE_" "$log"
        printf "  %-22s %s\n" "$suite" "$last"
        ;;
    *)
        cat "$log"
        printf "  %-22s FAILED: exit code %s\n" "$suite" "$code"
        grep -qE "^[0-9]+ passed, [0-9]+ failed$" "$log" || echo "0 passed, 1 failed" >>"$log"
        exit 1
        ;;
    esac'

shift
if [ -n "${TRESTLE_SUITES:-}" ]; then
    printf '%s\n' $TRESTLE_SUITES >"$logs/list"
else
    "$runner" --list >"$logs/list" || exit 1
fi
xargs -P "$(nproc)" -I '{}' sh -c "$one_suite" sh "$runner" "$logs" '{}' "$@" <"$logs/list"
code=$?
rm "$logs/list"
grep -LE '^[1-9][0-9]* passed, 0 failed$' "$logs"/* | while read -r log; do
    grep -HE ':[FES]:' "$log" || tail -n 3 "$log"
done | sed "s|^$logs/||"
grep -hE '^[0-9]+ passed, [0-9]+ failed$' "$logs"/* |
    awk '{ passed += $1; failed += $3 } END { printf "%d passed, %d failed\n", passed, failed }'
exit "$code"
