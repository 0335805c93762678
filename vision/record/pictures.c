/*
 * pictures.c — each picture a file of its own, numbered from 1; each is written whole or not at
 * all.
 */
#include "vision/record/record.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_DIGITS = 18 };

struct pictures {
    size_t before, after; /* of the name: up to the number, from behind it */
    int digits;           /* at least so many */
    bool jpeg;
    struct nn_text name;
};

/* Exactly one %d or %0Nd, in the name of the file; nothing that printf would take for more. */
static bool parse(struct pictures *pictures, const char *path)
{
    const char *percent = strchr(path, '%'), *slash = strrchr(path, '/');
    if (!percent || (slash && percent < slash) || strchr(percent + 1, '%')) return false;
    pictures->before = (size_t)(percent - path);
    const char *at = percent + 1;
    if (*at == '0') {
        for (at++; *at >= '0' && *at <= '9' && pictures->digits <= MAX_DIGITS; at++)
            pictures->digits = 10 * pictures->digits + (*at - '0');
        if (pictures->digits < 1 || pictures->digits > MAX_DIGITS) return false;
    }
    pictures->after = (size_t)(at + 1 - path);
    return *at == 'd';
}

static enum nn_status start(struct vi_recorder *recorder)
{
    char quoted[NN_QUOTED];
    struct pictures *pictures = nn_alloc(recorder->context, 1, sizeof *pictures);
    recorder->state = pictures;
    if (!pictures) return NN_ERROR_MEMORY;
    pictures->name.context = recorder->context;
    if (!vi_can_write(recorder->path) || !parse(pictures, recorder->path))
        return nn_fail(recorder->context, NN_ERROR_ARGUMENT,
                       "cannot number pictures as %s: expected a name with one %%d or %%06d in it "
                       "that ends in .jpg, .jpeg or .png",
                       nn_quote(quoted, recorder->path));
    pictures->jpeg = strcasecmp(strrchr(recorder->path, '.'), ".png") != 0;
    return NN_OK;
}

static enum nn_status write_picture(struct vi_recorder *recorder, const struct vi_image *image,
                                    double seconds)
{
    struct pictures *pictures = recorder->state;
    struct nn_text *name = &pictures->name;
    struct vi_output output;
    void *png = NULL;
    size_t size = 0;
    (void)seconds;
    name->size = 0;
    nn_text_append(name, recorder->path, pictures->before);
    nn_text_printf(name, "%0*lld%s", pictures->digits, (long long)recorder->frames + 1,
                   recorder->path + pictures->after);
    if (name->failed) return NN_ERROR_MEMORY;
    enum nn_status status = pictures->jpeg
                                ? vi_jpeg_encode(&recorder->jpeg, image, recorder->quality)
                                : vi_encode(&png, &size, image, recorder->context, "png", 0);
    if (pictures->jpeg) size = recorder->jpeg.size;
    if (!status) status = vi_output_open(&output, recorder->context, name->data);
    if (status) goto done;
    status = vi_output_put(&output, pictures->jpeg ? recorder->jpeg.bytes : png, size);
    if (!status) status = vi_output_commit(&output);
    if (!status) recorder->output.size += size;
    /* Not synced: a picture may be lost with the machine, but time is not lost for each. */
    nn_draft_close(&output.draft, recorder->context);
done:
    nn_free(recorder->context, png);
    return status;
}

static void release(struct vi_recorder *recorder)
{
    struct pictures *pictures = recorder->state;
    if (pictures) nn_text_free(&pictures->name);
    nn_free(recorder->context, pictures);
}

const struct vi_recorder_kind vi_recorder_pictures = {.format = "pictures",
                                                      .codec = "",
                                                      .many_files = true,
                                                      .start = start,
                                                      .write = write_picture,
                                                      .release = release};
