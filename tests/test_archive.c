/* test_archive.c — .safetensors files: there and back, files made by others, every kind of wrong
 * header, every byte of a file changed, every allocation failed. */
#include "nn/nn.h"
#include "nn/format/archive.h"
#include "tests/test.h"

#include <unistd.h>

static struct nn_context *context;

static bool says(const char *text)
{
    bool found = strstr(nn_error(context), text) != NULL;
    if (!found) printf("# got: %s\n", nn_error(context));
    return found;
}

static const float FLOATS[6] = {1, -2.5f, 3e-30f, 4e30f, -0.0f, 6};
static const double DOUBLES[2] = {0.1, -1e300};
static const int64_t INTEGERS[1] = {-(INT64_C(1) << 62)};
static const uint8_t BYTES[3] = {0, 127, 255};
static const int64_t TWO_BY_THREE[2] = {2, 3}, TWO[1] = {2}, THREE[1] = {3}, NONE[2] = {0, 7};
static const char TEXT[] = "{\"op\":\"conv2d\",\"say\":\"\\\"\\\\\",\"\xC3\xA9\":[1,2]}\n";

/* All types, shapes of rank 0 to 2, an empty tensor, names and texts that need escapes. */
static enum nn_status fill(struct nn_archive *archive)
{
    enum nn_status status = nn_archive_put(archive, "conv/kernel", NN_F32, 2, TWO_BY_THREE, FLOATS);
    if (!status) status = nn_archive_put(archive, "bytes \"q\"", NN_U8, 1, THREE, BYTES);
    if (!status) status = nn_archive_put(archive, "z/double", NN_F64, 1, TWO, DOUBLES);
    if (!status) status = nn_archive_put(archive, "scalar", NN_I64, 0, NULL, INTEGERS);
    if (!status) status = nn_archive_put(archive, "empty", NN_F32, 2, NONE, NULL);
    if (!status) status = nn_archive_put_text(archive, "architecture", TEXT);
    if (!status) status = nn_archive_put_text(archive, "a\\key\"", "");
    return status;
}

static struct nn_archive *sample(void)
{
    struct nn_archive *archive = NULL;
    if (nn_archive_new(&archive, context) == NN_OK && fill(archive)) nn_archive_free(&archive);
    return archive;
}

/* Equal tensors and texts, by what the public functions show and by what the file would hold. */
static bool equal(const struct nn_archive *a, const struct nn_archive *b)
{
    if (nn_archive_count(a) != nn_archive_count(b) || a->texts.count != b->texts.count)
        return false;
    for (int i = 0; i < nn_archive_count(a); i++) {
        const struct nn_archive_tensor *s = nn_archive_at(a, i), *t = nn_archive_at(b, i);
        if (strcmp(s->name, t->name) || s->type != t->type || s->rank != t->rank ||
            memcmp(s->dim, t->dim, sizeof s->dim) || s->bytes != t->bytes ||
            memcmp(s->data, t->data, s->bytes))
            return false;
    }
    for (int i = 0; i < a->texts.count; i++) {
        const struct nn_archive_text *s = a->texts.items[i];
        const char *text = nn_archive_text(b, s->name);
        if (!text || strcmp(text, s->text)) return false;
    }
    return true;
}

