/*
 * protowire.c — protobuf's wire format, field by field.
 *
 *     message = { key value }     key = varint(number << 3 | type)
 *     varint  = 7 bits per byte, lowest first, the top bit says that more follow; 64 bits at most
 */
#include "nn/format/protowire.h"

#include <string.h>

struct nn_protowire nn_protowire_open(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    return (struct nn_protowire){.at = at, .end = at ? at + size : at};
}

static bool damage(struct nn_protowire *message)
{
    message->damaged = true;
    return false;
}

/* Leaves `at` where it was when the number is damaged: then it is what a reader can name. */
static bool read_varint(struct nn_protowire *message, uint64_t *value)
{
    const uint8_t *at = message->at;
    *value = 0;
    for (int shift = 0; shift < 64 && at < message->end; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1) break; /* beyond 64 bits */
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte & 0x80) continue;
        message->at = at;
        return true;
    }
    return damage(message);
}

/* The little-endian number of `size` bytes. */
static uint64_t read_fixed(const uint8_t *bytes, int size)
{
    uint64_t value = 0;
    for (int i = size - 1; i >= 0; i--) value = value << 8 | bytes[i];
    return value;
}

static bool read_value(struct nn_protowire *message, struct nn_protowire_field *field)
{
    uint64_t size = 0;
    field->bytes = message->at;
    if (field->type == NN_PROTOWIRE_VARINT) {
        if (!read_varint(message, &field->value)) return false;
        field->size = (size_t)(message->at - field->bytes);
        return true;
    }
    if (field->type == NN_PROTOWIRE_FIXED64) {
        size = 8;
    } else if (field->type == NN_PROTOWIRE_FIXED32) {
        size = 4;
    } else if (field->type == NN_PROTOWIRE_BYTES) {
        if (!read_varint(message, &size)) return false;
    } else {
        return damage(message);
    }
    if (size > (size_t)(message->end - message->at)) return damage(message);
    field->bytes = message->at;
    field->size = (size_t)size;
    if (field->type != NN_PROTOWIRE_BYTES) field->value = read_fixed(field->bytes, (int)size);
    message->at += size;
    return true;
}

bool nn_protowire_next(struct nn_protowire *message, struct nn_protowire_field *field)
{
    const uint8_t *start = message->at;
    uint64_t key;
    if (message->damaged || start >= message->end || !read_varint(message, &key)) return false;
    *field = (struct nn_protowire_field){.number = (uint32_t)(key >> 3),
                                         .type = (enum nn_protowire_type)(key & 7)};
    /* Numbers are 1 to 2^29 - 1. */
    if (key < 8 || key > UINT32_MAX) damage(message);
    if (!message->damaged && read_value(message, field)) return true;
    message->at = start;
    return false;
}

struct nn_protowire nn_protowire_enter(const struct nn_protowire_field *field)
{
    struct nn_protowire message = nn_protowire_open(field->bytes, field->size);
    message.damaged = field->type != NN_PROTOWIRE_BYTES;
    return message;
}

bool nn_protowire_varint(struct nn_protowire *packed, uint64_t *value)
{
    return !packed->damaged && packed->at < packed->end && read_varint(packed, value);
}

float nn_protowire_float(const uint8_t bytes[4])
{
    uint32_t bits = (uint32_t)read_fixed(bytes, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double nn_protowire_double(const uint8_t bytes[8])
{
    uint64_t bits = read_fixed(bytes, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
