/*
 * test_detection.c — nn_prior_box and nn_detection_output: what OpenCV 4 made of the same numbers
 * (tests/golden/make_detection.py), the face detector's own blobs, and the definition spelled out
 * naively on random input. Wrong options are test_op_errors.c's.
 */
#include "nn/nn.h"
#include "tests/numbers.h"
#include "tests/test.h"

enum { ROW = 7 };

static struct nn_context *context;

/* A network of the two ops, or of the second alone, with its inputs. */
struct network {
    struct nn_graph *graph;
    struct nn_plan *plan;
    struct nn_node *locations, *confidences, *priors, *out;
};

static bool compile(struct network *network, int images)
{
    struct nn_node *outputs[] = {network->out, network->priors};
    struct nn_plan_options options = {.batch = images, .outputs = outputs, .output_count = 2};
    bool good = nn_compile(&network->plan, network->graph, &options) == NN_OK;
    if (!good) printf("# %s\n", nn_error(context));
    return good;
}

/* priors NULL: an input. */
static void add_output(struct network *network, int count, struct nn_node *priors,
                       const struct nn_detection_options *options)
{
    struct nn_graph *graph = network->graph;
    network->locations = nn_input(graph, "locations", nn_shape2(NN_BATCH, count * 4));
    network->confidences =
        nn_input(graph, "confidences", nn_shape2(NN_BATCH, count * options->classes));
    network->priors =
        priors ? priors : nn_input(graph, "priors", (struct nn_shape){3, {1, 2, count * 4}});
    network->out =
        nn_detection_output(network->locations, network->confidences, network->priors, options);
}

static void close_network(struct network *network)
{
    nn_plan_free(&network->plan);
    nn_graph_free(&network->graph);
}

static double largest_difference(const float *a, const float *b, size_t count)
{
    double largest = 0.0;
    for (size_t i = 0; i < count; i++) {
        double apart = fabs((double)a[i] - (double)b[i]);
        if (!(apart <= largest)) largest = apart;
    }
    return largest;
}

/* Rows before the first without a box; -1 when one follows those, or they are not clean. */
static int count_rows(const float *y, int most)
{
    static const float empty[ROW] = {0, -1, 0, 0, 0, 0, 0};
    int count = 0;
    while (count < most && y[count * ROW + 1] >= 0.0f) count++;
    for (int i = count; i < most; i++)
        if (memcmp(y + i * ROW, empty, sizeof empty) != 0) return -1;
    return count;
}

/* ---- OpenCV's answers ---------------------------------------------------------------------- */

struct opencv_case {
    const char *name;
    int map[2], picture[2]; /* rows, columns */
    float spread;           /* of the locations */
    int levels;             /* different confidences; 0: all */
    struct nn_prior_box_options prior;
    struct nn_detection_options detection;
    int count, priors;
    float last_prior[4];
    double prior_sum; /* sum of each number times its place, from 1 on */
    const float (*rows)[6];
};

static const struct opencv_case OPENCV[] = {
#include "tests/golden/detection.inc"
};

static bool priors_fit(const struct opencv_case *row, const float *priors)
{
    int count = row->priors * 4;
    double sum = 0.0;
    for (int i = 0; i < count; i++) sum += (double)priors[i] * (i + 1);
    bool fit = fabs(sum - row->prior_sum) <= 1e-6 * fabs(row->prior_sum) &&
               largest_difference(priors + count - 4, row->last_prior, 4) <= 1e-6;
    for (int i = 0; i < count; i++) fit &= priors[count + i] == row->prior.variance[i % 4];
    if (!fit) printf("# sum %.9g, expected %.9g\n", sum, row->prior_sum);
    return fit;
}

