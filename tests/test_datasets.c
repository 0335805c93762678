/* test_datasets.c — folders of pictures: order, odd and hostile contents, memory, splits. */
#include "datasets/datasets.h"
#include "tests/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct nn_context *context;
static char scratch[256]; /* the folder that everything happens in */

enum { SIDE = 4, BYTES = SIDE * SIDE * 3 };
static const struct ds_options small = {.width = SIDE, .height = SIDE, .color = VI_RGB};

/* ---- making pictures ---------------------------------------------------------------------- */

static const char *at(const char *path)
{
    static char full[4][1024];
    static int next;
    char *to = full[next++ % 4];
    snprintf(to, sizeof full[0], "%s/%s", scratch, path);
    return to;
}

static void make_folder(const char *path)
{
    if (mkdir(at(path), 0777) != 0) perror(path);
}

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(at(path), "wb");
    if (!file || fwrite(bytes, 1, size, file) != size) perror(path);
    if (file) fclose(file);
}

static uint8_t sample(int i, int seed)
{
    return (uint8_t)(i * 31 + seed * 57 + i * i % 7);
}

/* A PNG whose pixels are a function of `seed`. */
static void make_picture(const char *path, int seed)
{
    uint8_t pixels[BYTES];
    for (int i = 0; i < BYTES; i++) pixels[i] = sample(i, seed);
    const struct vi_image image = {pixels, SIDE, SIDE, 3, (ptrdiff_t)SIDE * 3};
    void *bytes = NULL;
    size_t size = 0;
    if (vi_encode(&bytes, &size, &image, context, "png", 0)) printf("# %s\n", nn_error(context));
    write_bytes(path, bytes, size);
    nn_free(context, bytes);
}

static bool is_picture(const struct ds_pictures *pictures, size_t index, const char *path, int seed)
{
    if (index >= pictures->count || strcmp(pictures->paths[index], path) != 0) return false;
    for (int i = 0; i < BYTES; i++)
        if (pictures->pixels[index * BYTES + (size_t)i] != sample(i, seed)) return false;
    return true;
}

static void remove_all(void)
{
    char command[600];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' && rm -rf '%s'", scratch, scratch);
    if (system(command) != 0) printf("# %s was not removed\n", scratch);
}

static enum nn_status load(struct ds_pictures *pictures, const char *path, int min_classes)
{
    return ds_load(pictures, context, at(path), &small, min_classes);
}

/* ---- what is found, and in which order ---------------------------------------------------- */

static void make_good(void)
{
    make_folder("good");
    make_folder("good/real");
    make_folder("good/fake");
    make_folder("good/fake/screen");
    make_folder("good/fake/print");
    make_folder("good/fake/print/day 2");
    make_picture("good/real/10.png", 10);
    make_picture("good/real/2.PNG", 2);
    make_picture("good/real/002.PNG", 3);
    make_picture("good/real/x1y.png", 4);
    make_picture("good/fake/0.png", 5);
    make_picture("good/fake/r.png", 9);
    make_picture("good/fake/screen/1.png", 6);
    make_picture("good/fake/print/b.png", 7);
    make_picture("good/fake/print/day 2/a.png", 8);
    write_bytes("good/real/notes.txt", "x", 1);
    write_bytes("good/real/.hidden.png", "x", 1);
    write_bytes("good/faces.csv", "x", 1);
    make_folder("good/__MACOSX");
    make_folder("good/.git");
}

