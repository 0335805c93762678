/*
 * synth_camera.c — the camera every sample picture goes through, real or recaptured, with the
 * same distributions: blur, white balance, exposure, contrast, noise, sharpening.
 *
 * Exposure is what makes the classes equal in brightness: mean and deviation of the code values
 * are drawn first, and the picture is developed to meet them.
 */
#include "datasets/synth.h"

/* ---- noise and colour ------------------------------------------------------------------------ */

static float lattice(int x, int y, uint32_t seed)
{
    uint32_t h = (uint32_t)x * 0x9E3779B1u ^ (uint32_t)y * 0x85EBCA77u ^ seed * 0xC2B2AE3Du;
    h = (h ^ h >> 15) * 0x2C1B3C6Du;
    h = (h ^ h >> 12) * 0x297A2D39u;
    return (float)(h >> 8) * (2.0F / 16777216.0F) - 1;
}

float ds_noise(float x, float y, uint32_t seed)
{
    int i = ds_floor(x), j = ds_floor(y);
    float u = x - (float)i, v = y - (float)j;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    float low = ds_lerp(lattice(i, j, seed), lattice(i + 1, j, seed), u);
    float high = ds_lerp(lattice(i, j + 1, seed), lattice(i + 1, j + 1, seed), u);
    return ds_lerp(low, high, v);
}

float ds_srgb_encode(float light)
{
    if (light <= 0.0031308F) return light <= 0 ? 0 : 12.92F * light;
    return light >= 1 ? 1 : 1.055F * powf(light, 1 / 2.4F) - 0.055F;
}

float ds_srgb_decode(float code)
{
    return code <= 0.04045F ? code / 12.92F : powf((code + 0.055F) / 1.055F, 2.4F);
}

struct ds_vec ds_color(uint32_t hex)
{
    return ds_vec(ds_srgb_decode((float)(hex >> 16 & 255) / 255),
                  ds_srgb_decode((float)(hex >> 8 & 255) / 255),
                  ds_srgb_decode((float)(hex & 255) / 255));
}

/* ---- lens ------------------------------------------------------------------------------------ */

enum { REACH = 4 };

/* Gaussian, rows then columns, edges repeated. */
static void blur_axis(float *to, const float *from, int side, int step, int reach,
                      const float weight[REACH + 1])
{
    int other = step == 3 ? 3 * side : 3; /* distance between neighbouring lines */
    for (int line = 0; line < side; line++)
        for (int i = 0; i < side; i++)
            for (int c = 0; c < 3; c++) {
                const float *row = from + line * other + c;
                float sum = weight[0] * row[i * step];
                for (int k = 1; k <= reach; k++) {
                    int low = i - k < 0 ? 0 : i - k, high = i + k >= side ? side - 1 : i + k;
                    sum += weight[k] * (row[low * step] + row[high * step]);
                }
                to[line * other + c + i * step] = sum;
            }
}

static void lens(float *rgb, float *work, int side, float deviation)
{
    float weight[REACH + 1] = {0}, sum = 0;
    int reach = (int)ds_clamp(ceilf(2.5F * deviation), 1, REACH);
    for (int k = 0; k <= reach; k++) {
        weight[k] = expf(-0.5F * (float)(k * k) / (deviation * deviation));
        sum += k ? 2 * weight[k] : weight[k];
    }
    for (int k = 0; k <= reach; k++) weight[k] /= sum;
    blur_axis(work, rgb, side, 3, reach, weight);
    blur_axis(rgb, work, side, 3 * side, reach, weight);
}

/* ---- development ----------------------------------------------------------------------------- */

/* Close to sRGB's curve with a soft shoulder, and much cheaper: light without limit to 0 .. 1.
 * sqrt is within 0.03 of the sRGB curve; x / (x + 0.25) rolls off what would clip. */
static float film(float light)
{
    float x = light > 0 ? light : 0;
    return sqrtf(x * (1 + 0.16F * x) / (1 + x));
}

