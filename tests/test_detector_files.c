/* test_detector_files.c — which files a face detector is read from; files that are damaged, memory
 * that runs out. */
#include "tests/tiny_detector.h"
#include "vision/face/files.h"

#include <sys/stat.h>
#include <unistd.h>

/* ---- files ----------------------------------------------------------------------------------- */

static void touch(const char *name)
{
    FILE *file = fopen(in_folder(name), "wb");
    if (file) fclose(file);
}

static bool finds(const char *asked, const char *network, const char *weights)
{
    struct vi_detector_files files;
    char wanted[2][400];
    if (vi_detector_find(&files, context, in_folder(asked))) {
        printf("# %s\n", nn_error(context));
        return false;
    }
    snprintf(wanted[0], sizeof wanted[0], "%s/%s", folder, network ? network : "");
    snprintf(wanted[1], sizeof wanted[1], "%s/%s", folder, weights);
    bool right =
        strcmp(files.weights, wanted[1]) == 0 &&
        (network ? files.network && strcmp(files.network, wanted[0]) == 0 : !files.network);
    if (!right) printf("# got %s and %s\n", files.network ? files.network : "-", files.weights);
    vi_detector_forget(&files, context);
    return right;
}

static bool finds_not(const char *asked, const char *text)
{
    struct vi_detector_files files;
    bool failed = vi_detector_find(&files, context, in_folder(asked)) != NN_OK;
    bool clean = !files.network && !files.weights;
    vi_detector_forget(&files, context);
    return failed && clean && says(text);
}

static void test_caffe_files(void)
{
    CHECK(finds_not("d", "no face detector in") && says("weights/fetch.sh"), "an empty folder");
    CHECK(finds_not("e", "No such file") && says("weights/fetch.sh"), "no folder");
    touch("d/net.prototxt");
    touch("d/readme.txt");
    touch("d/.hidden.caffemodel");
    CHECK(finds_not("d", "has 'net.prototxt', but no .caffemodel"), "half a pair");
    CHECK(finds_not("d/net.prototxt", "has 'net.prototxt', but no .caffemodel"), "and by name");
    touch("d/a.caffemodel");
    CHECK(finds("d", "d/net.prototxt", "d/a.caffemodel"), "the only ones of their kind");
    CHECK(finds("d/", "d/net.prototxt", "d/a.caffemodel"), "with a slash");
    touch("d/b.prototxt");
    CHECK(finds_not("d", "2 .prototxt files in") && says("('b.prototxt', 'net.prototxt')"),
          "two networks");
    touch("d/deploy.prototxt");
    CHECK(finds("d", "d/deploy.prototxt", "d/a.caffemodel"), "deploy.prototxt goes first");
    touch("d/b.CAFFEMODEL");
    touch("d/c.caffemodel");
    CHECK(finds_not("d", "3 .caffemodel files in") && says("'a.caffemodel', 'b.CAFFEMODEL' ..."),
          "three weights");
    CHECK(finds("d/a.caffemodel", "d/deploy.prototxt", "d/a.caffemodel"), "by name: deploy");
    CHECK(finds("d/b.CAFFEMODEL", "d/b.prototxt", "d/b.CAFFEMODEL"), "by name: its own");
    CHECK(finds_not("d/b.prototxt", "3 .caffemodel"), "by name, but three could be meant");
    touch("d/net.caffemodel");
    CHECK(finds("d/net.prototxt", "d/net.prototxt", "d/net.caffemodel"), "its own weights");
    CHECK(finds_not("d/readme.txt", "is no face detector: expected a folder"), "another ending");
}

