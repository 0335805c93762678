/*
 * x11_server.h — an X server for one window: a thread that reads requests from a socket and keeps
 * what a person would see. What it is like is chosen before it starts.
 */
#ifndef X11_SERVER_H
#define X11_SERVER_H

#include "tests/test.h"
#include "vision/display/x11.h"

#include <pthread.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER_SIDE = 256, SERVER_LOG = 1 << 16 };
enum server_answer { SERVER_REFUSES, SERVER_WELCOMES, SERVER_WANTS_PROOF };
enum server_shm { SHM_NONE, SHM_WORKS, SHM_CANNOT_ATTACH, SHM_CANNOT_PUT };

struct server {
    /* what it is like */
    int depth, bits;
    uint32_t mask[3];
    bool big_endian; /* its pixels */
    bool other_root; /* the root's visual is not the one to take */
    enum server_shm shm;
    uint32_t max_request, big_request; /* in words; big 0: it has no BIG-REQUESTS */
    enum server_answer answer;
    const char *cookie; /* what it wants to see; NULL: nothing */
    int dies_at;        /* it hangs up at this request; 0: never */
    int mute_from;      /* it answers no request from this one on */
    int error_at;       /* it answers this request with BadAlloc */
    size_t damage_at;   /* this byte of all that it says is changed */
    uint8_t damage;     /* by these bits; 0: it ends there */

    /* what it saw */
    uint8_t window[SERVER_SIDE][SERVER_SIDE][3];
    int width, height;
    char title[64], name[64]; /* _NET_WM_NAME, WM_NAME */
    bool mapped;
    int requests, puts, shared_puts, clears, wrong; /* wrong: requests that make no sense */
    uint32_t largest;                               /* bytes of a request */

    /* its own */
    int end, client; /* sockets: its, and the other one for the display */
    pthread_t thread;
    pthread_mutex_t lock; /* of what it says */
    uint8_t log[SERVER_LOG];
    size_t said; /* bytes of the log: all that it said */
    uint32_t big;
    const uint8_t *segment;
};

/* ---- speaking -------------------------------------------------------------------------------- */

static inline void server_say(struct server *server, const void *bytes, size_t size)
{
    pthread_mutex_lock(&server->lock);
    uint8_t *log = server->log + server->said;
    if (size > SERVER_LOG - server->said) abort();
    memcpy(log, bytes, size);
    if (server->damage_at - server->said < size) { /* not before it, either */
        if (server->damage)
            server->log[server->damage_at] ^= server->damage;
        else
            size = server->damage_at - server->said;
    }
    bool sent = send(server->end, log, size, MSG_NOSIGNAL) == (ssize_t)size;
    server->said += size;
    if (!sent || (server->damage == 0 && server->said == server->damage_at))
        shutdown(server->end, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
}

static inline void put2(uint8_t *to, uint32_t value)
{
    uint16_t half = (uint16_t)value;
    memcpy(to, &half, 2);
}

static inline void put4(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, 4);
}

static inline uint32_t get4(const uint8_t *from)
{
    return vi_x11_32(from);
}

/* An answer of 32 bytes and more; bytes 1 and from 8 on are the caller's. */
static inline void server_reply(struct server *server, uint8_t *reply, size_t size)
{
    reply[0] = 1;
    put2(reply + 2, (uint32_t)server->requests);
    put4(reply + 4, (uint32_t)(size - 32) / 4);
    server_say(server, reply, size);
}

static inline void server_error(struct server *server, int code, int request, int minor)
{
    uint8_t error[32] = {0, (uint8_t)code};
    put2(error + 2, (uint32_t)server->requests);
    error[8] = (uint8_t)minor;
    error[10] = (uint8_t)request;
    server_say(server, error, 32);
}

/* Events: words from byte 4 on. */
static inline void server_event(struct server *server, int kind, int detail, const uint32_t *words,
                                int count)
{
    uint8_t event[32] = {(uint8_t)kind, (uint8_t)detail};
    for (int i = 0; i < count; i++) put4(event + 4 + 4 * i, words[i]);
    server_say(server, event, 32);
}

enum { WINDOW = 0x400001, PROTOCOLS = 300, DELETE = 301, NET_NAME = 302, UTF8 = 303 };

static inline void server_key(struct server *server, int code, uint32_t state)
{
    uint8_t event[32] = {2, (uint8_t)code};
    put2(event + 28, state);
    server_say(server, event, 32);
}

