#!/bin/sh
# Fetches the face detector and the landmark model that this project reads but does not ship, from
# their authors' own addresses, and checks them. What was begun is gone on with.
#
#   usage: weights/fetch.sh [detector|landmarks|all]      (all, if nothing is said)
#
#   weights/detector/    OpenCV's SSD face detector: deploy.prototxt and a .caffemodel of 10.7 MB.
#                        Apache License 2.0 (opencv) and BSD 3-clause (opencv_3rdparty), as those
#                        repositories say.
#   weights/landmarks/   dlib's 68-point model, 64 MB to fetch, 100 MB on disk. Trained on the
#                        iBUG 300-W data set, whose terms EXCLUDE COMMERCIAL USE.
#
#   WEIGHTS=FOLDER         where to put the two folders, instead of beside this script
#   LIVENESS_MIRROR=URL    a server with the same files, instead of their authors'
set -u
case ${1-all}$# in
all[01] | detector1 | landmarks1) ;;
*)
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
cd "${WEIGHTS:-$(dirname "$0")}" || exit 1

if [ -n "${LIVENESS_MIRROR-}" ]; then
    opencv=$LIVENESS_MIRROR thirdparty=$LIVENESS_MIRROR dlib=$LIVENESS_MIRROR
else
    opencv=https://raw.githubusercontent.com/opencv/opencv/4.10.0/samples/dnn/face_detector
    thirdparty=https://raw.githubusercontent.com/opencv/opencv_3rdparty
    thirdparty=$thirdparty/dnn_samples_face_detector_20170830
    dlib=https://dlib.net/files
fi

say() { echo "fetch.sh: $*" >&2; }
has() { command -v "$1" > /dev/null 2>&1; }
size_of() { wc -c < "$1" | tr -d ' '; }

advice() {
    say "no luck. If this machine has no internet, fetch the files on another one, and copy them:"
    say "  detector/   deploy.prototxt and res10_300x300_ssd_iter_140000.caffemodel from"
    say "              github.com/opencv/opencv (samples/dnn/face_detector) and"
    say "              github.com/opencv/opencv_3rdparty (branch"
    say "              dnn_samples_face_detector_20170830)"
    say "  landmarks/  shape_predictor_68_face_landmarks.dat from dlib.net/files (bunzip2 it);"
    say "              Debian and Ubuntu have it as a package: apt install libdlib-data"
    exit 1
}

sha1() { # sha1 < bytes
    if has sha1sum; then
        sha1sum | cut -d ' ' -f 1
    elif has shasum; then
        shasum -a 1 | cut -d ' ' -f 1
    else
        openssl sha1 | sed 's/.*= *//'
    fi
}
# What git calls a file: the SHA-1 of "blob ", its size, a zero, and its bytes.
git_hash() { { printf 'blob %s\0' "$(size_of "$1")" && cat "$1"; } | sha1; }

# Goes on where a part ends; from the beginning where the server refuses to.
download() { # download URL PART
    say "fetching $1"
    if has curl; then
        curl -fL --retry 2 -C - -o "$2" "$1" && return
        case $? in 22 | 33 | 36) [ -s "$2" ] || return 1 ;; *) return 1 ;; esac
        rm -f "$2"
        curl -fL --retry 2 -o "$2" "$1"
    elif has wget; then
        wget --tries=3 -c -O "$2" "$1" && return
        [ $? -eq 8 ] && [ -s "$2" ] || return 1
        rm -f "$2"
        wget --tries=3 -O "$2" "$1"
    else
        say "neither curl nor wget is installed"
        return 1
    fi
}

right() { # right FILE SIZE [GIT-HASH]: is it what it should be?
    if [ "$(size_of "$1")" -ne "$2" ]; then
        say "$1 has $(size_of "$1") bytes, expected $2"
    elif [ -n "${3-}" ] && [ "$(git_hash "$1")" != "$3" ]; then
        say "$1 is not the right file: its git hash is $(git_hash "$1"), expected $3"
    else
        return 0
    fi
    return 1
}
there() { # there FILE SIZE [GIT-HASH]
    [ -s "$1" ] && right "$@" && say "$1 is there"
}
throw_away() {
    rm -f "$@"
    say "thrown away; try again"
    exit 1
}

fetch() { # fetch URL FILE SIZE GIT-HASH
    there "$2" "$3" "$4" && return
    there "$2.part" "$3" "$4" 2> /dev/null || download "$1" "$2.part" || advice
    right "$2.part" "$3" "$4" || throw_away "$2.part"
    mv "$2.part" "$2" && say "$2: done"
}

detector() {
    mkdir -p detector || exit 1
    fetch "$opencv/deploy.prototxt" detector/deploy.prototxt \
        28092 905580ee46dcb9f0b8ac3703987e561eb4245a42
    fetch "$thirdparty/res10_300x300_ssd_iter_140000.caffemodel" \
        detector/res10_300x300_ssd_iter_140000.caffemodel \
        10666211 809dfd7877c8774d36424ad71ed9a7830ce3c3ad
}

landmarks() {
    dat=landmarks/shape_predictor_68_face_landmarks.dat size=99693937
    mkdir -p landmarks || exit 1
    there $dat $size && return
    has bunzip2 || { say "bunzip2 is not installed (package bzip2)"; exit 1; }
    say "note: the terms of this model's training data (iBUG 300-W) exclude commercial use"
    bunzip2 -t < $dat.bz2.part 2> /dev/null ||
        download "$dlib/shape_predictor_68_face_landmarks.dat.bz2" $dat.bz2.part || advice
    { bunzip2 < $dat.bz2.part > $dat.part && right $dat.part $size; } ||
        throw_away $dat.part $dat.bz2.part
    mv $dat.part $dat && rm -f $dat.bz2.part && say "$dat: done"
}

case ${1-all} in
detector) detector ;;
landmarks) landmarks ;;
all) detector && landmarks ;;
esac
