#!/bin/sh
# Runs TAP-printing test programs and scripts from the top folder, shows what failed or was
# skipped, and ends with "N passed, N failed", and ", N skipped" where that happened. The programs
# of docs/learn print for people, and end with 0 when all was as they say: one check each.
#   usage: tests/run.sh PROGRAM...
passed=0 failed=0 skipped=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# Who hangs has failed: nothing here takes a minute, unless a sanitizer or an emulator runs it.
limit=''
command -v timeout > /dev/null 2>&1 && limit='timeout 300'
for program in "$@"; do
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
    printf '%-32s %5d passed %3d failed %3d skipped\n' "$(basename "$program")" "$p" "$f" "$s"
    grep '# SKIP' "$log" | sed 's/^ok [0-9]* - /    skipped: /; s/# SKIP/:/'
    if [ "$f" -gt 0 ]; then
        grep -A 3 '^not ok' "$log" | head -60 | sed 's/^/    /'
        [ $status -ne 0 ] && { echo "    exit status $status; the last lines:"; tail -15 "$log" | sed 's/^/    | /'; }
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
