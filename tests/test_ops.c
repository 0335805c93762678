/*
 * test_ops.c — every op, every case of op_cases.inc: values and gradients against PyTorch's
 * (float64; tests/golden/make_ops.py) at every CPU level, and gradients against central
 * differences.
 */
#include "tests/test.h"
#include "tests/trial.h"

/* ---- every op has a case --------------------------------------------------------------------- */

static void check_coverage(void)
{
    for (int i = 0; nn_op_at(i); i++) {
        int cases = 0;
        for (int j = 0; j < OP_CASE_COUNT; j++)
            cases += strcmp(OP_CASES[j].op, nn_op_at(i)->name) == 0;
        CHECK(cases > 0, "%s has %d cases", nn_op_at(i)->name, cases);
        CHECK(nn_op_find(nn_op_at(i)->name) == nn_op_at(i), "%s is found by its name",
              nn_op_at(i)->name);
    }
    CHECK(nn_op_find("no such op") == NULL, "an unknown op is not found");
}

/* ---- golden ---------------------------------------------------------------------------------- */

static const double TOLERANCE = 1e-5;

/* Difference of `got` from the golden tensor "<case>.<what>"; 1 when that is missing. */
static double golden_difference(const struct nn_archive *golden, const struct trial *trial,
                                const char *what, const float *got, size_t count)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", trial->row->name, what);
    const struct nn_archive_tensor *tensor = nn_archive_get(golden, name);
    if (!tensor || tensor->type != NN_F32 || tensor->bytes != count * sizeof(float) || !got) {
        printf("# %s is missing or has another size\n", name);
        return 1.0;
    }
    double difference = trial_difference(got, tensor->data, count);
    if (!(difference <= TOLERANCE)) printf("# %s differs by %.2e\n", name, difference);
    return difference;
}

static double worst_difference(const struct nn_archive *golden, const struct trial *trial)
{
    double worst = golden_difference(golden, trial, "y", nn_data(trial->plan, trial->out),
                                     trial_floats(trial, trial->out));
    for (int i = 0; i < trial->count && trial->row->mode == TRAINING; i++) {
        bool state = trial_is_state(trial->row->roles[i]);
        char what[8];
        snprintf(what, sizeof what, "%c%d", state ? 's' : 'd', i);
        const float *got =
            state ? nn_values(trial->tensor[i]) : nn_gradient(trial->plan, trial->tensor[i]);
        double difference =
            golden_difference(golden, trial, what, got, trial_floats(trial, trial->tensor[i]));
        if (!(difference <= worst)) worst = difference;
    }
    return worst;
}

static void check_golden(struct nn_context *context, const struct nn_archive *golden)
{
    for (int i = 0; i < OP_CASE_COUNT; i++) {
        if (OP_CASES[i].mode == RANDOM) continue;
        struct trial trial;
        enum nn_status status =
            trial_open(&trial, &OP_CASES[i], context, &(struct trial_options){0});
        if (!status) {
            trial_fill(&trial);
            status = trial_run(&trial);
        }
        double worst = status ? 1.0 : worst_difference(golden, &trial);
        if (status) printf("# %s\n", nn_error(context));
        CHECK(worst <= TOLERANCE, "%s on %s is PyTorch's to %.1e", OP_CASES[i].name,
              nn_cpu(context), worst);
        trial_close(&trial);
    }
}

/* ---- central differences --------------------------------------------------------------------- */

/* sum(y * r) after a forward run, with tensor `i` moved by `distance` along `direction`. */
static double loss_along(const struct trial *trial, int i, const float *direction, double distance)
{
    trial_fill(trial);
    float *values = trial_values(trial, i);
    for (size_t k = 0; k < trial_floats(trial, trial->tensor[i]); k++)
        values[k] += (float)(distance * (double)direction[k]);
    if (nn_forward(trial->plan, trial->images)) return NAN;
    const float *y = nn_data(trial->plan, trial->out), *r = nn_data(trial->plan, trial->r);
    double loss = 0.0;
    for (size_t k = 0; k < trial_floats(trial, trial->out); k++)
        loss += (double)y[k] * (double)r[k];
    return loss;
}