static void test_order(void)
{
    struct ds_pictures p;
    if (!CHECK(!load(&p, "good", 2), "a good folder loads")) printf("# %s\n", nn_error(context));
    CHECK(p.classes == 2 && strcmp(p.class_names[0], "fake") == 0 &&
              strcmp(p.class_names[1], "real") == 0,
          "classes in byte order; hidden ones are none");
    CHECK(p.count == 9 && p.bad_count == 0, "%zu pictures, %zu bad", p.count, p.bad_count);
    CHECK(is_picture(&p, 0, "fake/0.png", 5) && is_picture(&p, 1, "fake/print/b.png", 7) &&
              is_picture(&p, 2, "fake/print/day 2/a.png", 8) &&
              is_picture(&p, 3, "fake/r.png", 9) && is_picture(&p, 4, "fake/screen/1.png", 6),
          "fake: natural order, pixels belong to their paths");
    CHECK(is_picture(&p, 5, "real/002.PNG", 3) && is_picture(&p, 6, "real/2.PNG", 2) &&
              is_picture(&p, 7, "real/10.png", 10) && is_picture(&p, 8, "real/x1y.png", 4),
          "real: numbers by value, then by bytes");
    static const uint16_t labels[] = {0, 0, 0, 0, 0, 1, 1, 1, 1};
    CHECK(memcmp(p.labels, labels, sizeof labels) == 0, "labels");
    static const uint16_t groups[] = {0, 1, 1, 0, 2, 3, 3, 3, 3};
    static const char *const names[] = {"fake", "fake/print", "fake/screen", "real"};
    bool same = p.group_count == 4 && memcmp(p.groups, groups, sizeof groups) == 0;
    for (int g = 0; same && g < 4; g++) same = strcmp(p.group_names[g], names[g]) == 0;
    CHECK(same, "groups name the first folder below the class, or the class");
    ds_free(&p);
    ds_free(&p);
    CHECK(p.count == 0 && !p.pixels, "freed, twice too");
}

static void test_colors(void)
{
    struct ds_options bgr = small;
    uint8_t one[BYTES];
    struct ds_pictures p;
    bgr.color = VI_BGR;
    CHECK(!ds_load(&p, context, at("good/"), &bgr, 0) && p.count == 9 &&
              p.pixels[0] == sample(2, 5) && p.pixels[2] == sample(0, 5),
          "BGR; a slash at the end; min_classes 0");
    CHECK(!ds_read_picture(one, context, at("good/fake/0.png"), &bgr) &&
              memcmp(one, p.pixels, BYTES) == 0,
          "ds_read_picture gives what the loader gives");
    ds_free(&p);
    CHECK(ds_read_picture(one, context, at("good/none.png"), &bgr) == NN_ERROR_IO, "missing: %s",
          nn_error(context));
    bgr.width = 7;
    bgr.height = 3;
    CHECK(!ds_load(&p, context, at("good"), &bgr, 2) && p.width == 7 && p.height == 3,
          "another size");
    ds_free(&p);
}

/* ---- odd contents ------------------------------------------------------------------------- */

static const struct ds_bad_file *find_bad(const struct ds_pictures *p, const char *path)
{
    for (size_t i = 0; i < p->bad_count; i++)
        if (strcmp(p->bad[i].path, path) == 0) return &p->bad[i];
    return NULL;
}

static void make_odd(void)
{
    uint8_t cut[40] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10};
    make_folder("odd");
    make_folder("odd/a");
    make_folder("odd/b");
    make_folder("odd/a/folder.png");
    make_picture("odd/a/folder.png/in.png", 1);
    make_picture("odd/a/new\nline \xff\x1b[2J.png", 2);
    make_picture("odd/b/ok.png", 3);
    make_picture("odd/beside.png", 4);
    write_bytes("odd/a/zero.png", "", 0);
    write_bytes("odd/a/cut.png", cut, sizeof cut);
    write_bytes("odd/a/text.jpg", "hello, world", 12);
    write_bytes("odd/a/new\nbad.png", "?", 1);
    bool made = mkfifo(at("odd/a/fifo.png"), 0666) == 0 &&
                symlink("nowhere", at("odd/a/broken.jpg")) == 0 &&
                symlink("nowhere", at("odd/a/broken.txt")) == 0 &&
                symlink("self", at("odd/a/self")) == 0 && symlink("..", at("odd/a/up")) == 0 &&
                symlink("/dev/zero", at("odd/a/zero.jpeg")) == 0 &&
                symlink("../b", at("odd/a/other")) == 0;
    if (!made) perror("odd");
}

