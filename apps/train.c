/* train.c — `liveness train`: options, and what is done in which order. */
#include "apps/train.h"
#include "apps/commands.h"

#include <string.h>
#include <sys/stat.h>

#define AT(field) offsetof(struct train_settings, field)
enum { RUN = CLI_DEFINES_RUN, MAY = CLI_DEFINES_RUN | CLI_MAY_CHANGE, ABOVE = CLI_ABOVE_LOW };

static const struct cli_option OPTIONS[] = {
    {"-d --train_dataset", CLI_TEXT, AT(data), "DIR", NULL, 0, 0, CLI_REQUIRED,
     "folder (or .zip of one) with a folder of pictures per class"},
    {"-dv --val_dataset", CLI_TEXT, AT(val_data), "DIR", NULL, 0, 0, 0,
     "validate on this one instead of a held-out part"},
    {"-m --model", CLI_TEXT, AT(model), "FILE", NULL, 0, 0, 0,
     "where the network goes, as .safetensors; if it exists, training resumes from it"},
    {"-p --plot", CLI_TEXT, AT(plot), "FILE", NULL, 0, 0, 0,
     "plot of loss and accuracy, .png or .jpg"},
    {"-ev --evaluation_result", CLI_TEXT, AT(evaluation), "FILE", NULL, 0, 0, 0,
     "write the classification report here too"},
    {"--log", CLI_TEXT, AT(log), "FILE.csv", NULL, 0, 0, 0, "figures of every epoch"},
    {"-e --epochs", CLI_INT, AT(epochs), "N", "50", 1, 1000000, 0, "passes over the data"},
    {"-b --bs", CLI_INT, AT(batch), "N", "8", 1, 65536, RUN, "pictures per step"},
    {"-r --lr", CLI_REAL, AT(rate), "RATE", "1e-4", 0, 10, MAY | ABOVE, "learning rate"},
    {"-w --input_img_width", CLI_INT, AT(width), "PIXELS", "32", 4, 4096, RUN,
     "pictures are resized to this width"},
    {"-he --input_img_height", CLI_INT, AT(height), "PIXELS", "32", 4, 4096, RUN, "... and height"},
    {"--color", CLI_CHOICE, AT(color), "bgr|rgb", "bgr", 0, 0, RUN, "order of the colours"},
    {"--val-fraction", CLI_REAL, AT(fraction), "SHARE", "0.25", 0, 1, RUN | ABOVE | CLI_BELOW_HIGH,
     "share of each class that is held out for validation"},
    {"--split", CLI_CHOICE, AT(split), "random|tail", "random", 0, 0, RUN,
     "which part: random pictures, or the last ones (of videos: no near copies leak)"},
    {"--augment", CLI_FLAG, AT(augment), NULL, "yes", 0, 0, RUN | CLI_NEGATABLE,
     "turn, zoom, shift, shear and mirror the pictures at random"},
    {"--recalibrate", CLI_FLAG, AT(recalibrate), NULL, "yes", 0, 0, RUN | CLI_NEGATABLE,
     "after each epoch measure batch norm's statistics on the plain pictures, without dropout; "
     "else they are Keras' moving averages over augmented ones"},
    {"--optimizer", CLI_CHOICE, AT(optimizer), "adam|adamw|sgd", "adam", 0, 0, RUN,
     "how gradients become steps"},
    {"--momentum", CLI_REAL, AT(momentum), "M", "0.9", 0, 1, RUN | CLI_BELOW_HIGH, "for sgd"},
    {"--weight-decay", CLI_REAL, AT(weight_decay), "W", "0", 0, 1, RUN, "for adamw and sgd"},
    {"--clip-norm", CLI_REAL, AT(clip_norm), "NORM", "0", 0, 1e6, RUN,
     "cut the gradients' norm to this; 0: never"},
    {"--schedule", CLI_CHOICE, AT(schedule), "constant|decay|cosine|step", "decay", 0, 0, RUN,
     "how the rate falls: not; lr / (1 + decay * step); half a cosine over the run; by a factor"},
    {"--decay", CLI_REAL, AT(decay), "D", NULL, 0, 10, MAY,
     "for --schedule decay; without it lr / 50, however many epochs there are"},
    {"--step-every", CLI_INT, AT(step_every), "EPOCHS", "20", 1, 1000000, RUN,
     "for --schedule step"},
    {"--step-factor", CLI_REAL, AT(step_factor), "F", "0.1", 0, 1, RUN | ABOVE,
     "for --schedule step"},
    {"--class-weights", CLI_FLAG, AT(class_weights), NULL, "no", 0, 0, RUN | CLI_NEGATABLE,
     "let rare classes count more, so that all count the same in sum"},
    {"--label-smoothing", CLI_REAL, AT(label_smoothing), "S", "0", 0, 1, RUN | CLI_BELOW_HIGH,
     "share of the target that goes to all classes alike"},
    {"--patience", CLI_INT, AT(patience), "EPOCHS", "0", 0, 1000000, MAY,
     "stop when val_loss has not fallen for this long; 0: never"},
    {"--shuffle-labels", CLI_FLAG, AT(shuffle_labels), NULL, "no", 0, 0, RUN | CLI_NEGATABLE,
     "a control: give the pictures each other's labels; what is learnt then is not about faces"},
};

