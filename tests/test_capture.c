/* test_capture.c — videos written here and read back: AVI in all its layouts, streams of JPEGs,
 * folders of pictures; from files, pipes and standard input. y4m is test_capture_y4m's, damage
 * test_capture_damage's. */
#include "capture_files.h"

#include <ftw.h>
#include <signal.h>

static struct nn_context *context;
static char folder[64];

/* Frames in order, of which the numbers are first, first + 1 ... but for those in `missing`. */
static bool are_frames(const struct seen *seen, int count, int missing)
{
    bool ok = seen->count == count && !seen->status;
    for (int i = 0; ok && i < count; i++) {
        int number = i + (missing >= 0 && i >= missing);
        ok = seen->numbers[i] == number && seen->indices[i] == number;
    }
    if (!ok) {
        printf("# status %d, %d frames:", seen->status, seen->count);
        for (int i = 0; i < seen->count && i < 64; i++) printf(" %d", seen->numbers[i]);
        printf("; broken %lld: %s %s\n", (long long)seen->info.broken, seen->info.last_broken,
               seen->error);
    }
    return ok;
}

static bool says(const char *text, const char *words)
{
    bool found = strstr(text, words) != NULL;
    if (!found) printf("# got: %s\n", text);
    return found;
}

static const char *path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- AVI ------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct avi_file avi;
    int64_t frames; /* info.frames */
} layouts[] = {
    {"plain", {.frames = 12}, 12},
    {"sound before the video", {.frames = 5, .audio = true}, 5},
    {"frames within 'rec ' lists", {.frames = 5, .audio = true, .records = true}, 5},
    {"killed: sizes 0, no index", {.frames = 5, .audio = true, .killed = true}, 5},
    {"odd chunks not padded", {.frames = 8, .audio = true, .unpadded = true}, 8},
    {"no Huffman tables", {.frames = 3, .no_tables = true}, 3},
    {"OpenDML: two segments", {.frames = 4, .frames_after = 5}, 9},
    {"another name of the codec", {.frames = 2, .codec = "dmb1"}, 2},
    {"one frame", {.frames = 1}, 1},
};

static void test_avi_layouts(void)
{
    static const char *const ways[] = {"file", "pipe", "pipe, 7 bytes at a time"};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct avi_file avi = layouts[i].avi;
        struct file file = avi_write(context, &avi);
        for (enum way way = BY_FILE; way <= BY_DRIPS; way++) {
            struct seen seen = see(context, &file, way, 0);
            CHECK(are_frames(&seen, avi.frames + avi.frames_after, -1) && seen.info.broken == 0 &&
                      seen.info.frames == layouts[i].frames && seen.info.rate == 25 &&
                      !strcmp(seen.info.format, "avi") && seen.info.width == FILE_WIDTH &&
                      seen.info.height == FILE_HEIGHT && seen.width == FILE_WIDTH &&
                      fabs(seen.seconds - (seen.count - 1) / 25.0) < 1e-9,
                  "AVI, %s, from a %s", layouts[i].name, ways[way]);
        }
        file_free(&file);
    }
}

static void test_avi_frames(void)
{
    struct avi_file avi = {.frames = 5, .rate = 30000, .scale = 1001, .dropped = 3};
    struct file file = avi_write(context, &avi);
    struct seen seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.count == 5 && seen.numbers[2] == 1 && seen.numbers[3] == 3 &&
              seen.info.broken == 0 && fabs(seen.info.rate - 29.97003) < 1e-4,
          "an empty chunk shows the frame before it again");
    file_free(&file);
    avi = (struct avi_file){.frames = 3, .dropped = 1};
    file = avi_write(context, &avi);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.count == 2 && seen.numbers[0] == 1 && seen.indices[0] == 1 &&
              seen.info.broken == 1 && says(seen.info.last_broken, "none"),
          "unless there is none before it");
    file_free(&file);
    avi = (struct avi_file){.frames = 4, .resized = 3};
    file = avi_write(context, &avi);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(are_frames(&seen, 4, -1) && seen.width == 2 * FILE_WIDTH && seen.info.width == FILE_WIDTH,
          "frames may change their size");
    file_free(&file);
    avi = (struct avi_file){.declared = {60000, 60000}, .frames = 2};
    file = avi_write(context, &avi);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(are_frames(&seen, 2, -1), "a giant size in the header is not believed");
    file_free(&file);
    avi = (struct avi_file){.declared = {FILE_WIDTH, 2 * FILE_HEIGHT}, .frames = 2};
    file = avi_write(context, &avi);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.count == 0 && seen.info.broken == 2 && says(seen.info.last_broken, "two fields"),
          "fields are not taken for frames");
    file_free(&file);
    avi = (struct avi_file){.frames = 0};
    file = avi_write(context, &avi);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.opened && !seen.status && seen.count == 0 && seen.info.frames == -1,
          "a video of no frames has none");
    file_free(&file);
}

