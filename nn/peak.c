/*
 * peak.c — what this machine can do at most: multiply-adds and bytes per second, measured.
 *
 * A trial is some milliseconds of the same work on each thread. The best of many counts: what
 * disturbs a trial (other programs, a clock that has not risen yet) only ever makes it slower.
 */
#include "nn/internal.h"
#include "nn/measure.h"

#include <time.h>

enum { FEWEST_TRIALS = 3 };
static const double TRIAL_SECONDS = 3e-3, ALL_SECONDS = 0.1;

struct trial {
    const struct nn_kernels *kernels;
    float *x;      /* [threads][floats] */
    size_t floats; /* of a thread */
    size_t rounds;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Rounds per second of all threads together. */
static double best_rate(struct nn_context *context, nn_task *task, struct trial *trial, int threads)
{
    double best = 0, begin = now();
    trial->rounds = 1;
    for (int i = 0; i < FEWEST_TRIALS || now() - begin < ALL_SECONDS;) {
        double start = now();
        nn_parallel(context, threads, task, trial);
        double seconds = now() - start;
        if (seconds < TRIAL_SECONDS && trial->rounds < SIZE_MAX / 4) {
            trial->rounds *= 2;
            continue;
        }
        double rate = (double)trial->rounds / seconds;
        if (rate > best) best = rate;
        i++;
    }
    return best;
}

static int usable(const struct nn_context *context, int threads)
{
    return threads < 1 || threads > context->threads ? context->threads : threads;
}

/* The chains converge to b / (1 - a) = 2: no infinities, no denormals. */
static void multiply_add(void *argument, int index, int thread)
{
    const struct trial *trial = argument;
    (void)thread;
    trial->kernels->fma_peak(trial->x + (size_t)index * trial->floats, 0.5f, 1.0f, trial->floats,
                             trial->rounds);
}

double nn_measure_peak(struct nn_context *context, int threads)
{
    enum { FLOATS = 384 }; /* whole blocks of fma_peak at every level */
    threads = usable(context, threads);
    struct trial trial = {&context->kernels, NULL, FLOATS, 0};
    trial.x = nn_alloc(context, (size_t)threads * FLOATS, sizeof *trial.x);
    if (!trial.x) return 0;
    double rate = best_rate(context, multiply_add, &trial, threads);
    nn_free(context, trial.x);
    return 2.0 * FLOATS * threads * rate;
}

/* In place, so that each line is read once and written once and no third line is fetched for it. */
static void stream(void *argument, int index, int thread)
{
    const struct trial *trial = argument;
    float *x = trial->x + (size_t)index * trial->floats;
    (void)thread;
    for (size_t r = 0; r < trial->rounds; r++) trial->kernels->relu(x, x, trial->floats);
}

double nn_measure_bandwidth(struct nn_context *context, int threads, size_t bytes)
{
    threads = usable(context, threads);
    size_t floats = bytes / sizeof(float) / (size_t)threads & ~(size_t)15;
    if (floats < 16) floats = 16;
    struct trial trial = {&context->kernels, NULL, floats, 0};
    trial.x = nn_alloc(context, (size_t)threads, floats * sizeof *trial.x);
    if (!trial.x) return 0;
    double rate = best_rate(context, stream, &trial, threads);
    nn_free(context, trial.x);
    return 2.0 * sizeof(float) * (double)floats * threads * rate;
}
