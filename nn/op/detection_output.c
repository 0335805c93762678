/*
 * detection_output.c — boxes out of an SSD's heads (Liu et al., ECCV 2016, section 2.2; Caffe-SSD's
 * DetectionOutput, in OpenCV's order of operations).
 *
 * locations [N, P*4] (a, b, c, d of each prior), confidences [N, P*classes], priors [1, 2, P*4]
 * (boxes, variances v); y [N, 1, most, 7].
 *
 * Decoding (CENTER_SIZE): a prior of centre (x, y) and size w x h becomes the box of
 *
 *     centre (x + v0 a w, y + v1 b h),   size  w exp(v2 c) x h exp(v3 d)
 *
 * where all v count as 1 when the variances are in the locations already.
 *
 * Choosing, for each image: of each class but the background, the boxes with a confidence over
 * `least_confidence`, the best `most_before` of them, best first; one whose overlap (intersection
 * / union) with a better one that was kept is over `overlap` is dropped. The best `most` of all
 * classes are the output, best first. Among equal confidences the lower class, then the earlier
 * prior comes first (OpenCV's order where it has one). A confidence that is not a number is over
 * nothing, so that box does not exist.
 *
 * A candidate is one 64-bit key that sorts as it should: the confidence's bits, made monotone,
 * above the complement of class * P + prior. The best k of many are kept in a heap of k keys whose
 * top is the worst, so that nothing is allocated and no input is slow to sort. Only what is left of
 * a class is decoded. Images are independent of each other: one task each. No gradient.
 */
#include "nn/op/op.h"

#include <math.h>

enum { LOCATIONS, CONFIDENCES, PRIORS };

struct attributes {
    int classes, background;
    bool shared, variance_encoded;
    float least_confidence, overlap;
    int most_before, most;
};

static const struct nn_field FIELDS[] = {
    {"classes", NN_FIELD_INT, offsetof(struct attributes, classes)},
    {"background", NN_FIELD_INT, offsetof(struct attributes, background)},
    {"shared", NN_FIELD_BOOL, offsetof(struct attributes, shared)},
    {"variance_encoded", NN_FIELD_BOOL, offsetof(struct attributes, variance_encoded)},
    {"least_confidence", NN_FIELD_FLOAT, offsetof(struct attributes, least_confidence)},
    {"overlap", NN_FIELD_FLOAT, offsetof(struct attributes, overlap)},
    {"most_before", NN_FIELD_INT, offsetof(struct attributes, most_before)},
    {"most", NN_FIELD_INT, offsetof(struct attributes, most)},
    {NULL, NN_FIELD_INT, 0},
};

enum { ROW = 7 }; /* image, label, confidence, xmin, ymin, xmax, ymax */

/* ---- shape ----------------------------------------------------------------------------------- */

static enum nn_status check_attributes(struct nn_node *node)
{
    const struct attributes *a = node->attributes;
    const char *wrong = NULL;
    double got = 0.0;
    if (!a->shared)
        return nn_graph_fail(node->graph, NN_ERROR_UNSUPPORTED,
                             "detection_output '%s': boxes of its own for each class are not "
                             "supported, all classes must share them",
                             node->name);
    if (a->classes < 1)
        wrong = "1 class or more", got = a->classes;
    else if (a->background < -1 || a->background >= a->classes)
        wrong = "a background that is a class, or -1", got = a->background;
    else if (!isfinite(a->least_confidence))
        wrong = "a least confidence that is a number", got = (double)a->least_confidence;
    else if (!isfinite(a->overlap) || a->overlap < 0.0f)
        wrong = "an overlap of 0 or more", got = (double)a->overlap;
    else if (a->most_before != -1 && a->most_before < 1)
        wrong = "1 box or more, or -1 for all, before the suppression", got = a->most_before;
    else if (a->most < 1)
        wrong = "to keep 1 box or more", got = a->most;
    return wrong
               ? nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                               "detection_output '%s': expected %s, got %g", node->name, wrong, got)
               : NN_OK;
}

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *a = node->attributes;
    const struct nn_shape *locations = &node->input[LOCATIONS]->shape;
    const struct nn_shape *confidences = &node->input[CONFIDENCES]->shape;
    const struct nn_shape *priors = &node->input[PRIORS]->shape;
    enum nn_status status = check_attributes(node);
    if (status) return status;
    bool fits = locations->rank == 2 && confidences->rank == 2 && priors->rank == 3 &&
                locations->dim[0] == confidences->dim[0] && priors->dim[0] == 1 &&
                priors->dim[1] == 2 && priors->dim[2] == locations->dim[1] &&
                priors->dim[2] % 4 == 0 &&
                (int64_t)priors->dim[2] / 4 * a->classes == confidences->dim[1];
    char text[3][64];
    if (!fits)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "detection_output '%s': expected locations (N, P*4), confidences "
                             "(N, P*%d) and priors (1, 2, P*4), got %s, %s and %s",
                             node->name, a->classes, nn_shape_text(text[0], *locations),
                             nn_shape_text(text[1], *confidences), nn_shape_text(text[2], *priors));
    node->shape = nn_shape4(locations->dim[0], 1, a->most, ROW);
    return NN_OK;
}

