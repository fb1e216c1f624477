#!/bin/sh
# run.sh - boot the EL2 image on one CPU model and judge how it ended.
#
#   run.sh show|quiet|any IMAGE CPU LOG
#
# In the environment: QEMU QEMU_TIMEOUT QEMU_MEMORY, and QEMU_OPTIONS for what else it is told.
#
# The memory suffices for a block of 512 MiB, which is the larger leaf of the 64K granule; with
# 512M the image leaves out that one, and says so.
#
# A run is good if the image ends QEMU by itself with exit code 0 and its last line is
# "N passed, 0 failed" with N > 0. show prints the whole run; quiet prints one line, and more only
# when it went wrong. any is quiet, but leaves out, and says so, a model that an old QEMU does not
# know. LOG keeps all of it.
set -u

mode=$1 image=$2 cpu=$3 log=$4
: "${QEMU:=qemu-system-aarch64}" "${QEMU_TIMEOUT:=120}" "${QEMU_MEMORY:=1536M}" "${QEMU_OPTIONS:=}"
mkdir -p "$(dirname "$log")"

boot() {
    timeout -k 5 "$QEMU_TIMEOUT" "$QEMU" -M virt,virtualization=on,gic-version=3 -cpu "$cpu" \
        -m "$QEMU_MEMORY" -nographic -nic none -semihosting-config enable=on,target=native \
        $QEMU_OPTIONS -kernel "$image" </dev/null 2>&1
    echo "$?" >"$log.code"
}

if [ "$mode" = any ]; then
    mode=quiet
    if ! "$QEMU" -M virt -cpu help | grep -qxE " *$cpu( .*)?"; then
        printf '%-13s left out: %s does not know it\n' "$cpu" "$("$QEMU" --version | head -n 1)"
        exit 0
    fi
fi

rm -f "$log.code"
case $mode in
show) boot | tr -d '\r' | tee "$log" ;;
quiet) boot | tr -d '\r' >"$log" ;;
esac
code=$(cat "$log.code")
last=$(grep -v '^$' "$log" | tail -n 1)

if [ "$code" = 0 ] && printf '%s\n' "$last" | grep -Eq '^[1-9][0-9]* passed, 0 failed$'; then
    [ "$mode" = show ] || printf '%-13s %s\n' "$cpu" "$last"
    exit 0
fi

[ "$mode" = show ] || {
    grep -n 'FAIL' "$log"
    tail -n 30 "$log"
}
case $code in
124 | 137) reason="stopped after $QEMU_TIMEOUT s" ;;
*) reason="exit code $code" ;;
esac
printf '%-13s FAILED: %s; last line: %s\n' "$cpu" "$reason" "$last"
exit 1
