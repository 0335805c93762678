/*
 * test_display_x11_names.c — how the X11 display finds its server: names, cookies, sockets.
 */
#include "tests/x11_server.h"

#include <errno.h>
#include <stddef.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static struct nn_context *context;
static struct server server;

static bool says(const char *text)
{
    if (strstr(nn_error(context), text)) return true;
    printf("# it says: %s\n", nn_error(context));
    return false;
}

/* ---- names, cookies -------------------------------------------------------------------------- */

static void test_names(void)
{
    static const struct {
        const char *text;
        bool good, local;
        const char *host;
        int display, screen;
    } names[] = {
        {":0", true, true, "", 0, 0},
        {":12.1", true, true, "", 12, 1},
        {"unix:3", true, true, "unix", 3, 0},
        {"unix/box:3", true, true, "box", 3, 0},
        {"local/:3", true, true, "", 3, 0},
        {"host:0.0", true, false, "host", 0, 0},
        {"tcp/host:1", true, false, "host", 1, 0},
        {"localhost:10.0", true, false, "localhost", 10, 0},
        {"[::1]:2", true, false, "::1", 2, 0},
        {"::1:2", true, false, "::1", 2, 0},
        {"/run/x", true, true, "", 0, 0},
        {"/run/X17", true, true, "", 17, 0},
        {"", false, 0, "", 0, 0},
        {"host", false, 0, "", 0, 0},
        {":", false, 0, "", 0, 0},
        {":x", false, 0, "", 0, 0},
        {":-1", false, 0, "", 0, 0},
        {":0.", false, 0, "", 0, 0},
        {":0.x", false, 0, "", 0, 0},
        {":0 ", false, 0, "", 0, 0},
        {":99999999999", false, 0, "", 0, 0},
        {":0.999", false, 0, "", 0, 0},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct vi_x11_name name;
        bool good = vi_x11_parse_name(&name, names[i].text);
        CHECK(good == names[i].good &&
                  (!good ||
                   (name.local == names[i].local && name.display == names[i].display &&
                    name.screen == names[i].screen && strcmp(name.host, names[i].host) == 0)),
              "the name \"%s\"", names[i].text);
    }
    char longest[400];
    struct vi_x11_name name;
    memset(longest, 'h', sizeof longest);
    memcpy(longest + sizeof longest - 3, ":0", 3);
    bool host = vi_x11_parse_name(&name, longest);
    longest[0] = '/';
    CHECK(!host && !vi_x11_parse_name(&name, longest), "names that are too long");
}

static size_t entry(uint8_t *to, int family, const char *strings[4])
{
    size_t at = 0;
    to[at++] = (uint8_t)(family >> 8);
    to[at++] = (uint8_t)family;
    for (int i = 0; i < 4; i++) {
        size_t size = strlen(strings[i]);
        to[at++] = (uint8_t)(size >> 8);
        to[at++] = (uint8_t)size;
        memcpy(to + at, strings[i], size);
        at += size;
    }
    return at;
}

static void test_cookies(void)
{
#define MAGIC "MIT-MAGIC-COOKIE-1"
    uint8_t file[1024], *copy;
    size_t size = 0;
    struct vi_x11_cookie cookie = {.size = 0};
    size += entry(file + size, 256, (const char *[]){"box", "0", "XDM-AUTHORIZATION-1", "no"});
    size += entry(file + size, 256, (const char *[]){"box", "1", MAGIC, "one"});
    size += entry(file + size, 256, (const char *[]){"other", "", MAGIC, "two"});
    size += entry(file + size, 0, (const char *[]){"\x7f\x01\x01\x01", "0", MAGIC, "three"});
    size += entry(file + size, 65535, (const char *[]){"", "5", MAGIC, "four"});
    size += entry(file + size, 256, (const char *[]){"box", "", MAGIC, "five"});
    static const struct {
        int family;
        const char *address;
        int display;
        const char *cookie;
    } peers[] = {{256, "box", 0, "five"},
                 {256, "box", 1, "one"},
                 {256, "other", 7, "two"},
                 {256, "none", 0, NULL},
                 {256, "none", 5, "four"},
                 {0, "\x7f\x01\x01\x01", 0, "three"},
                 {0, "\x7f\x01\x01\x01", 1, NULL},
                 {256, "box", 10, "five"},
                 {6, "box", 0, NULL}};
    struct vi_x11_peer peer;
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        peer = (struct vi_x11_peer){.family = peers[i].family, .display = peers[i].display};
        peer.address_size = strlen(peers[i].address);
        memcpy(peer.address, peers[i].address, peer.address_size);
        bool found = vi_x11_find_cookie(&cookie, file, size, &peer);
        CHECK(found == (peers[i].cookie != NULL) &&
                  (!found || (cookie.size == strlen(peers[i].cookie) &&
                              memcmp(cookie.bytes, peers[i].cookie, cookie.size) == 0)),
              "the cookie of family %d, display %d", peers[i].family, peers[i].display);
    }
    peer = (struct vi_x11_peer){.family = 256, .address = "box", .address_size = 3};
    int found = 0;
    for (size_t cut = 0; cut < size; cut++) { /* a copy of that size, so that reading on shows */
        copy = malloc(cut ? cut : 1);
        memcpy(copy, file, cut);
        found += vi_x11_find_cookie(&cookie, copy, cut, &peer);
        for (int bit = 0; bit < 8 && cut; bit++) {
            copy[cut - 1] ^= (uint8_t)(1 << bit);
            vi_x11_find_cookie(&cookie, copy, cut, &peer);
            copy[cut - 1] ^= (uint8_t)(1 << bit);
        }
        free(copy);
    }
    CHECK(found == 0, "a file that is cut off anywhere before it has none");
}