static void test_odd(void)
{
    static const char *const bad[] = {"a/zero.png", "a/cut.png",     "a/text.jpg", "a/fifo.png",
                                      "a/self",     "a/broken.jpg",  "a/up",       "a/zero.jpeg",
                                      "beside.png", "a/new\nbad.png"};
    const size_t expected = sizeof bad / sizeof *bad;
    struct ds_pictures p;
    if (!CHECK(!load(&p, "odd", 2), "odd contents are not fatal"))
        printf("# %s\n", nn_error(context));
    for (size_t i = 0; i < expected; i++) {
        const struct ds_bad_file *file = find_bad(&p, bad[i]);
        CHECK(file && file->reason[0] && !strchr(file->reason, '\n'), "bad file %zu: %s", i,
              file ? file->reason : "not in the list");
    }
    CHECK(p.bad_count == expected, "no other bad file");
    CHECK(p.count == 4 && is_picture(&p, 0, "a/folder.png/in.png", 1) &&
              is_picture(&p, 1, "a/new\nline \xff\x1b[2J.png", 2) &&
              is_picture(&p, 2, "a/other/ok.png", 3) && is_picture(&p, 3, "b/ok.png", 3),
          "what is good is read: a folder named .png, a name of any bytes, through a link");
    bool sorted = true;
    for (size_t i = 1; i < p.bad_count; i++)
        if (strcmp(p.bad[i - 1].path, p.bad[i].path) > 0) sorted = false;
    CHECK(sorted, "the bad list has an order of its own");
    ds_free(&p);
}

static void test_deep(void)
{
    char path[600] = "deep/a";
    make_folder("deep");
    make_folder("deep/a");
    make_picture("deep/a/1.png", 1);
    for (int i = 0; i < 60; i++) {
        strcat(path, "/d");
        make_folder(path);
    }
    strcat(path, "/2.png");
    make_picture(path, 2);
    struct ds_pictures p;
    enum nn_status status = load(&p, "deep", 1);
    CHECK(!status && p.count == 1 && p.bad_count == 1, "too deep: %s",
          p.bad_count ? p.bad[0].reason : "?");
    ds_free(&p);
}

static void test_unreadable(void)
{
    struct ds_pictures p;
    if (geteuid() == 0) {
        test_skip("files that may not be read", "running as root, who may read everything");
        return;
    }
    make_folder("locked");
    make_folder("locked/a");
    make_folder("locked/a/shut");
    make_picture("locked/a/1.png", 1);
    make_picture("locked/a/2.png", 2);
    chmod(at("locked/a/2.png"), 0);
    chmod(at("locked/a/shut"), 0);
    CHECK(!load(&p, "locked", 1) && p.count == 1 && p.bad_count == 2 &&
              strstr(p.bad[0].reason, "ermission"),
          "files that may not be read");
    ds_free(&p);
}

/* ---- errors ------------------------------------------------------------------------------- */

static void expect(const char *path, int min_classes, enum nn_status status, const char *says)
{
    struct ds_pictures p;
    size_t before = nn_bytes_allocated(context);
    enum nn_status got = load(&p, path, min_classes);
    CHECK(got == status && strstr(nn_error(context), says) && !strchr(nn_error(context), '\n') &&
              nn_bytes_allocated(context) == before && !p.pixels,
          "%s", nn_error(context));
    ds_free(&p);
}

static void test_errors(void)
{
    make_folder("empty");
    make_folder("flat");
    make_picture("flat/1.png", 1);
    make_folder("one");
    make_folder("one/real");
    make_picture("one/real/1.png", 1);
    make_folder("hollow");
    make_folder("hollow/real");
    make_folder("hollow/fake");
    make_picture("hollow/real/1.png", 1);
    write_bytes("hollow/fake/readme.txt", "x", 1);
    make_folder("broken");
    make_folder("broken/real");
    make_folder("broken/fa\nke");
    make_picture("broken/real/1.png", 1);
    write_bytes("broken/fa\nke/1.png", "x", 1);
    write_bytes("broken/fa\nke/2.png", "", 0);
    write_bytes("file.zip", "no zip", 6);
    expect("none", 2, NN_ERROR_IO, "No such file");
    expect("empty", 1, NN_ERROR_FORMAT, "no class folders");
    expect("flat", 1, NN_ERROR_FORMAT, "lie in no folder");
    expect("one", 2, NN_ERROR_FORMAT, "1 class ('real')");
    expect("hollow", 2, NN_ERROR_FORMAT, "'fake'");
    expect("broken", 2, NN_ERROR_FORMAT, "2 tried");
    expect("file.zip", 2, NN_ERROR_FORMAT, "neither a folder nor a .zip");
    struct ds_pictures p;
    CHECK(!load(&p, "one", 1) && p.classes == 1 && p.count == 1, "one class where one is enough");
    ds_free(&p);
    CHECK(ds_load(&p, context, "", &small, 1) == NN_ERROR_IO, "no path");
    CHECK(ds_load(&p, context, "/dev/null", &small, 1) == NN_ERROR_FORMAT, "a device");
    struct ds_options wrong = small;
    wrong.width = 0;
    CHECK(ds_load(&p, context, at("good"), &wrong, 1) == NN_ERROR_ARGUMENT, "%s",
          nn_error(context));
    wrong = small;
    wrong.color = VI_GRAY;
    CHECK(ds_load(&p, context, at("good"), &wrong, 1) == NN_ERROR_ARGUMENT, "%s",
          nn_error(context));
    wrong = small;
    wrong.max_pixels = SIDE * SIDE - 1;
    CHECK(ds_load(&p, context, at("good"), &wrong, 1) == NN_ERROR_FORMAT &&
              strstr(nn_error(context), "limit"),
          "too many pixels: %s", nn_error(context));
}

