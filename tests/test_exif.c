/* test_exif.c — pictures that say how the camera was held come out upright; those that say nonsense
 * come out as stored. */
#include "tests/test.h"
#include "vision/codec/codec.h"
#include "vision/orient.h"

#include <stdint.h>
#include <unistd.h>

#define FOLDER "tests/golden/pictures/"

enum {
    WIDTH = 21,
    HEIGHT = 18,
    TOLERANCE = 4 /* to OpenCV's JPEG decoder, which rounds otherwise */
};

static struct nn_context *context;

struct file {
    uint8_t *bytes; /* malloc, of the exact size, so that reading beyond it is noticed */
    size_t size;
};

static struct file file_of(const void *bytes, size_t size)
{
    struct file file = {malloc(size ? size : 1), size};
    if (!file.bytes) abort();
    if (size) memcpy(file.bytes, bytes, size);
    return file;
}

static struct file load(const char *name)
{
    char path[256];
    void *bytes = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, FOLDER "%s", name);
    if (nn_file_read(context, path, 1 << 20, &bytes, &size)) printf("# %s\n", nn_error(context));
    struct file file = file_of(bytes, size);
    nn_free(context, bytes);
    return file;
}

/* `file` with `more` at `at`. */
static struct file insert(const struct file *file, size_t at, const void *more, size_t size)
{
    struct file to = {malloc(file->size + size), file->size + size};
    if (!to.bytes) abort();
    memcpy(to.bytes, file->bytes, at);
    memcpy(to.bytes + at, more, size);
    memcpy(to.bytes + at + size, file->bytes + at, file->size - at);
    return to;
}

static struct vi_image decode(const struct file *file, enum vi_color color, bool as_stored)
{
    struct vi_decode_options options = {.color = color, .as_stored = as_stored};
    struct vi_image image;
    if (vi_decode(&image, context, file->bytes, file->size, &options, "x"))
        printf("# %s\n", nn_error(context));
    return image;
}

static int difference(const uint8_t *a, const uint8_t *b, size_t count)
{
    int worst = 0;
    for (size_t i = 0; i < count; i++)
        if (abs(a[i] - b[i]) > worst) worst = abs(a[i] - b[i]);
    return worst;
}

/* ---- pictures of the eight kinds, against OpenCV --------------------------------------------- */

/* Is `upright` what the table of the standard makes of `stored`? "6: the first row is the visual
 * right-hand side, the first column is the visual top." */
static bool is_turned(const struct vi_image *upright, const struct vi_image *stored,
                      int orientation)
{
    /* Sides of the stored picture's first row and first column. */
    static const char sides[8][2] = {"tl", "tr", "br", "bl", "lt", "rt", "rb", "lb"};
    char row = sides[orientation - 1][0], column = sides[orientation - 1][1];
    bool lies = row == 'l' || row == 'r';
    int width = stored->width, height = stored->height;
    if (upright->width != (lies ? height : width) || upright->height != (lies ? width : height) ||
        upright->channels != stored->channels)
        return false;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int to_x = 0, to_y = 0;
            *(lies ? &to_x : &to_y) = row == 'l' || row == 't' ? y : height - 1 - y;
            *(lies ? &to_y : &to_x) = column == 'l' || column == 't' ? x : width - 1 - x;
            const uint8_t *p = stored->pixels + y * stored->stride + x * stored->channels;
            const uint8_t *q = upright->pixels + to_y * upright->stride + to_x * stored->channels;
            if (memcmp(p, q, (size_t)stored->channels) != 0) return false;
        }
    return true;
}

static void test_kind(const char *name, int orientation, int tolerance)
{
    static const enum vi_color colors[] = {VI_RGB, VI_BGR, VI_GRAY, VI_RGBA};
    char truth_name[64];
    snprintf(truth_name, sizeof truth_name, "%s.ppm", name);
    struct file file = load(name), truth = load(truth_name);
    struct vi_header header;
    int width = orientation > 4 ? HEIGHT : WIDTH, height = orientation > 4 ? WIDTH : HEIGHT;
    CHECK(!vi_decode_header(&header, context, file.bytes, file.size, name) &&
              header.width == width && header.height == height,
          "%s: the header's size is the upright one's", name);
    struct vi_image expected = decode(&truth, VI_RGB, false), image = decode(&file, VI_RGB, false);
    if (CHECK(image.pixels && expected.width == width && image.width == width &&
                  image.height == height,
              "%s: upright", name)) {
        int worst = difference(image.pixels, expected.pixels, (size_t)width * (size_t)height * 3);
        CHECK(worst <= tolerance, "%s: OpenCV differs by %d", name, worst);
    }
    vi_image_free(context, &expected);
    vi_image_free(context, &image);
    for (int i = 0; i < 4; i++) {
        struct vi_image stored = decode(&file, colors[i], true);
        image = decode(&file, colors[i], false);
        CHECK(stored.pixels && stored.width == WIDTH && stored.height == HEIGHT && image.pixels &&
                  is_turned(&image, &stored, orientation),
              "%s: of %d channels, turned and as stored", name, stored.channels);
        vi_image_free(context, &stored);
        vi_image_free(context, &image);
    }
    free(file.bytes);
    free(truth.bytes);
}

