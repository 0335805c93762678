/*
 * trainer.c — the loop: gather a batch, forward, backward, step; then validate.
 *
 * Everything random is a function of (seed, epoch or step, picture), never of what came before:
 * the shuffle of (seed, epoch), augmentation of (seed, epoch, picture), dropout of (seed, step).
 * So a run can be cut after any batch and continued to the same bits, and threads can gather a
 * batch in any order.
 */
#include "apps/train.h"

#include <math.h>
#include <string.h>

enum { VAL_BATCH = 32, STATISTICS_BATCH = 32 };
/* Batch norm's statistics are means: of this many pictures they are good to a percent. */
enum { MOST_MEASURED = 2048 };

/* What a stream of random numbers is for; low bits say which. Initialisers use small numbers. */
static const uint64_t STREAM_SHUFFLE = (uint64_t)0x53 << 56, STREAM_AUGMENT = (uint64_t)0x41 << 56;

static size_t picture_floats(const struct trainer *trainer)
{
    const struct model_contract *contract = &trainer->model->contract;
    return (size_t)contract->width * (size_t)contract->height * (size_t)contract->channels;
}

/* ---- open ------------------------------------------------------------------------------------ */

static size_t weight_floats(const struct nn_graph *graph)
{
    size_t count = 0;
    for (int i = 0; i < nn_node_count(graph); i++) {
        struct nn_node *node = nn_node_at(graph, i);
        if (nn_values(node)) count += nn_shape_count(nn_node_shape(node));
    }
    return count;
}

static enum nn_status compile(struct trainer *trainer)
{
    struct model *model = trainer->model;
    const struct train_settings *settings = trainer->settings;
    float *weights = nn_alloc(trainer->context, (size_t)model->classes, sizeof *weights);
    if (!weights) return NN_ERROR_MEMORY;
    ds_class_weights(weights, trainer->train_set, trainer->train_index, trainer->train_count);
    trainer->target = nn_input(model->graph, "target", nn_shape2(NN_BATCH, model->classes));
    trainer->loss = nn_softmax_cross_entropy(
        model->logits, trainer->target,
        &(struct nn_loss_options){.label_smoothing = (float)settings->label_smoothing,
                                  .class_weights = settings->class_weights ? weights : NULL});
    enum nn_status status = nn_graph_status(model->graph);
    nn_free(trainer->context, weights);
    if (status) return status;
    size_t batch = (size_t)settings->batch, val_batch = VAL_BATCH;
    if (val_batch > trainer->val_count) val_batch = trainer->val_count;
    struct nn_plan_options options = {
        .batch = (int)batch, .loss = trainer->loss, .outputs = &model->logits, .output_count = 1};
    status = nn_compile(&trainer->plan, model->graph, &options);
    if (status) return status;
    options.batch = (int)val_batch;
    options.loss = NULL;
    status = nn_compile(&trainer->val_plan, model->graph, &options);
    if (status || !settings->recalibrate) return status;
    options.batch = STATISTICS_BATCH;
    options.statistics = true;
    return nn_compile(&trainer->statistics_plan, model->graph, &options);
}

static enum nn_status make_optimizer(struct trainer *trainer)
{
    const struct train_settings *settings = trainer->settings;
    trainer->schedule = (struct nn_schedule){
        .kind = (enum nn_schedule_kind)settings->schedule,
        .rate = settings->rate,
        .decay = settings->decay,
        .steps = (uint64_t)trainer->state->goal * (uint64_t)trainer->batches,
        .every = (uint64_t)settings->step_every * (uint64_t)trainer->batches,
        .factor = settings->step_factor,
    };
    return nn_optimizer_new(
        &trainer->optimizer, trainer->plan,
        &(struct nn_optimizer_options){.kind = (enum nn_optimizer_kind)settings->optimizer,
                                       .momentum = (float)settings->momentum,
                                       .weight_decay = (float)settings->weight_decay,
                                       .clip_norm = (float)settings->clip_norm});
}

