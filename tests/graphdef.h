/*
 * graphdef.h — binary GraphDefs made by hand, and one with constants of all kinds.
 */
#ifndef TESTS_GRAPHDEF_H
#define TESTS_GRAPHDEF_H

#include "nn/format/tensorflow.h"
#include "tests/wire.h"

/* ---- binary GraphDefs by hand ---------------------------------------------------------------- */

static inline void put_shape(struct wire *tensor, const char *shape)
{
    static struct wire dims, dim;
    dims.size = 0;
    for (; *shape; shape++) {
        dim.size = 0;
        wire_int(&dim, 1, *shape - '0');
        wire_message(&dims, 2, &dim);
    }
    wire_message(tensor, 2, &dims);
}

static inline void put_attribute(struct wire *node, const char *key, uint32_t kind,
                                 const void *bytes, size_t size)
{
    static struct wire pair, value;
    pair.size = value.size = 0;
    if (bytes)
        wire_data(&value, kind, bytes, size);
    else
        wire_int(&value, kind, (int64_t)size);
    wire_text(&pair, 1, key);
    wire_message(&pair, 2, &value);
    wire_message(node, 5, &pair);
}

static inline void put_node(struct wire *graph, const char *name, const char *op,
                            const struct wire *rest)
{
    static struct wire node;
    node.size = 0;
    wire_text(&node, 1, name);
    wire_text(&node, 2, op);
    wire_bytes(&node, rest->bytes, rest->size);
    wire_message(graph, 1, &node);
}

/* A Const; `tensor` has all but type and shape ("23": 2 x 3). */
static inline void put_const(struct wire *graph, const char *name, int type, const char *shape,
                             const struct wire *tensor)
{
    static struct wire rest, whole;
    rest.size = whole.size = 0;
    wire_int(&whole, 1, type);
    put_shape(&whole, shape);
    wire_bytes(&whole, tensor->bytes, tensor->size);
    put_attribute(&rest, "dtype", 6, NULL, (size_t)type);
    put_attribute(&rest, "value", 8, whole.bytes, whole.size);
    put_node(graph, name, "Const", &rest);
}

/* A Const of floats 1/4, 2/4 ...: all in tensor_content. */
static inline void put_floats(struct wire *graph, const char *name, const char *shape, int count)
{
    static struct wire content, tensor;
    content.size = tensor.size = 0;
    for (int i = 0; i < count; i++) wire_float(&content, (float)(i + 1) / 4);
    wire_message(&tensor, 4, &content);
    put_const(graph, name, NN_TF_FLOAT, shape, &tensor);
}

static inline void put_float(struct wire *graph, const char *name, const char *shape, float value)
{
    static struct wire tensor;
    tensor.size = 0;
    wire_key(&tensor, 5, 5);
    wire_float(&tensor, value);
    put_const(graph, name, NN_TF_FLOAT, shape, &tensor);
}

static inline void put_ints(struct wire *graph, const char *name, const char *shape,
                            const char *values)
{
    static struct wire tensor;
    tensor.size = 0;
    wire_key(&tensor, 7, 2);
    wire_varint(&tensor, strlen(values));
    for (; *values; values++) wire_varint(&tensor, (uint64_t)(*values - '0'));
    put_const(graph, name, NN_TF_INT32, shape, &tensor);
}

static inline void put_dequantize(struct wire *graph, const char *name, const char *mode,
                                  const char *const *inputs)
{
    static struct wire rest;
    rest.size = 0;
    for (int i = 0; i < 3 && inputs[i]; i++) wire_text(&rest, 3, inputs[i]);
    put_attribute(&rest, "T", 6, NULL, NN_TF_QUINT8);
    put_attribute(&rest, "mode", 2, mode, strlen(mode));
    put_node(graph, name, "Dequantize", &rest);
}

static inline void put_identity(struct wire *graph, const char *name, const char *input)
{
    static struct wire rest;
    rest.size = 0;
    wire_text(&rest, 3, input);
    put_node(graph, name, "Identity", &rest);
}

/* Constants for all that follows. */
static inline void put_constants(struct wire *graph)
{
    static struct wire tensor;
    static const char *const coded[] = {"codes", "low:0", "high"};
    static const char *const listed[] = {"codes listed", "low", "high"};
    static const char *const point[] = {"codes", "low", "low"};
    static const char *const backwards[] = {"codes", "high", "low"};
    static const char *const two[] = {"codes", "low", NULL};
    static const char *const floats[] = {"b3", "low", "high"};
    graph->size = tensor.size = 0;
    put_floats(graph, "k", "1123", 6);
    put_floats(graph, "b2", "2", 2);
    put_floats(graph, "b3", "3", 3);
    put_floats(graph, "b113", "113", 3);
    put_floats(graph, "m", "23", 6);
    put_floats(graph, "loc/w", "1128", 16);
    put_floats(graph, "conf/w", "1124", 8);
    put_float(graph, "low", "", -0.35f);
    put_float(graph, "high", "", 0.67f);
    put_float(graph, "filled", "9", 1.5f);
    put_ints(graph, "one", "", "1");
    put_ints(graph, "three", "1", "3");
    put_ints(graph, "blocks", "2", "11");
    put_ints(graph, "pads", "22", "1122");
    put_ints(graph, "pads4", "42", "00001100");
    wire_text(&tensor, 4, "\1\x7F\xFF");
    put_const(graph, "codes", NN_TF_QUINT8, "3", &tensor);
    tensor.size = 0;
    wire_int(&tensor, 7, 1);
    wire_int(&tensor, 7, 200);
    put_const(graph, "codes listed", NN_TF_QUINT8, "3", &tensor);
    put_dequantize(graph, "coded", "MIN_FIRST", coded);
    put_dequantize(graph, "coded listed", "MIN_FIRST", listed);
    put_dequantize(graph, "point", "MIN_FIRST", point);
    put_dequantize(graph, "backwards", "MIN_FIRST", backwards);
    put_dequantize(graph, "two", "MIN_FIRST", two);
    put_dequantize(graph, "floats", "MIN_FIRST", floats);
    put_dequantize(graph, "combined", "MIN_COMBINED", coded);
    put_identity(graph, "same", "coded:0");
    put_identity(graph, "circle", "circle");
    put_identity(graph, "lost", "nobody");
    put_node(graph, "relu", "Relu", &(struct wire){0});
}

#endif
