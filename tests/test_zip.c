/* test_zip.c — pictures inside a .zip: every way of packing, every byte damaged, every length. */
#include "datasets/datasets.h"
#include "tests/test.h"

#include <unistd.h>

static struct nn_context *context;
static char scratch[256], archive[300];

enum { SIDE = 2, BYTES = SIDE * SIDE * 3, MOST = 1 << 18 };
static const struct ds_options small = {.width = SIDE, .height = SIDE, .color = VI_RGB};

/* ---- a zip writer ------------------------------------------------------------------------- */

struct zip {
    uint8_t bytes[MOST], central[MOST];
    size_t size, central_size;
    int entries;
};

static uint8_t *put16(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    return to + 2;
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
    return put16(put16(to, value & 0xFFFF), value >> 16);
}

/* Bit by bit: the definition, to check the table in the reader. */
static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    }
    return ~crc;
}

/* Deflate (RFC 1951) with the fixed codes and literals only. */
static size_t deflate(uint8_t *to, const uint8_t *from, size_t size)
{
    size_t bit = 0, most = size * 9 / 8 + 8;
    memset(to, 0, most);
    to[0] = 3; /* last block, fixed codes */
    bit = 3;
    for (size_t i = 0; i <= size; i++) {
        unsigned symbol = i < size ? from[i] : 256, length, code;
        if (symbol < 144) {
            length = 8;
            code = 0x30 + symbol;
        } else if (symbol < 256) {
            length = 9;
            code = 0x190 + symbol - 144;
        } else {
            length = 7;
            code = 0;
        }
        for (unsigned k = length; k-- > 0; bit++)
            if (code >> k & 1) to[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
    return (bit + 7) / 8;
}

struct entry { /* zero: deflated, all sizes and flags as they should be */
    const char *name;
    const void *bytes;
    size_t size;
    unsigned method; /* 0 deflated, 99 stored, others as they are */
    unsigned flags, made_by;
    uint32_t claimed_size, crc_error;
};

static void add(struct zip *zip, const struct entry *entry)
{
    static uint8_t packed[MOST];
    size_t name = strlen(entry->name), size = entry->size;
    unsigned method = entry->method == 0 ? 8 : entry->method == 99 ? 0 : entry->method;
    uint32_t crc = crc32_of(entry->bytes, size) ^ entry->crc_error;
    uint32_t offset = (uint32_t)zip->size;
    if (method == 8)
        size = deflate(packed, entry->bytes, size);
    else
        memcpy(packed, entry->bytes, size);
    bool streamed = entry->flags & 8;
    uint32_t claimed = entry->claimed_size ? entry->claimed_size : (uint32_t)entry->size;

    uint8_t *to = put32(zip->bytes + zip->size, 0x04034b50);
    to = put16(put16(put16(to, 20), entry->flags), method);
    to = put32(put32(to, 0), streamed ? 0 : crc);
    to = put32(put32(to, streamed ? 0 : (uint32_t)size), streamed ? 0 : claimed);
    to = put16(put16(to, (unsigned)name), 4); /* an extra field, in the local header only */
    memcpy(to, entry->name, name);
    to = put32(to + name, 0x0000CAFE);
    memcpy(to, packed, size);
    to += size;
    if (streamed) to = put32(put32(put32(put32(to, 0x08074b50), crc), (uint32_t)size), claimed);
    zip->size = (size_t)(to - zip->bytes);

    to = put32(zip->central + zip->central_size, 0x02014b50);
    to = put16(put16(put16(put16(to, entry->made_by), 20), entry->flags), method);
    to = put32(put32(put32(put32(to, 0), crc), (uint32_t)size), claimed);
    to = put16(put16(put16(to, (unsigned)name), 0), 3); /* a comment of three bytes */
    to = put32(put32(put32(to, 0), 0), offset);
    memcpy(to, entry->name, name);
    memcpy(to + name, "abc", 3);
    zip->central_size = (size_t)(to + name + 3 - zip->central);
    zip->entries++;
}

static void add_png(struct zip *zip, const char *name, int seed, unsigned method)
{
    uint8_t pixels[BYTES];
    for (int i = 0; i < BYTES; i++) pixels[i] = (uint8_t)(i * 17 + seed * 40);
    const struct vi_image image = {pixels, SIDE, SIDE, 3, (ptrdiff_t)SIDE * 3};
    void *png = NULL;
    size_t size = 0;
    if (vi_encode(&png, &size, &image, context, "png", 0)) printf("# %s\n", nn_error(context));
    add(zip, &(struct entry){.name = name, .bytes = png, .size = size, .method = method});
    nn_free(context, png);
}

/* Appends directory and end; returns the size of the whole. */
static size_t finish(struct zip *zip, const char *comment)
{
    size_t comment_size = strlen(comment);
    uint8_t *to = zip->bytes + zip->size;
    memcpy(to, zip->central, zip->central_size);
    to = put32(to + zip->central_size, 0x06054b50);
    to = put16(put16(put16(put16(to, 0), 0), (unsigned)zip->entries), (unsigned)zip->entries);
    to = put32(put32(to, (uint32_t)zip->central_size), (uint32_t)zip->size);
    to = put16(to, (unsigned)comment_size);
    memcpy(to, comment, comment_size);
    return (size_t)(to - zip->bytes) + comment_size;
}

static void write_archive(const uint8_t *bytes, size_t size)
{
    unlink(archive); /* file systems flush what replaces old data, not what is new */
    FILE *file = fopen(archive, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size) perror(archive);
    if (file) fclose(file);
}

static enum nn_status load(struct ds_pictures *pictures, struct zip *zip, const char *comment)
{
    write_archive(zip->bytes, finish(zip, comment));
    return ds_load(pictures, context, archive, &small, 2);
}

/* ---- archives as they should be ----------------------------------------------------------- */

static bool is_picture(const struct ds_pictures *p, size_t index, const char *path, int seed)
{
    if (index >= p->count || strcmp(p->paths[index], path) != 0) return false;
    for (int i = 0; i < BYTES; i++)
        if (p->pixels[index * BYTES + (size_t)i] != (uint8_t)(i * 17 + seed * 40)) return false;
    return true;
}

static struct zip zip; /* too large for the stack */

static void begin(void)
{
    memset(&zip, 0, sizeof zip);
}

static void test_good(void)
{
    struct ds_pictures p;
    begin();
    add_png(&zip, "real/10.png", 1, 0);
    add_png(&zip, "real/9.png", 2, 99);
    add_png(&zip, "fake/print/1.png", 3, 0);
    add_png(&zip, "./fake//2.png", 4, 0);
    add_png(&zip, "/fake/../3.png", 5, 0);
    add(&zip, &(struct entry){.name = "fake/", .bytes = "", .method = 99});
    add(&zip, &(struct entry){.name = "__MACOSX/real/._10.png", .bytes = "x", .size = 1});
    add(&zip, &(struct entry){.name = "real/.DS_Store", .bytes = "x", .size = 1});
    add(&zip, &(struct entry){.name = "read.me", .bytes = "x", .size = 1});
    enum nn_status status = load(&p, &zip, "PK\5\6 a comment");
    if (!CHECK(!status, "stored and deflated files, a comment"))
        printf("# %s\n", nn_error(context));
    CHECK(p.classes == 2 && p.count == 5 && p.bad_count == 0, "%zu pictures", p.count);
    CHECK(is_picture(&p, 0, "fake/../3.png", 5) && is_picture(&p, 1, "fake/2.png", 4) &&
              is_picture(&p, 2, "fake/print/1.png", 3) && is_picture(&p, 3, "real/9.png", 2) &&
              is_picture(&p, 4, "real/10.png", 1),
          "sorted, each with its own pixels; .. is only a name");
    CHECK(p.group_count == 4 && strcmp(p.group_names[p.groups[2]], "fake/print") == 0, "groups");
    ds_free(&p);
}

static void test_top_folder(void)
{
    struct ds_pictures p;
    begin();
    add(&zip, &(struct entry){.name = "set/", .bytes = "", .method = 99});
    add_png(&zip, "set/real/1.png", 1, 0);
    add_png(&zip, "set/fake/1.png", 2, 0);
    add(&zip, &(struct entry){.name = "set/read.me", .bytes = "x", .size = 1});
    add(&zip, &(struct entry){.name = "a long read.me", .bytes = "x", .size = 1});
    CHECK(!load(&p, &zip, "") && p.count == 2 && is_picture(&p, 0, "fake/1.png", 2) &&
              is_picture(&p, 1, "real/1.png", 1),
          "a single top folder is skipped");
    ds_free(&p);
    begin();
    add_png(&zip, "real/1.png", 1, 0);
    add_png(&zip, "real/a/1.png", 2, 0);
    CHECK(load(&p, &zip, "") == NN_ERROR_FORMAT && strstr(nn_error(context), "'real'"),
          "but not one with pictures in it: %s", nn_error(context));
}

/* Streamed (sizes after the data), made under DOS, the same name twice, a link's mode. */
static void test_variants(void)
{
    struct ds_pictures p;
    uint8_t png[256];
    begin();
    add_png(&zip, "a/1.png", 1, 99);
    size_t size = zip.size - 30 - 7 - 4;
    memcpy(png, zip.bytes + 41, size);
    begin();
    add(&zip, &(struct entry){.name = "a/1.png", .bytes = png, .size = size, .flags = 8});
    add(&zip, &(struct entry){.name = "b\\c\\1.png", .bytes = png, .size = size});
    add_png(&zip, "a/2.png", 2, 0);
    add_png(&zip, "a/2.png", 3, 0);
    CHECK(!load(&p, &zip, "") && p.count == 3 && is_picture(&p, 0, "a/1.png", 1) &&
              is_picture(&p, 1, "a/2.png", 2) && is_picture(&p, 2, "b/c/1.png", 1),
          "streamed, with backslashes, and a name twice");
    CHECK(p.bad_count == 1 && strstr(p.bad[0].reason, "twice"), "the second of that name is told");
    ds_free(&p);
    begin();
    add_png(&zip, "a/1.png", 1, 99);
    add(&zip, &(struct entry){"b\\c.png", png, size, .made_by = 3 << 8});
    CHECK(load(&p, &zip, "") == NN_ERROR_FORMAT, "a backslash is a letter under Unix: %s",
          nn_error(context));
}

/* ---- archives as they should not be ------------------------------------------------------- */

static void expect_bad(const char *what, const struct entry *entry)
{
    struct ds_pictures p;
    begin();
    add_png(&zip, "a/1.png", 1, 0);
    add_png(&zip, "b/1.png", 2, 0);
    add(&zip, entry);
    enum nn_status status = load(&p, &zip, "");
    bool told = !status && p.count == 2 && p.bad_count == 1 && strstr(p.bad[0].reason, what);
    if (!CHECK(told, "%s", !status && p.bad_count ? p.bad[0].reason : nn_error(context)))
        printf("# expected: %s\n", what);
    ds_free(&p);
}

static void test_bad_entries(void)
{
    static const uint8_t zeros[1000];
    expect_bad("encrypted", &(struct entry){"b/2.png", "x", 1, .flags = 1});
    expect_bad("method 12", &(struct entry){"b/2.png", "x", 1, .method = 12});
    expect_bad("CRC-32", &(struct entry){"b/2.png", "x", 1, .crc_error = 1});
    expect_bad("CRC-32", &(struct entry){"b/2.png", "x", 1, .method = 99, .crc_error = 1});
    expect_bad("cannot be true", &(struct entry){"b/2.png", "x", 1, .claimed_size = 100000});
    expect_bad("cannot be true",
               &(struct entry){"b/2.png", "xy", 2, .method = 99, .claimed_size = 1});
    expect_bad("expected 1001", &(struct entry){"b/2.png", zeros, 1000, .claimed_size = 1001});
    expect_bad("damaged", &(struct entry){"b/2.png", zeros, 1000, .claimed_size = 999});
    expect_bad("268435456", &(struct entry){"b/2.png", "x", 1, .claimed_size = 1u << 29});
    expect_bad("zip64", &(struct entry){"b/2.png", "x", 1, .claimed_size = UINT32_MAX});
    expect_bad("not a JPEG, PNG, PGM or PPM", &(struct entry){"b/2.png", zeros, 1000, .method = 0});
    expect_bad("empty", &(struct entry){"b/2.png", "", 0, .method = 99});
    expect_bad("empty", &(struct entry){"b/2.png", "", 0, .method = 0});
    expect_bad("beside", &(struct entry){"2.png", "x", 1, .method = 0});
}

static void expect_error(const uint8_t *bytes, size_t size, enum nn_status status, const char *says)
{
    struct ds_pictures p;
    write_archive(bytes, size);
    size_t before = nn_bytes_allocated(context);
    enum nn_status got = ds_load(&p, context, archive, &small, 2);
    CHECK(got == status && strstr(nn_error(context), says) && nn_bytes_allocated(context) == before,
          "%s", nn_error(context));
    ds_free(&p);
}

static void test_bad_archives(void)
{
    begin();
    expect_error(zip.bytes, finish(&zip, ""), NN_ERROR_FORMAT, "no class folders");
    expect_error((const uint8_t *)"PK", 2, NN_ERROR_FORMAT, "end record");
    add_png(&zip, "a/1.png", 1, 0);
    add_png(&zip, "b/1.png", 2, 0);
    size_t size = finish(&zip, ""), end = size - 22;
    static uint8_t changed[MOST];
#define EXPECT(patch, status, says)                                                                \
    do {                                                                                           \
        memcpy(changed, zip.bytes, size);                                                          \
        patch;                                                                                     \
        expect_error(changed, size, status, says);                                                 \
    } while (0)
    EXPECT(changed[end + 4] = 1, NN_ERROR_UNSUPPORTED, "split over several files");
    EXPECT(changed[end + 8] = 1, NN_ERROR_UNSUPPORTED, "split over several files");
    EXPECT(changed[zip.size + 34] = 1, NN_ERROR_UNSUPPORTED, "split over several files");
    EXPECT(changed[end + 8] = changed[end + 10] = 3, NN_ERROR_FORMAT, "central directory");
    EXPECT(changed[end + 8] = changed[end + 10] = 1, NN_ERROR_FORMAT, "central directory");
    EXPECT(put32(changed + end + 16, 0xFFFFFFFF), NN_ERROR_FORMAT, "central directory");
    EXPECT(put32(changed + end - 20, 0x07064b50), NN_ERROR_UNSUPPORTED, "zip64");
    EXPECT(changed[zip.size + 46] = 0, NN_ERROR_FORMAT, "central directory");
#undef EXPECT
    /* Two names for the same data, of which there is more than the file has room for. */
    begin();
    add_png(&zip, "a/1.png", 1, 0);
    memcpy(zip.central + zip.central_size, zip.central, zip.central_size);
    zip.central_size *= 2;
    zip.entries = 2;
    expect_error(zip.bytes, finish(&zip, ""), NN_ERROR_FORMAT, "overlap");
}

/* ---- damage everywhere -------------------------------------------------------------------- */

static const char *const tiny_names[] = {"a/1.png", "a/x/2.png", "b/1.png", "b/2.png"};

static size_t make_tiny(void)
{
    begin();
    for (int i = 0; i < 4; i++) add_png(&zip, tiny_names[i], i, i % 2 ? 99 : 0);
    return finish(&zip, "c");
}

/* Loads what `bytes` are; true for an error, or for right pictures and every other one named. */
static bool is_harmless(const uint8_t *bytes, size_t size, int *errors)
{
    struct ds_pictures p;
    size_t before = nn_bytes_allocated(context);
    write_archive(bytes, size);
    bool fine = true;
    if (ds_load(&p, context, archive, &small, 2)) {
        ++*errors;
    } else {
        fine = p.count + p.bad_count == 4;
        for (size_t i = 0; i < p.count; i++) {
            bool found = false;
            for (int k = 0; k < 4; k++) found = found || is_picture(&p, i, tiny_names[k], k);
            fine = fine && found;
        }
    }
    ds_free(&p);
    return fine && nn_bytes_allocated(context) == before;
}

static void test_damage(void)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xFF};
    static uint8_t changed[MOST];
    size_t size = make_tiny();
    int wrong = 0, errors = 0;
    CHECK(is_harmless(zip.bytes, size, &errors) && !errors, "a tiny zip of %zu bytes", size);
    for (size_t i = 0; i < size; i++) wrong += !is_harmless(zip.bytes, i, &errors);
    CHECK(wrong == 0 && errors == (int)size, "cut at every length: always an error");
    errors = 0;
    for (size_t f = 0; f < sizeof flips; f++) {
        for (size_t i = 0; i < size; i++) {
            memcpy(changed, zip.bytes, size);
            changed[i] ^= flips[f];
            if (is_harmless(changed, size, &errors)) continue;
            printf("# byte %zu, flipped by %02x\n", i, flips[f]);
            wrong++;
        }
    }
    CHECK(wrong == 0 && errors > 0,
          "every byte flipped: %d errors, else right pictures or told which are bad", errors);
}

