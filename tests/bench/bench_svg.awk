#!/usr/bin/awk -f
# bench_svg.awk - bench.json as a picture: a bar for each figure, on a scale of powers of ten.
#
#   awk -f bench_svg.awk bench.json >bench.svg
#
# Reads what tests/bench/bench_report.c writes: a result a line. Lines that are equal but for the
# peer are one row.

function text_of(key) {
    return match($0, "\"" key "\": \"[^\"]*\"") ? substr($0, RSTART + length(key) + 5, RLENGTH - length(key) - 6) : ""
}

function number_of(key) {
    return match($0, "\"" key "\": [-0-9.e+]+") ? substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0 : -1
}

function escaped(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

# Where a figure ends: below 0.1 ns, at the axis.
function x_of(ns) {
    return ns <= least ? left : left + (log(ns) - log(least)) / log(10) * decade
}

function shown(ns) {
    if (ns >= 1e9) return sprintf("%.1f s", ns / 1e9)
    if (ns >= 1e6) return sprintf("%.1f ms", ns / 1e6)
    if (ns >= 1e3) return sprintf("%.1f µs", ns / 1e3)
    return sprintf("%.1f ns", ns)
}

function put_text(x, y, class, text) {
    printf "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, escaped(text)
}

function put_bar(y, class, ns, what) {
    printf "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" class=\"%s\"/>\n", left, y,
        x_of(ns) - left + 0.5, bar, class
    put_text(x_of(ns) + 4, y + bar - 1, "figure", shown(ns) what)
}

function height_of(row) {
    return gap + bar * (1 + (floors[row] >= 0) + peers[row])
}

function put_row(row, y,    i) {
    put_text(left - 6, y + bar, "name", names[row])
    put_bar(y, "ours", figures[row], "")
    y += bar
    if (floors[row] >= 0) {
        put_bar(y, "floor", floors[row], "")
        y += bar
    }
    for (i = 1; i <= peers[row]; i++) {
        put_bar(y, "peer", peer_figures[row, i], " " peer_names[row, i])
        y += bar
    }
}

function put_axis(bottom,    ns) {
    for (ns = least; ns <= most; ns *= 10) {
        printf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" class=\"grid\"/>\n", x_of(ns), top - 4,
            x_of(ns), bottom
        put_text(x_of(ns), top - 8, "axis", shown(ns))
    }
}

function put_legend(    i, x) {
    split("ours floor peer", keys, " ")
    for (i = 1; i <= 3; i++) {
        x = left + (i - 1) * 110
        printf "<rect x=\"%d\" y=\"36\" width=\"12\" height=\"10\" class=\"%s\"/>\n", x, keys[i]
        put_text(x + 16, 45, "figure", keys[i] == "ours" ? "Trestle" : keys[i])
    }
}

BEGIN {
    left = 250; top = 80; bar = 9; gap = 7; decade = 70; least = 0.1; most = least; rows = 0
}

/"name"/ {
    label = text_of("name") " (" number_of("n") ")"
    if (!(label in row_of)) {
        rows++
        row_of[label] = rows
        names[rows] = label
        figures[rows] = number_of("ns")
        floors[rows] = number_of("floor_ns")
        peers[rows] = 0
    }
    row = row_of[label]
    if (number_of("peer_ns") >= 0) {
        peers[row]++
        peer_names[row, peers[row]] = text_of("peer")
        peer_figures[row, peers[row]] = number_of("peer_ns")
    }
    while (most < figures[row]) most *= 10
}

END {
    if (rows == 0) {
        print "bench_svg: no results" >"/dev/stderr"
        exit 1
    }
    bottom = top
    for (row = 1; row <= rows; row++) bottom += height_of(row)
    width = x_of(most) + 130
    print "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n",
        width, bottom + 10, width, bottom + 10
    print "<style>text{font-family:sans-serif;font-size:9px;fill:#222}.title{font-size:14px}"
    print ".name{font-size:10px;text-anchor:end}.axis{text-anchor:middle}.grid{stroke:#ddd}"
    print ".ours{fill:#2a6f97}.floor{fill:#bbbbbb}.peer{fill:#e09f3e}</style>"
    printf "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", width, bottom + 10
    put_text(left, 22, "title", "Time of one call; in brackets the pages or areas that it is about")
    put_legend()
    put_axis(bottom)
    y = top
    for (row = 1; row <= rows; row++) {
        put_row(row, y)
        y += height_of(row)
    }
    print "</svg>"
}
