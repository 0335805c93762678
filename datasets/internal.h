/*
 * internal.h — what the reader's files share.
 *
 *   tree.c or zip.c  list what there is        -> struct ds_catalog: classes, paths, bad files
 *   catalog.c        sorts and names it        -> struct ds_pictures without pixels
 *   pictures.c       decodes it on all cores   -> struct ds_pictures
 *
 * A path is relative to the data set, its parts parted by '/': "fake/print/0001.jpg". It holds
 * whatever bytes the file system or the archive had, except NUL; messages quote it.
 */
#ifndef DATASETS_INTERNAL_H
#define DATASETS_INTERNAL_H

#include "datasets/datasets.h"

enum {
    DS_MAX_CLASSES = 65535, /* labels and groups are 16 bits */
    DS_MAX_FILE = 256 << 20 /* bytes of one picture file, packed or not: vi_decode's own limit */
};

/* ---- catalog.c: strings in one block, the list of what was found ---------------------------- */

/* Texts one after the other, each closed with NUL: a path costs its own length and no more. */
struct ds_strings {
    struct nn_text text;
    size_t count;
};
void ds_strings_add(struct ds_strings *strings, const char *text, size_t size);
/* Makes an array of pointers and, in the same block, the texts they point to; NULL: no memory. */
char **ds_strings_build(const struct ds_strings *strings, struct nn_context *context);

struct ds_zip;
struct ds_catalog {
    struct nn_context *context;
    const struct ds_options *options;
    struct ds_pictures *pictures; /* takes the bad files */
    struct ds_strings classes;    /* any order, repetitions allowed */
    struct ds_strings paths;      /* any order */
};

/* Begins with '.', or is the folder in which macOS keeps what zips cannot. */
bool ds_is_hidden(const char *name, size_t size);
enum nn_status ds_add_class(struct ds_catalog *catalog, const char *name, size_t size);
enum nn_status ds_add_path(struct ds_catalog *catalog, const char *path);
enum nn_status ds_add_bad(struct ds_pictures *pictures, const char *path, const char *reason);
enum nn_status ds_check_stop(struct nn_context *context, const struct ds_options *options);

/* Fills class_names, paths, labels and count of catalog->pictures, sorted; brings the entries of
 * `zip` (may be NULL) into the same order. `root` is for messages. */
enum nn_status ds_catalog_sort(struct ds_catalog *catalog, struct ds_zip *zip, const char *root,
                               int min_classes);
void ds_catalog_free(struct ds_catalog *catalog);
/* An error if a class has no picture. */
enum nn_status ds_check_classes(const struct ds_pictures *pictures, const char *root);
/* groups, group_names, group_count from paths. */
enum nn_status ds_name_groups(struct ds_pictures *pictures, const char *root);

/* Class in byte order, then the rest part by part in natural order: numbers by their value. */
int ds_compare_paths(const char *a, const char *b);

/* ---- tree.c ---------------------------------------------------------------------------------- */

enum nn_status ds_tree_list(struct ds_catalog *catalog, const char *root);
char *ds_errno_text(char text[128], int error); /* strerror for threads; returns `text` */

/* ---- zip.c ----------------------------------------------------------------------------------- */

struct ds_zip_entry {
    uint64_t data; /* where its bytes begin in the file */
    uint32_t packed, size, crc;
    uint16_t method;
};
struct ds_zip {
    int file;                     /* -1: closed */
    uint64_t directory;           /* where the central directory begins; data end before it */
    struct ds_zip_entry *entries; /* one per path of the catalog */
    size_t count, capacity;
};

/* Lists the archive open as `file`, which belongs to *zip from here on: ds_zip_close in any case.
 */
enum nn_status ds_zip_list(struct ds_zip *zip, struct ds_catalog *catalog, int file,
                           const char *root);
/* The bytes of an entry, unpacked and checked; the caller's to nn_free. Any thread. */
enum nn_status ds_zip_read(void **bytes, size_t *size, const struct ds_zip *zip, size_t index,
                           struct nn_context *context);
void ds_zip_close(struct ds_zip *zip, struct nn_context *context);

/* ---- statistics.c ---------------------------------------------------------------------------- */

/* I_x(a, b) = integral of t^(a-1) (1-t)^(b-1) from 0 to x over the one from 0 to 1; a, b > 0. */
double ds_beta_cdf(double x, double a, double b);
/* The x with I_x(a, b) = p. */
double ds_beta_quantile(double p, double a, double b);

#endif
