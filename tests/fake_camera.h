/*
 * fake_camera.h — a camera's driver, played: the system calls of vision/capture/v4l2.h answered
 * from a table of nodes, formats, sizes and rates, with a clock of its own and faults on demand.
 *
 *     struct fake fake;
 *     fake_start(&fake);                        one camera, /dev/video0, and its metadata node
 *     fake.faults[0] = (struct fake_fault){3, FAKE_SHORT};
 *     vi_capture_open_camera(&capture, context, "/dev/video0", NULL, &fake.system);
 *
 * Time passes where someone waits, and where the test says so. A frame comes every 1/rate seconds
 * into the buffer that was queued first, or is lost; what it shows is its number (frame_number of
 * capture_files.h).
 */
#ifndef FAKE_CAMERA_H
#define FAKE_CAMERA_H

#include "fake_driver.h"

/* ---- the table ------------------------------------------------------------------------------- */

static inline int fake_fail(int error)
{
    errno = error;
    return -1;
}

static inline struct fake_node *fake_node_at(struct fake *fake, const char *path)
{
    char name[32];
    for (int i = 0; i < FAKE_NODES; i++) {
        if (!fake->nodes[i].card || fake->nodes[i].number < 0) continue;
        snprintf(name, sizeof name, "/dev/video%d", fake->nodes[i].number);
        if (strcmp(name, path) == 0) return &fake->nodes[i];
        for (int k = 0; k < FAKE_TEXTS && fake->links[k].path; k++)
            if (strcmp(fake->links[k].path, path) == 0 && strstr(fake->links[k].text, name + 5) &&
                strncmp(path, "/dev/", 5) == 0)
                return &fake->nodes[i];
    }
    return NULL;
}

static inline int fake_open(void *user, const char *path, int flags)
{
    struct fake *fake = user;
    int found = -1;
    (void)flags;
    fake_advance(fake);
    const struct fake_node *node = fake_node_at(fake, path);
    if (node && node->open_error) return fake_fail(node->open_error);
    if (node) found = (int)(node - fake->nodes);
    for (int i = 0; i < FAKE_TEXTS && fake->texts[i].path; i++)
        if (strcmp(fake->texts[i].path, path) == 0) found = 100 + i;
    if (found < 0) return fake_fail(ENOENT);
    for (int i = 0; i < 32; i++) {
        if (fake->descriptors[i] >= 0) continue;
        fake->descriptors[i] = found;
        fake->text_at[i] = 0;
        fake->opened++;
        return i + 1000;
    }
    return fake_fail(EMFILE);
}

/* NULL: not a node, or no longer there. */
static inline struct fake_node *fake_node_of(struct fake *fake, int file)
{
    int index = file >= 1000 && file < 1032 ? fake->descriptors[file - 1000] : -1;
    fake_advance(fake);
    return index >= 0 && index < FAKE_NODES && fake->nodes[index].number >= 0 ? &fake->nodes[index]
                                                                              : NULL;
}

static inline int fake_close(void *user, int file)
{
    struct fake *fake = user;
    if (file < 1000 || file >= 1032 || fake->descriptors[file - 1000] < 0) abort();
    if (fake->descriptors[file - 1000] == fake->streaming_node) {
        fake->on = false;
        fake_drop_buffers(fake);
    }
    fake->descriptors[file - 1000] = -1;
    fake->closed++;
    return 0;
}

static inline int fake_ioctl(void *user, int file, unsigned long request, void *argument)
{
    struct fake *fake = user;
    const struct fake_node *node = fake_node_of(fake, file);
    if (!node) return fake_fail(ENODEV);
    int error = fake_answer(fake, node, request, argument);
    return error ? fake_fail(error) : 0;
}

static inline void *fake_map(void *user, int file, size_t size, uint64_t offset)
{
    struct fake *fake = user;
    size_t index = (size_t)(offset >> 20);
    if (!fake_node_of(fake, file) || (int)index >= fake->buffer_count ||
        size != fake->buffer[index].size) {
        errno = EINVAL;
        return NULL;
    }
    fake->mapped++;
    return fake->buffer[index].memory;
}

static inline void fake_unmap(void *user, void *memory, size_t size)
{
    struct fake *fake = user;
    (void)memory, (void)size;
    fake->unmapped++;
}

static inline int fake_poll(void *user, int file, int milliseconds)
{
    struct fake *fake = user;
    double end = fake->time + milliseconds / 1e3;
    if (milliseconds < 0) abort();
    while (file >= 0) {
        const struct fake_node *node = fake_node_of(fake, file);
        if (!node) return POLLERR | POLLHUP;
        bool reads = !(node->capabilities & V4L2_CAP_STREAMING);
        if (fake->no_poll || fake->readies || (reads && fake->next_frame <= fake->time))
            return POLLIN;
        bool comes = (fake->on || reads) && fake->next_frame <= end;
        if (fake->unplug_at > 0 && fake->unplug_at <= end &&
            (!comes || fake->unplug_at < fake->next_frame))
            fake->time = fake->unplug_at;
        else if (comes)
            fake->time = fake->next_frame;
        else
            break;
    }
    fake->time = end;
    fake_advance(fake);
    return 0;
}

