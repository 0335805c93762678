/* test_detector.c — the face detector: which networks are ones, what becomes of a picture, and what
 * of the boxes; on a network one can compute by hand. */
#include "tests/tiny_detector.h"

#include <unistd.h>

static struct vi_detector *open_tiny(const struct tiny *tiny)
{
    struct vi_detector *detector = NULL;
    const char *path = in_folder("tiny.safetensors");
    bool good = tiny_write(tiny, path) && !vi_detector_open(&detector, context, path);
    if (!CHECK(good, "a detector of %dx%d pixels", tiny->width, tiny->height))
        printf("# %s\n", nn_error(context));
    return detector;
}

/* ---- boxes ----------------------------------------------------------------------------------- */

struct spot {
    int column, row;
    uint8_t r, g, b;
};

/* 4 x 4 blocks of 10 x 8 pixels. */
static struct vi_image blocks(const struct spot *spots, int count)
{
    struct vi_image image;
    if (vi_image_new(&image, context, 40, 32, 3)) abort();
    for (int i = 0; i < count; i++)
        vi_fill_rect(&image, 10 * spots[i].column, 8 * spots[i].row, 10, 8,
                     (struct vi_rgb){spots[i].r, spots[i].g, spots[i].b}, 1);
    return image;
}

static bool near_box(const struct vi_face *face, float x1, float y1, float x2, float y2)
{
    bool near = fabsf(face->x1 - x1) < 1e-3f && fabsf(face->y1 - y1) < 1e-3f &&
                fabsf(face->x2 - x2) < 1e-3f && fabsf(face->y2 - y2) < 1e-3f;
    if (!near)
        printf("# got %g %g %g %g\n", (double)face->x1, (double)face->y1, (double)face->x2,
               (double)face->y2);
    return near;
}

static void test_boxes(void)
{
    static const struct spot spots[] = {
        {0, 3, 200, 250, 200}, {2, 1, 255, 255, 255}, {3, 0, 250, 200, 250}, {1, 0, 60, 60, 60}};
    static const int order[] = {1, 2, 0}; /* red weighs most */
    const struct vi_face *faces;
    int count;
    struct tiny tiny = TINY;
    struct vi_detector *detector = open_tiny(&tiny);
    struct vi_image image = blocks(spots, 4);
    if (!detector) return;
    CHECK(!vi_detect(detector, &image, VI_RGB, 0.5f, &faces, &count) && count == 3,
          "three bright blocks are %d faces", count);
    for (int i = 0; i < 3 && i < count; i++) {
        const struct spot *spot = &spots[order[i]];
        float x = 10.0f * (float)spot->column, y = 8.0f * (float)spot->row;
        float confidence = tiny_confidence(&tiny, spot->r, spot->g, spot->b);
        CHECK(near_box(&faces[i], x, y, x + 10, y + 8), "box %d, best first", i);
        CHECK(fabsf(faces[i].confidence - confidence) < 1e-5f, "its confidence: %g",
              (double)faces[i].confidence);
    }
    float second = count > 1 ? faces[1].confidence : 0;
    CHECK(!vi_detect(detector, &image, VI_RGB, second, &faces, &count) && count == 2,
          "the threshold itself counts");
    CHECK(!vi_detect(detector, &image, VI_RGB, nextafterf(second, 1), &faces, &count) && count == 1,
          "what is less does not");
    CHECK(!vi_detect(detector, &image, VI_RGB, 1, &faces, &count) && count == 0, "nothing is sure");
    CHECK(!vi_detect(detector, &image, VI_RGB, 0, &faces, &count) && count >= 3, "everything");
    CHECK(!vi_detect(detector, &image, VI_RGB, NAN, &faces, &count) && count == 0,
          "a threshold that is no number");
    vi_fill(&image, (struct vi_rgb){0, 0, 0});
    CHECK(!vi_detect(detector, &image, VI_RGB, 0.5f, &faces, &count) && count == 0, "no face");
    vi_fill(&image, (struct vi_rgb){255, 255, 255});
    CHECK(!vi_detect(detector, &image, VI_RGB, 0.5f, &faces, &count) && count == 16, "all faces");
    vi_image_free(context, &image);
    vi_detector_close(&detector);
    vi_detector_close(&detector);
    CHECK(!detector, "closing twice is harmless");
}

