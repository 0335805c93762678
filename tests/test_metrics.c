/* test_metrics.c — the figures against scikit-learn's and SciPy's, and by hand. */
#include "datasets/datasets.h"
#include "tests/test.h"

enum { MOST = 256, LINE = 512 };

static struct nn_context *context;

static bool close_to(double a, double b)
{
    return fabs(a - b) <= 1e-9;
}

/* ---- report ------------------------------------------------------------------------------- */

static bool read_line(char line[LINE], FILE *file)
{
    if (!fgets(line, LINE, file)) return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

static void check_report(FILE *file, int number, int classes)
{
    static char names[MOST][LINE];
    static int64_t counts[MOST * MOST];
    const char *pointers[MOST];
    struct nn_text expected = {.context = context}, got = {.context = context};
    char line[LINE];
    int lines = 0;
    for (int c = 0; c < classes; c++) {
        read_line(names[c], file);
        pointers[c] = names[c];
    }
    for (int i = 0; i < classes * classes; i++) {
        long long n = 0;
        if (fscanf(file, "%lld", &n) != 1) break;
        counts[i] = n;
    }
    if (fscanf(file, " report %d\n", &lines) != 1) lines = -1;
    /* scanf's space eats the blanks of the first line, which are known. */
    for (int i = 0; i < lines && read_line(line, file); i++)
        nn_text_printf(&expected, "%s\n", line);
    ds_classification_report(&got, counts, classes, pointers);
    const char *report = got.data;
    while (report && *report == ' ') report++;
    bool same = expected.data && report && strcmp(report, expected.data) == 0;
    if (!CHECK(same, "report %d, %d classes", number, classes))
        printf("# expected\n%s# got\n%s", expected.data ? expected.data : "", report);
    nn_text_free(&expected);
    nn_text_free(&got);
}

static void test_reports(void)
{
    FILE *file = fopen("tests/golden/metrics_reports.txt", "rb");
    int classes, cases = 0;
    if (!file) {
        CHECK(false, "reports: the reference is there");
        return;
    }
    while (fscanf(file, " case %d\n", &classes) == 1 && classes <= MOST)
        check_report(file, ++cases, classes);
    fclose(file);
    CHECK(cases == 11, "all %d reports were compared", cases);
}

static void test_report_layout(void)
{
    static const char *const names[] = {"fake", "re\nal\x1b\xff"};
    static const int64_t counts[] = {3, 1, 0, 4};
    struct nn_text text = {.context = context};
    ds_classification_report(&text, counts, 2, names);
    CHECK(strcmp(text.data, "              precision    recall  f1-score   support\n\n"
                            "        fake       1.00      0.75      0.86         4\n"
                            "     re?al??       0.80      1.00      0.89         4\n\n"
                            "    accuracy                           0.88         8\n"
                            "   macro avg       0.90      0.88      0.87         8\n"
                            "weighted avg       0.90      0.88      0.87         8\n") == 0,
          "first line and blanks; control characters in names are replaced");
    nn_text_free(&text);
}

static void test_confusion(void)
{
    static const uint16_t truth[] = {0, 0, 1, 2, 2}, predicted[] = {0, 1, 1, 0, 2};
    static const int64_t expected[] = {1, 1, 0, 0, 1, 0, 1, 0, 1};
    int64_t counts[9] = {99};
    ds_confusion(counts, truth, predicted, 5, 3);
    CHECK(memcmp(counts, expected, sizeof counts) == 0, "confusion: truth down, answers across");
}

/* ---- intervals ---------------------------------------------------------------------------- */

static void test_intervals(void)
{
    FILE *file = fopen("tests/golden/metrics_intervals.txt", "rb");
    long long errors, total;
    double low, high, worst = 0;
    int cases = 0, wrong = 0;
    if (!file) {
        CHECK(false, "intervals: the reference is there");
        return;
    }
    while (fscanf(file, "%lld %lld %lf %lf", &errors, &total, &low, &high) == 4) {
        struct ds_rate rate = ds_rate_make(errors, total);
        double off = fmax(fabs(rate.low - low), fabs(rate.high - high));
        if (!(off <= 1e-9)) wrong++;
        worst = fmax(worst, off);
        cases++;
    }
    fclose(file);
    CHECK(cases == 76 && wrong == 0, "%d Clopper-Pearson intervals, worst off by %.2g", cases,
          worst);
    struct ds_rate rate = ds_rate_make(0, 0);
    CHECK(isnan(rate.value) && isnan(rate.low) && isnan(rate.high), "0 of 0 has no rate");
    CHECK(isnan(ds_rate_make(3, 2).value) && isnan(ds_rate_make(-1, 2).value),
          "impossible counts have no rate");
    rate = ds_rate_make(0, 20);
    CHECK(rate.low == 0 && close_to(rate.high, 1 - pow(0.025, 1.0 / 20)), "0 of 20, closed form");
}

/* ---- curves ------------------------------------------------------------------------------- */

static bool check_roc(FILE *file, const double *score, const bool *live, size_t count)
{
    double false_accept[MOST + 1], true_accept[MOST + 1], x, y;
    size_t points = ds_roc(false_accept, true_accept, context, score, live, count), expected;
    if (fscanf(file, " roc %zu", &expected) != 1) return false;
    bool same = points == expected;
    for (size_t i = 0; i < expected; i++) {
        if (fscanf(file, "%lf %lf", &x, &y) != 2) return false;
        same = same && close_to(false_accept[i], x) && close_to(true_accept[i], y);
    }
    return same;
}

static void test_curves(void)
{
    static const char *const names[] = {"attack"};
    FILE *file = fopen("tests/golden/metrics_curves.txt", "rb");
    double score[MOST], expected[4];
    bool live[MOST];
    int attack[MOST] = {0}, cases = 0, is_live;
    size_t count;
    if (!file) {
        CHECK(false, "curves: the reference is there");
        return;
    }
    while (fscanf(file, " case %zu", &count) == 1 && count <= MOST) {
        for (size_t i = 0; i < count; i++) {
            if (fscanf(file, "%lf %d", &score[i], &is_live) != 2) break;
            live[i] = is_live;
        }
        for (int i = 0; i < 4; i++)
            if (fscanf(file, "%lf", &expected[i]) != 1) break;
        struct ds_liveness f;
        enum nn_status status =
            ds_liveness_figures(&f, context, score, live, attack, count, names, 1, 0.5);
        bool right = !status && close_to(f.auc, expected[0]) && close_to(f.eer, expected[1]) &&
                     close_to(f.bpcer_at_apcer1.value, expected[2]) &&
                     close_to(f.bpcer_at_apcer5.value, expected[3]);
        CHECK(right, "curve %d: AUC %.4f, EER %.4f, BPCER %.4f and %.4f", ++cases, f.auc, f.eer,
              f.bpcer_at_apcer1.value, f.bpcer_at_apcer5.value);
        CHECK(check_roc(file, score, live, count), "curve %d: points of the ROC", cases);
    }
    fclose(file);
    CHECK(cases == 9, "all %d curves were compared", cases);
}

/* Four live, five prints, three screens; type "mask" never occurs. Threshold 0.5. */
static void test_figures(void)
{
    static const char *const names[] = {"print", "mask", "screen"};
    static const double score[] = {.9, .8, .5, .3, .7, .1, .2, .5, .4, .6, .1, .9};
    static const bool live[] = {1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    static const int attack[] = {-1, -1, -1, -1, 0, 0, 0, 0, 0, 2, 2, 2};
    struct ds_liveness f;
    enum nn_status status = ds_liveness_figures(&f, context, score, live, attack, 12, names, 3, .5);
    CHECK(status == NN_OK, "figures of a small system");
    CHECK(f.attack_count == 3 && f.attacks[0].apcer.errors == 2 && f.attacks[0].apcer.total == 5 &&
              f.attacks[2].apcer.errors == 2 && f.attacks[2].apcer.total == 3,
          "APCER by type: a score at the threshold is accepted");
    CHECK(f.attacks[1].apcer.total == 0 && isnan(f.attacks[1].apcer.value),
          "a type that does not occur has no rate");
    CHECK(close_to(f.apcer.value, 2.0 / 3) && f.apcer.errors == 2 && f.apcer.total == 3,
          "APCER is that of the worst type");
    CHECK(close_to(f.bpcer.value, .25) && close_to(f.acer, (2.0 / 3 + .25) / 2) &&
              close_to(f.hter, (4.0 / 8 + .25) / 2),
          "BPCER, ACER from the worst type, HTER from all attacks");
    CHECK(f.bpcer.low > 0 && f.bpcer.high < 1 && f.bpcer.low < f.bpcer.value, "with intervals");
    CHECK(f.eer_threshold > .3 && f.eer_threshold <= .8, "EER threshold %.3f", f.eer_threshold);
}

static void test_figures_odd(void)
{
    static const char *const names[] = {"a"};
    double score[] = {.9, .1, INFINITY, -INFINITY};
    bool live[] = {1, 1, 1, 1}, mixed[] = {1, 0, 1, 0};
    int attack[] = {0, 0, 0, 0}, wrong[] = {0, 1, 0, 0};
    struct ds_liveness f;
    double x[5], y[5];
    CHECK(!ds_liveness_figures(&f, context, score, live, attack, 4, names, 1, .5) &&
              isnan(f.apcer.value) && isnan(f.acer) && isnan(f.auc) && isnan(f.eer) &&
              isnan(f.bpcer_at_apcer1.value) && close_to(f.bpcer.value, .5),
          "no attacks: only a BPCER");
    CHECK(ds_roc(x, y, context, score, live, 4) == 0, "no attacks: no ROC");
    CHECK(!ds_liveness_figures(&f, context, score, live, attack, 0, names, 1, .5) &&
              isnan(f.bpcer.value) && isnan(f.auc),
          "nothing at all");
    CHECK(!ds_liveness_figures(&f, context, score, mixed, attack, 4, names, 1, .5) && f.auc == 1 &&
              f.eer == 0 && f.eer_threshold > .1 && f.eer_threshold <= .9,
          "infinite scores");
    CHECK(ds_liveness_figures(&f, context, score, mixed, wrong, 4, names, 1, .5) ==
              NN_ERROR_ARGUMENT,
          "unknown attack type: %s", nn_error(context));
    CHECK(ds_liveness_figures(&f, context, score, mixed, attack, 4, names, 1, NAN) ==
              NN_ERROR_ARGUMENT,
          "threshold: %s", nn_error(context));
    CHECK(ds_liveness_figures(&f, context, score, mixed, attack, 4, names, 33, .5) ==
              NN_ERROR_UNSUPPORTED,
          "types: %s", nn_error(context));
    score[1] = NAN;
    CHECK(ds_liveness_figures(&f, context, score, mixed, attack, 4, names, 1, .5) ==
              NN_ERROR_ARGUMENT,
          "score: %s", nn_error(context));
}

/* ---- the live class ----------------------------------------------------------------------- */

static void test_live_class(void)
{
    char fake[] = "fake", real[] = "REAL", bona[] = "Bona-Fide", live[] = "live", other[] = "x";
    char *a[] = {fake, real}, *b[] = {bona, fake}, *c[] = {fake, other}, *d[] = {live, real};
    CHECK(ds_live_class(a, 2, NULL) == 1, "REAL is live");
    CHECK(ds_live_class(b, 2, NULL) == 0, "Bona-Fide is live");
    CHECK(ds_live_class(c, 2, NULL) == -1, "none");
    CHECK(ds_live_class(d, 2, NULL) == -1, "two: not guessed");
    CHECK(ds_live_class(c, 2, "x") == 1 && ds_live_class(a, 2, "x") == -1, "the one asked for");
}

int main(void)
{
    if (nn_open(&context, NULL)) {
        CHECK(false, "nn_open: %s", nn_error(context));
        return test_done();
    }
    size_t before = nn_bytes_allocated(context);
    test_reports();
    test_report_layout();
    test_confusion();
    test_intervals();
    test_curves();
    test_figures();
    test_figures_odd();
    test_live_class();
    CHECK(nn_bytes_allocated(context) == before, "all memory was given back");
    nn_close(&context);
    return test_done();
}
