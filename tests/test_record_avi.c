/*
 * test_record_avi.c — recordings as AVI: their structure, read by a small reader of its own; parts
 * and indexes of long ones; those that were killed; and what ffmpeg makes of them.
 */
#include "record_files.h"

static struct nn_context *context;

static uint32_t le32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static bool is(const uint8_t *bytes, const char *word)
{
    return memcmp(bytes, word, 4) == 0;
}

/* ---- a reader of AVI ------------------------------------------------------------------------- */

struct frame_at {
    size_t at;
    uint32_t size;
};
struct structure {
    const uint8_t *file;
    size_t size;
    const char *wrong; /* the first thing */
    size_t wrong_at;
    int parts, frames, part_frames[64], slots;
    struct frame_at frame[4096]; /* as they lie in the file */
    int indexed;                 /* frames that the indexes lead to, in order */
    uint32_t header_frames[3];   /* avih, strh, dmlh */
    uint32_t rate, scale, longest;
    bool has_old_index;
};

static bool demand(struct structure *s, bool right, const char *what, size_t at)
{
    if (!right && !s->wrong) {
        s->wrong = what;
        s->wrong_at = at;
    }
    return right && !s->wrong;
}

/* Chunks of [at, end): their sizes fill it exactly. */
static size_t next_chunk(struct structure *s, size_t at, size_t end, uint32_t *size)
{
    if (!demand(s, end - at >= 8, "no room for a chunk", at)) return end;
    *size = le32(s->file + at + 4);
    size_t next = at + 8 + *size + *size % 2;
    return demand(s, next <= end && next > at, "a chunk that is too long", at) ? next : end;
}

static void read_movie(struct structure *s, size_t at, size_t end)
{
    uint32_t size;
    int before = s->frames;
    for (size_t next; at < end && !s->wrong; at = next) {
        next = next_chunk(s, at, end, &size);
        if (s->wrong) return;
        if (is(s->file + at, "ix00")) continue;
        if (!demand(s, is(s->file + at, "00dc"), "a chunk of another name", at)) return;
        const uint8_t *jpeg = s->file + at + 8;
        if (size && !demand(s, size > 100 && jpeg[0] == 0xff && jpeg[1] == 0xd8, "no JPEG", at))
            return;
        s->frame[s->frames++ % 4096] = (struct frame_at){at + 8, size};
    }
    s->part_frames[s->parts - 1] = s->frames - before;
}

/* The old index, of the first part: of the same frames. */
static void read_old_index(struct structure *s, size_t at, uint32_t size, size_t movie)
{
    demand(s, size == 16 * (uint32_t)s->frames, "idx1 of another length", at);
    for (uint32_t i = 0; i < size / 16 && !s->wrong; i++) {
        const uint8_t *entry = s->file + at + 16 * i;
        demand(s,
               is(entry, "00dc") && movie + le32(entry + 8) + 8 == s->frame[i].at &&
                   le32(entry + 12) == s->frame[i].size &&
                   le32(entry + 4) == (s->frame[i].size ? 0x10 : 0),
               "an entry of idx1", at + 16 * i);
    }
    s->has_old_index = true;
}

static void read_parts(struct structure *s)
{
    uint32_t size, list;
    for (size_t at = 0, next; at < s->size && !s->wrong; at = next) {
        next = next_chunk(s, at, s->size, &size);
        if (!demand(s, is(s->file + at, "RIFF"), "no RIFF", at) ||
            !demand(s, is(s->file + at + 8, s->parts ? "AVIX" : "AVI "), "its type", at))
            return;
        s->parts++;
        size_t movie = 0; /* where the list's type stands */
        for (size_t in = at + 12, after; in < next && !s->wrong; in = after) {
            after = next_chunk(s, in, next, &list);
            if (s->wrong) return;
            if (is(s->file + in, "LIST") && is(s->file + in + 8, "movi")) {
                movie = in + 8;
                read_movie(s, in + 12, after);
            } else if (is(s->file + in, "idx1")) {
                read_old_index(s, in + 8, list, movie);
            }
        }
    }
}

/* ---- the header, and the indexes it leads to ------------------------------------------------- */

