#!/bin/sh
# The README tells the truth: files of its tour exist, can be read in one go and begin by saying
# what they are; its table of commands is the program's; its example runs; links lead somewhere.
program="${RUNNER-} ${BUILD:-build}/liveness"
folder=$(mktemp -d "${TMPDIR:-/tmp}/liveness-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
count=0 failed=0
check() { # check STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=1; fi
}

# ---- the tour ------------------------------------------------------------------------------------
tour=$(sed -n 's/^| \[\([^]]*\)\](\([^)]*\)) | .*/\1 \2/p' README.md)
check "$([ "$(echo "$tour" | wc -l)" -ge 15 ]; echo $?)" "the tour has fifteen files or more"
while read -r name path; do
    lines=$(wc -l < "$path" 2>/dev/null || echo 0)
    [ "$name" = "$path" ] && [ -f "$path" ] && [ "$lines" -gt 0 ] && [ "$lines" -le 600 ] &&
        head -n 2 "$path" | grep -q "${path##*/} "
    check $? "tour: $name, $lines lines, begins with its name and idea"
done <<EOF
$tour
EOF

# ---- the commands --------------------------------------------------------------------------------
sed -n '/^| command /,/^$/s/^| `\([a-z]*\)` | \(.*\) |$/\1 \2/p' README.md > "$folder/readme"
$program --help | sed -n 's/^  \([a-z][a-z]*\)  *\([A-Z].*\.\)$/\1 \2/p' > "$folder/program"
cmp -s "$folder/readme" "$folder/program"
check $? "the table of commands is the program's"
[ -s "$folder/readme" ] || check 1 "there is such a table"

# ---- the example, in another folder and with less work --------------------------------------------
sed -n '/^<!-- tested/,/^```$/p' README.md | sed -n 's/^build\/liveness //p' |
    sed -e "s|out/|$folder/|g" -e 's/--count [0-9]*/--count 24 --size 32/' -e 's/-e [0-9]*$/-e 1/' \
        > "$folder/commands"
check "$([ "$(wc -l < "$folder/commands")" -ge 5 ]; echo $?)" "there are five commands to run"
while read -r line; do
    # shellcheck disable=SC2086
    $program $line --quiet > "$folder/log" 2>&1 < /dev/null
    status=$?
    [ $status -eq 0 ] || head -n 5 "$folder/log" | sed 's/^/# /'
    check $status "runs: liveness $(echo "$line" | sed "s|$folder|out|g")"
done < "$folder/commands"

# ---- links between the documents --------------------------------------------------------------------
for page in README.md docs/*.md docs/learn/*.md datasets/README.md weights/README.md; do
    broken=''
    for link in $(grep -o '](\([^)#:]*\))' "$page" | sed 's/^](//; s/)$//'); do
        [ -e "$(dirname "$page")/$link" ] || broken="$broken $link"
    done
    [ -z "$broken" ]
    check $? "links of $page$broken"
done
grep -q "^- .*" CHANGELOG.md && grep -q "^## $($program --version | sed 's/^liveness //')" CHANGELOG.md
check $? "the changelog knows this version"
echo "1..$count"
exit $failed
