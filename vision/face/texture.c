/*
 * texture.c — what a print or a screen does to a picture: exposure, colour, sharpness, spectrum.
 *
 * The dots of a print and the pixels of a screen are a grid, and so are those of a camera: what one
 * shows of the other has a pattern with one frequency, moire, a peak in the spectrum where skin has
 * none (Garcia & de Queiroz, "Face-Spoofing 2D-Detection Based on Moire-Pattern Analysis", IEEE
 * TIFS 2015). That printing and showing blurs, is in the share of high frequencies (Li, Wang, Tan &
 * Jain, "Live Face Detection Based on the Analysis of Fourier Spectra", SPIE 2004).
 *
 * The spectrum is taken of the middle of the face as the camera saw it: resizing would move peaks,
 * remove them, or make new ones.
 */
#include "vision/face/spectrum.h"
#include "vision/vision.h"

#include <math.h>
#include <string.h>

enum {
    CELLS = 48, /* along each side of the small picture whose sharpness is measured */
    POINTS = 3, /* along each side of a cell, at most: of a large face not every pixel is read */
    BLACK = 5,
    WHITE = 250, /* luma at which a sensor has stopped to measure */
};

struct workspace {
    struct vi_spectrum spectrum;
    float cells[CELLS * CELLS];
};

size_t vi_texture_workspace(void)
{
    return sizeof(struct workspace);
}

/* Rec. 601, 0 .. 255, as vi_to_gray */
static int luma(const uint8_t *pixel)
{
    return (19595 * pixel[0] + 38470 * pixel[1] + 7471 * pixel[2] + 32768) >> 16;
}

/* ---- exposure and colour --------------------------------------------------------------------- */

struct sums {
    int64_t count, luma, squares, clipped;
    double saturation;
};

static int add_point(struct sums *sums, const uint8_t *pixel)
{
    int r = pixel[0], g = pixel[1], b = pixel[2], y = luma(pixel);
    int high = r > g ? r : g, low = r < g ? r : g;
    if (b > high) high = b;
    if (b < low) low = b;
    if (high) sums->saturation += (double)(high - low) / high;
    sums->count++;
    sums->luma += y;
    sums->squares += (int64_t)y * y;
    sums->clipped += y <= BLACK || y >= WHITE;
    return y;
}

/* Point i of `count` in the cell: the middles of its parts. */
static int place(int cell, int i, int count, int size)
{
    return (int)(((int64_t)(2 * (cell * count + i) + 1) * size) / (2 * CELLS * count));
}

static int points(int size)
{
    int whole = size / CELLS;
    return whole < 1 ? 1 : whole > POINTS ? POINTS : whole;
}

static void add_cells(struct sums *sums, float *cells, const struct vi_image *face)
{
    const int across = points(face->width), along = points(face->height);
    for (int y = 0; y < CELLS; y++)
        for (int x = 0; x < CELLS; x++) {
            int sum = 0;
            for (int j = 0; j < along; j++) {
                const uint8_t *row = face->pixels + place(y, j, along, face->height) * face->stride;
                for (int i = 0; i < across; i++)
                    sum += add_point(sums, row + place(x, i, across, face->width) * 3);
            }
            cells[y * CELLS + x] = (float)sum / (float)(across * along);
        }
}

/* Variance of the Laplacian (Pech-Pacheco et al. 2000), 0 .. 255 a pixel. */
static double sharpness(const float *cells)
{
    double sum = 0, squares = 0;
    for (int y = 1; y < CELLS - 1; y++)
        for (int x = 1; x < CELLS - 1; x++) {
            const float *at = cells + y * CELLS + x;
            double value = (double)at[-1] + at[1] + at[-CELLS] + at[CELLS] - 4 * (double)*at;
            sum += value;
            squares += value * value;
        }
    const double count = (CELLS - 2) * (CELLS - 2);
    return squares / count - sum / count * (sum / count);
}

/* ---- spectrum -------------------------------------------------------------------------------- */

/* The middle of the face, less its mean, under a Hann window: the square's edges would be a cross
 * in the spectrum. */
static void take_spectrum(struct vi_spectrum *spectrum, const struct vi_image *face, int size)
{
    float window[VI_SPECTRUM_MOST], row[VI_SPECTRUM_MOST];
    const uint8_t *corner = face->pixels + (face->height - size) / 2 * face->stride +
                            (ptrdiff_t)((face->width - size) / 2) * 3;
    int64_t sum = 0;
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) sum += luma(corner + y * face->stride + (ptrdiff_t)x * 3);
    const float mean = (float)sum / (float)(size * size);
    vi_spectrum_start(spectrum, size);
    for (int k = 0; k < size; k++)
        window[k] = (float)(0.5 - 0.5 * cos(6.283185307179586 * (k + 0.5) / size));
    for (int y = 0; y < size; y++) {
        for (int x = 0; x < size; x++) {
            int value = luma(corner + y * face->stride + (ptrdiff_t)x * 3);
            row[x] = ((float)value - mean) * window[x] * window[y];
        }
        vi_spectrum_row(spectrum, y, row);
    }
    vi_spectrum_run(spectrum);
}

