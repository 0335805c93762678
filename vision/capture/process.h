/*
 * process.h — another program, started without a shell, with its ends in our hands.
 */
#ifndef VISION_CAPTURE_PROCESS_H
#define VISION_CAPTURE_PROCESS_H

#include "nn/nn.h"

#include <sys/types.h>

/* What the program finds as its standard input. */
enum vi_process_input {
    VI_INPUT_EMPTY, /* /dev/null */
    VI_INPUT_OURS,  /* this program's standard input */
    VI_INPUT_FED    /* what is sent to `in` */
};

/* Our ends are sockets; -1: none, or closed. All are closed in programs started later. */
struct vi_process {
    pid_t id;   /* 0: not started, or gone and its exit code taken */
    int in;     /* send() to it with MSG_NOSIGNAL */
    int out[3]; /* its standard output, standard error, and descriptor 3 */
};

/* Where `program` lies in PATH, for the caller to nn_free; *path is NULL if nowhere. Only absolute
 * folders of PATH count, so that nothing in the current one is ever meant. */
enum nn_status vi_process_find(char **path, struct nn_context *context, const char *program);
/* argv[0] is the program's path; argv ends in NULL. The program is the first of a process group of
 * its own: Ctrl-C in a terminal is for us alone. */
enum nn_status vi_process_start(struct vi_process *process, struct nn_context *context,
                                char *const *argv, enum vi_process_input input);
/* Has it ended? Then *code is its exit code, 128 + number if a signal ended it, -1 if unknown. */
bool vi_process_ended(struct vi_process *process, int *code);
void vi_process_close_end(int *descriptor);
/* read() of one of its ends, which is closed when there is nothing more to come: 0. */
size_t vi_process_read(int *end, void *to, size_t size);
/* Kills what still runs, with its children, waits for it, and closes our ends. */
void vi_process_kill(struct vi_process *process);
/* What it said, on one line and fit for a terminal, without the addresses in "[mov @ 0x55d0]"; `to`
 * has room for twice as many bytes. */
void vi_process_tidy(char *to, const char *from);

#endif
