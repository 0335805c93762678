/*
 * y4m.c — libFuzzer harness of y4m files.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/y4m.c libvision.a libnn.a
 */
#include "tests/fuzz/video.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return fuzz_video(bytes, size);
}
