/* cameras.h — what `liveness cameras` says of a list of cameras; tests bring lists of their own. */
#ifndef APPS_CAMERAS_H
#define APPS_CAMERAS_H

#include "nn/nn.h"
#include "vision/vision.h"

/* A block per camera, a line per size; other nodes in a line each. */
void cameras_table(struct nn_text *text, const struct vi_camera *cameras, int count);
/* One line of JSON. */
void cameras_json(struct nn_text *text, const struct vi_camera *cameras, int count);

#endif
