/* test_encode.c — PNG and JPEG files written, read again, and not written. */
#include "tests/test.h"
#include "vision/codec/codec.h"

#include <sys/stat.h>
#include <unistd.h>

static struct nn_context *context;
static char folder[256];

static const char *in_folder(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool says(const char *text)
{
    if (strstr(nn_error(context), text)) return true;
    printf("# expected \"%s\" in \"%s\"\n", text, nn_error(context));
    return false;
}

/* Smooth, with `noise` upper values of a linear congruential sequence added. */
static bool make(struct vi_image *image, int width, int height, int channels, unsigned noise)
{
    if (vi_image_new(image, context, width, height, channels)) return false;
    uint32_t state = 1;
    for (int i = 0; i < width * height * channels; i++) {
        state = state * 1664525 + 1013904223;
        int smooth = 128 + i / channels % width * 100 / width - i / channels / width * 90 / height;
        image->pixels[i] = (uint8_t)(smooth + (int)((state >> 24) * noise >> 8));
    }
    return true;
}

/* Largest difference after encoding and decoding; 999 on failure. */
static int round_trip(const struct vi_image *image, const char *format, int quality, size_t *size)
{
    void *bytes;
    struct vi_image back = {0};
    static const enum vi_color colors[] = {VI_RGB, VI_GRAY, VI_RGB, VI_RGB, VI_RGBA};
    struct vi_decode_options options = {.color = colors[image->channels]};
    int worst = 999;
    if (vi_encode(&bytes, size, image, context, format, quality)) return worst;
    if (!vi_decode(&back, context, bytes, *size, &options, format) && back.width == image->width &&
        back.height == image->height && back.channels == image->channels) {
        worst = 0;
        for (int y = 0; y < back.height; y++)
            for (int i = 0; i < back.width * back.channels; i++) {
                int d =
                    abs(back.pixels[y * back.stride + i] - image->pixels[y * image->stride + i]);
                if (d > worst) worst = d;
            }
    }
    vi_image_free(context, &back);
    nn_free(context, bytes);
    return worst;
}

static void test_round_trips(void)
{
    static const int sizes[][2] = {{1, 1}, {1, 40}, {300, 1}, {32, 32}, {17, 23}, {640, 200}};
    size_t size, packed;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
            struct vi_image smooth, noisy;
            if (!CHECK(make(&smooth, sizes[i][0], sizes[i][1], channels, 0) &&
                           make(&noisy, sizes[i][0], sizes[i][1], channels, 256),
                       "images"))
                return;
            CHECK(round_trip(&smooth, "png", 0, &packed) == 0 &&
                      round_trip(&noisy, "png", 0, &size) == 0,
                  "PNG %dx%dx%d: %zu and %zu bytes", sizes[i][0], sizes[i][1], channels, packed,
                  size);
            if (channels != 4) {
                int worst = round_trip(&smooth, "jpeg", 95, &size);
                CHECK(worst <= 6, "JPEG %dx%dx%d: off by %d, %zu bytes", sizes[i][0], sizes[i][1],
                      channels, worst, size);
            }
            vi_image_free(context, &smooth);
            vi_image_free(context, &noisy);
        }
    struct vi_image image;
    if (!CHECK(make(&image, 100, 80, 3, 20), "image")) return;
    struct vi_image view = vi_image_crop(&image, 11, 13, 50, 40);
    CHECK(round_trip(&view, "png", 0, &size) == 0, "PNG of a view");
    int worst = round_trip(&view, "jpeg", 0, &size);
    CHECK(worst <= 20, "JPEG of a view: off by %d", worst);
    round_trip(&image, "jpeg", 20, &size);
    round_trip(&image, "jpeg", 95, &packed);
    CHECK(size < packed, "quality 20 is smaller than 95: %zu, %zu bytes", size, packed);
    vi_image_free(context, &image);
}

static void test_bad_arguments(void)
{
    struct vi_image image;
    void *bytes;
    size_t size;
    if (!CHECK(make(&image, 4, 4, 3, 0), "image")) return;
    CHECK(vi_encode(&bytes, &size, &image, context, "gif", 0) && !bytes && says("'gif'"), "gif");
    CHECK(vi_encode(&bytes, &size, &image, context, "jpeg", 101) && says("quality"), "quality 101");
    CHECK(vi_encode(&bytes, &size, &image, context, "jpeg", -1) && says("quality"), "quality -1");
    struct vi_image wide = {image.pixels, 70000, 1, 3, 0};
    CHECK(vi_encode(&bytes, &size, &wide, context, "jpeg", 0) && says("too large"),
          "70000 pixels in a JPEG");
    struct vi_image huge = {image.pixels, 40000, 40000, 3, 120000};
    CHECK(vi_encode(&bytes, &size, &huge, context, "png", 0) && says("too large"), "5 GB of PNG");
    struct vi_image two = {image.pixels, 2, 2, 2, 4}, none = {image.pixels, 0, 2, 3, 0};
    CHECK(vi_encode(&bytes, &size, &two, context, "png", 0) && says("2 channels"), "two channels");
    CHECK(vi_encode(&bytes, &size, &none, context, "png", 0) && says("empty"), "no pixels");
    CHECK(vi_write(&image, context, in_folder("x.gif"), 0) && says("must end in"), "x.gif");
    CHECK(vi_write(&image, context, in_folder("png"), 0) && says("must end in"), "no ending");
    CHECK(access(in_folder("x.gif"), F_OK) != 0, "nothing was written");
    CHECK(vi_is_picture_name("a/b.PNG") && vi_is_picture_name("x.y.Jpeg") &&
              vi_is_picture_name(".jpg") && !vi_is_picture_name("png") &&
              !vi_is_picture_name("a.png/b") && !vi_is_picture_name("a.pngx") &&
              !vi_is_picture_name(""),
          "names of pictures");
    vi_image_free(context, &image);
}

