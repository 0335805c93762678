/*
 * tensorflow.h — what the files of the TensorFlow importer share.
 *
 *   tensorflow_graph.c    constants: TensorProto as text and on the wire, 8-bit ones made float
 *   tensorflow.c          the files; the network's nodes by name, and their order
 *   tensorflow_node.c     what a node says: attributes, parameters; errors that name it
 *   tensorflow_layers.c   one function per op: from a node to the builder's calls
 *
 * Source of the formats: tensorflow/core/framework/{graph,node_def,attr_value,tensor}.proto.
 */
#ifndef NN_FORMAT_TENSORFLOW_H
#define NN_FORMAT_TENSORFLOW_H

#include "nn/format/prototext.h"
#include "nn/format/protowire.h"
#include "nn/internal.h"

/* ---- constants ------------------------------------------------------------------------------- */

enum { NN_TF_MOST_AXES = 8 };

/* TensorFlow's DataType, as far as it is read here. */
enum nn_tf_type { NN_TF_FLOAT = 1, NN_TF_INT32 = 3, NN_TF_INT64 = 9, NN_TF_QUINT8 = 12 };

/* A constant, still where it lies in its file. It has `count` values: `content` has them all, or
 * they are listed one by one in `message` (wire) or `text`, and the last one stands for the rest
 * (that is how TensorFlow writes a constant of one value). */
struct nn_tf_tensor {
    enum nn_tf_type type;
    int rank;
    int dim[NN_TF_MOST_AXES];
    size_t count, listed;
    const uint8_t *content; /* NULL: listed */
    struct nn_protowire message;
    const struct nn_prototext_field *text;
    bool quantised; /* QUINT8 standing for low .. high */
    float low, high;
};

/* `text` is a message TensorProto. Marks what it reads as used. NULL, or what is wrong. */
const char *nn_tf_tensor_from_text(struct nn_tf_tensor *tensor, struct nn_prototext_field *text);
/* All `count` values; dequantised. */
void nn_tf_tensor_floats(float *to, const struct nn_tf_tensor *tensor);
/* All values of an INT32 or INT64 tensor that has 1 to `most`; how many; 0: it is no such. */
int nn_tf_tensor_ints(int *to, int most, const struct nn_tf_tensor *tensor);

/* The nodes of a binary GraphDef by name, for their constants. */
struct nn_tf_constants;
/* `bytes` must outlive it. At most 100,000 nodes of 56 bytes. */
enum nn_status nn_tf_constants_parse(struct nn_tf_constants **constants, struct nn_context *context,
                                     const void *bytes, size_t size, const char *name);
void nn_tf_constants_free(struct nn_tf_constants **constants);
/* The value of a node: of a Const, of a Dequantize of one, or of an Identity of one of these. NULL
 * and *tensor is set; else what is wrong. *found: there is such a node, of any op. */
const char *nn_tf_constants_find(struct nn_tf_tensor *tensor, bool *found,
                                 const struct nn_tf_constants *constants, const char *name,
                                 size_t name_size);

/* ---- the network ----------------------------------------------------------------------------- */

enum { NN_TF_MOST_NODES = 10000, NN_TF_MOST_INPUTS = 32 };

struct nn_tf_node;
struct nn_tf_input {
    const char *name; /* without ":0"; `size` bytes of it count */
    size_t size;
    struct nn_tf_node *node; /* NULL: a constant, of either file */
};

/* A node of the text file that is no Const. Padding (Pad, SpaceToBatchND) waits in `pad` and
 * `block` until the convolution behind it takes it. */
struct nn_tf_node {
    struct nn_prototext_field *field;
    const char *name, *op;
    int inputs, users; /* users: inputs of other nodes that are this one */
    struct nn_tf_input *input;
    struct nn_tf_node *user;   /* the last of them */
    struct nn_tf_node *merged; /* built together with this one, and is its value */
    struct nn_node *value;
    int pad[2][2], block[2]; /* of height and width; block 0: no padding waits */
    bool built, waiting;     /* waiting: on the way to the nodes before it */
    bool boxes;              /* [1, 2, n]: prior boxes, or several of them joined */
};

/* A parameter or state and where its values come from. */
struct nn_tf_fill {
    struct nn_node *node;
    struct nn_tf_tensor tensor; /* of one value: it stands for all */
};

struct nn_tf_reader {
    struct nn_context *context;
    struct nn_graph *graph;
    struct nn_prototext *text;
    struct nn_tf_constants *constants;
    const char *pb; /* the binary file's name */
    struct nn_tf_node *nodes;
    int count;
    const void **sorted; /* Const nodes too, as struct nn_tf_node, by name */
    struct nn_tf_node *consts;
    int const_count;
    struct nn_tf_fill *fills;
    int fill_count, fill_capacity;
    size_t charged; /* floats of memory that the files' sizes do not pay for */
    bool told;      /* the graph's error names the node already */
};