/* ---- turning alone --------------------------------------------------------------------------- */

static void test_sizes(void)
{
    static const int sides[] = {1, 2, 3, 15, 16, 17, 33, 64};
    enum { SIDES = sizeof sides / sizeof *sides };
    for (int orientation = 1; orientation <= 8; orientation++) {
        int wrong = 0;
        for (int i = 0; i < SIDES * SIDES * 4; i++) {
            struct vi_image image, before;
            int width = sides[i % SIDES], height = sides[i / SIDES % SIDES];
            int channels = 1 + i / (SIDES * SIDES);
            if (vi_image_new(&image, context, width, height, channels) ||
                vi_image_new(&before, context, width, height, channels))
                abort();
            for (int j = 0; j < width * height * channels; j++)
                image.pixels[j] = (uint8_t)(j * 7 + j / 251);
            vi_image_copy(&before, &image);
            wrong += vi_upright(&image, context, orientation) ||
                     !is_turned(&image, &before, orientation);
            vi_image_free(context, &image);
            vi_image_free(context, &before);
        }
        CHECK(wrong == 0, "orientation %d of pictures from 1x1 to 64x64", orientation);
    }
}

/* ---- what Exif data can say ------------------------------------------------------------------ */

#define II     "II*\0\10\0\0\0"
#define MM     "MM\0*\0\0\0\10"
#define END    "\0\0\0\0"
#define SIX    "\x12\1\3\0\1\0\0\0\6\0\0\0"
#define SIX_MM "\1\x12\0\3\0\0\0\1\0\6\0\0"
#define MAKE   "\x0f\1\2\0\4\0\0\0abc\0"

static const struct data {
    const char *name, *bytes;
    size_t size;
    int orientation;
} data[] = {
#define DATA(name, text, orientation)                                                              \
    {                                                                                              \
        name, text, sizeof text - 1, orientation                                                   \
    }
    DATA("little endian", II "\1\0" SIX END, 6),
    DATA("big endian", MM "\0\1" SIX_MM END, 6),
    DATA("behind another entry", II "\2\0" MAKE SIX END, 6),
    DATA("a directory at an odd place", "II*\0\13\0\0\0abc\1\0" SIX END, 6),
    DATA("a directory at the very end", II "\1\0" SIX, 6),
    DATA("a directory over the header", "II\x2a\0\2\0\0\0", 0),
    DATA("nothing", "", 0),
    DATA("a header alone", II, 0),
    DATA("no entries", II "\0\0" END, 0),
    DATA("no entry of that name", II "\1\0" MAKE END, 0),
    DATA("bytes in no order", "IM*\0\10\0\0\0\1\0" SIX END, 0),
    DATA("bytes in an unknown order", "AA*\0\10\0\0\0\1\0" SIX END, 0),
    DATA("43", "II+\0\10\0\0\0\1\0" SIX END, 0),
    DATA("a directory behind the end", "II*\0\x1a\0\0\0\1\0" SIX, 0),
    DATA("a directory far behind the end", "II*\0\377\377\377\377\1\0" SIX END, 0),
    DATA("more entries than there are", II "\377\377" SIX END, 6),
    DATA("more entries, none of them it", II "\377\377" MAKE END, 0),
    DATA("an entry cut off", II "\1\0\x12\1\3\0\1\0\0\0\6\0\0", 0),
    DATA("another directory's", II "\0\0\x0e\0\0\0\1\0" SIX END, 0),
    DATA("two: the first", II "\2\0" SIX "\x12\1\3\0\1\0\0\0\3\0\0\0" END, 6),
    DATA("value 0", II "\1\0\x12\1\3\0\1\0\0\0\0\0\0\0" END, 1),
    DATA("value 9", II "\1\0\x12\1\3\0\1\0\0\0\x9\0\0\0" END, 1),
    DATA("value 0x106", II "\1\0\x12\1\3\0\1\0\0\0\6\1\0\0" END, 1),
    DATA("value 65535", II "\1\0\x12\1\3\0\1\0\0\0\377\377\0\0" END, 1),
    DATA("of type BYTE", II "\1\0\x12\1\1\0\1\0\0\0\6\0\0\0" END, 1),
    DATA("of type LONG", II "\1\0\x12\1\4\0\1\0\0\0\6\0\0\0" END, 1),
    DATA("of no type", II "\1\0\x12\1\0\377\1\0\0\0\6\0\0\0" END, 1),
    DATA("two values", II "\1\0\x12\1\3\0\2\0\0\0\6\0\6\0" END, 1),
    DATA("no values", II "\1\0\x12\1\3\0\0\0\0\0\6\0\0\0" END, 1),
#undef DATA
};
enum { DATA_COUNT = sizeof data / sizeof *data };

