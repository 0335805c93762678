#!/bin/sh
# What the inner loops of convolution's NEON tiles are made of, from the disassembly: of 22
# instructions at least 16 multiply and add, and nothing goes to the stack. That holds for the widest
# tiles of one vector and of two (row_8x2: eight pixels, two vectors of filters); the others are
# shown. Prints TAP, the table as comments. Runs with `make cross`, and where the machine is an ARM.
#   usage: BUILD=build-aarch64 sh tests/check_neon_mix.sh
object=${BUILD:-build}/nn/kernels/conv_neon.o
skip() {
    echo "ok 1 - instruction mix # SKIP $1"
    echo "1..1"
    exit 0
}
[ -e "$object" ] || skip "no $object: it is built by make cross"
case "${CFLAGS-}" in
*-fsanitize=* | *--coverage*) skip "the compiler adds instructions of its own" ;;
esac
${CC:-cc} --version 2> /dev/null | grep -q clang && skip "held for gcc"
for objdump in aarch64-linux-gnu-objdump objdump ''; do
    [ -n "$objdump" ] || skip "no objdump for ARM"
    $objdump -d --no-show-raw-insn "$object" 2> /dev/null | grep -q 'fmla' && break
done

$objdump -d --no-show-raw-insn "$object" | awk '
function number(hex,   i, value) {
    for (i = 1; i <= length(hex); i++)
        value = value * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
    return value + 0
}
# The loop of the function just read that ends at instruction `last`, if it is one: a branch back.
# The best so far is the innermost one that multiplies most.
function look_at_loop(last,   first, i, inner, multiplies, stack) {
    if (text[last] !~ /^(b\.|cbn?z|tbn?z)/ || !match(text[last], / [0-9a-f]+ </)) return
    first = place[number(substr(text[last], RSTART + 1, RLENGTH - 3))]
    if (first == "" || first > last) return
    for (i = first; i <= last; i++) {
        if (i < last && text[i] ~ /^(b|b\.[a-z]+|cbn?z|tbn?z) / && match(text[i], / [0-9a-f]+ </)) {
            inner = place[number(substr(text[i], RSTART + 1, RLENGTH - 3))]
            if (inner != "" && inner <= i && inner >= first) return
        }
        multiplies += text[i] ~ /^fmla /
        stack += text[i] ~ /\[sp/
    }
    if (multiplies <= best) return
    best = multiplies
    size[name] = last - first + 1
    fmla[name] = multiplies
    spilled[name] = stack + 0
}
function finish_function(   i) {
    best = 0
    if (name ~ /^(row|gradient)_[0-9]+x[12]$/)
        for (i = 0; i < count; i++) look_at_loop(i)
    count = 0
    split("", place)
}
/^[0-9a-f]+ <.*>:$/ {
    finish_function()
    name = substr($2, 2, length($2) - 3)
}
/^ *[0-9a-f]+:\t/ {
    place[number(substr($1, 1, length($1) - 1))] = count
    line = $0
    sub(/^[^\t]*\t/, "", line)
    gsub(/[ \t]+/, " ", line)
    text[count++] = line
}
function widest(family, vectors,   n) {
    for (n = 64; n > 1; n--)
        if ((family "_" n "x" vectors) in size) break
    return n
}
function row(tile) {
    return sprintf("%-14s %4d instructions %4d fmla %5.1f of 22 %3d on the stack", tile, size[tile],
                   fmla[tile], 22 * fmla[tile] / size[tile], spilled[tile])
}
END {
    finish_function()
    families = split("row gradient", family, " ")
    for (f = 1; f <= families; f++)
        for (vectors = 2; vectors >= 1; vectors--) {
            most = widest(family[f], vectors)
            for (n = 2; n < most; n++)
                if ((family[f] "_" n "x" vectors) in size)
                    print "#      " row(family[f] "_" n "x" vectors)
            tile = family[f] "_" most "x" vectors
            good = (tile in size) && 22 * fmla[tile] >= 16 * size[tile] && spilled[tile] == 0
            bad += !good
            if (tile in size) what = row(tile)
            else what = "no loop found in a " family[f] " of " vectors
            print (good ? "ok " : "not ok ") ++tests " - " what
        }
    print "1.." tests
    exit bad > 0
}'
