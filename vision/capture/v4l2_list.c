/*
 * v4l2_list.c — the cameras of this machine, and the one that is meant.
 *
 * A camera has several nodes, of which one gives pictures; which, it says itself. Its number may
 * change whenever it is plugged in, its name (and, in the same socket, its bus) does not.
 */
#include "vision/capture/v4l2.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#ifdef VI_V4L2
#include <linux/videodev2.h>
#include <sys/sysmacros.h>

/* ---- nodes ----------------------------------------------------------------------------------- */

enum { MOST_NODES = 256, VIDEO_MAJOR = 81 };

struct nodes {
    int number[MOST_NODES], count;
};

/* A number of at most three digits; -1: anything else. */
static int small_number(const char *text)
{
    int value = 0, digits = 0;
    for (; *text >= '0' && *text <= '9' && digits < 4; text++, digits++)
        value = 10 * value + (*text - '0');
    return *text == '\0' && digits > 0 && digits < 4 ? value : -1;
}

/* In order. */
static void add_node(void *argument, const char *name)
{
    struct nodes *nodes = argument;
    int number = strncmp(name, "video", 5) == 0 ? small_number(name + 5) : -1, at;
    if (number < 0 || nodes->count == MOST_NODES) return;
    for (at = nodes->count++; at > 0 && nodes->number[at - 1] > number; at--)
        nodes->number[at] = nodes->number[at - 1];
    nodes->number[at] = number;
}

static struct nodes find_nodes(const struct vi_camera_system *system)
{
    struct nodes nodes = {.count = 0};
    system->list(system->user, "/dev", add_node, &nodes);
    return nodes;
}

static char *node_path(char path[32], int number)
{
    snprintf(path, 32, "/dev/video%d", number);
    return path;
}

static bool is_video_node(const struct vi_camera_system *system, const char *path, bool *exists)
{
    struct stat info;
    *exists = system->stat(system->user, path, &info) == 0;
    return *exists && S_ISCHR(info.st_mode) && major(info.st_rdev) == VIDEO_MAJOR;
}

bool vi_is_camera(const char *path, const struct vi_camera_system *system)
{
    bool exists;
    if (is_video_node(system, path, &exists)) return true;
    return !exists && (strncmp(path, "camera:", 7) == 0 || small_number(path) >= 0 ||
                       strncmp(path, "/dev/video", 10) == 0 || strncmp(path, "/dev/v4l/", 9) == 0);
}

/* ---- the list -------------------------------------------------------------------------------- */

/* Formats and sizes; and is it in use? Giving back buffers that nobody has asked for does nothing,
 * but not everybody is allowed to. */
static enum nn_status examine(struct vi_camera *camera, struct nn_context *context,
                              const struct vi_camera_device *device)
{
    struct v4l2_requestbuffers none = {.type = vi_camera_type(device), .memory = V4L2_MEMORY_MMAP};
    enum nn_status status =
        vi_camera_modes(&camera->modes, &camera->mode_count, context, device, NULL);
    if (status) return status;
    int readable = 0;
    for (int i = 0; i < camera->mode_count; i++) readable += camera->modes[i].readable;
    if (!readable)
        snprintf(camera->trouble, sizeof camera->trouble,
                 camera->mode_count ? "none of its formats is read here"
                                    : "it does not say which formats it has");
    if (vi_camera_ioctl(device, VIDIOC_REQBUFS, &none) == EBUSY)
        vi_camera_explain(camera->trouble, device->system, camera->path, EBUSY);
    return NN_OK;
}

static enum nn_status describe(struct vi_camera *camera, struct nn_context *context,
                               const struct vi_camera_system *system)
{
    struct vi_camera_device device;
    enum nn_status status = NN_OK;
    int error = vi_camera_query(&device, system, camera->path);
    if (error) {
        vi_camera_explain(camera->trouble, system, camera->path, error);
        return NN_OK;
    }
    memcpy(camera->name, device.name, sizeof camera->name);
    memcpy(camera->driver, device.driver, sizeof camera->driver);
    memcpy(camera->bus, device.bus, sizeof camera->bus);
    camera->use = device.use;
    if (device.use == VI_CAMERA_CAPTURE) status = examine(camera, context, &device);
    vi_camera_shut(&device);
    return status;
}

enum nn_status vi_cameras_list_on(struct vi_camera **cameras, int *count,
                                  struct nn_context *context, const struct vi_camera_system *system)
{
    struct nodes nodes = find_nodes(system);
    enum nn_status status = NN_OK;
    *cameras = NULL;
    *count = 0;
    if (nodes.count == 0) return NN_OK;
    *cameras = nn_alloc(context, (size_t)nodes.count, sizeof **cameras);
    if (!*cameras) return NN_ERROR_MEMORY;
    for (int i = 0; i < nodes.count && !status; i++) {
        struct vi_camera *camera = &(*cameras)[(*count)++];
        node_path(camera->path, nodes.number[i]);
        status = describe(camera, context, system);
    }
    if (status) vi_cameras_free(cameras, count, context);
    return status;
}

/* ---- the one that is meant ------------------------------------------------------------------- */

static bool has_word(const char *text, const char *word)
{
    size_t size = strlen(word);
    for (; *text; text++)
        if (strncasecmp(text, word, size) == 0) return true;
    return size == 0;
}

