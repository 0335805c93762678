/*
 * caffe_layer.c — what builders of layers share: reading parameters, bringing axes into the order
 * a layer wants, naming nodes, asking for weights.
 *
 * After an error (it sticks to the net) everything here does nothing and hands out harmless values,
 * so that builders read straight on.
 */
#include "nn/format/caffe.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void nn_caffe_fail(struct nn_caffe_build *layer, enum nn_status status, int line,
                   const char *format, ...)
{
    char name[NN_QUOTED], type[NN_QUOTED], what[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    nn_caffe_net_fail(layer->net, status, line ? line : layer->field->line, "layer %s (%s): %s",
                      nn_quote(name, layer->name), nn_quote(type, layer->type_name), what);
}

/* ---- parameters ------------------------------------------------------------------------------ */

/* The one field of this name; NULL: none. */
static struct nn_prototext_field *find_one(struct nn_caffe_build *layer, const char *name)
{
    struct nn_prototext_field *field = nn_prototext_find(layer->param, name, NULL);
    if (field && nn_prototext_find(layer->param, name, field))
        nn_caffe_fail(layer, NN_ERROR_FORMAT, field->line, "'%s' is given twice", name);
    return field;
}

static const char *text_of(char quoted[NN_QUOTED], const struct nn_prototext_field *field)
{
    return field->kind == NN_PROTOTEXT_MESSAGE ? "a message" : nn_quote(quoted, field->text);
}

static bool read_int(int *value, struct nn_caffe_build *layer,
                     const struct nn_prototext_field *field, int least, int most)
{
    int64_t number;
    char quoted[NN_QUOTED];
    if (nn_prototext_int(&number, field) && number >= least && number <= most) {
        *value = (int)number;
        return true;
    }
    nn_caffe_fail(layer, NN_ERROR_FORMAT, field->line,
                  "'%s': expected an integer from %d to %d, got %s", field->name, least, most,
                  text_of(quoted, field));
    return false;
}

static bool read_float(float *value, struct nn_caffe_build *layer,
                       const struct nn_prototext_field *field)
{
    double number;
    char quoted[NN_QUOTED];
    if (nn_prototext_float(&number, field) && fabs(number) <= (double)FLT_MAX) {
        *value = (float)number;
        return true;
    }
    nn_caffe_fail(layer, NN_ERROR_FORMAT, field->line, "'%s': expected a finite number, got %s",
                  field->name, text_of(quoted, field));
    return false;
}

int nn_caffe_int(struct nn_caffe_build *layer, const char *name, int fallback, int least, int most)
{
    int value = fallback;
    const struct nn_prototext_field *field = find_one(layer, name);
    if (field && read_int(&value, layer, field, least, most)) return value;
    if (!field && (fallback < least || fallback > most))
        nn_caffe_fail(layer, NN_ERROR_FORMAT, layer->param ? layer->param->line : 0,
                      "the parameter '%s' is missing", name);
    return fallback < least ? least : fallback;
}

float nn_caffe_float(struct nn_caffe_build *layer, const char *name, float fallback)
{
    const struct nn_prototext_field *field = find_one(layer, name);
    if (field) read_float(&fallback, layer, field);
    return fallback;
}

bool nn_caffe_bool(struct nn_caffe_build *layer, const char *name, bool fallback)
{
    char quoted[NN_QUOTED];
    const struct nn_prototext_field *field = find_one(layer, name);
    if (field && !nn_prototext_bool(&fallback, field))
        nn_caffe_fail(layer, NN_ERROR_FORMAT, field->line, "'%s': expected true or false, got %s",
                      name, text_of(quoted, field));
    return fallback;
}

int nn_caffe_choice(struct nn_caffe_build *layer, const char *name, const char *words, int fallback)
{
    char quoted[NN_QUOTED];
    const struct nn_prototext_field *field = find_one(layer, name);
    if (!field) return fallback;
    int index = 0;
    for (const char *word = words; *word; index++) {
        size_t size = strcspn(word, " ");
        if (field->kind == NN_PROTOTEXT_WORD && field->size == size &&
            memcmp(field->text, word, size) == 0)
            return index;
        word += size + (word[size] == ' ');
    }
    nn_caffe_fail(layer, NN_ERROR_FORMAT, field->line, "'%s': expected one of %s, got %s", name,
                  words, text_of(quoted, field));
    return fallback;
}

int nn_caffe_axis(struct nn_caffe_build *layer, const char *name, int fallback, int rank)
{
    int axis = nn_caffe_int(layer, name, fallback, INT32_MIN, INT32_MAX);
    if (axis >= -rank && axis < rank) return axis < 0 ? axis + rank : axis;
    nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "'%s' is %d, but its input has %d axes", name, axis,
                  rank);
    return 0;
}

