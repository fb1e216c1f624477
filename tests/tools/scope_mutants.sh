#!/bin/bash
# Put faults back, each by an edit of one place in a copy of the tree, and see that the exhaustive
# search finds each by the name of the rule that it breaks. Usage: scope_mutants.sh MAKE
set -u

make=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
passed=0

# mutant NAME FILE PATTERN REPLACEMENT RULE: sed's basic expressions.
mutant() {
    local tree=$work/tree output
    rm -rf "$tree/core" "$tree/stage2" "$tree/tests"
    mkdir -p "$tree" && cp -R core stage2 tests Makefile "$tree" || exit 1
    if ! grep -q -- "$3" "$tree/$2"; then
        echo "  $1: nothing in $2 is like that any more"
        failed=$((failed + 1))
        return
    fi
    sed -i "s#$3#$4#" "$tree/$2" || exit 1
    if ! (cd "$tree" && $make WERROR= build/unit/tests/run) >"$work/log" 2>&1; then
        echo "  $1: does not build"
        tail -n 5 "$work/log"
        failed=$((failed + 1))
        return
    fi
    output=$("$tree/build/unit/tests/run" scope 2>&1)
    if grep -q -- "scope: $5" <<<"$output"; then
        echo "  $1: found, \"$5\""
        passed=$((passed + 1))
    else
        echo "  $1: not found as \"$5\""
        failed=$((failed + 1))
    fi
}

mutant 'a call does not flush what a batch deferred' stage2/space/locked.c \
    '    s2_table_end(&space->table);' '    (void)s2_table_end_deferred(\&space->table, 256);' \
    'promise 5: returned means gone'
mutant 'a protect to the same flags does not reach the leaves' stage2/space/locked.c \
    's2_hardware_flags(format, old_flags) != 0;' 'format == NULL;' \
    'promise 6: a protect re-arms what hardware has changed'
mutant 'state that an unmap takes out is told to nobody' stage2/table/entries.c \
    '    s2_state_removed(table, range, all, S2_DESC_NONE);' '    (void)range; (void)all;' \
    'promise 6: nothing that hardware wrote is lost'
mutant 'a map in a hole counts on all that the split leaves' stage2/table/map.c \
    'left = s2_pieces_tables_left(walk->table, entry, walk->level, piece);' \
    'left = tables;' \
    'no legal program traps'
mutant 'a hole grows over what stays' stage2/table/pieces.c \
    'touch(hole, range) || is_free_between(table, hole, range)' 'touch(hole, range) || true' \
    'no legal program traps'
mutant 'a piece over a held map is counted as if it were not' stage2/table/change.c \
    'return s2_stretches_meet(&table->operation.pieces.maps, range) != NULL;' \
    'return s2_stretches_meet(\&table->operation.pieces.maps, range) != NULL \&\& false;' \
    'no legal program traps'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
