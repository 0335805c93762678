/* model.c — a model file to a graph with its contract, and back. */
#include "apps/model.h"

#include <math.h>
#include <string.h>

/* ---- new ------------------------------------------------------------------------------------- */

static enum nn_status copy_labels(struct model *model, char *const *labels, int classes)
{
    model->classes = classes;
    if (!labels) return NN_OK;
    model->labels = nn_alloc(model->context, (size_t)classes, sizeof *model->labels);
    if (!model->labels) return NN_ERROR_MEMORY;
    for (int i = 0; i < classes; i++) {
        model->labels[i] = nn_strdup(model->context, labels[i]);
        if (!model->labels[i]) return NN_ERROR_MEMORY;
    }
    return NN_OK;
}

enum nn_status model_new(struct model *model, struct app *app,
                         const struct model_contract *contract, char *const *labels, int classes)
{
    *model = (struct model){.context = app->context, .contract = *contract};
    model->graph = nn_graph_new(app->context);
    if (!model->graph) return NN_ERROR_MEMORY;
    model->softmax = nn_model_livenessnet(model->graph, contract->height, contract->width,
                                          contract->channels, classes);
    enum nn_status status = nn_graph_status(model->graph);
    if (status) return status;
    model->logits = nn_node_input(model->softmax, 0);
    model->input = nn_find(model->graph, "input");
    return copy_labels(model, labels, classes);
}

void model_free(struct model *model)
{
    if (!model->context) return;
    for (int i = 0; model->labels && i < model->classes; i++)
        nn_free(model->context, model->labels[i]);
    nn_free(model->context, model->labels);
    nn_graph_free(&model->graph);
    *model = (struct model){0};
}

/* ---- write ----------------------------------------------------------------------------------- */

static void write_contract(struct nn_text *text, const struct model_contract *contract)
{
    nn_text_printf(text, "{\"width\":%d,\"height\":%d,\"channels\":%d,\"color\":\"%s\",",
                   contract->width, contract->height, contract->channels,
                   contract->color == VI_BGR ? "bgr" : "rgb");
    nn_text_printf(text, "\"scale\":%.17g,\"mean\":[%.17g,%.17g,%.17g],", contract->scale,
                   contract->mean[0], contract->mean[1], contract->mean[2]);
    nn_text_printf(text, "\"interpolation\":\"linear\",\"softmax\":true,\"crop_margin\":%.17g}",
                   contract->crop_margin);
}

enum nn_status model_put(struct model *model, struct nn_archive *archive)
{
    struct nn_text labels = {.context = model->context}, contract = {.context = model->context};
    enum nn_status status = nn_graph_save(model->graph, archive);
    app_json_strings(&labels, model->labels, model->classes);
    write_contract(&contract, &model->contract);
    if (!status) status = app_text_status(&labels);
    if (!status) status = app_text_status(&contract);
    if (!status) status = nn_archive_put_text(archive, "labels", labels.data);
    if (!status) status = nn_archive_put_text(archive, "preprocessing", contract.data);
    nn_text_free(&labels);
    nn_text_free(&contract);
    return status;
}

/* ---- read ------------------------------------------------------------------------------------ */

static enum nn_status fail(struct model *model, const char *path, const char *what)
{
    char quoted[NN_QUOTED];
    return nn_fail(model->context, NN_ERROR_FORMAT, "%s: %s", nn_quote(quoted, path), what);
}

/* A whole number of the object, in [low, high]; else *good becomes false. */
static int whole(const struct nn_json *object, const char *key, int low, int high, bool *good)
{
    double value = nn_json_number(nn_json_get(object, key), NAN);
    if (!(value >= low && value <= high) || value != floor(value)) {
        *good = false;
        return low;
    }
    return (int)value;
}

static double real(const struct nn_json *value, bool *good)
{
    double number = nn_json_number(value, NAN);
    if (!isfinite(number)) *good = false;
    return number;
}

static bool is_text(const struct nn_json *object, const char *key, const char *wanted)
{
    const char *text = nn_json_string(nn_json_get(object, key), NULL);
    return text && strcmp(text, wanted) == 0;
}

/* Members are exactly the ones write_contract writes: a stranger's further demand on pictures
 * cannot be met by ignoring it. */
