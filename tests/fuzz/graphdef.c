/*
 * graphdef.c — libFuzzer harness of the TensorFlow importer: the text, a NUL byte, the binary file.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/graphdef.c libnn.a
 */
#include "nn/format/tensorflow.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Copies of exactly the right size, so that a byte too many is seen. */
static struct nn_tf_file copy_of(const uint8_t *bytes, size_t size, const char *name)
{
    struct nn_tf_file file = {.bytes = malloc(size + !size), .size = size, .name = name};
    if (size) memcpy(file.bytes, bytes, size);
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nn_context *context;
    struct nn_graph *graph;
    const uint8_t *end = size ? memchr(bytes, '\0', size) : NULL;
    size_t text_size = end ? (size_t)(end - bytes) : size, rest = end ? text_size + 1 : size;
    struct nn_tf_file text = copy_of(bytes, text_size, "text");
    struct nn_tf_file binary = copy_of(bytes + rest, size - rest, "binary");
    if (nn_open(&context, &(struct nn_options){.threads = 1})) abort();
    size_t before = nn_bytes_allocated(context);
    enum nn_status status = nn_tf_import(&graph, context, &text, &binary);
    if (!status != !!graph) abort();
    if (nn_bytes_peak(context) - before > 70 * text.size + 5 * binary.size + (64u << 20)) abort();
    nn_graph_free(&graph);
    if (nn_bytes_allocated(context) != before) abort();
    nn_close(&context);
    free(text.bytes);
    free(binary.bytes);
    return 0;
}