/* Is <gradient, direction> the slope of the loss that way, to 0.3 % of `scale`? */
static bool slope_fits(const struct trial *trial, int i, const float *gradient,
                       const float *direction, double scale)
{
    /* Values that must stay in order are 4/count apart. */
    const double step = strchr(trial->row->roles, 'd') ? 1.0 / 1024 : 1.0 / 64;
    double expected = 0.0;
    for (size_t k = 0; k < trial_floats(trial, trial->tensor[i]); k++)
        expected += (double)gradient[k] * (double)direction[k];
    double slope =
        (loss_along(trial, i, direction, step) - loss_along(trial, i, direction, -step)) /
        (2.0 * step);
    return fabs(slope - expected) <= 0.003 * scale;
}

/* Two directions: the gradient's own, where nothing cancels and a wrong factor shows, and a
 * random one, where a wrong turn does. */
static bool gradient_fits(const struct trial *trial, int i, const float *gradient)
{
    size_t count = trial_floats(trial, trial->tensor[i]);
    float *direction = calloc(count, sizeof *direction);
    double largest = 0.0, square = 0.0;
    for (size_t k = 0; k < count; k++) {
        if (fabs((double)gradient[k]) > largest) largest = fabs((double)gradient[k]);
        square += (double)gradient[k] * (double)gradient[k];
    }
    if (!direction || !(largest > 0.0)) {
        free(direction);
        return false;
    }
    for (size_t k = 0; k < count; k++) direction[k] = (float)((double)gradient[k] / largest);
    bool fits = slope_fits(trial, i, gradient, direction, square / largest);
    numbers_fill(direction, count, 1, 'i', 1, (uint64_t)i);
    fits = fits && slope_fits(trial, i, gradient, direction, sqrt(square));
    free(direction);
    return fits;
}

/* Of `count` tensors: those whose gradient fits, and those where one of 1 % more fits too. */
static void count_fits(const struct trial *trial, int *tensors, int *fits, int *missed)
{
    trial_fill(trial);
    if (trial_run(trial)) return;
    for (int i = 0; i < trial->count; i++) {
        if (trial_is_state(trial->row->roles[i])) continue;
        size_t count = trial_floats(trial, trial->tensor[i]);
        const float *gradient = nn_gradient(trial->plan, trial->tensor[i]);
        float *wrong = calloc(count, sizeof *wrong), *right = calloc(count, sizeof *right);
        ++*tensors;
        for (size_t k = 0; gradient && wrong && right && k < count; k++) {
            right[k] = gradient[k];
            wrong[k] = gradient[k] * 1.01f;
        }
        if (gradient && wrong && right) {
            *fits += gradient_fits(trial, i, right);
            *missed += gradient_fits(trial, i, wrong);
        }
        free(wrong);
        free(right);
        trial_fill(trial);
        if (trial_run(trial)) return;
    }
}

static void check_differences(struct nn_context *context)
{
    for (int i = 0; i < OP_CASE_COUNT; i++) {
        if (OP_CASES[i].mode == INFERENCE) continue;
        struct trial trial;
        int tensors = 0, fits = 0, missed = 0;
        if (trial_open(&trial, &OP_CASES[i], context, &(struct trial_options){0}))
            printf("# %s\n", nn_error(context));
        else
            count_fits(&trial, &tensors, &fits, &missed);
        CHECK(tensors > 0 && fits == tensors, "%s: %d of %d gradients are the slopes of the loss",
              OP_CASES[i].name, fits, tensors);
        CHECK(tensors > 0 && missed == 0, "%s: gradients wrong by 1 %% are caught",
              OP_CASES[i].name);
        trial_close(&trial);
    }
}

int main(void)
{
    struct nn_context *context = NULL;
    struct nn_archive *golden = NULL;
    const char *levels[8];
    int count = nn_levels(levels);
    check_coverage();
    if (!CHECK(nn_open(&context, &(struct nn_options){.threads = 1}) == NN_OK, "a context") ||
        !CHECK(nn_archive_read(&golden, context, "tests/golden/ops.safetensors") == NN_OK,
               "golden values: %s", nn_error(context)))
        return test_done();
    for (int i = 0; i < count; i++) {
        struct nn_context *level = NULL;
        if (CHECK(nn_open(&level, &(struct nn_options){.threads = 1, .cpu = levels[i]}) == NN_OK,
                  "level %s", levels[i]))
            check_golden(level, golden);
        nn_close(&level);
    }
    check_differences(context);
    nn_archive_free(&golden);
    nn_close(&context);
    return test_done();
}
