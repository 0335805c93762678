/* gather_inputs.c — from arguments to rows: each video is one, and so are pictures of one folder.
 */
#include "apps/detector.h"
#include "apps/gather.h"

#include <string.h>
#include <sys/stat.h>

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Takes `label` over, also when it fails. */
static enum nn_status add_input(struct gather *gather, char *label, size_t file, size_t root)
{
    struct nn_context *context = gather->app->context;
    if (!label) return NN_ERROR_MEMORY;
    if (!gather->inputs || gather->input_count == gather->input_room) {
        int room = gather->input_room ? 2 * gather->input_room : 8;
        struct gather_input *grown =
            nn_realloc(context, gather->inputs, (size_t)room, sizeof *grown);
        if (!grown) {
            nn_free(context, label);
            return NN_ERROR_MEMORY;
        }
        gather->inputs = grown;
        gather->input_room = room;
    }
    gather->inputs[gather->input_count++] =
        (struct gather_input){.label = label, .first = file, .root = root};
    return NN_OK;
}

/* Bytes of "DIR/real/" in "DIR/real/a/1.png": pictures below one folder share a row. */
static size_t group_size(const char *path, size_t root)
{
    size_t size = strcspn(path + root, "/");
    return path[root + size] ? root + size + 1 : root;
}

static bool same_group(const struct gather *gather, const struct gather_input *input,
                       const char *path, size_t root)
{
    if (!input->pictures || input->root != root) return false;
    if (root == (size_t)GATHER_NO_ROOT) return true;
    const char *other = gather->files.paths[input->first];
    size_t size = group_size(path, root);
    return size == group_size(other, root) && memcmp(path, other, size) == 0;
}

/* `first`: the row with which this argument begins. */
static enum nn_status add_file(struct gather *gather, size_t file, size_t root, int first)
{
    struct nn_context *context = gather->app->context;
    const char *path = gather->files.paths[file];
    bool picture = vi_is_picture_name(path) && !vi_is_video(path); /* the bytes decide */
    struct gather_input *last =
        gather->input_count > first ? &gather->inputs[gather->input_count - 1] : NULL;
    if (picture && last && same_group(gather, last, path, root)) {
        last->count++;
        return NN_OK;
    }
    char *label = nn_strdup(context, path);
    if (label && picture && root != (size_t)GATHER_NO_ROOT)
        label[group_size(path, root) - 1] = '\0';
    enum nn_status status = add_input(gather, label, file, root);
    if (status) return status;
    last = &gather->inputs[gather->input_count - 1];
    last->pictures = picture;
    last->count = 1;
    return NN_OK;
}

static enum nn_status add_argument(struct gather *gather, const char *argument, int *first)
{
    struct nn_context *context = gather->app->context;
    size_t file = gather->files.count, size = strlen(argument), root = (size_t)GATHER_NO_ROOT;
    if (is_folder(argument)) {
        root = size + (argument[size - 1] != '/');
        *first = gather->input_count;
    }
    enum nn_status status = app_find_files(&gather->files, gather->app, argument);
    if (status && status != NN_ERROR_MEMORY) { /* a row of its own; the others go on */
        status = add_input(gather, nn_strdup(context, argument), file, root);
        if (status) return status;
        struct gather_input *input = &gather->inputs[gather->input_count - 1];
        snprintf(input->error, sizeof input->error, "%s", nn_error(context));
        *first = gather->input_count;
        return NN_OK;
    }
    for (; file < gather->files.count && !status; file++)
        status = add_file(gather, file, root, *first);
    if (root != (size_t)GATHER_NO_ROOT) *first = gather->input_count;
    return status;
}

enum nn_status gather_find_inputs(struct gather *gather)
{
    const struct cli_parsed *parsed = &gather->app->parsed;
    enum nn_status status = NN_OK;
    int first = 0;
    gather->files.wanted = app_shows_something;
    for (int i = 0; i < parsed->argument_count && !status; i++)
        status = add_argument(gather, parsed->arguments[i], &first);
    return status;
}

void gather_free_inputs(struct gather *gather)
{
    struct nn_context *context = gather->app->context;
    for (int i = 0; i < gather->input_count; i++) nn_free(context, gather->inputs[i].label);
    nn_free(context, gather->inputs);
    app_free_files(&gather->files, gather->app);
}
