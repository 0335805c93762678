/*
 * test_cli_bench.c — `bench` and `summary` on each kind of network: LivenessNet, new and from a
 * file, a detector, and a Caffe structure without weights. Speeds are not judged, only that they
 * are there and agree with each other.
 */
#include "app_run.h"
#include "tiny_detector.h"

static const struct nn_json *get(const struct nn_json *object, const char *key)
{
    return nn_json_get(object, key);
}
static double number(const struct nn_json *object, const char *key)
{
    return nn_json_number(get(object, key), NAN);
}
static bool is_text(const struct nn_json *object, const char *key, const char *text)
{
    return strcmp(nn_json_string(get(object, key), ""), text) == 0;
}

/* What was said on standard error, up to the end of its first line. */
#define SAID(run) (int)strcspn((run)->err, "\n"), (run)->err

static struct nn_json *parse(const struct app_run *run, const char *what)
{
    struct nn_json *json = NULL;
    bool good =
        run->code == 0 && nn_json_parse(&json, context, run->out, strlen(run->out), what) == NN_OK;
    CHECK(good, "%s: ends well, prints JSON %.*s", what, SAID(run));
    return json;
}

/* ---- bench ----------------------------------------------------------------------------------- */

static void check_figures(const struct nn_json *json, double multiply_adds, int batch)
{
    double in_steps = 0, share = 0, median = number(json, "milliseconds");
    const struct nn_json *steps = get(json, "steps");
    bool good = true;
    for (int i = 0; i < nn_json_count(steps); i++) {
        const struct nn_json *step = nn_json_at(steps, i);
        double us = number(step, "microseconds"), work = number(step, "multiply_adds");
        double rate = us > 0 ? 2 * work * batch / us * 1e-3 : 0;
        in_steps += work;
        share += number(step, "share_of_time");
        good = good && us >= 0 && nn_json_string(get(step, "name"), NULL) &&
               fabs(number(step, "gflops") - rate) <= 1e-6 * rate;
    }
    CHECK(good, "each step has a name, a time, and the speed that follows from it");
    CHECK(in_steps == multiply_adds && number(json, "multiply_adds") == multiply_adds,
          "multiply-adds: %.0f in steps, expected %.0f", in_steps, multiply_adds);
    CHECK(fabs(share - 1) < 1e-6, "shares of time add up to one");
    CHECK(median > 0 && number(json, "milliseconds_best") <= median, "median %.4f ms", median);
    double gflops = 2 * multiply_adds * batch / median * 1e-6;
    CHECK(fabs(number(json, "gflops") - gflops) <= 1e-6 * gflops, "%.2f GFLOP/s", gflops);
    CHECK(fabs(number(json, "share_of_peak") * number(json, "peak_gflops") - gflops) <=
              1e-6 * gflops,
          "a share of the peak of %.1f", number(json, "peak_gflops"));
    CHECK(number(json, "memory_gbytes") > 0 && number(json, "near_gbytes") > 0 &&
              number(json, "turns") >= 3 && number(json, "batch") == batch,
          "bandwidths, turns, batch");
}

static void test_bench_default(void)
{
    const struct app_run *run = app_run(NULL, "bench --seconds 0.05 --threads 1");
    CHECK(run->code == 0 && strstr(run->out, "conv2d_3") && strstr(run->out, "relu affine") &&
              strstr(run->out, "16x16x32") && strstr(run->out, "% of the peak") && !*run->err,
          "a table");
    run = app_run(NULL, "bench --seconds 0.05 --threads 2 --batch 3 --cpu scalar --json");
    struct nn_json *json = parse(run, "bench --json");
    check_figures(json, 6471808, 3);
    CHECK(is_text(json, "cpu", "scalar") && number(json, "threads") == 2 &&
              is_text(json, "source", "livenessnet") && nn_json_count(get(json, "steps")) == 9,
          "what was asked for");
    nn_json_free(&json);
}

static void test_bench_model(void)
{
    const struct app_run *run = app_run(NULL, "bench -m %s --seconds 0.05 --json --picture %s",
                                        in_folder("m.st"), in_folder("set/real/0000.jpg"));
    struct nn_json *json = parse(run, "bench -m of a model, with a picture");
    CHECK(is_text(json, "source", "safetensors") && number(json, "multiply_adds") < 6471808,
          "its own size");
    nn_json_free(&json);
}

static void test_bench_detector(void)
{
    const struct app_run *run = app_run(NULL, "bench -m %s --seconds 0.05 --json --picture %s",
                                        in_folder("d.safetensors"), in_folder("set/real/0000.jpg"));
    struct nn_json *json = parse(run, "bench -m of a detector, with a picture");
    check_figures(json, 4 * 4 * 3 * (2 + 4), 1);
    nn_json_free(&json);
}

/* ---- summary --------------------------------------------------------------------------------- */