static void check_opencv_case(const struct opencv_case *row)
{
    struct network net = {.graph = nn_graph_new(context)};
    uint64_t seed = numbers_seed(row->name);
    struct nn_node *map =
        nn_input(net.graph, "map", nn_shape4(NN_BATCH, row->map[0], row->map[1], 1));
    struct nn_node *picture =
        nn_input(net.graph, "picture", nn_shape4(NN_BATCH, row->picture[0], row->picture[1], 3));
    add_output(&net, row->priors, nn_prior_box(map, picture, &row->prior), &row->detection);
    if (CHECK(compile(&net, 1), "%s compiles", row->name)) {
        float *locations = nn_data(net.plan, net.locations);
        float *confidences = nn_data(net.plan, net.confidences);
        size_t count = (size_t)row->priors;
        numbers_fill(locations, count * 4, 4, 'i', seed, 0);
        for (size_t i = 0; i < count * 4; i++) locations[i] *= row->spread;
        count *= (size_t)row->detection.classes;
        numbers_fill(confidences, count, 1, 'u', seed, 1);
        for (size_t i = 0; i < count && row->levels; i++)
            confidences[i] = floorf(confidences[i] * (float)row->levels) / (float)row->levels;
        CHECK(nn_forward(net.plan, 1) == NN_OK, "%s runs", row->name);
        CHECK(priors_fit(row, nn_data(net.plan, net.priors)), "%s: %d priors are OpenCV's",
              row->name, row->priors);
        const float *y = nn_data(net.plan, net.out);
        double worst = 0.0;
        CHECK(count_rows(y, row->detection.most) == row->count, "%s: %d boxes", row->name,
              row->count);
        for (int i = 0; i < row->count; i++) {
            double scale = 1.0 + fabs((double)row->rows[i][4]) + fabs((double)row->rows[i][5]);
            double apart = largest_difference(y + i * ROW + 1, row->rows[i], 6) / scale;
            if (!(apart <= worst)) worst = apart;
        }
        CHECK(worst <= 1e-6, "%s: boxes are OpenCV's to %.1e", row->name, worst);
    }
    close_network(&net);
}

/* ---- the face detector --------------------------------------------------------------------- */

static struct nn_node *face_priors(struct nn_graph *graph)
{
    /* The six PriorBox layers of OpenCV's deploy.prototxt. */
    static const struct {
        int side;
        float least, most, step;
        int ratios;
    } rows[] = {{38, 30, 60, 8, 1},   {19, 60, 111, 16, 2},  {10, 111, 162, 32, 2},
                {5, 162, 213, 64, 2}, {5, 213, 264, 100, 1}, {5, 264, 315, 300, 1}};
    struct nn_node *picture = nn_input(graph, "data", nn_shape4(NN_BATCH, 300, 300, 3));
    struct nn_node *priors[6];
    for (int i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "map%d", i);
        struct nn_node *map =
            nn_input(graph, name, nn_shape4(NN_BATCH, rows[i].side, rows[i].side, 1));
        priors[i] =
            nn_prior_box(map, picture,
                         &(struct nn_prior_box_options){.min_size = {rows[i].least},
                                                        .min_sizes = 1,
                                                        .max_size = {rows[i].most},
                                                        .max_sizes = 1,
                                                        .aspect_ratio = {2, 3},
                                                        .aspect_ratios = rows[i].ratios,
                                                        .flip = true,
                                                        .variance = {0.1f, 0.1f, 0.2f, 0.2f},
                                                        .step_h = rows[i].step,
                                                        .step_w = rows[i].step,
                                                        .offset = 0.5f});
    }
    return nn_concat(priors, 6, 2);
}

enum { FACE_PRIORS = 8892, FACE_MOST = 200, BLOB_FLOATS = 1093368 };
enum { LOCATIONS_AT = 949696, CONFIDENCES_AT = 1003048, PRIORS_AT = 1020832, OUT_AT = 1091968 };

