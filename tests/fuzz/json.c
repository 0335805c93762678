/*
 * json.c — libFuzzer harness of the JSON reader. What it accepts, it must be able to walk.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/json.c libnn.a
 */
#include "nn/nn.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Every member must be found by its key, and be the one at its index. */
static void walk(const struct nn_json *value)
{
    for (int i = 0; i < nn_json_count(value); i++) {
        const struct nn_json *child = nn_json_at(value, i);
        const char *key = nn_json_key(value, i);
        if (!child || (key && nn_json_get(value, key) != child)) abort();
        walk(child);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nn_context *context;
    struct nn_json *root;
    if (nn_open(&context, &(struct nn_options){.threads = 1})) abort();
    size_t before = nn_bytes_allocated(context);
    enum nn_status status = nn_json_parse(&root, context, (const char *)bytes, size, "fuzz");
    if (!status != !!root) abort();
    walk(root);
    nn_json_free(&root);
    if (nn_bytes_allocated(context) != before) abort();
    nn_close(&context);
    return 0;
}
