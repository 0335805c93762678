/*
 * test_demo_live.c — `liveness demo` in front of a camera that does not wait, with memory that is
 * counted or runs out, and with files that are not what they should be.
 */
#include "fake_camera.h" /* first: its parameters are named like variables of the others */

#include "demo_clips.h"
#include "vision/capture/capture.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

enum { ONE = 1 << 5 };

static void pause_for(double milliseconds)
{
    nanosleep(&(struct timespec){0, (long)(milliseconds * 1e6)}, NULL);
}

/* ---- a camera -------------------------------------------------------------------------------- */

struct camera {
    struct clip clip;
    double interval;                  /* milliseconds between its frames */
    int64_t trouble_from, trouble_to; /* frames that say why there is none */
    int64_t dies;                     /* an error at this frame; 0: never */
    int64_t index;
    int opened, closed;
};

static struct camera *camera_of(struct vi_capture *capture)
{
    return capture->state;
}

static enum vi_found read_camera(struct vi_capture *capture, bool wanted)
{
    struct camera *camera = camera_of(capture);
    (void)wanted;
    pause_for(camera->interval);
    if (camera->dies && camera->index == camera->dies) {
        capture->status = nn_fail(capture->context, NN_ERROR_IO, "the camera has burnt");
        return VI_FOUND_ERROR;
    }
    if (vi_capture_size(capture, CLIP_W * SCALE, CLIP_H * SCALE)) return VI_FOUND_ERROR;
    uint8_t gray[CLIP_W * CLIP_H];
    clip_draw(gray, &camera->clip, (int)camera->index);
    vi_capture_arrived(capture);
    for (int y = 0; y < capture->image.height; y++)
        for (int x = 0; x < capture->image.width; x++)
            memset(capture->image.pixels + y * capture->image.stride + x * 3,
                   gray[y / SCALE * CLIP_W + x / SCALE], 3);
    capture->seconds = vi_clock();
    capture->trouble = camera->index >= camera->trouble_from && camera->index < camera->trouble_to
                           ? "no signal, says the test"
                           : NULL;
    camera->index++;
    return VI_FOUND_FRAME;
}

static void close_camera(struct vi_capture *capture)
{
    camera_of(capture)->closed++;
}

static enum nn_status open_camera(struct vi_capture **capture, struct nn_context *owner,
                                  const char *path, const struct vi_capture_options *options,
                                  void *user)
{
    static const struct vi_source_kind kind = {
        .format = "camera", .read = read_camera, .close = close_camera};
    struct camera *camera = user;
    struct vi_capture *made = nn_alloc(owner, 1, sizeof *made);
    *capture = made;
    if (!made) return NN_ERROR_MEMORY;
    camera->opened++;
    camera->index = 0;
    made->context = owner;
    made->kind = &kind;
    made->state = camera;
    made->options = *options;
    made->options.max_pixels = 1 << 20;
    made->info = (struct vi_capture_info){
        .format = "camera", .rate = 1000 / camera->interval, .frames = -1, .live = true};
    made->path = nn_strdup(owner, path);
    return made->path ? NN_OK : NN_ERROR_MEMORY;
}

/* Runs it before a camera; the lines of --json are in `text`. */
static char text[APP_RUN_TEXT];
static void read_printed(void)
{
    FILE *file = fopen(in_folder("printed"), "rb");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[size] = '\0';
}

static int watch(struct camera *camera, const char *options)
{
    const struct demo_seams seams = {.open = open_camera, .user = camera};
    int code = demo_with(&seams, NULL, "--json %s", options);
    read_printed();
    return code;
}

static int count_of(const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) count++;
    return count;
}

/* A figure of the summary. */
static double figure(const char *key)
{
    char quoted[64];
    const char *summary = strstr(text, "{\"summary\"");
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = summary ? strstr(summary, quoted) : NULL;
    return at ? atof(at + strlen(quoted)) : -1;
}

