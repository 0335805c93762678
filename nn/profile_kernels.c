/*
 * profile_kernels.c — kernels by themselves, at sizes they meet in LivenessNet and in the detector.
 *
 * A case names its kernel, sets the sizes, and says what one call computes and moves. A trial is as
 * many calls as fill a millisecond on one thread; the best of many counts, as in peak.c: what
 * disturbs a trial only ever makes it slower. All cases fit into a second-level cache.
 */
#include "nn/internal.h"
#include "nn/measure.h"

#include <time.h>

enum { FEWEST_TRIALS = 3, MOST_TAPS = 9, GAP = 64 };
enum { MATRICES = -1, TRANSFORMED = 36 }; /* a window that is none; of 6 x 6 */
static const double TRIAL_SECONDS = 1e-3;

/* Sizes of a case; what they mean is its function's business. */
struct kernel_case {
    const char *name, *shape;
    void (*run)(const struct kernel_case *c, const struct nn_kernels *kernels, float *memory);
    int rows, pixels, window, channels, filters;
    double flops;  /* of one call; 0: bytes count */
    size_t floats; /* read and written by one call */
};

/* Disjoint pieces of the memory, parted so that their lines do not fall on each other. */
static float *piece(float **memory, size_t floats)
{
    float *begin = *memory;
    *memory += (floats + GAP + 15) & ~(size_t)15;
    return begin;
}

/* ---- convolution ----------------------------------------------------------------------------- */

/* Rows of a padded picture and a square window; tap [MOST_TAPS] is filled. A window of 0: dense. */
static struct nn_conv_row conv_geometry(const struct kernel_case *c, ptrdiff_t *tap)
{
    int window = c->window ? c->window : 1;
    ptrdiff_t width = (ptrdiff_t)(c->pixels + window - 1) * c->channels;
    for (int r = 0; r < window; r++) tap[r] = r * width;
    return (struct nn_conv_row){.pixels = c->pixels,
                                .filters = c->filters,
                                .taps = window,
                                .length = window * c->channels,
                                .tap = tap,
                                .step = c->channels,
                                .w_stride = c->filters,
                                .y_stride = c->filters};
}

/* Floats of the picture, of the weights, of the outputs. */
static size_t picture_floats(const struct kernel_case *c)
{
    int border = c->window > 0 ? c->window - 1 : 0;
    return (size_t)(c->rows + border) * (size_t)(c->pixels + border) * (size_t)c->channels;
}

static size_t weight_floats(const struct kernel_case *c)
{
    if (c->window == MATRICES) return (size_t)c->rows * (size_t)c->channels * (size_t)c->filters;
    int window = c->window ? c->window : 1;
    return (size_t)(window * window) * (size_t)c->channels * (size_t)c->filters;
}

static size_t output_floats(const struct kernel_case *c)
{
    return (size_t)c->rows * (size_t)c->pixels * (size_t)c->filters;
}

static void run_conv_row(const struct kernel_case *c, const struct nn_kernels *kernels,
                         float *memory)
{
    static const struct nn_epilogue nothing;
    ptrdiff_t tap[MOST_TAPS];
    struct nn_conv_row row = conv_geometry(c, tap);
    float *x = piece(&memory, picture_floats(c)), *w = piece(&memory, weight_floats(c));
    float *y = piece(&memory, output_floats(c));
    ptrdiff_t next = (ptrdiff_t)picture_floats(c) / (c->rows + (c->window ? c->window - 1 : 0));
    for (int p = 0; p < c->rows; p++)
        kernels->conv_row(y + (ptrdiff_t)p * c->pixels * c->filters, x + p * next, w, &row,
                          &nothing);
}

static void run_conv_gradient(const struct kernel_case *c, const struct nn_kernels *kernels,
                              float *memory)
{
    ptrdiff_t tap[MOST_TAPS];
    float *x = piece(&memory, picture_floats(c)), *w = piece(&memory, weight_floats(c));
    const float *dy = piece(&memory, output_floats(c));
    struct nn_conv_gradient gradient = {.row = conv_geometry(c, tap), .rows = c->rows};
    gradient.x_row = (ptrdiff_t)picture_floats(c) / (c->rows + (c->window ? c->window - 1 : 0));
    gradient.dy_row = (ptrdiff_t)c->pixels * c->filters;
    kernels->conv_gradient(w, x, dy, &gradient);
}

