/*
 * cpuid_avx2.c — lets a program see a CPU without AVX-512 and AMX.
 *
 *     cc -O2 -fPIC -shared -o cpuid_avx2.so cpuid_avx2.c
 *     LD_PRELOAD=./cpuid_avx2.so PROGRAM
 *
 * Some peers have no switch for their level. Linux can make the CPUID instruction fault, where the
 * CPU is able to (`cpuid_fault` in /proc/cpuinfo); the handler executes it in the program's place
 * and clears the bits. Without that ability the program runs as ever.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARCH_SET_CPUID = 0x1012 };

#define BIT(n) (1u << (n))
#define VL     BIT(31) /* more than an enum holds */

/* Bits of leaf 7, from Intel's Software Developer's Manual, volume 2, CPUID. */
enum {
    F_DQ_IFMA_PF_ER_CD_BW = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30),
    VBMI_VBMI2_VNNI_BITALG_VPOPCNTDQ = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14),
    VNNIW_FMAPS_VP2INTERSECT_FP16 = BIT(2) | BIT(3) | BIT(8) | BIT(23),
    AMX_BF16_TILE_INT8 = BIT(22) | BIT(24) | BIT(25),
    BF16_AMX_FP16 = BIT(5) | BIT(21), /* part 1, eax */
    AVX10 = BIT(19)                   /* part 1, edx */
};

static void on_fault(int number, siginfo_t *info, void *data)
{
    greg_t *registers = ((ucontext_t *)data)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    (void)info;
    if (code[0] != 0x0f || code[1] != 0xa2) { /* another fault than CPUID's: as without us */
        signal(number, SIG_DFL);
        return;
    }
    unsigned leaf = (unsigned)registers[REG_RAX], part = (unsigned)registers[REG_RCX], a, b, c, d;
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __cpuid_count(leaf, part, a, b, c, d);
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    if (leaf == 7 && part == 0) {
        b &= ~(unsigned)(F_DQ_IFMA_PF_ER_CD_BW | VL);
        c &= ~(unsigned)VBMI_VBMI2_VNNI_BITALG_VPOPCNTDQ;
        d &= ~(unsigned)(VNNIW_FMAPS_VP2INTERSECT_FP16 | AMX_BF16_TILE_INT8);
    }
    if (leaf == 7 && part == 1) a &= ~(unsigned)BF16_AMX_FP16, d &= ~(unsigned)AVX10;
    registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

/* Programs that catch their own crashes would take our handler away. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    int (*real)(int, const struct sigaction *, struct sigaction *) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "sigaction");
    if (number == SIGSEGV && action && action->sa_sigaction != on_fault) action = NULL;
    return real(number, action, old);
}

void (*signal(int number, void (*handler)(int)))(int)
{
    void (*(*real)(int, void (*)(int)))(int) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "signal");
    return number == SIGSEGV && handler != SIG_DFL ? SIG_DFL : real(number, handler);
}

__attribute__((constructor)) static void start(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (!sigaction(SIGSEGV, &action, NULL)) syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
}
