/*
 * test_prototext.c — protobuf's text format: what it means, and what is refused where.
 */
#include "nn/format/prototext.h"
#include "tests/test.h"
#include "tests/wire.h"

static struct nn_context *context;
static struct nn_prototext *parsed;

static struct nn_prototext_field *parse(const char *text)
{
    nn_prototext_free(&parsed);
    if (nn_prototext_parse(&parsed, context, text, strlen(text), "x.prototxt")) return NULL;
    return nn_prototext_root(parsed);
}

static struct nn_prototext_field *get(struct nn_prototext_field *message, const char *name)
{
    return nn_prototext_find(message, name, NULL);
}

/* The text of the first field of this name: "-" when there is none. */
static const char *text_of(struct nn_prototext_field *message, const char *name)
{
    struct nn_prototext_field *field = get(message, name);
    return field && field->text ? field->text : "-";
}

static bool message_is(const char *text, const char *message)
{
    if (parse(text)) {
        printf("# %s: accepted\n", text);
        return false;
    }
    if (strcmp(nn_error(context), message) == 0) return true;
    printf("# %s\n#   %s\n", nn_error(context), message);
    return false;
}

static bool refuses(const char *text)
{
    bool refused = !parse(text) && strstr(nn_error(context), "'x.prototxt', line ");
    if (!refused) printf("# not refused: %s\n", text);
    return refused;
}

static void test_grammar(void)
{
    struct nn_prototext_field *root =
        parse("# a net\r\nname: \"n\" # after\nlayer { type: Conv pad: 3, }; layer: <stride: 2>\n"
              "layer<> dim: [1, 3,300];shape [{a:1},<b:2>] none: []\n'");
    CHECK(!root, "a quote that does not close");
    root =
        parse("# a net\r\nname: \"n\" # after\nlayer { type: Conv pad: 3, }; layer: <stride: 2>\n"
              "layer<> dim: [1, 3,300];shape [{a:1},<b:2>] none: []");
    if (!CHECK(root != NULL, "comments, brackets, lists, separators")) return;
    CHECK(root->kind == NN_PROTOTEXT_MESSAGE &&
              strcmp(nn_prototext_name(parsed), "x.prototxt") == 0,
          "the root is a message, the name is kept");
    CHECK(nn_prototext_count(root, "layer") == 3 && nn_prototext_count(root, "dim") == 3 &&
              nn_prototext_count(root, "none") == 0 && nn_prototext_count(root, "shape") == 2,
          "fields that come several times; lists are such fields");
    struct nn_prototext_field *layer = get(root, "layer");
    CHECK(layer->line == 3 && get(layer, "pad")->line == 3 && get(root, "name")->line == 2 &&
              get(root, "dim")->line == 4,
          "lines");
    CHECK(!strcmp(text_of(layer, "type"), "Conv") && !strcmp(text_of(layer, "pad"), "3") &&
              get(layer, "type")->kind == NN_PROTOTEXT_WORD &&
              get(root, "name")->kind == NN_PROTOTEXT_STRING,
          "values");
    layer = nn_prototext_find(root, "layer", layer);
    CHECK(!strcmp(text_of(layer, "stride"), "2"), "the second layer");
    layer = nn_prototext_find(root, "layer", layer);
    CHECK(layer && !layer->first && !nn_prototext_find(root, "layer", layer),
          "the third is the last");
    int64_t sum = 0, value;
    for (struct nn_prototext_field *dim = get(root, "dim"); dim;
         dim = nn_prototext_find(root, "dim", dim))
        if (nn_prototext_int(&value, dim)) sum = sum * 1000 + value;
    CHECK(sum == 1003300, "a list in its order");
    CHECK(!get(NULL, "a") && !get(get(root, "name"), "a") && !nn_prototext_count(NULL, "a"),
          "nothing has no fields");
    CHECK(parse("") && !nn_prototext_root(parsed)->first && parse(" # only a comment"),
          "an empty text is an empty message");
    CHECK(parse("a:1b{}") == NULL && parse("a: - # minus\n1 b{}") && parse("a{}b{}c:\"\"d:''"),
          "a number and a name need space between");
}

