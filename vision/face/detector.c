/* detector.c — a network from its files, checked to be a face detector; and into one file. */
#include "vision/face/detector.h"
#include "vision/face/files.h"

#include <stdio.h>
#include <string.h>

static const char KIND[] = "face-detector";
enum { MOST_FACES = 1 << 16 };

/* ---- reading --------------------------------------------------------------------------------- */

static enum nn_status fail(struct vi_detector *detector, const char *path, const char *what)
{
    char quoted[NN_QUOTED];
    return nn_fail(detector->context, NN_ERROR_FORMAT, "%s: %s", nn_quote(quoted, path), what);
}

/* Puts the file's name before an error that does not tell it. */
static enum nn_status prefix(struct vi_detector *detector, enum nn_status status, const char *path)
{
    char text[768], quoted[NN_QUOTED];
    if (!status || status == NN_ERROR_MEMORY) return status;
    snprintf(text, sizeof text, "%s", nn_error(detector->context));
    return nn_fail(detector->context, status, "%s: %s", nn_quote(quoted, path), text);
}

static enum nn_status check_kind(struct vi_detector *detector, const struct nn_archive *archive,
                                 const char *path)
{
    const char *kind = nn_archive_text(archive, "kind");
    if (kind && strcmp(kind, KIND) == 0) return NN_OK;
    if (nn_archive_text(archive, "labels"))
        return fail(detector, path, "this is a LivenessNet model, not a face detector");
    return fail(detector, path,
                "this is not a face detector of this program (`liveness convert` writes one)");
}

static enum nn_status load_archive(struct vi_detector *detector, const char *path)
{
    struct nn_archive *archive = NULL;
    enum nn_status status = nn_archive_read(&archive, detector->context, path);
    if (!status) status = check_kind(detector, archive, path);
    if (!status) {
        status = nn_graph_load(&detector->graph, detector->context, archive);
        status = prefix(detector, status, path);
    }
    const char *json = status ? NULL : nn_archive_text(archive, "preprocessing");
    if (!status && !json) status = fail(detector, path, "it has no \"preprocessing\"");
    if (!status) status = vi_contract_read(&detector->contract, detector->context, json, path);
    nn_archive_free(&archive);
    return status;
}

static enum nn_status load(struct vi_detector *detector, const struct vi_detector_files *files)
{
    detector->source = files->source;
    if (!files->network) return load_archive(detector, files->weights);
    if (strcmp(files->source, "caffe") == 0)
        return nn_import_caffe(&detector->graph, detector->context, files->network, files->weights);
    return nn_import_tensorflow(&detector->graph, detector->context, files->network,
                                files->weights);
}

/* ---- is it a face detector? ------------------------------------------------------------------ */

static bool is_op(const struct nn_node *node, const char *op)
{
    return strcmp(nn_node_op(node), op) == 0;
}

/* The one input, a picture of three channels whose size is known. */
static enum nn_status check_input(struct vi_detector *detector, const char *path)
{
    char what[320], shape[64];
    for (int i = 0; i < nn_node_count(detector->graph); i++) {
        struct nn_node *node = nn_node_at(detector->graph, i);
        if (!is_op(node, "input")) continue;
        if (detector->input_node) return fail(detector, path, "its network has two inputs");
        detector->input_node = node;
    }
    if (!detector->input_node) return fail(detector, path, "its network has no input");
    struct nn_shape in = nn_node_shape(detector->input_node);
    if (in.rank == 4 && (in.dim[0] == NN_BATCH || in.dim[0] == 1) &&
        in.dim[1] <= VI_LARGEST_INPUT && in.dim[2] <= VI_LARGEST_INPUT && in.dim[3] == 3)
        return NN_OK;
    snprintf(what, sizeof what,
             "a face detector takes pictures of three channels and at most %dx%d pixels, this "
             "network takes %s",
             VI_LARGEST_INPUT, VI_LARGEST_INPUT, nn_shape_text(shape, in));
    return fail(detector, path, what);
}

