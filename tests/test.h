/*
 * test.h — checks that print TAP ("ok 1 - name"), the protocol `prove` and CI systems read.
 *
 *     int main(void) { CHECK(2 > 1, "two is more than one"); return test_done(); }
 */
#ifndef TEST_H
#define TEST_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_count, test_failures;

/* One numbered result; a failed one says where. Returns `ok`. */
static inline bool test_result(bool ok, const char *file, int line, const char *format, ...)
{
    va_list arguments;
    printf("%sok %d - ", ok ? "" : "not ", ++test_count);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    if (!ok) {
        test_failures++;
        printf("#   at %s:%d\n", file, line);
    }
    fflush(stdout);
    return ok;
}
#define CHECK(condition, ...) test_result((condition), __FILE__, __LINE__, __VA_ARGS__)

/* A check that cannot run here, with the reason. */
static inline void test_skip(const char *name, const char *reason)
{
    printf("ok %d - %s # SKIP %s\n", ++test_count, name, reason);
}

static inline int test_done(void)
{
    printf("1..%d\n", test_count);
    return test_failures ? 1 : 0;
}

/* Does an emulator run the tests, some thirty times as slowly? */
static inline bool test_emulated(void)
{
    const char *runner = getenv("RUNNER");
    return runner && *runner;
}

/* The folder with real faces and other programs' answers; NULL where it is missing. */
static inline const char *test_shared(void)
{
    static const char *const places[] = {"../shared", "../../shared"};
    const char *set = getenv("LIVENESS_SHARED");
    if (set) return *set ? set : NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/data/README.md", places[i]);
        FILE *file = fopen(path, "rb");
        if (file) {
            fclose(file);
            return places[i];
        }
    }
    return NULL;
}

#endif