static float *read_blobs(void)
{
    char path[512];
    float *blobs = NULL;
    if (!test_shared()) return NULL;
    snprintf(path, sizeof path, "%s/golden/ssd/res10_hybrid_blobs_2008_002470.f32", test_shared());
    FILE *file = fopen(path, "rb");
    if (file) blobs = malloc(BLOB_FLOATS * sizeof *blobs);
    if (blobs && fread(blobs, sizeof *blobs, BLOB_FLOATS, file) != BLOB_FLOATS) {
        free(blobs);
        blobs = NULL;
    }
    if (file) fclose(file);
    return blobs;
}

static void check_face_detector(void)
{
    float *blobs = read_blobs();
    if (!blobs) {
        test_skip("the face detector's blobs", "the shared folder is missing");
        return;
    }
    struct network net = {.graph = nn_graph_new(context)};
    add_output(&net, FACE_PRIORS, face_priors(net.graph),
               &(struct nn_detection_options){.classes = 2,
                                              .shared = true,
                                              .least_confidence = 0.01f,
                                              .overlap = 0.45f,
                                              .most_before = 400,
                                              .most = FACE_MOST});
    if (CHECK(compile(&net, 1), "the face detector's end compiles")) {
        memcpy(nn_data(net.plan, net.locations), blobs + LOCATIONS_AT,
               FACE_PRIORS * 4 * sizeof *blobs);
        memcpy(nn_data(net.plan, net.confidences), blobs + CONFIDENCES_AT,
               FACE_PRIORS * 2 * sizeof *blobs);
        size_t before = nn_allocations(context);
        CHECK(nn_forward(net.plan, 1) == NN_OK && nn_forward(net.plan, 1) == NN_OK &&
                  nn_allocations(context) == before,
              "it runs, and allocates nothing");
        double priors =
            largest_difference(nn_data(net.plan, net.priors), blobs + PRIORS_AT, FACE_PRIORS * 8);
        CHECK(priors <= 1e-7, "%d priors are OpenCV's to %.1e", FACE_PRIORS, priors);
        const float *y = nn_data(net.plan, net.out), *expected = blobs + OUT_AT;
        int rows = 0;
        while (rows < FACE_MOST && expected[rows * ROW + 2] > 0.0f) rows++;
        double boxes = largest_difference(y, expected, (size_t)rows * ROW);
        CHECK(count_rows(y, FACE_MOST) == rows && rows > 0, "%d detections", rows);
        CHECK(boxes <= 1e-5, "%d detections are OpenCV's to %.1e", rows, boxes);
    }
    close_network(&net);
    free(blobs);
}

/* ---- the definition, spelled out ------------------------------------------------------------- */

struct candidate {
    int label, prior;
    float row[6];
};

/* qsort's order: confidence down, then label, then prior. */
static int better(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->row[1] != y->row[1]) return x->row[1] > y->row[1] ? -1 : 1;
    return x->label != y->label ? x->label - y->label : x->prior - y->prior;
}

static float area(float xmin, float ymin, float xmax, float ymax)
{
    return xmax > xmin && ymax > ymin ? (xmax - xmin) * (ymax - ymin) : 0.0f;
}

static bool overlaps(const float *a, const float *b, float most)
{
    float shared = area(fmaxf(a[2], b[2]), fmaxf(a[3], b[3]), fminf(a[4], b[4]), fminf(a[5], b[5]));
    float both = area(a[2], a[3], a[4], a[5]) + area(b[2], b[3], b[4], b[5]) - shared;
    return shared > 0.0f && shared / both > most;
}

/* Priors are boxes of size 1/8, locations move them by whole sizes: boxes are exact. */
enum { PRIORS = 40, CLASSES = 4, MOST_CANDIDATES = PRIORS * CLASSES };

struct numbers {
    float locations[PRIORS * 4], confidences[PRIORS * CLASSES], priors[2 * PRIORS * 4];
};

