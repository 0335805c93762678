#!/bin/sh
# Ctrl-C and SIGTERM: a run that is interrupted again and again, and resumed, ends with the very
# bytes of one that never was.
program="${BUILD:-build}/liveness"
folder=$(mktemp -d "${TMPDIR:-/tmp}/liveness-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
# Long enough to be interrupted on a fast machine; who comes too late on a faster one skips.
epochs=1500 over=0
[ -z "${RUNNER-}" ] || epochs=60
count=0 failed=0
check() { # check CONDITION-STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=1; fi
}
liveness() { ${RUNNER-} "$program" "$@"; }
train() { # train MODEL [options]: small enough to be quick, long enough to be interrupted
    model=$1
    shift
    liveness train -d "$folder/set" -w 8 -he 8 -b 4 -e $epochs --lr 1e-3 -m "$folder/$model" "$@"
}

liveness synth "$folder/set" --count 20 --size 32 --seed 5 --quiet
check $? "a set to train on"
train whole.st --quiet --json > "$folder/whole.json"
check $? "a run that is never interrupted"

# The signal goes out when the run has come past a given epoch, wherever it is then.
interrupt() { # interrupt SIGNAL EPOCH EXPECTED-CODE
    : > "$folder/talk"
    # The program itself in the background, not a shell around it: it is to get the signal.
    ${RUNNER-} "$program" train -d "$folder/set" -w 8 -he 8 -b 4 -e $epochs --lr 1e-3 \
        -m "$folder/parts.st" 2> "$folder/talk" > /dev/null &
    run=$!
    tries=0
    while ! grep -q "Epoch *$2/$epochs" "$folder/talk" && [ $tries -lt 3000 ] &&
        kill -0 $run 2> /dev/null; do
        sleep 0.01
        tries=$((tries + 1))
    done
    kill -"$1" $run 2> /dev/null
    wait $run
    code=$?
    if [ $code -eq 0 ]; then
        count=$((count + 1))
        echo "ok $count - SIG$1 # SKIP the run was over before the signal came"
        over=1
        return
    fi
    [ $code -eq "$3" ]
    check $? "SIG$1 in epoch $2: exit code $code, expected $3"
    grep -q "resumes it" "$folder/talk"
    check $? "and it says how to resume"
}
skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP the run was over before a signal came"
}
interrupt TERM 3 143
# A shell without job control starts background programs with SIGINT ignored; the program asks for
# it again.
[ $over -eq 1 ] || interrupt INT 20 130
[ $over -eq 1 ] || interrupt TERM 35 143
hash() { sed 's/.*"weights_sha256":"\([0-9a-f]*\)".*/\1/' "$1"; }
if [ $over -eq 1 ]; then # the same command again would train on
    skip "the bytes of a run that never was interrupted"
else
    train parts.st --quiet --json > "$folder/parts.json"
    check $? "the run goes on to its end"
    cmp "$folder/whole.st" "$folder/parts.st"
    check $? "the same bytes in the checkpoint"
    cmp "$folder/whole.best.st" "$folder/parts.best.st"
    check $? "and in the best weights"
    [ "$(hash "$folder/whole.json")" = "$(hash "$folder/parts.json")" ]
    check $? "and the same hash"
fi

# Killed without warning: what is there afterwards is whole, or nothing.
${RUNNER-} "$program" train -d "$folder/set" -w 8 -he 8 -b 4 -e 100000 -m "$folder/killed.st" \
    --quiet > /dev/null 2>&1 &
run=$!
sleep 0.3
kill -KILL $run
wait $run 2> /dev/null
if [ -e "$folder/killed.st" ]; then
    liveness summary "$folder/killed.st" > /dev/null
    check $? "killed: the checkpoint is whole"
else
    check 0 "killed: there is no half checkpoint"
fi
echo "1..$count"
exit $failed
