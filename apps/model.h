/*
 * model.h — a model file: weights, architecture, class labels, and how pictures must be prepared.
 *
 * A .safetensors whose metadata hold, besides nn_graph_save's "architecture":
 *   "labels"         JSON: the names of the classes in the order of the outputs
 *   "preprocessing"  JSON: what was done to a picture before the network saw it (below)
 *   "training"       JSON, only where training can be resumed: checkpoint.h
 */
#ifndef APPS_MODEL_H
#define APPS_MODEL_H

#include "apps/app.h"
#include "datasets/datasets.h"

/* The preprocessing contract: resize to width x height (bilinear), order the colours, then
 * (value - mean) * scale. */
struct model_contract {
    int width, height, channels;
    enum vi_color color; /* VI_BGR or VI_RGB */
    double scale, mean[3];
    double
        crop_margin; /* share of the face box added around it before cropping; 0: whole picture */
};

struct model {
    struct nn_context *context;
    struct nn_graph *graph;
    struct nn_node *input, *softmax, *logits;
    struct model_contract contract;
    char **labels;
    int classes;
};

/* A new LivenessNet; its weights are nn_initialize's to draw. `labels` are copied; NULL: none. */
enum nn_status model_new(struct model *model, struct app *app,
                         const struct model_contract *contract, char *const *labels, int classes);
/* Reads and checks everything; unknown is an error. `archive` NULL or where to leave the archive
 * (to be freed by the caller) for what else it holds. */
enum nn_status model_load(struct model *model, struct app *app, const char *path,
                          struct nn_archive **archive);
void model_free(struct model *model);

/* Weights, architecture, labels and contract into an archive. */
enum nn_status model_put(struct model *model, struct nn_archive *archive);

/* Rows of an input buffer from 8-bit pictures. */
void model_fill(float *to, const struct model_contract *contract, const uint8_t *pixels);
/* Do the folders of a data set bear the names of the labels, all of them and no others? Then
 * map[folder] is the label's index (map may be NULL). `owner` is what has the labels. */
enum nn_status model_match_labels(uint16_t *map, struct app *app, char *const *labels, int classes,
                                  const char *owner, const struct ds_pictures *pictures,
                                  const char *path);
/* Unreadable files, each with its reason (the first ten) and their number. */
void model_report_bad(const struct app *app, const struct ds_pictures *pictures);
/* How the loader must deliver pictures to this model. */
struct ds_options model_pictures(const struct model *model);

#endif
