/*
 * test_record.c — recordings: which kind a name asks for and what is refused; numbered pictures,
 * y4m and raw pixels; full disks, gone readers, no memory. AVI is test_record_avi's, MP4
 * test_record_mp4's.
 */
#include "record_files.h"

#include <errno.h>
#include <sys/resource.h>

static struct nn_context *context;

static bool says(const char *words)
{
    if (strstr(nn_error(context), words)) return true;
    printf("# it says: %s\n", nn_error(context));
    return false;
}

/* ---- names and options ----------------------------------------------------------------------- */

static enum nn_status try_open(const char *path, int width, int height,
                               struct vi_recorder_options options)
{
    struct vi_recorder *recorder;
    enum nn_status status = vi_recorder_open(&recorder, context, path, width, height, &options);
    if (!status != (recorder != NULL)) abort();
    enum nn_status closed = vi_recorder_close(&recorder);
    return status ? status : closed;
}

static void test_names(void)
{
    static const struct {
        const char *name;
        struct vi_recorder_options options;
        const char *format, *codec;
    } cases[] = {
        {"a.avi", {0}, "avi", "mjpeg"},
        {"a.b.AVI", {0}, "avi", "mjpeg"},
        {"a.mp4", {0}, "mp4", "mjpeg"},
        {"a.mov", {.codec = "mjpeg"}, "mov", "mjpeg"},
        {"a.y4m", {0}, "y4m", ""},
        {"a%d.jpg", {0}, "pictures", ""},
        {"%06d.png", {0}, "pictures", ""},
        {"a%d.avi", {0}, "avi", "mjpeg"},
        {"a", {.format = "mp4"}, "mp4", "mjpeg"},
        {"a.avi", {.format = "raw"}, "raw", ""},
        {"a.mp4", {.format = "avi"}, "avi", "mjpeg"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vi_recorder *recorder;
        const char *path = in_folder(cases[i].name);
        enum nn_status status =
            vi_recorder_open(&recorder, context, path, 16, 16, &cases[i].options);
        CHECK(!status && strcmp(recorder->kind->format, cases[i].format) == 0 &&
                  strcmp(recorder->kind->codec, cases[i].codec) == 0,
              "%s is %s", cases[i].name, cases[i].format);
        CHECK(!vi_recorder_close(&recorder) && !recorder && !exists(path),
              "without a picture there is no file");
    }
}

static void test_refused(void)
{
    static const struct {
        const char *name;
        struct vi_recorder_options options;
        const char *says;
    } cases[] = {
        {"a.mkv", {0}, "ends in .avi, .mp4, .mov"},
        {"avi", {0}, "ends in .avi"},
        {"a.jpg", {0}, "out-%06d.jpg"},
        {"a%d.gif", {0}, "ends in .avi"},
        {"%s.jpg", {0}, "one %d or %06d"},
        {"%d%d.jpg", {0}, "one %d or %06d"},
        {"%d%%.jpg", {0}, "one %d or %06d"},
        {"%5d.jpg", {0}, "one %d or %06d"},
        {"%0d.jpg", {0}, "one %d or %06d"},
        {"%00d.jpg", {0}, "one %d or %06d"},
        {"%099d.jpg", {0}, "one %d or %06d"},
        {"%04294967297d.jpg", {0}, "one %d or %06d"},
        {"%-3d.jpg", {0}, "one %d or %06d"},
        {"%n.png", {0}, "one %d or %06d"},
        {"%ld.png", {0}, "one %d or %06d"},
        {"%.png", {0}, "one %d or %06d"},
        {"a.jpg", {.format = "pictures"}, "one %d or %06d"},
        {"a.avi", {.format = "gif"}, "'gif': expected avi, mp4"},
        {"a.avi", {.codec = "vp9"}, "avi holds no codec 'vp9'"},
        {"a.avi", {.codec = "h264"}, "avi holds no codec 'h264'"},
        {"a.y4m", {.codec = "mjpeg"}, "y4m holds no codec"},
        {"a.avi", {.rate = -1}, "rate -1"},
        {"a.avi", {.rate = 0.01}, "rate 0.01"},
        {"a.avi", {.rate = 1e9}, "rate 1e+09"},
        {"a.avi", {.rate = NAN}, "rate"},
        {"a.avi", {.quality = 101}, "quality: expected 1 to 100, got 101"},
        {"a.avi", {.quality = -1}, "quality"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum nn_status status = try_open(in_folder(cases[i].name), 16, 16, cases[i].options);
        CHECK(status == NN_ERROR_ARGUMENT && says(cases[i].says), "refused: %s", cases[i].name);
    }
    CHECK(try_open(in_folder("%d/a.jpg"), 16, 16, (struct vi_recorder_options){0}) &&
              says("expected a name"),
          "refused: a number in the folder's name");
    static const int sizes[][2] = {{0, 1}, {1, 0}, {-1, 5}, {65536, 1}, {60000, 60000}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(try_open(in_folder("a.avi"), sizes[i][0], sizes[i][1],
                       (struct vi_recorder_options){0}) == NN_ERROR_ARGUMENT &&
                  says("cannot record pictures of"),
              "refused: %dx%d", sizes[i][0], sizes[i][1]);
    CHECK(try_open(in_folder("none/a.avi"), 16, 16, (struct vi_recorder_options){0}) ==
                  NN_ERROR_IO &&
              says("none/a.avi") && says("No such file"),
          "a folder that is not there");
    CHECK(try_open(record_folder, 16, 16, (struct vi_recorder_options){.format = "mp4"}) ==
                  NN_ERROR_IO &&
              says("directory"),
          "a folder's name");
    CHECK(try_open("/dev/null", 16, 16, (struct vi_recorder_options){.format = "avi"}) ==
                  NN_ERROR_UNSUPPORTED &&
              says("no file: pipes take"),
          "an AVI to a device");
}

static void test_pictures_refused(void)
{
    const char *path = in_folder("a.avi");
    struct vi_recorder *recorder;
    uint8_t pixels[16 * 16 * 4] = {0};
    struct vi_image image = {pixels, 16, 16, 3, 48}, other = {pixels, 15, 16, 3, 48},
                    alpha = {pixels, 16, 16, 4, 64};
    if (vi_recorder_open(&recorder, context, path, 16, 16, NULL)) abort();
    CHECK(vi_recorder_write(recorder, &other, 0) == NN_ERROR_ARGUMENT && says("15x16x3"),
          "a picture of another size");
    CHECK(vi_recorder_write(recorder, &alpha, 0) == NN_ERROR_ARGUMENT && says("16x16x4"),
          "of RGBA");
    CHECK(vi_recorder_write(recorder, &image, NAN) == NN_ERROR_ARGUMENT && says("seconds"),
          "at no time");
    CHECK(vi_recorder_write(recorder, &image, INFINITY) == NN_ERROR_ARGUMENT, "at the end of time");
    CHECK(!vi_recorder_write(recorder, &image, 5) && !vi_recorder_close(&recorder),
          "the recording goes on");
    struct seen seen = see_path(context, path);
    CHECK(seen.count == 1 && seen.width == 16,
          "one picture, shorter than a second: there is a file");
    unlink(path);
    CHECK(!vi_recorder_close(&recorder), "closing twice");
}

/* What is there stays until there is something better. */
static void test_replacing(void)
{
    const char *path = in_folder("a.mp4"), *link = in_folder("link.mp4");
    struct file old = {0};
    struct vi_recorder *recorder;
    struct vi_recorder_options options = {.rate = 10};
    put_text(&old, "old");
    if (!file_write(&old, path) || chmod(path, 0640) || symlink("a.mp4", link)) abort();
    if (vi_recorder_open(&recorder, context, link, FILE_WIDTH, FILE_HEIGHT, &options)) abort();
    for (int i = 0; i < 10; i++)
        if (put_number_picture(recorder, i, i / 10.)) abort();
    struct file now = load(path);
    CHECK(now.size == 3, "within the first second the old file is there");
    file_free(&now);
    if (put_number_picture(recorder, 10, 1)) abort();
    now = load(path);
    struct stat info, link_info;
    CHECK(now.size > 3 && !stat(path, &info) && (info.st_mode & 0777) == 0640 &&
              !lstat(link, &link_info) && S_ISLNK(link_info.st_mode),
          "then the new one takes its place, its mode, and stays a link's");
    file_free(&now);
    CHECK(!vi_recorder_close(&recorder), "closed");
    file_free(&old);
    unlink(path);
    unlink(link);
}

/* ---- other kinds ----------------------------------------------------------------------------- */

static void test_numbered(void)
{
    static const char *const endings[] = {"%03d.jpg", "p%d.png"}, *const first[] = {"001.jpg",
                                                                                    "p1.png"};
    for (int i = 0; i < 2; i++) {
        if (mkdir(in_folder("pictures"), 0700)) abort();
        char pattern[600], name[600];
        snprintf(pattern, sizeof pattern, "%s/%s", in_folder("pictures"), endings[i]);
        snprintf(name, sizeof name, "%s/%s", in_folder("pictures"), first[i]);
        bool ok = !record_file(context, pattern, 12, (struct vi_recorder_options){0}, 0);
        struct seen seen = see_path(context, in_folder("pictures"));
        CHECK(ok && seen_in_order(&seen, 12) && exists(name), "numbered: %s", endings[i]);
        char command[700];
        snprintf(command, sizeof command, "rm -r '%s'", in_folder("pictures"));
        if (system(command)) abort();
    }
}

static void test_y4m(void)
{
    const char *path = in_folder("a.y4m");
    struct vi_recorder *recorder;
    struct vi_recorder_options options = {.rate = 29.97};
    uint8_t pixels[7 * 5 * 3];
    struct vi_image image = {pixels, 7, 5, 3, 21};
    static const struct vi_rgb colors[] = {{0, 0, 0},   {255, 255, 255}, {255, 0, 0},
                                           {0, 255, 0}, {0, 0, 255},     {90, 120, 200}};
    if (vi_recorder_open(&recorder, context, path, 7, 5, &options)) abort();
    for (int i = 0; i < 6; i++) {
        vi_fill(&image, colors[i]);
        if (vi_recorder_write(recorder, &image, i / 29.97)) abort();
    }
    if (vi_recorder_write(recorder, &image, 8 / 29.97)) abort(); /* two are repeated */
    CHECK(!vi_recorder_close(&recorder), "y4m of an odd size");
    static const char header[] = "YUV4MPEG2 W7 H5 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG "
                                 "XCOLORRANGE=LIMITED\nFRAME\n\20\20";
    struct file file = load(path);
    CHECK(file.size == sizeof header - 9 + 9 * (6 + 35 + 2 * 12) &&
              memcmp(file.data, header, sizeof header - 1) == 0 &&
              memchr(file.data + 100, 235, 200) != NULL,
          "its header, and black and white");
    file_free(&file);
    struct vi_capture *capture = NULL;
    struct vi_frame frame;
    bool end;
    int worst = 0, count = 0;
    if (vi_capture_open(&capture, context, path, NULL)) abort();
    while (!vi_capture_read(capture, &frame, &end) && !end) {
        struct vi_rgb color = colors[count < 5 ? count : 5];
        for (int i = 0; i < 7 * 5; i++) {
            const uint8_t *p = frame.image.pixels + i / 7 * frame.image.stride + i % 7 * 3;
            int d[3] = {abs(p[0] - color.r), abs(p[1] - color.g), abs(p[2] - color.b)};
            for (int c = 0; c < 3; c++) worst = d[c] > worst ? d[c] : worst;
        }
        count++;
    }
    vi_capture_close(&capture);
    CHECK(count == 9 && worst <= 3, "%d pictures are read back, off by %d", count, worst);
    if (has_ffmpeg()) CHECK(ffmpeg_likes(path, 9), "ffmpeg reads it without a word");
    unlink(path);
}

static void test_raw(void)
{
    const char *path = in_folder("out");
    uint8_t pixels[6 * 4 * 3 + 12];
    struct vi_image wide = {pixels, 6, 4, 3, 18}, part = vi_image_crop(&wide, 1, 1, 3, 2);
    struct vi_recorder *recorder;
    for (int i = 0; i < 72; i++) pixels[i] = (uint8_t)i;
    fflush(stdout);
    int kept = dup(STDOUT_FILENO), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (kept < 0 || file < 0 || dup2(file, STDOUT_FILENO) < 0) abort();
    enum nn_status status = vi_recorder_open(&recorder, context, "-", 3, 2, NULL);
    if (!status) status = vi_recorder_write(recorder, &part, 0);
    if (!status) status = vi_recorder_write(recorder, &part, 10);
    if (!status) status = vi_recorder_close(&recorder);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(file);
    struct file got = load(path);
    bool right = got.size == 36;
    for (int i = 0; right && i < 36; i++) right = got.data[i] == 21 + i % 18 / 9 * 18 + i % 9;
    CHECK(!status && right, "raw pixels to standard output");
    file_free(&got);
    unlink(path);
}

/* ---- when nothing goes any more -------------------------------------------------------------- */

static void test_gone_reader(void)
{
    int ends[2];
    char name[64];
    if (pipe(ends)) abort();
    snprintf(name, sizeof name, "/dev/fd/%d", ends[1]);
    struct vi_recorder *recorder;
    struct vi_recorder_options options = {.format = "raw"};
    if (vi_recorder_open(&recorder, context, name, FILE_WIDTH, FILE_HEIGHT, &options)) abort();
    CHECK(!put_number_picture(recorder, 0, 0), "a reader");
    close(ends[0]);
    CHECK(put_number_picture(recorder, 1, 1) == NN_ERROR_IO && says("Broken pipe") &&
              says("whoever read it has gone"),
          "that goes is an error");
    CHECK(put_number_picture(recorder, 2, 2) == NN_ERROR_IO && says("Broken pipe"),
          "and stays one");
    CHECK(vi_recorder_close(&recorder) == NN_ERROR_IO && says("Broken pipe") && !recorder,
          "up to the end");
    close(ends[1]);
    if (access("/dev/full", W_OK) != 0) {
        test_skip("a full device", "there is no /dev/full");
        return;
    }
    static const char *const formats[] = {"raw", "y4m", "mp4"};
    for (int i = 0; i < 3; i++)
        CHECK(record_file(context, "/dev/full", 5,
                          (struct vi_recorder_options){.format = formats[i]}, 0) == NN_ERROR_IO &&
                  says("No space left on device"),
              "%s to a full device", formats[i]);
}

/* A disk that is full after each of many numbers of bytes, as a limit on the size of files: what
 * was recorded before can be played, and nothing lies behind it. */
static void test_full_disk(void)
{
    static const char *const names[] = {"full.avi", "full.mp4", "full.y4m"};
    struct rlimit old, limit;
    signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &old)) abort();
    for (int i = 0; i < 3; i++) {
        const char *path = in_folder(names[i]);
        size_t bad = 0, files = 0, told = 0, tries = 0;
        for (size_t bytes = 500; bytes < 60000; bytes += bytes < 2000 ? 331 : 2711, tries++) {
            limit = old;
            limit.rlim_cur = bytes;
            fflush(stdout);
            if (setrlimit(RLIMIT_FSIZE, &limit)) abort();
            enum nn_status status =
                record_file(context, path, 30, (struct vi_recorder_options){.rate = 5}, 0);
            if (setrlimit(RLIMIT_FSIZE, &old)) abort();
            told += status == NN_ERROR_IO && says("File too large");
            bad += status && status != NN_ERROR_IO;
            if (!exists(path)) continue;
            struct seen seen = see_path(context, path);
            struct file file = load(path);
            bool whole = seen.count == 30;
            bad += !seen_in_order(&seen, seen.count) || !seen.count ||
                   (!status != whole && status) || (!whole && i < 2 && seen.count % 5);
            files++;
            file_free(&file);
            unlink(path);
        }
        CHECK(bad == 0 && told > 3 && files > 5 && files < tries,
              "%s: full %zu times of %zu, %zu can be played", names[i], told, tries, files);
    }
}

struct failing {
    long left; /* allocations that still succeed */
};

static void *failing_allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (failing->left-- <= 0) return NULL;
    return posix_memalign(&memory, 64, bytes) ? NULL : memory;
}

