#!/bin/sh
# bench_qemu.sh - boot both images that measure the verbs at EL2, and put their figures together.
#
#   bench_qemu.sh IMAGE COUNTED_IMAGE CPU LOG      QEMU, QEMU_TIMEOUT in the environment
#
# Instructions come from the image that links the archive that ships, barriers from the one that
# counts them. Both are judged as every image is: tests/qemu/run.sh. The last line adds them up.
set -eu

plain=$1 counted=$2 cpu=$3 log=$4
export QEMU_OPTIONS='-icount shift=0' QEMU_MEMORY=512M

mkdir -p "$(dirname "$log")"
judged=0
tests/qemu/run.sh quiet "$plain" "$cpu" "$log.plain" >"$log" || judged=1
tests/qemu/run.sh quiet "$counted" "$cpu" "$log.counted" >>"$log" || judged=1
[ "$judged" = 0 ] || {
    cat "$log"
    exit 1
}

# verb shape instructions flushes tlbis dsb isb
figures() {
    sed -n 's/^figure //p' "$1"
}

printf 'Of one call at EL2, QEMU -cpu %s\n\n' "$cpu"
printf '| verb | of | instructions | flushes | TLBIs | DSB | ISB |\n'
printf '|---|---|---|---|---|---|---|\n'
figures "$log.plain" >"$log.figures"
figures "$log.counted" | awk -v plain="$log.figures" '
    BEGIN {
        while ((getline <plain) > 0) instructions[$1, $2] = $3
        of["page"] = "one page"; of["block"] = "a 2 MiB block"; of["pages"] = "2 MiB of pages"
    }
    { printf "| %s | %s | %d | %d | %d | %d | %d |\n", $1, of[$2], instructions[$1, $2], $4, $5, $6, $7 }'
rm -f "$log.figures"
awk '{ passed += $2; failed += $4 } END { printf "\n%d passed, %d failed\n", passed, failed }' "$log"
