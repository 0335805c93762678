/*
 * v4l2.c — frames of a camera: always the newest one.
 *
 * Four buffers lie in memory that the driver shares with us; it fills those that it has been given.
 * A read takes out all that are full, keeps the last and gives the others back. That one stays out
 * until the next good frame is there, to be shown again where the next one is damaged or does not
 * come. Where a driver has fewer than three buffers, or only read(), frames are copied, and so are
 * compressed ones.
 *
 * Who reads seldom finds all buffers full of old pictures, and none taken since: then the next one
 * is waited for.
 *
 * A camera that goes away (unplugged, or its driver gives up) is not an error. It is looked for
 * once a second, under its old name and on all other nodes, and set up anew when it is there.
 */
#include "vision/capture/v4l2.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#ifdef VI_V4L2
#include <linux/videodev2.h>
#include <poll.h>

enum { BUFFERS = 4, MOST_BUFFERS = 8, MOST_TRIES = 8, MOST_TURNS = 1000 };
static const double patience = 0.5; /* seconds that a read may take */
static const double silence = 3;    /* seconds without a frame after which the camera is set anew */
static const double retry = 1;      /* seconds between attempts to find it again */
static const double pause = 0.1;    /* seconds between two pictures that say "no signal" */

struct buffer {
    uint8_t *memory;
    size_t size;
};

/* A frame as it is stored. */
struct shot {
    int index; /* of its buffer, shared or own; -1: none */
    const uint8_t *data;
    size_t size;
    double seconds; /* vi_clock */
};

struct camera {
    const struct vi_camera_system *system;
    struct vi_camera_device device;
    struct buffer shared[MOST_BUFFERS];
    int count;              /* of them; 0: read() */
    bool requested;         /* the driver has made some */
    struct vi_bytes own[3]; /* copies: the good one, the newest, the one that is coming */
    bool copies;
    bool known;        /* it has been there: `device` says what to look for */
    struct shot good;  /* the last good frame */
    int taken;         /* buffers that were full when the last read took them out */
    double taken_at;   /* when that was */
    uint32_t sequence; /* of the last frame */
    bool has_sequence;
    double start, last; /* clock: of opening, of the last good frame (or of connecting) */
    double connected, next_try;
    double told; /* seconds of the last frame: they do not go back */
    char trouble[VI_TROUBLE + 64];
};

static double now(const struct camera *camera)
{
    return camera->system->clock(camera->system->user);
}

/* ---- buffers --------------------------------------------------------------------------------- */

static struct v4l2_buffer buffer_of(const struct camera *camera, int index,
                                    struct v4l2_plane planes[VIDEO_MAX_PLANES])
{
    struct v4l2_buffer buffer = {.index = (uint32_t)index,
                                 .type = vi_camera_type(&camera->device),
                                 .memory = V4L2_MEMORY_MMAP};
    memset(planes, 0, VIDEO_MAX_PLANES * sizeof *planes);
    if (camera->device.planes) {
        buffer.m.planes = planes;
        buffer.length = VIDEO_MAX_PLANES;
    }
    return buffer;
}

/* Gives a buffer to the driver. */
static int give(struct camera *camera, int index)
{
    struct v4l2_plane planes[VIDEO_MAX_PLANES];
    struct v4l2_buffer buffer = buffer_of(camera, index, planes);
    return vi_camera_ioctl(&camera->device, VIDIOC_QBUF, &buffer);
}

static int request(struct camera *camera, uint32_t count, uint32_t *given)
{
    struct v4l2_requestbuffers buffers = {
        .count = count, .type = vi_camera_type(&camera->device), .memory = V4L2_MEMORY_MMAP};
    int error = vi_camera_ioctl(&camera->device, VIDIOC_REQBUFS, &buffers);
    *given = error ? 0 : buffers.count;
    if (*given) camera->requested = true;
    return error;
}

static void stop_stream(struct camera *camera)
{
    int type = (int)vi_camera_type(&camera->device);
    uint32_t none;
    camera->good.index = -1;
    if (!camera->requested) return;
    vi_camera_ioctl(&camera->device, VIDIOC_STREAMOFF, &type);
    for (int i = 0; i < camera->count; i++)
        camera->system->unmap(camera->system->user, camera->shared[i].memory,
                              camera->shared[i].size);
    camera->count = 0;
    camera->requested = false;
    request(camera, 0, &none);
}

