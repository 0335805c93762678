/*
 * split.c — which pictures are held out, and what each class weighs.
 */
#include "datasets/internal.h"

#include <math.h>
#include <string.h>

static const uint64_t SPLIT_STREAM = UINT64_C(0x5B117) << 32; /* + class: a stream of its own */

/* round(fraction * n), but at least one on either side where there are two to share. */
static size_t held_out(double fraction, size_t n)
{
    if (fraction == 0 || n < 2) return 0;
    size_t held = (size_t)floor(fraction * (double)n + 0.5);
    if (held < 1) return 1;
    return held < n ? held : n - 1;
}

/* Sorts the indices by class (their order within a class stays): order[end[c-1] .. end[c]) are
 * those of class c. Labels may come in any order, shuffled ones too. */
static void sort_by_class(uint32_t *order, uint32_t *end, const struct ds_pictures *pictures)
{
    for (size_t i = 0; i < pictures->count; i++) end[pictures->labels[i]]++;
    uint32_t begin = 0;
    for (int c = 0; c < pictures->classes; c++) {
        uint32_t n = end[c];
        end[c] = begin;
        begin += n;
    }
    for (size_t i = 0; i < pictures->count; i++) order[end[pictures->labels[i]]++] = (uint32_t)i;
}

/* Marks what is held out of each class. */
static void mark(uint8_t *held, uint32_t *order, const uint32_t *end, int classes,
                 enum ds_split_kind kind, double fraction, uint64_t seed)
{
    for (int c = 0; c < classes; c++) {
        uint32_t begin = c ? end[c - 1] : 0;
        size_t n = end[c] - begin, kept = n - held_out(fraction, n);
        if (kind == DS_SPLIT_RANDOM) {
            struct nn_rng rng = nn_rng_make(seed, SPLIT_STREAM + (uint64_t)c);
            nn_rng_shuffle(&rng, order + begin, n);
        }
        for (size_t i = kept; i < n; i++) held[order[begin + i]] = 1;
    }
}

enum nn_status ds_split_make(struct ds_split *split, const struct ds_pictures *pictures,
                             enum ds_split_kind kind, double fraction, uint64_t seed)
{
    struct nn_context *context = pictures->context;
    size_t count = pictures->count, held_count = 0;
    *split = (struct ds_split){0};
    if (!(fraction >= 0 && fraction < 1)) /* also NaN */
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "validation fraction: expected at least 0 and less than 1, got %g",
                       fraction);
    if (kind != DS_SPLIT_RANDOM && kind != DS_SPLIT_TAIL)
        return nn_fail(context, NN_ERROR_ARGUMENT, "split: expected random or tail");
    if (count > UINT32_MAX)
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%zu pictures are too many to split", count);
    uint8_t *held = nn_alloc(context, count, 1);
    uint32_t *order = nn_alloc(context, count, sizeof *order);
    uint32_t *end = nn_alloc(context, (size_t)pictures->classes, sizeof *end);
    enum nn_status status = NN_ERROR_MEMORY;
    if (!held || !order || !end) goto done;
    sort_by_class(order, end, pictures);
    mark(held, order, end, pictures->classes, kind, fraction, seed);
    for (size_t i = 0; i < count; i++) held_count += held[i];
    split->train = nn_alloc(context, count - held_count, sizeof *split->train);
    split->val = nn_alloc(context, held_count, sizeof *split->val);
    if (!split->train || !split->val) goto done;
    for (size_t i = 0; i < count; i++) {
        if (held[i])
            split->val[split->val_count++] = (uint32_t)i;
        else
            split->train[split->train_count++] = (uint32_t)i;
    }
    status = NN_OK;
done:
    if (status) ds_split_free(context, split);
    nn_free(context, end);
    nn_free(context, order);
    nn_free(context, held);
    return status;
}

void ds_split_free(struct nn_context *context, struct ds_split *split)
{
    nn_free(context, split->train);
    nn_free(context, split->val);
    *split = (struct ds_split){0};
}

void ds_class_weights(float *weights, const struct ds_pictures *pictures, const uint32_t *indices,
                      size_t count)
{
    if (!indices) count = pictures->count;
    /* One pass; the counts are whole numbers kept where the weights will be. */
    const size_t size = sizeof *weights;
    for (int c = 0; c < pictures->classes; c++) memset(&weights[c], 0, size);
    for (size_t i = 0; i < count; i++) {
        float *slot = &weights[pictures->labels[indices ? indices[i] : i]];
        uint32_t n;
        memcpy(&n, slot, size);
        n++;
        memcpy(slot, &n, size);
    }
    for (int c = 0; c < pictures->classes; c++) {
        uint32_t n;
        memcpy(&n, &weights[c], size);
        /* A class that does not occur weighs nothing, instead of infinitely much. */
        double balanced = n ? (double)count / ((double)pictures->classes * n) : 0;
        weights[c] = (float)balanced;
    }
}