static void test_summary_model(void)
{
    struct nn_json *fresh = parse(app_run(NULL, "summary -w 8 -he 8 --json"), "summary, new");
    struct nn_json *read =
        parse(app_run(NULL, "summary %s --json", in_folder("m.st")), "summary of a model");
    static const char *const same[] = {"total_params",  "trainable_params", "non_trainable_params",
                                       "multiply_adds", "training_bytes",   "inference_bytes"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        CHECK(number(fresh, same[i]) > 0 && number(fresh, same[i]) == number(read, same[i]),
              "%s: as many as in a new network of that size", same[i]);
    double sum = 0;
    const struct nn_json *layers = get(read, "layers");
    for (int i = 0; i < nn_json_count(layers); i++)
        sum += number(nn_json_at(layers, i), "multiply_adds");
    CHECK(sum == number(read, "multiply_adds"), "multiply-adds of the layers add up");
    nn_json_free(&fresh);
    nn_json_free(&read);
    const struct app_run *run = app_run(NULL, "summary %s --plan", in_folder("m.st"));
    CHECK(strstr(run->out, "The plan of inference at batch 1") &&
              strstr(run->out, "The plan of training at batch 8"),
          "both plans");
}

static void test_summary_detector(void)
{
    const struct app_run *run = app_run(NULL, "summary %s --plan", in_folder("d.safetensors"));
    CHECK(run->code == 0 && strstr(run->out, "detection_out (DetectionOutput)") &&
              strstr(run->out, "(None, 1, 16, 7)") && strstr(run->out, "Total params: 24\n") &&
              strstr(run->out, "Multiply-adds per picture: 288\n"),
          "a detector's layers");
    CHECK(strstr(run->out, "The plan of inference") && !strstr(run->out, "training"),
          "detectors are not trained");
    const char *longest = strstr(run->out, "confidence (Conv2D)");
    CHECK(longest && strstr(longest, "(None, 4, 4, 2)"), "names stand beside their shapes");
    struct nn_json *json = parse(app_run(NULL, "summary %s --json", in_folder("d.safetensors")),
                                 "summary of a detector");
    CHECK(number(json, "total_params") == 24 && number(json, "multiply_adds") == 288 &&
              !get(json, "training_bytes") && nn_json_bool(get(json, "weights"), false),
          "its figures");
    nn_json_free(&json);
}

static const char STRUCTURE[] =
    "input: \"data\"\ninput_shape { dim: 1 dim: 3 dim: 10 dim: 12 }\n"
    "layer { name: \"a_convolution_with_a_name_longer_than_the_columns_of_keras\"\n"
    "  type: \"Convolution\" bottom: \"data\" top: \"c\"\n"
    "  convolution_param { num_output: 5 kernel_size: 3 pad: 1 } }\n"
    "layer { name: \"relu\" type: \"ReLU\" bottom: \"c\" top: \"c\" }\n";

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    bool good = file && fputs(text, file) >= 0;
    return file && fclose(file) == 0 && good;
}

static void test_structure(void)
{
    const char *path = in_folder("bare.prototxt");
    CHECK(write_file(path, STRUCTURE), "a .prototxt");
    const struct app_run *run = app_run(NULL, "summary %s", path);
    CHECK(run->code == 0 && strstr(run->err, "no .caffemodel") &&
              strstr(run->out, "(None, 10, 12, 5)") && strstr(run->out, "Total params: 140\n"),
          "its structure, and that weights are missing: %.*s", SAID(run));
    size_t widest = 0, first = strcspn(strchr(run->out, '_'), "\n");
    for (const char *at = run->out; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (strcspn(at, "\n") > widest) widest = strcspn(at, "\n");
    CHECK(widest == first, "no line is wider than the table: %zu and %zu columns", widest, first);
    struct nn_json *json = parse(app_run(NULL, "summary %s --json --quiet", path), "its JSON");
    CHECK(!nn_json_bool(get(json, "weights"), true) &&
              number(json, "multiply_adds") == 10 * 12 * 5 * 27,
          "without weights");
    nn_json_free(&json);
    run = app_run(NULL, "bench -m %s --seconds 0.01 --json --quiet", path);
    json = parse(run, "bench of a structure");
    check_figures(json, 10 * 12 * 5 * 27, 1);
    nn_json_free(&json);
    run = app_run(NULL, "bench -m %s --picture x.png", path);
    CHECK(run->code == 1 && strstr(run->err, "--picture"), "but not on a picture");
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void check_refused(const char *command, const char *file, int code, const char *says_this)
{
    const struct app_run *run = app_run(NULL, "%s %s", command, in_folder(file));
    CHECK(run->code == code && strstr(run->err, says_this) && !*run->out, "%s %s: %d, %.*s",
          command, file, run->code, SAID(run));
}

static void test_mistakes(void)
{
    CHECK(write_file(in_folder("text.st"), "not a network\n") &&
              write_file(in_folder("text.prototxt"), "layer { name: \"x\" type: \"Guess\" }\n"),
          "files that are none");
    static const char *const commands[] = {"summary", "bench -m"};
    for (int i = 0; i < 2; i++) {
        check_refused(commands[i], "missing.st", 1, "missing.st");
        check_refused(commands[i], "missing.prototxt", 1, "missing.prototxt");
        check_refused(commands[i], "missing.caffemodel", 1, "missing.caffemodel");
        check_refused(commands[i], "text.st", 1, "text.st");
        check_refused(commands[i], "text.prototxt", 1, "Guess");
        check_refused(commands[i], "set", 1, "set");
    }
    check_refused("bench --picture", "missing.png", 1, "missing.png");
    check_refused("bench --picture", "text.st", 1, "text.st");
    check_refused("bench", "m.st", 2, "options only");
    check_refused("bench --batch 0", "", 2, "--batch");
    check_refused("bench --seconds 0", "", 2, "--seconds");
    check_refused("bench --seconds nan", "", 2, "--seconds");
}

int main(void)
{
    tiny_start();
    const struct app_run *run =
        app_run(NULL, "synth %s --count 8 --size 32 --quiet", in_folder("set"));
    CHECK(run->code == 0, "pictures: %s", run->err);
    run = app_run(NULL, "train -d %s -w 8 -he 8 -b 3 -e 1 --quiet -m %s", in_folder("set"),
                  in_folder("m.st"));
    CHECK(run->code == 0, "a model: %s", run->err);
    CHECK(tiny_write(&TINY, in_folder("d.safetensors")), "a detector");
    test_bench_default();
    test_bench_model();
    test_bench_detector();
    test_summary_model();
    test_summary_detector();
    test_structure();
    test_mistakes();
    return tiny_done();
}
