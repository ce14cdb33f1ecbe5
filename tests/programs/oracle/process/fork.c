/* fork, vfork, clone and clone3: what is shared and what is copied, and which flags go together. */
#include "../tell.h"
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

static int shared = 1;
static char stack[64 << 10] __attribute__((aligned(16)));
static char *const stack_top = stack + sizeof stack;

static int child_changes(void *argument) {
    shared = 2;
    close((int)(intptr_t)argument);
    chdir("/tmp");
    signal(SIGUSR1, SIG_IGN);
    umask(077);
    return 5;
}

static void wait_for(const char *what, pid_t child, int options) {
    int status = 0;
    pid_t got = waitpid(child, &status, options);
    if (got != child)
        tell("wait4", what, got);
    else
        ended(what, status);
}

static void sharing(const char *what, int flags) {
    struct sigaction action;
    char directory[64];
    chdir("/");
    shared = 1;
    umask(022);
    signal(SIGUSR1, SIG_DFL);
    int fd = open("/", O_RDONLY);
    pid_t child = clone(child_changes, stack_top, flags | SIGCHLD, (void *)(intptr_t)fd);
    tell_made("clone", what, child);
    wait_for(what, child, 0);
    sigaction(SIGUSR1, NULL, &action);
    mode_t mask = umask(022);
    printf("  memory %s, descriptors %s, directory %s, umask %03o, handlers %s\n",
           shared == 2 ? "shared" : "copied", fcntl(fd, F_GETFD) < 0 ? "shared" : "copied",
           getcwd(directory, sizeof directory), mask,
           action.sa_handler == SIG_IGN ? "shared" : "copied");
    close(fd);
}

static long raw_clone(unsigned long flags) {
    long child = syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (child == 0)
        _exit(0);
    return child;
}

static void refused(const char *what, unsigned long flags) {
    long child = raw_clone(flags);
    tell("clone", what, child);
    if (child > 0)
        waitpid(child, NULL, __WALL);
}

static long clone3(struct clone_args *arguments, size_t size) {
    long child = syscall(SYS_clone3, arguments, size);
    if (child == 0)
        _exit(6);
    return child;
}

static void with_clone3(void) {
    struct clone_args args;
    int pidfd = -1;
    pid_t parent_word = 0;
#define FRESH memset(&args, 0, sizeof args), args.exit_signal = SIGCHLD
    FRESH;
    tell_made("clone3", "too small", clone3(&args, 63));
    tell_made("clone3", "too large", clone3(&args, 5000));
    tell_made("clone3", "nowhere", clone3(NOWHERE, sizeof args));
    FRESH, args.flags = 1;
    tell_made("clone3", "signal in flags", clone3(&args, sizeof args));
    FRESH, args.exit_signal = 65;
    tell_made("clone3", "exit signal 65", clone3(&args, sizeof args));
    FRESH, args.stack = (uintptr_t)stack;
    tell_made("clone3", "stack without size", clone3(&args, sizeof args));
    FRESH, args.stack_size = sizeof stack;
    tell_made("clone3", "size without stack", clone3(&args, sizeof args));
    FRESH, args.flags = CLONE_SIGHAND;
    tell_made("clone3", "SIGHAND alone", clone3(&args, sizeof args));
    FRESH, args.flags = CLONE_SIGHAND | CLONE_VM | CLONE_CLEAR_SIGHAND;
    tell_made("clone3", "SIGHAND and CLEAR_SIGHAND", clone3(&args, sizeof args));
    FRESH, args.flags = CLONE_DETACHED;
    tell_made("clone3", "DETACHED", clone3(&args, sizeof args));
    FRESH, args.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
    tell_made("clone3", "thread with a signal", clone3(&args, sizeof args));
    FRESH, args.flags = 1ULL << 40;
    tell_made("clone3", "unknown flag", clone3(&args, sizeof args));
    FRESH, args.set_tid_size = 40;
    tell_made("clone3", "too many numbers", clone3(&args, sizeof args));
    FRESH, args.set_tid_size = 1;
    tell_made("clone3", "numbers without a list", clone3(&args, sizeof args));
    FRESH, args.flags = CLONE_INTO_CGROUP, args.cgroup = 99999999;
    tell_made("clone3", "wrong cgroup", clone3(&args, sizeof args) == -1 ? 0 : -1);
    FRESH, args.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, args.pidfd = (uintptr_t)&pidfd,
           args.parent_tid = (uintptr_t)&parent_word;
    long child = clone3(&args, sizeof args);
    tell_made("clone3", "it", child);
    printf("number told %d, close-on-exec %d\n", parent_word == child, fcntl(pidfd, F_GETFD));
    wait_for("its end", child, 0);
    close(pidfd);
    FRESH;
    child = clone3(&args, 64);
    tell_made("clone3", "of the first size", child);
    wait_for("its end", child, 0);

    struct { struct clone_args args; uint64_t more; } longer;
    memset(&longer, 0, sizeof longer);
    longer.args.exit_signal = SIGCHLD;
    child = clone3(&longer.args, sizeof longer);
    tell_made("clone3", "of a later size", child);
    wait_for("its end", child, 0);
    longer.more = 1;
    tell_made("clone3", "with what is not known", clone3(&longer.args, sizeof longer));

    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, (void (*)(int))exit);
    FRESH, args.flags = CLONE_CLEAR_SIGHAND;
    child = syscall(SYS_clone3, &args, sizeof args);
    if (child == 0) {
        struct sigaction one, two;
        sigaction(SIGUSR1, NULL, &one);
        sigaction(SIGUSR2, NULL, &two);
        _exit((one.sa_handler == SIG_IGN) << 1 | (two.sa_handler != SIG_DFL));
    }
    wait_for("CLEAR_SIGHAND: still ignored, still handled", child, 0);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