/* A frame, for devices that know read() only; or the text of a file. */
static inline ssize_t fake_read(void *user, int file, void *to, size_t size)
{
    struct fake *fake = user;
    int index = file >= 1000 ? fake->descriptors[file - 1000] : -1;
    if (index >= 100) {
        const char *text = fake->texts[index - 100].text + fake->text_at[file - 1000];
        size_t length = strlen(text) < size ? strlen(text) : size;
        memcpy(to, text, length);
        fake->text_at[file - 1000] += length;
        return (ssize_t)length;
    }
    const struct fake_node *node = fake_node_of(fake, file);
    if (!node) return fake_fail(ENODEV);
    double period = (double)fake->interval.numerator / fake->interval.denominator;
    if (fake->next_frame > fake->time) return fake_fail(EAGAIN);
    while (fake->next_frame + period <= fake->time) fake->frame++, fake->next_frame += period;
    fake->next_frame += period;
    int frame = fake->frame++;
    size_t used = fake_fill(fake, to, size, frame);
    return (ssize_t)(fake_fault_of(fake, frame) == FAKE_SHORT ? used / 2 : used);
}

static inline int fake_stat(void *user, const char *path, struct stat *info)
{
    struct fake *fake = user;
    const struct fake_node *node = fake_node_at(fake, path);
    if (!node) return fake_fail(ENOENT);
    memset(info, 0, sizeof *info);
    info->st_mode = S_IFCHR | (node->mode ? node->mode : 0660);
    info->st_rdev = makedev(81, (unsigned)node->number);
    info->st_gid = node->group;
    return 0;
}

static inline ssize_t fake_readlink(void *user, const char *path, char *to, size_t size)
{
    struct fake *fake = user;
    for (int i = 0; i < FAKE_TEXTS && fake->links[i].path; i++) {
        if (strcmp(fake->links[i].path, path) != 0) continue;
        size_t length = strlen(fake->links[i].text);
        memcpy(to, fake->links[i].text, length < size ? length : size);
        return (ssize_t)(length < size ? length : size);
    }
    return fake_fail(ENOENT);
}

static inline int fake_list(void *user, const char *folder,
                            void (*each)(void *argument, const char *name), void *argument)
{
    struct fake *fake = user;
    char name[64];
    fake_advance(fake);
    for (int i = FAKE_NODES - 1; i >= 0 && strcmp(folder, "/dev") == 0; i--) {
        if (!fake->nodes[i].card || fake->nodes[i].number < 0) continue;
        snprintf(name, sizeof name, "video%d", fake->nodes[i].number);
        each(argument, name);
    }
    for (int i = 0; i < FAKE_TEXTS && fake->lists[i].path; i++) {
        if (strcmp(fake->lists[i].path, folder) != 0) continue;
        for (const char *at = fake->lists[i].text; *at; at += strspn(at, " ")) {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " "), at);
            each(argument, name);
            at += strcspn(at, " ");
        }
        return 0;
    }
    return strcmp(folder, "/dev") == 0 ? 0 : fake_fail(EACCES);
}

static inline double fake_clock(void *user)
{
    struct fake *fake = user;
    fake->time += 1e-6;
    return fake->time;
}

/* A webcam on USB: /dev/video0 and, beside it, its metadata. `context` is for encoding. */
static inline void fake_start(struct fake *fake, struct nn_context *context)
{
    memset(fake, 0, sizeof *fake);
    fake->context = context;
    fake->time = 1000;
    fake->next_frame = 1000.01;
    fake->interval = (struct v4l2_fract){1, 30};
    fake->system = (struct vi_camera_system){fake_open,     fake_close, fake_ioctl, fake_map,
                                             fake_unmap,    fake_poll,  fake_read,  fake_stat,
                                             fake_readlink, fake_list,  fake_clock, fake};
    fake->nodes[0] =
        (struct fake_node){.card = "HD Webcam C270",
                           .driver = "uvcvideo",
                           .bus = "usb-0000:00:14.0-2",
                           .capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING};
    fake->nodes[1] = fake->nodes[0];
    fake->nodes[1].number = 1;
    fake->nodes[1].capabilities = V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING;
    memcpy(fake->formats, fake_formats, sizeof fake_formats);
    for (int i = 0; i < 32; i++) fake->descriptors[i] = -1;
}

/* Is all that was opened closed, all that was mapped unmapped? Frees. */
static inline bool fake_end(struct fake *fake)
{
    bool ok = fake->opened == fake->closed && fake->mapped == fake->unmapped && !fake->on;
    if (!ok)
        printf("# opened %d, closed %d, mapped %d, unmapped %d\n", fake->opened, fake->closed,
               fake->mapped, fake->unmapped);
    fake_drop_buffers(fake);
    return ok;
}

#endif