static void test_avi_others(void)
{
    struct avi_file avi = {.frames = 2, .codec = "H264"};
    struct file file = avi_write(context, &avi);
    struct seen seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.status == NN_ERROR_UNSUPPORTED && says(seen.error, "'H264'") &&
              says(seen.error, "ffmpeg -i IN -c:v mjpeg -q:v 2 OUT.avi"),
          "another codec is named, and how to convert it");
    seen = see(context, &file, BY_PIPE, 0);
    CHECK(seen.status == NN_ERROR_UNSUPPORTED && says(seen.error, "'H264'"), "from a pipe as well");
    file_free(&file);
    avi = (struct avi_file){.frames = 2, .codec = "\0\0\0"};
    file = avi_write(context, &avi);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.status == NN_ERROR_UNSUPPORTED && says(seen.error, "plain pixels"),
          "so are plain pixels");
    file_free(&file);
}

/* Chunks of three gigabytes that nobody wrote: a file with holes. */
static void test_avi_giant(void)
{
    static const char name[] = "an AVI file of more than six gigabytes";
    struct avi_file avi = {.frames = 3, .killed = true};
    struct file file = avi_write(context, &avi), junk = {0};
    uint64_t at = 0, gap = 3u << 30;
    char path[200];
    snprintf(path, sizeof path, "%s", path_of("giant.avi"));
    int to = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    put_text(&junk, "JUNK");
    put_le32(&junk, (uint32_t)gap);
    bool ok = sizeof(off_t) >= 8 && to >= 0;
    size_t from = 0;
    for (int i = 1; i <= 3 && ok; i++) { /* a gap before each frame but the first */
        size_t end = i < 3 ? avi.frame_at[i] : file.size;
        ok = pwrite(to, file.data + from, end - from, (off_t)at) == (ssize_t)(end - from);
        at += end - from;
        from = end;
        if (ok && i < 3) ok = pwrite(to, junk.data, 8, (off_t)at) == 8;
        if (i < 3) at += 8 + gap;
    }
    struct stat info;
    if (to >= 0 && (fstat(to, &info) || info.st_blocks > 10000)) ok = false;
    if (ok) {
        struct vi_capture *capture = NULL;
        struct seen seen = {0};
        if (!vi_capture_open(&capture, context, path, NULL)) seen = see_all(capture, context);
        CHECK(are_frames(&seen, 3, -1) && seen.info.broken == 0, "%s", name);
        vi_capture_close(&capture);
    } else {
        test_skip(name, "no such files here");
    }
    if (to >= 0) close(to);
    unlink(path);
    file_free(&file);
    file_free(&junk);
}

/* ---- streams of JPEGs ------------------------------------------------------------------------ */

static void test_mjpeg(void)
{
    static const char *const names[] = {"raw", "multipart", "multipart without lengths",
                                        "multipart with wrong lengths", "multipart behind HTTP"};
    for (enum multipart kind = RAW; kind <= HTTP; kind++) {
        struct file file = mjpeg_write(context, 6, kind);
        for (enum way way = BY_FILE; way <= BY_DRIPS; way++) {
            struct seen seen = see(context, &file, way, 0);
            CHECK(are_frames(&seen, 6, -1) && seen.info.broken == 0 && seen.info.frames == -1 &&
                      !strcmp(seen.info.format, "mjpeg") && seen.info.width == FILE_WIDTH,
                  "JPEGs, %s, way %d", names[kind], way);
        }
        file_free(&file);
    }
}

/* A segment that holds a whole JPEG, as cameras put thumbnails into APP1. */
static struct file with_thumbnail(const struct file *jpeg, uint8_t marker, const char *tag)
{
    struct file to = {0}, small = frame_jpeg(context, 9);
    size_t length = 2 + 4 + small.size;
    put(&to, jpeg->data, 2);
    put(&to, (uint8_t[4]){0xff, marker, (uint8_t)(length >> 8), (uint8_t)length}, 4);
    put(&to, tag, 4);
    put(&to, small.data, small.size);
    put(&to, jpeg->data + 2, jpeg->size - 2);
    file_free(&small);
    return to;
}

