/*
 * caffe.h — the inside of the Caffe importer.
 *
 *   caffe.c            entry: files, weights into their nodes
 *   caffe_net.c        the network: inputs, which layers belong to it, what they read and make
 *   caffe_layer.c      what builders of layers share: parameters, order of axes, weights
 *   caffe_layers_*.c   one builder per layer type, in tables
 *
 * Layouts. Caffe's blobs are NCHW, our nodes NHWC. A blob is a node, Caffe's shape, and which of
 * Caffe's axes each axis of the node is: a convolution makes the axes 0, 2, 3, 1 of its blob.
 * Permute then only renames axes, and the usual head of an SSD, Convolution - Permute - Flatten -
 * Concat, moves no data. Layers that look at neighbours want NHWC, layers that reshape want Caffe's
 * order ("plain"); an nn_permute is inserted where the data are in neither that order nor one that
 * differs only in axes of length 1. Axis 0, the images, is always the node's first.
 */
#ifndef NN_FORMAT_CAFFE_H
#define NN_FORMAT_CAFFE_H

#include "nn/format/caffe_weights.h"
#include "nn/format/prototext.h"
#include "nn/nn.h"

enum {
    NN_CAFFE_MOST_LAYERS = 10000,
    NN_CAFFE_MOST_BOTTOMS = 512,    /* of one layer */
    NN_CAFFE_MOST_LINKS = 40000,    /* bottoms and tops of all layers */
    NN_CAFFE_MOST_FLOATS = 1 << 28, /* values of all parameters: 1 GB */
    NN_CAFFE_MOST_PIXELS = 1 << 20, /* a kernel, stride, padding ... in pixels */
    NN_CAFFE_MOST_CHANNELS = 1 << 24,
};

struct nn_caffe_value { /* a blob */
    struct nn_node *node;
    int rank, dim[NN_MAX_RANK]; /* Caffe's */
    int axis[NN_MAX_RANK];      /* axis i of the node is Caffe's axis[i]; axis[0] = 0 */
};
struct nn_caffe_top {
    const char *name; /* the text's */
    struct nn_caffe_value value;
};

/* Where a parameter's values come from. */
struct nn_caffe_fill {
    struct nn_node *node;
    const struct nn_caffe_blob *blob;    /* NULL: `constant` everywhere */
    const struct nn_caffe_blob *divisor; /* one number that all are divided by (0: all are 0) */
    float constant;
    int rank, dim[NN_MAX_RANK]; /* the blob's values as these axes ... */
    int order[NN_MAX_RANK];     /* ... go to the node in this order; rank 0: as they are, and again
                                   and again until the node is full */
};

struct nn_caffe_net {
    struct nn_context *context;
    struct nn_prototext *text;
    const struct nn_caffe_weights *weights; /* NULL: none */
    const char *weights_name;               /* of the file */
    struct nn_graph *graph;
    enum nn_status status; /* the first error sticks */
    char error[1024];
    struct nn_caffe_top *tops;
    int top_count, top_capacity;
    struct nn_caffe_fill *fills;
    int fill_count, fill_capacity;
    size_t floats; /* of all parameters */
    int lacking;   /* layers that have no weights in the file; the first ones: */
    char lacking_names[640];
};

struct nn_caffe_build;
struct nn_caffe_type {
    const char *name, *v1; /* "InnerProduct", "INNER_PRODUCT"; v1 NULL: came with V2 */
    const char *param;     /* "inner_product_param"; NULL: it has none */
    const char *ignored;   /* fields of it that do not change predictions, separated by spaces */
    int bottoms_min, bottoms_max;
    bool many_tops; /* all of them are the one value it makes */
    void (*build)(struct nn_caffe_build *layer);
};
extern const struct nn_caffe_type nn_caffe_conv_types[], nn_caffe_channel_types[],
    nn_caffe_shape_types[], nn_caffe_ssd_types[]; /* each ends with a name of NULL */

struct nn_caffe_build { /* a layer being built */
    struct nn_caffe_net *net;
    const struct nn_caffe_type *type;
    struct nn_prototext_field *field, *param; /* the layer's; its type->param, NULL if missing */
    const char *name, *type_name;
    struct nn_caffe_value bottom[NN_CAFFE_MOST_BOTTOMS];
    int bottoms;
    struct nn_caffe_value made;           /* what the builder is for */
    const struct nn_caffe_layer *weights; /* of this name in the file; NULL */
    int blobs;                            /* asked for so far */
    int helpers;                          /* nodes it named so far beside its own */
    bool lacks;                           /* counted in net->lacking */
};

/* ---- caffe_net.c ----------------------------------------------------------------------------- */

