/*
 * test_cli_demo.c — `liveness demo` on drawn clips: what is seen, in which order, what is written,
 * what keys do. tests/test_demo_live.c has cameras, memory, and what goes wrong.
 *
 *   test_cli_demo make DIR    writes a clip and the models for tests/test_demo_signals.sh
 */
#include "demo_clips.h"

enum { ONE = 1 << 5, TWO = 1 << 5 | 1 << 15, ALL = 0xFFFF };

/* ---- what --json says ------------------------------------------------------------------------ */

struct line {
    struct nn_json *root;
    const struct nn_json *faces, *summary;
    int count; /* faces */
};
struct lines {
    struct line line[128];
    int count; /* with the summary */
};

static void read_lines(struct lines *lines, const char *text)
{
    lines->count = 0;
    while (*text && lines->count < 128) {
        struct line *line = &lines->line[lines->count];
        size_t size = strcspn(text, "\n");
        if (nn_json_parse(&line->root, context, text, size, "demo")) {
            printf("# %s\n", nn_error(context));
            return;
        }
        line->faces = nn_json_get(line->root, "faces");
        line->summary = nn_json_get(line->root, "summary");
        line->count = nn_json_count(line->faces);
        lines->count++;
        text += size + (text[size] == '\n');
    }
}

static void free_lines(struct lines *lines)
{
    for (int i = 0; i < lines->count; i++) nn_json_free(&lines->line[i].root);
    lines->count = 0;
}

static double number(const struct line *line, const char *key)
{
    return nn_json_number(nn_json_get(line->root, key), -1);
}

static const struct nn_json *face_part(const struct line *line, int face, const char *key)
{
    return nn_json_get(nn_json_at(line->faces, face), key);
}

static bool is_answer(const struct line *line, int face, const char *answer)
{
    const char *given = nn_json_string(face_part(line, face, "answer"), "?");
    return strcmp(given, answer) == 0;
}

static const struct lines *seen(const struct app_run *run)
{
    static struct lines lines;
    free_lines(&lines);
    if (run) read_lines(&lines, run->out);
    return &lines;
}

