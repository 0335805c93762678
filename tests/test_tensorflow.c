/*
 * test_tensorflow.c — networks of TensorFlow: TensorFlow's numbers for small ones, OpenCV's for the
 * face detector.
 */
#include "nn/nn.h"
#include "tests/test.h"

static struct nn_context *context;

/* ---- running --------------------------------------------------------------------------------- */

struct run {
    struct nn_graph *graph;
    struct nn_plan *plan;
    float *x, *y;
    struct nn_shape in, out;
    const char *name;
};

static bool open_run(struct run *run, const char *pbtxt, const char *pb, int images)
{
    *run = (struct run){0};
    bool good =
        nn_import_tensorflow(&run->graph, context, pbtxt, pb) == NN_OK &&
        nn_compile(&run->plan, run->graph, &(struct nn_plan_options){.batch = images}) == NN_OK;
    if (!CHECK(good, "%s is read: %s", pbtxt, good ? "" : nn_error(context))) return false;
    struct nn_node *in = NULL, *out = nn_node_at(run->graph, nn_node_count(run->graph) - 1);
    for (int i = 0; i < nn_node_count(run->graph) && !in; i++)
        if (!strcmp(nn_node_op(nn_node_at(run->graph, i)), "input")) in = nn_node_at(run->graph, i);
    run->in = nn_node_shape(in);
    run->out = nn_node_shape(out);
    run->name = nn_node_name(out);
    run->x = nn_data(run->plan, in);
    run->y = nn_data(run->plan, out);
    return true;
}

static void close_run(struct run *run)
{
    nn_plan_free(&run->plan);
    nn_graph_free(&run->graph);
}

/* A network of tests/golden/tensorflow and TensorFlow's answer. */
static void test_golden(const char *name)
{
    char pbtxt[100], pb[100], txt[100], line[200] = "";
    struct run run;
    double largest = 0;
    snprintf(pbtxt, sizeof pbtxt, "tests/golden/tensorflow/%s.pbtxt", name);
    snprintf(pb, sizeof pb, "tests/golden/tensorflow/%s.pb", name);
    snprintf(txt, sizeof txt, "tests/golden/tensorflow/%s.txt", name);
    if (!open_run(&run, pbtxt, pb, 2)) {
        close_run(&run);
        return;
    }
    for (int i = 0; i < 2 * (int)nn_shape_count(run.in); i++)
        run.x[i] = (float)(i * 37 % 64 - 32) / 16;
    CHECK(nn_forward(run.plan, 2) == NN_OK, "it runs");
    FILE *file = fopen(txt, "r");
    size_t count = 2 * nn_shape_count(run.out), got = 0;
    if (!file || !fgets(line, sizeof line, file)) abort();
    while (fgets(line, sizeof line, file) && got < count)
        largest = fmax(largest, fabs(strtod(line, NULL) - (double)run.y[got++]));
    CHECK(got == count && feof(file) && largest < 2e-6, "%s: %zu values as TensorFlow's to %g",
          name, got, largest);
    CHECK(!strcmp(run.name, *name == 'p' ? "c" : "softmax"), "the last node is '%s'", run.name);
    fclose(file);
    close_run(&run);
}

/* ---- the face detector ----------------------------------------------------------------------- */

/* A binary .ppm of 300x300 as the network wants it: BGR, less the mean. */
static bool load_picture(float *x, const char *name)
{
    static const float mean[] = {104, 177, 123};
    static uint8_t pixels[300 * 300 * 3];
    char path[400];
    int width = 0, height = 0;
    snprintf(path, sizeof path, "%s/golden/ssd/%s", test_shared(), name);
    FILE *file = fopen(path, "rb");
    bool good = file && fscanf(file, "P6 %d %d 255", &width, &height) == 2 && width == 300 &&
                height == 300 && fgetc(file) != EOF &&
                fread(pixels, 1, sizeof pixels, file) == sizeof pixels;
    if (file) fclose(file);
    for (int i = 0; i < 300 * 300 && good; i++)
        for (int c = 0; c < 3; c++) x[3 * i + c] = (float)pixels[3 * i + 2 - c] - mean[c];
    return good;
}

/* Compares a row of OpenCV's with ours; boxes may change places where confidences are the same. */
static double row_difference(const float *ours, const char *line)
{
    double largest = 0, value;
    for (int i = 2; i < 7; i++) {
        char *end;
        value = strtod(line, &end);
        largest = fmax(largest, fabs(value - (double)ours[i]));
        line = end;
    }
    return largest;
}

static int count_above(const float *rows, float least)
{
    int count = 0;
    for (; count < 200 && rows[7 * count + 1] > 0 && rows[7 * count + 2] > least; count++) continue;
    return count;
}

static void test_detector(void)
{
    char pbtxt[300], pb[300], line[200], name[200] = "";
    struct run run;
    int row = 0, pictures = 0, same_counts = 0, rows = 0;
    double largest = 0;
    if (!test_shared()) {
        test_skip("the 8-bit face detector", "no shared folder");
        return;
    }
    if (test_emulated()) {
        test_skip("the 8-bit face detector", "an emulator takes a minute; test_caffe_real has it");
        return;
    }
    snprintf(pbtxt, sizeof pbtxt, "%s/data/detector/opencv_face_detector.pbtxt", test_shared());
    snprintf(pb, sizeof pb, "%s/data/detector/opencv_face_detector_uint8.pb", test_shared());
    FILE *file = fopen("tests/golden/tensorflow.txt", "r");
    if (!file) abort();
    if (open_run(&run, pbtxt, pb, 1)) {
        CHECK(nn_shape_equal(run.in, nn_shape4(NN_BATCH, 300, 300, 3)) &&
                  nn_shape_equal(run.out, nn_shape4(NN_BATCH, 1, 200, 7)),
              "300x300 pixels in, 200 boxes out");
        while (fgets(line, sizeof line, file)) {
            if (line[0] == '#') continue;
            if (strstr(line, ".ppm")) {
                same_counts += pictures && count_above(run.y, 0.1f) == row;
                snprintf(name, sizeof name, "%.*s", (int)strcspn(line, "\n"), line);
                if (!load_picture(run.x, name) || nn_forward(run.plan, 1)) break;
                pictures++;
                row = 0;
            } else if (row < 200) {
                double difference = row_difference(run.y + 7 * row++, line);
                if (difference > 1e-4) printf("# %s: row %d: %g\n", name, row, difference);
                largest = fmax(largest, difference);
                rows++;
            }
        }
        same_counts += count_above(run.y, 0.1f) == row;
        CHECK(pictures == 13 && same_counts == 13, "%d pictures, %d with as many boxes as OpenCV's",
              pictures, same_counts);
        CHECK(rows > 600 && largest < 1e-4, "%d boxes are OpenCV's to %g", rows, largest);
    }
    close_run(&run);
    fclose(file);
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    test_golden("classifier");
    test_golden("padded");
    test_detector();
    CHECK(nn_bytes_allocated(context) == before, "nothing is left");
    nn_close(&context);
    return test_done();
}
