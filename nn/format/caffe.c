/*
 * caffe.c — Caffe's networks: a .prototxt (protobuf text: layers) and a .caffemodel (protobuf wire
 * format: their weights, by the layers' names) become a graph.
 *
 * The graph is built first, every blob of weights checked against its layer; only then is memory
 * taken for values, and each parameter is filled from its blob, its axes turned: a convolution's
 * [K,C,R,S] to [R,S,C,K].
 * Sources: BVLC's caffe.proto and layers; for SSD's layers Wei Liu's fork.
 */
#include "nn/format/caffe.h"

#include <string.h>

static const size_t MOST_TEXT = (size_t)1 << 22, MOST_WEIGHTS = (size_t)1 << 31; /* bytes */

/* ---- weights --------------------------------------------------------------------------------- */

/* `from` has the axes fill->dim; `to` gets them in fill->order. The axis that comes last there is
 * done in pieces, all other axes inside: reads then run through as many rows of `from` as a piece
 * has numbers, and whole cache lines are written. */
static void turn(float *to, const float *from, const struct nn_caffe_fill *fill)
{
    enum { PIECE = 16 };
    size_t from_stride[NN_MAX_RANK], to_stride[NN_MAX_RANK], stride = 1;
    size_t dim[NN_MAX_RANK - 1] = {1, 1, 1}, a[NN_MAX_RANK - 1] = {0}, b[NN_MAX_RANK - 1] = {0};
    int rank = fill->rank, last = fill->order[rank - 1], others = 0;
    for (int i = rank - 1; i >= 0; i--) {
        from_stride[i] = stride;
        stride *= (size_t)fill->dim[i];
    }
    stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        to_stride[fill->order[i]] = stride;
        stride *= (size_t)fill->dim[fill->order[i]];
    }
    for (int i = 0; i < rank; i++) {
        if (i == last) continue;
        dim[others] = (size_t)fill->dim[i];
        a[others] = to_stride[i];
        b[others++] = from_stride[i];
    }
    size_t length = (size_t)fill->dim[last], step = from_stride[last];
    for (size_t start = 0; start < length; start += PIECE) {
        size_t count = length - start < PIECE ? length - start : PIECE;
        for (size_t i = 0; i < dim[0]; i++)
            for (size_t j = 0; j < dim[1]; j++)
                for (size_t k = 0; k < dim[2]; k++) {
                    float *row = to + i * a[0] + j * a[1] + k * a[2] + start;
                    const float *column = from + i * b[0] + j * b[1] + k * b[2] + start * step;
                    for (size_t n = 0; n < count; n++) row[n] = column[n * step];
                }
    }
}

struct filling {
    struct nn_caffe_net *net;
    bool *failed; /* [fill_count] */
};

static bool fill_node(struct nn_context *context, const struct nn_caffe_fill *fill)
{
    float *values = nn_values(fill->node);
    size_t count = nn_shape_count(nn_node_shape(fill->node));
    if (!fill->blob) {
        for (size_t i = 0; i < count; i++) values[i] = fill->constant;
        return true;
    }
    if (fill->rank == 0) {
        nn_caffe_blob_copy(values, fill->blob);
        for (size_t i = fill->blob->count; i < count; i++)
            values[i] = values[i - fill->blob->count];
    } else {
        float *blob = nn_alloc(context, fill->blob->count, sizeof *blob);
        if (!blob) return false;
        nn_caffe_blob_copy(blob, fill->blob);
        turn(values, blob, fill);
        nn_free(context, blob);
    }
    float divisor = 1.0f;
    if (fill->divisor) nn_caffe_blob_copy(&divisor, fill->divisor);
    float factor = divisor == 0.0f ? 0.0f : 1.0f / divisor;
    for (size_t i = 0; fill->divisor && i < count; i++) values[i] *= factor;
    return true;
}

static void fill_task(void *argument, int index, int thread)
{
    const struct filling *filling = argument;
    struct nn_context *context = nn_worker(filling->net->context, thread);
    filling->failed[index] = !fill_node(context, &filling->net->fills[index]);
}

static enum nn_status fill_values(struct nn_caffe_net *net)
{
    enum nn_status status = NN_OK;
    struct filling filling = {.net = net};
    if (net->fill_count == 0) return NN_OK;
    if (!nn_values(net->fills[0].node)) return NN_ERROR_MEMORY; /* makes all */
    filling.failed = nn_alloc(net->context, (size_t)net->fill_count, sizeof *filling.failed);
    if (!filling.failed) return NN_ERROR_MEMORY;
    nn_parallel(net->context, net->fill_count, fill_task, &filling);
    for (int i = 0; i < net->fill_count && !status; i++)
        if (filling.failed[i])
            status = nn_fail(net->context, NN_ERROR_MEMORY, "out of memory for the weights of '%s'",
                             nn_node_name(net->fills[i].node));
    nn_free(net->context, filling.failed);
    nn_parameters_changed(net->graph);
    return status;
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum nn_status read_text(struct nn_prototext **text, struct nn_context *context,
                                const char *path)
{
    void *bytes;
    size_t size;
    enum nn_status status = nn_file_read(context, path, MOST_TEXT, &bytes, &size);
    if (status) return status;
    status = nn_prototext_parse(text, context, bytes, size, path);
    nn_free(context, bytes);
    return status;
}

static enum nn_status read_weights(struct nn_caffe_weights **weights, struct nn_context *context,
                                   const char *path)
{
    void *bytes;
    size_t size;
    enum nn_status status = nn_file_read(context, path, MOST_WEIGHTS, &bytes, &size);
    if (status) return status;
    status = nn_caffe_weights_parse(weights, context, bytes, size, path);
    if (status) nn_free(context, bytes);
    return status;
}

static enum nn_status build(struct nn_caffe_net *net)
{
    net->graph = nn_graph_new(net->context);
    if (!net->graph) return NN_ERROR_MEMORY;
    if (nn_caffe_net_build(net)) return nn_fail(net->context, net->status, "%s", net->error);
    return fill_values(net);
}

enum nn_status nn_import_caffe(struct nn_graph **graph, struct nn_context *context,
                               const char *prototxt, const char *caffemodel)
{
    struct nn_caffe_weights *weights = NULL;
    struct nn_caffe_net net = {.context = context, .weights_name = caffemodel};
    *graph = NULL;
    enum nn_status status = read_text(&net.text, context, prototxt);
    if (!status && caffemodel) status = read_weights(&weights, context, caffemodel);
    net.weights = weights;
    if (!status) status = build(&net);
    nn_free(context, net.tops);
    nn_free(context, net.fills);
    nn_caffe_weights_free(&weights);
    nn_prototext_free(&net.text);
    if (status)
        nn_graph_free(&net.graph);
    else
        *graph = net.graph;
    return status;
}
