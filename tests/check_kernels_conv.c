/*
 * check_kernels_conv.c — convolution's kernels at every level of this CPU against double
 * precision: pixels 0 .. 40, filters 1 .. 70, taps 1 .. 9, runs of 1 .. 100 floats, any strides,
 * every epilogue.
 */
#include "tests/check_kernels.h"

enum { MAX_TAPS = 9, MAX_OUT = 41 * 70, MAX_WEIGHTS = 900 * 70 };

/* A random geometry; every number of pixels and of filters comes up as i counts. */
static void draw_row(struct nn_conv_row *row, ptrdiff_t tap[MAX_TAPS], int i)
{
    *row = (struct nn_conv_row){.pixels = i % 41, .filters = 1 + i % 70, .tap = tap};
    row->taps = between(1, draw(4) ? 3 : MAX_TAPS);
    row->length = between(1, draw(8) ? 12 : 100);
    if (i % 16 == 0) row->taps = 1; /* a dense layer */
    row->step = between(1, row->length + 5);
    row->w_stride = row->filters + (draw(2) ? between(0, 20) : 0);
    row->y_stride = row->filters + (draw(2) ? between(0, 20) : 0);
    /* Rows of a picture, overlapping ones, or runs in any order. */
    int apart = between(1, 150);
    for (int t = 0; t < row->taps; t++) tap[t] = draw(4) ? t * apart : between(0, 400);
}

static size_t x_extent(const struct nn_conv_row *row)
{
    ptrdiff_t farthest = 0;
    for (int t = 0; t < row->taps; t++)
        if (row->tap[t] > farthest) farthest = row->tap[t];
    if (row->pixels == 0) return 0;
    return (size_t)((row->pixels - 1) * row->step + farthest + row->length);
}
static size_t w_extent(const struct nn_conv_row *row)
{
    return (size_t)((row->taps * row->length - 1) * row->w_stride + row->filters);
}
static size_t y_extent(const struct nn_conv_row *row)
{
    if (row->pixels == 0) return 0;
    return (size_t)((row->pixels - 1) * row->y_stride + row->filters);
}

/* Copies rows of `width` floats out of a block, and looks whether what lies between is poison. */
static bool collect(float *dense, const float *block, int rows, int width, ptrdiff_t stride)
{
    bool intact = true;
    for (int r = 0; r < rows; r++) {
        memcpy(dense + (ptrdiff_t)r * width, block + r * stride, (size_t)width * sizeof *block);
        for (ptrdiff_t i = width; i < stride && r + 1 < rows; i++)
            intact = intact && is_poison(block + r * stride + i);
    }
    return intact;
}
static void scatter(float *block, const float *dense, int rows, int width, ptrdiff_t stride)
{
    for (int r = 0; r < rows; r++)
        memcpy(block + r * stride, dense + (ptrdiff_t)r * width, (size_t)width * sizeof *block);
}

/* value * scale + shift, and its bound. */
static void affine_reference(double *value, double *allowed, float scale, float shift)
{
    double scaled = *value * (double)scale;
    *value = scaled + (double)shift;
    *allowed = *allowed * fabs((double)scale) + 2 * ROUNDING * (fabs(scaled) + fabs(*value));
}

/* Value and bound of output (p, k) after the epilogue, whose residual begins at pixel p. */
static void conv_reference(double *want, double *bound, const float *x, const float *w,
                           const struct nn_conv_row *row, const struct nn_epilogue *epilogue, int k)
{
    double sum = 0.0, size = 0.0;
    for (int t = 0; t < row->taps; t++)
        for (int j = 0; j < row->length; j++) {
            double product =
                (double)x[row->tap[t] + j] * w[(t * row->length + j) * row->w_stride + k];
            sum += product;
            size += fabs(product);
        }
    double allowed = (row->taps * row->length + 1) * ROUNDING * size + 1e-44;
    if (epilogue->bias) {
        sum += epilogue->bias[k];
        allowed += ROUNDING * fabs(sum);
    }
    if (epilogue->residual) {
        sum += epilogue->residual[k];
        allowed += ROUNDING * fabs(sum);
    }
    if (epilogue->scale) affine_reference(&sum, &allowed, epilogue->scale[k], epilogue->shift[k]);
    if (epilogue->relu && sum < 0.0) sum = 0.0;
    if (epilogue->scale_after)
        affine_reference(&sum, &allowed, epilogue->scale_after[k], epilogue->shift_after[k]);
    *want = sum;
    *bound = allowed * (1.0 + 1e-3);
}