static void draw(struct numbers *numbers, struct nn_rng *rng)
{
    memset(numbers, 0, sizeof *numbers);
    for (int i = 0; i < PRIORS; i++) {
        float *prior = numbers->priors + i * 4, *location = numbers->locations + i * 4;
        prior[0] = (float)nn_rng_below(rng, 32) / 32.0f;
        prior[1] = (float)nn_rng_below(rng, 32) / 32.0f;
        prior[2] = prior[0] + 0.125f;
        prior[3] = prior[1] + 0.125f;
        location[0] = (float)nn_rng_below(rng, 5) - 2.0f;
        location[1] = (float)nn_rng_below(rng, 5) - 2.0f;
        for (int j = 0; j < 4; j++) numbers->priors[PRIORS * 4 + i * 4 + j] = 0.25f;
    }
    for (int i = 0; i < PRIORS * CLASSES; i++) {
        numbers->confidences[i] = (float)nn_rng_below(rng, 12) / 8.0f - 0.25f;
        if (nn_rng_below(rng, 20) == 0) numbers->confidences[i] = NAN;
        if (nn_rng_below(rng, 60) == 0) numbers->confidences[i] = INFINITY;
        if (nn_rng_below(rng, 40) == 0) numbers->confidences[i] = -0.0f;
    }
}

static int suppress(struct candidate *kept, struct candidate *of_class, int count,
                    const struct nn_detection_options *options)
{
    int first = 0;
    qsort(of_class, (size_t)count, sizeof *of_class, better);
    if (options->most_before > 0 && options->most_before < count) count = options->most_before;
    for (int i = 0; i < count; i++) {
        bool keep = true;
        for (int j = 0; j < first; j++)
            keep &= !overlaps(of_class[i].row, kept[j].row, options->overlap);
        if (keep) kept[first++] = of_class[i];
    }
    return first;
}

static int detect_naively(struct candidate *all, const struct numbers *numbers,
                          const struct nn_detection_options *options)
{
    int count = 0;
    float scale = options->variance_encoded ? 1.0f : 0.25f;
    for (int label = 0; label < options->classes; label++) {
        struct candidate of_class[PRIORS];
        int found = 0;
        for (int i = 0; i < PRIORS && label != options->background; i++) {
            float confidence = numbers->confidences[i * options->classes + label];
            const float *prior = numbers->priors + i * 4, *location = numbers->locations + i * 4;
            if (!(confidence > options->least_confidence)) continue;
            float x = location[0] * scale * 0.125f, y = location[1] * scale * 0.125f;
            of_class[found++] = (struct candidate){
                label,
                i,
                {(float)label, confidence, prior[0] + x, prior[1] + y, prior[2] + x, prior[3] + y}};
        }
        count += suppress(all + count, of_class, found, options);
    }
    qsort(all, (size_t)count, sizeof *all, better);
    return count < options->most ? count : options->most;
}

static struct nn_detection_options draw_options(struct nn_rng *rng)
{
    struct nn_detection_options options = {.classes = 1 + (int)nn_rng_below(rng, CLASSES),
                                           .shared = true,
                                           .variance_encoded = nn_rng_below(rng, 2),
                                           .overlap = nn_rng_uniform(rng, 0, 1),
                                           .most_before = -1};
    options.background = (int)nn_rng_below(rng, (uint32_t)options.classes + 1) - 1;
    options.least_confidence = (float)nn_rng_below(rng, 8) / 8.0f - 0.5f;
    if (nn_rng_below(rng, 2)) options.most_before = 1 + (int)nn_rng_below(rng, PRIORS + 3);
    options.most = 1 + (int)nn_rng_below(rng, nn_rng_below(rng, 2) ? 9 : 2 * MOST_CANDIDATES);
    return options;
}

static bool same_as_naive(const float *y, const struct numbers *numbers,
                          const struct nn_detection_options *options, int image)
{
    struct candidate all[MOST_CANDIDATES];
    int count = detect_naively(all, numbers, options);
    bool same = count_rows(y, options->most) == count;
    for (int i = 0; same && i < count; i++)
        same = y[i * ROW] == (float)image &&
               memcmp(y + i * ROW + 1, all[i].row, sizeof all[i].row) == 0;
    return same;
}

