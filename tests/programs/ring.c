// What a program may rely on although kernel and program share one ring:
// `ring RULE` tries one of the rules in docs/architecture.md, "One ring".
#define _GNU_SOURCE
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define DF (1 << 10)
#define TF (1 << 8)
#define NT (1 << 14)
#define AC (1 << 18)

static sigjmp_buf out;
static volatile sig_atomic_t last_signal, last_code;
static volatile uintptr_t last_address;

static void leave(int number, siginfo_t *info, void *context) {
    (void)context;
    last_signal = number;
    last_code = info->si_code;
    last_address = (uintptr_t)info->si_addr;
    siglongjmp(out, 1);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(number, &action, NULL);
}

// A stack for handlers, and handlers that leave whatever has faulted.
static void expect_faults(void) {
    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    sigaltstack(&stack, NULL);
    int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        handle(faults[i], leave);
}

#define FAULTS(what, ...)                                                   \
    do {                                                                    \
        last_signal = last_code = 0;                                        \
        if (sigsetjmp(out, 1) == 0) {                                       \
            __VA_ARGS__;                                                    \
        }                                                                   \
        printf("%s: signal %d\n", what, (int)last_signal);                  \
    } while (0)

static char *fresh_page(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

// Nobody writes below the stack pointer: not a system call, not a fault.
static void red_zone(void) {
    for (int round = 0; round < 100; round++) {
        char *page = fresh_page();
        long sum = 0;
        asm volatile(
            "sub $256, %%rsp\n"
            "mov $16, %%ecx\n"
            "1: neg %%rcx\n mov %%rcx, (%%rsp, %%rcx, 8)\n neg %%rcx\n loop 1b\n"
            "mov $39, %%eax\n syscall\n"       // getpid
            "movb $1, (%[page])\n"             // a page fault
            "mov $24, %%eax\n syscall\n"       // sched_yield
            "mov $16, %%ecx\n"
            "2: neg %%rcx\n add (%%rsp, %%rcx, 8), %[sum]\n neg %%rcx\n loop 2b\n"
            "add $256, %%rsp\n"
            : [sum] "+r"(sum)
            : [page] "r"(page)
            : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
        if (sum != -136)
            printf("round %d: the red zone sums up to %ld\n", round, sum);
        munmap(page, 4096);
    }
    puts("the red zone stays");
}

// A system call changes RAX, RCX and R11, and the last two as the processor would.
static void registers(void) {
    uint64_t after[16];
    register uint64_t *at asm("r15") = after;
    asm volatile(
        "push %%rbp\n push %%rbx\n"
        "mov $2, %%ebx\n mov $3, %%edx\n mov $4, %%esi\n mov $5, %%edi\n mov $6, %%ebp\n"
        "mov $8, %%r8d\n mov $9, %%r9d\n mov $10, %%r10d\n mov $12, %%r12d\n"
        "mov $13, %%r13d\n mov $14, %%r14d\n"
        "mov $39, %%eax\n syscall\n"
        "1: mov %%rbx, 8(%%r15)\n mov %%rdx, 16(%%r15)\n mov %%rsi, 24(%%r15)\n"
        "mov %%rdi, 32(%%r15)\n mov %%rbp, 40(%%r15)\n mov %%r8, 48(%%r15)\n"
        "mov %%r9, 56(%%r15)\n mov %%r10, 64(%%r15)\n mov %%r12, 72(%%r15)\n"
        "mov %%r13, 80(%%r15)\n mov %%r14, 88(%%r15)\n"
        "mov %%rcx, 96(%%r15)\n mov %%r11, 104(%%r15)\n"
        "lea 1b(%%rip), %%rax\n mov %%rax, 112(%%r15)\n"
        "pop %%rbx\n pop %%rbp\n"
        : "+r"(at)
        :
        : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
          "memory", "cc");
    for (int i = 1; i <= 11; i++)
        printf("%d ", (int)after[i]);
    printf("\nRCX is the next instruction: %d, R11 has interrupts on: %d\n",
           after[12] == after[14], (after[13] & 0x200) != 0);
}

static uint64_t flags_after_call(uint64_t set) {
    uint64_t flags;
    asm volatile(
        "sub $128, %%rsp\n"
        "pushf\n or %[set], (%%rsp)\n popf\n"
        "mov $39, %%eax\n syscall\n"
        "pushf\n pop %[flags]\n"
        "pushf\n not %[set]\n and %[set], (%%rsp)\n popf\n"
        "add $128, %%rsp\n"
        : [flags] "=&r"(flags), [set] "+r"(set)
        :
        : "rax", "rcx", "r11", "memory", "cc");
    return flags;
}

static uint64_t flags_after_fault(uint64_t set) {
    uint64_t flags;
    char *page = fresh_page();
    asm volatile(
        "sub $128, %%rsp\n"
        "pushf\n or %[set], (%%rsp)\n popf\n"
        "movb $1, (%[page])\n"
        "pushf\n pop %[flags]\n"
        "pushf\n not %[set]\n and %[set], (%%rsp)\n popf\n"
        "add $128, %%rsp\n"
        : [flags] "=&r"(flags), [set] "+r"(set)
        : [page] "r"(page)
        : "memory", "cc");
    munmap(page, 4096);
    return flags;
}

// The kernel runs without the program's DF, NT and AC, and the program gets them
// back (but for NT after a fault, which page-table KVM takes away).
static void flags(void) {
    uint64_t each[] = {DF, NT, AC, 1};
    for (int i = 0; i < 4; i++) {
        printf("%llx: after a call %d\n", (unsigned long long)each[i],
               (flags_after_call(each[i]) & each[i]) != 0);
        int stays = (flags_after_fault(each[i]) & each[i]) != 0;
        if (each[i] != NT)
            printf("after a fault %d\n", stays);
    }
    asm volatile("pushf\n orl %0, (%%rsp)\n popf" ::"i"(DF | AC) : "memory", "cc");
    syscall(SYS_write, 1, "written backwards\n", 18);
    asm volatile("pushf\n andl %0, (%%rsp)\n popf" ::"i"(~(DF | AC)) : "memory", "cc");
}

static int steps;
static void step(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    steps++;
}

// Single steps: a trap after each instruction, and none in the kernel.
static void single_steps(void) {
    handle(SIGTRAP, step);
    char *page = fresh_page();
    asm volatile(
        "sub $128, %%rsp\n"
        "pushf\n orl %[tf], (%%rsp)\n popf\n"
        "nop\n nop\n movb $1, (%[page])\n nop\n"
        "pushf\n andl %[no_tf], (%%rsp)\n popf\n"
        "add $128, %%rsp\n" ::[page] "r"(page),
        [tf] "i"(TF), [no_tf] "i"(~TF)
        : "memory", "cc");
    printf("%d steps\n", steps);
}

static void selectors(void) {
    unsigned code, stack;
    syscall(SYS_getppid);
    asm volatile("mov %%cs, %0\n mov %%ss, %1" : "=r"(code), "=r"(stack));
    printf("after a call: CS %x, SS %x\n", code, stack);
    *fresh_page() = 1;
    asm volatile("mov %%cs, %0\n mov %%ss, %1" : "=r"(code), "=r"(stack));
    printf("after a fault: CS %x, SS %x\n", code, stack);
}

// Pointers that are not the program's are EFAULT in a call, whatever lies there.
static void pointers(void) {
    uintptr_t bad[] = {0xffffffff80010000, 0xffffff8000000000, 0x800000000000, 0x7ffffffff000,
                       UINTPTR_MAX, 8, 0x8000000000000000};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        long wrote = write(1, (void *)bad[i], 4);
        printf("write %lx: %ld %m\n", bad[i], wrote);
        wrote = syscall(SYS_getcwd, bad[i], 100);
        printf("getcwd %lx: %ld %m\n", bad[i], wrote);
    }
}

// Instructions and vectors that are the kernel's alone.
static void privilege(void) {
    expect_faults();
    FAULTS("hlt", asm volatile("hlt"));
    FAULTS("cli", asm volatile("cli"));
    FAULTS("mov to cr3", asm volatile("mov %0, %%cr3" ::"r"(0L)));
    FAULTS("mov from cr0", uint64_t cr0; asm volatile("mov %%cr0, %0" : "=r"(cr0)));
    FAULTS("wrmsr", asm volatile("wrmsr" ::"a"(0), "c"(0xc0000082), "d"(0)));
    FAULTS("rdmsr", asm volatile("rdmsr" ::"c"(0xc0000082) : "eax", "edx"));
    FAULTS("invlpg", asm volatile("invlpg (%0)" ::"r"(&steps)));
    FAULTS("lgdt", asm volatile("lgdt (%0)" ::"r"(&out)));
    FAULTS("lidt", asm volatile("lidt (%0)" ::"r"(&out)));
    FAULTS("ltr", asm volatile("ltr %w0" ::"r"(0x40)));
    FAULTS("clts", asm volatile("clts"));
    FAULTS("swapgs", asm volatile("swapgs"));
    FAULTS("in", asm volatile("in $0x60, %%al" ::: "al"));
    FAULTS("out", asm volatile("out %%al, $0x80" ::: "memory"));
    FAULTS("int 3", asm volatile("int3"));
}

// A program's own undefined instructions are its own, not the gate.
static void undefined(void) {
    expect_faults();
    extern char first[], second[];
    FAULTS("ud2", asm volatile("first: ud2"));
    printf("at the instruction: %d\n", last_address == (uintptr_t)first);
    FAULTS("ud2 with the gate's registers",
           asm volatile("second: ud2" ::"a"(0), "c"(0), "d"(0), "D"(0), "S"(0)));
    printf("at the instruction: %d\n", last_address == (uintptr_t)second);
}

static volatile int turn;
static void *other_bases(void *unused) {
    uint64_t base = 0;
    asm volatile("wrgsbase %0" ::"r"(0x1234500000UL));
    while (turn < 100) {
        asm volatile("rdgsbase %0" : "=r"(base));
        if (base != 0x1234500000)
            printf("the thread's GS base is %lx\n", base);
        sched_yield();
    }
    return unused;
}

// FS and GS are the program's, in each thread its own.
static void bases(void) {
    static __thread int mine = 7;
    uint64_t base;
    pthread_t thread;
    pthread_create(&thread, NULL, other_bases, NULL);
    asm volatile("wrgsbase %0" ::"r"(0x7000000UL));
    for (turn = 0; turn < 100; turn++) {
        *fresh_page() = 1;
        sched_yield();
        asm volatile("rdgsbase %0" : "=r"(base));
        if (base != 0x7000000 || mine != 7)
            printf("turn %d: GS base %lx, %d\n", turn, base, mine);
    }
    pthread_join(thread, NULL);
    puts("each thread has its bases");
}

static volatile int done;
__attribute__((target("sse2"))) static long vectors(int seed) {
    __m128i wanted = _mm_set1_epi32(seed), kept = wanted;
    double real = seed;
    long wrong = 0;
    for (int i = 0; i < 3000000; i++) {
        asm volatile("" : "+x"(kept), "+x"(real));
        wrong += _mm_movemask_epi8(_mm_cmpeq_epi32(kept, wanted)) != 0xffff || real != seed;
        if (i % 10000 == 0)
            syscall(SYS_sched_yield);
    }
    return wrong;
}

static void *vector_thread(void *seed) {
    long wrong = vectors((int)(intptr_t)seed);
    unsigned short control = 0x27f;
    asm volatile("fldcw %0" ::"m"(control));
    sched_yield();
    asm volatile("fnstcw %0" : "=m"(control));
    return (void *)(wrong + (control != 0x27f));
}

// Extended state is each thread's own, at calls and wherever it is interrupted.
static void extended_state(void) {
    pthread_t threads[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, vector_thread, (void *)(i + 1));
    long wrong = vectors(100);
    for (int i = 0; i < 3; i++) {
        void *result;
        pthread_join(threads[i], &result);
        wrong += (long)result;
    }
    unsigned short control;
    asm volatile("fnstcw %0" : "=m"(control));
    printf("%ld vectors changed, control word %x\n", wrong, control);
}

static void *set_done(void *unused) {
    done = 1;
    return unused;
}

// A thread that spins is interrupted, also after system calls, faults and
// signals: none of them leaves interrupts off.
static void spinning(void) {
    handle(SIGUSR1, step);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 50; i++)
            syscall(SYS_getpid);
        *fresh_page() = 1;
        raise(SIGUSR1);
        done = 0;
        pthread_t thread;
        pthread_create(&thread, NULL, set_done, NULL);
        while (!done)
            ;
        pthread_join(thread, NULL);
    }
    puts("20 spins ended");
}

