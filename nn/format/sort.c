/*
 * sort.c — heap sort (Williams 1964, Floyd's build-up): n log n always, nothing allocated.
 */
#include "nn/format/sort.h"

/* Restores the heap below `at`, where items[at] may be smaller than its children. */
static void sift_down(const void **items, size_t at, size_t count, nn_compare *compare)
{
    const void *moved = items[at];
    for (size_t child = 2 * at + 1; child < count; at = child, child = 2 * at + 1) {
        if (child + 1 < count && compare(items[child + 1], items[child]) > 0) child++;
        if (compare(items[child], moved) <= 0) break;
        items[at] = items[child];
    }
    items[at] = moved;
}

void nn_sort(const void **items, size_t count, nn_compare *compare)
{
    for (size_t at = count / 2; at > 0; at--) sift_down(items, at - 1, count, compare);
    for (size_t end = count; end > 1; end--) {
        const void *largest = items[0];
        items[0] = items[end - 1];
        items[end - 1] = largest;
        sift_down(items, 0, end - 1, compare);
    }
}
