/*
 * check_kernels.h — what the programs that check kernels share: guarded memory, the levels of this
 * CPU, and comparison against a reference in double precision.
 *
 * Every array ends at, or a few floats before, a page that must not be touched, and is surrounded
 * and pre-filled by a NaN of known bits: a read too far crashes or poisons the result, a write too
 * far is seen.
 *
 * Each kernel is also run sabotaged: one result is made wrong by 1e-3 before it is compared, which
 * must be noticed, or the comparison is worth nothing.
 */
#ifndef CHECK_KERNELS_H
#define CHECK_KERNELS_H

#include "nn/kernels/kernels.h"
#include "tests/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* A rounding to nearest is wrong by at most this, relative. */
#define ROUNDING (1.0 / 16777216.0)

/* ---- random numbers, not the library's ------------------------------------------------------ */

static uint64_t check_state = 1;
static inline uint32_t draw(uint32_t bound) /* [0, bound) */
{
    check_state = check_state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (uint32_t)((check_state >> 33) % bound);
}
static inline int between(int low, int high)
{
    return low + (int)draw((uint32_t)(high - low + 1));
}

enum data { SIGNED, POSITIVE, TIES, SPECIAL };
static inline void fill(float *p, size_t count, enum data data)
{
    static const float SPECIALS[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, -1e-40f, 1.0f};
    for (size_t i = 0; i < count; i++) {
        float unit = (float)draw(1 << 24) / (1 << 24);
        if (data == POSITIVE)
            p[i] = 0.25f + unit;
        else if (data == TIES)
            p[i] = (float)draw(4);
        else if (data == SPECIAL && draw(3) == 0)
            p[i] = SPECIALS[draw(sizeof SPECIALS / sizeof *SPECIALS)];
        else
            p[i] = 2.0f * unit - 1.0f;
    }
}

/* ---- guarded memory -------------------------------------------------------------------------- */

enum { BUFFERS = 8, MARGIN = 40, BUFFER_BYTES = 1 << 20 };
static struct buffer {
    float *begin, *end; /* what lies behind is not accessible */
    float *at;          /* the array placed last */
    size_t count;
} check_buffers[BUFFERS];
static const char *check_what = "", *check_level = "";

static inline void check_crashed(int number)
{
    const char *texts[] = {"Bail out! ", check_level, " ", check_what,
                           ": read or wrote outside of its arrays, or crashed otherwise\n"};
    (void)number;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (write(STDOUT_FILENO, texts[i], strlen(texts[i])) < 0) break;
    _exit(1);
}

static inline void check_begin(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = BUFFER_BYTES + page;
    int zero = open("/dev/zero", O_RDWR);
    for (int i = 0; i < BUFFERS; i++) {
        void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
        if (map == MAP_FAILED || mprotect((char *)map + BUFFER_BYTES, page, PROT_NONE)) {
            printf("Bail out! no memory for guarded arrays\n");
            exit(1);
        }
        check_buffers[i].begin = map;
        check_buffers[i].end = (float *)map + BUFFER_BYTES / sizeof(float);
    }
    close(zero);
    signal(SIGSEGV, check_crashed);
    signal(SIGBUS, check_crashed);
}

static inline bool is_poison(const float *p)
{
    uint32_t bits;
    memcpy(&bits, p, sizeof bits);
    return bits == 0x7fc5a5a5u;
}
static inline void poison(float *p, size_t count)
{
    static const uint32_t bits = 0x7fc5a5a5u;
    for (size_t i = 0; i < count; i++) memcpy(p + i, &bits, sizeof bits);
}

/* `count` poisoned floats in buffer `slot` that end `shift` floats before the guard page. */
static inline float *place(int slot, size_t count, int shift)
{
    struct buffer *b = &check_buffers[slot];
    if (count + (size_t)shift + MARGIN > BUFFER_BYTES / sizeof(float)) {
        printf("Bail out! a case is larger than its buffer\n");
        exit(1);
    }
    b->at = b->end - count - shift;
    b->count = count;
    poison(b->at - MARGIN, MARGIN + count + (size_t)shift);
    return b->at;
}
static inline float *place_filled(int slot, size_t count, int shift, enum data data)
{
    float *p = place(slot, count, shift);
    fill(p, count, data);
    return p;
}
static inline bool margins_intact(int slot)
{
    const struct buffer *b = &check_buffers[slot];
    for (const float *p = b->at - MARGIN; p < b->at; p++)
        if (!is_poison(p)) return false;
    for (const float *p = b->at + b->count; p < b->end; p++)
        if (!is_poison(p)) return false;
    return true;
}

