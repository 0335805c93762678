/* progress.c — bars on a terminal, nothing elsewhere. */
#include "apps/app.h"
#include "vision/vision.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double app_seconds(void)
{
    return vi_clock();
}

bool app_is_terminal(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

char *app_bar(char text[64], size_t done, size_t total, int width)
{
    int filled = total ? (int)((double)done / (double)total * width) : width;
    int at = 0;
    text[at++] = '[';
    for (int i = 0; i < width; i++) text[at++] = i < filled ? '=' : i == filled ? '>' : '.';
    text[at++] = ']';
    text[at] = '\0';
    return text;
}

char *app_duration(char text[24], double seconds)
{
    unsigned long whole = seconds > 0 && seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 0;
    if (whole < 60)
        snprintf(text, 24, "%lus", whole);
    else if (whole < 3600)
        snprintf(text, 24, "%lu:%02lu", whole / 60, whole % 60);
    else
        snprintf(text, 24, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
    return text;
}

void app_progress_start(struct app_progress *progress, const struct app *app, const char *label)
{
    *progress = (struct app_progress){.app = app, .label = label, .start = app_seconds()};
    progress->live = app_is_terminal() && !app->common->quiet;
}

void app_progress_draw(void *user, size_t done, size_t total)
{
    struct app_progress *progress = user;
    char bar[64], left[24];
    double now = app_seconds();
    /* Ten times a second is as fast as anyone reads. */
    if (!progress->live || (now - progress->drawn < 0.1 && done < total)) return;
    progress->drawn = now;
    double rest = done ? (now - progress->start) / (double)done * (double)(total - done) : 0;
    fprintf(stderr, "\r%s %zu/%zu %s - ETA: %s\x1b[K", progress->label, done, total,
            app_bar(bar, done, total, 30), app_duration(left, rest));
    fflush(stderr);
}

void app_progress_clear(struct app_progress *progress)
{
    if (progress->live && progress->drawn > 0) fputs("\r\x1b[K", stderr);
    progress->drawn = 0;
}
