/*
 * test_landmarks.c — shape predictors: small ones beside arithmetic written down once more, real
 * ones beside dlib's own answers, and files that are cut off, damaged, or ask for too much.
 *
 *     test_landmarks --corpus tests/fuzz/corpus/shape     writes the fuzzer's seeds
 */
#include "tests/shape_files.h"
#include "vision/capture/capture.h"
#include "vision/face/landmarks.h"

#include <stdint.h>
#include <unistd.h>

static struct nn_context *context;
static FILE *scratch;

/* A stream of these bytes. */
static struct vi_stream *stream_of(const uint8_t *bytes, size_t size)
{
    struct vi_stream *stream;
    int file = dup(fileno(scratch));
    if (file < 0 || ftruncate(file, 0) || pwrite(file, bytes, size, 0) != (ssize_t)size ||
        lseek(file, 0, SEEK_SET) || vi_stream_from(&stream, context, file, "tiny.dat"))
        abort();
    return stream;
}

static struct vi_shape *open_bytes(const uint8_t *bytes, size_t size)
{
    struct vi_shape *shape;
    struct vi_stream *stream = stream_of(bytes, size);
    enum nn_status status = vi_shape_from(&shape, context, stream);
    if (!status != !!shape) abort();
    vi_stream_close(&stream);
    return shape;
}

static struct vi_shape *open_tiny(const struct tiny_shape *tiny)
{
    static struct shape_file file;
    shape_put(&file, tiny);
    return open_bytes(file.bytes, file.size);
}

static struct vi_image noise(int channels)
{
    struct vi_image image;
    struct nn_rng rng = nn_rng_make(3, (uint64_t)channels);
    if (vi_image_new(&image, context, 50, 40, channels)) abort();
    for (int i = 0; i < 50 * 40 * channels; i++) image.pixels[i] = (uint8_t)nn_rng_below(&rng, 256);
    return image;
}

/* ---- the arithmetic, once more ----------------------------------------------------------------
 */

/* Least squares for [a -b; b a] and a shift, by the normal equations. */
static void turn(double ab[2], const float *from, const double *to, int points)
{
    double sx = 0, sy = 0, su = 0, sv = 0, squares = 0, along = 0, across = 0;
    for (int i = 0; i < points; i++) {
        double x = (double)from[2 * i], y = (double)from[2 * i + 1], u = to[2 * i],
               v = to[2 * i + 1];
        sx += x, sy += y, su += u, sv += v;
        squares += x * x + y * y;
        along += x * u + y * v;
        across += x * v - y * u;
    }
    squares -= (sx * sx + sy * sy) / points;
    ab[0] = points > 1 ? (along - (sx * su + sy * sv) / points) / squares : 1;
    ab[1] = points > 1 ? (across - (sx * sv - sy * su) / points) / squares : 0;
}

static int look_up(const struct vi_image *image, double x, double y)
{
    int column = (int)floor(x + 0.5), row = (int)floor(y + 0.5), sum = 0;
    if (column < 0 || row < 0 || column >= image->width || row >= image->height) return 0;
    const uint8_t *pixel = image->pixels + row * image->stride + column * image->channels;
    for (int i = 0; i < 3; i++) sum += pixel[image->channels < 3 ? 0 : i];
    return sum / 3;
}

static void expect(double *now, const struct tiny_shape *tiny, const struct vi_image *image,
                   const int box[4])
{
    for (int i = 0; i < 2 * tiny->points; i++) now[i] = (double)tiny->mean[i];
    for (int i = 0; i < tiny->stages; i++) {
        const struct tiny_stage *stage = &tiny->stage[i];
        double ab[2];
        int pixel[TINY_PIXELS];
        turn(ab, tiny->mean, now, tiny->points);
        for (int j = 0; j < tiny->pixels; j++) {
            double x = (double)stage->offset[2 * j], y = (double)stage->offset[2 * j + 1];
            double u = ab[0] * x - ab[1] * y + now[2 * stage->anchor[j]];
            double v = ab[1] * x + ab[0] * y + now[2 * stage->anchor[j] + 1];
            pixel[j] =
                look_up(image, box[0] + u * (box[2] - box[0]), box[1] + v * (box[3] - box[1]));
        }
        for (int j = 0; j < tiny->trees; j++) {
            const struct tiny_tree *tree = &stage->tree[j];
            int node = 0;
            while (node < tiny->splits)
                node = 2 * node +
                       (pixel[tree->first[node]] - pixel[tree->second[node]] > tree->threshold[node]
                            ? 1
                            : 2);
            for (int k = 0; k < 2 * tiny->points; k++)
                now[k] += (double)tree->leaf[node - tiny->splits][k];
        }
    }
    for (int i = 0; i < 2 * tiny->points; i++)
        now[i] = box[i % 2] + now[i] * (box[i % 2 + 2] - box[i % 2]);
}

