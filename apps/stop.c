/*
 * stop.c — Ctrl-C, SIGTERM, and a terminal that goes away.
 *
 * A handler can reach nothing but a global, so this is the one variable of the program that
 * changes after start-up.
 */
#include "apps/app.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    stopped = number;
}

void app_catch_signals(void)
{
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    stopped = 0;
    action.sa_handler = on_signal;
    /* SA_RESETHAND: who presses Ctrl-C twice wants out now. */
    action.sa_flags = SA_RESTART | SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* Under nohup it is ignored, and shall be. */
    if (sigaction(SIGHUP, NULL, &before) != 0 || before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
}

void app_ignore_pipe(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_IGN;
    sigemptyset(&action.sa_mask);
    sigaction(SIGPIPE, &action, NULL);
}

const volatile int *app_stop_flag(void)
{
    return &stopped;
}
