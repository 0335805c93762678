/*
 * test_display_terminal.c — pictures in a terminal: what goes to a pseudo-terminal is read by a
 * small terminal of our own, and its cells are compared; keys, modes, sizes, a terminal that does
 * not read.
 */
#include "tests/test.h"
#include "vision/display/display.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { WIDE = 200, HIGH = 100 };

static struct nn_context *context;

/* ---- a terminal ------------------------------------------------------------------------------ */

static struct {
    int master, slave;
    char name[64];
    int columns, rows;
    struct {
        uint32_t top, bottom;
    } cell[HIGH][WIDE];
    uint32_t front, back;
    int x, y;
    bool alternate, cursor, wraps, updating;
    char text[HIGH][WIDE + 1]; /* letters, where there are no blocks */
    size_t bytes, updates;     /* that came */
    int wrong;                 /* what no terminal should get */
    char pending[64];          /* a sequence that has not ended */
    size_t pending_size;
} tty;

static void set_size(int columns, int rows)
{
    struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
    if (ioctl(tty.slave, TIOCSWINSZ, &size)) abort();
    tty.columns = columns;
    tty.rows = rows;
}

static void open_tty(void)
{
    tty.master = posix_openpt(O_RDWR | O_NOCTTY);
    if (tty.master < 0 || grantpt(tty.master) || unlockpt(tty.master)) abort();
    snprintf(tty.name, sizeof tty.name, "%s", ptsname(tty.master));
    tty.slave = open(tty.name, O_RDWR | O_NOCTTY);
    if (tty.slave < 0) abort();
    fcntl(tty.master, F_SETFL, O_NONBLOCK);
    tty.cursor = tty.wraps = true;
}

static uint32_t of_256(int n)
{
    static const uint8_t levels[] = {0, 95, 135, 175, 215, 255};
    uint32_t grey = (uint32_t)(8 + 10 * (n - 232));
    if (n >= 232) return grey << 16 | grey << 8 | grey;
    n -= 16;
    if (n < 0) return 0xabcdef; /* the terminal's own colours: not to be used */
    return (uint32_t)levels[n / 36] << 16 | (uint32_t)levels[n / 6 % 6] << 8 | levels[n % 6];
}

static void set_colors(const int *numbers, int count)
{
    if (count <= 1 && numbers[0] == 0) {
        tty.front = 0xffffff;
        tty.back = 0;
        return;
    }
    uint32_t color = count == 5   ? (uint32_t)(numbers[2] << 16 | numbers[3] << 8 | numbers[4])
                     : count == 3 ? of_256(numbers[2])
                                  : 0;
    bool good = (count == 5 && numbers[1] == 2) || (count == 3 && numbers[1] == 5);
    if (good && numbers[0] == 38)
        tty.front = color;
    else if (good && numbers[0] == 48)
        tty.back = color;
    else
        tty.wrong++;
}

static void set_mode(const char *text, bool on)
{
    if (strcmp(text, "?1049") == 0)
        tty.alternate = on;
    else if (strcmp(text, "?25") == 0)
        tty.cursor = on;
    else if (strcmp(text, "?7") == 0)
        tty.wraps = on;
    else if (strcmp(text, "?2026") == 0)
        tty.updating = on, tty.updates += on;
    else
        tty.wrong++;
}

static void do_sequence(char *text, char end)
{
    int numbers[6] = {0}, count = 0;
    if (end == 'h' || end == 'l') {
        set_mode(text, end == 'h');
        return;
    }
    for (char *at = text; count < 6; at++) {
        numbers[count++] = (int)strtol(at, &at, 10);
        if (*at != ';') break;
    }
    if (end == 'm') {
        set_colors(numbers, count);
    } else if (end == 'H' && count == 2) {
        tty.y = numbers[0] - 1;
        tty.x = numbers[1] - 1;
    } else if (end == 'J' && numbers[0] == 2) {
        for (int y = 0; y < HIGH; y++)
            for (int x = 0; x < WIDE; x++) {
                tty.cell[y][x].top = tty.cell[y][x].bottom = tty.back;
                tty.text[y][x] = ' ';
            }
    } else if (end == 'K' && numbers[0] == 0) {
        for (int x = tty.x; x < WIDE; x++) tty.text[tty.y][x] = ' ';
    } else {
        tty.wrong++;
    }
}

