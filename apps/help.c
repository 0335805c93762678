/* help.c — `--help`, printed from a command's table. */
#include "apps/cli.h"

#include <stdio.h>
#include <string.h>

enum { INDENT = 34, WIDTH = 92 };

/* Words of `text` between columns `indent` and WIDTH; the cursor stands at `column`. */
static void print_wrapped(const char *text, int indent, int column)
{
    bool first = true;
    for (const char *at = text; *at;) {
        int length = (int)strcspn(at, " ");
        if (!first && column + 1 + length > WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
            first = true;
        }
        printf("%s%.*s", first ? "" : " ", length, at);
        column += length + !first;
        first = false;
        at += length;
        while (*at == ' ') at++;
    }
    putchar('\n');
}

/* "-r, --lr NUMBER" */
static int print_names(const struct cli_option *option)
{
    int column = printf("  ");
    for (const char *at = option->names; *at;) {
        int length = (int)strcspn(at, " ");
        column += printf("%.*s", length, at);
        at += length;
        while (*at == ' ') at++;
        if (*at) column += printf(", ");
    }
    if (option->flags & CLI_NEGATABLE) {
        char name[40];
        column += printf(", --no-%s", cli_option_name(name, option) + 2);
    }
    if (option->value) column += printf(" %s", option->value);
    return column;
}

static void print_option(const struct cli_option *option)
{
    char text[512];
    int column = print_names(option);
    if (column > INDENT - 2) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", INDENT - column, "");
    bool told =
        option->fallback && !(option->type == CLI_FLAG && strcmp(option->fallback, "no") == 0);
    if (option->flags & CLI_REQUIRED)
        snprintf(text, sizeof text, "%s (required)", option->help);
    else if (told && option->type == CLI_FLAG)
        snprintf(text, sizeof text, "%s [on]", option->help);
    else if (told)
        snprintf(text, sizeof text, "%s [%s]", option->help, option->fallback);
    else
        snprintf(text, sizeof text, "%s", option->help);
    print_wrapped(text, INDENT, INDENT);
}

void cli_print_help(const struct cli_command *command)
{
    const struct cli_option *option;
    printf("usage: liveness %s", command->name);
    for (int i = 0; i < command->option_count; i++) {
        option = &command->options[i];
        if (option->flags & CLI_REQUIRED)
            printf(" %.*s %s", (int)strcspn(option->names, " "), option->names, option->value);
    }
    printf(" [options]%s%s\n\n", *command->arguments ? " " : "", command->arguments);
    print_wrapped(command->summary, 0, 0);
    if (command->option_count) printf("\noptions:\n");
    for (int i = 0; (option = cli_option_at(command, i)) != NULL; i++) {
        if (i == command->option_count) printf("\nfor every command:\n");
        print_option(option);
    }
    printf("  -h, --help%*sthis text\n", INDENT - 12, "");
    if (command->notes) printf("\n%s\n", command->notes);
    printf("\nexample:\n%s\n", command->example);
}
