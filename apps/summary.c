/* summary.c — `liveness summary`: a network as Keras' model.summary() prints it. */
#include "apps/commands.h"
#include "apps/model.h"

#include <stdlib.h>
#include <string.h>

struct settings {
    struct cli_common common;
    int width, height, classes;
    bool plan;
};

static const struct cli_option OPTIONS[] = {
    {"-w --input_img_width", CLI_INT, offsetof(struct settings, width), "PIXELS", "32", 4, 4096, 0,
     "width of the network's input, where no model is given"},
    {"-he --input_img_height", CLI_INT, offsetof(struct settings, height), "PIXELS", "32", 4, 4096,
     0, "height of the network's input"},
    {"--classes", CLI_INT, offsetof(struct settings, classes), "N", "2", 2, 65535, 0,
     "number of classes"},
    {"--plan", CLI_FLAG, offsetof(struct settings, plan), NULL, NULL, 0, 0, 0,
     "print also what was fused and where buffers lie when training"},
};

enum { LINE = 65, SHAPE_AT = 29, COUNT_AT = 55 }; /* Keras: .45, .85 and 1 of 65 columns */

static bool is_kind(const struct nn_node *node, const char *kind)
{
    return strcmp(nn_node_op(node), kind) == 0;
}

/* Values of parameters and states among a node's inputs. */
static size_t count_values(const struct nn_node *node, const char *kind)
{
    size_t count = 0;
    for (int i = 0; i < nn_node_inputs(node); i++)
        if (is_kind(nn_node_input(node, i), kind))
            count += nn_shape_count(nn_node_shape(nn_node_input(node, i)));
    return count;
}

