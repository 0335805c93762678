/*
 * thread.c — a fixed pool that runs one job at a time over a static split.
 *
 * A step of training a small network is dozens of jobs of some microseconds each, so threads spin
 * a while for the next job before they sleep. The hand-over is one counter (`generation`): the
 * caller writes the job, then raises the counter; a thread that sees it raised sees the job.
 * Where there are more threads than cores, spinning would only keep the others from running, so
 * they sleep at once.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "nn/internal.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#endif

enum { SPINS = 20000 };

struct member {
    struct nn_pool *pool;
    int index;
    pthread_t thread;
};

struct nn_pool {
    int threads;             /* with the caller, who is thread 0 */
    int spins;
    /* The job: written before `generation` is raised, constant until `running` is 0 again. */
    int count;
    nn_task *task;
    void *argument;
    unsigned generation;     /* atomic */
    int running;             /* atomic: members that have not finished the job */
    int sleeping;            /* atomic: members that wait for `wake` */
    int waiting;             /* atomic: the caller waits for `done` */
    bool quit;               /* written before `generation` is raised */
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    int started;
    struct member members[]; /* [threads - 1] */
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

int nn_online_cores(void)
{
#if defined(__linux__) && defined(CPU_COUNT)
    /* The cores this process may use: containers and taskset give fewer than are online. */
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (int)cores : 1;
}

static void run_share(const struct nn_pool *pool, int thread)
{
    int from = (int)((int64_t)pool->count * thread / pool->threads);
    int to = (int)((int64_t)pool->count * (thread + 1) / pool->threads);
    for (int i = from; i < to; i++) pool->task(pool->argument, i, thread);
}

/* Returns when `generation` differs from `seen`. */
static void await_job(struct nn_pool *pool, unsigned seen)
{
    for (int i = 0; i < pool->spins; i++) {
        if (__atomic_load_n(&pool->generation, __ATOMIC_ACQUIRE) != seen) return;
        pause_cpu();
    }
    pthread_mutex_lock(&pool->mutex);
    __atomic_add_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool->generation, __ATOMIC_SEQ_CST) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    __atomic_sub_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool->mutex);
}

static void *member_main(void *argument)
{
    const struct member *self = argument;
    struct nn_pool *pool = self->pool;
    for (unsigned seen = 0;; seen++) {
        await_job(pool, seen);
        if (pool->quit) return NULL;
        run_share(pool, self->index);
        if (__atomic_sub_fetch(&pool->running, 1, __ATOMIC_SEQ_CST) == 0 &&
            __atomic_load_n(&pool->waiting, __ATOMIC_SEQ_CST)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

static void announce(struct nn_pool *pool)
{
    __atomic_add_fetch(&pool->generation, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool->sleeping, __ATOMIC_SEQ_CST) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

static void await_members(struct nn_pool *pool)
{
    for (int i = 0; i < pool->spins; i++) {
        if (__atomic_load_n(&pool->running, __ATOMIC_ACQUIRE) == 0) return;
        pause_cpu();
    }
    pthread_mutex_lock(&pool->mutex);
    __atomic_store_n(&pool->waiting, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool->running, __ATOMIC_SEQ_CST) != 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    __atomic_store_n(&pool->waiting, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool->mutex);
}

void nn_pool_run(struct nn_pool *pool, int count, nn_task *task, void *argument)
{
    pool->count = count;
    pool->task = task;
    pool->argument = argument;
    __atomic_store_n(&pool->running, pool->threads - 1, __ATOMIC_SEQ_CST);
    announce(pool);
    run_share(pool, 0);
    await_members(pool);
}

void nn_parallel(struct nn_context *context, int count, nn_task *task, void *argument)
{
    if (context->pool && count > 1) {
        nn_pool_run(context->pool, count, task, argument);
        return;
    }
    for (int i = 0; i < count; i++) task(argument, i, 0);
}

enum nn_status nn_pool_new(struct nn_pool **made, struct nn_context *context, int threads)
{
    size_t size = sizeof(struct nn_pool) + (size_t)(threads - 1) * sizeof(struct member);
    struct nn_pool *pool = nn_alloc(context, 1, size);
    if (!pool) return NN_ERROR_MEMORY;
    *made = pool;
    pool->threads = threads;
    pool->spins = threads <= nn_online_cores() ? SPINS : 0;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (int i = 1; i < threads; i++) {
        struct member *member = &pool->members[i - 1];
        member->pool = pool;
        member->index = i;
        int error = pthread_create(&member->thread, NULL, member_main, member);
        if (error)
            return nn_fail(context, NN_ERROR_MEMORY, "cannot start thread %d of %d: %s", i + 1,
                           threads, strerror(error));
        pool->started++;
    }
    return NN_OK;
}

void nn_pool_free(struct nn_context *context, struct nn_pool **freed)
{
    struct nn_pool *pool = *freed;
    if (!pool) return;
    pool->quit = true;
    announce(pool);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->members[i].thread, NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    nn_free(context, pool);
    *freed = NULL;
}
