/*
 * test_alloc.c — every allocation of a train and of a predict run fails once: each time a message
 * and exit code 1, nothing leaked, nothing half-written.
 */
#include "app_run.h"

#include <stdint.h>
#include <time.h>

/* Fails the `fails_at`-th request, counted from 1. Worker threads ask at the same time. */
struct failing {
    long calls, fails_at;
    long blocks; /* handed out and not given back */
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (__atomic_add_fetch(&failing->calls, 1, __ATOMIC_SEQ_CST) == failing->fails_at) return NULL;
    if (posix_memalign(&memory, 64, bytes)) return NULL;
    memset(memory, 0xA5, bytes);
    __atomic_add_fetch(&failing->blocks, 1, __ATOMIC_SEQ_CST);
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    struct failing *failing = user;
    (void)bytes;
    __atomic_sub_fetch(&failing->blocks, 1, __ATOMIC_SEQ_CST);
    free(memory);
}

static char folder[256];

static const struct app_run *run_with(struct failing *failing, long fails_at, const char *command)
{
    struct nn_allocator allocator = {allocate, release, failing};
    char out[300];
    snprintf(out, sizeof out, "%s/out", folder);
    app_run_remove(out);
    *failing = (struct failing){.fails_at = fails_at};
    return app_run(&allocator, "%s", command);
}

/* Files in out/ that no name was asked for: the halves of something. */
static int leftovers(void)
{
    static const char *const wanted[] = {".",        "..",         "m.st",   "m.best.st",
                                         "plot.png", "report.txt", "log.csv"};
    char out[300];
    int count = 0;
    snprintf(out, sizeof out, "%s/out", folder);
    DIR *stream = opendir(out);
    const struct dirent *entry;
    while (stream && (entry = readdir(stream)) != NULL) {
        bool known = false;
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            known = known || strcmp(entry->d_name, wanted[i]) == 0;
        count += !known;
    }
    if (stream) closedir(stream);
    return count;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Fails allocation 1, 1 + stride, ... The stride is 1 where that takes at most `budget` seconds. */
static void fail_each(const char *name, const char *command, double budget)
{
    struct failing failing;
    double start = seconds();
    const struct app_run *run = run_with(&failing, 0, command);
    double once = seconds() - start;
    long calls = failing.calls, tried = 0;
    CHECK(run->code == 0 && failing.blocks == 0, "%s: runs, and gives all %ld blocks back: %s",
          name, calls, run->err);
    long codes = 0, silent = 0, leaks = 0, halves = 0, stride = 1;
    while ((double)calls / (double)stride * once / 2 > budget) stride++;
    for (long n = 1; n <= calls; n += stride, tried++) {
        run = run_with(&failing, n, command);
        /* The counting of a run that fails early shows that it did get that far. */
        bool bad = run->code != 1 || !strstr(run->err, "memory") || failing.blocks ||
                   failing.calls < n || leftovers();
        codes += run->code != 1;
        silent += !strstr(run->err, "memory");
        leaks += failing.blocks != 0;
        halves += leftovers() != 0;
        if (bad)
            printf("# allocation %ld: code %d, %ld blocks left, %s\n", n, run->code, failing.blocks,
                   run->err);
    }
    CHECK(codes == 0, "%s: exit code 1 for each of %ld failed allocations of %ld", name, tried,
          calls);
    CHECK(silent == 0, "%s: and a message that says why", name);
    CHECK(leaks == 0, "%s: and all memory given back", name);
    CHECK(halves == 0, "%s: and no half-written file", name);
}

int main(void)
{
    char command[2048];
    snprintf(folder, sizeof folder, "%s", app_run_folder());
    const struct app_run *run =
        app_run(NULL, "synth %s/set --count 8 --size 32 --quiet --threads 1", folder);
    CHECK(run->code == 0, "a set to train on: %s", run->err);
    run = app_run(NULL, "train -d %s/set -w 8 -he 8 -b 3 -e 1 --quiet -m %s/m.st", folder, folder);
    CHECK(run->code == 0, "a model to predict with: %s", run->err);

    snprintf(command, sizeof command,
             "predict -m %s/m.best.st --threads 1 %s/set/real/0000.jpg %s/set/fake", folder, folder,
             folder);
    fail_each("predict", command, 4);
    snprintf(command, sizeof command, "predict -m %s/m.st --threads 3 --json %s/set", folder,
             folder);
    fail_each("predict with threads", command, 1);
    snprintf(command, sizeof command,
             "train -d %s/set -w 8 -he 8 -b 3 -e 1 --quiet --threads 1 --json -m %s/out/m.st "
             "-ev %s/out/report.txt --log %s/out/log.csv",
             folder, folder, folder, folder);
    fail_each("train", command, 6);
    snprintf(command, sizeof command,
             "train -d %s/set -w 8 -he 8 -b 3 -e 1 --quiet --threads 2 -p %s/out/plot.png", folder,
             folder);
    fail_each("train with a plot", command, 2);
    snprintf(command, sizeof command, "eval -m %s/m.st -d %s/set --quiet --threads 1", folder,
             folder);
    fail_each("eval", command, 2);
    fail_each("summary", "summary --plan", 2);
    fail_each("bench", "bench --seconds 0.01 --threads 1", 4);
    app_run_remove(folder);
    return test_done();
}
