/*
 * x11_setup.c — the first words between us and an X server: who we are, and what screens it has.
 *
 * Where our numbers come from (protocol, chapter 8, and appendix B, "connection setup"):
 *
 *     answer   8 bytes: 0 refused, 1 welcome, 2 more proof wanted ... its length in words at 6
 *     welcome 32 bytes: numbers for our things, limits, counts; then the vendor's name,
 *              8 bytes per pixmap format, and the screens:
 *     screen  40 bytes, and its depths: 8 bytes, and their visuals: 24 bytes each
 */
#include "vision/display/x11.h"

#include <string.h>

enum { TRUE_COLOR = 4, IDS = 4, MIN_REQUEST = 4096 };

struct reader {
    const uint8_t *at;
    size_t left;
};

/* The next bytes; NULL: there are not so many. */
static const uint8_t *next(struct reader *reader, size_t size)
{
    const uint8_t *bytes = reader->at;
    if (size > reader->left) return NULL;
    reader->at += size;
    reader->left -= size;
    return bytes;
}

/* ---- hello ----------------------------------------------------------------------------------- */

static enum nn_status say_hello(struct vi_x11 *x, const struct vi_x11_cookie *cookie)
{
    static const char method[] = "MIT-MAGIC-COOKIE-1";
    const uint16_t one = 1;
    uint8_t little, hello[12 + 20 + sizeof cookie->bytes] = {0};
    memcpy(&little, &one, 1);
    uint16_t words[5] = {11, 0, cookie->size ? sizeof method - 1 : 0, (uint16_t)cookie->size, 0};
    hello[0] = little ? 'l' : 'B';
    memcpy(hello + 2, words, sizeof words);
    if (cookie->size == 0) return vi_x11_send(x, hello, 12);
    memcpy(hello + 12, method, sizeof method - 1);
    memcpy(hello + 32, cookie->bytes, cookie->size);
    return vi_x11_send(x, hello, 32 + ((cookie->size + 3) & ~(size_t)3));
}

static enum nn_status refused(struct vi_x11 *x, const uint8_t *reason, size_t size, bool cookie)
{
    char text[256], quoted[NN_QUOTED];
    while (size && (reason[size - 1] == '\0' || reason[size - 1] == '\n')) size--;
    if (size >= sizeof text) size = sizeof text - 1;
    memcpy(text, reason, size);
    text[size] = '\0';
    vi_x11_lost(x, "refuses the connection", 0);
    return nn_fail(x->context, NN_ERROR_IO, "the X server %s refuses the connection: %s (%s)",
                   x->name, nn_quote(quoted, text),
                   cookie ? "the cookie in the Xauthority file may be an old one"
                          : "there is no cookie for it in $XAUTHORITY or ~/.Xauthority");
}

/* ---- screens --------------------------------------------------------------------------------- */

struct formats {
    const uint8_t *at;
    int count;
    bool big_endian;
};

/* Takes a visual if it is better than the one so far: the root's costs the server nothing to
 * convert; 32 bits have transparency, which we have to fill in. */
static void consider(struct vi_x11 *x, const struct formats *formats, int depth,
                     const uint8_t *visual, bool is_root, int *best)
{
    struct vi_pixel_format format = {.big_endian = formats->big_endian};
    int worth = is_root ? 4 : depth == 24 ? 3 : depth == 32 ? 1 : 2;
    const uint8_t *entry = formats->at, *end = entry + 8 * formats->count;
    while (entry < end && entry[0] != depth) entry += 8;
    if (worth <= *best || visual[4] != TRUE_COLOR || entry == end) return;
    if (entry[2] != 8 && entry[2] != 16 && entry[2] != 32) return;
    format.bits = entry[1];
    for (int c = 0; c < 3; c++) format.mask[c] = vi_x11_32(visual + 8 + 4 * c);
    if (depth == 32) format.set = ~(format.mask[0] | format.mask[1] | format.mask[2]);
    if (!vi_packer_set(&x->packer, &format)) return;
    *best = worth;
    x->scanline_pad = entry[2];
    x->black = format.set;
    x->depth = depth;
    x->visual = vi_x11_32(visual);
}

