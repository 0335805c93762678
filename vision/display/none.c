/*
 * none.c — no display: nothing is shown, no key is ever pressed.
 */
#include "vision/display/display.h"

static enum nn_status open_none(struct vi_display *display)
{
    (void)display;
    return NN_OK;
}

static enum nn_status show_none(struct vi_display *display, const struct vi_image *image)
{
    (void)display, (void)image;
    return NN_OK;
}

static enum nn_status poll_none(struct vi_display *display, struct vi_event *event)
{
    (void)display, (void)event;
    return NN_OK;
}

static void close_none(struct vi_display *display)
{
    (void)display;
}

const struct vi_display_kind vi_display_none = {
    .name = "none", .open = open_none, .show = show_none, .poll = poll_none, .close = close_none};