static int wait_for_word(void *argument) {
    pid_t *word = argument;
    return *word == syscall(SYS_gettid) ? 1 : 2;
}

static int got;
static void count(int signal) {
    got = signal;
}

static int nothing(void *argument) {
    (void)argument;
    return 3;
}

static int parent_is(void *argument) {
    return getppid() == *(pid_t *)argument ? 1 : 2;
}

static void numbers(void) {
    pid_t parent_word = 0, child_word = 0, self = getpid();
    pid_t child = clone(wait_for_word, stack_top,
                        CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, &child_word,
                        &parent_word, NULL, &child_word);
    wait_for("child sees its number", child, 0);
    printf("parent word %d, child word %d\n", parent_word == child, child_word == child);
    child_word = 1;
    child = clone(nothing, stack_top, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, NULL,
                  &child_word);
    wait_for("cleared", child, 0);
    printf("child word %d\n", child_word);
    child = clone(parent_is, stack_top, SIGCHLD, &self);
    wait_for("clone: parent is the caller", child, 0);
    if (fork() == 0) {
        pid_t middle = getppid();
        child = clone(parent_is, stack_top, CLONE_PARENT | SIGCHLD, &middle);
        tell("wait4", "not a child of the middle one", waitpid(child, NULL, 0));
        _exit(0);
    }
    int sum = 0, status;
    while (wait(&status) > 0)
        sum += 10 + WEXITSTATUS(status);
    printf("children waited for: %d\n", sum);

    signal(SIGUSR1, count);
    child = clone(nothing, stack_top, SIGUSR1, NULL);
    wait_for("exit signal USR1, plain wait", child, 0);
    wait_for("with __WCLONE", child, __WCLONE);
    printf("signal %d\n", got);
    got = 0;
    child = clone(nothing, stack_top, 0, NULL);
    wait_for("no exit signal, __WALL", child, __WALL);
    printf("signal %d\n", got);
    child = fork();
    if (child == 0)
        _exit(4);
    wait_for("an ordinary child with __WCLONE", child, __WCLONE);
    wait_for("an ordinary child with __WALL", child, __WALL);
    signal(SIGUSR1, SIG_DFL);
}

static void with_vfork(void) {
    volatile int seen = 0;
    pid_t child = vfork();
    if (child == 0) {
        seen = 1;
        _exit(9);
    }
    tell_made("vfork", "child runs first", child);
    printf("child ran first, in our memory: %d\n", seen);
    wait_for("vfork", child, 0);
    child = vfork();
    if (child == 0) {
        execl("/proc/self/exe", "fork", "exit", (char *)NULL);
        _exit(127);
    }
    wait_for("vfork and exec", child, 0);
}

static void copies(void) {
    char *private = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *common = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int fd = open("/proc/self/exe", O_RDONLY);
    strcpy(private, "parent");
    strcpy(common, "parent");
    pid_t child = fork();
    if (child == 0) {
        strcpy(private, "child");
        strcpy(common, "child");
        lseek(fd, 100, SEEK_SET);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        _exit(0);
    }
    tell_made("fork", "a child that writes", child);
    wait_for("its end", child, 0);
    printf("private %s, shared %s, position %ld, close-on-exec %d\n", private, common,
           (long)lseek(fd, 0, SEEK_CUR), fcntl(fd, F_GETFD));
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    alarm(1000);
    child = fork();
    if (child == 0) {
        sigset_t now, pending;
        sigprocmask(SIG_BLOCK, NULL, &now);
        sigpending(&pending);
        _exit(sigismember(&now, SIGUSR1) << 2 | sigismember(&pending, SIGUSR1) << 1 |
              (alarm(0) != 0));
    }
    wait_for("mask, pending, alarm in the child", child, 0);
    printf("alarm still set %d\n", alarm(0) > 0);
    signal(SIGUSR1, SIG_IGN);
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGUSR1, SIG_DFL);
    close(fd);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "exit") == 0)
        return 8;
    sharing("nothing", 0);
    sharing("VM", CLONE_VM);
    sharing("FS", CLONE_FS);
    sharing("FILES", CLONE_FILES);
    sharing("VM SIGHAND", CLONE_VM | CLONE_SIGHAND);
    sharing("VM VFORK", CLONE_VM | CLONE_VFORK);
    sharing("SYSVSEM IO UNTRACED", CLONE_SYSVSEM | CLONE_IO | CLONE_UNTRACED);
    refused("SIGHAND alone", CLONE_SIGHAND | SIGCHLD);
    refused("THREAD alone", CLONE_THREAD);
    refused("THREAD SIGHAND", CLONE_THREAD | CLONE_SIGHAND);
    refused("FS NEWNS", CLONE_FS | CLONE_NEWNS | SIGCHLD);
    refused("PIDFD PARENT_SETTID", CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD);
    refused("PIDFD DETACHED", CLONE_PIDFD | CLONE_DETACHED | SIGCHLD);
    tell("clone", "PIDFD nowhere", raw_clone(CLONE_PIDFD | SIGCHLD));
    numbers();
    with_clone3();
    with_vfork();
    copies();
    return 0;
}