/* Records "'x.pbtxt', line 7: node 'conv' (Conv2D): ..." as the graph's error; returns false. */
bool nn_tf_fail(struct nn_tf_reader *reader, const struct nn_tf_node *node, enum nn_status status,
                const char *format, ...) NN_PRINTF(4, 5);
/* The graph's status while `node` was built: the builder's own errors do not know the file, here
 * they are told once more with it. */
enum nn_status nn_tf_status(struct nn_tf_reader *reader, const struct nn_tf_node *node);

/* The node of the text file with this name, Const or not; NULL: none. */
struct nn_tf_node *nn_tf_find(const struct nn_tf_reader *reader, const char *name, size_t size);

/* Attributes, by key. Each marks what it reads. `value` is left as it is where the attribute is
 * missing, unless it is required (then that is an error). All return false after an error. */
bool nn_tf_int(int *value, struct nn_tf_reader *reader, struct nn_tf_node *node, const char *key,
               bool required);
bool nn_tf_float(float *value, struct nn_tf_reader *reader, struct nn_tf_node *node,
                 const char *key, bool required); /* `i` is accepted as well as `f` */
bool nn_tf_bool(bool *value, struct nn_tf_reader *reader, struct nn_tf_node *node, const char *key,
                bool required);
/* A string that must be one of `words` (NULL ends); *value: which. Always required. */
bool nn_tf_word(int *value, struct nn_tf_reader *reader, struct nn_tf_node *node, const char *key,
                const char *const *words);
/* A list of four integers, for [N, H, W, C]. */
bool nn_tf_list(int value[4], struct nn_tf_reader *reader, struct nn_tf_node *node, const char *key,
                bool required);
/* A tensor of 1 to `most` floats; *count is 0 when there is none. */
bool nn_tf_floats(float *values, int *count, int most, struct nn_tf_reader *reader,
                  struct nn_tf_node *node, const char *key);
struct nn_prototext_field *nn_tf_attribute(struct nn_tf_node *node, const char *key);
/* Attributes that every node may have and that say nothing new: types, which must be float where
 * they are the values', data_format, and what TensorFlow's own kernels choose by. */
bool nn_tf_common(struct nn_tf_reader *reader, struct nn_tf_node *node);

/* The constant that is input `index`; false with an error when it is none. */
bool nn_tf_constant(struct nn_tf_tensor *tensor, struct nn_tf_reader *reader,
                    struct nn_tf_node *node, int index);
/* A constant input as a parameter (`state`: a state) of the constant's name, of the given shape,
 * which must be the constant's, but for ones before a last axis ([1,1,1,C] is [C]). A constant of
 * one value stands for any [C]. Used twice, it is one parameter. */
struct nn_node *nn_tf_values(struct nn_tf_reader *reader, struct nn_tf_node *node, int index,
                             struct nn_shape shape, bool state);
/* A parameter "<node>/<what>" with one value everywhere. */
struct nn_node *nn_tf_uniform(struct nn_tf_reader *reader, struct nn_tf_node *node,
                              const char *what, int channels, float value);
/* Counts memory that a small file could ask for: numbers that are written once and stand for many,
 * constants used once more, windows of convolutions. False with an error when it is too much. */
bool nn_tf_charge(struct nn_tf_reader *reader, const struct nn_tf_node *node, size_t floats);
/* Gives all parameters their values; seals the graph. */
enum nn_status nn_tf_fill_all(struct nn_tf_reader *reader);

/* ---- ops ------------------------------------------------------------------------------------- */

/* Builds node->value (inputs are built). */
struct nn_tf_op {
    const char *name;
    int inputs_min, inputs_max;
    void (*build)(struct nn_tf_reader *reader, struct nn_tf_node *node);
};
const struct nn_tf_op *nn_tf_op_find(const char *name);

/* ---- the files ------------------------------------------------------------------------------- */

struct nn_tf_file {
    void *bytes;
    size_t size;
    const char *name; /* for errors */
};
/* nn_import_tensorflow of files in memory. Beside them it takes, the graph included, at most 70
 * bytes per byte of text, 5 per byte of the binary file, and 64 MB. */
enum nn_status nn_tf_import(struct nn_graph **graph, struct nn_context *context,
                            const struct nn_tf_file *pbtxt, const struct nn_tf_file *pb);

#endif