/* All that a run holds; freed in one place. */
struct session {
    struct app *app;
    struct train_settings *settings;
    struct model model;
    struct nn_archive *archive; /* the checkpoint, while it is read; NULL: a fresh start */
    struct run_state state;
    struct ds_pictures train_set, val_set;
    struct ds_split split;
    uint16_t *labels;   /* of train_set, shuffled where that was asked for */
    uint32_t *everyone; /* 0, 1, 2 ...: all of train_set or val_set, whichever is larger */
    struct trainer trainer;
    double written;   /* when the last checkpoint was */
    int best_written; /* the best epoch that the .best file holds */
};

/* ---- before anything is read ----------------------------------------------------------------- */

static int check_usage(const struct app *app, const struct train_settings *settings)
{
    const char *outputs[] = {settings->model, settings->plot, settings->evaluation, settings->log};
    const char *names[] = {"--model", "--plot", "--evaluation_result", "--log"};
    enum { OUTPUTS = sizeof outputs / sizeof *outputs };
    char quoted[NN_QUOTED];
    for (int i = 0; i < OUTPUTS; i++)
        for (int k = 0; k < i; k++)
            if (outputs[i] && outputs[k] && strcmp(outputs[i], outputs[k]) == 0)
                return app_usage(app, "%s and %s: expected two files, got %s twice", names[k],
                                 names[i], nn_quote(quoted, outputs[i]));
    if (settings->plot && !vi_can_write(settings->plot))
        return app_usage(app, "--plot: expected a name that ends in .png or .jpg, got %s",
                         nn_quote(quoted, settings->plot));
    if (settings->val_data && (cli_given(&app->parsed, app->command, "--val-fraction") ||
                               cli_given(&app->parsed, app->command, "--split")))
        return app_usage(app, "--val_dataset leaves nothing to split: expected no --val-fraction "
                              "and no --split beside it");
    return APP_OK;
}

static enum nn_status prepare_outputs(struct app *app, const struct train_settings *settings)
{
    enum nn_status status = NN_OK;
    if (settings->model) status = app_prepare_output(app, settings->model, "--model");
    if (!status && settings->plot) status = app_prepare_output(app, settings->plot, "--plot");
    if (!status && settings->evaluation)
        status = app_prepare_output(app, settings->evaluation, "--evaluation_result");
    if (!status && settings->log) status = app_prepare_output(app, settings->log, "--log");
    return status;
}

/* ---- resuming -------------------------------------------------------------------------------- */

/* How far this run goes. An interrupted run goes on to its own goal, or, where -e is given, to
 * -e epochs after its start; a finished one trains -e more. */
