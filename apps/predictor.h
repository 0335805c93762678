/* predictor.h — a model that answers for pictures: what `eval` and `predict` share. */
#ifndef APPS_PREDICTOR_H
#define APPS_PREDICTOR_H

#include "apps/model.h"

enum { PREDICTOR_BATCH = 32 };

struct predictor {
    struct model *model;
    struct nn_plan *plan;
    float *input;               /* [batch, height, width, channels] */
    const float *probabilities; /* [batch, classes] */
    int batch;
};

/* `batch` pictures at most are answered at once. */
enum nn_status predictor_open(struct predictor *predictor, struct model *model, int batch,
                              enum nn_precision precision);
void predictor_close(struct predictor *predictor);
/* Answers for the first `count` rows of pixels[count, height, width, channels]. */
enum nn_status predictor_run(struct predictor *predictor, const uint8_t *pixels, int count);
/* The label with the highest probability of row `index`, and that probability. */
int predictor_answer(const struct predictor *predictor, int index, double *probability);

#endif