static void test_strings(void)
{
    struct nn_prototext_field *root =
        parse("a: \"1\\n\\t\\\\\\\"\\'\\?\\a\" 'two' # and\n \"\\x41\\101\\0z\" b: 'it\"s' "
              "c: \"\\u00e9\\U0001F600\" d: \"\xFF\"");
    if (!CHECK(root != NULL, "strings")) return;
    struct nn_prototext_field *a = get(root, "a");
    CHECK(a->size == 15 && !memcmp(a->text, "1\n\t\\\"'?\atwoAA\0z", 16),
          "escapes, joined strings");
    CHECK(!strcmp(text_of(root, "b"), "it\"s"), "the other quote");
    CHECK(!strcmp(text_of(root, "c"), "\xC3\xA9\xF0\x9F\x98\x80"), "Unicode");
    CHECK(!strcmp(text_of(root, "d"), "\xFF"), "bytes as they are");
    static const char *const bad[] = {
        "a: \"x",         "a: \"x\ny\"",        "a: \"\\",      "a: \"\\q\"",
        "a: \"\\x\"",     "a: \"\\xg\"",        "a: \"\\400\"", "a: \"\\u12\"",
        "a: \"\\ud800\"", "a: \"\\U00110000\"", "a: \"x'"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(refuses(bad[i]), "refused: bad string %zu", i);
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        bool whole;
        int64_t number;
    } whole[] = {{"0", true, 0},
                 {"300", true, 300},
                 {"-1", true, -1},
                 {"-\t5", true, -5},
                 {"0x1F", true, 31},
                 {"-0XfF", true, -255},
                 {"017", true, 15},
                 {"9223372036854775807", true, INT64_MAX},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"9223372036854775808", false, 0},
                 {"-9223372036854775809", false, 0},
                 {"0xFFFFFFFFFFFFFFFF", false, 0},
                 {"99999999999999999999999999999", false, 0},
                 {"1.0", false, 0},
                 {"1f", false, 0},
                 {"1e3", false, 0},
                 {"inf", false, 0},
                 {"true", false, 0},
                 {"'1'", false, 0},
                 {"{}", false, 0}};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        char text[80];
        int64_t value = 0;
        snprintf(text, sizeof text, "a: %s", whole[i].text);
        struct nn_prototext_field *root = parse(text);
        bool good = nn_prototext_int(&value, get(root, "a"));
        CHECK(root && good == whole[i].whole && (!good || value == whole[i].number), "integer %s",
              whole[i].text);
    }
    static const struct {
        const char *text;
        double number; /* NaN: none */
    } floats[] = {{"0", 0},
                  {"-300", -300},
                  {"1.5", 1.5},
                  {".5", .5},
                  {"5.", 5},
                  {"1.001e-05", 1.001e-05},
                  {"-2.5E+3f", -2500},
                  {"7f", 7},
                  {"0f", 0},
                  {"0.0010000000475", 0.0010000000475},
                  {"inf", INFINITY},
                  {"-Infinity", -INFINITY},
                  {"1e400", NAN},
                  {"-1e99999999999999999999", NAN},
                  {"1e-99999999999999999999", 0},
                  {"0x10", NAN},
                  {"010", NAN},
                  {"x", NAN},
                  {"'1'", NAN}};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        char text[80];
        double value = NAN;
        snprintf(text, sizeof text, "a: %s", floats[i].text);
        struct nn_prototext_field *root = parse(text);
        bool good = nn_prototext_float(&value, get(root, "a"));
        CHECK(root && good == !isnan(floats[i].number) && (!good || value == floats[i].number),
              "float %s", floats[i].text);
    }
    double value = 0;
    CHECK(parse("a: -nan") && nn_prototext_float(&value, get(nn_prototext_root(parsed), "a")) &&
              isnan(value),
          "nan is a float");
    static const char *const bad[] = {"1.2.3", "0x",    "0xg", "08",    "1e",   "1e+", ".",
                                      "-",     "- ",    "--1", "-x",    "+1",   "1a",  "1_",
                                      "5ff",   "-true", "1-2", "e-5-3", "0x1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[80];
        snprintf(text, sizeof text, "a: %s b: 1", bad[i]);
        CHECK(refuses(text), "refused: %s", bad[i]);
    }
    char longest[300] = "a: ";
    memset(longest + 3, '1', 201);
    CHECK(refuses(longest), "a number of 201 digits");
    longest[203] = '\0';
    CHECK(parse(longest) && nn_prototext_float(&value, get(nn_prototext_root(parsed), "a")) &&
              fabs(value / (1.0 / 9 * 1e200) - 1) < 1e-14,
          "one of 200 digits is read");
}

