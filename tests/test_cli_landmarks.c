/* test_cli_landmarks.c — `liveness landmarks`, on drawn pictures with a detector and a shape
 * predictor one can compute by hand: tables, JSON, pictures with points, videos, mistakes. */
#include "app_run.h"
#include "tests/shape_files.h"
#include "tests/tiny_detector.h"

enum { WIDTH = 40, HEIGHT = 32 };

/* 4 x 4 blocks, of which those in `bright` (bit 4 row + column) are faces. */
static void draw(struct vi_image *image, unsigned bright)
{
    if (vi_image_new(image, context, WIDTH, HEIGHT, 3)) abort();
    for (int i = 0; i < 16; i++)
        if (bright >> i & 1)
            vi_fill_rect(image, i % 4 * WIDTH / 4, i / 4 * HEIGHT / 4, WIDTH / 4, HEIGHT / 4,
                         (struct vi_rgb){255, 255, 255}, 1);
}

static void write_picture(const char *name, unsigned bright)
{
    struct vi_image image;
    draw(&image, bright);
    if (vi_write(&image, context, in_folder(name), 100)) abort();
    vi_image_free(context, &image);
}

static void write_video(const char *name, int frames)
{
    FILE *file = fopen(in_folder(name), "wb");
    if (!file) abort();
    fprintf(file, "YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n", WIDTH, HEIGHT);
    for (int i = 0; i < frames; i++) {
        struct vi_image image;
        draw(&image, 1u << i);
        fputs("FRAME\n", file);
        for (int j = 0; j < WIDTH * HEIGHT; j++) fputc(16 + image.pixels[3 * j] * 219 / 255, file);
        for (int j = 0; j < WIDTH * HEIGHT / 2; j++) fputc(128, file);
        vi_image_free(context, &image);
    }
    fclose(file);
}

static void write_shape(const char *name, int points)
{
    static struct tiny_shape tiny;
    static struct shape_file file;
    if (points == 68)
        shape_eyes(&tiny);
    else
        shape_random(&tiny, (const int[]){points, 1, 1, 1, 2}, 1);
    shape_put(&file, &tiny);
    if (nn_file_write(context, in_folder(name), file.bytes, file.size)) abort();
}

