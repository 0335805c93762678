/* test_caffe_real.c — OpenCV's face detector, read from its own two files: every blob noted from
 * OpenCV (a layer's own, before what works on it in place), its detections on all pictures, and
 * what damage to the files does. Needs ../shared. */
#include "tests/test.h"
#include "tests/caffe_files.h"

enum { SIDE = 300, PIXELS = SIDE * SIDE, MOST_BLOBS = 32, BOXES = 200, ROW = 7 };

static struct nn_context *context;
static char folder[512]; /* ../shared */

static const char *shared(const char *name)
{
    static char path[4][1024];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

#define TEXT    "data/detector/deploy.prototxt"
#define WEIGHTS "data/detector/res10_hybrid.caffemodel"

/* A 300 x 300 PPM as the network wants it: blue, green, red, less 104, 177, 123. */
static bool read_picture(float *values, const char *path)
{
    static const float mean[3] = {104.0f, 177.0f, 123.0f};
    int width = 0, height = 0, most = 0;
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    bool good = fscanf(file, "P6 %d %d %d", &width, &height, &most) == 3 && width == SIDE &&
                height == SIDE && most == 255 && fgetc(file) != EOF;
    for (int i = 0; good && i < PIXELS; i++) {
        unsigned char rgb[3];
        good = fread(rgb, 1, 3, file) == 3;
        for (int c = 0; c < 3; c++) values[i * 3 + c] = (float)rgb[2 - c] - mean[c];
    }
    fclose(file);
    return good;
}

struct blob {
    char name[64];
    long offset; /* floats */
    int rank, dim[4];
    size_t count;
    struct nn_node *node;
};

/* "conv1_pool offset_floats 0 shape [1, 32, 75, 75]" */
static int read_blobs(struct blob *blobs, struct nn_graph *graph)
{
    char line[256];
    int count = 0;
    FILE *file = fopen(shared("golden/ssd/res10_hybrid_blobs_2008_002470.txt"), "r");
    while (file && count < MOST_BLOBS && fgets(line, sizeof line, file)) {
        struct blob *blob = &blobs[count++];
        const char *at = strchr(line, '[');
        sscanf(line, "%63s offset_floats %ld", blob->name, &blob->offset);
        blob->count = 1;
        for (blob->rank = 0; at && blob->rank < 4 && *at != ']'; blob->rank++) {
            char *end;
            blob->dim[blob->rank] = (int)strtol(at + 1, &end, 10);
            blob->count *= (size_t)blob->dim[blob->rank];
            at = end;
        }
        blob->node = nn_find(graph, blob->name);
    }
    if (file) fclose(file);
    return count;
}

/* Value i of the node in Caffe's order. Rows of detections that hold no box have the label -1; in
 * OpenCV's noted blob they are zero. */
static float caffe_at(const float *values, const struct blob *blob, size_t i)
{
    const int *d = blob->dim;
    if (strcmp(blob->name, "detection_out") == 0 && i % ROW == 1 && values[i] == -1.0f) return 0;
    if (blob->rank != 4 || strcmp(blob->name, "detection_out") == 0) return values[i];
    size_t w = i % (size_t)d[3], h = i / (size_t)d[3] % (size_t)d[2], c = i / (size_t)(d[2] * d[3]);
    return values[(h * (size_t)d[3] + w) * (size_t)d[1] + c];
}

static void check_blob(const struct nn_plan *plan, const struct blob *blob, FILE *file)
{
    float *expected = malloc(blob->count * sizeof *expected);
    const float *values = nn_data(plan, blob->node);
    double apart = 0.0, largest = 0.0;
    bool good = expected && fseek(file, blob->offset * (long)sizeof(float), SEEK_SET) == 0 &&
                fread(expected, sizeof(float), blob->count, file) == blob->count;
    good = good && nn_shape_count(nn_node_shape(blob->node)) == blob->count;
    for (size_t i = 0; good && i < blob->count; i++) {
        double off = fabs((double)caffe_at(values, blob, i) - (double)expected[i]);
        if (!(off <= apart)) apart = off;
        if (fabs((double)expected[i]) > largest) largest = fabs((double)expected[i]);
    }
    printf("# %s %.2g\n", blob->name, largest > 0.0 ? apart / largest : apart);
    CHECK(good && largest > 0.0 && apart < 1e-4 * largest, "%s is OpenCV's", blob->name);
    free(expected);
}

static void check_blobs(struct nn_graph *graph)
{
    struct blob blobs[MOST_BLOBS];
    struct nn_node *nodes[MOST_BLOBS];
    struct nn_plan *plan = NULL;
    int count = read_blobs(blobs, graph);
    bool all = count == 15;
    for (int i = 0; i < count; i++) {
        nodes[i] = blobs[i].node;
        if (!nodes[i]) printf("# no node for %s\n", blobs[i].name);
        all = all && nodes[i];
    }
    struct nn_plan_options options = {.batch = 1, .outputs = nodes, .output_count = count};
    FILE *file = fopen(shared("golden/ssd/res10_hybrid_blobs_2008_002470.f32"), "rb");
    if (CHECK(all && file, "%d blobs to compare", count) &&
        CHECK(nn_compile(&plan, graph, &options) == NN_OK, "compiled (%s)", nn_error(context)) &&
        CHECK(read_picture(nn_data(plan, nn_find(graph, "data")),
                           shared("golden/ssd/2008_002470_300.ppm")) &&
                  nn_forward(plan, 1) == NN_OK,
              "run"))
        for (int i = 0; i < count; i++) check_blob(plan, &blobs[i], file);
    if (file) fclose(file);
    nn_plan_free(&plan);
}

/* ---- detections ------------------------------------------------------------------------------ */

struct tally {
    int pictures, boxes;
    double confidence, place; /* largest differences */
};

/* The rows of one picture in the list, which holds them best first; those above 0.1 count. */
static bool check_picture(struct tally *tally, const float *rows, float (*expected)[5], int count)
{
    int got = 0;
    for (int i = 0; i < BOXES; i++) got += rows[i * ROW + 1] > 0.0f && rows[i * ROW + 2] > 0.1f;
    if (got != count) return false;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < 5; j++) {
            double off = fabs((double)rows[i * ROW + 2 + j] - (double)expected[i][j]);
            double *largest = j ? &tally->place : &tally->confidence;
            if (!(off <= *largest)) *largest = off;
        }
    tally->pictures++;
    tally->boxes += count;
    return true;
}

