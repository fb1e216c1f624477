#!/bin/sh
# check_valgrind.sh RUNNER - the unit tests under valgrind, with a model short enough for it.
#
# A test that touches what it must not exits with 99, which libcheck counts as a failure. Valgrind
# runs one thread at a time: fairly, or those that wait for a lock would keep its holder out.
# Only suites that put the library itself through its paces: valgrind is slow, looks for what ASan
# cannot see (memory that was never written), and learns nothing from the thousands of programs that
# judge the judge. Nothing is asked about leaks: the library allocates nothing, and the scan after
# each test is dear.
set -eu

export TRESTLE_SUITES="${TRESTLE_SUITES:-addr avl frame_pool frame_pool_check memory_set \
memory_set_protocol memory_set_model tlbi tlb_batch tlb_flush memory backend space table_map \
table_unmap table_protect table_fold}"
export TRESTLE_MODEL_OPS="${TRESTLE_MODEL_OPS:-2000}" CK_TIMEOUT_MULTIPLIER=20
exec "$(dirname "$0")/run_suites.sh" "$1" valgrind --quiet --leak-check=no --fair-sched=yes \
    --error-exitcode=99
