/*
 * capture_files.h — small videos, written here: for the tests of video input, and as seeds for the
 * fuzzers (`test_capture --corpus tests/fuzz/corpus`).
 *
 * Frame i shows its number: its red is 40 + 10 i, so that a test can tell which frames it got.
 */
#ifndef CAPTURE_FILES_H
#define CAPTURE_FILES_H

#include "test.h"
#include "vision/capture/capture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- bytes ----------------------------------------------------------------------------------- */

struct file {
    uint8_t *data;
    size_t size, capacity;
};

static inline void put(struct file *file, const void *bytes, size_t size)
{
    if (file->size + size > file->capacity) {
        file->capacity = 2 * (file->size + size);
        file->data = realloc(file->data, file->capacity);
        if (!file->data) abort();
    }
    if (size) memcpy(file->data + file->size, bytes, size);
    file->size += size;
}

static inline void put_text(struct file *file, const char *text)
{
    put(file, text, strlen(text));
}

static inline void set_le32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> 8 * i);
}

static inline void put_le32(struct file *file, uint32_t value)
{
    uint8_t bytes[4];
    set_le32(bytes, value);
    put(file, bytes, 4);
}

static inline void put_zeros(struct file *file, size_t size)
{
    while (size--) put(file, "", 1);
}

static inline void file_free(struct file *file)
{
    free(file->data);
    *file = (struct file){0};
}

static inline bool file_write(const struct file *file, const char *path)
{
    FILE *to = fopen(path, "wb");
    bool ok = to && (!file->size || fwrite(file->data, 1, file->size, to) == file->size);
    if (to && fclose(to)) ok = false;
    return ok;
}

/* ---- frames ---------------------------------------------------------------------------------- */

enum { FILE_WIDTH = 40, FILE_HEIGHT = 24 };

static inline struct vi_rgb frame_color(int number)
{
    return (struct vi_rgb){(uint8_t)(40 + 10 * (number % 20)), 90,
                           (uint8_t)(200 - 5 * number % 50)};
}

/* Which frame is it? -1: none of ours. */
static inline int frame_number(const struct vi_image *image)
{
    if (!image->pixels || image->channels != 3) return -1;
    const uint8_t *p = image->pixels;
    int number = (p[0] - 40 + 5) / 10;
    return p[0] >= 35 && abs(p[0] - 40 - 10 * number) <= 4 && abs(p[1] - 90) <= 5 ? number : -1;
}

static inline struct file frame_encoded(struct nn_context *context, int number, int width,
                                        int height, const char *format)
{
    struct vi_image image;
    struct file file = {0};
    void *bytes;
    size_t size;
    if (vi_image_new(&image, context, width, height, 3)) abort();
    vi_fill(&image, frame_color(number));
    vi_fill_rect(&image, width / 2.0, height / 2.0, width / 4.0, height / 4.0,
                 (struct vi_rgb){255, 255, 255}, 1);
    if (vi_encode(&bytes, &size, &image, context, format, 90)) abort();
    put(&file, bytes, size);
    nn_free(context, bytes);
    vi_image_free(context, &image);
    return file;
}

static inline struct file frame_jpeg(struct nn_context *context, int number)
{
    return frame_encoded(context, number, FILE_WIDTH, FILE_HEIGHT, "jpeg");
}

/* The same without Huffman tables, as AVI1 cameras leave them out. stb writes the standard ones. */
static inline struct file without_tables(const struct file *jpeg)
{
    struct file to = {0};
    size_t at = 2;
    put(&to, jpeg->data, 2);
    while (at + 4 <= jpeg->size && jpeg->data[at + 1] != 0xda) {
        size_t length = 2 + ((size_t)jpeg->data[at + 2] << 8 | jpeg->data[at + 3]);
        if (jpeg->data[at + 1] != 0xc4) put(&to, jpeg->data + at, length);
        at += length;
    }
    put(&to, jpeg->data + at, jpeg->size - at);
    return to;
}

/* ---- AVI ------------------------------------------------------------------------------------- */