static bool run_picture(struct tally *tally, struct nn_plan *plan, struct nn_graph *graph,
                        const char *name, float (*expected)[5], int count)
{
    char path[256];
    struct nn_node *last = nn_node_at(graph, nn_node_count(graph) - 1);
    snprintf(path, sizeof path, "golden/ssd/%s", name);
    return read_picture(nn_data(plan, nn_find(graph, "data")), shared(path)) &&
           nn_forward(plan, 1) == NN_OK &&
           check_picture(tally, nn_data(plan, last), expected, count);
}

/* "2007_007763_300.ppm,0,0.9750242,0.1989186,..." in runs of one picture */
static void check_detections(struct nn_graph *graph)
{
    struct nn_plan *plan = NULL;
    struct tally tally = {0};
    char line[256], name[128], now[128] = "";
    float expected[BOXES][5], row[5];
    int count = 0;
    FILE *file = fopen(shared("golden/ssd/res10_hybrid_detections.csv"), "r");
    if (!CHECK(file && nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 1}) == NN_OK,
               "detections to compare")) {
        if (file) fclose(file);
        return;
    }
    for (bool more = fgets(line, sizeof line, file) != NULL; more;) {
        more = fgets(line, sizeof line, file) &&
               sscanf(line, "%127[^,],%*d,%f,%f,%f,%f,%f", name, &row[0], &row[1], &row[2], &row[3],
                      &row[4]) == 6;
        if (*now && (!more || strcmp(name, now) != 0)) {
            CHECK(run_picture(&tally, plan, graph, now, expected, count), "%s: %d boxes above 0.1",
                  now, count);
            count = 0;
        }
        snprintf(now, sizeof now, "%s", name);
        if (more && row[0] > 0.1f && count < BOXES) memcpy(expected[count++], row, sizeof row);
    }
    printf("# %d pictures, %d boxes: confidences differ by %.2g, places by %.2g\n", tally.pictures,
           tally.boxes, tally.confidence, tally.place);
    CHECK(tally.pictures == 13 && tally.confidence < 1e-4 && tally.place < 1e-4,
          "boxes and confidences are OpenCV's");
    fclose(file);
    nn_plan_free(&plan);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void check_damage(void)
{
    enum { PREFIXES = 200, CHANGES = 20 };
    size_t size = 0;
    uint32_t state = 1;
    int errors = 0, fine = 0;
    char *weights = caffe_read(shared(WEIGHTS), &size);
    if (!CHECK(weights != NULL, "weights to damage")) return;
    for (int i = 0; i < PREFIXES; i++) {
        struct nn_graph *graph = NULL;
        state = state * 1664525u + 1013904223u;
        caffe_write(caffe_weights_path(), weights, (size_t)((uint64_t)state * size >> 32));
        errors += nn_import_caffe(&graph, context, shared(TEXT), caffe_weights_path()) != NN_OK;
        nn_graph_free(&graph);
    }
    CHECK(errors == PREFIXES, "%d of %d random prefixes of the weights are errors", errors,
          PREFIXES);
    for (int i = 0; i < CHANGES; i++) {
        struct nn_graph *graph = NULL;
        state = state * 1664525u + 1013904223u;
        weights[(uint64_t)state * size >> 32] ^= (char)(1 << i % 8);
        caffe_write(caffe_weights_path(), weights, size);
        fine += nn_import_caffe(&graph, context, shared(TEXT), caffe_weights_path()) == NN_OK;
        nn_graph_free(&graph);
    }
    CHECK(fine >= 0, "changed bits: %d of %d can still be read", fine, CHANGES);
    free(weights);
    caffe_remove_files();
}

int main(void)
{
    struct nn_graph *graph = NULL;
    const char *place = test_shared();
    if (!place) {
        test_skip("OpenCV's detector", "no ../shared");
        return test_done();
    }
    snprintf(folder, sizeof folder, "%s", place);
    if (nn_open(&context, NULL)) return 1;
    if (CHECK(nn_import_caffe(&graph, context, shared(TEXT), shared(WEIGHTS)) == NN_OK,
              "imported (%s)", nn_error(context))) {
        check_blobs(graph);
        check_detections(graph);
    }
    nn_graph_free(&graph);
    check_damage();
    nn_close(&context);
    return test_done();
}
