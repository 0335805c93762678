/*
 * shape.c — libFuzzer harness of dlib's shape predictors. What is accepted must find points.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/shape.c libvision.a libnn.a
 */
#include "vision/capture/capture.h"
#include "vision/face/landmarks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void find(struct nn_context *context, const struct vi_shape *shape)
{
    static struct vi_point points[VI_SHAPE_POINTS];
    struct vi_image image;
    if (vi_image_new(&image, context, 16, 16, 3)) abort();
    for (int i = 0; i < 16 * 16 * 3; i++) image.pixels[i] = (uint8_t)(i * 37);
    vi_shape_find(shape, points, &image, (const int[]){-3, 2, 14, 12});
    for (int i = 0; i < vi_shape_points(shape); i++)
        if (!isfinite(points[i].x) || !isfinite(points[i].y)) abort();
    vi_image_free(context, &image);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nn_context *context;
    struct vi_stream *stream;
    struct vi_shape *shape;
    FILE *file = tmpfile();
    if (!file || nn_open(&context, &(struct nn_options){.threads = 1})) abort();
    size_t before = nn_bytes_allocated(context);
    int descriptor = dup(fileno(file));
    if (pwrite(descriptor, bytes, size, 0) != (ssize_t)size) abort();
    if (vi_stream_from(&stream, context, descriptor, "fuzz")) abort();
    enum nn_status status = vi_shape_from(&shape, context, stream);
    if (!status != !!shape) abort();
    if (nn_bytes_peak(context) > before + (1 << 18) + 16 * size) abort();
    if (shape) find(context, shape);
    vi_shape_close(&shape);
    vi_stream_close(&stream);
    if (nn_bytes_allocated(context) != before) abort();
    nn_close(&context);
    fclose(file);
    return 0;
}