/* By name: a socket in the file system, the abstract one, a cookie file. */
static void test_connecting(void)
{
    char folder[] = "/tmp/liveness-x11-XXXXXX", path[64], authority[64];
    static uint8_t pixels[31 * 47 * 3];
    struct vi_image picture = {pixels, 47, 31, 3, 47 * 3};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/X3", folder);
    snprintf(authority, sizeof authority, "%s/authority", folder);
    uint8_t bytes[256];
    size_t size = entry(bytes, 65535, (const char *[]){"", "3", MAGIC, "0123456789abcdef"});
    FILE *file = fopen(authority, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) abort();
    setenv("XAUTHORITY", authority, 1);
    for (int abstract = 0; abstract < 2; abstract++) {
        /* Abstract names go by number: one that nobody has. */
        int listener = socket(AF_UNIX, SOCK_STREAM, 0), number = 20000 + getpid() % 30000;
        socklen_t length = sizeof address;
        char display[64];
        memset(address.sun_path, 0, sizeof address.sun_path);
        snprintf(display, sizeof display, ":%d.0", number);
        if (!abstract) snprintf(display, sizeof display, "%s", path);
        if (abstract)
            length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                                 (size_t)snprintf(address.sun_path + 1, 64, "/tmp/.X11-unix/X%d",
                                                  number));
        else
            snprintf(address.sun_path, 64, "%s", path);
        if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1)) {
            test_skip("a socket by name", strerror(errno));
            close(listener);
            continue;
        }
        struct vi_display *opened = NULL;
        struct vi_event event;
        server = server_24();
        if (!abstract) server.cookie = "0123456789abcdef";
        /* The server accepts when the display has connected: the kernel holds its words. */
        pid_t child = fork();
        if (child == 0) {
            int end = accept(listener, NULL, NULL);
            server_start(&server, end);
            pthread_join(server.thread, NULL);
            _exit(server.puts == 1 && server.wrong == 0 ? 0 : 1);
        }
        setenv("DISPLAY", display, 1);
        enum nn_status status = vi_display_open(
            &opened, context, &(struct vi_display_options){.width = 47, .height = 31});
        CHECK(!status && strcmp(vi_display_kind(opened), "x11") == 0,
              "$DISPLAY names %s socket: %s", abstract ? "an abstract" : "a",
              status ? nn_error(context) : "");
        if (!status) vi_display_show(opened, &picture);
        for (int i = 0; i < 2000 && !status && ((struct vi_x11 *)opened->state)->busy; i++) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            status = vi_display_poll(opened, &event);
        }
        vi_display_close(&opened);
        close(listener);
        int code = -1;
        waitpid(child, &code, 0);
        CHECK(code == 0, "and a picture comes through it");
    }
    unlink(path);
    struct vi_display *opened;
    setenv("DISPLAY", path, 1);
    CHECK(vi_display_open(&opened, context, &(struct vi_display_options){.kind = "x11"}) ==
                  NN_ERROR_IO &&
              says("cannot connect to the X server"),
          "no socket");
    setenv("DISPLAY", "nonsense", 1);
    CHECK(vi_display_open(&opened, context, &(struct vi_display_options){.kind = "x11"}) ==
                  NN_ERROR_ARGUMENT &&
              says("does not name an X server"),
          "a name that is none");
    unsetenv("DISPLAY");
    CHECK(vi_display_open(&opened, context, &(struct vi_display_options){.kind = "x11"}) ==
                  NN_ERROR_IO &&
              says("DISPLAY is not set"),
          "no name");
    unlink(authority);
    rmdir(folder);
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    server_link.patience = -1;
    test_names();
    test_cookies();
    test_connecting();
    CHECK(nn_bytes_allocated(context) == before, "all memory is given back");
    nn_close(&context);
    return test_done();
}
