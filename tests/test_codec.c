/* test_codec.c — JPEG and PNG: files of many kinds, damaged ones, and back. */
#include "tests/test.h"
#include "vision/codec/codec.h"

#define FOLDER "tests/golden/pictures/"

struct file {
    uint8_t *bytes;
    size_t size;
};

static struct nn_context *context;

static struct file load(const char *name)
{
    char path[256];
    void *bytes = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, FOLDER "%s", name);
    if (nn_file_read(context, path, 1 << 20, &bytes, &size)) printf("# %s\n", nn_error(context));
    return (struct file){bytes, size};
}

/* Decodes and forgets. */
static enum nn_status decodes(const void *bytes, size_t size)
{
    struct vi_image image;
    enum nn_status status = vi_decode(&image, context, bytes, size, NULL, "x");
    if ((status == NN_OK) != (image.pixels != NULL)) return NN_ERROR_INTERRUPTED;
    vi_image_free(context, &image);
    return status;
}

static bool says(const char *text)
{
    if (strstr(nn_error(context), text)) return true;
    printf("# expected \"%s\" in \"%s\"\n", text, nn_error(context));
    return false;
}

/* ---- files of many kinds ------------------------------------------------------------------- */

static const struct kind {
    const char *name;
    int channels, bits, tolerance; /* to OpenCV's pixels: its JPEG decoder rounds otherwise */
} kinds[] = {
    {"rgb.png", 3, 8, 0},      {"interlaced.png", 3, 8, 0},  {"rgb16.png", 3, 16, 0},
    {"gray16.png", 1, 16, 0},  {"gray8.png", 1, 8, 0},       {"gray4.png", 1, 4, 0},
    {"gray1.png", 1, 1, 0},    {"rgba.png", 4, 8, 0},        {"graya.png", 2, 8, 0},
    {"palette8.png", 1, 8, 0}, {"palette4.png", 1, 4, 0},    {"palette_alpha.png", 1, 8, 0},
    {"444.jpg", 3, 8, 4},      {"420.jpg", 3, 8, 6}, /* stb_image mixes the last column of colours
                                                        with the wrong weights. */
    {"422.jpg", 3, 8, 15},     {"progressive.jpg", 3, 8, 6}, {"restart.jpg", 3, 8, 6},
    {"gray.jpg", 1, 8, 3},     {"cmyk.jpg", 4, 8, 4},        {"ycck.jpg", 4, 8, 4},
};
enum { KINDS = sizeof kinds / sizeof *kinds, WIDTH = 21, HEIGHT = 18, PIXELS = WIDTH * HEIGHT };

static int difference(const uint8_t *a, const uint8_t *b, int count)
{
    int worst = 0;
    for (int i = 0; i < count; i++)
        if (abs(a[i] - b[i]) > worst) worst = abs(a[i] - b[i]);
    return worst;
}

/* The same file in other orders of colour. */
static void test_colors(const struct file *file, const char *name, const struct vi_image *rgb)
{
    struct vi_image bgr, gray, rgba;
    struct vi_decode_options options = {.color = VI_BGR};
    bool equal = true;
    if (!CHECK(!vi_decode(&bgr, context, file->bytes, file->size, &options, name), "%s", name))
        return;
    options.color = VI_GRAY;
    if (!CHECK(!vi_decode(&gray, context, file->bytes, file->size, &options, name), "%s", name))
        return;
    options.color = VI_RGBA;
    if (!CHECK(!vi_decode(&rgba, context, file->bytes, file->size, &options, name), "%s", name))
        return;
    for (int i = 0; i < PIXELS; i++) {
        const uint8_t *p = rgb->pixels + 3 * i, *q = bgr.pixels + 3 * i;
        equal = equal && p[0] == q[2] && p[1] == q[1] && p[2] == q[0];
        equal = equal && memcmp(rgba.pixels + 4 * i, p, 3) == 0;
        equal = equal && gray.pixels[i] == (p[0] * 9798 + p[1] * 19235 + p[2] * 3735 + 16384) >> 15;
    }
    CHECK(equal && gray.channels == 1 && rgba.channels == 4, "%s as BGR, grey and RGBA", name);
    vi_image_free(context, &bgr);
    vi_image_free(context, &gray);
    vi_image_free(context, &rgba);
}