static void test_other_files(void)
{
    mkdir(in_folder("t"), 0777);
    touch("t/net.prototxt");
    touch("t/face.pbtxt");
    touch("t/face_uint8.pb");
    mkdir(in_folder("t/x.pb"), 0777);
    CHECK(finds("t", "t/face.pbtxt", "t/face_uint8.pb"), "TensorFlow's pair, whole");
    CHECK(finds("t/face_uint8.pb", "t/face.pbtxt", "t/face_uint8.pb") &&
              finds("t/face.pbtxt", "t/face.pbtxt", "t/face_uint8.pb"),
          "either by name");
    touch("t/m.safetensors");
    CHECK(finds("t", "t/face.pbtxt", "t/face_uint8.pb"), "it goes before .safetensors");
    CHECK(finds("t/m.safetensors", NULL, "t/m.safetensors"), "which is found by name");
    touch("t/net.caffemodel");
    CHECK(finds("t", "t/net.prototxt", "t/net.caffemodel"), "and behind Caffe's");
    unlink(in_folder("t/net.prototxt"));
    unlink(in_folder("t/net.caffemodel"));
    unlink(in_folder("t/face.pbtxt"));
    CHECK(finds("t", NULL, "t/m.safetensors"), "one .safetensors alone");
    unlink(in_folder("t/m.safetensors"));
    CHECK(finds_not("t", "has 'face_uint8.pb', but no .pbtxt"), "half a pair");
    touch("t/m.safetensors");
    touch("t/n.safetensors");
    CHECK(finds_not("t", "2 .safetensors files"), "two of them");
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size) abort();
    fclose(file);
}

static void test_damage(void)
{
    enum { FLIPS = 1000 };
    struct tiny tiny = TINY;
    const char *path = in_folder("damaged.safetensors");
    struct vi_detector *detector;
    void *bytes = NULL;
    size_t size = 0;
    int opened = 0;
    if (!CHECK(tiny_write(&tiny, path) && !nn_file_read(context, path, 1 << 20, &bytes, &size),
               "a file"))
        return;
    for (size_t cut = 0; cut < size; cut += 1 + cut / 64) {
        write_bytes(path, bytes, cut);
        opened += !vi_detector_open(&detector, context, path);
        vi_detector_close(&detector);
    }
    CHECK(opened == 0, "no part of a file is a detector");
    struct nn_rng rng = nn_rng_make(3, 0);
    for (int i = 0; i < FLIPS; i++) {
        unsigned char *at = (unsigned char *)bytes + nn_rng_below(&rng, (uint32_t)size);
        unsigned char bit = (unsigned char)(1u << nn_rng_below(&rng, 8));
        *at ^= bit;
        write_bytes(path, bytes, size);
        opened += !vi_detector_open(&detector, context, path);
        vi_detector_close(&detector);
        *at ^= bit;
    }
    CHECK(opened == 0, "nor is one with a bit changed");
    write_bytes(path, bytes, size);
    CHECK(!vi_detector_open(&detector, context, path), "the whole one is");
    vi_detector_close(&detector);
    nn_free(context, bytes);
    unlink(path);
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct failing {
    long calls, fails_at;
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    void *memory = NULL;
    if (++failing->calls == failing->fails_at || posix_memalign(&memory, 64, bytes)) return NULL;
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

static void test_memory(void)
{
    struct failing failing = {0, 0};
    struct nn_allocator allocator = {allocate, release, &failing};
    struct nn_context *poor;
    struct tiny tiny = TINY;
    const char *path = in_folder("tiny.safetensors");
    if (!tiny_write(&tiny, path) ||
        nn_open(&poor, &(struct nn_options){.threads = 1, .allocator = &allocator}))
        return;
    size_t before = nn_bytes_allocated(poor);
    bool right = true;
    int failed = 0;
    for (long i = 1;; i++) {
        struct vi_detector *detector;
        failing = (struct failing){0, i};
        enum nn_status status = vi_detector_open(&detector, poor, path);
        right = right && (status ? status == NN_ERROR_MEMORY && !detector : detector != NULL);
        failing.fails_at = 0;
        if (!status) status = vi_detector_save(detector, in_folder("saved.safetensors"));
        vi_detector_close(&detector);
        right = right && nn_bytes_allocated(poor) == before;
        if (!status) break;
        failed++;
    }
    CHECK(right && failed > 20, "each of %d allocations failed once: told, and nothing leaks",
          failed);
    nn_close(&poor);
}

int main(void)
{
    tiny_start();
    mkdir(in_folder("d"), 0777);
    test_caffe_files();
    test_other_files();
    test_damage();
    test_memory();
    return tiny_done();
}
