/*
 * vision.h — pictures, videos, cameras, faces, screens.
 *
 * An image is a view on 8-bit samples; it owns nothing by itself. Functions that allocate say so,
 * and the caller releases with vi_image_free. Uses only nn.h.
 */
#ifndef VISION_H
#define VISION_H

#include "nn/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* height x width pixels of `channels` interleaved samples (1 grey, 3 RGB or BGR, 4 with alpha);
 * row y begins at pixels + y * stride. */
struct vi_image {
    uint8_t *pixels;
    int width, height, channels;
    ptrdiff_t stride; /* bytes */
};

/* ---- image.c ---- */

enum nn_status vi_image_new(struct vi_image *image, struct nn_context *context, int width,
                            int height, int channels); /* zeroed, stride = width * channels */
void vi_image_free(struct nn_context *context, struct vi_image *image); /* and zeroes the view */
/* The part [x, x+width) x [y, y+height) as a view; clipped to the image, may be empty. */
struct vi_image vi_image_crop(const struct vi_image *image, int x, int y, int width, int height);
void vi_image_copy(const struct vi_image *to, const struct vi_image *from); /* same size */

/* ---- codec/: bytes to pixels and back --------------------------------------------------- */

enum vi_color { VI_RGB, VI_BGR, VI_GRAY, VI_RGBA };

struct vi_decode_options {
    enum vi_color color; /* what comes out */
    uint64_t max_pixels; /* 0: 64 million */
    uint64_t max_bytes;  /* of the file; 0: 256 MB */
    bool as_stored;      /* not turned as its Exif orientation says */
};
/* What a picture's header says, read without decoding. */
struct vi_header {
    const char *format; /* "jpeg", "png", "ppm" or "pgm" */
    int width, height;  /* upright, as vi_decode turns it */
    int channels;       /* stored: 1 grey or palette, 2 grey+alpha, 3, 4 (CMYK or RGBA) */
    int bits;           /* per sample */
};
/* Decodes a JPEG, PNG, PGM or PPM from memory: greyscale, palette, 16-bit (high byte kept), alpha
 * (dropped, as cv2.imread does) and CMYK (converted) are read rightly; truncated, giant or unknown
 * files are errors that say what was wrong. Photos that say how the camera was held (Exif
 * orientation in JPEG or PNG) come out upright, as from cv2.imread. `name` is used in messages
 * only. */
enum nn_status vi_decode(struct vi_image *image, struct nn_context *context, const void *bytes,
                         size_t size, const struct vi_decode_options *options, const char *name);
enum nn_status vi_decode_header(struct vi_header *header, struct nn_context *context,
                                const void *bytes, size_t size, const char *name);
/* Reads the file, then vi_decode. */
enum nn_status vi_read(struct vi_image *image, struct nn_context *context, const char *path,
                       const struct vi_decode_options *options);
/* Writes .png, .jpg or .jpeg by the path's ending, whole or not at all. `quality` (JPEG) 1..100,
 * 0: 95. The image is RGB, RGBA or grey. */
enum nn_status vi_write(const struct vi_image *image, struct nn_context *context, const char *path,
                        int quality);
/* The same into memory: *bytes is the caller's to nn_free. `format` "png" or "jpeg". */
enum nn_status vi_encode(void **bytes, size_t *size, const struct vi_image *image,
                         struct nn_context *context, const char *format, int quality);
/* Does vi_write know the name's ending? */
bool vi_can_write(const char *path);
/* Does the name end as those of pictures that vi_read takes: .png, .jpg, .jpeg, .ppm, .pgm, .pnm
 * (any case)? */
bool vi_is_picture_name(const char *path);
/* The natural order of names: runs of digits by their value, all else by bytes; never equal for
 * names that differ. */
int vi_compare_names(const char *a, size_t a_size, const char *b, size_t b_size);
/* Decompresses raw deflate data (RFC 1951, as zip files hold it; no zlib header) of exactly
 * `to_size` bytes; another size is an error, and so is damage as far as it can be noticed: compare
 * the checksum. `name` is used in messages only. */
