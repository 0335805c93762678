/* test_cli.c — options: every kind of value, every kind of mistake; help; the JSON of summary. */
#include "apps/cli.h"
#include "apps/commands.h"
#include "app_run.h"

/* ---- the parser, on a table of its own ------------------------------------------------------- */

struct settings {
    struct cli_common common;
    const char *text;
    int number, choice;
    double real;
    bool on, off;
};

static const struct cli_option OPTIONS[] = {
    {"-t --some_text", CLI_TEXT, offsetof(struct settings, text), "TEXT", NULL, 0, 0, 0, "a text"},
    {"-n --number", CLI_INT, offsetof(struct settings, number), "N", "7", 1, 100, 0, "a number"},
    {"-nx --choice", CLI_CHOICE, offsetof(struct settings, choice), "red|green|blue", "green", 0, 0,
     0, "a choice"},
    {"-r --real", CLI_REAL, offsetof(struct settings, real), "R", "0.5", 0, 1,
     CLI_ABOVE_LOW | CLI_BELOW_HIGH, "a share"},
    {"--on", CLI_FLAG, offsetof(struct settings, on), NULL, "yes", 0, 0, CLI_NEGATABLE, "a flag"},
    {"--off", CLI_FLAG, offsetof(struct settings, off), NULL, NULL, 0, 0, 0, "a flag"},
};
static const struct cli_command COMMAND = {
    .name = "test",
    .summary = "A test.",
    .arguments = "FILE...",
    .arguments_max = 3,
    .example = "  test",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct settings),
};

static struct settings settings;
static struct cli_parsed parsed;
static char message[512];
static char words[4096], *argv[APP_RUN_WORDS + 1];

static bool parse(const char *line)
{
    snprintf(words, sizeof words, " %s", line);
    int argc = app_run_words(argv, words);
    message[0] = '\0';
    return cli_parse(&parsed, &settings, &COMMAND, argc - 1, argv + 1, message);
}

static void test_defaults(void)
{
    CHECK(parse(""), "no options at all: %s", message);
    CHECK(settings.number == 7 && settings.choice == 1 && settings.real == 0.5, "defaults");
    CHECK(settings.on && !settings.off && !settings.text, "defaults of flags and texts");
    CHECK(settings.common.seed == 1 && settings.common.threads == 0 && settings.common.cpu == -1,
          "common defaults");
    CHECK(parsed.given == 0 && parsed.argument_count == 0, "nothing was given");
}

