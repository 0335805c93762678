/*
 * test_capture_ffmpeg.c — video through the ffmpeg program: first a shell script that plays ffmpeg
 * and behaves well, badly, or not at all; then the real one, where it is installed.
 */
#include "capture_files.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static struct nn_context *context;
static char folder[256], video[300]; /* video: what the script is asked to read */
static char real_path[4096];         /* PATH without the script */

#define HEADER "P6\\n2 1\\n255\\n"
/* A picture per frame, red 40, 50, 60; the times say 10 a second. */
#define SCRIPT         "#!/bin/sh\n"
#define UNITS          "printf '#software: test\\n#tb 0: 1/100\\n#media_type 0: video\\n' >&3\n"
#define TIME(ticks)    "printf '0, " #ticks ", " #ticks ", 10, 472, 0x01234567\\n' >&3\n"
#define PICTURE(octal) "printf '" HEADER "\\" #octal "Z\\0\\" #octal "Z\\0'\n"
#define THREE          UNITS TIME(0) PICTURE(50) TIME(10) PICTURE(62) TIME(25) PICTURE(74)

static char *path_of(char path[300], const char *name)
{
    snprintf(path, 300, "%s/%s", folder, name);
    return path;
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "wb");
    if (!file || fputs(text, file) < 0 || fclose(file) || chmod(path, mode)) abort();
}

/* What ffmpeg is from now on. The script finds the test's folder in $HERE. */
static void play(const char *script)
{
    char path[300];
    write_text(path_of(path, "bin/ffmpeg"), script, 0755);
}

static char *read_text(const char *name)
{
    static char text[8192];
    char path[300];
    FILE *file = fopen(path_of(path, name), "rb");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[size] = '\0';
    return text;
}

static struct seen see_path(const char *path, bool no_ffmpeg)
{
    struct vi_capture_options options = {.no_ffmpeg = no_ffmpeg, .max_pixels = 1 << 20};
    struct vi_capture *capture = NULL;
    struct seen seen = {.status = vi_capture_open(&capture, context, path, &options)};
    if (seen.status)
        snprintf(seen.error, sizeof seen.error, "%s", nn_error(context));
    else
        seen = see_all(capture, context);
    vi_capture_close(&capture);
    return seen;
}

static struct seen see_script(const char *script)
{
    play(script);
    return see_path(video, false);
}

