/*
 * json.c — a strict reader of JSON (RFC 8259).
 *
 * Strict: no comments, trailing commas, NaN, leading zeros, raw control characters, bytes that are
 * not UTF-8, lone surrogates, or two members of one name (which of them counts would be a guess).
 * Two things the RFC allows are refused because a C caller could not see them: \u0000 inside a
 * string, and numbers beyond the range of a double.
 *
 * Everything lives in one block. Its size is known before parsing: each value but the first follows
 * a comma or an opening bracket, and no string becomes longer than it was in the text.
 */
#include "nn/format/json.h"
#include "nn/format/sort.h"
#include "nn/text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEPTH = 64,        /* arrays in arrays: bounds the recursion */
    MAX_TEXT = 1 << 27,    /* bytes; a .safetensors header has at most 100 MB */
    MAX_VALUES = 1 << 22,  /* 40 bytes each: 160 MB */
    MAX_NUMBER = 1000,     /* characters of one number */
    MAX_EXPONENT = 1000000 /* far beyond any double's, far below an int's */
};

struct nn_json {
    enum nn_json_kind kind;
    int count;       /* items or members */
    const char *key; /* in an object; else NULL */
    union {
        bool boolean;
        double number;
        const char *string;
        const struct nn_json *items; /* in the order of the text */
    } u;
    const void **sorted; /* members (struct nn_json) by key; NULL for other kinds */
};

/* The block: the root comes first, so that freeing needs nothing else. */
struct document {
    struct nn_json root;
    struct nn_context *context;
};

/* Finished values pile up at the end of `values`, the latest lowest. When their array or object
 * closes, they move to the front, where they stay, side by side. Each value is in one of the two
 * places, so both fit together into an array for all values. */
struct parser {
    struct nn_context *context;
    const char *name; /* for messages */
    const char *text;
    size_t size, at;
    struct nn_json *values;
    size_t front, top;   /* values[0 .. front) stay, values[top ..) wait */
    const void **sorted; /* where the next object's index goes */
    char *strings;       /* where the next string goes */
    enum nn_status status;
};

/* ---- messages -------------------------------------------------------------------------------- */

/* Records "'x.json', line 3, column 14: ..." for the character at `at`; returns false. */
static bool fail_at(struct parser *p, size_t at, enum nn_status status, const char *what)
{
    char quoted[NN_QUOTED];
    int line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        if (p->text[i] == '\n')
            line++, column = 1;
        else if (((unsigned char)p->text[i] & 0xC0) != 0x80) /* not inside a character */
            column++;
    }
    p->status = nn_fail(p->context, status, "%s, line %d, column %d: %s", nn_quote(quoted, p->name),
                        line, column, what);
    return false;
}

/* The same for the character that comes next and should be another. */
static bool fail(struct parser *p, const char *expected)
{
    char what[NN_QUOTED], quoted[NN_QUOTED], next[5] = {0};
    const char *got = "the text ends";
    if (p->at < p->size) {
        size_t size = nn_utf8_size(p->text + p->at, p->size - p->at);
        memcpy(next, p->text + p->at, size ? size : 1);
        got = next[0] ? nn_quote(quoted, next) : "a NUL byte";
    }
    snprintf(what, sizeof what, "expected %s, got %s", expected, got);
    return fail_at(p, p->at, NN_ERROR_FORMAT, what);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static char peek(const struct parser *p)
{
    if (p->at < p->size) return p->text[p->at];
    return '\0'; /* a NUL in the text is never expected either */
}

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct parser *p)
{
    while (space(peek(p))) p->at++;
}

