/*
 * resize.h — vi_resize by the row, for those who resize again and again: nothing is allocated, and
 * rows can go on to their next use while they are warm.
 */
#ifndef VISION_RESIZE_H
#define VISION_RESIZE_H

#include "vision/vision.h"

/* Two neighbours of a destination pixel, as offsets, and their weights. */
struct vi_tap {
    int at[2];
    int weight[2];
};

enum vi_resize_kind { VI_RESIZE_COPY, VI_RESIZE_HALVE, VI_RESIZE_LINEAR };

struct vi_resizer {
    struct vi_image from;
    int width, height; /* of the result */
    enum vi_resize_kind kind;
    struct vi_tap *columns; /* [width], the caller's; needed for VI_RESIZE_LINEAR only */
};
/* Room for two rows of `from`, interpolated, of width * channels samples each; which they are. */
struct vi_resizer_rows {
    int16_t *row[2];
    int held[2];
};

/* Sets everything but `columns`; sizes or channels that do not go are errors. */
enum nn_status vi_resizer_start(struct vi_resizer *resizer, struct nn_context *context, int width,
                                int height, const struct vi_image *from);
/* Fills `columns`. */
void vi_resizer_columns(const struct vi_resizer *resizer);
/* Row y of the result, width * channels samples. Rows in ascending order are the fastest; `rows`
 * begins with held = {-1, -1}. */
void vi_resizer_row(uint8_t *to, const struct vi_resizer *resizer, struct vi_resizer_rows *rows,
                    int y);

#endif