static void test_arithmetic(void)
{
    static const int shapes[][5] = {/* points, stages, trees, splits, pixels */
                                    {5, 2, 3, 3, 6},
                                    {68, 2, 3, 3, 6},
                                    {68, 1, 2, 1, 4},
                                    {1, 2, 2, 3, 3},
                                    {29, 2, 3, 0, 1}};
    static const int boxes[][4] = {{5, 6, 34, 35}, {-20, -10, 30, 39}, {20, 10, 90, 60}};
    static struct tiny_shape tiny;
    for (int i = 0; i < 15; i++) {
        const int *n = shapes[i / 3], *box = boxes[i % 3];
        struct vi_image image = noise(i % 2 ? 1 : 3);
        struct vi_point points[TINY_POINTS];
        double expected[2 * TINY_POINTS], worst = 0;
        shape_random(&tiny, n, (uint64_t)i);
        struct vi_shape *shape = open_tiny(&tiny);
        if (!CHECK(shape && vi_shape_points(shape) == n[0], "%d points are opened", n[0])) continue;
        vi_shape_find(shape, points, &image, box);
        expect(expected, &tiny, &image, box);
        for (int j = 0; j < n[0]; j++)
            worst = fmax(worst, fmax(fabs((double)points[j].x - expected[2 * j]),
                                     fabs((double)points[j].y - expected[2 * j + 1])));
        CHECK(worst < 1e-4, "%d points, %d trees of %d splits: off by %.1e", n[0], n[2], n[3],
              worst);
        vi_shape_close(&shape);
        vi_image_free(context, &image);
    }
}

/* A fraction decides between whole numbers, and what is equal is not more. */
static void test_thresholds(void)
{
    static const struct {
        double threshold;
        int difference;
        bool more;
    } cases[] = {{9.5, 10, true},      {9.5, 9, false},    {10, 10, false},    {-9.5, -9, true},
                 {-9.5, -10, false},   {254.5, 255, true}, {255, 255, false},  {-255, -255, false},
                 {-255.5, -255, true}, {1e30, 255, false}, {-1e30, -255, true}};
    static struct tiny_shape tiny;
    struct vi_image image;
    if (vi_image_new(&image, context, 11, 11, 1)) abort();
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vi_point points[68];
        shape_eyes(&tiny);
        tiny.stage[0].tree[0].threshold[0] = cases[i].threshold;
        struct vi_shape *shape = open_tiny(&tiny);
        if (!shape) abort();
        image.pixels[5 * 11 + 5] = (uint8_t)(cases[i].difference > 0 ? cases[i].difference : 0);
        image.pixels[0] = (uint8_t)(cases[i].difference < 0 ? -cases[i].difference : 0);
        vi_shape_find(shape, points, &image, (const int[]){0, 0, 10, 10});
        wrong += (fabsf(points[41].y - points[37].y) > 0.4f) != cases[i].more;
        vi_shape_close(&shape);
    }
    CHECK(wrong == 0, "thresholds decide as their floats do");
    vi_image_free(context, &image);
}

/* ---- real ones, beside dlib --------------------------------------------------------------------
 */

static bool next_face(char **line, char *name, bool *color, int box[4])
{
    char mode[8];
    int at;
    if (sscanf(*line, "%63[^.].jpg,%7[^,],%d,%d,%d,%d%n", name, mode, &box[0], &box[1], &box[2],
               &box[3], &at) != 6)
        return false;
    *color = strcmp(mode, "rgb") == 0;
    *line += at;
    return true;
}

