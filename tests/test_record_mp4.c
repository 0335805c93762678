/*
 * test_record_mp4.c — recordings as MP4 and QuickTime: the boxes of those that ended and of those
 * that still grow or were killed, read by a small reader of its own; each picture's own time; what
 * ffmpeg makes of them; and H.264, which ffmpeg makes.
 */
#include "record_files.h"

static struct nn_context *context;

/* ---- a reader of boxes ----------------------------------------------------------------------- */

static uint32_t be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The types of the boxes at the top, "ftyp free moov ..."; "?" is one that does not fit. */
static const char *outline(const struct file *file)
{
    static char text[400];
    size_t used = 0;
    text[0] = '\0';
    for (uint64_t at = 0, size; at < file->size && used < sizeof text - 10; at += size) {
        size = file->size - at >= 8 ? be32(file->data + at) : 0;
        if (size == 1 && file->size - at >= 16)
            size = (uint64_t)be32(file->data + at + 8) << 32 | be32(file->data + at + 12);
        bool fits = size >= 8 && size <= file->size - at;
        used += (size_t)sprintf(text + used, "%s%.4s", used ? " " : "",
                                fits ? (const char *)file->data + at + 4 : "?");
        if (!fits) break;
    }
    return text;
}

static bool outlined(const struct file *file, const char *expected)
{
    const char *got = outline(file);
    if (strcmp(got, expected) == 0) return true;
    printf("# expected %s\n# got      %s\n", expected, got);
    return false;
}

/* Where the nth box of that type has its body; anywhere. */
static size_t body_of(const struct file *file, const char *type, int nth)
{
    for (size_t i = 4; i + 8 <= file->size; i++)
        if (memcmp(file->data + i, type, 4) == 0 && nth-- == 0) return i + 4;
    return 0;
}

/* A recording with pictures at these times, closed (or left to grow: *recorder). */
static void record_times(const char *path, const double *times, int count, double rate,
                         struct vi_recorder **left)
{
    struct vi_recorder_options options = {.rate = rate};
    struct vi_recorder *recorder;
    if (vi_recorder_open(&recorder, context, path, FILE_WIDTH, FILE_HEIGHT, &options)) abort();
    for (int i = 0; i < count; i++)
        if (put_number_picture(recorder, i, times[i])) abort();
    if (left)
        *left = recorder;
    else if (vi_recorder_close(&recorder))
        abort();
}

/* ---- recordings ------------------------------------------------------------------------------ */

static void test_plain(void)
{
    static const char *const names[] = {"plain.mp4", "plain.mov"}, *const tags[] = {"mp4v", "jpeg"};
    for (int i = 0; i < 2; i++) {
        const char *path = in_folder(names[i]);
        bool ok = !record_file(context, path, 45, (struct vi_recorder_options){.rate = 25}, 0);
        struct file file = load(path);
        CHECK(ok && outlined(&file, "ftyp mdat moov"), "%s has an index, and no fragments",
              names[i]);
        struct seen seen = see_path(context, path);
        CHECK(seen_in_order(&seen, 45) && seen.info.frames == 45 &&
                  fabs(seen.info.rate - 25) < 1e-9 && fabs(seen.seconds - 44 / 25.0) < 1e-9 &&
                  strcmp(seen.info.format, "mp4") == 0 && seen.info.width == FILE_WIDTH,
              "it is read back");
        if (has_ffmpeg()) {
            char expected[100];
            CHECK(ffmpeg_likes(path, 45), "ffmpeg reads it without a word");
            snprintf(expected, sizeof expected, "mjpeg,%s,40,24,25/1,1.800000,45\n", tags[i]);
            const char *said = ask("ffprobe -v warning -of csv=p=0 -select_streams v -show_entries "
                                   "stream=codec_name,codec_tag_string,width,height,r_frame_rate,"
                                   "duration,nb_frames '%s'",
                                   path);
            CHECK(strcmp(said, expected) == 0, "as what it is: %.60s", said);
        } else {
            test_skip("ffmpeg reads it without a word", "it is not installed");
        }
        file_free(&file);
        unlink(path);
    }
}

