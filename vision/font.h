/*
 * font.h — the built-in stroke font and its typesetting.
 */
#ifndef VISION_FONT_H
#define VISION_FONT_H

#include "vision/vision.h"

/* The grid: baseline 0, height of small letters 29, of capitals 40, descenders to -12. All
 * coordinates lie in [VI_FONT_LOW, VI_FONT_LOW + 64). */
enum { VI_FONT_CAPITAL = 40, VI_FONT_SMALL = 29, VI_FONT_LOW = -14 };

/* One letter: centre lines of round pens. `width` is that of the centre lines, `left` and `right`
 * the space beside the ink. The path is a list of commands and whole numbers:
 *   M x y        move            L x y ...  straight lines      D x y   dot
 *   H x y        quarter curve that leaves horizontally and arrives vertically
 *   V x y        quarter curve that leaves vertically and arrives horizontally
 *   C x y x y x y  cubic Bezier curve */
struct vi_glyph {
    signed char left, width, right;
    const char *path;
};
/* Never NULL: an empty box for bytes that are not printable ASCII. */
const struct vi_glyph *vi_font_glyph(unsigned char byte);

struct vi_type {
    double size;   /* height of a capital, pixels */
    double weight; /* pen as a share of the size; 0: regular */
    bool up;       /* reads from bottom to top; x is then the capitals' top, y where it starts */
};
enum { VI_MAX_CAPTION = 160 };
#define VI_BOLD 0.165

void vi_type_text(const struct vi_image *image, double x, double y, struct vi_type type,
                  enum vi_align align, struct vi_rgb color, const char *text);
double vi_type_width(struct vi_type type, const char *text);
/* Copies `text`, cut and ended with "..." where it would be wider than `width`. */
void vi_type_fit(char out[VI_MAX_CAPTION], struct vi_type type, const char *text, double width);

#endif
