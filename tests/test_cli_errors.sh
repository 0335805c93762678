#!/bin/sh
# What the operating system refuses, and strange file names: a message, exit code 1, nothing
# half-written.
program="${BUILD:-build}/liveness"
folder=$(mktemp -d "${TMPDIR:-/tmp}/liveness-XXXXXX") || exit 1
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
count=0 failed=0
check() {
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=1; fi
}
skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}
liveness() { ${RUNNER-} "$program" "$@"; }
refused() { # refused NAME TEXT COMMAND...: exit code 1, a message with TEXT
    name=$1 text=$2
    shift 2
    liveness "$@" > "$folder/out" 2> "$folder/err"
    code=$?
    [ $code -eq 1 ] && grep -q -e "$text" "$folder/err"
    check $? "$name: exit code $code, $(head -c 200 "$folder/err" | tr '\n' ' ')"
}
liveness synth "$folder/set" --count 12 --size 32 --quiet
check $? "a set"
small="-w 8 -he 8 -b 2 -e 1 --quiet"
liveness train -d "$folder/set" $small -m "$folder/m.st" > /dev/null
check $? "a model"

# ---- full disk, closed pipe, read-only folder ----------------------------------------------------
if [ -w /dev/full ]; then
    for command in "summary" "summary --json" "--help" "train --help" "--version" \
        "predict -m $folder/m.st $folder/set" "predict --json -m $folder/m.st $folder/set" \
        "eval -m $folder/m.st -d $folder/set --quiet" "train -d $folder/set $small" \
        "train -d $folder/set $small --json"; do
        liveness $command > /dev/full 2> "$folder/err"
        code=$?
        [ $code -eq 1 ] && grep -q "cannot write to standard output" "$folder/err"
        check $? "full: $(echo "$command" | cut -c1-40): exit code $code"
    done
    refused "a device as model" "/dev/full" train -d "$folder/set" $small -m /dev/full
    [ -c /dev/full ]
    check $? "and the device is still one"
else
    skip "a full disk" "there is no /dev/full"
fi
if [ "$(id -u)" -ne 0 ]; then
    mkdir "$folder/closed"
    chmod a-w "$folder/closed"
    refused "a read-only folder" "closed" train -d "$folder/set" $small -m "$folder/closed/m.st"
    refused "a folder in it" "closed" train -d "$folder/set" $small -m "$folder/closed/a/m.st"
    refused "synth into it" "closed" synth "$folder/closed/set" --count 4 --size 32
    chmod a-r "$folder/m.st"
    refused "a model that may not be read" "m.st" predict -m "$folder/m.st" "$folder/set"
    chmod a+r "$folder/m.st"
else
    skip "a read-only folder" "root may write everywhere"
fi

# ---- names that a terminal must not see ------------------------------------------------------------
newline=$(printf 'new\nline.png')
escape=$(printf 'esc\033[31m.jpg')
latin=$(printf 'caf\351.jpg')
picture=$(find "$folder/set/real" -type f | head -n 1)
mkdir "$folder/names"
cp "$picture" "$folder/names/$escape"
cp "$picture" "$folder/names/$newline"
cp "$picture" "$folder/names/-x.jpg"
if cp "$picture" "$folder/names/$latin" 2> /dev/null; then names=4; else names=3; fi
liveness predict -m "$folder/m.st" "$folder/names" > "$folder/out" 2> "$folder/err"
check $? "strange names are answered"
[ "$(wc -l < "$folder/out")" -eq $((names + 1)) ]
check $? "a line for each, and one for the columns"
! grep -q "$(printf '\033')" "$folder/out"
check $? "and no escape sequence gets out"
liveness predict --json -m "$folder/m.st" "$folder/names" > "$folder/out" 2> "$folder/err"
[ "$(wc -l < "$folder/out")" -eq $names ] && grep -q 'new\\nline' "$folder/out"
check $? "in JSON they are escaped"
(cd "$folder/names" && case $program in /*) ;; *) program=$OLDPWD/$program ;; esac &&
    ${RUNNER-} "$program" predict -m ../m.st -- -x.jpg > /dev/null)
check $? "'--' lets a name begin with '-'"

# ---- what is not a picture, not a model, not a folder ------------------------------------------------
mkdir "$folder/odd" "$folder/odd/dir.png"
: > "$folder/odd/empty.png"
head -c 300 "$picture" > "$folder/odd/cut.jpg"
echo text > "$folder/odd/text.jpg"
refused "pictures that are none" "3 of 3 files could not be read" \
    predict -m "$folder/m.st" "$folder/odd/empty.png" "$folder/odd/cut.jpg" "$folder/odd/text.jpg"
refused "a picture as model" "m.st\|real" predict -m "$picture" "$picture"
refused "a folder as model" "set" predict -m "$folder/set" "$picture"
refused "no model" "none.st" predict -m "$folder/none.st" "$picture"
refused "a folder without pictures" "no picture" predict -m "$folder/m.st" "$folder/odd/dir.png"
mkfifo "$folder/fifo.png"
refused "a fifo" "fifo" predict -m "$folder/m.st" "$folder/fifo.png"
mkdir -p "$folder/single/only"
cp "$picture" "$folder/single/only/"
refused "one class only" "class" train -d "$folder/single" $small
mkdir "$folder/single/empty"
refused "a class without pictures" "empty" train -d "$folder/single" $small
cp "$folder/odd/text.jpg" "$folder/single/empty/"
refused "a class of which nothing can be read" "empty" train -d "$folder/single" $small
cp -r "$folder/set" "$folder/mixed"
cp "$folder/odd/cut.jpg" "$folder/odd/empty.png" "$folder/mixed/real/"
liveness train -d "$folder/mixed" $small > /dev/null 2> "$folder/err"
[ $? -eq 0 ] && grep -q "cut.jpg" "$folder/err" && grep -q "2 files" "$folder/err"
check $? "single bad files are named and left out"
ln -s .. "$folder/mixed/real/loop"
liveness train -d "$folder/mixed" $small > /dev/null 2>&1
check $? "a link that leads back up does no harm"
echo "1..$count"
exit $failed
