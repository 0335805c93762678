/*
 * test_cli_gather.c — faces out of clips and pictures: which frames, where they are cut out, what
 * they are called, what is counted. tests/test_gather_trouble.c has what goes wrong.
 *
 *   test_cli_gather walk DIR    writes clips, pictures and a detector for tests/test_walk.sh
 */
#include "gather_clips.h"

/* Cells of the 4 x 4 grid. */
enum { TOP_LEFT = 1, INNER = 1 << 5, OTHER = 1 << 10, CORNER = 1 << 15 };

static const struct app_run *gather(const char *format, ...)
{
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return app_run(NULL, "gather -d %s --no-sheet %s", in_folder("tiny.safetensors"), line);
}

/* A figure of the first row, or of the sum ("total"). -1: there is none. */
static double figure(const struct app_run *run, bool total, const char *key)
{
    struct nn_json *json = NULL;
    double value = -1;
    if (nn_json_parse(&json, context, run->out, strlen(run->out), "gather") == NN_OK) {
        const struct nn_json *row =
            total ? nn_json_get(json, "total") : nn_json_at(nn_json_get(json, "inputs"), 0);
        value = nn_json_number(nn_json_get(row, key), -1);
    }
    nn_json_free(&json);
    return value;
}

static bool figures(const struct app_run *run, const char *key, double expected)
{
    double value = figure(run, true, key);
    if (value != expected)
        printf("# %s: expected %g, got %g\n# %s", key, expected, value, run->err);
    return value == expected;
}

/* Size of a picture, and the mean of its samples. */
struct seen {
    int width, height;
    double mean;
};
static struct seen look(const char *path)
{
    struct vi_image image = {0};
    struct seen seen = {0};
    if (vi_read(&image, context, path, &(struct vi_decode_options){.color = VI_RGB})) return seen;
    seen.width = image.width;
    seen.height = image.height;
    for (int i = 0; i < image.width * image.height * 3; i++) seen.mean += image.pixels[i];
    seen.mean /= image.width * image.height * 3.0;
    vi_image_free(context, &image);
    return seen;
}

/* ---- which frames, where --------------------------------------------------------------------- */

static void test_frames(void)
{
    const struct clip clip = {.frames = 40, .cells = INNER, .step = 3};
    clip_write(in_folder("clip.y4m"), &clip);
    const struct app_run *run =
        gather("-i %s -o %s --json", in_folder("clip.y4m"), in_folder("a/real"));
    CHECK(run->code == 0 && figures(run, "frames", 40) && figures(run, "looked_at", 2) &&
              figures(run, "written", 2),
          "without -s, two of 40 frames are looked at: %s", told(run));
    CHECK(count_files(in_folder("a"), NULL) == 2 && exists(in_folder("a/real/clip_000015.png")) &&
              exists(in_folder("a/real/clip_000031.png")),
          "the 16th and the 32nd, named by their number");
    struct seen seen = look(in_folder("a/real/clip_000015.png"));
    double level = (clip_level(&clip, 15) - 16) * 255.0 / 219;
    CHECK(seen.width == CELL_W && seen.height == CELL_H && fabs(seen.mean - level) < 1,
          "the crop is the box: %dx%d, grey %.1f, expected %.1f", seen.width, seen.height,
          seen.mean, level);

    gather("-i %s -o %s -s 1", in_folder("clip.y4m"), in_folder("all"));
    CHECK(count_files(in_folder("all"), NULL) == 40 && exists(in_folder("all/clip_000000.png")) &&
              exists(in_folder("all/clip_000039.png")),
          "-s 1: every frame");
    run = gather("-i %s -o %s -s 41", in_folder("clip.y4m"), in_folder("none"));
    CHECK(run->code == 0 && strstr(run->err, "its 40 frames") && strstr(run->err, "-s 1"),
          "-s 41: nothing, and why");
    run = gather("-i %s -o %s -s 1 --max 7 --json", in_folder("clip.y4m"), in_folder("seven"));
    CHECK(figures(run, "written", 7) && exists(in_folder("seven/clip_000006.png")),
          "--max 7: the first seven");
    clip_write(in_folder("clip.jpg"), &clip);
    run = gather("-i %s -o %s --json", in_folder("clip.jpg"), in_folder("named"));
    CHECK(figures(run, "frames", 40) && exists(in_folder("named/clip_000015.png")),
          "a video by the name of a picture is a video: %s", told(run));
}

