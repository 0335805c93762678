/*
 * test_cli_train.c — train, eval and predict on a small set: the same bits whatever the threads and
 * the interruptions, JSON that parses, and files that are damaged or do not fit.
 */
#include "app_run.h"

#include <stdint.h>

static char folder[256];
static struct nn_context *context;

/* Small enough to be quick: 16 training pictures of 8 x 8. */
#define SMALL "-w 8 -he 8 -b 4 --quiet --json"

static struct nn_json *parse_last_line(const char *text)
{
    struct nn_json *json = NULL;
    size_t size = strlen(text);
    if (size == 0 || text[size - 1] != '\n') return NULL;
    size_t from = size - 1;
    while (from > 0 && text[from - 1] != '\n') from--;
    if (nn_json_parse(&json, context, text + from, size - from, "output")) return NULL;
    return json;
}

/* Trains and returns the hash of the weights; "" after a failure. */
static const char *train(const char *options)
{
    static char hash[65];
    const struct app_run *run = app_run(NULL, "train -d %s/set " SMALL " %s", folder, options);
    struct nn_json *json = parse_last_line(run->out);
    snprintf(hash, sizeof hash, "%s", nn_json_string(nn_json_get(json, "weights_sha256"), ""));
    if (run->code) printf("# %s", run->err);
    nn_json_free(&json);
    return hash;
}

