/*
 * check_kernels.c — elementwise kernels, windows and dropout at every level of this CPU: the bits
 * that exact arithmetic rounded once gives, whatever the length, alignment and cut.
 */
#include "nn/nn.h"
#include "tests/check_kernels.h"

/* ---- elementwise ----------------------------------------------------------------------------- */

typedef void map_function(const struct nn_kernels *k, float *y, const float *a, const float *b,
                          size_t count);
typedef double formula_function(double a, double b, double y);

static const float SLOPE = 0.3f, FACTOR = 1.7f;

#define MAP(name, formula, ...)                                                                    \
    static double name##_formula(double a, double b, double y)                                     \
    {                                                                                              \
        (void)a, (void)b, (void)y;                                                                 \
        return formula;                                                                            \
    }                                                                                              \
    static void name##_map(const struct nn_kernels *k, float *y, const float *a, const float *b,   \
                           size_t count)                                                           \
    {                                                                                              \
        (void)a, (void)b;                                                                          \
        k->name(y, __VA_ARGS__, count);                                                            \
    }
MAP(relu, 0.0 > a ? 0.0 : a, a)
MAP(relu_backward, a > 0.0 ? b : 0.0, a, b)
MAP(leaky_relu, a > 0.0 ? a : SLOPE * a, a, SLOPE)
MAP(leaky_relu_backward, a > 0.0 ? b : SLOPE * b, a, b, SLOPE)
MAP(add, a + b, a, b)
MAP(mul, a *b, a, b)
MAP(scale, a *FACTOR, a, FACTOR)
MAP(multiply_add, y + a * FACTOR, a, FACTOR)

/* In a double, the sum or product of two floats rounds to the same float as exact arithmetic, so
 * all but multiply_add must have the formula's very bits. */
static double multiply_add_bound(double a, double y)
{
    return 4 * ROUNDING * (fabs(a * FACTOR) + fabs(y)) + 1e-44;
}

static void check_map_once(struct subject *s, map_function *map, formula_function *formula,
                           bool exact, size_t count, int shift)
{
    static double want[512], bound[512];
    static float before[512];
    enum data data = exact && !s->sabotage ? SPECIAL : SIGNED;
    float *a = place_filled(0, count, shift, data), *b = place_filled(1, count, shift / 2, data);
    float *y = place_filled(2, count, shift, exact ? TIES : SIGNED);
    memcpy(before, y, count * sizeof *y);
    for (size_t i = 0; i < count; i++) {
        want[i] = formula(a[i], b[i], y[i]);
        bound[i] = multiply_add_bound(a[i], y[i]);
    }
    map(&s->kernels, y, a, b, count);
    expect_true(s, margins_intact(0) && margins_intact(1) && margins_intact(2), "margins written");

    expect(s, y, want, exact ? NULL : bound, count, "result");

    /* In two calls. */
    size_t cut = count ? draw((uint32_t)count) : 0;
    float *parts = place(3, count, shift + 1);
    memcpy(parts, before, count * sizeof *parts);
    map(&s->kernels, parts, a, b, cut);
    map(&s->kernels, parts + cut, a + cut, b + cut, count - cut);
    expect_same(s, y, parts, count, "whole and cut in two");
    if (!exact) return;

    /* In place, over either input. */
    memcpy(parts, b, count * sizeof *b);
    map(&s->kernels, parts, a, parts, count);
    expect_same(s, y, parts, count, "in place of the second");
    map(&s->kernels, a, a, b, count);
    expect_same(s, y, a, count, "in place of the first");
}

static void check_map(struct subject *s, map_function *map, formula_function *formula, bool exact)
{
    for (size_t count = 0; count <= 70; count++)
        for (int shift = 0; shift < 4; shift++)
            check_map_once(s, map, formula, exact, count, shift);
    check_map_once(s, map, formula, exact, 127, 15);
    check_map_once(s, map, formula, exact, 509, 3);
}

