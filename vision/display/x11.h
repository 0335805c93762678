/*
 * x11.h — what the files of the X11 display share.
 *
 * "X Window System Protocol, X Version 11" and its encoding (appendix B); "MIT-SHM: The MIT Shared
 * Memory Extension"; "Big Requests Extension". Numbers go over the wire in the machine's own byte
 * order: the first byte says which, and servers may refuse the other one.
 *
 * All that comes from the server may be wrong, or never come.
 */
#ifndef VISION_DISPLAY_X11_H
#define VISION_DISPLAY_X11_H

#include "vision/display/display.h"

enum vi_x11_request {
    X_CREATE_WINDOW = 1,
    X_DESTROY_WINDOW = 4,
    X_MAP_WINDOW = 8,
    X_INTERN_ATOM = 16,
    X_CHANGE_PROPERTY = 18,
    X_GET_INPUT_FOCUS = 43, /* asked where only the answer's coming matters */
    X_CREATE_GC = 55,
    X_CLEAR_AREA = 61,
    X_PUT_IMAGE = 72,
    X_CREATE_COLORMAP = 78,
    X_QUERY_EXTENSION = 98,
    X_GET_KEYBOARD_MAPPING = 101
};
/* Those of MIT-SHM, whose own number is the server's choice. */
enum { VI_X11_SHM_QUERY_VERSION, VI_X11_SHM_ATTACH, VI_X11_SHM_DETACH, VI_X11_SHM_PUT_IMAGE };

enum {
    VI_X11_PATIENCE = 5000, /* milliseconds that a server has for an answer */
    VI_X11_KEYS = 32        /* typed, not yet handed out */
};

/* ---- x11_auth.c: what proves that we may ---------------------------------------------------- */

enum { VI_X11_INTERNET = 0, VI_X11_INTERNET6 = 6, VI_X11_LOCAL = 256, VI_X11_WILD = 65535 };
struct vi_x11_peer {
    int family;
    uint8_t address[256];
    size_t address_size;
    int display;
};
struct vi_x11_cookie {
    uint8_t bytes[256];
    size_t size; /* 0: none */
};
/* The peer's MIT-MAGIC-COOKIE-1 in the bytes of an Xauthority file; false: there is none. */
bool vi_x11_find_cookie(struct vi_x11_cookie *cookie, const uint8_t *file, size_t size,
                        const struct vi_x11_peer *peer);
/* The same in $XAUTHORITY or ~/.Xauthority; what cannot be read holds none. */
void vi_x11_read_cookie(struct vi_x11_cookie *cookie, struct nn_context *context,
                        const struct vi_x11_peer *peer);

/* ---- x11_connect.c: from a name to a socket ---------------------------------------------------
 */

struct vi_x11_name {
    bool local;     /* a socket of this machine: no host was named */
    char path[108]; /* its file, if that was named */
    char host[256];
    int display, screen;
};
/* "[protocol/][host]:display[.screen]", or the path of a socket. */
bool vi_x11_parse_name(struct vi_x11_name *name, const char *text);

struct vi_x11 {
    struct nn_context *context;
    char name[NN_QUOTED]; /* of the server, for messages */
    int socket;           /* -1: none, or lost */
    const char *lost;     /* why */
    int lost_code;        /* errno's, or 0 */
    bool local;           /* it shares this machine's memory */
    int patience;         /* milliseconds */
    int max_pixels;       /* of the window that are drawn to */

    /* the wire */
    uint16_t sequence; /* of the last request */
    uint8_t *in;       /* what came: [at, size) of capacity */
    size_t at, size, capacity;
    size_t taken;         /* bytes of the packet that was handed out */
    uint32_t max_request; /* bytes */
    int refused;          /* the last error's code */
    int failed;           /* error code of a request that nothing works without; 0: none */
    int failed_request;

    /* the screen */
    uint32_t root, visual;
    int depth, root_width, root_height, scanline_pad;
    uint32_t window, gc, colormap, segment; /* numbers for our own things */
    struct vi_packer packer;
    uint32_t black;
    uint8_t min_keycode, max_keycode;
    uint32_t protocols, delete_window; /* atoms */