static void test_mjpeg_frames(void)
{
    struct file file = {0};
    for (int i = 0; i < 4; i++) {
        struct file jpeg = frame_jpeg(context, i), more = with_thumbnail(&jpeg, 0xe1, "Exif");
        put(&file, more.data, more.size);
        put_text(&file, "between frames: \xff\xd9 \xff\xd8 \xff");
        file_free(&jpeg);
        file_free(&more);
    }
    struct seen seen = see(context, &file, BY_FILE, 0);
    CHECK(are_frames(&seen, 4, -1) && seen.info.broken == 0,
          "thumbnails within frames and garbage between them");
    file_free(&file);
    for (int i = 0; i < 5; i++) {
        struct file jpeg = frame_jpeg(context, i);
        put(&file, jpeg.data, i == 2 ? jpeg.size - 40 : jpeg.size);
        file_free(&jpeg);
    }
    seen = see(context, &file, BY_PIPE, 0);
    CHECK(are_frames(&seen, 4, 2) && seen.info.broken == 1,
          "a frame without an end is passed over");
    file.size -= 10;
    seen = see(context, &file, BY_FILE, 0);
    CHECK(are_frames(&seen, 3, 2) && seen.info.broken == 2, "and one that the stream cuts off");
    file_free(&file);
    put_text(&file, "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.status == NN_ERROR_FORMAT && says(seen.error, "chunks"),
          "chunked transfer is named as what it is");
    file_free(&file);
}

/* One JPEG, or many? */
static void test_picture_or_stream(void)
{
    struct file one = frame_jpeg(context, 3), many = mjpeg_write(context, 3, RAW);
    struct file photo = with_thumbnail(&one, 0xe2, "MPF");
    put(&photo, one.data, one.size);
    const char *path = path_of("wrong.avi");
    struct seen seen = see(context, &one, BY_FILE, 0);
    CHECK(seen.count == 1 && seen.numbers[0] == 3 && !strcmp(seen.info.format, "pictures") &&
              seen.info.frames == 1,
          "a single JPEG is a picture");
    CHECK(file_write(&one, path) && !vi_is_video(path), "and no video, whatever its name");
    seen = see(context, &many, BY_FILE, 0);
    CHECK(seen.count == 3 && !strcmp(seen.info.format, "mjpeg"), "several are a stream");
    CHECK(file_write(&many, path) && vi_is_video(path), "and a video");
    seen = see(context, &photo, BY_FILE, 0);
    CHECK(seen.count == 1 && seen.numbers[0] == 3 && !strcmp(seen.info.format, "pictures"),
          "a photo with previews behind it is a picture");
    seen = see(context, &one, BY_PIPE, 0);
    CHECK(seen.count == 1 && seen.numbers[0] == 3, "a JPEG from a pipe is a stream of one");
    put_zeros(&one, 5000);
    seen = see(context, &one, BY_FILE, 0);
    CHECK(seen.count == 1 && !strcmp(seen.info.format, "pictures"),
          "zeros behind a JPEG don't make it a stream");
    file_free(&one);
    one = frame_encoded(context, 4, 30, 20, "png");
    seen = see(context, &one, BY_FILE, 0);
    CHECK(seen.count == 1 && seen.numbers[0] == 4 && !strcmp(seen.info.format, "pictures"),
          "a PNG is a picture");
    seen = see(context, &one, BY_PIPE, 0);
    CHECK(seen.count == 1 && seen.numbers[0] == 4, "from a pipe as well");
    one.size = 0;
    put_text(&one, "P5 2 1 255\n\1\2");
    seen = see(context, &one, BY_FILE, 0);
    CHECK(seen.count == 1 && seen.width == 2, "so is a PGM");
    file_free(&one);
    file_free(&many);
    file_free(&photo);
}

/* ---- pictures -------------------------------------------------------------------------------- */

static bool write_picture(const char *name, int number, int width, const char *format)
{
    struct file file = frame_encoded(context, number, width, 16, format);
    bool ok = file_write(&file, path_of(name));
    file_free(&file);
    return ok;
}