static size_t find(const struct structure *s, const char *word)
{
    for (size_t i = 0; i + 4 <= s->size; i++)
        if (is(s->file + i, word)) return i;
    return 0;
}

static void read_index(struct structure *s, size_t at, uint32_t size, uint32_t duration)
{
    const uint8_t *index = s->file + at;
    if (!demand(s,
                at + size <= s->size && is(index, "ix00") && le32(index + 4) + 8 == size &&
                    le32(index + 8) == 0x01000002 && le32(index + 12) == duration &&
                    size == 32 + 8 * duration && is(index + 16, "00dc"),
                "an index", at))
        return;
    size_t base = le32(index + 20);
    for (uint32_t i = 0; i < duration && !s->wrong; i++, s->indexed++)
        demand(s,
               base + le32(index + 32 + 8 * i) == s->frame[s->indexed].at &&
                   le32(index + 36 + 8 * i) == s->frame[s->indexed].size,
               "an entry of an index", at + 32 + 8 * i);
}

static void read_header(struct structure *s)
{
    size_t avih = find(s, "avih") + 8, strh = find(s, "strh") + 8, strf = find(s, "strf") + 8;
    size_t indx = find(s, "indx") + 8, dmlh = find(s, "dmlh") + 8;
    s->header_frames[0] = le32(s->file + avih + 16);
    s->header_frames[1] = le32(s->file + strh + 32);
    s->header_frames[2] = le32(s->file + dmlh);
    s->scale = le32(s->file + strh + 20);
    s->rate = le32(s->file + strh + 24);
    s->longest = le32(s->file + avih + 28);
    demand(s,
           le32(s->file + avih + 32) == FILE_WIDTH && le32(s->file + avih + 36) == FILE_HEIGHT &&
               le32(s->file + strf + 4) == FILE_WIDTH && le32(s->file + strf + 8) == FILE_HEIGHT &&
               is(s->file + strf + 16, "MJPG") && is(s->file + strh, "vids"),
           "the header", avih);
    s->slots = (int)le32(s->file + indx + 4);
    demand(s, le32(s->file + indx) == 4 && is(s->file + indx + 8, "00dc"), "indx", indx);
    for (int i = 0; i < s->slots && !s->wrong; i++) {
        const uint8_t *slot = s->file + indx + 24 + 16 * i;
        demand(s, le32(slot + 4) == 0, "a slot beyond 4 GB", indx);
        read_index(s, le32(slot), le32(slot + 8), le32(slot + 12));
    }
}

/* Of a file that may go on behind what its header speaks of, if `killed`. */
static struct structure *read_structure(const struct file *file, bool killed)
{
    static struct structure s;
    s = (struct structure){.file = file->data, .size = file->size};
    if (file->size < 12) {
        s.wrong = "no file";
        return &s;
    }
    if (killed) s.size = 8 + le32(file->data + 4);
    if (demand(&s, s.size <= file->size, "its size", 4)) read_parts(&s);
    read_header(&s);
    if (s.wrong) printf("# wrong: %s at %zu\n", s.wrong, s.wrong_at);
    return &s;
}

/* ---- recordings ------------------------------------------------------------------------------ */

static void test_plain(void)
{
    const char *path = in_folder("plain.avi");
    if (!CHECK(!record_file(context, path, 45, (struct vi_recorder_options){.rate = 25}, 0),
               "45 pictures: %s", nn_error(context)))
        return;
    struct file file = load(path);
    struct structure *s = read_structure(&file, false);
    CHECK(!s->wrong && s->parts == 1 && s->frames == 45 && s->indexed == 45 && s->slots == 1 &&
              s->has_old_index && s->rate == 25 && s->scale == 1,
          "one part of 45 frames, an index of each kind");
    CHECK(s->header_frames[0] == 45 && s->header_frames[1] == 45 && s->header_frames[2] == 45 &&
              s->longest > 600,
          "the header counts them");
    struct seen seen = see_path(context, path);
    CHECK(seen_in_order(&seen, 45) && seen.info.frames == 45 && seen.info.rate == 25 &&
              fabs(seen.seconds - 44 / 25.0) < 1e-9 && seen.width == FILE_WIDTH,
          "it is read back");
    if (has_ffmpeg()) {
        CHECK(ffmpeg_likes(path, 45), "ffmpeg reads it without a word");
        const char *said = ask("ffprobe -v warning -of csv=p=0 -select_streams v -show_entries "
                               "stream=codec_name,width,height,r_frame_rate,duration '%s'",
                               path);
        CHECK(strcmp(said, "mjpeg,40,24,25/1,1.800000\n") == 0, "as what it is");
    } else {
        test_skip("ffmpeg reads it without a word", "it is not installed");
    }
    file_free(&file);
    unlink(path);
}

