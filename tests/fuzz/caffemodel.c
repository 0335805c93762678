/*
 * caffemodel.c — libFuzzer harness of .caffemodel files. What is accepted must be found by name,
 * and its values be copied.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/caffemodel.c libnn.a
 */
#include "nn/format/caffe_weights.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void copy_all(struct nn_caffe_weights *weights)
{
    for (int i = 0; i < nn_caffe_weights_count(weights); i++) {
        const struct nn_caffe_layer *layer = nn_caffe_weights_at(weights, i), *found;
        found = nn_caffe_weights_find(weights, layer->name);
        if (!found || strcmp(found->name, layer->name) != 0) abort();
        for (int k = 0; k < layer->blobs; k++) {
            /* Exactly as large, so that a value too many is seen. */
            float *values = malloc(layer->blob[k].count * sizeof *values);
            nn_caffe_blob_copy(values, &layer->blob[k]);
            free(values);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nn_context *context;
    struct nn_caffe_weights *weights;
    if (nn_open(&context, &(struct nn_options){.threads = 1})) abort();
    size_t before = nn_bytes_allocated(context);
    void *own = nn_alloc(context, size + 1, 1);
    if (!own) abort();
    if (size) memcpy(own, bytes, size);
    enum nn_status status = nn_caffe_weights_parse(&weights, context, own, size, "fuzz");
    if (!status != !!weights) abort();
    if (nn_bytes_peak(context) - before > 3 * size + 12000000) abort();
    if (weights)
        copy_all(weights);
    else
        nn_free(context, own);
    nn_caffe_weights_free(&weights);
    if (nn_bytes_allocated(context) != before) abort();
    nn_close(&context);
    return 0;
}
