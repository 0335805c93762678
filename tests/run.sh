#!/bin/sh
# Runs TAP-printing test programs and scripts from the top folder, as many at a time as there are
# cores (JOBS says otherwise), shows what failed or was skipped, and ends with "N passed, N failed",
# and ", N skipped" where that happened. The programs of docs/learn print for people, and end with 0
# when all was as they say: one check each.
#   usage: tests/run.sh PROGRAM...
# Who hangs has failed: nothing here takes a minute, unless a sanitizer or an emulator runs it.
limit=''
command -v timeout > /dev/null 2>&1 && limit='timeout 300'

# run_one PROGRAM LOG: what it comes to on standard output, and the counts beside the log.
run_one() {
    program=$1 log=$2
    case $program in
    *.sh) $limit sh "$program" > "$log" 2>&1 < /dev/null ;;
    *) $limit ${RUNNER-} "$program" > "$log" 2>&1 < /dev/null ;;
    esac
    status=$?
    case $program in
    */docs/learn/*) if [ $status -eq 0 ]; then printf 'ok 1\n1..1\n'; else printf 'not ok 1\n1..1\n'; fi >> "$log" ;;
    esac
    p=$(grep -c '^ok' "$log") f=$(grep -c '^not ok' "$log") s=$(grep -c '^ok.*# SKIP' "$log")
    p=$((p - s))
    # A program that died, or reported nothing, is a failure of its own.
    if [ $status -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if ! grep -q '^1\.\.' "$log" && [ "$f" -eq 0 ]; then f=1; fi
    echo "$p $f $s" > "$log.count"
    printf '%-32s %5d passed %3d failed %3d skipped\n' "$(basename "$program")" "$p" "$f" "$s"
    grep '# SKIP' "$log" | sed 's/^ok [0-9]* - /    skipped: /; s/# SKIP/:/'
    if [ "$f" -gt 0 ]; then
        grep -A 3 '^not ok' "$log" | head -60 | sed 's/^/    /'
        [ $status -ne 0 ] && { echo "    exit status $status; the last lines:"; tail -15 "$log" | sed 's/^/    | /'; }
    fi
}

if [ "${1-}" = --one ]; then # of several side by side: what it prints comes in one piece
    log=$(mktemp "$2/XXXXXX") || exit 1
    run_one "$3" "$log" > "$log.said"
    cat "$log.said"
    exit 0
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 1)}
printf '%s\n' "$@" | xargs -P "$jobs" -n 1 sh "$0" --one "$folder"
if [ "$(find "$folder" -name '*.count' | wc -l)" -ne $# ]; then
    echo "not all of $# programs were run"
    exit 1
fi
cat "$folder"/*.count | awk '{ passed += $1; failed += $2; skipped += $3 } END {
    if (skipped > 0) printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    else printf "%d passed, %d failed\n", passed, failed
    exit failed > 0 }'