/* Takes `c` with the space around it. */
static bool take(struct parser *p, char c)
{
    skip_space(p);
    if (p->at >= p->size || p->text[p->at] != c) return false;
    p->at++;
    skip_space(p);
    return true;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Copies digits without the point and returns how many were copied. */
static int take_digits(struct parser *p, char *digits, int *size)
{
    int before = *size;
    for (; digit(peek(p)); p->at++)
        if (*size < MAX_NUMBER) digits[(*size)++] = peek(p);
    return *size - before;
}

/* number = [ minus ] int [ frac ] [ exp ]. strtod expects the decimal point of the locale; so it is
 * given none: 12.5e3 is passed on as 125e2, the same number and so the same, nearest double. */
static bool parse_number(struct parser *p, double *number)
{
    char digits[MAX_NUMBER + 16];
    size_t start = p->at;
    int size = 0, fraction = 0, exponent = 0, sign = 1;
    if (peek(p) == '-') digits[size++] = p->text[p->at++];
    if (peek(p) == '0') {
        digits[size++] = p->text[p->at++];
        if (digit(peek(p))) return fail(p, "no digit after a leading 0");
    } else if (!take_digits(p, digits, &size)) {
        return fail(p, "a digit");
    }
    if (peek(p) == '.') {
        p->at++;
        fraction = take_digits(p, digits, &size);
        if (!digit(p->text[p->at - 1])) return fail(p, "a digit after the point");
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->at++;
        if (peek(p) == '-' || peek(p) == '+') sign = p->text[p->at++] == '-' ? -1 : 1;
        if (!digit(peek(p))) return fail(p, "a digit in the exponent");
        for (; digit(peek(p)); p->at++)
            if (exponent < MAX_EXPONENT) exponent = exponent * 10 + (peek(p) - '0');
    }
    if (p->at - start > MAX_NUMBER)
        return fail_at(p, start, NN_ERROR_UNSUPPORTED, "a number may have at most 1000 characters");
    snprintf(digits + size, sizeof digits - (size_t)size, "e%d", sign * exponent - fraction);
    *number = strtod(digits, NULL);
    if (isinf(*number))
        return fail_at(p, start, NN_ERROR_FORMAT, "the number is beyond the range of a double");
    return true;
}

/* The four hexadecimal digits of \uXXXX. */
static bool parse_hex4(struct parser *p, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, p->at++) {
        char c = peek(p);
        const char *digits = "0123456789abcdefABCDEF", *found = c ? strchr(digits, c) : NULL;
        if (!found) return fail(p, "four hexadecimal digits after \\u");
        uint32_t value = (uint32_t)(found - digits);
        *code = *code << 4 | (value < 16 ? value : value - 6);
    }
    return true;
}

/* What follows a backslash. Characters beyond U+FFFF come as a pair of UTF-16 surrogates. */
static bool parse_escape(struct parser *p, char **out)
{
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = peek(p);
    const char *found = c ? strchr(escapes, c) : NULL;
    if (found) {
        *(*out)++ = meanings[found - escapes];
        p->at++;
        return true;
    }
    size_t start = p->at - 1;
    if (c != 'u') return fail(p, "one of \"\\/bfnrtu after a backslash");
    uint32_t code, low;
    p->at++;
    if (!parse_hex4(p, &code)) return false;
    if (code == 0)
        return fail_at(p, start, NN_ERROR_UNSUPPORTED, "\\u0000 is not accepted inside a string");
    if (code >= 0xDC00 && code <= 0xDFFF)
        return fail_at(p, start, NN_ERROR_FORMAT, "a low surrogate without a high one before it");
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (p->size - p->at < 2 || memcmp(p->text + p->at, "\\u", 2) != 0)
            return fail(p, "the low half of a surrogate pair");
        p->at += 2;
        if (!parse_hex4(p, &low)) return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail_at(p, start, NN_ERROR_FORMAT,
                           "a high surrogate without a low one after it");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    *out += nn_utf8_encode(*out, code);
    return true;
}

static bool parse_string(struct parser *p, const char **string)
{
    char *out = p->strings;
    if (peek(p) != '"') return fail(p, "a string");
    *string = out;
    p->at++;
    while (p->at < p->size && p->text[p->at] != '"') {
        unsigned char c = (unsigned char)p->text[p->at];
        size_t size = nn_utf8_size(p->text + p->at, p->size - p->at);
        if (c < 0x20) return fail(p, "control characters to be escaped");
        if (size == 0) return fail(p, "UTF-8");
        if (c == '\\') {
            p->at++;
            if (!parse_escape(p, &out)) return false;
        } else {
            memcpy(out, p->text + p->at, size);
            out += size;
            p->at += size;
        }
    }
    if (p->at >= p->size) return fail(p, "'\"' at the end of the string");
    p->at++;
    *out++ = '\0';
    p->strings = out;
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct nn_json *)a)->key, ((const struct nn_json *)b)->key);
}