enum nn_status vi_inflate(struct nn_context *context, void *to, size_t to_size, const void *from,
                          size_t from_size, const char *name);

/* ---- resize.c, color.c, warp.c ----------------------------------------------------------- */

/* Equals cv2.resize(..., INTER_LINEAR) on 8-bit images to the bit. Sizes come from the views;
 * the channel counts must agree. Allocates a row table. */
enum nn_status vi_resize(const struct vi_image *to, const struct vi_image *from,
                         struct nn_context *context);
/* The same for those who do it again and again: its table lies in the caller's `room`, all zero at
 * first, which grows where it must. `memory` is the caller's to nn_free. */
struct vi_resize_room {
    void *memory;
    size_t size;
};
enum nn_status vi_resize_in(struct vi_resize_room *room, const struct vi_image *to,
                            const struct vi_image *from, struct nn_context *context);
/* In place: red and blue change places (3 or 4 channels). */
void vi_swap_red_blue(const struct vi_image *image);
void vi_to_gray(const struct vi_image *to, const struct vi_image *from_rgb); /* Rec. 601, as cv2 */
/* HWC 8-bit -> HWC float, value * scale - mean[channel] * scale ... to[i] = (v - mean) * scale */
void vi_to_float(float *to, const struct vi_image *from, const float mean[3], float scale);

/* from-coordinates of each to-pixel: sx = m[0] x + m[1] y + m[2], sy = m[3] x + m[4] y + m[5]. */
struct vi_affine {
    double m[6];
};
struct vi_affine vi_affine_multiply(struct vi_affine a, struct vi_affine b); /* a after b */
/* Bilinear, 8-bit or float, outside pixels are those of the nearest edge. */
void vi_warp(const struct vi_image *to, const struct vi_image *from, struct vi_affine map);
void vi_warp_float(float *to, const float *from, int width, int height, int channels,
                   struct vi_affine map);

/* ---- augment.c: Keras' ImageDataGenerator ------------------------------------------------ */

/* Meanings as in Keras: rotation in degrees (uniform +-), zoom z (each axis its own factor in
 * [1-z, 1+z]), shifts as fractions of height and width, shear angle in degrees (Keras takes
 * shear_range as degrees), horizontal flip with probability 1/2; nearest fill, bilinear. */
struct vi_augment {
    float rotation, zoom, shift_w, shift_h, shear;
    bool flip;
};
/* The tutorial's: 20, 0.15, 0.2, 0.2, 0.15, true. */
struct vi_augment vi_augment_default(void);
struct vi_augment_draw { /* one random choice of the above */
    float theta, tx, ty, shear, zoom_x, zoom_y;
    bool flip;
};
struct vi_augment_draw vi_augment_pick(const struct vi_augment *augment, struct nn_rng *rng,
                                       int width, int height);
/* Applies a draw: the result equals keras.preprocessing.image.apply_affine_transform (order 1,
 * nearest) followed by the flip, to 1e-4. `to` and `from` do not overlap; floats, HWC. */
void vi_augment_apply(float *to, const float *from, int width, int height, int channels,
                      const struct vi_augment_draw *draw);

/* ---- draw.c: antialiased drawing on RGB images -------------------------------------------- */

struct vi_rgb {
    uint8_t r, g, b;
};
enum vi_align { VI_LEFT, VI_CENTER, VI_RIGHT };

void vi_fill(const struct vi_image *image, struct vi_rgb color);
void vi_fill_rect(const struct vi_image *image, double x, double y, double width, double height,
                  struct vi_rgb color, double opacity);
void vi_draw_rect(const struct vi_image *image, double x, double y, double width, double height,
                  double thickness, struct vi_rgb color);