static void test_cuts(void)
{
    static const struct cut {
        const char *options;
        unsigned cells;
        int width, height;
    } cuts[] = {
        {"", INNER, CELL_W, CELL_H},
        {"--margin 0.25", INNER, 24, 18},
        {"--margin 0.25", TOP_LEFT, 20, 15}, /* what lies outside is not there */
        {"--margin 0.25", CORNER, 20, 15},
        {"--margin 4", INNER, 64, 48},
        {"--square", INNER, 16, 16},
        {"--square", TOP_LEFT, 16, 16}, /* moved inside, still square */
        {"--square", CORNER, 16, 16},
        {"--square --margin 0.5", CORNER, 32, 32},
        {"--square --margin 4", INNER, 48, 48}, /* no larger than the picture */
        {"--min-size 12", INNER, 16, 12},
        {"--min-size 13", INNER, 0, 0},
        {"--min-size 13 --margin 1", INNER, 0, 0}, /* of the box, without its margin */
        {"-c 0.99", INNER, 16, 12},
        {"-c 0.999", INNER, 0, 0},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        clip_write(in_folder("cut.y4m"), &(struct clip){.frames = 1, .cells = cuts[i].cells});
        const struct app_run *run =
            gather("-i %s -o %s -s 1 %s", in_folder("cut.y4m"), in_folder("cuts"), cuts[i].options);
        struct seen seen = look(in_folder("cuts/cut_000000.png"));
        CHECK(run->code == 0 && seen.width == cuts[i].width && seen.height == cuts[i].height,
              "'%s' of cell %x: %dx%d, expected %dx%d", cuts[i].options, cuts[i].cells, seen.width,
              seen.height, cuts[i].width, cuts[i].height);
        app_run_remove(in_folder("cuts"));
    }
}

static void test_fates(void)
{
    clip_write(in_folder("dark.y4m"), &(struct clip){.frames = 5});
    const struct app_run *run =
        gather("-i %s -o %s -s 1 --json", in_folder("dark.y4m"), in_folder("dark"));
    CHECK(run->code == 0 && figures(run, "no_face", 5) && strstr(run->err, "no face was kept"),
          "no face: exit code 0, and a word: %s", told(run));
    clip_write(in_folder("dim.y4m"), &(struct clip){.frames = 5, .cells = INNER, .level = DIM});
    run = gather("-i %s -o %s -s 1 --json", in_folder("dim.y4m"), in_folder("dark"));
    CHECK(run->code == 0 && figures(run, "unsure", 5), "nothing above -c");
    run = gather("-i %s -o %s -s 1 -c 0.15 --json", in_folder("dim.y4m"), in_folder("dim"));
    CHECK(figures(run, "written", 5), "-c 0.15 takes them");

    clip_write(in_folder("two.y4m"), &(struct clip){.frames = 3, .cells = INNER | CORNER});
    run = gather("-i %s -o %s -s 1 --json", in_folder("two.y4m"), in_folder("two"));
    CHECK(figures(run, "written", 3), "of two faces the best one");
    run = gather("-i %s -o %s -s 1 --all-faces --json", in_folder("two.y4m"), in_folder("two"));
    CHECK(figures(run, "written", 3) && figures(run, "already_there", 3) &&
              exists(in_folder("two/two_000002_2.png")),
          "--all-faces adds the others");
    run = gather("-i %s -o %s -s 1 --all-faces --max 3 --json", in_folder("two.y4m"),
                 in_folder("three"));
    CHECK(figures(run, "written", 3), "--max counts faces");
}

