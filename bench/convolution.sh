#!/bin/sh
# Measures one convolution step by step, and puts the tables into docs/kernels.md between its two
# marks. On a machine that has nothing else to do:
#
#     sh bench/convolution.sh [--turns N] ...
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build} page=docs/kernels.md
make BUILD="$BUILD" "$BUILD/bench/convolution" || exit 1
tables=$(mktemp) || exit 1
trap 'rm -f "$tables" "$page.new"' EXIT
"$BUILD/bench/convolution" "$@" > "$tables" || exit 1
if [ "$(grep -c -e '^<!-- measured -->$' -e '^<!-- /measured -->$' $page)" -ne 2 ]; then
    echo "convolution.sh: $page has not got its two marks" >&2
    exit 1
fi
awk -v tables="$tables" '
    /^<!-- measured -->$/ { print; print ""; while ((getline line < tables) > 0) print line; print "" }
    /^<!-- measured -->$/, /^<!-- \/measured -->$/ { if (!/\/measured/) next }
    { print }' $page > $page.new && mv $page.new $page