// What is taken from a mapping is gone at once, what is given is there at once.
static void mappings(void) {
    expect_faults();
    // The second page is in the way of growth in place.
    volatile char *page =
        mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page[0] = 1;
    mprotect((void *)page, 4096, PROT_READ);
    FAULTS("write after PROT_READ", page[0] = 2);
    printf("code %d, value %d\n", (int)last_code, page[0]);
    mprotect((void *)page, 4096, PROT_READ | PROT_WRITE);
    FAULTS("write after PROT_WRITE", page[0] = 3);
    mprotect((void *)page, 4096, PROT_NONE);
    FAULTS("read after PROT_NONE", (void)page[0]);
    mprotect((void *)page, 4096, PROT_READ | PROT_WRITE);
    printf("value %d\n", page[0]);
    madvise((void *)page, 4096, MADV_DONTNEED);
    printf("after MADV_DONTNEED %d\n", page[0]);
    page[0] = 4;
    volatile char *moved = mremap((void *)page, 4096, 8192, MREMAP_MAYMOVE);
    FAULTS("read of what has moved", (void)page[0]);
    printf("value %d\n", moved[0]);
    munmap((void *)moved, 8192);
    FAULTS("read after munmap", (void)moved[0]);
    printf("code %d\n", (int)last_code);
    mmap((void *)moved, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("mapped again %d\n", moved[0]);
    FAULTS("jump to what is not executable", ((void (*)(void))moved)());
    page = fresh_page();
    page[0] = 5;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        while (page[0] == 5 && getppid() == 0)
            ;
        printf("the child has %d\n", page[0]);
        page[0] = 6;
        exit(0);
    }
    page[0] = 7;
    waitpid(child, NULL, 0);
    printf("the parent has %d\n", page[0]);
}

