#!/bin/sh
# check_valgrind.sh RUNNER - the unit tests under valgrind, with a model short enough for it.
#
# Tests that die on purpose make valgrind talk, so what it says is shown only when a test failed. A
# test that touches what it must not exits with 99, which libcheck counts as a failure. Valgrind runs
# one thread at a time: fairly, or those that wait for a lock would keep the one that holds it out.
set -eu

log=$1.valgrind.log
export TRESTLE_MODEL_OPS="${TRESTLE_MODEL_OPS:-2000}" CK_TIMEOUT_MULTIPLIER=20
valgrind --quiet --fair-sched=yes --error-exitcode=99 --log-file="$log" "$1" || {
    cat "$log"
    exit 1
}