static void test_different(void)
{
    clip_write(in_folder("still.y4m"), &(struct clip){.frames = 12, .cells = INNER});
    const struct app_run *run =
        gather("-i %s -o %s -s 1 --different 1 --json", in_folder("still.y4m"), in_folder("still"));
    CHECK(figures(run, "written", 1) && figures(run, "too_alike", 11), "a still clip is one face");
    /* A step is 3.5 grey levels. Frame 10 is like frame 0: among the last 8 kept, or not. */
    const struct clip slow = {.frames = 20, .cells = INNER, .step = 3};
    clip_write(in_folder("slow.y4m"), &slow);
    static const struct step {
        double least;
        int kept;
    } steps[] = {{0, 20}, {3, 20}, {4, 5}, {8, 4}, {200, 1}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        run = gather("-i %s -o %s -s 1 --different %g --json", in_folder("slow.y4m"),
                     in_folder("slow"), steps[i].least);
        int kept = (int)figure(run, true, "written") + (int)figure(run, true, "already_there");
        CHECK(kept == steps[i].kept, "--different %g keeps %d, expected %d", steps[i].least, kept,
              steps[i].kept);
    }
    clip_write(in_folder("still2.y4m"), &(struct clip){.frames = 12, .cells = INNER});
    run = gather("-i %s -i %s -o %s -s 1 --different 1 --json", in_folder("still.y4m"),
                 in_folder("still2.y4m"), in_folder("stills"));
    CHECK(figures(run, "written", 2), "each clip begins anew");
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_names(void)
{
    const char *out = "names";
    char clip[400], path[400];
    struct seen before;
    snprintf(clip, sizeof clip, "%s", in_folder("n.y4m"));
    clip_write(clip, &(struct clip){.frames = 6, .cells = INNER, .step = 2});
    const struct app_run *run = gather("-i %s -o %s -s 2 --json", clip, in_folder(out));
    CHECK(figures(run, "written", 3), "three faces");
    run = gather("-i %s -o %s -s 2 --json", clip, in_folder(out));
    CHECK(run->code == 0 && figures(run, "written", 0) && figures(run, "already_there", 3) &&
              count_files(in_folder(out), NULL) == 3,
          "again: nothing new");
    run = gather("-i %s -o %s -s 1 --json", clip, in_folder(out));
    CHECK(figures(run, "written", 3) && figures(run, "already_there", 3),
          "a smaller -s adds what lies between");
    before = look(in_folder("names/n_000001.png"));
    clip_write(clip, &(struct clip){.frames = 6, .cells = INNER, .level = 220, .step = 2});
    run = gather("-i %s -o %s -s 2 --json", clip, in_folder(out));
    CHECK(figures(run, "written", 3) && exists(in_folder("names/n-2_000001.png")),
          "another clip of this name gets another");
    CHECK(look(in_folder("names/n_000001.png")).mean == before.mean, "and replaces nothing");
    run = gather("-i %s -o %s -s 2 --json", clip, in_folder(out));
    CHECK(figures(run, "already_there", 3), "which is found again as well");
    run = gather("-i %s -o %s -s 2 --margin 1 --json", clip, in_folder(out));
    CHECK(figures(run, "written", 3) && exists(in_folder("names/n-3_000001.png")),
          "other options are other faces");
    run = gather("-i %s -o %s -s 2 --format jpg --quality 50 --json", clip, in_folder(out));
    CHECK(figures(run, "written", 3) && exists(in_folder("names/n_000005.jpg")), "--format jpg");

    static const char *const odd[][2] = {
        {".hidden.y4m", "odd/hidden_000000.png"}, {"two.dots.y4m", "odd/two.dots_000000.png"},
        {"noending", "odd/noending_000000.png"},  {"new\nline.y4m", "odd/new_line_000000.png"},
        {"...", "odd/face_000000.png"},
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, odd[i][0]);
        clip_write(path, &(struct clip){.frames = 1, .cells = INNER});
        run = gather("-o %s -s 1 '%s'", in_folder("odd"), path);
        CHECK(run->code == 0 && exists(in_folder(odd[i][1])), "the name %s: %s", odd[i][1],
              told(run));
        CHECK(!strstr(run->out, "new\nline"), "and a table that keeps its lines");
    }
    char longest[256] = "";
    while (strlen(longest) < 240) strcat(longest, "\xC3\xA4");
    clip_write(in_folder(longest), &(struct clip){.frames = 1, .cells = INNER});
    run = gather("-o %s -s 1 %s", in_folder("long"), in_folder(longest));
    CHECK(run->code == 0 && count_files(in_folder("long"), NULL) == 1, "a very long name: %s",
          told(run));
}

/* ---- pictures and folders -------------------------------------------------------------------- */

