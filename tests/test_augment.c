/* test_augment.c — affine maps and random views against Keras and scipy. */
#include "tests/test.h"
#include "vision/vision.h"

/* The formula of golden/make_augment.py. */
static void draw_picture(float *to, int width, int height, int channels)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                *to++ = (float)((31 * y + 17 * x + 7 * c + x * y) % 64) / 63.0f;
}

/* Largest difference to the next picture of the file; 9 when the file ends. */
static float compare(FILE *file, const float *made, size_t count)
{
    float worst = 0;
    for (size_t i = 0; i < count; i++) {
        int value;
        if (fscanf(file, "%d", &value) != 1) return 9;
        worst = fmaxf(worst, fabsf(made[i] - (float)value / 100000));
    }
    return worst;
}

static void test_golden(void)
{
    FILE *file = fopen("tests/golden/augment.txt", "r");
    int count = 0, height = 0, width = 0, channels = 0;
    if (!CHECK(file, "golden file")) return;
    if (fscanf(file, "#%*[^\n] %d %d %d %d", &count, &height, &width, &channels) != 4) count = 0;
    if (!CHECK(count > 0 && width * height * channels <= 2000, "its size"))
        count = height = width = 0;
    float from[2000], to[2000];
    draw_picture(from, width, height, channels);
    for (int i = 0; i < count; i++) {
        struct vi_augment_draw d;
        int flip;
        if (!CHECK(fscanf(file, "%f%f%f%f%f%f%d", &d.theta, &d.tx, &d.ty, &d.shear, &d.zoom_x,
                          &d.zoom_y, &flip) == 7,
                   "draw"))
            break;
        d.flip = flip;
        vi_augment_apply(to, from, width, height, channels, &d);
        float worst = compare(file, to, (size_t)(width * height * channels));
        CHECK(worst < 1e-4f,
              "rotation %g shift %g %g shear %g zoom %g %g flip %d: Keras differs by %.2g",
              (double)d.theta, (double)d.tx, (double)d.ty, (double)d.shear, (double)d.zoom_x,
              (double)d.zoom_y, flip, (double)worst);
    }
    fclose(file);
}

/* Other numbers of channels are the same map. */
static void test_channels(void)
{
    enum { SIDE = 16 };
    float from[SIDE * SIDE * 4], to[SIDE * SIDE * 4], plane[SIDE * SIDE], one[SIDE * SIDE];
    struct vi_augment_draw draw = {.theta = 25, .tx = 3, .ty = -2, .zoom_x = 1.2f, .zoom_y = 0.9f};
    for (int channels = 1; channels <= 4; channels++) {
        float worst = 0;
        draw_picture(from, SIDE, SIDE, channels);
        vi_augment_apply(to, from, SIDE, SIDE, channels, &draw);
        for (int c = 0; c < channels; c++) {
            for (int i = 0; i < SIDE * SIDE; i++) plane[i] = from[i * channels + c];
            vi_augment_apply(one, plane, SIDE, SIDE, 1, &draw);
            for (int i = 0; i < SIDE * SIDE; i++)
                worst = fmaxf(worst, fabsf(one[i] - to[i * channels + c]));
        }
        CHECK(worst == 0, "%d channels equal their planes", channels);
    }
}

static void test_pick(void)
{
    struct vi_augment augment = vi_augment_default();
    struct nn_rng rng = nn_rng_make(1, 2), again = nn_rng_make(1, 2);
    int flips = 0;
    bool inside = true;
    double sum = 0, largest = 0;
    for (int i = 0; i < 2000; i++) {
        struct vi_augment_draw d = vi_augment_pick(&augment, &rng, 40, 20);
        inside = inside && fabsf(d.theta) <= 20 && fabsf(d.tx) <= 4 && fabsf(d.ty) <= 8 &&
                 fabsf(d.shear) <= 0.15f && fabsf(d.zoom_x - 1) <= 0.1501f &&
                 fabsf(d.zoom_y - 1) <= 0.1501f;
        flips += d.flip;
        sum += (double)d.theta;
        largest = fmax(largest, fabs((double)d.ty));
    }
    CHECK(inside, "draws stay in their ranges");
    CHECK(flips > 850 && flips < 1150 && fabs(sum / 2000) < 1.5 && largest > 7.5,
          "and fill them: %d flips of 2000, mean angle %.2f, largest shift %.2f", flips, sum / 2000,
          largest);
    struct vi_augment_draw first = vi_augment_pick(&augment, &again, 40, 20);
    augment.flip = false;
    augment.zoom = 0;
    again = nn_rng_make(1, 2);
    struct vi_augment_draw second = vi_augment_pick(&augment, &again, 40, 20);
    CHECK(first.theta == second.theta && first.ty == second.ty && !second.flip &&
              second.zoom_x == 1,
          "switching one kind off leaves the others");
}