static void test_rates(void)
{
    static const struct {
        double rate;
        uint32_t over, under;
    } cases[] = {{0, 30, 1},       {29.97, 30000, 1001}, {59.94, 60000, 1001}, {12.5, 12500, 1000},
                 {0.5, 500, 1000}, {1000, 1000, 1},      {23.976, 24000, 1001}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = in_folder("rate.avi");
        struct vi_recorder_options options = {.rate = cases[i].rate};
        bool ok = !record_file(context, path, 3, options, 0);
        struct file file = load(path);
        struct structure *s = read_structure(&file, false);
        CHECK(ok && !s->wrong && s->frames == 3 && s->rate == cases[i].over &&
                  s->scale == cases[i].under,
              "rate %g is %u/%u", cases[i].rate, s->rate, s->scale);
        file_free(&file);
        unlink(path);
    }
}

/* Parts that end after some 20 kB instead of a gigabyte. */
static void test_parts(void)
{
    const char *path = in_folder("parts.avi");
    enum { COUNT = 300 };
    bool ok = !record_file(context, path, COUNT, (struct vi_recorder_options){.rate = 10}, 40000);
    struct file file = load(path);
    struct structure *s = read_structure(&file, false);
    CHECK(ok && !s->wrong && s->parts > 4 && s->frames == COUNT && s->indexed == COUNT &&
              s->slots == s->parts && s->has_old_index,
          "%d frames in %d parts, an index of each", s->frames, s->parts);
    CHECK((int)s->header_frames[0] == s->part_frames[0] && s->header_frames[1] == COUNT &&
              s->header_frames[2] == COUNT && s->part_frames[0] < COUNT / 4,
          "the header counts those of the first part, and all");
    struct seen seen = see_path(context, path);
    CHECK(seen_in_order(&seen, COUNT) && seen.info.frames == COUNT, "they are read back");
    if (has_ffmpeg())
        CHECK(ffmpeg_likes(path, COUNT), "ffmpeg reads them without a word");
    else
        test_skip("ffmpeg reads them", "it is not installed");
    file_free(&file);
    unlink(path);
}

/* Indexes of seconds are made into longer ones, in the file as it grows. */
static void test_merging(void)
{
    const char *path = in_folder("long.avi");
    struct vi_recorder_options options = {.rate = 1};
    struct vi_recorder *recorder;
    int most = 0, bad = 0;
    if (vi_recorder_open(&recorder, context, path, FILE_WIDTH, FILE_HEIGHT, &options)) abort();
    for (int i = 0; i < 600; i++) {
        if (put_number_picture(recorder, i, i)) abort();
        if (i % 37) continue;
        struct file file = load(path);
        struct structure *s = read_structure(&file, true);
        bad += s->wrong || s->frames != i + 1 || s->indexed != i + 1 || s->size != file.size;
        if (s->slots > most) most = s->slots;
        file_free(&file);
    }
    CHECK(bad == 0 && most > 16 && most < 40, "at most %d indexes at once, for 600 seconds", most);
    CHECK(!vi_recorder_close(&recorder), "closed");
    struct file file = load(path);
    struct structure *s = read_structure(&file, false);
    CHECK(!s->wrong && s->frames == 600 && s->slots == 1, "one in the end");
    file_free(&file);
    unlink(path);
}