static void test_kinds(void)
{
    for (int i = 0; i < KINDS; i++) {
        const struct kind *kind = &kinds[i];
        char truth_name[64];
        snprintf(truth_name, sizeof truth_name, "%s.ppm", kind->name);
        struct file file = load(kind->name), truth = load(truth_name);
        struct vi_header header;
        struct vi_image image;
        enum nn_status status =
            vi_decode_header(&header, context, file.bytes, file.size, kind->name);
        CHECK(!status && header.width == WIDTH && header.height == HEIGHT &&
                  header.channels == kind->channels && header.bits == kind->bits,
              "%s: header", kind->name);
        status = vi_decode(&image, context, file.bytes, file.size, NULL, kind->name);
        if (CHECK(!status && image.width == WIDTH && image.height == HEIGHT && image.channels == 3,
                  "%s is decoded", kind->name) &&
            CHECK(truth.size > 3 * PIXELS, "%s", truth_name)) {
            int worst = difference(image.pixels, truth.bytes + truth.size - 3 * PIXELS, 3 * PIXELS);
            CHECK(worst <= kind->tolerance, "%s: OpenCV differs by %d", kind->name, worst);
            test_colors(&file, kind->name, &image);
        }
        vi_image_free(context, &image);
        nn_free(context, file.bytes);
        nn_free(context, truth.bytes);
    }
}

/* ---- damaged files --------------------------------------------------------------------------- */

static void test_truncated(void)
{
    for (int i = 0; i < KINDS; i++) {
        struct file file = load(kinds[i].name);
        size_t accepted = 0;
        for (size_t size = 0; size < file.size; size++) {
            /* A copy of the exact size, so that reading beyond it is noticed. */
            uint8_t *copy = malloc(size ? size : 1);
            if (!copy) break;
            memcpy(copy, file.bytes, size);
            enum nn_status status = decodes(copy, size);
            accepted += status != NN_ERROR_FORMAT && status != NN_ERROR_UNSUPPORTED;
            free(copy);
        }
        CHECK(file.size && accepted == 0, "%s cut at each of %zu bytes is an error", kinds[i].name,
              file.size);
        nn_free(context, file.bytes);
    }
}

/* Every byte of a PNG is under a checksum; a JPEG has none, and may decode to something else. */
static void test_flipped(void)
{
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    for (int i = 0; i < KINDS; i++) {
        struct file file = load(kinds[i].name);
        size_t accepted = 0, odd = 0;
        for (size_t at = 0; at < file.size; at++) {
            uint8_t mask = masks[(at + (size_t)i) % 3];
            file.bytes[at] ^= mask;
            enum nn_status status = decodes(file.bytes, file.size);
            accepted += status == NN_OK;
            odd += status != NN_OK && status != NN_ERROR_FORMAT && status != NN_ERROR_UNSUPPORTED &&
                   status != NN_ERROR_MEMORY;
            file.bytes[at] ^= mask;
        }
        bool png = strstr(kinds[i].name, ".png") && !strstr(kinds[i].name, "alpha");
        CHECK(file.size && odd == 0 && (!png || accepted == 0),
              "%s with any byte changed is an error%s", kinds[i].name, png ? "" : " or a picture");
        nn_free(context, file.bytes);
    }
}

/* CRC-32 bit by bit, to repair the checksum of a changed header. */
static void put_crc(uint8_t *to, const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size * 8; i++) {
        crc ^= i % 8 ? 0 : bytes[i / 8];
        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(~crc >> (24 - 8 * i));
}

/* A PNG whose IHDR has `value` (2 bytes) at `at`, counted from the width. */
static struct file png_with(int at, int value)
{
    struct file file = load("rgb.png");
    file.bytes[16 + at] = (uint8_t)(value >> 8);
    file.bytes[17 + at] = (uint8_t)value;
    put_crc(file.bytes + 29, file.bytes + 12, 17);
    return file;
}

static size_t find(const struct file *file, const char *bytes, size_t count)
{
    for (size_t i = 0; i + count <= file->size; i++)
        if (memcmp(file->bytes + i, bytes, count) == 0) return i;
    return 0;
}

