/*
 * x11.c — libFuzzer harness of what an X server says: the bytes come through a socket, then its
 * end. The first byte chooses how: shared memory or not.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/x11.c libvision.a libnn.a
 */
#include "tests/x11_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void say(int end, const uint8_t **bytes, size_t *size, size_t part)
{
    if (part > *size) part = *size;
    send(end, *bytes, part, MSG_NOSIGNAL); /* the display may have hung up */
    *bytes += part;
    *size -= part;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint8_t pixels[23 * 17 * 3];
    const struct vi_image picture = {(uint8_t *)pixels, 23, 17, 3, 23 * 3};
    struct nn_context *context;
    struct vi_display *display;
    struct vi_event event;
    int ends[2];
    if (size < 3 || size > 60000) return 0;
    if (nn_open(&context, &(struct nn_options){.threads = 1})) abort();
    size_t before = nn_bytes_allocated(context);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
    bool local = bytes[0] & 1;
    size_t first = (size_t)(bytes[1] << 8 | bytes[2]);
    bytes += 3;
    size -= 3;
    say(ends[0], &bytes, &size, first);
    server_link.patience = 0;
    server_link.max_pixels = 4096;
    server_link.local = local;
    enum nn_status status = server_display(&display, context, ends[1], 23, 17);
    if (!status != !!display) abort();
    for (int i = 0; i < 40 && !status; i++) {
        if (i < 6 || i == 20) status = vi_display_show(display, &picture);
        say(ends[0], &bytes, &size, 32);
        if (i == 38) shutdown(ends[0], SHUT_WR);
        if (status) break;
        status = vi_display_poll(display, &event);
        if (event.kind == VI_EVENT_KEY && (event.key < 1 || event.key > 0x10ffff)) abort();
    }
    vi_display_close(&display);
    close(ends[0]);
    if (nn_bytes_allocated(context) != before) abort();
    nn_close(&context);
    return 0;
}
