/* test_json.c — the JSON reader against RFC 8259, hostile text, and a failing allocator; JSON
 * strings and growing text. */
#include "nn/nn.h"
#include "nn/format/json.h"
#include "nn/text.h"
#include "tests/test.h"

#include <locale.h>

static struct nn_context *context;

static enum nn_status parse(struct nn_json **root, const char *text)
{
    return nn_json_parse(root, context, text, strlen(text), "x.json");
}

static bool accepts(const char *text)
{
    struct nn_json *root;
    bool ok = parse(&root, text) == NN_OK && root;
    nn_json_free(&root);
    return ok && !root;
}

static bool refuses(const char *text)
{
    struct nn_json *root;
    return parse(&root, text) != NN_OK && !root && strstr(nn_error(context), "x.json");
}

static bool number_is(const char *text, double expected)
{
    struct nn_json *root;
    if (parse(&root, text)) return false;
    double number = nn_json_number(root, -12345);
    nn_json_free(&root);
    return number == expected && !signbit(number) == !signbit(expected);
}

static bool string_is(const char *text, const char *expected)
{
    struct nn_json *root;
    if (parse(&root, text)) return false;
    bool same = strcmp(nn_json_string(root, "no string"), expected) == 0;
    nn_json_free(&root);
    return same;
}

static bool message_is(const char *text, const char *expected)
{
    struct nn_json *root;
    if (!parse(&root, text)) return false;
    bool same = strcmp(nn_error(context), expected) == 0;
    if (!same) printf("# got: %s\n# not: %s\n", nn_error(context), expected);
    return same;
}

