/*
 * train.h — what the files of `liveness train` share.
 *
 *   train.c         options; what is done in which order
 *   trainer.c       batches, epochs, validation
 *   checkpoint.c    struct run_state to a model file's "training" and back
 *   train_report.c  the epoch's line, plot, CSV, JSON
 */
#ifndef APPS_TRAIN_H
#define APPS_TRAIN_H

#include "apps/app.h"
#include "apps/model.h"
#include "datasets/datasets.h"

struct train_settings {
    struct cli_common common;
    const char *data, *val_data, *model, *plot, *evaluation, *log;
    double rate, decay, fraction, momentum, weight_decay, clip_norm, label_smoothing, step_factor;
    int batch, epochs, width, height, step_every, patience;
    int split, color, optimizer, schedule; /* places in their choices: the enums' order */
    bool augment, recalibrate, class_weights, shuffle_labels;
};

/* One finished epoch. */
struct history_row {
    double loss, accuracy, val_loss, val_accuracy;
    double rate; /* of its last step */
};
enum { HISTORY_FIGURES = sizeof(struct history_row) / sizeof(double) };

/* Where a run stands: with the weights, the optimiser's slots and the options, all that the next
 * step depends on. */
struct run_state {
    int start, goal;  /* this run trains the epochs [start, goal) */
    int epoch, batch; /* finished epochs; finished batches of the next one */
    uint64_t step;    /* optimiser steps so far */
    double loss_sum;  /* over the pictures of the unfinished epoch */
    int64_t correct, seen;
    int best_epoch; /* 1 .. epoch, the one with the lowest val_loss; 0: none yet */
    double best_loss;
    struct history_row *rows;         /* [goal], the first `epoch` are filled */
    char data_hash[17], val_hash[17]; /* of the pictures; val_hash "" without -dv */
};

/* ---- checkpoint.c ---- */

/* Writes model, optimiser, state and options; whole or not at all. */
enum nn_status checkpoint_write(struct app *app, struct model *model,
                                struct nn_optimizer *optimizer, const struct run_state *state,
                                const struct train_settings *settings);
/* Reads "training": the state, and the options that define the run into `settings`. An option of
 * this command line that contradicts them is an error. */
enum nn_status checkpoint_read(struct run_state *state, struct train_settings *settings,
                               struct app *app, const struct nn_archive *archive);
enum nn_status checkpoint_read_optimizer(struct nn_optimizer *optimizer, struct model *model,
                                         const struct nn_archive *archive, const char *path);
/* A hash over pixels and labels, so that other data are noticed. Not for adversaries. */
enum nn_status checkpoint_hash(char hex[17], struct app *app, const struct ds_pictures *pictures);

/* ---- trainer.c ---- */

struct trainer {
    struct app *app;
    struct nn_context *context;
    const struct train_settings *settings;
    struct model *model;
    struct run_state *state;
    const struct ds_pictures *train_set, *val_set; /* the same one where it was split */
    const uint32_t *train_index, *val_index;
    size_t train_count, val_count;
    const uint16_t *labels, *val_labels;

    struct nn_node *target, *loss;
    struct nn_plan *plan, *val_plan, *statistics_plan;
    struct nn_optimizer *optimizer;
    struct nn_schedule schedule;
    struct vi_augment augment;
    uint32_t *order;                    /* [train_count] the epoch's order */
    float *scratch;                     /* [threads, picture] */
    uint16_t *predicted;                /* [val_count] the last validation's answers */
    float *best;                        /* weights of the best epoch, all of them in node order */
    float *input, *targets, *val_input; /* the plans' */
    const float *logits, *val_logits, *loss_value;
    const uint32_t *gather_index;        /* what the batch at hand is made of */
    bool live;                           /* draw a bar */
    double drawn;                        /* when it was last */
    double epoch_seconds, train_seconds; /* of training alone: this epoch; all of this call */
    int64_t train_images;                /* trained in this call */
    int batches;                         /* per epoch */
    size_t first_batch;                  /* where this call took the epoch up */
};

/* The fields up to val_labels are set; makes the rest. Weights must be in place before. */
enum nn_status trainer_open(struct trainer *trainer);
void trainer_close(struct trainer *trainer);
/* Trains what is left of the epoch at hand, validates, and appends a row to the history.
 * NN_ERROR_INTERRUPTED: the state stands between two batches. `draw` is called after each batch. */
enum nn_status trainer_epoch(struct trainer *trainer,
                             void (*draw)(struct trainer *trainer, size_t batch));
/* Predictions and loss on the validation part, from the weights as they are. */
enum nn_status trainer_validate(struct trainer *trainer, double *loss, double *accuracy);
/* Puts the best epoch's weights over those in an archive that model_put has filled. */
enum nn_status trainer_put_best(const struct trainer *trainer, struct nn_archive *archive);

/* ---- train_report.c ---- */

void report_batch(struct trainer *trainer, size_t batch); /* live bar */
void report_epoch(const struct trainer *trainer, double seconds);
enum nn_status report_plot(struct trainer *trainer, const char *path);
enum nn_status report_csv(struct trainer *trainer, const char *path);
/* Classification report on the validation part: to standard output (error with --json) and, when
 * asked for, into a file. */
enum nn_status report_classes(struct trainer *trainer);
enum nn_status report_json(struct trainer *trainer, double seconds);

#endif
