/* Drawing: areas, symmetry, clipping, and text. */
#include "tests/test.h"
#include "vision/font.h"
#include "vision/vision.h"

enum { WIDTH = 160, HEIGHT = 120, GUARD = 64 };

static const struct vi_rgb white = {255, 255, 255}, red = {200, 30, 20};

/* Pixels with guard bytes around every row: whatever is drawn must stay inside. */
struct canvas {
    uint8_t bytes[HEIGHT + 2][WIDTH * 4 + 2 * GUARD];
    struct vi_image image;
};

static struct canvas canvas;

static const struct vi_image *blank(int channels)
{
    memset(canvas.bytes, 0xA5, sizeof canvas.bytes);
    canvas.image =
        (struct vi_image){&canvas.bytes[1][GUARD], WIDTH, HEIGHT, channels, sizeof canvas.bytes[0]};
    for (int y = 0; y < HEIGHT; y++) {
        memset(&canvas.bytes[1 + y][GUARD], 0, (size_t)WIDTH * (size_t)channels);
    }
    return &canvas.image;
}

static bool guards_whole(void)
{
    size_t row = (size_t)WIDTH * (size_t)canvas.image.channels;
    for (int y = 0; y < HEIGHT + 2; y++) {
        for (size_t x = 0; x < sizeof canvas.bytes[0]; x++) {
            bool inside = y >= 1 && y <= HEIGHT && x >= GUARD && x < GUARD + row;
            if (!inside && canvas.bytes[y][x] != 0xA5) return false;
        }
    }
    return true;
}

/* Covered area in pixels, drawn white on black. */
static double area(void)
{
    double sum = 0;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            const uint8_t *row = canvas.image.pixels + y * canvas.image.stride;
            sum += row[x * canvas.image.channels] / 255.0;
        }
    }
    return sum;
}

static uint64_t hash(void)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    const uint8_t *bytes = canvas.bytes[0];
    for (size_t i = 0; i < sizeof canvas.bytes; i++) h = (h ^ bytes[i]) * 1099511628211u;
    return h;
}

static bool close_to(double got, double expected, double relative)
{
    if (fabs(got - expected) <= relative * expected) return true;
    printf("# got %g, expected %g\n", got, expected);
    return false;
}

static void test_areas(void)
{
    const double pi = 3.14159265358979323846;
    static const double radii[] = {0.6, 1.7, 3, 7.3, 20, 50.25};
    for (size_t i = 0; i < sizeof radii / sizeof *radii; i++) {
        vi_fill_circle(blank(3), 70.3, 60.9, radii[i], white, 1);
        double relative = radii[i] < 1 ? 0.08 : 0.01;
        CHECK(close_to(area(), pi * radii[i] * radii[i], relative), "circle of radius %g",
              radii[i]);
    }
    vi_fill_polygon(blank(3), (const double[]){10.3, 8.2, 90.7, 30.1, 33.3, 99.9}, 3, white, 1);
    /* half the cross product of two sides */
    double twice = (90.7 - 10.3) * (99.9 - 8.2) - (33.3 - 10.3) * (30.1 - 8.2);
    CHECK(close_to(area(), twice / 2, 0.01), "triangle");
    vi_fill_polygon(blank(3), (const double[]){20.5, 20.5, 80.5, 20.5, 80.5, 60.5, 20.5, 60.5}, 4,
                    white, 1);
    CHECK(close_to(area(), 60 * 40, 0.002), "rectangle as a polygon on half pixels");
    /* Walked around twice, every point is inside an even number of times. */
    double twice_around[16], square[8] = {20, 20, 80, 20, 80, 60, 20, 60};
    memcpy(twice_around, square, sizeof square);
    memcpy(twice_around + 8, square, sizeof square);
    vi_fill_polygon(blank(3), twice_around, 8, white, 1);
    CHECK(area() == 0, "even-odd: a doubled outline is empty");
    vi_fill_rect(blank(3), 10.25, 20.5, 30.5, 10.25, white, 1);
    CHECK(close_to(area(), 30.5 * 10.25, 0.002), "rectangle with fractions");
    vi_fill_rect(blank(3), 10, 20, 30, 10, white, 0.5);
    CHECK(close_to(area(), 150, 0.005), "half opaque");
    vi_draw_rect(blank(3), 10, 20, 30, 10, 2, white);
    CHECK(area() == 30 * 10 - 26 * 6, "frame lies inside its rectangle");
    vi_draw_line(blank(3), 20, 20, 120, 95, 3, white, 1);
    CHECK(close_to(area(), 3 * 125 + pi * 1.5 * 1.5, 0.015), "line with round ends");
    vi_draw_line(blank(3), 20, 20, 20, 100, 0.5, white, 1);
    CHECK(close_to(area(), 0.5 * 80.5, 0.03), "line thinner than a pixel");
}

