/* test_detector_real.c — OpenCV's face detector beside OpenCV: golden inputs, photos end to end. */
#include "tests/tiny_detector.h"

struct expected {
    int count;
    struct vi_face faces[200]; /* shares of the picture */
};

static float cut(float value)
{
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

static void expect(struct expected *expected, const float row[5])
{
    struct vi_face face = {row[0], cut(row[1]), cut(row[2]), cut(row[3]), cut(row[4])};
    if (face.x1 < face.x2 && face.y1 < face.y2 && expected->count < 200)
        expected->faces[expected->count++] = face;
}

static bool read_ppm(struct vi_image *image, const char *path)
{
    FILE *file = fopen(path, "rb");
    int width, height;
    bool good = file && fscanf(file, "P6 %d %d 255", &width, &height) == 2 && fgetc(file) != EOF &&
                !vi_image_new(image, context, width, height, 3) &&
                fread(image->pixels, (size_t)width * 3, (size_t)height, file) == (size_t)height;
    if (file) fclose(file);
    return good;
}

static void compare_golden(struct vi_detector *detector, const char *shared, const char *name,
                           const struct expected *expected)
{
    char path[512];
    struct vi_image image = {0};
    const struct vi_face *faces;
    int count = 0;
    snprintf(path, sizeof path, "%s/golden/ssd/%s", shared, name);
    if (!CHECK(read_ppm(&image, path) && !vi_detect(detector, &image, VI_RGB, 0.1f, &faces, &count),
               "%s is looked at", name))
        return;
    float confidence = 0, box = 0;
    for (int i = 0; i < count && i < expected->count; i++) {
        const struct vi_face *a = &faces[i], *b = &expected->faces[i];
        float w = (float)image.width, h = (float)image.height;
        confidence = fmaxf(confidence, fabsf(a->confidence - b->confidence));
        box = fmaxf(box, fmaxf(fabsf(a->x1 / w - b->x1), fabsf(a->y1 / h - b->y1)));
        box = fmaxf(box, fmaxf(fabsf(a->x2 / w - b->x2), fabsf(a->y2 / h - b->y2)));
    }
    CHECK(count == expected->count && confidence < 1e-4f && box < 1e-4f,
          "%s: %d faces, OpenCV %d; confidences differ by %.1e, boxes by %.1e", name, count,
          expected->count, (double)confidence, (double)box);
    vi_image_free(context, &image);
}

/* At most so many of the pictures. */
static void test_golden(struct vi_detector *detector, const char *shared, int most)
{
    char path[512], line[256], name[128] = "", now[128];
    static struct expected expected;
    float row[5];
    expected.count = 0;
    snprintf(path, sizeof path, "%s/golden/ssd/res10_hybrid_detections.csv", shared);
    FILE *file = fopen(path, "rb");
    if (!CHECK(file && fgets(line, sizeof line, file), "OpenCV's detections")) return;
    while (most > 0 && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%127[^,],%*d,%f,%f,%f,%f,%f", now, &row[0], &row[1], &row[2], &row[3],
                   &row[4]) != 6)
            continue;
        if (*name && strcmp(name, now) != 0) {
            compare_golden(detector, shared, name, &expected);
            expected.count = 0;
            most--;
        }
        strcpy(name, now);
        if (row[0] >= 0.1f) expect(&expected, row);
    }
    if (most > 0) compare_golden(detector, shared, name, &expected);
    fclose(file);
}

static float overlap(const struct vi_face *a, const struct vi_face *b)
{
    float w = fminf(a->x2, b->x2) - fmaxf(a->x1, b->x1);
    float h = fminf(a->y2, b->y2) - fmaxf(a->y1, b->y1);
    float both = w > 0 && h > 0 ? w * h : 0;
    return both / ((a->x2 - a->x1) * (a->y2 - a->y1) + (b->x2 - b->x1) * (b->y2 - b->y1) - both);
}

/* Every expected face of at least 0.5 is found, and nothing else; near the threshold the decoders
 * may decide. */
