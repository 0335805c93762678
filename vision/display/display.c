/*
 * display.c — choosing a display, and what is the same for all of them.
 */
#include "vision/display/display.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct vi_display_kind *const KINDS[] = {&vi_display_x11, &vi_display_framebuffer,
                                                      &vi_display_terminal, &vi_display_none};
enum { COUNT = sizeof KINDS / sizeof *KINDS };

/* ---- opening ------------------------------------------------------------------------------------
 */

enum nn_status vi_display_from(struct vi_display **display, struct nn_context *context,
                               const struct vi_display_kind *kind,
                               const struct vi_display_options *options)
{
    struct vi_display *made = nn_alloc(context, 1, sizeof *made);
    *display = NULL;
    if (!made) return NN_ERROR_MEMORY;
    made->context = context;
    made->kind = kind;
    made->options = *options;
    if (!made->options.title) made->options.title = "liveness";
    if (!made->options.width) made->options.width = 640;
    if (!made->options.height) made->options.height = 480;
    enum nn_status status = kind->open(made);
    made->options.title = made->options.name = made->options.kind = NULL;
    if (status)
        vi_display_close(&made);
    else
        *display = made;
    return status;
}

/* The kernel's own console has 16 colours, but usually a framebuffer below. */
static bool on_console(void)
{
    const char *terminal = getenv("TERM");
    return terminal && strcmp(terminal, "linux") == 0;
}

static bool on_terminal(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

/* What does not open is passed over, except for lack of memory, or where a name was given. */
static enum nn_status open_any(struct vi_display **display, struct nn_context *context,
                               const struct vi_display_options *options)
{
    const char *server = getenv("DISPLAY"), *name = options->name;
    const struct vi_display_kind *tries[5];
    int count = 0;
    if (name)
        return vi_display_from(
            display, context,
            strncmp(name, "/dev/", 5) == 0 ? &vi_display_framebuffer : &vi_display_x11, options);
    if (server && *server) tries[count++] = &vi_display_x11;
    if (on_console()) tries[count++] = &vi_display_framebuffer;
    if (on_terminal()) tries[count++] = &vi_display_terminal;
    if (!on_console()) tries[count++] = &vi_display_framebuffer;
    tries[count++] = &vi_display_none;
    enum nn_status status = NN_OK;
    for (int i = 0; i < count; i++) {
        status = vi_display_from(display, context, tries[i], options);
        if (!status || status == NN_ERROR_MEMORY) break;
    }
    return status;
}

enum nn_status vi_display_open(struct vi_display **display, struct nn_context *context,
                               const struct vi_display_options *options)
{
    static const struct vi_display_options none;
    char quoted[NN_QUOTED];
    *display = NULL;
    if (!options) options = &none;
    if (options->width < 0 || options->width > 32767 || options->height < 0 ||
        options->height > 32767)
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "vi_display_open: a window of %d x %d; sides have 1 to 32767 pixels",
                       options->width, options->height);
    if (!options->kind || strcmp(options->kind, "auto") == 0)
        return open_any(display, context, options);
    for (int i = 0; i < COUNT; i++)
        if (strcmp(options->kind, KINDS[i]->name) == 0)
            return vi_display_from(display, context, KINDS[i], options);
    return nn_fail(context, NN_ERROR_ARGUMENT,
                   "there is no display %s; there are auto, x11, fb, terminal and none",
                   nn_quote(quoted, options->kind));
}

void vi_display_close(struct vi_display **display)
{
    struct vi_display *gone = *display;
    if (!gone) return;
    struct nn_context *context = gone->context;
    gone->kind->close(gone);
    nn_free(context, gone->state);
    vi_fit_free(&gone->fit, context);
    vi_image_free(context, &gone->last);
    nn_free(context, gone);
    *display = NULL;
}

const char *vi_display_kind(const struct vi_display *display)
{
    return display->kind->name;
}

/* ---- showing ------------------------------------------------------------------------------------
 */

/* The picture is the caller's to draw on as soon as it was shown. */
static enum nn_status keep(struct vi_display *display, const struct vi_image *image)
{
    struct vi_image *last = &display->last;
    if (last->width != image->width || last->height != image->height) {
        vi_image_free(display->context, last);
        enum nn_status status =
            vi_image_new(last, display->context, image->width, image->height, 3);
        if (status) return status;
    }
    vi_image_copy(last, image);
    return NN_OK;
}

enum nn_status vi_display_show(struct vi_display *display, const struct vi_image *image)
{
    enum nn_status status = NN_OK;
    if (!image || !image->pixels || image->width < 1 || image->height < 1 || image->channels != 3)
        return nn_fail(
            display->context, NN_ERROR_ARGUMENT,
            "vi_display_show: RGB pictures of at least 1 x 1 are shown, not %d x %d with "
            "%d channels",
            image ? image->width : 0, image ? image->height : 0, image ? image->channels : 0);
    if (display->kind->redraws) status = keep(display, image);
    display->stale = false;
    return status ? status : display->kind->show(display, image);
}

void vi_display_caption(struct vi_display *display, const char *text)
{
    size_t size = 0;
    for (; size < sizeof display->caption - 1 && text[size]; size++)
        display->caption[size] = text[size] >= ' ' && text[size] <= '~' ? text[size] : '?';
    display->caption[size] = '\0';
}

enum nn_status vi_display_poll(struct vi_display *display, struct vi_event *event)
{
    *event = (struct vi_event){VI_EVENT_NONE, 0};
    enum nn_status status = display->kind->poll(display, event);
    if (!status && display->stale && display->last.pixels) {
        display->stale = false;
        status = display->kind->show(display, &display->last);
    }
    return status;
}