    /* the window */
    int width, height;
    bool remap; /* keys have been given other meanings */
    bool closed;
    uint32_t keysyms[256][2]; /* by keycode: plain, with shift */
    struct vi_x11_key {
        uint8_t code;
        uint16_t state;  /* shift, control ... */
    } keys[VI_X11_KEYS]; /* a ring */
    int first_key, key_count;

    /* the picture on its way */
    bool busy;       /* the server may still be reading it */
    uint16_t marker; /* the request whose answer says that it has */
    uint8_t *pixels;
    size_t pixel_bytes;
    size_t stride;
    bool shared; /* they lie in shared memory */
    bool redraw; /* the server has lost the window's content, or not got it */
    struct {
        uint8_t opcode, event; /* 0: the server has no MIT-SHM, or it does not work */
    } shm;
};

/* Connects, and finds the cookie. */
enum nn_status vi_x11_connect(struct vi_x11 *x, const char *display, struct vi_x11_cookie *cookie,
                              int *screen);

/* ---- x11_wire.c: requests, answers, events ----------------------------------------------------
 */

static inline uint16_t vi_x11_16(const uint8_t *bytes)
{
    uint16_t value;
    __builtin_memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint32_t vi_x11_32(const uint8_t *bytes)
{
    uint32_t value;
    __builtin_memcpy(&value, bytes, sizeof value);
    return value;
}

/* The connection is of no use any more; each later call says why, again. */
enum nn_status vi_x11_lost(struct vi_x11 *x, const char *why, int code);
/* Sends plain bytes (what comes before requests). */
enum nn_status vi_x11_send(struct vi_x11 *x, const void *bytes, size_t size);
/* Sends a request. `layout` has a letter per field: 1, 2, 4 a number (uint32_t) of so many bytes;
 * n the request's length, filled in; d data (const void *, size_t), padded, which come last. */
enum nn_status vi_x11_request(struct vi_x11 *x, const char *layout, ...);
/* Waits until `size` bytes are there; *bytes is NULL if they do not come in time. */
enum nn_status vi_x11_peek(struct vi_x11 *x, const uint8_t **bytes, size_t size, double until);
/* Bytes that vi_x11_peek has shown are done with. */
void vi_x11_take(struct vi_x11 *x, size_t size);
/* The next packet: an event or error of 32 bytes, or an answer of more; valid until the next call.
 * NULL: none came until then. */
enum nn_status vi_x11_packet(struct vi_x11 *x, const uint8_t **packet, size_t *size, double until);
/* Waits for the answer to the last request. Other packets are given to vi_x11_event. *reply is NULL
 * if the server refused it: x->refused says how. */
enum nn_status vi_x11_reply(struct vi_x11 *x, const uint8_t **reply, size_t *size);
/* An extension's first request number, event and error; 0, if there is none. */
enum nn_status vi_x11_extension(struct vi_x11 *x, const char *name, uint8_t *opcode,
                                uint8_t *event);

/* ---- x11_setup.c, x11_keys.c, x11_shm.c, x11.c ------------------------------------------------
 */

/* Says hello, chooses screen, visual and format. */
enum nn_status vi_x11_setup(struct vi_x11 *x, const struct vi_x11_cookie *cookie, int screen);
/* Asks what the keys mean. */
enum nn_status vi_x11_map_keys(struct vi_x11 *x);
/* The character of a key, as vi_event has it; 0: none. */
int vi_x11_character(const struct vi_x11 *x, const struct vi_x11_key *key);

/* Sees whether pictures can go through shared memory. */
enum nn_status vi_x11_shm_start(struct vi_x11 *x);
/* Makes x->pixels a shared block of that size, unless that does not work: then x->shared is
 * false. */
enum nn_status vi_x11_shm_resize(struct vi_x11 *x, size_t bytes);
enum nn_status vi_x11_shm_put(struct vi_x11 *x, const struct vi_fit *fit);
void vi_x11_shm_free(struct vi_x11 *x);

/* What happened: an event, an error, or an answer that nobody waited for. */
void vi_x11_event(struct vi_x11 *x, const uint8_t *packet);
/* display->state, for the following; NULL: there is no memory. */
struct vi_x11 *vi_x11_new(struct vi_display *display);
/* vi_display_kind.open on a socket, which is then the display's. */
enum nn_status vi_x11_open(struct vi_display *display, int socket, bool local,
                           const struct vi_x11_cookie *cookie, int screen);

#endif