static void test_grammar(void)
{
    static const char *const good[] = {"null",
                                       "true",
                                       "false",
                                       "0",
                                       "-0",
                                       "1.5e+3",
                                       "\"\"",
                                       "[]",
                                       "{}",
                                       " [ 1 , 2 ] ",
                                       "\t{\"a\" : [ ] ,\r\n\"b\":{}}\n",
                                       "[[[[]]]]",
                                       "{\"\":1}",
                                       "\"\x7f\"",
                                       "\"\\u0001\"",
                                       "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
                                       "1e-999",
                                       "[0,{\"a\":[null]},\"]\"]"};
    static const char *const bad[] = {"",
                                      " ",
                                      "nul",
                                      "nulL",
                                      "True",
                                      "NaN",
                                      "Infinity",
                                      "-",
                                      "+1",
                                      ".5",
                                      "1.",
                                      "01",
                                      "-01",
                                      "1e",
                                      "1e+",
                                      "0x1",
                                      "1 2",
                                      "1,",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "[1",
                                      "[",
                                      "]",
                                      "{",
                                      "}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{a:1}",
                                      "{1:1}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\":1]",
                                      "[1}",
                                      "\"",
                                      "\"a",
                                      "\"\\\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12G4\"",
                                      "\"\n\"",
                                      "\"\x01\"",
                                      "'a'",
                                      "//x\n1",
                                      "/**/1",
                                      "\xEF\xBB\xBF"
                                      "1",
                                      "[1]x",
                                      "\"\\u0000\"",
                                      "1e999",
                                      "-1e999",
                                      "\"\\uD800\"",
                                      "\"\\uDC00\"",
                                      "\"\\uD800\\u0041\"",
                                      "\"\\uD800x\"",
                                      "\"\xC0\x80\"",
                                      "\"\xED\xA0\x80\"",
                                      "\"\xF4\x90\x80\x80\"",
                                      "\"\x80\"",
                                      "\"\xE2\x82\"",
                                      "\"\xFF\"",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":1,\"b\":2,\"\\u0061\":3}",
                                      "[1,\f2]",
                                      "\xC2\xA0"
                                      "1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(accepts(good[i]), "accepts valid text %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(refuses(bad[i]), "refuses invalid text %zu", i);
    struct nn_json *root;
    CHECK(nn_json_parse(&root, context, "[1]\0", 4, "x.json") == NN_ERROR_FORMAT && !root,
          "refuses a NUL after the value");
    CHECK(nn_json_parse(&root, context, "[12", 2, "x.json") == NN_ERROR_FORMAT,
          "does not read beyond the given size");
}

static void test_numbers(void)
{
    CHECK(number_is("0", 0) && number_is("-0", -0.0) && number_is("-0.0", -0.0), "zeros");
    CHECK(number_is("1", 1) && number_is("-17", -17) && number_is("9007199254740993", 0x1p53),
          "whole numbers, the nearest double");
    CHECK(number_is("3.25", 3.25) && number_is("0.1", 0.1) && number_is("-12.5e3", -12500),
          "fractions");
    CHECK(number_is("1E5", 1e5) && number_is("1e+5", 1e5) && number_is("25e-1", 2.5), "exponents");
    CHECK(number_is("1.7976931348623157e308", 1.7976931348623157e308), "the largest double");
    CHECK(number_is("4.9406564584124654e-324", 4.9406564584124654e-324), "the smallest double");
    CHECK(number_is("2.2250738585072011e-308", 2.2250738585072011e-308), "a famous subnormal");
    CHECK(number_is("0e99999999999999999999", 0) && number_is("1e-99999999999999999999", 0),
          "exponents beyond an int");
    CHECK(number_is("100000000000000000000000000000000e-32", 1), "many digits, small number");
    char digits[1200];
    memset(digits, '7', sizeof digits);
    digits[sizeof digits - 1] = '\0';
    CHECK(refuses(digits), "refuses a number of 1,199 digits");
    memcpy(digits, "0.", 2);
    digits[900] = '\0';
    CHECK(accepts(digits), "accepts a fraction of 898 digits");
    CHECK(message_is("[1e400]", "'x.json', line 1, column 2: the number is beyond the range of a "
                                "double"),
          "a number out of range is named");

    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8",
                                          "ru_RU.UTF-8"};
    bool set = false;
    for (size_t i = 0; i < sizeof locales / sizeof *locales && !set; i++)
        set = setlocale(LC_ALL, locales[i]) && *localeconv()->decimal_point == ',';
    if (set)
        CHECK(number_is("1234.5678", 1234.5678), "numbers do not depend on the locale");
    else
        test_skip("numbers do not depend on the locale", "no locale with a decimal comma here");
    setlocale(LC_ALL, "C");

    struct nn_json *root;
    int64_t value = -1;
    CHECK(parse(&root, "[0,9007199254740992,9007199254740994,1.5,-1,\"1\",1e2]") == NN_OK,
          "a list of numbers");
    CHECK(nn_json_integer(nn_json_at(root, 0), &value) && value == 0 &&
              nn_json_integer(nn_json_at(root, 1), &value) && value == INT64_C(1) << 53 &&
              nn_json_integer(nn_json_at(root, 6), &value) && value == 100,
          "integers are integers");
    CHECK(!nn_json_integer(nn_json_at(root, 2), &value) &&
              !nn_json_integer(nn_json_at(root, 3), &value) &&
              !nn_json_integer(nn_json_at(root, 4), &value) &&
              !nn_json_integer(nn_json_at(root, 5), &value) && !nn_json_integer(NULL, &value),
          "and others are not");
    nn_json_free(&root);
}

static void test_strings(void)
{
    CHECK(string_is("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz"), "short escapes");
    CHECK(string_is("\"\\u0041\\u00e9\\u20AC\"", "A\xC3\xA9\xE2\x82\xAC"), "\\u escapes");
    CHECK(string_is("\"\\uD83D\\uDE00\\udbff\\udfff\"", "\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF"),
          "surrogate pairs");
    CHECK(string_is("\"\xF0\x9F\x98\x80\"", "\xF0\x9F\x98\x80"), "UTF-8 as it is");
}

