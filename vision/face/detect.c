/*
 * detect.c — a picture to faces.
 *
 * Before the network: what OpenCV's blobFromImage(image, 1.0, (300, 300), (104, 177, 123)) does.
 * The 8-bit picture is resized as 8-bit, without keeping its proportions, and only then becomes
 * floats. A sample has 256 values, so that the subtraction, the scale and the order of the colours
 * are three tables. Rows go from the resized picture straight into the network's input, in bands
 * that the threads share.
 */
#include "vision/face/detector.h"

#include <math.h>

enum { ROW = 7, LABEL = 1, CONFIDENCE = 2, BOX = 3 }; /* of a row of detection_output */
enum { BLOCK = 64 };

/* ---- memory, once ---------------------------------------------------------------------------- */

static size_t round_up(size_t bytes)
{
    return (bytes + BLOCK - 1) / BLOCK * BLOCK;
}

static enum nn_status new_bands(struct vi_detector *detector)
{
    const int height = detector->contract.height, threads = nn_threads(detector->context);
    const size_t samples = (size_t)detector->contract.width * 4; /* at most: with alpha */
    const size_t row = round_up(samples * sizeof(int16_t)), size = 2 * row + round_up(samples);
    const int count = threads < height ? threads : height;
    detector->bands = nn_alloc(detector->context, (size_t)count, sizeof *detector->bands);
    detector->scratch = nn_alloc(detector->context, (size_t)count, size);
    if (!detector->bands || !detector->scratch) return NN_ERROR_MEMORY;
    detector->band_count = count;
    for (int i = 0; i < count; i++) {
        char *memory = (char *)detector->scratch + (size_t)i * size;
        detector->bands[i] = (struct vi_band){
            .rows.row = {(int16_t *)(void *)memory, (int16_t *)(void *)(memory + row)},
            .pixels = (uint8_t *)memory + 2 * row,
            .first = (int)((int64_t)height * i / count),
            .last = (int)((int64_t)height * (i + 1) / count)};
    }
    return NN_OK;
}

enum nn_status vi_detect_start(struct vi_detector *detector)
{
    const struct vi_contract *contract = &detector->contract;
    struct nn_context *context = detector->context;
    for (int c = 0; c < 3; c++)
        for (int value = 0; value < 256; value++)
            detector->table[c][value] =
                ((float)value - (float)contract->mean[c]) * (float)contract->scale;
    detector->faces = nn_alloc(context, (size_t)detector->most, sizeof *detector->faces);
    detector->resizer.columns =
        nn_alloc(context, (size_t)contract->width, sizeof *detector->resizer.columns);
    if (!detector->faces || !detector->resizer.columns) return NN_ERROR_MEMORY;
    return new_bands(detector);
}

/* ---- picture to floats ----------------------------------------------------------------------- */

static void fill_row(float *to, const uint8_t *pixel, const struct vi_detector *detector)
{
    const float *first = detector->table[0], *second = detector->table[1],
                *third = detector->table[2];
    const int a = detector->order[0], b = detector->order[1], c = detector->order[2];
    const int channels = detector->resizer.from.channels;
    for (int x = 0; x < detector->contract.width; x++, to += 3, pixel += channels) {
        to[0] = first[pixel[a]];
        to[1] = second[pixel[b]];
        to[2] = third[pixel[c]];
    }
}

static void fill_band(void *argument, int index, int thread)
{
    struct vi_detector *detector = argument;
    const struct vi_resizer *resizer = &detector->resizer;
    struct vi_band *band = &detector->bands[index];
    const size_t row = (size_t)detector->contract.width * 3;
    (void)thread;
    band->rows.held[0] = band->rows.held[1] = -1;
    for (int y = band->first; y < band->last; y++) {
        const uint8_t *pixels = band->pixels;
        if (resizer->kind == VI_RESIZE_COPY)
            pixels = resizer->from.pixels + y * resizer->from.stride;
        else
            vi_resizer_row(band->pixels, resizer, &band->rows, y);
        fill_row(detector->input + (size_t)y * row, pixels, detector);
    }
}

static enum nn_status check_image(const struct vi_detector *detector, const struct vi_image *image,
                                  enum vi_color color)
{
    bool gray = image->channels == 1, good = color == VI_GRAY ? gray : image->channels >= 3;
    if (color == VI_RGBA) good = image->channels == 4;
    if (image->pixels && good) return NN_OK;
    return nn_fail(detector->context, NN_ERROR_ARGUMENT,
                   "cannot look for faces in a picture of %d channels that are said to be %s",
                   image->pixels ? image->channels : 0,
                   color == VI_GRAY   ? "grey"
                   : color == VI_RGBA ? "RGBA"
                   : color == VI_BGR  ? "BGR"
                                      : "RGB");
}

static enum nn_status fill_input(struct vi_detector *detector, const struct vi_image *image,
                                 enum vi_color color)
{
    struct vi_resizer *resizer = &detector->resizer;
    enum nn_status status = check_image(detector, image, color);
    if (!status)
        status = vi_resizer_start(resizer, detector->context, detector->contract.width,
                                  detector->contract.height, image);
    if (status) return status;
    if (resizer->kind == VI_RESIZE_LINEAR &&
        (detector->column_width != image->width || detector->column_channels != image->channels)) {
        vi_resizer_columns(resizer);
        detector->column_width = image->width;
        detector->column_channels = image->channels;
    }
    bool turned = (color == VI_BGR) != (detector->contract.color == VI_BGR);
    for (int c = 0; c < 3; c++) detector->order[c] = color == VI_GRAY ? 0 : turned ? 2 - c : c;
    nn_parallel(detector->context, detector->band_count, fill_band, detector);
    resizer->from.pixels = NULL; /* the caller's, and no longer ours to look at */
    return NN_OK;
}

/* ---- rows to faces --------------------------------------------------------------------------- */

static float clip(float share, int size)
{
    float at = share * (float)size;
    return at < 0 ? 0 : at > (float)size ? (float)size : at;
}

/* False when nothing of the box lies in the picture. */
static bool read_face(struct vi_face *face, const float *row, const struct vi_image *image)
{
    for (int i = CONFIDENCE; i < ROW; i++)
        if (isnan(row[i])) return false;
    *face = (struct vi_face){row[CONFIDENCE], clip(row[BOX], image->width),
                             clip(row[BOX + 1], image->height), clip(row[BOX + 2], image->width),
                             clip(row[BOX + 3], image->height)};
    return face->x1 < face->x2 && face->y1 < face->y2;
}

enum nn_status vi_detect(struct vi_detector *detector, const struct vi_image *image,
                         enum vi_color color, float confidence, const struct vi_face **faces,
                         int *count)
{
    *faces = detector->faces;
    *count = 0;
    enum nn_status status = fill_input(detector, image, color);
    if (!status) status = nn_forward(detector->plan, 1);
    for (int i = 0; i < detector->most && !status; i++) {
        const float *row = detector->output + (size_t)i * ROW;
        if (row[LABEL] < 0 || !(row[CONFIDENCE] >= confidence)) continue;
        if (read_face(&detector->faces[*count], row, image)) ++*count;
    }
    return status;
}
