/* test_cli_detect.c — `liveness detect` and `liveness convert`, on drawn pictures with a network
 * one can compute by hand: tables, JSON, pictures with boxes, videos, names, mistakes. */
#include "app_run.h"
#include "tests/tiny_detector.h"

#include <signal.h>
#include <sys/wait.h>

enum { WIDTH = 40, HEIGHT = 32, FRAMES = 6 };

/* 4 x 4 blocks, of which those in `bright` (bit 4 row + column) are faces. */
static struct vi_image draw(unsigned bright)
{
    struct vi_image image;
    if (vi_image_new(&image, context, WIDTH, HEIGHT, 3)) abort();
    for (int i = 0; i < 16; i++)
        if (bright >> i & 1)
            vi_fill_rect(&image, i % 4 * WIDTH / 4, i / 4 * HEIGHT / 4, WIDTH / 4, HEIGHT / 4,
                         (struct vi_rgb){255, 255, 255}, 1);
    return image;
}

static void write_ppm(const char *name, unsigned bright)
{
    struct vi_image image = draw(bright);
    FILE *file = fopen(in_folder(name), "wb");
    if (!file || fprintf(file, "P6 %d %d 255\n", WIDTH, HEIGHT) < 0 ||
        fwrite(image.pixels, 1, WIDTH * HEIGHT * 3, file) != WIDTH * HEIGHT * 3 || fclose(file))
        abort();
    vi_image_free(context, &image);
}

static void write_picture(const char *name, unsigned bright)
{
    struct vi_image image = draw(bright);
    if (vi_write(&image, context, in_folder(name), 100)) abort();
    vi_image_free(context, &image);
}

/* A grey frame of a .y4m; the face of frame i is block i. */
static size_t y4m_frame(uint8_t *to, int index)
{
    struct vi_image image = draw(1u << index);
    size_t size = (size_t)sprintf((char *)to, "FRAME\n");
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        to[size++] = (uint8_t)(16 + image.pixels[3 * i] * 219 / 255);
    memset(to + size, 128, WIDTH * HEIGHT / 2);
    vi_image_free(context, &image);
    return size + WIDTH * HEIGHT / 2;
}

static const char Y4M_HEAD[] = "YUV4MPEG2 W40 H32 F10:1 Ip A1:1 C420jpeg\n";
enum { Y4M_FRAME = 6 + WIDTH * HEIGHT * 3 / 2 };

/* `missing`: bytes that are cut off at the end. */
static void write_video(const char *name, int frames, size_t missing)
{
    uint8_t frame[Y4M_FRAME + 1];
    FILE *file = fopen(in_folder(name), "wb");
    if (!file) abort();
    fputs(Y4M_HEAD, file);
    for (int i = 0; i < frames; i++) {
        size_t size = y4m_frame(frame, i);
        fwrite(frame, 1, i == frames - 1 ? size - missing : size, file);
    }
    fclose(file);
}

static bool exists(const char *name)
{
    struct stat info;
    return stat(in_folder(name), &info) == 0;
}

static int lines(const char *text)
{
    int count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* The file's column begins where the heading's does. */
static bool lines_up(const char *text)
{
    const char *heading = strstr(text, "  file\n");
    if (!heading) return false;
    long column = heading - text;
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1)
        if ((long)strcspn(at, "\n") < column + 3 || strncmp(at + column, "  ", 2) != 0 ||
            at[column + 2] == ' ')
            return false;
    return true;
}

static void test_table(void)
{
    const struct app_run *run = app_run(NULL, "detect -d %s %s %s", in_folder("d.safetensors"),
                                        in_folder("two.png"), in_folder("none.jpg"));
    CHECK(run->code == 0 && lines(run->out) == 4 && lines_up(run->out), "a line per face");
    CHECK(strstr(run->out, "   1      0.9974     10.0      0.0     20.0      8.0  "),
          "its numbers");
    CHECK(strstr(run->out, "   2      0.9974     20.0     24.0     30.0     32.0  "),
          "the second's");
    CHECK(strstr(run->out, "   -           -        -        -        -        -  "), "no face");
    CHECK(strstr(run->err, "2 pictures, 2 faces, ") && strstr(run->err, " ms per picture\n") &&
              lines(run->err) == 1,
          "the sum");
    run = app_run(NULL, "detect --quiet -d %s -c 0.999 %s", in_folder("d.safetensors"),
                  in_folder("two.png"));
    CHECK(run->code == 0 && !*run->err && lines(run->out) == 2 && strstr(run->out, "   -  "),
          "a higher threshold, quietly");
    setenv("LIVENESS_DETECTOR", in_folder("d.safetensors"), 1);
    run = app_run(NULL, "detect --quiet %s", in_folder("two.png"));
    CHECK(run->code == 0 && lines(run->out) == 3, "the detector out of the environment");
    unsetenv("LIVENESS_DETECTOR");
}