static void conv_row_once(struct subject *s, int i)
{
    static double want[MAX_OUT], bound[MAX_OUT];
    static float got[MAX_OUT], parts[MAX_OUT];
    ptrdiff_t tap[MAX_TAPS];
    struct nn_conv_row row;
    draw_row(&row, tap, i);
    size_t filters = (size_t)row.filters;
    enum data data = i % 4 ? SIGNED : POSITIVE;
    float *x = place_filled(0, x_extent(&row), i % 5, data);
    float *w = place_filled(1, w_extent(&row), i % 3, data);
    struct nn_epilogue epilogue = {.relu = i & 1};
    if (i & 2) epilogue.bias = place_filled(2, filters, 0, SIGNED);
    if (i & 4) epilogue.scale = place_filled(3, filters, 0, SIGNED);
    if (i & 4) epilogue.shift = place_filled(4, filters, 0, SIGNED);
    if (i & 8) epilogue.residual = place_filled(6, y_extent(&row), 0, SIGNED);
    if (i & 16) epilogue.scale_after = place_filled(7, filters, 0, SIGNED);
    if (i & 16) epilogue.shift_after = epilogue.scale_after;
    float *y = place(5, y_extent(&row), i % 2);
    int outputs = row.pixels * row.filters;
    for (int o = 0; o < outputs; o++) {
        int p = o / row.filters;
        struct nn_epilogue at = epilogue;
        if (at.residual) at.residual += p * row.y_stride;
        conv_reference(want + o, bound + o, x + p * row.step, w, &row, &at, o % row.filters);
    }

    s->kernels.conv_row(y, x, w, &row, &epilogue);
    bool intact = collect(got, y, row.pixels, row.filters, row.y_stride);
    expect_true(s, intact && margins_intact(5), "written outside of y's pixels");
    /* Two threads may share a row. */
    int cut = row.pixels ? between(0, row.pixels - 1) : 0;
    struct nn_conv_row left = row, right = row;
    left.pixels = cut;
    right.pixels = row.pixels - cut;
    poison(y, y_extent(&row));
    s->kernels.conv_row(y, x, w, &left, &epilogue);
    if (epilogue.residual) epilogue.residual += cut * row.y_stride;
    s->kernels.conv_row(y + cut * row.y_stride, x + cut * row.step, w, &right, &epilogue);
    collect(parts, y, row.pixels, row.filters, row.y_stride);
    expect_same(s, got, parts, (size_t)outputs, "whole and cut in two");
    expect(s, got, want, bound, (size_t)outputs, "y");
}

/* A NaN in the picture must come out, through relu too. */
static void conv_row_nan(struct subject *s)
{
    float x[4] = {1, NAN, 1, 1}, w[40], y[80];
    ptrdiff_t tap[1] = {0};
    fill(w, 40, POSITIVE);
    struct nn_conv_row row = {2, 20, 1, 2, tap, 2, 20, 40, 0};
    struct nn_epilogue epilogue = {.relu = true};
    s->kernels.conv_row(y, x, w, &row, &epilogue);
    for (int k = 0; k < 20; k++)
        expect_true(s, isnan(y[k]) && !isnan(y[40 + k]), "a NaN comes through relu");
}

static void check_conv_row(struct subject *s)
{
    for (int i = 0; i < 900; i++) conv_row_once(s, i);
    conv_row_nan(s);
}

/* ---- gradient of the weights ----------------------------------------------------------------- */

struct gradient_case {
    struct nn_conv_gradient g;
    const float *x, *dy;
};

