/*
 * liveness.c — the figures of ISO/IEC 30107-3 for presentation attack detection.
 *
 *   APCER of an attack type  attack presentations accepted as live / presentations of that type;
 *                            a system is judged by its worst type
 *   BPCER                    live ("bona fide") presentations rejected / live presentations
 *   ACER                     (worst APCER + BPCER) / 2
 *   HTER                     (APCER of all attacks together + BPCER) / 2
 *
 * All curves come from one walk down the sorted scores. At each distinct score the threshold
 * stands, everything from there up is accepted: one point of the ROC.
 */
#include "datasets/internal.h"

#include <math.h>
#include <stdlib.h>

/* ---- the ROC ------------------------------------------------------------------------------- */

struct scored {
    double score;
    bool live;
};

/* Accepted so far, and the lowest score among them. */
struct point {
    double threshold;
    int64_t attacks, lives;
};

struct curve {
    struct scored *items; /* by falling score */
    size_t count;
    int64_t attacks, lives;
};

static int compare_falling(const void *a, const void *b)
{
    const struct scored *p = a, *q = b;
    return (p->score < q->score) - (p->score > q->score);
}

static enum nn_status sort_scores(struct curve *curve, struct nn_context *context,
                                  const double *score, const bool *live, size_t count)
{
    *curve = (struct curve){.count = count};
    for (size_t i = 0; i < count; i++)
        if (isnan(score[i]))
            return nn_fail(context, NN_ERROR_ARGUMENT, "score %zu of %zu is not a number", i,
                           count);
    curve->items = nn_alloc(context, count, sizeof *curve->items);
    if (!curve->items) return NN_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        curve->items[i] = (struct scored){score[i], live[i]};
        if (live[i])
            curve->lives++;
        else
            curve->attacks++;
    }
    qsort(curve->items, count, sizeof *curve->items, compare_falling);
    return NN_OK;
}

/* Moves `point` to the next distinct score, `*at` behind it; false at the end. */
static bool next_point(struct point *point, size_t *at, const struct curve *curve)
{
    if (*at >= curve->count) return false;
    point->threshold = curve->items[*at].score;
    for (; *at < curve->count && curve->items[*at].score == point->threshold; ++*at) {
        if (curve->items[*at].live)
            point->lives++;
        else
            point->attacks++;
    }
    return true;
}

size_t ds_roc(double *false_accept, double *true_accept, struct nn_context *context,
              const double *score, const bool *live, size_t count)
{
    struct curve curve;
    struct point point = {.threshold = INFINITY};
    size_t at = 0, points = 0;
    if (sort_scores(&curve, context, score, live, count)) return 0;
    if (curve.lives && curve.attacks) {
        do {
            false_accept[points] = (double)point.attacks / (double)curve.attacks;
            true_accept[points] = (double)point.lives / (double)curve.lives;
            points++;
        } while (next_point(&point, &at, &curve));
    } else {
        nn_fail(context, NN_ERROR_ARGUMENT,
                "an ROC needs live and attack presentations, got %lld and %lld",
                (long long)curve.lives, (long long)curve.attacks);
    }
    nn_free(context, curve.items);
    return points;
}

/* ---- figures of the curve ------------------------------------------------------------------ */

/* Area under the ROC by trapezoids, which is the probability that a live presentation scores
 * higher than an attack, ties counting half (Hanley & McNeil 1982). In halves of pairs: whole
 * numbers, so nothing is rounded before the end. */
static double area(const struct curve *curve)
{
    struct point point = {0}, before = {0};
    double halves = 0, pairs = (double)curve->attacks * (double)curve->lives;
    for (size_t at = 0; next_point(&point, &at, curve); before = point)
        halves += (double)(point.attacks - before.attacks) * (double)(point.lives + before.lives);
    return halves / (2 * pairs);
}

/* Where false accepts equal false rejects on the ROC with straight lines between its points.
 * g = false accepts + true accepts - 1 rises along the curve from -1 to 1; the rate is that of its
 * zero. The threshold is interpolated in the same way (the first point has none: there it is the
 * highest score). */