void vi_draw_line(const struct vi_image *image, double x0, double y0, double x1, double y1,
                  double thickness, struct vi_rgb color, double opacity);
void vi_fill_circle(const struct vi_image *image, double x, double y, double radius,
                    struct vi_rgb color, double opacity);
/* Polygon, even-odd, antialiased; xy are `count` pairs. */
void vi_fill_polygon(const struct vi_image *image, const double *xy, int count, struct vi_rgb color,
                     double opacity);
/* Built-in proportional or monospaced font, ASCII, any size; y is the top. `size` is the height
 * of a capital letter in pixels. vi_draw_text_outline: readable on any background. */
void vi_draw_text(const struct vi_image *image, double x, double y, double size,
                  enum vi_align align, struct vi_rgb color, const char *text);
void vi_draw_text_up(const struct vi_image *image, double x, double y, double size,
                     enum vi_align align, struct vi_rgb color,
                     const char *text); /* turned 90 deg */
void vi_draw_text_outline(const struct vi_image *image, double x, double y, double size,
                          enum vi_align align, struct vi_rgb color, struct vi_rgb outline,
                          const char *text);
double vi_text_width(double size, const char *text);

/* ---- plot.c: charts for reports ------------------------------------------------------------ */

struct vi_series {
    const char *label;
    const double *x; /* NULL: 0, 1, 2 ... */
    const double *y; /* NaN breaks the line */
    int count;
    struct vi_rgb color; /* all zero: next of the palette */
    bool dashed, steps, markers;
};
struct vi_chart {
    const char *title, *x_label, *y_label;
    int width, height;                 /* 0: 960 x 600 */
    double x_min, x_max, y_min, y_max; /* min == max: from the data */
    bool x_log;
    bool diagonal; /* ROC's line of chance */
    const struct vi_series *series;
    int series_count;
};
/* Line chart with axes, ticks at round numbers, grid, legend, title. Allocates *image. */
enum nn_status vi_plot_chart(struct vi_image *image, struct nn_context *context,
                             const struct vi_chart *chart);
/* counts[true * classes + predicted]; rows are shares of the true class. Allocates *image. */
enum nn_status vi_plot_confusion(struct vi_image *image, struct nn_context *context,
                                 const char *title, const char *const *labels, int classes,
                                 const int64_t *counts);
struct vi_sheet_item {
    struct vi_image image; /* RGB */
    const char *line1, *line2;
    struct vi_rgb frame; /* colour of the frame and of line1 */
};
/* Pictures in a grid with captions. Allocates *image. */
enum nn_status vi_plot_sheet(struct vi_image *image, struct nn_context *context, const char *title,
                             const struct vi_sheet_item *items, int count, int columns, int cell);

/* A roofline (Williams, Waterman & Patterson, "Roofline", CACM 2009): what is computed per second
 * over what is computed per byte moved, both logarithmic. Nothing can be above the ceiling, what
 * the units can do, nor above a slope, what a memory can deliver. */
struct vi_ceiling {
    const char *label;
    double rate; /* operations per second; a slope: bytes per second; in units of the axis */
};
struct vi_roof_group {
    const char *label;
    struct vi_rgb color;
};
struct vi_roof_point {
    double intensity, rate; /* x and y, both above 0 */
    double weight;          /* 0 .. 1: the dot's area */
    int group;
    const char *label; /* NULL: none; shown where there is room, heavy ones first */
};
struct vi_roofline {
    const char *title, *subtitle, *x_label, *y_label;
    int width, height;                 /* 0: 1200 x 800 */
    const struct vi_ceiling *ceilings; /* the highest first */
    const struct vi_ceiling *slopes;   /* the steepest first */
    const struct vi_roof_group *groups;
    const struct vi_roof_point *points;
    int ceiling_count, slope_count, group_count, point_count;
};
/* Allocates *image. */
enum nn_status vi_plot_roofline(struct vi_image *image, struct nn_context *context,
                                const struct vi_roofline *roofline);

