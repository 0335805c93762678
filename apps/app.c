/* app.c — the table of subcommands, and how each one starts and ends. */
#include "apps/app.h"
#include "apps/commands.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static const struct cli_command *const COMMANDS[] = {
    &app_gather,  &app_train,   &app_eval,    &app_predict, &app_detect, &app_landmarks, &app_demo,
    &app_cameras, &app_convert, &app_summary, &app_bench,   &app_synth,  NULL,
};

/* ---- talk --------------------------------------------------------------------------------- */

static void tell(const struct app *app, const char *format, va_list arguments)
{
    fprintf(stderr, "liveness%s%s: ", app->command ? " " : "",
            app->command ? app->command->name : "");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int app_usage(const struct app *app, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tell(app, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try 'liveness%s%s --help'.\n", app->command ? " " : "",
            app->command ? app->command->name : "");
    return APP_USAGE;
}

void app_say(const struct app *app, const char *format, ...)
{
    if (app->common->quiet) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void app_complain(const struct app *app, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tell(app, format, arguments);
    va_end(arguments);
}

const char *app_plain(char *quoted, const char *name)
{
    nn_quote(quoted, name);
    return strlen(quoted) == strlen(name) + 2 ? name : quoted;
}

enum nn_status app_flush(struct app *app)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return NN_OK;
    /* Told once: what could not be written stays in the buffer and would fail again at exit. */
    return nn_fail(app->context, NN_ERROR_IO, "cannot write to standard output: %s",
                   strerror(errno));
}

enum nn_status app_text_status(const struct nn_text *text)
{
    return text->failed ? NN_ERROR_MEMORY : NN_OK;
}

enum nn_status app_print(struct app *app, struct nn_text *text)
{
    enum nn_status status = app_text_status(text);
    if (!status) {
        if (text->size) fwrite(text->data, 1, text->size, stdout);
        status = app_flush(app);
    }
    nn_text_free(text);
    return status;
}

/* ---- start and end of a command -------------------------------------------------------------- */

bool app_start(struct app *app, void *settings, int argc, char **argv)
{
    char message[512];
    app->common = settings;
    if (!cli_parse(&app->parsed, settings, app->command, argc, argv, message)) {
        app->exit_code = app_usage(app, "%s", message);
        return false;
    }
    if (app->parsed.help) {
        cli_print_help(app->command);
        app->exit_code = APP_OK;
        return false;
    }
    return true;
}

bool app_open(struct app *app, int most)
{
    const struct cli_option *cpu = NULL;
    char level[64];
    for (int i = app->command->option_count; !cpu; i++) {
        const struct cli_option *option = cli_option_at(app->command, i);
        if (option->type == CLI_CHOICE) cpu = option;
    }
    cli_get(level, app->common, cpu);
    int threads = app->common->threads;
    if (threads == 0)
        threads = (int)sysconf(_SC_NPROCESSORS_ONLN) > most ? most : 0;
    else if (most > 0 && threads > most)
        threads = most;
    enum nn_status status =
        nn_open(&app->context, &(struct nn_options){.threads = threads,
                                                    .cpu = *level ? level : NULL,
                                                    .allocator = app->allocator});
    if (status) app->exit_code = app_finish(app, status);
    return status == NN_OK;
}

enum nn_precision app_precision(const struct app *app, int choice)
{
    if (choice == NN_BFLOAT16 && !nn_bfloat16_pays(app->context))
        app_say(app,
                "--precision bf16: this CPU (%s) multiplies floats faster than bfloat16; expect "
                "it to be slower than fp32",
                nn_cpu(app->context));
    return (enum nn_precision)choice;
}

int app_finish(struct app *app, enum nn_status status)
{
    int code = status ? APP_FAILED : APP_OK;
    if (status == NN_ERROR_INTERRUPTED && *app_stop_flag()) code = 128 + *app_stop_flag();
    if (status) app_complain(app, "%s", nn_error(app->context));
    nn_close(&app->context);
    return code;
}

/* ---- the program ----------------------------------------------------------------------------- */

static void print_commands(void)
{
    printf("liveness %s — is there a live face in front of the camera, or a picture of one?\n\n"
           "usage: liveness COMMAND [options]\n\n",
           nn_version());
    for (int i = 0; COMMANDS[i]; i++)
        printf("  %-9s %s\n", COMMANDS[i]->name, COMMANDS[i]->summary);
    printf("\n'liveness help COMMAND' tells more; 'liveness --version' the version.\n"
           "\nexample:\n"
           "  liveness synth faces --count 400\n"
           "  liveness train -d faces -m faces.safetensors -e 20\n"
           "  liveness predict -m faces.safetensors faces/real\n");
}

static const struct cli_command *find_command(const char *name)
{
    for (int i = 0; COMMANDS[i]; i++)
        if (strcmp(COMMANDS[i]->name, name) == 0) return COMMANDS[i];
    return NULL;
}

static int fail_command(const struct app *app, const char *name)
{
    char quoted[NN_QUOTED];
    struct cli_nearest nearest;
    cli_nearest_start(&nearest, name);
    for (int i = 0; COMMANDS[i]; i++) cli_nearest_try(&nearest, COMMANDS[i]->name);
    if (*name == '-') {
        cli_nearest_try(&nearest, "--help");
        cli_nearest_try(&nearest, "--version");
    }
    const char *found = cli_nearest_found(&nearest);
    return app_usage(app, "unknown %s %s%s%s%s", *name == '-' ? "option" : "command",
                     nn_quote(quoted, name), found ? "; did you mean " : "", found ? found : "",
                     found ? "?" : "");
}

static int help(const struct app *app, int argc, char **argv)
{
    if (argc == 0) {
        print_commands();
        return APP_OK;
    }
    const struct cli_command *command = find_command(argv[0]);
    if (!command) return fail_command(app, argv[0]);
    cli_print_help(command);
    return APP_OK;
}

static int dispatch(struct app *app, int argc, char **argv)
{
    if (argc < 2) return help(app, 0, NULL);
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return help(app, 0, NULL);
    if (strcmp(word, "help") == 0) return help(app, argc - 2, argv + 2);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("liveness %s\n", nn_version());
        return APP_OK;
    }
    const struct cli_command *command = find_command(word);
    if (!command) return fail_command(app, word);
    app->command = command;
    return command->run(app, argc - 2, argv + 2);
}

int app_main(int argc, char **argv, const struct nn_allocator *allocator)
{
    struct app app = {.allocator = allocator};
    int code = dispatch(&app, argc, argv);
    /* Whatever was printed must have arrived; a command that failed has said why already. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == APP_OK) {
        app_complain(&app, "cannot write to standard output: %s", strerror(errno));
        code = APP_FAILED;
    }
    return code;
}