static void test_bools(void)
{
    static const char *const yes[] = {"true", "True", "t", "1"};
    static const char *const no[] = {"false", "False", "f", "0"};
    static const char *const neither[] = {"TRUE", "2", "yes", "'true'", "-1", "{}"};
    bool value = false;
    char text[40];
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "a: %s b: %s", yes[i], no[i]);
        struct nn_prototext_field *root = parse(text);
        CHECK(nn_prototext_bool(&value, get(root, "a")) && value &&
                  nn_prototext_bool(&value, get(root, "b")) && !value,
              "%s and %s", yes[i], no[i]);
    }
    for (size_t i = 0; i < sizeof neither / sizeof *neither; i++) {
        snprintf(text, sizeof text, "a: %s", neither[i]);
        CHECK(!nn_prototext_bool(&value, get(parse(text), "a")), "no truth value: %s", neither[i]);
    }
    CHECK(!nn_prototext_bool(&value, NULL), "nor is nothing");
}

static void test_messages(void)
{
    CHECK(message_is("a: 1\nb", "'x.prototxt', line 2: expected ':' or '{' after a name, got the "
                                "text ends"),
          "a name alone");
    CHECK(message_is("a {\n b: 1\n", "'x.prototxt', line 3: expected '}', got the text ends"),
          "an open bracket");
    CHECK(message_is("a { b: 1 >", "'x.prototxt', line 1: expected the name of a field, got '>'"),
          "another closing bracket");
    CHECK(message_is("\n[a.b] { }", "'x.prototxt', line 2: extensions and Any messages ('[...]' as "
                                    "a name) are not supported"),
          "extensions");
    CHECK(message_is("a 1", "'x.prototxt', line 1: expected ':' or '{' after a name, got '1'"),
          "no colon");
    CHECK(message_is("a: }", "'x.prototxt', line 1: expected a value, got '}'"), "no value");
    CHECK(message_is("a: 0x1x b", "'x.prototxt', line 1: expected a number, got '0x1x'"),
          "no number");
    static const char *const bad[] = {
        "}",        "a: [1 2]", "a: [1,]",   "a [1]", "a: [[1]]",    "1: 2",    "a: 1,,", ";",
        "a: <b:1}", "a:: 1",    "a: {b:1}}", "a: @",  "\xC3\xA9: 1", "a: \x01", "{a:1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(refuses(bad[i]), "refused: %s", bad[i][0] > 0 ? bad[i] : "a name in UTF-8");
    CHECK(nn_prototext_parse(&parsed, context, "a:1\0 ", 5, "x") == NN_ERROR_FORMAT && !parsed,
          "refused: a NUL byte");
}

static void test_unused(void)
{
    struct nn_prototext_field *root = parse("a: 1\nb { c: 2\n d { e: 3 } }\nf { g { h: 4 } }");
    struct nn_prototext_field *b;
    CHECK(!strcmp(nn_prototext_unused(root)->name, "a"), "nothing was used");
    get(root, "a");
    b = get(root, "b");
    CHECK(!strcmp(nn_prototext_unused(root)->name, "c"), "a part of a used message");
    get(b, "c");
    CHECK(!strcmp(nn_prototext_unused(root)->name, "d") && nn_prototext_unused(root)->line == 3,
          "a message that nobody used, not its parts");
    get(get(b, "d"), "e");
    CHECK(!strcmp(nn_prototext_unused(root)->name, "f"), "the next");
    nn_prototext_use_all(root->first->next->next);
    CHECK(!nn_prototext_unused(root) && !nn_prototext_unused(NULL), "all used");
}

static void test_limits(void)
{
    enum { SIZE = 3000000 };
    char *text = malloc(SIZE + 1);
    for (int depth = 64; depth <= 65; depth++) {
        text[0] = '\0';
        for (int i = 0; i < depth; i++) strcat(text, "a{");
        for (int i = 0; i < depth; i++) strcat(text, "}");
        CHECK(depth == 64 ? parse(text) != NULL : refuses(text), "%d levels", depth);
    }
    for (int i = 0; i < SIZE; i += 3) memcpy(text + i, "a<>", 3);
    CHECK(nn_prototext_parse(&parsed, context, text, SIZE, "x.prototxt") == NN_OK,
          "a million fields");
    nn_prototext_free(&parsed);
    memcpy(text, "a:[", 3);
    for (int i = 3; i < SIZE; i += 2) memcpy(text + i, "1,", 2);
    CHECK(nn_prototext_parse(&parsed, context, text, SIZE, "x") == NN_ERROR_UNSUPPORTED,
          "more than a million");
    memset(text, ':', SIZE);
    CHECK(nn_prototext_parse(&parsed, context, text, 300000, "x") == NN_ERROR_FORMAT &&
              nn_bytes_peak(context) < 60u * SIZE + 100000,
          "the peak stays below the cap");
    CHECK(nn_prototext_parse(&parsed, context, text, ((size_t)1 << 26) + 1, "x") ==
              NN_ERROR_UNSUPPORTED,
          "64 MB are the most");
    free(text);
}

static const char SEED[] = "name: \"net\" # c\nlayer { type: 'a\\n\\x41' \"b\" pad: -3 w: 1.5e-3f\n"
                           "  shape: <dim: [1, 0x3, inf]> on: true; sub [{a:1},{}] }\n";

/* Every prefix, and random changes: an error or a tree, and no touch of other memory (sanitizers
 * watch; the copy is exactly as large as the text). */
static void test_mutations(void)
{
    static const char spice[] = "{}<>[]:,;\"'\\#\n -.0x9eEf\x80";
    struct nn_rng rng = nn_rng_make(1, 0);
    int accepted = 0, refused = 0, prefixes = 0;
    size_t before = (nn_prototext_free(&parsed), nn_bytes_allocated(context));
    for (int round = 0; round < 20000; round++) {
        bool prefix = round < (int)sizeof SEED - 1;
        size_t size = prefix ? (size_t)round : sizeof SEED - 1;
        char *text = malloc(size + 1);
        memcpy(text + 1, SEED, size);
        for (uint32_t i = prefix ? 0 : nn_rng_below(&rng, 4) + 1; i > 0; i--)
            text[1 + nn_rng_below(&rng, (uint32_t)size)] =
                nn_rng_below(&rng, 2) ? spice[nn_rng_below(&rng, sizeof spice - 1)]
                                      : (char)nn_rng_below(&rng, 256);
        bool good = nn_prototext_parse(&parsed, context, text + 1, size, "x") == NN_OK;
        good ? accepted++ : refused++;
        prefixes += prefix && good;
        nn_prototext_free(&parsed);
        free(text);
    }
    CHECK(accepted > 1000 && refused > 5000 && prefixes > 1 && prefixes < 20,
          "20,000 changed texts: %d accepted, %d refused", accepted, refused);
    CHECK(nn_bytes_allocated(context) == before, "nothing is left");
}

static enum nn_status parse_and_free(struct nn_context *own, void *argument)
{
    struct nn_prototext *tree = argument;
    enum nn_status status = nn_prototext_parse(&tree, own, SEED, sizeof SEED - 1, "x");
    nn_prototext_free(&tree);
    return status;
}

/* The detector's own files, where they are. */
static void test_real(void)
{
    static const char *const files[] = {"deploy.prototxt", "opencv_face_detector.pbtxt"};
    static const char *const parts[] = {"layer", "node"};
    for (int i = 0; i < 2; i++) {
        char path[300];
        void *text;
        size_t size;
        if (!test_shared()) {
            test_skip(files[i], "no shared folder");
            continue;
        }
        snprintf(path, sizeof path, "%s/data/detector/%s", test_shared(), files[i]);
        if (!CHECK(nn_file_read(context, path, 1 << 20, &text, &size) == NN_OK, "%s", files[i]))
            continue;
        nn_prototext_free(&parsed);
        CHECK(nn_prototext_parse(&parsed, context, text, size, path) == NN_OK &&
                  nn_prototext_count(nn_prototext_root(parsed), parts[i]) > 100,
              "%s is read: %s", files[i], nn_error(context));
        nn_free(context, text);
    }
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1}) != NN_OK) return 1;
    test_grammar();
    test_strings();
    test_numbers();
    test_bools();
    test_messages();
    test_unused();
    test_limits();
    test_mutations();
    CHECK(failing_each(parse_and_free, NULL) == 1, "one allocation; its failure is clean");
    test_real();
    nn_prototext_free(&parsed);
    nn_close(&context);
    return test_done();
}