static void put(uint32_t top, uint32_t bottom)
{
    if (tty.x < 0 || tty.x >= tty.columns || tty.y < 0 || tty.y >= tty.rows) {
        tty.wrong++;
        return;
    }
    tty.cell[tty.y][tty.x].top = top;
    tty.cell[tty.y][tty.x++].bottom = bottom;
}

static void take_byte(char byte)
{
    tty.pending[tty.pending_size++] = byte;
    tty.pending[tty.pending_size] = '\0';
    char first = tty.pending[0];
    size_t size = tty.pending_size;
    if (byte == 24) { /* CAN */
    } else if (first == 27) {
        if (size < 3 || strchr("0123456789;?", byte)) {
            if (size < sizeof tty.pending - 1) return;
            tty.wrong++;
        } else {
            tty.pending[size - 1] = '\0';
            do_sequence(tty.pending + 2, byte);
        }
    } else if (first == ' ') {
        put(tty.back, tty.back);
    } else if (first == '\xe2') {
        if (size < 3) return;
        if (memcmp(tty.pending, "\xe2\x96\x80", 3) != 0) tty.wrong++;
        put(tty.front, tty.back);
    } else if (first > ' ' && first <= '~' && tty.back == 0 && tty.front == 0xffffff) {
        put(tty.back, tty.back);
        tty.text[tty.y][tty.x - 1] = first;
    } else {
        tty.wrong++;
    }
    tty.pending_size = 0;
}