struct avi_file {
    int frames;
    int frames_after;     /* in a second RIFF segment, as OpenDML has it; 0: none */
    bool audio;           /* a stream before the video: the video's number is 1 */
    bool records;         /* a LIST 'rec ' around each frame */
    bool killed;          /* sizes of lists are 0, and there is no index */
    bool unpadded;        /* odd chunks without a byte behind them */
    bool no_tables;       /* Huffman tables left out */
    int broken;           /* this frame (from 1) lacks its last half */
    int dropped;          /* this frame (from 1) has no bytes */
    int garbage;          /* before this frame (from 1) stand 100 bytes of garbage */
    int resized;          /* from this frame (from 1) on they have twice the width */
    const char *codec;    /* NULL: MJPG */
    uint32_t declared[2]; /* width, height; 0: the true ones */
    uint32_t rate, scale; /* 0: 25, 1 */
    size_t frame_at[64];  /* out: where each frame's chunk begins */
};

static inline size_t avi_open_list(struct file *file, const char *riff, const char *type)
{
    put_text(file, riff);
    put_le32(file, 0);
    put_text(file, type);
    return file->size - 8;
}

static inline void avi_close_list(struct file *file, size_t at, const struct avi_file *avi)
{
    if (!avi->killed) set_le32(file->data + at, (uint32_t)(file->size - at - 4));
}

static inline void avi_chunk(struct file *file, const char *id, const void *bytes, size_t size,
                             bool padded)
{
    put_text(file, id);
    put_le32(file, (uint32_t)size);
    put(file, bytes, size);
    if (padded && size % 2) put_zeros(file, 1);
}

static inline void avi_stream(struct file *file, const struct avi_file *avi, bool video)
{
    uint8_t strh[56] = {0}, strf[40] = {0};
    const char *codec = avi->codec ? avi->codec : "MJPG";
    size_t list = avi_open_list(file, "LIST", "strl");
    memcpy(strh, video ? "vids" : "auds", 4);
    if (video) memcpy(strh + 4, codec, 4);
    set_le32(strh + 20, video && avi->scale ? avi->scale : 1);
    set_le32(strh + 24, video && avi->rate ? avi->rate : 25);
    set_le32(strh + 32, (uint32_t)avi->frames);
    avi_chunk(file, "strh", strh, sizeof strh, true);
    set_le32(strf, 40);
    set_le32(strf + 4, avi->declared[0] ? avi->declared[0] : FILE_WIDTH);
    set_le32(strf + 8, avi->declared[1] ? avi->declared[1] : FILE_HEIGHT);
    strf[12] = 1;
    strf[14] = 24;
    memcpy(strf + 16, codec, 4);
    avi_chunk(file, "strf", strf, video ? 40 : 18, true);
    avi_chunk(file, "strn", "odd", 3, true);
    if (avi->frames_after) avi_chunk(file, "indx", strh, 32, true);
    avi_close_list(file, list, avi);
}

static inline void avi_frame(struct file *file, struct nn_context *context, struct avi_file *avi,
                             int number)
{
    int width = avi->resized && number + 1 >= avi->resized ? 2 * FILE_WIDTH : FILE_WIDTH;
    struct file jpeg = frame_encoded(context, number, width, FILE_HEIGHT, "jpeg");
    struct file bare = without_tables(&jpeg);
    struct file *frame = avi->no_tables ? &bare : &jpeg;
    if (number + 1 == avi->broken) frame->size /= 2;
    if (number + 1 == avi->dropped) frame->size = 0;
    for (int i = 0; number + 1 == avi->garbage && i < 100; i++)
        put(file, &(uint8_t){(uint8_t)(i * 37 + 3)}, 1);
    size_t list = 0;
    if (avi->records) list = avi_open_list(file, "LIST", "rec ");
    if (number < 64) avi->frame_at[number] = file->size;
    avi_chunk(file, avi->audio ? "01dc" : "00dc", frame->data, frame->size, !avi->unpadded);
    if (avi->audio) avi_chunk(file, "00wb", "some sound", 9, !avi->unpadded);
    if (avi->records) avi_close_list(file, list, avi);
    file_free(&jpeg);
    file_free(&bare);
}

