/*
 * landmarks.h — a shape predictor's insides.
 *
 *   landmarks_file.c   dlib's file -> tables, everything in them checked
 *   landmarks.c        picture and box -> points
 *
 * A predictor is a cascade of stages. Each stage looks at some pixels around the shape as it is so
 * far, walks many small trees that compare two of them at every node, and adds the leaves it gets
 * to. Coordinates are in units of the box: (0, 0) its upper left, (1, 1) its lower right corner.
 */
#ifndef VISION_FACE_LANDMARKS_H
#define VISION_FACE_LANDMARKS_H

#include "vision/vision.h"

enum {
    VI_SHAPE_POINTS = 1024,  /* most points, */
    VI_SHAPE_PIXELS = 8192,  /* and pixels of a stage: both lie on the stack */
    VI_SHAPE_STAGES = 1024,  /* dlib's own files have 15 */
    VI_SHAPE_SPLITS = 4095,  /* of a tree: depth 12; dlib's have 15, depth 4 */
    VI_SHAPE_FARTHEST = 1000 /* largest coordinate, in boxes: so that sums stay finite */
};

/* pixel[first] - pixel[second] > threshold: to the left. Pixels are whole numbers, so that the
 * file's threshold, a float, decides as its floor does. */
struct vi_shape_split {
    uint16_t first, second;
    int16_t threshold;
};

struct vi_shape_stage {
    int trees, pixels;
    struct vi_shape_split *splits; /* [trees, splits]: node i has the children 2i + 1 and 2i + 2 */
    float *leaves;                 /* [trees, splits + 1, 2 points] */
    float *offsets;                /* [pixels, 2]: where a pixel lies, seen from its point, */
    uint16_t *anchors;             /* [pixels]: which is this one */
};

struct vi_shape {
    struct nn_context *context;
    int points, stages;
    int splits;    /* of each tree, a power of 2 less 1 */
    float *mean;   /* [points, 2]: the shape before the first stage */
    double *still; /* the same around its own centre: what a shape is turned from */
    double spread; /* sum of its squares */
    struct vi_shape_stage *stage;
};

struct vi_stream;
/* vi_shape_open with a stream, which stays the caller's. */
enum nn_status vi_shape_from(struct vi_shape **shape, struct nn_context *context,
                             struct vi_stream *stream);

#endif
