/*
 * test_cameras.c — the list of cameras and what `liveness cameras` makes of it: a webcam with its
 * metadata node, cameras that are busy, forbidden, damaged; none at all.
 */
#include "apps/cameras.h"
#include "app_run.h"
#include "fake_camera.h"

static struct nn_context *context;
static struct fake fake;

static bool says(const char *text, const char *words)
{
    bool found = text && strstr(text, words) != NULL;
    if (!found) printf("# wanted: %s\n# got:\n%s\n", words, text ? text : "(nothing)");
    return found;
}

/* The table, or JSON, of what the fake has; the caller's to free. */
static struct nn_text listed(bool json)
{
    struct nn_text text = {.context = context};
    struct vi_camera *cameras;
    int count;
    if (vi_cameras_list_on(&cameras, &count, context, &fake.system)) abort();
    if (json)
        cameras_json(&text, cameras, count);
    else
        cameras_table(&text, cameras, count);
    vi_cameras_free(&cameras, &count, context);
    return text;
}

static void test_table(void)
{
    static const char expected[] =
        "/dev/video0   HD Webcam C270  (uvcvideo, usb-0000:00:14.0-2)\n"
        "  format  size      frames per second\n"
        "  YUYV    640x480   30 15\n"
        "          1280x720  10\n"
        "          40x24     30\n"
        "  MJPG    640x480   60 30\n"
        "          1280x720  30\n"
        "          40x24     60\n"
        "  At 1280x720 the USB bus carries 10 frames per second of YUYV, 30 of MJPG; what is fast "
        "enough is taken.\n"
        "/dev/video1   HD Webcam C270: metadata, no pictures\n";
    fake_start(&fake, context);
    fake.formats[0].sizes[2].intervals[0] = (struct v4l2_fract){1, 50};
    fake.formats[0].sizes[0].intervals[0] = (struct v4l2_fract){1, 50};
    fake.formats[0].sizes[0].intervals[1] = (struct v4l2_fract){1, 15};
    struct nn_text text = listed(false);
    char *wanted = strdup(expected);
    memcpy(strstr(wanted, "30 15"), "50 15", 5);
    memcpy(strstr(wanted, "40x24     30"), "40x24     50", 12);
    CHECK(says(text.data, wanted) && strlen(text.data) == strlen(wanted),
          "a webcam: formats, sizes and rates, lined up, and what the bus carries");
    free(wanted);
    nn_text_free(&text);
    CHECK(fake_end(&fake), "nothing stays open");
}

static void test_ranges(void)
{
    fake_start(&fake, context);
    fake.formats[0] = (struct fake_format){"NV12",
                                           {{V4L2_FRMSIZE_TYPE_STEPWISE,
                                             1920,
                                             1080,
                                             32,
                                             32,
                                             16,
                                             V4L2_FRMIVAL_TYPE_STEPWISE,
                                             {{1, 60}, {1, 5}, {1, 1}}}}};
    fake.formats[1] = (struct fake_format){
        "H264", {{V4L2_FRMSIZE_TYPE_DISCRETE, 640, 480, 0, 0, 0, 0, {{0, 0}}}}};
    struct nn_text text = listed(false);
    CHECK(says(text.data, "  NV12    32x32 .. 1920x1080, every 16  60 .. 5\n"),
          "ranges of sizes and rates");
    CHECK(says(text.data, "  H264    640x480                       -  (not read here)\n"),
          "a format that is not read, and rates that are not told");
    nn_text_free(&text);
    text = listed(true);
    CHECK(says(text.data, "\"least_width\":32,\"least_height\":32,\"step_width\":16") &&
              says(text.data, "\"any_rate\":true,\"rates\":[60,5]"),
          "the same in JSON");
    nn_text_free(&text);
    CHECK(fake_end(&fake), "nothing stays open");
}

