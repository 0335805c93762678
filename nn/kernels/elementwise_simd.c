/*
 * elementwise_simd.c — elementwise.c with vectors; the same bits, but for multiply_add's rounding.
 *
 * The rest that does not fill a vector goes through the same vector arithmetic, partially loaded
 * and stored: where a range is cut must not show in the result.
 */
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

/* y[i] = expression, for the vectors x_ and z_ of what lies at x + i and z + i. */
#define MAP1(y, x, count, expression)                                                              \
    do {                                                                                           \
        size_t i = 0, left = (count);                                                              \
        for (; left >= VF_WIDTH; i += VF_WIDTH, left -= VF_WIDTH) {                                \
            vf x_ = vf_load((x) + i);                                                              \
            vf_store((y) + i, (expression));                                                       \
        }                                                                                          \
        if (left) {                                                                                \
            vf x_ = vf_load_partial((x) + i, (int)left);                                           \
            vf_store_partial((y) + i, (expression), (int)left);                                    \
        }                                                                                          \
    } while (0)
#define MAP2(y, x, z, count, expression)                                                           \
    do {                                                                                           \
        size_t i = 0, left = (count);                                                              \
        for (; left >= VF_WIDTH; i += VF_WIDTH, left -= VF_WIDTH) {                                \
            vf x_ = vf_load((x) + i), z_ = vf_load((z) + i);                                       \
            vf_store((y) + i, (expression));                                                       \
        }                                                                                          \
        if (left) {                                                                                \
            vf x_ = vf_load_partial((x) + i, (int)left);                                           \
            vf z_ = vf_load_partial((z) + i, (int)left);                                           \
            vf_store_partial((y) + i, (expression), (int)left);                                    \
        }                                                                                          \
    } while (0)

static void relu(float *y, const float *x, size_t count)
{
    MAP1(y, x, count, vf_relu(x_));
}

static void relu_backward(float *dx, const float *y, const float *dy, size_t count)
{
    vf zero = vf_zero();
    MAP2(dx, y, dy, count, vf_keep(vf_gt(x_, zero), z_));
}

static void leaky_relu(float *y, const float *x, float slope, size_t count)
{
    vf zero = vf_zero(), slopes = vf_set1(slope);
    MAP1(y, x, count, vf_select_gt(x_, zero, x_, vf_mul(slopes, x_)));
}

static void leaky_relu_backward(float *dx, const float *x, const float *dy, float slope,
                                size_t count)
{
    vf zero = vf_zero(), slopes = vf_set1(slope);
    MAP2(dx, x, dy, count, vf_select_gt(x_, zero, z_, vf_mul(slopes, z_)));
}

static void add(float *y, const float *a, const float *b, size_t count)
{
    MAP2(y, a, b, count, vf_add(x_, z_));
}

static void mul(float *y, const float *a, const float *b, size_t count)
{
    MAP2(y, a, b, count, vf_mul(x_, z_));
}

static void scale(float *y, const float *x, float factor, size_t count)
{
    vf factors = vf_set1(factor);
    MAP1(y, x, count, vf_mul(x_, factors));
}

static void multiply_add(float *y, const float *a, float b, size_t count)
{
    vf factor = vf_set1(b);
    MAP2(y, a, y, count, vf_fma(x_, factor, z_));
}

void NN_LEVEL_NAME(nn_elementwise)(struct nn_kernels *table)
{
    table->relu = relu;
    table->relu_backward = relu_backward;
    table->leaky_relu = leaky_relu;
    table->leaky_relu_backward = leaky_relu_backward;
    table->add = add;
    table->mul = mul;
    table->scale = scale;
    table->multiply_add = multiply_add;
}
