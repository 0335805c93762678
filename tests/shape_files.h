/*
 * shape_files.h — small shape predictors, written here as dlib would: for the tests of landmarks,
 * and as seeds for the fuzzer (`test_landmarks --corpus tests/fuzz/corpus/shape`).
 */
#ifndef SHAPE_FILES_H
#define SHAPE_FILES_H

#include "nn/nn.h"
#include "tests/test.h"

enum { TINY_POINTS = 68, TINY_STAGES = 2, TINY_TREES = 3, TINY_SPLITS = 3, TINY_PIXELS = 6 };

struct tiny_tree {
    int first[TINY_SPLITS], second[TINY_SPLITS];
    double threshold[TINY_SPLITS];
    float leaf[TINY_SPLITS + 1][2 * TINY_POINTS];
};
struct tiny_stage {
    int anchor[TINY_PIXELS];
    float offset[2 * TINY_PIXELS];
    struct tiny_tree tree[TINY_TREES];
};
struct tiny_shape {
    int points, stages, trees, splits, pixels; /* of what there is room for */
    float mean[2 * TINY_POINTS];
    struct tiny_stage stage[TINY_STAGES];
};

struct shape_file {
    uint8_t bytes[1 << 16];
    size_t size;
};

static inline void shape_put_integer(struct shape_file *file, long long value)
{
    unsigned long long magnitude = (unsigned long long)(value < 0 ? -value : value);
    uint8_t *head = &file->bytes[file->size++];
    *head = value < 0 ? 0x80 : 0;
    do {
        if (file->size >= sizeof file->bytes) abort();
        file->bytes[file->size++] = (uint8_t)magnitude;
        magnitude >>= 8;
        ++*head;
    } while (magnitude);
}

/* As dlib: as few bytes as do. */
static inline void shape_put_float(struct shape_file *file, double value)
{
    int exponent;
    long long mantissa = (long long)(frexp((double)(float)value, &exponent) * 16777216.0);
    exponent -= 24;
    for (; mantissa && mantissa % 256 == 0; exponent += 8) mantissa /= 256;
    shape_put_integer(file, mantissa);
    shape_put_integer(file, mantissa ? exponent : 40);
}

static inline void shape_put_column(struct shape_file *file, const float *values, int count)
{
    shape_put_integer(file, -count);
    shape_put_integer(file, -1);
    for (int i = 0; i < count; i++) shape_put_float(file, (double)values[i]);
}

static inline void shape_put_tree(struct shape_file *file, const struct tiny_shape *tiny,
                                  const struct tiny_tree *tree)
{
    shape_put_integer(file, tiny->splits);
    for (int i = 0; i < tiny->splits; i++) {
        shape_put_integer(file, tree->first[i]);
        shape_put_integer(file, tree->second[i]);
        shape_put_float(file, tree->threshold[i]);
    }
    shape_put_integer(file, tiny->splits + 1);
    for (int i = 0; i <= tiny->splits; i++) shape_put_column(file, tree->leaf[i], 2 * tiny->points);
}

static inline void shape_put(struct shape_file *file, const struct tiny_shape *tiny)
{
    file->size = 0;
    shape_put_integer(file, 1);
    shape_put_column(file, tiny->mean, 2 * tiny->points);
    shape_put_integer(file, tiny->stages);
    for (int i = 0; i < tiny->stages; i++) {
        shape_put_integer(file, tiny->trees);
        for (int j = 0; j < tiny->trees; j++) shape_put_tree(file, tiny, &tiny->stage[i].tree[j]);
    }
    shape_put_integer(file, tiny->stages);
    for (int i = 0; i < tiny->stages; i++) {
        shape_put_integer(file, tiny->pixels);
        for (int j = 0; j < tiny->pixels; j++) shape_put_integer(file, tiny->stage[i].anchor[j]);
    }
    shape_put_integer(file, tiny->stages);
    for (int i = 0; i < tiny->stages; i++) {
        shape_put_integer(file, tiny->pixels);
        for (int j = 0; j < 2 * tiny->pixels; j++)
            shape_put_float(file, (double)tiny->stage[i].offset[j]);
    }
}

/* points, stages, trees, splits, pixels; all else is random. */
static inline void shape_random(struct tiny_shape *tiny, const int counts[5], uint64_t seed)
{
    struct nn_rng rng = nn_rng_make(seed, 1);
    *tiny = (struct tiny_shape){.points = counts[0],
                                .stages = counts[1],
                                .trees = counts[2],
                                .splits = counts[3],
                                .pixels = counts[4]};
    for (int i = 0; i < 2 * tiny->points; i++) tiny->mean[i] = nn_rng_uniform(&rng, 0, 1);
    for (int i = 0; i < tiny->stages; i++) {
        struct tiny_stage *stage = &tiny->stage[i];
        for (int j = 0; j < tiny->pixels; j++) {
            stage->anchor[j] = (int)nn_rng_below(&rng, (uint32_t)tiny->points);
            stage->offset[2 * j] = nn_rng_uniform(&rng, -0.2f, 0.2f);
            stage->offset[2 * j + 1] = nn_rng_uniform(&rng, -0.2f, 0.2f);
        }
        for (int j = 0; j < tiny->trees; j++) {
            struct tiny_tree *tree = &stage->tree[j];
            for (int k = 0; k < tiny->splits; k++) {
                tree->first[k] = (int)nn_rng_below(&rng, (uint32_t)tiny->pixels);
                tree->second[k] = (int)nn_rng_below(&rng, (uint32_t)tiny->pixels);
                tree->threshold[k] = (double)nn_rng_uniform(&rng, -40, 40);
            }
            for (int k = 0; k <= tiny->splits; k++)
                for (int l = 0; l < 2 * tiny->points; l++)
                    tree->leaf[k][l] = nn_rng_uniform(&rng, -0.1f, 0.1f);
        }
    }
}

/* 68 points whose eyes (0.2 boxes wide, in the middle of each side) are open, with an aspect ratio
 * of 0.3, where the middle of the box is brighter than its upper left corner by more than 100, and
 * else closed, with 0.1. */
static inline void shape_eyes(struct tiny_shape *tiny)
{
    static const float EYE[12] = {-0.1f, 0, -0.05f, -1, 0.05f, -1, 0.1f, 0, 0.05f, 1, -0.05f, 1};
    *tiny = (struct tiny_shape){.points = 68, .stages = 1, .trees = 1, .splits = 1, .pixels = 2};
    struct tiny_tree *tree = &tiny->stage[0].tree[0];
    for (int i = 0; i < 68; i++) {
        tiny->mean[2 * i] = (float)(i % 17) / 16;
        tiny->mean[2 * i + 1] = (float)(i / 17 + 1) / 4;
    }
    for (int i = 0; i < 12; i++) {
        const float *from = &EYE[2 * (i % 6)];
        tiny->mean[2 * (36 + i)] = from[0] + (i < 6 ? 0.25f : 0.75f);
        tiny->mean[2 * (36 + i) + 1] = 0.4f;
        tree->leaf[0][2 * (36 + i) + 1] = 0.03f * from[1];
        tree->leaf[1][2 * (36 + i) + 1] = 0.01f * from[1];
    }
    tiny->mean[0] = tiny->mean[1] = 0;
    tiny->mean[60] = tiny->mean[61] = 0.5f;
    tiny->stage[0].anchor[0] = 30;
    tree->second[0] = 1;
    tree->threshold[0] = 100;
}

#endif