static int share(struct camera *camera, int index)
{
    struct v4l2_plane planes[VIDEO_MAX_PLANES];
    struct v4l2_buffer buffer = buffer_of(camera, index, planes);
    int error = vi_camera_ioctl(&camera->device, VIDIOC_QUERYBUF, &buffer);
    if (error) return error;
    size_t size = camera->device.planes ? planes[0].length : buffer.length;
    uint32_t offset = camera->device.planes ? planes[0].m.mem_offset : buffer.m.offset;
    if (size == 0 || size > VI_MAX_FRAME || size < vi_camera_frame_size(&camera->device.layout))
        return EINVAL;
    void *memory = camera->system->map(camera->system->user, camera->device.file, size, offset);
    if (!memory) return errno ? errno : ENOMEM;
    camera->shared[camera->count++] = (struct buffer){memory, size};
    return give(camera, index);
}

static int start_stream(struct camera *camera)
{
    int error = 0, type = (int)vi_camera_type(&camera->device);
    uint32_t given = 0;
    camera->copies = true;
    camera->has_sequence = false;
    camera->taken = 0;
    bool reads = camera->device.capabilities & V4L2_CAP_READWRITE;
    if (camera->device.capabilities & V4L2_CAP_STREAMING) {
        error = request(camera, BUFFERS, &given);
        if (error && (!reads || error == EBUSY)) return error;
    }
    if (given == 0) return reads ? 0 : EINVAL;
    if (given > MOST_BUFFERS) given = MOST_BUFFERS;
    for (int i = 0; i < (int)given && !error; i++) error = share(camera, i);
    if (!error) error = vi_camera_ioctl(&camera->device, VIDIOC_STREAMON, &type);
    if (error) stop_stream(camera);
    /* JPEG is looked at before it is decoded: it may not change meanwhile, as another program's
     * (v4l2loopback) could. */
    camera->copies = camera->count < 3 || camera->device.layout.format->compressed;
    return error;
}

/* ---- a frame --------------------------------------------------------------------------------- */

enum got { NOTHING, SHOT, DAMAGED, GONE };

static enum got damaged(struct vi_capture *capture, const char *why)
{
    char quoted[NN_QUOTED];
    nn_fail(capture->context, NN_ERROR_FORMAT, "%s, frame %lld: %s",
            nn_quote(quoted, capture->path), (long long)capture->next, why);
    return DAMAGED;
}

/* The own buffer that holds neither the good frame nor `other`. */
static int free_own(const struct camera *camera, const struct shot *other)
{
    int index = 0;
    while (index == camera->good.index || index == other->index) index++;
    return index;
}

/* Gives the frame's buffer back; false: the camera is gone. */
static bool release(struct camera *camera, struct shot *shot)
{
    int index = shot->index;
    shot->index = -1;
    return index < 0 || camera->copies || give(camera, index) == 0;
}