static inline void server_resize(struct server *server, uint32_t width, uint32_t height)
{
    uint8_t event[32] = {22};
    put4(event + 8, WINDOW);
    put2(event + 20, width);
    put2(event + 22, height);
    server->width = (int)width;
    server->height = (int)height;
    server_say(server, event, 32);
}

static inline void server_close_button(struct server *server)
{
    uint32_t words[] = {WINDOW, PROTOCOLS, DELETE};
    server_event(server, 33 | 0x80, 32, words, 3);
}

/* ---- hello ----------------------------------------------------------------------------------- */

static inline bool server_hear(struct server *server, uint8_t *to, size_t size)
{
    return size == 0 || recv(server->end, to, size, MSG_WAITALL) == (ssize_t)size;
}

static inline bool server_hello(struct server *server)
{
    static const char refusal[] = "go away!\n";
    uint8_t hello[12 + 64], welcome[8 + 32 + 4 + 16 + 40 + 16 + 48] = {0};
    if (!server_hear(server, hello, 12)) return false;
    size_t name = vi_x11_16(hello + 6), data = vi_x11_16(hello + 8);
    size_t padded = ((name + 3) & ~3U) + ((data + 3) & ~3U);
    if (padded > 64 || !server_hear(server, hello + 12, padded)) return false;
    bool proved = !server->cookie || (name == 18 && data == strlen(server->cookie) &&
                                      memcmp(hello + 12, "MIT-MAGIC-COOKIE-1", 18) == 0 &&
                                      memcmp(hello + 32, server->cookie, data) == 0);
    put2(welcome + 2, 11);
    if (server->answer != SERVER_WELCOMES || !proved) {
        welcome[0] = server->answer == SERVER_WANTS_PROOF ? 2 : 0;
        welcome[1] = sizeof refusal - 1;
        put2(welcome + 6, 3);
        memcpy(welcome + 8, refusal, sizeof refusal);
        server_say(server, welcome, 20);
        return false;
    }
    uint8_t *at = welcome + 8;
    welcome[0] = 1;
    put2(welcome + 6, (uint32_t)(sizeof welcome - 8) / 4);
    put4(at + 4, 0x400000);
    put4(at + 8, 0x1fffff);
    put2(at + 16, 4);
    put2(at + 18, server->max_request);
    at[20] = 1;
    at[21] = 2;
    at[22] = server->big_endian;
    at[26] = 8;
    at[27] = 100;
    memcpy(at + 32, "fake", 4);
    memcpy(at + 36, "\1\1\40", 3);
    memcpy(at + 44, (uint8_t[3]){(uint8_t)server->depth, (uint8_t)server->bits, 32}, 3);
    uint8_t *screen = at + 52;
    put4(screen, 77);
    put2(screen + 20, SERVER_SIDE);
    put2(screen + 22, SERVER_SIDE);
    put4(screen + 32, server->other_root ? 0x20 : 0x21);
    screen[38] = (uint8_t)server->depth;
    screen[39] = 2;
    screen[40] = 1;
    screen[48] = (uint8_t)server->depth;
    put2(screen + 50, 2);
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t *visual = screen + 56 + 24 * i;
        put4(visual, 0x20 + i);
        visual[4] = i ? 4 : 3; /* TrueColor, PseudoColor */
        for (int c = 0; c < 3; c++) put4(visual + 8 + 4 * c, server->mask[c]);
    }
    server_say(server, welcome, sizeof welcome);
    return true;
}

/* ---- requests -------------------------------------------------------------------------------- */

static inline uint8_t sample(uint32_t pixel, uint32_t mask)
{
    uint32_t unit = mask & (~mask + 1), most = mask / unit;
    return (uint8_t)(((pixel & mask) / unit * 255 + most / 2) / most);
}

static inline void server_draw(struct server *server, const uint8_t *pixels, const int at[4])
{
    size_t size = (size_t)server->bits / 8, stride = ((size_t)at[2] * size + 3) & ~(size_t)3;
    for (int y = 0; y < at[3]; y++)
        for (int x = 0; x < at[2]; x++) {
            const uint8_t *from = pixels + (size_t)y * stride + (size_t)x * size;
            uint32_t pixel = 0;
            for (size_t k = 0; k < size; k++)
                pixel |= (uint32_t)from[server->big_endian ? size - 1 - k : k] << 8 * k;
            /* Transparent pixels would not be seen. */
            if (server->depth == 32 && pixel >> 24 != 255) server->wrong++;
            if (x + at[0] >= SERVER_SIDE || y + at[1] >= SERVER_SIDE) continue;
            for (int c = 0; c < 3; c++)
                server->window[y + at[1]][x + at[0]][c] = sample(pixel, server->mask[c]);
        }
}

