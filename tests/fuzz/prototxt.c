/*
 * prototxt.c — libFuzzer harness of protobuf's text format, and of the Caffe importer as far as it
 * works without weights.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/prototxt.c libnn.a
 */
#include "nn/format/caffe.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Every field must be found by its name, and its values be readable. */
static void walk(struct nn_prototext_field *message)
{
    for (struct nn_prototext_field *field = message->first; field; field = field->next) {
        int64_t whole;
        double number;
        bool truth;
        if (!nn_prototext_count(message, field->name)) abort();
        if (field->kind != NN_PROTOTEXT_MESSAGE && field->text[field->size]) abort();
        nn_prototext_int(&whole, field);
        nn_prototext_float(&number, field);
        nn_prototext_bool(&truth, field);
        if (field->kind == NN_PROTOTEXT_MESSAGE) walk(field);
    }
}

/* The structure of the network; parameters get no values. */
static void build(struct nn_context *context, struct nn_prototext *text)
{
    struct nn_caffe_net net = {.context = context, .text = text};
    net.graph = nn_graph_new(context);
    nn_caffe_net_build(&net);
    nn_free(context, net.tops);
    nn_free(context, net.fills);
    nn_graph_free(&net.graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nn_context *context;
    struct nn_prototext *text;
    if (nn_open(&context, &(struct nn_options){.threads = 1})) abort();
    size_t before = nn_bytes_allocated(context);
    enum nn_status status = nn_prototext_parse(&text, context, (const char *)bytes, size, "fuzz");
    if (!status != !!text) abort();
    if (nn_bytes_peak(context) - before > 60 * size + 1024) abort();
    if (text && size < 20000) walk(nn_prototext_root(text)); /* looking up takes the square */
    if (text) build(context, text);
    nn_prototext_free(&text);
    if (nn_bytes_allocated(context) != before) abort();
    nn_close(&context);
    return 0;
}
