/* sigaltstack: on it, from it, back from it, SS_AUTODISARM. */
#include "../tell.h"
#include <setjmp.h>
#include <sys/mman.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static char memory[64 << 10] __attribute__((aligned(64)));
static sigjmp_buf back;

static int on_it(void) {
    char *here = __builtin_frame_address(0);
    return here >= memory && here < memory + sizeof memory;
}

static void show(const char *what) {
    stack_t now;
    must(sigaltstack(NULL, &now));
    printf("%s: flags %#x, size %zu, ours %d, on it %d\n", what, now.ss_flags, now.ss_size,
           now.ss_sp == memory, on_it());
}

static void errors(void) {
    stack_t stack = {memory, 0, 1024}, old;
    call(sigaltstack, "too small", &stack, NULL);
    stack = (stack_t){memory, 4, sizeof memory};
    call(sigaltstack, "unknown flag", &stack, NULL);
    call(sigaltstack, "nowhere", NOWHERE, NULL);
    call(sigaltstack, "old nowhere", NULL, NOWHERE);
    show("at first");
    stack = (stack_t){memory, 0, sizeof memory};
    call(sigaltstack, "set", &stack, &old);
    printf("before: flags %d\n", old.ss_flags);
    show("set");
    stack.ss_flags = SS_ONSTACK;
    call(sigaltstack, "SS_ONSTACK is as 0", &stack, NULL);
    show("set");
    stack = (stack_t){memory, SS_DISABLE, 0};
    call(sigaltstack, "disable", &stack, NULL);
    show("disabled");
}

static void handler(int signal) {
    show("in the handler");
    stack_t stack = {memory, SS_DISABLE, 0};
    call(sigaltstack, "change while on it", &stack, NULL);
    if (signal == SIGUSR1)
        raise(SIGUSR2);
}

static void plain_handler(int signal) {
    (void)signal;
    show("in another handler");
}

static void handle(int signal, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    must(sigaction(signal, &action, NULL));
}

static void use(void) {
    stack_t stack = {memory, 0, sizeof memory};
    must(sigaltstack(&stack, NULL));
    handle(SIGUSR1, handler, SA_ONSTACK);
    handle(SIGUSR2, plain_handler, 0);
    raise(SIGUSR1);
    show("after it");
    raise(SIGUSR2);
    handle(SIGUSR2, plain_handler, SA_ONSTACK);
    printf("nested on the same stack\n");
    raise(SIGUSR1);
}

static void disarm_handler(int signal) {
    show("disarmed in the handler");
    stack_t stack = {memory, (int)SS_AUTODISARM, 32 << 10};
    call(sigaltstack, "change is permitted", &stack, NULL);
    (void)signal;
}

static void disarm(void) {
    stack_t stack = {memory, (int)SS_AUTODISARM, sizeof memory};
    call(sigaltstack, "SS_AUTODISARM", &stack, NULL);
    show("armed");
    handle(SIGUSR1, disarm_handler, SA_ONSTACK);
    raise(SIGUSR1);
    show("armed again");
    stack.ss_flags = SS_DISABLE | SS_AUTODISARM;
    call(sigaltstack, "disable with it", &stack, NULL);
    show("disabled");
}

static void leave(int signal) {
    printf("overflow %d, on the alternative stack %d\n", signal, on_it());
    siglongjmp(back, 1);
}

static volatile int sink;
static int deeper(int n) {
    volatile char room[4096];
    room[0] = n;
    sink = room[0];
    return n == 0 ? 0 : deeper(n - 1) + room[0];
}

static void overflow(void) {
    stack_t stack = {memory, 0, sizeof memory};
    must(sigaltstack(&stack, NULL));
    handle(SIGSEGV, leave, SA_ONSTACK);
    for (volatile int round = 0; round < 2; round++)
        if (sigsetjmp(back, 1) == 0)
            deeper(1 << 30);
    printf("went on after it\n");
}

static void overflow_without(void) {
    handle(SIGSEGV, leave, 0);
    deeper(1 << 30);
}

static void no_room(void) {
    char *page = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {page, 0, 8192};
    must(sigaltstack(&stack, NULL));
    handle(SIGUSR1, plain_handler, SA_ONSTACK);
    raise(SIGUSR1);
}

static void over_fork(void) {
    stack_t stack = {memory, 0, sizeof memory};
    must(sigaltstack(&stack, NULL));
    if (fork() == 0) {
        show("in a child");
        _exit(0);
    }
    wait(NULL);
}

int main(void) {
    in_child("errors", errors);
    in_child("use", use);
    in_child("disarm", disarm);
    in_child("overflow", overflow);
    in_child("overflow without the stack", overflow_without);
    in_child("no room", no_room);
    in_child("over fork", over_fork);
    return 0;
}