static void equal_error(struct ds_liveness *figures, const struct curve *curve)
{
    struct point point = {0}, before = {0};
    double g = -1, lives = (double)curve->lives, attacks = (double)curve->attacks;
    for (size_t at = 0; next_point(&point, &at, curve); before = point) {
        double g_before = g;
        /* As one fraction: exactly 0 where both rates are the same. */
        g = ((double)point.attacks * lives + (double)point.lives * attacks - lives * attacks) /
            (lives * attacks);
        if (g < 0) continue;
        double t = -g_before / (g - g_before);
        double from = (double)before.attacks / attacks, to = (double)point.attacks / attacks;
        figures->eer = from + t * (to - from);
        bool first = before.attacks + before.lives == 0;
        double threshold = first ? point.threshold : before.threshold;
        /* Infinite scores: no arithmetic with them where it is not needed. */
        figures->eer_threshold =
            t == 1 ? point.threshold : threshold + t * (point.threshold - threshold);
        return;
    }
}

/* BPCER at the lowest threshold at which at most `percent` % of the attacks are accepted. */
static struct ds_rate bpcer_at(const struct curve *curve, int percent)
{
    struct point point = {0};
    int64_t lives = 0;
    for (size_t at = 0; next_point(&point, &at, curve);) {
        if (100 * point.attacks > percent * curve->attacks) break;
        lives = point.lives;
    }
    return ds_rate_make(curve->lives - lives, curve->lives);
}

/* ---- figures at the threshold -------------------------------------------------------------- */

static void rates_at_threshold(struct ds_liveness *figures, const double *score, const bool *live,
                               const int *attack, size_t count)
{
    int64_t rejected = 0, lives = 0, accepted[32] = {0}, total[32] = {0};
    int64_t all_accepted = 0, all_attacks = 0;
    for (size_t i = 0; i < count; i++) {
        bool accept = score[i] >= figures->threshold;
        if (live[i]) {
            lives++;
            rejected += !accept;
        } else {
            total[attack[i]]++;
            accepted[attack[i]] += accept;
        }
    }
    figures->bpcer = ds_rate_make(rejected, lives);
    figures->apcer = ds_rate_make(0, 0);
    for (int a = 0; a < figures->attack_count; a++) {
        const struct ds_rate rate = ds_rate_make(accepted[a], total[a]);
        figures->attacks[a].apcer = rate;
        all_accepted += accepted[a];
        all_attacks += total[a];
        /* A type without presentations has no rate and is not the worst. */
        if (total[a] && !(rate.value <= figures->apcer.value)) figures->apcer = rate;
    }
    double pooled = all_attacks ? (double)all_accepted / (double)all_attacks : NAN;
    figures->acer = (figures->apcer.value + figures->bpcer.value) / 2;
    figures->hter = (pooled + figures->bpcer.value) / 2;
}

enum nn_status ds_liveness_figures(struct ds_liveness *figures, struct nn_context *context,
                                   const double *score, const bool *live, const int *attack,
                                   size_t count, const char *const *attack_names, int attack_count,
                                   double threshold)
{
    const int most = (int)(sizeof figures->attacks / sizeof *figures->attacks);
    *figures = (struct ds_liveness){.threshold = threshold, .attack_count = attack_count};
    figures->eer = figures->eer_threshold = figures->auc = NAN;
    if (attack_count < 0 || attack_count > most) {
        figures->attack_count = 0;
        return nn_fail(context, NN_ERROR_UNSUPPORTED,
                       "%d types of attack: at most %d can be told apart", attack_count, most);
    }
    if (isnan(threshold))
        return nn_fail(context, NN_ERROR_ARGUMENT, "the threshold is not a number");
    for (int a = 0; a < attack_count; a++) figures->attacks[a].name = attack_names[a];
    for (size_t i = 0; i < count; i++)
        if (!live[i] && (attack[i] < 0 || attack[i] >= attack_count))
            return nn_fail(context, NN_ERROR_ARGUMENT,
                           "presentation %zu: attack type %d, expected 0 to %d", i, attack[i],
                           attack_count - 1);
    struct curve curve;
    enum nn_status status = sort_scores(&curve, context, score, live, count);
    if (status) return status;
    rates_at_threshold(figures, score, live, attack, count);
    if (curve.lives && curve.attacks) {
        figures->auc = area(&curve);
        equal_error(figures, &curve);
    }
    figures->bpcer_at_apcer1 = curve.attacks ? bpcer_at(&curve, 1) : ds_rate_make(0, 0);
    figures->bpcer_at_apcer5 = curve.attacks ? bpcer_at(&curve, 5) : ds_rate_make(0, 0);
    nn_free(context, curve.items);
    return NN_OK;
}
