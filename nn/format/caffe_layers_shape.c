/*
 * caffe_layers_shape.c — Caffe's layers that put numbers elsewhere: Concat, Permute, Flatten,
 * Reshape, Crop, Split. Permute and Split make no node; Flatten and Reshape move data only where
 * the node's axes are not in Caffe's order.
 */
#include "nn/format/caffe.h"

#include <string.h>

/* ---- concat ---------------------------------------------------------------------------------- */

/* Which axis of the node Caffe's axis is. */
static int place_of(const struct nn_caffe_value *value, int axis)
{
    int place = 0;
    while (value->axis[place] != axis) place++;
    return place;
}

static void build_concat(struct nn_caffe_build *layer)
{
    const struct nn_caffe_value *first = &layer->bottom[0];
    struct nn_node *part[NN_MAX_INPUTS], *y = NULL;
    bool old = nn_caffe_has(layer, "concat_dim");
    if (old && nn_caffe_has(layer, "axis"))
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "either 'axis' or 'concat_dim', not both");
    int axis = nn_caffe_axis(layer, old ? "concat_dim" : "axis", 1, first->rank), parts = 0;
    if (axis == 0)
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "along axis 0, the images, is not supported");
    for (int i = 0; i < layer->bottoms && !layer->net->status; i++) {
        if (layer->bottom[i].rank != first->rank) {
            nn_caffe_fail(layer, NN_ERROR_SHAPE, 0, "its bottoms have %d and %d axes", first->rank,
                          layer->bottom[i].rank);
            return;
        }
        struct nn_caffe_value x = nn_caffe_ordered(layer, &layer->bottom[i], first->axis);
        if (y) nn_caffe_helper(layer, y, "so_far");
        part[parts++] = x.node;
        if (parts < NN_MAX_INPUTS && i + 1 < layer->bottoms) continue;
        y = part[0] = nn_concat(part, parts, place_of(first, axis));
        parts = 1;
    }
    nn_caffe_make(layer, nn_name(y, layer->name), first);
}

/* ---- permute --------------------------------------------------------------------------------- */

static void build_permute(struct nn_caffe_build *layer)
{
    const struct nn_caffe_value *x = &layer->bottom[0];
    int order[NN_MAX_RANK], given = nn_caffe_ints(layer, order, x->rank, "order", x->rank - 1);
    bool taken[NN_MAX_RANK] = {false};
    int count = 0;
    for (; count < given; count++) {
        if (taken[order[count]])
            nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "axis %d comes twice in 'order'",
                          order[count]);
        taken[order[count]] = true;
    }
    for (int i = 0; i < x->rank; i++) /* those left out follow */
        if (!taken[i] && count < x->rank) order[count++] = i;
    if (order[0] != 0)
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "the images (axis 0) must stay first");
    if (layer->net->status) return;
    layer->made = *x;
    for (int i = 0; i < x->rank; i++) {
        layer->made.dim[i] = x->dim[order[i]];
        layer->made.axis[place_of(x, order[i])] = i;
    }
}

/* ---- other shapes ---------------------------------------------------------------------------- */

/* The bottom as `rank` axes; the first one is its own. */
static void make_view(struct nn_caffe_build *layer, const int *dims, int rank)
{
    const struct nn_caffe_value *x = &layer->bottom[0];
    if (!layer->net->status && dims[0] != x->dim[0])
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                      "the images, axis 0, must stay apart: %d become %d", x->dim[0], dims[0]);
    struct nn_node *y = nn_caffe_view(layer, x, dims, rank);
    nn_caffe_make(layer, nn_name(y, layer->name), NULL);
}

static void build_flatten(struct nn_caffe_build *layer)
{
    const struct nn_caffe_value *x = &layer->bottom[0];
    int from = nn_caffe_axis(layer, "axis", 1, x->rank), rank = 0, dims[NN_MAX_RANK] = {0};
    int to = nn_caffe_axis(layer, "end_axis", -1, x->rank);
    if (to < from)
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "'end_axis' %d is before 'axis' %d", to, from);
    for (int i = 0; i < x->rank; i++) {
        if (i > from && i <= to)
            dims[rank - 1] *= x->dim[i]; /* the engine keeps all under 2^31 */
        else
            dims[rank++] = x->dim[i];
    }
    make_view(layer, dims, rank);
}

/* Replaces axes [from, from + count) by `wanted`: 0 copies the axis at this place, one -1 is what
 * is left. Returns the rank; 0: an error. */