static void test_wide(void)
{
    /* Wider than one tile of the polygon filler. */
    enum { ROW = 1000 };
    static uint8_t pixels[ROW * 20];
    struct vi_image image = {pixels, ROW, 20, 1, ROW};
    vi_fill_polygon(&image, (const double[]){3, 2, 990, 2, 990, 12, 3, 12}, 4, white, 1);
    double sum = 0;
    for (int i = 0; i < ROW * 20; i++) sum += pixels[i] / 255.0;
    CHECK(sum == 987 * 10, "polygon across tiles, on a grey image");
}

static void draw_all(const struct vi_image *image, double x, double y, double size)
{
    double polygon[8] = {x, y, y, x, size, -x, -size, size};
    vi_fill_rect(image, x, y, size, size, red, 0.5);
    vi_draw_rect(image, x, y, size, size, size / 8, red);
    vi_draw_line(image, x, y, y, size, size / 9, red, 1);
    vi_draw_line(image, x, y, -x, -y, 2, red, size);
    vi_fill_circle(image, x, y, size, red, 0.7);
    vi_fill_polygon(image, polygon, 4, red, 1);
    for (enum vi_align align = VI_LEFT; align <= VI_RIGHT; align++) {
        vi_draw_text(image, x, y, size, align, red, "Ag@|\xff\n");
        vi_draw_text_up(image, x, y, size, align, red, "Ag@|\xff\n");
        vi_draw_text_outline(image, x, y, size, align, red, white, "Ag@|");
    }
}

static void test_clipping(void)
{
    static const double values[] = {
        -1e308,          -1e9, -1e4, -7.5, 0, 0.4, 40, 159.7, (double)NAN, 1e5, 1e18, 1e308,
        (double)INFINITY};
    enum { COUNT = sizeof values / sizeof *values };
    for (int channels = 1; channels <= 4; channels++) {
        const struct vi_image *image = blank(channels);
        for (int i = 0; i < COUNT * COUNT * 4; i += 11) {
            static const double sizes[] = {11, -3, 300, 1e12};
            draw_all(image, values[i % COUNT], values[i / COUNT % COUNT], sizes[i / COUNT / COUNT]);
        }
        for (int i = 0; i < COUNT; i++) draw_all(image, 20, 20, values[i]);
        CHECK(guards_whole(), "nothing outside %d-channel pixels is touched", channels);
    }
    struct vi_image none = {0};
    draw_all(&none, 1, 1, 10);
    vi_fill(&none, red);
    vi_fill_polygon(blank(3), NULL, 3, red, 1);
    vi_draw_text(&canvas.image, 0, 0, 12, VI_LEFT, red, NULL);
    vi_draw_text(&canvas.image, 0, 0, (double)NAN, VI_LEFT, red, "x");
    vi_fill_rect(&canvas.image, 0, 0, (double)NAN, 5, red, 1);
    vi_fill_rect(&canvas.image, 0, 0, 5, 5, red, (double)NAN);
    CHECK(area() == 0, "no image, no text, no numbers: nothing drawn");
}

static void test_colors(void)
{
    const struct vi_image *image = blank(4);
    vi_fill(image, red);
    const uint8_t *last = image->pixels + (HEIGHT - 1) * image->stride + 4 * (WIDTH - 1);
    CHECK(last[0] == 200 && last[1] == 30 && last[2] == 20 && last[3] == 255, "fill, RGBA");
    vi_fill(blank(1), (struct vi_rgb){255, 0, 0});
    CHECK(canvas.image.pixels[0] == 76, "grey takes the Rec. 601 luma");
    CHECK(guards_whole(), "fill keeps inside rows with a stride");
}

static void test_text_width(void)
{
    const char *text = "Validation accuracy 98.7 % (epoch 50), {real} vs. [fake] #1 @ 2*x^2 ~ \\|";
    char part[128];
    bool longer = true, larger = true, bold = true;
    double before = 0;
    for (size_t i = 1; i <= strlen(text); i++) {
        memcpy(part, text, i);
        part[i] = 0;
        double width = vi_text_width(12, part);
        if (width <= before) longer = false;
        before = width;
    }
    before = 0;
    for (double size = 1; size < 200; size += 0.5) {
        double width = vi_text_width(size, text);
        if (width < before) larger = false;
        if (vi_type_width((struct vi_type){.size = size, .weight = VI_BOLD}, text) < 0)
            bold = false;
        before = width;
    }
    CHECK(longer, "every character makes a text wider");
    CHECK(larger && bold, "a larger size is never narrower");
    CHECK(vi_text_width(12, "") == 0 && vi_text_width(12, NULL) == 0 &&
              vi_text_width((double)NAN, "x") == 0,
          "no text has no width");
    CHECK(vi_text_width(14, "0123456789") == 10 * vi_text_width(14, "7"), "digits advance alike");

    double size = 11, width = vi_text_width(size, "Hamburg");
    vi_draw_text(blank(3), 10, 10, size, VI_LEFT, white, "Hamburg");
    int left = WIDTH, right = 0, top = HEIGHT;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            if (canvas.image.pixels[y * canvas.image.stride + 3 * x] < 100) continue;
            left = x < left ? x : left;
            right = x + 1 > right ? x + 1 : right;
            top = y < top ? y : top;
        }
    }
    CHECK(left >= 10 && right <= 10 + width, "ink lies within the measured width");
    CHECK(top == 10, "y is the top of the capitals");
}

