/*
 * x11.c — a window on an X server, without Xlib.
 *
 * The picture is scaled and packed into one block of pixels, as the visual wants them; what is
 * around it is the window's background, which the server paints. One picture is on its way at a
 * time: the next one waits for the server to say that it has read the last.
 */
#include "vision/display/x11.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_PIXELS = 32 << 20, /* of a window that is drawn to: 7680 x 4320 */
    MAX_EVENTS = 1000,     /* that are looked at in one call */
    PUT_HEADER = 28        /* bytes */
};

enum {
    KEY_PRESS = 2,
    EXPOSE = 12,
    DESTROY_NOTIFY = 17,
    CONFIGURE_NOTIFY = 22,
    CLIENT_MESSAGE = 33,
    MAPPING_NOTIFY = 34
};

/* ---- events ---------------------------------------------------------------------------------- */

/* Requests whose failure leaves something to show are not missed. */
static void take_error(struct vi_x11 *x, const uint8_t *packet)
{
    uint8_t request = packet[10], minor = packet[8];
    if (x->busy && vi_x11_16(packet + 2) == x->marker) x->busy = false;
    if (x->shm.opcode && request == x->shm.opcode) {
        if (minor == VI_X11_SHM_DETACH) return;
        x->shm.opcode = 0; /* from now on through the socket */
        x->busy = false;
        x->redraw = true;
    } else if (request == X_CREATE_WINDOW || request == X_CREATE_GC || request == X_PUT_IMAGE ||
               request == X_CREATE_COLORMAP || request == X_MAP_WINDOW) {
        x->failed = packet[1];
        x->failed_request = request;
    }
}

/* What it means is asked later: its meaning may have changed just before. */
static void take_key(struct vi_x11 *x, const uint8_t *packet)
{
    if (x->key_count == VI_X11_KEYS) return;
    struct vi_x11_key *key = &x->keys[(x->first_key + x->key_count++) % VI_X11_KEYS];
    *key = (struct vi_x11_key){packet[1], vi_x11_16(packet + 28)};
}

void vi_x11_event(struct vi_x11 *x, const uint8_t *packet)
{
    int kind = packet[0] & 0x7f; /* the highest bit: another program sent it */
    if (kind == 0) take_error(x, packet);
    if (kind == 1 && x->busy && vi_x11_16(packet + 2) == x->marker) x->busy = false;
    if (x->shm.opcode && kind == x->shm.event) x->busy = false;
    if (kind == KEY_PRESS) take_key(x, packet);
    if (kind == EXPOSE) x->redraw = true;
    if (kind == DESTROY_NOTIFY && vi_x11_32(packet + 8) == x->window) x->closed = true;
    if (kind == MAPPING_NOTIFY) x->remap = true;
    if (kind == CLIENT_MESSAGE && packet[1] == 32 && vi_x11_32(packet + 8) == x->protocols &&
        vi_x11_32(packet + 12) == x->delete_window)
        x->closed = true;
    if (kind == CONFIGURE_NOTIFY && vi_x11_32(packet + 8) == x->window) {
        int width = vi_x11_16(packet + 20), height = vi_x11_16(packet + 22);
        x->redraw = x->redraw || width != x->width || height != x->height;
        x->width = width;
        x->height = height;
    }
}

/* Looks at all that came; waits for the server to be done with the picture if `wait`. */
static enum nn_status take_events(struct vi_x11 *x, bool wait)
{
    static const char *const names[] = {
        "",          "BadRequest", "BadValue",    "BadWindow",   "BadPixmap", "BadAtom",
        "BadCursor", "BadFont",    "BadMatch",    "BadDrawable", "BadAccess", "BadAlloc",
        "BadColor",  "BadGC",      "BadIDChoice", "BadName",     "BadLength", "BadImplementation"};
    double until = wait ? vi_clock() + x->patience * 1e-3 : 0;
    const uint8_t *packet = NULL;
    size_t size;
    for (int count = 0; wait ? x->busy : count < MAX_EVENTS; count++) {
        enum nn_status status = vi_x11_packet(x, &packet, &size, until);
        if (status) return status;
        if (packet) vi_x11_event(x, packet);
        if (!wait && !packet) break;
        if (wait && x->busy && (!packet || vi_clock() > until))
            return vi_x11_lost(x, "does not answer", 0);
    }
    if (!x->failed) return NN_OK;
    bool known = (size_t)x->failed < sizeof names / sizeof *names;
    return nn_fail(x->context, NN_ERROR_IO, "the X server %s refuses request %d: %s (error %d)",
                   x->name, x->failed_request, known ? names[x->failed] : "unknown", x->failed);
}

