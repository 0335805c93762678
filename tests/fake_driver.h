/*
 * fake_driver.h — what a camera's driver does, played: frames that come by the clock, and the
 * answers to ioctls. fake_camera.h makes the system calls of it.
 */
#ifndef FAKE_DRIVER_H
#define FAKE_DRIVER_H

#include "capture_files.h"
#include "vision/capture/v4l2.h"

#include <errno.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/sysmacros.h>

enum fake_what {
    FAKE_NONE,
    FAKE_SHORT,     /* half of its bytes */
    FAKE_FLAGGED,   /* marked as damaged by the driver */
    FAKE_EMPTY,     /* no bytes */
    FAKE_CORRUPT,   /* bytes turned over */
    FAKE_OVERLONG,  /* says to have more bytes than its buffer */
    FAKE_BAD_INDEX, /* in a buffer that does not exist */
    FAKE_EIO,       /* dequeuing fails */
    FAKE_EINTR,     /* dequeuing is interrupted once */
    FAKE_LATE,      /* never comes */
    FAKE_BAD_STAMP  /* a time in the future */
};
struct fake_fault {
    int frame; /* from 1 */
    enum fake_what what;
};

struct fake_size {
    uint32_t type;          /* V4L2_FRMSIZE_TYPE_...; 0: not listed */
    uint32_t width, height; /* the largest */
    uint32_t least_width, least_height, step;
    uint32_t interval_type; /* 0: not listed */
    struct v4l2_fract intervals[4];
};
struct fake_format {
    const char *fourcc;
    struct fake_size sizes[4];
};
struct fake_node {
    int number; /* /dev/videoN; -1: unplugged */
    const char *card, *driver, *bus;
    uint32_t capabilities;
    int open_error, query_error, busy; /* errno */
    mode_t mode;
    gid_t group;
};
enum { FAKE_NODES = 6, FAKE_FORMATS = 8, FAKE_BUFFERS = 8, FAKE_TEXTS = 8 };

struct fake {
    struct vi_camera_system system;
    double time;
    struct fake_node nodes[FAKE_NODES];
    struct fake_format formats[FAKE_FORMATS];
    struct fake_fault faults[8];
    struct {
        const char *path, *text;
    } texts[FAKE_TEXTS], links[FAKE_TEXTS], lists[FAKE_TEXTS]; /* a list: names parted by blanks */
    int buffers;        /* that it gives; 0: as many as wanted */
    uint32_t padding;   /* bytes more per row */
    bool no_size_image; /* sizeimage and bytesperline are 0 */
    bool lies;          /* sizeimage is 1 */
    bool other_format;  /* S_FMT answers with the first format, whatever was wanted */
    bool full_range, full_buffers_only, clockless, no_poll, planes;
    int stream_error;                /* errno of STREAMON */
    const char *stream_error_format; /* ... for this format alone */
    double unplug_at, replug_at;     /* 0: never */
    int replug_number;
    int broken_run;   /* all frames from this one (from 1) on are corrupt */
    int frames_limit; /* there are no more than this */
    int opened, closed, mapped, unmapped, requested; /* how often */
    /* the stream */
    struct nn_context *context;
    bool on;
    int streaming_node;
    struct v4l2_pix_format format;
    struct v4l2_fract interval;
    struct {
        uint8_t *memory;
        size_t size, used;
        bool queued, done, flagged;
        uint32_t sequence;
        double stamp;
        int number;
    } buffer[FAKE_BUFFERS];
    int order[FAKE_BUFFERS], ordered;         /* queued, the first first */
    int ready[FAKE_BUFFERS], readies;         /* done */
    int buffer_count, frame, descriptors[32]; /* of node or text + 100; -1: free */
    size_t text_at[32];
    bool interrupted;
    double next_frame;
};

static const struct fake_format fake_formats[] = {
    {"YUYV",
     {{V4L2_FRMSIZE_TYPE_DISCRETE,
       640,
       480,
       0,
       0,
       0,
       V4L2_FRMIVAL_TYPE_DISCRETE,
       {{1, 30}, {1, 15}}},
      {V4L2_FRMSIZE_TYPE_DISCRETE, 1280, 720, 0, 0, 0, V4L2_FRMIVAL_TYPE_DISCRETE, {{1, 10}}},
      {V4L2_FRMSIZE_TYPE_DISCRETE, 40, 24, 0, 0, 0, V4L2_FRMIVAL_TYPE_DISCRETE, {{1, 30}}}}},
    {"MJPG",
     {{V4L2_FRMSIZE_TYPE_DISCRETE,
       640,
       480,
       0,
       0,
       0,
       V4L2_FRMIVAL_TYPE_DISCRETE,
       {{1, 60}, {1, 30}}},
      {V4L2_FRMSIZE_TYPE_DISCRETE, 1280, 720, 0, 0, 0, V4L2_FRMIVAL_TYPE_DISCRETE, {{1, 30}}},
      {V4L2_FRMSIZE_TYPE_DISCRETE, 40, 24, 0, 0, 0, V4L2_FRMIVAL_TYPE_DISCRETE, {{1, 60}}}}},
};

