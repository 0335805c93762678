/* The sample generator: same bytes on any number of threads, a true table, classes that brightness
 * and contrast do not tell apart, and nothing left behind when something goes wrong. */
#include "datasets/datasets.h"
#include "tests/test.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[128];

static const char *place(const char *name)
{
    static char paths[16][256];
    static int next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

/* Regular files below `path`; with `remove_too`, everything below and itself is deleted. */
static int walk(const char *path, bool remove_too)
{
    int files = 0;
    DIR *dir = opendir(path);
    if (!dir) return 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char below[1024];
        struct stat about;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (lstat(below, &about)) continue;
        if (S_ISDIR(about.st_mode))
            files += walk(below, remove_too);
        else
            files++;
        if (remove_too && !S_ISDIR(about.st_mode)) unlink(below);
    }
    closedir(dir);
    if (remove_too) rmdir(path);
    return files;
}

static struct nn_context *open_with(int threads, const struct nn_allocator *allocator)
{
    struct nn_options options = {.threads = threads, .allocator = allocator};
    struct nn_context *context = NULL;
    if (nn_open(&context, &options)) printf("# %s\n", nn_error(NULL));
    return context;
}

static enum nn_status make(int threads, const char *directory, int count, int size, uint64_t seed)
{
    struct ds_synth_options options = {.count = count, .size = size, .seed = seed};
    struct nn_context *context = open_with(threads, NULL);
    if (!context) return NN_ERROR_MEMORY;
    enum nn_status status = ds_synth(context, directory, &options);
    if (status) printf("# %s\n", nn_error(context));
    nn_close(&context);
    return status;
}

static const char *name_of(int n)
{
    static char name[64];
    const char *folder = n % 2 == 0 ? "real" : n % 4 == 1 ? "fake/print" : "fake/screen";
    snprintf(name, sizeof name, "%s/%04d.jpg", folder, n);
    return name;
}

static bool same_file(struct nn_context *context, const char *a, const char *b, const char *name)
{
    char path[512];
    void *x = NULL, *y = NULL;
    size_t nx = 0, ny = 0;
    snprintf(path, sizeof path, "%s/%s", a, name);
    bool ok = !nn_file_read(context, path, 1 << 24, &x, &nx);
    snprintf(path, sizeof path, "%s/%s", b, name);
    ok = ok && !nn_file_read(context, path, 1 << 24, &y, &ny);
    ok = ok && nx == ny && nx > 0 && !memcmp(x, y, nx);
    nn_free(context, x);
    nn_free(context, y);
    return ok;
}

static void test_same_bytes(void)
{
    struct nn_context *context = open_with(1, NULL);
    const char *one = place("one"), *three = place("deep/er/three"), *few = place("few");
    CHECK(!make(1, one, 12, 48, 7), "written on one thread");
    CHECK(!make(3, three, 12, 48, 7), "written on three threads, folders above made");
    int same = 0;
    for (int n = 0; n < 12; n++) same += same_file(context, one, three, name_of(n));
    CHECK(same == 12, "same pictures on 1 and 3 threads: %d of 12", same);
    CHECK(same_file(context, one, three, "faces.csv"), "same table on 1 and 3 threads");
    CHECK(walk(one, false) == 13, "12 pictures and a table");
    CHECK(!make(2, few, 4, 48, 7), "written again, fewer");
    CHECK(same_file(context, one, few, name_of(3)), "a picture does not depend on the count");
    walk(few, true);
    CHECK(!make(2, few, 4, 48, 8), "written again, another seed");
    CHECK(!same_file(context, one, few, name_of(3)), "another seed, another picture");
    nn_close(&context);
}

