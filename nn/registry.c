/*
 * registry.c — the ops by name. The list is made from the file names in nn/op: a new file is a
 * new op, `nn/op/relu.c` defines `nn_op_relu`.
 */
#include "nn/internal.h"

#include <string.h>

#define NN_OP(name) extern const struct nn_op nn_op_##name;
#include "ops.inc"
#undef NN_OP

static const struct nn_op *const OPS[] = {
#define NN_OP(name) &nn_op_##name,
#include "ops.inc"
#undef NN_OP
};
enum { OP_COUNT = sizeof OPS / sizeof *OPS };

const struct nn_op *nn_op_at(int index)
{
    return index >= 0 && index < OP_COUNT ? OPS[index] : NULL;
}

const struct nn_op *nn_op_find(const char *name)
{
    for (int i = 0; i < OP_COUNT; i++)
        if (strcmp(OPS[i]->name, name) == 0) return OPS[i];
    return NULL;
}
