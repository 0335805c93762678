/*
 * check_kernels_channel.c — per-channel kernels and optimisers at every level of this CPU, against
 * double precision. A sum of n rounded terms may be wrong by n roundings of the sum of their sizes.
 */
#include "tests/check_kernels.h"

enum { MAX_CHANNELS = 150, MAX_VALUES = 60 * MAX_CHANNELS };

/* Rows 0 .. 40 and channels around one, two and four vectors of every width. */
static const int CHANNELS[] = {1,  2,  3,  4,  5,  7,  8,  9,  11, 12, 15, 16, 17, 20,  23,
                               24, 31, 32, 33, 37, 47, 48, 49, 63, 64, 65, 80, 97, 128, 150};
enum { CHANNEL_COUNT = sizeof CHANNELS / sizeof *CHANNELS };

struct shape {
    int rows, channels, shift;
    size_t count;
};
typedef void shape_check(struct subject *s, const struct shape *shape);

static void each_shape(struct subject *s, shape_check *check)
{
    for (int i = 0; i < 6 * CHANNEL_COUNT; i++) {
        struct shape shape = {.channels = CHANNELS[i % CHANNEL_COUNT], .shift = between(0, 3)};
        shape.rows = i < CHANNEL_COUNT ? i % 3 : between(3, 40);
        shape.count = (size_t)shape.rows * (size_t)shape.channels;
        check(s, &shape);
    }
    check(s, &(struct shape){.rows = 5, .channels = 0});
}

static size_t cut_of(const struct shape *shape)
{
    return shape->rows ? draw((uint32_t)shape->rows) : 0;
}

static void scale_shift_once(struct subject *s, const struct shape *shape)
{
    static double want[MAX_VALUES], bound[MAX_VALUES];
    size_t channels = (size_t)shape->channels, rows = (size_t)shape->rows;
    float *x = place_filled(0, shape->count, shape->shift, SIGNED);
    float *scale = place_filled(1, channels, 0, SIGNED),
          *shift = place_filled(2, channels, 1, SIGNED);
    float *y = place(3, shape->count, shape->shift), *parts = place(4, shape->count, 0);
    for (size_t i = 0; i < shape->count; i++) {
        double product = (double)x[i] * scale[i % channels];
        want[i] = product + shift[i % channels];
        bound[i] = 2 * ROUNDING * (fabs(product) + fabs(want[i]));
    }
    s->kernels.scale_shift(y, x, scale, shift, rows, shape->channels);
    expect_true(s, margins_intact(3), "margins written");
    size_t cut = cut_of(shape), at = cut * channels;
    s->kernels.scale_shift(parts, x, scale, shift, cut, shape->channels);
    s->kernels.scale_shift(parts + at, x + at, scale, shift, rows - cut, shape->channels);
    expect_same(s, y, parts, shape->count, "whole and cut in two");
    s->kernels.scale_shift(x, x, scale, shift, rows, shape->channels);
    expect_same(s, y, x, shape->count, "in place");
    expect(s, y, want, bound, shape->count, "result");
}
static void check_scale_shift(struct subject *s)
{
    each_shape(s, scale_shift_once);
}

/* want[c] = the sum of value(i) over rows, bound[c] = its share of roundings. */
static void sum_reference(double *want, double *bound, const double *value,
                          const struct shape *shape)
{
    for (int c = 0; c < shape->channels; c++) {
        double size = want[c] = 0.0;
        for (int r = 0; r < shape->rows; r++) {
            want[c] += value[r * shape->channels + c];
            size += fabs(value[r * shape->channels + c]);
        }
        bound[c] = (shape->rows + 4) * ROUNDING * size + 1e-44;
    }
}

static void channel_sum_once(struct subject *s, const struct shape *shape)
{
    static double value[MAX_VALUES], want[MAX_CHANNELS], bound[MAX_CHANNELS];
    size_t channels = (size_t)shape->channels;
    float *x = place_filled(0, shape->count, shape->shift, SIGNED);
    float *sum = place(1, channels, shape->shift);
    for (size_t i = 0; i < shape->count; i++) value[i] = x[i];
    sum_reference(want, bound, value, shape);
    s->kernels.channel_sum(sum, x, (size_t)shape->rows, shape->channels);
    expect_true(s, margins_intact(1), "margins written");
    expect(s, sum, want, bound, channels, "sum");
}
static void check_channel_sum(struct subject *s)
{
    each_shape(s, channel_sum_once);
}