/* ---- progress, stop, threads -------------------------------------------------------------- */

struct seen {
    size_t calls, done, total;
    bool falling;
    volatile int stop;
    size_t stop_at;
};

static void see(void *user, size_t done, size_t total)
{
    struct seen *seen = user;
    seen->falling = seen->falling || done <= seen->done;
    seen->done = done;
    seen->total = total;
    seen->calls++;
    if (seen->stop_at && done >= seen->stop_at) seen->stop = 1;
}

static void make_many(void)
{
    char path[64];
    make_folder("many");
    make_folder("many/a");
    make_folder("many/b");
    for (int i = 0; i < 60; i++) {
        snprintf(path, sizeof path, "many/%c/%d.png", i % 3 ? 'a' : 'b', i);
        if (i % 7 == 3)
            write_bytes(path, "broken", 6);
        else
            make_picture(path, i);
    }
}

static void test_progress(void)
{
    struct seen seen = {0};
    struct ds_options options = small;
    struct ds_pictures p;
    options.progress = see;
    options.user = &seen;
    options.stop = &seen.stop;
    enum nn_status status = ds_load(&p, context, at("many"), &options, 2);
    CHECK(!status && seen.calls > 1 && !seen.falling && seen.done == 60 && seen.total == 60,
          "progress: %zu calls, up to the last picture", seen.calls);
    ds_free(&p);
    seen = (struct seen){.stop_at = 1};
    CHECK(ds_load(&p, context, at("many"), &options, 2) == NN_ERROR_INTERRUPTED &&
              seen.calls == 1 && !p.pixels,
          "stopped after the first slice: %s", nn_error(context));
    seen = (struct seen){.stop = 1};
    CHECK(ds_load(&p, context, at("many"), &options, 2) == NN_ERROR_INTERRUPTED && seen.calls == 0,
          "stopped before it began");
}

static bool same_pictures(const struct ds_pictures *a, const struct ds_pictures *b)
{
    bool same = a->count == b->count && a->bad_count == b->bad_count &&
                memcmp(a->pixels, b->pixels, a->count * BYTES) == 0 &&
                memcmp(a->labels, b->labels, a->count * sizeof *a->labels) == 0;
    for (size_t i = 0; same && i < a->count; i++) same = strcmp(a->paths[i], b->paths[i]) == 0;
    for (size_t i = 0; same && i < a->bad_count; i++)
        same = strcmp(a->bad[i].path, b->bad[i].path) == 0 &&
               strcmp(a->bad[i].reason, b->bad[i].reason) == 0;
    return same;
}

static void test_threads(void)
{
    struct ds_pictures reference;
    CHECK(!load(&reference, "many", 2) && reference.count == 51 && reference.bad_count == 9,
          "51 good pictures and 9 broken ones");
    for (int threads = 1; threads <= 3; threads += 2) {
        struct nn_context *other;
        struct ds_pictures p;
        if (nn_open(&other, &(struct nn_options){.threads = threads})) continue;
        CHECK(!ds_load(&p, other, at("many"), &small, 2) && same_pictures(&p, &reference),
              "the same with %d threads", threads);
        ds_free(&p);
        nn_close(&other);
    }
    ds_free(&reference);
}

