/*
 * elementwise.c — one number in, one number out, by definition.
 *
 * A NaN stays a NaN on the way forward, so that a diverging network is noticed: relu is written
 * as 0 > x ? 0 : x, which is false for a NaN and lets it through.
 */
#include "nn/kernels/kernels.h"

static void relu(float *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = 0.0f > x[i] ? 0.0f : x[i];
}

/* The derivative is 1 where y > 0, else 0; at 0 itself, where there is none, 0 by custom. */
static void relu_backward(float *dx, const float *y, const float *dy, size_t count)
{
    for (size_t i = 0; i < count; i++) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

static void leaky_relu(float *y, const float *x, float slope, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = x[i] > 0.0f ? x[i] : slope * x[i];
}

static void leaky_relu_backward(float *dx, const float *x, const float *dy, float slope,
                                size_t count)
{
    for (size_t i = 0; i < count; i++) dx[i] = x[i] > 0.0f ? dy[i] : slope * dy[i];
}

static void add(float *y, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = a[i] + b[i];
}

static void mul(float *y, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = a[i] * b[i];
}

static void scale(float *y, const float *x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = x[i] * factor;
}

static void multiply_add(float *y, const float *a, float b, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] += a[i] * b;
}

void nn_elementwise_scalar(struct nn_kernels *table)
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