/* ---- frames ---------------------------------------------------------------------------------- */

static inline uint32_t fake_fourcc(const char *name)
{
    return vi_camera_fourcc(name);
}

static inline enum fake_what fake_fault_of(const struct fake *fake, int frame)
{
    for (size_t i = 0; i < sizeof fake->faults / sizeof *fake->faults; i++)
        if (fake->faults[i].frame == frame + 1) return fake->faults[i].what;
    if (fake->broken_run && frame + 1 >= fake->broken_run) return FAKE_CORRUPT;
    return FAKE_NONE;
}

/* Luma and chroma of frame_color, limited range. */
static inline void fake_yuv(uint8_t yuv[3], int number, bool full)
{
    struct vi_rgb c = frame_color(number);
    double y = 0.299 * c.r + 0.587 * c.g + 0.114 * c.b, u = (c.b - y) / 1.772,
           v = (c.r - y) / 1.402;
    yuv[0] = (uint8_t)(full ? y + 0.5 : 16.5 + y * 219 / 255);
    yuv[1] = (uint8_t)(128.5 + u * (full ? 1 : 224 / 255.0));
    yuv[2] = (uint8_t)(128.5 + v * (full ? 1 : 224 / 255.0));
}

/* Bytes of a row in the first plane. */
static inline uint32_t fake_row(uint32_t fourcc, uint32_t width)
{
    const struct vi_camera_format *format = vi_camera_format(fourcc);
    return format ? (uint32_t)vi_camera_row(format, (int)width) : width;
}

static inline size_t fake_frame_size(const struct fake *fake)
{
    const struct v4l2_pix_format *f = &fake->format;
    uint32_t stride = fake_row(f->pixelformat, f->width) + fake->padding;
    size_t luma = (size_t)stride * f->height;
    if (f->pixelformat == V4L2_PIX_FMT_MJPEG) return (size_t)f->width * f->height * 2 + 4096;
    bool planar = f->pixelformat == V4L2_PIX_FMT_NV12 || f->pixelformat == V4L2_PIX_FMT_YUV420;
    return planar ? luma + luma / 2 : luma;
}

/* Puts frame `number` into `to`; returns its bytes. */
static inline size_t fake_fill(const struct fake *fake, uint8_t *to, size_t size, int number)
{
    const struct v4l2_pix_format *f = &fake->format;
    uint8_t yuv[3];
    struct vi_rgb rgb = frame_color(number);
    fake_yuv(yuv, number, fake->full_range);
    if (f->pixelformat == V4L2_PIX_FMT_MJPEG) {
        struct file jpeg =
            frame_encoded(fake->context, number, (int)f->width, (int)f->height, "jpeg");
        struct file bare = without_tables(&jpeg); /* as cameras send them */
        size_t used = bare.size < size ? bare.size : size;
        memcpy(to, bare.data, used);
        file_free(&jpeg);
        file_free(&bare);
        return used;
    }
    size_t all = fake_frame_size(fake),
           luma = (size_t)(fake_row(f->pixelformat, f->width) + fake->padding) * f->height;
    size_t row = fake_row(f->pixelformat, f->width), stride = row + fake->padding;
    if (all > size) all = size;
    for (size_t i = 0; i < all; i++) {
        if (i < luma && i % stride >= row) {
            to[i] = 0xee;
            continue;
        }
        if (f->pixelformat == V4L2_PIX_FMT_YUYV)
            to[i] = i % 2 == 0 ? yuv[0] : yuv[1 + i / 2 % 2];
        else if (f->pixelformat == V4L2_PIX_FMT_RGB24)
            to[i] = (&rgb.r)[i % (fake_row(f->pixelformat, f->width) + fake->padding) % 3];
        else if (f->pixelformat == V4L2_PIX_FMT_NV12)
            to[i] = i < luma ? yuv[0] : yuv[1 + i % 2];
        else
            to[i] = i < luma ? yuv[0] : yuv[i < luma + luma / 4 ? 1 : 2];
    }
    return all;
}

