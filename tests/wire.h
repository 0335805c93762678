/*
 * wire.h — for tests of readers: protobuf messages made by hand, and an allocator that fails.
 */
#ifndef TESTS_WIRE_H
#define TESTS_WIRE_H

#include "nn/nn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a message being written ----------------------------------------------------------------- */

struct wire {
    size_t size;
    uint8_t bytes[1 << 16];
};

static inline void wire_bytes(struct wire *wire, const void *bytes, size_t size)
{
    if (size > sizeof wire->bytes - wire->size) abort();
    if (size) memcpy(wire->bytes + wire->size, bytes, size);
    wire->size += size;
}

static inline void wire_varint(struct wire *wire, uint64_t value)
{
    for (; value > 127; value >>= 7) wire_bytes(wire, &(uint8_t){(uint8_t)(value | 128)}, 1);
    wire_bytes(wire, &(uint8_t){(uint8_t)value}, 1);
}

static inline void wire_key(struct wire *wire, uint32_t number, uint32_t type)
{
    wire_varint(wire, (uint64_t)number << 3 | type);
}

static inline void wire_int(struct wire *wire, uint32_t number, int64_t value)
{
    wire_key(wire, number, 0);
    wire_varint(wire, (uint64_t)value);
}

static inline void wire_data(struct wire *wire, uint32_t number, const void *bytes, size_t size)
{
    wire_key(wire, number, 2);
    wire_varint(wire, size);
    wire_bytes(wire, bytes, size);
}

static inline void wire_text(struct wire *wire, uint32_t number, const char *text)
{
    wire_data(wire, number, text, strlen(text));
}

static inline void wire_message(struct wire *wire, uint32_t number, const struct wire *message)
{
    wire_data(wire, number, message->bytes, message->size);
}

/* The bytes of a number, lowest first. */
static inline void wire_little_endian(struct wire *wire, uint64_t value, int size)
{
    for (int i = 0; i < size; i++, value >>= 8) wire_bytes(wire, &(uint8_t){(uint8_t)value}, 1);
}

static inline void wire_float(struct wire *wire, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    wire_little_endian(wire, bits, 4);
}

static inline void wire_double(struct wire *wire, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    wire_little_endian(wire, bits, 8);
}

/* ---- allocations that fail ------------------------------------------------------------------- */

struct failing {
    int countdown; /* the allocation that fails; negative: none */
    int held;      /* handed out and not given back */
};

static void *failing_allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (failing->countdown >= 0 && failing->countdown-- == 0) return NULL;
    if (posix_memalign(&memory, 64, bytes)) return NULL;
    failing->held++;
    return memory;
}

static void failing_release(void *user, void *memory, size_t bytes)
{
    struct failing *failing = user;
    (void)bytes;
    failing->held--;
    free(memory);
}

/* Runs `action` with its first allocation failing, then its second ... until it succeeds. Each
 * failure must be told as one of memory, and nothing may be left. Returns how many there were; -1:
 * one went wrong. */
static inline int failing_each(enum nn_status (*action)(struct nn_context *context, void *argument),
                               void *argument)
{
    struct failing failing = {.countdown = -1};
    struct nn_allocator allocator = {failing_allocate, failing_release, &failing};
    struct nn_context *context = NULL;
    int failures = 0;
    if (nn_open(&context, &(struct nn_options){.threads = 1, .allocator = &allocator})) return -1;
    int before = failing.held;
    for (;; failures++) {
        failing.countdown = failures;
        enum nn_status status = action(context, argument);
        bool clean = failing.held == before;
        if (!status && clean) break;
        if (status == NN_ERROR_MEMORY && clean) continue;
        printf("# allocation %d: status %d, %d held: %s\n", failures, (int)status,
               failing.held - before, nn_error(context));
        failures = -1;
        break;
    }
    failing.countdown = -1;
    nn_close(&context);
    return failing.held == 0 ? failures : -1;
}

#endif
