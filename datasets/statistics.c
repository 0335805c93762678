/*
 * statistics.c — the incomplete beta function and Clopper & Pearson's interval.
 *
 * C. Clopper, E. Pearson, "The use of confidence or fiducial limits illustrated in the case of
 * the binomial", Biometrika 26 (1934): with k errors among n, the limits are the rates at which k
 * or more (k or fewer) errors still have probability 2.5 %. A binomial tail is a beta integral:
 * P(X >= k) = I_rate(k, n - k + 1).
 */
#include "datasets/internal.h"

#include <math.h>

/* ln Gamma(x), x > 0, by Stirling's series (Abramowitz & Stegun 6.1.41), which at x >= 16 is
 * exact to 1e-16 after five terms; smaller x are raised by Gamma(x) = Gamma(x + 1) / x. The
 * library's lgamma writes a global. */
static double log_gamma(double x)
{
    double product = 1;
    while (x < 16) product *= x++;
    double s = 1 / (x * x);
    double series = 1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s / 1188)));
    return (x - 0.5) * log(x) - x + 0.91893853320467274178 + series / x - log(product);
}

/* The continued fraction of I_x(a, b) (Abramowitz & Stegun 26.5.8),
 *     1 / (1 + d_1 / (1 + d_2 / (1 + ...))),
 *     d_2m   =  m (b - m) x / ((a + 2m - 1) (a + 2m)),
 *     d_2m+1 = -(a + m) (a + b + m) x / ((a + 2m) (a + 2m + 1)),
 * evaluated forwards by Lentz' method (Applied Optics 15, 1976). It converges in O(sqrt(max(a,b)))
 * steps for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
    enum { MOST = 10000000 };
    const double tiny = 1e-300; /* in place of a division by zero */
    double c = 1, d = 0, value = 1;
    for (int i = 0; i < MOST; i++) {
        const int half = i / 2;
        double m = half, step;
        if (i == 0)
            step = 1;
        else if (i % 2 == 0)
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        else
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + step * d;
        if (fabs(d) < tiny) d = tiny;
        d = 1 / d;
        c = 1 + step / c;
        if (fabs(c) < tiny) c = tiny;
        value *= c * d;
        if (i > 0 && fabs(c * d - 1) < 1e-16) break;
    }
    return value - 1;
}

double ds_beta_cdf(double x, double a, double b)
{
    if (!(x > 0)) return 0;
    if (!(x < 1)) return 1;
    /* On the far side of the mean the fraction converges slowly: I_x(a,b) = 1 - I_{1-x}(b,a). */
    if (x > (a + 1) / (a + b + 2)) return 1 - ds_beta_cdf(1 - x, b, a);
    double log_front = a * log(x) + b * log1p(-x) + log_gamma(a + b) - log_gamma(a) - log_gamma(b);
    return exp(log_front) / a * beta_fraction(x, a, b);
}

double ds_beta_quantile(double p, double a, double b)
{
    /* Halving until no number lies between: some 60 steps, more only for tiny answers. */
    double low = 0, high = 1;
    for (;;) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high) return middle;
        if (ds_beta_cdf(middle, a, b) < p)
            low = middle;
        else
            high = middle;
    }
}

struct ds_rate ds_rate_make(int64_t errors, int64_t total)
{
    struct ds_rate rate = {NAN, NAN, NAN, errors, total};
    if (total <= 0 || errors < 0 || errors > total) return rate;
    double k = (double)errors, n = (double)total;
    rate.value = k / n;
    rate.low = errors > 0 ? ds_beta_quantile(0.025, k, n - k + 1) : 0;
    rate.high = errors < total ? ds_beta_quantile(0.975, k + 1, n - k) : 1;
    return rate;
}