static void test_access(void)
{
    struct nn_json *root;
    const char *key;
    CHECK(parse(&root, "{\"zeta\":[1,2,[3,4]],\"alpha\":{\"x\":true,\"w\":null},\"mid\":\"s\","
                       "\"n\":-2.5}") == NN_OK,
          "an object of everything");
    const struct nn_json *list = nn_json_get(root, "zeta"), *inner = nn_json_get(root, "alpha");
    CHECK(nn_json_kind(root) == NN_JSON_OBJECT && nn_json_count(root) == 4, "kind and count");
    CHECK(!strcmp(nn_json_key(root, 0), "zeta") && !strcmp(nn_json_key(root, 1), "alpha") &&
              !strcmp(nn_json_key(root, 2), "mid") && !strcmp(nn_json_key(root, 3), "n"),
          "members keep the order of the text");
    CHECK(nn_json_sorted(root, 0, &key) == inner && !strcmp(key, "alpha"), "and have a sorted one");
    CHECK(nn_json_count(list) == 3 && nn_json_number(nn_json_at(list, 0), 0) == 1 &&
              nn_json_number(nn_json_at(nn_json_at(list, 2), 1), 0) == 4,
          "items in order, also inside items");
    CHECK(nn_json_bool(nn_json_get(inner, "x"), false) &&
              nn_json_kind(nn_json_get(inner, "w")) == NN_JSON_NULL,
          "members of members");
    CHECK(!nn_json_get(root, "nothing") && !nn_json_get(list, "x") && !nn_json_at(root, 4) &&
              !nn_json_at(root, -1) && !nn_json_key(list, 0) && !nn_json_key(root, 9),
          "what is not there is NULL");
    CHECK(nn_json_count(NULL) == 0 && nn_json_number(NULL, 7) == 7 && nn_json_bool(list, true) &&
              !strcmp(nn_json_string(list, "f"), "f") && !nn_json_get(NULL, "a") &&
              nn_json_count(nn_json_get(root, "n")) == 0,
          "NULL and wrong kinds give the fallback");
    nn_json_free(&root);
    nn_json_free(&root);
    CHECK(!root, "freeing twice is harmless");
}

static void test_messages(void)
{
    CHECK(message_is("{\"a\": 1,\n \"\xC3\xA9\": ?}",
                     "'x.json', line 2, column 7: expected a value, got '?'"),
          "line and column count characters");
    CHECK(message_is("[1", "'x.json', line 1, column 3: expected ',' or ']', got the text ends"),
          "the end is named");
    CHECK(message_is("[\x1b]", "'x.json', line 1, column 2: expected a value, got '\\x1B'"),
          "control characters are not passed on");
    CHECK(message_is("{\"k\":1,\"k\":2}",
                     "'x.json', line 1, column 1: this object has two members 'k'"),
          "the key that comes twice is named");
    struct nn_json *root;
    CHECK(nn_json_parse(&root, context, "x", 1, "a\nb\xFF") == NN_ERROR_FORMAT &&
              strstr(nn_error(context), "'a\\x0Ab\\xFF'"),
          "nor are those of file names");
}

static void test_limits(void)
{
    char deep[200] = {0};
    for (int depth = 64; depth <= 65; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        CHECK(depth == 64 ? accepts(deep) : refuses(deep), "%d levels", depth);
    }
    struct nn_json *root;
    size_t size = 5000000;
    char *text = malloc(size);
    memset(text, '[', size);
    CHECK(nn_json_parse(&root, context, text, size, "x.json") == NN_ERROR_UNSUPPORTED && !root,
          "five million brackets are refused before memory is taken");
    CHECK(nn_bytes_peak(context) < 1 << 20, "the peak stays small");

    /* Many keys, the worst order for a naive sort and for a naive search for duplicates. */
    size_t at = 0;
    text[at++] = '{';
    for (int i = 0; i < 100000; i++)
        at += (size_t)snprintf(text + at, size - at, "%s\"key%06d\":%d", i ? "," : "", i, i);
    text[at++] = '}';
    CHECK(nn_json_parse(&root, context, text, at, "x.json") == NN_OK, "100,000 members");
    bool right = true;
    for (int i = 0; i < 100000; i += 7) {
        char key[16];
        snprintf(key, sizeof key, "key%06d", i);
        right = right && nn_json_number(nn_json_get(root, key), -1) == i;
    }
    CHECK(right, "and each is found");
    nn_json_free(&root);
    free(text);
}

/* Random changes of a valid text must give an error or a value, and no touch of other memory
 * (the sanitizers watch). The copy is exactly as large as the text. */
