/* test_texture.c — the spectrum against its definition in double; exposure, colour and sharpness of
 * pictures of which they are known; grids on drawn faces are found at any angle, also in a JPEG;
 * faces, noise, JPEG's blocks, stripes at the edge and light are not taken for grids. */
#include "datasets/synth.h"
#include "tests/test.h"
#include "vision/face/spectrum.h"
#include "vision/vision.h"

enum { SIDE = 144 };
/* What verdict.c takes for a pattern, and what live faces' pictures stay below. */
static const double pattern = 2.8, plain = 2.7;
static const double pi = 3.14159265358979323846;

static struct nn_context *context;
static void *workspace;

/* ---- the spectrum ---------------------------------------------------------------------------- */

enum { MOST = VI_SPECTRUM_MOST };

/* One direction of the transform by its definition: from[i][k] over i, to to[k][i] turned. */
static void transform(double (*to)[MOST][2], double (*from)[MOST][2], int size)
{
    double cosine[MOST], sine[MOST];
    for (int i = 0; i < size; i++) {
        cosine[i] = cos(2 * pi * i / size);
        sine[i] = -sin(2 * pi * i / size);
    }
    for (int k = 0; k < size; k++)
        for (int f = 0; f < size; f++) {
            double re = 0, im = 0;
            for (int i = 0; i < size; i++) {
                const double *value = from[i][k];
                int turn = i * f % size;
                re += value[0] * cosine[turn] - value[1] * sine[turn];
                im += value[0] * sine[turn] + value[1] * cosine[turn];
            }
            to[k][f][0] = re;
            to[k][f][1] = im;
        }
}

static double a[MOST][MOST][2], b[MOST][MOST][2];
static struct vi_spectrum spectrum;

/* The largest error, as a share of the largest power. */
static double error_of(int size, uint64_t seed)
{
    struct nn_rng rng = nn_rng_make(seed, 0);
    vi_spectrum_start(&spectrum, size);
    for (int y = size - 1; y >= 0; y--) {
        float row[MOST];
        for (int x = 0; x < size; x++) {
            row[x] = seed ? nn_rng_normal(&rng) : (x == 5 && y == 9);
            a[y][x][0] = (double)row[x];
            a[y][x][1] = 0;
        }
        vi_spectrum_row(&spectrum, y, row);
    }
    vi_spectrum_run(&spectrum);
    transform(b, a, size);
    transform(a, b, size);
    double worst = 0, most = 0;
    for (int v = 0; v < size; v++)
        for (int u = 0; u < size; u++) {
            double power = a[v][u][0] * a[v][u][0] + a[v][u][1] * a[v][u][1];
            double error = fabs(power - (double)spectrum.power[v * size + u]);
            if (!(error <= worst)) worst = error;
            if (power > most) most = power;
        }
    return worst / most;
}

static void test_spectrum(void)
{
    for (int size = 64; size <= 128; size *= 2) {
        double noise = error_of(size, 3), impulse = error_of(size, 0);
        CHECK(noise < 3e-6 && impulse < 3e-6,
              "%d x %d: as the definition in double (noise off by %.1e, an impulse by %.1e)", size,
              size, noise, impulse);
    }
}

/* ---- pictures -------------------------------------------------------------------------------- */

static uint8_t clip(double value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

static struct vi_image new_image(int width, int height)
{
    struct vi_image image;
    if (vi_image_new(&image, context, width, height, 3)) exit(1);
    return image;
}

/* Adds a grid of lines, `period` pixels apart, `height` grey levels up and down. */
static void add_wave(const struct vi_image *image, double period, double angle, double height)
{
    double fx = cos(angle) / period, fy = sin(angle) / period;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width * 3; x++) {
            uint8_t *sample = image->pixels + y * image->stride + x;
            *sample = clip(*sample + height * sin(2 * pi * (fx * (x / 3) + fy * y)));
        }
}

static void add_noise(const struct vi_image *image, double by, uint64_t seed)
{
    struct nn_rng rng = nn_rng_make(seed, 1);
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width * 3; x++) {
            uint8_t *sample = image->pixels + y * image->stride + x;
            *sample = clip(*sample + by * (double)nn_rng_normal(&rng));
        }
}

static void fill(const struct vi_image *image, int r, int g, int b_)
{
    vi_fill(image, (struct vi_rgb){(uint8_t)r, (uint8_t)g, (uint8_t)b_});
}