static enum nn_status set_goal(struct session *session)
{
    struct run_state *state = &session->state;
    const struct train_settings *settings = session->settings;
    bool given = cli_given(&session->app->parsed, session->app->command, "--epochs");
    char quoted[NN_QUOTED];
    if (state->epoch == state->goal) {
        state->start = state->epoch;
        state->goal = state->epoch + settings->epochs;
    } else if (given) {
        state->goal = state->start + settings->epochs;
    }
    if (state->goal <= state->epoch)
        return nn_fail(session->app->context, NN_ERROR_ARGUMENT,
                       "--epochs is now %d, but %s was interrupted after %d of %d epochs: expected "
                       "more than it has",
                       settings->epochs, nn_quote(quoted, settings->model),
                       state->epoch - state->start, state->goal - state->start);
    struct history_row *rows =
        nn_realloc(session->app->context, state->rows, (size_t)state->goal, sizeof *rows);
    if (!rows) return NN_ERROR_MEMORY;
    state->rows = rows;
    return NN_OK;
}

static enum nn_status read_checkpoint(struct session *session)
{
    struct train_settings *settings = session->settings;
    struct app *app = session->app;
    struct stat info;
    enum nn_status status = NN_OK;
    if (settings->model && stat(settings->model, &info) == 0) {
        status = model_load(&session->model, app, settings->model, &session->archive);
        if (!status) status = checkpoint_read(&session->state, settings, app, session->archive);
    }
    if (status) return status;
    /* Independent of the number of epochs: five epochs and five more are ten. */
    if (!session->archive && !cli_given(&app->parsed, app->command, "--decay"))
        settings->decay = settings->rate / 50;
    return set_goal(session);
}

static enum nn_status check_resumed(struct session *session)
{
    const struct model_contract *contract = &session->model.contract;
    const struct train_settings *settings = session->settings;
    const struct run_state *state = &session->state;
    const struct trainer *trainer = &session->trainer;
    struct nn_context *context = session->app->context;
    char quoted[NN_QUOTED];
    nn_quote(quoted, settings->model);
    if (contract->width != settings->width || contract->height != settings->height ||
        contract->color != (settings->color ? VI_RGB : VI_BGR))
        return nn_fail(context, NN_ERROR_FORMAT,
                       "%s: its network and its training state speak of different pictures",
                       quoted);
    uint64_t steps = (uint64_t)state->epoch * (uint64_t)trainer->batches + (uint64_t)state->batch;
    uint64_t seen = (uint64_t)state->batch * (uint64_t)settings->batch;
    if (seen > trainer->train_count) seen = trainer->train_count;
    if (state->batch > trainer->batches || state->step != steps || (uint64_t)state->seen != seen ||
        (state->epoch > 0) != (state->best_epoch > 0))
        return nn_fail(context, NN_ERROR_FORMAT,
                       "%s: its training state contradicts itself: %d epochs and %d batches of %d, "
                       "but %llu steps",
                       quoted, state->epoch, state->batch, trainer->batches,
                       (unsigned long long)state->step);
    return NN_OK;
}

/* ---- data ------------------------------------------------------------------------------------ */

static enum nn_status load(struct session *session, struct ds_pictures *pictures, const char *path,
                           const char *label)
{
    const struct train_settings *settings = session->settings;
    struct app_progress progress;
    char quoted[NN_QUOTED];
    app_progress_start(&progress, session->app, label);
    enum nn_status status = ds_load(pictures, session->app->context, path,
                                    &(struct ds_options){.width = settings->width,
                                                         .height = settings->height,
                                                         .color = settings->color ? VI_RGB : VI_BGR,
                                                         .progress = app_progress_draw,
                                                         .user = &progress,
                                                         .stop = app_stop_flag()},
                                    2);
    app_progress_clear(&progress);
    if (status) return status;
    model_report_bad(session->app, pictures);
    app_say(session->app, "%s: %zu pictures of %d classes, read in %.1f s", nn_quote(quoted, path),
            pictures->count, pictures->classes, app_seconds() - progress.start);
    return NN_OK;
}