/* ---- memory ------------------------------------------------------------------------------- */

struct failing {
    long calls, first, last; /* calls from `first` to `last` fail */
};

static void *fail_allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    long call = failing->calls++;
    if (call >= failing->first && call <= failing->last) return NULL;
    void *memory = NULL;
    return posix_memalign(&memory, 64, bytes) ? NULL : memory;
}

static void fail_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

/* Loads and splits; true unless an allocation failed and the answer was not a clean error. */
static bool fails_cleanly(struct nn_context *other, struct failing *failing, long first, long last)
{
    struct ds_pictures p;
    struct ds_split split = {0};
    size_t before = nn_bytes_allocated(other);
    *failing = (struct failing){0, first, last};
    enum nn_status status = ds_load(&p, other, at("good"), &small, 2);
    if (!status) status = ds_split_make(&split, &p, DS_SPLIT_RANDOM, 0.25, 1);
    bool failed = failing->calls > first;
    ds_split_free(other, &split);
    ds_free(&p);
    if (status && status != NN_ERROR_MEMORY) printf("# %ld: %s\n", first, nn_error(other));
    return status == (failed ? NN_ERROR_MEMORY : NN_OK) && nn_bytes_allocated(other) == before;
}

static void test_memory(void)
{
    struct failing failing = {0, -1, -1};
    const struct nn_allocator allocator = {fail_allocate, fail_release, &failing};
    struct nn_context *other;
    enum nn_status status =
        nn_open(&other, &(struct nn_options){.threads = 1, .allocator = &allocator});
    if (!CHECK(!status, "a context that can run out of memory")) return;
    for (int forever = 0; forever < 2; forever++) {
        long n = 0, wrong = 0;
        do {
            wrong += !fails_cleanly(other, &failing, n, forever ? 1000000 : n);
        } while (failing.calls > n++ && n < 2000);
        CHECK(n > 50 && n < 2000 && wrong == 0, "each of %ld allocations failed%s: clean errors",
              n - 1, forever ? ", and all after it" : "");
    }
    nn_close(&other);
}

/* ---- splits ------------------------------------------------------------------------------- */

enum { SPLIT = 111 };
static uint16_t split_labels[SPLIT]; /* 10 of class 0, 100 of class 1, 1 of class 2 */
static struct ds_pictures split_pictures;

static void make_split_pictures(void)
{
    for (int i = 0; i < SPLIT; i++) split_labels[i] = (uint16_t)((i >= 10) + (i >= 110));
    split_pictures = (struct ds_pictures){
        .context = context, .classes = 3, .count = SPLIT, .labels = split_labels};
}

/* How many of class `label` are held out; -1 if the split is no partition in order. */
static int held(const struct ds_split *split, int label)
{
    int seen[SPLIT] = {0}, count = 0;
    for (size_t i = 0; i < split->train_count; i++) seen[split->train[i]]++;
    for (size_t i = 0; i < split->val_count; i++) {
        seen[split->val[i]]++;
        count += split_labels[split->val[i]] == label;
        if (i && split->val[i] <= split->val[i - 1]) return -1;
    }
    for (int i = 0; i < SPLIT; i++)
        if (seen[i] != 1) return -1;
    return count;
}

static void test_split(void)
{
    static const struct {
        double fraction;
        int small, large;
    } cases[] = {{0, 0, 0}, {.25, 3, 25}, {.5, 5, 50}, {.001, 1, 1}, {.999, 9, 99}, {.04, 1, 4}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (int kind = DS_SPLIT_RANDOM; kind <= DS_SPLIT_TAIL; kind++) {
            struct ds_split s;
            enum nn_status status =
                ds_split_make(&s, &split_pictures, (enum ds_split_kind)kind, cases[c].fraction, 7);
            CHECK(!status && held(&s, 0) == cases[c].small && held(&s, 1) == cases[c].large &&
                      held(&s, 2) == 0,
                  "%s split, fraction %g: %zu held out", kind == DS_SPLIT_TAIL ? "tail" : "random",
                  cases[c].fraction, s.val_count);
            ds_split_free(context, &s);
        }
    }
    struct ds_split s;
    static const double wrong[] = {-0.1, 1, 2, NAN, INFINITY};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(ds_split_make(&s, &split_pictures, DS_SPLIT_RANDOM, wrong[i], 7) == NN_ERROR_ARGUMENT,
              "%s", nn_error(context));
}

