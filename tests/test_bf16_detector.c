/*
 * test_bf16_detector.c — OpenCV's face detector in bfloat16 beside itself in floats: boxes of a
 * photo, average precision over a data set, memory.
 *
 * Everything goes through bfloat16, as it does where there is AMX.
 */
#include "nn/internal.h"
#include "tests/test.h"
#include "vision/vision.h"

enum { MOST_FACES = 1 << 16, MOST_TRUTH = 2048, NAME = 64 };
static const char SUBSET[] = "cmu_mit_test";

struct truth {
    char image[NAME];
    float width, height;
    struct vi_face box;
    bool taken;
};
static struct truth truth[MOST_TRUTH];
static int truth_count;

struct found {
    int image; /* the first row of truth that is of it */
    struct vi_face face;
};
static struct found found[MOST_FACES];
static int found_count;

static struct nn_context *open_context(bool everything)
{
    struct nn_context *context = NULL;
    if (nn_open(&context, NULL)) return NULL;
    if (everything) context->cpu = "amx"; /* the choice; the kernels are this CPU's */
    return context;
}

static bool read_truth(const char *shared)
{
    char path[512], line[512];
    snprintf(path, sizeof path, "%s/data/scenes/boxes.csv", shared);
    FILE *file = fopen(path, "rb");
    while (file && fgets(line, sizeof line, file) && truth_count < MOST_TRUTH) {
        struct truth *t = &truth[truth_count];
        if (strncmp(line, SUBSET, strlen(SUBSET)) == 0 &&
            sscanf(line, "%63[^,],%f,%f,%f,%f,%f,%f", t->image, &t->width, &t->height, &t->box.x1,
                   &t->box.y1, &t->box.x2, &t->box.y2) == 7)
            truth_count++;
    }
    if (file) fclose(file);
    return truth_count > 0;
}

/* All boxes of all photos, of at least 0.01. */
static bool find_all(struct nn_context *context, struct vi_detector *detector, const char *shared)
{
    found_count = 0;
    for (int i = 0; i < truth_count; i++) {
        char path[600];
        struct vi_image image = {0};
        const struct vi_face *faces;
        int count;
        if (i && strcmp(truth[i].image, truth[i - 1].image) == 0) continue;
        snprintf(path, sizeof path, "%s/data/scenes/%.63s", shared, truth[i].image);
        if (vi_read(&image, context, path, &(struct vi_decode_options){.color = VI_RGB}) ||
            vi_detect(detector, &image, VI_RGB, 0.01f, &faces, &count)) {
            printf("# %s\n", nn_error(context));
            return false;
        }
        for (int k = 0; k < count && found_count < MOST_FACES; k++)
            found[found_count++] = (struct found){i, faces[k]};
        vi_image_free(context, &image);
    }
    return true;
}

static float overlap(const struct vi_face *a, const struct vi_face *b)
{
    float w = fminf(a->x2, b->x2) - fmaxf(a->x1, b->x1);
    float h = fminf(a->y2, b->y2) - fmaxf(a->y1, b->y1);
    if (w <= 0 || h <= 0) return 0;
    return w * h / ((a->x2 - a->x1) * (a->y2 - a->y1) + (b->x2 - b->x1) * (b->y2 - b->y1) - w * h);
}

static int surest_first(const void *a, const void *b)
{
    float x = ((const struct found *)a)->face.confidence;
    float y = ((const struct found *)b)->face.confidence;
    return (x < y) - (x > y);
}

/* Is this box a face that no better one has taken? (The one it overlaps most, by `least`.) */
static bool takes_a_face(const struct found *box, float least)
{
    int best = -1;
    float share = 0;
    for (int i = box->image;
         i < truth_count && strcmp(truth[i].image, truth[box->image].image) == 0; i++) {
        float now = truth[i].taken ? 0 : overlap(&box->face, &truth[i].box);
        if (now > share) {
            share = now;
            best = i;
        }
    }
    if (best < 0 || share < least) return false;
    return truth[best].taken = true;
}

/* People's boxes of this set are tighter than the detector's: few overlap by a half.
 *
 * The area under precision over recall, precision made monotonic (PASCAL VOC since 2010), in
 * points. */