static void test_alignment(void)
{
    vi_draw_text(blank(3), 20, 30, 12, VI_LEFT, white, "Align me");
    uint64_t expected = hash();
    double width = vi_text_width(12, "Align me");
    vi_draw_text(blank(3), 20 + width, 30, 12, VI_RIGHT, white, "Align me");
    CHECK(hash() == expected, "right-aligned text ends at x");
    vi_draw_text(blank(3), 20 + width / 2, 30, 12, VI_CENTER, white, "Align me");
    CHECK(hash() == expected, "centred text is centred on x");

    /* Turned text is the same picture turned by 90 degrees: (x, y) -> (y, H - 1 - x). */
    vi_draw_text(blank(1), 20, 30, 12, VI_LEFT, white, "Turn, {me} gq");
    static uint8_t straight[HEIGHT][WIDTH];
    for (int y = 0; y < HEIGHT; y++) {
        memcpy(straight[y], canvas.image.pixels + y * canvas.image.stride, WIDTH);
    }
    vi_draw_text_up(blank(1), 30, HEIGHT - 20, 12, VI_LEFT, white, "Turn, {me} gq");
    int worst = 0;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < HEIGHT; x++) {
            int turned = canvas.image.pixels[(HEIGHT - 1 - x) * canvas.image.stride + y];
            int difference = abs(turned - straight[y][x]);
            if (difference > worst) worst = difference;
        }
    }
    CHECK(worst <= 1, "turned text is the straight one, turned");
}

static void test_fit(void)
{
    char text[VI_MAX_CAPTION], longest[1000];
    struct vi_type type = {.size = 11};
    memset(longest, 'm', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    vi_type_fit(text, type, "short", 100);
    CHECK(!strcmp(text, "short"), "a text that fits stays");
    vi_type_fit(text, type, "a rather long caption", 80);
    CHECK(vi_type_width(type, text) <= 80 && strstr(text, "...") == text + strlen(text) - 3,
          "a long one is cut: %s", text);
    vi_type_fit(text, type, longest, 1e9);
    CHECK(strlen(text) < VI_MAX_CAPTION && strstr(text, "..."), "also where it is endless");
    vi_type_fit(text, type, "x", 1);
    CHECK(text[0] == 0, "nothing where nothing fits");
    vi_type_fit(text, type, NULL, 50);
    CHECK(text[0] == 0, "no text");
}

/* The path language of every letter, and that none outgrows the renderer's buffer (224 segments,
 * up to 16 to a curve). */
static void test_glyphs(void)
{
    bool formed = true, small = true, all = true;
    for (int byte = 0; byte < 256; byte++) {
        const struct vi_glyph *glyph = vi_font_glyph((unsigned char)byte);
        int segments = 0;
        bool line = false;
        for (const char *p = glyph->path; *p;) {
            if (strchr("MLHVCD", *p)) {
                segments += strchr("HVC", *p) ? 16 : *p == 'D';
                line = *p == 'L';
                p++;
            } else if (*p == ' ') {
                p++;
            } else {
                char *end;
                long value = strtol(p, &end, 10);
                if (end == p || value < VI_FONT_LOW || value >= VI_FONT_LOW + 64) formed = false;
                if (end == p) break;
                segments += line; /* twice what it is: a pair makes one */
                p = end;
            }
        }
        if (segments > 224) small = false;
        if ((byte < ' ' || byte > '~') != (glyph == vi_font_glyph(0))) all = false;
    }
    CHECK(formed, "every letter's path is well formed and on the grid");
    CHECK(small, "every letter fits into the renderer's buffer");
    CHECK(all, "bytes outside printable ASCII are boxes, all others are not");

    bool distinct = true, visible = true;
    uint64_t seen[95];
    for (int i = 0; i < 95; i++) {
        char text[2] = {(char)(' ' + i), 0};
        vi_draw_text(blank(3), 40, 40, 20, VI_LEFT, white, text);
        seen[i] = hash();
        if ((area() > 3) == (i == 0)) visible = false;
        for (int j = 0; j < i; j++) distinct = distinct && seen[i] != seen[j];
    }
    CHECK(visible, "every letter but the space leaves ink");
    CHECK(distinct, "no two letters look the same");
}

int main(void)
{
    test_areas();
    test_wide();
    test_clipping();
    test_colors();
    test_text_width();
    test_alignment();
    test_fit();
    test_glyphs();
    return test_done();
}
