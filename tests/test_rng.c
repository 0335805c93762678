/*
 * test_rng.c — Philox against the known answers of Random123 (its kat_vectors, philox4x32-10), and
 * what is made of its numbers: uniform, normal, bounded, shuffled.
 */
#include "tests/test.h"
#include "nn/nn.h"

static void check_known_answers(void)
{
    static const struct {
        uint64_t key, low, high;
        uint32_t expected[4];
    } rows[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {UINT64_C(0x299f31d0a4093822),
         UINT64_C(0x85a308d3243f6a88),
         UINT64_C(0x0370734413198a2e),
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t bits[4];
        nn_philox(bits, rows[i].key, rows[i].low, rows[i].high);
        CHECK(memcmp(bits, rows[i].expected, sizeof bits) == 0,
              "known answer %zu: %08x %08x %08x %08x", i, bits[0], bits[1], bits[2], bits[3]);
    }
}

static void check_streams(void)
{
    struct nn_rng a = nn_rng_make(1, 2), b = nn_rng_make(1, 3), c = nn_rng_make(2, 2);
    int equal_streams = 0, equal_seeds = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t number = nn_rng_u32(&a);
        equal_streams += number == nn_rng_u32(&b);
        equal_seeds += number == nn_rng_u32(&c);
    }
    CHECK(equal_streams == 0 && equal_seeds == 0, "streams and seeds give different numbers");
    /* Saved and restored in the middle of a block of four. */
    for (int skip = 0; skip < 9; skip++) {
        struct nn_rng one = nn_rng_make(5, 6), two = {5, 6, (uint64_t)skip};
        for (int i = 0; i < skip; i++) nn_rng_u32(&one);
        CHECK(nn_rng_u32(&one) == nn_rng_u32(&two), "three integers restore a stream at %d", skip);
    }
}

/* Mean and variance within five standard errors of a large sample; every value inside. */
static void check_distributions(void)
{
    enum { COUNT = 100000 };
    struct nn_rng rng = nn_rng_make(7, 0);
    double sum = 0, square = 0;
    bool inside = true;
    for (int i = 0; i < COUNT; i++) {
        double value = (double)nn_rng_uniform(&rng, -1.0f, 3.0f);
        inside = inside && value >= -1.0 && value < 3.0;
        sum += value;
        square += value * value;
    }
    double mean = sum / COUNT, variance = square / COUNT - mean * mean;
    CHECK(inside && fabs(mean - 1.0) < 0.02 && fabs(variance - 16.0 / 12) < 0.02,
          "uniform on [-1, 3): mean %.4f, variance %.4f", mean, variance);
    float narrow = nn_rng_uniform(&rng, 1.0f, 1.0f + 1.2e-7f);
    CHECK(narrow >= 1.0f && narrow < 1.0f + 1.2e-7f, "the upper bound is never reached");
    sum = square = 0;
    double fourth = 0;
    for (int i = 0; i < COUNT; i++) {
        double value = (double)nn_rng_normal(&rng);
        inside = inside && isfinite(value);
        sum += value;
        square += value * value;
        fourth += value * value * value * value;
    }
    mean = sum / COUNT;
    variance = square / COUNT - mean * mean;
    CHECK(inside && fabs(mean) < 0.016 && fabs(variance - 1.0) < 0.023 &&
              fabs(fourth / COUNT - 3.0) < 0.16,
          "normal: mean %.4f, variance %.4f, fourth moment %.3f", mean, variance, fourth / COUNT);
}

/* Pearson's chi-squared over `bound` cells; 5 standard deviations are left as room. */
static void check_below(uint32_t bound)
{
    enum { PER_CELL = 2000, MOST = 64 };
    int cells[MOST] = {0};
    bool inside = true;
    struct nn_rng rng = nn_rng_make(8, bound);
    for (uint32_t i = 0; i < bound * PER_CELL; i++) {
        uint32_t value = nn_rng_below(&rng, bound);
        inside = inside && value < bound;
        if (value < bound) cells[value]++;
    }
    double chi = 0, freedom = bound - 1.0;
    for (uint32_t i = 0; i < bound; i++)
        chi += (cells[i] - PER_CELL) * (double)(cells[i] - PER_CELL) / PER_CELL;
    CHECK(inside && chi <= freedom + 5 * sqrt(2 * freedom + 1e-9),
          "below %u: chi-squared %.1f with %.0f degrees of freedom", bound, chi, freedom);
}

static void check_large_bound(void)
{
    /* 3/4 of the range: a bare remainder would give the lower third twice as often. */
    enum { COUNT = 30000 };
    const uint32_t bound = 0xC0000000u;
    struct nn_rng rng = nn_rng_make(9, 0);
    int low = 0;
    for (int i = 0; i < COUNT; i++) low += nn_rng_below(&rng, bound) < bound / 3;
    CHECK(abs(low - COUNT / 3) < 5 * 82, "a large bound is not biased: %d of %d", low, COUNT);
    CHECK(nn_rng_below(&rng, 1) == 0 && nn_rng_below(&rng, 0) == 0, "bounds 1 and 0 give 0");
}

static void check_shuffle(void)
{
    enum { COUNT = 1000, ROUNDS = 6000 };
    uint32_t items[COUNT];
    bool seen[COUNT] = {false}, permutation = true;
    struct nn_rng rng = nn_rng_make(10, 0);
    for (uint32_t i = 0; i < COUNT; i++) items[i] = i;
    nn_rng_shuffle(&rng, items, COUNT);
    int fixed = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        permutation = permutation && items[i] < COUNT && !seen[items[i]];
        if (items[i] < COUNT) seen[items[i]] = true;
        fixed += items[i] == i;
    }
    CHECK(permutation && fixed < 10, "a shuffle is a permutation, with %d items in place", fixed);
    int orders[27] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t three[] = {0, 1, 2};
        nn_rng_shuffle(&rng, three, 3);
        orders[three[0] * 9 + three[1] * 3 + three[2]]++;
    }
    static const int places[] = {5, 7, 11, 15, 19, 21};
    bool even = true;
    for (int i = 0; i < 6; i++) even = even && abs(orders[places[i]] - ROUNDS / 6) < 5 * 29;
    CHECK(even, "the six orders of three come equally often");
    nn_rng_shuffle(&rng, items, 0);
    nn_rng_shuffle(&rng, items, 1);
}

int main(void)
{
    check_known_answers();
    check_streams();
    check_distributions();
    for (uint32_t bound = 1; bound <= 64; bound = bound * 2 + bound / 3) check_below(bound);
    check_large_bound();
    check_shuffle();
    return test_done();
}
