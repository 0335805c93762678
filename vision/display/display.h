/*
 * display.h — what the displays share; vision.h has the public part.
 *
 * A display is one file that ends in one `struct vi_display_kind`; display.c lists them and does
 * what is the same for all: choosing, checking, keeping the last picture to show it once more.
 */
#ifndef VISION_DISPLAY_DISPLAY_H
#define VISION_DISPLAY_DISPLAY_H

#include "vision/vision.h"

#include <sys/types.h>
#include <termios.h>

/* ---- scale.c: pictures to a screen's size and pixels ------------------------------------------
 */

/* How a picture lies on a screen: as large as fits, proportions kept, in the middle. Memory only
 * grows, and only when sizes change. */
struct vi_fit {
    int x, y, width, height; /* on the screen; at least 1 x 1 */
    bool moved;              /* by the last vi_fit_begin: what is around it needs to be cleared */
    /* scale.c's own */
    struct vi_image picture;
    int screen_width, screen_height;
    struct vi_fit_column *columns;
    uint64_t *sums;
    uint8_t *rows; /* three: two of the picture's with the screen's columns, and what is between */
    size_t capacity;
    int row_of[2]; /* which of the picture's rows they are; -1: none */
};
/* The picture, RGB, is used by vi_fit_row, until the next vi_fit_begin. */
enum nn_status vi_fit_begin(struct vi_fit *fit, struct nn_context *context,
                            const struct vi_image *picture, int screen_width, int screen_height);
/* Row y of fit->height: fit->width RGB pixels, valid until the next call. Bilinear, or the mean of
 * the pixels that fall together where the picture is at least twice as large. Rows are cheapest
 * from top to bottom. */
const uint8_t *vi_fit_row(struct vi_fit *fit, int y);
void vi_fit_free(struct vi_fit *fit, struct nn_context *context);

/* RGB to a screen's pixels, by a table per channel. */
struct vi_packer {
    int bits; /* per pixel: 16, 24 or 32 */
    uint32_t table[3][256];
};
struct vi_pixel_format {
    int bits;
    uint32_t mask[3]; /* red, green, blue */
    uint32_t set;     /* bits that are always 1: where alpha is, and means something */
    bool big_endian;  /* in memory the highest byte comes first */
};
/* False: pixels of this kind cannot be written. */
bool vi_packer_set(struct vi_packer *packer, const struct vi_pixel_format *format);
void vi_pack_row(const struct vi_packer *packer, void *to, const uint8_t *rgb, int count);

/* ---- keyboard.c: keys from a terminal ----------------------------------------------------------
 */

struct vi_keyboard {
    int input; /* -1: none */
    bool raw;  /* `before` is what to go back to */
    struct termios before;
    uint8_t bytes[64]; /* typed, not yet handed out */
    size_t size;
    double since; /* when the last of them came */
};
/* Takes single keys, unseen, from the descriptor, if it is a terminal that is ours to read. Ctrl-C
 * stays a signal. The descriptor remains the caller's. */
void vi_keyboard_open(struct vi_keyboard *keyboard, int input);
/* The next key, 0 if there is none. Arrows and other keys without a character are left out. */
int vi_keyboard_key(struct vi_keyboard *keyboard);
void vi_keyboard_close(struct vi_keyboard *keyboard);

/* ---- kinds -------------------------------------------------------------------------------------
 */

struct vi_display_kind {
    const char *name;
    bool redraws; /* it may lose what it shows: the last picture is kept */
    /* Sets display->state; `close` is called whatever comes. */
    enum nn_status (*open)(struct vi_display *display);
    enum nn_status (*show)(struct vi_display *display, const struct vi_image *image);
    enum nn_status (*poll)(struct vi_display *display, struct vi_event *event);
    void (*close)(struct vi_display *display);
};

struct vi_display {
    struct nn_context *context;
    const struct vi_display_kind *kind;
    struct vi_display_options options; /* defaults filled in; texts only while it is opened */
    void *state;                       /* the kind's own */
    struct vi_fit fit;
    struct vi_image last; /* what was shown, if kind->redraws */
    bool stale;           /* the kind wants it shown again */
    char caption[256];
};

/* vi_display_open with one kind. */
enum nn_status vi_display_from(struct vi_display **display, struct nn_context *context,
                               const struct vi_display_kind *kind,
                               const struct vi_display_options *options);

extern const struct vi_display_kind vi_display_x11, vi_display_framebuffer, vi_display_terminal,
    vi_display_none;

/* framebuffer.c: what it asks of the system; tests play another one. */
struct vi_framebuffer_system {
    int (*open)(const char *path);
    int (*control)(int device, unsigned long request, void *argument);
    void *(*map)(int device, size_t size); /* NULL: errno says why */
    void (*unmap)(void *memory, size_t size);
    void (*close)(int device);
};
enum nn_status vi_framebuffer_open(struct vi_display *display,
                                   const struct vi_framebuffer_system *system);

#endif