static double summary_of(const struct lines *lines, const char *key)
{
    if (!lines->count) return -1;
    return nn_json_number(nn_json_get(lines->line[lines->count - 1].summary, key), -1);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static void test_verdicts(void)
{
    const struct app_run *run = demo("-v %s --json --policy cnn", clip_of("one", 12, ONE, 0));
    const struct lines *lines = seen(run);
    int good = 0;
    for (int i = 0; i < 12 && i < lines->count; i++) {
        const struct line *line = &lines->line[i];
        const struct nn_json *box = face_part(line, 0, "box");
        good +=
            line->count == 1 && number(line, "frame") == i && is_answer(line, 0, "live") &&
            nn_json_number(face_part(line, 0, "id"), 0) == 1 &&
            fabs(nn_json_number(face_part(line, 0, "real"), 0) - REAL_SHARE) < 1e-3 &&
            fabs(nn_json_number(nn_json_at(box, 0), 0) - SCALE * CELL_W) < 1 &&
            fabs(nn_json_number(nn_json_at(box, 3), 0) - SCALE * 2 * CELL_H) < 1 &&
            nn_json_number(nn_json_get(nn_json_get(line->root, "milliseconds"), "latency"), 0) > 0;
    }
    CHECK(run->code == 0 && good == 12 && lines->count == 13,
          "a line for each of 12 frames, with its live face: %d, and a summary: %s", good,
          told(run));
    CHECK(summary_of(lines, "frames") == 12 && summary_of(lines, "lost") == 0 &&
              summary_of(lines, "fps") > 0 &&
              nn_json_number(nn_json_get(nn_json_get(lines->line[12].summary, "latency"), "p99"),
                             0) > 0,
          "the summary counts them");

    lines = seen(app_run(NULL, "demo -d %s -m %s --display none -v %s --json --policy cnn",
                         in_folder("tiny.safetensors"), in_folder("fake.safetensors"),
                         clip_of("one", 12, ONE, 0)));
    good = 0;
    for (int i = 0; i < 12 && i < lines->count; i++) good += is_answer(&lines->line[i], 0, "spoof");
    CHECK(good == 12, "another network: 12 spoofs, got %d", good);
    lines = seen(demo("-v %s --json", clip_of("one", 12, ONE, 0)));
    good = 0;
    for (int i = 0; i < 12 && i < lines->count; i++)
        good += is_answer(&lines->line[i], 0, "not decided") &&
                *nn_json_string(face_part(&lines->line[i], 0, "reason"), "") &&
                nn_json_number(nn_json_get(face_part(&lines->line[i], 0, "texture"), "size"), 0) ==
                    SCALE * CELL_H;
    CHECK(good == 12, "by default a grey cell is no face that can be judged, with a reason: %d",
          good);
    run = demo("-v %s --policy cnn", clip_of("one", 12, ONE, 0));
    CHECK(run->code == 0 && !*run->out && strstr(run->err, "12 frames") &&
              strstr(run->err, "12 live") && strstr(run->err, "latency"),
          "without --json a table, for people");
}

static void test_faces(void)
{
    const struct lines *lines = seen(demo("-v %s --json", clip_of("all", 4, ALL, 0)));
    CHECK(lines->count == 5 && lines->line[3].count == 16, "sixteen faces: %d",
          lines->count > 3 ? lines->line[3].count : -1);
    lines = seen(demo("-v %s --json", clip_of("none", 4, 0, 0)));
    CHECK(lines->count == 5 && lines->line[3].count == 0, "no face");
    lines = seen(demo("-v %s --json", clip_of("leaves", 12, TWO, ONE)));
    CHECK(
        lines->count == 13 && lines->line[5].count == 2 && lines->line[6].count == 1 &&
            nn_json_number(face_part(&lines->line[6], 0, "id"), 0) ==
                nn_json_number(face_part(&lines->line[5],
                                         nn_json_number(face_part(&lines->line[5], 0, "id"), 0) !=
                                             nn_json_number(face_part(&lines->line[6], 0, "id"), 0),
                                         "id"),
                               -1),
        "one of two faces leaves, the other one is who it was");
}

/* What does not depend on the clock. */
static void strip_times(char *to, const char *from)
{
    while (*from) {
        if (strncmp(from, "\"milliseconds\"", 14) == 0) from = strchr(from, '}');
        if (!from || strncmp(from, "{\"summary\"", 10) == 0) break;
        *to++ = *from++;
    }
    *to = '\0';
}

static void test_same_again(void)
{
    static char first[APP_RUN_TEXT], second[APP_RUN_TEXT];
    strip_times(first, demo("-v %s --json --every 3", clip_of("moves", 20, TWO, ONE))->out);
    strip_times(second,
                demo("-v %s --json --every 3 --threads 1", clip_of("moves", 20, TWO, ONE))->out);
    CHECK(strlen(first) > 2000 && strcmp(first, second) == 0,
          "the same clip gives the same verdicts, with any number of threads");
}

static void test_every(void)
{
    const struct lines *lines = seen(demo("-v %s --json --every 4", clip_of("one", 12, ONE, 0)));
    int faces = 0;
    for (int i = 0; i < 12 && i < lines->count; i++) faces += lines->line[i].count;
    const struct nn_json *stages =
        nn_json_get(lines->line[lines->count - 1].summary, "milliseconds");
    double looks = nn_json_number(nn_json_get(nn_json_get(stages, "detect"), "count"), 0);
    CHECK(faces == 12 && looks == 3, "--every 4: looked 3 times (%g), seen 12 times (%d)", looks,
          faces);
    lines = seen(demo("-v %s --json --max-frames 5", clip_of("one", 12, ONE, 0)));
    CHECK(lines->count == 6, "--max-frames 5: %d", lines->count - 1);
    lines = seen(demo("-v %s --json --loop --max-frames 30", clip_of("one", 12, ONE, 0)));
    int good = 0;
    for (int i = 0; i < 30 && i < lines->count; i++)
        good += number(&lines->line[i], "frame") == i &&
                fabs(number(&lines->line[i], "seconds") - i / 10.0) < 1e-6 &&
                nn_json_number(face_part(&lines->line[i], 0, "id"), 0) == 1;
    CHECK(good == 30, "--loop: time goes on, and the face is the same one: %d", good);
    lines = seen(demo("-v %s --json -w %d", clip_of("one", 12, ONE, 0), SCALE * CLIP_W / 2));
    CHECK(lines->count == 13 && number(&lines->line[0], "width") == SCALE * CLIP_W / 2.0 &&
              number(&lines->line[0], "height") == SCALE * CLIP_H / 2.0,
          "-w: the height follows");
    lines = seen(demo("-v %s --json -w 100 -he 60", clip_of("one", 12, ONE, 0)));
    CHECK(lines->count == 13 && number(&lines->line[11], "height") == 60, "-w and -he");
}

/* ---- files ----------------------------------------------------------------------------------- */

struct video {
    int frames, width, height;
    double colorful,
        difference; /* means of |R - G|, and of the difference to the clip, in frame 5 */
};

static struct video watch(const char *path, const struct clip *clip)
{
    struct vi_capture *capture;
    struct vi_frame frame;
    struct video video = {0};
    bool end = false;
    if (vi_capture_open(&capture, context, path, NULL)) return video;
    while (!vi_capture_read(capture, &frame, &end) && !end) {
        struct vi_image drawn = clip_picture(clip, video.frames, SCALE);
        video.width = frame.image.width;
        video.height = frame.image.height;
        double count = (double)video.width * video.height;
        for (int y = 0; video.frames == 5 && y < video.height && y < drawn.height; y++)
            for (int x = 0; x < video.width && x < drawn.width; x++) {
                const uint8_t *p = frame.image.pixels + y * frame.image.stride + x * 3;
                const uint8_t *q = drawn.pixels + y * drawn.stride + x * 3;
                video.colorful += abs(p[0] - p[1]) / count;
                video.difference += abs(p[0] - (q[0] - 16) * 255 / 219) / count;
            }
        vi_image_free(context, &drawn);
        video.frames++;
    }
    vi_capture_close(&capture);
    return video;
}

static void test_files(void)
{
    const struct clip clip = {.frames = 12, .cells = ONE};
    const struct app_run *run =
        demo("-v %s -o %s --record %s --policy cnn", clip_of("one", 12, ONE, 0),
             in_folder("shown.avi"), in_folder("raw.avi"));
    struct video shown = watch(in_folder("shown.avi"), &clip);
    struct video raw = watch(in_folder("raw.avi"), &clip);
    CHECK(run->code == 0 && shown.frames == 12 && raw.frames == 12 &&
              shown.width == SCALE * CLIP_W && raw.height == SCALE * CLIP_H,
          "-o and --record: %d and %d frames: %s", shown.frames, raw.frames, told(run));
    CHECK(shown.colorful > 1 && raw.colorful < 0.5 && raw.difference < 3,
          "boxes are in the one (%.2f), not in the other (%.2f, %.2f)", shown.colorful,
          raw.colorful, raw.difference);
    run = demo("-v %s -o %s -f 5", clip_of("one", 12, ONE, 0), in_folder("slow.avi"));
    int frames = watch(in_folder("slow.avi"), &clip).frames;
    CHECK(run->code == 0 && frames >= 6 && frames <= 7, "-f 5 of 10 frames per second: %d", frames);
    clip_write_jpegs(in_folder("sizes.mjpg"), &(struct clip){.frames = 6, .cells = ONE}, 4);
    run = demo("-v %s -o %s", in_folder("sizes.mjpg"), in_folder("sizes.avi"));
    CHECK(run->code == 0 && strstr(run->err, "1 broken frame") &&
              watch(in_folder("sizes.avi"), &clip).frames >= 5,
          "frames of changing sizes, one of them broken: %s", told(run));
}

/* ---- keys ------------------------------------------------------------------------------------ */

struct keys {
    const char *keys; /* a key per frame; '.' none; pressed once each */
    int64_t last;
    int paused; /* polls in a pause */
    int64_t frames[64];
    int count;
};

static int press(void *user, int64_t frame)
{
    struct keys *keys = user;
    if (frame == keys->last) { /* asked again: a pause, or a frame that takes its time */
        if (keys->paused && --keys->paused == 0) return 'p';
        return 0;
    }
    keys->last = frame;
    if (keys->count < 64) keys->frames[keys->count++] = frame;
    int key = frame < (int64_t)strlen(keys->keys) ? keys->keys[frame] : '.';
    if (key == 'p') keys->paused = 3;
    return key == '.' ? 0 : key;
}

static int with_keys(struct keys *keys, const char *options)
{
    const struct demo_seams seams = {.key = press, .user = keys};
    keys->last = -1;
    return demo_with(&seams, NULL, "--quiet --save %s %s", in_folder("kept"), options);
}

static void test_keys(void)
{
    struct keys keys = {.keys = "hlsrfrp..l.q"};
    char options[800];
    snprintf(options, sizeof options, "-v %s -o %s", clip_of("keys", 40, TWO, 0),
             in_folder("keys.avi"));
    int code = with_keys(&keys, options);
    CHECK(code == 0 && keys.count == 12 && keys.frames[11] == 11,
          "q ends at frame 11, after %d; every frame was shown", keys.count);
    CHECK(exists(in_folder("kept/pictures/0001.png")) &&
              !exists(in_folder("kept/pictures/0002.png")),
          "s saves the picture");
    CHECK(exists(in_folder("kept/faces/real/0001.png")) &&
              exists(in_folder("kept/faces/real/0002.png")) &&
              exists(in_folder("kept/faces/fake/0001.png")) &&
              count_files(in_folder("kept"), NULL) == 4,
          "r, r and f save the face, under new names");
    struct vi_image face = {0};
    CHECK(!vi_read(&face, context, in_folder("kept/faces/real/0001.png"),
                   &(struct vi_decode_options){.color = VI_RGB}) &&
              face.width == SCALE * CELL_W && face.height == SCALE * CELL_H &&
              face.pixels[0] == face.pixels[1] && face.pixels[0] > 200,
          "without a box in it");
    vi_image_free(context, &face);
    CHECK(watch(in_folder("keys.avi"), &(struct clip){.frames = 40}).frames == 12,
          "a pause writes nothing twice");
    keys = (struct keys){.keys = "rf\033"};
    snprintf(options, sizeof options, "-v %s", clip_of("none", 4, 0, 0));
    code = with_keys(&keys, options);
    CHECK(code == 0 && keys.count == 3 && count_files(in_folder("kept"), NULL) == 4,
          "no face, nothing saved; escape ends");
}

/* ---- wrong usage ----------------------------------------------------------------------------- */

static void test_usage(void)
{
    static const struct usage {
        const char *options, *says;
    } usages[] = {
        {"-o - --json", "standard output"},
        {"-o - --record -", "standard output"},
        {"-o a.avi --record a.avi", "same file"},
        {"--ear-frames 3", "--ear"},
        {"--policy cn", "cnn"},
        {"--every 0", "--every"},
        {"--ear 2", "--ear"},
        {"-he 0", "--height"},
        {"--display x12", "x11"},
        {"more", "options only"},
    };
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        const struct app_run *run = demo("%s", usages[i].options);
        CHECK(run->code == 2 && strstr(run->err, usages[i].says) && !*run->out,
              "'%s' is wrong usage: %s", usages[i].options, told(run));
    }
    CHECK(app_run(NULL, "demo")->code == 2, "a model is needed");
    CHECK(app_run(NULL, "demo --help")->code == 0, "demo --help");
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "make") == 0) {
        if (nn_open(&context, NULL)) return 1;
        snprintf(folder, sizeof folder, "%s", argv[2]);
        bool good = make_models();
        clip_of("clip", 12, ONE, 0);
        nn_close(&context);
        return !good;
    }
    tiny_start();
    if (!CHECK(make_models(), "a detector and two networks")) return test_done();
    test_usage();
    test_verdicts();
    test_faces();
    test_same_again();
    test_every();
    test_files();
    test_keys();
    seen(NULL);
    return tiny_done();
}
