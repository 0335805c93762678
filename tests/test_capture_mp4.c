/*
 * test_capture_mp4.c — Motion-JPEG in MP4 and QuickTime files that are written here: every variant
 * of the tables, turns, damage of all kinds. With `--corpus FOLDER` it leaves some as seeds for the
 * fuzzer.
 */
#include "mp4_files.h"

static struct nn_context *context;

/* ---- files as they should be ----------------------------------------------------------------- */

static struct seen see_movie(struct movie movie)
{
    struct file file = movie_write(context, &movie);
    struct seen seen = see(context, &file, BY_FILE, 0);
    file_free(&file);
    return seen;
}

static bool says(const struct seen *seen, const char *text)
{
    if (strstr(seen->error, text)) return true;
    printf("# it says: %s\n", seen->error);
    return false;
}

static bool all_there(const struct seen *seen)
{
    bool right = !seen->status && seen->count == FRAMES && seen->info.broken == 0 &&
                 seen->info.frames == FRAMES && strcmp(seen->info.format, "mp4") == 0;
    for (int i = 0; i < FRAMES && right; i++)
        right = seen->numbers[i] == i && seen->indices[i] == i;
    if (!right) printf("# %d frames, %s\n", seen->count, seen->error);
    return right;
}

static void test_variants(void)
{
    static const struct {
        const char *name;
        struct movie movie;
    } cases[] = {
        {"index last", {0}},
        {"index first", {.index_first = true}},
        {"64-bit offsets", {.wide_offsets = true}},
        {"64-bit box sizes", {.wide_mdat = true}},
        {"data up to the end of the file", {.index_first = true, .open_mdat = true}},
        {"headers of version 1", {.long_headers = true}},
        {"no ftyp, as old QuickTime", {.no_ftyp = true, .index_first = true}},
        {"sizes of 16 bits", {.size_bits = 16}},
        {"one size for all", {.uniform = true}},
        {"a chunk per frame", {.per_chunk = 1}},
        {"two frames per chunk, the last with one", {.per_chunk = 2, .wide_offsets = true}},
        {"four frames and one", {.per_chunk = 4}},
        {"sound before video", {.sound_first = true}},
        {"zeros behind boxes", {.trailing_zeros = true}},
        {"one field", {.fields = 1}},
        {"codec mjpg", {.codec = "mjpg"}},
        {"codec MJPG", {.codec = "MJPG"}},
        {"codec mjpa of one field", {.codec = "mjpa", .fields = 1}},
        {"codec mp4v with JPEG in it", {.codec = "mp4v", .object_type = 0x6c}},
        {"a matrix of zeros", {.own_matrix = true, .matrix = {0, 0, 0, 0}}},
        {"a matrix that doubles", {.own_matrix = true, .matrix = {131072, 0, 0, 131072}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen seen = see_movie(cases[i].movie);
        CHECK(all_there(&seen) && seen.width == FILE_WIDTH && seen.info.width == FILE_WIDTH &&
                  seen.info.height == FILE_HEIGHT && seen.info.rate == 25 &&
                  fabs(seen.seconds - 4 / 25.0) < 1e-12,
              "reads %s", cases[i].name);
    }
    static const uint32_t times[FRAMES] = {600, 1, 299, 0, 50};
    struct seen seen = see_movie((struct movie){.times = times});
    CHECK(all_there(&seen) && fabs(seen.seconds - 1.5) < 1e-12 &&
              fabs(seen.info.rate - FRAMES * 600.0 / 950) < 1e-9,
          "frames shown for different times");
}

static void test_fragments(void)
{
    static const uint32_t times[FRAMES] = {600, 1, 299, 0, 50};
    static const char *const names[] = {"times and sizes of each", "times and offsets in the index",
                                        "sizes once for all", "two runs, and another track"};
    for (int form = 0; form < 4; form++)
        for (int each = 1; each <= FRAMES; each += 2) {
            struct seen seen = see_movie(
                (struct movie){.per_fragment = each, .fragment_form = form, .uniform = form == 2});
            int64_t frames = seen.info.frames;
            seen.info.frames = FRAMES;
            CHECK(all_there(&seen) && frames == -1 && fabs(seen.info.rate - 25) < 1e-9 &&
                      fabs(seen.seconds - 4 / 25.0) < 1e-12 && seen.info.width == FILE_WIDTH,
                  "reads fragments of %d: %s", each, names[form]);
        }
    struct seen seen = see_movie((struct movie){.per_fragment = 3, .times = times, .turns = 1});
    seen.info.frames = FRAMES;
    CHECK(all_there(&seen) && fabs(seen.seconds - 1.5) < 1e-12 && seen.width == FILE_HEIGHT &&
              fabs(seen.info.rate - 2) < 1e-9,
          "frames shown for different times, turned");
    struct movie movie = {.per_fragment = 2};
    struct file file = movie_write(context, &movie);
    file.size = movie.index_end;
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.opened && !seen.status && seen.count == 0 && seen.info.rate == 0,
          "no fragments yet: no frames");
    file_free(&file);
}

static void test_no_video(void)
{
    static const struct {
        const char *name;
        struct movie movie;
        enum nn_status status;
        const char *says;
    } cases[] = {
        {"H.264", {.codec = "avc1"}, NN_ERROR_UNSUPPORTED, "is H.264 video in MP4"},
        {"H.265", {.codec = "hvc1", .index_first = true}, NN_ERROR_UNSUPPORTED, "H.265"},
        {"an unknown codec", {.codec = "a\033[b"}, NN_ERROR_UNSUPPORTED, "is 'a?[b' video"},
        {"MPEG-4", {.codec = "mp4v", .object_type = 0x20}, NN_ERROR_UNSUPPORTED, "MPEG-4"},
        {"MPEG-4 that says nothing", {.codec = "mp4v"}, NN_ERROR_UNSUPPORTED, "MPEG-4"},
        {"two fields", {.codec = "mjpa", .fields = 2}, NN_ERROR_UNSUPPORTED, "'mjpa'"},
        {"two fields as jpeg", {.fields = 2}, NN_ERROR_UNSUPPORTED, "'jpeg'"},
        {"mjpa that says nothing", {.codec = "mjpa"}, NN_ERROR_UNSUPPORTED, "'mjpa'"},
        {"Motion-JPEG B", {.codec = "mjpb"}, NN_ERROR_UNSUPPORTED, "Motion-JPEG B"},
        {"two codecs", {.other_entry = true}, NN_ERROR_UNSUPPORTED, "H.264"},
        {"fragments that count from other tracks",
         {.per_fragment = 2, .fragment_form = 4},
         NN_ERROR_UNSUPPORTED,
         "behind other tracks"},
        {"a compressed index", {.compressed = true}, NN_ERROR_UNSUPPORTED, "compressed"},
        {"data elsewhere", {.elsewhere = true}, NN_ERROR_UNSUPPORTED, "another file"},
        {"a HEIF picture", {.heif = true}, NN_ERROR_UNSUPPORTED, "HEIF"},
        {"a slant",
         {.own_matrix = true, .matrix = {65536, 9, 0, 65536}},
         NN_ERROR_UNSUPPORTED,
         "slant"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen seen = see_movie(cases[i].movie);
        CHECK(seen.status == cases[i].status && !seen.opened && says(&seen, cases[i].says) &&
                  says(&seen, "ffmpeg -i IN -c:v mjpeg"),
              "left to ffmpeg: %s", cases[i].name);
    }
    struct file file = movie_write(context, &(struct movie){0});
    struct seen seen = see(context, &file, BY_PIPE, 0);
    CHECK(seen.status == NN_ERROR_UNSUPPORTED && says(&seen, "from a pipe"), "and pipes");
    seen = see(context, &file, BY_FILE, 100);
    CHECK(!seen.status && seen.count == 0 && seen.info.broken == FRAMES,
          "frames over the limit are passed over");
    file_free(&file);
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* The first frame of a movie; its image is the caller's to free. */
static struct vi_image first_frame(struct movie movie, struct vi_capture_info *info)
{
    struct vi_image image = {0};
    struct vi_stream *stream = NULL;
    struct vi_capture *capture = NULL;
    struct vi_frame frame;
    bool end;
    struct file file = movie_write(context, &movie);
    if (vi_stream_from(&stream, context, unnamed_file(&file), "video") ||
        vi_capture_from(&capture, context, stream, "video", NULL) ||
        vi_capture_read(capture, &frame, &end) || end ||
        vi_image_new(&image, context, frame.image.width, frame.image.height, 3))
        abort();
    vi_image_copy(&image, &frame.image);
    *info = *vi_capture_info(capture);
    vi_capture_close(&capture);
    file_free(&file);
    return image;
}

static const uint8_t *pixel(const struct vi_image *image, int x, int y)
{
    return image->pixels + y * image->stride + (ptrdiff_t)x * 3;
}

static void test_turns(void)
{
    struct vi_capture_info info;
    struct vi_image plain = first_frame((struct movie){0}, &info);
    for (int turns = 1; turns < 8; turns++) { /* 4 ..: by the movie's header as well */
        struct movie movie = {.turns = turns % 4, .movie_turns = turns / 4};
        int all = (turns % 4 + turns / 4) % 4, bad = 0;
        struct vi_image turned = first_frame(movie, &info);
        for (int y = 0; y < FILE_HEIGHT; y++)
            for (int x = 0; x < FILE_WIDTH; x++) {
                int to_x = x, to_y = y;
                if (all == 1) to_x = FILE_HEIGHT - 1 - y, to_y = x;
                if (all == 2) to_x = FILE_WIDTH - 1 - x, to_y = FILE_HEIGHT - 1 - y;
                if (all == 3) to_x = y, to_y = FILE_WIDTH - 1 - x;
                bad += to_x >= turned.width || to_y >= turned.height ||
                       memcmp(pixel(&turned, to_x, to_y), pixel(&plain, x, y), 3) != 0;
            }
        CHECK(bad == 0 && info.width == turned.width && info.height == turned.height &&
                  turned.width == (all % 2 ? FILE_HEIGHT : FILE_WIDTH),
              "%d degrees by the track and %d by the movie: upright", turns % 4 * 90,
              turns / 4 * 90);
        vi_image_free(context, &turned);
    }
    struct movie mirror = {.own_matrix = true, .matrix = {-65536, 0, 0, 65536}};
    struct vi_image turned = first_frame(mirror, &info);
    int bad = 0;
    for (int x = 0; x < FILE_WIDTH; x++)
        bad += memcmp(pixel(&turned, FILE_WIDTH - 1 - x, 9), pixel(&plain, x, 9), 3) != 0;
    CHECK(bad == 0, "a mirror");
    vi_image_free(context, &turned);
    vi_image_free(context, &plain);
}

static void test_skipping(void)
{
    struct movie movie = {.per_chunk = 2};
    struct file file = movie_write(context, &movie);
    struct vi_stream *stream;
    struct vi_capture *capture = NULL;
    struct vi_frame frame;
    bool end;
    if (vi_stream_from(&stream, context, unnamed_file(&file), "video") ||
        vi_capture_from(&capture, context, stream, "video", NULL))
        abort();
    CHECK(!vi_capture_skip(capture, 3) && !vi_capture_read(capture, &frame, &end) && !end &&
              frame.index == 3 && frame_number(&frame.image) == 3 &&
              fabs(frame.seconds - 0.12) < 1e-12,
          "three frames are skipped, the fourth is read");
    CHECK(!vi_capture_skip(capture, 10) && !vi_capture_read(capture, &frame, &end) && end,
          "skipping goes no further than the end");
    vi_capture_close(&capture);
    file_free(&file);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Where a box's type stands; the `nth` of that name. */
static size_t find(const struct file *file, const char *type, int nth)
{
    for (size_t i = 4; i + 4 <= file->size; i++)
        if (memcmp(file->data + i, type, 4) == 0 && nth-- == 0) return i;
    abort();
}

static void test_refused(void)
{
    static const struct {
        const char *name, *box;
        int offset; /* from the box's type */
        uint32_t value;
        const char *says;
    } cases[] = {
        {"a box of 7 bytes", "trak", -4, 7, "'trak' of 7 bytes"},
        {"a box of 64-bit size that is too long", "tkhd", -4, 1, "'tkhd' of"},
        {"a box beyond its parent", "mdia", -4, 100000, "'mdia' of 100000 bytes"},
        {"a box up to the end of its parent, which hides others", "stsd", -4, 0, "'stsz' is"},
        {"no header of the movie", "mvhd", 0, 0x78787878, "'mvhd' is missing"},
        {"no header of the track", "tkhd", 0, 0x78787878, "'tkhd' is missing"},
        {"no media", "mdia", 0, 0x78787878, "'mdia' is missing"},
        {"no handler", "hdlr", 0, 0x78787878, "'hdlr' is missing"},
        {"another handler", "vide", 0, 0x74657874, "without a video track"},
        {"no header of the media", "mdhd", 0, 0x78787878, "'mdhd' is missing"},
        {"time that stands still", "mdhd", 16, 0, "0 units of time"},
        {"a header of version 2", "mdhd", 4, 2u << 24, "version 2"},
        {"a track's header of version 9", "tkhd", 4, 9u << 24, "version 9"},
        {"a track's header that is too short", "tkhd", 4, 1u << 24, "header of"},
        {"no information", "minf", 0, 0x78787878, "'minf' is missing"},
        {"no sample table", "stbl", 0, 0x78787878, "'stbl' is missing"},
        {"no entries", "stsd", 0, 0x78787878, "'stsd' is missing"},
        {"an entry that is not there", "stsd", 8, 2, "1 sample entries, expected 2"},
        {"no entry", "stsd", 8, 0, "sample entries"},
        {"an entry of few bytes", "jpeg", -4, 40, "a sample entry of 32 bytes"},
        {"no sizes", "stsz", 0, 0x78787878, "'stsz' is missing"},
        {"sizes of version 1", "stsz", 4, 1u << 24, "version 1"},
        {"more sizes than there are", "stsz", 12, FRAMES + 1, "a table of 6 rows in 20 bytes"},
        {"4 billion sizes", "stsz", 12, UINT32_MAX, "a table of 4294967295 rows"},
        {"no chunks", "stco", 0, 0x78787878, "'stco' is missing"},
        {"4 billion chunks", "stco", 8, UINT32_MAX, "a table of 4294967295 rows"},
        {"fewer chunks than runs", "stco", 8, 2, "run 1 of chunks"},
        {"4 billion runs", "stsc", 8, UINT32_MAX, "a table of 4294967295 rows"},
        {"no runs", "stsc", 8, 0, "chunks for 0 samples, expected 5"},
        {"a run from chunk 0", "stsc", 12, 0, "run 0 of chunks"},
        {"a run from chunk 2", "stsc", 12, 2, "run 0 of chunks"},
        {"runs backwards", "stsc", 24, 1, "run 0 of chunks"},
        {"a run beyond the chunks", "stsc", 24, 9, "run 0 of chunks"},
        {"chunks without samples", "stsc", 16, 0, "run 0 of chunks"},
        {"fewer samples in chunks", "stsc", 16, 1, "chunks for 3 samples"},
        {"4 billion times", "stts", 8, UINT32_MAX, "a table of 4294967295 rows"},
        {"no times", "stts", 8, 0, "times for 5 samples fewer"},
        {"too few times", "stts", 12, 4, "times for 1 samples fewer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct movie movie = {.per_chunk = 2};
        struct file file = movie_write(context, &movie);
        set_be32(file.data + find(&file, cases[i].box, 0) + cases[i].offset, cases[i].value);
        struct seen seen = see(context, &file, BY_FILE, 0);
        CHECK(seen.status == NN_ERROR_FORMAT && !seen.opened && says(&seen, cases[i].says) &&
                  says(&seen, "'video'"),
              "refused: %s", cases[i].name);
        file_free(&file);
    }
}

static void test_refused_fragments(void)
{
    static const struct {
        const char *name, *box;
        int nth, offset; /* from the box's type */
        uint32_t value;
        const char *says;
    } cases[] = {
        {"a fragment beyond the file", "moof", 0, -4, 1000000, "truncated MP4: the index of"},
        {"of 7 bytes", "moof", 0, -4, 7, "no box at"},
        {"of 4 GB", "moof", 0, -4, UINT32_MAX, "truncated MP4"},
        {"a track beyond it", "traf", 0, -4, 1000, "'traf' of 1000 bytes"},
        {"no header", "tfhd", 0, 0, 0x78787878, "'tfhd' is missing"},
        {"a header without a track", "tfhd", 0, -4, 12, "'tfhd' has 4 bytes"},
        {"a header that ends too soon", "tfhd", 0, 4, 0x2003b, "ends too soon"},
        {"a time that ends too soon", "tfdt", 0, 4, 1u << 24, "ends too soon"},
        {"a run of more samples", "trun", 0, 8, 3, "a run of 3 samples in 16 bytes"},
        {"of 4 billion", "trun", 0, 8, UINT32_MAX, "a run of 4294967295 samples"},
        {"a run with wider rows", "trun", 0, 4, 0xf01, "a run of 2 samples"},
        {"a run that ends too soon", "trun", 0, -4, 12, "ends too soon"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct movie movie = {.per_fragment = 2};
        struct file file = movie_write(context, &movie);
        size_t at = find(&file, cases[i].box, cases[i].nth);
        set_be32(file.data + at + cases[i].offset, cases[i].value);
        struct seen seen = see(context, &file, BY_FILE, 0);
        CHECK(seen.status == NN_ERROR_FORMAT && !seen.opened && says(&seen, cases[i].says) &&
                  says(&seen, "'video'"),
              "refused: %s", cases[i].name);
        set_be32(file.data + at + cases[i].offset, 0);
        file_free(&file);
    }
    struct movie movie = {.per_fragment = 2};
    struct file file = movie_write(context, &movie);
    set_be32(file.data + find(&file, "trun", 1) + 12, UINT32_MAX);
    struct seen seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.opened && !seen.status && seen.info.broken == 2 && seen.count == 3,
          "a run that lies a byte before its fragment: frames that are none");
    set_be32(file.data + find(&file, "trun", 1) + 12, 0x80000000);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.opened && seen.status == NN_ERROR_FORMAT && seen.count == 2,
          "a run that lies outside of the file: those before it come");
    file_free(&file);
}

/* Recordings that are cut off anywhere: what is whole comes; between fragments it is no error. */
static void test_cut_fragments(void)
{
    struct movie movie = {.per_fragment = 2};
    struct file file = movie_write(context, &movie);
    size_t whole = file.size, bad = 0, ends = 0;
    for (size_t size = movie.index_end; size < whole; size++) {
        file.size = size;
        struct seen seen = see(context, &file, BY_FILE, 0);
        int there = 0;
        while (there < FRAMES && movie.frame_at[there] + 300 < size) there++;
        bool right = seen.count <= FRAMES && seen.info.broken == 0 &&
                     (seen.status ? seen.status == NN_ERROR_FORMAT && *seen.error : seen.opened) &&
                     seen.count >= there - 2 && (seen.count == there || seen.count == there - 1);
        ends += !seen.status;
        if (!right && bad++ == 0)
            printf("# %zu of %zu bytes: %d frames of %d, %s\n", size, whole, seen.count, there,
                   seen.error);
    }
    CHECK(bad == 0 && ends >= 5 && ends < 20,
          "cut after each of %zu bytes: the frames before; %zu times that is no error", whole,
          ends);
    file.size = whole;
    put_zeros(&file, 100); /* a hole: nothing has been written there yet */
    struct seen seen = see(context, &file, BY_FILE, 0);
    seen.info.frames = FRAMES;
    CHECK(all_there(&seen), "zeros behind the last fragment are its end");
    file_free(&file);
}

/* Damage that only shows when frames are read. */
static void test_bad_frames(void)
{
    struct movie movie = {.per_chunk = 1};
    struct file file = movie_write(context, &movie);
    size_t chunk = find(&file, "stco", 0) + 12, size = find(&file, "stsz", 0) + 16;
    file.data[movie.frame_at[1]] = 0;
    struct seen seen = see(context, &file, BY_FILE, 0);
    CHECK(!seen.status && seen.count == 4 && seen.info.broken == 1 && seen.indices[1] == 2 &&
              strstr(seen.info.last_broken, "frame 1"),
          "a frame that is no JPEG is passed over and counted");
    file.data[movie.frame_at[1]] = 0xff;

    set_be32(file.data + chunk + 4 * 3, 0x7fffffff);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.status == NN_ERROR_FORMAT && seen.count == 3 && says(&seen, "frame 3 has"),
          "a frame beyond the file's end: those before it come");
    set_be32(file.data + chunk + 4 * 3, (uint32_t)movie.frame_at[3]);

    set_be32(file.data + size + 4 * 2, 0xfffffff0u);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.status == NN_ERROR_FORMAT && seen.count == 2 && says(&seen, "4294967280 bytes"),
          "a frame that is longer than the file");
    file_free(&file);

    movie = (struct movie){.uniform = true, .frames = 60, .per_chunk = 1};
    file = movie_write(context, &movie);
    chunk = find(&file, "stco", 0) + 12;
    for (int i = 0; i < 60; i++) set_be32(file.data + chunk + 4 * i, (uint32_t)movie.frame_at[0]);
    size_t runs = find(&file, "stsc", 0);
    set_be32(file.data + runs + 16, 2);
    set_be32(file.data + find(&file, "stsz", 0) + 12, 120);
    set_be32(file.data + find(&file, "stts", 0) + 12, 120);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.status == NN_ERROR_FORMAT && seen.info.frames == 120 &&
              says(&seen, "longer than the file"),
          "a film that shows the same bytes again and again ends (after %d frames)", seen.count);
    file_free(&file);
}

static void test_truncation(void)
{
    for (int first = 0; first < 2; first++) {
        struct movie movie = {.index_first = first, .per_chunk = 2};
        struct file file = movie_write(context, &movie);
        size_t whole = file.size, bad = 0, end[FRAMES];
        for (int i = 0; i < FRAMES; i++)
            end[i] = i + 1 < FRAMES ? movie.frame_at[i + 1]
                     : first        ? whole
                                    : find(&file, "moov", 0) - 4;
        for (size_t size = 0; size < whole; size++) {
            file.size = size;
            struct seen seen = see(context, &file, BY_FILE, 0);
            int there = 0;
            while (there < FRAMES && end[there] <= size) there++;
            bool right = seen.status && *seen.error;
            if (first && size >= movie.index_end) right = right && seen.count == there;
            if (!first || size < movie.index_end) right = right && !seen.opened;
            if (!right && bad++ == 0)
                printf("# %zu of %zu bytes: %d frames, %s\n", size, whole, seen.count, seen.error);
        }
        CHECK(bad == 0, "cut after each of %zu bytes, index %s: an error, and the frames before it",
              whole, first ? "first" : "last");
        file.size = whole;
        file_free(&file);
    }
}

/* Some thousand files with a few bytes changed: any answer, but an answer. */
static void test_mutations(void)
{
    struct nn_rng rng = nn_rng_make(1, 2);
    struct movie movies[] = {{.per_chunk = 2},
                             {.index_first = true, .turns = 1},
                             {.codec = "mp4v", .object_type = 0x6c, .size_bits = 16},
                             {.per_fragment = 2, .fragment_form = 3}};
    size_t frames = 0, errors = 0, bad = 0, before = nn_bytes_allocated(context);
    for (int i = 0; i < 3000; i++) {
        struct file file = movie_write(context, &movies[i % 4]);
        size_t moov = find(&file, "moov", 0);
        size_t from = movies[i % 4].index_first ? 0 : moov;
        size_t to = movies[i % 4].index_first ? movies[i % 4].index_end : file.size;
        /* Of fragments, their indexes: the rest is JPEG. */
        if (movies[i % 4].per_fragment) from = find(&file, "moof", (i >> 2) % 3), to = from + 200;
        if (to > file.size) to = file.size;
        for (uint32_t n = 1 + nn_rng_below(&rng, 3); n > 0; n--) {
            size_t at = nn_rng_below(&rng, 8) ? from + nn_rng_below(&rng, (uint32_t)(to - from))
                                              : nn_rng_below(&rng, (uint32_t)file.size);
            file.data[at] = nn_rng_below(&rng, 2)
                                ? (uint8_t)nn_rng_u32(&rng)
                                : (uint8_t)(file.data[at] ^ 1u << nn_rng_below(&rng, 8));
        }
        struct seen seen = see(context, &file, BY_FILE, 10000);
        frames += (size_t)seen.count;
        errors += seen.status != NN_OK;
        bad += seen.count > 200 || (seen.status && !*seen.error) ||
               nn_bytes_allocated(context) != before;
        file_free(&file);
    }
    CHECK(bad == 0 && errors > 300 && frames > 3000,
          "3000 damaged files: %zu errors, %zu frames, nothing lost", errors, frames);
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct failing {
    long calls, fails_at;
    size_t held, most;
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (++failing->calls == failing->fails_at || posix_memalign(&memory, 64, bytes)) return NULL;
    failing->held += bytes;
    if (failing->held > failing->most) failing->most = failing->held;
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
    struct movie movie = {.turns = 1};
    struct file file = movie_write(context, &movie);
    struct failing failing = {0};
    struct nn_allocator allocator = {allocate, release, &failing};
    struct nn_context *own = NULL;
    if (nn_open(&own, &(struct nn_options){.threads = 1, .allocator = &allocator})) abort();
    size_t before = failing.held, bad = 0;
    long n = 1, calls = 0;
    for (;; n++) {
        failing.calls = 0;
        failing.fails_at = n;
        struct seen seen = see(own, &file, BY_FILE, 0);
        calls = failing.calls;
        if (calls < n) break;
        bad += seen.status != NN_ERROR_MEMORY || !strstr(seen.error, "memory") ||
               failing.held != before;
    }
    CHECK(bad == 0 && n > 10, "each of %ld allocations fails with an error, nothing is lost",
          n - 1);
    file_free(&file);

    /* Twelve times the frames need no more memory, but for what the index has more. */
    size_t most[2];
    for (int i = 0; i < 2; i++) {
        movie = (struct movie){.frames = i ? 60 : 5};
        file = movie_write(context, &movie);
        failing = (struct failing){.held = failing.held};
        struct seen seen = see(own, &file, BY_FILE, 0);
        most[i] = seen.count == movie.frames ? failing.most : 0;
        file_free(&file);
    }
    CHECK(most[0] && most[1] && most[1] < most[0] + 2000, "memory for 5 frames %zu, for 60 %zu",
          most[0], most[1]);
    nn_close(&own);
    CHECK(failing.held == 0, "all is given back");
}

static int write_corpus(const char *folder)
{
    static const char *const names[] = {"plain", "first",      "mp4v",      "uniform",
                                        "h264",  "fragmented", "fragments", "runs"};
    struct movie movies[] = {
        {.frames = 2},
        {.frames = 3, .index_first = true, .turns = 1, .wide_offsets = true, .per_chunk = 2},
        {.frames = 2, .codec = "mp4v", .object_type = 0x6c, .size_bits = 16, .long_headers = true},
        {.frames = 2, .uniform = true, .wide_mdat = true, .sound_first = true, .no_ftyp = true},
        {.codec = "avc1", .frames = 1},
        {.per_fragment = 1, .frames = 2},
        {.per_fragment = 2, .frames = 3, .fragment_form = 1},
        {.per_fragment = 2, .frames = 4, .fragment_form = 3}};
    for (size_t i = 0; i < sizeof movies / sizeof *movies; i++) {
        char path[512];
        struct file file = movie_write(context, &movies[i]);
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (!file_write(&file, path)) return 1;
        file_free(&file);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) {
        int code = write_corpus(argv[2]);
        nn_close(&context);
        return code;
    }
    size_t before = nn_bytes_allocated(context);
    test_variants();
    test_no_video();
    test_turns();
    test_skipping();
    test_fragments();
    test_refused();
    test_refused_fragments();
    test_cut_fragments();
    test_bad_frames();
    test_truncation();
    test_mutations();
    test_memory();
    CHECK(nn_bytes_allocated(context) == before, "no memory is left");
    nn_close(&context);
    return test_done();
}