static bool has_room(struct nn_caffe_build *layer, const struct nn_prototext_field *field,
                     int count, int room)
{
    if (count < room) return true;
    nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, field->line, "'%s' is given more than %d times",
                  field->name, room);
    return false;
}

int nn_caffe_ints(struct nn_caffe_build *layer, int *values, int room, const char *name, int most)
{
    int count = 0;
    const struct nn_prototext_field *field = NULL;
    while ((field = nn_prototext_find(layer->param, name, field))) {
        if (!has_room(layer, field, count, room) ||
            !read_int(&values[count], layer, field, 0, most))
            break;
        count++;
    }
    return count;
}

int nn_caffe_floats(struct nn_caffe_build *layer, float *values, int room, const char *name)
{
    int count = 0;
    const struct nn_prototext_field *field = NULL;
    while ((field = nn_prototext_find(layer->param, name, field))) {
        if (!has_room(layer, field, count, room) || !read_float(&values[count], layer, field))
            break;
        count++;
    }
    return count;
}

bool nn_caffe_has(const struct nn_caffe_build *layer, const char *name)
{
    return nn_prototext_count(layer->param, name) > 0;
}

int nn_caffe_dims(struct nn_caffe_net *net, int dims[NN_MAX_RANK],
                  struct nn_prototext_field *message, const char *name, int least)
{
    int count = 0;
    const struct nn_prototext_field *field = NULL;
    while ((field = nn_prototext_find(message, name, field))) {
        int64_t number;
        char quoted[NN_QUOTED];
        if (count == NN_MAX_RANK) {
            nn_caffe_net_fail(net, NN_ERROR_UNSUPPORTED, field->line,
                              "blobs of more than %d axes are not supported", NN_MAX_RANK);
            return 0;
        }
        if (!nn_prototext_int(&number, field) || number < least || number > INT32_MAX) {
            nn_caffe_net_fail(net, NN_ERROR_FORMAT, field->line,
                              "'%s': expected an integer from %d to %d, got %s", name, least,
                              INT32_MAX, text_of(quoted, field));
            return 0;
        }
        dims[count++] = (int)number;
    }
    return count;
}

static bool is_listed(const char *names, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += size)
        if ((at == names || at[-1] == ' ') && (at[size] == ' ' || !at[size])) return true;
    return false;
}

void nn_caffe_use(struct nn_prototext_field *message, const char *names)
{
    /* fields of fillers and of `param` */
    static const char inside[] = "type value min max mean std sparse variance_norm name share_mode "
                                 "lr_mult decay_mult";
    if (!message || message->kind != NN_PROTOTEXT_MESSAGE) return;
    for (struct nn_prototext_field *field = message->first; field; field = field->next) {
        if (!is_listed(names, field->name)) continue;
        field->used = true;
        for (struct nn_prototext_field *part = field->first;
             field->kind == NN_PROTOTEXT_MESSAGE && part; part = part->next)
            part->used = part->used || is_listed(inside, part->name);
    }
}

/* ---- axes ------------------------------------------------------------------------------------ */

/* Caffe's axes in this order, but for the images and those of length 1; returns how many. */
static int long_axes(int axes[NN_MAX_RANK], const struct nn_caffe_value *value, const int *order)
{
    int count = 0;
    assert(value->rank <= NN_MAX_RANK);
    for (int i = 1; i < value->rank; i++)
        if (value->dim[order[i]] != 1) axes[count++] = order[i];
    return count;
}

/* Whether the data have to move to get into this order. */
static bool moves(const struct nn_caffe_value *value, const int *order)
{
    int from[NN_MAX_RANK], to[NN_MAX_RANK];
    int count = long_axes(from, value, value->axis);
    return count != long_axes(to, value, order) ||
           memcmp(from, to, (size_t)count * sizeof *to) != 0;
}

