/* cli.c — options from the command line into a struct, checked against their table. */
#include "apps/cli.h"
#include "nn/nn.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option COMMON[CLI_COMMON_COUNT] = {
    {"--threads", CLI_INT, offsetof(struct cli_common, threads), "N", NULL, 1, 1024, 0,
     "threads to use; without it one per core. The results do not depend on it"},
    {"--seed", CLI_SEED, offsetof(struct cli_common, seed), "N", "1", 0, 0, CLI_DEFINES_RUN,
     "where random numbers begin; the same seed gives the same bits"},
    {"--cpu", CLI_CHOICE, offsetof(struct cli_common, cpu), CLI_LEVELS, NULL, 0, 0, 0,
     "highest instruction set to use; without it the best this CPU has"},
    {"--json", CLI_FLAG, offsetof(struct cli_common, json), NULL, NULL, 0, 0, 0,
     "print JSON for programs on standard output"},
    {"--quiet", CLI_FLAG, offsetof(struct cli_common, quiet), NULL, NULL, 0, 0, 0,
     "no progress and no remarks, only results and errors"},
};

const struct cli_option *cli_option_at(const struct cli_command *command, int index)
{
    if (index < command->option_count) return &command->options[index];
    index -= command->option_count;
    return index < CLI_COMMON_COUNT ? &COMMON[index] : NULL;
}

/* ---- names ------------------------------------------------------------------------------- */

static char fold(char c)
{
    return c == '_' ? '-' : c;
}

/* Is `name` (of `size` bytes) one of the blank-parted `names`? `skip` leading bytes of those are
 * not compared. */
static bool name_matches(const char *names, const char *name, size_t size)
{
    for (const char *at = names; *at;) {
        size_t length = strcspn(at, " ");
        size_t same = 0;
        while (same < size && same < length && fold(at[same]) == fold(name[same])) same++;
        if (same == size && same == length) return true;
        at += length;
        while (*at == ' ') at++;
    }
    return false;
}

const char *cli_option_name(char text[40], const struct cli_option *option)
{
    const char *last = strrchr(option->names, ' ');
    snprintf(text, 40, "%s", last ? last + 1 : option->names);
    return text;
}

/* "--no-augment" finds "--augment". Index of the option or -1. */
static int find_option(const struct cli_command *command, const char *name, size_t size,
                       bool *negated)
{
    static const char no[] = "--no-";
    const struct cli_option *option;
    *negated = false;
    for (int i = 0; (option = cli_option_at(command, i)) != NULL; i++)
        if (name_matches(option->names, name, size)) return i;
    if (size < sizeof no || size > 39) return -1;
    char positive[40] = "--";
    for (size_t i = 0; i < sizeof no - 1; i++)
        if (fold(name[i]) != no[i]) return -1;
    memcpy(positive + 2, name + sizeof no - 1, size - (sizeof no - 1));
    for (int i = 0; (option = cli_option_at(command, i)) != NULL; i++) {
        *negated = true;
        if ((option->flags & CLI_NEGATABLE) &&
            name_matches(option->names, positive, strlen(positive)))
            return i;
    }
    return -1;
}

bool cli_given(const struct cli_parsed *parsed, const struct cli_command *command, const char *name)
{
    bool negated;
    int index = find_option(command, name, strlen(name), &negated);
    return index >= 0 && (parsed->given >> index & 1);
}

/* ---- nearest name --------------------------------------------------------------------------- */

/* Restricted Damerau-Levenshtein distance (1964): inserted, deleted, changed, and swapped
 * neighbouring letters count 1 each. Three rows of the table are enough. */
static int distance(const char *a, const char *b)
{
    enum { MOST = 40 };
    int rows[3][MOST + 1];
    int n = (int)strlen(a), m = (int)strlen(b);
    if (n > MOST || m > MOST) return MOST;
    for (int j = 0; j <= m; j++) rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            bool same = fold(a[i - 1]) == fold(b[j - 1]);
            int least = last[j - 1] + !same;
            if (last[j] + 1 < least) least = last[j] + 1;
            if (now[j - 1] + 1 < least) least = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < least)
                least = before[j - 2] + 1;
            now[j] = least;
        }
    }
    return rows[n % 3][m];
}