/* An OpenDML segment has an index of its own kind; the first of a file the old one as well. */
static inline void avi_segment_end(struct file *file, const struct avi_file *avi, size_t riff,
                                   size_t movi, bool first)
{
    uint8_t index[48] = {0};
    if (avi->frames_after) avi_chunk(file, "ix00", index, 32, true);
    avi_close_list(file, movi, avi);
    if (first && !avi->killed) avi_chunk(file, "idx1", index, 48, true);
    avi_close_list(file, riff, avi);
}

static inline struct file avi_write(struct nn_context *context, struct avi_file *avi)
{
    struct file file = {0};
    uint8_t avih[56] = {0}, index[64] = {0};
    int all = avi->frames + avi->frames_after;
    size_t riff = avi_open_list(&file, "RIFF", "AVI ");
    size_t hdrl = avi_open_list(&file, "LIST", "hdrl");
    set_le32(avih, 40000);
    set_le32(avih + 16, avi->killed ? 0 : (uint32_t)avi->frames);
    avi_chunk(&file, "avih", avih, sizeof avih, true);
    if (avi->audio) avi_stream(&file, avi, false);
    avi_stream(&file, avi, true);
    if (avi->frames_after) {
        size_t odml = avi_open_list(&file, "LIST", "odml");
        set_le32(index, (uint32_t)all);
        avi_chunk(&file, "dmlh", index, 64, true);
        avi_close_list(&file, odml, avi);
    }
    avi_close_list(&file, hdrl, avi);
    size_t info = avi_open_list(&file, "LIST", "INFO");
    avi_chunk(&file, "ISFT", "drawn by a test", 15, true);
    avi_close_list(&file, info, &(struct avi_file){0});
    avi_chunk(&file, "JUNK", index, 33, true);
    size_t movi = avi_open_list(&file, "LIST", "movi");
    for (int i = 0; i < all; i++) {
        if (avi->frames_after && i == avi->frames) {
            avi_segment_end(&file, avi, riff, movi, true);
            riff = avi_open_list(&file, "RIFF", "AVIX");
            avi_chunk(&file, "JUNK", index, 8, true);
            movi = avi_open_list(&file, "LIST", "movi");
        }
        avi_frame(&file, context, avi, i);
    }
    avi_segment_end(&file, avi, riff, movi, !avi->frames_after);
    return file;
}

/* ---- streams of JPEGs ------------------------------------------------------------------------ */

enum multipart { RAW, LENGTHS, NO_LENGTHS, WRONG_LENGTHS, HTTP };

static inline struct file mjpeg_write(struct nn_context *context, int frames, enum multipart kind)
{
    struct file file = {0};
    char head[200];
    if (kind == HTTP)
        put_text(&file, "HTTP/1.0 200 OK\r\nServer: test\r\n"
                        "Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n");
    for (int i = 0; i < frames; i++) {
        struct file jpeg = frame_jpeg(context, i);
        snprintf(head, sizeof head,
                 "\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %zu",
                 kind == WRONG_LENGTHS ? jpeg.size / 3 : jpeg.size);
        if (kind == NO_LENGTHS) *strstr(head, "\r\nContent-Length") = '\0';
        if (kind != RAW) put_text(&file, i == 0 && kind == LENGTHS ? head + 2 : head);
        if (kind != RAW) put_text(&file, "\r\n\r\n");
        put(&file, jpeg.data, jpeg.size);
        file_free(&jpeg);
    }
    if (kind != RAW) put_text(&file, "\r\n--frame--\r\n");
    return file;
}

/* ---- y4m ------------------------------------------------------------------------------------- */

/* `parameters` besides size and rate; planes of `samples` samples of `bytes` bytes each, of which
 * the first `luma` say by their value which frame it is. */
static inline struct file y4m_write(const char *parameters, int width, int height, int frames,
                                    size_t luma, size_t chroma)
{
    struct file file = {0};
    char line[200];
    snprintf(line, sizeof line, "YUV4MPEG2 W%d H%d F30000:1001 %s\n", width, height, parameters);
    put_text(&file, line);
    for (int i = 0; i < frames; i++) {
        put_text(&file, i == 1 ? "FRAME Ip XTEST\n" : "FRAME\n");
        for (size_t k = 0; k < luma; k++) put(&file, &(uint8_t){(uint8_t)(20 + 10 * i)}, 1);
        for (size_t k = 0; k < chroma; k++) put(&file, &(uint8_t){128}, 1);
    }
    return file;
}

