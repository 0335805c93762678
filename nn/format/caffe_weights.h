/*
 * caffe_weights.h — a .caffemodel: layers by name, each with its blobs.
 *
 * NetParameter on the wire, as caffe.proto numbers it: V2 `layer` (100) or V1 `layers` (2), blobs
 * with `shape` or the old num/channels/height/width, `data` packed or not, `double_data`,
 * `raw_data` of double, float or half type (NVIDIA's Caffe; OpenCV's fp16 models). Blobs stay where
 * they lie in the file's bytes until copied: reading takes the size of the names and 1.1 kB for
 * each layer, of which there are at most 10,000.
 */
#ifndef NN_FORMAT_CAFFE_WEIGHTS_H
#define NN_FORMAT_CAFFE_WEIGHTS_H

#include "nn/nn.h"

enum { NN_CAFFE_MOST_BLOBS = 16, NN_CAFFE_MOST_AXES = 8 };

struct nn_caffe_weights;

struct nn_caffe_blob {
    int rank;
    int dim[NN_CAFFE_MOST_AXES]; /* as the file has them: Caffe's order; old shapes have four */
    size_t count;                /* their product, and the number of values: checked equal */
    const uint8_t *message;      /* the BlobProto's bytes */
    size_t message_size;
};
struct nn_caffe_layer {
    const char *name,
        *type; /* type: "Convolution"; V1's numbers are turned into V2's names, or
                  "unknown": what a layer's weights are for is the prototxt's matter */
    int blobs;
    struct nn_caffe_blob blob[NN_CAFFE_MOST_BLOBS];
};

/* Takes the file's bytes over (from nn_file_read) on success. `name` for errors. */
enum nn_status nn_caffe_weights_parse(struct nn_caffe_weights **weights, struct nn_context *context,
                                      void *bytes, size_t size, const char *name);
void nn_caffe_weights_free(struct nn_caffe_weights **weights);
int nn_caffe_weights_count(const struct nn_caffe_weights *weights);
const struct nn_caffe_layer *nn_caffe_weights_at(const struct nn_caffe_weights *weights, int index);
/* NULL: no layer of this name. Where only one of several has blobs, that one. */
const struct nn_caffe_layer *nn_caffe_weights_find(const struct nn_caffe_weights *weights,
                                                   const char *name);
/* All `count` values, in the file's order, as float; `to` holds blob->count. A double beyond
 * float's range becomes infinite. */
void nn_caffe_blob_copy(float *to, const struct nn_caffe_blob *blob);

#endif
