/*
 * test_cli_bench.c — `bench` and `summary` on each kind of network: LivenessNet, new and from a
 * file, a detector, and a Caffe structure without weights; `bench` of everything, at all levels.
 * Speeds are not judged, only that they are there and agree with each other.
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

/* Asked for a batch, it measures one network, and no kernels. */
static void test_bench_one(void)
{
    const struct app_run *run = app_run(NULL, "bench --seconds 0.05 --threads 1 --batch 1");
    CHECK(run->code == 0 && strstr(run->out, "conv2d_3") && strstr(run->out, "relu affine") &&
              strstr(run->out, "16x16x32") && strstr(run->out, "% of peak") &&
              strstr(run->out, "random weights") && !strstr(run->out, "SSD") && !*run->err,
          "a table");
    run = app_run(NULL, "bench --seconds 0.05 --threads 2 --batch 3 --cpu scalar --json");
    struct nn_json *json = parse(run, "bench --json");
    check_figures(json, 6471808, 3);
    CHECK(is_text(json, "cpu", "scalar") && number(json, "threads") == 2 &&
              is_text(json, "source", "livenessnet") && nn_json_count(get(json, "steps")) == 7,
          "what was asked for");
    CHECK(nn_json_count(get(json, "networks")) == 1 && nn_json_count(get(json, "kernels")) == 0,
          "and nothing else");
    nn_json_free(&json);
}

/* ---- everything ------------------------------------------------------------------------------ */

static bool is_positive(const struct nn_json *object, const char *key)
{
    double value = number(object, key);
    return value > 0 && isfinite(value);
}

static bool are_limits(const struct nn_json *machine, int levels)
{
    static const char *const keys[] = {"peak_gflops", "l1_gbytes", "l2_gbytes", "memory_gbytes"};
    const struct nn_json *limits = get(machine, "limits");
    bool good = nn_json_count(limits) == levels && number(machine, "cores") >= 1;
    for (int l = 0; l < nn_json_count(limits); l++)
        for (int k = 0; k < 4; k++)
            good = good && is_positive(get(nn_json_at(limits, l), "one"), keys[k]) &&
                   is_positive(get(nn_json_at(limits, l), "all"), keys[k]);
    return good;
}

/* A training step: all three directions, and Adam. */
static void check_training(const struct nn_json *network)
{
    const struct nn_json *steps = get(network, "steps");
    int both = 0, updates = 0;
    double flops = 0;
    for (int i = 0; i < nn_json_count(steps); i++) {
        const struct nn_json *step = nn_json_at(steps, i), *data = get(step, "bwd_data"),
                             *weights = get(step, "bwd_weights"), *forward = get(step, "forward");
        both += data && weights && forward && is_positive(data, "gflops") &&
                is_positive(weights, "gflops") && is_positive(weights, "share_of_bound");
        updates += is_text(step, "op", "adam") && is_positive(weights, "gbytes");
        flops += number(forward, "flops") > 0 ? number(forward, "flops") : 0;
        flops += number(data, "flops") > 0 ? number(data, "flops") : 0;
        flops += number(weights, "flops") > 0 ? number(weights, "flops") : 0;
    }
    CHECK(both == 5 && updates == 1, "five layers have both gradients, and there is an update");
    /* Three times the forward work, but for the input gradient of the first layer. */
    double expected = 2.0 * 8 * (3 * 6471808.0 - 32.0 * 32 * 27 * 16);
    CHECK(flops == expected && number(network, "flops") == expected, "%.0f operations of %.0f",
          flops, expected);
}

static void check_all(const struct nn_json *json, int levels, const char *const *level)
{
    static const char *const names[] = {"livenessnet_training", "livenessnet", "ssd_res10"};
    const struct nn_json *networks = get(json, "networks"), *kernels = get(json, "kernels");
    bool good = nn_json_count(networks) == 3 * levels;
    for (int i = 0; i < nn_json_count(networks) && good; i++) {
        const struct nn_json *network = nn_json_at(networks, i);
        good = is_text(network, "model", names[i / levels]) &&
               is_text(network, "cpu", level[i % levels]) && is_positive(network, "milliseconds") &&
               nn_json_bool(get(network, "random_weights"), false) &&
               number(network, "batch") == (i < levels ? 8 : 1);
    }
    CHECK(good, "three networks at %d level%s", levels, levels == 1 ? "" : "s");
    check_training(nn_json_at(networks, 0));
    CHECK(fabs(number(nn_json_at(networks, 2 * levels), "multiply_adds") - 1178874752) < 10,
          "the detector's multiply-adds");
    good = nn_json_count(kernels) >= 20;
    for (int i = 0; i < nn_json_count(kernels); i++) {
        const struct nn_json *results = get(nn_json_at(kernels, i), "results");
        good = good && nn_json_count(results) == levels;
        for (int l = 0; l < nn_json_count(results); l++)
            good = good && is_text(nn_json_at(results, l), "level", level[l]) &&
                   is_positive(nn_json_at(results, l), "microseconds") &&
                   is_positive(nn_json_at(results, l), "share_of_bound");
    }
    CHECK(good, "kernels, each at each level");
    CHECK(are_limits(get(json, "machine"), levels), "and what the machine can do");
}

