/* test_capture_y4m.c — y4m in all its layouts against the formula of ITU-R BT.601 in double
 * precision; what is refused; and ffmpeg's y4m and AVI against ffmpeg's own pixels. */
#include "capture_files.h"

static struct nn_context *context;

static bool says(const char *text, const char *words)
{
    bool found = strstr(text, words) != NULL;
    if (!found) printf("# got: %s\n", text);
    return found;
}

/* ITU-R BT.601 in double precision. */
static void formula(double rgb[3], int y, int u, int v, bool full)
{
    double luma = full ? y : (y - 16) * 255.0 / 219, scale = full ? 1 : 255.0 / 224;
    double cb = (u - 128) * scale, cr = (v - 128) * scale;
    rgb[0] = luma + 2 * (1 - 0.299) * cr;
    rgb[1] = luma - (2 * (1 - 0.114) * 0.114 * cb + 2 * (1 - 0.299) * 0.299 * cr) / 0.587;
    rgb[2] = luma + 2 * (1 - 0.114) * cb;
    for (int i = 0; i < 3; i++) rgb[i] = rgb[i] < 0 ? 0 : rgb[i] > 255 ? 255 : rgb[i];
}

static const struct space {
    const char *parameters;
    int planes, shift_x, shift_y, bits;
} spaces[] = {
    {"", 3, 1, 1, 8},
    {"C420", 3, 1, 1, 8},
    {"C420jpeg Ip A1:1", 3, 1, 1, 8},
    {"C420mpeg2 It", 3, 1, 1, 8},
    {"C420paldv XCOLORRANGE=FULL", 3, 1, 1, 8},
    {"C422", 3, 1, 0, 8},
    {"C411", 3, 2, 0, 8},
    {"C444 XCOLORRANGE=LIMITED XA=B", 3, 0, 0, 8},
    {"C444alpha", 4, 0, 0, 8},
    {"Cmono", 1, 0, 0, 8},
    {"Cmono XCOLORRANGE=FULL", 1, 0, 0, 8},
    {"C420p10 XYSCSS=420P10", 3, 1, 1, 10},
    {"C444p16", 3, 0, 0, 16},
    {"Cmono12", 1, 0, 0, 12},
};

/* The largest difference between a frame's pixels and the formula. */
static double compare_yuv(const struct vi_image *image, const uint8_t *planes,
                          const struct space *space, bool full)
{
    int w = image->width, h = image->height, wide = space->bits > 8;
    int cw = (w + (1 << space->shift_x) - 1) >> space->shift_x;
    int ch = (h + (1 << space->shift_y) - 1) >> space->shift_y;
    double worst = 0;
    for (int i = 0; i < w * h; i++) {
        int x = i % w, y = i / w;
        size_t chroma = (size_t)(w * h + (y >> space->shift_y) * cw + (x >> space->shift_x));
        size_t at[3] = {(size_t)i, chroma, chroma + (size_t)(cw * ch)};
        int value[3] = {0, 128, 128};
        for (int k = 0; k < 3 && (k == 0 || space->planes > 1); k++) {
            const uint8_t *p = planes + (at[k] << wide);
            value[k] = wide ? (p[0] | p[1] << 8) >> (space->bits - 8) : p[0];
        }
        double rgb[3];
        formula(rgb, value[0], value[1], value[2], full);
        for (int k = 0; k < 3; k++)
            worst = fmax(worst, fabs(rgb[k] - image->pixels[y * image->stride + 3 * x + k]));
    }
    return worst;
}

static void test_y4m_space(const struct space *space, int w, int h)
{
    struct file file = {0};
    struct nn_rng rng = nn_rng_make(1, (uint64_t)space->bits);
    int cw = (w + (1 << space->shift_x) - 1) >> space->shift_x;
    int ch = (h + (1 << space->shift_y) - 1) >> space->shift_y;
    int samples = w * h + (space->planes > 1 ? 2 * cw * ch : 0) + (space->planes > 3 ? w * h : 0);
    char line[200];
    snprintf(line, sizeof line, "YUV4MPEG2 W%d H%d F25:1%s%s\nFRAME\n", w, h,
             *space->parameters ? " " : "", space->parameters);
    put_text(&file, line);
    for (int i = 0; i < samples; i++) {
        uint32_t value = nn_rng_below(&rng, 1u << space->bits);
        put(&file, (uint8_t[2]){(uint8_t)value, (uint8_t)(value >> 8)}, space->bits > 8 ? 2 : 1);
    }
    struct vi_stream *stream;
    struct vi_capture *capture = NULL;
    struct vi_frame frame = {0};
    bool end;
    double worst = 1000;
    if (!vi_stream_from(&stream, context, unnamed_file(&file), "v") &&
        !vi_capture_from(&capture, context, stream, "v", NULL) &&
        !vi_capture_read(capture, &frame, &end) && !end && frame.image.width == w &&
        frame.image.height == h)
        worst = compare_yuv(&frame.image, file.data + strlen(line), space,
                            strstr(space->parameters, "FULL") != NULL);
    bool one = capture && vi_capture_info(capture)->frames == 1;
    /* Half for rounding, and what 16 bits behind the point leave. */
    CHECK(worst < 0.51 && one, "y4m %dx%d '%s': within %.3f of the formula", w, h,
          space->parameters, worst);
    vi_capture_close(&capture);
    file_free(&file);
}