static struct nn_json *parse(const char *line)
{
    struct nn_json *json = NULL;
    if (nn_json_parse(&json, context, line, strcspn(line, "\n"), "line"))
        printf("# %s\n", nn_error(context));
    return json;
}

static double number(const struct nn_json *object, const char *key)
{
    return nn_json_number(nn_json_get(object, key), -1);
}

static void test_json(void)
{
    const struct app_run *run =
        app_run(NULL, "detect --json --quiet -d %s %s %s", in_folder("d.safetensors"),
                in_folder("two.png"), in_folder("clip.y4m"));
    CHECK(run->code == 0 && lines(run->out) == 1 + FRAMES, "a line per picture and frame: %d",
          lines(run->out));
    struct nn_json *json = parse(run->out);
    const struct nn_json *faces = nn_json_get(json, "faces");
    CHECK(json && number(json, "width") == WIDTH && number(json, "height") == HEIGHT &&
              number(json, "milliseconds") > 0 && nn_json_count(faces) == 2 &&
              !nn_json_get(json, "frame") && nn_json_count(json) == 5 &&
              !strcmp(nn_json_string(nn_json_get(json, "file"), ""), in_folder("two.png")),
          "a picture's line");
    const struct nn_json *box = nn_json_get(nn_json_at(faces, 1), "box");
    CHECK(nn_json_count(box) == 4 && nn_json_number(nn_json_at(box, 0), 0) == 20 &&
              nn_json_number(nn_json_at(box, 3), 0) == 32 &&
              number(nn_json_at(faces, 1), "confidence") > 0.99,
          "a face");
    nn_json_free(&json);
    const char *line = run->out;
    for (int i = 0; i < FRAMES && *line; i++) {
        line += strcspn(line, "\n") + 1;
        json = parse(line);
        faces = nn_json_get(json, "faces");
        box = nn_json_get(nn_json_at(faces, 0), "box");
        CHECK(number(json, "frame") == i && fabs(number(json, "seconds") - 0.1 * i) < 1e-3 &&
                  nn_json_count(faces) == 1 &&
                  nn_json_number(nn_json_at(box, 0), -1) == 10.0 * (i % 4),
              "frame %d", i);
        nn_json_free(&json);
    }
}

/* ---- videos ---------------------------------------------------------------------------------- */

static void test_videos(void)
{
    const char *detector = in_folder("d.safetensors"), *clip = in_folder("clip.y4m");
    const struct app_run *run = app_run(NULL, "detect --quiet -d %s %s", detector, clip);
    CHECK(run->code == 0 && lines(run->out) == 1 + FRAMES && lines_up(run->out), "every frame");
    CHECK(strstr(run->out, "clip.y4m  frame 5, 0.500 s\n"), "its number and time");
    run = app_run(NULL, "detect --quiet -d %s --every 2 %s", detector, clip);
    CHECK(run->code == 0 && lines(run->out) == 1 + FRAMES / 2 &&
              strstr(run->out, "frame 4, 0.400 s\n") && !strstr(run->out, "frame 1,"),
          "every second frame");
    run = app_run(NULL, "detect --quiet -d %s --every 2 --max-frames 2 %s", detector, clip);
    CHECK(run->code == 0 && lines(run->out) == 3 && strstr(run->out, "frame 2, "),
          "two of every second");
    run = app_run(NULL, "detect --quiet -d %s %s %s", detector, in_folder("torn.y4m"),
                  in_folder("two.png"));
    CHECK(run->code == 0 && strstr(run->out, "torn.y4m  frame 1, ") && lines(run->out) == 5 &&
              strstr(run->err, "torn.y4m': 1 broken frame passed over: "),
          "a torn video: what is before the tear, and the next file");
    run = app_run(NULL, "detect -d %s %s", detector, in_folder("empty.y4m"));
    CHECK(run->code == 1 && !*run->out && strstr(run->err, "empty.y4m"), "no frame at all: %.*s",
          (int)strcspn(run->err, "\n"), run->err);
}

/* ---- pictures with boxes --------------------------------------------------------------------- */

