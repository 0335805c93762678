/*
 * mp4.c — libFuzzer harness of Motion-JPEG in MP4 and QuickTime files.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/mp4.c libvision.a libnn.a
 */
#include "tests/fuzz/video.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return fuzz_video(bytes, size);
}
