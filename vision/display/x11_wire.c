/*
 * x11_wire.c — requests to an X server, and what comes back. Nothing waits longer than x->patience.
 */
#include "vision/display/x11.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    BUFFER = 4096,
    MAX_PACKET = 512 << 10, /* the largest answer that is asked for has a quarter of a megabyte */
    MAX_FIXED = 64          /* bytes of a request before its data */
};

enum nn_status vi_x11_lost(struct vi_x11 *x, const char *why, int code)
{
    if (x->socket >= 0) close(x->socket);
    x->socket = -1;
    x->lost = why;
    x->lost_code = code;
    return nn_fail(x->context, NN_ERROR_IO, "the X server %s %s%s%s", x->name, why,
                   code ? ": " : "", code ? strerror(code) : "");
}

/* Waits until the socket is ready for it, at most until then. False: it is not. */
static bool wait_for(struct vi_x11 *x, short what, double until)
{
    for (;;) {
        struct pollfd end = {x->socket, what, 0};
        double left = until - vi_clock();
        int ready = poll(&end, 1, left > 0 ? (int)(left * 1e3) + 1 : 0);
        if (ready > 0) return true;
        if (left <= 0 || (ready < 0 && errno != EINTR)) return false;
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

static enum nn_status send_parts(struct vi_x11 *x, struct iovec *parts, int count)
{
    if (x->socket < 0) return vi_x11_lost(x, x->lost, x->lost_code);
    double until = vi_clock() + x->patience * 1e-3;
    while (count) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t sent = sendmsg(x->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            return vi_x11_lost(x, "is gone", errno);
        if (sent < 0 && !wait_for(x, POLLOUT, until))
            return vi_x11_lost(x, "takes nothing any more", 0);
        if (sent > 0) until = vi_clock() + x->patience * 1e-3;
        for (size_t done = sent > 0 ? (size_t)sent : 0; count; parts++, count--) {
            if (done < parts->iov_len) {
                parts->iov_base = (char *)parts->iov_base + done;
                parts->iov_len -= done;
                break;
            }
            done -= parts->iov_len;
        }
    }
    return NN_OK;
}

enum nn_status vi_x11_send(struct vi_x11 *x, const void *bytes, size_t size)
{
    struct iovec part = {(void *)bytes, size};
    return send_parts(x, &part, 1);
}

enum nn_status vi_x11_request(struct vi_x11 *x, const char *layout, ...)
{
    static const uint8_t zeros[3];
    uint8_t fixed[4 + MAX_FIXED]; /* four bytes in front stay free for a long length */
    size_t size = 4;
    struct iovec parts[3] = {{fixed + 4, 0}, {NULL, 0}, {(void *)zeros, 0}};
    va_list arguments;
    va_start(arguments, layout);
    for (; *layout; layout++) {
        uint32_t value = strchr("124", *layout) ? va_arg(arguments, uint32_t) : 0;
        uint16_t half = (uint16_t)value;
        assert(size + 4 <= sizeof fixed);
        if (*layout == '1') fixed[size++] = (uint8_t)value;
        if (*layout == '2' || *layout == 'n') memcpy(fixed + size, &half, 2), size += 2;
        if (*layout == '4') memcpy(fixed + size, &value, 4), size += 4;
        if (*layout == 'd') {
            parts[1].iov_base = (void *)va_arg(arguments, const void *);
            parts[1].iov_len = va_arg(arguments, size_t);
        }
    }
    va_end(arguments);
    parts[0].iov_len = size - 4;
    parts[2].iov_len = -parts[1].iov_len & 3;
    size_t words = (size - 4 + parts[1].iov_len + parts[2].iov_len) / 4;
    assert((size & 3) == 0 && words * 4 <= x->max_request);
    if (words <= 65535) {
        uint16_t length = (uint16_t)words;
        memcpy(fixed + 6, &length, 2);
    } else { /* BIG-REQUESTS: 0, and the length in a word of its own */
        uint32_t length = (uint32_t)words + 1;
        memmove(fixed, fixed + 4, 4);
        memcpy(fixed + 4, &length, 4);
        parts[0] = (struct iovec){fixed, size};
    }
    x->sequence++;
    return send_parts(x, parts, 3);
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* Room for `size` bytes from x->at on. */
static enum nn_status make_room(struct vi_x11 *x, size_t size)
{
    size_t there = x->size - x->at;
    if (x->at) memmove(x->in, x->in + x->at, there);
    x->at = 0;
    x->size = there;
    if (size <= x->capacity) return NN_OK;
    if (size < BUFFER) size = BUFFER;
    uint8_t *more = nn_realloc(x->context, x->in, size, 1);
    if (!more) return NN_ERROR_MEMORY;
    x->in = more;
    x->capacity = size;
    return NN_OK;
}

enum nn_status vi_x11_peek(struct vi_x11 *x, const uint8_t **bytes, size_t size, double until)
{
    *bytes = NULL;
    if (x->socket < 0) return vi_x11_lost(x, x->lost, x->lost_code);
    if (size > MAX_PACKET) return vi_x11_lost(x, "sends what makes no sense", 0);
    while (x->size - x->at < size) {
        enum nn_status status = make_room(x, size);
        if (status) return status;
        ssize_t got = recv(x->socket, x->in + x->size, x->capacity - x->size, MSG_DONTWAIT);
        if (got > 0) x->size += (size_t)got;
        if (got == 0) return vi_x11_lost(x, "has closed the connection", 0);
        if (got >= 0 || errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) return vi_x11_lost(x, "is gone", errno);
        if (!wait_for(x, POLLIN, until)) return NN_OK;
    }
    *bytes = x->in + x->at;
    return NN_OK;
}

void vi_x11_take(struct vi_x11 *x, size_t size)
{
    assert(size <= x->size - x->at);
    x->at += size;
}

enum nn_status vi_x11_packet(struct vi_x11 *x, const uint8_t **packet, size_t *size, double until)
{
    enum { REPLY = 1, GENERIC_EVENT = 35 };
    *packet = NULL;
    if (x->socket < 0) return vi_x11_lost(x, x->lost, x->lost_code);
    vi_x11_take(x, x->taken);
    x->taken = 0;
    const uint8_t *bytes;
    enum nn_status status = vi_x11_peek(x, &bytes, 32, until);
    if (status || !bytes) return status;
    *size = 32;
    if (bytes[0] == REPLY || (bytes[0] & 0x7f) == GENERIC_EVENT) {
        uint32_t words = vi_x11_32(bytes + 4);
        *size += words < MAX_PACKET ? (size_t)words * 4 : MAX_PACKET;
        status = vi_x11_peek(x, &bytes, *size, until);
        if (status || !bytes) return status;
    }
    *packet = bytes;
    x->taken = *size;
    return NN_OK;
}

enum nn_status vi_x11_reply(struct vi_x11 *x, const uint8_t **reply, size_t *size)
{
    double until = vi_clock() + x->patience * 1e-3;
    do {
        enum nn_status status = vi_x11_packet(x, reply, size, until);
        if (status) return status;
        if (!*reply) break;
        const uint8_t *packet = *reply;
        if (packet[0] <= 1 && vi_x11_16(packet + 2) == x->sequence) {
            x->refused = packet[0] ? 0 : packet[1];
            if (packet[0] == 0) *reply = NULL;
            return NN_OK;
        }
        vi_x11_event(x, packet);
    } while (vi_clock() < until); /* events may come forever */
    return vi_x11_lost(x, "does not answer", 0);
}

enum nn_status vi_x11_extension(struct vi_x11 *x, const char *name, uint8_t *opcode, uint8_t *event)
{
    const uint8_t *reply = NULL;
    size_t size = strlen(name), got;
    *opcode = *event = 0;
    enum nn_status status = vi_x11_request(x, "11n22d", X_QUERY_EXTENSION, 0, (uint32_t)size, 0,
                                           (const void *)name, size);
    if (!status) status = vi_x11_reply(x, &reply, &got);
    if (status || !reply || !reply[8] || reply[9] < 128) return status;
    *opcode = reply[9];
    *event = reply[10];
    return NN_OK;
}