static enum nn_status allocate(struct trainer *trainer)
{
    struct nn_context *context = trainer->context;
    size_t threads = (size_t)nn_threads(context);
    trainer->order = nn_alloc(context, trainer->train_count, sizeof *trainer->order);
    trainer->scratch = nn_alloc(context, threads * picture_floats(trainer), sizeof(float));
    trainer->predicted = nn_alloc(context, trainer->val_count, sizeof *trainer->predicted);
    trainer->best = nn_alloc(context, weight_floats(trainer->model->graph), sizeof(float));
    if (!trainer->order || !trainer->scratch || !trainer->predicted || !trainer->best)
        return NN_ERROR_MEMORY;
    return NN_OK;
}

enum nn_status trainer_open(struct trainer *trainer)
{
    const struct model *model = trainer->model;
    size_t batch = (size_t)trainer->settings->batch;
    trainer->batches = (int)((trainer->train_count + batch - 1) / batch);
    /* A last batch of one picture sits out: batch norm finds no variance in it, and takes its
     * values for the running mean. The next epoch shuffles another picture there. */
    if (batch > 1 && trainer->train_count > 1 && trainer->train_count % batch == 1)
        trainer->batches--;
    trainer->augment = vi_augment_default();
    enum nn_status status = compile(trainer);
    if (!status) status = make_optimizer(trainer);
    if (!status) status = allocate(trainer);
    if (status) return status;
    trainer->input = nn_data(trainer->plan, model->input);
    trainer->targets = nn_data(trainer->plan, trainer->target);
    trainer->logits = nn_data(trainer->plan, model->logits);
    trainer->loss_value = nn_data(trainer->plan, trainer->loss);
    trainer->val_input = nn_data(trainer->val_plan, model->input);
    trainer->val_logits = nn_data(trainer->val_plan, model->logits);
    return NN_OK;
}

void trainer_close(struct trainer *trainer)
{
    if (!trainer->context) return;
    nn_free(trainer->context, trainer->best);
    nn_free(trainer->context, trainer->predicted);
    nn_free(trainer->context, trainer->scratch);
    nn_free(trainer->context, trainer->order);
    nn_optimizer_free(&trainer->optimizer);
    nn_plan_free(&trainer->statistics_plan);
    nn_plan_free(&trainer->val_plan);
    nn_plan_free(&trainer->plan);
}

/* ---- a batch --------------------------------------------------------------------------------- */

static void gather_train(void *argument, int index, int thread)
{
    struct trainer *trainer = argument;
    const struct model_contract *contract = &trainer->model->contract;
    size_t size = picture_floats(trainer), classes = (size_t)trainer->model->classes;
    uint32_t picture = trainer->gather_index[index];
    float *to = trainer->input + (size_t)index * size;
    const uint8_t *pixels = trainer->train_set->pixels + (size_t)picture * size;
    float *target = trainer->targets + (size_t)index * classes;
    memset(target, 0, classes * sizeof *target);
    target[trainer->labels[picture]] = 1.0f;
    if (!trainer->settings->augment) {
        model_fill(to, contract, pixels);
        return;
    }
    float *plain = trainer->scratch + (size_t)thread * size;
    uint64_t which = (uint64_t)trainer->state->epoch << 32 | picture;
    struct nn_rng rng = nn_rng_make(trainer->settings->common.seed, STREAM_AUGMENT | which);
    struct vi_augment_draw draw =
        vi_augment_pick(&trainer->augment, &rng, contract->width, contract->height);
    model_fill(plain, contract, pixels);
    vi_augment_apply(to, plain, contract->width, contract->height, contract->channels, &draw);
}

static int largest(const float *values, int count)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (values[i] > values[best]) best = i;
    return best;
}