static void test_pictures(void)
{
    static const char *const files[] = {"set/real/1.png",       "set/real/2.jpg",
                                        "set/real/10.png",      "set/fake/print/1.png",
                                        "set/fake/print/2.png", "set/fake/screen/1.png"};
    static const char *const made[] = {"real/1.png",       "real/2.png",       "real/10.png",
                                       "fake/print/1.png", "fake/print/2.png", "fake/screen/1.png"};
    char path[400];
    struct app app = {.context = context};
    app_make_folder(&app, in_folder("set/fake/print"));
    app_make_folder(&app, in_folder("set/fake/screen"));
    app_make_folder(&app, in_folder("set/real"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        clip_write_picture(in_folder(files[i]),
                           &(struct clip){.cells = INNER, .level = BRIGHT - 3 * (int)i}, 2);
    const struct app_run *run = gather("-i %s -o %s --json", in_folder("set"), in_folder("p"));
    CHECK(run->code == 0 && figures(run, "written", 6) && figures(run, "looked_at", 6),
          "of pictures, every one: %s", told(run));
    bool all = true;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(path, sizeof path, "%s/p/%s", folder, made[i]);
        all = all && look(path).width == 2 * CELL_W;
    }
    CHECK(all && count_files(in_folder("p"), NULL) == 6, "in the folders they came from");
    CHECK(figure(run, false, "files") == 3, "a row for fake, one for real");
    run = gather("%s/ -o %s --no-keep-folders --json", in_folder("set"), in_folder("flat"));
    CHECK(figures(run, "written", 6) && count_files(in_folder("flat"), NULL) == 6 &&
              exists(in_folder("flat/1-2.png")) && exists(in_folder("flat/1-3.png")) &&
              exists(in_folder("flat/10.png")),
          "--no-keep-folders: together, under names of their own");
    run = gather("-i %s -o %s -s 2 --json", in_folder("set/real"), in_folder("half"));
    CHECK(figures(run, "frames", 3) && figures(run, "looked_at", 1) &&
              exists(in_folder("half/2.png")),
          "-s counts pictures in natural order");
    run = gather("-o %s --json -i %s %s --input=%s", in_folder("some"), in_folder(files[0]),
                 in_folder(files[1]), in_folder(files[3]));
    CHECK(figures(run, "written", 3) && figure(run, false, "files") == 3,
          "-i, --input= and arguments mean the same");

    clip_write(in_folder("set/real/clip.y4m"), &(struct clip){.frames = 32, .cells = CORNER});
    clip_write(in_folder("set/notes.txt"), &(struct clip){.frames = 0});
    if (truncate(in_folder("set/notes.txt"), 3)) abort();
    run = gather("-i %s -o %s --json", in_folder("set"), in_folder("p"));
    CHECK(run->code == 0 && figures(run, "written", 2) && figures(run, "already_there", 6) &&
              exists(in_folder("p/real/clip_000031.png")),
          "clips in a folder are found, other files passed over: %s", told(run));
}

static void test_report(void)
{
    clip_write(in_folder("r.y4m"), &(struct clip){.frames = 100, .cells = INNER});
    const struct app_run *run = app_run(NULL, "gather -i %s -o %s/ -d %s -s 1", in_folder("r.y4m"),
                                        in_folder("rep/real"), in_folder("tiny.safetensors"));
    CHECK(run->code == 0 && strstr(run->out, "looked at") && strstr(run->out, "r.y4m") &&
              strstr(run->err, "contact sheet: "),
          "a table on standard output");
    struct vi_image sheet = {0};
    void *bytes = NULL;
    size_t size = 0;
    CHECK(nn_file_read(context, in_folder("rep/real-sheet.jpe"), 1 << 24, &bytes, &size) == NN_OK &&
              vi_decode(&sheet, context, bytes, size, &(struct vi_decode_options){0}, "sheet") ==
                  NN_OK &&
              sheet.width > 1000 && sheet.height > 600,
          "the sheet stands beside the class folder: %dx%d", sheet.width, sheet.height);
    vi_image_free(context, &sheet);
    nn_free(context, bytes);
    CHECK(!vi_is_picture_name("real-sheet.jpe"), "and is no picture of a data set");
    run = app_run(NULL, "gather -i %s -o %s -d %s -s 50 --sheet %s --quiet", in_folder("r.y4m"),
                  in_folder("rep/b"), in_folder("tiny.safetensors"), in_folder("rep/s/own.png"));
    CHECK(run->code == 0 && look(in_folder("rep/s/own.png")).width > 200 && !*run->err &&
              !exists(in_folder("rep/b-sheet.jpe")),
          "--sheet names another; --quiet is quiet");
    run = gather("-i %s -o %s -s 50 --threads 1 --json", in_folder("r.y4m"), in_folder("rep/c"));
    CHECK(figures(run, "written", 2) && strstr(run->out, "\"sheet\":null"), "--no-sheet");
}

static void test_usage(void)
{
    static const struct usage {
        const char *line, *says;
    } usages[] = {
        {"-i a", "--output is missing"},       {"-o b", "VIDEO|DIR|IMAGE"},
        {"-o b -i", "--input: expected"},      {"-o b -i ''", "--input: expected"},
        {"-o b a --skip 0", "--skip"},         {"-o b a -c 1", "--confidence"},
        {"-o b a -c -0.1", "--confidence"},    {"-o b a --margin -1", "--margin"},
        {"-o b a --min-size 0", "--min-size"}, {"-o b a --different 256", "--different"},
        {"-o b a --format gif", "png|jpg"},    {"-o b a --quality 101", "--quality"},
        {"-o b a --sheet x.gif", "--sheet"},   {"-o b a --sheet x.png --no-sheet", "contradict"},
        {"-o b a --max -1", "--max"},
    };
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        const struct app_run *run = app_run(NULL, "gather %s", usages[i].line);
        CHECK(run->code == 2 && strstr(run->err, usages[i].says) && !*run->out,
              "'gather %s' is wrong usage: %s", usages[i].line, told(run));
    }
    CHECK(app_run(NULL, "gather --help")->code == 0, "gather --help");
}

