/*
 * mjpeg.c — libFuzzer harness of streams of JPEGs, raw and multipart.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/mjpeg.c libvision.a libnn.a
 */
#include "tests/fuzz/video.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return fuzz_video(bytes, size);
}