/* `rows` products of [pixels,channels] and [channels,filters]. */
static struct nn_products matrices(const struct kernel_case *c)
{
    return (struct nn_products){.count = c->rows,
                                .rows = c->pixels,
                                .depth = c->channels,
                                .columns = c->filters,
                                .x_row = c->channels,
                                .w_row = c->filters,
                                .y_row = c->filters,
                                .x_next = (ptrdiff_t)c->pixels * c->channels,
                                .w_next = (ptrdiff_t)c->channels * c->filters,
                                .y_next = (ptrdiff_t)c->pixels * c->filters};
}

static void run_products(const struct kernel_case *c, const struct nn_kernels *kernels,
                         float *memory)
{
    struct nn_products products = matrices(c);
    float *x = piece(&memory, picture_floats(c)), *w = piece(&memory, weight_floats(c));
    kernels->products(piece(&memory, output_floats(c)), x, w, &products);
}

static void run_product_gradients(const struct kernel_case *c, const struct nn_kernels *kernels,
                                  float *memory)
{
    struct nn_products products = matrices(c);
    float *x = piece(&memory, picture_floats(c)), *w = piece(&memory, weight_floats(c));
    kernels->product_gradients(w, x, piece(&memory, output_floats(c)), &products);
}

/* ---- passes over rows of channels ------------------------------------------------------------ */

/* Up to four tensors, and vectors of a number per channel. */
struct tensors {
    float *a, *b, *c, *d;
    float *scale, *shift, *third;
    size_t rows, count;
    int channels;
};

static struct tensors cut(const struct kernel_case *c, float *memory)
{
    struct tensors t = {.rows = (size_t)c->rows, .channels = c->channels};
    t.count = t.rows * (size_t)t.channels;
    t.a = piece(&memory, t.count);
    t.b = piece(&memory, t.count);
    t.c = piece(&memory, t.count);
    t.d = piece(&memory, t.count);
    t.scale = piece(&memory, (size_t)t.channels);
    t.shift = piece(&memory, (size_t)t.channels);
    t.third = piece(&memory, (size_t)t.channels);
    return t;
}

#define PASS(name, ...)                                                                            \
    static void run_##name(const struct kernel_case *c, const struct nn_kernels *k, float *memory) \
    {                                                                                              \
        struct tensors t = cut(c, memory);                                                         \
        k->name(__VA_ARGS__);                                                                      \
    }
PASS(relu, t.b, t.a, t.count)
PASS(relu_backward, t.c, t.a, t.b, t.count)
PASS(add, t.c, t.a, t.b, t.count)
PASS(scale_shift, t.b, t.a, t.scale, t.shift, t.rows, t.channels)
PASS(channel_sum, t.scale, t.a, t.rows, t.channels)
PASS(channel_square_sum, t.scale, t.a, t.shift, t.rows, t.channels)
PASS(channel_products, t.scale, t.third, t.a, t.b, t.shift, t.rows, t.channels)
PASS(transpose, t.b, c->rows, t.a, c->channels, c->rows, c->channels)
#undef PASS

static void run_batch_norm_backward(const struct kernel_case *c, const struct nn_kernels *kernels,
                                    float *memory)
{
    struct tensors t = cut(c, memory);
    const float *const factors[] = {t.scale, t.shift, t.third};
    kernels->batch_norm_backward(t.c, t.a, t.b, factors, true, t.rows, t.channels);
}

/* 2x2 windows of a picture as wide as `pixels`. */
static void run_max_window(const struct kernel_case *c, const struct nn_kernels *kernels,
                           float *memory)
{
    struct tensors t = cut(c, memory);
    size_t row = (size_t)c->pixels * (size_t)c->channels;
    struct nn_window_row windows = {
        .taps = 4, .channels = c->channels, .windows = c->pixels / 2, .step = 2 * c->channels};
    for (int p = 0; p < c->rows / c->pixels / 2; p++) {
        const float *from = t.a + 2 * (size_t)p * row;
        const float *const taps[] = {from, from + c->channels, from + row,
                                     from + row + c->channels};
        size_t to = (size_t)p * (size_t)(c->pixels / 2) * (size_t)c->channels;
        kernels->max_window(t.b + to, t.c + to, taps, &windows);
    }
}