// No call and no trap uses the program's stack.
static void stacks(void) {
    expect_faults();
    uintptr_t bad[] = {0, 8, 0x8000000000000000, 0xffffff7000000000};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        long pid;
        asm volatile(
            "mov %%rsp, %%rbx\n mov %[bad], %%rsp\n"
            "mov $39, %%eax\n syscall\n"
            "mov %%rbx, %%rsp\n"
            : "=&a"(pid)
            : [bad] "r"(bad[i])
            : "rbx", "rcx", "r11", "memory");
        printf("getpid with stack %lx: %d\n", bad[i], pid == getpid());
        *fresh_page() = 1;
        FAULTS("push", asm volatile("mov %0, %%rsp\n pushq $1\n hlt" ::"r"(bad[i])));
        FAULTS("ud2", asm volatile("mov %0, %%rsp\n ud2" ::"r"(bad[i])));
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            stack_t none = {.ss_flags = SS_DISABLE};
            sigaltstack(&none, NULL);
            asm volatile("mov %0, %%rsp\n ud2" ::"r"(bad[i]));
        }
        int status;
        waitpid(child, &status, 0);
        printf("without a stack for signals: killed by %d\n", WTERMSIG(status));
    }
}

static int field;
static greg_t value;
static void change(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[field] = value;
}

