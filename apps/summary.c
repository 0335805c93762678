/* summary.c — `liveness summary`: a network as Keras' model.summary() prints it. */
#include "apps/commands.h"
#include "apps/network.h"

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
     "print also what was fused and where buffers lie, predicting and training"},
};

/* Columns of the table. Keras': .45, .85 and 1 of 65. Names of other networks get more room. */
struct columns {
    int name, shape, count, work;
};
static const struct columns KERAS = {29, 26, 10, 15};
enum { WIDEST_NAME = 60 };

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

static void rule(struct nn_text *text, const struct columns *columns, char c)
{
    char line[WIDEST_NAME + 128];
    int width = columns->name + columns->shape + columns->count + columns->work;
    memset(line, c, (size_t)width);
    line[width] = '\n';
    nn_text_append(text, line, (size_t)width + 1);
}

/* "conv2d (Conv2D)". Returns `text`. */
static char *label_of(char text[320], const struct nn_node *node)
{
    char quoted[NN_QUOTED];
    snprintf(text, 320, "%s (%s)", app_plain(quoted, nn_node_name(node)), nn_node_title(node));
    return text;
}

/* What is too long for its column goes on in the next line, as in Keras since 2.9. */
static void print_layer(struct nn_text *text, const struct columns *columns,
                        const struct nn_node *node)
{
    char label[320], shape[64], work[40];
    int room = columns->name - 1;
    size_t count = count_values(node, "parameter") + count_values(node, "state");
    double multiply_adds = nn_node_multiply_adds(node);
    nn_text_printf(text, " %-*.*s %-*s", room - 1, room - 1, label_of(label, node), columns->shape,
                   nn_shape_text(shape, nn_node_shape(node)));
    if (multiply_adds > 0)
        nn_text_printf(text, "%-*zu%*s\n", columns->count, count, columns->work,
                       with_commas(work, multiply_adds));
    else
        nn_text_printf(text, "%zu\n", count);
    for (size_t at = (size_t)room - 1; at < strlen(label); at += (size_t)room - 1)
        nn_text_printf(text, " %.*s\n", room - 1, label + at);
}

/* The layers of a graph: nodes that are neither inputs nor values. */
static bool is_layer(const struct nn_node *node)
{
    return !is_kind(node, "input") && !is_kind(node, "parameter") && !is_kind(node, "state");
}

static struct columns choose_columns(const struct network *network)
{
    struct columns columns = KERAS;
    char label[320];
    for (int i = 0; i < nn_node_count(network->graph) && !network->is_model; i++) {
        const struct nn_node *node = nn_node_at(network->graph, i);
        int wanted = is_layer(node) ? (int)strlen(label_of(label, node)) + 2 : 0;
        if (wanted > WIDEST_NAME) wanted = WIDEST_NAME;
        if (wanted > columns.name) columns.name = wanted;
    }
    return columns;
}

static void print_layers(struct nn_text *text, const struct network *network,
                         const struct columns *columns, const char *name)
{
    char quoted[NN_QUOTED];
    nn_quote(quoted, name);
    quoted[0] = quoted[strlen(quoted) - 1] = '"';
    nn_text_printf(text, "Model: %s\n", quoted);
    rule(text, columns, '_');
    nn_text_printf(text, " %-*s%-*s%-*s%*s\n", columns->name - 1, "Layer (type)", columns->shape,
                   "Output Shape", columns->count, "Param #", columns->work, "Multiply-adds");
    rule(text, columns, '=');
    for (int i = 0; i < nn_node_count(network->graph); i++)
        if (is_layer(nn_node_at(network->graph, i)))
            print_layer(text, columns, nn_node_at(network->graph, i));
    rule(text, columns, '=');
}

static void print_totals(struct nn_text *text, const struct columns *columns,
                         const struct totals *totals)
{
    char number[40];
    nn_text_printf(text, "Total params: %s\n",
                   with_commas(number, (double)(totals->trained + totals->fixed)));
    nn_text_printf(text, "Trainable params: %s\n", with_commas(number, (double)totals->trained));
    nn_text_printf(text, "Non-trainable params: %s\n", with_commas(number, (double)totals->fixed));
    rule(text, columns, '_');
    nn_text_printf(text, "Multiply-adds per picture: %s\n",
                   with_commas(number, totals->multiply_adds));
    if (totals->training_bytes)
        nn_text_printf(text, "Buffers, training at batch 8: %s bytes\n",
                       with_commas(number, (double)totals->training_bytes));
    nn_text_printf(text, "Buffers, inference at batch 1: %s bytes\n",
                   with_commas(number, (double)totals->inference_bytes));
}

