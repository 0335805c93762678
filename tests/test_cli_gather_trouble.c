/*
 * test_cli_gather_trouble.c — gather where things go wrong: broken frames, files that are none,
 * signals, full disks, two runs at a time, no memory.
 */

#include "gather_clips.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { INNER = 1 << 5 };

static char detector[400];

static const struct app_run *gather_with(const struct nn_allocator *allocator, const char *options)
{
    return app_run(allocator, "gather -d %s --json %s", detector, options);
}

static const char *words(const char *format, ...)
{
    static char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return line;
}

static double total(const struct app_run *run, const char *key)
{
    struct nn_json *json = NULL;
    double value = -1;
    if (nn_json_parse(&json, context, run->out, strlen(run->out), "gather") == NN_OK)
        value = nn_json_number(nn_json_get(nn_json_get(json, "total"), key), -1);
    nn_json_free(&json);
    return value;
}

static int hidden_files(const char *path)
{
    int hidden = 0;
    count_files(path, &hidden);
    return hidden;
}

/* ---- input ----------------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    FILE *file = clip_open(path);
    fputs(text, file);
    if (fclose(file)) abort();
}

static void test_broken(void)
{
    const struct clip clip = {.frames = 12, .cells = INNER};
    clip_write_jpegs(in_folder("b.mjpeg"), &clip, 1 << 3 | 1 << 7);
    const struct app_run *run =
        gather_with(NULL, words("-i %s -o %s -s 1", in_folder("b.mjpeg"), in_folder("broken")));
    CHECK(run->code == 0 && total(run, "broken") == 2 && total(run, "written") == 10 &&
              strstr(run->err, "2 broken frames"),
          "broken frames are passed over and counted, sizes may change: %s", told(run));
    CHECK(exists(in_folder("broken/b_000004.png")) && !exists(in_folder("broken/b_000003.png")),
          "and numbers stay those of the frames");

    clip_write(in_folder("torn.y4m"), &clip);
    if (truncate(in_folder("torn.y4m"), 5 * (6 + CLIP_W * CLIP_H))) abort();
    clip_write(in_folder("good.y4m"), &clip);
    run = gather_with(NULL, words("-i %s %s -o %s -s 1", in_folder("torn.y4m"),
                                  in_folder("good.y4m"), in_folder("torn")));
    CHECK(total(run, "written") == 4 + 12, "a torn clip gives what it has: %s", told(run));

    clip_write(in_folder("empty.y4m"), &(struct clip){.frames = 0});
    run = gather_with(NULL, words("-i %s -o %s", in_folder("empty.y4m"), in_folder("empty")));
    CHECK(run->code == 0 && total(run, "frames") == 0 && strstr(run->err, "no frames"),
          "a clip without frames: %s", told(run));
}

static void test_unreadable(void)
{
    char good[400];
    struct app app = {.context = context};
    snprintf(good, sizeof good, "%s", in_folder("good.y4m"));
    clip_write(good, &(struct clip){.frames = 3, .cells = INNER});
    write_text(in_folder("text.mp4"), "this is not a film\n");
    write_text(in_folder("nothing.avi"), "");
    app_make_folder(&app, in_folder("bare"));
    static const char *const names[] = {"missing.mp4", "text.mp4", "nothing.avi", "bare"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct app_run *run =
            gather_with(NULL, words("-i %s -i %s -o %s -s 1", in_folder(names[i]), good,
                                    in_folder("unreadable")));
        CHECK(run->code == 1 && strstr(run->err, names[i]) && strstr(run->err, "1 of 2 inputs") &&
                  total(run, "written") + total(run, "already_there") == 3,
              "%s is named, the other one gathered: %s", names[i], told(run));
    }
    /* A single bad picture does not spoil a folder; nothing but bad ones does. */
    app_make_folder(&app, in_folder("pics"));
    write_text(in_folder("pics/1.png"), "no");
    const struct app_run *run =
        gather_with(NULL, words("-i %s -o %s", in_folder("pics"), in_folder("from_pics")));
    CHECK(run->code == 1 && total(run, "broken") == 1, "a folder of bad pictures: %s", told(run));
    clip_write_picture(in_folder("pics/2.png"), &(struct clip){.cells = INNER}, 1);
    run = gather_with(NULL, words("-i %s -o %s", in_folder("pics"), in_folder("from_pics")));
    CHECK(run->code == 0 && total(run, "broken") == 1 && total(run, "written") == 1 &&
              strstr(run->err, "1.png"),
          "a bad picture among good ones is named: %s", told(run));
}