/* ---- capture/: frames out of videos, folders and streams ------------------------------------ */

struct vi_capture;

struct vi_capture_options {
    uint64_t max_pixels; /* of a frame; 0: 64 million */
    bool no_ffmpeg;      /* never start the ffmpeg program, even where nothing else helps */
    /* What a camera is asked for; it may answer with what it has. 0: 640 x 480, 30 per second. */
    int width, height;
    double rate;
};
struct vi_capture_info {
    const char *format;    /* "pictures", "y4m", "avi", "mp4", "mjpeg", "ffmpeg", "camera" */
    int width, height;     /* of the first frame, upright; 0 where not known before it is read */
    double rate;           /* frames per second; 0: not known */
    int64_t frames;        /* in all; -1: not known */
    int64_t broken;        /* so far: frames that could not be decoded and were passed over */
    char last_broken[512]; /* why the last of them could not */
    bool live;             /* a camera: it does not wait, and each read gives its newest frame */
    int64_t lost;          /* cameras: frames that came and were never read */
};
struct vi_frame {
    struct vi_image image; /* RGB; the capture's, valid until the next call; sizes may change */
    int64_t index;         /* frames before this one, broken and skipped ones included */
    double seconds;        /* from the start: its own time stamp, or index / rate */
    const char *name;      /* file name of a picture in a folder; NULL for videos */
    double arrived;        /* when its bytes were there, undecoded: vi_clock's seconds */
    const char *trouble;   /* cameras: NULL, or why there is no new picture: `image` is the last
                              one, or says "no signal" */
};

/* Opens a folder of pictures (natural order, subfolders included), a single picture, .y4m,
 * Motion-JPEG in AVI or MP4/MOV, raw or multipart MJPEG (a file, a named pipe, or "-" for standard
 * input), and, through the ffmpeg program where it is installed, anything that reads. The bytes
 * decide, not the name. The first frame is not decoded yet.
 *
 * Cameras (Linux): "/dev/video0", a link to such a device, "0" where no file has that name,
 * "camera:NAME" for the first one with NAME in its name. A camera never ends. Each read waits half
 * a second at most and gives the newest frame; where none came, or the camera is unplugged,
 * frame.trouble says so and the picture is the last one, or one that says "no signal": not one to
 * be judged. Meanwhile the camera is looked for once a second. */
enum nn_status vi_capture_open(struct vi_capture **capture, struct nn_context *context,
                               const char *path, const struct vi_capture_options *options);
/* The next frame that can be decoded. *end: there are no more, `frame` is empty, and its index is
 * the number of all frames. Broken frames are counted (vi_capture_info), not errors; an error is
 * what makes going on senseless, such as a container that is torn in the middle: frames before it
 * have been delivered. */
enum nn_status vi_capture_read(struct vi_capture *capture, struct vi_frame *frame, bool *end);
/* Passes over `frames` frames, without decoding where the format allows. */
enum nn_status vi_capture_skip(struct vi_capture *capture, int64_t frames);
const struct vi_capture_info *vi_capture_info(const struct vi_capture *capture);
void vi_capture_close(struct vi_capture **capture);
/* Do the file's first bytes (or its being a folder) say that vi_capture_open takes it, and is it
 * not a single picture? */
bool vi_is_video(const char *path);

/* ---- capture/v4l2*.c: the cameras of this machine (Linux) ------------------------------------ */

