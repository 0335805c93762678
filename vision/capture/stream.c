/*
 * stream.c — bytes of a file, a pipe or standard input, in order, with a look ahead.
 *
 * Only regular files can be sought in and have a size; everything else is read once. Offsets count
 * from where the stream was opened, and have 64 bits everywhere.
 */
#define _FILE_OFFSET_BITS 64
#include "vision/capture/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 65536 };

struct vi_stream {
    struct nn_context *context;
    int file;
    bool seekable, ended; /* ended: read() said so */
    uint64_t base;        /* the descriptor's position when it became a stream */
    uint64_t position;    /* of the descriptor, from base: what is buffered lies before it */
    size_t at, filled;    /* bytes [at, filled) of the buffer are there and not taken */
    enum nn_status status;
    char name[NN_QUOTED];
    uint8_t buffer[BUFFER];
};

static enum nn_status fail_errno(struct nn_context *context, const char *verb, const char *quoted,
                                 int number)
{
    char reason[128];
    if (strerror_r(number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", number);
    enum nn_status status = number == ENOMEM ? NN_ERROR_MEMORY : NN_ERROR_IO;
    return nn_fail(context, status, "cannot %s %s: %s", verb, quoted, reason);
}

enum nn_status vi_stream_from(struct vi_stream **stream, struct nn_context *context, int descriptor,
                              const char *name)
{
    struct stat info;
    char quoted[NN_QUOTED];
    enum nn_status status = NN_ERROR_MEMORY;
    nn_quote(quoted, name);
    if (strcmp(name, "-") == 0) snprintf(quoted, sizeof quoted, "standard input");
    struct vi_stream *made = nn_alloc(context, 1, sizeof *made);
    *stream = made;
    if (!made) goto fail;
    if (fstat(descriptor, &info) != 0) {
        status = fail_errno(context, "examine", quoted, errno);
        goto fail;
    }
    if (S_ISDIR(info.st_mode)) {
        status = fail_errno(context, "read", quoted, EISDIR);
        goto fail;
    }
    off_t base = S_ISREG(info.st_mode) ? lseek(descriptor, 0, SEEK_CUR) : -1;
    made->context = context;
    made->file = descriptor;
    made->seekable = base >= 0;
    made->base = base >= 0 ? (uint64_t)base : 0;
    memcpy(made->name, quoted, sizeof quoted);
    return NN_OK;
fail:
    nn_free(context, made);
    *stream = NULL;
    if (descriptor != STDIN_FILENO) close(descriptor);
    return status;
}

enum nn_status vi_stream_open(struct vi_stream **stream, struct nn_context *context,
                              const char *path)
{
    char quoted[NN_QUOTED];
    bool input = strcmp(path, "-") == 0;
    *stream = NULL;
    /* A named pipe without a writer is waited for: whoever names one wants that. */
    int file = input ? STDIN_FILENO : open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    while (file < 0 && errno == EINTR) file = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (file < 0) return fail_errno(context, "open", nn_quote(quoted, path), errno);
    return vi_stream_from(stream, context, file, path);
}

void vi_stream_close(struct vi_stream **stream)
{
    if (!*stream) return;
    if ((*stream)->file != STDIN_FILENO) close((*stream)->file);
    nn_free((*stream)->context, *stream);
    *stream = NULL;
}

/* One read(): at least a byte, or 0 at the end and on errors, which stick. */
static size_t read_some(struct vi_stream *stream, uint8_t *to, size_t size)
{
    while (!stream->ended && !stream->status && size) {
        ssize_t got = read(stream->file, to, size);
        if (got > 0) {
            stream->position += (uint64_t)got;
            return (size_t)got;
        }
        if (got == 0) {
            stream->ended = true;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            /* Someone else made our standard input not wait. */
            poll(&(struct pollfd){.fd = stream->file, .events = POLLIN}, 1, -1);
        } else if (errno != EINTR) {
            stream->status = fail_errno(stream->context, "read", stream->name, errno);
        }
    }
    return 0;
}

const uint8_t *vi_stream_peek(struct vi_stream *stream, size_t least, size_t *size)
{
    /* What was taken is kept as long as there is room, for vi_stream_rewind. */
    if (stream->at + least > BUFFER || stream->at == BUFFER) {
        memmove(stream->buffer, stream->buffer + stream->at, stream->filled - stream->at);
        stream->filled -= stream->at;
        stream->at = 0;
    }
    while (stream->filled - stream->at < least && stream->filled < BUFFER) {
        size_t got = read_some(stream, stream->buffer + stream->filled, BUFFER - stream->filled);
        if (got == 0) break;
        stream->filled += got;
    }
    *size = stream->filled - stream->at;
    return stream->buffer + stream->at;
}

const uint8_t *vi_stream_head(struct vi_stream *stream, size_t *size)
{
    const uint8_t *head = vi_stream_peek(stream, VI_HEAD, size);
    if (*size > VI_HEAD) *size = VI_HEAD;
    return head;
}

size_t vi_stream_read(struct vi_stream *stream, void *to, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t left = size - done, buffered = 0;
        uint8_t *at = (uint8_t *)to + done;
        /* What is larger than the buffer need not pass through it. */
        if (stream->at == stream->filled && left >= BUFFER) {
            stream->at = stream->filled = 0;
            buffered = read_some(stream, at, left);
            if (!buffered) break;
        } else {
            const uint8_t *bytes = vi_stream_peek(stream, 1, &buffered);
            if (!buffered) break;
            if (buffered > left) buffered = left;
            memcpy(at, bytes, buffered);
            stream->at += buffered;
        }
        done += buffered;
    }
    return done;
}

bool vi_stream_skip(struct vi_stream *stream, uint64_t size)
{
    size_t buffered = stream->filled - stream->at;
    if (stream->seekable && size > buffered && size - buffered > BUFFER) {
        uint64_t at = vi_stream_tell(stream), end = vi_stream_size(stream);
        uint64_t left = end > at ? end - at : 0;
        return vi_stream_seek(stream, at + (size < left ? size : left)) && size <= left;
    }
    while (size) {
        vi_stream_peek(stream, 1, &buffered);
        if (!buffered) return false;
        if (buffered > size) buffered = (size_t)size;
        stream->at += buffered;
        size -= buffered;
    }
    return true;
}

/* Small steps back and forth stay in the buffer. */
static bool seek_buffered(struct vi_stream *stream, uint64_t offset)
{
    uint64_t first = stream->position - stream->filled;
    if (offset < first || offset > stream->position) return false;
    stream->at = (size_t)(offset - first);
    return true;
}

bool vi_stream_seek(struct vi_stream *stream, uint64_t offset)
{
    if (!stream->seekable || stream->status || offset > INT64_MAX - stream->base) return false;
    if (seek_buffered(stream, offset)) return true;
    off_t target = (off_t)(stream->base + offset);
    if (target < 0 || (uint64_t)target != stream->base + offset) return false;
    if (lseek(stream->file, target, SEEK_SET) != target) {
        stream->status = fail_errno(stream->context, "seek in", stream->name, errno);
        return false;
    }
    stream->position = offset;
    stream->at = stream->filled = 0;
    stream->ended = false;
    return true;
}

bool vi_stream_rewind(struct vi_stream *stream)
{
    return seek_buffered(stream, 0) || vi_stream_seek(stream, 0);
}

bool vi_stream_seekable(const struct vi_stream *stream)
{
    return stream->seekable;
}

/* Asked anew each time: a recording may still be growing. */
uint64_t vi_stream_size(const struct vi_stream *stream)
{
    struct stat info;
    if (!stream->seekable || fstat(stream->file, &info) != 0) return UINT64_MAX;
    uint64_t size = info.st_size > 0 ? (uint64_t)info.st_size : 0;
    return size > stream->base ? size - stream->base : 0;
}

uint64_t vi_stream_tell(const struct vi_stream *stream)
{
    return stream->position - (stream->filled - stream->at);
}

int vi_stream_descriptor(const struct vi_stream *stream)
{
    return stream->file;
}

enum nn_status vi_stream_status(const struct vi_stream *stream)
{
    return stream->status;
}

const char *vi_stream_name(const struct vi_stream *stream)
{
    return stream->name;
}

/* ---- bytes taken out of a stream ------------------------------------------------------------- */

enum nn_status vi_bytes_append(struct vi_bytes *bytes, struct nn_context *context, const void *from,
                               size_t size)
{
    if (size > bytes->capacity - bytes->size) {
        if (size > SIZE_MAX / 2 - bytes->size)
            return nn_fail(context, NN_ERROR_MEMORY, "too many bytes");
        size_t capacity = bytes->capacity < BUFFER ? BUFFER : 2 * bytes->capacity;
        if (capacity < bytes->size + size) capacity = bytes->size + size;
        uint8_t *grown = nn_realloc(context, bytes->data, capacity, 1);
        if (!grown) return NN_ERROR_MEMORY;
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    if (from && size) memcpy(bytes->data + bytes->size, from, size);
    bytes->size += size;
    return NN_OK;
}

enum nn_status vi_bytes_read(struct vi_bytes *bytes, struct vi_stream *stream, size_t size)
{
    while (size) {
        /* At most twice what has come: a size that lies costs no memory. */
        size_t part = bytes->size < BUFFER ? BUFFER : bytes->size, before = bytes->size;
        if (part > size) part = size;
        enum nn_status status = vi_bytes_append(bytes, stream->context, NULL, part);
        if (status) return status;
        size_t got = vi_stream_read(stream, bytes->data + before, part);
        bytes->size = before + got;
        if (got < part) return stream->status;
        size -= part;
    }
    return NN_OK;
}

void vi_bytes_free(struct vi_bytes *bytes, struct nn_context *context)
{
    nn_free(context, bytes->data);
    *bytes = (struct vi_bytes){0};
}
