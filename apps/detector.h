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
#define SHAPE_HELP                                                                                 \
    "dlib's file of landmarks; without it $LIVENESS_LANDMARKS, weights/landmarks or Debian's"
/* Opens the shape predictor `path`; NULL: where $LIVENESS_LANDMARKS says, what weights/fetch.sh
 * downloaded, or Debian's libdlib-data installed. */
enum nn_status app_open_shape(struct vi_shape **shape, struct app *app, const char *path);
/* Pictures by their names, videos by their bytes: for struct app_files. */
bool app_shows_something(const char *path);

#endif