enum vi_camera_use {
    VI_CAMERA_UNKNOWN, /* it could not be asked */
    VI_CAMERA_CAPTURE, /* gives pictures */
    VI_CAMERA_METADATA,
    VI_CAMERA_OUTPUT,
    VI_CAMERA_OTHER /* codecs, radio ... */
};
enum { VI_CAMERA_RATES = 12 };
struct vi_camera_mode {
    char format[5]; /* "MJPG", "YUYV" ... */
    bool readable;  /* vi_capture_open takes it */
    bool compressed;
    int width, height;             /* where there is a range of sizes: the largest */
    int least_width, least_height; /* the smallest; 0: there is but one */
    int step_width, step_height;
    double rates[VI_CAMERA_RATES]; /* frames per second, the fastest first */
    int rate_count;                /* 0: not known */
    bool any_rate;                 /* all between the two rates */
};
struct vi_camera {
    char path[32]; /* "/dev/video0" */
    char name[33], driver[17], bus[33];
    enum vi_camera_use use;
    struct vi_camera_mode *modes; /* in the driver's order */
    int mode_count;
    char trouble[320]; /* why it cannot be used, in plain words; "": it can */
};
/* All video devices in the order of their numbers; none is no error. Opens each for a moment. */
enum nn_status vi_cameras_list(struct vi_camera **cameras, int *count, struct nn_context *context);
void vi_cameras_free(struct vi_camera **cameras, int *count, struct nn_context *context);

/* ---- face/: where the faces are -------------------------------------------------------------- */

struct vi_detector;

struct vi_face {
    float confidence;     /* 0 .. 1 */
    float x1, y1, x2, y2; /* pixels of the picture, clipped to it: [0, width] x [0, height] */
};

/* Opens an SSD face detector. `path` is a folder that holds one, or one of its files:
 *   deploy.prototxt (or any one .prototxt) + a .caffemodel of any name
 *   a .pbtxt + a .pb
 *   a .safetensors written by vi_detector_save (`liveness convert`)
 * An error says what is missing. */
enum nn_status vi_detector_open(struct vi_detector **detector, struct nn_context *context,
                                const char *path);
struct vi_detector_options {
    enum nn_precision precision;
    bool keep_weights; /* for other plans of its graph: vi_detect gives nothing back */
};
/* The same with options; NULL: all 0. */
enum nn_status vi_detector_open_with(struct vi_detector **detector, struct nn_context *context,
                                     const char *path, const struct vi_detector_options *options);
void vi_detector_close(struct vi_detector **detector);
/* Faces of at least this confidence, best first; the array is the detector's, valid until the next
 * call. The image has 1 (grey), 3 or 4 channels in the order `color` says; any size. As OpenCV's
 * blobFromImage + res10 SSD: resized to the network's input without keeping its proportions, BGR
 * minus the means. Boxes wholly outside the picture are dropped. No allocation after the first
 * call with pictures of one size. */
enum nn_status vi_detect(struct vi_detector *detector, const struct vi_image *image,
                         enum vi_color color, float confidence, const struct vi_face **faces,
                         int *count);
/* Writes the detector, however it came, as one .safetensors. An error after the first vi_detect,
 * which transforms the weights and gives back the memory of what they were, unless it keeps them.
 */
enum nn_status vi_detector_save(struct vi_detector *detector, const char *path);
/* Its network, plan and what it was read from, for summaries and benchmarks. */
struct nn_graph *vi_detector_graph(const struct vi_detector *detector);
struct nn_plan *vi_detector_plan(const struct vi_detector *detector);
const char *vi_detector_source(const struct vi_detector *detector); /* "caffe", "tensorflow" ... */

/* Seconds on a clock that only goes forward (CLOCK_MONOTONIC, as camera drivers use). */
double vi_clock(void);

/* ---- face/landmarks.c: points of a face, as dlib's shape predictor finds them ---------------- */

struct vi_point {
    float x, y; /* pixels of the picture; may lie outside of it */
};
struct vi_shape; /* a shape predictor: a cascade of regression trees */

/* Reads a file of dlib's (shape_predictor_68_face_landmarks.dat, or one with 5 or any other number
 * of points). */
enum nn_status vi_shape_open(struct vi_shape **shape, struct nn_context *context, const char *path);
void vi_shape_close(struct vi_shape **shape);
int vi_shape_points(const struct vi_shape *shape); /* how many it finds */
/* points[vi_shape_points] of the face inside `box`, whose sides are those of dlib's rectangles:
 * whole pixels, the right and lower edge included. The image is grey or RGB. No allocation; the
 * same shape may be used by several threads. */