/* Moves the `count` latest values to the front as the items of `value`. They are below all others
 * that wait, so at most they overlap with themselves; they come latest first and are turned. */
static void adopt(struct parser *p, struct nn_json *value, int count)
{
    struct nn_json *items = p->values + p->front;
    memmove(items, p->values + p->top, (size_t)count * sizeof *items);
    for (int i = 0, j = count - 1; i < j; i++, j--) {
        struct nn_json swapped = items[i];
        items[i] = items[j];
        items[j] = swapped;
    }
    p->front += (size_t)count;
    p->top += (size_t)count;
    value->count = count;
    value->u.items = items;
}

/* Indexes the members of an object by key and finds keys that come twice. */
static bool index_members(struct parser *p, struct nn_json *object, size_t at)
{
    object->sorted = p->sorted;
    p->sorted += object->count;
    for (int i = 0; i < object->count; i++) object->sorted[i] = &object->u.items[i];
    nn_sort(object->sorted, (size_t)object->count, compare_keys);
    for (int i = 1; i < object->count; i++) {
        const struct nn_json *member = object->sorted[i];
        if (compare_keys(object->sorted[i - 1], member) != 0) continue;
        char quoted[NN_QUOTED], what[NN_QUOTED + 64];
        snprintf(what, sizeof what, "this object has two members %s",
                 nn_quote(quoted, member->key));
        return fail_at(p, at, NN_ERROR_FORMAT, what);
    }
    return true;
}

static bool parse_value(struct parser *p, int depth, const char *key);

/* The items of an array or the members of an object, up to and with the closing bracket. */
static bool parse_items(struct parser *p, struct nn_json *value, int depth, char close)
{
    size_t start = p->at;
    int count = 0;
    if (depth == MAX_DEPTH)
        return fail_at(p, start, NN_ERROR_UNSUPPORTED, "more than 64 levels of nesting");
    p->at++;
    bool object = close == '}', more = !take(p, close);
    while (more) {
        const char *key = NULL;
        if (object && !parse_string(p, &key)) return false;
        if (object && !take(p, ':')) return fail(p, "':' after the name of a member");
        if (!parse_value(p, depth + 1, key)) return false;
        count++;
        more = take(p, ',');
        if (!more && !take(p, close)) return fail(p, object ? "',' or '}'" : "',' or ']'");
    }
    adopt(p, value, count);
    return !object || index_members(p, value, start);
}

static bool parse_word(struct parser *p, const char *word)
{
    size_t size = strlen(word);
    if (p->size - p->at < size || memcmp(p->text + p->at, word, size) != 0)
        return fail(p, "a value");
    p->at += size;
    return true;
}

/* Parses one value and puts it on top of those that wait. */
static bool parse_value(struct parser *p, int depth, const char *key)
{
    struct nn_json value = {.kind = NN_JSON_NULL, .key = key};
    bool ok;
    switch (peek(p)) {
    case '{':
        value.kind = NN_JSON_OBJECT;
        ok = parse_items(p, &value, depth, '}');
        break;
    case '[':
        value.kind = NN_JSON_ARRAY;
        ok = parse_items(p, &value, depth, ']');
        break;
    case '"':
        value.kind = NN_JSON_STRING;
        ok = parse_string(p, &value.u.string);
        break;
    case 't':
    case 'f':
        value.kind = NN_JSON_BOOL;
        value.u.boolean = peek(p) == 't';
        ok = parse_word(p, value.u.boolean ? "true" : "false");
        break;
    case 'n':
        ok = parse_word(p, "null");
        break;
    default:
        value.kind = NN_JSON_NUMBER;
        if (peek(p) != '-' && !digit(peek(p))) return fail(p, "a value");
        ok = parse_number(p, &value.u.number);
    }
    if (!ok) return false;
    assert(p->top > p->front);
    p->values[--p->top] = value;
    return true;
}

/* ---- the block ------------------------------------------------------------------------------- */

