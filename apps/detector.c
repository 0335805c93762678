/* detector.c — which detector, which landmarks, and which files they may look at. */
#include "apps/detector.h"

#include <stdlib.h>
#include <sys/stat.h>

static const char USUAL[] = "weights/detector";

enum nn_status app_open_detector(struct vi_detector **detector, struct app *app, const char *path,
                                 int precision)
{
    struct stat info;
    if (!path) path = getenv("LIVENESS_DETECTOR");
    if ((!path || !*path) && stat(USUAL, &info) == 0) path = USUAL;
    if (path && *path)
        return vi_detector_open_with(
            detector, app->context, path,
            &(struct vi_detector_options){.precision = app_precision(app, precision)});
    *detector = NULL;
    return nn_fail(app->context, NN_ERROR_ARGUMENT,
                   "no face detector: name one with -d DIR or in $LIVENESS_DETECTOR, or let "
                   "weights/fetch.sh put OpenCV's into %s",
                   USUAL);
}

enum nn_status app_open_shape(struct vi_shape **shape, struct app *app, const char *path)
{
    static const char *const USUAL_SHAPES[] = {
        "weights/landmarks/shape_predictor_68_face_landmarks.dat",
        "/usr/share/dlib/shape_predictor_68_face_landmarks.dat",
    };
    struct stat info;
    if (!path) path = getenv("LIVENESS_LANDMARKS");
    for (int i = 0; i < 2 && (!path || !*path); i++)
        if (stat(USUAL_SHAPES[i], &info) == 0) path = USUAL_SHAPES[i];
    if (path && *path) return vi_shape_open(shape, app->context, path);
    *shape = NULL;
    return nn_fail(app->context, NN_ERROR_ARGUMENT,
                   "no landmarks: name dlib's file with -p FILE or in $LIVENESS_LANDMARKS, let "
                   "weights/fetch.sh put it into weights/landmarks, or install libdlib-data");
}

bool app_shows_something(const char *path)
{
    struct stat info;
    if (vi_is_picture_name(path)) return true;
    /* A pipe that happens to lie in a folder was hardly meant, and would never end. */
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && vi_is_video(path);
}