void vi_shape_find(const struct vi_shape *shape, struct vi_point *points,
                   const struct vi_image *image, const int box[4]);
/* The rectangle that dlib's own face detector would have drawn (a square from the eyebrows to the
 * chin) around the face that an SSD detector boxed (from the forehead on, higher than wide). */
void vi_shape_box(int box[4], const struct vi_face *face);

/* ---- face/blink.c: eyes that open and close -------------------------------------------------- */

/* Eye aspect ratio (Soukupova & Cech, "Real-Time Eye Blink Detection using Facial Landmarks",
 * 2016, eq. 1) of an eye's six points, corner first, going around. */
double vi_eye_aspect_ratio(const struct vi_point eye[6]);

struct vi_blink_options {
    double ear; /* above 0: the tutorials' fixed rule, closed is below it; 0: relative to how this
                   face's eyes are when they are open */
    int frames; /* least frames that a blink of the fixed rule lasts; 0: 2 */
};
struct vi_blink {            /* of one face; plain data, all zero at first */
    double left, right, ear; /* ratios of the last frame (the person's left), and their mean */
    double open;             /* what the ratio is with open eyes; 0: not known yet */
    bool closed;
    int count;     /* blinks so far */
    int frames;    /* that the eyes have been closed; 0: they are open */
    double since;  /* seconds at which they closed */
    double last;   /* seconds of the last frame */
    double level;  /* blink.c's own: `open` in the making, */
    double noise;  /* how far open eyes stray from it, */
    double wide;   /* seconds at which they were open last, */
    double learnt; /* seconds, */
    int seen;      /* and frames that the level rests on */
};
/* A frame's 68 points (others are left alone), at `seconds`. True: a blink has just ended. */
bool vi_blink_update(struct vi_blink *blink, const struct vi_blink_options *options,
                     const struct vi_point *points, int count, double seconds);

/* ---- face/track.c: which face is whose ------------------------------------------------------- */

enum { VI_MAX_TRACKS = 32 };
struct vi_track {
    int64_t id;          /* 1, 2, ... never used again */
    struct vi_face face; /* as last seen; as expected where it was not */
    float velocity[4];   /* of x1, y1, x2, y2: pixels per second */
    double first, seen;  /* seconds at which it was first, and last, seen */
    int frames, missed;  /* in which it was seen; in a row in which it was not */
    int slot;            /* 0 .. VI_MAX_TRACKS - 1, its own as long as it lives: for what is kept
                            beside it */
    bool fresh;          /* began with this frame: what was kept in its slot is another's */
};
struct vi_tracker { /* plain data, all zero at first */
    struct vi_track track[VI_MAX_TRACKS];
    int count;       /* the longest known first */
    int64_t last_id; /* the newest one's */
    double last;
};
/* The faces of a frame at `seconds`. Faces beyond VI_MAX_TRACKS are left out. */
void vi_track_update(struct vi_tracker *tracker, const struct vi_face *faces, int count,
                     double seconds);
/* The same without having looked: boxes move on as they did. */
void vi_track_predict(struct vi_tracker *tracker, double seconds);

/* ---- face/texture.c: what a print or a screen does to a picture ------------------------------ */

struct vi_texture {
    int size;          /* shorter side of the face, pixels */
    double brightness; /* mean luma, 0 .. 1 */
    double contrast;   /* standard deviation of luma, 0 .. 0.5 */
    double clipped;    /* share of pixels that are black or white */
    double saturation; /* mean, as in HSV, 0 .. 1 */
    double sharpness;  /* variance of the Laplacian of luma (0 .. 255) at 48 x 48 pixels */
    double high;       /* share of the spectrum's energy above 1/4 cycle per pixel; 0: see moire */
    double moire;      /* height of the strongest isolated peak over its surroundings, in standard
                          deviations of the spectrum (logarithms) of noise: faces have 2, screens
                          and halftones may have more; 0: smaller than 64 pixels, not measured */
};
/* Measures the part of an RGB picture that shows the face, as the camera saw it: resizing or
 * compressing it first hides what is looked for. No allocation: some 140 kB of `workspace`,
 * vi_texture_workspace bytes, aligned as malloc does. Half a millisecond at most, whatever the
 * size. An empty picture has all 0. */
