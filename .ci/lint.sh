#!/bin/sh
# Looks at the source with the tools that are there, and prints TAP: one line per tool. A tool that
# is missing is skipped. $BUILD/generated/ops.inc must exist (`make lint` sees to it).
BUILD=${BUILD:-build}
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
count=0 failed=0
check() { # check NAME COMMAND...: must end well and say nothing
    name=$1
    shift
    count=$((count + 1))
    if "$@" > "$log" 2>&1 && [ ! -s "$log" ]; then
        echo "ok $count - $name"
    else
        failed=1
        echo "not ok $count - $name"
        head -60 "$log" | sed 's/^/# /'
    fi
}
skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}
has() { command -v "$1" > /dev/null 2>&1; }

sources=$(git ls-files 'nn/*.c' 'vision/*.c' 'datasets/*.c' 'apps/*.c')

# The layout is that of version 14; other versions have other opinions.
if has clang-format && clang-format --version | grep -q 'version 14\.'; then
    format() { git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror; }
    check "clang-format" format
else
    skip "clang-format" "version 14 is not installed"
fi

# Left out: style (clang-tidy looks at that), headers of the system, and log(0) and the like, which
# it finds by supposing a network of no classes; shape rules refuse those.
if has cppcheck; then
    static() {
        # shellcheck disable=SC2086
        cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability -j 2 \
            --std=c99 --inline-suppr --suppress=missingIncludeSystem \
            --suppress=invalidFunctionArg -D__x86_64__ -D__linux__ -D__GNUC__=12 \
            -D_XOPEN_SOURCE=700 '-DNN_VERSION="0"' -DNN_LEVEL_avx2 -D__AVX2__ -D__FMA__ \
            -I. "-I$BUILD/generated" $sources
    }
    check "cppcheck" static
else
    skip "cppcheck" "not installed"
fi

# Vector files are looked at once, as AVX2.
if ! has clang-tidy; then
    skip "clang-tidy" "not installed"
elif [ "$(uname -m)" != x86_64 ]; then
    skip "clang-tidy" "vector code is looked at as AVX2 here"
else
    tidy() {
        # shellcheck disable=SC2086
        printf '%s\n' $sources | BUILD="$BUILD" xargs -P 2 -n 6 sh .ci/tidy.sh
    }
    check "clang-tidy" tidy
fi

if has shellcheck; then
    shells() { git ls-files '*.sh' .ci/run | xargs shellcheck -S warning; }
    check "shellcheck" shells
else
    skip "shellcheck" "not installed"
fi

# A guide of this project: a file can be read in one go. (Line lengths are clang-format's.)
long() { git ls-files '*.c' '*.h' | xargs awk 'FNR == 601 { print FILENAME ": over 600 lines" }'; }
check "no file over 600 lines" long
echo "1..$count"
exit $failed
