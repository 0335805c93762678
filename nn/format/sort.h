/*
 * sort.h — sorting without allocation (qsort may allocate) and without a bad case (input is
 * hostile, and a quadratic sort of a million keys is a hang).
 */
#ifndef NN_FORMAT_SORT_H
#define NN_FORMAT_SORT_H

#include <stddef.h>

/* Negative, zero, positive: `a` comes before, with, after `b`. */
typedef int nn_compare(const void *a, const void *b);

/* Sorts `count` pointers in place by what they point to; not stable. */
void nn_sort(const void **items, size_t count, nn_compare *compare);

#endif
