#!/bin/sh
# check_layers.sh - whether the house stands as designed. Every rule broken is one line of output.
#
#   check_layers.sh HOST_ARCHIVE TARGET_ARCHIVE [CHECK...]      all checks unless some are named
#
# In the environment: BUILD CC CROSS_COMPILE BASE_FLAGS EL2_FLAGS PUBLIC_HEADERS PRIVATE_HEADERS.
# check_layers_test.sh breaks each rule once and sees to it that this script notices.
set -eu

host_archive=$1 target_archive=$2
shift 2
tools=$(dirname "$0")
work=$BUILD/layers
cross=${CROSS_COMPILE}gcc
mkdir -p "$work"
complaints=$work/complaints
: >"$complaints"

complain() {
    sed "s|^|layers: $1: |" >>"$complaints"
}

# The floors of stage2, from the top down.
floors='space table tlb arch el2'

# --- The rooms ------------------------------------------------------------------------------------
listing() {
    git ls-files -co --exclude-standard 2>/dev/null || ls -A
}

check_rooms() {
    listing | sed 's|/.*||' | sort -u |
        grep -vxE '\..*|core|stage2|hyp|tests|linker|findings|Makefile|README\.md' | grep -vxF "$BUILD" |
        complain 'not a room of this house' || true
    find core -mindepth 1 -type d | complain 'core is flat'
    find stage2 -mindepth 1 -type d | grep -vxE "stage2/($(echo $floors | tr ' ' '|'))" |
        complain 'not a floor of stage2' || true
    find stage2 -maxdepth 1 -type f ! -name trestle.h | complain 'on no floor of stage2'
    find core stage2 -type f ! -name '*.[ch]' | complain 'neither a .c nor a .h'
    find hyp -mindepth 1 -type d | grep -vxE 'hyp/(machine|vm|guest|story)' |
        complain 'not a floor of hyp' || true
    find hyp -maxdepth 1 -type f ! -name main.c | complain 'on no floor of hyp'
    find stage2/el2 -type f ! -name arch_impl.h | complain 'stage2/el2 holds arch_impl.h alone'
}

# --- Includes run downhill ------------------------------------------------------------------------
freestanding='<(float|limits|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdnoreturn)\.h>'