static void print_json_layers(struct nn_text *text, const struct network *network, const char *name)
{
    const struct nn_graph *graph = network->graph;
    const char *comma = "";
    nn_text_printf(text, "{\"model\":");
    nn_text_json_string(text, name);
    nn_text_printf(text, ",\"source\":\"%s\",\"weights\":%s,\"layers\":[", network->source,
                   network->bare ? "false" : "true");
    for (int i = 0; i < nn_node_count(graph); i++) {
        const struct nn_node *node = nn_node_at(graph, i);
        if (!is_layer(node)) continue;
        nn_text_printf(text, "%s{\"name\":", comma);
        nn_text_json_string(text, nn_node_name(node));
        nn_text_printf(text, ",\"type\":\"%s\",\"shape\":[null", nn_node_title(node));
        struct nn_shape shape = nn_node_shape(node);
        for (int k = 1; k < shape.rank; k++) nn_text_printf(text, ",%d", shape.dim[k]);
        nn_text_printf(text, "],\"params\":%zu,\"multiply_adds\":%.0f}",
                       count_values(node, "parameter") + count_values(node, "state"),
                       nn_node_multiply_adds(node));
        comma = ",";
    }
    nn_text_printf(text, "]");
}

static void print_json_totals(struct nn_text *text, const struct totals *totals)
{
    nn_text_printf(text, ",\"total_params\":%zu", totals->trained + totals->fixed);
    nn_text_printf(text, ",\"trainable_params\":%zu,\"non_trainable_params\":%zu", totals->trained,
                   totals->fixed);
    nn_text_printf(text, ",\"multiply_adds\":%.0f", totals->multiply_adds);
    if (totals->training_bytes)
        nn_text_printf(text, ",\"training_bytes\":%zu", totals->training_bytes);
    nn_text_printf(text, ",\"inference_bytes\":%zu}\n", totals->inference_bytes);
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

static void print_plan(struct nn_text *table, const struct nn_plan *plan, const char *what)
{
    nn_text_printf(table, "\nThe plan of %s:\n", what);
    nn_plan_print(plan, plan_line, table);
}

/* Training changes the graph, so it comes last. */
static enum nn_status measure_plans(struct totals *totals, struct nn_text *table,
                                    struct network *network)
{
    struct nn_plan *plan = NULL;
    enum nn_status status =
        nn_compile(&plan, network->graph, &(struct nn_plan_options){.batch = 1});
    if (!status) totals->inference_bytes = nn_plan_bytes(plan);
    if (!status && table) print_plan(table, plan, "inference at batch 1");
    nn_plan_free(&plan);
    if (status || !network->is_model) return status;
    status = compile_training(&plan, &network->model);
    if (!status) totals->training_bytes = nn_plan_bytes(plan);
    if (!status && table) print_plan(table, plan, "training at batch 8");
    nn_plan_free(&plan);
    return status;
}

static enum nn_status describe(struct app *app, const struct settings *settings,
                               struct network *network, const char *name)
{
    bool json = settings->common.json;
    struct totals totals = {0};
    struct columns columns = choose_columns(network);
    struct nn_text text = {.context = app->context}, plan = {.context = app->context};
    if (json)
        print_json_layers(&text, network, name);
    else
        print_layers(&text, network, &columns, name);
    count_graph(&totals, network->graph);
    enum nn_status status = measure_plans(&totals, settings->plan ? &plan : NULL, network);
    if (!status) status = app_text_status(&plan);
    if (!status && json)
        print_json_totals(&text, &totals);
    else if (!status)
        print_totals(&text, &columns, &totals);
    if (!status && plan.data && !json) nn_text_append(&text, plan.data, plan.size);
    nn_text_free(&plan);
    if (!status) return app_print(app, &text);
    nn_text_free(&text);
    return status;
}

static int run(struct app *app, int argc, char **argv)
{
    struct settings settings;
    struct network network = {0};
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    bool given = app->parsed.argument_count > 0;
    if (given && (cli_given(&app->parsed, app->command, "-w") ||
                  cli_given(&app->parsed, app->command, "-he") ||
                  cli_given(&app->parsed, app->command, "--classes")))
        return app_usage(app, "-w, -he and --classes are for a new network, not for a model file");
    if (!app_open(app, 1)) return app->exit_code;
    enum nn_status status = given ? network_open(&network, app, app->parsed.arguments[0])
                                  : network_new(&network, app, settings.width, settings.height,
                                                settings.classes, settings.common.seed);
    if (!status)
        status =
            describe(app, &settings, &network, given ? app->parsed.arguments[0] : "livenessnet");
    network_close(&network);
    return app_finish(app, status);
}

const struct cli_command app_summary = {
    .name = "summary",
    .summary = "Prints a network's layers, parameters, multiply-adds and memory.",
    .arguments = "[FILE|DIR]",
    .arguments_min = 0,
    .arguments_max = 1,
    .notes =
        "FILE is what `train` wrote, or a face detector: a folder that holds one, a .caffemodel "
        "or\n.prototxt, a .pb or .pbtxt, a .safetensors of `convert`. Of a .prototxt without "
        "weights the\nstructure is shown. Without FILE: LivenessNet, as `train` makes it.",
    .example = "  liveness summary out/faces.safetensors\n"
               "  liveness summary detector/deploy.prototxt --plan",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct settings),
    .run = run,
};
