/*
 * check_kernels_peak.c — the kernel that measures the peak computes what it says: a loop that does
 * less than its contract would flatter the machine and slander every other kernel.
 */
#include "tests/check_kernels.h"

static void check_once(struct subject *s, size_t count, int shift, size_t rounds)
{
    static double want[1024], bound[1024];
    const float a = -0.75f, b = 1.25f;
    float *x = place_filled(0, count, shift, SIGNED);
    for (size_t i = 0; i < count; i++) {
        want[i] = x[i];
        bound[i] = 0;
        /* Two roundings a round, of numbers below 4; errors shrink by |a| from round to round. */
        for (size_t r = 0; r < rounds; r++) {
            want[i] = want[i] * (double)a + (double)b;
            bound[i] = bound[i] * 0.75 + 4 * 2 * ROUNDING;
        }
    }
    s->kernels.fma_peak(x, a, b, count, rounds);
    expect_true(s, margins_intact(0), "margins written");
    expect(s, x, want, rounds ? bound : NULL, count, "result");
}

static void check_fma_peak(struct subject *s)
{
    for (size_t count = 0; count < 420; count++) check_once(s, count, (int)count % 3, count % 12);
    check_once(s, 1000, 1, 100);
}

int main(void)
{
    static const struct check CHECKS[] = {{"fma_peak", check_fma_peak}};
    check_all(CHECKS, 1);
    return test_done();
}
