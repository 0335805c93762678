/*
 * conv_gradient.c — conv2d's way back (nn/op/conv2d.c has the way there).
 *
 * All with the kernels of the way there:
 *   dx  is a convolution of dy with the window turned by 180 degrees and C, K swapped:
 *       dx[h,w,c] = sum_{r,s,k} dy[(h + top - r dh) / sh, (w + left - s dw) / sw, k] w[r,s,c,k]
 *       over those r, s where the divisions leave no rest: the copy spreads dy by the stride,
 *       with zeros between.
 *   dw[r,s,c,k] = sum_{n,p,q} x[n, p sh + r dh - top, ..., c] dy[n,p,q,k], summed per chunk of
 *       images; chunks are added in order, so that threads do not change the sum.
 *   db[k] = sum_{n,p,q} dy[n,p,q,k]
 *
 * 3x3 convolutions of stride 1 take the shorter way of nn/winograd.c for all of it.
 */
#include "nn/op/conv2d.h"

enum { MOST_CHUNKS = 16 };

/* The backward workspace: turned weights first, scratch per thread, partial sums per chunk. */
struct parts {
    size_t scratch, partial, total; /* floats before each, and in all */
    size_t each;                    /* of a thread's scratch */
};

static size_t round_up(size_t floats)
{
    return (floats + 15) & ~(size_t)15;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t weight_floats(const struct nn_node *node)
{
    return round_up(nn_shape_count(node->input[W]->shape));
}

static size_t partial_floats(const struct nn_node *node)
{
    return weight_floats(node) + round_up((size_t)nn_channels(node));
}

static int chunk_count(int images)
{
    return images < MOST_CHUNKS ? images : MOST_CHUNKS;
}

/* What a run of Winograd's needs, u not being prepared. */
static size_t winograd_floats(const struct nn_winograd *w, int images, int threads)
{
    return nn_winograd_workspace(w, images, threads, false) / sizeof(float);
}

static struct parts parts_of(const struct nn_node *node, int images, int threads)
{
    const struct geometry *g = geometry_of(node);
    size_t all = (size_t)threads;
    struct parts parts = {.scratch = weight_floats(node)};
    parts.each = g->by_winograd ? round_up(nn_winograd_gradient_scratch(&g->winograd))
                                : scratch_floats(&g->forward);
    parts.each = larger(parts.each, scratch_floats(&g->backward));
    size_t scratch = all * parts.each;
    if (g->back_by_winograd)
        scratch = larger(scratch, winograd_floats(&g->back_winograd, images, threads));
    parts.partial = parts.scratch + round_up(scratch);
    parts.total = parts.partial + (size_t)chunk_count(images) * partial_floats(node);
    return parts;
}

size_t nn_conv_workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    const struct geometry *g = geometry_of(node);
    size_t floats = (size_t)threads * scratch_floats(&g->forward);
    bool prepared = !training && nn_op_could_prepare(node);
    if (g->by_winograd)
        floats = nn_winograd_workspace(&g->winograd, batch, threads, prepared) / sizeof(float);
    if (training) floats = larger(floats, parts_of(node, batch, threads).total);
    return floats * sizeof(float);
}

/* w [R,S,C/G,K] -> [G][R][S][K/G][C/G], with r and s counted from the other end. */
static void turn_tap(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    const struct geometry *g = geometry_of(step->node);
    int taps = g->kernel_h * g->kernel_w;
    int channels = g->forward.from_group, filters = g->forward.to_group;
    int all = g->forward.to_channels, group = index / taps, tap = index % taps;
    size_t block = (size_t)channels * (size_t)filters;
    float *to = (float *)step->workspace + ((size_t)group * (size_t)taps + (size_t)tap) * block;
    const float *from = step->x[W] + (size_t)(taps - 1 - tap) * (size_t)channels * (size_t)all +
                        (size_t)group * (size_t)filters;
    (void)thread;
    step->kernels->transpose(to, channels, from, all, channels, filters);
}

static void input_gradient(struct nn_step *step, const struct parts *parts)
{
    const struct geometry *g = geometry_of(step->node);
    const struct pass *pass = &g->backward;
    int taps = g->kernel_h * g->kernel_w;
    nn_parallel(step->context, g->groups * taps, turn_tap, step);
    float *workspace_floats = step->workspace;
    if (g->back_by_winograd) {
        const struct nn_winograd *w = &g->back_winograd;
        nn_winograd_forward(
            step->context,
            &(struct nn_winograd_run){.w = w,
                                      .y = step->dx[X],
                                      .x = step->dy,
                                      .weights = workspace_floats,
                                      .workspace = workspace_floats + parts->scratch},
            step->run->images);
        return;
    }
    struct conv_job job = {.step = step,
                           .pass = pass,
                           .from = step->dy,
                           .weights = workspace_floats,
                           .to = step->dx[X],
                           .scratch = workspace_floats + parts->scratch,
                           .group_stride = (ptrdiff_t)taps * pass->from_group * pass->to_group,
                           .w_stride = pass->to_group,
                           .panel = pass->to_group,
                           .chunk = 1};
    nn_conv_run(&job);
}

struct weight_job {
    struct nn_step *step;
    struct parts parts;
    int chunks;
};

