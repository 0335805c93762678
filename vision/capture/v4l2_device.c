/*
 * v4l2_device.c — one video node: what it is, what formats, sizes and rates it has, which of them
 * is nearest to what is wanted, and setting it.
 *
 * A camera on USB 2 has some 24 MB per second for its pictures. Uncompressed ones are the better
 * choice as long as they come fast enough; beyond that it is Motion-JPEG. Controls (exposure, gain,
 * white balance) are left as they are.
 */
#include "vision/capture/v4l2.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#ifdef VI_V4L2
#include <linux/videodev2.h>

enum { MOST_FORMATS = 64, MOST_SIZES = 128, MOST_INTERVALS = 64, MOST_INTERRUPTS = 100 };
enum { LARGEST_SIDE = 32768 };

int vi_camera_ioctl(const struct vi_camera_device *device, unsigned long request, void *argument)
{
    const struct vi_camera_system *system = device->system;
    for (int i = 0; i < MOST_INTERRUPTS; i++) {
        if (system->ioctl(system->user, device->file, request, argument) >= 0) return 0;
        if (errno != EINTR) return errno ? errno : EIO;
    }
    return EINTR;
}

uint32_t vi_camera_type(const struct vi_camera_device *device)
{
    return device->planes ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
}

/* ---- what it is ------------------------------------------------------------------------------ */

static enum vi_camera_use use_of(uint32_t capabilities)
{
    if (capabilities & (V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE)) return VI_CAMERA_OTHER;
    if (capabilities & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE))
        return VI_CAMERA_CAPTURE;
    if (capabilities & V4L2_CAP_META_CAPTURE) return VI_CAMERA_METADATA;
    if (capabilities & (V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_VIDEO_OUTPUT_MPLANE))
        return VI_CAMERA_OUTPUT;
    return VI_CAMERA_OTHER;
}

/* A driver's text need not have an end. */
static void copy_text(char *to, const uint8_t *from, size_t size)
{
    memcpy(to, from, size);
    to[size] = '\0';
}

int vi_camera_query(struct vi_camera_device *device, const struct vi_camera_system *system,
                    const char *path)
{
    struct v4l2_capability answer = {0};
    *device = (struct vi_camera_device){.system = system, .file = -1};
    if (strlen(path) >= sizeof device->path) return ENAMETOOLONG;
    memcpy(device->path, path, strlen(path) + 1);
    do device->file = system->open(system->user, path, O_RDWR | O_NONBLOCK);
    while (device->file < 0 && errno == EINTR);
    if (device->file < 0) return errno ? errno : EIO;
    int error = vi_camera_ioctl(device, VIDIOC_QUERYCAP, &answer);
    if (error) {
        vi_camera_shut(device);
        return error == EINVAL ? ENOTTY : error;
    }
    copy_text(device->name, answer.card, sizeof answer.card);
    copy_text(device->driver, answer.driver, sizeof answer.driver);
    copy_text(device->bus, answer.bus_info, sizeof answer.bus_info);
    /* A camera has several nodes; device_caps are this one's. */
    device->capabilities =
        answer.capabilities & V4L2_CAP_DEVICE_CAPS ? answer.device_caps : answer.capabilities;
    device->use = use_of(device->capabilities);
    device->planes = !(device->capabilities & V4L2_CAP_VIDEO_CAPTURE);
    return 0;
}

void vi_camera_shut(struct vi_camera_device *device)
{
    if (device->file >= 0) device->system->close(device->system->user, device->file);
    device->file = -1;
}

/* ---- formats, sizes, rates ------------------------------------------------------------------- */

struct survey {
    const struct vi_camera_device *device;
    struct vi_camera_mode *modes; /* VI_MOST_MODES */
    int count;
    int width, height; /* wanted */
};

static double rate_of(struct v4l2_fract interval)
{
    if (interval.numerator == 0 || interval.denominator == 0) return 0;
    double rate = (double)interval.denominator / interval.numerator;
    return rate >= 0.001 && rate <= 10000 ? rate : 0;
}

