/*
 * json.h — what other readers need of the JSON parser beyond nn.h.
 */
#ifndef NN_FORMAT_JSON_H
#define NN_FORMAT_JSON_H

#include "nn/nn.h"

/* The `index`-th member of an object in the order of the keys' bytes; its key in *key. */
const struct nn_json *nn_json_sorted(const struct nn_json *object, int index, const char **key);

/* A number that is an integer in [0, 2^53], where doubles hold every integer; false for others
 * and for other kinds. */
bool nn_json_integer(const struct nn_json *value, int64_t *integer);

#endif
