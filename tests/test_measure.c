/* nn_measure: running statistics become those of the batches it is shown, and nothing drops out. */
#include "nn/nn.h"
#include "tests/test.h"

enum { BATCH = 6, CHANNELS = 5 };

static struct nn_context *context;

struct network {
    struct nn_graph *graph;
    struct nn_node *input, *dropped, *normal, *mean, *variance;
    struct nn_plan *plan;
};

/* input -> dropout 0.5 -> batch norm */
static bool build(struct network *n, bool no_fusion)
{
    n->graph = nn_graph_new(context);
    n->input = nn_input(n->graph, "input", nn_shape4(NN_BATCH, 3, 4, CHANNELS));
    n->dropped = nn_dropout(n->input, 0.5f);
    n->normal = nn_layer_batch_norm(n->dropped, "norm");
    n->mean = nn_find(n->graph, "norm/moving_mean");
    n->variance = nn_find(n->graph, "norm/moving_variance");
    if (nn_initialize(n->graph, 1)) return false;
    struct nn_plan_options options = {
        .batch = BATCH, .statistics = true, .no_fusion = no_fusion, .no_sharing = no_fusion};
    return nn_compile(&n->plan, n->graph, &options) == NN_OK;
}

/* Fills `images` images; adds their mean and variance per channel, times weight, to the sums. */
static void fill(float *x, int images, int round, double mean[CHANNELS], double variance[CHANNELS],
                 double weight)
{
    struct nn_rng rng = nn_rng_make(7, (uint64_t)round);
    int rows = images * 12;
    for (int c = 0; c < CHANNELS; c++) {
        double sum = 0, squares = 0;
        for (int r = 0; r < rows; r++) {
            float value = nn_rng_uniform(&rng, -1, 1 + (float)c) + (float)round;
            x[r * CHANNELS + c] = value;
            sum += (double)value;
        }
        for (int r = 0; r < rows; r++) {
            double off = (double)x[r * CHANNELS + c] - sum / rows;
            squares += off * off;
        }
        mean[c] += weight * sum / rows;
        variance[c] += weight * squares / rows;
    }
}

static void check_means(bool no_fusion)
{
    struct network n = {0};
    const char *kind = no_fusion ? "op by op" : "as compiled";
    if (!CHECK(build(&n, no_fusion), "%s: compiles", kind)) return;
    static const int images[] = {BATCH, BATCH, 3};
    double mean[CHANNELS] = {0}, variance[CHANNELS] = {0};
    int seen = 0;
    for (int i = 0; i < 3; i++) {
        fill(nn_data(n.plan, n.input), images[i], i, mean, variance, images[i] / 15.0);
        seen += images[i];
        CHECK(nn_measure(n.plan, images[i], (float)images[i] / (float)seen) == NN_OK,
              "%s: batch %d", kind, i);
    }
    double worst = 0;
    for (int c = 0; c < CHANNELS; c++) {
        worst = fmax(worst, fabs((double)nn_values(n.mean)[c] - mean[c]));
        worst = fmax(worst, fabs((double)nn_values(n.variance)[c] - variance[c]));
    }
    CHECK(worst < 1e-5, "%s: means of what it was shown, undropped (off by %g)", kind, worst);
    nn_plan_free(&n.plan);
    nn_graph_free(&n.graph);
}

static void check_refusals(void)
{
    struct network n = {0};
    if (!CHECK(build(&n, false), "a plan for statistics")) return;
    CHECK(nn_forward(n.plan, 1) == NN_ERROR_ARGUMENT, "nn_forward refuses it: %s",
          nn_error(context));
    CHECK(nn_backward(n.plan) == NN_ERROR_ARGUMENT, "so does nn_backward");
    CHECK(nn_measure(n.plan, 1, NAN) == NN_ERROR_ARGUMENT, "a weight that is no number");
    CHECK(nn_measure(n.plan, 1, 1.5f) == NN_ERROR_ARGUMENT, "a weight over 1");
    CHECK(nn_measure(n.plan, BATCH + 1, 1) == NN_ERROR_ARGUMENT, "too many images");
    struct nn_plan *plan;
    struct nn_plan_options both = {.batch = 1, .statistics = true, .loss = n.normal};
    CHECK(nn_compile(&plan, n.graph, &both) == NN_ERROR_ARGUMENT && !plan,
          "a loss and statistics at once");
    struct nn_plan_options plain = {.batch = 1};
    CHECK(nn_compile(&plan, n.graph, &plain) == NN_OK, "a plan for inference");
    CHECK(nn_measure(plan, 1, 1) == NN_ERROR_ARGUMENT, "nn_measure refuses that");
    nn_plan_free(&plan);
    nn_plan_free(&n.plan);
    nn_graph_free(&n.graph);
}

int main(void)
{
    if (!CHECK(nn_open(&context, &(struct nn_options){.threads = 2}) == NN_OK, "a context"))
        return test_done();
    size_t before = nn_bytes_allocated(context);
    check_means(false);
    check_means(true);
    check_refusals();
    CHECK(nn_bytes_allocated(context) == before, "nothing leaks");
    nn_close(&context);
    return test_done();
}
