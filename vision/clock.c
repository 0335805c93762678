/* clock.c — the time by which frames arrive, and by which their delay is measured. */
#include "vision/vision.h"

#include <time.h>

double vi_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