/* Confidences [N, P * classes] and priors [1, 2, P * 4] tell how many classes there are. */
static enum nn_status check_output(struct vi_detector *detector, const char *path)
{
    char what[320];
    struct nn_node *node = nn_node_at(detector->graph, nn_node_count(detector->graph) - 1);
    if (!is_op(node, "detection_output")) {
        snprintf(what, sizeof what,
                 "a face detector's network ends in a detection output (SSD), this one in %.200s "
                 "(%.40s)",
                 nn_node_name(node), nn_node_title(node));
        return fail(detector, path, what);
    }
    struct nn_shape confidences = nn_node_shape(nn_node_input(node, 1));
    struct nn_shape priors = nn_node_shape(nn_node_input(node, 2));
    int boxes = priors.dim[2] / 4, classes = boxes > 0 ? confidences.dim[1] / boxes : 0;
    if (classes != 2) {
        snprintf(what, sizeof what,
                 "a face detector knows two classes, background and face; this network knows %d",
                 classes);
        return fail(detector, path, what);
    }
    detector->output_node = node;
    detector->most = nn_node_shape(node).dim[2];
    return detector->most <= MOST_FACES ? NN_OK : fail(detector, path, "it keeps too many boxes");
}

/* The contract of a file that has one must fit the network; of others it is OpenCV's. */
static enum nn_status check_contract(struct vi_detector *detector, const char *path)
{
    struct nn_shape in = nn_node_shape(detector->input_node);
    struct vi_contract *contract = &detector->contract;
    if (contract->width == 0) *contract = vi_contract_caffe(in.dim[2], in.dim[1]);
    if (contract->width == in.dim[2] && contract->height == in.dim[1]) return NN_OK;
    return fail(detector, path,
                "its \"preprocessing\" makes pictures of another size than its "
                "network takes");
}

static enum nn_status check(struct vi_detector *detector, const char *path)
{
    enum nn_status status = check_input(detector, path);
    if (!status) status = check_output(detector, path);
    if (!status) status = check_contract(detector, path);
    return status;
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum nn_status compile(struct vi_detector *detector,
                              const struct vi_detector_options *options)
{
    enum nn_status status =
        nn_compile(&detector->plan, detector->graph,
                   &(struct nn_plan_options){.batch = 1,
                                             .outputs = &detector->output_node,
                                             .output_count = 1,
                                             .precision = options->precision,
                                             .release_weights = !options->keep_weights});
    if (status) return status;
    detector->input = nn_data(detector->plan, detector->input_node);
    detector->output = nn_data(detector->plan, detector->output_node);
    return vi_detect_start(detector);
}

enum nn_status vi_detector_open(struct vi_detector **opened, struct nn_context *context,
                                const char *path)
{
    return vi_detector_open_with(opened, context, path, NULL);
}

enum nn_status vi_detector_open_with(struct vi_detector **opened, struct nn_context *context,
                                     const char *path, const struct vi_detector_options *options)
{
    static const struct vi_detector_options defaults;
    struct vi_detector_files files = {0};
    struct vi_detector *detector = nn_alloc(context, 1, sizeof *detector);
    *opened = NULL;
    if (!detector) return NN_ERROR_MEMORY;
    detector->context = context;
    enum nn_status status = vi_detector_find(&files, context, path);
    const char *named = files.network ? files.network : files.weights;
    if (!status) status = load(detector, &files);
    if (!status) status = check(detector, named);
    if (!status) status = compile(detector, options ? options : &defaults);
    vi_detector_forget(&files, context);
    if (status) vi_detector_close(&detector);
    *opened = detector;
    return status;
}

void vi_detector_close(struct vi_detector **closed)
{
    struct vi_detector *detector = *closed;
    if (!detector) return;
    struct nn_context *context = detector->context;
    nn_plan_free(&detector->plan);
    nn_graph_free(&detector->graph);
    nn_free(context, detector->faces);
    nn_free(context, detector->resizer.columns);
    nn_free(context, detector->bands);
    nn_free(context, detector->scratch);
    nn_free(context, detector);
    *closed = NULL;
}

enum nn_status vi_detector_save(struct vi_detector *detector, const char *path)
{
    struct nn_archive *archive = NULL;
    struct nn_text contract = {.context = detector->context};
    vi_contract_write(&contract, &detector->contract);
    enum nn_status status = contract.failed ? NN_ERROR_MEMORY : NN_OK;
    if (!status) status = nn_archive_new(&archive, detector->context);
    if (!status) status = nn_graph_save(detector->graph, archive);
    if (!status) status = nn_archive_put_text(archive, "kind", KIND);
    if (!status) status = nn_archive_put_text(archive, "preprocessing", contract.data);
    if (!status) status = nn_archive_write(archive, path);
    nn_archive_free(&archive);
    nn_text_free(&contract);
    return status;
}

struct nn_graph *vi_detector_graph(const struct vi_detector *detector)
{
    return detector->graph;
}

struct nn_plan *vi_detector_plan(const struct vi_detector *detector)
{
    return detector->plan;
}

const char *vi_detector_source(const struct vi_detector *detector)
{
    return detector->source;
}
