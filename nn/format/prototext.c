/*
 * prototext.c — a strict reader of protobuf's text format.
 *
 *     message = { field }                     field = name ( ":" value | [ ":" ] messages ) [, ;]
 *     value   = strings | word | "-" number | messages | "[" values "]"
 *     messages = "{" message "}" | "<" message ">" | "[" messages "]"
 *
 * A list is a field that comes several times; strings in a row are one string. Refused because a
 * reader could not see them or would have to know more than the text: extensions ("[a.b]") and Any
 * messages, fields by number.
 *
 * Everything lives in one block. Its size is known before parsing: a field has a ':', '{', '<', ','
 * or '[' of its own, and a name or word is followed by a byte that is none of it, where its closing
 * NUL goes.
 */
#include "nn/format/prototext.h"
#include "nn/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEPTH = 64,       /* messages in messages: bounds the recursion */
    MAX_TEXT = 1 << 26,   /* bytes */
    MAX_FIELDS = 1000000, /* 56 bytes each */
    MAX_NUMBER = 200      /* characters of one number */
};

struct nn_prototext {
    struct nn_prototext_field root;
    struct nn_context *context;
    const char *name;
};

struct parser {
    struct nn_context *context;
    const char *name; /* the file's, for messages */
    const char *text;
    size_t size, at;
    int line;
    struct nn_prototext_field *fields;
    size_t count, capacity;
    char *strings; /* where the next string goes */
    enum nn_status status;
};

/* Where the next field of a message goes. */
struct list {
    struct nn_prototext_field **end;
};

/* ---- messages -------------------------------------------------------------------------------- */

static bool fail_with(struct parser *p, enum nn_status status, const char *what)
{
    char quoted[NN_QUOTED];
    p->status =
        nn_fail(p->context, status, "%s, line %d: %s", nn_quote(quoted, p->name), p->line, what);
    return false;
}

/* For the character that comes next and should be another. */
static bool fail(struct parser *p, const char *expected)
{
    char what[NN_QUOTED], quoted[NN_QUOTED], next[17] = {0};
    const char *got = "the text ends";
    if (p->at < p->size) {
        size_t left = p->size - p->at, end = 0;
        while (end < left && end < sizeof next - 1 && p->text[p->at + end] > ' ') end++;
        if (!end) end = nn_utf8_size(p->text + p->at, left);
        memcpy(next, p->text + p->at, end ? end : 1);
        got = next[0] ? nn_quote(quoted, next) : "a NUL byte";
    }
    snprintf(what, sizeof what, "expected %s, got %s", expected, got);
    return fail_with(p, NN_ERROR_FORMAT, what);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static char peek(const struct parser *p)
{
    return p->at < p->size ? p->text[p->at] : '\0'; /* a NUL in the text is never expected either */
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void skip_space(struct parser *p)
{
    for (bool comment = false; p->at < p->size; p->at++) {
        char c = p->text[p->at];
        if (c == '\n') {
            p->line++;
            comment = false;
        } else if (c == '#') {
            comment = true;
        } else if (!comment && c != ' ' && c != '\t' && c != '\r' && c != '\v' && c != '\f') {
            return;
        }
    }
}

/* Takes `c` and the space after it. */
static bool take(struct parser *p, char c)
{
    if (p->at >= p->size || p->text[p->at] != c) return false;
    p->at++;
    skip_space(p);
    return true;
}

static bool parse_name(struct parser *p, const char **name)
{
    if (peek(p) == '[')
        return fail_with(p, NN_ERROR_UNSUPPORTED,
                         "extensions and Any messages ('[...]' as a name) are not supported");
    if (!letter(peek(p))) return fail(p, "the name of a field");
    *name = p->strings;
    while (letter(peek(p)) || digit(peek(p))) *p->strings++ = p->text[p->at++];
    *p->strings++ = '\0';
    skip_space(p);
    return true;
}

/* Whether `text` is one number: hexadecimal, octal, decimal, or with point, exponent and 'f'. */
static bool is_number(const char *text)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return text[2] && !text[2 + strspn(text + 2, "0123456789abcdefABCDEF")];
    if (text[0] == '0' && digit(text[1])) return !text[strspn(text, "01234567")];
    size_t whole = strspn(text, "0123456789"), fraction = 0;
    text += whole;
    if (*text == '.') {
        fraction = strspn(text + 1, "0123456789");
        text += 1 + fraction;
    }
    if (whole + fraction == 0) return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        if (*text == '+' || *text == '-') text++;
        if (!digit(*text)) return false;
        text += strspn(text, "0123456789");
    }
    if (*text == 'f' || *text == 'F') text++;
    return *text == '\0';
}

