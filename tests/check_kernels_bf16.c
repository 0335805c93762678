/*
 * check_kernels_bf16.c — the kernels for bfloat16 at every level of this CPU against double
 * precision: rows 1 .. 4, pixels 1 .. 41, filters 1 .. 32, taps 1 .. 9, runs of 1 .. 100, any
 * strides. What no run covers is NaN. The kernel for AMX is checked in any case, on an emulation.
 */
#include "tests/check_kernels.h"

#include "tests/amx_emulated.h"
void nn_bf16_amx_emulated(struct nn_kernels *table);
#define nn_bf16_amx nn_bf16_amx_emulated
#include "nn/kernels/bf16_amx.c"
#undef nn_bf16_amx

enum { MAX_TAPS = 9, MAX_OUT = 4 * 41 * 32, PANEL = NN_BF16_PANEL };

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static double widened(uint16_t half)
{
    return (double)from_bits((uint32_t)half << 16);
}
static uint16_t upper_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

/* ---- to_bf16 --------------------------------------------------------------------------------- */

/* The nearer of the two bfloat16s around a float, the even one of a tie. What lies beyond the
 * largest is as if the row went on: 2^128 is infinity. */
static uint16_t nearest(float value)
{
    uint16_t below = upper_half(value), above = (uint16_t)(below + 1);
    if (isinf(value)) return below;
    if (fabsf(value) < 1.17549435e-38f) return signbit(value) ? 0x8000 : 0;
    double high =
        (above & 0x7fff) == 0x7f80 ? copysign(ldexp(1.0, 128), (double)value) : widened(above);
    double down = fabs((double)value - widened(below)), up = fabs(high - (double)value);
    if (down == up) return below % 2 ? above : below;
    return down < up ? below : above;
}

static float any_float(int i)
{
    static const uint32_t BITS[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x00000001,
                                    0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x7f7f8000,
                                    0x7f7f7fff, 0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001,
                                    0x3fffffff, 0x00008000, 0x007fffff};
    enum { COUNT = sizeof BITS / sizeof *BITS };
    if (i < COUNT) return from_bits(BITS[i]);
    uint32_t bits = (uint32_t)draw(1u << 31) << 1 ^ draw(1u << 31);
    if (i % 3 == 0) bits = (bits & 0xffff0000u) | 0x8000u; /* a tie */
    return isnan(from_bits(bits)) ? 1.0f : from_bits(bits);
}

static void to_bf16_once(struct subject *s, int count, int shift)
{
    static float got[512];
    static double want[512];
    float *x = place(0, (size_t)count, shift);
    for (int i = 0; i < count; i++) x[i] = any_float(count > 100 ? i : (int)draw(100));
    size_t floats = ((size_t)count + 1) / 2;
    float *block = place(1, floats, shift);
    uint16_t *y = (uint16_t *)(void *)(block + floats) - count;
    s->kernels.to_bf16(y, x, (size_t)count);
    expect_true(s, margins_intact(1), "written outside");
    for (int i = 0; i < count; i++) {
        want[i] = widened(nearest(x[i]));
        got[i] = (float)widened(y[i]);
    }
    expect(s, got, want, NULL, (size_t)count, "bfloat16");
}

static void check_to_bf16(struct subject *s)
{
    for (int count = 0; count <= 70; count++)
        for (int shift = 0; shift < 3; shift++) to_bf16_once(s, count, shift);
    for (int i = 0; i < 100; i++) to_bf16_once(s, 500, 0);
    for (int i = 0; i < 64; i++) { /* NaNs of all kinds, even those whose upper half is infinity */
        float x = from_bits((i % 2 ? 0xff800000u : 0x7f800000u) | 1u << i % 23);
        uint16_t y = 0;
        s->kernels.to_bf16(&y, &x, 1);
        expect_true(s, isnan(widened(y)), "a NaN stays one");
    }
}

/* ---- conv_bf16 ------------------------------------------------------------------------------- */

struct trial {
    struct nn_conv_bf16 conv;
    ptrdiff_t tap[MAX_TAPS];
    uint16_t *x, *w;
};