static void test_memory(void)
{
    struct nn_archive *archive = sample();
    if (!CHECK(archive != NULL, "an archive of five tensors")) return;
    static const char *const names[] = {"bytes \"q\"", "conv/kernel", "empty", "scalar",
                                        "z/double"};
    bool sorted = nn_archive_count(archive) == 5;
    for (int i = 0; sorted && i < 5; i++)
        sorted = !strcmp(nn_archive_at(archive, i)->name, names[i]);
    CHECK(sorted, "tensors are in the order of their names");
    CHECK(!nn_archive_at(archive, 5) && !nn_archive_at(archive, -1) &&
              !nn_archive_get(archive, "none") && !nn_archive_text(archive, "none"),
          "what is not there is NULL");
    const struct nn_archive_tensor *t = nn_archive_get(archive, "conv/kernel");
    CHECK(t && t->type == NN_F32 && t->rank == 2 && t->dim[0] == 2 && t->dim[1] == 3 &&
              t->bytes == sizeof FLOATS && !memcmp(t->data, FLOATS, sizeof FLOATS),
          "a tensor is as it was put");
    CHECK((uintptr_t)t->data % 64 == 0, "and aligned");
    CHECK(nn_archive_put(archive, t->name, NN_U8, 1, TWO, BYTES) == NN_OK &&
              nn_archive_count(archive) == 5 && nn_archive_get(archive, "conv/kernel")->bytes == 2,
          "putting it again replaces it");
    CHECK(nn_archive_put_text(archive, "architecture", "new") == NN_OK &&
              !strcmp(nn_archive_text(archive, "architecture"), "new"),
          "so do texts");
    const int64_t negative[1] = {-1}, huge[2] = {INT64_C(1) << 40, INT64_C(1) << 40};
    CHECK(nn_archive_put(archive, "n", NN_F32, 1, negative, FLOATS) == NN_ERROR_ARGUMENT &&
              nn_archive_put(archive, "n", NN_F32, 2, huge, FLOATS) == NN_ERROR_MEMORY &&
              nn_archive_put(archive, "n", NN_F32, 9, huge, FLOATS) == NN_ERROR_ARGUMENT &&
              nn_archive_put(archive, "n", (enum nn_type)77, 1, TWO, FLOATS) == NN_ERROR_ARGUMENT &&
              nn_archive_put(archive, "__metadata__", NN_U8, 1, TWO, BYTES) == NN_ERROR_ARGUMENT &&
              nn_archive_put(archive, "\xFF", NN_U8, 1, TWO, BYTES) == NN_ERROR_ARGUMENT,
          "bad tensors are refused");
    CHECK(nn_archive_put_text(archive, "k", "\xC0\x80") == NN_ERROR_ARGUMENT &&
              nn_archive_put_text(archive, "\x80", "t") == NN_ERROR_ARGUMENT &&
              nn_archive_put_text(archive, "liveness.sha256", "t") == NN_ERROR_ARGUMENT,
          "bad texts are refused");
    CHECK(nn_archive_count(archive) == 5 && archive->texts.count == 2, "and leave no trace");
    nn_archive_free(&archive);
    nn_archive_free(&archive);
    CHECK(!archive, "freeing twice is harmless");
}

static void test_round_trip(void)
{
    struct nn_archive *archive = sample(), *back = NULL;
    unsigned char *bytes, *again;
    size_t size, size_again;
    CHECK(nn_archive_serialize(archive, &bytes, &size) == NN_OK, "an archive becomes a file");
    CHECK((8 + bytes[0] + 256 * bytes[1]) % 64 == 0, "its data begin at a multiple of 64");
    CHECK(nn_archive_parse(&back, context, bytes, size, "x") == NN_OK && equal(archive, back),
          "and the file the same archive");
    CHECK(nn_archive_serialize(back, &again, &size_again) == NN_OK && size == size_again &&
              !memcmp(bytes, again, size),
          "and that the same file");
    bool aligned = true;
    for (int i = 0; back && i < nn_archive_count(back); i++)
        aligned = aligned && (uintptr_t)nn_archive_at(back, i)->data % 64 == 0;
    CHECK(aligned, "tensors that were read are aligned");
    nn_free(context, bytes);
    nn_free(context, again);
    nn_archive_free(&archive);
    nn_archive_free(&back);

    CHECK(nn_archive_new(&archive, context) == NN_OK &&
              nn_archive_serialize(archive, &bytes, &size) == NN_OK &&
              nn_archive_parse(&back, context, bytes, size, "x") == NN_OK &&
              nn_archive_count(back) == 0,
          "an empty archive");
    nn_free(context, bytes);
    nn_archive_free(&archive);
    nn_archive_free(&back);
}

static void test_files(void)
{
    char folder[256], path[300];
    const char *base = getenv("TMPDIR");
    struct nn_archive *archive = sample(), *back = NULL;
    snprintf(folder, sizeof folder, "%s/test_archive.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) return;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    CHECK(nn_archive_write(archive, path) == NN_OK &&
              nn_archive_read(&back, context, path) == NN_OK && equal(archive, back),
          "an archive is written and read");
    nn_archive_free(&back);
    unlink(path);
    CHECK(nn_archive_read(&back, context, path) == NN_ERROR_IO && !back && says("a.safetensors'"),
          "a missing file is named");
    CHECK(nn_archive_read(&back, context, folder) == NN_ERROR_IO && !back, "a folder is no file");
    if (access("/dev/full", W_OK) == 0)
        CHECK(nn_archive_write(archive, "/dev/full") == NN_ERROR_IO && says("No space left"),
              "a full disk");
    else
        test_skip("a full disk", "no /dev/full");
    rmdir(folder);
    nn_archive_free(&archive);
}

/* ---- files of others ------------------------------------------------------------------------- */