/* One bright block at the corner, its box moved by `x`, `y` tenths of itself and scaled. */
static const struct vi_face *move_box(float x, float y, float log_size, int *count)
{
    static const struct spot corner = {3, 0, 255, 255, 255};
    static struct vi_face kept;
    const struct vi_face *faces;
    struct tiny tiny = TINY;
    tiny.move[0] = x;
    tiny.move[1] = y;
    tiny.move[2] = tiny.move[3] = log_size;
    struct vi_detector *detector = open_tiny(&tiny);
    struct vi_image image = blocks(&corner, 1);
    *count = -1;
    if (detector && !vi_detect(detector, &image, VI_RGB, 0.5f, &faces, count) && *count > 0)
        kept = faces[0];
    vi_image_free(context, &image);
    vi_detector_close(&detector);
    return &kept;
}

static void test_clipping(void)
{
    const float wide = logf(2);
    int count;
    const struct vi_face *face = move_box(-5, 0, 0, &count);
    CHECK(count == 1 && near_box(face, 25, 0, 35, 8), "a box half its width to the left");
    face = move_box(5, 0, 0, &count);
    CHECK(count == 1 && near_box(face, 35, 0, 40, 8), "to the right: cut at the border");
    face = move_box(0, -5, 0, &count);
    CHECK(count == 1 && near_box(face, 30, 0, 40, 4), "upwards: cut at the border");
    face = move_box(0, 0, wide, &count);
    CHECK(count == 1 && near_box(face, 25, 0, 40, 12), "twice as large: cut on two sides");
    face = move_box(0, 0, 20, &count);
    CHECK(count == 1 && near_box(face, 0, 0, 40, 32), "larger than the picture: all of it");
    move_box(10.01f, 0, 0, &count);
    CHECK(count == 0, "outside on the right: dropped");
    move_box(0, -10.01f, 0, &count);
    CHECK(count == 0, "outside above: dropped");
    move_box(0, 0, -200, &count);
    CHECK(count == 0, "without any width: dropped");
    move_box(NAN, 0, 0, &count);
    CHECK(count == 0, "not a number: dropped");
    move_box(0, 0, INFINITY, &count);
    CHECK(count == 0 || count == 1, "infinitely large: no crash");
    face = move_box(INFINITY, 0, 0, &count);
    CHECK(count == 0, "infinitely far: dropped");
}

/* ---- pictures -------------------------------------------------------------------------------- */

enum { WIDE = 16, HIGH = 12 };

static struct vi_detector *open_following(void)
{
    struct tiny tiny = {.width = WIDE,
                        .height = HIGH,
                        .channels = 3,
                        .classes = 2,
                        .most = WIDE * HIGH,
                        .bias = 3,
                        .follow = true};
    return open_tiny(&tiny);
}

static struct vi_image noise(int width, int height, int channels)
{
    struct vi_image image;
    if (vi_image_new(&image, context, width, height, channels)) abort();
    struct nn_rng rng = nn_rng_make((uint64_t)width, (uint64_t)height);
    for (int i = 0; i < width * height * channels; i++) image.pixels[i] = (uint8_t)nn_rng_u32(&rng);
    return image;
}

struct answer {
    int count, width, height;
    struct vi_face faces[WIDE * HIGH];
};

static bool ask(struct answer *answer, struct vi_detector *detector, const struct vi_image *image,
                enum vi_color color)
{
    const struct vi_face *faces;
    *answer = (struct answer){.width = image->width, .height = image->height};
    if (vi_detect(detector, image, color, 0, &faces, &answer->count)) {
        printf("# %s\n", nn_error(context));
        return false;
    }
    memcpy(answer->faces, faces, (size_t)answer->count * sizeof *faces);
    return true;
}

/* The same samples went into the network, if the confidences are the same to the bit and boxes are
 * the same shares of the picture. */
static bool same(const struct answer *a, const struct answer *b)
{
    bool equal = a->count == b->count && a->count > WIDE * HIGH / 4;
    const float x = (float)a->width / (float)b->width, y = (float)a->height / (float)b->height;
    const float far_x = 1e-5f * (float)a->width, far_y = 1e-5f * (float)a->height;
    for (int i = 0; i < a->count && equal; i++) {
        const struct vi_face *p = &a->faces[i], *q = &b->faces[i];
        equal = p->confidence == q->confidence && fabsf(p->x1 - x * q->x1) < far_x &&
                fabsf(p->x2 - x * q->x2) < far_x && fabsf(p->y1 - y * q->y1) < far_y &&
                fabsf(p->y2 - y * q->y2) < far_y;
    }
    return equal;
}