/* Limits are loose by a tenth of the side: a held-up print may be a little turned. */
static bool good_row(const char *line, int n, float side)
{
    char file[64], class[16], attack[16], expected[16];
    float v[8];
    int fields = sscanf(line, "%63[^,],%15[^,],%15[^,],%f,%f,%f,%f,%f,%f,%f,%f", file, class,
                        attack, v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
    if (fields != 11 || strcmp(file, name_of(n)) != 0) return false;
    snprintf(expected, sizeof expected, "%s", n % 2 == 0 ? "real" : "fake");
    if (strcmp(class, expected) != 0) return false;
    snprintf(expected, sizeof expected, "%s",
             n % 2 == 0   ? "none"
             : n % 4 == 1 ? "print"
                          : "screen");
    if (strcmp(attack, expected) != 0) return false;
    float slack = 0.1F * side, width = v[2] - v[0], height = v[3] - v[1];
    if (v[0] < -slack || v[1] < -slack || v[2] > side + slack || v[3] > side + slack) return false;
    if (width < 0.25F * side || height < 0.4F * side || width > 1.3F * height) return false;
    for (int i = 4; i < 8; i += 2) /* both eyes inside the box, in its middle third by height */
        if (v[i] < v[0] || v[i] > v[2] || v[i + 1] < v[1] + 0.15F * height ||
            v[i + 1] > v[3] - 0.3F * height)
            return false;
    return v[4] < v[6] && v[6] - v[4] > 0.2F * width;
}

static void test_table(void)
{
    enum { N = 60 };
    struct nn_context *context = open_with(0, NULL);
    const char *directory = place("table");
    void *bytes = NULL;
    size_t size = 0;
    int good = 0;
    char path[512];
    CHECK(!make(0, directory, N, 40, 3), "sixty pictures written");
    snprintf(path, sizeof path, "%s/faces.csv", directory);
    if (!CHECK(!nn_file_read(context, path, 1 << 20, &bytes, &size), "the table is readable"))
        return;
    const char *line = strchr(bytes, '\n');
    CHECK(!strncmp(bytes,
                   "file,class,attack,xmin,ymin,xmax,ymax,left_eye_x,left_eye_y,"
                   "right_eye_x,right_eye_y\n",
                   84),
          "columns as documented");
    for (int n = 0; n < N && line; n++, line = strchr(line + 1, '\n')) {
        bool ok = good_row(line + 1, n, 40);
        if (!ok) printf("# row %d: %.100s\n", n, line + 1);
        good += ok;
    }
    CHECK(good == N, "boxes and eyes are sane in %d of %d rows", good, N);
    nn_free(context, bytes);
    nn_close(&context);
}

/* Accuracy of the best single threshold on value[]: even pictures are real. */
static double best_threshold(const double *value, int count)
{
    double best = 0;
    for (int i = 0; i < count; i++) {
        int right = 0;
        for (int n = 0; n < count; n++) right += (value[n] <= value[i]) == (n % 2 == 0);
        double share = (double)right / count;
        if (share < 1 - share) share = 1 - share;
        if (share > best) best = share;
    }
    return best;
}

static void test_not_by_brightness(void)
{
    enum { N = 200, SIDE = 48 };
    static double mean[N], deviation[N];
    struct nn_context *context = open_with(1, NULL);
    const char *directory = place("control");
    const struct vi_decode_options gray = {.color = VI_GRAY};
    int read = 0;
    CHECK(!make(0, directory, N, SIDE, 11), "two hundred pictures written");
    for (int n = 0; n < N; n++) {
        struct vi_image image = {0};
        char path[512];
        snprintf(path, sizeof path, "%s/%s", directory, name_of(n));
        if (vi_read(&image, context, path, &gray) || image.width != SIDE) continue;
        double sum = 0, squares = 0, pixels = SIDE * SIDE;
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                double v = image.pixels[y * image.stride + x];
                sum += v;
                squares += v * v;
            }
        mean[n] = sum / pixels;
        deviation[n] = sqrt(squares / pixels - mean[n] * mean[n]);
        vi_image_free(context, &image);
        read++;
    }
    CHECK(read == N, "all are JPEGs of the right size");
    /* With no difference at all the best of 200 thresholds is expected at about 0.55. */
    double by_mean = best_threshold(mean, N), by_deviation = best_threshold(deviation, N);
    CHECK(by_mean < 0.60, "brightness alone is right in %.3f", by_mean);
    CHECK(by_deviation < 0.62, "contrast alone is right in %.3f", by_deviation);
    nn_close(&context);
}

