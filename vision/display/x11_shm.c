/*
 * x11_shm.c — pictures through memory that the X server sees, too ("MIT-SHM").
 *
 * The block is ours until the request to show it, and ours again when its completion event comes.
 * A server in another container, or under another user, cannot attach it; that is seen at once,
 * and pictures go through the socket.
 */
#include "vision/display/x11.h"

#include <sys/ipc.h>
#include <sys/shm.h>

enum { READ_ONLY = 1 };

enum nn_status vi_x11_shm_start(struct vi_x11 *x)
{
    const uint8_t *reply = NULL;
    size_t size;
    if (!x->local) return NN_OK;
    enum nn_status status = vi_x11_extension(x, "MIT-SHM", &x->shm.opcode, &x->shm.event);
    if (status || !x->shm.opcode) return status;
    status = vi_x11_request(x, "11n", x->shm.opcode, VI_X11_SHM_QUERY_VERSION);
    if (!status) status = vi_x11_reply(x, &reply, &size);
    if (!reply) x->shm.opcode = 0;
    return status;
}

void vi_x11_shm_free(struct vi_x11 *x)
{
    if (!x->shared) return;
    shmdt(x->pixels);
    x->pixels = NULL;
    x->pixel_bytes = 0;
    x->shared = false;
}

/* An error, if there is one, comes before the answer: vi_x11_event then gives MIT-SHM up. */
static enum nn_status attach(struct vi_x11 *x, int id)
{
    const uint8_t *reply;
    size_t size;
    enum nn_status status = vi_x11_request(x, "11n44112", x->shm.opcode, VI_X11_SHM_ATTACH,
                                           x->segment, (uint32_t)id, READ_ONLY, 0, 0);
    if (!status) status = vi_x11_request(x, "11n", X_GET_INPUT_FOCUS, 0);
    if (!status) status = vi_x11_reply(x, &reply, &size);
    return status;
}

enum nn_status vi_x11_shm_resize(struct vi_x11 *x, size_t bytes)
{
    enum nn_status status = NN_OK;
    if (x->shared && x->shm.opcode)
        status = vi_x11_request(x, "11n4", x->shm.opcode, VI_X11_SHM_DETACH, x->segment);
    vi_x11_shm_free(x);
    if (status || !x->shm.opcode) return status;
    int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
    void *memory = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
    if (memory == (void *)-1)
        x->shm.opcode = 0;
    else
        status = attach(x, id);
    /* Both are attached, or never will be: the block goes with the last of them. */
    if (id >= 0) shmctl(id, IPC_RMID, NULL);
    x->shared = !status && x->shm.opcode;
    if (x->shared) {
        x->pixels = memory;
        x->pixel_bytes = bytes;
    } else if (memory != (void *)-1) {
        shmdt(memory);
    }
    return status;
}

enum nn_status vi_x11_shm_put(struct vi_x11 *x, const struct vi_fit *fit)
{
    enum { Z_PIXMAP = 2, TELL = 1 };
    uint32_t width = (uint32_t)fit->width, height = (uint32_t)fit->height;
    enum nn_status status =
        vi_x11_request(x, "11n4422222222111144", x->shm.opcode, VI_X11_SHM_PUT_IMAGE, x->window,
                       x->gc, width, height, 0, 0, width, height, (uint32_t)fit->x,
                       (uint32_t)fit->y, (uint32_t)x->depth, Z_PIXMAP, TELL, 0, x->segment, 0);
    x->marker = x->sequence;
    x->busy = true;
    return status;
}
