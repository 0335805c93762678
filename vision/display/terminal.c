/*
 * terminal.c — pictures in a terminal, over ssh too.
 *
 * A cell shows two pixels, one above the other: the character "upper half block" (U+2580), the
 * upper one in its colour, the lower one in the background's. Only cells that changed are sent. A
 * terminal that takes bytes slowly gets fewer pictures, never a queue of them. Letters in a picture
 * cannot be read: the last line is for a caption.
 *
 * Control sequences: ECMA-48 (cursor, colours), xterm's "ctlseqs" (alternate screen 1049, cursor
 * 25, wrap 7), and mode 2026, by which a terminal shows a whole picture at once; one that does not
 * know it passes over it.
 */
#include "vision/display/display.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLEAR "\033[0m\033[2J"
#define BEGIN "\033[?2026h"
#define END   "\033[?2026l"
#define ENTER "\033[?1049h\033[?25l\033[?7l" CLEAR
/* 24 (CAN) ends a sequence that was cut off. */
#define LEAVE "\030" END "\033[0m\033[?7h\033[?25h\033[?1049l"

enum {
    MAX_COLUMNS = 1024,
    MAX_ROWS = 512,
    CELL_BYTES = 64,      /* place, two colours, character, at most */
    FRAME_BYTES = 384,    /* before and behind the cells, the caption among them */
    UNKNOWN = 0x7f000000, /* no colour */
    UNSEEN = 2            /* a channel's difference that is not worth sending */
};
static const double PATIENCE = 0.5; /* seconds, for the last bytes */

struct cell {
    uint32_t top, bottom; /* 0xRRGGBB, or the number of one of 256 colours */
};

struct place { /* for the picture */
    int columns, rows;
    bool captioned; /* a line more, below */
};

struct terminal {
    int output; /* non-blocking, our own */
    int keys;   /* where keys come from, if not from `output`; -1: none */
    bool entered;
    bool true_color;
    struct place place;
    struct cell *cells; /* what it shows, or will when all is sent */
    char *out;          /* [sent, size) is on its way */
    size_t sent, size, capacity;
    uint8_t *above;    /* a row of the picture */
    char caption[256]; /* that is below it */
    struct cell pen;   /* the colours in use: top is the character's */
    struct vi_keyboard keyboard;
};

/* ---- bytes ----------------------------------------------------------------------------------- */

static enum nn_status gone(struct vi_display *display, int code)
{
    return nn_fail(display->context, NN_ERROR_IO, "the terminal is gone: %s", strerror(code));
}

/* Sends what it takes now. */
static enum nn_status flush(struct vi_display *display)
{
    struct terminal *terminal = display->state;
    while (terminal->sent < terminal->size) {
        ssize_t put = write(terminal->output, terminal->out + terminal->sent,
                            terminal->size - terminal->sent);
        if (put > 0)
            terminal->sent += (size_t)put;
        else if (put == 0 || errno == EAGAIN || errno == EWOULDBLOCK)
            return NN_OK;
        else if (errno != EINTR)
            return gone(display, errno);
    }
    terminal->sent = terminal->size = 0;
    return NN_OK;
}

/* Room was made for all that a picture may need. */
static void add(struct terminal *terminal, const char *text, size_t size)
{
    assert(size <= terminal->capacity - terminal->size);
    memcpy(terminal->out + terminal->size, text, size);
    terminal->size += size;
}

/* "\033[1;2;3m" */
static void add_sequence(struct terminal *terminal, const uint32_t *numbers, int count, char end)
{
    char text[40], *at = text;
    *at++ = '\033';
    for (int i = 0; i < count; i++) {
        uint32_t number = numbers[i], unit = 1;
        *at++ = i ? ';' : '[';
        while (number / unit > 9) unit *= 10;
        for (; unit; unit /= 10) *at++ = (char)('0' + number / unit % 10);
    }
    *at++ = end;
    add(terminal, text, (size_t)(at - text));
}

/* ---- size ------------------------------------------------------------------------------------ */

