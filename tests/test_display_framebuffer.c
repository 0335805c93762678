/*
 * test_display_framebuffer.c — the Linux framebuffer, played by a fake one.
 */
#include "tests/test.h"
#include "vision/display/display.h"

#ifdef __linux__

#include <errno.h>
#include <linux/fb.h>
#include <unistd.h>

enum { DEVICE = 77, MEMORY = 1 << 16 };

static struct nn_context *context;
static struct {
    struct fb_fix_screeninfo fixed;
    struct fb_var_screeninfo now;
    uint8_t memory[MEMORY];
    int open_error, control_error, map_error; /* errno's; 0: none */
    int opened, mapped;                       /* now */
    char path[64];
} fake;

/* ---- the device ------------------------------------------------------------------------------ */

static int fake_open(const char *path)
{
    snprintf(fake.path, sizeof fake.path, "%s", path);
    errno = fake.open_error;
    if (fake.open_error) return -1;
    fake.opened++;
    return DEVICE;
}

static int fake_control(int device, unsigned long request, void *argument)
{
    errno = fake.control_error;
    if (fake.control_error || device != DEVICE) return -1;
    if (request == FBIOGET_FSCREENINFO)
        *(struct fb_fix_screeninfo *)argument = fake.fixed;
    else if (request == FBIOGET_VSCREENINFO)
        *(struct fb_var_screeninfo *)argument = fake.now;
    else
        return -1;
    return 0;
}

static void *fake_map(int device, size_t size)
{
    errno = fake.map_error;
    if (fake.map_error || device != DEVICE || size > MEMORY) return NULL;
    fake.mapped++;
    return fake.memory;
}

static void fake_unmap(void *memory, size_t size)
{
    (void)size;
    if (memory == fake.memory) fake.mapped--;
}

static void fake_close(int device)
{
    if (device == DEVICE) fake.opened--;
}

static enum nn_status open_fake(struct vi_display *display)
{
    static const struct vi_framebuffer_system system = {fake_open, fake_control, fake_map,
                                                        fake_unmap, fake_close};
    return vi_framebuffer_open(display, &system);
}

static enum nn_status open_display(struct vi_display **display, const char *name)
{
    static struct vi_display_kind kind;
    kind = vi_display_framebuffer;
    kind.open = open_fake;
    return vi_display_from(display, context, &kind, &(struct vi_display_options){.name = name});
}

/* ---- pictures -------------------------------------------------------------------------------- */

static void set_screen(int bits, const int fields[3][2])
{
    struct fb_bitfield *colors[3] = {&fake.now.red, &fake.now.green, &fake.now.blue};
    memset(&fake, 0, sizeof fake);
    fake.now.xres = 50;
    fake.now.yres = 20;
    fake.now.xres_virtual = 60;
    fake.now.yres_virtual = 60;
    fake.now.xoffset = 3;
    fake.now.yoffset = 20;
    fake.now.bits_per_pixel = (uint32_t)bits;
    for (int c = 0; c < 3; c++)
        *colors[c] = (struct fb_bitfield){(uint32_t)fields[c][0], (uint32_t)fields[c][1], 0};
    fake.fixed.line_length = 60 * (uint32_t)bits / 8 + 16;
    fake.fixed.smem_start = 0x1000040; /* not at a page's begin */
    fake.fixed.smem_len = fake.fixed.line_length * 60;
    fake.fixed.visual = FB_VISUAL_TRUECOLOR;
    for (size_t i = 0; i < MEMORY; i++) fake.memory[i] = (uint8_t)(i * 7 + i / 256);
}

static uint32_t pixel_at(int x, int y)
{
    size_t size = fake.now.bits_per_pixel / 8;
    const uint8_t *at =
        fake.memory + 0x40 + (size_t)(20 + y) * fake.fixed.line_length + (size_t)(3 + x) * size;
    uint32_t pixel = 0;
    uint16_t half;
    if (size == 4) memcpy(&pixel, at, 4);
    if (size == 2) memcpy(&half, at, 2), pixel = half;
    if (size == 3) { /* in the machine's order */
        const uint16_t one = 1;
        bool little = *(const uint8_t *)&one;
        for (int k = 0; k < 3; k++) pixel |= (uint32_t)at[little ? k : 2 - k] << 8 * k;
    }
    return pixel;
}