static size_t prior_count(const struct nn_node *node)
{
    size_t count = (size_t)node->input[PRIORS]->shape.dim[2] / 4;
    assert(count > 0); /* infer saw a multiple of 4 */
    return count;
}

/* ---- keys: candidates that sort -------------------------------------------------------------- */

/* Larger is better. A float's bits sort as the numbers do once those of negative ones are turned
 * round; adding 0 makes -0 equal to 0. */
static uint64_t key_of(float confidence, size_t place)
{
    uint32_t bits;
    confidence += 0.0f;
    memcpy(&bits, &confidence, sizeof bits);
    bits = bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
    return (uint64_t)bits << 32 | (UINT32_MAX - (uint32_t)place);
}

static size_t place_of(uint64_t key)
{
    return UINT32_MAX - (uint32_t)key;
}

/* The best keys seen so far; the worst of them is key[0] (a binary heap). */
struct best {
    uint64_t *key;
    size_t count, most;
};

/* Puts `key` in the place of key[i], whose children are heaps. */
static void sink(uint64_t *heap, size_t count, size_t i, uint64_t key)
{
    for (size_t child = 2 * i + 1; child < count; child = 2 * i + 1) {
        if (child + 1 < count && heap[child + 1] < heap[child]) child++;
        if (key <= heap[child]) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = key;
}

static void offer(struct best *best, uint64_t key)
{
    if (best->count == best->most) {
        if (key > best->key[0]) sink(best->key, best->count, 0, key);
        return;
    }
    size_t i = best->count++;
    for (; i > 0 && key < best->key[(i - 1) / 2]; i = (i - 1) / 2)
        best->key[i] = best->key[(i - 1) / 2];
    best->key[i] = key;
}

/* From a heap to a list, best first. */
static void sort(struct best *best)
{
    for (size_t last = best->count; last-- > 1;) {
        uint64_t key = best->key[last];
        best->key[last] = best->key[0];
        sink(best->key, last, 0, key);
    }
}

/* ---- boxes ----------------------------------------------------------------------------------- */

struct box {
    float xmin, ymin, xmax, ymax, size;
};

static float size_of(const struct box *box)
{
    if (box->xmax < box->xmin || box->ymax < box->ymin) return 0.0f;
    return (box->xmax - box->xmin) * (box->ymax - box->ymin);
}

static struct box decode(const struct nn_step *step, size_t image, size_t prior)
{
    const struct attributes *a = step->node->attributes;
    size_t priors = prior_count(step->node);
    const float *from = step->x[PRIORS] + prior * 4, *variance = from + priors * 4;
    const float *location = step->x[LOCATIONS] + (image * priors + prior) * 4;
    float moved[4];
    for (int i = 0; i < 4; i++)
        moved[i] = a->variance_encoded ? location[i] : variance[i] * location[i];
    float width = from[2] - from[0], height = from[3] - from[1];
    float x = moved[0] * width + (from[0] + width * 0.5f);
    float y = moved[1] * height + (from[1] + height * 0.5f);
    width *= expf(moved[2]);
    height *= expf(moved[3]);
    struct box box = {x - width * 0.5f, y - height * 0.5f, x + width * 0.5f, y + height * 0.5f, 0};
    box.size = size_of(&box);
    return box;
}

static float overlap(const struct box *a, const struct box *b)
{
    struct box both = {a->xmin < b->xmin ? b->xmin : a->xmin, a->ymin < b->ymin ? b->ymin : a->ymin,
                       b->xmax < a->xmax ? b->xmax : a->xmax, b->ymax < a->ymax ? b->ymax : a->ymax,
                       0};
    float size = size_of(&both);
    return size > 0.0f ? size / (a->size + b->size - size) : 0.0f;
}

/* ---- an image -------------------------------------------------------------------------------- */

/* A thread's memory: the best of a class, the best of all, and the boxes kept of a class. */
struct scratch {
    struct best class, all;
    struct box *kept;
};

/* Its sizes; returns its bytes. */
static size_t size_scratch(struct scratch *s, const struct nn_node *node)
{
    const struct attributes *a = node->attributes;
    size_t priors = prior_count(node), before = priors, all = priors * (size_t)a->classes;
    if (a->most_before > 0 && (size_t)a->most_before < priors) before = (size_t)a->most_before;
    if ((size_t)a->most < all) all = (size_t)a->most;
    *s = (struct scratch){.class = {.most = before}, .all = {.most = all}};
    size_t kept = before < all ? before : all;
    size_t bytes = (before + all) * sizeof(uint64_t) + kept * sizeof(struct box);
    return (bytes + 63) & ~(size_t)63;
}

static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    struct scratch s;
    (void)batch;
    (void)training;
    return size_scratch(&s, node) * (size_t)threads;
}