/* Serial lines have no size: then 80 x 24, as everywhere. The last line is the caption's, if there
 * is one, and another line for the picture. */
static struct place measure(const struct vi_display *display)
{
    const struct terminal *terminal = display->state;
    struct winsize size = {0, 0, 0, 0};
    if (ioctl(terminal->output, TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row)
        size = (struct winsize){.ws_col = 80, .ws_row = 24};
    struct place place = {.columns = size.ws_col < MAX_COLUMNS ? size.ws_col : MAX_COLUMNS,
                          .rows = size.ws_row < MAX_ROWS ? size.ws_row : MAX_ROWS};
    place.captioned = *display->caption && place.rows > 1;
    place.rows -= place.captioned;
    return place;
}

static bool is_same(struct place a, struct place b)
{
    return a.columns == b.columns && a.rows == b.rows && a.captioned == b.captioned;
}

/* Follows the window: then all cells are sent anew. */
static enum nn_status resize(struct vi_display *display)
{
    struct terminal *terminal = display->state;
    struct place place = measure(display);
    size_t count = (size_t)place.columns * (size_t)place.rows;
    size_t needed = count * CELL_BYTES + FRAME_BYTES;
    if (is_same(place, terminal->place)) return NN_OK;
    if (needed > terminal->capacity) {
        struct cell *cells = nn_realloc(display->context, terminal->cells, count, sizeof *cells);
        if (!cells) return NN_ERROR_MEMORY;
        terminal->cells = cells;
        char *out = nn_realloc(display->context, terminal->out, needed, 1);
        if (!out) return NN_ERROR_MEMORY;
        terminal->out = out;
        uint8_t *above = nn_realloc(display->context, terminal->above, count * 3, 1);
        if (!above) return NN_ERROR_MEMORY;
        terminal->above = above;
        terminal->capacity = needed;
    }
    terminal->place = place;
    for (size_t i = 0; i < count; i++) terminal->cells[i] = (struct cell){UNKNOWN, UNKNOWN};
    add(terminal, CLEAR, sizeof CLEAR - 1);
    terminal->caption[0] = '\0';
    terminal->pen = (struct cell){UNKNOWN, UNKNOWN};
    return NN_OK;
}

/* ---- colours --------------------------------------------------------------------------------- */

/* The nearest of xterm's 256: a cube of 6 x 6 x 6 (0, 95, 135, 175, 215, 255) from 16 on, and 24
 * greys (8, 18 ... 238) from 232 on. */
static uint32_t nearest_of_256(const uint8_t *rgb)
{
    int index[3], cube = 0, grey_error = 0;
    int mean = (rgb[0] + rgb[1] + rgb[2]) / 3, step = mean < 4 ? 0 : (mean - 3) / 10;
    if (step > 23) step = 23;
    for (int c = 0; c < 3; c++) {
        index[c] = rgb[c] < 48 ? 0 : rgb[c] < 115 ? 1 : (rgb[c] - 35) / 40;
        int apart = rgb[c] - (index[c] ? 55 + 40 * index[c] : 0), grey = rgb[c] - (8 + 10 * step);
        cube += apart * apart;
        grey_error += grey * grey;
    }
    if (grey_error < cube) return 232U + (uint32_t)step;
    return (uint32_t)(16 + 36 * index[0] + 6 * index[1] + index[2]);
}

static uint32_t color_of(const struct terminal *terminal, const uint8_t *rgb)
{
    if (!terminal->true_color) return nearest_of_256(rgb);
    return (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
}

/* Noise of cameras is not worth its bytes. */
static bool differs(const struct terminal *terminal, uint32_t a, uint32_t b)
{
    if (a == b) return false;
    if (!terminal->true_color || a == UNKNOWN || b == UNKNOWN) return true;
    for (int shift = 0; shift < 24; shift += 8)
        if (abs((int)(a >> shift & 255) - (int)(b >> shift & 255)) > UNSEEN) return true;
    return false;
}

static void set_color(struct terminal *terminal, uint32_t what, uint32_t color)
{
    uint32_t exact[] = {what, 2, color >> 16, color >> 8 & 255, color & 255};
    uint32_t of_256[] = {what, 5, color};
    if (terminal->true_color)
        add_sequence(terminal, exact, 5, 'm');
    else
        add_sequence(terminal, of_256, 3, 'm');
}

/* ---- pictures -------------------------------------------------------------------------------- */

static void add_cell(struct terminal *terminal, struct cell cell)
{
    enum { CHARACTER = 38, BACKGROUND = 48 };
    if (cell.bottom != terminal->pen.bottom) set_color(terminal, BACKGROUND, cell.bottom);
    terminal->pen.bottom = cell.bottom;
    if (cell.top == cell.bottom) {
        add(terminal, " ", 1);
        return;
    }
    if (cell.top != terminal->pen.top) set_color(terminal, CHARACTER, cell.top);
    terminal->pen.top = cell.top;
    add(terminal, "\xe2\x96\x80", 3);
}

/* A line of cells of two rows of the picture, NULL where there is none: black. */
static void add_line(struct terminal *terminal, const struct vi_fit *fit, int line,
                     const uint8_t *above, const uint8_t *below)
{
    static const uint8_t black[3];
    bool there = false; /* the cursor is before this cell */
    for (int x = 0; x < terminal->place.columns; x++) {
        bool inside = x >= fit->x && x < fit->x + fit->width;
        size_t at = inside ? (size_t)(x - fit->x) * 3 : 0;
        struct cell *old =
            &terminal->cells[(size_t)line * (size_t)terminal->place.columns + (size_t)x];
        struct cell cell = {color_of(terminal, inside && above ? above + at : black),
                            color_of(terminal, inside && below ? below + at : black)};
        bool sent =
            differs(terminal, cell.top, old->top) || differs(terminal, cell.bottom, old->bottom);
        if (sent) {
            uint32_t place[] = {(uint32_t)line + 1, (uint32_t)x + 1};
            if (!there) add_sequence(terminal, place, 2, 'H');
            add_cell(terminal, cell);
            *old = cell;
        }
        there = sent;
    }
}

static const uint8_t *row_of(struct vi_fit *fit, int y)
{
    return y >= fit->y && y < fit->y + fit->height ? vi_fit_row(fit, y - fit->y) : NULL;
}

/* In the terminal's own colours, below the picture; cut off where the line ends. */
static void add_caption(struct vi_display *display)
{
    struct terminal *terminal = display->state;
    size_t size = strlen(display->caption), most = (size_t)terminal->place.columns;
    uint32_t place[] = {(uint32_t)terminal->place.rows + 1, 1};
    if (!terminal->place.captioned || strcmp(display->caption, terminal->caption) == 0) return;
    memcpy(terminal->caption, display->caption, sizeof terminal->caption);
    add_sequence(terminal, place, 2, 'H');
    add(terminal, "\033[0m\033[K", 7);
    add(terminal, display->caption, size < most ? size : most);
    terminal->pen = (struct cell){UNKNOWN, UNKNOWN};
}

static enum nn_status show_terminal(struct vi_display *display, const struct vi_image *image)
{
    struct terminal *terminal = display->state;
    struct vi_fit *fit = &display->fit;
    enum nn_status status = flush(display);
    if (status || terminal->size) return status; /* still busy with the last one */
    status = resize(display);
    if (!status)
        status = vi_fit_begin(fit, display->context, image, terminal->place.columns,
                              2 * terminal->place.rows);
    if (status) return status;
    add(terminal, BEGIN, sizeof BEGIN - 1);
    size_t empty = terminal->size;
    for (int line = 0; line < terminal->place.rows; line++) {
        const uint8_t *above = row_of(fit, 2 * line);
        if (above) above = memcpy(terminal->above, above, (size_t)fit->width * 3);
        add_line(terminal, fit, line, above, row_of(fit, 2 * line + 1));
    }
    add_caption(display);
    if (terminal->size == empty) /* nothing has changed */
        terminal->size -= sizeof BEGIN - 1;
    else
        add(terminal, END, sizeof END - 1);
    return flush(display);
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool has_true_color(void)
{
    const char *says = getenv("COLORTERM");
    return says && (strcmp(says, "truecolor") == 0 || strcmp(says, "24bit") == 0);
}

/* Opened anew, so that not waiting is our own affair, and not that of the shell as well. */
static int open_own(const char *path)
{
    return path ? open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) : -1;
}

static enum nn_status open_terminal(struct vi_display *display)
{
    const char *name = display->options.name, *kind = getenv("TERM");
    char quoted[NN_QUOTED];
    struct terminal *terminal = display->state = nn_alloc(display->context, 1, sizeof *terminal);
    if (!terminal) return NN_ERROR_MEMORY;
    terminal->output = terminal->keys = terminal->keyboard.input = -1;
    terminal->true_color = has_true_color();
    if (!name && !isatty(STDOUT_FILENO))
        return nn_fail(display->context, NN_ERROR_IO, "standard output is not a terminal");
    if (!name && kind && strcmp(kind, "dumb") == 0)
        return nn_fail(display->context, NN_ERROR_UNSUPPORTED,
                       "a terminal that calls itself dumb cannot show pictures");
    terminal->output = open_own(name ? name : ttyname(STDOUT_FILENO));
    if (terminal->output < 0 && !name) terminal->output = open_own("/dev/tty");
    if (terminal->output < 0 || !isatty(terminal->output))
        return nn_fail(display->context, NN_ERROR_IO, "cannot open the terminal %s: %s",
                       name ? nn_quote(quoted, name) : "on standard output", strerror(errno));
    if (!name) terminal->keys = isatty(STDIN_FILENO) ? dup(STDIN_FILENO) : open_own("/dev/tty");
    vi_keyboard_open(&terminal->keyboard, name ? terminal->output : terminal->keys);
    enum nn_status status = resize(display);
    if (status) return status;
    terminal->entered = true;
    terminal->size = 0;
    add(terminal, ENTER, sizeof ENTER - 1);
    return flush(display);
}

/* What is still on its way gets a moment, or is thrown away. */
static void leave(struct vi_display *display)
{
    struct terminal *terminal = display->state;
    struct pollfd end = {terminal->output, POLLOUT, 0};
    double until = vi_clock() + PATIENCE;
    for (int tries = 0; tries < 2; tries++) {
        while (!flush(display) && terminal->size && vi_clock() < until) poll(&end, 1, 50);
        if (tries == 0 && terminal->size) tcflush(terminal->output, TCOFLUSH);
        terminal->sent = terminal->size = 0;
        if (tries == 0) add(terminal, LEAVE, sizeof LEAVE - 1);
    }
}

static void close_terminal(struct vi_display *display)
{
    struct terminal *terminal = display->state;
    if (!terminal) return;
    if (terminal->entered) leave(display);
    vi_keyboard_close(&terminal->keyboard);
    if (terminal->keys >= 0) close(terminal->keys);
    if (terminal->output >= 0) close(terminal->output);
    nn_free(display->context, terminal->cells);
    nn_free(display->context, terminal->out);
    nn_free(display->context, terminal->above);
}

static enum nn_status poll_terminal(struct vi_display *display, struct vi_event *event)
{
    struct terminal *terminal = display->state;
    struct pollfd end = {terminal->output, 0, 0};
    int key = vi_keyboard_key(&terminal->keyboard);
    if (key) *event = (struct vi_event){VI_EVENT_KEY, key};
    if (poll(&end, 1, 0) == 1 && end.revents & (POLLHUP | POLLERR)) return gone(display, EIO);
    if (!is_same(measure(display), terminal->place)) display->stale = true;
    return flush(display);
}

const struct vi_display_kind vi_display_terminal = {"terminal",    true,          open_terminal,
                                                    show_terminal, poll_terminal, close_terminal};
