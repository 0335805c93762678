/*
 * stb.c — the only place that knows stb_image and stb_image_write (Sean Barrett, public domain).
 *
 * They allocate with functions that take no context, so the context of the call in progress is
 * kept in a thread-local variable, set before each call and cleared after it. It also holds the
 * most that one allocation may ask for, because a small PNG can inflate to gigabytes, and the
 * blocks in use, because stb loses some of them when another allocation fails.
 */
#include "vision/codec/codec.h"

#include <limits.h>
#include <string.h>

enum { MAX_BLOCKS = 32 }; /* a progressive JPEG of four components uses 14 */

static __thread struct {
    struct nn_context *context;
    size_t limit;
    bool refused; /* memory ran out, or the limit was hit */
    void *blocks[MAX_BLOCKS];
    struct vi_scratch *scratch; /* NULL: none is kept */
} call;

/* The slot of a block; of NULL: one that is free. NULL if there is none. */
static void **slot_of(const void *memory)
{
    for (int i = 0; i < MAX_BLOCKS; i++)
        if (call.blocks[i] == memory) return &call.blocks[i];
    return NULL;
}

void vi_scratch_keep(struct vi_scratch *scratch, struct nn_context *context, void *memory)
{
    for (int i = 0; i < VI_MAX_KEPT && memory; i++) {
        if (scratch->blocks[i]) continue;
        scratch->blocks[i] = memory;
        scratch->fresh[i] = true;
        return;
    }
    nn_free(context, memory);
}

void vi_scratch_free(struct vi_scratch *scratch, struct nn_context *context)
{
    for (int i = 0; i < VI_MAX_KEPT; i++) nn_free(context, scratch->blocks[i]);
    *scratch = (struct vi_scratch){0};
}

/* A kept block of this size, all zero as a new one; NULL: there is none. */
static void *kept_block(size_t size)
{
    for (int i = 0; call.scratch && i < VI_MAX_KEPT; i++) {
        void *memory = call.scratch->blocks[i];
        if (!memory || nn_block_size(memory) != size) continue;
        call.scratch->blocks[i] = NULL;
        return memset(memory, 0, size);
    }
    return NULL;
}

static void *call_realloc(void *memory, size_t size)
{
    void *grown = NULL, **slot = slot_of(memory);
    if (slot && size <= call.limit) {
        if (!memory) grown = kept_block(size);
        if (!grown) grown = nn_realloc(call.context, memory, size, 1);
    }
    if (grown)
        *slot = grown;
    else
        call.refused = true;
    return grown;
}

static void call_free(void *memory)
{
    void **slot = memory ? slot_of(memory) : NULL;
    if (slot) *slot = NULL;
    if (call.scratch)
        vi_scratch_keep(call.scratch, call.context, memory);
    else
        nn_free(call.context, memory);
}

static unsigned char *call_deflate(unsigned char *data, int size, int *out_size, int quality)
{
    (void)quality;
    size_t made = 0;
    uint8_t *bytes = vi_deflate(call.context, data, (size_t)size, &made);
    void **slot = slot_of(NULL);
    if (bytes && slot && made <= INT_MAX / 2) {
        *slot = bytes;
        *out_size = (int)made;
        return bytes;
    }
    nn_free(call.context, bytes);
    call.refused = true;
    return NULL;
}

#define STBI_MALLOC(size)           call_realloc(NULL, size)
#define STBI_REALLOC(memory, size)  call_realloc(memory, size)
#define STBI_FREE(memory)           call_free(memory)
#define STBI_ASSERT(condition)      ((void)0) /* a hostile file must not end the program */
#define STBIW_MALLOC(size)          call_realloc(NULL, (size_t)(size))
#define STBIW_REALLOC(memory, size) call_realloc(memory, (size_t)(size))
#define STBIW_FREE(memory)          call_free(memory)
#define STBIW_ASSERT(condition)     ((void)0)
/* stb's own compressor does not survive a failed allocation. */
#define STBIW_ZLIB_COMPRESS call_deflate
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO

/* Only stb's own warnings are silenced. gcc looks for unused functions at the end of the file, so
 * that this one cannot be restored. */
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#elif defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wmisleading-indentation"
#endif
#if defined(__has_include)
#if __has_include(<stb/stb_image.h>)
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#else
#include <stb_image.h>
#include <stb_image_write.h>
#endif
#else
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#endif
#if defined(__clang__)
#pragma clang diagnostic pop
#elif defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static void begin(struct nn_context *context, size_t limit)
{
    call.context = context;
    call.limit = limit;
    call.refused = false;
    call.scratch = NULL;
}

/* Ends a call, of which only `result` stays allocated; did it run into the limit or out of
 * memory? */
