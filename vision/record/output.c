/*
 * output.c — bytes of a recording to a file, a pipe or standard output.
 *
 * Nothing is kept back in memory: what a kind has put is in the system's hands, where the program's
 * death does not reach it.
 */
#include "vision/record/record.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum nn_status vi_output_fail(const struct vi_output *output, int number)
{
    char quoted[NN_QUOTED], reason[128];
    if (strerror_r(number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", number);
    nn_quote(quoted, output->path);
    return nn_fail(output->context, number == ENOMEM ? NN_ERROR_MEMORY : NN_ERROR_IO,
                   "cannot write %s: %s%s", strcmp(output->path, "-") ? quoted : "standard output",
                   reason,
                   number == EPIPE        ? " (whoever read it has gone)"
                   : !output->committed   ? ""
                   : output->draft.target ? "; what was recorded before can be played"
                                          : "");
}

enum nn_status vi_output_open(struct vi_output *output, struct nn_context *context,
                              const char *path)
{
    struct stat info;
    *output = (struct vi_output){.context = context, .path = path};
    enum nn_status status =
        nn_draft_open(&output->draft, context, strcmp(path, "-") == 0 ? "/dev/stdout" : path);
    if (status) return status;
    /* Standard output that is a file may have been written to, or be open for appending. */
    output->seekable = output->draft.target && fstat(output->draft.descriptor, &info) == 0 &&
                       S_ISREG(info.st_mode);
    return NN_OK;
}

/* offset UINT64_MAX: where the last one ended. A descriptor from elsewhere may be non-blocking. */
static enum nn_status write_all(struct vi_output *output, uint64_t offset, const uint8_t *bytes,
                                size_t size)
{
    int file = output->draft.descriptor;
    for (size_t done = 0; done < size;) {
        ssize_t put = offset == UINT64_MAX
                          ? write(file, bytes + done, size - done)
                          : pwrite(file, bytes + done, size - done, (off_t)(offset + done));
        if (put > 0) {
            done += (size_t)put;
        } else if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd wait = {.fd = file, .events = POLLOUT};
            (void)poll(&wait, 1, -1);
        } else if (put == 0 || errno != EINTR) {
            return vi_output_fail(output, put == 0 ? EIO : errno);
        }
    }
    return NN_OK;
}

enum nn_status vi_output_put(struct vi_output *output, const void *bytes, size_t size)
{
    enum nn_status status =
        write_all(output, output->seekable ? output->size : UINT64_MAX, bytes, size);
    if (!status) output->size += size;
    return status;
}

enum nn_status vi_output_put_behind(struct vi_output *output, const void *head, size_t head_size,
                                    const void *bytes, size_t size)
{
    enum nn_status status;
    if (!output->seekable) {
        status = vi_output_put(output, head, head_size);
        return status ? status : vi_output_put(output, bytes, size);
    }
    status = write_all(output, output->size + head_size, bytes, size);
    if (!status) status = write_all(output, output->size, head, head_size);
    if (!status) output->size += head_size + size;
    return status;
}

enum nn_status vi_output_patch(struct vi_output *output, uint64_t offset, const void *bytes,
                               size_t size)
{
    return write_all(output, offset, bytes, size);
}

enum nn_status vi_output_commit(struct vi_output *output)
{
    enum nn_status status = nn_draft_publish(&output->draft, output->context);
    if (!status) output->committed = output->size;
    return status;
}

enum nn_status vi_output_close(struct vi_output *output)
{
    enum nn_status status = NN_OK;
    if (output->seekable && output->committed) {
        /* On a full disk, making it shorter works. */
        if (ftruncate(output->draft.descriptor, (off_t)output->committed) != 0)
            status = vi_output_fail(output, errno);
        if (!status) status = nn_draft_sync(&output->draft, output->context);
    }
    nn_draft_close(&output->draft, output->context);
    return status;
}
