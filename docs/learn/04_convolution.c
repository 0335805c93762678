/*
 * 04_convolution.c — a convolution twice: by the formula, as seven loops, and by the engine. Same
 * numbers, and the time that each takes. See 04_convolution.md.
 */
#include "nn/nn.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

/* LivenessNet's second layer: most of its work is of this kind. */
enum { N = 8, H = 32, W = 32, C = 16, K = 16, R = 3, S = 3, REPEATS = 20 };

/* y[n,h,w,k] = b[k] + sum_{r,s,c} x[n, h+r-1, w+s-1, c] w[r,s,c,k], zeros outside the picture */
static void by_formula(float *y, const float *x, const float *w, const float *b)
{
    for (int n = 0; n < N; n++)
        for (int h = 0; h < H; h++)
            for (int q = 0; q < W; q++)
                for (int k = 0; k < K; k++) {
                    float sum = b[k];
                    for (int r = 0; r < R; r++)
                        for (int s = 0; s < S; s++) {
                            int row = h + r - 1, column = q + s - 1;
                            if (row < 0 || row >= H || column < 0 || column >= W) continue;
                            const float *pixel = x + ((n * H + row) * W + column) * C;
                            for (int c = 0; c < C; c++)
                                sum += pixel[c] * w[((r * S + s) * C + c) * K + k];
                        }
                    y[((n * H + h) * W + q) * K + k] = sum;
                }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void tell(const char *who, double seconds)
{
    double multiply_adds = (double)N * H * W * K * R * S * C;
    printf("%-12s %8.3f ms  %6.1f GFLOP/s\n", who, 1e3 * seconds, 2e-9 * multiply_adds / seconds);
}

int main(void)
{
    struct nn_context *context;
    struct nn_plan *plan = NULL;
    struct nn_graph *graph = NULL;
    float *expected = NULL;
    double worst = 1;
    if (nn_open(&context, &(struct nn_options){.threads = 1})) goto done;
    graph = nn_graph_new(context);
    struct nn_node *x = nn_input(graph, "x", nn_shape4(NN_BATCH, H, W, C));
    struct nn_node *y = nn_layer_conv2d(x, "conv", K, R, S, NULL);
    expected = nn_alloc(context, (size_t)N * H * W * K, sizeof *expected);
    if (!graph || !expected || nn_initialize(graph, 1)) goto done;
    if (nn_compile(&plan, graph, &(struct nn_plan_options){.batch = N})) goto done;

    struct nn_rng rng = nn_rng_make(1, 0);
    for (int i = 0; i < N * H * W * C; i++) nn_data(plan, x)[i] = nn_rng_normal(&rng);
    const float *w = nn_values(nn_find(graph, "conv/kernel"));
    const float *b = nn_values(nn_find(graph, "conv/bias"));

    double start = now();
    by_formula(expected, nn_data(plan, x), w, b);
    tell("by formula", now() - start);

    if (nn_forward(plan, N)) goto done; /* the first run packs weights and fetches memory */
    start = now();
    for (int i = 0; i < REPEATS; i++) nn_forward(plan, N);
    tell(nn_cpu(context), (now() - start) / REPEATS);

    worst = 0;
    for (int i = 0; i < N * H * W * K; i++)
        worst = fmax(worst, fabs((double)nn_data(plan, y)[i] - (double)expected[i]));
    printf("largest difference: %.1e\n", worst);
done:
    if (worst == 1) fprintf(stderr, "04_convolution: %s\n", nn_error(context));
    nn_free(context, expected);
    nn_plan_free(&plan);
    nn_graph_free(&graph);
    nn_close(&context);
    return worst < 1e-4 ? 0 : 1;
}
