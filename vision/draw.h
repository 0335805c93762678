/*
 * draw.h — what the drawing and plotting files share.
 */
#ifndef VISION_DRAW_H
#define VISION_DRAW_H

#include "vision/vision.h"

/* A stroke with round ends. */
struct vi_segment {
    double x0, y0, x1, y1, radius;
};

/* Can these samples be drawn on at all? Every public function asks first. */
bool vi_drawable(const struct vi_image *image);

/* Pixel moves by `alpha` (0..1) of the way to `color`; x, y must be inside the image. */
void vi_blend(const struct vi_image *image, int x, int y, struct vi_rgb color, double alpha);

/* Share of the pixel centred at (x, y) that the stroke covers, 0..1. */
double vi_segment_coverage(const struct vi_segment *segment, double x, double y);

/* mask[y * width + x] = max(itself, coverage * 255): segments that touch are one stroke, where
 * blending each would darken the joints. */
void vi_mask_segment(uint8_t *mask, int width, int height, const struct vi_segment *segment);

/* Blends `color` through a mask as large as the image. */
void vi_blend_mask(const struct vi_image *image, const uint8_t *mask, struct vi_rgb color,
                   double opacity);

#endif