static bool is_png(const char *path, int width, int height)
{
    struct vi_image image;
    bool good =
        vi_read(&image, context, path, &(struct vi_decode_options){.color = VI_RGB}) == NN_OK &&
        image.width == width && image.height == height;
    if (good) vi_image_free(context, &image);
    return good;
}

/* Levels that differ for floats. */
static int float_levels(const char *names[8])
{
    int count = nn_levels(names), kept = 0;
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], "avx512bf16") != 0 && strcmp(names[i], "amx") != 0)
            names[kept++] = names[i];
    return kept;
}

/* NN_CPU lowers the levels for the program, too. */
static int usable(const char *const *names, int count)
{
    const char *lowered = getenv("NN_CPU");
    for (int i = 0; lowered && i < count; i++)
        if (strcmp(names[i], lowered) == 0) return i + 1;
    return count;
}

static void test_bench_all(void)
{
    const char *names[8];
    int count = usable(names, float_levels(names));
    const struct app_run *run =
        app_run(NULL, "bench --seconds 0.01 --level all --threads 2 --json --plot %s",
                in_folder("roof.png"));
    struct nn_json *json = parse(run, "bench --level all --json");
    check_all(json, count, names);
    CHECK(is_png(in_folder("roof.png"), 1200, 800), "a roofline of 1200 x 800 pixels");
    nn_json_free(&json);
    run = app_run(NULL, "bench --seconds 0.01 --threads 1");
    CHECK(run->code == 0 && strstr(run->out, "bwd-weights") && strstr(run->out, "adam") &&
              strstr(run->out, "SSD res10 300x300, forward, 1 picture per run, random weights") &&
              strstr(run->out, "conv_gradient") && strstr(run->out, "at most"),
          "tables");
}

/* Of a text, in bytes. */
static int longest_line(const char *text)
{
    int longest = 0;
    for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if ((int)strcspn(at, "\n") > longest) longest = (int)strcspn(at, "\n");
    return longest;
}

static void test_bench_levels(void)
{
    const char *names[8];
    int count = usable(names, float_levels(names));
    const struct app_run *run =
        app_run(NULL, "bench --network training --level all --seconds 0.01 --threads 1");
    bool named = run->code == 0;
    for (int i = 0; i < count; i++) named = named && strstr(run->out, names[i]);
    CHECK(named && strstr(run->out, "forward") && !strstr(run->out, "SSD"), "levels side by side");
    CHECK(longest_line(run->out) <= 100, "%d columns", longest_line(run->out));
    run = app_run(NULL, "bench --network detector --level scalar --seconds 0.01 --json");
    struct nn_json *json = parse(run, "bench --network detector --level scalar");
    CHECK(is_text(json, "cpu", "scalar") && is_text(json, "source", "ssd_res10"), "one level");
    nn_json_free(&json);
    run = app_run(NULL, "bench --level fastest");
    named = run->code == 2 && !*run->out && strstr(run->err, "'fastest'");
    for (int i = 0; i < count; i++) named = named && strstr(run->err, names[i]);
    CHECK(named, "an unknown level: %.*s", SAID(run));
    if (count > 1) {
        run = app_run(NULL, "bench --cpu scalar --level %s", names[1]);
        CHECK(run->code == 2 && !*run->out, "a level above --cpu: %.*s", SAID(run));
    }
}

static void test_bench_bf16(void)
{
    const char *names[8];
    int count = nn_levels(names);
    const struct app_run *run =
        app_run(NULL, "bench --network livenessnet --precision bf16 --seconds 0.01 --json");
    struct nn_json *json = parse(run, "bench --precision bf16");
    const char *wanted = getenv("NN_CPU");
    CHECK(is_text(json, "precision", "bf16") &&
              is_text(json, "cpu", wanted && *wanted ? wanted : names[count - 1]),
          "at the best level of all");
    nn_json_free(&json);
    run = app_run(NULL, "bench --network livenessnet --seconds 0.01 --level %s", names[count - 1]);
    CHECK(wanted || run->code == 0, "the best level, asked for by its name: %.*s", SAID(run));
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
    check_refused("bench --network squeezenet", "", 2, "training|livenessnet|detector");
    check_refused("bench --network detector --model", "m.st", 2, "--model");
    check_refused("bench --plot", "roof.txt", 2, ".png");
    check_refused("bench --seconds 0.01 --network livenessnet --plot", "m.st/roof.png", 1, "m.st");
    check_refused("bench --batch 0", "", 2, "--batch");
    check_refused("bench --seconds 0", "", 2, "--seconds");
    check_refused("bench --seconds nan", "", 2, "--seconds");
}

/* An emulator, a sanitizer, one level of all? */
static bool is_slow(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#else
    const char *level = getenv("NN_CPU");
    return test_emulated() || (level && *level);
#endif
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
    test_bench_one();
    if (is_slow())
        test_skip("bench without options", "it would take minutes here");
    else
        test_bench_all();
    if (test_emulated()) {
        test_skip("bench of all levels, and of bf16", "it would take minutes in an emulator");
    } else {
        test_bench_levels();
        test_bench_bf16();
    }
    test_bench_model();
    test_bench_detector();
    test_summary_model();
    test_summary_detector();
    test_structure();
    test_mistakes();
    return tiny_done();
}
