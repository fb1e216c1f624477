#!/usr/bin/awk -f
# map_svg.awk - guests' address spaces as a picture: one beside the other on one scale.
#
#   awk -f map_svg.awk LOG >map.svg
#
# Reads the lines of hyp/story/map.h. Between two borders of areas or leaves, of whatever guest, the
# scale goes by the logarithm of the size: a page and 64 MiB are both to be seen. What no guest has is
# a gap. Kinds and sizes differ in pattern, so the picture may be printed in black and white.

function hex(n,    text, digit) {
    text = ""
    do {
        digit = n % 16
        text = substr("0123456789abcdef", digit + 1, 1) text
        n = (n - digit) / 16
    } while (n > 0)
    return "0x" text
}

function size_text(bytes,    unit) {
    unit = 1
    while (bytes >= 1024 && unit < 5) {
        bytes /= 1024
        unit++
    }
    return sprintf("%d %s", bytes, substr("B  KiBMiBGiBTiB", 3 * unit - 2, 3))
}

function add_border(at,    i) {
    for (i = borders; i > 0 && border[i] > at; i--) {
    }
    if (i > 0 && border[i] == at) {
        return
    }
    for (j = borders; j > i; j--) {
        border[j + 1] = border[j]
    }
    border[i + 1] = at
    borders++
}

function put_text(x, y, class, text) {
    printf "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, text
}

function put_box(x, y, width, height, class, title) {
    printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"%s\"><title>%s</title></rect>\n",
        x, y, width, height, class, title
}

function is_mapped(from, to,    i) {
    for (i = 1; i <= areas; i++) {
        if (area_start[i] < to && from < area_end[i]) {
            return 1
        }
    }
    return 0
}

function leaf_class(bytes) {
    return bytes >= 1073741824 ? "g" : bytes >= 1048576 ? "m" : "k"
}

BEGIN {
    CONVFMT = "%.0f" # addresses are keys
}

$1 == "map:" && $3 == "area" {
    if (!($2 in column)) {
        column[$2] = columns
        name[columns++] = $2
    }
    areas++
    area_guest[areas] = $2
    area_kind[areas] = $4
    area_flags[areas] = $5
    area_start[areas] = $6
    area_end[areas] = $7
    add_border($6 + 0)
    add_border($7 + 0)
}

$1 == "map:" && $3 == "leaf" {
    leaves++
    leaf_guest[leaves] = $2
    leaf_size[leaves] = $4
    leaf_flags[leaves] = $5
    leaf_state[leaves] = $6
    leaf_start[leaves] = $7
    leaf_end[leaves] = $8
    add_border($7 + 0)
    add_border($8 + 0)
}