/* Passes over a screen, or takes its best visual. False: it is cut off. */
static bool read_screen(struct vi_x11 *x, struct reader *reader, const struct formats *formats,
                        bool wanted)
{
    const uint8_t *screen = next(reader, 40);
    int best = 0;
    if (!screen) return false;
    for (int i = screen[39]; i > 0; i--) {
        const uint8_t *depth = next(reader, 8);
        if (!depth) return false;
        for (int k = vi_x11_16(depth + 2); k > 0; k--) {
            const uint8_t *visual = next(reader, 24);
            if (!visual) return false;
            bool is_root = vi_x11_32(visual) == vi_x11_32(screen + 32);
            if (wanted) consider(x, formats, depth[0], visual, is_root, &best);
        }
    }
    if (!wanted) return true;
    x->root = vi_x11_32(screen);
    x->root_width = vi_x11_16(screen + 20);
    x->root_height = vi_x11_16(screen + 22);
    return true;
}

/* What the server's bits leave us to name our things with. */
static bool take_ids(struct vi_x11 *x, const uint8_t *welcome)
{
    uint32_t base = vi_x11_32(welcome + 4), mask = vi_x11_32(welcome + 8);
    uint32_t *ids[IDS] = {&x->window, &x->gc, &x->colormap, &x->segment};
    uint32_t unit = mask & (~mask + 1);
    for (uint32_t i = 0; i < IDS; i++) *ids[i] = base | unit * (i + 1);
    return unit && ((uint64_t)unit * 7 & ~(uint64_t)mask) == 0; /* 1 to 4 fit in */
}

static enum nn_status read_welcome(struct vi_x11 *x, struct reader reader, int screen)
{
    const uint8_t *welcome = next(&reader, 32);
    struct formats formats = {0};
    bool good = welcome && take_ids(x, welcome);
    if (good) {
        formats.count = welcome[21];
        formats.big_endian = welcome[22] != 0;
        x->max_request = vi_x11_16(welcome + 18) * 4U;
        x->min_keycode = welcome[26];
        x->max_keycode = welcome[27];
        good = next(&reader, (vi_x11_16(welcome + 16) + 3U) & ~3U) &&
               (formats.at = next(&reader, 8 * (size_t)formats.count)) != NULL &&
               x->max_request >= MIN_REQUEST && x->min_keycode <= x->max_keycode;
    }
    if (good && screen >= welcome[20])
        return nn_fail(x->context, NN_ERROR_ARGUMENT, "the X server %s has no screen %d: it has %d",
                       x->name, screen, welcome[20]);
    for (int i = 0; i <= screen && good; i++) good = read_screen(x, &reader, &formats, i == screen);
    if (!good || !x->root_width || !x->root_height)
        return nn_fail(x->context, NN_ERROR_FORMAT,
                       "what calls itself the X server %s sends a greeting that makes no sense",
                       x->name);
    if (!x->visual)
        return nn_fail(x->context, NN_ERROR_UNSUPPORTED,
                       "the X server %s has no TrueColor visual of 16, 24 or 32 bits", x->name);
    return NN_OK;
}

enum nn_status vi_x11_setup(struct vi_x11 *x, const struct vi_x11_cookie *cookie, int screen)
{
    enum { REFUSED, WELCOME, PROOF };
    double until = vi_clock() + x->patience * 1e-3;
    const uint8_t *head = NULL;
    enum nn_status status = say_hello(x, cookie);
    if (!status) status = vi_x11_peek(x, &head, 8, until);
    if (status) return status;
    if (!head) return vi_x11_lost(x, "does not answer", 0);
    size_t size = 8 + (size_t)vi_x11_16(head + 6) * 4;
    status = vi_x11_peek(x, &head, size, until);
    if (status) return status;
    if (!head) return vi_x11_lost(x, "does not answer", 0);
    if (head[0] == REFUSED || head[0] == PROOF) {
        size_t words = head[0] == REFUSED && head[1] < size - 8 ? head[1] : size - 8;
        return refused(x, head + 8, words, cookie->size != 0);
    }
    if (head[0] == WELCOME)
        status = read_welcome(x, (struct reader){head + 8, size - 8}, screen);
    else
        status = nn_fail(x->context, NN_ERROR_FORMAT, "what answers at %s is no X server", x->name);
    vi_x11_take(x, size);
    return status;
}
