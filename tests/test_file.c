/* test_file.c — whole files in and out: what must be refused, what must not be left behind, and
 * SHA-256 against the standard's vectors. */
#include "nn/nn.h"
#include "nn/format/sha256.h"
#include "tests/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct nn_context *context;
static char folder[256];

/* "<folder>/<name>"; four at a time. */
static const char *at(const char *name)
{
    static char paths[4][512];
    static int next;
    char *made = paths[next++ % 4];
    snprintf(made, sizeof paths[0], "%s/%s", folder, name);
    return made;
}

static bool holds(const char *name, const char *text)
{
    void *bytes;
    size_t size;
    if (nn_file_read(context, at(name), 1000, &bytes, &size)) return false;
    bool same = size == strlen(text) && memcmp(bytes, text, size + 1) == 0;
    nn_free(context, bytes);
    return same;
}

static enum nn_status put(const char *name, const char *text)
{
    return nn_file_write(context, at(name), text, strlen(text));
}

static int entries(void)
{
    int count = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) count += e->d_name[0] != '.' || e->d_name[1];
    if (d) closedir(d);
    return count - 1; /* ".." */
}

static bool says(const char *text)
{
    bool found = strstr(nn_error(context), text) != NULL;
    if (!found) printf("# got: %s\n", nn_error(context));
    return found;
}

static enum nn_status read_status(const char *full, size_t limit)
{
    void *bytes = &bytes;
    size_t size = 1;
    enum nn_status status = nn_file_read(context, full, limit, &bytes, &size);
    if (status && (bytes || size)) return NN_OK; /* outputs must be cleared: let the check fail */
    if (!status) nn_free(context, bytes);
    return status;
}

static void test_read(void)
{
    CHECK(put("a", "hello\n") == NN_OK && holds("a", "hello\n"), "what is written is read");
    CHECK(put("empty", "") == NN_OK && holds("empty", ""), "also nothing at all");
    CHECK(read_status(at("a"), 6) == NN_OK, "a file as large as the limit");
    CHECK(read_status(at("a"), 5) == NN_ERROR_UNSUPPORTED && says("6 bytes") && says("5"),
          "a file larger than the limit is refused");
    CHECK(read_status(at("none"), 5) == NN_ERROR_IO && says("cannot open '") &&
              says("none': No such file or directory"),
          "a missing file is named, with the system's reason");
    CHECK(read_status(folder, 100) == NN_ERROR_IO && says("Is a directory"), "a folder");
    CHECK(read_status(at("a/b"), 100) == NN_ERROR_IO && says("Not a directory"),
          "a file in a file");
    CHECK(read_status(at("no\nsuch\x1b[2J"), 5) == NN_ERROR_IO && says("no\\x0Asuch\\x1B[2J'"),
          "control characters of names are escaped");
    CHECK(read_status("/dev/zero", 100) == NN_ERROR_IO && says("not a regular file"), "a device");
    CHECK(mkfifo(at("fifo"), 0600) == 0 && read_status(at("fifo"), 100) == NN_ERROR_IO &&
              says("not a regular file"),
          "a fifo is refused at once");
    CHECK(symlink("loop", at("loop")) == 0 && read_status(at("loop"), 100) == NN_ERROR_IO,
          "a link to itself");
    unlink(at("loop"));

    /* The size a file of a sparse terabyte claims must not be allocated. */
    int file = open(at("huge"), O_CREAT | O_WRONLY, 0600);
    if (file >= 0 && ftruncate(file, (off_t)1 << 40) == 0)
        CHECK(read_status(at("huge"), 1 << 20) == NN_ERROR_UNSUPPORTED, "a sparse terabyte");
    else
        test_skip("a sparse terabyte", "this file system has none");
    if (file >= 0) close(file);
    unlink(at("huge"));
    unlink(at("fifo"));
    unlink(at("empty"));
}

/* The stat of /proc files says 0 bytes and reading gives more: just like a file that grows. */
static void test_growth(void)
{
    if (access("/proc/version", R_OK) == 0)
        CHECK(read_status("/proc/version", 1 << 20) == NN_ERROR_IO && says("grew"),
              "a file that grows while it is read");
    else
        test_skip("a file that grows while it is read", "no /proc");
}