/* The fastest first, none twice. */
static void add_rate(struct vi_camera_mode *mode, double rate)
{
    int at = 0;
    if (rate <= 0) return;
    while (at < mode->rate_count && mode->rates[at] > rate) at++;
    if (at == VI_CAMERA_RATES || (at < mode->rate_count && mode->rates[at] >= rate)) return;
    if (mode->rate_count < VI_CAMERA_RATES) mode->rate_count++;
    for (int i = mode->rate_count - 1; i > at; i--) mode->rates[i] = mode->rates[i - 1];
    mode->rates[at] = rate;
}

static void find_rates(const struct vi_camera_device *device, struct vi_camera_mode *mode,
                       int width, int height)
{
    for (uint32_t i = 0; i < MOST_INTERVALS; i++) {
        struct v4l2_frmivalenum answer = {.index = i,
                                          .pixel_format = vi_camera_fourcc(mode->format),
                                          .width = (uint32_t)width,
                                          .height = (uint32_t)height};
        if (vi_camera_ioctl(device, VIDIOC_ENUM_FRAMEINTERVALS, &answer)) return;
        if (answer.type == V4L2_FRMIVAL_TYPE_DISCRETE) {
            add_rate(mode, rate_of(answer.discrete));
            continue;
        }
        add_rate(mode, rate_of(answer.stepwise.min));
        add_rate(mode, rate_of(answer.stepwise.max));
        mode->any_rate = mode->rate_count == 2;
        return;
    }
}

/* The size of the range that is nearest to the wanted one. */
static int nearest(int wanted, int least, int most, int step)
{
    if (least == 0 || wanted >= most) return most;
    if (wanted <= least) return least;
    return step > 1 ? least + (wanted - least + step / 2) / step * step : wanted;
}

static void add_size(struct survey *survey, const struct vi_camera_mode *mode)
{
    struct vi_camera_mode *to = &survey->modes[survey->count];
    if (survey->count == VI_MOST_MODES || mode->width < 1 || mode->height < 1 ||
        mode->width > LARGEST_SIDE || mode->height > LARGEST_SIDE)
        return;
    *to = *mode;
    survey->count++;
    find_rates(survey->device, to,
               nearest(survey->width, to->least_width, to->width, to->step_width),
               nearest(survey->height, to->least_height, to->height, to->step_height));
}

static int side(uint32_t value)
{
    return value > LARGEST_SIDE ? LARGEST_SIDE + 1 : (int)value;
}

/* Of a driver that does not list its sizes: the one it would take. */
static void try_size(struct survey *survey, struct vi_camera_mode mode)
{
    struct v4l2_format format = {.type = vi_camera_type(survey->device)};
    /* The first four fields are the same in both APIs. */
    format.fmt.pix.width = (uint32_t)survey->width;
    format.fmt.pix.height = (uint32_t)survey->height;
    format.fmt.pix.pixelformat = vi_camera_fourcc(mode.format);
    if (vi_camera_ioctl(survey->device, VIDIOC_TRY_FMT, &format)) return;
    mode.width = side(format.fmt.pix.width);
    mode.height = side(format.fmt.pix.height);
    add_size(survey, &mode);
}

static void find_sizes(struct survey *survey, struct vi_camera_mode mode)
{
    int before = survey->count;
    for (uint32_t i = 0; i < MOST_SIZES; i++) {
        struct v4l2_frmsizeenum answer = {.index = i,
                                          .pixel_format = vi_camera_fourcc(mode.format)};
        if (vi_camera_ioctl(survey->device, VIDIOC_ENUM_FRAMESIZES, &answer)) break;
        if (answer.type == V4L2_FRMSIZE_TYPE_DISCRETE) {
            mode.width = side(answer.discrete.width);
            mode.height = side(answer.discrete.height);
            add_size(survey, &mode);
            continue;
        }
        mode.width = side(answer.stepwise.max_width);
        mode.height = side(answer.stepwise.max_height);
        mode.least_width = side(answer.stepwise.min_width);
        mode.least_height = side(answer.stepwise.min_height);
        mode.step_width = side(answer.stepwise.step_width);
        mode.step_height = side(answer.stepwise.step_height);
        /* Some say "up to everything". */
        if (mode.width > LARGEST_SIDE) mode.width = LARGEST_SIDE;
        if (mode.height > LARGEST_SIDE) mode.height = LARGEST_SIDE;
        if (mode.least_width < 1) mode.least_width = 1;
        if (mode.least_height < 1) mode.least_height = 1;
        if (mode.least_width <= mode.width && mode.least_height <= mode.height)
            add_size(survey, &mode);
        break;
    }
    if (survey->count == before) try_size(survey, mode);
}