/* ---- material for tests/test_walk.sh --------------------------------------------------------- */

/* Drawn pictures below `from` as a clip, each in the middle of a dark frame twice its size. */
static void pack_clip(const char *to, const char *from)
{
    struct app app = {.context = context};
    struct app_files files = {0};
    FILE *file = clip_open(to);
    if (app_find_files(&files, &app, from)) abort();
    for (size_t i = 0; i < files.count; i++) {
        struct vi_image picture, frame;
        void *bytes;
        size_t size;
        if (vi_read(&picture, context, files.paths[i],
                    &(struct vi_decode_options){.color = VI_RGB}) ||
            vi_image_new(&frame, context, 2 * picture.width, 2 * picture.height, 3))
            abort();
        struct vi_image middle = vi_image_crop(&frame, picture.width / 2, picture.height / 2,
                                               picture.width, picture.height);
        vi_image_copy(&middle, &picture);
        if (vi_encode(&bytes, &size, &frame, context, "jpeg", 95)) abort();
        fwrite(bytes, 1, size, file);
        nn_free(context, bytes);
        vi_image_free(context, &frame);
        vi_image_free(context, &picture);
    }
    if (fclose(file)) abort();
    app_free_files(&files, &app);
}

/* DIR/drawn/{real,fake} become DIR/real.mjpeg and DIR/fake.mjpeg, and DIR/detector.safetensors
 * finds the middle half of any picture. */
static int make_walk(const char *path)
{
    /* One prior, the whole picture, and a location that halves it. */
    const struct tiny middle = {.width = 1,
                                .height = 1,
                                .channels = 3,
                                .classes = 2,
                                .most = 1,
                                .bias = 40,
                                .move = {0, 0, -0.693147f, -0.693147f}};
    static const char *const classes[] = {"real", "fake"};
    char to[400], from[400];
    if (nn_open(&context, NULL)) return 1;
    snprintf(to, sizeof to, "%s/detector.safetensors", path);
    if (!tiny_write(&middle, to)) return 1;
    for (int i = 0; i < 2; i++) {
        snprintf(to, sizeof to, "%s/%s.mjpeg", path, classes[i]);
        snprintf(from, sizeof from, "%s/drawn/%s", path, classes[i]);
        pack_clip(to, from);
    }
    nn_close(&context);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "walk") == 0) return make_walk(argv[2]);
    tiny_start();
    if (!CHECK(tiny_write(&TINY, in_folder("tiny.safetensors")), "a detector")) return test_done();
    test_usage();
    test_frames();
    test_cuts();
    test_fates();
    test_different();
    test_names();
    test_pictures();
    test_report();
    return tiny_done();
}
