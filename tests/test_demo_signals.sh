#!/bin/sh
# A demo that records is ended in every way there is: the file plays, and the exit code says how.
program="${BUILD:-build}/liveness"
folder=$(mktemp -d "${TMPDIR:-/tmp}/liveness-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
count=0 failed=0
check() { # check CONDITION-STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=1; fi
}
${RUNNER-} "${BUILD:-build}/tests/test_cli_demo" make "$folder"
check $? "a clip, a detector, a network"
demo() { # demo [options]: for ever
    # The program itself replaces this shell: it is to get the signal.
    # shellcheck disable=SC2086
    exec ${RUNNER-} "$program" demo -m "$folder/real.safetensors" -d "$folder/tiny.safetensors" \
        -v "$folder/clip.y4m" --loop --display none "$@"
}
frames_in() { # frames_in FILE: that can be decoded
    ${RUNNER-} "$program" detect -d "$folder/tiny.safetensors" --json "$1" 2> /dev/null | wc -l
}
# Waits until the run has written so many lines; a second of them is in the file by then.
await() { # await LINES
    tries=0
    while [ "$(wc -l < "$folder/lines")" -lt "$1" ] && [ $tries -lt 3000 ] &&
        kill -0 $run 2> /dev/null; do
        sleep 0.01
        tries=$((tries + 1))
    done
}
interrupt() { # interrupt SIGNAL EXPECTED-CODE FILE
    : > "$folder/lines"
    (demo --json -o "$folder/$3" > "$folder/lines" 2> "$folder/talk") &
    run=$!
    await 60
    kill -"$1" $run 2> /dev/null
    wait $run
    code=$?
    [ $code -eq "$2" ]
    check $? "SIG$1: exit code $code, expected $2"
    looked=$(grep -c '"frame"' "$folder/lines")
    frames=$(frames_in "$folder/$3")
    [ "$frames" -ge $((looked - 15)) ] && [ "$frames" -gt 20 ]
    check $? "$3 plays: $frames of $looked frames"
}
if [ -n "${RUNNER-}" ]; then
    # An emulator does not hand signals on in time; the tests in C end runs, too.
    check 0 "signals # SKIP not under an emulator"
else
    interrupt INT 130 int.avi
    interrupt TERM 143 term.mp4
    interrupt HUP 129 hup.avi
    interrupt KILL 137 kill.avi
    grep -q '"summary"' "$folder/lines"
    check "$((1 - $?))" "killed: there was no time for a summary"
fi

# Whoever read has gone: an end like any other, not a death by SIGPIPE.
(demo --json -o "$folder/pipe.avi" 2> "$folder/talk") | head -n 60 > "$folder/lines"
[ "$(wc -l < "$folder/lines")" -eq 60 ] && [ "$(frames_in "$folder/pipe.avi")" -ge 20 ]
check $? "--json into head: the file plays, $(frames_in "$folder/pipe.avi") frames"
(demo -o - 2> "$folder/talk") | head -c 1000000 > "$folder/raw"
[ "$(wc -c < "$folder/raw")" -eq 1000000 ]
check $? "raw frames into a pipe that closes"

# Nothing comes from standard input: a signal ends it all the same.
mkfifo "$folder/pipe"
(demo --json --max-frames 3 -v "$folder/pipe" > /dev/null 2>&1) &
run=$!
exec 9> "$folder/pipe"
sleep 0.2
kill -TERM $run
wait $run
code=$?
exec 9>&-
[ $code -eq 143 ]
check $? "a pipe from which nothing comes: exit code $code"
echo "1..$count"
exit $failed
