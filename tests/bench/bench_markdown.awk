#!/usr/bin/awk -f
# bench_markdown.awk - the table of the README's chapter on speed, from bench.json.
#
#   awk -f bench_markdown.awk bench.json
#
# Reads what tests/bench/bench_report.c writes: a result a line. Lines that are equal but for the
# peer are one row.

function text_of(key) {
    return match($0, "\"" key "\": \"[^\"]*\"") ? substr($0, RSTART + length(key) + 5, RLENGTH - length(key) - 6) : ""
}

function number_of(key) {
    return match($0, "\"" key "\": [-0-9.e+]+") ? substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0 : -1
}

function shown(ns) {
    if (ns < 0) return "-"
    if (ns >= 1e6) return sprintf("%.1f ms", ns / 1e6)
    if (ns >= 1e3) return sprintf("%.1f µs", ns / 1e3)
    return sprintf(ns >= 100 ? "%.0f ns" : "%.1f ns", ns)
}

# Sets at one size, and what is asked most at three; the rest is in the table that make bench prints.
function is_chosen(name, n) {
    if (name ~ /_near$/) return 0
    if (name == "set.find") return n != 1000
    if (name ~ /^set/) return n == 10000
    if (name ~ /^space/) return n <= 100000
    return 1
}

/"name"/ {
    name = text_of("name"); n = number_of("n")
    if (!is_chosen(name, n)) next
    key = name SUBSEP n
    if (!(key in row_of)) {
        rows++
        row_of[key] = rows
        rows_text[rows] = sprintf("| %s | %d | %s | %s | %.1f |", name, n, shown(number_of("ns")),
            shown(number_of("floor_ns")), number_of("ratio"))
        peers[rows] = ""
    }
    row = row_of[key]
    if (number_of("peer_ns") >= 0) {
        peers[row] = peers[row] (peers[row] == "" ? "" : ", ") text_of("peer") " " shown(number_of("peer_ns"))
    }
}

END {
    print "| name | n | a call | floor | times | peers |"
    print "|---|---|---|---|---|---|"
    for (row = 1; row <= rows; row++) print rows_text[row] " " (peers[row] == "" ? "-" : peers[row]) " |"
}
