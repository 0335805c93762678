/* detector.h — what commands that look for faces share: the detector, and what to look at. */
#ifndef APPS_DETECTOR_H
#define APPS_DETECTOR_H

#include "apps/app.h"
#include "vision/vision.h"

#define DETECTOR_HELP                                                                              \
    "face detector: a folder or a file; without it $LIVENESS_DETECTOR or weights/detector"

/* Opens `path`; NULL: where $LIVENESS_DETECTOR says, or weights/detector. `precision` is the value
 * of APP_PRECISION. */
enum nn_status app_open_detector(struct vi_detector **detector, struct app *app, const char *path,
                                 int precision);
/* Pictures by their names, videos by their bytes: for struct app_files. */
bool app_shows_something(const char *path);

#endif