static void test_pictures(void)
{
    static const struct {
        int bits, fields[3][2];
    } screens[] = {{32, {{16, 8}, {8, 8}, {0, 8}}}, {32, {{0, 8}, {8, 8}, {16, 8}}},
                   {24, {{16, 8}, {8, 8}, {0, 8}}}, {16, {{11, 5}, {5, 6}, {0, 5}}},
                   {16, {{10, 5}, {5, 5}, {0, 5}}}, {32, {{20, 10}, {10, 10}, {0, 10}}}};
    static uint8_t before[MEMORY], pixels[20 * 30 * 3];
    struct vi_image image = {pixels, 30, 20, 3, 90};
    struct vi_event event;
    for (int i = 0; i < 20 * 30 * 3; i++) pixels[i] = (uint8_t)(i * 37 + i / 11);
    for (size_t i = 0; i < sizeof screens / sizeof *screens; i++) {
        struct vi_display *display;
        set_screen(screens[i].bits, screens[i].fields);
        memcpy(before, fake.memory, MEMORY);
        bool good = !open_display(&display, NULL) && strcmp(fake.path, "/dev/fb0") == 0 &&
                    strcmp(vi_display_kind(display), "fb") == 0;
        size_t allocations = 0;
        for (int k = 0; k < 3 && good; k++) {
            good = !vi_display_show(display, &image) && !vi_display_poll(display, &event);
            if (k == 0) allocations = nn_allocations(context);
        }
        good = good && nn_allocations(context) == allocations;
        int wrong = 0;
        for (int y = 0; y < 20; y++)
            for (int x = 0; x < 50; x++) {
                uint32_t expected = 0;
                for (int c = 0; c < 3 && x >= 10 && x < 40; c++) {
                    uint32_t most = (1U << screens[i].fields[c][1]) - 1;
                    expected |= (pixels[y * 90 + (x - 10) * 3 + c] * most + 127) / 255
                                << screens[i].fields[c][0];
                }
                wrong += pixel_at(x, y) != expected;
            }
        CHECK(good && wrong == 0, "%d bits: in the middle, black around; %d pixels are not",
              screens[i].bits, wrong);
        vi_display_close(&display);
        CHECK(memcmp(before, fake.memory, MEMORY) == 0 && !fake.opened && !fake.mapped,
              "closed: the screen shows what it did");
    }
}

/* ---- trouble --------------------------------------------------------------------------------- */

static const int RGB32[3][2] = {{16, 8}, {8, 8}, {0, 8}};

static bool refused(enum nn_status expected, const char *words)
{
    struct vi_display *display;
    size_t before = nn_bytes_allocated(context);
    enum nn_status status = open_display(&display, "/dev/fb7");
    bool right = status == expected && !display && strstr(nn_error(context), words) &&
                 strstr(nn_error(context), "'/dev/fb7'") && !fake.opened && !fake.mapped &&
                 nn_bytes_allocated(context) == before;
    if (!right) printf("# it says: %s\n", status ? nn_error(context) : "nothing");
    vi_display_close(&display);
    return right;
}

static void test_trouble(void)
{
    set_screen(32, RGB32);
    fake.open_error = EACCES;
    CHECK(refused(NN_ERROR_IO, "group, mostly video"), "it may not be opened");
    set_screen(32, RGB32);
    fake.open_error = ENOENT;
    CHECK(refused(NN_ERROR_IO, "has no framebuffer"), "there is none");
    set_screen(32, RGB32);
    fake.control_error = EINVAL;
    CHECK(refused(NN_ERROR_IO, "ask about"), "it does not answer");
    set_screen(32, RGB32);
    fake.map_error = ENOMEM;
    CHECK(refused(NN_ERROR_IO, "map"), "it cannot be mapped");
    static const struct {
        size_t field;
        uint32_t value;
        const char *words;
    } bad[] = {
#define NOW(name)   offsetof(struct fb_var_screeninfo, name)
#define FIXED(name) (1000 + offsetof(struct fb_fix_screeninfo, name))
        {NOW(bits_per_pixel), 8, "8 bits per pixel"},
        {NOW(bits_per_pixel), 0, "0 bits per pixel"},
        {NOW(bits_per_pixel), 0x80000020, "bits per pixel"},
        {NOW(bits_per_pixel), 16, "16 bits per pixel"}, /* red lies outside */
        {NOW(red.length), 0, "true colour"},
        {NOW(red.length), 0xffffffff, "true colour"},
        {NOW(red.offset), 0xffffffff, "true colour"},
        {NOW(green.offset), 31, "true colour"},
        {FIXED(type), FB_TYPE_PLANES, "type 1"},
        {FIXED(visual), FB_VISUAL_PSEUDOCOLOR, "visual 3"},
        {NOW(xres), 0, "do not fit"},
        {NOW(yres), 0, "do not fit"},
        {NOW(xres), 0xffffffff, "do not fit"},
        {NOW(yres), 0xffffffff, "do not fit"},
        {NOW(xoffset), 0xffffffff, "do not fit"},
        {NOW(yoffset), 0xffffffff, "do not fit"},
        {NOW(yoffset), 41, "do not fit"},
        {NOW(xres), 62, "do not fit"},
        {FIXED(line_length), 100, "do not fit"},
        {FIXED(line_length), 0, "do not fit"},
        {FIXED(line_length), 0xffffffff, "do not fit"},
        {FIXED(smem_len), 0, "do not fit"},
        {FIXED(smem_len), 256 * 39, "do not fit"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        set_screen(32, RGB32);
        char *at = bad[i].field >= 1000 ? (char *)&fake.fixed + bad[i].field - 1000
                                        : (char *)&fake.now + bad[i].field;
        memcpy(at, &bad[i].value, 4);
        CHECK(refused(NN_ERROR_UNSUPPORTED, bad[i].words), "case %zu: %s", i, bad[i].words);
    }
}

static void test_files(void)
{
    struct vi_display *display;
    struct vi_display_options options = {.kind = "fb", .name = "/no/such/device"};
    CHECK(vi_display_open(&display, context, &options) == NN_ERROR_IO && !display, "no device: %s",
          nn_error(context));
    options.name = "/dev/null";
    CHECK(vi_display_open(&display, context, &options) == NN_ERROR_IO && !display,
          "another device: %s", nn_error(context));
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    test_pictures();
    test_trouble();
    test_files();
    CHECK(nn_bytes_allocated(context) == before, "all memory is given back");
    nn_close(&context);
    return test_done();
}

#else

int main(void)
{
    test_skip("framebuffer", "there are some on Linux only");
    return test_done();
}

#endif
