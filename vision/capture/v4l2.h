/*
 * v4l2.h — what the parts of camera capture share (Video for Linux, API version 2).
 *
 *     v4l2.c           the source: buffers, the newest frame, a camera that goes and comes back
 *     v4l2_device.c    a node: what it can do, which of that is best, how it is set
 *     v4l2_formats.c   its pixels to RGB
 *     v4l2_list.c      all cameras of the machine; finding one by its name
 *     v4l2_trouble.c   errors in plain words
 *     v4l2_system.c    the system calls, in a table: a test plays the driver with another one
 *
 * Structures and numbers are those of the kernel's header. Where there is none, cameras are
 * NN_ERROR_UNSUPPORTED and the list is empty. What a driver answers is not believed further than
 * it can be checked.
 */
#ifndef VISION_CAPTURE_V4L2_H
#define VISION_CAPTURE_V4L2_H

#include "vision/capture/capture.h"

#include <sys/stat.h>
#include <sys/types.h>

#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/videodev2.h>)
#define VI_V4L2 1
#endif
#elif defined(__linux__)
#define VI_V4L2 1
#endif

/* ---- the system ------------------------------------------------------------------------------ */

/* As the system calls of these names: -1 and errno on failure. */
struct vi_camera_system {
    int (*open)(void *user, const char *path, int flags);
    int (*close)(void *user, int file);
    int (*ioctl)(void *user, int file, unsigned long request, void *argument);
    void *(*map)(void *user, int file, size_t size, uint64_t offset); /* NULL: failed */
    void (*unmap)(void *user, void *memory, size_t size);
    /* Returns what happened of POLLIN, POLLERR ...; 0: nothing in this time. A negative `file` only
     * lets the time pass. */
    int (*poll)(void *user, int file, int milliseconds);
    ssize_t (*read)(void *user, int file, void *to, size_t size);
    int (*stat)(void *user, const char *path, struct stat *info);
    ssize_t (*readlink)(void *user, const char *path, char *to, size_t size);
    /* Calls `each` for every name in the folder. */
    int (*list)(void *user, const char *folder, void (*each)(void *argument, const char *name),
                void *argument);
    double (*clock)(void *user); /* vi_clock */
    void *user;
};
extern const struct vi_camera_system vi_camera_linux;

/* Is it a camera that is meant: a character device of V4L2's, a name that only such have and that
 * does not exist, "camera:NAME", or digits that are no file? */
bool vi_is_camera(const char *path, const struct vi_camera_system *system);
/* vi_capture_open with the cameras of another system. */
enum nn_status vi_capture_open_camera(struct vi_capture **capture, struct nn_context *context,
                                      const char *path, const struct vi_capture_options *options,
                                      const struct vi_camera_system *system);
enum nn_status vi_cameras_list_on(struct vi_camera **cameras, int *count,
                                  struct nn_context *context,
                                  const struct vi_camera_system *system);
extern const struct vi_source_kind vi_source_camera;

/* ---- v4l2_formats.c -------------------------------------------------------------------------- */

struct vi_camera_format {
    char fourcc[5];
    bool compressed;
    float cost;           /* what makes another format the better choice, all else being equal */
    int shift_x, shift_y; /* of chroma */
    int y_step, uv_step;  /* bytes from sample to sample; 0: not luma and chroma */
    int y_at, u_at, v_at; /* packed: first bytes */
    enum {
        VI_PACKED,
        VI_PLANES_UV,
        VI_PLANES_VU,
        VI_PAIRS,
        VI_LUMA,
        VI_RGB24,
        VI_BGR24,
        VI_JPEGS
    } kind;
};
/* NULL: one that is not read here. */
const struct vi_camera_format *vi_camera_format(uint32_t fourcc);
uint32_t vi_camera_fourcc(const char name[5]);

struct vi_camera_layout {
    const struct vi_camera_format *format;
    int width, height;
    size_t stride; /* bytes per row of the first plane */
    bool full;     /* range of samples */
};
/* Bytes of a row without padding; 0 for compressed formats. */
size_t vi_camera_row(const struct vi_camera_format *format, int width);
/* Bytes that a frame must have; 0 for compressed formats. */
uint64_t vi_camera_frame_size(const struct vi_camera_layout *layout);
/* A frame as the camera gave it to capture->image. */
enum nn_status vi_camera_convert(struct vi_capture *capture, const struct vi_camera_layout *layout,
                                 const uint8_t *bytes, size_t size);

/* ---- v4l2_device.c --------------------------------------------------------------------------- */

enum { VI_CAMERA_PATH = 256, VI_MOST_MODES = 512 };

struct vi_camera_device {
    const struct vi_camera_system *system;
    int file;                  /* -1: not open */
    char path[VI_CAMERA_PATH]; /* as it was opened */
    char name[33], driver[17], bus[33];
    uint32_t capabilities;
    enum vi_camera_use use;
    bool planes; /* the multi-planar API, of which one plane is used */
    /* What was negotiated. */
    struct vi_camera_layout layout;
    size_t size; /* of a buffer, as the driver says */
    double rate; /* 0: not known */
};

/* ioctl() that goes on when a signal interrupts it. Returns 0 or errno. */
int vi_camera_ioctl(const struct vi_camera_device *device, unsigned long request, void *argument);
uint32_t vi_camera_type(const struct vi_camera_device *device); /* of its buffers */
/* Opens a node and asks what it is. `device` is closed on failure; *error is errno, or 0. */
int vi_camera_query(struct vi_camera_device *device, const struct vi_camera_system *system,
                    const char *path);
void vi_camera_shut(struct vi_camera_device *device);
/* All formats, sizes and rates; rates of sizes in a range are those of the size nearest to what
 * `options` want. */
enum nn_status vi_camera_modes(struct vi_camera_mode **modes, int *count,
                               struct nn_context *context, const struct vi_camera_device *device,
                               const struct vi_capture_options *options);
/* Which mode is nearest to what is wanted, and the size then; -1: none that is `readable`. */
int vi_camera_choose(const struct vi_camera_mode *modes, int count,
                     const struct vi_capture_options *options);
/* Sets format, size and rate as near to the mode as the driver goes. Returns 0 or errno; EINVAL:
 * what came of it cannot be used. */
int vi_camera_set(struct vi_camera_device *device, const struct vi_camera_mode *mode,
                  const struct vi_capture_options *options);

/* ---- v4l2_list.c ----------------------------------------------------------------------------- */

/* Opens the camera that `path` means: a node, digits, "camera:NAME". With `known` (a camera that
 * went away) it may also be another node that is the same camera. */
enum nn_status vi_camera_find(struct vi_camera_device *device, struct nn_context *context,
                              const struct vi_camera_system *system, const char *path,
                              const struct vi_camera_device *known);

/* ---- v4l2_trouble.c -------------------------------------------------------------------------- */

enum { VI_TROUBLE = 320 };
/* Why `path` could not be opened or used, in plain words. Returns `text`. */
char *vi_camera_explain(char text[VI_TROUBLE], const struct vi_camera_system *system,
                        const char *path, int error);

#endif
