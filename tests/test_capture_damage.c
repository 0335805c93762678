/* test_capture_damage.c — what damage does to videos: cut at every byte, thousands of bytes
 * changed, chunks and sizes that lie, frames too large, every allocation failed. Frames that are
 * whole must come, the others be counted, and nothing may hang, crash or take much memory. */
#include "capture_files.h"

#include <signal.h>

static struct nn_context *context;

static bool says(const char *text, const char *words)
{
    bool found = strstr(text, words) != NULL;
    if (!found) printf("# got: %s\n", text);
    return found;
}

/* Which frames came, as bits. */
static unsigned set_of(const struct seen *seen)
{
    unsigned set = 0;
    for (int i = 0; i < seen->count && i < 64; i++)
        if (seen->numbers[i] >= 0) set |= 1u << seen->numbers[i];
    return set;
}

static bool came(const struct seen *seen, unsigned set, int broken)
{
    bool ok = !seen->status && set_of(seen) == set && seen->info.broken == broken;
    if (!ok)
        printf("# status %d, frames %#x of %#x, broken %lld: %s %s\n", seen->status, set_of(seen),
               set, (long long)seen->info.broken, seen->info.last_broken, seen->error);
    return ok;
}

/* ---- AVI ------------------------------------------------------------------------------------- */

static void test_avi_damage(void)
{
    struct avi_file avi = {.frames = 8, .audio = true, .broken = 4, .garbage = 6};
    struct file file = avi_write(context, &avi);
    for (enum way way = BY_FILE; way <= BY_DRIPS; way++) {
        struct seen seen = see(context, &file, way, 0);
        CHECK(came(&seen, 0xff & ~8u, 2), "AVI: half a frame, garbage before another, way %d", way);
    }
    file_free(&file);
    avi = (struct avi_file){.frames = 8, .audio = true};
    static const struct {
        const char *name;
        size_t at;
        uint8_t change[4];
        size_t size;
        unsigned frames;
        int broken;
        bool pipe; /* does as well from a pipe */
    } cases[] = {
        {"a damaged name", 1, {0x80}, 1, 0xff & ~8u, 1, true},
        {"a letter of the name changed", 2, {'e'}, 1, 0xff & ~8u, 1, true},
        {"a size too large by 1000", 5, {9}, 1, 0xff, 1, false},
        {"a size beyond the file", 6, {0x20}, 1, 0xff & ~8u, 1, false},
        {"a size of four gigabytes", 4, {0xff, 0xff, 0xff, 0xff}, 4, 0xff & ~8u, 1, true},
        {"a size too small", 5, {0}, 1, 0xff & ~8u, 2, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file = avi_write(context, &avi);
        memcpy(file.data + avi.frame_at[3] + cases[i].at, cases[i].change, cases[i].size);
        for (int way = BY_FILE; way <= (cases[i].pipe ? BY_PIPE : BY_FILE); way++) {
            struct seen seen = see(context, &file, (enum way)way, 0);
            CHECK(came(&seen, cases[i].frames, cases[i].broken), "AVI: %s, way %d", cases[i].name,
                  way);
        }
        file_free(&file);
    }
}

/* A recorder that lost its power: zeros behind what it had written. */
static void test_avi_tail(void)
{
    struct avi_file avi = {.frames = 5, .killed = true};
    struct file file = avi_write(context, &avi);
    put_zeros(&file, 70000);
    struct seen seen = see(context, &file, BY_FILE, 0);
    CHECK(came(&seen, 0x1f, 1), "AVI: zeros behind a killed recording");
    file_free(&file);
    avi.killed = false;
    file = avi_write(context, &avi);
    put_zeros(&file, 70000);
    seen = see(context, &file, BY_FILE, 0);
    CHECK(came(&seen, 0x1f, 0), "AVI: zeros behind a finished one");
    struct file twice = {0};
    put(&twice, file.data, file.size);
    put(&twice, file.data, file.size);
    seen = see(context, &twice, BY_PIPE, 0);
    CHECK(seen.count == 10, "AVI: two files one behind the other");
    file_free(&twice);
    file_free(&file);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void test_limits(void)
{
    struct avi_file avi = {.frames = 4, .resized = 3};
    struct file file = avi_write(context, &avi);
    uint64_t limit = FILE_WIDTH * FILE_HEIGHT;
    struct seen seen = see(context, &file, BY_FILE, limit);
    CHECK(came(&seen, 3, 2) && says(seen.info.last_broken, "limit"),
          "frames over the limit of pixels are broken");
    file_free(&file);
    size_t peak = nn_bytes_peak(context);
    put_text(&file, "YUV4MPEG2 W8000 H8001 C444\nFRAME\n");
    seen = see(context, &file, BY_FILE, 0);
    CHECK(!seen.opened && says(seen.error, "megapixels") && nn_bytes_peak(context) == peak,
          "y4m over the limit is refused before anything is allocated");
    file_free(&file);
    /* A chunk that promises 60 MB on a pipe, which cannot be asked for its size. */
    avi = (struct avi_file){.frames = 1};
    file = avi_write(context, &avi);
    set_le32(file.data + avi.frame_at[0] + 4, 60 << 20);
    peak = nn_bytes_peak(context);
    seen = see(context, &file, BY_PIPE, 0);
    CHECK(seen.count == 0 && seen.info.broken == 1 && nn_bytes_peak(context) <= peak + (1 << 20),
          "memory grows with what comes, not with what is promised");
    file_free(&file);
}

/* A frame of more than 64 MB, and as much without any frame. */
static void test_endless(void)
{
    struct file file = frame_jpeg(context, 0), more = frame_jpeg(context, 1);
    size_t size = VI_MAX_FRAME + 100000;
    put(&file, more.data, more.size - 2);
    uint8_t *filler = calloc(1, size);
    put(&file, filler, size);
    put(&file, more.data, more.size);
    struct seen seen = see(context, &file, BY_PIPE, 0);
    CHECK(came(&seen, 3, 1) && says(seen.info.last_broken, "more than 64 MB"),
          "JPEGs: a frame without an end is given up");
    file.size = 0;
    put(&file, more.data, more.size);
    put(&file, filler, size);
    put(&file, more.data, more.size);
    seen = see(context, &file, BY_PIPE, 0);
    CHECK(seen.count == 1 && seen.status == NN_ERROR_FORMAT && says(seen.error, "none begins"),
          "JPEGs: 64 MB without a frame are an error, after those before");
    free(filler);
    file_free(&file);
    file_free(&more);
}

static void test_y4m_torn(void)
{
    struct file file = y4m_write("Cmono XCOLORRANGE=FULL", 9, 9, 5, 81, 0);
    file.size -= 10;
    struct seen seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.count == 4 && seen.info.broken == 1 && !seen.status,
          "y4m: the last frame is cut off");
    file.size -= 74;
    seen = see(context, &file, BY_PIPE, 0);
    CHECK(seen.count == 4 && seen.info.broken == 1 && !seen.status, "y4m: within its first line");
    file.size -= 3;
    seen = see(context, &file, BY_PIPE, 0);
    CHECK(seen.count == 4 && seen.info.broken == 0 && !seen.status, "y4m: before it");
    file.data[file.size - 87] = 'f';
    seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.count == 3 && seen.status == NN_ERROR_FORMAT && says(seen.error, "torn: frame 3"),
          "y4m: without its line there is no way to the next");
    file_free(&file);
}

