/* annotate.c — faces drawn onto pictures, and names for the pictures that are written. */
#include "apps/annotate.h"

#include <math.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- drawing --------------------------------------------------------------------------------- */

static double limit(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static const struct vi_rgb LINE = {90, 255, 90}, DARK = {0, 40, 0};

/* Sizes that suit the picture, in pixels. */
struct style {
    double line, edge, text;
};

static struct style style_for(const struct vi_image *image)
{
    const double shorter = image->width < image->height ? image->width : image->height;
    double line = (double)(int)limit(shorter / 300 + 0.5, 1, 12);
    return (struct style){line, line > 2 ? 2 : 1, limit(shorter / 40, 7, 60)};
}

/* A bright line between two dark ones, seen on any skin and any wall. On whole pixels, where its
 * parts meet without a seam. */
static void draw_box(const struct vi_image *image, const struct vi_face *face, struct style style)
{
    const double x = rint((double)face->x1), y = rint((double)face->y1);
    const double width = rint((double)face->x2) - x, height = rint((double)face->y2) - y;
    const double edge = style.edge, line = style.line;
    vi_draw_rect(image, x - edge, y - edge, width + 2 * edge, height + 2 * edge, line + 2 * edge,
                 DARK);
    vi_draw_rect(image, x, y, width, height, line, LINE);
}

/* The text stands on the box, or hangs in it where there is no room above. */
static void draw_confidence(const struct vi_image *image, const struct vi_face *face,
                            struct style style)
{
    char text[16];
    const double y = (double)face->y1, third = ((double)face->y2 - y) / 3;
    double size = third < style.text ? limit(third, 7, style.text) : style.text;
    double gap = style.edge + limit(size / 4, 2, 8);
    snprintf(text, sizeof text, "%.2f", (double)face->confidence);
    double most = image->width - vi_text_width(size, text) - style.edge;
    double left = limit((double)face->x1, 0, most > 0 ? most : 0);
    double top = y >= size + gap ? y - size - gap : y + style.line + gap;
    vi_draw_text_outline(image, left, top, size, VI_LEFT, LINE, DARK, text);
}

void annotate_faces(const struct vi_image *image, const struct vi_face *faces, int count)
{
    struct style style = style_for(image);
    for (int i = count; i > 0; i--) draw_box(image, &faces[i - 1], style);
    for (int i = count; i > 0; i--) draw_confidence(image, &faces[i - 1], style);
}

/* Lines of the 68 points (Sagonas et al., "300 Faces in-the-Wild Challenge", 2013). */
static const struct {
    uint8_t first, last;
    bool closed;
} LINES[] = {{0, 16, false}, {17, 21, false}, {22, 26, false}, {27, 30, false}, {30, 35, true},
             {36, 41, true}, {42, 47, true},  {48, 59, true},  {60, 67, true}};

static void draw_part(const struct vi_image *image, const struct vi_point *points, int part,
                      double thickness, struct vi_rgb color)
{
    const int first = LINES[part].first, last = LINES[part].last;
    for (int i = first; i < last + LINES[part].closed; i++) {
        const struct vi_point *a = &points[i], *b = &points[i < last ? i + 1 : first];
        vi_draw_line(image, (double)a->x + 0.5, (double)a->y + 0.5, (double)b->x + 0.5,
                     (double)b->y + 0.5, thickness, color, 1);
    }
}

/* Thin, so that small eyes can be seen through them: sized by the face. */
void annotate_points(const struct vi_image *image, const struct vi_point *points, int count)
{
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < count; i++) {
        low = fmin(low, (double)points[i].x);
        high = fmax(high, (double)points[i].x);
    }
    const double line = limit((high - low) / 200, 0.7, 4), dot = 1.2 * line;
    for (size_t i = 0; count == 68 && i < sizeof LINES / sizeof *LINES; i++)
        draw_part(image, points, (int)i, line + 1, DARK);
    for (size_t i = 0; count == 68 && i < sizeof LINES / sizeof *LINES; i++)
        draw_part(image, points, (int)i, line, LINE);
    for (int i = 0; i < count; i++) {
        const double x = (double)points[i].x + 0.5, y = (double)points[i].y + 0.5;
        vi_fill_circle(image, x, y, dot + 0.5, DARK, 1);
        vi_fill_circle(image, x, y, dot, LINE, 1);
    }
}

/* ---- where to -------------------------------------------------------------------------------- */

