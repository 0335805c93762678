/* json.c — what the subcommands' --json have in common. */
#include "apps/app.h"

#include <math.h>

void app_json_number(struct nn_text *text, double value)
{
    if (isfinite(value))
        nn_text_printf(text, "%.9g", value);
    else
        nn_text_append(text, "null", 4);
}

void app_json_strings(struct nn_text *text, char *const *strings, int count)
{
    nn_text_append(text, "[", 1);
    for (int i = 0; i < count; i++) {
        if (i) nn_text_append(text, ",", 1);
        nn_text_json_string(text, strings[i]);
    }
    nn_text_append(text, "]", 1);
}