static bool random_case_fits(uint64_t seed)
{
    enum { IMAGES = 2 };
    struct nn_rng rng = nn_rng_make(seed, 3);
    struct nn_detection_options options = draw_options(&rng);
    struct network net = {.graph = nn_graph_new(context)};
    struct numbers numbers[IMAGES];
    size_t classes = (size_t)options.classes;
    add_output(&net, PRIORS, NULL, &options);
    bool same = compile(&net, IMAGES);
    for (int n = 0; same && n < IMAGES; n++) {
        draw(&numbers[n], &rng);
        memcpy(numbers[n].priors, numbers[0].priors, sizeof numbers[n].priors);
        memcpy(nn_data(net.plan, net.locations) + n * PRIORS * 4, numbers[n].locations,
               sizeof numbers[n].locations);
        memcpy(nn_data(net.plan, net.confidences) + (size_t)n * PRIORS * classes,
               numbers[n].confidences, PRIORS * classes * sizeof(float));
    }
    if (same) {
        memcpy(nn_data(net.plan, net.priors), numbers[0].priors, sizeof numbers[0].priors);
        same = nn_forward(net.plan, IMAGES) == NN_OK;
    }
    const float *y = nn_data(net.plan, net.out);
    for (int n = 0; same && n < IMAGES; n++)
        same = same_as_naive(y + n * options.most * ROW, &numbers[n], &options, n);
    if (!same) printf("# seed %d differs\n", (int)seed);
    close_network(&net);
    return same;
}

/* ---- more ------------------------------------------------------------------------------------ */

/* A crowd of 21 x 20 faces side by side, all of them found; nothing of it where least is 1. */
static void check_crowd(float least, int expected)
{
    enum { ACROSS = 21, DOWN = 20, FACES = ACROSS * DOWN };
    struct network net = {.graph = nn_graph_new(context)};
    add_output(&net, FACES, NULL,
               &(struct nn_detection_options){.classes = 2,
                                              .shared = true,
                                              .least_confidence = least,
                                              .overlap = 0.45f,
                                              .most_before = 1000,
                                              .most = 500});
    if (CHECK(compile(&net, 1), "a crowd compiles")) {
        memset(nn_data(net.plan, net.locations), 0, FACES * 4 * sizeof(float));
        float *priors = nn_data(net.plan, net.priors);
        for (int i = 0; i < FACES; i++) {
            float *prior = priors + i * 4;
            prior[0] = (float)(i % ACROSS) / 32.0f;
            prior[1] = (float)(i / ACROSS) / 32.0f;
            prior[2] = prior[0] + 1.0f / 32.0f;
            prior[3] = prior[1] + 1.0f / 32.0f;
            nn_data(net.plan, net.confidences)[2 * i + 1] = (float)(i * 263 % FACES + 1) / FACES;
        }
        nn_forward(net.plan, 1);
        const float *y = nn_data(net.plan, net.out);
        int count = count_rows(y, 500);
        bool good = count == expected;
        for (int i = 0; i < count; i++) {
            int place =
                (int)lrintf(y[i * ROW + 4] * 32.0f) * ACROSS + (int)lrintf(y[i * ROW + 3] * 32.0f);
            good &= y[i * ROW + 2] == (float)(FACES - i) / FACES &&
                    place * 263 % FACES + 1 == FACES - i;
        }
        CHECK(good, "%d of a crowd of %d are found, best first", count, FACES);
    }
    close_network(&net);
}

