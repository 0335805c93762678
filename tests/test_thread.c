/*
 * test_thread.c — the pool: every task of every job runs exactly once, with its own argument, for
 * any number of threads and tasks. Worth most under ThreadSanitizer (`make tsan`).
 */
#include "tests/test.h"
#include "nn/nn.h"

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