static void test_data(void)
{
    for (size_t i = 0; i < DATA_COUNT; i++) {
        struct file exact = file_of(data[i].bytes, data[i].size);
        int got = vi_exif_orientation(exact.bytes, exact.size);
        CHECK(got == data[i].orientation, "Exif: %s: %d", data[i].name, got);
        free(exact.bytes);
    }
}

/* Any bytes at all give 0 to 8; every prefix of good ones gives what was promised, or nothing. */
static void test_hostile(void)
{
    int odd = 0, turned = 0;
    struct nn_rng rng = nn_rng_make(6, 0);
    for (size_t i = 0; i < DATA_COUNT; i++)
        for (size_t size = 0; size <= data[i].size; size++) {
            struct file cut = file_of(data[i].bytes, size);
            int got = vi_exif_orientation(cut.bytes, size);
            odd += got != 0 && got != data[i].orientation;
            free(cut.bytes);
        }
    CHECK(odd == 0, "Exif data cut anywhere");
    for (int i = 0; i < 200000; i++) {
        struct file file = file_of(data[i % DATA_COUNT].bytes, data[i % DATA_COUNT].size);
        for (int n = 0; file.size && n <= i % 3; n++)
            file.bytes[nn_rng_below(&rng, (uint32_t)file.size)] = (uint8_t)nn_rng_u32(&rng);
        int got = vi_exif_orientation(file.bytes, file.size);
        odd += got < 0 || got > 8;
        turned += got > 1;
        free(file.bytes);
    }
    CHECK(odd == 0 && turned > 1000, "Exif data with bytes changed: %d still turn", turned);
}

/* ---- where Exif data can be ------------------------------------------------------------------ */

static struct file segment(const char *name, size_t name_size, const void *body, size_t size)
{
    size_t length = 2 + name_size + size;
    struct file file = {malloc(2 + length), 2 + length};
    if (!file.bytes) abort();
    uint8_t head[4] = {0xff, 0xe1, (uint8_t)(length >> 8), (uint8_t)length};
    memcpy(file.bytes, head, 4);
    memcpy(file.bytes + 4, name, name_size);
    if (size) memcpy(file.bytes + 4 + name_size, body, size);
    return file;
}

static struct file exif(int orientation)
{
    uint8_t tiff[] = II "\1\0\x12\1\3\0\1\0\0\0?\0\0\0" END;
    tiff[18] = (uint8_t)orientation;
    return segment("Exif\0", 6, tiff, sizeof tiff - 1);
}

/* Header and pixels say the same: is the picture on its side? -1: an error, or they don't. */
static int lies(const struct file *file)
{
    struct vi_header header;
    struct vi_image image = decode(file, VI_RGB, false);
    bool stands = image.width == WIDTH && image.height == HEIGHT;
    bool turned = image.width == HEIGHT && image.height == WIDTH;
    if (vi_decode_header(&header, context, file->bytes, file->size, "x") ||
        header.width != image.width || header.height != image.height)
        stands = turned = false;
    vi_image_free(context, &image);
    return stands ? 0 : turned ? 1 : -1;
}

static size_t find(const struct file *file, const char *bytes, size_t count)
{
    for (size_t i = 0; i + count <= file->size; i++)
        if (memcmp(file->bytes + i, bytes, count) == 0) return i;
    abort();
}

