/*
 * test_display_x11_damage.c — all that an X server said in a session, cut off at each byte, and
 * with each byte changed: an error or not, but no crash, no hanging, no memory lost.
 */
#include "tests/x11_server.h"

static struct nn_context *context;
static struct server server;
static struct vi_image picture;

struct outcome {
    enum nn_status status;
    bool opened, typed, closed;
    int shown;
    size_t said;
};

/* A session in which everything comes: pictures, keys, sizes, errors, the close button; with damage
 * as server.damage says. */
static struct outcome session(enum server_shm shm, size_t damage_at, uint8_t damage)
{
    struct outcome outcome = {0};
    struct vi_display *display;
    struct vi_event event;
    server = server_24();
    server.shm = shm;
    server.big_request = 1 << 16;
    server.damage_at = damage_at;
    server.damage = damage;
    server_start(&server, -1);
    outcome.status = server_display(&display, context, server.client, 23, 17);
    outcome.opened = display != NULL;
    for (int i = 0; i < 3 && !outcome.status; i++) {
        outcome.status = vi_display_show(display, &picture);
        outcome.shown += !outcome.status;
    }
    if (!outcome.status) {
        server_key(&server, 24, 0);
        server_event(&server, 34, 0, (uint32_t[]){1}, 1);
        server_resize(&server, 40, 30);
        server_event(&server, 12, 0, (uint32_t[]){WINDOW}, 1);
        server_error(&server, 3, X_CHANGE_PROPERTY, 0);
        server_close_button(&server);
    }
    for (int i = 0; i < 8 && !outcome.status; i++) {
        outcome.status = vi_display_poll(display, &event);
        outcome.typed = outcome.typed || (event.kind == VI_EVENT_KEY && event.key == 'q');
        outcome.closed = outcome.closed || event.kind == VI_EVENT_CLOSE;
    }
    if (!outcome.status) outcome.status = vi_display_show(display, &picture);
    vi_display_close(&display);
    server_stop(&server);
    outcome.said = server.said;
    return outcome;
}

/* Most of what a server says is what its keys mean: a part of that will do. */
static size_t step(size_t at)
{
    return at > 400 && at < 1000 ? 31 : 1;
}

int main(void)
{
    static const uint8_t pixels[23 * 17 * 3] = {1, 2, 3};
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    picture = (struct vi_image){(uint8_t *)pixels, 23, 17, 3, 23 * 3};
    size_t slow = test_emulated() ? 16 : 0;
    for (int shm = 0; shm < 2; shm++) {
        const char *how = shm ? "shared memory" : "socket";
        enum server_shm kind = shm ? SHM_WORKS : SHM_NONE;
        server_link.local = true;
        server_link.patience = VI_X11_PATIENCE;
        server_link.max_pixels = 4096;
        struct outcome whole = session(kind, SIZE_MAX, 0);
        size_t before = nn_bytes_allocated(context);
        int silent = 0, lost = 0, count = 0;
        CHECK(!whole.status && whole.shown == 3 && whole.typed && whole.closed,
              "%s: a session of %zu bytes", how, whole.said);
        for (size_t cut = 0; cut < whole.said - 64; cut += step(cut) + slow, count++) {
            silent += session(kind, cut, 0).status != NN_ERROR_IO;
            lost += nn_bytes_allocated(context) != before;
        }
        CHECK(silent == 0 && lost == 0, "%s: it ends at %d places, %d times not noticed", how,
              count, silent);
        count = 0;
        server_link.patience = 8;
        for (size_t at = 0; at < whole.said; at += step(at) + slow, count++) {
            session(kind, at, (uint8_t[]){0x01, 0x80, 0xff, 0x10, 0x04}[at % 5]);
            lost += nn_bytes_allocated(context) != before;
        }
        CHECK(lost == 0, "%s: %d bytes changed, no memory lost", how, count);
    }
    nn_close(&context);
    return test_done();
}
