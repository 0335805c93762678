/*
 * x11_auth.c — the Xauthority file: who may talk to which X server.
 *
 * Entries, numbers in network byte order: family (2 bytes), then four strings, each with its size
 * (2 bytes) before it: address, display number, name of the method, data (Xau(3), Xsecurity(7)).
 */
#include "vision/display/x11.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 20 };

struct span {
    const uint8_t *bytes;
    size_t size;
};

/* Takes a number of two bytes, and as many bytes. */
static bool take(struct span *file, struct span *string)
{
    if (file->size < 2) return false;
    size_t size = (size_t)(file->bytes[0] << 8 | file->bytes[1]);
    if (file->size - 2 < size) return false;
    *string = (struct span){file->bytes + 2, size};
    file->bytes += 2 + size;
    file->size -= 2 + size;
    return true;
}

static bool equal(struct span span, const void *bytes, size_t size)
{
    return span.size == size && (size == 0 || memcmp(span.bytes, bytes, size) == 0);
}

bool vi_x11_find_cookie(struct vi_x11_cookie *cookie, const uint8_t *file, size_t size,
                        const struct vi_x11_peer *peer)
{
    static const char method[] = "MIT-MAGIC-COOKIE-1";
    struct span rest = {file, size}, address, number, name, data;
    char display[16];
    int digits = snprintf(display, sizeof display, "%d", peer->display);
    while (rest.size >= 2) {
        int family = rest.bytes[0] << 8 | rest.bytes[1];
        rest.bytes += 2;
        rest.size -= 2;
        if (!take(&rest, &address) || !take(&rest, &number) || !take(&rest, &name) ||
            !take(&rest, &data))
            return false;
        bool host = family == VI_X11_WILD ||
                    (family == peer->family && equal(address, peer->address, peer->address_size));
        if (!host || !equal(name, method, sizeof method - 1)) continue;
        if (number.size && !equal(number, display, (size_t)digits)) continue;
        if (data.size == 0 || data.size > sizeof cookie->bytes) continue;
        memcpy(cookie->bytes, data.bytes, data.size);
        cookie->size = data.size;
        return true;
    }
    return false;
}

void vi_x11_read_cookie(struct vi_x11_cookie *cookie, struct nn_context *context,
                        const struct vi_x11_peer *peer)
{
    const char *path = getenv("XAUTHORITY"), *home = getenv("HOME");
    char standard[4096];
    void *bytes;
    size_t size;
    cookie->size = 0;
    if (!path || !*path) {
        if (!home || strlen(home) > sizeof standard - 16) return;
        snprintf(standard, sizeof standard, "%s/.Xauthority", home);
        path = standard;
    }
    if (nn_file_read(context, path, MAX_FILE, &bytes, &size)) return;
    vi_x11_find_cookie(cookie, bytes, size, peer);
    nn_free(context, bytes);
}