static void test_camera(void)
{
    struct camera camera = {.clip = {.cells = ONE}, .interval = 5};
    int code = watch(&camera, "--policy cnn --max-frames 20");
    CHECK(code == 0 && count_of("\"frame\":") == 20 && count_of("\"answer\":\"live\"") == 20 &&
              camera.opened == 1 && camera.closed == 1,
          "twenty frames of a camera: %d", count_of("\"frame\":"));

    /* Far too fast: most frames are lost, those that are looked at are young. */
    camera = (struct camera){.clip = {.cells = ONE}, .interval = 0.05};
    code = watch(&camera, "--max-frames 60");
    CHECK(code == 0 && count_of("\"frame\":") == 60 &&
              (double)camera.index >= figure("frames") + figure("lost"),
          "a camera that is too fast: %lld came, %.0f were lost", (long long)camera.index,
          figure("lost"));

    /* A third of a second: also a slow machine looks at one of them. */
    camera =
        (struct camera){.clip = {.cells = ONE}, .interval = 5, .trouble_from = 6, .trouble_to = 70};
    code = watch(&camera, "--max-frames 90 --policy cnn");
    int troubled = count_of("\"trouble\":\"no signal, says the test\",\"faces\":[]");
    CHECK(code == 0 && troubled >= 1 && troubled <= 64 &&
              count_of("\"answer\":\"live\"") == 90 - troubled,
          "frames in trouble are shown, not judged, and the run goes on: %d", troubled);

    camera = (struct camera){.clip = {.cells = ONE}, .interval = 1, .dies = 10};
    code = watch(&camera, "");
    CHECK(code == 1 && figure("frames") >= 1 && camera.closed == 1,
          "a camera that dies ends the run, with a summary");
}

/* ---- a driver -------------------------------------------------------------------------------- */

static enum nn_status open_driver(struct vi_capture **capture, struct nn_context *owner,
                                  const char *path, const struct vi_capture_options *options,
                                  void *user)
{
    struct fake *fake = user;
    return vi_capture_open_camera(capture, owner, path, options, &fake->system);
}

/* The driver's clock does not wait; that nobody is left behind, somebody has to. */
static int slow_poll(void *user, int file, int milliseconds)
{
    pause_for(2);
    return fake_poll(user, file, milliseconds);
}

/* Video for Linux's whole protocol, with a bad frame, and unplugged for two of its seconds. */
static void test_driver(void)
{
    static struct fake fake;
    const struct demo_seams seams = {.open = open_driver, .user = &fake};
    fake_start(&fake, context);
    fake.system.poll = slow_poll;
    fake.faults[0] = (struct fake_fault){3, FAKE_SHORT};
    fake.unplug_at = fake.time + 0.5;
    fake.replug_at = fake.time + 2.5;
    int code = demo_with(&seams, NULL, "--json -w 40 -he 24 --max-frames 60 -o %s",
                         in_folder("driver.avi"));
    read_printed();
    int troubled = count_of("\"trouble\":"), frames = count_of("\"frame\":");
    CHECK(code == 0 && frames == 60 && troubled >= 1 && troubled < 60 && fake_end(&fake),
          "a camera that is unplugged and comes back: %d frames, %d of them in trouble", frames,
          troubled);
    fake_start(&fake, context);
    fake.nodes[0].open_error = EBUSY;
    code = demo_with(&seams, NULL, "-w 40 -he 24");
    CHECK(code == 1 && fake_end(&fake), "a camera that somebody else has");
}

struct typist {
    int64_t frame;
    int asked;
};

/* Pauses at the third frame it sees, looks at the same one for a while, goes on, and ends. */
static int type(void *user, int64_t frame)
{
    struct typist *typist = user;
    typist->asked++;
    if (typist->asked == 3) typist->frame = frame;
    if (typist->asked == 3 || typist->asked == 8) return 'p';
    if (typist->asked > 3 && typist->asked < 8 && frame != typist->frame) typist->frame = -2;
    return typist->asked == 12 ? 'q' : 0;
}