struct nn_caffe_value nn_caffe_ordered(struct nn_caffe_build *layer,
                                       const struct nn_caffe_value *value, const int *order)
{
    struct nn_caffe_value ordered = *value;
    size_t bytes = (size_t)value->rank * sizeof *order;
    if (layer->net->status || memcmp(value->axis, order, bytes) == 0) return ordered;
    memcpy(ordered.axis, order, bytes);
    struct nn_shape shape = nn_node_shape(value->node);
    if (moves(value, order)) {
        int places[NN_MAX_RANK] = {0};
        for (int i = 0; i < value->rank; i++)
            while (value->axis[places[i]] != order[i]) places[i]++;
        ordered.node = nn_caffe_helper(layer, nn_permute(value->node, places), "permute");
    } else {
        for (int i = 1; i < value->rank; i++) shape.dim[i] = value->dim[order[i]];
        ordered.node = nn_caffe_helper(layer, nn_reshape(value->node, shape), "reshape");
    }
    return ordered;
}

struct nn_caffe_value nn_caffe_plain(struct nn_caffe_build *layer,
                                     const struct nn_caffe_value *value)
{
    static const int order[NN_MAX_RANK] = {0, 1, 2, 3};
    return nn_caffe_ordered(layer, value, order);
}

struct nn_caffe_value nn_caffe_picture(struct nn_caffe_build *layer, int bottom)
{
    static const int order[NN_MAX_RANK] = {0, 2, 3, 1};
    const struct nn_caffe_value *value = &layer->bottom[bottom];
    if (value->rank == 4) return nn_caffe_ordered(layer, value, order);
    nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                  "expected an input of 4 axes (images, channels, rows, columns), got %d",
                  value->rank);
    return *value;
}

struct nn_caffe_value nn_caffe_last(struct nn_caffe_build *layer,
                                    const struct nn_caffe_value *value, int axis)
{
    int order[NN_MAX_RANK], count = 0;
    if (axis < 1 || axis >= value->rank) {
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                      "expected an input with an axis %d after the images, got %d axes", axis,
                      value->rank);
        return *value;
    }
    if (value->axis[value->rank - 1] == axis) return *value;
    for (int i = 0; i < value->rank; i++)
        if (i != axis) order[count++] = i;
    order[count] = axis;
    return nn_caffe_ordered(layer, value, order);
}

struct nn_node *nn_caffe_view(struct nn_caffe_build *layer, const struct nn_caffe_value *value,
                              const int *dims, int rank)
{
    static const int plain[NN_MAX_RANK] = {0, 1, 2, 3};
    struct nn_caffe_value from = *value;
    if (layer->net->status) return NULL;
    if (moves(value, plain)) from = nn_caffe_plain(layer, value);
    if (layer->net->status || !from.node) return NULL;
    struct nn_shape shape = {.rank = rank, .dim = {nn_node_shape(from.node).dim[0]}};
    for (int i = 1; i < rank; i++) shape.dim[i] = dims[i];
    return nn_reshape(from.node, shape);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

void nn_caffe_make(struct nn_caffe_build *layer, struct nn_node *node,
                   const struct nn_caffe_value *like)
{
    if (!node || layer->net->status) return;
    struct nn_caffe_value *made = &layer->made;
    struct nn_shape shape = nn_node_shape(node);
    *made = (struct nn_caffe_value){.node = node, .rank = shape.rank};
    for (int i = 0; i < shape.rank; i++) {
        made->axis[i] = like ? like->axis[i] : i;
        made->dim[made->axis[i]] = shape.dim[i];
    }
    /* The images: as many as the text says, though any number can run. */
    if (shape.dim[0] == NN_BATCH) made->dim[0] = layer->bottoms ? layer->bottom[0].dim[0] : 1;
}

struct nn_node *nn_caffe_helper(struct nn_caffe_build *layer, struct nn_node *node,
                                const char *what)
{
    char name[NN_QUOTED];
    if (layer->helpers++ == 0)
        snprintf(name, sizeof name, "%s/%s", layer->name, what);
    else
        snprintf(name, sizeof name, "%s/%s_%d", layer->name, what, layer->helpers);
    return nn_name(node, name);
}

/* ---- weights --------------------------------------------------------------------------------- */

enum { SHAPE_TEXT = 112 };

static char *shape_text(char text[SHAPE_TEXT], int rank, const int *dims)
{
    size_t used = (size_t)snprintf(text, SHAPE_TEXT, "(");
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, SHAPE_TEXT - used, "%s%d", i ? ", " : "", dims[i]);
    snprintf(text + used, SHAPE_TEXT - used, ")");
    return text;
}

