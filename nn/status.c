/* status.c — the context: who allocates, how many threads, which kernels, what went wrong last. */
#include "nn/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 1024 };

const char *nn_version(void)
{
    return NN_VERSION;
}

const char *nn_error(const struct nn_context *context)
{
    return context ? context->error : "out of memory";
}

enum nn_status nn_fail(struct nn_context *context, enum nn_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context->error, sizeof context->error, format, arguments);
    va_end(arguments);
    return status;
}

int nn_threads(const struct nn_context *context)
{
    return context->threads;
}

const char *nn_cpu(const struct nn_context *context)
{
    return context->cpu;
}

bool nn_bfloat16_pays(const struct nn_context *context)
{
    return nn_bf16_gain(context->cpu) != NN_BF16_SLOWER;
}

struct nn_context *nn_worker(struct nn_context *context, int thread)
{
    assert(thread >= 0 && thread < context->threads);
    return context->workers ? &context->workers[thread] : context;
}

static enum nn_status make_workers(struct nn_context *context, int threads)
{
    context->workers = nn_alloc(context, (size_t)threads, sizeof *context->workers);
    if (!context->workers) return NN_ERROR_MEMORY;
    for (int i = 0; i < threads; i++) {
        struct nn_context *worker = &context->workers[i];
        worker->memory = context->memory;
        worker->kernels = context->kernels;
        worker->cpu = context->cpu;
        worker->threads = 1;
    }
    context->threads = threads;
    if (threads == 1) return NN_OK;
    return nn_pool_new(&context->pool, context, threads, nn_online_cores());
}

enum nn_status nn_open(struct nn_context **context, const struct nn_options *options)
{
    static const struct nn_options defaults;
    if (!options) options = &defaults;
    *context = NULL;
    struct nn_allocator allocator =
        options->allocator ? *options->allocator : nn_system_allocator();
    struct nn_context *made = allocator.allocate(allocator.user, sizeof *made);
    if (!made) return NN_ERROR_MEMORY;
    memset(made, 0, sizeof *made);
    made->own_memory.allocator = allocator;
    made->memory = &made->own_memory;
    made->threads = 1;
    *context = made;

    if (options->threads < 0 || options->threads > MAX_THREADS)
        return nn_fail(made, NN_ERROR_ARGUMENT, "threads: expected 0 (one per core) to %d, got %d",
                       MAX_THREADS, options->threads);
    const char *wanted = options->cpu ? options->cpu : getenv("NN_CPU");
    enum nn_status status = nn_kernels_choose(made, wanted && *wanted ? wanted : NULL);
    if (status) return status;
    return make_workers(made, options->threads ? options->threads : nn_online_cores());
}

void nn_close(struct nn_context **context)
{
    struct nn_context *closing = *context;
    if (!closing) return;
    nn_pool_free(closing, &closing->pool);
    nn_free(closing, closing->workers);
    struct nn_allocator allocator = closing->own_memory.allocator;
    allocator.release(allocator.user, closing, sizeof *closing);
    *context = NULL;
}