static void channel_square_sum_once(struct subject *s, const struct shape *shape)
{
    static double value[MAX_VALUES], want[MAX_CHANNELS], bound[MAX_CHANNELS];
    size_t channels = (size_t)shape->channels;
    float *x = place_filled(0, shape->count, shape->shift, SIGNED);
    float *mean = place_filled(1, channels, 0, SIGNED), *sum = place(2, channels, shape->shift);
    for (size_t i = 0; i < shape->count; i++) {
        double difference = (double)x[i] - mean[i % channels];
        value[i] = difference * difference;
    }
    sum_reference(want, bound, value, shape);
    s->kernels.channel_square_sum(sum, x, mean, (size_t)shape->rows, shape->channels);
    expect_true(s, margins_intact(2), "margins written");
    expect(s, sum, want, bound, channels, "sum");
}
static void check_channel_square_sum(struct subject *s)
{
    each_shape(s, channel_square_sum_once);
}

static void channel_products_once(struct subject *s, const struct shape *shape)
{
    static double value[MAX_VALUES], want[MAX_CHANNELS], bound[MAX_CHANNELS];
    size_t channels = (size_t)shape->channels;
    float *dy = place_filled(0, shape->count, shape->shift, SIGNED);
    float *x = place_filled(1, shape->count, 0, SIGNED);
    float *mean = draw(3) ? place_filled(2, channels, 0, SIGNED) : NULL;
    float *sum = place(3, channels, shape->shift), *product = place(4, channels, 1);
    s->kernels.channel_products(sum, product, dy, x, mean, (size_t)shape->rows, shape->channels);
    expect_true(s, margins_intact(3) && margins_intact(4), "margins written");
    for (size_t i = 0; i < shape->count; i++) value[i] = dy[i];
    sum_reference(want, bound, value, shape);
    expect(s, sum, want, bound, channels, "sum");
    for (size_t i = 0; i < shape->count; i++)
        value[i] = (double)dy[i] * ((double)x[i] - (mean ? mean[i % channels] : 0.0f));
    sum_reference(want, bound, value, shape);
    expect(s, product, want, bound, channels, "product");
}
static void check_channel_products(struct subject *s)
{
    each_shape(s, channel_products_once);
}

static void batch_norm_backward_once(struct subject *s, const struct shape *shape)
{
    static double want[MAX_VALUES], bound[MAX_VALUES];
    size_t channels = (size_t)shape->channels, rows = (size_t)shape->rows;
    bool relu = draw(2);
    float *dy = place_filled(0, shape->count, shape->shift, SIGNED);
    float *x = place_filled(1, shape->count, 0, relu ? TIES : SIGNED);
    const float *abd[3];
    for (int i = 0; i < 3; i++) abd[i] = place_filled(2 + i, channels, i, SIGNED);
    float *dx = place(5, shape->count, shape->shift), *parts = place(6, shape->count, 1);
    for (size_t i = 0; i < shape->count; i++) {
        size_t c = i % channels;
        double a = (double)abd[0][c] * dy[i], b = (double)abd[1][c] * x[i];
        want[i] = relu && !(x[i] > 0.0f) ? 0.0 : a + b + abd[2][c];
        bound[i] = 4 * ROUNDING * (fabs(a) + fabs(b) + fabs((double)abd[2][c]));
    }
    s->kernels.batch_norm_backward(dx, dy, x, abd, relu, rows, shape->channels);
    expect_true(s, margins_intact(5), "margins written");
    size_t cut = cut_of(shape), at = cut * channels;
    s->kernels.batch_norm_backward(parts, dy, x, abd, relu, cut, shape->channels);
    s->kernels.batch_norm_backward(parts + at, dy + at, x + at, abd, relu, rows - cut,
                                   shape->channels);
    expect_same(s, dx, parts, shape->count, "whole and cut in two");
    s->kernels.batch_norm_backward(dy, dy, x, abd, relu, rows, shape->channels);
    expect_same(s, dx, dy, shape->count, "in place");
    expect(s, dx, want, bound, shape->count, "result");
}
static void check_batch_norm_backward(struct subject *s)
{
    each_shape(s, batch_norm_backward_once);
}

