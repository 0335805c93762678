/*
 * demo_clips.h — what `liveness demo` needs to run: drawn clips, a detector that finds bright
 * cells, and networks that always say the same.
 */
#ifndef DEMO_CLIPS_H
#define DEMO_CLIPS_H

#include "apps/commands.h"
#include "apps/demo.h"
#include "gather_clips.h"

#include <fcntl.h>

enum { SCALE = 5 };                        /* clips are 320 x 240, cells 80 x 60 */
static const double REAL_SHARE = 0.952574; /* 1 / (1 + exp(-3)) */

/* A network of 8 x 8 pixels with labels "fake" and "real" that knows nothing but `logit`. */
static inline bool make_model(const char *path, float logit)
{
    static char fake[] = "fake", real[] = "real";
    char *labels[] = {fake, real};
    struct app app = {.context = context};
    struct model model;
    struct nn_archive *archive = NULL;
    const struct model_contract contract = {
        .width = 8, .height = 8, .channels = 3, .color = VI_BGR, .scale = 1.0 / 255};
    bool good = !model_new(&model, &app, &contract, labels, 2) && !nn_initialize(model.graph, 1);
    if (good) {
        struct nn_node *kernel = nn_find(model.graph, "dense_1/kernel");
        memset(nn_values(kernel), 0, nn_shape_count(nn_node_shape(kernel)) * sizeof(float));
        nn_values(nn_find(model.graph, "dense_1/bias"))[1] = logit;
        nn_parameters_changed(model.graph);
        good = !nn_archive_new(&archive, context) && !model_put(&model, archive) &&
               !nn_archive_write(archive, path);
    }
    if (!good) printf("# %s\n", nn_error(context));
    nn_archive_free(&archive);
    model_free(&model);
    return good;
}

static inline bool make_models(void)
{
    return tiny_write(&TINY, in_folder("tiny.safetensors")) &&
           make_model(in_folder("real.safetensors"), 3) &&
           make_model(in_folder("fake.safetensors"), -3);
}

/* A clip of that name, written once; `second` are the cells from its middle on (0: the same). */
static inline const char *clip_of(const char *name, int frames, unsigned cells, unsigned second)
{
    static char path[400];
    const struct clip clip = {
        .frames = frames, .cells = cells, .second = second, .from = frames / 2};
    uint8_t gray[CLIP_W * CLIP_H], row[CLIP_W * SCALE];
    snprintf(path, sizeof path, "%s/%s.y4m", folder, name);
    if (exists(path)) return path;
    FILE *file = clip_open(path);
    fprintf(file, "YUV4MPEG2 W%d H%d F10:1 Ip A1:1 Cmono\n", CLIP_W * SCALE, CLIP_H * SCALE);
    for (int i = 0; i < frames; i++) {
        clip_draw(gray, &clip, i);
        fprintf(file, "FRAME\n");
        for (int y = 0; y < CLIP_H * SCALE; y++) {
            for (int x = 0; x < CLIP_W * SCALE; x++) row[x] = gray[y / SCALE * CLIP_W + x / SCALE];
            fwrite(row, 1, sizeof row, file);
        }
    }
    if (fclose(file)) abort();
    return path;
}

static inline const struct app_run *demo(const char *format, ...)
{
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return app_run(NULL, "demo -d %s -m %s --display none %s", in_folder("tiny.safetensors"),
                   in_folder("real.safetensors"), line);
}

/* The same with a camera, keys or an allocator of the test's; what is printed goes to "printed". */
static inline int demo_with(const struct demo_seams *seams, const struct nn_allocator *allocator,
                            const char *format, ...)
{
    char options[2048], line[4096], *argv[APP_RUN_WORDS + 1];
    struct app app = {.command = &app_demo, .allocator = allocator};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(options, sizeof options, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, " -d %s -m %s --display none %s", in_folder("tiny.safetensors"),
             in_folder("real.safetensors"), options);
    int argc = app_run_words(argv, line);
    int kept = dup(STDOUT_FILENO),
        file = open(in_folder("printed"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    fflush(stdout);
    dup2(file, STDOUT_FILENO);
    int code = demo_main(&app, argc - 1, argv + 1, seams);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(file);
    return code;
}

#endif
