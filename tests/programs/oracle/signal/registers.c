/* Registers over handlers: what is kept, what a handler changes, floating point and AVX. */
#include "../tell.h"
#include <immintrin.h>
#include <ucontext.h>

static volatile int handled;

static void spoil(int signal) {
    handled = signal;
    __asm__ volatile("xor %%ebx, %%ebx\n xor %%r12d, %%r12d\n xor %%r15d, %%r15d\n xor %%r8d, %%r8d\n"
                     "pxor %%xmm0, %%xmm0\n pxor %%xmm1, %%xmm1\n pxor %%xmm15, %%xmm15\n fldz\n fninit" ::
                         : "rbx", "r12", "r15", "r8", "xmm0", "xmm1", "xmm15");
}

static void general(void) {
    long kept[5] = {0};
    double stack = 0;
    signal(SIGUSR1, spoil);
    __asm__ volatile("mov $0x1111, %%rbx\n mov $0x2222, %%r12\n mov $0x3333, %%r15\n mov $0x4444, %%r8\n"
                     "movq %%rbx, %%xmm0\n movq %%r12, %%xmm15\n fldpi\n"
                     "mov $200, %%eax\n mov %1, %%edi\n mov $10, %%esi\n syscall\n"
                     "mov %%rbx, (%0)\n mov %%r12, 8(%0)\n mov %%r15, 16(%0)\n mov %%r8, 24(%0)\n"
                     "movq %%xmm15, 32(%0)\n fstpl %2" ::"r"((long *)kept),
                     "r"(gettid()), "m"(stack)
                     : "rax", "rbx", "rcx", "rdi", "rsi", "r8", "r11", "r12", "r15", "xmm0", "xmm15",
                       "memory");
    printf("handled %d, registers %lx %lx %lx %lx, xmm15 %lx, x87 %.5f\n", handled, kept[0], kept[1],
           kept[2], kept[3], kept[4], stack);
}

__attribute__((target("avx"))) static void spoil_avx(int signal) {
    handled = signal;
    __asm__ volatile("vzeroall" ::: "xmm0", "xmm1", "xmm7");
}

__attribute__((target("avx"))) static void wide(void) {
    long out[4];
    signal(SIGUSR1, spoil_avx);
    if (!__builtin_cpu_supports("avx")) {
        printf("wide registers 7 7 7 7\n");
        return;
    }
    long in[4] = {7, 7, 7, 7};
    __asm__ volatile("vmovdqu (%0), %%ymm7\n mov $200, %%eax\n mov %2, %%edi\n mov $10, %%esi\n syscall\n"
                     "vmovdqu %%ymm7, (%1)\n vzeroupper" ::"r"(in),
                     "r"(out), "r"(gettid())
                     : "rax", "rcx", "rdi", "rsi", "r11", "xmm7", "memory");
    printf("wide registers %ld %ld %ld %ld\n", out[0], out[1], out[2], out[3]);
}

/* A handler sees and changes everything. */
static void change(int signal, siginfo_t *info, void *given) {
    ucontext_t *context = given;
    greg_t *r = context->uc_mcontext.gregs;
    printf("seen: rbx %llx, r12 %llx\n", r[REG_RBX], r[REG_R12]);
    r[REG_RBX] = 0xaaaa, r[REG_R12] = 0xbbbb;
    struct _libc_fpstate *fp = context->uc_mcontext.fpregs;
    printf("xmm3 %x, aligned %d, control word %x, MXCSR %x\n", fp->_xmm[3].element[0],
           (uintptr_t)fp % 64 == 0, fp->cwd, fp->mxcsr);
    fp->_xmm[3].element[0] = 0xcccc;
    unsigned *software = (unsigned *)((char *)fp + 464);
    printf("magic %x, and at the end %x\n", software[0],
           *(unsigned *)((char *)fp + software[1] - 4));
    (void)signal, (void)info;
}