/* Frames that were due have come. */
static inline void fake_advance(struct fake *fake)
{
    double period = (double)fake->interval.numerator / fake->interval.denominator;
    struct fake_node *node = &fake->nodes[fake->streaming_node];
    if (fake->unplug_at > 0 && fake->time >= fake->unplug_at) {
        fake->unplug_at = 0;
        fake->nodes[0].number = -1;
        fake->on = false;
    }
    if (fake->replug_at > 0 && fake->time >= fake->replug_at) {
        fake->replug_at = 0;
        fake->nodes[0].number = fake->replug_number;
    }
    while (fake->on && node->number >= 0 && fake->next_frame <= fake->time) {
        int frame = fake->frame++;
        enum fake_what what = fake_fault_of(fake, frame);
        double stamp = fake->next_frame;
        fake->next_frame += period;
        if (fake->frames_limit && frame >= fake->frames_limit) continue;
        if (what == FAKE_LATE || fake->ordered == 0) continue;
        int index = fake->order[0];
        memmove(fake->order, fake->order + 1, sizeof *fake->order * (size_t)--fake->ordered);
        size_t used = fake_fill(fake, fake->buffer[index].memory, fake->buffer[index].size, frame);
        if (what == FAKE_SHORT) used /= 2;
        if (what == FAKE_EMPTY) used = 0;
        if (what == FAKE_OVERLONG) used = fake->buffer[index].size + 1000000;
        for (size_t i = 20; what == FAKE_CORRUPT && i < used; i += 7)
            fake->buffer[index].memory[i] ^= 0xff;
        fake->buffer[index].used = used;
        fake->buffer[index].sequence = (uint32_t)frame;
        fake->buffer[index].stamp = what == FAKE_BAD_STAMP ? stamp + 1000 : stamp;
        fake->buffer[index].flagged = what == FAKE_FLAGGED;
        fake->buffer[index].number = frame;
        fake->ready[fake->readies++] = index;
    }
}

/* ---- ioctls: 0 or errno ---------------------------------------------------------------------- */

static inline struct fake_format *fake_format_of(struct fake *fake, uint32_t fourcc)
{
    for (int i = 0; i < FAKE_FORMATS && fake->formats[i].fourcc; i++)
        if (fake_fourcc(fake->formats[i].fourcc) == fourcc) return &fake->formats[i];
    return NULL;
}

static inline int fake_querycap(const struct fake_node *node, struct v4l2_capability *answer)
{
    memset(answer, 0, sizeof *answer);
    /* A name of 32 bytes has no end. */
    memcpy(answer->card, node->card, strlen(node->card) > 32 ? 32 : strlen(node->card));
    memcpy(answer->driver, node->driver, strlen(node->driver));
    memcpy(answer->bus_info, node->bus, strlen(node->bus));
    answer->capabilities =
        V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING;
    answer->device_caps = node->capabilities;
    return node->query_error;
}

static inline int fake_enumerate_sizes(struct fake *fake, struct v4l2_frmsizeenum *answer)
{
    const struct fake_format *format = fake_format_of(fake, answer->pixel_format);
    if (!format || answer->index >= 4) return EINVAL;
    const struct fake_size *size = &format->sizes[answer->index];
    if (size->type == 0) return EINVAL;
    answer->type = size->type;
    if (size->type == V4L2_FRMSIZE_TYPE_DISCRETE)
        answer->discrete = (struct v4l2_frmsize_discrete){size->width, size->height};
    else
        answer->stepwise =
            (struct v4l2_frmsize_stepwise){size->least_width,  size->width,  size->step,
                                           size->least_height, size->height, size->step};
    return 0;
}

static inline const struct fake_size *fake_size_of(const struct fake_format *format, uint32_t width,
                                                   uint32_t height)
{
    for (int i = 0; format && i < 4; i++) {
        const struct fake_size *size = &format->sizes[i];
        bool ranged = size->least_width && width >= size->least_width &&
                      height >= size->least_height && width <= size->width &&
                      height <= size->height;
        if ((width == size->width && height == size->height) || ranged) return size;
    }
    return NULL;
}