/* The folder a path lies in, the caller's to nn_free. */
static char *folder_of(struct nn_context *context, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = nn_strdup(context, slash ? path : ".");
    if (folder && slash) folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static enum nn_status check_input(const struct annotate_output *output, const char *file)
{
    struct nn_context *context = output->app->context;
    char quoted[NN_QUOTED], where[NN_QUOTED];
    if (output->is_file) {
        if (!same_file(output->path, file)) return NN_OK;
        return nn_fail(context, NN_ERROR_ARGUMENT, "-o: %s is the picture to look at",
                       nn_quote(quoted, output->path));
    }
    if (!vi_is_picture_name(file)) return NN_OK;
    char *folder = folder_of(context, file);
    if (!folder) return NN_ERROR_MEMORY;
    bool same = same_file(folder, output->path);
    nn_free(context, folder);
    if (!same) return NN_OK;
    return nn_fail(context, NN_ERROR_ARGUMENT,
                   "-o: %s holds pictures to look at, such as %s, which must not be overwritten: "
                   "name another folder",
                   nn_quote(where, output->path), nn_quote(quoted, file));
}

enum nn_status annotate_open(struct annotate_output *output, struct app *app, const char *path,
                             const struct app_files *files)
{
    struct stat info;
    char quoted[NN_QUOTED];
    *output = (struct annotate_output){.app = app, .path = path};
    if (!path) return NN_OK;
    bool there = stat(path, &info) == 0;
    output->is_file = vi_is_picture_name(path) && !(there && S_ISDIR(info.st_mode));
    if (output->is_file && !vi_can_write(path))
        return nn_fail(app->context, NN_ERROR_ARGUMENT,
                       "-o: expected a folder, or a name that ends in .png or .jpg, got %s",
                       nn_quote(quoted, path));
    if (output->is_file && (files->count != 1 || vi_is_video(files->paths[0])))
        return nn_fail(app->context, NN_ERROR_ARGUMENT,
                       "-o: %s can hold one picture, and there are more to look at: name a folder",
                       nn_quote(quoted, path));
    enum nn_status status =
        output->is_file ? app_prepare_output(app, path, "-o") : app_make_folder(app, path);
    for (size_t i = 0; i < files->count && !status; i++)
        status = check_input(output, files->paths[i]);
    return status;
}

void annotate_close(struct annotate_output *output)
{
    if (output->app) nn_free(output->app->context, output->taken);
    *output = (struct annotate_output){0};
}

/* ---- names ----------------------------------------------------------------------------------- */

/* FNV-1a, without regard to case, because some file systems have none. Two names of one hash are
 * harmless: the second gets a number it would not have needed. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (c >= 'A' && c <= 'Z') c = (unsigned char)(c - 'A' + 'a');
        hash = (hash ^ c) * UINT64_C(1099511628211);
    }
    return hash ? hash : 1;
}

static size_t place_of(const struct annotate_output *output, uint64_t hash)
{
    size_t at = (size_t)hash & (output->capacity - 1);
    while (output->taken[at] && output->taken[at] != hash) at = (at + 1) & (output->capacity - 1);
    return at;
}

static enum nn_status grow(struct annotate_output *output)
{
    struct nn_context *context = output->app->context;
    if (2 * output->count < output->capacity) return NN_OK;
    struct annotate_output larger = *output;
    larger.capacity = output->capacity ? 2 * output->capacity : 256;
    larger.taken = nn_alloc(context, larger.capacity, sizeof *larger.taken);
    if (!larger.taken) return NN_ERROR_MEMORY;
    for (size_t i = 0; i < output->capacity; i++)
        if (output->taken[i]) larger.taken[place_of(&larger, output->taken[i])] = output->taken[i];
    nn_free(context, output->taken);
    *output = larger;
    return NN_OK;
}

/* False: the name is taken. */
static bool take(struct annotate_output *output, const char *name)
{
    uint64_t hash = hash_name(name);
    size_t at = place_of(output, hash);
    if (output->taken[at]) return false;
    output->taken[at] = hash;
    output->count++;
    return true;
}

/* JPEG stays JPEG, and what has lost nothing loses nothing: PNG, and PNG of .ppm and the like. */
static const char *ending_for(const char *name, const char *dot, int64_t frame)
{
    if (frame >= 0 || !vi_is_picture_name(name)) return ".jpg";
    return vi_can_write(name) ? dot : ".png";
}

/* "photo.png", "clip_000123.jpg"; a name that is taken becomes "photo_2.png" and so on. */
static enum nn_status make_name(struct nn_text *name, struct annotate_output *output,
                                const char *file, int64_t frame)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
    const char *dot = strrchr(base, '.');
    if (strcmp(file, "-") == 0) base = "stdin";
    int stem = (int)(dot && dot > base ? (size_t)(dot - base) : strlen(base));
    const char *ending = ending_for(base, base + stem, frame);
    enum nn_status status = grow(output);
    for (int number = 1; !status; number++) {
        char middle[48] = "";
        int at = frame < 0 ? 0 : snprintf(middle, sizeof middle, "_%06lld", (long long)frame);
        if (number > 1) snprintf(middle + at, sizeof middle - (size_t)at, "_%d", number);
        name->size = 0;
        nn_text_printf(name, "%.*s%s%s", stem, base, middle, ending);
        if (name->failed) status = NN_ERROR_MEMORY;
        if (!status && take(output, name->data)) break;
    }
    return status;
}

enum nn_status annotate_write(struct annotate_output *output, const struct vi_image *image,
                              const char *file, int64_t frame)
{
    struct nn_context *context = output->app->context;
    struct nn_text name = {.context = context};
    if (output->is_file) return vi_write(image, context, output->path, 0);
    enum nn_status status = make_name(&name, output, file, frame);
    char *path = status ? NULL : app_join(context, output->path, name.data);
    if (!status) status = path ? vi_write(image, context, path, 0) : NN_ERROR_MEMORY;
    nn_free(context, path);
    nn_text_free(&name);
    return status;
}