/* Share of the energy beyond a quarter of a cycle per pixel, half of what a picture can hold; the
 * window's own width around 0 is left out. */
static double high_share(const struct vi_spectrum *spectrum)
{
    const int size = spectrum->size;
    double all = 0, high = 0;
    for (int v = 0; v < size; v++)
        for (int u = 0; u < size; u++) {
            int y = v < size / 2 ? v : v - size, x = u < size / 2 ? u : u - size;
            float power = spectrum->power[v * size + u];
            if (x * x + y * y > 6) all += power;
            if (16 * (x * x + y * y) > size * size) high += power;
        }
    return all > 0 ? high / all : 0;
}

/* Below so many cycles per pixel a face has shapes of its own. */
static const double lowest = 0.1;
/* The logarithm of a single spectrum of noise has this deviation, whatever the noise: pi / sqrt(6),
 * that of the logarithm of an exponentially distributed power. */
static const double deviation = 1.2825498;
/* On the axes there are streaks of upright and level edges (frames of pictures, shelves): a peak
 * must be so many deviations higher to count the same. Of live faces' pictures, one in 500 has an
 * axis peak above 3, none above 3.4; elsewhere none is above 2.7. */
static const double axis_discount = 0.75;
enum { AXIS = 2, GRID = 1 }; /* bins that belong to an axis, to a point of JPEG's grid */

/* JPEG and video codecs work in blocks of 8 (or 4, 16) pixels: their borders are peaks at multiples
 * of 1/8 cycle per pixel, in both directions at once. */
static bool is_block_grid(int x, int y, int size)
{
    const int step = size / 8;
    const int a = (x + size + step / 2) % step - step / 2,
              b = (y + size + step / 2) % step - step / 2;
    return a >= -GRID && a <= GRID && b >= -GRID && b <= GRID;
}

/* Sum of the square of bins from -radius to +radius around (y, x). */
static double around(const float *logs, int size, int y, int x, int radius)
{
    double sum = 0;
    for (int j = y - radius; j <= y + radius; j++) {
        const float *row = logs + (j & (size - 1)) * size;
        for (int i = x - radius; i <= x + radius; i++) sum += row[i & (size - 1)];
    }
    return sum;
}

static bool is_summit(const float *logs, int size, int y, int x)
{
    const float value = logs[y * size + x];
    for (int j = y - 1; j <= y + 1; j++)
        for (int i = x - 1; i <= x + 1; i++)
            if (logs[(j & (size - 1)) * size + (i & (size - 1))] > value) return false;
    return true;
}

static double strongest_peak(struct vi_spectrum *spectrum)
{
    const int size = spectrum->size, radius = size < VI_SPECTRUM_MOST ? 4 : 5;
    const int outer = (2 * radius + 1) * (2 * radius + 1), inner = 9;
    float *logs = spectrum->work;
    double best = 0;
    /* Rounding to 8 bits is noise of variance 1/12, times the window's energy, (3/8)^2 per pixel:
     * what is below is nothing. */
    const float floor = 0.0117F * (float)(size * size);
    for (int i = 0; i < size * size; i++) logs[i] = logf(spectrum->power[i] + floor);
    for (int v = 0; v < size; v++)
        for (int u = 0; u <= size / 2; u++) {
            const int y = v < size / 2 ? v : v - size;
            if (u * u + y * y < lowest * lowest * size * size || is_block_grid(u, y, size) ||
                !is_summit(logs, size, v, u))
                continue;
            /* The window makes a peak three bins wide: these are no surroundings. */
            double sum = around(logs, size, v, u, radius) - around(logs, size, v, u, 1);
            double height = (logs[v * size + u] - sum / (outer - inner)) / deviation;
            if (u <= AXIS || y * y <= AXIS * AXIS) height -= axis_discount;
            if (height > best) best = height;
        }
    return best;
}

/* ---- all ------------------------------------------------------------------------------------- */

void vi_texture_measure(struct vi_texture *texture, const struct vi_image *face, void *workspace)
{
    struct workspace *work = workspace;
    struct sums sums = {.count = 0};
    *texture = (struct vi_texture){.size = face->width < face->height ? face->width : face->height};
    if (texture->size < 1) return;
    add_cells(&sums, work->cells, face);
    const double count = (double)sums.count, mean = (double)sums.luma / count;
    texture->brightness = mean / 255;
    texture->contrast = sqrt(fmax((double)sums.squares / count - mean * mean, 0)) / 255;
    texture->clipped = (double)sums.clipped / count;
    texture->saturation = sums.saturation / count;
    texture->sharpness = sharpness(work->cells);
    if (texture->size < VI_SPECTRUM_MOST / 2) return;
    take_spectrum(&work->spectrum, face,
                  texture->size < VI_SPECTRUM_MOST ? VI_SPECTRUM_MOST / 2 : VI_SPECTRUM_MOST);
    texture->high = high_share(&work->spectrum);
    texture->moire = strongest_peak(&work->spectrum);
}