static enum nn_status run_batch(struct trainer *trainer)
{
    struct run_state *state = trainer->state;
    size_t first = (size_t)state->batch * (size_t)trainer->settings->batch;
    size_t left = trainer->train_count - first, batch = (size_t)trainer->settings->batch;
    int images = (int)(left < batch ? left : batch), classes = trainer->model->classes;
    trainer->gather_index = trainer->order + first;
    nn_parallel(trainer->context, images, gather_train, trainer);
    nn_plan_seed(trainer->plan, trainer->settings->common.seed, state->step);
    enum nn_status status = nn_forward(trainer->plan, images);
    if (status) return status;
    /* Before backward, which may reuse the buffers. */
    double loss = trainer->loss_value[0];
    int correct = 0;
    for (int i = 0; i < images; i++)
        correct += largest(trainer->logits + (size_t)i * (size_t)classes, classes) ==
                   trainer->labels[trainer->gather_index[i]];
    if (!isfinite(loss))
        return nn_fail(trainer->context, NN_ERROR_ARGUMENT,
                       "the loss became %g in epoch %d, batch %d: training has diverged; try a "
                       "smaller --lr (it was %g) or --clip-norm 1",
                       loss, state->epoch + 1, state->batch + 1, trainer->settings->rate);
    status = nn_backward(trainer->plan);
    float rate = (float)nn_schedule_at(&trainer->schedule, state->step);
    if (!status) status = nn_optimizer_step(trainer->optimizer, rate);
    if (status) return status;
    state->loss_sum += loss * images;
    state->correct += correct;
    state->seen += images;
    state->batch++;
    state->step++;
    trainer->train_images += images;
    return NN_OK;
}

/* ---- validation ------------------------------------------------------------------------------ */

/* Plain pictures, as the network will meet them. */
struct plain {
    const struct trainer *trainer;
    float *to;
    const uint8_t *pixels;
    const uint32_t *index;
};

static void gather_plain(void *argument, int index, int thread)
{
    const struct plain *plain = argument;
    size_t size = picture_floats(plain->trainer);
    (void)thread;
    model_fill(plain->to + (size_t)index * size, &plain->trainer->model->contract,
               plain->pixels + (size_t)plain->index[index] * size);
}

/* Replaces batch norm's moving averages, which were taken from augmented pictures and lag behind
 * the weights, by the statistics of plain ones. Batches come from the shuffled order: one that
 * held a single class would not be like the whole. */
static enum nn_status recalibrate(struct trainer *trainer)
{
    struct plain plain = {.trainer = trainer, .pixels = trainer->train_set->pixels};
    plain.to = nn_data(trainer->statistics_plan, trainer->model->input);
    size_t count = trainer->train_count < MOST_MEASURED ? trainer->train_count : MOST_MEASURED;
    for (size_t first = 0; first < count; first += STATISTICS_BATCH) {
        size_t left = count - first, images = left < STATISTICS_BATCH ? left : STATISTICS_BATCH;
        if (images == 1 && first > 0) break; /* one picture has no variance */
        plain.index = trainer->order + first;
        nn_parallel(trainer->context, (int)images, gather_plain, &plain);
        float weight = (float)images / (float)(first + images);
        enum nn_status status = nn_measure(trainer->statistics_plan, (int)images, weight);
        if (status) return status;
    }
    return NN_OK;
}

/* -sum_k t_k log softmax(z)_k with the smoothed target t, as the training loss without weights. */
static double cross_entropy(const float *logits, int classes, int truth, double smoothing)
{
    double highest = logits[largest(logits, classes)], sum = 0, mean = 0;
    for (int k = 0; k < classes; k++) {
        sum += exp(logits[k] - highest);
        mean += logits[k];
    }
    double log_sum = highest + log(sum);
    return log_sum - (1 - smoothing) * logits[truth] - smoothing * mean / classes;
}

