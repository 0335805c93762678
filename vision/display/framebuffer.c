/*
 * framebuffer.c — the Linux framebuffer, for boards without a desktop (kernel header linux/fb.h).
 *
 * The picture is written where the screen shows it; what was there is put back in the end. Keys
 * come from the terminal on standard input.
 */
#include "vision/display/display.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <linux/fb.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct screen {
    const struct vi_framebuffer_system *system;
    int device; /* -1: none */
    uint8_t *memory;
    size_t memory_size;
    uint8_t *visible; /* the first line that is shown */
    size_t stride;
    int width, height;
    struct vi_packer packer;
    uint8_t *before; /* what it showed */
    struct vi_keyboard keyboard;
    bool cursor_hidden;
};

/* ---- the system ------------------------------------------------------------------------------ */

static int open_device(const char *path)
{
    return open(path, O_RDWR | O_CLOEXEC);
}

static int control(int device, unsigned long request, void *argument)
{
    return ioctl(device, request, argument);
}

static void *map(int device, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *memory, size_t size)
{
    munmap(memory, size);
}

static void close_device(int device)
{
    close(device);
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum nn_status refuse(struct nn_context *context, const char *path, const char *what)
{
    char quoted[NN_QUOTED];
    const char *hint = errno == EACCES   ? " (its group, mostly video, may use it)"
                       : errno == ENOENT ? " (this system has no framebuffer)"
                                         : "";
    return nn_fail(context, NN_ERROR_IO, "framebuffer %s: cannot %s it: %s%s",
                   nn_quote(quoted, path), what, strerror(errno), hint);
}

static uint32_t mask_of(const struct fb_bitfield *field)
{
    if (field->length < 1 || field->length > 16 || field->offset > 32 - field->length) return 0;
    return (uint32_t)(((UINT64_C(1) << field->length) - 1) << field->offset);
}

/* Sizes are the driver's, and drivers have their own ideas. */
static enum nn_status lay_out(struct vi_display *display, const char *path,
                              const struct fb_fix_screeninfo *fixed,
                              const struct fb_var_screeninfo *now)
{
    struct screen *screen = display->state;
    char quoted[NN_QUOTED];
    const uint16_t one = 1;
    uint8_t little;
    memcpy(&little, &one, 1);
    struct vi_pixel_format format = {
        .bits = (int)now->bits_per_pixel,
        .mask = {mask_of(&now->red), mask_of(&now->green), mask_of(&now->blue)},
        .big_endian = !little};
    if (fixed->type != FB_TYPE_PACKED_PIXELS ||
        (fixed->visual != FB_VISUAL_TRUECOLOR && fixed->visual != FB_VISUAL_DIRECTCOLOR) ||
        !vi_packer_set(&screen->packer, &format))
        return nn_fail(display->context, NN_ERROR_UNSUPPORTED,
                       "framebuffer %s has %u bits per pixel, type %u, visual %u; expected true "
                       "colour of 16, 24 or 32 bits (fbset -depth 32 may help)",
                       nn_quote(quoted, path), now->bits_per_pixel, fixed->type, fixed->visual);
    uint64_t size = (uint64_t)now->bits_per_pixel / 8, across = (uint64_t)now->xoffset + now->xres;
    uint64_t down = (uint64_t)now->yoffset + now->yres;
    if (now->xres < 1 || now->yres < 1 || across > 65535 || down > 65535 ||
        fixed->line_length < across * size || fixed->smem_len < down * fixed->line_length)
        return nn_fail(display->context, NN_ERROR_UNSUPPORTED,
                       "framebuffer %s: %u x %u pixels at %u, %u in lines of %u bytes do not fit "
                       "into its %u bytes",
                       nn_quote(quoted, path), now->xres, now->yres, now->xoffset, now->yoffset,
                       fixed->line_length, fixed->smem_len);
    /* Memory is mapped from the page on in which it begins. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = fixed->smem_start & (page - 1);
    screen->memory_size = begin + fixed->smem_len;
    screen->memory = screen->system->map(screen->device, screen->memory_size);
    if (!screen->memory) return refuse(display->context, path, "map");
    screen->width = (int)now->xres;
    screen->height = (int)now->yres;
    screen->stride = fixed->line_length;
    screen->visible = screen->memory + begin + now->yoffset * screen->stride + now->xoffset * size;
    return NN_OK;
}

static size_t row_bytes(const struct screen *screen)
{
    return (size_t)screen->width * (size_t)screen->packer.bits / 8;
}

/* The console's cursor would blink in the picture. */
static void cursor(struct screen *screen, bool hide)
{
    static const char words[2][7] = {"\033[?25h", "\033[?25l"};
    if (screen->keyboard.input >= 0 && screen->cursor_hidden != hide)
        screen->cursor_hidden = write(screen->keyboard.input, words[hide], 6) == 6 && hide;
}

enum nn_status vi_framebuffer_open(struct vi_display *display,
                                   const struct vi_framebuffer_system *system)
{
    struct nn_context *context = display->context;
    const char *path = display->options.name ? display->options.name : "/dev/fb0";
    struct fb_fix_screeninfo fixed = {.smem_len = 0};
    struct fb_var_screeninfo now = {.xres = 0};
    struct screen *screen = display->state = nn_alloc(context, 1, sizeof *screen);
    if (!screen) return NN_ERROR_MEMORY;
    screen->system = system;
    screen->keyboard.input = -1;
    screen->device = system->open(path);
    if (screen->device < 0) return refuse(context, path, "open");
    if (system->control(screen->device, FBIOGET_FSCREENINFO, &fixed) ||
        system->control(screen->device, FBIOGET_VSCREENINFO, &now))
        return refuse(context, path, "ask about");
    enum nn_status status = lay_out(display, path, &fixed, &now);
    if (status) return status;
    size_t bytes = row_bytes(screen);
    screen->before = nn_alloc(context, (size_t)screen->height, bytes);
    if (!screen->before) return NN_ERROR_MEMORY;
    for (int y = 0; y < screen->height; y++)
        memcpy(screen->before + (size_t)y * bytes, screen->visible + (size_t)y * screen->stride,
               bytes);
    vi_keyboard_open(&screen->keyboard, STDIN_FILENO);
    cursor(screen, true);
    return NN_OK;
}

static enum nn_status open_framebuffer(struct vi_display *display)
{
    static const struct vi_framebuffer_system linux_calls = {open_device, control, map, unmap,
                                                             close_device};
    return vi_framebuffer_open(display, &linux_calls);
}

static void close_framebuffer(struct vi_display *display)
{
    struct screen *screen = display->state;
    if (!screen) return;
    if (screen->before) {
        size_t bytes = row_bytes(screen);
        for (int y = 0; y < screen->height; y++)
            memcpy(screen->visible + (size_t)y * screen->stride, screen->before + (size_t)y * bytes,
                   bytes);
        cursor(screen, false);
        vi_keyboard_close(&screen->keyboard);
    }
    nn_free(display->context, screen->before);
    if (screen->memory) screen->system->unmap(screen->memory, screen->memory_size);
    if (screen->device >= 0) screen->system->close(screen->device);
}

/* ---- showing --------------------------------------------------------------------------------- */

static enum nn_status show_framebuffer(struct vi_display *display, const struct vi_image *image)
{
    struct screen *screen = display->state;
    struct vi_fit *fit = &display->fit;
    enum nn_status status =
        vi_fit_begin(fit, display->context, image, screen->width, screen->height);
    if (status) return status;
    if (fit->moved)
        for (int y = 0; y < screen->height; y++)
            memset(screen->visible + (size_t)y * screen->stride, 0, row_bytes(screen));
    size_t left = (size_t)fit->x * (size_t)screen->packer.bits / 8;
    for (int y = 0; y < fit->height; y++)
        vi_pack_row(&screen->packer, screen->visible + (size_t)(fit->y + y) * screen->stride + left,
                    vi_fit_row(fit, y), fit->width);
    return NN_OK;
}

static enum nn_status poll_framebuffer(struct vi_display *display, struct vi_event *event)
{
    struct screen *screen = display->state;
    int key = vi_keyboard_key(&screen->keyboard);
    if (key) *event = (struct vi_event){VI_EVENT_KEY, key};
    return NN_OK;
}

#else

enum nn_status vi_framebuffer_open(struct vi_display *display,
                                   const struct vi_framebuffer_system *system)
{
    (void)system;
    return nn_fail(display->context, NN_ERROR_UNSUPPORTED,
                   "there are framebuffers on Linux only; other displays are x11 and terminal");
}

static enum nn_status open_framebuffer(struct vi_display *display)
{
    return vi_framebuffer_open(display, NULL);
}

static enum nn_status show_framebuffer(struct vi_display *display, const struct vi_image *image)
{
    (void)display, (void)image;
    return NN_OK;
}

static enum nn_status poll_framebuffer(struct vi_display *display, struct vi_event *event)
{
    (void)display, (void)event;
    return NN_OK;
}

static void close_framebuffer(struct vi_display *display)
{
    (void)display;
}

#endif

const struct vi_display_kind vi_display_framebuffer = {
    "fb", false, open_framebuffer, show_framebuffer, poll_framebuffer, close_framebuffer};