/* A path that must fail, without leaving a file. */
static void check_fails(const struct vi_image *image, const char *name, const char *what)
{
    enum nn_status status = vi_write(image, context, in_folder(name), 0);
    CHECK(status == NN_ERROR_IO && nn_error(context)[0], "%s is an error: %s", what,
          nn_error(context));
}

static void test_files(void)
{
    struct vi_image image, back;
    if (!CHECK(make(&image, 20, 10, 3, 0), "image")) return;
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "a.JPG" : "a.png";
        CHECK(!vi_write(&image, context, in_folder(name), 0), "%s is written", name);
        bool ok = !vi_read(&back, context, in_folder(name), NULL);
        CHECK(ok && back.width == 20 && back.height == 10, "%s is read", name);
        vi_image_free(context, &back);
        unlink(in_folder(name));
    }
    CHECK(vi_read(&back, context, in_folder("none.png"), NULL) == NN_ERROR_IO && !back.pixels,
          "a missing file");
    mkdir(in_folder("dir.png"), 0700);
    CHECK(vi_read(&back, context, in_folder("dir.png"), NULL) == NN_ERROR_IO && !back.pixels,
          "a folder named dir.png is not read");
    check_fails(&image, "dir.png", "writing to a folder's name");
    check_fails(&image, "none/x.png", "a folder that is not there");
    if (symlink("/dev/full", in_folder("full.png")) == 0 && access("/dev/full", W_OK) == 0)
        check_fails(&image, "full.png", "a full disk");
    else
        test_skip("a full disk", "there is no /dev/full");
    CHECK(vi_read(&back, context, "/dev/zero", NULL) == NN_ERROR_IO, "a device is not read");
    chmod(in_folder("dir.png"), 0500);
    if (access(in_folder("dir.png"), W_OK) != 0)
        check_fails(&image, "dir.png/x.png", "a read-only folder");
    else
        test_skip("a read-only folder", "this user may write everywhere");
    CHECK(vi_read(&back, context, in_folder("dir.png"),
                  &(struct vi_decode_options){.max_bytes = UINT64_MAX}) == NN_ERROR_IO,
          "any limit of bytes");
    unlink(in_folder("full.png"));
    rmdir(in_folder("dir.png"));
    vi_image_free(context, &image);
}

/* ---- deflate --------------------------------------------------------------------------------- */

static void check_deflate(const uint8_t *from, size_t size, const char *what)
{
    size_t packed_size = 0;
    uint8_t *packed = vi_deflate(context, from, size, &packed_size);
    uint8_t *back = malloc(size + 1); /* of the exact size, so that ASan sees the next byte */
    if (!CHECK(packed && back && packed_size >= 8, "%s: memory", what)) goto done;
    back[size] = 77;
    /* Raw data lie between two bytes of header and four of checksum. */
    enum nn_status status = vi_inflate(context, back, size, packed + 2, packed_size - 6, "x");
    CHECK(!status && memcmp(back, from, size) == 0 && back[size] == 77,
          "%s: %zu bytes to %zu and back", what, size, packed_size);
    if (size > 4) {
        CHECK(vi_inflate(context, back, size - 1, packed + 2, packed_size - 6, "x") ==
                  NN_ERROR_FORMAT,
              "%s: one byte too little room is an error", what);
        /* Half the data: they may not suffice, whatever the decoder takes for the rest. */
        CHECK(vi_inflate(context, back, size, packed + 2, (packed_size - 6) / 2, "x") ==
                  NN_ERROR_FORMAT,
              "%s: half the data are an error", what);
    }
done:
    free(back);
    nn_free(context, packed);
}

