/*
 * tiny_detector.h — a face detector one can compute by hand.
 *
 * Its input is a picture of a few pixels, and every pixel has one prior: itself. A linear function
 * of the pixel's colour is the logit of "face": what is bright enough is a face. With
 * `follow`, the colour also moves and stretches the box, so that boxes and confidences together
 * tell every sample the network saw.
 */
#ifndef TINY_DETECTOR_H
#define TINY_DETECTOR_H

#include "test.h"
#include "vision/vision.h"

/* ---- a context and a folder, for the tests of one program ------------------------------------ */

static struct nn_context *context;
static char folder[256];
static size_t tiny_before;

static inline void tiny_start(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/liveness-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder) || nn_open(&context, NULL)) abort();
    tiny_before = nn_bytes_allocated(context);
}

static inline int tiny_done(void)
{
    char command[320];
    CHECK(nn_bytes_allocated(context) == tiny_before, "nothing is left behind");
    nn_close(&context);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) ? 1 : test_done();
}

static inline const char *in_folder(const char *name)
{
    static char path[16][400];
    static int turn;
    turn = (turn + 1) % 16;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static inline bool says(const char *text)
{
    bool found = strstr(nn_error(context), text) != NULL;
    if (!found) printf("# expected: %s\n# got: %s\n", text, nn_error(context));
    return found;
}

/* ---- the detector ---------------------------------------------------------------------------- */

struct tiny {
    int width, height, channels;
    int classes;
    int most;
    float bias;    /* of the logit */
    float move[4]; /* added to the location: centre x, y in tenths of the box, log of its size */
    bool follow;   /* the location is also (B, G, R, 0) / 256 */
    bool unfinished, two_inputs;
    const char *kind, *preprocessing; /* metadata; NULL: as it should be; "": none */
};
static const struct tiny TINY = {
    .width = 4, .height = 4, .channels = 3, .classes = 2, .most = 16, .bias = -6};

/* Weights of blue, green, red. */
static const float TINY_WEIGHT[3] = {0.02f, 0.03f, 0.05f};
static const float TINY_MEAN[3] = {104, 177, 123};

static inline float tiny_confidence(const struct tiny *tiny, int red, int green, int blue)
{
    float logit = TINY_WEIGHT[0] * ((float)blue - TINY_MEAN[0]) +
                  TINY_WEIGHT[1] * ((float)green - TINY_MEAN[1]) +
                  TINY_WEIGHT[2] * ((float)red - TINY_MEAN[2]) + tiny->bias;
    return 1.0f / (1.0f + expf(-logit));
}

static inline struct nn_node *tiny_head(struct nn_node *x, const char *name, int outputs,
                                        const struct tiny *tiny)
{
    struct nn_node *head = nn_layer_conv2d(x, name, outputs, 1, 1, NULL);
    return nn_reshape(head, (struct nn_shape){3, {NN_BATCH, tiny->width * tiny->height, outputs}});
}

static inline void tiny_weights(struct nn_graph *graph, const struct tiny *tiny)
{
    float *w = nn_values(nn_find(graph, "confidence/kernel")); /* [1, 1, C, classes] */
    float *b = nn_values(nn_find(graph, "confidence/bias"));
    for (int c = 0; c < tiny->channels; c++) {
        w[c * tiny->classes] = 0;
        w[c * tiny->classes + 1] = TINY_WEIGHT[c];
    }
    b[1] = tiny->bias;
    w = nn_values(nn_find(graph, "location/kernel")); /* [1, 1, C, 4] */
    memset(w, 0, (size_t)tiny->channels * 4 * sizeof *w);
    for (int c = 0; tiny->follow && c < tiny->channels; c++) w[c * 4 + c] = 1.0f / 256;
    memcpy(nn_values(nn_find(graph, "location/bias")), tiny->move, sizeof tiny->move);
    nn_parameters_changed(graph);
}

static inline struct nn_graph *tiny_graph(const struct tiny *tiny)
{
    struct nn_graph *graph = nn_graph_new(context);
    const int pixels = tiny->width * tiny->height;
    struct nn_node *data =
        nn_input(graph, "data", nn_shape4(NN_BATCH, tiny->height, tiny->width, tiny->channels));
    struct nn_node *location = tiny_head(data, "location", 4, tiny);
    struct nn_node *confidence = nn_softmax(tiny_head(data, "confidence", tiny->classes, tiny));
    confidence = nn_reshape(confidence, nn_shape2(NN_BATCH, pixels * tiny->classes));
    location = nn_reshape(location, nn_shape2(NN_BATCH, pixels * 4));
    if (tiny->two_inputs)
        location = nn_add(location, nn_input(graph, "more", nn_shape2(NN_BATCH, pixels * 4)));
    struct nn_node *priors = nn_prior_box(
        data, data,
        &(struct nn_prior_box_options){
            .min_size = {1}, .min_sizes = 1, .variance = {0.1f, 0.1f, 1, 1}, .offset = 0.5f});
    struct nn_node *out =
        nn_detection_output(location, confidence, priors,
                            &(struct nn_detection_options){.classes = tiny->classes,
                                                           .shared = true,
                                                           .least_confidence = 0.01f,
                                                           .overlap = tiny->follow ? 1.0f : 0.45f,
                                                           .most_before = -1,
                                                           .most = tiny->most});
    nn_name(out, "detection_out");
    if (tiny->unfinished) nn_relu(out);
    if (nn_graph_status(graph) || nn_initialize(graph, 1)) {
        printf("# %s\n", nn_error(context));
        nn_graph_free(&graph);
        return NULL;
    }
    tiny_weights(graph, tiny);
    return graph;
}

/* Writes it as `liveness convert` would. */
static inline bool tiny_write(const struct tiny *tiny, const char *path)
{
    struct nn_archive *archive = NULL;
    struct nn_graph *graph = tiny_graph(tiny);
    char made[256];
    const char *kind = tiny->kind ? tiny->kind : "face-detector";
    const char *preprocessing = tiny->preprocessing ? tiny->preprocessing : made;
    snprintf(made, sizeof made,
             "{\"width\":%d,\"height\":%d,\"color\":\"bgr\",\"mean\":[104,177,123],\"scale\":1,"
             "\"interpolation\":\"linear\"}",
             tiny->width, tiny->height);
    bool good =
        graph && !nn_archive_new(&archive, context) && !nn_graph_save(graph, archive) &&
        (!*kind || !nn_archive_put_text(archive, "kind", kind)) &&
        (!*preprocessing || !nn_archive_put_text(archive, "preprocessing", preprocessing)) &&
        !nn_archive_write(archive, path);
    if (!good) printf("# %s\n", nn_error(context));
    nn_archive_free(&archive);
    nn_graph_free(&graph);
    return good;
}

#endif
