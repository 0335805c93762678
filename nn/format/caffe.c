/* caffe.c — Caffe's networks: a .prototxt and a .caffemodel become a graph. */
#include "nn/nn.h"

enum nn_status nn_import_caffe(struct nn_graph **graph, struct nn_context *context,
                               const char *prototxt, const char *caffemodel)
{
    (void)prototxt, (void)caffemodel;
    *graph = NULL;
    return nn_fail(context, NN_ERROR_UNSUPPORTED, "Caffe's networks cannot be read yet");
}