/* 148562 -> "148,562" */
static char *with_commas(char text[40], double number)
{
    char digits[32];
    int size = snprintf(digits, sizeof digits, "%.0f", number), at = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

struct totals {
    size_t trained, fixed;
    double multiply_adds;
    size_t training_bytes, inference_bytes; /* of the plans */
};

static void rule(struct nn_text *text, char c)
{
    char line[LINE + 2];
    memset(line, c, LINE);
    line[LINE] = '\n';
    nn_text_append(text, line, LINE + 1);
}

/* What is too long for its column goes on in the next line, as in Keras since 2.9. */
static void print_layer(struct nn_text *text, const struct nn_node *node)
{
    char name[320], shape[64];
    snprintf(name, sizeof name, "%s (%s)", nn_node_name(node), nn_node_title(node));
    nn_text_printf(text, " %-*.*s %-*s %-*zu\n", SHAPE_AT - 2, SHAPE_AT - 2, name,
                   COUNT_AT - SHAPE_AT - 1, nn_shape_text(shape, nn_node_shape(node)),
                   LINE - COUNT_AT, count_values(node, "parameter") + count_values(node, "state"));
    for (size_t at = SHAPE_AT - 2; at < strlen(name); at += SHAPE_AT - 2)
        nn_text_printf(text, " %.*s\n", SHAPE_AT - 2, name + at);
}

/* The layers of a graph: nodes that are neither inputs nor values. */
static bool is_layer(const struct nn_node *node)
{
    return !is_kind(node, "input") && !is_kind(node, "parameter") && !is_kind(node, "state");
}

static void print_layers(struct nn_text *text, const struct nn_graph *graph, const char *name)
{
    char quoted[NN_QUOTED];
    nn_quote(quoted, name);
    quoted[0] = quoted[strlen(quoted) - 1] = '"';
    nn_text_printf(text, "Model: %s\n", quoted);
    rule(text, '_');
    nn_text_printf(text, " %-*s %-*s %-*s\n", SHAPE_AT - 2, "Layer (type)", COUNT_AT - SHAPE_AT - 1,
                   "Output Shape", LINE - COUNT_AT, "Param #");
    rule(text, '=');
    for (int i = 0; i < nn_node_count(graph); i++)
        if (is_layer(nn_node_at(graph, i))) print_layer(text, nn_node_at(graph, i));
    rule(text, '=');
}

static void print_totals(struct nn_text *text, const struct totals *totals)
{
    char number[40];
    nn_text_printf(text, "Total params: %s\n",
                   with_commas(number, (double)(totals->trained + totals->fixed)));
    nn_text_printf(text, "Trainable params: %s\n", with_commas(number, (double)totals->trained));
    nn_text_printf(text, "Non-trainable params: %s\n", with_commas(number, (double)totals->fixed));
    rule(text, '_');
    nn_text_printf(text, "Multiply-adds per picture: %s\n",
                   with_commas(number, totals->multiply_adds));
    nn_text_printf(text, "Buffers, training at batch 8: %s bytes\n",
                   with_commas(number, (double)totals->training_bytes));
    nn_text_printf(text, "Buffers, inference at batch 1: %s bytes\n",
                   with_commas(number, (double)totals->inference_bytes));
}

static void print_json_layers(struct nn_text *text, const struct nn_graph *graph, const char *name)
{
    const char *comma = "";
    nn_text_printf(text, "{\"model\":");
    nn_text_json_string(text, name);
    nn_text_printf(text, ",\"layers\":[");
    for (int i = 0; i < nn_node_count(graph); i++) {
        const struct nn_node *node = nn_node_at(graph, i);
        if (!is_layer(node)) continue;
        nn_text_printf(text, "%s{\"name\":", comma);
        nn_text_json_string(text, nn_node_name(node));
        nn_text_printf(text, ",\"type\":\"%s\",\"shape\":[null", nn_node_title(node));
        struct nn_shape shape = nn_node_shape(node);
        for (int k = 1; k < shape.rank; k++) nn_text_printf(text, ",%d", shape.dim[k]);
        nn_text_printf(text, "],\"params\":%zu}",
                       count_values(node, "parameter") + count_values(node, "state"));
        comma = ",";
    }
    nn_text_printf(text, "]");
}

static void print_json_totals(struct nn_text *text, const struct totals *totals)
{
    nn_text_printf(text, ",\"total_params\":%zu", totals->trained + totals->fixed);
    nn_text_printf(text, ",\"trainable_params\":%zu,\"non_trainable_params\":%zu", totals->trained,
                   totals->fixed);
    nn_text_printf(text,
                   ",\"multiply_adds\":%.0f,\"training_bytes\":%zu,\"inference_bytes\":%zu}\n",
                   totals->multiply_adds, totals->training_bytes, totals->inference_bytes);
}

static void count_graph(struct totals *totals, const struct nn_graph *graph)
{
    for (int i = 0; i < nn_node_count(graph); i++) {
        const struct nn_node *node = nn_node_at(graph, i);
        size_t values = nn_shape_count(nn_node_shape(node));
        if (is_kind(node, "parameter")) totals->trained += values;
        if (is_kind(node, "state")) totals->fixed += values;
        totals->multiply_adds += nn_node_multiply_adds(node);
    }
}

static void plan_line(void *user, const char *line)
{
    nn_text_printf(user, "%s\n", line);
}

/* Compiles as training does, which adds the loss to the graph. */
static enum nn_status compile_training(struct nn_plan **plan, struct model *model)
{
    struct nn_node *target = nn_input(model->graph, "target", nn_shape2(NN_BATCH, model->classes));
    struct nn_node *loss = nn_softmax_cross_entropy(model->logits, target, NULL);
    enum nn_status status = nn_graph_status(model->graph);
    if (status) return status;
    return nn_compile(plan, model->graph,
                      &(struct nn_plan_options){
                          .batch = 8, .loss = loss, .outputs = &model->logits, .output_count = 1});
}

static enum nn_status measure_plans(struct totals *totals, struct nn_text *table,
                                    struct model *model)
{
    struct nn_plan *plan = NULL;
    enum nn_status status = nn_compile(
        &plan, model->graph,
        &(struct nn_plan_options){.batch = 1, .outputs = &model->softmax, .output_count = 1});
    if (!status) totals->inference_bytes = nn_plan_bytes(plan);
    nn_plan_free(&plan);
    if (!status) status = compile_training(&plan, model);
    if (!status) totals->training_bytes = nn_plan_bytes(plan);
    if (!status && table) {
        nn_text_printf(table, "\nThe plan of training at batch 8:\n");
        nn_plan_print(plan, plan_line, table);
    }
    nn_plan_free(&plan);
    return status;
}

static enum nn_status describe(struct app *app, const struct settings *settings,
                               struct model *model, const char *name)
{
    bool json = settings->common.json;
    struct totals totals = {0};
    struct nn_text text = {.context = app->context}, plan = {.context = app->context};
    if (json)
        print_json_layers(&text, model->graph, name);
    else
        print_layers(&text, model->graph, name);
    count_graph(&totals, model->graph);
    enum nn_status status = measure_plans(&totals, settings->plan ? &plan : NULL, model);
    if (!status) status = app_text_status(&plan);
    if (!status && json)
        print_json_totals(&text, &totals);
    else if (!status)
        print_totals(&text, &totals);
    if (!status && plan.data && !json) nn_text_append(&text, plan.data, plan.size);
    nn_text_free(&plan);
    if (!status) return app_print(app, &text);
    nn_text_free(&text);
    return status;
}

static int run(struct app *app, int argc, char **argv)
{
    struct settings settings;
    struct model model = {0};
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    bool given = app->parsed.argument_count > 0;
    if (given && (cli_given(&app->parsed, app->command, "-w") ||
                  cli_given(&app->parsed, app->command, "-he") ||
                  cli_given(&app->parsed, app->command, "--classes")))
        return app_usage(app, "-w, -he and --classes are for a new network, not for a model file");
    if (!app_open(app, 1)) return app->exit_code;
    enum nn_status status;
    if (given) {
        status = model_load(&model, app, app->parsed.arguments[0], NULL);
    } else {
        struct model_contract contract = {settings.width, settings.height, 3, VI_BGR, 1, {0}, 0};
        status = model_new(&model, app, &contract, NULL, settings.classes);
    }
    if (!status)
        status = describe(app, &settings, &model, given ? app->parsed.arguments[0] : "livenessnet");
    model_free(&model);
    return app_finish(app, status);
}

const struct cli_command app_summary = {
    .name = "summary",
    .summary = "Prints a network's layers, parameters, multiply-adds and memory.",
    .arguments = "[MODEL]",
    .arguments_min = 0,
    .arguments_max = 1,
    .notes = "Without a model file: LivenessNet, as `train` makes it.",
    .example = "  liveness summary out/faces.safetensors",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct settings),
    .run = run,
};