static int lines(const char *text)
{
    int count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

/* The middle of this box is bright, its corner outside of the picture: eyes are open. */
#define OPEN_BOX "--box 5,-6,25,14"

static void test_table(void)
{
    const char *shape = in_folder("68.dat"), *two = in_folder("two.png");
    const struct app_run *run = app_run(NULL, "landmarks -p %s " OPEN_BOX " %s", shape, two);
    CHECK(run->code == 0 && lines(run->out) == 1 + 69, "a line per point, and the eyes: %d",
          lines(run->out));
    CHECK(!strncmp(run->out, "face point         x         y  file\n", 37) &&
              strstr(run->out, "\n   1     0      5.00     -6.00  ") &&
              strstr(run->out, "\n   1    36      8.00      2.00  ") &&
              strstr(run->out, "\n   1    37      9.00      1.40  "),
          "their places");
    CHECK(strstr(run->out, "\n   1  eyes    0.3000    0.3000  "), "open");
    CHECK(strstr(run->err, "1 picture, 1 face, "), "the sum: %.*s", (int)strcspn(run->err, "\n"),
          run->err);
    run = app_run(NULL, "landmarks --quiet -p %s -d %s %s %s", shape, in_folder("d.safetensors"),
                  two, in_folder("none.jpg"));
    CHECK(run->code == 0 && lines(run->out) == 1 + 2 * 69 + 1 && !*run->err,
          "the faces that a detector finds");
    CHECK(strstr(run->out, "\n   2  eyes    0.1000    0.1000  ") &&
              strstr(run->out, "\n   -     -         -         -  "),
          "bright all over: shut; and a picture without a face");
    run = app_run(NULL, "landmarks --quiet -p %s " OPEN_BOX " %s", in_folder("5.dat"), two);
    CHECK(run->code == 0 && lines(run->out) == 1 + 5 && !strstr(run->out, "eyes"),
          "five points have no eyes");
    setenv("LIVENESS_LANDMARKS", shape, 1);
    run = app_run(NULL, "landmarks --quiet " OPEN_BOX " %s", two);
    CHECK(run->code == 0 && lines(run->out) == 1 + 69, "the file out of the environment");
    unsetenv("LIVENESS_LANDMARKS");
}

static double number(const struct nn_json *object, const char *key)
{
    return nn_json_number(nn_json_get(object, key), -1);
}

static double at(const struct nn_json *array, int index)
{
    return nn_json_number(nn_json_at(array, index), -1);
}

static void test_json(void)
{
    const struct app_run *run =
        app_run(NULL, "landmarks --json --quiet -p %s -d %s %s %s", in_folder("68.dat"),
                in_folder("d.safetensors"), in_folder("two.png"), in_folder("clip.y4m"));
    struct nn_json *json = NULL;
    CHECK(run->code == 0 && lines(run->out) == 4, "a line per picture and frame");
    if (nn_json_parse(&json, context, run->out, strcspn(run->out, "\n"), "line")) abort();
    const struct nn_json *face = nn_json_at(nn_json_get(json, "faces"), 1);
    const struct nn_json *points = nn_json_get(face, "points"), *box = nn_json_get(face, "square");
    CHECK(number(json, "width") == WIDTH && number(face, "confidence") > 0.99 &&
              nn_json_count(points) == 68 && nn_json_count(nn_json_get(face, "box")) == 4,
          "a face");
    /* The detector's box: 20, 24, 30, 32. */
    CHECK(at(box, 2) - at(box, 0) == 7 && at(box, 3) - at(box, 1) == 7 &&
              fabs(at(box, 0) + at(box, 2) - 50) <= 2 && at(box, 1) >= 24 && at(box, 3) <= 33,
          "dlib's square in the detector's box: %g %g %g %g", at(box, 0), at(box, 1), at(box, 2),
          at(box, 3));
    const struct nn_json *first = nn_json_at(points, 0), *eyes = nn_json_get(face, "eyes");
    CHECK(at(first, 0) == at(box, 0) && at(first, 1) == at(box, 1) && number(eyes, "left") == 0.1 &&
              number(eyes, "right") == 0.1,
          "its points and eyes");
    nn_json_free(&json);
    run = app_run(NULL, "landmarks --json --quiet -p %s " OPEN_BOX " %s --every 2",
                  in_folder("5.dat"), in_folder("clip.y4m"));
    CHECK(run->code == 0 && lines(run->out) == 2 && strstr(run->out, "\"frame\":2,") &&
              strstr(run->out, "\"square\":[5,-6,25,14]") && !strstr(run->out, "confidence") &&
              !strstr(run->out, "eyes"),
          "every second frame of a video, where the face is known");
}

static bool is_green(const char *name, int x, int y)
{
    struct vi_image image;
    if (vi_read(&image, context, in_folder(name), NULL)) return false;
    const uint8_t *pixel = image.pixels + y * image.stride + (ptrdiff_t)3 * x;
    bool green = pixel[1] > pixel[0] + 30 && pixel[1] > pixel[2] + 30;
    bool size = image.width == WIDTH && image.height == HEIGHT;
    vi_image_free(context, &image);
    return green && size;
}

static void test_output(void)
{
    const struct app_run *run =
        app_run(NULL, "landmarks --quiet -p %s -o %s " OPEN_BOX " %s", in_folder("68.dat"),
                in_folder("o.png"), in_folder("two.png"));
    CHECK(run->code == 0 && is_green("o.png", 8, 2) && !is_green("o.png", 5, 20),
          "points are drawn");
    run = app_run(NULL, "landmarks --quiet -p %s -o %s -d %s %s %s", in_folder("5.dat"),
                  in_folder("out"), in_folder("d.safetensors"), in_folder("two.png"),
                  in_folder("clip.y4m"));
    CHECK(run->code == 0 && is_green("out/two.png", 20, 30) &&
              is_green("out/clip_000000.jpg", 5, 0),
          "boxes, too, and frames");
    app_run_remove(in_folder("out"));
}

static void test_mistakes(void)
{
    static const char *const usages[][2] = {
        {"landmarks", "IMAGE"},
        {"landmarks --box 1,2,3 x", "--box: expected LEFT,TOP,RIGHT,BOTTOM"},
        {"landmarks --box 1,2,3,4,5 x", "--box: expected"},
        {"landmarks --box 1,2,3.5,4 x", "--box: expected"},
        {"landmarks --box 5,5,5,9 x", "--box: expected"},
        {"landmarks --box 99999999999,2,3,4 x", "--box: expected"},
        {"landmark x", "did you mean landmarks?"},
    };
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        const struct app_run *run = app_run(NULL, "%s", usages[i][0]);
        CHECK(run->code == 2 && strstr(run->err, usages[i][1]) && !*run->out,
              "'%s' is wrong usage: %.*s", usages[i][0], (int)strcspn(run->err, "\n"), run->err);
    }
    const char *two = in_folder("two.png");
    const struct app_run *run = app_run(NULL, "landmarks " OPEN_BOX " -p %s %s", two, two);
    CHECK(run->code == 1 && strstr(run->err, "is no shape predictor of dlib's") && !*run->out,
          "%.*s", (int)strcspn(run->err, "\n"), run->err);
    run = app_run(NULL, "landmarks " OPEN_BOX " -p %s/none.dat %s", folder, two);
    CHECK(run->code == 1 && strstr(run->err, "No such file"), "no such file");
    run = app_run(NULL, "landmarks -p %s -d %s/none %s", in_folder("5.dat"), folder, two);
    CHECK(run->code == 1 && strstr(run->err, "cannot open the detector"), "no such detector");
    run = app_run(NULL, "landmarks --quiet " OPEN_BOX " -p %s %s %s/gone.png", in_folder("5.dat"),
                  two, folder);
    CHECK(run->code == 1 && lines(run->out) == 6 && strstr(run->err, "gone.png"),
          "what cannot be read is named, the rest is answered");
    run = app_run(NULL, "landmarks --help");
    CHECK(run->code == 0 && strstr(run->out, "\nexample:\n  liveness landmarks"), "--help");
}