static enum nn_status read_contract(struct model *model, const struct nn_json *object,
                                    const char *path)
{
    struct model_contract *contract = &model->contract;
    const struct nn_json *mean = nn_json_get(object, "mean");
    bool good = nn_json_kind(object) == NN_JSON_OBJECT && nn_json_count(object) == 9;
    contract->width = whole(object, "width", 1, 65536, &good);
    contract->height = whole(object, "height", 1, 65536, &good);
    contract->channels = whole(object, "channels", 3, 3, &good);
    contract->scale = real(nn_json_get(object, "scale"), &good);
    contract->crop_margin = real(nn_json_get(object, "crop_margin"), &good);
    good = good && nn_json_kind(mean) == NN_JSON_ARRAY && nn_json_count(mean) == 3;
    for (int i = 0; i < 3; i++) contract->mean[i] = real(nn_json_at(mean, i), &good);
    contract->color = is_text(object, "color", "rgb") ? VI_RGB : VI_BGR;
    good = good && (is_text(object, "color", "rgb") || is_text(object, "color", "bgr"));
    good = good && is_text(object, "interpolation", "linear");
    good = good && nn_json_kind(nn_json_get(object, "softmax")) == NN_JSON_BOOL &&
           nn_json_bool(nn_json_get(object, "softmax"), false);
    if (!good)
        return fail(model, path,
                    "its \"preprocessing\" asks for something this version "
                    "does not know, or is damaged");
    return NN_OK;
}

static enum nn_status read_labels(struct model *model, const struct nn_json *array,
                                  const char *path)
{
    int count = nn_json_count(array);
    if (nn_json_kind(array) != NN_JSON_ARRAY || count < 1 || count > UINT16_MAX)
        return fail(model, path, "its \"labels\" are not a list of class names");
    model->labels = nn_alloc(model->context, (size_t)count, sizeof *model->labels);
    if (!model->labels) return NN_ERROR_MEMORY;
    model->classes = count;
    for (int i = 0; i < count; i++) {
        const char *label = nn_json_string(nn_json_at(array, i), NULL);
        if (!label || !*label) return fail(model, path, "one of its \"labels\" is not a name");
        for (int k = 0; k < i; k++)
            if (strcmp(model->labels[k], label) == 0)
                return fail(model, path, "two of its \"labels\" are the same");
        model->labels[i] = nn_strdup(model->context, label);
        if (!model->labels[i]) return NN_ERROR_MEMORY;
    }
    return NN_OK;
}

typedef enum nn_status read_json(struct model *model, const struct nn_json *value,
                                 const char *path);

static enum nn_status read_metadata(struct model *model, const struct nn_archive *archive,
                                    const char *path, const char *key, read_json *read)
{
    struct nn_json *root = NULL;
    char what[128];
    const char *text = nn_archive_text(archive, key);
    if (!text) {
        snprintf(what, sizeof what, "it has no \"%s\": it was not written by this program", key);
        return fail(model, path, what);
    }
    enum nn_status status = nn_json_parse(&root, model->context, text, strlen(text), path);
    if (!status) status = read(model, root, path);
    nn_json_free(&root);
    return status;
}

/* Finds input and softmax, and checks that contract and labels fit them. */
static enum nn_status check_fit(struct model *model, const char *path)
{
    const struct model_contract *contract = &model->contract;
    char quoted[NN_QUOTED], has[64], wanted[64];
    model->input = nn_find(model->graph, "input");
    model->softmax = nn_find(model->graph, "softmax");
    if (!model->input || strcmp(nn_node_op(model->input), "input") != 0 || !model->softmax ||
        strcmp(nn_node_op(model->softmax), "softmax") != 0)
        return fail(model, path, "its network has no node \"input\" or no node \"softmax\"");
    model->logits = nn_node_input(model->softmax, 0);
    struct nn_shape shape = nn_node_shape(model->input);
    struct nn_shape input =
        nn_shape4(NN_BATCH, contract->height, contract->width, contract->channels);
    if (!nn_shape_equal(shape, input))
        return nn_fail(model->context, NN_ERROR_FORMAT,
                       "%s: its network takes %s, its \"preprocessing\" makes %s",
                       nn_quote(quoted, path), nn_shape_text(has, shape),
                       nn_shape_text(wanted, input));
    shape = nn_node_shape(model->softmax);
    if (!nn_shape_equal(shape, nn_shape2(NN_BATCH, model->classes)))
        return nn_fail(model->context, NN_ERROR_FORMAT,
                       "%s: its network answers %s, but it has %d labels", nn_quote(quoted, path),
                       nn_shape_text(has, shape), model->classes);
    for (int i = 0; i < nn_node_count(model->graph); i++) {
        const struct nn_node *node = nn_node_at(model->graph, i);
        if (strcmp(nn_node_op(node), "input") == 0 && node != model->input)
            return fail(model, path, "its network has more than one input");
    }
    return NN_OK;
}