static void test_pause(void)
{
    struct typist typist = {.frame = -1};
    const struct demo_seams seams = {.key = type, .user = &typist};
    int code = demo_with(&seams, NULL, "--quiet -v %s", clip_of("paused", 40, ONE, 0));
    CHECK(code == 0 && typist.frame >= 0 && typist.asked == 12,
          "in a pause the same frame stays, and keys work");
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct counting {
    long calls, outstanding, left; /* atomic; left: before one fails, negative: none does */
};

static void *allocate(void *user, size_t bytes)
{
    struct counting *counting = user;
    if (__atomic_fetch_sub(&counting->left, 1, __ATOMIC_RELAXED) == 0) return NULL;
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes)) return NULL;
    memset(memory, 0xa5, bytes); /* what is read before it is written shows */
    __atomic_fetch_add(&counting->calls, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counting->outstanding, 1, __ATOMIC_RELAXED);
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    struct counting *counting = user;
    memset(memory, 0x5a, bytes);
    __atomic_fetch_sub(&counting->outstanding, 1, __ATOMIC_RELAXED);
    free(memory);
}

static int run_counted(struct counting *counting, long left, const char *options)
{
    const struct nn_allocator allocator = {allocate, release, counting};
    counting->left = left;
    counting->calls = counting->outstanding = 0;
    return demo_with(NULL, &allocator, "%s", options);
}

/* Motion-JPEG of one size. */
static const char *jpegs(int frames)
{
    static char path[400];
    snprintf(path, sizeof path, "%s", in_folder("steady.mjpg"));
    FILE *file = clip_open(path);
    for (int i = 0; i < frames; i++) {
        struct vi_image image = clip_picture(&(struct clip){.cells = ONE}, i, SCALE);
        void *bytes;
        size_t size;
        if (vi_encode(&bytes, &size, &image, context, "jpeg", 90)) abort();
        fwrite(bytes, 1, size, file);
        nn_free(context, bytes);
        vi_image_free(context, &image);
    }
    if (fclose(file)) abort();
    return path;
}

static void test_steady(void)
{
    struct counting counting = {0};
    char options[1200];
    long calls[2];
    const char *path = jpegs(130); /* opening it once more would allocate */
    for (int i = 0; i < 2; i++) {
        snprintf(options, sizeof options, "-v %s --loop --max-frames %d -o %s --json", path,
                 i ? 120 : 60, in_folder("steady.avi"));
        int code = run_counted(&counting, -1, options);
        calls[i] = counting.calls;
        CHECK(code == 0 && counting.outstanding == 0, "all memory comes back");
    }
    /* An index grows, by doubling; who waits where differs from run to run. */
    CHECK(calls[1] <= calls[0] + 8, "60 frames more allocate no more: %ld and %ld", calls[0],
          calls[1]);
}

static void test_failing(void)
{
    struct counting counting = {0};
    char options[1200];
    int wrong = 0, failed = 0;
    snprintf(options, sizeof options, "-v %s --max-frames 3 -o %s --json --quiet",
             clip_of("few", 4, ONE, 0), in_folder("failing.avi"));
    run_counted(&counting, -1, options);
    const long all = counting.calls, step = test_emulated() ? all / 8 : all / 60;
    int kept = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDERR_FILENO);
    for (long left = 0; left<all; left += step> 0 ? step : 1) {
        int code = run_counted(&counting, left, options);
        failed += code == 1;
        wrong += counting.outstanding != 0 || (code != 0 && code != 1);
    }
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(nowhere);
    CHECK(failed > 5 && wrong == 0,
          "an allocation of %ld fails: an error (%d times), and nothing is lost; %d times not", all,
          failed, wrong);
}

/* ---- what is not as it should be ------------------------------------------------------------- */

static void write_text(const char *path, const char *what)
{
    FILE *file = clip_open(path);
    fputs(what, file);
    if (fclose(file)) abort();
}

