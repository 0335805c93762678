/* gather_queue.c — slots that go round between threads. */
#include "apps/gather.h"

#include <errno.h>
#include <time.h>

void gather_queue_open(struct gather_queue *queue, int slots)
{
    *queue = (struct gather_queue){.slots = slots};
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->changed, NULL);
    for (int i = 0; i < slots; i++) queue->turn[i] = GATHER_FREE;
}

void gather_queue_free(struct gather_queue *queue)
{
    if (!queue->slots) return;
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->mutex);
    queue->slots = 0;
}

/* The full slot that waits longest, or a free one; -1: there is none. */
static int find(const struct gather_queue *queue, bool full)
{
    int found = -1;
    for (int i = 0; i < queue->slots; i++) {
        int64_t turn = queue->turn[i];
        if (full ? turn >= 0 && (found < 0 || turn < queue->turn[found]) : turn == GATHER_FREE)
            found = i;
    }
    return found;
}

/* A condition cannot be waited for together with a signal: look up now and then. */
static void wait_a_while(struct gather_queue *queue)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&queue->changed, &queue->mutex, &until);
}

int gather_queue_room(struct gather_queue *queue)
{
    int slot = -1;
    pthread_mutex_lock(&queue->mutex);
    while (!queue->aborted && (slot = find(queue, false)) < 0)
        pthread_cond_wait(&queue->changed, &queue->mutex);
    if (slot >= 0) queue->turn[slot] = GATHER_HELD;
    pthread_mutex_unlock(&queue->mutex);
    return slot;
}

int gather_queue_take(struct gather_queue *queue, int64_t *turn, const volatile int *stop)
{
    int slot = -1;
    pthread_mutex_lock(&queue->mutex);
    while (!queue->aborted && !(stop && *stop) && (slot = find(queue, true)) < 0 &&
           !queue->closed) {
        if (stop)
            wait_a_while(queue);
        else
            pthread_cond_wait(&queue->changed, &queue->mutex);
    }
    if (slot >= 0) {
        if (turn) *turn = queue->turn[slot];
        queue->turn[slot] = GATHER_HELD;
    }
    pthread_mutex_unlock(&queue->mutex);
    return slot;
}

static void set_turn(struct gather_queue *queue, int slot, bool full)
{
    pthread_mutex_lock(&queue->mutex);
    queue->turn[slot] = full ? queue->turns++ : GATHER_FREE;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
}

void gather_queue_put(struct gather_queue *queue, int slot)
{
    set_turn(queue, slot, true);
}

void gather_queue_release(struct gather_queue *queue, int slot)
{
    set_turn(queue, slot, false);
}

static void end(struct gather_queue *queue, bool *flag)
{
    pthread_mutex_lock(&queue->mutex);
    *flag = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
}

void gather_queue_close(struct gather_queue *queue)
{
    end(queue, &queue->closed);
}

void gather_queue_abort(struct gather_queue *queue)
{
    end(queue, &queue->aborted);
}

bool gather_queue_await_close(struct gather_queue *queue, double seconds)
{
    double start = app_seconds();
    pthread_mutex_lock(&queue->mutex);
    while (!queue->closed && app_seconds() - start < seconds) wait_a_while(queue);
    bool closed = queue->closed;
    pthread_mutex_unlock(&queue->mutex);
    return closed;
}
