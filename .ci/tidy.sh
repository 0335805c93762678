#!/bin/sh
# clang-tidy on each FILE, with the flags it is compiled with. See lint.sh.
failed=0
for file; do
    case $file in
    *_simd.c) set -- -mavx2 -mfma -DNN_LEVEL_avx2 ;;
    *) set -- ;;
    esac
    clang-tidy --quiet "$file" -- -std=c99 -D_XOPEN_SOURCE=700 '-DNN_VERSION="0"' -I. \
        "-I${BUILD:-build}/generated" "$@" 2> /dev/null || failed=1
done
exit $failed