static void test_y4m(void)
{
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        test_y4m_space(&spaces[i], 37, 23);
        test_y4m_space(&spaces[i], 1, 1);
    }
    struct file file = y4m_write("C420", 20, 10, 4, 200, 100);
    for (enum way way = BY_FILE; way <= BY_DRIPS; way++) {
        struct seen seen = see(context, &file, way, 0);
        CHECK(seen.count == 4 && !seen.status && seen.info.frames == -1 && seen.width == 20 &&
                  !strcmp(seen.info.format, "y4m") && seen.info.height == 10 &&
                  fabs(seen.seconds - 3 * 1001 / 30000.0) < 1e-9,
              "y4m with parameters of a frame, way %d", way);
    }
    file_free(&file);
}

static void test_y4m_refused(void)
{
    static const struct {
        const char *header;
        enum nn_status status;
        const char *words;
    } cases[] = {
        {"YUV4MPEG2 W20 H10 F25:1 C410\n", NN_ERROR_UNSUPPORTED, "'C410'"},
        {"YUV4MPEG2 W20 H10 C420p8\n", NN_ERROR_UNSUPPORTED, "'C420p8'"},
        {"YUV4MPEG2 W20 H10 C420p17\n", NN_ERROR_UNSUPPORTED, "'C420p17'"},
        {"YUV4MPEG2 W20 H10 Z1\n", NN_ERROR_FORMAT, "'Z1'"},
        {"YUV4MPEG2 W20 Hten\n", NN_ERROR_FORMAT, "'Hten'"},
        {"YUV4MPEG2 W0 H10\n", NN_ERROR_FORMAT, "'W0'"},
        {"YUV4MPEG2 W-5 H10\n", NN_ERROR_FORMAT, "'W-5'"},
        {"YUV4MPEG2 W99999999999999999999 H10\n", NN_ERROR_FORMAT, "'W9"},
        {"YUV4MPEG2 W20 F25:1\n", NN_ERROR_FORMAT, "how large"},
        {"YUV4MPEG2 W20 H10 F25\n", NN_ERROR_FORMAT, "'F25'"},
        {"YUV4MPEG2 W20 H10", NN_ERROR_FORMAT, "no end"},
        {"YUV4MPEG2 W65535 H65535\n", NN_ERROR_ARGUMENT, "megapixels"},
        {"YUV4MPEG W20 H10\n", NN_ERROR_UNSUPPORTED, "unknown"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file file = {0};
        put_text(&file, cases[i].header);
        struct seen seen = see(context, &file, BY_FILE, 0);
        CHECK(seen.status == cases[i].status && !seen.opened && says(seen.error, cases[i].words),
              "refused: %.*s", (int)strcspn(cases[i].header, "\n"), cases[i].header);
        file_free(&file);
    }
}

/* ---- ffmpeg's files -------------------------------------------------------------------------- */

static struct file run(const char *command)
{
    struct file file = {0};
    uint8_t part[4096];
    FILE *from = popen(command, "r");
    for (size_t got; from && (got = fread(part, 1, sizeof part, from)) > 0;) put(&file, part, got);
    if (from && pclose(from)) file_free(&file);
    return file;
}

/* The mean difference between the frames we read and those that ffmpeg writes as plain pixels. */
static void test_ffmpeg(const char *name, const char *options, double limit)
{
    static const char source[] = "ffmpeg -v error -f lavfi -i testsrc=s=96x64:r=10:d=2";
    char command[400], path[] = "/tmp/liveness-capture-XXXXXX";
    snprintf(command, sizeof command, "%s %s - 2>/dev/null", source, options);
    struct file video = run(command);
    int at = mkstemp(path);
    if (at >= 0) close(at);
    snprintf(command, sizeof command,
             "ffmpeg -v error -i %s -f rawvideo -pix_fmt rgb24 -sws_flags "
             "accurate_rnd+full_chroma_int+full_chroma_inp - 2>/dev/null",
             path);
    struct file pixels = {0};
    if (video.size && file_write(&video, path)) pixels = run(command);
    size_t bytes = 96 * 64 * 3, count = 0;
    double sum = 0;
    struct vi_capture *capture = NULL;
    struct vi_frame frame;
    bool end = true;
    if (!pixels.size) {
        test_skip(name, "no ffmpeg here, or not this encoder");
    } else {
        if (!vi_capture_open(&capture, context, path, &(struct vi_capture_options){.no_ffmpeg = 1}))
            while (!vi_capture_read(capture, &frame, &end) && !end &&
                   ++count * bytes <= pixels.size)
                for (size_t i = 0; i < bytes; i++)
                    sum += abs(frame.image.pixels[i] - pixels.data[(count - 1) * bytes + i]);
        sum /= (double)pixels.size;
        CHECK(count == 20 && pixels.size == 20 * bytes && sum < limit,
              "%s: %zu frames, on average %.3f from ffmpeg's", name, count, sum);
    }
    vi_capture_close(&capture);
    unlink(path);
    file_free(&video);
    file_free(&pixels);
}

int main(void)
{
    if (nn_open(&context, NULL)) return 1;
    size_t before = nn_bytes_allocated(context);
    test_y4m();
    test_y4m_refused();
    test_ffmpeg("y4m by ffmpeg", "-pix_fmt yuv444p -f yuv4mpegpipe", 0.5);
    test_ffmpeg("y4m of 10 bits by ffmpeg", "-pix_fmt yuv444p10 -strict -1 -f yuv4mpegpipe", 0.8);
    test_ffmpeg("Motion-JPEG in AVI by ffmpeg", "-c:v mjpeg -pix_fmt yuvj444p -q:v 2 -f avi", 1);
    test_ffmpeg("a stream of JPEGs by ffmpeg", "-c:v mjpeg -pix_fmt yuvj444p -q:v 2 -f mpjpeg", 1);
    CHECK(nn_bytes_allocated(context) == before, "all memory was given back");
    nn_close(&context);
    return test_done();
}
