/*
 * detector.h — a face detector's insides.
 *
 *   files.c      which files
 *   detector.c   files -> network, checked -> plan; and into one .safetensors
 *   contract.c   what the network wants done to a picture, as JSON
 *   detect.c     picture -> network's input -> boxes
 */
#ifndef VISION_FACE_DETECTOR_H
#define VISION_FACE_DETECTOR_H

#include "vision/resize.h"
#include "vision/vision.h"

enum { VI_LARGEST_INPUT = 2048 }; /* pixels of a side: a file may not ask for more memory */

/* The preprocessing contract: resize to width x height (bilinear, as OpenCV), order the colours,
 * then (value - mean) * scale. */
struct vi_contract {
    int width, height;
    enum vi_color color; /* VI_BGR or VI_RGB */
    double scale, mean[3];
};
/* OpenCV's: BGR, means 104, 177, 123, scale 1. */
struct vi_contract vi_contract_caffe(int width, int height);
void vi_contract_write(struct nn_text *text, const struct vi_contract *contract);
enum nn_status vi_contract_read(struct vi_contract *contract, struct nn_context *context,
                                const char *json, const char *name_for_errors);

/* What one task of the preprocessing works in. */
struct vi_band {
    struct vi_resizer_rows rows;
    uint8_t *pixels; /* a row of the resized picture */
    int first, last; /* rows of the network's input */
};

struct vi_detector {
    struct nn_context *context;
    struct nn_graph *graph;
    struct nn_plan *plan;
    const char *source;
    struct vi_contract contract;
    struct nn_node *input_node, *output_node;
    float *input;        /* [1, height, width, 3] */
    const float *output; /* [1, 1, most, 7]: nn_detection_output's rows */
    int most;
    struct vi_face *faces; /* [most] */

    float table[3][256];       /* what a sample of the network's channel c becomes */
    struct vi_resizer resizer; /* its columns hold for pictures of this width and channels: */
    int column_width, column_channels;
    int order[3];          /* which channel of the picture the network's channel c is */
    struct vi_band *bands; /* [band_count] */
    int band_count;
    void *scratch; /* the bands' rows */
};

/* Allocates all that vi_detect needs; `contract` and the network are known. */
enum nn_status vi_detect_start(struct vi_detector *detector);

#endif