static void test_killed(void)
{
    const char *path = in_folder("killed.avi");
    struct vi_recorder_options options = {.rate = 10};
    CHECK(record_and_kill(path, 8, options, 0) && !exists(path),
          "killed within its first second: there is no file of that name");
    remove_drafts();
    if (!CHECK(record_and_kill(path, 37, options, 0), "killed after 37 pictures")) return;
    struct file file = load(path);
    struct structure *s = read_structure(&file, true);
    CHECK(!s->wrong && s->frames == 30 && s->indexed == 30 && s->header_frames[2] == 30,
          "its header and indexes speak of 30, and are right");
    struct seen seen = see_path(context, path);
    CHECK(seen_in_order(&seen, 37) && fabs(seen.seconds - 3.6) < 1e-9, "all 37 are read back");
    if (has_ffmpeg())
        CHECK(ffmpeg_likes(path, 37), "ffmpeg reads 37 without a word");
    else
        test_skip("ffmpeg reads it", "it is not installed");
    file_free(&file);
    unlink(path);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* What is seen of a recording at 10 per second of pictures at these times. */
static struct seen see_times(const double *times, int count, int64_t *frames)
{
    const char *path = in_folder("times.avi");
    struct vi_recorder_options options = {.rate = 10};
    struct vi_recorder *recorder;
    uint64_t bytes;
    if (vi_recorder_open(&recorder, context, path, FILE_WIDTH, FILE_HEIGHT, &options)) abort();
    for (int i = 0; i < count; i++)
        if (put_number_picture(recorder, i, times[i])) abort();
    vi_recorder_size(recorder, frames, &bytes);
    if (vi_recorder_close(&recorder)) abort();
    struct seen seen = see_path(context, path);
    struct file file = load(path);
    struct structure *s = read_structure(&file, false);
    if (s->wrong || s->frames != *frames || s->indexed != *frames) seen.count = -1;
    file_free(&file);
    return seen;
}

static bool are(const struct seen *seen, const char *numbers)
{
    char text[65] = "";
    for (int i = 0; i < seen->count && i < 64; i++)
        text[i] = (char)('0' + seen->numbers[i]), text[i + 1] = '\0';
    if (strcmp(text, numbers) == 0) return true;
    printf("# got %s, expected %s\n", text, numbers);
    return false;
}

static void test_times(void)
{
    static const struct {
        const char *name, *numbers;
        int count;
        double times[8];
    } cases[] = {
        {"regular", "01234", 5, {5, 5.1, 5.2, 5.3, 5.4}},
        {"jitter", "01234", 5, {5, 5.13, 5.18, 5.33, 5.37}},
        {"twice as fast: every other one", "0135", 6, {0, .05, .1, .15, .2, .25}},
        {"half as fast: each one twice", "0011223", 4, {1, 1.2, 1.4, 1.6}},
        {"a pause", "000001", 2, {0, .5}},
        {"the same time", "02", 3, {3, 3, 3.1}},
        {"back: time goes on", "0123", 4, {50, 50.1, 2, 2.1}},
        {"far ahead: time goes on", "0123", 4, {0, .1, 1e9, 1e9 + .1}},
        {"as far back as can be", "0123", 4, {0, .1, -1e300, 1e300}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t frames;
        struct seen seen = see_times(cases[i].times, cases[i].count, &frames);
        CHECK(are(&seen, cases[i].numbers) && frames == seen.count, "times: %s", cases[i].name);
        if (has_ffmpeg() && i == 4)
            CHECK(strcmp(ask("ffprobe -v warning -of csv=p=0 -select_streams v -show_entries "
                             "packet=pts_time '%s' | grep . | sort -u",
                             in_folder("times.avi")),
                         "0.000000\n0.500000\n") == 0,
                  "ffmpeg sees the pause: %s",
                  ffmpeg_likes(in_folder("times.avi"), 2) ? "and says nothing" : "but complains");
    }
    unlink(in_folder("times.avi"));
}

int main(void)
{
    if (!record_begin() || nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    test_plain();
    test_rates();
    test_parts();
    test_merging();
    test_killed();
    test_times();
    CHECK(nn_bytes_allocated(context) == before, "no memory is left");
    nn_close(&context);
    record_end();
    return test_done();
}