static int wanted_width(const struct vi_capture_options *options)
{
    return options && options->width > 0 ? options->width : 640;
}

static int wanted_height(const struct vi_capture_options *options)
{
    return options && options->height > 0 ? options->height : 480;
}

enum nn_status vi_camera_modes(struct vi_camera_mode **modes, int *count,
                               struct nn_context *context, const struct vi_camera_device *device,
                               const struct vi_capture_options *options)
{
    struct survey survey = {device, nn_alloc(context, VI_MOST_MODES, sizeof *survey.modes), 0,
                            wanted_width(options), wanted_height(options)};
    *modes = NULL;
    *count = 0;
    if (!survey.modes) return NN_ERROR_MEMORY;
    for (uint32_t i = 0; i < MOST_FORMATS; i++) {
        struct v4l2_fmtdesc answer = {.index = i, .type = vi_camera_type(device)};
        if (vi_camera_ioctl(device, VIDIOC_ENUM_FMT, &answer)) break;
        const struct vi_camera_format *known = vi_camera_format(answer.pixelformat);
        struct vi_camera_mode mode = {.readable = known != NULL};
        mode.compressed = known ? known->compressed : answer.flags & V4L2_FMT_FLAG_COMPRESSED;
        for (int k = 0; k < 4; k++) mode.format[k] = (char)(answer.pixelformat >> 8 * k & 0xff);
        find_sizes(&survey, mode);
    }
    *modes = survey.modes;
    *count = survey.count;
    return NN_OK;
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* The slowest rate that is as fast as wanted, else the fastest; 0: not known. */
static double reachable_rate(const struct vi_camera_mode *mode, double wanted)
{
    if (mode->rate_count == 0) return 0;
    if (mode->any_rate && wanted <= mode->rates[0])
        return wanted < mode->rates[1] ? mode->rates[1] : wanted;
    double best = mode->rates[0];
    for (int i = 1; i < mode->rate_count; i++)
        if (mode->rates[i] >= 0.98 * wanted) best = mode->rates[i]; /* 29.97 is 30 */
    return best;
}

/* How far a mode is from what is wanted: factors between areas, shapes and rates as powers of two.
 * Pixels that are missing weigh twice those that are too many; half the rate as much as half the
 * pixels. */
static double cost_of(const struct vi_camera_mode *mode, const struct vi_capture_options *options)
{
    double wanted_w = wanted_width(options), wanted_h = wanted_height(options);
    double rate = options && options->rate > 0 ? options->rate : 30;
    double w = nearest(wanted_width(options), mode->least_width, mode->width, mode->step_width);
    double h = nearest(wanted_height(options), mode->least_height, mode->height, mode->step_height);
    double area = log2(w * h / (wanted_w * wanted_h)), got = reachable_rate(mode, rate);
    double cost = vi_camera_format(vi_camera_fourcc(mode->format))->cost;
    cost += area < 0 ? -2 * area : area;
    cost += fabs(log2(w / h * wanted_h / wanted_w));
    if (got > 0 && got < 0.98 * rate) cost += 2 * log2(rate / got);
    if (got > rate) cost += 0.05 * log2(got / rate);
    return cost;
}

int vi_camera_choose(const struct vi_camera_mode *modes, int count,
                     const struct vi_capture_options *options)
{
    int best = -1;
    double least = 0;
    for (int i = 0; i < count; i++) {
        if (!modes[i].readable) continue;
        double cost = cost_of(&modes[i], options);
        if (best >= 0 && cost >= least) continue;
        best = i;
        least = cost;
    }
    return best;
}

/* ---- setting --------------------------------------------------------------------------------- */

/* Both APIs' answers in the fields of the simpler one. */
static struct v4l2_pix_format answered(const struct vi_camera_device *device,
                                       const struct v4l2_format *format)
{
    const struct v4l2_pix_format_mplane *planes = &format->fmt.pix_mp;
    if (!device->planes) return format->fmt.pix;
    return (struct v4l2_pix_format){.width = planes->width,
                                    .height = planes->height,
                                    .pixelformat =
                                        planes->num_planes == 1 ? planes->pixelformat : 0,
                                    .field = planes->field,
                                    .bytesperline = planes->plane_fmt[0].bytesperline,
                                    .sizeimage = planes->plane_fmt[0].sizeimage,
                                    .colorspace = planes->colorspace,
                                    .priv = V4L2_PIX_FMT_PRIV_MAGIC,
                                    .quantization = planes->quantization};
}

/* Of the samples: as the driver says, else as the colour space has it. */
static bool is_full_range(const struct v4l2_pix_format *format)
{
    bool says = format->priv == V4L2_PIX_FMT_PRIV_MAGIC;
    if (says && format->quantization == V4L2_QUANTIZATION_FULL_RANGE) return true;
    if (says && format->quantization == V4L2_QUANTIZATION_LIM_RANGE) return false;
    return format->colorspace == V4L2_COLORSPACE_JPEG;
}

static int set_format(struct vi_camera_device *device, const struct vi_camera_mode *mode, int width,
                      int height)
{
    struct v4l2_format format = {.type = vi_camera_type(device)};
    format.fmt.pix.width = (uint32_t)width;
    format.fmt.pix.height = (uint32_t)height;
    format.fmt.pix.pixelformat = vi_camera_fourcc(mode->format);
    format.fmt.pix.field = V4L2_FIELD_ANY;
    if (device->planes)
        format.fmt.pix_mp.num_planes = 1;
    else
        format.fmt.pix.priv = V4L2_PIX_FMT_PRIV_MAGIC;
    int error = vi_camera_ioctl(device, VIDIOC_S_FMT, &format);
    if (error) return error;
    struct v4l2_pix_format got = answered(device, &format);
    struct vi_camera_layout *layout = &device->layout;
    /* It may have decided otherwise. */
    layout->format = vi_camera_format(got.pixelformat);
    if (!layout->format || got.width < 1 || got.height < 1 || got.width > LARGEST_SIDE ||
        got.height > LARGEST_SIDE || got.bytesperline > VI_MAX_FRAME)
        return EINVAL;
    layout->width = (int)got.width;
    layout->height = (int)got.height;
    layout->full = is_full_range(&got);
    size_t row = vi_camera_row(layout->format, layout->width);
    layout->stride = got.bytesperline > row ? got.bytesperline : row;
    /* A size that is missing, or a lie, is made up for where frames have one. */
    uint64_t least = vi_camera_frame_size(layout);
    if (layout->format->compressed) least = 2 * (uint64_t)got.width * got.height + 65536;
    bool given = got.sizeimage > 0 && (layout->format->compressed || got.sizeimage >= least);
    device->size = given ? got.sizeimage : (size_t)least;
    return device->size <= VI_MAX_FRAME ? 0 : EINVAL;
}

static void set_rate(struct vi_camera_device *device, double rate)
{
    struct v4l2_streamparm answer = {.type = vi_camera_type(device)};
    device->rate = 0;
    if (vi_camera_ioctl(device, VIDIOC_G_PARM, &answer)) return;
    if (answer.parm.capture.capability & V4L2_CAP_TIMEPERFRAME && rate > 0) {
        struct v4l2_streamparm wanted = {.type = vi_camera_type(device)};
        wanted.parm.capture.timeperframe = (struct v4l2_fract){1000, (uint32_t)(1000 * rate + 0.5)};
        if (!vi_camera_ioctl(device, VIDIOC_S_PARM, &wanted)) answer = wanted;
    }
    device->rate = rate_of(answer.parm.capture.timeperframe);
}

int vi_camera_set(struct vi_camera_device *device, const struct vi_camera_mode *mode,
                  const struct vi_capture_options *options)
{
    double rate = options && options->rate > 0 ? options->rate : 30;
    int error = set_format(
        device, mode,
        nearest(wanted_width(options), mode->least_width, mode->width, mode->step_width),
        nearest(wanted_height(options), mode->least_height, mode->height, mode->step_height));
    if (error) return error;
    double reachable = reachable_rate(mode, rate);
    set_rate(device, reachable > 0 ? reachable : rate);
    return 0;
}

#endif
