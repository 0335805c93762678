/*
 * avi.c — libFuzzer harness of Motion-JPEG in AVI files.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/avi.c libvision.a libnn.a
 */
#include "tests/fuzz/video.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return fuzz_video(bytes, size);
}