static void test_giants(void)
{
    struct file file = png_with(2, 30000);
    size_t before = nn_allocations(context);
    file.bytes[22] = 30000 >> 8;
    file.bytes[23] = 30000 & 255;
    put_crc(file.bytes + 29, file.bytes + 12, 17);
    CHECK(decodes(file.bytes, file.size) == NN_ERROR_UNSUPPORTED &&
              says("30000x30000 is 900 megapixels, the limit is 64"),
          "a giant PNG");
    CHECK(nn_allocations(context) == before, "is refused before anything is allocated");
    nn_free(context, file.bytes);

    file = load("444.jpg");
    size_t at = find(&file, "\377\300", 2);
    memset(file.bytes + at + 5, 0xff, 4);
    before = nn_allocations(context);
    CHECK(decodes(file.bytes, file.size) == NN_ERROR_UNSUPPORTED && says("65535x65535"),
          "a giant JPEG");
    CHECK(nn_allocations(context) == before, "is refused before anything is allocated");
    nn_free(context, file.bytes);

    file = load("rgb.png");
    struct vi_image image;
    struct vi_decode_options options = {.max_pixels = PIXELS - 1};
    CHECK(vi_decode(&image, context, file.bytes, file.size, &options, "x") && says("the limit is"),
          "the caller's limit of pixels");
    options = (struct vi_decode_options){.max_bytes = file.size - 1};
    CHECK(vi_decode(&image, context, file.bytes, file.size, &options, "x") && says("bytes"),
          "the caller's limit of bytes");
    nn_free(context, file.bytes);

    file = png_with(2, 0);
    CHECK(decodes(file.bytes, file.size) == NN_ERROR_FORMAT && says("0x18"), "width 0");
    nn_free(context, file.bytes);
    file = png_with(0, 0xffff);
    CHECK(decodes(file.bytes, file.size) == NN_ERROR_FORMAT, "width over 2^31");
    nn_free(context, file.bytes);
}

/* A PNG of one pixel whose data inflate to 16 MB. */
static void test_bomb(void)
{
    enum { INFLATED = 16 << 20 };
    static const uint8_t start[] = "\211PNG\r\n\032\n\0\0\0\015IHDR\0\0\0\1\0\0\0\1\10\0\0\0\0";
    uint8_t *zeros = nn_alloc(context, INFLATED, 1);
    size_t packed_size = 0, size = 0;
    uint8_t *packed = zeros ? vi_deflate(context, zeros, INFLATED, &packed_size) : NULL;
    nn_free(context, zeros);
    uint8_t *file = packed ? nn_alloc(context, packed_size + 100, 1) : NULL;
    if (!CHECK(file, "memory")) return;
    memcpy(file, start, 29);
    put_crc(file + 29, file + 12, 17);
    uint8_t *idat = file + 33;
    for (int i = 0; i < 4; i++) idat[i] = (uint8_t)(packed_size >> (24 - 8 * i));
    memcpy(idat + 4, "IDAT", 4);
    memcpy(idat + 8, packed, packed_size);
    put_crc(idat + 8 + packed_size, idat + 4, 4 + packed_size);
    size = 33 + 12 + packed_size;
    memcpy(file + size, "\0\0\0\0IEND\256\102\140\202", 12);

    /* The peak so far is higher: a context of its own shows this file's. */
    struct nn_context *mine = context;
    if (CHECK(!nn_open(&context, &(struct nn_options){.threads = 1}), "context")) {
        CHECK(decodes(file, size + 12) == NN_ERROR_MEMORY, "a PNG that inflates without end");
        CHECK(nn_bytes_peak(context) < 1 << 20, "costs no memory: %zu", nn_bytes_peak(context));
        nn_close(&context);
    }
    context = mine;
    nn_free(context, packed);
    nn_free(context, file);
}

/* ---- what is not read ------------------------------------------------------------------------ */

static void test_strangers(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } cases[] = {
        {"", 0, "empty file"},
        {"GIF89a....", 10, "not a JPEG, PNG, PGM or PPM (begins 47 49 46 38: GIF)"},
        {"a", 1, "(begins 61)"},
        {"\377\330", 2, "(begins FF D8)"},
        {"RIFF....WEBPVP8 ", 16, "WebP"},
        {"<html><body>404", 15, "a web page"},
        {"\211PNG\r\n\032\n", 8, "truncated PNG"},
        {"\211PNG\r\n\032\n\0\0\0\4CgBI", 16, "CgBI"},
        {"\211PNG\r\n\032\n\0\0\0\015IDAT.....................", 37, "no IHDR"},
        {"\377\330\377\331", 4, "holds no picture"},
        {"\377\330\377", 3, "truncated JPEG"},
        {"\377\330\377\300\0\1", 6, "segment FFC0 of 1 bytes"},
        {"\377\330\377\332\0\2\377\331", 8, "a scan before the header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(decodes(cases[i].bytes, cases[i].size) && says(cases[i].message), "%s",
              cases[i].message);
    struct vi_image image;
    CHECK(vi_decode(&image, context, "a", 1, NULL, "a\nb\033[2J") && says("'a\\x0Ab\\x1B[2J': "),
          "control characters of a name are not shown");
}

static void check_jpeg(const char *name, int marker, int at, int value, const char *message)
{
    struct file file = load(name);
    char sof[2] = {'\377', (char)marker};
    size_t found = find(&file, sof, 2);
    if (found) file.bytes[found + (size_t)at] = (uint8_t)value;
    CHECK(found && decodes(file.bytes, file.size) && says(message), "JPEG: %s", message);
    nn_free(context, file.bytes);
}