static bool is_green(const char *name, int x, int y)
{
    struct vi_image image;
    if (vi_read(&image, context, in_folder(name), NULL)) return false;
    const uint8_t *pixel = image.pixels + y * image.stride + (ptrdiff_t)3 * x;
    bool green = pixel[1] > 200 && pixel[0] < 180 && pixel[2] < 180;
    bool size = image.width == WIDTH && image.height == HEIGHT;
    vi_image_free(context, &image);
    return green && size;
}

static bool begins(const char *name, const char *magic)
{
    char head[8] = "";
    FILE *file = fopen(in_folder(name), "rb");
    if (!file) return false;
    size_t size = fread(head, 1, strlen(magic), file);
    fclose(file);
    return size == strlen(magic) && memcmp(head, magic, size) == 0;
}

static void test_output(void)
{
    char out[400], detector[400];
    snprintf(detector, sizeof detector, "%s", in_folder("d.safetensors"));
    snprintf(out, sizeof out, "%s", in_folder("out/deep"));
    const struct app_run *run = app_run(NULL, "detect --quiet -d %s -o %s %s %s", detector, out,
                                        in_folder("a"), in_folder("b"));
    CHECK(run->code == 0 && lines(run->out) == 6, "two folders with equal names in them");
    CHECK(exists("out/deep/x.png") && exists("out/deep/x_2.png") && exists("out/deep/x_3.png") &&
              exists("out/deep/x_2_2.png") && exists("out/deep/y.jpg"),
          "each picture got its name");
    CHECK(is_green("out/deep/x.png", 5, 0) && is_green("out/deep/x_3.png", 20, 30) &&
              !is_green("out/deep/x.png", 20, 30),
          "and its boxes");
    CHECK(begins("out/deep/x.png", "\x89PNG") && begins("out/deep/y.jpg", "\xFF\xD8"),
          "PNG and JPEG as they were");
    run = app_run(NULL, "detect --quiet -d %s -o %s %s", detector, in_folder("one.jpeg"),
                  in_folder("two.png"));
    CHECK(run->code == 0 && begins("one.jpeg", "\xFF\xD8"), "one picture to one name");
    run = app_run(NULL, "detect --quiet -d %s -o %s %s %s --every 5", detector, out,
                  in_folder("clip.y4m"), in_folder("two.png"));
    CHECK(run->code == 0 && exists("out/deep/clip_000000.jpg") &&
              exists("out/deep/clip_000005.jpg") && !exists("out/deep/clip_000001.jpg"),
          "frames have numbers");
    run = app_run(NULL, "detect --quiet -d %s -o %s %s", detector, out, in_folder("c.ppm"));
    CHECK(run->code == 0 && begins("out/deep/c.png", "\x89PNG"), "a .ppm becomes a .png");
    app_run_remove(in_folder("out"));
}

static void refuse(const char *says_what, const char *format, const char *a, const char *b)
{
    char line[1024];
    snprintf(line, sizeof line, format, a, b);
    const struct app_run *run = app_run(NULL, "detect -d %s %s", in_folder("d.safetensors"), line);
    CHECK(run->code == 1 && strstr(run->err, says_what) && !*run->out, "refused: %.*s",
          (int)strcspn(run->err, "\n"), run->err);
}

static void test_refusals(void)
{
    refuse("must not be overwritten", "%s -o %s", in_folder("a/x.png"), in_folder("a"));
    refuse("must not be overwritten", "%s -o %s/../b", in_folder("b"), in_folder("a"));
    refuse("is the picture to look at", "%s -o %s", in_folder("a/x.png"), in_folder("a/x.png"));
    refuse("can hold one picture", "%s -o %s", in_folder("b"), in_folder("o.png"));
    refuse("can hold one picture", "%s -o %s", in_folder("clip.y4m"), in_folder("o.png"));
    refuse("nothing", "%s%s", in_folder("nothing"), "");
    refuse("ends in .png or .jpg", "%s -o %s", in_folder("two.png"), in_folder("o.ppm"));
    CHECK(!exists("o.png") && !exists("o.ppm"), "and nothing was written");
    const struct app_run *run =
        app_run(NULL, "detect -d %s %s", in_folder("nothing"), in_folder("a"));
    CHECK(run->code == 1 && strstr(run->err, "no face detector in"), "no detector");
    run = app_run(NULL, "detect %s", in_folder("a"));
    CHECK(run->code == 1 && strstr(run->err, "no face detector: name one with -d"), "none named");
    run = app_run(NULL, "detect -d %s %s %s %s %s", in_folder("d.safetensors"),
                  in_folder("broken.png"), in_folder("two.png"), in_folder("gone.jpg"),
                  in_folder("text.txt"));
    CHECK(run->code == 1 && lines(run->out) == 3 && strstr(run->err, "broken.png") &&
              strstr(run->err, "gone.jpg") && strstr(run->err, "text.txt") &&
              strstr(run->err, "3 of 4 files could not be read"),
          "what cannot be read is named, the rest is answered");
}

