/*
 * x11_connect.c — from $DISPLAY to a socket.
 */
#include "vision/display/x11.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_PORT = 6000 };

/* ---- names ----------------------------------------------------------------------------------- */

/* Digits at *text, moved on; -1: none, or more than `most`. */
static int number(const char **text, int most)
{
    int value = 0;
    const char *at = *text;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (*at - '0');
        if (value > most) return -1;
    }
    if (at == *text) return -1;
    *text = at;
    return value;
}

bool vi_x11_parse_name(struct vi_x11_name *name, const char *text)
{
    const char *colon = strrchr(text, ':'), *host = text, *at;
    *name = (struct vi_x11_name){0};
    if (*text == '/') {
        name->local = true;
        for (at = text + strlen(text); at[-1] >= '0' && at[-1] <= '9';) at--;
        if (*at && (name->display = number(&at, 65535)) < 0) return false;
        return (size_t)snprintf(name->path, sizeof name->path, "%s", text) < sizeof name->path;
    }
    if (!colon) return false;
    const char *slash = memchr(text, '/', (size_t)(colon - text));
    size_t protocol = slash ? (size_t)(slash - text) : 0;
    if (slash) host = slash + 1;
    size_t size = (size_t)(colon - host);
    name->local = size == 0 || (size == 4 && memcmp(host, "unix", 4) == 0) ||
                  (protocol == 4 && memcmp(text, "unix", 4) == 0) ||
                  (protocol == 5 && memcmp(text, "local", 5) == 0);
    if (size >= 2 && host[0] == '[' && host[size - 1] == ']') host++, size -= 2;
    if (size >= sizeof name->host) return false;
    memcpy(name->host, host, size);
    at = colon + 1;
    name->display = number(&at, 65535 - FIRST_PORT);
    if (*at == '.' && name->display >= 0) {
        at++;
        name->screen = number(&at, 255);
    }
    return *at == '\0' && name->display >= 0 && name->screen >= 0;
}

/* ---- sockets --------------------------------------------------------------------------------- */

/* -1 and errno, or a connected socket. Time-outs hold for connecting; afterwards nothing waits. */
static int connect_to(const struct sockaddr *address, socklen_t size)
{
    struct timeval patience = {VI_X11_PATIENCE / 1000, 0};
    int end = socket(address->sa_family, SOCK_STREAM, 0), yes = 1;
    if (end < 0) return -1;
    fcntl(end, F_SETFD, FD_CLOEXEC);
    setsockopt(end, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(end, address, size) == 0) {
        if (address->sa_family != AF_UNIX)
            setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        return end;
    }
    int code = errno;
    close(end);
    errno = code;
    return -1;
}

/* The abstract socket first (its name begins with a zero byte): nobody can put another file in its
 * place. */
static int connect_local(const struct vi_x11_name *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size;
    if (*name->path) {
        memcpy(address.sun_path, name->path, sizeof name->path);
    } else {
        size = (size_t)snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
                                "/tmp/.X11-unix/X%d", name->display);
        size += offsetof(struct sockaddr_un, sun_path) + 1;
        int end = connect_to((struct sockaddr *)&address, (socklen_t)size);
        if (end >= 0) return end;
        memmove(address.sun_path, address.sun_path + 1, sizeof address.sun_path - 1);
    }
    return connect_to((struct sockaddr *)&address, sizeof address);
}

/* NULL and a socket, or what is wrong. */
static const char *connect_host(const struct vi_x11_name *name, int *end)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[16];
    snprintf(port, sizeof port, "%d", FIRST_PORT + name->display);
    int code = getaddrinfo(name->host, port, &hints, &found);
    if (code) return gai_strerror(code);
    *end = -1;
    for (const struct addrinfo *each = found; each && *end < 0; each = each->ai_next)
        *end = connect_to(each->ai_addr, each->ai_addrlen);
    code = errno;
    freeaddrinfo(found);
    return *end < 0 ? strerror(code) : NULL;
}

/* Whom Xauthority calls what we are connected to. What comes through ssh, or is this machine, goes
 * by the machine's name. */
static void identify(struct vi_x11_peer *peer, int end)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {{0}};
    socklen_t size = sizeof address;
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, loopback6[16] = {[15] = 1};
    bool known = getpeername(end, &address.any, &size) == 0;
    if (known && address.any.sa_family == AF_INET) {
        peer->family = VI_X11_INTERNET;
        peer->address_size = 4;
        memcpy(peer->address, &address.v4.sin_addr, 4);
    } else if (known && address.any.sa_family == AF_INET6) {
        bool is_v4 = memcmp(&address.v6.sin6_addr, mapped, 12) == 0;
        peer->family = is_v4 ? VI_X11_INTERNET : VI_X11_INTERNET6;
        peer->address_size = is_v4 ? 4 : 16;
        memcpy(peer->address, (const uint8_t *)&address.v6.sin6_addr + (is_v4 ? 12 : 0),
               peer->address_size);
    }
    bool here = peer->address_size == 0 || (peer->address_size == 4 && peer->address[0] == 127) ||
                (peer->address_size == 16 && memcmp(peer->address, loopback6, 16) == 0);
    if (!here) return;
    peer->family = VI_X11_LOCAL;
    char *host = (char *)peer->address;
    if (gethostname(host, sizeof peer->address - 1)) *host = '\0';
    peer->address[sizeof peer->address - 1] = '\0';
    peer->address_size = strlen(host);
}

enum nn_status vi_x11_connect(struct vi_x11 *x, const char *display, struct vi_x11_cookie *cookie,
                              int *screen)
{
    struct vi_x11_name name;
    struct vi_x11_peer peer = {0};
    const char *wrong = NULL;
    if (!display) display = getenv("DISPLAY");
    if (!display || !*display)
        return nn_fail(x->context, NN_ERROR_IO,
                       "there is no X server: the variable DISPLAY is not set");
    nn_quote(x->name, display);
    if (!vi_x11_parse_name(&name, display))
        return nn_fail(x->context, NN_ERROR_ARGUMENT,
                       "%s does not name an X server: expected host:display.screen, as in :0 or "
                       "localhost:10.0",
                       x->name);
    x->local = name.local;
    if (name.local && (x->socket = connect_local(&name)) < 0) wrong = strerror(errno);
    if (!name.local) wrong = connect_host(&name, &x->socket);
    if (wrong)
        return nn_fail(x->context, NN_ERROR_IO, "cannot connect to the X server %s: %s", x->name,
                       wrong);
    peer.display = name.display;
    identify(&peer, x->socket);
    vi_x11_read_cookie(cookie, x->context, &peer);
    *screen = name.screen;
    return NN_OK;
}
