#!/bin/sh
# check_distros.sh DIR - `make run` and `make check-host` on newer Debians, with gcc and with clang.
#
# Each of trixie and sid is a bare root below DIR, made by mmdebstrap where it is not there yet, and
# kept: remove its folder for a newer one. What the targets need is installed in it as on anybody's
# machine, by setup.sh. One line for each distribution and compiler; one that fails names its log.
#
# A root that cannot be made, for want of mmdebstrap, of root's rights or of the archive, is skipped,
# and that is said: skipped is not passed. The archive is the one that this machine's apt uses, or
# DISTROS_MIRROR. DISTROS in the environment: these alone.
set -u

dir=$1
: "${DISTROS:=trixie sid}" "${DISTROS_MIRROR:=}"
compilers='gcc clang'
sources='Makefile core stage2 hyp linker tests'
passed=0 failed=0 skipped=0

skip() {
    echo "$1: skipped: $2"
    skipped=$((skipped + 1))
}

# Debian's archive as this machine's apt knows it; nothing: mmdebstrap's own choice.
mirror() {
    if [ -n "$DISTROS_MIRROR" ]; then
        echo "$DISTROS_MIRROR"
        return
    fi
    apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' \
        2>/dev/null | awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }'
}

# A root may have /proc, /sys and /dev mounted in it, as long as somebody makes it: nothing is removed
# before they are gone, nor past them.
remove_root() {
    ! grep -qF "$(realpath -m "$1")/" /proc/self/mounts && rm -rf --one-file-system "$1"
}

# An archive that is a snapshot has a Release file past its date.
make_root() {
    new=$dir/$1.new
    remove_root "$new" || return 1
    if $private mmdebstrap --mode=root --variant=apt --include=make,ca-certificates \
        --aptopt='Acquire::Check-Valid-Until "false"' "$1" "$new" $(mirror) >"$dir/$1.log" 2>&1; then
        mv "$new" "$dir/$1"
    else
        remove_root "$new"
        return 1
    fi
}

# The sources as they are here, with their dates, and nothing that is here no more.
copy_sources() {
    root=$dir/$1/trestle
    mkdir -p "$root" && (cd "$root" && rm -rf $sources) &&
        tar -cf - --owner=0 --group=0 $sources | tar -xf - -C "$root"
}

# Runs $2... in the root of $1, with mounts of its own that end with it, where that is allowed.
inside() {
    distro=$1
    shift
    $private sh -c '
        root=$1
        shift
        if [ -n "$MOUNTS" ]; then
            mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 1
        fi
        exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C \
            QEMU_TIMEOUT="$QEMU_TIMEOUT" sh -c "cd /trestle && exec \"\$@\"" sh "$@"' sh "$dir/$distro" "$@"
}

versions() {
    inside "$1" sh -c '
        case $1 in
        gcc) echo "gcc $(gcc -dumpfullversion)" ;;
        *) echo "$1 $($1 -dumpversion)" ;;
        esac
        echo "aarch64 gcc $(aarch64-linux-gnu-gcc -dumpfullversion)"
        qemu-system-aarch64 --version | sed -n "1s/.*version \([0-9.]*\).*/QEMU \1/p"' sh "$2" |
        paste -sd, | sed 's/,/, /g'
}

# The targets, one after the other; what they counted, or the one that failed.
run_targets() {
    said=
    for target in run check-host; do
        inside "$1" make -Otarget "-j$(nproc)" "CC=$2" "BUILD=build/$2" SETUP=no "$target" \
            >"$log.new" 2>&1
        code=$?
        cat "$log.new" >>"$log"
        if [ "$code" != 0 ]; then
            rm "$log.new"
            said="$target, see $log"
            return 1
        fi
        said="$said${said:+; }$target: $(grep -E '^[0-9]+ passed, 0 failed$' "$log.new" | tail -n 1)"
    done
    rm "$log.new"
}

check_compiler() {
    log=$dir/$1-$2.log
    : >"$log"
    if run_targets "$1" "$2"; then
        result=ok
        passed=$((passed + 1))
    else
        result=FAILED
        failed=$((failed + 1))
    fi
    printf '%-7s %-6s %-6s %s (%s)\n' "$1" "$2" "$result" "$said" "$(versions "$1" "$2")"
}

check_distro() {
    if [ ! -d "$dir/$1" ]; then
        echo "$1: making a bare root below $dir"
        if ! make_root "$1"; then
            skip "$1" "its archive cannot be reached, or gives no root: see $dir/$1.log"
            return
        fi
    fi
    copy_sources "$1" || exit 1
    if ! inside "$1" tests/tools/setup.sh install cc cross check qemu clang >"$dir/$1.log" 2>&1; then
        printf '%-7s %-6s %-6s %s\n' "$1" - FAILED "set-up, see $dir/$1.log"
        failed=$((failed + 1))
        return
    fi
    for compiler in $compilers; do
        check_compiler "$1" "$compiler"
    done
}

export QEMU_TIMEOUT="${QEMU_TIMEOUT:-120}" MOUNTS=
private=

if ! command -v mmdebstrap >/dev/null; then
    skip check-distros 'mmdebstrap is missing (apt-get install mmdebstrap)'
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    skip check-distros 'only root may make and enter another root'
    exit 0
fi
if unshare -m true 2>/dev/null; then
    private='unshare -m' MOUNTS=yes
fi
mkdir -p "$dir" || exit 1
for distro in $DISTROS; do
    check_distro "$distro"
done
if [ "$passed" = 0 ] && [ "$failed" = 0 ]; then
    echo "check-distros: skipped"
else
    echo "check-distros: $passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
fi
[ "$failed" = 0 ]
