/*
 * landmarks.c — the points of a face, by an ensemble of regression trees.
 *
 * Kazemi & Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", CVPR
 * 2014, with dlib's arithmetic: the same operations in the same order on floats where dlib has
 * floats, so that the points are the same ones.
 */
#include "vision/face/landmarks.h"

#include <math.h>
#include <string.h>

enum { BATCH = 32 }; /* trees whose leaves are on their way from memory at once */

/* Box coordinates to pixels. */
struct frame {
    double x, y, width, height;
};

int vi_shape_points(const struct vi_shape *shape)
{
    return shape->points;
}

/* The turn and scale, without mirroring, that take the mean shape nearest to this one (Umeyama,
 * "Least-squares estimation of transformation parameters between two point patterns", 1991). In
 * two dimensions no singular values are needed: it is [a -b; b a]. */
static void find_turn(float *a, float *b, const struct vi_shape *shape, const float *now)
{
    double along = 0, across = 0;
    *a = 1;
    *b = 0;
    if (!(shape->spread > 0)) return;
    for (int i = 0; i < shape->points; i++) {
        const double *from = shape->still + 2 * i;
        const double x = (double)now[2 * i], y = (double)now[2 * i + 1];
        along += from[0] * x + from[1] * y;
        across += from[0] * y - from[1] * x;
    }
    *a = (float)(along / shape->spread);
    *b = (float)(across / shape->spread);
}

/* Grey, or the mean of the colours as dlib takes it. */
static inline uint8_t brightness(const struct vi_image *image, int x, int y)
{
    const uint8_t *pixel = image->pixels + y * image->stride + (ptrdiff_t)x * image->channels;
    return image->channels < 3 ? pixel[0] : (uint8_t)((pixel[0] + pixel[1] + pixel[2]) / 3);
}

/* Pixels outside of the picture are black. */
static void sample(uint8_t *pixels, const struct vi_shape *shape,
                   const struct vi_shape_stage *stage, const float *now,
                   const struct vi_image *image, const struct frame *frame)
{
    float a, b;
    find_turn(&a, &b, shape, now);
    for (int i = 0; i < stage->pixels; i++) {
        const float *offset = stage->offsets + 2 * i, *anchor = now + 2 * stage->anchors[i];
        float u = a * offset[0] + -b * offset[1] + anchor[0];
        float v = b * offset[0] + a * offset[1] + anchor[1];
        double x = frame->x + frame->width * (double)u + 0.5;
        double y = frame->y + frame->height * (double)v + 0.5;
        bool inside = x >= 0 && y >= 0 && x < image->width && y < image->height;
        pixels[i] = inside ? brightness(image, (int)x, (int)y) : 0;
    }
}

static void add(float *restrict sum, const float *restrict row, size_t size)
{
    for (; size >= 8; size -= 8, sum += 8, row += 8)
        for (int i = 0; i < 8; i++) sum[i] += row[i];
    for (size_t i = 0; i < size; i++) sum[i] += row[i];
}

/* Leaves are added in the order of their trees. They lie all over a memory that no cache holds, so
 * that the ones of a batch are called for before the first is needed. */
static void walk_trees(float *now, const struct vi_shape *shape, const struct vi_shape_stage *stage,
                       const uint8_t *pixels)
{
    const int splits = shape->splits;
    const size_t size = 2 * (size_t)shape->points;
    const float *row[BATCH], *leaves = stage->leaves;
    size_t first = 0; /* split of a tree */
    for (int left = stage->trees, count; left > 0; left -= count) {
        count = left < BATCH ? left : BATCH;
        for (int i = 0; i < count; i++, leaves += (size_t)(splits + 1) * size) {
            int node = 0;
            while (node < splits) {
                const struct vi_shape_split *at = &stage->splits[first + (size_t)node];
                node = 2 * node + 2 - (pixels[at->first] - pixels[at->second] > at->threshold);
            }
            first += (size_t)splits;
            row[i] = leaves + (size_t)(node - splits) * size;
            for (size_t line = 0; line < size; line += 64 / sizeof(float))
                __builtin_prefetch(row[i] + line);
        }
        for (int i = 0; i < count; i++) add(now, row[i], size);
    }
}

/* The nearest float that dlib's rounding, down from the middle, takes to the same whole pixel. */
static float place(double value)
{
    float near = (float)value;
    return floor((double)near + 0.5) > floor(value + 0.5) ? nextafterf(near, -HUGE_VALF) : near;
}

void vi_shape_find(const struct vi_shape *shape, struct vi_point *points,
                   const struct vi_image *image, const int box[4])
{
    uint8_t pixels[VI_SHAPE_PIXELS];
    float now[2 * VI_SHAPE_POINTS];
    const struct frame frame = {box[0], box[1], (double)box[2] - box[0], (double)box[3] - box[1]};
    memcpy(now, shape->mean, 2 * (size_t)shape->points * sizeof *now);
    for (int i = 0; i < shape->stages; i++) {
        sample(pixels, shape, &shape->stage[i], now, image, &frame);
        walk_trees(now, shape, &shape->stage[i], pixels);
    }
    for (int i = 0; i < shape->points; i++) {
        points[i].x = place(frame.x + frame.width * (double)now[2 * i]);
        points[i].y = place(frame.y + frame.height * (double)now[2 * i + 1]);
    }
}

/* Measured on 458 faces that both detectors found (photographs and videos, four fifths of the boxes
 * within a tenth of this): dlib's side over the root of the box's area, and how far down the box
 * dlib's centre lies. dlib itself knows sizes in steps of a fifth; between 0.9 and 1.05 the points
 * stay where they are, to 1.5 % of the distance between the eyes. */
static const double SIDE = 0.95, DOWN = 0.57;

static int whole(double value)
{
    return (int)floor(fmin(fmax(value, -1e6), 1e6) + 0.5);
}

void vi_shape_box(int box[4], const struct vi_face *face)
{
    const double width = (double)face->x2 - (double)face->x1;
    const double height = (double)face->y2 - (double)face->y1;
    const double side = SIDE * sqrt(fmax(width * height, 0));
    box[0] = whole(((double)face->x1 + (double)face->x2 - side) / 2);
    box[1] = whole((double)face->y1 + DOWN * height - side / 2);
    box[2] = box[0] + whole(side) - 1;
    box[3] = box[1] + whole(side) - 1;
}