static struct scratch scratch_of(const struct nn_step *step, int thread)
{
    struct scratch s;
    size_t bytes = size_scratch(&s, step->node);
    s.class.key = (uint64_t *)(void *)((char *)step->workspace + (size_t)thread * bytes);
    s.all.key = s.class.key + s.class.most;
    s.kept = (struct box *)(void *)(s.all.key + s.all.most);
    return s;
}

/* Offers the best of one class to those of all: no more than `most` of it can be among them. */
static void suppress(const struct nn_step *step, struct scratch *s, size_t image, size_t label)
{
    const struct attributes *a = step->node->attributes;
    size_t priors = prior_count(step->node), classes = (size_t)a->classes, kept = 0;
    const float *confidence = step->x[CONFIDENCES] + image * priors * classes + label;
    s->class.count = 0;
    for (size_t p = 0; p < priors; p++, confidence += classes)
        if (*confidence > a->least_confidence)
            offer(&s->class, key_of(*confidence, label * priors + p));
    sort(&s->class);
    for (size_t i = 0; i < s->class.count && kept < s->all.most; i++) {
        struct box box = decode(step, image, place_of(s->class.key[i]) - label * priors);
        bool keep = true;
        for (size_t j = 0; j < kept && keep; j++) keep = overlap(&box, &s->kept[j]) <= a->overlap;
        if (!keep) continue;
        s->kept[kept++] = box;
        offer(&s->all, s->class.key[i]);
    }
}

static void put_row(const struct nn_step *step, float *y, size_t image, uint64_t key)
{
    const struct attributes *a = step->node->attributes;
    size_t priors = prior_count(step->node);
    size_t label = place_of(key) / priors, prior = place_of(key) % priors;
    struct box box = decode(step, image, prior);
    y[0] = (float)image;
    y[1] = (float)label;
    y[2] = step->x[CONFIDENCES][(image * priors + prior) * (size_t)a->classes + label];
    y[3] = box.xmin;
    y[4] = box.ymin;
    y[5] = box.xmax;
    y[6] = box.ymax;
}

static void run_image(void *argument, int image, int thread)
{
    const struct nn_step *step = argument;
    const struct attributes *a = step->node->attributes;
    struct scratch s = scratch_of(step, thread);
    for (int label = 0; label < a->classes; label++)
        if (label != a->background) suppress(step, &s, (size_t)image, (size_t)label);
    sort(&s.all);
    float *y = step->y + (size_t)image * (size_t)a->most * ROW;
    memset(y, 0, (size_t)a->most * ROW * sizeof *y);
    for (size_t i = 0; i < (size_t)a->most; i++, y += ROW)
        if (i < s.all.count)
            put_row(step, y, (size_t)image, s.all.key[i]);
        else
            y[1] = -1.0f;
}

static void forward(struct nn_step *step)
{
    nn_parallel(step->context, nn_op_images(step->node, step->run), run_image, step);
}

const struct nn_op nn_op_detection_output = {
    .name = "detection_output",
    .title = "DetectionOutput",
    .stem = "detection_output",
    .inputs_min = 3,
    .inputs_max = 3,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .infer = infer,
    .workspace = workspace,
    .forward = forward,
};

struct nn_node *nn_detection_output(struct nn_node *locations, struct nn_node *confidences,
                                    struct nn_node *priors,
                                    const struct nn_detection_options *options)
{
    struct nn_node *inputs[] = {locations, confidences, priors};
    struct attributes attributes = {.classes = options->classes,
                                    .background = options->background,
                                    .shared = options->shared,
                                    .variance_encoded = options->variance_encoded,
                                    .least_confidence = options->least_confidence,
                                    .overlap = options->overlap,
                                    .most_before = options->most_before,
                                    .most = options->most};
    return nn_append(&nn_op_detection_output, inputs, 3, &attributes);
}
