/*
 * cli.h — options as tables.
 *
 * A command is a table: one row per option. Parsing, checks, `--help`, and "did you mean" all
 * come from the rows, so that they cannot disagree. A parsed value lands in the command's
 * settings, a plain struct that begins with struct cli_common.
 */
#ifndef APPS_CLI_H
#define APPS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_type {
    CLI_TEXT,   /* const char * */
    CLI_INT,    /* int */
    CLI_SEED,   /* uint64_t */
    CLI_REAL,   /* double, finite */
    CLI_FLAG,   /* bool; no value */
    CLI_CHOICE, /* int: place in `value`, which is "random|tail"; -1 without a default */
};

enum {
    CLI_REQUIRED = 1,
    CLI_ABOVE_LOW = 2,    /* `low` itself is not accepted */
    CLI_BELOW_HIGH = 4,   /* `high` itself is not accepted */
    CLI_NEGATABLE = 8,    /* a flag that --no-NAME switches off */
    CLI_DEFINES_RUN = 16, /* train: belongs to the checkpoint, must stay the same on resuming */
    CLI_MAY_CHANGE = 32,  /* ... but may be given anew */
    CLI_ARGUMENT = 64,    /* its values, any number of them, join the arguments */
};

struct cli_option {
    const char *names; /* "-r --lr": parted by blanks, shown in this order, '_' and '-' are equal;
                          the last one is what messages say */
    enum cli_type type;
    size_t offset;        /* in the settings */
    const char *value;    /* what --help calls the value; the choices */
    const char *fallback; /* the default as one would type it; NULL: none, 0 */
    double low, high;     /* CLI_INT, CLI_REAL: what is accepted; both 0: anything */
    unsigned flags;
    const char *help;
};

struct cli_common {
    int threads; /* 0: one per core */
    uint64_t seed;
    int cpu; /* place among CLI_LEVELS, -1: the best there is */
    bool json, quiet;
};
#define CLI_LEVELS "scalar|sse|avx2|avx512|avx512bf16|amx|neon"

struct app;
struct cli_command {
    const char *name;
    const char *summary;   /* one line */
    const char *arguments; /* "IMAGE|DIR..." or "" */
    int arguments_min, arguments_max;
    const char *notes;   /* paragraphs for --help; may be NULL */
    const char *example; /* one or more lines, the end of --help */
    const struct cli_option *options;
    int option_count;
    size_t settings_size;
    int (*run)(struct app *app, int argc, char **argv);
};

enum { CLI_COMMON_COUNT = 5, CLI_MAX_OPTIONS = 64 };
/* Options of the command and, after them, the common ones; NULL past the end. */
const struct cli_option *cli_option_at(const struct cli_command *command, int index);
/* The last of the names: "--lr". Returns `text`. */
const char *cli_option_name(char text[40], const struct cli_option *option);

struct cli_parsed {
    uint64_t given;   /* bit i: option i was on the command line */
    char **arguments; /* what is not an option, in order; in argv's memory */
    int argument_count;
    bool help;
};

/* argv[0] is the first word after the command's name. False: a message says what was wrong, what
 * would be right, and how a mistyped name is spelt. */
bool cli_parse(struct cli_parsed *parsed, void *settings, const struct cli_command *command,
               int argc, char **argv, char message[512]);
bool cli_given(const struct cli_parsed *parsed, const struct cli_command *command,
               const char *name);

/* One value from text, as cli_parse checks it; and back, without loss. */
bool cli_set(void *settings, const struct cli_option *option, const char *text, char message[512]);
void cli_get(char text[64], const void *settings, const struct cli_option *option);

void cli_print_help(const struct cli_command *command);

/* The nearest of the names by Damerau & Levenshtein's distance, NULL when none is near. */
struct cli_nearest {
    const char *wanted;
    char best[64];
    int distance;
};
void cli_nearest_start(struct cli_nearest *nearest, const char *wanted);
void cli_nearest_try(struct cli_nearest *nearest, const char *name);
const char *cli_nearest_found(const struct cli_nearest *nearest);

#endif
