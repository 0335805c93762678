/*
 * checkpoint.c — training state in a model file, so that a run can go on as if never stopped.
 *
 * Beside what model_put writes there are the optimiser's slots, "optimizer/m/<parameter>" and
 * "optimizer/v/<parameter>", and the metadata key "training":
 *
 *   {"version":1, "options":{"lr":"0.0001",...}, "start":0, "goal":50, "epoch":3, "batch":12,
 *    "step":102, "optimizer_steps":102, "loss_sum":"0x1.8p+3", "correct":80, "seen":96,
 *    "best_epoch":2, "best_loss":"0x1p-3", "data":"<hash>", "val_data":"",
 *    "history":[["0x...", ... HISTORY_FIGURES], ...]}
 *
 * Doubles are texts in C's hexadecimal form: they come back to the bit.
 */
#include "apps/train.h"
#include "apps/commands.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, MEMBERS = 16, MOST_EPOCHS = 10000000 };

/* ---- a hash of the data ---------------------------------------------------------------------- */

enum { HASH_PARTS = 256 };

struct hashing {
    const struct ds_pictures *pictures;
    uint64_t parts[HASH_PARTS];
};

/* xor, multiply, shift: the steps of MurmurHash3's finaliser (Appleby 2011, public domain), which
 * spread every bit of a word over the whole of it. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash ^= word;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33;
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

static uint64_t hash_picture(const uint8_t *pixels, size_t size, uint64_t hash)
{
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word = 0;
        for (int k = 0; k < 8; k++) word |= (uint64_t)pixels[i + (size_t)k] << 8 * k;
        hash = mix(hash, word);
    }
    for (; i < size; i++) hash = mix(hash, pixels[i]);
    return hash;
}

/* A fixed number of parts, so that the hash does not depend on the threads. */
static void hash_part(void *argument, int part, int thread)
{
    struct hashing *hashing = argument;
    const struct ds_pictures *pictures = hashing->pictures;
    size_t size = (size_t)pictures->width * (size_t)pictures->height * 3;
    uint64_t hash = 1;
    (void)thread;
    for (size_t i = (size_t)part; i < pictures->count; i += HASH_PARTS)
        hash = hash_picture(pictures->pixels + i * size, size, mix(hash, pictures->labels[i]));
    hashing->parts[part] = hash;
}

