/*
 * keyboard.c — single keys from a terminal.
 *
 * Keys without a character come as sequences: escape [ ... letter, escape O letter. They are passed
 * over. Whether an escape was typed alone shows only by what does not follow.
 */
#include "vision/display/display.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { ESCAPE = 27, DELETE = 127 };
static const double ALONE =
    0.05; /* seconds; a sequence's bytes come together, or over ssh nearly */

/* A process in the background would be stopped by it, unless it does not listen. */
static bool set_mode(int terminal, const struct termios *mode)
{
    sigset_t output, before;
    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &output, &before);
    bool set = tcsetattr(terminal, TCSANOW, mode) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return set;
}

void vi_keyboard_open(struct vi_keyboard *keyboard, int input)
{
    *keyboard = (struct vi_keyboard){.input = -1};
    if (input < 0 || tcgetattr(input, &keyboard->before)) return;
    /* In the background, the terminal is another program's. */
    pid_t foreground = tcgetpgrp(input);
    if (foreground > 0 && foreground != getpgrp()) return;
    struct termios mode = keyboard->before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHONL | IEXTEN);
    mode.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | IXON | ISTRIP);
    mode.c_cc[VMIN] = 0;
    mode.c_cc[VTIME] = 0;
    /* Who comes back after Ctrl-Z would find a terminal without its modes. */
    mode.c_cc[VSUSP] = _POSIX_VDISABLE;
    if (!set_mode(input, &mode)) return;
    keyboard->input = input;
    keyboard->raw = true;
}

void vi_keyboard_close(struct vi_keyboard *keyboard)
{
    if (keyboard->raw) set_mode(keyboard->input, &keyboard->before);
    *keyboard = (struct vi_keyboard){.input = -1};
}

static void read_more(struct vi_keyboard *keyboard)
{
    struct pollfd ready = {keyboard->input, POLLIN, 0};
    size_t room = sizeof keyboard->bytes - keyboard->size;
    if (!room || poll(&ready, 1, 0) < 1 || !(ready.revents & POLLIN)) return;
    ssize_t got = read(keyboard->input, keyboard->bytes + keyboard->size, room);
    if (got <= 0) return;
    keyboard->size += (size_t)got;
    keyboard->since = vi_clock();
}

/* How many bytes the sequence at the front has; 0: its end has not come. */
static size_t sequence_size(const uint8_t *bytes, size_t size)
{
    size_t at = 2;
    if (size < 2) return 0;
    if (bytes[1] == 'O') return size < 3 ? 0 : 3;
    if (bytes[1] != '[') return 1; /* escape, and something else */
    while (at < size && (bytes[at] < 0x40 || bytes[at] > 0x7e)) at++;
    return at < size ? at + 1 : 0;
}

/* Takes the character or sequence at the front: its size, 0: not whole yet. *key: 0 for none. */
static size_t first_key(const struct vi_keyboard *keyboard, bool late, int *key)
{
    const uint8_t *bytes = keyboard->bytes;
    size_t size = keyboard->size, length;
    *key = 0;
    if (bytes[0] == ESCAPE) {
        length = sequence_size(bytes, size);
        if (length == 1 || (late && size == 1)) *key = ESCAPE;
        return length || !late ? length : size;
    }
    length = nn_utf8_size(bytes, size);
    if (length == 0) return bytes[0] >= 0xC2 && size < 4 && !late ? 0 : 1;
    *key = bytes[0];
    if (length > 1) *key &= 0xff >> (length + 1);
    for (size_t i = 1; i < length; i++) *key = *key << 6 | (bytes[i] & 0x3f);
    if (*key == '\r') *key = '\n';
    if (*key == DELETE) *key = '\b';
    return length;
}

int vi_keyboard_key(struct vi_keyboard *keyboard)
{
    int key = 0;
    if (keyboard->input < 0) return 0;
    read_more(keyboard);
    while (keyboard->size && !key) {
        bool full = keyboard->size == sizeof keyboard->bytes;
        bool late = full || vi_clock() - keyboard->since > ALONE;
        size_t taken = first_key(keyboard, late, &key);
        if (!taken) break;
        keyboard->size -= taken;
        memmove(keyboard->bytes, keyboard->bytes + taken, keyboard->size);
    }
    return key;
}