/* ---- reading them ---------------------------------------------------------------------------- */

/* Writes the bytes into a pipe until they are through or nobody reads any more. */
struct feeder {
    pthread_t thread;
    int end;
    const uint8_t *data;
    size_t size, step; /* step: bytes per write(), 0: all */
};

static inline void *feeder_run(void *argument)
{
    struct feeder *feeder = argument;
    for (size_t at = 0; at < feeder->size;) {
        size_t part = feeder->size - at;
        if (feeder->step && part > feeder->step) part = feeder->step;
        ssize_t sent = write(feeder->end, feeder->data + at, part);
        if (sent <= 0) break;
        at += (size_t)sent;
    }
    close(feeder->end);
    return NULL;
}

static inline int feeder_start(struct feeder *feeder, const struct file *file, size_t step)
{
    int ends[2];
    if (pipe(ends)) abort();
    *feeder = (struct feeder){.end = ends[1], .data = file->data, .size = file->size, .step = step};
    if (pthread_create(&feeder->thread, NULL, feeder_run, feeder)) abort();
    return ends[0];
}

/* A descriptor of an unnamed file that holds the bytes. */
static inline int unnamed_file(const struct file *file)
{
    FILE *temporary = tmpfile();
    if (!temporary) abort();
    int descriptor = dup(fileno(temporary));
    fclose(temporary);
    if (descriptor < 0 || write(descriptor, file->data, file->size) != (ssize_t)file->size) abort();
    lseek(descriptor, 0, SEEK_SET);
    return descriptor;
}

/* What came out of a file. */
struct seen {
    enum nn_status status; /* of opening, or of the read that failed */
    bool opened;
    int count, numbers[64]; /* frames delivered: frame_number of each */
    int64_t indices[64];
    int width, height; /* of the last */
    double seconds;    /* of the last */
    struct vi_capture_info info;
    char error[600];
};

static inline struct seen see_all(struct vi_capture *capture, struct nn_context *context)
{
    struct seen seen = {.opened = true};
    struct vi_frame frame;
    bool end = false;
    while (!(seen.status = vi_capture_read(capture, &frame, &end)) && !end) {
        if (seen.count < 64) {
            seen.numbers[seen.count] = frame_number(&frame.image);
            seen.indices[seen.count] = frame.index;
        }
        seen.count++;
        seen.width = frame.image.width;
        seen.height = frame.image.height;
        seen.seconds = frame.seconds;
    }
    seen.info = *vi_capture_info(capture);
    if (seen.status) snprintf(seen.error, sizeof seen.error, "%s", nn_error(context));
    return seen;
}

enum way { BY_FILE, BY_PIPE, BY_DRIPS };

/* Reads all frames of a video in memory, as a file or through a pipe; ffmpeg stays out of it. */
static inline struct seen see(struct nn_context *context, const struct file *file, enum way way,
                              uint64_t max_pixels)
{
    struct vi_capture_options options = {.max_pixels = max_pixels, .no_ffmpeg = true};
    struct vi_capture *capture = NULL;
    struct vi_stream *stream = NULL;
    struct feeder feeder;
    struct seen seen = {0};
    int descriptor =
        way == BY_FILE ? unnamed_file(file) : feeder_start(&feeder, file, way == BY_DRIPS ? 7 : 0);
    seen.status = vi_stream_from(&stream, context, descriptor, "video");
    if (!seen.status) seen.status = vi_capture_from(&capture, context, stream, "video", &options);
    if (seen.status)
        snprintf(seen.error, sizeof seen.error, "%s", nn_error(context));
    else
        seen = see_all(capture, context);
    vi_capture_close(&capture);
    if (way != BY_FILE) pthread_join(feeder.thread, NULL);
    return seen;
}

#endif