/* The engine knows no file names; the user wants one. */
static enum nn_status load_graph(struct model *model, const struct nn_archive *archive,
                                 const char *path)
{
    char text[768], quoted[NN_QUOTED];
    enum nn_status status = nn_graph_load(&model->graph, model->context, archive);
    if (!status || status == NN_ERROR_MEMORY) return status;
    snprintf(text, sizeof text, "%s", nn_error(model->context));
    return nn_fail(model->context, status, "%s: %s", nn_quote(quoted, path), text);
}

enum nn_status model_load(struct model *model, struct app *app, const char *path,
                          struct nn_archive **kept)
{
    struct nn_archive *archive = NULL;
    *model = (struct model){.context = app->context};
    enum nn_status status = nn_archive_read(&archive, app->context, path);
    if (!status && !nn_archive_text(archive, "architecture"))
        status =
            fail(model, path, "it has no \"architecture\": it was not written by this program");
    if (!status) status = load_graph(model, archive, path);
    if (!status) status = read_metadata(model, archive, path, "labels", read_labels);
    if (!status) status = read_metadata(model, archive, path, "preprocessing", read_contract);
    if (!status) status = check_fit(model, path);
    if (!status && kept) {
        *kept = archive;
        archive = NULL;
    }
    nn_archive_free(&archive);
    return status;
}

/* ---- pictures -------------------------------------------------------------------------------- */

void model_fill(float *to, const struct model_contract *contract, const uint8_t *pixels)
{
    /* vi_to_float only reads; the view has no const twin. */
    struct vi_image view = {(uint8_t *)(uintptr_t)pixels, contract->width, contract->height,
                            contract->channels, (ptrdiff_t)contract->width * contract->channels};
    const float mean[3] = {(float)contract->mean[0], (float)contract->mean[1],
                           (float)contract->mean[2]};
    vi_to_float(to, &view, mean, (float)contract->scale);
}

struct ds_options model_pictures(const struct model *model)
{
    return (struct ds_options){.width = model->contract.width,
                               .height = model->contract.height,
                               .color = model->contract.color};
}

static int find_name(char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

enum nn_status model_match_labels(uint16_t *map, struct app *app, char *const *labels, int classes,
                                  const char *owner, const struct ds_pictures *pictures,
                                  const char *path)
{
    char name[NN_QUOTED], where[NN_QUOTED], other[NN_QUOTED];
    for (int i = 0; i < pictures->classes; i++) {
        int label = find_name(labels, classes, pictures->class_names[i]);
        if (label < 0)
            return nn_fail(app->context, NN_ERROR_ARGUMENT,
                           "%s has the class %s, which %s does not know", nn_quote(where, path),
                           nn_quote(name, pictures->class_names[i]), nn_quote(other, owner));
        if (map) map[i] = (uint16_t)label;
    }
    for (int i = 0; i < classes; i++)
        if (find_name(pictures->class_names, pictures->classes, labels[i]) < 0)
            return nn_fail(app->context, NN_ERROR_ARGUMENT,
                           "%s has no class %s, which %s does have", nn_quote(where, path),
                           nn_quote(name, labels[i]), nn_quote(other, owner));
    return NN_OK;
}

void model_report_bad(const struct app *app, const struct ds_pictures *pictures)
{
    enum { SHOWN = 10 };
    char quoted[NN_QUOTED];
    for (size_t i = 0; i < pictures->bad_count && i < SHOWN; i++)
        app_complain(app, "left out %s: %s", nn_quote(quoted, pictures->bad[i].path),
                     pictures->bad[i].reason);
    if (pictures->bad_count > SHOWN)
        app_complain(app, "... and %zu more", pictures->bad_count - SHOWN);
    if (pictures->bad_count)
        app_complain(app, "%zu files could not be read and are left out", pictures->bad_count);
}