/* ---- one kernel under test ------------------------------------------------------------------- */

struct subject {
    const char *level, *kernel;
    struct nn_kernels kernels;
    bool sabotage;
    long values, failures;
    long sabotaged, caught;
};

static inline void subject_fail(struct subject *s, const char *format, ...)
{
    va_list arguments;
    if (s->failures++ >= 3 || s->sabotage) return;
    printf("# %s %s: ", s->level, s->kernel);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* Equal but for the bits of NaNs. */
static inline bool same_float(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

/* got[i] is within bound[i] of want[i]; with no bounds it has the same bits as (float)want[i]. */
static inline bool value_fits(float got, double want, const double *bound)
{
    if (!bound || isnan(want)) return same_float(got, (float)want);
    return got == (float)want || fabs(got - want) <= *bound;
}

/* Makes wrong by 1e-3 the value where that sticks out most; false where it would stick out
 * nowhere. */
static inline bool spoil(float *got, const double *want, const double *bound, size_t count)
{
    size_t best = 0;
    double most = 0.0;
    for (size_t i = 0; i < count; i++) {
        double excess = 0.5e-3 * fabs(want[i]) - (bound ? bound[i] : 0.0);
        if (isfinite(want[i]) && fabs(want[i]) > 1e-30 && excess > most) {
            most = excess;
            best = i;
        }
    }
    if (most > 0.0) got[best] *= 1.001f;
    return most > 0.0;
}

static inline void expect(struct subject *s, float *got, const double *want, const double *bound,
                          size_t count, const char *what)
{
    long before = s->failures;
    bool spoilt = s->sabotage && spoil(got, want, bound, count);
    for (size_t i = 0; i < count; i++)
        if (!value_fits(got[i], want[i], bound ? bound + i : NULL))
            subject_fail(s, "%s, value %zu of %zu: got %.9g, expected %.9g, allowed %.3g", what, i,
                         count, got[i], want[i], bound ? bound[i] : 0.0);
    s->values += (long)count;
    if (spoilt) {
        s->sabotaged++;
        s->caught += s->failures > before;
    }
}
static inline void expect_true(struct subject *s, bool ok, const char *what)
{
    if (!ok) subject_fail(s, "%s", what);
}
/* Two ways to the same numbers: bits must agree. */
static inline void expect_same(struct subject *s, const float *a, const float *b, size_t count,
                               const char *what)
{
    for (size_t i = 0; i < count; i++)
        if (!same_float(a[i], b[i])) {
            subject_fail(s, "%s, value %zu of %zu: %.9g and %.9g", what, i, count, a[i], b[i]);
            return;
        }
}

/* ---- all levels ------------------------------------------------------------------------------ */

typedef void check_function(struct subject *s);
struct check {
    const char *kernel;
    check_function *run;
};

static inline void check_one(const struct check *check, const char *level, bool sabotage)
{
    struct subject s = {.level = level, .kernel = check->kernel, .sabotage = sabotage};
    check_what = check->kernel;
    check_level = level;
    check_state = 12345;
    if (!nn_kernels_fill(&s.kernels, level)) {
        CHECK(false, "level %s can be had", level);
        return;
    }
    check->run(&s);
    if (sabotage)
        CHECK(s.sabotaged > 0 && s.caught == s.sabotaged,
              "%s: an error of 1e-3 is caught, %ld of %ld times", s.kernel, s.caught, s.sabotaged);
    else
        CHECK(s.failures == 0 && s.values > 0, "%s %s: %ld values", level, s.kernel, s.values);
}

/* Runs each check at each level this CPU has, and sabotaged. */
static inline void check_all(const struct check *checks, int count)
{
    const char *names[8];
    int levels = nn_levels(names);
    CHECK(levels >= 1 && strcmp(names[0], "scalar") == 0, "this CPU has %d levels", levels);
    check_begin();
    for (int i = 0; i < count; i++) check_one(&checks[i], names[0], true);
    for (int level = 0; level < levels; level++)
        for (int i = 0; i < count; i++) check_one(&checks[i], names[level], false);
}

#endif