static void gradient_reference(double *want, double *bound, const struct gradient_case *c, int j,
                               int k)
{
    const struct nn_conv_row *row = &c->g.row;
    ptrdiff_t from = row->tap[j / row->length] + j % row->length;
    double size = fabs(*want);
    for (int r = 0; r < c->g.rows; r++)
        for (int p = 0; p < row->pixels; p++) {
            double product = (double)c->x[r * c->g.x_row + p * row->step + from] *
                             c->dy[r * c->g.dy_row + p * row->y_stride + k];
            *want += product;
            size += fabs(product);
        }
    *bound = (c->g.rows * row->pixels + 4) * ROUNDING * size + 1e-44;
}

static void conv_gradient_once(struct subject *s, int i)
{
    static double want[MAX_WEIGHTS], bound[MAX_WEIGHTS];
    static float got[MAX_WEIGHTS];
    ptrdiff_t tap[MAX_TAPS];
    struct gradient_case c;
    struct nn_conv_row *row = &c.g.row;
    draw_row(row, tap, i);
    if (row->length > 40) row->pixels %= 7;
    c.g.rows = between(0, 3);
    c.g.x_row = (ptrdiff_t)x_extent(row) + between(0, 30);
    c.g.dy_row = (ptrdiff_t)y_extent(row) + between(0, 30);
    size_t behind = c.g.rows ? (size_t)c.g.rows - 1 : 0;
    float *x = place_filled(0, behind * (size_t)c.g.x_row + x_extent(row), i % 4, SIGNED);
    float *dy = place_filled(1, behind * (size_t)c.g.dy_row + y_extent(row), i % 3, SIGNED);
    float *dw = place(2, w_extent(row), i % 2);
    c.x = x;
    c.dy = dy;
    int length = row->taps * row->length, weights = length * row->filters;
    fill(got, (size_t)weights, SIGNED);
    scatter(dw, got, length, row->filters, row->w_stride);
    for (int o = 0; o < weights; o++) {
        want[o] = got[o];
        gradient_reference(want + o, bound + o, &c, o / row->filters, o % row->filters);
    }
    s->kernels.conv_gradient(dw, x, dy, &c.g);
    bool intact = collect(got, dw, length, row->filters, row->w_stride);
    expect_true(s, intact && margins_intact(2), "written outside of dw");
    expect(s, got, want, bound, (size_t)weights, "dw");
}

static void check_conv_gradient(struct subject *s)
{
    for (int i = 0; i < 400; i++) conv_gradient_once(s, i * 7);
}

/* ---- transpose ------------------------------------------------------------------------------- */

static void check_transpose(struct subject *s)
{
    static double want[50 * 50];
    static float got[50 * 50];
    for (int i = 0; i < 250; i++) {
        int rows = i % 50, columns = i < 50 ? i : between(0, 49);
        ptrdiff_t from_stride = columns + between(0, 9), to_stride = rows + between(0, 9);
        size_t from_extent = rows && columns ? (size_t)((rows - 1) * from_stride + columns) : 0;
        size_t to_extent = rows && columns ? (size_t)((columns - 1) * to_stride + rows) : 0;
        float *from = place_filled(0, from_extent, i % 4, SIGNED);
        float *to = place(1, to_extent, i % 3);
        for (int o = 0; o < rows * columns; o++) want[o] = from[o % rows * from_stride + o / rows];
        s->kernels.transpose(to, to_stride, from, from_stride, rows, columns);
        bool intact = rows == 0 || collect(got, to, columns, rows, to_stride);
        expect_true(s, intact && margins_intact(1), "written outside");
        expect(s, got, want, NULL, (size_t)(rows * columns), "result");
    }
}

int main(void)
{
#define ROW(name)                                                                                  \
    {                                                                                              \
#name, check_##name                                                                        \
    }
    static const struct check CHECKS[] = {ROW(conv_row), ROW(conv_gradient), ROW(transpose)};
    check_all(CHECKS, sizeof CHECKS / sizeof *CHECKS);
    return test_done();
}
