/*
 * test_display_x11.c — the X11 display against a server of our own: what it shows, bit for bit, on
 * all kinds of screens, and what it does when things go wrong.
 */
#include "tests/x11_server.h"

#include <time.h>

static struct nn_context *context;
static struct server server; /* large: it keeps a window */
static struct vi_image picture, other;

static void paint(struct vi_image *image, int width, int height, unsigned seed)
{
    struct nn_rng rng = nn_rng_make(seed, 1);
    if (vi_image_new(image, context, width, height, 3)) abort();
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width * 3; x++)
            image->pixels[y * image->stride + x] = (uint8_t)nn_rng_u32(&rng);
}

/* Starts the server that `server` describes, and opens a display. */
static struct vi_display *start(int width, int height)
{
    struct vi_display *display = NULL;
    server_start(&server, -1);
    server_link.local = true;
    if (server_display(&display, context, server.client, width, height))
        printf("# %s\n", nn_error(context));
    return display;
}

static void stop(struct vi_display **display)
{
    vi_display_close(display);
    server_stop(&server);
}

/* Waits until the server has done all that it was asked. */
static void settle(struct vi_display *display)
{
    struct vi_event event;
    const struct vi_x11 *x = display->state;
    int most = server_link.patience >= 0 ? server_link.patience : 5000;
    for (int i = 0; i < most && x->busy && x->socket >= 0; i++) {
        if (vi_display_poll(display, &event)) return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* Does the window show the picture at (left, top), in the colours that it has? */
static bool shows(const struct vi_image *image, int left, int top)
{
    int wrong = 0;
    for (int y = 0; y < SERVER_SIDE; y++)
        for (int x = 0; x < SERVER_SIDE; x++)
            for (int c = 0; c < 3; c++) {
                int px = x - left, py = y - top, value = 0;
                uint32_t most = server.mask[c] / (server.mask[c] & (~server.mask[c] + 1));
                if (px >= 0 && px < image->width && py >= 0 && py < image->height)
                    value = image->pixels[py * image->stride + px * 3 + c];
                int expected = (int)(((value * most + 127) / 255 * 255 + most / 2) / most);
                if (server.window[y][x][c] == expected) continue;
                if (wrong++ == 0)
                    printf("# %d,%d channel %d: %d, not %d\n", x, y, c, server.window[y][x][c],
                           expected);
            }
    return wrong == 0;
}

/* ---- screens --------------------------------------------------------------------------------- */

static void test_screens(void)
{
    static const struct {
        int depth, bits;
        uint32_t mask[3];
        const char *name;
    } screens[] = {
        {24, 32, {0xff0000, 0xff00, 0xff}, "24 bits in 32"},
        {24, 32, {0xff, 0xff00, 0xff0000}, "24 bits in 32, blue first"},
        {24, 24, {0xff0000, 0xff00, 0xff}, "24 bits packed"},
        {32, 32, {0xff0000, 0xff00, 0xff}, "32 bits with transparency"},
        {30, 32, {0x3ff00000, 0xffc00, 0x3ff}, "30 bits"},
        {16, 16, {0xf800, 0x7e0, 0x1f}, "16 bits"},
        {15, 16, {0x7c00, 0x3e0, 0x1f}, "15 bits"},
    };
    for (size_t i = 0; i < 2 * sizeof screens / sizeof *screens; i++)
        for (int shm = 0; shm < 2; shm++) {
            server = server_24();
            server.depth = screens[i / 2].depth;
            server.bits = screens[i / 2].bits;
            memcpy(server.mask, screens[i / 2].mask, sizeof server.mask);
            server.big_endian = i & 1;
            server.shm = shm ? SHM_WORKS : SHM_NONE;
            server.other_root = i == 3;
            struct vi_display *display = start(47, 31);
            bool shown = display && !vi_display_show(display, &picture);
            if (shown) settle(display);
            bool right = shown && shows(&picture, 0, 0) && server.wrong == 0 && server.mapped &&
                         (shm ? server.shared_puts : server.puts) == 1 &&
                         strcmp(vi_display_kind(display), "x11") == 0;
            CHECK(right, "%s, %s byte first, %s", screens[i / 2].name, i & 1 ? "high" : "low",
                  shm ? "shared memory" : "socket");
            stop(&display);
        }
}

/* Sizes: strips, long requests, letterboxes, windows of other proportions. */
static void test_sizes(void)
{
    static const struct {
        uint32_t max, big;
        int puts;
    } limits[] = {
        {1024, 0, 2}, {65535, 0, 1}, {1024, 1 << 20, 1}, {1024, 1500, 1}, {1030, 1100, 2}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        server = server_24();
        server.max_request = limits[i].max;
        server.big_request = limits[i].big;
        struct vi_display *display = start(47, 31);
        bool shown = display && !vi_display_show(display, &picture);
        if (shown) settle(display);
        CHECK(shown && shows(&picture, 0, 0) && server.wrong == 0 && server.puts == limits[i].puts,
              "requests of at most %u or %u words: %d pieces", limits[i].max, limits[i].big,
              limits[i].puts);
        stop(&display);
    }
    server = server_24();
    server.big_request = 1 << 20;
    struct vi_image large;
    paint(&large, 250, 280, 9);
    struct vi_display *display = start(256, 256);
    bool shown = display && !vi_display_show(display, &large);
    if (shown) settle(display);
    CHECK(shown && server.wrong == 0 && server.puts == 1 && server.largest > 65535 * 3,
          "a picture in one request of %u bytes", server.largest);
    stop(&display);
    vi_image_free(context, &large);
}

static void test_window(void)
{
    struct vi_event event;
    for (int shm = 0; shm < 2; shm++) {
        server = server_24();
        server.shm = shm ? SHM_WORKS : SHM_NONE;
        struct vi_display *display = start(47, 31);
        if (!CHECK(display != NULL, "a window opens")) return;
        CHECK(server.width == 47 && server.height == 31 &&
                  strcmp(server.title, "demo \xc3\xa9") == 0 && strcmp(server.name, "demo ?") == 0,
              "its size and title");
        bool good = !vi_display_show(display, &picture);
        settle(display);
        server_resize(&server, 67, 31);
        for (int i = 0; i < 50; i++) good = good && !vi_display_poll(display, &event);
        settle(display);
        CHECK(good && shows(&picture, 10, 0) && server.clears == 2,
              "made wider: the last picture lies in the middle, on black");
        server_resize(&server, 94, 200);
        for (int i = 0; i < 50; i++) good = good && !vi_display_poll(display, &event);
        settle(display);
        CHECK(good && server.window[68][0][0] == 0 && server.window[69][0][0] != 0 &&
                  server.window[130][93][1] != 0 && server.window[131][93][1] == 0,
              "made larger: the picture is, too");
        server_resize(&server, 47, 31);
        good = good && !vi_display_show(display, &other);
        settle(display);
        good = good && !vi_display_show(display, &other);
        settle(display);
        CHECK(good && shows(&other, 0, 0), "another picture, in a smaller window");
        memset(server.window, 0, sizeof server.window);
        server_event(&server, 12, 0, (uint32_t[]){WINDOW, 0, 0}, 3);
        for (int i = 0; i < 50; i++) good = good && !vi_display_poll(display, &event);
        settle(display);
        CHECK(good && shows(&other, 0, 0), "uncovered, it is drawn again");
        server_resize(&server, 0, 0);
        good = good && !vi_display_show(display, &other);
        settle(display);
        good = good && !vi_display_show(display, &other);
        server_resize(&server, 1, 1);
        good = good && !vi_display_show(display, &other) && !vi_display_show(display, &other);
        CHECK(good && server.wrong == 0, "a window of a pixel, and of none");
        size_t before = nn_allocations(context);
        for (int i = 0; i < 20; i++) good = good && !vi_display_show(display, &other);
        CHECK(good && nn_allocations(context) == before, "showing allocates nothing");
        stop(&display);
    }
}

static void test_keys(void)
{
    static const struct {
        int code;
        uint32_t state;
        int key;
    } keys[] = {{24, 0, 'q'},   {24, 1, 'Q'},  {24, 2, 'Q'},  {24, 4, 17},   {9, 0, 27},
                {38, 1, 'A'},   {10, 0, '1'},  {10, 1, '!'},  {36, 0, '\n'}, {90, 0, '0'},
                {40, 0, 0x416}, {22, 0, '\b'}, {48, 1, 0xc9}, {63, 0, '*'},  {10, 2, '1'}};
    enum { COUNT = sizeof keys / sizeof *keys };
    struct vi_event event;
    server = server_24();
    struct vi_display *display = start(47, 31);
    if (!CHECK(display != NULL, "a window opens")) return;
    for (int i = 0; i < COUNT; i++) {
        server_key(&server, 37, 0); /* control alone: no character */
        server_key(&server, keys[i].code, keys[i].state);
        event.kind = VI_EVENT_NONE;
        for (int k = 0; k < 5000 && event.kind == VI_EVENT_NONE; k++)
            if (vi_display_poll(display, &event)) break;
        CHECK(event.kind == VI_EVENT_KEY && event.key == keys[i].key, "key %d with %u is %d (%d)",
              keys[i].code, keys[i].state, keys[i].key, event.key);
    }
    for (int i = 0; i < 100; i++) server_key(&server, 24, 0);
    server_event(&server, 34, 0, (uint32_t[]){1 | 8 << 8 | 93 << 16}, 1);
    server_close_button(&server);
    int typed = 0;
    bool closed = false, good = true;
    for (int k = 0; k < 5000 && !closed; k++) {
        good = good && !vi_display_poll(display, &event);
        typed += event.kind == VI_EVENT_KEY && event.key == 'q';
        closed = event.kind == VI_EVENT_CLOSE;
    }
    CHECK(good && closed && typed == VI_X11_KEYS, "a hundred keys, new meanings, the close button");
    server_event(&server, 17, 0, (uint32_t[]){WINDOW, WINDOW}, 2);
    closed = false;
    for (int k = 0; k < 5000 && !closed; k++) {
        good = good && !vi_display_poll(display, &event);
        closed = event.kind == VI_EVENT_CLOSE;
    }
    CHECK(good && closed && !vi_display_poll(display, &event) && event.kind == VI_EVENT_NONE,
          "a window that another program closed: told, and once");
    stop(&display);
}

/* ---- trouble --------------------------------------------------------------------------------- */

static bool says(const char *text)
{
    if (strstr(nn_error(context), text)) return true;
    printf("# it says: %s\n", nn_error(context));
    return false;
}

static void test_refusals(void)
{
    struct vi_display *display;
    for (int answer = 0; answer < 3; answer += 2) {
        server = server_24();
        server.answer = (enum server_answer)answer;
        server_start(&server, -1);
        enum nn_status status = server_display(&display, context, server.client, 0, 0);
        CHECK(status == NN_ERROR_IO && !display && says("refuses the connection: 'go away!'") &&
                  says("no cookie"),
              "%s: an error with its words", answer ? "more proof is wanted" : "refused");
        server_stop(&server);
    }
    server = server_24();
    server.cookie = "0123456789abcdef";
    memcpy(server_link.cookie.bytes, "0123456789abcdef", 16);
    server_link.cookie.size = 16;
    display = start(47, 31);
    CHECK(display != NULL, "with its cookie it opens");
    stop(&display);
    server.said = 0;
    server_link.cookie.bytes[3] ^= 1;
    display = start(47, 31);
    CHECK(!display && says("may be an old one"), "with another one it does not");
    stop(&display);
    server_link.cookie.size = 0;
    static const struct {
        int depth, bits;
        uint32_t red;
    } bad[] = {{8, 8, 0xff0000}, {24, 32, 0}, {24, 32, 0xf0f000}, {24, 16, 0xff0000}, {24, 64, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        server = server_24();
        server.depth = bad[i].depth;
        server.bits = bad[i].bits;
        server.mask[0] = bad[i].red;
        display = start(47, 31);
        CHECK(!display && says("no TrueColor visual"), "a screen of %d bits in %d, red %x",
              bad[i].depth, bad[i].bits, bad[i].red);
        stop(&display);
    }
}

static void test_shared_memory_trouble(void)
{
    for (int how = 0; how < 2; how++) {
        server = server_24();
        server.shm = how ? SHM_CANNOT_PUT : SHM_CANNOT_ATTACH;
        struct vi_display *display = start(47, 31);
        bool good = display != NULL;
        for (int i = 0; i < 3 && good; i++) {
            good = !vi_display_show(display, &picture);
            settle(display);
        }
        CHECK(good && shows(&picture, 0, 0) && server.puts >= 2 && server.shared_puts == 0 &&
                  server.wrong == 0,
              "shared memory that cannot be %s: pictures go through the socket",
              how ? "shown" : "attached");
        stop(&display);
    }
    server = server_24();
    server.shm = SHM_WORKS;
    server_start(&server, -1);
    struct vi_display *display;
    server_link.local = false;
    bool good = !server_display(&display, context, server.client, 47, 31) &&
                !vi_display_show(display, &picture);
    if (good) settle(display);
    CHECK(good && server.puts == 1 && server.shared_puts == 0,
          "a server elsewhere is not asked to share");
    stop(&display);
    server_link.local = true;
}

/* Opens, shows two pictures, polls; the first error. */
static enum nn_status session(struct vi_display **display)
{
    struct vi_event event;
    server_start(&server, -1);
    enum nn_status status = server_display(display, context, server.client, 47, 31);
    for (int i = 0; i < 3 && !status; i++) {
        status = vi_display_show(*display, &picture);
        if (!status) settle(*display);
        if (!status) status = vi_display_poll(*display, &event);
    }
    return status;
}

static void test_death(void)
{
    struct vi_display *display;
    struct vi_event event;
    int wrong = 0, count = 0;
    for (int shm = 0; shm < 2; shm++) {
        int all = 1000;
        for (int at = 0; at <= all; at++, count++) {
            server = server_24();
            server.shm = shm ? SHM_WORKS : SHM_NONE;
            server.dies_at = at;
            enum nn_status status = session(&display);
            if (at == 0) all = server.requests; /* nobody died: so many there are */
            if (status != (at ? NN_ERROR_IO : NN_OK)) {
                /* The last request's death shows with the next one. */
                wrong += !(display && vi_display_poll(display, &event) == NN_ERROR_IO);
            }
            if (display && at && vi_display_show(display, &picture) != NN_ERROR_IO) wrong++;
            stop(&display);
        }
    }
    CHECK(count > 40 && wrong == 0,
          "a server that dies at any of %d requests: %d times not noticed", count, wrong);
    double begin = vi_clock();
    server_link.patience = 60;
    int errors = 0;
    static const int from[] = {1, 3, 9, 17, 18, 20, 22};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        server = server_24();
        server.mute_from = from[i];
        errors += session(&display) == NN_ERROR_IO && says("does not answer");
        stop(&display);
    }
    CHECK(errors == sizeof from / sizeof *from && vi_clock() - begin < 20,
          "a server that says no more: %d of %zu times noticed", errors,
          sizeof from / sizeof *from);
    server_link.patience = -1;
}

static void test_errors(void)
{
    struct vi_display *display;
    int hung = 0, last = 1, told = 0;
    for (int at = 1; at <= last; at++) {
        server = server_24();
        server.shm = at & 1 ? SHM_WORKS : SHM_NONE;
        server.error_at = at;
        enum nn_status status = session(&display);
        if (server.requests >= at) last = at + 1;
        hung += status && strstr(nn_error(context), "answer") != NULL;
        told += status && strstr(nn_error(context), "BadAlloc") != NULL;
        stop(&display);
    }
    CHECK(last > 20 && hung == 0 && told >= 4,
          "an error as answer to any of %d requests: %d told, %d waited for ever", last, told,
          hung);
}

/* A server that reads nothing any more. */
static void test_deaf(void)
{
    struct vi_display *display;
    int ends[2];
    server = server_24();
    enum nn_status status = session(&display);
    size_t said = server.said;
    stop(&display);
    if (status || socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
    if (send(ends[0], server.log, said, 0) != (ssize_t)said) abort();
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int));
    server_link.patience = 50;
    status = server_display(&display, context, ends[1], 256, 256);
    for (int i = 0; i < 200 && !status; i++) status = vi_display_show(display, &picture);
    CHECK(status == NN_ERROR_IO && (says("takes nothing") || says("does not answer")),
          "a server that reads no more: an error, no hanging");
    vi_display_close(&display);
    close(ends[0]);
    server_link.patience = -1;
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    server_link.patience = -1;
    paint(&picture, 47, 31, 1);
    paint(&other, 47, 31, 2);
    for (int i = 0; i < 3; i++) { /* corners that are not black */
        picture.pixels[i] = picture.pixels[30 * picture.stride + 46 * 3 + i] = 200;
        picture.pixels[46 * 3 + i] = picture.pixels[30 * picture.stride + i] = 200;
    }
    test_screens();
    test_sizes();
    test_window();
    test_keys();
    test_refusals();
    test_shared_memory_trouble();
    test_death();
    test_errors();
    test_deaf();
    vi_image_free(context, &picture);
    vi_image_free(context, &other);
    CHECK(nn_bytes_allocated(context) == before, "all memory is given back");
    nn_close(&context);
    return test_done();
}