static inline int fake_enumerate_intervals(struct fake *fake, struct v4l2_frmivalenum *answer)
{
    const struct fake_size *size =
        fake_size_of(fake_format_of(fake, answer->pixel_format), answer->width, answer->height);
    if (!size || size->interval_type == 0 || answer->index >= 4) return EINVAL;
    answer->type = size->interval_type;
    if (size->interval_type == V4L2_FRMIVAL_TYPE_DISCRETE) {
        if (size->intervals[answer->index].denominator == 0) return EINVAL;
        answer->discrete = size->intervals[answer->index];
    } else {
        answer->stepwise = (struct v4l2_frmival_stepwise){size->intervals[0], size->intervals[1],
                                                          size->intervals[2]};
    }
    return answer->index && size->interval_type != V4L2_FRMIVAL_TYPE_DISCRETE ? EINVAL : 0;
}

/* Fills in what the driver decides. */
static inline void fake_decide(struct fake *fake, struct v4l2_format *format)
{
    struct v4l2_pix_format f = {.width = format->fmt.pix.width,
                                .height = format->fmt.pix.height,
                                .pixelformat = format->fmt.pix.pixelformat};
    const struct fake_format *known = fake_format_of(fake, f.pixelformat);
    if (!known || fake->other_format) known = &fake->formats[0];
    f.pixelformat = fake_fourcc(known->fourcc);
    if (!fake_size_of(known, f.width, f.height) && known->sizes[0].type) {
        f.width = known->sizes[0].width;
        f.height = known->sizes[0].height;
    }
    f.colorspace = V4L2_COLORSPACE_SRGB;
    f.priv = V4L2_PIX_FMT_PRIV_MAGIC;
    f.quantization = fake->full_range ? V4L2_QUANTIZATION_FULL_RANGE : V4L2_QUANTIZATION_DEFAULT;
    fake->format = f;
    f.bytesperline =
        f.pixelformat == V4L2_PIX_FMT_MJPEG ? 0 : fake_row(f.pixelformat, f.width) + fake->padding;
    f.sizeimage = fake->lies ? 1 : (uint32_t)fake_frame_size(fake);
    if (fake->no_size_image) f.bytesperline = f.sizeimage = 0;
    if (!fake->planes) {
        format->fmt.pix = f;
        return;
    }
    struct v4l2_pix_format_mplane planes = {.width = f.width,
                                            .height = f.height,
                                            .pixelformat = f.pixelformat,
                                            .num_planes = 1,
                                            .quantization = (uint8_t)f.quantization};
    planes.plane_fmt[0].bytesperline = f.bytesperline;
    planes.plane_fmt[0].sizeimage = f.sizeimage;
    format->fmt.pix_mp = planes;
}

static inline int fake_parameters(struct fake *fake, struct v4l2_streamparm *answer, bool set)
{
    const struct v4l2_fract wanted = answer->parm.capture.timeperframe;
    const struct fake_size *size = fake_size_of(fake_format_of(fake, fake->format.pixelformat),
                                                fake->format.width, fake->format.height);
    if (set && wanted.numerator && size && size->interval_type) {
        double best = 1e9;
        for (int i = 0; i < 4 && size->intervals[i].denominator; i++) {
            struct v4l2_fract have = size->intervals[i];
            double off = fabs((double)have.numerator / have.denominator -
                              (double)wanted.numerator / wanted.denominator);
            if (off < best) fake->interval = have;
            if (off < best) best = off;
        }
    }
    answer->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    answer->parm.capture.timeperframe = fake->interval;
    return 0;
}

static inline void fake_drop_buffers(struct fake *fake)
{
    for (int i = 0; i < FAKE_BUFFERS; i++) {
        free(fake->buffer[i].memory);
        memset(&fake->buffer[i], 0, sizeof fake->buffer[i]);
    }
    fake->buffer_count = fake->ordered = fake->readies = 0;
}

static inline int fake_request(struct fake *fake, struct v4l2_requestbuffers *answer)
{
    if (answer->memory != V4L2_MEMORY_MMAP) return EINVAL;
    if (fake->on) return EBUSY;
    fake_drop_buffers(fake);
    if (answer->count) fake->requested++;
    if (fake->buffers && answer->count) answer->count = (uint32_t)fake->buffers;
    for (int i = 0; i < (int)answer->count && i < FAKE_BUFFERS; i++) {
        fake->buffer[i].size = fake_frame_size(fake);
        fake->buffer[i].memory = calloc(1, fake->buffer[i].size);
        fake->buffer_count = i + 1;
    }
    return 0;
}