/* ---- the window ------------------------------------------------------------------------------ */

static enum nn_status atom(struct vi_x11 *x, const char *name, uint32_t *value)
{
    const uint8_t *reply = NULL;
    size_t length = strlen(name), size;
    enum nn_status status = vi_x11_request(x, "11n22d", X_INTERN_ATOM, 0, (uint32_t)length, 0,
                                           (const void *)name, length);
    if (!status) status = vi_x11_reply(x, &reply, &size);
    *value = reply ? vi_x11_32(reply + 8) : 0;
    return status;
}

/* `units` of 8 or 32 bits. */
static enum nn_status property(struct vi_x11 *x, uint32_t name, uint32_t type, int bits,
                               const void *data, size_t units)
{
    if (!name) return NN_OK;
    return vi_x11_request(x, "11n4441124d", X_CHANGE_PROPERTY, 0, x->window, name, type,
                          (uint32_t)bits, 0, 0, (uint32_t)units, data, units * (size_t)bits / 8);
}

/* What a window manager reads. */
static enum nn_status introduce(struct vi_x11 *x, const char *title)
{
    enum {
        ATOM = 4,
        STRING = 31,
        WM_NAME = 39,
        WM_HINTS_SIZE = 40,
        SIZE_HINTS = 41,
        WM_CLASS = 67
    };
    enum { PROGRAM_SIZE = 8 };
    static const char class[] = "liveness\0Liveness";
    uint32_t utf8, name, hints[18] = {PROGRAM_SIZE, 0, 0, (uint32_t)x->width, (uint32_t)x->height};
    char latin[128];
    size_t size = strlen(title), at = 0;
    if (size > 1024) size = 1024;
    for (size_t i = 0; i < size && at < sizeof latin; i++)
        if ((title[i] & 0xc0) != 0x80)
            latin[at++] = title[i] >= ' ' && title[i] < 127 ? title[i] : '?';
    enum nn_status status = atom(x, "WM_PROTOCOLS", &x->protocols);
    if (!status) status = atom(x, "WM_DELETE_WINDOW", &x->delete_window);
    if (!status) status = atom(x, "_NET_WM_NAME", &name);
    if (!status) status = atom(x, "UTF8_STRING", &utf8);
    if (!status) status = property(x, WM_NAME, STRING, 8, latin, at);
    if (!status) status = property(x, name, utf8, 8, title, size);
    if (!status) status = property(x, WM_CLASS, STRING, 8, class, sizeof class);
    if (!status) status = property(x, WM_HINTS_SIZE, SIZE_HINTS, 32, hints, 18);
    if (!status) status = property(x, x->protocols, ATOM, 32, &x->delete_window, 1);
    return status;
}

static enum nn_status make_window(struct vi_x11 *x)
{
    enum { INPUT_OUTPUT = 1, BACK_PIXEL = 2, BORDER_PIXEL = 8, EVENTS = 0x800, COLORMAP = 0x2000 };
    enum { KEYS = 1, EXPOSURE = 0x8000, STRUCTURE = 0x20000 };
    enum nn_status status =
        vi_x11_request(x, "11n444", X_CREATE_COLORMAP, 0, x->colormap, x->root, x->visual);
    if (!status)
        status =
            vi_x11_request(x, "11n44222222444444", X_CREATE_WINDOW, (uint32_t)x->depth, x->window,
                           x->root, 0, 0, (uint32_t)x->width, (uint32_t)x->height, 0, INPUT_OUTPUT,
                           x->visual, BACK_PIXEL | BORDER_PIXEL | EVENTS | COLORMAP, x->black,
                           x->black, KEYS | EXPOSURE | STRUCTURE, x->colormap);
    if (!status) status = vi_x11_request(x, "11n444", X_CREATE_GC, 0, x->gc, x->window, 0);
    return status;
}

