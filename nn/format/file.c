/*
 * file.c — whole files in and out.
 *
 * A reader must not be made to hang (a fifo in a data folder) or to swallow all memory; a writer
 * must leave either the old file or the new one, whatever happens on the way.
 */
#include "nn/nn.h"
#include "nn/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "cannot open 'x': No such file or directory" */
static enum nn_status fail_errno(struct nn_context *context, const char *verb, const char *path,
                                 int number)
{
    char quoted[NN_QUOTED], reason[128];
    if (strerror_r(number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", number);
    enum nn_status status = number == ENOMEM ? NN_ERROR_MEMORY : NN_ERROR_IO;
    return nn_fail(context, status, "cannot %s %s: %s", verb, nn_quote(quoted, path), reason);
}

/* ---- read ------------------------------------------------------------------------------------ */

/* Reads until `size` bytes are there or the file ends; -1 with errno set on failure. */
static ssize_t read_fully(int file, void *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t chunk = size - done < SSIZE_MAX ? size - done : SSIZE_MAX;
        ssize_t got = read(file, (char *)bytes + done, chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* Opens a regular file and learns its size. O_NONBLOCK: a fifo without a writer must not block;
 * it changes nothing for regular files. */
static enum nn_status open_regular(int *file, size_t *size, struct nn_context *context,
                                   const char *path, size_t limit)
{
    char quoted[NN_QUOTED];
    struct stat info;
    *file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (*file < 0) return fail_errno(context, "open", path, errno);
    if (fstat(*file, &info) != 0) return fail_errno(context, "examine", path, errno);
    if (S_ISDIR(info.st_mode)) return fail_errno(context, "read", path, EISDIR);
    if (!S_ISREG(info.st_mode))
        return nn_fail(context, NN_ERROR_IO, "cannot read %s: it is not a regular file",
                       nn_quote(quoted, path));
    /* The closing NUL and the byte that notices growth must fit as well. */
    if ((uintmax_t)info.st_size > limit || (uintmax_t)info.st_size >= SIZE_MAX / 2)
        return nn_fail(context, NN_ERROR_UNSUPPORTED,
                       "cannot read %s: it has %jd bytes, at most %zu are accepted",
                       nn_quote(quoted, path), (intmax_t)info.st_size, limit);
    *size = (size_t)info.st_size;
    return NN_OK;
}

enum nn_status nn_file_read(struct nn_context *context, const char *path, size_t limit,
                            void **bytes, size_t *size)
{
    char quoted[NN_QUOTED], *buffer = NULL;
    int file = -1;
    size_t expected = 0;
    *bytes = NULL;
    *size = 0;
    enum nn_status status = open_regular(&file, &expected, context, path, limit);
    if (status) goto done;
    buffer = nn_alloc(context, expected + 1, 1);
    if (!buffer) {
        status = NN_ERROR_MEMORY;
        goto done;
    }
    ssize_t got = read_fully(file, buffer, expected + 1);
    if (got < 0) {
        status = fail_errno(context, "read", path, errno);
    } else if ((size_t)got != expected) {
        status =
            nn_fail(context, NN_ERROR_IO,
                    "cannot read %s: it %s while being read (it had %zu bytes at first)",
                    nn_quote(quoted, path), (size_t)got < expected ? "shrank" : "grew", expected);
    } else {
        buffer[expected] = '\0';
        *bytes = buffer;
        *size = expected;
        buffer = NULL;
    }
done:
    nn_free(context, buffer);
    if (file >= 0) close(file);
    return status;
}

/* ---- write ----------------------------------------------------------------------------------- */

/* 0 or errno. A descriptor inherited from the shell may be non-blocking: wait, do not spin. */
static int write_fully(int file, const void *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t chunk = size - done < SSIZE_MAX ? size - done : SSIZE_MAX;
        ssize_t put = write(file, (const char *)bytes + done, chunk);
        if (put > 0) {
            done += (size_t)put;
        } else if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd wait = {.fd = file, .events = POLLOUT};
            (void)poll(&wait, 1, -1);
        } else if (put == 0 || errno != EINTR) {
            return put == 0 ? EIO : errno;
        }
    }
    return 0;
}

/* The descriptor that /dev/stdout, /dev/stderr or /dev/fd/N stand for; -1 for other paths. They
 * may lead to a regular file (`liveness ... > log`) that must be written to, not replaced. */
static int standard_descriptor(const char *path)
{
    static const char numbered[] = "/dev/fd/";
    if (strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
    if (strncmp(path, numbered, sizeof numbered - 1) != 0) return -1;
    const char *digits = path + sizeof numbered - 1;
    size_t count = strspn(digits, "0123456789");
    return count > 0 && count <= 4 && !digits[count] ? (int)strtol(digits, NULL, 10) : -1;
}

/* Follows symbolic links at the end of `path`, so that a link stays and its target is replaced;
 * the target need not exist yet. Writes it to *target, the caller's to free. */
static enum nn_status follow_links(char **target, struct nn_context *context, const char *path)
{
    enum { MAX_LINKS = 40, MAX_LINK = 4096 }; /* Linux' own limits */
    char link[MAX_LINK], *now = nn_strdup(context, path);
    *target = NULL;
    for (int i = 0; now && i < MAX_LINKS; i++) {
        ssize_t size = readlink(now, link, sizeof link - 1);
        if (size < 0) { /* not a link, or nothing there yet */
            *target = now;
            return NN_OK;
        }
        link[size] = '\0';
        const char *slash = strrchr(now, '/');
        size_t folder = slash && link[0] != '/' ? (size_t)(slash - now) + 1 : 0;
        char *next = nn_alloc(context, folder + (size_t)size + 1, 1);
        if (next) {
            memcpy(next, now, folder);
            memcpy(next + folder, link, (size_t)size);
        }
        nn_free(context, now);
        now = next;
    }
    if (!now) return NN_ERROR_MEMORY;
    nn_free(context, now);
    return fail_errno(context, "write", path, ELOOP);
}

/* Creates a file of a new name in the folder of `path`, which must have the folder's prefix of
 * `folder` bytes. The name does not grow with that of the file, which may be as long as names can
 * be. Returns the descriptor, or -1 with errno set. */
static int create_temporary(char *name, size_t room, const char *path, size_t folder, mode_t mode)
{
    enum { ATTEMPTS = 10000 }; /* files that crashed processes of this number left behind */
    for (int i = 0; i < ATTEMPTS; i++) {
        memcpy(name, path, folder);
        snprintf(name + folder, room - folder, ".liveness-%ld-%d.tmp", (long)getpid(), i);
        int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (file >= 0 || errno != EEXIST) return file;
    }
    return -1;
}

/* A rename is on disk once its folder is. Some file systems cannot sync a folder and some folders
 * cannot be opened; the file is whole in any case, so only a real failure counts. 0 or errno. */
static int sync_folder(char *name)
{
    char *slash = strrchr(name, '/');
    if (slash)
        slash[1] = '\0';
    else
        name[0] = '.', name[1] = '\0';
    int file = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return 0;
    int error = fsync(file) != 0 && (errno == EIO || errno == ENOSPC) ? errno : 0;
    close(file);
    return error;
}

/* Creates the temporary file beside draft->target; `old` is the file there now, or NULL. 0 or
 * errno. Renaming would get round the write protection of a file: respect it. Its mode is kept. */
static int begin(struct nn_draft *draft, struct nn_context *context, const struct stat *old)
{
    enum { SUFFIX = 64 };
    const char *slash = strrchr(draft->target, '/');
    size_t folder = slash ? (size_t)(slash - draft->target) + 1 : 0, room = folder + SUFFIX;
    if (old && faccessat(AT_FDCWD, draft->target, W_OK, AT_EACCESS) != 0) return errno;
    draft->temporary = nn_alloc(context, room, 1);
    if (!draft->temporary) return ENOMEM;
    draft->descriptor =
        create_temporary(draft->temporary, room, draft->target, folder, old ? 0600 : 0666);
    if (draft->descriptor < 0) {
        int error = errno;
        nn_free(context, draft->temporary);
        draft->temporary = NULL;
        return error;
    }
    if (old && fchmod(draft->descriptor, old->st_mode & 0777) != 0) return errno;
    return 0;
}

/* Devices, fifos and open descriptors: there is nothing to rename onto. O_NONBLOCK makes a fifo
 * that nobody reads an error and not a wait without end. */
static int open_directly(const char *path)
{
    int inherited = standard_descriptor(path);
    return inherited >= 0 ? fcntl(inherited, F_DUPFD_CLOEXEC, 0)
                          : open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

enum nn_status nn_draft_open(struct nn_draft *draft, struct nn_context *context, const char *path)
{
    struct stat info;
    int error = 0;
    *draft = (struct nn_draft){.descriptor = -1};
    bool exists = stat(path, &info) == 0;
    if (!exists && errno != ENOENT) return fail_errno(context, "write", path, errno);
    if (exists && S_ISDIR(info.st_mode)) return fail_errno(context, "write", path, EISDIR);
    if (standard_descriptor(path) >= 0 || (exists && !S_ISREG(info.st_mode))) {
        draft->descriptor = open_directly(path);
        return draft->descriptor >= 0 ? NN_OK : fail_errno(context, "open", path, errno);
    }
    enum nn_status status = follow_links(&draft->target, context, path);
    if (!status) error = begin(draft, context, exists ? &info : NULL);
    if (error) status = fail_errno(context, "write", path, error);
    if (status) nn_draft_close(draft, context);
    return status;
}

enum nn_status nn_draft_publish(struct nn_draft *draft, struct nn_context *context)
{
    if (!draft->temporary) return NN_OK;
    if (rename(draft->temporary, draft->target) != 0)
        return fail_errno(context, "write", draft->target, errno);
    nn_free(context, draft->temporary);
    draft->temporary = NULL;
    return NN_OK;
}

enum nn_status nn_draft_sync(struct nn_draft *draft, struct nn_context *context)
{
    if (!draft->target || fsync(draft->descriptor) == 0) return NN_OK;
    return fail_errno(context, "write", draft->target, errno);
}

void nn_draft_close(struct nn_draft *draft, struct nn_context *context)
{
    if (draft->descriptor >= 0) close(draft->descriptor);
    if (draft->temporary) unlink(draft->temporary);
    nn_free(context, draft->temporary);
    nn_free(context, draft->target);
    *draft = (struct nn_draft){.descriptor = -1};
}

enum nn_status nn_file_write(struct nn_context *context, const char *path, const void *bytes,
                             size_t size)
{
    struct nn_draft draft;
    enum nn_status status = nn_draft_open(&draft, context, path);
    if (status) return status;
    int error = write_fully(draft.descriptor, bytes, size);
    if (error) status = fail_errno(context, "write", path, error);
    if (!status) status = nn_draft_sync(&draft, context);
    if (!status) status = nn_draft_publish(&draft, context);
    if (!status && draft.target) error = sync_folder(draft.target);
    if (!status && error) status = fail_errno(context, "write", path, error);
    nn_draft_close(&draft, context);
    return status;
}