/* ---- optimisers ------------------------------------------------------------------------------ */

enum { MAX_PARAMETERS = 600 };

/* Gradient as the kernels see it. Its one rounding is counted by the callers. */
static double scaled_and_cut(float g, float scale, float clip)
{
    double gradient = (double)g * scale;
    if (clip > 0.0f && gradient > clip) return clip;
    if (clip > 0.0f && gradient < -clip) return -clip;
    return gradient;
}

struct answer {
    double want[MAX_PARAMETERS], bound[MAX_PARAMETERS];
};

static void adam_reference(struct answer answer[3], const float *const before[4],
                           const struct nn_adam *a, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double w = before[0][i], g = scaled_and_cut(before[3][i], a->scale, a->clip);
        double kept = (double)a->beta1 * before[1][i], rest = (double)(1.0f - a->beta1) * g;
        double m = kept + rest;
        double v = (double)a->beta2 * before[2][i] + (double)(1.0f - a->beta2) * g * g;
        double m_bound = 4 * ROUNDING * (fabs(kept) + fabs(rest)) + 1e-44;
        double root = sqrt(v) + a->epsilon, step = a->rate * m / root;
        answer[1].want[i] = m;
        answer[1].bound[i] = m_bound;
        answer[2].want[i] = v; /* no cancellation: both terms are squares */
        answer[2].bound[i] = 6 * ROUNDING * v + 1e-44;
        answer[0].want[i] = w - a->decay * w - step;
        answer[0].bound[i] =
            a->rate * m_bound / root + 8 * ROUNDING * fabs(step) + 3 * ROUNDING * fabs(w) + 1e-44;
    }
}

static void adam_once(struct subject *s, size_t count, const struct nn_adam *a)
{
    static struct answer answer[3];
    static float copy[3][MAX_PARAMETERS];
    float *p[4];
    for (int i = 0; i < 4; i++) p[i] = place_filled(i, count, (int)(count + (size_t)i) % 4, SIGNED);
    for (size_t i = 0; i < count; i++) p[2][i] *= p[2][i];
    if (count > 2) p[1][1] = p[2][1] = p[3][1] = 0.0f; /* a weight that never had a gradient */
    adam_reference(answer, (const float *const *)p, a, count);
    for (int i = 0; i < 3; i++) memcpy(copy[i], p[i], count * sizeof(float));

    s->kernels.adam(p[0], p[1], p[2], p[3], a, count);
    for (int i = 0; i < 4; i++) expect_true(s, margins_intact(i), "margins written");
    size_t cut = count ? draw((uint32_t)count) : 0;
    s->kernels.adam(copy[0], copy[1], copy[2], p[3], a, cut);
    s->kernels.adam(copy[0] + cut, copy[1] + cut, copy[2] + cut, p[3] + cut, a, count - cut);
    for (int i = 0; i < 3; i++) expect_same(s, p[i], copy[i], count, "whole and cut in two");
    static const char *const NAMES[] = {"w", "m", "v"};
    for (int i = 0; i < 3; i++) expect(s, p[i], answer[i].want, answer[i].bound, count, NAMES[i]);
}