/* The data must be those of the checkpoint; a fresh run notes which they are. */
static enum nn_status check_data(struct session *session, char noted[17],
                                 const struct ds_pictures *pictures, const char *path)
{
    char hash[17] = "", quoted[NN_QUOTED], model[NN_QUOTED];
    enum nn_status status = NN_OK;
    if (pictures) status = checkpoint_hash(hash, session->app, pictures);
    if (!status && session->archive && strcmp(hash, noted) != 0)
        return nn_fail(session->app->context, NN_ERROR_ARGUMENT,
                       "%s is not what %s was trained with (hash %s, expected %s): to go on, give "
                       "the same data; to begin anew, name another file with -m",
                       path ? nn_quote(quoted, path) : "--val_dataset",
                       nn_quote(model, session->settings->model), *hash ? hash : "none",
                       *noted ? noted : "none");
    memcpy(noted, hash, sizeof hash);
    return status;
}

/* A control experiment: labels that have nothing to do with their pictures. */
static enum nn_status copy_labels(struct session *session)
{
    struct nn_context *context = session->app->context;
    const struct ds_pictures *pictures = &session->train_set;
    size_t most =
        pictures->count > session->val_set.count ? pictures->count : session->val_set.count;
    session->labels = nn_alloc(context, pictures->count, sizeof *session->labels);
    session->everyone = nn_alloc(context, most, sizeof *session->everyone);
    if (!session->labels || !session->everyone) return NN_ERROR_MEMORY;
    for (size_t i = 0; i < most; i++) session->everyone[i] = (uint32_t)i;
    if (session->settings->shuffle_labels) {
        struct nn_rng rng = nn_rng_make(session->settings->common.seed, (uint64_t)0x4C << 56);
        nn_rng_shuffle(&rng, session->everyone, pictures->count);
    }
    for (size_t i = 0; i < pictures->count; i++)
        session->labels[i] = pictures->labels[session->everyone[i]];
    for (size_t i = 0; i < most; i++) session->everyone[i] = (uint32_t)i;
    return NN_OK;
}

static enum nn_status load_data(struct session *session)
{
    const struct train_settings *settings = session->settings;
    struct trainer *trainer = &session->trainer;
    const struct ds_pictures *val = settings->val_data ? &session->val_set : NULL;
    struct app *app = session->app;
    enum nn_status status = load(session, &session->train_set, settings->data, "reading");
    if (!status && val) status = load(session, &session->val_set, settings->val_data, "reading");
    if (!status && val)
        status =
            model_match_labels(NULL, app, session->train_set.class_names,
                               session->train_set.classes, settings->data, val, settings->val_data);
    if (!status && session->archive)
        status = model_match_labels(NULL, app, session->model.labels, session->model.classes,
                                    settings->model, &session->train_set, settings->data);
    if (!status)
        status = check_data(session, session->state.data_hash, &session->train_set, settings->data);
    if (!status) status = check_data(session, session->state.val_hash, val, settings->val_data);
    if (!status) status = copy_labels(session);
    if (!status && !val)
        status =
            ds_split_make(&session->split, &session->train_set, (enum ds_split_kind)settings->split,
                          settings->fraction, settings->common.seed);
    trainer->train_set = &session->train_set;
    trainer->val_set = val ? val : &session->train_set;
    trainer->train_index = val ? session->everyone : session->split.train;
    trainer->val_index = val ? session->everyone : session->split.val;
    trainer->train_count = val ? session->train_set.count : session->split.train_count;
    trainer->val_count = val ? val->count : session->split.val_count;
    trainer->labels = session->labels;
    trainer->val_labels = val ? val->labels : session->labels;
    return status;
}

static enum nn_status check_sizes(struct session *session)
{
    const struct trainer *trainer = &session->trainer;
    struct nn_context *context = session->app->context;
    if (trainer->train_count == 0 || trainer->val_count == 0)
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "%zu pictures to train with and %zu to validate with: expected some of each "
                       "(--val-fraction is %g of %zu)",
                       trainer->train_count, trainer->val_count, session->settings->fraction,
                       session->train_set.count);
    if ((size_t)session->settings->batch > trainer->train_count)
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "--bs: expected at most the %zu pictures there are to train with, got %d",
                       trainer->train_count, session->settings->batch);
    return NN_OK;
}

/* ---- the network ----------------------------------------------------------------------------- */