static void failing_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

static void test_failing_memory(void)
{
    static const char *const names[] = {"a.avi", "a.mp4", "a.y4m", "a%d.png", "a%d.jpg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct failing failing = {.left = 1000};
        struct nn_allocator allocator = {failing_allocate, failing_release, &failing};
        struct nn_context *own;
        if (nn_open(&own, &(struct nn_options){.threads = 1, .allocator = &allocator})) abort();
        size_t before = nn_bytes_allocated(own);
        bool clean = true;
        enum nn_status status = NN_ERROR_MEMORY;
        long n = 0;
        for (; status && n < 200; n++) {
            failing.left = n;
            status = record_file(own, in_folder(names[i]), 3, (struct vi_recorder_options){0}, 0);
            clean = clean && (!status || status == NN_ERROR_MEMORY) &&
                    nn_bytes_allocated(own) == before;
        }
        CHECK(clean && !status && n > 3, "%s: each of its %ld allocations may fail", names[i],
              n - 1);
        nn_close(&own);
        for (int k = 0; k < 4; k++) {
            char name[32];
            snprintf(name, sizeof name, "a%d.%s", k, i == 3 ? "png" : "jpg");
            unlink(in_folder(i < 3 ? names[i] : name));
        }
    }
}

/* Once pictures have been seen, none of them needs new memory. */
static void test_steady_memory(void)
{
    static const char *const names[] = {"a.avi", "a.mp4", "a.y4m"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct vi_recorder *recorder;
        if (vi_recorder_open(&recorder, context, in_folder(names[i]), FILE_WIDTH, FILE_HEIGHT,
                             NULL))
            abort();
        for (int k = 0; k < 70; k++)
            if (put_number_picture(recorder, k, k / 30.)) abort();
        size_t before = nn_allocations(context);
        for (int k = 70; k < 400; k++)
            if (put_number_picture(recorder, k, k / 30.)) abort();
        CHECK(nn_allocations(context) == before, "%s: pictures need no new memory", names[i]);
        if (vi_recorder_close(&recorder)) abort();
        unlink(in_folder(names[i]));
    }
}

int main(void)
{
    if (!record_begin() || nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    test_names();
    test_refused();
    test_pictures_refused();
    test_replacing();
    test_numbered();
    test_y4m();
    test_raw();
    test_gone_reader();
    test_full_disk();
    test_steady_memory();
    CHECK(nn_bytes_allocated(context) == before, "no memory is left");
    nn_close(&context);
    test_failing_memory();
    record_end();
    return test_done();
}