static void compare_photo(struct vi_detector *detector, const char *shared, const char *name,
                          const struct expected *expected)
{
    char path[512];
    struct vi_image image;
    const struct vi_face *faces;
    int count = 0, found = 0, wanted = 0;
    float confidence = 0, least = 1;
    snprintf(path, sizeof path, "%s/data/scenes/%s", shared, name);
    if (!CHECK(!vi_read(&image, context, path, NULL) &&
                   !vi_detect(detector, &image, VI_RGB, 0.49f, &faces, &count),
               "%s is looked at", name))
        return;
    for (int i = 0; i < expected->count; i++) {
        struct vi_face face = expected->faces[i];
        if (face.confidence < 0.51f) continue;
        face.x1 *= (float)image.width;
        face.x2 *= (float)image.width;
        face.y1 *= (float)image.height;
        face.y2 *= (float)image.height;
        int best = -1;
        for (int k = 0; k < count; k++)
            if (best < 0 || overlap(&faces[k], &face) > overlap(&faces[best], &face)) best = k;
        wanted++;
        if (best < 0) continue;
        least = fminf(least, overlap(&faces[best], &face));
        confidence = fmaxf(confidence, fabsf(faces[best].confidence - face.confidence));
    }
    for (int k = 0; k < count; k++) found += faces[k].confidence >= 0.51f;
    CHECK(abs(found - wanted) <= (least == 1 ? 0 : 1) && count >= wanted && confidence < 0.01f &&
              least > 0.98f,
          "%s: %d faces, OpenCV %d; confidences within %.4f, IoU from %.3f", name, found, wanted,
          (double)confidence, (double)least);
    vi_image_free(context, &image);
}

static void test_photos(struct vi_detector *detector, const char *shared)
{
    char line[256], name[128] = "";
    static struct expected expected;
    float row[5];
    FILE *file = fopen("tests/golden/detector.txt", "rb");
    if (!CHECK(file != NULL, "tests/golden/detector.txt")) return;
    while (fgets(line, sizeof line, file)) {
        if (*line == '#') continue;
        if (sscanf(line, "%f %f %f %f %f", &row[0], &row[1], &row[2], &row[3], &row[4]) == 5) {
            expect(&expected, row);
        } else if (*line != ' ') {
            if (*name) compare_photo(detector, shared, name, &expected);
            expected.count = 0;
            snprintf(name, sizeof name, "%.*s", (int)strcspn(line, "\n"), line);
        }
    }
    compare_photo(detector, shared, name, &expected);
    fclose(file);
}

static void test_real(void)
{
    const char *shared = test_shared();
    char path[400];
    struct vi_detector *detector = NULL;
    if (!shared) {
        test_skip("OpenCV's detector beside OpenCV", "golden/ssd is not at hand");
        return;
    }
    snprintf(path, sizeof path, "%s/data/detector", shared);
    if (!CHECK(!vi_detector_open(&detector, context, path), "OpenCV's detector is read")) {
        printf("# %s\n", nn_error(context));
        return;
    }
    CHECK(strcmp(vi_detector_source(detector), "caffe") == 0, "from Caffe's files");
    test_golden(detector, shared, 100);
    test_photos(detector, shared);
    CHECK(nn_plan_bytes(vi_detector_plan(detector)) <= 8 << 20, "its buffers: %.1f MB",
          (double)nn_plan_bytes(vi_detector_plan(detector)) / (1 << 20));

    /* The same as one file of our own; from a detector that has detected, there is none. */
    struct vi_detector *converted = NULL;
    CHECK(vi_detector_save(detector, in_folder("real.safetensors")) == NN_ERROR_ARGUMENT &&
              strstr(nn_error(context), "release_weights"),
          "its weights have become the plan's: %s", nn_error(context));
    vi_detector_close(&detector);
    if (!CHECK(!vi_detector_open(&detector, context, path), "it is read again")) return;
    char before[65] = "", after[65] = "-";
    CHECK(!vi_detector_save(detector, in_folder("real.safetensors")) &&
              !vi_detector_open(&converted, context, in_folder("real.safetensors")) &&
              !nn_weights_sha256(before, vi_detector_graph(detector)) &&
              !nn_weights_sha256(after, vi_detector_graph(converted)) && !strcmp(before, after),
          "converted, it has the same weights");
    if (converted) test_golden(converted, shared, 2);
    vi_detector_close(&converted);
    CHECK(!vi_detector_open_with(&converted, context, in_folder("real.safetensors"),
                                 &(struct vi_detector_options){.keep_weights = true}),
          "it keeps its weights");
    if (converted) test_golden(converted, shared, 1);
    CHECK(converted && !nn_weights_sha256(after, vi_detector_graph(converted)) &&
              !strcmp(before, after),
          "and has them after detecting");
    vi_detector_close(&converted);
    vi_detector_close(&detector);
}

int main(void)
{
    tiny_start();
    test_real();
    return tiny_done();
}
