/* demo_exchange.c — frames go from hand to hand, and none waits behind another. */
#include "apps/demo.h"

#include <math.h>
#include <time.h>

void demo_exchange_open(struct demo_exchange *exchange)
{
    pthread_condattr_t attributes;
    *exchange = (struct demo_exchange){.due = INFINITY};
    pthread_mutex_init(&exchange->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&exchange->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void demo_exchange_close(struct demo_exchange *exchange)
{
    pthread_cond_destroy(&exchange->changed);
    pthread_mutex_destroy(&exchange->mutex);
}

static int find(const struct demo_exchange *exchange, enum demo_place place)
{
    for (int i = 0; i < DEMO_FRAMES; i++)
        if (exchange->place[i] == place) return i;
    return -1;
}

/* Waits for a change, but not beyond this time. */
static void wait_until(struct demo_exchange *exchange, double time)
{
    double whole;
    if (!isfinite(time)) {
        pthread_cond_wait(&exchange->changed, &exchange->mutex);
        return;
    }
    double part = modf(time, &whole);
    struct timespec until = {(time_t)whole, (long)(part * 1e9)};
    pthread_cond_timedwait(&exchange->changed, &exchange->mutex, &until);
}

static void set_place(struct demo_exchange *exchange, int frame, enum demo_place place)
{
    exchange->place[frame] = place;
    pthread_cond_broadcast(&exchange->changed);
}

int demo_to_read(struct demo_exchange *exchange)
{
    int frame = -1;
    pthread_mutex_lock(&exchange->mutex);
    while (!exchange->stopped && !exchange->look_over) {
        bool due = exchange->live || app_seconds() >= exchange->due;
        if (due && (frame = find(exchange, DEMO_FREE)) >= 0) break;
        wait_until(exchange, due ? INFINITY : exchange->due);
    }
    if (frame >= 0) {
        exchange->due = INFINITY;
        exchange->place[frame] = DEMO_HELD;
    }
    pthread_mutex_unlock(&exchange->mutex);
    return frame;
}

void demo_was_read(struct demo_exchange *exchange, int frame)
{
    pthread_mutex_lock(&exchange->mutex);
    int older = find(exchange, DEMO_UNSEEN); /* recordings: there is none, nobody asked for two */
    if (older >= 0) {
        exchange->place[older] = DEMO_FREE;
        exchange->passed_over += !exchange->paused;
    }
    set_place(exchange, frame, DEMO_UNSEEN);
    pthread_mutex_unlock(&exchange->mutex);
}

int demo_to_look(struct demo_exchange *exchange, bool *held)
{
    int frame = -1;
    pthread_mutex_lock(&exchange->mutex);
    while (!exchange->stopped) {
        if (!exchange->paused && (frame = find(exchange, DEMO_UNSEEN)) >= 0) break;
        if (exchange->read_over && find(exchange, DEMO_UNSEEN) < 0) break;
        wait_until(exchange, INFINITY);
    }
    if (frame >= 0) exchange->place[frame] = DEMO_HELD;
    *held = exchange->was_paused;
    exchange->was_paused = false;
    pthread_mutex_unlock(&exchange->mutex);
    return frame;
}

void demo_was_seen(struct demo_exchange *exchange, int frame)
{
    int older;
    pthread_mutex_lock(&exchange->mutex);
    while ((older = find(exchange, DEMO_SEEN)) >= 0 && !exchange->live && !exchange->stopped)
        wait_until(exchange, INFINITY);
    if (older >= 0) {
        exchange->place[older] = DEMO_FREE;
        exchange->unshown++;
    }
    set_place(exchange, frame, DEMO_SEEN);
    pthread_mutex_unlock(&exchange->mutex);
}

int demo_to_show(struct demo_exchange *exchange, double patience, bool *over)
{
    double until = app_seconds() + patience;
    int frame;
    pthread_mutex_lock(&exchange->mutex);
    while ((frame = find(exchange, DEMO_SEEN)) < 0 && !exchange->look_over && !exchange->stopped &&
           app_seconds() < until)
        wait_until(exchange, until);
    if (frame >= 0) exchange->place[frame] = DEMO_HELD;
    *over = frame < 0 && (exchange->look_over || exchange->stopped);
    pthread_cond_broadcast(&exchange->changed);
    pthread_mutex_unlock(&exchange->mutex);
    return frame;
}

void demo_release(struct demo_exchange *exchange, int frame)
{
    pthread_mutex_lock(&exchange->mutex);
    set_place(exchange, frame, DEMO_FREE);
    pthread_mutex_unlock(&exchange->mutex);
}

void demo_ask(struct demo_exchange *exchange, double due)
{
    pthread_mutex_lock(&exchange->mutex);
    exchange->due = due;
    pthread_cond_broadcast(&exchange->changed);
    pthread_mutex_unlock(&exchange->mutex);
}

void demo_set_live(struct demo_exchange *exchange, bool live)
{
    pthread_mutex_lock(&exchange->mutex);
    exchange->live = live;
    pthread_mutex_unlock(&exchange->mutex);
}

void demo_pause(struct demo_exchange *exchange, bool paused)
{
    pthread_mutex_lock(&exchange->mutex);
    exchange->paused = paused;
    exchange->was_paused |= paused;
    pthread_cond_broadcast(&exchange->changed);
    pthread_mutex_unlock(&exchange->mutex);
}

void demo_over(struct demo_exchange *exchange, enum demo_end which)
{
    pthread_mutex_lock(&exchange->mutex);
    bool *flags[] = {&exchange->read_over, &exchange->look_over, &exchange->load_over,
                     &exchange->stopped};
    *flags[which] = true;
    pthread_cond_broadcast(&exchange->changed);
    pthread_mutex_unlock(&exchange->mutex);
}

bool demo_await_reader(struct demo_exchange *exchange, double seconds)
{
    double until = app_seconds() + seconds;
    pthread_mutex_lock(&exchange->mutex);
    while (!exchange->read_over && app_seconds() < until) wait_until(exchange, until);
    bool over = exchange->read_over;
    pthread_mutex_unlock(&exchange->mutex);
    return over;
}

bool demo_is_loaded(struct demo_exchange *exchange, bool wait)
{
    pthread_mutex_lock(&exchange->mutex);
    while (wait && !exchange->load_over && !exchange->stopped) wait_until(exchange, INFINITY);
    bool loaded = exchange->load_over;
    pthread_mutex_unlock(&exchange->mutex);
    return loaded;
}