/* ---- memory and threads ------------------------------------------------------------------- */

struct failing {
    long calls, fail;
};

static void *fail_allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (failing->calls++ == failing->fail) return NULL;
    return posix_memalign(&memory, 64, bytes) ? NULL : memory;
}

static void fail_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

static void test_memory(void)
{
    struct failing failing = {0, -1};
    const struct nn_allocator allocator = {fail_allocate, fail_release, &failing};
    struct nn_context *other;
    if (nn_open(&other, &(struct nn_options){.threads = 1, .allocator = &allocator})) return;
    write_archive(zip.bytes, make_tiny());
    size_t before = nn_bytes_allocated(other);
    long n = 0, wrong = 0;
    do {
        struct ds_pictures p;
        failing = (struct failing){0, n};
        enum nn_status status = ds_load(&p, other, archive, &small, 2);
        ds_free(&p);
        wrong += status != (failing.calls > n ? NN_ERROR_MEMORY : NN_OK);
        wrong += nn_bytes_allocated(other) != before;
    } while (failing.calls > n++ && n < 2000);
    CHECK(n > 40 && n < 2000 && wrong == 0, "each of %ld allocations failed: clean errors", n - 1);
    nn_close(&other);
}

static void test_threads(void)
{
    char name[32];
    struct ds_pictures a, b;
    struct nn_context *other;
    begin();
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "%s/%d.png", i % 2 ? "real" : "fake", i);
        add_png(&zip, name, i, i % 3 ? 0 : 99);
    }
    write_archive(zip.bytes, finish(&zip, ""));
    if (nn_open(&other, &(struct nn_options){.threads = 3})) return;
    bool made =
        !ds_load(&a, context, archive, &small, 2) && !ds_load(&b, other, archive, &small, 2);
    CHECK(made && a.count == 50 && b.count == 50 && memcmp(a.pixels, b.pixels, 50 * BYTES) == 0,
          "the same with one thread and with three");
    ds_free(&a);
    ds_free(&b);
    nn_close(&other);
}

int main(void)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/zip.XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(scratch) || nn_open(&context, &(struct nn_options){.threads = 1})) {
        CHECK(false, "a scratch folder and a context");
        return test_done();
    }
    snprintf(archive, sizeof archive, "%s/set.zip", scratch);
    size_t before = nn_bytes_allocated(context);
    test_good();
    test_top_folder();
    test_variants();
    test_bad_entries();
    test_bad_archives();
    test_damage();
    test_memory();
    test_threads();
    CHECK(nn_bytes_allocated(context) == before, "all memory was given back");
    nn_close(&context);
    unlink(archive);
    rmdir(scratch);
    return test_done();
}