static void test_forms(void)
{
    static const struct form {
        const char *line;
        int number;
    } forms[] = {
        {"-n 9", 9},         {"-n=9", 9},
        {"--number 9", 9},   {"--number=9", 9},
        {"--number +9", 9},  {"-n 1 --number 9", 9},
        {"-n 009", 9},       {"a -n 9 b", 9},
        {"-n 100", 100},     {"--off -n 9 --on", 9},
        {"-nx red -n 9", 9}, {"-n 9 -- -n 10", 9},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        CHECK(parse(forms[i].line) && settings.number == forms[i].number, "%s: %s", forms[i].line,
              message);
    CHECK(parse("--some-text a --some_text=b=c") && strcmp(settings.text, "b=c") == 0,
          "'-' and '_' are equal, the last one counts, values may hold '='");
    CHECK(parse("-t -5") && strcmp(settings.text, "-5") == 0, "a value may begin with '-'");
    CHECK(parse("--no-on") && !settings.on, "--no-on switches off");
    CHECK(parse("--no_on --on") && settings.on, "and --on on again");
    CHECK(parse("a -n 3 b -- -x") && parsed.argument_count == 3 &&
              strcmp(parsed.arguments[2], "-x") == 0 && strcmp(parsed.arguments[0], "a") == 0,
          "arguments between options, and '-x' behind '--'");
    CHECK(parse("-") && parsed.argument_count == 1, "'-' alone is an argument");
    CHECK(parse("--seed 18446744073709551615") && settings.common.seed == UINT64_MAX,
          "the largest seed");
    CHECK(parse("--real 9.99e-1 --nu 3") == false, "abbreviations are not guessed");
    CHECK(parse("-n 3") && cli_given(&parsed, &COMMAND, "--number") &&
              !cli_given(&parsed, &COMMAND, "--real"),
          "what was given is known");
    CHECK(parse("--nonsense --help") == false && parse("--help --nonsense") && parsed.help,
          "--help ends the reading");
}

static void test_mistakes(void)
{
    static const struct mistake {
        const char *line, *says;
    } mistakes[] = {
        {"-n 0", "--number: expected a whole number from 1 to 100, got '0'"},
        {"-n 101", "got '101'"},
        {"-n -1", "got '-1'"},
        {"-n 1.5", "got '1.5'"},
        {"-n 5x", "got '5x'"},
        {"-n 0x10", "got '0x10'"},
        {"-n '7 '", "got '7 '"},
        {"-n ' 7'", "got ' 7'"},
        {"-n ''", "got ''"},
        {"-n nan", "got 'nan'"},
        {"-n 99999999999999999999", "--number"},
        {"-n 4294967303", "--number"},
        {"-n", "--number: expected N after it, got nothing"},
        {"-n --real 0.5", "--number: expected N after it, got '--real'"},
        {"-r 0", "--real: expected a number above 0 and below 1, got '0'"},
        {"-r 1", "got '1'"},
        {"-r nan", "got 'nan'"},
        {"-r inf", "got 'inf'"},
        {"-r -inf", "got '-inf'"},
        {"-r 1e-4x", "got '1e-4x'"},
        {"-r 1e999", "got '1e999'"},
        {"-r 1e-999", "got '1e-999'"},
        {"-r 0x1p-1", "got '0x1p-1'"},
        {"-r 0,5", "got '0,5'"},
        {"-r .", "got '.'"},
        {"-r -0.5", "got '-0.5'"},
        {"-nx yellow", "--choice: expected one of red|green|blue, got 'yellow'"},
        {"-nx gren", "did you mean green?"},
        {"-nx RED", "--choice"},
        {"--on=1", "--on: takes no value"},
        {"--no-off", "unknown option '--no-off'"},
        {"--no-on=1", "--on: takes no value"},
        {"--nubmer 3", "did you mean --number?"},
        {"--rael=3", "did you mean --real?"},
        {"--no-no", "did you mean --no-on?"},
        {"--sed 4", "did you mean --seed?"},
        {"-q", "unknown option '-q'"},
        {"---", "unknown option"},
        {"--seed -1", "--seed: expected a whole number from 0"},
        {"--seed 18446744073709551616", "--seed"},
        {"--seed 1.5", "--seed"},
        {"--threads 0", "--threads: expected a whole number from 1 to 1024"},
        {"--threads 1025", "--threads"},
        {"--cpu mmx", "--cpu: expected one of"},
        {"-t ''", "--some_text: expected TEXT, got an empty word"},
        {"a b c d", "expected FILE..., got also 'd'"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        CHECK(!parse(mistakes[i].line) && strstr(message, mistakes[i].says), "%s -> %s",
              mistakes[i].line, message);
}

static void test_values_come_back(void)
{
    static const double reals[] = {0.1, 1.0 / 3, 1e-4, 2e-6, 0.99999999999999989, 5e-324};
    char text[64];
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        settings.real = reals[i];
        cli_get(text, &settings, &OPTIONS[3]);
        settings.real = 0;
        CHECK(cli_set(&settings, &OPTIONS[3], text, message) && settings.real == reals[i],
              "%s comes back to the bit", text);
    }
    CHECK(cli_set(&settings, &OPTIONS[2], "blue", message), "a choice");
    cli_get(text, &settings, &OPTIONS[2]);
    CHECK(strcmp(text, "blue") == 0, "comes back as '%s'", text);
    CHECK(!cli_set(&settings, &OPTIONS[4], "maybe", message), "a flag in a file is yes or no");
}

/* ---- the program ----------------------------------------------------------------------------- */

static const char *const COMMANDS[] = {"gather",  "train",   "eval",  "predict", "detect",
                                       "convert", "summary", "bench", "synth"};

/* The last line of the help is an example one can type. */
static bool ends_in_example(const char *text)
{
    const char *example = strstr(text, "\nexample:\n"), *last = NULL;
    for (const char *at = example; at; at = strstr(at + 1, "\n  liveness ")) last = at;
    return example && last && last != example && strchr(last + 1, '\n')[1] == '\0';
}

static void test_help(void)
{
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        const struct app_run *run = app_run(NULL, "%s --help", COMMANDS[i]);
        CHECK(run->code == 0 && ends_in_example(run->out) && run->err[0] == '\0',
              "%s --help: on standard output, ends in an example", COMMANDS[i]);
        bool narrow = true;
        for (const char *at = run->out; *at; at += strcspn(at, "\n"), at += *at == '\n')
            narrow = narrow && strcspn(at, "\n") <= 100;
        CHECK(narrow, "%s --help: at most 100 columns", COMMANDS[i]);
        run = app_run(NULL, "help %s", COMMANDS[i]);
        CHECK(run->code == 0 && ends_in_example(run->out), "help %s", COMMANDS[i]);
        run = app_run(NULL, "");
        CHECK(run->code == 0 && strstr(run->out, COMMANDS[i]), "the list has %s", COMMANDS[i]);
    }
    CHECK(app_run(NULL, "--version")->code == 0, "--version");
    CHECK(strcmp(app_run(NULL, "--version")->out, "liveness " NN_VERSION "\n") == 0, "its text");
}

static void test_usage(void)
{
    static const struct usage {
        const char *line, *says;
    } usages[] = {
        {"trian", "did you mean train?"},
        {"--verison", "did you mean --version?"},
        {"help nothing", "unknown command"},
        {"train", "--train_dataset is missing"},
        {"train -d x --lr 0", "--lr"},
        {"train -d x --lr nan", "--lr"},
        {"train -d x -r 1e-4x", "--lr"},
        {"train -d x --lr -1", "--lr"},
        {"train -d x -b 0", "--bs"},
        {"train -d x -e 0", "--epochs"},
        {"train -d x -e 1e3", "--epochs"},
        {"train -d x -w 0", "--input_img_width"},
        {"train -d x -he 99999", "--input_img_height"},
        {"train -d x --val-fraction 1", "--val-fraction"},
        {"train -d x --val_fraction 0", "--val-fraction"},
        {"train -d x --split middle", "random|tail"},
        {"train -d x --optimiser sgd", "did you mean --optimizer?"},
        {"train -d x --no-agument", "did you mean --no-augment?"},
        {"train -d x -dv y --split tail", "--val_dataset"},
        {"train -d x -p plot.pdf", "--plot"},
        {"train -d x -m a -ev a", "two files"},
        {"train -d x extra", "options only"},
        {"eval -d x", "--model is missing"},
        {"eval -m x", "--dataset is missing"},
        {"eval -m x -d y --threshold 1.5", "--threshold"},
        {"predict -m x", "IMAGE"},
        {"predict x", "--model is missing"},
        {"predict -m x --sheet a.gif y", "--sheet"},
        {"summary a b", "got also 'b'"},
        {"summary -w 16 model", "-w"},
        {"synth", "OUT"},
        {"synth x --count 1", "--count"},
        {"synth x --size 5000", "--size"},
    };
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        const struct app_run *run = app_run(NULL, "%s", usages[i].line);
        CHECK(run->code == 2 && strstr(run->err, usages[i].says) && run->out[0] == '\0',
              "'%s' is wrong usage: %.*s", usages[i].line, (int)strcspn(run->err, "\n"), run->err);
    }
}