void cli_nearest_start(struct cli_nearest *nearest, const char *wanted)
{
    *nearest = (struct cli_nearest){.wanted = wanted};
    /* A third of the letters may be wrong; more is another word. */
    nearest->distance = 2 + (int)strlen(wanted) / 3;
}

void cli_nearest_try(struct cli_nearest *nearest, const char *name)
{
    int d = distance(nearest->wanted, name);
    if (d >= nearest->distance) return;
    nearest->distance = d;
    snprintf(nearest->best, sizeof nearest->best, "%s", name);
}

const char *cli_nearest_found(const struct cli_nearest *nearest)
{
    return *nearest->best ? nearest->best : NULL;
}

static void fail_unknown(const struct cli_command *command, const char *name, size_t size,
                         char message[512])
{
    char word[40] = "", quoted[NN_QUOTED], no[48];
    struct cli_nearest nearest;
    const struct cli_option *option;
    snprintf(word, sizeof word, "%.*s", size < 39 ? (int)size : 39, name);
    cli_nearest_start(&nearest, word);
    for (int i = 0; (option = cli_option_at(command, i)) != NULL; i++) {
        for (const char *at = option->names; *at;) {
            char one[40];
            size_t length = strcspn(at, " ");
            snprintf(one, sizeof one, "%.*s", (int)length, at);
            cli_nearest_try(&nearest, one);
            snprintf(no, sizeof no, "--no-%s", strncmp(one, "--", 2) ? "" : one + 2);
            if (option->flags & CLI_NEGATABLE) cli_nearest_try(&nearest, no);
            at += length;
            while (*at == ' ') at++;
        }
    }
    cli_nearest_try(&nearest, "--help");
    const char *found = cli_nearest_found(&nearest);
    snprintf(message, 512, "unknown option %s%s%s%s", nn_quote(quoted, word),
             found ? "; did you mean " : "", found ? found : "", found ? "?" : "");
}

/* ---- values ---------------------------------------------------------------------------------- */

/* "a number above 0, at most 10" */
static const char *expectation(char text[96], const struct cli_option *option)
{
    const char *noun = option->type == CLI_INT ? "a whole number" : "a number";
    if (option->type == CLI_SEED)
        snprintf(text, 96, "a whole number from 0 to %llu", ~0ULL);
    else if (option->low == 0 && option->high == 0)
        snprintf(text, 96, "%s", noun);
    else if (option->flags & (CLI_ABOVE_LOW | CLI_BELOW_HIGH))
        snprintf(text, 96, "%s %s %.9g and %s %.9g", noun,
                 option->flags & CLI_ABOVE_LOW ? "above" : "of at least", option->low,
                 option->flags & CLI_BELOW_HIGH ? "below" : "at most", option->high);
    else
        snprintf(text, 96, "%s from %.9g to %.9g", noun, option->low, option->high);
    return text;
}

static bool in_range(const struct cli_option *option, double value)
{
    if (!isfinite(value)) return false;
    if (option->low == 0 && option->high == 0) return true;
    return (option->flags & CLI_ABOVE_LOW ? value > option->low : value >= option->low) &&
           (option->flags & CLI_BELOW_HIGH ? value < option->high : value <= option->high);
}

/* Decimal digits and what may stand around them: no blanks, no hexadecimal, no "nan", no "inf". */
static bool parse_number(const struct cli_option *option, const char *text, void *to)
{
    char *end = NULL;
    const char *allowed = option->type == CLI_REAL  ? "0123456789+-.eE"
                          : option->type == CLI_INT ? "0123456789+-"
                                                    : "0123456789";
    if (*text == '\0' || text[strspn(text, allowed)] != '\0') return false;
    errno = 0;
    if (option->type == CLI_REAL) {
        double value = strtod(text, &end);
        if (*end || end == text || !in_range(option, value)) return false;
        memcpy(to, &value, sizeof value);
    } else if (option->type == CLI_INT) {
        long long value = strtoll(text, &end, 10);
        if (*end || end == text || errno || value < INT32_MIN || value > INT32_MAX ||
            !in_range(option, (double)value))
            return false;
        int number = (int)value;
        memcpy(to, &number, sizeof number);
    } else {
        unsigned long long value = strtoull(text, &end, 10);
        if (*end || end == text || errno || value > UINT64_MAX) return false;
        uint64_t number = value;
        memcpy(to, &number, sizeof number);
    }
    return true;
}