static const char *at(const char *name)
{
    static char path[2][400];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static bool same_file(const char *a, const char *b)
{
    void *bytes[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    bool read = !nn_file_read(context, at(a), 1 << 26, &bytes[0], &size[0]) &&
                !nn_file_read(context, at(b), 1 << 26, &bytes[1], &size[1]);
    bool same = read && size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0;
    nn_free(context, bytes[0]);
    nn_free(context, bytes[1]);
    return same;
}

/* ---- the same bits --------------------------------------------------------------------------- */

static void test_threads(void)
{
    static const char *const options[] = {"-e 2", "-e 2 --threads 1", "-e 2 --threads 2",
                                          "-e 2 --threads 3", "-e 2 --threads 8"};
    char first[65];
    snprintf(first, sizeof first, "%s", train(options[0]));
    CHECK(strlen(first) == 64, "training answers with a hash: %s", first);
    for (size_t i = 1; i < sizeof options / sizeof *options; i++)
        CHECK(strcmp(train(options[i]), first) == 0, "%s: the same weights", options[i]);
    CHECK(strcmp(train("-e 2 --seed 2"), first) != 0, "another seed, other weights");
    CHECK(strcmp(train("-e 2 --no-augment"), first) != 0, "without augmentation, other weights");
    CHECK(strcmp(train("-e 2 --shuffle-labels"), first) != 0, "with shuffled labels as well");
}

static void test_resume(void)
{
    char options[600], whole[65];
    static const char *const kinds[] = {"", "--optimizer adamw --weight-decay 0.01",
                                        "--optimizer sgd --lr 0.01 --clip-norm 1",
                                        "--schedule step --step-every 1 --class-weights"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(options, sizeof options, "-e 4 -m %s/whole.st %s", folder, kinds[i]);
        snprintf(whole, sizeof whole, "%s", train(options));
        snprintf(options, sizeof options, "-e 2 -m %s/parts.st %s", folder, kinds[i]);
        CHECK(strcmp(train(options), whole) != 0, "'%s': two epochs are not four", kinds[i]);
        CHECK(strcmp(train(options), whole) == 0 && *whole, "but two and two are");
        CHECK(same_file("whole.best.st", "parts.best.st"), "and so are the best weights");
        unlink(at("whole.st"));
        unlink(at("parts.st"));
    }
}

/* What a resumed run may not change, and what it may. */
static void test_conflicts(void)
{
    static const struct conflict {
        const char *options, *says;
    } conflicts[] = {
        {"-b 8", "--bs is now 8"},
        {"--seed 3", "--seed is now 3"},
        {"-w 16", "--input_img_width is now 16"},
        {"--color rgb", "--color is now rgb"},
        {"--no-augment", "--augment is now no"},
        {"--split tail", "--split is now tail"},
        {"--val-fraction 0.5", "--val-fraction is now 0.5"},
        {"--optimizer sgd", "--optimizer is now sgd"},
        {"--schedule cosine", "--schedule is now cosine"},
        {"--label-smoothing 0.1", "--label-smoothing is now 0.1"},
    };
    char options[600];
    snprintf(options, sizeof options, "-e 1 -m %s/c.st", folder);
    train(options);
    for (size_t i = 0; i < sizeof conflicts / sizeof *conflicts; i++) {
        const struct app_run *run = app_run(NULL, "train -d %s/set -m %s/c.st -e 1 --quiet %s",
                                            folder, folder, conflicts[i].options);
        CHECK(run->code == 1 && strstr(run->err, conflicts[i].says), "resumed with %s: %.*s",
              conflicts[i].options, (int)strcspn(run->err, "\n"), run->err);
    }
    const struct app_run *run =
        app_run(NULL, "train -d %s/other -m %s/c.st --quiet", folder, folder);
    CHECK(run->code == 1 && strstr(run->err, "is not what"), "resumed with other data: %s",
          run->err);
    run = app_run(NULL, "train -d %s/set -dv %s/other -m %s/c.st --quiet", folder, folder, folder);
    CHECK(run->code == 1, "resumed with other validation data: %s", run->err);
    run = app_run(NULL, "train -d %s/set -m %s/c.best.st --quiet", folder, folder);
    CHECK(run->code == 1 && strstr(run->err, "training state"), "resumed from .best: %s", run->err);
    run = app_run(NULL, "train -d %s/set -m %s/c.st -e 1 --lr 1e-3 --json --quiet", folder, folder);
    CHECK(run->code == 0, "another --lr is allowed, what is left out comes from the file");
    struct nn_json *json = parse_last_line(run->out);
    CHECK(nn_json_number(nn_json_get(json, "epochs_total"), 0) == 2, "and it went on");
    nn_json_free(&json);
}

/* ---- outputs --------------------------------------------------------------------------------- */

static const char *const KEYS[] = {"images",        "epochs",   "seconds",  "images_per_second",
                                   "loss",          "accuracy", "val_loss", "val_accuracy",
                                   "weights_sha256"};

static void test_outputs(void)
{
    const struct app_run *run =
        app_run(NULL,
                "train -d %s/set -dv %s/other " SMALL " -e 2 -m %s/new/m.st -p %s/new/p/plot.png "
                "-ev %s/new/report.txt --log %s/new/log.csv",
                folder, folder, folder, folder, folder, folder);
    CHECK(run->code == 0, "all outputs, into folders that are made: %s", run->err);
    struct nn_json *json = parse_last_line(run->out);
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        CHECK(nn_json_get(json, KEYS[i]), "train --json has %s", KEYS[i]);
    CHECK(nn_json_count(nn_json_get(json, "history")) == 2, "and the history");
    nn_json_free(&json);
    static const char *const files[] = {"new/m.st", "new/m.best.st", "new/p/plot.png",
                                        "new/report.txt", "new/log.csv"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        CHECK(access(at(files[i]), R_OK) == 0, "wrote %s", files[i]);

    run = app_run(NULL, "eval -m %s/new/m.st -d %s/set --json --quiet -o %s/eval", folder, folder,
                  folder);
    json = parse_last_line(run->out);
    static const char *const figures[] = {"accuracy", "apcer", "bpcer", "acer",
                                          "hter",     "eer",   "auc",   "confusion"};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        CHECK(run->code == 0 && nn_json_get(json, figures[i]), "eval --json has %s", figures[i]);
    CHECK(nn_json_count(nn_json_get(json, "attacks")) == 2, "print and screen");
    nn_json_free(&json);
    CHECK(access(at("eval/roc.png"), R_OK) == 0 && access(at("eval/det.png"), R_OK) == 0 &&
              access(at("eval/confusion.png"), R_OK) == 0,
          "and the plots are there");

    run = app_run(NULL, "predict -m %s/new/m.best.st --json --sheet %s/sheet.png %s/set", folder,
                  folder, folder);
    int lines = 0;
    for (const char *c = run->out; *c; c++) lines += *c == '\n';
    CHECK(run->code == 0 && lines == 20, "predict --json: a line per file");
    json = parse_last_line(run->out);
    const struct nn_json *p = nn_json_get(json, "probabilities");
    double sum =
        nn_json_number(nn_json_get(p, "fake"), 9) + nn_json_number(nn_json_get(p, "real"), 9);
    CHECK(nn_json_get(json, "file") && nn_json_get(json, "label") && fabs(sum - 1) < 1e-6,
          "with a label, and probabilities whose sum is 1");
    nn_json_free(&json);
    CHECK(access(at("sheet.png"), R_OK) == 0, "and a sheet");
    run = app_run(NULL, "predict -m %s/new/m.st %s/set/real %s/log.csv %s/none.png", folder, folder,
                  folder, folder);
    CHECK(run->code == 1 && strstr(run->err, "none.png") && strstr(run->out, "real/"),
          "files that cannot be read are named, the others answered");
}

static void test_misfits(void)
{
    const struct app_run *run =
        app_run(NULL, "train -d %s/set/fake " SMALL " -e 1 -m %s/f.st", folder, folder);
    CHECK(run->code == 0, "any two folders are classes: %s", run->err);
    run = app_run(NULL, "eval -m %s/f.st -d %s/set", folder, folder);
    CHECK(run->code == 1 && strstr(run->err, "'fake'"), "labels that do not match: %s", run->err);
    run = app_run(NULL, "eval -m %s/f.st -d %s/set/fake --json --quiet", folder, folder);
    CHECK(run->code == 0 && strstr(run->out, "\"apcer\":null"), "no live class, no APCER");
    run = app_run(NULL, "eval -m %s/f.st -d %s/set/fake --real-label real", folder, folder);
    CHECK(run->code == 1 && strstr(run->err, "--real-label"), "a --real-label that is none");
    run = app_run(NULL, "train -d %s/set -b 100", folder);
    CHECK(run->code == 1 && strstr(run->err, "--bs"), "a batch larger than the data: %s", run->err);
    run = app_run(NULL, "train -d %s/set/real", folder);
    CHECK(run->code == 1 && *run->err, "no classes: %s", run->err);
    run = app_run(NULL, "train -d %s/nothing", folder);
    CHECK(run->code == 1 && strstr(run->err, "nothing"), "no folder: %s", run->err);
    run = app_run(NULL,
                  "train -d %s/set -e 1 --quiet --lr 10 --no-augment --optimizer sgd -m "
                  "/dev/full",
                  folder);
    CHECK(run->code == 1 && strstr(run->err, "/dev/full"), "a device as model: %s", run->err);
    run = app_run(NULL, "train -d %s/set -e 1 -m %s/set", folder, folder);
    CHECK(run->code == 1 && strstr(run->err, "folder"), "a folder as model: %s", run->err);
    run = app_run(NULL, "train -d %s/set -e 1 -m %s/new/log.csv/m.st", folder, folder);
    CHECK(run->code == 1 && *run->err, "a folder below a file: %s", run->err);
}

/* ---- damaged models -------------------------------------------------------------------------- */

static bool fails_cleanly(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(at(name), "wb");
    if (!file) return false;
    fwrite(bytes, 1, size, file);
    fclose(file);
    const struct app_run *run =
        app_run(NULL, "predict --threads 1 -m %s/%s %s/set/real/0000.jpg", folder, name, folder);
    return run->code == 1 && strstr(run->err, name) && run->out[0] == '\0';
}

static void test_damage(void)
{
    void *bytes = NULL;
    size_t size = 0;
    char options[400];
    snprintf(options, sizeof options, "-e 1 -m %s/d.st", folder);
    train(options);
    CHECK(!nn_file_read(context, at("d.best.st"), 1 << 26, &bytes, &size), "a model to damage");
    if (!bytes) return;
    size_t cuts = 0, bad = 0;
    for (size_t n = 0; n < size; n += n < 64 ? 1 : n < 8192 ? 509 : 30011, cuts++)
        bad += !fails_cleanly("cut.st", bytes, n);
    CHECK(bad == 0, "cut off at any of %zu lengths: an error, no answer (%zu were not)", cuts, bad);
    size_t flips = 0;
    unsigned char *b = bytes;
    bad = 0;
    for (size_t n = 0; n < size; n += n < 16 ? 1 : n < 8192 ? 173 : 9973, flips++) {
        b[n] ^= (unsigned char)(1u << flips % 8);
        bad += !fails_cleanly("flip.st", bytes, size);
        b[n] ^= (unsigned char)(1u << flips % 8);
    }
    CHECK(bad == 0, "any of %zu bytes changed: an error, no answer (%zu were not)", flips, bad);
    nn_free(context, bytes);
}

/* Whole files, rightly checksummed, that are not what `predict` can use. */
static void test_strangers(void)
{
    static const struct stranger {
        const char *key, *text, *says;
    } strangers[] = {
        {"architecture", "{\"version\": 1, \"nodes\": []}", "stranger.st"},
        {"architecture", "{\"version\": 99, \"nodes\": []}", "stranger.st"},
        {"labels", "[\"fake\"]", "1 labels"},
        {"labels", "[\"fake\",\"real\",\"third\"]", "3 labels"},
        {"labels", "[\"real\",\"real\"]", "the same"},
        {"labels", "{}", "labels"},
        {"labels", "[1,2]", "labels"},
        {"labels", "[", "stranger.st"},
        {"preprocessing", "{}", "preprocessing"},
        {"preprocessing",
         "{\"width\":8,\"height\":8,\"channels\":3,\"color\":\"bgr\",\"scale\":1,\"mean\":[0,0,0],"
         "\"interpolation\":\"cubic\",\"softmax\":true,\"crop_margin\":0}",
         "preprocessing"},
        {"preprocessing",
         "{\"width\":16,\"height\":8,\"channels\":3,\"color\":\"bgr\",\"scale\":1,\"mean\":[0,0,0],"
         "\"interpolation\":\"linear\",\"softmax\":true,\"crop_margin\":0}",
         "(None, 8, 16, 3)"},
    };
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        struct nn_archive *archive = NULL;
        bool made = !nn_archive_read(&archive, context, at("d.best.st")) &&
                    !nn_archive_put_text(archive, strangers[i].key, strangers[i].text) &&
                    !nn_archive_write(archive, at("stranger.st"));
        nn_archive_free(&archive);
        const struct app_run *run =
            app_run(NULL, "predict -m %s/stranger.st %s/set/real/0000.jpg", folder, folder);
        CHECK(made && run->code == 1 && strstr(run->err, strangers[i].says), "%s %.30s: %s",
              strangers[i].key, strangers[i].text, run->err);
    }
    struct nn_archive *archive = NULL;
    const float one = 1;
    const int64_t dim = 1;
    bool made = !nn_archive_new(&archive, context) &&
                !nn_archive_put(archive, "weight", NN_F32, 1, &dim, &one) &&
                !nn_archive_write(archive, at("stranger.st"));
    nn_archive_free(&archive);
    const struct app_run *run =
        app_run(NULL, "predict -m %s/stranger.st %s/set/real/0000.jpg", folder, folder);
    CHECK(made && run->code == 1 && strstr(run->err, "architecture"), "tensors alone: %s",
          run->err);
}

int main(void)
{
    snprintf(folder, sizeof folder, "%s", app_run_folder());
    nn_open(&context, NULL);
    const struct app_run *run =
        app_run(NULL, "synth %s/set --count 20 --size 32 --seed 5 --quiet", folder);
    CHECK(run->code == 0, "a set to train on: %s", run->err);
    app_run(NULL, "synth %s/other --count 8 --size 32 --seed 6 --quiet", folder);
    test_threads();
    test_resume();
    test_conflicts();
    test_outputs();
    test_misfits();
    test_damage();
    test_strangers();
    nn_close(&context);
    app_run_remove(folder);
    return test_done();
}