static enum nn_status ask_for_big_requests(struct vi_x11 *x)
{
    const uint8_t *reply = NULL;
    uint8_t opcode, event;
    size_t size;
    enum nn_status status = vi_x11_extension(x, "BIG-REQUESTS", &opcode, &event);
    if (status || !opcode) return status;
    status = vi_x11_request(x, "11n", opcode, 0);
    if (!status) status = vi_x11_reply(x, &reply, &size);
    if (status || !reply) return status;
    uint32_t words = vi_x11_32(reply + 8), most = (uint32_t)MAX_PIXELS;
    if (words > x->max_request / 4) x->max_request = 4 * (words < most ? words : most);
    return NN_OK;
}

static enum nn_status start(struct vi_x11 *x, const struct vi_display_options *options,
                            const struct vi_x11_cookie *cookie, int screen)
{
    const uint8_t *reply;
    size_t size;
    enum nn_status status = vi_x11_setup(x, cookie, screen);
    if (status) return status;
    x->width = options->width < x->root_width ? options->width : x->root_width;
    x->height = options->height < x->root_height ? options->height : x->root_height;
    status = ask_for_big_requests(x);
    if (!status) status = vi_x11_shm_start(x);
    if (!status) status = vi_x11_map_keys(x);
    if (!status) status = make_window(x);
    if (!status) status = introduce(x, options->title);
    if (!status) status = vi_x11_request(x, "11n4", X_MAP_WINDOW, 0, x->window);
    /* With this answer all errors have come. */
    if (!status) status = vi_x11_request(x, "11n", X_GET_INPUT_FOCUS, 0);
    if (!status) status = vi_x11_reply(x, &reply, &size);
    return status ? status : take_events(x, false);
}

struct vi_x11 *vi_x11_new(struct vi_display *display)
{
    struct vi_x11 *x = nn_alloc(display->context, 1, sizeof *x);
    display->state = x;
    if (!x) return NULL;
    x->context = display->context;
    x->socket = -1;
    x->patience = VI_X11_PATIENCE;
    x->max_pixels = MAX_PIXELS;
    x->lost = "was never there";
    nn_quote(x->name, display->options.name ? display->options.name : "");
    return x;
}

enum nn_status vi_x11_open(struct vi_display *display, int socket, bool local,
                           const struct vi_x11_cookie *cookie, int screen)
{
    struct vi_x11 *x = display->state;
    x->socket = socket;
    x->local = local;
    return start(x, &display->options, cookie, screen);
}

static enum nn_status open_x11(struct vi_display *display)
{
    struct vi_x11_cookie cookie = {.size = 0};
    int screen = 0;
    struct vi_x11 *x = vi_x11_new(display);
    if (!x) return NN_ERROR_MEMORY;
    enum nn_status status = vi_x11_connect(x, display->options.name, &cookie, &screen);
    return status ? status : vi_x11_open(display, x->socket, x->local, &cookie, screen);
}