// What sigreturn is asked to load is checked: a fault of the program's at most.
static void returns(void) {
    expect_faults();
    handle(SIGUSR1, change);
    struct {
        const char *what;
        int field;
        greg_t value;
    } wrong[] = {
        {"RIP not canonical", REG_RIP, (greg_t)0x8000000000000000},
        {"RIP not mapped", REG_RIP, 8},
        {"RIP 0x7ffffffff000", REG_RIP, 0x7ffffffff000},
        {"flags all set but TF, AC, NT and DF", REG_EFL, ~(greg_t)(TF | AC | NT | DF)},
        {"flags all clear", REG_EFL, 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        field = wrong[i].field;
        value = wrong[i].value;
        FAULTS(wrong[i].what, raise(SIGUSR1));
    }
    // Interrupts are still on.
    spinning();
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(void);
    } rules[] = {
        {"red-zone", red_zone},   {"registers", registers}, {"flags", flags},
        {"steps", single_steps},  {"selectors", selectors}, {"pointers", pointers},
        {"privilege", privilege}, {"undefined", undefined}, {"bases", bases},
        {"state", extended_state}, {"spinning", spinning},  {"mappings", mappings},
        {"stacks", stacks},       {"returns", returns},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (count > 1 && strcmp(arguments[1], rules[i].name))
            continue;
        rules[i].run();
    }
    fflush(stdout);
    return 0;
}
