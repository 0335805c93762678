/* annotate.h — faces drawn onto pictures, and names for the pictures that are written. */
#ifndef APPS_ANNOTATE_H
#define APPS_ANNOTATE_H

#include "apps/app.h"
#include "vision/vision.h"

/* A frame around each face and its confidence, onto an RGB image; the first face lies on top. */
void annotate_faces(const struct vi_image *image, const struct vi_face *faces, int count);
/* A shape's points; 68 of them are joined to brows, eyes, nose, mouth and jaw. */
void annotate_points(const struct vi_image *image, const struct vi_point *points, int count);

/* Where annotated pictures go: into a folder, under the names of what they show, or to the one name
 * that was given. */
struct annotate_output {
    struct app *app;
    const char *path; /* NULL: nothing is written */
    bool is_file;
    uint64_t *taken; /* hashes of the names of this run, open addressing; 0: free */
    size_t count, capacity;
};
/* Checks `path` against all `files`: it must be a folder where there are several, and no input may
 * be overwritten. Makes the folder. */
enum nn_status annotate_open(struct annotate_output *output, struct app *app, const char *path,
                             const struct app_files *files);
void annotate_close(struct annotate_output *output);
/* Writes `image`, which shows `file`, or its frame `frame` (-1: it is a picture). No two pictures
 * of a run get the same name. */
enum nn_status annotate_write(struct annotate_output *output, const struct vi_image *image,
                              const char *file, int64_t frame);

#endif
