/*
 * prototext.h — protobuf's text format (what .prototxt and .pbtxt files are) as a tree.
 *
 *     layer { name: "conv1" type: "Convolution" convolution_param { pad: 3 } }  # comment
 *
 * A message is a list of fields in the file's order; a name may come any number of times. The
 * parser knows the syntax, not the schema: readers take the fields they know, which marks them as
 * used, and then ask whether one is left over.
 * Source: protobuf.dev, "Text Format Language Specification".
 */
#ifndef NN_FORMAT_PROTOTEXT_H
#define NN_FORMAT_PROTOTEXT_H

#include "nn/nn.h"

enum nn_prototext_kind { NN_PROTOTEXT_WORD, NN_PROTOTEXT_STRING, NN_PROTOTEXT_MESSAGE };

struct nn_prototext_field {
    const char *name;
    int line; /* of the name, counted from 1 */
    enum nn_prototext_kind kind;
    const char *text; /* word (number, enum, true) or unescaped string; ends in NUL */
    size_t size;      /* of text, without the NUL: strings may hold NULs */
    struct nn_prototext_field *first; /* of a message */
    struct nn_prototext_field *next;  /* in the message around it */
    bool used;
};

/* The whole file; its fields are root->first ... */
struct nn_prototext;
/* At most `size` of 64 MB, 64 messages deep, a million fields; one allocation of at most 60 bytes
 * per byte of text and 1 kB. `name` is the file's, for errors ("'deploy.prototxt', line 12: ...");
 * it is copied. */
enum nn_status nn_prototext_parse(struct nn_prototext **parsed, struct nn_context *context,
                                  const char *text, size_t size, const char *name);
void nn_prototext_free(struct nn_prototext **parsed);
struct nn_prototext_field *nn_prototext_root(struct nn_prototext *parsed); /* a MESSAGE, unnamed */
const char *nn_prototext_name(const struct nn_prototext *parsed);          /* of the file */

/* The first field of this name (after `after`, if that is not NULL), marked as used; NULL: none.
 * `message` may be NULL or not a message: then there is none. */
struct nn_prototext_field *nn_prototext_find(struct nn_prototext_field *message, const char *name,
                                             const struct nn_prototext_field *after);
int nn_prototext_count(const struct nn_prototext_field *message, const char *name);
/* The first field, at any depth, that nobody used and whose parents were used; NULL: none. */
struct nn_prototext_field *nn_prototext_unused(struct nn_prototext_field *message);
/* Marks a field and all below it. */
void nn_prototext_use_all(struct nn_prototext_field *field);

/* A field's value as a type; false when it is not one (or out of range). NULL fields are not. */
bool nn_prototext_int(int64_t *value, const struct nn_prototext_field *field);
bool nn_prototext_float(double *value, const struct nn_prototext_field *field);
bool nn_prototext_bool(bool *value, const struct nn_prototext_field *field);

#endif
