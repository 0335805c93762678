/* predictor.c — pictures in, probabilities out. */
#include "apps/predictor.h"

enum nn_status predictor_open(struct predictor *predictor, struct model *model, int batch,
                              enum nn_precision precision)
{
    *predictor = (struct predictor){.model = model, .batch = batch};
    enum nn_status status = nn_compile(
        &predictor->plan, model->graph,
        &(struct nn_plan_options){
            .batch = batch, .outputs = &model->softmax, .output_count = 1, .precision = precision});
    if (status) return status;
    predictor->input = nn_data(predictor->plan, model->input);
    predictor->probabilities = nn_data(predictor->plan, model->softmax);
    return NN_OK;
}

void predictor_close(struct predictor *predictor)
{
    nn_plan_free(&predictor->plan);
}

struct filling {
    const struct predictor *predictor;
    const uint8_t *pixels;
    size_t size; /* of a picture */
};

static void fill_one(void *argument, int index, int thread)
{
    const struct filling *filling = argument;
    size_t at = (size_t)index * filling->size;
    (void)thread;
    model_fill(filling->predictor->input + at, &filling->predictor->model->contract,
               filling->pixels + at);
}

enum nn_status predictor_run(struct predictor *predictor, const uint8_t *pixels, int count)
{
    const struct model_contract *contract = &predictor->model->contract;
    struct filling filling = {predictor, pixels,
                              (size_t)contract->width * (size_t)contract->height *
                                  (size_t)contract->channels};
    nn_parallel(predictor->model->context, count, fill_one, &filling);
    return nn_forward(predictor->plan, count);
}

int predictor_answer(const struct predictor *predictor, int index, double *probability)
{
    size_t classes = (size_t)predictor->model->classes;
    const float *row = predictor->probabilities + (size_t)index * classes;
    size_t best = 0;
    for (size_t k = 1; k < classes; k++)
        if (row[k] > row[best]) best = k;
    *probability = row[best];
    return (int)best;
}
