/*
 * test_v4l2.c — a camera from opening to closing, with a driver that is played: choosing a mode,
 * frames, faults, unplugging. No camera is needed. Formats are test_v4l2_formats'.
 */
#include "fake_camera.h"

static struct nn_context *context;
static struct fake fake;
static struct vi_capture *capture;
static struct vi_frame frame;

static bool says(const char *text, const char *words)
{
    bool found = text && strstr(text, words) != NULL;
    if (!found) printf("# got: %s\n", text ? text : "(nothing)");
    return found;
}

static enum nn_status open_camera(const char *path, const struct vi_capture_options *options)
{
    return vi_capture_open_camera(&capture, context, path, options, &fake.system);
}

/* Small pictures, so that encoding them costs little. */
static const struct vi_capture_options tiny = {.width = 40, .height = 24};

static bool start_tiny(void)
{
    bool ok = open_camera("/dev/video0", &tiny) == NN_OK;
    if (!ok) printf("# %s\n", nn_error(context));
    return ok;
}

static bool stop(void)
{
    vi_capture_close(&capture);
    return fake_end(&fake);
}

/* Reads; which frame was it? -1: one with trouble, -2: an error. */
static int read_one(void)
{
    bool end = false;
    enum nn_status status = vi_capture_read(capture, &frame, &end);
    if (status) printf("# %s\n", nn_error(context));
    if (status || end) return -2;
    return frame.trouble ? -1 : frame_number(&frame.image);
}