static void test_pictures(void)
{
    static const char *const order[] = {"1.png",       "2.jpg",      "07.jpg",     "10.jpg",
                                        "sub/003.JPG", "sub/4a.png", "sub/4b.jpeg"};
    struct vi_capture *capture = NULL;
    struct vi_frame frame;
    bool end, ok = true;
    mkdir(path_of("pictures"), 0700);
    mkdir(path_of("pictures/sub"), 0700);
    for (int i = 0; i < 7; i++) {
        char name[64];
        snprintf(name, sizeof name, "pictures/%s", order[i]);
        ok = ok && write_picture(name, i, 20 + i, strstr(order[i], "png") ? "png" : "jpeg");
    }
    ok = ok && write_picture("pictures/.hidden.png", 9, 20, "png");
    ok = ok && write_picture("pictures/notes.txt", 9, 20, "png");
    ok = ok && symlink("..", path_of("pictures/sub/up")) == 0;
    CHECK(ok && !vi_capture_open(&capture, context, path_of("pictures"), NULL) &&
              vi_capture_info(capture)->frames == 7,
          "a folder of pictures, with a link back up: %s", nn_error(context));
    for (int i = 0; ok && capture && i < 7; i++)
        ok = !vi_capture_read(capture, &frame, &end) && !end && frame.index == i &&
             !strcmp(frame.name, order[i]) && frame.image.width == 20 + i &&
             frame_number(&frame.image) == i && frame.seconds == 0;
    CHECK(ok, "in the order people number them, each with its size and name");
    CHECK(capture && !vi_capture_read(capture, &frame, &end) && end && !frame.image.pixels,
          "the end");
    CHECK(capture && !vi_capture_read(capture, &frame, &end) && end, "and again");
    vi_capture_close(&capture);
}

static void test_pictures_broken(void)
{
    struct vi_capture *capture = NULL;
    struct file text = {0};
    put_text(&text, "no picture");
    file_write(&text, path_of("pictures/1.png"));
    file_free(&text);
    unlink(path_of("pictures/2.jpg"));
    bool ok = mkfifo(path_of("pictures/2.jpg"), 0600) == 0 && /* must not make it wait */
              symlink("nowhere", path_of("pictures/3.jpg")) == 0;
    ok = ok && !vi_capture_open(&capture, context, path_of("pictures/"), NULL);
    struct seen seen = {0};
    if (ok) seen = see_all(capture, context);
    CHECK(seen.count == 5 && seen.info.broken == 3 && seen.numbers[0] == 2 && seen.indices[0] == 3,
          "pictures that cannot be read are counted: %s", seen.info.last_broken);
    vi_capture_close(&capture);
    mkdir(path_of("empty"), 0700);
    CHECK(vi_capture_open(&capture, context, path_of("empty"), NULL) == NN_ERROR_ARGUMENT &&
              !capture && says(nn_error(context), "no picture (.png"),
          "a folder without pictures is an error");
    CHECK(write_picture("single.bin", 5, 33, "png") &&
              !vi_capture_open(&capture, context, path_of("single.bin"), NULL),
          "a single picture");
    if (capture) seen = see_all(capture, context);
    CHECK(seen.count == 1 && seen.numbers[0] == 5 && seen.width == 33, "is a video of one frame");
    vi_capture_close(&capture);
}

/* ---- pipes, names, skipping ------------------------------------------------------------------ */

static void test_pipes(void)
{
    struct avi_file avi = {.frames = 6, .audio = true};
    struct file file = avi_write(context, &avi);
    struct vi_capture *capture = NULL;
    struct feeder feeder;
    struct seen seen = {0};
    int kept = dup(STDIN_FILENO), end = feeder_start(&feeder, &file, 1000);
    dup2(end, STDIN_FILENO);
    close(end);
    if (!vi_capture_open(&capture, context, "-", NULL)) seen = see_all(capture, context);
    vi_capture_close(&capture);
    CHECK(are_frames(&seen, 6, -1), "standard input");
    CHECK(fcntl(STDIN_FILENO, F_GETFD) >= 0, "which is not closed");
    dup2(kept, STDIN_FILENO);
    close(kept);
    pthread_join(feeder.thread, NULL);

    char path[200];
    snprintf(path, sizeof path, "%s", path_of("fifo"));
    if (CHECK(mkfifo(path, 0600) == 0 && vi_is_video(path), "a named pipe counts as a video")) {
        /* Opened for both, so that neither open() waits for the other, nor for a feeder that has
         * come to its end already. */
        feeder = (struct feeder){.end = open(path, O_RDWR), .data = file.data, .size = file.size};
        end = open(path, O_RDWR);
        pthread_create(&feeder.thread, NULL, feeder_run, &feeder);
        seen = (struct seen){0};
        if (!vi_capture_open(&capture, context, path, NULL)) {
            close(end);
            seen = see_all(capture, context);
        }
        vi_capture_close(&capture);
        CHECK(are_frames(&seen, 6, -1), "and is read like a file");
        pthread_join(feeder.thread, NULL);
    }
    file_free(&file);
}