static void test_usage(void)
{
    static const char *const usages[][2] = {
        {"detect", "IMAGE"},
        {"detect -d x -c 1.5 y", "--confidence"},
        {"detect -d x -c nan y", "--confidence"},
        {"detect -d x --every 0 y", "--every"},
        {"detect -d x --max-frames -1 y", "--max-frames"},
        {"detect -d x --evry 2 y", "did you mean --every?"},
        {"detekt x", "did you mean detect?"},
        {"convert x", "--output is missing"},
        {"convert -o x.safetensors", "DETECTOR"},
        {"convert x -o y.pb", "ends in .safetensors"},
        {"convert x y -o z.safetensors", "got also 'y'"},
    };
    static const char *const commands[] = {"detect", "convert"};
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        const struct app_run *run = app_run(NULL, "%s", usages[i][0]);
        CHECK(run->code == 2 && strstr(run->err, usages[i][1]) && !*run->out,
              "'%s' is wrong usage: %.*s", usages[i][0], (int)strcspn(run->err, "\n"), run->err);
    }
    for (size_t i = 0; i < 2; i++) {
        const struct app_run *run = app_run(NULL, "%s --help", commands[i]);
        const char *example = strstr(run->out, "\nexample:\n  liveness ");
        bool narrow = true;
        for (const char *at = run->out; *at; at += strcspn(at, "\n"), at += *at == '\n')
            narrow = narrow && strcspn(at, "\n") <= 100;
        CHECK(run->code == 0 && example && narrow, "%s --help", commands[i]);
    }
}

/* ---- convert --------------------------------------------------------------------------------- */

static void test_convert(void)
{
    char in[400], out[400], hex[2][80] = {"", ""};
    snprintf(in, sizeof in, "%s", in_folder("d.safetensors"));
    snprintf(out, sizeof out, "%s", in_folder("new/c.safetensors"));
    const struct app_run *run = app_run(NULL, "convert %s -o %s", in, out);
    const char *at = strstr(run->out, "sha256   ");
    if (at) snprintf(hex[0], sizeof hex[0], "%.64s", at + 9);
    CHECK(run->code == 0 && strstr(run->out, "(safetensors)\n") && strstr(run->out, out) &&
              strstr(run->out, "params   24\n") && strlen(hex[0]) == 64,
          "what it was, and what was written");
    run = app_run(NULL, "convert --json %s -o %s", out, out);
    struct nn_json *json = parse(run->out);
    struct stat info = {0};
    stat(out, &info);
    snprintf(hex[1], sizeof hex[1], "%s", nn_json_string(nn_json_get(json, "sha256"), ""));
    CHECK(run->code == 0 && json && number(json, "parameters") == 24 &&
              number(json, "bytes") == (double)info.st_size && number(json, "layers") == 9 &&
              strcmp(hex[0], hex[1]) == 0,
          "the same again, in its own place, in JSON");
    nn_json_free(&json);
    run = app_run(NULL, "detect --quiet -d %s %s", in_folder("new"), in_folder("two.png"));
    CHECK(run->code == 0 && lines(run->out) == 3, "it finds the same faces");
    run = app_run(NULL, "convert %s -o %s", in, in_folder("text.safetensors"));
    CHECK(run->code == 1 && strstr(run->err, "is not a face detector; it is left as it is") &&
              begins("text.safetensors", "text"),
          "other files are not overwritten");
    run = app_run(NULL, "convert %s -o %s", in_folder("nothing"), in_folder("e.safetensors"));
    CHECK(run->code == 1 && strstr(run->err, "no face detector in") && !exists("e.safetensors"),
          "nothing to convert, nothing written");
    app_run_remove(in_folder("new"));
}

/* ---- memory, signals ------------------------------------------------------------------------- */