static void test_golden(const char *what, const char *path, const char *golden, int most)
{
    char folder[300], line[4096], name[64], *at = line;
    struct vi_shape *shape;
    const char *shared = test_shared();
    if (!shared || (path && access(path, R_OK) != 0)) {
        test_skip(what, shared ? "no such file here (Debian: libdlib-data)" : "no shared data");
        return;
    }
    snprintf(folder, sizeof folder, "%s/data/landmarks/sp68_small.dat", shared);
    if (!CHECK(!vi_shape_open(&shape, context, path ? path : folder), "%s is opened", what)) return;
    snprintf(folder, sizeof folder, "%s/golden/landmarks", shared);
    snprintf(line, sizeof line, "%s/%s", folder, golden);
    FILE *file = fopen(line, "rb");
    if (!file || !fgets(line, sizeof line, file)) abort();
    int faces = 0, wrong = 0, box[4];
    bool color;
    for (; faces < most && fgets(line, sizeof line, file); at = line, faces++) {
        struct vi_image image;
        struct vi_point points[68];
        char picture[400];
        if (!next_face(&at, name, &color, box)) abort();
        snprintf(picture, sizeof picture, "%s/%s.pgm", folder, name);
        if (vi_read(&image, context, picture,
                    &(struct vi_decode_options){.color = color ? VI_RGB : VI_GRAY}))
            abort();
        vi_shape_find(shape, points, &image, box);
        for (int i = 0; i < 136; i++) {
            double value = (double)(i % 2 ? points[i / 2].y : points[i / 2].x);
            wrong += (long)floor(value + 0.5) != strtol(at + 1, &at, 10);
        }
        vi_image_free(context, &image);
    }
    fclose(file);
    CHECK(faces == (most < 50 ? most : 50) && wrong == 0,
          "%s: dlib's points of %d faces; %d coordinates differ; %.1f MB", what, faces, wrong,
          (double)nn_bytes_allocated(context) / 1e6);
    vi_shape_close(&shape);
}

/* ---- from a detector's box ---------------------------------------------------------------------
 */

static void test_box(void)
{
    static const struct vi_face face = {1, 100, 50, 200, 194};
    static const struct vi_face odd[] = {
        {1, NAN, 0, 1, 1}, {1, -INFINITY, 0, INFINITY, 9}, {0, 0, 0, 0, 0}};
    int box[4];
    vi_shape_box(box, &face); /* a side of 0.95 * 120 around 150, 50 + 0.57 * 144 */
    CHECK(box[0] == 93 && box[1] == 75 && box[2] == 206 && box[3] == 188,
          "dlib's square: %d %d %d %d", box[0], box[1], box[2], box[3]);
    for (int i = 0; i < 3; i++) vi_shape_box(box, &odd[i]);
    CHECK(box[2] == -1 && box[3] == -1, "what is no box is survived");
}

/* Share of the distance between the eyes' outer corners that points lie from dlib's, in the mean;
 * negative: dlib's face was not found. */
static double compare_face(const struct vi_shape *shape, const struct vi_image *image,
                           const struct vi_face *faces, int count, char *row)
{
    struct vi_point points[68];
    double dlib[136], sum = 0;
    int given[4], box[4];
    for (int i = 0; i < 4; i++) given[i] = (int)strtol(row + (i > 0), &row, 10);
    for (int i = 0; i < 136; i++) dlib[i] = strtod(row + 1, &row);
    for (int i = 0; i < count; i++) {
        vi_shape_box(box, &faces[i]);
        if (abs(box[0] + box[2] - given[0] - given[2]) > given[2] - given[0] ||
            abs(box[1] + box[3] - given[1] - given[3]) > given[3] - given[1])
            continue;
        vi_shape_find(shape, points, image, box);
        for (int j = 0; j < 68; j++)
            sum += hypot((double)points[j].x - dlib[2 * j], (double)points[j].y - dlib[2 * j + 1]);
        return sum / 68 / hypot(dlib[72] - dlib[90], dlib[73] - dlib[91]);
    }
    return -1;
}

/* The SSD's boxes must do as well as those of dlib's own detector. */
static void test_detected(const char *full)
{
    const char *shared = test_shared();
    char path[400], line[4096], name[64], mode[8];
    struct vi_detector *detector;
    struct vi_shape *shape;
    if (!shared || access(full, R_OK) != 0) {
        test_skip("landmarks in a detector's boxes", "no data");
        return;
    }
    snprintf(path, sizeof path, "%s/data/detector", shared);
    if (vi_detector_open(&detector, context, path) || vi_shape_open(&shape, context, full)) abort();
    snprintf(path, sizeof path, "%s/golden/landmarks/sp68_full_golden.csv", shared);
    FILE *file = fopen(path, "rb");
    int found = 0, near = 0, at, count;
    while (file && fgets(line, sizeof line, file)) {
        struct vi_image image;
        const struct vi_face *faces;
        if (sscanf(line, "%63[^.].jpg,%7[^,],%n", name, mode, &at) != 2 || strcmp(mode, "rgb") != 0)
            continue;
        snprintf(path, sizeof path, "%s/golden/landmarks/%s.pgm", shared, name);
        if (vi_read(&image, context, path, NULL) ||
            vi_detect(detector, &image, VI_RGB, 0.5f, &faces, &count))
            abort();
        double error = compare_face(shape, &image, faces, count, line + at);
        found += error >= 0;
        near += error >= 0 && error < 0.05;
        vi_image_free(context, &image);
    }
    if (file) fclose(file);
    CHECK(found >= 20 && near * 10 >= found * 9,
          "of %d faces that both detectors find, %d have dlib's points within 5 %% of the eyes' "
          "distance",
          found, near);
    vi_shape_close(&shape);
    vi_detector_close(&detector);
}

