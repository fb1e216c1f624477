#!/bin/sh
# bench_instr.sh - count the instructions of the table's verbs, and their TLBIs, and write them down.
#
#   bench_instr.sh BENCH JSON
#
# callgrind counts what is executed inside the measured function and all that it calls; the same
# binary gives the same number on every machine. The last column is the bound of the design, which
# a case must not exceed; "-" where there is none. TLBIs are those of one call, and so are flushes.
set -eu

bench=$1 json=$2
command -v valgrind >/dev/null || {
    echo "bench-instr: valgrind is missing (Debian: apt-get install valgrind)" >&2
    exit 1
}

measured() { # the function that a case is about
    case $1 in
    table.map_*) echo bench_map ;;
    table.protect_*) echo bench_protect ;;
    table.unmap_*) echo bench_unmap ;;
    table.translate_*) echo s2_table_translate ;;
    esac
}

bound() { # instructions an item, at most
    case $1 in
    *_runs) echo - ;;
    table.map_*) echo 6 ;;
    table.protect_*) echo 10 ;;
    table.unmap_*) echo 0.5 ;;
    table.translate_*) echo 60 ;;
    esac
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
printf '%-28s %10s %14s %9s %6s\n' name items instructions per_item bound
"$bench" >"$json.cases"
while read -r name items; do
    log=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --toggle-collect="$(measured "$name")" "$bench" "$name" 2>&1) || {
        echo "$log" >&2
        exit 1
    }
    instr=$(echo "$log" | sed -n 's/.*Collected : \([0-9]*\).*/\1/p')
    max=$(bound "$name")
    printf '%-28s %10s %14s ' "$name" "$items" "$instr"
    awk -v i="$instr" -v n="$items" -v max="$max" 'BEGIN {
        printf "%9.2f %6s\n", i / n, max
        exit !(max == "-" || i / n <= max)
    }' || failed=1
    printf '%s  {"name": "%s", "n": %s, "instr": %s}' "$separator" "$name" "$items" "$instr" >>"$json"
    separator=",
"
done <"$json.cases"
printf '%-36s %6s %6s %6s %6s\n' name tlbis bound flushes bound
"$bench" --tlbi >"$json.cases"
while read -r name tlbis flushes; do
    max=$(tlbi_bound "$name")
    printf '%-36s %6s %6s %6s %6s\n' "$name" "$tlbis" "$max" "$flushes" 1
    [ "$tlbis" -gt 0 ] && [ "$tlbis" -le "$max" ] && [ "$flushes" -eq 1 ] || failed=1
    printf '%s  {"name": "%s", "tlbis": %s, "flushes": %s}' "$separator" "$name" "$tlbis" "$flushes" \
        >>"$json"
done <"$json.cases"
printf '\n]\n' >>"$json"
rm -f "$json.cases"
[ "$failed" = 0 ] || {
    echo "bench-instr: a case exceeds its bound" >&2
    exit 1
}