/* Segments before a JPEG's first, the last one given first. */
static void test_segments(void)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    struct file plain = load("444.jpg"), one = exif(1), six = exif(6), nine = exif(9);
    struct file other = segment(xmp, sizeof xmp, "<x/>", 4), empty = segment("Exif\0", 6, NULL, 0);
    struct file tiny = segment("Exi", 3, NULL, 0), padded = exif(6);
    padded.bytes[9] = 0xff;
    const struct {
        const char *name;
        const struct file *second, *first;
        int lies;
    } cases[] = {
        {"one segment", NULL, &six, 1},
        {"XMP before it", &six, &other, 1},
        {"XMP behind it", &other, &six, 1},
        {"an empty one before it", &six, &empty, 1},
        {"a segment of three bytes before it", &six, &tiny, 1},
        {"two that agree not: the first", &one, &six, 1},
        {"two that agree not: the other way round", &six, &one, 0},
        {"nonsense, then sense", &six, &nine, 0},
        {"another name", NULL, &padded, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file file = file_of(plain.bytes, plain.size);
        const struct file *parts[] = {cases[i].second, cases[i].first};
        for (int j = 0; j < 2; j++) {
            if (!parts[j]) continue;
            struct file longer = insert(&file, 2, parts[j]->bytes, parts[j]->size);
            free(file.bytes);
            file = longer;
        }
        CHECK(lies(&file) == cases[i].lies, "JPEG: %s", cases[i].name);
        free(file.bytes);
    }
    struct file late = insert(&plain, find(&plain, "\377\332", 2), six.bytes, six.size);
    CHECK(lies(&late) == 0, "JPEG: a segment behind the frame header is too late");
    free(late.bytes);
    free(plain.bytes), free(one.bytes), free(six.bytes), free(nine.bytes);
    free(other.bytes), free(empty.bytes), free(tiny.bytes), free(padded.bytes);
}

static void test_chunks(void)
{
    struct file turned = load("exif6.png"), plain = load("rgb.png");
    size_t at = find(&turned, "eXIf", 4) - 4, end = find(&plain, "IEND", 4) - 4;
    size_t size = 12 + (size_t)vi_be32(turned.bytes + at);
    struct file behind = insert(&plain, end, turned.bytes + at, size);
    CHECK(lies(&turned) == 1 && lies(&plain) == 0, "PNG: with a chunk and without");
    CHECK(lies(&behind) == 1, "PNG: a chunk behind the picture's data");
    free(behind.bytes);
    turned.bytes[at + 8 + 4] ^= 1;
    CHECK(lies(&turned) == 0, "PNG: a chunk with the wrong checksum");
    turned.bytes[at + 8 + 4] ^= 1;
    int accepted = 0, wrong = 0;
    for (size_t cut = 0; cut < turned.size; cut++) {
        struct file part = file_of(turned.bytes, cut);
        struct vi_header header;
        struct vi_image image;
        accepted += !vi_decode(&image, context, part.bytes, cut, NULL, "x");
        if (!vi_decode_header(&header, context, part.bytes, cut, "x"))
            wrong += header.width != (cut >= at + size ? HEIGHT : WIDTH);
        free(part.bytes);
    }
    CHECK(accepted == 0 && wrong == 0, "PNG: cut anywhere");
    free(turned.bytes);
    free(plain.bytes);
}

/* Whatever the data say, the picture is read; outside of them it may as well be damaged. */
static void test_mutations(void)
{
    static const char *const names[] = {"exif6.jpg", "exif3.jpg", "exif6.png"};
    struct nn_rng rng = nn_rng_make(1, 0);
    for (int i = 0; i < 3; i++) {
        struct file file = load(names[i]);
        bool png = i == 2;
        size_t begin = png ? find(&file, "eXIf", 4) + 4 : find(&file, "Exif", 4);
        size_t size = png ? vi_be32(file.bytes + begin - 8) : vi_be16(file.bytes + begin - 2) - 2;
        int wrong = 0, counts[2] = {0, 0};
        for (int n = 0; n < 2000; n++) {
            uint8_t *byte = file.bytes + begin + nn_rng_below(&rng, (uint32_t)size), held = *byte;
            *byte = (uint8_t)nn_rng_u32(&rng);
            int got = lies(&file);
            wrong += got < 0;
            counts[got > 0]++;
            *byte = held;
        }
        CHECK(wrong == 0 && counts[0] > 0 && (png || (counts[1] > 0) == (i == 0)),
              "%s with a byte of its Exif data changed: %d stand, %d lie", names[i], counts[0],
              counts[1]);
        free(file.bytes);
    }
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
    failing->blocks++;
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    struct failing *failing = user;
    (void)bytes;
    failing->blocks--;
    free(memory);
}