static void test_deflate(void)
{
    enum { SIZE = 200000 };
    uint8_t *bytes = nn_alloc(context, SIZE, 1);
    if (!CHECK(bytes, "memory")) return;
    check_deflate(bytes, 0, "nothing");
    check_deflate(bytes, 1, "one byte");
    check_deflate(bytes, 3, "three bytes");
    check_deflate(bytes, SIZE, "zeros");
    uint32_t state = 1;
    for (int i = 0; i < SIZE; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(state >> 24);
    }
    check_deflate(bytes, SIZE, "noise");
    /* Repetitions of all distances, up to and over the window. */
    for (size_t at = 1000; at < SIZE; at += 700) {
        state = state * 1664525 + 1013904223;
        size_t back = 1 + (state >> 8) % (at < 40000 ? at : 40000), count = state >> 23;
        for (size_t i = at; i < at + count && i < SIZE; i++) bytes[i] = bytes[i - back];
    }
    check_deflate(bytes, SIZE, "repetitions");
    for (int i = 0; i < SIZE; i++) bytes[i] = (uint8_t)((i & 1023) * (i & 1023) >> 7 & 31);
    for (size_t size = 2; size < 300; size++) {
        size_t packed_size;
        uint8_t back[300], *packed = vi_deflate(context, bytes, size, &packed_size);
        bool ok = packed && !vi_inflate(context, back, size, packed + 2, packed_size - 6, "x") &&
                  memcmp(back, bytes, size) == 0;
        if (!ok) CHECK(ok, "%zu bytes", size);
        nn_free(context, packed);
    }
    nn_free(context, bytes);
    /* A stored block, and one that claims more than there is. */
    uint8_t back[8];
    CHECK(!vi_inflate(context, back, 3, "\1\3\0\374\377abc", 8, "x") && !memcmp(back, "abc", 3),
          "a stored block");
    CHECK(vi_inflate(context, back, 3, "\1\3\0\300\377abc", 8, "x.zip") && says("'x.zip': damaged"),
          "a damaged stored block");
    CHECK(vi_inflate(context, back, 8, "\1\10\0\367\377ab", 7, "x.zip"), "a truncated one");
    CHECK(vi_inflate(context, back, 8, "", 0, "x"), "no data");
}

/* ---- memory that runs out -------------------------------------------------------------------- */

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

static enum nn_status decode_file(const char *name, enum vi_color color)
{
    char path[256];
    struct vi_image image;
    struct vi_decode_options options = {.color = color};
    snprintf(path, sizeof path, "tests/golden/pictures/%s", name);
    enum nn_status status = vi_read(&image, context, path, &options);
    vi_image_free(context, &image);
    return status;
}

static enum nn_status encode_view(const char *format)
{
    struct vi_image image;
    void *bytes = NULL;
    size_t size;
    if (!make(&image, 40, 30, 3, 100)) return NN_ERROR_MEMORY;
    struct vi_image view = vi_image_crop(&image, 1, 1, 37, 28);
    enum nn_status status = vi_encode(&bytes, &size, &view, context, format, 0);
    nn_free(context, bytes);
    vi_image_free(context, &image);
    return status;
}

static enum nn_status resize_image(void)
{
    struct vi_image from, to = {0};
    if (!make(&from, 40, 30, 3, 100)) return NN_ERROR_MEMORY;
    enum nn_status status = vi_image_new(&to, context, 13, 11, 3);
    if (!status) status = vi_resize(&to, &from, context);
    vi_image_free(context, &to);
    vi_image_free(context, &from);
    return status;
}

static enum nn_status one_job(int job)
{
    switch (job) {
    case 0:
        return decode_file("rgb.png", VI_RGB);
    case 1:
        return decode_file("palette4.png", VI_GRAY);
    case 2:
        return decode_file("rgb16.png", VI_RGBA);
    case 3:
        return decode_file("interlaced.png", VI_BGR);
    case 4:
        return decode_file("420.jpg", VI_RGB);
    case 5:
        return decode_file("progressive.jpg", VI_GRAY);
    case 6:
        return encode_view("png");
    case 7:
        return encode_view("jpeg");
    default:
        return resize_image();
    }
}

static void test_failing_memory(void)
{
    for (int job = 0; job < 9; job++) {
        struct failing failing = {.left = 1000};
        struct nn_allocator allocator = {failing_allocate, failing_release, &failing};
        struct nn_options options = {.threads = 1, .allocator = &allocator};
        if (!CHECK(!nn_open(&context, &options), "open")) return;
        size_t before = nn_bytes_allocated(context);
        bool clean = true;
        enum nn_status status = NN_ERROR_MEMORY;
        long n = 0;
        for (; status && n < 200; n++) {
            failing.left = n;
            status = one_job(job);
            clean = clean && (!status || status == NN_ERROR_MEMORY) &&
                    nn_bytes_allocated(context) == before;
        }
        CHECK(clean && !status && n > 1, "job %d: each of its %ld allocations may fail", job,
              n - 1);
        nn_close(&context);
    }
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/liveness.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder), "scratch folder")) return test_done();
    if (!CHECK(!nn_open(&context, &(struct nn_options){.threads = 1}), "open")) return test_done();
    size_t before = nn_bytes_allocated(context);
    test_round_trips();
    test_bad_arguments();
    test_files();
    test_deflate();
    CHECK(nn_bytes_allocated(context) == before, "nothing leaks");
    CHECK(rmdir(folder) == 0, "nothing is left behind");
    nn_close(&context);
    test_failing_memory();
    return test_done();
}
