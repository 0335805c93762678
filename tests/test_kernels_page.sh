#!/bin/sh
# docs/kernels.md tells the truth where a script can see it: files, functions and constants that it
# names exist, its tables are what the program prints, and the program's steps agree.
build=${BUILD:-build}
page=docs/kernels.md
folder=$(mktemp -d "${TMPDIR:-/tmp}/liveness-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
count=0 failed=0
check() { # check STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=1; fi
}

# Words between backticks, outside of the pictures: file names, and names in code.
words() { # words PAGE
    awk '/^```/ { code = !code } !code' "$1" | grep -o '`[^`]*`' | tr -d '`' | sort -u
}
files() { words "$1" | grep -E '^[A-Za-z_0-9/]+(\*)?\.(c|h|sh|md)$'; }
names() { # with an underscore, or all capitals: ordinary words are not looked for
    words "$1" | sed 's/^struct //' | grep -E '^[A-Za-z_][A-Za-z_0-9]*$' |
        grep -E '_|^[A-Z][A-Z_0-9]+$'
}
cat nn/*.[ch] nn/*/*.[ch] bench/*.[ch] bench/*/*.[ch] tests/*.[ch] Makefile apps/*.[ch] > "$folder/code"
lies() { # lies PAGE: what it names and nobody has
    files "$1" | while read -r file; do
        for name in $file; do [ -e "$name" ] || echo "$name"; done
    done
    names "$1" | while read -r name; do
        grep -q -w -e "$name" "$folder/code" || echo "$name"
    done
}

check "$([ "$(names $page | wc -l)" -ge 30 ]; echo $?)" "the page names thirty things or more"
lies=$(lies $page | tr '\n' ' ')
check "$([ -z "$lies" ]; echo $?)" "all that it names exists${lies:+, but: $lies}"
sed 's/`row_tile`/`row_tyle`/; s|`tests/check_kernels\*\.c`|`tests/chuck_kernels*.c`|' $page \
    > "$folder/wrong.md"
lies=$(lies "$folder/wrong.md" | wc -l)
check "$([ "$lies" -eq 2 ]; echo $?)" "two names made wrong are seen"

# ---- the tables --------------------------------------------------------------------------------
sed -n '/^<!-- measured -->$/,/^<!-- \/measured -->$/p' $page > "$folder/tables"
for layer in ssd livenessnet deep; do
    grep -q "^\*\*$layer\*\* (" "$folder/tables"
    check $? "it has measured $layer"
done
program="${RUNNER-} $build/bench/convolution --turns 1"
small="--layer 2x9x13x7x48"
$program $small > "$folder/small" 2> "$folder/log"
check $? "bench/convolution: the steps of a small layer agree"
missing=''
for step in 1 2 3 4 5 6 7 9; do
    grep -q "^| $step " "$folder/small" && grep -q "^| $step " "$folder/tables" ||
        missing="$missing $step"
done
check "$([ -z "$missing" ]; echo $?)" "page and program have the same steps${missing:+, but:$missing}"
# 2 to 7, and the plan: so small a layer does not go by Winograd
check "$([ "$(grep -c '| same bits |$' "$folder/small")" -ge 6 ]; echo $?)" \
    "a step changes when a product is added, not in which order"
$program $small --json > "$folder/json" 2>&1 && grep -q '^{.*"tiles": \[{.*}$' "$folder/json"
check $? "and as JSON"
for wrong in '--layer 1x2x3x4x17' '--layer 1x2x3x4' '--layer 64x512x512x512x512' '--turns 0' \
    '--threads -1' '--turns' '--bogus'; do
    # shellcheck disable=SC2086
    $program $wrong > "$folder/out" 2> "$folder/log"
    status=$?
    [ $status -eq 2 ] && [ ! -s "$folder/out" ] && grep -q '^convolution: ' "$folder/log"
    check $? "refused: $wrong"
done
echo "1..$count"
exit $failed