/* ---- damage ------------------------------------------------------------------------------------
 */

/* Whatever is opened must answer, with numbers. */
static bool harmless(const uint8_t *bytes, size_t size)
{
    static struct vi_point points[VI_SHAPE_POINTS];
    static const int boxes[][4] = {{1, 2, 30, 31}, {INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX}};
    struct vi_shape *shape = open_bytes(bytes, size);
    bool good = true;
    if (!shape) return *nn_error(context) && nn_bytes_allocated(context) < 10000000;
    struct vi_image image = noise(3);
    for (int i = 0; i < 2; i++) {
        vi_shape_find(shape, points, &image, boxes[i]);
        for (int j = 0; j < vi_shape_points(shape); j++)
            good = good && isfinite(points[j].x) && isfinite(points[j].y);
    }
    vi_image_free(context, &image);
    vi_shape_close(&shape);
    return good;
}

static void test_damage(void)
{
    static struct tiny_shape tiny;
    static struct shape_file file;
    size_t held = nn_bytes_allocated(context);
    shape_random(&tiny, (const int[]){2, 2, 2, 1, 3}, 1);
    shape_put(&file, &tiny);
    int opened = 0, bad = 0;
    for (size_t size = 0; size < file.size; size++) {
        struct vi_shape *shape = open_bytes(file.bytes, size);
        opened += shape != NULL;
        vi_shape_close(&shape);
    }
    CHECK(opened == 0, "cut off at every one of %zu bytes: an error", file.size);
    for (size_t i = 0; i < file.size; i++) {
        uint8_t right = file.bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            file.bytes[i] = (uint8_t)(right ^ 1u << bit);
            bad += !harmless(file.bytes, file.size);
        }
        file.bytes[i] = right;
    }
    CHECK(bad == 0, "every bit turned over: an error, or harmless");
    file.bytes[file.size++] = 0;
    struct vi_shape *shape = open_bytes(file.bytes, file.size);
    CHECK(!shape && strstr(nn_error(context), "it does not end"), "a byte too many: %s",
          nn_error(context));
    vi_shape_close(&shape);
    CHECK(nn_bytes_allocated(context) == held, "and nothing is lost");
}

/* What a file may not say, told by name. */
static void refuse(const struct tiny_shape *tiny, const char *says)
{
    struct vi_shape *shape = open_tiny(tiny);
    CHECK(!shape && strstr(nn_error(context), says), "refused: %s", nn_error(context));
    vi_shape_close(&shape);
}

static void test_refusals(void)
{
    static const struct tiny_shape good = {
        .points = 2, .stages = 1, .trees = 1, .splits = 1, .pixels = 3};
    static struct tiny_shape tiny;
    struct shape_file file = {.size = 0};
    struct vi_shape *shape;
    tiny = good, tiny.stage[0].tree[0].second[0] = 3;
    refuse(&tiny, "a wrong number of pixels");
    tiny = good, tiny.stage[0].tree[0].first[0] = -1;
    refuse(&tiny, "a wrong pixel");
    tiny = good, tiny.stage[0].anchor[2] = 2;
    refuse(&tiny, "a pixel of no point");
    tiny = good, tiny.splits = 2;
    refuse(&tiny, "a tree that is not full");
    tiny = good, tiny.mean[1] = 1001;
    refuse(&tiny, "a wrong coordinate");
    tiny = good, tiny.stages = 0;
    refuse(&tiny, "a wrong number of stages");
    tiny = good, tiny.points = 0;
    refuse(&tiny, "no pairs");
    shape_put_integer(&file, 2);
    shape = open_bytes(file.bytes, file.size);
    CHECK(!shape && strstr(nn_error(context), "an unknown version at byte 0"), "%s",
          nn_error(context));
    /* Counts are held against the bytes that are left. */
    file.size = 0;
    shape_put_integer(&file, 1);
    shape_put_column(&file, good.mean, 4);
    shape_put_integer(&file, 1);
    shape_put_integer(&file, 1000000000);
    shape_put_integer(&file, 15);
    shape = open_bytes(file.bytes, file.size);
    CHECK(!shape && strstr(nn_error(context), "more is promised"), "%s", nn_error(context));
    for (int i = 0; i < 3; i++) {
        file.size = 0;
        shape_put_integer(&file, 1);
        shape_put_integer(&file, -2);
        shape_put_integer(&file, -1);
        shape_put_integer(&file, i == 2 ? INT64_MAX : 1);
        shape_put_integer(&file, i == 2 ? 200 : 32000 + i);
        for (int j = 0; j < 4; j++) shape_put_float(&file, 0.25);
        shape = open_bytes(file.bytes, file.size);
        CHECK(!shape && strstr(nn_error(context), "a wrong coordinate"), "not finite: %s",
              nn_error(context));
    }
    CHECK(vi_shape_open(&shape, context, "/") == NN_ERROR_IO && !shape, "%s", nn_error(context));
    CHECK(vi_shape_open(&shape, context, "/no/such") == NN_ERROR_IO, "%s", nn_error(context));
    CHECK(vi_shape_open(&shape, context, "/dev/zero") == NN_ERROR_UNSUPPORTED, "%s",
          nn_error(context));
}

