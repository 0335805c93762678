/*
 * process.c — another program, started without a shell (posix_spawn), with its ends in our hands.
 *
 * The ends are pairs of sockets, not pipes: a socket can be made close-on-exec in the same call, so
 * that no thread that starts a program at that moment hands it on, and be written to without
 * SIGPIPE.
 */
#include "vision/capture/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0 /* set a moment later */
#endif

enum nn_status vi_process_find(char **path, struct nn_context *context, const char *program)
{
    const char *folders = getenv("PATH");
    char candidate[4096];
    struct stat info;
    *path = NULL;
    if (!folders) folders = "/usr/local/bin:/usr/bin:/bin";
    while (*folders) {
        size_t length = strcspn(folders, ":");
        int size = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, folders, program);
        if (folders[0] == '/' && size > 0 && (size_t)size < sizeof candidate &&
            stat(candidate, &info) == 0 && S_ISREG(info.st_mode) && access(candidate, X_OK) == 0) {
            *path = nn_strdup(context, candidate);
            return *path ? NN_OK : NN_ERROR_MEMORY;
        }
        folders += length + (folders[length] == ':');
    }
    return NN_OK;
}

void vi_process_close_end(int *descriptor)
{
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
}

size_t vi_process_read(int *end, void *to, size_t size)
{
    ssize_t got;
    do got = read(*end, to, size);
    while (got < 0 && errno == EINTR);
    if (got <= 0) vi_process_close_end(end);
    return got > 0 ? (size_t)got : 0;
}

/* The other end is moved out of the way of 0 .. 3, which the program gets: where this program runs
 * with those closed, sockets would be made there. */
static bool make_pair(int *ours, int *theirs)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return false;
    *ours = fcntl(pair[0], F_DUPFD_CLOEXEC, 10);
    *theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
    int number = errno;
    close(pair[0]);
    close(pair[1]);
    errno = number;
    return *ours >= 0 && *theirs >= 0;
}

/* Default signals, none blocked, a process group of its own. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    int number = posix_spawnattr_setsigmask(attributes, &none);
    if (!number) number = posix_spawnattr_setsigdefault(attributes, &all);
    if (!number) number = posix_spawnattr_setpgroup(attributes, 0);
    if (!number)
        number = posix_spawnattr_setflags(
            attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    return number;
}

static int set_ends(posix_spawn_file_actions_t *actions, enum vi_process_input input,
                    const int theirs[4])
{
    int number = 0;
    if (input == VI_INPUT_EMPTY)
        number = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    if (input == VI_INPUT_FED) number = posix_spawn_file_actions_adddup2(actions, theirs[0], 0);
    for (int i = 1; i < 4 && !number; i++)
        number = posix_spawn_file_actions_adddup2(actions, theirs[i], i);
    return number;
}

static int spawn(struct vi_process *process, char *const *argv, enum vi_process_input input,
                 const int theirs[4])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int number = posix_spawn_file_actions_init(&actions);
    if (number) return number;
    number = posix_spawnattr_init(&attributes);
    if (!number) {
        number = set_attributes(&attributes);
        if (!number) number = set_ends(&actions, input, theirs);
        if (!number)
            number = posix_spawn(&process->id, argv[0], &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return number;
}

enum nn_status vi_process_start(struct vi_process *process, struct nn_context *context,
                                char *const *argv, enum vi_process_input input)
{
    int theirs[4] = {-1, -1, -1, -1}, number = 0;
    char quoted[NN_QUOTED], reason[128];
    *process = (struct vi_process){.in = -1, .out = {-1, -1, -1}};
    bool made = input != VI_INPUT_FED || make_pair(&process->in, &theirs[0]);
    for (int i = 0; i < 3 && made; i++) made = make_pair(&process->out[i], &theirs[i + 1]);
    number = made ? spawn(process, argv, input, theirs) : errno;
    for (int i = 0; i < 4; i++) vi_process_close_end(&theirs[i]);
    if (number == 0) return NN_OK;
    process->id = 0;
    vi_process_kill(process);
    if (strerror_r(number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", number);
    return nn_fail(context, number == ENOMEM ? NN_ERROR_MEMORY : NN_ERROR_IO, "cannot start %s: %s",
                   nn_quote(quoted, argv[0]), reason);
}

/* Waits for it, or (WNOHANG) looks; false: it runs on. */
static bool reap(struct vi_process *process, int options, int *code)
{
    int status = 0;
    pid_t id;
    do id = waitpid(process->id, &status, options);
    while (id < 0 && errno == EINTR);
    if (id == 0) return false;
    /* Where this program ignores SIGCHLD, the system keeps no exit codes. */
    *code = id < 0 ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    process->id = 0;
    return true;
}

bool vi_process_ended(struct vi_process *process, int *code)
{
    return process->id <= 0 || reap(process, WNOHANG, code);
}

void vi_process_kill(struct vi_process *process)
{
    int code;
    if (process->id > 0) {
        kill(-process->id, SIGKILL);
        kill(process->id, SIGKILL);
        reap(process, 0, &code);
    }
    vi_process_close_end(&process->in);
    for (int i = 0; i < 3; i++) vi_process_close_end(&process->out[i]);
}

void vi_process_tidy(char *to, const char *from)
{
    while (*from) {
        size_t size = nn_utf8_size(from, strlen(from));
        if (strncmp(from, " @ 0x", 5) == 0) {
            from += 5 + strspn(from + 5, "0123456789abcdef");
        } else if (*from == '\n' || *from == '\r') {
            from += strspn(from, "\r\n");
            if (*from) *to++ = ';', *to++ = ' ';
        } else if ((unsigned char)*from < ' ' || *from == 127 || size == 0) {
            *to++ = '?';
            from++;
        } else {
            while (size--) *to++ = *from++;
        }
    }
    *to = '\0';
}
