/*
 * demo_memory.c — an allocator that keeps what it is given back.
 *
 * Blocks are rounded up to one of a few sizes, eight to each power of two, and wait in a list per
 * size. A released block is large enough to hold the list's link.
 */
#include "apps/demo.h"

#include <stdlib.h>

enum { SHIFT = 3, STEPS = 1 << SHIFT, CLASSES = 64 * STEPS, LEAST = 64 };

struct link {
    struct link *next;
};
struct demo_memory {
    struct nn_allocator below, self;
    pthread_mutex_t mutex;
    struct link *kept[CLASSES];
};

/* The list for so many bytes, and how many bytes its blocks have. */
static int class_of(size_t bytes, size_t *size)
{
    if (bytes < LEAST) bytes = LEAST;
    int power = 0;
    while (bytes >> power >= 2 * STEPS) power++;
    size_t step = (size_t)1 << power, steps = (bytes + step - 1) >> power;
    *size = steps << power;
    return *size >= bytes ? power * STEPS + (int)(steps - STEPS) : -1;
}

static void *allocate(void *user, size_t bytes)
{
    struct demo_memory *memory = user;
    size_t size;
    int class = class_of(bytes, &size);
    if (class < 0 || class >= CLASSES) return NULL;
    pthread_mutex_lock(&memory->mutex);
    struct link *block = memory->kept[class];
    if (block) memory->kept[class] = block->next;
    pthread_mutex_unlock(&memory->mutex);
    return block ? (void *)block : memory->below.allocate(memory->below.user, size);
}

static void release(void *user, void *block, size_t bytes)
{
    struct demo_memory *memory = user;
    struct link *link = block;
    size_t size;
    int class = class_of(bytes, &size);
    pthread_mutex_lock(&memory->mutex);
    link->next = memory->kept[class];
    memory->kept[class] = link;
    pthread_mutex_unlock(&memory->mutex);
}

static void *system_allocate(void *user, size_t bytes)
{
    void *memory = NULL;
    (void)user;
    return posix_memalign(&memory, LEAST, bytes) ? NULL : memory;
}

static void system_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

struct demo_memory *demo_memory_new(const struct nn_allocator *below)
{
    struct nn_allocator used = {system_allocate, system_release, NULL};
    if (below) used = *below;
    struct demo_memory *memory = used.allocate(used.user, sizeof *memory);
    if (!memory) return NULL;
    *memory = (struct demo_memory){.below = used, .self = {allocate, release, memory}};
    pthread_mutex_init(&memory->mutex, NULL);
    return memory;
}

const struct nn_allocator *demo_memory_allocator(const struct demo_memory *memory)
{
    return &memory->self;
}

void demo_memory_free(struct demo_memory *memory)
{
    if (!memory) return;
    for (int class = 0; class < CLASSES; class ++) {
        size_t size = (size_t)(STEPS + class % STEPS) << (class / STEPS);
        for (struct link *next, *link = memory->kept[class]; link; link = next) {
            next = link->next;
            memory->below.release(memory->below.user, link, size);
        }
    }
    pthread_mutex_destroy(&memory->mutex);
    struct nn_allocator below = memory->below;
    below.release(below.user, memory, sizeof *memory);
}
