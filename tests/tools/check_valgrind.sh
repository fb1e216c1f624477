#!/bin/sh
# check_valgrind.sh RUNNER - the unit tests under valgrind, with a model short enough for it.
#
# A test that touches what it must not exits with 99, which libcheck counts as a failure. Valgrind
# runs one thread at a time: fairly, or those that wait for a lock would keep its holder out.
# Nothing is asked about leaks: the library allocates nothing, and the scan after each test is dear.
set -eu

export TRESTLE_MODEL_OPS="${TRESTLE_MODEL_OPS:-2000}" CK_TIMEOUT_MULTIPLIER=20
exec "$(dirname "$0")/run_suites.sh" "$1" valgrind --quiet --leak-check=no --fair-sched=yes \
    --error-exitcode=99
