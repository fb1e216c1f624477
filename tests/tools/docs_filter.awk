# docs_filter.awk - a header's contracts in Doxygen's dialect; line n stays line n.
#
#   / * * name() - Brief.          a comment before a declaration is its description; one after a member
#   @arg: text                     is that member's; one that heads the file is the file's
#   Returns: Order: Cost: ...      are set in bold, each on a line of its own
#   indented text after a blank    is a drawing, and kept as it is
#
# With -v check=1 nothing is printed but declarations of functions that no comment describes; of inline
# ones the body says as much.

function is_declaration(line) {
    return line ~ /^(MAPPING_MUST_USE |TRESTLE_NORETURN |static inline |const |struct |enum |uint|bool|void|int |unsigned |size_t |pa_t |ipa_t |mapping_flags_t |s2_desc_t )/
}

function escaped(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/</, "\\<", text)
    gsub(/>/, "\\>", text)
    gsub(/#/, "\\#", text)
    gsub(/%/, "\\%", text)
    gsub(/&/, "\\\\&", text)
    gsub(/"/, "\\\"", text)
    return text
}

# One line of a comment, without its frame.
function said(text) {
    text = escaped(text)
    sub(/^[a-z0-9_]+\(\)( - |$)/, "", text)
    if (match(text, /^@[a-z0-9_, @]+:/)) {
        words = substr(text, 1, RLENGTH)
        gsub(/@/, "", words)
        text = "<br><b>" words "</b>" substr(text, RLENGTH + 1)
    } else if (match(text, /^(Returns|On error|Order|Cost|Context|Owns|Source|Proves|Stack|Concurrency)[a-z, @]*:/)) {
        text = "<br><b>" substr(text, 1, RLENGTH) "</b>" substr(text, RLENGTH + 1)
    }
    while (match(text, /@[a-z]/)) {
        text = substr(text, 1, RSTART - 1) "\\p " substr(text, RSTART + 1)
    }
    return text
}

{ line[NR] = $0 }

END {
    for (i = 1; i <= NR; i++) {
        text = line[i]
        if (text ~ /^{$/) in_body = 1
        if (text ~ /^}/) in_body = 0

        if (text ~ /^\/\*/ && !in_body && text !~ /^\/\* ---/) {
            i = comment(i)
            continue
        }
        if (!in_body && text ~ /[^ ].*\/\* / && text !~ /^#/ && text !~ /^ \*/) {
            sub(/\/\* /, "/**< ", text)
            if (text ~ /\*\/$/) {
                head = text; sub(/\/\*\*< .*/, "", head)
                tail = text; sub(/^.*\/\*\*< /, "", tail); sub(/ ?\*\/$/, "", tail)
                text = head "/**< " said(tail) " */"
            } else {
                sub(/\/\*\*< .*/, "", text)
                tail = line[i]; sub(/^.*\/\* /, "", tail)
                emit(text "/**< " said(tail))
                while (line[i] !~ /\*\/$/) {
                    i++
                    tail = line[i]; sub(/^ *\* ?/, "", tail)
                    closes = sub(/ ?\*\/$/, "", tail)
                    emit(said(tail) (closes ? " */" : ""))
                }
                continue
            }
        }
        if (is_declaration(text) && text ~ /\(/ && !in_body && !described[i]) {
            if (check && text !~ /^static/) print FILENAME ":" i ": " text
        }
        emit(text)
    }
}

function emit(text) {
    if (!check) print text
}

# The comment that begins at @i. What follows without a blank line is what it describes, each
# declaration of it.
function comment(i,    last, end, count, j, opening, text, drawing, rest) {
    for (last = i; line[last] !~ /\*\/$/; last++) { }
    for (end = last + 1; end <= NR && line[end] != "" && line[end] != "{"; end++) {
        if (line[end] ~ /^\/\*/) break
        if (is_declaration(line[end]) && line[end] ~ /\(/) count++
        described[end] = 1
    }
    opening = i == 1 ? "/** @file" : "/**"
    if (count > 1) opening = "/** @{ */ " opening
    for (j = i; j <= last; j++) {
        text = line[j]
        rest = ""
        if (j == last) sub(/ ?\*\/$/, "", text)
        if (j == i) sub(/^\/\*\*? ?/, "", text)
        else sub(/^ \* ?/, "", text)
        if (j == last) {
            rest = (drawing ? " @endverbatim" : "") " */"
        }
        if (text == "" && !drawing && j < last && line[j + 1] ~ /^ \*     +[^ ]/) {
            drawing = 1
            emit((j == i ? opening : "") " @verbatim" rest)
            continue
        }
        if (text == "" && drawing && j < last && line[j + 1] !~ /^ \*     +[^ ]/) {
            drawing = 0
            emit(" @endverbatim" rest)
            continue
        }
        if (j == 2 && i == 1) sub(/^[a-z0-9_.]+ - /, "", text)
        emit((j == i ? opening : "") (drawing ? text : " " said(text)) rest)
    }
    if (count > 1 && !check) {
        if (line[end] == "{") while (line[end] != "}") end++
        else end--
        line[end] = line[end] " /** @} */"
    }
    return last
}