enum nn_status trainer_validate(struct trainer *trainer, double *loss, double *accuracy)
{
    int classes = trainer->model->classes;
    size_t correct = 0;
    double sum = 0;
    struct plain plain = {
        .trainer = trainer, .to = trainer->val_input, .pixels = trainer->val_set->pixels};
    for (size_t first = 0; first < trainer->val_count; first += VAL_BATCH) {
        size_t left = trainer->val_count - first;
        int images = (int)(left < VAL_BATCH ? left : VAL_BATCH);
        plain.index = trainer->val_index + first;
        nn_parallel(trainer->context, images, gather_plain, &plain);
        enum nn_status status = nn_forward(trainer->val_plan, images);
        if (status) return status;
        for (int i = 0; i < images; i++) {
            const float *logits = trainer->val_logits + (size_t)i * (size_t)classes;
            int answer = largest(logits, classes);
            int truth = trainer->val_labels[plain.index[i]];
            trainer->predicted[first + (size_t)i] = (uint16_t)answer;
            correct += answer == truth;
            sum += cross_entropy(logits, classes, truth, trainer->settings->label_smoothing);
        }
    }
    *loss = sum / (double)trainer->val_count;
    *accuracy = (double)correct / (double)trainer->val_count;
    return NN_OK;
}

/* ---- an epoch -------------------------------------------------------------------------------- */

static void keep_best(struct trainer *trainer)
{
    const struct nn_graph *graph = trainer->model->graph;
    float *to = trainer->best;
    for (int i = 0; i < nn_node_count(graph); i++) {
        struct nn_node *node = nn_node_at(graph, i);
        const float *values = nn_values(node);
        size_t count = values ? nn_shape_count(nn_node_shape(node)) : 0;
        if (values) memcpy(to, values, count * sizeof *to);
        to += count;
    }
}

static enum nn_status finish_epoch(struct trainer *trainer)
{
    struct run_state *state = trainer->state;
    struct history_row *row = &state->rows[state->epoch];
    row->loss = state->loss_sum / (double)state->seen;
    row->accuracy = (double)state->correct / (double)state->seen;
    row->rate = nn_schedule_at(&trainer->schedule, state->step - 1);
    enum nn_status status = trainer->statistics_plan ? recalibrate(trainer) : NN_OK;
    if (!status) status = trainer_validate(trainer, &row->val_loss, &row->val_accuracy);
    if (status) return status;
    state->epoch++;
    state->batch = 0;
    state->loss_sum = 0;
    state->correct = state->seen = 0;
    if (state->best_epoch == 0 || row->val_loss < state->best_loss) {
        state->best_epoch = state->epoch;
        state->best_loss = row->val_loss;
        keep_best(trainer);
    }
    return NN_OK;
}

enum nn_status trainer_epoch(struct trainer *trainer,
                             void (*draw)(struct trainer *trainer, size_t batch))
{
    struct run_state *state = trainer->state;
    struct nn_rng rng =
        nn_rng_make(trainer->settings->common.seed, STREAM_SHUFFLE | (uint64_t)state->epoch);
    memcpy(trainer->order, trainer->train_index, trainer->train_count * sizeof *trainer->order);
    nn_rng_shuffle(&rng, trainer->order, trainer->train_count);
    double start = app_seconds();
    trainer->first_batch = (size_t)state->batch;
    enum nn_status status = NN_OK;
    while (!status && state->batch < trainer->batches) {
        if (*app_stop_flag()) {
            status = nn_fail(trainer->context, NN_ERROR_INTERRUPTED, "interrupted");
            break;
        }
        status = run_batch(trainer);
        trainer->epoch_seconds = app_seconds() - start;
        if (!status) draw(trainer, (size_t)state->batch);
    }
    trainer->train_seconds += app_seconds() - start;
    return status ? status : finish_epoch(trainer);
}

enum nn_status trainer_put_best(const struct trainer *trainer, struct nn_archive *archive)
{
    const struct nn_graph *graph = trainer->model->graph;
    const float *from = trainer->best;
    enum nn_status status = NN_OK;
    for (int i = 0; i < nn_node_count(graph) && !status; i++) {
        struct nn_node *node = nn_node_at(graph, i);
        if (!nn_values(node)) continue;
        struct nn_shape shape = nn_node_shape(node);
        int64_t dims[NN_MAX_RANK];
        for (int k = 0; k < shape.rank; k++) dims[k] = shape.dim[k];
        status = nn_archive_put(archive, nn_node_name(node), NN_F32, shape.rank, dims, from);
        from += nn_shape_count(shape);
    }
    return status;
}