static void test_growing(void)
{
    const char *path = in_folder("grows.mp4");
    struct vi_recorder *recorder;
    double times[35];
    int64_t frames;
    uint64_t bytes;
    for (int i = 0; i < 35; i++) times[i] = i / 10.0;
    record_times(path, times, 10, 10, &recorder);
    CHECK(!exists(path), "within the first second there is no file of that name");
    CHECK(!put_number_picture(recorder, 10, 1.0) && exists(path), "but then");
    for (int i = 11; i < 35; i++)
        if (put_number_picture(recorder, i, times[i])) abort();
    struct file file = load(path);
    vi_recorder_size(recorder, &frames, &bytes);
    CHECK(outlined(&file, "ftyp free moov moof mdat moof mdat moof mdat") && frames == 35 &&
              bytes == file.size,
          "a fragment for each second");
    struct seen seen = see_path(context, path);
    CHECK(seen_in_order(&seen, 30) && seen.info.frames == -1 && fabs(seen.info.rate - 10) < 1e-9,
          "which can be read while it grows");
    if (has_ffmpeg()) CHECK(ffmpeg_likes(path, 30), "by ffmpeg as well");
    /* moof 16, traf: tfhd 16, tfdt 20, trun 20 and 8 for each of 10 samples, mdat's head */
    size_t moof = body_of(&file, "moof", 1), trun = body_of(&file, "trun", 1);
    CHECK(be32(file.data + moof - 8) == 8 + 16 + 8 + 16 + 20 + 20 + 80 &&
              be32(file.data + body_of(&file, "mfhd", 1) + 4) == 2 &&
              be32(file.data + body_of(&file, "tfdt", 1) + 8) == 90000 &&
              be32(file.data + trun) == 0x301 && be32(file.data + trun + 4) == 10 &&
              be32(file.data + trun + 8) == 168 + 8 && be32(file.data + trun + 12) == 9000,
          "its boxes");
    file_free(&file);
    CHECK(!vi_recorder_close(&recorder), "closed");
    file = load(path);
    seen = see_path(context, path);
    CHECK(outlined(&file, "ftyp mdat moov") && seen_in_order(&seen, 35) && seen.info.frames == 35,
          "in the end there is an index instead");
    file_free(&file);
    unlink(path);
}

static void test_times(void)
{
    static const double times[] = {5, 5.5, 5.501, 5.9, 7.25, 7.25, 7.3, 2.0, 2.5, 900, 900.04};
    /* 5.5 - 5, and so on; the same time is a tick later; one that goes back is a frame later */
    static const double expected[] = {0,   .5,  .501, .9,  2.25, 2.25 + 1 / 90000.,
                                      2.3, 2.4, 2.9,  3.0, 3.04};
    const char *path = in_folder("times.mp4");
    enum { COUNT = sizeof times / sizeof *times };
    record_times(path, times, COUNT, 10, NULL);
    struct vi_capture *capture = NULL;
    struct vi_frame frame;
    bool end = false, right = !vi_capture_open(&capture, context, path, NULL);
    for (int i = 0; right && i < COUNT; i++) {
        right = !vi_capture_read(capture, &frame, &end) && !end &&
                fabs(frame.seconds - expected[i]) < 1e-5 && frame_number(&frame.image) == i;
        if (!right) printf("# picture %d at %g, expected %g\n", i, frame.seconds, expected[i]);
    }
    CHECK(right && !vi_capture_read(capture, &frame, &end) && end, "each picture has its own time");
    vi_capture_close(&capture);
    unlink(path);
}

/* A second of large pictures is not gathered in memory: fragments end after 4 MB. */
static void test_large(void)
{
    const char *path = in_folder("large.mp4");
    struct vi_image image;
    struct vi_recorder *recorder;
    struct vi_recorder_options options = {.quality = 100};
    uint32_t state = 1;
    if (vi_image_new(&image, context, 1000, 700, 3) ||
        vi_recorder_open(&recorder, context, path, 1000, 700, &options))
        abort();
    for (int i = 0; i < 1000 * 700 * 3; i++) {
        state = state * 1664525 + 1013904223;
        image.pixels[i] = (uint8_t)(state >> 24);
    }
    for (int i = 0; i < 5; i++)
        if (vi_recorder_write(recorder, &image, i / 100.0)) abort();
    struct file file = load(path);
    CHECK(outlined(&file, "ftyp free moov moof mdat moof mdat"), "fragments end after 4 MB");
    file_free(&file);
    CHECK(!vi_recorder_close(&recorder), "closed");
    struct seen seen = see_path(context, path);
    CHECK(seen.count == 5 && !seen.info.broken && !seen.status, "five pictures");
    vi_image_free(context, &image);
    unlink(path);
}

static void test_killed(void)
{
    static const char *const names[] = {"killed.mp4", "killed.mov"};
    for (int i = 0; i < 2; i++) {
        const char *path = in_folder(names[i]);
        struct vi_recorder_options options = {.rate = 10};
        CHECK(record_and_kill(path, 8, options, 0) && !exists(path),
              "killed within its first second: there is no file of that name");
        remove_drafts();
        if (!CHECK(record_and_kill(path, 37, options, 0), "killed after 37 pictures")) return;
        struct seen seen = see_path(context, path);
        CHECK(seen_in_order(&seen, 30) && fabs(seen.seconds - 2.9) < 1e-9, "30 are read back");
        if (has_ffmpeg())
            CHECK(ffmpeg_likes(path, 30), "by ffmpeg without a word");
        else
            test_skip("ffmpeg reads it", "it is not installed");
        unlink(path);
    }
}