/* Builds the graph; net has text, weights and context. */
enum nn_status nn_caffe_net_build(struct nn_caffe_net *net);
/* The first error is kept. `line` 0: none. */
void nn_caffe_net_fail(struct nn_caffe_net *net, enum nn_status status, int line,
                       const char *format, ...) NN_PRINTF(4, 5);
/* `items`, or a longer copy of them, with room for one more than `count`; NULL: no memory. */
void *nn_caffe_grow(struct nn_caffe_net *net, void *items, int *capacity, int count, size_t size);

/* ---- caffe_layer.c: for builders ------------------------------------------------------------- */

/* "'deploy.prototxt', line 212: layer 'conv4' (Convolution): ..."; line 0: the layer's. */
void nn_caffe_fail(struct nn_caffe_build *layer, enum nn_status status, int line,
                   const char *format, ...) NN_PRINTF(4, 5);

/* Parameters of the layer's message. One that is not there has its fallback; an int whose fallback
 * is out of its range must be there. */
int nn_caffe_int(struct nn_caffe_build *layer, const char *name, int fallback, int least, int most);
float nn_caffe_float(struct nn_caffe_build *layer, const char *name, float fallback);
bool nn_caffe_bool(struct nn_caffe_build *layer, const char *name, bool fallback);
/* An enum: the index of its word in `words`, a text separated by spaces. */
int nn_caffe_choice(struct nn_caffe_build *layer, const char *name, const char *words,
                    int fallback);
/* An axis of a blob of this rank; negative ones count from the end. */
int nn_caffe_axis(struct nn_caffe_build *layer, const char *name, int fallback, int rank);
/* A repeated field; returns how many there are. */
int nn_caffe_ints(struct nn_caffe_build *layer, int *values, int room, const char *name, int most);
int nn_caffe_floats(struct nn_caffe_build *layer, float *values, int room, const char *name);
bool nn_caffe_has(const struct nn_caffe_build *layer, const char *name);
/* The `dim`s of a BlobShape, at most NN_MAX_RANK; returns how many. */
int nn_caffe_dims(struct nn_caffe_net *net, int dims[NN_MAX_RANK],
                  struct nn_prototext_field *message, const char *name, int least);
/* Marks fields (names separated by spaces) of a message that do not change predictions. */
void nn_caffe_use(struct nn_prototext_field *message, const char *names);

/* A bottom with its axes in another order. */
struct nn_caffe_value nn_caffe_ordered(struct nn_caffe_build *layer,
                                       const struct nn_caffe_value *value, const int *order);
struct nn_caffe_value nn_caffe_plain(struct nn_caffe_build *layer,
                                     const struct nn_caffe_value *value);
/* NHWC; an error unless it has four axes. */
struct nn_caffe_value nn_caffe_picture(struct nn_caffe_build *layer, int bottom);
/* Caffe's axis `axis` is the node's last. */
struct nn_caffe_value nn_caffe_last(struct nn_caffe_build *layer,
                                    const struct nn_caffe_value *value, int axis);
/* The bottom's numbers in Caffe's order under another shape of Caffe's. */
struct nn_node *nn_caffe_view(struct nn_caffe_build *layer, const struct nn_caffe_value *value,
                              const int *dims, int rank);

/* The layer makes this node, whose axes are those of `like` (NULL: plain). */
void nn_caffe_make(struct nn_caffe_build *layer, struct nn_node *node,
                   const struct nn_caffe_value *like);
/* Names a node that only serves the layer's own: "<layer>/what". */
struct nn_node *nn_caffe_helper(struct nn_caffe_build *layer, struct nn_node *node,
                                const char *what);

/* A parameter of the layer, "<layer>/what". */
struct nn_caffe_wanted {
    const char *what;
    struct nn_shape shape; /* the node's */
    int blob;              /* its place among the layer's; -1: none, it is a constant */
    int rank;              /* the blob's shape in Caffe */
    int dim[NN_MAX_RANK];
    bool state;                /* not trained */
    struct nn_caffe_fill fill; /* its node and blob are filled in; constant: without weights */
};
struct nn_node *nn_caffe_parameter(struct nn_caffe_build *layer, struct nn_caffe_wanted *wanted);
/* Its blob in the weights; NULL: there are none, or an error. */
const struct nn_caffe_blob *nn_caffe_blob_of(struct nn_caffe_build *layer,
                                             const struct nn_caffe_wanted *wanted);
/* The usual one: a number per channel. */
struct nn_node *nn_caffe_vector(struct nn_caffe_build *layer, const char *what, int blob,
                                int channels);
/* A state with the same number in all channels. */
struct nn_node *nn_caffe_constant(struct nn_caffe_build *layer, const char *what, int channels,
                                  float constant);

#endif