static void test_memory_fails(const char *name)
{
    struct failing failing = {0};
    struct file file = load(name);
    struct nn_context *mine = context;
    struct nn_allocator allocator = {allocate, release, &failing};
    struct nn_options options = {.threads = 1, .allocator = &allocator};
    if (!CHECK(!nn_open(&context, &options), "context")) return;
    long begin = failing.calls, fails = 0, wrong = 0, blocks = failing.blocks;
    enum nn_status status = NN_ERROR_MEMORY;
    while (status && fails < 1000) {
        struct vi_image image;
        failing.calls = begin;
        failing.fails_at = begin + ++fails;
        status = vi_decode(&image, context, file.bytes, file.size, NULL, "x");
        wrong += status && (status != NN_ERROR_MEMORY || image.pixels);
        vi_image_free(context, &image);
        wrong += failing.blocks != blocks;
    }
    CHECK(!status && fails > 2 && wrong == 0, "%s: each of %ld allocations fails once", name,
          fails - 1);
    nn_close(&context);
    CHECK(failing.blocks == 0, "nothing leaks");
    context = mine;
    free(file.bytes);
}

/* Two pictures at most: decoding needs as much by itself. */
static void test_memory_needed(void)
{
    enum { W = 640, H = 480, BYTES = W * H * 3 };
    struct vi_image image;
    void *bytes;
    size_t size;
    if (vi_image_new(&image, context, W, H, 3) ||
        vi_encode(&bytes, &size, &image, context, "jpeg", 0))
        abort();
    vi_image_free(context, &image);
    struct file plain = file_of(bytes, size), six = exif(6);
    struct file file = insert(&plain, 2, six.bytes, six.size);
    nn_free(context, bytes);
    struct nn_context *mine = context;
    if (CHECK(!nn_open(&context, &(struct nn_options){.threads = 1}), "context")) {
        image = decode(&file, VI_RGB, false);
        CHECK(image.width == H && image.height == W && nn_bytes_peak(context) < 2 * BYTES + 65536,
              "turning %d bytes of pixels: at most %zu in memory", BYTES, nn_bytes_peak(context));
        vi_image_free(context, &image);
        nn_close(&context);
    }
    context = mine;
    free(plain.bytes), free(six.bytes), free(file.bytes);
}

/* ---- videos ---------------------------------------------------------------------------------- */

static void check_capture(const char *path, const char *format, int width, int frames)
{
    struct vi_capture *capture = NULL;
    struct vi_frame frame = {0};
    bool end = false;
    int seen = 0, wrong = 0;
    enum nn_status status = vi_capture_open(&capture, context, path, NULL);
    while (!status && !(status = vi_capture_read(capture, &frame, &end)) && !end) {
        wrong += frame.image.width != width;
        seen++;
    }
    CHECK(!status && seen == frames && wrong == 0 &&
              strcmp(vi_capture_info(capture)->format, format) == 0,
          "%s: frames are %d wide", format, width);
    vi_capture_close(&capture);
}

/* A folder's photos are upright; of a video's frames the container has the say. */
static void test_capture(void)
{
    struct file one = load("exif6.jpg"), three = insert(&one, 0, one.bytes, one.size);
    struct file all = insert(&three, 0, one.bytes, one.size);
    char path[] = "/tmp/liveness-exif-XXXXXX";
    int descriptor = mkstemp(path);
    if (CHECK(descriptor >= 0 && write(descriptor, all.bytes, all.size) == (ssize_t)all.size,
              "a file to write to")) {
        check_capture(path, "mjpeg", WIDTH, 3);
        check_capture(FOLDER "exif6.jpg", "pictures", HEIGHT, 1);
    }
    if (descriptor >= 0) close(descriptor);
    unlink(path);
    free(one.bytes), free(three.bytes), free(all.bytes);
}

int main(void)
{
    if (!CHECK(!nn_open(&context, &(struct nn_options){.threads = 1}), "open")) return test_done();
    size_t before = nn_bytes_allocated(context);
    for (int orientation = 1; orientation <= 8; orientation++) {
        char name[32];
        snprintf(name, sizeof name, "exif%d.jpg", orientation);
        test_kind(name, orientation, TOLERANCE);
    }
    test_kind("exif6.png", 6, 0);
    test_sizes();
    test_data();
    test_hostile();
    test_segments();
    test_chunks();
    test_mutations();
    test_memory_fails("exif3.jpg");
    test_memory_fails("exif6.jpg");
    test_memory_fails("exif6.png");
    test_memory_needed();
    test_capture();
    CHECK(nn_bytes_allocated(context) == before, "nothing leaks");
    nn_close(&context);
    return test_done();
}