/* Through a file of this quality and back. */
static void compress(const struct vi_image *image, int quality)
{
    void *bytes = NULL;
    size_t size = 0;
    struct vi_image read;
    if (vi_encode(&bytes, &size, image, context, "jpeg", quality) ||
        vi_decode(&read, context, bytes, size, &(struct vi_decode_options){.color = VI_RGB},
                  "picture"))
        exit(1);
    vi_image_copy(image, &read);
    vi_image_free(context, &read);
    nn_free(context, bytes);
}

static struct vi_texture measure(const struct vi_image *image)
{
    struct vi_texture texture;
    vi_texture_measure(&texture, image, workspace);
    return texture;
}

/* ---- drawn faces ----------------------------------------------------------------------------- */

enum { HEADS = 4 };
static struct vi_image head[HEADS], work; /* work: a copy of one to draw on */

static void draw_heads(void)
{
    struct ds_studio studio;
    if (ds_studio_new(&studio, context, SIDE)) exit(1);
    for (int i = 0; i < HEADS; i++) {
        struct ds_face face;
        if (ds_picture(&studio, &face, DS_REAL, 11, (uint64_t)i)) exit(1);
        head[i] = new_image(SIDE, SIDE);
        struct vi_image drawn = {studio.bytes, SIDE, SIDE, 3, 3 * SIDE};
        vi_image_copy(&head[i], &drawn);
    }
    ds_studio_free(&studio);
    work = new_image(SIDE, SIDE);
}

/* Moire of head i with a grid on it; quality 0: no JPEG. */
static double moire_with(int i, double period, double angle, double height, int quality)
{
    vi_image_copy(&work, &head[i]);
    add_wave(&work, period, angle, height);
    if (quality) compress(&work, quality);
    return measure(&work).moire;
}

static const double angles[] = {0.3, 0.8, 1.2, 1.9, 2.6};
/* Pixels; and how much lighter and darker their grid is, grey levels. Skin and hair have such
 * coarse shapes themselves, fine ones they have not. */
static const struct {
    double period, height;
} grids[] = {{2.3, 4}, {3.3, 4}, {5, 6}, {7, 8}, {11, 20}};

static void test_grids(void)
{
    static const int qualities[] = {0, 95, 80};
    for (int q = 0; q < 3; q++)
        for (int g = 0; g < 5; g++) {
            double least = 99;
            for (int i = 0; i < HEADS; i++)
                for (int k = 0; k < 5; k++)
                    least = fmin(least, moire_with(i, grids[g].period, angles[k], grids[g].height,
                                                   qualities[q]));
            CHECK(least > pattern, "a grid of %g pixels at any angle, JPEG %d: %.2f",
                  grids[g].period, qualities[q], least);
        }
    for (int k = 0; k < 2; k++) {
        double least = 99;
        for (int i = 0; i < HEADS; i++) least = fmin(least, moire_with(i, 3.3, k * pi / 2, 8, 90));
        CHECK(least > pattern, "a screen held upright, %s: %.2f", k ? "rows" : "columns", least);
    }
    /* Half the size: the spectrum of 64 pixels. */
    double least = 99;
    struct vi_image small = new_image(SIDE / 2, SIDE / 2);
    for (int i = 0; i < HEADS; i++)
        for (int k = 0; k < 5; k++) {
            if (vi_resize(&small, &head[i], context)) exit(1);
            add_wave(&small, 3.3, angles[k], 8);
            compress(&small, 90);
            least = fmin(least, measure(&small).moire);
        }
    CHECK(least > pattern, "a small face: %.2f", least);
    vi_image_free(context, &small);
}

/* The same faces as prints and on screens, photographed: the sample generator's optics, not this
 * test's. */
static void test_recaptures(void)
{
    enum { COUNT = 8 };
    static const char *const names[] = {"live", "prints", "on screens"};
    struct ds_studio studio;
    if (ds_studio_new(&studio, context, SIDE)) exit(1);
    for (enum ds_attack_kind kind = DS_REAL; kind <= DS_SCREEN; kind++) {
        int found = 0;
        for (int i = 0; i < COUNT; i++) {
            struct ds_face face;
            if (ds_picture(&studio, &face, kind, 23, (uint64_t)i)) exit(1);
            struct vi_image drawn = {studio.bytes, SIDE, SIDE, 3, 3 * SIDE};
            found += measure(&drawn).moire > pattern;
        }
        CHECK(kind == DS_REAL ? found == 0 : found >= COUNT / 2, "drawn faces, %s: %d of %d found",
              names[kind], found, COUNT);
    }
    ds_studio_free(&studio);
}