static bool same_word(const char *a, const char *b) /* b: lower case */
{
    for (; *a && *b; a++, b++)
        if ((*a >= 'A' && *a <= 'Z' ? *a - 'A' + 'a' : *a) != *b) return false;
    return *a == *b;
}

static bool is_infinity(const char *word)
{
    return same_word(word, "inf") || same_word(word, "infinity");
}

/* A number, a name of an enum, true, inf ... The sign may stand apart. */
static bool parse_word(struct parser *p, struct nn_prototext_field *field)
{
    char *out = p->strings;
    if (peek(p) == '-') *out++ = '-';
    if (take(p, '-') && !letter(peek(p)) && !digit(peek(p)) && peek(p) != '.')
        return fail(p, "a number after '-'");
    if (!letter(peek(p)) && !digit(peek(p)) && peek(p) != '.') return fail(p, "a value");
    char *word = out;
    size_t start = p->at;
    bool number = !letter(peek(p));
    bool hex = peek(p) == '0' && p->size - p->at > 1 && (p->text[p->at + 1] | 0x20) == 'x';
    for (char last = '\0', c = peek(p);; last = c, c = peek(p)) {
        bool sign = (c == '+' || c == '-') && !hex && (last == 'e' || last == 'E');
        if (!letter(c) && !digit(c) && !(number && (c == '.' || sign))) break;
        *out++ = c;
        p->at++;
    }
    *out++ = '\0';
    if (number && (!is_number(word) || p->at - start > MAX_NUMBER)) {
        p->at = start;
        return fail(p, "a number");
    }
    if (word > p->strings && !number && !is_infinity(word) && !same_word(word, "nan")) {
        p->at = start;
        return fail(p, "a number after '-'");
    }
    field->kind = NN_PROTOTEXT_WORD;
    field->text = p->strings;
    field->size = (size_t)(out - 1 - p->strings);
    p->strings = out;
    skip_space(p);
    return true;
}

/* ---- strings --------------------------------------------------------------------------------- */

static int digit_value(char c)
{
    return digit(c)               ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : 99;
}

/* `least` to `most` digits of the base; what they mean goes to `value`. */
static bool parse_digits(struct parser *p, uint32_t *value, int base, int least, int most)
{
    int count = 0;
    *value = 0;
    for (; count < most && digit_value(peek(p)) < base; count++, p->at++)
        *value = *value * (uint32_t)base + (uint32_t)digit_value(peek(p));
    return count >= least || fail(p, "digits after the backslash");
}

/* What follows a backslash. */
static bool parse_escape(struct parser *p, char **out)
{
    static const char escapes[] = "abfnrtv\\'\"?", meanings[] = "\a\b\f\n\r\t\v\\'\"?";
    uint32_t code = 0;
    char c = peek(p);
    const char *found = c ? strchr(escapes, c) : NULL;
    if (found) {
        *(*out)++ = meanings[found - escapes];
        p->at++;
        return true;
    }
    if (digit_value(c) < 8) {
        if (!parse_digits(p, &code, 8, 1, 3)) return false;
        if (code > 255) return fail_with(p, NN_ERROR_FORMAT, "an octal escape beyond \\377");
        *(*out)++ = (char)code;
        return true;
    }
    if (!c || !strchr("xXuU", c))
        return fail(p, "one of abfnrtv\\'\"?xuU or a digit after a backslash");
    p->at++;
    if (c == 'x' || c == 'X') {
        if (!parse_digits(p, &code, 16, 1, 2)) return false;
        *(*out)++ = (char)code;
        return true;
    }
    if (!parse_digits(p, &code, 16, c == 'u' ? 4 : 8, c == 'u' ? 4 : 8)) return false;
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return fail_with(p, NN_ERROR_FORMAT, "\\u or \\U with a number that is no character");
    *out += nn_utf8_encode(*out, code);
    return true;
}