static inline void server_extension(struct server *server, const uint8_t *name, size_t size)
{
    uint8_t reply[32] = {0};
    if (size == 7 && memcmp(name, "MIT-SHM", 7) == 0 && server->shm) {
        memcpy(reply + 8, (uint8_t[4]){1, 130, 90, 150}, 4);
    } else if (size == 12 && memcmp(name, "BIG-REQUESTS", 12) == 0 && server->big_request) {
        memcpy(reply + 8, (uint8_t[4]){1, 131, 0, 0}, 4);
    }
    server_reply(server, reply, 32);
}

static inline void server_atom(struct server *server, const uint8_t *name, size_t size)
{
    static const char *const names[] = {"WM_PROTOCOLS", "WM_DELETE_WINDOW", "_NET_WM_NAME",
                                        "UTF8_STRING"};
    uint8_t reply[32] = {0};
    for (uint32_t i = 0; i < 4; i++)
        if (size == strlen(names[i]) && memcmp(name, names[i], size) == 0)
            put4(reply + 8, PROTOCOLS + i);
    server_reply(server, reply, 32);
}

static inline void server_keys(struct server *server)
{
    enum { FIRST = 8, COUNT = 93 };
    uint8_t reply[32 + COUNT * 8] = {0, 2};
    static const uint32_t keys[][3] = {{9, 0xff1b, 0},     {24, 'q', 'Q'},   {38, 'a', 0},
                                       {10, '1', '!'},     {36, 0xff0d, 0},  {90, 0xff9e, 0xffb0},
                                       {40, 0x1000416, 0}, {37, 0xffe3, 0},  {22, 0xff08, 0},
                                       {48, 0xe9, 0},      {111, 0xff52, 0}, {63, 0xffaa, 0xffaa}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int k = 0; k < 2 && keys[i][0] < FIRST + COUNT; k++)
            put4(reply + 32 + 8 * (keys[i][0] - FIRST) + 4 * k, keys[i][k + 1]);
    server_reply(server, reply, sizeof reply);
}

static inline void server_shared(struct server *server, const uint8_t *request)
{
    uint8_t reply[32] = {0};
    int at[4] = {vi_x11_16(request + 24), vi_x11_16(request + 26), vi_x11_16(request + 20),
                 vi_x11_16(request + 22)};
    uint32_t completion[] = {get4(request + 4), 130U << 16 | 3, get4(request + 32), 0};
    switch (request[1]) {
    case VI_X11_SHM_QUERY_VERSION:
        server_reply(server, reply, 32);
        break;
    case VI_X11_SHM_ATTACH:
        if (server->shm == SHM_CANNOT_ATTACH) {
            server_error(server, 10, 130, VI_X11_SHM_ATTACH);
        } else {
            server->segment = shmat((int)get4(request + 8), NULL, SHM_RDONLY);
            if (server->segment == (void *)-1) server->wrong++, server->segment = NULL;
        }
        break;
    case VI_X11_SHM_DETACH:
        if (server->segment) shmdt(server->segment);
        server->segment = NULL;
        break;
    case VI_X11_SHM_PUT_IMAGE:
        if (server->shm == SHM_CANNOT_PUT || !server->segment) {
            server_error(server, 11, 130, VI_X11_SHM_PUT_IMAGE);
            break;
        }
        server->shared_puts++;
        server_draw(server, server->segment, at);
        server_event(server, 90, 0, completion, 4);
        break;
    default:
        server->wrong++;
    }
}

static inline void server_property(struct server *server, const uint8_t *request)
{
    uint32_t name = get4(request + 8), size = get4(request + 20);
    char *to = name == NET_NAME ? server->title : name == 39 ? server->name : NULL;
    if (to && size < 64) memcpy(to, request + 24, size);
}