END {
    if (areas == 0) {
        print "map_svg: no line of a map" > "/dev/stderr"
        exit 1
    }
    left = 110
    wide = 240
    y = 60
    for (i = 1; i <= borders; i++) {
        y_of[border[i]] = y
        if (i < borders) {
            is_gap[i] = !is_mapped(border[i], border[i + 1])
            y += is_gap[i] ? 12 : 14 + 3 * log((border[i + 1] - border[i]) / 4096) / log(2)
        }
    }
    height = y + 96
    width = left + columns * wide + 20
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", width, height, width, height
    print "<style>"
    print "text{font:11px sans-serif;fill:#000}.mono{font:10px monospace}.head{font:bold 14px sans-serif}"
    print "rect{stroke:#000;stroke-width:.8}.none{fill:#fff}.gap{stroke:none;fill:url(#p-gap)}"
    print ".linear{fill:#fff}.lazy{fill:url(#p-lazy)}.trap{fill:url(#p-trap)}.guard{fill:url(#p-guard)}.own{fill:#ddd}"
    print ".k{fill:#ccc}.m{fill:#888}.g{fill:#333}.shared{fill:url(#p-shared);stroke-width:2}.dirty{fill:url(#p-dirty)}"
    print "</style><defs>"
    print "<pattern id=\"p-lazy\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect width=\"6\" height=\"6\" style=\"fill:#fff;stroke:none\"/><circle cx=\"2\" cy=\"2\" r=\"1\" fill=\"#36c\"/></pattern>"
    print "<pattern id=\"p-trap\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect width=\"6\" height=\"6\" style=\"fill:#fff;stroke:none\"/><path d=\"M0 6L6 0\" stroke=\"#a60\"/></pattern>"
    print "<pattern id=\"p-guard\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect width=\"6\" height=\"6\" style=\"fill:#fff;stroke:none\"/><path d=\"M0 6L6 0M0 0L6 6\" stroke=\"#a00\"/></pattern>"
    print "<pattern id=\"p-gap\" width=\"8\" height=\"12\" patternUnits=\"userSpaceOnUse\"><path d=\"M0 8L4 4L8 8\" stroke=\"#999\" fill=\"none\"/></pattern>"
    print "<pattern id=\"p-shared\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect width=\"6\" height=\"6\" style=\"fill:#ccc;stroke:none\"/><path d=\"M0 0L6 6\" stroke=\"#000\"/></pattern>"
    print "<pattern id=\"p-dirty\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\"><rect width=\"4\" height=\"4\" style=\"fill:#ccc;stroke:none\"/><path d=\"M0 2L4 2\" stroke=\"#000\"/></pattern>"
    print "</defs><rect width=\"100%\" height=\"100%\" style=\"fill:#fff;stroke:none\"/>"
    put_text(10, 24, "head", "Guest-physical memory: areas, and the leaves that are there")
    for (c = 0; c < columns; c++) {
        put_text(left + c * wide, 48, "head", name[c])
    }
    last = -100
    for (i = 1; i < borders; i++) {
        if (is_gap[i]) {
            put_box(left, y_of[border[i]], columns * wide - 20, 12, "gap", "nobody has anything here: " size_text(border[i + 1] - border[i]))
        }
    }
    for (i = 1; i <= areas; i++) {
        x = left + column[area_guest[i]] * wide
        top = y_of[area_start[i]]
        put_box(x, top, 130, y_of[area_end[i]] - top, area_kind[i],
            area_guest[i] " " area_kind[i] " " area_flags[i] " " hex(area_start[i]) ", " size_text(area_end[i] - area_start[i]))
    }
    for (i = 1; i <= leaves; i++) {
        x = left + column[leaf_guest[i]] * wide + 135
        top = y_of[leaf_start[i]]
        put_box(x, top, 40, y_of[leaf_end[i]] - top, leaf_state[i] == "own" ? leaf_class(leaf_size[i]) : leaf_state[i],
            size_text(leaf_end[i] - leaf_start[i]) " in leaves of " size_text(leaf_size[i]) ", " leaf_state[i])
    }
    for (i = 1; i <= areas; i++) {
        x = left + column[area_guest[i]] * wide
        top = y_of[area_start[i]]
        label = area_kind[i] " " area_flags[i] " " size_text(area_end[i] - area_start[i])
        put_box(x + 3, top + 1.5, 6 * length(label) + 4, 11.5, "none\" style=\"stroke:none", "")
        put_text(x + 5, top + 11, "", label)
        if (column[area_guest[i]] == 0 || !(area_start[i] in labelled)) {
            if (!(area_start[i] in labelled)) {
                put_text(10, top + 10, "mono", hex(area_start[i]))
            }
            labelled[area_start[i]] = 1
        }
    }
    y = height - 70
    put_text(10, y, "head", "Areas")
    split("linear lazy trap guard", kinds, " ")
    for (i = 1; i <= 4; i++) {
        put_box(left + (i - 1) * 104, y - 12, 24, 16, kinds[i], kinds[i])
        put_text(left + (i - 1) * 104 + 30, y, "", kinds[i])
    }
    y += 30
    put_text(10, y, "head", "Leaves")
    split("k m g shared dirty", classes, " ")
    split("4K to 64K;2M to 512M;1G;shared;dirty", texts, ";")
    for (i = 1; i <= 5; i++) {
        put_box(left + (i - 1) * 104, y - 12, 24, 16, classes[i], texts[i])
        put_text(left + (i - 1) * 104 + 30, y, "", texts[i])
    }
    print "</svg>"
}
