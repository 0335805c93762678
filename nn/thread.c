/*
 * thread.c — a fixed pool that runs one job at a time.
 *
 * A step of training a small network is dozens of jobs of some microseconds each, so threads spin
 * a while for the next job before they sleep. Every thread begins with its own share of a job's
 * tasks, always the same one, so that an image's activations stay in one core's cache. Who is done
 * takes over tasks of the others: on a machine with other work a thread may not get its core for
 * milliseconds, and nobody waits for one that has not begun.
 *
 * The hand-over. A share's `next` holds the job's number and the next task not yet taken; a task is
 * taken by a compare-and-swap that only succeeds while the number is the one the taker knows. When
 * all tasks of a job have ended, the caller first closes the shares (new number, no task), then
 * writes the new job, then opens the shares. A thread that wakes late and reads some of the new
 * job has therefore lost the old number and takes nothing; one that takes a task of job j has read
 * all of job j.
 *
 * Going to sleep is a pair of "write mine, then read yours" on both sides. The writes are exchanges
 * and not stores, since emulators of ARM on x86 let a plain store pass a later load even where both
 * are sequentially consistent, and then each side believes the other awake.
 *
 * There may be more threads than cores; then only as many are woken as there are cores for, and
 * tasks are split into so many shares. The rest sleeps, whichever of them that is, and costs
 * nothing: what a job computes does not depend on who runs it.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "nn/internal.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#endif

enum { SPINS = 1000, CACHE_LINE = 64 };

/* On a cache line of its own: its owner takes from it all the time. */
struct share {
    uint64_t next; /* atomic: job << 32 | task */
    char padding[CACHE_LINE - sizeof(uint64_t)];
};

struct member {
    struct nn_pool *pool;
    int index;
    pthread_t thread;
};

struct nn_pool {
    /* The job. Read by threads that may be late, hence atomic. */
    int count;
    int left; /* atomic: tasks that have not ended */
    nn_task *task;
    void *argument;
    char padding1[CACHE_LINE]; /* who spins on `job` does not take the line above from the caller */
    uint32_t job;              /* atomic: its number; raised last, when all else is in place */
    int sleeping;              /* atomic: members that wait for `wake` and have no ticket */
    int waiting;               /* atomic: the caller waits for `done` */
    int quit;                  /* atomic */
    char padding2[CACHE_LINE];
    int threads; /* with the caller, who is thread 0 */
    int shares;  /* at most one per core */
    int tickets; /* under the mutex: members that may leave `wake` */
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    int started;
    struct share *share;    /* [shares] */
    struct member *members; /* [threads - 1] */
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

/* ---- taking tasks ---------------------------------------------------------------------------- */

static int share_start(int count, int owner, int shares)
{
    return (int)((int64_t)count * owner / shares);
}

/* The next task of `owner`'s share of job number `job`; -1 when none is left. */
static int take(struct nn_pool *pool, uint32_t job, int owner, int count)
{
    uint64_t *next = &pool->share[owner].next;
    uint64_t seen = __atomic_load_n(next, __ATOMIC_ACQUIRE);
    for (;;) {
        int task = (int)(uint32_t)seen;
        if ((uint32_t)(seen >> 32) != job || task >= share_start(count, owner + 1, pool->shares))
            return -1;
        if (__atomic_compare_exchange_n(next, &seen, seen + 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            return task;
    }
}

/* Runs what can be had of job `job`: the own share, then the others'. */
static void work(struct nn_pool *pool, uint32_t job, int thread)
{
    int count = __atomic_load_n(&pool->count, __ATOMIC_ACQUIRE);
    nn_task *task = __atomic_load_n(&pool->task, __ATOMIC_ACQUIRE);
    void *argument = __atomic_load_n(&pool->argument, __ATOMIC_ACQUIRE);
    int ended = 0;
    for (int i = 0; i < pool->shares; i++) {
        int owner = (thread + i) % pool->shares, index;
        while ((index = take(pool, job, owner, count)) >= 0) {
            task(argument, index, thread);
            ended++;
        }
    }
    if (!ended || __atomic_sub_fetch(&pool->left, ended, __ATOMIC_SEQ_CST) != 0) return;
    if (thread == 0 || !__atomic_load_n(&pool->waiting, __ATOMIC_SEQ_CST)) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->mutex);
}

/* ---- members --------------------------------------------------------------------------------- */

/* Sleeps, with the mutex held, until the caller has counted this member among those awake: whom it
 * has woken, not who has come round to it. */
static void await_ticket(struct nn_pool *pool)
{
    while (pool->tickets == 0) pthread_cond_wait(&pool->wake, &pool->mutex);
    pool->tickets--;
}

/* Returns when there is a job that is not `seen`. */
static void await_job(struct nn_pool *pool, uint32_t seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (__atomic_load_n(&pool->job, __ATOMIC_ACQUIRE) != seen) return;
        pause_cpu();
    }
    pthread_mutex_lock(&pool->mutex);
    __atomic_add_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool->job, __ATOMIC_SEQ_CST) == seen)
        await_ticket(pool);
    else
        __atomic_sub_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool->mutex);
}

