/*
 * xauthority.c — libFuzzer harness of Xauthority files, and of X servers' names.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/xauthority.c libvision.a libnn.a
 */
#include "vision/display/x11.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct vi_x11_peer peer = {.family = VI_X11_LOCAL, .address = "box", .address_size = 3};
    struct vi_x11_cookie cookie = {.size = 0};
    struct vi_x11_name name;
    if (vi_x11_find_cookie(&cookie, bytes, size, &peer) &&
        (cookie.size < 1 || cookie.size > sizeof cookie.bytes))
        abort();
    char *text = calloc(size + 1, 1);
    if (!text) abort();
    if (size) memcpy(text, bytes, size);
    if (vi_x11_parse_name(&name, text) &&
        (name.display < 0 || name.display > 65535 || name.screen < 0 || name.screen > 255 ||
         !memchr(name.host, 0, sizeof name.host) || !memchr(name.path, 0, sizeof name.path)))
        abort();
    free(text);
    return 0;
}