/* ---- what is no grid ------------------------------------------------------------------------- */

static double most_of_heads(double noise, int quality)
{
    double most = 0;
    for (int i = 0; i < HEADS; i++) {
        vi_image_copy(&work, &head[i]);
        if (noise > 0) add_noise(&work, noise, (uint64_t)i);
        if (quality) compress(&work, quality);
        most = fmax(most, measure(&work).moire);
    }
    return most;
}

static void test_no_grids(void)
{
    static const int qualities[] = {98, 90, 75, 50, 30, 15, 5};
    double most = 0;
    for (int q = 0; q < 7; q++) {
        double value = fmax(most_of_heads(0, qualities[q]), most_of_heads(4, qualities[q]));
        CHECK(value < plain, "faces in JPEGs of quality %d: %.2f", qualities[q], value);
    }
    for (double noise = 0; noise < 40; noise = 2 * noise + 2)
        most = fmax(most, most_of_heads(noise, 0));
    CHECK(most < plain, "faces under noise: %.2f", most);
    most = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        fill(&work, 120, 110, 100);
        add_noise(&work, 1 + (double)(seed % 8), seed);
        most = fmax(most, measure(&work).moire);
    }
    CHECK(most < plain, "noise alone: %.2f", most);
    most = 0;
    for (int i = 0; i < HEADS; i++) {
        vi_image_copy(&work, &head[i]);
        struct vi_image shirt = vi_image_crop(&work, 0, SIDE * 9 / 10, SIDE, SIDE);
        add_wave(&shirt, 6, 0.4 * i, 60);
        most = fmax(most, measure(&work).moire);
    }
    CHECK(most < plain, "a striped shirt below the face: %.2f", most);
    struct nn_rng rng = nn_rng_make(4, 0);
    for (int y = 0; y < SIDE; y += 8)
        for (int x = 0; x < SIDE; x += 8) {
            struct vi_image block = vi_image_crop(&work, x, y, 8, 8);
            int light = 90 + (int)nn_rng_below(&rng, 60);
            fill(&block, light, light, light);
        }
    CHECK(measure(&work).moire < plain, "blocks of 8 x 8 pixels: %.2f", measure(&work).moire);
}

/* Small pictures enlarged: by whole numbers without interpolation (some cameras' drivers do), and
 * as players do. */
static void test_enlarged(void)
{
    for (int k = 2; k <= 3; k++) {
        double most = 0, smooth = 0;
        struct vi_image small = new_image(SIDE / k, SIDE / k);
        for (int i = 0; i < HEADS; i++) {
            if (vi_resize(&small, &head[i], context)) exit(1);
            for (int y = 0; y < SIDE; y++)
                for (int x = 0; x < SIDE; x++)
                    memcpy(work.pixels + y * work.stride + x * 3,
                           small.pixels + y / k * small.stride + x / k * 3, 3);
            most = fmax(most, measure(&work).moire);
            if (vi_resize(&work, &small, context)) exit(1);
            smooth = fmax(smooth, measure(&work).moire);
        }
        CHECK(most < plain, "faces enlarged %d times, in blocks: %.2f", k, most);
        CHECK(smooth < plain, "and smoothly: %.2f", smooth);
        vi_image_free(context, &small);
    }
}

/* ---- exposure, colour, sharpness ------------------------------------------------------------- */

static bool near(double value, double wanted, double by)
{
    if (fabs(value - wanted) <= by) return true;
    printf("# got %g, expected %g\n", value, wanted);
    return false;
}

static void test_exposure(void)
{
    struct vi_texture texture;
    fill(&work, 128, 128, 128);
    texture = measure(&work);
    CHECK(texture.size == SIDE && near(texture.brightness, 128 / 255.0, 1e-9) &&
              texture.contrast < 1e-9 && texture.clipped == 0 && texture.saturation == 0 &&
              texture.sharpness < 1e-9 && texture.high == 0 && texture.moire < 1e-3,
          "grey has nothing");
    fill(&work, 255, 0, 0);
    texture = measure(&work);
    CHECK(near(texture.brightness, 0.299, 0.002) && texture.saturation == 1, "red is all colour");
    fill(&work, 0, 0, 0);
    struct vi_image half = vi_image_crop(&work, 0, 0, SIDE / 2, SIDE);
    fill(&half, 255, 255, 255);
    texture = measure(&work);
    CHECK(near(texture.brightness, 0.5, 1e-9) && near(texture.contrast, 0.5, 1e-9) &&
              texture.clipped == 1,
          "half white, half black");
    fill(&half, 100, 50, 50);
    texture = measure(&work);
    CHECK(near(texture.saturation, 0.25, 1e-9) && texture.clipped == 0.5, "half black, half red");
}