static void test_mutations(void)
{
    static const char seed[] = "{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00\\n\",true,null],\"b\":"
                               "{\"c\":{},\"d\":[[],[0]]},\"\xC3\xA9\":\"\xE2\x82\xAC\"}";
    static const char spice[] = "{}[]\",:\\u0eE+-.dD8 \n\xC3\x80";
    struct nn_rng rng = nn_rng_make(1, 0);
    int accepted = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        size_t size = sizeof seed - 1 - nn_rng_below(&rng, round % 4 ? 1 : 20);
        char *text = malloc(size);
        memcpy(text, seed, size);
        for (uint32_t i = nn_rng_below(&rng, 4) + 1; i > 0; i--)
            text[nn_rng_below(&rng, (uint32_t)size)] =
                nn_rng_below(&rng, 2) ? spice[nn_rng_below(&rng, sizeof spice - 1)]
                                      : (char)nn_rng_below(&rng, 256);
        struct nn_json *root;
        if (nn_json_parse(&root, context, text, size, "x.json") == NN_OK)
            accepted++;
        else
            refused++;
        nn_json_free(&root);
        free(text);
    }
    CHECK(accepted > 100 && refused > 10000, "20,000 changed texts: %d accepted, %d refused",
          accepted, refused);
}

static void test_text(void)
{
    struct nn_text text = {.context = context};
    size_t before = nn_bytes_allocated(context);
    nn_text_json_string(&text, "a\"\\/\b\n\x1f\x7f \xC3\xA9\xFF\xC0\xAF");
    CHECK(text.data && !strcmp(text.data, "\"a\\\"\\\\/\\u0008\\n\\u001f\\u007f \xC3\xA9"
                                          "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""),
          "a JSON string is escaped and repaired");
    CHECK(accepts(text.data), "and can be read again");
    nn_text_free(&text);
    for (int i = 0; i < 10000; i++) nn_text_printf(&text, "%d,", i % 10);
    nn_text_append(&text, NULL, 0);
    CHECK(text.size == 20000 && strlen(text.data) == 20000 &&
              !strncmp(text.data + 19996, "8,9,", 4),
          "text grows");
    nn_text_free(&text);
    CHECK(!text.data && nn_bytes_allocated(context) == before, "nothing is left");
    char quoted[NN_QUOTED], longest[1000];
    memset(longest, '\t', sizeof longest);
    memcpy(longest + 990, "end.json", 9);
    nn_quote(quoted, longest);
    CHECK(strlen(quoted) < NN_QUOTED && !strncmp(quoted, "'...\\x09", 8) &&
              strstr(quoted, "\\x09end.json'"),
          "of a long name the end is kept");
    CHECK(!strcmp(nn_quote(quoted, "a\xC2\x9B"
                                   "b\xC3\xA9"),
                  "'a\\xC2\\x9B"
                  "b\xC3\xA9'"),
          "C1 controls are escaped, letters are not");
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

static void test_allocation_failures(void)
{
    struct failing f = {.countdown = -1};
    struct nn_allocator allocator = {failing_allocate, failing_release, &f};
    struct nn_context *own = NULL;
    struct nn_json *root;
    if (!CHECK(nn_open(&own, &(struct nn_options){.threads = 1, .allocator = &allocator}) == NN_OK,
               "a context whose allocations fail"))
        return;
    int before = f.held, failures = 0;
    enum nn_status status = NN_ERROR_MEMORY;
    for (int n = 0; status; n++, failures++) {
        fail_after(&f, n);
        status = nn_json_parse(&root, own, "{\"a\":[1,2]}", 11, "x");
        if (status && (status != NN_ERROR_MEMORY || root || f.held != before)) break;
        if (!status) break;
    }
    CHECK(!status && failures == 1, "parsing is one allocation, and its failure is clean");
    nn_json_free(&root);
    CHECK(f.held == before, "nothing is left");
    for (int n = 0; n < 4; n++) {
        struct nn_text text = {.context = own};
        fail_after(&f, n);
        for (int i = 0; i < 100; i++) nn_text_json_string(&text, "0123456789");
        CHECK(n == 3 || text.failed, "text: the failure of allocation %d sticks", n);
        nn_text_free(&text);
        CHECK(f.held == before, "and nothing is left");
    }
    fail_after(&f, -1);
    nn_close(&own);
    CHECK(f.held == 0, "not even the context");
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1}) != NN_OK) return 1;
    test_grammar();
    test_numbers();
    test_strings();
    test_access();
    test_messages();
    test_limits();
    test_mutations();
    test_text();
    test_allocation_failures();
    nn_close(&context);
    return test_done();
}
