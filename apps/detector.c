/* detector.c — which detector, and which files it may look at. */
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

bool app_shows_something(const char *path)
{
    struct stat info;
    if (vi_is_picture_name(path)) return true;
    /* A pipe that happens to lie in a folder was hardly meant, and would never end. */
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && vi_is_video(path);
}
