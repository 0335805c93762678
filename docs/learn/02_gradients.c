/*
 * 02_gradients.c — how the loss changes when a weight does: the chain rule against a finite
 * difference, for every weight of a small network. See 02_gradients.md.
 */
#include "nn/nn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { IMAGES = 4, INPUTS = 3, HIDDEN = 5, CLASSES = 2 };

struct network {
    struct nn_graph *graph;
    struct nn_plan *plan;
    struct nn_node *loss;
};

static enum nn_status build(struct network *net, struct nn_context *context)
{
    net->graph = nn_graph_new(context);
    struct nn_node *x = nn_input(net->graph, "x", nn_shape2(NN_BATCH, INPUTS));
    struct nn_node *target = nn_input(net->graph, "target", nn_shape2(NN_BATCH, CLASSES));
    struct nn_node *h = nn_sigmoid(nn_layer_dense(x, "hidden", HIDDEN));
    struct nn_node *logits = nn_layer_dense(h, "output", CLASSES);
    net->loss = nn_softmax_cross_entropy(logits, target, NULL);
    if (!net->graph || nn_initialize(net->graph, 1)) return NN_ERROR_MEMORY;

    /* A plan with a loss can also run backward. */
    if (nn_compile(&net->plan, net->graph,
                   &(struct nn_plan_options){.batch = IMAGES, .loss = net->loss}))
        return NN_ERROR_SHAPE;
    struct nn_rng rng = nn_rng_make(7, 0);
    for (int i = 0; i < IMAGES * INPUTS; i++) nn_data(net->plan, x)[i] = nn_rng_normal(&rng);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        nn_data(net->plan, target)[i] = i % CLASSES == (i / CLASSES) % CLASSES ? 1.0f : 0.0f;
    return NN_OK;
}

static double loss_now(const struct network *net)
{
    nn_parameters_changed(net->graph);
    nn_forward(net->plan, IMAGES);
    return (double)nn_data(net->plan, net->loss)[0];
}

/* (L(w + h) - L(w - h)) / 2h: the error falls with h^2, but rounding grows with 1/h; for floats
 * an h of about 1e-2 is the best of both. */
static double difference(const struct network *net, float *weight)
{
    const float h = 1e-2f, kept = *weight;
    *weight = kept + h;
    double above = loss_now(net);
    *weight = kept - h;
    double below = loss_now(net);
    *weight = kept;
    return (above - below) / (2 * (double)h);
}

static double check_parameter(const struct network *net, struct nn_node *node)
{
    int count = (int)nn_shape_count(nn_node_shape(node));
    double worst = 0;
    for (int i = 0; i < count; i++) {
        double numeric = difference(net, nn_values(node) + i);
        loss_now(net);
        nn_backward(net->plan);
        double exact = (double)nn_gradient(net->plan, node)[i];
        if (i < 2)
            printf("%-14s [%d]  backward %9.6f   difference %9.6f\n", nn_node_name(node), i, exact,
                   numeric);
        if (fabs(exact - numeric) > worst) worst = fabs(exact - numeric);
    }
    return worst;
}

int main(void)
{
    struct nn_context *context;
    struct network net = {NULL, NULL, NULL};
    double worst = 1;
    if (nn_open(&context, NULL) == NN_OK && build(&net, context) == NN_OK) {
        worst = 0;
        for (int i = 0; i < nn_node_count(net.graph); i++) {
            struct nn_node *node = nn_node_at(net.graph, i);
            if (strcmp(nn_node_op(node), "parameter") == 0)
                worst = fmax(worst, check_parameter(&net, node));
        }
        printf("largest disagreement: %.1e\n", worst);
    } else {
        fprintf(stderr, "02_gradients: %s\n", nn_error(context));
    }
    nn_plan_free(&net.plan);
    nn_graph_free(&net.graph);
    nn_close(&context);
    return worst < 1e-4 ? 0 : 1;
}