/* Tiles side by side: rows / 36 of them, so that a tensor has room for what they become. */
static void run_winograd_input(const struct kernel_case *c, const struct nn_kernels *kernels,
                               float *memory)
{
    struct tensors t = cut(c, memory);
    int tiles = c->rows / TRANSFORMED;
    ptrdiff_t width = (ptrdiff_t)(4 * tiles + 2) * c->channels;
    struct nn_tile tile = {.row = width, .pixel = c->channels, .bottom = 6, .right = 6};
    for (int i = 0; i < tiles; i++)
        kernels->winograd_input(t.b + (ptrdiff_t)i * c->channels, (ptrdiff_t)tiles * c->channels,
                                t.a + (ptrdiff_t)4 * i * c->channels, &tile, c->channels, NULL);
}

static void run_winograd_output(const struct kernel_case *c, const struct nn_kernels *kernels,
                                float *memory)
{
    static const struct nn_epilogue nothing;
    struct tensors t = cut(c, memory);
    int tiles = c->rows / TRANSFORMED;
    ptrdiff_t width = (ptrdiff_t)4 * tiles * c->channels;
    struct nn_tile tile = {.row = width, .pixel = c->channels, .bottom = 4, .right = 4};
    for (int i = 0; i < tiles; i++)
        kernels->winograd_output(t.b + (ptrdiff_t)4 * i * c->channels, &tile,
                                 t.a + (ptrdiff_t)i * c->channels, (ptrdiff_t)tiles * c->channels,
                                 c->channels, &nothing);
}

static void run_dropout(const struct kernel_case *c, const struct nn_kernels *kernels,
                        float *memory)
{
    struct tensors t = cut(c, memory);
    struct nn_dropout_draw draw = {
        .key = 1, .stream = 2, .threshold = 65536 / 4, .scale = 4.0f / 3};
    kernels->dropout(t.b, t.a, t.count, &draw);
}

static void run_adam(const struct kernel_case *c, const struct nn_kernels *kernels, float *memory)
{
    struct tensors t = cut(c, memory);
    struct nn_adam adam = {
        .rate = 1e-6f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-7f, .scale = 1};
    kernels->adam(t.a, t.b, t.c, t.d, &adam, t.count);
}

/* ---- the cases ------------------------------------------------------------------------------- */

#define CONV_FLOPS(rows, pixels, taps, channels, filters)                                          \
    (2.0 * (rows) * (pixels) * (taps) * (channels) * (filters))
#define CONV(kernel, text, rows, pixels, window, channels, filters)                                \
    {                                                                                              \
#kernel, text, run_##kernel, rows, pixels, window, channels, filters,                      \
            CONV_FLOPS(rows, pixels, (window ? window : 1) * (window ? window : 1), channels,      \
                       filters),                                                                   \
            (size_t)(rows) * (pixels) * ((channels) + (filters)) +                                 \
                (size_t)(window ? window : 1) * (window ? window : 1) * (channels) * (filters)     \
    }
#define PRODUCTS(kernel, text, tiles, channels, filters)                                           \
    {                                                                                              \
#kernel, text, run_##kernel, TRANSFORMED, tiles, MATRICES, channels, filters,              \
            CONV_FLOPS(TRANSFORMED, tiles, 1, channels, filters),                                  \
            (size_t)TRANSFORMED *((tiles) * ((channels) + (filters)) + (channels) * (filters))     \
    }
/* `tensors` of rows x channels are read or written. */
#define ROWS(kernel, text, rows, pixels, channels, tensors)                                        \
    {                                                                                              \
#kernel, text, run_##kernel, rows, pixels, 0, channels, 0, 0,                              \
            (size_t)((tensors) * (rows) * (channels))                                              \
    }