static void *member_main(void *argument)
{
    const struct member *self = argument;
    struct nn_pool *pool = self->pool;
    pthread_mutex_lock(&pool->mutex);
    await_ticket(pool);
    pthread_mutex_unlock(&pool->mutex);
    for (;;) {
        uint32_t job = __atomic_load_n(&pool->job, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&pool->quit, __ATOMIC_ACQUIRE)) return NULL;
        work(pool, job, self->index);
        await_job(pool, job);
    }
}

/* ---- the caller ------------------------------------------------------------------------------ */

/* Raises the job's number, and leaves `surplus` of the members asleep. */
static void announce(struct nn_pool *pool, uint32_t job, int surplus)
{
    __atomic_exchange_n(&pool->job, job, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool->sleeping, __ATOMIC_SEQ_CST) <= surplus) return;
    pthread_mutex_lock(&pool->mutex);
    for (; __atomic_load_n(&pool->sleeping, __ATOMIC_SEQ_CST) > surplus; pool->tickets++) {
        __atomic_sub_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST);
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
}

static void await_end(struct nn_pool *pool)
{
    for (int i = 0; i < SPINS; i++) {
        if (__atomic_load_n(&pool->left, __ATOMIC_ACQUIRE) == 0) return;
        pause_cpu();
    }
    pthread_mutex_lock(&pool->mutex);
    __atomic_exchange_n(&pool->waiting, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool->left, __ATOMIC_SEQ_CST) != 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    __atomic_store_n(&pool->waiting, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool->mutex);
}

static void set_share(struct nn_pool *pool, int owner, uint32_t job, int next)
{
    __atomic_store_n(&pool->share[owner].next, (uint64_t)job << 32 | (uint32_t)next,
                     __ATOMIC_RELEASE);
}

void nn_pool_run(struct nn_pool *pool, int count, nn_task *task, void *argument)
{
    uint32_t job = pool->job + 1;
    for (int i = 0; i < pool->shares; i++) set_share(pool, i, job, INT_MAX);
    __atomic_store_n(&pool->count, count, __ATOMIC_RELEASE);
    __atomic_store_n(&pool->task, task, __ATOMIC_RELEASE);
    __atomic_store_n(&pool->argument, argument, __ATOMIC_RELEASE);
    __atomic_store_n(&pool->left, count, __ATOMIC_RELEASE);
    for (int i = 0; i < pool->shares; i++)
        set_share(pool, i, job, share_start(count, i, pool->shares));
    announce(pool, job, pool->threads - pool->shares);
    work(pool, job, 0);
    await_end(pool);
}

uint32_t nn_pool_jobs(const struct nn_pool *pool)
{
    return pool ? pool->job : 0;
}

void nn_parallel(struct nn_context *context, int count, nn_task *task, void *argument)
{
    if (context->pool && count > 1) {
        nn_pool_run(context->pool, count, task, argument);
        return;
    }
    for (int i = 0; i < count; i++) task(argument, i, 0);
}

enum nn_status nn_pool_new(struct nn_pool **made, struct nn_context *context, int threads,
                           int cores)
{
    struct nn_pool *pool = nn_alloc(context, 1, sizeof *pool);
    if (!pool) return NN_ERROR_MEMORY;
    *made = pool;
    pool->threads = threads;
    pool->shares = threads < cores ? threads : cores;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->share = nn_alloc(context, (size_t)pool->shares, sizeof *pool->share);
    pool->members = nn_alloc(context, (size_t)threads, sizeof *pool->members);
    if (!pool->share || !pool->members) return NN_ERROR_MEMORY;
    for (int i = 1; i < threads; i++) {
        struct member *member = &pool->members[i - 1];
        member->pool = pool;
        member->index = i;
        __atomic_add_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST); /* until a job wakes it */
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
    __atomic_store_n(&pool->quit, 1, __ATOMIC_SEQ_CST);
    announce(pool, pool->job + 1, 0);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->members[i].thread, NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    nn_free(context, pool->share);
    nn_free(context, pool->members);
    nn_free(context, pool);
    *freed = NULL;
}