static inline void server_do(struct server *server, const uint8_t *request, size_t size)
{
    size_t name = size >= 8 ? vi_x11_16(request + 4) : 0;
    uint8_t reply[32] = {0};
    size_t header = vi_x11_16(request + 2) ? 24 : 28; /* the long length is passed over below */
    switch (request[0]) {
    case X_CREATE_WINDOW:
        server->width = vi_x11_16(request + 16);
        server->height = vi_x11_16(request + 18);
        if (get4(request + 4) != WINDOW || get4(request + 24) != 0x21) server->wrong++;
        break;
    case X_MAP_WINDOW:
        server->mapped = true;
        break;
    case X_INTERN_ATOM:
        server_atom(server, request + 8, name);
        break;
    case X_CHANGE_PROPERTY:
        server_property(server, request);
        break;
    case X_QUERY_EXTENSION:
        server_extension(server, request + 8, name);
        break;
    case X_GET_KEYBOARD_MAPPING:
        server_keys(server);
        break;
    case X_GET_INPUT_FOCUS:
        server_reply(server, reply, 32);
        break;
    case X_CREATE_GC:
    case X_CREATE_COLORMAP:
        break;
    case X_CLEAR_AREA:
        server->clears++;
        memset(server->window, 0, sizeof server->window);
        break;
    case X_PUT_IMAGE: {
        const uint8_t *at = request + header - 24;
        int area[4] = {vi_x11_16(at + 16), vi_x11_16(at + 18), vi_x11_16(at + 12),
                       vi_x11_16(at + 14)};
        size_t stride = ((size_t)area[2] * (size_t)server->bits / 8 + 3) & ~(size_t)3;
        if (request[1] != 2 || at[21] != server->depth || size != header + stride * (size_t)area[3])
            server->wrong++;
        else
            server_draw(server, request + header, area);
        server->puts++;
        break;
    }
    case 130:
        server_shared(server, request);
        break;
    case 131:
        put4(reply + 8, server->big_request);
        server->big = server->big_request;
        server_reply(server, reply, 32);
        break;
    default:
        server->wrong++;
    }
}

static inline void *server_run(void *argument)
{
    struct server *server = argument;
    uint8_t *request = malloc(1 << 22);
    while (server_hello(server)) {
        uint32_t most = server->max_request, words;
        while (server_hear(server, request, 4)) {
            words = vi_x11_16(request + 2);
            size_t had = 4;
            if (words == 0) {
                if (!server->big || !server_hear(server, request + 4, 4)) break;
                words = get4(request + 4);
                had = 8;
            }
            most = server->big ? server->big : server->max_request;
            if (words * 4 < had || words > most || words > 1 << 20) server->wrong++;
            if (words * 4 < had || words > 1 << 20) break;
            if (!server_hear(server, request + had, words * 4 - had)) break;
            if (words * 4 > server->largest) server->largest = words * 4;
            server->requests++;
            if (server->requests == server->dies_at) break;
            if (server->mute_from && server->requests >= server->mute_from) continue;
            if (server->requests == server->error_at)
                server_error(server, 11, request[0], request[1]);
            else
                server_do(server, request, words * 4);
        }
        break;
    }
    shutdown(server->end, SHUT_RDWR);
    if (server->segment) shmdt(server->segment);
    free(request);
    return NULL;
}

/* ---- starting and stopping ------------------------------------------------------------------- */

static inline struct server server_24(void)
{
    return (struct server){.depth = 24,
                           .bits = 32,
                           .mask = {0xff0000, 0xff00, 0xff},
                           .max_request = 65535,
                           .answer = SERVER_WELCOMES,
                           .damage_at = SIZE_MAX,
                           .lock = PTHREAD_MUTEX_INITIALIZER};
}

/* On one end of a pair of sockets, or on one that is given. */
static inline void server_start(struct server *server, int end)
{
    int ends[2] = {end, -1};
    if (end < 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
    server->end = ends[0];
    server->client = ends[1];
    if (pthread_create(&server->thread, NULL, server_run, server)) abort();
}

/* When the display has been closed. */
static inline void server_stop(struct server *server)
{
    shutdown(server->end, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->end);
}

/* ---- a display on it ------------------------------------------------------------------------- */

static struct {
    int socket, patience, max_pixels;
    bool local;
    struct vi_x11_cookie cookie;
} server_link; /* for the next display */

static inline enum nn_status server_link_open(struct vi_display *display)
{
    struct vi_x11 *x = vi_x11_new(display);
    if (!x) {
        close(server_link.socket);
        return NN_ERROR_MEMORY;
    }
    if (server_link.patience >= 0) x->patience = server_link.patience;
    if (server_link.max_pixels) x->max_pixels = server_link.max_pixels;
    return vi_x11_open(display, server_link.socket, server_link.local, &server_link.cookie, 0);
}

/* The X11 display on a connected socket, which becomes its own. */
static inline enum nn_status server_display(struct vi_display **display, struct nn_context *context,
                                            int socket, int width, int height)
{
    static struct vi_display_kind kind;
    struct vi_display_options options = {
        .title = "demo \xc3\xa9", .name = ":7", .width = width, .height = height};
    kind = vi_display_x11;
    kind.open = server_link_open;
    server_link.socket = socket;
    return vi_display_from(display, context, &kind, &options);
}

#endif
