/*
 * convolution.c — one 3x3 convolution, step by step from six loops to the engine's plan: what each
 * step is worth, measured. The tables of docs/kernels.md are this program's; bench/convolution.sh
 * puts them there.
 *
 *     build/bench/convolution [--layer L] [--cpu LEVEL] [--threads N] [--turns N] [--json]
 *
 * L is ssd, livenessnet, deep, or NxHxWxCxK: images, height, width, channels, filters. Every step
 * is checked against the first one. Steps take turns, and a step's best turn counts: what
 * disturbs one only ever makes it slower.
 */
#include "bench/ladder/ladder.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the layers ------------------------------------------------------------------------------ */

static const struct named_layer {
    const char *name, *what;
    struct layer layer;
} LAYERS[] = {
    {"ssd", "layer_128_1_conv2 of the face detector", {1, 38, 38, 128, 128}},
    {"livenessnet", "LivenessNet's second layer, a batch of 8", {8, 32, 32, 16, 16}},
    {"deep", "its layer_256_1_conv2: few pixels, large weights", {1, 19, 19, 256, 256}},
};
enum { MOST_SIDE = 512, MOST_FLOATS = 1 << 24 };
enum { LAYER_COUNT = sizeof LAYERS / sizeof *LAYERS };

/* ---- the program ----------------------------------------------------------------------------- */

struct settings {
    const char *layer, *cpu;
    int threads, turns;
    bool json;
};

/* Those of the level, or, where it only knows more of other numbers than floats, of one below. */
static const struct convolution_steps *steps_of(const char *level)
{
    static const struct convolution_steps *const ALL[] = {
        &convolution_steps_scalar,
#if defined(__x86_64__)
        &convolution_steps_sse,
        &convolution_steps_avx2,
        &convolution_steps_avx512,
#elif defined(__aarch64__)
        &convolution_steps_neon,
#endif
    };
    const char *names[8];
    const struct convolution_steps *found = NULL;
    int levels = nn_levels(names);
    for (int n = 0; n < levels; n++) {
        for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++)
            if (strcmp(ALL[i]->level, names[n]) == 0) found = ALL[i];
        if (strcmp(names[n], level) == 0) break;
    }
    return found;
}

/* The CPU's name where the system tells one. Returns `text`. */
static const char *cpu_name(char text[128])
{
    char line[256];
    strcpy(text, "A CPU without a name");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            snprintf(text, 128, "%.120s", strchr(line, ':') + 2);
            text[strcspn(text, "\n")] = '\0';
            break;
        }
    if (file) fclose(file);
    return text;
}

static bool number(int *value, const char **text, int low, int high, char end)
{
    char *after;
    long parsed = strtol(*text, &after, 10);
    bool fits = after != *text && **text >= '0' && **text <= '9' && *after == end;
    if (!fits || parsed < low || parsed > high) return false;
    *value = (int)parsed;
    *text = after + (end != '\0');
    return true;
}

static bool parse_layer(struct layer *layer, const char *text)
{

    if (!number(&layer->images, &text, 1, 64, 'x') ||
        !number(&layer->height, &text, 1, MOST_SIDE, 'x') ||
        !number(&layer->width, &text, 1, MOST_SIDE, 'x') ||
        !number(&layer->channels, &text, 1, MOST_SIDE, 'x') ||
        !number(&layer->filters, &text, 16, MOST_SIDE, '\0'))
        return false;
    long long pixels = (long long)layer->images * layer->height * layer->width;
    return layer->filters % 16 == 0 && pixels * layer->channels <= MOST_FLOATS &&
           pixels * layer->filters <= MOST_FLOATS;
}

