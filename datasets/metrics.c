/*
 * metrics.c — confusion matrix, scikit-learn's report, and which class is the live one.
 */
#include "datasets/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void ds_confusion(int64_t *counts, const uint16_t *truth, const uint16_t *predicted, size_t count,
                  int classes)
{
    memset(counts, 0, (size_t)classes * (size_t)classes * sizeof *counts);
    for (size_t i = 0; i < count; i++) {
        assert(truth[i] < classes && predicted[i] < classes);
        counts[(size_t)truth[i] * (size_t)classes + predicted[i]]++;
    }
}

/* ---- classification_report ----------------------------------------------------------------- */

enum { PRECISION, RECALL, F1, FIGURES };

/* Column `c` of the report's figures, [FIGURES] per class, each times its weight. */
struct column {
    const double *figures;  /* of the first class */
    const int64_t *weights; /* NULL: 1 */
};

static double term(const struct column *column, int i)
{
    double value = column->figures[(size_t)i * FIGURES];
    return column->weights ? value * (double)column->weights[i] : value;
}

/* Sums [from, from + n) as numpy does (pairwise, eight at a time): where a mean is just at a
 * rounding boundary, the order of additions decides the last printed digit. */
static double sum(const struct column *column, int from, int n)
{
    if (n > 128) {
        int half = n / 2 - n / 2 % 8;
        return sum(column, from, half) + sum(column, from + half, n - half);
    }
    double total = 0;
    int i = 0;
    if (n >= 8) {
        double r[8];
        for (int k = 0; k < 8; k++) r[k] = term(column, from + k);
        for (i = 8; i < n - n % 8; i += 8)
            for (int k = 0; k < 8; k++) r[k] += term(column, from + i + k);
        total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    }
    for (; i < n; i++) total += term(column, from + i);
    return total;
}

static double ratio(double a, double b)
{
    return b != 0 ? a / b : 0; /* zero_division: 0 */
}

/* precision = right / predicted, recall = right / true, f1 = 2 right / (true + predicted). */
static void class_figures(double *figures, int64_t *support, const int64_t *counts, int classes)
{
    for (int c = 0; c < classes; c++) {
        int64_t truly = 0, predicted = 0, right = counts[(size_t)c * (size_t)classes + (size_t)c];
        for (int k = 0; k < classes; k++) {
            truly += counts[(size_t)c * (size_t)classes + (size_t)k];
            predicted += counts[(size_t)k * (size_t)classes + (size_t)c];
        }
        double *row = figures + (size_t)c * FIGURES;
        row[PRECISION] = ratio((double)right, (double)predicted);
        row[RECALL] = ratio((double)right, (double)truly);
        row[F1] = ratio(2 * (double)right, (double)truly + (double)predicted);
        support[c] = truly;
    }
}

static void print_row(struct nn_text *text, int pad, const char *name, const double figures[3],
                      int64_t support)
{
    nn_text_printf(text, "%*s%s  %9.2f %9.2f %9.2f %9lld\n", pad, "", name, figures[PRECISION],
                   figures[RECALL], figures[F1], (long long)support);
}

/* Characters in the name as it is printed, which is as it is but for control characters and
 * bytes that are not UTF-8: those become '?' and cannot disturb a terminal. */
static int print_name(struct nn_text *text, const char *name)
{
    int width = 0;
    for (size_t left = strlen(name), size; left; name += size, left -= size) {
        size = nn_utf8_size(name, left);
        bool plain = size > 1 ? !((uint8_t)name[0] == 0xC2 && (uint8_t)name[1] < 0xA0)
                              : size == 1 && (uint8_t)name[0] >= 0x20 && name[0] != 0x7F;
        if (text) nn_text_append(text, plain ? name : "?", plain ? size : 1);
        if (size == 0) size = 1;
        width++;
    }
    return width;
}

static void print_averages(struct nn_text *text, int width, const double *figures,
                           const int64_t *support, const int64_t *counts, int classes)
{
    double macro[FIGURES], weighted[FIGURES];
    int64_t total = 0, right = 0;
    for (int c = 0; c < classes; c++) {
        total += support[c];
        right += counts[(size_t)c * (size_t)classes + (size_t)c];
    }
    for (int f = 0; f < FIGURES; f++) {
        const struct column plain = {figures + f, NULL}, by_support = {figures + f, support};
        macro[f] = sum(&plain, 0, classes) / (double)classes;
        weighted[f] = ratio(sum(&by_support, 0, classes), (double)total);
    }
    nn_text_printf(text, "%*s  %9s %9s %9.2f %9lld\n", width, "accuracy", "", "",
                   ratio(2 * (double)right, (double)total + (double)total), (long long)total);
    print_row(text, width - 9, "macro avg", macro, total);
    print_row(text, width - 12, "weighted avg", weighted, total);
}

void ds_classification_report(struct nn_text *text, const int64_t *counts, int classes,
                              const char *const *names)
{
    struct nn_context *context = text->context;
    int width = 12; /* of "weighted avg" */
    double *figures = nn_alloc(context, (size_t)classes, FIGURES * sizeof *figures);
    int64_t *support = figures ? nn_alloc(context, (size_t)classes, sizeof *support) : NULL;
    if (!support) {
        nn_free(context, figures);
        text->failed = true;
        return;
    }
    class_figures(figures, support, counts, classes);
    for (int c = 0; c < classes; c++) {
        int size = print_name(NULL, names[c]);
        if (size > width) width = size;
    }
    nn_text_printf(text, "%*s  %9s %9s %9s %9s\n\n", width, "", "precision", "recall", "f1-score",
                   "support");
    for (int c = 0; c < classes; c++) {
        nn_text_printf(text, "%*s", width - print_name(NULL, names[c]), "");
        print_name(text, names[c]);
        print_row(text, 0, "", figures + (size_t)c * FIGURES, support[c]);
    }
    nn_text_append(text, "\n", 1);
    print_averages(text, width, figures, support, counts, classes);
    nn_free(context, support);
    nn_free(context, figures);
}

/* ---- the live class ------------------------------------------------------------------------ */

int ds_live_class(char *const *class_names, int classes, const char *wanted)
{
    static const char *const words[] = {"real",     "live",      "genuine",
                                        "bonafide", "bona_fide", "bona-fide"};
    int found = -1;
    for (int c = 0; c < classes; c++) {
        bool is = wanted && strcmp(class_names[c], wanted) == 0;
        for (size_t w = 0; !wanted && w < sizeof words / sizeof *words; w++)
            if (strcasecmp(class_names[c], words[w]) == 0) is = true;
        /* Two of them: which one is meant is not ours to guess. */
        if (is && found >= 0) return -1;
        if (is) found = c;
    }
    return found;
}
