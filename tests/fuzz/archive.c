/*
 * archive.c — libFuzzer harness of the .safetensors reader. What it accepts, it must be able to
 * write, and read back as the same file.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/archive.c libnn.a
 */
#include "nn/nn.h"
#include "nn/format/archive.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* One pass through memory: archive -> file -> archive -> file. */
static void round_trip(struct nn_context *context, struct nn_archive *archive)
{
    struct nn_archive *back;
    unsigned char *file, *again;
    size_t size, size_again;
    if (nn_archive_serialize(archive, &file, &size)) abort();
    if (nn_archive_parse(&back, context, file, size, "fuzz")) abort();
    if (nn_archive_serialize(back, &again, &size_again)) abort();
    if (size != size_again || memcmp(file, again, size) != 0) abort();
    nn_free(context, file);
    nn_free(context, again);
    nn_archive_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nn_context *context;
    struct nn_archive *archive;
    if (nn_open(&context, &(struct nn_options){.threads = 1})) abort();
    size_t before = nn_bytes_allocated(context);
    enum nn_status status = nn_archive_parse(&archive, context, bytes, size, "fuzz");
    if (!status != !!archive) abort();
    if (archive) round_trip(context, archive);
    nn_archive_free(&archive);
    if (nn_bytes_allocated(context) != before) abort();
    nn_close(&context);
    return 0;
}