/* Copies into another layout: `channels` (1: of a grey picture), red and blue exchanged or not,
 * rows `gap` bytes further apart, from the last to the first when `upward`. */
static struct vi_image laid_out(uint8_t *memory, const struct vi_image *from, int channels,
                                bool turned, int gap, bool upward)
{
    ptrdiff_t stride = (ptrdiff_t)from->width * channels + gap;
    struct vi_image to = {memory, from->width, from->height, channels, stride};
    if (upward) {
        to.pixels += (from->height - 1) * stride;
        to.stride = -stride;
    }
    for (int y = 0; y < from->height; y++)
        for (int x = 0; x < from->width; x++) {
            const uint8_t *p = from->pixels + y * from->stride + 3 * x;
            uint8_t *q = to.pixels + y * to.stride + (ptrdiff_t)channels * x;
            for (int c = 0; c < channels; c++)
                q[c] = c == 3 ? (uint8_t)(x * 7 + y) : p[turned ? 2 - c : c];
        }
    return to;
}

static void test_colors(void)
{
    static const int sizes[][2] = {{WIDE, HIGH}, {37, 29}, {2 * WIDE, 2 * HIGH}, {5, 3}};
    struct vi_detector *detector = open_following();
    static struct answer expected, got;
    static uint8_t memory[64 * 64 * 4];
    if (!detector) return;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct vi_image image = noise(sizes[i][0], sizes[i][1], 3), view;
        CHECK(ask(&expected, detector, &image, VI_RGB), "%dx%d pixels", image.width, image.height);
        view = laid_out(memory, &image, 3, true, 0, false);
        CHECK(ask(&got, detector, &view, VI_BGR) && same(&expected, &got), "BGR is the same");
        view = laid_out(memory, &image, 4, false, 5, false);
        CHECK(ask(&got, detector, &view, VI_RGBA) && same(&expected, &got),
              "and RGBA, alpha apart");
        view = laid_out(memory, &image, 4, true, 0, true);
        CHECK(ask(&got, detector, &view, VI_BGR) && same(&expected, &got), "and BGRA upside down");
        view = laid_out(memory, &image, 3, false, 11, true);
        CHECK(ask(&got, detector, &view, VI_RGB) && same(&expected, &got), "and a wider stride");
        CHECK(ask(&got, detector, &image, VI_BGR) && !same(&expected, &got),
              "other colours are not");
        for (int k = 0; k < image.width * image.height; k++)
            image.pixels[3 * k] = image.pixels[3 * k + 2] = image.pixels[3 * k + 1];
        view = laid_out(memory, &image, 1, false, 3, false);
        CHECK(ask(&expected, detector, &image, VI_RGB) && ask(&got, detector, &view, VI_GRAY) &&
                  same(&expected, &got),
              "grey is three equal colours");
        vi_image_free(context, &image);
    }
    vi_detector_close(&detector);
}

/* What the network sees equals what vi_resize makes, for any size. */
static void test_sizes(void)
{
    static const int sizes[][2] = {{1, 1},
                                   {1, 300},
                                   {300, 1},
                                   {640, 480},
                                   {WIDE, HIGH},
                                   {WIDE, 2 * HIGH},
                                   {2 * WIDE, 2 * HIGH},
                                   {3, 2}};
    struct vi_detector *detector = open_following();
    static struct answer expected, got;
    struct vi_image small;
    if (!detector || vi_image_new(&small, context, WIDE, HIGH, 3)) return;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct vi_image image = noise(sizes[i][0], sizes[i][1], 3);
        CHECK(!vi_resize(&small, &image, context) && ask(&expected, detector, &small, VI_RGB) &&
                  ask(&got, detector, &image, VI_RGB) && same(&expected, &got),
              "%dx%d pixels are resized as vi_resize does", sizes[i][0], sizes[i][1]);
        vi_image_free(context, &image);
    }
    /* A giant picture whose rows all are the same bytes. */
    struct vi_image row = noise(20000, 1, 3);
    struct vi_image giant = {row.pixels, 20000, 20000, 3, 0};
    CHECK(!vi_resize(&small, &giant, context) && ask(&expected, detector, &small, VI_RGB),
          "20000x20000 pixels");
    size_t before = nn_allocations(context);
    CHECK(ask(&got, detector, &giant, VI_RGB) && same(&expected, &got), "and without vi_resize");
    CHECK(nn_allocations(context) == before, "nothing is allocated, whatever the size");
    giant.width = 1 << 25;
    CHECK(!ask(&got, detector, &giant, VI_RGB) && says("33554432"), "wider than counted exactly");
    vi_image_free(context, &row);
    vi_image_free(context, &small);
    vi_detector_close(&detector);
}

