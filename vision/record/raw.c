/*
 * raw.c — pictures as they come, RGB RGB ..., with nothing in between: for other programs' pipes.
 */
#include "vision/record/record.h"

static enum nn_status write_picture(struct vi_recorder *recorder, const struct vi_image *image,
                                    double seconds)
{
    size_t row = 3 * (size_t)image->width, rows = (size_t)image->height;
    enum nn_status status = NN_OK;
    (void)seconds;
    if (image->stride == (ptrdiff_t)row) row *= rows, rows = 1;
    for (size_t y = 0; y < rows && !status; y++)
        status =
            vi_output_put(&recorder->output, image->pixels + (ptrdiff_t)y * image->stride, row);
    return status ? status : vi_output_commit(&recorder->output);
}

const struct vi_recorder_kind vi_recorder_raw = {
    .format = "raw", .codec = "", .write = write_picture};
