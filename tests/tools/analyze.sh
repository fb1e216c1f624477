#!/bin/sh
# analyze.sh - what tools can see without running: clang-tidy (with nesting), cppcheck, the length
# of functions, and how densely core and stage2 assert.
#
# Limits are those of the house: a function has at most 60 lines, core and stage2 at least 4
# assertions per 100 lines of code.
set -eu

longest=60
least_asserts=4
library=$(find core stage2 -name '*.[ch]' ! -path 'stage2/el2/*' | sort)
failed=

# --- clang-tidy -----------------------------------------------------------------------------------
# $1: flags; then the files. gcc's own warnings are gcc's business: clang-tidy is told only the
# language and the paths.
tidy() {
    flags=$1
    shift
    [ $# -gt 0 ] || return 0
    printf '%s\n' "$@" | xargs -P "$(nproc)" -n 3 sh -c \
        'flags=$0; clang-tidy --quiet "$@" -- -std=c11 -I. $flags' "$flags" >"$log" 2>&1 || {
        grep -vE '^[0-9]+ warnings?( and [0-9]+ errors?)? generated\.$' "$log"
        failed="$failed clang-tidy"
    }
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo '-- clang-tidy'
tidy -Itests/sim $(find core stage2 tests/sim tests/model tests/unit -name '*.c')
tidy '-Istage2/el2 --target=aarch64-linux-gnu -ffreestanding -mgeneral-regs-only' \
    $(find hyp -name '*.c')

# --- cppcheck -------------------------------------------------------------------------------------
# It is shown the code without assertions: it would take each for a doubt about what is asserted.
echo '-- cppcheck'
cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr \
    --suppress=missingIncludeSystem --suppress=comparePointers --error-exitcode=1 -j "$(nproc)" \
    -DNDEBUG -U__ASSEMBLER__ -I. -Itests/sim core stage2 hyp tests/sim tests/model ||
    failed="$failed cppcheck"

# --- Functions ------------------------------------------------------------------------------------
# pmccabe prints: complexity (2 kinds), statements, first line, lines, file(line): name
echo '-- length of functions'
lengths() {
    pmccabe "$@" | awk '{ print $5, $NF, $6 }' | sort -n
}

report() {
    name=$1
    shift
    [ $# -gt 0 ] || return 0
    lengths "$@" | awk -v name="$name" -v longest="$longest" '
        { length_of[NR] = $1 }
        $1 > longest { print "too long:", $1, "lines:", $2, $3; bad = 1 }
        END {
            printf "%s: %d functions, median %d lines, 95th percentile %d, longest %d\n", name, NR,
                length_of[int((NR + 1) / 2)], length_of[int(NR * 0.95 + 0.5)], length_of[NR]
            exit bad
        }' || failed="$failed length-of-functions"
}

report 'core and stage2' $library
report 'hyp' $(find hyp -name '*.c' | sort)
report 'tests' $(find tests/sim tests/model tests/unit -name '*.[ch]' ! -name 'test_*' | sort)

# --- Assertions -----------------------------------------------------------------------------------
# Lines of code, in sources and headers: neither blank nor comment.
echo '-- assertions'
for file in $library; do
    "${CC:-gcc}" -fpreprocessed -dD -E -P -x c "$file" 2>/dev/null | sed "s|^|$file |"
done | awk -v least="$least_asserts" '
    function show(what, asserts, lines) {
        printf "%-22s %3d assertions in %4d lines, %.1f per 100\n", what, asserts, lines,
            lines ? 100 * asserts / lines : 0
    }
    NF > 1 { lines[$1]++; all_lines++ }
    $2 != "#define" && /MAPPING_(STATIC_)?ASSERT\(|_Static_assert\(/ { asserts[$1]++; all_asserts++ }
    END {
        for (file in lines) {
            show(file, asserts[file], lines[file])
        }
        show("core and stage2", all_asserts, all_lines)
        exit 100 * all_asserts < least * all_lines
    }' || failed="$failed assertions"

if [ -n "$failed" ]; then
    echo "analyze: FAILED:$failed"
    exit 1
fi
echo 'analyze: nothing to complain about'