/* dw and db of one image are added to the chunk's. */
static void add_image(const struct nn_step *step, float *dw, float *scratch, int image)
{
    const struct geometry *g = geometry_of(step->node);
    const struct pass *pass = &g->forward;
    size_t copy_row_floats = (size_t)pass->copy_width * (size_t)pass->from_group;
    size_t y_row = (size_t)pass->out_width * (size_t)pass->to_channels;
    size_t x_image = (size_t)pass->height * (size_t)pass->width * (size_t)pass->from_channels;
    const float *x = step->x[X] + (size_t)image * x_image;
    const float *dy = step->dy + (size_t)image * (size_t)pass->out_height * y_row;
    struct nn_conv_gradient gradient = {
        .row = row_of(pass, pass->to_channels),
        .x_row = (ptrdiff_t)(pass->stride_h * (ptrdiff_t)copy_row_floats),
        .dy_row = (ptrdiff_t)y_row};
    for (int first = 0; first < pass->out_height; first += pass->band) {
        int left = pass->out_height - first;
        gradient.rows = left < pass->band ? left : pass->band;
        for (int group = 0; group < g->groups; group++) {
            copy_band(scratch, pass, x + group * pass->from_group, first, gradient.rows);
            step->kernels->conv_gradient(dw + group * pass->to_group, scratch,
                                         dy + (size_t)first * y_row + group * pass->to_group,
                                         &gradient);
        }
    }
}

static void sum_plainly(const struct nn_step *step, float *dw, float *scratch, int from, int to)
{
    memset(dw, 0, nn_shape_count(step->node->input[W]->shape) * sizeof *dw);
    for (int image = from; image < to; image++) add_image(step, dw, scratch, image);
}

static void sum_by_winograd(const struct nn_step *step, float *dw, float *scratch, int from, int to)
{
    const struct nn_winograd *w = &geometry_of(step->node)->winograd;
    size_t x_image = (size_t)w->height * (size_t)w->width * (size_t)w->channels;
    size_t y_image = (size_t)w->out_height * (size_t)w->out_width * (size_t)w->filters;
    nn_winograd_gradient_begin(w, scratch);
    for (int image = from; image < to; image++)
        nn_winograd_gradient_add(step->kernels, w, scratch, step->x[X] + (size_t)image * x_image,
                                 step->affine, step->dy + (size_t)image * y_image);
    nn_winograd_gradient_end(step->kernels, w, dw, scratch);
}

static void sum_chunk(void *argument, int chunk, int thread)
{
    const struct weight_job *job = argument;
    const struct nn_step *step = job->step;
    const struct pass *pass = &geometry_of(step->node)->forward;
    int images = step->run->images;
    int from = (int)((int64_t)images * chunk / job->chunks);
    int to = (int)((int64_t)images * (chunk + 1) / job->chunks);
    size_t image_rows = (size_t)pass->out_height * (size_t)pass->out_width;
    size_t all = (size_t)pass->to_channels;
    float *workspace_floats = step->workspace;
    float *dw = workspace_floats + job->parts.partial + (size_t)chunk * partial_floats(step->node);
    float *db = dw + weight_floats(step->node);
    float *scratch = workspace_floats + job->parts.scratch + (size_t)thread * job->parts.each;
    if (geometry_of(step->node)->by_winograd)
        sum_by_winograd(step, dw, scratch, from, to);
    else
        sum_plainly(step, dw, scratch, from, to);
    if (step->dx[B])
        step->kernels->channel_sum(db, step->dy + (size_t)from * image_rows * all,
                                   (size_t)(to - from) * image_rows, pass->to_channels);
}

/* dw, db = the chunks' sums, in order. */
static void join_range(const struct nn_step *step, size_t from, size_t to)
{
    int chunks = chunk_count(step->run->images);
    const struct parts parts = parts_of(step->node, step->run->images, step->context->threads);
    const float *partial = (const float *)step->workspace + parts.partial + from;
    size_t stride = partial_floats(step->node);
    if (to > from) memcpy(step->dx[W] + from, partial, (to - from) * sizeof(float));
    for (int i = 1; i < chunks; i++)
        step->kernels->add(step->dx[W] + from, step->dx[W] + from, partial + (size_t)i * stride,
                           to - from);
}

static void weight_gradient(struct nn_step *step, const struct parts *parts)
{
    struct weight_job job = {step, *parts, chunk_count(step->run->images)};
    nn_parallel(step->context, job.chunks, sum_chunk, &job);
    if (step->dx[W])
        nn_step_ranges(step, nn_shape_count(step->node->input[W]->shape), 4096, join_range);
    if (!step->dx[B]) return;
    size_t filters = (size_t)nn_channels(step->node);
    const float *db = (const float *)step->workspace + parts->partial + weight_floats(step->node);
    memcpy(step->dx[B], db, filters * sizeof(float));
    for (int i = 1; i < job.chunks; i++)
        step->kernels->add(step->dx[B], step->dx[B], db + (size_t)i * partial_floats(step->node),
                           filters);
}

void nn_conv_backward(struct nn_step *step)
{
    const struct parts parts = parts_of(step->node, step->run->images, step->context->threads);
    if (step->dx[W] || step->dx[B]) weight_gradient(step, &parts);
    if (step->dx[X]) input_gradient(step, &parts);
}