/* ---- memory ------------------------------------------------------------------------------------
 */

struct failing {
    long left, blocks;
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (failing->left-- == 0 || posix_memalign(&memory, 64, bytes)) return NULL;
    failing->blocks++;
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    struct failing *failing = user;
    (void)bytes;
    failing->blocks--;
    free(memory);
}

static void test_memory(void)
{
    struct failing failing = {0, 0};
    struct nn_allocator allocator = {allocate, release, &failing};
    const struct app_run *run = NULL;
    int tried = 0, wrong = 0;
    for (; tried < 500; tried++) {
        failing.left = tried;
        run = app_run(&allocator, "landmarks --threads 1 -p %s " OPEN_BOX " -o %s %s",
                      in_folder("68.dat"), in_folder("o.png"), in_folder("two.png"));
        wrong += failing.blocks != 0;
        if (run->code == 0) break;
        wrong += run->code != 1 || !*run->err;
    }
    CHECK(run->code == 0 && tried > 10 && !wrong,
          "each of %d allocations failed: told, nothing lost", tried);
}

int main(void)
{
    struct tiny tiny = TINY;
    tiny_start();
    if (!tiny_write(&tiny, in_folder("d.safetensors"))) return 1;
    write_picture("two.png", 1u << 1 | 1u << 14);
    write_picture("none.jpg", 0);
    write_video("clip.y4m", 3);
    write_shape("68.dat", 68);
    write_shape("5.dat", 5);
    unsetenv("LIVENESS_DETECTOR");
    unsetenv("LIVENESS_LANDMARKS");
    test_table();
    test_json();
    test_output();
    test_mistakes();
    test_memory();
    return tiny_done();
}