/* A file of this header and `data` bytes 0, 1, 2 ... after it, parsed. */
static enum nn_status parse(struct nn_archive **archive, const char *header, size_t data)
{
    size_t length = strlen(header), size = 8 + length + data;
    unsigned char *file = malloc(size);
    for (size_t i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data; i++) file[8 + length + i] = (unsigned char)i;
    enum nn_status status = nn_archive_parse(archive, context, file, size, "f.safetensors");
    free(file);
    return status;
}

static void test_others(void)
{
    struct nn_archive *archive;
    CHECK(parse(&archive, "{}", 0) == NN_OK && nn_archive_count(archive) == 0, "the smallest file");
    nn_archive_free(&archive);
    CHECK(parse(&archive,
                "{\"b\":{\"shape\":[1,2],\"data_offsets\":[1,9],\"dtype\":\"F32\"},"
                "\"__metadata__\":{\"format\":\"pt\",\"sha256\":\"theirs\"},"
                "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}   ",
                9) == NN_OK,
          "a file without our checksum, in another order, not aligned");
    const struct nn_archive_tensor *b = nn_archive_get(archive, "b");
    CHECK(b && (uintptr_t)b->data % 64 == 0 && !memcmp(b->data, "\1\2\3\4\5\6\7\10", 8),
          "its tensors are copied into place");
    CHECK(!strcmp(nn_archive_text(archive, "format"), "pt") &&
              !strcmp(nn_archive_text(archive, "sha256"), "theirs"),
          "its texts are there");
    nn_archive_free(&archive);
}

#define ONE(dtype, shape, offsets)                                                                 \
    "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define U8(name, from, to)                                                                         \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #to "],\"data_offsets\":[" #from "," #to "]}"
#define TWO_OF(a, b)                                                                               \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":" a "},"                              \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":" b "}}"

