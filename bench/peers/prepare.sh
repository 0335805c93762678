#!/bin/sh
# prepare.sh — the peers, versions pinned, in environments of their own.
#
#     bench/peers/prepare.sh [DIR]        DIR is build/peers; about 8 GB, mostly PyTorch's CUDA
#
# What does not install here is left out, and run.py's report says so (DIR/missing.txt). PYTHON
# names another interpreter than python3.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-build/peers}
mkdir -p "$folder"
: > "$folder/missing.txt"

# environment NAME REQUIREMENTS: all at once, so that versions fit together; else one by one
environment() {
    python="$folder/$1/bin/python"
    [ -x "$python" ] || "${PYTHON:-python3}" -m venv "$folder/$1"
    install="$python -m pip install --quiet --disable-pip-version-check"
    $install -r "$here/$2" && return
    grep -v '^#' "$here/$2" | while read -r package; do
        $install "$package" || echo "$package ($1)" >> "$folder/missing.txt"
    done
}

environment main requirements.txt
environment opencv4 requirements-opencv4.txt
environment demo requirements-demo.txt
if [ -s "$folder/missing.txt" ]; then
    echo "does not install here:"
    cat "$folder/missing.txt"
fi
echo "$folder is ready: python3 bench/peers/run.py --peers $folder"