static void test_arguments(void)
{
    struct vi_detector *detector = open_following();
    static struct answer got;
    struct vi_image image = noise(8, 8, 4);
    if (!detector) return;
    struct vi_image gray = image, none = image, color = image, two = image, empty = image;
    gray.channels = 1;
    color.channels = 3;
    two.channels = 2;
    none.pixels = NULL;
    empty.height = 0;
    CHECK(!ask(&got, detector, &gray, VI_RGB) && says("1 channels that are said to be RGB"),
          "grey said to be RGB");
    CHECK(!ask(&got, detector, &color, VI_GRAY) && !ask(&got, detector, &color, VI_RGBA) &&
              !ask(&got, detector, &image, VI_GRAY) && !ask(&got, detector, &two, VI_RGB) &&
              !ask(&got, detector, &none, VI_RGBA) && !ask(&got, detector, &empty, VI_RGBA),
          "colours and channels that do not go, no pixels");
    CHECK(ask(&got, detector, &image, VI_RGBA), "and the detector still works");
    vi_image_free(context, &image);
    vi_detector_close(&detector);
}

/* ---- networks -------------------------------------------------------------------------------- */

static void refuse(const char *name, const struct tiny *tiny, const char *text)
{
    struct vi_detector *detector = NULL;
    const char *path = in_folder("wrong.safetensors");
    CHECK(tiny_write(tiny, path) && vi_detector_open(&detector, context, path) && !detector &&
              says(text) && says("wrong.safetensors"),
          "refused: %s", name);
    vi_detector_close(&detector);
}

static void write_livenessnet(const char *path)
{
    struct nn_archive *archive;
    struct nn_graph *graph = nn_graph_new(context);
    nn_model_livenessnet(graph, 8, 8, 3, 2);
    bool good = !nn_initialize(graph, 1) && !nn_archive_new(&archive, context) &&
                !nn_graph_save(graph, archive) &&
                !nn_archive_put_text(archive, "labels", "[\"fake\",\"real\"]") &&
                !nn_archive_write(archive, path);
    CHECK(good, "a LivenessNet");
    nn_archive_free(&archive);
    nn_graph_free(&graph);
}

static void test_networks(void)
{
    static const char *const contracts[] = {
        "{}",
        "[]",
        "{\"width\":4,\"height\":4,\"color\":\"bgr\",\"mean\":[1,2,3],\"scale\":1}",
        "{\"width\":4,\"height\":4,\"color\":\"hsv\",\"mean\":[1,2,3],\"scale\":1,"
        "\"interpolation\":\"linear\"}",
        "{\"width\":4,\"height\":4,\"color\":\"bgr\",\"mean\":[1,2],\"scale\":1,"
        "\"interpolation\":\"linear\"}",
        "{\"width\":4,\"height\":4,\"color\":\"bgr\",\"mean\":[1,2,null],\"scale\":1,"
        "\"interpolation\":\"linear\"}",
        "{\"width\":4,\"height\":4,\"color\":\"bgr\",\"mean\":[1,2,3],\"scale\":1,"
        "\"interpolation\":\"cubic\"}",
        "{\"width\":4.5,\"height\":4,\"color\":\"bgr\",\"mean\":[1,2,3],\"scale\":1,"
        "\"interpolation\":\"linear\"}",
        "{\"width\":4,\"height\":4,\"color\":\"bgr\",\"mean\":[1,2,3],\"scale\":1,"
        "\"interpolation\":\"linear\",\"crop\":true}",
    };
    struct tiny tiny = TINY;
    tiny.channels = 1;
    refuse("one channel", &tiny, "this network takes (None, 4, 4, 1)");
    tiny = TINY;
    tiny.classes = 3;
    refuse("three classes", &tiny, "this network knows 3");
    tiny = TINY;
    tiny.two_inputs = true;
    refuse("two inputs", &tiny, "two inputs");
    tiny = TINY;
    tiny.unfinished = true;
    refuse("another end", &tiny, "ends in a detection output (SSD), this one in");
    tiny = TINY;
    tiny.kind = "landmarks";
    refuse("another kind", &tiny, "not a face detector");
    tiny.kind = "";
    refuse("no kind", &tiny, "not a face detector");
    tiny = TINY;
    tiny.preprocessing = "";
    refuse("no preprocessing", &tiny, "no \"preprocessing\"");
    tiny.preprocessing = "{\"width\":5,\"height\":4,\"color\":\"bgr\",\"mean\":[1,2,3],\"scale\":1,"
                         "\"interpolation\":\"linear\"}";
    refuse("preprocessing of another size", &tiny, "another size");
    for (size_t i = 0; i < sizeof contracts / sizeof *contracts; i++) {
        tiny.preprocessing = contracts[i];
        refuse(contracts[i], &tiny, "asks for something this version does not know");
    }
    struct vi_detector *detector;
    write_livenessnet(in_folder("wrong.safetensors"));
    CHECK(vi_detector_open(&detector, context, in_folder("wrong.safetensors")) && !detector &&
              says("this is a LivenessNet model, not a face detector"),
          "refused: LivenessNet");
    unlink(in_folder("wrong.safetensors"));
}