/* ---- every byte ------------------------------------------------------------------------------ */

/* A few small videos of each kind: what is cut, changed and starved, and the fuzzers' seeds. */
static struct file sample(int kind)
{
    struct avi_file avi[] = {{.frames = 2, .audio = true},
                             {.frames = 1, .frames_after = 1, .records = true},
                             {.frames = 3, .dropped = 2, .no_tables = true, .killed = true}};
    switch (kind) {
    case 0:
    case 1:
    case 2:
        return avi_write(context, &avi[kind]);
    case 3:
        return mjpeg_write(context, 3, RAW);
    case 4:
        return mjpeg_write(context, 2, HTTP);
    case 5:
        return mjpeg_write(context, 2, LENGTHS);
    case 6:
        return y4m_write("C420jpeg", 6, 5, 3, 30, 18);
    case 7:
        return y4m_write("C422p10 XCOLORRANGE=FULL", 4, 2, 2, 16, 16);
    case 8:
        return y4m_write("Cmono", 3, 3, 2, 9, 0);
    default:
        return (struct file){0};
    }
}
enum { SAMPLES = 9 };
static const char *const sample_names[SAMPLES] = {"avi/sound", "avi/segments", "avi/killed",
                                                  "mjpeg/raw", "mjpeg/http",   "mjpeg/parts",
                                                  "y4m/420",   "y4m/422p10",   "y4m/mono"};

/* Cut after each byte: never more frames than the whole has, and those that are whole. */
static void test_cut(int kind)
{
    struct file file = sample(kind);
    struct seen all = see(context, &file, BY_FILE, 0);
    size_t whole = file.size, wrong = 0, cuts = 0;
    int most = 0, fewer = 0;
    for (size_t size = 0; size < whole; size += 1 + (whole > 3000) * (size % 3), cuts++) {
        file.size = size;
        struct seen seen = see(context, &file, cuts % 4 ? BY_FILE : BY_PIPE, 10000);
        fewer += seen.count < most;
        if (seen.count > most) most = seen.count;
        bool counted = !seen.opened || seen.count + seen.info.broken <= all.count + 1;
        wrong += seen.count > all.count || !counted || (seen.status && !*seen.error);
    }
    CHECK(wrong == 0 && fewer == 0 && most >= all.count - 1 && all.count > 0,
          "%s: cut at %zu places of %zu: up to %d frames", sample_names[kind], cuts, whole, most);
    file_free(&file);
}

