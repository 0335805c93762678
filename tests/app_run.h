/*
 * app_run.h — runs a subcommand inside the test program, as main() would, and keeps what it wrote.
 */
#ifndef APP_RUN_H
#define APP_RUN_H

#include "apps/app.h"
#include "test.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { APP_RUN_WORDS = 48, APP_RUN_TEXT = 1 << 18 };

struct app_run {
    int code;
    char out[APP_RUN_TEXT], err[APP_RUN_TEXT]; /* what was written, NUL-terminated, cut */
};

static inline void app_run_read(char *text, FILE *file)
{
    rewind(file);
    size_t size = fread(text, 1, APP_RUN_TEXT - 1, file);
    text[size] = '\0';
    fclose(file);
}

/* argv in one string, parted by blanks; a word in '...' may hold blanks. */
static inline int app_run_words(char *argv[APP_RUN_WORDS + 1], char *line)
{
    int argc = 0;
    argv[argc++] = line;
    for (char *at = line; *at && argc < APP_RUN_WORDS;) {
        while (*at == ' ') *at++ = '\0';
        if (*at == '\0') break;
        char end = *at == '\'' ? *at++ : ' ';
        argv[argc++] = at;
        while (*at && *at != end) at++;
        if (*at) *at++ = '\0';
    }
    argv[argc] = NULL;
    return argc;
}

static inline const struct app_run *app_run(const struct nn_allocator *allocator,
                                            const char *format, ...)
{
    static struct app_run run;
    char line[4096] = " ", *argv[APP_RUN_WORDS + 1];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + 1, sizeof line - 1, format, arguments);
    va_end(arguments);
    FILE *out = tmpfile(), *err = tmpfile();
    if (!out || !err) abort();
    fflush(stdout);
    int kept_out = dup(STDOUT_FILENO), kept_err = dup(STDERR_FILENO);
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    run.code = app_main(app_run_words(argv, line), argv, allocator);
    fflush(stdout);
    dup2(kept_out, STDOUT_FILENO);
    dup2(kept_err, STDERR_FILENO);
    close(kept_out);
    close(kept_err);
    app_run_read(run.out, out);
    app_run_read(run.err, err);
    return &run;
}

/* A folder of its own; removed with all in it by app_run_remove. */
static inline const char *app_run_folder(void)
{
    static char path[256];
    const char *where = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/liveness-XXXXXX", where && *where ? where : "/tmp");
    if (!mkdtemp(path)) abort();
    return path;
}

static inline void app_run_remove(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0) return;
    if (!S_ISDIR(info.st_mode)) {
        unlink(path);
        return;
    }
    DIR *stream = opendir(path);
    const struct dirent *entry;
    while (stream && (entry = readdir(stream)) != NULL) {
        char below[1024];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        int size = snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (size > 0 && (size_t)size < sizeof below) app_run_remove(below);
    }
    if (stream) closedir(stream);
    rmdir(path);
}

#endif
