/*
 * network.h — a network of either kind, to be looked at: LivenessNet, a face detector, or the
 * structure of a Caffe network whose weights are not there. What `summary` and `bench` open.
 */
#ifndef APPS_NETWORK_H
#define APPS_NETWORK_H

#include "apps/model.h"

struct network {
    struct nn_context *context;
    struct nn_graph *graph; /* that of one of these three; its last node is the output */
    struct model model;
    struct vi_detector *detector;
    struct nn_graph *bare;
    bool is_model;
    const char *source; /* "livenessnet", "safetensors", "caffe", "tensorflow" */
};

/* LivenessNet as `train` makes it, with weights drawn from `seed`. */
enum nn_status network_new(struct network *network, struct app *app, int width, int height,
                           int classes, uint64_t seed);
/* A file that `train` wrote, or what vi_detector_open takes, or a .prototxt on its own. */
enum nn_status network_open(struct network *network, struct app *app, const char *path);
void network_close(struct network *network);
/* The one node a picture goes into. */
struct nn_node *network_input(const struct network *network);

#endif
