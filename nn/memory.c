/*
 * memory.c — every byte of the engine comes through here, so that a test can count, poison, or
 * fail any allocation.
 *
 * A block is preceded by one cache line that holds its size: what the caller gets stays aligned
 * to 64 bytes, one AVX-512 register or one cache line.
 */
#define _DEFAULT_SOURCE /* madvise */
#include "nn/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGNMENT = 64, HEADER = 64 };
/* Blocks from `LARGE` bytes on would rather lie in a few huge pages: fewer address translations. */
enum { LARGE = 2 << 20, HUGE_PAGE = 2 << 20 };

static void *system_allocate(void *user, size_t bytes)
{
    (void)user;
    void *memory = NULL;
    if (posix_memalign(&memory, bytes >= LARGE ? HUGE_PAGE : ALIGNMENT, bytes)) return NULL;
#if defined(MADV_HUGEPAGE)
    if (bytes >= LARGE) (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

static void system_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

struct nn_allocator nn_system_allocator(void)
{
    return (struct nn_allocator){system_allocate, system_release, NULL};
}

static size_t *header_of(void *memory)
{
    return (size_t *)(void *)((char *)memory - HEADER);
}

/* Workers allocate at the same time, so the counters are updated atomically; the peak may miss a
 * higher value of the same instant, never a lasting one. */
static void count(struct nn_memory *memory, size_t bytes)
{
    size_t now = __atomic_add_fetch(&memory->bytes, bytes, __ATOMIC_RELAXED);
    __atomic_add_fetch(&memory->calls, 1, __ATOMIC_RELAXED);
    size_t peak = __atomic_load_n(&memory->peak, __ATOMIC_RELAXED);
    while (now > peak && !__atomic_compare_exchange_n(&memory->peak, &peak, now, false,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

void *nn_alloc_unset(struct nn_context *context, size_t items, size_t size)
{
    struct nn_memory *memory = context->memory;
    size_t bytes, total;
    if (!nn_size_multiply(&bytes, items, size) || !nn_size_add(&total, bytes, HEADER)) {
        nn_fail(context, NN_ERROR_MEMORY, "out of memory: %zu items of %zu bytes", items, size);
        return NULL;
    }
    char *block = memory->allocator.allocate(memory->allocator.user, total);
    if (!block) {
        nn_fail(context, NN_ERROR_MEMORY, "out of memory: %zu bytes were wanted, %zu are in use",
                bytes, nn_bytes_allocated(context));
        return NULL;
    }
    memcpy(block, &bytes, sizeof bytes);
    count(memory, bytes);
    return block + HEADER;
}

void *nn_alloc(struct nn_context *context, size_t items, size_t size)
{
    void *memory = nn_alloc_unset(context, items, size);
    if (memory) memset(memory, 0, items * size);
    return memory;
}

void *nn_realloc(struct nn_context *context, void *memory, size_t items, size_t size)
{
    void *grown = nn_alloc(context, items, size);
    if (!grown || !memory) return grown;
    size_t before = *header_of(memory), after = *header_of(grown);
    memcpy(grown, memory, before < after ? before : after);
    nn_free(context, memory);
    return grown;
}

void nn_free(struct nn_context *context, void *memory)
{
    if (!memory) return;
    size_t bytes = *header_of(memory);
    struct nn_allocator *allocator = &context->memory->allocator;
    __atomic_sub_fetch(&context->memory->bytes, bytes, __ATOMIC_RELAXED);
    allocator->release(allocator->user, header_of(memory), bytes + HEADER);
}

size_t nn_block_size(const void *memory)
{
    size_t bytes;
    memcpy(&bytes, (const char *)memory - HEADER, sizeof bytes);
    return bytes;
}

char *nn_strdup(struct nn_context *context, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = nn_alloc(context, size, 1);
    if (copy) memcpy(copy, text, size);
    return copy;
}

size_t nn_bytes_allocated(const struct nn_context *context)
{
    return __atomic_load_n(&context->memory->bytes, __ATOMIC_RELAXED);
}

size_t nn_bytes_peak(const struct nn_context *context)
{
    return __atomic_load_n(&context->memory->peak, __ATOMIC_RELAXED);
}

size_t nn_allocations(const struct nn_context *context)
{
    return __atomic_load_n(&context->memory->calls, __ATOMIC_RELAXED);
}

void nn_give_back(void *from, size_t bytes)
{
#if defined(MADV_DONTNEED)
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0) return;
    size_t mask = (size_t)page - 1, begin = ((uintptr_t)from + mask) & ~mask;
    size_t end = ((uintptr_t)from + bytes) & ~mask;
    if (end > begin)
        (void)madvise((char *)from + (begin - (uintptr_t)from), end - begin, MADV_DONTNEED);
#else
    (void)from;
    (void)bytes;
#endif
}
