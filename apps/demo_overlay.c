/*
 * demo_overlay.c — boxes, verdicts and figures, drawn into the picture.
 *
 * The built-in font is made of strokes; drawing them takes milliseconds for the text of a frame. So
 * each letter is drawn once, into an atlas of two coverages: the letter, and it with its outline.
 */
#include "apps/demo.h"

#include <math.h>
#include <string.h>

enum { FIRST = ' ', LAST = '~', LETTERS = LAST - FIRST + 1 };

struct demo_overlay {
    struct nn_context *context;
    int size, line, pad; /* of a capital letter; from line to line; outline around a letter */
    int left[LETTERS], advance[LETTERS]; /* x in the atlas; pixels to the next letter */
    struct vi_image letters, outlined;   /* grey */
};

static const struct vi_rgb WHITE = {255, 255, 255}, BLACK = {0, 0, 0};
static const struct vi_rgb COLORS[3] = {
    [VI_UNDECIDED] = {255, 214, 64}, [VI_LIVE] = {84, 240, 110}, [VI_SPOOF] = {255, 92, 78}};

/* ---- letters --------------------------------------------------------------------------------- */

static void make_letters(struct demo_overlay *overlay)
{
    for (int i = 0; i < LETTERS; i++) {
        char text[2] = {(char)(FIRST + i), '\0'};
        double x = overlay->left[i] + overlay->pad, y = overlay->pad;
        vi_draw_text(&overlay->letters, x, y, overlay->size, VI_LEFT, WHITE, text);
        vi_draw_text_outline(&overlay->outlined, x, y, overlay->size, VI_LEFT, WHITE, WHITE, text);
    }
}

enum nn_status demo_overlay_open(struct demo_overlay **overlay, struct nn_context *context,
                                 int width, int height)
{
    struct demo_overlay *made = nn_alloc(context, 1, sizeof *made);
    const int shorter = width < height ? width : height;
    int across = 0;
    *overlay = made;
    if (!made) return NN_ERROR_MEMORY;
    made->context = context;
    made->size = shorter < 360 ? 8 : shorter > 4000 ? 90 : shorter / 45;
    made->pad = 2 + made->size / 8;
    made->line = made->size + made->size / 2 + 2 * made->pad;
    for (int i = 0; i < LETTERS; i++) {
        char text[2] = {(char)(FIRST + i), '\0'};
        made->left[i] = across;
        made->advance[i] = (int)vi_text_width(made->size, text);
        across += made->advance[i] + 2 * made->pad;
    }
    int along = made->size + made->size / 2 + 2 * made->pad; /* with what hangs below the line */
    enum nn_status status = vi_image_new(&made->letters, context, across, along, 1);
    if (!status) status = vi_image_new(&made->outlined, context, across, along, 1);
    if (status)
        demo_overlay_free(overlay);
    else
        make_letters(made);
    return status;
}

void demo_overlay_free(struct demo_overlay **overlay)
{
    if (!*overlay) return;
    vi_image_free((*overlay)->context, &(*overlay)->letters);
    vi_image_free((*overlay)->context, &(*overlay)->outlined);
    nn_free((*overlay)->context, *overlay);
    *overlay = NULL;
}

/* Blends a letter's coverage with its upper left corner at (x, y). */
static void put_letter(const struct vi_image *image, int x, int y, const struct vi_image *coverage,
                       struct vi_rgb color)
{
    int first = x < 0 ? -x : 0, top = y < 0 ? -y : 0;
    int last = coverage->width, bottom = coverage->height;
    if (last > image->width - x) last = image->width - x;
    if (bottom > image->height - y) bottom = image->height - y;
    for (int j = top; j < bottom; j++) {
        const uint8_t *from = coverage->pixels + j * coverage->stride;
        uint8_t *to = image->pixels + (y + j) * image->stride + (ptrdiff_t)(x + first) * 3;
        for (int i = first; i < last; i++, to += 3) {
            int much = from[i];
            if (!much) continue;
            to[0] = (uint8_t)(to[0] + (color.r - to[0]) * much / 255);
            to[1] = (uint8_t)(to[1] + (color.g - to[1]) * much / 255);
            to[2] = (uint8_t)(to[2] + (color.b - to[2]) * much / 255);
        }
    }
}