/* Place of `text` among "a|b|c", or -1. */
static int find_choice(const char *choices, const char *text)
{
    size_t size = strlen(text);
    int index = 0;
    for (const char *at = choices;; index++) {
        size_t length = strcspn(at, "|");
        if (length == size && memcmp(at, text, size) == 0) return index;
        if (at[length] == '\0') return -1;
        at += length + 1;
    }
}

static bool fail_choice(const struct cli_option *option, const char *text, char message[512])
{
    char name[40], quoted[NN_QUOTED];
    struct cli_nearest nearest;
    cli_nearest_start(&nearest, text);
    for (const char *at = option->value;;) {
        char one[40];
        size_t length = strcspn(at, "|");
        snprintf(one, sizeof one, "%.*s", (int)length, at);
        cli_nearest_try(&nearest, one);
        if (at[length] == '\0') break;
        at += length + 1;
    }
    const char *found = cli_nearest_found(&nearest);
    snprintf(message, 512, "%s: expected one of %s, got %s%s%s%s", cli_option_name(name, option),
             option->value, nn_quote(quoted, text), found ? "; did you mean " : "",
             found ? found : "", found ? "?" : "");
    return false;
}

bool cli_set(void *settings, const struct cli_option *option, const char *text, char message[512])
{
    char name[40], range[96], quoted[NN_QUOTED];
    char *to = (char *)settings + option->offset;
    if (option->type == CLI_TEXT) {
        if (*text == '\0') {
            snprintf(message, 512, "%s: expected %s, got an empty word",
                     cli_option_name(name, option), option->value);
            return false;
        }
        memcpy(to, &text, sizeof text);
    } else if (option->type == CLI_FLAG) {
        bool on = strcmp(text, "yes") == 0;
        if (!on && strcmp(text, "no") != 0) {
            snprintf(message, 512, "%s: expected yes or no, got %s", cli_option_name(name, option),
                     nn_quote(quoted, text));
            return false;
        }
        memcpy(to, &on, sizeof on);
    } else if (option->type == CLI_CHOICE) {
        int index = find_choice(option->value, text);
        if (index < 0) return fail_choice(option, text, message);
        memcpy(to, &index, sizeof index);
    } else if (!parse_number(option, text, to)) {
        snprintf(message, 512, "%s: expected %s, got %s", cli_option_name(name, option),
                 expectation(range, option), nn_quote(quoted, text));
        return false;
    }
    return true;
}

void cli_get(char text[64], const void *settings, const struct cli_option *option)
{
    const char *from = (const char *)settings + option->offset;
    int number;
    uint64_t seed;
    double real;
    bool on;
    switch (option->type) {
    case CLI_TEXT:
        text[0] = '\0';
        break;
    case CLI_INT:
        memcpy(&number, from, sizeof number);
        snprintf(text, 64, "%d", number);
        break;
    case CLI_SEED:
        memcpy(&seed, from, sizeof seed);
        snprintf(text, 64, "%llu", (unsigned long long)seed);
        break;
    case CLI_REAL:
        memcpy(&real, from, sizeof real);
        snprintf(text, 64, "%.15g", real);
        if (strtod(text, NULL) != real) snprintf(text, 64, "%.17g", real);
        break;
    case CLI_FLAG:
        memcpy(&on, from, sizeof on);
        snprintf(text, 64, "%s", on ? "yes" : "no");
        break;
    case CLI_CHOICE:
        memcpy(&number, from, sizeof number);
        text[0] = '\0';
        if (number < 0) break;
        const char *at = option->value;
        while (number-- > 0) at += strcspn(at, "|") + 1;
        snprintf(text, 64, "%.*s", (int)strcspn(at, "|"), at);
        break;
    }
}

