/* rt_sigaction with all flags, rt_sigprocmask, rt_sigpending, and the order of delivery. */
#include "../tell.h"
#include <ucontext.h>

static int order[32], orders, depth, deepest;
static siginfo_t last;

static void note(int signal) {
    order[orders++] = signal;
}

static void show(const char *what) {
    printf("%s:", what);
    for (int at = 0; at < orders; at++)
        printf(" %d", order[at] < SIGRTMIN ? order[at] : 100 + order[at] - SIGRTMIN);
    printf("\n");
    orders = 0;
}

static void note_info(int signal, siginfo_t *info, void *context) {
    note(signal);
    last = *info;
    (void)context;
}

static void nested(int signal) {
    if (++depth > deepest)
        deepest = depth;
    note(signal);
    if (orders < 3)
        raise(signal);
    depth--;
}

static void other_nested(int signal) {
    note(signal);
    if (signal == SIGUSR1) {
        raise(SIGUSR2);
        note(0);
    }
}

static void set(int signal, void (*handler)(int), int flags, int masked) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    if (masked)
        sigaddset(&action.sa_mask, masked);
    must(sigaction(signal, &action, NULL));
}

struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    unsigned long mask;
};

static void errors(void) {
    struct kernel_action action = {SIG_IGN, 0, NULL, 0}, old;
    unsigned long mask = 0;
    call(rt_sigaction, "signal 0", 0, &action, NULL, 8);
    call(rt_sigaction, "signal 65", 65, &action, NULL, 8);
    call(rt_sigaction, "SIGKILL", SIGKILL, &action, NULL, 8);
    call(rt_sigaction, "SIGSTOP", SIGSTOP, &action, NULL, 8);
    call(rt_sigaction, "SIGKILL asked", SIGKILL, NULL, &old, 8);
    call(rt_sigaction, "size 4", SIGUSR1, &action, NULL, 4);
    call(rt_sigaction, "nowhere", SIGUSR1, NOWHERE, NULL, 8);
    call(rt_sigaction, "old nowhere", SIGUSR1, NULL, NOWHERE, 8);
    call(rt_sigaction, "set", SIGUSR1, &action, NULL, 8);
    call(rt_sigaction, "asked", SIGUSR1, NULL, &old, 8);
    printf("ignored %d\n", old.handler == SIG_IGN);
    action = (struct kernel_action){(void *)errors, 0xffffffff, NULL, ~0ul};
    call(rt_sigaction, "all flags", SIGUSR1, &action, NULL, 8);
    call(rt_sigaction, "asked", SIGUSR1, NULL, &old, 8);
    printf("flags %#lx, mask %#lx\n", old.flags, old.mask);
    action = (struct kernel_action){SIG_DFL, 0, NULL, 0};
    call(rt_sigaction, "back", SIGUSR1, &action, NULL, 8);
    call(rt_sigprocmask, "unknown way", 7, &mask, NULL, 8);
    call(rt_sigprocmask, "unknown way, nothing to set", 7, NULL, &mask, 8);
    call(rt_sigprocmask, "size 4", SIG_BLOCK, &mask, NULL, 4);
    call(rt_sigprocmask, "nowhere", SIG_BLOCK, NOWHERE, NULL, 8);
    call(rt_sigprocmask, "old nowhere", SIG_BLOCK, NULL, NOWHERE, 8);
    mask = ~0ul;
    call(rt_sigprocmask, "everything", SIG_SETMASK, &mask, NULL, 8);
    call(rt_sigprocmask, "asked", SIG_SETMASK, NULL, &mask, 8);
    printf("never blocked: %#lx\n", ~mask);
    mask = 0;
    call(rt_sigprocmask, "nothing", SIG_SETMASK, &mask, NULL, 8);
    call(rt_sigpending, "size 16", &mask, 16);
    call(rt_sigpending, "nowhere", NOWHERE, 8);
    call(rt_sigpending, "nothing", &mask, 8);
    printf("pending %#lx\n", mask);
}

static void flags(void) {
    struct sigaction old;
    set(SIGUSR1, note, SA_RESETHAND, 0);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &old);
    show("SA_RESETHAND");
    printf("  default again %d\n", old.sa_handler == SIG_DFL);
    set(SIGUSR1, nested, 0, 0);
    raise(SIGUSR1);
    show("not nested");
    printf("  depth %d\n", deepest), deepest = 0;
    set(SIGUSR1, nested, SA_NODEFER, 0);
    raise(SIGUSR1);
    show("SA_NODEFER");
    printf("  depth %d\n", deepest);
    set(SIGUSR1, other_nested, 0, 0);
    set(SIGUSR2, other_nested, 0, 0);
    raise(SIGUSR1);
    show("another within");
    set(SIGUSR1, other_nested, 0, SIGUSR2);
    raise(SIGUSR1);
    show("another masked");
    struct sigaction action = {.sa_sigaction = note_info, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    kill(getpid(), SIGUSR1);
    printf("kill: signo %d code %d errno %d own %d uid %u\n", last.si_signo, last.si_code, last.si_errno,
           last.si_pid == getpid(), last.si_uid);
    raise(SIGUSR1);
    printf("raise: code %d own %d\n", last.si_code, last.si_pid == getpid());
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 77});
    printf("sigqueue: code %d own %d value %d\n", last.si_code, last.si_pid == getpid(),
           last.si_value.sival_int);
    orders = 0;
}