static enum nn_status open_trainer(struct session *session)
{
    const struct train_settings *settings = session->settings;
    struct trainer *trainer = &session->trainer;
    enum nn_status status = NN_OK;
    if (!session->archive) {
        struct model_contract contract = {.width = settings->width,
                                          .height = settings->height,
                                          .channels = 3,
                                          .color = settings->color ? VI_RGB : VI_BGR,
                                          .scale = 1.0 / 255};
        status = model_new(&session->model, session->app, &contract, session->train_set.class_names,
                           session->train_set.classes);
    }
    trainer->app = session->app;
    trainer->context = session->app->context;
    trainer->settings = settings;
    trainer->model = &session->model;
    trainer->state = &session->state;
    trainer->live = app_is_terminal() && !settings->common.quiet;
    if (!status) status = trainer_open(trainer);
    if (!status && !session->archive)
        return nn_initialize(session->model.graph, settings->common.seed);
    if (!status) status = check_resumed(session);
    if (!status)
        status = checkpoint_read_optimizer(trainer->optimizer, &session->model, session->archive,
                                           settings->model);
    if (status) return status;
    nn_optimizer_set_steps(trainer->optimizer, session->state.step);
    session->best_written = session->state.best_epoch;
    nn_archive_free(&session->archive);
    return NN_OK;
}

/* ---- saving ---------------------------------------------------------------------------------- */

static enum nn_status write_best(struct session *session)
{
    struct nn_context *context = session->app->context;
    struct nn_archive *archive = NULL;
    char *path = app_best_path(context, session->settings->model);
    enum nn_status status = path ? nn_archive_new(&archive, context) : NN_ERROR_MEMORY;
    if (!status) status = model_put(&session->model, archive);
    if (!status) status = trainer_put_best(&session->trainer, archive);
    if (!status) status = nn_archive_write(archive, path);
    if (!status) session->best_written = session->state.best_epoch;
    nn_archive_free(&archive);
    nn_free(context, path);
    return status;
}

/* The best weights first: a crash between the two leaves a checkpoint that finds them again. */
static enum nn_status save(struct session *session)
{
    const struct train_settings *settings = session->settings;
    enum nn_status status = NN_OK;
    if (settings->model && session->best_written != session->state.best_epoch)
        status = write_best(session);
    if (!status && settings->model)
        status = checkpoint_write(session->app, &session->model, session->trainer.optimizer,
                                  &session->state, settings);
    if (!status && settings->log) status = report_csv(&session->trainer, settings->log);
    session->written = app_seconds();
    return status;
}

static enum nn_status interrupted(struct session *session)
{
    const struct run_state *state = &session->state;
    const struct train_settings *settings = session->settings;
    char quoted[NN_QUOTED];
    enum nn_status status = save(session);
    if (status) return status;
    if (session->trainer.live) fputc('\n', stderr);
    if (!settings->model)
        return nn_fail(session->app->context, NN_ERROR_INTERRUPTED,
                       "interrupted in epoch %d of %d; nothing is kept, as there was no -m",
                       state->epoch + 1, state->goal);
    return nn_fail(session->app->context, NN_ERROR_INTERRUPTED,
                   "interrupted in epoch %d of %d, after batch %d of %d; saved. The same command "
                   "resumes it: -d ... -m %s",
                   state->epoch + 1, state->goal, state->batch, session->trainer.batches,
                   nn_quote(quoted, settings->model));
}

/* Checkpoints cost an fsync, an epoch may take a tenth of a second: at most one in SAVE_SECONDS,
 * and always when the run ends, whichever way it does. */
static const double SAVE_SECONDS = 5;

static enum nn_status train(struct session *session)
{
    struct run_state *state = &session->state;
    const struct train_settings *settings = session->settings;
    session->written = app_seconds();
    while (state->epoch < state->goal) {
        double start = app_seconds();
        enum nn_status status = trainer_epoch(&session->trainer, report_batch);
        if (status == NN_ERROR_INTERRUPTED) return interrupted(session);
        if (status) return status;
        report_epoch(&session->trainer, app_seconds() - start);
        /* A run that resumes a finished one is given time of its own. */
        int since = state->best_epoch > state->start ? state->best_epoch : state->start;
        if (settings->patience && state->epoch - since >= settings->patience) {
            app_say(session->app, "val_loss has not fallen for %d epochs: stopped",
                    settings->patience);
            state->goal = state->epoch;
        }
        if (state->epoch < state->goal && app_seconds() - session->written > SAVE_SECONDS)
            status = save(session);
        if (status) return status;
    }
    return save(session);
}

