/*
 * protowire.h — protobuf's wire format (what .caffemodel and .pb files are), field by field.
 *
 * A message is a sequence of (number, type, value); strings, bytes and embedded messages are ranges
 * of the same bytes, so nothing is copied and nothing allocated. Every read is checked against the
 * end of its message. Source: protobuf.dev, "Encoding".
 */
#ifndef NN_FORMAT_PROTOWIRE_H
#define NN_FORMAT_PROTOWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nn_protowire_type {
    NN_PROTOWIRE_VARINT = 0,
    NN_PROTOWIRE_FIXED64 = 1,
    NN_PROTOWIRE_BYTES = 2,
    NN_PROTOWIRE_FIXED32 = 5
};

struct nn_protowire { /* a message being read */
    const uint8_t *at, *end;
    bool damaged; /* sticks */
};
struct nn_protowire_field {
    uint32_t number;
    enum nn_protowire_type type;
    uint64_t value;       /* VARINT, FIXED64, FIXED32 */
    const uint8_t *bytes; /* of the value: BYTES without their size before them */
    size_t size;
};

struct nn_protowire nn_protowire_open(const void *bytes, size_t size);
/* The next field; false at the end of the message, and when it is damaged. Groups (wire types 3
 * and 4), which nobody writes any more, count as damage. */
bool nn_protowire_next(struct nn_protowire *message, struct nn_protowire_field *field);
/* The message (or packed numbers) in a field of BYTES; of another type it counts as damaged. After
 * damage, `at` is the field that could not be read. */
struct nn_protowire nn_protowire_enter(const struct nn_protowire_field *field);
/* The next number of a packed field; the field's message is a run of varints. */
bool nn_protowire_varint(struct nn_protowire *packed, uint64_t *value);
float nn_protowire_float(const uint8_t bytes[4]); /* little endian */
double nn_protowire_double(const uint8_t bytes[8]);

#endif