enum nn_status checkpoint_hash(char hex[17], struct app *app, const struct ds_pictures *pictures)
{
    struct hashing *hashing = nn_alloc(app->context, 1, sizeof *hashing);
    if (!hashing) return NN_ERROR_MEMORY;
    hashing->pictures = pictures;
    nn_parallel(app->context, HASH_PARTS, hash_part, hashing);
    uint64_t hash = mix(pictures->count, (uint64_t)pictures->classes);
    for (int i = 0; i < HASH_PARTS; i++) hash = mix(hash, hashing->parts[i]);
    for (int i = 0; i < pictures->classes; i++)
        hash = hash_picture((const uint8_t *)pictures->class_names[i],
                            strlen(pictures->class_names[i]), mix(hash, 0));
    snprintf(hex, 17, "%016llx", (unsigned long long)hash);
    nn_free(app->context, hashing);
    return NN_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_options(struct nn_text *text, const struct train_settings *settings)
{
    const struct cli_option *option;
    char name[40], value[64];
    const char *comma = "";
    nn_text_printf(text, "\"options\":{");
    for (int i = 0; (option = cli_option_at(&app_train, i)) != NULL; i++) {
        if (!(option->flags & CLI_DEFINES_RUN)) continue;
        cli_get(value, settings, option);
        nn_text_printf(text, "%s\"%s\":\"%s\"", comma, cli_option_name(name, option) + 2, value);
        comma = ",";
    }
    nn_text_printf(text, "},");
}

static void write_state(struct nn_text *text, const struct run_state *state,
                        const struct train_settings *settings, uint64_t optimizer_steps)
{
    nn_text_printf(text, "{\"version\":%d,", VERSION);
    write_options(text, settings);
    nn_text_printf(text, "\"start\":%d,\"goal\":%d,\"epoch\":%d,\"batch\":%d,", state->start,
                   state->goal, state->epoch, state->batch);
    nn_text_printf(text, "\"step\":%llu,\"optimizer_steps\":%llu,", (unsigned long long)state->step,
                   (unsigned long long)optimizer_steps);
    nn_text_printf(text, "\"loss_sum\":\"%a\",\"correct\":%lld,\"seen\":%lld,", state->loss_sum,
                   (long long)state->correct, (long long)state->seen);
    nn_text_printf(text, "\"best_epoch\":%d,\"best_loss\":\"%a\",", state->best_epoch,
                   state->best_loss);
    nn_text_printf(text, "\"data\":\"%s\",\"val_data\":\"%s\",\"history\":[", state->data_hash,
                   state->val_hash);
    for (int i = 0; i < state->epoch; i++) {
        const struct history_row *row = &state->rows[i];
        nn_text_printf(text, "%s[\"%a\",\"%a\",\"%a\",\"%a\",\"%a\"]", i ? "," : "", row->loss,
                       row->accuracy, row->val_loss, row->val_accuracy, row->rate);
    }
    nn_text_printf(text, "]}");
}

static void slot_name(char name[288], int slot, const struct nn_node *parameter)
{
    snprintf(name, 288, "optimizer/%s/%s", slot ? "v" : "m", nn_node_name(parameter));
}

static enum nn_status put_slots(struct nn_archive *archive, struct nn_optimizer *optimizer,
                                const struct nn_graph *graph)
{
    char name[288];
    for (int i = 0; i < nn_node_count(graph); i++) {
        const struct nn_node *node = nn_node_at(graph, i);
        struct nn_shape shape = nn_node_shape(node);
        int64_t dims[NN_MAX_RANK];
        for (int k = 0; k < shape.rank; k++) dims[k] = shape.dim[k];
        if (strcmp(nn_node_op(node), "parameter") != 0) continue;
        for (int slot = 0; slot < 2; slot++) {
            const float *values = nn_optimizer_slot(optimizer, node, slot);
            if (!values) continue;
            slot_name(name, slot, node);
            enum nn_status status = nn_archive_put(archive, name, NN_F32, shape.rank, dims, values);
            if (status) return status;
        }
    }
    return NN_OK;
}

enum nn_status checkpoint_write(struct app *app, struct model *model,
                                struct nn_optimizer *optimizer, const struct run_state *state,
                                const struct train_settings *settings)
{
    struct nn_archive *archive = NULL;
    struct nn_text text = {.context = app->context};
    enum nn_status status = nn_archive_new(&archive, app->context);
    if (!status) status = model_put(model, archive);
    if (!status) status = put_slots(archive, optimizer, model->graph);
    write_state(&text, state, settings, nn_optimizer_steps(optimizer));
    if (!status) status = app_text_status(&text);
    if (!status) status = nn_archive_put_text(archive, "training", text.data);
    if (!status) status = nn_archive_write(archive, settings->model);
    nn_text_free(&text);
    nn_archive_free(&archive);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The first thing that is wrong makes `good` false; the caller says so once. */
struct reader {
    const struct nn_json *root;
    bool good;
};

static double read_count(struct reader *reader, const char *key, double most)
{
    double value = nn_json_number(nn_json_get(reader->root, key), NAN);
    if (value >= 0 && value <= most && value == floor(value)) return value;
    reader->good = false;
    return 0;
}

static double read_double(struct reader *reader, const struct nn_json *value)
{
    const char *text = nn_json_string(value, NULL);
    char *end = NULL;
    double number = text ? strtod(text, &end) : NAN;
    if (text && end != text && *end == '\0' && isfinite(number)) return number;
    reader->good = false;
    return 0;
}

static void read_hash(struct reader *reader, char hex[17], const char *key, bool optional)
{
    const char *text = nn_json_string(nn_json_get(reader->root, key), NULL);
    size_t size = text ? strspn(text, "0123456789abcdef") : 0;
    if (text && text[size] == '\0' && (size == 16 || (optional && size == 0)))
        memcpy(hex, text, size + 1);
    else
        reader->good = false;
}

static enum nn_status read_history(struct run_state *state, struct reader *reader, struct app *app)
{
    const struct nn_json *history = nn_json_get(reader->root, "history");
    if (nn_json_kind(history) != NN_JSON_ARRAY || nn_json_count(history) != state->epoch)
        reader->good = false;
    if (!reader->good) return NN_OK;
    state->rows = nn_alloc(app->context, (size_t)state->epoch + 1, sizeof *state->rows);
    if (!state->rows) return NN_ERROR_MEMORY;
    for (int i = 0; i < state->epoch; i++) {
        const struct nn_json *row = nn_json_at(history, i);
        double figures[HISTORY_FIGURES];
        for (int k = 0; k < HISTORY_FIGURES; k++)
            figures[k] = read_double(reader, nn_json_at(row, k));
        if (nn_json_count(row) != HISTORY_FIGURES) reader->good = false;
        state->rows[i] =
            (struct history_row){figures[0], figures[1], figures[2], figures[3], figures[4]};
    }
    return NN_OK;
}

static enum nn_status read_state(struct run_state *state, struct reader *reader, struct app *app)
{
    const double most = 9007199254740992.0; /* 2^53: counts are exact up to here */
    if (nn_json_kind(reader->root) != NN_JSON_OBJECT || nn_json_count(reader->root) != MEMBERS ||
        read_count(reader, "version", MOST_EPOCHS) != VERSION)
        reader->good = false;
    state->start = (int)read_count(reader, "start", MOST_EPOCHS);
    state->goal = (int)read_count(reader, "goal", MOST_EPOCHS);
    state->epoch = (int)read_count(reader, "epoch", state->goal);
    state->batch = (int)read_count(reader, "batch", INT32_MAX);
    state->step = (uint64_t)read_count(reader, "step", most);
    state->loss_sum = read_double(reader, nn_json_get(reader->root, "loss_sum"));
    state->correct = (int64_t)read_count(reader, "correct", most);
    state->seen = (int64_t)read_count(reader, "seen", most);
    state->best_epoch = (int)read_count(reader, "best_epoch", state->epoch);
    state->best_loss = read_double(reader, nn_json_get(reader->root, "best_loss"));
    read_hash(reader, state->data_hash, "data", false);
    read_hash(reader, state->val_hash, "val_data", true);
    /* One step per batch: the optimiser counts what the run counts. */
    if (read_count(reader, "optimizer_steps", most) != (double)state->step) reader->good = false;
    if (state->start > state->epoch || state->correct > state->seen) reader->good = false;
    return read_history(state, reader, app);
}

/* One option that the checkpoint and this command line may both have. */
static enum nn_status merge_option(struct train_settings *settings, struct app *app,
                                   const struct cli_option *option, const char *stored, bool given)
{
    char name[40], now[64], then[64], message[512], quoted[NN_QUOTED];
    struct train_settings copy = *settings;
    cli_option_name(name, option);
    if (!cli_set(&copy, option, stored, message))
        return nn_fail(app->context, NN_ERROR_FORMAT, "%s: in its training state, %s",
                       nn_quote(quoted, settings->model), message);
    cli_get(now, settings, option);
    cli_get(then, &copy, option);
    if (given && strcmp(now, then) != 0) {
        if (option->flags & CLI_MAY_CHANGE) return NN_OK;
        return nn_fail(app->context, NN_ERROR_ARGUMENT,
                       "%s is now %s, but %s was trained with %s: leave the option out to go on "
                       "with it, or name another file with -m",
                       name, now, nn_quote(quoted, settings->model), then);
    }
    *settings = copy;
    return NN_OK;
}

static enum nn_status read_options(struct train_settings *settings, struct reader *reader,
                                   struct app *app)
{
    const struct nn_json *options = nn_json_get(reader->root, "options");
    const struct cli_option *option;
    char name[40];
    int expected = 0;
    for (int i = 0; (option = cli_option_at(app->command, i)) != NULL; i++) {
        if (!(option->flags & CLI_DEFINES_RUN)) continue;
        cli_option_name(name, option);
        const char *stored = nn_json_string(nn_json_get(options, name + 2), NULL);
        expected++;
        if (!stored) {
            reader->good = false;
            return NN_OK;
        }
        bool given = app->parsed.given >> i & 1;
        enum nn_status status = merge_option(settings, app, option, stored, given);
        if (status) return status;
    }
    if (nn_json_kind(options) != NN_JSON_OBJECT || nn_json_count(options) != expected)
        reader->good = false;
    return NN_OK;
}

enum nn_status checkpoint_read(struct run_state *state, struct train_settings *settings,
                               struct app *app, const struct nn_archive *archive)
{
    char quoted[NN_QUOTED];
    struct nn_json *root = NULL;
    const char *text = nn_archive_text(archive, "training");
    nn_quote(quoted, settings->model);
    if (!text)
        return nn_fail(app->context, NN_ERROR_ARGUMENT,
                       "%s exists, but holds weights without a training state (as .best files do): "
                       "it cannot be resumed; name another file with -m",
                       quoted);
    enum nn_status status = nn_json_parse(&root, app->context, text, strlen(text), settings->model);
    struct reader reader = {root, true};
    if (!status) status = read_state(state, &reader, app);
    if (!status && reader.good) status = read_options(settings, &reader, app);
    if (!status && !reader.good)
        status = nn_fail(app->context, NN_ERROR_FORMAT,
                         "%s: its training state is damaged or of another version", quoted);
    nn_json_free(&root);
    return status;
}

static bool same_shape(const struct nn_archive_tensor *tensor, struct nn_shape shape)
{
    if (tensor->type != NN_F32 || tensor->rank != shape.rank) return false;
    for (int i = 0; i < shape.rank; i++)
        if (tensor->dim[i] != shape.dim[i]) return false;
    return true;
}

enum nn_status checkpoint_read_optimizer(struct nn_optimizer *optimizer, struct model *model,
                                         const struct nn_archive *archive, const char *path)
{
    char name[288], quoted[NN_QUOTED];
    for (int i = 0; i < nn_node_count(model->graph); i++) {
        const struct nn_node *node = nn_node_at(model->graph, i);
        if (strcmp(nn_node_op(node), "parameter") != 0) continue;
        for (int slot = 0; slot < 2; slot++) {
            float *values = nn_optimizer_slot(optimizer, node, slot);
            if (!values) continue;
            slot_name(name, slot, node);
            const struct nn_archive_tensor *tensor = nn_archive_get(archive, name);
            if (!tensor || !same_shape(tensor, nn_node_shape(node)))
                return nn_fail(model->context, NN_ERROR_FORMAT,
                               "%s: the tensor %s is missing or of another shape",
                               nn_quote(quoted, path), name);
            memcpy(values, tensor->data, tensor->bytes);
        }
    }
    return NN_OK;
}