static void draw_conv(struct trial *trial, int i)
{
    struct nn_conv_bf16 *c = &trial->conv;
    *c = (struct nn_conv_bf16){.rows = 1 + i / 41 % 4,
                               .pixels = 1 + i % 41,
                               .filters = 1 + i % 32,
                               .taps = between(1, draw(4) ? 3 : MAX_TAPS),
                               .tap = trial->tap};
    c->length = draw(3) ? between(1, draw(8) ? 12 : 100) : 32 * between(1, 3);
    if (i % 16 == 0) c->taps = 1;
    c->step = between(1, c->length + 5);
    int apart = between(1, 150);
    for (int t = 0; t < c->taps; t++) trial->tap[t] = draw(4) ? t * apart : between(0, 400);
    c->x_row = between(0, 500);
    c->y_stride = c->filters + (draw(2) ? between(0, 20) : 0);
    c->y_row = c->pixels * c->y_stride + (draw(2) ? between(0, 20) : 0);
}

/* A bfloat16 array that ends where its buffer does. */
static uint16_t *place_halves(int slot, size_t count, int shift)
{
    size_t floats = (count + 1) / 2;
    uint16_t *end = (uint16_t *)(void *)(place(slot, floats, shift) + floats);
    for (size_t i = 1; i <= count; i++) end[-(ptrdiff_t)i] = 0x7fc5;
    return end - count;
}

static uint16_t small_half(void)
{
    return upper_half(2.0f * (float)draw(1 << 24) / (1 << 24) - 1.0f);
}

/* Numbers where runs are; NaN elsewhere. */
static void fill_picture(struct trial *trial, int shift)
{
    const struct nn_conv_bf16 *c = &trial->conv;
    ptrdiff_t farthest = 0;
    for (int t = 0; t < c->taps; t++)
        if (c->tap[t] > farthest) farthest = c->tap[t];
    ptrdiff_t extent = (c->rows - 1) * c->x_row + (c->pixels - 1) * c->step + farthest + c->length;
    trial->x = place_halves(0, (size_t)extent, shift);
    for (int r = 0; r < c->rows; r++)
        for (int p = 0; p < c->pixels; p++)
            for (int t = 0; t < c->taps; t++)
                for (int j = 0; j < c->length; j++)
                    trial->x[r * c->x_row + p * c->step + c->tap[t] + j] = small_half();
}

static ptrdiff_t weight_at(const struct nn_conv_bf16 *c, int t, int j, int k)
{
    return ((t * nn_bf16_depth(c->length) + j) / 2 * PANEL + k) * 2 + j % 2;
}

static void fill_weights(struct trial *trial)
{
    const struct nn_conv_bf16 *c = &trial->conv;
    size_t count = (size_t)c->taps * (size_t)nn_bf16_depth(c->length) * PANEL;
    trial->w = place_halves(1, count, 0);
    memset(trial->w, 0, count * sizeof *trial->w);
    for (int t = 0; t < c->taps; t++)
        for (int j = 0; j < c->length; j++)
            for (int k = 0; k < c->filters; k++) trial->w[weight_at(c, t, j, k)] = small_half();
}

static void conv_bf16_reference(double *want, double *bound, const struct trial *trial,
                                const uint16_t *pixel, int k)
{
    const struct nn_conv_bf16 *c = &trial->conv;
    double sum = 0.0, size = 0.0;
    for (int t = 0; t < c->taps; t++)
        for (int j = 0; j < c->length; j++) {
            double product =
                widened(pixel[c->tap[t] + j]) * widened(trial->w[weight_at(c, t, j, k)]);
            sum += product;
            size += fabs(product);
        }
    *want = sum;
    /* A tile's product joins two sums and is added: two more roundings for each step. */
    *bound = ((c->length + 3) * c->taps + 4) * ROUNDING * size + 1e-36;
}

/* Rows of pixels out of y; is what lies between them untouched? */
static bool collect(float *dense, const float *y, const struct nn_conv_bf16 *c)
{
    bool intact = true;
    size_t filters = (size_t)c->filters;
    for (int r = 0; r < c->rows; r++)
        for (int p = 0; p < c->pixels; p++, dense += filters) {
            const float *at = y + r * c->y_row + p * c->y_stride;
            bool last_pixel = p + 1 == c->pixels;
            ptrdiff_t gap = last_pixel ? c->y_row - (c->pixels - 1) * c->y_stride : c->y_stride;
            memcpy(dense, at, filters * sizeof *at);
            for (ptrdiff_t i = c->filters; i < gap && !(last_pixel && r + 1 == c->rows); i++)
                intact = intact && is_poison(at + i);
        }
    return intact;
}