static void test_sharpness(void)
{
    struct vi_image twice = new_image(2 * SIDE, 2 * SIDE), tiny = new_image(24, 24);
    struct vi_image part = vi_image_crop(&twice, 30, 50, SIDE, SIDE);
    bool same = true, less = true, equal = true;
    for (int i = 0; i < HEADS; i++) {
        if (vi_resize(&twice, &head[i], context) || vi_resize(&tiny, &head[i], context)) exit(1);
        double sharp = measure(&head[i]).sharpness;
        same = same && near(measure(&twice).sharpness / sharp, 1, 0.2);
        if (vi_resize(&work, &tiny, context)) exit(1);
        less = less && measure(&work).sharpness < 0.5 * sharp;
        vi_image_copy(&work, &part);
        struct vi_texture one = measure(&part), other = measure(&work);
        equal = equal && !memcmp(&one, &other, sizeof one);
    }
    CHECK(same, "sharpness does not depend on the size of the face");
    CHECK(less, "blurred faces are less sharp");
    CHECK(equal, "a part of a picture is measured as a copy of it");
    vi_image_free(context, &twice);
    vi_image_free(context, &tiny);
}

/* Any size, from nothing on; all figures in their ranges. */
static void test_sizes(void)
{
    static const int sides[] = {0, 1, 2, 3, 47, 48, 49, 63, 64, 65, 100, 127, 128, 129, 144, 300};
    enum { SIDES = sizeof sides / sizeof *sides };
    struct vi_image large = new_image(300, 300);
    add_noise(&large, 90, 1);
    bool sound = true;
    for (int i = 0; i < SIDES; i++)
        for (int k = 0; k < SIDES; k++) {
            struct vi_image part = vi_image_crop(&large, 0, 0, sides[i], sides[k]);
            struct vi_texture texture = measure(&part);
            int size = sides[i] < sides[k] ? sides[i] : sides[k];
            sound = sound && texture.size == size && texture.brightness >= 0 &&
                    texture.brightness <= 1 && texture.contrast <= 0.5 && texture.clipped <= 1 &&
                    texture.saturation <= 1 && texture.sharpness >= 0 && texture.high <= 1 &&
                    (texture.moire > 0) == (size >= 64) && texture.moire < plain;
        }
    CHECK(sound, "faces of any size");
    vi_image_free(context, &large);
}

/* ---- real faces ------------------------------------------------------------------------------ */

static void test_real_faces(void)
{
    static const char *const sets[] = {"pyimagesearch-original", "hzhero1-nuaa-crop", "neonipun"};
    const char *shared = test_shared();
    if (!shared) {
        test_skip("live people's faces have no grid", "no shared data");
        return;
    }
    int read = 0, found = 0;
    for (int i = 0; i < 3; i++)
        for (int n = 0; n < 160; n += 8) {
            char path[300];
            struct vi_image image;
            snprintf(path, sizeof path, "%s/data/liveness/%s/real/%04d.jpg", shared, sets[i], n);
            if (vi_read(&image, context, path, &(struct vi_decode_options){.color = VI_RGB}))
                continue;
            read++;
            found += measure(&image).moire > pattern;
            vi_image_free(context, &image);
        }
    CHECK(read > 40 && found == 0, "live people's faces have no grid (%d of %d)", found, read);
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    workspace = nn_alloc(context, 1, vi_texture_workspace());
    if (!workspace) return 1;
    draw_heads();
    size_t before = nn_allocations(context);
    measure(&head[0]);
    CHECK(nn_allocations(context) == before, "measuring allocates nothing");
    test_spectrum();
    test_grids();
    test_recaptures();
    test_no_grids();
    test_enlarged();
    test_exposure();
    test_sharpness();
    test_sizes();
    test_real_faces();
    for (int i = 0; i < HEADS; i++) vi_image_free(context, &head[i]);
    vi_image_free(context, &work);
    nn_free(context, workspace);
    nn_close(&context);
    return test_done();
}