/* The first camera with this in its name (and, if not NULL, on this bus), left open. */
static bool find_by_name(struct vi_camera_device *device, const struct vi_camera_system *system,
                         const char *name, const char *bus)
{
    struct nodes nodes = find_nodes(system);
    char path[32];
    for (int i = 0; i < nodes.count; i++) {
        if (vi_camera_query(device, system, node_path(path, nodes.number[i]))) continue;
        if (device->use == VI_CAMERA_CAPTURE && has_word(device->name, name) &&
            (!bus || strcmp(device->bus, bus) == 0))
            return true;
        vi_camera_shut(device);
    }
    return false;
}

/* "; there are: /dev/video0 ('HD Webcam')" */
static void name_others(char *text, size_t size, const struct vi_camera_system *system)
{
    struct nodes nodes = find_nodes(system);
    size_t filled = 0;
    *text = '\0';
    for (int i = 0; i < nodes.count && filled < size; i++) {
        struct vi_camera_device device;
        char path[32], quoted[NN_QUOTED];
        if (vi_camera_query(&device, system, node_path(path, nodes.number[i]))) continue;
        if (device.use == VI_CAMERA_CAPTURE)
            filled += (size_t)snprintf(text + filled, size - filled, "%s%s (%s)",
                                       filled ? ", " : "; there are: ", path,
                                       nn_quote(quoted, device.name));
        vi_camera_shut(&device);
    }
    if (!filled) snprintf(text, size, "; there is no camera here");
}

/* A node that is open but gives no pictures. */
static enum nn_status refuse(struct vi_camera_device *device, struct nn_context *context,
                             const char *quoted)
{
    struct vi_camera_device sibling;
    char name[NN_QUOTED], hint[64] = "";
    enum vi_camera_use use = device->use;
    nn_quote(name, device->name);
    vi_camera_shut(device);
    if (find_by_name(&sibling, device->system, device->name, device->bus)) {
        snprintf(hint, sizeof hint, "; its pictures come from %.32s", sibling.path);
        vi_camera_shut(&sibling);
    }
    return nn_fail(context, NN_ERROR_ARGUMENT, "%s is %s of %s and gives no pictures%s", quoted,
                   use == VI_CAMERA_METADATA ? "the metadata node"
                   : use == VI_CAMERA_OUTPUT ? "an output"
                                             : "a node without capture",
                   name, hint);
}

static enum nn_status find_again(struct vi_camera_device *device, struct nn_context *context,
                                 const struct vi_camera_system *system, const char *path,
                                 const struct vi_camera_device *known)
{
    int error = vi_camera_query(device, system, known->path);
    if (!error && device->use == VI_CAMERA_CAPTURE && strcmp(device->name, known->name) == 0)
        return NN_OK;
    vi_camera_shut(device);
    if (find_by_name(device, system, known->name, known->bus)) return NN_OK;
    char quoted[NN_QUOTED];
    return nn_fail(context, NN_ERROR_IO, "camera %s has not come back", nn_quote(quoted, path));
}

enum nn_status vi_camera_find(struct vi_camera_device *device, struct nn_context *context,
                              const struct vi_camera_system *system, const char *path,
                              const struct vi_camera_device *known)
{
    char node[32], quoted[NN_QUOTED], text[VI_TROUBLE], others[400];
    nn_quote(quoted, path);
    *device = (struct vi_camera_device){.system = system, .file = -1};
    if (known) return find_again(device, context, system, path, known);
    if (strncmp(path, "camera:", 7) == 0) {
        if (find_by_name(device, system, path + 7, NULL)) return NN_OK;
        if (path[7]) {
            name_others(others, sizeof others, system);
            return nn_fail(context, NN_ERROR_IO, "no camera's name holds %s%s",
                           nn_quote(quoted, path + 7), others);
        }
        path =
            "/dev/video0"; /* any would do, but there is none: what is wrong with the usual one? */
        nn_quote(quoted, path);
    }
    bool exists;
    is_video_node(system, path, &exists);
    if (!exists && small_number(path) >= 0) path = node_path(node, small_number(path));
    int error = vi_camera_query(device, system, path);
    if (!error && device->use == VI_CAMERA_CAPTURE) return NN_OK;
    if (!error) return refuse(device, context, quoted);
    if (error == ENOENT || error == ENODEV || error == ENXIO) {
        name_others(others, sizeof others, system);
        return nn_fail(context, NN_ERROR_IO, "there is no camera %s%s", quoted, others);
    }
    return nn_fail(context, NN_ERROR_IO, "cannot open camera %s: %s", quoted,
                   vi_camera_explain(text, system, path, error));
}

#else /* without the kernel's header there are no cameras */

bool vi_is_camera(const char *path, const struct vi_camera_system *system)
{
    (void)system;
    return strncmp(path, "camera:", 7) == 0 || strncmp(path, "/dev/video", 10) == 0;
}

enum nn_status vi_cameras_list_on(struct vi_camera **cameras, int *count,
                                  struct nn_context *context, const struct vi_camera_system *system)
{
    (void)context, (void)system;
    *cameras = NULL;
    *count = 0;
    return NN_OK;
}

#endif

enum nn_status vi_cameras_list(struct vi_camera **cameras, int *count, struct nn_context *context)
{
    return vi_cameras_list_on(cameras, count, context, &vi_camera_linux);
}

void vi_cameras_free(struct vi_camera **cameras, int *count, struct nn_context *context)
{
    for (int i = 0; i < *count; i++) nn_free(context, (*cameras)[i].modes);
    nn_free(context, *cameras);
    *cameras = NULL;
    *count = 0;
}