static void test_summary(void)
{
    const struct app_run *run = app_run(NULL, "summary");
    CHECK(run->code == 0 && strstr(run->out, "Total params: 148,562\n") &&
              strstr(run->out, "Trainable params: 148,242\n") &&
              strstr(run->out, "Non-trainable params: 320\n"),
          "LivenessNet has the parameters Keras counts");
    CHECK(strstr(run->out, "conv2d (Conv2D)             (None, 32, 32, 16)        448"),
          "a layer's line");
    run = app_run(NULL, "summary --classes 7 -w 48 -he 40");
    CHECK(run->code == 0 && strstr(run->out, "(None, 40, 48, 16)") && strstr(run->out, "(None, 7)"),
          "other sizes");
    CHECK(strstr(app_run(NULL, "summary --plan")->out, "forward"), "the plan");
    run = app_run(NULL, "summary --json");
    struct nn_context *context;
    struct nn_json *json = NULL;
    nn_open(&context, NULL);
    CHECK(nn_json_parse(&json, context, run->out, strlen(run->out), "summary") == NN_OK &&
              nn_json_number(nn_json_get(json, "total_params"), 0) == 148562 &&
              nn_json_count(nn_json_get(json, "layers")) == 23,
          "summary --json is JSON");
    nn_json_free(&json);
    nn_close(&context);
}

static void test_paths(void)
{
    static const char *const paths[][2] = {
        {"m.safetensors", "m.best.safetensors"},
        {"a.b/m", "a.b/m.best"},
        {"a/.hidden", "a/.hidden.best"},
        {"x.tar.gz", "x.tar.best.gz"},
        {"./m.s", "./m.best.s"},
    };
    struct nn_context *context;
    nn_open(&context, NULL);
    size_t before = nn_bytes_allocated(context);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char *best = app_best_path(context, paths[i][0]);
        CHECK(best && strcmp(best, paths[i][1]) == 0, "%s -> %s", paths[i][0], best);
        nn_free(context, best);
    }
    struct app app = {.context = context};
    struct app_files files = {0};
    char folder[300], path[400], to[400];
    snprintf(folder, sizeof folder, "%s", app_run_folder());
    static const char *const names[] = {"a/10.png", "a/2.png", "a/b/1.JPG", "a/text.txt", "0.jpeg"};
    snprintf(path, sizeof path, "%s/a/b", folder);
    CHECK(app_make_folder(&app, path) == NN_OK && app_make_folder(&app, path) == NN_OK,
          "folders in folders, also when they exist");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        FILE *file = fopen(path, "wb");
        if (file) fclose(file);
    }
    snprintf(path, sizeof path, "%s/a/b/up", folder);
    CHECK(symlink("../..", path) == 0, "a link that leads back up");
    CHECK(app_find_files(&files, &app, folder) == NN_OK && files.count == 4,
          "pictures below a folder, once each: %zu", files.count);
    static const char *const order[] = {"0.jpeg", "a/2.png", "a/10.png", "a/b/1.JPG"};
    for (size_t i = 0; i < files.count && i < 4; i++) {
        snprintf(to, sizeof to, "%s/%s", folder, order[i]);
        CHECK(strcmp(files.paths[i], to) == 0, "%zu: %s", i, files.paths[i] + strlen(folder));
    }
    app_free_files(&files, &app);
    app_run_remove(folder);
    CHECK(nn_bytes_allocated(context) == before, "nothing is left behind");
    nn_close(&context);
}

int main(void)
{
    test_defaults();
    test_forms();
    test_mistakes();
    test_values_come_back();
    test_help();
    test_usage();
    test_summary();
    test_paths();
    return test_done();
}
