/* test_name.c — the natural order of names is an order, and people's. */
#include "tests/test.h"
#include "vision/vision.h"

/* In order; each differs from all others. */
static const char *const NAMES[] = {
    "",
    "0",
    "00",
    "01",
    "1",
    "2",
    "10",
    "a",
    "a01.png",
    "a1.png",
    "a2.png",
    "a10.png",
    "a10b",
    "a99999999999999999998",
    "a99999999999999999999",
    "a100000000000000000000",
    "ab",
    "b",
    "\303\251",
};
enum { COUNT = sizeof NAMES / sizeof *NAMES };

static int order(const char *a, const char *b)
{
    int result = vi_compare_names(a, strlen(a), b, strlen(b));
    return (result > 0) - (result < 0);
}

int main(void)
{
    int wrong = 0;
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++) {
            if (order(NAMES[i], NAMES[j]) == (i > j) - (i < j)) continue;
            printf("# '%s' and '%s': %d\n", NAMES[i], NAMES[j], order(NAMES[i], NAMES[j]));
            wrong++;
        }
    CHECK(wrong == 0, "%d names, each with each, in both directions", COUNT);
    CHECK(vi_compare_names("a12", 2, "a13", 2) == 0, "only as many bytes as are given");
    return test_done();
}