/* Of a UTF-8 text, what the font has no letter for is a question mark, once. */
static int letter_of(const char *at)
{
    unsigned char c = (unsigned char)*at;
    if ((c & 0xC0) == 0x80) return -1;
    return c >= FIRST && c <= LAST ? c - FIRST : '?' - FIRST;
}

static int text_width(const struct demo_overlay *overlay, const char *text)
{
    int width = 0;
    for (; *text; text++)
        if (letter_of(text) >= 0) width += overlay->advance[letter_of(text)];
    return width;
}

/* y is the top of capital letters. All outlines come first: none may cover a neighbour. */
static void put_text(const struct demo_overlay *overlay, const struct vi_image *image, int x, int y,
                     struct vi_rgb color, const char *text)
{
    for (int pass = 0; pass < 2; pass++) {
        const struct vi_image *atlas = pass ? &overlay->letters : &overlay->outlined;
        int at = x;
        for (const char *c = text; *c; c++) {
            int letter = letter_of(c);
            if (letter < 0) continue;
            struct vi_image one =
                vi_image_crop(atlas, overlay->left[letter], 0,
                              overlay->advance[letter] + 2 * overlay->pad, atlas->height);
            put_letter(image, at - overlay->pad, y - overlay->pad, &one, pass ? color : BLACK);
            at += overlay->advance[letter];
        }
    }
}

/* ---- faces ----------------------------------------------------------------------------------- */

static void put_rect(const struct vi_image *image, int x, int y, int width, int height,
                     struct vi_rgb color)
{
    struct vi_image part = vi_image_crop(image, x, y, width, height);
    for (int j = 0; j < part.height; j++) {
        uint8_t *to = part.pixels + j * part.stride;
        for (int i = 0; i < part.width; i++, to += 3)
            to[0] = color.r, to[1] = color.g, to[2] = color.b;
    }
}

static void put_frame(const struct vi_image *image, int x, int y, int width, int height,
                      int thickness, struct vi_rgb color)
{
    put_rect(image, x, y, width, thickness, color);
    put_rect(image, x, y + height - thickness, width, thickness, color);
    put_rect(image, x, y, thickness, height, color);
    put_rect(image, x + width - thickness, y, thickness, height, color);
}

/* How likely it is live: a bar below the box, empty to full. */
static void put_bar(const struct vi_image *image, int x, int y, int width, int height,
                    const struct demo_face *face)
{
    static const struct vi_rgb dark = {40, 40, 40};
    double share = face->score > 0 ? face->score < 1 ? face->score : 1 : 0;
    put_rect(image, x - 1, y - 1, width + 2, height + 2, BLACK);
    put_rect(image, x, y, width, height, dark);
    put_rect(image, x, y, (int)(share * width + 0.5), height, COLORS[face->answer]);
}

static void put_points(const struct vi_image *image, const struct demo_face *face, int count,
                       int size)
{
    static const struct vi_rgb bright = {120, 255, 255};
    for (int i = 0; face->points && i < count; i++) {
        double x = (double)face->points[i].x, y = (double)face->points[i].y;
        if (!(fabs(x) < 1e6 && fabs(y) < 1e6)) continue;
        int left = (int)floor(x) - size / 2, top = (int)floor(y) - size / 2;
        put_rect(image, left - 1, top - 1, size + 2, size + 2, BLACK);
        put_rect(image, left, top, size, size, bright);
    }
}

static int clamp(int value, int low, int high)
{
    return value > high ? (high < low ? low : high) : value < low ? low : value;
}

