#!/bin/sh
# From videos to a trained network: the commands of datasets/README.md, on drawn clips with a
# detector that finds the middle of a picture; and on real ones where they are at hand.
BUILD=${BUILD:-build}
program=$BUILD/liveness
case $program in /*) ;; *) program=$PWD/$program ;; esac
top=$PWD
folder=$(mktemp -d "${TMPDIR:-/tmp}/liveness-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
count=0 failed=0
check() { # check STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=1; fi
}
skip() { # skip NAME REASON
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}
liveness() { ${RUNNER-} "$program" "$@"; }
share() { # share JSON KEY: a figure
    grep -o "\"$2\":[0-9][0-9.e+-]*" "$1" | head -n 1 | cut -d : -f 2
}
at_least() { # at_least FIGURE LIMIT
    awk -v figure="${1:-0}" -v limit="$2" 'BEGIN { exit !(figure >= limit) }'
}

# ---- the documented commands on drawn clips --------------------------------------------------------
sed -n '/^<!-- walk/,/^```$/p' datasets/README.md | sed -n 's/^liveness //p' > "$folder/commands"
[ "$(wc -l < "$folder/commands")" -eq 6 ]
check $? "the walk has six commands"
for part in '' 2; do
    mkdir "$folder/made$part"
    liveness synth "$folder/made$part/drawn" --count 120 --size 48 --seed "7$part" --quiet &&
        ${RUNNER-} "$BUILD/tests/test_cli_gather" walk "$folder/made$part"
    check $? "drawn faces as clips"
    for class in real fake; do mv "$folder/made$part/$class.mjpeg" "$folder/$class$part.mp4"; done
done
LIVENESS_DETECTOR=$folder/made/detector.safetensors
export LIVENESS_DETECTOR
cd "$folder" || exit 1
# Drawn pictures all differ: every one is looked at, and a few epochs at a high rate do.
while read -r line; do
    line=$(echo "$line" | sed -e 's/-s 4/-s 1/' -e 's/-e 30/-e 5 -r 1e-3 --no-augment/')
    # shellcheck disable=SC2086
    liveness $line --quiet --json > "$folder/out" 2>> "$folder/err" < /dev/null
    status=$?
    [ $status -eq 0 ] || tail -n 5 "$folder/err" | sed 's/^/# /'
    check $status "runs: liveness $line"
    case $line in
    gather*)
        [ "$(share "$folder/out" written)" = 60 ]
        check $? "it writes 60 faces"
        ;;
    esac
done < "$folder/commands"
! grep -q "left out" "$folder/err"
check $? "nothing beside the faces is taken for one"
[ -s faces.png ] && [ -s report/report.txt ] && [ -s faces/real-sheet.jpe ]
check $? "there are a plot, a report, and a sheet"
auc=$(share "$folder/out" auc)
at_least "$auc" 0.7
check $? "and the network tells drawn faces from their recaptures: AUC $auc"
cd "$top" || exit 1

# ---- real clips ------------------------------------------------------------------------------------
shared=${LIVENESS_SHARED:-}
for place in ../shared ../../shared; do
    [ -z "$shared" ] && [ -f "$place/data/README.md" ] && shared=$place
done
videos=$shared/data/videos
if [ -z "$shared" ] || [ ! -d "$videos" ]; then
    skip "real clips" "there are none here"
elif [ -n "${RUNNER-}" ]; then
    skip "real clips" "in an emulator they would take minutes"
elif ! command -v ffmpeg > /dev/null 2>&1; then
    skip "real clips" "ffmpeg is not installed"
else
    LIVENESS_DETECTOR=$shared/data/detector
    for class in real fake; do
        liveness gather -i "$videos/adarshk28__${class}__clip.mp4" -o "$folder/met/$class" -s 8 \
            --json --quiet > "$folder/out"
        check $? "gather: $class"
        written=$(share "$folder/out" written)
        at_least "$written" 40
        check $? "a face in nearly each of 42 frames: $written"
    done
    liveness train -d "$folder/met" -m "$folder/met.st" --split tail -e 30 --quiet > "$folder/out"
    check $? "train"
    liveness eval -m "$folder/met.best.st" -d "$folder/met" --json --quiet > "$folder/out"
    check $? "eval"
    accuracy=$(share "$folder/out" accuracy)
    at_least "$accuracy" 0.95
    check $? "the two clips are told apart: accuracy $accuracy"
fi
echo "1..$count"
exit $failed