static void statistics(const float *rgb, int side, float gain, float *mean, float *deviation)
{
    double sum = 0, squares = 0;
    int count = 0;
    for (int i = 0; i < side * side; i += 7, count++) {
        const float *p = rgb + 3 * i;
        double v =
            0.299 * film(gain * p[0]) + 0.587 * film(gain * p[1]) + 0.114 * film(gain * p[2]);
        sum += v;
        squares += v * v;
    }
    *mean = (float)(sum / count);
    *deviation = (float)sqrt(fmax(0, squares / count - sum / count * (sum / count)));
}

/* Gain that makes the mean code `wanted`, by bisection over 2^-6 .. 2^6. */
static float expose(const float *rgb, int side, float wanted, float *mean, float *deviation)
{
    float low = -6, high = 6, gain = 1;
    for (int i = 0; i < 9; i++) {
        float middle = 0.5F * (low + high);
        gain = exp2f(middle);
        statistics(rgb, side, gain, mean, deviation);
        if (*mean < wanted)
            low = middle;
        else
            high = middle;
    }
    return gain;
}

/* About normal with deviation 1: four uniform bytes (Irwin-Hall; variance of a byte is 5461.25). */
static float grain(uint32_t b)
{
    int sum = (int)(b & 255) + (int)(b >> 8 & 255) + (int)(b >> 16 & 255) + (int)(b >> 24);
    return ((float)sum - 510) * (1 / 147.8F);
}

static void sharpen(float *rgb, float *work, int side, float amount)
{
    for (int i = 0; i < side * side * 3; i++) work[i] = rgb[i];
    for (int y = 1; y + 1 < side; y++)
        for (int x = 3; x + 3 < 3 * side; x++) {
            const float *p = work + y * 3 * side + x;
            float around = 0.25F * (p[-3] + p[3] + p[-3 * side] + p[3 * side]);
            rgb[y * 3 * side + x] += amount * (*p - around);
        }
}

void ds_camera(uint8_t *to, float *rgb, float *work, int side, float blur, struct nn_rng *rng)
{
    float wanted_mean = nn_rng_uniform(rng, 0.36F, 0.56F);
    float wanted_deviation = nn_rng_uniform(rng, 0.15F, 0.24F);
    float warm = nn_rng_uniform(rng, -0.10F, 0.10F), green = nn_rng_uniform(rng, -0.04F, 0.04F);
    float noise = nn_rng_uniform(rng, 0.003F, 0.025F), crisp = nn_rng_uniform(rng, 0, 0.7F);
    float vivid = nn_rng_uniform(rng, 0.72F, 1.02F), mean, deviation;
    const float balance[3] = {1 + warm, 1 + green, 1 - warm};
    uint64_t key = (uint64_t)nn_rng_u32(rng) << 32;
    key |= nn_rng_u32(rng);
    lens(rgb, work, side, blur);
    for (int i = 0; i < side * side; i++)
        for (int c = 0; c < 3; c++) rgb[3 * i + c] *= balance[c];
    float gain = expose(rgb, side, wanted_mean, &mean, &deviation);
    float contrast = ds_clamp(wanted_deviation / (deviation + 1e-3F), 0.5F, 2.0F);
    for (int i = 0; i < side * side; i++) {
        float *p = rgb + 3 * i, code[3];
        for (int c = 0; c < 3; c++) code[c] = wanted_mean + contrast * (film(gain * p[c]) - mean);
        float grey = 0.299F * code[0] + 0.587F * code[1] + 0.114F * code[2];
        uint32_t bits[4];
        nn_philox(bits, key, (uint64_t)i, 0);
        float common = grain(bits[3]);
        for (int c = 0; c < 3; c++) /* chroma noise is a fifth of luma noise, as after denoising */
            p[c] =
                grey + vivid * (code[c] - grey) + noise * (0.98F * common + 0.20F * grain(bits[c]));
    }
    sharpen(rgb, work, side, crisp);
    for (int i = 0; i < side * side * 3; i++)
        to[i] = (uint8_t)(255 * ds_clamp(rgb[i], 0, 1) + 0.5F);
}