static void queues(void) {
    sigset_t all, old, pending;
    sigfillset(&all);
    for (int signal = SIGHUP; signal <= SIGUSR2; signal++)
        if (signal != SIGKILL && signal != SIGSEGV)
            set(signal, note, 0, 0);
    for (int signal = SIGRTMIN; signal < SIGRTMIN + 3; signal++) {
        struct sigaction action = {.sa_handler = note};
        sigfillset(&action.sa_mask);
        sigaction(signal, &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &all, &old);
    kill(getpid(), SIGUSR1), kill(getpid(), SIGUSR1), kill(getpid(), SIGHUP);
    kill(getpid(), SIGRTMIN + 1), kill(getpid(), SIGRTMIN), kill(getpid(), SIGRTMIN + 1);
    sigpending(&pending);
    printf("pending: HUP %d USR1 %d USR2 %d RTMIN+1 %d\n", sigismember(&pending, SIGHUP),
           sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2),
           sigismember(&pending, SIGRTMIN + 1));
    sigprocmask(SIG_SETMASK, &old, NULL);
    show("queued and delivered");
    struct sigaction action = {.sa_sigaction = note_info, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    sigaction(SIGRTMIN, &action, NULL);
    sigprocmask(SIG_BLOCK, &all, &old);
    for (int value = 1; value <= 3; value++)
        sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = value});
    sigset_t none;
    sigemptyset(&none);
    for (int value = 1; value <= 3; value++) {
        siginfo_t info;
        sigaddset(&none, SIGRTMIN);
        sigwaitinfo(&none, &info);
        printf("in order: %d\n", info.si_value.sival_int);
    }
    kill(getpid(), SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    sigpending(&pending);
    printf("ignored, it is no longer pending: %d\n", sigismember(&pending, SIGUSR1));
    kill(getpid(), SIGUSR1);
    sigpending(&pending);
    printf("blocked and ignored, it is pending: %d\n", sigismember(&pending, SIGUSR1));
    kill(getpid(), SIGCHLD);
    sigpending(&pending);
    printf("blocked and ignored by default, it is pending: %d\n", sigismember(&pending, SIGCHLD));
    kill(getpid(), SIGTSTP);
    kill(getpid(), SIGCONT);
    sigpending(&pending);
    printf("SIGCONT takes SIGTSTP away: %d %d\n", sigismember(&pending, SIGTSTP),
           sigismember(&pending, SIGCONT));
    kill(getpid(), SIGTSTP);
    sigpending(&pending);
    printf("SIGTSTP takes SIGCONT away: %d %d\n", sigismember(&pending, SIGTSTP),
           sigismember(&pending, SIGCONT));
}

static void context_of(int signal, siginfo_t *info, void *given) {
    ucontext_t *context = given;
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("in the handler: own %d masked %d other %d\n", sigismember(&now, signal),
           sigismember(&now, SIGUSR2), sigismember(&now, SIGHUP));
    printf("in the context: own %d masked %d other %d, stack flags %d\n",
           sigismember(&context->uc_sigmask, signal), sigismember(&context->uc_sigmask, SIGUSR2),
           sigismember(&context->uc_sigmask, SIGHUP), context->uc_stack.ss_flags);
    sigaddset(&context->uc_sigmask, SIGTERM);
    (void)info;
}

static void masks(void) {
    sigset_t set_of, now;
    sigemptyset(&set_of);
    sigaddset(&set_of, SIGHUP);
    sigprocmask(SIG_SETMASK, &set_of, NULL);
    struct sigaction action = {.sa_sigaction = context_of, .sa_flags = SA_SIGINFO};
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaddset(&action.sa_mask, SIGKILL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("after it: own %d masked %d other %d set in the context %d\n", sigismember(&now, SIGUSR1),
           sigismember(&now, SIGUSR2), sigismember(&now, SIGHUP), sigismember(&now, SIGTERM));
}

int main(void) {
    errors();
    in_child("flags", flags);
    in_child("queues", queues);
    in_child("masks", masks);
    return 0;
}
