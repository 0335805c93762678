/* caffe_files.h — networks that tests of the Caffe importer write and read. */
#ifndef TESTS_CAFFE_FILES_H
#define TESTS_CAFFE_FILES_H

#include "nn/nn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAFFE_FILES "tests/golden/caffe"

static inline const char *caffe_path(char path[64], const char *ending)
{
    snprintf(path, 64, "/tmp/liveness-caffe-%ld.%s", (long)getpid(), ending);
    return path;
}

static inline const char *caffe_text_path(void)
{
    static char path[64];
    return caffe_path(path, "prototxt");
}
static inline const char *caffe_weights_path(void)
{
    static char path[64];
    return caffe_path(path, "caffemodel");
}

/* A new file each time: some file systems wait for the disk when an old one is overwritten. */
static inline bool caffe_write(const char *path, const void *bytes, size_t size)
{
    remove(path);
    FILE *file = fopen(path, "wb");
    if (!file) return false;
    bool good = fwrite(bytes, 1, size, file) == size;
    return fclose(file) == 0 && good;
}

/* Two texts after each other, as the file at caffe_text_path(). */
static inline bool caffe_write_text(const char *a, const char *b)
{
    remove(caffe_text_path());
    FILE *file = fopen(caffe_text_path(), "wb");
    if (!file) return false;
    bool good = fputs(a, file) >= 0 && fputs(b, file) >= 0;
    return fclose(file) == 0 && good;
}

/* A whole file; ends in NUL. */
static inline char *caffe_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    *size = 0;
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    long end = ftell(file);
    rewind(file);
    char *bytes = calloc((size_t)end + 1, 1);
    *size = bytes ? fread(bytes, 1, (size_t)end, file) : 0;
    fclose(file);
    return bytes;
}

static inline void caffe_remove_files(void)
{
    remove(caffe_text_path());
    remove(caffe_weights_path());
}

#endif
