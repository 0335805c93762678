/*
 * synth.h — the sample generator's inside: a person, how it is drawn, recaptured, photographed.
 *
 *     person  -> geometry -> samples -> linear light        synth_person/_mesh/_head/_shade.c
 *     linear light -> [recapture: print or screen] -> camera -> 8 bits     _attack.c, _camera.c
 *     8 bits -> files and faces.csv                         synth.c
 *
 * Units: head coordinates have the chin at y = -1, the crown at y = +1 (half a head, about 11.5 cm,
 * is 1), x to the right of the picture, z towards the viewer. Colours are linear RGB, 1 = white.
 */
#ifndef DS_SYNTH_H
#define DS_SYNTH_H

#include "datasets/datasets.h"
#include <math.h>

struct ds_vec {
    float x, y, z; /* or red, green, blue */
};

static inline struct ds_vec ds_vec(float x, float y, float z)
{
    return (struct ds_vec){x, y, z};
}
static inline struct ds_vec ds_add(struct ds_vec a, struct ds_vec b)
{
    return ds_vec(a.x + b.x, a.y + b.y, a.z + b.z);
}
static inline struct ds_vec ds_sub(struct ds_vec a, struct ds_vec b)
{
    return ds_vec(a.x - b.x, a.y - b.y, a.z - b.z);
}
static inline struct ds_vec ds_mul(struct ds_vec a, struct ds_vec b)
{
    return ds_vec(a.x * b.x, a.y * b.y, a.z * b.z);
}
static inline struct ds_vec ds_scale(struct ds_vec a, float s)
{
    return ds_vec(a.x * s, a.y * s, a.z * s);
}
static inline struct ds_vec ds_mix(struct ds_vec a, struct ds_vec b, float t)
{
    return ds_add(a, ds_scale(ds_sub(b, a), t));
}
static inline float ds_dot(struct ds_vec a, struct ds_vec b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
static inline struct ds_vec ds_cross(struct ds_vec a, struct ds_vec b)
{
    return ds_vec(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
static inline struct ds_vec ds_unit(struct ds_vec a)
{
    float length = sqrtf(ds_dot(a, a));
    return length > 1e-12f ? ds_scale(a, 1 / length) : ds_vec(0, 0, 0);
}
static inline float ds_clamp(float v, float low, float high)
{
    return v < low ? low : v > high ? high : v;
}
static inline float ds_min(float a, float b)
{
    return a < b ? a : b;
}
static inline float ds_max(float a, float b)
{
    return a > b ? a : b;
}
static inline float ds_lerp(float a, float b, float t)
{
    return a + (b - a) * t;
}
/* Largest integer <= v: floorf is a call on machines without its instruction. */
static inline int ds_floor(float v)
{
    int i = (int)v;
    return i - (v < (float)i);
}
/* 0 below `low`, 1 above `high`, a cubic between. low may exceed high: then it falls. */
static inline float ds_step(float low, float high, float v)
{
    float t = ds_clamp((v - low) / (high - low), 0, 1);
    return t * t * (3 - 2 * t);
}
/* exp(-((x-cx)/sx)^2 - ((y-cy)/sy)^2), cut to 0 at three widths. */
static inline float ds_bump(float x, float y, float cx, float cy, float sx, float sy)
{
    float u = (x - cx) / sx, v = (y - cy) / sy, r = u * u + v * v;
    return r < 9 ? expf(-r) : 0;
}

/* ---- noise and colour (synth_camera.c) ------------------------------------------------------- */

/* Smooth lattice noise in [-1, 1]. */
float ds_noise(float x, float y, uint32_t seed);
/* sRGB's transfer function (IEC 61966-2-1): light in [0, 1] to code in [0, 1] and back. */
float ds_srgb_encode(float light);
float ds_srgb_decode(float code);
/* Linear light of an sRGB colour 0xRRGGBB. */
struct ds_vec ds_color(uint32_t hex);

/* ---- who, and in which scene (synth_person.c) ------------------------------------------------ */

enum ds_hair {
    DS_HAIR_NONE,
    DS_HAIR_BUZZ,
    DS_HAIR_SHORT,
    DS_HAIR_CURLY,
    DS_HAIR_BOB,
    DS_HAIR_LONG,
    DS_HAIR_BUN,
    DS_HAIR_KINDS
};
enum ds_cover { DS_COVER_NONE, DS_COVER_BEANIE, DS_COVER_SCARF, DS_COVER_TURBAN };
enum ds_beard {
    DS_BEARD_NONE,
    DS_BEARD_STUBBLE,
    DS_BEARD_MOUSTACHE,
    DS_BEARD_GOATEE,
    DS_BEARD_FULL
};

struct ds_person {
    uint32_t seed; /* of this person's noise */
    float age;     /* 0 young adult .. 1 old */
    struct ds_vec skin, lips, iris, hair, brow, cloth, trim, cover, frame;
    /* shape, factors around 1 */
    float width, jaw, chin, cheek, nose_length, nose_width, nose_height;
    float eye_size, eye_open, eye_tilt, eye_gap, brow_height, brow_thickness, brow_arch;
    float lip_fullness, mouth_width, smile, teeth;
    float gaze_x, gaze_y; /* shift of the irises, in eye half-widths */
    float freckles, blush, makeup;
    enum ds_hair hair_kind;
    float hairline, hair_drop, hair_part, hair_volume, hair_length, hair_wave;
    enum ds_cover cover_kind;
    enum ds_beard beard_kind;
    float beard_density;
    bool glasses;
    float lens_width, lens_height, lens_power, frame_radius, lens_tint;
    float neckline;
    bool stripes;
};

struct ds_lamp {
    struct ds_vec to;   /* unit, towards the lamp, in view coordinates */
    struct ds_vec half; /* unit, between `to` and the viewer */
    struct ds_vec color;
};

enum { DS_SHAPES = 12 };
struct ds_shape { /* a blurred thing in the background; units of the picture's side */
    float x, y, half_width, half_height, soft;
    bool round;
    struct ds_vec color;
};

struct ds_scene {
    float yaw, pitch, roll; /* of the head, radians */
    float distance;         /* camera to head, head units */
    struct ds_lamp lamp[2];
    struct ds_vec sky, ground; /* light from above and below */
    struct ds_vec wall_top, wall_bottom;
    struct ds_shape shape[DS_SHAPES];
    int shapes;
    float texture, texture_scale; /* of the wall: plaster, foliage, bricks */
    uint32_t seed;
};

void ds_person_draw(struct ds_person *person, struct nn_rng *rng);
void ds_scene_draw(struct ds_scene *scene, struct nn_rng *rng);

/* ---- geometry (synth_mesh.c) ----------------------------------------------------------------- */

enum ds_part {
    DS_PART_NONE,
    DS_PART_FACE,
    DS_PART_EAR,
    DS_PART_NECK,
    DS_PART_TORSO,
    DS_PART_HAIR,
    DS_PART_COVER,
    DS_PART_FRAME,
    DS_PART_LENS
};

struct ds_vertex {
    struct ds_vec p; /* where it is on the head: what shading paints by */
    struct ds_vec n; /* unit normal in view coordinates */
    float mask;      /* >= 0: the surface exists here */
    struct ds_vec q; /* picture x, picture y (pixels, y down), depth (larger is nearer) */
};
enum { DS_MESH_ROWS = 64, DS_MESH_COLUMNS = 96, DS_MESH_MAX = DS_MESH_ROWS * DS_MESH_COLUMNS };
/* Rows from bottom to top, columns around (counter-clockwise from above, 0 in front). */
struct ds_mesh {
    struct ds_vertex *vertex; /* [DS_MESH_MAX] */
    int rows, columns;
    bool ring; /* the last row joins the first */
};

/* One point of the supersampled picture: the nearest surface there. */
struct ds_sample {
    float depth;
    struct ds_vec p, n;
    float mask;
    float lens; /* > 0: seen through a lens; its place on the lens, for the reflection */
    int part;
};

struct ds_pose { /* view = turn * (p - pivot) + pivot */
    float turn[3][3];
    struct ds_vec pivot;
    struct ds_vec nose; /* the middle of the nose, turned about the origin */
    float distance;
    float scale, x, y; /* picture = (x, y) + scale * perspective(view) */
};

/* How far inside the hair (or cover) a point of the scalp is; negative: bare skin. */
float ds_hair_mask(const struct ds_person *person, struct ds_vec p);
float ds_cover_mask(const struct ds_person *person, struct ds_vec p);
struct ds_vec ds_pose_project(const struct ds_pose *pose, struct ds_vec p);
struct ds_vec ds_pose_turn(const struct ds_pose *pose, struct ds_vec v);

void ds_mesh_face(struct ds_mesh *mesh, const struct ds_person *person);
void ds_mesh_hair(struct ds_mesh *mesh, const struct ds_person *person, bool cover);
void ds_mesh_bun(struct ds_mesh *mesh, const struct ds_person *person);
void ds_mesh_ear(struct ds_mesh *mesh, float side, const struct ds_person *person);
void ds_mesh_neck(struct ds_mesh *mesh);
void ds_mesh_torso(struct ds_mesh *mesh);
void ds_mesh_rim(struct ds_mesh *mesh, const struct ds_person *person, float side);
void ds_mesh_lens(struct ds_mesh *mesh, const struct ds_person *person, float side);
void ds_mesh_rod(struct ds_mesh *mesh, struct ds_vec from, struct ds_vec to, float radius);
/* Normals from neighbours, then `pose` (the neck bends from `body` to `pose`). */
void ds_mesh_place(struct ds_mesh *mesh, const struct ds_pose *pose, const struct ds_pose *body);
/* Draws into samples[side][side], whose spacing is 1 / `density` pixel. */
void ds_mesh_raster(struct ds_sample *samples, int side, int density, const struct ds_mesh *mesh,
                    enum ds_part part);

/* ---- drawing (synth_head.c, synth_shade.c) --------------------------------------------------- */

/* Where the face is in a picture, in pixels. Left is left in the picture. */
struct ds_face {
    float x0, y0, x1, y1;
    float left_x, left_y, right_x, right_y;
};

/* What one thread needs, allocated once. */
struct ds_studio {
    struct nn_context *context;
    int size, source_size; /* sides of a picture, and of the original of an attack */
    struct ds_mesh mesh;
    struct ds_sample *samples; /* [(2 * source_size)^2] */
    float *picture;            /* [size, size, 3] light */
    float *source;             /* [source_size, source_size, 3] light */
    float *work;               /* as source */
    uint8_t *bytes;            /* as source, 8 bits sRGB */
};
enum nn_status ds_studio_new(struct ds_studio *studio, struct nn_context *context, int size);
void ds_studio_free(struct ds_studio *studio);

/* Light reaching the camera from one sample of a surface. */
struct ds_vec ds_shade(const struct ds_person *person, const struct ds_scene *scene,
                       const struct ds_pose *pose, const struct ds_sample *sample);

/* Draws a person into rgb[side, side, 3] so that the face's box is where `face` says (its height
 * and centre), then corrects `face` to what was drawn. */
void ds_head_draw(struct ds_studio *studio, float *rgb, int side, struct ds_face *face,
                  struct nn_rng *rng);
/* Chooses the box of a face in a picture as a face detector with a margin would cut it. */
void ds_face_draw(struct ds_face *face, int side, struct nn_rng *rng);

/* ---- camera and attacks (synth_camera.c, synth_attack.c) ------------------------------------- */

/* Lens, sensor and processing: light in place to code values, and to 8 bits. Exposure and
 * contrast are set so that mean and deviation of the result follow one distribution, whatever the
 * picture shows. `blur` is the lens' deviation in pixels. */
void ds_camera(uint8_t *to, float *rgb, float *work, int side, float blur, struct nn_rng *rng);

enum ds_attack_kind { DS_REAL, DS_PRINT, DS_SCREEN };
/* Draws, recaptures and photographs picture `n` of the set into studio->bytes. */
enum nn_status ds_picture(struct ds_studio *studio, struct ds_face *face, enum ds_attack_kind kind,
                          uint64_t seed, uint64_t n);

#endif
