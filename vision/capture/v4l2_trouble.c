/*
 * v4l2_trouble.c — why a camera cannot be used, in plain words: who holds it, which group may open
 * it, what there is instead.
 */
#include "vision/capture/v4l2.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first bytes of a text file; false: it cannot be read. */
static bool read_text(char *text, size_t size, const struct vi_camera_system *system,
                      const char *path)
{
    size_t filled = 0;
    int file = system->open(system->user, path, O_RDONLY);
    if (file < 0) return false;
    while (filled < size - 1) {
        ssize_t got = system->read(system->user, file, text + filled, size - 1 - filled);
        if (got <= 0 || (size_t)got > size - 1 - filled) break;
        filled += (size_t)got;
    }
    text[filled] = '\0';
    system->close(system->user, file);
    return filled > 0;
}

/* ---- who holds it ---------------------------------------------------------------------------- */

struct search {
    const struct vi_camera_system *system;
    char node[64];   /* what the descriptor is a link to */
    char folder[64]; /* "/proc/123/fd" */
    long process;    /* being looked at */
    long holder;     /* 0: not found */
};

static void look_at_descriptor(void *argument, const char *name)
{
    struct search *search = argument;
    char path[400], target[64];
    snprintf(path, sizeof path, "%s/%s", search->folder, name);
    ssize_t size = search->system->readlink(search->system->user, path, target, sizeof target);
    if (size > 0 && (size_t)size == strlen(search->node) &&
        memcmp(target, search->node, (size_t)size) == 0)
        search->holder = search->process;
}

static void look_at_process(void *argument, const char *name)
{
    struct search *search = argument;
    search->process = strtol(name, NULL, 10);
    if (search->holder || search->process <= 0) return;
    snprintf(search->folder, sizeof search->folder, "/proc/%ld/fd", search->process);
    /* Other users' descriptors cannot be seen. */
    search->system->list(search->system->user, search->folder, look_at_descriptor, search);
}

/* "/dev/v4l/by-id/..." is a link "../../video0". */
static void resolve(char node[64], const struct vi_camera_system *system, const char *path)
{
    char target[VI_CAMERA_PATH];
    ssize_t size = system->readlink(system->user, path, target, sizeof target - 1);
    target[size > 0 && (size_t)size < sizeof target ? size : 0] = '\0';
    const char *name = strrchr(target, '/');
    snprintf(node, 64, "%.*s%.50s", *target ? 5 : 0, "/dev/",
             *target ? (name ? name + 1 : target) : path);
}

static void explain_busy(char text[VI_TROUBLE], const struct vi_camera_system *system,
                         const char *path)
{
    struct search search = {.system = system};
    char name[64], file[64], quoted[NN_QUOTED];
    resolve(search.node, system, path);
    system->list(system->user, "/proc", look_at_process, &search);
    if (!search.holder) {
        snprintf(text, VI_TROUBLE,
                 "in use by a program that cannot be seen from here; `sudo fuser -v %.50s` tells",
                 search.node);
        return;
    }
    snprintf(file, sizeof file, "/proc/%ld/comm", search.holder);
    if (!read_text(name, sizeof name, system, file)) snprintf(name, sizeof name, "a program");
    name[strcspn(name, "\n")] = '\0';
    snprintf(text, VI_TROUBLE, "in use by %.100s (process %ld)", nn_quote(quoted, name),
             search.holder);
}

/* ---- who may open it ------------------------------------------------------------------------- */

/* "video:x:44:ann,bob"; false: the group is not in the file. */
static bool group_name(char name[64], const struct vi_camera_system *system, unsigned long group)
{
    char text[16384], *rest = NULL;
    if (!read_text(text, sizeof text, system, "/etc/group")) return false;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *password = strchr(line, ':'), *number = password ? strchr(password + 1, ':') : NULL;
        char *end = NULL;
        if (!number || strtoul(number + 1, &end, 10) != group || end == number + 1 || *end != ':')
            continue;
        *password = '\0';
        snprintf(name, 64, "%s", line);
        return true;
    }
    return false;
}

static void explain_permission(char text[VI_TROUBLE], const struct vi_camera_system *system,
                               const char *path)
{
    struct stat info;
    char name[64], quoted[NN_QUOTED];
    if (system->stat(system->user, path, &info) != 0 || !(info.st_mode & S_IRGRP)) {
        snprintf(text, VI_TROUBLE, "permission denied: only its owner may use it");
        return;
    }
    if (!group_name(name, system, (unsigned long)info.st_gid))
        snprintf(name, sizeof name, "%lu", (unsigned long)info.st_gid);
    nn_quote(quoted, name);
    snprintf(text, VI_TROUBLE,
             "permission denied: group %.70s may use it; join with "
             "`sudo usermod -aG %.70s \"$USER\"` and log in again",
             quoted, quoted);
}

char *vi_camera_explain(char text[VI_TROUBLE], const struct vi_camera_system *system,
                        const char *path, int error)
{
    char reason[100];
    switch (error) {
    case EBUSY:
        explain_busy(text, system, path);
        break;
    case EACCES:
        explain_permission(text, system, path);
        break;
    case EPERM:
        snprintf(text, VI_TROUBLE,
                 "the system keeps it from this process (a container has to be given the device)");
        break;
    case ENOENT:
    case ENODEV:
    case ENXIO:
        snprintf(text, VI_TROUBLE, "there is no such camera, or it was unplugged");
        break;
    case ENOSPC:
        snprintf(text, VI_TROUBLE,
                 "the USB bus has no room left for its pictures: ask for smaller or fewer ones, or "
                 "plug it into another port");
        break;
    case ENOTTY:
        snprintf(text, VI_TROUBLE, "not a video device");
        break;
    default:
        if (strerror_r(error, reason, sizeof reason) != 0)
            snprintf(reason, sizeof reason, "error %d", error);
        snprintf(text, VI_TROUBLE, "the camera does not answer: %s", reason);
    }
    return text;
}
