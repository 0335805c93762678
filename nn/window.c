/*
 * window.c — where the windows of a convolution or a pooling lie along one axis.
 *
 * A kernel of R taps, d apart, spans (R - 1) d + 1 pixels. `valid` puts as many windows as fit
 * entirely inside; `same` makes ceil(in / stride) of them and splits the padding they need, the
 * odd pixel at the far side (TensorFlow's rule); explicit padding widens the picture first.
 * With `ceil` a last, partial window counts too, unless it would begin in the padding (Caffe's
 * pooling layer).
 */
#include "nn/internal.h"

static int ceil_divide(int a, int b)
{
    return (a + b - 1) / b;
}

bool nn_window_make(struct nn_window *window, const struct nn_window_request *request)
{
    enum { LIMIT = 1 << 24 }; /* keeps every product below far from overflow */
    int in = request->in, kernel = request->kernel;
    int stride = request->stride ? request->stride : 1;
    int dilation = request->dilation ? request->dilation : 1;
    if (in < 1 || in > LIMIT || kernel < 1 || kernel > LIMIT || stride < 1 || stride > LIMIT ||
        dilation < 1 || dilation > LIMIT || request->before < 0 || request->before > LIMIT ||
        request->after < 0 || request->after > LIMIT || (int64_t)(kernel - 1) * dilation >= LIMIT)
        return false;

    int span = (kernel - 1) * dilation + 1;
    *window = (struct nn_window){in, 0, kernel, stride, dilation, 0};
    if (request->padding == NN_SAME) {
        window->out = ceil_divide(in, stride);
        int64_t needed = (int64_t)(window->out - 1) * stride + span - in;
        window->before = needed > 0 ? (int)(needed / 2) : 0;
        return true;
    }
    bool explicit_padding = request->padding == NN_EXPLICIT;
    int before = explicit_padding ? request->before : 0;
    int padded = in + before + (explicit_padding ? request->after : 0);
    window->before = before;
    if (padded < span) {
        window->out = request->ceil ? 1 : 0;
        return window->out > 0;
    }
    int room = padded - span;
    window->out = 1 + (request->ceil ? ceil_divide(room, stride) : room / stride);
    if (request->ceil && (int64_t)(window->out - 1) * stride >= (int64_t)in + before) window->out--;
    return true;
}
