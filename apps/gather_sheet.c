/* gather_sheet.c — the contact sheet: what was gathered, to look at before training on it. */
#include "apps/gather.h"

#include <string.h>
#include <strings.h>

/* ".jpe" is an ending that viewers know and readers of data sets pass over: by default the sheet
 * stands beside the class folder, where any picture would be taken for one of no class. */
static char *default_path(struct nn_context *context, const char *folder)
{
    size_t size = strlen(folder);
    while (size > 1 && folder[size - 1] == '/') size--;
    struct nn_text text = {.context = context};
    size_t name = size;
    while (name && folder[name - 1] != '/') name--;
    bool dots = size - name <= 2 && strspn(folder + name, "./") >= size - name;
    nn_text_printf(&text, dots ? "%.*s/sheet.jpe" : "%.*s-sheet.jpe", (int)size, folder);
    if (text.failed) nn_text_free(&text);
    return text.data;
}

enum nn_status gather_sheet_open(struct gather *gather)
{
    struct nn_context *context = gather->app->context;
    struct gather_sheet *sheet = &gather->sheet;
    const struct gather_settings *settings = &gather->settings;
    enum { CELL = GATHER_SHEET_CELL };
    sheet->every = 1;
    if (settings->no_sheet) return NN_OK;
    sheet->path = settings->sheet ? nn_strdup(context, settings->sheet)
                                  : default_path(context, settings->output);
    if (!sheet->path) return NN_ERROR_MEMORY;
    enum nn_status status =
        app_prepare_output(gather->app, sheet->path, settings->sheet ? "--sheet" : "--output");
    if (status) return status;
    sheet->pixels = nn_alloc(context, GATHER_SHEET_MOST, (size_t)CELL * CELL * 3);
    return sheet->pixels ? NN_OK : NN_ERROR_MEMORY;
}

/* Every second one goes: those that are left are still evenly spread over the run. */
static void thin_out(struct gather_sheet *sheet)
{
    enum { SIZE = GATHER_SHEET_CELL * GATHER_SHEET_CELL * 3 };
    for (int i = 1; i < (sheet->count + 1) / 2; i++) {
        struct vi_sheet_item *to = &sheet->items[i], *from = &sheet->items[2 * i];
        uint8_t *pixels = to->image.pixels;
        memcpy(pixels, from->image.pixels, SIZE);
        to->image = from->image;
        to->image.pixels = pixels;
        memcpy(sheet->captions[i], sheet->captions[2 * i], sizeof sheet->captions[i]);
    }
    sheet->count = (sheet->count + 1) / 2;
    sheet->every *= 2;
}

static void write_captions(struct gather_sheet *sheet, const struct gather_crop *crop,
                           const char *path)
{
    enum { CAPTION = 12 };
    char quoted[NN_QUOTED], (*captions)[GATHER_CAPTION] = sheet->captions[sheet->count];
    const struct vi_image *image = &crop->pixels.image;
    snprintf(captions[0], GATHER_CAPTION, "%.2f  %dx%d", (double)crop->confidence, image->width,
             image->height);
    /* The end of a name says which frame it is. */
    const char *shown = app_plain(quoted, path), *dot = strrchr(shown, '.');
    size_t length = dot ? (size_t)(dot - shown) : strlen(shown);
    size_t cut = length > CAPTION ? length - CAPTION : 0;
    snprintf(captions[1], GATHER_CAPTION, "%s%.*s", cut ? ".." : "", (int)(length - cut),
             shown + cut);
    sheet->items[sheet->count].line1 = captions[0];
    sheet->items[sheet->count].line2 = captions[1];
}

void gather_sheet_add(struct gather_sheet *sheet, const struct gather_crop *crop, const char *path)
{
    enum { CELL = GATHER_SHEET_CELL };
    static const struct vi_rgb frame = {70, 110, 160};
    const struct vi_image *from = &crop->pixels.image;
    int longest = from->width > from->height ? from->width : from->height;
    int limit = longest > CELL ? CELL : longest;
    int width = (int)((int64_t)from->width * limit / longest);
    int height = (int)((int64_t)from->height * limit / longest);
    if (!sheet->pixels || sheet->seen++ % sheet->every) return;
    if (sheet->count == GATHER_SHEET_MOST) {
        thin_out(sheet);
        if ((sheet->seen - 1) % sheet->every) return;
    }
    if (width < 1) width = 1;
    if (height < 1) height = 1;
    struct vi_sheet_item *item = &sheet->items[sheet->count];
    uint8_t *pixels = sheet->pixels + (size_t)sheet->count * CELL * CELL * 3;
    item->image = (struct vi_image){pixels, width, height, 3, (ptrdiff_t)width * 3};
    item->frame = frame;
    gather_shrink(&item->image, from);
    write_captions(sheet, crop, path);
    sheet->count++;
}

enum nn_status gather_sheet_write(struct gather *gather)
{
    struct nn_context *context = gather->app->context;
    struct gather_sheet *sheet = &gather->sheet;
    struct vi_image page = {0};
    char title[300], quoted[NN_QUOTED];
    void *bytes = NULL;
    size_t size = 0, length = sheet->path ? strlen(sheet->path) : 0;
    if (!sheet->count) return NN_OK;
    snprintf(title, sizeof title, "%d of %lld faces in %s", sheet->count, (long long)sheet->seen,
             app_plain(quoted, gather->settings.output));
    bool png = length > 4 && strcasecmp(sheet->path + length - 4, ".png") == 0;
    enum nn_status status = vi_plot_sheet(&page, context, title, sheet->items, sheet->count,
                                          sheet->count > 10 ? 10 : sheet->count, GATHER_SHEET_CELL);
    if (!status) status = vi_encode(&bytes, &size, &page, context, png ? "png" : "jpeg", 0);
    if (!status) status = nn_file_write(context, sheet->path, bytes, size);
    nn_free(context, bytes);
    vi_image_free(context, &page);
    return status;
}
