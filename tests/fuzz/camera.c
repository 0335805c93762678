/*
 * camera.c — libFuzzer harness of cameras: the first byte says whether the others are a frame in
 * one of the formats, with its layout before it, or what a driver answers.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/camera.c libvision.a libnn.a
 */
#include "tests/wild_camera.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void fuzz_frame(struct nn_context *context, const uint8_t *bytes, size_t size)
{
    static const char *const names[] = {"YUYV", "UYVY", "YVYU", "VYUY", "NV12", "NV21", "YU12",
                                        "YV12", "RGB3", "BGR3", "GREY", "MJPG", "JPEG"};
    if (size < 6) return;
    struct vi_capture *capture = nn_alloc(context, 1, sizeof *capture);
    if (!capture) abort();
    *capture = (struct vi_capture){.context = context, .kind = &vi_source_camera};
    capture->path = nn_strdup(context, "fuzz");
    capture->options.max_pixels = 4096;
    capture->info.live = bytes[5] & 2;
    struct vi_camera_layout layout = {.format =
                                          vi_camera_format(vi_camera_fourcc(names[bytes[0] % 13])),
                                      .width = bytes[1] + 1,
                                      .height = bytes[2] + 1,
                                      .stride = bytes[3] | (size_t)bytes[4] << 8,
                                      .full = bytes[5] & 1};
    /* A block of its own: a byte too far is seen. */
    uint8_t *frame = malloc(size - 6 ? size - 6 : 1);
    if (!frame) abort();
    memcpy(frame, bytes + 6, size - 6);
    for (int i = 0; i < 2; i++) {
        bool good = vi_camera_convert(capture, &layout, frame, size - 6) == NN_OK;
        if (good && (capture->image.channels != 3 || !capture->image.pixels)) abort();
        if (good) vi_fill(&capture->image, (struct vi_rgb){1, 2, 3});
    }
    free(frame);
    vi_capture_close(&capture);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct wild wild;
    struct nn_context *context;
    struct wild_sums sums = {0};
    if (size < 1) return 0;
    if (nn_open(&context, &(struct nn_options){.threads = 1})) abort();
    size_t before = nn_bytes_allocated(context);
    if (*bytes % 2)
        fuzz_frame(context, bytes + 1, size - 1);
    else if (!wild_run(&wild, context, bytes + 1, size - 1, &sums))
        abort();
    if (nn_bytes_allocated(context) != before) abort();
    nn_close(&context);
    return 0;
}