static void test_write(void)
{
    struct stat info;
    mode_t old = umask(022);
    CHECK(put("w", "one") == NN_OK && stat(at("w"), &info) == 0 && (info.st_mode & 0777) == 0644,
          "a new file has the mode umask leaves");
    chmod(at("w"), 0600);
    CHECK(put("w", "two") == NN_OK && holds("w", "two") && stat(at("w"), &info) == 0 &&
              (info.st_mode & 0777) == 0600,
          "a replaced file keeps its mode");
    umask(old);
    CHECK(symlink("w", at("link")) == 0 && put("link", "three") == NN_OK && holds("w", "three") &&
              lstat(at("link"), &info) == 0 && S_ISLNK(info.st_mode),
          "a link stays, its target is replaced");
    CHECK(symlink("later", at("ahead")) == 0 && put("ahead", "four") == NN_OK &&
              holds("later", "four") && lstat(at("ahead"), &info) == 0 && S_ISLNK(info.st_mode),
          "also when its target does not exist yet");
    CHECK(symlink("self", at("self")) == 0 && put("self", "x") == NN_ERROR_IO,
          "a link to itself is an error");
    CHECK(mkdir(at("d"), 0700) == 0 && put("d", "x") == NN_ERROR_IO && says("Is a directory"),
          "a folder is not replaced");
    CHECK(put("none/x", "x") == NN_ERROR_IO && says("No such file"), "a missing folder");
    CHECK(put("w/x", "x") == NN_ERROR_IO && says("Not a directory"), "a file as folder");
    CHECK(nn_file_write(context, "", "x", 1) == NN_ERROR_IO, "no name");
    char name[300];
    memset(name, 'n', 255);
    name[255] = '\0';
    CHECK(put(name, "x") == NN_OK && holds(name, "x"), "the longest name there can be");
    unlink(at(name));
    name[255] = 'n';
    name[256] = '\0';
    CHECK(put(name, "x") == NN_ERROR_IO && says("too long"), "one longer");
    unlink(at("link"));
    unlink(at("ahead"));
    unlink(at("later"));
    unlink(at("self"));
    rmdir(at("d"));
    CHECK(entries() == 2, "nothing is left behind");
}

static void test_devices(void)
{
    struct stat info;
    if (access("/dev/full", W_OK) == 0) {
        CHECK(nn_file_write(context, "/dev/full", "x", 1) == NN_ERROR_IO &&
                  says("cannot write '/dev/full': No space left on device"),
              "a full disk");
        CHECK(stat("/dev/full", &info) == 0 && S_ISCHR(info.st_mode), "and it is still there");
    } else {
        test_skip("a full disk", "no /dev/full");
    }
    CHECK(nn_file_write(context, "/dev/null", "x", 1) == NN_OK && stat("/dev/null", &info) == 0 &&
              S_ISCHR(info.st_mode),
          "a device is written to, not replaced");
    CHECK(mkfifo(at("fifo"), 0600) == 0 && put("fifo", "x") == NN_ERROR_IO &&
              stat(at("fifo"), &info) == 0 && S_ISFIFO(info.st_mode),
          "a fifo nobody reads is an error and no hang");
    char got[4] = {0};
    int reader = open(at("fifo"), O_RDONLY | O_NONBLOCK);
    CHECK(put("fifo", "abc") == NN_OK && read(reader, got, 3) == 3 && !strcmp(got, "abc"),
          "a fifo somebody reads is written to");
    close(reader);
    unlink(at("fifo"));

    /* /dev/stdout redirected to a file by `>>`: appended to, not replaced. */
    fflush(stdout);
    int kept = dup(STDOUT_FILENO), log = open(at("log"), O_CREAT | O_WRONLY | O_APPEND, 0600);
    bool ok = kept >= 0 && write(log, "before ", 7) == 7 && dup2(log, STDOUT_FILENO) >= 0;
    enum nn_status status = nn_file_write(context, "/dev/stdout", "after", 5);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(log);
    CHECK(ok && !status && holds("log", "before after"), "/dev/stdout continues what is there");
    unlink(at("log"));
}

/* Runs a check as an ordinary user, for whom permissions count, and returns what it returns. */
static bool unprivileged(bool (*check)(void))
{
    if (geteuid() != 0) return check();
    if (chmod(folder, 0777) || seteuid(65534)) return false;
    bool ok = check();
    return seteuid(0) == 0 && ok;
}

static bool read_only_folder(void)
{
    return put("ro/x", "x") == NN_ERROR_IO && says("ro/x': Permission denied");
}

static bool read_only_file(void)
{
    return put("ro-file", "new") == NN_ERROR_IO && says("Permission denied");
}

static bool unreadable_file(void)
{
    return read_status(at("secret"), 10) == NN_ERROR_IO && says("Permission denied");
}