/* No text has more values than one, and one for each comma and opening bracket outside strings. */
static size_t count_values(const char *text, size_t size)
{
    size_t count = 1;
    bool inside = false;
    for (size_t i = 0; i < size; i++) {
        if (inside && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            inside = !inside;
        else if (!inside && (text[i] == ',' || text[i] == '[' || text[i] == '{'))
            count++;
    }
    return count;
}

enum nn_status nn_json_parse(struct nn_json **root, struct nn_context *context, const char *text,
                             size_t size, const char *name_for_errors)
{
    char quoted[NN_QUOTED];
    *root = NULL;
    if (size > MAX_TEXT)
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%s: expected at most %d bytes, got %zu",
                       nn_quote(quoted, name_for_errors), MAX_TEXT, size);
    size_t count = count_values(text, size);
    if (count > MAX_VALUES)
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%s: expected at most %d values, got %zu",
                       nn_quote(quoted, name_for_errors), MAX_VALUES, count);
    size_t values_at = sizeof(struct document);
    size_t sorted_at = values_at + count * sizeof(struct nn_json);
    size_t strings_at = sorted_at + count * sizeof(void *);
    char *block = nn_alloc(context, strings_at + size, 1);
    if (!block) return NN_ERROR_MEMORY;

    struct parser p = {.context = context,
                       .name = name_for_errors,
                       .text = text,
                       .size = size,
                       .values = (struct nn_json *)(void *)(block + values_at),
                       .top = count,
                       .sorted = (const void **)(void *)(block + sorted_at),
                       .strings = block + strings_at};
    skip_space(&p);
    bool ok = parse_value(&p, 0, NULL);
    skip_space(&p);
    if (ok && p.at < size) ok = fail(&p, "nothing after the value");
    if (!ok) {
        nn_free(context, block);
        return p.status;
    }
    struct document *document = (struct document *)(void *)block;
    document->root = p.values[p.top];
    document->context = context;
    *root = &document->root;
    return NN_OK;
}

void nn_json_free(struct nn_json **root)
{
    if (!*root) return;
    struct document *document = (struct document *)(void *)*root;
    nn_free(document->context, document);
    *root = NULL;
}

/* ---- looking at values ----------------------------------------------------------------------- */

enum nn_json_kind nn_json_kind(const struct nn_json *value)
{
    return value ? value->kind : NN_JSON_NULL;
}

int nn_json_count(const struct nn_json *value)
{
    return value ? value->count : 0;
}

const struct nn_json *nn_json_at(const struct nn_json *value, int index)
{
    return index >= 0 && index < nn_json_count(value) ? &value->u.items[index] : NULL;
}

const char *nn_json_key(const struct nn_json *object, int index)
{
    const struct nn_json *member = nn_json_at(object, index);
    return member ? member->key : NULL;
}

const struct nn_json *nn_json_sorted(const struct nn_json *object, int index, const char **key)
{
    assert(object->kind == NN_JSON_OBJECT && index >= 0 && index < object->count);
    const struct nn_json *member = object->sorted[index];
    *key = member->key;
    return member;
}

const struct nn_json *nn_json_get(const struct nn_json *object, const char *key)
{
    if (nn_json_kind(object) != NN_JSON_OBJECT) return NULL;
    int low = 0, high = object->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        const struct nn_json *member = object->sorted[middle];
        int order = strcmp(key, member->key);
        if (order == 0) return member;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

double nn_json_number(const struct nn_json *value, double fallback)
{
    return nn_json_kind(value) == NN_JSON_NUMBER ? value->u.number : fallback;
}

bool nn_json_integer(const struct nn_json *value, int64_t *integer)
{
    const double limit = 9007199254740992.0; /* 2^53 */
    double number = nn_json_number(value, -1);
    if (!(number >= 0 && number <= limit)) return false;
    *integer = (int64_t)number;
    return (double)*integer == number;
}

bool nn_json_bool(const struct nn_json *value, bool fallback)
{
    return nn_json_kind(value) == NN_JSON_BOOL ? value->u.boolean : fallback;
}

const char *nn_json_string(const struct nn_json *value, const char *fallback)
{
    return nn_json_kind(value) == NN_JSON_STRING ? value->u.string : fallback;
}
