/*
 * 01_tensors.c — numbers in, numbers out: a graph of one small layer, run forward.
 *
 * Two inputs, three outputs: y = relu(x w + b). See 01_tensors.md.
 */
#include "nn/nn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_table(const char *name, const float *values, int rows, int columns)
{
    for (int r = 0; r < rows; r++) {
        printf("%s", r == 0 ? name : "  ");
        for (int c = 0; c < columns; c++) printf(" %7.2f", (double)values[r * columns + c]);
        printf("\n");
    }
}

int main(void)
{
    struct nn_context *context;
    struct nn_graph *graph = NULL;
    struct nn_plan *plan = NULL;
    int result = 1;
    if (nn_open(&context, NULL)) goto done; /* NULL: all cores, the best kernels */

    /* Build: a line per node. Mistakes stick to the graph, so nothing is checked here. */
    graph = nn_graph_new(context);
    struct nn_node *x = nn_input(graph, "x", nn_shape2(NN_BATCH, 2));
    struct nn_node *w = nn_parameter(graph, "w", nn_shape2(2, 3), NN_ZEROS);
    struct nn_node *b = nn_parameter(graph, "b", nn_shape1(3), NN_ZEROS);
    struct nn_node *y = nn_relu(nn_dense(x, w, b));

    /* Compile for up to four rows at once. From here on nothing is allocated. */
    if (!graph || nn_initialize(graph, 1)) goto done;
    if (nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 4})) goto done;

    /* Fill in weights and inputs. */
    const float weights[] = {1, 2, -1, /* from the first input to the three outputs */
                             0, 1, 1}; /* from the second */
    const float bias[] = {0, 0.5f, 0};
    const float inputs[] = {1, 1, /* */ 2, -3};
    memcpy(nn_values(w), weights, sizeof weights);
    memcpy(nn_values(b), bias, sizeof bias);
    nn_parameters_changed(graph);
    memcpy(nn_data(plan, x), inputs, sizeof inputs);

    /* Run: two of the four rows. */
    if (nn_forward(plan, 2)) goto done;
    print_table("x ", inputs, 2, 2);
    print_table("y ", nn_data(plan, y), 2, 3);

    /* By hand: row 0 is relu(1+0, 2+1+.5, -1+1), row 1 relu(2, 4-3+.5, -2-3). */
    const float expected[] = {1, 3.5f, 0, 2, 1.5f, 0};
    result = 0;
    for (int i = 0; i < 6; i++)
        if (fabsf(nn_data(plan, y)[i] - expected[i]) > 1e-6f) result = 1;
    printf("%s\n", result ? "that is not what we found by hand" : "as by hand");
done:
    if (result) fprintf(stderr, "01_tensors: %s\n", nn_error(context));
    nn_plan_free(&plan);
    nn_graph_free(&graph);
    nn_close(&context);
    return result;
}
