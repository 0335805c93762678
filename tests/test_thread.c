/*
 * test_thread.c — the pool: every task of every job runs exactly once, with its own argument, for
 * any number of threads and tasks. Worth most under ThreadSanitizer (`make tsan`).
 */
#include "tests/test.h"
#include "nn/internal.h"

#include <time.h>

enum { MOST_TASKS = 4096, MOST_THREADS = 8 };

struct job {
    int number, count;
    int runs[MOST_TASKS]; /* how often each task ran; one writer each */
    int strangers;        /* atomic: tasks with an index or thread out of range */
    int threads;
};

static void run_task(void *argument, int index, int thread)
{
    struct job *job = argument;
    if (index < 0 || index >= job->count || thread < 0 || thread >= job->threads)
        __atomic_add_fetch(&job->strangers, 1, __ATOMIC_RELAXED);
    else
        job->runs[index]++;
}

static bool job_is_right(const struct job *job)
{
    if (job->strangers) return false;
    for (int i = 0; i < job->count; i++)
        if (job->runs[i] != 1) return false;
    return true;
}

/* Jobs of changing sizes one after another: a thread that is late for one must not take tasks of
 * the next under the wrong name. */
static void check_jobs(struct nn_context *context, int jobs)
{
    static struct job pool[2];
    struct nn_rng rng = nn_rng_make(3, (uint64_t)nn_threads(context));
    int wrong = 0;
    for (int i = 0; i < jobs; i++) {
        struct job *job = &pool[i % 2];
        int count =
            i % 16 == 15 ? (int)nn_rng_below(&rng, MOST_TASKS) : (int)nn_rng_below(&rng, 24);
        job->number = i;
        job->threads = nn_threads(context);
        job->strangers = 0;
        memset(job->runs, 0, (size_t)count * sizeof *job->runs);
        job->count = count;
        nn_parallel(context, count, run_task, job);
        wrong += !job_is_right(job);
    }
    CHECK(wrong == 0, "%d threads: each task of %d jobs ran once, %d jobs wrong",
          nn_threads(context), jobs, wrong);
}

/* ---- a sum over chunks: the same for any number of threads ----------------------------------- */

enum { CHUNKS = 97, CHUNK = 1000 };

static void sum_chunk(void *argument, int index, int thread)
{
    double *sums = argument;
    struct nn_rng rng = nn_rng_make(11, (uint64_t)index);
    double sum = 0.0;
    (void)thread;
    for (int i = 0; i < CHUNK; i++) sum += (double)nn_rng_uniform(&rng, -1.0f, 1.0f);
    sums[index] = sum;
}

static double sum_all(struct nn_context *context)
{
    double sums[CHUNKS], total = 0.0;
    nn_parallel(context, CHUNKS, sum_chunk, sums);
    for (int i = 0; i < CHUNKS; i++) total += sums[i];
    return total;
}

/* ---- workers' allocations are counted together ----------------------------------------------- */

struct allocation {
    struct nn_context *context;
    int failures; /* atomic */
};

static void allocate(void *argument, int index, int thread)
{
    struct allocation *allocation = argument;
    struct nn_context *worker = nn_worker(allocation->context, thread);
    unsigned char *memory = nn_alloc(worker, 100 + (size_t)index, 1);
    if (memory) memory[index] = 1;
    if (!memory || nn_alloc(worker, SIZE_MAX, 2))
        __atomic_add_fetch(&allocation->failures, 1, __ATOMIC_RELAXED);
    nn_free(worker, memory);
}

static void check_workers(struct nn_context *context)
{
    struct allocation allocation = {.context = context};
    size_t held = nn_bytes_allocated(context);
    nn_parallel(context, 100, allocate, &allocation);
    CHECK(allocation.failures == 0 && nn_bytes_allocated(context) == held,
          "%d threads: workers allocate, fail, and give back", nn_threads(context));
}

/* ---- more threads than cores ----------------------------------------------------------------- */

struct crowd {
    int inside, most; /* atomic: tasks under way, and the most there ever were */
};

static void join_crowd(void *argument, int index, int thread)
{
    struct crowd *crowd = argument;
    volatile int work = index + thread;
    int inside = __atomic_add_fetch(&crowd->inside, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&crowd->most, __ATOMIC_SEQ_CST);
    while (most < inside && !__atomic_compare_exchange_n(&crowd->most, &most, inside, false,
                                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    for (int i = 0; i < 5000; i++) work = work + i;
    __atomic_sub_fetch(&crowd->inside, 1, __ATOMIC_SEQ_CST);
}

/* A pool that believes in so many cores, whatever there are: with as many as threads, all of them
 * race for tasks; with fewer, no more than that run. */
static void check_cores(int threads, int cores, double expected)
{
    struct nn_context *context = NULL;
    struct crowd crowd = {0};
    struct timespec pause = {0, 300000};
    if (!CHECK(!nn_open(&context, &(struct nn_options){.threads = threads}), "open")) return;
    nn_pool_free(context, &context->pool);
    if (!CHECK(!nn_pool_new(&context->pool, context, threads, cores), "a pool")) return;
    check_jobs(context, 1000);
    for (int i = 0; i < 100; i++) {
        nn_parallel(context, 64, join_crowd, &crowd);
        if (i % 10 == 0) nanosleep(&pause, NULL); /* all fall asleep */
    }
    CHECK(crowd.most >= 1 && crowd.most <= cores && crowd.inside == 0,
          "%d threads on %d cores: at most %d ran at once", threads, cores, crowd.most);
    CHECK(sum_all(context) == expected, "the same sum");
    nn_close(&context);
}

int main(void)
{
    double first = 0.0;
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        struct nn_context *context = NULL;
        if (!CHECK(nn_open(&context, &(struct nn_options){.threads = threads}) == NN_OK,
                   "a pool of %d", threads))
            return test_done();
        check_jobs(context, 2000);
        double sum = sum_all(context);
        if (threads == 1) first = sum;
        CHECK(sum == first, "%d threads: the same sum", threads);
        check_workers(context);
        nn_close(&context);
        CHECK(!context, "closed");
    }
    static const int pools[][2] = {{2, 1}, {2, 2}, {5, 2}, {5, 5}, {8, 1}, {8, 3}, {8, 8}};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        check_cores(pools[i][0], pools[i][1], first);
    struct nn_context *context = NULL;
    CHECK(nn_open(&context, &(struct nn_options){.threads = -1}) == NN_ERROR_ARGUMENT &&
              strstr(nn_error(context), "-1"),
          "a negative number of threads: %s", nn_error(context));
    nn_close(&context);
    CHECK(nn_open(&context, &(struct nn_options){.threads = 1 << 20}) == NN_ERROR_ARGUMENT,
          "a million threads: %s", nn_error(context));
    nn_close(&context);
    for (int i = 0; i < 20; i++) { /* opened and closed without a job */
        if (nn_open(&context, &(struct nn_options){.threads = 3})) break;
        nn_close(&context);
    }
    CHECK(!context, "pools that never had a job close");
    return test_done();
}
