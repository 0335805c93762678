/*
 * check_kernels_winograd.c — the transforms of F(4x4, 3x3) and products of matrices at every level
 * of this CPU against the definitions in double precision, and the epilogue on its own.
 */
#include "tests/check_kernels.h"

enum { MOST_CHANNELS = 70, LARGEST = 6 };

/* One of the transforms, to = left from left', as the matrix that is multiplied from the left. */
struct transform {
    int rows, columns;
    double left[LARGEST][LARGEST];
};

static const struct transform WEIGHTS = {6,
                                         3,
                                         {{1.0 / 4, 0, 0},
                                          {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                          {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                          {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                          {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                          {0, 0, 1}}},
                              INPUT = {6,
                                       6,
                                       {{4, 0, -5, 0, 1, 0},
                                        {0, -4, -4, 1, 1, 0},
                                        {0, 4, -4, -1, 1, 0},
                                        {0, -2, -1, 2, 1, 0},
                                        {0, 2, -1, -2, 1, 0},
                                        {0, 4, 0, -5, 0, 1}}},
                              OUTPUT = {4,
                                        6,
                                        {{1, 1, 1, 1, 1, 0},
                                         {0, 1, -1, 2, -2, 0},
                                         {0, 1, 1, 4, 4, 0},
                                         {0, 1, -1, 8, -8, 1}}};

static struct transform transposed(const struct transform *t)
{
    struct transform turned = {.rows = t->columns, .columns = t->rows};
    for (int i = 0; i < t->rows; i++)
        for (int j = 0; j < t->columns; j++) turned.left[j][i] = t->left[i][j];
    return turned;
}

/* Number `at` of the result, and how far rounding may take it: every product in it, times the few
 * operations it goes through (factors such as 1/6 are rounded, too). */
static void transformed(double *want, double *bound, const struct transform *t, const double *d,
                        int at)
{
    int i = at / t->rows, j = at % t->rows;
    *want = *bound = 0;
    for (int a = 0; a < t->columns; a++)
        for (int b = 0; b < t->columns; b++) {
            double product = t->left[i][a] * d[a * t->columns + b] * t->left[j][b];
            *want += product;
            *bound += fabs(product);
        }
    *bound = *bound * 16 * ROUNDING + 1e-44;
}

/* A tile of which a random part is inside; every third time all of it. */
static struct nn_tile random_tile(int size, int channels, int turn)
{
    int pixel = channels + between(0, 9);
    struct nn_tile tile = {.row = size * pixel + between(0, 9), .pixel = pixel};
    tile.top = turn % 3 ? between(0, size) : 0;
    tile.left = turn % 3 ? between(0, size) : 0;
    tile.bottom = turn % 3 ? between(tile.top, size) : size;
    tile.right = turn % 3 ? between(tile.left, size) : size;
    return tile;
}

static size_t tile_extent(const struct nn_tile *tile, int channels)
{
    if (tile->top == tile->bottom || tile->left == tile->right) return 0;
    return (size_t)((tile->bottom - tile->top - 1) * tile->row +
                    (tile->right - tile->left - 1) * tile->pixel + channels);
}

/* Floats from the tile's first pixel inside to pixel `at` of `size` x `size`; -1: outside. */
static ptrdiff_t tile_place(const struct nn_tile *tile, int size, int at)
{
    int i = at / size, j = at % size;
    if (i < tile->top || i >= tile->bottom || j < tile->left || j >= tile->right) return -1;
    return (i - tile->top) * tile->row + (j - tile->left) * tile->pixel;
}

static void compare_rows(struct subject *s, const struct transform *t, const double *d,
                         const float *to, int stride, int channels)
{
    static double want[36 * MOST_CHANNELS], bound[36 * MOST_CHANNELS];
    static float got[36 * MOST_CHANNELS];
    int numbers = t->rows * t->rows;
    for (int c = 0; c < channels; c++)
        for (int i = 0; i < numbers; i++) {
            transformed(&want[i * channels + c], &bound[i * channels + c], t, d + 36 * c, i);
            got[i * channels + c] = to[i * stride + c];
        }
    expect(s, got, want, bound, (size_t)(numbers * channels), "transformed");
    expect_true(s, margins_intact(1), "written outside");
    for (int i = 0; i < numbers - 1; i++)
        for (int c = channels; c < stride; c++)
            expect_true(s, is_poison(to + i * stride + c), "written between rows");
}

static double columns_of[36 * MOST_CHANNELS]; /* [channel][36]: what is transformed */

/* From a tile of a picture to 36 rows: winograd_input or winograd_slopes. */
static void check_from_tile(struct subject *s, const struct transform *t, bool input)
{
    for (int channels = 1; channels <= MOST_CHANNELS; channels++)
        for (int turn = 0; turn < 3; turn++) {
            int size = t->columns, stride = channels + between(0, 9);
            struct nn_tile tile = random_tile(size, channels, turn);
            bool with = input && channels % 2; /* whole numbers: one rounding or two are the same */
            float *x =
                place_filled(0, tile_extent(&tile, channels), channels % 3, with ? TIES : SIGNED);
            float *v = place(1, (size_t)(35 * stride + channels), channels % 2);
            const float *affine = with ? place_filled(2, 2 * (size_t)channels, 0, TIES) : NULL;
            if (input)
                s->kernels.winograd_input(v, stride, x, &tile, channels, affine);
            else
                s->kernels.winograd_slopes(v, stride, x, &tile, channels);
            for (int c = 0; c < channels; c++)
                for (int i = 0; i < size * size; i++) {
                    ptrdiff_t from = tile_place(&tile, size, i);
                    double d = from < 0 ? 0 : (double)x[from + c];
                    if (from >= 0 && affine)
                        d = d * (double)affine[c] + (double)affine[channels + c];
                    columns_of[36 * c + i] = d;
                }
            compare_rows(s, t, columns_of, v, stride, channels);
        }
}

static void check_input(struct subject *s)
{
    check_from_tile(s, &INPUT, true);
}

static void check_slopes(struct subject *s)
{
    const struct transform slopes = transposed(&OUTPUT);
    check_from_tile(s, &slopes, false);
}

/* From rows to rows: winograd_weights or winograd_weight_gradient. */
static void check_rows(struct subject *s, const struct transform *t, bool weights)
{
    for (int filters = 1; filters <= MOST_CHANNELS; filters++) {
        int from_stride = filters + between(0, 9), stride = filters + between(0, 9);
        int from = t->columns * t->columns, to = t->rows * t->rows;
        float *w =
            place_filled(0, (size_t)((from - 1) * from_stride + filters), filters % 3, SIGNED);
        float *u = place(1, (size_t)((to - 1) * stride + filters), filters % 2);
        if (weights)
            s->kernels.winograd_weights(u, stride, w, from_stride, filters);
        else
            s->kernels.winograd_weight_gradient(u, stride, w, from_stride, filters);
        for (int k = 0; k < filters; k++)
            for (int i = 0; i < from; i++) columns_of[36 * k + i] = (double)w[i * from_stride + k];
        compare_rows(s, t, columns_of, u, stride, filters);
    }
}

static void check_weights(struct subject *s)
{
    check_rows(s, &WEIGHTS, true);
}

static void check_weight_gradient(struct subject *s)
{
    const struct transform gradient = transposed(&WEIGHTS);
    check_rows(s, &gradient, false);
}

/* The epilogue of number k, and what it does to a bound. */
static void finish(double *want, double *bound, const struct nn_epilogue *e, ptrdiff_t at, int k)
{
    if (e->bias) *want += (double)e->bias[k];
    if (e->residual) *want += (double)e->residual[at];
    if (e->scale) {
        *want = *want * (double)e->scale[k] + (double)e->shift[k];
        *bound *= fabs((double)e->scale[k]);
    }
    if (e->relu && *want < 0) *want = 0;
    *bound += 8 * ROUNDING * (fabs(*want) + 2);
}

static void check_output(struct subject *s)
{
    for (int turn = 0; turn < 3 * MOST_CHANNELS; turn++) {
        int filters = 1 + turn / 3, stride = filters + between(0, 9), count = 0;
        struct nn_tile tile = random_tile(4, filters, turn);
        size_t extent = tile_extent(&tile, filters), k_count = (size_t)filters;
        float *m = place_filled(0, (size_t)(35 * stride + filters), filters % 3, SIGNED);
        float *y = place(1, extent, filters % 2);
        struct nn_epilogue epilogue = {.relu = turn & 4};
        if (turn & 1) epilogue.bias = place_filled(2, k_count, 0, SIGNED);
        if (turn & 2) epilogue.residual = place_filled(3, extent, 0, SIGNED);
        if (turn & 8) epilogue.scale = epilogue.shift = place_filled(4, k_count, 0, SIGNED);
        s->kernels.winograd_output(y, &tile, m, stride, filters, &epilogue);
        static double want[16 * MOST_CHANNELS], bound[16 * MOST_CHANNELS];
        static float got[16 * MOST_CHANNELS];
        for (int k = 0; k < filters; k++) {
            double d[36];
            for (int i = 0; i < 36; i++) d[i] = (double)m[i * stride + k];
            for (int i = 0; i < 16; i++) {
                ptrdiff_t at = tile_place(&tile, 4, i);
                if (at < 0) continue;
                transformed(&want[count], &bound[count], &OUTPUT, d, i);
                finish(&want[count], &bound[count], &epilogue, at + k, k);
                got[count++] = y[at + k];
                y[at + k] = 0;
            }
        }
        expect(s, got, want, bound, (size_t)count, "y");
        expect_true(s, margins_intact(1), "written outside of y");
        for (size_t i = 0; i < extent; i++)
            expect_true(s, y[i] == 0 || is_poison(y + i), "written between pixels");
    }
}

enum { MOST_ROWS = 40, MOST_DEPTH = 20 };
static double sums[3 * MOST_ROWS * MOST_CHANNELS * 2], sizes[3 * MOST_ROWS * MOST_CHANNELS * 2];

/* The pooled tile, beside max_window of the whole one, to the bit; NaNs, too. */
static void check_pooled(struct subject *s)
{
    for (int turn = 0; turn < 4 * MOST_CHANNELS; turn++) {
        int filters = 1 + turn / 4;
        size_t k_count = (size_t)filters, extent = 16 * k_count;
        struct nn_tile whole = {.row = 4 * filters, .pixel = filters, .bottom = 4, .right = 4};
        struct nn_tile tile = {.row = 2 * filters + between(0, 9),
                               .pixel = filters + between(0, 4)};
        tile.row = 2 * tile.pixel + between(0, 9);
        tile.bottom = between(0, 2), tile.right = between(0, 2);
        float *m = place_filled(0, (size_t)(36 * filters), 0, SIGNED);
        if (turn % 3 == 0) m[between(0, 36 * filters - 1)] = NAN;
        struct nn_epilogue e = {.relu = turn & 1, .bias = place_filled(3, k_count, 0, SIGNED)};
        if (turn & 2) e.scale_after = e.shift_after = place_filled(4, k_count, 0, SIGNED);
        float *y = place(1, extent, 0), *all = place(2, extent, 0);
        s->kernels.winograd_output(all, &whole, m, filters, filters, &e);
        e.pool = true;
        s->kernels.winograd_output(y, &tile, m, filters, filters, &e);
        for (int p = 0; p < 2 * tile.bottom; p += 2)
            for (int q = 0; q < 2 * tile.right; q += 2) {
                const float *first = all + (4 * p + q) * filters;
                const float *taps[] = {first, first + filters, first + 4 * filters,
                                       first + 5 * filters};
                float best[MOST_CHANNELS], values[MOST_CHANNELS],
                    *got = y + p / 2 * tile.row + q / 2 * tile.pixel;
                struct nn_window_row row = {.taps = 4, .channels = filters, .windows = 1};
                s->kernels.max_window(best, NULL, taps, &row);
                for (int k = 0; k < filters; k++) {
                    bool nan = isnan(best[k]); /* is one, here as there */
                    sums[k] = nan ? 1 : (double)best[k], sizes[k] = 1e-44;
                    values[k] = nan && isnan(got[k]) ? 1 : got[k];
                    got[k] = 0;
                }
                expect(s, values, sums, sizes, k_count, "y");
            }
        for (size_t i = 0; i < extent; i++)
            expect_true(s, y[i] == 0 || is_poison(y + i), "written between pixels");
        expect_true(s, margins_intact(1), "written outside of y");
    }
}

/* scale_after takes the result of winograd_output as conv_finish does, to the bit. */
static void check_after(struct subject *s)
{
    for (int filters = 1; filters <= MOST_CHANNELS; filters++) {
        struct nn_tile tile = {.row = 4 * filters, .pixel = filters};
        tile.bottom = tile.right = 4; /* all of it */
        size_t extent = (size_t)(16 * filters), k_count = (size_t)filters;
        float *m = place_filled(0, (size_t)(36 * filters), 0, SIGNED);
        float *at_once = place(1, extent, 0), *later = place(2, extent, 0);
        static const struct nn_epilogue nothing;
        struct nn_epilogue all = {.relu = true,
                                  .bias = place_filled(3, k_count, 0, SIGNED),
                                  .scale_after = place_filled(4, k_count, 0, SIGNED),
                                  .shift_after = place_filled(5, k_count, 0, SIGNED)};
        s->kernels.winograd_output(at_once, &tile, m, filters, filters, &all);
        s->kernels.winograd_output(later, &tile, m, filters, filters, &nothing);
        struct nn_conv_row row = {.pixels = 16, .filters = filters, .y_stride = filters};
        s->kernels.conv_finish(later, &row, &all);
        for (size_t i = 0; i < extent; i++) {
            sums[i] = (double)at_once[i];
            sizes[i] = 1e-44;
        }
        expect(s, later, sums, sizes, extent, "y");
    }
}

/* ---- products of matrices -------------------------------------------------------------------- */

static struct nn_products random_products(int turn)
{
    struct nn_products p = {.count = between(0, 3),
                            .rows = turn % 40,
                            .depth = between(0, 20),
                            .columns = 1 + turn % 71};
    p.x_row = p.depth + between(0, 5);
    p.w_row = p.columns + between(0, 5);
    p.y_row = p.columns + between(0, 5);
    p.x_next = p.rows * p.x_row + between(0, 5);
    p.w_next = p.depth * p.w_row + between(0, 5);
    p.y_next = p.rows * p.y_row + between(0, 5);
    return p;
}

static void check_products(struct subject *s)
{
    for (int turn = 0; turn < 400; turn++) {
        struct nn_products p = random_products(turn);
        float *x = place_filled(0, (size_t)(p.count * p.x_next), turn % 3, SIGNED);
        float *w = place_filled(1, (size_t)(p.count * p.w_next), turn % 2, SIGNED);
        float *y = place(2, (size_t)(p.count * p.y_next), turn % 2);
        s->kernels.products(y, x, w, &p);
        size_t count = 0;
        static float got[3 * MOST_ROWS * MOST_CHANNELS * 2];
        for (int i = 0; i < p.count; i++)
            for (int r = 0; r < p.rows; r++)
                for (int k = 0; k < p.columns; k++, count++) {
                    sums[count] = sizes[count] = 0;
                    for (int j = 0; j < p.depth; j++) {
                        double product = (double)x[i * p.x_next + r * p.x_row + j] *
                                         (double)w[i * p.w_next + j * p.w_row + k];
                        sums[count] += product;
                        sizes[count] += fabs(product) * (p.depth + 1) * ROUNDING;
                    }
                    sizes[count] += 1e-44;
                    got[count] = y[i * p.y_next + r * p.y_row + k];
                    y[i * p.y_next + r * p.y_row + k] = 0;
                }
        expect(s, got, sums, sizes, count, "y");
        expect_true(s, margins_intact(2), "written outside of y");
        for (ptrdiff_t i = 0; i < p.count * p.y_next; i++)
            expect_true(s, y[i] == 0 || is_poison(y + i), "written between rows of y");
    }
}

static void check_product_gradients(struct subject *s)
{
    for (int turn = 0; turn < 400; turn++) {
        struct nn_products p = random_products(turn);
        size_t w_count = (size_t)(p.count * p.w_next), count = 0;
        float *x = place_filled(0, (size_t)(p.count * p.x_next), turn % 3, SIGNED);
        float *dy = place_filled(1, (size_t)(p.count * p.y_next), turn % 2, SIGNED);
        float *before = place_filled(2, w_count, 0, SIGNED), *dw = place(3, w_count, turn % 2);
        memcpy(dw, before, w_count * sizeof *dw);
        s->kernels.product_gradients(dw, x, dy, &p);
        static float got[3 * MOST_ROWS * MOST_CHANNELS * 2];
        for (int i = 0; i < p.count; i++)
            for (int j = 0; j < p.depth; j++)
                for (int k = 0; k < p.columns; k++, count++) {
                    ptrdiff_t at = i * p.w_next + j * p.w_row + k;
                    sums[count] = (double)before[at];
                    sizes[count] = fabs((double)before[at]) * 2 * ROUNDING + 1e-44;
                    for (int r = 0; r < p.rows; r++) {
                        double product = (double)x[i * p.x_next + r * p.x_row + j] *
                                         (double)dy[i * p.y_next + r * p.y_row + k];
                        sums[count] += product;
                        sizes[count] += fabs(product) * (p.rows + 2) * ROUNDING;
                    }
                    got[count] = dw[at];
                    dw[at] = before[at];
                }
        expect(s, got, sums, sizes, count, "dw");
        expect_true(s, margins_intact(3), "written outside of dw");
        expect_true(s, !memcmp(dw, before, w_count * sizeof *dw), "written between rows of dw");
    }
}

/* ---- the epilogue ---------------------------------------------------------------------------- */

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
    static const struct check CHECKS[] = {
        {"winograd_weights", check_weights},
        {"winograd_input", check_input},
        {"winograd_output", check_output},
        {"winograd_output's end", check_after},
        {"winograd_output's pool", check_pooled},
        {"winograd_slopes", check_slopes},
        {"winograd_weight_gradient", check_weight_gradient},
        {"products", check_products},
        {"product_gradients", check_product_gradients},
        {"conv_finish", check_finish},
    };
    check_all(CHECKS, (int)(sizeof CHECKS / sizeof *CHECKS));
    return test_done();
}
