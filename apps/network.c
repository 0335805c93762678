/* network.c — which kind of network a file holds, and its graph. */
#include "apps/network.h"

#include <dirent.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static bool ends_in(const char *path, const char *ending)
{
    size_t size = strlen(path), tail = strlen(ending);
    return size >= tail && strcasecmp(path + size - tail, ending) == 0;
}

/* Is there a file of weights in the folder of this .prototxt? */
static bool has_weights_beside(struct nn_context *context, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = nn_strdup(context, slash ? path : ".");
    if (!folder) return true; /* vi_detector_open will run out of memory as well, and say so */
    if (slash) folder[slash == path ? 1 : slash - path] = '\0';
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    bool found = false;
    while (stream && !found && (entry = readdir(stream)) != NULL)
        found = ends_in(entry->d_name, ".caffemodel");
    if (stream) closedir(stream);
    nn_free(context, folder);
    return found;
}

static enum nn_status open_detector(struct network *network, struct app *app, const char *path)
{
    enum nn_status status =
        vi_detector_open_with(&network->detector, app->context, path,
                              &(struct vi_detector_options){.keep_weights = true});
    if (status) return status;
    network->graph = vi_detector_graph(network->detector);
    network->source = vi_detector_source(network->detector);
    return NN_OK;
}

static enum nn_status open_structure(struct network *network, struct app *app, const char *path)
{
    char quoted[NN_QUOTED];
    enum nn_status status = nn_import_caffe(&network->bare, app->context, path, NULL);
    if (status) return status;
    app_say(app, "%s: there is no .caffemodel beside it; all weights are 0",
            nn_quote(quoted, path));
    network->graph = network->bare;
    network->source = "caffe";
    return NN_OK;
}

/* Both kinds of .safetensors are told apart by what `convert` writes into a detector's. */
static enum nn_status open_safetensors(struct network *network, struct app *app, const char *path)
{
    struct nn_archive *archive = NULL;
    enum nn_status status = nn_archive_read(&archive, app->context, path);
    if (status) return status;
    bool detector = nn_archive_text(archive, "kind") != NULL;
    nn_archive_free(&archive);
    if (detector) return open_detector(network, app, path);
    network->is_model = true;
    network->source = "safetensors";
    status = model_load(&network->model, app, path, NULL);
    network->graph = network->model.graph;
    return status;
}

enum nn_status network_open(struct network *network, struct app *app, const char *path)
{
    static const char *const FOREIGN[] = {".prototxt", ".caffemodel", ".pb", ".pbtxt"};
    struct stat info;
    *network = (struct network){.context = app->context};
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode), foreign = folder;
    for (size_t i = 0; i < sizeof FOREIGN / sizeof *FOREIGN; i++)
        foreign = foreign || ends_in(path, FOREIGN[i]);
    if (!foreign) return open_safetensors(network, app, path);
    if (!folder && ends_in(path, ".prototxt") && !has_weights_beside(app->context, path))
        return open_structure(network, app, path);
    return open_detector(network, app, path);
}

enum nn_status network_new(struct network *network, struct app *app, int width, int height,
                           int classes, uint64_t seed)
{
    struct model_contract contract = {width, height, 3, VI_BGR, 1.0 / 255, {0}, 0};
    *network = (struct network){.context = app->context, .is_model = true, .source = "livenessnet"};
    enum nn_status status = model_new(&network->model, app, &contract, NULL, classes);
    if (!status) status = nn_initialize(network->model.graph, seed);
    network->graph = network->model.graph;
    return status;
}

void network_close(struct network *network)
{
    if (!network->context) return;
    vi_detector_close(&network->detector);
    nn_graph_free(&network->bare);
    model_free(&network->model);
    *network = (struct network){0};
}

struct nn_node *network_input(const struct network *network)
{
    for (int i = 0; i < nn_node_count(network->graph); i++) {
        struct nn_node *node = nn_node_at(network->graph, i);
        if (strcmp(nn_node_op(node), "input") == 0) return node;
    }
    return NULL;
}