static bool end(const void *result)
{
    for (int i = 0; i < MAX_BLOCKS; i++) {
        if (call.blocks[i] != result) nn_free(call.context, call.blocks[i]);
        call.blocks[i] = NULL;
    }
    for (int i = 0; call.scratch && i < VI_MAX_KEPT; i++) {
        if (call.scratch->fresh[i]) continue;
        nn_free(call.context, call.scratch->blocks[i]);
        call.scratch->blocks[i] = NULL;
    }
    call.scratch = NULL;
    call.context = NULL;
    call.limit = 0;
    return call.refused;
}

/* The largest block a decoder needs: 16-bit RGBA with a filter byte per row, or a progressive
 * JPEG's coefficients rounded up to whole blocks of the coarsest sampling (4 x 8 pixels each way);
 * twice that, because buffers grow by doubling; and twice the file. */
static size_t decode_limit(const struct vi_source *source, const struct vi_header *header)
{
    double width = (double)header->width + 64, height = (double)header->height + 64;
    double limit = 2 * 8 * width * height + 2 * (double)source->size + 65536;
    return limit < (double)(SIZE_MAX / 2) ? (size_t)limit : SIZE_MAX / 2;
}

enum nn_status vi_stb_decode(uint8_t **pixels, const struct vi_source *source,
                             const struct vi_header *header, int channels)
{
    int width = 0, height = 0, stored = 0;
    *pixels = NULL;
    if (source->size > INT_MAX / 2)
        return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                              "the file has %zu bytes, at most %d "
                              "can be decoded",
                              source->size, INT_MAX / 2);
    begin(source->context, decode_limit(source, header));
    call.scratch = source->scratch;
    for (int i = 0; call.scratch && i < VI_MAX_KEPT; i++) call.scratch->fresh[i] = false;
    uint8_t *made =
        stbi_load_from_memory(source->bytes, (int)source->size, &width, &height, &stored, channels);
    bool refused = end(made);
    if (made && width == header->width && height == header->height) {
        *pixels = made;
        return NN_OK;
    }
    nn_free(source->context, made);
    if (refused)
        return vi_source_fail(source, NN_ERROR_MEMORY, "not enough memory to decode %dx%d pixels",
                              header->width, header->height);
    const char *reason = made ? "its header changes" : stbi_failure_reason();
    return vi_source_fail(source, NN_ERROR_FORMAT, "damaged %s: %s",
                          strcmp(header->format, "png") == 0 ? "PNG" : "JPEG",
                          reason ? reason : "it cannot be decoded");
}

enum nn_status vi_inflate(struct nn_context *context, void *to, size_t to_size, const void *from,
                          size_t from_size, const char *name)
{
    struct vi_source source = {context, from, from_size, name, NULL};
    if (to_size > INT_MAX / 2 || from_size > INT_MAX / 2)
        return vi_source_fail(&source, NN_ERROR_UNSUPPORTED,
                              "%zu bytes are too many to be decompressed",
                              to_size > from_size ? to_size : from_size);
    /* stb_image 2.27 takes the last two bytes for missing unless more follow, as in a zlib stream
     * its checksum does. */
    uint8_t *padded = nn_alloc(context, from_size + 4, 1);
    if (!padded) return NN_ERROR_MEMORY;
    if (from_size) memcpy(padded, from, from_size);
    uint8_t nothing[1]; /* an empty file is a block of no bytes, but no null pointer */
    begin(context, 0);
    int made = stbi_zlib_decode_noheader_buffer(to_size ? to : (void *)nothing, (int)to_size,
                                                (const char *)padded, (int)from_size + 4);
    end(NULL);
    nn_free(context, padded);
    if (made >= 0 && (size_t)made == to_size) return NN_OK;
    if (made >= 0)
        return vi_source_fail(&source, NN_ERROR_FORMAT,
                              "damaged: it decompresses to %d bytes, expected %zu", made, to_size);
    const char *reason = stbi_failure_reason();
    return vi_source_fail(&source, NN_ERROR_FORMAT, "damaged: cannot be decompressed (%s)",
                          reason ? reason : "no reason given");
}

enum nn_status vi_stb_encode_png(void **bytes, size_t *size, const struct vi_image *image,
                                 struct nn_context *context)
{
    int made = 0;
    begin(context, SIZE_MAX);
    *bytes = stbi_write_png_to_mem(image->pixels, (int)image->stride, image->width, image->height,
                                   image->channels, &made);
    end(*bytes);
    *size = (size_t)made;
    if (*bytes) return NN_OK;
    return nn_fail(context, NN_ERROR_MEMORY, "not enough memory to write %dx%d pixels as PNG",
                   image->width, image->height);
}