static void test_permissions(void)
{
    if (geteuid() == 0 && (seteuid(65534) != 0 || seteuid(0) != 0)) {
        test_skip("permissions", "root cannot become an ordinary user here");
        return;
    }
    mkdir(at("ro"), 0555);
    put("ro-file", "old");
    put("secret", "s");
    chmod(at("ro-file"), 0444);
    chmod(at("secret"), 0);
    CHECK(unprivileged(read_only_folder), "a read-only folder");
    CHECK(unprivileged(unreadable_file), "a file that must not be read");
    CHECK(unprivileged(read_only_file), "a write-protected file is not replaced");
    CHECK(holds("ro-file", "old"), "and keeps its content");
    chmod(at("ro"), 0755);
    rmdir(at("ro"));
    unlink(at("ro-file"));
    unlink(at("secret"));
}

/* A write that fails in the middle: the limit on file sizes acts as a disk that fills up. */
static void test_partial_write(void)
{
    static char large[200000];
    struct rlimit limit;
    put("keep", "old");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &limit);
        limit.rlim_cur = 100000;
        setrlimit(RLIMIT_FSIZE, &limit);
        enum nn_status status = nn_file_write(context, at("keep"), large, sizeof large);
        _exit(status == NN_ERROR_IO && strstr(nn_error(context), "File too large") ? 0 : 1);
    }
    int status = 1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0,
          "a write that fails in the middle is an error");
    CHECK(holds("keep", "old"), "the old file is whole");
    CHECK(entries() == 3, "and nothing is left beside it");
    unlink(at("keep"));
}

static void test_left_over(void)
{
    char name[64];
    snprintf(name, sizeof name, ".liveness-%ld-0.tmp", (long)getpid());
    int file = open(at(name), O_CREAT | O_WRONLY, 0600);
    CHECK(file >= 0 && write(file, "crash", 5) == 5 && put("after", "new") == NN_OK &&
              holds("after", "new") && holds(name, "crash"),
          "a temporary file of a crashed run is in nobody's way");
    close(file);
    unlink(at(name));
    unlink(at("after"));
}

static bool scalar_sha256; /* not the CPU's instructions */

static bool sha256_is(const char *message, size_t repeat, const char *expected)
{
    struct nn_sha256 hash;
    char hex[NN_SHA256_HEX];
    nn_sha256_start(&hash);
    if (scalar_sha256) hash.function = nn_sha256_scalar;
    for (size_t i = 0; i < repeat; i++) nn_sha256_add(&hash, message, strlen(message));
    nn_sha256_finish(hex, &hash);
    return strcmp(hex, expected) == 0;
}

/* The examples NIST gives with FIPS 180-4, and every way to cut one message. */
static void test_sha256(void)
{
    CHECK(sha256_is("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
          "SHA-256 of nothing");
    CHECK(sha256_is("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
          "SHA-256 of abc");
    CHECK(sha256_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
          "SHA-256 of 448 bits");
    CHECK(sha256_is("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                    "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                    1, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"),
          "SHA-256 of 896 bits");
    CHECK(
        sha256_is("a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        "SHA-256 of a million a");
    char message[200], whole[NN_SHA256_HEX] = "", cut[NN_SHA256_HEX] = "";
    bool same = true;
    for (size_t i = 0; i < sizeof message; i++) message[i] = (char)(i * 7);
    for (size_t size = 0; size <= sizeof message; size++) {
        for (size_t first = 0; first <= size; first++) {
            struct nn_sha256 hash;
            nn_sha256_start(&hash);
            if (scalar_sha256 != (first % 2 == 0)) hash.function = nn_sha256_scalar;
            nn_sha256_add(&hash, message, first);
            nn_sha256_add(&hash, message + first, size - first);
            nn_sha256_finish(first ? cut : whole, &hash);
            same = same && (!first || !strcmp(cut, whole));
        }
    }
    CHECK(same, "SHA-256 depends neither on cuts nor on who computes it");
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/test_file.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder) || nn_open(&context, &(struct nn_options){.threads = 1}) != NN_OK)
        return 1;
    size_t before = nn_bytes_allocated(context);
    test_read();
    test_growth();
    test_write();
    test_devices();
    test_permissions();
    test_partial_write();
    test_left_over();
    test_sha256();
    if (nn_sha256_fast()) {
        scalar_sha256 = true;
        test_sha256();
    } else {
        test_skip("SHA-256 by the CPU's instructions", "this CPU has none");
    }
    CHECK(nn_bytes_allocated(context) == before, "no memory is left");
    unlink(at("a"));
    unlink(at("w"));
    CHECK(rmdir(folder) == 0, "no file is left");
    nn_close(&context);
    return test_done();
}