struct failing {
    long calls, fails_at, blocks;
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (__atomic_add_fetch(&failing->calls, 1, __ATOMIC_SEQ_CST) == failing->fails_at) return NULL;
    if (posix_memalign(&memory, 64, bytes)) return NULL;
    __atomic_add_fetch(&failing->blocks, 1, __ATOMIC_SEQ_CST);
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    struct failing *failing = user;
    (void)bytes;
    __atomic_sub_fetch(&failing->blocks, 1, __ATOMIC_SEQ_CST);
    free(memory);
}

static void fail_each(const char *name, const char *command)
{
    struct failing failing = {0, 0, 0};
    struct nn_allocator allocator = {allocate, release, &failing};
    bool right = true;
    long tried = 0;
    for (long i = 1; right; i += 1 + i / 40) {
        failing = (struct failing){.fails_at = i};
        const struct app_run *run = app_run(&allocator, "%s", command);
        right = failing.blocks == 0 && (run->code == 0 || run->code == 1);
        if (run->code == 0 && failing.calls < i) break;
        right = right && run->code == 1 && *run->err;
        if (!right) printf("# allocation %ld: code %d, %s\n", i, run->code, run->err);
        tried++;
    }
    CHECK(right && tried > 20, "%s: %ld allocations failed, each told, nothing leaks", name, tried);
}

static void test_memory(void)
{
    char line[1600];
    snprintf(line, sizeof line, "detect --threads 1 -d %s -o %s %s %s --max-frames 1",
             in_folder("d.safetensors"), in_folder("out"), in_folder("two.png"),
             in_folder("clip.y4m"));
    fail_each("detect", line);
    snprintf(line, sizeof line, "convert %s -o %s", in_folder("d.safetensors"),
             in_folder("e.safetensors"));
    fail_each("convert", line);
    app_run_remove(in_folder("out"));
}

/* SIGTERM in the middle of an endless stream on standard input. */
static void test_signal(void)
{
    char *words[] = {"liveness", "detect", "--quiet", "-d", NULL, "-", NULL};
    char detector[400];
    uint8_t frame[Y4M_FRAME + 1];
    int pipes[2], status = 0;
    snprintf(detector, sizeof detector, "%s", in_folder("d.safetensors"));
    words[4] = detector;
    if (pipe(pipes)) abort();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        FILE *out = freopen(in_folder("out.txt"), "wb", stdout);
        dup2(pipes[0], STDIN_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        _exit(out && freopen("/dev/null", "wb", stderr) ? app_main(6, words, NULL) : 99);
    }
    close(pipes[0]);
    signal(SIGPIPE, SIG_IGN);
    bool open = write(pipes[1], Y4M_HEAD, strlen(Y4M_HEAD)) > 0, told = false;
    for (int i = 0; open; i++) {
        struct stat info;
        size_t size = y4m_frame(frame, i % 16);
        open = write(pipes[1], frame, size) == (ssize_t)size;
        /* Rows have come out: it is at work, and its handlers are set. Once: a second signal would
         * end it at once. */
        if (!told && i % 16 == 15 && stat(in_folder("out.txt"), &info) == 0 && info.st_size > 0)
            told = kill(child, SIGTERM) == 0;
        if (waitpid(child, &status, WNOHANG) == child) break;
        if (!open) waitpid(child, &status, 0);
    }
    close(pipes[1]);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM,
          "interrupted, the exit code says by what: %d", WEXITSTATUS(status));
}

int main(void)
{
    struct tiny tiny = TINY;
    tiny_start();
    if (!tiny_write(&tiny, in_folder("d.safetensors"))) return 1;
    mkdir(in_folder("a"), 0777);
    mkdir(in_folder("b"), 0777);
    mkdir(in_folder("nothing"), 0777);
    write_picture("two.png", 1u << 1 | 1u << 14);
    write_picture("none.jpg", 0);
    write_picture("a/x.png", 1u << 0);
    write_picture("a/x_2.png", 0);
    write_picture("b/x.png", 1u << 14);
    write_picture("b/x_2.png", 0);
    write_picture("b/y.jpg", 1u << 5);
    write_ppm("c.ppm", 1);
    write_video("clip.y4m", FRAMES, 0);
    write_video("torn.y4m", 3, 100);
    write_video("empty.y4m", 0, 0);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"broken.png", "text.txt", "text.safetensors"};
        FILE *file = fopen(in_folder(names[i]), "wb");
        if (!file || fputs("text", file) < 0 || fclose(file)) return 1;
    }
    unsetenv("LIVENESS_DETECTOR");
    test_table();
    test_json();
    test_videos();
    test_output();
    test_refusals();
    test_usage();
    test_convert();
    test_memory();
    test_signal();
    return tiny_done();
}