static void test_outputs(void)
{
    char good[400];
    snprintf(good, sizeof good, "%s", in_folder("good.y4m"));
    write_text(in_folder("file"), "");
    const struct app_run *run =
        gather_with(NULL, words("-i %s -o %s", good, in_folder("file/real")));
    CHECK(run->code == 1 && strstr(run->err, "file"), "-o below a file: %s", told(run));
    run = gather_with(NULL, words("-i %s -o %s", good, in_folder("file")));
    CHECK(run->code == 1 && strstr(run->err, "file"), "-o is a file: %s", told(run));
    run = app_run(NULL, "gather -i %s -o %s -d %s", good, in_folder("x"), in_folder("none"));
    CHECK(run->code == 1 && strstr(run->err, "none") && !exists(in_folder("x")),
          "a detector that is not there: %s", told(run));
    run = app_run(NULL, "gather -i %s -o %s -d %s", good, in_folder("x"), good);
    CHECK(run->code == 1 && !exists(in_folder("x")), "a clip as detector: %s", told(run));
    unsetenv("LIVENESS_DETECTOR");
    if (exists("weights/detector")) {
        test_skip("no detector named", "there is one in weights/detector");
    } else {
        run = app_run(NULL, "gather -i %s -o %s", good, in_folder("x"));
        CHECK(run->code == 1 && strstr(run->err, "weights/fetch.sh") && strstr(run->err, "-d"),
              "no detector named: %s", told(run));
    }
    setenv("LIVENESS_DETECTOR", detector, 1);
    run = app_run(NULL, "gather -i %s -o %s -s 1 --json", good, in_folder("env"));
    CHECK(run->code == 0 && total(run, "written") == 3, "$LIVENESS_DETECTOR names one");
    unsetenv("LIVENESS_DETECTOR");
}

static void test_many_faces(void)
{
    const struct tiny many = {
        .width = 16, .height = 16, .channels = 3, .classes = 2, .most = 200, .bias = -6};
    CHECK(tiny_write(&many, in_folder("many.safetensors")), "a detector that finds 200 faces");
    clip_write_picture(in_folder("crowd.png"), &(struct clip){.cells = 0xFFFF}, 5);
    const struct app_run *run =
        app_run(NULL, "gather -d %s -i %s -o %s --all-faces --json", in_folder("many.safetensors"),
                in_folder("crowd.png"), in_folder("crowd"));
    CHECK(run->code == 0 && total(run, "written") == 200 &&
              exists(in_folder("crowd/crowd_200.png")),
          "200 faces in a picture: %s", told(run));
}

/* ---- other processes ------------------------------------------------------------------------- */