static void test_refused(void)
{
    static const struct {
        const char *what, *header;
        size_t data;
        enum nn_status status;
        const char *says;
    } cases[] = {
        {"not an object", "[]", 0, NN_ERROR_FORMAT, "'{'"},
        {"space before the header", " {}", 0, NN_ERROR_FORMAT, "'{'"},
        {"no JSON", "{\"a\"}", 0, NN_ERROR_FORMAT, "line 1, column 5"},
        {"trailing bytes", "{}", 1, NN_ERROR_FORMAT, "expected 0 bytes"},
        {"a tensor that is no object", "{\"t\":[1]}", 0, NN_ERROR_FORMAT, "tensor 't'"},
        {"a member too many",
         "{\"t\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],"
         "\"x\":1}}",
         1, NN_ERROR_FORMAT, "exactly"},
        {"a member missing", "{\"t\":{\"dtype\":\"U8\",\"shape\":[],\"offsets\":[0,1]}}", 1,
         NN_ERROR_FORMAT, "exactly"},
        {"a dtype of another kind", ONE("8", "[1]", "[0,1]"), 1, NN_ERROR_FORMAT, "dtype"},
        {"half floats", ONE("\"F16\"", "[1]", "[0,2]"), 2, NN_ERROR_UNSUPPORTED, "'F16'"},
        {"an unknown dtype", ONE("\"f32\"", "[1]", "[0,4]"), 4, NN_ERROR_UNSUPPORTED, "'f32'"},
        {"nine dimensions", ONE("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, NN_ERROR_UNSUPPORTED,
         "at most 8"},
        {"a shape that is no list", ONE("\"U8\"", "1", "[0,1]"), 1, NN_ERROR_FORMAT, "shape"},
        {"a shape of strings", ONE("\"U8\"", "[\"1\"]", "[0,1]"), 1, NN_ERROR_FORMAT, "shape"},
        {"a negative dimension", ONE("\"U8\"", "[-1]", "[0,1]"), 1, NN_ERROR_FORMAT, "shape"},
        {"a broken dimension", ONE("\"U8\"", "[0.5]", "[0,1]"), 1, NN_ERROR_FORMAT, "shape"},
        {"a product that overflows", ONE("\"F32\"", "[4294967296,4294967296,4]", "[0,0]"), 0,
         NN_ERROR_FORMAT, "does not fit"},
        {"a product that overflows beside a 0",
         ONE("\"F32\"", "[0,9007199254740992,9999999]", "[0,0]"), 0, NN_ERROR_FORMAT,
         "does not fit"},
        {"one offset", ONE("\"U8\"", "[1]", "[0]"), 1, NN_ERROR_FORMAT, "data_offsets"},
        {"three offsets", ONE("\"U8\"", "[1]", "[0,1,1]"), 1, NN_ERROR_FORMAT, "data_offsets"},
        {"offsets backwards", ONE("\"U8\"", "[1]", "[1,0]"), 1, NN_ERROR_FORMAT, "does not fit"},
        {"offsets beyond the file", ONE("\"U8\"", "[4]", "[0,4]"), 3, NN_ERROR_FORMAT, "of 3"},
        {"a huge tensor in a small file",
         ONE("\"U8\"", "[9007199254740992]", "[0,9007199254740992]"), 3, NN_ERROR_FORMAT, "of 3"},
        {"a shape smaller than the data", ONE("\"F32\"", "[1]", "[0,8]"), 8, NN_ERROR_FORMAT,
         "does not fit"},
        {"a hole before", ONE("\"U8\"", "[1]", "[1,2]"), 2, NN_ERROR_FORMAT, "at byte 0"},
        {"a hole between", TWO_OF("[0,2]", "[3,5]"), 5, NN_ERROR_FORMAT, "at byte 2"},
        {"an overlap", TWO_OF("[0,2]", "[1,3]"), 3, NN_ERROR_FORMAT, "at byte 2"},
        {"the same bytes twice", TWO_OF("[0,2]", "[0,2]"), 2, NN_ERROR_FORMAT, "at byte 2"},
        {"two tensors of one name", "{" U8("a", 0, 1) "," U8("a", 0, 1) "}", 1, NN_ERROR_FORMAT,
         "two members 'a'"},
        {"metadata that are no object", "{\"__metadata__\":1}", 0, NN_ERROR_FORMAT, "metadata"},
        {"metadata that are no text", "{\"__metadata__\":{\"k\":1}}", 0, NN_ERROR_FORMAT, "'k'"},
        {"our format without a hash", "{\"__metadata__\":{\"liveness.format\":\"1\"}}", 0,
         NN_ERROR_FORMAT, "damaged"},
        {"a key of ours alone", "{\"__metadata__\":{\"liveness.x\":\"1\"}}", 0, NN_ERROR_FORMAT,
         "damaged"},
        {"a wrong hash",
         "{\"__metadata__\":{\"liveness.format\":\"1\",\"liveness.sha256\":"
         "\"00\"}}",
         0, NN_ERROR_FORMAT, "checksum does not match"},
        {"a format of the future",
         "{\"__metadata__\":{\"liveness.format\":\"2\","
         "\"liveness.sha256\":\"00\"}}",
         0, NN_ERROR_UNSUPPORTED, "'2'"},
    };
    struct nn_archive *archive;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum nn_status status = parse(&archive, cases[i].header, cases[i].data);
        CHECK(status == cases[i].status && !archive && says(cases[i].says) && says("f.safetensors"),
              "refused: %s", cases[i].what);
    }
    static const unsigned char lengths[][9] = {{3, 0, 0, 0, 0, 0, 0, 0, '{'},
                                               {0, 0, 0, 0, 0, 0, 0, 0x80, '{'},
                                               {255, 255, 255, 255, 255, 255, 255, 255, '{'},
                                               {0, 0, 0, 0, 0, 0, 0, 0, '{'}};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        CHECK(nn_archive_parse(&archive, context, lengths[i], 9, "x") == NN_ERROR_FORMAT &&
                  !archive,
              "refused: wrong header length %zu", i);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Parses a copy that is exactly as large as it says, so that a sanitizer sees reads beyond it.
 * True: refused, or the same archive as `original`. */
static bool harmless(const struct nn_archive *original, const unsigned char *bytes, size_t size)
{
    struct nn_archive *archive;
    unsigned char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    bool refused = nn_archive_parse(&archive, context, copy, size, "x") != NN_OK;
    bool ok = refused ? !archive : equal(original, archive);
    nn_archive_free(&archive);
    free(copy);
    return ok;
}

/* `changes` are xored into, or set to, each byte. NN_EXHAUSTIVE=1 in the environment tries all. */
static void test_damage(void)
{
    static const unsigned char flips[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
    static const unsigned char values[] = "\"\\ {}[],:\n";
    struct nn_archive *archive = sample();
    unsigned char *bytes;
    size_t size, bad = 0;
    if (!CHECK(nn_archive_serialize(archive, &bytes, &size) == NN_OK, "a file to damage")) return;
    bool exhaustive = getenv("NN_EXHAUSTIVE") != NULL;
    int changes = exhaustive ? 255 : (int)(sizeof flips + sizeof values - 1);
    for (size_t i = 0; i < size; i++) {
        unsigned char right = bytes[i];
        for (int k = 0; k < changes; k++) {
            bytes[i] = exhaustive              ? (unsigned char)(right ^ (k + 1))
                       : k < (int)sizeof flips ? (unsigned char)(right ^ flips[k])
                                               : values[k - (int)sizeof flips];
            if (harmless(archive, bytes, size)) continue;
            if (bad++ == 0) printf("# byte %zu: %d instead of %d\n", i, bytes[i], right);
        }
        bytes[i] = right;
    }
    CHECK(bad == 0, "each of %zu bytes changed in %d ways: refused or the same", size, changes);

    struct nn_archive *cut;
    bad = 0;
    for (size_t length = 0; length < size; length++) {
        unsigned char *copy = malloc(length ? length : 1);
        memcpy(copy, bytes, length);
        bad += nn_archive_parse(&cut, context, copy, length, "x") == NN_OK || cut;
        nn_archive_free(&cut);
        free(copy);
    }
    CHECK(bad == 0, "cut at each length: refused");

    unsigned char *other = malloc(size + 1);
    bad = 0;
    for (size_t i = 0; i < size; i++) { /* one byte lost, one byte doubled */
        memcpy(other, bytes, i);
        memcpy(other + i, bytes + i + 1, size - i - 1);
        bad += !harmless(archive, other, size - 1);
        memcpy(other + i + 1, bytes + i, size - i);
        other[i] = bytes[i];
        bad += !harmless(archive, other, size + 1);
    }
    CHECK(bad == 0, "each byte lost or doubled: refused or the same");
    free(other);
    nn_free(context, bytes);
    nn_archive_free(&archive);
}

/* ---- allocations that fail ------------------------------------------------------------------- */

struct failing {
    int countdown; /* the allocation that fails; negative: none */
    int held;
};

static void fail_after(struct failing *f, int allocations)
{
    f->countdown = allocations;
}

static void *failing_allocate(void *user, size_t bytes)
{
    struct failing *f = user;
    void *memory = NULL;
    if (f->countdown >= 0 && f->countdown-- == 0) return NULL;
    if (posix_memalign(&memory, 64, bytes)) return NULL;
    f->held++;
    return memory;
}

static void failing_release(void *user, void *memory, size_t bytes)
{
    struct failing *f = user;
    (void)bytes;
    f->held--;
    free(memory);
}

/* Makes, fills, writes and reads an archive; everything is freed again. */
static enum nn_status whole_life(struct nn_context *own, const char *path)
{
    struct nn_archive *archive = NULL, *back = NULL;
    enum nn_status status = nn_archive_new(&archive, own);
    if (!status) status = fill(archive);
    if (!status) status = nn_archive_put(archive, "scalar", NN_F32, 0, NULL, FLOATS);
    for (int i = 0; i < 20 && !status; i++) { /* makes the list grow */
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        status = nn_archive_put(archive, name, NN_F32, 1, TWO, FLOATS);
    }
    if (!status) status = nn_archive_write(archive, path);
    if (!status) status = nn_archive_read(&back, own, path);
    if (!status && !equal(archive, back)) status = NN_ERROR_FORMAT;
    nn_archive_free(&back);
    nn_archive_free(&archive);
    return status;
}

static void test_allocation_failures(void)
{
    struct failing f = {.countdown = -1};
    struct nn_allocator allocator = {failing_allocate, failing_release, &f};
    struct nn_context *own = NULL;
    char path[256];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/test_archive.XXXXXX", base ? base : "/tmp");
    int file = mkstemp(path);
    if (file >= 0) close(file);
    if (!CHECK(file >= 0 &&
                   !nn_open(&own, &(struct nn_options){.threads = 1, .allocator = &allocator}),
               "a context whose allocations fail"))
        return;
    int before = f.held, n = 0;
    enum nn_status status = NN_ERROR_MEMORY;
    bool clean = true, named = true;
    for (; status == NN_ERROR_MEMORY && clean && n < 1000; n++) {
        fail_after(&f, n);
        status = whole_life(own, path);
        clean = f.held == before;
        named = named && (!status || strstr(nn_error(own), "memory"));
    }
    CHECK(status == NN_OK && n > 50, "each of %d allocations fails with an error", n - 1);
    CHECK(clean, "and nothing is lost");
    CHECK(named, "and each error says so");
    fail_after(&f, -1);
    nn_close(&own);
    CHECK(f.held == 0, "not even the context");
    unlink(path);
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1}) != NN_OK) return 1;
    size_t before = nn_bytes_allocated(context);
    test_memory();
    test_round_trip();
    test_files();
    test_others();
    test_refused();
    test_damage();
    test_allocation_failures();
    CHECK(nn_bytes_allocated(context) == before, "no memory is left");
    nn_close(&context);
    return test_done();
}