#define CHECK_MAP(name, exact)                                                                     \
    static void check_##name(struct subject *s)                                                    \
    {                                                                                              \
        check_map(s, name##_map, name##_formula, exact);                                           \
    }
CHECK_MAP(relu, true)
CHECK_MAP(relu_backward, true)
CHECK_MAP(leaky_relu, true)
CHECK_MAP(leaky_relu_backward, true)
CHECK_MAP(add, true)
CHECK_MAP(mul, true)
CHECK_MAP(scale, true)
CHECK_MAP(multiply_add, false)

/* ---- windows --------------------------------------------------------------------------------- */

enum { MAX_TAPS = 9, MAX_CHANNELS = 70, MAX_WINDOWS = 4 };

static struct nn_window_row some_windows(int taps, int channels)
{
    return (struct nn_window_row){.taps = taps,
                                  .channels = channels,
                                  .windows = between(0, MAX_WINDOWS),
                                  .step = taps * channels + between(0, 9)};
}

static void check_max_window_once(struct subject *s, int taps, int channels, enum data data)
{
    static double want[MAX_WINDOWS * MAX_CHANNELS], want_which[MAX_WINDOWS * MAX_CHANNELS];
    struct nn_window_row row = some_windows(taps, channels);
    size_t count = (size_t)(row.windows * channels);
    float *all = place_filled(0, (size_t)(row.windows * row.step), between(0, 3), data);
    const float *x[MAX_TAPS] = {all};
    /* Whole numbers: one rounding and two are the same. */
    float *affine =
        between(0, 1) ? place_filled(4, 2 * (size_t)channels, between(0, 3), TIES) : NULL;
    row.affine = data == TIES ? affine : NULL;
    for (int t = 1; t < taps; t++) x[t] = all + t * channels;
    for (size_t i = 0; i < count; i++) {
        int c = (int)i % channels;
        ptrdiff_t from = (ptrdiff_t)i / channels * row.step + c;
        for (int t = 0; t < taps; t++) {
            double value = x[t][from];
            if (row.affine) value = value * affine[c] + affine[channels + c];
            if (t > 0 && !(value > want[i])) continue;
            want[i] = value;
            want_which[i] = t;
        }
    }
    float *y = place(1, count, between(0, 3)), *which = place(2, count, between(0, 3));
    float *alone = place(3, count, 0);
    s->kernels.max_window(y, which, x, &row);
    s->kernels.max_window(alone, NULL, x, &row);
    expect_true(s, margins_intact(1) && margins_intact(2), "margins written");
    expect_same(s, y, alone, count, "with and without the places");
    expect(s, y, want, NULL, count, "maximum");
    expect(s, which, want_which, NULL, count, "place");
}

static void check_max_window(struct subject *s)
{
    static const enum data KINDS[] = {SIGNED, TIES, SPECIAL};
    for (int channels = 0; channels <= MAX_CHANNELS; channels++)
        for (int i = 0; i < 6; i++)
            check_max_window_once(s, between(1, MAX_TAPS), channels, KINDS[i % 3]);
}

static void check_max_window_backward_once(struct subject *s, int taps, int channels)
{
    static double want[MAX_WINDOWS * (MAX_TAPS * MAX_CHANNELS + 9)];
    struct nn_window_row row = some_windows(taps, channels);
    float *dx[MAX_TAPS];
    size_t count = (size_t)(row.windows * channels), all = (size_t)(row.windows * row.step);
    float *block = place_filled(0, all, between(0, 3), SIGNED);
    float *which = place(1, count, 1), *dy = place_filled(2, count, 0, SIGNED);
    row.sets = between(0, 1);
    for (size_t i = 0; i < all; i++) want[i] = block[i];
    for (size_t i = 0; i < count; i++) {
        which[i] = (float)between(0, taps - 1);
        double *to = want + (ptrdiff_t)i / channels * row.step + (ptrdiff_t)i % channels;
        for (int t = 0; t < taps; t++) {
            if (row.sets) to[t * channels] = 0;
            if (which[i] == (float)t) to[t * channels] += (double)dy[i];
        }
    }
    for (int t = 0; t < taps; t++) dx[t] = block + t * channels;
    s->kernels.max_window_backward(dx, which, dy, &row);
    expect_true(s, margins_intact(0), "margins written");
    expect(s, block, want, NULL, all, "gradient");
}

static void check_max_window_backward(struct subject *s)
{
    for (int channels = 0; channels <= MAX_CHANNELS; channels++)
        for (int i = 0; i < 4; i++)
            check_max_window_backward_once(s, between(1, MAX_TAPS), channels);
}

/* ---- dropout --------------------------------------------------------------------------------- */

static uint32_t number_of(const struct nn_dropout_draw *draws, size_t i)
{
    uint32_t bits[4];
    uint64_t element = draws->first + i;
    nn_philox(bits, draws->key, element / 8, draws->stream);
    return bits[element % 8 / 2] >> (element % 2 ? 16 : 0) & 0xffff;
}

static void check_dropout_once(struct subject *s, size_t count, struct nn_dropout_draw draws)
{
    static double want[1024];
    float *x = place_filled(0, count, between(0, 3), SPECIAL);
    float *y = place(1, count, between(0, 3)), *parts = place(2, count, 0);
    for (size_t i = 0; i < count; i++)
        want[i] = number_of(&draws, i) >= draws.threshold ? (double)x[i] * draws.scale : 0.0;
    s->kernels.dropout(y, x, count, &draws);
    expect_true(s, margins_intact(1), "margins written");
    size_t cut = count ? draw((uint32_t)count) : 0;
    s->kernels.dropout(parts, x, cut, &draws);
    draws.first += cut;
    s->kernels.dropout(parts + cut, x + cut, count - cut, &draws);
    expect_same(s, y, parts, count, "whole and cut in two");
    draws.first -= cut;
    s->kernels.dropout(x, x, count, &draws);
    expect_same(s, y, x, count, "in place");
    expect(s, y, want, NULL, count, "result");
}

static void check_dropout(struct subject *s)
{
    /* 2^35 elements are 2^32 counters: there the low word carries. */
    static const uint64_t FIRSTS[] = {
        0, 1, 7, 8, 1001, (1ull << 35) - 300, (1ull << 35) - 1, (1ull << 35), 77ull << 40};
    static const uint32_t THRESHOLDS[] = {0, 1, 16384, 32768, 65535, 65536};
    for (int i = 0; i < 400; i++) {
        struct nn_dropout_draw draws = {
            .key = (uint64_t)draw(1u << 31) << 32 | draw(1u << 31),
            .stream = i % 3 ? (uint64_t)draw(1u << 31) << 33 | 5 : (uint64_t)i,
            .first = FIRSTS[i % 9],
            .threshold = THRESHOLDS[draw(6)],
            .scale = 1.0f + (float)draw(100) / 64.0f,
        };
        check_dropout_once(s, i < 300 ? (size_t)i : draw(1024), draws);
    }
}

static void check_dropout_rate(struct subject *s)
{
    enum { COUNT = 40000 };
    float *x = place(0, COUNT, 0), *y = place(1, COUNT, 0);
    for (int i = 0; i < COUNT; i++) x[i] = 1.0f;
    struct nn_dropout_draw draws = {.key = 9, .stream = 4, .threshold = 16384, .scale = 4.0f / 3};
    s->kernels.dropout(y, x, COUNT, &draws);
    double sum = 0.0;
    for (int i = 0; i < COUNT; i++) sum += y[i];
    /* The mean of y is 1, its deviation 4/3 sqrt(3/16 / COUNT) = 0.0029; five of those. */
    double want[1] = {1.0}, bound[1] = {0.0145};
    float mean[1] = {(float)(sum / COUNT)};
    if (s->sabotage) { /* 1e-3 is within chance: here the sabotage is dropping a tenth more */
        s->sabotaged++;
        s->caught += !value_fits(mean[0] * 0.9f, want[0], bound);
    } else {
        expect(s, mean, want, bound, 1, "mean");
    }
}

int main(void)
{
#define ROW(name)                                                                                  \
    {                                                                                              \
#name, check_##name                                                                        \
    }
    static const struct check CHECKS[] = {
        ROW(relu),       ROW(relu_backward), ROW(leaky_relu),   ROW(leaky_relu_backward),
        ROW(add),        ROW(mul),           ROW(scale),        ROW(multiply_add),
        ROW(max_window), ROW(dropout),       ROW(dropout_rate), ROW(max_window_backward),
    };
    check_all(CHECKS, sizeof CHECKS / sizeof *CHECKS);
    return test_done();
}