/* A clock that is not ours, or not set, is not believed. */
static double arrival(const struct camera *camera, const struct v4l2_buffer *buffer)
{
    double clock = now(camera);
    double stamp = (double)buffer->timestamp.tv_sec + 1e-6 * (double)buffer->timestamp.tv_usec;
    bool ours = (buffer->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    return ours && stamp <= clock && stamp > clock - 10 ? stamp : clock;
}

/* Frames for which the driver had no buffer are missing in its count. Some do not count. */
static void count_lost(struct vi_capture *capture, uint32_t sequence)
{
    struct camera *camera = capture->state;
    uint32_t missing = sequence - camera->sequence - 1;
    if (camera->has_sequence && sequence > camera->sequence && missing < 100000) {
        capture->info.lost += missing;
        capture->next += missing;
    }
    camera->sequence = sequence;
    camera->has_sequence = true;
}

static enum got take_shared(struct vi_capture *capture, struct shot *shot)
{
    struct camera *camera = capture->state;
    struct v4l2_plane planes[VIDEO_MAX_PLANES];
    struct v4l2_buffer buffer = buffer_of(camera, 0, planes);
    int error = vi_camera_ioctl(&camera->device, VIDIOC_DQBUF, &buffer);
    if (error == EAGAIN) return NOTHING;
    errno = error ? error : EPROTO;
    if (error || buffer.index >= (uint32_t)camera->count) return GONE;
    const struct buffer *from = &camera->shared[buffer.index];
    size_t used = camera->device.planes ? planes[0].bytesused : buffer.bytesused;
    size_t begin = camera->device.planes ? planes[0].data_offset : 0;
    if (used > from->size) used = from->size;
    if (begin > used) begin = used;
    count_lost(capture, buffer.sequence);
    *shot = (struct shot){(int)buffer.index, from->memory + begin, used - begin,
                          arrival(camera, &buffer)};
    if (!(buffer.flags & V4L2_BUF_FLAG_ERROR) && shot->size) return SHOT;
    if (!release(camera, shot)) return GONE;
    return damaged(capture, shot->size ? "damaged on its way from the camera" : "it is empty");
}

/* Into own[index]. */
static enum got copy_shared(struct vi_capture *capture, struct shot *shot, int index)
{
    struct camera *camera = capture->state;
    struct shot from;
    enum got got = take_shared(capture, &from);
    if (got != SHOT) return got;
    struct vi_bytes *to = &camera->own[index];
    to->size = 0;
    capture->status = vi_bytes_append(to, capture->context, from.data, from.size);
    *shot = (struct shot){index, to->data, to->size, from.seconds};
    return give(camera, from.index) == 0 ? SHOT : GONE;
}

/* By read(): as much as a frame has. */
static enum got read_own(struct vi_capture *capture, struct shot *shot, int index)
{
    struct camera *camera = capture->state;
    struct vi_bytes *to = &camera->own[index];
    to->size = 0;
    capture->status = vi_bytes_append(to, capture->context, NULL, camera->device.size);
    if (capture->status) return NOTHING;
    ssize_t got =
        camera->system->read(camera->system->user, camera->device.file, to->data, to->size);
    if (got < 0) return errno == EAGAIN || errno == EINTR ? NOTHING : GONE;
    if (got == 0) return NOTHING;
    if ((size_t)got < to->size) to->size = (size_t)got;
    *shot = (struct shot){index, to->data, to->size, now(camera)};
    return SHOT;
}

static enum got take(struct vi_capture *capture, struct shot *shot, const struct shot *other)
{
    struct camera *camera = capture->state;
    if (camera->count == 0) return read_own(capture, shot, free_own(camera, other));
    if (camera->copies) return copy_shared(capture, shot, free_own(camera, other));
    return take_shared(capture, shot);
}

/* Puts the newest frame in the place of *shot; what came before it is lost. */
static enum got take_newest(struct vi_capture *capture, struct shot *shot)
{
    struct camera *camera = capture->state;
    enum got got = NOTHING;
    struct shot next;
    for (int i = 0; i < 2 * MOST_BUFFERS && !capture->status; i++) {
        got = take(capture, &next, shot);
        if (got == NOTHING || got == GONE) break;
        camera->taken++;
        if (got == DAMAGED) {
            vi_capture_broken(capture);
            capture->next++;
            continue;
        }
        if (shot->index >= 0) {
            capture->info.lost++;
            capture->next++;
        }
        if (!release(camera, shot)) return GONE;
        *shot = next;
    }
    if (got == GONE) return GONE;
    return shot->index >= 0 ? SHOT : NOTHING;
}

/* Have all buffers been full for so long that newer frames found none? */
static bool is_stale(const struct camera *camera, double since)
{
    int most = camera->count - (camera->copies ? 0 : camera->good.index >= 0);
    double rate = camera->device.rate > 0 ? camera->device.rate : 30;
    return camera->count > 1 && camera->taken >= most && since > (most + 1) / rate;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void disconnect(struct camera *camera)
{
    stop_stream(camera);
    vi_camera_shut(&camera->device);
}

/* The best mode that works. Returns 0 or errno; of the first one, when none does. */
static int set_up(struct vi_capture *capture, struct vi_camera_mode *modes, int count)
{
    struct camera *camera = capture->state;
    int first = EINVAL;
    for (int i = 0; i < MOST_TRIES; i++) {
        int best = vi_camera_choose(modes, count, &capture->options);
        if (best < 0) break;
        int error = vi_camera_set(&camera->device, &modes[best], &capture->options);
        if (!error) error = start_stream(camera);
        if (!error) return 0;
        if (i == 0) first = error;
        if (error == EBUSY || error == ENODEV || error == EACCES) return error;
        modes[best].readable = false;
    }
    return first;
}

static enum nn_status connect(struct vi_capture *capture)
{
    struct camera *camera = capture->state;
    struct vi_camera_device known = camera->device;
    struct vi_camera_mode *modes = NULL;
    char text[VI_TROUBLE], quoted[NN_QUOTED];
    int count, error = 0;
    enum nn_status status = vi_camera_find(&camera->device, capture->context, camera->system,
                                           capture->path, camera->known ? &known : NULL);
    if (!status)
        status =
            vi_camera_modes(&modes, &count, capture->context, &camera->device, &capture->options);
    if (!status) error = set_up(capture, modes, count);
    if (error)
        status = nn_fail(capture->context, NN_ERROR_IO, "cannot use camera %s: %s",
                         nn_quote(quoted, capture->path),
                         error == EINVAL
                             ? "none of its formats and sizes can be had"
                             : vi_camera_explain(text, camera->system, camera->device.path, error));
    nn_free(capture->context, modes);
    const struct vi_camera_layout *layout = &camera->device.layout;
    if (!status) status = vi_capture_size(capture, layout->width, layout->height);
    if (status) {
        disconnect(camera);
        if (camera->known) camera->device = known;
        return status;
    }
    camera->known = true;
    camera->connected = camera->last = camera->taken_at = now(camera);
    capture->info.width = layout->width;
    capture->info.height = layout->height;
    capture->info.rate = camera->device.rate;
    return NN_OK;
}

static enum nn_status open_camera(struct vi_capture *capture)
{
    struct camera *camera = nn_alloc(capture->context, 1, sizeof *camera);
    capture->state = camera;
    if (!camera) return NN_ERROR_MEMORY;
    camera->system = capture->cameras;
    camera->device.file = -1;
    camera->good.index = -1;
    camera->start = now(camera);
    capture->info.live = true;
    return connect(capture);
}

static void close_camera(struct vi_capture *capture)
{
    struct camera *camera = capture->state;
    if (!camera) return;
    disconnect(camera);
    for (int i = 0; i < 3; i++) vi_bytes_free(&camera->own[i], capture->context);
    nn_free(capture->context, camera);
}

/* ---- without a picture ----------------------------------------------------------------------- */

/* In the middle, as large as it fits. */
static void draw_line(const struct vi_image *image, double y, double size, const char *text)
{
    double width = vi_text_width(size, text), room = 0.9 * image->width;
    if (width > room) size *= room / width;
    vi_draw_text(image, image->width / 2.0, y, size, VI_CENTER, (struct vi_rgb){230, 230, 230},
                 text);
}

/* "No signal": drawn anew each time, since the picture is the caller's to draw on. */
static void draw_trouble(struct vi_capture *capture)
{
    const struct camera *camera = capture->state;
    const struct vi_image *image = &capture->image;
    vi_fill(image, (struct vi_rgb){40, 44, 52});
    draw_line(image, 0.38 * image->height, image->height / 10.0, "no signal");
    draw_line(image, 0.55 * image->height, image->height / 24.0, camera->trouble);
}

static enum vi_found answer(struct vi_capture *capture, double seconds)
{
    struct camera *camera = capture->state;
    capture->arrived = seconds;
    if (seconds - camera->start > camera->told) camera->told = seconds - camera->start;
    capture->seconds = camera->told;
    return VI_FOUND_FRAME;
}

/* The camera is not there. */
static enum vi_found no_signal(struct vi_capture *capture, bool wanted)
{
    struct camera *camera = capture->state;
    const struct vi_camera_layout *layout = &camera->device.layout;
    capture->trouble = camera->trouble;
    capture->status =
        capture->image.pixels ? NN_OK : vi_capture_size(capture, layout->width, layout->height);
    if (capture->status) return VI_FOUND_ERROR;
    if (wanted) draw_trouble(capture);
    return answer(capture, now(camera));
}

static enum vi_found lose(struct vi_capture *capture, int error, bool wanted)
{
    struct camera *camera = capture->state;
    char text[VI_TROUBLE], quoted[NN_QUOTED];
    snprintf(camera->trouble, sizeof camera->trouble, "%.60s: %s",
             nn_quote(quoted, camera->device.name),
             vi_camera_explain(text, camera->system, camera->device.path, error));
    disconnect(camera);
    camera->next_try = camera->connected + retry; /* at once, but where it fails ever again */
    return no_signal(capture, wanted);
}

/* It is there, but no good frame has come in time: the last one is shown again. */
static enum vi_found overdue(struct vi_capture *capture, bool wanted)
{
    struct camera *camera = capture->state;
    double since = now(camera) - camera->last;
    char quoted[NN_QUOTED];
    snprintf(camera->trouble, sizeof camera->trouble, "%.60s: no good picture for %.1f s",
             nn_quote(quoted, camera->device.name), since);
    if (since > silence) {
        disconnect(camera);
        camera->next_try = camera->connected + retry;
    }
    if (camera->good.index < 0) return no_signal(capture, wanted);
    enum nn_status status = NN_OK;
    if (wanted)
        status = vi_camera_convert(capture, &camera->device.layout, camera->good.data,
                                   camera->good.size);
    enum vi_found found = vi_capture_found(capture, status);
    if (found == VI_FOUND_BROKEN) return no_signal(capture, wanted);
    capture->trouble = camera->trouble;
    return found == VI_FOUND_FRAME ? answer(capture, now(camera)) : found;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Makes pixels of a shot, which becomes the good one. */
static enum vi_found use(struct vi_capture *capture, struct shot *shot, bool wanted)
{
    struct camera *camera = capture->state;
    enum nn_status status = NN_OK;
    capture->arrived = shot->seconds;
    if (wanted) status = vi_camera_convert(capture, &camera->device.layout, shot->data, shot->size);
    enum vi_found found = vi_capture_found(capture, status);
    if (found == VI_FOUND_ERROR) return found;
    if (found == VI_FOUND_BROKEN) {
        vi_capture_broken(capture);
        capture->next++;
        return release(camera, shot) ? found : lose(capture, errno, wanted);
    }
    bool there = release(camera, &camera->good);
    camera->good = *shot;
    camera->last = now(camera);
    if (!there) return lose(capture, errno, wanted);
    return answer(capture, shot->seconds);
}

/* Until something is there or `seconds` have passed. Returns 0, or errno: the camera is gone. */
static int wait_for(struct camera *camera, double seconds)
{
    const struct vi_camera_system *system = camera->system;
    int events = system->poll(system->user, camera->device.file, (int)ceil(1000 * seconds));
    if (events < 0) return errno == EINTR || errno == EAGAIN ? 0 : errno;
    if (events & POLLIN || !(events & (POLLERR | POLLHUP | POLLNVAL))) return 0;
    return ENODEV;
}

/* The newest good frame, or what there is at the end of the time. */
static enum vi_found next_frame(struct vi_capture *capture, bool wanted)
{
    struct camera *camera = capture->state;
    struct shot shot = {.index = -1};
    double end = now(camera) + patience;
    bool waited = false;
    camera->taken = 0;
    for (int turn = 0; turn < MOST_TURNS; turn++) {
        double before = camera->taken_at;
        enum got got = take_newest(capture, &shot);
        if (capture->status) return VI_FOUND_ERROR;
        if (got == GONE) return lose(capture, errno, wanted);
        camera->taken_at = now(camera);
        double left = end - camera->taken_at;
        if (got == SHOT && (waited || left <= 0 || !is_stale(camera, camera->taken_at - before))) {
            enum vi_found found = use(capture, &shot, wanted);
            if (found != VI_FOUND_BROKEN) return found;
        } else if (got == SHOT) {
            waited = true;
        }
        if (left <= 0) break;
        int error = wait_for(camera, left);
        if (error) return lose(capture, error, wanted);
        /* Said to be there, and was not: drivers without poll() say so always. */
        if (turn > 2 * MOST_BUFFERS) camera->system->poll(camera->system->user, -1, 2);
    }
    return overdue(capture, wanted);
}

static enum vi_found read_camera(struct vi_capture *capture, bool wanted)
{
    struct camera *camera = capture->state;
    if (camera->device.file >= 0) return next_frame(capture, wanted);
    double wait = camera->next_try - now(camera);
    if (wait > 0)
        camera->system->poll(camera->system->user, -1,
                             (int)ceil(1000 * (wait < pause ? wait : pause)));
    if (camera->next_try > now(camera)) return no_signal(capture, wanted);
    enum nn_status status = connect(capture);
    if (!status) return next_frame(capture, wanted);
    camera->next_try = now(camera) + retry;
    if (status != NN_ERROR_MEMORY) return no_signal(capture, wanted);
    capture->status = status;
    return VI_FOUND_ERROR;
}

#else

static enum nn_status open_camera(struct vi_capture *capture)
{
    return nn_fail(capture->context, NN_ERROR_UNSUPPORTED, "cameras can be read on Linux only");
}

static enum vi_found read_camera(struct vi_capture *capture, bool wanted)
{
    (void)capture, (void)wanted;
    return VI_FOUND_END;
}

static void close_camera(struct vi_capture *capture)
{
    (void)capture;
}

#endif

static bool knows(const char *path, const uint8_t *head, size_t size)
{
    (void)path, (void)head, (void)size;
    return false;
}

const struct vi_source_kind vi_source_camera = {"camera", knows, open_camera, read_camera,
                                                close_camera};