/* Old files have four dimensions, of which the first may be ones that nobody asked for. */
static bool same_shape(const struct nn_caffe_blob *blob, const struct nn_caffe_wanted *wanted)
{
    int a = 0, b = 0;
    while (a < blob->rank && blob->dim[a] == 1) a++;
    while (b < wanted->rank && wanted->dim[b] == 1) b++;
    return blob->rank - a == wanted->rank - b &&
           memcmp(blob->dim + a, wanted->dim + b, (size_t)(blob->rank - a) * sizeof(int)) == 0;
}

/* A layer without weights: told at the end, together with the others. */
static void note_lacking(struct nn_caffe_build *layer)
{
    enum { TOLD = 4 };
    struct nn_caffe_net *net = layer->net;
    size_t used = strlen(net->lacking_names), room = sizeof net->lacking_names - used;
    char quoted[NN_QUOTED];
    if (layer->lacks) return;
    layer->lacks = true;
    if (net->lacking++ < TOLD)
        snprintf(net->lacking_names + used, room, "%s%s", used ? ", " : "",
                 nn_quote(quoted, layer->name));
    else if (net->lacking == TOLD + 1)
        snprintf(net->lacking_names + used, room, " ...");
}

const struct nn_caffe_blob *nn_caffe_blob_of(struct nn_caffe_build *layer,
                                             const struct nn_caffe_wanted *wanted)
{
    char file[NN_QUOTED], expected[SHAPE_TEXT], got[SHAPE_TEXT];
    if (wanted->blob < 0) return NULL;
    if (wanted->blob >= layer->blobs) layer->blobs = wanted->blob + 1;
    if (!layer->net->weights) return NULL;
    if (!layer->weights) {
        note_lacking(layer);
        return NULL;
    }
    nn_quote(file, layer->net->weights_name);
    if (wanted->blob >= layer->weights->blobs) {
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "%s has %d blobs for it, of which none is the %s",
                      file, layer->weights->blobs, wanted->what);
        return NULL;
    }
    const struct nn_caffe_blob *blob = &layer->weights->blob[wanted->blob];
    if (same_shape(blob, wanted)) return blob;
    nn_caffe_fail(layer, NN_ERROR_SHAPE, 0, "expected a %s of shape %s, %s has %s", wanted->what,
                  shape_text(expected, wanted->rank, wanted->dim), file,
                  shape_text(got, blob->rank, blob->dim));
    return NULL;
}

struct nn_node *nn_caffe_parameter(struct nn_caffe_build *layer, struct nn_caffe_wanted *wanted)
{
    struct nn_caffe_net *net = layer->net;
    char name[NN_QUOTED];
    if (net->status) return NULL;
    wanted->fill.blob = nn_caffe_blob_of(layer, wanted);
    if (net->status) return NULL;
    size_t floats = nn_shape_count(wanted->shape);
    if (floats > NN_CAFFE_MOST_FLOATS - net->floats) {
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                      "with its %s the network has more than %d MB of parameters", wanted->what,
                      (int)((size_t)NN_CAFFE_MOST_FLOATS * sizeof(float) >> 20));
        return NULL;
    }
    net->floats += floats;
    void *fills =
        nn_caffe_grow(net, net->fills, &net->fill_capacity, net->fill_count, sizeof *net->fills);
    if (!fills) return NULL;
    net->fills = fills;
    snprintf(name, sizeof name, "%s/%s", layer->name, wanted->what);
    struct nn_node *node = wanted->state ? nn_state(net->graph, name, wanted->shape, NN_ZEROS)
                                         : nn_parameter(net->graph, name, wanted->shape, NN_ZEROS);
    if (!node) return NULL;
    wanted->fill.node = node;
    net->fills[net->fill_count++] = wanted->fill;
    return node;
}

struct nn_node *nn_caffe_vector(struct nn_caffe_build *layer, const char *what, int blob,
                                int channels)
{
    struct nn_caffe_wanted wanted = {
        .what = what, .shape = nn_shape1(channels), .blob = blob, .rank = 1, .dim = {channels}};
    return nn_caffe_parameter(layer, &wanted);
}

struct nn_node *nn_caffe_constant(struct nn_caffe_build *layer, const char *what, int channels,
                                  float constant)
{
    struct nn_caffe_wanted wanted = {.what = what,
                                     .shape = nn_shape1(channels),
                                     .blob = -1,
                                     .state = true,
                                     .fill.constant = constant};
    return nn_caffe_parameter(layer, &wanted);
}
