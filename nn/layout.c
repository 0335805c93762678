/*
 * layout.c — packs buffers that are alive at different times into the same bytes of one block.
 *
 * Greedy by size: the largest buffer first, each at the lowest offset where nothing that is alive
 * at the same time lies (Pisarchyk & Lee, "Efficient Memory Management for Deep Neural Net
 * Inference", 2020, found it within some percent of the best).
 */
#include "nn/compile.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

static bool alive_together(const struct nn_slot *a, const struct nn_slot *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* By size, falling; by index where sizes are equal, so that the order is total. */
static int by_size(const void *a, const void *b)
{
    const struct nn_slot *const *x = a, *const *y = b;
    if ((*x)->bytes != (*y)->bytes) return (*x)->bytes < (*y)->bytes ? 1 : -1;
    return (*x)->root < (*y)->root ? -1 : (*x)->root > (*y)->root;
}

/* The lowest offset at which `slot` meets none of the placed ones. */
static size_t find_gap(const struct nn_slot *slot, struct nn_slot *const *placed, int count)
{
    size_t offset = 0;
    for (int i = 0; i < count; i++) {
        const struct nn_slot *other = placed[i];
        bool apart = !alive_together(slot, other) || offset + slot->bytes <= other->offset ||
                     other->offset + other->bytes <= offset;
        if (apart) continue;
        offset = other->offset + other->bytes;
        i = -1; /* a later place may meet one that was passed */
    }
    return offset;
}

enum nn_status nn_plan_layout(struct nn_compiler *compiler)
{
    struct nn_slot **order =
        nn_alloc(compiler->context, (size_t)compiler->slot_count + 1, sizeof *order);
    if (!order) return NN_ERROR_MEMORY;
    int roots = 0;
    for (int i = 0; i < compiler->slot_count; i++) {
        struct nn_slot *slot = &compiler->slots[i];
        if (slot->root != i) continue;
        slot->bytes = (slot->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        order[roots++] = slot;
    }
    qsort(order, (size_t)roots, sizeof(struct nn_slot *), by_size);
    for (int i = 0; i < roots; i++) {
        order[i]->offset = find_gap(order[i], order, i);
        size_t end = order[i]->offset + order[i]->bytes;
        if (end > compiler->block_bytes) compiler->block_bytes = end;
    }
    nn_free(compiler->context, order);
    return NN_OK;
}
