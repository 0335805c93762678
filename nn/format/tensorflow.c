/*
 * tensorflow.c — nn_import_tensorflow: a network out of TensorFlow's text and binary GraphDefs.
 */
#include "nn/nn.h"

enum nn_status nn_import_tensorflow(struct nn_graph **graph, struct nn_context *context,
                                    const char *pbtxt, const char *pb)
{
    *graph = NULL;
    (void)pb;
    return nn_fail(context, NN_ERROR_UNSUPPORTED, "%s: TensorFlow networks are not read yet",
                   pbtxt);
}
