/*
 * gather_clips.h — clips and pictures in which the tiny detector finds faces: bright cells of a
 * dark grid. What is written is whole or the test ends.
 */
#ifndef GATHER_CLIPS_H
#define GATHER_CLIPS_H

#include "app_run.h"
#include "tiny_detector.h"

enum { CLIP_W = 64, CLIP_H = 48, CELL_W = CLIP_W / 4, CELL_H = CLIP_H / 4 };
enum { BRIGHT = 235, DIM = 175 /* the detector gives it about 0.25 */, DARK = 16 };

/* Which of the 4 x 4 cells are lit in frame k (bit 4 * row + column), and how bright. */
struct clip {
    int frames;
    unsigned cells, second; /* `second` from the frame of that number on */
    int from;
    int step; /* brightness falls by so much per frame, and begins anew after 10 */
    int level;
};

static inline int clip_level(const struct clip *clip, int frame)
{
    return (clip->level ? clip->level : BRIGHT) - clip->step * (frame % 10);
}

static inline void clip_draw(uint8_t gray[CLIP_W * CLIP_H], const struct clip *clip, int frame)
{
    unsigned cells = clip->second && frame >= clip->from ? clip->second : clip->cells;
    for (int y = 0; y < CLIP_H; y++)
        for (int x = 0; x < CLIP_W; x++) {
            int cell = y / CELL_H * 4 + x / CELL_W;
            gray[y * CLIP_W + x] = (uint8_t)(cells >> cell & 1 ? clip_level(clip, frame) : DARK);
        }
}

static inline FILE *clip_open(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file) abort();
    return file;
}

/* Nothing is lost in this format: a luma of 16 .. 235 becomes a grey of 0 .. 255. */
static inline const char *clip_write(const char *path, const struct clip *clip)
{
    uint8_t gray[CLIP_W * CLIP_H];
    FILE *file = clip_open(path);
    fprintf(file, "YUV4MPEG2 W%d H%d F10:1 Ip A1:1 Cmono\n", CLIP_W, CLIP_H);
    for (int i = 0; i < clip->frames; i++) {
        clip_draw(gray, clip, i);
        fprintf(file, "FRAME\n");
        fwrite(gray, 1, sizeof gray, file);
    }
    if (fclose(file)) abort();
    return path;
}

/* A picture like frame `frame`, `scale` times as large. */
static inline struct vi_image clip_picture(const struct clip *clip, int frame, int scale)
{
    uint8_t gray[CLIP_W * CLIP_H];
    struct vi_image image;
    clip_draw(gray, clip, frame);
    if (vi_image_new(&image, context, CLIP_W * scale, CLIP_H * scale, 3)) abort();
    for (int y = 0; y < image.height; y++)
        for (int x = 0; x < image.width; x++)
            memset(image.pixels + y * image.stride + x * 3, gray[y / scale * CLIP_W + x / scale],
                   3);
    return image;
}

static inline const char *clip_write_picture(const char *path, const struct clip *clip, int scale)
{
    struct vi_image image = clip_picture(clip, 0, scale);
    if (vi_write(&image, context, path, 0)) abort();
    vi_image_free(context, &image);
    return path;
}

/* Motion-JPEG, one picture behind the other; every frame has another size, and where bit k of
 * `broken` is set, frame k claims samples of 9 bits. */
static inline const char *clip_write_jpegs(const char *path, const struct clip *clip,
                                           unsigned broken)
{
    FILE *file = clip_open(path);
    for (int i = 0; i < clip->frames; i++) {
        struct vi_image image = clip_picture(clip, i, 1 + i % 3);
        void *bytes;
        size_t size;
        if (vi_encode(&bytes, &size, &image, context, "jpeg", 95)) abort();
        for (uint8_t *at = bytes; broken >> i & 1 && at < (uint8_t *)bytes + size - 4; at++)
            if (at[0] == 0xFF && at[1] == 0xC0) at[4] = 9;
        fwrite(bytes, 1, size, file);
        nn_free(context, bytes);
        vi_image_free(context, &image);
    }
    if (fclose(file)) abort();
    return path;
}

/* ---- what is in a folder --------------------------------------------------------------------- */

/* Files below `path`, with those in folders; names that begin with a point count for `hidden`. */
static inline int count_files(const char *path, int *hidden)
{
    struct stat info;
    int count = 0;
    DIR *stream = opendir(path);
    const struct dirent *entry;
    while (stream && (entry = readdir(stream)) != NULL) {
        char below[2048];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        int size = snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (size < 0 || (size_t)size >= sizeof below) abort();
        if (lstat(below, &info) == 0 && S_ISDIR(info.st_mode))
            count += count_files(below, hidden);
        else if (entry->d_name[0] == '.' && hidden)
            ++*hidden;
        else
            count++;
    }
    if (stream) closedir(stream);
    return count;
}

/* What a run complained of, in one line. */
static inline const char *told(const struct app_run *run)
{
    static char text[300];
    snprintf(text, sizeof text, "%.299s", run->err);
    for (char *at = text; *at; at++)
        if (*at == '\n') *at = at[1] ? '|' : '\0';
    return text;
}

static inline bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

#endif