static bool says(const struct seen *seen, const char *text)
{
    if (strstr(seen->error, text)) return true;
    printf("# it says: %s\n", seen->error);
    return false;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int open_descriptors(void)
{
    int count = 0;
    for (int i = 0; i < 256; i++) count += fcntl(i, F_GETFD) != -1;
    return count;
}

/* ---- a script that behaves ------------------------------------------------------------------- */

static bool three(const struct seen *seen)
{
    bool right = !seen->status && seen->count == 3 && seen->numbers[0] == 0 &&
                 seen->numbers[1] == 1 && seen->numbers[2] == 2 && seen->width == 2 &&
                 seen->height == 1 && seen->info.broken == 0 &&
                 strcmp(seen->info.format, "ffmpeg") == 0;
    if (!right) printf("# %d frames, %s\n", seen->count, seen->error);
    return right;
}

static void test_success(void)
{
    struct seen seen = see_script(SCRIPT "printf '%s\\n' \"$@\" > \"$HERE/words\"\n" THREE);
    CHECK(three(&seen) && seen.info.rate == 10 && fabs(seen.seconds - 0.25) < 1e-12 &&
              seen.info.width == 2 && seen.info.frames == -1,
          "three frames, with their own times");
    char expected[400];
    snprintf(expected, sizeof expected,
             "\n-protocol_whitelist\nfile,pipe\n-max_pixels\n1245184\n"
             "-i\nfile:%s\n",
             video);
    CHECK(strncmp(read_text("words"), "-nostdin\n", 9) == 0 && strstr(read_text("words"), expected),
          "ffmpeg is asked for a local file, by words and not by a line");
    seen = see_script(SCRIPT "exec 3>&-\n" PICTURE(50) PICTURE(62) PICTURE(74));
    CHECK(three(&seen) && seen.info.rate == 0 && seen.seconds == 0, "no times: the frames come");
    seen = see_script(SCRIPT "echo what is this >&3\n" THREE);
    CHECK(three(&seen) && seen.info.rate == 0, "times that make no sense: the frames come");
    seen = see_script(SCRIPT UNITS "i=0; while [ $i -lt 3000 ]; do " TIME(
        5) " i=$((i+1)); done\n" PICTURE(50) PICTURE(62) PICTURE(74));
    CHECK(three(&seen), "times that run far ahead: the frames come");
    seen = see_script(SCRIPT "case \"$*\" in *-fps_mode*) echo \"Unrecognized option 'fps_mode'.\" "
                             ">&2; exit 1;; *-vsync*) ;; esac\n" THREE);
    CHECK(three(&seen), "an ffmpeg before 5.1 is asked in its own words");
    seen = see_script(SCRIPT "exit 0\n");
    CHECK(!seen.status && seen.count == 0 && seen.info.broken == 0, "a video without frames");
    seen = see_script(SCRIPT THREE "echo '[h264 @ 0x55aa] oh dear' >&2\n");
    CHECK(!seen.status && seen.count == 3 && seen.info.broken == 1 &&
              strstr(seen.info.last_broken, "ffmpeg complained: [h264] oh dear"),
          "what it says without failing is kept");
}

static void test_skip_frames(void)
{
    struct vi_capture *capture = NULL;
    struct vi_frame frame;
    bool end;
    play(SCRIPT THREE);
    if (!CHECK(!vi_capture_open(&capture, context, video, NULL), "opens: %s", nn_error(context)))
        return;
    CHECK(!vi_capture_skip(capture, 2) && !vi_capture_read(capture, &frame, &end) && !end &&
              frame.index == 2 && frame_number(&frame.image) == 2 &&
              fabs(frame.seconds - 0.25) < 1e-12,
          "two frames are skipped");
    CHECK(!vi_capture_read(capture, &frame, &end) && end &&
              !vi_capture_read(capture, &frame, &end) && end,
          "the end, and again");
    vi_capture_close(&capture);
}

/* ---- a script that does not ------------------------------------------------------------------ */

static void test_misbehaving(void)
{
    static const struct {
        const char *name, *script;
        int frames;
        enum nn_status status;
        const char *says;
    } cases[] = {
        {"an error and its words",
         SCRIPT "printf 'one: \\033[31mbad\\ntwo \\377 @ 0x12ab\\n' >&2; exit 1\n", 0,
         NN_ERROR_FORMAT, "ffmpeg broke off with code 1 after 0 frames: one: ?[31mbad; two ?"},
        {"an error without words", SCRIPT "exit 3\n", 0, NN_ERROR_FORMAT,
         "broke off with code 3 after 0 frames, without a word"},
        {"nothing but words", SCRIPT "echo nothing here >&2\n", 0, NN_ERROR_FORMAT,
         "found no pictures after 0 frames: nothing here"},
        {"death within a frame",
         SCRIPT UNITS TIME(0) PICTURE(50) "printf '" HEADER "abc'; echo torn >&2; exit 4\n", 1,
         NN_ERROR_FORMAT, "broke off with code 4 after 1 frames: torn"},
        {"death within a header", SCRIPT UNITS TIME(0) PICTURE(50) "printf 'P6\\n2'; exit 0\n", 1,
         NN_ERROR_FORMAT, "broke off with code 0 after 1 frames"},
        {"death between frames", SCRIPT THREE "echo torn >&2; exit 4\n", 3, NN_ERROR_FORMAT,
         "broke off with code 4 after 3 frames: torn"},
        {"death by a signal", SCRIPT THREE "kill -9 $$\n", 3, NN_ERROR_FORMAT,
         "broke off with code 137 after 3 frames"},
        {"garbage", SCRIPT "head -c 100000 /dev/zero | tr '\\0' x\n", 0, NN_ERROR_FORMAT,
         "wrote what is no picture"},
        {"garbage behind a picture", SCRIPT UNITS TIME(0) PICTURE(50) "echo more; echo; echo\n", 1,
         NN_ERROR_FORMAT, "wrote what is no picture"},
        {"16 bits", SCRIPT "printf 'P6\\n2 1\\n65535\\nabcdef'\n", 0, NN_ERROR_FORMAT,
         "wrote what is no picture"},
        {"no width", SCRIPT "printf 'P6\\n0 1\\n255\\n'\n", 0, NN_ERROR_FORMAT,
         "wrote what is no picture"},
        {"a negative width", SCRIPT "printf 'P6\\n-2 1\\n255\\n'\n", 0, NN_ERROR_FORMAT,
         "wrote what is no picture"},
        {"a giant", SCRIPT "printf 'P6\\n99999999 99999999\\n255\\n'\n", 0, NN_ERROR_ARGUMENT,
         "frames of 99999999x99999999 are"},
        {"an output that is closed, and nothing more", SCRIPT "exec >&-; sleep 100\n", 0,
         NN_ERROR_FORMAT, "did not end after 0 frames"},
        {"no interpreter", "#!/no/such/program\n", 0, NN_ERROR_IO, "cannot start"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen seen = see_script(cases[i].script);
        /* An emulator may tell later that a program could not be started. */
        bool late = cases[i].status == NN_ERROR_IO && seen.status && strstr(seen.error, "ffmpeg");
        CHECK(late || (seen.status == cases[i].status && seen.count == cases[i].frames &&
                       says(&seen, cases[i].says)),
              "%s: an error, after %d frames", cases[i].name, cases[i].frames);
    }
    struct seen seen = see_script(SCRIPT "i=0; while [ $i -lt 20000 ]; do echo line $i of the "
                                         "flood; i=$((i+1)); done >&2\n" THREE "exit 1\n");
    CHECK(seen.count == 3 && strstr(nn_error(context), "line 19999 of the flood"),
          "a flood of words: the last ones are kept");
}

static bool is_gone(const char *name)
{
    int id = atoi(read_text(name));
    /* A child of the script is nobody's, and may take a moment to be buried. */
    for (int i = 0; i < 300; i++) {
        if (id > 0 && kill(id, 0) != 0 && errno == ESRCH) return true;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        char path[64], state[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", id);
        FILE *file = fopen(path, "r");
        size_t size = file ? fread(state, 1, sizeof state - 1, file) : 0;
        if (file) fclose(file);
        state[size] = '\0';
        if (strstr(state, ") Z ")) return true;
    }
    printf("# process %d is still there\n", id);
    return false;
}

static void test_hang(void)
{
    struct vi_capture *capture = NULL;
    struct vi_frame frame;
    bool end;
    play(SCRIPT "trap '' TERM INT PIPE\nsleep 1000 & echo $! > \"$HERE/child\"\n"
                "echo $$ > \"$HERE/self\"\n" UNITS TIME(0) PICTURE(50) "wait\nsleep 1000\n");
    double start = seconds();
    CHECK(!vi_capture_open(&capture, context, video, NULL) &&
              !vi_capture_read(capture, &frame, &end) && !end && frame_number(&frame.image) == 0,
          "a program that hangs after the first frame: it comes");
    vi_capture_close(&capture);
    CHECK(seconds() - start < 60 && is_gone("self") && is_gone("child"),
          "closing kills it and its children");
}

/* ---- input from a pipe ----------------------------------------------------------------------- */

static struct seen see_fed(const struct file *input)
{
    struct feeder feeder;
    struct vi_stream *stream = NULL;
    struct vi_capture *capture = NULL;
    struct seen seen = {0};
    signal(SIGPIPE, SIG_IGN); /* the feeder's, when nobody reads its pipe any more */
    int descriptor = feeder_start(&feeder, input, 0);
    /* A program that held the pipe's other end itself would never see its end. */
    fcntl(feeder.end, F_SETFD, FD_CLOEXEC);
    seen.status = vi_stream_from(&stream, context, descriptor, "-");
    signal(SIGPIPE, SIG_DFL);
    if (!seen.status) seen.status = vi_capture_from(&capture, context, stream, "-", NULL);
    if (seen.status)
        snprintf(seen.error, sizeof seen.error, "%s", nn_error(context));
    else
        seen = see_all(capture, context);
    /* What ffmpeg did not want stays in the pipe. */
    signal(SIGPIPE, SIG_IGN);
    vi_capture_close(&capture);
    pthread_join(feeder.thread, NULL);
    signal(SIGPIPE, SIG_DFL);
    return seen;
}

static void test_fed(void)
{
    struct file input = {0};
    put(&input, "\x1a\x45\xdf\xa3", 4);
    put_zeros(&input, 3000000);
    struct seen seen = see_fed(&(struct file){input.data, 0, 0});
    CHECK(seen.status == NN_ERROR_FORMAT && says(&seen, "standard input is empty"),
          "an empty pipe");
    play(SCRIPT "printf '%s\\n' \"$@\" > \"$HERE/words\"\n" UNITS TIME(0) PICTURE(50) TIME(10)
             PICTURE(62) "cat | wc -c > \"$HERE/size\"\n" TIME(25) PICTURE(74));
    seen = see_fed(&input);
    CHECK(three(&seen) && atoi(read_text("size")) == 3000004 &&
              strstr(read_text("words"), "\n-i\npipe:0\n"),
          "3 MB through a pipe, frames before and after");
    play(SCRIPT "head -c 100000 > /dev/null\n" THREE);
    seen = see_fed(&input);
    CHECK(three(&seen), "a program that reads only the beginning");
    play(SCRIPT "case \"$*\" in *-fps_mode*) echo \"Unrecognized option 'fps_mode'.\" >&2; exit 1;;"
                "esac; head -c 4 > \"$HERE/head\"; cat > /dev/null\n" THREE);
    seen = see_fed(&input);
    CHECK(three(&seen) && memcmp(read_text("head"), "\x1a\x45\xdf\xa3", 4) == 0,
          "an ffmpeg before 5.1 gets the pipe from its beginning");
    play(SCRIPT "cat > /dev/null; echo no index >&2; exit 1\n");
    seen = see_fed(&input);
    CHECK(seen.status == NN_ERROR_FORMAT && says(&seen, "save it to a file"),
          "what cannot be read from a pipe");
    file_free(&input);
}

/* ---- no program ------------------------------------------------------------------------------ */

static void test_missing(void)
{
    char path[300], other[700];
    struct seen seen = see_path(video, true);
    CHECK(seen.status == NN_ERROR_UNSUPPORTED && says(&seen, "is WebM or Matroska") &&
              says(&seen, "not to be used") &&
              says(&seen, "ffmpeg -i IN -c:v mjpeg -q:v 2 OUT.avi"),
          "ffmpeg is not to be used: what the file is, and how to convert it");
    setenv("PATH", folder, 1);
    seen = see_path(video, false);
    CHECK(seen.status == NN_ERROR_UNSUPPORTED && says(&seen, "is WebM or Matroska") &&
              says(&seen, "not installed") && says(&seen, "apt install ffmpeg"),
          "ffmpeg is not in PATH: how to install it");
    play(SCRIPT THREE);
    setenv("PATH", ":.:bin:", 1);
    if (chdir(folder)) abort();
    seen = see_path(video, false);
    CHECK(seen.status == NN_ERROR_UNSUPPORTED, "a program of the current folder is never meant");
    mkdir(path_of(path, "not"), 0755);
    mkdir(path_of(path, "not/ffmpeg"), 0755);
    snprintf(other, sizeof other, "%s/not:%s/bin", folder, folder);
    setenv("PATH", other, 1);
    seen = see_path(video, false);
    CHECK(three(&seen), "a folder of that name is passed over");
}

static void test_texts(void)
{
    char path[300];
    play(SCRIPT THREE);
    write_text(path_of(path, "list.webm"), "#EXTM3U\n#EXTINF:10,\nfile:/etc/passwd\n", 0644);
    struct seen seen = see_path(path, false);
    CHECK(seen.status == NN_ERROR_UNSUPPORTED && says(&seen, "unknown format"),
          "texts and playlists are not given to ffmpeg");
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct failing {
    long calls, fails_at;
    size_t held;
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (++failing->calls == failing->fails_at || posix_memalign(&memory, 64, bytes)) return NULL;
    failing->held += bytes;
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    struct failing *failing = user;
    failing->held -= bytes;
    free(memory);
}

static void test_memory(void)
{
    struct failing failing = {0};
    struct nn_allocator allocator = {allocate, release, &failing};
    struct nn_context *kept = context;
    if (nn_open(&context, &(struct nn_options){.threads = 1, .allocator = &allocator})) abort();
    size_t before = failing.held, bad = 0;
    long n = 1;
    play(SCRIPT THREE);
    for (;; n++) {
        failing.calls = 0;
        failing.fails_at = n;
        struct seen seen = see_path(video, false);
        if (failing.calls < n) break;
        bad += seen.status != NN_ERROR_MEMORY || !strstr(seen.error, "memory") ||
               failing.held != before;
    }
    CHECK(bad == 0 && n > 5, "each of %ld allocations fails with an error, nothing is lost", n - 1);
    nn_close(&context);
    context = kept;
}

/* ---- the real one ---------------------------------------------------------------------------- */

/* Runs it with these words, quietly. */
static bool ffmpeg(const char *words)
{
    char line[6000];
    snprintf(line, sizeof line, "cd '%s' && ffmpeg -nostdin -y -v error %s > log 2>&1 < /dev/null",
             folder, words);
    return system(line) == 0;
}

static void test_names(void)
{
    static const char *const names[] = {
        "-i.mp4", "http:x%d.mp4", "concat:a|b.mp4", "it's $(touch pwned).mp4", "pipe:0", "a:b\nc"};
    if (!ffmpeg("-f lavfi -i testsrc=size=64x48:rate=10:duration=1 -c:v mpeg4 plain.mp4")) {
        test_skip("names of files", "this ffmpeg cannot make a test video");
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char from[300], to[300], pwned[300];
        if (link(path_of(from, "plain.mp4"), path_of(to, names[i]))) abort();
        if (chdir(folder)) abort();
        struct seen seen = see_path(names[i], false);
        for (char *c = to; *c; c++)
            if (*c == '\n') *c = ' ';
        CHECK(!seen.status && seen.count == 10 && seen.width == 64 && seen.info.rate == 10 &&
                  fabs(seen.seconds - 0.9) < 1e-9 && access(path_of(pwned, "pwned"), F_OK) != 0,
              "a file named like that is a file: %s %s", to + strlen(folder) + 1, seen.error);
    }
    char path[300];
    if (truncate(path_of(path, "plain.mp4"), 3000)) abort();
    struct seen seen = see_path(path, false);
    CHECK(seen.status == NN_ERROR_FORMAT && says(&seen, "without an index"),
          "a file that is cut off does not get as far as ffmpeg");
}

/* Largest and mean difference of two PPM-sized pictures. */
static double mean_difference(const struct vi_image *a, const struct vi_image *b)
{
    double sum = 0;
    if (a->width != b->width || a->height != b->height) return 255;
    for (int y = 0; y < a->height; y++)
        for (int x = 0; x < 3 * a->width; x++)
            sum += abs(a->pixels[y * a->stride + x] - b->pixels[y * b->stride + x]);
    return sum / (3.0 * a->width * a->height);
}

/* The first frame is that of ffmpeg's own PNG. */
static void check_first(const char *path, const char *name)
{
    char words[5000], png[300];
    struct vi_image expected = {0};
    struct vi_capture *capture = NULL;
    struct vi_frame frame = {.index = 0};
    bool end = true;
    snprintf(words, sizeof words, "-i '%s' -frames:v 1 first.png", path);
    bool made = ffmpeg(words) && !vi_read(&expected, context, path_of(png, "first.png"), NULL) &&
                !vi_capture_open(&capture, context, path, NULL) &&
                !vi_capture_read(capture, &frame, &end) && !end;
    double difference = made ? mean_difference(&frame.image, &expected) : 255;
    CHECK(difference < 1, "%s: the first frame is ffmpeg's own (apart by %.3g)", name, difference);
    vi_capture_close(&capture);
    vi_image_free(context, &expected);
}

static void test_videos(void)
{
    static const struct {
        const char *name;
        int width, height, frames; /* by ffprobe -count_frames, and the turn that it tells */
        double seconds;            /* of the last frame */
    } videos[] = {
        {"adarshk28__fake__clip.mp4", 352, 640, 339, 11.26073}, /* H.264, turned by -90 */
        {"adarshk28__real__clip.mp4", 640, 352, 337, 11.18354}, /* by 180 */
        {"apfol__fake__fake2.webm", 640, 480, 457, 15.256},
        {"apfol__real__real2.webm", 640, 480, 214, 11.644},
        {"manikantha-m__fake__fake.mp4", 556, 416, 145, 14.47337},
        {"zubaircrackscode__fake__fake.mp4", 960, 540, 157, 10.412}, /* WebM by its bytes */
        {"zubaircrackscode__real__real.mov", 960, 540, 199, 13.212},
    };
    for (size_t i = 0; i < sizeof videos / sizeof *videos; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/data/videos/%s", test_shared() ? test_shared() : ".",
                 videos[i].name);
        if (access(path, R_OK) != 0) {
            test_skip(videos[i].name, "not there");
            continue;
        }
        struct seen seen = see_path(path, false);
        CHECK(!seen.status && seen.count == videos[i].frames && seen.info.broken == 0 &&
                  seen.width == videos[i].width && seen.height == videos[i].height &&
                  fabs(seen.seconds - videos[i].seconds) < 1e-4,
              "%s: %d upright frames of %dx%d, the last at %.5f s %s", videos[i].name, seen.count,
              seen.width, seen.height, seen.seconds, seen.error);
        char whole[4096 + 600];
        check_first(realpath(path, whole) ? whole : path, videos[i].name);
    }
}

static void set_up(void)
{
    char path[4200];
    const char *base = getenv("TMPDIR"), *old = getenv("PATH");
    snprintf(folder, sizeof folder, "%s/test_ffmpeg.XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) abort();
    snprintf(real_path, sizeof real_path, "%s", old ? old : "/usr/bin:/bin");
    snprintf(path, sizeof path, "%s/bin", folder);
    if (mkdir(path, 0755)) abort();
    snprintf(path, sizeof path, "%.255s/bin:%.3900s", folder, real_path);
    setenv("PATH", path, 1);
    setenv("HERE", folder, 1);
    struct file webm = {0};
    put(&webm, "\x1a\x45\xdf\xa3", 4);
    put_zeros(&webm, 5000);
    if (!file_write(&webm, path_of(video, "a b'c $(x).webm"))) abort();
    file_free(&webm);
}

int main(void)
{
    char start[4096], line[300];
    if (!getcwd(start, sizeof start) || nn_open(&context, &(struct nn_options){.threads = 1}))
        return 1;
    set_up();
    size_t before = nn_bytes_allocated(context);
    int descriptors = open_descriptors();
    test_success();
    test_skip_frames();
    test_misbehaving();
    test_hang();
    test_fed();
    test_texts();
    test_memory();
    test_missing();

    setenv("PATH", real_path, 1);
    if (chdir(start)) return 1;
    if (system("ffmpeg -version > /dev/null 2>&1") == 0) {
        test_videos();
        test_names();
    } else {
        test_skip("real videos", "ffmpeg is not installed");
    }
    CHECK(open_descriptors() == descriptors, "no descriptor is left open");
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no zombie is left");
    CHECK(nn_bytes_allocated(context) == before, "no memory is left");
    nn_close(&context);
    snprintf(line, sizeof line, "rm -rf '%s'", folder);
    if (system(line) != 0) printf("# %s is left\n", folder);
    return test_done();
}
