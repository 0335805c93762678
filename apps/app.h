/*
 * app.h — what the subcommands share: start and end of a run, talk, signals, folders, progress.
 *
 * Standard output carries data, standard error talk. Exit codes: 0 done, 1 failed, 2 wrong usage,
 * 128 + signal when interrupted.
 */
#ifndef APPS_APP_H
#define APPS_APP_H

#include "apps/cli.h"
#include "nn/nn.h"

#include <stdio.h>

enum { APP_OK = 0, APP_FAILED = 1, APP_USAGE = 2 };

/* The whole program. `allocator` NULL: the system's. */
int app_main(int argc, char **argv, const struct nn_allocator *allocator);

struct app {
    const struct cli_command *command;
    const struct nn_allocator *allocator;
    struct nn_context *context; /* from app_open on */
    struct cli_parsed parsed;
    const struct cli_common *common; /* the start of the command's settings */
    int exit_code;                   /* what app_start decided */
};

/* ---- app.c ---- */

/* Parses into `settings`; false when the run ends here (help, wrong usage) with app->exit_code. */
bool app_start(struct app *app, void *settings, int argc, char **argv);
/* Makes the context with at most `most` threads (0: as many as the options say). False: told. */
bool app_open(struct app *app, int most);
/* Closes the context; turns a status into an exit code and tells the error. */
int app_finish(struct app *app, enum nn_status status);
/* The option of commands that run a network; its int is an enum nn_precision. */
#define APP_PRECISION(offset)                                                                      \
    {                                                                                              \
        "--precision", CLI_CHOICE, offset, "fp32|bf16", "fp32", 0, 0, 0,                           \
            "what convolutions multiply: floats, or bfloat16s (8 bits of precision; sums are "     \
            "floats), which is faster on CPUs with AMX, or AMD's with AVX512-BF16"                 \
    }
/* Its value, with a remark where floats would be faster. After app_open. */
enum nn_precision app_precision(const struct app *app, int choice);
/* A message about wrong usage; returns APP_USAGE. */
int app_usage(const struct app *app, const char *format, ...) NN_PRINTF(2, 3);
/* A remark on standard error, unless --quiet. */
void app_say(const struct app *app, const char *format, ...) NN_PRINTF(2, 3);
/* A problem that does not end the run: told even when --quiet. */
void app_complain(const struct app *app, const char *format, ...) NN_PRINTF(2, 3);
/* A name as it is where a terminal may see it so, else nn_quote's; `quoted` has NN_QUOTED bytes. */
const char *app_plain(char *quoted, const char *name);
/* Is standard output still being taken in? (A full disk, a closed pipe.) */
enum nn_status app_flush(struct app *app);
/* Writes `text` to standard output, and frees it. */
enum nn_status app_print(struct app *app, struct nn_text *text);
/* NN_ERROR_MEMORY where text did not fit into memory. */
enum nn_status app_text_status(const struct nn_text *text);

/* ---- stop.c: Ctrl-C, SIGTERM, and a terminal that goes away ---- */

/* From here on the first SIGINT, SIGTERM or SIGHUP only sets the flag; a second one has its usual
 * effect. */
void app_catch_signals(void);
/* A pipe that nobody reads any more is an error of who writes, not the end of the program. */
void app_ignore_pipe(void);
const volatile int *app_stop_flag(void); /* points to 0 or the signal's number */

/* ---- path.c ---- */

/* Makes the folder in which `path` lies (and those above it) and checks that a file can be
 * written there: better now than after an hour of training. */
enum nn_status app_prepare_output(struct app *app, const char *path, const char *option);
enum nn_status app_make_folder(struct app *app, const char *path);
/* Inserts ".best" before the ending: "m.best.safetensors". The caller's to nn_free. */
char *app_best_path(struct nn_context *context, const char *path);
char *app_join(struct nn_context *context, const char *folder, const char *name);

/* All pictures below `path` (a file: itself, whatever its name), in natural order. */
struct app_files {
    char **paths;
    size_t count, capacity;
    bool (*wanted)(const char *path); /* which files; NULL: vi_is_picture_name */
};
enum nn_status app_find_files(struct app_files *files, struct app *app, const char *path);
void app_free_files(struct app_files *files, struct app *app);

/* ---- progress.c ---- */

/* Terminal: one line that is drawn over itself. Otherwise: a line when a stage ends. */
struct app_progress {
    const struct app *app;
    const char *label;
    bool live;
    double start, drawn;
};
double app_seconds(void); /* a clock that only goes forward */
bool app_is_terminal(void);
void app_progress_start(struct app_progress *progress, const struct app *app, const char *label);
void app_progress_draw(void *progress, size_t done, size_t total); /* as ds_options.progress */
void app_progress_clear(struct app_progress *progress);
/* "[=====>....]", `width` characters inside. Returns `text`. */
char *app_bar(char text[64], size_t done, size_t total, int width);
/* "0s", "59s", "1:05", "2:00:05" */
char *app_duration(char text[24], double seconds);

/* ---- json.c: parts of --json ---- */

void app_json_number(struct nn_text *text, double value); /* null for NaN and infinity */
void app_json_strings(struct nn_text *text, char *const *strings, int count);

#endif