/* RGB order, scale and means of the file's own are honoured. */
static void test_contract(void)
{
    static const struct spot spot = {1, 2, 255, 250, 200};
    const struct vi_face *faces;
    int count = 0;
    struct tiny tiny = TINY;
    tiny.preprocessing = "{\"width\":4,\"height\":4,\"color\":\"rgb\",\"mean\":[8,16,32],"
                         "\"scale\":0.5,\"interpolation\":\"linear\"}";
    struct vi_detector *detector = open_tiny(&tiny);
    struct vi_image image = blocks(&spot, 1);
    float logit = 0.5f * (0.02f * (255 - 8) + 0.03f * (250 - 16) + 0.05f * (200 - 32)) + tiny.bias;
    float wanted = 1 / (1 + expf(-logit));
    CHECK(detector && !vi_detect(detector, &image, VI_RGB, 0.5f, &faces, &count) && count == 1 &&
              fabsf(faces[0].confidence - wanted) < 1e-5f,
          "colours, means and scale are the file's: %g", count ? (double)faces[0].confidence : 0.0);
    vi_detector_close(&detector);
    vi_image_free(context, &image);
}

static void test_save(void)
{
    struct vi_detector *detector = open_following(), *again = NULL;
    static struct answer expected, got;
    struct vi_image image = noise(33, 21, 3);
    char before[65], after[65];
    const char *path = in_folder("saved.safetensors");
    if (!detector) return;
    CHECK(!vi_detector_save(detector, path) && !vi_detector_open(&again, context, path),
          "a detector is written and read");
    CHECK(again && ask(&expected, detector, &image, VI_RGB) && ask(&got, again, &image, VI_RGB) &&
              same(&expected, &got),
          "and finds the same faces");
    CHECK(again && !nn_weights_sha256(before, vi_detector_graph(detector)) &&
              !nn_weights_sha256(after, vi_detector_graph(again)) && strcmp(before, after) == 0,
          "with the same weights");
    CHECK(strcmp(vi_detector_source(detector), "safetensors") == 0 && vi_detector_plan(detector),
          "where it came from");
    CHECK(vi_detector_save(detector, in_folder("none/x.safetensors")) == NN_ERROR_IO,
          "a folder that is not there");
    vi_detector_close(&again);
    vi_detector_close(&detector);
    vi_image_free(context, &image);
    unlink(path);
}

/* The same picture, threads or not. */
static void test_threads(void)
{
    struct tiny tiny = {.width = 50,
                        .height = 3,
                        .channels = 3,
                        .classes = 2,
                        .most = 100,
                        .bias = 3,
                        .follow = true};
    struct vi_image image = noise(77, 55, 3);
    struct vi_detector *detector;
    static struct answer answers[2];
    const char *path = in_folder("threads.safetensors");
    bool good = tiny_write(&tiny, path);
    for (int i = 0; i < 2; i++) {
        struct nn_context *other = NULL;
        good = good && !nn_open(&other, &(struct nn_options){.threads = i ? 7 : 1}) &&
               !vi_detector_open(&detector, other, path) &&
               ask(&answers[i], detector, &image, VI_RGB);
        vi_detector_close(&detector);
        nn_close(&other);
    }
    CHECK(good && answers[0].count == answers[1].count &&
              memcmp(answers[0].faces, answers[1].faces,
                     (size_t)answers[0].count * sizeof(struct vi_face)) == 0,
          "one thread and seven find the same");
    vi_image_free(context, &image);
}

int main(void)
{
    tiny_start();
    test_boxes();
    test_clipping();
    test_colors();
    test_sizes();
    test_arguments();
    test_networks();
    test_contract();
    test_save();
    test_threads();
    return tiny_done();
}
