/*
 * caffe_layers_ssd.c — the layers that Wei Liu's fork of Caffe added for SSD: PriorBox and
 * DetectionOutput. Defaults are those of that fork's caffe.proto.
 */
#include "nn/format/caffe.h"

#include <float.h>
#include <math.h>

/* ---- prior boxes ----------------------------------------------------------------------------- */

/* The ratios besides 1, each followed by its inverse where they are flipped; one that is there
 * already is left out. */
static void read_ratios(struct nn_caffe_build *layer, struct nn_prior_box_options *options)
{
    float given[NN_MOST_BOXES];
    int count = nn_caffe_floats(layer, given, NN_MOST_BOXES, "aspect_ratio");
    bool flip = nn_caffe_bool(layer, "flip", true);
    for (int i = 0; i < count; i++) {
        bool known = fabsf(given[i] - 1.0f) < 1e-6f;
        for (int j = 0; j < options->aspect_ratios; j++)
            known = known || fabsf(given[i] - options->aspect_ratio[j]) < 1e-6f;
        if (known) continue;
        if (!(given[i] > 1e-6f) || options->aspect_ratios + flip >= NN_MOST_BOXES) {
            nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                          "expected at most %d aspect ratios, all above 0", NN_MOST_BOXES - 1);
            return;
        }
        options->aspect_ratio[options->aspect_ratios++] = given[i];
        if (flip) options->aspect_ratio[options->aspect_ratios++] = 1.0f / given[i];
    }
}

static void read_variances(struct nn_caffe_build *layer, struct nn_prior_box_options *options)
{
    int count = nn_caffe_floats(layer, options->variance, 4, "variance");
    if (count != 0 && count != 1 && count != 4)
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "expected 1 or 4 variances, got %d", count);
    if (count == 0) options->variance[0] = 0.1f;
    for (int i = 1; count < 4 && i < 4; i++) options->variance[i] = options->variance[0];
}

/* A size that is given for both axes or for each: "step", or "step_h" and "step_w". */
static void read_sides(struct nn_caffe_build *layer, float *h, float *w, const char *const name[3])
{
    *h = *w = nn_caffe_float(layer, name[0], 0.0f);
    if (!nn_caffe_has(layer, name[1]) && !nn_caffe_has(layer, name[2])) return;
    if (nn_caffe_has(layer, name[0]) || !nn_caffe_has(layer, name[1]) ||
        !nn_caffe_has(layer, name[2]))
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "either '%s' or both '%s' and '%s'", name[0],
                      name[1], name[2]);
    *h = nn_caffe_float(layer, name[1], 0.0f);
    *w = nn_caffe_float(layer, name[2], 0.0f);
}

static void build_prior_box(struct nn_caffe_build *layer)
{
    static const char *const steps[] = {"step", "step_h", "step_w"};
    static const char *const sizes[] = {"img_size", "img_h", "img_w"};
    struct nn_prior_box_options options = {.clip = nn_caffe_bool(layer, "clip", false),
                                           .offset = nn_caffe_float(layer, "offset", 0.5f)};
    struct nn_caffe_value map = nn_caffe_picture(layer, 0), picture = nn_caffe_picture(layer, 1);
    float h, w;
    options.min_sizes = nn_caffe_floats(layer, options.min_size, NN_MOST_BOXES, "min_size");
    options.max_sizes = nn_caffe_floats(layer, options.max_size, NN_MOST_BOXES, "max_size");
    read_ratios(layer, &options);
    read_variances(layer, &options);
    read_sides(layer, &options.step_h, &options.step_w, steps);
    read_sides(layer, &h, &w, sizes);
    if (layer->net->status) return;
    if ((h != 0.0f || w != 0.0f) && (h != (float)picture.dim[2] || w != (float)picture.dim[3]))
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                      "a picture of %g x %g that is not its second bottom's, %d x %d", (double)h,
                      (double)w, picture.dim[2], picture.dim[3]);
    if (options.min_sizes == 0)
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "the parameter 'min_size' is missing");
    if (layer->net->status) return;
    struct nn_node *y = nn_prior_box(map.node, picture.node, &options);
    nn_caffe_make(layer, nn_name(y, layer->name), NULL);
}

