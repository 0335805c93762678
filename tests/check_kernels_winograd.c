/*
 * check_kernels_winograd.c — the transforms of F(4x4, 3x3) at every level of this CPU against the
 * matrices in double precision, and the epilogue on its own.
 */
#include "tests/check_kernels.h"

enum { MOST_CHANNELS = 70 };

static const double B[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                               {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const double A[4][6] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

/* (L d L')[i,j] of a 6x6 tile, and how far rounding may take it: every product in it, times the
 * few additions it goes through. */
static void transformed(double *want, double *bound, const double (*left)[6], const double d[36],
                        int at)
{
    int size = left == A ? 4 : 6, i = at / size, j = at % size;
    *want = *bound = 0;
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++) {
            double product = left[i][a] * d[a * 6 + b] * left[j][b];
            *want += product;
            *bound += fabs(product);
        }
    *bound = *bound * 12 * ROUNDING + 1e-44;
}

static void check_input(struct subject *s)
{
    static double want[36 * MOST_CHANNELS], bound[36 * MOST_CHANNELS];
    static float got[36 * MOST_CHANNELS];
    for (int channels = 1; channels <= MOST_CHANNELS; channels++) {
        int pixel = channels + between(0, 9), row = 6 * pixel + between(0, 9);
        int stride = channels + between(0, 9);
        float *x = place_filled(0, (size_t)(5 * row + 5 * pixel + channels), channels % 3, SIGNED);
        float *v = place(1, (size_t)(35 * stride + channels), channels % 2);
        s->kernels.winograd_input(v, stride, x, row, pixel, channels);
        for (int c = 0; c < channels; c++) {
            double d[36];
            for (int i = 0; i < 36; i++) d[i] = (double)x[i / 6 * row + i % 6 * pixel + c];
            for (int i = 0; i < 36; i++) {
                transformed(&want[i * channels + c], &bound[i * channels + c], B, d, i);
                got[i * channels + c] = v[i * stride + c];
            }
        }
        expect(s, got, want, bound, (size_t)(36 * channels), "v");
        expect_true(s, margins_intact(1), "written outside of v");
        for (int i = 0; i < 35; i++)
            for (int c = channels; c < stride; c++)
                expect_true(s, is_poison(v + i * stride + c), "written between v's rows");
    }
}

static void check_output(struct subject *s)
{
    static double want[16 * MOST_CHANNELS], bound[16 * MOST_CHANNELS];
    static float got[16 * MOST_CHANNELS];
    for (int filters = 1; filters <= MOST_CHANNELS; filters++) {
        int pixel = filters + between(0, 9), row = 4 * pixel + between(0, 9);
        int stride = filters + between(0, 9);
        float *m = place_filled(0, (size_t)(35 * stride + filters), filters % 3, SIGNED);
        float *y = place(1, (size_t)(3 * row + 3 * pixel + filters), filters % 2);
        s->kernels.winograd_output(y, row, pixel, m, stride, filters);
        for (int k = 0; k < filters; k++) {
            double d[36];
            for (int i = 0; i < 36; i++) d[i] = (double)m[i * stride + k];
            for (int i = 0; i < 16; i++) {
                transformed(&want[i * filters + k], &bound[i * filters + k], A, d, i);
                got[i * filters + k] = y[i / 4 * row + i % 4 * pixel + k];
            }
        }
        expect(s, got, want, bound, (size_t)(16 * filters), "y");
        expect_true(s, margins_intact(1), "written outside of y");
    }
}

/* conv_row with its epilogue is conv_row without, then conv_finish, to the bit. */
static void check_finish(struct subject *s)
{
    static double want[14 * 75], bound[14 * 75];
    for (int i = 0; i < 300; i++) {
        ptrdiff_t tap[1] = {0};
        struct nn_conv_row row = {.pixels = i % 14, .filters = 1 + i % 70, .taps = 1, .length = 3};
        row.tap = tap;
        row.step = 3;
        row.w_stride = row.filters;
        row.y_stride = row.filters + i % 5;
        size_t filters = (size_t)row.filters;
        size_t extent = row.pixels ? (size_t)((row.pixels - 1) * row.y_stride) + filters : 0;
        float *x = place_filled(0, (size_t)row.pixels * 3, 0, SIGNED);
        float *w = place_filled(1, 3 * filters, 0, SIGNED);
        static const struct nn_epilogue nothing;
        struct nn_epilogue all = {.relu = i & 1};
        if (i & 2) all.bias = place_filled(2, filters, 0, SIGNED);
        if (i & 4) all.scale = all.shift = place_filled(3, filters, 0, SIGNED);
        if (i & 8) all.residual = place_filled(4, extent, 0, SIGNED);
        if (i & 16) all.scale_after = all.shift_after = place_filled(5, filters, 0, SIGNED);
        float *at_once = place(6, extent, 0), *later = place(7, extent, 0);
        s->kernels.conv_row(at_once, x, w, &row, &all);
        s->kernels.conv_row(later, x, w, &row, &nothing);
        s->kernels.conv_finish(later, &row, &all);
        for (size_t o = 0; o < extent; o++) {
            bool gap = o % (size_t)row.y_stride >= filters;
            want[o] = gap ? 0 : (double)at_once[o];
            bound[o] = 1e-44;
            expect_true(s, !gap || is_poison(later + o), "written between pixels");
            if (gap) later[o] = 0;
        }
        expect(s, later, want, bound, extent, "y");
        expect_true(s, margins_intact(7), "written outside of y");
    }
}

int main(void)
{
    static const struct check CHECKS[] = {{"winograd_input", check_input},
                                          {"winograd_output", check_output},
                                          {"conv_finish", check_finish}};
    check_all(CHECKS, 3);
    return test_done();
}
