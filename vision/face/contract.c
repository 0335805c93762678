/* contract.c — what a detector wants done to a picture, to JSON and back. */
#include "vision/face/detector.h"

#include <math.h>
#include <string.h>

enum { MEMBERS = 6 };

struct vi_contract vi_contract_caffe(int width, int height)
{
    return (struct vi_contract){width, height, VI_BGR, 1, {104, 177, 123}};
}

void vi_contract_write(struct nn_text *text, const struct vi_contract *contract)
{
    nn_text_printf(text, "{\"width\":%d,\"height\":%d,\"color\":\"%s\",", contract->width,
                   contract->height, contract->color == VI_BGR ? "bgr" : "rgb");
    nn_text_printf(text, "\"mean\":[%.17g,%.17g,%.17g],\"scale\":%.17g,", contract->mean[0],
                   contract->mean[1], contract->mean[2], contract->scale);
    nn_text_printf(text, "\"interpolation\":\"linear\"}");
}

static int side(const struct nn_json *value)
{
    double number = nn_json_number(value, 0);
    return number >= 1 && number <= VI_LARGEST_INPUT && number == floor(number) ? (int)number : 0;
}

/* The members are exactly the ones that are written: a further demand on pictures cannot be met
 * by ignoring it. */
static bool read_members(struct vi_contract *contract, const struct nn_json *root)
{
    const struct nn_json *mean = nn_json_get(root, "mean");
    const char *color = nn_json_string(nn_json_get(root, "color"), "");
    const char *interpolation = nn_json_string(nn_json_get(root, "interpolation"), "");
    if (nn_json_kind(root) != NN_JSON_OBJECT || nn_json_count(root) != MEMBERS) return false;
    *contract = (struct vi_contract){.width = side(nn_json_get(root, "width")),
                                     .height = side(nn_json_get(root, "height")),
                                     .color = strcmp(color, "rgb") == 0 ? VI_RGB : VI_BGR,
                                     .scale = nn_json_number(nn_json_get(root, "scale"), NAN)};
    bool finite = isfinite(contract->scale) && nn_json_kind(mean) == NN_JSON_ARRAY;
    for (int i = 0; i < 3; i++) {
        contract->mean[i] = nn_json_number(nn_json_at(mean, i), NAN);
        finite = finite && isfinite(contract->mean[i]);
    }
    return finite && nn_json_count(mean) == 3 && contract->width && contract->height &&
           (strcmp(color, "bgr") == 0 || strcmp(color, "rgb") == 0) &&
           strcmp(interpolation, "linear") == 0;
}

enum nn_status vi_contract_read(struct vi_contract *contract, struct nn_context *context,
                                const char *json, const char *name)
{
    struct nn_json *root = NULL;
    char quoted[NN_QUOTED];
    enum nn_status status = nn_json_parse(&root, context, json, strlen(json), name);
    if (!status && !read_members(contract, root))
        status = nn_fail(context, NN_ERROR_FORMAT,
                         "%s: its \"preprocessing\" asks for something this version does not "
                         "know, or is damaged",
                         nn_quote(quoted, name));
    nn_json_free(&root);
    return status;
}