static void test_multiply(void)
{
    struct vi_affine a = {{1, 2, 3, 4, 5, 6}}, b = {{-1, 0.5, 2, 7, 3, -4}};
    struct vi_affine ab = vi_affine_multiply(a, b);
    double x = 3, y = -2, bx = -x + 0.5 * y + 2, by = 7 * x + 3 * y - 4;
    CHECK(ab.m[0] * x + ab.m[1] * y + ab.m[2] == bx + 2 * by + 3 &&
              ab.m[3] * x + ab.m[4] * y + ab.m[5] == 4 * bx + 5 * by + 6,
          "the product applies the second map first");
}

/* 8-bit pictures: identity, half a pixel, and views of another size. */
static void test_bytes(void)
{
    uint8_t from_pixels[4 * 3] = {0, 10, 20, 31, 40, 51, 60, 70, 80, 91, 100, 110};
    uint8_t pixels[16] = {0};
    struct vi_image from = {from_pixels, 4, 3, 1, 4}, to = {pixels, 4, 3, 1, 5};
    vi_warp(&to, &from, (struct vi_affine){{1, 0, 0, 0, 1, 0}});
    CHECK(memcmp(pixels, from_pixels, 4) == 0 && memcmp(pixels + 10, from_pixels + 8, 4) == 0 &&
              pixels[4] == 0,
          "identity");
    vi_warp(&to, &from, (struct vi_affine){{1, 0, 0.5, 0, 1, 0}});
    CHECK(pixels[0] == 5 && pixels[2] == 26 && pixels[3] == 31, "half a pixel to the right");
    vi_warp(&to, &from, (struct vi_affine){{1, 0, -9, 0, 1, 9}});
    CHECK(pixels[0] == 80 && pixels[13] == 80, "outside is the nearest edge");
    struct vi_image one = {from_pixels + 5, 1, 1, 1, 1};
    vi_warp(&to, &one, (struct vi_affine){{0.3, 0, 0, 0, 0.3, 0}});
    CHECK(pixels[0] == 51 && pixels[13] == 51, "a single pixel fills everything");
}

/* Three channels are read and written four at a time, but nothing beyond the last pixel: a
 * picture's neighbours in the batch belong to other threads. */
static void test_last_pixel(void)
{
    struct vi_augment augment = vi_augment_default();
    struct nn_rng rng = nn_rng_make(4, 4);
    int written = 0, wrong = 0;
    for (int i = 0; i < 400; i++) {
        int width = 1 + i % 9, height = 1 + i / 9 % 7, count = width * height;
        /* As large as the picture, so that ASan sees a read behind it. */
        float *from = malloc((size_t)count * 3 * sizeof *from), to[9 * 7 * 3 + 1];
        float plane[9 * 7], one[9 * 7];
        if (!from) break;
        draw_picture(from, width, height, 3);
        struct vi_augment_draw draw = vi_augment_pick(&augment, &rng, width, height);
        if (i % 3 == 0) draw = (struct vi_augment_draw){.zoom_x = 1, .zoom_y = 1};
        to[count * 3] = -7;
        vi_augment_apply(to, from, width, height, 3, &draw);
        written += to[count * 3] != -7;
        for (int c = 0; c < 3; c++) {
            for (int k = 0; k < count; k++) plane[k] = from[3 * k + c];
            vi_augment_apply(one, plane, width, height, 1, &draw);
            for (int k = 0; k < count; k++) wrong += one[k] != to[3 * k + c];
        }
        free(from);
    }
    CHECK(written == 0 && wrong == 0,
          "small pictures of three channels: %d wrote beyond their end, %d values wrong", written,
          wrong);
}

/* Maps no one should ask for must still read inside of the picture (ASan looks). */
static void test_absurd(void)
{
    static const double odd[] = {0, 1e300, -1e300, INFINITY, -INFINITY, NAN, 1e9, -2147483648.0};
    float from[8 * 8 * 3], to[8 * 8 * 3];
    bool finite = true;
    draw_picture(from, 8, 8, 3);
    for (int i = 0; i < 8 * 8 * 8; i++) {
        struct vi_affine map = {
            {odd[i % 8], odd[i / 8 % 8], odd[i / 64], 0.3, odd[i % 8], odd[(i + 3) % 8]}};
        vi_warp_float(to, from, 8, 8, 3, map);
        for (int j = 0; j < 8 * 8 * 3; j++) finite = finite && to[j] >= 0 && to[j] <= 1.0001f;
    }
    CHECK(finite, "absurd maps give pixels of the picture");
}

int main(void)
{
    test_golden();
    test_channels();
    test_pick();
    test_multiply();
    test_bytes();
    test_last_pixel();
    test_absurd();
    return test_done();
}
