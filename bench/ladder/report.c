/* report.c — a layer's steps and tiles as tables in Markdown, and as JSON. */
#include "bench/ladder/ladder.h"

#include <stdio.h>

/* ---- telling --------------------------------------------------------------------------------- */

static void step_name(char text[80], const struct ladder *l, int s, const struct outcome *outcome)
{
    if (ladder_steps[s].tiled)
        snprintf(text, 80, "%s, %dx%d", ladder_steps[s].name, l->m, l->v);
    else if (ladder_steps[s].planned && !ladder_steps[s].threaded)
        snprintf(text, 80, "%s: %s", ladder_steps[s].name,
                 outcome->same_bits ? "direct" : "Winograd");
    else
        snprintf(text, 80, "%s", ladder_steps[s].name);
}

/* Vector loads for each multiply-add of as much. */
static void loads_text(char text[32], const struct ladder *l, int s)
{
    if (ladder_steps[s].tiled)
        snprintf(text, 32, "%.2f", (double)(l->m + l->v) / (l->m * l->v));
    else
        snprintf(text, 32, "%s", ladder_steps[s].loads ? ladder_steps[s].loads : "");
}

static double share(const struct ladder *l, const struct ladder_step *step, double seconds)
{
    return ladder_work(&l->layer) / seconds / l->peak[step->threaded];
}

static void print_steps(struct nn_text *text, const struct ladder *l, const struct outcome *all)
{
    nn_text_printf(text, "| step | ms | GFLOP/s | %% of peak | times step 1 | loads | result |\n"
                         "|---|---:|---:|---:|---:|---|---|\n");
    for (int s = 0; s < MOST_STEPS; s++) {
        const struct outcome *outcome = &all[s];
        char name[80], loads[32], apart[32];
        if (!ladder_applies(l, &ladder_steps[s])) continue;
        step_name(name, l, s, outcome);
        loads_text(loads, l, s);
        snprintf(apart, sizeof apart, "%.0e apart", outcome->difference);
        nn_text_printf(text, "| %s | %.3f | %.1f | %.1f | %.1f | %s | %s |\n", name,
                       outcome->seconds * 1e3, ladder_work(&l->layer) / outcome->seconds * 1e-9,
                       100 * share(l, &ladder_steps[s], outcome->seconds),
                       all[0].seconds / outcome->seconds, loads,
                       s == 0                        ? "the reference"
                       : s > 1 && outcome->same_bits ? "same bits"
                                                     : apart);
    }
}

static void print_tiles(struct nn_text *text, struct ladder *l, int turns)
{
    struct tile_rates rates;
    ladder_sweep(l, &rates, turns);
    nn_text_printf(text, "\n| pixels | 1 vector | 2 vectors | 3 vectors | 4 vectors |\n"
                         "|---:|---:|---:|---:|---:|\n");
    for (int m = 1; m <= MOST_PIXELS; m++) {
        bool any = false;
        for (int v = 1; v <= MOST_VECTORS; v++) any = any || l->steps->tile[v][m];
        if (!any) continue;
        nn_text_printf(text, "| %d |", m);
        for (int v = 1; v <= MOST_VECTORS; v++) {
            double rate = rates.rate[v][m];
            bool spills = m * v + v + 1 > l->steps->registers;
            if (rate > 0)
                nn_text_printf(text, " %.0f %%%s |", 100 * rate / l->peak[0], spills ? " *" : "");
            else
                nn_text_printf(text, " |");
        }
        nn_text_printf(text, "\n");
    }
}

void ladder_print(struct nn_text *text, struct ladder *l, const char *name, const char *what,
                  const struct outcome *outcomes, int turns)
{
    const struct layer *a = &l->layer;
    nn_text_printf(
        text,
        "\n**%s** (%s): %d x %dx%dx%d to %d filters, %.0f million multiply-adds; weights "
        "%.0f kB, a padded picture %.0f kB, a band of %d rows with its border %.0f kB; "
        "peak %.0f GFLOP/s on one thread, %.0f on %d\n\n",
        name, what, a->images, a->height, a->width, a->channels, a->filters, ladder_work(a) / 2e6,
        (double)l->w_floats * 4e-3, 4e-3 * (a->height + 2) * (a->width + 2) * a->channels,
        l->pass.band, 4e-3 * (double)scratch_floats(&l->pass), l->peak[0] * 1e-9, l->peak[1] * 1e-9,
        nn_threads(l->all));
    print_steps(text, l, outcomes);
    print_tiles(text, l, turns);
}

void ladder_print_json(struct nn_text *text, struct ladder *l, const char *name,
                       const struct outcome *outcomes, int turns)
{
    const struct layer *a = &l->layer;
    const char *comma = "";
    struct tile_rates rates;
    ladder_sweep(l, &rates, turns);
    nn_text_printf(text,
                   "{\"layer\": \"%s\", \"shape\": [%d, %d, %d, %d, %d], \"flops\": %.0f, "
                   "\"peak\": %.4g, \"peak_all\": %.4g, \"steps\": [",
                   name, a->images, a->height, a->width, a->channels, a->filters, ladder_work(a),
                   l->peak[0], l->peak[1]);
    for (int s = 0; s < MOST_STEPS; s++) {
        char step[80];
        if (!ladder_applies(l, &ladder_steps[s])) continue;
        step_name(step, l, s, &outcomes[s]);
        nn_text_printf(text,
                       "%s{\"step\": \"%s\", \"threads\": %d, \"seconds\": %.4g, \"share\": %.4f, "
                       "\"difference\": %.3g, \"same_bits\": %s}",
                       comma, step, ladder_steps[s].threaded ? nn_threads(l->all) : 1,
                       outcomes[s].seconds, share(l, &ladder_steps[s], outcomes[s].seconds),
                       outcomes[s].difference, outcomes[s].same_bits ? "true" : "false");
        comma = ", ";
    }
    nn_text_printf(text, "], \"tiles\": [");
    comma = "";
    for (int v = 1; v <= MOST_VECTORS; v++)
        for (int m = 1; m <= MOST_PIXELS; m++) {
            double rate = rates.rate[v][m];
            if (!(rate > 0)) continue;
            nn_text_printf(text, "%s{\"pixels\": %d, \"vectors\": %d, \"share\": %.4f}", comma, m,
                           v, rate / l->peak[0]);
            comma = ", ";
        }
    nn_text_printf(text, "]}");
}
