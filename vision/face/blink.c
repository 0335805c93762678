#include "vision/vision.h"
#include <math.h>
static double distance(const struct vi_point *a, const struct vi_point *b)
{
    return hypot((double)a->x - (double)b->x, (double)a->y - (double)b->y);
}

double vi_eye_aspect_ratio(const struct vi_point eye[6])
{
    double width = distance(&eye[0], &eye[3]);
    return width > 0 ? (distance(&eye[1], &eye[5]) + distance(&eye[2], &eye[4])) / (2 * width) : 0;
}