static void put_face(const struct demo_overlay *overlay, const struct vi_image *image,
                     const struct demo_frame *frame, const struct demo_face *face,
                     const struct demo_hud *hud)
{
    char text[128];
    const int unit = overlay->size, line = 1 + unit / 8, bar = 1 + unit / 3;
    const struct vi_rgb color = COLORS[face->answer];
    int x = (int)lrintf(face->box.x1), y = (int)lrintf(face->box.y1);
    int width = (int)lrintf(face->box.x2) - x, height = (int)lrintf(face->box.y2) - y;
    put_frame(image, x - 1, y - 1, width + 2, height + 2, line + 2, BLACK);
    put_frame(image, x, y, width, height, line, color);
    if (hud->landmarks) put_points(image, face, frame->point_count, line > 1 ? line : 1);
    put_bar(image, x, clamp(y + height + 3, 0, image->height - bar - 2), width, bar, face);
    snprintf(text, sizeof text, "%s%s%s", vi_answer_name(face->answer), *face->reason ? ": " : "",
             face->reason);
    int left = clamp(x, overlay->pad, image->width - text_width(overlay, text) - overlay->pad);
    int top = y - unit - unit / 2;
    if (top < overlay->pad) top = y + line + unit / 2;
    put_text(overlay, image, left, top, color, text);
    snprintf(text, sizeof text, "#%lld  %.2f", (long long)face->id, face->score);
    if (face->points || face->blink.count) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "  %d blink%s%s", face->blink.count,
                 face->blink.count == 1 ? "" : "s", face->blink.closed ? "  -" : "");
    }
    left = clamp(x, overlay->pad, image->width - text_width(overlay, text) - overlay->pad);
    top = y + height + bar + unit / 2 + 3;
    if (top + unit + overlay->pad > image->height) top = y + height - line - unit - unit / 2;
    put_text(overlay, image, left, top, WHITE, text);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void darken(const struct vi_image *part)
{
    for (int j = 0; j < part->height; j++) {
        uint8_t *to = part->pixels + j * part->stride;
        for (int i = 0; i < 3 * part->width; i++) to[i] = (uint8_t)(to[i] / 4);
    }
}

static void put_help(const struct demo_overlay *overlay, const struct vi_image *image)
{
    static const char *const lines[] = {
        "h  this help",
        "q  end",
        "p  pause, and go on",
        "l  landmarks on, off",
        "s  save this picture",
        "r  save the largest face as real",
        "f  ... as fake, to train with",
    };
    enum { LINES = sizeof lines / sizeof *lines };
    int width = 0, height = LINES * overlay->line + overlay->size;
    for (int i = 0; i < LINES; i++)
        if (text_width(overlay, lines[i]) > width) width = text_width(overlay, lines[i]);
    width += 2 * overlay->size;
    int x = (image->width - width) / 2, y = (image->height - height) / 2;
    struct vi_image part = vi_image_crop(image, x, y, width, height);
    darken(&part);
    for (int i = 0; i < LINES; i++)
        put_text(overlay, image, x + overlay->size, y + overlay->size + i * overlay->line, WHITE,
                 lines[i]);
}

void demo_overlay_draw(const struct demo_overlay *overlay, const struct vi_image *image,
                       const struct demo_frame *frame, const struct demo_hud *hud)
{
    const int margin = overlay->size;
    for (int i = frame->count; i > 0; i--)
        put_face(overlay, image, frame, &frame->faces[i - 1], hud);
    for (int i = 0; i < 4 && hud->lines[i]; i++)
        put_text(overlay, image, margin, margin + i * overlay->line, WHITE, hud->lines[i]);
    if (hud->corner)
        put_text(overlay, image, image->width - margin - text_width(overlay, hud->corner), margin,
                 COLORS[VI_SPOOF], hud->corner);
    if (hud->center)
        put_text(overlay, image, (image->width - text_width(overlay, hud->center)) / 2,
                 image->height / 2, COLORS[VI_UNDECIDED], hud->center);
    if (hud->help) put_help(overlay, image);
}
