/* shape.c — dimensions of a tensor. */
#include "nn/internal.h"

#include <stdio.h>
#include <string.h>

struct nn_shape nn_shape1(int a)
{
    return (struct nn_shape){1, {a, 0, 0, 0}};
}

struct nn_shape nn_shape2(int a, int b)
{
    return (struct nn_shape){2, {a, b, 0, 0}};
}

struct nn_shape nn_shape4(int a, int b, int c, int d)
{
    return (struct nn_shape){4, {a, b, c, d}};
}

bool nn_shape_equal(struct nn_shape a, struct nn_shape b)
{
    return a.rank == b.rank && memcmp(a.dim, b.dim, (size_t)a.rank * sizeof *a.dim) == 0;
}

size_t nn_shape_count(struct nn_shape shape)
{
    size_t count = 1;
    for (int i = 0; i < shape.rank; i++) {
        size_t dim = i == 0 && shape.dim[0] == NN_BATCH ? 1 : (size_t)shape.dim[i];
        if (shape.dim[i] < 0 || !nn_size_multiply(&count, count, dim)) return 0;
    }
    return count;
}

char *nn_shape_text(char text[64], struct nn_shape shape)
{
    size_t used = (size_t)snprintf(text, 64, "(");
    for (int i = 0; i < shape.rank; i++) {
        const char *separator = i ? ", " : "";
        if (i == 0 && shape.dim[0] == NN_BATCH)
            used += (size_t)snprintf(text + used, 64 - used, "None");
        else
            used += (size_t)snprintf(text + used, 64 - used, "%s%d", separator, shape.dim[i]);
    }
    snprintf(text + used, 64 - used, ")");
    return text;
}
