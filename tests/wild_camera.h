/*
 * wild_camera.h — a driver that answers what bytes say: those of fake_camera.h, with errors, and
 * bytes turned over, wherever the next byte wants it. For the tests, with random bytes, and for the
 * fuzzer.
 */
#ifndef WILD_CAMERA_H
#define WILD_CAMERA_H

#include "fake_camera.h"

struct wild {
    const uint8_t *bytes;
    size_t left;
    struct vi_camera_system system;
    struct fake fake;
};

/* The next byte's choice of `count`; the last one where there are no more bytes. */
static inline uint32_t wild_choice(struct wild *wild, uint32_t count)
{
    if (!wild->left) return count - 1;
    wild->left--;
    return *wild->bytes++ % count;
}

static inline int wild_ioctl(void *user, int file, unsigned long request, void *argument)
{
    static const int errors[] = {EAGAIN, EINTR, EIO, ENODEV, EINVAL, EBUSY, ENOTTY, ENOSPC};
    struct wild *wild = user;
    uint8_t *answer = argument;
    size_t size = (size_t)_IOC_SIZE(request);
    int status = fake_ioctl(&wild->fake, file, request, argument);
    uint32_t kind = wild_choice(wild, 40);
    if (kind == 0) { /* all of it */
        for (size_t i = 0; i < size && (_IOC_DIR(request) & _IOC_READ); i++)
            answer[i] = (uint8_t)wild_choice(wild, 256);
        return 0;
    }
    if (kind < 4) { /* a word of it */
        size_t at = 4 * (size_t)wild_choice(wild, (uint32_t)(size / 4));
        for (size_t i = at; i < at + 4 && (_IOC_DIR(request) & _IOC_READ); i++)
            answer[i] = (uint8_t)wild_choice(wild, 256);
        return 0;
    }
    return kind == 4 ? fake_fail(errors[wild_choice(wild, 8)]) : status;
}

/* As long as the driver says, up to a limit. */
static inline void *wild_map(void *user, int file, size_t size, uint64_t offset)
{
    (void)user, (void)file, (void)offset;
    errno = ENOMEM;
    return size > 1 << 20 ? NULL : calloc(1, size ? size : 1);
}

static inline void wild_unmap(void *user, void *memory, size_t size)
{
    (void)user, (void)size;
    free(memory);
}

static inline int wild_open(void *user, const char *path, int flags)
{
    return fake_open(&((struct wild *)user)->fake, path, flags);
}

static inline int wild_close(void *user, int file)
{
    return fake_close(&((struct wild *)user)->fake, file);
}

static inline int wild_poll(void *user, int file, int milliseconds)
{
    struct wild *wild = user;
    if (wild_choice(wild, 30) == 0) return (int)wild_choice(wild, 64);
    return fake_poll(&wild->fake, file, milliseconds);
}

static inline ssize_t wild_read(void *user, int file, void *to, size_t size)
{
    struct wild *wild = user;
    (void)file;
    if (wild_choice(wild, 2)) return fake_fail(EAGAIN);
    wild->fake.time += 0.01;
    size_t part = size * wild_choice(wild, 17) / 16;
    memset(to, (int)wild_choice(wild, 256), part);
    return (ssize_t)part;
}

static inline int wild_stat(void *user, const char *path, struct stat *info)
{
    return fake_stat(&((struct wild *)user)->fake, path, info);
}

static inline ssize_t wild_readlink(void *user, const char *path, char *to, size_t size)
{
    (void)path;
    memset(to, 'x', size);
    return wild_choice(user, 2) ? (ssize_t)size : -1;
}

static inline int wild_list(void *user, const char *folder,
                            void (*each)(void *argument, const char *name), void *argument)
{
    each(argument, "video");
    each(argument, "video00000000000000000000000000000000000000000000000000000000000000000000000");
    each(argument, "4711");
    return fake_list(&((struct wild *)user)->fake, folder, each, argument);
}

static inline double wild_clock(void *user)
{
    return fake_clock(&((struct wild *)user)->fake);
}

static inline void wild_start(struct wild *wild, struct nn_context *context, const uint8_t *bytes,
                              size_t size)
{
    wild->bytes = bytes;
    wild->left = size;
    fake_start(&wild->fake, context);
    wild->fake.planes = wild_choice(wild, 4) == 0;
    uint32_t way = wild_choice(wild, 4) == 0 ? V4L2_CAP_READWRITE : V4L2_CAP_STREAMING;
    wild->fake.nodes[0].capabilities =
        way | (wild->fake.planes ? V4L2_CAP_VIDEO_CAPTURE_MPLANE : V4L2_CAP_VIDEO_CAPTURE);
    if (wild_choice(wild, 4) == 0) wild->fake.formats[0] = wild->fake.formats[1];
    wild->system = (struct vi_camera_system){
        .open = wild_open,
        .close = wild_close,
        .ioctl = wild_ioctl,
        .map = wild_map,
        .unmap = wild_unmap,
        .poll = wild_poll,
        .read = wild_read,
        .stat = wild_stat,
        .readlink = wild_readlink,
        .list = wild_list,
        .clock = wild_clock,
        .user = wild,
    };
}

struct wild_sums {
    int opened, frames, troubles;
};

/* Lists it, opens it, reads a few frames. False: a read took long, gave nothing, or something was
 * left behind. */
static inline bool wild_run(struct wild *wild, struct nn_context *context, const uint8_t *bytes,
                            size_t size, struct wild_sums *sums)
{
    struct vi_capture_options options = {.width = 40, .height = 24, .max_pixels = 1000};
    struct vi_capture *capture = NULL;
    struct vi_camera *cameras = NULL;
    int count = 0;
    bool ok = true, end = false;
    size_t before = nn_bytes_allocated(context);
    wild_start(wild, context, bytes, size);
    vi_cameras_list_on(&cameras, &count, context, &wild->system);
    vi_cameras_free(&cameras, &count, context);
    vi_capture_open_camera(&capture, context, "0", &options, &wild->system);
    sums->opened += capture != NULL;
    for (int i = 0; capture && i < 6 && ok; i++) {
        struct vi_frame frame;
        double start = wild->fake.time;
        if (vi_capture_read(capture, &frame, &end)) break;
        ok = !end && frame.image.pixels && frame.image.width > 0 && frame.image.channels == 3 &&
             frame.image.width * frame.image.height <= 1000 && frame.seconds >= 0 &&
             wild->fake.time - start < 0.75;
        sums->frames += !frame.trouble;
        sums->troubles += frame.trouble != NULL;
    }
    vi_capture_close(&capture);
    fake_drop_buffers(&wild->fake);
    return ok && nn_bytes_allocated(context) == before && wild->fake.opened == wild->fake.closed;
}

#endif
