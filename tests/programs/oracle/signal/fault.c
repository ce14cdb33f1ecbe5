/* Faults as signals: which signal, which si_code, which address; and what a handler can do. */
#include "../tell.h"
#include <immintrin.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static char *expected;

static void handler(int signal, siginfo_t *info, void *given) {
    ucontext_t *context = given;
    greg_t *r = context->uc_mcontext.gregs;
    printf("  signal %d code %d errno %d", signal, info->si_code, info->si_errno);
    if (signal == SIGSEGV || signal == SIGBUS) {
        if (info->si_code > 0 && info->si_code < 0x80)
            printf(" address %s, cr2 the same %d, write %d", info->si_addr == expected ? "right" : "wrong",
                   (char *)r[REG_CR2] == info->si_addr, (int)(r[REG_ERR] >> 1 & 1));
        else
            printf(" address %p", info->si_addr);
    } else if (signal == SIGFPE || signal == SIGILL) {
        printf(" at the instruction %d", (char *)info->si_addr == (char *)r[REG_RIP]);
    }
    printf(", trap %d\n", (int)r[REG_TRAPNO]);
    siglongjmp(back, 1);
}

static void catch_all(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    for (unsigned at = 0; at < sizeof signals / sizeof *signals; at++)
        sigaction(signals[at], &action, NULL);
}

#define PROVOKE(what, address, ...) do { \
        printf("%s\n", what); \
        expected = (char *)(address); \
        if (sigsetjmp(back, 1) == 0) { \
            __VA_ARGS__; \
            printf("  nothing happened\n"); \
        } \
    } while (0)

static volatile int zero;
static volatile double zero_double;

static void provoke(void) {
    volatile char *null = NULL;
    char *page = mmap(NULL, 16384, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *gone = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = must(open("/work/file", O_CREAT | O_RDWR | O_TRUNC, 0600));
    ftruncate(fd, 100);
    char *file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    munmap(gone, 4096);
    catch_all();
    PROVOKE("read of nothing", 0, (void)*null);
    PROVOKE("write to nothing", 0, *null = 1);
    PROVOKE("read of what is not mapped", gone + 5, (void)*(volatile char *)(gone + 5));
    PROVOKE("write to what may be read", page + 4097, *(volatile char *)(page + 4097) = 1);
    PROVOKE("read of what has no rights", none, (void)*(volatile char *)none);
    PROVOKE("execution of data", page, ((void (*)(void))page)());
    PROVOKE("beyond the end of a file", file + 4096, (void)*(volatile char *)(file + 4096));
    PROVOKE("write beyond the end of a file", file + 4100, *(volatile char *)(file + 4100) = 1);
    PROVOKE("in the last page of a file", file + 200, *(volatile char *)(file + 200) = 1);
    PROVOKE("an address that is none", 0, (void)*(volatile char *)0x8000000000000000);
    PROVOKE("a jump to nothing", 0, ((void (*)(void))null)());
    PROVOKE("an undefined instruction", 0, __asm__ volatile("ud2"));
    PROVOKE("an instruction of ring 0", 0, __asm__ volatile("hlt"));
    PROVOKE("an interrupt flag", 0, __asm__ volatile("cli"));
    PROVOKE("a port", 0, __asm__ volatile("inb $0x80, %%al" ::: "al"));
    PROVOKE("an integer divided by zero", 0,
            __asm__ volatile("xor %%edx, %%edx\n mov $1, %%eax\n idivl %0" ::"m"(zero) : "eax", "edx"));
    PROVOKE("int3", 0, __asm__ volatile("int3"));
    PROVOKE("a single step", 0, __asm__ volatile("pushf; orl $0x100, (%%rsp); popf; nop" ::: "memory"));
    unsigned masked = _mm_getcsr();
    _mm_setcsr(masked & ~_MM_MASK_DIV_ZERO);
    PROVOKE("a number divided by zero", 0, zero_double = 1 / zero_double);
    _mm_setcsr(masked & ~_MM_MASK_INVALID);
    PROVOKE("an invalid operation", 0, zero_double = zero_double / zero_double);
    _mm_setcsr(masked);
    call(write, "from nowhere: no fault", 1, NOWHERE, 1ul);
}

/* Handlers that repair. */
static char *repaired;
static void repair(int signal, siginfo_t *info, void *context) {
    mprotect(repaired, 4096, PROT_READ | PROT_WRITE);
    (void)signal, (void)info, (void)context;
}

static void skip(int signal, siginfo_t *info, void *given) {
    ucontext_t *context = given;
    context->uc_mcontext.gregs[REG_RIP] += 2;
    context->uc_mcontext.gregs[REG_RAX] = 42;
    (void)signal, (void)info;
}

static void repairing(void) {
    struct sigaction action = {.sa_sigaction = repair, .sa_flags = SA_SIGINFO};
    repaired = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &action, NULL);
    *(volatile char *)repaired = 5;
    printf("repeated after it was repaired: %d\n", *repaired);
    action.sa_sigaction = skip;
    sigaction(SIGILL, &action, NULL);
    long answer = 1;
    __asm__ volatile("ud2" : "+a"(answer));
    printf("skipped, with another register: %ld\n", answer);
}

static void unhandled(void) {
    *(volatile char *)NULL = 1;
}

static void ignored(void) {
    signal(SIGSEGV, SIG_IGN);
    *(volatile char *)NULL = 1;
}

static void blocked(void) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    catch_all();
    *(volatile char *)NULL = 1;
}

static void within_its_handler(int signal) {
    (void)signal;
    *(volatile char *)NULL = 1;
}

static void again(void) {
    signal(SIGSEGV, within_its_handler);
    *(volatile char *)NULL = 1;
}

static void wild(void) {
    __asm__ volatile("ud2");
}

static void sent(void) {
    signal(SIGSEGV, SIG_IGN);
    kill(getpid(), SIGSEGV);
    printf("a sent SIGSEGV can be ignored\n");
    abort();
}

int main(void) {
    in_child("provoked", provoke);
    in_child("repaired", repairing);
    in_child("unhandled", unhandled);
    in_child("ignored", ignored);
    in_child("blocked", blocked);
    in_child("again in its handler", again);
    in_child("undefined", wild);
    in_child("sent", sent);
    return 0;
}