static void close_x11(struct vi_display *display)
{
    struct vi_x11 *x = display->state;
    if (!x) return;
    if (x->shared)
        vi_x11_shm_free(x);
    else
        nn_free(x->context, x->pixels);
    if (x->socket >= 0) close(x->socket); /* and the server removes what was ours */
    nn_free(x->context, x->in);
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* Memory for that many pixels; it shrinks with nothing but the display. */
static enum nn_status make_room(struct vi_x11 *x, size_t bytes)
{
    bool useless = x->shared && !x->shm.opcode;
    if (bytes <= x->pixel_bytes && !useless) return NN_OK;
    if (!x->shared) {
        nn_free(x->context, x->pixels);
        x->pixels = NULL;
        x->pixel_bytes = 0;
    }
    enum nn_status status = vi_x11_shm_resize(x, bytes);
    if (status || x->shared) return status;
    x->pixels = nn_alloc(x->context, bytes, 1);
    if (!x->pixels) return NN_ERROR_MEMORY;
    x->pixel_bytes = bytes;
    return NN_OK;
}

static size_t stride_of(const struct vi_x11 *x, int width)
{
    size_t pad = (size_t)x->scanline_pad;
    return ((size_t)width * (size_t)x->packer.bits + pad - 1) / pad * pad / 8;
}

/* The part of the window that is drawn to: all of it, except for sizes that no screen has. */
static void limit_area(const struct vi_x11 *x, int *width, int *height)
{
    int widest = (int)((x->max_request - PUT_HEADER - 4) * 8 / (unsigned)x->packer.bits);
    *width = x->width < 1 ? 1 : x->width < widest ? x->width : widest;
    *height = x->height < 1 ? 1 : x->height;
    if (*height > x->max_pixels / *width) *height = x->max_pixels / *width;
    if (*height < 1) *width = x->max_pixels, *height = 1;
}

/* Through the socket, in strips as high as a request may be. */
static enum nn_status put(struct vi_x11 *x, const struct vi_fit *fit)
{
    enum { Z_PIXMAP = 2 };
    int most = (int)((x->max_request - PUT_HEADER) / x->stride);
    enum nn_status status = NN_OK;
    assert(most >= 1);
    for (int y = 0; y < fit->height && !status; y += most) {
        int rows = fit->height - y < most ? fit->height - y : most;
        status = vi_x11_request(
            x, "11n442222112d", X_PUT_IMAGE, Z_PIXMAP, x->window, x->gc, (uint32_t)fit->width,
            (uint32_t)rows, (uint32_t)fit->x, (uint32_t)(fit->y + y), 0, (uint32_t)x->depth, 0,
            (const void *)(x->pixels + (size_t)y * x->stride), (size_t)rows * x->stride);
    }
    if (!status) status = vi_x11_request(x, "11n", X_GET_INPUT_FOCUS, 0);
    x->marker = x->sequence;
    x->busy = true;
    return status;
}

static enum nn_status show_x11(struct vi_display *display, const struct vi_image *image)
{
    struct vi_x11 *x = display->state;
    struct vi_fit *fit = &display->fit;
    int width, height;
    enum nn_status status = take_events(x, true);
    if (!status) status = take_events(x, false);
    if (status) return status;
    limit_area(x, &width, &height);
    status = vi_fit_begin(fit, x->context, image, width, height);
    if (status) return status;
    x->stride = stride_of(x, fit->width);
    status = make_room(x, x->stride * (size_t)fit->height);
    if (!status && fit->moved)
        status = vi_x11_request(x, "11n42222", X_CLEAR_AREA, 0, x->window, 0, 0, 0, 0);
    if (status) return status;
    for (int y = 0; y < fit->height; y++)
        vi_pack_row(&x->packer, x->pixels + (size_t)y * x->stride, vi_fit_row(fit, y), fit->width);
    x->redraw = false;
    return x->shared ? vi_x11_shm_put(x, fit) : put(x, fit);
}

static enum nn_status poll_x11(struct vi_display *display, struct vi_event *event)
{
    struct vi_x11 *x = display->state;
    enum nn_status status = take_events(x, false);
    if (!status && x->remap) status = vi_x11_map_keys(x);
    display->stale = display->stale || x->redraw;
    x->redraw = false;
    while (x->key_count && event->kind == VI_EVENT_NONE) {
        int key = vi_x11_character(x, &x->keys[x->first_key]);
        if (key) *event = (struct vi_event){VI_EVENT_KEY, key};
        x->first_key = (x->first_key + 1) % VI_X11_KEYS;
        x->key_count--;
    }
    if (x->closed && event->kind == VI_EVENT_NONE) {
        *event = (struct vi_event){VI_EVENT_CLOSE, 0};
        x->closed = false;
    }
    return status;
}

const struct vi_display_kind vi_display_x11 = {"x11",    true,     open_x11,
                                               show_x11, poll_x11, close_x11};
