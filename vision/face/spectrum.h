/* spectrum.h — the power spectrum of a square of pixels. */
#ifndef VISION_FACE_SPECTRUM_H
#define VISION_FACE_SPECTRUM_H

enum { VI_SPECTRUM_MOST = 128 };

/* Rows go in one after the other, in any order; then vi_spectrum_run. `size` is 64 or 128. */
struct vi_spectrum {
    int size;
    /* After the run: |F(v, u)|^2 at [v * size + u], F(v, u) = sum of x(r, c) e^(-2 pi i (vr + uc) /
     * size); frequencies above size / 2 are the negative ones. */
    float power[VI_SPECTRUM_MOST * VI_SPECTRUM_MOST];
    float work[VI_SPECTRUM_MOST * VI_SPECTRUM_MOST];
    float cosine[VI_SPECTRUM_MOST / 2], sine[VI_SPECTRUM_MOST / 2];
};
void vi_spectrum_start(struct vi_spectrum *spectrum, int size);
void vi_spectrum_row(struct vi_spectrum *spectrum, int row, const float *pixels);
void vi_spectrum_run(struct vi_spectrum *spectrum);

#endif
