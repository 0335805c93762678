/*
 * augment.c — random views of a training picture, as Keras' ImageDataGenerator draws them.
 *
 * Keras multiplies rotation, shift, shear and zoom (in this order, so zoom acts first), and turns
 * about the middle of the picture. The product maps places of the new picture to places of the
 * old one. In today's Keras (seen in 3.15) its first coordinate is the column and its second the
 * row, while names and ranges stayed those of the other way round. Three oddities follow, and are
 * kept, because they are what Keras does: `tx`, drawn from the height's range, moves columns;
 * zoom_x acts on columns; and of a picture that is not square the point (height, width) / 2 - 0.5
 * is taken for the middle, as if it were (column, row).
 */
#include "vision/vision.h"

#include <math.h>

struct vi_augment vi_augment_default(void)
{
    return (struct vi_augment){.rotation = 20,
                               .zoom = 0.15f,
                               .shift_w = 0.2f,
                               .shift_h = 0.2f,
                               .shear = 0.15f,
                               .flip = true};
}

/* As many numbers are drawn whatever the ranges are: switching one kind off leaves the others. */
struct vi_augment_draw vi_augment_pick(const struct vi_augment *augment, struct nn_rng *rng,
                                       int width, int height)
{
    struct vi_augment_draw draw;
    draw.theta = augment->rotation * nn_rng_uniform(rng, -1, 1);
    draw.tx = augment->shift_h * nn_rng_uniform(rng, -1, 1);
    draw.ty = augment->shift_w * nn_rng_uniform(rng, -1, 1);
    draw.shear = augment->shear * nn_rng_uniform(rng, -1, 1);
    draw.zoom_x = 1 + augment->zoom * nn_rng_uniform(rng, -1, 1);
    draw.zoom_y = 1 + augment->zoom * nn_rng_uniform(rng, -1, 1);
    draw.flip = nn_rng_uniform(rng, 0, 1) < 0.5f && augment->flip;
    /* A range below 1 is a share of the side, from 1 on it counts pixels. */
    if (augment->shift_h < 1) draw.tx *= (float)height;
    if (augment->shift_w < 1) draw.ty *= (float)width;
    return draw;
}

void vi_augment_apply(float *to, const float *from, int width, int height, int channels,
                      const struct vi_augment_draw *draw)
{
    const double degree = 3.14159265358979323846 / 180;
    double theta = draw->theta * degree, shear = draw->shear * degree;
    double middle_x = height / 2.0 - 0.5, middle_y = width / 2.0 - 0.5;
    struct vi_affine rotation = {{cos(theta), -sin(theta), 0, sin(theta), cos(theta), 0}};
    struct vi_affine shift = {{1, 0, draw->tx, 0, 1, draw->ty}};
    struct vi_affine slant = {{1, -sin(shear), 0, 0, cos(shear), 0}};
    struct vi_affine zoom = {{draw->zoom_x, 0, 0, 0, draw->zoom_y, 0}};
    struct vi_affine from_middle = {{1, 0, middle_x, 0, 1, middle_y}};
    struct vi_affine to_middle = {{1, 0, -middle_x, 0, 1, -middle_y}};
    struct vi_affine mirror = {{-1, 0, width - 1, 0, 1, 0}}; /* of the new picture: acts first */

    struct vi_affine map = vi_affine_multiply(from_middle, rotation);
    map = vi_affine_multiply(map, shift);
    map = vi_affine_multiply(map, slant);
    map = vi_affine_multiply(map, zoom);
    map = vi_affine_multiply(map, to_middle);
    if (draw->flip) map = vi_affine_multiply(map, mirror);
    vi_warp_float(to, from, width, height, channels, map);
}