/* Exit status; 0 also when nothing is wrong yet. */
static int parse(struct settings *settings, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        struct layer layer;
        const char *expected = "1 to 256";
        bool known = true;
        if (!strcmp(argv[i], "--json")) {
            settings->json = true;
            continue;
        }
        if (!strcmp(argv[i], "--layer")) {
            settings->layer = value;
            expected = "ssd, livenessnet, deep, or NxHxWxCxK: sides up to 512, K a multiple of 16, "
                       "tensors up to 16 million floats";
            for (int k = 0; k < LAYER_COUNT && known; k++) known = strcmp(value, LAYERS[k].name);
            known = !known || parse_layer(&layer, value);
        } else if (!strcmp(argv[i], "--cpu"))
            settings->cpu = value;
        else if (!strcmp(argv[i], "--threads"))
            known = number(&settings->threads, &value, 1, 256, '\0');
        else if (!strcmp(argv[i], "--turns"))
            expected = "1 to 99", known = number(&settings->turns, &value, 1, MOST_TURNS, '\0');
        else
            return fprintf(stderr,
                           "convolution: unknown option '%s'; there are --layer, --cpu, "
                           "--threads, --turns, --json\n",
                           argv[i]),
                   2;
        if (!known)
            return fprintf(stderr, "convolution: %s '%s': expected %s\n", argv[i],
                           argv[i + 1] ? argv[i + 1] : "", expected),
                   2;
        i++;
    }
    return 0;
}

/* One layer, measured and told; 1 after an error or where a step was wrong. */
static int run_layer(struct nn_text *text, struct nn_context *one, struct nn_context *all,
                     const struct settings *settings, const struct named_layer *layer)
{
    static struct outcome outcomes[MOST_STEPS];
    struct ladder ladder = {.one = one, .all = all, .layer = layer->layer};
    int failed = 1;
    memset(outcomes, 0, sizeof outcomes);
    ladder.steps = steps_of(nn_cpu(one));
    if (!ladder.steps) {
        nn_fail(one, NN_ERROR_UNSUPPORTED, "no steps for level %s", nn_cpu(one));
    } else if (ladder_make(&ladder)) {
        failed = !ladder_measure(&ladder, outcomes, settings->turns);
        if (settings->json)
            ladder_print_json(text, &ladder, layer->name, outcomes, settings->turns);
        else
            ladder_print(text, &ladder, layer->name, layer->what, outcomes, settings->turns);
    }
    ladder_free(&ladder);
    return failed;
}

static int run_all(struct nn_context *one, struct nn_context *all, const struct settings *settings)
{
    struct nn_text text = {.context = one};
    struct named_layer own = {settings->layer, "as asked for", {0}};
    char name[128];
    int failed = 0, ran = 0;
    const struct convolution_steps *steps = steps_of(nn_cpu(one));
    if (settings->json) {
        nn_text_printf(&text, "{\"machine\": ");
        nn_text_json_string(&text, cpu_name(name));
        nn_text_printf(&text, ", \"cpu\": \"%s\", \"threads\": %d, \"layers\": [", nn_cpu(one),
                       nn_threads(all));
    } else
        nn_text_printf(&text, "%s; level %s: vectors of %d floats, %d registers\n", cpu_name(name),
                       nn_cpu(one), steps ? steps->lanes : 0, steps ? steps->registers : 0);
    for (int i = 0; i < LAYER_COUNT && !failed; i++) {
        if (settings->layer && strcmp(settings->layer, LAYERS[i].name) != 0) continue;
        if (settings->json && ran++) nn_text_printf(&text, ", ");
        failed = run_layer(&text, one, all, settings, &LAYERS[i]);
        ran = 1;
    }
    if (!ran && parse_layer(&own.layer, settings->layer))
        failed = run_layer(&text, one, all, settings, &own);
    if (settings->json) nn_text_printf(&text, "]}\n");
    if (!failed && !text.failed) fwrite(text.data, 1, text.size, stdout);
    failed = failed || text.failed || fflush(stdout) != 0;
    nn_text_free(&text);
    return failed;
}

int main(int argc, char **argv)
{
    struct settings settings = {.turns = 9};
    struct nn_context *one = NULL, *all = NULL;
    int status = parse(&settings, argc, argv);
    if (status) return status;
    if (nn_open(&one, &(struct nn_options){.threads = 1, .cpu = settings.cpu}) ||
        nn_open(&all, &(struct nn_options){.threads = settings.threads, .cpu = settings.cpu}))
        status = 1;
    else
        status = run_all(one, all, &settings);
    if (status && one && *nn_error(one)) fprintf(stderr, "convolution: %s\n", nn_error(one));
    if (status && all && *nn_error(all)) fprintf(stderr, "convolution: %s\n", nn_error(all));
    nn_close(&all);
    nn_close(&one);
    return status;
}