static void test_skip_frames(void)
{
    struct avi_file avi = {.frames = 10, .broken = 4, .dropped = 9};
    struct file file[3] = {avi_write(context, &avi), mjpeg_write(context, 10, RAW),
                           y4m_write("Cmono XCOLORRANGE=FULL", 9, 9, 10, 81, 0)};
    for (int i = 0; i < 6; i++) {
        struct vi_stream *stream;
        struct vi_capture *capture = NULL;
        struct vi_frame frame = {0};
        struct feeder feeder;
        bool end = true, pipe = i >= 3;
        int from = pipe ? feeder_start(&feeder, &file[i % 3], 0) : unnamed_file(&file[i % 3]);
        bool ok = !vi_stream_from(&stream, context, from, "video") &&
                  !vi_capture_from(&capture, context, stream, "video", NULL) &&
                  !vi_capture_skip(capture, 2) && !vi_capture_read(capture, &frame, &end) &&
                  frame.index == 2 && !vi_capture_skip(capture, 5) &&
                  !vi_capture_read(capture, &frame, &end) && frame.index == 8 && !end;
        if (i % 3 == 0) ok = ok && frame_number(&frame.image) == 7; /* the one that 8 repeats */
        if (i % 3 == 1) ok = ok && frame_number(&frame.image) == 8;
        if (i % 3 == 2) ok = ok && frame.image.pixels[0] == 100;
        CHECK(ok, "%s, %s: frames passed over",
              i % 3 == 0   ? "AVI"
              : i % 3 == 1 ? "JPEGs"
                           : "y4m",
              pipe ? "pipe" : "file");
        CHECK(capture && !vi_capture_skip(capture, 1000) &&
                  !vi_capture_read(capture, &frame, &end) && end && frame.index == 10,
              "to the end and beyond");
        vi_capture_close(&capture);
        if (pipe) pthread_join(feeder.thread, NULL);
    }
    for (int i = 0; i < 3; i++) file_free(&file[i]);
}

static void test_names(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *words;
        bool video;
    } cases[] = {
        {"\x1A\x45\xDF\xA3\x01 webm", 10, "WebM or Matroska", true},
        {"OggS", 4, "Ogg", true},
        {"", 0, "is empty", false},
        {"#include <stdio.h>", 18, "unknown format (begins 23 69 6E 63)", false},
        {"x", 1, "unknown format (begins 78)", false},
    };
    struct vi_capture_options options = {.no_ffmpeg = true};
    struct vi_capture *capture;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file file = {0};
        const char *path = path_of("what.avi");
        put(&file, cases[i].bytes, cases[i].size);
        file_write(&file, path);
        CHECK(vi_capture_open(&capture, context, path, &options) && !capture &&
                  says(nn_error(context), cases[i].words) && vi_is_video(path) == cases[i].video,
              "a file: %s", cases[i].words);
        file_free(&file);
    }
    CHECK(vi_capture_open(&capture, context, path_of("none"), NULL) == NN_ERROR_IO && !capture &&
              says(nn_error(context), "No such file") && !vi_is_video(path_of("none")),
          "a file that is not there");
    CHECK(vi_is_video(folder) && vi_is_video("-"), "folders and standard input can be videos");
    vi_capture_close(&capture);
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *where)
{
    (void)info, (void)flag, (void)where;
    return remove(path);
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/liveness-capture-XXXXXX");
    if (nn_open(&context, NULL) || !mkdtemp(folder)) return 1;
    signal(SIGPIPE, SIG_IGN);
    size_t before = nn_bytes_allocated(context);
    test_avi_layouts();
    test_avi_frames();
    test_avi_others();
    test_avi_giant();
    test_mjpeg();
    test_mjpeg_frames();
    test_picture_or_stream();
    test_pictures();
    test_pictures_broken();
    test_pipes();
    test_skip_frames();
    test_names();
    CHECK(nn_bytes_allocated(context) == before, "all memory was given back");
    nn_close(&context);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return test_done();
}
