/*
 * spectrum.c — a two-dimensional Fourier transform of real numbers, radix 2 (Cooley & Tukey 1965).
 *
 * Neighbours in a row are taken for the real and the imaginary part of one number: that halves the
 * work, and the two are taken apart at the end. Both directions are transformed down the columns,
 * all columns side by side, with a transposition between, so that the innermost loop goes along
 * memory and compilers make vectors of it.
 */
#include "vision/face/spectrum.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { LANES = 32 }; /* columns are a multiple of this many */

static const double pi = 3.14159265358979323846;

void vi_spectrum_start(struct vi_spectrum *spectrum, int size)
{
    assert(size == 2 * LANES || size == VI_SPECTRUM_MOST);
    spectrum->size = size;
    for (int k = 0; k < size / 2; k++) {
        spectrum->cosine[k] = (float)cos(2 * pi * k / size);
        spectrum->sine[k] = (float)sin(2 * pi * k / size);
    }
}

/* The bits of `row`, of `rows` = 2^n, from last to first: where the transform in place wants it. */
static int reversed(int row, int rows)
{
    int result = 0;
    for (int bit = 1; bit < rows; bit *= 2) {
        result = 2 * result + (row & 1);
        row >>= 1;
    }
    return result;
}

void vi_spectrum_row(struct vi_spectrum *spectrum, int row, const float *pixels)
{
    const int half = spectrum->size / 2;
    float *re = spectrum->power + reversed(row, spectrum->size) * half;
    float *im = re + spectrum->size * half;
    for (int k = 0; k < half; k++) {
        re[k] = pixels[2 * k];
        im[k] = pixels[2 * k + 1];
    }
}

/* (a, b) -> (a + w b, a - w b) */
static void butterfly(float *restrict a_re, float *restrict a_im, float *restrict b_re,
                      float *restrict b_im, const float w[2])
{
    const float w_re = w[0], w_im = w[1];
    for (int k = 0; k < LANES; k++) {
        float re = w_re * b_re[k] - w_im * b_im[k], im = w_re * b_im[k] + w_im * b_re[k];
        b_re[k] = a_re[k] - re;
        b_im[k] = a_im[k] - im;
        a_re[k] += re;
        a_im[k] += im;
    }
}

/* The columns of re and im, [rows][columns] each. */
static void transform(const struct vi_spectrum *spectrum, float *re, int rows, int columns)
{
    float *im = re + rows * columns;
    for (int half = 1; half < rows; half *= 2)
        for (int first = 0; first < rows; first += 2 * half)
            for (int k = 0; k < half; k++) {
                const int turn = k * (spectrum->size / (2 * half));
                const float w[2] = {spectrum->cosine[turn], -spectrum->sine[turn]};
                const int a = (first + k) * columns, b = a + half * columns;
                for (int at = 0; at < columns; at += LANES)
                    butterfly(re + a + at, im + a + at, re + b + at, im + b + at, w);
            }
}

/* to[reversed(column)][row] = from[row][column] */
static void transpose(float *to, const float *from, int rows, int columns)
{
    for (int c = 0; c < columns; c++) {
        float *line = to + reversed(c, columns) * rows;
        for (int r = 0; r < rows; r++) line[r] = from[r * columns + c];
    }
}

/* z = even + i odd columns. With Z' the conjugate of Z at the negative frequency, E = (Z + Z') / 2
 * and O = (Z - Z') / 2i are their transforms, and F = E + e^(-2 pi i u / size) O. */
static void take_apart(struct vi_spectrum *spectrum)
{
    const int size = spectrum->size, half = size / 2;
    const float *re = spectrum->work, *im = re + half * size;
    assert(half > 0);
    for (int u = 0; u <= half; u++) {
        const int from = u % half * size, mirror = (half - u) % half * size;
        const float cosine = u < half ? spectrum->cosine[u] : -1;
        const float sine = u < half ? spectrum->sine[u] : 0;
        for (int v = 0; v < size; v++) {
            const int a = from + v, b = mirror + (size - v) % size;
            float even_re = re[a] + re[b], even_im = im[a] - im[b];
            float odd_re = im[a] + im[b], odd_im = re[b] - re[a];
            float f_re = even_re + cosine * odd_re + sine * odd_im;
            float f_im = even_im + cosine * odd_im - sine * odd_re;
            float power = (f_re * f_re + f_im * f_im) / 4;
            spectrum->power[v * size + u] = power;
            spectrum->power[(size - v) % size * size + (size - u) % size] = power;
        }
    }
}

void vi_spectrum_run(struct vi_spectrum *spectrum)
{
    const int size = spectrum->size, half = size / 2;
    transform(spectrum, spectrum->power, size, half);
    transpose(spectrum->work, spectrum->power, size, half);
    transpose(spectrum->work + size * half, spectrum->power + size * half, size, half);
    transform(spectrum, spectrum->work, half, size);
    take_apart(spectrum);
}