size_t vi_texture_workspace(void);
void vi_texture_measure(struct vi_texture *texture, const struct vi_image *face, void *workspace);

/* ---- face/verdict.c: live, spoof, or not decided --------------------------------------------- */

enum vi_answer { VI_UNDECIDED, VI_LIVE, VI_SPOOF };
enum vi_policy {
    VI_POLICY_FUSED,     /* default: as CNN_BLINK where eyes can be seen, and a cue may deny */
    VI_POLICY_CNN,       /* the tutorial's rule: the likelier class, at once */
    VI_POLICY_CNN_BLINK, /* nothing is live before it has blinked `blinks` times */
};
struct vi_verdict_options {
    enum vi_policy policy;
    int blinks;       /* 0: 1 */
    double threshold; /* least smoothed probability of "real" to be live; 0: 0.5 */
    bool no_eyes;     /* there are no landmarks: blinks are not asked for */
};
struct vi_evidence { /* of one face, in one frame */
    double real;     /* the network's probability of "real" */
    struct vi_texture texture;
    bool has_texture; /* false: not measured in this frame; the last one's faults hold */
    int blinks;       /* so far */
    double seconds;
};
struct vi_verdict { /* plain data, all zero at first; one per face */
    enum vi_answer answer;
    const char *reason;     /* a few words: why it is a spoof or not decided; "" for live */
    double score;           /* smoothed probability of "real"; the latest frames weigh most */
    double moire;           /* smoothed; 0: not measured */
    enum vi_answer network; /* what the score says for itself */
    const char *fault;      /* what is wrong with the picture; NULL: nothing */
    bool patterned;         /* is there a moire pattern? */
    int frames;             /* since `first` */
    double first, last;     /* seconds */
    int good;               /* frames without a fault, and since when */
    double good_since;
    double weight, moire_weight; /* verdict.c's own */
};
/* A frame in which the face was seen. Decides by the policy:
 *   cnn        spoof below the threshold, else live; each frame for itself
 *   cnn+blink  the same, but not decided ("waiting for a blink") before it has blinked
 *   fused      what denies comes first: the network's smoothed answer ("looks like a picture"), a
 *              screen's grid ("moire pattern"). Then "too small", "too dark", "too bright" or
 *              "blurred", "looking" (first frames, or on the edge), and "waiting for a blink" are
 *              not decided. What is left is live.
 * Numbers that are none speak against the face. After 2 seconds without a frame all begins anew. */
void vi_verdict_update(struct vi_verdict *verdict, const struct vi_verdict_options *options,
                       const struct vi_evidence *evidence);
const char *vi_answer_name(enum vi_answer answer); /* "live", "spoof", "not decided" */
#define VI_POLICY_NAMES "fused|cnn|cnn+blink"      /* in the order of enum vi_policy */
const char *vi_policy_name(enum vi_policy policy);

/* ---- display/: pictures on a screen, keys from it -------------------------------------------- */

