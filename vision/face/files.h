/* files.h — which files a detector is read from. */
#ifndef VISION_FACE_FILES_H
#define VISION_FACE_FILES_H

#include "vision/vision.h"

struct vi_detector_files {
    const char *source; /* "caffe", "tensorflow" or "safetensors" */
    char *network;      /* path of the .prototxt or .pbtxt; NULL for a .safetensors */
    char *weights;      /* path of the .caffemodel, .pb or .safetensors */
};

/* `path` is a folder or a file. In a folder the first of these that is there counts:
 *   1. deploy.prototxt, or else the only .prototxt, and the only .caffemodel
 *   2. the only .pbtxt and the only .pb
 *   3. the only .safetensors
 * To a file its partner is looked for in the same folder: that of the same name up to the ending,
 * or else deploy.prototxt, or else the only one. Two that could be meant are an error. */
enum nn_status vi_detector_find(struct vi_detector_files *files, struct nn_context *context,
                                const char *path);
void vi_detector_forget(struct vi_detector_files *files, struct nn_context *context);

#endif