static void test_troubles(void)
{
    fake_start(&fake, context);
    for (int i = 2; i < 6; i++) {
        fake.nodes[i] = fake.nodes[0];
        fake.nodes[i].number = 6 - i; /* 4, 3, 2, 1: listed by number */
    }
    fake.nodes[1].number = 11;
    fake.nodes[2].open_error = EACCES;
    fake.nodes[2].group = 44;
    fake.nodes[3].busy = EBUSY;
    fake.nodes[4].query_error = ENOTTY;
    fake.nodes[5].card = "evil\033[2Jname with more than 32 bytes";
    fake.nodes[5].capabilities = V4L2_CAP_VIDEO_OUTPUT;
    fake.texts[0].path = "/etc/group", fake.texts[0].text = "audio:x:29:\nvideo:x:44:\n";
    fake.lists[0].path = "/proc", fake.lists[0].text = "1 99";
    fake.lists[1].path = "/proc/99/fd", fake.lists[1].text = "3";
    fake.links[0].path = "/proc/99/fd/3", fake.links[0].text = "/dev/video3";
    fake.texts[1].path = "/proc/99/comm", fake.texts[1].text = "obs\n";
    struct nn_text text = listed(false);
    CHECK(says(text.data, "\n/dev/video4   ?\n  permission denied: group 'video' may use it"),
          "forbidden: the group that may");
    CHECK(says(text.data, "-2)\n  in use by 'obs' (process 99)\n  format"),
          "busy: who has it, and still what it can do");
    CHECK(says(text.data, "\n/dev/video2   ?\n  not a video device\n"), "no camera at all");
    CHECK(says(text.data, "'evil\\x1B[2Jname with more than 32 b': output, no pictures"),
          "an output; a name without an end does not move the cursor");
    CHECK(strstr(text.data, "video4") < strstr(text.data, "video11"), "in the order of numbers");
    nn_text_free(&text);
    text = listed(true);
    struct nn_json *root = NULL;
    const struct nn_json *list = NULL;
    if (nn_json_parse(&root, context, text.data, text.size, "list") == NN_OK)
        list = nn_json_get(root, "cameras");
    CHECK(list != NULL && says(text.data, "{\"path\":\"/dev/video3\",\"name\":\"HD Webcam C270\","
                                          "\"driver\":\"uvcvideo\",\"bus\":\"usb-0000:00:14.0-2\","
                                          "\"use\":\"capture\",\"trouble\":\"in use by 'obs'"),
          "the same in JSON");
    nn_json_free(&root);
    nn_text_free(&text);
    fake.nodes[3].busy = ENOTTY;
    fake.lists[0].path = NULL;
    fake.nodes[0].busy = EBUSY;
    text = listed(false);
    CHECK(says(text.data, "in use by a program that cannot be seen from here; `sudo fuser -v "
                          "/dev/video0` tells"),
          "busy by somebody else's program");
    nn_text_free(&text);
    CHECK(fake_end(&fake), "nothing stays open");
}

static void test_memory(void)
{
    struct vi_camera *cameras;
    int count;
    size_t before = nn_bytes_allocated(context);
    fake_start(&fake, context);
    vi_cameras_list_on(&cameras, &count, context, &fake.system);
    CHECK(count == 2 && cameras[0].mode_count == 6 && cameras[1].mode_count == 0, "two nodes");
    vi_cameras_free(&cameras, &count, context);
    CHECK(count == 0 && !cameras && nn_bytes_allocated(context) == before,
          "freed to the last byte");
    CHECK(fake_end(&fake), "nothing stays open");
}

static void test_command(void)
{
    const struct app_run *run = app_run(NULL, "cameras --json");
    CHECK(run->code == 0 && says(run->out, "{\"cameras\":["), "liveness cameras --json");
    bool none = strcmp(run->out, "{\"cameras\":[]}\n") == 0;
    run = app_run(NULL, "cameras");
    CHECK(run->code == 0, "liveness cameras");
    if (none)
        CHECK(!*run->out && says(run->err, "There is no camera here. A recorded stream (.mjpg, "
                                           ".y4m) stands in for one"),
              "without a camera it says what stands in for one");
    else
        test_skip("without a camera it says what stands in for one", "there is one here");
    run = app_run(NULL, "cameras /dev/video0");
    CHECK(run->code == 2, "arguments are refused");
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    test_table();
    test_ranges();
    test_troubles();
    test_memory();
    test_command();
    nn_close(&context);
    return test_done();
}