/* Runs gather in a process of its own; what it prints goes to `log`. */
static pid_t start(const char *options, const char *log, rlim_t most)
{
    fflush(stdout);
    pid_t child = fork();
    if (child) return child;
    int file = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    if (most) {
        struct rlimit limit = {most, most};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    char line[2048], *argv[APP_RUN_WORDS + 1];
    snprintf(line, sizeof line, " gather -d %s --json %s", detector, options);
    _exit(app_main(app_run_words(argv, line), argv, NULL));
}

static int finish(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void test_together(void)
{
    char options[4][600];
    const struct clip clip = {.frames = 60, .cells = INNER, .step = 2};
    clip_write(in_folder("t.y4m"), &clip);
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        snprintf(options[i], sizeof options[i], "-i %s -o %s -s 1 --no-sheet %s",
                 in_folder("t.y4m"), in_folder("together"), i % 2 ? "--margin 0.5" : "");
        children[i] = start(options[i], in_folder("log"), 0);
    }
    int codes = 0;
    for (int i = 0; i < 4; i++) codes += finish(children[i]);
    int hidden = 0, files = count_files(in_folder("together"), &hidden);
    CHECK(codes == 0 && files == 120 && hidden == 0,
          "four runs at a time, two kinds of crops of 60 frames: %d files, %d others", files,
          hidden);
}

static void test_full(void)
{
    struct vi_image noise;
    if (vi_image_new(&noise, context, 640, 480, 3)) abort();
    struct nn_rng rng = nn_rng_make(1, 1);
    for (int i = 0; i < 640 * 480 * 3; i++)
        noise.pixels[i] = (uint8_t)(200 + nn_rng_below(&rng, 56));
    if (vi_write(&noise, context, in_folder("noise.png"), 0)) abort();
    vi_image_free(context, &noise);
    char options[600];
    snprintf(options, sizeof options, "-i %s -o %s --no-sheet", in_folder("noise.png"),
             in_folder("full"));
    int code = finish(start(options, in_folder("log"), 8000));
    int hidden = 0, files = count_files(in_folder("full"), &hidden);
    CHECK(code == 1 && files == 0 && hidden == 0,
          "a file that cannot be written whole is not there: exit code %d, %d files", code, files);
    void *log = NULL;
    size_t size;
    if (nn_file_read(context, in_folder("log"), 1 << 16, &log, &size)) abort();
    CHECK(strstr(log, "cannot write") && strstr(log, "\"written\":0"), "and it says so");
    nn_free(context, log);
}

static void pause_for(int milliseconds)
{
    struct timespec pause = {0, milliseconds * 1000000L};
    nanosleep(&pause, NULL);
}

/* Waits for a reader, but not for one that never comes. */
static FILE *open_pipe(const char *path)
{
    int file = -1;
    for (int i = 0; file < 0 && i < 3000; i++) {
        file = open(path, O_WRONLY | O_NONBLOCK);
        if (file < 0) pause_for(10);
    }
    if (file < 0 || fcntl(file, F_SETFL, O_WRONLY)) abort();
    return fdopen(file, "wb");
}

static FILE *open_clip_pipe(void)
{
    FILE *pipe = open_pipe(in_folder("pipe"));
    signal(SIGPIPE, SIG_IGN);
    fprintf(pipe, "YUV4MPEG2 W%d H%d F10:1 Cmono\n", CLIP_W, CLIP_H);
    return pipe;
}

/* False: nobody reads any more. */
static bool feed(FILE *pipe, int frame)
{
    uint8_t gray[CLIP_W * CLIP_H];
    clip_draw(gray, &(struct clip){.cells = INNER, .step = 1}, frame);
    fprintf(pipe, "FRAME\n");
    fwrite(gray, sizeof gray, 1, pipe);
    pause_for(2);
    return fflush(pipe) == 0;
}

/* A pipe that gives some frames and then nothing, or frames without end. The signal comes once: a
 * second one would end the run at once. */
static void stop_with(int number, bool endless)
{
    char options[600];
    bool killed = false;
    app_run_remove(in_folder("stopped"));
    snprintf(options, sizeof options, "-i %s -o %s -s 1", in_folder("pipe"), in_folder("stopped"));
    if (mkfifo(in_folder("pipe"), 0600)) abort();
    pid_t child = start(options, in_folder("log"), 0);
    FILE *pipe = open_clip_pipe();
    for (int i = 0; i < 5000 && (endless || !killed); i++) {
        if (!endless && i >= 20)
            pause_for(2);
        else if (!feed(pipe, i))
            break;
        if (killed || i < 20 || count_files(in_folder("stopped"), NULL) < 5) continue;
        kill(child, number);
        killed = true;
    }
    int code = finish(child);
    fclose(pipe);
    unlink(in_folder("pipe"));
    void *log = NULL;
    size_t size;
    if (nn_file_read(context, in_folder("log"), 1 << 16, &log, &size)) abort();
    CHECK(code == 128 + number && strstr(log, "\"interrupted\":true") &&
              strstr(log, "contact sheet"),
          "signal %d, %s: exit code %d, a summary and a sheet", number,
          endless ? "frames come" : "nothing comes", code);
    CHECK(count_files(in_folder("stopped"), NULL) >= 5 && hidden_files(in_folder("stopped")) == 0,
          "and %d whole files", count_files(in_folder("stopped"), NULL));
    nn_free(context, log);
}

/* No file may be larger than 40 bytes: the first crop fails, and the stream is left alone. */
static void test_give_up(void)
{
    char options[600];
    int frames = 0;
    snprintf(options, sizeof options, "-i %s -o %s -s 1 --no-sheet", in_folder("pipe"),
             in_folder("given_up"));
    if (mkfifo(in_folder("pipe"), 0600)) abort();
    pid_t child = start(options, "/dev/null", 40);
    FILE *pipe = open_clip_pipe();
    while (frames < 5000 && feed(pipe, frames)) frames++;
    int code = finish(child);
    fclose(pipe);
    unlink(in_folder("pipe"));
    CHECK(code == 1 && frames < 5000, "who cannot write does not read on: %d frames", frames);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Fails the `fails_at`-th request, counted from 1; several threads ask. */
struct failing {
    long calls, fails_at, blocks;
    size_t bytes, peak;
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (__atomic_add_fetch(&failing->calls, 1, __ATOMIC_SEQ_CST) == failing->fails_at) return NULL;
    if (posix_memalign(&memory, 64, bytes)) return NULL;
    memset(memory, 0xA5, bytes);
    __atomic_add_fetch(&failing->blocks, 1, __ATOMIC_SEQ_CST);
    size_t now = __atomic_add_fetch(&failing->bytes, bytes, __ATOMIC_SEQ_CST);
    size_t peak = __atomic_load_n(&failing->peak, __ATOMIC_SEQ_CST);
    while (now > peak && !__atomic_compare_exchange_n(&failing->peak, &peak, now, false,
                                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    struct failing *failing = user;
    __atomic_sub_fetch(&failing->blocks, 1, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&failing->bytes, bytes, __ATOMIC_SEQ_CST);
    free(memory);
}

static void test_memory(void)
{
    size_t peaks[2];
    for (int i = 0; i < 2; i++) {
        struct failing counted = {0};
        clip_write(in_folder("long.y4m"),
                   &(struct clip){.frames = i ? 2000 : 100, .cells = INNER, .step = 1});
        const struct app_run *run = gather_with(
            &(struct nn_allocator){allocate, release, &counted},
            words("-i %s -o %s -s 5 --different 1", in_folder("long.y4m"), in_folder("long")));
        CHECK(run->code == 0 && counted.blocks == 0, "all memory comes back: %s", told(run));
        peaks[i] = counted.peak;
    }
    CHECK(peaks[1] < peaks[0] + 300000, "2000 frames need no more memory than 100: %zu, %zu kB",
          peaks[1] >> 10, peaks[0] >> 10);
}

static void test_failing(void)
{
    char options[900];
    int bad = 0;
    clip_write(in_folder("f.y4m"), &(struct clip){.frames = 4, .cells = INNER, .step = 3});
    clip_write_picture(in_folder("f.jpg"), &(struct clip){.cells = INNER}, 1);
    snprintf(options, sizeof options, "-i %s %s -o %s -s 1 --threads 2", in_folder("f.y4m"),
             in_folder("f.jpg"), in_folder("failing/real"));
    struct failing failing = {0};
    struct nn_allocator allocator = {allocate, release, &failing};
    const struct app_run *run = gather_with(&allocator, options);
    CHECK(run->code == 0 && failing.blocks == 0, "%ld allocations in all: %s", failing.calls,
          told(run));
    long calls = failing.calls;
    for (long n = 1; n <= calls; n += 1 + n / 100) {
        app_run_remove(in_folder("failing"));
        failing = (struct failing){.fails_at = n};
        run = gather_with(&allocator, options);
        /* Where threads race, a run may need fewer allocations than the one that was counted. */
        bool fine = run->code == 1 ? strstr(run->err, "memory") != NULL
                                   : run->code == 0 && failing.calls < n;
        fine = fine && failing.blocks == 0 && hidden_files(in_folder("failing")) == 0;
        bad += !fine;
        if (!fine)
            printf("# allocation %ld: code %d, %ld blocks left, %s\n", n, run->code, failing.blocks,
                   run->err);
    }
    CHECK(bad == 0, "each failed one: exit code 1, a message, nothing left");
}

int main(void)
{
    tiny_start();
    snprintf(detector, sizeof detector, "%s", in_folder("tiny.safetensors"));
    if (!CHECK(tiny_write(&TINY, detector), "a detector")) return test_done();
    test_broken();
    test_unreadable();
    test_outputs();
    test_many_faces();
    test_together();
    test_full();
    test_give_up();
    stop_with(SIGTERM, true);
    stop_with(SIGINT, true);
    stop_with(SIGTERM, false);
    test_memory();
    test_failing();
    return tiny_done();
}