static const struct kernel_case CASES[] = {
    CONV(conv_row, "8x32 pixels, 3x3x3 to 16", 8, 32, 3, 3, 16),
    CONV(conv_row, "8x32 pixels, 3x3x16 to 16", 8, 32, 3, 16, 16),
    CONV(conv_row, "8x16 pixels, 3x3x16 to 32", 8, 16, 3, 16, 32),
    CONV(conv_row, "8x16 pixels, 3x3x32 to 32", 8, 16, 3, 32, 32),
    CONV(conv_row, "4x38 pixels, 3x3x128 to 32", 4, 38, 3, 128, 32),
    CONV(conv_row, "4x19 pixels, 1x1x256 to 32", 4, 19, 1, 256, 32),
    CONV(conv_row, "dense, 8 rows of 2048 to 64", 1, 8, 0, 2048, 64),
    CONV(conv_gradient, "8x32 pixels, 3x3x3 to 16", 8, 32, 3, 3, 16),
    CONV(conv_gradient, "8x32 pixels, 3x3x16 to 16", 8, 32, 3, 16, 16),
    CONV(conv_gradient, "8x16 pixels, 3x3x16 to 32", 8, 16, 3, 16, 32),
    CONV(conv_gradient, "8x16 pixels, 3x3x32 to 32", 8, 16, 3, 32, 32),
    CONV(conv_gradient, "dense, 8 rows of 2048 to 64", 1, 8, 0, 2048, 64),
    PRODUCTS(products, "36 of 16x32 by 32x32", 16, 32, 32),
    PRODUCTS(products, "36 of 16x128 by 128x32", 16, 128, 32),
    PRODUCTS(product_gradients, "36 of 32x16 by 16x32", 16, 32, 32),
    ROWS(winograd_input, "16 tiles of 32 channels", 16 * TRANSFORMED, 0, 32, 2),
    ROWS(winograd_output, "16 tiles of 32 filters", 16 * TRANSFORMED, 0, 32, 1 + 16.0 / 36),
    ROWS(transpose, "128 x 128", 128, 0, 128, 2),
    ROWS(relu, "128 pixels of 32 channels", 128, 0, 32, 2),
    ROWS(relu, "1024 pixels of 32 channels", 1024, 0, 32, 2),
    ROWS(relu_backward, "1024 pixels of 32 channels", 1024, 0, 32, 3),
    ROWS(add, "1024 pixels of 32 channels", 1024, 0, 32, 3),
    ROWS(scale_shift, "1024 pixels of 16 channels", 1024, 0, 16, 2),
    ROWS(scale_shift, "1024 pixels of 32 channels", 1024, 0, 32, 2),
    ROWS(channel_sum, "1024 pixels of 32 channels", 1024, 0, 32, 1),
    ROWS(channel_square_sum, "1024 pixels of 32 channels", 1024, 0, 32, 1),
    ROWS(channel_products, "1024 pixels of 32 channels", 1024, 0, 32, 2),
    ROWS(batch_norm_backward, "1024 pixels of 16 channels", 1024, 0, 16, 3),
    ROWS(batch_norm_backward, "1024 pixels of 32 channels", 1024, 0, 32, 3),
    ROWS(max_window, "32x32 pixels of 16 channels", 1024, 32, 16, 1.5),
    ROWS(dropout, "256 pixels of 16 channels", 256, 0, 16, 2),
    ROWS(adam, "16384 parameters", 512, 0, 32, 7),
};
enum { CASE_COUNT = sizeof CASES / sizeof *CASES };

int nn_kernel_cases(void)
{
    return CASE_COUNT;
}

struct nn_kernel_info nn_kernel_case(int index)
{
    if (index < 0 || index >= CASE_COUNT) return (struct nn_kernel_info){0};
    const struct kernel_case *c = &CASES[index];
    return (struct nn_kernel_info){c->name, c->shape, c->flops, c->floats * sizeof(float)};
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static size_t memory_floats(const struct kernel_case *c)
{
    size_t conv = picture_floats(c) + weight_floats(c) + output_floats(c);
    size_t pass = 4 * (size_t)c->rows * (size_t)c->channels + 3 * (size_t)c->channels;
    return (c->flops > 0 ? conv : pass) + 8 * (GAP + 16);
}

double nn_measure_kernel(struct nn_context *context, int index, double seconds)
{
    if (index < 0 || index >= CASE_COUNT) return 0;
    const struct kernel_case *c = &CASES[index];
    size_t floats = memory_floats(c), calls = 1;
    float *memory = nn_alloc(context, floats, sizeof *memory);
    if (!memory) return 0;
    for (size_t i = 0; i < floats; i++) memory[i] = 0.25f + 0.001f * (float)(i % 97);
    double best = 0, begin = now();
    for (int trial = 0; trial < FEWEST_TRIALS || now() - begin < seconds;) {
        double start = now();
        for (size_t i = 0; i < calls; i++) c->run(c, &context->kernels, memory);
        double spent = now() - start;
        if (spent < TRIAL_SECONDS && calls < SIZE_MAX / 4) {
            calls *= 2;
            continue;
        }
        if (trial++ == 0 || spent / (double)calls < best) best = spent / (double)calls;
    }
    nn_free(context, memory);
    return best;
}
