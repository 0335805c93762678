#!/bin/sh
# `make install` into a folder: everything is where it should be, a program can be built with it by
# pkg-config's words, and `make uninstall` leaves nothing.
BUILD=${BUILD:-build} CC=${CC:-cc}
folder=$(mktemp -d "${TMPDIR:-/tmp}/liveness-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
count=0 failed=0
check() { # check STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=1; fi
}
install() { # install TARGET: as the make that runs these tests, but not one of its children
    # shellcheck disable=SC2086
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s BUILD="$BUILD" CC="$CC" \
        ${CFLAGS+CFLAGS="$CFLAGS"} ${LDFLAGS+LDFLAGS="$LDFLAGS"} ${AR+AR="$AR"} \
        ${WERROR+WERROR="$WERROR"} PREFIX=/usr/test DESTDIR="$folder" "$1" > "$folder/log" 2>&1
    status=$?
    [ $status -eq 0 ] || head -n 5 "$folder/log" | sed 's/^/# /'
    check $status "make $1"
}
install install
root=$folder/usr/test
for file in bin/liveness lib/libnn.a lib/libvision.a include/nn/nn.h include/vision/vision.h \
    lib/pkgconfig/liveness.pc share/man/man1/liveness.1; do
    [ -s "$root/$file" ]
    check $? "installs $file"
done
${RUNNER-} "$root/bin/liveness" --version > "$folder/log" 2>&1
check $? "the program runs from there"
grep -q '@' "$root/lib/pkgconfig/liveness.pc"
check $(($? == 0)) "the pkg-config file is filled in"

# The words of the file itself: pkg-config may not be installed.
words() { # words KEY
    sed -n "s/^$1: //p" "$root/lib/pkgconfig/liveness.pc" |
        sed "s|\${includedir}|$root/include|g; s|\${libdir}|$root/lib|g"
}
cat > "$folder/user.c" << 'EOF'
#include <nn/nn.h>
#include <vision/vision.h>
#include <stdio.h>
int main(void)
{
    struct nn_context *context;
    struct vi_image image = {0};
    int bad = nn_open(&context, NULL) || vi_image_new(&image, context, 8, 8, 3);
    struct nn_graph *graph = nn_graph_new(context);
    bad |= !nn_model_livenessnet(graph, 32, 32, 3, 2) || nn_initialize(graph, 1);
    printf("nn %s on %s\n", nn_version(), nn_cpu(context));
    vi_image_free(context, &image);
    nn_graph_free(&graph);
    nn_close(&context);
    return bad;
}
EOF
# shellcheck disable=SC2046,SC2086
$CC -std=c99 ${CFLAGS-} $(words Cflags) -o "$folder/user" "$folder/user.c" $(words Libs) \
    ${LDFLAGS-} > "$folder/log" 2>&1 && ${RUNNER-} "$folder/user" > "$folder/log" 2>&1
status=$?
[ $status -eq 0 ] || head -n 5 "$folder/log" | sed 's/^/# /'
check $status "another program builds with it and runs"

install uninstall
[ -z "$(find "$folder/usr" -type f)" ]
check $? "nothing is left"
echo "1..$count"
exit $failed