static void test_changes(int kind)
{
    struct file file = sample(kind);
    struct nn_rng rng = nn_rng_make(7, (uint64_t)kind);
    int whole = see(context, &file, BY_FILE, 0).count, unchanged = 0, wrong = 0;
    uint8_t *kept = malloc(file.size);
    memcpy(kept, file.data, file.size);
    for (int i = 0; i < 700; i++) {
        /* Most of the time where the structure is: near the beginning. */
        uint32_t range = i % 3 ? 600 : (uint32_t)file.size;
        if (range > file.size) range = (uint32_t)file.size;
        for (uint32_t n = 0; n <= (uint32_t)i % 4; n++)
            file.data[nn_rng_below(&rng, range)] = (uint8_t)nn_rng_u32(&rng);
        struct seen seen = see(context, &file, i % 8 ? BY_FILE : BY_PIPE, 10000);
        unchanged += seen.count == whole;
        wrong += seen.count > 200 || (seen.status && !*seen.error) ||
                 (seen.info.broken && !*seen.info.last_broken);
        memcpy(file.data, kept, file.size);
    }
    CHECK(wrong == 0 && unchanged > 0 && unchanged < 700,
          "%s: 700 times bytes changed: all frames came %d times", sample_names[kind], unchanged);
    free(kept);
    file_free(&file);
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct failing {
    long calls, fails_at, blocks;
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (++failing->calls == failing->fails_at || posix_memalign(&memory, 64, bytes)) return NULL;
    memset(memory, 0xA5, bytes);
    failing->blocks++;
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    (void)bytes;
    ((struct failing *)user)->blocks--;
    free(memory);
}

/* Returns the frames that came; -1: an allocation failed, as it should, with the right status. */
static int starve(const struct file *file, struct failing *failing, const char *path)
{
    struct nn_allocator allocator = {allocate, release, failing};
    struct nn_options options = {.threads = 1, .allocator = &allocator};
    struct vi_capture_options no_ffmpeg = {.no_ffmpeg = true};
    struct nn_context *poor = NULL;
    struct vi_capture *capture = NULL;
    struct vi_stream *stream = NULL;
    int count = -2;
    enum nn_status status = nn_open(&poor, &options);
    if (!status && path) status = vi_capture_open(&capture, poor, path, &no_ffmpeg);
    if (!status && !path) status = vi_stream_from(&stream, poor, unnamed_file(file), "video");
    if (!status && !path) status = vi_capture_from(&capture, poor, stream, "video", &no_ffmpeg);
    if (!status) {
        struct seen seen = see_all(capture, poor);
        status = seen.status;
        count = seen.count;
    }
    vi_capture_close(&capture);
    nn_close(&poor);
    return status == NN_ERROR_MEMORY ? -1 : count;
}

static void test_starving(const char *name, const struct file *file, const char *path)
{
    struct failing failing = {0};
    int whole = starve(file, &failing, path), wrong = failing.blocks != 0;
    long calls = failing.calls;
    for (long n = 1; n <= calls; n++) {
        failing = (struct failing){.fails_at = n};
        wrong += starve(file, &failing, path) != -1 || failing.blocks;
    }
    CHECK(whole > 0 && wrong == 0, "%s: each of %ld allocations failed once", name, calls);
}

static void test_memory(void)
{
    for (int kind = 0; kind < SAMPLES; kind++) {
        struct file file = sample(kind);
        test_starving(sample_names[kind], &file, NULL);
        file_free(&file);
    }
    char folder[] = "/tmp/liveness-capture-XXXXXX", path[64];
    struct file picture = frame_jpeg(context, 1);
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    if (file_write(&picture, path)) test_starving("a folder", NULL, folder);
    unlink(path);
    rmdir(folder);
    /* Long videos take no more memory than short ones. */
    struct avi_file avi = {.frames = 64};
    struct file file = avi_write(context, &avi);
    size_t peak = nn_bytes_peak(context);
    struct seen seen = see(context, &file, BY_FILE, 0);
    CHECK(seen.count == 64 && nn_bytes_peak(context) == peak, "no more memory for 64 frames");
    file_free(&file);
    file_free(&picture);
}

/* The fuzzers' seeds, below `folder`. */
static int write_corpus(const char *folder)
{
    char path[300];
    for (int kind = 0; kind < SAMPLES; kind++) {
        struct file file = sample(kind);
        snprintf(path, sizeof path, "%s/%s", folder, sample_names[kind]);
        if (!file_write(&file, path)) return 1;
        file_free(&file);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (nn_open(&context, NULL)) return 1;
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) return write_corpus(argv[2]);
    signal(SIGPIPE, SIG_IGN);
    size_t before = nn_bytes_allocated(context);
    test_limits();
    test_avi_damage();
    test_avi_tail();
    test_y4m_torn();
    for (int kind = 0; kind < SAMPLES; kind++) test_cut(kind);
    for (int kind = 0; kind < SAMPLES; kind++) test_changes(kind);
    test_memory();
    test_endless();
    CHECK(nn_bytes_allocated(context) == before, "all memory was given back");
    nn_close(&context);
    return test_done();
}