static void conv_bf16_once(struct subject *s, int i)
{
    static double want[MAX_OUT], bound[MAX_OUT];
    static float got[MAX_OUT], parts[MAX_OUT];
    struct trial trial;
    const struct nn_conv_bf16 *c = &trial.conv;
    draw_conv(&trial, i);
    fill_picture(&trial, i % 3);
    fill_weights(&trial);
    size_t extent = (size_t)((c->rows - 1) * c->y_row + (c->pixels - 1) * c->y_stride + c->filters);
    float *y = place(2, extent, i % 2);
    for (int o = 0, r = 0; r < c->rows; r++)
        for (int p = 0; p < c->pixels; p++)
            for (int k = 0; k < c->filters; k++, o++)
                conv_bf16_reference(want + o, bound + o, &trial,
                                    trial.x + r * c->x_row + p * c->step, k);
    size_t outputs = (size_t)c->rows * (size_t)c->pixels * (size_t)c->filters;
    s->kernels.conv_bf16(y, trial.x, trial.w, c);
    expect_true(s, collect(got, y, c) && margins_intact(2), "written outside of y's pixels");

    /* Threads may share a row, and the rows. */
    struct nn_conv_bf16 left = *c, right = *c;
    left.pixels = between(0, c->pixels - 1);
    right.pixels = c->pixels - left.pixels;
    poison(y, extent);
    s->kernels.conv_bf16(y, trial.x, trial.w, &left);
    s->kernels.conv_bf16(y + left.pixels * c->y_stride, trial.x + left.pixels * c->step, trial.w,
                         &right);
    collect(parts, y, c);
    expect_same(s, got, parts, outputs, "whole and cut in two");
    expect(s, got, want, bound, outputs, "y");
}

/* A NaN comes out where a window sees it, and nowhere else. */
static void conv_bf16_nan(struct subject *s)
{
    enum { LENGTH = 3, PIXELS = 20 };
    static const ptrdiff_t start = 0;
    uint16_t x[LENGTH * PIXELS], w[NN_BF16_DEPTH * PANEL] = {0};
    float y[PIXELS * PANEL];
    for (int i = 0; i < LENGTH * PIXELS; i++) x[i] = i / LENGTH == 7 ? 0x7fc0 : 0x3f80;
    for (int i = 0; i < 2 * PANEL * 2; i++) w[i] = i >= 2 * PANEL && i % 2 ? 0 : 0x3f80;
    struct nn_conv_bf16 conv = {1,      PIXELS, PANEL, 1,     LENGTH,
                                &start, LENGTH, 0,     PANEL, PIXELS * PANEL};
    s->kernels.conv_bf16(y, x, w, &conv);
    for (int p = 0; p < PIXELS; p++)
        for (int k = 0; k < PANEL; k++)
            expect_true(s, p == 7 ? isnan(y[p * PANEL + k]) : y[p * PANEL + k] == 3.0f,
                        "a NaN in one pixel");
}

static void check_conv_bf16(struct subject *s)
{
    for (int i = 0; i < 500; i++) conv_bf16_once(s, i);
    conv_bf16_nan(s);
}

/* ---- AMX without AMX ------------------------------------------------------------------------- */

static void check_emulated(bool sabotage)
{
    struct subject s = {.level = "amx, emulated", .kernel = "conv_bf16", .sabotage = sabotage};
    check_what = s.kernel;
    check_level = s.level;
    check_state = 12345;
    nn_kernels_fill(&s.kernels, "scalar");
    nn_bf16_amx_emulated(&s.kernels);
    check_conv_bf16(&s);
    if (sabotage) {
        CHECK(s.sabotaged > 0 && s.caught == s.sabotaged,
              "amx, emulated: an error of 1e-3 is caught, %ld of %ld times", s.caught, s.sabotaged);
        return;
    }
    CHECK(s.failures == 0 && s.values > 0 && amx.dots > 0 && !amx.configured,
          "amx, emulated: %ld values, %ld products of tiles, tiles given back", s.values, amx.dots);
    CHECK(!amx_fault, "amx, emulated: no exception%s%s", amx_fault ? ": " : "",
          amx_fault ? amx_fault : "");
}

int main(void)
{
#define ROW(name)                                                                                  \
    {                                                                                              \
#name, check_##name                                                                        \
    }
    static const struct check CHECKS[] = {ROW(to_bf16), ROW(conv_bf16)};
    check_all(CHECKS, sizeof CHECKS / sizeof *CHECKS);
    check_emulated(true);
    check_emulated(false);
    return test_done();
}