/* Strings in a row. */
static bool parse_strings(struct parser *p, struct nn_prototext_field *field)
{
    char *out = p->strings;
    for (char quote = peek(p); quote == '"' || quote == '\''; quote = peek(p)) {
        for (p->at++; peek(p) != quote;) {
            char c = peek(p);
            if (p->at >= p->size || c == '\n' || c == '\0')
                return fail(p, quote == '"' ? "'\"' at the end of the string"
                                            : "\"'\" at the end of the string");
            p->at++;
            if (c != '\\')
                *out++ = c;
            else if (!parse_escape(p, &out))
                return false;
        }
        take(p, quote);
    }
    field->kind = NN_PROTOTEXT_STRING;
    field->text = p->strings;
    field->size = (size_t)(out - p->strings);
    *out++ = '\0';
    p->strings = out;
    return true;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static bool parse_fields(struct parser *p, struct nn_prototext_field *message, int depth,
                         char close);

/* One value that is no list, appended as a field. */
static bool parse_value(struct parser *p, struct list *list, const struct nn_prototext_field *named,
                        int depth)
{
    if (p->count == p->capacity)
        return fail_with(p, NN_ERROR_UNSUPPORTED, "more than a million fields");
    struct nn_prototext_field *field = &p->fields[p->count++];
    *field = *named;
    *list->end = field;
    list->end = &field->next;
    char c = peek(p);
    if (c == '{' || c == '<') return parse_fields(p, field, depth + 1, c == '{' ? '}' : '>');
    return c == '"' || c == '\'' ? parse_strings(p, field) : parse_word(p, field);
}

static bool parse_field(struct parser *p, struct list *list, int depth)
{
    struct nn_prototext_field named = {.line = p->line};
    if (!parse_name(p, &named.name)) return false;
    bool colon = take(p, ':');
    if (take(p, '[')) {
        bool more = !take(p, ']');
        while (more) {
            if (!colon && peek(p) != '{' && peek(p) != '<') return fail(p, "'{' or ':' before '['");
            if (!parse_value(p, list, &named, depth)) return false;
            more = take(p, ',');
            if (!more && !take(p, ']')) return fail(p, "',' or ']'");
        }
    } else {
        if (!colon && peek(p) != '{' && peek(p) != '<') return fail(p, "':' or '{' after a name");
        if (!parse_value(p, list, &named, depth)) return false;
    }
    if (!take(p, ',')) take(p, ';');
    return true;
}

/* From the opening bracket to the closing one; or, with `close` 0, the whole text. */
static bool parse_fields(struct parser *p, struct nn_prototext_field *message, int depth,
                         char close)
{
    struct list list = {&message->first};
    message->kind = NN_PROTOTEXT_MESSAGE;
    if (depth > MAX_DEPTH)
        return fail_with(p, NN_ERROR_UNSUPPORTED, "more than 64 levels of nesting");
    if (close) p->at++;
    skip_space(p);
    while (close ? peek(p) != close : p->at < p->size) {
        if (close && p->at >= p->size) return fail(p, close == '}' ? "'}'" : "'>'");
        if (!parse_field(p, &list, depth)) return false;
    }
    return !close || take(p, close);
}

/* ---- the block ------------------------------------------------------------------------------- */

/* At least the number of fields, if the text has no mistakes. */
static size_t count_fields(const char *text, size_t size)
{
    size_t count = 0;
    char quote = '\0'; /* what ends a string or comment */
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (quote) {
            if (quote != '\n' && c == '\\')
                i++;
            else if (c == quote)
                quote = '\0';
        } else if (c == '"' || c == '\'' || c == '#') {
            quote = c == '#' ? '\n' : c;
        } else {
            count += c == ':' || c == '{' || c == '<' || c == ',' || c == '[';
        }
    }
    return count < MAX_FIELDS ? count : MAX_FIELDS;
}

enum nn_status nn_prototext_parse(struct nn_prototext **parsed, struct nn_context *context,
                                  const char *text, size_t size, const char *name)
{
    char quoted[NN_QUOTED];
    *parsed = NULL;
    if (size > MAX_TEXT)
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%s: expected at most %d bytes, got %zu",
                       nn_quote(quoted, name), MAX_TEXT, size);
    size_t count = count_fields(text, size), name_size = strlen(name) + 1;
    size_t name_at = sizeof **parsed + count * sizeof(struct nn_prototext_field);
    char *block = nn_alloc(context, name_at + name_size + size + 1, 1);
    if (!block) return NN_ERROR_MEMORY;
    struct nn_prototext *document = (struct nn_prototext *)(void *)block;
    memcpy(block + name_at, name, name_size);
    document->context = context;
    document->name = block + name_at;
    struct parser p = {.context = context,
                       .name = name,
                       .text = text,
                       .size = size,
                       .line = 1,
                       .fields = (struct nn_prototext_field *)(void *)(document + 1),
                       .capacity = count,
                       .strings = block + name_at + name_size};
    if (!parse_fields(&p, &document->root, 0, '\0')) {
        nn_free(context, block);
        return p.status;
    }
    *parsed = document;
    return NN_OK;
}