/* In a training plan, beside the part that learns. */
static void check_training(void)
{
    struct network net = {.graph = nn_graph_new(context)};
    struct nn_node *x = nn_input(net.graph, "x", nn_shape4(NN_BATCH, 8, 8, 3));
    struct nn_node *map = nn_layer_conv2d(x, NULL, 6, 3, 3, NULL);
    struct nn_node *priors = nn_prior_box(
        map, x,
        &(struct nn_prior_box_options){
            .min_size = {2}, .min_sizes = 1, .offset = 0.5f, .variance = {1, 1, 1, 1}});
    struct nn_node *locations = nn_flatten(nn_layer_conv2d(map, "locations", 4, 1, 1, NULL));
    struct nn_node *confidences = nn_flatten(nn_layer_conv2d(map, "confidences", 2, 1, 1, NULL));
    struct nn_node *outputs[] = {
        nn_detection_output(locations, confidences, priors,
                            &(struct nn_detection_options){.classes = 2,
                                                           .shared = true,
                                                           .least_confidence = -9.0f,
                                                           .overlap = 0.5f,
                                                           .most_before = -1,
                                                           .most = 10})};
    struct nn_node *target = nn_input(net.graph, "target", nn_shape2(NN_BATCH, 8 * 8 * 2));
    struct nn_node *loss = nn_binary_cross_entropy(confidences, target, NULL);
    struct nn_plan *plans[2] = {NULL, NULL};
    float found[2][3 * 10 * ROW] = {{0}};
    bool good = nn_initialize(net.graph, 1) == NN_OK;
    for (int i = 0; i < 2 && good; i++) {
        struct nn_plan_options options = {
            .batch = 3, .outputs = outputs, .output_count = 1, .loss = i ? loss : NULL};
        good = nn_compile(&plans[i], net.graph, &options) == NN_OK;
        if (!good) break;
        numbers_fill(nn_data(plans[i], x), 3 * 8 * 8 * 3, 1, 'i', 1, 1);
        if (i) memset(nn_data(plans[i], target), 0, 3 * 8 * 8 * 2 * sizeof(float));
        for (int run = 0; run < 2; run++) {
            good = good && nn_forward(plans[i], 3) == NN_OK;
            if (good) memcpy(found[i], nn_data(plans[i], outputs[0]), sizeof found[i]);
            if (i) good = good && nn_backward(plans[i]) == NN_OK;
        }
    }
    CHECK(good && count_rows(found[0], 10) > 0 && memcmp(found[0], found[1], sizeof *found) == 0,
          "the same boxes from a plan that trains: %s", nn_error(context));
    nn_plan_free(&plans[0]);
    nn_plan_free(&plans[1]);

    struct nn_node *only =
        nn_softmax_cross_entropy(nn_reshape(outputs[0], nn_shape2(NN_BATCH, 10 * ROW)),
                                 nn_input(net.graph, "only", nn_shape2(NN_BATCH, 10 * ROW)), NULL);
    struct nn_plan_options options = {.batch = 1, .loss = only};
    CHECK(nn_compile(&plans[0], net.graph, &options) == NN_ERROR_ARGUMENT, "no gradient passes: %s",
          nn_error(context));
    nn_plan_free(&plans[0]);
    nn_graph_free(&net.graph);
}

int main(void)
{
    enum { RANDOM_CASES = 400 };
    if (!CHECK(nn_open(&context, &(struct nn_options){.threads = 2}) == NN_OK, "a context"))
        return test_done();
    for (size_t i = 0; i < sizeof OPENCV / sizeof *OPENCV; i++) check_opencv_case(&OPENCV[i]);
    check_face_detector();
    int fits = 0;
    for (int i = 0; i < RANDOM_CASES; i++) fits += random_case_fits((uint64_t)i);
    CHECK(fits == RANDOM_CASES, "%d of %d random cases are as spelled out, ties and NaN too", fits,
          RANDOM_CASES);
    check_crowd(0.0f, 420);
    check_crowd(0.5f, 210);
    check_crowd(1.0f, 0);
    check_training();
    nn_close(&context);
    return test_done();
}