/* ---- the command line ------------------------------------------------------------------------ */

static void set_defaults(void *settings, const struct cli_command *command)
{
    const struct cli_option *option;
    char message[512];
    memset(settings, 0, command->settings_size);
    for (int i = 0; (option = cli_option_at(command, i)) != NULL; i++) {
        const int none = -1;
        if (option->fallback)
            (void)cli_set(settings, option, option->fallback, message);
        else if (option->type == CLI_CHOICE)
            memcpy((char *)settings + option->offset, &none, sizeof none);
    }
}

/* An option and its value, at argv[0]; returns how many words they are, 0 after an error. */
static int parse_option(struct cli_parsed *parsed, void *settings,
                        const struct cli_command *command, char **argv, char message[512])
{
    char name[40], quoted[NN_QUOTED];
    size_t size = strcspn(argv[0], "=");
    bool negated, ignored, has_value = argv[0][size] == '=';
    int index = find_option(command, argv[0], size, &negated);
    if (index < 0) {
        fail_unknown(command, argv[0], size, message);
        return 0;
    }
    const struct cli_option *option = cli_option_at(command, index);
    cli_option_name(name, option);
    parsed->given |= (uint64_t)1 << index;
    if (option->type == CLI_FLAG) {
        if (!has_value) return cli_set(settings, option, negated ? "no" : "yes", message);
        snprintf(message, 512, "%s: takes no value, got %s", name,
                 nn_quote(quoted, argv[0] + size + 1));
        return 0;
    }
    /* The name of another option in the value's place is a forgotten value. */
    bool forgotten =
        !has_value &&
        (!argv[1] || (argv[1][0] == '-' && argv[1][1] &&
                      find_option(command, argv[1], strcspn(argv[1], "="), &ignored) >= 0));
    if (forgotten) {
        snprintf(message, 512, "%s: expected %s after it, got %s", name, option->value,
                 argv[1] ? nn_quote(quoted, argv[1]) : "nothing");
        return 0;
    }
    char *value = has_value ? argv[0] + size + 1 : argv[1];
    if (!cli_set(settings, option, value, message)) return 0;
    if (option->flags & CLI_ARGUMENT) parsed->arguments[parsed->argument_count++] = value;
    return has_value ? 1 : 2;
}

static bool check_complete(const struct cli_parsed *parsed, const struct cli_command *command,
                           char message[512])
{
    char name[40], quoted[NN_QUOTED];
    const struct cli_option *option;
    for (int i = 0; (option = cli_option_at(command, i)) != NULL; i++) {
        if (!(option->flags & CLI_REQUIRED) || (parsed->given >> i & 1)) continue;
        snprintf(message, 512, "%s is missing: %s %s", cli_option_name(name, option), option->value,
                 option->help);
        return false;
    }
    if (parsed->argument_count > command->arguments_max) {
        snprintf(message, 512, "expected %s, got also %s",
                 command->arguments_max ? command->arguments : "options only",
                 nn_quote(quoted, parsed->arguments[command->arguments_max]));
        return false;
    }
    if (parsed->argument_count < command->arguments_min) {
        snprintf(message, 512, "expected %s, got %s", command->arguments,
                 parsed->argument_count ? "fewer" : "nothing");
        return false;
    }
    return true;
}

bool cli_parse(struct cli_parsed *parsed, void *settings, const struct cli_command *command,
               int argc, char **argv, char message[512])
{
    *parsed = (struct cli_parsed){.arguments = argv};
    set_defaults(settings, command);
    bool options = true;
    for (int i = 0; i < argc;) {
        char *word = argv[i];
        if (!options || word[0] != '-' || word[1] == '\0') {
            /* Arguments gather at the front of argv: they are never more than words read. */
            parsed->arguments[parsed->argument_count++] = word;
            i++;
        } else if (strcmp(word, "--") == 0) {
            options = false;
            i++;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            parsed->help = true;
            return true;
        } else {
            int words = parse_option(parsed, settings, command, argv + i, message);
            if (words == 0) return false;
            i += words;
        }
    }
    return check_complete(parsed, command, message);
}
