/* eval.h — what eval.c (measuring) and eval_report.c (telling) share. */
#ifndef APPS_EVAL_H
#define APPS_EVAL_H

#include "apps/predictor.h"

struct eval_settings {
    struct cli_common common;
    const char *model, *data, *real_label, *output;
    double threshold;
    int precision;
};

/* A figure without counts of its own, with its 95 % interval. */
struct eval_figure {
    double value, low, high;
};

struct evaluation {
    struct app *app;
    const struct eval_settings *settings;
    struct model model;
    struct ds_pictures pictures;
    int live_class;              /* in the model's numbering; -1: none, no figures of attacks */
    uint16_t *map;               /* [folders] to the model's labels */
    uint16_t *truth, *predicted; /* [count] */
    double *score;               /* [count] probability of the live class */
    bool *live;                  /* [count] */
    int *attack;                 /* [count] index into attack_names */
    const char **attack_names;
    int attack_count;
    int64_t *counts; /* [classes, classes] the confusion matrix */
    struct ds_liveness figures;
    struct ds_rate accuracy;
    struct eval_figure acer, hter, eer, auc;
};

/* The intervals that ds_liveness does not give. */
void eval_intervals(struct evaluation *evaluation);
/* Report, or JSON, to standard output; report.txt too where there is an output folder. */
enum nn_status eval_tell(struct evaluation *evaluation);
/* confusion.png, and roc.png and det.png where there is a live class. */
enum nn_status eval_plots(struct evaluation *evaluation);

#endif