static void check_adam(struct subject *s)
{
    for (int i = 0; i < 160; i++) {
        struct nn_adam a = {.rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-7f};
        a.decay = i % 2 ? 0.001f : 0.0f;
        a.scale = i % 3 ? 1.0f : 0.37f;
        a.clip = i % 5 ? 0.0f : 0.2f;
        adam_once(s, i < 140 ? (size_t)i / 2 : draw(MAX_PARAMETERS), &a);
    }
    /* A gradient that is no number must be seen in the weights, clipped or not. */
    float w[3] = {1, 1, 1}, m[3] = {0}, v[3] = {0}, g[3] = {0.5f, NAN, 0.5f};
    struct nn_adam a = {.rate = 0.1f, .beta1 = 0.9f, .beta2 = 0.9f, .epsilon = 1e-7f, .scale = 1};
    a.clip = 1.0f;
    s->kernels.adam(w, m, v, g, &a, 3);
    expect_true(s, !isnan(w[0]) && isnan(w[1]) && !isnan(w[2]), "NaN gradients come through");
}

static void sgd_once(struct subject *s, size_t count, const struct nn_sgd *o)
{
    static struct answer answer[2];
    static float copy[2][MAX_PARAMETERS];
    float *p[3];
    for (int i = 0; i < 3; i++) p[i] = place_filled(i, count, (int)(count + (size_t)i) % 4, SIGNED);
    for (size_t i = 0; i < count; i++) {
        double cut = scaled_and_cut(p[2][i], o->scale, o->clip), pull = (double)o->decay * p[0][i];
        double g = cut + pull, kept = (double)o->momentum * p[1][i], v = kept + g;
        double size = fabs(cut) + fabs(pull) + fabs(kept);
        double step = o->rate * (o->nesterov ? g + o->momentum * v : v);
        answer[1].want[i] = v;
        answer[1].bound[i] = 4 * ROUNDING * size;
        answer[0].want[i] = p[0][i] - step;
        answer[0].bound[i] = 14 * ROUNDING * o->rate * size + 2 * ROUNDING * fabs((double)p[0][i]);
    }
    for (int i = 0; i < 2; i++) memcpy(copy[i], p[i], count * sizeof(float));
    s->kernels.sgd(p[0], p[1], p[2], o, count);
    for (int i = 0; i < 3; i++) expect_true(s, margins_intact(i), "margins written");
    size_t cut = count ? draw((uint32_t)count) : 0;
    s->kernels.sgd(copy[0], copy[1], p[2], o, cut);
    s->kernels.sgd(copy[0] + cut, copy[1] + cut, p[2] + cut, o, count - cut);
    for (int i = 0; i < 2; i++) expect_same(s, p[i], copy[i], count, "whole and cut in two");
    expect(s, p[0], answer[0].want, answer[0].bound, count, "w");
    expect(s, p[1], answer[1].want, answer[1].bound, count, "v");
}

static void check_sgd(struct subject *s)
{
    for (int i = 0; i < 160; i++) {
        struct nn_sgd o = {.rate = 0.1f, .momentum = i % 4 ? 0.9f : 0.0f, .nesterov = i % 8 > 3};
        o.decay = i % 2 ? 0.01f : 0.0f;
        o.scale = i % 3 ? 1.0f : 0.37f;
        o.clip = i % 5 ? 0.0f : 0.2f;
        sgd_once(s, i < 140 ? (size_t)i / 2 : draw(MAX_PARAMETERS), &o);
    }
}

static void check_square_sum(struct subject *s)
{
    for (size_t count = 0; count < 150; count++) {
        float *x = place_filled(0, count, (int)count % 4, SIGNED);
        double want = 0.0, got = NAN;
        for (size_t i = 0; i < count; i++) want += (double)x[i] * x[i];
        s->kernels.square_sum(&got, x, count);
        expect_true(s, fabs(got - want) <= (double)count * 2.3e-16 * want, "sum in double");
        float rounded = (float)got;
        double bound = ROUNDING * want;
        expect(s, &rounded, &want, &bound, 1, "sum");
    }
}

int main(void)
{
#define ROW(name)                                                                                  \
    {                                                                                              \
#name, check_##name                                                                        \
    }
    static const struct check CHECKS[] = {
        ROW(scale_shift),
        ROW(channel_sum),
        ROW(channel_square_sum),
        ROW(channel_products),
        ROW(batch_norm_backward),
        ROW(adam),
        ROW(sgd),
        ROW(square_sum),
    };
    check_all(CHECKS, sizeof CHECKS / sizeof *CHECKS);
    return test_done();
}
