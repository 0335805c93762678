/* orient.h — turning a picture upright. */
#ifndef VISION_ORIENT_H
#define VISION_ORIENT_H

#include "vision/vision.h"

/* Turns the picture as an Exif orientation (1..8) asks. 5 to 8 exchange width and height and need a
 * second picture for that long; on failure the first one is as it was. The image is the owner of
 * its pixels, and has no gaps between its rows afterwards if it had none before. */
enum nn_status vi_upright(struct vi_image *image, struct nn_context *context, int orientation);

#endif