struct vi_display;
struct vi_display_options {
    const char *kind;  /* "auto" (NULL), "x11", "fb", "terminal", "none" */
    const char *title; /* of the window, UTF-8 */
    const char *name;  /* X display, framebuffer or terminal device; NULL: $DISPLAY, /dev/fb0,
                          standard output */
    int width, height; /* of the window at first; 0: 640 x 480 */
};
enum vi_event_kind { VI_EVENT_NONE, VI_EVENT_KEY, VI_EVENT_CLOSE };
struct vi_event {
    enum vi_event_kind kind;
    int key; /* the character's Unicode number; 27 is escape, '\n' enter, '\b' backspace */
};
/* "auto": X11 where $DISPLAY is set, else a terminal on standard output (on the kernel's console,
 * TERM=linux, the framebuffer comes before it), else a framebuffer, else none; the first that
 * opens. An error of one that was asked for by kind or name says what was wrong. A terminal is
 * written to by its own means: nothing else should be printed there until it is closed. */
enum nn_status vi_display_open(struct vi_display **display, struct nn_context *context,
                               const struct vi_display_options *options);
/* Shows an RGB picture, scaled to fit with its proportions kept; the picture is the caller's again
 * when it returns. No allocation as long as sizes stay. A terminal that is busy with the last
 * picture gets none; an X server has 5 seconds. An error means that the display is gone for good.
 */
enum nn_status vi_display_show(struct vi_display *display, const struct vi_image *image);
/* A line of text for displays on which nobody can read what is drawn into pictures: terminals show
 * it below the next one, others leave it out. Printable ASCII; "": none. */
void vi_display_caption(struct vi_display *display, const char *text);
/* The next key or the wish to close, without waiting; VI_EVENT_NONE: nothing more. Shows the last
 * picture again where the display has lost it or has another size: call it often, also when there
 * are no new pictures. */
enum nn_status vi_display_poll(struct vi_display *display, struct vi_event *event);
const char *vi_display_kind(const struct vi_display *display); /* "x11" ... */
/* Leaves terminal and screen as they were. */
void vi_display_close(struct vi_display **display);

/* ---- record/: pictures into a video ---------------------------------------------------------- */

struct vi_recorder;
struct vi_recorder_options {
    const char *format; /* "avi", "mp4", "mov", "y4m", "pictures", "raw"; NULL: by the name */
    const char *codec; /* "mjpeg" (NULL), or "h264" (mp4 and mov), which the ffmpeg program makes */
    double rate;       /* pictures per second, 0.1 .. 1000; 0: 30 */
    int quality;       /* of JPEG, 1 .. 100; 0: 90 */
};
/* By its name: .avi (Motion-JPEG, OpenDML), .mp4 or .mov (Motion-JPEG), .y4m (4:2:0), a name with
 * %d or %06d and a picture's ending (numbered from 1), "-" (RGB, no header, to standard output).
 * A name appears, and takes the place of a file that had it, with the first second that can be
 * played; whatever stops the program then, the file can be played up to its last second. y4m, mp4
 * and raw may go to a pipe; a program that records to pipes ignores SIGPIPE, so that a reader's end
 * is an error here. No picture: no file. */
bool vi_can_record(const char *path); /* does it know the name? */
enum nn_status vi_recorder_open(struct vi_recorder **recorder, struct nn_context *context,
                                const char *path, int width, int height,
                                const struct vi_recorder_options *options);
/* An RGB picture of the size that was said, shown from `seconds` (counted from any start, going
 * up) on. avi, y4m and H.264, whose pictures all last the same, repeat or leave out some to keep
 * time; mp4 and mov have each picture's own; numbered and raw ones are as many as there come. Time
 * that goes back, or more than 10 s ahead, is a clock that was set: the picture comes one rate's
 * period after the last. An error of writing (a full disk) ends the recording and is given again by
 * each call; what was recorded before can be played. No allocation per picture, but for PNG. */
enum nn_status vi_recorder_write(struct vi_recorder *recorder, const struct vi_image *image,
                                 double seconds);
/* Ends the file as it should, and syncs it; the recorder is gone, whatever is returned. */
enum nn_status vi_recorder_close(struct vi_recorder **recorder);
/* How many pictures are in the file, repeated ones included; bytes so far. */
void vi_recorder_size(const struct vi_recorder *recorder, int64_t *frames, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