/* ---- run ------------------------------------------------------------------------------------- */

static void describe_start(const struct session *session)
{
    const struct trainer *trainer = &session->trainer;
    const struct run_state *state = &session->state;
    char quoted[NN_QUOTED];
    app_say(session->app, "%zu to train with, %zu to validate; %d threads, %s",
            trainer->train_count, trainer->val_count, nn_threads(trainer->context),
            nn_cpu(trainer->context));
    if (state->step)
        app_say(session->app, "resuming %s at epoch %d of %d, batch %d of %d",
                nn_quote(quoted, session->settings->model), state->epoch + 1, state->goal,
                state->batch + 1, trainer->batches);
    if (session->settings->shuffle_labels)
        app_say(session->app, "control: labels are shuffled, there is nothing to be learnt");
}

static enum nn_status finish(struct session *session, double seconds)
{
    const struct train_settings *settings = session->settings;
    const struct run_state *state = &session->state;
    char quoted[NN_QUOTED];
    enum nn_status status = NN_OK;
    if (settings->plot) status = report_plot(&session->trainer, settings->plot);
    if (!status) status = report_classes(&session->trainer);
    if (status) return status;
    app_say(session->app, "best epoch %d: val_loss %.4f, val_acc %.4f", state->best_epoch,
            state->best_loss, state->rows[state->best_epoch - 1].val_accuracy);
    if (settings->model)
        app_say(session->app, "saved %s", nn_quote(quoted, settings->model));
    else
        app_say(session->app, "the network is not kept: there was no -m");
    return settings->common.json ? report_json(&session->trainer, seconds) : NN_OK;
}

static void close_session(struct session *session)
{
    struct nn_context *context = session->app->context;
    trainer_close(&session->trainer);
    nn_free(context, session->labels);
    nn_free(context, session->everyone);
    nn_free(context, session->state.rows);
    ds_split_free(context, &session->split);
    ds_free(&session->val_set);
    ds_free(&session->train_set);
    model_free(&session->model);
    nn_archive_free(&session->archive);
}

static int run(struct app *app, int argc, char **argv)
{
    struct train_settings settings;
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    int usage = check_usage(app, &settings);
    if (usage) return usage;
    if (!app_open(app, 0)) return app->exit_code;
    app_catch_signals();
    struct session session = {.app = app, .settings = &settings};
    enum nn_status status = prepare_outputs(app, &settings);
    if (!status) status = read_checkpoint(&session);
    if (!status) status = load_data(&session);
    if (!status) status = check_sizes(&session);
    if (!status) status = open_trainer(&session);
    if (!status) describe_start(&session);
    double start = app_seconds();
    if (!status) status = train(&session);
    if (!status) status = finish(&session, app_seconds() - start);
    close_session(&session);
    return app_finish(app, status);
}

const struct cli_command app_train = {
    .name = "train",
    .summary = "Trains LivenessNet on folders of pictures, one folder per class.",
    .arguments = "",
    .notes =
        "The model file holds the last weights and all that is needed to go on; FILE.best beside "
        "it\n"
        "(m.best.safetensors) the weights with the lowest val_loss. Checkpoints are written at "
        "the\n"
        "end of an epoch, at most every 5 seconds, and when the run ends or is interrupted: "
        "Ctrl-C\n"
        "and SIGTERM finish the batch first. The same command then resumes, to the same bits as "
        "if\n"
        "it had never stopped; after the last epoch it trains -e epochs more.\n"
        "The learning rate falls by a decay of lr/50 whatever -e is, so that 5 epochs and 5 more\n"
        "equal 10; --schedule cosine spans the whole run and cannot have that property.",
    .example =
        "  liveness train -d faces -m out/faces.safetensors -p out/plot.png -e 20 --split tail",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct train_settings),
    .run = run,
};
