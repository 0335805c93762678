/*
 * datasets.h — labelled pictures: folders and zips of them, splits, the sample generator, and
 * the figures that say how good a classifier is on them.
 */
#ifndef DATASETS_H
#define DATASETS_H

#include "nn/nn.h"
#include "vision/vision.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- pictures.c: DIR/<class>/ ** or the same inside a .zip ---------------------------------- */

struct ds_options {
    int width, height;   /* every picture is resized to this (vi_resize) */
    enum vi_color color; /* VI_BGR as cv2.imread, or VI_RGB */
    uint64_t max_pixels; /* per picture before resizing; 0: vi_decode's */
    /* Called from the calling thread now and then; may be NULL. */
    void (*progress)(void *user, size_t done, size_t total);
    void *user;
    const volatile int *stop; /* when it becomes non-zero, loading ends: NN_ERROR_INTERRUPTED */
};

struct ds_bad_file {
    char *path;
    char *reason;
};

/* All pictures of a data set, decoded once and kept as 8-bit: count * height * width * 3 bytes.
 * Classes are the sub-folders in byte order (as scikit-learn's LabelEncoder sorts); pictures are
 * in natural order of their path inside the class ("2.png" before "10.png"). */
struct ds_pictures {
    struct nn_context *context;
    int width, height;
    int classes;
    char **class_names; /* [classes] */
    size_t count;
    uint8_t *pixels;  /* [count, height, width, 3] */
    uint16_t *labels; /* [count] */
    uint16_t *groups; /* [count] index into group_names: first folder below the class */
    char **paths;     /* [count] as found: "fake/print/0001.jpg" */
    int group_count;  /* groups name attack types: "fake/print"; or the class itself */
    char **group_names;
    struct ds_bad_file *bad; /* unreadable files, with the reason */
    size_t bad_count;
};

/* Reads `path` (a folder or a .zip) on all cores. Unreadable pictures are collected in `bad`; a
 * class of which nothing could be read, no class at all, or only one class when `min_classes`
 * asks for two, is an error. Links are followed; loops are noticed. */
enum nn_status ds_load(struct ds_pictures *pictures, struct nn_context *context, const char *path,
                       const struct ds_options *options, int min_classes);
void ds_free(struct ds_pictures *pictures);

/* Reads one picture as the loader does, into to[height*width*3]. */
enum nn_status ds_read_picture(uint8_t *to, struct nn_context *context, const char *path,
                               const struct ds_options *options);

/* ---- split.c --------------------------------------------------------------------------------- */

enum ds_split_kind {
    DS_SPLIT_RANDOM, /* stratified, seeded */
    DS_SPLIT_TAIL    /* the last frames of each class: neighbours of training frames do not leak */
};
struct ds_split {
    uint32_t *train, *val; /* indices into the pictures */
    size_t train_count, val_count;
};
/* `fraction` of each class (rounded, at least one where the class has two or more) is held out. */
enum nn_status ds_split_make(struct ds_split *split, const struct ds_pictures *pictures,
                             enum ds_split_kind kind, double fraction, uint64_t seed);
void ds_split_free(struct nn_context *context, struct ds_split *split);

/* weights[c] = count / (classes * count_c): scikit-learn's "balanced". indices NULL: all. */
void ds_class_weights(float *weights, const struct ds_pictures *pictures, const uint32_t *indices,
                      size_t count);

/* ---- metrics.c: how good the answers are ----------------------------------------------------- */

/* counts[truth * classes + predicted] */
void ds_confusion(int64_t *counts, const uint16_t *truth, const uint16_t *predicted, size_t count,
                  int classes);
/* scikit-learn's classification_report with digits=2, to the character. */
void ds_classification_report(struct nn_text *text, const int64_t *counts, int classes,
                              const char *const *names);

struct ds_rate {
    double value, low, high; /* with its 95 % Clopper-Pearson interval; NaN where undefined */
    int64_t errors, total;
};
/* Clopper & Pearson 1934, from the incomplete beta function. */
struct ds_rate ds_rate_make(int64_t errors, int64_t total);

/* Figures of ISO/IEC 30107-3. A presentation is accepted as live when score >= threshold. */
struct ds_attack {
    const char *name;
    struct ds_rate apcer;
};
struct ds_liveness {
    double threshold;
    struct ds_rate apcer; /* of the worst attack type */
    struct ds_rate bpcer;
    double acer, hter; /* mean of worst-type APCER (HTER: pooled APCER) and BPCER */
    double eer, eer_threshold, auc;
    struct ds_rate bpcer_at_apcer1, bpcer_at_apcer5; /* pooled attacks at most 1 %, 5 % */
    struct ds_attack attacks[32];
    int attack_count;
};
/* score[i] is the probability of "live", live[i] the truth, attack[i] the index of the attack's
 * name (ignored where live). */
enum nn_status ds_liveness_figures(struct ds_liveness *figures, struct nn_context *context,
                                   const double *score, const bool *live, const int *attack,
                                   size_t count, const char *const *attack_names, int attack_count,
                                   double threshold);
/* Points of the ROC: false accepts (attacks accepted) against true accepts, by falling threshold.
 * Arrays have room for count + 1; returns how many. */
size_t ds_roc(double *false_accept, double *true_accept, struct nn_context *context,
              const double *score, const bool *live, size_t count);

/* Index of the class that means a live face: real, live, genuine, bonafide (any case, also
 * "bona_fide", "bona-fide"); `wanted` non-NULL: that name. -1: none. */
int ds_live_class(char *const *class_names, int classes, const char *wanted);

/* ---- synth: the sample generator ------------------------------------------------------------- */

struct ds_synth_options {
    int count; /* pictures in all: half real, half fake (print and screen in turn) */
    int size;  /* pixels; 0: 96 */
    uint64_t seed;
    void (*progress)(void *user, size_t done, size_t total);
    void *user;
    const volatile int *stop;
};
/* Writes DIR/real/NNNN.jpg, DIR/fake/print/NNNN.jpg, DIR/fake/screen/NNNN.jpg and DIR/faces.csv
 * (file,class,attack,xmin,ymin,xmax,ymax,left_eye_x,left_eye_y,right_eye_x,right_eye_y; pixels,
 * left as seen in the picture; attack is none, print or screen). NNNN is the number n of the
 * picture, from 0: even ones are real, 1, 5, 9 ... prints, 3, 7, 11 ... screens. Picture n is a
 * function of (seed, n) alone; made on all cores. DIR is made if it is missing and must be empty
 * (NN_ERROR_ARGUMENT). After an error, or when *stop was seen, what was written is removed. */
enum nn_status ds_synth(struct nn_context *context, const char *directory,
                        const struct ds_synth_options *options);

#ifdef __cplusplus
}
#endif
#endif