static const struct vi_capture_info *info(void)
{
    return vi_capture_info(capture);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static void test_choosing(void)
{
    static const struct {
        int width, height;
        double rate;
        const char *format;
        int got_width, got_height;
        double got_rate;
    } rows[] = {
        {0, 0, 0, "YUYV", 640, 480, 30},      /* uncompressed where it is fast enough */
        {640, 480, 60, "MJPG", 640, 480, 60}, /* where not: compressed */
        {1280, 720, 30, "MJPG", 1280, 720, 30},  {1280, 720, 10, "YUYV", 1280, 720, 10},
        {640, 480, 15, "YUYV", 640, 480, 15}, /* no faster than wanted */
        {4000, 3000, 30, "MJPG", 1280, 720, 30}, {700, 500, 30, "YUYV", 640, 480, 30},
        {1, 1, 1, "YUYV", 40, 24, 30},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake_start(&fake, context);
        struct vi_capture_options options = {
            .width = rows[i].width, .height = rows[i].height, .rate = rows[i].rate};
        bool ok = open_camera("/dev/video0", &options) == NN_OK;
        CHECK(ok && info()->width == rows[i].got_width && info()->height == rows[i].got_height &&
                  fabs(info()->rate - rows[i].got_rate) < 0.1 && info()->live &&
                  info()->frames == -1 && fake.format.pixelformat == fake_fourcc(rows[i].format),
              "%dx%d at %.0f becomes %s %dx%d at %.0f", rows[i].width, rows[i].height, rows[i].rate,
              rows[i].format, rows[i].got_width, rows[i].got_height, rows[i].got_rate);
        CHECK(stop(), "and nothing stays open");
    }
}

static const struct fake_format ranges[] = {
    {"NV12",
     {{V4L2_FRMSIZE_TYPE_STEPWISE,
       1920,
       1080,
       32,
       32,
       16,
       V4L2_FRMIVAL_TYPE_STEPWISE,
       {{1, 60}, {1, 5}, {1, 1}}}}},
};
static const struct fake_format continuous[] = {
    {"YU12", {{V4L2_FRMSIZE_TYPE_CONTINUOUS, 0xffffffff, 0xffffffff, 1, 1, 1, 0, {{0, 0}}}}},
};
static const struct fake_format unlisted[] = {{"RGB3", {{0, 0, 0, 0, 0, 0, 0, {{0, 0}}}}}};
static const struct fake_format unreadable[] = {
    {"H264", {{V4L2_FRMSIZE_TYPE_DISCRETE, 640, 480, 0, 0, 0, 0, {{0, 0}}}}},
};

static bool one_frame_with(const struct fake_format *format, int width, int height)
{
    fake_start(&fake, context);
    memset(fake.formats, 0, sizeof fake.formats);
    fake.formats[0] = *format;
    struct vi_capture_options options = {.width = 100, .height = 50};
    bool ok = open_camera("/dev/video0", &options) == NN_OK && read_one() == 0 &&
              frame.image.width == width && frame.image.height == height;
    if (!ok) printf("# %s %dx%d\n", nn_error(context), frame.image.width, frame.image.height);
    return stop() && ok;
}

static void test_ranges(void)
{
    CHECK(one_frame_with(ranges, 96, 48), "steps of sizes and rates: the nearest one");
    CHECK(one_frame_with(continuous, 100, 50), "any size up to everything, rates not told");
    CHECK(one_frame_with(unlisted, 100, 50), "sizes not told: what the driver would take");
    fake_start(&fake, context);
    fake.formats[0] = unreadable[0];
    fake.formats[1].fourcc = NULL;
    CHECK(open_camera("0", &tiny) == NN_ERROR_IO && says(nn_error(context), "formats"),
          "only formats that are not read here: an error says so");
    CHECK(stop(), "and nothing stays open");
    fake_start(&fake, context);
    fake.other_format = true;
    CHECK(open_camera("0", &(struct vi_capture_options){.width = 640, .height = 480, .rate = 60}) ==
                  NN_OK &&
              read_one() == 0,
          "the driver's word counts where it takes another format than it was told");
    stop();
}

static void test_candidates(void)
{
    fake_start(&fake, context);
    fake.stream_error = ENOSPC;
    fake.stream_error_format = "YUYV";
    CHECK(start_tiny() && fake.format.pixelformat == V4L2_PIX_FMT_MJPEG && read_one() == 0,
          "no room on the bus for one format: the next best is taken");
    CHECK(stop(), "and nothing stays open");
    fake_start(&fake, context);
    fake.stream_error = ENOSPC;
    CHECK(open_camera("/dev/video0", &tiny) == NN_ERROR_IO && says(nn_error(context), "USB bus") &&
              !capture,
          "no room for any: an error in plain words");
    CHECK(stop(), "and nothing stays open");
    fake_start(&fake, context);
    fake.nodes[0].busy = EBUSY;
    fake.lists[0].path = "/proc", fake.lists[0].text = "acpi 1 4711 self";
    fake.lists[1].path = "/proc/4711/fd", fake.lists[1].text = "0 1 17";
    fake.links[0].path = "/proc/4711/fd/17", fake.links[0].text = "/dev/video0";
    fake.texts[0].path = "/proc/4711/comm", fake.texts[0].text = "cheese\n";
    CHECK(open_camera("/dev/video0", &tiny) == NN_ERROR_IO &&
              says(nn_error(context), "in use by 'cheese' (process 4711)"),
          "who has it is named");
    CHECK(stop(), "and nothing stays open");
}

/* ---- which one ------------------------------------------------------------------------------- */

static void test_names(void)
{
    static const char *const good[] = {"/dev/video0", "0", "camera:webcam",
                                       "camera:", "/dev/v4l/by-id/usb-Logitech-video-index0"};
    static const struct {
        enum nn_status status;
        const char *path, *says;
    } bad[] = {
        {NN_ERROR_ARGUMENT, "/dev/video1",
         "is the metadata node of 'HD Webcam C270' and gives no pictures; its "
         "pictures come from /dev/video0"},
        {NN_ERROR_IO, "7", "there is no camera '7'; there are: /dev/video0 ('HD Webcam C270')"},
        {NN_ERROR_IO, "/dev/video9", "there is no camera '/dev/video9'"},
        {NN_ERROR_IO, "camera:Laptop", "no camera's name holds 'Laptop'; there are: /dev/video0"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        fake_start(&fake, context);
        fake.links[0].path = "/dev/v4l/by-id/usb-Logitech-video-index0";
        fake.links[0].text = "../../video0";
        CHECK(vi_is_camera(good[i], &fake.system) && open_camera(good[i], &tiny) == NN_OK &&
                  read_one() == 0 && stop(),
              "opens '%s'", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fake_start(&fake, context);
        CHECK(vi_is_camera(bad[i].path, &fake.system) &&
                  open_camera(bad[i].path, &tiny) == bad[i].status &&
                  says(nn_error(context), bad[i].says) && stop(),
              "does not open '%s', and says why", bad[i].path);
    }
    CHECK(!vi_is_camera("tests/test.h", &vi_camera_linux) &&
              !vi_is_camera("/dev/null", &vi_camera_linux) && !vi_is_camera("-", &fake.system) &&
              !vi_is_camera("12345", &fake.system) && !vi_is_camera("video.avi", &fake.system),
          "files, other devices and standard input are no cameras");
    fake_start(&fake, context);
    memset(fake.nodes, 0, sizeof fake.nodes);
    CHECK(open_camera("0", NULL) == NN_ERROR_IO &&
              says(nn_error(context), "there is no camera here"),
          "a machine without any says so");
    fake_start(&fake, context);
    fake.nodes[0].open_error = EACCES;
    fake.nodes[0].group = 44;
    fake.texts[0].path = "/etc/group", fake.texts[0].text = "root:x:0:\nvideo:x:44:ann\n";
    CHECK(open_camera("0", NULL) == NN_ERROR_IO &&
              says(nn_error(context), "group 'video' may use it; join with `sudo usermod -aG"),
          "without permission the group is named");
    fake.nodes[0].open_error = EPERM;
    CHECK(open_camera("0", NULL) == NN_ERROR_IO && says(nn_error(context), "container"),
          "and what a container lacks");
    fake.nodes[0].open_error = 0;
    fake.nodes[0].query_error = ENOTTY;
    CHECK(open_camera("0", NULL) == NN_ERROR_IO && says(nn_error(context), "not a video device"),
          "a device of another kind is refused");
    CHECK(stop(), "and nothing stays open");
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Are all rows as the first one, at their beginnings and ends? */
static bool is_whole(void)
{
    const struct vi_image *image = &frame.image;
    bool ok = true;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x += image->width - 1)
            ok = ok && abs(image->pixels[y * image->stride + 3 * x] - image->pixels[0]) < 8;
    return ok;
}

/* Frames come one by one with the time they were taken. */
static bool plain_run(void)
{
    if (!start_tiny()) return false;
    bool ok = true;
    double last = 0;
    for (int i = 0; i < 6 && ok; i++) {
        ok = read_one() == i && is_whole() && frame.index == i && frame.arrived > last &&
             frame.seconds >= 0 &&
             fabs(frame.arrived - 1000.01 -
                  i * fake.interval.numerator / (double)fake.interval.denominator) < 2e-3;
        if (!ok) printf("# frame %d: %.4f\n", frame_number(&frame.image), frame.arrived);
        last = frame.arrived;
    }
    ok = ok && info()->lost == 0 && info()->broken == 0 && !strcmp(info()->format, "camera");
    return stop() && ok;
}

static void test_plain(void)
{
    fake_start(&fake, context);
    CHECK(plain_run(), "frames by shared memory");
    fake_start(&fake, context);
    fake.formats[0] = fake.formats[1];
    fake.formats[1].fourcc = NULL;
    CHECK(plain_run(), "Motion-JPEG without Huffman tables");
    for (int buffers = 1; buffers <= 8; buffers += buffers == 3 ? 5 : 1) {
        fake_start(&fake, context);
        fake.buffers = buffers;
        CHECK(plain_run(), "the driver gives %d buffer%s", buffers, buffers == 1 ? "" : "s");
    }
    fake_start(&fake, context);
    fake.nodes[0].capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_READWRITE;
    CHECK(plain_run() && fake.requested == 0, "a device that knows read() only");
    fake_start(&fake, context);
    fake.planes = true;
    fake.nodes[0].capabilities = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
    CHECK(plain_run(), "the multi-planar API");
    fake_start(&fake, context);
    fake.clockless = true;
    CHECK(plain_run(), "no time stamps: the clock when it was there");
    fake_start(&fake, context);
    fake.no_size_image = true;
    CHECK(plain_run(), "bytesperline and sizeimage are 0");
    fake_start(&fake, context);
    fake.lies = true;
    CHECK(plain_run(), "sizeimage is 1");
    fake_start(&fake, context);
    fake.lies = true;
    fake.nodes[0].capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_READWRITE;
    CHECK(plain_run(), "and so for read()");
    fake_start(&fake, context);
    fake.padding = 24;
    CHECK(plain_run(), "rows have padding");
    fake_start(&fake, context);
    fake.full_range = true;
    CHECK(plain_run(), "full range");
    fake_start(&fake, context);
    fake.faults[0] = (struct fake_fault){2, FAKE_EINTR};
    CHECK(plain_run(), "interrupted by a signal");
    fake_start(&fake, context);
    fake.no_poll = true;
    if (start_tiny())
        CHECK(read_one() == 0 && read_one() == 1 && stop(),
              "a driver whose poll() is always ready");
    fake_start(&fake, context);
    fake.faults[0] = (struct fake_fault){1, FAKE_BAD_STAMP};
    CHECK(start_tiny() && read_one() == 0 && frame.arrived < 1001,
          "a time to come is not believed");
    stop();
}

static void test_newest(void)
{
    fake_start(&fake, context);
    bool ok = start_tiny() && read_one() == 0;
    fake.time += 2 / 30.0;
    CHECK(ok && read_one() == 2 && info()->lost == 1 && frame.index == 2,
          "who is late by a frame gets the newest, and the other is lost");
    fake.time += 1;
    int number = read_one();
    CHECK(frame.index > 30 && number == frame.index % 20 && fake.time - frame.arrived < 0.035 &&
              frame.index == info()->lost + 2,
          "after a second, what all buffers hold is old: the next one is waited for");
    int64_t lost = info()->lost;
    CHECK(read_one() >= number && info()->lost <= lost + 1, "and then they come in order");
    CHECK(vi_capture_skip(capture, 3) == NN_OK && read_one() >= 0 && stop(),
          "frames can be passed over");
    fake_start(&fake, context);
    fake.nodes[0].capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_READWRITE;
    ok = start_tiny() && read_one() == 0;
    fake.time += 1;
    CHECK(ok && read_one() >= 9 && fake.frame > 30, "the newest by read(), too");
    stop();
}

/* The frame with the fault is passed over and counted; the one after it comes. */
static void test_faults(void)
{
    static const struct {
        enum fake_what what;
        const char *name, *says;
        const char *format;
    } rows[] = {
        {FAKE_SHORT, "short", "frame 1 is short: 960 of 1920 bytes", "YUYV"},
        {FAKE_FLAGGED, "flagged by the driver", "on its way", "YUYV"},
        {FAKE_EMPTY, "empty", "", "YUYV"},
        {FAKE_SHORT, "half a JPEG", "truncated JPEG", "MJPG"},
        {FAKE_CORRUPT, "a corrupt JPEG", "JPEG", "MJPG"},
        {FAKE_FLAGGED, "a JPEG flagged by the driver", "on its way", "MJPG"},
        {FAKE_EMPTY, "a JPEG of no bytes", "", "MJPG"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake_start(&fake, context);
        fake.formats[0] = fake_formats[rows[i].format[0] == 'M'];
        fake.formats[1].fourcc = NULL;
        fake.faults[0] = (struct fake_fault){2, rows[i].what};
        bool ok = start_tiny() && read_one() == 0 && read_one() == 2 && frame.index == 2 &&
                  info()->broken == 1 && says(info()->last_broken, rows[i].says) &&
                  read_one() == 3 && stop();
        CHECK(ok, "%s: counted, and the next one is good", rows[i].name);
    }
    fake_start(&fake, context);
    fake.faults[0] = (struct fake_fault){2, FAKE_OVERLONG};
    CHECK(start_tiny() && read_one() == 0 && read_one() == 1 && stop(),
          "more bytes than the buffer has: only the buffer is read");
    fake_start(&fake, context);
    fake.formats[0] = fake_formats[1];
    fake.formats[1].fourcc = NULL;
    fake.faults[0] = (struct fake_fault){2, FAKE_OVERLONG};
    CHECK(start_tiny() && read_one() == 0 && read_one() == 1 && stop(),
          "nor does a JPEG go on behind its buffer");
    fake_start(&fake, context);
    fake.nodes[0].capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_READWRITE;
    fake.faults[0] = (struct fake_fault){2, FAKE_SHORT};
    CHECK(start_tiny() && read_one() == 0 && read_one() == 2 && info()->broken == 1 && stop(),
          "a short read() is counted");
    fake_start(&fake, context);
    fake.faults[0] = (struct fake_fault){2, FAKE_LATE};
    fake.faults[1] = (struct fake_fault){3, FAKE_LATE};
    CHECK(start_tiny() && read_one() == 0 && read_one() == 3 && info()->lost == 2 && stop(),
          "frames that never come are lost");
}

/* ---- trouble --------------------------------------------------------------------------------- */

static bool is_no_signal(void)
{
    const uint8_t *p = frame.image.pixels;
    return p && p[0] == 40 && p[1] == 44 && p[2] == 52;
}

static void test_silence(void)
{
    fake_start(&fake, context);
    fake.frames_limit = 3;
    bool ok = start_tiny() && read_one() == 0 && read_one() == 1 && read_one() == 2;
    double before = fake.time;
    vi_fill(&frame.image, (struct vi_rgb){0, 0, 0});
    CHECK(ok && read_one() == -1 && frame_number(&frame.image) == 2 && fake.time - before < 0.6,
          "none for half a second: the last one again, without what was drawn on it");
    CHECK(says(frame.trouble, "'HD Webcam C270': no good picture for 0.5 s"), "and it is said");
    int reads = 0;
    for (; reads < 20 && !is_no_signal(); reads++) read_one();
    CHECK(reads < 10 && frame.trouble && is_no_signal(), "after three seconds: no signal");
    fake.frames_limit = 0;
    fake.frame = 10;
    for (reads = 0; reads < 30 && frame.trouble; reads++) read_one();
    CHECK(!frame.trouble && frame_number(&frame.image) >= 10, "set up anew, it goes on");
    CHECK(stop(), "and nothing stays open");
    fake_start(&fake, context);
    fake.formats[0] = fake.formats[1];
    fake.formats[1].fourcc = NULL;
    fake.broken_run = 3;
    ok = start_tiny() && read_one() == 0 && read_one() == 1;
    CHECK(ok && read_one() == -1 && frame_number(&frame.image) == 1 && info()->broken > 5 &&
              says(frame.trouble, "no good picture"),
          "nothing but corrupt frames: counted, and the last good one stays");
    CHECK(stop(), "and nothing stays open");
}

/* Unplugged at once or while waiting, back under its own or another number. */
static void test_unplugging(int number, bool other_before)
{
    fake_start(&fake, context);
    fake.unplug_at = 1000.1;
    fake.replug_at = 1005;
    fake.replug_number = number;
    if (other_before) { /* another camera of another kind has taken its number */
        fake.nodes[2] = fake.nodes[0];
        fake.nodes[2].card = "Virtual Camera";
        fake.nodes[2].bus = "platform:v4l2loopback";
        fake.nodes[2].number = 2;
    }
    bool ok = start_tiny();
    int good = 0, reads = 0;
    double slowest = 0, gone_at = 0, opened = fake.opened, told = 0;
    while (ok && reads < 200 && fake.time < 1007) {
        double before = fake.time;
        int got = read_one();
        if (got < -1) break;
        if (frame.seconds < told) ok = false;
        told = frame.seconds;
        if (got >= 0 && !gone_at) good++;
        if (got == -1 && !gone_at) {
            gone_at = fake.time;
            if (other_before) fake.nodes[2].number = 0;
        }
        if (got == -1 && !(is_no_signal() && says(frame.trouble, "unplugged"))) ok = false;
        if (got >= 0 && gone_at && fake.time < 1005) ok = false;
        if (fake.time - before > slowest) slowest = fake.time - before;
        reads++;
        if (got >= 0 && gone_at) break;
    }
    CHECK(ok && good == 3 && fabs(gone_at - 1000.1) < 0.05 && slowest < 0.6,
          "unplugged: said at once, and no read takes long");
    CHECK(!frame.trouble && fake.time > 1005 && fake.time < 1006.3 && fake.opened - opened < 60,
          "plugged in as /dev/video%d%s: it goes on", number,
          other_before ? " beside another camera" : "");
    CHECK(read_one() > 0 && stop(), "and nothing stays open");
}

static void test_errors(void)
{
    fake_start(&fake, context);
    fake.faults[0] = (struct fake_fault){3, FAKE_EIO};
    bool ok = start_tiny() && read_one() == 0 && read_one() == 1 && read_one() == -1;
    CHECK(ok && says(frame.trouble, "does not answer") && is_no_signal(), "an error of the driver");
    int reads = 0;
    while (reads < 20 && read_one() == -1) reads++;
    CHECK(!frame.trouble && stop(), "it is set up anew");
    fake_start(&fake, context);
    for (int i = 0; i < 8; i++) fake.faults[i] = (struct fake_fault){i + 1, FAKE_EIO};
    ok = start_tiny();
    for (reads = 0; ok && reads < 200 && read_one() == -1; reads++) continue;
    CHECK(!frame.trouble && fake.opened == 9 && fake.time > 1007.9 && stop(),
          "but once a second, not all the time");
    fake_start(&fake, context);
    fake.faults[0] = (struct fake_fault){2, FAKE_BAD_INDEX};
    CHECK(start_tiny() && read_one() == 0 && read_one() == -1 && is_no_signal() && stop(),
          "a buffer that does not exist");
    fake_start(&fake, context);
    ok = start_tiny() && read_one() == 0;
    fake.nodes[0].open_error = EBUSY;
    fake.unplug_at = fake.time;
    fake.replug_at = fake.time + 0.5;
    for (reads = 0; ok && reads < 40; reads++) ok = read_one() == -1;
    fake.nodes[0].open_error = 0;
    for (reads = 0; ok && reads < 40 && read_one() == -1; reads++) continue;
    CHECK(ok && !frame.trouble, "taken by another program on its return: tried until it is free");
    CHECK(stop(), "and nothing stays open");
    fake_start(&fake, context);
    CHECK(open_camera("0", &(struct vi_capture_options){.max_pixels = 100}) == NN_ERROR_ARGUMENT &&
              says(nn_error(context), "megapixels") && stop(),
          "the limit on pixels holds");
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void test_steady(const char *name, int format)
{
    fake_start(&fake, context);
    fake.formats[0] = fake_formats[format];
    fake.formats[1].fourcc = NULL;
    struct nn_context *encoder = NULL;
    if (nn_open(&encoder, &(struct nn_options){.threads = 1})) abort();
    fake.context = encoder;
    bool ok = start_tiny();
    for (int i = 0; i < 8 && ok; i++) ok = read_one() == i;
    size_t before = nn_allocations(context);
    for (int i = 8; i < 20 && ok; i++) ok = read_one() == i;
    CHECK(ok && nn_allocations(context) == before, "%s: no allocation per frame", name);
    stop();
    nn_close(&encoder);
}

struct failing {
    long calls, fails_at, blocks;
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (++failing->calls == failing->fails_at || posix_memalign(&memory, 64, bytes)) return NULL;
    failing->blocks++;
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    (void)bytes;
    ((struct failing *)user)->blocks--;
    free(memory);
}

/* Every allocation fails once: an error, and nothing is lost. */
static void test_memory(void)
{
    bool ok = true, ended = false;
    int fails = 0;
    for (int at = 3; at < 100 && ok && !ended; at++) {
        struct failing failing = {.fails_at = at};
        struct nn_allocator allocator = {allocate, release, &failing};
        struct nn_context *small = NULL;
        enum nn_status status =
            nn_open(&small, &(struct nn_options){.threads = 1, .allocator = &allocator});
        bool end = false;
        fake_start(&fake, context);
        fake.formats[0] = fake.formats[1];
        fake.formats[1].fourcc = NULL;
        if (!status) status = vi_capture_open_camera(&capture, small, "0", &tiny, &fake.system);
        for (int i = 0; i < 3 && !status; i++) status = vi_capture_read(capture, &frame, &end);
        ended = !status && failing.calls < at;
        ok = ended || status == NN_ERROR_MEMORY;
        if (status) fails++;
        if (!ok) printf("# allocation %d: status %d\n", at, status);
        ok = stop() && ok;
        nn_close(&small);
        if (failing.blocks) ok = false;
    }
    CHECK(ok && ended && fails > 10, "each of %d allocations fails once: an error, no leak", fails);
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    test_choosing();
    test_ranges();
    test_candidates();
    test_names();
    test_plain();
    test_newest();
    test_faults();
    test_silence();
    test_unplugging(0, false);
    test_unplugging(4, false);
    test_unplugging(4, true);
    test_errors();
    test_steady("YUYV", 0);
    test_steady("Motion-JPEG", 1);
    test_memory();
    nn_close(&context);
    return test_done();
}