static int reshape(struct nn_caffe_build *layer, int *dims, const int *wanted, int given, int from,
                   int count)
{
    const struct nn_caffe_value *x = &layer->bottom[0];
    int64_t inside = 1, known = 1;
    int rank = 0, rest = -1;
    if (x->rank - count + given > NN_MAX_RANK || x->rank - count + given < 1) {
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "expected 1 to %d axes, got %d", NN_MAX_RANK,
                      x->rank - count + given);
        return 0;
    }
    for (int i = 0; i < from; i++) dims[rank++] = x->dim[i];
    for (int i = from; i < from + count; i++) inside *= x->dim[i];
    for (int i = 0; i < given; i++) {
        int dim = wanted[i];
        if (dim == 0 && from + i < x->rank) dim = x->dim[from + i];
        if (dim == -1 && rest < 0)
            rest = rank;
        else if (dim < 1 || dim > inside || (known *= dim) > inside)
            rest = NN_MAX_RANK; /* two of -1, or too much */
        dims[rank++] = dim;
        if (rest == NN_MAX_RANK) break;
    }
    if (rest == NN_MAX_RANK || inside % known || (rest < 0 && known != inside)) {
        nn_caffe_fail(layer, NN_ERROR_SHAPE, 0, "its %lld numbers do not fit into the given shape",
                      (long long)inside);
        return 0;
    }
    if (rest >= 0) dims[rest] = (int)(inside / known);
    for (int i = from + count; i < x->rank; i++) dims[rank++] = x->dim[i];
    return rank;
}

static void build_reshape(struct nn_caffe_build *layer)
{
    const struct nn_caffe_value *x = &layer->bottom[0];
    int dims[NN_MAX_RANK] = {0}, wanted[NN_MAX_RANK], most = x->rank;
    struct nn_prototext_field *shape = nn_prototext_find(layer->param, "shape", NULL);
    int from = nn_caffe_int(layer, "axis", 0, -x->rank - 1, x->rank);
    if (from < 0) from += x->rank + 1; /* Caffe: -1 is behind the last axis */
    int count = nn_caffe_int(layer, "num_axes", -1, -1, most);
    if (count < 0) count = x->rank - from;
    if (!shape)
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "the parameter 'shape' is missing");
    else if (from + count > x->rank)
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "axes %d to %d of an input with %d axes", from,
                      from + count - 1, x->rank);
    if (layer->net->status) return;
    int given = nn_caffe_dims(layer->net, wanted, shape, "dim", -1);
    if (layer->net->status) return;
    int rank = reshape(layer, dims, wanted, given, from, count);
    if (rank) make_view(layer, dims, rank);
}

/* ---- crop ------------------------------------------------------------------------------------ */

/* The first bottom cut to the second one's size, from `axis` on. */
static void build_crop(struct nn_caffe_build *layer)
{
    const struct nn_caffe_value *x = &layer->bottom[0], *like = &layer->bottom[1];
    int offsets[NN_MAX_RANK] = {0}, offset[NN_MAX_RANK] = {0};
    int axis = nn_caffe_axis(layer, "axis", 2, x->rank);
    int given = nn_caffe_ints(layer, offsets, NN_MAX_RANK, "offset", INT32_MAX);
    if (given > 1 && given != x->rank - axis)
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "%d offsets for %d axes", given, x->rank - axis);
    if (like->rank != x->rank)
        nn_caffe_fail(layer, NN_ERROR_SHAPE, 0, "its bottoms have %d and %d axes", x->rank,
                      like->rank);
    if (layer->net->status) return;
    struct nn_shape shape = nn_node_shape(x->node);
    for (int i = axis; i < x->rank; i++) {
        int place = place_of(x, i);
        offset[place] = offsets[given > 1 ? i - axis : 0];
        if (place) shape.dim[place] = like->dim[i];
    }
    if (axis == 0 && (offset[0] || like->dim[0] != x->dim[0]))
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "the images (axis 0) cannot be cropped");
    if (layer->net->status) return;
    nn_caffe_make(layer, nn_name(nn_crop(x->node, offset, shape), layer->name), x);
}

static void build_split(struct nn_caffe_build *layer)
{
    layer->made = layer->bottom[0];
}

const struct nn_caffe_type nn_caffe_shape_types[] = {
    {"Concat", "CONCAT", "concat_param", "", 1, NN_CAFFE_MOST_BOTTOMS, false, build_concat},
    {"Permute", NULL, "permute_param", "", 1, 1, false, build_permute},
    {"Flatten", "FLATTEN", "flatten_param", "", 1, 1, false, build_flatten},
    {"Reshape", NULL, "reshape_param", "", 1, 1, false, build_reshape},
    {"Crop", NULL, "crop_param", "", 2, 2, false, build_crop},
    {"Split", "SPLIT", NULL, "", 1, 1, true, build_split},
    {NULL, NULL, NULL, NULL, 0, 0, false, NULL},
};
