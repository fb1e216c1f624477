#!/bin/sh
# bench_instr.sh - count the instructions of the verbs, and their TLBIs, and write them down.
#
#   bench_instr.sh BENCH JSON [NAME...]
#
# callgrind counts what is executed in the measured part of a case; the same binary gives the same
# number on every machine. Each case has a goal ("-": none), what is left to it is printed (below zero:
# it is not reached), and where it is held, which it must not exceed. TLBIs are those of one call, and so are flushes. With names: only those.
set -eu

bench=$1 json=$2
shift 2
command -v valgrind >/dev/null || {
    echo "bench-instr: valgrind is missing (Debian: apt-get install valgrind)" >&2
    exit 1
}

is_wanted() { # NAME, of "$@"
    name=$1
    shift
    [ $# -gt 0 ] || return 0
    for one in "$@"; do
        [ "$one" != "$name" ] || return 0
    done
    return 1
}

tlbi_bound() { # TLBIs of a case, at most; flushes are always one
    case $1 in
    tlbi.unmap_1g_of_pages) echo 3 ;;
    tlbi.unmap_1g_of_pages_no_ranges) echo 1 ;;
    tlbi.unmap_1g_of_pages_all_there_is) echo 3 ;;
    tlbi.write_protect_2m_of_pages) echo 2 ;;
    tlbi.write_protect_2m_no_ranges) echo 1 ;;
    tlbi.split_page_of_1g*) echo 2 ;;
    tlbi.split_both_ends) echo 2 ;; # two blocks of 1G and stage 1
    tlbi.split_both_ends_no_ranges) echo 3 ;;
    *) echo "bench-instr: no bound for $1" >&2 && echo 0 ;;
    esac
}

failed=0 separator=
echo "[" >"$json"
printf '%-26s %9s %12s %11s %10s %12s %10s\n' name items instructions per_item goal left held_at
"$bench" >"$json.cases"
while read -r name items goal held; do
    is_wanted "$name" "$@" || continue
    log=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --toggle-collect=instr_measure "$bench" "$name" 2>&1) || {
        echo "$log" >&2
        exit 1
    }
    instr=$(echo "$log" | sed -n 's/.*Collected : \([0-9]*\).*/\1/p')
    printf '%-26s %9s %12s ' "$name" "$items" "$instr"
    awk -v i="$instr" -v n="$items" -v goal="$goal" -v held="$held" 'BEGIN {
        each = i / n
        if (goal == 0) {
            printf "%11.2f %10s %12s %10s\n", each, "-", "-", "-"
        } else {
            printf "%11.2f %10s %12.2f %10s\n", each, goal, goal - each, held
        }
        exit !(held == 0 || each <= held)
    }' || failed=1
    printf '%s  {"name": "%s", "n": %s, "instr": %s}' "$separator" "$name" "$items" "$instr" >>"$json"
    separator=",
"
done <"$json.cases"
printf '%-36s %6s %6s %6s %6s\n' name tlbis bound flushes bound
"$bench" --tlbi >"$json.cases"
while read -r name tlbis flushes; do
    is_wanted "$name" "$@" || continue
    max=$(tlbi_bound "$name")
    printf '%-36s %6s %6s %6s %6s\n' "$name" "$tlbis" "$max" "$flushes" 1
    [ "$tlbis" -gt 0 ] && [ "$tlbis" -le "$max" ] && [ "$flushes" -eq 1 ] || failed=1
    printf '%s  {"name": "%s", "tlbis": %s, "flushes": %s}' "$separator" "$name" "$tlbis" "$flushes" \
        >>"$json"
    separator=",
"
done <"$json.cases"
printf '\n]\n' >>"$json"
rm -f "$json.cases"

# Of 1,000 calls each; at a million areas at most three times what it is at a thousand.
growth() { # 1e3 or 1e6
    valgrind --tool=callgrind --callgrind-out-file="$json.callgrind" \
        --toggle-collect=instr_measure "$bench" "growth.$1" >/dev/null 2>&1
    callgrind_annotate --inclusive=yes --threshold=100 "$json.callgrind" |
        sed -n 's/^ *\([0-9,]*\) .*[:?]\(growth_[a-z_]*\).*/\2 \1/p' | tr -d , |
        awk '$2 > most[$1] { most[$1] = $2 } END { for (name in most) print name, most[name] }' | sort
}
if is_wanted growth "$@"; then
    printf '%-26s %14s %14s %8s %6s\n' 'growth, a call' '1,000 areas' '1,000,000' times bound
    growth 1e3 >"$json.few"
    growth 1e6 >"$json.many"
    join "$json.few" "$json.many" | awk '{
        printf "%-26s %14.0f %14.0f %8.2f %6s\n", $1, $2 / 1000, $3 / 1000, $3 / $2, 3
        seen++
        bad += $3 > 3 * $2
    }
    END { exit !(seen == 7 && bad == 0) }' || failed=1
    rm -f "$json.few" "$json.many" "$json.callgrind"
fi
[ "$failed" = 0 ] || {
    echo "bench-instr: a case exceeds what it is held at" >&2
    exit 1
}