/* Reads what came, at most so much; returns how much. */
static size_t take(size_t most)
{
    static char bytes[1 << 16];
    size_t all = 0;
    ssize_t got;
    while (all < most && (got = read(tty.master, bytes,
                                     most - all < sizeof bytes ? most - all : sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < got; i++) take_byte(bytes[i]);
        all += (size_t)got;
    }
    tty.bytes += all;
    return all;
}

/* ---- pictures -------------------------------------------------------------------------------- */

static struct vi_display *start(void)
{
    struct vi_display *display = NULL;
    struct vi_display_options options = {.kind = "terminal", .name = tty.name};
    if (vi_display_open(&display, context, &options)) printf("# %s\n", nn_error(context));
    take(SIZE_MAX);
    return display;
}

/* Shows it until all has arrived. */
static bool show(struct vi_display *display, const struct vi_image *image)
{
    struct vi_event event;
    if (vi_display_show(display, image)) return false;
    for (int quiet = 0; quiet < 3; quiet++) {
        if (take(SIZE_MAX)) quiet = 0;
        if (vi_display_poll(display, &event)) return false;
    }
    return true;
}

static void paint(struct vi_image *image, int width, int height, unsigned seed)
{
    struct nn_rng rng = nn_rng_make(seed, 1);
    if (vi_image_new(image, context, width, height, 3)) abort();
    for (int i = 0; i < width * height * 3; i++) image->pixels[i] = (uint8_t)nn_rng_u32(&rng);
}

static int apart(uint32_t a, const uint8_t *b)
{
    int most = 0;
    for (int c = 0; c < 3; c++) {
        int difference = abs((int)(a >> (16 - 8 * c) & 255) - (b ? b[c] : 0));
        if (difference > most) most = difference;
    }
    return most;
}

/* Do the cells show the picture at (left, top), in pixels, and black around it? The largest
 * difference. */
static int difference(const struct vi_image *image, int left, int top)
{
    int most = 0;
    for (int y = 0; y < 2 * tty.rows; y++)
        for (int x = 0; x < tty.columns; x++) {
            int px = x - left, py = y - top;
            bool inside = px >= 0 && px < image->width && py >= 0 && py < image->height;
            uint32_t has = y & 1 ? tty.cell[y / 2][x].bottom : tty.cell[y / 2][x].top;
            int off = apart(has, inside ? image->pixels + py * image->stride + 3 * px : NULL);
            if (off > most) most = off;
        }
    return most;
}

static void test_pictures(void)
{
    struct vi_image image;
    setenv("COLORTERM", "truecolor", 1);
    set_size(40, 12);
    paint(&image, 40, 24, 1);
    struct vi_display *display = start();
    if (!CHECK(display && strcmp(vi_display_kind(display), "terminal") == 0, "it opens")) return;
    CHECK(tty.alternate && !tty.cursor && !tty.wraps,
          "a screen of its own, no cursor, no wrapping");
    CHECK(show(display, &image) && difference(&image, 0, 0) == 0 && tty.wrong == 0,
          "each cell has its two pixels");
    size_t before = tty.bytes, updates = tty.updates;
    CHECK(show(display, &image) && tty.bytes == before, "the same once more: nothing is sent");
    image.pixels[5 * image.stride + 7 * 3] ^= 2;
    CHECK(show(display, &image) && tty.bytes == before, "a difference that nobody sees: nothing");
    image.pixels[5 * image.stride + 7 * 3] ^= 0xf2;
    bool good = show(display, &image) && difference(&image, 0, 0) == 0;
    CHECK(good && tty.bytes - before < 70 && tty.updates == updates + 1 && !tty.updating,
          "a pixel: %zu bytes, in one update", tty.bytes - before);
    vi_fill(&image, (struct vi_rgb){10, 200, 30});
    before = tty.bytes;
    good = show(display, &image) && difference(&image, 0, 0) == 0;
    CHECK(good && tty.bytes - before < 40 * 24, "one colour: %zu bytes", tty.bytes - before);
    size_t allocations = nn_allocations(context);
    for (int i = 0; i < 20; i++) {
        image.pixels[i * 33] ^= 0x80;
        show(display, &image);
    }
    CHECK(nn_allocations(context) == allocations && difference(&image, 0, 0) == 0,
          "showing allocates nothing");
    vi_display_close(&display);
    take(SIZE_MAX);
    CHECK(!tty.alternate && tty.cursor && tty.wraps && !tty.updating && tty.front == 0xffffff &&
              tty.wrong == 0,
          "closed: all is as before");
    vi_image_free(context, &image);
}

static void test_sizes(void)
{
    static const int sizes[][4] = {/* columns, rows, where the picture begins */
                                   {60, 12, 10, 0},
                                   {40, 20, 0, 8},
                                   {41, 12, 0, 0},
                                   {40, 12, 0, 0}};
    struct vi_event event;
    struct vi_image image;
    paint(&image, 40, 24, 2);
    set_size(40, 12);
    struct vi_display *display = start();
    bool good = display && show(display, &image);
    for (int i = 0; i < 4 && good; i++) {
        set_size(sizes[i][0], sizes[i][1]);
        /* It notices when it looks for keys. */
        good = !vi_display_poll(display, &event);
        for (int k = 0; k < 20 && good; k++) {
            take(SIZE_MAX);
            good = !vi_display_poll(display, &event);
        }
        CHECK(good && difference(&image, sizes[i][2], sizes[i][3]) == 0 && tty.wrong == 0,
              "%d x %d cells: in the middle, black around", sizes[i][0], sizes[i][1]);
    }
    static const int odd[][2] = {{1, 1}, {0, 0}, {1, 50}, {150, 1}, {2, 1}, {0, 5}, {200, 99}};
    for (size_t i = 0; i < sizeof odd / sizeof *odd && good; i++) {
        set_size(odd[i][0], odd[i][1]);
        if (!odd[i][0] || !odd[i][1]) tty.columns = 80, tty.rows = 24; /* what it then supposes */
        CHECK(show(display, &image) && show(display, &image) && tty.wrong == 0,
              "%d x %d cells are survived", odd[i][0], odd[i][1]);
    }
    struct vi_image tall;
    paint(&tall, 1, 300, 3);
    CHECK(show(display, &tall), "a picture of one column");
    vi_image_free(context, &tall);
    vi_display_close(&display);
    take(SIZE_MAX);
    vi_image_free(context, &image);
}

/* Is this the last line, from its beginning on, with nothing but space behind? */
static bool reads(const char *text)
{
    const char *line = tty.text[tty.rows - 1];
    size_t size = strlen(text);
    return strncmp(line, text, size) == 0 && strspn(line + size, " ") == WIDE - size;
}

static void test_caption(void)
{
    struct vi_image image;
    paint(&image, 40, 24, 6);
    set_size(40, 13);
    struct vi_display *display = start();
    vi_display_caption(display, "#1 live 0.93");
    CHECK(show(display, &image) && reads("#1 live 0.93") && tty.wrong == 0,
          "a line of text in the last line");
    tty.rows--;
    CHECK(difference(&image, 0, 0) == 0, "the picture above it");
    tty.rows++;
    size_t before = tty.bytes;
    CHECK(show(display, &image) && tty.bytes == before, "the same once more: nothing is sent");
    vi_display_caption(display, "bad\033[2J\xc3");
    CHECK(show(display, &image) && reads("bad?[2J?") && tty.wrong == 0,
          "another; what is no letter is a question mark");
    vi_display_caption(display, "0123456789 0123456789 0123456789 0123456789 0123456789");
    CHECK(show(display, &image) && reads("0123456789 0123456789 0123456789 0123456") &&
              tty.wrong == 0,
          "cut off where the line ends");
    set_size(40, 1);
    CHECK(show(display, &image) && show(display, &image) && reads("") && tty.wrong == 0,
          "one line is the picture's");
    set_size(40, 12);
    vi_display_caption(display, "");
    CHECK(show(display, &image) && show(display, &image) && difference(&image, 0, 0) == 0,
          "none: all is the picture's");
    vi_display_close(&display);
    take(SIZE_MAX);
    vi_image_free(context, &image);
}

/* The sum of squares. */
static int squares(uint32_t a, const uint8_t *b)
{
    int sum = 0;
    for (int c = 0; c < 3; c++) {
        int off = (int)(a >> (16 - 8 * c) & 255) - b[c];
        sum += off * off;
    }
    return sum;
}

static void test_256_colors(void)
{
    struct vi_image image;
    unsetenv("COLORTERM");
    set_size(64, 32);
    paint(&image, 64, 64, 4);
    for (int i = 0; i < 256; i++) memset(image.pixels + 3 * i, i, 3); /* greys */
    struct vi_display *display = start();
    bool good = display && show(display, &image);
    int worse = 0;
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 64; x++) {
            const uint8_t *rgb = image.pixels + 3 * (128 * y + x);
            int least = 1 << 20, has = squares(tty.cell[y][x].top, rgb);
            for (int n = 16; n < 256; n++) {
                int off = squares(of_256(n), rgb);
                if (off < least) least = off;
            }
            worse += has > least + 30;
        }
    CHECK(good && tty.wrong == 0 && worse == 0, "256 colours: the nearest, but for %d", worse);
    vi_display_close(&display);
    take(SIZE_MAX);
    vi_image_free(context, &image);
    setenv("COLORTERM", "24bit", 1);
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* Types, and collects `count` characters; returns how many came. */
static int type(struct vi_display *display, const char *text, int *keys, int count)
{
    struct vi_event event;
    int got = 0;
    double until = vi_clock() + 10;
    if (write(tty.master, text, strlen(text)) < 0) abort();
    while (got < count && vi_clock() < until) {
        if (vi_display_poll(display, &event)) return -1;
        if (event.kind == VI_EVENT_KEY) keys[got++] = event.key;
        take(SIZE_MAX);
    }
    return got;
}

/* Does no character come, not even after a while? */
static bool silent(struct vi_display *display)
{
    struct vi_event event;
    for (int i = 0; i < 3; i++) {
        if (vi_display_poll(display, &event) || event.kind != VI_EVENT_NONE) return false;
        nanosleep(&(struct timespec){.tv_nsec = 80000000}, NULL);
    }
    return true;
}

static void test_keys(void)
{
    struct termios before, during, after;
    int keys[300];
    set_size(10, 5);
    if (tcgetattr(tty.slave, &before)) abort();
    struct vi_display *display = start();
    if (!CHECK(display != NULL, "it opens")) return;
    tcgetattr(tty.slave, &during);
    CHECK(!(during.c_lflag & (ICANON | ECHO)) && during.c_lflag & ISIG,
          "single keys, unseen; Ctrl-C is a signal");
    CHECK(type(display, "qQ \r\x7f\t1", keys, 7) == 7 && keys[0] == 'q' && keys[1] == 'Q' &&
              keys[2] == ' ' && keys[3] == '\n' && keys[4] == '\b' && keys[5] == '\t' &&
              keys[6] == '1',
          "keys, enter, backspace");
    CHECK(type(display, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", keys, 4) == 4 && keys[0] == 0xe9 &&
              keys[1] == 0x20ac && keys[2] == 0x1f600 && keys[3] == 'z',
          "characters of several bytes");
    CHECK(type(display, "\033[A\033[1;5C\033OP\033[15~x", keys, 1) == 1 && keys[0] == 'x' &&
              silent(display),
          "arrows and function keys are no characters");
    CHECK(type(display, "\033", keys, 1) == 1 && keys[0] == 27, "escape alone");
    CHECK(type(display, "\033[", keys, 0) == 0 && silent(display) &&
              type(display, "y", keys, 1) == 1 && keys[0] == 'y',
          "a sequence that never ends");
    CHECK(type(display, "\xff\xc3(w\xe2\x82", keys, 2) == 2 && keys[0] == '(' && keys[1] == 'w' &&
              silent(display),
          "bytes that are no characters");
    char many[301];
    memset(many, 'k', 300);
    many[300] = '\0';
    CHECK(type(display, many, keys, 300) == 300 && keys[299] == 'k' && silent(display),
          "300 keys at once");
    vi_display_close(&display);
    take(SIZE_MAX);
    tcgetattr(tty.slave, &after);
    CHECK(after.c_lflag == before.c_lflag && after.c_iflag == before.c_iflag &&
              memcmp(after.c_cc, before.c_cc, sizeof after.c_cc) == 0,
          "the terminal's modes are as before");
}

/* ---- trouble --------------------------------------------------------------------------------- */

/* Nobody reads: pictures are dropped, whole, and what then arrives is one of them. */
static void test_slow(void)
{
    struct vi_image images[8];
    set_size(150, 60);
    for (unsigned i = 0; i < 8; i++) paint(&images[i], 150, 120, 10 + i);
    struct vi_display *display = start();
    bool good = display != NULL;
    double begin = vi_clock(), longest = 0;
    for (int i = 0; i < 200 && good; i++) {
        double at = vi_clock();
        good = !vi_display_show(display, &images[i % 8]);
        if (vi_clock() - at > longest) longest = vi_clock() - at;
        take(100); /* a modem */
    }
    CHECK(good && vi_clock() - begin < 20, "a terminal that hardly reads: nobody waits for it");
    good = good && show(display, &images[3]) && show(display, &images[3]);
    CHECK(good && difference(&images[3], 0, 0) <= 2 && tty.wrong == 0,
          "then it does, and the last picture is whole");
    vi_display_show(display, &images[5]);
    vi_display_show(display, &images[6]);
    take(1000);
    begin = vi_clock();
    vi_display_close(&display);
    double lasted = vi_clock() - begin;
    take(SIZE_MAX);
    CHECK(lasted < 5 && !tty.alternate && tty.cursor && tty.wraps,
          "closed in the middle of a picture: all is as before");
    tty.wrong = 0;
    for (int i = 0; i < 8; i++) vi_image_free(context, &images[i]);
}

static void test_trouble(void)
{
    struct vi_image image;
    struct vi_event event;
    struct vi_display *display = NULL;
    struct vi_display_options file = {.kind = "terminal", .name = "/dev/null"};
    paint(&image, 40, 24, 5);
    CHECK(vi_display_open(&display, context, &file) == NN_ERROR_IO && !display &&
              strstr(nn_error(context), "'/dev/null'"),
          "what is no terminal: %s", nn_error(context));
    file.name = "/no/such/terminal";
    CHECK(vi_display_open(&display, context, &file) == NN_ERROR_IO && !display, "nothing: %s",
          nn_error(context));
    set_size(40, 12);
    display = start();
    bool good = display && show(display, &image);
    close(tty.master);
    close(tty.slave);
    CHECK(good && vi_display_poll(display, &event) == NN_ERROR_IO &&
              strstr(nn_error(context), "the terminal is gone"),
          "hung up: keys");
    image.pixels[0] ^= 255;
    CHECK(vi_display_show(display, &image) == NN_ERROR_IO, "hung up: pictures");
    vi_display_close(&display);
    vi_image_free(context, &image);
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    open_tty();
    test_pictures();
    test_sizes();
    test_256_colors();
    test_caption();
    test_keys();
    test_slow();
    test_trouble();
    CHECK(nn_bytes_allocated(context) == before, "all memory is given back");
    nn_close(&context);
    return test_done();
}
