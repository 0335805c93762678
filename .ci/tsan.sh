#!/bin/sh
# Training, evaluation and prediction on four threads, in a build with ThreadSanitizer: it makes
# the program fail when two threads meet on the same bytes. Prints TAP.
program="${BUILD:-build-tsan}/liveness"
folder=$(mktemp -d "${TMPDIR:-/tmp}/liveness-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
count=0 failed=0
clean() { # clean NAME ARGUMENTS...
    name=$1
    shift
    count=$((count + 1))
    if "$program" "$@" --threads 4 --quiet > "$folder/log" 2>&1; then
        echo "ok $count - $name"
    else
        failed=1
        echo "not ok $count - $name"
        head -40 "$folder/log" | sed 's/^/# /'
    fi
}
clean "synth" synth "$folder/set" --count 32 --size 48
clean "train" train -d "$folder/set" -e 3 -b 4 -m "$folder/m.safetensors" -p "$folder/p.png"
clean "eval" eval -m "$folder/m.safetensors" -d "$folder/set" -o "$folder"
clean "predict" predict -m "$folder/m.safetensors" "$folder/set"
echo "1..$count"
exit $failed