static inline void fake_tell_size(struct fake *fake, struct v4l2_buffer *buffer, size_t used)
{
    size_t size = fake->buffer[buffer->index].size;
    if (fake->planes) {
        buffer->m.planes[0].length = (uint32_t)size;
        buffer->m.planes[0].bytesused = (uint32_t)used;
        buffer->m.planes[0].m.mem_offset = buffer->index << 20;
    } else {
        buffer->length = (uint32_t)size;
        buffer->bytesused = (uint32_t)used;
        buffer->m.offset = buffer->index << 20;
    }
}

static inline int fake_queue(struct fake *fake, const struct v4l2_buffer *buffer)
{
    if ((int)buffer->index >= fake->buffer_count || fake->buffer[buffer->index].queued)
        return EINVAL;
    fake->buffer[buffer->index].queued = true;
    fake->order[fake->ordered++] = (int)buffer->index;
    return 0;
}

static inline int fake_dequeue(struct fake *fake, struct v4l2_buffer *buffer)
{
    if (!fake->on) return EINVAL;
    if (fake->readies == 0) return EAGAIN;
    int index = fake->ready[0];
    enum fake_what what = fake_fault_of(fake, fake->buffer[index].number);
    if (what == FAKE_EINTR && !fake->interrupted) {
        fake->interrupted = true;
        return EINTR;
    }
    memmove(fake->ready, fake->ready + 1, sizeof *fake->ready * (size_t)--fake->readies);
    fake->buffer[index].queued = false;
    if (what == FAKE_EIO) return EIO;
    buffer->index = (uint32_t)index;
    fake_tell_size(fake, buffer, fake->buffer[index].used);
    buffer->flags = fake->clockless ? 0 : V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    if (fake->buffer[index].flagged) buffer->flags |= V4L2_BUF_FLAG_ERROR;
    buffer->sequence = fake->buffer[index].sequence;
    buffer->timestamp.tv_sec = (long)fake->buffer[index].stamp;
    buffer->timestamp.tv_usec = (long)(1e6 * fmod(fake->buffer[index].stamp, 1));
    if (what == FAKE_BAD_INDEX) buffer->index = 77;
    return 0;
}

static inline int fake_stream(struct fake *fake, bool on)
{
    bool concerned = !fake->stream_error_format ||
                     fake_fourcc(fake->stream_error_format) == fake->format.pixelformat;
    if (on && fake->stream_error && concerned) return fake->stream_error;
    if (on) fake->next_frame = fake->time + 0.01;
    if (!on) {
        fake->ordered = fake->readies = 0;
        for (int i = 0; i < FAKE_BUFFERS; i++) fake->buffer[i].queued = false;
    }
    fake->on = on;
    return 0;
}

static inline int fake_answer(struct fake *fake, const struct fake_node *node,
                              unsigned long request, void *argument)
{
    uint32_t type = fake->planes ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    struct v4l2_fmtdesc *description = argument;
    struct v4l2_format *format = argument;
    struct v4l2_buffer *buffer = argument;
    switch (request) {
    case VIDIOC_QUERYCAP:
        return fake_querycap(node, argument);
    case VIDIOC_ENUM_FMT:
        if (description->type != type || description->index >= FAKE_FORMATS ||
            !fake->formats[description->index].fourcc)
            return EINVAL;
        description->pixelformat = fake_fourcc(fake->formats[description->index].fourcc);
        return 0;
    case VIDIOC_ENUM_FRAMESIZES:
        return fake_enumerate_sizes(fake, argument);
    case VIDIOC_ENUM_FRAMEINTERVALS:
        return fake_enumerate_intervals(fake, argument);
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT:
        if (node->busy || format->type != type) return node->busy ? node->busy : EINVAL;
        if (request == VIDIOC_S_FMT && fake->buffer_count) return EBUSY;
        fake_decide(fake, format);
        return 0;
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM:
        return fake_parameters(fake, argument, request == VIDIOC_S_PARM);
    case VIDIOC_REQBUFS:
        return node->busy ? node->busy : fake_request(fake, argument);
    case VIDIOC_QUERYBUF:
        if ((int)buffer->index >= fake->buffer_count) return EINVAL;
        fake_tell_size(fake, buffer, 0);
        return 0;
    case VIDIOC_QBUF:
        return fake_queue(fake, buffer);
    case VIDIOC_DQBUF:
        return fake_dequeue(fake, buffer);
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF:
        return fake_stream(fake, request == VIDIOC_STREAMON);
    default:
        return ENOTTY;
    }
}

#endif