static double average_precision(float least)
{
    static double precision[MOST_FACES + 1];
    static bool right[MOST_FACES];
    int hits = 0;
    double area = 0;
    for (int i = 0; i < truth_count; i++) truth[i].taken = false;
    qsort(found, (size_t)found_count, sizeof *found, surest_first);
    for (int i = 0; i < found_count; i++) {
        right[i] = takes_a_face(&found[i], least);
        hits += right[i];
        precision[i] = (double)hits / (i + 1);
    }
    for (int i = found_count - 1; i >= 0; i--) {
        if (precision[i] < precision[i + 1]) precision[i] = precision[i + 1];
        if (right[i]) area += precision[i] / truth_count;
    }
    return 100 * area;
}

struct result {
    double precision[2]; /* at overlaps of 0.5 and 0.3 */
    size_t bytes;
    int count;
    struct vi_face faces[64]; /* of the first photo, at 0.5 and above */
};

static bool look(struct result *result, const char *shared, const char *model,
                 enum nn_precision precision)
{
    struct vi_detector *detector = NULL;
    struct nn_context *context = open_context(precision == NN_BFLOAT16);
    if (!CHECK(context != NULL, "a context")) return false;
    bool good =
        CHECK(!vi_detector_open_with(&detector, context, model,
                                     &(struct vi_detector_options){.precision = precision}) &&
                  find_all(context, detector, shared),
              "all photos in %s", precision == NN_BFLOAT16 ? "bfloat16" : "floats");
    result->bytes = nn_bytes_allocated(context);
    result->count = 0;
    for (int i = 0; i < found_count && found[i].image == 0 && result->count < 64; i++)
        if (found[i].face.confidence >= 0.5f) result->faces[result->count++] = found[i].face;
    result->precision[0] = average_precision(0.5f);
    result->precision[1] = average_precision(0.3f);
    vi_detector_close(&detector);
    nn_close(&context);
    return good;
}

static void compare(const struct result *floats, const struct result *halves)
{
    double least = 1;
    for (int i = 0; i < floats->count && i < halves->count; i++)
        least = fmin(least, (double)overlap(&floats->faces[i], &halves->faces[i]));
    CHECK(floats->count == halves->count && floats->count > 0 && least > 0.95,
          "%s: %d and %d faces, boxes overlap by %.3f at least", truth[0].image, floats->count,
          halves->count, least);
    for (int i = 0; i < 2; i++)
        CHECK(floats->precision[i] > (i ? 60 : 5) &&
                  fabs(floats->precision[i] - halves->precision[i]) <= 0.3,
              "%s: average precision at an overlap of 0.%d: %.2f in floats, %.2f in bfloat16",
              SUBSET, i ? 3 : 5, floats->precision[i], halves->precision[i]);
    CHECK(halves->bytes < floats->bytes && halves->bytes <= (size_t)45 << 20,
          "the detector holds %.1f MB in floats, %.1f MB in bfloat16",
          (double)floats->bytes / (1 << 20), (double)halves->bytes / (1 << 20));
}

/* Do the kernels of the level in use multiply bfloat16, or is it the scalar one that does? */
static bool is_quick(void)
{
    struct nn_context *context = open_context(false);
    struct nn_kernels scalar;
    nn_kernels_fill(&scalar, "scalar");
    bool quick = context && context->kernels.conv_bf16 != scalar.conv_bf16;
    nn_close(&context);
    return quick;
}

int main(void)
{
    static struct result floats, halves;
    const char *shared = test_shared();
    char model[512];
    if (!shared || !read_truth(shared)) {
        test_skip("the detector in bfloat16", "data/scenes is not at hand");
        return test_done();
    }
    if (!is_quick()) {
        test_skip("the detector in bfloat16", "without AVX512-BF16 or AMX this takes minutes");
        return test_done();
    }
    snprintf(model, sizeof model, "%s/data/detector", shared);
    if (look(&floats, shared, model, NN_FLOAT32) && look(&halves, shared, model, NN_BFLOAT16))
        compare(&floats, &halves);
    return test_done();
}
