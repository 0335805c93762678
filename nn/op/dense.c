/*
 * dense.c — y[n,k] = b[k] + sum_c x[n,c] w[c,k];  x [N,C], w [C,K], b [K], y [N,K].
 *
 * A dense layer is a convolution of one run of C floats, with images for pixels, and uses its
 * kernels. Gradients:
 *     dx[n,c] = sum_k dy[n,k] w[c,k]      the same sum with w transposed
 *     dw[c,k] = sum_n x[n,c] dy[n,k]      images are summed in order, for any number of threads
 *     db[k]   = sum_n dy[n,k]
 */
#include "nn/internal.h"

enum { PIECE = 64, FILTERS = 32 }; /* channels, or filters, that one task handles */

static enum nn_status infer(struct nn_node *node)
{
    struct nn_shape x = node->input[0]->shape, w = node->input[1]->shape;
    char a[64], b[64];
    if (x.rank != 2 || w.rank != 2 || x.dim[1] != w.dim[0])
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "dense '%s': expected x (N, C) and w (C, K), got %s and %s",
                             node->name, nn_shape_text(a, x), nn_shape_text(b, w));
    if (node->inputs > 2 && !nn_shape_equal(node->input[2]->shape, nn_shape1(w.dim[1])))
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "dense '%s': expected a bias of shape (%d), got %s", node->name,
                             w.dim[1], nn_shape_text(a, node->input[2]->shape));
    node->shape = nn_shape2(x.dim[0], w.dim[1]);
    return NN_OK;
}

static int ceil_divide(int a, int b)
{
    return (a + b - 1) / b;
}

/* The channels and filters of a step. */
static int channels_of(const struct nn_step *step)
{
    return step->node->input[1]->shape.dim[0];
}

static int filters_of(const struct nn_step *step)
{
    return step->node->input[1]->shape.dim[1];
}

static int rows_of(const struct nn_step *step)
{
    return (int)nn_rows(step->node, step->run->images);
}

/* ---- forward --------------------------------------------------------------------------------- */

static void forward_piece(void *argument, int piece, int thread)
{
    static const ptrdiff_t start = 0;
    const struct nn_step *step = argument;
    int filters = filters_of(step), from = piece * FILTERS;
    int count = filters - from < FILTERS ? filters - from : FILTERS;
    struct nn_conv_row row = {.pixels = rows_of(step),
                              .filters = count,
                              .taps = 1,
                              .length = channels_of(step),
                              .tap = &start,
                              .step = channels_of(step),
                              .w_stride = filters,
                              .y_stride = filters};
    struct nn_epilogue epilogue = step->epilogue;
    epilogue.bias = step->node->inputs > 2 ? step->x[2] : NULL;
    epilogue = nn_epilogue_from(&epilogue, from, from);
    (void)thread;
    step->kernels->conv_row(step->y + from, step->x[0], step->x[1] + from, &row, &epilogue);
}

static void forward(struct nn_step *step)
{
    nn_parallel(step->context, ceil_divide(filters_of(step), FILTERS), forward_piece, step);
}

/* ---- backward -------------------------------------------------------------------------------- */

static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    (void)batch;
    size_t piece = PIECE * (size_t)nn_channels(node) * sizeof(float);
    return training ? (size_t)threads * piece : 0;
}

/* Channels [from, from + count) of dx: w's rows become the columns of the transposed matrix. */
static void input_piece(void *argument, int piece, int thread)
{
    static const ptrdiff_t start = 0;
    const struct nn_step *step = argument;
    int channels = channels_of(step), filters = filters_of(step), from = piece * PIECE;
    int count = channels - from < PIECE ? channels - from : PIECE;
    float *transposed = (float *)step->workspace + (size_t)thread * PIECE * (size_t)filters;
    const float *w = step->x[1] + (size_t)from * (size_t)filters;
    step->kernels->transpose(transposed, count, w, filters, count, filters);
    struct nn_conv_row row = {.pixels = rows_of(step),
                              .filters = count,
                              .taps = 1,
                              .length = filters,
                              .tap = &start,
                              .step = filters,
                              .w_stride = count,
                              .y_stride = channels};
    static const struct nn_epilogue nothing;
    step->kernels->conv_row(step->dx[0] + from, step->dy, transposed, &row, &nothing);
}

static void weight_piece(void *argument, int piece, int thread)
{
    static const ptrdiff_t start = 0;
    const struct nn_step *step = argument;
    int channels = channels_of(step), filters = filters_of(step), from = piece * PIECE;
    int count = channels - from < PIECE ? channels - from : PIECE;
    float *dw = step->dx[1] + (size_t)from * (size_t)filters;
    struct nn_conv_gradient gradient = {.row = {.pixels = rows_of(step),
                                                .filters = filters,
                                                .taps = 1,
                                                .length = count,
                                                .tap = &start,
                                                .step = channels,
                                                .w_stride = filters,
                                                .y_stride = filters},
                                        .rows = 1};
    (void)thread;
    for (size_t i = 0; i < (size_t)count * (size_t)filters; i++) dw[i] = 0.0f;
    step->kernels->conv_gradient(dw, step->x[0] + from, step->dy, &gradient);
}

static void backward(struct nn_step *step)
{
    int pieces = ceil_divide(channels_of(step), PIECE);
    if (step->dx[2])
        step->kernels->channel_sum(step->dx[2], step->dy, (size_t)rows_of(step), filters_of(step));
    if (step->dx[1]) nn_parallel(step->context, pieces, weight_piece, step);
    if (step->dx[0]) nn_parallel(step->context, pieces, input_piece, step);
}

static double multiply_adds(const struct nn_node *node)
{
    return (double)nn_shape_count(node->input[1]->shape);
}

const struct nn_op nn_op_dense = {
    .name = "dense",
    .title = "Dense",
    .stem = "dense",
    .inputs_min = 2,
    .inputs_max = 3,
    .bwd_reads = NN_READS_X(0) | NN_READS_X(1),
    .takes_epilogue = true,
    .infer = infer,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
    .multiply_adds = multiply_adds,
};

struct nn_node *nn_dense(struct nn_node *x, struct nn_node *w, struct nn_node *b)
{
    struct nn_node *inputs[] = {x, w, b};
    return nn_append(&nn_op_dense, inputs, b ? 3 : 2, NULL);
}
