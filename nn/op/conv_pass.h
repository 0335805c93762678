/*
 * conv_pass.h — a convolution as the kernels see it: bands of a padded copy of the picture.
 *
 * A band of output rows needs a band of input rows; these are copied, with the zeros of the border,
 * into scratch that stays in the cache. In that copy a pixel sees the S*C floats of each kernel row
 * as one run, and no edge is special. The copy is 1/(R*S*K) of the arithmetic.
 */
#ifndef NN_OP_CONV_PASS_H
#define NN_OP_CONV_PASS_H

#include "nn/internal.h"

#include <string.h>

enum { SCRATCH_FLOATS = 6 * 1024 }; /* 24 kB: half of a first-level cache */
/* Where rows are long: this many, in what a second level holds. */
enum { WIDE_BAND = 6, WIDE_FLOATS = 40 * 1024 };

/* A convolution of one group as the kernels see it: forward, or dx from dy. */
struct pass {
    int height, width;      /* of the source picture */
    int spread_h, spread_w; /* source pixels lie this far apart in the padded copy, else 1 */
    int before_h, before_w; /* rows, columns of zeros before the picture; negative: cut off */
    int from_channels, from_group, to_channels, to_group; /* in all, and per group */
    int out_height, out_width;
    int stride_h, stride_w;
    int copy_width;  /* columns of the padded copy */
    int window_rows; /* rows of the copy that one output row sees */
    int band;        /* output rows per copy */
    int taps, length;
    ptrdiff_t *tap;
};

/* ---- geometry ------------------------------------------------------------------------------ */

/* Output rows whose input rows fit into `floats`; 0: none. */
static inline int fitting_band(const struct pass *pass, int floats)
{
    int rows = floats / (pass->copy_width * pass->from_group) - pass->window_rows;
    return rows < 0 ? 0 : rows / pass->stride_h + 1;
}

/* As many rows as the first-level cache holds. If that is few, each row of the picture would be
 * copied for several bands: rather let the copy lie in the second level. Bands are made equal. */
static inline int choose_band(const struct pass *pass)
{
    int band = fitting_band(pass, SCRATCH_FLOATS), wide = fitting_band(pass, WIDE_FLOATS);
    if (wide > WIDE_BAND) wide = WIDE_BAND;
    if (band < wide) band = wide;
    if (band < 1) band = 1;
    int bands = (pass->out_height + band - 1) / band;
    return (pass->out_height + bands - 1) / bands;
}

/* Fills what follows from the rest; false when sizes leave the range of int. */
static inline bool complete_pass(struct pass *pass, struct nn_graph *graph, struct nn_window h,
                                 struct nn_window w)
{
    int64_t width =
        (int64_t)(pass->out_width - 1) * pass->stride_w + (int64_t)(w.kernel - 1) * w.dilation + 1;
    int64_t rows = (int64_t)(h.kernel - 1) * h.dilation + 1;
    if (width > INT32_MAX / 64 || rows > INT32_MAX / 64 ||
        width * rows > (INT32_MAX / 2) / pass->from_group)
        return false;
    pass->copy_width = (int)width;
    pass->window_rows = (int)rows;
    int row_floats = pass->copy_width * pass->from_group;
    pass->band = choose_band(pass);

    bool torn = w.dilation > 1;
    pass->taps = torn ? h.kernel * w.kernel : h.kernel;
    pass->length = torn ? pass->from_group : w.kernel * pass->from_group;
    pass->tap = nn_graph_alloc(graph, (size_t)pass->taps, sizeof *pass->tap);
    if (!pass->tap) return false;
    for (int t = 0; t < pass->taps; t++) {
        int r = torn ? t / w.kernel : t, s = torn ? t % w.kernel : 0;
        pass->tap[t] =
            (ptrdiff_t)r * h.dilation * row_floats + (ptrdiff_t)s * w.dilation * pass->from_group;
    }
    return true;
}

/* ---- the padded copy ------------------------------------------------------------------------- */

/* Source index of position `at` of the spread, padded axis; -1 where zeros are. */
static inline int source_index(int at, int before, int spread, int size)
{
    int inside = at - before;
    if (inside < 0 || inside % spread) return -1;
    return inside / spread < size ? inside / spread : -1;
}

/* Columns of a padded row: zeros, `count` neighbours of the picture from column `from` on, zeros.
 * (Source pixels that are not spread.) */
struct row_span {
    int left, from, count;
};
static inline struct row_span span_of(const struct pass *pass)
{
    struct row_span span = {.left = pass->before_w > 0 ? pass->before_w : 0,
                            .from = pass->before_w < 0 ? -pass->before_w : 0};
    if (span.left > pass->copy_width) span.left = pass->copy_width;
    span.count = pass->copy_width - span.left;
    if (span.count > pass->width - span.from) span.count = pass->width - span.from;
    if (span.count < 0) span.count = 0;
    return span;
}

static inline void copy_row(float *to, const struct pass *pass, const float *from)
{
    size_t pixel = (size_t)pass->from_group;
    if (pass->spread_w == 1 && pass->from_group == pass->from_channels) {
        struct row_span span = span_of(pass);
        size_t left = (size_t)span.left * pixel, middle = (size_t)span.count * pixel;
        memset(to, 0, left * sizeof *to);
        if (middle) memcpy(to + left, from + (size_t)span.from * pixel, middle * sizeof *to);
        memset(to + left + middle, 0,
               ((size_t)pass->copy_width * pixel - left - middle) * sizeof *to);
        return;
    }
    for (int q = 0; q < pass->copy_width; q++, to += pixel) {
        int w = source_index(q, pass->before_w, pass->spread_w, pass->width);
        if (w < 0)
            memset(to, 0, pixel * sizeof *to);
        else
            memcpy(to, from + (size_t)w * (size_t)pass->from_channels, pixel * sizeof *to);
    }
}

/* The rows that output rows [first, first + band) see, of the group beginning at `image`. */
static inline void copy_band(float *to, const struct pass *pass, const float *image, int first,
                             int band)
{
    int rows = (band - 1) * pass->stride_h + pass->window_rows;
    size_t row_floats = (size_t)pass->copy_width * (size_t)pass->from_group;
    for (int i = 0; i < rows; i++, to += row_floats) {
        int h =
            source_index(first * pass->stride_h + i, pass->before_h, pass->spread_h, pass->height);
        if (h < 0)
            memset(to, 0, row_floats * sizeof *to);
        else
            copy_row(to, pass,
                     image + (size_t)h * (size_t)pass->width * (size_t)pass->from_channels);
    }
}

static inline size_t scratch_floats(const struct pass *pass)
{
    size_t rows = (size_t)(pass->band - 1) * (size_t)pass->stride_h + (size_t)pass->window_rows;
    size_t floats = rows * (size_t)pass->copy_width * (size_t)pass->from_group;
    return (floats + 15) & ~(size_t)15;
}

static inline int band_count(const struct pass *pass)
{
    return (pass->out_height + pass->band - 1) / pass->band;
}

static inline struct nn_conv_row row_of(const struct pass *pass, int w_stride)
{
    return (struct nn_conv_row){.pixels = pass->out_width,
                                .filters = pass->to_group,
                                .taps = pass->taps,
                                .length = pass->length,
                                .tap = pass->tap,
                                .step = (ptrdiff_t)pass->stride_w * pass->from_group,
                                .w_stride = w_stride,
                                .y_stride = pass->to_channels};
}

#endif
