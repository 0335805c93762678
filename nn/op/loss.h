/* loss.h — the attributes both losses have. */
#ifndef NN_OP_LOSS_H
#define NN_OP_LOSS_H

#include "nn/op/op.h"

#include <math.h>

struct nn_loss_attributes {
    float label_smoothing;
    struct nn_floats class_weights; /* count 0: all 1 */
};

#define NN_LOSS_FIELDS                                                                             \
    {"label_smoothing", NN_FIELD_FLOAT, offsetof(struct nn_loss_attributes, label_smoothing)},     \
    {                                                                                              \
        "class_weights", NN_FIELD_FLOATS, offsetof(struct nn_loss_attributes, class_weights)       \
    }

/* Checks what options or a file asked for; `classes` weights, or none. */
static inline enum nn_status nn_loss_check(struct nn_node *node, int classes)
{
    const struct nn_loss_attributes *attributes = node->attributes;
    const struct nn_floats *weights = &attributes->class_weights;
    if (!(attributes->label_smoothing >= 0.0f && attributes->label_smoothing < 1.0f))
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "%s '%s': expected a label smoothing of 0 or more and less than 1, "
                             "got %g",
                             node->op->name, node->name, (double)attributes->label_smoothing);
    if (weights->count == 0) return NN_OK;
    if (weights->count != classes || !weights->values)
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "%s '%s': expected %d class weights, got %d", node->op->name,
                             node->name, classes, weights->values ? weights->count : 0);
    for (int k = 0; k < classes; k++)
        if (!isfinite(weights->values[k]) || weights->values[k] < 0.0f)
            return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                                 "%s '%s': expected class weights of 0 or more, got %g for class "
                                 "%d",
                                 node->op->name, node->name, (double)weights->values[k], k);
    return NN_OK;
}

static inline struct nn_node *nn_loss_append(const struct nn_op *op, struct nn_node *logits,
                                             struct nn_node *target,
                                             const struct nn_loss_options *options, int classes)
{
    struct nn_loss_attributes attributes = {0};
    if (options) attributes.label_smoothing = options->label_smoothing;
    if (options && options->class_weights && logits) {
        float *copy = nn_graph_alloc(logits->graph, (size_t)classes, sizeof *copy);
        if (!copy) return NULL;
        memcpy(copy, options->class_weights, (size_t)classes * sizeof *copy);
        attributes.class_weights = (struct nn_floats){classes, copy};
    }
    struct nn_node *inputs[] = {logits, target};
    return nn_append(op, inputs, 2, &attributes);
}

#endif
