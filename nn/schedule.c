/* schedule.c — the learning rate as a function of the step, so that a resumed run continues it. */
#include "nn/nn.h"

#include <math.h>

static double base_rate(const struct nn_schedule *schedule, uint64_t step)
{
    const double pi = 3.14159265358979323846;
    double t = (double)step;
    switch (schedule->kind) {
    case NN_CONSTANT:
        break;
    case NN_DECAY:
        return schedule->rate / (1 + schedule->decay * t);
    case NN_COSINE:
        if (schedule->steps == 0 || step >= schedule->steps) return 0;
        return schedule->rate * (1 + cos(pi * t / (double)schedule->steps)) / 2;
    case NN_STEP:
        if (schedule->every == 0) break;
        return schedule->rate * pow(schedule->factor, (double)(step / schedule->every));
    }
    return schedule->rate;
}

double nn_schedule_at(const struct nn_schedule *schedule, uint64_t step)
{
    double rate = base_rate(schedule, step);
    if (step < schedule->warmup) rate *= (double)(step + 1) / (double)schedule->warmup;
    return rate;
}