static void test_unsupported_jpeg(void)
{
    check_jpeg("444.jpg", 0xc0, 1, 0xc3, "lossless JPEG coding is not supported");
    check_jpeg("444.jpg", 0xc0, 1, 0xc5, "hierarchical JPEG coding is not supported");
    check_jpeg("444.jpg", 0xc0, 1, 0xc9, "arithmetic JPEG coding is not supported");
    check_jpeg("progressive.jpg", 0xc2, 1, 0xca, "arithmetic JPEG coding is not supported");
    check_jpeg("444.jpg", 0xc0, 1, 0xf7, "JPEG-LS");
    check_jpeg("444.jpg", 0xc0, 4, 12, "12-bit JPEG is not supported");
    check_jpeg("444.jpg", 0xc0, 9, 2, "frame header of 15 bytes for 2 components");
    check_jpeg("444.jpg", 0xc0, 1, 0xfe, "a scan before the header");
    check_jpeg("cmyk.jpg", 0xee, 1, 0xed, "no Adobe marker");
    struct file file = load("cmyk.jpg");
    size_t adobe = find(&file, "Adobe", 5);
    file.bytes[adobe + 11] = 1;
    CHECK(decodes(file.bytes, file.size) && says("no Adobe marker"), "CMYK of an unknown kind");
    nn_free(context, file.bytes);
    /* Tables as a motion-JPEG camera leaves them out. */
    static const char *const tables[] = {"\377\304", "\377\333"};
    for (int i = 0; i < 2; i++) {
        file = load("gray.jpg");
        for (size_t at; (at = find(&file, tables[i], 2)) > 0;) file.bytes[at + 1] = 0xfe;
        CHECK(decodes(file.bytes, file.size) && says("tables are missing"), "tables are missing");
        nn_free(context, file.bytes);
    }
}

/* What follows the end marker is not ours: some cameras append a second picture. */
static void test_trailing(void)
{
    static const char *const names[] = {"444.jpg", "rgb.png"};
    for (int i = 0; i < 2; i++) {
        struct file file = load(names[i]);
        uint8_t *longer = nn_realloc(context, file.bytes, file.size + 50, 1);
        if (longer) file.bytes = longer;
        CHECK(longer && !decodes(longer, file.size + 50), "%s with bytes after its end", names[i]);
        nn_free(context, file.bytes);
    }
}

/* PGM and PPM: one blank line's worth of header, then samples. */
static void test_pnm(void)
{
    static const char *const bad[] = {
        "P6\n2 1\n255\n12345",    "P6\n2 1 0\n123456", "P6 2",
        "P6 70000 1 255 ",        "P5 -1 1 255 a",     "P5 1 1 65536 ab",
        "P6 65535 65535 255 abc", "P5 1 1 255",        "P5 0 1 255 a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(decodes(bad[i], strlen(bad[i])), "no PNM: %.10s", bad[i]);
    static const char color[] = "P6 # two pixels\n2 # wide\n1\n255\nABCabc";
    static const char gray[] = "P5\n2 1\n15\n\0\017", deep[] = "P5 1 1 65535\n\200\0";
    struct vi_image image;
    struct vi_decode_options bgr = {.color = VI_BGR}, one = {.color = VI_GRAY},
                             four = {.color = VI_RGBA};
    CHECK(!vi_decode(&image, context, color, sizeof color - 1, &bgr, "x") && image.width == 2 &&
              image.height == 1 && memcmp(image.pixels, "CBAcba", 6) == 0,
          "PPM, as BGR");
    vi_image_free(context, &image);
    CHECK(!vi_decode(&image, context, gray, sizeof gray - 1, &one, "x") && image.channels == 1 &&
              image.pixels[0] == 0 && image.pixels[1] == 255,
          "PGM of 16 levels");
    vi_image_free(context, &image);
    CHECK(!vi_decode(&image, context, deep, sizeof deep - 1, &four, "x") && image.channels == 4 &&
              image.pixels[0] == 128 && image.pixels[2] == 128 && image.pixels[3] == 255,
          "PGM of 16 bits, as RGBA");
    vi_image_free(context, &image);
}

int main(void)
{
    if (!CHECK(!nn_open(&context, &(struct nn_options){.threads = 1}), "open")) return test_done();
    size_t before = nn_bytes_allocated(context);
    test_kinds();
    test_truncated();
    test_flipped();
    test_giants();
    test_bomb();
    test_strangers();
    test_unsupported_jpeg();
    test_trailing();
    test_pnm();
    CHECK(nn_bytes_allocated(context) == before, "nothing leaks");
    nn_close(&context);
    return test_done();
}