static void test_split_choice(void)
{
    struct ds_split a, b, c, tail;
    bool made = !ds_split_make(&a, &split_pictures, DS_SPLIT_RANDOM, .25, 1) &&
                !ds_split_make(&b, &split_pictures, DS_SPLIT_RANDOM, .25, 1) &&
                !ds_split_make(&c, &split_pictures, DS_SPLIT_RANDOM, .25, 2) &&
                !ds_split_make(&tail, &split_pictures, DS_SPLIT_TAIL, .25, 1);
    if (!CHECK(made, "four splits")) return;
    CHECK(memcmp(a.val, b.val, a.val_count * sizeof *a.val) == 0, "same seed, same split");
    CHECK(memcmp(a.val, c.val, a.val_count * sizeof *a.val) != 0, "another seed, another split");
    bool last = tail.val[0] == 7 && tail.val[2] == 9 && tail.val[3] == 85 && tail.val[27] == 109;
    CHECK(last, "tail: the last of each class");
    ds_split_free(context, &a);
    ds_split_free(context, &b);
    ds_split_free(context, &c);
    ds_split_free(context, &tail);
    /* Shuffled labels, as controls use them, are split by class as well. */
    struct nn_rng rng = nn_rng_make(3, 0);
    for (uint32_t i = SPLIT; i > 1; i--) {
        uint32_t j = nn_rng_below(&rng, i);
        uint16_t kept = split_labels[i - 1];
        split_labels[i - 1] = split_labels[j];
        split_labels[j] = kept;
    }
    CHECK(!ds_split_make(&a, &split_pictures, DS_SPLIT_RANDOM, .25, 1) && held(&a, 0) == 3 &&
              held(&a, 1) == 25 && held(&a, 2) == 0,
          "labels in any order");
    ds_split_free(context, &a);
    make_split_pictures();
}

static void test_weights(void)
{
    static const uint32_t some[] = {0, 1, 2, 50};
    float w[3];
    ds_class_weights(w, &split_pictures, NULL, 0);
    CHECK(w[0] == 111.0f / 30 && w[1] == 0.37f && w[2] == 37, "balanced weights of all");
    ds_class_weights(w, &split_pictures, some, 4);
    CHECK(w[0] == 4.0f / 9 && w[1] == 4.0f / 3 && w[2] == 0, "of some; an absent class weighs 0");
}

/* ---- real pictures ------------------------------------------------------------------------ */

static void test_real(void)
{
    const char *shared = test_shared();
    char path[512];
    struct ds_pictures p;
    const struct ds_options options = {.width = 32, .height = 32, .color = VI_BGR};
    if (!shared) {
        test_skip("real pictures", "../shared is missing");
        return;
    }
    snprintf(path, sizeof path, "%s/data/liveness/pyimagesearch-original", shared);
    enum nn_status status = ds_load(&p, context, path, &options, 2);
    size_t real = 0;
    for (size_t i = 0; i < p.count; i++) real += p.labels[i] == 1;
    CHECK(!status && p.count == 311 && real == 161 && p.bad_count == 0 &&
              ds_live_class(p.class_names, p.classes, NULL) == 1,
          "real pictures: %zu, %zu of them live", p.count, real);
    ds_free(&p);
}

int main(void)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/datasets.XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(scratch) || nn_open(&context, &(struct nn_options){.threads = 2})) {
        CHECK(false, "a scratch folder and a context");
        return test_done();
    }
    size_t before = nn_bytes_allocated(context);
    make_good();
    test_order();
    test_colors();
    make_odd();
    test_odd();
    test_deep();
    test_unreadable();
    test_errors();
    make_many();
    test_progress();
    test_threads();
    test_memory();
    make_split_pictures();
    test_split();
    test_split_choice();
    test_weights();
    test_real();
    CHECK(nn_bytes_allocated(context) == before, "all memory was given back");
    nn_close(&context);
    remove_all();
    return test_done();
}
