#!/usr/bin/awk -f
# scale_svg.awk - how verbs grow with the number of areas: a line for each, both scales in powers of
# ten.
#
#   awk -f scale_svg.awk bench-scale.json >bench-scale.svg
#
# Reads what tests/bench/bench_report.c writes: a result a line. Lines that are equal but for the
# peer are one point.

function text_of(key) {
    return match($0, "\"" key "\": \"[^\"]*\"") ? substr($0, RSTART + length(key) + 5, RLENGTH - length(key) - 6) : ""
}

function number_of(key) {
    return match($0, "\"" key "\": [-0-9.e+]+") ? substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0 : -1
}

function log10(number) {
    return log(number) / log(10)
}

function x_of(n) {
    return left + (log10(n) - log10(least_n)) * x_decade
}

function y_of(ns) {
    return bottom - (log10(ns) - log10(least_ns)) * y_decade
}

function put_text(x, y, class, text) {
    printf "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, text
}

function put_line(x1, y1, x2, y2) {
    printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n", x1, y1, x2, y2
}

function put_grid(    number) {
    for (number = least_n; number <= most_n * 1.001; number *= 10) {
        put_line(x_of(number), top, x_of(number), bottom)
        put_text(x_of(number), bottom + 14, "middle", sprintf("%d", number))
    }
    for (number = least_ns; number <= most_ns * 1.001; number *= 10) {
        put_line(left, y_of(number), right, y_of(number))
        put_text(left - 6, y_of(number) + 3, "end", sprintf("%d ns", number))
    }
    put_text((left + right) / 2, bottom + 30, "middle", "areas in the set")
}

# A verb among neighbours has the colour of the verb, and a dashed line.
function style_of(verb,    base) {
    base = names[verb]
    sub(/_near$/, "", base)
    if (!(base in colour_of)) colour_of[base] = colours[++used]
    return sprintf("fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s", colour_of[base],
        names[verb] == base ? "" : " stroke-dasharray=\"5 3\"")
}

function put_verb(verb,    i, points, y) {
    points = ""
    for (i = 1; i <= count[verb]; i++) {
        points = points sprintf("%.1f,%.1f ", x_of(n_at[verb, i]), y_of(ns_at[verb, i]))
    }
    y = top + verb * 16
    printf "<polyline points=\"%s\" %s/>\n", points, style_of(verb)
    printf "<polyline points=\"%d,%d %d,%d\" %s/>\n", right + 20, y - 4, right + 40, y - 4, style_of(verb)
    put_text(right + 46, y, "start", names[verb])
}

BEGIN {
    left = 70; top = 50; x_decade = 120; y_decade = 80; verbs = 0; least_n = 0; least_ns = 0
    split("#2a6f97 #e09f3e #9e2a2b #540b0e #5f8f4e #7b4ea3 #444444 #1b998b", colours, " ")
    used = 0
}

/"name"/ {
    name = text_of("name"); n = number_of("n"); ns = number_of("ns")
    if (seen[name, n]++) next
    if (!(name in verb_of)) {
        verbs++
        verb_of[name] = verbs
        names[verbs] = name
    }
    verb = verb_of[name]
    count[verb]++
    n_at[verb, count[verb]] = n
    ns_at[verb, count[verb]] = ns
    if (least_n == 0 || n < least_n) least_n = n
    if (n > most_n) most_n = n
    if (least_ns == 0 || ns < least_ns) least_ns = ns
    if (ns > most_ns) most_ns = ns
}

END {
    if (verbs == 0) {
        print "scale_svg: no results" >"/dev/stderr"
        exit 1
    }
    # The scale begins and ends at a power of ten.
    for (power = 1; power * 10 <= least_ns; power *= 10) {
    }
    least_ns = power
    while (power < most_ns) power *= 10
    most_ns = power
    right = left + (log10(most_n) - log10(least_n)) * x_decade
    bottom = top + (log10(most_ns) - log10(least_ns)) * y_decade
    width = right + 160
    print "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n",
        width, bottom + 40, width, bottom + 40
    print "<style>text{font-family:sans-serif;font-size:11px;fill:#222}.title{font-size:14px}"
    print ".end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:#ddd}</style>"
    printf "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", width, bottom + 40
    put_text(left, 26, "title", "Time of one call on a MemorySet; dashed: among 256 neighbours")
    put_grid()
    for (verb = 1; verb <= verbs; verb++) put_verb(verb)
    print "</svg>"
}