static void test_refusals(void)
{
    struct ds_synth_options options = {.count = 2, .size = 32};
    struct nn_context *context = open_with(2, NULL);
    const char *full = place("one"), *plain = place("plain"), *stopped = place("stopped");
    int before = walk(full, false);
    CHECK(ds_synth(context, full, &options) == NN_ERROR_ARGUMENT, "a folder with files is refused");
    CHECK(strstr(nn_error(context), "not empty") && strstr(nn_error(context), full),
          "and named: %s", nn_error(context));
    CHECK(walk(full, false) == before, "and left as it was");
    CHECK(!nn_file_write(context, plain, "x", 1), "a plain file");
    CHECK(ds_synth(context, plain, &options) == NN_ERROR_IO, "a file is no folder: %s",
          nn_error(context));
    CHECK(ds_synth(context, "/dev/full/x", &options) == NN_ERROR_IO, "nor is a device: %s",
          nn_error(context));
    CHECK(ds_synth(context, "", &options) == NN_ERROR_ARGUMENT, "no name at all");
    static const int bad[][2] = {{0, 32}, {-1, 32}, {2000000000, 32}, {2, 31}, {2, -5}, {2, 5000}};
    int refused = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ds_synth_options wrong = {.count = bad[i][0], .size = bad[i][1]};
        refused += ds_synth(context, place("never"), &wrong) == NN_ERROR_ARGUMENT;
    }
    CHECK(refused == 6, "counts and sizes out of range are refused: %d of 6", refused);
    volatile int stop = 1;
    options.stop = &stop;
    CHECK(ds_synth(context, stopped, &options) == NN_ERROR_INTERRUPTED, "stop is honoured: %s",
          nn_error(context));
    CHECK(walk(stopped, false) == 0, "and leaves no pictures");
    nn_close(&context);
}

/* A disk that is full: files may not grow beyond 600 bytes. */
static void test_full_disk(void)
{
    struct rlimit old, small;
    struct nn_context *context = open_with(2, NULL);
    struct ds_synth_options options = {.count = 6, .size = 64};
    const char *directory = place("disk");
    if (getrlimit(RLIMIT_FSIZE, &old)) {
        test_skip("full disk", "no limit on file sizes here");
        nn_close(&context);
        return;
    }
    signal(SIGXFSZ, SIG_IGN);
    fflush(stdout);
    small = old;
    small.rlim_cur = 600;
    setrlimit(RLIMIT_FSIZE, &small);
    enum nn_status status = ds_synth(context, directory, &options);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK(status == NN_ERROR_IO, "a full disk is an error: %s", nn_error(context));
    CHECK(walk(directory, false) == 0, "and nothing is left");
    nn_close(&context);
}

static long calls_left;

static void *failing(void *user, size_t bytes)
{
    void *memory = NULL;
    (void)user;
    if (calls_left-- == 0) return NULL;
    return posix_memalign(&memory, 64, bytes ? bytes : 1) ? NULL : memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

static void test_no_memory(void)
{
    const struct nn_allocator allocator = {failing, release, NULL};
    struct ds_synth_options options = {.count = 4, .size = 32};
    int clean = 0, tried = 0;
    enum nn_status status = NN_ERROR_MEMORY;
    while (status && tried < 400) {
        calls_left = -1; /* never */
        struct nn_context *context = open_with(1, &allocator);
        size_t held = nn_bytes_allocated(context);
        const char *directory = place("memory");
        calls_left = tried;
        status = ds_synth(context, directory, &options);
        calls_left = -1;
        if (status) {
            bool ok = status == NN_ERROR_MEMORY && *nn_error(context) &&
                      nn_bytes_allocated(context) == held && walk(directory, false) == 0;
            if (!ok) printf("# allocation %d: status %d, %s\n", tried, status, nn_error(context));
            clean += ok;
            tried++;
        }
        walk(directory, true);
        nn_close(&context);
    }
    CHECK(!status && tried > 10, "succeeds once no allocation fails (%d tried)", tried);
    CHECK(clean == tried, "every failed allocation ends cleanly: %d of %d", clean, tried);
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%.90s/synth.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(root)) {
        CHECK(false, "a scratch folder");
        return test_done();
    }
    test_same_bytes();
    test_table();
    test_not_by_brightness();
    test_refusals();
    test_full_disk();
    test_no_memory();
    walk(root, true);
    return test_done();
}