static void test_bad_files(void)
{
    char clip[400];
    snprintf(clip, sizeof clip, "%s", clip_of("few", 4, ONE, 0));
    write_text(in_folder("nonsense"), "this is not what you want");
    const struct app_run *run = demo("-v %s", in_folder("missing.avi"));
    CHECK(run->code == 1 && strstr(run->err, "missing.avi"), "no video: %s", told(run));
    run = demo("-v %s", in_folder("nonsense"));
    CHECK(run->code == 1 && strstr(run->err, "nonsense"), "no video at all: %s", told(run));
    run = demo("-v %s -p %s", clip, in_folder("missing.dat"));
    CHECK(run->code == 1 && strstr(run->err, "missing.dat"), "no landmarks: %s", told(run));
    run = demo("-v %s -p %s", clip, in_folder("nonsense"));
    CHECK(run->code == 1 && strstr(run->err, "nonsense"), "these are none: %s", told(run));
    run = app_run(NULL, "demo -v %s -d %s -m %s --display none", clip, in_folder("nowhere"),
                  in_folder("real.safetensors"));
    CHECK(run->code == 1 && strstr(run->err, "nowhere"), "no detector: %s", told(run));
    run = app_run(NULL, "demo -v %s -d %s -m %s --display none", clip,
                  in_folder("tiny.safetensors"), in_folder("nonsense"));
    CHECK(run->code == 1 && strstr(run->err, "nonsense"), "no network: %s", told(run));
    run = demo("-v %s --real-label alive", clip);
    CHECK(run->code == 1 && strstr(run->err, "alive"), "a label it does not have: %s", told(run));
    run = demo("-v %s -o %s", clip, in_folder("nonsense/a.avi"));
    CHECK(run->code == 1 && strstr(run->err, "nonsense"), "nowhere to write: %s", told(run));
    run = demo("-v %s -o %s", clip, in_folder("a.xyz"));
    CHECK(run->code == 2 && strstr(run->err, "a.xyz"), "an unknown format: %s", told(run));
    setenv("DISPLAY", "/no/such/server", 1);
    run = demo("-v %s --display x11", clip);
    CHECK(run->code == 1 && strstr(run->err, "/no/such/server"), "no X server: %s", told(run));
    unsetenv("DISPLAY");
}

static int frames_in(const char *path)
{
    struct vi_capture *capture;
    struct vi_frame frame;
    int count = 0;
    bool end = false;
    if (vi_capture_open(&capture, context, path, NULL)) return -1;
    while (!vi_capture_read(capture, &frame, &end) && !end) count++;
    vi_capture_close(&capture);
    return count;
}

/* A limit on the size of files is what a full disk looks like. */
static void test_full_disk(void)
{
    struct rlimit before, small;
    struct stat whole;
    char clip[400];
    snprintf(clip, sizeof clip, "%s", clip_of("long", 60, ONE, 0));
    demo_with(NULL, NULL, "--quiet -v %s -o %s", clip, in_folder("whole.avi"));
    if (stat(in_folder("whole.avi"), &whole)) abort();
    if (getrlimit(RLIMIT_FSIZE, &before)) abort();
    small = before;
    small.rlim_cur = (rlim_t)whole.st_size / 2;
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &small)) abort();
    int alone = demo_with(NULL, NULL, "--quiet -v %s -o %s", clip, in_folder("full.avi"));
    int more = demo_with(NULL, NULL, "--json -v %s -o %s", clip, in_folder("full2.avi"));
    setrlimit(RLIMIT_FSIZE, &before);
    read_printed();
    int first = frames_in(in_folder("full.avi")), second = frames_in(in_folder("full2.avi"));
    CHECK(alone == 1 && first > 0 && first < 60, "the disk is full: exit code %d, %d frames play",
          alone, first);
    CHECK(more == 1 && count_of("\"frame\":") == 60 && second > 0,
          "--json goes on: exit code %d, %d lines, %d frames play", more, count_of("\"frame\":"),
          second);
}

int main(void)
{
    tiny_start();
    if (!CHECK(make_models(), "a detector and two networks")) return test_done();
    test_camera();
    test_driver();
    test_pause();
    test_steady();
    test_failing();
    test_bad_files();
    test_full_disk();
    return tiny_done();
}
