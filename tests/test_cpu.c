/* test_cpu.c — levels: which ones there are, that they fill the table, and that none is raised. */
#include "nn/internal.h"
#include "tests/test.h"

static const char *const KERNELS[] = {
#define NAME(name, arguments) #name,
    NN_KERNELS(NAME)
#undef NAME
};
enum { KERNEL_COUNT = sizeof KERNELS / sizeof *KERNELS };

typedef void any_kernel(void);

/* The table's rows as an array. */
static void rows_of(any_kernel *rows[KERNEL_COUNT], const struct nn_kernels *table)
{
    int count = 0;
#define ROW(name, arguments) rows[count++] = (any_kernel *)table->name;
    NN_KERNELS(ROW)
#undef ROW
}

static bool has_level(const char *wanted)
{
    const char *names[8];
    int count = nn_levels(names);
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], wanted) == 0) return true;
    return false;
}

/* Every row is filled, and a level above scalar improves what the engine spends its time in. */
static void test_table(const char *level)
{
    any_kernel *rows[KERNEL_COUNT], *scalar[KERNEL_COUNT];
    struct nn_kernels table, reference;
    memset(&table, 0, sizeof table);
    CHECK(nn_kernels_fill(&table, level), "level %s fills a table", level);
    nn_kernels_fill(&reference, "scalar");
    rows_of(rows, &table);
    rows_of(scalar, &reference);
    int missing = 0, overridden = 0;
    for (int i = 0; i < KERNEL_COUNT; i++) {
        if (!rows[i]) {
            printf("# %s has no %s\n", level, KERNELS[i]);
            missing++;
        }
        overridden += rows[i] != scalar[i];
    }
    CHECK(missing == 0, "%s: all %d kernels are there", level, (int)KERNEL_COUNT);
    if (strcmp(level, "scalar") != 0)
        CHECK(table.conv_row != reference.conv_row &&
                  table.conv_gradient != reference.conv_gradient,
              "%s: convolution is vectorised (%d of %d kernels are)", level, overridden,
              (int)KERNEL_COUNT);
}

/* What Linux lists in /proc/cpuinfo, it also saves across context switches. */
static void test_against_cpuinfo(void)
{
#if defined(__x86_64__)
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[8192], *found = NULL;
    while (file && !found && fgets(line, sizeof line, file))
        if (strncmp(line, "flags", 5) == 0) found = line;
    if (file) fclose(file);
    if (!found) {
        test_skip("the levels agree with /proc/cpuinfo", "there is none");
        return;
    }
    bool avx2 = strstr(line, " avx2 ") && strstr(line, " fma ");
    bool avx512 = avx2 && strstr(line, " avx512f ") && strstr(line, " avx512dq ") &&
                  strstr(line, " avx512bw ") && strstr(line, " avx512vl ");
    CHECK(has_level("avx2") == avx2, "avx2 is a level where the CPU has it");
    CHECK(has_level("avx512") == avx512, "avx512 is a level where the CPU has it");
    bool avx512bf16 = avx512 && strstr(line, " avx512_bf16 ");
    bool amx = avx512bf16 && strstr(line, " amx_tile ") && strstr(line, " amx_bf16 ");
    CHECK(has_level("avx512bf16") == avx512bf16, "avx512bf16 is a level where the CPU has it");
    CHECK(has_level("amx") == amx, "amx is a level where the CPU has it");
    CHECK(has_level("sse"), "sse is a level of every x86-64");
#elif defined(__aarch64__)
    CHECK(has_level("neon"), "neon is a level of every aarch64");
#else
    test_skip("the levels agree with the machine", "not x86-64, not aarch64");
#endif
}

static void test_choice(const char *const *names, int count)
{
    struct nn_context *context = NULL;
    for (int i = 0; i < count; i++) {
        struct nn_options options = {.threads = 1, .cpu = names[i]};
        enum nn_status status = nn_open(&context, &options);
        CHECK(status == NN_OK && strcmp(nn_cpu(context), names[i]) == 0, "level %s can be chosen",
              names[i]);
        nn_close(&context);
    }
    static const char *const UNKNOWN[] = {"avx", "AVX2", "sse ", "mmx", "avx5120"};
    for (size_t i = 0; i < sizeof UNKNOWN / sizeof *UNKNOWN; i++) {
        struct nn_options options = {.threads = 1, .cpu = UNKNOWN[i]};
        enum nn_status status = nn_open(&context, &options);
        const char *text = nn_error(context);
        CHECK(status == NN_ERROR_ARGUMENT && strstr(text, UNKNOWN[i]) && strstr(text, "scalar"),
              "level '%s' is refused, and the message names it and the others", UNKNOWN[i]);
        nn_close(&context);
    }
    setenv("NN_CPU", "scalar", 1);
    enum nn_status status = nn_open(&context, &(struct nn_options){.threads = 1});
    CHECK(status == NN_OK && strcmp(nn_cpu(context), "scalar") == 0, "NN_CPU lowers the level");
    nn_close(&context);
    struct nn_kernels table;
    CHECK(!nn_kernels_fill(&table, "mmx"), "no table for an unknown level");
}

int main(void)
{
    const char *names[8];
    int count = nn_levels(names);
    CHECK(count >= 1 && strcmp(names[0], "scalar") == 0, "the lowest level is scalar");
    for (int i = 0; i < count; i++) test_table(names[i]);
    test_against_cpuinfo();
    test_choice(names, count);
    return test_done();
}