/* ---- memory ------------------------------------------------------------------------------------
 */

static void *allocate(void *user, size_t bytes)
{
    int *left = user;
    void *memory = NULL;
    if ((*left)-- == 0 || posix_memalign(&memory, 64, bytes)) return NULL;
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

static void test_memory(void)
{
    static struct tiny_shape tiny;
    int left = -1, fails = 0, wrong = 0;
    struct nn_allocator allocator = {allocate, release, &left};
    struct nn_context *usual = context;
    if (nn_open(&context, &(struct nn_options){.threads = 1, .allocator = &allocator})) abort();
    size_t held = nn_bytes_allocated(context);
    struct vi_shape *shape = NULL;
    shape_random(&tiny, (const int[]){5, 2, 2, 3, 3}, 9);
    static struct shape_file file;
    shape_put(&file, &tiny);
    struct vi_stream *stream = stream_of(file.bytes, file.size);
    for (; !shape && fails < 100; fails++) {
        left = fails;
        vi_stream_seek(stream, 0);
        enum nn_status status = vi_shape_from(&shape, context, stream);
        wrong += status != NN_OK && status != NN_ERROR_MEMORY;
    }
    left = -1;
    vi_stream_close(&stream);
    CHECK(shape && fails > 8 && !wrong, "each of %d allocations failed once", fails - 1);
    size_t before = nn_allocations(context);
    struct vi_image image;
    struct vi_point points[5];
    if (vi_image_new(&image, context, 9, 9, 3)) abort();
    before = nn_allocations(context);
    vi_shape_find(shape, points, &image, (const int[]){1, 1, 7, 7});
    CHECK(nn_allocations(context) == before, "none to find points");
    vi_image_free(context, &image);
    vi_shape_close(&shape);
    CHECK(nn_bytes_allocated(context) == held, "nothing is lost");
    nn_close(&context);
    context = usual;
}

static int write_corpus(const char *folder)
{
    static const int counts[][5] = {{1, 1, 1, 0, 1}, {2, 2, 2, 1, 3}, {5, 1, 2, 3, 4}};
    static struct tiny_shape tiny;
    static struct shape_file file;
    for (int i = 0; i < 3; i++) {
        char path[400];
        const int *n = counts[i];
        shape_random(&tiny, n, 1);
        shape_put(&file, &tiny);
        snprintf(path, sizeof path, "%s/points_%d.dat", folder, n[0]);
        if (nn_file_write(context, path, file.bytes, file.size)) return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    scratch = tmpfile();
    if (!scratch || nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) return write_corpus(argv[2]);
    test_arithmetic();
    test_thresholds();
    test_box();
    test_damage();
    test_refusals();
    test_memory();
    const char *full = getenv("LIVENESS_LANDMARKS");
    bool slow = test_emulated();
    test_golden("the small model", NULL, "sp68_small_golden.csv", slow ? 4 : 1000);
    if (!full || !*full) full = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat";
    if (slow)
        test_skip("the full model", "too long for an emulator");
    else
        test_golden("the full model", full, "sp68_full_golden.csv", 1000), test_detected(full);
    nn_close(&context);
    fclose(scratch);
    return test_done();
}
