/* name.c — the order in which people number files: "2.png" before "10.png". */
#include "vision/vision.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Two runs of digits by their value, however long; the pointers move behind them. */
static int compare_numbers(const char **a, const char *a_end, const char **b, const char *b_end)
{
    while (*a < a_end && **a == '0') ++*a;
    while (*b < b_end && **b == '0') ++*b;
    const char *from_a = *a, *from_b = *b;
    while (*a < a_end && is_digit(**a)) ++*a;
    while (*b < b_end && is_digit(**b)) ++*b;
    ptrdiff_t digits_a = *a - from_a, digits_b = *b - from_b;
    if (digits_a != digits_b) return digits_a < digits_b ? -1 : 1;
    return memcmp(from_a, from_b, (size_t)digits_a);
}

int vi_compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const char *p = a, *p_end = a + a_size, *q = b, *q_end = b + b_size;
    while (p < p_end && q < q_end) {
        if (is_digit(*p) && is_digit(*q)) {
            int order = compare_numbers(&p, p_end, &q, q_end);
            if (order) return order;
        } else if (*p != *q) {
            return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
        } else {
            p++;
            q++;
        }
    }
    if (p < p_end || q < q_end) return p < p_end ? 1 : -1;
    /* "1" and "01" have the same value and still need an order of their own. */
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : (a_size > b_size) - (a_size < b_size);
}
