/* v4l2_system.c — the system calls by which cameras are reached. */
#include "vision/capture/v4l2.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int system_open(void *user, const char *path, int flags)
{
    (void)user;
    return open(path, flags | O_CLOEXEC | O_NOCTTY);
}

static int system_close(void *user, int file)
{
    (void)user;
    return close(file);
}

static int system_ioctl(void *user, int file, unsigned long request, void *argument)
{
    (void)user;
    return ioctl(file, request, argument);
}

static void *system_map(void *user, int file, size_t size, uint64_t offset)
{
    (void)user;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)offset);
    return memory == MAP_FAILED ? NULL : memory;
}

static void system_unmap(void *user, void *memory, size_t size)
{
    (void)user;
    munmap(memory, size);
}

static int system_poll(void *user, int file, int milliseconds)
{
    (void)user;
    struct pollfd one = {.fd = file, .events = POLLIN};
    int count = poll(&one, 1, milliseconds);
    return count > 0 ? one.revents : count;
}

static ssize_t system_read(void *user, int file, void *to, size_t size)
{
    (void)user;
    return read(file, to, size);
}

static int system_stat(void *user, const char *path, struct stat *info)
{
    (void)user;
    return stat(path, info);
}

static ssize_t system_readlink(void *user, const char *path, char *to, size_t size)
{
    (void)user;
    return readlink(path, to, size);
}

static int system_list(void *user, const char *folder,
                       void (*each)(void *argument, const char *name), void *argument)
{
    (void)user;
    DIR *stream = opendir(folder);
    if (!stream) return -1;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;)
        each(argument, entry->d_name);
    return closedir(stream);
}

static double system_clock(void *user)
{
    (void)user;
    return vi_clock();
}

const struct vi_camera_system vi_camera_linux = {
    .open = system_open,
    .close = system_close,
    .ioctl = system_ioctl,
    .map = system_map,
    .unmap = system_unmap,
    .poll = system_poll,
    .read = system_read,
    .stat = system_stat,
    .readlink = system_readlink,
    .list = system_list,
    .clock = system_clock,
};