# $1: what may be included, an extended regular expression; then the files that may.
only_includes() {
    allowed=$1
    shift
    [ $# -gt 0 ] || return 0
    grep -HnE '^[[:space:]]*#[[:space:]]*include' "$@" |
        grep -vE ":[[:space:]]*#[[:space:]]*include[[:space:]]+($allowed)[[:space:]]*(/\*.*)?\$" |
        complain 'include runs uphill or astray' || true
}

check_includes() {
    name='[a-z0-9_]+\.h"'
    only_includes "\"core/$name|$freestanding" $(find core -name '*.[ch]')
    below=
    for floor in arch tlb table space; do
        below="${below:+$below|}stage2/$floor"
        only_includes "\"(core|$below)/$name|$freestanding" \
            $(find stage2/$floor -name '*.[ch]' ! -path stage2/arch/arch.h)
    done
    only_includes "\"(core|stage2/arch)/$name|\"arch_impl\.h\"|$freestanding" \
        $(find stage2 -path stage2/arch/arch.h)
    only_includes "\"(core|$below)/$name" $(find stage2 -path stage2/trestle.h)
    library="core|stage2|$below"
    only_includes "\"($library|hyp/machine)/$name|$freestanding" \
        $(find hyp/machine -name '*.[chS]')
    only_includes "\"(core|hyp/machine|hyp/guest)/$name|$freestanding" $(find hyp/guest -name '*.[chS]')
    only_includes "\"($library|hyp/(machine|vm))/$name|\"hyp/guest/abi\.h\"|$freestanding" \
        $(find hyp/vm -name '*.[chS]')
    only_includes "\"($library|hyp/(machine|vm|story))/$name|\"hyp/guest/abi\.h\"|$freestanding" \
        hyp/main.c $(find hyp/story -name '*.[chS]')
    only_includes "\"($library|tests/[a-z]+|hyp/[a-z]+)/$name|\"stage2/el2/arch_impl\.h\"|\"(core|stage2/[a-z]+)/[a-z0-9_]+\.c\"|\"arch_impl\.h\"|\"tests/unit/programs\.def\"|<[a-z0-9_/]+\.h>" \
        $(find tests -name '*.[ch]' ! -path 'tests/embed/*')
    for header in $PRIVATE_HEADERS core/avl.h; do
        grep -rHn "\"$header\"" hyp | complain 'hyp uses what is not public' || true
    done
}

# --- Calls run downhill, and nothing goes in circles ------------------------------------------------
# Rooms are files without their ending: stage2/table/walk. A line "A B" says that A needs B: it
# includes its header, or calls what only its object defines.
needs_by_include() {
    find core stage2 -name '*.[ch]' | while read -r file; do
        sed -n 's|^#include "\(.*\)\.h".*|\1|p' "$file" | sed "s|^|${file%.*} |"
    done
}

needs_by_call() {
    objects=$(dirname "$host_archive")
    find core stage2 -name '*.c' | sed 's|c$|o|' | while read -r object; do
        [ ! -f "$objects/$object" ] || (cd "$objects" && nm -A "$object")
    done | sed 's|\.o:| |' |
        awk '$2 == "U" { needs[$1, $3] = 1 }
             NF == 4 && $3 ~ /[TDRB]/ { home[$4] = $1 }
             END { for (pair in needs) { split(pair, at, SUBSEP)
                       if (at[2] in home) print at[1], home[at[2]] } }'
}

check_circles() {
    { needs_by_include; needs_by_call; } | grep -v 'arch_impl' | awk '$1 != $2' | sort -u \
        >"$work/needs"
    for floor in arch tlb table space; do
        below="$(echo "${floors#*"$floor"}" | tr -s ' ' '|')"
        grep "^stage2/$floor/" "$work/needs" |
            grep -vE " (core|stage2/($floor$below))/" | complain 'call runs uphill' || true
    done
    grep '^core/' "$work/needs" | grep -v ' core/' | complain 'call runs uphill' || true
    for floor in core stage2/arch stage2/tlb stage2/table stage2/space; do
        grep -E "^$floor/[a-z0-9_]+ $floor/" "$work/needs" >"$work/floor" || true
        tsort "$work/floor" >"$work/order" 2>"$work/circle" ||
            sed -n 's|^tsort: \([a-z]*[0-9]*/[a-z0-9_/]*\)$|\1|p' "$work/circle" | tr '\n' ' ' |
            complain 'goes in a circle'
    done
}

# The rooms of each floor, those above which need those below.
print_floors() {
    for floor in stage2/space stage2/table stage2/tlb stage2/arch core; do
        { grep -E "^$floor/[a-z0-9_]+ $floor/" "$work/needs"
          find "$floor" -name '*.[ch]' | sed 's|\.[ch]$||' | sort -u | awk '{ print $1, $1 }'; } |
            tsort | sed 's|.*/||' | tr '\n' ' ' | fold -s -w 78 |
            awk -v floor="$floor" '{ printf "  %-13s %s\n", NR == 1 ? floor : "", $0 }'
    done
    printf '  %-13s %s\n' stage2/el2 arch_impl
}

# A source that has a header includes it first, so that the header proves itself.
check_own_header_first() {
    for source in $(find core stage2 hyp -name '*.c'); do
        own=${source%.c}.h
        [ -f "$own" ] || continue
        first=$(grep -m 1 -E '^#include' "$source" || true)
        [ "$first" = "#include \"$own\"" ] || echo "$source"
    done | complain 'own header is not included first'
}

# --- What the code may say ------------------------------------------------------------------------
uncommented() {
    "$CC" -fpreprocessed -dD -E -P -x c "$1" 2>/dev/null
}

# $1: the complaint; $2: what must not be said; then the files.
never_says() {
    what=$1 words=$2
    shift 2
    for file in "$@"; do
        if uncommented "$file" | grep -qE "$words"; then
            echo "$file"
        fi
    done | complain "$what"
}

check_words() {
    never_says 'asm outside of stage2/el2 and hyp' '\b(asm|__asm|__asm__)\b' \
        $(find core stage2 -name '*.[ch]' ! -path 'stage2/el2/*')
    never_says '.raw outside of addr, desc, tlbi, geometry and arch_impl.h' '(\.|->)raw\b' \
        $(find core stage2 -name '*.[ch]' ! -path core/addr.h ! -name 'desc*' ! -name 'tlbi*' \
            ! -name 'geometry*' ! -name arch_impl.h ! -path stage2/arch/arch.h)
}

# --- Every header compiles alone, twice in a row --------------------------------------------------
# $1: compiler and flags; then the headers.
stand_alone() {
    compiler=$1
    shift
    for header in "$@"; do
        printf '#include "%s"\n#include "%s"\nextern int alone;\n' "$header" "$header" \
            >"$work/alone.c"
        $compiler -fsyntax-only "$work/alone.c" >"$work/alone.log" 2>&1 ||
            grep error "$work/alone.log" | sed "s|^|$header: |"
    done | complain "does not compile alone with ${compiler%% *}"
}

check_headers() {
    stand_alone "$CC $BASE_FLAGS -I." $(find core -name '*.h')
    stand_alone "$cross $BASE_FLAGS $EL2_FLAGS -I." $(find core -name '*.h')
    stand_alone "$CC $BASE_FLAGS -I. -Itests/sim" $(find stage2 -name '*.h' ! -path 'stage2/el2/*')
    stand_alone "$cross $BASE_FLAGS $EL2_FLAGS -I. -Istage2/el2" \
        $(find stage2 hyp -name '*.h' ! -path 'stage2/el2/*')
    # A host without a C library has what the compiler brings along, and no more.
    stand_alone "$CC $BASE_FLAGS -ffreestanding -nostdinc -isystem $("$CC" -print-file-name=include) -I." \
        $PUBLIC_HEADERS
    stand_alone "$cross $BASE_FLAGS $EL2_FLAGS -nostdinc -isystem $($cross -print-file-name=include) -I." \
        $PUBLIC_HEADERS
    stand_alone "$CC $BASE_FLAGS -I. -Itests/sim" $(find tests -name '*.h' ! -name arch_impl.h ! -path 'tests/embed/*')
}

# --- What installed headers define bears a prefix of ours -----------------------------------------
prefixes='^(ipa|pa|memory|mapping|frame|avl|s2)_|^(IPA|PA|MEMORY|MAPPING|FRAME|AVL|S2|TRESTLE)_'
# Named by the design, and by all who use sets.
old_names='^overlap_policy$|^OVERLAP_(REJECT|UNMAP)$'

# Macros, functions, tags, typedefs and enumerators: those of the preprocessed lines that are ours.
defined_names() {
    printf '#include "%s"\n' $PUBLIC_HEADERS >"$work/names.c"
    "$CC" -std=c11 -I. -E -dD "$work/names.c" | awk '
        /^# [0-9]+ "/ { ours = $3 ~ /^"(\.\/)?(core|stage2)\// }
        ours && /^#define/ { sub(/\(.*/, "", $2); print $2 }'
    "$CC" -std=c11 -I. -fsyntax-only -aux-info "$work/names.aux" "$work/names.c"
    sed -nE 's|^/\* (\./)?(core\|stage2)/[^*]*\*/ [^(]*[ *]([A-Za-z_0-9]+) \(.*|\3|p' "$work/names.aux"
    "$CC" -std=c11 -I. -E "$work/names.c" | awk '
        /^# [0-9]+ "/ { ours = $3 ~ /^"(\.\/)?(core|stage2)\//; next }
        ours' >"$work/names.i"
    grep -oE '\<(struct|enum|union) [A-Za-z_0-9]+' "$work/names.i" | sed 's|.* ||'
    sed -nE 's|^\} ([A-Za-z_0-9]+);.*|\1|p; s|^typedef .*\(\*([A-Za-z_0-9]+)\).*|\1|p
        s|^typedef [^(]* ([A-Za-z_0-9]+);|\1|p; s|^ +([A-Z][A-Za-z_0-9]*)( = .*)?,?$|\1|p
        s|^enum \{ ([A-Za-z_0-9]+).*|\1|p' "$work/names.i"
}

check_names() {
    defined_names | sort -u >"$work/names"
    [ "$(wc -l <"$work/names")" -gt 500 ] || echo "$work/names" | complain 'too few names in'
    grep -vE "$prefixes|$old_names" "$work/names" | complain 'no prefix of ours' || true
}

# --- The archives ---------------------------------------------------------------------------------
# $1: archive; $2: prefix of the binary tools.
check_archive() {
    "$2nm" -g --defined-only "$1" | awk 'NF == 3 { print $3 }' |
        "$tools/public_names.sh" reject $PUBLIC_HEADERS | complain "$1 exports"
    "$2nm" -u "$1" | awk '$1 == "U" { print $2 }' | sort -u |
        grep -vxE 'memcpy|memset|memmove|memcmp' | complain "$1 needs" || true
}

# Functions in installed headers call only what the archive exports: keep them all, and link.
check_inlines() {
    { printf '#include "%s"\n' $PUBLIC_HEADERS; printf 'int main(void)\n{\n    return 0;\n}\n'; } \
        >"$work/inlines.c"
    "$CC" -std=c11 -O0 -fkeep-inline-functions -I. "$work/inlines.c" "$host_archive" \
        -o "$work/inlines" >"$work/inlines.log" 2>&1 ||
        complain 'installed headers need more than the archive has' <"$work/inlines.log"
}

# A host's linker script places what is named so, and one of each.
check_sections() {
    "$2readelf" -SW "$1" |
        awk '/^ +\[/ { sub(/^ +\[ *[0-9]+\] */, ""); if ($7 ~ /A/) print $1 }' |
        sort >"$work/sections"
    printf '.bss\n.data\n.rodata\n.text\n' | cmp -s - "$work/sections" ||
        tr '\n' ' ' <"$work/sections" | complain "$1 has sections"
}

check_archives() {
    check_archive "$host_archive" ''
    check_sections "$host_archive" ''
    check_archive "$target_archive" "$CROSS_COMPILE"
    check_sections "$target_archive" "$CROSS_COMPILE"
}

[ $# -gt 0 ] || set -- rooms includes circles own_header_first words headers names archives inlines
for check in "$@"; do
    "check_$check"
done

if [ -s "$complaints" ]; then
    cat "$complaints"
    exit 1
fi
echo "layers: as designed: $*"
case " $* " in
*" circles "*) print_floors ;;
esac