void nn_prototext_free(struct nn_prototext **parsed)
{
    if (!*parsed) return;
    nn_free((*parsed)->context, *parsed);
    *parsed = NULL;
}

struct nn_prototext_field *nn_prototext_root(struct nn_prototext *parsed)
{
    return &parsed->root;
}

const char *nn_prototext_name(const struct nn_prototext *parsed)
{
    return parsed->name;
}

/* ---- looking at fields ----------------------------------------------------------------------- */

struct nn_prototext_field *nn_prototext_find(struct nn_prototext_field *message, const char *name,
                                             const struct nn_prototext_field *after)
{
    struct nn_prototext_field *field = after ? after->next : message ? message->first : NULL;
    for (; field; field = field->next) {
        if (strcmp(field->name, name) != 0) continue;
        field->used = true;
        return field;
    }
    return NULL;
}

int nn_prototext_count(const struct nn_prototext_field *message, const char *name)
{
    int count = 0;
    for (const struct nn_prototext_field *field = message ? message->first : NULL; field;
         field = field->next)
        count += strcmp(field->name, name) == 0;
    return count;
}

struct nn_prototext_field *nn_prototext_unused(struct nn_prototext_field *message)
{
    for (struct nn_prototext_field *field = message ? message->first : NULL; field;
         field = field->next) {
        struct nn_prototext_field *unused = field->used ? nn_prototext_unused(field) : field;
        if (unused) return unused;
    }
    return NULL;
}

void nn_prototext_use_all(struct nn_prototext_field *field)
{
    if (!field) return;
    field->used = true;
    for (struct nn_prototext_field *child = field->first; child; child = child->next)
        nn_prototext_use_all(child);
}

/* ---- values ---------------------------------------------------------------------------------- */

static const char *word_of(const struct nn_prototext_field *field)
{
    return field && field->kind == NN_PROTOTEXT_WORD ? field->text : NULL;
}

bool nn_prototext_int(int64_t *value, const struct nn_prototext_field *field)
{
    const char *word = word_of(field);
    if (!word) return false;
    bool minus = *word == '-';
    if (minus) word++;
    uint64_t base = 10, number = 0, most = (uint64_t)INT64_MAX + minus;
    if (word[0] == '0' && word[1]) base = word[1] == 'x' || word[1] == 'X' ? 16 : 8;
    if (base == 16) word += 2;
    if (!*word) return false;
    for (; *word; word++) {
        uint64_t next = (uint64_t)digit_value(*word);
        if (next >= base || number > (most - next) / base) return false;
        number = number * base + next;
    }
    *value = minus ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

/* strtod expects the decimal point of the locale; so it is given none: 12.5e3 is passed on as
 * 125e2, the same number and so the same, nearest double. */
static double number_of(const char *word)
{
    char digits[MAX_NUMBER + 32];
    int size = 0, fraction = 0;
    bool point = false;
    for (; digit(*word) || *word == '.'; word++) {
        if (*word == '.') {
            point = true;
        } else {
            digits[size++] = *word;
            fraction += point;
        }
    }
    long exponent = 0;
    if (*word == 'e' || *word == 'E') exponent = strtol(word + 1, NULL, 10); /* clamps */
    if (exponent > 100000) exponent = 100000; /* far beyond any double's */
    if (exponent < -100000) exponent = -100000;
    snprintf(digits + size, sizeof digits - (size_t)size, "e%ld", exponent - fraction);
    return strtod(digits, NULL);
}

bool nn_prototext_float(double *value, const struct nn_prototext_field *field)
{
    const char *word = word_of(field);
    if (!word) return false;
    bool minus = *word == '-';
    if (minus) word++;
    double number = 0;
    if (is_infinity(word))
        number = INFINITY;
    else if (same_word(word, "nan"))
        number = NAN;
    else if (letter(*word) ||
             (word[0] == '0' && (letter(word[1]) || digit(word[1])) && !strchr("eEfF", word[1])))
        return false; /* hexadecimal and octal numbers are whole ones */
    else if (isinf(number = number_of(word)))
        return false;
    *value = minus ? -number : number;
    return true;
}

bool nn_prototext_bool(bool *value, const struct nn_prototext_field *field)
{
    static const char *const words[] = {"false", "true", "f", "t", "0", "1", "False", "True"};
    const char *word = word_of(field);
    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i]) != 0) continue;
        *value = i % 2;
        return true;
    }
    return false;
}