/* Into a pipe: fragments, and nothing that is written over. */
static void test_pipe(void)
{
    const char *path = in_folder("pipe.mp4"), *copy = in_folder("copy.mp4");
    struct file file = {0};
    uint8_t block[4096];
    if (mkfifo(path, 0600)) abort();
    int end = open(path, O_RDONLY | O_NONBLOCK); /* a pipe holds 64 kB, which is enough */
    bool ok = !record_file(context, path, 35, (struct vi_recorder_options){.rate = 10}, 0);
    for (ssize_t got; (got = read(end, block, sizeof block)) > 0;) put(&file, block, (size_t)got);
    close(end);
    if (!file_write(&file, copy)) abort();
    struct seen seen = see_path(context, copy);
    CHECK(ok && outlined(&file, "ftyp free moov moof mdat moof mdat moof mdat moof mdat") &&
              seen_in_order(&seen, 35),
          "through a pipe");
    file_free(&file);
    unlink(path);
    unlink(copy);
}

/* ---- H.264 ----------------------------------------------------------------------------------- */

static bool says(const char *words)
{
    if (strstr(nn_error(context), words)) return true;
    printf("# it says: %s\n", nn_error(context));
    return false;
}

static void write_script(const char *text)
{
    const char *path = in_folder("ffmpeg");
    FILE *file = fopen(path, "wb");
    if (!file || fputs("#!/bin/sh\n", file) < 0 || fputs(text, file) < 0 || fclose(file) ||
        chmod(path, 0755))
        abort();
}

/* A script that plays ffmpeg, badly. */
static void test_h264_trouble(void)
{
#define LISTS "case \"$*\" in *-encoders*) echo ' V....D libx264   x'; exit 0;; esac\n"
    static const struct {
        const char *script, *says;
    } cases[] = {
        {"exit 1\n", "no H.264 encoder"},
        {LISTS "echo 'no such \033[2J preset' >&2; exit 3\n", "broke off with code 3"},
        {LISTS "echo 'oh dear' >&2; cat >/dev/null; exit 4\n", "failed with code 4: oh dear"},
        {LISTS "cat >/dev/null; exit 5\n", "failed with code 5, without a word"},
    };
    char *path = getenv("PATH") ? strdup(getenv("PATH")) : NULL;
    struct vi_recorder_options options = {.codec = "h264"};
    setenv("PATH", record_folder, 1);
    CHECK(record_file(context, in_folder("x.mp4"), 3, options, 0) == NN_ERROR_UNSUPPORTED &&
              says("not installed") && says("mjpeg"),
          "without ffmpeg: an error that says what there is");
    setenv("PATH", "/usr/bin:/bin", 1);
    char both[600];
    snprintf(both, sizeof both, "%s:/usr/bin:/bin", record_folder);
    setenv("PATH", both, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_script(cases[i].script);
        enum nn_status status = record_file(context, in_folder("x.mp4"), 200, options, 0);
        CHECK(status && says(cases[i].says) && !strchr(nn_error(context), '\033') &&
                  !exists(in_folder("x.mp4")),
              "told: %s", cases[i].says);
    }
    unlink(in_folder("ffmpeg"));
    if (path) setenv("PATH", path, 1);
    free(path);
}

static void test_h264(void)
{
    struct vi_recorder_options options = {.codec = "h264", .rate = 10};
    const char *path = in_folder("h264.mp4");
    if (!has_ffmpeg() || test_emulated()) {
        test_skip("H.264", "ffmpeg is not installed, or all is emulated");
        return;
    }
    enum nn_status status = record_file(context, path, 35, options, 0);
    if (status == NN_ERROR_UNSUPPORTED) {
        test_skip("H.264", "ffmpeg has no encoder");
        return;
    }
    CHECK(!status && ffmpeg_likes(path, 35), "35 pictures, and ffmpeg has nothing to say: %s",
          status ? nn_error(context) : "ok");
    struct vi_capture *capture = NULL;
    struct seen seen = {0};
    if (!vi_capture_open(&capture, context, path, NULL)) seen = see_all(capture, context);
    CHECK(seen.count == 35 && !seen.status && seen.width == FILE_WIDTH &&
              fabs(seen.seconds - 3.4) < 1e-3,
          "they are read back");
    vi_capture_close(&capture);
    unlink(path);
    CHECK(record_and_kill(path, 37, options, 40), "killed after 37 pictures");
    /* How far ffmpeg has come is its own affair. */
    CHECK(exists(path) && (ffmpeg_likes(path, 30) || ffmpeg_likes(path, 20)), "it can be played");
    unlink(path);
    remove_drafts();
}

int main(void)
{
    if (!record_begin() || nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    test_plain();
    test_growing();
    test_times();
    test_large();
    test_killed();
    test_pipe();
    test_h264_trouble();
    test_h264();
    CHECK(nn_bytes_allocated(context) == before, "no memory is left");
    nn_close(&context);
    record_end();
    return test_done();
}