/* ---- detections ------------------------------------------------------------------------------ */

/* Suppression's parameters are a message of their own. */
static void read_suppression(struct nn_caffe_build *layer, struct nn_detection_options *options)
{
    struct nn_prototext_field *outer = layer->param;
    layer->param = nn_prototext_find(outer, "nms_param", NULL);
    options->overlap = nn_caffe_float(layer, "nms_threshold", 0.3f);
    options->most_before = nn_caffe_int(layer, "top_k", -1, -1, INT32_MAX);
    if (nn_caffe_float(layer, "eta", 1.0f) != 1.0f)
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "an 'eta' other than 1 is not supported");
    /* Results are not written to files; without a folder Caffe does not either. */
    layer->param = nn_prototext_find(outer, "save_output_param", NULL);
    const struct nn_prototext_field *folder =
        nn_prototext_find(layer->param, "output_directory", NULL);
    if (folder && (folder->kind != NN_PROTOTEXT_STRING || folder->size))
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, folder->line, "saving results is not supported");
    if (layer->param) nn_prototext_use_all(layer->param);
    layer->param = outer;
}

/* A bottom as one row per image. */
static struct nn_node *flat(struct nn_caffe_build *layer, int bottom)
{
    struct nn_caffe_value x = nn_caffe_plain(layer, &layer->bottom[bottom]);
    if (!x.node || x.rank == 2) return x.node;
    return nn_caffe_helper(layer, nn_flatten(x.node), "flatten");
}

static void build_detection_output(struct nn_caffe_build *layer)
{
    enum { CORNER, CENTER_SIZE };
    struct nn_detection_options options = {
        .classes = nn_caffe_int(layer, "num_classes", 0, 1, NN_CAFFE_MOST_CHANNELS),
        .background = nn_caffe_int(layer, "background_label_id", 0, -1, INT32_MAX),
        .shared = nn_caffe_bool(layer, "share_location", true),
        .variance_encoded = nn_caffe_bool(layer, "variance_encoded_in_target", false),
        .least_confidence = nn_caffe_float(layer, "confidence_threshold", -FLT_MAX),
        .most = nn_caffe_int(layer, "keep_top_k", -1, -1, INT32_MAX)};
    if (nn_caffe_choice(layer, "code_type", "CORNER CENTER_SIZE CORNER_SIZE", CORNER) !=
        CENTER_SIZE)
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                      "only code_type: CENTER_SIZE is supported; the default is CORNER");
    if (!options.shared || nn_caffe_bool(layer, "visualize", false) ||
        !nn_caffe_bool(layer, "normalized_bbox", true))
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                      "share_location: false, visualize: true and normalized_bbox: false are not "
                      "supported");
    read_suppression(layer, &options);
    struct nn_node *locations = flat(layer, 0), *confidences = flat(layer, 1);
    struct nn_caffe_value priors = nn_caffe_plain(layer, &layer->bottom[2]);
    if (layer->net->status || !locations || !confidences || !priors.node) return;
    if (options.most == -1) { /* all: as many as there can be */
        int64_t boxes = nn_node_shape(confidences).dim[1] / options.classes, kept = boxes;
        if (options.most_before >= 0 && options.most_before < boxes) kept = options.most_before;
        kept *= options.classes;
        options.most = kept < 1 ? 1 : kept > INT32_MAX ? INT32_MAX : (int)kept;
    }
    struct nn_node *y = nn_detection_output(locations, confidences, priors.node, &options);
    nn_caffe_make(layer, nn_name(y, layer->name), NULL);
}

const struct nn_caffe_type nn_caffe_ssd_types[] = {
    {"PriorBox", NULL, "prior_box_param", "", 2, 2, false, build_prior_box},
    {"DetectionOutput", NULL, "detection_output_param", "", 3, 3, false, build_detection_output},
    {NULL, NULL, NULL, NULL, 0, 0, false, NULL},
};