static void changed(void) {
    struct sigaction action = {.sa_sigaction = change, .sa_flags = SA_SIGINFO};
    long rbx, r12, xmm;
    sigaction(SIGUSR1, &action, NULL);
    __asm__ volatile("mov $0x1111, %%rbx\n mov $0x2222, %%r12\n mov $0x3333, %%ecx\n movq %%rcx, %%xmm3\n"
                     "mov $200, %%eax\n mov %3, %%edi\n mov $10, %%esi\n syscall\n"
                     "mov %%rbx, %0\n mov %%r12, %1\n movq %%xmm3, %2"
                     : "=m"(rbx), "=m"(r12), "=m"(xmm)
                     : "r"(gettid())
                     : "rax", "rbx", "rcx", "rdi", "rsi", "r11", "r12", "xmm3", "memory");
    printf("changed: rbx %lx, r12 %lx, xmm3 %lx\n", rbx, r12, xmm);
}

/* Another place to go on, and another stack. */
static char other_stack[16384] __attribute__((aligned(16)));
static void elsewhere(void) {
    char here;
    printf("gone on elsewhere, on another stack %d\n",
           &here >= other_stack && &here < other_stack + sizeof other_stack);
    fflush(stdout);
    _exit(7);
}

static void redirect(int signal, siginfo_t *info, void *given) {
    ucontext_t *context = given;
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)elsewhere;
    context->uc_mcontext.gregs[REG_RSP] = (greg_t)(other_stack + sizeof other_stack - 8);
    (void)signal, (void)info;
}

static void redirected(void) {
    struct sigaction action = {.sa_sigaction = redirect, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
}

/* 128 bytes below the stack pointer are the program's. */
static void red_zone(void) {
    long kept = 0;
    signal(SIGUSR1, spoil);
    __asm__ volatile("movq $0x5555, -8(%%rsp)\n movq $0x6666, -128(%%rsp)\n mov $200, %%eax\n mov %1, %%edi\n"
                     "mov $10, %%esi\n syscall\n mov -8(%%rsp), %0\n add -128(%%rsp), %0"
                     : "=r"(kept)
                     : "r"(gettid())
                     : "rax", "rcx", "rdi", "rsi", "r11", "memory");
    printf("red zone %lx\n", kept);
}

/* Flags at a handler's start, and control words. */
static void look(int signal) {
    unsigned long flags;
    unsigned short control;
    unsigned mxcsr;
    __asm__ volatile("pushf\n pop %0\n fnstcw %1\n stmxcsr %2" : "=r"(flags), "=m"(control), "=m"(mxcsr));
    printf("in the handler: direction %lu, control word %x, MXCSR rounding %x\n", flags >> 10 & 1,
           control, mxcsr >> 13 & 3);
    (void)signal;
}

static void flags(void) {
    unsigned long after;
    unsigned short control = 0x27f;
    signal(SIGUSR1, look);
    __asm__ volatile("fldcw %0" ::"m"(control));
    _mm_setcsr(_mm_getcsr() | 0x6000);
    __asm__ volatile("std\n mov $200, %%eax\n mov %1, %%edi\n mov $10, %%esi\n syscall\n pushf\n cld\n pop %0"
                     : "=r"(after)
                     : "r"(gettid())
                     : "rax", "rcx", "rdi", "rsi", "r11", "memory");
    __asm__ volatile("fnstcw %0" : "=m"(control));
    unsigned rounding = _mm_getcsr() >> 13 & 3;
    _mm_setcsr(_mm_getcsr() & ~0x6000u);
    printf("after it: direction %lu, control word %x, rounding %x\n", after >> 10 & 1, control, rounding);
}

static void broken_return(int signal, siginfo_t *info, void *given) {
    ucontext_t *context = given;
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)0x8000000000000000;
    (void)signal, (void)info;
}

static void wild_return(void) {
    struct sigaction action = {.sa_sigaction = broken_return, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
}

int main(void) {
    in_child("general", general);
    in_child("wide", wide);
    in_child("changed", changed);
    in_child("redirected", redirected);
    in_child("red zone", red_zone);
    in_child("flags", flags);
    in_child("wild return", wild_return);
    return 0;
}
